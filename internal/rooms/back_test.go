package rooms

import (
	"slices"
	"testing"

	"github.com/google/uuid"

	"github.com/signalbox/signalbox/internal/store"
)

// TestWhoseNumberIsDoubtedIsNotWhoWasThere: somebody comes by the PIN and shows the number of one who is known. He is a guest beside him,
// takes no place of his, and nobody is said to be back.
func TestWhoseNumberIsDoubtedIsNotWhoWasThere(t *testing.T) {
	r, f := newRig(t), newMedia("n1")
	m, _ := r.manager("one", nil, f)
	s := r.open(m, "n1", nil)
	r.enter(m, f, s, Guest{UUID: uuid.NewString(), Number: hostNumber, Name: "Ada", IsHost: true})
	first := anna()
	r.enter(m, f, s, first)
	f.set(func(f *media) { f.silent = map[string]bool{first.UUID: true} }) // she holds the call
	doubted := Guest{UUID: uuid.NewString(), Number: annaNumber}
	if ticket := r.enter(m, f, s, doubted); ticket.IsBack {
		t.Error("who shows the number of somebody whose telephone is silent takes his place")
	}
	f.leave(first.UUID)
	r.until(m, s.ID, "Anna has left", func(_ store.Room, people []store.Participant) bool { return present(people) == 2 })
	f.leave(doubted.UUID)
	r.until(m, s.ID, "the guest has left", func(_ store.Room, people []store.Participant) bool { return present(people) == 1 })
	other := Guest{UUID: uuid.NewString(), Number: annaNumber}
	if ticket := r.enter(m, f, s, other); !ticket.IsBack {
		t.Error("a guest who comes by the PIN again is not back")
	}
	if ticket := r.enter(m, f, s, anna()); !ticket.IsBack {
		t.Error("Anna is not back")
	}
	_, people, err := m.Roster(t.Context(), s.ID)
	known := func(p store.Participant) bool { return p.Contact == "anna" && p.Verified }
	if i := slices.IndexFunc(people, known); err != nil || len(people) != 3 || i < 0 || people[i].Returns != 1 {
		t.Errorf("participants %+v, %v", people, err)
	}
}
