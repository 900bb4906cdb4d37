package resolve

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// request is what a look-up is for; name is canonical.
type request struct {
	name      string
	port      uint16 // 0 = the DNS says
	transport string // "" = the DNS says
}

func (q request) key() string { return fmt.Sprintf("%s/%s:%d", q.transport, q.name, q.port) }

// find asks the DNS for the hosts of a name (RFC 3263 section 4). The duration says how long the result or the error holds.
func (r *Resolver) find(ctx context.Context, q request) ([]host, time.Duration, error) {
	if q.port != 0 { // whoever names a port names a host
		return r.direct(ctx, q, q.port)
	}
	services := r.services(ctx, q.name, q.transport)
	if hosts, ttl, err := r.offered(ctx, services); len(hosts) > 0 || err != nil {
		return r.settled(hosts, ttl, err)
	}
	var refused error // by the SRV record that says so
	var holds time.Duration
	for _, usual := range usualServices(q.name, q.transport) {
		if slices.ContainsFunc(services, func(s service) bool { return s.name == usual.name }) {
			continue
		}
		srv, err := r.client.ask(ctx, question{usual.name, dns.TypeSRV}, maxRounds)
		if err != nil {
			return nil, failureTTL, err
		}
		if !srv.found() {
			continue
		}
		hosts, ttl, err := r.behind(ctx, usual, srv)
		if !errors.Is(err, ErrNoService) {
			return r.settled(hosts, ttl, err)
		}
		refused, holds = err, ttl
	}
	if refused != nil {
		return r.settled(nil, holds, refused)
	}
	port := uint16(sipPort)
	if q.transport == "tls" {
		port = sipsPort
	}
	return r.direct(ctx, q, port)
}

// settled bounds how long hosts or an error hold.
func (r *Resolver) settled(hosts []host, ttl time.Duration, err error) ([]host, time.Duration, error) {
	if len(hosts) == 0 {
		return nil, r.errorTTL(err, ttl), err
	}
	return hosts, r.clamp(ttl), nil
}

// direct looks the name itself up.
func (r *Resolver) direct(ctx context.Context, q request, port uint16) ([]host, time.Duration, error) {
	set := r.addresses(ctx, []string{q.name})[q.name]
	if set.err != nil {
		return nil, set.ttl, set.err
	}
	return []host{{name: strings.TrimSuffix(q.name, "."), transport: q.transport, port: port, addrs: set.addrs}}, r.clamp(set.ttl), nil
}

// offered asks for the SRV records of all services that NAPTR records name, and keeps the services' order. A service whose
// records are missing leaves the others.
func (r *Resolver) offered(ctx context.Context, services []service) ([]host, time.Duration, error) {
	var all []host
	var last error
	low := r.opt.MaxTTL
	for rank, s := range services {
		srv, err := r.client.ask(ctx, question{s.name, dns.TypeSRV}, maxRounds)
		if err != nil {
			last = err
			continue
		}
		if !srv.found() {
			continue
		}
		hosts, ttl, err := r.behind(ctx, s, srv)
		if err != nil && last == nil {
			last = err
		}
		for i := range hosts {
			hosts[i].rank = rank
		}
		if len(hosts) > 0 {
			low = min(low, ttl, s.ttl)
		}
		all = append(all, hosts...)
	}
	if len(all) == 0 {
		return nil, 0, last
	}
	return all[:min(len(all), maxHosts)], low, nil
}

// behind looks up what the SRV records of a service name. Without hosts the error says why.
func (r *Resolver) behind(ctx context.Context, s service, srv reading) ([]host, time.Duration, error) {
	records := make([]*dns.SRV, 0, len(srv.records))
	for _, rr := range srv.records {
		records = append(records, rr.(*dns.SRV))
	}
	if len(records) == 1 && records[0].Target == "." {
		return nil, srv.ttl, ErrNoService
	}
	slices.SortStableFunc(records, func(a, b *dns.SRV) int { return cmp.Compare(a.Priority, b.Priority) })
	hosts, ttl, err := r.hosts(ctx, records[:min(len(records), maxHosts)])
	for i := range hosts {
		hosts[i].transport = s.transport
	}
	return hosts, min(ttl, srv.ttl), err
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
			got, err := r.client.ask(ctx, question{name, qtype}, maxRounds)
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
