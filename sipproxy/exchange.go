package sipproxy

import (
	"time"

	"go.uber.org/zap"
)

// exState is where an exchange stands towards the side its request came from (RFC 3261 17.2, with RFC 6026's accepted state).
type exState int

const (
	exDeciding exState = iota // screening and routing
	exTrying                  // a hop is being asked
	exFailed                  // answered with 300 to 699, not yet acknowledged
	exAccepted                // answered with a 2xx
	exDone                    // acknowledged, or a request that is no INVITE and was answered
)

// exchange is one request we took and everything done for it: its server transaction, the hops, a leg for each hop tried.
type exchange struct {
	shard  *shard
	key    string
	req    *message // as received, stripped, with our Routes off and the Via stamped
	invite bool
	back   flow
	pk     packet

	state     exState
	pending   bool
	last      []byte // the last response sent, for retransmissions
	best      *message
	add       []HeaderField
	fixed     bool // the hop is given by the request: no failover, no screening
	hops      []Hop
	attempt   int
	current   *leg
	winner    *leg
	cancelled bool
	screened  bool
	inv       *Invite
	outside   *attempts // of a node's call to a domain
	since     time.Time // when its present stage began; zero = there is none, or nobody is to be told

	resend, linger, wait *timer
	interval             time.Duration
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
			s.after(&ex.linger, d, ex.forget)
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
		s.sendBack(ex.back, ex.pk.table, ex.last)
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
	screener := ex.pk.table.screener
	ex.inv = inv
	if screener == nil {
		ex.route()
		return
	}
	ex.begins()
	ok := p.spawn(p.screens, func() {
		ctx, cancel := p.callContext()
		defer cancel()
		d := Decision{}
		func() {
			defer func() {
				if r := recover(); r != nil {
					p.panicked("screener", r)
					p.n.screenSkipped.Add(1)
				}
			}()
			d = screener.Screen(ctx, inv)
		}()
		s.post(event{ex: ex, decision: &d})
	})
	if !ok {
		p.n.screenSkipped.Add(1)
		ex.route()
		return
	}
	s.after(&ex.wait, p.opt.ScreenTimeout+p.opt.ScreenTimeout/10, func() {
		p.n.screenSkipped.Add(1)
		p.log.Warn("screener is late, call delivered unscreened", zap.String("call_id", inv.CallID))
		ex.decided(Decision{})
	})
}

func (ex *exchange) decided(d Decision) {
	s, p := ex.shard, ex.shard.p
	if ex.state != exDeciding || ex.screened {
		return
	}
	ex.screened = true
	ex.ends(StageScreen)
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
	router := ex.pk.table.router
	if router == nil {
		ex.routed(ex.pk.table.nodes())
		return
	}
	ex.begins()
	ok := p.spawn(p.routes, func() {
		ctx, cancel := p.callContext()
		defer cancel()
		var hops []Hop
		func() {
			defer func() {
				if r := recover(); r != nil {
					p.panicked("router", r)
				}
			}()
			hops = router.Route(ctx, inv)
		}()
		s.post(event{ex: ex, hops: hops, routed: true})
	})
	if !ok {
		p.n.overload.Add(1)
		ex.final(response(ex.req, 503, "", retryAfter))
		return
	}
	s.after(&ex.wait, p.opt.ScreenTimeout+p.opt.ScreenTimeout/10, func() {
		p.log.Warn("router is late", zap.String("call_id", inv.CallID))
		ex.routed(nil)
	})
}

func (ex *exchange) routed(hops []Hop) {
	s, p := ex.shard, ex.shard.p
	if ex.state != exDeciding {
		return
	}
	ex.ends(StageRoute)
	s.cancel(&ex.wait)
	for _, h := range hops {
		h.Addr = unmapped(h.Addr)
		if h.outside {
			if h.Transport == "tls" && h.TLSName != "" && h.Addr.IsValid() && !p.isUs(h.Addr.Addr().String(), h.Addr.Port()) && len(ex.hops) < maxHops {
				ex.hops = append(ex.hops, h)
			} else {
				p.n.badDecisions.Add(1)
			}
			continue
		}
		peer := ex.pk.table.byAddr(h.Addr)
		if peer == nil || !h.Addr.IsValid() || checkTransport("", h.Transport) != nil || p.isUs(h.Addr.Addr().String(), h.Addr.Port()) {
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
	ex.hops = p.healthy(ex.hops)
	if len(ex.hops) == 0 && ex.outside != nil {
		ex.final(ex.none())
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
	ex.final(ex.best)
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
		shard: s, ex: ex, hop: h, network: network, out: out, branch: branch, method: ex.req.method,
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
	if l.start() {
		return true
	}
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
		return wayBack{token: ex.shard.p.flowToken(&ex.pk)}
	}
	return wayBack{carrier: carrierOf(ex.req, ex.pk.peer, ex.pk.src, h.Addr, ex.pk.table)}
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
	case res.code == 403 || res.code == 404:
		p.offend(ex.pk.lis, ex.pk.conn, ex.pk.src, "registration refused")
	}
}

// send writes a response upstream and remembers it.
func (ex *exchange) send(m *message) {
	ex.last = m.bytes()
	ex.shard.sendBack(ex.back, ex.pk.table, ex.last)
}

// settle ends the pending part: nothing more will be decided.
func (ex *exchange) settle() {
	if ex.pending {
		ex.pending = false
		ex.shard.p.n.pending.Add(-1)
	}
	ex.shard.cancel(&ex.wait)
	ex.best, ex.add, ex.hops, ex.inv = nil, nil, nil, nil
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
			s.after(&ex.resend, ex.interval, ex.resendFinal)
		}
	default:
		ex.state = exDone
		if reliable {
			keep = 0
		}
	}
	ex.settle()
	ex.req = nil
	s.after(&ex.linger, keep, ex.forget)
}

// resendFinal is timer G.
func (ex *exchange) resendFinal() {
	s := ex.shard
	if ex.state != exFailed {
		return
	}
	s.sendBack(ex.back, ex.pk.table, ex.last)
	ex.interval = min(2*ex.interval, s.p.opt.T2)
	s.after(&ex.resend, ex.interval, ex.resendFinal)
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
