package sipproxy

import (
	"context"
	"net/netip"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"
)

// event is one thing that happens on a shard's timeline; exactly one field is set, but ex goes with what was found out for it.
type event struct {
	packet   *packet
	failed   *leg  // its request could not be sent
	lost     *conn // a connection ended
	ex       *exchange
	decision *Decision
	hops     []Hop
	routed   bool
	refused  bool
	alive    chan<- struct{} // closed when the shard comes to it
	probe    *probe
	summed   int // the answer to packet, which is a summary
}

// shard owns every transaction of the calls whose Call-ID falls on it. mu guards its state. Whoever brings an event and finds the
// shard at rest handles it himself, which spares waking a second thread for each message; else it waits in the queue, which only the
// holder of mu empties: so the events of one reader stay in order.
type shard struct {
	p    *Proxy
	in   chan *event
	wake chan struct{} // run is to look at the queue and the timers

	mu     sync.Mutex
	server map[txKey]*exchange // by serverKey
	client map[clientKey]*leg
	timers timerHeap
	epoch  time.Time // the timers count from it
	buf    []byte    // see scratch
	now    time.Time
	sleeps time.Time // when run looks again by itself
}

// shardQueue bounds the events waiting for a shard. When it is full, datagrams are dropped (they are sent again) and TCP readers wait.
const shardQueue = 4096

func newShard(p *Proxy) *shard {
	return &shard{p: p, in: make(chan *event, shardQueue), wake: make(chan struct{}, 1), server: make(map[txKey]*exchange), client: make(map[clientKey]*leg), epoch: time.Now()}
}

// post hands over an event that must not be lost; it waits, so it is never called while a shard handles something.
func (s *shard) post(e *event) {
	select {
	case s.in <- e:
		s.look()
	case <-s.p.stop:
	}
}

// offer hands over an event if there is room for it.
func (s *shard) offer(e *event) bool {
	select {
	case s.in <- e:
		s.look()
		return true
	default:
		return false
	}
}

func (s *shard) look() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// here handles a packet at once, behind what waits already; false means that the shard is busy.
func (s *shard) here(pk *packet) bool {
	if !s.mu.TryLock() {
		return false
	}
	s.drain()
	s.now = pk.at
	s.handle(&event{packet: pk})
	first, any := s.due()
	early := any && first.Before(s.sleeps)
	s.mu.Unlock()
	if early {
		s.look()
	}
	return true
}

// drain handles what waits now, not what comes meanwhile.
func (s *shard) drain() {
	for range len(s.in) {
		s.now = time.Now()
		s.handle(<-s.in)
	}
}

func (s *shard) run() {
	wake := time.NewTimer(time.Hour)
	defer wake.Stop()
	for {
		wake.Reset(s.turn())
		select {
		case <-s.wake:
		case <-wake.C:
		case <-s.p.stop:
			return
		}
	}
}

// turn handles what waits and what is due, and gives the time to the next timer.
func (s *shard) turn() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drain()
	s.now = time.Now()
	s.fire()
	next := time.Hour
	if first, any := s.due(); any {
		next = max(0, first.Sub(s.now))
	}
	s.sleeps = s.now.Add(next)
	return next
}

// handle is the edge of one request: a panic costs that request a 500 and nobody else anything.
func (s *shard) handle(e *event) {
	defer func() {
		r := recover()
		if r == nil {
			return
		}
		s.p.panicked("request", r)
		s.salvage(e)
	}()
	switch {
	case e.summed != 0:
		s.reply(e.packet, e.summed, "", nil)
	case e.packet != nil && e.packet.msg.isRequest():
		s.request(e.packet)
	case e.packet != nil:
		s.response(e.packet)
	case e.failed != nil:
		e.failed.sendFailed()
	case e.lost != nil:
		for _, l := range s.client {
			if l.conn == e.lost {
				l.connLost()
			}
		}
	case e.decision != nil:
		e.ex.decided(*e.decision)
	case e.routed:
		if e.refused && e.ex.work != nil {
			e.ex.outside.refused = true
		}
		e.ex.routed(e.hops)
	case e.alive != nil:
		close(e.alive)
	case e.probe != nil:
		s.probe(e.probe)
	}
}

// salvage answers 500 for the request that was being handled when something panicked, and lets go of it.
func (s *shard) salvage(e *event) {
	defer func() {
		if r := recover(); r != nil {
			s.p.panicked("salvage", r)
		}
	}()
	ex, pk := e.ex, e.packet
	if e.failed != nil {
		ex = e.failed.ex
	}
	if pk != nil && pk.msg.isRequest() {
		if ex = s.server[serverKey(pk.msg, pk.src.Addr())]; ex == nil {
			s.reply(pk, 500, "", nil)
			return
		}
	}
	if ex == nil {
		return
	}
	if ex.work != nil {
		ex.final(response(ex.req, 500, "", nil))
	}
	if !ex.linger.set() {
		s.after(&ex.linger, 64*s.p.opt.T1, ex, forgetDue)
	}
}

