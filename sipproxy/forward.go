package sipproxy

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"net/netip"
	"strconv"
	"strings"
)

// This file is the pure part: what becomes of a request, and what the messages a proxy writes look like. Nothing here sends.

// allowed is what an Allow header of ours says.
const allowed = "INVITE, ACK, CANCEL, BYE, OPTIONS, PRACK, UPDATE, INFO, REFER, NOTIFY, MESSAGE"

// response builds our own answer to a request (RFC 3261 8.2.6). The To tag is derived from the request, so that an answer given
// twice without memory is the same.
func response(req *message, code int, text string, extra []HeaderField) *message {
	if text == "" {
		text = phrase(code)
	}
	m := &message{code: code, phrase: text, fields: make([]field, 0, 8)}
	for _, f := range req.fields {
		switch f.key {
		case "via", "from", "call-id", "cseq":
			m.add(f.name, f.value)
		case "to":
			value := f.value
			if a, err := parseAddress(value); code != 100 && (err != nil || a.Tag() == "") {
				value += ";tag=" + requestTag(req)
			}
			m.add(f.name, value)
		case "timestamp":
			if code == 100 {
				m.add(f.name, f.value)
			}
		}
	}
	for _, h := range extra {
		m.add(h.Name, h.Value)
	}
	return m
}

func requestTag(req *message) string {
	v, _ := req.topVia()
	num, _, _ := req.cseq()
	return "sb" + digest(v.branch, v.sentBy, req.get("from"), req.get("call-id"), strconv.Itoa(int(num)))
}

// digest is 64 bits of SHA-256 over the parts, in hex.
func digest(parts ...string) string {
	var buf [512]byte
	b := buf[:0]
	for _, p := range parts {
		b = append(b, p...)
		b = append(b, 0)
	}
	sum := sha256.Sum256(b)
	return string(hex.AppendEncode(buf[:0], sum[:8]))
}

// branchPrefix marks branches of a Signalbox.
const branchPrefix = "z9hG4bKsb"

// loopPart is the part of our branch that is equal when a request comes round unchanged (RFC 3261 16.3, 16.6 step 8). CANCEL and
// ACK count as their INVITE.
func loopPart(m *message) string {
	num, _, _ := m.cseq()
	from, _ := parseAddress(m.get("from"))
	to, _ := parseAddress(m.get("to"))
	route, _ := m.top("route")
	return digest(m.uri, from.Tag(), to.Tag(), m.get("call-id"), strconv.Itoa(int(num)), route)
}

// branchFor derives the branch for the attempt-th hop of a request. It is the same after a restart, so FreeSWITCH takes a
// retransmission that finds a new proxy for the retransmission it is.
func branchFor(key txKey, loop string, attempt int) string {
	var buf [64]byte
	b := append(buf[:0], branchPrefix...)
	b = append(b, loop...)
	b = append(b, '.')
	b = hex.AppendEncode(b, key[:8])
	b = append(b, '.')
	return string(strconv.AppendInt(b, int64(attempt), 10))
}

// txKey stands for a transaction: 128 bits of a digest, so that nobody can find two requests with one key, and a table of them
// costs little.
type txKey [16]byte

// serverKey identifies the transaction of a request we got (RFC 3261 17.2.3; the parts that old senders without a magic cookie need
// are always in it). ACK and CANCEL have the key of their INVITE.
func serverKey(m *message, src netip.Addr) txKey {
	method := m.method
	if method == "ACK" || method == "CANCEL" {
		method = "INVITE"
	}
	v, _ := m.topVia()
	num, _, _ := m.cseq()
	from, _ := parseAddress(m.get("from"))
	var buf [512]byte
	b := buf[:0]
	for _, part := range [...]string{method, v.branch, v.sentBy, m.get("call-id"), from.Tag()} {
		b = append(b, part...)
		b = append(b, 0)
	}
	b = strconv.AppendUint(b, uint64(num), 10)
	b = append(b, 0)
	return newKey(src.AppendTo(b))
}

func newKey(of []byte) txKey {
	sum := sha256.Sum256(of)
	return txKey(sum[:16])
}

