package storetest

import (
	"errors"
	"net/netip"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/store"
	"github.com/signalbox/signalbox/internal/tel"
)

var rowTests = []test{
	{"EveryFieldIsKept", everyField},
	{"RowsByKey", rowsByKey},
	{"VersionsAreAskedFor", versionsAsked},
	{"AllChangesOrNone", allOrNone},
	{"ReferencesHold", references},
	{"RowsInUseStay", inUse},
	{"ClassVisualNeedsASystem", visual},
	{"NumbersMoveOnlyKnowingly", moves},
	{"TenantsAreApart", tenants},
	{"TenantsUseTheOperatorsPilots", operatorsPilots},
	{"RulesOfTheNumberOrItsAccount", rules},
	{"ContactsWithANumber", contacts},
	{"PreviewChangesNothing", preview},
	{"ChangeLogNamesWhatChanged", touched},
	{"ProfileVersionsNeverFall", versionsRise},
}

// other is a tenant that is not the operator.
const other = "other"

// pin is the hash of a PIN.
const pin = "pbkdf2:0123456789abcdef:00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

// Whole is a document with every field of every row set.
func Whole() account.Document {
	from, until := now, now.Add(time.Hour)
	conditions := account.ConditionList{tel.NoAnswer, tel.Declined}
	when, quiet, shared := account.WhenList{"busy", "forwarded"}, false, true
	return account.Document{
		Tenant:   account.OperatorTenant,
		Accounts: []account.AccountEntry{{ID: "alice", Name: "Alice É.", State: account.Suspended, Language: "en-GB", TimeZone: "Europe/Rome", Services: []string{"mms", "sms"}}},
		Numbers: []account.NumberEntry{{Number: string(Alice), Account: "alice", NoAnswer: account.Duration(65500 * time.Millisecond),
			Devices: []account.DeviceEntry{{Kind: account.DeviceURI, Profile: "external", User: "desk", Host: "192.0.2.7", Port: 5062, Transport: "tcp"}},
			Voicemail: &account.VoicemailEntry{Pilot: "*86", Class: account.Visual, Mailbox: "box-1", FirstDiverter: true,
				Conditions: &conditions},
			Conference: &account.ConferenceEntry{Offer: account.OfferEveryone, When: &when, Host: account.HostOriginal, Room: account.RoomFetch, AutoAdmit: true,
				PIN: pin, JoinKey: "*", MessageKey: "0", RepeatKey: "#", MenuTimeout: account.Duration(4 * time.Second), Tries: 2,
				AcceptTimeout: account.Duration(20 * time.Second), MaxMembers: 5, Greeting: "file:ada.wav", Announce: &quiet, HostLeaves: account.LeavesEnd,
				Grace: account.Duration(time.Minute), Record: true, ForwardDial: string(Bob)}}},
		Pilots: []account.PilotEntry{{Number: "*86", Systems: []account.PilotSystemEntry{{FQDN: "vm.example.net", Priority: 10, Weight: 50, From: &from, Until: &until}}}},
		VoicemailSystems: []account.SystemEntry{{FQDN: "vm.example.net", Transport: "tls", Profile: "vm", Codecs: []string{"PCMA", "PCMU"},
			Evidence: []account.Evidence{account.EvidenceMailbox, account.EvidenceDiversion}, Visual: true, Drain: true,
			Notifies: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/28"), netip.MustParsePrefix("2001:db8::/64")}}},
		Contacts: []account.ContactEntry{{Account: "alice", ID: "c1", Name: "Bob \"B\" <x>", Label: "work", Numbers: []string{string(Bob), "+390612345678"},
			MayJoin: account.MayJoinYes, Source: "import", Clip: "bob.wav", Shared: &shared}},
		Rules: []account.RuleEntry{{Account: "alice", ID: "r1", For: string(Alice), Order: 7, Callers: account.CallersNumber, Number: "+39*", Do: account.RuleRefuse}},
	}
}

func everyField(t *testing.T, s store.Store) {
	apply(t, s, Whole())
	if d, err := s.Export(t.Context(), account.OperatorTenant); err != nil || !reflect.DeepEqual(d, Whole()) {
		t.Errorf("export is (%v)\n%+v, want\n%+v", err, d, Whole())
	}
	got := get(t, s, Alice)
	want := account.Profile{
		Account: account.Account{Tenant: account.OperatorTenant, ID: "alice", Name: "Alice É.", State: account.Suspended, Language: "en-GB",
			TimeZone: "Europe/Rome", Services: []string{"mms", "sms"}},
		Number: Alice, Devices: []account.Device{{Kind: account.DeviceURI, Profile: "external", User: "desk", Host: "192.0.2.7", Port: 5062, Transport: "tcp"}},
		Timers: account.Timers{NoAnswer: 65500 * time.Millisecond},
		Voicemail: &account.Voicemail{Pilot: "*86", Class: account.Visual, Mailbox: "box-1", FirstDiverter: true,
			Conditions: account.Conditions{NoAnswer: true, Declined: true}},
		Conference: &account.Conference{Offer: account.OfferEveryone, When: account.ConferenceWhen{Conditions: account.Conditions{Busy: true}, Forwarded: true},
			Host: account.HostOriginal, Room: account.RoomFetch, AutoAdmit: true, PINHash: pin, JoinKey: '*', MessageKey: '0', RepeatKey: '#',
			MenuTimeout: 4 * time.Second, Tries: 2, AcceptTimeout: 20 * time.Second, MaxMembers: 5, Greeting: "file:ada.wav", Quiet: true,
			HostLeaves: account.LeavesEnd, Grace: time.Minute, Record: true, ForwardDial: Bob},
		Systems: []account.VoicemailSystem{Whole().VoicemailSystems[0].System()},
		Weights: []account.PilotSystem{{FQDN: "vm.example.net", Priority: 10, Weight: 50, From: now, Until: now.Add(time.Hour)}},
		Rules:   []account.Rule{{ID: "r1", Order: 7, Callers: account.CallersNumber, Number: "+39*", Do: account.RuleRefuse}},
		Version: got.Version,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("profile is\n%+v, want\n%+v", got, want)
	}
}

// put puts rows of a tenant, which must succeed.
func put(t *testing.T, s store.Store, tenant string, entries ...account.Entry) []store.Row {
	t.Helper()
	rows, err := change(t, s, tenant, entries...)
	must(t, err)
	return rows
}

func change(t *testing.T, s store.Store, tenant string, entries ...account.Entry) ([]store.Row, error) {
	t.Helper()
	var changes []store.Change
	for _, e := range entries {
		changes = append(changes, store.Change{Op: store.Put, Entry: e})
	}
	return s.Change(t.Context(), tenant, changes, now)
}

func remove(t *testing.T, s store.Store, tenant string, kind account.Kind, key string) error {
	t.Helper()
	_, err := s.Change(t.Context(), tenant, []store.Change{{Op: store.Delete, Kind: kind, Key: key}}, now)
	return err
}

func acc(id string) *account.AccountEntry { return &account.AccountEntry{ID: id} }

func num(n tel.Number, id string) *account.NumberEntry {
	return &account.NumberEntry{Number: string(n), Account: id}
}

func withVoicemail(n tel.Number, id, pilot string, class account.Class) *account.NumberEntry {
	e := num(n, id)
	e.Voicemail = &account.VoicemailEntry{Pilot: pilot, Class: class}
	return e
}

func pilot(number string, fqdns ...string) *account.PilotEntry {
	e := &account.PilotEntry{Number: number}
	for _, f := range fqdns {
		e.Systems = append(e.Systems, account.PilotSystemEntry{FQDN: f})
	}
	return e
}

func invalidAt(t *testing.T, err error, want string) {
	t.Helper()
	var invalid *account.Invalid
	if !errors.As(err, &invalid) || !strings.Contains(err.Error(), want) {
		t.Errorf("error is %v, want an Invalid with %q", err, want)
	}
}

func rowsByKey(t *testing.T, s store.Store) {
	var entries []account.Entry
	for i := range 7 {
		id := "a" + strconv.Itoa(i)
		entries = append(entries, acc(id), num(tel.Number("+1415555010"+strconv.Itoa(i)), id), &account.ContactEntry{Account: "a1", ID: "c" + strconv.Itoa(i)})
	}
	rows := put(t, s, other, append(entries, acc("B"), acc("a.b"))...)
	if len(rows) != 23 || rows[0].Key != "a0" || rows[0].Version != revision(t, s) || !rows[0].Updated.Equal(now) || rows[0].Tenant != other {
		t.Errorf("rows are %+v", rows)
	}
	row, err := s.Get(t.Context(), other, account.KindNumber, "+14155550103")
	must(t, err)
	if row.Key != rows[10].Key || row.Version != rows[10].Version || row.Entry.(*account.NumberEntry).Account != "a3" {
		t.Errorf("row is %+v, want %+v", row, rows[10])
	}
	for _, missing := range []struct {
		tenant string
		kind   account.Kind
		key    string
	}{{other, account.KindNumber, "+14155550109"}, {"operator", account.KindNumber, "+14155550103"}, {other, account.KindPilot, "a0"}} {
		if _, err := s.Get(t.Context(), missing.tenant, missing.kind, missing.key); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("%+v: %v, want ErrNotFound", missing, err)
		}
	}
	list := func(kind account.Kind, opt store.ListOptions) string {
		t.Helper()
		rows, err := s.List(t.Context(), other, kind, opt)
		must(t, err)
		var keys []string
		for _, r := range rows {
			keys = append(keys, r.Key)
		}
		return strings.Join(keys, " ")
	}
	if got := list(account.KindAccount, store.ListOptions{}); got != "B a.b a0 a1 a2 a3 a4 a5 a6" {
		t.Errorf("accounts are %s, want them in order of bytes", got)
	}
	if got := list(account.KindAccount, store.ListOptions{After: "a1", Limit: 2}); got != "a2 a3" {
		t.Errorf("page is %s", got)
	}
	if got := list(account.KindContact, store.ListOptions{Account: "a1", After: "a1/c4"}); got != "a1/c5 a1/c6" {
		t.Errorf("contacts are %s", got)
	}
	if got := list(account.KindNumber, store.ListOptions{Account: "a2"}); got != "+14155550102" {
		t.Errorf("numbers of the account are %s", got)
	}
	stop := errors.New("stop")
	n := 0
	if err := s.Each(t.Context(), other, func(store.Row) error {
		if n++; n == 5 {
			return stop
		}
		return nil
	}); !errors.Is(err, stop) || n != 5 {
		t.Errorf("walk ended after %d rows with %v", n, err)
	}
}

func versionsAsked(t *testing.T, s store.Store) {
	version := func(v int64) *int64 { return &v }
	first := put(t, s, other, acc("a"))[0]
	if again := put(t, s, other, acc("a"))[0]; again.Version != first.Version || revision(t, s) != first.Version {
		t.Errorf("a put without a change made version %d of %d, revision %d", again.Version, first.Version, revision(t, s))
	}
	named := acc("a")
	named.Name = "named"
	for _, c := range []struct {
		change store.Change
		have   int64
	}{
		{store.Change{Op: store.Put, Entry: named, IfVersion: version(0)}, first.Version},
		{store.Change{Op: store.Put, Entry: named, IfVersion: version(first.Version - 1)}, first.Version},
		{store.Change{Op: store.Delete, Kind: account.KindAccount, Key: "a", IfVersion: version(first.Version + 1)}, first.Version},
		{store.Change{Op: store.Put, Entry: acc("b"), IfVersion: version(1)}, 0},
		{store.Change{Op: store.Delete, Kind: account.KindAccount, Key: "b", IfVersion: version(1)}, 0},
	} {
		_, err := s.Change(t.Context(), other, []store.Change{c.change}, now)
		var conflict *store.ConflictError
		if !errors.Is(err, store.ErrConflict) || !errors.As(err, &conflict) || conflict.Version != c.have {
			t.Errorf("%+v: %v, want a conflict with version %d", c.change, err, c.have)
		}
	}
	rows, err := s.Change(t.Context(), other, []store.Change{{Op: store.Put, Entry: named, IfVersion: version(first.Version)}}, now.Add(time.Second))
	if err != nil || rows[0].Version <= first.Version || !rows[0].Updated.Equal(now.Add(time.Second)) {
		t.Errorf("rows are %+v, %v", rows, err)
	}
	if err := remove(t, s, other, account.KindAccount, "b"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("removing what is not there: %v, want ErrNotFound", err)
	}
	must(t, remove(t, s, other, account.KindAccount, "a"))
	if _, err := s.Get(t.Context(), other, account.KindAccount, "a"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a removed row: %v, want ErrNotFound", err)
	}
}

func allOrNone(t *testing.T, s store.Store) {
	before := revision(t, s)
	_, err := s.Change(t.Context(), other, []store.Change{{Op: store.Put, Entry: acc("a")}, {Op: store.Put, Entry: num("+14155550100", "b"), At: "x[1]"}}, now)
	invalidAt(t, err, "x[1].account: no account b is known")
	_, err = s.Change(t.Context(), other, []store.Change{{Op: store.Put, Entry: acc("a")}, {Op: store.Put, Entry: &account.NumberEntry{Number: "12"}}}, now)
	invalidAt(t, err, "number: \"12\" is no telephone number")
	_, err = change(t, s, other, acc("a"), acc("a"))
	invalidAt(t, err, "account a is changed twice at once")
	_, err = change(t, s, "no tenant", acc("a"))
	invalidAt(t, err, "tenant: ")
	if _, err := s.Get(t.Context(), other, account.KindAccount, "a"); !errors.Is(err, store.ErrNotFound) || revision(t, s) != before {
		t.Errorf("something was changed: %v", err)
	}
	if names, err := s.Tenants(t.Context()); err != nil || len(names) != 0 {
		t.Errorf("tenants are %q, %v", names, err)
	}
	// The order of changes does not matter.
	put(t, s, other, num("+14155550100", "a"), acc("a"))
	_, err = s.Change(t.Context(), other, []store.Change{{Op: store.Delete, Kind: account.KindAccount, Key: "a"},
		{Op: store.Delete, Kind: account.KindNumber, Key: "+14155550100"}}, now)
	must(t, err)
}

func references(t *testing.T, s store.Store) {
	put(t, s, other, acc("a"), acc("b"), num("+14155550100", "a"), &account.SystemEntry{FQDN: "vm.example.net"}, pilot("*86", "vm.example.net"))
	for _, test := range []struct {
		entry account.Entry
		want  string
	}{
		{num("+14155550101", "x"), "account: no account x is known"},
		{withVoicemail("+14155550101", "a", "*99", ""), "voicemail.pilot: no pilot *99 is known"},
		{pilot("*87", "vm.example.net", "vm2.example.net"), "systems[1].fqdn: no voicemail system vm2.example.net is known"},
		{&account.ContactEntry{Account: "x", ID: "c"}, "account: no account x is known"},
		{&account.RuleEntry{Account: "x", ID: "r", Callers: account.CallersAll, Do: account.RuleRing}, "account: no account x is known"},
		{&account.RuleEntry{Account: "b", ID: "r", For: "+14155550100", Callers: account.CallersAll, Do: account.RuleRing}, "for: account b has no number +14155550100"},
	} {
		_, err := change(t, s, other, test.entry)
		invalidAt(t, err, test.want)
	}
	var many []account.Entry
	for i := range account.MaxRules {
		many = append(many, &account.RuleEntry{Account: "a", ID: "r" + strconv.Itoa(i), Callers: account.CallersAll, Do: account.RuleRing})
	}
	put(t, s, other, many...)
	_, err := change(t, s, other, &account.RuleEntry{Account: "a", ID: "one-more", Callers: account.CallersAll, Do: account.RuleRing})
	invalidAt(t, err, "account a would have more than 50 rules")
}

func inUse(t *testing.T, s store.Store) {
	put(t, s, other, acc("a"), withVoicemail("+14155550100", "a", "*86", ""), &account.SystemEntry{FQDN: "vm.example.net"}, pilot("*86", "vm.example.net"),
		&account.ContactEntry{Account: "a", ID: "c", Numbers: []string{string(Bob)}},
		&account.RuleEntry{Account: "a", ID: "r", For: "+14155550100", Callers: account.CallersAll, Do: account.RuleRing})
	for kind, key := range map[account.Kind]string{account.KindAccount: "a", account.KindPilot: "*86", account.KindVoicemailSystem: "vm.example.net"} {
		if err := remove(t, s, other, kind, key); !errors.Is(err, store.ErrInUse) {
			t.Errorf("removing %s %s: %v, want ErrInUse", kind, key, err)
		}
	}
	must(t, remove(t, s, other, account.KindNumber, "+14155550100"))
	if _, err := s.Get(t.Context(), other, account.KindRule, "a/r"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("the rule of a removed number: %v, want ErrNotFound", err)
	}
	must(t, remove(t, s, other, account.KindPilot, "*86"))
	must(t, remove(t, s, other, account.KindVoicemailSystem, "vm.example.net"))
	must(t, remove(t, s, other, account.KindAccount, "a"))
	if got, err := s.ContactsWith(t.Context(), other, "a", Bob); err != nil || len(got) != 0 {
		t.Errorf("contacts of a removed account are %+v, %v", got, err)
	}
}

func visual(t *testing.T, s store.Store) {
	plain, visual := &account.SystemEntry{FQDN: "plain.example.net"}, &account.SystemEntry{FQDN: "visual.example.net", Visual: true}
	put(t, s, other, acc("a"), plain, visual, pilot("*86", plain.FQDN), pilot("*87", plain.FQDN, visual.FQDN))
	_, err := change(t, s, other, withVoicemail("+14155550100", "a", "*86", account.Visual))
	invalidAt(t, err, "voicemail.class: no voicemail system of pilot *86 supports visual")
	put(t, s, other, withVoicemail("+14155550100", "a", "*87", account.Visual), withVoicemail("+14155550101", "a", "*86", ""))
	noMore := *visual
	noMore.Visual = false
	for _, e := range []account.Entry{pilot("*87", plain.FQDN), &noMore} {
		if _, err := change(t, s, other, e); !errors.Is(err, store.ErrInUse) {
			t.Errorf("%s, on which class visual stands: %v, want ErrInUse", e.Line(), err)
		}
	}
	put(t, s, other, pilot("*87", visual.FQDN), withVoicemail("+14155550100", "a", "*86", ""), &noMore)
}

func moves(t *testing.T, s store.Store) {
	row := put(t, s, other, acc("a"), acc("b"), num("+14155550100", "a"),
		&account.RuleEntry{Account: "a", ID: "r", For: "+14155550100", Callers: account.CallersAll, Do: account.RuleRing})[2]
	_, err := change(t, s, other, num("+14155550100", "b"))
	invalidAt(t, err, "account: number +14155550100 belongs to account a already")
	_, err = s.Apply(t.Context(), account.Document{Tenant: other, Numbers: []account.NumberEntry{*num("+14155550100", "b")}}, now)
	invalidAt(t, err, "numbers[0].account: number +14155550100 belongs to account a already")
	_, err = s.Change(t.Context(), other, []store.Change{{Op: store.Put, Entry: num("+14155550100", "b"), IfVersion: &row.Version}}, now)
	must(t, err)
	if p := get(t, s, "+14155550100"); p.Account.ID != "b" || len(p.Rules) != 0 {
		t.Errorf("profile is %+v", p)
	}
	if _, err := s.Get(t.Context(), other, account.KindRule, "a/r"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("the rule for a number that moved away: %v, want ErrNotFound", err)
	}
	_, err = s.Apply(t.Context(), account.Document{Tenant: other, Prune: true, Accounts: []account.AccountEntry{{ID: "a"}},
		Numbers: []account.NumberEntry{*num("+14155550100", "a")}}, now)
	must(t, err)
	if p := get(t, s, "+14155550100"); p.Account.ID != "a" {
		t.Errorf("a complete document did not move the number: %+v", p)
	}
}

func tenants(t *testing.T, s store.Store) {
	put(t, s, account.OperatorTenant, acc("a"), num("+14155550100", "a"))
	_, err := change(t, s, other, acc("a"), num("+14155550100", "a"))
	invalidAt(t, err, "number: number +14155550100 belongs to somebody else already")
	if strings.Contains(err.Error(), account.OperatorTenant) {
		t.Errorf("the error names the tenant: %v", err)
	}
	if err := remove(t, s, other, account.KindNumber, "+14155550100"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("removing a number of another tenant: %v, want ErrNotFound", err)
	}
	mine := acc("a")
	mine.Name = "mine"
	put(t, s, other, mine, num("+14155550101", "a"))
	if p := get(t, s, "+14155550101"); p.Account.Name != "mine" || p.Account.Tenant != other {
		t.Errorf("profile is %+v", p.Account)
	}
	if p := get(t, s, "+14155550100"); p.Account.Name != "" || p.Account.Tenant != account.OperatorTenant {
		t.Errorf("profile is %+v", p.Account)
	}
	if c, err := s.Apply(t.Context(), account.Document{Tenant: other, Prune: true}, now); err != nil || len(c.Removed) != 2 {
		t.Errorf("changes are %+v, %v", c, err)
	}
	get(t, s, "+14155550100")
	if names, err := s.Tenants(t.Context()); err != nil || !slices.Equal(names, []string{account.OperatorTenant, other}) {
		t.Errorf("tenants are %q, %v", names, err)
	}
}

func operatorsPilots(t *testing.T, s store.Store) {
	put(t, s, account.OperatorTenant, &account.SystemEntry{FQDN: "vm.example.net", Transport: "tcp"}, pilot("*86", "vm.example.net"), pilot("*87", "vm.example.net"))
	put(t, s, other, acc("a"), withVoicemail("+14155550100", "a", "*86", ""))
	first := get(t, s, "+14155550100")
	if len(first.Systems) != 1 || first.Systems[0].Transport != "tcp" {
		t.Errorf("systems are %+v, want the operator's", first.Systems)
	}
	if err := remove(t, s, account.OperatorTenant, account.KindPilot, "*86"); !errors.Is(err, store.ErrInUse) {
		t.Errorf("removing a pilot that another tenant uses: %v, want ErrInUse", err)
	}
	// A tenant's own row of the same key counts for it alone; its pilot may name the operator's systems.
	put(t, s, other, &account.SystemEntry{FQDN: "own.example.net"}, pilot("*86", "own.example.net", "vm.example.net"))
	if p := get(t, s, "+14155550100"); len(p.Systems) != 2 || p.Systems[0].FQDN != "own.example.net" || p.Systems[1].Transport != "tcp" {
		t.Errorf("systems are %+v, want those of the tenant's own pilot", p.Systems)
	}
	// What the tenant says of a system does not count behind the operator's pilot.
	put(t, s, other, &account.SystemEntry{FQDN: "vm.example.net", Transport: "udp"})
	if p := get(t, s, "+14155550100"); p.Systems[1].Transport != "udp" {
		t.Errorf("systems are %+v, want the tenant's own row", p.Systems)
	}
	must(t, remove(t, s, other, account.KindPilot, "*86"))
	if p := get(t, s, "+14155550100"); len(p.Systems) != 1 || p.Systems[0].Transport != "tcp" {
		t.Errorf("systems are %+v, want the operator's again", p.Systems)
	}
	must(t, remove(t, s, account.OperatorTenant, account.KindPilot, "*87"))
}

func rules(t *testing.T, s store.Store) {
	rule := func(id, number string, order int) *account.RuleEntry {
		return &account.RuleEntry{Account: "a", ID: id, For: number, Order: order, Callers: account.CallersAll, Do: account.RuleRing}
	}
	put(t, s, other, acc("a"), num("+14155550100", "a"), num("+14155550101", "a"),
		rule("x", "", 2), rule("b", "", 1), rule("a", "", 1), rule("own", "+14155550101", 5))
	of := func(n tel.Number) string {
		var ids []string
		for _, r := range get(t, s, n).Rules {
			ids = append(ids, r.ID)
		}
		return strings.Join(ids, " ")
	}
	if got := of("+14155550100"); got != "a b x" {
		t.Errorf("rules of the account are %q", got)
	}
	if got := of("+14155550101"); got != "own" {
		t.Errorf("rules of the number are %q", got)
	}
}

func contacts(t *testing.T, s store.Store) {
	contact := func(id, of string, numbers ...string) *account.ContactEntry {
		return &account.ContactEntry{Account: of, ID: id, Numbers: numbers}
	}
	put(t, s, other, acc("a"), acc("b"), contact("x", "a", string(Alice), string(Bob)), contact("w", "a", string(Bob)), contact("x", "b", string(Bob)))
	with := func(n tel.Number) string {
		list, err := s.ContactsWith(t.Context(), other, "a", n)
		must(t, err)
		var ids []string
		for _, c := range list {
			ids = append(ids, c.ID)
		}
		return strings.Join(ids, " ")
	}
	if got := with(Bob); got != "w x" {
		t.Errorf("contacts with the number are %q", got)
	}
	for i, want := range []string{"x w", "w x"} {
		last := contact(want[:1], "a", string(Alice), string(Bob))
		last.Name = "changed"
		_, err := s.Change(t.Context(), other, []store.Change{{Op: store.Put, Entry: last}}, now.Add(time.Duration(i+1)*time.Minute))
		must(t, err)
		if got := with(Bob); got != want {
			t.Errorf("after %s was changed they are %q, want who was changed last first", last.ID, got)
		}
	}
	put(t, s, other, contact("w", "a", string(Bob)), contact("x", "a", string(Alice)))
	if got := with(Bob); got != "w" {
		t.Errorf("after one lost the number they are %q", got)
	}
	must(t, remove(t, s, other, account.KindContact, "a/x"))
	if got := with(Alice); got != "" {
		t.Errorf("after the contact was removed they are %q", got)
	}
}

func preview(t *testing.T, s store.Store) {
	apply(t, s, Small())
	before := revision(t, s)
	d := account.Document{Prune: true, Accounts: []account.AccountEntry{{ID: "alice", Name: "Other"}, {ID: "carol"}}}
	c, err := s.Preview(t.Context(), d, now)
	if err != nil || len(c.Added) != 1 || len(c.Changed) != 1 || len(c.Removed) != 6 {
		t.Errorf("changes are %+v, %v", c, err)
	}
	if revision(t, s) != before || get(t, s, Alice).Account.Name != "Alice Example" {
		t.Error("the preview changed something")
	}
	d.Numbers = []account.NumberEntry{*num(Bob, "nobody")}
	_, err = s.Preview(t.Context(), d, now)
	invalidAt(t, err, "numbers[0].account")
}

func touched(t *testing.T, s store.Store) {
	apply(t, s, Small())
	since := revision(t, s)
	put(t, s, account.OperatorTenant, &account.RuleEntry{Account: "bob", ID: "r", Callers: account.CallersAll, Do: account.RuleRing}, num("+14155550109", "bob"))
	must(t, remove(t, s, account.OperatorTenant, account.KindNumber, "+14155550109"))
	got, err := s.Touched(t.Context(), since)
	must(t, err)
	want := []store.Touch{{Tenant: "operator", Kind: account.KindAccount, Key: "bob"}, {Tenant: "operator", Kind: account.KindNumber, Key: "+14155550109"}}
	if got.All || got.Revision != revision(t, s) || len(got.Rows) != 2 || !slices.Contains(got.Rows, want[0]) || !slices.Contains(got.Rows, want[1]) {
		t.Errorf("touched are %+v, want %+v", got, want)
	}
	if got, err := s.Touched(t.Context(), got.Revision); err != nil || got.All || len(got.Rows) != 0 {
		t.Errorf("after the last revision: %+v, %v", got, err)
	}
	var many []account.Entry
	for i := range 201 {
		many = append(many, acc("many-"+strconv.Itoa(i)))
	}
	put(t, s, other, many...)
	if got, err := s.Touched(t.Context(), since); err != nil || !got.All || got.Revision != revision(t, s) {
		t.Errorf("after more than the log takes: %v, %v", got.All, err)
	}
	since = revision(t, s)
	for i := range 101 {
		e := acc("a")
		e.Name = strconv.Itoa(i)
		put(t, s, other, e)
	}
	if got, err := s.Touched(t.Context(), since); err != nil || !got.All {
		t.Errorf("from further back than the log goes: %+v, %v", got, err)
	}
	if got, err := s.Touched(t.Context(), since+1); err != nil || got.All || len(got.Rows) != 1 {
		t.Errorf("from where the log begins: %+v, %v", got, err)
	}
}

func versionsRise(t *testing.T, s store.Store) {
	put(t, s, account.OperatorTenant, &account.SystemEntry{FQDN: "vm.example.net"}, pilot("*86", "vm.example.net"))
	put(t, s, other, acc("a"), withVoicemail("+14155550100", "a", "*86", ""))
	version := get(t, s, "+14155550100").Version
	rises := func(what string) {
		t.Helper()
		if v := get(t, s, "+14155550100").Version; v <= version {
			t.Errorf("version is %d after %s, was %d", v, what, version)
		} else {
			version = v
		}
	}
	put(t, s, other, pilot("*86", "vm.example.net"))
	rises("the tenant got a pilot of its own")
	put(t, s, other, &account.RuleEntry{Account: "a", ID: "r", Callers: account.CallersAll, Do: account.RuleRing})
	rises("a rule came")
	must(t, remove(t, s, other, account.KindRule, "a/r"))
	rises("the rule went")
	must(t, remove(t, s, other, account.KindPilot, "*86"))
	rises("the tenant's own pilot went")
}
