package lab

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Invite says how a call is placed. Texts go onto the wire as they are, so that they may be wrong on purpose; only a line
// break is refused, because it would be another message than the story believes.
type Invite struct {
	To      string   // user part of the Request-URI and of To
	From    string   // user part of From
	Display string   // display name as on the wire, with its quotes; "" = none
	Headers []string // further lines, "Name: value"
	Via     hop      // where the INVITE is sent: the proxy
	Host    string   // host of the Request-URI; "" = that of Via
	At      string   // host of From; "" = where the agent listens

	placed  func(callID string) // is told before the INVITE leaves, so that nothing of the call is missed
	Hops    string              // Max-Forwards of every request of the call; "" = 70
	As      *Registration       // whose password answers a challenge; nil = a challenge ends the call
	HoldACK bool                // a 2xx is not acknowledged until Call.Acknowledge
}

// Call is one call of an agent, in either direction. Its facts belong to the agent's loop; the methods read them there.
type Call struct {
	agent    *Agent
	incoming bool
	id       string
	invite   *Message

	localTag  string
	remoteTag string
	localURI  string // for From of our requests, without tag
	remoteURI string
	target    string   // Contact of the far end
	routes    []string // in the order of Route
	seq       uint32
	hops      string // Max-Forwards; "" = 70

	client *clientTx // outgoing
	server *serverTx // the last INVITE that came
	branch string
	via    hop

	responses  []*Message
	answered   time.Time
	ended      time.Time
	endedBy    string // "them", "us", or the status of a refusal
	wantCancel bool
	cancelled  bool // the CANCEL was sent, or came
	acked      bool
	holdACK    bool
	as         *Registration // until the challenge is answered
	media      *media
	bye        *Message
}

// Place sends an INVITE.
func (a *Agent) Place(inv Invite) (*Call, error) {
	for _, line := range append([]string{inv.To, inv.From, inv.Display}, inv.Headers...) {
		if strings.ContainsAny(line, "\r\n") {
			return nil, fmt.Errorf("lab: a line break in %q", line)
		}
	}
	media, err := openMedia(a.opts.VoiceIP, a.opts.Voice, a.opts.Hz, a.opts.ALaw, a.kick)
	if err != nil {
		return nil, err
	}
	if inv.Host == "" {
		inv.Host = inv.Via.addr.String()
	}
	c := &Call{agent: a, id: token() + "@lab", localTag: token(), branch: "z9hG4bK" + token(), via: inv.Via, media: media, seq: 1, holdACK: inv.HoldACK, hops: inv.Hops, as: inv.As}
	uri := "sip:" + inv.To + "@" + inv.Host
	c.localURI = "<sip:" + inv.From + "@" + cmp.Or(inv.At, a.ep.addr.String()) + ">"
	if inv.Display != "" {
		c.localURI = inv.Display + " " + c.localURI
	}
	c.remoteURI, c.target = "<"+uri+">", uri
	var b builder
	b.line("INVITE %s SIP/2.0", uri)
	c.head(&b, c.branch, "INVITE", 1)
	b.line("Contact: <%s>", a.contact(inv.Via.network))
	b.line("Allow: INVITE, ACK, BYE, CANCEL, OPTIONS")
	for _, h := range inv.Headers {
		b.line("%s", h)
	}
	raw := b.finish("application/sdp", a.sdp(media))
	if c.invite, err = ParseMessage(raw); err != nil {
		media.close()
		return nil, err
	}
	if inv.placed != nil {
		inv.placed(c.id)
	}
	if !a.do(func() {
		a.calls = append(a.calls, c)
		c.client = a.begin(c.branch, "INVITE", inv.Via, raw, c.answeredBy)
	}) {
		media.close()
		return nil, ErrClosed
	}
	return c, nil
}

// head writes the headers every request of the call has.
func (c *Call) head(b *builder, branch, method string, seq uint32) {
	b.line("Via: SIP/2.0/%s %s;branch=%s;rport", strings.ToUpper(c.via.network), c.agent.ep.addr, branch)
	b.line("Max-Forwards: %s", cmp.Or(c.hops, "70"))
	b.line("From: %s;tag=%s", c.localURI, c.localTag)
	if c.remoteTag != "" {
		b.line("To: %s;tag=%s", c.remoteURI, c.remoteTag)
	} else {
		b.line("To: %s", c.remoteURI)
	}
	b.line("Call-ID: %s", c.id)
	b.line("CSeq: %d %s", seq, method)
	b.line("User-Agent: signalbox-lab %s", c.agent.opts.Name)
}

