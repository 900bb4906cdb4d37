package hep

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/signalbox/signalbox/sipproxy"
)

// decode takes a packet apart by the description of HEP3 (revision 26), not by our encoder.
func decode(t *testing.T, b []byte) map[uint16][]byte {
	t.Helper()
	if len(b) < 6 || string(b[:4]) != "HEP3" || int(binary.BigEndian.Uint16(b[4:])) != len(b) {
		t.Fatalf("no HEP3 packet of %d bytes: % x", len(b), b[:min(len(b), 16)])
	}
	chunks := map[uint16][]byte{}
	for rest := b[6:]; len(rest) > 0; {
		if len(rest) < 6 {
			t.Fatalf("a chunk of %d bytes", len(rest))
		}
		vendor, kind, size := binary.BigEndian.Uint16(rest), binary.BigEndian.Uint16(rest[2:]), int(binary.BigEndian.Uint16(rest[4:]))
		if vendor != 0 || size < 6 || size > len(rest) {
			t.Fatalf("chunk of vendor %d, type %d, %d bytes of %d", vendor, kind, size, len(rest))
		}
		if _, twice := chunks[kind]; twice {
			t.Fatalf("chunk %d stands twice", kind)
		}
		chunks[kind] = rest[6:size]
		rest = rest[size:]
	}
	return chunks
}

func TestPacketsAsHomerReadsThem(t *testing.T) {
	at := time.Unix(1700000000, 123456789)
	for name, c := range map[string]struct {
		p    Packet
		want map[uint16]string
	}{
		"udp over IPv4": {
			Packet{Transport: "udp", Source: netip.MustParseAddrPort("192.0.2.1:5060"), Destination: netip.MustParseAddrPort("[::ffff:192.0.2.2]:5080"), Time: at, CaptureID: 7, Key: "secret", Correlation: "a@h", Payload: []byte("OPTIONS")},
			map[uint16]string{1: "\x02", 2: "\x11", 3: "\xc0\x00\x02\x01", 4: "\xc0\x00\x02\x02", 7: "\x13\xc4", 8: "\x13\xd8", 9: "\x65\x53\xf1\x00", 10: "\x00\x01\xe2\x40", 11: "\x01", 12: "\x00\x00\x00\x07", 14: "secret", 15: "OPTIONS", 17: "a@h"},
		},
		"tls over IPv6": {
			Packet{Transport: "tls", Source: netip.MustParseAddrPort("[2001:db8::1]:5061"), Destination: netip.MustParseAddrPort("192.0.2.2:5061"), Time: at, Payload: []byte("x")},
			map[uint16]string{1: "\x0a", 2: "\x06", 5: "\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01", 6: "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\xc0\x00\x02\x02", 7: "\x13\xc5", 8: "\x13\xc5", 9: "\x65\x53\xf1\x00", 10: "\x00\x01\xe2\x40", 11: "\x01", 12: "\x00\x00\x00\x00", 15: "x"},
		},
	} {
		b, ok := Append(nil, c.p)
		if !ok {
			t.Fatalf("%s does not fit", name)
		}
		got := decode(t, b)
		for kind, want := range c.want {
			if string(got[kind]) != want {
				t.Errorf("%s: chunk %d is % x, want % x", name, kind, got[kind], want)
			}
		}
		if len(got) != len(c.want) {
			t.Errorf("%s: %d chunks, want %d", name, len(got), len(c.want))
		}
	}
	if _, ok := Append(nil, Packet{Payload: make([]byte, 65500)}); ok {
		t.Error("a packet of more than 65,535 bytes was written")
	}
	if b, ok := Append(nil, Packet{Payload: make([]byte, 65300)}); !ok || len(b) > 65535 {
		t.Errorf("a long packet: %v, %d bytes", ok, len(b))
	}
}

func TestCorrelationIsTheCallersLeg(t *testing.T) {
	for raw, want := range map[string]string{
		"INVITE sip:a SIP/2.0\r\nCall-ID: a@h\r\n\r\nX-CID: body":        "a@h",
		"INVITE sip:a SIP/2.0\r\ni: a@h\r\nX-cid:  first@h \r\n\r\n":     "first@h",
		"INVITE sip:a SIP/2.0\r\nX-CID: first@h\r\nCall-ID: a@h\r\n\r\n": "first@h",
		"SIP/2.0 200 OK\r\n\r\nCall-ID: body":                            "",
		"":                                                               "",
		"X\r\nCall-ID: " + strings.Repeat("x", 10000) + "\r\n\r\n":       strings.Repeat("x", 512),
	} {
		if got := correlation([]byte(raw)); got != want {
			t.Errorf("%.60q: %.60q, want %.60q", raw, got, want)
		}
	}
}

func tapped(i int) sipproxy.Tapped {
	return sipproxy.Tapped{Direction: sipproxy.In, Transport: "udp", Source: netip.MustParseAddrPort("192.0.2.1:5060"), Destination: netip.MustParseAddrPort("192.0.2.2:5060"),
		Raw: fmt.Appendf(nil, "OPTIONS sip:a SIP/2.0\r\nCall-ID: %d\r\n\r\n", i)}
}

