package sidecar_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/signalbox/signalbox/esl"
	"github.com/signalbox/signalbox/esl/wire"
	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/call"
	"github.com/signalbox/signalbox/internal/fsw"
	"github.com/signalbox/signalbox/internal/fsw/fswtest"
	"github.com/signalbox/signalbox/internal/lab"
	"github.com/signalbox/signalbox/internal/sidecar"
	"github.com/signalbox/signalbox/internal/store"
	"github.com/signalbox/signalbox/internal/store/sqlite"
	"github.com/signalbox/signalbox/internal/tel"
	"github.com/signalbox/signalbox/internal/token"
	"github.com/signalbox/signalbox/internal/treat"
	"github.com/signalbox/signalbox/internal/treat/mailbox"
)

const (
	served = "14155550100" // Ada's
	nobody = "14155550199" // no account owns it
)

var key = token.Key{ID: "k1", Secret: []byte("0123456789abcdef0123456789abcdef")}

// system is a voicemail system at fixed addresses.
type system struct{ targets []mailbox.Target }

func (s system) Lookup(context.Context, string, string) ([]mailbox.Target, error) {
	return s.targets, nil
}
func (system) Failed(mailbox.Target) {}
func (system) Worked(mailbox.Target) {}

// rig is a sidecar with a store in front of a switch, one phone and one voicemail system.
type rig struct {
	*fswtest.Bench
	t          *testing.T
	sidecar    *sidecar.Sidecar
	store      store.Store
	phone, vm  *lab.Agent
	caller     *lab.Agent
	logged     *observer.ObservedLogs
	checker    *token.Checker
	settings   sidecar.Settings
	ledger     *sidecar.Ledger
	undertaker *sidecar.Undertaker
}

// options change a rig before it runs.
type options struct {
	profiles     func(store.Store) sidecar.Profiles
	resolver     mailbox.Resolver
	dir          string                   // of the store and its spool; "" = a temp folder, and no spool
	open         func() store.Store       // nil = SQLite in dir
	look         sidecar.Directory        // nil = nothing is known beside profiles
	verbs        func(*fsw.Leg) call.Leg  // what plans are run on
	conferences  sidecar.Conferences      // nil = there are none
	ownDirectory bool                     // the store is looked in for what is beside profiles
	linked       bool                     // with an inbound link to the switch
	through      func(addr string) string // see fswtest.Options
}

func newRig(t *testing.T, o options) *rig {
	t.Helper()
	r := &rig{t: t, phone: fswtest.Agent(t, "phone", lab.Behaviour{Ring: true}), vm: fswtest.Agent(t, "voicemail", lab.Answers(0)),
		caller: fswtest.Agent(t, "caller", lab.Behaviour{})}
	file, spool := filepath.Join(t.TempDir(), "signalbox.db"), ""
	if o.dir != "" {
		file = filepath.Join(o.dir, "signalbox.db")
		spool = file + ".spool"
	}
	if o.open == nil {
		o.open = func() store.Store {
			s, err := sqlite.Open(t.Context(), sqlite.Options{Path: file, BusyTimeout: 500 * time.Millisecond})
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
	}
	s := o.open()
	t.Cleanup(func() {
		if err := s.Shut(); err != nil {
			t.Error(err)
		}
	})
	r.store = s
	r.provision()

	core, logged := observer.New(zap.InfoLevel)
	r.logged = logged
	log := zap.New(core)
	var err error
	if r.checker, err = token.NewChecker(key); err != nil {
		t.Fatal(err)
	}
	var profiles sidecar.Profiles = s
	if o.profiles != nil {
		profiles = o.profiles(s)
	}
	if o.resolver == nil {
		o.resolver = system{[]mailbox.Target{{Addr: r.vm.Addr(), Transport: "udp"}}}
	}
	ledger := sidecar.NewLedger(s, spool, log)
	ctx, cancel := context.WithCancel(context.Background())
	written := make(chan error, 1)
	go func() { written <- ledger.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := fswtest.Wait(t, "the ledger's end", written); err != nil {
			t.Error(err)
		}
	})
	r.settings = sidecar.Settings{Region: "US", Treat: treat.Defaults(), Resolver: o.resolver, Tokens: r.checker}
	r.undertaker = sidecar.NewUndertaker(s, ledger, "me", func(string) bool { return true }, log)
	so := sidecar.Options{
		Instance: "me", Node: func(string, string) string { return "fs1" }, Profiles: profiles, Directory: o.look, Ledger: ledger, Logger: log, Settings: r.settings,
	}
	so.Conferences = o.conferences
	if o.ownDirectory {
		so.Directory = s
	}
	if o.linked {
		so.Orphans = r.undertaker
	}
	r.sidecar = sidecar.New(so)
	if o.verbs != nil {
		r.sidecar.SetVerbs(o.verbs)
	}
	r.ledger = ledger
	r.Bench = fswtest.New(t, fswtest.Options{Handler: r.sidecar.Serve, Through: o.through, Logger: log})
	if o.linked {
		fswtest.Wait(t, "the link", r.link("fs1", r.Switch.EventSocketAddr().String()))
	}
	return r
}

