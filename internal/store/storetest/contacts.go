package storetest

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/store"
	"github.com/signalbox/signalbox/internal/tel"
)

// contactTests are the contract of Contacts, Schedules and Forgetting.
var contactTests = []test{
	{"ContactChangesAreFollowed", contactChanges},
	{"ContactsOfAnAccountThatCameBack", contactsCameBack},
	{"NumbersOfContactsByTheirEnd", numbersEnding},
	{"ScheduleIsKeptWhole", scheduleWhole},
	{"ScheduleLetsIn", scheduleLetsIn},
	{"SchedulesGoWithTheirNumbers", schedulesGo},
	{"PersonIsForgotten", forgotten},
	{"OneOfAFirmIsForgotten", forgottenOfAFirm},
	{"SharedNumberIsForgotten", forgottenOfASharedNumber},
	{"PersonIsForgottenInConferences", forgottenInRooms},
	{"FilesGoWithWhomTheyName", filesGo},
	{"FilesOfAnAccountGoWithIt", filesOfAccountGo},
}

func contact(id string, numbers ...string) *account.ContactEntry {
	return &account.ContactEntry{Account: "a", ID: id, Name: "Name of " + id, Numbers: numbers}
}

// Who dials the end of a number gets the numbers of his own address book alone, and nothing by what is no digit.
func numbersEnding(t *testing.T, s store.Store) {
	const anna, annaToo, main = "+442079460101", "+4915155550101", "+442079460900"
	put(t, s, other, acc("a"), acc("b"), contact("anna", anna, annaToo), contact("ben", main), contact("carla", main),
		&account.ContactEntry{Account: "b", ID: "dora", Numbers: []string{"+33123450101"}})
	for digits, want := range map[string]string{
		"0101": anna + " " + annaToo, "60101": anna, "442079460101": anna, "900": main, "0102": "", "10": "", "": "", "%": "", "_101": "", "+442079460101": "", "900'": "",
	} {
		list, err := s.NumbersEnding(t.Context(), other, "a", digits, 5)
		must(t, err)
		var got []string
		for _, n := range list {
			got = append(got, string(n))
		}
		if strings.Join(got, " ") != want {
			t.Errorf("numbers that end with %q are %q, want %q", digits, got, want)
		}
	}
	if list, err := s.NumbersEnding(t.Context(), other, "a", "0101", 1); err != nil || len(list) != 1 {
		t.Errorf("at most one of two: %v, %v", list, err)
	}
	must(t, remove(t, s, other, account.KindContact, "a/anna"))
	if list, err := s.NumbersEnding(t.Context(), other, "a", "0101", 5); err != nil || len(list) != 0 {
		t.Errorf("numbers of a contact that was removed: %v, %v", list, err)
	}
}

// follow reads all changes behind a mark, two at a time, and tells them as "c1" or "-c1".
func follow(t *testing.T, s store.Store, after store.Mark) (told string, last store.Mark) {
	t.Helper()
	var out []string
	for last = after; ; {
		rows, err := s.ContactChanges(t.Context(), other, "a", last, 2)
		must(t, err)
		for _, r := range rows {
			_, id, _ := strings.Cut(r.Key, "/")
			if r.Entry == nil {
				id = "-" + id
			}
			out = append(out, id)
			last = store.Mark{Version: r.Version, Key: r.Key}
		}
		if len(rows) < 2 {
			return strings.Join(out, " "), last
		}
	}
}

