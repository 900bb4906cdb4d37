package sipproxy

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

// watched collects what an observer is told.
type watched struct {
	mu  sync.Mutex
	all []Transaction
}

func (w *watched) observe(t Transaction) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.all = append(w.all, t)
}

// until waits for the transaction of a method and a Call-ID.
func (w *watched) until(t *testing.T, method, callID string) Transaction {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); <-tick.C {
		w.mu.Lock()
		for _, x := range w.all {
			if x.Method == method && x.CallID == callID {
				w.mu.Unlock()
				return x
			}
		}
		w.mu.Unlock()
	}
	t.Fatalf("nobody told of the %s of %s", method, callID)
	return Transaction{}
}

// brief is a transaction in a line; times are checked for sense.
func brief(t *testing.T, x Transaction) string {
	t.Helper()
	out := fmt.Sprintf("%s of %s %s by %s, %d", x.Method, x.Kind, x.Peer, x.Transport, x.Code)
	if !x.Initial {
		out = "in dialog " + out
	}
	if x.Ended.Before(x.Began) || x.Began.IsZero() {
		t.Errorf("%s: began %s, ended %s", out, x.Began, x.Ended)
	}
	for _, b := range x.Branches {
		out += fmt.Sprintf("; %s by %s %d%s", b.Hop, b.Transport, b.Code, b.Failure)
		if b.Began.Before(x.Began) || b.Ended.Before(b.Began) || b.Ended.After(x.Ended) {
			t.Errorf("%s: the branch to %s does not lie inside", out, b.Hop)
		}
	}
	for _, l := range x.Labels {
		out += "; " + l.Name + "=" + l.Value
	}
	return out
}

func TestObserverIsToldOfEachTransaction(t *testing.T) {
	seen := &watched{}
	silent := newUA(t, "silent", "127.0.0.13")
	w := newWorld(t, func(o *Options, w *world) {
		o.Observe = seen.observe
		o.FirstResponse = 150 * time.Millisecond
		o.Peers = []Peer{o.Peers[0], {Name: "fs0", Kind: Node, Addr: silent.addr}, o.Peers[1]}
		o.Screener = screenFunc(func(inv *Invite) Decision {
			d := Decision{Labels: []HeaderField{{"verdict", "deliver"}}}
			if inv.CallID == "o-refused" {
				d.Refuse = &Refusal{Code: 603}
			}
			return d
		})
	})
	check := func(method, callID, want string) {
		t.Helper()
		if got := brief(t, seen.until(t, method, callID)); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
	inv, ok := w.call("o-answered")
	check("INVITE", "o-answered", "INVITE of trunk carrier by udp, 200; fs0 by udp 0silent; fs1 by udp 200; verdict=deliver")
	w.trunk.udp(w.udp, w.trunk.inDialog("INFO", ok, 2))
	w.node.answer(w.node.expect("INFO"), "415 Unsupported Media Type")
	w.trunk.expect("SIP/2.0 415")
	check("INFO", "o-answered", "in dialog INFO of trunk carrier by udp, 415; fs1 by udp 415")
	w.node.udp(w.udp, strings.Replace(w.node.inDialogFrom("BYE", "UDP", inv, 1), "Max-Forwards", "X-CID: caller@leg\r\nMax-Forwards", 1))
	w.trunk.answer(w.trunk.expect("BYE"), "200 OK")
	w.node.expect("SIP/2.0 200")
	check("BYE", "o-answered", "in dialog BYE of node fs1 by udp, 200; carrier by udp 200")
	if got := seen.until(t, "BYE", "o-answered").Caller; got != "caller@leg" {
		t.Errorf("the caller's leg is %q", got)
	}

	w.trunk.udp(w.udp, w.trunk.invite("o-refused"))
	w.trunk.expect("SIP/2.0 603", "SIP/2.0 100")
	check("INVITE", "o-refused", "INVITE of trunk carrier by udp, 603; verdict=deliver")

	raw := w.trunk.invite("o-cancelled")
	w.trunk.udp(w.udp, raw)
	inv = w.node.expect("INVITE")
	w.node.answer(inv, "180 Ringing", w.node.contact())
	w.trunk.expect("SIP/2.0 180", "SIP/2.0")
	w.trunk.udp(w.udp, w.trunk.cancelOf(raw))
	w.node.expect("CANCEL")
	check("INVITE", "o-cancelled", "INVITE of trunk carrier by udp, 487; fs0 by udp 0silent; fs1 by udp 0abandoned; verdict=deliver")
}

func TestObserverThatPanicsCostsNoCall(t *testing.T) {
	w := newWorld(t, func(o *Options, _ *world) { o.Observe = func(Transaction) { panic("observer") } })
	w.fine()
	w.fine()
	w.wait("both panics are counted", func(s Stats) bool { return s.Panics >= 2 })
}
