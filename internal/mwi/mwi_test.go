package mwi

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/signalbox/signalbox/esl/wire"
	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/fsw"
	"github.com/signalbox/signalbox/internal/store"
	"github.com/signalbox/signalbox/internal/tel"
)

const (
	alice = tel.Number("+14155550100")
	bob   = tel.Number("+14155550101")
)

// memory is a store of two numbers: alice's phone is 1000@pbx.example.net, bob, of tenant acme, has mailbox box-2.
type memory struct {
	mu      sync.Mutex
	waiting map[tel.Number]map[string]store.Waiting
	changed map[string]time.Time
	down    bool
	broken  bool        // it panics
	trimmed []time.Time // what TrimLamps was asked for
}

var errDown = errors.New("the store is down")

func (m *memory) lock() func() {
	m.mu.Lock()
	if m.waiting == nil {
		m.waiting, m.changed = map[tel.Number]map[string]store.Waiting{}, map[string]time.Time{}
	}
	if m.broken {
		m.mu.Unlock()
		panic("a bug of the store")
	}
	return m.mu.Unlock
}

func (m *memory) breaks(yes bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.broken = yes
}

func (m *memory) Profile(_ context.Context, n tel.Number) (account.Profile, error) {
	defer m.lock()()
	p := account.Profile{Number: n, Account: account.Account{Tenant: account.OperatorTenant}, Systems: []account.VoicemailSystem{{FQDN: "vm-b.example.net"}}}
	switch {
	case m.down:
		return p, errDown
	case n == bob:
		p.Account.Tenant = "acme"
	case n != alice:
		return p, store.ErrNotFound
	}
	return p, nil
}

func (m *memory) Revision(context.Context) (int64, error) {
	defer m.lock()()
	return 1, nil
}

func (m *memory) SetWaiting(_ context.Context, w store.Waiting) error {
	defer m.lock()()
	if m.down {
		return errDown
	}
	if m.waiting[w.Number] == nil {
		m.waiting[w.Number] = map[string]store.Waiting{}
	}
	m.waiting[w.Number][w.System] = w
	m.changed["1000@pbx.example.net"] = w.At
	return nil
}

func (m *memory) WaitingOf(_ context.Context, n tel.Number) (out []store.Waiting, err error) {
	defer m.lock()()
	if m.down {
		return nil, errDown
	}
	for _, w := range m.waiting[n] {
		out = append(out, w)
	}
	return out, nil
}

func (m *memory) Lamp(_ context.Context, user, host string) (store.Lamp, error) {
	defer m.lock()()
	if m.down {
		return store.Lamp{}, errDown
	}
	l := store.Lamp{User: user, Host: host, Changed: m.changed[store.PhoneKey(user, host)]}
	for _, w := range m.waiting[alice] {
		l.Add(w.Counts)
	}
	return l, nil
}

func (m *memory) LampsChanged(_ context.Context, since time.Time, after string) (out []store.Lamp, err error) {
	defer m.lock()()
	if m.down {
		return nil, errDown
	}
	for phone, at := range m.changed {
		if at.After(since) || at.Equal(since) && phone > after {
			user, host, _ := strings.Cut(phone, "@")
			out = append(out, store.Lamp{User: user, Host: host, Changed: at})
		}
	}
	slices.SortFunc(out, func(a, b store.Lamp) int {
		return cmp.Or(a.Changed.Compare(b.Changed), strings.Compare(store.PhoneKey(a.User, a.Host), store.PhoneKey(b.User, b.Host)))
	})
	return out[:min(len(out), store.LampBatch)], nil
}

func (m *memory) TrimLamps(_ context.Context, before time.Time) (int, error) {
	defer m.lock()()
	m.trimmed = append(m.trimmed, before)
	return 0, nil
}

func (m *memory) NumbersOf(_ context.Context, user, _ string) ([]tel.Number, error) {
	defer m.lock()()
	if m.down {
		return nil, errDown
	}
	if user == "1000" {
		return []tel.Number{alice}, nil
	}
	return nil, nil
}

func (m *memory) NumberOfMailbox(_ context.Context, tenant, mailbox string) (tel.Number, error) {
	if mailbox == "box-2" && (tenant == "" || tenant == "acme") {
		return bob, nil
	}
	return "", store.ErrNotFound
}

