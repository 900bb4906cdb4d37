package fssim

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// plainCall brings a call to a controller.
func plainCall(t *testing.T, o func(*Options), known ...string) (*Switch, *phone, *sipMessage, *controller, string, *sidecar) {
	t.Helper()
	side := newSidecar(t)
	opt := shipped(t, side.addr())
	if o != nil {
		o(&opt)
	}
	s := startSwitch(t, opt, known...)
	a := newPhone(t)
	inv := a.call(s.ExternalAddr(), "14155550100")
	a.expect("100")
	c, data := side.serve()
	c.api("sched_del signalbox-" + data.UUID())
	return s, a, inv, c, data.UUID(), side
}

func TestBridgeFailuresAsOnFreeSWITCH(t *testing.T) {
	o := func(o *Options) {
		o.Users = []User{{Name: "1000", Domain: "127.0.0.1"}}
		o.Resolve = func(_ context.Context, host string) (netip.Addr, error) {
			return netip.Addr{}, errors.New("no such host " + host)
		}
	}
	_, _, _, c, _, _ := plainCall(t, o, "application nosuchapp")
	c.execute("set", "continue_on_fail=true")
	busy, silent := newPhone(t), newPhone(t)
	refuse := func(code int) func() {
		return func() {
			m := busy.expect("INVITE")
			busy.reply(m, code, "")
			busy.expect("ACK")
		}
	}
	closed := newPhone(t)
	closed.conn.Close()
	for _, test := range []struct {
		name, dial                  string
		callee                      func()
		disposition, status, phrase string
		dialStatus                  string
	}{
		{"registered nobody", "user/1000@127.0.0.1", nil, "USER_NOT_REGISTERED", "", "", "USER_NOT_REGISTERED"},
		{"no such user", "user/nosuch@127.0.0.1", nil, "SUBSCRIBER_ABSENT", "", "", "SUBSCRIBER_ABSENT"},
		{"486", "sofia/external/sip:x@" + busy.addr.String(), refuse(486), "USER_BUSY", "486", "Busy Here", "BUSY"},
		{"603", "sofia/external/sip:x@" + busy.addr.String(), refuse(603), "CALL_REJECTED", "603", "Decline", "DONTCALL"},
		{"404", "sofia/external/sip:x@" + busy.addr.String(), refuse(404), "UNALLOCATED_NUMBER", "404", "Not Found", "UNALLOCATED_NUMBER"},
		{"480", "sofia/external/sip:x@" + busy.addr.String(), refuse(480), "NO_USER_RESPONSE", "480", "Temporarily Unavailable", "NO_USER_RESPONSE"},
		{"nothing listens", "sofia/external/sip:x@" + closed.addr.String(), nil, "NORMAL_TEMPORARY_FAILURE", "503", "Service Unavailable", "NORMAL_TEMPORARY_FAILURE"},
		{"nothing listens over tcp", "{sip_route_uri=sip:" + closed.addr.String() + ";transport=tcp}sofia/external/sip:x@vm.example", nil, "NORMAL_TEMPORARY_FAILURE", "503", "Service Unavailable", "NORMAL_TEMPORARY_FAILURE"},
		{"no such name", "sofia/external/sip:x@no.such.host.invalid", nil, "NORMAL_TEMPORARY_FAILURE", "503", "DNS Error", "NORMAL_TEMPORARY_FAILURE"},
		{"error endpoint keeps the stale status", "error/USER_BUSY", nil, "USER_BUSY", "503", "DNS Error", "BUSY"},
		{"silent target", "[leg_progress_timeout=1]sofia/external/sip:x@" + silent.addr.String(), func() { silent.expect("INVITE") }, "PROGRESS_TIMEOUT", "503", "DNS Error", "PROGRESS_TIMEOUT"},
		{"rings for ever", "[leg_timeout=1]sofia/external/sip:x@" + busy.addr.String(), func() {
			m := busy.expect("INVITE")
			busy.reply(m, 180, "")
			busy.expect("CANCEL")
			busy.reply(m, 487, "")
			busy.expect("ACK")
		}, "ALLOTTED_TIMEOUT", "", "", "ALLOTTED_TIMEOUT"},
		{"second alternative", "error/NO_ROUTE_DESTINATION|sofia/external/sip:x@" + busy.addr.String(), refuse(486), "USER_BUSY", "486", "Busy Here", "BUSY"},
		{"unknown profile", "sofia/nosuch/sip:x@127.0.0.1", nil, "INVALID_PROFILE", "486", "Busy Here", "INVALIDARGS"},
	} {
		t.Run(test.name, func(t *testing.T) {
			id := c.start("bridge", test.dial)
			if test.callee != nil {
				test.callee()
			}
			e := c.wait(id)
			for name, want := range map[string]string{"originate_disposition": test.disposition,
				"originate_failed_cause": test.disposition, "DIALSTATUS": test.dialStatus,
				"sip_invite_failure_status": test.status, "sip_invite_failure_phrase": test.phrase} {
				if got := e.Var(name); got != want {
					t.Errorf("%s = %q, want %q", name, got, want)
				}
			}
		})
	}
	c.start("nosuchapp", "x")
	if got := c.event("CHANNEL_HANGUP").Get("Hangup-Cause"); got != "DESTINATION_OUT_OF_ORDER" {
		t.Errorf("an unknown application: %s", got)
	}
}

