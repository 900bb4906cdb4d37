package sipproxy

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
)

// phones is a world with a node that takes devices on a profile of its own.
type phones struct {
	*world
	auth *ua // the node's authenticating profile
	in   netip.AddrPort
	tcpd netip.AddrPort
	ws   netip.AddrPort
}

func newPhones(t *testing.T, change func(*Options)) *phones {
	t.Helper()
	ph := &phones{auth: newUA(t, "auth", "127.0.0.3")}
	ph.world = newWorld(t, func(o *Options, w *world) {
		o.Peers[1].DeviceAddr = ph.auth.addr
		o.FlowKey = bytes.Repeat([]byte("k"), 32)
		o.Listen = append(o.Listen, Listener{Network: "udp", Addr: "127.0.0.10:0", Devices: true}, Listener{Network: "tcp", Addr: "127.0.0.10:0", Devices: true},
			Listener{Network: "ws", Addr: "127.0.0.10:0", Devices: true, Origins: []string{"https://phone.example"}})
		if change != nil {
			change(o)
		}
	})
	a := ph.p.Addrs()
	ph.in, ph.tcpd, ph.ws = a[2], a[3], a[4]
	return ph
}

func (u *ua) register(transport, id string, extra ...string) string {
	return u.build(request{method: "REGISTER", uri: "sip:pbx.example", transport: transport, callID: id, to: "<sip:1000@pbx.example>", extra: extra})
}

// registers has a device register and gives the Path.
func (ph *phones) registers(u *ua, transport string, send func(string)) (path string) {
	ph.t.Helper()
	send(u.register(transport, "reg"+u.name, "X-Signalbox: forged", "Path: <sip:evil@192.0.2.66;lr>"))
	reg := ph.auth.expect("REGISTER")
	if p := headers(reg.raw, "path"); len(p) != 1 || !strings.HasSuffix(p[0], "@"+ph.udp.String()+";lr>") {
		ph.t.Errorf("Path %q, want one that leads to %s", p, ph.udp)
	}
	if h := headers(reg.raw, "x-signalbox"); len(h) != 0 {
		ph.t.Errorf("X-Signalbox %q passed", h)
	}
	ph.auth.answer(reg, "200 OK", u.contact()+";expires=60")
	u.expect("SIP/2.0 200")
	return header(reg.raw, "path")
}

// callDevice has the node call a device down its flow and the device answer; then the node hangs up.
func (ph *phones) callDevice(u *ua, path, id string) {
	ph.t.Helper()
	ph.auth.udp(ph.udp, ph.auth.build(request{method: "INVITE", uri: "sip:1000@10.9.8.7:1234", callID: id, extra: []string{"Route: " + path}}))
	ph.auth.expect("SIP/2.0 100")
	inv := u.expect("INVITE")
	if startLine(inv.raw) != "INVITE sip:1000@10.9.8.7:1234 SIP/2.0" || header(inv.raw, "route") != "" {
		ph.t.Errorf("%q with Route %q, want the device's own Contact and no Route", startLine(inv.raw), header(inv.raw, "route"))
	}
	u.answer(inv, "200 OK", "Contact: <sip:1000@10.9.8.7:1234>")
	ok := ph.auth.expect("SIP/2.0 200")
	ph.auth.udp(ph.udp, ph.auth.inDialog("ACK", ok, 1))
	u.expect("ACK")
	ph.auth.udp(ph.udp, ph.auth.inDialog("BYE", ok, 2))
	u.answer(u.expect("BYE"), "200 OK")
	ph.auth.expect("SIP/2.0 200")
}

