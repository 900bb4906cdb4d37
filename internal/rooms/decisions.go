package rooms

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"

	"github.com/signalbox/signalbox/internal/store"
)

const (
	// maxDecisions bounds the decisions that wait for the store; one more is lost, and counted.
	maxDecisions = 1024
	// decisionBatch is how many are written in one transaction.
	decisionBatch = 64
)

// Decide keeps how it was decided whether a caller may come in. It does not block.
func (m *Manager) Decide(a store.Access) {
	select {
	case m.decisions <- a:
	default:
		m.opt.Meter.Dropped("decision")
	}
}

// keepDecisions writes decisions until ctx ends, and then those that wait. It also tidies up, now and then.
func (m *Manager) keepDecisions(ctx context.Context) {
	tidy := time.NewTicker(emptyFor)
	defer tidy.Stop()
	for {
		select {
		case <-tidy.C:
			m.forgetClosed(ctx)
		case a := <-m.decisions:
			m.writeDecisions(ctx, a)
		case <-ctx.Done():
			select {
			case a := <-m.decisions:
				m.writeDecisions(context.WithoutCancel(ctx), a)
			default:
				return
			}
		}
	}
}

func (m *Manager) writeDecisions(ctx context.Context, first store.Access) {
	batch := []store.Access{first}
	for more := true; more && len(batch) < decisionBatch; {
		select {
		case a := <-m.decisions:
			batch = append(batch, a)
		default:
			more = false
		}
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writes)
	defer cancel()
	for tries := 3; ; tries-- {
		err := m.opt.Store.AddAccess(ctx, batch)
		if err == nil {
			return
		}
		if tries == 0 {
			m.log.Warn("access decisions not kept", zap.Int("decisions", len(batch)), zap.Error(err))
			return
		}
		pause(ctx, time.Second)
	}
}

// forgetClosed forgets rooms that another sidecar has closed and of which nothing was heard here, as while there was no link to their node:
// then those who left meanwhile seem to be in them still.
func (m *Manager) forgetClosed(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, writes)
	defer cancel()
	m.mu.Lock()
	var known []string
	for id, r := range m.rooms {
		if time.Since(r.began) > emptyFor {
			known = append(known, id)
		}
	}
	m.mu.Unlock()
	for _, id := range known {
		kept, err := m.opt.Store.Room(ctx, id)
		if errors.Is(err, store.ErrNotFound) || err == nil && !kept.Closed.IsZero() {
			m.mu.Lock()
			if r := m.rooms[id]; r != nil {
				r.stopTimers()
				delete(m.rooms, id)
			}
			m.mu.Unlock()
		}
	}
}
