package sipproxy

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"
)

const (
	trunkDomain = "sip.carrier.example"
	nodeDomain  = "switch.pbx.example"
)

// zone is a DNS whose answers hold for no time, so that they are asked for again as soon as the proxy may.
type zone struct {
	mu    sync.Mutex
	found map[string][]Found
	err   error
	asked map[string]int
	hang  chan struct{} // not nil: nobody is answered
}

func newZone() *zone { return &zone{found: map[string][]Found{}, asked: map[string]int{}} }

func (z *zone) set(domain string, found ...Found) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.found[domain] = found
}

func (z *zone) Addresses(ctx context.Context, domain string, _ uint16, _ string) ([]Found, time.Duration, error) {
	if z.hang != nil {
		select {
		case <-z.hang:
		case <-ctx.Done():
		}
		return nil, 0, errors.New("silence")
	}
	z.mu.Lock()
	defer z.mu.Unlock()
	z.asked[domain]++
	return z.found[domain], 0, z.err
}

// leads waits until the proxy knows so many addresses of a domain.
func leads(t *testing.T, p *Proxy, domain string, want ...netip.AddrPort) {
	t.Helper()
	deadline := time.Now().Add(patience)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		for _, n := range p.Names() {
			if n.Domain == domain && len(n.Addresses) == len(want) && (len(want) == 0 || n.Addresses[0] == want[0]) {
				return
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s does not lead to %v: %+v", domain, want, p.Names())
		}
		<-tick.C
	}
}

func named(z *zone) func(*Options, *world) {
	return func(o *Options, w *world) {
		o.Names = z
		o.FirstResponse = 150 * time.Millisecond
		o.Peers = []Peer{{Name: "carrier", Kind: Trunk, Domain: trunkDomain}, {Name: "fs1", Kind: Node, Domain: nodeDomain}}
		z.set(trunkDomain, Found{Addr: w.trunk.addr})
		z.set(nodeDomain, Found{Addr: w.node.addr})
	}
}

func TestPeersByDomain(t *testing.T) {
	z := newZone()
	silent := newUA(t, "silent", "127.0.0.13")
	w := newWorld(t, func(o *Options, w *world) {
		named(z)(o, w)
		z.set(nodeDomain, Found{Addr: silent.addr, Priority: 1}, Found{Addr: w.node.addr, Priority: 2})
	})
	leads(t, w.p, trunkDomain, w.trunk.addr)
	leads(t, w.p, nodeDomain, silent.addr, w.node.addr)
	// A call of the carrier: its address is known by name alone, and the call goes on to the node's next address.
	inv, ok := w.call("n1")
	silent.expect("INVITE")
	// The domain leads elsewhere now. The dialog goes on all the same, from both sides.
	moved := newUA(t, "moved", "127.0.0.12")
	z.set(trunkDomain, Found{Addr: moved.addr})
	leads(t, w.p, trunkDomain, moved.addr)
	w.trunk.udp(w.udp, w.trunk.inDialog("INFO", ok, 2))
	w.node.answer(w.node.expect("INFO"), "200 OK")
	w.trunk.expect("SIP/2.0 200")
	w.node.udp(w.udp, w.node.inDialogFrom("BYE", "UDP", inv, 1))
	w.trunk.answer(w.trunk.expect("BYE"), "200 OK")
	w.node.expect("SIP/2.0 200")
	// And calls come from the new address.
	moved.udp(w.udp, moved.invite("n2"))
	moved.expect("SIP/2.0 100")
	w.node.answer(w.node.expect("INVITE"), "486 Busy Here")
	moved.expect("SIP/2.0 486")
}

func TestCallToATrunkByItsDomainFailsOver(t *testing.T) {
	z := newZone()
	second := newUA(t, "second", "127.0.0.12")
	w := newWorld(t, func(o *Options, w *world) {
		named(z)(o, w)
		z.set(trunkDomain, Found{Addr: w.trunk.addr, Priority: 10, Weight: 5}, Found{Addr: second.addr, Priority: 20})
	})
	leads(t, w.p, trunkDomain, w.trunk.addr, second.addr)
	leads(t, w.p, nodeDomain, w.node.addr)
	w.node.udp(w.udp, w.node.build(request{method: "INVITE", uri: "sip:+15551234@" + strings.ToUpper(trunkDomain), callID: "n3"}))
	w.node.expect("SIP/2.0 100")
	w.trunk.answer(w.trunk.expect("INVITE"), "503 Service Unavailable")
	second.answer(second.expect("INVITE"), "200 OK", second.contact())
	ok := w.node.expect("SIP/2.0 200")
	w.node.udp(w.udp, w.node.inDialog("ACK", ok, 1))
	second.expect("ACK")
	w.node.udp(w.udp, w.node.build(request{method: "INVITE", uri: "sip:+15551234@other.example", callID: "n4"}))
	w.node.expect("SIP/2.0 403")
}

func TestSilentNamesHoldNoCallUp(t *testing.T) {
	z := newZone()
	z.hang = make(chan struct{})
	w := newWorld(t, func(o *Options, w *world) {
		o.Names = z
		o.Router = routeFunc(func(*Invite) []Hop { return []Hop{{Name: "fs2"}, {Addr: w.node.addr}} })
		o.Peers = append(o.Peers, Peer{Name: "fs2", Kind: Node, Domain: nodeDomain})
	})
	w.fine()
	only := w.opt.Peers[:3]
	if err := w.p.Reload(only, nil, routeFunc(func(*Invite) []Hop { return []Hop{{Name: "fs2"}} })); err != nil {
		t.Fatal(err)
	}
	w.trunk.udp(w.udp, w.trunk.invite("n5"))
	w.trunk.expect("SIP/2.0 503", "SIP/2.0 100")
	close(z.hang)
}