// hopsLeft gives what Max-Forwards says after us; ok false means 483, bad that it is no number.
func hopsLeft(m *message) (n uint64, ok, bad bool) {
	s := m.get("max-forwards")
	if s == "" {
		return 70, true, m.count("max-forwards") > 0
	}
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil {
		return 0, false, true
	}
	if n == 0 {
		return 0, false, false
	}
	return min(n, 255) - 1, true, false
}

// fate is what is to be done with a request that belongs to no transaction.
type fate struct {
	code  int // not 0: answer this
	text  string
	extra []HeaderField
	call  bool           // an initial INVITE of a trunk: screen it and route it
	to    netip.AddrPort // else forward it here
	hops  []Hop          // or to the first of these that answers
	flow  *flowRef       // or down this
	// outbound asks the Outbound for hops.
	outbound bool
	network  string // "" is by size
	peer     *Peer
	absorb   bool // an ACK that has nowhere to go
	why      string
}

// hop is the one that the request itself names.
func (f fate) hop() Hop {
	if f.flow != nil && f.flow.outside != nil {
		return *f.flow.outside
	}
	h := Hop{Addr: f.to, Transport: f.network, flow: f.flow}
	if f.peer != nil {
		h.Name = f.peer.Name
	}
	return h
}

func options() fate {
	return fate{code: 200, extra: []HeaderField{{"Allow", allowed}}, why: "options"}
}

func answer(code int, why string) fate { return fate{code: code, why: why} }

// judge decides about a request outside of any transaction. It takes our own Route entries off req, and nothing else.
// self says whether a host and port are ours.
func judge(req *message, from *Peer, t *table, self func(string, uint16) bool, s sender) fate {
	if from == nil {
		return answer(403, "stranger")
	}
	if req.method == "CANCEL" {
		return answer(481, "no transaction") // it is hop by hop: never forwarded
	}
	if !knownScheme(req.uri) {
		return answer(416, "scheme of the request-uri")
	}
	if _, ok, bad := hopsLeft(req); bad {
		return fate{code: 400, text: "Bad Max-Forwards", why: "max-forwards"}
	} else if !ok {
		if req.method == "OPTIONS" { // RFC 3261 16.3: how far a request gets is what was asked
			return options()
		}
		return answer(483, "loop")
	}
	if looped(req, self) {
		return answer(482, "loop")
	}
	if unknown := req.all("proxy-require"); len(unknown) > 0 && req.method != "ACK" {
		return fate{code: 420, extra: []HeaderField{{"Unsupported", strings.Join(unknown, ", ")}}, why: "proxy-require"}
	}
	if req.method == "REFER" && from.Kind != Node && !harmlessRefer(req, from) {
		return answer(403, "refer-to is not plain")
	}
	hint, token := ownRoutes(req, self)
	ref, state := s.find(token)
	switch {
	case from.Kind == Device:
		return judgeDevice(req, t, s.registered || state == flowOpen && ref.sends(s.pk), self)
	case from.Kind == outside:
		var to *Hop
		if state == flowOpen {
			to = ref.outside
		}
		return judgeOutside(req, t, to, s.pk.src, self)
	case from.Kind == Node && state != flowNone:
		return judgeFlow(req, ref, state)
	}
	to, _ := parseAddress(req.get("to"))
	if to.Tag() != "" || req.method == "ACK" {
		return judgeInDialog(req, from, t, hint, self)
	}
	if s.pk != nil && from.moved(s.pk.at) {
		return answer(403, "the domain of the peer leads elsewhere now")
	}
	if from.Kind == Node && s.permit != "" && req.method == "INVITE" {
		return fate{outbound: true}
	}
	return judgeInitial(req, from, t, self)
}

// judgeFlow decides about a node's request for a device: it goes down the flow, wherever its Request-URI leads.
func judgeFlow(req *message, ref *flowRef, state flowState) fate {
	switch {
	case state == flowOpen && ref.outside != nil:
		return fate{flow: ref, to: ref.addr, network: "tls", peer: outsidePeer}
	case state == flowOpen:
		return fate{flow: ref, to: ref.addr, network: ref.lis.network, peer: devicePeer}
	case req.method == "ACK":
		return fate{absorb: true, why: "ack for a flow that is gone"}
	case state == flowGone:
		return answer(430, "flow is gone")
	}
	return answer(403, "no flow of ours")
}

