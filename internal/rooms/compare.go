package rooms

import (
	"context"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/signalbox/signalbox/internal/fsw"
	"github.com/signalbox/signalbox/internal/store"
)

// lookAgain compares a node with what it lists now. What waits comes first: behind the look it would be news of long ago, and who came
// in by it might never be seen to leave.
func (m *Manager) lookAgain(ctx context.Context, n *node) {
	for range len(n.queue) {
		m.take(ctx, n, <-n.queue)
	}
	list := n.list.Load()
	if list == nil {
		return
	}
	found, err := (*list).Conferences(ctx)
	if err != nil {
		n.lost.Store(true)
		n.look = time.Now().Add(keepEvery)
		return
	}
	m.compare(ctx, n, seen{core: (*list).CoreUUID(), list: found})
}

// compare makes the rooms of a node what FreeSWITCH shows.
func (m *Manager) compare(ctx context.Context, n *node, s seen) {
	ctx, cancel := context.WithTimeout(ctx, 2*writes)
	defer cancel()
	open, err := m.opt.Store.OpenRooms(ctx, n.sw.Name())
	if err != nil {
		n.lost.Store(true)
		m.log.Warn("conferences not compared with freeswitch; it is tried again", zap.String("node", n.sw.Name()), zap.Error(err))
		return
	}
	there := map[string]fsw.Conference{}
	for _, c := range s.list {
		there[c.Name] = c
	}
	for _, kept := range open {
		r := m.load(ctx, kept)
		if r == nil {
			continue
		}
		c, running := there[kept.Name()]
		delete(there, kept.Name())
		switch {
		case running:
			m.compareRoom(ctx, n, kept, c)
		case kept.Core != "" && kept.Core != s.core:
			if n.keeper.Load() {
				m.close(ctx, kept.ID, mediaLost)
			}
		default:
			m.compareRoom(ctx, n, kept, fsw.Conference{Name: kept.Name()})
			if now := time.Now(); n.keeper.Load() && m.isOver(kept.ID, now) {
				m.closeUnless(ctx, kept, "ended while nobody watched", func(p store.Participant) bool { return isComing(p) && now.Sub(p.Entered) < emptyFor })
			}
		}
		m.changed(kept.ID)
	}
	n.compared.Store(true)
	for name := range there {
		if strings.HasPrefix(name, store.RoomPrefix) {
			m.log.Info("a conference of ours runs whose record is closed; it is left to those who are in it", zap.String("conference", name))
		}
	}
}

// isOver reports whether people were in a room that FreeSWITCH does not have, and nobody is on the way into it.
func (m *Manager) isOver(id string, now time.Time) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.rooms[id]
	if r == nil || r.dialing {
		return false
	}
	had := false
	for _, p := range r.people {
		if p.Joined.IsZero() && p.Left.IsZero() && now.Sub(p.Entered) < emptyFor {
			return false
		}
		had = had || !p.Joined.IsZero()
	}
	return had
}

// compareRoom makes the participants of a room those that FreeSWITCH shows.
func (m *Manager) compareRoom(ctx context.Context, n *node, kept store.Room, c fsw.Conference) {
	now := time.Now().UTC()
	in := map[string]bool{}
	for _, member := range c.Members {
		in[member.UUID] = true
		p, known := m.participant(ctx, n, kept.ID, member.UUID, now)
		if !known && m.silent(ctx, n, member.UUID) { // the leg that somebody has lost, who is back by another one
			continue
		}
		if !p.Present() {
			p.Joined, p.Left, p.Reason = now, time.Time{}, ""
		}
		p.Member, p.Muted = member.ID, !member.Flags.Speaks
		m.write(ctx, n, p)
	}
	m.mu.Lock()
	var gone []store.Participant
	if r := m.rooms[kept.ID]; r != nil {
		r.runs(c.UUID)
		r.Locked = c.Locked
		r.most = max(r.most, len(c.Members))
		for _, p := range r.people {
			r.hadHost = r.hadHost || p.Host && !p.Joined.IsZero()
			if p.Present() && !in[p.UUID] {
				gone = append(gone, *p)
			}
		}
	}
	m.mu.Unlock()
	for _, p := range gone {
		p.Left, p.Reason = now, leftUnseen
		m.write(ctx, n, p)
	}
	if len(c.Members) > 0 {
		m.decideEnd(n, kept.ID)
	}
}
