package lab

import (
	"strings"
	"time"
)

// RFC 3261 timers. T1 is the estimate of a round trip, T2 the longest pause between two repetitions.
const (
	timerT1 = 500 * time.Millisecond
	timerT2 = 4 * time.Second
	timerB  = 64 * timerT1
)

// clientTx is a request of ours until its final response.
type clientTx struct {
	agent    *Agent
	key      string
	method   string
	to       hop
	raw      []byte
	answer   func(*Message) // each response; nil = nobody came within 32 s
	answered bool
	pause    time.Duration
	repeat   *time.Timer
	expire   *time.Timer
}

// begin sends a request and calls answer, on the loop, with each response, and with nil when none came.
func (a *Agent) begin(branch, method string, to hop, raw []byte, answer func(*Message)) *clientTx {
	tx := &clientTx{agent: a, key: branch + method, method: method, to: to, raw: raw, answer: answer, pause: timerT1}
	a.clients[tx.key] = tx
	a.transmit(to, raw, "")
	if to.network == "udp" {
		tx.repeat = a.after(tx.pause, tx.again)
	}
	tx.expire = a.after(timerB, func() {
		if !tx.answered || tx.method != "INVITE" {
			tx.end()
			tx.answer(nil)
		}
	})
	return tx
}

func (tx *clientTx) again() {
	tx.agent.transmit(tx.to, tx.raw, ", again")
	tx.pause *= 2
	if tx.method != "INVITE" {
		tx.pause = min(tx.pause, timerT2)
	}
	tx.repeat = tx.agent.after(tx.pause, tx.again)
}

func (tx *clientTx) end() {
	tx.agent.stop(tx.repeat)
	tx.agent.stop(tx.expire)
	delete(tx.agent.clients, tx.key)
}

// response finds the request a response belongs to. The transaction of an INVITE is kept, so that a repeated final response is
// acknowledged again.
func (a *Agent) response(m *Message) {
	tx := a.clients[m.branch()+m.Method()]
	if tx == nil {
		return
	}
	tx.answered = true
	if tx.method == "INVITE" || m.Status() >= 200 {
		a.stop(tx.repeat)
	}
	if tx.method != "INVITE" && m.Status() >= 200 {
		tx.end()
	}
	tx.answer(m)
}

// serverTx is a request of the far end and what we said to it.
type serverTx struct {
	req    *Message
	reply  hop
	last   []byte
	acked  bool
	repeat *time.Timer
	pause  time.Duration
	moved  string // URI in the Contact of a 3xx
}

// serverKey is the branch, sender and method of a request; an ACK finds its INVITE.
func serverKey(m *Message) string {
	method := m.Method()
	if method == "ACK" {
		method = "INVITE"
	}
	via := m.data().Via()
	return m.branch() + "|" + strings.ToLower(via.SentBy()) + "|" + method
}

// request takes a new request, or answers a repeated one as before.
func (a *Agent) request(m *Message, from hop) {
	if m.Method() == "ACK" {
		a.acknowledged(m)
		return
	}
	key := serverKey(m)
	if tx := a.servers[key]; tx != nil {
		if tx.last != nil {
			a.transmit(tx.reply, tx.last, ", again")
		}
		return
	}
	tx := &serverTx{req: m, reply: m.replyHop(from)}
	a.servers[key] = tx
	switch m.Method() {
	case "INVITE":
		a.invited(tx)
	case "CANCEL":
		a.cancelled(tx)
	case "BYE":
		a.byed(tx)
	case "OPTIONS", "INFO", "NOTIFY", "MESSAGE", "UPDATE":
		switch m.Method() {
		case "NOTIFY":
			a.notices = append(a.notices, m)
		case "MESSAGE":
			a.texts = append(a.texts, m)
		}
		a.reply(tx, 200, "", "", "")
	default:
		a.reply(tx, 501, "", "", "")
	}
}

// acknowledged stops the repetition of a final response.
func (a *Agent) acknowledged(m *Message) {
	settle := func(tx *serverTx) { tx.acked = true; a.stop(tx.repeat) }
	if tx := a.servers[serverKey(m)]; tx != nil { // ACK to a non-2xx has the INVITE's branch
		settle(tx)
		return
	}
	for _, c := range a.calls {
		if c.server != nil && c.id == m.CallID() && c.server.req.cseq() == m.cseq() {
			settle(c.server)
			c.acked = true
			c.media.start()
		}
	}
}

// reply answers a request. tag, contact and sdp are left out when empty. Final answers to an INVITE are repeated until
// they are acknowledged.
func (a *Agent) reply(tx *serverTx, status int, phrase, tag, sdp string) {
	if phrase == "" {
		phrase = phraseOf(status)
	}
	var b builder
	b.line("SIP/2.0 %d %s", status, phrase)
	for _, v := range tx.req.All("via") {
		b.line("Via: %s", v)
	}
	for _, v := range tx.req.All("record-route") {
		b.line("Record-Route: %s", v)
	}
	b.line("From: %s", tx.req.Get("from"))
	to := tx.req.Get("to")
	if tx.req.toTag() == "" && status > 100 {
		if tag == "" {
			tag = token()
		}
		to += ";tag=" + tag
	}
	b.line("To: %s", to)
	b.line("Call-ID: %s", tx.req.CallID())
	b.line("CSeq: %s", tx.req.Get("cseq"))
	if tx.req.Method() == "INVITE" && status > 100 && status < 300 {
		b.line("Contact: <%s>", a.contact(tx.reply.network))
		b.line("Allow: INVITE, ACK, BYE, CANCEL, OPTIONS")
	}
	if status >= 300 && status < 400 && tx.moved != "" {
		b.line("Contact: <%s>", tx.moved)
	}
	b.line("User-Agent: signalbox-lab %s", a.opts.Name)
	tx.last = b.finish("application/sdp", sdp)
	a.transmit(tx.reply, tx.last, "")
	if tx.req.Method() == "INVITE" && status >= 200 {
		a.stop(tx.repeat)
		tx.pause = timerT1
		if status < 300 || tx.reply.network == "udp" {
			tx.repeat = a.after(tx.pause, func() { a.insist(tx, timerB) })
		}
	}
}

// insist repeats a final response until its ACK comes or left is over.
func (a *Agent) insist(tx *serverTx, left time.Duration) {
	if tx.acked || left <= 0 {
		return
	}
	a.transmit(tx.reply, tx.last, ", again")
	left -= tx.pause
	tx.pause = min(2*tx.pause, timerT2)
	tx.repeat = a.after(tx.pause, func() { a.insist(tx, left) })
}

// contact is the agent's own address as a URI.
func (a *Agent) contact(network string) string {
	uri := "sip:" + a.opts.Name + "@" + a.ep.addr.String()
	if network == "tcp" {
		uri += ";transport=tcp"
	}
	return uri
}

func phraseOf(status int) string {
	switch status {
	case 100:
		return "Trying"
	case 180:
		return "Ringing"
	case 183:
		return "Session Progress"
	case 200:
		return "OK"
	case 403:
		return "Forbidden"
	case 404:
		return "Not Found"
	case 480:
		return "Temporarily Unavailable"
	case 481:
		return "Call/Transaction Does Not Exist"
	case 486:
		return "Busy Here"
	case 487:
		return "Request Terminated"
	case 501:
		return "Not Implemented"
	case 503:
		return "Service Unavailable"
	case 603:
		return "Decline"
	}
	return "Answer"
}
