package resolve_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/signalbox/signalbox/internal/resolve"
	"github.com/signalbox/signalbox/internal/resolve/resolvetest"
)

const (
	fqdn = "vm.example.net"
	srv  = "_sip._udp.vm.example.net"
)

func serve(t *testing.T) *resolvetest.Server {
	t.Helper()
	s, err := resolvetest.Serve("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func set(t *testing.T, s *resolvetest.Server, name string, records ...string) {
	t.Helper()
	if err := s.Set(name, records...); err != nil {
		t.Fatal(err)
	}
}

func newResolver(t *testing.T, opt resolve.Options, servers ...*resolvetest.Server) *resolve.Resolver {
	t.Helper()
	for _, s := range servers {
		opt.Servers = append(opt.Servers, s.Addr())
	}
	if opt.Timeout == 0 {
		opt.Timeout = 500 * time.Millisecond
	}
	opt.AllowLoopback = true
	r, err := resolve.New(opt)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// twoTargets is the usual voicemail system: two SRV targets, the second only when the first is down.
func twoTargets(t *testing.T, s *resolvetest.Server, ttl int) {
	t.Helper()
	set(t, s, srv, fmt.Sprintf("%d IN SRV 20 0 5092 b.example.net.", ttl), fmt.Sprintf("%d IN SRV 10 0 5091 a.example.net.", ttl))
	set(t, s, "a.example.net", fmt.Sprintf("%d IN A 127.0.0.1", ttl))
	set(t, s, "b.example.net", fmt.Sprintf("%d IN A 127.0.0.2", ttl))
}

func look(t *testing.T, r *resolve.Resolver, transport string) []string {
	t.Helper()
	targets, err := r.Lookup(t.Context(), fqdn, transport)
	if err != nil {
		t.Fatalf("Lookup: %v", err)
	}
	var out []string
	for _, x := range targets {
		out = append(out, x.Host+" "+x.Addr.String())
	}
	return out
}

func wantTargets(t *testing.T, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("targets are %q, want %q", got, want)
	}
}

func TestTargetsComeByPriority(t *testing.T) {
	s := serve(t)
	twoTargets(t, s, 60)
	r := newResolver(t, resolve.Options{}, s)
	targets, err := r.Lookup(t.Context(), "VM.Example.NET.", "udp")
	if err != nil {
		t.Fatal(err)
	}
	if len(targets) != 2 {
		t.Fatalf("got %d targets, want 2: %v", len(targets), targets)
	}
	first := targets[0]
	if first.Addr != netip.MustParseAddrPort("127.0.0.1:5091") || first.Host != "a.example.net" ||
		first.Transport != "udp" || first.Priority != 10 || first.TTL <= 50*time.Second || first.TTL > time.Minute {
		t.Errorf("first target is %+v", first)
	}
	if targets[1].Addr.Port() != 5092 {
		t.Errorf("second target is %+v", targets[1])
	}
}

func TestTransportChoosesTheService(t *testing.T) {
	s := serve(t)
	twoTargets(t, s, 60)
	set(t, s, "_sip._tcp.vm.example.net", "60 IN SRV 1 1 5070 a.example.net.")
	r := newResolver(t, resolve.Options{}, s)
	wantTargets(t, look(t, r, "tcp"), "a.example.net 127.0.0.1:5070")
	set(t, s, "_sips._tcp.vm.example.net", "60 IN SRV 1 1 5071 b.example.net.")
	wantTargets(t, look(t, r, "tls"), "b.example.net 127.0.0.2:5071")
	set(t, s, "plain.example.net", "60 IN A 127.0.0.9")
	if got, err := r.Lookup(t.Context(), "plain.example.net", "tls"); err != nil || got[0].Addr.Port() != 5061 || got[0].Transport != "tls" {
		t.Errorf("a name without SRV records by TLS: %v, %v", got, err)
	}
	if _, err := r.Lookup(t.Context(), fqdn, "sctp"); !errors.Is(err, resolve.ErrTransport) {
		t.Errorf("transport sctp gives %v, want ErrTransport", err)
	}
}

func TestNameWithoutSRVIsReachedOn5060(t *testing.T) {
	s := serve(t)
	set(t, s, fqdn, "60 IN A 127.0.0.3", "60 IN AAAA ::1", "60 IN A 127.0.0.4")
	r := newResolver(t, resolve.Options{}, s)
	wantTargets(t, look(t, r, "udp"), "vm.example.net 127.0.0.3:5060", "vm.example.net 127.0.0.4:5060", "vm.example.net [::1]:5060")
}

func TestNameWithOnlyAAAA(t *testing.T) {
	s := serve(t)
	set(t, s, fqdn, "60 IN AAAA ::1")
	wantTargets(t, look(t, newResolver(t, resolve.Options{}, s), "udp"), "vm.example.net [::1]:5060")
}

func TestAnswerIsKeptForItsTTLThenAskedAgain(t *testing.T) {
	t.Parallel()
	s := serve(t)
	twoTargets(t, s, 1)
	r := newResolver(t, resolve.Options{}, s)
	first := look(t, r, "udp")
	s.Asked()
	wantTargets(t, look(t, r, "udp"), first...)
	if asked := s.Asked(); len(asked) != 0 {
		t.Errorf("the cached answer was asked for again: %q", asked)
	}
	set(t, s, "a.example.net", "1 IN A 127.0.0.9")
	waitFor(t, 3*time.Second, func() bool { return look(t, r, "udp")[0] == "a.example.net 127.0.0.9:5091" })
}

// waitFor asks again until the fact holds.
func waitFor(t *testing.T, longest time.Duration, fact func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(longest)
	for !fact() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("did not come true in time")
		}
	}
}

