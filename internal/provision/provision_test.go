package provision_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/provision"
	"github.com/signalbox/signalbox/internal/store"
	"github.com/signalbox/signalbox/internal/store/postgres"
	"github.com/signalbox/signalbox/internal/store/postgres/pgtest"
	"github.com/signalbox/signalbox/internal/store/sqlite"
	"github.com/signalbox/signalbox/internal/tel"
	"github.com/signalbox/signalbox/internal/vmadmin"
	"github.com/signalbox/signalbox/internal/vmadmin/vmadmintest"
	"github.com/signalbox/signalbox/internal/webhook"
)

const (
	alice = "+14155550100"
	bob   = "+14155550101"
	pilot = "+18056377243"
	west  = "vms-west.vm.example.net"
	east  = "vms-east.vm.example.net"
)

// desk is a Provisioner with a store and two voicemail systems.
type desk struct {
	*provision.Provisioner
	t          *testing.T
	store      store.Store
	west, east *vmadmintest.Server
}

func TestMain(m *testing.M) { os.Exit(pgtest.Run(m)) }

const postgresTests = "TestOnPostgreSQL"

// TestOnPostgreSQL is the same with the other store.
func TestOnPostgreSQL(t *testing.T) {
	for name, test := range map[string]func(*testing.T){
		"changed number": TestNumberChangesAndTheMailboxStays, "former subscriber": TestMailboxOfAFormerSubscriberIsNobodyElses, "retention": TestMailboxIsDeletedAfterTheRetention,
		"moved pilot": TestMovedPilotMovesMailboxesWithTheNextRequest, "undone": TestUndoneRequestLeavesNothing, "transient failure": TestTransientFailureIsTriedAgain,
		"order": TestRequestsOfOneUserAreDoneInOrder, "death": TestDeathAtEveryWrite, "reconciliation": TestReconciliationFindsThreeAndRepairs,
		"reconciliation of others": TestReconciliationTakesNoMailboxOfOthers,
	} {
		t.Run(name, test)
	}
}

// anywhere opens a store, PostgreSQL in the tests of postgresTests and else SQLite, with the operator's pilot and systems.
func anywhere(t *testing.T) store.Store {
	t.Helper()
	var s store.Store
	var err error
	if strings.HasPrefix(t.Name(), postgresTests) {
		s, err = postgres.Open(t.Context(), postgres.Options{DSN: pgtest.Of(t).New(t)})
	} else {
		s, err = sqlite.Open(t.Context(), sqlite.Options{Path: filepath.Join(t.TempDir(), "signalbox.db")})
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Shut() })
	_, err = s.Apply(t.Context(), account.Document{
		VoicemailSystems: []account.SystemEntry{{FQDN: west}, {FQDN: east}},
		Pilots:           []account.PilotEntry{{Number: pilot, Systems: []account.PilotSystemEntry{{FQDN: west, Priority: 10}, {FQDN: east, Priority: 20}}}},
	}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func options(t *testing.T, s provision.Store, w, e *vmadmintest.Server) provision.Options {
	t.Helper()
	systems := vmadmin.Systems{}
	for fqdn, server := range map[string]*vmadmintest.Server{west: w, east: e} {
		system, err := vmadmin.New(vmadmin.Options{FQDN: fqdn, URL: server.Base(), Token: vmadmintest.Token})
		if err != nil {
			t.Fatal(err)
		}
		systems[fqdn] = system
	}
	return provision.Options{Rows: s, Profiles: s, Requests: s, Mailboxes: s, Systems: systems, Retention: time.Hour, Instance: "test", Exclusive: true}
}

func newDesk(t *testing.T, change func(*provision.Options)) *desk {
	t.Helper()
	d := &desk{t: t, store: anywhere(t), west: vmadmintest.New(), east: vmadmintest.New()}
	t.Cleanup(d.west.Close)
	t.Cleanup(d.east.Close)
	o := options(t, d.store, d.west, d.east)
	if change != nil {
		change(&o)
	}
	d.Provisioner = start(t, o)
	return d
}

// start runs a Provisioner until the test ends.
func start(t *testing.T, o provision.Options) *provision.Provisioner {
	t.Helper()
	p, err := provision.New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return p
}

// submit sends a request and waits until it is finished.
func (d *desk) submit(r provision.Request) provision.Status {
	d.t.Helper()
	if _, err := d.Submit(d.t.Context(), "acme", r); err != nil {
		d.t.Fatalf("request %s: %v", r.ID, err)
	}
	return wait(d.t, d.Provisioner, r.ID)
}

func wait(t *testing.T, p *provision.Provisioner, id string) provision.Status {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	status, err := p.Wait(ctx, "acme", id)
	if err != nil {
		t.Fatal(err)
	}
	if status.Finished.IsZero() {
		t.Fatalf("request %s does not end: %+v", id, status)
	}
	return status
}

func add(id string, numbers ...string) provision.Request {
	return provision.Request{ID: id, UserProfile: "u-1001", Numbers: numbers, Services: []provision.Service{{Type: "voicemail"}, {Type: "sms"}}}
}

// profile is what a call to a number reads; nil = nobody owns it.
func (d *desk) profile(number string) *account.Profile {
	d.t.Helper()
	got, err := d.store.Profile(d.t.Context(), tel.Number(number))
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		d.t.Fatal(err)
	}
	return &got
}