// deviceCalls has a registered device call, and the node hang up.
func (ph *phones) deviceCalls(u *ua, transport, id string, send func(string)) {
	ph.t.Helper()
	send(strings.Replace(u.invite(id), "SIP/2.0/UDP", "SIP/2.0/"+transport, 1))
	u.expect("SIP/2.0 100")
	inv := ph.auth.expect("INVITE")
	ph.auth.answer(inv, "407 Proxy Authentication Required", `Proxy-Authenticate: Digest realm="x", nonce="y"`)
	ph.auth.expect("ACK")
	res := u.expect("SIP/2.0 407")
	send(strings.Replace(u.ackFailure(strings.Replace(u.invite(id), "SIP/2.0/UDP", "SIP/2.0/"+transport, 1), res), "", "", 1))
	send(strings.Replace(u.build(request{method: "INVITE", uri: "sip:+15550001@pbx.example", callID: id, cseq: 2}), "SIP/2.0/UDP", "SIP/2.0/"+transport, 1))
	u.expect("SIP/2.0 100")
	inv = ph.auth.expect("INVITE")
	ph.auth.answer(inv, "200 OK", ph.auth.contact())
	u.expect("SIP/2.0 200")
	ph.auth.udp(ph.udp, ph.auth.inDialogFrom("BYE", "UDP", inv, 1))
	u.answer(u.expect("BYE"), "200 OK")
	ph.auth.expect("SIP/2.0 200")
}

func TestDeviceByUDP(t *testing.T) {
	ph := newPhones(t, nil)
	u := newUA(t, "phone", "127.0.0.20")
	send := func(raw string) { u.udp(ph.in, raw) }
	path := ph.registers(u, "UDP", send)
	ph.callDevice(u, path, "d1")
	ph.deviceCalls(u, "UDP", "d2", send)
	ph.node.quiet() // the profile of trunks sees nothing of devices
}

func TestDeviceByTCP(t *testing.T) {
	ph := newPhones(t, nil)
	u := newUA(t, "phone", "127.0.0.20")
	c := u.dial(ph.tcpd)
	send := func(raw string) { io.WriteString(c, raw) }
	path := ph.registers(u, "TCP", send)
	ph.callDevice(u, path, "d3")
	ph.deviceCalls(u, "TCP", "d4", send)
	// Its connection is gone: so is the flow, and nothing is sent anywhere else.
	c.Close()
	ph.wait("the flow is gone", func(s Stats) bool { return s.Connections == 0 })
	ph.auth.udp(ph.udp, ph.auth.build(request{method: "INVITE", uri: "sip:1000@10.9.8.7:1234", callID: "d5", extra: []string{"Route: " + path}}))
	ph.auth.expect("SIP/2.0 430")
	ph.fine()
}

// browser speaks SIP over WebSocket and looks like a ua.
func (ph *phones) browser(u *ua, header ws.HandshakeHeader) (net.Conn, error) {
	d := ws.Dialer{Protocols: []string{"sip"}, Header: header, Timeout: patience, NetDial: func(ctx context.Context, network, addr string) (net.Conn, error) {
		return (&net.Dialer{LocalAddr: &net.TCPAddr{IP: u.addr.Addr().AsSlice()}}).DialContext(ctx, network, addr)
	}}
	c, br, _, err := d.Dial(context.Background(), "ws://"+ph.ws.String()+"/")
	if err != nil {
		return nil, err
	}
	if br != nil {
		ph.t.Error("bytes before the first message")
	}
	ph.t.Cleanup(func() { c.Close() })
	w := &wsConn{Conn: c}
	u.wg.Go(func() {
		for {
			raw, _, err := wsutil.ReadServerData(c)
			if err != nil {
				return
			}
			u.in <- got{raw: string(raw), from: ph.ws, conn: w}
		}
	})
	return w, nil
}

type wsConn struct{ net.Conn }

func (w *wsConn) Write(b []byte) (int, error) {
	return len(b), wsutil.WriteClientText(w.Conn, b)
}

