package rooms

import (
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/signalbox/signalbox/esl/wire"
	"github.com/signalbox/signalbox/internal/store"
)

// TestAKeeperWhoWasFrozenLeavesRoomsToWhoTookThemOver: what he remembers is of long ago. He neither ends a room that he takes for over, nor
// says once more who has come.
func TestAKeeperWhoWasFrozenLeavesRoomsToWhoTookThemOver(t *testing.T) {
	r, f := newRig(t), newMedia("n1")
	m := New(Options{Store: r.store, Instance: "frozen", Switches: []Switch{f}}) // nothing of it runs
	n, ctx := m.nodes["n1"], t.Context()
	m.keepNode(ctx, n)
	n.awake()
	s := r.open(m, "n1", nil)
	host, gone, late := Guest{UUID: uuid.NewString(), Number: hostNumber, IsHost: true}, Guest{UUID: uuid.NewString(), Number: benNumber}, anna()
	name := store.Room{ID: s.ID}.Name()
	event := func(action, leg string) {
		e := wire.NewEvent([]wire.Field{{Name: "Event-Name", Value: "CUSTOM"}, {Name: "Event-Subclass", Value: subclass}, {Name: "Conference-Name", Value: name},
			{Name: "Action", Value: action}, {Name: "Unique-ID", Value: leg}, {Name: "Member-ID", Value: "1"}}, nil)
		m.take(ctx, n, item{event: e})
	}
	for _, g := range []Guest{host, gone, late} {
		if _, err := m.Enter(ctx, s.ID, g); err != nil {
			t.Fatal(err)
		}
		f.join(name, g.UUID, g.IsHost)
		if g.UUID != late.UUID {
			event("add-member", g.UUID)
		}
	}
	f.leave(gone.UUID)
	event("del-member", gone.UUID) // the host is alone, and then the process stands still
	queued := 0
	m.inRoom(s.ID, func(x *room) { queued = len(x.speaks.queue) })
	before := time.Now().Add(-keeperDead - time.Second)
	n.turned.Store(&before)
	n.next = before
	if mine, err := r.store.KeepNode(ctx, "n1", "other", -time.Second); err != nil || !mine {
		t.Fatal(mine, err)
	}

	m.endIf(ctx, n, s.ID, (*room).isAlone, endedAlone)
	if list, _ := f.Conferences(ctx); len(list) != 1 || len(list[0].Members) != 2 {
		t.Errorf("two who talk were sent out: %+v", list)
	}
	event("add-member", late.UUID)
	m.inRoom(s.ID, func(x *room) {
		if len(x.speaks.queue) != queued {
			t.Errorf("said is %+v", x.speaks.queue)
		}
	})
	if n.keeper.Load() {
		t.Error("he takes himself for the keeper")
	}
	m.inRoom(s.ID, (*room).stopTimers)
}
