package sipproxy

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"
)

// book is an Outbound for one domain.
type book struct {
	mu    sync.Mutex
	hops  []Hop
	tried []string
}

const vmDomain = "vm.example.net"

func (b *book) Targets(_ context.Context, inv *Invite, permit string) ([]Hop, error) {
	if permit != "permit" || inv.Called.Host != vmDomain {
		return nil, ErrNotPermitted
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.hops, nil
}

func (b *book) set(hops ...Hop) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.hops = hops
}

func (b *book) Tried(h Hop, worked bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.tried = append(b.tried, fmt.Sprint(h.Addr.Port(), " ", worked))
}

// target is a voicemail system's server that speaks TLS.
func (s *secured) target(name, ip, domain string) *ua {
	s.t.Helper()
	u := &ua{t: s.t, name: name, in: make(chan got, 64)}
	ln, err := tls.Listen("tcp", ip+":0", &tls.Config{Certificates: []tls.Certificate{s.ca.issue(domain)}})
	if err != nil {
		s.t.Fatal(err)
	}
	u.addr = ln.Addr().(*net.TCPAddr).AddrPort()
	u.wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			u.follow(c)
		}
	})
	s.t.Cleanup(func() {
		ln.Close()
		u.mu.Lock()
		for _, c := range u.conns {
			c.Close()
		}
		u.mu.Unlock()
		u.wg.Wait()
	})
	return u
}

func newOutbound(t *testing.T, mutual bool) (*secured, *book) {
	b := &book{}
	s := newSecured(t, mutual, func(o *Options) {
		o.Outbound, o.FlowKey, o.FirstResponse = b, bytes.Repeat([]byte("k"), 32), 200*time.Millisecond
	})
	return s, b
}

func (s *secured) callOut(id string, extra ...string) {
	s.node.udp(s.udp, s.node.build(request{method: "INVITE", uri: "sip:+1900@" + vmDomain + ";target=sip:a%40b;cause=486", callID: id, extra: extra}))
}

func TestTLSTargetsAreCheckedAgainstTheirDomainAndFailOver(t *testing.T) {
	s, b := newOutbound(t, false)
	impostor, silent, good := s.target("impostor", "127.0.0.41", "other.example.net"), s.target("silent", "127.0.0.42", vmDomain), s.target("good", "127.0.0.43", vmDomain)
	dead := netip.MustParseAddrPort("127.0.0.44:1")
	var hops []Hop
	for _, a := range []netip.AddrPort{dead, impostor.addr, silent.addr, good.addr} {
		hops = append(hops, Hop{Addr: a, Transport: "tls", TLSName: vmDomain})
	}
	b.set(hops...)
	s.callOut("o1", "X-Signalbox-Target: permit", "X-Signalbox: token")
	s.node.expect("SIP/2.0 100")
	inv := good.expect("INVITE")
	if startLine(inv.raw) != "INVITE sip:+1900@"+vmDomain+";target=sip:a%40b;cause=486 SIP/2.0" || strings.Contains(strings.ToLower(inv.raw), "x-signalbox") {
		t.Errorf("the target got\n%s", inv.raw)
	}
	good.answer(inv, "200 OK", good.contact())
	ok := s.node.expect("SIP/2.0 200")
	want := fmt.Sprintf("%s no-connection, %s certificate, %s silent, %s 200", dead, impostor.addr, silent.addr, good.addr)
	if got := header(ok.raw, AttemptsHeader); got != want {
		t.Errorf("attempts %q, want %q", got, want)
	}
	impostor.quiet()
	s.node.udp(s.udp, s.node.inDialog("ACK", ok, 1))
	good.expect("ACK")
	b.mu.Lock()
	if got := strings.Join(b.tried, ", "); got != fmt.Sprintf("1 false, %d false, %d false, %d true", impostor.addr.Port(), silent.addr.Port(), good.addr.Port()) {
		t.Errorf("the Outbound was told %s", got)
	}
	b.mu.Unlock()
	// The node hangs up after a restart: the Route says where, and for which domain.
	s.stop()
	for i := range s.opt.Listen {
		s.opt.Listen[i].Addr = s.p.Addrs()[i].String()
	}
	s.p, s.stop = start(t, s.opt)
	s.node.udp(s.udp, s.node.inDialog("BYE", ok, 2))
	good.answer(good.expect("BYE"), "200 OK")
	s.node.expect("SIP/2.0 200")
}

func TestTargetsAreAskedByTLS(t *testing.T) {
	s, _ := newOutbound(t, false)
	good, impostor := s.target("good", "127.0.0.43", vmDomain), s.target("impostor", "127.0.0.41", "other.example.net")
	ask := func(addr netip.AddrPort) chan error {
		answer := make(chan error, 1)
		go func() { answer <- s.p.Ask(t.Context(), Hop{Addr: addr, Transport: "tls", TLSName: vmDomain}) }()
		return answer
	}
	for status, fine := range map[string]bool{"200 OK": true, "405 Method Not Allowed": true, "503 Service Unavailable": false} {
		answer := ask(good.addr)
		req := good.expect("OPTIONS")
		if startLine(req.raw) != "OPTIONS sip:"+vmDomain+" SIP/2.0" {
			t.Errorf("asked with\n%s", req.raw)
		}
		good.answer(req, status)
		if err := <-answer; (err == nil) != fine || err != nil && !errors.Is(err, ErrNoAnswer) {
			t.Errorf("%s: %v", status, err)
		}
	}
	if err := <-ask(impostor.addr); !errors.Is(err, ErrNoAnswer) {
		t.Errorf("somebody else's certificate: %v", err)
	}
	impostor.quiet()
	if err := <-ask(s.addr); !errors.Is(err, ErrOptions) {
		t.Errorf("asked itself: %v", err)
	}
}

