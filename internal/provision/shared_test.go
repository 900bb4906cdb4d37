package provision_test

import (
	"context"
	"net/http"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/provision"
	"github.com/signalbox/signalbox/internal/store"
	"github.com/signalbox/signalbox/internal/vmadmin"
)

// sweeping is the store of a process that looks after mailboxes alone: somebody else does the requests.
type sweeping struct{ store.Store }

func (sweeping) ClaimRequests(context.Context, string, bool, time.Time, time.Time, int) ([]store.Request, error) {
	return nil, nil
}

// working is the store of a process that does requests alone. before is called before rows are written.
type working struct {
	store.Store
	before func()
}

func (working) DueMailboxes(context.Context, time.Time, int) ([]store.Mailbox, error) {
	return nil, nil
}

func (w working) Change(ctx context.Context, tenant string, changes []store.Change, now time.Time) ([]store.Row, error) {
	if w.before != nil {
		w.before()
	}
	return w.Store.Change(ctx, tenant, changes, now)
}

// two is a desk whose Provisioner does requests, and a second one, in another process, that looks after mailboxes from sweep on.
func two(t *testing.T, before func()) (d *desk, sweep func()) {
	t.Helper()
	d = newDesk(t, func(o *provision.Options) {
		w := working{o.Mailboxes.(store.Store), before}
		o.Rows, o.Mailboxes, o.Instance, o.Exclusive = w, w, "one", false
	})
	return d, func() {
		o := options(t, sweeping{d.store}, d.west, d.east)
		o.Instance, o.Exclusive = "two", false
		start(t, o)
	}
}

// late holds the next PUT at a system until release, and says so.
func (d *desk) late() (held chan struct{}, release func()) {
	held = make(chan struct{})
	goOn := make(chan struct{})
	var once atomic.Bool
	d.west.FailWith(func(method, _ string) int {
		if method == http.MethodPut && once.CompareAndSwap(false, true) {
			close(held)
			<-goOn
		}
		return 0
	})
	return held, func() { close(goOn) }
}

// settled reports whether nothing is due any more of a user's mailboxes, and that they are in a state.
func (d *desk) settled(user string, state store.MailboxState) bool {
	kept, err := d.store.MailboxesOf(d.t.Context(), "acme", user)
	return err == nil && !slices.ContainsFunc(kept, func(m store.Mailbox) bool { return m.State != state || !m.Due.IsZero() })
}

// closed waits until the systems of a user who was removed have understood.
func (d *desk) closed(user string) {
	d.t.Helper()
	eventually(d.t, "the mailboxes are closed", func() bool {
		kept, err := d.store.MailboxesOf(d.t.Context(), "acme", user)
		return err == nil && len(kept) > 0 && !slices.ContainsFunc(kept, func(m store.Mailbox) bool { return m.State != store.MailboxRetained || !m.Due.After(time.Now()) })
	})
}

// One process is about to say that a removed subscriber's mailbox takes no messages, and hangs; another gives the number away meanwhile.
func TestWhatAnotherProcessToldLateIsToldAgain(t *testing.T) {
	t.Parallel()
	d, sweep := two(t, nil)
	d.submit(add("r1", alice))
	d.submit(provision.Request{ID: "r2", Action: provision.Remove, UserProfile: "u-1001"})
	held, release := d.late()
	sweep()
	<-held
	r := add("r3", alice)
	r.UserProfile = "u-2"
	status := d.submit(r)
	if m, _ := d.west.Mailbox(alice); status.Status != provision.Done || m.State != vmadmin.Active {
		t.Fatalf("the next subscriber's mailbox is %+v; the request is %+v", m, status)
	}
	release()
	eventually(t, "the mailbox takes messages again", func() bool {
		puts := slices.DeleteFunc(d.west.Requests(), func(r string) bool { return r != "PUT "+alice })
		m, _ := d.west.Mailbox(alice)
		return len(puts) == 4 && m.State == vmadmin.Active && d.settled("u-2", store.MailboxActive) // made, closed late, made, told again
	})
}