// link runs an inbound link to the switch, until the test ends; the channel tells when it has come up.
func (r *rig) link(name, addr string) <-chan struct{} {
	r.t.Helper()
	up := make(chan struct{}, 100)
	node := fsw.NewNode(fsw.NodeOptions{
		Name: name, Dial: esl.DialOptions{Addr: addr, Password: fswtest.Password},
		Attached: func(ctx context.Context, sw *fsw.Switch) error {
			err := r.undertaker.Attach(ctx, name, sw, time.Now())
			up <- struct{}{}
			return err
		},
		Event: func(_ context.Context, event *wire.Event) { r.undertaker.Event(event) },
	})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- node.Run(ctx) }()
	r.t.Cleanup(func() {
		cancel()
		if err := fswtest.Wait(r.t, "the link's end", done); err != nil {
			r.t.Error(err)
		}
	})
	return up
}

// provision gives Ada her number, one phone at a fixed address, and voicemail when she is busy or does not answer.
func (r *rig) provision() {
	r.t.Helper()
	conditions := account.ConditionList{tel.NoAnswer, tel.Busy}
	_, err := r.store.Apply(r.t.Context(), account.Document{
		Accounts: []account.AccountEntry{{ID: "ada"}},
		Numbers: []account.NumberEntry{{
			Number: "+" + served, Account: "ada", NoAnswer: account.Duration(5 * time.Second),
			Devices:   []account.DeviceEntry{{Kind: account.DeviceURI, Profile: "external", User: "ada", Host: r.phone.Addr().Addr().String(), Port: r.phone.Addr().Port()}},
			Voicemail: &account.VoicemailEntry{Pilot: "+18056377243", Conditions: &conditions},
		}},
		Pilots:           []account.PilotEntry{{Number: "+18056377243", Systems: []account.PilotSystemEntry{{FQDN: "vm.example.net"}}}},
		VoicemailSystems: []account.SystemEntry{{FQDN: "vm.example.net"}},
	}, time.Now())
	if err != nil {
		r.t.Fatal(err)
	}
}

// record waits until the newest record is as wanted.
func (r *rig) record(what string, is func(call.Record) bool) call.Record {
	r.t.Helper()
	var last call.Record
	for end := time.Now().Add(fswtest.Patience); time.Now().Before(end); {
		records, err := r.store.Records(r.t.Context(), 1)
		if err != nil {
			r.t.Fatal(err)
		}
		if len(records) > 0 {
			if last = records[0]; is(last) {
				return last
			}
		}
	}
	r.t.Fatalf("no record that is %s; the newest is %+v", what, last)
	return last
}

func closed(rec call.Record) bool { return !rec.Open() }

