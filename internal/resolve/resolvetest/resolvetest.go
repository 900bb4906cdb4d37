// Package resolvetest is a small authoritative DNS server on loopback whose records and faults are set while it runs.
//
// Tests and the lab use it as the operator's DNS: Serve it, Set the records of a name, point package resolve at Addr.
// It speaks UDP and TCP on one port. Names without records do not exist; the negative answers say NegativeTTL. A Server
// is safe for concurrent use; its goroutines end with Close, which waits for them.
//
//	dns, err := resolvetest.Serve("127.0.0.1:0")
//	err = dns.Set("_sip._udp.vm.example.net", "5 IN SRV 10 0 5091 a.example.net", "5 IN SRV 20 0 5092 b.example.net")
//	err = dns.Set("a.example.net", "5 IN A 127.0.0.1")
package resolvetest

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"

	"github.com/miekg/dns"
)

// NegativeTTL is the TTL in seconds of the answer that a name does not exist.
const NegativeTTL = 2

// Fault is how the server misbehaves for one name.
type Fault int

// The faults.
const (
	None      Fault = iota
	Silent          // no answer at all
	ServFail        // SERVFAIL
	Refused         // REFUSED
	Truncated       // truncated over UDP, whole over TCP
	OtherName       // the records come under the name evil.example
	Huge            // several hundred records
	NoEDNS          // FORMERR for a query with EDNS(0)
	Garbage         // bytes that are no DNS message
	Spoofed         // a datagram with a wrong ID comes first, then the true answer
)

// Server is a running DNS server.
type Server struct {
	addr    string
	servers []*dns.Server
	running sync.WaitGroup

	mu      sync.Mutex
	records map[string][]dns.RR
	faults  map[string]Fault
	asked   []string
}

// Serve starts a server on a loopback address such as "127.0.0.1:0", UDP and TCP on the same port.
func Serve(addr string) (*Server, error) {
	packet, listener, err := listen(addr)
	if err != nil {
		return nil, err
	}
	s := &Server{addr: packet.LocalAddr().String(), records: map[string][]dns.RR{}, faults: map[string]Fault{}}
	var started sync.WaitGroup
	for _, d := range []*dns.Server{{PacketConn: packet}, {Listener: listener}} {
		started.Add(1)
		d.Handler = dns.HandlerFunc(s.handle)
		d.NotifyStartedFunc = started.Done
		s.servers = append(s.servers, d)
		s.running.Go(func() { _ = d.ActivateAndServe() })
	}
	started.Wait()
	return s, nil
}

// listen opens both sockets on one port. With port 0 the port that UDP got may be taken in TCP, so it tries again.
func listen(addr string) (net.PacketConn, net.Listener, error) {
	var last error
	for range 20 {
		packet, err := net.ListenPacket("udp", addr)
		if err != nil {
			return nil, nil, fmt.Errorf("test DNS: %w", err)
		}
		listener, err := net.Listen("tcp", packet.LocalAddr().String())
		if err == nil {
			return packet, listener, nil
		}
		last = err
		_ = packet.Close()
	}
	return nil, nil, fmt.Errorf("test DNS: %w", last)
}

// Addr returns the "host:port" the server listens on.
func (s *Server) Addr() string { return s.addr }

// Close stops the server and waits for its goroutines.
func (s *Server) Close() error {
	var first error
	for _, d := range s.servers {
		if err := d.Shutdown(); err != nil && first == nil {
			first = err
		}
	}
	s.running.Wait()
	return first
}

// Set replaces all records of a name. A record is a line of a zone file without the name, for example
// "5 IN A 127.0.0.1"; no records = the name does not exist.
func (s *Server) Set(name string, records ...string) error {
	name = dns.CanonicalName(name)
	var rrs []dns.RR
	for _, r := range records {
		rr, err := dns.NewRR(name + " " + r)
		if err != nil {
			return fmt.Errorf("record %q: %w", r, err)
		}
		if rr == nil {
			return fmt.Errorf("record %q is empty", r)
		}
		rrs = append(rrs, rr)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.records[name] = rrs; len(rrs) == 0 {
		delete(s.records, name)
	}
	return nil
}

// Fault makes the server misbehave for a name; the name "" stands for all that have no fault of their own.
func (s *Server) Fault(name string, f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if name != "" {
		name = dns.CanonicalName(name)
	}
	s.faults[name] = f
}

// Asked returns the queries that arrived since the start or the last call, as "name TYPE network".
func (s *Server) Asked() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	asked := s.asked
	s.asked = nil
	return asked
}

