package resolve

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// The bounds on what one answer and one question may cost.
const (
	maxAnswerBytes   = 16 << 10 // of one answer over TCP; over UDP it is udpBytes
	udpBytes         = 1232     // offered by EDNS(0): fits every path without fragments
	maxAnswerRecords = 128      // records in the answer section
	maxAliases       = 8        // CNAMEs followed from one name
)

// Errors of Lookup. They are wrapped with the name and what was asked.
var (
	// ErrName means that the name is not a host name with at least two labels.
	ErrName = errors.New("not a fully qualified host name")
	// ErrTransport means that the transport is none of "udp", "tcp", "tls" and "".
	ErrTransport = errors.New("transport is none of udp, tcp and tls")
	// ErrNotFound means that the DNS has no usable SRV, A or AAAA record for the name.
	ErrNotFound = errors.New("no address in the DNS")
	// ErrNoService means that the SRV record says "." : this service is decidedly not offered (RFC 2782).
	ErrNoService = errors.New("the DNS says the service is not offered")
	// ErrRefused means that all addresses of the name are ones that it must not lead to: this machine's loopback, or a listener of
	// this process.
	ErrRefused = errors.New("the name leads to this machine itself")
	// ErrLoop means that aliases lead back to themselves, or on for too long.
	ErrLoop = errors.New("alias loop in the DNS")
	// ErrLie means that a server answered for another name than the one asked.
	ErrLie = errors.New("the answer is for another name")
	// ErrTooLarge means that an answer exceeds the bounds of this package.
	ErrTooLarge = errors.New("the answer is too large")
	// ErrServers means that no DNS server gave a usable answer in time. Check the dns.servers of the configuration.
	ErrServers = errors.New("no usable answer from any DNS server")
)

// question is one name and type, the name in canonical form: lower case, with the final dot.
type question struct {
	name  string
	qtype uint16
}

func (q question) String() string { return q.name + " " + dns.TypeToString[q.qtype] }

// reading is what one answer says about one question.
type reading struct {
	records []dns.RR      // of the asked type, at the end of the aliases
	ttl     time.Duration // lowest of all records used; of a negative answer its negative TTL, 0 = not stated
	alias   string        // not empty: the answer ends with an alias to this name, which is to be asked next
}

// found reports whether the question has records.
func (r reading) found() bool { return len(r.records) > 0 }

// answers reports whether a message is a response to the question at all.
func answers(m *dns.Msg, id uint16, q question) bool {
	return m.Response && m.Id == id && m.Opcode == dns.OpcodeQuery && len(m.Question) == 1 &&
		m.Question[0].Qtype == q.qtype && m.Question[0].Qclass == dns.ClassINET &&
		dns.CanonicalName(m.Question[0].Name) == q.name
}

// read takes from a response what it says about the question, and nothing else.
func read(m *dns.Msg, q question) (reading, error) {
	if m.Rcode != dns.RcodeSuccess && m.Rcode != dns.RcodeNameError {
		return reading{}, fmt.Errorf("%w: server says %s", ErrServers, dns.RcodeToString[m.Rcode])
	}
	if len(m.Answer) > maxAnswerRecords {
		return reading{}, fmt.Errorf("%w: %d records", ErrTooLarge, len(m.Answer))
	}
	name := q.name
	chain := map[string]bool{name: true}
	low := ^uint32(0)
	for {
		records, ttl := ofType(m.Answer, name, q.qtype)
		if len(records) > 0 {
			return reading{records: records, ttl: seconds(min(low, ttl))}, nil
		}
		aliases, ttl := ofType(m.Answer, name, dns.TypeCNAME)
		if len(aliases) == 0 {
			break
		}
		low = min(low, ttl)
		name = dns.CanonicalName(aliases[0].(*dns.CNAME).Target)
		if chain[name] || len(chain) > maxAliases {
			return reading{}, fmt.Errorf("%w at %s", ErrLoop, name)
		}
		chain[name] = true
	}
	ttl, stated := negativeTTL(m.Ns, name)
	if name != q.name && m.Rcode == dns.RcodeSuccess && !stated {
		return reading{alias: name, ttl: seconds(low)}, nil
	}
	for _, rr := range m.Answer {
		if h := rr.Header(); h.Rrtype == q.qtype && !chain[dns.CanonicalName(h.Name)] {
			return reading{}, fmt.Errorf("%w: asked for %s, answered for %s", ErrLie, q.name, h.Name)
		}
	}
	if stated {
		return reading{ttl: seconds(min(low, ttl))}, nil
	}
	return reading{}, nil
}

// ofType returns the records of one owner and type, and their lowest TTL.
func ofType(rrs []dns.RR, owner string, rrtype uint16) ([]dns.RR, uint32) {
	var out []dns.RR
	low := ^uint32(0)
	for _, rr := range rrs {
		h := rr.Header()
		if h.Rrtype == rrtype && h.Class == dns.ClassINET && dns.CanonicalName(h.Name) == owner {
			out = append(out, rr)
			low = min(low, h.Ttl)
		}
	}
	return out, low
}

// negativeTTL returns how long a negative answer holds (RFC 2308 section 5), if the answer says so.
func negativeTTL(authority []dns.RR, name string) (ttl uint32, stated bool) {
	for _, rr := range authority {
		if soa, ok := rr.(*dns.SOA); ok && dns.IsSubDomain(dns.CanonicalName(soa.Hdr.Name), name) {
			return min(soa.Hdr.Ttl, soa.Minttl), true
		}
	}
	return 0, false
}

func seconds(ttl uint32) time.Duration { return time.Duration(ttl) * time.Second }

// canonical checks a host name and returns it in the form it is asked for: lower case, with the final dot.
func canonical(name string) (string, error) {
	trimmed := strings.TrimSuffix(name, ".")
	if len(trimmed) == 0 || len(trimmed) > 253 {
		return "", fmt.Errorf("%w: %d characters", ErrName, len(trimmed))
	}
	labels := strings.Split(trimmed, ".")
	for _, l := range labels {
		if !hostLabel(l) {
			return "", fmt.Errorf("%w: %.80q", ErrName, name)
		}
	}
	last := labels[len(labels)-1]
	if len(labels) < 2 || strings.Trim(last, "0123456789") == "" {
		return "", fmt.Errorf("%w: %.80q", ErrName, name)
	}
	return strings.ToLower(trimmed) + ".", nil
}

// hostLabel reports whether s is one label of a host name (RFC 1123 section 2.1).
func hostLabel(s string) bool {
	if len(s) == 0 || len(s) > 63 || s[0] == '-' || s[len(s)-1] == '-' {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return true
}
