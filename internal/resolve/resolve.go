package resolve

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"
	"go.uber.org/zap"
)

const (
	sipPort    = 5060 // of a name without SRV records (RFC 3261 section 19.1.2)
	sipsPort   = 5061 // by TLS
	maxServers = 8
	maxHosts   = 16 // SRV records used of one name, those of the lowest priorities
	maxAddrs   = 8  // addresses used of one host

	failureTTL = 2 * time.Second // how long "no server answered" holds, so that a call does not wait for it again
)

// Options configure a Resolver. The zero value is usable on a host with a resolv.conf.
type Options struct {
	// Servers are the DNS servers as "host:port" or "host" (port 53), at most 8, the preferred one first. Empty = those
	// of ResolvConf.
	Servers []string
	// ResolvConf is the file that names the servers when Servers is empty; "" = /etc/resolv.conf.
	ResolvConf string
	// Timeout bounds one Lookup; 0 = 2 s.
	Timeout time.Duration
	// TryTimeout bounds one question to one server; 0 = a fifth of Timeout.
	TryTimeout time.Duration
	// MinTTL and MaxTTL are the floor and the ceiling of what an answer's TTL is taken for; 0 = 1 s and 1 h.
	MinTTL, MaxTTL time.Duration
	// NegativeTTL is the ceiling of a negative answer's TTL, and its TTL when it states none; 0 = 30 s.
	NegativeTTL time.Duration
	// Stale is how long an expired answer is used while no server answers; 0 = 1 h, negative = never.
	Stale time.Duration
	// CacheSize bounds the names kept; 0 = 1024. The one not used for longest is dropped.
	CacheSize int
	// BackOff is how long a failed target is tried last; 0 = 30 s.
	BackOff time.Duration
	// Seed makes the weighted draw repeatable; 0 = random.
	Seed uint64
	// Logger gets a warning when old answers are used; nil = no log.
	Logger *zap.Logger
}

func (o *Options) setDefaults() {
	o.ResolvConf = cmp.Or(o.ResolvConf, "/etc/resolv.conf")
	o.Timeout = cmp.Or(o.Timeout, 2*time.Second)
	o.TryTimeout = cmp.Or(o.TryTimeout, o.Timeout/5)
	o.MinTTL = cmp.Or(o.MinTTL, time.Second)
	o.MaxTTL = max(cmp.Or(o.MaxTTL, time.Hour), o.MinTTL)
	o.NegativeTTL = cmp.Or(o.NegativeTTL, 30*time.Second)
	o.Stale = max(cmp.Or(o.Stale, time.Hour), 0)
	o.CacheSize = cmp.Or(o.CacheSize, 1024)
	o.BackOff = cmp.Or(o.BackOff, 30*time.Second)
	if o.Seed == 0 {
		o.Seed = rand.Uint64()
	}
	if o.Logger == nil {
		o.Logger = zap.NewNop()
	}
}

// Target is one address to try.
type Target struct {
	Addr             netip.AddrPort
	Transport        string // "udp", "tcp" or "tls"
	Host             string // target of the SRV record, or the name itself; without the final dot
	Priority, Weight uint16
	TTL              time.Duration // how much longer the answer holds; 0 = it has expired and no server answers
}

// Resolver finds the targets of SIP names. Make it with New.
type Resolver struct {
	opt    Options
	client client
	health *health

	lookups, cached, failed, stale atomic.Uint64

	mu      sync.Mutex
	rand    *rand.Rand
	cache   *cache
	flights map[string]*flight
}

// flight is one look-up under way, for which others wait.
type flight struct {
	done  chan struct{}
	entry *entry // nil = given up
}