// The same, and the request that gives the number away fails: the mailbox that the late word made again is nobody's.
func TestWhatAnotherProcessToldLateLeavesNoOrphan(t *testing.T) {
	t.Parallel()
	d, sweep := two(t, nil)
	d.submit(add("r1", alice))
	d.submit(provision.Request{ID: "r2", Action: provision.Remove, UserProfile: "u-1001"})
	held, release := d.late()
	sweep()
	<-held
	d.east.FailWith(func(method, _ string) int {
		if method == http.MethodPut {
			return http.StatusConflict
		}
		return 0
	})
	r := add("r3", alice)
	r.UserProfile = "u-2"
	status := d.submit(r)
	if _, there := d.west.Mailbox(alice); status.Status != "failed: voicemail" || there {
		t.Fatalf("the request is %+v; there is a mailbox: %v", status, there)
	}
	release()
	eventually(t, "the mailbox is made once more, and deleted", func() bool {
		_, there := d.west.Mailbox(alice)
		_, err := d.store.Mailbox(t.Context(), west, alice)
		return d.west.Made(alice) == 3 && !there && err != nil
	})
}

// A request has a mailbox suspended, and before it says so in the mailbox's row another process tells the system what that says.
func TestRequestThatIsOvertakenTellsAgain(t *testing.T) {
	t.Parallel()
	var between func()
	d, sweep := two(t, func() {
		if do := between; do != nil {
			between = nil
			do()
		}
	})
	d.submit(add("r1", alice))
	m, err := d.store.Mailbox(t.Context(), west, alice)
	if err != nil {
		t.Fatal(err)
	}
	m.Due = time.Now() // as after a request that was undone
	if _, err := d.store.SaveMailbox(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	between = func() {
		sweep()
		eventually(t, "the system is told of a mailbox that takes messages", func() bool { return d.settled("u-1001", store.MailboxActive) })
	}
	d.submit(provision.Request{ID: "r2", Action: provision.Suspend, UserProfile: "u-1001"})
	eventually(t, "the mailbox takes none", func() bool {
		m, _ := d.west.Mailbox(alice)
		return m.State == vmadmin.Suspended && d.settled("u-1001", store.MailboxSuspended)
	})
}

// TestReconciliationPassesOverWhatIsDoneMeanwhile has a number given away while the mailboxes of one system are listed.
func TestReconciliationPassesOverWhatIsDoneMeanwhile(t *testing.T) {
	t.Parallel()
	d := newDesk(t, nil)
	d.submit(add("r1", alice))
	d.submit(provision.Request{ID: "r2", Action: provision.Remove, UserProfile: "u-1001"})
	d.closed("u-1001")
	if _, err := d.store.Apply(t.Context(), account.Document{Tenant: "acme", Accounts: []account.AccountEntry{{ID: "u-2"}},
		Numbers: []account.NumberEntry{{Number: alice, Account: "u-2", Voicemail: &account.VoicemailEntry{Pilot: pilot}}}}, time.Now()); err != nil {
		t.Fatal(err)
	}
	var once atomic.Bool
	d.east.FailWith(func(method, id string) int {
		if method == http.MethodGet && id == "" && once.CompareAndSwap(false, true) {
			r := add("r3", alice, bob)
			r.UserProfile = "u-2"
			d.submit(r)
		}
		return 0
	})
	d.reconcile(provision.ReconcileOptions{Repair: true})
	for _, id := range []string{alice, bob} {
		for at, system := range map[string]interface {
			Mailbox(string) (vmadmin.Mailbox, bool)
			Made(string) int
		}{west: d.west, east: d.east} {
			if m, there := system.Mailbox(id); !there || m.State != vmadmin.Active || id == alice && system.Made(id) != 2 {
				t.Errorf("%s has %+v, %v, made %d times", at, m, there, system.Made(id))
			}
		}
	}
	d.expect(provision.ReconcileOptions{})
}

// full is a store that takes nothing of mailboxes.
type full struct{ store.Store }

func (full) SaveMailbox(context.Context, store.Mailbox) (store.Mailbox, error) {
	return store.Mailbox{}, store.ErrUnavailable
}

func TestStoreThatTakesNothingIsNotAskedAllTheTime(t *testing.T) {
	t.Parallel()
	d, _ := two(t, nil)
	d.submit(add("r1", alice))
	d.submit(provision.Request{ID: "r2", Action: provision.Remove, UserProfile: "u-1001"})
	before := len(d.west.Requests())
	held, release := d.late()
	start(t, options(t, sweeping{full{d.store}}, d.west, d.east))
	<-held
	release()
	<-time.After(200 * time.Millisecond)
	if told := len(d.west.Requests()) - before; told > 2 {
		t.Errorf("the system was told %d times in a moment", told)
	}
}
