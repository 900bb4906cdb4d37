package message

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/signalbox/signalbox/dialplan/encode"
	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/store"
	"github.com/signalbox/signalbox/internal/store/sqlite"
	"github.com/signalbox/signalbox/internal/webhook"
)

func TestAddresses(t *testing.T) {
	for raw, want := range map[string]string{
		"(415) 555-0101": "tel +14155550101", "+44 20 7946 0958": "tel +442079460958", "tel:+14155550101": "tel +14155550101",
		"anna@example.com": "email anna@example.com", "sip:Anna@PBX.example.net": "sip Anna@pbx.example.net", "sip:+14155550101@pbx.example.net": "sip +14155550101@pbx.example.net",
	} {
		if a, err := ParseAddress(raw, "US"); err != nil || fmt.Sprint(a.Kind, " ", a.Value) != want {
			t.Errorf("%q is %v, %v, want %s", raw, a, err, want)
		}
	}
	for _, raw := range []string{"", "12", "Anna <anna@example.com>", "anna@example.com\r\nBcc: x@y.z", "sip:a|b@pbx.example.net", "sip:\u212ate@pbx.example.net", "sip:anna@a/b", "sip:anna", "a@b@c", strings.Repeat("a", 250) + "@b.cd", "${x}@example.com;"} {
		if a, err := ParseAddress(raw, "US"); err == nil {
			t.Errorf("%q is taken as %v", raw, a)
		}
	}
}

// desk is an outbox that runs, over a store with account ada.
type desk struct {
	*Outbox
	store   store.Store
	mu      sync.Mutex
	results []string
}

func newDesk(t *testing.T, senders ...Sender) *desk {
	t.Helper()
	return newDeskOver(t, func(s store.Outbox) store.Outbox { return s }, senders...)
}

