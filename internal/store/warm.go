package store

import (
	"github.com/signalbox/signalbox/internal/tel"
)

const (
	maxWarming = 50_000 // numbers that wait to be read ahead; more are not, which costs their next call a read
	warmers    = 4      // reads ahead of calls that run at once: a storm of registrations leaves the store to the calls
)

// warming are the numbers that wait to be read ahead.
type warming struct {
	queue   []tel.Number
	waiting map[tel.Number]bool
	workers int
}

// Warm reads numbers ahead of calls, for example when a phone has registered. It never blocks. A number that is in memory already,
// or waits to be, costs nothing: a phone that registers again does not make the store be read again.
func (c *Cache) Warm(numbers ...tel.Number) {
	c.mu.Lock()
	defer c.mu.Unlock()
	w := &c.warm
	for _, n := range numbers {
		if entry, ok := c.items[n]; n == "" || ok && c.holds(entry.Value.(*cached)) || w.waiting[n] || len(w.queue) >= maxWarming || c.closed {
			continue
		}
		if w.waiting == nil {
			w.waiting = map[tel.Number]bool{}
		}
		w.waiting[n] = true
		w.queue = append(w.queue, n)
	}
	if len(w.queue) > 0 && w.workers < warmers && !c.closed {
		w.workers++
		c.running.Go(c.warmAll)
	}
}

// warmAll reads numbers until none waits.
func (c *Cache) warmAll() {
	for {
		c.mu.Lock()
		w := &c.warm
		if len(w.queue) == 0 || c.closed {
			w.workers--
			c.mu.Unlock()
			return
		}
		number := w.queue[0]
		w.queue = w.queue[1:]
		delete(w.waiting, number)
		var f *flight
		if !c.known { // nothing can be kept before the revision is known
			f = c.join(flightKey{})
		} else if entry, ok := c.items[number]; !ok || !c.holds(entry.Value.(*cached)) {
			f = c.join(flightKey{number, c.revision})
			c.warmed.Add(1)
		}
		again := !c.known && f != nil
		c.mu.Unlock()
		if f != nil {
			<-f.done
			if again && f.err == nil {
				c.Warm(number)
			}
		}
	}
}