func TestADomainDoesNotMakeACarrierANode(t *testing.T) {
	z := newZone()
	w := newWorld(t, func(o *Options, w *world) {
		named(z)(o, w)
		o.Peers[0] = Peer{Name: "carrier", Kind: Trunk, Addr: w.trunk.addr, Prefixes: []netip.Prefix{netip.MustParsePrefix("127.0.0.2/31")}}
		z.set(nodeDomain, Found{Addr: netip.AddrPortFrom(w.trunk.addr.Addr(), 5080)}, Found{Addr: netip.MustParseAddrPort("127.0.0.9:5080")})
	})
	leads(t, w.p, nodeDomain, netip.AddrPortFrom(w.trunk.addr.Addr(), 5080), netip.MustParseAddrPort("127.0.0.9:5080"))
	tab := w.p.table.Load()
	if tab.holdsNode(w.trunk.addr.Addr()) {
		t.Error("the DNS of the node made the carrier a node")
	}
	if !tab.holdsNode(netip.MustParseAddr("127.0.0.9")) {
		t.Error("the other address is lost")
	}
}

func TestAddressesOfADomainOverTime(t *testing.T) {
	p := Peer{Name: "carrier", Kind: Trunk, Domain: trunkDomain}
	d := p.names()
	a, b := Found{Addr: netip.MustParseAddrPort("192.0.2.1:5060")}, Found{Addr: netip.MustParseAddrPort("192.0.2.2:5060")}
	now := time.Now()
	began := now
	step := func(after time.Duration, err error, found ...Found) {
		now = now.Add(after)
		d.take(found, time.Hour, err, now, zap.NewNop())
	}
	// who says: "-" a stranger, "d" in dialogs alone, "c" calls too.
	who := func() (out string) {
		tab := &table{peers: p.expand(d, func(netip.Addr) bool { return false }, now)}
		for _, f := range []Found{a, b} {
			switch peer := tab.match(f.Addr.Addr(), 5060); {
			case peer == nil:
				out += "-"
			case peer.moved(now):
				out += "d"
			default:
				out += "c"
			}
		}
		return out
	}
	check := func(what, want string) {
		t.Helper()
		if got := who(); got != want {
			t.Errorf("%s (after %s): %s, want %s", what, now.Sub(began), got, want)
		}
	}
	check("nothing is known", "--")
	step(0, nil, a)
	check("the first address", "c-")
	step(time.Hour, nil, b)
	check("it has just moved", "cc")
	now = now.Add(2 * time.Minute)
	check("it moved two minutes ago", "dc")
	step(time.Minute, nil, b)
	check("and is looked up again", "dc")
	step(5*time.Hour, nil, b)
	check("dialogs are over", "-c")
	step(time.Hour, errors.New("silence"))
	check("the DNS is silent", "-c")
	step(22*time.Hour, errors.New("silence"))
	check("for most of a day", "-c")
	step(3*time.Hour, errors.New("silence"))
	now = now.Add(2 * time.Minute)
	check("for more than a day", "-d")
}

func TestWeightsOfADomain(t *testing.T) {
	p := Peer{Name: "fs", Kind: Node, Domain: nodeDomain}
	d := p.names()
	add := func(ip string, priority, weight uint16) {
		d.found = append(d.found, Found{Addr: netip.MustParseAddrPort(ip + ":5080"), Priority: priority, Weight: weight})
	}
	add("192.0.2.9", 20, 100)
	add("192.0.2.1", 10, 3)
	add("192.0.2.2", 10, 1)
	add("192.0.2.3", 10, 0)
	tab := &table{peers: p.expand(d, func(netip.Addr) bool { return false }, time.Now())}
	first := map[string]int{}
	for range 4000 {
		hops := tab.expand([]Hop{{Name: "fs"}})
		if len(hops) != 4 || hops[3].Addr.Addr().String() != "192.0.2.9" || hops[2].Addr.Addr().String() != "192.0.2.3" {
			t.Fatalf("%v: the worse priority is last, and weight 0 behind the others", hops)
		}
		first[hops[0].Addr.Addr().String()]++
	}
	if n := first["192.0.2.1"]; n < 2800 || n > 3200 {
		t.Errorf("weight 3 of 4 is first %d times of 4000", n)
	}
}

func TestBadDomains(t *testing.T) {
	for _, p := range []Peer{
		{Name: "x", Kind: Trunk, Domain: "sip.example", Addr: netip.MustParseAddrPort("192.0.2.1:5060")},
		{Name: "x", Kind: Trunk, Domain: "sip.example:5060"},
		{Name: "x", Kind: Trunk, Domain: "sip.example;x"},
	} {
		if _, err := checkPeers([]Peer{p}); !errors.Is(err, ErrOptions) {
			t.Errorf("%+v: %v", p, err)
		}
	}
	if _, err := New(Options{Listen: []Listener{{Network: "udp", Addr: "127.0.0.1:0"}}, Peers: []Peer{{Name: "x", Domain: "sip.example"}}}); !errors.Is(err, ErrOptions) {
		t.Errorf("without Names: %v", err)
	}
}
