package fssim

import (
	"container/heap"
	"sync"
	"time"
)

// timers runs short functions at their time, all in one goroutine, so that no timer is left behind when the switch
// stops. A function must not block.
type timers struct {
	mu     sync.Mutex
	queue  timerHeap
	seq    uint64
	kick   chan struct{}
	closed bool
}

type timer struct {
	at    time.Time
	seq   uint64
	fn    func()
	index int // in the heap; -1 when it ran or was stopped
}

func newTimers() *timers { return &timers{kick: make(chan struct{}, 1)} }

// after calls fn in d. The result can be given to stop.
func (t *timers) after(d time.Duration, fn func()) *timer {
	t.mu.Lock()
	t.seq++
	tm := &timer{at: time.Now().Add(d), seq: t.seq, fn: fn}
	if t.closed {
		tm.index = -1
		t.mu.Unlock()
		return tm
	}
	heap.Push(&t.queue, tm)
	first := t.queue[0] == tm
	t.mu.Unlock()
	if first {
		select {
		case t.kick <- struct{}{}:
		default:
		}
	}
	return tm
}

// stop reports whether the timer had not run yet. A nil timer is stopped already.
func (t *timers) stop(tm *timer) bool {
	if tm == nil {
		return false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if tm.index < 0 {
		return false
	}
	heap.Remove(&t.queue, tm.index)
	return true
}

// run executes timers until done is closed; those still waiting then never run.
func (t *timers) run(done <-chan struct{}) {
	wake := time.NewTimer(time.Hour)
	defer wake.Stop()
	for {
		t.mu.Lock()
		var due *timer
		next := time.Hour
		if len(t.queue) > 0 {
			if next = time.Until(t.queue[0].at); next <= 0 {
				due = heap.Pop(&t.queue).(*timer)
			}
		}
		t.mu.Unlock()
		if due != nil {
			due.fn()
			continue
		}
		wake.Reset(next)
		select {
		case <-done:
			t.mu.Lock()
			t.closed = true
			for _, tm := range t.queue {
				tm.index = -1
			}
			t.queue = nil
			t.mu.Unlock()
			return
		case <-t.kick:
		case <-wake.C:
		}
	}
}

type timerHeap []*timer

func (h timerHeap) Len() int { return len(h) }
func (h timerHeap) Less(i, j int) bool {
	if h[i].at.Equal(h[j].at) {
		return h[i].seq < h[j].seq
	}
	return h[i].at.Before(h[j].at)
}
func (h timerHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}
func (h *timerHeap) Push(x any) {
	tm := x.(*timer)
	tm.index = len(*h)
	*h = append(*h, tm)
}
func (h *timerHeap) Pop() any {
	old := *h
	tm := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	tm.index = -1
	return tm
}