func TestDeviceByWebSocket(t *testing.T) {
	ph := newPhones(t, nil)
	u := newUA(t, "phone", "127.0.0.20")
	c, err := ph.browser(u, ws.HandshakeHeaderHTTP{"Origin": {"https://phone.example"}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	send := func(raw string) { io.WriteString(c, raw) }
	path := ph.registers(u, "WS", send)
	ph.callDevice(u, path, "d6")
	ph.deviceCalls(u, "WS", "d7", send)
	send("\r\n\r\n")
	u.expect("\r\n")
	wsutil.WriteClientMessage(c.(*wsConn).Conn, ws.OpPing, []byte("x")) // is answered by a pong, and hurts nothing
	ph.callDevice(u, path, "d8")

	for name, h := range map[string]ws.HandshakeHeader{"another page": ws.HandshakeHeaderHTTP{"Origin": {"https://evil.example"}}} {
		if c, err := ph.browser(u, h); err == nil {
			t.Errorf("%s may connect", name)
			c.Close()
		}
	}
	stranger := newUA(t, "stranger", "127.0.0.22")
	for _, text := range []string{"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "INVITE sip:x SIP/2.0\r\n\r\n", strings.Repeat("A", 70000)} {
		raw := stranger.dial(ph.ws)
		io.WriteString(raw, text)
		raw.Close()
	}
	ph.callDevice(u, path, "d9")
}

func TestAWebSocketWithoutTheSubprotocolIsRefusedInHTTP(t *testing.T) {
	ph := newPhones(t, nil)
	u := newUA(t, "phone", "127.0.0.20")
	for _, offered := range []string{"", "Sec-WebSocket-Protocol: chat, sips\r\n"} {
		c, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: u.addr.Addr().AsSlice()}, Timeout: patience}).Dial("tcp", ph.ws.String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(patience))
		io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"+offered+"\r\n")
		answer, err := io.ReadAll(c)
		if err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 400 ") || !strings.Contains(string(answer), "Sec-WebSocket-Protocol: sip") {
			t.Errorf("%q is answered with %q, %v; want a 400 that says what is missing", offered, answer, err)
		}
	}
}

func TestWebSocketFramesOfABadClient(t *testing.T) {
	ph := newPhones(t, nil)
	u := newUA(t, "phone", "127.0.0.20")
	good, err := ph.browser(u, nil)
	if err != nil {
		t.Fatal(err)
	}
	path := ph.registers(u, "WS", func(raw string) { io.WriteString(good, raw) })
	for name, frame := range map[string][]byte{
		"not masked":     ws.MustCompileFrame(ws.NewTextFrame([]byte("x"))),
		"eight exabytes": {0x81, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4},
		"long ping":      {0x89, 0xfe, 0x01, 0x00, 1, 2, 3, 4},
		"reserved bits":  {0xf1, 0x81, 1, 2, 3, 4, 5},
	} {
		x := newUA(t, "bad", "127.0.0.21")
		c, err := ph.browser(x, nil)
		if err != nil {
			t.Fatal(err)
		}
		before := ph.p.Stats().Malformed
		c.(*wsConn).Conn.Write(frame)
		ph.wait(name+" closes the connection", func(s Stats) bool { return s.Malformed > before && s.Connections == 1 })
	}
	ph.callDevice(u, path, "d10")
}

func TestWhoIsNotRegisteredMakesNoCalls(t *testing.T) {
	ph := newPhones(t, nil)
	u := newUA(t, "phone", "127.0.0.20")
	for i, m := range []string{"INVITE", "MESSAGE", "SUBSCRIBE", "OPTIONS", "BYE"} {
		u.udp(ph.in, u.build(request{method: m, uri: "sip:+15550001@pbx.example", callID: fmt.Sprint("n", i)}))
		u.expect("SIP/2.0 403")
	}
	// Neither does an answer to a wrong password, nor one to a query.
	u.udp(ph.in, u.register("UDP", "n10"))
	ph.auth.answer(ph.auth.expect("REGISTER"), "401 Unauthorized")
	u.expect("SIP/2.0 401")
	u.udp(ph.in, strings.Replace(u.register("UDP", "n11"), u.contact()+"\r\n", "", 1))
	ph.auth.answer(ph.auth.expect("REGISTER"), "200 OK", "Contact: <sip:other@192.0.2.1>;expires=3000")
	u.expect("SIP/2.0 200")
	u.udp(ph.in, u.invite("n12"))
	u.expect("SIP/2.0 403")
	// Registered it may, unregistered not any more.
	ph.registers(u, "UDP", func(raw string) { u.udp(ph.in, raw) })
	u.udp(ph.in, u.invite("n13"))
	ph.auth.answer(ph.auth.expect("INVITE", "ACK"), "486 Busy Here")
	u.expect("SIP/2.0 486", "SIP/2.0 100", "SIP/2.0 403")
	u.udp(ph.in, u.register("UDP", "n14", "Expires: 0"))
	ph.auth.answer(ph.auth.expect("REGISTER", "ACK"), "200 OK")
	u.expect("SIP/2.0 200", "SIP/2.0 486", "SIP/2.0 403")
	u.udp(ph.in, u.invite("n15"))
	u.expect("SIP/2.0 403", "SIP/2.0 486")
	ph.node.quiet()
}