func contactChanges(t *testing.T, s store.Store) {
	put(t, s, other, acc("a"), acc("b"))
	put(t, s, other, contact("c1", string(Alice)), contact("c2"), contact("c3"), contact("c4"), contact("c5"))
	put(t, s, other, &account.ContactEntry{Account: "b", ID: "c9"})
	put(t, s, account.OperatorTenant, acc("a"), contact("c9"))
	told, mark := follow(t, s, store.Mark{})
	if told != "c1 c2 c3 c4 c5" {
		t.Errorf("from the beginning: %s", told)
	}
	must(t, remove(t, s, other, account.KindContact, "a/c2"))
	must(t, remove(t, s, other, account.KindContact, "a/c3"))
	put(t, s, other, contact("c1", string(Bob)))
	put(t, s, other, contact("c3", string(Bob)))
	told, next := follow(t, s, mark)
	if told != "-c2 c1 c3" {
		t.Errorf("since then: %s", told)
	}
	if told, _ := follow(t, s, next); told != "" {
		t.Errorf("and again: %s", told)
	}
	put(t, s, other, contact("c3", string(Bob)))
	if told, _ := follow(t, s, next); told != "" {
		t.Errorf("a put that changes nothing is told: %s", told)
	}
	if told, _ := follow(t, s, store.Mark{}); told != "c4 c5 -c2 c1 c3" {
		t.Errorf("all over again: %s", told)
	}
	rows, err := s.ContactChanges(t.Context(), other, "a", mark, 1)
	if err != nil || len(rows) != 1 || rows[0].Key != "a/c2" || !rows[0].Updated.Equal(now) || rows[0].Version <= mark.Version {
		t.Errorf("a removal is %+v, %v", rows, err)
	}
	// Long after, it is forgotten.
	_, err = s.Change(t.Context(), other, []store.Change{{Op: store.Delete, Kind: account.KindContact, Key: "a/c5"}}, now.Add(store.Remembered+time.Hour))
	must(t, err)
	if told, _ := follow(t, s, mark); told != "c1 c3 -c5" {
		t.Errorf("after %v: %s", store.Remembered, told)
	}
}

func contactsCameBack(t *testing.T, s store.Store) {
	put(t, s, other, acc("a"), contact("c1"), contact("c2"))
	_, mark := follow(t, s, store.Mark{})
	must(t, remove(t, s, other, account.KindAccount, "a"))
	put(t, s, other, acc("a"), contact("c2"))
	if told, _ := follow(t, s, mark); told != "-c1 c2" {
		t.Errorf("after the account was removed and made again: %s", told)
	}
}

func schedule(id string, from time.Time, allowed ...string) *account.ScheduleEntry {
	return &account.ScheduleEntry{Account: "a", ID: id, Number: string(Alice), From: from, Until: from.Add(time.Hour), Allowed: allowed}
}

func scheduleWhole(t *testing.T, s store.Store) {
	put(t, s, other, acc("a"), acc("b"), num(Alice, "a"), num(Bob, "b"))
	e := &account.ScheduleEntry{Account: "a", ID: "s1", Number: string(Alice), Title: "Tuesday ${x}", From: now, Until: now.Add(90 * time.Minute), Open: true, Allowed: []string{string(Bob), "+442079460958"}}
	put(t, s, other, e)
	row, err := s.Get(t.Context(), other, account.KindSchedule, "a/s1")
	if err != nil || !reflect.DeepEqual(row.Entry, account.Entry(e)) {
		t.Errorf("kept is %+v, %v", row.Entry, err)
	}
	d, err := s.Export(t.Context(), other)
	if err != nil || len(d.Schedules) != 1 || !reflect.DeepEqual(d.Schedules[0], *e) {
		t.Errorf("exported is %+v, %v", d.Schedules, err)
	}
	d.Prune = true
	if changes := apply(t, s, d); !changes.None() {
		t.Errorf("what was exported changes %+v", changes)
	}
	for problem, change := range map[string]func(*account.ScheduleEntry){
		"account: no account x is known":               func(e *account.ScheduleEntry) { e.Account = "x" },
		"number: account a has no number +14155550101": func(e *account.ScheduleEntry) { e.Number = string(Bob) },
		"until: is not after from":                     func(e *account.ScheduleEntry) { e.Until = e.From },
		"until: is more than":                          func(e *account.ScheduleEntry) { e.Until = e.From.Add(8 * 24 * time.Hour) },
		"from: is missing":                             func(e *account.ScheduleEntry) { e.From = time.Time{} },
		"allowed[1]: \"12\" is no telephone number":    func(e *account.ScheduleEntry) { e.Allowed = []string{string(Bob), "12"} },
		"title: more than 128 bytes, or control":       func(e *account.ScheduleEntry) { e.Title = "a\nb" },
		"id: \"a b\" is not 1 to 64 characters":        func(e *account.ScheduleEntry) { e.ID = "a b" },
		"allowed: 501 numbers, at most 500":            func(e *account.ScheduleEntry) { e.Allowed = slices.Repeat([]string{string(Bob)}, 501) },
	} {
		wrong := *e
		change(&wrong)
		_, err := changeOf(t, s, &wrong)
		invalidAt(t, err, problem)
	}
	var many []account.Entry
	for i := range account.MaxSchedules {
		many = append(many, schedule(fmt.Sprint("x", i), now))
	}
	_, err = change(t, s, other, many...)
	invalidAt(t, err, "account a would have more than 500 schedules")
}

