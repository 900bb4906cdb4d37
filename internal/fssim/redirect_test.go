package fssim

import (
	"net"
	"strings"
	"testing"
)

func TestRedirectElsewhereIsFollowed(t *testing.T) {
	s, a, inv, c, uuid, _ := plainCall(t, nil)
	b, x := newPhone(t), newPhoneAt(t, net.IPv4(127, 0, 0, 2))
	id := c.start("bridge", "sofia/external/sip:b@"+b.addr.String())
	first := b.expect("INVITE")
	b.reply(first, 180, "")
	a.expect("180")
	b.redirect(first, 302, "<sip:+449005550000@"+x.addr.String()+";foo=bar>, <sip:zz@127.0.0.2:9>", "Diversion: <sip:d@h>")
	b.expect("ACK")
	m := x.expect("INVITE")
	if want := "sip:+449005550000@" + x.addr.String() + ";foo=bar"; m.uri != want {
		t.Errorf("Request-URI %s, want %s", m.uri, want)
	}
	if m.get("To") != first.get("To") {
		t.Errorf("To %q, want the one of the first INVITE", m.get("To"))
	}
	if m.get("Call-ID") == first.get("Call-ID") || m.get("From") == first.get("From") {
		t.Errorf("the new INVITE is of the old dialog: %s %s", m.get("Call-ID"), m.get("From"))
	}
	x.reply(m, 180, "")
	okB := x.reply(m, 200, testSDP)
	x.expect("ACK")
	ok := a.expect("200")
	a.ack(inv, ok, s.ExternalAddr())
	bridged := c.event("CHANNEL_BRIDGE")
	for name, want := range map[string]string{"originate_disposition": "SUCCESS", "sip_redirected_by": "<sip:d@h>",
		"sip_redirected_to":             "<sip:+449005550000@" + x.addr.String() + ";foo=bar>",
		"sip_redirect_contact_user_0":   "+449005550000",
		"sip_redirect_contact_host_0":   "127.0.0.2",
		"sip_redirect_contact_user_1":   "zz",
		"sip_redirect_dialstring":       "sofia/external/sip:+449005550000@" + x.addr.String() + ";foo=bar|sofia/external/sip:zz@127.0.0.2:9",
		"sip_invite_failure_status":     "",
		"last_bridge_hangup_cause":      "",
		"sip_redirect_contact_0":        "<sip:+449005550000@" + x.addr.String() + ";foo=bar>",
		"sip_redirect_contact_params_0": "foo=bar"} {
		if got := bridged.Var(name); got != want {
			t.Errorf("%s = %q, want %q", name, got, want)
		}
	}
	x.byeCaller(m, okB, s.ExternalAddr()) // the new dialog is found
	x.expect("200")
	if e := c.wait(id); e.UUID() != uuid || e.Var("bridge_hangup_cause") != "NORMAL_CLEARING" {
		t.Errorf("bridge ended with %q", e.Var("bridge_hangup_cause"))
	}
}

func TestRedirectToOurselvesTransfersTheCaller(t *testing.T) {
	_, _, _, c, _, _ := plainCall(t, nil)
	b := newPhone(t)
	id := c.start("bridge", "sofia/external/sip:b@"+b.addr.String())
	b.redirect(b.expect("INVITE"), 301, "<sip:14155550486@127.0.0.1:9>")
	b.expect("ACK")
	done := c.wait(id)
	for name, want := range map[string]string{"originate_disposition": "ORIGINATOR_CANCEL", "DIALSTATUS": "CANCEL",
		"originate_failed_cause": "ORIGINATOR_CANCEL", "last_bridge_hangup_cause": "REDIRECTION_TO_NEW_DESTINATION",
		"sip_invite_failure_status": "", "sip_redirect_contact_user_0": "14155550486"} {
		if got := done.Var(name); got != want {
			t.Errorf("%s = %q, want %q", name, got, want)
		}
	}
	if c.event("CHANNEL_EXECUTE").Get("Caller-Destination-Number") != "14155550486" {
		t.Error("the caller did not go to the extension of the Contact")
	}
	b.nothing()
}

func TestRedirectFatal(t *testing.T) {
	for _, contact := range []string{"<sip:x@127.0.0.2:9>", "<sip:x@127.0.0.1:9>"} {
		for _, vars := range []string{"{outbound_redirect_fatal=true}", "[outbound_redirect_fatal=true]"} {
			t.Run(vars+contact, func(t *testing.T) {
				_, _, _, c, _, _ := plainCall(t, nil)
				c.execute("set", "continue_on_fail=true")
				b := newPhone(t)
				id := c.start("bridge", vars+"sofia/external/sip:b@"+b.addr.String())
				b.redirect(b.expect("INVITE"), 302, contact)
				b.expect("ACK")
				done := c.wait(id)
				for name, want := range map[string]string{"originate_disposition": "REQUESTED_CHAN_UNAVAIL",
					"DIALSTATUS": "REQUESTED_CHAN_UNAVAIL", "last_bridge_hangup_cause": "REQUESTED_CHAN_UNAVAIL",
					"last_bridge_proto_specific_hangup_cause": "sip:302", "sip_invite_failure_status": "",
					"sip_redirected_to": ""} {
					if got := done.Var(name); got != want {
						t.Errorf("%s = %q, want %q", name, got, want)
					}
				}
				b.nothing()
			})
		}
	}
}

func TestRedirectThatIsNoRedirect(t *testing.T) {
	for _, code := range []int{302, 380} {
		_, _, _, c, _, _ := plainCall(t, nil)
		c.execute("set", "continue_on_fail=true")
		b := newPhone(t)
		id := c.start("bridge", "sofia/external/sip:b@"+b.addr.String())
		contact := ""
		if code == 380 {
			contact = "<sip:x@127.0.0.2:9>"
		}
		b.redirect(b.expect("INVITE"), code, contact)
		b.expect("ACK")
		done := c.wait(id)
		if got := done.Var("originate_disposition"); got != "NORMAL_UNSPECIFIED" {
			t.Errorf("%d: originate_disposition %q", code, got)
		}
		if got := done.Var("sip_invite_failure_status"); got != "" {
			t.Errorf("%d: sip_invite_failure_status %q", code, got)
		}
	}
}

func TestRedirectsWithoutEndAreCutOff(t *testing.T) {
	_, _, _, c, _, _ := plainCall(t, nil)
	c.execute("set", "continue_on_fail=true")
	x := newPhoneAt(t, net.IPv4(127, 0, 0, 2))
	id := c.start("bridge", "sofia/external/sip:b@"+x.addr.String())
	for range maxRedirects + 1 {
		x.redirect(x.expect("INVITE"), 302, "<sip:again@"+x.addr.String()+">")
		x.expect("ACK")
	}
	if got := c.wait(id).Var("originate_disposition"); got != "DESTINATION_OUT_OF_ORDER" {
		t.Errorf("originate_disposition %q", got)
	}
}

// redirect answers an INVITE with 3xx and these Contacts, or none.
func (p *phone) redirect(req *sipMessage, code int, contacts string, extra ...string) {
	p.t.Helper()
	r := p.response(req, code)
	kept := r.headers[:0]
	for _, h := range r.headers {
		if !strings.EqualFold(h.name, "Contact") {
			kept = append(kept, h)
		}
	}
	r.headers = kept
	if contacts != "" {
		r.add("Contact", contacts)
	}
	for _, h := range extra {
		name, value, _ := strings.Cut(h, ": ")
		r.add(name, value)
	}
	p.send(r, p.replyTo(req))
}