func TestAFlowTokenIsOnlyGoodFromUs(t *testing.T) {
	ph := newPhones(t, nil)
	u := newUA(t, "phone", "127.0.0.20")
	victim := newUA(t, "victim", "127.0.0.77")
	path := ph.registers(u, "UDP", func(raw string) { u.udp(ph.in, raw) })
	user := path[len("<sip:"):strings.IndexByte(path, '@')]
	for i, token := range []string{user[:len(user)-2] + "AA", "B" + user[1:], user + "AAAA", "x", strings.Repeat("A", 60)} {
		ph.auth.udp(ph.udp, ph.auth.build(request{method: "INVITE", uri: "sip:x@" + victim.addr.String(), callID: fmt.Sprint("f", i), extra: []string{"Route: <sip:" + token + "@" + ph.udp.String() + ";lr>"}}))
		ph.auth.expect("SIP/2.0 403", "SIP/2.0 100")
	}
	// A trunk or a device gains nothing from a good one.
	ph.trunk.udp(ph.udp, ph.trunk.build(request{method: "MESSAGE", uri: "sip:x@y", callID: "f20", extra: []string{"Route: " + path}}))
	ph.trunk.expect("SIP/2.0 405")
	other := newUA(t, "other", "127.0.0.21")
	other.udp(ph.in, other.build(request{method: "MESSAGE", uri: "sip:x@y", callID: "f21", extra: []string{"Route: " + path}}))
	other.expect("SIP/2.0 403")
	// What a device answers counts only from the flow that was asked.
	ph.auth.udp(ph.udp, ph.auth.build(request{method: "INVITE", uri: "sip:1000@10.9.8.7:1234", callID: "f22", extra: []string{"Route: " + path}}))
	inv := u.expect("INVITE")
	inv.from = ph.in
	other.answer(inv, "200 OK", other.contact())
	ph.wait("the stray answer", func(s Stats) bool { return s.Stray == 1 })
	ph.auth.expect("SIP/2.0 100", "SIP/2.0 403")
	ph.auth.quiet("SIP/2.0 403")
	u.answer(inv, "486 Busy Here")
	ph.auth.expect("SIP/2.0 486", "SIP/2.0 403")
	victim.quiet()
	u.quiet("ACK")
}

func TestATokenOutlivesARestartByUDP(t *testing.T) {
	ph := newPhones(t, nil)
	u := newUA(t, "phone", "127.0.0.20")
	path := ph.registers(u, "UDP", func(raw string) { u.udp(ph.in, raw) })
	u.udp(ph.in, u.invite("r1"))
	inv := ph.auth.expect("INVITE")
	ph.auth.answer(inv, "200 OK", ph.auth.contact())
	ok := u.expect("SIP/2.0 200", "SIP/2.0 100")
	ph.restart()
	// The device's own BYE shows the token of its flow, so it passes although nobody knows yet that it is registered.
	u.udp(ph.in, u.inDialog("BYE", ok, 2))
	ph.auth.answer(ph.auth.expect("BYE"), "200 OK")
	u.expect("SIP/2.0 200")
	ph.callDevice(u, path, "r2")
	stolen := newUA(t, "thief", "127.0.0.21")
	stolen.udp(ph.in, stolen.inDialog("BYE", ok, 3))
	stolen.expect("SIP/2.0 403")
}

