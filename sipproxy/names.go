package sipproxy

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"
)

// Peers that are configured by a domain. One goroutine asks for their addresses, ahead of calls and again whenever what it knows has
// expired, and builds a new table of peers, in which a domain stands as one peer for each of its addresses. No message waits
// for a name: the path of messages reads the table and nothing else.

// Found is one address of a domain.
type Found struct {
	Addr netip.AddrPort
	// Transport is what the DNS says of the address; "" = nothing.
	Transport string
	// Priority and Weight are as in RFC 2782. The order of addresses counts between those of one priority only where Weight is 0.
	Priority, Weight uint16
}

// Names finds the addresses of peers that are configured by a domain.
type Names interface {
	// Addresses gives what a domain leads to, by priority, and for how long that holds. It is called by goroutines of the proxy that do
	// nothing else, with a context that ends after 5 s, and only when the time of what it said last is over. port 0 means that the
	// DNS names it; transport is that of the peer, "" = the DNS may choose UDP or TCP.
	Addresses(ctx context.Context, domain string, port uint16, transport string) ([]Found, time.Duration, error)
}

const (
	maxFound     = 16               // addresses used of one domain
	nameTimeout  = 5 * time.Second  // of one look-up
	nameRetry    = 5 * time.Second  // after one that failed
	nameAgain    = time.Second      // between two at least
	nameKept     = 24 * time.Hour   // that addresses are used while their domain cannot be looked up
	formerGrace  = time.Minute      // that calls are taken from an address its domain no longer names: others may still have the old answer
	formerKept   = 4 * time.Hour    // that dialogs with such an address go on
	maxFormer    = 64               // such addresses of one domain
	nameInterval = 30 * time.Second // between two rounds at most
)

// domain is what is known of one peer's domain.
type domain struct {
	name, transport string
	port            uint16

	found  []Found
	seen   map[netip.AddrPort]time.Time // when an address that is not found any more was found last
	good   time.Time                    // of the last look-up that found something
	next   time.Time                    // of the next
	failed error                        // of the last look-up
}

func (d *domain) key() string { return fmt.Sprintf("%s:%d/%s", d.name, d.port, d.transport) }

// names are the peers as they are configured, with what is known of their domains.
type names struct {
	mu       sync.Mutex
	peers    []Peer
	screener Screener
	router   Router
	domains  map[string]*domain
	changed  chan struct{} // tells the loop of a new configuration
}

// configure takes a configuration and gives the table that goes with it. What is known of domains that stay is kept. The lock is held.
func (n *names) configure(peers []Peer, screener Screener, router Router, now time.Time) *table {
	n.peers, n.screener, n.router = peers, screener, router
	domains := map[string]*domain{}
	for i := range peers {
		if peers[i].Domain == "" {
			continue
		}
		d := peers[i].names()
		if old := n.domains[d.key()]; old != nil {
			d = old
		}
		domains[d.key()] = d
	}
	n.domains = domains
	select {
	case n.changed <- struct{}{}:
	default:
	}
	return n.table(now)
}

func (p *Peer) names() *domain {
	return &domain{name: p.Domain, port: p.DomainPort, transport: p.Transport, seen: map[netip.AddrPort]time.Time{}}
}

// table builds the table of now. The lock is held.
func (n *names) table(now time.Time) *table {
	t := &table{screener: n.screener, router: n.router}
	for i := range n.peers {
		p := &n.peers[i]
		if p.Domain == "" {
			t.peers = append(t.peers, *p)
			continue
		}
		t.peers = append(t.peers, p.expand(n.domains[p.names().key()], n.foreign(p), now)...)
	}
	return t
}

// foreign tells the addresses that a peer's domain must not lead to: those of peers on the other side, or a DNS could turn a carrier
// into a node.
func (n *names) foreign(p *Peer) func(netip.Addr) bool {
	return func(a netip.Addr) bool {
		return slices.ContainsFunc(n.peers, func(o Peer) bool {
			if o.Kind == p.Kind {
				return false
			}
			if o.Domain == "" {
				return o.contains(a)
			}
			return o.Kind == Node && n.domains[o.names().key()].has(a)
		})
	}
}

