package fssim

import (
	"strings"
	"testing"
	"time"
)

func TestEarlyMediaBeginsTheBridge(t *testing.T) {
	s, a, _, c, uuid, _ := plainCall(t, nil)
	c.execute("set", "continue_on_fail=true")
	b := newPhone(t)
	id := c.start("bridge", "{originate_timeout=1}sofia/external/sip:x@"+b.addr.String())
	m := b.expect("INVITE")
	b.reply(m, 183, testSDP)
	a.expect("183")
	e := c.event("CHANNEL_BRIDGE")
	if got := e.Var("originate_disposition"); got != "SUCCESS" {
		t.Errorf("originate_disposition %q at the bridge", got)
	}
	// originate_timeout does not count any more: three seconds later the leg is still there.
	later := make(chan struct{})
	s.timers.after(3*time.Second, func() { close(later) })
	<-later
	b.nothing()
	b.reply(m, 486, "")
	b.expect("ACK")
	if got := c.event("CHANNEL_UNBRIDGE").Var("bridge_hangup_cause"); got != "USER_BUSY" {
		t.Errorf("bridge_hangup_cause %q at the end of the bridge", got)
	}
	done := c.wait(id)
	for name, want := range map[string]string{"originate_disposition": "SUCCESS", "DIALSTATUS": "SUCCESS",
		"sip_invite_failure_status": "486", "last_bridge_hangup_cause": "USER_BUSY", "bridge_hangup_cause": "USER_BUSY",
		"originate_failed_cause": "", "last_bridge_proto_specific_hangup_cause": "sip:486", "endpoint_disposition": "EARLY MEDIA"} {
		if got := done.Var(name); got != want {
			t.Errorf("%s = %q, want %q", name, got, want)
		}
	}
	if got := c.api("uuid_exists " + uuid); got != "true" {
		t.Errorf("the caller is gone: uuid_exists %q", got)
	}
}

func TestFailureAfterEarlyMediaEndsTheCallWithoutContinueOnFail(t *testing.T) {
	_, a, _, c, _, _ := plainCall(t, nil)
	b := newPhone(t)
	c.start("bridge", "sofia/external/sip:x@"+b.addr.String())
	m := b.expect("INVITE")
	b.reply(m, 183, testSDP)
	a.expect("183")
	c.event("CHANNEL_BRIDGE")
	b.reply(m, 486, "")
	b.expect("ACK")
	a.expect("486")
	if got := c.event("CHANNEL_HANGUP_COMPLETE").Var("hangup_cause"); got != "USER_BUSY" {
		t.Errorf("hangup_cause %q", got)
	}
}

func TestCallerLeavesABridgeInEarlyMedia(t *testing.T) {
	s, a, inv, c, _, _ := plainCall(t, nil)
	b := newPhone(t)
	id := c.start("bridge", "sofia/external/sip:x@"+b.addr.String())
	m := b.expect("INVITE")
	b.reply(m, 183, testSDP)
	a.expect("183")
	c.event("CHANNEL_BRIDGE")
	a.cancel(inv, s.ExternalAddr())
	if got := b.expect("CANCEL").get("Reason"); got != `SIP;cause=487;text="ORIGINATOR_CANCEL"` {
		t.Errorf("Reason of the CANCEL: %q", got)
	}
	b.reply(m, 487, "")
	if got := c.wait(id).Var("bridge_hangup_cause"); got != "ORIGINATOR_CANCEL" {
		t.Errorf("bridge_hangup_cause %q", got)
	}
}

func TestIgnoredEarlyMedia(t *testing.T) {
	for _, mode := range []string{"true", "consume", "ring_ready"} {
		for _, where := range []string{"{}", "caller"} {
			t.Run(mode+" "+where, func(t *testing.T) {
				s, a, inv, c, _, _ := plainCall(t, nil)
				b := newPhone(t)
				vars := ""
				if where == "{}" {
					vars = "{ignore_early_media=" + mode + "}"
				} else {
					c.execute("set", "ignore_early_media="+mode)
				}
				id := c.start("bridge", vars+"sofia/external/sip:x@"+b.addr.String())
				m := b.expect("INVITE")
				b.reply(m, 183, testSDP)
				if mode == "ring_ready" {
					if r := a.expect("180"); len(r.body) > 0 {
						t.Error("180 with a body")
					}
				}
				b.reply(m, 200, testSDP)
				b.expect("ACK")
				ok := a.expect("200") // no 183 stood before it
				a.ack(inv, ok, s.ExternalAddr())
				for {
					e := c.next()
					if e.Name() == "CHANNEL_ANSWER" {
						break
					}
					if e.Name() == "CHANNEL_BRIDGE" {
						t.Fatal("bridged before the answer")
					}
				}
				c.event("CHANNEL_BRIDGE")
				a.bye(inv, ok, s.ExternalAddr())
				c.wait(id)
			})
		}
	}
}

