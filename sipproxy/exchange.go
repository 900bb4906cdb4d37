package sipproxy

import (
	"context"
	"slices"
	"time"

	"go.uber.org/zap"
)

// exState is where an exchange stands towards the side its request came from (RFC 3261 17.2, with RFC 6026's accepted state).
type exState int8

const (
	exDeciding exState = iota // screening and routing
	exTrying                  // a hop is being asked
	exFailed                  // answered with 300 to 699, not yet acknowledged
	exAccepted                // answered with a 2xx
	exDone                    // acknowledged, or a request that is no INVITE and was answered
)

// exchange is one request we took and everything done for it: its server transaction, the hops, a leg for each hop tried. What it keeps
// after its final answer, for up to 32 s, is small; the rest is in work.
type exchange struct {
	shard *shard
	key   txKey
	back  flow
	table *table // when the request came

	state                      exState
	invite, pending, cancelled bool
	unheard                    bool   // no hop has answered anything: nobody but us knows of the request
	last                       []byte // the last response sent, for retransmissions
	winner                     *leg

	resend, linger timer
	interval       time.Duration

	*work
}

// work is what an exchange has until its final answer is given; then it is nil.
type work struct {
	req *message // as received, stripped, with our Routes off and the Via stamped
	pk  packet

	best     *message
	add      []HeaderField
	fixed    bool // the hop is given by the request: no failover, no screening
	hops     []Hop
	attempt  int
	current  *leg
	screened bool
	inv      *Invite
	outside  *attempts    // of a node's call to a domain
	seen     *Transaction // what an observer will be told; nil = there is none
	since    time.Time    // when its present stage began; zero = there is none, or nobody is to be told
	wait     timer
}

// awaits says whether a leg is the one whose answer counts.
func (ex *exchange) awaits(l *leg) bool { return ex != nil && ex.work != nil && ex.current == l }

// expire implements expirer.
func (ex *exchange) expire(what deadline) {
	p := ex.shard.p
	switch what {
	case resendDue:
		ex.resendFinal()
	case forgetDue:
		ex.forget()
	case screenDue:
		p.n.screenSkipped.Add(1)
		p.log.Warn("screener is late, call delivered unscreened", zap.String("call_id", ex.inv.CallID))
		ex.decided(Decision{})
	case routeDue:
		p.log.Warn("router is late", zap.String("call_id", ex.inv.CallID))
		ex.routed(nil)
	case outsideDue:
		ex.routed(nil)
	}
}

// again takes a request that has this transaction's key: a retransmission, an ACK or a CANCEL. False means that it is an ACK to be
// forwarded.
func (ex *exchange) again(pk *packet) bool {
	s := ex.shard
	switch pk.msg.method {
	case "ACK":
		if ex.state == exFailed {
			ex.state = exDone
			s.cancel(&ex.resend)
			d := time.Duration(0)
			if ex.back.lis.network == "udp" {
				d = 10 * s.p.opt.T1 // timer I is T4
			}
			s.after(&ex.linger, d, ex, forgetDue)
		}
		return ex.state != exAccepted
	case "CANCEL":
		if !ex.invite {
			return false
		}
		s.reply(pk, 200, "", nil)
		ex.cancel(pk.msg.get("reason"))
		return true
	}
	if pk.conn != nil {
		ex.back.conn = pk.conn
	}
	if ex.last != nil && (ex.state != exDone || !ex.invite) {
		s.sendBack(ex.back, ex.table, ex.last)
	}
	return true
}

// cancel answers the INVITE at once with 487 and takes the call back from the hop. A 200 that crosses it is a ghost from now on.
func (ex *exchange) cancel(reason string) {
	if ex.state != exDeciding && ex.state != exTrying {
		return
	}
	ex.shard.p.n.cancelled.Add(1)
	ex.cancelled = true
	if ex.current != nil {
		ex.current.abandon(reason)
	}
	ex.final(response(ex.req, 487, "", nil))
}

