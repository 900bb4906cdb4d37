package fssim

import (
	"strings"
	"time"
)

// chatTime is how long chat waits for the answer to a MESSAGE.
const chatTime = 20 * time.Second

// apiChat is "chat sip|from|profile/to|text|type": mod_sofia sends a SIP MESSAGE to every phone that is registered as the user, or to an
// address, and waits for the answers. That of the last counts.
func apiChat(s *Switch, _ *channel, arg string) string {
	const failed = "Error! Message Not Sent"
	parts := separateN(arg, '|', 5)
	if len(parts) < 4 {
		return "Invalid"
	}
	from, text, kind := parts[1], parts[3], "text/html"
	if len(parts) > 4 && parts[4] != "" {
		kind = parts[4]
	}
	name, to, ok := strings.Cut(parts[2], "/")
	p := s.profile(name)
	if !ok || p == nil || !strings.EqualFold(parts[0], "sip") {
		return failed
	}
	var targets []binding
	if strings.HasPrefix(strings.ToLower(to), "sip:") {
		targets = []binding{{contact: to}}
	} else if user, domain, ok := strings.Cut(to, "@"); ok {
		if targets = p.reg.bindings(user, domain); len(targets) == 0 {
			targets = []binding{{contact: "sip:" + to}} // nobody is registered: by DNS
		}
	}
	answer := failed
	for _, b := range targets {
		answer = failed
		if status := p.message(b, from, kind, text); status/100 == 2 {
			answer = "Sent"
		}
	}
	return answer
}

// message sends a MESSAGE to a phone or to an address, and returns the status it is answered with; 0 = none came. Of a phone with a Path
// the real switch forgets the contact: the Request-URI is the Path's.
func (p *profile) message(b binding, from, contentType, body string) int {
	user, _, _ := strings.Cut(from, "@")
	to := b.contact
	if len(b.path) > 0 {
		to = parseAddr(b.path[0]).uri
	}
	m := &sipMessage{method: "MESSAGE", uri: to}
	for _, route := range b.path {
		m.add("Route", route)
	}
	m.add("Max-Forwards", "70")
	m.add("From", `"`+user+`" <sip:`+from+">;tag="+newUUID())
	m.add("To", "<"+to+">")
	m.add("Call-ID", newUUID())
	m.add("CSeq", "1 MESSAGE")
	m.add("User-Agent", userAgent)
	m.add("Allow", p.allowed())
	m.add("Supported", p.supported())
	m.add("Content-Type", contentType)
	m.add("X-FS-Sending-Message", p.s.coreUUID)
	m.body = []byte(body)
	u, err := parseURI(to)
	if err != nil {
		return 0
	}
	answered := make(chan int, 1)
	tell := func(status int) {
		select {
		case answered <- status:
		default:
		}
	}
	tx := &clientTx{req: m, response: func(r *sipMessage) {
		if r.status >= 200 {
			tell(r.status)
		}
	}, failed: func(code int, _ string) { tell(code) }}
	p.stack.start(p.s.ctx, tx, hopOf(u))
	select {
	case status := <-answered:
		return status
	case <-time.After(chatTime):
		return 0
	case <-p.s.ctx.Done():
		return 0
	}
}