// eventually waits for a fact.
func eventually(t *testing.T, what string, fact func() bool) {
	t.Helper()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for end := time.Now().Add(15 * time.Second); time.Now().Before(end); <-again.C {
		if fact() {
			return
		}
	}
	t.Fatalf("not so after 15 s: %s", what)
}

func TestNumberChangesAndTheMailboxStays(t *testing.T) {
	t.Parallel()
	d := newDesk(t, nil)
	d.submit(add("r1", alice))
	if _, err := d.store.Change(t.Context(), "acme", []store.Change{{Op: store.Put, Entry: &account.RuleEntry{Account: "u-1001", ID: "r", For: alice, Callers: account.CallersAll, Do: account.RuleVoicemail}}}, time.Now()); err != nil {
		t.Fatal(err)
	}
	status := d.submit(provision.Request{ID: "r2", Action: provision.ChangeNumber, UserProfile: "u-1001", Numbers: []string{alice}, NewNumber: bob})
	if status.Status != provision.Done || status.Profile.Version != 2 || !slices.Equal(status.Profile.Numbers, []string{bob}) {
		t.Fatalf("status %+v", status)
	}
	if p := d.profile(alice); p != nil {
		t.Errorf("the old number is still somebody's: %+v", p)
	}
	p := d.profile(bob)
	if p == nil || p.Voicemail == nil || p.Voicemail.Mailbox != alice || len(p.Rules) != 1 {
		t.Fatalf("the new number has %+v", p)
	}
	if m, _ := d.west.Mailbox(alice); m.Number != bob || d.west.Made(alice) != 1 {
		t.Errorf("the mailbox is %+v, made %d times", m, d.west.Made(alice))
	}
	// The old number is given to somebody else, who gets a mailbox of another name.
	status = d.submit(provision.Request{ID: "r3", UserProfile: "u-2", Numbers: []string{alice}, Services: []provision.Service{{Type: "voicemail"}}})
	if p := d.profile(alice); status.Status != provision.Done || p == nil || p.Voicemail.Mailbox != alice+"-2" {
		t.Errorf("the next subscriber of the old number has %+v, %+v", p, status)
	}
	if m, _ := d.west.Mailbox(alice + "-2"); m.Number != alice {
		t.Errorf("whose mailbox is %+v", m)
	}
}

func TestMailboxOfAFormerSubscriberIsNobodyElses(t *testing.T) {
	t.Parallel()
	d := newDesk(t, nil)
	d.submit(add("r1", alice))
	d.submit(provision.Request{ID: "r2", Action: provision.Remove, UserProfile: "u-1001"})
	eventually(t, "the mailbox is closed", func() bool { m, _ := d.west.Mailbox(alice); return m.State == vmadmin.Suspended })
	// The same subscriber comes back and finds the messages.
	d.submit(add("r3", alice))
	if m, _ := d.west.Mailbox(alice); m.State != vmadmin.Active || d.west.Made(alice) != 1 {
		t.Errorf("the mailbox is %+v, made %d times", m, d.west.Made(alice))
	}
	d.submit(provision.Request{ID: "r4", Action: provision.Remove, UserProfile: "u-1001"})
	r := add("r5", alice)
	r.UserProfile = "u-2"
	if status := d.submit(r); status.Status != provision.Done || d.west.Made(alice) != 2 {
		t.Errorf("the next subscriber has the mailbox of the former one: %+v", status)
	}
}