func TestMissingNameIsRememberedAndForgotten(t *testing.T) {
	t.Parallel()
	s := serve(t)
	r := newResolver(t, resolve.Options{}, s)
	if _, err := r.Lookup(t.Context(), fqdn, "udp"); !errors.Is(err, resolve.ErrNotFound) {
		t.Fatalf("got %v, want ErrNotFound", err)
	}
	s.Asked()
	if _, err := r.Lookup(t.Context(), fqdn, "udp"); !errors.Is(err, resolve.ErrNotFound) {
		t.Fatalf("got %v, want ErrNotFound", err)
	}
	if asked := s.Asked(); len(asked) != 0 {
		t.Errorf("the negative answer was asked for again: %q", asked)
	}
	twoTargets(t, s, 60)
	waitFor(t, 2*resolvetest.NegativeTTL*time.Second, func() bool {
		_, err := r.Lookup(t.Context(), fqdn, "udp")
		return err == nil
	})
}

func TestServiceNotOffered(t *testing.T) {
	s := serve(t)
	set(t, s, srv, "60 IN SRV 0 0 0 .")
	set(t, s, fqdn, "60 IN A 127.0.0.1")
	if _, err := newResolver(t, resolve.Options{}, s).Lookup(t.Context(), fqdn, "udp"); !errors.Is(err, resolve.ErrNoService) {
		t.Errorf("got %v, want ErrNoService", err)
	}
}

func TestAliasesAreFollowed(t *testing.T) {
	for _, apart := range []bool{false, true} {
		s := serve(t)
		set(t, s, srv, "60 IN CNAME _sip._udp.other.example.org.")
		if !apart {
			set(t, s, "_sip._udp.other.example.org", "60 IN SRV 1 1 5091 a.example.net.")
		}
		set(t, s, "a.example.net", "60 IN CNAME b.example.net.")
		set(t, s, "b.example.net", "7 IN A 127.0.0.5")
		r := newResolver(t, resolve.Options{}, s)
		if apart { // the alias's zone says that the name does not exist: then the name itself is looked up
			set(t, s, fqdn, "60 IN CNAME b.example.net.")
			wantTargets(t, look(t, r, "udp"), "vm.example.net 127.0.0.5:5060")
			continue
		}
		wantTargets(t, look(t, r, "udp"), "a.example.net 127.0.0.5:5091")
		targets, err := r.Lookup(t.Context(), fqdn, "udp")
		if err != nil || targets[0].TTL > 7*time.Second {
			t.Errorf("TTL is %v (%v), want that of the shortest record, 7 s", targets[0].TTL, err)
		}
	}
}

