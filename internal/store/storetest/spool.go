package storetest

import (
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/signalbox/signalbox/internal/call"
	"github.com/signalbox/signalbox/internal/store"
	"github.com/signalbox/signalbox/internal/tel"
)

var spoolTests = []test{
	{"SpooledMessageIsKeptWhole", spoolWhole},
	{"OnlyOneClaimsASpooledMessage", spoolClaim},
}

func spooled(id, node string, next time.Time) store.Spooled {
	return store.Spooled{
		ID: id, Node: node, File: "/spool/" + id + ".wav", Number: Alice, Why: tel.Busy, Recorded: now, Length: 7 * time.Second, Next: next,
		Arrival: call.Arrival{UUID: "u", To: Alice, From: tel.Identity{Number: "+12125550123"}, At: now},
	}
}

func spoolWhole(t *testing.T, s store.Store) {
	m := spooled("m1", "fs1", now)
	must(t, s.Spool(t.Context(), m))
	must(t, s.Spool(t.Context(), spooled("m2", "fs2", now)))
	got, err := s.Spooled(t.Context(), "fs1", 10)
	if err != nil || len(got) != 1 || !reflect.DeepEqual(got[0], m) {
		t.Errorf("read %+v, %v\nwant %+v", got, err, m)
	}
	for node, want := range map[string]int{"": 2, "fs2": 1, "fs3": 0} {
		if n, err := s.CountSpooled(t.Context(), node); err != nil || n != want {
			t.Errorf("node %q has %d messages, %v; want %d", node, n, err, want)
		}
	}
	must(t, s.Unspool(t.Context(), "m1"))
	must(t, s.Unspool(t.Context(), "m1"))
	if err := s.PutOff(t.Context(), m); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("putting off a message that is gone: %v", err)
	}
}

func spoolClaim(t *testing.T, s store.Store) {
	must(t, s.Spool(t.Context(), spooled("m1", "fs1", now)))
	must(t, s.Spool(t.Context(), spooled("m2", "fs1", now.Add(time.Hour))))
	claim := func(owner string, at time.Time) (ids []string) {
		t.Helper()
		got, err := s.DueSpooled(t.Context(), "fs1", owner, 10, at, at.Add(time.Minute))
		must(t, err)
		for _, m := range got {
			ids = append(ids, m.ID)
		}
		return ids
	}
	if got := claim("a", now.Add(-time.Second)); len(got) != 0 {
		t.Errorf("before their time %v are due", got)
	}
	if got := claim("a", now); !reflect.DeepEqual(got, []string{"m1"}) {
		t.Errorf("due are %v, want m1", got)
	}
	if got := claim("b", now.Add(30*time.Second)); len(got) != 0 {
		t.Errorf("another claims %v too", got)
	}
	if got := claim("b", now.Add(61*time.Second)); !reflect.DeepEqual(got, []string{"m1"}) {
		t.Errorf("a claim that ran out: %v, want m1", got)
	}
	m := spooled("m1", "fs1", now.Add(10*time.Minute))
	m.Attempts, m.Note = 1, "no answer"
	must(t, s.PutOff(t.Context(), m))
	if got := claim("a", now.Add(9*time.Minute)); len(got) != 0 {
		t.Errorf("put off, %v are due", got)
	}
	if got := claim("a", now.Add(10*time.Minute)); !reflect.DeepEqual(got, []string{"m1"}) {
		t.Errorf("after the time it was put off to %v are due", got)
	}
}