// A phone whose call rings when the proxy is started again hears how it ends: FreeSWITCH shows the way to it in our own Via.
func TestAnswersAfterARestartReachTheDevice(t *testing.T) {
	ph := newPhones(t, nil)
	u := newUA(t, "phone", "127.0.0.20")
	ph.registers(u, "UDP", func(raw string) { u.udp(ph.in, raw) })
	ring := func(id string) got {
		u.udp(ph.in, u.invite(id))
		inv := ph.auth.expect("INVITE")
		ph.auth.answer(inv, "180 Ringing", ph.auth.contact())
		u.expect("SIP/2.0 180", "SIP/2.0 100")
		return inv
	}
	taken, refused := ring("a1"), ring("a2")
	ph.restart()
	ph.auth.answer(taken, "200 OK", ph.auth.contact())
	ok := u.expect("SIP/2.0 200")
	if ok.from != ph.in || header(ok.raw, "call-id") != "a1" || len(headers(ok.raw, "via")) != 1 {
		t.Errorf("from %s, want it from %s, where its NAT lets it through:\n%s", ok.from, ph.in, ok.raw)
	}
	u.udp(ph.in, u.inDialog("ACK", ok, 1))
	ph.auth.expect("ACK")
	ph.auth.answer(refused, "486 Busy Here")
	if end := u.expect("SIP/2.0 486"); header(end.raw, "call-id") != "a2" {
		t.Errorf("another call's end:\n%s", end.raw)
	}
	// Nobody but a node sends answers down a flow.
	stray := ph.p.Stats().Stray
	for _, x := range []*ua{ph.trunk, newUA(t, "other", "127.0.0.21")} {
		refused.from = ph.in
		x.answer(refused, "200 OK", x.contact())
	}
	ph.wait("both are dropped", func(s Stats) bool { return s.Stray == stray+2 })
	u.quiet()
}

// A proxy that was just started knows of nobody who is registered, but takes a node's word for whom it reaches by a flow.
func TestWhoIsReachedAfterARestartMayCall(t *testing.T) {
	ph := newPhones(t, nil)
	u := newUA(t, "phone", "127.0.0.20")
	path := ph.registers(u, "UDP", func(raw string) { u.udp(ph.in, raw) })
	ph.restart()
	u.udp(ph.in, u.invite("w1"))
	u.expect("SIP/2.0 403")
	ph.auth.udp(ph.udp, ph.auth.build(request{method: "NOTIFY", uri: "sip:1000@10.9.8.7:1234", callID: "w2", extra: []string{"Route: " + path}}))
	u.answer(u.expect("NOTIFY"), "200 OK")
	ph.auth.expect("SIP/2.0 200")
	u.udp(ph.in, u.invite("w3"))
	ph.auth.answer(ph.auth.expect("INVITE"), "486 Busy Here")
	u.expect("SIP/2.0 486", "SIP/2.0 100")
	// Nobody answered here.
	other := newUA(t, "other", "127.0.0.20")
	other.udp(ph.in, other.invite("w4"))
	other.expect("SIP/2.0 403")
}

// The proxy was started again, and the phones of an office go on calling until their registrations run out.
func TestAnOfficeIsNotBannedForWhatTheProxyForgot(t *testing.T) {
	ph := newPhones(t, nil)
	office := newUA(t, "office", "127.0.0.21")
	for i := range maxOffences + 5 {
		office.udp(ph.in, office.invite(fmt.Sprint("call", i)))
		office.expect("SIP/2.0 403")
	}
	ph.registers(office, "UDP", func(raw string) { office.udp(ph.in, raw) })
	if forgivable(notRegistered, 2*relearning) || forgivable("no node takes devices", time.Minute) {
		t.Error("what a phone may not do is forgiven for ever")
	}
}