// New makes a Resolver. It fails when no DNS server is configured or one is not "host:port".
func New(opt Options) (*Resolver, error) {
	opt.setDefaults()
	servers := slices.Clone(opt.Servers)
	if len(servers) == 0 {
		conf, err := dns.ClientConfigFromFile(opt.ResolvConf)
		if err != nil {
			return nil, fmt.Errorf("no DNS servers configured and %s cannot be read: %w", opt.ResolvConf, err)
		}
		servers = conf.Servers[:min(len(conf.Servers), maxServers)]
	}
	if len(servers) == 0 {
		return nil, fmt.Errorf("no DNS servers configured and none in %s", opt.ResolvConf)
	}
	if len(servers) > maxServers {
		return nil, fmt.Errorf("%d DNS servers configured, at most %d are used", len(servers), maxServers)
	}
	for i, s := range servers {
		if host, port, err := net.SplitHostPort(s); err == nil && host != "" && port != "" {
			continue
		}
		if strings.Contains(s, ":") {
			if _, err := netip.ParseAddr(s); err != nil {
				return nil, fmt.Errorf("DNS server %q: want host:port", s)
			}
		}
		if s == "" {
			return nil, errors.New("DNS server is empty: want host:port")
		}
		servers[i] = net.JoinHostPort(s, "53")
	}
	return &Resolver{
		opt:     opt,
		client:  client{servers: servers, try: opt.TryTimeout},
		health:  newHealth(opt.BackOff),
		rand:    rand.New(rand.NewPCG(opt.Seed, 0)),
		cache:   newCache(max(opt.CacheSize, 1)),
		flights: map[string]*flight{},
	}, nil
}

// Stats is a snapshot of what a Resolver has done since it was made.
type Stats struct {
	Lookups     uint64 // asked for, those answered from the cache included
	Cached      uint64 // answered from the cache
	Failed      uint64 // that ended without a target
	Stale       uint64 // expired answers used because no server answered
	TargetsDown int    // targets that failed less than the back-off time ago, and are tried last
}

// Stats gives the counts; now says which targets still count as down.
func (r *Resolver) Stats(now time.Time) Stats {
	return Stats{
		Lookups: r.lookups.Load(), Cached: r.cached.Load(), Failed: r.failed.Load(), Stale: r.stale.Load(), TargetsDown: r.health.down(now),
	}
}

// Failed notes that a target did not take a call, so that it is tried last for the back-off time.
func (r *Resolver) Failed(addr netip.AddrPort, now time.Time) { r.health.fail(addr, now) }

// Worked notes that a target took a call and has its place back.
func (r *Resolver) Worked(addr netip.AddrPort) { r.health.work(addr) }

// Lookup returns the targets of a name for a transport ("udp", "tcp" or "tls") in the order to be tried: at least one when
// the error is nil. The errors are those of this package, or the context's when the caller gave up.
func (r *Resolver) Lookup(ctx context.Context, fqdn, transport string) ([]Target, error) {
	r.lookups.Add(1)
	targets, err := r.lookup(ctx, fqdn, transport)
	if err != nil {
		r.failed.Add(1)
	}
	return targets, err
}

func (r *Resolver) lookup(ctx context.Context, fqdn, transport string) ([]Target, error) {
	name, err := canonical(fqdn)
	if err != nil {
		return nil, err
	}
	if transport != "udp" && transport != "tcp" && transport != "tls" {
		return nil, fmt.Errorf("%w: %.20q", ErrTransport, transport)
	}
	caller := ctx
	ctx, cancel := context.WithTimeout(caller, r.opt.Timeout)
	defer cancel()
	key := transport + "/" + name
	for {
		now := time.Now()
		r.mu.Lock()
		if e := r.cache.get(key); e != nil && now.Before(e.expires) {
			r.mu.Unlock()
			r.cached.Add(1)
			return r.targets(e, transport, now)
		}
		f, joined := r.flights[key]
		if !joined {
			f = &flight{done: make(chan struct{})}
			r.flights[key] = f
		}
		r.mu.Unlock()
		if !joined {
			r.lead(ctx, caller, f, key, name, transport)
		}
		select {
		case <-f.done:
			if f.entry != nil {
				return r.targets(f.entry, transport, time.Now())
			}
			if caller.Err() != nil {
				return nil, fmt.Errorf("look-up of %s: %w", fqdn, caller.Err())
			}
		case <-ctx.Done():
			if caller.Err() != nil {
				return nil, fmt.Errorf("look-up of %s: %w", fqdn, caller.Err())
			}
			return nil, fmt.Errorf("look-up of %s: %w", fqdn, ErrServers)
		}
	}
}

