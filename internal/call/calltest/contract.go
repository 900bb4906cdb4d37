package calltest

import (
	"context"
	"testing"
	"time"

	"github.com/signalbox/signalbox/internal/call"
)

// Scene is what a leg of the contract shall meet.
type Scene struct {
	Phone      call.Result // how the phone of the order ends
	CallerGone bool        // the caller hangs up while the phone rings for the first time
	SwitchGone bool        // the connection to the switch is gone before the first verb
}

// Contract asks of a Leg what call.Leg promises. open makes a leg for a scene, and the order that rings the scene's
// phone for not more than two seconds; it cleans up with the test.
func Contract(t *testing.T, open func(t *testing.T, s Scene) (call.Leg, call.RingOrder)) {
	for _, result := range []call.Result{call.Answered, call.NoAnswer, call.Busy, call.NotRegistered, call.Unreachable, call.Declined} {
		t.Run("a phone ends with "+string(result), func(t *testing.T) {
			t.Parallel()
			leg, order := open(t, Scene{Phone: result})
			answers := 0
			order.Answered = func() { answers++ }
			attempt, err := leg.Ring(t.Context(), order)
			if err != nil || attempt.Result != result {
				t.Fatalf("Ring: %s, %v, want %s", attempt.Result, err, result)
			}
			if attempt.Target == "" || attempt.Started.IsZero() || attempt.Ended.Before(attempt.Started) {
				t.Errorf("attempt %+v does not say who was tried, and when", attempt)
			}
			if want := map[call.Result]int{call.Answered: 1}[result]; answers != want {
				t.Errorf("%d answers were told, want %d", answers, want)
			}
			if result == call.Answered {
				return
			}
			if got, err := leg.Announce(t.Context(), "tone_stream://%(50,0,440)", 5*time.Second); err != nil || got != call.Ended {
				t.Errorf("Announce behind it: %s, %v", got, err)
			}
			if err := leg.End(t.Context(), "NO_ANSWER"); err != nil {
				t.Errorf("End behind it: %v", err)
			}
		})
	}
	t.Run("a caller who hung up is a result and no error", func(t *testing.T) {
		t.Parallel()
		leg, order := open(t, Scene{Phone: call.NoAnswer, CallerGone: true})
		for range 2 {
			if attempt, err := leg.Ring(t.Context(), order); err != nil || attempt.Result != call.CallerGone {
				t.Errorf("Ring: %s, %v", attempt.Result, err)
			}
		}
		for _, v := range verbs(leg) {
			result, err := v.do(t.Context())
			if err != nil || v.results && result != call.CallerGone {
				t.Errorf("%s: %s, %v", v.name, result, err)
			}
		}
	})
	t.Run("a switch that is gone is an error of every verb", func(t *testing.T) {
		t.Parallel()
		leg, order := open(t, Scene{SwitchGone: true})
		if attempt, err := leg.Ring(t.Context(), order); err == nil || attempt.Result != call.Broken {
			t.Errorf("Ring: %s, %v", attempt.Result, err)
		}
		for _, v := range verbs(leg) {
			result, err := v.do(t.Context())
			if err == nil || v.results && result != call.Broken {
				t.Errorf("%s: %s, %v", v.name, result, err)
			}
		}
	})
}

// verb is every verb but Ring.
type verb struct {
	name    string
	results bool // it returns a result
	do      func(ctx context.Context) (call.Result, error)
}

func verbs(leg call.Leg) []verb {
	plain := func(name string, do func(ctx context.Context) error) verb {
		return verb{name, false, func(ctx context.Context) (call.Result, error) { return "", do(ctx) }}
	}
	return []verb{
		plain("Waiting", func(ctx context.Context) error { return leg.Waiting(ctx, time.Second) }),
		{"Announce", true, func(ctx context.Context) (call.Result, error) {
			return leg.Announce(ctx, "tone_stream://%(50,0,440)", 5*time.Second)
		}},
		{"Record", true, func(ctx context.Context) (call.Result, error) {
			r, err := leg.Record(ctx, call.RecordOrder{File: "/nowhere/message.wav", Longest: time.Second})
			return r.Result, err
		}},
		{"Menu", true, func(ctx context.Context) (call.Result, error) {
			in, err := leg.Menu(ctx, call.MenuOrder{Sounds: []string{"tone_stream://%(50,0,440)"}, Most: 1, Wait: time.Second})
			return in.Result, err
		}},
		{"Hold", true, func(ctx context.Context) (call.Result, error) {
			return leg.Hold(ctx, call.HoldOrder{Longest: time.Second})
		}},
		{"Join", true, func(ctx context.Context) (call.Result, error) {
			return leg.Join(ctx, call.JoinOrder{Room: "sb-0123456789abcdef", Flags: []string{"join-only"}})
		}},
		plain("Refuse", func(ctx context.Context) error {
			return leg.Refuse(ctx, call.Refusal{Code: 482, Phrase: "Loop Detected"})
		}),
		plain("End", func(ctx context.Context) error { return leg.End(ctx, "USER_BUSY") }),
		plain("HandBack", leg.HandBack),
	}
}
