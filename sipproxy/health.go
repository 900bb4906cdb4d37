package sipproxy

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"
)

// HopHealth is what the proxy knows of a node it probes with OPTIONS (see Options.ProbeEvery).
type HopHealth struct {
	Name string
	Addr netip.AddrPort
	// Up is true until probes were missed, and again after the first that was answered.
	Up bool
	// Since is when Up changed last; zero means never.
	Since time.Time
}

// probesMissed is how many probes in a row a node may miss before calls go to others first.
const probesMissed = 2

// probeLost is when a probe of which nothing was heard counts as lost with its shard's panic.
const probeLost = time.Minute

// health is kept of each node's address. A node that left the configuration is forgotten with the next round.
type health struct {
	mu   sync.Mutex
	hops map[netip.AddrPort]*hopState
}

type hopState struct {
	HopHealth
	missed int
	asked  time.Time // when the probe that is under way began; zero is none
}

// Health gives what is known of every probed node, by name.
func (p *Proxy) Health() []HopHealth {
	p.health.mu.Lock()
	defer p.health.mu.Unlock()
	var out []HopHealth
	for _, h := range p.health.hops {
		out = append(out, h.HopHealth)
	}
	slices.SortFunc(out, func(a, b HopHealth) int { return cmp.Or(strings.Compare(a.Name, b.Name), a.Addr.Compare(b.Addr)) })
	return out
}

// healthy puts hops that miss their probes behind the others, in order: they are still tried, because a probe may be wrong.
func (p *Proxy) healthy(hops []Hop) []Hop {
	p.health.mu.Lock()
	defer p.health.mu.Unlock()
	down := func(h Hop) bool {
		s := p.health.hops[h.Addr]
		if h.node.IsValid() {
			s = p.health.hops[h.node]
		}
		return s != nil && !s.Up
	}
	slices.SortStableFunc(hops, func(a, b Hop) int {
		switch da, db := down(a), down(b); {
		case da == db:
			return 0
		case db:
			return -1
		}
		return 1
	})
	return hops
}

// probeLoop asks every node, each time round.
func (p *Proxy) probeLoop() {
	tick := time.NewTicker(p.opt.ProbeEvery)
	defer tick.Stop()
	for {
		t := p.table.Load()
		for _, hop := range p.health.round(t) {
			id := probeID()
			p.shardFor(id).post(&event{probe: &probe{hop: hop, id: id}})
		}
		select {
		case <-tick.C:
		case <-p.stop:
			return
		}
	}
}

// probe is one OPTIONS to be sent.
type probe struct {
	hop  Hop
	id   string    // Call-ID
	told func(int) // who asked, and gets the code of the answer, 0 for silence; nil = it is kept for the node. It must not block
}

// Ask asks a target of the Outbound with OPTIONS whether it is there: from the address from which its calls come, by TLS, and with
// its certificate checked. Any answer but 503 and 408 is nil; what else there is wraps ErrNoAnswer, ErrOptions or ErrClosed. A proxy
// that does not run yet answers when it does, or when ctx ends.
func (p *Proxy) Ask(ctx context.Context, hop Hop) error {
	if hop.Transport != "tls" || hop.TLSName == "" || !hop.Addr.IsValid() || p.isUs(hop.Addr.Addr().String(), hop.Addr.Port()) {
		return fmt.Errorf("%w: ask %s: a target is asked by TLS, for a domain, and is not us", ErrOptions, hop.Addr)
	}
	hop.outside = true
	answer := make(chan int, 1)
	id := probeID()
	p.shardFor(id).post(&event{probe: &probe{hop: hop, id: id, told: func(code int) {
		select {
		case answer <- code:
		default:
		}
	}}})
	select {
	case code := <-answer:
		if code < 200 || code == 503 || code == 408 {
			return fmt.Errorf("ask %s: %w: %d", hop.Addr, ErrNoAnswer, code)
		}
		return nil
	case <-ctx.Done():
		return fmt.Errorf("ask %s: %w: %w", hop.Addr, ErrNoAnswer, ctx.Err())
	case <-p.stop:
		return ErrClosed
	}
}

func probeID() string {
	var b [8]byte
	_, _ = rand.Read(b[:])
	return "probe-" + hex.EncodeToString(b[:])
}

// round forgets nodes that are no more and gives those to be asked: all that have no probe under way.
func (h *health) round(t *table) (ask []Hop) {
	h.mu.Lock()
	defer h.mu.Unlock()
	known := make(map[netip.AddrPort]*hopState)
	for _, hop := range t.nodes() {
		s := h.hops[hop.Addr]
		if s == nil {
			s = &hopState{HopHealth: HopHealth{Addr: hop.Addr, Up: true}}
		}
		s.Name = hop.Name
		known[hop.Addr] = s
		if now := time.Now(); now.Sub(s.asked) > probeLost {
			s.asked = now
			ask = append(ask, hop)
		}
	}
	h.hops = known
	return ask
}

// probed takes the outcome of a probe. Any final answer will do but 503 and 408, with which a FreeSWITCH that is paused, or a
// proxy behind us, says that it takes no calls; code 0 is silence.
func (p *Proxy) probed(pr *probe, code int) {
	if pr.told != nil {
		pr.told(code)
		return
	}
	hop := pr.hop
	good := code >= 200 && code != 503 && code != 408
	p.health.mu.Lock()
	s := p.health.hops[hop.Addr]
	if s == nil {
		p.health.mu.Unlock()
		return
	}
	s.asked = time.Time{}
	was := s.Up
	if good {
		s.missed, s.Up = 0, true
	} else if s.missed++; s.missed >= probesMissed {
		s.Up = false
	}
	now := s.Up
	if was != now {
		s.Since = time.Now()
	}
	p.health.mu.Unlock()
	switch {
	case was && !now:
		p.log.Warn("node misses its probes, calls go to others first", zap.String("node", hop.Name), zap.Stringer("hop", hop.Addr), zap.Int("code", code))
	case !was && now:
		p.log.Info("node answers probes again", zap.String("node", hop.Name), zap.Stringer("hop", hop.Addr))
	}
}

// probe sends one OPTIONS within a transaction of its own.
func (s *shard) probe(pr *probe) {
	network := cmp.Or(pr.hop.Transport, "udp")
	out := s.p.listenerFor(network, pr.hop.Addr.Addr(), nil)
	if out == nil {
		s.p.probed(pr, 0)
		return
	}
	branch := branchPrefix + digest(pr.id)
	m := &message{method: "OPTIONS", uri: "sip:" + cmp.Or(pr.hop.TLSName, pr.hop.Addr.String())}
	m.add("Via", "SIP/2.0/"+strings.ToUpper(network)+" "+out.adv+";rport;branch="+branch)
	m.add("Max-Forwards", "70")
	m.add("From", "<sip:probe@"+out.adv+">;tag="+digest(pr.id, "tag"))
	m.add("To", "<"+m.uri+">")
	m.add("Call-ID", pr.id)
	m.add("CSeq", "1 OPTIONS")
	m.add("Contact", "<sip:"+out.adv+">")
	l := &leg{shard: s, hop: pr.hop, out: out, branch: branch, method: "OPTIONS", sent: m, probe: pr}
	if !l.start() {
		s.p.probed(pr, 0)
	}
}
