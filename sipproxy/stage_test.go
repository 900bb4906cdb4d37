package sipproxy

import (
	"context"
	"maps"
	"sync"
	"testing"
	"time"
)

// slow screens and routes, each for its time.
type slow struct {
	screen, route time.Duration
	hops          []Hop
}

func (s slow) Screen(context.Context, *Invite) Decision { <-time.After(s.screen); return Decision{} }
func (s slow) Route(context.Context, *Invite) []Hop     { <-time.After(s.route); return s.hops }

func TestStagesOfACallAreTimed(t *testing.T) {
	const screen, route, silence = 30 * time.Millisecond, 60 * time.Millisecond, 500 * time.Millisecond
	var mu sync.Mutex
	counts, took := make(map[Stage]int), make(map[Stage]time.Duration)
	var second *ua
	w := newWorld(t, func(o *Options, w *world) {
		second = newUA(t, "second", "127.0.0.4")
		o.Peers = append(o.Peers, Peer{Name: "fs2", Kind: Node, Addr: second.addr})
		s := slow{screen, route, []Hop{{Addr: second.addr}, {Addr: w.node.addr}}}
		o.Screener, o.Router, o.FirstResponse = s, s, silence
		o.StageTook = func(stage Stage, d time.Duration) {
			mu.Lock()
			defer mu.Unlock()
			counts[stage]++
			took[stage] += d
		}
	})
	// The first hop is silent: it has no stage of its own, and its silence is not the second's time.
	_, ok := w.call("stages")
	w.trunk.udp(w.udp, w.trunk.inDialog("INVITE", ok, 2, w.trunk.contact()))
	w.node.answer(w.node.expect("INVITE"), "200 OK", w.node.contact())
	w.trunk.expect("SIP/2.0 200", "SIP/2.0 100")
	mu.Lock()
	defer mu.Unlock()
	if want := map[Stage]int{StageScreen: 1, StageRoute: 1, StageHop: 1}; !maps.Equal(counts, want) {
		t.Errorf("stages %v, want %v: a call has each once, what is inside its dialog none", counts, want)
	}
	if took[StageScreen] < screen || took[StageRoute] < route {
		t.Errorf("screening took %s and routing %s, want at least %s and %s", took[StageScreen], took[StageRoute], screen, route)
	}
	if took[StageHop] >= silence {
		t.Errorf("the hop that answered is said to have taken %s: the silence of the one before is in it", took[StageHop])
	}
}
