package storetest

import (
	"errors"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/store"
	"github.com/signalbox/signalbox/internal/tel"
)

var lampTests = []test{
	{"LampIsTheSumOfSystemsAndNumbers", lampSum},
	{"SameCountsChangeNoLamp", lampSame},
	{"LampOfAPhoneThatIsMovedOrRemoved", lampMoved},
	{"LampOfTheNextSubscriberIsDark", lampNext},
	{"NumbersAreFoundByPhoneAndMailbox", lampNames},
	{"NotifiersAreThoseThatSayFromWhere", lampNotifiers},
}

func waits(number tel.Number, system string, unheard, heard int, at time.Time) store.Waiting {
	return store.Waiting{Number: number, System: system, Counts: store.Counts{New: unheard, Old: heard, UrgentNew: min(unheard, 1)}, At: at}
}

func lamp(t *testing.T, s store.Store, user, host string) store.Lamp {
	t.Helper()
	l, err := s.Lamp(t.Context(), user, host)
	must(t, err)
	return l
}

// changed names the phones whose lamp changed.
func changed(t *testing.T, s store.Store, since time.Time) (phones []string) {
	t.Helper()
	lamps, err := s.LampsChanged(t.Context(), since, "")
	must(t, err)
	for _, l := range lamps {
		phones = append(phones, store.PhoneKey(l.User, l.Host))
	}
	return phones
}

func lampSum(t *testing.T, s store.Store) {
	d := Small()
	d.Numbers[1].Devices[0].User = "1000" // one phone for both
	apply(t, s, d)
	if l := lamp(t, s, "1000", "pbx.example.net"); !l.Changed.IsZero() || l.Counts != (store.Counts{}) {
		t.Errorf("nobody said anything, the lamp is %+v", l)
	}
	if err := s.SetWaiting(t.Context(), waits("+14155559999", "vm-a.example.net", 1, 0, now)); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("counts of a number that nobody has: %v", err)
	}
	must(t, s.SetWaiting(t.Context(), waits(Alice, "vm-a.example.net", 2, 1, now)))
	must(t, s.SetWaiting(t.Context(), waits(Alice, store.LocalSystem+"fs1", 1, 0, now.Add(time.Second))))
	must(t, s.SetWaiting(t.Context(), waits(Bob, "vm-a.example.net", 0, 4, now.Add(2*time.Second))))
	l := lamp(t, s, "1000", "PBX.example.net")
	if want := (store.Counts{New: 3, Old: 5, UrgentNew: 2}); l.Counts != want || !l.Changed.Equal(now.Add(2*time.Second)) || l.Profile != "internal" {
		t.Errorf("lamp %+v, want %+v", l, want)
	}
	kept, err := s.WaitingOf(t.Context(), Alice)
	if err != nil || len(kept) != 2 || kept[0].System != store.LocalSystem+"fs1" || kept[1] != waits(Alice, "vm-a.example.net", 2, 1, now) {
		t.Errorf("kept of a number: %+v, %v", kept, err)
	}
}

func lampSame(t *testing.T, s store.Store) {
	apply(t, s, Small())
	must(t, s.SetWaiting(t.Context(), waits(Alice, "vm-a.example.net", 2, 1, now)))
	must(t, s.SetWaiting(t.Context(), waits(Alice, "vm-a.example.net", 2, 1, now.Add(time.Minute))))
	if got := changed(t, s, now.Add(time.Second)); len(got) != 0 {
		t.Errorf("the same counts again changed %v", got)
	}
	if got := changed(t, s, now); !slices.Equal(got, []string{"1000@pbx.example.net"}) {
		t.Errorf("changed are %v: a fixed address has no lamp", got)
	}
}

