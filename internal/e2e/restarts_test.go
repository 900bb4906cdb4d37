package e2e

import (
	"context"
	"fmt"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/signalbox/signalbox/internal/lab"
)

func TestSimRestarts(t *testing.T)  { onSimulator(t, restarts(t)) }
func TestRealRestarts(t *testing.T) { onFreeSWITCH(t, restarts(t)) }

// restarts are the dialogs of the matrix in the middle of which the proxy is killed and started again, calls to and from phones behind it, and
// calls of unusual shape.
func restarts(t *testing.T) chapter {
	c := carrierChapter(t)
	b := newBrowsers(t)
	listens := c.configure
	c.configure = func(yaml string) string { return b.configure(t, listens(yaml)) }
	c.files = func(files lab.Dropins, _ map[string]*lab.Stage) { files["dialplan/default/60_phones.xml"] = fromPhones }
	if hasSIPp(t) {
		calls := append(b.act(), shapes()...)
		if hasIPv6(t) {
			six := netip.MustParseAddrPort(freeAt(t, netip.IPv6Loopback()))
			calls = append(calls, fromSix(six)...)
			four := c.configure
			c.configure = func(yaml string) string {
				yaml = edit(t, four(yaml), "prefixes: ["+carrier+"/32]", "prefixes: ["+carrier+"/32, \"::1/128\"]")
				return edit(t, yaml, "  listen: [", fmt.Sprintf("  listen: [%q, %q, ", "udp:"+six.String(), "tcp:"+six.String()))
			}
		}
		c.acts = []act{restarted().act(), calls, {
			{Name: "proxy-stopped-under-load", Title: "The proxy is stopped and started again while calls come by UDP, TCP and TLS, ring and talk: none is lost.", Alone: true, Play: playStopped},
		}}
	}
	return c
}

// restarted kills the proxy when each caller wants to say something inside his dialog, and has them say it to the next one.
func restarted() *stroke {
	st := newStroke("proxy-restarted", func(ctx context.Context, s *lab.Stage) {
		s.Must(s.Rig.Proxy.Kill())
		s.Must(s.Rig.StartProxy(ctx))
	}, func(context.Context, *lab.Stage) {})
	for _, r := range rows() {
		switch r.name {
		case "reinvite", "update", "prack", "refer", "hung-up-on":
		default:
			continue
		}
		if r.name == "prack" { // it rings until all is in order again
			r.phone = lab.Behaviour{Ring: true}
		}
		for _, network := range carrierNetworks {
			st.meets(r.name+"-past-a-restart-"+network, r.title, lab.Line{}, func(ctx context.Context, s *lab.Stage, m *moment) {
				r.playPastRestart(ctx, s, m, network)
			})
		}
	}
	return st
}

// playStopped sends SIGTERM three times in the middle of calls that each take 600 ms, by a carrier of each transport. A carrier over
// connections opens a new one when its own has ended, and tries again while nobody takes it; what it has said once is not lost.
func playStopped(ctx context.Context, s *lab.Stage) {
	const n, rate = 40, 10
	ids := map[string]int{}
	s.Phone.Behave(lab.Answers(100 * time.Millisecond))
	var udp, tcp, tls string
	overConnections := func(network string) (id string) {
		e := newEdge(s, network, carrier, carrierDoor(s, network), nil)
		defer e.close()
		p := newScript("stopped-" + network)
		p.many = n / 2
		id = p.calls().answered().pause(300).hangsUp().run(ctx, s, e, carrier, "-s", s.Number, "-key", "caller", s.From, "-r", fmt.Sprint(rate/2))
		e.mu.Lock()
		defer e.mu.Unlock()
		s.Tell("the carrier over %s found nobody %d times", network, e.refused)
		s.Check(e.lost == 0, "%d INVITEs were lost with their connection over %s", e.lost, network)
		return id
	}
	s.Together(func() { udp = sipp(ctx, s, carrier, "bye", n, rate) }, func() { tcp = overConnections("tcp") }, func() { tls = overConnections("tls") }, func() {
		for range 3 {
			pause(ctx, 600*time.Millisecond)
			began := time.Now()
			s.Must(s.Rig.Proxy.Signal(syscall.SIGTERM))
			select {
			case <-s.Rig.Proxy.Done():
			case <-ctx.Done():
				s.Fail("the proxy does not stop: %w", context.Cause(ctx))
			}
			s.Tell("the proxy was gone after %s", time.Since(began).Round(time.Millisecond))
			s.Check(time.Since(began) < 3*time.Second, "the proxy stopped only after %s", time.Since(began))
			s.Must(s.Rig.StartProxy(ctx))
		}
	})
	ids[udp], ids[tcp], ids[tls] = n, n/2, n/2
	s.Check(s.Phone.Invited() == 2*n, "the phone had %d calls, want %d", s.Phone.Invited(), 2*n)
	for id, n := range ids {
		allSteps(s, recordsOf(ctx, s, id, n), toldRing...)
	}
}

func (r row) playPastRestart(ctx context.Context, s *lab.Stage, m *moment, network string) {
	s.Phone.Behave(r.phone)
	g := newGate()
	var id string
	s.Together(func() { id = r.script(newScript(r.name+"-past-a-restart-"+network)).play(ctx, s, network, g) }, func() {
		in := s.Rings(ctx, s.Phone, 1)
		if r.name == "hung-up-on" {
			s.Must(in.WaitAcknowledged(ctx))
			pause(ctx, 200*time.Millisecond)
		} else {
			wait(ctx, s, g.waits, "the caller has something to say")
		}
		m.strikes(ctx, s)
		close(g.open)
		if r.name == "prack" {
			in.Answer()
		}
		if r.other != nil {
			r.other(ctx, s, in)
		}
	})
	allSteps(s, recordsOf(ctx, s, id, 1), r.steps...)
}
