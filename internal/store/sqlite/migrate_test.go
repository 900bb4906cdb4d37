package sqlite_test

import (
	"errors"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/call"
	"github.com/signalbox/signalbox/internal/store"
	"github.com/signalbox/signalbox/internal/store/sqlite"
	"github.com/signalbox/signalbox/internal/store/storetest"
	"github.com/signalbox/signalbox/internal/tel"
)

// old is what the program of version 1 wrote for document.
const old = `
UPDATE revision SET revision = 7;
INSERT INTO accounts VALUES ('alice', 'Alice "É" Example', 5, '2026-03-01T12:00:00.25Z'), ('bob', '', 7, '2026-03-02T12:00:00Z');
INSERT INTO voicemail_systems VALUES ('vm-a.example.net', 'tcp', 'external', 5, '2026-03-01T12:00:00Z'), ('vm-b.example.net', 'udp', 'vm', 5, '2026-03-01T12:00:00Z');
INSERT INTO pilots VALUES ('*86', 6, '2026-03-01T12:00:00Z');
INSERT INTO pilot_systems VALUES ('*86', 0, 'vm-b.example.net', 20), ('*86', 1, 'vm-a.example.net', 10);
INSERT INTO numbers VALUES ('+14155550100', 'alice', 65500, '*86', 'no-answer busy', 6, '2026-03-01T12:00:00Z'),
	('+14155550101', 'bob', 20000, '*86', '', 7, '2026-03-01T12:00:00Z'), ('+14155550102', 'bob', 180000, NULL, '', 7, '2026-03-01T12:00:00Z');
INSERT INTO devices VALUES ('+14155550100', 0, 'registered', 'internal', '1000', 'pbx.example.net', 0, ''),
	('+14155550100', 1, 'uri', 'external', 'desk', '192.0.2.7', 5062, 'tcp');
`

func document() account.Document {
	some, none := account.ConditionList{tel.NoAnswer, tel.Busy}, account.ConditionList{}
	return account.Document{
		Tenant:   account.OperatorTenant,
		Accounts: []account.AccountEntry{{ID: "alice", Name: `Alice "É" Example`}, {ID: "bob"}},
		Numbers: []account.NumberEntry{
			{Number: "+14155550100", Account: "alice", NoAnswer: account.Duration(65500 * time.Millisecond),
				Devices: []account.DeviceEntry{
					{Kind: account.DeviceRegistered, User: "1000", Host: "pbx.example.net", Profile: "internal"},
					{Kind: account.DeviceURI, User: "desk", Host: "192.0.2.7", Port: 5062, Transport: "tcp", Profile: "external"},
				},
				Voicemail: &account.VoicemailEntry{Pilot: "*86", Conditions: &some}},
			{Number: "+14155550101", Account: "bob", NoAnswer: account.Duration(20 * time.Second), Voicemail: &account.VoicemailEntry{Pilot: "*86", Conditions: &none}},
			{Number: "+14155550102", Account: "bob", NoAnswer: account.Duration(180 * time.Second)},
		},
		Pilots: []account.PilotEntry{{Number: "*86", Systems: []account.PilotSystemEntry{
			{FQDN: "vm-b.example.net", Priority: 20}, {FQDN: "vm-a.example.net", Priority: 10}}}},
		VoicemailSystems: []account.SystemEntry{{FQDN: "vm-a.example.net", Transport: "tcp", Profile: "external"}, {FQDN: "vm-b.example.net", Transport: "udp", Profile: "vm"}},
	}
}

