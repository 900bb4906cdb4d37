package sipproxy

import (
	"strings"
	"testing"
)

func TestAReferThatFreeSWITCHWouldObeyTooWellIsRefused(t *testing.T) {
	for to, want := range map[string][2]bool{ // from a trunk, from a device
		`<sip:+12125550123@h>`: {true, true},
		`"O'Brien, Ada" <sip:+12125550123;x=y@h:5060;user=phone>;p`: {true, true},
		`<tel:+12125550123>`:     {true, true},
		`sip:1001@[2001:db8::1]`: {true, true},
		`<sip:1001@h?Replaces=a%40b%3Bto-tag%3D1%3Bfrom-tag%3D2>`: {false, true},
		`"?" <sip:1001@h>`:               {false, true},
		`<sip:${system(touch x)}@h>`:     {false, false},
		`"${system(touch x)}" <sip:1@h>`: {false, false},
		`<sip:1@h?Replaces=a&X={b}>`:     {false, false},
		`<sip:1@h,sip:2@h>`:              {false, false},
		`<sip:a|b@h>`:                    {false, false},
		`<sip:a b@h>`:                    {false, false},
		`<http://h/>`:                    {false, false},
		`nonsense`:                       {false, false},
		``:                               {false, false},
	} {
		m := &message{method: "REFER"}
		m.add("r", to)
		if got := harmlessRefer(m, &Peer{Kind: Trunk}); got != want[0] {
			t.Errorf("%s from a trunk is harmless: %t", to, got)
		}
		if got := harmlessRefer(m, devicePeer); got != want[1] {
			t.Errorf("%s from a device is harmless: %t", to, got)
		}
		if m.add("Refer-To", "<sip:1@h>"); harmlessRefer(m, devicePeer) {
			t.Errorf("two targets, %s and another, are harmless", to)
		}
	}
	w := newWorld(t, nil)
	_, ok := w.call("refers")
	w.trunk.udp(w.udp, w.trunk.inDialog("REFER", ok, 2, "Refer-To: <sip:${system(touch x)}@h>"))
	w.trunk.expect("SIP/2.0 403")
	w.trunk.udp(w.udp, w.trunk.inDialog("REFER", ok, 3, "Refer-To: <sip:x@198.51.100.99?Replaces=a%3Bto-tag%3D1%3Bfrom-tag%3D2>"))
	w.trunk.expect("SIP/2.0 403")
	w.node.quiet()
	w.trunk.udp(w.udp, w.trunk.inDialog("REFER", ok, 4, "Refer-To: <sip:+12125550199@h>"))
	refer := w.node.expect("REFER")
	if got := header(refer.raw, "refer-to"); got != "<sip:+12125550199@h>" || !strings.HasPrefix(startLine(refer.raw), "REFER sip:node@") {
		t.Errorf("the node got %q with Refer-To %q", startLine(refer.raw), got)
	}
	w.node.answer(refer, "202 Accepted", w.node.contact())
	w.trunk.expect("SIP/2.0 202")
}
