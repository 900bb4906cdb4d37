package sipproxy

import (
	"slices"
	"testing"
)

func TestRequestsAnswersAndHopsAreCounted(t *testing.T) {
	w := newWorld(t, nil)
	w.trunk.udp(w.udp, w.trunk.invite("counted"))
	w.node.answer(w.node.expect("INVITE"), "603 Decline")
	inv := w.trunk.expect("SIP/2.0 603", "SIP/2.0 100")
	w.trunk.udp(w.udp, w.trunk.ackFailure(w.trunk.invite("counted"), inv))
	w.trunk.udp(w.udp, w.trunk.build(request{method: "MADEUPBYASTRANGER", uri: "sip:x@y", callID: "odd"}))
	w.trunk.expect("SIP/2.0")
	find := func(method string) MethodCount {
		i := slices.IndexFunc(w.p.Methods(), func(c MethodCount) bool { return c.Method == method && c.Transport == "udp" })
		if i < 0 {
			t.Fatalf("no %s: %+v", method, w.p.Methods())
		}
		return w.p.Methods()[i]
	}
	if c := find("INVITE"); c.Requests != 1 || c.Answers[6] != 1 || c.Answers[1] != 0 {
		t.Errorf("%+v", c)
	}
	if c := find("other"); c.Requests != 1 {
		t.Errorf("%+v", c)
	}
	if got := w.p.Hops(); len(got) != 1 || got[0].Sent != 1 || got[0].Failed != 0 {
		t.Errorf("hops %+v", got)
	}
}