// answeredBy takes a response to our INVITE, or nil when none came.
func (c *Call) answeredBy(m *Message) {
	if m == nil {
		c.finish("408")
		return
	}
	c.responses = append(c.responses, m)
	if sdp, ok := readSDP(m.Body()); ok {
		c.media.aim(sdp)
	}
	status := m.Status()
	switch {
	case status < 200:
		if c.wantCancel && !c.cancelled {
			c.sendCancel()
		}
	case status < 300:
		c.connected(m)
	case status == 407 && c.as != nil:
		c.ackRefusal(m)
		c.answerChallenge(m)
	default:
		c.ackRefusal(m)
		if c.ended.IsZero() {
			c.finish(fmt.Sprint(status))
		}
	}
}

// answerChallenge sends the INVITE once more, with the password.
func (c *Call) answerChallenge(m *Message) {
	as := *c.as
	c.as = nil
	credentials, err := authorize(m.Get("proxy-authenticate"), as, "INVITE", c.invite.URI())
	if err != nil {
		c.finish(fmt.Sprint(m.Status()))
		return
	}
	c.seq++
	c.branch = "z9hG4bK" + token()
	head, body, _ := strings.Cut(c.invite.Raw, "\r\n\r\n")
	var lines []string
	for line := range strings.SplitSeq(head, "\r\n") {
		switch name, _, _ := strings.Cut(line, ":"); name {
		case "Via":
			line = fmt.Sprintf("Via: SIP/2.0/%s %s;branch=%s;rport", strings.ToUpper(c.via.network), c.agent.ep.addr, c.branch)
		case "CSeq":
			line = fmt.Sprintf("CSeq: %d INVITE", c.seq)
		}
		lines = append(lines, line)
	}
	raw := []byte(strings.Join(append(lines, "Proxy-Authorization: "+credentials), "\r\n") + "\r\n\r\n" + body)
	if c.invite, err = ParseMessage(raw); err != nil {
		c.finish(fmt.Sprint(m.Status()))
		return
	}
	c.client = c.agent.begin(c.branch, "INVITE", c.via, raw, c.answeredBy)
}

// connected acknowledges a 2xx, each time it comes. A 2xx that crossed our CANCEL is hung up at once.
func (c *Call) connected(m *Message) {
	if c.remoteTag == "" || c.answered.IsZero() {
		c.remoteTag = m.toTag()
		c.routes = splitList(m.All("record-route"))
		slices.Reverse(c.routes)
		if contact := m.Get("contact"); contact != "" {
			c.target = addressURI(contact)
		}
		c.answered = time.Now()
		c.media.start()
	}
	if c.holdACK {
		return
	}
	c.send("ACK", m.cseq(), nil)
	if c.cancelled && c.ended.IsZero() {
		c.hangup()
	}
}

// ackRefusal acknowledges a non-2xx within its transaction.
func (c *Call) ackRefusal(m *Message) {
	var b builder
	b.line("ACK %s SIP/2.0", c.invite.URI())
	b.line("Via: %s", c.invite.Get("via"))
	b.line("Max-Forwards: 70")
	b.line("From: %s", c.invite.Get("from"))
	b.line("To: %s", m.Get("to"))
	b.line("Call-ID: %s", c.id)
	b.line("CSeq: %d ACK", m.cseq())
	c.agent.transmit(c.via, b.finish("", ""), "")
}

// send sends a request inside the dialog; answer nil means that no response is expected (ACK).
func (c *Call) send(method string, seq uint32, answer func(*Message)) {
	c.sendBody(method, seq, "", answer)
}

// sendBody is send with a session description; "" is none.
func (c *Call) sendBody(method string, seq uint32, sdp string, answer func(*Message)) {
	c.sendTyped(method, seq, "application/sdp", sdp, answer)
}

// sendTyped is sendBody for any type of body.
func (c *Call) sendTyped(method string, seq uint32, kind, body string, answer func(*Message), headers ...string) {
	next := c.target
	if len(c.routes) > 0 {
		next = addressURI(c.routes[0])
	}
	to, err := uriHop(next)
	if err != nil {
		c.agent.opts.Trace.Add(Event{Kind: Tell, From: c.agent.opts.Name, To: c.agent.opts.Name, Summary: method + " cannot be sent: " + err.Error()})
		return
	}
	via := c.via
	c.via = to
	branch := "z9hG4bK" + token()
	var b builder
	b.line("%s %s SIP/2.0", method, c.target)
	c.head(&b, branch, method, seq)
	c.via = via
	for _, r := range c.routes {
		b.line("Route: %s", r)
	}
	if body != "" || len(headers) > 0 {
		b.line("Contact: <%s>", c.agent.contact(to.network))
	}
	for _, h := range headers {
		b.line("%s", h)
	}
	raw := b.finish(kind, body)
	if answer == nil {
		c.agent.transmit(to, raw, "")
		return
	}
	c.agent.begin(branch, method, to, raw, answer)
}

