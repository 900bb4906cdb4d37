package storetest

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/signalbox/signalbox/internal/store"
	"github.com/signalbox/signalbox/internal/tel"
)

var roomTests = []test{
	{"ManyOpenOneRoom", roomOnce},
	{"RoomIsChangedUntilItIsClosed", roomChanged},
	{"ClosingARoomEndsItsParticipants", roomClosed},
	{"WhoIsLetInDecidesWhetherARoomIsClosed", roomAdmits},
	{"OneCallsTheHost", roomDial},
	{"OneKeepsANode", roomKeeper},
	{"WhoWasKickedStaysOutOfThatRoom", roomBars},
	{"RoomsAndDecisionsArePaged", roomLists},
	{"WrongPINsAreCounted", roomPINs},
	{"OldRoomsAreTrimmed", roomTrim},
}

func aRoom(id, account string, opened time.Time) store.Room {
	return store.Room{ID: id, Tenant: "acme", Account: account, Number: Alice, Node: "n1", By: "attendee", Opened: opened, MaxMembers: 5}
}

func openRoom(t *testing.T, s store.Store, r store.Room) store.Room {
	t.Helper()
	kept, created, err := s.OpenRoom(t.Context(), r)
	must(t, err)
	if !created {
		t.Fatalf("room %s was not opened, %s is there", r.ID, kept.ID)
	}
	return kept
}

func roomOnce(t *testing.T, s store.Store) {
	var all sync.WaitGroup
	var made atomic.Int32
	ids := make([]string, 16)
	for i := range ids {
		all.Go(func() {
			r, created, err := s.OpenRoom(t.Context(), aRoom(fmt.Sprintf("%016x", i+1), "host", now))
			if err != nil {
				t.Errorf("OpenRoom: %v", err)
			}
			if created {
				made.Add(1)
			}
			ids[i] = r.ID
		})
	}
	all.Wait()
	for _, id := range ids {
		if id != ids[0] || made.Load() != 1 {
			t.Fatalf("%d rooms were made, callers got %q", made.Load(), ids)
		}
	}
	openRoom(t, s, aRoom("aaaaaaaaaaaaaaaa", "another", now)) // of another host
}

func roomChanged(t *testing.T, s store.Store) {
	r := openRoom(t, s, aRoom("0000000000000001", "host", now))
	if got, err := s.RoomOf(t.Context(), "acme", "host"); err != nil || got != r {
		t.Errorf("kept %+v, %v, want %+v", got, err, r)
	}
	if _, err := s.RoomOf(t.Context(), "other", "host"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("room of another tenant's account: %v", err)
	}
	got, err := s.ChangeRoom(t.Context(), r.ID, func(r *store.Room) { r.Locked = true })
	if err != nil || !got.Locked || got.MaxMembers != 5 {
		t.Errorf("changed to %+v, %v", got, err)
	}
	if open, err := s.CloseRoom(t.Context(), r.ID, "over", now.Add(time.Minute)); err != nil || !open {
		t.Errorf("CloseRoom: %v, %v", open, err)
	}
	if open, err := s.CloseRoom(t.Context(), r.ID, "again", now.Add(time.Hour)); err != nil || open {
		t.Errorf("CloseRoom of a closed one: %v, %v", open, err)
	}
	if _, err := s.ChangeRoom(t.Context(), r.ID, func(*store.Room) {}); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("ChangeRoom of a closed one: %v", err)
	}
	got, err = s.Room(t.Context(), r.ID)
	if err != nil || got.Why != "over" || !got.Closed.Equal(now.Add(time.Minute)) || !got.Locked {
		t.Errorf("closed as %+v, %v", got, err)
	}
	openRoom(t, s, aRoom("0000000000000002", "host", now.Add(time.Hour)))
	if list, err := s.OpenRooms(t.Context(), "n1"); err != nil || len(list) != 1 || list[0].ID != "0000000000000002" {
		t.Errorf("open rooms: %+v, %v", list, err)
	}
	if list, err := s.OpenRooms(t.Context(), "n2"); err != nil || len(list) != 0 {
		t.Errorf("open rooms of another node: %+v, %v", list, err)
	}
}