func lampMoved(t *testing.T, s store.Store) {
	apply(t, s, Small())
	must(t, s.SetWaiting(t.Context(), waits(Alice, "vm-a.example.net", 2, 1, now)))
	later := now.Add(time.Hour)
	d := Small()
	d.Numbers = d.Numbers[:1]
	d.Numbers[0].Devices = []account.DeviceEntry{{User: "2000", Host: "pbx.example.net"}}
	if _, err := s.Apply(t.Context(), d, later); err != nil {
		t.Fatal(err)
	}
	if got := changed(t, s, later); len(got) != 2 {
		t.Errorf("the old phone and the new one have to be told, changed are %v", got)
	}
	for after, want := range map[string][]string{"": {"1000", "2000"}, "1000@pbx.example.net": {"2000"}, "2000@pbx.example.net": {}} { // they changed at the same moment
		got, err := s.LampsChanged(t.Context(), later, after)
		must(t, err)
		if len(got) != len(want) || len(got) > 0 && got[0].User != want[0] {
			t.Errorf("behind %q changed are %+v, want %v", after, got, want)
		}
	}
	if l := lamp(t, s, "1000", "pbx.example.net"); l.Counts != (store.Counts{}) || l.Changed.IsZero() {
		t.Errorf("the old phone's lamp is %+v, want dark and changed", l)
	}
	if l := lamp(t, s, "2000", "pbx.example.net"); l.New != 2 {
		t.Errorf("the new phone's lamp is %+v", l)
	}
	if _, err := s.Change(t.Context(), account.OperatorTenant, []store.Change{{Op: store.Delete, Kind: account.KindNumber, Key: string(Alice)}}, later.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if l := lamp(t, s, "2000", "pbx.example.net"); l.Counts != (store.Counts{}) || !l.Changed.Equal(later.Add(time.Hour)) {
		t.Errorf("after the number was removed the lamp is %+v, want dark and changed", l)
	}
	apply(t, s, Small()) // 1000 is somebody's again
	for before, want := range map[time.Time]int{later: 0, later.Add(30 * 24 * time.Hour): 1} {
		if n, err := s.TrimLamps(t.Context(), before); err != nil || n != want {
			t.Errorf("%d phones are forgotten, %v, want %d", n, err, want)
		}
	}
	if l := lamp(t, s, "2000", "pbx.example.net"); !l.Changed.IsZero() {
		t.Errorf("the phone of nobody's is not forgotten: %+v", l)
	}
	if l := lamp(t, s, "1000", "pbx.example.net"); l.Changed.IsZero() {
		t.Error("a phone of somebody's is forgotten")
	}
}

// lampNext gives a number with messages to another account, by a change that names its version. The phone stays.
func lampNext(t *testing.T, s store.Store) {
	apply(t, s, Small())
	must(t, s.SetWaiting(t.Context(), waits(Alice, "vm-a.example.net", 2, 1, now)))
	row, err := s.Get(t.Context(), account.OperatorTenant, account.KindNumber, string(Alice))
	must(t, err)
	e := *row.Entry.(*account.NumberEntry)
	e.Account = "bob"
	later := now.Add(time.Hour)
	if _, err := s.Change(t.Context(), account.OperatorTenant, []store.Change{{Op: store.Put, Entry: &e, IfVersion: &row.Version}}, later); err != nil {
		t.Fatal(err)
	}
	if l := lamp(t, s, "1000", "pbx.example.net"); l.Counts != (store.Counts{}) || !l.Changed.Equal(later) {
		t.Errorf("the next subscriber's lamp is %+v, want dark and changed", l)
	}
	if kept, err := s.WaitingOf(t.Context(), Alice); err != nil || len(kept) != 0 {
		t.Errorf("of his messages is kept %+v, %v", kept, err)
	}
}

func lampNames(t *testing.T, s store.Store) {
	d := Small()
	d.Numbers[0].Voicemail.Mailbox = "box-1"
	apply(t, s, d)
	if got, err := s.NumbersOf(t.Context(), "1000", "PBX.EXAMPLE.NET"); err != nil || !slices.Equal(got, []tel.Number{Alice}) {
		t.Errorf("numbers of Alice's phone: %v, %v", got, err)
	}
	if got, err := s.NumbersOf(t.Context(), "desk", "192.0.2.7"); err != nil || len(got) != 0 {
		t.Errorf("a fixed address is no registered phone, but has %v, %v", got, err)
	}
	for tenant, want := range map[string]tel.Number{"": Alice, account.OperatorTenant: Alice, "acme": ""} {
		got, err := s.NumberOfMailbox(t.Context(), tenant, "box-1")
		if got != want || (want == "") != errors.Is(err, store.ErrNotFound) {
			t.Errorf("mailbox for tenant %q: %q, %v", tenant, got, err)
		}
	}
	if _, err := s.NumberOfMailbox(t.Context(), "", "box-2"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a mailbox that nobody has: %v", err)
	}
}

func lampNotifiers(t *testing.T, s store.Store) {
	d := Small()
	d.VoicemailSystems[1].Notifies = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/28")}
	apply(t, s, d)
	got, err := s.Notifiers(t.Context())
	if err != nil || len(got) != 1 || got[0].FQDN != "vm-b.example.net" || got[0].Tenant != account.OperatorTenant || !slices.Equal(got[0].From, d.VoicemailSystems[1].Notifies) {
		t.Errorf("notifiers %+v, %v", got, err)
	}
}
