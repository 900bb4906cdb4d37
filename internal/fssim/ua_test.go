package fssim

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"
)

// patience is how long a test waits for a fact before it fails.
const patience = 15 * time.Second

// startSwitch runs a switch for the length of the test and fails it on anything the simulator did not know.
func startSwitch(t *testing.T, o Options, mayKnowNothingOf ...string) *Switch {
	t.Helper()
	o.Logger = zaptest.NewLogger(t, zaptest.Level(zap.WarnLevel))
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("Run: %v", err)
			}
		case <-time.After(patience):
			t.Error("the switch does not stop")
		}
	next:
		for _, u := range s.Unknown() {
			for _, k := range mayKnowNothingOf {
				if strings.HasPrefix(u, k) {
					continue next
				}
			}
			t.Errorf("unknown to the simulator: %s", u)
		}
	})
	return s
}

// phone is a small SIP user agent over UDP: it shows what arrives and sends what the test says.
type phone struct {
	t    *testing.T
	conn *net.UDPConn
	addr netip.AddrPort
	in   chan *sipMessage
	sdp  string // that it offers

	mu   sync.Mutex
	seen map[string]bool // retransmissions
}

func newPhone(t *testing.T) *phone {
	t.Helper()
	return newPhoneAt(t, net.IPv4(127, 0, 0, 1))
}

// newPhoneAt is a phone at another address: to the switch one of its own address is itself, whatever the port.
func newPhoneAt(t *testing.T, ip net.IP) *phone {
	t.Helper()
	c, err := net.ListenUDP("udp", &net.UDPAddr{IP: ip})
	if err != nil {
		t.Fatal(err)
	}
	p := &phone{t: t, conn: c, addr: c.LocalAddr().(*net.UDPAddr).AddrPort(), sdp: testSDP, in: make(chan *sipMessage, 100), seen: map[string]bool{}}
	done, closing := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, maxDatagram)
		for {
			n, err := c.Read(buf)
			if err != nil {
				return
			}
			m, err := parseSIP(buf[:n])
			if err != nil {
				t.Errorf("phone got what is no SIP: %v", err)
				return
			}
			b, _ := branchOf(m)
			key := fmt.Sprint(b, m.method, m.status)
			p.mu.Lock()
			again := p.seen[key]
			p.seen[key] = true
			p.mu.Unlock()
			if !again {
				select {
				case p.in <- m:
				case <-closing:
					return
				}
			}
		}
	}()
	t.Cleanup(func() { close(closing); c.Close(); <-done })
	return p
}

func (p *phone) send(m *sipMessage, to netip.AddrPort) {
	p.t.Helper()
	if _, err := p.conn.WriteToUDPAddrPort(m.bytes(), to); err != nil && !errors.Is(err, net.ErrClosed) {
		p.t.Errorf("phone cannot send: %v", err)
	}
}

// expect waits for the next message; what is a method or a status.
func (p *phone) expect(what string) *sipMessage {
	p.t.Helper()
	select {
	case m := <-p.in:
		got := m.method
		if !m.isRequest() {
			got = itoa(m.status)
		}
		if got != what {
			p.t.Fatalf("phone got %s, want %s\n%s", got, what, m.bytes())
		}
		return m
	case <-time.After(patience):
		p.t.Fatalf("phone waits in vain for %s", what)
	}
	return nil
}

// nothing asserts that no message is waiting.
func (p *phone) nothing() {
	p.t.Helper()
	select {
	case m := <-p.in:
		p.t.Fatalf("phone got a message that it should not get:\n%s", m.bytes())
	default:
	}
}

const testSDP = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 6000 RTP/AVP 0 101\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:101 telephone-event/8000\r\n"

// call sends an INVITE for a number and returns it.
func (p *phone) call(to netip.AddrPort, number string, extra ...string) *sipMessage {
	p.t.Helper()
	m := &sipMessage{method: "INVITE", uri: "sip:" + number + "@" + to.String()}
	m.add("Via", "SIP/2.0/UDP "+p.addr.String()+";branch=z9hG4bK-"+newTag())
	m.add("From", `"Ada Attendee" <sip:+12125550123@`+p.addr.String()+">;tag="+newTag())
	m.add("To", "<sip:"+number+"@"+to.String()+">")
	m.add("Call-ID", newTag()+"@127.0.0.1")
	m.add("CSeq", "1 INVITE")
	m.add("Contact", "<sip:+12125550123@"+p.addr.String()+">")
	m.add("Max-Forwards", "70")
	for _, h := range extra {
		name, value, _ := strings.Cut(h, ": ")
		m.add(name, value)
	}
	m.add("Content-Type", sdpType)
	m.body = []byte(p.sdp)
	p.send(m, to)
	return m
}