func TestHostileAnswers(t *testing.T) {
	t.Parallel()
	long := []string{}
	for i := range 20 {
		long = append(long, fmt.Sprintf("60 IN CNAME n%d.example.net.", i+1))
	}
	tests := []struct {
		name  string
		setup func(t *testing.T, s *resolvetest.Server)
		want  error
	}{
		{"alias loop", func(t *testing.T, s *resolvetest.Server) {
			set(t, s, srv, "60 IN CNAME x.example.net.")
			set(t, s, "x.example.net", "60 IN CNAME "+srv+".")
		}, resolve.ErrLoop},
		{"alias of itself", func(t *testing.T, s *resolvetest.Server) { set(t, s, srv, "60 IN CNAME "+srv+".") }, resolve.ErrLoop},
		{"endless aliases", func(t *testing.T, s *resolvetest.Server) {
			set(t, s, srv, "60 IN CNAME n0.example.net.")
			for i, r := range long {
				set(t, s, fmt.Sprintf("n%d.example.net", i), r)
			}
		}, resolve.ErrLoop},
		{"other name", func(t *testing.T, s *resolvetest.Server) {
			twoTargets(t, s, 60)
			s.Fault(srv, resolvetest.OtherName)
		}, resolve.ErrLie},
		{"huge", func(_ *testing.T, s *resolvetest.Server) { s.Fault(srv, resolvetest.Huge) }, resolve.ErrTooLarge},
		{"garbage", func(_ *testing.T, s *resolvetest.Server) { s.Fault("", resolvetest.Garbage) }, resolve.ErrServers},
		{"silent", func(_ *testing.T, s *resolvetest.Server) { s.Fault("", resolvetest.Silent) }, resolve.ErrServers},
		{"refused", func(_ *testing.T, s *resolvetest.Server) { s.Fault("", resolvetest.Refused) }, resolve.ErrServers},
		{"failure", func(_ *testing.T, s *resolvetest.Server) { s.Fault("", resolvetest.ServFail) }, resolve.ErrServers},
		{"port 0", func(t *testing.T, s *resolvetest.Server) {
			set(t, s, srv, "60 IN SRV 1 1 0 a.example.net.")
			set(t, s, "a.example.net", "60 IN A 127.0.0.1")
		}, resolve.ErrNotFound},
		{"target that is no host name", func(t *testing.T, s *resolvetest.Server) {
			set(t, s, srv, `60 IN SRV 1 1 5060 a\;fs_path=evil.example.net.`, "60 IN SRV 1 1 5060 10.0.0.1.")
		}, resolve.ErrNotFound},
		{"unusable addresses", func(t *testing.T, s *resolvetest.Server) {
			set(t, s, fqdn, "60 IN A 0.0.0.0", "60 IN A 224.0.0.1", "60 IN A 255.255.255.255", "60 IN AAAA ::", "60 IN AAAA fe80::1", "60 IN AAAA ff02::1")
		}, resolve.ErrNotFound},
		{"targets without address", func(t *testing.T, s *resolvetest.Server) { set(t, s, srv, "60 IN SRV 1 1 5060 gone.example.net.") }, resolve.ErrNotFound},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := serve(t)
			tt.setup(t, s)
			r := newResolver(t, resolve.Options{Timeout: 800 * time.Millisecond, TryTimeout: 400 * time.Millisecond}, s)
			begun := time.Now()
			targets, err := r.Lookup(t.Context(), fqdn, "udp")
			if !errors.Is(err, tt.want) {
				t.Errorf("got %v, %v, want %v", targets, err, tt.want)
			}
			if took := time.Since(begun); took > 2*time.Second {
				t.Errorf("took %v, bound is 800 ms", took)
			}
		})
	}
}

func TestOneGoodTargetOfManyIsEnough(t *testing.T) {
	t.Parallel()
	s := serve(t)
	set(t, s, srv, "60 IN SRV 1 1 5061 gone.example.net.", "60 IN SRV 2 1 0 a.example.net.", "60 IN SRV 3 1 5091 a.example.net.",
		"60 IN SRV 4 1 5091 silent.example.net.")
	set(t, s, "a.example.net", "60 IN A 127.0.0.1")
	s.Fault("silent.example.net", resolvetest.Silent)
	r := newResolver(t, resolve.Options{Timeout: 5 * time.Second, TryTimeout: 400 * time.Millisecond}, s)
	wantTargets(t, look(t, r, "udp"), "a.example.net 127.0.0.1:5091")
}