func (s *Server) handle(w dns.ResponseWriter, query *dns.Msg) {
	if len(query.Question) != 1 {
		return
	}
	q := query.Question[0]
	name, network := dns.CanonicalName(q.Name), w.LocalAddr().Network()
	s.mu.Lock()
	s.asked = append(s.asked, strings.TrimSuffix(name, ".")+" "+dns.TypeToString[q.Qtype]+" "+network)
	fault, ok := s.faults[name]
	if !ok {
		fault = s.faults[""]
	}
	reply := new(dns.Msg).SetReply(query)
	reply.Authoritative = true
	s.answer(reply, name, q.Qtype)
	s.mu.Unlock()

	switch {
	case fault == Silent:
		return
	case fault == Garbage:
		_, _ = w.Write([]byte("not a DNS message"))
		return
	case fault == ServFail:
		reply = new(dns.Msg).SetRcode(query, dns.RcodeServerFailure)
	case fault == Refused:
		reply = new(dns.Msg).SetRcode(query, dns.RcodeRefused)
	case fault == NoEDNS && query.IsEdns0() != nil:
		reply = new(dns.Msg).SetRcode(query, dns.RcodeFormatError)
	case fault == Truncated && network == "udp":
		reply.Truncated, reply.Answer = true, nil
	case fault == OtherName:
		for _, rr := range reply.Answer {
			rr.Header().Name = "evil.example."
		}
	case fault == Huge:
		reply.Answer = huge(q)
	case fault == Spoofed:
		forged := reply.Copy()
		forged.Id++
		forged.Answer = nil
		_ = w.WriteMsg(forged)
	}
	if network == "udp" {
		size := dns.MinMsgSize
		if opt := query.IsEdns0(); opt != nil {
			size = int(opt.UDPSize())
		}
		reply.Truncate(size)
	}
	_ = w.WriteMsg(reply)
}

// answer fills in what the records say: the records of the type, or an alias and what stands behind it, or the
// authority section of a negative answer.
func (s *Server) answer(reply *dns.Msg, name string, qtype uint16) {
	for range 10 {
		rrs, exists := s.records[name]
		alias := ""
		for _, rr := range rrs {
			switch {
			case rr.Header().Rrtype == qtype:
				reply.Answer = append(reply.Answer, dns.Copy(rr))
			case rr.Header().Rrtype == dns.TypeCNAME:
				reply.Answer = append(reply.Answer, dns.Copy(rr))
				alias = dns.CanonicalName(rr.(*dns.CNAME).Target)
			}
		}
		if alias == "" {
			if n := len(reply.Answer); n == 0 || reply.Answer[n-1].Header().Rrtype != qtype {
				soa, _ := dns.NewRR(fmt.Sprintf(". %d IN SOA ns.invalid. root.invalid. 1 1 1 1 %d", NegativeTTL, NegativeTTL))
				reply.Ns = []dns.RR{soa}
				if !exists {
					reply.Rcode = dns.RcodeNameError
				}
			}
			return
		}
		if _, here := s.records[alias]; !here && !slices.ContainsFunc(reply.Answer, func(rr dns.RR) bool {
			return rr.Header().Rrtype == qtype
		}) {
			return // left to be asked, as a server does that does not serve the alias's zone
		}
		name = alias
	}
}

func huge(q dns.Question) []dns.RR {
	var out []dns.RR
	for i := range 400 {
		rr, err := dns.NewRR(fmt.Sprintf("%s 5 IN SRV 1 1 5060 host-number-%d.example.net.", q.Name, i))
		if err == nil {
			out = append(out, rr)
		}
	}
	return out
}