func TestAnsweredCallFromBeginningToEnd(t *testing.T) {
	t.Parallel()
	r := newRig(t, options{})
	c := r.Call(r.caller, served)
	ringing := r.Incoming(r.phone, 1)
	open := r.record("open", func(rec call.Record) bool { return rec.Open() })
	if open.Owner != "me" || open.Node != "fs1" || open.Arrival.To != "+"+served || open.Plan.Account != "ada" || !open.Answered.IsZero() || len(open.Steps) != 0 {
		t.Errorf("the open record is %+v", open)
	}
	if id := c.ID(); open.Arrival.CallID != id {
		t.Errorf("Call-ID %q, want %q", open.Arrival.CallID, id)
	}
	ringing.Answer()
	r.Status(c, 200)
	talking := r.record("answered", func(rec call.Record) bool { return !rec.Answered.IsZero() })
	if !talking.Open() {
		t.Error("the record is closed while they talk")
	}
	ringing.Hangup()
	r.Ended(c)
	rec := r.record("closed", closed)
	if rec.ID != open.ID || rec.Result != call.Answered || rec.Cause != "NORMAL_CLEARING" || !rec.Answered.Equal(talking.Answered) {
		t.Errorf("the closed record is %+v", rec)
	}
	if rec.Answered.Before(rec.Started.Add(-time.Second)) || rec.Ended.Before(rec.Answered) {
		t.Errorf("started %s, answered %s, ended %s", rec.Started, rec.Answered, rec.Ended)
	}
	if len(rec.Steps) != 1 || rec.Steps[0].Kind != call.StepRing || len(rec.Steps[0].Attempts) != 1 {
		t.Errorf("steps %+v", rec.Steps)
	}
}

func TestBusyCallIsOnRecordWithEachAttempt(t *testing.T) {
	t.Parallel()
	r := newRig(t, options{})
	r.phone.Behave(lab.Refuses(486))
	c := r.Call(r.caller, served)
	r.Status(c, 200)
	c.Hangup()
	rec := r.record("closed", closed)
	if rec.Result != call.Answered || len(rec.Steps) != 2 || rec.Steps[0].Result != call.Busy || rec.Steps[0].Attempts[0].SIPStatus != 486 ||
		rec.Steps[1].Kind != call.StepMailbox || rec.Steps[1].Attempts[0].Target != fmt.Sprintf("vm.example.net %s/udp", r.vm.Addr()) {
		t.Errorf("record %+v", rec)
	}
	if rec.Answered.IsZero() {
		t.Error("the time of voicemail's answer is not on record")
	}
}

func TestCallerWhoGivesUpIsOnRecord(t *testing.T) {
	t.Parallel()
	r := newRig(t, options{})
	c := r.Call(r.caller, served)
	r.Status(c, 180)
	c.Cancel()
	r.Status(c, 487)
	rec := r.record("closed", closed)
	if rec.Result != call.CallerGone || rec.Cause != "ORIGINATOR_CANCEL" || !rec.Answered.IsZero() || len(rec.Steps) != 1 {
		t.Errorf("record %+v", rec)
	}
	if n := r.vm.Invited(); n != 0 {
		t.Errorf("voicemail was called %d times", n)
	}
}

func TestANumberThatIsNotOursIsHandedBackWithoutATrace(t *testing.T) {
	t.Parallel()
	r := newRig(t, options{})
	for _, number := range []string{nobody, "4155550198"} {
		c := r.Call(r.caller, number)
		if m := r.Status(c, 486, 404); number == nobody && m.Phrase() != fswtest.Fallback {
			t.Errorf("%s: %d %s", number, m.Status(), m.Phrase())
		}
	}
	r.eventually("two calls handed back", func() bool { return r.sidecar.Counts().HandedBack.Load() == 2 })
	records, err := r.store.Records(t.Context(), 10)
	if err != nil || len(records) != 0 {
		t.Errorf("records of calls that are not ours: %+v, %v", records, err)
	}
	for _, entry := range r.logged.All() {
		if strings.Contains(fmt.Sprint(entry.Message, entry.ContextMap()), "4155550199") {
			t.Errorf("a number in clear in the log: %s %v", entry.Message, entry.ContextMap())
		}
	}
}

