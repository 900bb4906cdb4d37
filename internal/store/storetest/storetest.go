// Package storetest is the contract of package store: every implementation runs it, with its real database.
//
// Run opens a fresh and empty store for each of its tests; Fleet opens two over the same data, as two processes would.
// Each port has its tests in a list of its own, in a file of its name, which Run joins.
// The package keeps nothing between tests, and may be used from several tests at once.
package storetest

import (
	"context"
	"errors"
	"net/netip"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/call"
	"github.com/signalbox/signalbox/internal/store"
	"github.com/signalbox/signalbox/internal/tel"
)

// Alice is the number that Small provisions with voicemail.
const Alice = tel.Number("+14155550100")

// Bob is the number that Small provisions without voicemail.
const Bob = tel.Number("+14155550101")

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// Small is a small document: two accounts, two numbers, one pilot with two systems.
func Small() account.Document {
	conditions := account.ConditionList{tel.NoAnswer, tel.Busy}
	return account.Document{
		Accounts: []account.AccountEntry{{ID: "alice", Name: "Alice Example"}, {ID: "bob"}},
		Numbers: []account.NumberEntry{
			{Number: string(Alice), Account: "alice", NoAnswer: account.Duration(15 * time.Second),
				Devices: []account.DeviceEntry{
					{User: "1000", Host: "pbx.example.net"},
					{Kind: account.DeviceURI, User: "desk", Host: "192.0.2.7", Port: 5062, Transport: "tcp", Profile: "external"},
				},
				Voicemail: &account.VoicemailEntry{Pilot: "*86", Conditions: &conditions}},
			{Number: string(Bob), Account: "bob", Devices: []account.DeviceEntry{{User: "1001", Host: "pbx.example.net"}}},
		},
		Pilots: []account.PilotEntry{{Number: "*86", Systems: []account.PilotSystemEntry{
			{FQDN: "vm-b.example.net", Priority: 20}, {FQDN: "vm-a.example.net", Priority: 10}}}},
		VoicemailSystems: []account.SystemEntry{{FQDN: "vm-a.example.net", Transport: "tcp"}, {FQDN: "vm-b.example.net"}},
	}
}

// test is one test of the contract.
type test struct {
	name string
	run  func(*testing.T, store.Store)
}

// Run runs the contract. open opens a fresh, empty store that lives as long as its test.
func Run(t *testing.T, open func(t *testing.T) store.Store) {
	for _, test := range slices.Concat(rowTests, fleetTests, pilotTests, lampTests, spoolTests, apiTests, directoryTests, contactTests, outboxTests, roomTests, []test{
		{"EmptyStoreKnowsNobody", empty},
		{"ProfileIsAllACallNeeds", profile},
		{"ApplyTwiceChangesNothing", twice},
		{"ExportAppliesToTheSame", export},
		{"BadDocumentChangesNothing", bad},
		{"RowsNotNamedStay", mergeOnly},
		{"PruneRemovesWhatIsNotNamed", prune},
		{"MovingAPilotTouchesNoNumber", movePilot},
		{"VersionRisesOnlyForWhomItConcerns", versions},
		{"RecordIsKeptWhole", recordWhole},
		{"RecordWritesMayBeRepeated", recordRepeated},
		{"RecordBelongsToItsOwner", recordOwner},
		{"RecordThatCannotBeKept", recordUnkeepable},
		{"ClosedRecordStaysClosed", recordClosed},
		{"OpenRecordsOfANode", recordsOpen},
		{"NewestRecordsFirst", recordsNewest},
		{"TrimKeepsOpenRecords", trim},
		{"GivenUpCallsEndAtOnce", givenUp},
		{"ManyAtOnce", concurrent},
		{"ShutStoreSaysSo", shut},
	}) {
		t.Run(test.name, func(t *testing.T) { test.run(t, open(t)) })
	}
}

