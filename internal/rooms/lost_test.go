package rooms

import (
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/signalbox/signalbox/internal/store"
)

// set changes what is so with a switch.
func (f *media) set(change func(f *media)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(f)
}

// seenUp waits until a Manager keeps a node.
func seenUp(t *testing.T, m *Manager, node string) {
	t.Helper()
	deadline, again := time.After(10*time.Second), time.NewTicker(10*time.Millisecond)
	defer again.Stop()
	for !m.nodes[node].keeper.Load() {
		select {
		case <-again.C:
		case <-deadline:
			t.Fatal("the node is not kept")
		}
	}
}

func TestANodeThatDiesLosesItsRooms(t *testing.T) {
	t.Parallel()
	r, a, b := newRig(t), newMedia("a"), newMedia("b")
	m, _ := r.manager("one", nil, a, b)
	seenUp(t, m, "a")
	other, _ := r.manager("two", nil, a, b)
	s := r.open(m, "a", nil)
	r.enter(m, a, s, Guest{UUID: uuid.NewString(), Number: hostNumber, IsHost: true})
	asked := r.open(other, "b", nil) // somebody hears the offer
	lost, stop := other.Lost(s.ID)
	defer stop()
	deaf, stopDeaf := m.Lost(s.ID)
	stopDeaf()
	if other.NotTaken(t.Context(), s.ID) {
		t.Error("a node to which there is a link counts as lost")
	}
	a.set(func(f *media) { f.dead, f.rooms = true, nil })
	r.until(m, s.ID, "the room is lost", func(x store.Room, people []store.Participant) bool {
		return x.Why == mediaLost && present(people) == 0
	})
	select {
	case <-lost:
	case <-time.After(10 * time.Second):
		t.Error("who was bridged there by the other sidecar is not told")
	}
	select {
	case <-deaf:
		t.Error("one who has gone is told")
	default:
	}
	if _, err := other.Enter(t.Context(), asked.ID, anna()); !errors.Is(err, ErrAnew) {
		t.Errorf("Enter of a lost room: %v", err)
	}
	if next := r.open(other, "b", nil); next.ID == s.ID || next.Node != "b" {
		t.Errorf("the next room is %+v", next)
	}
}

func TestANodeThatTakesNobodyAndIsNotThereIsLostAtOnce(t *testing.T) {
	t.Parallel()
	r, a, b := newRig(t), newMedia("a"), newMedia("b")
	m, _ := r.manager("one", nil, a, b)
	seenUp(t, m, "a")
	other, _ := r.manager("two", nil, a, b)
	s := r.open(m, "a", nil)
	a.set(func(f *media) { f.down = true })
	if other.NotTaken(t.Context(), s.ID) {
		t.Error("a node that the other sidecar keeps counts as lost because the link here is down")
	}
	a.set(func(f *media) { f.dead = true })
	for range 2 { // the second finds it closed
		if !other.NotTaken(t.Context(), s.ID) {
			t.Error("a node at which nobody listens is not lost")
		}
	}
	r.until(m, s.ID, "the room is closed", closedFor(mediaLost))
}

func TestAnotherSidecarClosesARoomForWhoIsStillAsked(t *testing.T) {
	t.Parallel()
	r, f := newRig(t), newMedia("n1")
	m, _ := r.manager("one", nil, f)
	other, _ := r.manager("two", nil, f)
	s := r.open(m, "n1", nil)
	if same := r.open(other, "n1", nil); same.ID != s.ID {
		t.Fatalf("two rooms: %+v, %+v", s, same)
	}
	m.Abandon(t.Context(), s.ID)
	r.until(m, s.ID, "the room is closed", closedFor(nobodyCame))
	if _, err := other.Enter(t.Context(), s.ID, anna()); !errors.Is(err, ErrAnew) {
		t.Errorf("Enter of a room that nobody was in: %v, want %v", err, ErrAnew)
	}
	next := r.open(other, "n1", nil)
	a := anna()
	r.enter(other, f, next, a)
	f.leave(a.UUID)
	r.until(other, next.ID, "the conference is over", closedFor(everybody))
	if _, err := other.Enter(t.Context(), next.ID, anna()); !errors.Is(err, ErrEnded) {
		t.Errorf("Enter of a conference that has ended: %v, want %v", err, ErrEnded)
	}
}