// eventually waits for a fact that only counters show.
func (r *rig) eventually(what string, is func() bool) {
	r.t.Helper()
	for end := time.Now().Add(fswtest.Patience); time.Now().Before(end); {
		if is() {
			return
		}
		_, _ = r.store.Revision(r.t.Context()) // something to do meanwhile
	}
	r.t.Fatalf("never: %s", what)
}

// silent is a store that hangs.
type silent struct{ store.Profiles }

func (silent) Profile(ctx context.Context, _ tel.Number) (account.Profile, error) {
	<-ctx.Done()
	return account.Profile{}, ctx.Err()
}

func (silent) Revision(ctx context.Context) (int64, error) {
	<-ctx.Done()
	return 0, ctx.Err()
}

func TestASilentStoreCostsTheCallerNextToNothing(t *testing.T) {
	t.Parallel()
	r := newRig(t, options{profiles: func(store.Store) sidecar.Profiles {
		c := store.NewCache(store.CacheOptions{Profiles: silent{}})
		t.Cleanup(c.Close)
		return c
	}})
	began := time.Now()
	m := r.Status(r.Call(r.caller, served), 486, 480)
	if d := time.Since(began); d > time.Second { // 150 ms for the store; the rest is for a machine with other work
		t.Errorf("the caller waited %s", d)
	}
	if m.Phrase() != fswtest.Fallback {
		t.Errorf("the caller got %d %s", m.Status(), m.Phrase())
	}
	if n := r.sidecar.Counts().StoreDown.Load(); n != 1 {
		t.Errorf("counted %d times, want once", n)
	}
	if n := r.phone.Invited(); n != 0 {
		t.Errorf("the phone was called %d times", n)
	}
}

// slow gives profiles after a while.
type slow struct{ sidecar.Profiles }

func (s slow) Profile(ctx context.Context, n tel.Number) (account.Profile, error) {
	<-time.After(100 * time.Millisecond)
	return s.Profiles.Profile(ctx, n)
}

// asked is a directory that tells how much time it is given.
type asked struct {
	sidecar.Directory
	left chan time.Duration
}

func (a asked) ContactsWith(ctx context.Context, _, _ string, _ tel.Number) ([]account.Contact, error) {
	deadline, _ := ctx.Deadline()
	a.left <- time.Until(deadline)
	return nil, nil
}

func TestProfileAndWhatIsBesideItShareTheTimeOfACall(t *testing.T) {
	t.Parallel()
	a := asked{left: make(chan time.Duration, 1)}
	r := newRig(t, options{profiles: func(s store.Store) sidecar.Profiles { return slow{s} }, look: a})
	if _, err := r.store.Apply(t.Context(), account.Document{Rules: []account.RuleEntry{
		{Account: "ada", ID: "r", Callers: account.CallersContacts, Do: account.RuleRing}}}, time.Now()); err != nil {
		t.Fatal(err)
	}
	r.phone.Behave(lab.Refuses(603))
	r.Call(r.caller, served)
	if left := fswtest.Wait(t, "a look at the contacts", a.left); left > 50*time.Millisecond {
		t.Errorf("contacts have %v left of the 150 ms after the profile took 100", left)
	}
}