// Fleet runs the part of the contract that concerns two processes with the same data.
func Fleet(t *testing.T, open func(t *testing.T) (one, other store.Store)) {
	t.Run("WriteOfAnotherProcessIsNoticed", func(t *testing.T) {
		one, other := open(t)
		before := revision(t, one)
		apply(t, other, Small())
		if after := revision(t, one); after <= before {
			t.Errorf("revision is %d after the other's write, was %d", after, before)
		}
		if p := get(t, one, Alice); p.Account.ID != "alice" {
			t.Errorf("profile is %+v", p)
		}
	})
	t.Run("RecordOfADeadProcessIsClosedByAnother", func(t *testing.T) {
		one, other := open(t)
		r := record("c1", "n1", now)
		must(t, one.Open(t.Context(), r))
		left, err := other.OpenRecords(t.Context(), "n1")
		if err != nil || len(left) != 1 {
			t.Fatalf("open records: %v, %v", left, err)
		}
		left[0].Ended, left[0].Note = now.Add(time.Minute), "cause unknown"
		must(t, other.Close(t.Context(), left[0]))
		if got, err := one.Record(t.Context(), "c1"); err != nil || got.Open() || got.Note != "cause unknown" {
			t.Errorf("record is %+v, %v", got, err)
		}
	})
	t.Run("WritersTakeTurns", func(t *testing.T) {
		one, other := open(t)
		var all sync.WaitGroup
		for w, s := range []store.Store{one, other} {
			all.Go(func() {
				for i := range 25 {
					if err := s.Open(t.Context(), record(strconv.Itoa(w)+"-"+strconv.Itoa(i), "n1", now)); err != nil {
						t.Errorf("Open: %v", err)
					}
				}
			})
		}
		all.Wait()
		if got, err := one.OpenRecords(t.Context(), ""); err != nil || len(got) != 50 {
			t.Errorf("%d open records, want 50 (%v)", len(got), err)
		}
	})
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func apply(t *testing.T, s store.Store, d account.Document) store.Changes {
	t.Helper()
	c, err := s.Apply(t.Context(), d, now)
	must(t, err)
	return c
}

func get(t *testing.T, s store.Store, n tel.Number) account.Profile {
	t.Helper()
	p, err := s.Profile(t.Context(), n)
	must(t, err)
	return p
}

func revision(t *testing.T, s store.Store) int64 {
	t.Helper()
	r, err := s.Revision(t.Context())
	must(t, err)
	return r
}

func empty(t *testing.T, s store.Store) {
	if _, err := s.Profile(t.Context(), Alice); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("profile: %v, want ErrNotFound", err)
	}
	if _, err := s.Record(t.Context(), "none"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("record: %v, want ErrNotFound", err)
	}
	if d, err := s.Export(t.Context(), ""); err != nil || !reflect.DeepEqual(d, account.Document{Tenant: account.OperatorTenant}) {
		t.Errorf("export: %+v, %v", d, err)
	}
	must(t, s.Ping(t.Context()))
}

func profile(t *testing.T, s store.Store) {
	c := apply(t, s, Small())
	if len(c.Added) != 7 || len(c.Changed)+len(c.Removed) != 0 {
		t.Errorf("changes are %+v, want 7 rows added", c)
	}
	if !slices.Contains(c.Added, "number +14155550100 (account alice)") {
		t.Errorf("added rows are %q", c.Added)
	}
	got := get(t, s, Alice)
	want := account.Profile{
		Account: account.Account{Tenant: account.OperatorTenant, ID: "alice", Name: "Alice Example"},
		Number:  Alice,
		Devices: []account.Device{
			{Kind: account.DeviceRegistered, Profile: "internal", User: "1000", Host: "pbx.example.net"},
			{Kind: account.DeviceURI, Profile: "external", User: "desk", Host: "192.0.2.7", Port: 5062, Transport: "tcp"},
		},
		Timers:    account.Timers{NoAnswer: 15 * time.Second},
		Voicemail: &account.Voicemail{Pilot: "*86", Conditions: account.Conditions{NoAnswer: true, Busy: true}},
		Systems: []account.VoicemailSystem{{FQDN: "vm-a.example.net", Transport: "tcp", Profile: "external"},
			{FQDN: "vm-b.example.net", Transport: "udp", Profile: "external"}},
		Weights: []account.PilotSystem{{FQDN: "vm-a.example.net", Priority: 10}, {FQDN: "vm-b.example.net", Priority: 20}},
		Version: got.Version,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("profile is\n%+v, want\n%+v", got, want)
	}
	if bob := get(t, s, Bob); bob.Voicemail != nil || bob.Systems != nil || bob.Timers.NoAnswer != account.DefaultNoAnswer {
		t.Errorf("profile without voicemail is %+v", bob)
	}
	if _, err := s.Profile(t.Context(), "+14155550199"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("number nobody owns: %v, want ErrNotFound", err)
	}
}

