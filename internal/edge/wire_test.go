package edge

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/signalbox/signalbox/internal/token"
	"github.com/signalbox/signalbox/sipproxy"
)

// endpoint is one UDP socket that speaks SIP as bytes.
type endpoint struct {
	t  *testing.T
	pc *net.UDPConn
}

func listen(t *testing.T, ip string) endpoint {
	t.Helper()
	pc, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.ParseIP(ip)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = pc.Close() })
	return endpoint{t, pc}
}

func (e endpoint) addr() netip.AddrPort { return e.pc.LocalAddr().(*net.UDPAddr).AddrPort() }

func (e endpoint) send(to netip.AddrPort, raw string) {
	e.t.Helper()
	if _, err := e.pc.WriteToUDPAddrPort([]byte(raw), to); err != nil {
		e.t.Fatal(err)
	}
}

// next gives the next message that does not begin with one of skip.
func (e endpoint) next(skip ...string) string {
	e.t.Helper()
	if err := e.pc.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
		e.t.Fatal(err)
	}
	buf := make([]byte, 65536)
read:
	for {
		n, err := e.pc.Read(buf)
		if err != nil {
			e.t.Fatalf("%s got nothing: %v", e.addr(), err)
		}
		raw := string(buf[:n])
		for _, s := range skip {
			if strings.HasPrefix(raw, s) {
				continue read
			}
		}
		return raw
	}
}

func header(raw, name string) []string {
	var out []string
	head, _, _ := strings.Cut(raw, "\r\n\r\n")
	for _, line := range strings.Split(head, "\r\n")[1:] {
		if n, v, _ := strings.Cut(line, ":"); strings.EqualFold(strings.TrimSpace(n), name) {
			out = append(out, strings.TrimSpace(v))
		}
	}
	return out
}

// TestThroughARealProxy runs one proxy with the edge behind it, and looks at what is on the wire.
func TestThroughARealProxy(t *testing.T) {
	carrier, node := listen(t, "127.0.0.1"), listen(t, "127.0.0.1")
	o := options()
	o.Nodes = []sipproxy.Hop{{Name: "fs1", Addr: node.addr(), Transport: "udp"}}
	e := New(o)
	proxy, err := sipproxy.New(sipproxy.Options{
		Listen: []sipproxy.Listener{{Network: "udp", Addr: "127.0.0.1:0"}},
		Peers: []sipproxy.Peer{
			{Name: "strict", Kind: sipproxy.Trunk, Addr: carrier.addr(), Port: carrier.addr().Port()},
			{Name: "fs1", Kind: sipproxy.Node, Addr: node.addr(), Port: node.addr().Port()},
		},
		Screener: e, Router: e,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- proxy.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("the proxy ended with %v", err)
		}
	})
	invite := func(id, from string, lines ...string) string {
		return strings.Join(append([]string{
			"INVITE sip:" + called + "@" + proxy.Addr("udp").String() + " SIP/2.0",
			fmt.Sprintf("Via: SIP/2.0/UDP %s;branch=z9hG4bK%s", carrier.addr(), id),
			"From: <sip:" + from + "@carrier.example.net>;tag=" + id,
			"To: <sip:" + called + "@signalbox.example.net>",
			"Call-ID: " + id, "CSeq: 1 INVITE", "Max-Forwards: 70", fmt.Sprintf("Contact: <sip:%s>", carrier.addr()), "Content-Length: 0",
		}, lines...), "\r\n") + "\r\n\r\n"
	}

	carrier.send(proxy.Addr("udp"), invite("denied", "+14155550166"))
	refusal := carrier.next("SIP/2.0 100")
	if !strings.HasPrefix(refusal, "SIP/2.0 603 Network Blocked\r\n") || len(header(refusal, "Reason")) != 1 {
		t.Errorf("a denied caller got\n%s", refusal)
	}

	carrier.send(proxy.Addr("udp"), invite("good", "+14155550100", "X-Signalbox: 1.k.forged.forged", "x-signalbox-verdict: fine",
		"Diversion: <sip:+14155550102@h>;reason=user-busy", "Diversion: <sip:+14155550101@h>;reason=unconditional"))
	got := node.next()
	if !strings.HasPrefix(got, "INVITE sip:"+called) || header(got, "Call-ID")[0] != "good" {
		t.Fatalf("the first thing that reached FreeSWITCH was\n%s", got)
	}
	tokens := header(got, "X-Signalbox")
	if len(tokens) != 1 || len(header(got, "x-signalbox-verdict")) != 0 {
		t.Fatalf("X-Signalbox headers that reached FreeSWITCH: %q", tokens)
	}
	checker, err := token.NewChecker(*o.Key)
	if err != nil {
		t.Fatal(err)
	}
	evidence, err := checker.Check(tokens[0], "good", "leg", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if evidence.Trunk != "strict" || evidence.Source != carrier.addr() || evidence.FromTag != "good" || len(evidence.Diversion) != 2 ||
		!strings.Contains(evidence.Diversion[0], "user-busy") || !evidence.Verdict.Screened() {
		t.Errorf("evidence %+v", evidence)
	}
	if age := time.Since(evidence.Time); age < 0 || age > 10*time.Second {
		t.Errorf("the token is %s old", age)
	}
	node.send(proxy.Addr("udp"), strings.Join([]string{"SIP/2.0 486 Busy Here", "Via: " + strings.Join(header(got, "Via"), "\r\nVia: "),
		"From: " + header(got, "From")[0], "To: " + header(got, "To")[0] + ";tag=x", "Call-ID: good", "CSeq: 1 INVITE", "Content-Length: 0"}, "\r\n")+"\r\n\r\n")
	if busy := carrier.next("SIP/2.0 100", "SIP/2.0 603"); !strings.HasPrefix(busy, "SIP/2.0 486") {
		t.Errorf("the caller got\n%s", busy)
	}
}
