package rooms

import (
	"testing"
	"time"

	"github.com/google/uuid"
)

// TestARoomThatOthersHaveClosedIsForgotten: this process had no link to its node when everybody left.
func TestARoomThatOthersHaveClosedIsForgotten(t *testing.T) {
	r, f := newRig(t), newMedia("n1")
	m, _ := r.manager("one", nil, f)
	s := r.open(m, "n1", nil)
	r.enter(m, f, s, Guest{UUID: uuid.NewString(), Number: hostNumber, IsHost: true})
	known := func() (known bool) {
		m.inRoom(s.ID, func(x *room) { known, x.began = true, time.Now().Add(-2*emptyFor) })
		return known
	}
	known()
	m.forgetClosed(t.Context())
	if !known() {
		t.Error("a room that is open was forgotten")
	}
	if _, err := r.store.CloseRoom(t.Context(), s.ID, everybody, time.Now()); err != nil {
		t.Fatal(err)
	}
	m.forgetClosed(t.Context())
	if known() {
		t.Error("a room that another sidecar has closed is kept, with somebody in it")
	}
}