func twice(t *testing.T, s store.Store) {
	apply(t, s, Small())
	before, version := revision(t, s), get(t, s, Alice).Version
	if c := apply(t, s, Small()); !c.None() {
		t.Errorf("the second time changed %+v", c)
	}
	if after := revision(t, s); after != before {
		t.Errorf("revision rose from %d to %d without a change", before, after)
	}
	if v := get(t, s, Alice).Version; v != version {
		t.Errorf("version rose from %d to %d without a change", version, v)
	}
}

func export(t *testing.T, s store.Store) {
	apply(t, s, Small())
	d, err := s.Export(t.Context(), "")
	must(t, err)
	must(t, d.Validate())
	d.Prune = true
	if c := apply(t, s, d); !c.None() {
		t.Errorf("applying the export changed %+v", c)
	}
}

func bad(t *testing.T, s store.Store) {
	apply(t, s, Small())
	before, err := s.Export(t.Context(), "")
	must(t, err)
	d := account.Document{
		Accounts: []account.AccountEntry{{ID: "carol"}},
		Numbers:  []account.NumberEntry{{Number: "+14155550102", Account: "carol", Voicemail: &account.VoicemailEntry{Pilot: "*99"}}},
	}
	_, err = s.Apply(t.Context(), d, now)
	var invalid *account.Invalid
	if !errors.As(err, &invalid) || !strings.Contains(err.Error(), "numbers[0].voicemail.pilot") {
		t.Errorf("error is %v, want an Invalid that names numbers[0].voicemail.pilot", err)
	}
	after, err := s.Export(t.Context(), "")
	must(t, err)
	if !reflect.DeepEqual(before, after) {
		t.Errorf("a refused document changed the store to %+v", after)
	}
}

func mergeOnly(t *testing.T, s store.Store) {
	apply(t, s, Small())
	c := apply(t, s, account.Document{Accounts: []account.AccountEntry{{ID: "bob", Name: "Bob"}, {ID: "carol"}}})
	if len(c.Added) != 1 || len(c.Changed) != 1 || len(c.Removed) != 0 {
		t.Errorf("changes are %+v, want one added, one changed", c)
	}
	if p := get(t, s, Bob); p.Account.Name != "Bob" || len(p.Devices) != 1 {
		t.Errorf("profile is %+v", p)
	}
	get(t, s, Alice)
}

func prune(t *testing.T, s store.Store) {
	apply(t, s, Small())
	d := Small()
	d.Prune = true
	d.Accounts, d.Numbers = d.Accounts[1:], d.Numbers[1:]
	d.Pilots, d.VoicemailSystems = nil, nil
	if c := apply(t, s, d); len(c.Removed) != 5 || len(c.Added)+len(c.Changed) != 0 {
		t.Errorf("changes are %+v, want 5 rows removed", c)
	}
	if _, err := s.Profile(t.Context(), Alice); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("removed number: %v, want ErrNotFound", err)
	}
	get(t, s, Bob)
}