func (c *Call) sendCancel() {
	c.cancelled = true
	var b builder
	b.line("CANCEL %s SIP/2.0", c.invite.URI())
	b.line("Via: %s", c.invite.Get("via"))
	b.line("Max-Forwards: 70")
	b.line("From: %s", c.invite.Get("from"))
	b.line("To: %s", c.invite.Get("to"))
	b.line("Call-ID: %s", c.id)
	b.line("CSeq: %d CANCEL", c.invite.cseq())
	c.agent.begin(c.branch, "CANCEL", c.via, b.finish("", ""), func(*Message) {})
}

func (c *Call) hangup() {
	c.finish("us")
	c.seq++
	c.send("BYE", c.seq, func(*Message) {})
}

func (c *Call) finish(by string) {
	if c.ended.IsZero() {
		c.ended, c.endedBy = time.Now(), by
	}
	c.closeMedia()
}

func (c *Call) closeMedia() {
	if c.media != nil && !c.media.closed() {
		c.media.close()
	}
}

// invited takes a call.
func (a *Agent) invited(tx *serverTx) {
	m := tx.req
	if m.toTag() != "" { // inside a dialog: the far end moves its voice
		a.reinvited(tx)
		return
	}
	media, err := openMedia(a.opts.VoiceIP, a.opts.Voice, a.opts.Hz, a.opts.ALaw, a.kick)
	if err != nil {
		a.reply(tx, 503, err.Error(), "", "")
		return
	}
	c := &Call{
		agent: a, incoming: true, id: m.CallID(), invite: m, server: tx, via: tx.reply, media: media,
		localTag: token(), remoteTag: m.fromTag(), routes: splitList(m.All("record-route")), target: addressURI(m.Get("contact")),
		localURI: m.Get("to"), remoteURI: stripTag(m.Get("from")),
	}
	if sdp, ok := readSDP(m.Body()); ok {
		media.aim(sdp)
	}
	a.calls = append(a.calls, c)
	b := a.behaviour
	if b == (Behaviour{}) {
		return
	}
	a.reply(tx, 100, "", "", "")
	if b.Ring {
		a.reply(tx, 180, "", c.localTag, "")
	}
	if b.Early {
		a.reply(tx, 183, "", c.localTag, a.sdp(c.media))
	}
	tx.moved = b.Moved
	if b.Status == 0 {
		return
	}
	if b.After <= 0 {
		c.conclude(b.Status, b.Phrase)
		return
	}
	a.after(b.After, func() { c.conclude(b.Status, b.Phrase) })
}

// conclude gives the final answer to an incoming call, unless it has ended before.
func (c *Call) conclude(status int, phrase string) {
	if !c.ended.IsZero() || !c.answered.IsZero() {
		return
	}
	if status >= 300 {
		c.agent.reply(c.server, status, phrase, c.localTag, "")
		c.finish(fmt.Sprint(status))
		return
	}
	c.answered = time.Now()
	c.media.start()
	c.agent.reply(c.server, status, phrase, c.localTag, c.agent.sdp(c.media))
}

func (a *Agent) reinvited(tx *serverTx) {
	c := a.find(tx.req)
	if c == nil || !c.ended.IsZero() {
		a.reply(tx, 481, "", "", "")
		return
	}
	if sdp, ok := readSDP(tx.req.Body()); ok {
		c.media.aim(sdp)
	}
	c.server = tx
	a.reply(tx, 200, "", "", a.sdp(c.media))
}

// find gives the call a request inside a dialog belongs to.
func (a *Agent) find(m *Message) *Call {
	for _, c := range a.calls {
		if c.id == m.CallID() && (m.toTag() == c.localTag || m.Method() == "CANCEL") {
			return c
		}
	}
	return nil
}

func (a *Agent) cancelled(tx *serverTx) {
	c := a.find(tx.req)
	if c == nil || !c.incoming {
		a.reply(tx, 481, "", "", "")
		return
	}
	a.reply(tx, 200, "", c.localTag, "")
	c.cancelled = true
	if c.answered.IsZero() && c.ended.IsZero() {
		a.reply(c.server, 487, "", c.localTag, "")
		c.finish("them")
	}
}

func (a *Agent) byed(tx *serverTx) {
	c := a.find(tx.req)
	if c == nil {
		a.reply(tx, 481, "", "", "")
		return
	}
	a.reply(tx, 200, "", "", "")
	c.bye = tx.req
	c.finish("them")
}