func changeOf(t *testing.T, s store.Store, e account.Entry) ([]store.Row, error) {
	t.Helper()
	return change(t, s, other, e)
}

func scheduleLetsIn(t *testing.T, s store.Store) {
	put(t, s, other, acc("a"), num(Alice, "a"), num("+14155550199", "a"))
	put(t, s, other, schedule("listed", now, string(Bob)), schedule("later", now.Add(3*time.Hour), "+442079460958"))
	open := schedule("open", now.Add(6*time.Hour))
	open.Open = true
	put(t, s, other, open)
	for _, c := range []struct {
		host, caller tel.Number
		after        time.Duration
		want         string
	}{
		{Alice, Bob, 0, "listed"},
		{Alice, Bob, -account.ScheduleEarly, "listed"},
		{Alice, Bob, -account.ScheduleEarly - time.Nanosecond, ""},
		{Alice, Bob, time.Hour - time.Nanosecond, "listed"},
		{Alice, Bob, time.Hour, ""},
		{Alice, "+442079460958", 0, ""},
		{Alice, "+442079460958", 3 * time.Hour, "later"},
		{Alice, "", 0, ""},
		{Alice, "", 6 * time.Hour, "open"},
		{"+14155550199", Bob, 0, ""},
		{Bob, Bob, 0, ""},
	} {
		got, ok, err := store.Scheduled(t.Context(), s, other, c.host, c.caller, now.Add(c.after))
		if err != nil || got.ID != c.want || ok != (c.want != "") {
			t.Errorf("%s calls %s after %v: %q, %v, %v, want %q", c.caller, c.host, c.after, got.ID, ok, err, c.want)
		}
	}
	if _, ok, err := store.Scheduled(t.Context(), s, account.OperatorTenant, Alice, Bob, now); ok || err != nil {
		t.Errorf("another tenant's schedule lets in: %v, %v", ok, err)
	}
}

func schedulesGo(t *testing.T, s store.Store) {
	put(t, s, other, acc("a"), acc("b"), num(Alice, "a"), num(Bob, "a"))
	bobs := schedule("bobs", now)
	bobs.Number = string(Bob)
	put(t, s, other, schedule("alices", now), bobs)
	must(t, remove(t, s, other, account.KindNumber, string(Bob)))
	row, err := s.Get(t.Context(), other, account.KindNumber, string(Alice))
	must(t, err)
	_, err = s.Change(t.Context(), other, []store.Change{{Op: store.Put, Entry: num(Alice, "b"), IfVersion: &row.Version}}, now)
	must(t, err)
	if left, err := s.List(t.Context(), other, account.KindSchedule, store.ListOptions{Account: "a"}); err != nil || len(left) != 0 {
		t.Errorf("of a number that is gone and one that moved are left %+v, %v", left, err)
	}
}

