package app_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/app"
	"github.com/signalbox/signalbox/internal/call"
	"github.com/signalbox/signalbox/internal/config"
	"github.com/signalbox/signalbox/internal/fsw/fswtest"
	"github.com/signalbox/signalbox/internal/lab"
	"github.com/signalbox/signalbox/internal/store/postgres/pgtest"
)

const (
	served = "14155550100" // Ada's
	nobody = "14155550199" // no account owns it
)

// carrierIP is where calls come from: the proxy tells a carrier from a FreeSWITCH by its address.
var carrierIP = netip.MustParseAddr("127.0.0.2")

// settings are a whole configuration on free ports, with a store of its own and a node that is not there.
func settings(t *testing.T) *config.Config {
	t.Helper()
	c := config.Default()
	c.Store.SQLite = filepath.Join(t.TempDir(), "signalbox.db")
	c.Sidecar.Listen, c.Sidecar.Drain = "127.0.0.1:0", 0
	c.HTTP = config.HTTP{Listen: "127.0.0.1:0", ProxyListen: "127.0.0.1:0"}
	c.Proxy.Listen = []config.Listen{{Network: "udp", Addr: "127.0.0.1:0"}, {Network: "tcp", Addr: "127.0.0.1:0"}}
	c.Nodes = []config.Node{{Name: "fs1", SIP: config.Place{AddrPort: netip.MustParseAddrPort("127.0.0.1:1")}}}
	c.Proxy.Trunks = []config.Trunk{{Name: "carrier", Prefixes: []config.Prefix{{Prefix: netip.PrefixFrom(carrierIP, 32)}}, Screening: "enforce"}}
	c.Token.Keys = []config.Key{{ID: "k1", Secret: "0123456789abcdef0123456789abcdef"}}
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	return &c
}

// start runs an app until stop, which gives its error, or until the test ends.
func start(t *testing.T, o app.Options) (a *app.App, stop func() error) {
	t.Helper()
	a, err := app.New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	stopped := false
	stop = func() error {
		if stopped {
			return nil
		}
		stopped = true
		cancel()
		return fswtest.Wait(t, "the app's end", done)
	}
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return a, stop
}

func copied(c *config.Config, change func(*config.Config)) *config.Config {
	n := *c
	n.Nodes, n.Proxy.Trunks = slices.Clone(c.Nodes), slices.Clone(c.Proxy.Trunks)
	change(&n)
	return &n
}

func listens(addr string) bool {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return false
	}
	_ = c.Close()
	return true
}

func TestEachRoleOpensWhatItNeedsAndClosesItAgain(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		role           app.Role
		proxy, sidecar bool
	}{{app.All, true, true}, {app.Proxy, true, false}, {app.Sidecar, false, true}} {
		t.Run(string(tt.role), func(t *testing.T) {
			t.Parallel()
			c := settings(t)
			a, stop := start(t, app.Options{Config: c, Role: tt.role})
			if got := len(a.SIPAddrs()) == 2; got != tt.proxy {
				t.Errorf("SIP on %v", a.SIPAddrs())
			}
			if got := a.EventSocketAddr() != nil; got != tt.sidecar {
				t.Errorf("Event Socket on %v", a.EventSocketAddr())
			}
			if _, err := os.Stat(c.Store.SQLite); (err == nil) != tt.sidecar {
				t.Errorf("store: %v", err)
			}
			var open []string
			for _, addr := range a.SIPAddrs() {
				open = append(open, addr.String())
			}
			if tt.sidecar {
				open = append(open, a.EventSocketAddr().String())
			}
			if !listens(open[len(open)-1]) {
				t.Errorf("nobody listens on %s", open[len(open)-1])
			}
			if err := stop(); err != nil {
				t.Errorf("Run: %v", err)
			}
			for _, addr := range open {
				if listens(addr) {
					t.Errorf("%s is still open", addr)
				}
			}
			// Nothing is left behind: the very same can be opened again.
			if _, stop := start(t, app.Options{Config: c, Role: tt.role}); stop() != nil {
				t.Error("the second run failed")
			}
		})
	}
	if _, err := app.New(app.Options{Config: settings(t), Role: "everything"}); err == nil || !strings.Contains(err.Error(), "choose all, proxy or sidecar") {
		t.Errorf("an unknown role: %v", err)
	}
}