func (m *memory) Notifiers(context.Context) ([]store.Notifier, error) {
	at := func(s string) []netip.Prefix { return []netip.Prefix{netip.MustParsePrefix(s)} }
	return []store.Notifier{
		{Tenant: account.OperatorTenant, FQDN: "vm-a.example.net", From: at("192.0.2.0/28")},
		{Tenant: account.OperatorTenant, FQDN: "vm-b.example.net", From: at("192.0.2.0/28")},
		{Tenant: "aaa", FQDN: "vm.aaa.example", From: at("198.51.100.9/32")},
		{Tenant: "acme", FQDN: "vm.acme.example", From: at("198.51.100.7/32")},
		{Tenant: "acme", FQDN: "vm2.acme.example", From: at("198.51.100.9/32")},
	}, nil
}

// node is a FreeSWITCH that notes what it is told.
type node struct {
	name string
	mu   sync.Mutex
	told []string
	down bool
	hung bool // it takes what it is told and says nothing
}

func (n *node) Name() string { return n.name }
func (n *node) TellLamp(ctx context.Context, l store.Lamp, _ string) error {
	if n.hung {
		<-ctx.Done()
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.down {
		return errDown
	}
	n.told = append(n.told, l.User+" "+formatCounts(l.Counts))
	return nil
}

func (n *node) take() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	out := n.told
	n.told = nil
	return out
}