// called keeps the record of a finished call to Alice.
func called(t *testing.T, s store.Store, id string, from tel.Number, name, note string) {
	t.Helper()
	r := record(id, "fs1", now)
	r.Plan.Tenant, r.Plan.Account, r.Plan.Number = other, "a", Alice
	r.Arrival.From.Number, r.Arrival.From.User, r.Arrival.From.Name, r.Note = from, string(from), name, note
	must(t, s.Open(t.Context(), r))
	if note != "open" {
		r.Ended = now.Add(time.Minute)
		must(t, s.Close(t.Context(), r))
	}
}

// told is what a record says of its caller.
func told(t *testing.T, s store.Store, id string) string {
	t.Helper()
	r, err := s.Record(t.Context(), id)
	must(t, err)
	return strings.Join([]string{string(r.Arrival.From.Number), r.Arrival.From.User, r.Arrival.From.Name, r.Note}, "|")
}

func forgotten(t *testing.T, s store.Store) {
	put(t, s, other, acc("a"), num(Alice, "a"))
	anna := contact("anna", string(Bob), "+442079460958")
	anna.Name = "Anna"
	put(t, s, other, anna, contact("ben", "+442079460959"), schedule("s1", now, string(Bob), "+442079460959"))
	called(t, s, "c1", Bob, "A. Smith", "Anna joined, Annabel and Joanna did not; A. Smith left")
	called(t, s, "c2", "+442079460959", "Ben", "Anna was there")
	called(t, s, "c3", Bob, "A. Smith", "open")
	person := store.Person{Numbers: []tel.Number{Bob}}
	want := store.Forgotten{Contacts: 1, Schedules: 1, Records: 1}
	if got, err := s.Forget(t.Context(), other, "a", person, now, true); err != nil || got != want {
		t.Errorf("would erase %+v, %v, want %+v", got, err, want)
	}
	if got := told(t, s, "c1"); !strings.Contains(got, "A. Smith") {
		t.Errorf("a look erased: %s", got)
	}
	_, mark := follow(t, s, store.Mark{})
	if got, err := s.Forget(t.Context(), other, "a", person, now, false); err != nil || got != want {
		t.Errorf("erased %+v, %v, want %+v", got, err, want)
	}
	if got, want := told(t, s, "c1"), string(Bob)+"|"+string(Bob)+"|[erased]|[erased] joined, Annabel and Joanna did not; [erased] left"; got != want {
		t.Errorf("the record is %s, want %s", got, want)
	}
	if got := told(t, s, "c2"); !strings.Contains(got, "Ben") {
		t.Errorf("somebody else was erased: %s", got)
	}
	if got, _ := follow(t, s, mark); got != "-anna" {
		t.Errorf("who follows the book hears %s", got)
	}
	if list, err := s.SchedulesOf(t.Context(), other, Alice, now); err != nil || len(list) != 1 || !slices.Equal(list[0].Allowed, []tel.Number{"+442079460959"}) {
		t.Errorf("the schedule is %+v, %v", list, err)
	}
	person.WithNumbers = true
	if got, err := s.Forget(t.Context(), other, "a", person, now, false); err != nil || got.Records != 1 {
		t.Errorf("with numbers, erased %+v, %v", got, err)
	}
	if got := told(t, s, "c1"); strings.Contains(got, "555") {
		t.Errorf("the record still has the number: %s", got)
	}
	if got, err := s.Forget(t.Context(), other, "a", person, now, false); err != nil || got != (store.Forgotten{}) {
		t.Errorf("again, erased %+v, %v", got, err)
	}
	for _, p := range []struct{ account, contact string }{{"x", ""}, {"a", "nobody"}} {
		if _, err := s.Forget(t.Context(), other, p.account, store.Person{Contact: p.contact}, now, false); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("forgetting contact %q of account %q: %v, want ErrNotFound", p.contact, p.account, err)
		}
	}
}