func movePilot(t *testing.T, s store.Store) {
	apply(t, s, Small())
	before := get(t, s, Alice)
	c := apply(t, s, account.Document{
		Pilots:           []account.PilotEntry{{Number: "*86", Systems: []account.PilotSystemEntry{{FQDN: "vm-c.example.net"}}}},
		VoicemailSystems: []account.SystemEntry{{FQDN: "vm-c.example.net"}},
	})
	if len(c.Changed) != 1 || !strings.HasPrefix(c.Changed[0], "pilot *86") {
		t.Errorf("changed rows are %q, want the pilot alone", c.Changed)
	}
	after := get(t, s, Alice)
	if len(after.Systems) != 1 || after.Systems[0].FQDN != "vm-c.example.net" {
		t.Errorf("systems are %+v", after.Systems)
	}
	if after.Version <= before.Version {
		t.Errorf("version is %d after the pilot moved, was %d", after.Version, before.Version)
	}
}

func versions(t *testing.T, s store.Store) {
	apply(t, s, Small())
	alice, bob := get(t, s, Alice).Version, get(t, s, Bob).Version
	apply(t, s, account.Document{VoicemailSystems: []account.SystemEntry{{FQDN: "vm-b.example.net", Transport: "tcp"}}})
	if v := get(t, s, Alice).Version; v <= alice {
		t.Errorf("version of the number behind the changed system is %d, was %d", v, alice)
	}
	if v := get(t, s, Bob).Version; v != bob {
		t.Errorf("version of the number without voicemail is %d, was %d", v, bob)
	}
	r := revision(t, s)
	must(t, s.Open(t.Context(), record("c1", "n1", now)))
	if after := revision(t, s); after != r {
		t.Errorf("a call record moved the revision from %d to %d", r, after)
	}
}

func record(id, node string, started time.Time) call.Record {
	return call.Record{
		ID: id, Owner: "sidecar-1", UUID: "uuid-" + id, Node: node, Started: started, Updated: started,
		Arrival: call.Arrival{UUID: "uuid-" + id, Dialled: "14155550100", To: Alice, At: started,
			From:       tel.Identity{Name: `Eve "${system(x)}" 名`, User: "+15105550123", Number: "+15105550123"},
			Diversions: []tel.Diversion{{User: "+14155550155", Host: "a.example", Reason: "no-answer", Counter: 1}},
			Source:     netip.MustParseAddrPort("192.0.2.9:5060"), Evidence: call.EvidenceToken},
		Plan: call.Plan{Number: Alice, Account: "alice", Version: 3, Steps: []call.Step{{Kind: call.StepNotice,
			Reason: call.Reason{Name: "all-down", Sentence: "Nobody took the call."}, Notice: &call.Notice{Cause: "NO_ANSWER"}}}},
	}
}

func recordWhole(t *testing.T, s store.Store) {
	r := record("c1", "n1", now)
	must(t, s.Open(t.Context(), r))
	r.Updated = now.Add(10 * time.Second)
	r.Steps = []call.StepRecord{{Kind: call.StepRing, Started: now, Ended: r.Updated, Result: call.NoAnswer,
		Attempts: []call.Attempt{{Target: "internal/1000", Started: now, Result: call.NoAnswer, SIPStatus: 480}}}}
	must(t, s.Update(t.Context(), r))
	r.Ended, r.Updated, r.Result, r.Cause = now.Add(time.Minute), now.Add(time.Minute), call.Answered, "NORMAL_CLEARING"
	must(t, s.Close(t.Context(), r))
	got, err := s.Record(t.Context(), "c1")
	must(t, err)
	if !reflect.DeepEqual(got, r) {
		t.Errorf("record is\n%+v, want\n%+v", got, r)
	}
}

