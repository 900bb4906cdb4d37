package attack

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/ipv4"
)

// target is what is attacked.
type target struct{ carriers, devices netip.AddrPort }

// attack is one way to hurt a proxy. It works until ctx ends and says how much it sent.
type attack struct {
	name, what string
	run        func(ctx context.Context, t target) (sent uint64)
}

// floodRate is what a flood sends a second: ten times what one trunk may (sipproxy.Limits.MessagesPerSecond).
const floodRate = 20000

var attacks = []attack{
	{"flood of a trunk", "20,000 INVITEs a second of callers who cannot exist, from a configured trunk", floodTrunk},
	{"50,000 sources", "20,000 INVITEs a second, each from another address that is nobody's", floodStrangers},
	{"flood of devices", "20,000 REGISTERs a second from 200 addresses at the listener for devices", floodDevices},
	{"half-open connections", "connections to the listener for devices that stop in the middle of a header, as many as it takes", halfOpen},
	{"slow readers", "a trunk's connections that ask and never read the answers", slowReaders},
	{"garbage", "HTTP, TLS, NUL bytes, endless headers, at every port, over UDP and TCP", garbage},
	{"forged headers", "line feeds, NULs and tokens of our own in every header that is copied, from a trunk", forged},
}

func invite(from netip.AddrPort, n uint64, caller, extra string) string {
	return fmt.Sprintf("INVITE sip:+4930231257100@pbx.example SIP/2.0\r\nVia: SIP/2.0/UDP %s;branch=z9hG4bKx%d\r\nMax-Forwards: 70\r\nFrom: <sip:%s@h>;tag=%d\r\nTo: <sip:+4930231257100@h>\r\n"+
		"Call-ID: attack-%d\r\nCSeq: 1 INVITE\r\nContact: <sip:a@%s>\r\n%sContent-Length: 0\r\n\r\n", from, n, caller, n, n, from, extra)
}

// paced calls f so often a second, in bursts of a hundredth of a second, until ctx ends.
func paced(ctx context.Context, rate int, f func(n uint64)) (sent uint64) {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return sent
		case <-tick.C:
		}
		for range rate / 100 {
			f(sent)
			sent++
		}
	}
}

func udp(ip string) (*net.UDPConn, netip.AddrPort, error) {
	c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.ParseIP(ip)})
	if err != nil {
		return nil, netip.AddrPort{}, err
	}
	return c, c.LocalAddr().(*net.UDPAddr).AddrPort(), nil
}

func floodTrunk(ctx context.Context, t target) uint64 {
	c, from, err := udp(trunkIP)
	if err != nil {
		return 0
	}
	defer c.Close()
	return paced(ctx, floodRate, func(n uint64) {
		_, _ = c.WriteToUDPAddrPort([]byte(invite(from, n, "+10005550100", "")), t.carriers)
	})
}

// sentFrom has the kernel send a datagram from an address of this machine.
func sentFrom(ip [4]byte) []byte {
	return (&ipv4.ControlMessage{Src: net.IP(ip[:])}).Marshal()
}

// floodStrangers sends each datagram from another address: on Linux all of 127.0.0.0/8 is this machine.
func floodStrangers(ctx context.Context, t target) uint64 {
	c, from, err := udp("0.0.0.0")
	if err != nil {
		return 0
	}
	defer c.Close()
	return paced(ctx, floodRate, func(n uint64) {
		n %= 50000
		ip := [4]byte{127, 10 + byte(n>>16), byte(n >> 8), byte(n)}
		raw := invite(netip.AddrPortFrom(netip.AddrFrom4(ip), from.Port()), n, "+498999998130", "")
		_, _, _ = c.WriteMsgUDPAddrPort([]byte(raw), sentFrom(ip), t.carriers)
	})
}

func floodDevices(ctx context.Context, t target) uint64 {
	c, from, err := udp("0.0.0.0")
	if err != nil {
		return 0
	}
	defer c.Close()
	return paced(ctx, floodRate, func(n uint64) {
		ip := [4]byte{127, 20, 0, byte(n % 200)}
		raw := fmt.Sprintf("REGISTER sip:pbx.example SIP/2.0\r\nVia: SIP/2.0/UDP %s:%d;branch=z9hG4bKr%d\r\nMax-Forwards: 70\r\nFrom: <sip:%d@pbx.example>;tag=1\r\nTo: <sip:%d@pbx.example>\r\n"+
			"Call-ID: r%d\r\nCSeq: 1 REGISTER\r\nContact: <sip:x@127.0.0.1>\r\nContent-Length: 0\r\n\r\n", netip.AddrFrom4(ip), from.Port(), n, n%1000, n%1000, n)
		_, _, _ = c.WriteMsgUDPAddrPort([]byte(raw), sentFrom(ip), t.devices)
	})
}

