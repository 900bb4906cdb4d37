package sipproxy

import (
	"encoding/binary"
	"hash/fnv"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"
)

// Devices are phones, apps and browsers. They are nobody the configuration knows: whoever comes to a listener for devices may
// try to register, and FreeSWITCH's authenticating profile (Peer.DeviceAddr) decides. Everything else is taken only from a
// flow on which somebody is registered. Requests of devices go to that profile and nowhere else.

// devicePeer stands for every device.
var devicePeer = &Peer{Name: "device", Kind: Device}

// judgeDevice decides about a request of a device outside of any transaction. allowed says that its flow is registered, or proven
// by a token in its own Route.
func judgeDevice(req *message, t *table, allowed bool, self func(string, uint16) bool) fate {
	to, _ := parseAddress(req.get("to"))
	if !allowed && req.method != "REGISTER" {
		if req.method == "ACK" {
			return fate{absorb: true, why: "ack of an unregistered device"}
		}
		return answer(403, notRegistered)
	}
	if req.method != "REGISTER" && (to.Tag() != "" || req.method == "ACK") {
		next := nextURI(req)
		addr, peer := t.deviceTarget(next)
		if peer == nil || self(addr.Addr().String(), addr.Port()) {
			if req.method == "ACK" {
				return fate{absorb: true, why: "ack to nowhere"}
			}
			return answer(403, "remote target is no profile for devices")
		}
		return fate{to: addr, peer: peer, network: wants(next, peer)}
	}
	switch req.method {
	case "BYE", "PRACK", "UPDATE", "INFO":
		return answer(481, "no transaction")
	case "OPTIONS":
		return options()
	}
	hops := t.deviceHops(req)
	if len(hops) == 0 {
		return answer(403, "no node takes devices")
	}
	return fate{hops: hops, peer: devicePeer}
}

// deviceTarget is target for a dialog of a device: whoever writes a tag into his To still reaches no profile but that of devices.
func (t *table) deviceTarget(u Address) (netip.AddrPort, *Peer) {
	addr, named := t.target(u, Node)
	if named != nil && slices.Contains(named.Hosts, u.Host) {
		addr = named.DeviceAddr
	}
	for i := range t.peers {
		p := &t.peers[i]
		if p.Kind == Node && p.DeviceAddr.IsValid() && (p.DeviceAddr == addr || p.contains(addr.Addr()) && p.DeviceAddr.Port() == addr.Port()) {
			return addr, p
		}
	}
	return netip.AddrPort{}, nil
}

// deviceHops gives the nodes that take devices, for each address-of-record in an order of its own, so that a subscriber's devices
// and his calls meet on one node, and a further node does not move the subscribers of the others (rendezvous hashing).
func (t *table) deviceHops(req *message) []Hop {
	from, _ := parseAddress(req.get("from"))
	if req.method == "REGISTER" {
		from, _ = parseAddress(req.get("to"))
	}
	type ranked struct {
		hop  Hop
		rank uint64
	}
	var all []ranked
	for _, p := range t.peers {
		if p.Kind != Node || !p.DeviceAddr.IsValid() {
			continue
		}
		h := fnv.New64a()
		_, _ = h.Write([]byte(strings.ToLower(from.User) + "\x00" + from.Host + "\x00" + p.Name))
		all = append(all, ranked{Hop{Addr: p.DeviceAddr, Transport: p.Transport, Name: p.Name, node: p.Addr}, h.Sum64()})
	}
	slices.SortStableFunc(all, func(a, b ranked) int {
		switch {
		case a.rank > b.rank:
			return -1
		case a.rank < b.rank:
			return 1
		}
		return 0
	})
	var hops []Hop
	for _, r := range all {
		hops = append(hops, r.hop)
	}
	return hops
}

// disarm takes from a device's request what only the proxy may say: a way to it of its own making, and our headers.
func (m *message) disarm() {
	kept := m.fields[:0]
	for _, f := range m.fields {
		if f.key != "path" {
			kept = append(kept, f)
		}
	}
	m.fields = kept
}

// offenders remembers addresses that misbehave on listeners for devices: those that send what is no SIP, that ask for what they
// may not, whose passwords FreeSWITCH refuses, or, after many more, who are asked for passwords and have none. After maxOffences within the window an address is not listened to until the
// ban is over. A registered flow is never banned, so that forged datagrams cannot silence a phone. IPv6 counts by /64.
type offenders struct {
	mu  sync.Mutex
	ban time.Duration
	m   map[netip.Addr]*offender
}

type offender struct {
	count      int
	challenges int // passwords asked for since anybody there gave a right one
	first      time.Time
	until      time.Time // banned
}

