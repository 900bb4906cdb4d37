package sipproxy

import (
	"time"

	"go.uber.org/zap"
)

// legState is where a client transaction stands (RFC 3261 17.1).
type legState int8

const (
	legCalling    legState = iota // nothing heard
	legProceeding                 // a provisional response came
	legFailed                     // 300 to 699, acknowledged
	legAccepted                   // a 2xx
	legDone                       // answered, for all but INVITE
)

// leg is one client transaction: a request sent to one hop. ex is nil for a CANCEL and for the BYE of a ghost, which nobody waits for.
type leg struct {
	shard  *shard
	ex     *exchange
	hop    Hop
	out    *listener
	conn   *conn
	branch string
	method string
	sent   *message
	raw    []byte
	ack    []byte // for a final response that comes again
	reason string // why it is abandoned
	probe  *probe // asks a node or a target whether it is there

	state     legState
	bySize    bool // TCP was our choice: when it fails, UDP is tried
	rang      bool // a provisional above 100
	abandoned bool // whatever it answers, nobody waits for it
	cancelled bool // CANCEL was sent
	ghosted   bool // BYE was sent
	retried   bool

	resend   timer
	due      timer // its end: that of waiting for an answer, or of remembering it
	interval time.Duration
}

// expire implements expirer.
func (l *leg) expire(what deadline) {
	switch what {
	case resendDue:
		l.sendAgain()
	case answerDue:
		l.timedOut()
	case forgetDue:
		l.forget()
	}
}

// network is the transport it was sent by.
func (l *leg) network() string { return l.out.network }

// start sends the request and sets its timers: A and E, B and F, and the short one to the first response.
func (l *leg) start() bool {
	s, o := l.shard, l.shard.p.opt
	l.raw = l.sent.bytes()
	k := clientKey{l.branch, l.method}
	if old := s.client[k]; old != nil {
		old.forget() // the same request again, after its exchange was forgotten
	}
	s.client[k] = l
	s.p.n.legs.Add(1)
	var ok bool
	l.conn, ok = s.send(l.network(), l.out, l.hop, l.raw, l)
	if !ok {
		l.forget()
		if l.bySize && l.ex != nil && l.ex.state == exTrying {
			return l.ex.try(l.hop, true)
		}
		return false
	}
	if l.network() == "udp" {
		l.interval = o.T1
		s.after(&l.resend, l.interval, l, resendDue)
	}
	d := 64 * o.T1
	if l.method == "INVITE" && l.ex != nil && !l.ex.fixed || l.another() || l.probe != nil {
		d = min(d, o.FirstResponse)
	}
	s.after(&l.due, d, l, answerDue)
	return true
}

// another says whether a request that is no INVITE, as a REGISTER, can go to another hop when this one is silent.
func (l *leg) another() bool { return l.method != "INVITE" && l.ex != nil && len(l.ex.hops) > 0 }

func (l *leg) sendAgain() {
	s, o := l.shard, l.shard.p.opt
	if l.state > legProceeding || (l.method == "INVITE" && (l.state != legCalling || l.abandoned)) {
		return
	}
	s.send(l.network(), l.out, l.hop, l.raw, l)
	l.interval *= 2
	if l.method != "INVITE" {
		l.interval = min(l.interval, o.T2)
	}
	if l.state == legProceeding {
		l.interval = o.T2
	}
	s.after(&l.resend, l.interval, l, resendDue)
}

// sendFailed is told when the request could not be written, or its connection ended before any answer.
func (l *leg) sendFailed() {
	if l.state != legCalling {
		return
	}
	ex := l.ex
	if ex == nil || l.abandoned {
		l.forget()
		l.probed(0)
		return
	}
	if l.network() != "udp" && l.hop.flow == nil && !l.retried && l.conn != nil && l.conn.up.Load() {
		// A pooled connection may have been dead without our knowing: once more, on a new one.
		l.retried = true
		if c, ok := l.shard.send(l.network(), l.out, l.hop, l.raw, l); ok {
			l.conn = c
			return
		}
	}
	l.forget()
	if l.bySize && ex.state == exTrying && ex.awaits(l) && ex.try(l.hop, true) {
		return
	}
	ex.legFailed(l, nil)
}

// connLost is told when the connection its request went on has ended. FreeSWITCH sends the answers that are still to come nowhere
// else, so a call that waits for one is over: it is taken back, by CANCEL on a new connection, and another hop is tried unless it rang.
func (l *leg) connLost() {
	switch {
	case l.state == legCalling:
		l.sendFailed()
	case l.state == legProceeding && l.method == "INVITE" && l.ex != nil && !l.abandoned:
		l.abandon("")
		if l.ex.awaits(l) {
			l.ex.legFailed(l, nil)
		}
	}
}