func (d *domain) has(a netip.Addr) bool {
	return slices.ContainsFunc(d.found, func(f Found) bool { return f.Addr.Addr() == a })
}

// expand makes the peers that stand for one with a domain: one for each address, the first of them with everything else that is
// configured, and one for each address of lately, which takes part in its dialogs alone.
func (p *Peer) expand(d *domain, foreign func(netip.Addr) bool, now time.Time) []Peer {
	var out []Peer
	for _, f := range d.found {
		if foreign(f.Addr.Addr()) {
			continue
		}
		one := *p
		one.Addr, one.priority, one.weight = f.Addr, f.Priority, f.Weight
		if one.Transport == "" {
			one.Transport = f.Transport
		}
		one.Prefixes = []netip.Prefix{whole(f.Addr.Addr())}
		if len(out) == 0 {
			one.Prefixes = append(one.Prefixes, p.Prefixes...)
		} else {
			one.DeviceAddr = netip.AddrPort{}
		}
		out = append(out, one)
	}
	if len(out) == 0 && len(p.Prefixes) > 0 {
		out = append(out, *p) // it can call us
	}
	for addr, seen := range d.seen {
		if foreign(addr.Addr()) || now.Sub(seen) > formerKept {
			continue
		}
		former := *p
		former.former, former.grace = addr, seen.Add(formerGrace)
		former.Prefixes, former.Hosts, former.DeviceAddr = []netip.Prefix{whole(addr.Addr())}, nil, netip.AddrPort{}
		out = append(out, former)
	}
	return out
}

func whole(a netip.Addr) netip.Prefix { return netip.PrefixFrom(a, a.BitLen()) }

// moved reports whether a peer's address is one that its domain has not named for a while.
func (p *Peer) moved(now time.Time) bool { return p.former.IsValid() && now.After(p.grace) }

// nameLoop keeps the addresses of domains.
func (p *Proxy) nameLoop() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-p.names.changed:
		case <-p.stop:
			return
		}
		p.lookUp()
		timer.Reset(p.names.wait(time.Now()))
	}
}

// wait is how long until something is to be looked up.
func (n *names) wait(now time.Time) time.Duration {
	n.mu.Lock()
	defer n.mu.Unlock()
	d := nameInterval
	for _, x := range n.domains {
		d = min(d, x.next.Sub(now))
	}
	return max(d, 10*time.Millisecond)
}

// lookUp looks everything up that has expired, all at once, and swaps the table when something changed.
func (p *Proxy) lookUp() {
	n := &p.names
	now := time.Now()
	var due []*domain
	n.mu.Lock()
	for _, d := range n.domains {
		if !now.Before(d.next) {
			due = append(due, d)
		}
	}
	n.mu.Unlock()
	var all sync.WaitGroup
	for _, d := range due {
		all.Go(func() {
			found, ttl, err := p.ask(d)
			n.mu.Lock()
			defer n.mu.Unlock()
			d.take(found, ttl, err, time.Now(), p.log)
		})
	}
	all.Wait()
	if len(due) > 0 {
		n.mu.Lock()
		p.table.Store(n.table(time.Now()))
		n.mu.Unlock()
	}
}

// ask looks one domain up. Addresses that nobody but this proxy has are left out.
func (p *Proxy) ask(d *domain) (found []Found, ttl time.Duration, err error) {
	defer func() {
		if r := recover(); r != nil {
			p.panicked("names", r)
			err = errors.New("the look-up broke")
		}
	}()
	ctx, cancel := context.WithTimeout(p.ctx, nameTimeout)
	defer cancel()
	all, ttl, err := p.opt.Names.Addresses(ctx, d.name, d.port, d.transport)
	for _, f := range all {
		f.Addr = unmapped(f.Addr)
		if f.Addr.IsValid() && f.Addr.Port() != 0 && checkTransport("", f.Transport) == nil && !p.isUs(f.Addr.Addr().String(), f.Addr.Port()) && len(found) < maxFound {
			found = append(found, f)
		}
	}
	if err == nil && len(found) == 0 {
		err = errors.New("no address of somebody else")
	}
	return found, ttl, err
}