func TestIgnoredEarlyMediaIsRefusedLater(t *testing.T) {
	_, _, _, c, _, _ := plainCall(t, nil)
	c.execute("set", "continue_on_fail=true")
	b := newPhone(t)
	id := c.start("bridge", "{ignore_early_media=ring_ready}sofia/external/sip:x@"+b.addr.String())
	m := b.expect("INVITE")
	b.reply(m, 183, testSDP)
	b.reply(m, 486, "")
	b.expect("ACK")
	done := c.wait(id)
	for name, want := range map[string]string{"originate_disposition": "USER_BUSY", "DIALSTATUS": "BUSY",
		"sip_invite_failure_status": "486", "originate_failed_cause": "USER_BUSY", "bridge_hangup_cause": ""} {
		if got := done.Var(name); got != want {
			t.Errorf("%s = %q, want %q", name, got, want)
		}
	}
}

func TestCallersRingbackIsEarlyMedia(t *testing.T) {
	_, a, _, c, _, _ := plainCall(t, nil)
	c.execute("set", "ringback=%(2000,4000,440,480)")
	c.execute("set", "call_timeout=2")
	b := newPhone(t)
	id := c.start("bridge", "sofia/external/sip:x@"+b.addr.String())
	m := b.expect("INVITE")
	b.reply(m, 180, "")
	if len(a.expect("183").body) == 0 {
		t.Error("183 without SDP")
	}
	b.expect("CANCEL")
	b.reply(m, 487, "")
	c.wait(id)
}

// TestAnsweredCaller: a caller who is answered already is not answered again, so what hangs on its answer does not run;
// what hangs on the other leg's does.
func TestAnsweredCaller(t *testing.T) {
	for _, brackets := range []string{"{^^#%s}", "[^^#%s]"} {
		t.Run(brackets, func(t *testing.T) {
			s, a, inv, c, uuid, _ := plainCall(t, nil)
			c.execute("answer", "")
			ok := a.expect("200")
			a.ack(inv, ok, s.ExternalAddr())
			c.execute("set", "execute_on_answer_9=set wrong=exec")
			c.execute("set", "api_on_answer_9=uuid_setvar "+uuid+" wrong api")
			b := newPhone(t)
			vars := strings.Replace(brackets, "%s", "api_on_answer=uuid_setvar "+uuid+" b1 yes#api_on_answer_stage=uuid_setvar "+uuid+
				" b2 yes#execute_on_answer_7=set foo=bar#ringback=%(2000,4000,440)#transfer_ringback=%(2000,4000,440)", 1)
			id := c.start("bridge", vars+"sofia/external/sip:x@"+b.addr.String())
			m := b.expect("INVITE")
			b.reply(m, 180, "")
			okB := b.reply(m, 200, testSDP)
			b.expect("ACK")
			for {
				e := c.next()
				if e.Name() == "CHANNEL_BRIDGE" {
					break
				}
				if e.UUID() == uuid && (e.Name() == "CHANNEL_ANSWER" || e.Name() == "CHANNEL_PROGRESS") {
					t.Errorf("%s of a caller who was answered before", e.Name())
				}
			}
			a.nothing()
			b.byeCaller(m, okB, s.ExternalAddr())
			b.expect("200")
			done := c.wait(id)
			for name, want := range map[string]string{"wrong": "", "b1": "yes", "b2": "yes", "originate_disposition": "SUCCESS"} {
				if got := done.Var(name); got != want {
					t.Errorf("%s = %q, want %q", name, got, want)
				}
			}
		})
	}
}

// TestOtherLegsHooksRunOnAnswer: execute_on_answer of the other leg runs on that leg.
func TestOtherLegsHooksRunOnAnswer(t *testing.T) {
	s, _, _, c, _, _ := plainCall(t, nil)
	in := link(t, s)
	in.cmd("event plain CHANNEL_EXECUTE CHANNEL_BRIDGE")
	b := newPhone(t)
	c.start("bridge", "[execute_on_answer_7='set foo=bar']sofia/external/sip:x@"+b.addr.String())
	b.reply(b.expect("INVITE"), 200, testSDP)
	for {
		e := in.next()
		if e.Get("Application-Data") == "foo=bar" {
			if got := e.Get("Call-Direction"); got != "outbound" {
				t.Errorf("ran on the %s leg", got)
			}
			break
		}
	}
	b.expect("ACK")
}

// TestFarEndTerminatesByItself: a 487 that nobody asked for is a failure like any other; the caller stays.
func TestFarEndTerminatesByItself(t *testing.T) {
	_, a, _, c, uuid, _ := plainCall(t, nil)
	b := newPhone(t)
	id := c.start("bridge", "sofia/external/sip:x@"+b.addr.String())
	m := b.expect("INVITE")
	b.reply(m, 180, "")
	a.expect("180")
	b.reply(m, 487, "")
	b.expect("ACK")
	done := c.wait(id)
	for name, want := range map[string]string{"originate_disposition": "ORIGINATOR_CANCEL", "DIALSTATUS": "CANCEL",
		"sip_invite_failure_status": "487", "sip_invite_failure_phrase": "Request Terminated",
		"last_bridge_hangup_cause": "ORIGINATOR_CANCEL", "originate_failed_cause": "ORIGINATOR_CANCEL",
		"last_bridge_proto_specific_hangup_cause": "sip:487"} {
		if got := done.Var(name); got != want {
			t.Errorf("%s = %q, want %q", name, got, want)
		}
	}
	if got := c.api("uuid_exists " + uuid); got != "true" {
		t.Errorf("the caller is gone: uuid_exists %q", got)
	}
	a.nothing()
}
