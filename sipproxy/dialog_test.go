package sipproxy

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"
)

func TestCallOverUDPBothSidesHangUp(t *testing.T) {
	w := newWorld(t, nil)
	inv, ok := w.call("plain")
	if rr := headers(inv.raw, "record-route"); len(rr) != 1 || rr[0] != "<sip:"+w.udp.String()+";lr>" {
		t.Errorf("Record-Route %q, want one: the transport does not change", rr)
	}
	if got := header(inv.raw, "max-forwards"); got != "69" {
		t.Errorf("Max-Forwards %s, want 69", got)
	}
	vias := SplitList(headers(inv.raw, "via"))
	if len(vias) != 2 || !strings.Contains(vias[1], "received=127.0.0.2") && !strings.Contains(vias[1], "rport=") {
		t.Errorf("Via %q, want ours above the caller's with rport filled in", vias)
	}
	// The caller sends a request inside the dialog, then hangs up.
	w.trunk.udp(w.udp, w.trunk.inDialog("INFO", ok, 2))
	info := w.node.expect("INFO")
	w.node.answer(info, "200 OK")
	w.trunk.expect("SIP/2.0 200")
	bye := w.trunk.inDialog("BYE", ok, 3)
	w.trunk.udp(w.udp, bye)
	there := w.node.expect("BYE")
	if r := headers(there.raw, "route"); len(r) != 0 {
		t.Errorf("Route %q, want none", r)
	}
	if got, want := startLine(there.raw), "BYE sip:node@"+w.node.addr.String()+" SIP/2.0"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	w.node.answer(there, "200 OK")
	w.trunk.expect("SIP/2.0 200")
	// His retransmission is answered by the proxy alone.
	w.trunk.udp(w.udp, bye)
	w.trunk.expect("SIP/2.0 200")
	w.node.quiet()

	inv, _ = w.call("other")
	w.node.udp(w.udp, w.node.inDialogFrom("BYE", "UDP", inv, 5))
	at := w.trunk.expect("BYE")
	w.trunk.answer(at, "200 OK")
	w.node.expect("SIP/2.0 200")
}

func TestReinviteOfBothSides(t *testing.T) {
	w := newWorld(t, nil)
	inv, ok := w.call("re")
	w.trunk.udp(w.udp, w.trunk.inDialog("INVITE", ok, 2, "X-SIGNALBOX-Fake: 1"))
	w.trunk.expect("SIP/2.0 100")
	re := w.node.expect("INVITE")
	if h := headers(re.raw, "x-signalbox-fake"); len(h) != 0 {
		t.Errorf("forged header %q inside the dialog", h)
	}
	w.node.answer(re, "200 OK", w.node.contact())
	res := w.trunk.expect("SIP/2.0 200")
	w.trunk.udp(w.udp, w.trunk.inDialog("ACK", res, 2))
	w.node.expect("ACK")
	w.node.udp(w.udp, w.node.inDialogFrom("INVITE", "UDP", inv, 9))
	w.node.expect("SIP/2.0 100")
	re = w.trunk.expect("INVITE")
	w.trunk.answer(re, "491 Request Pending")
	w.trunk.expect("ACK")
	w.node.expect("SIP/2.0 491")
	if n := w.p.Stats().Calls; n != 1 {
		t.Errorf("%d calls counted, want 1: a re-INVITE is not screened", n)
	}
}

// restart ends the proxy and starts another on the same ports.
func (w *world) restart() {
	w.t.Helper()
	w.stop()
	for i, a := range w.p.Addrs() {
		w.opt.Listen[i].Addr = a.String()
	}
	w.p, w.stop = start(w.t, w.opt)
}

func TestRestartDropsNoDialog(t *testing.T) {
	w := newWorld(t, nil)
	inv, ok := w.call("restart1")
	w.restart()
	w.trunk.udp(w.udp, w.trunk.inDialog("INFO", ok, 2))
	w.node.answer(w.node.expect("INFO"), "200 OK")
	w.trunk.expect("SIP/2.0 200")
	w.node.udp(w.udp, w.node.inDialogFrom("BYE", "UDP", inv, 5))
	w.trunk.answer(w.trunk.expect("BYE"), "200 OK")
	w.node.expect("SIP/2.0 200")
}