func TestTroublesomeServers(t *testing.T) {
	for _, tt := range []struct {
		name  string
		fault resolvetest.Fault
		sees  string // what the server must have been asked
	}{
		{"truncated answer is fetched over TCP", resolvetest.Truncated, srv + " SRV tcp"},
		{"forged response is passed over", resolvetest.Spoofed, srv + " SRV udp"},
		{"server without EDNS", resolvetest.NoEDNS, srv + " SRV udp"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := serve(t)
			twoTargets(t, s, 60)
			s.Fault("", tt.fault)
			wantTargets(t, look(t, newResolver(t, resolve.Options{}, s), "udp"),
				"a.example.net 127.0.0.1:5091", "b.example.net 127.0.0.2:5092")
			if asked := s.Asked(); !slices.Contains(asked, tt.sees) {
				t.Errorf("the server was asked %q, not %q", asked, tt.sees)
			}
		})
	}
}

func TestNextServerIsAskedAndKept(t *testing.T) {
	// What belongs to another name is no lie where there is none of the asked type, as in the answer about NAPTR records.
	for fault, most := range map[resolvetest.Fault]int{resolvetest.Silent: 1, resolvetest.ServFail: 1, resolvetest.OtherName: 2} {
		bad, good := serve(t), serve(t)
		twoTargets(t, bad, 60)
		twoTargets(t, good, 60)
		bad.Fault("", fault)
		r := newResolver(t, resolve.Options{Timeout: 2 * time.Second, TryTimeout: 100 * time.Millisecond}, bad, good)
		wantTargets(t, look(t, r, "udp"), "a.example.net 127.0.0.1:5091", "b.example.net 127.0.0.2:5092")
		if asked := bad.Asked(); len(asked) != most {
			t.Errorf("the server with fault %v was asked %q, want %d questions", fault, asked, most)
		}
	}
}

func TestExpiredAnswerIsUsedWhileServersAreSilent(t *testing.T) {
	t.Parallel()
	s := serve(t)
	twoTargets(t, s, 1)
	r := newResolver(t, resolve.Options{Timeout: 200 * time.Millisecond}, s)
	want := look(t, r, "udp")
	s.Fault("", resolvetest.Silent)
	s.Asked()
	waitFor(t, 5*time.Second, func() bool {
		wantTargets(t, look(t, r, "udp"), want...)
		return len(s.Asked()) > 0 // the answer had expired and was asked for in vain
	})
	never := newResolver(t, resolve.Options{Timeout: 200 * time.Millisecond, Stale: -1}, s)
	if _, err := never.Lookup(t.Context(), fqdn, "udp"); !errors.Is(err, resolve.ErrServers) {
		t.Errorf("got %v, want ErrServers", err)
	}
}

func TestManyCallersAskOnce(t *testing.T) {
	s := serve(t)
	twoTargets(t, s, 60)
	r := newResolver(t, resolve.Options{}, s)
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			if targets, err := r.Lookup(context.Background(), fqdn, "udp"); err != nil || len(targets) != 2 {
				t.Errorf("got %v, %v", targets, err)
			}
		})
	}
	all.Wait()
	if asked := s.Asked(); len(asked) != 6 {
		t.Errorf("the server was asked %d times, want 6: %q", len(asked), asked)
	}
}

// Fifty calls a second for one voicemail system whose answers hold for a second: the servers are asked once a second, not fifty times.
func TestCallsMakeNoStormOfQueries(t *testing.T) {
	t.Parallel()
	s := serve(t)
	twoTargets(t, s, 1)
	r := newResolver(t, resolve.Options{}, s)
	const seconds = 2
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	var slowest time.Duration
	for range 50 * seconds {
		<-tick.C
		began := time.Now()
		look(t, r, "udp")
		slowest = max(slowest, time.Since(began))
	}
	const oneLookUp = 6 // NAPTR, SRV, A and AAAA of two hosts
	if asked := s.Asked(); len(asked) > oneLookUp*(seconds+2) {
		t.Errorf("%d queries for %d calls in %d seconds", len(asked), 50*seconds, seconds)
	}
	t.Logf("the slowest of %d look-ups took %s", 50*seconds, slowest)
}

