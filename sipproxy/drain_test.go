package sipproxy

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"
)

// slowly lets a call through when it is told.
type slowly chan struct{}

func (s slowly) Screen(ctx context.Context, _ *Invite) Decision {
	select {
	case <-s:
	case <-ctx.Done():
	}
	return Decision{}
}

func TestDrainEndsWhatNobodyElseKnows(t *testing.T) {
	gate := make(slowly)
	w := newWorld(t, func(o *Options, _ *world) { o.Screener, o.ScreenTimeout = gate, patience })
	w.trunk.udp(w.udp, w.trunk.invite("undecided"))
	w.trunk.expect("SIP/2.0 100")
	drained := make(chan int, 1)
	go func() { drained <- w.p.Drain(t.Context()) }()
	w.wait("the drain begins", func(Stats) bool { return w.p.leaving.Load() })
	// New calls by UDP are the next proxy's. Over a connection, where nobody sends them again, they are taken.
	w.trunk.udp(w.udp, w.trunk.invite("new"))
	w.trunk.quiet()
	c := w.trunk.dial(w.tcp)
	_, _ = c.Write([]byte(overTCP(w.trunk.invite("new-tcp"))))
	w.trunk.expect("SIP/2.0 100")
	select {
	case left := <-drained:
		t.Fatalf("the drain did not wait, %d left", left)
	default:
	}
	close(gate)
	inv, second := w.node.expect("INVITE"), w.node.expect("INVITE")
	if header(inv.raw, "call-id") != "undecided" {
		inv, second = second, inv
	}
	w.node.answer(inv, "180 Ringing")
	w.node.answer(second, "486 Busy Here")
	w.trunk.expect("SIP/2.0 180", "SIP/2.0 486")
	if left := <-drained; left != 0 {
		t.Errorf("%d left", left)
	}
	// What rings goes on, and so do dialogs.
	w.node.answer(inv, "200 OK", w.node.contact())
	ok := w.trunk.expect("SIP/2.0 200", "SIP/2.0 486")
	w.trunk.udp(w.udp, w.trunk.inDialog("ACK", ok, 1))
	w.node.expect("ACK sip:node@", "ACK")
	w.trunk.udp(w.udp, w.trunk.inDialog("BYE", ok, 2))
	w.node.answer(w.node.expect("BYE"), "200 OK")
	w.trunk.expect("SIP/2.0 200")
}

func TestDrainDoesNotWaitForEver(t *testing.T) {
	w := newWorld(t, func(o *Options, _ *world) { o.Screener, o.ScreenTimeout = make(slowly), patience })
	w.trunk.udp(w.udp, w.trunk.invite("undecided"))
	w.trunk.expect("SIP/2.0 100")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if left := w.p.Drain(ctx); left != 1 {
		t.Errorf("%d left, want 1", left)
	}
}

// overTCP is a request that says TCP in its Via.
func overTCP(raw string) string { return strings.Replace(raw, "SIP/2.0/UDP", "SIP/2.0/TCP", 1) }

// TestADrainPartsFromConnections is a carrier over TCP that sends a call while the proxy parts from its connection: it sees the end of the
// connection, and yet the call arrives and is answered, on a connection that the proxy opens.
func TestADrainPartsFromConnections(t *testing.T) {
	w := newWorld(t, nil)
	c := w.trunk.dial(w.tcp)
	_, _ = c.Write([]byte(overTCP(w.trunk.invite("before"))))
	w.trunk.expect("SIP/2.0 100")
	w.node.answer(w.node.expect("INVITE"), "100 Trying")
	began := time.Now()
	drained := make(chan int, 1)
	go func() { drained <- w.p.Drain(t.Context()) }()
	w.trunk.closed(c)
	_, _ = c.Write([]byte(overTCP(w.trunk.invite("crossing"))))
	if res := w.trunk.expect("SIP/2.0 100"); header(res.raw, "call-id") != "crossing" || res.conn == c {
		t.Errorf("the call that crossed the end of its connection got, by the same connection %v, %s", res.conn == c, res.raw)
	}
	w.node.answer(w.node.expect("INVITE"), "486 Busy Here")
	w.trunk.expect("SIP/2.0 486")
	_ = c.Close()
	if left := <-drained; left != 0 || time.Since(began) > patience/2 {
		t.Errorf("%d left after %s", left, time.Since(began))
	}
	d := net.Dialer{Timeout: patience}
	if late, err := d.Dial("tcp", w.tcp.String()); err == nil {
		_ = late.Close()
		t.Error("a proxy that has parted from its connections takes a new one")
	}
}

// TestADrainDoesNotWaitForWhoKeepsHisConnection is a carrier that never closes.
func TestADrainDoesNotWaitForWhoKeepsHisConnection(t *testing.T) {
	w := newWorld(t, nil)
	w.trunk.dial(w.tcp)
	w.wait("the connection is there", func(s Stats) bool { return s.Connections == 1 })
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if left := w.p.Drain(ctx); left != 0 || ctx.Err() != nil {
		t.Errorf("%d left, %v", left, ctx.Err())
	}
}