// looped is the cheap form of RFC 3261 16.3: our address and our branch with the same loop part are on some Via below the top.
func looped(req *message, self func(string, uint16) bool) bool {
	loop := ""
	for i := range req.fields {
		if req.fields[i].key != "via" {
			continue
		}
		for s, rest, more := cutList(req.fields[i].value); s != "" || more; s, rest, more = cutList(rest) {
			v, ok := parseVia(s)
			if !ok || !strings.HasPrefix(v.branch, branchPrefix) || !self(v.host, v.port) {
				continue
			}
			if loop == "" {
				loop = loopPart(req)
			}
			if strings.HasPrefix(v.branch[len(branchPrefix):], loop+".") {
				return true
			}
		}
	}
	return false
}

// ownRoutes takes off the Route entries that name us, one for each side (RFC 5658), and undoes what a strict router did to the
// Request-URI (RFC 3261 16.4). What it gives is the carrier's address and the token of a flow that recordRoute wrote into one
// of them, if any.
func ownRoutes(req *message, self func(string, uint16) bool) (hint netip.AddrPort, token string) {
	u := parseURI(req.uri)
	if _, lr := param(u.URIParams, "lr"); lr && self(u.Host, u.Port) {
		if routes := SplitList(req.all("route")); len(routes) > 0 {
			if last, err := parseAddress(routes[len(routes)-1]); err == nil {
				req.uri = last.URI
				for range routes {
					req.pop("route")
				}
				for _, r := range routes[:len(routes)-1] {
					req.add("Route", r)
				}
			}
		}
	}
	for {
		s, ok := req.top("route")
		if !ok {
			return hint, token
		}
		r, err := parseAddress(s)
		if err != nil || !self(r.Host, r.Port) {
			return hint, token
		}
		token = cmp.Or(r.User, token)
		if v, ok := param(r.URIParams, carrierParam); ok {
			if a, err := netip.ParseAddrPort(v); err == nil {
				hint = a
			}
		}
		req.pop("route")
	}
}

// nextURI is where the request wants to go: the topmost Route that is left, else the Request-URI.
func nextURI(req *message) Address {
	if s, ok := req.top("route"); ok {
		if r, err := parseAddress(s); err == nil {
			return r
		}
	}
	return parseURI(req.uri)
}

func judgeInDialog(req *message, from *Peer, t *table, hint netip.AddrPort, self func(string, uint16) bool) fate {
	next := nextURI(req)
	want := Trunk
	if from.Kind == Trunk {
		want = Node
	}
	to, peer := t.target(next, want)
	if peer == nil && want == Trunk && hint.IsValid() {
		// The carrier's Contact is a name, or an address behind its NAT: the way it came is the way back.
		to, peer = t.target(parseURI("sip:"+hint.String()), want)
	}
	if peer == nil || self(to.Addr().String(), to.Port()) {
		if req.method == "ACK" {
			return fate{absorb: true, why: "ack to nowhere"}
		}
		if self(next.Host, next.Port) {
			return answer(404, "addressed to the proxy itself")
		}
		return answer(403, "remote target is no configured peer")
	}
	return fate{to: to, peer: peer, network: wants(next, peer)}
}

// wants is the transport a URI or its peer asks for; "" is by size.
func wants(u Address, p *Peer) string {
	if u.Scheme == "sips" {
		return "tls"
	}
	switch v, _ := param(u.URIParams, "transport"); strings.ToLower(v) {
	case "tcp", "tls":
		return strings.ToLower(v)
	case "udp":
		if p.Kind == Trunk {
			return "udp"
		}
	}
	if p.Transport != "" {
		return p.Transport
	}
	if p.Kind == Trunk {
		return "udp" // a carrier that takes TCP says so
	}
	return ""
}