func TestFailedBridgeWithoutContinueEndsTheCall(t *testing.T) {
	_, a, inv, c, _, _ := plainCall(t, nil)
	b := newPhone(t)
	c.start("bridge", "sofia/external/sip:x@"+b.addr.String())
	m := b.expect("INVITE")
	b.reply(m, 603, "")
	r := a.expect("603")
	if got := r.get("Reason"); got != `Q.850;cause=21;text="CALL_REJECTED"` {
		t.Errorf("Reason %q", got)
	}
	_ = inv
	if got := c.event("CHANNEL_HANGUP_COMPLETE").Var("hangup_cause"); got != "CALL_REJECTED" {
		t.Errorf("hangup_cause %q", got)
	}
}

func TestSeveralLegsFirstAnswerWins(t *testing.T) {
	_, a, inv, c, _, _ := plainCall(t, nil)
	b1, b2 := newPhone(t), newPhone(t)
	c.start("bridge", "[leg=one]sofia/external/sip:x@"+b1.addr.String()+",[leg=two]sofia/external/sip:y@"+b2.addr.String())
	m1, m2 := b1.expect("INVITE"), b2.expect("INVITE")
	b1.reply(m1, 180, "")
	a.expect("180")
	b2.reply(m2, 200, testSDP)
	b2.expect("ACK")
	ok := a.expect("200")
	a.ack(inv, ok, c.switchAddr(a, inv))
	cancel := b1.expect("CANCEL")
	if got := cancel.get("Reason"); got != `SIP;cause=200;text="Call completed elsewhere"` {
		t.Errorf("the loser's Reason: %q", got)
	}
	b1.reply(m1, 487, "")
	if got := c.event("CHANNEL_BRIDGE").Var("originate_disposition"); got != "SUCCESS" {
		t.Errorf("originate_disposition %q", got)
	}
}

// switchAddr is where the INVITE went.
func (c *controller) switchAddr(_ *phone, inv *sipMessage) netip.AddrPort {
	u, err := parseURI(inv.uri)
	if err != nil {
		c.t.Fatal(err)
	}
	return mustAddr(u.hostPort())
}

func TestCallerGivesUpWhileItRings(t *testing.T) {
	s, a, inv, c, _, _ := plainCall(t, nil)
	b := newPhone(t)
	c.start("bridge", "sofia/external/sip:x@"+b.addr.String())
	m := b.expect("INVITE")
	b.reply(m, 180, "")
	a.expect("180")
	a.cancel(inv, s.ExternalAddr())
	got := a.expect("200")
	if _, method := got.cseq(); method != "CANCEL" {
		t.Errorf("200 for %s", method)
	}
	a.expect("487")
	b.expect("CANCEL")
	// A 200 crosses the CANCEL: it is acknowledged and ended.
	b.reply(m, 200, testSDP)
	b.expect("ACK")
	bye := b.expect("BYE")
	b.reply(bye, 200, "")
	e := c.event("CHANNEL_HANGUP_COMPLETE")
	if got := e.Var("hangup_cause"); got != "ORIGINATOR_CANCEL" {
		t.Errorf("hangup_cause %q", got)
	}
	if got := e.Var("originate_disposition"); got != "ORIGINATOR_CANCEL" {
		t.Errorf("originate_disposition %q", got)
	}
}

