package sipproxy

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"
)

// A flow is the way to a device behind its NAT (RFC 5626): a connection, or an address seen by UDP. FreeSWITCH keeps the flow in the
// Path of a registration and in the Record-Route of a dialog, as a token that only the proxy can write; the proxy itself remembers
// of a flow only until when it is registered. A token outlives a restart: by UDP it leads where it led, a connection is gone with
// the proxy that held it.

// flowRef leads to a device, or to a system that a node called by its domain.
type flowRef struct {
	outside *Hop
	token   string
	lis     *listener
	conn    *conn // nil is UDP
	addr    netip.AddrPort
}

// sends reports whether a packet came along this flow.
func (f *flowRef) sends(pk *packet) bool {
	return f.outside == nil && pk.lis == f.lis && pk.conn == f.conn && (f.conn != nil || pk.src == f.addr)
}

const (
	flowVersion = 1 // of a device
	// remoteVersion marks the token of a system that a node called by its domain.
	remoteVersion = 2
	flowMAC       = 12 // bytes kept of the HMAC
	minFlowKey    = 32
)

// flowState is what a token turned out to be.
type flowState int

const (
	flowNone   flowState = iota // no token, or not one of ours
	flowGone                    // its connection has ended
	flowOpen                    // there
	flowForged                  // looks like one, and is not signed by us
)

// flowToken writes the flow a packet came on into a user part.
func (p *Proxy) flowToken(pk *packet) string {
	b := []byte{flowVersion, byte(pk.lis.index)}
	id := uint64(0)
	if pk.conn != nil {
		id = pk.conn.id
	}
	b = binary.BigEndian.AppendUint64(b, id)
	addr, _ := pk.src.MarshalBinary()
	b = append(b, addr...)
	return base64.RawURLEncoding.EncodeToString(append(b, p.flowSum(b)...))
}

func (p *Proxy) flowSum(b []byte) []byte {
	mac := hmac.New(sha256.New, p.opt.FlowKey)
	_, _ = mac.Write(b)
	return mac.Sum(nil)[:flowMAC]
}

// flow reads a token.
func (p *Proxy) flow(token string) (*flowRef, flowState) {
	if token == "" || len(p.opt.FlowKey) == 0 {
		return nil, flowNone
	}
	if h := p.remote(token); h != nil {
		return &flowRef{token: token, outside: h, addr: h.Addr}, flowOpen
	}
	b, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil || len(b) < 10+6+flowMAC || b[0] != flowVersion {
		return nil, flowForged
	}
	body, sum := b[:len(b)-flowMAC], b[len(b)-flowMAC:]
	if !hmac.Equal(sum, p.flowSum(body)) {
		return nil, flowForged
	}
	var addr netip.AddrPort
	if int(body[1]) >= len(p.lis) || !p.lis[body[1]].devices || addr.UnmarshalBinary(body[10:]) != nil {
		return nil, flowGone
	}
	f := &flowRef{token: token, lis: p.lis[body[1]], addr: addr}
	if id := binary.BigEndian.Uint64(body[2:]); id != 0 {
		if f.conn = p.conns.byID(id); f.conn == nil {
			return nil, flowGone
		}
	} else if f.lis.network != "udp" {
		return nil, flowGone
	}
	return f, flowOpen
}

// sender is what judge knows of the flow a request came on; the zero sender knows of none.
type sender struct {
	pk         *packet
	registered bool
	permit     string // of a node: the TargetHeader
	p          *Proxy // nil = there are no flows
}

func (s sender) find(token string) (*flowRef, flowState) {
	if s.p == nil {
		return nil, flowNone
	}
	return s.p.flow(token)
}

func (p *Proxy) senderOf(pk *packet, permit string) sender {
	s := sender{pk: pk, p: p}
	if p.opt.Outbound != nil {
		s.permit = permit
	}
	if pk.peer != nil && pk.peer.Kind == Device {
		s.registered = p.flows.has(keyOf(pk), pk.at)
	}
	return s
}

// registered are the flows on which somebody is registered, so far as the answers to REGISTER tell. Bounded by
// Limits.MaxFlows; beyond, a device can be called but makes no calls.
type registered struct {
	mu    sync.Mutex
	limit int
	flows map[flowKey]*registration
	swept time.Time
}

// flowKey names a flow for as long as it lives.
type flowKey struct {
	lis  *listener
	conn uint64
	addr netip.AddrPort
}

func keyOf(pk *packet) flowKey {
	if pk.conn != nil {
		return pk.conn.flowKey()
	}
	return flowKey{lis: pk.lis, addr: pk.src}
}