// A restart while the phone rings: the 200 has no transaction and goes on along its Via; the ACK and the BYE find their way.
func TestResponseWithoutTransactionGoesAlongItsVia(t *testing.T) {
	w := newWorld(t, nil)
	w.trunk.udp(w.udp, w.trunk.invite("restart2"))
	inv := w.node.expect("INVITE")
	w.node.answer(inv, "180 Ringing")
	w.trunk.expect("SIP/2.0 180", "SIP/2.0 100")
	w.restart()
	w.node.answer(inv, "100 Trying")
	w.node.answer(inv, "200 OK", w.node.contact(), "X-Signalbox: forged")
	ok := w.trunk.expect("SIP/2.0 200")
	if v := headers(ok.raw, "via"); len(v) != 1 || !strings.Contains(v[0], "z9hG4bKrestart2") {
		t.Errorf("Via %q, want the caller's alone", v)
	}
	if h := headers(ok.raw, "x-signalbox"); len(h) != 0 {
		t.Errorf("X-Signalbox %q leaves the house", h)
	}
	w.trunk.udp(w.udp, w.trunk.inDialog("ACK", ok, 1))
	w.node.expect("ACK")
	w.trunk.udp(w.udp, w.trunk.inDialog("BYE", ok, 2))
	w.node.answer(w.node.expect("BYE"), "200 OK")
	w.trunk.expect("SIP/2.0 200")
	if n := w.p.Stats().Stateless; n != 1 {
		t.Errorf("%d responses went on without a transaction, want 1", n)
	}
}

// A retransmission that finds a new proxy gets the branch the old one gave, so FreeSWITCH knows it for what it is.
func TestRetransmissionAfterRestartHasTheSameBranch(t *testing.T) {
	w := newWorld(t, nil)
	raw := w.trunk.invite("same")
	w.trunk.udp(w.udp, raw)
	first := w.node.expect("INVITE")
	w.restart()
	for len(w.node.in) > 0 {
		<-w.node.in
	}
	w.trunk.udp(w.udp, raw)
	second := w.node.expect("INVITE")
	a, b := SplitList(headers(first.raw, "via"))[0], SplitList(headers(second.raw, "via"))[0]
	if a != b {
		t.Errorf("Via %q, then %q", a, b)
	}
}

// A caller who gives up after a restart: he has his answers at once, the phone stops, and a 200 that crosses it is hung up.
func TestCancelAfterRestartTakesTheCallBack(t *testing.T) {
	for _, crossing := range []bool{false, true} {
		w := newWorld(t, nil)
		inv := w.trunk.invite("gone", "Route: <sip:nonsense.example.test;lr>")
		w.trunk.udp(w.udp, inv)
		at := w.node.expect("INVITE")
		w.node.answer(at, "180 Ringing")
		w.trunk.expect("SIP/2.0 180", "SIP/2.0 100")
		w.restart()
		give := strings.Replace(w.trunk.cancelOf(inv), "\r\nMax-Forwards", "\r\nRoute: <sip:nonsense.example.test;lr>\r\nMax-Forwards", 1)
		w.trunk.udp(w.udp, give)
		w.trunk.expect("SIP/2.0 200")
		end := w.trunk.expect("SIP/2.0 487")
		if got := header(end.raw, "cseq"); got != "1 INVITE" {
			t.Errorf("the 487 has CSeq %q", got)
		}
		w.trunk.udp(w.udp, w.trunk.ackFailure(inv, end))
		cancel := w.node.expect("CANCEL", "INVITE")
		if got, want := header(cancel.raw, "via"), SplitList(headers(at.raw, "via"))[0]; got != want {
			t.Errorf("the CANCEL has Via %q, the INVITE had %q", got, want)
		}
		if got := header(cancel.raw, "reason"); got != "Q.850;cause=16" {
			t.Errorf("Reason %q", got)
		}
		if crossing {
			w.node.answer(at, "200 OK", w.node.contact())
			w.node.answer(cancel, "481 Call Does Not Exist")
			w.node.expect("ACK")
			w.node.answer(w.node.expect("BYE"), "200 OK")
		} else {
			w.node.answer(cancel, "200 OK")
			w.node.answer(at, "487 Request Terminated")
			if ack := w.node.expect("ACK"); header(ack.raw, "via") != header(cancel.raw, "via") {
				t.Errorf("the ACK of the hop's 487 has Via %q", header(ack.raw, "via"))
			}
		}
		w.trunk.udp(w.udp, give) // again: nothing further happens
		w.trunk.expect("SIP/2.0 200")
		w.fine()
		w.trunk.quiet()
	}
}