func TestTheTokenIsTheEvidence(t *testing.T) {
	t.Parallel()
	r := newRig(t, options{})
	r.phone.Behave(lab.Refuses(603))
	source := netip.MustParseAddrPort("192.0.2.1:5060")
	sign := func(change func(*token.Evidence)) func(callID string) string {
		return func(callID string) string {
			e := token.Evidence{
				Verdict: call.Verdict{Model: "rules", Likelihood: 0.25}, Trunk: "carrier", Source: source, CallID: callID, Time: time.Now(),
				Diversion: []string{"<sip:+14155550102@h>;reason=user-busy", "<sip:+14155550101@h>;reason=no-answer"}, Target: "sip:+14155550100@h", Cause: 408,
			}
			if change != nil {
				change(&e)
			}
			text, err := token.Sign(e, key)
			if err != nil {
				t.Fatal(err)
			}
			return text
		}
	}
	other, err := token.Sign(token.Evidence{Verdict: call.Verdict{Model: "rules"}, Time: time.Now(), CallID: "another@call"}, token.Key{ID: "k1", Secret: []byte(strings.Repeat("x", 32))})
	if err != nil {
		t.Fatal(err)
	}
	var replayed string
	refused := int64(0)
	for i, tt := range []struct {
		name   string
		header func(callID string) string
		good   bool
	}{
		{"good", func(id string) string { replayed = sign(nil)(id); return replayed }, true},
		{"none", func(string) string { return "" }, false},
		{"signed for another Call-ID", func(string) string { return sign(nil)("another@call") }, false},
		{"replayed", func(string) string { return replayed }, false},
		{"old", sign(func(e *token.Evidence) { e.Time = time.Now().Add(-2 * time.Minute) }), false},
		{"signed with another key", func(string) string { return other }, false},
		{"no token at all", func(string) string { return "1.k1.%41.x" }, false},
	} {
		id := fmt.Sprintf("%d@carrier", i)
		header := tt.header(id)
		if header != "" && !tt.good {
			refused++
		}
		r.refused(id, served, header)
		rec := r.record("of this call and closed", func(rec call.Record) bool { return rec.Arrival.CallID == id && !rec.Open() })
		a := rec.Arrival
		if tt.good {
			if a.Evidence != call.EvidenceToken || a.Verdict.Model != "rules" || a.Trunk != "carrier" || a.Source != source || len(a.Diversions) != 2 ||
				a.Diversions[0].Number != "+14155550102" || a.Target != "sip:+14155550100@h" || a.Cause != 408 {
				t.Errorf("%s: arrival %+v", tt.name, a)
			}
		} else if a.Evidence != call.EvidenceVariables || a.Verdict.Screened() || a.Trunk != "" || len(a.Diversions) != 0 || a.Target != "" {
			t.Errorf("%s: arrival %+v", tt.name, a)
		}
		if n := r.sidecar.Counts().TokensRefused.Load(); n != refused {
			t.Errorf("%s: %d tokens refused, want %d", tt.name, n, refused)
		}
	}
	if n := r.sidecar.Counts().Screened.Load(); n != 1 {
		t.Errorf("%d calls screened, want 1", n)
	}
}