// begin asks the Screener, then the Router.
func (ex *exchange) begin(stripped int) {
	s, p := ex.shard, ex.shard.p
	p.n.calls.Add(1)
	for ex.req.count("route") > 0 { // a trunk does not choose our path
		ex.req.pop("route")
	}
	inv, err := newInvite(ex.req, ex.pk.size)
	if err != nil {
		ex.final(response(ex.req, 400, "", nil))
		return
	}
	inv.Peer, inv.Source, inv.Transport, inv.Time, inv.Stripped = *ex.pk.peer, ex.pk.src, ex.pk.lis.network, ex.pk.at, stripped
	screener := ex.table.screener
	ex.inv = inv
	if screener == nil {
		ex.route()
		return
	}
	ex.begins()
	if _, ok := screener.(Immediate); ok {
		ex.decided(p.screen(p.ctx, screener, inv))
		return
	}
	ok := p.spawn(p.screens, func() {
		ctx, cancel := p.callContext()
		defer cancel()
		d := p.screen(ctx, screener, inv)
		s.post(&event{ex: ex, decision: &d})
	})
	if !ok {
		p.n.screenSkipped.Add(1)
		ex.route()
		return
	}
	s.after(&ex.wait, p.opt.ScreenTimeout+p.opt.ScreenTimeout/10, ex, screenDue)
}

// screen asks the Screener; one that panics has not decided.
func (p *Proxy) screen(ctx context.Context, screener Screener, inv *Invite) (d Decision) {
	defer func() {
		if r := recover(); r != nil {
			p.panicked("screener", r)
			p.n.screenSkipped.Add(1)
		}
	}()
	return screener.Screen(ctx, inv)
}

func (ex *exchange) decided(d Decision) {
	s, p := ex.shard, ex.shard.p
	if ex.state != exDeciding || ex.screened {
		return
	}
	ex.screened = true
	ex.ends(StageScreen)
	if ex.seen != nil {
		ex.seen.Labels = d.Labels
	}
	s.cancel(&ex.wait)
	if r := d.Refuse; r != nil {
		p.n.screenRefused.Add(1)
		code, text := r.Code, r.Phrase
		if code < 400 || code > 699 {
			p.n.badDecisions.Add(1)
			code, text = 403, ""
		}
		if !validField(HeaderField{"Phrase", text}) {
			p.n.badDecisions.Add(1)
			text = ""
		}
		headers, bad := validFields(r.Headers)
		p.n.badDecisions.Add(bad)
		ex.final(response(ex.req, code, text, headers))
		return
	}
	var bad uint64
	ex.add, bad = validFields(d.Add)
	p.n.badDecisions.Add(bad)
	ex.route()
}

func (ex *exchange) route() {
	s, p, inv := ex.shard, ex.shard.p, ex.inv
	ex.screened = true
	router := ex.table.router
	if router == nil {
		ex.routed(ex.table.everyNode())
		return
	}
	ex.begins()
	if _, ok := router.(Immediate); ok {
		ex.routed(p.route(p.ctx, router, inv))
		return
	}
	ok := p.spawn(p.routes, func() {
		ctx, cancel := p.callContext()
		defer cancel()
		hops := p.route(ctx, router, inv)
		s.post(&event{ex: ex, hops: hops, routed: true})
	})
	if !ok {
		p.n.overload.Add(1)
		ex.final(response(ex.req, 503, "", retryAfter))
		return
	}
	s.after(&ex.wait, p.opt.ScreenTimeout+p.opt.ScreenTimeout/10, ex, routeDue)
}

// route asks the Router; one that panics knows no hop.
func (p *Proxy) route(ctx context.Context, router Router, inv *Invite) (hops []Hop) {
	defer func() {
		if r := recover(); r != nil {
			p.panicked("router", r)
		}
	}()
	return router.Route(ctx, inv)
}