func TestBodies(t *testing.T) {
	for name, c := range map[string]struct{ body, want string }{
		"whole":            {"Messages-Waiting: yes\r\nMessage-Account: sip:+14155550100@h\r\nVoice-Message: 2/1 (1/0)\r\nFax-Message: 3/0\r\n", "sip:+14155550100@h 2/1 (1/0)"},
		"no urgent ones":   {"Messages-Waiting: yes\nVoice-Message: 4/8\n", " 4/8 (0/0)"},
		"nothing counted":  {"messages-waiting:YES\r\n", " 1/0 (0/0)"},
		"nothing there":    {"Messages-Waiting: no\r\n", " 0/0 (0/0)"},
		"more than can be": {"Messages-Waiting: yes\r\nVoice-Message: 9999999999/0\r\n", " 9999/0 (0/0)"},
		"fewer than none":  {"Messages-Waiting: yes\r\nVoice-Message: -1/0\r\n", "error"},
		"a word":           {"Messages-Waiting: yes\r\nVoice-Message: some/none\r\n", "error"},
		"a half pair":      {"Messages-Waiting: yes\r\nVoice-Message: 2/1 (1\r\n", "error"},
		"nothing":          {"", "error"},
		"something else":   {"v=0\r\no=- 1 1 IN IP4 h\r\n", "error"},
	} {
		mailbox, counts, err := ParseBody([]byte(c.body))
		got := mailbox + " " + formatCounts(counts)
		if err != nil {
			if got = "error"; !errors.Is(err, ErrBody) {
				t.Errorf("%s: %v is no ErrBody", name, err)
			}
		}
		if got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

func FuzzParseBody(f *testing.F) {
	f.Add([]byte("Messages-Waiting: yes\r\nMessage-Account: sip:a@b\r\nVoice-Message: 2/1 (1/0)\r\n"))
	f.Fuzz(func(t *testing.T, body []byte) {
		_, c, err := ParseBody(body)
		if err != nil {
			return
		}
		if again, err := ParseCounts(formatCounts(c)); err != nil || again != c {
			t.Errorf("%+v is written so that %+v is read, %v", c, again, err)
		}
	})
}

func TestWhoMaySayWhatOfWhom(t *testing.T) {
	for name, c := range map[string]struct {
		source, account, user, from string
		down                        bool
		code                        int
		system                      string
	}{
		"the pilot's system":                  {source: "192.0.2.1", account: "sip:+14155550100@h", code: 200, system: "vm-b.example.net"},
		"one that names itself":               {source: "192.0.2.1", account: "sip:+14155550101@h", from: "vm-a.example.net", code: 200, system: "vm-a.example.net"},
		"by the Request-URI":                  {source: "192.0.2.1", user: "4155550100", code: 200, system: "vm-b.example.net"},
		"by the mailbox's name":               {source: "198.51.100.7", account: "box-2", code: 200, system: "vm.acme.example"},
		"by its name, where two tenants' are": {source: "198.51.100.9", account: "box-2", code: 200, system: "vm2.acme.example"},
		"an IPv4 address in IPv6's clothes":   {source: "::ffff:192.0.2.1", account: "sip:+14155550100@h", code: 200, system: "vm-b.example.net"},
		"a stranger":                          {source: "203.0.113.9", account: "sip:+14155550100@h", code: 403},
		"another tenant's system":             {source: "198.51.100.7", account: "sip:+14155550100@h", code: 403},
		"a mailbox nobody has":                {source: "192.0.2.1", account: "sip:+14155559999@h", code: 404},
		"no mailbox at all":                   {source: "192.0.2.1", code: 404},
		"the store is down: to be sent again": {source: "192.0.2.1", account: "sip:+14155550100@h", down: true, code: 503},
	} {
		m := &memory{down: c.down}
		taker := NewTaker(TakerOptions{Store: m, Region: "US"})
		if err := taker.look(t.Context()); err != nil {
			t.Fatal(err)
		}
		body := "Messages-Waiting: yes\r\nVoice-Message: 2/1\r\n"
		if c.account != "" {
			body += "Message-Account: " + c.account + "\r\n"
		}
		n := Notice{Source: netip.AddrPortFrom(netip.MustParseAddr(c.source), 5060), Body: []byte(body), Time: time.Now()}
		n.User, n.From = c.user, c.from
		if code := taker.Take(t.Context(), n); code != c.code {
			t.Errorf("%s: %d, want %d", name, code, c.code)
		}
		var systems []string
		for _, by := range m.waiting {
			for system := range by {
				systems = append(systems, system)
			}
		}
		if fmt.Sprint(systems) != fmt.Sprint(slices.DeleteFunc([]string{c.system}, func(s string) bool { return s == "" })) {
			t.Errorf("%s: kept for %v, want %q", name, systems, c.system)
		}
	}
	if NewTaker(TakerOptions{Store: &memory{}}).Known(netip.MustParseAddr("192.0.2.1")) {
		t.Error("a system is known before the store was asked")
	}
}

// Summaries of one mailbox are taken at once. What came first is not kept last, whether it is late with its look-ups or slow in the store.
func TestWhatCameLastIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &memory{}
		slow := make(chan struct{})
		taker := NewTaker(TakerOptions{Store: slowWrites{m, store.Counts{New: 1}, slow}})
		if err := taker.look(t.Context()); err != nil {
			t.Fatal(err)
		}
		base := time.Now()
		var all sync.WaitGroup
		take := func(counts string, at time.Duration) {
			n := Notice{Source: netip.MustParseAddrPort("192.0.2.1:5060"), Body: []byte("Messages-Waiting: yes\r\nMessage-Account: sip:+14155550100@h\r\nVoice-Message: " + counts + "\r\n"), Time: base.Add(at)}
			all.Go(func() {
				if code := taker.Take(t.Context(), n); code != 200 {
					t.Errorf("%s: %d", counts, code)
				}
			})
			synctest.Wait()
		}
		take("1/0", time.Second) // is long in the store
		take("3/0", 3*time.Second)
		take("2/0", 2*time.Second) // comes to it late
		close(slow)
		all.Wait()
		if got := m.waiting[alice]["vm-b.example.net"].Counts; got != (store.Counts{New: 3}) {
			t.Errorf("kept are %+v, want 3 new ones", got)
		}
	})
}

// slowWrites keeps some counts when it may.
type slowWrites struct {
	*memory
	slow store.Counts
	may  chan struct{}
}

func (s slowWrites) SetWaiting(ctx context.Context, w store.Waiting) error {
	if w.Counts == s.slow {
		<-s.may
	}
	return s.memory.SetWaiting(ctx, w)
}

// The mailboxes whose newest summary is remembered are bounded.
func TestOrdersAreBounded(t *testing.T) {
	var o orders
	base := time.Now()
	for i := range 3 * maxOrders {
		if kept, err := o.keep(t.Context(), fmt.Sprint(i), base.Add(time.Duration(i)*time.Microsecond), func() error { return nil }); !kept || err != nil {
			t.Fatal(kept, err)
		}
		if len(o.of) > maxOrders {
			t.Fatalf("%d are remembered", len(o.of))
		}
	}
}

func event(name string, fields ...string) *wire.Event {
	list := []wire.Field{{Name: "Event-Name", Value: name}}
	for i := 0; i < len(fields); i += 2 {
		list = append(list, wire.Field{Name: fields[i], Value: fields[i+1]})
	}
	return wire.NewEvent(list, nil)
}

