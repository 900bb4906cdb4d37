package fssim

import (
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"
)

// reliably is how the provisional responses to an INVITE with "Require: 100rel" go out (RFC 3262): one at a time, repeated until its
// PRACK comes; what else is to be answered waits behind it, but for a refusal. It is guarded by the lock of the stack.
type reliably struct {
	rseq    uint32
	unacked []byte // the response whose PRACK has not come
	repeat  *timer
	waiting []*sipMessage
	closed  bool
}

// newReliably begins at a random number, as Sofia does.
func newReliably() *reliably { return &reliably{rseq: rand.Uint32N(1 << 29)} }

// respondReliably is respond for such an INVITE.
func (tx *serverTx) respondReliably(r *sipMessage) {
	st, rel := tx.st, tx.reliable
	st.mu.Lock()
	switch {
	case rel.closed || r.status == 100:
	case r.status >= 300:
		rel.closed = true
		st.timers.stop(rel.repeat)
	case rel.unacked != nil:
		if len(rel.waiting) < maxJobs {
			rel.waiting = append(rel.waiting, r)
		}
		st.mu.Unlock()
		return
	case r.status < 200:
		rel.rseq++
		r.set("RSeq", strconv.FormatUint(uint64(rel.rseq), 10))
		r.set("Require", "100rel")
		rel.unacked = r.bytes()
		tx.repeatProvisional(sipT1, 0)
	}
	st.mu.Unlock()
	tx.send(r)
}

// repeatProvisional doubles the time between repetitions without a bound, and refuses the INVITE after 64*T1. The caller holds the lock.
func (tx *serverTx) repeatProvisional(d, since time.Duration) {
	rel := tx.reliable
	rel.repeat = tx.st.timers.after(d, func() {
		tx.st.mu.Lock()
		data, given := rel.unacked, since+d >= sipTimeout
		if data != nil && !given {
			tx.repeatProvisional(2*d, since+d)
		}
		tx.st.mu.Unlock()
		switch {
		case data == nil:
		case given:
			tx.respondReliably(tx.newResponse(504, "Reliable Response Time-Out"))
			if tx.noAck != nil {
				tx.noAck()
			}
		default:
			_ = tx.st.t.send(tx.reply, data)
		}
	})
}

// prack takes the PRACK of the response that waits for one; false means that it fits none.
func (tx *serverTx) prack(m *sipMessage) bool {
	st, rel := tx.st, tx.reliable
	f := strings.Fields(m.get("RAck"))
	n, _ := tx.req.cseq()
	st.mu.Lock()
	if rel == nil || rel.unacked == nil || !slices.Equal(f, []string{strconv.FormatUint(uint64(rel.rseq), 10), strconv.FormatUint(uint64(n), 10), "INVITE"}) {
		st.mu.Unlock()
		return false
	}
	rel.unacked = nil
	st.timers.stop(rel.repeat)
	waiting := rel.waiting
	rel.waiting = nil
	st.mu.Unlock()
	for _, r := range waiting {
		tx.respondReliably(r)
	}
	return true
}

// onPrack answers a PRACK.
func (p *profile) onPrack(tx *serverTx) {
	c := p.dialog(tx.req)
	if c == nil {
		tx.respond(tx.newResponse(481, "Call Does Not Exist"))
		return
	}
	c.mu.Lock()
	inv := c.leg.invite
	c.mu.Unlock()
	if inv == nil || !inv.prack(tx.req) {
		tx.respond(tx.newResponse(481, "No such response"))
		return
	}
	r := tx.newResponse(200, "OK")
	r.add("User-Agent", userAgent)
	r.add("Allow", p.allowed())
	r.add("Supported", p.supported())
	tx.respond(r)
}

// requires gives what a request asks for in Require and the profile has not.
func (p *profile) requires(m *sipMessage) (missing []string) {
	have := strings.Split(p.supported(), ", ")
	for _, tag := range m.list("Require") {
		if !slices.Contains(have, strings.ToLower(tag)) {
			missing = append(missing, tag)
		}
	}
	return missing
}

// minSessionTime is the shortest session timer that Sofia takes, in seconds.
const minSessionTime = 120

// sessionTime reads a session timer that the far end wants and refreshes itself (RFC 4028); tooShort means 422. That a session which
// nobody refreshes ends is not simulated.
func (p *profile) sessionTime(m *sipMessage) (expires string, tooShort bool) {
	value := firstNonEmpty(m.get("Session-Expires"), m.get("x"))
	if value == "" {
		return "", false
	}
	seconds, params := cutParams(value)
	if atoi(strings.TrimSpace(seconds)) < minSessionTime {
		return "", true
	}
	if by, _ := paramOf(params, "refresher"); by == "uas" {
		p.s.unknown("session timer that the switch refreshes")
	}
	return strings.TrimSpace(seconds) + ";refresher=uac", false
}

// keepsTime writes the session timer into a 2xx.
func (p *profile) keepsTime(tx *serverTx, r *sipMessage) {
	if expires, _ := p.sessionTime(tx.req); expires != "" {
		r.add("Require", "timer")
		r.add("Session-Expires", expires)
	}
}

// shortSession refuses a session timer.
func (p *profile) shortSession(tx *serverTx) bool {
	if _, short := p.sessionTime(tx.req); !short {
		return false
	}
	r := tx.newResponse(422, "Session Interval Too Small")
	r.add("User-Agent", userAgent)
	r.add("Allow", p.allowed())
	r.add("Supported", p.supported())
	r.add("Min-SE", strconv.Itoa(minSessionTime))
	tx.respond(r)
	return true
}