func roomClosed(t *testing.T, s store.Store) {
	r := openRoom(t, s, aRoom("0000000000000001", "host", now))
	anna := store.Participant{ID: "p1", Room: r.ID, UUID: "u1", Number: Bob, Contact: "anna", Name: "Anna \U0001F600 ${x}", Entered: now, Joined: now.Add(time.Second)}
	gone := store.Participant{ID: "p2", Room: r.ID, UUID: "u2", Number: "+442079460959", Contact: "acme", Name: "ACME", Shared: true, Entered: now.Add(time.Second), Left: now.Add(2 * time.Second), Reason: "hung up"}
	must(t, s.PutParticipant(t.Context(), gone))
	must(t, s.PutParticipant(t.Context(), anna))
	if p, err := s.ParticipantOf(t.Context(), r.ID, "u1"); err != nil || p != anna {
		t.Errorf("participant %+v, %v, want %+v", p, err, anna)
	}
	anna.UUID = "u3" // came back
	must(t, s.PutParticipant(t.Context(), anna))
	if _, err := s.ParticipantOf(t.Context(), r.ID, "u1"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("the leg of before is still found: %v", err)
	}
	if _, err := s.CloseRoom(t.Context(), r.ID, "media server lost", now.Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	list, err := s.Participants(t.Context(), r.ID)
	if err != nil || len(list) != 2 || list[0].Reason != "media server lost" || !list[0].Left.Equal(now.Add(time.Minute)) || list[1] != gone {
		t.Errorf("participants %+v, %v", list, err)
	}
}

func roomAdmits(t *testing.T, s store.Store) {
	r := openRoom(t, s, aRoom("0000000000000001", "host", now))
	full := errors.New("full")
	var all sync.WaitGroup
	var in atomic.Int32
	for i := range 8 { // for two places
		all.Go(func() {
			p := store.Participant{ID: "?", Room: r.ID, UUID: fmt.Sprintf("u%d", i), Entered: now}
			err := s.Admit(t.Context(), &p, func(kept store.Room, list []store.Participant) error {
				if p.ID = fmt.Sprintf("p%d", i); kept.ID != r.ID || len(list) >= 2 {
					return full
				}
				return nil
			})
			if err == nil {
				in.Add(1)
			} else if !errors.Is(err, full) {
				t.Errorf("Admit: %v", err)
			}
		})
	}
	all.Wait()
	list, err := s.Participants(t.Context(), r.ID)
	if err != nil || in.Load() != 2 || len(list) != 2 || list[0].ID == "?" {
		t.Errorf("%d were let in, participants %+v, %v", in.Load(), list, err)
	}
	busy := func(list []store.Participant) bool { return len(list) > 0 && list[0].Left.IsZero() }
	if open, err := s.CloseRoomUnless(t.Context(), r.ID, "over", now, busy); !open || !errors.Is(err, store.ErrInUse) {
		t.Errorf("CloseRoomUnless of a busy one: %v, %v", open, err)
	}
	if got, err := s.RoomOf(t.Context(), "acme", "host"); err != nil || got != r {
		t.Errorf("a busy room: %+v, %v", got, err)
	}
	list[0].Left = now
	must(t, s.PutParticipant(t.Context(), list[0]))
	if open, err := s.CloseRoomUnless(t.Context(), r.ID, "over", now, busy); !open || err != nil {
		t.Errorf("CloseRoomUnless: %v, %v", open, err)
	}
	p := store.Participant{ID: "late", Room: r.ID, UUID: "late", Entered: now}
	if err := s.Admit(t.Context(), &p, func(store.Room, []store.Participant) error { return nil }); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Admit to a closed one: %v", err)
	}
	if list, err = s.Participants(t.Context(), r.ID); err != nil || len(list) != 2 || list[0].Left.IsZero() || list[1].Left.IsZero() {
		t.Errorf("participants of a closed one: %+v, %v", list, err)
	}
}

