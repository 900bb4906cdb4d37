package resolve

import (
	"cmp"
	"net/netip"
	"slices"
	"time"
)

// host is one SRV record with the addresses of its target, or the name itself when it has no SRV records.
type host struct {
	name             string // without the final dot
	transport        string // "" = the DNS says nothing, and UDP is usual
	rank             int    // of its service among those of the name's NAPTR records
	port             uint16
	priority, weight uint16
	addrs            []netip.Addr // IPv4 first, each family in the order of the answer
}

// draw orders hosts by their service and priority, and hosts of one priority by the weighted random draw of RFC 2782. intn returns a
// random number from 0 to n-1. The given slice stays as it is.
func draw(hosts []host, intn func(n int) int) []host {
	left := slices.Clone(hosts)
	// Within a priority those of weight 0 come first, as RFC 2782 wants before the running sums are made.
	slices.SortStableFunc(left, func(a, b host) int {
		return cmp.Or(cmp.Compare(a.rank, b.rank), cmp.Compare(a.priority, b.priority), cmp.Compare(min(a.weight, 1), min(b.weight, 1)))
	})
	out := make([]host, 0, len(left))
	for len(left) > 0 {
		group, sum := 0, 0
		for group < len(left) && left[group].rank == left[0].rank && left[group].priority == left[0].priority {
			sum += int(left[group].weight)
			group++
		}
		pick, at := intn(sum+1), 0
		for running := int(left[0].weight); running < pick && at < group-1; running += int(left[at].weight) {
			at++
		}
		out = append(out, left[at])
		left = slices.Delete(left, at, at+1)
	}
	return out
}

// flatten makes targets of hosts, one per address.
func flatten(hosts []host, name string, ttl time.Duration) []Target {
	var out []Target
	for _, h := range hosts {
		for _, a := range h.addrs {
			out = append(out, Target{Name: name, Addr: netip.AddrPortFrom(a, h.port), Transport: h.transport, Host: h.name,
				Priority: h.priority, Weight: h.weight, TTL: ttl})
		}
	}
	return out
}

// usable reports whether an INVITE can be sent to the address at all. 0.0.0.0/8 and 240.0.0.0/4 are nobody's (RFC 6890).
func usable(a netip.Addr) bool {
	if a.Is4() {
		if first := a.As4()[0]; first == 0 || first >= 240 {
			return false
		}
	}
	return a.IsValid() && !a.IsUnspecified() && !a.IsMulticast() && !a.IsLinkLocalUnicast()
}
