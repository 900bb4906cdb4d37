package sipproxy

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"
)

func TestANodeThatMissesItsProbesIsTriedLast(t *testing.T) {
	second := newUA(t, "second", "127.0.0.4")
	w := newWorld(t, func(o *Options, w *world) {
		o.Peers = append(o.Peers, Peer{Name: "fs2", Kind: Node, Addr: second.addr})
		o.ProbeEvery, o.FirstResponse = 50*time.Millisecond, 150*time.Millisecond
	})
	health := func(up1, up2 bool) func(Stats) bool {
		return func(Stats) bool {
			for { // the nodes answer meanwhile
				select {
				case g := <-second.in:
					if strings.HasPrefix(g.raw, "OPTIONS") {
						second.answer(g, "200 OK")
					}
					continue
				case g := <-w.node.in:
					if up1 && strings.HasPrefix(g.raw, "OPTIONS") {
						w.node.answer(g, "403 Forbidden") // whatever it says, it is there
					}
					continue
				default:
				}
				break
			}
			h := w.p.Health()
			return len(h) == 2 && h[0].Name == "fs1" && h[0].Up == up1 && h[1].Up == up2
		}
	}
	w.wait("the first node is down", health(false, true))
	w.trunk.udp(w.udp, w.trunk.invite("h1"))
	second.answer(second.expect("INVITE", "OPTIONS"), "486 Busy Here")
	w.trunk.expect("SIP/2.0 486", "SIP/2.0 100")
	w.node.quiet("OPTIONS")
	w.wait("the first node is up", health(true, true))
	w.trunk.udp(w.udp, w.trunk.invite("h2"))
	w.node.expect("INVITE", "OPTIONS")
	second.quiet("OPTIONS", "ACK")
}

func TestHopsThatAreDownAreStillTried(t *testing.T) {
	w := newWorld(t, func(o *Options, w *world) {
		o.ProbeEvery, o.FirstResponse = 50*time.Millisecond, 150*time.Millisecond
	})
	w.wait("the node is down", func(Stats) bool { h := w.p.Health(); return len(h) == 1 && !h[0].Up && !h[0].Since.IsZero() })
	w.trunk.udp(w.udp, w.trunk.invite("h3"))
	w.node.answer(w.node.expect("INVITE", "OPTIONS"), "486 Busy Here")
	w.trunk.expect("SIP/2.0 486", "SIP/2.0 100")
}

// The profile for devices is not probed itself: its node's health counts, so that subscribers register elsewhere while it is gone.
func TestDevicesGoToANodeThatAnswersItsProbes(t *testing.T) {
	var nodes []Peer
	for i := range uint16(4) {
		a := netip.MustParseAddr("192.0.2.1")
		nodes = append(nodes, Peer{Name: fmt.Sprint("fs", i), Kind: Node, Addr: netip.AddrPortFrom(a, 5080+i), DeviceAddr: netip.AddrPortFrom(a, 5060+i)})
	}
	tab, p := &table{peers: nodes}, &Proxy{}
	req := &message{method: "REGISTER"}
	req.add("To", "<sip:1000@pbx.example>")
	first := tab.deviceHops(req)[0]
	p.health.hops = map[netip.AddrPort]*hopState{first.node: {HopHealth: HopHealth{Addr: first.node}}}
	hops := p.healthy(tab.deviceHops(req))
	if hops[0].Addr == first.Addr || hops[3].Addr != first.Addr {
		t.Errorf("hops %v, want %s last", hops, first.Addr)
	}
}

// A FreeSWITCH that is full or paused says 503 to a REGISTER, with Retry-After: 300, and the phone would believe it.
func TestARegistrationFailsOverFromANodeThatIsFull(t *testing.T) {
	other := newUA(t, "other", "127.0.0.4")
	ph := newPhones(t, func(o *Options) {
		o.T1, o.T2 = 10*time.Millisecond, 40*time.Millisecond
		o.Peers = append(o.Peers, Peer{Name: "fs2", Kind: Node, Addr: netip.AddrPortFrom(other.addr.Addr(), 1), DeviceAddr: other.addr})
	})
	u := newUA(t, "phone", "127.0.0.20")
	register := func(id string) (reg got, first, second *ua) {
		u.udp(ph.in, u.register("UDP", id))
		for {
			select {
			case reg = <-ph.auth.in:
				first, second = ph.auth, other
			case reg = <-other.in:
				first, second = other, ph.auth
			case <-time.After(patience):
				t.Fatal("no node got a REGISTER")
			}
			if header(reg.raw, "call-id") == id {
				return reg, first, second
			}
		}
	}
	reg, full, free := register("full1")
	full.answer(reg, "503 Maximum Calls In Progress", "Retry-After: 300")
	free.answer(free.expect("REGISTER"), "200 OK", u.contact()+";expires=60")
	u.expect("SIP/2.0 200")
	if n := ph.p.Stats().Failovers; n != 1 {
		t.Errorf("%d failovers", n)
	}
	// When there is nobody else, it is what the phone is told: the other one is full too, or silent.
	for id, also := range map[string]string{"full2": "503 Maximum Calls In Progress", "full3": ""} {
		reg, full, free = register(id)
		full.answer(reg, "503 Maximum Calls In Progress", "Retry-After: 300")
		for also != "" {
			if reg = free.expect("REGISTER"); header(reg.raw, "call-id") == id {
				free.answer(reg, also, "Retry-After: 300")
				break
			}
		}
		if end := u.expect("SIP/2.0 503"); header(end.raw, "retry-after") != "300" || header(end.raw, "call-id") != id {
			t.Errorf("%s is answered\n%s", id, end.raw)
		}
	}
}

func TestARegistrationFailsOverFromASilentNode(t *testing.T) {
	silent := newUA(t, "silent", "127.0.0.4")
	ph := newPhones(t, func(o *Options) {
		o.FirstResponse = 300 * time.Millisecond
		second := Peer{Name: "fs2", Kind: Node, Addr: netip.AddrPortFrom(silent.addr.Addr(), 1), DeviceAddr: silent.addr}
		o.Peers = append(o.Peers, second)
	})
	u := newUA(t, "phone", "127.0.0.20")
	both := map[*ua]bool{}
	for n := 0; len(both) < 2; n++ { // each user's REGISTER begins at a node of its own
		began := time.Now()
		user := fmt.Sprint(1000 + n)
		u.udp(ph.in, u.build(request{method: "REGISTER", uri: "sip:pbx.example", callID: "r" + user, to: "<sip:" + user + "@pbx.example>"}))
		first, other := ph.auth, silent
		var reg got
		for header(reg.raw, "call-id") != "r"+user { // not an earlier one, sent again
			select {
			case reg = <-ph.auth.in:
				first, other = ph.auth, silent
			case reg = <-silent.in:
				first, other = silent, ph.auth
			case <-time.After(patience):
				t.Fatal("no node got a REGISTER")
			}
		}
		if both[first] {
			first.answer(reg, "200 OK", u.contact()+";expires=60")
			u.expect("SIP/2.0 200")
			continue
		}
		both[first] = true
		over := other.expect("REGISTER")
		if took := time.Since(began); took < 200*time.Millisecond || took > 2*time.Second {
			t.Errorf("it failed over after %s", took)
		}
		other.answer(over, "200 OK", u.contact()+";expires=60")
		u.expect("SIP/2.0 200")
	}
}