func registered(user, callID string) *wire.Event {
	return event("CUSTOM", "Event-Subclass", "sofia::register", "from-user", user, "from-host", "pbx.example.net", "call-id", callID)
}

func TestLamps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, one, two := &memory{}, &node{name: "fs1"}, &node{name: "fs2"}
		var warmed []tel.Number
		k := NewKeeper(KeeperOptions{Store: m, Switches: []Switch{one, two}, Instance: "i", Warm: func(n []tel.Number) { warmed = append(warmed, n...) }})
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- k.Run(ctx) }()
		wants := func(what string, want ...string) {
			t.Helper()
			time.Sleep(2 * time.Second)
			synctest.Wait()
			if a, b := one.take(), two.take(); !slices.Equal(a, want) || !slices.Equal(b, want) {
				t.Errorf("%s: fs1 was told %v and fs2 %v, want %v", what, a, b, want)
			}
		}
		k.Event("fs1", registered("1000", "c1"))
		wants("a phone registers, nobody has said anything of it")
		if !slices.Equal(warmed, []tel.Number{alice}) {
			t.Errorf("profiles read ahead: %v", warmed)
		}
		if err := m.SetWaiting(ctx, store.Waiting{Number: alice, System: "vm-a", Counts: store.Counts{New: 2, Old: 1}, At: time.Now()}); err != nil {
			t.Fatal(err)
		}
		wants("messages come", "1000 2/1 (0/0)")
		wants("nothing comes")
		k.Event("fs1", registered("1000", "c1"))
		wants("a registration is refreshed")
		if len(warmed) != 1 {
			t.Errorf("a refresh had profiles read again: %v", warmed)
		}
		k.Event("fs1", registered("1000", "c2"))
		wants("a second phone registers", "1000 2/1 (0/0)")
		k.Event("fs1", event("MESSAGE_QUERY", "Message-Account", "sip:1000@pbx.example.net"))
		k.Event("fs1", event("MESSAGE_WAITING", "MWI-Message-Account", "sip:1000@pbx.example.net", "MWI-Messages-Waiting", "no"))
		wants("freeswitch's own voicemail puts the lamp out", "1000 2/1 (0/0)")
		k.Event("fs1", event("MESSAGE_WAITING", "MWI-Message-Account", "1000@pbx.example.net", "MWI-Messages-Waiting", "yes", "MWI-Voice-Message", "1/0 (1/0)"))
		wants("a message in freeswitch's own voicemail", "1000 3/1 (1/0)")
		k.Event("fs1", event("MESSAGE_WAITING", "MWI-Message-Account", "sip:1000@pbx.example.net", "MWI-Voice-Message", "3/1 (1/0)", fsw.InstanceHeader, "other"))
		wants("another sidecar has told them")
		k.Event("fs1", registered("2000", "c3"))
		wants("a phone of nobody's")
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestANodeThatWasDownIsToldLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, up, down := &memory{}, &node{name: "up"}, &node{name: "down", down: true}
		k := NewKeeper(KeeperOptions{Store: m, Switches: []Switch{up, down}})
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- k.Run(ctx) }()
		if err := m.SetWaiting(ctx, store.Waiting{Number: alice, System: "vm-a", Counts: store.Counts{New: 2}, At: time.Now()}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(15 * time.Second)
		down.mu.Lock()
		down.down = false
		down.mu.Unlock()
		time.Sleep(15 * time.Second)
		synctest.Wait()
		if a, b := up.take(), down.take(); len(a) != 1 || !slices.Equal(b, []string{"1000 2/0 (0/0)"}) {
			t.Errorf("the node that was up was told %v, the other %v; want each once", a, b)
		}
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// A node that hangs costs a turn a moment, and the phones of the other nothing.
func TestANodeThatHangsHoldsUpNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const phones = 100
		m, hung, up := &memory{}, &node{name: "hung", hung: true}, &node{name: "up"}
		k := NewKeeper(KeeperOptions{Store: m, Switches: []Switch{hung, up}})
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- k.Run(ctx) }()
		unlock := m.lock()
		for i := range phones {
			m.changed[fmt.Sprintf("%05d@pbx.example.net", i)] = time.Now()
		}
		unlock()
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if told := up.take(); len(told) != phones {
			t.Errorf("%d of %d phones were told", len(told), phones)
		}
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// A bug in the store's driver, or in ours, costs a look and not the process: what was due is done when it is over.
func TestAPanicCostsOneLook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, fs := &memory{}, &node{name: "fs1"}
		if err := m.SetWaiting(t.Context(), store.Waiting{Number: alice, System: "vm-a", Counts: store.Counts{New: 2}, At: time.Now()}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		m.breaks(true)
		k, taker := NewKeeper(KeeperOptions{Store: m, Switches: []Switch{fs}}), NewTaker(TakerOptions{Store: m})
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- k.Run(ctx) }()
		go func() { done <- taker.Run(ctx) }()
		k.Event("fs1", registered("1000", "c1"))
		time.Sleep(30 * time.Second)
		m.breaks(false)
		time.Sleep(15 * time.Second)
		synctest.Wait()
		if told := fs.take(); !slices.Equal(told, []string{"1000 2/0 (0/0)"}) {
			t.Errorf("the phone was told %q", told)
		}
		if !taker.Known(netip.MustParseAddr("192.0.2.1")) {
			t.Error("the voicemail systems are not known")
		}
		m.breaks(true)
		time.Sleep(trimEvery)
		stop()
		for range 2 {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
	})
}