// With two nodes it is not known which one has the call: the branches of the attempts tell, and the other node knows no such call.
func TestCancelAfterRestartReachesTheNodeOfTheFailover(t *testing.T) {
	second := newUA(t, "second", "127.0.0.4")
	w := newWorld(t, func(o *Options, w *world) {
		o.Peers = append(o.Peers, Peer{Name: "fs2", Kind: Node, Addr: second.addr})
	})
	inv := w.trunk.invite("failed-over")
	w.trunk.udp(w.udp, inv)
	w.node.answer(w.node.expect("INVITE"), "503 Service Unavailable")
	w.node.expect("ACK")
	at := second.expect("INVITE")
	second.answer(at, "180 Ringing")
	w.trunk.expect("SIP/2.0 180", "SIP/2.0 100")
	w.restart()
	w.trunk.udp(w.udp, w.trunk.cancelOf(inv))
	w.trunk.expect("SIP/2.0 200")
	w.trunk.udp(w.udp, w.trunk.ackFailure(inv, w.trunk.expect("SIP/2.0 487")))
	w.node.answer(w.node.expect("CANCEL"), "481 Call Does Not Exist")
	want := SplitList(headers(at.raw, "via"))[0]
	cancel := second.expect("CANCEL", "INVITE")
	for header(cancel.raw, "via") != want { // it may have been the first that was tried
		second.answer(cancel, "481 Call Does Not Exist")
		cancel = second.expect("CANCEL")
	}
	second.answer(cancel, "200 OK")
	second.answer(at, "487 Request Terminated")
	second.expect("ACK")
}

// A CANCEL that a caller sends too often is one that a flood sends: it costs a 481.
func TestCancelsOfUnknownCallsAreLimited(t *testing.T) {
	w := newWorld(t, func(o *Options, _ *world) { o.Limits.CallsPerSecond = 1 })
	refused := 0
	for range 20 {
		w.trunk.udp(w.udp, w.trunk.build(request{method: "CANCEL", uri: "sip:+15550001@example.test", callID: fmt.Sprintf("flood%d", seq.Add(1))}))
	}
	for range 20 {
		if g := w.trunk.expect("SIP/2.0", "SIP/2.0 487"); strings.HasPrefix(g.raw, "SIP/2.0 481") {
			refused++
		}
	}
	if refused < 10 {
		t.Errorf("%d of 20 unknown CANCELs were refused", refused)
	}
}