func judgeInitial(req *message, from *Peer, t *table, self func(string, uint16) bool) fate {
	switch req.method {
	case "BYE", "PRACK", "UPDATE", "INFO":
		return answer(481, "no transaction")
	}
	next := nextURI(req)
	if req.method == "OPTIONS" && (from.Kind == Trunk || self(next.Host, next.Port)) {
		return options()
	}
	if from.Kind == Trunk {
		switch req.method {
		case "INVITE":
			return fate{call: true}
		case "REGISTER":
			return answer(403, "register from a trunk")
		}
		return fate{code: 405, extra: []HeaderField{{"Allow", allowed}}, why: "method"}
	}
	to, peer := t.target(next, Trunk)
	if peer == nil || peer.Addr != to || !to.IsValid() {
		return answer(403, "not the address of a configured trunk")
	}
	if peer.Domain != "" && next.Host == peer.Domain {
		return fate{hops: t.hopsBy(peer.Name, wants(next, peer)), peer: peer}
	}
	return fate{to: to, peer: peer, network: wants(next, peer)}
}

// forwarded builds what goes out: Max-Forwards, our Record-Routes, our Via, and what the Screener added.
func forwarded(req *message, in, out *listener, branch string, add []HeaderField, way wayBack) *message {
	m := req.clone()
	m.forward(in, out, branch, add, way)
	return m
}

// forward makes of a request the one that goes out.
func (m *message) forward(in, out *listener, branch string, add []HeaderField, way wayBack) {
	n, _, _ := hopsLeft(m)
	m.set("Max-Forwards", strconv.FormatUint(n, 10))
	for _, h := range add {
		m.add(h.Name, h.Value)
	}
	switch m.method {
	case "INVITE", "SUBSCRIBE", "REFER", "NOTIFY":
		// The entry nearest to whoever gets the message is on top (RFC 5658 6).
		m.push("Record-Route", recordRoute(in, way))
		if in != out {
			m.push("Record-Route", recordRoute(out, wayBack{}))
		}
	case "REGISTER":
		if way.token != "" {
			m.push("Path", path(m, out, way))
		}
	}
	m.routeStrictly()
	via := "SIP/2.0/" + upperNetwork(out.network) + " " + out.adv + ";rport;branch=" + branch
	if way.asker {
		via += ";" + flowParam + "=" + way.token
	}
	m.push("Via", via)
}

// flowParam is the parameter of our Via that has the token of the flow a request came along, so that its answers find the device also when a
// later proxy gets them.
const flowParam = "sb-flow"

// carrierParam is the parameter of our Record-Route that says where the carrier of the dialog is. It is written only where
// its Contact does not say it, and believed only inside a trunk's prefix.
const carrierParam = "sb-carrier"

// wayBack is what an entry of ours remembers for requests that come back later: the carrier's address, or the flow of a device.
type wayBack struct {
	carrier netip.AddrPort
	token   string
	asker   bool // it is the flow along which the request came
}

func recordRoute(l *listener, way wayBack) string {
	s := "<sip:"
	if way.token != "" {
		s += way.token + "@"
	}
	s += l.adv
	switch {
	case l.webSocket():
		s += ";transport=ws" // RFC 7118 section 5.2 has no other
	case l.network != "udp":
		s += ";transport=" + l.network
	}
	s += ";lr"
	if way.carrier.IsValid() {
		s += ";" + carrierParam + "=" + way.carrier.String()
	}
	return s + ">"
}

// path is the Path of a registration (RFC 3327), in the address that the node reaches; "ob" when the device asks for
// outbound (RFC 5626 section 5.1).
func path(req *message, out *listener, way wayBack) string {
	s := strings.TrimSuffix(recordRoute(out, way), ">")
	if c, err := parseAddress(firstOf(req, "contact")); err == nil {
		if _, ok := c.Param("reg-id"); ok {
			s += ";ob"
		}
	}
	return s + ">"
}

// carrierOf is what a Record-Route should say of the carrier: nothing, when a caller's Contact is the address of a trunk. What the
// Contact of a callee will be is not known yet.
func carrierOf(req *message, from *Peer, src, to netip.AddrPort, t *table) netip.AddrPort {
	if from.Kind == Node {
		return to
	}
	if contact, there := req.top("contact"); there {
		if c, err := parseAddress(contact); err == nil {
			if _, peer := t.target(c, Trunk); peer != nil {
				return netip.AddrPort{}
			}
		}
	}
	if from.Addr.IsValid() && from.Addr.Addr() == src.Addr() {
		return from.Addr
	}
	return src
}