// take keeps the outcome of a look-up. When it failed, the addresses of before stay in use, for a day.
func (d *domain) take(found []Found, ttl time.Duration, err error, now time.Time, log *zap.Logger) {
	if err != nil {
		if d.failed == nil {
			log.Warn("a peer's domain cannot be looked up; what was found before is used on", zap.String("domain", d.name), zap.Int("addresses", len(d.found)), zap.Error(err))
		}
		d.failed, d.next = err, now.Add(nameRetry)
		if now.Sub(d.good) <= nameKept {
			return
		}
		found = nil
	} else {
		d.failed, d.good, d.next = nil, now, now.Add(max(ttl, nameAgain))
	}
	if !slices.Equal(found, d.found) {
		log.Info("a peer's domain leads to", zap.String("domain", d.name), zap.Any("addresses", found))
	}
	for _, f := range d.found {
		d.seen[f.Addr] = now
	}
	for _, f := range found {
		delete(d.seen, f.Addr)
	}
	for addr, seen := range d.seen {
		if now.Sub(seen) > formerKept || len(d.seen) > maxFormer {
			delete(d.seen, addr)
		}
	}
	d.found = found
}

// hops gives the hops of a peer by name, in the order in which they are to be tried (RFC 2782): by priority, and within one by a
// random draw according to weights. A peer without a domain has one hop.
func (t *table) hops(name string) []Hop {
	var left []*Peer
	for i := range t.peers {
		if p := &t.peers[i]; p.Name == name && p.Addr.IsValid() {
			left = append(left, p)
		}
	}
	slices.SortStableFunc(left, func(a, b *Peer) int { return int(a.priority) - int(b.priority) })
	out := make([]Hop, 0, len(left))
	for len(left) > 0 {
		p := left[drawn(left)]
		left = slices.DeleteFunc(left, func(o *Peer) bool { return o == p })
		out = append(out, Hop{Addr: p.Addr, Transport: p.Transport, Name: p.Name})
	}
	return out
}

// hopsBy are the hops of a peer, by a transport that was asked for; "" is that of each address.
func (t *table) hopsBy(name, network string) []Hop {
	hops := t.hops(name)
	for i := range hops {
		if network != "" {
			hops[i].Transport = network
		}
	}
	return hops
}

// drawn picks one of the first priority by weight; those of weight 0 come last, in order.
func drawn(left []*Peer) int {
	sum, group := 0, 0
	for group < len(left) && left[group].priority == left[0].priority {
		sum += int(left[group].weight)
		group++
	}
	if sum == 0 {
		return 0
	}
	at, pick := 0, rand.IntN(sum)
	for pick -= int(left[0].weight); pick >= 0; pick -= int(left[at].weight) {
		at++
	}
	return at
}

// expand replaces hops that name a peer with a domain, and no address, by those of the peer.
func (t *table) expand(hops []Hop) []Hop {
	if !slices.ContainsFunc(hops, func(h Hop) bool { return !h.Addr.IsValid() }) {
		return hops
	}
	var out []Hop
	for _, h := range hops {
		if h.Addr.IsValid() {
			out = append(out, h)
			continue
		}
		out = append(out, t.hopsBy(h.Name, h.Transport)...)
	}
	return out
}

// NameHealth is what the proxy knows of a peer that is configured by its domain.
type NameHealth struct {
	Domain    string
	Addresses []netip.AddrPort // in use
	Err       error            // of the last look-up; nil = it found them
}

// Names reports the domains of peers, by name.
func (p *Proxy) Names() []NameHealth {
	p.names.mu.Lock()
	defer p.names.mu.Unlock()
	var out []NameHealth
	for _, d := range p.names.domains {
		h := NameHealth{Domain: d.name, Err: d.failed}
		for _, f := range d.found {
			h.Addresses = append(h.Addresses, f.Addr)
		}
		if len(d.found) == 0 && d.failed == nil {
			h.Err = errors.New("not looked up yet")
		}
		out = append(out, h)
	}
	slices.SortFunc(out, func(a, b NameHealth) int { return strings.Compare(a.Domain, b.Domain) })
	return out
}
