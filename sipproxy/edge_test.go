package sipproxy

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// A panic in the core itself, which is provoked here through the logger, is a 500 for that request, and nothing of it stays.
func TestPanicInsideTheCoreIsA500(t *testing.T) {
	w := newWorld(t, func(o *Options, w *world) {
		o.T1, o.T2 = 10*time.Millisecond, 40*time.Millisecond
		core := zapcore.NewCore(zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig()), zapcore.AddSync(discard{}), zap.DebugLevel)
		o.Logger = zap.New(core, zap.Hooks(func(e zapcore.Entry) error {
			if strings.HasPrefix(e.Message, "request answered") || strings.HasPrefix(e.Message, "router names") {
				panic(e.Message)
			}
			return nil
		}))
		o.Router = routeFunc(func(inv *Invite) []Hop {
			if inv.CallID == "boom" {
				return []Hop{{Addr: netip.MustParseAddrPort("127.0.0.66:5060")}}
			}
			return []Hop{{Addr: w.node.addr}}
		})
	})
	w.trunk.udp(w.udp, w.trunk.build(request{method: "SUBSCRIBE", uri: "sip:x@y", callID: "sub"}))
	w.trunk.expect("SIP/2.0 500")
	inv := w.trunk.invite("boom")
	w.trunk.udp(w.udp, inv)
	end := w.trunk.expect("SIP/2.0 500", "SIP/2.0 100")
	w.trunk.udp(w.udp, w.trunk.ackFailure(inv, end))
	w.fine()
	if n := w.p.Stats().Panics; n != 2 {
		t.Errorf("%d panics, want 2", n)
	}
	w.wait("nothing kept", func(s Stats) bool { return s.Kept == 0 && s.Pending == 0 })
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }

// However a call ends, the proxy forgets it.
func TestNothingIsKeptAfterwards(t *testing.T) {
	w := newWorld(t, func(o *Options, w *world) {
		o.T1, o.T2, o.FirstResponse = 10*time.Millisecond, 40*time.Millisecond, 50*time.Millisecond
	})
	_, ok := w.call("kept1")
	w.trunk.udp(w.udp, w.trunk.inDialog("BYE", ok, 2))
	w.node.answer(w.node.expect("BYE", "INVITE", "ACK"), "200 OK")
	w.trunk.expect("SIP/2.0 200")
	inv := w.trunk.invite("kept2") // cancelled, and the hop never says a word again
	w.trunk.udp(w.udp, inv)
	w.node.answer(w.node.expect("INVITE", "BYE"), "180 Ringing")
	w.trunk.expect("SIP/2.0 180", "SIP/2.0 100", "SIP/2.0 200")
	w.trunk.udp(w.udp, w.trunk.cancelOf(inv))
	w.trunk.udp(w.udp, w.trunk.invite("kept3")) // nobody answers, nobody acknowledges the 408
	w.trunk.udp(w.udp, w.trunk.inDialog("INFO", ok, 3))
	w.trunk.udp(w.udp, w.trunk.invite("kept4", "Identity: "+strings.Repeat("a", 2000)))
	w.wait("nothing kept", func(s Stats) bool { return s.MessagesIn >= 9 && s.Kept == 0 && s.Pending == 0 && s.Legs == 0 })
	w.stop()
	for _, s := range w.p.shards {
		if n := len(s.client) + len(s.server) + len(s.timers); n != 0 {
			t.Errorf("%d entries are left", n)
		}
	}
}

// A carrier whose Contact is a name, or an address of its inside, is found by what our Record-Route says.
func TestContactThatIsNoAddressOfTheTrunk(t *testing.T) {
	w := newWorld(t, nil)
	raw := strings.Replace(w.trunk.invite("named"), w.trunk.contact(), "Contact: <sip:trunk@sbc17.inside.carrier.test:5070;transport=udp>", 1)
	w.trunk.udp(w.udp, raw)
	at := w.node.expect("INVITE")
	w.node.answer(at, "200 OK", w.node.contact())
	ok := w.trunk.expect("SIP/2.0 200", "SIP/2.0 100")
	w.trunk.udp(w.udp, w.trunk.inDialog("ACK", ok, 1))
	w.node.expect("ACK")
	w.restart()
	w.node.udp(w.udp, w.node.inDialogFrom("BYE", "UDP", at, 5))
	bye := w.trunk.expect("BYE")
	if got, want := startLine(bye.raw), "BYE sip:trunk@sbc17.inside.carrier.test:5070;transport=udp SIP/2.0"; got != want {
		t.Errorf("%q, want the Contact untouched: %q", got, want)
	}
	w.trunk.answer(bye, "200 OK")
	w.node.expect("SIP/2.0 200")
	// A forged one leads nowhere.
	w.node.udp(w.udp, w.node.build(request{method: "BYE", uri: "sip:x@elsewhere.test", callID: "forged", to: "<sip:a@b>;tag=x",
		extra: []string{"Route: <sip:" + w.udp.String() + ";lr;sb-carrier=127.0.0.66:5060>"}}))
	w.node.expect("SIP/2.0 403")
}