func recordRepeated(t *testing.T, s store.Store) {
	r := record("c1", "n1", now)
	must(t, s.Open(t.Context(), r))
	newer := r
	newer.Updated, newer.Note = now.Add(2*time.Second), "newer"
	must(t, s.Update(t.Context(), newer))
	must(t, s.Update(t.Context(), newer))
	late := r
	late.Updated, late.Note = now.Add(time.Second), "late"
	must(t, s.Update(t.Context(), late))
	must(t, s.Open(t.Context(), r))
	if got, err := s.Record(t.Context(), "c1"); err != nil || got.Note != "newer" {
		t.Errorf("note is %q (%v), want that of the newest update", got.Note, err)
	}
	again := newer
	again.Updated, again.Note, again.UUID, again.Node = now.Add(3*time.Second), "again", "another uuid", "n2"
	must(t, s.Open(t.Context(), again)) // the first Open may have come true though its answer did not
	if got, err := s.Record(t.Context(), "c1"); err != nil || !reflect.DeepEqual(got, again) {
		t.Errorf("after a second Open the record is %+v (%v), want its newer state", got, err)
	}
	if got, err := s.OpenRecords(t.Context(), "n2"); err != nil || len(got) != 1 {
		t.Errorf("%d open records of the node the record is on now, want 1 (%v)", len(got), err)
	}
	if got, err := s.Records(t.Context(), 0); err != nil || len(got) != 1 {
		t.Errorf("%d records, want 1 (%v)", len(got), err)
	}
	if err := s.Update(t.Context(), record("c2", "n1", now)); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("update of no record: %v, want ErrNotFound", err)
	}
	if err := s.Close(t.Context(), record("c2", "n1", now)); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("close of no record: %v, want ErrNotFound", err)
	}
}

func recordOwner(t *testing.T, s store.Store) {
	r := record("c1", "n1", now)
	must(t, s.Open(t.Context(), r))
	r.Owner = "sidecar-2"
	for name, write := range map[string]func(context.Context, call.Record) error{"Open": s.Open, "Update": s.Update, "Close": s.Close} {
		if err := write(t.Context(), r); !errors.Is(err, store.ErrOwner) {
			t.Errorf("%s by another owner: %v, want ErrOwner", name, err)
		}
	}
}

func recordUnkeepable(t *testing.T, s store.Store) {
	good := record("c1", "n1", now)
	ownerless, nameless, huge := good, good, good
	ownerless.Owner, nameless.ID, huge.Note = "", "", strings.Repeat("x", 1<<20)
	for what, r := range map[string]call.Record{"without owner": ownerless, "without ID": nameless, "over 1 MiB": huge} {
		for name, write := range map[string]func(context.Context, call.Record) error{"Open": s.Open, "Update": s.Update, "Close": s.Close} {
			if err := write(t.Context(), r); !errors.Is(err, store.ErrRecord) {
				t.Errorf("%s of a record %s: %v, want ErrRecord", name, what, err)
			}
		}
	}
	timeless := good
	timeless.Updated = time.Time{}
	if err := s.Close(t.Context(), timeless); !errors.Is(err, store.ErrRecord) {
		t.Errorf("Close of a record without a time: %v, want ErrRecord", err)
	}
	if got, err := s.Records(t.Context(), 0); err != nil || len(got) != 0 {
		t.Errorf("%d records are kept (%v), want none", len(got), err)
	}
}

func recordClosed(t *testing.T, s store.Store) {
	r := record("c1", "n1", now)
	must(t, s.Open(t.Context(), r))
	end := r
	end.Updated = now.Add(time.Minute)
	must(t, s.Close(t.Context(), end))
	again := end
	again.Note, again.Ended = "again", now.Add(time.Hour)
	must(t, s.Close(t.Context(), again))
	must(t, s.Open(t.Context(), r))
	if err := s.Update(t.Context(), again); !errors.Is(err, store.ErrClosed) {
		t.Errorf("update of a closed record: %v, want ErrClosed", err)
	}
	got, err := s.Record(t.Context(), "c1")
	if err != nil || !got.Ended.Equal(now.Add(time.Minute)) || got.Note != "" {
		t.Errorf("record ended %v with note %q (%v), want the first close", got.Ended, got.Note, err)
	}
}