// The refusal of a hop after a restart goes to the caller, and his ACK to the hop, which repeats it no more.
func TestAckOfARefusalAfterRestartReachesTheHop(t *testing.T) {
	w := newWorld(t, nil)
	inv := w.trunk.invite("refused")
	w.trunk.udp(w.udp, inv)
	at := w.node.expect("INVITE")
	w.node.answer(at, "180 Ringing")
	w.trunk.expect("SIP/2.0 180", "SIP/2.0 100")
	w.restart()
	w.node.answer(at, "486 Busy Here")
	w.trunk.udp(w.udp, w.trunk.ackFailure(inv, w.trunk.expect("SIP/2.0 486")))
	ack := w.node.expect("ACK", "INVITE")
	if got, want := SplitList(headers(ack.raw, "via"))[0], SplitList(headers(at.raw, "via"))[0]; got != want {
		t.Errorf("the ACK has Via %q, the INVITE had %q", got, want)
	}
	if got := header(ack.raw, "to"); !strings.Contains(got, ";tag=") || header(ack.raw, "cseq") != "1 ACK" {
		t.Errorf("the ACK has To %q, CSeq %q", got, header(ack.raw, "cseq"))
	}
}

// On its own host a large INVITE goes by UDP: a restart of the proxy would lose the answers of a call by TCP.
func TestLargeInviteStaysOnUDPOnTheSameHost(t *testing.T) {
	w := newWorld(t, func(o *Options, _ *world) { o.MaxLocalUDP = 0 })
	w.trunk.udp(w.udp, w.trunk.invite("local", "Identity: "+strings.Repeat("a", 8000)))
	at := w.node.expect("INVITE")
	if at.conn != nil || !strings.HasPrefix(header(at.raw, "via"), "SIP/2.0/UDP") {
		t.Errorf("Via %q", header(at.raw, "via"))
	}
	w.restart()
	w.node.answer(at, "200 OK", w.node.contact())
	w.trunk.expect("SIP/2.0 200", "SIP/2.0 100")
}

func TestRemoteTargetMustBelongToAPeer(t *testing.T) {
	w := newWorld(t, func(o *Options, w *world) {
		o.Peers[0].Prefixes = []netip.Prefix{netip.MustParsePrefix("127.0.0.2/32"), netip.MustParsePrefix("127.0.0.32/28")}
		o.Peers[0].Hosts = []string{"SBC.Carrier.test"}
	})
	media := newUA(t, "media", "127.0.0.33") // another machine of the carrier's, as its Contact may say
	victim := newUA(t, "victim", "127.0.0.77")
	w.node.udp(w.udp, w.node.build(request{method: "BYE", uri: "sip:x@" + media.addr.String(), callID: "t1", to: "<sip:a@b>;tag=x"}))
	media.answer(media.expect("BYE"), "200 OK")
	w.node.expect("SIP/2.0 200")
	w.node.udp(w.udp, w.node.build(request{method: "BYE", uri: "sip:x@sbc.carrier.test", callID: "t2", to: "<sip:a@b>;tag=x"}))
	w.trunk.answer(w.trunk.expect("BYE"), "200 OK")
	w.node.expect("SIP/2.0 200")
	for i, r := range []request{
		{method: "BYE", uri: "sip:x@" + victim.addr.String()},
		{method: "INVITE", uri: "sip:x@" + victim.addr.String()},
		{method: "BYE", uri: "sip:x@" + w.trunk.addr.String(), extra: []string{"Route: <sip:" + victim.addr.String() + ";lr>"}},
		{method: "BYE", uri: "sip:x@" + w.trunk.addr.String() + ";maddr=127.0.0.77"},
		{method: "BYE", uri: "sip:x@" + w.node.addr.String()}, // from a node to a node
		{method: "BYE", uri: "sip:x@elsewhere.test"},
	} {
		r.callID, r.to = "t3", "<sip:a@b>;tag=x"
		w.node.udp(w.udp, w.node.build(r))
		got := w.node.expect("SIP/2.0", "SIP/2.0 100")
		if !strings.HasPrefix(got.raw, "SIP/2.0 403") {
			t.Errorf("case %d: %q, want 403", i, startLine(got.raw))
		}
	}
	// What asks for TLS never goes in clear, not even to a peer.
	w.node.udp(w.udp, w.node.build(request{method: "BYE", uri: "sips:x@" + w.trunk.addr.String(), callID: "t5", to: "<sip:a@b>;tag=x"}))
	w.node.expect("SIP/2.0 500")
	w.node.udp(w.udp, w.node.build(request{method: "BYE", uri: "sip:x@" + w.udp.String(), callID: "t4", to: "<sip:a@b>;tag=x"}))
	w.node.expect("SIP/2.0 404")
	w.node.udp(w.udp, w.node.build(request{method: "ACK", uri: "sip:x@" + victim.addr.String(), callID: "t5", to: "<sip:a@b>;tag=x"}))
	w.fine()
	victim.quiet()
}