// Who is forgotten as a contact takes nobody else's number along.
func forgottenOfAFirm(t *testing.T, s store.Store) {
	const main = "+442079460900"
	put(t, s, other, acc("a"), num(Alice, "a"))
	put(t, s, other, contact("anna", main, string(Bob)), contact("ben", main), schedule("s1", now, main, string(Bob)))
	called(t, s, "c1", main, "ACME", "Name of anna")
	if got, err := s.Forget(t.Context(), other, "a", store.Person{Contact: "anna", WithNumbers: true}, now, false); err != nil || got != (store.Forgotten{Contacts: 1, Schedules: 1, Records: 1}) {
		t.Errorf("erased %+v, %v", got, err)
	}
	if got, want := told(t, s, "c1"), main+"|"+main+"|ACME|[erased]"; got != want {
		t.Errorf("the record is %s, want %s", got, want)
	}
	if list, err := s.ContactsWith(t.Context(), other, "a", main); err != nil || len(list) != 1 || list[0].ID != "ben" {
		t.Errorf("left with the firm's number are %+v, %v", list, err)
	}
	if list, err := s.SchedulesOf(t.Context(), other, Alice, now); err != nil || len(list) != 1 || !slices.Equal(list[0].Allowed, []tel.Number{main}) {
		t.Errorf("the schedule is %+v, %v", list, err)
	}
}

// forgottenInRooms has a conference that is over, one that is not, and decisions; others who were there stay.
func forgottenInRooms(t *testing.T, s store.Store) {
	ctx := t.Context()
	put(t, s, other, acc("a"), num(Alice, "a"), contact("anna", string(Bob)))
	for _, id := range []string{"00000000000000aa", "00000000000000bb"} {
		room, _, err := s.OpenRoom(ctx, store.Room{ID: id, Tenant: other, Account: "a", Number: Alice, Node: "n1", Opened: now})
		must(t, err)
		must(t, s.PutParticipant(ctx, store.Participant{ID: "1", Room: room.ID, UUID: "u1", Number: Bob, Contact: "anna", Name: "Anna", Clip: "anna.wav", Entered: now}))
		must(t, s.PutParticipant(ctx, store.Participant{ID: "2", Room: room.ID, UUID: "u2", Number: "+442079460959", Name: "Ben", Entered: now}))
		if id == "00000000000000aa" {
			_, err = s.CloseRoom(ctx, room.ID, "over", now.Add(time.Hour))
			must(t, err)
		}
	}
	must(t, s.AddAccess(ctx, []store.Access{
		{Tenant: other, Account: "a", Number: Alice, Caller: Bob, Verdict: "allowed", Rule: "the caller is contact anna of the host's address book", Contact: "anna", At: now},
		{Tenant: other, Account: "a", Number: Alice, Caller: "+442079460959", Verdict: "refused", Rule: "no", At: now},
		{Tenant: other, Account: "b", Number: Alice, Caller: Bob, Verdict: "allowed", Contact: "anna", At: now},
	}))
	_, err := s.WrongPIN(ctx, other, "a", Bob, now, time.Hour)
	must(t, err)
	got, err := s.Forget(ctx, other, "a", store.Person{Numbers: []tel.Number{Bob}, WithNumbers: true}, now, false)
	if want := (store.Forgotten{Contacts: 1, Participants: 1, Decisions: 1}); err != nil || got != want {
		t.Errorf("erased %+v, %v, want %+v", got, err, want)
	}
	list, err := s.Participants(ctx, "00000000000000aa")
	must(t, err)
	for _, p := range list {
		switch p.ID {
		case "1":
			if p.Number != "" || p.Contact != "" || p.Clip != "" || p.Name != "[erased]" || p.UUID != "u1" {
				t.Errorf("the participant is %+v", p)
			}
		case "2":
			if p.Name != "Ben" || p.Number == "" {
				t.Errorf("somebody else was erased: %+v", p)
			}
		}
	}
	if list, err := s.Participants(ctx, "00000000000000bb"); err != nil || list[0].Name != "Anna" {
		t.Errorf("whoever is in a conference now: %+v, %v", list, err)
	}
	access, err := s.ListAccess(ctx, other, "", 0, 10)
	must(t, err)
	for _, a := range access {
		switch {
		case a.Account == "b" && (a.Caller != Bob || a.Contact != "anna"):
			t.Errorf("another host's decision was changed: %+v", a)
		case a.Account == "a" && a.Verdict == "allowed" && (a.Caller != "" || a.Contact != "" || strings.Contains(a.Rule, "anna")):
			t.Errorf("the decision is %+v", a)
		case a.Verdict == "refused" && a.Caller != "+442079460959":
			t.Errorf("somebody else's decision was changed: %+v", a)
		}
	}
	if list, err := s.Lockouts(ctx, other, "a", now.Add(-time.Hour)); err != nil || len(list) != 0 {
		t.Errorf("wrong PINs are still counted: %+v, %v", list, err)
	}
}