// registration holds until when each address-of-record of a flow is registered.
type registration struct{ until map[string]time.Time }

// maxAORs bounds the addresses-of-record of one flow.
const maxAORs = 64

// set notes that an address-of-record is registered for so long, or, with 0, no more. False means that there is no room.
func (r *registered) set(k flowKey, aor string, d time.Duration, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.flows == nil {
		r.flows = make(map[flowKey]*registration)
	}
	reg := r.flows[k]
	if d <= 0 {
		if reg != nil {
			delete(reg.until, aor)
			if len(reg.until) == 0 {
				delete(r.flows, k)
			}
		}
		return true
	}
	if reg == nil {
		if len(r.flows) >= r.limit {
			r.sweep(now)
			if len(r.flows) >= r.limit {
				return false
			}
		}
		reg = &registration{until: make(map[string]time.Time, 1)}
		r.flows[k] = reg
	}
	if _, known := reg.until[aor]; !known && len(reg.until) >= maxAORs {
		return false
	}
	reg.until[aor] = now.Add(d)
	return true
}

// has reports whether anybody is registered on a flow.
func (r *registered) has(k flowKey, now time.Time) bool { return r.left(k, now) > 0 }

// left is for how long somebody will be registered on a flow; 0 is nobody.
func (r *registered) left(k flowKey, now time.Time) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	reg := r.flows[k]
	if reg == nil {
		return 0
	}
	var left time.Duration
	for _, until := range reg.until {
		left = max(left, until.Sub(now))
	}
	if left <= 0 {
		delete(r.flows, k)
	}
	return left
}

// drop forgets a connection that has ended.
func (r *registered) drop(k flowKey) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.flows, k)
}

// foundTime is for how long a flow counts as registered because a node reached somebody there.
const foundTime = time.Hour

// found notes that whoever is at the end of a flow by UDP answers a node's first request to him: a node knows a flow only of who is registered
// there. That is how a proxy that was just started learns who may call before he registers anew.
func (l *leg) found() {
	f := l.hop.flow
	if f == nil || f.outside != nil || f.conn != nil || l.sent == nil || l.state != legCalling {
		return
	}
	if to, err := parseAddress(l.sent.get("to")); err != nil || to.Tag() != "" {
		return
	}
	flows, k, now := &l.shard.p.flows, flowKey{lis: f.lis, addr: f.addr}, l.shard.now
	if !flows.has(k, now) {
		flows.set(k, "", foundTime, now)
	}
}

// sweep is called with mu held; at most once a second it looks at every flow.
func (r *registered) sweep(now time.Time) {
	if now.Sub(r.swept) < time.Second {
		return
	}
	r.swept = now
	for k, reg := range r.flows {
		live := false
		for _, until := range reg.until {
			live = live || now.Before(until)
		}
		if !live {
			delete(r.flows, k)
		}
	}
}

// registerExpires reads from a 2xx to REGISTER how long the flow's binding holds: the longest of the Contacts that were asked for,
// because the answer lists everybody's (RFC 3261 section 10.3). ok false means that the request was a mere query.
func registerExpires(req, res *message) (d time.Duration, ok bool) {
	asked := SplitList(req.all("contact"))
	if len(asked) == 0 {
		return 0, false
	}
	longest := 0
	for _, s := range SplitList(res.all("contact")) {
		got, err := parseAddress(s)
		if err != nil {
			continue
		}
		for _, a := range asked {
			want, err := parseAddress(a)
			if err != nil || got.User != want.User || got.Host != want.Host || got.Port != want.Port {
				continue
			}
			longest = max(longest, contactExpires(got, res))
		}
	}
	if longest == 0 && !unregisters(req, asked) && res.get("expires") != "" {
		longest = seconds(res.get("expires"))
	}
	return time.Duration(longest) * time.Second, true
}

func contactExpires(a Address, res *message) int {
	if v, ok := a.Param("expires"); ok {
		return seconds(v)
	}
	if v := res.get("expires"); v != "" {
		return seconds(v)
	}
	return 3600
}

func unregisters(req *message, contacts []string) bool {
	for _, s := range contacts {
		if strings.TrimSpace(s) == "*" {
			return true
		}
		if a, err := parseAddress(s); err == nil {
			if v, ok := a.Param("expires"); ok && seconds(v) == 0 {
				return true
			}
		}
	}
	v := req.get("expires")
	return v != "" && seconds(v) == 0
}

// maxExpires bounds what is believed of a registration.
const maxExpires = 24 * 3600

func seconds(s string) int {
	n, err := strconv.ParseUint(strings.TrimSpace(s), 10, 32)
	if err != nil {
		return 0
	}
	return int(min(n, maxExpires))
}
