package resolve_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/signalbox/signalbox/internal/resolve"
)

// order is how two targets are tried now, by their ports.
func order(t *testing.T, r *resolve.Resolver) string {
	t.Helper()
	targets, err := r.Lookup(t.Context(), fqdn, "udp")
	if err != nil {
		t.Fatal(err)
	}
	var out string
	for _, x := range targets {
		out += fmt.Sprint(x.Addr.Port(), " ")
	}
	return out
}

const (
	aFirst = "5091 5092 "
	bFirst = "5092 5091 "
)

func at(addr string) resolve.Target {
	return resolve.Target{Addr: netip.MustParseAddrPort(addr), Transport: "udp"}
}

func stateOf(h *resolve.Health, port uint16) resolve.State {
	for _, s := range h.States() {
		if s.Addr.Port() == port {
			return s.State
		}
	}
	return "unknown"
}

func TestFailedTargetIsTriedLast(t *testing.T) {
	s := serve(t)
	twoTargets(t, s, 60)
	r := newResolver(t, resolve.Options{}, s)
	a, b, now := at("127.0.0.1:5091"), at("127.0.0.2:5092"), time.Now()
	r.Failed(a, now)
	if got := order(t, r); got != bFirst {
		t.Errorf("after a failure of the first: %s", got)
	}
	r.Worked(a, now)
	if got := order(t, r); got != aFirst {
		t.Errorf("after it worked again: %s", got)
	}
	r.Failed(a, now)
	r.Failed(b, now.Add(-5*time.Second))
	if got := order(t, r); got != bFirst { // both failed: the one that failed longest ago first
		t.Errorf("both failed: %s", got)
	}
	tcp := a
	tcp.Transport = "tcp"
	r.Worked(a, now)
	r.Worked(b, now)
	r.Failed(tcp, now)
	if got := order(t, r); got != aFirst {
		t.Errorf("a failure by TCP counts for UDP: %s", got)
	}
}

// When the back-off time is over, one call tries the target, and the others wait for how that goes.
func TestHalfOpenTargetIsTriedByOneCall(t *testing.T) {
	s := serve(t)
	twoTargets(t, s, 3600)
	h := resolve.NewHealth(resolve.HealthOptions{BackOff: time.Minute, MaxBackOff: 3 * time.Minute})
	r := newResolver(t, resolve.Options{Health: h, Timeout: 5 * time.Second}, s)
	a := at("127.0.0.1:5091")
	order(t, r) // from now on the names come from the cache
	ago := func(d time.Duration) time.Time { return time.Now().Add(-d) }

	r.Failed(a, ago(61*time.Second))
	if first, second := order(t, r), order(t, r); first != aFirst || second != bFirst {
		t.Errorf("after the back-off the calls try %s and %s; one is to try the first target, the next not", first, second)
	}
	if got := stateOf(h, 5091); got != resolve.HalfOpen {
		t.Errorf("the breaker is %s", got)
	}
	r.Worked(a, time.Now())
	if got := order(t, r); got != aFirst || stateOf(h, 5091) != resolve.Closed {
		t.Errorf("after the trial worked: %s, %s", got, stateOf(h, 5091))
	}
	// A trial that fails doubles the back-off, up to its bound.
	from := time.Now()
	for i, want := range []time.Duration{time.Minute, 2 * time.Minute, 3 * time.Minute, 3 * time.Minute} {
		from = from.Add(time.Hour)
		r.Failed(a, from)
		for _, st := range h.States() {
			if st.Addr == a.Addr && (st.Retry.Sub(from) != want || st.State != resolve.Open || st.Failures != i+1) {
				t.Errorf("failure %d: %+v, want to be tried again after %s", i+1, st, want)
			}
		}
	}
}

// probes answers as it is told and counts what it was asked.
type probes struct {
	mu    sync.Mutex
	dead  map[uint16]bool
	asked atomic.Int64
}

func (p *probes) set(port uint16, dead bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.dead[port] = dead
}

func (p *probes) ask(_ context.Context, t resolve.Target) error {
	p.asked.Add(1)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.dead[t.Addr.Port()] {
		return errors.New("silence")
	}
	return nil
}

// A target that answered OPTIONS before is closed and opened by OPTIONS: no call has to find out.
func TestProbesOpenAndCloseTheBreaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &probes{dead: map[uint16]bool{}}
		h := resolve.NewHealth(resolve.HealthOptions{Probe: p.ask, Every: 10 * time.Second, BackOff: 20 * time.Second})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- h.Run(ctx) }()
		targets := []resolve.Target{
			{Name: fqdn, Addr: netip.MustParseAddrPort("127.0.0.1:5091"), Transport: "udp"},
			{Name: fqdn, Addr: netip.MustParseAddrPort("127.0.0.2:5092"), Transport: "udp"},
		}
		first := func() uint16 {
			got := slices.Clone(targets)
			h.Arrange(got, time.Now())
			return got[0].Addr.Port()
		}
		first()
		time.Sleep(11 * time.Second) // each has answered a probe
		p.set(5091, true)
		time.Sleep(21 * time.Second) // two probes are missed
		if first() != 5092 || stateOf(h, 5091) != resolve.Open {
			t.Errorf("after two missed probes %d is first, its breaker is %s", first(), stateOf(h, 5091))
		}
		time.Sleep(25 * time.Second) // the back-off is over and the probe in vain
		if first() != 5092 {
			t.Error("a call is to try a target that misses its probes")
		}
		p.set(5091, false)
		time.Sleep(45 * time.Second)
		if first() != 5091 || stateOf(h, 5091) != resolve.Closed {
			t.Errorf("it answers again, and %d is first, its breaker is %s", first(), stateOf(h, 5091))
		}
		asked := p.asked.Load()
		time.Sleep(time.Hour) // nobody calls any more
		if more := p.asked.Load() - asked; more > 2*65 {
			t.Errorf("%d probes in an hour without calls; they are to end after ten minutes", more)
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// A voicemail system that does not know OPTIONS is judged by its calls alone.
func TestSilenceOfATargetThatNeverAnsweredAProbeMeansNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &probes{dead: map[uint16]bool{5091: true}}
		h := resolve.NewHealth(resolve.HealthOptions{Probe: p.ask, Every: 5 * time.Second, BackOff: 20 * time.Second})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- h.Run(ctx) }()
		targets := []resolve.Target{{Name: fqdn, Addr: netip.MustParseAddrPort("127.0.0.1:5091"), Transport: "udp"}}
		h.Arrange(targets, time.Now())
		time.Sleep(time.Minute)
		if got := stateOf(h, 5091); got != resolve.Closed || p.asked.Load() == 0 {
			t.Errorf("after %d unanswered probes the breaker is %s", p.asked.Load(), got)
		}
		h.Failed(targets[0], time.Now())
		time.Sleep(30 * time.Second)
		h.Arrange(targets, time.Now())
		if got := stateOf(h, 5091); got != resolve.HalfOpen {
			t.Errorf("after the back-off no call may try it: %s", got)
		}
		cancel()
		<-ended
	})
}