// BenchmarkLookup is what a call pays for a name that is known.
func BenchmarkLookup(b *testing.B) {
	s, err := resolvetest.Serve("127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	for name, record := range map[string]string{srv: "3600 IN SRV 10 0 5091 a.example.net.", "a.example.net": "3600 IN A 192.0.2.1"} {
		if err := s.Set(name, record); err != nil {
			b.Fatal(err)
		}
	}
	r, err := resolve.New(resolve.Options{Servers: []string{s.Addr()}})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := r.Lookup(b.Context(), fqdn, "udp"); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

func TestCallerWhoHangsUpStopsTheLookup(t *testing.T) {
	s := serve(t)
	twoTargets(t, s, 60)
	s.Fault("", resolvetest.Silent)
	r := newResolver(t, resolve.Options{Timeout: 10 * time.Second}, s)
	ctx, hangUp := context.WithCancel(t.Context())
	gone := make(chan error, 1)
	go func() { _, err := r.Lookup(ctx, fqdn, "udp"); gone <- err }()
	waitFor(t, 5*time.Second, func() bool { return len(s.Asked()) > 0 })
	hangUp()
	if err := <-gone; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
	s.Fault("", resolvetest.None)
	look(t, r, "udp") // the next call is not held against the name
}

func TestWeightsShareTheCalls(t *testing.T) {
	s := serve(t)
	set(t, s, srv, "60 IN SRV 1 3 5091 a.example.net.", "60 IN SRV 1 1 5092 b.example.net.", "60 IN SRV 1 0 5093 c.example.net.")
	for _, n := range []string{"a", "b", "c"} {
		set(t, s, n+".example.net", "60 IN A 127.0.0.1")
	}
	r := newResolver(t, resolve.Options{Seed: 7}, s)
	first := map[string]int{}
	for range 4000 {
		first[strings.Fields(look(t, r, "udp")[0])[0]]++
	}
	// RFC 2782's draw over 0..sum gives the weights 3, 1, 0 the shares 3/5, 1/5, 1/5.
	for name, want := range map[string]int{"a.example.net": 2400, "b.example.net": 800, "c.example.net": 800} {
		if got := first[name]; got < want-150 || got > want+150 {
			t.Errorf("%s was first %d times of 4000, want about %d", name, got, want)
		}
	}
}

func TestBadNames(t *testing.T) {
	r := newResolver(t, resolve.Options{}, serve(t))
	for _, name := range []string{"", ".", "host", "10.0.0.1", "a..b", "-a.example", "a.example;x", "a_b.example.net", "vm.example.net\n",
		strings.Repeat("a", 64) + ".net", strings.Repeat("abc.", 70) + "net", "::1", "vm.example.net:5060", "ü.example.net"} {
		if _, err := r.Lookup(t.Context(), name, "udp"); !errors.Is(err, resolve.ErrName) {
			t.Errorf("name %q gives %v, want ErrName", name, err)
		}
	}
}

func TestServersByDefaultFromResolvConf(t *testing.T) {
	s := serve(t)
	host, port, _ := strings.Cut(s.Addr(), ":")
	_ = port
	conf := filepath.Join(t.TempDir(), "resolv.conf")
	if err := os.WriteFile(conf, []byte("nameserver "+host+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := resolve.New(resolve.Options{ResolvConf: conf}); err != nil {
		t.Error(err)
	}
	if _, err := resolve.New(resolve.Options{ResolvConf: conf + ".gone"}); err == nil || !strings.Contains(err.Error(), "resolv.conf.gone") {
		t.Errorf("missing file gives %v", err)
	}
	for _, bad := range []string{"", ":53", "a:b:c", "192.0.2.1:"} {
		if _, err := resolve.New(resolve.Options{Servers: []string{bad}}); err == nil {
			t.Errorf("server %q is accepted", bad)
		}
	}
}
