package resolve_test

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/signalbox/signalbox/internal/resolve"
	"github.com/signalbox/signalbox/internal/resolve/resolvetest"
)

// by is a look-up for any transport that shows what was chosen.
func by(t *testing.T, r *resolve.Resolver, transport string) []string {
	t.Helper()
	targets, err := r.Lookup(t.Context(), fqdn, transport)
	if err != nil {
		t.Fatalf("Lookup: %v", err)
	}
	var out []string
	for _, x := range targets {
		out = append(out, x.Transport+" "+x.Addr.String())
	}
	return out
}

// naptr publishes the example of RFC 3263 section 4.1 with a transport more, in another order than it counts.
func naptr(t *testing.T, s *resolvetest.Server) {
	t.Helper()
	set(t, s, fqdn,
		`60 IN NAPTR 90 50 "s" "SIP+D2W" "" _sip._ws.vm.example.net.`,
		`60 IN NAPTR 102 50 "S" "sip+d2u" "" _sip._udp.udp.example.org.`,
		`60 IN NAPTR 100 50 "s" "SIP+D2T" "" _sip._tcp.tcp.example.org.`,
		`60 IN NAPTR 50 50 "s" "SIPS+D2T" "" _sips._tcp.tls.example.org.`,
		`60 IN NAPTR 10 10 "s" "SIP+D2T" "!^.*$!sip:evil@evil.example!" .`,
		`60 IN NAPTR 10 10 "a" "SIP+D2T" "" evil.example.`,
		"60 IN A 127.0.0.9")
	set(t, s, "_sip._udp.udp.example.org", "60 IN SRV 1 1 5091 a.example.net.")
	set(t, s, "_sip._tcp.tcp.example.org", "60 IN SRV 9 1 5092 a.example.net.")
	set(t, s, "_sips._tcp.tls.example.org", "60 IN SRV 1 1 5093 a.example.net.")
	set(t, s, "a.example.net", "60 IN A 127.0.0.1")
}

func TestNAPTRChoosesTheTransport(t *testing.T) {
	s := serve(t)
	naptr(t, s)
	r := newResolver(t, resolve.Options{}, s)
	// By order, although the SRV priority of the first is the worse one; TLS and WebSocket are not asked for.
	wantTargets(t, by(t, r, ""), "tcp 127.0.0.1:5092", "udp 127.0.0.1:5091")
	wantTargets(t, by(t, r, "udp"), "udp 127.0.0.1:5091")
	wantTargets(t, by(t, r, "tcp"), "tcp 127.0.0.1:5092")
	wantTargets(t, by(t, r, "tls"), "tls 127.0.0.1:5093")
}

func TestNAPTRWithoutAWayFallsBackToSRV(t *testing.T) {
	s := serve(t)
	set(t, s, fqdn, `60 IN NAPTR 1 1 "s" "SIP+D2T" "" _sip._tcp.gone.example.org.`)
	set(t, s, "_sip._udp.vm.example.net", "60 IN SRV 1 1 5091 a.example.net.")
	set(t, s, "_sip._tcp.vm.example.net", "60 IN SRV 1 1 5092 a.example.net.")
	set(t, s, "a.example.net", "60 IN A 127.0.0.1")
	r := newResolver(t, resolve.Options{}, s)
	wantTargets(t, by(t, r, "udp"), "udp 127.0.0.1:5091") // NAPTR knows no UDP, but UDP is what was asked for
	wantTargets(t, by(t, r, "tcp"), "tcp 127.0.0.1:5092") // the service that NAPTR names has no records
	wantTargets(t, by(t, r, ""), " 127.0.0.1:5091")
}

// A name that has SRV records for TCP alone, and no NAPTR record to say so, is reached by TCP, and not by UDP at port 5060 of whatever has its name.
func TestSRVForTCPAloneIsFound(t *testing.T) {
	s := serve(t)
	set(t, s, "_sip._tcp.vm.example.net", "60 IN SRV 1 1 5092 a.example.net.")
	set(t, s, "a.example.net", "60 IN A 127.0.0.1")
	set(t, s, fqdn, "60 IN A 127.0.0.9")
	r := newResolver(t, resolve.Options{}, s)
	wantTargets(t, by(t, r, ""), "tcp 127.0.0.1:5092")
	wantTargets(t, by(t, r, "udp"), "udp 127.0.0.9:5060")
	// Where UDP is decidedly not offered it is the same, and nothing is reached when both are not.
	set(t, s, "_sip._udp.vm.example.net", "60 IN SRV 0 0 0 .")
	wantTargets(t, by(t, newResolver(t, resolve.Options{}, s), ""), "tcp 127.0.0.1:5092")
	set(t, s, "_sip._tcp.vm.example.net", "60 IN SRV 0 0 0 .")
	if targets, err := newResolver(t, resolve.Options{}, s).Lookup(t.Context(), fqdn, ""); !errors.Is(err, resolve.ErrNoService) {
		t.Errorf("%+v, %v", targets, err)
	}
}