// lead looks a name up for everybody who waits for it and keeps what it found.
func (r *Resolver) lead(ctx, caller context.Context, f *flight, key, name, transport string) {
	var e *entry
	defer func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		if e != nil {
			r.cache.put(e)
		}
		f.entry = e
		delete(r.flights, key)
		close(f.done)
	}()
	hosts, ttl, err := r.find(ctx, name, transport)
	if caller.Err() != nil {
		return // the caller has gone; that says nothing about the name
	}
	now := time.Now()
	fresh := &entry{key: key, hosts: hosts, expires: now.Add(ttl), stale: now.Add(ttl + r.opt.Stale)}
	if err != nil && len(hosts) == 0 {
		fresh.err = fmt.Errorf("look-up of %s: %w", strings.TrimSuffix(name, "."), err)
	}
	if fresh.err != nil && !errors.Is(err, ErrNotFound) && !errors.Is(err, ErrNoService) {
		r.reuse(fresh, now)
	}
	e = fresh
}

// reuse gives an entry that no server answered the hosts of the expired one before it, if that is not too old.
func (r *Resolver) reuse(e *entry, now time.Time) {
	r.mu.Lock()
	old := r.cache.get(e.key)
	r.mu.Unlock()
	if old == nil || len(old.hosts) == 0 || !now.Before(old.stale) {
		return
	}
	r.stale.Add(1)
	r.opt.Logger.Warn("using an expired DNS answer", zap.String("name", e.key), zap.Error(e.err))
	e.hosts, e.stale, e.err = old.hosts, old.stale, nil
}

// targets puts the hosts of an entry in the order to be tried now.
func (r *Resolver) targets(e *entry, transport string, now time.Time) ([]Target, error) {
	if e.err != nil {
		return nil, e.err
	}
	r.mu.Lock()
	hosts := draw(e.hosts, r.rand.IntN)
	r.mu.Unlock()
	targets := flatten(hosts, transport, max(e.expires.Sub(now), 0))
	r.health.arrange(targets, now)
	return targets, nil
}

// find asks the DNS for the hosts of a name. The duration says how long the result or the error holds.
func (r *Resolver) find(ctx context.Context, name, transport string) ([]host, time.Duration, error) {
	service, port := "_sip._"+transport+".", uint16(sipPort)
	if transport == "tls" {
		service, port = "_sips._tcp.", sipsPort // RFC 3263 section 4.2
	}
	srv, err := r.client.ask(ctx, question{service + name, dns.TypeSRV})
	if err != nil {
		return nil, failureTTL, err
	}
	if !srv.found() {
		set := r.addresses(ctx, []string{name})[name]
		if set.err != nil {
			return nil, set.ttl, set.err
		}
		return []host{{name: strings.TrimSuffix(name, "."), port: port, addrs: set.addrs}}, r.clamp(set.ttl), nil
	}
	records := make([]*dns.SRV, 0, len(srv.records))
	for _, rr := range srv.records {
		records = append(records, rr.(*dns.SRV))
	}
	if len(records) == 1 && records[0].Target == "." {
		return nil, r.errorTTL(ErrNoService, srv.ttl), ErrNoService
	}
	slices.SortStableFunc(records, func(a, b *dns.SRV) int { return cmp.Compare(a.Priority, b.Priority) })
	hosts, ttl, err := r.hosts(ctx, records[:min(len(records), maxHosts)])
	ttl = min(ttl, srv.ttl)
	if len(hosts) == 0 {
		return nil, r.errorTTL(err, ttl), err
	}
	return hosts, r.clamp(ttl), nil
}