func TestFailoverOn503And408AndSilence(t *testing.T) {
	var second *ua
	w := newWorld(t, func(o *Options, w *world) {
		second = newUA(t, "second", "127.0.0.4")
		o.Peers = append(o.Peers, Peer{Name: "fs2", Kind: Node, Addr: second.addr})
		o.FirstResponse = 300 * time.Millisecond
	})
	for _, status := range []string{"503 Service Unavailable", "408 Request Timeout", ""} {
		id := "fail" + strings.Fields(status + " silent")[0]
		w.trunk.udp(w.udp, w.trunk.invite(id))
		at := w.node.expect("INVITE", "INVITE")
		if status != "" {
			w.node.answer(at, "100 Trying")
			w.node.answer(at, status)
			w.node.expect("ACK")
		}
		there := second.expect("INVITE")
		if a, b := SplitList(headers(at.raw, "via"))[0], SplitList(headers(there.raw, "via"))[0]; a == b {
			t.Errorf("%s: both hops got the branch of %q", id, a)
		}
		second.answer(there, "486 Busy Here")
		second.expect("ACK")
		end := w.trunk.expect("SIP/2.0 486", "SIP/2.0 100")
		w.trunk.udp(w.udp, w.trunk.ackFailure(w.trunk.invite(id), end))
		if status == "" {
			// The silent hop answers after all: nobody waits for it.
			w.node.answer(at, "200 OK", w.node.contact())
			w.node.expect("ACK", "INVITE")
			w.node.expect("BYE", "ACK")
		}
	}
	if n := w.p.Stats().Failovers; n != 3 {
		t.Errorf("%d failovers, want 3", n)
	}
	second.quiet()
}

func TestNoFailoverAfterAnAnswerOrARing(t *testing.T) {
	var second *ua
	w := newWorld(t, func(o *Options, w *world) {
		second = newUA(t, "second", "127.0.0.4")
		o.Peers = append(o.Peers, Peer{Name: "fs2", Kind: Node, Addr: second.addr})
	})
	for _, c := range []struct {
		ring   bool
		status string
	}{{false, "486 Busy Here"}, {false, "603 Decline"}, {false, "404 Not Found"}, {false, "302 Moved Temporarily"}, {true, "408 Request Timeout"}, {true, "503 Service Unavailable"}} {
		id := "final" + strings.Fields(c.status)[0]
		w.trunk.udp(w.udp, w.trunk.invite(id))
		at := w.node.expect("INVITE")
		if c.ring {
			w.node.answer(at, "180 Ringing")
		}
		w.node.answer(at, c.status, "Reason: Q.850;cause=17", "Retry-After: 9")
		w.node.expect("ACK")
		end := w.trunk.expect("SIP/2.0 "+c.status, "SIP/2.0 1")
		if got := header(end.raw, "reason"); got != "Q.850;cause=17" {
			t.Errorf("%s: Reason %q did not pass", c.status, got)
		}
		w.trunk.udp(w.udp, w.trunk.ackFailure(w.trunk.invite(id), end))
	}
	second.quiet()
}

func TestAllHopsDeadGivesACause(t *testing.T) {
	w := newWorld(t, func(o *Options, w *world) {
		gone := newUA(t, "gone", "127.0.0.5")
		gone.close()
		o.Peers[1].Addr, o.Peers[1].Transport = gone.addr, "tcp"
		o.Peers[1].Prefixes = nil
	})
	w.trunk.udp(w.udp, w.trunk.invite("dead"))
	w.trunk.expect("SIP/2.0 503", "SIP/2.0 100")
	w2 := newWorld(t, func(o *Options, w *world) { o.FirstResponse = 200 * time.Millisecond })
	w2.trunk.udp(w2.udp, w2.trunk.invite("silent"))
	w2.trunk.expect("SIP/2.0 408", "SIP/2.0 100")
}

