package sipproxy

import (
	"strings"
	"testing"
)

// A 503 of ours would have the sender give up the whole proxy (RFC 3261 16.7 step 6 and 21.5.4).
func TestA503OfOneHopIsNoneOfOurs(t *testing.T) {
	w := newWorld(t, nil)
	w.node.udp(w.udp, w.node.build(request{method: "INVITE", uri: "sip:+15550001@" + w.trunk.addr.String(), callID: "out"}))
	w.trunk.answer(w.trunk.expect("INVITE"), "503 Service Unavailable", "Retry-After: 5")
	w.trunk.expect("ACK")
	w.node.expect("SIP/2.0 500", "SIP/2.0 100")
	// One dialog of a node that is otherwise well.
	_, ok := w.call("talk")
	w.trunk.udp(w.udp, w.trunk.inDialog("UPDATE", ok, 2))
	w.node.answer(w.node.expect("UPDATE", "ACK"), "503 Service Unavailable")
	w.trunk.expect("SIP/2.0 500", "SIP/2.0 200")
	// Every node: nothing can be served.
	w.trunk.udp(w.udp, w.trunk.invite("full"))
	w.node.answer(w.node.expect("INVITE", "ACK"), "503 Service Unavailable", "Retry-After: 5")
	if res := w.trunk.expect("SIP/2.0 503", "SIP/2.0 100", "SIP/2.0 200", "SIP/2.0 500"); header(res.raw, "retry-after") != "5" {
		t.Errorf("Retry-After is lost in %s", res.raw)
	}
}

// RFC 3261 16.7 step 3.
func TestAResponseMeantForUsGoesNoFurther(t *testing.T) {
	w := newWorld(t, nil)
	w.trunk.udp(w.udp, w.trunk.invite("vias"))
	w.trunk.expect("SIP/2.0 100")
	inv := w.node.expect("INVITE")
	short := inv
	vias := SplitList(headers(inv.raw, "via"))
	short.raw = strings.Replace(inv.raw, "Via: "+vias[1]+"\r\n", "", 1)
	if short.raw == inv.raw {
		t.Fatalf("no second Via in %s", inv.raw)
	}
	before := w.p.Stats().Stray
	w.node.answer(short, "100 Trying") // FreeSWITCH's is so
	w.trunk.udp(w.udp, w.trunk.build(request{method: "OPTIONS", uri: "sip:" + w.udp.String(), callID: "behind"}))
	w.trunk.expect("SIP/2.0 200")
	if n := w.p.Stats().Stray; n != before {
		t.Errorf("a 100 for us is not taken: %d stray, want %d", n, before)
	}
	w.node.answer(short, "200 OK", w.node.contact())
	w.wait("the response is dropped", func(s Stats) bool { return s.Stray == before+1 })
	w.trunk.quiet()
	w.node.answer(inv, "486 Busy Here")
	w.trunk.expect("SIP/2.0 486")
}

func TestAckOfAForgottenRefusalOfOursReachesNobody(t *testing.T) {
	w := newWorld(t, func(o *Options, _ *world) { o.Peers[0].CallsPerSecond = 0.01 })
	w.trunk.udp(w.udp, w.trunk.invite("first"))
	w.trunk.expect("SIP/2.0 100")
	w.node.answer(w.node.expect("INVITE"), "486 Busy Here")
	w.trunk.udp(w.udp, w.trunk.ackFailure(w.trunk.invite("first"), w.trunk.expect("SIP/2.0 486")))
	w.node.expect("ACK")
	second := w.trunk.invite("second")
	w.trunk.udp(w.udp, second)
	res := w.trunk.expect("SIP/2.0 503")
	before := w.p.Stats().Stray
	w.trunk.udp(w.udp, w.trunk.ackFailure(second, res))
	w.wait("the ACK is taken", func(s Stats) bool { return s.Stray == before+1 })
	w.node.quiet()
}

func TestSchemesOfARequestURI(t *testing.T) {
	w := newWorld(t, nil)
	for uri, code := range map[string]string{
		"tel:5550001;phone-context=example.test": "", "sips:+15550001@example.test": "", "urn:service:sos": "", "SIP:+15550001@example.test": "",
		"mailto:a@b": "416", "soap.beep://192.0.2.103:3002": "416", "x:y": "416",
	} {
		w.trunk.udp(w.udp, w.trunk.build(request{method: "INVITE", uri: uri, callID: "scheme-" + uri}))
		if code != "" {
			w.trunk.expect("SIP/2.0 "+code, "SIP/2.0 100", "SIP/2.0 486", "SIP/2.0 416")
			continue
		}
		inv := w.node.expect("INVITE "+uri+" SIP/2.0", "ACK", "INVITE")
		w.node.answer(inv, "486 Busy Here")
	}
}

func TestARequestLineThatCannotBeReadIsAnswered(t *testing.T) {
	w := newWorld(t, nil)
	const good = "INVITE sip:+15550001@example.test SIP/2.0"
	for line, want := range map[string]string{
		"INVITE sip:+15550001@example.test SIP/3.0":   "505 Version Not Supported",
		"INVITE  sip:+15550001@example.test SIP/2.0":  "400 Bad Request Line",
		"INVITE <sip:+15550001@example.test> SIP/2.0": "400 Bad Request Line",
		"INVITE sip:a b@example.test SIP/2.0":         "400 Bad Request Line",
		"INVITE SIP/2.0":                              "400 Bad Request Line",
		"GET / HTTP/1.1":                              "",
	} {
		w.trunk.udp(w.udp, strings.Replace(w.trunk.invite("line"), good, line, 1))
		if want == "" {
			continue
		}
		if res := w.trunk.expect("SIP/2.0 "); startLine(res.raw) != "SIP/2.0 "+want {
			t.Errorf("%q is answered %q, want %s", line, startLine(res.raw), want)
		}
	}
	w.fine()
	w.trunk.quiet()
}
