package e2e

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gobwas/ws/wsutil"
	"github.com/icholy/digest"

	"github.com/signalbox/signalbox/internal/lab"
)

// webPhone is a subscriber's telephone in a browser, as far as its signalling goes: SIP by one WebSocket (RFC 7118), which it never
// leaves. It has one call at a time. What the switch says by itself, as news of a mailbox, it answers at once.
type webPhone struct {
	s    *lab.Stage
	user string // of FreeSWITCH's directory
	host string // by which it calls itself; nobody can look it up
	conn net.Conn
	in   chan *lab.Message // what it has to think about: responses, INVITE and ACK
	wg   sync.WaitGroup

	mu sync.Mutex // one writes at a time
}

// startWebPhone opens the WebSocket to the proxy and registers.
func startWebPhone(ctx context.Context, s *lab.Stage, at netip.AddrPort, user string) *webPhone {
	conn, err := dialProxy("wss", phoneAt, at, toProxyTLS(s))
	s.Must(err)
	p := &webPhone{s: s, user: user, host: random() + ".invalid", conn: conn, in: make(chan *lab.Message, 64)}
	p.wg.Go(p.read)
	d := p.dialog("sip:"+s.Rig.At().Domain, p.address())
	m := d.ask(ctx, "REGISTER", "", "Contact: "+p.contact(), "Expires: 120", "Supported: path, outbound")
	s.Check(m.Status() == 200, "the phone in a browser is not registered: %d %s", m.Status(), m.Phrase())
	return p
}

func (p *webPhone) close() {
	_ = p.conn.Close()
	p.wg.Wait()
}

func random() string {
	b := make([]byte, 8)
	_, _ = rand.Read(b) // never fails
	return hex.EncodeToString(b)
}

func (p *webPhone) address() string { return "<sip:" + p.user + "@" + p.s.Rig.At().Domain + ">" }

func (p *webPhone) contact() string {
	return "<sip:" + p.user + "@" + p.host + ";transport=ws>;reg-id=1;+sip.instance=\"<urn:uuid:00000000-0000-4000-8000-00000000" + p.user + ">\""
}

func (p *webPhone) read() {
	for {
		raw, err := wsutil.ReadServerText(p.conn)
		if err != nil {
			return
		}
		m, err := lab.ParseMessage(raw)
		switch {
		case err != nil: // a keep-alive
		case m.IsRequest() && m.Method() != "INVITE" && m.Method() != "ACK":
			p.reply(m, "200 OK", "")
		default:
			p.in <- m
		}
	}
}

func (p *webPhone) write(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	_ = wsutil.WriteClientText(p.conn, []byte(text)) // who waits for an answer says that none came
}

// withBody ends a message.
func withBody(head, body string) string {
	switch {
	case strings.HasPrefix(body, "v="):
		head += "Content-Type: application/sdp\r\n"
	case body != "":
		head += "Content-Type: application/dtmf-relay\r\n"
	}
	return fmt.Sprintf("%sContent-Length: %d\r\n\r\n%s", head, len(body), body)
}

// reply answers a request; one that begins a dialog needs a tag.
func (p *webPhone) reply(m *lab.Message, status, tag string, more ...string) {
	b := "SIP/2.0 " + status + "\r\n"
	for _, name := range []string{"Via", "Record-Route", "From"} {
		for _, v := range m.All(strings.ToLower(name)) {
			b += name + ": " + v + "\r\n"
		}
	}
	b += "To: " + m.Get("to") + tag + "\r\nCall-ID: " + m.CallID() + "\r\nCSeq: " + m.Get("cseq") + "\r\n"
	body := ""
	if len(more) > 0 {
		b, body = b+"Contact: "+p.contact()+"\r\n", more[0]
	}
	p.write(withBody(b, body))
}

// await waits for the next message that is wanted; what else comes is passed over.
func (p *webPhone) await(ctx context.Context, what string, wanted func(*lab.Message) bool) *lab.Message {
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	var seen []string
	for {
		select {
		case m := <-p.in:
			if wanted(m) {
				return m
			}
			first, _, _ := strings.Cut(m.Raw, "\r\n")
			seen = append(seen, first)
		case <-ctx.Done():
			p.s.Fail("the phone in a browser waits for %s; it saw %q", what, seen)
		}
	}
}

// dialog is what in-dialog requests are made of, and those outside, which have no route yet.
type dialog struct {
	p                 *webPhone
	target            string
	routes            []string
	local, peer, call string // From, To, Call-ID
	cseq              int
}

func (p *webPhone) dialog(target, peer string) *dialog {
	return &dialog{p: p, target: target, local: p.address() + ";tag=" + random(), peer: peer, call: random()}
}

// request writes a request of the dialog.
func (d *dialog) request(method, branch, body string, more ...string) {
	b := method + " " + d.target + " SIP/2.0\r\nVia: SIP/2.0/WSS " + d.p.host + ";branch=z9hG4bK" + branch + "\r\n"
	for _, r := range d.routes {
		b += "Route: " + r + "\r\n"
	}
	b += fmt.Sprintf("From: %s\r\nTo: %s\r\nCall-ID: %s\r\nCSeq: %d %s\r\nMax-Forwards: 70\r\n", d.local, d.peer, d.call, d.cseq, method)
	for _, h := range more {
		b += h + "\r\n"
	}
	d.p.write(withBody(b, body))
}

