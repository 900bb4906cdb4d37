package sipproxy

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// BenchmarkCall is a whole call through the proxy over UDP: INVITE, 100, 180, 200, ACK, BYE, 200. The two ends are part of what is
// measured; they write prepared bytes and read as little as they must.
func BenchmarkCall(b *testing.B) {
	trunk, node := benchEnd(b, "127.0.0.2"), benchEnd(b, "127.0.0.3")
	p, err := New(Options{
		Listen: []Listener{{Network: "udp", Addr: "127.0.0.1:0"}},
		Peers: []Peer{
			{Name: "carrier", Kind: Trunk, Addr: trunk.addr},
			{Name: "fs1", Kind: Node, Addr: node.addr},
		},
		Limits: Limits{CallsPerSecond: 1e9, MessagesPerSecond: 1e9, MaxKept: 1e9, MaxPending: 1e9},
	})
	if err != nil {
		b.Fatal(err)
	}
	ctx := b.Context()
	go p.Run(ctx)
	to := p.Addr("udp")
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		head := func(method string, cseq int, tag string) string {
			return fmt.Sprintf("%s sip:+15550001@%s SIP/2.0\r\nVia: SIP/2.0/UDP %s;branch=z9hG4bK%d-%s;rport\r\nMax-Forwards: 70\r\nFrom: \"Ada\" <sip:+498999998130@carrier.example>;tag=a%d\r\n"+
				"To: <sip:+15550001@pbx.example>%s\r\nCall-ID: %d@bench\r\nCSeq: %d %s\r\nContact: <sip:+498999998130@%s>\r\n",
				method, node.addr, trunk.addr, n, method, n, tag, n, cseq, method, trunk.addr)
		}
		trunk.send(to, head("INVITE", 1, "")+"Supported: 100rel, timer\r\nAllow: INVITE, ACK, BYE, CANCEL, OPTIONS\r\nUser-Agent: bench\r\nContent-Type: application/sdp\r\nContent-Length: 115\r\n\r\n"+strings.Repeat("x", 115))
		inv := node.read("INVITE")
		answer := func(status string, req []byte) string {
			return "SIP/2.0 " + status + "\r\n" + copied(req) + "Contact: <sip:answerer@" + node.addr.String() + ">\r\nContent-Length: 0\r\n\r\n"
		}
		node.send(to, answer("180 Ringing", inv))
		node.send(to, answer("200 OK", inv))
		trunk.read("SIP/2.0 200")
		route := "Route: <sip:" + to.String() + ";lr>\r\nContent-Length: 0\r\n\r\n"
		trunk.send(to, head("ACK", 1, ";tag=b")+route)
		node.read("ACK")
		trunk.send(to, head("BYE", 2, ";tag=b")+route)
		node.send(to, answer("200 OK", node.read("BYE")))
		trunk.read("SIP/2.0 200")
	}
}

type benchSide struct {
	b    *testing.B
	pc   *net.UDPConn
	addr netip.AddrPort
	buf  []byte
}

func benchEnd(b *testing.B, ip string) *benchSide {
	pc, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.ParseIP(ip)})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { pc.Close() })
	_ = pc.SetReadBuffer(4 << 20)
	return &benchSide{b, pc, pc.LocalAddr().(*net.UDPAddr).AddrPort(), make([]byte, 65536)}
}

func (s *benchSide) send(to netip.AddrPort, raw string) {
	if _, err := s.pc.WriteToUDPAddrPort([]byte(raw), to); err != nil {
		s.b.Fatal(err)
	}
}

// read waits for a message that begins so.
func (s *benchSide) read(prefix string) []byte {
	_ = s.pc.SetReadDeadline(time.Now().Add(patience))
	for {
		n, _, err := s.pc.ReadFromUDPAddrPort(s.buf)
		if err != nil {
			s.b.Fatal(err)
		}
		if bytes.HasPrefix(s.buf[:n], []byte(prefix)) {
			return s.buf[:n]
		}
	}
}

// copied are the lines of a request that its answer repeats, with a To tag.
func copied(req []byte) string {
	var out strings.Builder
	head, _, _ := strings.Cut(string(req), "\r\n\r\n")
	for _, l := range strings.Split(head, "\r\n")[1:] {
		switch name, _, _ := strings.Cut(l, ":"); name {
		case "Via", "From", "Call-ID", "CSeq", "Record-Route":
			out.WriteString(l + "\r\n")
		case "To":
			if !strings.Contains(l, "tag=") {
				l += ";tag=b"
			}
			out.WriteString(l + "\r\n")
		}
	}
	return out.String()
}