// The proxy reads a trunk's national numbers in the trunk's own region, and so must the sidecar.
func TestNumbersAreReadInTheRegionOfTheTrunk(t *testing.T) {
	t.Parallel()
	r := newRig(t, options{})
	r.phone.Behave(lab.Refuses(603))
	_, err := r.store.Apply(t.Context(), account.Document{
		Accounts: []account.AccountEntry{{ID: "london"}},
		Numbers: []account.NumberEntry{{Number: "+442079460000", Account: "london",
			Devices: []account.DeviceEntry{{Kind: account.DeviceURI, Profile: "external", User: "desk", Host: r.phone.Addr().Addr().String(), Port: r.phone.Addr().Port()}}}},
	}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	const id = "1@london"
	header, err := token.Sign(token.Evidence{
		Verdict: call.Verdict{Model: "rules"}, Trunk: "london", Region: "GB", CallID: id, Time: time.Now(),
		Diversion: []string{"<sip:02079460002@h>;reason=no-answer"},
	}, key)
	if err != nil {
		t.Fatal(err)
	}
	r.refused(id, "02079460000", header)
	a := r.record("of this call and closed", func(rec call.Record) bool { return rec.Arrival.CallID == id && !rec.Open() }).Arrival
	if a.To != "+442079460000" || a.From.Number != "+442079460001" || len(a.Diversions) != 1 || a.Diversions[0].Number != "+442079460002" || a.Trunk != "london" {
		t.Errorf("to %q, from %+v, diversions %+v, trunk %q", a.To, a.From, a.Diversions, a.Trunk)
	}
}

// refused places a call with a Call-ID of the test's choice and waits for its 603; the caller's number is the called one's
// next. The token has to name the Call-ID, which an agent of the lab chooses itself.
func (r *rig) refused(callID, number, header string) {
	r.t.Helper()
	conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(r.Switch.ExternalAddr()))
	if err != nil {
		r.t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	local := conn.LocalAddr().String()
	const sdp = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 6000 RTP/AVP 0\r\n"
	request := func(method, to, rest string) string {
		return method + " sip:" + number + "@" + r.Switch.ExternalAddr().String() + " SIP/2.0\r\nVia: SIP/2.0/UDP " + local + ";branch=z9hG4bK" + callID +
			"\r\nMax-Forwards: 70\r\nFrom: <sip:" + number[:len(number)-1] + "1@" + local + ">;tag=x\r\nTo: " + to + "\r\nCall-ID: " + callID + "\r\nCSeq: 1 " + method +
			"\r\nContact: <sip:" + local + ">\r\n" + rest
	}
	if header != "" {
		header = "X-Signalbox: " + header + "\r\n"
	}
	if _, err := conn.Write([]byte(request("INVITE", "<sip:"+number+"@h>", header+fmt.Sprintf("Content-Type: application/sdp\r\nContent-Length: %d\r\n\r\n%s", len(sdp), sdp)))); err != nil {
		r.t.Fatal(err)
	}
	_ = conn.SetReadDeadline(time.Now().Add(fswtest.Patience))
	buf := make([]byte, 65536)
	for {
		n, err := conn.Read(buf)
		if err != nil {
			r.t.Fatal(err)
		}
		m, err := lab.ParseMessage(buf[:n])
		if err != nil {
			r.t.Fatal(err)
		}
		if m.Status() < 200 {
			continue
		}
		if m.Status() != 603 {
			r.t.Errorf("the caller got %d", m.Status())
		}
		_, _ = conn.Write([]byte(request("ACK", m.Get("To"), "Content-Length: 0\r\n\r\n")))
		return
	}
}

// down is a store that refuses.
type down struct{ store.Profiles }

func (down) Profile(context.Context, tel.Number) (account.Profile, error) {
	return account.Profile{}, errors.New("disk I/O error")
}

func TestAStoreThatFailsHandsTheCallBack(t *testing.T) {
	t.Parallel()
	r := newRig(t, options{profiles: func(store.Store) sidecar.Profiles { return down{} }})
	if m := r.Status(r.Call(r.caller, served), 486, 480); m.Phrase() != fswtest.Fallback {
		t.Errorf("the caller got %d %s", m.Status(), m.Phrase())
	}
	if n := r.sidecar.Counts().StoreDown.Load(); n != 1 {
		t.Errorf("counted %d times, want once", n)
	}
}

// The sidecar stops while two talk: they go on, and the record stays open for the next sidecar.
func TestAStoppingSidecarLeavesTalkingPartiesAlone(t *testing.T) {
	t.Parallel()
	r := newRig(t, options{})
	talking, ringing := r.Call(r.caller, served), (*lab.Call)(nil)
	r.Incoming(r.phone, 1).Answer()
	r.Status(talking, 200)
	r.record("answered", func(rec call.Record) bool { return !rec.Answered.IsZero() })
	ringing = r.Call(r.caller, served)
	r.Status(ringing, 180)

	if err := r.Server.Shutdown(r.Context()); err != nil {
		t.Fatal(err)
	}
	if m := r.Status(ringing, 486, 480); m.Phrase() != fswtest.Fallback {
		t.Errorf("the caller who waited got %d %s, want the operator's extension", m.Status(), m.Phrase())
	}
	r.eventually("both records say that the sidecar was stopped", func() bool {
		records, err := r.store.OpenRecords(t.Context(), "fs1")
		return err == nil && len(records) == 2 && strings.Contains(records[0].Note, "was stopped") && strings.Contains(records[1].Note, "was stopped")
	})
	if !talking.Ended().IsZero() {
		t.Errorf("the talking call was ended by %s", talking.EndedBy())
	}
	talking.Hangup()
	r.Ended(r.Incoming(r.phone, 1))
}