func TestABadAddressIsBannedAndARegisteredOneIsNot(t *testing.T) {
	ph := newPhones(t, func(o *Options) { o.BanTime = 300 * time.Millisecond })
	good, bad := newUA(t, "good", "127.0.0.20"), newUA(t, "bad", "127.0.0.21")
	ph.registers(good, "UDP", func(raw string) { good.udp(ph.in, raw) })
	for range maxOffences + 5 {
		bad.udp(ph.in, "GET / HTTP/1.1\r\n\r\n")
		good.udp(ph.in, "GET / HTTP/1.1\r\n\r\n") // as if somebody forged its address
	}
	bad.udp(ph.in, bad.register("UDP", "b1"))
	ph.wait("the bad one is banned", func(s Stats) bool { return s.Banned >= 5 })
	ph.auth.quiet()
	good.udp(ph.in, good.invite("b2"))
	ph.auth.answer(ph.auth.expect("INVITE"), "486 Busy Here")
	good.expect("SIP/2.0 486", "SIP/2.0 100")
	deadline := time.Now().Add(patience)
	for { // until the ban is over
		bad.udp(ph.in, bad.register("UDP", "b3"))
		select {
		case g := <-ph.auth.in:
			if strings.HasPrefix(g.raw, "REGISTER") {
				return
			}
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			t.Fatal("the ban does not end")
		}
	}
}

func TestOffendersAreBounded(t *testing.T) {
	o := offenders{ban: time.Minute}
	now := time.Now()
	for i := range 3 * maxOffenders {
		var b [4]byte
		binary.BigEndian.PutUint32(b[:], uint32(i))
		o.offence(netip.AddrFrom4(b), now)
	}
	if len(o.m) > maxOffenders {
		t.Errorf("%d addresses are remembered", len(o.m))
	}
	a := netip.MustParseAddr("2001:db8::1")
	for range maxOffences {
		o.offence(a, now)
	}
	if !o.banned(netip.MustParseAddr("2001:db8::2"), now) || o.banned(netip.MustParseAddr("2001:db8:0:1::1"), now) || o.banned(a, now.Add(2*time.Minute)) {
		t.Error("a ban is for a /64, and ends")
	}
}

func TestSTUNKeepAlive(t *testing.T) {
	ph := newPhones(t, nil)
	u := newUA(t, "phone", "127.0.0.20")
	req := append([]byte{0, 1, 0, 0, 0x21, 0x12, 0xA4, 0x42}, "twelve bytes"...)
	u.udp(ph.in, string(req))
	res := []byte(u.expect("\x01\x01").raw)
	if len(res) != 32 || !bytes.Equal(res[8:20], req[8:20]) {
		t.Fatalf("answer % x", res)
	}
	port := binary.BigEndian.Uint16(res[26:]) ^ (stunCookie >> 16)
	ip := binary.BigEndian.Uint32(res[28:]) ^ stunCookie
	if port != u.addr.Port() || ip != 0x7f000014 {
		t.Errorf("mapped address %x:%d, want %s", ip, port, u.addr)
	}
}

func TestRegisterExpires(t *testing.T) {
	const me = "Contact: <sip:1000@10.0.0.1:5060>"
	for _, c := range []struct {
		req, res []string
		want     time.Duration
		ok       bool
	}{
		{[]string{me}, []string{me + ";expires=120"}, 2 * time.Minute, true},
		{[]string{me}, []string{"Contact: <sip:1000@10.0.0.2>;expires=3600, <sip:1000@10.0.0.1:5060>;expires=60"}, time.Minute, true},
		{[]string{me}, []string{me, "Expires: 300"}, 5 * time.Minute, true},
		{[]string{me}, []string{me}, time.Hour, true},
		{[]string{me}, []string{"Contact: <sip:1000@10.0.0.2>;expires=3600"}, 0, true},
		{[]string{"Contact: *", "Expires: 0"}, nil, 0, true},
		{[]string{me + ";expires=0"}, []string{"Expires: 3600"}, 0, true},
		{[]string{me}, []string{me + ";expires=99999999999"}, 0, true},
		{[]string{me}, []string{me + ";expires=4000000000"}, 24 * time.Hour, true},
		{nil, []string{me + ";expires=120"}, 0, false},
	} {
		build := func(lines []string) *message {
			m := &message{}
			for _, l := range lines {
				n, v, _ := strings.Cut(l, ": ")
				m.add(n, v)
			}
			return m
		}
		if d, ok := registerExpires(build(c.req), build(c.res)); d != c.want || ok != c.ok {
			t.Errorf("%q answered %q: %s %v, want %s %v", c.req, c.res, d, ok, c.want, c.ok)
		}
	}
}

