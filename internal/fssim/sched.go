package fssim

import (
	"strconv"
	"sync"
	"time"
)

// maxTasks bounds what is scheduled at one time; more is refused.
const maxTasks = 20000

// scheduler keeps the tasks of sched_api and sched_hangup by group.
type scheduler struct {
	mu    sync.Mutex
	next  int
	tasks map[int]*task
}

type task struct {
	id    int
	group string
	desc  string
	at    time.Time
	timer *timer
}

func newScheduler() *scheduler { return &scheduler{next: 1, tasks: map[int]*task{}} }

// add schedules fn; it runs in a goroutine of the switch. 0 means refused.
func (q *scheduler) add(s *Switch, d time.Duration, group, desc string, fn func()) int {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.tasks) >= maxTasks {
		return 0
	}
	t := &task{id: q.next, group: group, desc: desc, at: time.Now().Add(d)}
	q.next++
	q.tasks[t.id] = t
	t.timer = s.timers.after(d, func() {
		q.mu.Lock()
		_, live := q.tasks[t.id]
		delete(q.tasks, t.id)
		q.mu.Unlock()
		if live {
			s.spawn(fn)
		}
	})
	return t.id
}

// del removes the tasks of a group, or one by its number, and returns how many there were.
func (q *scheduler) del(s *Switch, what string) int {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := 0
	for id, t := range q.tasks {
		if t.group == what || strconv.Itoa(id) == what {
			s.timers.stop(t.timer)
			delete(q.tasks, id)
			n++
		}
	}
	return n
}
