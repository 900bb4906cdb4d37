package sipproxy

import (
	"strings"
	"testing"
)

func TestDialledNumberIsPlain(t *testing.T) {
	for uri, want := range map[string]string{
		"sip:+14155550100@h": "",
		"sip:+14155550100;npdi;rn=+14155550199@h:5060;user=phone": "sip:+14155550100@h:5060;user=phone",
		"sip:4155550100;npdi=yes@h;target=sip:%2B1%40x;cause=408": "sip:4155550100@h;target=sip:%2B1%40x;cause=408",
		"sip:%2B14155550100@h":                 "sip:+14155550100@h",
		"sips:+1-(415)-555.0100@h":             "sips:+14155550100@h",
		"sip:415-555-0100@h;user=phone":        "sip:4155550100@h;user=phone",
		"tel:+1-415-555-0100;isub=1":           "tel:+14155550100",
		"tel:555-0100;phone-context=+1415":     "tel:+14155550100",
		"sip:5550100;phone-context=+1-415@h":   "sip:+14155550100@h",
		"tel:+14155550100;phone-context=+1":    "tel:+14155550100",
		"sip:1234;phone-context=example.com@h": "",
		"sip:2024-01@h":                        "", "sip:a-1;x@h": "", "sip:alice;day=tuesday@h": "", "sip:*86;x@h": "", "sip:h": "", "sip:+@h": "", "sip:;x@h": "", "sip:%@h": "",
		"sip:1+2;x@h": "", "sip:%00;x@h": "", "sip:$%7Bx%7D;x@h": "", "urn:service:sos": "", "sip:+14155550100:pw@h": "", "tel:": "",
	} {
		if want == "" {
			want = uri
		}
		if got := dialled(uri); got != want {
			t.Errorf("%s becomes %s, want %s", uri, got, want)
		}
	}
}

// A call to a number with parameters, its CANCEL past a restart of the proxy, and its loop.
func TestNumberWithParametersOnTheWire(t *testing.T) {
	w := newWorld(t, nil)
	const uri, plain = "sip:+15550001;npdi;rn=+15550099@example.test", "sip:+15550001@example.test"
	invite := strings.ReplaceAll(w.trunk.invite("npdi"), plain+" SIP", uri+" SIP")
	w.trunk.udp(w.udp, invite)
	w.trunk.expect("SIP/2.0 100")
	inv := w.node.expect("INVITE " + plain + " SIP/2.0")
	w.node.answer(inv, "180 Ringing")
	w.trunk.expect("SIP/2.0 180")
	loop := strings.Replace(inv.raw, "Via: ", "Via: SIP/2.0/UDP "+w.trunk.addr.String()+";branch=z9hG4bKround\r\nVia: ", 1)
	w.trunk.udp(w.udp, loop)
	w.trunk.expect("SIP/2.0 482", "SIP/2.0 180", "SIP/2.0 100")
	w.stop()
	w.opt.Listen = []Listener{{Network: "udp", Addr: w.udp.String()}, {Network: "tcp", Addr: w.tcp.String()}}
	start(t, w.opt)
	w.trunk.udp(w.udp, strings.ReplaceAll(w.trunk.cancelOf(invite), plain+" SIP", uri+" SIP"))
	w.trunk.expect("SIP/2.0 200", "SIP/2.0 482")
	cancel := w.node.expect("CANCEL " + plain)
	if got, want := branchOf(cancel.raw), branchOf(inv.raw); got != want {
		t.Errorf("the CANCEL has branch %s, the INVITE %s", got, want)
	}
}

func branchOf(raw string) string {
	v, _ := parseVia(SplitList(headers(raw, "via"))[0])
	return v.branch
}

// A carrier's proxy of the days before RFC 3261 is on the way of a dialog.
func TestStrictRouterOnTheWay(t *testing.T) {
	w := newWorld(t, nil)
	at := w.trunk.addr.String()
	for name, c := range map[string]struct{ routes, line, route string }{
		"strict":           {"<sip:" + at + ";x=1>, <sip:second@" + at + ";lr>", "sip:" + at + ";x=1", "<sip:second@" + at + ";lr>, <sip:a@127.0.0.2>"},
		"loose":            {"<sip:" + at + ";lr>", "sip:a@127.0.0.2", "<sip:" + at + ";lr>"},
		"loose, lr=on":     {"<sip:" + at + ";lr=on>", "sip:a@127.0.0.2", "<sip:" + at + ";lr=on>"},
		"without brackets": {"sip:" + at + ";lr", "sip:a@127.0.0.2", "sip:" + at + ";lr"},
	} {
		w.node.udp(w.udp, w.node.build(request{method: "BYE", uri: "sip:a@127.0.0.2", callID: name, to: "<sip:a@b>;tag=x", extra: []string{"Route: <sip:" + w.udp.String() + ";lr>, " + c.routes}}))
		bye := w.trunk.expect("BYE ")
		if got, want := startLine(bye.raw), "BYE "+c.line+" SIP/2.0"; got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
		if got := strings.Join(SplitList(headers(bye.raw, "route")), ", "); got != c.route {
			t.Errorf("%s: Route %s, want %s", name, got, c.route)
		}
		w.trunk.answer(bye, "200 OK")
		w.node.expect("SIP/2.0 200")
	}
}
