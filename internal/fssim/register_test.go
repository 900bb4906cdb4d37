package fssim

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/icholy/digest"
)

func (p *phone) register(s *Switch, user string, expires int, extra ...string) {
	m := &sipMessage{method: "REGISTER", uri: "sip:127.0.0.1"}
	m.add("Via", "SIP/2.0/UDP "+p.addr.String()+";branch=z9hG4bK-"+newTag())
	m.add("From", "<sip:"+user+"@127.0.0.1>;tag="+newTag())
	m.add("To", "<sip:"+user+"@127.0.0.1>")
	m.add("Call-ID", "reg-"+user+"@127.0.0.1")
	m.add("CSeq", "1 REGISTER")
	m.add("Max-Forwards", "70")
	m.add("Contact", "<sip:"+user+"@"+p.addr.String()+";pn-provider=webpush;pn-prid=abc123>")
	m.add("Expires", itoa(expires))
	m.add("User-Agent", "DataClient/1.0")
	for _, h := range extra {
		name, value, _ := strings.Cut(h, ": ")
		m.add(name, value)
	}
	p.send(m, s.InternalAddr())
}

// TestRegistrationIsPublishedLookedUpAndCalled plays the story of recordings/inbound-registrations, with a Path.
func TestRegistrationIsPublishedLookedUpAndCalled(t *testing.T) {
	side := newSidecar(t)
	o := shipped(t, side.addr())
	o.Users = []User{{Name: "1000", Domain: "127.0.0.1", Vars: []Var{{"accountcode", "1000"}}}}
	o.LateMargin = -1
	s := startSwitch(t, o)
	in := link(t, s)
	in.cmd("event plain CUSTOM sofia::register sofia::unregister sofia::expire")
	device, edge := newPhone(t), newPhone(t)
	device.register(s, "nosuch", 60)
	device.expect("403")
	device.register(s, "1000", 120, "Path: <sip:"+edge.addr.String()+";lr>")
	r := device.expect("200")
	if got := r.get("Contact"); !strings.HasSuffix(got, ";expires=120") {
		t.Errorf("Contact %q", got)
	}
	e := in.next()
	contact := "sip:1000@" + device.addr.String() + ";pn-provider=webpush;pn-prid=abc123"
	for name, want := range map[string]string{"from-user": "1000", "status": "Registered(UDP)", "expires": "120", "accountcode": "1000",
		"user-agent": "DataClient/1.0", "profile-name": "internal", "network-port": itoa(int(device.addr.Port()))} {
		if got := e.Get(name); got != want {
			t.Errorf("sofia::register %s = %q, want %q", name, got, want)
		}
	}
	if got := e.Get("contact"); !strings.Contains(got, contact) || !strings.Contains(got, "fs_path=") {
		t.Errorf("sofia::register contact %q", got)
	}
	if got := in.api("sofia_contact */1000@127.0.0.1"); !strings.HasPrefix(got, "sofia/internal/"+contact) {
		t.Errorf("sofia_contact: %q", got)
	}
	if got := in.api("show registrations as json"); !strings.Contains(got, `"reg_user":"1000"`) {
		t.Errorf("show registrations: %q", got)
	}
	a := newPhone(t)
	a.call(s.ExternalAddr(), "14155550100")
	a.expect("100")
	c, _ := side.serve()
	c.execute("set", "continue_on_fail=true")
	id := c.start("bridge", "sofia/internal/1000%127.0.0.1")
	m := edge.expect("INVITE")
	if m.uri != contact {
		t.Errorf("Request-URI %s, want %s", m.uri, contact)
	}
	if got := m.get("Route"); got != "<sip:"+edge.addr.String()+";lr>" {
		t.Errorf("Route %q", got)
	}
	edge.reply(m, 486, "")
	if got := c.wait(id).Var("originate_disposition"); got != "USER_BUSY" {
		t.Errorf("disposition %q", got)
	}
	device.register(s, "1000", 0)
	device.expect("200")
	if e := in.next(); e.Subclass() != "sofia::unregister" || e.Get("from-user") != "1000" {
		t.Errorf("event %s", e.Subclass())
	}
	if got := c.execute("bridge", "sofia/internal/1000%127.0.0.1").Var("originate_disposition"); got != "USER_NOT_REGISTERED" {
		t.Errorf("disposition %q", got)
	}
	device.register(s, "1000", 1)
	device.expect("200")
	in.next()
	if e := in.next(); e.Subclass() != "sofia::expire" {
		t.Errorf("event %s", e.Subclass())
	}
}

func TestDigestOnTheInternalProfile(t *testing.T) {
	s := startSwitch(t, Options{Public: []string{"testdata/operator.xml"}, Digest: true,
		Users: []User{{Name: "1000", Domain: "127.0.0.1", Password: "1234"}}})
	d := newPhone(t)
	answer := func(password string) string {
		d.register(s, "1000", 60)
		chal, err := digest.ParseChallenge(d.expect("401").get("WWW-Authenticate"))
		if err != nil {
			t.Fatal(err)
		}
		cred, err := digest.Digest(chal, digest.Options{Method: "REGISTER", URI: "sip:127.0.0.1", Username: "1000", Password: password})
		if err != nil {
			t.Fatal(err)
		}
		return cred.String()
	}
	d.register(s, "1000", 60, "Authorization: "+answer("wrong"))
	d.expect("403")
	d.register(s, "1000", 60, "Authorization: "+answer("1234"))
	d.expect("200")
}