// newDeskOver puts something between outbox and store.
func newDeskOver(t *testing.T, over func(store.Outbox) store.Outbox, senders ...Sender) *desk {
	t.Helper()
	s, err := sqlite.Open(t.Context(), sqlite.Options{Path: filepath.Join(t.TempDir(), "signalbox.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Shut() })
	if _, err := s.Change(t.Context(), "acme", []store.Change{{Op: store.Put, Entry: &account.AccountEntry{ID: "ada"}}}, time.Now()); err != nil {
		t.Fatal(err)
	}
	d := &desk{store: s}
	d.Outbox = NewOutbox(Options{Store: over(s), Senders: senders, Instance: "me", Result: func(sender, result string) {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.results = append(d.results, sender+" "+result)
	}})
	d.firstPause = time.Millisecond
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- d.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return d
}

// settled waits until no message waits, and returns them as "id state note".
func (d *desk) settled(t *testing.T) string {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); {
		if n, err := d.store.CountOutgoing(t.Context()); err != nil {
			t.Fatal(err)
		} else if n == 0 {
			break
		}
		d.kick <- struct{}{}
	}
	list, err := d.About(t.Context(), "acme", "ada", "s1", "", 100)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, m := range list {
		out = append(out, strings.TrimSpace(m.ID+" "+string(m.State)+" "+m.Note))
	}
	return strings.Join(out, "\n")
}

func invitation(id string, to Address) Message {
	return Message{ID: id, Tenant: "acme", Account: "ada", About: "s1", Event: "invitation", To: to, From: "+14155550100", Subject: "Weekly ${x}", Text: "Call +14155550100.\nZoë",
		Files: []File{{Name: "weekly.ics", Type: "text/calendar", Content: []byte("BEGIN:VCALENDAR")}}, Expires: time.Now().Add(time.Hour)}
}

// broken is a sender that panics at its first message.
type broken struct{ met atomic.Bool }

func (*broken) Name() string       { return "broken" }
func (*broken) Takes(Address) bool { return true }
func (b *broken) Send(context.Context, Message) error {
	if b.met.CompareAndSwap(false, true) {
		panic("a bug")
	}
	return nil
}

func TestASenderThatPanicsCostsOneTry(t *testing.T) {
	d := newDesk(t, &broken{})
	if err := d.Post(t.Context(), "acme", []Message{invitation("one", Address{Email, "anna@example.com"})}, time.Now()); err != nil {
		t.Fatal(err)
	}
	if got := d.settled(t); got != "one sent" {
		t.Errorf("got %s", got)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if want := []string{"broken put_off", "broken sent"}; !slices.Equal(d.results, want) {
		t.Errorf("results %v, want %v", d.results, want)
	}
}

// list is a sender that notes whose messages it sent.
type list struct {
	mu   sync.Mutex
	sent []string
}

func (*list) Name() string       { return "list" }
func (*list) Takes(Address) bool { return true }
func (l *list) Send(_ context.Context, m Message) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sent = append(l.sent, m.Tenant+"/"+m.ID)
	return nil
}

// TestManyMessagesOfOneTenantHoldUpNobodyElses has one tenant post hundreds before another posts one.
func TestManyMessagesOfOneTenantHoldUpNobodyElses(t *testing.T) {
	s, err := sqlite.Open(t.Context(), sqlite.Options{Path: filepath.Join(t.TempDir(), "signalbox.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Shut() })
	sender := &list{}
	b := NewOutbox(Options{Store: s, Senders: []Sender{sender}, Instance: "me"})
	now := time.Now()
	for tenant, n := range map[string]int{"acme": 300, "zenith": 1, "apex": 1} {
		if _, err := s.Change(t.Context(), tenant, []store.Change{{Op: store.Put, Entry: &account.AccountEntry{ID: "ada"}}}, now); err != nil {
			t.Fatal(err)
		}
		var messages []Message
		for i := range n {
			m := invitation(fmt.Sprintf("m%03d", i), Address{Email, "anna@example.com"})
			m.Tenant = tenant
			messages = append(messages, m)
		}
		if err := b.Post(t.Context(), tenant, messages, now.Add(-time.Duration(n)*time.Second)); err != nil {
			t.Fatal(err)
		}
	}
	if !b.round(t.Context()) {
		t.Error("nothing was sent")
	}
	for _, want := range []string{"apex/m000", "zenith/m000"} {
		if !slices.Contains(sender.sent, want) {
			t.Errorf("first were sent %v, want %s among them", sender.sent, want)
		}
	}
	if len(sender.sent) != atOnce {
		t.Errorf("%d were sent at once, want %d", len(sender.sent), atOnce)
	}
}

// shaky is a store whose first looks panic, and which has more to forget than it forgets at once.
type shaky struct {
	store.Outbox
	mu         sync.Mutex
	looks, old int
	forgotten  chan struct{} // closed when nothing old is left
}

func (s *shaky) ClaimOutgoing(ctx context.Context, owner, behind string, now, until time.Time, limit int) ([]store.Outgoing, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.looks++; s.looks < 3 {
		panic("a bug of the store")
	}
	return s.Outbox.ClaimOutgoing(ctx, owner, behind, now, until, limit)
}

func (s *shaky) TrimOutgoing(context.Context, time.Time) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := min(s.old, store.TrimBatch)
	if s.old -= n; s.old == 0 && n > 0 {
		close(s.forgotten)
	}
	return n, nil
}

func TestAPanicOfTheStoreIsALookInVainAndAllThatIsOldIsForgotten(t *testing.T) {
	over := &shaky{old: 2*store.TrimBatch + 1, forgotten: make(chan struct{})}
	d := newDeskOver(t, func(s store.Outbox) store.Outbox { over.Outbox = s; return over }, &list{})
	if err := d.Post(t.Context(), "acme", []Message{invitation("one", Address{Email, "anna@example.com"})}, time.Now()); err != nil {
		t.Fatal(err)
	}
	if got := d.settled(t); got != "one sent" {
		t.Errorf("got %s", got)
	}
	select {
	case <-over.forgotten:
	case <-time.After(20 * time.Second):
		t.Error("old messages are left")
	}
}

// TestWhoWasNotInvitedYetIsNotAnyMore has what is not sent called off for one, and removed for another.
func TestWhoWasNotInvitedYetIsNotAnyMore(t *testing.T) {
	s, err := sqlite.Open(t.Context(), sqlite.Options{Path: filepath.Join(t.TempDir(), "signalbox.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Shut() })
	if _, err := s.Change(t.Context(), "acme", []store.Change{{Op: store.Put, Entry: &account.AccountEntry{ID: "ada"}}}, time.Now()); err != nil {
		t.Fatal(err)
	}
	var removed atomic.Bool
	sender := &list{}
	b := NewOutbox(Options{Store: s, Senders: []Sender{sender}, Instance: "me", Stands: func(context.Context, Message) (bool, error) { return !removed.Load(), nil }})
	off := invitation("3", Address{Email, "anna@example.com"})
	off.Event = Cancellation
	for _, m := range []Message{invitation("1", off.To), invitation("2", Address{Email, "ben@example.com"}), off} {
		if err := b.Post(t.Context(), "acme", []Message{m}, time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	removed.Store(true)
	b.round(t.Context())
	list, err := b.About(t.Context(), "acme", "ada", "s1", "", 10)
	var got []string
	for _, m := range list {
		got = append(got, m.ID+" "+string(m.State)+" "+m.Note)
	}
	want := []string{"1 failed another message has taken its place", "2 failed what it is about was removed", "3 sent "}
	if err != nil || !slices.Equal(got, want) || !slices.Equal(sender.sent, []string{"acme/3"}) {
		t.Errorf("in the end %v, %v, sent %v; want %v", got, err, sender.sent, want)
	}
}

// TestWebhookGetsMessagesSigned has a receiver that is broken for a while, and one address that it refuses for good.
func TestWebhookGetsMessagesSigned(t *testing.T) {
	secret := []byte("0123456789abcdef0123456789abcdef")
	var mu sync.Mutex
	got := map[string][]Posted{}
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		var p Posted
		if err != nil || json.Unmarshal(body, &p) != nil {
			t.Errorf("%v: %s", err, body)
		}
		at, _, _ := strings.Cut(strings.TrimPrefix(r.Header.Get(webhook.SignatureHeader), "t="), ",")
		unix, err := strconv.ParseInt(at, 10, 64)
		if err != nil || r.Header.Get(webhook.SignatureHeader) != webhook.Sign(body, time.Unix(unix, 0), secret) || r.Header.Get("Idempotency-Key") != "acme/"+p.ID {
			t.Errorf("signature %s, id %s", r.Header.Get(webhook.SignatureHeader), r.Header.Get("Idempotency-Key"))
		}
		mu.Lock()
		defer mu.Unlock()
		got[p.ID] = append(got[p.ID], p)
		switch {
		case p.ID == "refused":
			w.WriteHeader(http.StatusUnprocessableEntity)
		case len(got[p.ID]) < 3:
			w.WriteHeader(http.StatusBadGateway)
		}
	}))
	defer receiver.Close()
	hook, err := NewWebhook(webhook.Options{URL: receiver.URL, Secrets: [][]byte{secret}})
	if err != nil {
		t.Fatal(err)
	}
	d := newDesk(t, hook)
	late := invitation("late", Address{Email, "late@example.com"})
	late.Expires = time.Now().Add(-time.Second)
	ok := invitation("ok", Address{Phone, "+442079460958"})
	for range 2 { // sent again, it is sent once
		if err := d.Post(t.Context(), "acme", []Message{ok, invitation("refused", Address{Email, "x@example.com"}), late}, time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := d.settled(t), "late failed what it is about is over\nok sent\nrefused failed it answers 422"; got != want {
		t.Errorf("in the end\n%s\nwant\n%s", got, want)
	}
	mu.Lock()
	defer mu.Unlock()
	if len(got["ok"]) != 3 || len(got["refused"]) != 1 || len(got["late"]) != 0 {
		t.Errorf("posts: %d, %d, %d, want 3, 1, 0", len(got["ok"]), len(got["refused"]), len(got["late"]))
	}
	if p := got["ok"][2]; p.Event != "message" || p.Message.Event != "invitation" || p.To != ok.To || p.Text != ok.Text || string(p.Files[0].Content) != "BEGIN:VCALENDAR" {
		t.Errorf("what came is %+v", p)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	slices.Sort(d.results)
	if want := "none failed,webhook failed,webhook put_off,webhook put_off,webhook sent"; strings.Join(d.results, ",") != want {
		t.Errorf("results %v, want %s", d.results, want)
	}
}

// exchange is a FreeSWITCH as a SIPSender sees it.
type exchange struct {
	up    bool
	takes func(encode.Chat) bool
	mu    sync.Mutex
	chats []encode.Chat
}

func (e *exchange) Up() bool { return e.up }

func (e *exchange) Chat(_ context.Context, c encode.Chat) (bool, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.chats = append(e.chats, c)
	return e.takes(c), nil
}

// TestSIPSenderFindsThePhone has two switches, the phone at the second, and one that is down.
func TestSIPSenderFindsThePhone(t *testing.T) {
	first := &exchange{up: true, takes: func(c encode.Chat) bool { return c.URI }}
	second := &exchange{up: true, takes: func(c encode.Chat) bool { return c.User == "1000" }}
	down := &exchange{takes: func(encode.Chat) bool { return true }}
	s := NewSIP(SIPOptions{Domain: "example.net", Phones: "pbx.example.net", Devices: "internal", Gateway: "sms.example.net", Port: 5062, Transport: "tcp", Profile: "external",
		Switches: func() []Switch { return []Switch{down, first, second} }})
	for a, want := range map[Address]bool{{Phone, "+14155550101"}: true, {SIP, "1000@PBX.example.net"}: true, {SIP, "1000@10.0.0.1"}: false, {Email, "a@pbx.example.net"}: false} {
		if got := s.Takes(a); got != want {
			t.Errorf("takes %v: %v, want %v", a, got, want)
		}
	}
	d := newDesk(t, s)
	phone, far, bad := invitation("a-phone", Address{SIP, "1000@pbx.example.net"}), invitation("b-far", Address{Phone, "+442079460958"}), invitation("c-bad", Address{Phone, "+442079460958"})
	far.Text = strings.Repeat("é", encode.MaxChat)
	bad.Text = "a\rb"
	if err := d.Post(t.Context(), "acme", []Message{phone, far, bad}, time.Now()); err != nil {
		t.Fatal(err)
	}
	if got := d.settled(t); !strings.HasPrefix(got, "a-phone sent\nb-far sent\nc-bad failed message: text holds control character") {
		t.Errorf("in the end\n%s", got)
	}
	if len(second.chats) != 1 || second.chats[0].Profile != "internal" || second.chats[0].FromUser != "+14155550100" || second.chats[0].Text != phone.Text {
		t.Errorf("to the phone: %+v", second.chats)
	}
	for _, c := range first.chats {
		if c.URI && (c.Profile != "external" || c.User != "+442079460958" || c.Host != "sms.example.net" || len(c.Text) > encode.MaxChat || !strings.HasSuffix(c.Text, "é…")) {
			t.Errorf("to the gateway: %+v", c)
		}
	}
	if err := d.Post(t.Context(), "acme", []Message{invitation("x", Address{Email, "a@example.com"})}, time.Now()); err != ErrNobody {
		t.Errorf("to an address that nobody takes: %v", err)
	}
}