func stripTag(v string) string {
	if i := strings.LastIndex(strings.ToLower(v), ";tag="); i >= 0 && i > strings.LastIndexByte(v, '>') {
		return v[:i]
	}
	return v
}

// Cancel gives up a call that was placed: at once if the far end has said anything, else as soon as it does.
func (c *Call) Cancel() {
	c.agent.do(func() {
		c.wantCancel = true
		if len(c.responses) > 0 && !c.cancelled && c.answered.IsZero() && c.ended.IsZero() {
			c.sendCancel()
		}
	})
}

// Hangup sends BYE.
func (c *Call) Hangup() {
	c.agent.do(func() {
		if c.ended.IsZero() && !c.answered.IsZero() {
			c.hangup()
		}
	})
}

// Acknowledge has the next 2xx acknowledged, when it comes again, and those after it.
func (c *Call) Acknowledge() { c.agent.do(func() { c.holdACK = false }) }

// WaitAcknowledged waits until the ACK of the answer that we gave to an incoming call has come.
func (c *Call) WaitAcknowledged(ctx context.Context) error {
	return c.agent.wait(ctx, "the answer is acknowledged", func() bool { return c.acked })
}

// Answer takes an incoming call now.
func (c *Call) Answer() { c.agent.do(func() { c.conclude(200, "") }) }

// WaitAnswered waits until the call is answered.
func (c *Call) WaitAnswered(ctx context.Context) error {
	ended := false
	err := c.agent.wait(ctx, "the call is answered", func() bool {
		ended = c.answered.IsZero() && !c.ended.IsZero()
		return !c.answered.IsZero() || ended
	})
	if err == nil && ended {
		return fmt.Errorf("%w: %s: the call is answered; it ended instead with %s", ErrNever, c.agent.opts.Name, c.EndedBy())
	}
	return err
}

// WaitStatus waits for a response with one of the codes and returns it.
func (c *Call) WaitStatus(ctx context.Context, codes ...int) (found *Message, err error) {
	err = c.agent.wait(ctx, fmt.Sprintf("a response %v comes", codes), func() bool {
		for _, m := range c.responses {
			if slices.Contains(codes, m.Status()) {
				found = m
				return true
			}
		}
		return !c.ended.IsZero()
	})
	if err == nil && found == nil {
		return nil, fmt.Errorf("%w: %s: a response %v comes; the call ended with %s", ErrNever, c.agent.opts.Name, codes, c.EndedBy())
	}
	return found, err
}

// WaitEnded waits until the call is over, however.
func (c *Call) WaitEnded(ctx context.Context) error {
	return c.agent.wait(ctx, "the call ends", func() bool { return !c.ended.IsZero() })
}

// WaitHeard waits until n more voice packets of a voice have arrived.
func (c *Call) WaitHeard(ctx context.Context, voice byte, n int64) error {
	before := c.Heard(voice)
	return c.agent.wait(ctx, fmt.Sprintf("%d voice packets of %s arrive", n, voiceName(voice)), func() bool {
		return c.media.count(voice) >= before+n
	})
}

// Heard counts the voice packets of a voice that arrived.
func (c *Call) Heard(voice byte) int64 { return c.media.count(voice) }

// HeardAnything counts all voice packets that arrived.
func (c *Call) HeardAnything() int64 { return c.media.total() }

// LastHeard says when the voice was heard last; zero = never.
func (c *Call) LastHeard(voice byte) time.Time {
	if n := c.media.last[voice].Load(); n != 0 {
		return time.Unix(0, n)
	}
	return time.Time{}
}

// Invite is the INVITE of the call as it was sent or as it came.
func (c *Call) Invite() *Message { return c.invite }

// Responses returns all responses to the INVITE so far.
func (c *Call) Responses() (out []*Message) {
	c.agent.do(func() { out = append(out, c.responses...) })
	return out
}

// EndedBy says who ended the call: "us", "them", or the status of the refusal; "" = it goes on.
func (c *Call) EndedBy() (by string) {
	c.agent.do(func() { by = c.endedBy })
	return by
}

// Cancelled reports whether the call was cancelled: by us if we placed it, by the far end if it came in.
func (c *Call) Cancelled() (yes bool) {
	c.agent.do(func() { yes = c.cancelled })
	return yes
}

// Answered says when the call was answered; zero = not yet.
func (c *Call) Answered() (t time.Time) {
	c.agent.do(func() { t = c.answered })
	return t
}

// Ended says when the call ended; zero = it goes on.
func (c *Call) Ended() (t time.Time) {
	c.agent.do(func() { t = c.ended })
	return t
}