// hosts looks up the targets of SRV records. Those without an address are left out; the error says why one of them has
// none, and is not ErrNotFound when it is because no server answered.
func (r *Resolver) hosts(ctx context.Context, records []*dns.SRV) ([]host, time.Duration, error) {
	var hosts []host
	var names []string
	var missing, failure error
	for _, rec := range records {
		name, err := canonical(rec.Target)
		if err == nil && rec.Port == 0 {
			err = errors.New("port 0")
		}
		if err != nil {
			missing = fmt.Errorf("%w: SRV target %.80q: %w", ErrNotFound, rec.Target, err)
			continue
		}
		hosts = append(hosts, host{name: strings.TrimSuffix(name, "."), port: rec.Port, priority: rec.Priority,
			weight: rec.Weight})
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	found := r.addresses(ctx, names)
	ttl := r.opt.MaxTTL
	for i := range hosts {
		got := found[hosts[i].name+"."]
		hosts[i].addrs = got.addrs
		ttl = min(ttl, max(got.ttl, r.opt.MinTTL))
		switch {
		case got.err == nil:
		case errors.Is(got.err, ErrNotFound):
			missing = got.err
		default:
			failure = got.err
		}
	}
	hosts = slices.DeleteFunc(hosts, func(h host) bool { return len(h.addrs) == 0 })
	if failure != nil {
		return hosts, failureTTL, failure
	}
	return hosts, ttl, missing
}

// addressSet is what the DNS says about the addresses of one host.
type addressSet struct {
	addrs []netip.Addr
	ttl   time.Duration
	err   error // why addrs is empty
}

// addresses looks up hosts by their canonical names: the A records of all of them, then the AAAA records, so that a
// server that is silent about one family leaves the other.
func (r *Resolver) addresses(ctx context.Context, names []string) map[string]addressSet {
	sets := map[string]addressSet{}
	failures := map[string]error{}
	for _, qtype := range []uint16{dns.TypeA, dns.TypeAAAA} {
		for _, name := range names {
			set := sets[name]
			got, err := r.client.ask(ctx, question{name, qtype})
			if err != nil {
				failures[name] = err
				continue
			}
			positive := len(set.addrs) > 0
			addrs := addressesOf(got.records)
			switch {
			case len(addrs) > 0 && positive:
				set.ttl = min(set.ttl, got.ttl)
			case len(addrs) > 0:
				set.ttl = got.ttl
			case !positive && !got.found() && got.ttl > 0 && (set.ttl == 0 || got.ttl < set.ttl):
				set.ttl = got.ttl
			}
			set.addrs = append(set.addrs, addrs...)
			sets[name] = set
		}
	}
	for _, name := range names {
		set := sets[name]
		switch failure := failures[name]; {
		case len(set.addrs) > 0:
		case failure != nil:
			set.err, set.ttl = failure, failureTTL
		default:
			set.err = fmt.Errorf("%w: %s", ErrNotFound, strings.TrimSuffix(name, "."))
			set.ttl = r.errorTTL(set.err, set.ttl)
		}
		sets[name] = set
	}
	return sets
}

// addressesOf takes the usable addresses out of A or AAAA records, at most maxAddrs.
func addressesOf(rrs []dns.RR) []netip.Addr {
	var out []netip.Addr
	for _, rr := range rrs {
		var ip net.IP
		switch rr := rr.(type) {
		case *dns.A:
			ip = rr.A
		case *dns.AAAA:
			ip = rr.AAAA
		}
		a, ok := netip.AddrFromSlice(ip)
		if a = a.Unmap(); ok && usable(a) && !slices.Contains(out, a) && len(out) < maxAddrs {
			out = append(out, a)
		}
	}
	return out
}

// clamp puts the TTL of a positive answer between floor and ceiling.
func (r *Resolver) clamp(ttl time.Duration) time.Duration {
	return min(max(ttl, r.opt.MinTTL), r.opt.MaxTTL)
}

// errorTTL says how long an error holds whose answer stated ttl (0 = it stated none).
func (r *Resolver) errorTTL(err error, ttl time.Duration) time.Duration {
	if !errors.Is(err, ErrNotFound) && !errors.Is(err, ErrNoService) {
		return failureTTL
	}
	if ttl <= 0 {
		return r.opt.NegativeTTL
	}
	return min(max(ttl, r.opt.MinTTL), max(r.opt.NegativeTTL, r.opt.MinTTL))
}