const (
	maxOffences   = 20
	maxChallenges = 200 // an office whose phones all come back at once asks for that many before the first is registered
	offenceWindow = time.Minute
	maxOffenders  = 65536 // addresses remembered; beyond, the table is cleaned, and if that frees nothing, emptied
)

// notRegistered is why a device's request is refused which asks for more than to register.
const notRegistered = "device is not registered"

// relearning is how long a proxy that was started does not hold that against anybody: phones by UDP do not notice that it forgot them, and
// register again when their registration runs out (FreeSWITCH gives an hour at most, unless told otherwise).
const relearning = time.Hour

// forgivable reports whether a refusal counts as no offence in a proxy that has run for a time.
func forgivable(why string, run time.Duration) bool { return why == notRegistered && run < relearning }

// bansOf keeps datagrams, whose address may be forged, from banning whoever connects.
func (p *Proxy) bansOf(l *listener) *offenders {
	if l.network == "udp" {
		return &p.bans
	}
	return &p.cut
}

func sourceOf(a netip.Addr) netip.Addr {
	if a.Is6() {
		if p, err := a.Prefix(64); err == nil {
			return p.Addr()
		}
	}
	return a
}

// banned reports whether an address is not listened to.
func (o *offenders) banned(a netip.Addr, now time.Time) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	f := o.m[sourceOf(a)]
	return f != nil && now.Before(f.until)
}

// offence counts one; true when it is the one that bans.
func (o *offenders) offence(a netip.Addr, now time.Time) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	f := o.of(a, now)
	f.count++
	return o.bans(f, f.count >= maxOffences, now)
}

// challenge counts a password that was asked for; true when it is the one that bans.
func (o *offenders) challenge(a netip.Addr, now time.Time) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	f := o.of(a, now)
	f.challenges++
	return o.bans(f, f.challenges >= maxChallenges, now)
}

// bans is called with mu held.
func (o *offenders) bans(f *offender, enough bool, now time.Time) bool {
	if !enough || now.Before(f.until) {
		return false
	}
	f.until = now.Add(o.ban)
	return true
}

// of gives what is remembered of an address in this window. It is called with mu held.
func (o *offenders) of(a netip.Addr, now time.Time) *offender {
	a = sourceOf(a)
	f := o.m[a]
	if f == nil || now.Sub(f.first) > offenceWindow && !now.Before(f.until) {
		if f == nil && len(o.m) >= maxOffenders {
			o.clean(now)
		}
		f = &offender{first: now}
		if o.m == nil {
			o.m = make(map[netip.Addr]*offender)
		}
		o.m[a] = f
	}
	return f
}

// forgive forgets an address: somebody has registered from it.
func (o *offenders) forgive(a netip.Addr) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.m, sourceOf(a))
}

// clean is called with mu held. A map never shrinks, so one that was full is replaced.
func (o *offenders) clean(now time.Time) {
	kept := make(map[netip.Addr]*offender)
	for a, f := range o.m {
		if now.Before(f.until) || now.Sub(f.first) <= offenceWindow {
			kept[a] = f
		}
	}
	if len(kept) >= maxOffenders {
		clear(kept)
	}
	o.m = kept
}

const stunCookie = 0x2112A442

// stunAnswer answers a STUN Binding request, the keep-alive of RFC 5626 section 4.4.2 by UDP (RFC 8489); nil if it is none.
func stunAnswer(raw []byte, src netip.AddrPort) []byte {
	if len(raw) < 20 || len(raw) > 548 || binary.BigEndian.Uint16(raw) != 0x0001 || binary.BigEndian.Uint32(raw[4:]) != stunCookie ||
		int(binary.BigEndian.Uint16(raw[2:])) != len(raw)-20 {
		return nil
	}
	ip := src.Addr().AsSlice()
	family := byte(1)
	if len(ip) == 16 {
		family = 2
	}
	for i := range ip { // XOR-MAPPED-ADDRESS (RFC 8489 section 14.2)
		ip[i] ^= raw[4+i]
	}
	out := make([]byte, 0, 44)
	out = binary.BigEndian.AppendUint16(out, 0x0101)
	out = binary.BigEndian.AppendUint16(out, uint16(8+len(ip)))
	out = append(out, raw[4:20]...)
	out = binary.BigEndian.AppendUint16(out, 0x0020)
	out = binary.BigEndian.AppendUint16(out, uint16(4+len(ip)))
	out = append(out, 0, family)
	out = binary.BigEndian.AppendUint16(out, src.Port()^(stunCookie>>16))
	return append(out, ip...)
}
