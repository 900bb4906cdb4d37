package rooms

import (
	"slices"
	"testing"
	"time"

	"github.com/signalbox/signalbox/internal/store"
)

// TestFilesOfWhoWasForgottenAreRemovedAndTriedAgain: what cannot be removed is told and tried later; the store forgets only what is gone.
func TestFilesOfWhoWasForgottenAreRemovedAndTriedAgain(t *testing.T) {
	r, f := newRig(t), newMedia("n1")
	m, _ := r.manager("one", nil, f)
	n := m.nodes["n1"]
	note := func(kind store.VoiceKind, file string) {
		t.Helper()
		err := r.store.KeepVoiceFile(t.Context(), store.VoiceFile{Node: "n1", Kind: kind, File: file, Name: "Anna", Made: time.Now().Add(-2 * keepSpoken)})
		if err != nil {
			t.Fatal(err)
		}
	}
	left := func() []store.VoiceFile {
		t.Helper()
		list, err := r.store.UnwantedVoiceFiles(t.Context(), "n1", time.Now().Add(24*time.Hour), time.Now().Add(-keepSpoken), 10)
		if err != nil {
			t.Fatal(err)
		}
		return list
	}
	note(store.SpokenName, "/recordings/signalbox-names/1.wav")
	f.stuck = true
	m.removeUnwanted(t.Context(), n, r.store)
	if list := left(); len(list) != 1 || list[0].Tries != 1 || list[0].Note != "permission denied" {
		t.Fatalf("what could not be removed is kept as %+v", list)
	}
	f.stuck = false
	note(store.RecordedName, "acme/ada/anna.wav")
	m.removeUnwanted(t.Context(), n, r.store)
	if list := left(); len(list) != 1 || !slices.Equal(f.removed, []string{"/conf/sounds/signalbox/names/acme/ada/anna.wav"}) {
		t.Errorf("tried again at once, or not removed: removed %q, left %+v", f.removed, list)
	}
	if err := r.store.VoiceFileStays(t.Context(), "n1", "/recordings/signalbox-names/1.wav", "", time.Now()); err != nil {
		t.Fatal(err)
	}
	m.removeUnwanted(t.Context(), n, r.store)
	if list := left(); len(list) != 0 || len(f.removed) != 2 {
		t.Errorf("removed %q, left %+v", f.removed, list)
	}
}
