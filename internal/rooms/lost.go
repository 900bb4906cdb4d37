package rooms

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"

	"github.com/signalbox/signalbox/internal/store"
)

const (
	// refusedFor is how long nobody may have listened at a node's Event Socket before it counts as lost, and silentFor how long it may
	// not have been reached for any other reason: that may be our own fault, and then another sidecar has taken the node over.
	refusedFor = 3 * time.Second
	silentFor  = keeperDead + 2*keepEvery
	// hearOfDeath is how long a link may take to find that nobody listens any more.
	hearOfDeath = 1500 * time.Millisecond
	// lookForLoss is how often it is asked whether another sidecar has given a node up.
	lookForLoss = time.Second
)

// absence is what is known of a node without a link; owned by follow.
type absence struct {
	was   bool      // there was one before, of this process
	since time.Time // zero = there is one
	lost  bool      // the node's rooms were closed
	again time.Time // when it is asked again whether another sidecar has a link
}

// isDown closes the rooms of a node that is lost, once: nobody but FreeSWITCH itself could say that it is, and it may never come back. A
// node to which any other sidecar has its link is not.
func (m *Manager) isDown(ctx context.Context, n *node, now time.Time) {
	a := &n.absent
	if a.since.IsZero() {
		a.since = now
	}
	patience := silentFor
	if a.was && n.sw.Refused() {
		patience = refusedFor
	}
	if a.lost || now.Sub(a.since) < patience || now.Before(a.again) {
		return
	}
	if !m.isLost(ctx, n) {
		a.again = now.Add(keepEvery)
		return
	}
	a.lost = m.lose(ctx, n, a.since)
}

// isLost reports whether no sidecar has a link to a node.
func (m *Manager) isLost(ctx context.Context, n *node) bool {
	if n.sw.Up() {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, writes)
	defer cancel()
	mine, err := m.opt.Store.KeepNode(ctx, n.sw.Name(), m.opt.Instance, m.deadAfter())
	return err == nil && mine
}

// lose closes the rooms that a node had when its link went down; false = some could not be.
func (m *Manager) lose(ctx context.Context, n *node, before time.Time) bool {
	ctx, cancel := context.WithTimeout(ctx, writes)
	defer cancel()
	open, err := m.opt.Store.OpenRooms(ctx, n.sw.Name())
	if err != nil {
		return false
	}
	if len(open) > 0 {
		m.log.Warn("freeswitch is gone: the conferences it had are closed; start it again", zap.String("node", n.sw.Name()), zap.Int("conferences", len(open)), zap.Bool("nobody_listens", n.sw.Refused()))
	}
	for _, kept := range open {
		if kept.Opened.Before(before) { // else by a call from there: it is not gone
			m.close(ctx, kept.ID, mediaLost)
		}
	}
	return true
}

// NotTaken says that a node has not taken somebody who was sent to a room there. When nobody listens at its Event Socket either, or no
// sidecar has a link to it, it is lost, and the room is closed; the result says so, or that it is closed already for that reason. It takes
// up to 1.5 s.
func (m *Manager) NotTaken(ctx context.Context, id string) bool {
	ctx, cancel := context.WithTimeout(ctx, writes)
	defer cancel()
	kept, err := m.opt.Store.Room(ctx, id)
	if err != nil {
		return errors.Is(err, store.ErrNotFound)
	}
	if !kept.Closed.IsZero() {
		return kept.Why == mediaLost
	}
	n := m.nodes[kept.Node]
	if n == nil || !refuses(ctx, n) && !m.isLost(ctx, n) {
		return false
	}
	m.close(ctx, id, mediaLost)
	return true
}

// refuses reports whether nobody listens where a node is. The link to a node that has died this moment may not know it yet.
func refuses(ctx context.Context, n *node) bool {
	ctx, cancel := context.WithTimeout(ctx, hearOfDeath)
	defer cancel()
	again := time.NewTicker(hearOfDeath / 15)
	defer again.Stop()
	for !n.sw.Up() {
		if n.sw.Refused() {
			return true
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return false
		}
	}
	return false
}

// Lost returns a channel that is closed when a room is closed because its node is lost. stop is to be called once nobody waits any more.
func (m *Manager) Lost(id string) (lost <-chan struct{}, stop func()) {
	closed := make(chan struct{})
	ctx, cancel := context.WithCancel(context.Background())
	if !m.spawn(func(run context.Context) {
		defer context.AfterFunc(run, cancel)()
		if m.awaitLoss(ctx, id) {
			close(closed)
		}
	}) {
		cancel()
	}
	return closed, cancel
}

// awaitLoss waits until a room is closed and reports whether its node is lost. Another sidecar may be the one that closes it: while the
// node's link is down that is asked every second.
func (m *Manager) awaitLoss(ctx context.Context, id string) bool {
	w := m.Watch(id)
	defer m.Unwatch(w)
	again := time.NewTicker(lookForLoss)
	defer again.Stop()
	for node := ""; ; {
		select {
		case <-w.Changed:
		case <-again.C:
			if n := m.nodes[node]; n != nil && n.sw.Up() {
				continue
			}
		case <-ctx.Done():
			return false
		}
		kept, err := m.opt.Store.Room(ctx, id)
		switch {
		case errors.Is(err, store.ErrNotFound):
			return false
		case err == nil && !kept.Closed.IsZero():
			return kept.Why == mediaLost
		case err == nil:
			node = kept.Node
		}
	}
}
