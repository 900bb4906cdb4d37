package e2e

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/call"
	"github.com/signalbox/signalbox/internal/lab"
)

func TestSimDrain(t *testing.T)  { onSimulator(t, drains(t)) }
func TestRealDrain(t *testing.T) { onFreeSWITCH(t, drains(t)) }

const (
	drainTime = 6 * time.Second
	longest   = drainTime + 2*time.Second // the process is gone by then
)

// drains is a sidecar that is asked to end while it has calls in every state and new ones come in.
func drains(t *testing.T) chapter {
	return chapter{
		acts: []act{stopped().act(), {
			{Name: "second-signal", Title: "A second SIGTERM ends the process at once: who waits goes to the operator's extension.", Alone: true, Line: lab.Line{Operator: true}, Play: playSecondSignal},
		}}, files: operatorSettings,
		configure: func(yaml string) string {
			return edit(t, yaml, "sidecar:\n", "sidecar:\n  drain: "+drainTime.String()+"\n")
		},
		provision: func(d *account.Document, _ map[string]*lab.Stage) {
			for i := range d.Numbers {
				d.Numbers[i].NoAnswer = account.Duration(longRing)
			}
		},
	}
}

func stopped() *stroke {
	var began time.Time
	st := newStroke("stop", func(_ context.Context, s *lab.Stage) {
		began = time.Now()
		s.Must(s.Rig.Sidecar.Signal(syscall.SIGTERM))
	}, func(ctx context.Context, s *lab.Stage) {
		s.Must(gone(ctx, s))
		s.Check(time.Since(began) < longest, "the sidecar ended only after %s", time.Since(began))
		end := lastWords(s)
		s.Check(end["calls_left_talking"] == 4.0 && end["calls_left_to_the_dialplan"] == 1.0 && end["records_not_written"] == 0.0,
			"the last words of the sidecar are %v", end)
		s.Must(s.Rig.StartSidecar(ctx))
	})
	stoppedTalking(st)
	st.meets("stopped-while-ringing-too-long", "Nobody answers before the drain is over: the operator's extension has the call.", lab.Line{Operator: true},
		func(ctx context.Context, s *lab.Stage, m *moment) {
			c, in := ring(ctx, s)
			struck := m.strikes(ctx, s)
			toOperator(ctx, s, c, struck, longest)
			s.Check(in.Cancelled(), "the phone rings on: it ended with %q", in.EndedBy())
			s.Check(time.Since(struck) > drainTime-time.Second, "the caller was given up after %s", time.Since(struck))
			m.passes(ctx, s)
			s.Check(s.Record(ctx, 1).Result == call.Broken, "the record does not say broken")
			s.NextCallWorks(ctx, 1)
		})
	st.meets("calls-while-stopping", "New calls, ten a second: the operator's extension has each at once.", lab.Line{Operator: true},
		func(ctx context.Context, s *lab.Stage, m *moment) {
			m.strikes(ctx, s)
			pause(ctx, 100*time.Millisecond) // the signal arrives
			var calls []*lab.Call
			for n := range 20 {
				c := s.Call()
				calls = append(calls, c)
				op := s.Rings(ctx, s.Operator, n+1)
				s.WaitAnswered(ctx, c)
				took := time.Since(c.Invite().At)
				s.Check(took < time.Second, "call %d was answered after %s", n, took)
				s.Clean(op)
				pause(ctx, 100*time.Millisecond-took)
			}
			for _, c := range calls {
				c.Hangup()
			}
			s.Untouched(s.Phone, s.Mail[0], s.Mail[1])
			m.passes(ctx, s)
			s.NoRecord(ctx)
		})
	return st
}