// A hop that takes no TCP gets a large INVITE by UDP after all (RFC 3261 18.1.1).
func TestLargeInviteFallsBackToUDP(t *testing.T) {
	w := newWorld(t, nil)
	w.node.ln.Close()
	w.trunk.udp(w.udp, w.trunk.invite("fallback", "Identity: "+strings.Repeat("a", 3000)))
	at := w.node.expect("INVITE")
	if at.conn != nil || !strings.HasPrefix(header(at.raw, "via"), "SIP/2.0/UDP") {
		t.Errorf("Via %q", header(at.raw, "via"))
	}
	if rr := headers(at.raw, "record-route"); len(rr) != 1 {
		t.Errorf("Record-Route %q, want one", rr)
	}
}

func TestTimerCEndsARingingCall(t *testing.T) {
	w := newWorld(t, func(o *Options, w *world) {
		o.FirstResponse, o.TimerC = 100*time.Millisecond, 500*time.Millisecond
	})
	began := time.Now()
	inv := w.trunk.invite("timerc")
	w.trunk.udp(w.udp, inv)
	at := w.node.expect("INVITE")
	w.node.answer(at, "180 Ringing")
	w.trunk.expect("SIP/2.0 180", "SIP/2.0 100")
	end := w.trunk.expect("SIP/2.0 408")
	if took := time.Since(began); took < 500*time.Millisecond {
		t.Errorf("the call was given up after %s, before timer C", took)
	}
	w.trunk.udp(w.udp, w.trunk.ackFailure(inv, end))
	cancel := w.node.expect("CANCEL")
	w.node.answer(cancel, "200 OK")
	// The phone was picked up in the same moment: late 2xx after our final answer.
	w.node.answer(at, "200 OK", w.node.contact())
	w.node.expect("ACK")
	w.node.expect("BYE")
	w.trunk.quiet()
}

func TestFailureIsSentAgainUntilItsAck(t *testing.T) {
	w := newWorld(t, nil)
	inv := w.trunk.invite("again")
	w.trunk.udp(w.udp, inv)
	at := w.node.expect("INVITE")
	w.node.answer(at, "486 Busy Here")
	w.node.expect("ACK")
	end := w.trunk.expect("SIP/2.0 486", "SIP/2.0 100")
	w.trunk.expect("SIP/2.0 486")
	w.trunk.udp(w.udp, inv) // the INVITE again gets the answer again, and FreeSWITCH does not see it
	w.trunk.expect("SIP/2.0 486")
	w.node.answer(at, "486 Busy Here") // the hop's answer again is acknowledged again
	w.node.expect("ACK")
	w.trunk.udp(w.udp, w.trunk.ackFailure(inv, end))
	w.fine()
	w.node.quiet()
	w.wait("acknowledged failures forgotten before timer H", func(s Stats) bool { return s.Kept == 0 })
}

// FreeSWITCH never sends its 200 again after its TCP connection was lost, so such a call ends with a cause instead of ringing on.
func TestLostConnectionEndsARingingCall(t *testing.T) {
	w := newWorld(t, func(o *Options, w *world) { o.Peers[1].Transport = "tcp" })
	inv := w.trunk.invite("lost")
	w.trunk.udp(w.udp, inv)
	at := w.node.expect("INVITE")
	w.node.answer(at, "180 Ringing")
	w.trunk.expect("SIP/2.0 180", "SIP/2.0 100")
	at.conn.Close()
	end := w.trunk.expect("SIP/2.0 503")
	w.trunk.udp(w.udp, w.trunk.ackFailure(inv, end))
	if cancel := w.node.expect("CANCEL"); cancel.conn == at.conn {
		t.Error("CANCEL on the connection that is gone")
	}
	w.fine()
}

