package sipproxy

import (
	"fmt"
	"strings"
	"testing"
)

// A Screener and a Router that wait for nothing do on the path of the call what others do beside it, and what goes wrong in them costs
// that call alone.
func TestImmediateDecisions(t *testing.T) {
	w := newWorld(t, func(o *Options, w *world) {
		both := atOnce{
			screenFunc(func(inv *Invite) Decision {
				switch inv.CallID {
				case "refused":
					return Decision{Refuse: &Refusal{Code: 607}}
				case "screener panics":
					panic("screener")
				}
				return Decision{Add: []HeaderField{{"X-Signalbox", "1.seen"}}}
			}),
			routeFunc(func(inv *Invite) []Hop {
				if inv.CallID == "router panics" {
					panic("router")
				}
				return []Hop{{Addr: w.node.addr}}
			}),
		}
		o.Screener, o.Router = both, both
	})
	for id, want := range map[string]string{"refused": "607", "router panics": "500"} {
		inv := w.trunk.invite(id)
		w.trunk.udp(w.udp, inv)
		end := w.trunk.expect("SIP/2.0 "+want, "SIP/2.0 100")
		w.trunk.udp(w.udp, w.trunk.ackFailure(inv, end))
	}
	for id, token := range map[string]string{"screened": "1.seen", "screener panics": ""} {
		inv := w.trunk.invite(id)
		w.trunk.udp(w.udp, inv)
		at := w.node.expect("INVITE")
		if got := header(at.raw, "x-signalbox"); got != token {
			t.Errorf("%s: X-Signalbox %q, want %q", id, got, token)
		}
		w.node.answer(at, "486 Busy Here")
		w.node.expect("ACK")
		end := w.trunk.expect("SIP/2.0 486", "SIP/2.0 100")
		w.trunk.udp(w.udp, w.trunk.ackFailure(inv, end))
	}
	if st := w.p.Stats(); st.Panics != 2 || st.ScreenRefused != 1 || st.ScreenSkipped != 1 {
		t.Errorf("%d panics, %d refused, %d not screened; want 2, 1, 1", st.Panics, st.ScreenRefused, st.ScreenSkipped)
	}
	w.fine()
}

// Whether a message is handled by its reader or, because more wait behind it, by its shard's goroutine: those of a call stay in order.
func TestMessagesOfACallStayInOrder(t *testing.T) {
	w := newWorld(t, nil)
	w.trunk.udp(w.udp, w.trunk.invite("order"))
	at := w.node.expect("INVITE")
	const many = 10 * crowd
	want := make([]string, 0, many)
	for i := range many {
		want = append(want, fmt.Sprint(i))
		w.node.answer(at, "183 Session Progress", "Event: "+want[i])
	}
	var got []string
	for len(got) < many {
		got = append(got, header(w.trunk.expect("SIP/2.0 183", "SIP/2.0 100").raw, "event"))
	}
	if g := strings.Join(got, " "); g != strings.Join(want, " ") {
		t.Errorf("arrived as %s", g)
	}
}
