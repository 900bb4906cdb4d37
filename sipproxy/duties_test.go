package sipproxy

import (
	"strings"
	"testing"
)

// The five duties that sipgo leaves to a proxy, each by name.

// Duty 1: the 487 of a CANCEL goes to the caller, and nothing of what was written towards the hop comes back to him.
func TestAnswerOfCancelGoesToCallerNotToCallee(t *testing.T) {
	w := newWorld(t, nil)
	inv := w.trunk.invite("duty1")
	w.trunk.udp(w.udp, inv)
	w.trunk.expect("SIP/2.0 100")
	at := w.node.expect("INVITE")
	w.node.answer(at, "180 Ringing", w.node.contact())
	ringing := w.trunk.expect("SIP/2.0 180")
	if v := SplitList(headers(ringing.raw, "via")); len(v) != 1 || !strings.Contains(v[0], "z9hG4bKduty1") {
		t.Errorf("the 180 has Via %q, want the caller's alone", v)
	}
	w.trunk.udp(w.udp, w.trunk.cancelOf(inv))
	w.trunk.expect("SIP/2.0 200")
	end := w.trunk.expect("SIP/2.0 487")
	if got := header(end.raw, "cseq"); got != "1 INVITE" {
		t.Errorf("487 has CSeq %q, want that of the INVITE", got)
	}
	w.trunk.udp(w.udp, w.trunk.ackFailure(inv, end))
	cancel := w.node.expect("CANCEL")
	w.node.answer(cancel, "200 OK")
	w.node.answer(at, "487 Request Terminated")
	w.node.expect("ACK")
	w.fine()
	w.node.quiet()
}

// Duty 2: the CANCEL towards the hop has the branch of the INVITE we sent, and no To tag.
func TestCancelGoesOnWithOurOwnBranch(t *testing.T) {
	w := newWorld(t, nil)
	inv := w.trunk.invite("duty2")
	w.trunk.udp(w.udp, inv)
	at := w.node.expect("INVITE")
	w.node.answer(at, "100 Trying")
	w.node.answer(at, "180 Ringing")
	w.trunk.expect("SIP/2.0 180", "SIP/2.0 100")
	w.trunk.udp(w.udp, w.trunk.cancelOf(inv))
	cancel := w.node.expect("CANCEL")
	sent, _ := SplitList(headers(at.raw, "via")), 0
	if got := headers(cancel.raw, "via"); len(got) != 1 || got[0] != sent[0] {
		t.Errorf("CANCEL has Via %q, want exactly %q", got, sent[0])
	}
	if got, want := startLine(cancel.raw), "CANCEL sip:+15550001@example.test SIP/2.0"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if to := header(cancel.raw, "to"); strings.Contains(to, "tag=") {
		t.Errorf("CANCEL has To %q, want none of the hop's tags", to)
	}
	if got := header(cancel.raw, "cseq"); got != "1 CANCEL" {
		t.Errorf("CSeq %q", got)
	}
	if got := header(cancel.raw, "reason"); got != "Q.850;cause=16" {
		t.Errorf("Reason %q, want the caller's", got)
	}
	if n := w.p.Stats().Cancelled; n != 1 {
		t.Errorf("%d calls counted as cancelled, want 1", n)
	}
}

// A CANCEL that comes before the hop has said anything waits for its first word (RFC 3261 9.1).
func TestCancelWaitsForFirstProvisional(t *testing.T) {
	w := newWorld(t, nil)
	inv := w.trunk.invite("early")
	w.trunk.udp(w.udp, inv)
	at := w.node.expect("INVITE")
	w.trunk.udp(w.udp, w.trunk.cancelOf(inv))
	w.trunk.expect("SIP/2.0 200", "SIP/2.0 100")
	w.trunk.expect("SIP/2.0 487")
	w.node.quiet("INVITE")
	w.node.answer(at, "100 Trying")
	w.node.expect("CANCEL", "INVITE")
}

// Duty 3: a 200 that crosses the CANCEL is acknowledged and hung up towards FreeSWITCH.
func TestCancelCrossing200HangsUpGhost(t *testing.T) {
	w := newWorld(t, nil)
	inv := w.trunk.invite("ghost")
	w.trunk.udp(w.udp, inv)
	at := w.node.expect("INVITE")
	w.node.answer(at, "180 Ringing")
	w.trunk.expect("SIP/2.0 180", "SIP/2.0 100")
	w.trunk.udp(w.udp, w.trunk.cancelOf(inv))
	w.trunk.expect("SIP/2.0 200")
	end := w.trunk.expect("SIP/2.0 487")
	w.trunk.udp(w.udp, w.trunk.ackFailure(inv, end))
	cancel := w.node.expect("CANCEL")
	w.node.answer(at, "200 OK", w.node.contact())
	w.node.answer(cancel, "481 Call Does Not Exist")
	ack := w.node.expect("ACK")
	bye := w.node.expect("BYE")
	for _, g := range []got{ack, bye} {
		if !strings.Contains(startLine(g.raw), " sip:node@"+w.node.addr.String()+" ") {
			t.Errorf("%q, want the Contact of the 200 as Request-URI", startLine(g.raw))
		}
		if got := header(g.raw, "to"); !strings.HasSuffix(got, ";tag=node") {
			t.Errorf("To %q, want the tag of the 200", got)
		}
		if r := headers(g.raw, "route"); len(r) != 0 {
			t.Errorf("Route %q, want none: our own Record-Route is not the hop's", r)
		}
	}
	if got := header(ack.raw, "cseq"); got != "1 ACK" {
		t.Errorf("ACK has CSeq %q", got)
	}
	if got := header(bye.raw, "cseq"); got != "2 BYE" {
		t.Errorf("BYE has CSeq %q", got)
	}
	// The 200 again, because our ACK was lost: one more ACK, no second call is hung up.
	w.node.answer(at, "200 OK", w.node.contact())
	w.node.expect("ACK", "BYE")
	w.node.answer(bye, "200 OK")
	if n := w.p.Stats().Ghosts; n != 1 {
		t.Errorf("%d ghosts, want 1", n)
	}
	w.fine()
	w.trunk.quiet()
}