// timedOut is timer B, F or C, or the short wait for a first response.
func (l *leg) timedOut() {
	s, ex := l.shard, l.ex
	if l.probe != nil {
		l.forget()
		l.probed(0)
		return
	}
	s.p.log.Info("no answer from a hop", zap.Stringer("hop", l.hop.Addr), zap.String("method", l.method), zap.String("call_id", l.sent.get("call-id")))
	if ex == nil || l.abandoned {
		l.forget()
		return
	}
	rang := l.state == legProceeding
	if !ex.invite {
		more := l.another() && !rang
		l.forget()
		switch {
		case more:
			ex.next()
		case ex.best != nil: // of a hop before
			ex.final(ex.upstream(ex.best))
		default:
			ex.silent()
		}
		return
	}
	l.abandon("")
	if rang {
		// Timer C (RFC 3261 16.8): the hop works, the call does not end.
		ex.hops = nil
	}
	if ex.state == exTrying && ex.awaits(l) {
		ex.legFailed(l, response(ex.req, 408, "", nil))
	}
}

// abandon means that nobody waits for this leg any more: a call that has begun to ring is cancelled, one that may still begin is
// cancelled then (RFC 3261 9.1), and a 2xx is a ghost.
func (l *leg) abandon(reason string) {
	if l.abandoned || l.state > legProceeding {
		return
	}
	s := l.shard
	l.abandoned, l.reason = true, reason
	s.cancel(&l.resend)
	s.after(&l.due, 64*s.p.opt.T1, l, answerDue)
	if l.state == legProceeding {
		l.sendCancel()
	}
}

func (l *leg) sendCancel() {
	if l.cancelled || l.method != "INVITE" {
		return
	}
	l.cancelled = true
	c := &leg{shard: l.shard, hop: l.hop, out: l.out, branch: l.branch, method: "CANCEL", sent: cancelFor(l.sent, l.reason)}
	c.start()
}

// mayAnswer says whether a response may come from there. Whoever made a request can work out our branch, so a device answers along
// the flow that was asked, and for a node nobody answers but a node: else a forged 200 would register a device. Carriers answer from
// wherever they like within their prefixes.
func (l *leg) mayAnswer(pk *packet) bool {
	fromDevice := pk.peer != nil && pk.peer.Kind == Device
	switch {
	case l.hop.flow != nil:
		return fromDevice && l.hop.flow.sends(pk)
	case fromDevice:
		return false
	case l.hop.outside:
		return pk.src.Addr() == l.hop.Addr.Addr()
	}
	return !pk.table.holdsNode(l.hop.Addr.Addr()) || pk.table.holdsNode(pk.src.Addr())
}

// response takes a response that matched.
func (l *leg) response(m *message) {
	s, ex := l.shard, l.ex
	if ex != nil {
		ex.heard()
	}
	s.cancel(&l.resend)
	if l.method != "INVITE" {
		l.plainResponse(m)
		return
	}
	if ex.awaits(l) {
		ex.ends(StageHop)
	}
	switch {
	case m.code < 200:
		if l.state > legProceeding {
			return
		}
		first := l.state == legCalling
		l.state = legProceeding
		if m.code > 100 {
			l.rang = true
		}
		if l.abandoned {
			l.sendCancel()
			return
		}
		if m.code > 100 || first { // timer C; a further 100 does not reset it
			s.after(&l.due, s.p.opt.TimerC, l, answerDue)
		}
		if m.code > 100 && ex.state == exTrying && ex.awaits(l) {
			m.pop("via")
			ex.send(m)
		}
	case m.code < 300:
		l.accepted(m)
	default:
		if l.state == legAccepted {
			return
		}
		if l.ack != nil {
			s.send(l.network(), l.out, l.hop, l.ack, nil)
			return
		}
		l.state = legFailed
		l.ack = ackFor(l.sent, m).bytes()
		s.send(l.network(), l.out, l.hop, l.ack, nil)
		l.raw = nil
		s.after(&l.due, 64*s.p.opt.T1, l, forgetDue)
		if !l.abandoned && ex.awaits(l) {
			m.pop("via")
			ex.legFailed(l, m)
		}
	}
}

