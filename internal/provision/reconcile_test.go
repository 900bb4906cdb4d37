package provision_test

import (
	"context"
	"errors"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/provision"
	"github.com/signalbox/signalbox/internal/store"
	"github.com/signalbox/signalbox/internal/vmadmin"
)

// reconcile reconciles and returns each difference as "kind mailbox at system", sorted.
func (d *desk) reconcile(opt provision.ReconcileOptions) (provision.Reconciliation, []string) {
	d.t.Helper()
	var found []string
	opt.Each = func(x provision.Difference) {
		system, _, _ := strings.Cut(x.FQDN, ".")
		found = append(found, strings.TrimSpace(string(x.Kind)+" "+x.Mailbox+" "+system))
		if opt.Repair && x.Repaired == (x.Problem != "") {
			d.t.Errorf("neither repaired nor said why: %+v", x)
		}
	}
	r, err := d.Reconcile(d.t.Context(), opt)
	if err != nil {
		d.t.Fatal(err)
	}
	slices.Sort(found)
	return r, found
}

func (d *desk) expect(opt provision.ReconcileOptions, want ...string) provision.Reconciliation {
	d.t.Helper()
	r, found := d.reconcile(opt)
	if !slices.Equal(found, want) {
		d.t.Errorf("found %q, want %q", found, want)
	}
	return r
}

// TestReconciliationFindsThreeAndRepairs is VM-A20.
func TestReconciliationFindsThreeAndRepairs(t *testing.T) {
	t.Parallel()
	d := newDesk(t, nil)
	d.submit(add("r1", alice))
	d.submit(provision.Request{ID: "r2", UserProfile: "u-2", Numbers: []string{bob}, Services: []provision.Service{{Type: "voicemail"}}})
	d.expect(provision.ReconcileOptions{})

	d.west.Drop(alice)                                                                                               // profile without mailbox
	d.west.Store(vmadmin.Mailbox{ID: "+14155550199", Number: "+14155550199", State: vmadmin.Active, Class: "basic"}) // mailbox without profile
	d.west.Store(vmadmin.Mailbox{ID: bob, Number: bob, State: vmadmin.Suspended, Class: "basic"})                    // nobody asked for that
	if _, err := d.store.Apply(t.Context(), account.Document{Pilots: []account.PilotEntry{{Number: pilot, Systems: []account.PilotSystemEntry{{FQDN: west}}}}}, time.Now()); err != nil {
		t.Fatal(err) // wrong system: the pilot does not lead to the east any more
	}
	all := []string{
		"mailbox-differs " + bob + " vms-west",
		"mailbox-without-profile +14155550199 vms-west",
		"profile-without-mailbox " + alice + " vms-west",
		"wrong-system " + alice + " vms-east",
		"wrong-system " + bob + " vms-east",
	}
	r := d.expect(provision.ReconcileOptions{}, all...)
	if r.Left() != 5 || r.Numbers != 2 || r.Mailboxes != 4 {
		t.Errorf("the report is %+v", r)
	}
	d.expect(provision.ReconcileOptions{}, all...) // looking changes nothing
	if r := d.expect(provision.ReconcileOptions{Repair: true}, all...); r.Left() != 0 || r.Repaired != 5 {
		t.Errorf("repaired: %+v", r)
	}
	d.expect(provision.ReconcileOptions{})
	for _, id := range []string{alice, bob} {
		if m, there := d.west.Mailbox(id); !there || m.State != vmadmin.Active {
			t.Errorf("the west has %+v, %v", m, there)
		}
		if m, _ := d.east.Mailbox(id); m.State != vmadmin.Suspended {
			t.Errorf("the mailbox that nobody reaches is %+v; its messages shall stay for the retention", m)
		}
	}
	if m, _ := d.west.Mailbox("+14155550199"); m.State != vmadmin.Suspended {
		t.Errorf("the stray mailbox is %+v", m)
	}
}

