package sipproxy

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// A panic in the core itself, which is provoked here through the logger, is a 500 for that request, and nothing of it stays.
func TestPanicInsideTheCoreIsA500(t *testing.T) {
	w := newWorld(t, func(o *Options, w *world) {
		o.T1, o.T2 = 10*time.Millisecond, 40*time.Millisecond
		core := zapcore.NewCore(zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig()), zapcore.AddSync(discard{}), zap.DebugLevel)
		o.Logger = zap.New(core, zap.Hooks(func(e zapcore.Entry) error {
			if strings.HasPrefix(e.Message, "request answered") || strings.HasPrefix(e.Message, "router names") {
				panic(e.Message)
			}
			return nil
		}))
		o.Router = routeFunc(func(inv *Invite) []Hop {
			if inv.CallID == "boom" {
				return []Hop{{Addr: netip.MustParseAddrPort("127.0.0.66:5060")}}
			}
			return []Hop{{Addr: w.node.addr}}
		})
	})
	w.trunk.udp(w.udp, w.trunk.build(request{method: "SUBSCRIBE", uri: "sip:x@y", callID: "sub"}))
	w.trunk.expect("SIP/2.0 500")
	inv := w.trunk.invite("boom")
	w.trunk.udp(w.udp, inv)
	end := w.trunk.expect("SIP/2.0 500", "SIP/2.0 100")
	w.trunk.udp(w.udp, w.trunk.ackFailure(inv, end))
	w.fine()
	if n := w.p.Stats().Panics; n != 2 {
		t.Errorf("%d panics, want 2", n)
	}
	w.wait("nothing kept", func(s Stats) bool { return s.Kept == 0 && s.Pending == 0 })
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }

// However a call ends, the proxy forgets it.
func TestNothingIsKeptAfterwards(t *testing.T) {
	w := newWorld(t, func(o *Options, w *world) {
		o.T1, o.T2, o.FirstResponse = 10*time.Millisecond, 40*time.Millisecond, 50*time.Millisecond
	})
	_, ok := w.call("kept1")
	w.trunk.udp(w.udp, w.trunk.inDialog("BYE", ok, 2))
	w.node.answer(w.node.expect("BYE", "INVITE", "ACK"), "200 OK")
	w.trunk.expect("SIP/2.0 200")
	inv := w.trunk.invite("kept2") // cancelled, and the hop never says a word again
	w.trunk.udp(w.udp, inv)
	w.node.answer(w.node.expect("INVITE", "BYE"), "180 Ringing")
	w.trunk.expect("SIP/2.0 180", "SIP/2.0 100", "SIP/2.0 200")
	w.trunk.udp(w.udp, w.trunk.cancelOf(inv))
	w.trunk.udp(w.udp, w.trunk.invite("kept3")) // nobody answers, nobody acknowledges the 408
	w.trunk.udp(w.udp, w.trunk.inDialog("INFO", ok, 3))
	w.trunk.udp(w.udp, w.trunk.invite("kept4", "Identity: "+strings.Repeat("a", 2000)))
	w.wait("nothing kept", func(s Stats) bool { return s.MessagesIn >= 9 && s.Kept == 0 && s.Pending == 0 && s.Legs == 0 })
	w.stop()
	for _, s := range w.p.shards {
		if n := len(s.client) + len(s.server) + len(s.timers); n != 0 {
			t.Errorf("%d entries are left", n)
		}
	}
}

// A carrier whose Contact is a name, or an address of its inside, is found by what our Record-Route says.
func TestContactThatIsNoAddressOfTheTrunk(t *testing.T) {
	w := newWorld(t, nil)
	raw := strings.Replace(w.trunk.invite("named"), w.trunk.contact(), "Contact: <sip:trunk@sbc17.inside.carrier.test:5070;transport=udp>", 1)
	w.trunk.udp(w.udp, raw)
	at := w.node.expect("INVITE")
	w.node.answer(at, "200 OK", w.node.contact())
	ok := w.trunk.expect("SIP/2.0 200", "SIP/2.0 100")
	w.trunk.udp(w.udp, w.trunk.inDialog("ACK", ok, 1))
	w.node.expect("ACK")
	w.restart()
	w.node.udp(w.udp, w.node.inDialogFrom("BYE", "UDP", at, 5))
	bye := w.trunk.expect("BYE")
	if got, want := startLine(bye.raw), "BYE sip:trunk@sbc17.inside.carrier.test:5070;transport=udp SIP/2.0"; got != want {
		t.Errorf("%q, want the Contact untouched: %q", got, want)
	}
	w.trunk.answer(bye, "200 OK")
	w.node.expect("SIP/2.0 200")
	// A forged one leads nowhere.
	w.node.udp(w.udp, w.node.build(request{method: "BYE", uri: "sip:x@elsewhere.test", callID: "forged", to: "<sip:a@b>;tag=x",
		extra: []string{"Route: <sip:" + w.udp.String() + ";lr;sb-carrier=127.0.0.66:5060>"}}))
	w.node.expect("SIP/2.0 403")
}

func TestProxyRequireIsRefused(t *testing.T) {
	w := newWorld(t, nil)
	w.trunk.udp(w.udp, w.trunk.invite("pr", "Proxy-Require: teleport"))
	if end := w.trunk.expect("SIP/2.0 420"); header(end.raw, "unsupported") != "teleport" {
		t.Errorf("Unsupported %q", header(end.raw, "unsupported"))
	}
	w.trunk.udp(w.udp, strings.Replace(w.trunk.build(request{method: "OPTIONS", uri: "sip:x@y", callID: "trace"}), "Max-Forwards: 70", "Max-Forwards: 0", 1))
	w.trunk.expect("SIP/2.0 200", "SIP/2.0 420")
}