// taken is a port that somebody else uses, for UDP and TCP.
func taken(t *testing.T) string {
	t.Helper()
	a := agent(t, "taken", netip.MustParseAddr("127.0.0.1"), lab.Behaviour{})
	return a.Addr().String()
}

func TestWhatCannotBeOpenedIsNamedAndNothingStaysOpen(t *testing.T) {
	t.Parallel()
	busy := taken(t)
	for _, tt := range []struct {
		name   string
		change func(*config.Config)
		want   []string
	}{
		{"event socket port", func(c *config.Config) { c.Sidecar.Listen = busy }, []string{"sidecar.listen", busy, "address already in use"}},
		{"SIP port for UDP", func(c *config.Config) { c.Proxy.Listen[0].Addr = busy }, []string{"proxy.listen", "udp " + busy, "address already in use"}},
		{"SIP port for TCP", func(c *config.Config) { c.Proxy.Listen[1].Addr = busy }, []string{"proxy.listen", "tcp " + busy, "address already in use"}},
		{"no folder for the store", func(c *config.Config) { c.Store.SQLite = filepath.Join(t.TempDir(), "no", "such", "signalbox.db") }, []string{"store.sqlite"}},
		{"the store is no database", func(c *config.Config) {
			if err := os.WriteFile(c.Store.SQLite, []byte(strings.Repeat("no database ", 1000)), 0o600); err != nil {
				t.Error(err)
			}
		}, []string{"store.sqlite"}},
		{"the database is not there", func(c *config.Config) {
			c.Store.Postgres = config.Postgres{DSN: "postgres://me@" + config.Secret(free(t)) + "/x?sslmode=disable", Password: "hunter2"}
		}, []string{"store.postgres: database me@127.0.0.1", "connection refused"}},
		{"a name server that is none", func(c *config.Config) { c.DNS.Servers = []string{"no:such:address"} }, []string{"dns.servers"}},
		{"a carrier without an address", func(c *config.Config) { c.Proxy.Trunks = append(c.Proxy.Trunks, config.Trunk{Name: "other"}) }, []string{"proxy", "other"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := settings(t)
			c.Sidecar.Listen = free(t)
			good := *c
			good.Proxy.Listen = slices.Clone(c.Proxy.Listen)
			tt.change(c)
			a, err := app.New(app.Options{Config: c, Role: app.All})
			if err == nil {
				t.Fatalf("opened %v", a.SIPAddrs())
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("the error does not say %q: %v", want, err)
				}
			}
			if c.Sidecar.Listen == good.Sidecar.Listen && listens(good.Sidecar.Listen) {
				t.Error("the Event Socket listener stays open")
			}
			if tt.name == "the store is no database" {
				good.Store.SQLite += "2"
			}
			if _, stop := start(t, app.Options{Config: &good, Role: app.All}); stop() != nil {
				t.Error("a good configuration does not run after it")
			}
		})
	}
}

// free is an address of the lab's: one of the kernel's could be somebody else's before it is listened at.
func free(t *testing.T) string {
	t.Helper()
	at, err := lab.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	return at.String()
}