func roomDial(t *testing.T, s store.Store) {
	r := openRoom(t, s, aRoom("0000000000000001", "host", now))
	claim := func(owner string, at time.Time) bool {
		t.Helper()
		ok, err := s.ClaimDial(t.Context(), r.ID, owner, at, at.Add(30*time.Second))
		must(t, err)
		return ok
	}
	if !claim("one", now) || claim("two", now.Add(time.Second)) || claim("one", now.Add(time.Second)) {
		t.Error("not exactly one may call the host")
	}
	if !claim("two", now.Add(31*time.Second)) {
		t.Error("nobody may call the host after the first attempt has run out")
	}
}

func roomKeeper(t *testing.T, s store.Store) {
	keep := func(owner string, patience time.Duration) bool {
		t.Helper()
		ok, err := s.KeepNode(t.Context(), "n1", owner, patience)
		must(t, err)
		return ok
	}
	if !keep("one", time.Hour) || keep("two", time.Hour) || !keep("one", time.Hour) {
		t.Error("not exactly one keeps the node")
	}
	if !keep("two", -time.Second) || keep("one", time.Hour) {
		t.Error("a node is not taken over when its keeper is silent")
	}
}

func roomBars(t *testing.T, s store.Store) {
	r := openRoom(t, s, aRoom("0000000000000001", "host", now))
	must(t, s.Bar(t.Context(), r.ID, Bob))
	must(t, s.Bar(t.Context(), r.ID, Bob))
	for number, want := range map[tel.Number]bool{Bob: true, Alice: false} {
		if got, err := s.Barred(t.Context(), r.ID, number); err != nil || got != want {
			t.Errorf("%s barred: %v, %v", number, got, err)
		}
	}
	if got, err := s.Barred(t.Context(), "0000000000000002", Bob); err != nil || got {
		t.Errorf("barred from another room: %v, %v", got, err)
	}
}

