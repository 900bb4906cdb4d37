package storetest

import (
	"slices"
	"testing"
	"time"

	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/call"
	"github.com/signalbox/signalbox/internal/store"
	"github.com/signalbox/signalbox/internal/tel"
)

// unwanted are the files of a node that are to be removed at a time.
func unwanted(t *testing.T, s store.Store, node string, at time.Time) (files []string) {
	t.Helper()
	list, err := s.UnwantedVoiceFiles(t.Context(), node, at, now.Add(-time.Hour), 100)
	must(t, err)
	for _, f := range list {
		files = append(files, f.Node+":"+f.File)
	}
	slices.Sort(files)
	return files
}

// spoken notes names that are spoken on node n1, and has nodes n1 and n2 kept.
func spoken(t *testing.T, s store.Store, names ...string) {
	t.Helper()
	for _, node := range []string{"n1", "n2"} {
		_, err := s.KeepNode(t.Context(), node, "me", time.Minute)
		must(t, err)
	}
	for _, name := range names {
		must(t, s.KeepVoiceFile(t.Context(), store.VoiceFile{Node: "n1", Kind: store.SpokenName, File: "/r/" + name, Name: name, Made: now}))
	}
}

func wantFiles(t *testing.T, s store.Store, when string, want ...string) {
	t.Helper()
	if got := unwanted(t, s, "", now); !slices.Equal(got, want) {
		t.Errorf("%s, %q are to be removed, want %q", when, got, want)
	}
}

// filesGo follows the files of contacts that are renamed, forgotten and removed.
func filesGo(t *testing.T, s store.Store) {
	ctx := t.Context()
	with := func(id, clip string, numbers ...string) *account.ContactEntry {
		e := contact(id, numbers...)
		e.Clip = clip
		return e
	}
	put(t, s, other, acc("a"), num(Alice, "a"), with("anna", "an_na.wav", string(Bob)), with("ben", "shared.wav", "+442079460959"), with("eve", "shared.wav", "+442079460958"), with("xena", "anxna.wav", "+442079460957"))
	spoken(t, s, "Name of anna", "Name of ben", "Somebody else")
	must(t, s.Spool(ctx, store.Spooled{ID: "m1", Node: "n1", File: "/spool/m1.wav", Number: Alice, Arrival: call.Arrival{From: tel.Identity{Number: Bob}}, Recorded: now}))
	must(t, s.Spool(ctx, store.Spooled{ID: "m2", Node: "n1", File: "/spool/m2.wav", Number: Alice, Arrival: call.Arrival{From: tel.Identity{Number: "+442079460959"}}, Recorded: now}))
	wantFiles(t, s, "at first")

	person := store.Person{Numbers: []tel.Number{Bob}}
	if got, err := s.Forget(ctx, other, "a", person, now, true); err != nil || got.Files != 4 {
		t.Errorf("would erase %+v, %v, want 4 files", got, err)
	}
	wantFiles(t, s, "when nothing was forgotten yet")
	if got, err := s.Forget(ctx, other, "a", person, now, false); err != nil || got.Files != 4 {
		t.Errorf("erased %+v, %v, want 4 files", got, err)
	}
	wantFiles(t, s, "with Anna forgotten", "n1:/r/Name of anna", "n1:/spool/m1.wav", "n1:other/a/an_na.wav", "n2:other/a/an_na.wav")
	if n, err := s.CountSpooled(ctx, ""); err != nil || n != 1 {
		t.Errorf("%d messages wait, %v, want that of somebody else", n, err)
	}

	// One that cannot be removed is told of, and tried again.
	must(t, s.VoiceFileStays(ctx, "n1", "/r/Name of anna", "no right", now.Add(time.Minute)))
	must(t, s.VoiceFileGone(ctx, "n1", "/spool/m1.wav", now.Add(-time.Hour)))
	must(t, s.VoiceFileGone(ctx, "n1", "other/a/an_na.wav", now.Add(-time.Hour)))
	wantFiles(t, s, "with one that stays", "n2:other/a/an_na.wav")
	list, err := s.UnwantedVoiceFiles(ctx, "n1", now.Add(time.Hour), time.Time{}, 10)
	if err != nil || len(list) != 1 || list[0].Tries != 1 || list[0].Note != "no right" || list[0].Unwanted.IsZero() || list[0].Name != "Name of anna" {
		t.Errorf("what stays is %+v, %v", list, err)
	}
	// Somebody else of that name, who is spoken again, keeps the file.
	must(t, s.KeepVoiceFile(ctx, store.VoiceFile{Node: "n1", Kind: store.SpokenName, File: "/r/Name of anna", Name: "Name of anna", Made: now}))
	must(t, s.VoiceFileGone(ctx, "n1", "/r/Name of anna", now.Add(-time.Hour)))
	if got := unwanted(t, s, "n1", now.Add(time.Hour)); len(got) != 0 {
		t.Errorf("what is wanted again is to be removed: %q", got)
	}

	// A recording that others need stays, a new name is spoken anew.
	renamed := with("ben", "", "+442079460959")
	renamed.Name = "Benjamin"
	put(t, s, other, renamed)
	wantFiles(t, s, "with Ben renamed", "n1:/r/Name of ben", "n2:other/a/an_na.wav")
	_, err = s.Change(ctx, other, []store.Change{{Op: store.Delete, Kind: account.KindContact, Key: "a/eve"}}, now)
	must(t, err)
	wantFiles(t, s, "without Eve", "n1:/r/Name of ben", "n1:other/a/shared.wav", "n2:other/a/an_na.wav", "n2:other/a/shared.wav")
	put(t, s, other, with("eve", "shared.wav", "+442079460958"))
	wantFiles(t, s, "with Eve back", "n1:/r/Name of ben", "n2:other/a/an_na.wav")
	if got := unwanted(t, s, "n1", now.Add(time.Hour)); !slices.Equal(got, []string{"n1:/r/Name of ben"}) {
		t.Errorf("of n1: %q", got)
	}
	// What is old goes by itself.
	list, err = s.UnwantedVoiceFiles(ctx, "n1", now, now.Add(time.Hour), 10)
	if err != nil || len(list) != 3 {
		t.Errorf("older than an hour are %+v, %v", list, err)
	}
}

