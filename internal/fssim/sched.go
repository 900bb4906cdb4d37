package fssim

import (
	"strconv"
	"sync"
	"time"
)

// maxTasks bounds what is scheduled at one time; more is refused.
const maxTasks = 20000

// schedTick is how often the scheduler looks at its clock, which has whole seconds: what is due in n seconds runs after
// n-1 to n+0.5 of them, as on FreeSWITCH.
const schedTick = 500 * time.Millisecond

// scheduler keeps the tasks of sched_api and sched_hangup by group. A task that ran or was deleted stays in its list
// until the next tick sweeps it out.
type scheduler struct {
	began time.Time // the phase of the ticks

	mu    sync.Mutex
	next  int
	tasks map[int]*task
}

type task struct {
	id      int
	group   string
	at      int64 // seconds since 1970
	every   int   // seconds, 0 = once
	timer   *timer
	running bool // a deletion counts, and ends a repeated task
	deleted bool // counts by number only, until it is swept out
	fn      func()
}

func newScheduler() *scheduler {
	return &scheduler{began: time.Now(), next: 1, tasks: map[int]*task{}}
}

// tickAfter is how long from now the first tick is that finds the second at begun.
func (q *scheduler) tickAfter(at int64, now time.Time) time.Duration {
	wait := max(time.Unix(at, 0).Sub(now), 0)
	phase := now.Add(wait).Sub(q.began) % schedTick
	return wait + schedTick - phase
}

// add schedules fn for a second since 1970, and again every so many seconds when every is not 0; it runs in a goroutine
// of the switch. It returns the number of the task; 0 means refused.
func (q *scheduler) add(s *Switch, at int64, every int, group string, fn func()) int {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.tasks) >= maxTasks {
		return 0
	}
	t := &task{id: q.next, group: group, at: at, every: every, fn: fn}
	q.next++
	q.tasks[t.id] = t
	q.arm(s, t)
	return t.id
}

// arm waits for the task's next tick. The caller holds mu.
func (q *scheduler) arm(s *Switch, t *task) {
	t.timer = s.timers.after(q.tickAfter(t.at, time.Now()), func() { q.due(s, t) })
}

// due runs a task at its tick, or sweeps a deleted one out.
func (q *scheduler) due(s *Switch, t *task) {
	q.mu.Lock()
	if t.deleted {
		delete(q.tasks, t.id)
		q.mu.Unlock()
		return
	}
	t.running = true
	q.mu.Unlock()
	s.spawn(func() {
		t.fn()
		q.mu.Lock()
		defer q.mu.Unlock()
		t.running = false
		if t.every == 0 || t.deleted {
			delete(q.tasks, t.id)
			return
		}
		t.at = time.Now().Unix() + int64(t.every)
		q.arm(s, t)
	})
}

// del deletes the tasks of a group, or one by its number, and returns how many it found. By group a task that is
// deleted already does not count; by its number it does until it is swept out, as on FreeSWITCH.
func (q *scheduler) del(s *Switch, what string) int {
	if what == "" {
		return 0
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if n, err := strconv.Atoi(what); err == nil {
		if t := q.tasks[n]; t != nil {
			q.discard(s, t)
			return 1
		}
		return 0
	}
	n := 0
	for _, t := range q.tasks {
		if t.group == what && !t.deleted {
			q.discard(s, t)
			n++
		}
	}
	return n
}

// discard marks a task as deleted and lets the next tick sweep it out. The caller holds mu.
func (q *scheduler) discard(s *Switch, t *task) {
	if !t.deleted && !t.running {
		s.timers.stop(t.timer)
		t.timer = s.timers.after(q.tickAfter(0, time.Now()), func() { q.due(s, t) })
	}
	t.deleted = true
}
