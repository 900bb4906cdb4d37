package fssim

import (
	"fmt"
	"strings"

	"go.uber.org/zap"
)

// maxRedirects bounds how often one leg follows a 3xx; the next one ends it.
const maxRedirects = 20

// redirects reports whether FreeSWITCH follows a response: 300, 301, 302 and 305. Other 3xx are failures to it.
func redirects(status int) bool {
	return status == 300 || status == 301 || status == 302 || status == 305
}

// redirected deals with a 3xx of the far end. With outbound_redirect_fatal on the leg it ends the leg; without, the
// caller's channel is transferred when the first Contact is an address of this switch, and a new INVITE goes to any
// other. It reports false when the response is a failure like any other. Owner only.
func (c *channel) redirected(r *sipMessage) bool {
	l := &c.leg
	contacts := r.list("Contact")
	if isTrue(c.get("outbound_redirect_fatal")) {
		for i, v := range contacts {
			describeContact([]*channel{c}, nil, i, v, "")
		}
		l.finished = true
		c.set("proto_specific_hangup_cause", "sip:"+itoa(r.status))
		c.refusedByUs(causeByName("REQUESTED_CHAN_UNAVAIL"))
		return true
	}
	if len(contacts) == 0 {
		c.s.log.Warn("a redirect without Contact", zap.String("uuid", c.uuid))
		return false
	}
	first, err := parseURI(parseAddr(contacts[0]).uri)
	a := c.partner()
	c.describeRedirect(a, r, contacts)
	switch {
	case err != nil || l.redirects >= maxRedirects:
		l.finished = true
		c.set("endpoint_disposition", "REDIRECT_ERROR")
		c.refusedByUs(causeOutOfOrder)
	case a != nil && c.s.ownHost(c.prof, first.host):
		l.finished = true
		c.mu.Lock()
		c.tookCaller = true
		c.mu.Unlock()
		a.moveTo(transferTo{dest: decodeUser(first.user)})
		c.refusedByUs(causeByName("REDIRECTION_TO_NEW_DESTINATION"))
	default:
		c.followRedirect(first)
	}
	return true
}

// ownHost reports whether a redirect to a host stays on this switch: the profile's own address, whatever the port, or
// a domain of its directory.
func (s *Switch) ownHost(p *profile, host string) bool {
	if host == p.addr().Addr().String() {
		return true
	}
	for _, u := range s.opt.Users {
		if strings.EqualFold(u.Domain, host) {
			return true
		}
	}
	return false
}

// refusedByUs ends a leg whose INVITE has its final response already: no CANCEL is sent, and the leg says of itself what
// a cancelled one says. The caller's channel learns no SIP status.
func (c *channel) refusedByUs(cs cause) {
	c.set("sip_hangup_disposition", "send_cancel")
	c.set("sip_invite_failure_status", "487")
	c.set("sip_invite_failure_phrase", "CANCEL")
	c.hangup(cs)
}

// describeRedirect tells both legs where the far end sent us.
func (c *channel) describeRedirect(a *channel, r *sipMessage, contacts []string) {
	both := []*channel{c}
	separator := "|"
	if isTrue(c.get("sip_redirect_fork")) {
		separator = ","
	}
	if a == nil {
		c.set("sip_redirected_to", parseAddr(contacts[0]).uri)
		return
	}
	both = append(both, a)
	profile := firstNonEmpty(c.get("sip_redirect_profile"), c.prof.name)
	var dial []string
	for i, v := range contacts {
		dial = append(dial, describeContact(both, a, i, v, profile))
	}
	c.set("sip_redirect_count", itoa(len(contacts)))
	for _, x := range both {
		x.set("sip_redirect_dialstring", strings.Join(dial, separator))
		if d := r.get("Diversion"); d != "" {
			x.set("sip_redirected_by", d)
		}
	}
}

// describeContact sets the variables of one Contact of a 3xx on the given legs and returns its dial string. The whole
// header stands on the caller's channel when there is one to follow for, else on the leg.
func describeContact(on []*channel, a *channel, i int, contact, profile string) string {
	n := itoa(i)
	whole := a
	if a == nil {
		whole = on[0]
	}
	whole.set("sip_redirect_contact_"+n, contact)
	addr := parseAddr(contact)
	u, _ := parseURI(addr.uri)
	dial := fmt.Sprintf("sofia/%s/%s", profile, addr.uri)
	for _, c := range on {
		if i == 0 {
			c.set("sip_redirected_to", contact)
		}
		c.set("sip_redirect_contact_user_"+n, u.user)
		c.set("sip_redirect_contact_host_"+n, u.host)
		c.set("sip_redirect_contact_params_"+n, strings.TrimPrefix(u.params, ";"))
		if a != nil {
			c.set("sip_redirect_dialstring_"+n, dial)
		}
	}
	return dial
}

// followRedirect sends a new INVITE of a new dialog to the Contact of a 3xx, by the same outbound proxy. To stays what
// it was.
func (c *channel) followRedirect(to sipURI) {
	l := &c.leg
	c.prof.removeDialog(c)
	l.redirects++
	oldTag := l.localTag
	l.callID, l.localTag = newUUID(), newTag()
	l.local = strings.TrimSuffix(l.local, ";tag="+oldTag) + ";tag=" + l.localTag
	l.remote, l.remoteTag, l.routes = l.firstTo, "", l.firstRoutes
	l.target = to.String()
	c.prof.addDialog(c)
	c.sendInvite()
}