// ask sends a request, again with the password when it is asked for that, and returns the final response.
func (d *dialog) ask(ctx context.Context, method, body string, more ...string) *lab.Message {
	for authorised := false; ; authorised = true {
		branch := random()
		d.cseq++
		d.request(method, branch, body, more...)
		m := d.p.await(ctx, "the answer to "+method, func(m *lab.Message) bool {
			return !m.IsRequest() && m.CallID() == d.call && m.Status() >= 200 && m.Get("cseq") == fmt.Sprint(d.cseq, " ", method)
		})
		if method == "INVITE" && m.Status() >= 300 {
			refused := *d
			refused.peer = m.Get("to")
			refused.request("ACK", branch, "")
		}
		if m.Status() != 401 && m.Status() != 407 || authorised {
			return m
		}
		more = append(more, d.password(m, method))
	}
}

// password is the header that answers a challenge.
func (d *dialog) password(m *lab.Message, method string) string {
	header, challenge := "Authorization", m.Get("www-authenticate")
	if m.Status() == 407 {
		header, challenge = "Proxy-Authorization", m.Get("proxy-authenticate")
	}
	c, err := digest.ParseChallenge(challenge)
	d.p.s.Must(err)
	answer, err := digest.Digest(c, digest.Options{Method: method, URI: d.target, Username: d.p.user, Password: d.p.s.Rig.At().UserPassword, Count: 1})
	d.p.s.Must(err)
	return header + ": " + answer.String()
}

var angled = regexp.MustCompile(`<[^>]+>`)

// routesOf are the proxies of a dialog, in the order of their Record-Routes.
func routesOf(m *lab.Message) []string {
	return angled.FindAllString(strings.Join(m.All("record-route"), ", "), -1)
}

func contactOf(m *lab.Message) string { return strings.Trim(angled.FindString(m.Get("contact")), "<>") }

// dials calls a number and returns when it is answered.
func (p *webPhone) dials(ctx context.Context, number string, v *webVoice) *webCall {
	at := p.s.Rig.At().Domain
	d := p.dialog("sip:"+number+"@"+at, "<sip:"+number+"@"+at+">")
	offer, err := v.offer(ctx)
	p.s.Must(err)
	m := d.ask(ctx, "INVITE", offer, "Contact: "+p.contact())
	p.s.Check(m.Status() == 200, "the call of the phone in a browser got %d %s", m.Status(), m.Phrase())
	d.target, d.peer, d.routes = contactOf(m), m.Get("to"), routesOf(m)
	slices.Reverse(d.routes)
	d.request("ACK", random(), "")
	p.s.Must(v.answered(m.Body()))
	return &webCall{dialog: d, webVoice: v, remote: m.Body(), local: offer}
}

// takes waits for a call, lets it ring for a moment and answers.
func (p *webPhone) takes(ctx context.Context, v *webVoice) *webCall {
	m := p.await(ctx, "a call", func(m *lab.Message) bool { return m.IsRequest() && m.Method() == "INVITE" })
	tag := ";tag=" + random()
	p.reply(m, "180 Ringing", tag, "")
	answer, err := v.answer(ctx, m.Body())
	p.s.Must(err)
	p.reply(m, "200 OK", tag, answer)
	p.await(ctx, "the ACK", func(a *lab.Message) bool { return a.IsRequest() && a.Method() == "ACK" && a.CallID() == m.CallID() })
	d := &dialog{p: p, target: contactOf(m), routes: routesOf(m), local: m.Get("to") + tag, peer: m.Get("from"), call: m.CallID()}
	return &webCall{dialog: d, webVoice: v, remote: m.Body(), local: answer}
}

// webCall is a call of a phone in a browser.
type webCall struct {
	*dialog
	*webVoice
	local, remote string // session descriptions, its own and the switch's
}

// info presses a key by SIP INFO, as most libraries for such phones do unless they are told otherwise.
func (c *webCall) info(ctx context.Context, key string) {
	m := c.ask(ctx, "INFO", "Signal="+key+"\r\nDuration=160\r\n")
	c.p.s.Check(m.Status() == 200, "the INFO of the phone in a browser got %d", m.Status())
}

// hangUp ends the call.
func (c *webCall) hangUp(ctx context.Context) {
	m := c.ask(ctx, "BYE", "")
	c.p.s.Check(m.Status() == 200, "the BYE of the phone in a browser got %d", m.Status())
	c.webVoice.close()
}

// WaitHears waits until exactly the wanted of these tones are to be heard.
func (c *webCall) WaitHears(ctx context.Context, want []float64, among ...float64) error {
	begin, levels := time.Now(), ""
	err := eventually(ctx, 15*time.Second, func() (exactly bool) {
		exactly, levels = c.ear.Hears(want, among, begin, time.Now())
		return exactly
	})
	if err != nil {
		return fmt.Errorf("the phone in a browser is to hear %.0f Hz, heard at last:%s: %w", want, levels, err)
	}
	c.p.s.Tell("the phone in a browser hears %.0f Hz and nobody else", want)
	return nil
}

// WaitSound waits until something is to be heard.
func (c *webCall) WaitSound(ctx context.Context) error {
	if err := eventually(ctx, 10*time.Second, func() bool { return c.ear.Sounds(time.Now()) }); err != nil {
		return errors.Join(errors.New("the phone in a browser hears nothing"), err, c.failure())
	}
	return nil
}