// flow is the way back to whoever sent a request.
type flow struct {
	lis  *listener
	conn *conn
	addr netip.AddrPort // where UDP responses go, or where a lost TCP connection is opened again
}

func flowOf(pk *packet) flow {
	f := flow{lis: pk.lis, conn: pk.conn, addr: pk.src}
	if v, ok := pk.msg.topVia(); ok {
		if a, ok := v.replyAddr(); ok {
			f.addr = a
		}
	}
	return f
}

// sendBack writes a response to where its request came from.
func (s *shard) sendBack(f flow, t *table, raw []byte) {
	if f.lis.network == "udp" {
		if !f.lis.devices && !t.knows(f.addr.Addr()) && !s.p.notifies(f.addr.Addr()) {
			s.p.n.stray.Add(1)
			return
		}
		s.p.writeUDP(f.lis, f.addr, raw)
		return
	}
	if f.conn != nil && f.conn.push(outgoing{raw: raw}) {
		return
	}
	if !t.knows(f.addr.Addr()) || s.p.isUsAt(f.addr) {
		s.p.n.stray.Add(1)
		return
	}
	if c := s.p.dial(Hop{Addr: f.addr}, f.lis, t); c == nil || !c.push(outgoing{raw: raw}) {
		s.p.n.sendErrors.Add(1)
	}
}

// maxRefusal bounds an answer of ours by UDP: From, To and Via are copied from the request.
const maxRefusal = 16384

// reply answers a request without a transaction.
func (s *shard) reply(pk *packet, code int, text string, extra []HeaderField) {
	if pk.msg.method == "ACK" {
		return
	}
	raw := response(pk.msg, code, text, extra).bytes()
	if pk.lis.network == "udp" && len(raw) > maxRefusal {
		return // silence: a header of such a size is no mistake
	}
	if pk.peer != nil {
		s.p.traffic.answer(pk.msg.method, pk.lis.network, code)
	}
	s.sendBack(flowOf(pk), pk.table, raw)
}

// cleanse takes off a request what its sender may not say, and gives how many of our headers he forged.
func (p *Proxy) cleanse(pk *packet) (stripped int) {
	m := pk.msg
	stripped = m.strip()
	p.n.stripped.Add(uint64(stripped))
	if pk.peer.Kind != Node {
		p.n.tamed.Add(uint64(m.tame()))
		if !pk.peer.TrustVerstat {
			p.n.disclaimed.Add(uint64(m.disclaim()))
		}
	}
	if pk.peer.Kind == Device {
		m.disarm()
	}
	return stripped
}

// refuse gives the answer that judge found for a request. An INVITE gets a transaction, so that its retransmissions and its ACK are
// known, but for a device that is not registered: an answer that is sent again to a forged address would be a weapon.
func (s *shard) refuse(pk *packet, key txKey, f fate, registered bool) {
	p, m := s.p, pk.msg
	switch f.code {
	case 403:
		p.n.forbidden.Add(1)
		if !forgivable(f.why, pk.at.Sub(p.began)) {
			p.offend(pk.lis, pk.conn, pk.src, f.why)
		}
	case 430:
		p.n.flowsGone.Add(1)
	case 482, 483:
		p.n.loops.Add(1)
	}
	p.log.Debug("request answered", zap.String("method", m.method), zap.String("call_id", m.get("call-id")),
		zap.Int("code", f.code), zap.String("why", f.why), zap.String("peer", pk.peer.Name))
	if m.method != "INVITE" || pk.peer.Kind == Device && !registered {
		s.reply(pk, f.code, f.text, f.extra)
		return
	}
	if ex := s.newExchange(pk, key); ex != nil {
		ex.final(response(m, f.code, f.text, f.extra))
	}
}

