package resolve

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
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
	staleShare = 4  // of Timeout is waited where there is an old answer
	maxHosts   = 16 // SRV records used of one name, those of the lowest priorities
	maxAddrs   = 8  // addresses used of one host

	failureTTL = 2 * time.Second  // how long "no server answered" holds, so that a call does not wait for it again
	staleTTL   = 10 * time.Second // the same when there is an old answer to go on with (RFC 8767 section 5)
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
	// AllowLoopback lets names lead to 127.0.0.0/8 and ::1, as in a lab. Otherwise such an address is refused: who rules over the
	// DNS of a voicemail system is not to reach what listens on this machine for this machine alone.
	AllowLoopback bool
	// Own says whether an address is a listener of this process, to which no name may lead. nil = none is.
	Own func(addr netip.AddrPort) bool
	// CacheSize bounds the names kept; 0 = 1024. The one not used for longest is dropped.
	CacheSize int
	// Health remembers how targets did, also for other resolvers; nil = one of its own without probes.
	Health *Health
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
	if o.Seed == 0 {
		o.Seed = rand.Uint64()
	}
	if o.Logger == nil {
		o.Logger = zap.NewNop()
	}
	if o.Health == nil {
		o.Health = NewHealth(HealthOptions{Logger: o.Logger})
	}
}

// Target is one address to try.
type Target struct {
	Name             string // as asked, without the final dot
	Addr             netip.AddrPort
	Transport        string // "udp", "tcp" or "tls"; "" = the caller did not say, nor did the DNS: UDP is usual
	Host             string // target of the SRV record, or the name itself; without the final dot
	Priority, Weight uint16
	TTL              time.Duration // how much longer the answer holds
}

// Resolver finds the targets of SIP names. Make it with New.
type Resolver struct {
	opt    Options
	client client

	lookups, cached, failed, stale, refused atomic.Uint64

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
		rand:    rand.New(rand.NewPCG(opt.Seed, 0)),
		cache:   newCache(max(opt.CacheSize, 1)),
		flights: map[string]*flight{},
	}, nil
}

// Stats is a snapshot of what a Resolver has done since it was made.
type Stats struct {
	Lookups uint64 // asked for, those answered from the cache included
	Cached  uint64 // answered from the cache
	Failed  uint64 // that ended without a target
	Stale   uint64 // expired answers used because no server answered
	Refused uint64 // addresses left out because they are this machine's own
}

// Stats gives the counts.
func (r *Resolver) Stats() Stats {
	return Stats{
		Lookups: r.lookups.Load(), Cached: r.cached.Load(), Failed: r.failed.Load(), Stale: r.stale.Load(), Refused: r.refused.Load(),
	}
}

// Failed notes that a target did not take a call.
func (r *Resolver) Failed(t Target, now time.Time) { r.opt.Health.Failed(t, now) }

// Worked notes that a target took a call.
func (r *Resolver) Worked(t Target, now time.Time) { r.opt.Health.Worked(t, now) }

// Lookup returns the targets of a name for a transport ("udp", "tcp", "tls", or "" for what the DNS says of UDP and TCP) in the
// order to be tried: at least one when the error is nil. The errors are those of this package, or the context's when the
// caller gave up.
func (r *Resolver) Lookup(ctx context.Context, fqdn, transport string) ([]Target, error) {
	return r.counted(r.lookup(ctx, fqdn, 0, transport, r.ranked))
}

// Find returns all targets of a name by service and priority, for somebody who draws by weight and watches over them himself. A
// name with a port is asked for its addresses alone (RFC 3263 section 4.2); 0 = it has none. Otherwise it is as Lookup.
func (r *Resolver) Find(ctx context.Context, fqdn string, port uint16, transport string) ([]Target, error) {
	return r.counted(r.lookup(ctx, fqdn, port, transport, r.plain))
}

func (r *Resolver) counted(targets []Target, err error) ([]Target, error) {
	r.lookups.Add(1)
	if err != nil {
		r.failed.Add(1)
	}
	return targets, err
}