func ids(records []call.Record) string {
	var out []string
	for _, r := range records {
		out = append(out, r.ID)
	}
	return strings.Join(out, " ")
}

func recordsOpen(t *testing.T, s store.Store) {
	for i, id := range []string{"c", "a", "b"} {
		must(t, s.Open(t.Context(), record(id, "n1", now.Add(time.Duration(i)*time.Second))))
	}
	must(t, s.Open(t.Context(), record("x", "n2", now.Add(time.Minute))))
	must(t, s.Close(t.Context(), record("a", "n1", now)))
	for node, want := range map[string]string{"n1": "c b", "n2": "x", "n3": "", "": "c b x"} {
		if got, err := s.OpenRecords(t.Context(), node); err != nil || ids(got) != want {
			t.Errorf("open records of %q are %q (%v), want %q", node, ids(got), err, want)
		}
	}
}

func recordsNewest(t *testing.T, s store.Store) {
	for i := range 5 {
		must(t, s.Open(t.Context(), record(strconv.Itoa(i), "n1", now.Add(time.Duration(i)*time.Second))))
	}
	if got, err := s.Records(t.Context(), 3); err != nil || ids(got) != "4 3 2" {
		t.Errorf("records are %q (%v)", ids(got), err)
	}
	if got, err := s.Records(t.Context(), -1); err != nil || len(got) != 5 {
		t.Errorf("%d records (%v), want 5", len(got), err)
	}
}

func trim(t *testing.T, s store.Store) {
	for i := range 4 {
		r := record(strconv.Itoa(i), "n1", now.Add(time.Duration(i)*time.Hour))
		must(t, s.Open(t.Context(), r))
		if i > 0 {
			must(t, s.Close(t.Context(), r))
		}
	}
	if n, err := s.Trim(t.Context(), now.Add(150*time.Minute)); err != nil || n != 2 {
		t.Errorf("trimmed %d (%v), want 2", n, err)
	}
	if got, err := s.Records(t.Context(), 0); err != nil || ids(got) != "3 0" {
		t.Errorf("left are %q (%v), want the open one and the newest", ids(got), err)
	}
}

func givenUp(t *testing.T, s store.Store) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, profileErr := s.Profile(ctx, Alice)
	_, applyErr := s.Apply(ctx, Small(), now)
	_, revisionErr := s.Revision(ctx)
	for name, err := range map[string]error{"Profile": profileErr, "Apply": applyErr, "Revision": revisionErr,
		"Open": s.Open(ctx, record("c1", "n1", now))} {
		if !errors.Is(err, store.ErrUnavailable) || !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v, want ErrUnavailable and context.Canceled", name, err)
		}
	}
	if _, err := s.Profile(t.Context(), Alice); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("the store is not usable afterwards, or the document was applied: %v", err)
	}
}

func concurrent(t *testing.T, s store.Store) {
	apply(t, s, Small())
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for j := range 10 {
				r := record(strconv.Itoa(i)+"-"+strconv.Itoa(j), "n1", now)
				if err := errors.Join(s.Open(t.Context(), r), s.Update(t.Context(), r), s.Close(t.Context(), r)); err != nil {
					t.Error(err)
				}
				if _, err := s.Profile(t.Context(), Alice); err != nil {
					t.Error(err)
				}
				if _, err := s.Revision(t.Context()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if got, err := s.Records(t.Context(), 1000); err != nil || len(got) != 80 {
		t.Errorf("%d records (%v), want 80", len(got), err)
	}
}

func shut(t *testing.T, s store.Store) {
	must(t, s.Shut())
	must(t, s.Shut())
	if _, err := s.Profile(t.Context(), Alice); err == nil || errors.Is(err, store.ErrNotFound) {
		t.Errorf("profile from a shut store: %v", err)
	}
	if err := s.Ping(t.Context()); err == nil {
		t.Error("a shut store answers a ping")
	}
}
