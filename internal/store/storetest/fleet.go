package storetest

import (
	"testing"
	"time"

	"github.com/signalbox/signalbox/internal/store"
)

var fleetTests = []test{
	{"SidecarsComeAndLeave", sidecars},
}

func sidecars(t *testing.T, s store.Store) {
	is := func(want ...string) {
		t.Helper()
		list, err := s.Sidecars(t.Context())
		must(t, err)
		ok := len(list) == len(want)
		for i := range list {
			ok = ok && list[i].Instance == want[i] && list[i].Silent >= 0 && list[i].Silent < 30*time.Second
		}
		if !ok {
			t.Errorf("sidecars are %+v, want %q", list, want)
		}
	}
	is()
	must(t, s.Beat(t.Context(), "one", "host-a"))
	must(t, s.Beat(t.Context(), "two", "host-b"))
	must(t, s.Beat(t.Context(), "one", "host-a"))
	is("one", "two")
	must(t, s.Beat(t.Context(), "three", "host-a")) // after one has died
	is("three", "two")
	must(t, s.Leave(t.Context(), "two"))
	must(t, s.Leave(t.Context(), "two"))
	is("three")
}