// A connection that died while nothing was under way costs nothing.
func TestDeadPooledConnectionIsReplaced(t *testing.T) {
	w := newWorld(t, func(o *Options, w *world) { o.Peers[1].Transport = "tcp" })
	w.trunk.udp(w.udp, w.trunk.invite("pool1"))
	at := w.node.expect("INVITE")
	w.node.answer(at, "486 Busy Here")
	w.node.expect("ACK")
	end := w.trunk.expect("SIP/2.0 486", "SIP/2.0 100")
	w.trunk.udp(w.udp, w.trunk.ackFailure(w.trunk.invite("pool1"), end))
	at.conn.Close()
	w.trunk.udp(w.udp, w.trunk.invite("pool2"))
	if again := w.node.expect("INVITE"); again.conn == at.conn {
		t.Error("it came on the closed connection")
	}
}

// A BYE that came by TCP and is lost by UDP is sent again by the proxy: the sender never will.
func TestByeFromTCPIsRepeatedOverUDP(t *testing.T) {
	w := newWorld(t, func(o *Options, w *world) { o.Peers[1].Transport = "tcp" })
	inv, _ := w.call("repeat")
	if _, err := w.node.dial(w.tcp).Write([]byte(w.node.inDialogFrom("BYE", "TCP", inv, 3))); err != nil {
		t.Fatal(err)
	}
	w.trunk.expect("BYE")
	again := w.trunk.expect("BYE")
	w.trunk.answer(again, "200 OK")
	w.node.expect("SIP/2.0 200")
}

func TestInviteFromFreeSWITCHGoesToTrunksOnly(t *testing.T) {
	w := newWorld(t, nil)
	out := func(uri string, extra ...string) string {
		return w.node.build(request{method: "INVITE", uri: uri, callID: "out" + uri, extra: append(extra, "X-Signalbox: 1.k.secret")})
	}
	w.node.udp(w.udp, out("sip:+1444@"+w.trunk.addr.String()))
	w.node.expect("SIP/2.0 100")
	at := w.trunk.expect("INVITE")
	if h := headers(at.raw, "x-signalbox"); len(h) != 0 {
		t.Errorf("our token leaves the house: %q", h)
	}
	w.trunk.answer(at, "200 OK", w.trunk.contact())
	w.node.expect("SIP/2.0 200")
	w.node.udp(w.udp, out("sip:+1445@carrier.test", "Route: <sip:"+w.udp.String()+";lr>", "Route: <sip:"+w.trunk.addr.String()+";lr>"))
	w.node.expect("SIP/2.0 100")
	at = w.trunk.expect("INVITE")
	w.trunk.answer(at, "480 Temporarily Unavailable")
	w.trunk.expect("ACK")
	w.node.expect("SIP/2.0 480")
	w.node.udp(w.udp, out("sip:+1447@127.0.0.2:9")) // the carrier's machine, but not where it takes calls
	w.node.expect("SIP/2.0 403", "SIP/2.0 480")
	w.node.udp(w.udp, out("sip:+1446@127.0.0.88:5060"))
	w.node.expect("SIP/2.0 403", "SIP/2.0 480")
	w.trunk.quiet()
}

func TestTwoProxiesInOneProcess(t *testing.T) {
	a, b := newWorld(t, nil), newWorld(t, func(o *Options, w *world) { o.MaxLocalUDP = 60000 })
	big := "Identity: " + strings.Repeat("a", 3000)
	a.trunk.udp(a.udp, a.trunk.invite("one", big))
	b.trunk.udp(b.udp, b.trunk.invite("one", big))
	if g := a.node.expect("INVITE"); g.conn == nil {
		t.Error("the first sent 3 kB by UDP")
	}
	if g := b.node.expect("INVITE"); g.conn != nil {
		t.Error("the second has its own limit and must send by UDP")
	}
}