// Duty 4: what does not fit a datagram goes to FreeSWITCH by TCP.
func TestInviteOfThreeKilobytesGoesOnByTCP(t *testing.T) {
	w := newWorld(t, nil)
	identity := "Identity: " + strings.Repeat("eyJhbGciOiJFUzI1NiJ9", 70) + ";info=<https://cert.example.test/c.pem>;alg=ES256;ppt=shaken"
	raw := w.trunk.invite("big", identity, strings.Replace(identity, "Identity", "y", 1))
	if len(raw) < 3000 {
		t.Fatalf("the INVITE has only %d bytes", len(raw))
	}
	w.trunk.udp(w.udp, raw)
	w.trunk.expect("SIP/2.0 100")
	at := w.node.expect("INVITE")
	if at.conn == nil {
		t.Fatal("it came by UDP")
	}
	if got := headers(at.raw, "identity"); len(got) != 2 || "Identity: "+got[0] != identity || "Identity: "+got[1] != identity {
		t.Errorf("Identity changed on the way: %.100q", got)
	}
	rr := headers(at.raw, "record-route")
	want := []string{"<sip:" + w.tcp.String() + ";transport=tcp;lr>", "<sip:" + w.udp.String() + ";lr>"}
	if len(rr) != 2 || rr[0] != want[0] || rr[1] != want[1] {
		t.Errorf("Record-Route %q, want %q", rr, want)
	}
	if v := header(at.raw, "via"); !strings.HasPrefix(v, "SIP/2.0/TCP "+w.tcp.String()+";") {
		t.Errorf("Via %q", v)
	}
	w.node.answer(at, "200 OK", w.node.contact())
	ok := w.trunk.expect("SIP/2.0 200")
	if ok.conn != nil {
		t.Error("the caller got his answer by TCP")
	}
	w.trunk.udp(w.udp, w.trunk.inDialog("ACK", ok, 1))
	w.node.expect("ACK")
	// FreeSWITCH opens a connection of its own for its BYE.
	c := w.node.dial(w.tcp)
	bye := w.node.inDialogFrom("BYE", "TCP", at, 77)
	if _, err := c.Write([]byte(bye)); err != nil {
		t.Fatal(err)
	}
	there := w.trunk.expect("BYE")
	if there.conn != nil {
		t.Error("the carrier got the BYE by TCP")
	}
	if r := headers(there.raw, "route"); len(r) != 0 {
		t.Errorf("Route %q, want both of ours gone", r)
	}
	w.trunk.answer(there, "200 OK")
	if back := w.node.expect("SIP/2.0 200"); back.conn != c {
		t.Error("the answer to the BYE did not come back on its connection")
	}
}

// Duty 5: a panic costs one request, and strangers cost nothing that stays.
func TestPanicCostsOneRequest(t *testing.T) {
	w := newWorld(t, func(o *Options, w *world) {
		o.Router = routeFunc(func(inv *Invite) []Hop {
			if inv.CallID == "boom" {
				panic("router")
			}
			return []Hop{{Addr: w.node.addr}}
		})
		o.Screener = screenFunc(func(inv *Invite) Decision {
			if inv.CallID == "bang" {
				panic("screener")
			}
			return Decision{}
		})
	})
	inv := w.trunk.invite("boom")
	w.trunk.udp(w.udp, inv)
	end := w.trunk.expect("SIP/2.0 500", "SIP/2.0 100")
	w.trunk.udp(w.udp, w.trunk.ackFailure(inv, end))
	w.trunk.udp(w.udp, w.trunk.invite("bang"))
	at := w.node.expect("INVITE")
	if got := header(at.raw, "call-id"); got != "bang" {
		t.Errorf("call %q arrived, want the one whose screener panicked", got)
	}
	w.node.answer(at, "486 Busy Here")
	w.trunk.expect("SIP/2.0 486", "SIP/2.0 100")
	st := w.p.Stats()
	if st.Panics != 2 || st.ScreenSkipped != 1 {
		t.Errorf("panics %d, unscreened %d, want 2 and 1", st.Panics, st.ScreenSkipped)
	}
}

func TestStrangersLeaveNothingBehind(t *testing.T) {
	w := newWorld(t, nil)
	stranger := newUA(t, "stranger", "127.0.0.9")
	for range 2000 {
		stranger.udp(w.udp, "\r\n\r\n")
		stranger.udp(w.udp, stranger.invite("flood"))
	}
	w.fine()
	st := w.p.Stats()
	if st.Strangers == 0 || st.Refused > 40 {
		t.Errorf("strangers %d, answered %d: want a few answers only", st.Strangers, st.Refused)
	}
	if st.Calls != 1 {
		t.Errorf("%d calls, want one: no stranger's", st.Calls)
	}
	if n := len(w.p.messages.m); n != 1 {
		t.Errorf("rates of %d addresses are remembered, want the trunk's alone", n)
	}
	for range st.Refused {
		stranger.expect("SIP/2.0 403")
	}
	stranger.quiet()
}