// stoppedTalking are the calls whose parties talk, before or soon after the signal.
func stoppedTalking(st *stroke) {
	st.meets("stopped-while-two-talk", "They talk on; when B hangs up A is released, and the next sidecar sees it.", lab.Line{Operator: true},
		func(ctx context.Context, s *lab.Stage, m *moment) {
			c, in := talk(ctx, s)
			m.strikes(ctx, s)
			s.Talk(ctx, c, in)
			m.passes(ctx, s)
			s.Talk(ctx, c, in)
			uuid, err := s.Rig.Leg(ctx, c)
			s.Must(err)
			logged(ctx, s, "sidecar", 1, "still lives", uuid)
			in.Hangup()
			released(ctx, s, c)
			r := s.Record(ctx, 1)
			s.Steps(r, "ring answered")
			s.Check(r.Result == call.Answered && r.Cause == "NORMAL_CLEARING", "the record says %s %s %q", r.Result, r.Cause, r.Note)
		})
	st.meets("stopped-while-voicemail-talks", "The caller finishes the message while no sidecar is there.", lab.Line{Operator: true},
		func(ctx context.Context, s *lab.Stage, m *moment) {
			c, mail := message(ctx, s)
			m.strikes(ctx, s)
			logged(ctx, s, "sidecar", 1, "call left to freeswitch", c.ID(), `"talking":true`)
			s.Talk(ctx, c, mail)
			mail.Hangup()
			released(ctx, s, c)
			m.passes(ctx, s)
			endedUnseen(ctx, s, call.Answered)
		})
	st.meets("stopped-while-ringing-then-answered", "The sidecar stays for the ring; once they talk it leaves.", lab.Line{Operator: true},
		func(ctx context.Context, s *lab.Stage, m *moment) {
			c, in := ring(ctx, s)
			m.strikes(ctx, s)
			pause(ctx, time.Second)
			in.Answer()
			s.WaitAnswered(ctx, c)
			s.Talk(ctx, c, in)
			logged(ctx, s, "sidecar", 1, "call left to freeswitch", c.ID(), `"talking":true`)
			s.Talk(ctx, c, in)
			c.Hangup()
			released(ctx, s, in)
			m.passes(ctx, s)
			endedUnseen(ctx, s, call.Answered)
		})
	st.meets("stopped-while-ringing-then-refused", "A step still has work: voicemail takes the call.", lab.Line{Operator: true},
		func(ctx context.Context, s *lab.Stage, m *moment) {
			s.Phone.Behave(lab.Behaviour{Ring: true, After: 3 * time.Second, Status: 486})
			c := s.Call()
			s.Rings(ctx, s.Phone, 1)
			m.strikes(ctx, s)
			mail := s.Rings(ctx, s.Mail[0], 1)
			s.WaitAnswered(ctx, c)
			s.Talk(ctx, c, mail)
			m.passes(ctx, s)
			s.Talk(ctx, c, mail)
			mail.Hangup()
			released(ctx, s, c)
			s.Steps(s.Record(ctx, 1), "ring busy", "mailbox answered")
		})
}

// playSecondSignal ends a drain that waits for a phone that rings.
func playSecondSignal(ctx context.Context, s *lab.Stage) {
	c, _ := ring(ctx, s)
	s.Must(s.Rig.Sidecar.Signal(syscall.SIGTERM))
	logged(ctx, s, "sidecar", 2, `"stopping"`)
	began := time.Now()
	s.Must(s.Rig.Sidecar.Signal(syscall.SIGTERM))
	s.Must(gone(ctx, s))
	s.Check(time.Since(began) < 2*time.Second, "the sidecar ended %s after the second signal", time.Since(began))
	toOperator(ctx, s, c, began, fallbackTime)
	s.Must(s.Rig.StartSidecar(ctx))
	s.NextCallWorks(ctx, 1)
}

// gone waits until the sidecar has ended.
func gone(ctx context.Context, s *lab.Stage) error {
	select {
	case <-s.Rig.Sidecar.Done():
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// lastWords are the fields of the line with which the sidecar said that it has stopped.
func lastWords(s *lab.Stage) map[string]any {
	raw, err := os.ReadFile(filepath.Join(s.Rig.Dir(), "sidecar.log"))
	s.Must(err)
	var fields map[string]any
	for line := range strings.Lines(string(raw)) {
		if strings.Contains(line, `"signalbox has stopped"`) {
			s.Must(json.Unmarshal([]byte(line), &fields))
		}
	}
	return fields
}
