package fssim

import (
	"strings"

	"github.com/signalbox/signalbox/esl/wire"
)

// messageWaiting is what mod_sofia does with an event MESSAGE_WAITING, whoever fired it: every device that is registered as the account
// gets a NOTIFY, whose body is the headers that begin with MWI-, in their order.
func (s *Switch) messageWaiting(fields []wire.Field) {
	var account string
	var body strings.Builder
	for _, f := range fields {
		if len(f.Name) < 4 || !strings.EqualFold(f.Name[:4], "mwi-") {
			continue
		}
		value := f.Value
		if strings.EqualFold(f.Name, "mwi-message-account") {
			account = strings.TrimPrefix(value, "sip:")
			value = "sip:" + account
		}
		body.WriteString(f.Name[4:] + ": " + value + "\r\n")
	}
	user, domain, ok := strings.Cut(account, "@")
	if !ok {
		return
	}
	for _, p := range []*profile{s.internal, s.external} {
		for _, b := range p.reg.bindings(user, domain) {
			p.notify(b, "message-summary", "application/simple-message-summary", body.String()+"\r\n")
		}
	}
}

// notify sends a NOTIFY without a subscription to a device, through its Path.
func (p *profile) notify(b binding, event, contentType, body string) {
	m := &sipMessage{method: "NOTIFY", uri: b.contact}
	for _, route := range b.path {
		m.add("Route", route)
	}
	aor := "<sip:" + b.user + "@" + b.domain + ">"
	m.add("Max-Forwards", "70")
	m.add("From", aor+";tag="+newUUID())
	m.add("To", aor)
	m.add("Call-ID", newUUID())
	m.add("CSeq", "1 NOTIFY")
	m.add("Contact", "<"+p.contact(b.transport == "TCP")+">")
	m.add("User-Agent", userAgent)
	m.add("Allow", p.allowed())
	m.add("Supported", p.supported())
	m.add("Event", event)
	m.add("Allow-Events", "talk, hold, conference, presence, as-feature-event, dialog, line-seize, call-info, sla, include-session-description, presence.winfo, message-summary, refer")
	m.add("Subscription-State", "terminated;reason=noresource")
	m.add("Content-Type", contentType)
	m.body = []byte(body)
	to := b.contact
	if len(b.path) > 0 {
		to = parseAddr(b.path[0]).uri
	}
	u, err := parseURI(to)
	if err != nil {
		return
	}
	tx := &clientTx{req: m, response: func(*sipMessage) {}, failed: func(int, string) {}}
	p.s.spawn(func() { p.stack.start(p.s.ctx, tx, hopOf(u)) })
}
