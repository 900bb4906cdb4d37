package mwi

import (
	"context"
	"sync"
	"time"
)

const (
	maxOrders = 10_000      // mailboxes whose newest summary is remembered; beyond it those are forgotten of which none is being kept
	lateness  = time.Minute // for so long at least, unless there are too many: an older summary is behind by what its look-ups took
)

// orders keep the summaries of one mailbox from overtaking each other: they are taken at once, and what came first must not be kept last.
type orders struct {
	mu sync.Mutex
	of map[string]*order
}

// order is that of one mailbox.
type order struct {
	newest time.Time     // when the newest summary came
	busy   chan struct{} // closed when what is being kept is; nil = nothing is
}

// keep runs do for a summary that came at a time, when that for an older one is over, and not at all when a newer one has come: false.
func (o *orders) keep(ctx context.Context, mailbox string, at time.Time, do func() error) (bool, error) {
	m, err := o.turn(ctx, mailbox, at)
	if m == nil {
		return false, err
	}
	defer func() {
		o.mu.Lock()
		defer o.mu.Unlock()
		close(m.busy)
		m.busy = nil
	}()
	return true, do()
}

// turn waits until it is the turn of a summary; nil = it never is.
func (o *orders) turn(ctx context.Context, mailbox string, at time.Time) (*order, error) {
	for {
		o.mu.Lock()
		m := o.of[mailbox]
		if m == nil {
			o.makeRoom(at)
			m = &order{}
			o.of[mailbox] = m
		}
		if at.Before(m.newest) {
			o.mu.Unlock()
			return nil, nil
		}
		m.newest = at
		busy := m.busy
		if busy == nil {
			m.busy = make(chan struct{})
		}
		o.mu.Unlock()
		if busy == nil {
			return m, nil
		}
		select {
		case <-busy:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// makeRoom forgets mailboxes. mu is held.
func (o *orders) makeRoom(now time.Time) {
	if o.of == nil {
		o.of = map[string]*order{}
	}
	for _, age := range []time.Duration{lateness, 0} {
		if len(o.of) < maxOrders {
			return
		}
		for name, m := range o.of {
			if m.busy == nil && now.Sub(m.newest) >= age {
				delete(o.of, name)
			}
		}
	}
}