func roomLists(t *testing.T, s store.Store) {
	for i := range 5 {
		r := openRoom(t, s, aRoom(fmt.Sprintf("%016x", i), "host", now.Add(time.Duration(i/2)*time.Second)))
		if _, err := s.CloseRoom(t.Context(), r.ID, "over", now.Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
	openRoom(t, s, aRoom("00000000000000ff", "another", now))
	before, id, seen := now.Add(24*time.Hour), "", ""
	for {
		list, err := s.ListRooms(t.Context(), "acme", "host", before, id, 2)
		must(t, err)
		if len(list) == 0 {
			break
		}
		for _, r := range list {
			seen += r.ID[15:]
		}
		before, id = list[len(list)-1].Opened, list[len(list)-1].ID
	}
	if seen != "43210" {
		t.Errorf("rooms came as %q", seen)
	}
	if list, err := s.ListRooms(t.Context(), "acme", "", now.Add(24*time.Hour), "", 100); err != nil || len(list) != 6 {
		t.Errorf("%d rooms of the tenant, %v", len(list), err)
	}
	for i := range 3 {
		must(t, s.AddAccess(t.Context(), []store.Access{{Tenant: "acme", Account: "host", Caller: Bob, Verdict: "refused", Rule: fmt.Sprint("rule ", i), At: now},
			{Tenant: "acme", Account: "another", At: now}}))
	}
	first, err := s.ListAccess(t.Context(), "acme", "host", 0, 2)
	if err != nil || len(first) != 2 || first[0].Rule != "rule 2" || first[1].Rule != "rule 1" || first[0].Caller != Bob {
		t.Fatalf("decisions %+v, %v", first, err)
	}
	rest, err := s.ListAccess(t.Context(), "acme", "host", first[1].ID, 2)
	if err != nil || len(rest) != 1 || rest[0].Rule != "rule 0" {
		t.Errorf("the page behind: %+v, %v", rest, err)
	}
	if all, err := s.ListAccess(t.Context(), "acme", "host", 1<<40, 100); err != nil || len(all) != 3 {
		t.Errorf("behind a mark that is larger than all: %+v, %v", all, err)
	}
	if all, err := s.ListAccess(t.Context(), "acme", "", 0, 100); err != nil || len(all) != 6 {
		t.Errorf("%d decisions of the tenant, %v", len(all), err)
	}
	if none, err := s.ListAccess(t.Context(), "other", "", 0, 100); err != nil || len(none) != 0 {
		t.Errorf("decisions of another tenant: %+v, %v", none, err)
	}
}

func roomPINs(t *testing.T, s store.Store) {
	wrong := func(caller tel.Number, at time.Time) int {
		t.Helper()
		n, err := s.WrongPIN(t.Context(), "acme", "host", caller, at, time.Hour)
		must(t, err)
		return n
	}
	if a, b, c := wrong(Bob, now), wrong(Bob, now.Add(time.Minute)), wrong("", now); a != 1 || b != 2 || c != 1 {
		t.Errorf("counted %d, %d and %d", a, b, c)
	}
	list, err := s.Lockouts(t.Context(), "acme", "host", now)
	if err != nil || len(list) != 2 || list[0] != (store.Lockout{Caller: Bob, Wrong: 2, Last: now.Add(time.Minute)}) {
		t.Errorf("lockouts %+v, %v", list, err)
	}
	if n := wrong(Bob, now.Add(2*time.Hour)); n != 1 {
		t.Errorf("old ones count: %d", n)
	}
	must(t, s.ForgetPINs(t.Context(), "acme", "host", Bob))
	if n := wrong(Bob, now.Add(2*time.Hour)); n != 1 {
		t.Errorf("forgotten ones count: %d", n)
	}
	must(t, s.ForgetPINs(t.Context(), "acme", "host", ""))
	if list, err := s.Lockouts(t.Context(), "acme", "host", now); err != nil || len(list) != 1 || list[0].Caller != Bob {
		t.Errorf("the one of who withholds his number is still there: %+v, %v", list, err)
	}
	wrong("", now)
	wrong("", now)
	must(t, s.ForgetPINs(t.Context(), "acme", "host", ""))
	if n := wrong("", now); n != 2 {
		t.Errorf("one right PIN forgot those of all who withhold their number: %d", n)
	}
}

func roomTrim(t *testing.T, s store.Store) {
	old := openRoom(t, s, aRoom("0000000000000001", "host", now))
	must(t, s.PutParticipant(t.Context(), store.Participant{ID: "p1", Room: old.ID, UUID: "u1", Entered: now}))
	must(t, s.Bar(t.Context(), old.ID, Bob))
	if _, err := s.CloseRoom(t.Context(), old.ID, "over", now.Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	open := openRoom(t, s, aRoom("0000000000000002", "host", now.Add(time.Minute)))
	must(t, s.AddAccess(t.Context(), []store.Access{{Tenant: "acme", Account: "host", At: now}, {Tenant: "acme", Account: "host", At: now.Add(2 * time.Hour)}}))
	if n, err := s.TrimRooms(t.Context(), now.Add(time.Hour)); err != nil || n != 2 {
		t.Errorf("trimmed %d, %v", n, err)
	}
	if _, err := s.Room(t.Context(), old.ID); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("the old room is there: %v", err)
	}
	if list, err := s.Participants(t.Context(), old.ID); err != nil || len(list) != 0 {
		t.Errorf("its participants are there: %+v, %v", list, err)
	}
	if _, err := s.Room(t.Context(), open.ID); err != nil {
		t.Errorf("the open room has gone: %v", err)
	}
}