// Connections on which nobody registers are few; registered devices do not count among them.
func TestConnectionsOfStrangersAreBounded(t *testing.T) {
	ph := newPhones(t, func(o *Options) { o.Limits.MaxUnregistered, o.Limits.DevicesPerAddress = 3, 100 })
	u := newUA(t, "phone", "127.0.0.20")
	for range 2 {
		c := u.dial(ph.tcpd)
		io.WriteString(c, u.register("TCP", fmt.Sprint("c", seq.Add(1))))
		ph.auth.answer(ph.auth.expect("REGISTER"), "200 OK", u.contact()+";expires=60")
		u.expect("SIP/2.0 200")
	}
	stranger := newUA(t, "stranger", "127.0.0.21")
	for range 10 {
		stranger.dial(ph.tcpd)
	}
	ph.wait("three strangers stay", func(s Stats) bool { return s.Overload == 7 && s.Connections == 5 })
	stranger.mu.Lock()
	for _, c := range stranger.conns {
		c.Close()
	}
	stranger.mu.Unlock()
	ph.wait("they are gone", func(s Stats) bool { return s.Connections == 2 })
	c := u.dial(ph.tcpd)
	io.WriteString(c, u.register("TCP", "c99"))
	ph.auth.expect("REGISTER")
}

// Devices whose node does not answer leave room for carriers.
func TestDevicesNeverKeepCarriersOut(t *testing.T) {
	ph := newPhones(t, func(o *Options) {
		o.Limits.MaxPending, o.Limits.DeviceMessagesPerSecond = 10, 1000
		o.FirstResponse = time.Minute
	})
	u := newUA(t, "phone", "127.0.0.20")
	for i := range 8 {
		u.udp(ph.in, u.register("UDP", fmt.Sprint("k", i)))
	}
	ph.wait("half of the room is taken", func(s Stats) bool { return s.Pending == 5 && s.Overload == 3 })
	ph.fine()
}

// Who keeps a connection open without registering does not keep it for long, even if he talks; who registered may be silent.
func TestAConnectionOnWhichNobodyRegistersEnds(t *testing.T) {
	ph := newPhones(t, func(o *Options) { o.Limits.RegisterTime = time.Second })
	u, talker := newUA(t, "phone", "127.0.0.20"), newUA(t, "talker", "127.0.0.21")
	c := u.dial(ph.tcpd)
	io.WriteString(c, u.register("TCP", "stays"))
	ph.auth.answer(ph.auth.expect("REGISTER"), "200 OK", u.contact()+";expires=60")
	u.expect("SIP/2.0 200")
	x := talker.dial(ph.tcpd)
	ph.wait("both are open", func(s Stats) bool { return s.Connections == 2 })
	ph.wait("the talker is gone", func(s Stats) bool {
		io.WriteString(x, "\r\n\r\n")
		return s.Connections == 1
	})
	io.WriteString(c, u.register("TCP", "still there"))
	ph.auth.expect("REGISTER")
}

func TestPatienceLastsAsLongAsARegistration(t *testing.T) {
	ph := newPhones(t, nil)
	u := newUA(t, "phone", "127.0.0.20")
	c := u.dial(ph.tcpd)
	io.WriteString(c, u.register("TCP", "hour"))
	ph.auth.answer(ph.auth.expect("REGISTER"), "200 OK", u.contact()+";expires=3600")
	u.expect("SIP/2.0 200")
	ph.p.conns.mu.Lock()
	var conn *conn
	for _, conn = range ph.p.conns.ids {
	}
	ph.p.conns.mu.Unlock()
	if d := conn.patience(false); d < 59*time.Minute {
		t.Errorf("the connection of a phone that is registered for an hour is closed after %s of silence", d)
	}
	if d := conn.patience(true); d != partTimeout {
		t.Errorf("%s in the middle of a message, want %s", d, partTimeout)
	}
}
