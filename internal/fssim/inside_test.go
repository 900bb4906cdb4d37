package fssim

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// bridging is a switch that calls b for every number.
func bridging(t *testing.T, b netip.AddrPort) *Switch {
	t.Helper()
	file := filepath.Join(t.TempDir(), "public.xml")
	err := os.WriteFile(file, []byte(`<include>
<extension name="all"><condition field="destination_number" expression="^(\d+)$">
<action application="bridge" data="sofia/external/sip:$1@`+b.String()+`"/>
</condition></extension>
</include>
`), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	return startSwitch(t, Options{Public: []string{file}, Reliable: true})
}

// ask sends a request inside a dialog of a call that we made.
func (p *phone) ask(method string, inv, r *sipMessage, cseq string, to netip.AddrPort, extra ...sipHeader) {
	m := &sipMessage{method: method, uri: contactOf(r)}
	m.add("Via", "SIP/2.0/UDP "+p.addr.String()+";branch=z9hG4bK-"+newTag())
	p.inDialog(m, inv, r, cseq+" "+method)
	m.headers = append(m.headers, extra...)
	p.send(m, to)
}

func TestProvisionalResponsesAreReliable(t *testing.T) {
	a, b := newPhone(t), newPhone(t)
	s := bridging(t, b.addr)
	inv := a.call(s.ExternalAddr(), "1001", "Require: 100rel")
	a.expect("100")
	binv := b.expect("INVITE")
	b.reply(binv, 180, "")
	ringing := a.expect("180")
	if ringing.get("Require") != "100rel" || ringing.get("RSeq") == "" {
		t.Fatalf("the 180 is not reliable:\n%s", ringing.bytes())
	}
	b.reply(binv, 200, testSDP)
	b.expect("ACK")
	a.ask("PRACK", inv, ringing, "2", s.ExternalAddr(), sipHeader{"RAck", "1 1 INVITE"})
	a.expect("481") // and no 200 before the PRACK that fits
	a.ask("PRACK", inv, ringing, "3", s.ExternalAddr(), sipHeader{"RAck", ringing.get("RSeq") + " 1 INVITE"})
	got := map[int]*sipMessage{}
	for range 2 {
		m := <-a.in
		_, method := m.cseq()
		got[len(method)] = m
	}
	ok := got[len("INVITE")]
	if ok == nil || ok.status != 200 || got[len("PRACK")] == nil || got[len("PRACK")].status != 200 {
		t.Fatalf("got %v, want 200 to PRACK and to INVITE", got)
	}
	a.ack(inv, ok, s.ExternalAddr())
	a.bye(inv, ok, s.ExternalAddr())
	a.expect("200")
	b.reply(b.expect("BYE"), 200, "")

	a.call(s.ExternalAddr(), "1001", "Require: nonsense")
	if r := a.expect("420"); r.get("Unsupported") != "nonsense" {
		t.Errorf("Unsupported %q", r.get("Unsupported"))
	}
	a.call(s.ExternalAddr(), "1001", "Supported: timer", "Session-Expires: 90")
	if r := a.expect("422"); r.get("Min-SE") != "120" {
		t.Errorf("Min-SE %q", r.get("Min-SE"))
	}
}

// TestAnOfferThatNobodyCanRead: Sofia answers it before any channel is made.
func TestAnOfferThatNobodyCanRead(t *testing.T) {
	a, b := newPhone(t), newPhone(t)
	s := bridging(t, b.addr)
	a.sdp = strings.Replace(testSDP, "o=- ", "o=two words ", 1)
	a.call(s.ExternalAddr(), "1001")
	if r := a.expect("400"); r.reason != "Bad Session Description" {
		t.Errorf("refused with %q", r.reason)
	}
	b.nothing()
}

func TestReferSendsTheOtherLegAway(t *testing.T) {
	a, b := newPhone(t), newPhone(t)
	s := bridging(t, b.addr)
	inv := a.call(s.ExternalAddr(), "1001")
	a.expect("100")
	binv := b.expect("INVITE")
	b.reply(binv, 200, testSDP)
	b.expect("ACK")
	ok := a.expect("200")
	a.ack(inv, ok, s.ExternalAddr())
	a.ask("REFER", inv, ok, "2", s.ExternalAddr(), sipHeader{"Refer-To", "<sip:1002@example.test>"})
	a.expect("202")
	notify := a.expect("NOTIFY")
	if notify.get("Event") != "refer;id=2" || string(notify.body) != "SIP/2.0 200 OK\r\n" || notify.get("Subscription-State") != "terminated;reason=noresource" {
		t.Errorf("the NOTIFY is\n%s", notify.bytes())
	}
	a.reply(notify, 200, "")
	a.reply(a.expect("BYE"), 200, "")
	again := b.expect("INVITE")
	if u, _ := parseURI(again.uri); u.user != "1002" {
		t.Errorf("%s was called", again.uri)
	}
	b.reply(again, 486, "")
	b.expect("ACK")
	b.expect("BYE") // the leg that was sent away
}
