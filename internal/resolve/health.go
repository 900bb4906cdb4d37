package resolve

import (
	"cmp"
	"context"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
)

const (
	maxBreakers  = 1024             // targets remembered; beyond, the one that was used longest ago is forgotten
	probesLost   = 2                // probes in a row that a target may miss before its breaker opens
	trialTime    = 10 * time.Second // that the one call which tries a half-open target has to tell how it went
	probeTime    = 4 * time.Second  // that a target has to answer a probe
	probesAtOnce = 64
)

// State is where the circuit breaker of a target stands.
type State string

// The states of a circuit breaker.
const (
	Closed   State = "closed"    // it takes calls
	Open     State = "open"      // it failed: it is tried last until its back-off time is over
	HalfOpen State = "half-open" // that time is over: one call or probe tries it
)

// Prober asks a target with OPTIONS; any answer that does not say "not now" is nil.
type Prober func(ctx context.Context, t Target) error

// HealthOptions configure a Health. The zero value is usable.
type HealthOptions struct {
	// Probe asks targets; nil = calls alone tell how they are.
	Probe Prober
	// Every is how often targets that are in use are asked; 0 = only when their back-off time is over.
	Every time.Duration
	// BackOff is how long a target that failed is tried last; each failure in a row doubles it up to MaxBackOff. 0 = 30 s and 5 min.
	BackOff, MaxBackOff time.Duration
	// Logger gets a line when a breaker opens or closes; nil = no log.
	Logger *zap.Logger
}

// Health keeps a circuit breaker for each target. It outlives resolvers: a reload of the DNS settings does not bring a dead target
// back. It is safe for concurrent use; Run owns the goroutines of probes.
type Health struct {
	opt HealthOptions

	opened, answered, missed atomic.Uint64

	mu       sync.Mutex
	breakers map[endpoint]*breaker
}

// endpoint is what a breaker is for.
type endpoint struct {
	addr      netip.AddrPort
	transport string
}

func (t Target) endpoint() endpoint { return endpoint{t.Addr, cmp.Or(t.Transport, "udp")} }

// breaker is what is known of one target.
type breaker struct {
	target   Target
	state    State
	since    time.Time     // when state changed last; zero = never
	until    time.Time     // of an open one: when it is tried again; of a half-open one: when the trial counts as lost
	backOff  time.Duration // of the next time it opens
	failed   time.Time     // last
	failures int           // in a row
	used     time.Time     // when a look-up named it last
	probed   time.Time     // when it was asked last
	answers  bool          // it has answered a probe: silence means something
	lost     int           // probes in a row
}

// NewHealth makes a Health of which nothing is known.
func NewHealth(o HealthOptions) *Health {
	o.BackOff = cmp.Or(o.BackOff, 30*time.Second)
	o.MaxBackOff = max(cmp.Or(o.MaxBackOff, 5*time.Minute), o.BackOff)
	if o.Logger == nil {
		o.Logger = zap.NewNop()
	}
	return &Health{opt: o, breakers: map[endpoint]*breaker{}}
}

// of gives the breaker of a target, a new one if need be. The lock is held.
func (h *Health) of(t Target, now time.Time) *breaker {
	b := h.breakers[t.endpoint()]
	if b == nil {
		h.makeRoom()
		b = &breaker{state: Closed, backOff: h.opt.BackOff, probed: now, target: t}
		h.breakers[t.endpoint()] = b
	}
	if t.Name != "" {
		b.target = t
	}
	return b
}

// makeRoom forgets a target when there are too many: of those that work, or else of all, the one unused for longest.
func (h *Health) makeRoom() {
	if len(h.breakers) < maxBreakers {
		return
	}
	var oldest endpoint
	var found *breaker
	for e, b := range h.breakers {
		if found == nil || (b.state == Closed) != (found.state == Closed) && b.state == Closed ||
			(b.state == Closed) == (found.state == Closed) && b.last().Before(found.last()) {
			oldest, found = e, b
		}
	}
	delete(h.breakers, oldest)
}

func (b *breaker) last() time.Time {
	if b.failed.After(b.used) {
		return b.failed
	}
	return b.used
}

// Failed notes that a target did not take a call: its breaker opens, and it is tried last.
func (h *Health) Failed(t Target, now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if b := h.of(t, now); !now.Before(b.failed) {
		h.fail(b, now, "a call failed")
	}
}

func (h *Health) fail(b *breaker, now time.Time, why string) {
	was := b.state
	b.failed = now
	if was == Open && now.Before(b.until) { // it was tried last, because all failed
		b.until = now.Add(b.until.Sub(b.since))
		b.since = now
		return
	}
	b.failures++
	b.state, b.since, b.until, b.lost = Open, now, now.Add(b.backOff), 0
	b.backOff = min(2*b.backOff, h.opt.MaxBackOff)
	h.opened.Add(1)
	h.opt.Logger.Warn("target is not called: others first", b.fields(zap.String("why", why), zap.Int("failures", b.failures), zap.Duration("for", b.until.Sub(now)))...)
}

// Worked notes that a target took a call: its breaker closes.
func (h *Health) Worked(t Target, now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if b := h.breakers[t.endpoint()]; b != nil {
		b.backOff, b.failures = h.opt.BackOff, 0
		h.close(b, now)
	}
}