func TestATargetHangsUpOnAConnectionOfItsOwn(t *testing.T) {
	s, b := newOutbound(t, true) // carriers must show a certificate, a target has its token
	good := s.target("good", "127.0.0.43", vmDomain)
	b.set(Hop{Addr: good.addr, Transport: "tls", TLSName: vmDomain})
	dial := func(ip string) (net.Conn, error) {
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(ip)}, Timeout: patience}
		return tls.DialWithDialer(&d, "tcp", s.addr.String(), &tls.Config{RootCAs: s.ca.pool, ServerName: "proxy.example"})
	}
	if c, err := dial("127.0.0.43"); err == nil {
		t.Error("somebody whom nobody called may connect")
		c.Close()
	}
	s.callOut("o2", "X-Signalbox-Target: permit")
	inv := good.expect("INVITE")
	good.answer(inv, "200 OK", good.contact())
	s.node.expect("SIP/2.0 200", "SIP/2.0 100")
	c, err := dial("127.0.0.43")
	if err != nil {
		t.Fatal(err)
	}
	good.follow(c)
	// What does not belong to the dialog goes nowhere.
	io.WriteString(c, good.build(request{method: "INVITE", uri: "sip:x@" + s.node.addr.String(), transport: "TLS", callID: "o3"}))
	good.expect("SIP/2.0 403")
	io.WriteString(c, good.build(request{method: "BYE", uri: "sip:x@" + s.node.addr.String(), transport: "TLS", callID: "o4", to: "<sip:a@b>;tag=x"}))
	good.expect("SIP/2.0 403")
	io.WriteString(c, strings.Replace(good.inDialogFrom("BYE", "TLS", inv, 7), "CSeq:", "P-Preferred-Identity: <sip:boss@x>\r\nCSeq:", 1))
	bye := s.node.expect("BYE", "INVITE")
	if h := header(bye.raw, "p-preferred-identity"); h != "" {
		t.Errorf("somebody outside claims to be %s", h)
	}
	s.node.answer(bye, "200 OK")
	good.expect("SIP/2.0 200")
}

func TestOnlyPermittedDomainsAreCalled(t *testing.T) {
	s, b := newOutbound(t, false)
	good := s.target("good", "127.0.0.43", vmDomain)
	b.set(Hop{Addr: good.addr, Transport: "tls", TLSName: vmDomain})
	s.callOut("o5", "X-Signalbox-Target: forged")
	s.node.expect("SIP/2.0 403", "SIP/2.0 100")
	s.callOut("o6")
	s.node.expect("SIP/2.0 403", "SIP/2.0 100")
	// A carrier's header is stripped, and its calls go to nodes.
	s.node.quiet("SIP/2.0")
	s.opt.Peers[0].TLSName = ""
	c := s.mustDial(s.ca.issue(carrierDomain))
	io.WriteString(c, strings.Replace(overTLS(s.trunk.invite("o7", "X-Signalbox-Target: permit")), "example.test SIP", vmDomain+" SIP", 1))
	s.node.expect("INVITE", "SIP/2.0")
	// Hops that are no TLS or are ourselves are not believed.
	b.set(Hop{Addr: good.addr, Transport: "udp", TLSName: vmDomain}, Hop{Addr: good.addr, Transport: "tls"}, Hop{Addr: s.addr, Transport: "tls", TLSName: vmDomain})
	s.callOut("o8", "X-Signalbox-Target: permit")
	s.node.expect("SIP/2.0 503", "SIP/2.0 100", "INVITE")
	good.quiet()
	if st := s.p.Stats(); st.BadDecisions != 3 {
		t.Errorf("%d bad decisions, want 3", st.BadDecisions)
	}
}

func TestAllTargetsDownIsSaidInThePhrase(t *testing.T) {
	s, b := newOutbound(t, false)
	busy := s.target("busy", "127.0.0.43", vmDomain)
	b.set(Hop{Addr: netip.MustParseAddrPort("127.0.0.44:1"), Transport: "tls", TLSName: vmDomain}, Hop{Addr: busy.addr, Transport: "tls", TLSName: vmDomain})
	s.callOut("o9", "X-Signalbox-Target: permit")
	busy.answer(busy.expect("INVITE"), "503 Service Unavailable")
	res := s.node.expect("SIP/2.0 500", "SIP/2.0 100")
	if want := fmt.Sprintf("SIP/2.0 500 Server Internal Error (127.0.0.44:1 no-connection, %s 503)", busy.addr); startLine(res.raw) != want {
		t.Errorf("%q, want %q", startLine(res.raw), want)
	}
}

func TestRemotesAreBounded(t *testing.T) {
	var r remotes
	now := time.Now()
	for i := range maxRemotes + 100 {
		r.add(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), now.Add(time.Duration(i)*time.Millisecond))
	}
	if len(r.until) != maxRemotes || r.has(netip.MustParseAddr("10.0.0.0"), now) || !r.has(netip.MustParseAddr("10.0.16.0"), now) || r.has(netip.MustParseAddr("10.0.16.0"), now.Add(48*time.Hour)) {
		t.Errorf("%d addresses", len(r.until))
	}
}
