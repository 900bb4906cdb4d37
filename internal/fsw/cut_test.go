package fsw_test

import (
	"context"
	"testing"
	"time"

	"github.com/signalbox/signalbox/esl"
	"github.com/signalbox/signalbox/internal/call"
	"github.com/signalbox/signalbox/internal/fsw"
	"github.com/signalbox/signalbox/internal/fsw/fswtest"
	"github.com/signalbox/signalbox/internal/lab"
)

// A far end that dies without a word, as a node whose FreeSWITCH was killed: the caller is taken off it, stays, and can be connected again.
func TestWhoIsConnectedWithADeadFarEndIsTakenBack(t *testing.T) {
	t.Parallel()
	dead, next := fswtest.Agent(t, "dead", lab.Answers(0)), fswtest.Agent(t, "next", lab.Answers(0))
	lost, connected, got := make(chan struct{}), make(chan struct{}), make(chan outcome, 2)
	bench := served(t, func(ctx context.Context, leg *fsw.Leg, _ *esl.Session) {
		order := ring(10*time.Second, at(dead))
		order.Lost = lost
		attempt, err := leg.Ring(ctx, order)
		got <- outcome{attempt: attempt, err: err}
		order = ring(10*time.Second, at(next))
		order.Answered = func() { close(connected) }
		attempt, err = leg.Ring(ctx, order)
		got <- outcome{attempt: attempt, err: err}
		leg.Over(ctx)
	})
	caller := bench.Call(fswtest.Agent(t, "caller", lab.Behaviour{}), number)
	bench.Status(caller, 200)
	first := bench.Incoming(dead, 1)
	close(lost)
	if o := fswtest.Wait(t, "the first attempt", got); o.err != nil || o.attempt.Result != call.Unreachable || o.attempt.Disposition != "SUCCESS" || o.attempt.Note == "" {
		t.Errorf("attempt %+v, %v", o.attempt, o.err)
	}
	bench.Ended(first)
	second := bench.Incoming(next, 1)
	fswtest.Wait(t, "the second answer", connected)
	second.Hangup()
	bench.Ended(caller)
	if o := fswtest.Wait(t, "the second attempt", got); o.err != nil || o.attempt.Result != call.Answered {
		t.Errorf("attempt %+v, %v", o.attempt, o.err)
	}
	if caller.EndedBy() != "them" {
		t.Errorf("the caller's call ended by %s", caller.EndedBy())
	}
}
