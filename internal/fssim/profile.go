package fssim

import (
	"context"
	"net/netip"
	"strconv"
	"strings"
	"sync"

	"go.uber.org/zap"
)

// profile is one Sofia profile: its sockets, its dialogs, and for the internal one its registrations.
type profile struct {
	s       *Switch
	name    string
	context string
	auth    bool // challenges INVITE and REGISTER
	rel100  bool // answers reliably who asks for that (RFC 3262)
	log     *zap.Logger
	t       *transport
	stack   *stack
	reg     *registrar

	mu      sync.Mutex
	dialogs map[string]*channel
}

func (s *Switch) newProfile(name, ctxName, addr string, auth bool) (*profile, error) {
	ap, err := parseListen(addr)
	if err != nil {
		return nil, err
	}
	log := s.log.With(zap.String("profile", name))
	t, err := listenTransport(ap, log)
	if err != nil {
		return nil, err
	}
	p := &profile{s: s, name: name, context: ctxName, auth: auth, log: log, t: t, dialogs: map[string]*channel{}}
	p.stack = newStack(t, s.timers, log)
	p.stack.resolve = s.resolve
	p.stack.request = p.onRequest
	p.reg = newRegistrar(p)
	return p, nil
}

func (p *profile) addr() netip.AddrPort { return p.t.addr }

// contact is the Contact URI of the profile.
func (p *profile) contact(tcp bool) string {
	c := "sip:mod_sofia@" + p.addr().String()
	if tcp {
		c += ";transport=tcp"
	}
	return c
}

// allowed is what its Allow says.
func (p *profile) allowed() string {
	if p.rel100 {
		return "INVITE, ACK, BYE, CANCEL, OPTIONS, MESSAGE, INFO, UPDATE, REGISTER, REFER, PRACK, NOTIFY"
	}
	return "INVITE, ACK, BYE, CANCEL, OPTIONS, MESSAGE, INFO, UPDATE, REGISTER, REFER, NOTIFY"
}

// supported is what its Supported says.
func (p *profile) supported() string {
	if p.rel100 {
		return "100rel, timer, path, replaces"
	}
	return "timer, path, replaces"
}

func dialogKey(callID, localTag string) string { return callID + "|" + localTag }

func (p *profile) addDialog(c *channel) {
	p.mu.Lock()
	p.dialogs[dialogKey(c.leg.callID, c.leg.localTag)] = c
	p.mu.Unlock()
}

func (p *profile) removeDialog(c *channel) {
	p.mu.Lock()
	delete(p.dialogs, dialogKey(c.leg.callID, c.leg.localTag))
	p.mu.Unlock()
}

// calls is how many legs the profile has.
func (p *profile) calls() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.dialogs)
}