// connections keeps up to so many connections, each from one of 40 addresses, and treats them with f.
func connections(ctx context.Context, to netip.AddrPort, ips func(i int) string, most int, f func(ctx context.Context, c net.Conn)) uint64 {
	var opened atomic.Uint64
	var running sync.WaitGroup
	for i := range most {
		running.Go(func() {
			for ctx.Err() == nil {
				d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(ips(i))}, Timeout: time.Second}
				c, err := d.DialContext(ctx, "tcp4", to.String())
				if err == nil {
					opened.Add(1)
					f(ctx, c)
					_ = c.Close()
				}
				select {
				case <-ctx.Done():
				case <-time.After(100 * time.Millisecond):
				}
			}
		})
	}
	running.Wait()
	return opened.Load()
}

func halfOpen(ctx context.Context, t target) uint64 {
	return connections(ctx, t.devices, func(i int) string { return fmt.Sprintf("127.30.0.%d", 1+i%40) }, 2000, func(ctx context.Context, c net.Conn) {
		_, _ = io.WriteString(c, "REGISTER sip:pbx.example SIP/2.0\r\nVia: SIP/2.0/TCP x;branch=z9hG4bK1\r\nSubject: ")
		hold(ctx, c)
	})
}

// hold keeps a connection until the other side closes it.
func hold(ctx context.Context, c net.Conn) {
	stop := context.AfterFunc(ctx, func() { _ = c.SetReadDeadline(time.Now()) })
	defer stop()
	_, _ = c.Read(make([]byte, 1))
}

func slowReaders(ctx context.Context, t target) uint64 {
	return connections(ctx, t.carriers, func(int) string { return trunkIP }, 100, func(ctx context.Context, c net.Conn) {
		if tc, ok := c.(*net.TCPConn); ok {
			_ = tc.SetReadBuffer(2048)
		}
		for n := uint64(0); ctx.Err() == nil; n++ {
			raw := fmt.Sprintf("OPTIONS sip:pbx.example SIP/2.0\r\nVia: SIP/2.0/TCP %s;branch=z9hG4bKo%d\r\nMax-Forwards: 70\r\nFrom: <sip:a@h>;tag=1\r\nTo: <sip:b@h>\r\nCall-ID: o%d\r\nCSeq: 1 OPTIONS\r\nSubject: %s\r\nContent-Length: 0\r\n\r\n",
				c.LocalAddr(), n, n, strings.Repeat("x", 500))
			_ = c.SetWriteDeadline(time.Now().Add(time.Second))
			if _, err := io.WriteString(c, raw); err != nil {
				return
			}
		}
	})
}

func garbage(ctx context.Context, t target) uint64 {
	pieces := []string{
		"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", strings.Repeat("\x00", 1400), "\r\n\r\n\r\n\r\n",
		"INVITE sip:x SIP/2.0\r\n" + strings.Repeat("X: y\r\n", 200), "INVITE " + strings.Repeat("a", 60000), "SIP/2.0 200 OK\r\n\r\n", strings.Repeat("\xff\xfe", 600),
	}
	c, _, err := udp(trunkIP)
	if err != nil {
		return 0
	}
	defer c.Close()
	var sent atomic.Uint64
	var both sync.WaitGroup
	both.Go(func() {
		sent.Add(paced(ctx, 2000, func(n uint64) {
			for _, to := range []netip.AddrPort{t.carriers, t.devices} {
				_, _ = c.WriteToUDPAddrPort([]byte(pieces[n%uint64(len(pieces))]), to)
			}
		}))
	})
	for _, to := range []netip.AddrPort{t.carriers, t.devices} {
		both.Go(func() {
			sent.Add(connections(ctx, to, func(i int) string { return fmt.Sprintf("127.0.0.%d", 5+i%2*60) }, 20, func(ctx context.Context, c net.Conn) {
				for _, p := range pieces {
					_ = c.SetWriteDeadline(time.Now().Add(time.Second))
					if _, err := io.WriteString(c, p); err != nil {
						return
					}
				}
			}))
		})
	}
	both.Wait()
	return sent.Load()
}

func forged(ctx context.Context, t target) uint64 {
	payloads := []string{
		"Diversion: <sip:a@h>\r\n X-Signalbox: forged\r\n", "Subject: a\nX-Signalbox: forged\r\n", "Subject: a\rX-Signalbox: forged\r\n", "x-sIGNALBOX : forged\r\n", "Subject: a\x00b\r\n",
		"P-Asserted-Identity: \"x%250d%250aX-Evil%253a yes\" <sip:+10005550100@h>\r\n", "X-Signalbox-Target: forged\r\n", "Route: <sip:127.0.0.99:5060;lr>\r\n",
		"History-Info: <sip:a@h?Reason=SIP%3Bcause%3D302%0d%0aX-Signalbox:x>;index=1\r\n", "Path: <sip:127.0.0.99;lr>\r\n", "Identity: " + strings.Repeat("e", 8000) + "\r\n",
	}
	c, from, err := udp(trunkIP)
	if err != nil {
		return 0
	}
	defer c.Close()
	return paced(ctx, 400, func(n uint64) {
		_, _ = c.WriteToUDPAddrPort([]byte(invite(from, 1<<40+n, "+10005550100", payloads[n%uint64(len(payloads))])), t.carriers)
	})
}