func TestServersThatDoNotKnowNAPTRCostLittle(t *testing.T) {
	for _, fault := range []resolvetest.Fault{resolvetest.ServFail, resolvetest.Silent, resolvetest.Garbage, resolvetest.Huge} {
		s := serve(t)
		twoTargets(t, s, 60)
		s.Fault(fqdn, fault) // a name with SRV records is asked for NAPTR records alone
		r := newResolver(t, resolve.Options{Timeout: 2 * time.Second, TryTimeout: 100 * time.Millisecond}, s)
		began := time.Now()
		wantTargets(t, look(t, r, "udp"), "a.example.net 127.0.0.1:5091", "b.example.net 127.0.0.2:5092")
		if took := time.Since(began); took > time.Second {
			t.Errorf("fault %d: took %s", fault, took)
		}
	}
}

func TestNameWithAPortIsAskedForAddressesAlone(t *testing.T) {
	s := serve(t)
	naptr(t, s)
	s.Asked()
	r := newResolver(t, resolve.Options{}, s)
	targets, err := r.Find(t.Context(), fqdn, 5070, "tcp")
	if err != nil || len(targets) != 1 || targets[0].Addr != netip.MustParseAddrPort("127.0.0.9:5070") || targets[0].Transport != "tcp" {
		t.Errorf("%+v, %v", targets, err)
	}
	if asked := s.Asked(); slices.ContainsFunc(asked, func(q string) bool { return strings.Contains(q, "NAPTR") || strings.Contains(q, "SRV") }) {
		t.Errorf("asked %q", asked)
	}
}

// Whoever draws and watches for himself gets everything in order, and nothing is remembered of it.
func TestFindGivesPrioritiesAndWeights(t *testing.T) {
	s := serve(t)
	set(t, s, srv, "60 IN SRV 20 0 5092 a.example.net.", "60 IN SRV 10 7 5091 a.example.net.")
	set(t, s, "a.example.net", "60 IN A 127.0.0.1")
	h := resolve.NewHealth(resolve.HealthOptions{})
	r := newResolver(t, resolve.Options{Health: h}, s)
	targets, err := r.Find(t.Context(), fqdn, 0, "udp")
	if err != nil || len(targets) != 2 || targets[0].Priority != 10 || targets[0].Weight != 7 || targets[1].Priority != 20 || targets[0].TTL < 50*time.Second {
		t.Errorf("%+v, %v", targets, err)
	}
	if known := h.States(); len(known) != 0 {
		t.Errorf("breakers of %+v", known)
	}
}

func TestNamesDoNotLeadToThisMachine(t *testing.T) {
	s := serve(t)
	twoTargets(t, s, 60)
	set(t, s, "b.example.net", "60 IN A 192.0.2.2", "60 IN AAAA ::1")
	own := netip.MustParseAddrPort("192.0.2.2:5092")
	strict, err := resolve.New(resolve.Options{Servers: []string{s.Addr()}})
	if err != nil {
		t.Fatal(err)
	}
	wantTargets(t, look(t, strict, "udp"), "b.example.net 192.0.2.2:5092")
	if n := strict.Stats().Refused; n != 2 {
		t.Errorf("%d refused addresses are counted, want 2", n)
	}
	closed, err := resolve.New(resolve.Options{Servers: []string{s.Addr()}, Own: func(a netip.AddrPort) bool { return a == own }})
	if err != nil {
		t.Fatal(err)
	}
	if targets, err := closed.Lookup(t.Context(), fqdn, "udp"); !errors.Is(err, resolve.ErrRefused) || !strings.Contains(err.Error(), "dns.allow_loopback") {
		t.Errorf("%v, %v", targets, err)
	}
	if names := closed.Names(time.Now(), 10); len(names) != 1 || names[0].Up {
		t.Errorf("a name without a target is reported as %+v", names)
	}
}

// An old answer is at hand: nobody waits for a silent DNS as long as somebody who has none.
func TestSilentDNSHoldsNobodyUpWhoHasAnOldAnswer(t *testing.T) {
	t.Parallel()
	s := serve(t)
	twoTargets(t, s, 1)
	r := newResolver(t, resolve.Options{Timeout: 4 * time.Second, TryTimeout: 3 * time.Second, MinTTL: time.Millisecond, MaxTTL: time.Millisecond}, s)
	want := look(t, r, "udp")
	s.Fault("", resolvetest.Silent)
	s.Asked()
	began := time.Now()
	for asked := 0; asked == 0; asked = len(s.Asked()) { // the answer of before may be good for some microseconds yet
		wantTargets(t, look(t, r, "udp"), want...)
	}
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("took %s, a quarter of the timeout is 1s", took)
	}
	for range 50 {
		wantTargets(t, look(t, r, "udp"), want...)
	}
	if asked := s.Asked(); len(asked) != 0 {
		t.Errorf("fifty calls asked the silent servers again: %q", asked)
	}
	if names := r.Names(time.Now(), 10); len(names) != 1 || !names[0].Up || names[0].Name != fqdn {
		t.Errorf("%+v", names)
	}
}