func (p *profile) dialog(m *sipMessage) *channel {
	tag := parseAddr(m.get("To")).param("tag")
	if tag == "" {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.dialogs[dialogKey(m.get("Call-ID"), tag)]
}

// onRequest answers or hands on one request. It runs in the reader of a socket and does not block.
func (p *profile) onRequest(tx *serverTx) {
	m := tx.req
	switch m.method {
	case "ACK":
		if c := p.dialog(m); c != nil {
			n, _ := m.cseq()
			c.mu.Lock()
			inv := c.leg.invite
			if c.answered && c.state < csHangup {
				c.store("sip_to_tag", c.leg.localTag)
				c.store("sip_cseq", strconv.Itoa(int(n)))
			}
			c.mu.Unlock()
			if inv != nil {
				inv.gotAck()
			}
		}
	case "INVITE":
		if parseAddr(m.get("To")).param("tag") == "" {
			p.newCall(tx)
			return
		}
		c := p.dialog(m)
		if c == nil {
			tx.respond(tx.newResponse(481, "Call Does Not Exist"))
			return
		}
		tx.respond(tx.newResponse(100, "Trying"))
		c.post(func() { c.onReinvite(tx) })
	case "CANCEL":
		p.onCancel(tx)
	case "BYE":
		c := p.dialog(m)
		if c == nil {
			tx.respond(tx.newResponse(481, "Call Does Not Exist"))
			return
		}
		r := tx.newResponse(200, "OK")
		r.add("User-Agent", userAgent)
		r.add("Allow", p.allowed())
		r.add("Supported", p.supported())
		tx.respond(r)
		c.onBye(m)
	case "REGISTER":
		p.reg.onRegister(tx)
	case "REFER":
		c := p.dialog(m)
		if c == nil {
			p.s.unknown("refer outside a dialog")
			tx.respond(tx.newResponse(481, "Call Does Not Exist"))
			return
		}
		c.post(func() { c.onRefer(tx) })
	case "PRACK":
		if !p.rel100 {
			p.s.unknown("prack without enable-100rel")
			tx.respond(tx.newResponse(501, "Not Implemented"))
			return
		}
		p.onPrack(tx)
	case "OPTIONS", "INFO", "NOTIFY", "UPDATE", "MESSAGE":
		if m.method != "OPTIONS" && m.method != "NOTIFY" && m.method != "MESSAGE" && p.dialog(m) == nil {
			tx.respond(tx.newResponse(481, "Call Does Not Exist"))
			return
		}
		if p.shortSession(tx) {
			return
		}
		if m.method == "INFO" {
			p.onInfo(m)
		}
		code, phrase := 200, "OK"
		if m.method == "MESSAGE" {
			code, phrase = 202, "Accepted"
		}
		r := tx.newResponse(code, phrase)
		if m.method != "INFO" {
			r.add("Contact", "<"+p.contact(tx.flow.tcp)+">")
		}
		r.add("User-Agent", userAgent)
		if m.method != "INFO" {
			r.add("Accept", sdpType)
		}
		r.add("Allow", p.allowed())
		r.add("Supported", p.supported())
		p.keepsTime(tx, r)
		tx.respond(r)
	case "SUBSCRIBE", "PUBLISH":
		p.s.unknown("sip method " + m.method)
		tx.respond(tx.newResponse(501, "Not Implemented"))
	default:
		r := tx.newResponse(405, "Method Not Allowed")
		r.add("Allow", p.allowed())
		tx.respond(r)
	}
}

func (p *profile) onCancel(tx *serverTx) {
	inv := p.stack.inviteOf(tx.req)
	if inv == nil {
		tx.respond(tx.newResponse(481, "Call Does Not Exist"))
		return
	}
	r := tx.newResponse(200, "OK")
	r.add("User-Agent", userAgent)
	tx.respond(r)
	p.mu.Lock()
	c := p.dialogs[dialogKey(inv.req.get("Call-ID"), inv.tag)]
	p.mu.Unlock()
	if c != nil && inv.answerable() {
		c.onCancel(inv)
	}
}

// onReinvite answers a re-INVITE with our last SDP. Owner only.
func (c *channel) onReinvite(tx *serverTx) {
	if c.down() {
		tx.respond(tx.newResponse(481, "Call Does Not Exist"))
		return
	}
	if t := contactOf(tx.req); t != "" {
		c.leg.target = t
	}
	if len(tx.req.body) > 0 {
		c.takeSDP(tx.req.body)
	}
	if c.prof.shortSession(tx) {
		return
	}
	r := tx.newResponse(200, "OK")
	c.decorate(r)
	c.prof.keepsTime(tx, r)
	r.add("Content-Type", sdpType)
	r.body = c.answerSDP(nil)
	tx.respond(r)
	c.mu.Lock()
	c.leg.invite = tx
	c.mu.Unlock()
}

// resolve looks a host up for the transaction layer.
func (s *Switch) resolve(ctx context.Context, host string) (netip.Addr, error) {
	if s.opt.Resolve != nil {
		if a, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
			return a.Unmap(), nil
		}
		return s.opt.Resolve(ctx, host)
	}
	return resolveHost(ctx, host)
}

func parseListen(addr string) (netip.AddrPort, error) {
	if addr == "" {
		addr = "127.0.0.1:0"
	}
	return netip.ParseAddrPort(addr)
}

func itoa(n int) string { return strconv.Itoa(n) }