func TestProxyRequireIsRefused(t *testing.T) {
	w := newWorld(t, nil)
	w.trunk.udp(w.udp, w.trunk.invite("pr", "Proxy-Require: teleport"))
	if end := w.trunk.expect("SIP/2.0 420"); header(end.raw, "unsupported") != "teleport" {
		t.Errorf("Unsupported %q", header(end.raw, "unsupported"))
	}
	w.trunk.udp(w.udp, strings.Replace(w.trunk.build(request{method: "OPTIONS", uri: "sip:x@y", callID: "trace"}), "Max-Forwards: 70", "Max-Forwards: 0", 1))
	w.trunk.expect("SIP/2.0 200", "SIP/2.0 420")
}

func TestTrunkDoesNotChooseThePath(t *testing.T) {
	w := newWorld(t, nil)
	w.trunk.udp(w.udp, w.trunk.invite("path", "Route: <sip:"+w.udp.String()+";lr>, <sip:127.0.0.66;lr>", "Route: <sip:127.0.0.67;lr>"))
	if at := w.node.expect("INVITE"); len(headers(at.raw, "route")) != 0 {
		t.Errorf("Route %q went on", headers(at.raw, "route"))
	}
}

// A prefix that holds the proxy itself is no way to make it talk to itself.
func TestProxyNeverSendsToItself(t *testing.T) {
	w := newWorld(t, func(o *Options, w *world) {
		for i := range o.Peers {
			o.Peers[i].Prefixes = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/29")}
			o.Peers[i].Port = o.Peers[i].Addr.Port()
		}
		o.Router = routeFunc(func(*Invite) []Hop { return []Hop{{Addr: o.Peers[1].Addr}} })
	})
	w.trunk.udp(w.udp, w.trunk.build(request{method: "BYE", uri: "sip:x@" + w.udp.String(), callID: "self1", to: "<sip:a@b>;tag=x"}))
	w.trunk.expect("SIP/2.0 404")
	w.trunk.udp(w.udp, w.trunk.build(request{method: "INVITE", uri: "sip:x@" + w.tcp.String(), callID: "self2", to: "<sip:a@b>;tag=x"}))
	w.trunk.expect("SIP/2.0 404")
}