func (h *Health) close(b *breaker, now time.Time) {
	b.lost = 0
	if b.state == Closed {
		return
	}
	b.state, b.since = Closed, now
	h.opt.Logger.Info("target is called again", b.fields()...)
}

func (b *breaker) fields(more ...zap.Field) []zap.Field {
	return append([]zap.Field{zap.String("name", b.target.Name), zap.Stringer("target", b.target.Addr), zap.String("transport", b.target.Transport)}, more...)
}

// arrange puts the targets whose breaker is open last, the one that failed longest ago first among them. Everything else keeps its
// order. A target whose back-off time is over keeps its place for one call, which tries it, unless probes do that.
func (h *Health) arrange(targets []Target, now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	last := map[endpoint]time.Time{}
	for _, t := range targets {
		b := h.of(t, now)
		b.used = now
		if !h.admit(b, now) {
			last[t.endpoint()] = b.failed
		}
	}
	if len(last) == 0 {
		return
	}
	slices.SortStableFunc(targets, func(a, b Target) int {
		x, xLast := last[a.endpoint()]
		y, yLast := last[b.endpoint()]
		switch {
		case xLast != yLast && xLast:
			return 1
		case xLast != yLast:
			return -1
		}
		return x.Compare(y)
	})
}

// admit reports whether a call may try a target in its place, and makes that call the trial of a half-open one.
func (h *Health) admit(b *breaker, now time.Time) bool {
	if b.state == Closed {
		return true
	}
	if now.Before(b.until) || h.opt.Probe != nil && b.answers {
		return false
	}
	if b.state == Open {
		b.since = now
	}
	b.state, b.until = HalfOpen, now.Add(trialTime)
	return true
}

// takes reports whether a target takes calls as far as is known. Nothing changes.
func (h *Health) takes(t Target, now time.Time) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	b := h.breakers[t.endpoint()]
	return b == nil || b.state == Closed || !now.Before(b.until)
}

// TargetState is the breaker of one target.
type TargetState struct {
	Name      string // that led there last
	Addr      netip.AddrPort
	Transport string
	State     State
	Since     time.Time // when State changed last; zero = never
	Retry     time.Time // when an open one is tried again
	Failures  int       // in a row
}

// States reports every target that is known, by name and address.
func (h *Health) States() []TargetState {
	h.mu.Lock()
	defer h.mu.Unlock()
	out := make([]TargetState, 0, len(h.breakers))
	for e, b := range h.breakers {
		s := TargetState{Name: b.target.Name, Addr: e.addr, Transport: e.transport, State: b.state, Since: b.since, Failures: b.failures}
		if b.state == Open {
			s.Retry = b.until
		}
		out = append(out, s)
	}
	slices.SortFunc(out, func(a, b TargetState) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), a.Addr.Compare(b.Addr), strings.Compare(a.Transport, b.Transport))
	})
	return out
}

// HealthStats counts what a Health saw since it was made.
type HealthStats struct {
	Opened           uint64 // breakers, each time
	Answered, Missed uint64 // probes
}

// Stats gives the counts.
func (h *Health) Stats() HealthStats {
	return HealthStats{Opened: h.opened.Load(), Answered: h.answered.Load(), Missed: h.missed.Load()}
}

// Run probes until ctx ends. Without a Prober it only waits.
func (h *Health) Run(ctx context.Context) error {
	if h.opt.Probe == nil {
		<-ctx.Done()
		return nil
	}
	tick := time.NewTicker(min(time.Second, h.opt.BackOff))
	defer tick.Stop()
	room := make(chan struct{}, probesAtOnce)
	var running sync.WaitGroup
	defer running.Wait()
	for {
		for _, t := range h.due(time.Now(), cap(room)-len(room)) {
			room <- struct{}{}
			running.Go(func() {
				h.probe(ctx, t)
				<-room
			})
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// due gives the targets to be asked now, at most n: those whose back-off time is over, and those in use that were not asked for
// a while.
func (h *Health) due(now time.Time, n int) []Target {
	h.mu.Lock()
	defer h.mu.Unlock()
	var out []Target
	for _, b := range h.breakers {
		over := b.state != Closed && !now.Before(b.until) && now.Sub(b.probed) >= probeTime
		idle := b.state == Closed && h.opt.Every > 0 && now.Sub(b.used) < recently && now.Sub(b.probed) >= h.opt.Every
		if len(out) == n || !over && !idle {
			continue
		}
		b.probed = now
		if over && b.answers {
			b.state, b.until = HalfOpen, now.Add(trialTime)
		}
		out = append(out, b.target)
	}
	return out
}

// probe asks one target and draws the conclusion. One that has never answered a probe is judged by its calls alone.
func (h *Health) probe(ctx context.Context, t Target) {
	asking, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	err := h.opt.Probe(asking, t)
	if ctx.Err() != nil {
		return
	}
	now := time.Now()
	h.mu.Lock()
	defer h.mu.Unlock()
	b := h.breakers[t.endpoint()]
	switch {
	case b == nil:
	case err == nil:
		h.answered.Add(1)
		b.answers = true
		h.close(b, now)
	default:
		h.missed.Add(1)
		if !b.answers {
			return
		}
		if b.lost++; b.state == HalfOpen || b.state == Closed && b.lost >= probesLost {
			h.fail(b, now, "no answer to OPTIONS: "+err.Error())
		}
	}
}