// accepted takes a 2xx, the first or one that came again or of a further branch below the hop.
func (l *leg) accepted(m *message) {
	s, ex := l.shard, l.ex
	first := l.state != legAccepted
	l.state = legAccepted
	if first {
		s.after(&l.due, 64*s.p.opt.T1, l, forgetDue)
	}
	switch {
	case ex.state == exTrying && !l.abandoned:
		ex.winner = l
		ex.tried(l, m)
		m.pop("via")
		ex.final(m)
		l.sent, l.raw = nil, nil // from here on its 2xx only pass
	case ex.state == exAccepted && ex.winner == l:
		m.pop("via")
		s.sendBack(ex.back, ex.table, s.scratch(m, ex.back.lis))
	default:
		l.hangUpGhost(m)
	}
}

// hangUpGhost acknowledges and ends a call that was answered when nobody was there any more.
func (l *leg) hangUpGhost(m *message) {
	s := l.shard
	tag := m.get("to")
	ack := ghost(l.sent, m, "ACK", 0, branchPrefix+digest(l.branch, tag, "ack"), s.p.isUs)
	s.send(l.network(), l.out, l.hop, ack.bytes(), nil)
	if l.ghosted {
		return
	}
	l.ghosted = true
	s.p.n.ghosts.Add(1)
	s.p.log.Info("answered call that nobody waits for is hung up", zap.String("call_id", m.get("call-id")), zap.Stringer("hop", l.hop.Addr))
	branch := branchPrefix + digest(l.branch, tag, "bye")
	b := &leg{shard: s, hop: l.hop, out: l.out, branch: branch, method: "BYE",
		sent: ghost(l.sent, m, "BYE", 1, branch, s.p.isUs)}
	b.start()
}

// plainResponse is for everything but INVITE.
func (l *leg) plainResponse(m *message) {
	s, ex := l.shard, l.ex
	if m.code < 200 {
		if l.state > legProceeding {
			return
		}
		l.state = legProceeding
		if l.network() == "udp" {
			s.after(&l.resend, s.p.opt.T2, l, resendDue)
		}
		s.after(&l.due, 64*s.p.opt.T1, l, answerDue) // it is there
		if ex != nil && m.code > 100 && ex.state == exTrying {
			m.pop("via")
			ex.send(m)
		}
		return
	}
	if l.state == legDone {
		return
	}
	l.state = legDone
	l.probed(m.code)
	l.sent, l.raw = nil, nil
	keep := time.Duration(0)
	if l.network() == "udp" {
		keep = 10 * s.p.opt.T1 // timer K is T4
	}
	s.after(&l.due, keep, l, forgetDue)
	if ex == nil || ex.state != exTrying {
		return
	}
	m.pop("via")
	if m.code == 503 && l.another() { // RFC 3263 section 4.3
		ex.told(m.code, "")
		ex.best = m
		ex.next()
		return
	}
	if l.method == "REGISTER" {
		ex.registered(m)
	}
	ex.final(ex.upstream(m))
}

// probed ends a probe.
func (l *leg) probed(code int) {
	if l.probe != nil {
		l.shard.p.probed(l.probe, code)
	}
}

func (l *leg) forget() {
	s := l.shard
	s.cancel(&l.resend)
	s.cancel(&l.due)
	if k := (clientKey{l.branch, l.method}); s.client[k] == l {
		delete(s.client, k)
		s.p.n.legs.Add(-1)
	}
}

// legFailed goes on to the next hop when that can help, else ends the exchange. res is nil when the hop could not be reached. A hop
// that rang is never followed by another: the subscriber was asked, and his answer stands.
func (ex *exchange) legFailed(l *leg, res *message) {
	if ex.state != exTrying {
		return
	}
	ex.tried(l, res)
	if res != nil && res.code != 503 && res.code != 408 || l.rang {
		if res == nil {
			res = response(ex.req, 503, "", nil)
		}
		ex.final(ex.upstream(res))
		return
	}
	l.hopFailed()
	if res == nil && l.hop.flow != nil {
		ex.shard.p.n.flowsGone.Add(1)
		res = response(ex.req, 430, "", nil)
	}
	ex.best = better(ex.best, res)
	ex.next()
}

// hopFailed notes that a hop did not take an INVITE.
func (l *leg) hopFailed() {
	if l.method == "INVITE" {
		l.shard.p.traffic.hop(l.hop, func(c *HopCount) { c.Failed++ })
	}
}

// silent ends a request that is no INVITE and got no answer: none is given either (RFC 4320 4.1).
func (ex *exchange) silent() {
	ex.told(0, "silent")
	ex.observe(0)
	ex.state = exDone
	ex.forget()
}
