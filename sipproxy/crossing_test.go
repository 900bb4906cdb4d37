package sipproxy

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
)

// What a node has beside SIP, its Event Socket for one, is not to be reached through the proxy, whoever asks.
func TestNoConnectionToAnotherPortOfANode(t *testing.T) {
	ph := newPhones(t, nil)
	eventSocket := newUA(t, "event socket", "127.0.0.3")
	phone, stranger := newUA(t, "phone", "127.0.0.20"), newUA(t, "stranger", "127.0.0.21")
	ph.registers(phone, "UDP", func(raw string) { phone.udp(ph.in, raw) })
	target := "sip:x@" + eventSocket.addr.String() + ";transport=tcp"
	body := "auth ClueCon\n\n"
	ask := func(u *ua, method, id string) string {
		return u.build(request{method: method, uri: target, callID: id, to: "<sip:a@b>;tag=x", body: body})
	}
	ph.trunk.udp(ph.udp, ask(ph.trunk, "BYE", "x1"))
	ph.trunk.expect("SIP/2.0 500")
	phone.udp(ph.in, ask(phone, "BYE", "x2"))
	phone.expect("SIP/2.0 403")
	stranger.udp(ph.in, ask(stranger, "REGISTER", "x3"))
	ph.auth.answer(ph.auth.expect("REGISTER"), "401 Unauthorized") // a tag makes no dialog of it
	stranger.expect("SIP/2.0 401")
	strays := ph.p.Stats().SendErrors
	for i, from := range []*ua{ph.trunk, phone, stranger} {
		to := ph.in
		if from == ph.trunk {
			to = ph.udp
		}
		from.udp(to, fmt.Sprintf("SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP %s;branch=%sx, SIP/2.0/TCP %s;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:a@b>;tag=2\r\n"+
			"Call-ID: y%d\r\nCSeq: 1 INVITE\r\nContent-Length: %d\r\n\r\n%s", to, branchPrefix, eventSocket.addr, i, len(body), body))
	}
	ph.wait("no answer is sent on", func(s Stats) bool { return s.SendErrors == strays+3 })
	eventSocket.mu.Lock()
	defer eventSocket.mu.Unlock()
	if len(eventSocket.conns) > 0 {
		t.Errorf("%d connections to another port of the node", len(eventSocket.conns))
	}
}

// The profile of trunks authenticates nobody, so devices do not reach it inside a dialog of their own making either.
func TestDeviceDoesNotReachTheProfileOfTrunks(t *testing.T) {
	ph := newPhones(t, nil)
	u := newUA(t, "phone", "127.0.0.20")
	ph.registers(u, "UDP", func(raw string) { u.udp(ph.in, raw) })
	for i, method := range []string{"INVITE", "REFER", "MESSAGE", "ACK"} {
		u.udp(ph.in, u.build(request{method: method, uri: "sip:+1900@" + ph.node.addr.String(), callID: fmt.Sprint("c", i), to: "<sip:a@b>;tag=x"}))
		if method != "ACK" {
			u.expect("SIP/2.0 403", "SIP/2.0 403")
		}
	}
	u.udp(ph.in, u.build(request{method: "OPTIONS", uri: "sip:" + ph.in.String(), callID: "c9"}))
	u.expect("SIP/2.0 200", "SIP/2.0 403")
	ph.node.quiet()
}

// A device can work out the branch of its own REGISTER; an answer with it that pretends to come from a carrier registers nobody.
func TestOnlyANodeAnswersForANode(t *testing.T) {
	ph := newPhones(t, nil)
	u := newUA(t, "phone", "127.0.0.20")
	u.udp(ph.in, u.register("UDP", "forged"))
	reg := ph.auth.expect("REGISTER")
	forged := reg
	forged.from = ph.udp
	ph.trunk.answer(forged, "200 OK", u.contact()+";expires=3600")
	ph.wait("the forged answer is nobody's", func(s Stats) bool { return s.Stray == 1 })
	ph.auth.answer(reg, "403 Forbidden")
	u.expect("SIP/2.0 403")
	u.udp(ph.in, u.invite("forged2"))
	u.expect("SIP/2.0 403")
}

