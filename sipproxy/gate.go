package sipproxy

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"
)

// table is what Reload swaps: who the peers are and who decides. It is never written to after it was built.
type table struct {
	peers    []Peer
	screener Screener
	router   Router
}

// match names the peer a message came from: by prefix, and by port where the peer has one. A peer with a port is a better match
// than one without, a longer prefix better than a shorter one, an earlier peer better than a later one.
func (t *table) match(ip netip.Addr, port uint16) *Peer {
	var best *Peer
	bestScore := -1
	for i := range t.peers {
		p := &t.peers[i]
		if p.Port != 0 && p.Port != port {
			continue
		}
		for _, pre := range p.Prefixes {
			if !pre.Contains(ip) {
				continue
			}
			score := pre.Bits()
			if p.Port != 0 {
				score += 1000
			}
			if score > bestScore {
				best, bestScore = p, score
			}
		}
	}
	return best
}

// knows says whether the address belongs to any peer, whatever the port.
func (t *table) knows(ip netip.Addr) bool {
	for i := range t.peers {
		if t.peers[i].contains(ip) {
			return true
		}
	}
	return false
}

// holdsNode says whether the address may be a node's.
func (t *table) holdsNode(ip netip.Addr) bool {
	for i := range t.peers {
		if t.peers[i].Kind == Node && t.peers[i].contains(ip) {
			return true
		}
	}
	return false
}

func (p *Peer) contains(ip netip.Addr) bool {
	for _, pre := range p.Prefixes {
		if pre.Contains(ip) {
			return true
		}
	}
	return false
}

// target gives the address a URI of a peer's stands for, and the peer, which is of the wanted kind. Only a literal address
// inside a prefix and a name from Peer.Hosts are known.
func (t *table) target(u Address, want PeerKind) (netip.AddrPort, *Peer) {
	network := "udp"
	switch v, _ := param(u.URIParams, "transport"); {
	case u.Scheme == "sips" || strings.EqualFold(v, "tls"):
		network = "tls"
	case u.Scheme != "sip":
		return netip.AddrPort{}, nil
	}
	host := u.Host
	if m, ok := param(u.URIParams, "maddr"); ok && m != "" {
		host = m
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		port := u.Port
		if port == 0 {
			port = defaultPort(network)
		}
		addr := netip.AddrPortFrom(ip.Unmap(), port)
		var best *Peer
		for i := range t.peers {
			p := &t.peers[i]
			switch {
			case p.Kind != want:
			case p.Addr == addr:
				return addr, p
			case best == nil && p.contains(addr.Addr()):
				best = p
			}
		}
		return addr, best
	}
	for i := range t.peers {
		if p := &t.peers[i]; p.Kind == want && slices.Contains(p.Hosts, host) {
			return p.Addr, p
		}
	}
	return netip.AddrPort{}, nil
}

// mayDial says whether a connection may be opened to an address. Contacts and Vias are written by others, and a node has further ports
// that take text, its Event Socket for one: so a node is dialled at its own addresses alone.
func (t *table) mayDial(a netip.AddrPort) bool {
	node := false
	for i := range t.peers {
		p := &t.peers[i]
		if p.Addr == a || p.DeviceAddr == a || p.former == a {
			return true
		}
		if p.Kind != Node || !p.contains(a.Addr()) {
			continue
		}
		if a.Port() == p.Addr.Port() || p.DeviceAddr.IsValid() && a.Port() == p.DeviceAddr.Port() {
			return true
		}
		node = true
	}
	return !node
}

// byAddr gives the peer with exactly this address.
func (t *table) byAddr(a netip.AddrPort) *Peer {
	for i := range t.peers {
		if t.peers[i].Addr == a {
			return &t.peers[i]
		}
	}
	return nil
}

// identity is what the certificate of whoever is at an address must be for.
func (t *table) identity(a netip.AddrPort) identity {
	if p := t.byAddr(a); p != nil {
		return p.identity()
	}
	if p := t.match(a.Addr(), a.Port()); p != nil {
		return p.identity()
	}
	return identity{domain: a.Addr().String()}
}