func TestKeepAliveIsAnswered(t *testing.T) {
	w := newWorld(t, nil)
	c, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: w.trunk.addr.Addr().AsSlice()}}).Dial("tcp", w.tcp.String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write([]byte("\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	_ = c.SetReadDeadline(time.Now().Add(patience))
	pong := make([]byte, 2)
	if _, err := io.ReadFull(c, pong); err != nil || string(pong) != "\r\n" {
		t.Errorf("%q, %v; want CRLF", pong, err)
	}
	// Its halves come apart: the first behind a request, the second when that is answered.
	io.WriteString(c, w.trunk.build(request{method: "OPTIONS", uri: "sip:" + w.tcp.String(), transport: "TCP", callID: "ping"})+"\r\n")
	end := []byte("\r\n\r\n")
	for got := []byte{}; !bytes.HasSuffix(got, end); got = append(got, pong[0]) {
		if _, err := io.ReadFull(c, pong[:1]); err != nil {
			t.Fatalf("%v behind %q", err, got)
		}
	}
	io.WriteString(c, "\r\n")
	if _, err := io.ReadFull(c, pong); err != nil || string(pong) != "\r\n" {
		t.Errorf("%q, %v for a ping in two parts; want CRLF", pong, err)
	}
}

// A connection that the hop closed while the INVITE was on its way is opened again, once.
func TestInviteIsSentAgainOnANewConnection(t *testing.T) {
	w := newWorld(t, func(o *Options, w *world) {
		o.Peers[1].Transport = "tcp"
		o.Router = routeFunc(func(*Invite) []Hop { return []Hop{{Addr: w.node.addr}} })
	})
	w.trunk.udp(w.udp, w.trunk.invite("conn"))
	first := w.node.expect("INVITE")
	if first.conn == nil {
		t.Fatal("the peer's transport does not hold for the router's hop")
	}
	first.conn.Close()
	second := w.node.expect("INVITE")
	if header(first.raw, "via") != header(second.raw, "via") {
		t.Errorf("Via %q, then %q: it must be a retransmission", header(first.raw, "via"), header(second.raw, "via"))
	}
	second.conn.Close()
	w.trunk.expect("SIP/2.0 503", "SIP/2.0 100")
}

// Proxies between us and the element that answered are on the way of the ghost's ACK and BYE, nearest first.
func TestGhostFollowsTheRouteSetBeyondUs(t *testing.T) {
	sent := &message{method: "INVITE", uri: "sip:+1@far"}
	sent.add("Via", "SIP/2.0/UDP 192.0.2.9:5090;branch=z")
	ok := &message{code: 200}
	ok.add("Record-Route", "<sip:far.test;lr>, <sip:near.test;lr>")
	ok.add("Record-Route", "<sip:192.0.2.9:5090;lr>")
	ok.add("Record-Route", "<sip:behind.test;lr>")
	ok.add("From", "<sip:a@b>;tag=1")
	ok.add("To", "<sip:c@d>;tag=2")
	ok.add("Call-ID", "x")
	ok.add("CSeq", "41 INVITE")
	ok.add("m", "<sip:dev@10.0.0.1;transport=tcp>")
	bye := ghost(sent, ok, "BYE", 1, "z9hG4bKx", func(h string, _ uint16) bool { return h == "192.0.2.9" })
	if got := bye.all("route"); len(got) != 2 || got[0] != "<sip:near.test;lr>" || got[1] != "<sip:far.test;lr>" {
		t.Errorf("Route %q", got)
	}
	if bye.uri != "sip:dev@10.0.0.1;transport=tcp" || bye.get("cseq") != "42 BYE" {
		t.Errorf("%s, CSeq %s", bye.uri, bye.get("cseq"))
	}
}

// The answers of many calls at once each find their caller, over one connection to FreeSWITCH and with all shards at work.
func TestManyCallsAtOnce(t *testing.T) {
	const calls = 300
	w := newWorld(t, func(o *Options, w *world) {
		o.Peers[1].Transport = "tcp"
		o.T1 = 500 * time.Millisecond
		o.Screener = screenFunc(func(inv *Invite) Decision { return Decision{Add: []HeaderField{{"X-Signalbox", inv.CallID}}} })
	})
	w.node.wg.Go(func() {
		for range 2 * calls { // an INVITE and an ACK each
			select {
			case g := <-w.node.in:
				if strings.HasPrefix(g.raw, "INVITE") {
					w.node.answer(g, "486 Busy "+header(g.raw, "x-signalbox"))
				}
			case <-time.After(patience):
				return
			}
		}
	})
	for i := range calls {
		w.trunk.udp(w.udp, w.trunk.invite(fmt.Sprint("many", i)))
	}
	answered := map[string]bool{}
	for len(answered) < calls {
		g := w.trunk.expect("SIP/2.0 486", "SIP/2.0 100")
		id := header(g.raw, "call-id")
		if startLine(g.raw) != "SIP/2.0 486 Busy "+id {
			t.Fatalf("call %s got %q", id, startLine(g.raw))
		}
		answered[id] = true
		w.trunk.udp(w.udp, w.trunk.ackFailure(w.trunk.invite(id), g))
	}
}

func TestCallOverIPv6(t *testing.T) {
	if pc, err := net.ListenPacket("udp", "[::1]:0"); err != nil {
		t.Skip("no IPv6 here: ", err)
	} else {
		pc.Close()
	}
	w := newWorld(t, func(o *Options, w *world) {
		w.trunk, w.node = newUA(t, "trunk", "::1"), newUA(t, "node", "::1")
		for i := range o.Listen {
			o.Listen[i].Addr = "[::1]:0"
		}
		o.Peers[0].Addr, o.Peers[0].Port = w.trunk.addr, w.trunk.addr.Port()
		o.Peers[1].Addr, o.Peers[1].Port = w.node.addr, w.node.addr.Port()
	})
	inv, ok := w.call("six")
	if rr := header(inv.raw, "record-route"); rr != "<sip:"+w.udp.String()+";lr>" {
		t.Errorf("Record-Route %q", rr)
	}
	w.trunk.udp(w.udp, w.trunk.inDialog("INFO", ok, 2))
	w.node.answer(w.node.expect("INFO"), "200 OK")
	w.trunk.expect("SIP/2.0 200")
	if _, err := w.node.dial(w.tcp).Write([]byte(w.node.inDialogFrom("BYE", "TCP", inv, 3))); err != nil {
		t.Fatal(err)
	}
	w.trunk.answer(w.trunk.expect("BYE"), "200 OK")
	w.node.expect("SIP/2.0 200")
}

// A proxy on all addresses knows itself by each of them: FreeSWITCH on its host need not use the advertised name.
func TestListenerOnAllAddresses(t *testing.T) {
	w := newWorld(t, func(o *Options, w *world) {
		o.Listen = []Listener{{Network: "udp", Addr: "0.0.0.0:0", Advertise: "proxy.example"}}
	})
	to := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), w.udp.Port())
	w.node.udp(to, w.node.build(request{method: "INVITE", uri: "sip:+15551234@" + w.trunk.addr.String(), callID: "all", extra: []string{"Route: <sip:" + to.String() + ";lr>"}}))
	inv := w.trunk.expect("INVITE")
	if v := header(inv.raw, "via"); !strings.Contains(v, " proxy.example:") {
		t.Errorf("Via %q", v)
	}
}