// What a phone was to be told while the store was silent, it is told when the store is back: the refreshes of its registration do not count, and
// FreeSWITCH says but once what its own voicemail has.
func TestASilentStoreLeavesNoLampAsItWas(t *testing.T) {
	for name, c := range map[string]struct {
		event *wire.Event
		want  string
	}{
		"a phone registers":                            {registered("1000", "c1"), "1000 2/0 (0/0)"},
		"freeswitch's own voicemail puts the lamp out": {event("MESSAGE_QUERY", "Message-Account", "sip:1000@pbx.example.net"), "1000 2/0 (0/0)"},
		"a message in freeswitch's own voicemail":      {event("MESSAGE_WAITING", "MWI-Message-Account", "1000@pbx.example.net", "MWI-Voice-Message", "1/0 (0/0)"), "1000 3/0 (0/0)"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m, fs := &memory{}, &node{name: "fs1"}
				silent := func(down bool) { defer m.lock()(); m.down = down }
				if err := m.SetWaiting(t.Context(), store.Waiting{Number: alice, System: "vm-a", Counts: store.Counts{New: 2}, At: time.Now()}); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Hour)
				k := NewKeeper(KeeperOptions{Store: m, Switches: []Switch{fs}})
				ctx, stop := context.WithCancel(t.Context())
				done := make(chan error)
				go func() { done <- k.Run(ctx) }()
				silent(true)
				k.Event("fs1", c.event)
				time.Sleep(30 * time.Second)
				silent(false)
				time.Sleep(15 * time.Second)
				synctest.Wait()
				told := fs.take()
				if len(told) == 0 || told[len(told)-1] != c.want {
					t.Errorf("the phone was told %q, want %q last", told, c.want)
				}
				if k.Waiting() != 0 {
					t.Errorf("%d phones still wait", k.Waiting())
				}
				stop()
				if err := <-done; err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// formatCounts writes what ParseCounts reads.
func formatCounts(c store.Counts) string {
	return fmt.Sprintf("%d/%d (%d/%d)", c.New, c.Old, c.UrgentNew, c.UrgentOld)
}

func TestManyPhonesOfOneMomentAreAllTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const phones = 2*store.LampBatch + 10
		m, fs := &memory{}, &node{name: "fs1"}
		k := NewKeeper(KeeperOptions{Store: m, Switches: []Switch{fs}})
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- k.Run(ctx) }()
		unlock := m.lock()
		at := time.Now() // of one change of what is provisioned
		for i := range phones {
			m.changed[fmt.Sprintf("%05d@pbx.example.net", i)] = at
		}
		unlock()
		time.Sleep(30 * time.Second)
		synctest.Wait()
		told := fs.take()
		slices.Sort(told)
		if all := len(told); all != phones || len(slices.Compact(told)) != phones {
			t.Errorf("%d phones were told, want %d, each once", all, phones)
		}
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestPhonesOfNobodyAreForgottenNowAndThen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &memory{}
		k := NewKeeper(KeeperOptions{Store: m})
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- k.Run(ctx) }()
		time.Sleep(2*trimEvery + time.Minute)
		unlock := m.lock()
		if len(m.trimmed) != 2 || time.Since(m.trimmed[1]) < keepLamps {
			t.Errorf("lamps of before %v were forgotten, want two looks for those of %s ago", m.trimmed, keepLamps)
		}
		unlock()
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