// forgottenOfASharedNumber forgets a firm: all who came from there are nameless then, and are still people of their own.
func forgottenOfASharedNumber(t *testing.T, s store.Store) {
	ctx := t.Context()
	const main, room = "+442079460900", "00000000000000cc"
	shared := true
	put(t, s, other, acc("a"), num(Alice, "a"), &account.ContactEntry{Account: "a", ID: "acme", Name: "ACME", Numbers: []string{main}, Shared: &shared}, contact("ben", string(Bob)))
	if list, err := s.ContactsWith(ctx, other, "a", main); err != nil || len(list) != 1 || !list[0].Shared {
		t.Errorf("the firm is %+v, %v", list, err)
	}
	if list, err := s.ContactsWith(ctx, other, "a", Bob); err != nil || len(list) != 1 || list[0].Shared {
		t.Errorf("a person is %+v, %v", list, err)
	}
	_, _, err := s.OpenRoom(ctx, store.Room{ID: room, Tenant: other, Account: "a", Number: Alice, Node: "n1", Opened: now})
	must(t, err)
	for _, id := range []string{"1", "2"} {
		must(t, s.PutParticipant(ctx, store.Participant{ID: id, Room: room, UUID: "u" + id, Number: main, Contact: "acme", Name: "ACME", Shared: true, Entered: now}))
	}
	must(t, s.PutParticipant(ctx, store.Participant{ID: "3", Room: room, UUID: "u3", Number: Bob, Contact: "ben", Name: "Ben", Entered: now}))
	_, err = s.CloseRoom(ctx, room, "over", now.Add(time.Hour))
	must(t, err)
	must(t, s.AddAccess(ctx, []store.Access{{Tenant: other, Account: "a", Number: Alice, Caller: main, Verdict: "allowed", Rule: "somebody behind the shared number of contact acme of", Contact: "acme", At: now}}))
	got, err := s.Forget(ctx, other, "a", store.Person{Contact: "acme"}, now, false)
	if want := (store.Forgotten{Contacts: 1, Participants: 2, Decisions: 1}); err != nil || got != want {
		t.Errorf("erased %+v, %v, want %+v", got, err, want)
	}
	list, err := s.Participants(ctx, room)
	must(t, err)
	for _, p := range list {
		if gone := p.ID != "3"; gone != (p.Name == "[erased]" && p.Contact == "") || gone != p.Shared {
			t.Errorf("the participant is %+v", p)
		}
	}
	if access, err := s.ListAccess(ctx, other, "a", 0, 10); err != nil || len(access) != 1 || strings.Contains(access[0].Rule, "acme") || access[0].Contact != "" {
		t.Errorf("the decision is %+v, %v", access, err)
	}
}
