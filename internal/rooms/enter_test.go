package rooms

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/store"
)

// overtaken is a store by which others are quicker, once: when somebody has looked who is in a room so often.
type overtaken struct {
	store.Rooms
	by    atomic.Pointer[func()]
	looks atomic.Int32
}

func (o *overtaken) Participants(ctx context.Context, room string) ([]store.Participant, error) {
	list, err := o.Rooms.Participants(ctx, room)
	if o.looks.Add(-1) == 0 {
		(*o.by.Load())()
	}
	return list, err
}

// when has others be quicker after so many looks.
func (o *overtaken) when(looks int32, by func()) {
	o.by.Store(&by)
	o.looks.Store(looks)
}

// slow is a sidecar that is overtaken by others.
func (r *rig) slow(f *media) (*Manager, *overtaken) {
	o := &overtaken{Rooms: r.store}
	m, _ := r.manager("slow", func(options *Options) { options.Store = o }, f)
	return m, o
}

// TestARoomThatIsClosedInTheSameMomentLetsNobodyIn: he would be alone in a conference that nobody knows of, and the next caller in another.
func TestARoomThatIsClosedInTheSameMomentLetsNobodyIn(t *testing.T) {
	for why, want := range map[string]error{nobodyCame: ErrAnew, endedByHost: ErrEnded} {
		r, f := newRig(t), newMedia("n1")
		m, o := r.slow(f)
		s := r.open(m, "n1", nil)
		closes := func() {
			if open, err := r.store.CloseRoom(t.Context(), s.ID, why, time.Now()); err != nil || !open {
				t.Error(open, err)
			}
		}
		o.when(1, closes)
		if ticket, err := m.Enter(t.Context(), s.ID, anna()); !errors.Is(err, want) {
			t.Errorf("into a room that is closed, %s: %+v, %v", why, ticket, err)
		}
		if people, err := r.store.Participants(t.Context(), s.ID); err != nil || len(people) != 0 {
			t.Errorf("participants %+v, %v", people, err)
		}
	}
}

// TestTheLastPlaceIsForOne: who is on the way has it, also when he comes by another sidecar while the next one is asked about.
func TestTheLastPlaceIsForOne(t *testing.T) {
	r, f := newRig(t), newMedia("n1")
	other, _ := r.manager("other", nil, f)
	m, o := r.slow(f)
	s := r.open(m, "n1", func(c *account.Conference) { c.MaxMembers = 2 })
	r.enter(m, f, s, Guest{UUID: uuid.NewString(), Number: hostNumber, IsHost: true})
	var ben Ticket
	quicker := func() {
		var err error
		if ben, err = other.Enter(t.Context(), s.ID, Guest{UUID: uuid.NewString(), Number: benNumber}); err != nil {
			t.Error(err)
		}
	}
	o.when(2, quicker)
	if _, err := m.Enter(t.Context(), s.ID, anna()); !errors.Is(err, ErrFull) {
		t.Errorf("two have the last place: %v", err)
	}
	if _, err := m.Enter(t.Context(), s.ID, Guest{UUID: uuid.NewString(), Number: hostNumber, IsHost: true}); err != nil {
		t.Errorf("the host has no place: %v", err)
	}
	other.Gone(t.Context(), ben, "hung up")
	if _, err := m.Enter(t.Context(), s.ID, anna()); err != nil {
		t.Errorf("the one who was quicker has gone: %v", err)
	}
}

// TestOfTwoLegsOneIsBack: two calls with the number of somebody who has left come at once.
func TestOfTwoLegsOneIsBack(t *testing.T) {
	r, f := newRig(t), newMedia("n1")
	m, o := r.slow(f)
	s := r.open(m, "n1", nil)
	r.enter(m, f, s, Guest{UUID: uuid.NewString(), Number: hostNumber, IsHost: true})
	first := anna()
	r.enter(m, f, s, first)
	f.leave(first.UUID)
	r.until(m, s.ID, "Anna has left", func(_ store.Room, people []store.Participant) bool { return present(people) == 1 })
	backs := 0
	quicker := func() {
		if ticket := r.enter(m, f, s, anna()); ticket.IsBack {
			backs++
		}
	}
	o.when(2, quicker)
	if ticket := r.enter(m, f, s, anna()); ticket.IsBack {
		backs++
	}
	_, people, err := m.Roster(t.Context(), s.ID)
	if err != nil || backs != 1 || len(people) != 3 || present(people) != 3 {
		t.Errorf("%d are back, the roster is %+v, %v", backs, people, err)
	}
}

// TestARoomStaysForWhomAnotherSidecarHasLetIn: the one who keeps the room has not heard of him when everybody else leaves.
func TestARoomStaysForWhomAnotherSidecarHasLetIn(t *testing.T) {
	r, f := newRig(t), newMedia("n1")
	m, _ := r.manager("keeper", nil, f)
	seenUp(t, m, "n1")
	other, _ := r.manager("other", nil, f)
	s := r.open(m, "n1", nil)
	ben := Guest{UUID: uuid.NewString(), Number: benNumber}
	r.enter(m, f, s, ben)
	ticket, err := other.Enter(t.Context(), s.ID, anna())
	if err != nil {
		t.Fatal(err)
	}
	f.leave(ben.UUID)
	f.join(ticket.Name, ticket.UUID, false)
	r.until(m, s.ID, "Anna is in her room", func(room store.Room, people []store.Participant) bool {
		return room.Closed.IsZero() && isIn(people, ticket.UUID)
	})
}

// TestWhoNeverCameHasLeft: his sidecar has died while he was on the way into a room in which others talk on.
func TestWhoNeverCameHasLeft(t *testing.T) {
	r, f := newRig(t), newMedia("n1")
	m, _ := r.manager("one", nil, f)
	seenUp(t, m, "n1")
	s := r.open(m, "n1", nil)
	r.enter(m, f, s, Guest{UUID: uuid.NewString(), Number: hostNumber, IsHost: true})
	ticket, err := m.Enter(t.Context(), s.ID, anna())
	if err != nil {
		t.Fatal(err)
	}
	at := func() store.Participant {
		people, err := r.store.Participants(t.Context(), s.ID)
		i := slices.IndexFunc(people, func(p store.Participant) bool { return p.ID == ticket.Participant })
		if err != nil || i < 0 {
			t.Fatal(people, err)
		}
		return people[i]
	}
	n, came := m.nodes["n1"], at().Entered
	m.sweepRooms(t.Context(), n, came.Add(emptyFor-time.Second))
	if p := at(); !p.Left.IsZero() {
		t.Errorf("on the way: %+v", p)
	}
	m.sweepRooms(t.Context(), n, came.Add(emptyFor+time.Second))
	if p := at(); p.Left.IsZero() || p.Reason != neverCame {
		t.Errorf("for more than %v on the way: %+v", emptyFor, p)
	}
	if room, err := r.store.Room(t.Context(), s.ID); err != nil || !room.Closed.IsZero() {
		t.Errorf("the room in which others are: %+v, %v", room, err)
	}
}