// cancelFor builds the CANCEL of a request we sent (RFC 3261 9.1): its own Via, so the branch is ours.
func cancelFor(sent *message, reason string) *message {
	m := &message{method: "CANCEL", uri: sent.uri}
	top, _ := sent.top("via")
	m.add("Via", top)
	m.add("Max-Forwards", "70")
	copyDialog(m, sent, sent.get("to"), "CANCEL", 0)
	if reason != "" {
		m.add("Reason", reason)
	}
	return m
}

// ackFor builds the ACK of a hop's final failure (RFC 3261 17.1.1.3).
func ackFor(sent, res *message) *message {
	m := &message{method: "ACK", uri: sent.uri}
	top, _ := sent.top("via")
	m.add("Via", top)
	m.add("Max-Forwards", "70")
	copyDialog(m, sent, res.get("to"), "ACK", 0)
	return m
}

func copyDialog(m, sent *message, to, method string, more uint32) {
	for _, r := range sent.all("route") {
		m.add("Route", r)
	}
	m.add("From", sent.get("from"))
	m.add("To", to)
	m.add("Call-ID", sent.get("call-id"))
	num, _, _ := sent.cseq()
	m.add("CSeq", strconv.FormatUint(uint64(num+more), 10)+" "+method)
}

// ghost builds an ACK (more 0) or BYE (more 1) towards the element that sent a 2xx nobody waits for. The route set is the one of
// the caller beyond us: the Record-Routes above ours, from the lowest up (RFC 3261 12.1.2).
func ghost(sent, ok *message, method string, more uint32, branch string, self func(string, uint16) bool) *message {
	m := &message{method: method, uri: sent.uri}
	if c, err := parseAddress(firstOf(ok, "contact")); err == nil {
		m.uri = c.URI
	}
	top, _ := sent.top("via")
	v, _ := parseVia(top)
	m.add("Via", "SIP/2.0/"+upperNetwork(v.transport)+" "+v.sentBy+";rport;branch="+branch)
	m.add("Max-Forwards", "70")
	var routes []string
	for _, s := range SplitList(ok.all("record-route")) {
		r, err := parseAddress(s)
		if err != nil || self(r.Host, r.Port) {
			break
		}
		routes = append([]string{s}, routes...)
	}
	for _, r := range routes {
		m.add("Route", r)
	}
	m.add("From", ok.get("from"))
	m.add("To", ok.get("to"))
	m.add("Call-ID", ok.get("call-id"))
	num, _, _ := ok.cseq()
	m.add("CSeq", strconv.FormatUint(uint64(num+more), 10)+" "+method)
	if method == "BYE" {
		m.add("Reason", `SIP;cause=487;text="Caller is gone"`)
	}
	return m
}

func firstOf(m *message, key string) string { s, _ := m.top(key); return s }

// validField says whether a decided header can be written and is none of those the proxy keeps itself.
func validField(h HeaderField) bool {
	if !isToken(h.Name) || len(h.Value) > 16384 || strings.ContainsAny(h.Value, "\r\n\x00") {
		return false
	}
	switch foldName(h.Name) {
	case "via", "route", "record-route", "from", "to", "call-id", "cseq", "max-forwards", "content-length":
		return false
	}
	return true
}

// validFields keeps the valid ones and counts the others.
func validFields(in []HeaderField) (out []HeaderField, bad uint64) {
	for _, h := range in {
		if validField(h) {
			out = append(out, h)
		} else {
			bad++
		}
	}
	return out, bad
}

// better chooses between two failed answers: a 6xx wins, else the lower class, else the later one (RFC 3261 16.7 step 6).
func better(a, b *message) *message {
	switch {
	case a == nil:
		return b
	case b == nil:
		return a
	case a.code >= 600:
		return a
	case b.code >= 600:
		return b
	case a.code/100 < b.code/100:
		return a
	}
	return b
}