// request takes a request through matching, judgement and, if it is to be forwarded, into an exchange.
func (s *shard) request(pk *packet) {
	p, m := s.p, pk.msg
	v, _ := m.topVia()
	m.stampVia(v, pk.src)
	if s.summary(pk) {
		return
	}
	if pk.peer == nil {
		// The address is known, its port is not.
		p.n.strangers.Add(1)
		if ok, _ := p.refusals.take(netip.Addr{}, pk.at); ok {
			p.n.refused.Add(1)
			s.reply(pk, 403, "", nil)
		}
		return
	}
	p.traffic.request(m.method, pk.lis.network)
	if pk.code != 0 {
		p.offend(pk.lis, pk.conn, pk.src, pk.wrong)
		s.reply(pk, pk.code, pk.wrong, nil)
		return
	}
	key := serverKey(m, pk.src.Addr())
	if ex := s.server[key]; ex != nil && ex.again(pk) {
		return
	}
	permit := m.get(targetKey)
	stripped := p.cleanse(pk)
	if m.method == "CANCEL" && s.takeBack(pk, key) {
		return
	}
	unrouted := m
	if m.method == "ACK" {
		unrouted = m.clone() // judge takes our Routes off
	}
	by := p.senderOf(pk, permit)
	f := judge(m, pk.peer, pk.table, p.isUs, by)
	switch {
	case f.absorb:
		p.n.stray.Add(1)
		if to, _ := parseAddress(m.get("to")); to.Tag() == requestTag(m) {
			return // of a refusal of our own that we did not remember
		}
		pk.msg = unrouted
		s.passAck(pk, key)
		return
	case f.code != 0:
		s.refuse(pk, key, f, by.registered)
		return
	case m.method == "ACK":
		s.forwardAck(pk, f)
		return
	}
	if f.call {
		if !p.mayCall(pk.peer, pk.src.Addr(), pk.at) {
			s.reply(pk, 503, "", retryAfter)
			return
		}
	}
	if p.leavesToNext(pk) {
		return
	}
	ex := s.newExchange(pk, key)
	if ex == nil {
		return
	}
	if m.method == "INVITE" {
		ex.send(response(m, 100, "", nil))
	}
	if f.call {
		ex.begin(stripped)
		return
	}
	if f.outbound {
		ex.beginOutside(permit)
		return
	}
	if ex.hops = f.hops; ex.hops != nil {
		ex.hops = p.healthy(ex.hops)
	} else {
		ex.hops = []Hop{f.hop()}
		ex.fixed = true
	}
	ex.next()
}

var retryAfter = []HeaderField{{"Retry-After", "2"}}

// newExchange makes room for a request, or answers 503.
func (s *shard) newExchange(pk *packet, key txKey) *exchange {
	p := s.p
	room, keep := int64(p.opt.Limits.MaxPending), int64(p.opt.Limits.MaxKept)
	if pk.peer.Kind == Device { // devices together never keep carriers and nodes out
		room, keep = room/2, keep/2
	}
	if p.n.pending.Load() >= room || p.n.kept.Load() >= keep {
		p.n.overload.Add(1)
		s.reply(pk, 503, "", retryAfter)
		return nil
	}
	p.n.pending.Add(1)
	p.n.kept.Add(1)
	ex := &exchange{
		shard: s, key: key, invite: pk.msg.method == "INVITE", back: flowOf(pk), table: pk.table, pending: true,
		work: &work{req: pk.msg, pk: *pk, seen: s.observed(pk)},
	}
	ex.pk.msg = nil
	ex.unheard = true
	p.n.unheard.Add(1)
	s.server[key] = ex
	return ex
}

// forwardAck sends the ACK of a 2xx on, without a transaction (RFC 3261 16.11 has the same branch for its retransmissions).
func (s *shard) forwardAck(pk *packet, f fate) {
	hop := f.hop()
	network, out := s.choose(hop, pk.msg, nil, pk.lis, false)
	if out == nil {
		s.p.n.stray.Add(1)
		return
	}
	invite := serverKey(pk.msg, pk.src.Addr())
	key := newKey(append([]byte("ack"), invite[:]...))
	m := pk.msg // nobody else has it
	m.forward(pk.lis, out, branchFor(key, loopPart(m), 0), nil, wayBack{})
	s.send(network, out, hop, s.scratch(m, out), nil)
}

// scratch writes a message of which nothing is kept: by UDP it is gone when send returns.
func (s *shard) scratch(m *message, out *listener) []byte {
	if out.network != "udp" {
		return m.bytes()
	}
	if s.buf = m.append(s.buf[:0]); cap(s.buf) > maxScratch {
		defer func() { s.buf = nil }()
	}
	return s.buf
}

const maxScratch = 8192