// From every version since rows are kept whole, the way back and forward again loses nothing that the version knows.
func TestEveryVersionKeepsRowsAndRecords(t *testing.T) {
	opt := sqlite.Options{Path: filepath.Join(t.TempDir(), "signalbox.db")}
	use := func(do func(s *sqlite.Store) error) {
		t.Helper()
		s, err := sqlite.Open(t.Context(), opt)
		if err == nil {
			err = errors.Join(do(s), s.Shut())
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	use(func(s *sqlite.Store) error {
		_, err := s.Apply(t.Context(), storetest.Whole(), time.Now())
		return errors.Join(err, s.Open(t.Context(), call.Record{ID: "1", Owner: "me", Started: time.Now(), Updated: time.Now()}))
	})
	_, newest, err := sqlite.Versions(t.Context(), opt)
	if err != nil {
		t.Fatal(err)
	}
	for version := newest - 1; version >= 3; version-- {
		if _, _, err := sqlite.Migrate(t.Context(), opt, version); err != nil {
			t.Fatalf("to version %d: %v", version, err)
		}
		use(func(s *sqlite.Store) error {
			got, err := s.Export(t.Context(), "")
			if !reflect.DeepEqual(got, storetest.Whole()) {
				t.Errorf("by version %d the store has\n%+v, want\n%+v", version, got, storetest.Whole())
			}
			_, missing := s.Record(t.Context(), "1")
			return errors.Join(err, missing)
		})
	}
}

// The rows of an older program are kept, and its own are there again after the way back, whatever the newer one wrote.
func TestMigrationsKeepRows(t *testing.T) {
	opt := sqlite.Options{Path: filepath.Join(t.TempDir(), "signalbox.db")}
	migrate := func(version int64) {
		t.Helper()
		if _, _, err := sqlite.Migrate(t.Context(), opt, version); err != nil {
			t.Fatal(err)
		}
	}
	migrate(1)
	if _, err := raw(t, opt.Path).ExecContext(t.Context(), old); err != nil {
		t.Fatal(err)
	}
	opened := func(do func(*sqlite.Store)) {
		t.Helper()
		s, err := sqlite.Open(t.Context(), opt)
		if err != nil {
			t.Fatal(err)
		}
		do(s)
		if err := s.Shut(); err != nil {
			t.Fatal(err)
		}
	}
	is := func(want account.Document) {
		t.Helper()
		opened(func(s *sqlite.Store) {
			t.Helper()
			got, err := s.Export(t.Context(), "")
			for i, n := range got.Numbers {
				if len(n.Devices) == 0 {
					got.Numbers[i].Devices = nil
				}
			}
			if err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("the store has (%v)\n%+v, want\n%+v", err, got, want)
			}
			want := want
			want.Prune = true
			if c, err := s.Preview(t.Context(), want, time.Now()); err != nil || !c.None() {
				t.Errorf("applying it again would change %+v, %v", c, err)
			}
		})
	}
	is(document())
	opened(func(s *sqlite.Store) {
		p, err := s.Profile(t.Context(), "+14155550100")
		if err != nil || p.Version != 6 || p.Account.Tenant != account.OperatorTenant || len(p.Systems) != 2 || p.Systems[0].FQDN != "vm-a.example.net" {
			t.Errorf("profile is %+v, %v", p, err)
		}
		if row, err := s.Get(t.Context(), account.OperatorTenant, account.KindAccount, "bob"); err != nil || row.Version != 7 ||
			!row.Updated.Equal(time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)) {
			t.Errorf("row is %+v, %v", row, err)
		}
		if r, err := s.Revision(t.Context()); err != nil || r != 7 {
			t.Errorf("revision is %d, %v", r, err)
		}
		// Rows of tenants, contacts and rules have no place in the older schema.
		_, err = s.Change(t.Context(), "other", []store.Change{
			{Op: store.Put, Entry: &account.AccountEntry{ID: "a", State: account.Suspended}},
			{Op: store.Put, Entry: &account.NumberEntry{Number: "+14155550199", Account: "a", Voicemail: &account.VoicemailEntry{Pilot: "*86"}}},
			{Op: store.Put, Entry: &account.ContactEntry{Account: "a", ID: "c", Numbers: []string{"+14155550100"}}},
			{Op: store.Put, Entry: &account.RuleEntry{Account: "a", ID: "r", For: "+14155550199", Callers: account.CallersAll, Do: account.RuleRing}},
		}, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Open(t.Context(), call.Record{ID: "1", Owner: "me", Started: time.Now(), Updated: time.Now()}); err != nil {
			t.Fatal(err)
		}
	})
	migrate(2)
	is(document())
	opened(func(s *sqlite.Store) {
		if r, err := s.Record(t.Context(), "1"); err != nil || r.Owner != "me" {
			t.Errorf("record is %+v, %v", r, err)
		}
		if _, err := s.Apply(t.Context(), storetest.Whole(), time.Now()); err != nil {
			t.Fatal(err)
		}
	})
	migrate(1)
	opened(func(s *sqlite.Store) {
		// What the oldest schema cannot say is lost: TLS, the class and more; who has which number stays.
		p, err := s.Profile(t.Context(), storetest.Alice)
		if err != nil || p.Account.ID != "alice" || p.Voicemail == nil || p.Systems[0].Transport != "tcp" || p.Timers.NoAnswer != 65500*time.Millisecond {
			t.Errorf("profile is %+v, %v", p, err)
		}
	})
}