func TestSidecarsShareAPostgreSQL(t *testing.T) {
	t.Parallel()
	dsn := config.Secret(pgtest.Of(t).New(t))
	one, two := settings(t), settings(t)
	one.Store.Postgres.DSN, two.Store.Postgres.DSN = dsn, dsn
	_, stopOne := start(t, app.Options{Config: one, Role: app.Sidecar})
	_, stopTwo := start(t, app.Options{Config: two, Role: app.Sidecar})
	s, err := app.OpenStore(t.Context(), one)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Shut() }()
	if list, err := s.Sidecars(t.Context()); err != nil || len(list) != 2 {
		t.Errorf("sidecars are %+v, %v", list, err)
	}
	if _, err := os.Stat(one.Store.SQLite); err == nil {
		t.Error("an SQLite file is made beside PostgreSQL")
	}
	if _, err := app.New(app.Options{Config: two, Role: app.Sidecar}); !errors.Is(err, app.ErrSecondSidecar) {
		t.Errorf("two sidecars with one spool: %v", err)
	}
	if err := errors.Join(stopOne(), stopTwo()); err != nil {
		t.Error(err)
	}
	if list, err := s.Sidecars(t.Context()); err != nil || len(list) != 0 {
		t.Errorf("after their end the sidecars are %+v, %v", list, err)
	}
}

func TestASecondSidecarOnOneStoreIsRefused(t *testing.T) {
	t.Parallel()
	c := settings(t)
	_, stop := start(t, app.Options{Config: c, Role: app.Sidecar})
	_, err := app.New(app.Options{Config: c, Role: app.Sidecar})
	if !errors.Is(err, app.ErrSecondSidecar) || !strings.Contains(err.Error(), c.Store.SQLite) {
		t.Errorf("the second sidecar: %v", err)
	}
	if _, stop := start(t, app.Options{Config: c, Role: app.Proxy}); stop() != nil {
		t.Error("a proxy beside the sidecar does not run")
	}
	// A command line tool reads and writes the same store meanwhile.
	s, err := app.OpenStore(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.Ping(t.Context()), s.Shut()); err != nil {
		t.Error(err)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	if _, stop := start(t, app.Options{Config: c, Role: app.Sidecar}); stop() != nil {
		t.Error("the next sidecar does not run")
	}
}

func agent(t *testing.T, name string, ip netip.Addr, b lab.Behaviour) *lab.Agent {
	t.Helper()
	a, err := lab.NewAgent(lab.AgentOptions{Name: name, IP: ip, Voice: name[0], Behaviour: b})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.Close)
	return a
}

// rig is an app between a carrier and a switch.
type rig struct {
	*fswtest.Bench
	app     *app.App
	stop    func() error
	config  *config.Config
	carrier *lab.Agent
	phone   *lab.Agent
	logged  *observer.ObservedLogs
}

func newRig(t *testing.T, role app.Role, change ...func(*config.Config)) *rig {
	t.Helper()
	r := &rig{config: settings(t), carrier: agent(t, "carrier", carrierIP, lab.Behaviour{}), phone: fswtest.Agent(t, "phone", lab.Behaviour{Ring: true})}
	r.config.Sidecar.Listen = free(t)
	r.Bench = fswtest.New(t, fswtest.Options{Socket: r.config.Sidecar.Listen})
	r.config.Nodes[0].SIP.AddrPort = r.Switch.ExternalAddr()
	r.config.Nodes[0].EventSocket = config.EventSocket{Addr: r.Switch.EventSocketAddr().String(), Password: fswtest.Password}
	for _, f := range change {
		f(r.config)
	}
	r.provision(t)
	core, logged := observer.New(zap.InfoLevel)
	r.logged = logged
	r.app, r.stop = start(t, app.Options{Config: r.config, Role: role, Logger: zap.New(core)})
	return r
}

// provision gives Ada her number and one phone at a fixed address.
func (r *rig) provision(t *testing.T) {
	t.Helper()
	s, err := app.OpenStore(t.Context(), r.config)
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.Apply(t.Context(), account.Document{
		Accounts: []account.AccountEntry{{ID: "ada"}},
		Numbers: []account.NumberEntry{{Number: "+" + served, Account: "ada", NoAnswer: account.Duration(30 * time.Second), Devices: []account.DeviceEntry{
			{Kind: account.DeviceURI, Profile: "external", User: "ada", Host: "127.0.0.1", Port: r.phone.Addr().Port()},
		}}},
	}, time.Now())
	if err := errors.Join(err, s.Shut()); err != nil {
		t.Fatal(err)
	}
}