func (ex *exchange) routed(hops []Hop) {
	s, p := ex.shard, ex.shard.p
	if ex.state != exDeciding {
		return
	}
	ex.ends(StageRoute)
	s.cancel(&ex.wait)
	for _, h := range ex.table.expand(hops) {
		h.Addr = unmapped(h.Addr)
		if h.outside {
			if h.Transport == "tls" && h.TLSName != "" && h.Addr.IsValid() && !p.isUsAt(h.Addr) && len(ex.hops) < maxHops {
				ex.hops = append(ex.hops, h)
			} else {
				p.n.badDecisions.Add(1)
			}
			continue
		}
		peer := ex.table.byAddr(h.Addr)
		if peer == nil || !h.Addr.IsValid() || checkTransport("", h.Transport) != nil || p.isUsAt(h.Addr) {
			p.n.badDecisions.Add(1)
			p.log.Error("router names a hop that is not configured", zap.Stringer("hop", h.Addr), zap.String("call_id", ex.inv.CallID))
			continue
		}
		if h.Transport == "" {
			h.Transport = peer.Transport
		}
		ex.hops = append(ex.hops, h)
		if len(ex.hops) == maxHops {
			break
		}
	}
	ex.inv = nil
	if uri := dialled(ex.req.uri); ex.outside == nil && uri != ex.req.uri {
		ex.req = ex.req.clone() // a Screener may still read the other
		ex.req.uri = uri
	}
	ex.hops = p.healthy(ex.hops)
	if len(ex.hops) == 0 && ex.outside != nil {
		ex.final(ex.none())
		return
	}
	if len(ex.hops) == 0 && len(hops) > 0 && !hops[0].Addr.IsValid() {
		p.n.unroutable.Add(1)
		p.log.Error("no address of a hop is known", zap.String("hop", hops[0].Name))
		ex.final(response(ex.req, 503, "", retryAfter))
		return
	}
	if len(ex.hops) == 0 {
		p.n.unroutable.Add(1)
		ex.final(response(ex.req, 500, "No Route", nil))
		return
	}
	ex.next()
}

// maxHops bounds the hops tried for one call.
const maxHops = 8

// next tries the next hop; without one the exchange ends with the best answer it got.
func (ex *exchange) next() {
	if ex.state != exDeciding && ex.state != exTrying {
		return
	}
	ex.state = exTrying
	for len(ex.hops) > 0 {
		h := ex.hops[0]
		ex.hops = ex.hops[1:]
		if ex.attempt > 0 {
			ex.shard.p.n.failovers.Add(1)
		}
		if ex.try(h, false) {
			return
		}
	}
	if ex.best == nil {
		ex.best = response(ex.req, 503, "", nil)
	}
	ex.final(ex.upstream(ex.best))
}

// upstream is what is told of a hop's answer. A 503 would say that nothing can be served through us (RFC 3261 16.7 step 6), which is true when
// every node has been asked, and not of one carrier, phone or dialog.
func (ex *exchange) upstream(m *message) *message {
	if m.code == 503 && (ex.fixed || ex.pk.peer.Kind == Node) {
		m.code, m.phrase = 500, phrase(500)
	}
	return m
}

// try sends the request to a hop.
func (ex *exchange) try(h Hop, noTCP bool) bool {
	s := ex.shard
	network, out := s.choose(h, ex.req, ex.add, ex.back.lis, noTCP)
	if out == nil {
		s.p.log.Error("no listener speaks the transport of a hop", zap.Stringer("hop", h.Addr), zap.String("transport", network))
		return false
	}
	branch := branchFor(ex.key, loopPart(ex.req), ex.attempt)
	ex.attempt++
	l := &leg{
		shard: s, ex: ex, hop: h, out: out, branch: branch, method: ex.req.method,
		sent: forwarded(ex.req, ex.back.lis, out, branch, ex.add, ex.wayBack(h)), bySize: h.Transport == "" && network == "tcp",
	}
	ex.current = l
	if h.outside {
		s.p.remotes.add(h.Addr.Addr(), s.now)
	}
	if ex.invite {
		s.p.traffic.hop(h, func(c *HopCount) { c.Sent++ })
	}
	if ex.invite && ex.pk.peer.Kind == Trunk && !ex.fixed {
		ex.begins()
	}
	ex.asked(l)
	if l.start() {
		return true
	}
	ex.told(0, "unreachable")
	l.hopFailed()
	return false
}

