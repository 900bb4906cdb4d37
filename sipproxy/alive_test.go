package sipproxy

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"
)

func TestAShardThatDoesNotTurnIsNamed(t *testing.T) {
	release := make(chan struct{})
	entered := make(chan struct{}, 1)
	w := newWorld(t, func(o *Options, _ *world) {
		// What is called on a shard and never returns: a Tap that blocks, against its contract.
		o.Tap = func(m Tapped) {
			if m.Direction == Out && strings.Contains(string(m.Raw), "Call-ID: stuck") {
				entered <- struct{}{}
				<-release
			}
		}
	})
	if err := w.p.Alive(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.trunk.udp(w.udp, w.trunk.build(request{method: "SUBSCRIBE", uri: "sip:x@y", callID: "stuck"}))
	<-entered
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := w.p.Alive(ctx); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "does not answer") {
		t.Errorf("a shard that is stuck: %v", err)
	}
	close(release)
	w.trunk.expect("SIP/2.0")
	if err := w.p.Alive(t.Context()); err != nil {
		t.Errorf("after it turns again: %v", err)
	}
	w.stop()
	if err := w.p.Alive(t.Context()); err != nil {
		t.Errorf("after the end: %v", err)
	}
}
