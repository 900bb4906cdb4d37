package sidecar_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/signalbox/signalbox/internal/call"
	"github.com/signalbox/signalbox/internal/fsw"
	"github.com/signalbox/signalbox/internal/fsw/fswtest"
	"github.com/signalbox/signalbox/internal/lab"
)

// faulty is a leg on which treatments panic at the moment a test names: in the middle of a verb that FreeSWITCH is busy with.
type faulty struct {
	*fsw.Leg
	at     string
	moment context.Context // ends when it is there
}

// until does a verb that is left in its middle, and panics then.
func (f faulty) until(ctx context.Context, verb func(ctx context.Context)) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(f.moment, cancel)()
	verb(ctx)
	panic("a fault of a treatment " + f.at)
}

func (f faulty) Ring(ctx context.Context, order call.RingOrder) (call.Attempt, error) {
	if order.Voicemail == nil && (f.at == "while the phone rings" || f.at == "while two talk") || order.Voicemail != nil && f.at == "while voicemail talks" {
		f.until(ctx, func(ctx context.Context) { _, _ = f.Leg.Ring(ctx, order) })
	}
	return f.Leg.Ring(ctx, order)
}

func (f faulty) Waiting(ctx context.Context, longest time.Duration) error {
	if f.at == "while a voicemail system is looked up" {
		panic("a fault of a treatment " + f.at)
	}
	return f.Leg.Waiting(ctx, longest)
}

func (f faulty) Announce(ctx context.Context, prompt string, longest time.Duration) (call.Result, error) {
	if f.at == "while an announcement plays" {
		f.until(ctx, func(ctx context.Context) { _, _ = f.Leg.Announce(ctx, prompt, longest) })
	}
	return f.Leg.Announce(ctx, prompt, longest)
}

func TestAPanicInATreatmentCostsOneCallOnly(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		at    string
		busy  bool // the phone is
		talks bool // somebody talks with the caller then
		down  bool // voicemail is
		steps int  // on record by then
	}{
		{at: "before the first command"},
		{at: "while the phone rings"},
		{at: "while two talk", talks: true},
		{at: "while a voicemail system is looked up", busy: true, steps: 1},
		{at: "while voicemail talks", busy: true, talks: true, steps: 1},
		{at: "while an announcement plays", busy: true, down: true, steps: 2},
	} {
		t.Run(tt.at, func(t *testing.T) {
			t.Parallel()
			moment, reached := context.WithCancel(t.Context())
			var armed atomic.Bool
			r := newRig(t, options{linked: true, verbs: func(leg *fsw.Leg) call.Leg {
				switch {
				case !armed.Load():
					return leg
				case tt.at == "before the first command":
					panic("a fault of a treatment " + tt.at)
				}
				return faulty{Leg: leg, at: tt.at, moment: moment}
			}})
			other := r.Call(r.caller, served)
			r.Incoming(r.phone, 1).Answer()
			r.Status(other, 200)

			armed.Store(true)
			r.phone.Behave(lab.Behaviour{Ring: true})
			if tt.busy {
				r.phone.Behave(lab.Refuses(486))
			}
			if tt.down {
				r.vm.Behave(lab.Refuses(503))
			}
			c := r.Call(r.caller, served)
			var far *lab.Call
			switch {
			case tt.talks && tt.busy:
				far = r.Incoming(r.vm, 1)
				r.Status(c, 200)
			case tt.talks:
				far = r.Incoming(r.phone, 2)
				far.Answer()
				r.Status(c, 200)
			case tt.down:
				r.Status(c, 183)
			case tt.at == "while the phone rings":
				r.Status(c, 180)
			}
			if tt.talks { // the sidecar has heard of the answer
				r.record("answered and open", func(rec call.Record) bool { return rec.Arrival.CallID == c.ID() && !rec.Answered.IsZero() })
			}
			reached()
			r.eventually("a panic is counted", func() bool { return r.Server.Stats().Panics == 1 })
			if tt.talks {
				r.talksOn(c, far)
			} else {
				r.fallsBack(c, tt.steps)
			}
			if r.logged.FilterMessageSnippet("panicked").Len() != 1 {
				t.Error("no line of the log tells of the panic")
			}

			if !other.Ended().IsZero() {
				t.Errorf("the other call was ended by %s", other.EndedBy())
			}
			other.Hangup()
			armed.Store(false)
			r.phone.Behave(lab.Answers(0))
			next := r.Call(r.caller, served)
			r.Status(next, 200)
			next.Hangup()
		})
	}
}

// fallsBack checks a call that nobody had answered when it was lost.
func (r *rig) fallsBack(c *lab.Call, steps int) {
	r.t.Helper()
	if m := r.Status(c, 486, 480, 200); m.Phrase() != fswtest.Fallback {
		r.t.Errorf("the caller got %d %s, want the operator's extension", m.Status(), m.Phrase())
	}
	rec := r.record("closed", func(rec call.Record) bool { return rec.Arrival.CallID == c.ID() && !rec.Open() })
	if rec.Result != call.Broken || !strings.Contains(rec.Note, "fault of the sidecar") || len(rec.Steps) != steps || !rec.Answered.IsZero() {
		r.t.Errorf("the record says %s, %q, %d steps, want broken with %d: %+v", rec.Result, rec.Note, len(rec.Steps), steps, rec)
	}
}

// talksOn checks a call whose parties talked when it was lost: its record is open until they hang up.
func (r *rig) talksOn(c, far *lab.Call) {
	r.t.Helper()
	open := r.record("left open", func(rec call.Record) bool {
		return rec.Arrival.CallID == c.ID() && strings.Contains(rec.Note, "freeswitch went on with it")
	})
	if !open.Open() || !c.Ended().IsZero() || !far.Ended().IsZero() {
		r.t.Errorf("the caller was ended by %q, the other one by %q; record %+v", c.EndedBy(), far.EndedBy(), open)
	}
	far.Hangup()
	r.Ended(c)
	rec := r.record("closed", func(rec call.Record) bool { return rec.ID == open.ID && !rec.Open() })
	if rec.Result != call.Answered || rec.Cause != "NORMAL_CLEARING" || rec.Answered.IsZero() || !strings.Contains(rec.Note, "the end was seen") {
		r.t.Errorf("record %+v", rec)
	}
}