// wayBack is what our Record-Route, or the Path of a registration, has to say for requests that come later.
func (ex *exchange) wayBack(h Hop) wayBack {
	switch {
	case h.flow != nil:
		return wayBack{token: h.flow.token}
	case h.outside:
		return wayBack{token: ex.shard.p.remoteToken(h)}
	case ex.pk.peer.Kind == Device:
		return wayBack{token: ex.shard.p.flowToken(&ex.pk), asker: true}
	}
	return wayBack{carrier: carrierOf(ex.req, ex.pk.peer, ex.pk.src, h.Addr, ex.table)}
}

// registered takes from the answer to a device's REGISTER whether its flow may make calls.
func (ex *exchange) registered(res *message) {
	p := ex.shard.p
	if ex.pk.peer.Kind != Device {
		return
	}
	switch {
	case res.code < 300:
		d, ok := registerExpires(ex.req, res)
		if !ok {
			return
		}
		to, _ := parseAddress(ex.req.get("to"))
		if !p.flows.set(keyOf(&ex.pk), to.User+"@"+to.Host, d, ex.shard.now) {
			p.log.Warn("no room for a registered flow: the device can be called but makes no calls", zap.Stringer("source", ex.pk.src))
		}
		p.bansOf(ex.pk.lis).forgive(ex.pk.src.Addr())
		if ex.pk.conn != nil && d > 0 {
			p.conns.trust(ex.pk.conn)
			ex.pk.conn.wait(false)
		}
	case res.code == 401 || res.code == 407:
		p.challenged(&ex.pk)
	case res.code == 403 || res.code == 404:
		p.offend(ex.pk.lis, ex.pk.conn, ex.pk.src, "registration refused")
	}
}

// send writes a response upstream and remembers it.
func (ex *exchange) send(m *message) {
	if ex.back.lis.network == "udp" { // the one before it has left
		ex.last = m.append(slices.Grow(ex.last[:0], m.size()))
	} else {
		ex.last = m.bytes()
	}
	ex.shard.sendBack(ex.back, ex.table, ex.last)
}

// settle ends the pending part: nothing more will be decided.
func (ex *exchange) settle() {
	ex.heard()
	if ex.pending {
		ex.pending = false
		ex.shard.p.n.pending.Add(-1)
	}
	if ex.work != nil {
		ex.shard.cancel(&ex.wait)
		ex.work = nil
	}
}

// final sends the last response upstream. For an INVITE that failed it is sent again until its ACK comes (timers G and H).
func (ex *exchange) final(m *message) {
	s, o := ex.shard, ex.shard.p.opt
	if ex.state != exDeciding && ex.state != exTrying {
		return
	}
	ex.shard.p.traffic.answer(ex.req.method, ex.back.lis.network, m.code)
	ex.outside.report(m)
	ex.send(m)
	ex.observe(m.code)
	reliable := ex.back.lis.network != "udp"
	keep := 64 * o.T1
	switch {
	case m.code < 300 && ex.invite:
		ex.state = exAccepted
		ex.last = nil
	case ex.invite:
		ex.state = exFailed
		if !reliable {
			ex.interval = o.T1
			s.after(&ex.resend, ex.interval, ex, resendDue)
		}
	default:
		ex.state = exDone
		if reliable {
			keep = 0
		}
	}
	ex.settle()
	s.after(&ex.linger, keep, ex, forgetDue)
}

// resendFinal is timer G.
func (ex *exchange) resendFinal() {
	s := ex.shard
	if ex.state != exFailed {
		return
	}
	s.sendBack(ex.back, ex.table, ex.last)
	ex.interval = min(2*ex.interval, s.p.opt.T2)
	s.after(&ex.resend, ex.interval, ex, resendDue)
}

// forget ends the server transaction. Legs that are still owed something live on by themselves.
func (ex *exchange) forget() {
	s := ex.shard
	s.cancel(&ex.resend)
	s.cancel(&ex.linger)
	ex.settle()
	if s.server[ex.key] == ex {
		delete(s.server, ex.key)
		s.p.n.kept.Add(-1)
	}
	ex.last = nil
}
