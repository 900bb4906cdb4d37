package rooms

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/signalbox/signalbox/internal/store"
)

// Enter checks that a guest may come in now and gives him a ticket. Whoever left less than a minute ago with the same number is
// the same participant, unless many people call from it.
func (m *Manager) Enter(ctx context.Context, id string, g Guest) (Ticket, error) {
	ctx, cancel := context.WithTimeout(ctx, writes)
	defer cancel()
	t, err := m.enter(ctx, id, g)
	m.opt.Meter.Entered(entered(err))
	return t, err
}

func entered(err error) string {
	for result, is := range map[string]error{"locked": ErrLocked, "full": ErrFull, "kicked": ErrKicked, "ended": ErrEnded} {
		if errors.Is(err, is) {
			return result
		}
	}
	if err != nil {
		return "failed"
	}
	return "in"
}

func (m *Manager) enter(ctx context.Context, id string, g Guest) (Ticket, error) {
	kept, err := m.opt.Store.Room(ctx, id)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return Ticket{}, ErrEnded
	case err == nil && !kept.Closed.IsZero():
		m.forget(id)
		return Ticket{}, m.over(ctx, kept)
	case err != nil:
		return Ticket{}, err
	}
	number := g.Number
	if g.Withheld {
		number = ""
	}
	s, err := m.stateOf(ctx, kept, number)
	if err != nil {
		return Ticket{}, err
	}
	if s.Kicked && !g.IsHost {
		return Ticket{}, ErrKicked
	}
	people, err := m.people(ctx, kept)
	if err != nil {
		return Ticket{}, err
	}
	now := time.Now().UTC()
	was, back := store.Participant{}, false
	if !g.Shared { // of many who call from one number nobody knows which one this is
		if was, back = returning(people, number, g, now); !back {
			was, back = m.dropped(ctx, kept, people, number, g)
		}
	}
	p := store.Participant{
		Room: id, UUID: g.UUID, Node: g.Node, Record: g.Record, Number: number, Verified: g.Verified, Host: g.IsHost,
		Contact: g.Contact, Name: g.Name, Clip: g.Clip, Shared: g.Shared, Entered: now,
	}
	err = m.opt.Store.Admit(ctx, &p, func(kept store.Room, list []store.Participant) error {
		people := m.seen(kept, list)
		// Somebody else with his number may have been quicker.
		is := back && slices.ContainsFunc(people, func(x store.Participant) bool { return x.ID == was.ID && x.UUID == was.UUID })
		if p.ID, p.Returns = newID(), 0; is {
			p.ID, p.Returns = was.ID, was.Returns
		}
		return fits(kept, people, p, is)
	})
	if errors.Is(err, store.ErrNotFound) { // it was closed since
		if kept, err = m.opt.Store.Room(ctx, id); err == nil {
			m.forget(id)
			err = m.over(ctx, kept)
		}
	}
	if err != nil {
		return Ticket{}, err
	}
	back = back && p.ID == was.ID
	m.mu.Lock()
	r := m.remember(kept)
	r.people[p.ID] = &p
	r.asking = max(r.asking-1, 0)
	m.mu.Unlock()
	return Ticket{
		Room: id, Name: kept.Name(), Node: kept.Node, Host: kept.Number, Participant: p.ID, UUID: g.UUID, IsBack: back, HostPresent: s.HostPresent,
		Flags: flags(kept, g.IsHost, s.Members > 0), MaxMembers: places(kept), IsHost: g.IsHost,
	}, nil
}

// fits says why a participant does not come into a room, people being those who were in it or on the way until now. Those who are on the
// way have a place too, but for the host, who finds his own; and so has who has lost his leg.
func fits(kept store.Room, people []store.Participant, p store.Participant, back bool) error {
	taken, his := 0, false
	for _, x := range people {
		switch {
		case x.ID == p.ID:
			his = x.Present()
		case x.Present(), x.Left.IsZero() && !x.Host:
			taken++
		}
	}
	switch {
	case p.Host:
	case kept.Locked:
		return ErrLocked
	case kept.MaxMembers > 0 && taken >= kept.MaxMembers && !his, !back && len(people) >= maxPeople:
		return ErrFull
	}
	return nil
}

// over is why nobody comes into a room that is closed. A sidecar closes an empty room without knowing whom another one still asks.
func (m *Manager) over(ctx context.Context, kept store.Room) error {
	switch kept.Why {
	case mediaLost:
		return ErrAnew
	case nobodyCame, everybody, hostUnreached:
	default:
		return ErrEnded
	}
	people, err := m.opt.Store.Participants(ctx, kept.ID)
	switch {
	case err != nil:
		return err
	case slices.ContainsFunc(people, func(p store.Participant) bool { return !p.Joined.IsZero() }):
		return ErrEnded
	case kept.DialUntil.After(time.Now()):
		return ErrUnreached
	}
	return ErrAnew
}

// places are how many FreeSWITCH lets into a room: one more than Enter does, which is the host's. 0 = any number.
func places(r store.Room) int {
	if r.MaxMembers <= 0 {
		return 0
	}
	return r.MaxMembers + 1
}

// flags are those of a member.
func flags(r store.Room, host, running bool) []string {
	var f []string
	if running { // the conference is there: one that has gone meanwhile is not made anew
		f = append(f, "join-only")
	}
	if host {
		f = append(f, "moderator")
	}
	if r.Waits {
		f = append(f, "wait-mod")
	}
	return f
}

// Arrive lets the leg of a participant in that another node has sent here, instead of the one he came with.
func (m *Manager) Arrive(ctx context.Context, id, participant, leg, node string) (Ticket, error) {
	ctx, cancel := context.WithTimeout(ctx, writes)
	defer cancel()
	kept, people, err := m.Roster(ctx, id)
	if errors.Is(err, store.ErrNotFound) || err == nil && !kept.Closed.IsZero() {
		return Ticket{}, ErrEnded
	}
	if err != nil {
		return Ticket{}, err
	}
	if !m.same(kept.Node, node) {
		return Ticket{}, ErrNode
	}
	members := 0
	var p store.Participant
	for _, x := range people {
		if x.Present() {
			members++
		}
		if x.ID == participant && x.Joined.IsZero() && x.Left.IsZero() {
			p = x
		}
	}
	switch { // what Enter looked at is some time ago, and here he can still be told
	case p.ID == "":
		return Ticket{}, ErrNobody
	case p.Host:
	case kept.Locked:
		return Ticket{}, ErrLocked
	case kept.MaxMembers > 0 && members >= kept.MaxMembers:
		return Ticket{}, ErrFull
	}
	p.UUID, p.Node = leg, kept.Node
	m.load(ctx, kept)
	m.keep(ctx, p)
	return Ticket{Room: id, Name: kept.Name(), Node: node, Participant: p.ID, UUID: leg, Flags: flags(kept, p.Host, members > 0), MaxMembers: places(kept), IsHost: p.Host}, nil
}

// same reports whether two nodes are one FreeSWITCH.
func (m *Manager) same(a, b string) bool {
	one, other := m.nodes[a], m.nodes[b]
	return a == b || one != nil && other != nil && one.sw.CoreUUID() != "" && one.sw.CoreUUID() == other.sw.CoreUUID()
}