func TestEarlyMediaIsPassedOn(t *testing.T) {
	s, a, inv, c, _, _ := plainCall(t, nil)
	b := newPhone(t)
	c.start("bridge", "sofia/external/sip:x@"+b.addr.String())
	m := b.expect("INVITE")
	b.reply(m, 183, testSDP)
	if got := string(a.expect("183").body); got != testSDP {
		t.Errorf("early SDP:\n%s", got)
	}
	c.event("CHANNEL_BRIDGE")
	b.reply(m, 200, testSDP)
	b.expect("ACK")
	ok := a.expect("200")
	a.ack(inv, ok, s.ExternalAddr())
	c.event("CHANNEL_ANSWER")
}

func TestRespondChoosesStatusReasonAndHeaders(t *testing.T) {
	_, a, _, c, _, _ := plainCall(t, nil)
	c.execute("set", `sip_reason=SIP;cause=603;text="v=analytics1;url=https://x";location=TN`)
	c.execute("set", "sip_rh_Call-Info=<https://x>;purpose=jcard")
	c.start("respond", "603 Network Blocked")
	r := a.expect("603")
	if r.reason != "Network Blocked" {
		t.Errorf("phrase %q", r.reason)
	}
	if got := r.get("Reason"); got != `SIP;cause=603;text="v=analytics1;url=https://x";location=TN` {
		t.Errorf("Reason %q", got)
	}
	if got := r.get("Call-Info"); got != "<https://x>;purpose=jcard" {
		t.Errorf("Call-Info %q", got)
	}
}

func TestRecordRouteIsHonouredByBye(t *testing.T) {
	side := newSidecar(t)
	s := startSwitch(t, shipped(t, side.addr()))
	a, proxy := newPhone(t), newPhone(t)
	inv := a.call(s.ExternalAddr(), "14155550100", "Record-Route: <sip:"+proxy.addr.String()+";lr>")
	a.expect("100")
	c, _ := side.serve()
	c.execute("answer", "")
	ok := a.expect("200")
	if got := ok.get("Record-Route"); got != "<sip:"+proxy.addr.String()+";lr>" {
		t.Errorf("Record-Route in the 200: %q", got)
	}
	a.ack(inv, ok, s.ExternalAddr())
	c.start("hangup", "")
	bye := proxy.expect("BYE")
	if want := "sip:+12125550123@" + a.addr.String(); bye.uri != want {
		t.Errorf("BYE to %s, want %s", bye.uri, want)
	}
	if got := bye.get("Route"); got != "<sip:"+proxy.addr.String()+";lr>" {
		t.Errorf("Route %q", got)
	}
	proxy.reply(bye, 200, "")
}

func TestWithheldCallerStaysInTheClearUnlessHidden(t *testing.T) {
	side := newSidecar(t)
	s := startSwitch(t, shipped(t, side.addr()))
	a, b := newPhone(t), newPhone(t)
	a.call(s.ExternalAddr(), "14155550100", "P-Asserted-Identity: <sip:+12125550123@h>", "Privacy: id")
	a.expect("100")
	c, _ := side.serve()
	c.execute("set", "continue_on_fail=true")
	id := c.start("bridge", "sofia/external/sip:x@"+b.addr.String())
	m := b.expect("INVITE")
	if m.get("Privacy") != "id" || !strings.Contains(m.get("P-Asserted-Identity"), "+12125550123") {
		t.Errorf("Privacy %q, P-Asserted-Identity %q", m.get("Privacy"), m.get("P-Asserted-Identity"))
	}
	b.reply(m, 486, "")
	c.wait(id)
	b.expect("ACK")
	c.start("bridge", "{origination_caller_id_number=anonymous,origination_caller_id_name=Anonymous,sip_cid_type=none}sofia/external/sip:x@"+b.addr.String())
	m = b.expect("INVITE")
	if strings.Contains(string(m.bytes()), "+12125550123") {
		t.Errorf("the number is in the INVITE:\n%s", m.bytes())
	}
	b.reply(m, 486, "")
}

func TestSilenceIsAwaitedInRealTime(t *testing.T) {
	_, a, _, c, _, _ := plainCall(t, nil)
	began := time.Now()
	e := c.execute("playback", "tone_stream://%(200,100,440);loops=2")
	if d := time.Since(began); d < 600*time.Millisecond {
		t.Errorf("the tone lasted %v", d)
	}
	if got := e.Get("Application-Response"); got != "FILE PLAYED" {
		t.Errorf("Application-Response %q", got)
	}
	a.expect("183") // early media
}