func TestReconciliationMakesMailboxesOfAppliedNumbers(t *testing.T) {
	t.Parallel()
	d := newDesk(t, nil)
	_, err := d.store.Apply(t.Context(), account.Document{Tenant: "acme", Accounts: []account.AccountEntry{{ID: "a", State: account.Suspended}},
		Numbers: []account.NumberEntry{{Number: alice, Account: "a", Voicemail: &account.VoicemailEntry{Pilot: pilot, Mailbox: "box-7"}},
			{Number: bob, Account: "a", Voicemail: &account.VoicemailEntry{Pilot: pilot, Mailbox: "box-7"}}}}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	d.expect(provision.ReconcileOptions{Repair: true}, "profile-without-mailbox box-7 vms-east", "profile-without-mailbox box-7 vms-west")
	if m, _ := d.west.Mailbox("box-7"); m.State != vmadmin.Suspended || m.Number != alice {
		t.Errorf("the mailbox of two lines is %+v", m)
	}
	d.expect(provision.ReconcileOptions{})
}

func TestReconciliationTakesNoMailboxOfOthers(t *testing.T) {
	t.Parallel()
	d := newDesk(t, nil)
	d.submit(add("r1", alice))
	d.west.Store(vmadmin.Mailbox{ID: bob, Number: "+14155550177", State: vmadmin.Active, Class: "basic"})
	if _, err := d.store.Apply(t.Context(), account.Document{Tenant: "acme", Accounts: []account.AccountEntry{{ID: "b"}},
		Numbers: []account.NumberEntry{{Number: bob, Account: "b", Voicemail: &account.VoicemailEntry{Pilot: pilot}}}}, time.Now()); err != nil {
		t.Fatal(err)
	}
	r := d.expect(provision.ReconcileOptions{Repair: true}, "mailbox-differs "+bob+" vms-west", "profile-without-mailbox "+bob+" vms-east")
	if m, _ := d.west.Mailbox(bob); r.Left() != 1 || m.Number != "+14155550177" {
		t.Errorf("somebody else's messages are %+v now; %+v", m, r)
	}

	// A mailbox that is kept for a former subscriber is deleted for the next one, messages and all.
	d.submit(provision.Request{ID: "r2", Action: provision.Remove, UserProfile: "u-1001"})
	d.closed("u-1001")
	d.expect(provision.ReconcileOptions{}, "mailbox-differs "+bob+" vms-west") // and is no difference as long as nobody has the number
	if _, err := d.store.Apply(t.Context(), account.Document{Tenant: "acme", Accounts: []account.AccountEntry{{ID: "c"}},
		Numbers: []account.NumberEntry{{Number: alice, Account: "c", Voicemail: &account.VoicemailEntry{Pilot: pilot}}}}, time.Now()); err != nil {
		t.Fatal(err)
	}
	d.reconcile(provision.ReconcileOptions{Repair: true})
	if m, _ := d.west.Mailbox(alice); d.west.Made(alice) != 2 || m.State != vmadmin.Active {
		t.Errorf("made %d times, %+v", d.west.Made(alice), m)
	}
}

func TestReconciliationOfSystemsThatDoNotAnswer(t *testing.T) {
	t.Parallel()
	d := newDesk(t, nil)
	d.submit(add("r1", alice))
	d.west.Drop(alice)
	d.east.Drop(alice)
	d.west.FailWith(func(string, string) int { return http.StatusServiceUnavailable })
	r := d.expect(provision.ReconcileOptions{Repair: true}, "profile-without-mailbox "+alice+" vms-east")
	if len(r.NotLooked) != 1 || !strings.Contains(r.NotLooked[0], west) {
		t.Errorf("not looked at: %q", r.NotLooked)
	}

	// One that lists and takes nothing: the difference stays, with the reason.
	d.west.FailWith(func(method, _ string) int {
		if method == http.MethodPut {
			return http.StatusForbidden
		}
		return 0
	})
	r = d.expect(provision.ReconcileOptions{Repair: true}, "profile-without-mailbox "+alice+" vms-west")
	if r.Left() != 1 || len(r.NotLooked) != 0 {
		t.Errorf("the report is %+v", r)
	}
}

func TestReconciliationForgetsWhatNobodyHas(t *testing.T) {
	t.Parallel()
	d := newDesk(t, nil)
	now := time.Now()
	if _, err := d.store.SaveMailbox(t.Context(), store.Mailbox{FQDN: west, ID: "gone", Tenant: "acme", User: "u", Number: alice, Class: "basic", State: store.MailboxActive, Updated: now}); err != nil {
		t.Fatal(err)
	}
	d.expect(provision.ReconcileOptions{Repair: true}, "record-without-mailbox gone vms-west")
	if m, err := d.store.Mailbox(t.Context(), west, "gone"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("it is still remembered: %+v, %v", m, err)
	}
}

func TestReconciliationAsksTheDirectory(t *testing.T) {
	t.Parallel()
	d := newDesk(t, nil)
	device := func(user string) account.DeviceEntry { return account.DeviceEntry{User: user, Host: "pbx.example.net"} }
	if _, err := d.store.Apply(t.Context(), account.Document{Accounts: []account.AccountEntry{{ID: "a"}},
		Numbers: []account.NumberEntry{{Number: alice, Account: "a", Devices: []account.DeviceEntry{device("1000"), device("1001")}}}}, time.Now()); err != nil {
		t.Fatal(err)
	}
	var asked []string
	knows := func(_ context.Context, user, host string) (bool, error) {
		asked = append(asked, user+"@"+host)
		return user == "1000", nil
	}
	r := d.expect(provision.ReconcileOptions{Repair: true, KnowsPhone: knows}, "phone-without-user")
	if want := []string{"1000@pbx.example.net", "1001@pbx.example.net"}; !reflect.DeepEqual(asked, want) || r.Left() != 1 {
		t.Errorf("asked for %q, %+v", asked, r)
	}
	r = d.expect(provision.ReconcileOptions{KnowsPhone: func(context.Context, string, string) (bool, error) { return false, errors.New("no link") }})
	if len(r.NotLooked) != 1 {
		t.Errorf("a switch that cannot be asked knows everybody: %+v", r)
	}
}