// TestTCPBothWays has a caller on TCP whose route leads to another listener: the BYE goes there over a connection of
// the switch's own.
func TestTCPBothWays(t *testing.T) {
	side := newSidecar(t)
	s := startSwitch(t, shipped(t, side.addr()))
	proxy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer proxy.Close()
	conn, err := net.Dial("tcp", s.ExternalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	big := strings.Repeat("x", 60000)
	m := &sipMessage{method: "INVITE", uri: "sip:+14155550100@" + s.ExternalAddr().String()}
	for _, h := range []string{"v: SIP/2.0/TCP " + conn.LocalAddr().String() + ";branch=z9hG4bK-tcp;rport", "f: <sip:alice@h>;tag=1",
		"t: <sip:+14155550100@h>", "i: tcp-call", "CSeq: 1 INVITE", "m: <sip:alice@" + conn.LocalAddr().String() + ";transport=tcp>",
		"Record-Route: <sip:" + proxy.Addr().String() + ";transport=tcp;lr>", "X-Big: " + big, "X-Big: second", "X-Bad: ${system(x)}",
		"x-small: %41%0a", "Max-Forwards: 70"} {
		name, value, _ := strings.Cut(h, ": ")
		m.add(name, value)
	}
	fmt.Fprintf(conn, "\r\n\r\n%s", m.bytes())
	r := bufio.NewReader(conn)
	read := func(r *bufio.Reader, c net.Conn) *sipMessage {
		t.Helper()
		_ = c.SetReadDeadline(time.Now().Add(patience))
		got, err := readSIP(r)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	if got := read(r, conn); got.status != 100 {
		t.Fatalf("status %d", got.status)
	}
	c, data := side.serve()
	if got := data.Var("sip_h_X-Big"); got != big {
		t.Errorf("X-Big has %d characters", len(got))
	}
	if got := data.Var("sip_h_X-Bad"); got != "" {
		t.Errorf("a header with an expansion: %q", got)
	}
	if got := data.Var("sip_h_x-small"); got != "A%0a" {
		t.Errorf("x-small %q", got)
	}
	if data.Var("sip_via_protocol") != "tcp" {
		t.Errorf("sip_via_protocol %q", data.Var("sip_via_protocol"))
	}
	c.execute("answer", "")
	ok := read(r, conn)
	if ok.status != 200 || !strings.Contains(contactOf(ok), "transport=tcp") {
		t.Errorf("%d, Contact %s", ok.status, contactOf(ok))
	}
	c.start("hangup", "")
	_ = proxy.(*net.TCPListener).SetDeadline(time.Now().Add(patience))
	own, err := proxy.Accept()
	if err != nil {
		t.Fatalf("no connection of the switch's own: %v", err)
	}
	defer own.Close()
	bye := read(bufio.NewReader(own), own)
	if bye.method != "BYE" || !strings.HasPrefix(bye.get("Via"), "SIP/2.0/TCP ") {
		t.Errorf("%s over %s", bye.method, bye.get("Via"))
	}
}

func TestReinviteIsAnswered(t *testing.T) {
	s, a, inv, c, _, _ := plainCall(t, nil)
	c.execute("answer", "")
	ok := a.expect("200")
	a.ack(inv, ok, s.ExternalAddr())
	re := &sipMessage{method: "INVITE", uri: contactOf(ok)}
	re.add("Via", "SIP/2.0/UDP "+a.addr.String()+";branch=z9hG4bK-"+newTag())
	a.inDialog(re, inv, ok, "2 INVITE")
	re.add("Contact", "<sip:a@"+a.addr.String()+">")
	re.body = []byte(testSDP)
	a.send(re, s.ExternalAddr())
	a.expect("100")
	if got := a.expect("200"); len(got.body) == 0 {
		t.Error("the re-INVITE's 200 has no SDP")
	}
	stranger := &sipMessage{method: "BYE", uri: contactOf(ok)}
	stranger.add("Via", "SIP/2.0/UDP "+a.addr.String()+";branch=z9hG4bK-"+newTag())
	a.inDialog(stranger, inv, ok, "3 BYE")
	stranger.set("Call-ID", "other")
	a.send(stranger, s.ExternalAddr())
	a.expect("481")
}

// TestManyCallsAndAStopInTheMiddle runs calls at once, through ring, answer and hangup, and stops the switch while
// others still ring: everything is waited for, and nothing is left.
func TestManyCallsAndAStopInTheMiddle(t *testing.T) {
	side := newSidecar(t)
	o := shipped(t, side.addr())
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	stopped := make(chan struct{})
	go func() { defer close(stopped); _ = s.Run(ctx) }()
	const n = 30
	callee := newPhone(t)
	answered := make(chan struct{}, n)
	go func() {
		for m := range callee.in {
			if m.method == "INVITE" {
				callee.reply(m, 180, "")
				callee.reply(m, 200, testSDP)
				answered <- struct{}{}
			}
			if m.method == "BYE" {
				callee.reply(m, 200, "")
			}
		}
	}()
	caller := newPhone(t)
	for range n {
		caller.call(s.ExternalAddr(), "14155550100")
	}
	for range n {
		c, _ := side.serve()
		c.start("bridge", "sofia/external/sip:x@"+callee.addr.String())
	}
	for range n {
		select {
		case <-answered:
		case <-time.After(patience):
			t.Fatal("a call was not answered")
		}
	}
	cancel()
	select {
	case <-stopped:
	case <-time.After(patience):
		t.Fatal("the switch does not stop")
	}
	if got := s.Sessions(); got != 0 {
		t.Errorf("%d sessions are left", got)
	}
}
