package e2e

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/call"
	"github.com/signalbox/signalbox/internal/lab"
)

func TestSimSwitch(t *testing.T)  { onSimulator(t, switches(t)) }
func TestRealSwitch(t *testing.T) { onFreeSWITCH(t, switches(t)) }

// switches is what becomes of calls, records and the next call when FreeSWITCH itself freezes, or is killed and started again.
func switches(t *testing.T) chapter {
	return chapter{
		acts: []act{switchFrozen().act(), switchKilled().act()}, files: operatorSettings,
		provision: func(d *account.Document, _ map[string]*lab.Stage) {
			for i := range d.Numbers {
				d.Numbers[i].NoAnswer = account.Duration(longRing)
			}
		},
	}
}

func switchKilled() *stroke {
	st := newStroke("switch-killed", func(ctx context.Context, s *lab.Stage) {
		s.Must(s.Rig.KillSwitch())
		s.Must(s.Rig.StartSwitch(ctx))
	}, func(context.Context, *lab.Stage) {})
	st.meets("switch-killed-while-two-talk", "The record says between when and when the call ended; the next call works.", lab.Line{},
		func(ctx context.Context, s *lab.Stage, m *moment) {
			c, in := talk(ctx, s)
			m.strikes(ctx, s)
			logged(ctx, s, "sidecar", 1, "freeswitch was restarted", `"is"`)
			endedUnseen(ctx, s, call.Answered)
			r := s.Record(ctx, 1)
			s.Check(strings.HasSuffix(r.Note, "freeswitch was restarted"), "the record says %q, want that freeswitch was restarted", r.Note)
			s.Check(!r.Ended.Before(r.Updated) && r.Ended.After(r.Answered), "the record of the call that was answered at %s ends at %s", r.Answered, r.Ended)
			s.Check(c.EndedBy() == "" && in.EndedBy() == "", "somebody ended the call for the parties: %q, %q", c.EndedBy(), in.EndedBy())
			s.NextCallWorks(ctx, 1)
		})
	st.meets("switch-killed-while-ringing", "The record is closed as broken and says why; the next call works.", lab.Line{},
		func(ctx context.Context, s *lab.Stage, m *moment) {
			ring(ctx, s)
			m.strikes(ctx, s)
			r := s.Record(ctx, 1)
			s.Check(r.Result == call.Broken && strings.Contains(r.Note, "the switch was stopped"), "the record says %s %q", r.Result, r.Note)
			s.NextCallWorks(ctx, 1)
		})
	st.meets("switch-killed-while-prompt-plays", "The record is closed as broken and says why.",
		lab.Line{Targets: [2]lab.TargetState{lab.TargetRefuses, lab.TargetRefuses}},
		func(ctx context.Context, s *lab.Stage, m *moment) {
			prompt(ctx, s)
			m.strikes(ctx, s)
			r := s.Record(ctx, 1)
			s.Check(r.Result == call.Broken && r.Note != "", "the record says %s %q", r.Result, r.Note)
		})
	return st
}

// iceTime is how long FreeSWITCH is frozen: longer than the sidecar waits for the answer to a command.
const iceTime = 7 * time.Second

func switchFrozen() *stroke {
	frozen := make(chan struct{})
	var thawed time.Time // set before the calls go on
	st := newStroke("switch-frozen", func(ctx context.Context, s *lab.Stage) {
		s.Must(s.Rig.FreezeSwitch())
		close(frozen)
		pause(ctx, iceTime)
		thawed = time.Now()
		s.Must(s.Rig.ThawSwitch())
	}, func(context.Context, *lab.Stage) {})
	st.meets("switch-frozen-while-two-talk", "When it thaws the parties talk on, and the record knows the end.", lab.Line{Operator: true},
		func(ctx context.Context, s *lab.Stage, m *moment) {
			c, in := talk(ctx, s)
			m.strikes(ctx, s)
			s.Talk(ctx, c, in)
			in.Hangup()
			released(ctx, s, c)
			r := s.Record(ctx, 1)
			s.Check(r.Result == call.Answered && r.Cause == "NORMAL_CLEARING", "the record says %s %s %q", r.Result, r.Cause, r.Note)
			s.NextCallWorks(ctx, 1)
		})
	st.meets("switch-frozen-while-voicemail-talks", "When it thaws the caller finishes the message.", lab.Line{Operator: true},
		func(ctx context.Context, s *lab.Stage, m *moment) {
			c, mail := message(ctx, s)
			m.strikes(ctx, s)
			s.Talk(ctx, c, mail)
			c.Hangup()
			s.Ended(ctx, mail, "them")
			s.Untouched(s.Operator)
		})
	st.meets("switch-frozen-while-ringing", "When it thaws the operator's extension has the call: the sidecar had no answer for too long.", lab.Line{Operator: true},
		func(ctx context.Context, s *lab.Stage, m *moment) {
			c, in := ring(ctx, s)
			struck := m.strikes(ctx, s)
			for _, x := range []*lab.Call{c, in} {
				at := x.Ended()
				s.Check(at.IsZero() || at.After(thawed), "%s was ended while the switch was frozen: %q", x.Agent().Name(), x.EndedBy())
			}
			operatorHas(ctx, s, c, struck, fallbackTime, harmlessGuard)
			s.Check(in.Cancelled(), "the phone rings on: it ended with %q", in.EndedBy())
			r := s.Record(ctx, 1)
			s.Check(r.Result == call.Broken && r.Note != "", "the record says %s %q, want broken and why", r.Result, r.Note)
			s.NextCallWorks(ctx, 1)
		})
	st.meets("call-to-a-frozen-switch", "The caller hears in a few seconds that it does not work; what FreeSWITCH finds when it thaws is taken back.", lab.Line{Operator: true},
		func(ctx context.Context, s *lab.Stage, m *moment) {
			m.ready.Do(m.st.ready.Done)
			wait(ctx, s, frozen, "the switch is frozen")
			s.Phone.Behave(lab.Behaviour{Ring: true})
			began := time.Now()
			c := s.Call()
			s.Must(c.WaitEnded(ctx))
			s.Check(time.Since(began) < fallbackTime, "the caller waited %s", time.Since(began))
			s.Check(c.EndedBy() == "408" || c.EndedBy() == "503", "the caller got %s", c.EndedBy())
			m.strikes(ctx, s)
		})
	return st
}

// pause waits, unless ctx ends before.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