// everyNode is the route when no Router is set: all nodes in order, those with a domain as it says.
func (t *table) everyNode() (out []Hop) {
	for _, h := range t.nodes() {
		if p := t.byAddr(h.Addr); p.Domain == "" {
			out = append(out, h)
		} else if !slices.ContainsFunc(out, func(o Hop) bool { return o.Name == h.Name }) {
			out = append(out, t.hops(h.Name)...)
		}
	}
	return out
}

// nodes gives every node's address in order.
func (t *table) nodes() []Hop {
	var out []Hop
	for _, p := range t.peers {
		if p.Kind == Node && p.Addr.IsValid() {
			out = append(out, Hop{Addr: p.Addr, Transport: p.Transport, Name: p.Name})
		}
	}
	return out
}

// bucket is a token bucket. It holds two seconds' worth of its rate, but at least one token.
type bucket struct {
	tokens float64
	rate   float64 // as last asked
	last   time.Time
}

func burst(rate float64) float64 { return max(1, 2*rate) }

// take says whether one token was there, and if not, how long to wait for it.
func (b *bucket) take(now time.Time, rate float64) (bool, time.Duration) {
	if b.last.IsZero() {
		b.tokens = burst(rate)
	} else if d := now.Sub(b.last); d > 0 {
		b.tokens = min(burst(rate), b.tokens+d.Seconds()*rate)
	}
	b.last, b.rate = now, rate
	if b.tokens >= 1 {
		b.tokens--
		return true, 0
	}
	return false, time.Duration((1 - b.tokens) / rate * float64(time.Second))
}

// full says whether nothing is lost by forgetting it.
func (b *bucket) full(now time.Time) bool { return now.Sub(b.last).Seconds()*b.rate >= burst(b.rate) }

// maxBuckets bounds the addresses whose rate is remembered; strangers never get one of their own. When it is full, all
// buckets that have filled up again go, and if that frees nothing, all go.
const maxBuckets = 4096

// buckets hold a bucket for each source: an address, and the port of a peer that has one of its own.
type buckets struct {
	mu   sync.Mutex
	rate float64 // of a source that has none of its own
	m    map[netip.AddrPort]*bucket
}

func newBuckets(rate float64) *buckets {
	return &buckets{rate: rate, m: make(map[netip.AddrPort]*bucket)}
}

// take asks the bucket of an address.
func (b *buckets) take(ip netip.Addr, now time.Time) (bool, time.Duration) {
	return b.takeAt(netip.AddrPortFrom(ip, 0), now, 0)
}

// takeAt asks the bucket of a source for its own rate; 0 is the common one.
func (b *buckets) takeAt(source netip.AddrPort, now time.Time, rate float64) (bool, time.Duration) {
	if rate == 0 {
		rate = b.rate
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	k, ok := b.m[source]
	if !ok {
		if len(b.m) >= maxBuckets {
			for a, old := range b.m {
				if old.full(now) {
					delete(b.m, a)
				}
			}
			if len(b.m) >= maxBuckets {
				clear(b.m)
			}
		}
		k = &bucket{}
		b.m[source] = k
	}
	return k.take(now, rate)
}

// source is what the rates of a peer's messages are counted by.
func (p *Peer) source(ip netip.Addr) netip.AddrPort { return netip.AddrPortFrom(ip, p.Port) }

// mayCall says whether one more call of a peer's may come from an address.
func (p *Proxy) mayCall(peer *Peer, ip netip.Addr, now time.Time) bool {
	ok, _ := p.calls.takeAt(peer.source(ip), now, peer.CallsPerSecond)
	if !ok {
		p.n.rateLimited.Add(1)
	}
	return ok
}

// messageRate is how many messages a second may come along the connections of an address: whose they are only the Via of
// each tells, so it is the most that a trunk there may send, 0 for the common rate.
func (t *table) messageRate(ip netip.Addr, common float64) (rate float64) {
	for i := range t.peers {
		if p := &t.peers[i]; p.Kind == Trunk && p.contains(ip) {
			rate = max(rate, cmp.Or(p.MessagesPerSecond, common))
		}
	}
	return rate
}