// call places a call through the proxy.
func (r *rig) call(number, from string) *lab.Call {
	return r.Place(r.carrier, lab.Invite{To: number, From: from}, r.app.SIPAddrs()[0])
}

// invite is a call that comes past the proxy.
func invite() lab.Invite { return lab.Invite{To: served, From: caller} }

// records are those of the store, newest first.
func (r *rig) records(t *testing.T) []call.Record {
	t.Helper()
	s, err := app.OpenStore(t.Context(), r.config)
	if err != nil {
		t.Fatal(err)
	}
	records, err := s.Records(t.Context(), 100)
	if err := errors.Join(err, s.Shut()); err != nil {
		t.Fatal(err)
	}
	return records
}

const caller = "+12125550123"

func TestStoppingLeavesTalkersAloneAndSendsOthersToTheFallback(t *testing.T) {
	t.Parallel()
	r := newRig(t, app.All)
	talking := r.call(served, caller)
	r.Incoming(r.phone, 1).Answer()
	r.Status(talking, 200)
	ringing := r.call(served, caller)
	r.Status(ringing, 180)
	r.Incoming(r.phone, 2)
	addr := r.app.EventSocketAddr().String()
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	// The proxy stood until the caller had his answer.
	if m := r.Status(ringing, 486, 480); m.Phrase() != fswtest.Fallback {
		t.Errorf("the caller who waited got %d %s, want the operator's extension", m.Status(), m.Phrase())
	}
	if !talking.Ended().IsZero() {
		t.Errorf("the talking call was ended by %s", talking.EndedBy())
	}
	if n := r.API("show channels count"); !strings.HasPrefix(n, "2 total") {
		t.Errorf("channels that live: %s", n)
	}
	if listens(addr) {
		t.Error("the Event Socket listener stays open")
	}
	records := r.records(t)
	if len(records) != 2 {
		t.Fatalf("%d records, want 2", len(records))
	}
	for _, rec := range records {
		if rec.Arrival.Evidence != call.EvidenceToken || rec.Arrival.Trunk != "carrier" || rec.Node != "fs1" || !strings.Contains(rec.Note, "stopped") {
			t.Errorf("record %+v", rec)
		}
	}
	if records[1].Answered.IsZero() || !records[1].Open() {
		t.Errorf("the record of those who talk: %+v", records[1])
	}

	// The next sidecar sees the end of the call that the first one left.
	a, stop := start(t, app.Options{Config: r.config, Role: app.Sidecar})
	_ = a
	r.Incoming(r.phone, 1).Hangup()
	for end := time.Now().Add(fswtest.Patience); ; {
		records = r.records(t)
		if !records[0].Open() && !records[1].Open() {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("records are left open: %+v", records)
		}
	}
	if rec := records[1]; rec.Result != call.Answered {
		t.Errorf("the record of those who talked: %+v", rec)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

func TestReload(t *testing.T) {
	t.Parallel()
	r := newRig(t, app.All)
	const spammer = "+12125550199"
	if m := r.Status(r.call(nobody, spammer), 486, 603); m.Phrase() != fswtest.Fallback {
		t.Errorf("before: %d %s", m.Status(), m.Phrase())
	}

	// What cannot be is refused, and changes nothing, however good its other parts are.
	bad := copied(r.config, func(c *config.Config) {
		c.Screening.Deny = []config.Deny{{Number: spammer}}
		c.Proxy.Trunks = append(c.Proxy.Trunks, config.Trunk{Name: "other"})
		c.Log.Level = "debug"
	})
	if err := r.app.Reload(bad); err == nil || !strings.Contains(err.Error(), "proxy.trunks") {
		t.Errorf("a carrier without an address: %v", err)
	}
	if err := r.app.Reload(copied(r.config, func(c *config.Config) {
		c.Screening.Deny = []config.Deny{{Number: spammer}}
		c.DNS.Servers = []string{"no:such:address"}
	})); err == nil || !strings.Contains(err.Error(), "dns.servers") {
		t.Errorf("a name server that is none: %v", err)
	}
	if m := r.Status(r.call(nobody, spammer), 486, 603); m.Phrase() != fswtest.Fallback {
		t.Errorf("after bad ones: %d %s", m.Status(), m.Phrase())
	}
	if n := r.logged.FilterMessageSnippet("restart").Len(); n != 0 {
		t.Errorf("a refused configuration speaks of a restart")
	}

	// The deny list counts for the next call; the one that rings goes on.
	ringing := r.call(served, spammer)
	r.Status(ringing, 180)
	good := copied(r.config, func(c *config.Config) {
		c.Screening.Deny = []config.Deny{{Number: spammer, Reason: "spam"}}
		c.Screening.DenyAnswer = 607
		c.Sidecar.MaxCalls, c.Log.Level = 1, "debug"
		c.Nodes[0].EventSocket.Password = "another"
	})
	if err := r.app.Reload(good); err != nil {
		t.Fatal(err)
	}
	if m := r.Status(r.call(nobody, spammer), 486, 603, 607); m.Status() != 607 {
		t.Errorf("denied: %d %s", m.Status(), m.Phrase())
	}
	if m := r.Status(r.call(nobody, caller), 486, 603, 607); m.Phrase() != fswtest.Fallback {
		t.Errorf("not denied: %d %s", m.Status(), m.Phrase())
	}
	r.Incoming(r.phone, 1).Answer()
	r.Status(ringing, 200)
	ringing.Hangup()

	warned := r.logged.FilterMessageSnippet("restart").All()
	if len(warned) != 1 {
		t.Fatalf("%d warnings of a restart, want 1", len(warned))
	}
	if got := fmt.Sprint(warned[0].ContextMap()["keys"]); got != "[log nodes (event_socket) sidecar]" {
		t.Errorf("keys that need a restart: %s", got)
	}

	if err := r.app.Reload(copied(good, func(c *config.Config) { c.Proxy.Trunks[0].CallsPerSecond = 1 })); err != nil {
		t.Fatal(err)
	}
	limited := false
	for range 10 {
		limited = limited || r.Status(r.call(nobody, caller), 486, 503, 603).Status() == 503
	}
	if !limited {
		t.Error("ten calls at once pass where one a second may")
	}
}

func TestTwoAppsInOneProcess(t *testing.T) {
	t.Parallel()
	one, two := newRig(t, app.All), newRig(t, app.All)
	for _, r := range []*rig{one, two} {
		c := r.call(served, caller)
		r.Incoming(r.phone, 1).Answer()
		r.Status(c, 200)
		c.Hangup()
	}
	if err := one.stop(); err != nil {
		t.Error(err)
	}
	c := two.call(served, caller)
	two.Incoming(two.phone, 2).Answer()
	two.Status(c, 200)
	c.Hangup()
	if err := two.stop(); err != nil {
		t.Error(err)
	}
	if a, b := len(one.records(t)), len(two.records(t)); a != 1 || b != 2 {
		t.Errorf("%d and %d records, want 1 and 2", a, b)
	}
}

func TestNewLogger(t *testing.T) {
	for _, format := range []string{"json", "console"} {
		log, err := app.NewLogger(config.Log{Level: "warn", Format: format})
		if err != nil || log.Core().Enabled(zap.InfoLevel) || !log.Core().Enabled(zap.WarnLevel) {
			t.Errorf("%s: %v", format, err)
		}
	}
	if _, err := app.NewLogger(config.Log{Level: "loud"}); err == nil {
		t.Error("an unknown level is taken")
	}
}