// choose settles the transport for a hop and which listener speaks.
func (s *shard) choose(h Hop, req *message, add []HeaderField, in *listener, noTCP bool) (string, *listener) {
	if h.flow != nil {
		return h.flow.lis.network, h.flow.lis
	}
	network := h.Transport
	if network == "" {
		network = "udp"
		// What we add: Via, two Record-Routes and Max-Forwards are under 400 bytes with names of usual length.
		size := req.size() + 300
		for _, a := range add {
			size += len(a.Name) + len(a.Value) + 4
		}
		limit := s.p.opt.MaxUDP
		if s.p.isLocal(h.Addr.Addr()) {
			limit = s.p.opt.MaxLocalUDP
		}
		if size > limit && !noTCP && s.p.listenerFor("tcp", h.Addr.Addr(), in) != nil {
			network = "tcp"
		}
	}
	return network, s.p.listenerFor(network, h.Addr.Addr(), in)
}

// send writes a request; the connection it went on, if any. l is told when it could not be sent, at once or later.
func (s *shard) send(network string, out *listener, to Hop, raw []byte, l *leg) (c *conn, ok bool) {
	if network == "udp" {
		return nil, s.p.writeUDP(out, to.Addr, raw)
	}
	if to.flow != nil { // nobody can call a device back
		return to.flow.conn, to.flow.conn.push(outgoing{raw: raw, leg: l})
	}
	c = s.p.dial(to, out, s.p.table.Load())
	if c == nil {
		return nil, false
	}
	return c, c.push(outgoing{raw: raw, leg: l})
}

// response finds the transaction of a response, or sends it along its Via.
func (s *shard) response(pk *packet) {
	p, m := s.p, pk.msg
	v, ok := m.topVia()
	if !ok || !p.isUs(v.host, v.port) || pk.code != 0 {
		p.n.stray.Add(1)
		return
	}
	_, method, _ := m.cseq()
	p.n.stripped.Add(uint64(m.strip()))
	if pk.peer == nil || pk.peer.Kind != Node {
		p.n.tamed.Add(uint64(m.tame()))
	}
	if l := s.client[clientKey{v.branch, method}]; l != nil {
		// One without a further Via is meant for us (RFC 3261 16.7 step 3), as FreeSWITCH's 100 is, and what answers our own requests.
		if !l.mayAnswer(pk) || m.code > 100 && l.ex != nil && !l.abandoned && !m.hasSecondVia() {
			p.n.stray.Add(1)
			return
		}
		l.found()
		l.response(m)
		return
	}
	if m.code == 100 || !strings.HasPrefix(v.branch, branchPrefix) {
		p.n.stray.Add(1)
		return
	}
	m.pop("via")
	next, ok := m.topVia()
	if !ok {
		p.n.stray.Add(1)
		return
	}
	to, ok := next.replyAddr()
	if ok && s.downFlow(pk, v, to) {
		return
	}
	if ok && pk.peer != nil && pk.peer.Kind == Device && !pk.table.holdsNode(to.Addr()) {
		ok = false
	}
	if !ok || !pk.table.knows(to.Addr()) || p.isUsAt(to) {
		p.n.stray.Add(1)
		return
	}
	f := flow{addr: to}
	if f.lis = p.listenerFor(next.transport, to.Addr(), pk.lis); f.lis == nil {
		p.n.stray.Add(1)
		return
	}
	if next.transport != "udp" {
		f.conn = p.conns.incoming(next.transport, to)
		if r, ok := next.rportAddr(); ok && f.conn == nil {
			f.conn = p.conns.incoming(next.transport, r)
		}
	}
	p.n.stateless.Add(1)
	s.sendBack(f, pk.table, s.scratch(m, f.lis))
}

// downFlow sends a node's response without a transaction to the device that asked, which our own Via names; false when it names none. to is where the
// next Via leads.
func (s *shard) downFlow(pk *packet, ours via, to netip.AddrPort) bool {
	token, there := param(ours.params, flowParam)
	if !there || pk.peer == nil || pk.peer.Kind != Node {
		return false
	}
	f, state := s.p.flow(token)
	if state != flowOpen || f.outside != nil || to.Addr() != f.addr.Addr() {
		return false
	}
	s.p.n.stateless.Add(1)
	s.sendBack(flow{lis: f.lis, conn: f.conn, addr: to}, pk.table, s.scratch(pk.msg, f.lis))
	return true
}

// clientKey identifies a transaction of ours (RFC 3261 17.1.3).
type clientKey struct{ branch, method string }

// spawn runs f on a goroutine of its own within a bound; false means there was no room.
func (p *Proxy) spawn(slots chan struct{}, f func()) bool {
	select {
	case slots <- struct{}{}:
	default:
		return false
	}
	p.wg.Go(func() {
		defer func() { <-slots }()
		f()
	})
	return true
}

// callContext bounds a Screener or Router call.
func (p *Proxy) callContext() (context.Context, context.CancelFunc) {
	return context.WithTimeout(p.ctx, p.opt.ScreenTimeout)
}
