package sipproxy

import "time"

// timer is one deadline of a transaction and part of it; the zero timer is not set.
type timer struct {
	at    time.Duration // since the shard was made
	place int32         // in the heap, counted from 1; 0 = not set
	what  deadline
	owner expirer
}

// deadline says what is due.
type deadline uint8

const (
	resendDue deadline = iota
	answerDue
	forgetDue
	screenDue
	routeDue
	outsideDue
)

// expirer has timers.
type expirer interface{ expire(what deadline) }

// set says whether the timer is still to come.
func (t *timer) set() bool { return t.place > 0 }

// timerHeap has the earliest timer first.
type timerHeap []*timer

func (h timerHeap) put(i int, t *timer) { h[i], t.place = t, int32(i+1) }

func (h timerHeap) up(i int) {
	t := h[i]
	for i > 0 {
		parent := (i - 1) / 2
		if h[parent].at <= t.at {
			break
		}
		h.put(i, h[parent])
		i = parent
	}
	h.put(i, t)
}

func (h timerHeap) down(i int) {
	t := h[i]
	for {
		child := 2*i + 1
		if child >= len(h) {
			break
		}
		if child+1 < len(h) && h[child+1].at < h[child].at {
			child++
		}
		if h[child].at >= t.at {
			break
		}
		h.put(i, h[child])
		i = child
	}
	h.put(i, t)
}

func (h *timerHeap) remove(t *timer) {
	i, last := int(t.place-1), len(*h)-1
	moved := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	t.place = 0
	if moved != t {
		h.put(i, moved)
		h.up(i)
		h.down(int(moved.place - 1))
	}
	if cap(*h) > 4096 && len(*h) < cap(*h)/8 { // after a flood
		*h = append(make(timerHeap, 0, cap(*h)/4), *h...)
	}
}

// after sets a timer anew.
func (s *shard) after(t *timer, d time.Duration, owner expirer, what deadline) {
	s.cancel(t)
	t.at, t.owner, t.what = s.now.Sub(s.epoch)+d, owner, what
	s.timers = append(s.timers, t)
	s.timers.up(len(s.timers) - 1)
}

func (s *shard) cancel(t *timer) {
	if t.set() {
		s.timers.remove(t)
	}
}

// due is when the earliest timer is; false when there is none.
func (s *shard) due() (time.Time, bool) {
	if len(s.timers) == 0 {
		return time.Time{}, false
	}
	return s.epoch.Add(s.timers[0].at), true
}

func (s *shard) fire() {
	for len(s.timers) > 0 && s.timers[0].at <= s.now.Sub(s.epoch) {
		t := s.timers[0]
		s.timers.remove(t)
		s.expire(t)
	}
}

func (s *shard) expire(t *timer) {
	defer func() {
		if r := recover(); r != nil {
			s.p.panicked("timer", r)
		}
	}()
	t.owner.expire(t.what)
}