// The sweeper is about to say that a removed subscriber's mailbox takes no messages, and hangs; meanwhile the number is given away.
func TestWhatWasToldOfAFormerSubscriberDoesNotArriveLate(t *testing.T) {
	t.Parallel()
	d := newDesk(t, nil)
	d.submit(add("r1", alice))
	told, goOn := make(chan struct{}), make(chan struct{})
	var hangs atomic.Bool
	d.west.FailWith(func(method, _ string) int {
		if method == http.MethodPut && hangs.CompareAndSwap(false, true) {
			close(told)
			<-goOn
		}
		return 0
	})
	d.submit(provision.Request{ID: "r2", Action: provision.Remove, UserProfile: "u-1001"})
	<-told
	r := add("r3", alice)
	r.UserProfile = "u-2"
	if _, err := d.Submit(t.Context(), "acme", r); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if status, err := d.Wait(ctx, "acme", "r3"); err == nil && status.Status == provision.Done {
		t.Errorf("the number is given away while its system is still told of the former subscriber: %+v", status)
	}
	close(goOn)
	status := wait(t, d.Provisioner, "r3")
	if m, _ := d.west.Mailbox(alice); status.Status != provision.Done || m.State != vmadmin.Active || d.west.Made(alice) != 2 {
		t.Errorf("the next subscriber's mailbox is %+v, made %d times; the request is %+v", m, d.west.Made(alice), status)
	}
}

func TestMailboxIsDeletedAfterTheRetention(t *testing.T) {
	t.Parallel()
	lamps := make(chan string, 10)
	d := newDesk(t, func(o *provision.Options) {
		o.Retention = 0
		o.ClearLamp = func(_ context.Context, tenant, number string) error { lamps <- tenant + " " + number; return nil }
	})
	d.submit(add("r1", alice))
	refuse := true
	var mu sync.Mutex
	d.west.FailWith(func(method, _ string) int {
		mu.Lock()
		defer mu.Unlock()
		if method == http.MethodDelete && refuse {
			refuse = false
			return http.StatusForbidden // is tried again later all the same
		}
		return 0
	})
	d.submit(provision.Request{ID: "r2", Action: provision.Remove, UserProfile: "u-1001", Services: []provision.Service{{Type: "voicemail"}}})
	if got := <-lamps; got != "acme "+alice {
		t.Errorf("the lamp of %s went out", got)
	}
	eventually(t, "both mailboxes are gone", func() bool { return len(d.west.Mailboxes())+len(d.east.Mailboxes()) == 0 })
	eventually(t, "both are forgotten", func() bool {
		m, err := d.store.MailboxesOf(t.Context(), "acme", "u-1001")
		return err == nil && len(m) == 0
	})
	if p := d.profile(alice); p == nil || p.Voicemail != nil || !slices.Equal(p.Account.Services, []string{"sms"}) {
		t.Errorf("left is %+v", p)
	}
}