func run(t *testing.T, e *Exporter) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx) }()
	return func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

func TestExportByUDPAndByTCP(t *testing.T) {
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer pc.Close()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	udp, err := New(Options{Network: "udp", Addr: pc.LocalAddr().String()})
	if err != nil {
		t.Fatal(err)
	}
	stop := run(t, udp)
	udp.Tap(tapped(1))
	buf := make([]byte, 65536)
	pc.SetReadDeadline(time.Now().Add(5 * time.Second))
	n, _, err := pc.ReadFrom(buf)
	if err != nil {
		t.Fatal(err)
	}
	if got := decode(t, buf[:n]); string(got[17]) != "1" || !strings.HasPrefix(string(got[15]), "OPTIONS") {
		t.Errorf("packet is of call %q: %q", got[17], got[15])
	}
	stop()

	tcp, err := New(Options{Network: "tcp", Addr: ln.Addr().String()})
	if err != nil {
		t.Fatal(err)
	}
	stop = run(t, tcp)
	for i := range 3 {
		tcp.Tap(tapped(i))
	}
	c, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetReadDeadline(time.Now().Add(5 * time.Second))
	for i := range 3 {
		head := make([]byte, 6)
		if _, err := io.ReadFull(c, head); err != nil {
			t.Fatal(err)
		}
		body := make([]byte, int(binary.BigEndian.Uint16(head[4:]))-6)
		if _, err := io.ReadFull(c, body); err != nil {
			t.Fatal(err)
		}
		if got := decode(t, append(head, body...)); string(got[17]) != fmt.Sprint(i) {
			t.Errorf("packet %d is of call %q", i, got[17])
		}
	}
	stop()
	if s := tcp.Stats(); s.Sent != 3 {
		t.Errorf("%+v", s)
	}
}

// A collector that is not there, or does not read, holds nobody up.
func TestACollectorThatIsNotThereHoldsNobodyUp(t *testing.T) {
	e, err := New(Options{Network: "tcp", Addr: "127.0.0.1:1", Queue: 8, Rate: 1e6})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 20 { // nobody runs: the queue is full
		e.Tap(tapped(i))
	}
	if s := e.Stats(); s.Dropped != 12 {
		t.Errorf("%+v, want 12 dropped", s)
	}
	stop := run(t, e)
	stop() // sends what is queued, or finds that it cannot
	if s := e.Stats(); s.Failed != 8 {
		t.Errorf("%+v, want 8 failed", s)
	}
	for _, o := range []Options{{Network: "sctp", Addr: "a:1"}, {Network: "udp", Addr: "a"}} {
		if _, err := New(o); err == nil {
			t.Errorf("%+v is taken", o)
		}
	}
}

func TestTheRateIsBounded(t *testing.T) {
	e, err := New(Options{Network: "udp", Addr: "127.0.0.1:1", Rate: 100})
	if err != nil {
		t.Fatal(err)
	}
	now := e.begin.Add(time.Hour)
	passed := 0
	for range 1000 {
		if e.allow(now) {
			passed++
		}
	}
	if passed < 100 || passed > 102 {
		t.Errorf("a burst of %d passed, want one second's 100", passed)
	}
	passed = 0
	for range 1000 {
		if e.allow(now.Add(500 * time.Millisecond)) {
			passed++
		}
	}
	if passed < 49 || passed > 51 {
		t.Errorf("half a second later %d passed, want 50", passed)
	}
}

func FuzzAppend(f *testing.F) {
	f.Add("udp", "key", "a@h", []byte("INVITE sip:a SIP/2.0\r\n\r\n"), uint32(1))
	f.Fuzz(func(t *testing.T, transport, key, id string, payload []byte, n uint32) {
		p := Packet{Transport: transport, Source: netip.AddrPortFrom(netip.AddrFrom4([4]byte{1, 2, 3, 4}), uint16(n)), Destination: netip.MustParseAddrPort("[2001:db8::1]:1"), Key: key, Correlation: id, Payload: payload, CaptureID: n}
		b, ok := Append(nil, p)
		if !ok {
			return
		}
		got := decode(t, b)
		if string(got[15]) != string(payload) || string(got[17]) != id || string(got[14]) != key {
			t.Errorf("key %q, call %q, payload %q came back", got[14], got[17], got[15])
		}
		_ = correlation(payload)
	})
}

func BenchmarkTap(b *testing.B) {
	e, err := New(Options{Network: "udp", Addr: "127.0.0.1:1", Rate: 1e12})
	if err != nil {
		b.Fatal(err)
	}
	m := tapped(1)
	m.Raw = append(m.Raw[:len(m.Raw)-2], strings.Repeat("X-Header: value\r\n", 40)+"\r\n"...)
	b.ReportAllocs()
	for b.Loop() {
		e.Tap(m)
		<-e.queue
	}
}
