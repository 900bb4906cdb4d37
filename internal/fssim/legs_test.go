package fssim

import (
	"bufio"
	"net"
	"strings"
	"testing"
	"time"
)

// TestAnsweredCallerIsLeftTalkingWhenTheLegTurnsTheStage is the way for an A leg that a prompt answered already: the B
// leg's own answer turns socket_resume off.
func TestAnsweredCallerIsLeftTalkingWhenTheLegTurnsTheStage(t *testing.T) {
	s, a, inv, c, uuid, _ := plainCall(t, nil)
	c.execute("answer", "")
	ok := a.expect("200")
	a.ack(inv, ok, s.ExternalAddr())
	c.execute("set", "socket_resume=true")
	c.execute("set", "signalbox_stage=unserved")
	in := link(t, s)
	b := newPhone(t)
	c.start("bridge", "[^^#api_on_answer=uuid_setvar "+uuid+" socket_resume false#api_on_answer_2=uuid_setvar "+uuid+
		" signalbox_stage talked]sofia/external/sip:x@"+b.addr.String())
	m := b.expect("INVITE")
	bok := b.reply(m, 200, testSDP)
	b.expect("ACK")
	c.event("CHANNEL_BRIDGE")
	if got := in.api("uuid_getvar " + uuid + " socket_resume"); got != "false" {
		t.Errorf("socket_resume %q", got)
	}
	c.conn.Close()
	a.nothing()
	b.nothing()
	b.byeCaller(m, bok, s.ExternalAddr())
	b.expect("200")
	a.expect("BYE")
}

func TestResumeCutsTwoTalkingPartiesApart(t *testing.T) {
	s, a, inv, c, _, _ := plainCall(t, nil)
	c.execute("unset", "execute_on_answer_signalbox_1")
	b := newPhone(t)
	c.start("bridge", "sofia/external/sip:x@"+b.addr.String())
	m := b.expect("INVITE")
	b.reply(m, 200, testSDP)
	b.expect("ACK")
	ok := a.expect("200")
	a.ack(inv, ok, s.ExternalAddr())
	c.event("CHANNEL_BRIDGE")
	c.conn.Close()
	b.expect("BYE")
	a.expect("BYE")
}

func TestFailedLegsStatusOverridesTheCallersUnlessIgnored(t *testing.T) {
	for _, ignore := range []string{"false", "true"} {
		_, a, _, c, _, _ := plainCall(t, nil)
		c.execute("set", "continue_on_fail=true")
		c.execute("set", "sip_ignore_remote_cause="+ignore)
		b := newPhone(t)
		id := c.start("bridge", "sofia/external/sip:x@"+b.addr.String())
		m := b.expect("INVITE")
		b.reply(m, 404, "")
		c.wait(id)
		c.start("hangup", "USER_BUSY")
		a.expect(map[string]string{"false": "404", "true": "486"}[ignore])
	}
}

func TestRouteURIOverTCPLeavesTheRequestURIAlone(t *testing.T) {
	_, _, _, c, _, _ := plainCall(t, nil)
	vm, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer vm.Close()
	c.execute("unset", "sip_h_X-Gone")
	c.start("bridge", "{^^#sip_route_uri=sip:"+vm.Addr().String()+";transport=tcp#sip_h_X-New=a,b;c}sofia/external/sip:+1@vm.example.test;cause=408")
	_ = vm.(*net.TCPListener).SetDeadline(time.Now().Add(patience))
	conn, err := vm.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	m, err := readSIP(bufio.NewReader(conn))
	if err != nil {
		t.Fatal(err)
	}
	if m.uri != "sip:+1@vm.example.test;cause=408" || m.get("Route") != "" {
		t.Errorf("%s, Route %q", m.uri, m.get("Route"))
	}
	if m.get("X-New") != "a,b;c" || !strings.Contains(m.get("Contact"), "transport=tcp") {
		t.Errorf("X-New %q, Contact %q", m.get("X-New"), m.get("Contact"))
	}
}

func TestSubscriptionPlainAndJSONAgree(t *testing.T) {
	s, _, _, c, _, _ := plainCall(t, nil)
	plain, js := link(t, s), link(t, s)
	plain.cmd("event plain CHANNEL_EXECUTE")
	js.cmd("event json CHANNEL_EXECUTE")
	c.execute("set", "x=a b&c\"d\"/ä")
	p, j := plain.next(), js.next()
	n := 0
	p.Each(func(name, value string) {
		n++
		if got := j.Get(name); got != value {
			t.Errorf("%s: plain %q, json %q", name, value, got)
		}
	})
	if n < 80 {
		t.Errorf("only %d headers", n)
	}
}

func TestExtensionThatNobodyHasEndsWith404(t *testing.T) {
	s := startSwitch(t, Options{Public: []string{"testdata/operator.xml"}})
	a := newPhone(t)
	a.call(s.ExternalAddr(), "999")
	a.expect("100")
	if got := a.expect("404").get("Reason"); !strings.Contains(got, "NO_ROUTE_DESTINATION") {
		t.Errorf("Reason %q", got)
	}
}