func TestMovedPilotMovesMailboxesWithTheNextRequest(t *testing.T) {
	t.Parallel()
	d := newDesk(t, nil)
	d.submit(add("r1", alice))
	_, err := d.store.Apply(t.Context(), account.Document{Pilots: []account.PilotEntry{{Number: pilot, Systems: []account.PilotSystemEntry{{FQDN: east}}}}}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if status := d.submit(add("r2", alice)); status.Profile.Version != 1 {
		t.Errorf("nothing changed, and the version is %d", status.Profile.Version)
	}
	eventually(t, "the mailbox at the former system takes no messages", func() bool { m, _ := d.west.Mailbox(alice); return m.State == vmadmin.Suspended })
	if m, _ := d.east.Mailbox(alice); m.State != vmadmin.Active {
		t.Errorf("at the new one it is %+v", m)
	}
}

// TestUndoneRequestLeavesNothing has the second voicemail system fail, after the first one made the mailbox.
func TestUndoneRequestLeavesNothing(t *testing.T) {
	t.Parallel()
	d := newDesk(t, nil)
	d.east.FailWith(func(string, string) int { return http.StatusConflict })
	status := d.submit(add("r1", alice))
	if status.Status != "failed: voicemail" || !strings.Contains(status.Reason, "made to fail") || status.Profile != nil {
		t.Errorf("status %+v", status)
	}
	want := []provision.ServiceResult{
		{Type: "voicemail", Status: provision.Failed, Reason: status.Reason},
		{Type: "sms", Status: provision.NotDone, Reason: "a request is done in whole or not at all, and voicemail failed"},
	}
	if !reflect.DeepEqual(status.Services, want) {
		t.Errorf("services %+v", status.Services)
	}
	if len(status.Steps) != 2 || status.Steps[0].Status != provision.Undone || status.Steps[1].Status != provision.Failed {
		t.Errorf("steps %+v", status.Steps)
	}
	eventually(t, "the mailbox that was made is gone again", func() bool { return len(d.west.Mailboxes()) == 0 })
	if p := d.profile(alice); p != nil {
		t.Errorf("a profile stays: %+v", p)
	}
	d.east.FailWith(nil)
	if _, err := d.Retry(t.Context(), "acme", "r1"); err != nil {
		t.Fatal(err)
	}
	if status := wait(t, d.Provisioner, "r1"); status.Status != provision.Done || status.Profile.Version != 1 {
		t.Errorf("tried again: %+v", status)
	}
	// A failed one that is old news is not tried again.
	d.east.FailWith(func(string, string) int { return http.StatusConflict })
	d.submit(provision.Request{ID: "r2", Action: provision.Suspend, UserProfile: "u-1001"})
	d.east.FailWith(nil)
	d.submit(provision.Request{ID: "r3", Action: provision.Change, UserProfile: "u-1001", Name: "Alice"})
	if _, err := d.Retry(t.Context(), "acme", "r2"); !errors.Is(err, provision.ErrNewer) {
		t.Errorf("trying an old one again: %v", err)
	}
	if m, _ := d.west.Mailbox(alice); m.State != vmadmin.Active {
		t.Errorf("the suspension that failed left %+v", m)
	}
}

// TestTransientFailureIsTriedAgain has a voicemail system hiccup twice.
func TestTransientFailureIsTriedAgain(t *testing.T) {
	t.Parallel()
	d := newDesk(t, nil)
	var mu sync.Mutex
	tries := 0
	d.west.FailWith(func(string, string) int {
		mu.Lock()
		defer mu.Unlock()
		if tries++; tries < 3 {
			return http.StatusServiceUnavailable
		}
		return 0
	})
	if status := d.submit(add("r1", alice)); status.Status != provision.Done {
		t.Errorf("status %+v", status)
	}
}

// TestRequestsOfOneUserAreDoneInOrder sends them at once, the first ones about somebody who is not there yet.
func TestRequestsOfOneUserAreDoneInOrder(t *testing.T) {
	t.Parallel()
	d := newDesk(t, nil)
	for i := range 6 {
		r := provision.Request{ID: fmt.Sprintf("r%d", i), UserProfile: "u-1001", Action: []provision.Action{provision.Suspend, provision.Resume}[i%2]}
		if i == 0 {
			r = add("r0", alice)
		}
		if _, err := d.Submit(t.Context(), "acme", r); err != nil {
			t.Fatal(err)
		}
	}
	if status := wait(t, d.Provisioner, "r5"); status.Status != provision.Done || status.Profile.State != "active" {
		t.Errorf("the last one: %+v", status)
	}
	for i := range 5 {
		status, err := d.Status(t.Context(), "acme", fmt.Sprintf("r%d", i))
		if err != nil || status.Status != provision.Done {
			t.Errorf("%d: %+v, %v", i, status, err)
		}
	}
}

// dying is a store that is gone for good at one of its writes, before or after it is made.
type dying struct {
	store.Store
	mu    sync.Mutex
	left  int  // writes until death; negative = never
	after bool // the write is made
	dead  bool
	die   context.CancelFunc
}

var errDead = errors.New("the process is dead")

func (d *dying) write(do func() error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.dead {
		return errDead
	}
	if d.left--; d.left != 0 {
		return do()
	}
	d.dead = true
	if d.after {
		_ = do()
	}
	d.die()
	return errDead
}

func (d *dying) SaveRequest(ctx context.Context, r store.Request, owner string, until time.Time) error {
	return d.write(func() error { return d.Store.SaveRequest(ctx, r, owner, until) })
}

func (d *dying) SaveMailbox(ctx context.Context, m store.Mailbox) (out store.Mailbox, err error) {
	err = d.write(func() error { out, err = d.Store.SaveMailbox(ctx, m); return err })
	return out, err
}

func (d *dying) DeleteMailbox(ctx context.Context, m store.Mailbox) error {
	return d.write(func() error { return d.Store.DeleteMailbox(ctx, m) })
}

func (d *dying) Change(ctx context.Context, tenant string, changes []store.Change, now time.Time) (rows []store.Row, err error) {
	err = d.write(func() error { rows, err = d.Store.Change(ctx, tenant, changes, now); return err })
	return rows, err
}

// TestDeathAtEveryWrite kills the process before and after each write of a request, and has another one go on.
func TestDeathAtEveryWrite(t *testing.T) {
	t.Parallel()
	step := 1
	if strings.HasPrefix(t.Name(), postgresTests) {
		step = 3 // a schema takes its time
	}
	for _, fails := range []bool{false, true} {
		for _, after := range []bool{false, true} {
			if step > 1 && fails == after {
				continue
			}
			t.Run(fmt.Sprintf("failing %v, written %v", fails, after), func(t *testing.T) {
				t.Parallel()
				at := 1
				for dieAt(t, at, after, fails) {
					at += step
				}
				if at < 6 {
					t.Errorf("the last death was before write %d", at)
				}
			})
		}
	}
}

// dieAt reports whether the request had so many writes.
func dieAt(t *testing.T, at int, after, fails bool) bool {
	t.Helper()
	s := anywhere(t)
	w, e := vmadmintest.New(), vmadmintest.New()
	defer w.Close()
	defer e.Close()
	if fails {
		e.FailWith(func(method, _ string) int {
			if method == http.MethodPut {
				return http.StatusConflict
			}
			return 0
		})
	}
	ctx, die := context.WithCancel(t.Context())
	defer die()
	mortal := &dying{Store: s, left: at, after: after, die: die}
	p, err := provision.New(options(t, mortal, w, e))
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	if _, err := p.Submit(t.Context(), "acme", add("r1", alice)); err != nil {
		t.Fatal(err)
	}
	finished, cancel := context.WithTimeout(ctx, 20*time.Second)
	_, err = p.Wait(finished, "acme", "r1")
	cancel()
	mortal.mu.Lock()
	died := mortal.dead
	mortal.mu.Unlock()
	die()
	<-done
	if err != nil {
		t.Fatal(err)
	}
	heir := start(t, options(t, s, w, e))
	status := wait(t, heir, "r1")
	name := fmt.Sprintf("death at write %d, made %v, failing %v", at, after, fails)
	profile, err := s.Profile(t.Context(), tel.Number(alice))
	if !fails && (status.Status != provision.Done || err != nil || profile.Voicemail == nil || status.Profile == nil || status.Profile.Version != 1) {
		t.Errorf("%s: %+v, profile %+v, %v", name, status, profile, err)
	}
	if !fails && (w.Made(alice) != 1 || e.Made(alice) != 1) {
		t.Errorf("%s: mailboxes made %d and %d times", name, w.Made(alice), e.Made(alice))
	}
	if fails && (status.Status != "failed: voicemail" || !errors.Is(err, store.ErrNotFound)) {
		t.Errorf("%s: %+v, profile %+v, %v", name, status, profile, err)
	}
	eventually(t, name+": mailboxes as they should be", func() bool {
		kept, err := s.MailboxesOf(t.Context(), "acme", "u-1001")
		want := 2
		if fails {
			want = 0
		}
		settled := !slices.ContainsFunc(kept, func(m store.Mailbox) bool { return m.State != store.MailboxActive || !m.Due.IsZero() })
		return err == nil && len(kept) == want && settled && len(w.Mailboxes())+len(e.Mailboxes()) == want
	})
	return died
}

func TestWebhookIsSignedAndTriedAgain(t *testing.T) {
	t.Parallel()
	secret, old := []byte("0123456789abcdef0123456789abcdef"), []byte("fedcba9876543210fedcba9876543210")
	type got struct {
		signature, key string
		body           []byte
	}
	calls := make(chan got, 10)
	tries := 0
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		calls <- got{r.Header.Get(webhook.SignatureHeader), r.Header.Get("Idempotency-Key"), body}
		if tries++; tries == 1 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	defer receiver.Close()
	d := newDesk(t, func(o *provision.Options) {
		o.Hooks = map[string]webhook.Options{"acme": {URL: receiver.URL, Secrets: [][]byte{secret, old}}}
	})
	d.submit(add("r1", alice))
	for try := range 2 {
		call := <-calls
		var at int64
		if _, err := fmt.Sscanf(call.signature, "t=%d,v1=", &at); err != nil {
			t.Fatalf("signature %q", call.signature)
		}
		if age := time.Since(time.Unix(at, 0)); age > time.Minute || call.signature != webhook.Sign(call.body, time.Unix(at, 0), secret, old) {
			t.Errorf("try %d: signature %q, %s old, does not fit", try, call.signature, age)
		}
		_, byOld, _ := strings.Cut(webhook.Sign(call.body, time.Unix(at, 0), old), ",")
		if signatures := strings.Split(call.signature, ","); len(signatures) != 3 || signatures[2] != byOld {
			t.Errorf("try %d: a receiver that knows only the old secret finds no signature in %q", try, call.signature)
		}
		var event provision.Event
		if err := json.Unmarshal(call.body, &event); err != nil || event.Event != "provisioning.done" || event.Tenant != "acme" || event.Request.RequestID != "r1" || call.key != "acme/r1/1" {
			t.Errorf("try %d: %s, %s", try, call.key, call.body)
		}
	}
	eventually(t, "nothing is due any more", func() bool {
		r, err := d.store.Request(t.Context(), "acme", "r1")
		return err == nil && r.Due.IsZero()
	})
}