// ack acknowledges a final response to an INVITE of ours.
func (p *phone) ack(inv, r *sipMessage, to netip.AddrPort) {
	a := &sipMessage{method: "ACK", uri: inv.uri}
	via := splitList(inv.get("Via"))[0]
	if r.status < 300 {
		via = "SIP/2.0/UDP " + p.addr.String() + ";branch=z9hG4bK-" + newTag()
	}
	a.add("Via", via)
	p.inDialog(a, inv, r, "1 ACK")
	p.send(a, to)
}

func (p *phone) inDialog(m, inv, r *sipMessage, cseq string) {
	m.add("From", inv.get("From"))
	m.add("To", r.get("To"))
	m.add("Call-ID", inv.get("Call-ID"))
	m.add("CSeq", cseq)
	m.add("Max-Forwards", "70")
}

// bye ends a call that we made.
func (p *phone) bye(inv, r *sipMessage, to netip.AddrPort) {
	m := &sipMessage{method: "BYE", uri: contactOf(r)}
	m.add("Via", "SIP/2.0/UDP "+p.addr.String()+";branch=z9hG4bK-"+newTag())
	p.inDialog(m, inv, r, "2 BYE")
	p.send(m, to)
}

// cancel withdraws a call that we made.
func (p *phone) cancel(inv *sipMessage, to netip.AddrPort) {
	m := &sipMessage{method: "CANCEL", uri: inv.uri}
	m.add("Via", inv.get("Via"))
	m.add("From", inv.get("From"))
	m.add("To", inv.get("To"))
	m.add("Call-ID", inv.get("Call-ID"))
	m.add("CSeq", "1 CANCEL")
	m.add("Max-Forwards", "70")
	p.send(m, to)
}

// reply answers a request.
func (p *phone) reply(req *sipMessage, code int, sdp string, extra ...string) *sipMessage {
	p.t.Helper()
	r := p.response(req, code)
	for _, h := range extra {
		name, value, _ := strings.Cut(h, ": ")
		r.add(name, value)
	}
	if sdp != "" {
		r.add("Content-Type", sdpType)
		r.body = []byte(sdp)
	}
	p.send(r, p.replyTo(req))
	return r
}

// response builds the answer to a request.
func (p *phone) response(req *sipMessage, code int) *sipMessage {
	r := &sipMessage{status: code, reason: firstNonEmpty(sipPhrase(code), "X")}
	for _, v := range req.all("Via") {
		r.add("Via", v)
	}
	for _, v := range req.all("Record-Route") {
		r.add("Record-Route", v)
	}
	r.add("From", req.get("From"))
	to := req.get("To")
	if code > 100 && !strings.Contains(to, ";tag=") {
		to += ";tag=phone"
	}
	r.add("To", to)
	r.add("Call-ID", req.get("Call-ID"))
	r.add("CSeq", req.get("CSeq"))
	r.add("Contact", "<sip:b@"+p.addr.String()+">")
	return r
}

// replyTo is where the answer to a request goes: the sender of its topmost Via.
func (p *phone) replyTo(req *sipMessage) netip.AddrPort {
	p.t.Helper()
	head, _ := cutParams(splitList(req.get("Via"))[0])
	to, err := netip.ParseAddrPort(strings.Fields(head)[1])
	if err != nil {
		p.t.Fatal(err)
	}
	return to
}

// byeCaller ends a call that was made to us.
func (p *phone) byeCaller(inv, ok *sipMessage, to netip.AddrPort) {
	m := &sipMessage{method: "BYE", uri: contactOf(inv)}
	m.add("Via", "SIP/2.0/UDP "+p.addr.String()+";branch=z9hG4bK-"+newTag())
	m.add("From", ok.get("To"))
	m.add("To", inv.get("From"))
	m.add("Call-ID", inv.get("Call-ID"))
	m.add("CSeq", "7 BYE")
	m.add("Max-Forwards", "70")
	p.send(m, to)
}