func TestARefusedStrangerIsAnsweredOnce(t *testing.T) {
	ph := newPhones(t, nil)
	u := newUA(t, "stranger", "127.0.0.21")
	raw := u.invite("once")
	u.udp(ph.in, raw)
	res := u.expect("SIP/2.0 403")
	if s := ph.p.Stats(); s.Kept != 0 {
		t.Errorf("%d requests of strangers are remembered", s.Kept)
	}
	u.udp(ph.in, u.ackFailure(raw, res))
	u.udp(ph.in, raw)
	if again := u.expect("SIP/2.0 403"); header(again.raw, "to") != header(res.raw, "to") {
		t.Errorf("To %q, then %q", header(res.raw, "to"), header(again.raw, "to"))
	}
	u.udp(ph.in, strings.Replace(u.invite("long"), "tag=", "x="+strings.Repeat("y", maxRefusal)+";tag=", 1))
	u.udp(ph.in, u.invite("after"))
	if res := u.expect("SIP/2.0 403"); header(res.raw, "call-id") != "after" {
		t.Errorf("an answer of %d bytes to a stranger", len(res.raw))
	}
}

// A ban also ends a connection that is open.
func TestABannedAddressLosesItsConnections(t *testing.T) {
	ph := newPhones(t, nil)
	u := newUA(t, "guesser", "127.0.0.21")
	c := u.dial(ph.tcpd)
	for i := range maxOffences {
		io.WriteString(c, u.register("TCP", fmt.Sprint("guess", i)))
		ph.auth.answer(ph.auth.expect("REGISTER"), "403 Forbidden")
		u.expect("SIP/2.0 403")
	}
	io.WriteString(c, u.register("TCP", "one more"))
	ph.wait("the connection is closed", func(s Stats) bool { return s.Connections == 0 && s.Banned == 1 })
	ph.auth.quiet()
}

func TestProfileForDevicesOnAnAddressOfItsOwn(t *testing.T) {
	ph := newPhones(t, nil)
	auth := newUA(t, "auth", "127.0.0.6")
	peers := slices.Clone(ph.opt.Peers)
	peers[1].DeviceAddr = auth.addr
	if err := ph.p.Reload(peers, nil, nil); err != nil {
		t.Fatal(err)
	}
	ph.auth = auth
	u := newUA(t, "phone", "127.0.0.20")
	path := ph.registers(u, "UDP", func(raw string) { u.udp(ph.in, raw) })
	ph.callDevice(u, path, "own")
}

// A token is of a time when the listeners stood in another order: its flow is gone, and nothing goes out at a carrier's port.
func TestATokenLeadsOutOfAListenerForDevicesAlone(t *testing.T) {
	ph := newPhones(t, nil)
	u := newUA(t, "phone", "127.0.0.20")
	token := ph.p.flowToken(&packet{lis: ph.p.lis[0], src: u.addr})
	ph.auth.udp(ph.udp, ph.auth.build(request{method: "INVITE", uri: "sip:1000@10.9.8.7:1234", callID: "order", extra: []string{"Route: <sip:" + token + "@" + ph.udp.String() + ";lr>"}}))
	ph.auth.expect("SIP/2.0 430", "SIP/2.0 100")
	u.quiet()
}

// The address of a datagram may be forged, that of a connection not.
func TestDatagramsBanNoConnections(t *testing.T) {
	ph := newPhones(t, nil)
	u := newUA(t, "phone", "127.0.0.21")
	for range maxOffences + 1 {
		u.udp(ph.in, "GET / HTTP/1.1\r\n\r\n")
	}
	ph.wait("datagrams are banned", func(s Stats) bool { return s.Banned == 1 })
	io.WriteString(u.dial(ph.tcpd), u.register("TCP", "not banned"))
	ph.auth.expect("REGISTER")
}