// filesOfAccountGo removes an account: whoever gets its key later finds nothing of it.
func filesOfAccountGo(t *testing.T, s store.Store) {
	ctx := t.Context()
	host := acc("a")
	host.Name = "Hana"
	number := num(Alice, "a")
	number.Conference = &account.ConferenceEntry{Greeting: "file:me.wav"}
	friend := contact("anna", string(Bob))
	friend.Clip = "anna.wav"
	put(t, s, other, host, number, friend)
	spoken(t, s, "Hana", "Name of anna", "Somebody else")
	room, _, err := s.OpenRoom(ctx, store.Room{ID: "00000000000000aa", Tenant: other, Account: "a", Number: Alice, Node: "n1", Opened: now})
	must(t, err)
	must(t, s.PutParticipant(ctx, store.Participant{ID: "1", Room: room.ID, UUID: "u1", Number: Bob, Name: "Anna", Entered: now}))
	_, err = s.CloseRoom(ctx, room.ID, "over", now)
	must(t, err)
	must(t, s.AddAccess(ctx, []store.Access{{Tenant: other, Account: "a", Number: Alice, Caller: Bob, Verdict: "allowed", At: now}}))
	_, err = s.Change(ctx, other, []store.Change{{Op: store.Delete, Kind: account.KindNumber, Key: string(Alice)}, {Op: store.Delete, Kind: account.KindAccount, Key: "a"}}, now)
	must(t, err)
	wantFiles(t, s, "without the account", "n1:/r/Hana", "n1:/r/Name of anna", "n1:other/a/anna.wav", "n1:other/a/me.wav", "n2:other/a/anna.wav", "n2:other/a/me.wav")
	put(t, s, other, acc("a"))
	if list, err := s.ListRooms(ctx, other, "a", now.Add(time.Hour), "", 10); err != nil || len(list) != 0 {
		t.Errorf("the next account of that key reads conferences %+v, %v", list, err)
	}
	if list, err := s.ListAccess(ctx, other, "a", 0, 10); err != nil || len(list) != 0 {
		t.Errorf("the next account of that key reads decisions %+v, %v", list, err)
	}
}
