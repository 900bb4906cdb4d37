package fssim

import (
	"fmt"
	"strings"
)

// onRefer sends the other leg of a bridge to the number that the far end of this one names: 202, a NOTIFY that says it is done, and
// this leg is hung up with its bridge. Owner only.
func (c *channel) onRefer(tx *serverTx) {
	m := tx.req
	if c.down() {
		tx.respond(tx.newResponse(481, "Call Does Not Exist"))
		return
	}
	r := tx.newResponse(202, "Accepted")
	r.add("Contact", "<"+c.leg.contact+">")
	r.add("Expires", "60")
	r.add("User-Agent", userAgent)
	r.add("Allow", c.prof.allowed())
	r.add("Supported", c.prof.supported())
	r.add("Allow-Events", "talk, hold, conference, refer")
	tx.respond(r)
	n, _ := m.cseq()
	event := fmt.Sprintf("refer;id=%d", n)
	full := m.get("Refer-To")
	to, err := parseURI(parseAddr(full).uri)
	if full == "" || err != nil {
		return
	}
	c.set("transfer_disposition", "recv_replace")
	c.set("sip_refer_to_params", strings.TrimPrefix(to.params, ";"))
	if strings.Contains(full, "?") {
		c.s.unknown("refer with headers")
		c.notifyRefer(event, "SIP/2.0 403 Forbidden\r\n")
		return
	}
	b := c.partner()
	if b == nil {
		c.set("transfer_to", "blind:"+to.user)
		c.set("transfer_destination", "blind:"+to.user)
		c.set("endpoint_disposition", "ATTENDED_TRANSFER_ERROR")
		c.notifyRefer(event, "SIP/2.0 403 Forbidden\r\n")
		return
	}
	from, _ := parseURI(parseAddr(m.get("From")).uri)
	c.set("transfer_to", "blind:"+b.uuid)
	c.set("transfer_destination", "blind:"+to.user)
	c.set("transfer_fallback_extension", from.user)
	c.set("endpoint_disposition", "BLIND_TRANSFER")
	if by := m.get("Referred-By"); by != "" {
		b.set("sip_h_Referred-By", by)
	}
	b.set("sip_refer_to", full)
	c.notifyRefer(event, "SIP/2.0 200 OK\r\n")
	b.moveTo(transferTo{dest: to.user}) // as it stands: escapes are not decoded, as those of an INVITE are
}

// notifyRefer tells the far end of this leg how its REFER ended (RFC 3515).
func (c *channel) notifyRefer(event, status string) {
	n := c.leg.request("NOTIFY")
	n.add("Allow", c.prof.allowed())
	n.add("Supported", c.prof.supported())
	n.add("Event", event)
	n.add("Allow-Events", "talk, hold, conference, refer")
	n.add("Subscription-State", "terminated;reason=noresource")
	n.add("Content-Type", "message/sipfrag;version=2.0")
	n.body = []byte(status)
	c.sendInDialog(n)
}