// lookup finds the entry of a name and gives what finish makes of it.
func (r *Resolver) lookup(ctx context.Context, fqdn string, port uint16, transport string, finish func(*entry, time.Time) ([]Target, error)) ([]Target, error) {
	name, err := canonical(fqdn)
	if err != nil {
		return nil, err
	}
	if !slices.Contains([]string{"", "udp", "tcp", "tls"}, transport) {
		return nil, fmt.Errorf("%w: %.20q", ErrTransport, transport)
	}
	q := request{name, port, transport}
	key := q.key()
	caller := ctx
	ctx, cancel := context.WithTimeout(caller, r.opt.Timeout)
	defer cancel()
	for {
		now := time.Now()
		r.mu.Lock()
		e := r.cache.get(key)
		if e != nil {
			e.used = now
		}
		if e != nil && now.Before(e.expires) {
			r.mu.Unlock()
			r.cached.Add(1)
			return finish(e, now)
		}
		f, joined := r.flights[key]
		if !joined {
			f = &flight{done: make(chan struct{})}
			r.flights[key] = f
		}
		r.mu.Unlock()
		if !joined {
			longest := r.opt.Timeout
			if e.usableAt(now) { // nobody waits long for a better answer than the old one
				longest /= staleShare
			}
			r.lead(ctx, caller, longest, f, q)
		}
		select {
		case <-f.done:
			if f.entry != nil {
				return finish(f.entry, time.Now())
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
func (r *Resolver) lead(ctx, caller context.Context, longest time.Duration, f *flight, q request) {
	var e *entry
	defer func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		if e != nil {
			r.cache.put(e)
		}
		f.entry = e
		delete(r.flights, q.key())
		close(f.done)
	}()
	ctx, cancel := context.WithTimeout(ctx, longest)
	defer cancel()
	hosts, ttl, err := r.find(ctx, q)
	if caller.Err() != nil {
		return // the caller has gone; that says nothing about the name
	}
	now := time.Now()
	fresh := &entry{key: q.key(), name: strings.TrimSuffix(q.name, "."), hosts: hosts, expires: now.Add(ttl), stale: now.Add(ttl + r.opt.Stale), used: now}
	if err != nil && len(hosts) == 0 {
		fresh.err = fmt.Errorf("look-up of %s: %w", fresh.name, err)
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
	if !old.usableAt(now) {
		return
	}
	r.stale.Add(1)
	r.opt.Logger.Warn("using an expired DNS answer", zap.String("name", e.key), zap.Error(e.err))
	e.hosts, e.stale, e.err, e.expires = old.hosts, old.stale, nil, now.Add(staleTTL)
}

// ranked puts the hosts of an entry in the order to be tried now.
func (r *Resolver) ranked(e *entry, now time.Time) ([]Target, error) {
	r.mu.Lock()
	hosts := draw(e.hosts, r.rand.IntN)
	r.mu.Unlock()
	targets, err := r.permitted(e, hosts, now)
	r.opt.Health.arrange(targets, now)
	return targets, err
}

// plain gives the hosts of an entry by service and priority.
func (r *Resolver) plain(e *entry, now time.Time) ([]Target, error) {
	hosts := slices.Clone(e.hosts)
	slices.SortStableFunc(hosts, func(a, b host) int {
		return cmp.Or(cmp.Compare(a.rank, b.rank), cmp.Compare(a.priority, b.priority))
	})
	return r.permitted(e, hosts, now)
}

// permitted makes targets of hosts, without those that no name may lead to.
func (r *Resolver) permitted(e *entry, hosts []host, now time.Time) ([]Target, error) {
	if e.err != nil {
		return nil, e.err
	}
	all := flatten(hosts, e.name, max(e.expires.Sub(now), 0))
	var refused netip.Addr
	targets := slices.DeleteFunc(all, func(t Target) bool {
		if r.refuses(t.Addr) {
			refused = t.Addr.Addr()
			r.refused.Add(1)
			return true
		}
		return false
	})
	if len(targets) == 0 {
		return nil, fmt.Errorf("look-up of %s: %w: %s (dns.allow_loopback permits loopback, but never our own listeners)", e.name, ErrRefused, refused)
	}
	return targets, nil
}

// refuses reports whether no name may lead to an address.
func (r *Resolver) refuses(a netip.AddrPort) bool {
	return a.Addr().IsLoopback() && !r.opt.AllowLoopback || r.opt.Own != nil && r.opt.Own(a)
}

// recently is how long a name that nobody asks for any more is reported.
const recently = 10 * time.Minute

// Name is how a name does that calls asked for lately.
type Name struct {
	Name string
	Up   bool // it leads to a target that takes calls, as far as is known
}

// Names reports the names that were asked for lately, in alphabetical order, at most n.
func (r *Resolver) Names(now time.Time, n int) []Name {
	r.mu.Lock()
	up := map[string]bool{}
	for _, item := range r.cache.items {
		e := item.Value.(*entry)
		if now.Sub(e.used) > recently {
			continue
		}
		up[e.name] = up[e.name] || slices.ContainsFunc(flatten(e.hosts, e.name, 0), func(t Target) bool {
			return !r.refuses(t.Addr) && r.opt.Health.takes(t, now)
		})
	}
	r.mu.Unlock()
	var out []Name
	for _, name := range slices.Sorted(maps.Keys(up)) {
		if len(out) < n {
			out = append(out, Name{name, up[name]})
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
