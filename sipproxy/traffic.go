package sipproxy

import (
	"cmp"
	"slices"
	"sync"
	"sync/atomic"
)

// countedMethods are the methods that are counted by name; any other one is "other", whatever a peer writes.
var countedMethods = [...]string{"INVITE", "ACK", "CANCEL", "BYE", "OPTIONS", "REGISTER", "SUBSCRIBE", "NOTIFY", "INFO", "UPDATE", "PRACK", "REFER", "MESSAGE", "PUBLISH", "other"}

var countedNetworks = [...]string{"udp", "tcp", "tls", "ws", "wss"}

// devices is the name under which INVITEs to devices are counted, all together.
const devices = "devices"

// MethodCount is what came of one method by one transport since New, and how it was answered.
type MethodCount struct {
	Method    string // in capitals, or "other"
	Transport string // "udp", "tcp", "tls", "ws" or "wss"
	Requests  uint64 // of peers, those that came again included
	// Answers counts final responses by their hundreds, Answers[2] those of 200 to 299. A response that is sent again is not counted.
	Answers [7]uint64
}

// HopCount is what became of the INVITEs sent to one peer since New.
type HopCount struct {
	Name   string // of the configured peer; "devices" for all devices together
	Sent   uint64
	Failed uint64 // no answer in time, 503, 408, or nobody took them
}

// traffic counts requests by method and transport, and INVITEs by hop.
type traffic struct {
	requests [len(countedMethods)][len(countedNetworks)]atomic.Uint64
	answers  [len(countedMethods)][len(countedNetworks)][7]atomic.Uint64

	mu   sync.Mutex
	hops map[string]*HopCount // by name
}

func trafficIndex(method, network string) (m, n int) {
	if m = slices.Index(countedMethods[:], method); m < 0 {
		m = len(countedMethods) - 1
	}
	return m, max(0, slices.Index(countedNetworks[:], network))
}

func (t *traffic) request(method, network string) {
	m, n := trafficIndex(method, network)
	t.requests[m][n].Add(1)
}

func (t *traffic) answer(method, network string, code int) {
	if code >= 200 && code < 700 {
		m, n := trafficIndex(method, network)
		t.answers[m][n][code/100].Add(1)
	}
}

// hop changes the counts of a hop.
func (t *traffic) hop(to Hop, change func(*HopCount)) {
	name := to.Name
	switch {
	case to.flow != nil:
		name = devices
	case to.outside:
		name = outsidePeer.Name // one name for all domains
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.hops == nil {
		t.hops = map[string]*HopCount{}
	}
	h := t.hops[name]
	if h == nil {
		h = &HopCount{Name: name}
		t.hops[name] = h
	}
	change(h)
}

// Methods gives the counts of every method and transport that has come.
func (p *Proxy) Methods() []MethodCount {
	var out []MethodCount
	for m, method := range countedMethods {
		for n, network := range countedNetworks {
			c := MethodCount{Method: method, Transport: network, Requests: p.traffic.requests[m][n].Load()}
			for class := range c.Answers {
				c.Answers[class] = p.traffic.answers[m][n][class].Load()
			}
			if c.Requests > 0 {
				out = append(out, c)
			}
		}
	}
	return out
}

// Hops gives the counts of every peer that an INVITE was sent to, by name.
func (p *Proxy) Hops() []HopCount {
	p.traffic.mu.Lock()
	defer p.traffic.mu.Unlock()
	var out []HopCount
	for _, h := range p.traffic.hops {
		out = append(out, *h)
	}
	slices.SortFunc(out, func(a, b HopCount) int { return cmp.Compare(a.Name, b.Name) })
	return out
}
