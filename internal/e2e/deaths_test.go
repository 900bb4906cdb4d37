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

func TestSimDeaths(t *testing.T)  { onSimulator(t, deaths(t)) }
func TestRealDeaths(t *testing.T) { onFreeSWITCH(t, deaths(t)) }

const (
	nobodysNumber = "+493023125903" // neither an account nor an operator's extension knows it
	longRing      = 20 * time.Second
	shortRing     = 5 * time.Second // the shortest an operator may provision
	slack         = 3 * time.Second // of a guard, behind the time of its step
)

// deaths is what callers and subscribers notice when the sidecar dies, freezes, or is something else.
func deaths(t *testing.T) chapter {
	billing := newBilling(t)
	return chapter{
		long:  true,
		after: billing.hasEverything,
		acts:  []act{killed().act(), frozen().act(), strangers(), reloads()}, files: operatorSettings, numbers: []string{nobodysNumber}, unknown: "event socket command HTTP",
		configure: func(yaml string) string {
			yaml = edit(t, yaml, "sidecar:\n", "sidecar:\n  drain: 2s\n")
			yaml = edit(t, yaml, "http:", "records: {http: {url: \""+billing.URL+"\"}}\nhttp:")
			return edit(t, yaml, "voicemail: {progress_timeout: 2s}",
				`voicemail: {progress_timeout: 2s, down_prompt: "tone_stream://%(330,0,950);%(330,0,1400);%(330,1000,1800);loops=9"}`)
		},
		provision: func(d *account.Document, stages map[string]*lab.Stage) {
			for i, n := range d.Numbers {
				if n.Number != stages["killed-after-the-answer-guard-stays-quiet"].Number {
					d.Numbers[i].NoAnswer = account.Duration(longRing)
				}
			}
		},
	}
}

// ring has the phone ring.
func ring(ctx context.Context, s *lab.Stage) (caller, phone *lab.Call) {
	s.Phone.Behave(lab.Behaviour{Ring: true})
	c := s.Call()
	in := s.Rings(ctx, s.Phone, 1)
	s.Status(ctx, c, 180, 183)
	s.Opened(ctx, 1)
	return c, in
}

// talk has the two talk.
func talk(ctx context.Context, s *lab.Stage) (caller, phone *lab.Call) {
	s.Phone.Behave(lab.Answers(100 * time.Millisecond))
	c := s.Call()
	in := s.Rings(ctx, s.Phone, 1)
	s.WaitAnswered(ctx, c)
	s.Talk(ctx, c, in)
	s.Opened(ctx, 1)
	return c, in
}

// message has the caller talk to voicemail.
func message(ctx context.Context, s *lab.Stage) (caller, mail *lab.Call) {
	s.Phone.Behave(lab.Refuses(486))
	c := s.Call()
	in := s.Rings(ctx, s.Mail[0], 1)
	s.WaitAnswered(ctx, c)
	s.Talk(ctx, c, in)
	s.Opened(ctx, 1)
	return c, in
}

// prompt has the caller hear that voicemail is down.
func prompt(ctx context.Context, s *lab.Stage) *lab.Call {
	s.Phone.Behave(lab.Refuses(486))
	c := s.Call()
	s.Status(ctx, c, 183)
	if s.Rig.Real() {
		s.Must(c.WaitHeardAnything(ctx, 10))
	}
	s.Opened(ctx, 1)
	return c
}

// released waits until the other party's hangup has released a call, soon and not by way of the operator's extension.
func released(ctx context.Context, s *lab.Stage, c *lab.Call) {
	began := time.Now()
	s.Ended(ctx, c, "them")
	s.Check(time.Since(began) < 2*time.Second, "%s was released only after %s", c.Agent().Name(), time.Since(began))
	s.Untouched(s.Operator)
}

// endedUnseen checks the record of a call that ended while no sidecar was there.
func endedUnseen(ctx context.Context, s *lab.Stage, result call.Result) {
	r := s.Record(ctx, 1)
	s.Check(strings.HasPrefix(r.Note, "ended between ") && strings.Contains(r.Note, "cause unknown"),
		"the record of a call that ended while no sidecar was there says %q, want between when and when", r.Note)
	s.Check(r.Result == result, "the record says %s, want %s", r.Result, result)
	s.Check(r.Cause == "", "the record says cause %s, which nobody saw", r.Cause)
}

// toOperator waits for the operator's extension, looks for what we left on the channel, and ends the call.
func toOperator(ctx context.Context, s *lab.Stage, c *lab.Call, since time.Time, within time.Duration) {
	operatorHas(ctx, s, c, since, within, untouchedChannel)
}

func operatorHas(ctx context.Context, s *lab.Stage, c *lab.Call, since time.Time, within time.Duration, channel func(context.Context, *lab.Stage, *lab.Call)) {
	limit, cancel := context.WithTimeout(ctx, time.Until(since.Add(within)))
	defer cancel()
	op := s.Rings(limit, s.Operator, 1)
	s.WaitAnswered(limit, c)
	s.Tell("the operator's own extension answers after %.2f s", time.Since(since).Seconds())
	s.Talk(ctx, c, op)
	s.Clean(op)
	channel(ctx, s, c)
	s.Talk(ctx, c, op)
	op.Hangup()
	s.Ended(ctx, c, "them")
}

const fallbackTime = 4 * time.Second

func killed() *stroke {
	st := newStroke("kill", func(ctx context.Context, s *lab.Stage) {
		s.Must(s.Rig.Sidecar.Kill())
	}, func(ctx context.Context, s *lab.Stage) { s.Must(s.Rig.StartSidecar(ctx)) })

	killedTalking(st)
	killedWaiting(st)
	return st
}

// killedTalking are the calls of people who talk when the sidecar is killed.
func killedTalking(st *stroke) {
	st.meets("killed-while-two-talk-b-hangs-up", "B hangs up after the death: A is released, the operator's extension does not run.", lab.Line{Operator: true},
		func(ctx context.Context, s *lab.Stage, m *moment) {
			c, in := talk(ctx, s)
			m.strikes(ctx, s)
			s.Talk(ctx, c, in)
			in.Hangup()
			released(ctx, s, c)
			m.passes(ctx, s)
			endedUnseen(ctx, s, call.Answered)
			s.NextCallWorks(ctx, 1)
		})
	st.meets("killed-while-two-talk-a-hangs-up", "A hangs up after the death: B is released.", lab.Line{Operator: true},
		func(ctx context.Context, s *lab.Stage, m *moment) {
			c, in := talk(ctx, s)
			m.strikes(ctx, s)
			s.Talk(ctx, c, in)
			c.Hangup()
			released(ctx, s, in)
			m.passes(ctx, s)
			endedUnseen(ctx, s, call.Answered)
			s.NextCallWorks(ctx, 1)
		})
	st.meets("killed-while-voicemail-talks", "The caller finishes the message; voicemail hangs up and A is released.", lab.Line{Operator: true},
		func(ctx context.Context, s *lab.Stage, m *moment) {
			c, mail := message(ctx, s)
			m.strikes(ctx, s)
			s.Talk(ctx, c, mail)
			mail.Hangup()
			released(ctx, s, c)
			m.passes(ctx, s)
			endedUnseen(ctx, s, call.Answered)
		})
	st.meets("killed-after-the-answer-guard-stays-quiet", "The guard of a ring is not to cut into the conversation that followed it.", lab.Line{Operator: true}, playGuard)
	st.meets("outlives-two-sidecars", "The call goes on over the restart; the next sidecar sees its end.", lab.Line{Operator: true},
		func(ctx context.Context, s *lab.Stage, m *moment) {
			c, in := talk(ctx, s)
			m.strikes(ctx, s)
			s.Talk(ctx, c, in)
			uuid, err := s.Rig.Leg(ctx, c)
			s.Must(err)
			m.passes(ctx, s)
			s.Talk(ctx, c, in)
			logged(ctx, s, "sidecar", 1, "still lives", uuid)
			in.Hangup()
			released(ctx, s, c)
			r := s.Record(ctx, 1)
			s.Check(r.Result == call.Answered && r.Cause == "NORMAL_CLEARING" && strings.Contains(r.Note, "the end was seen"),
				"the record of a call that outlived a sidecar says %s %s %q", r.Result, r.Cause, r.Note)
		})
}

// killedWaiting are the calls that nobody has answered when the sidecar is killed, and those that come afterwards.
func killedWaiting(st *stroke) {
	st.meets("killed-while-ringing", "The phone stops, the operator's extension has the call.", lab.Line{Operator: true},
		func(ctx context.Context, s *lab.Stage, m *moment) {
			c, in := ring(ctx, s)
			uuid, err := s.Rig.Leg(ctx, c)
			s.Must(err)
			ours := variables(ctx, s, uuid)
			s.Check(ours["signalbox_stage"] == "unserved" && ours["continue_on_fail"] == "true" && ours["socket_resume"] == "true",
				"while the phone rings the channel has stage %q, continue_on_fail %q, socket_resume %q", ours["signalbox_stage"], ours["continue_on_fail"], ours["socket_resume"])
			struck := m.strikes(ctx, s)
			toOperator(ctx, s, c, struck, fallbackTime)
			s.Must(in.WaitEnded(ctx))
			s.Check(in.Cancelled(), "the phone rings on: it ended with %q", in.EndedBy())
			s.Untouched(s.Mail[:]...)
			m.passes(ctx, s)
			endedUnseen(ctx, s, call.Broken)
			s.NextCallWorks(ctx, 1)
		})
	st.meets("killed-while-prompt-plays", "The prompt stops, the operator's extension has the call.",
		lab.Line{Operator: true, Targets: [2]lab.TargetState{lab.TargetRefuses, lab.TargetRefuses}},
		func(ctx context.Context, s *lab.Stage, m *moment) {
			c := prompt(ctx, s)
			struck := m.strikes(ctx, s)
			toOperator(ctx, s, c, struck, fallbackTime)
			m.passes(ctx, s)
			endedUnseen(ctx, s, call.Broken)
		})
	st.meets("nobody-listening", "The operator's extension has the call within milliseconds, as if there had never been a sidecar.", lab.Line{Operator: true},
		func(ctx context.Context, s *lab.Stage, m *moment) {
			m.strikes(ctx, s)
			c := s.Call()
			toOperator(ctx, s, c, time.Now(), time.Second)
			s.Untouched(s.Phone, s.Mail[0], s.Mail[1])
			m.passes(ctx, s)
			s.NoRecord(ctx)
			s.NextCallWorks(ctx, 0)
		})
	st.meets("nobody-listening-and-no-operator", "A number without an operator's extension: a tone and 480, not silence.", lab.Line{},
		func(ctx context.Context, s *lab.Stage, m *moment) {
			m.strikes(ctx, s)
			c := s.Place(lab.Invite{To: nobodysNumber})
			early := s.Status(ctx, c, 183)
			s.Check(early.Body() != "", "the 183 brings no early media")
			if s.Rig.Real() {
				s.Must(c.WaitHeardAnything(ctx, 50))
			}
			s.Ended(ctx, c, "480")
			s.Check(c.Answered().IsZero(), "the tone answered the call")
			m.passes(ctx, s)
			c = s.Place(lab.Invite{To: nobodysNumber})
			s.Ended(ctx, c, "404")
		})
}

// playGuard has the two talk on after the time at which the guard of the ring would have fired.
func playGuard(ctx context.Context, s *lab.Stage, m *moment) {
	c, in := talk(ctx, s)
	m.strikes(ctx, s)
	for until := in.Invite().At.Add(shortRing + slack + time.Second); time.Now().Before(until); {
		s.Talk(ctx, c, in)
	}
	in.Hangup()
	released(ctx, s, c)
	m.passes(ctx, s)
	endedUnseen(ctx, s, call.Answered)
}

func frozen() *stroke {
	st := newStroke("freeze", func(ctx context.Context, s *lab.Stage) {
		s.Must(s.Rig.FreezeSidecar())
	}, func(ctx context.Context, s *lab.Stage) { s.Must(s.Rig.ThawSidecar()) })

	st.meets("frozen-while-two-talk-b-hangs-up", "FreeSWITCH itself releases A.", lab.Line{Operator: true},
		func(ctx context.Context, s *lab.Stage, m *moment) {
			c, in := talk(ctx, s)
			m.strikes(ctx, s)
			s.Talk(ctx, c, in)
			in.Hangup()
			released(ctx, s, c)
			m.passes(ctx, s)
			r := s.Record(ctx, 1)
			s.Check(r.Result == call.Answered, "the record says %s, want answered", r.Result)
			s.NextCallWorks(ctx, 1)
		})
	st.meets("frozen-while-two-talk-a-hangs-up", "FreeSWITCH itself releases B.", lab.Line{Operator: true},
		func(ctx context.Context, s *lab.Stage, m *moment) {
			c, in := talk(ctx, s)
			m.strikes(ctx, s)
			s.Talk(ctx, c, in)
			c.Hangup()
			released(ctx, s, in)
			m.passes(ctx, s)
			s.NextCallWorks(ctx, 1)
		})
	st.meets("frozen-while-voicemail-talks", "The caller finishes the message; voicemail hangs up and A is released.", lab.Line{Operator: true},
		func(ctx context.Context, s *lab.Stage, m *moment) {
			c, mail := message(ctx, s)
			m.strikes(ctx, s)
			s.Talk(ctx, c, mail)
			mail.Hangup()
			released(ctx, s, c)
			m.passes(ctx, s)
			s.Check(s.Record(ctx, 1).Result == call.Answered, "the record does not say answered")
		})
	st.meets("frozen-while-prompt-plays", "The prompt stops, the operator's extension has the call.",
		lab.Line{Operator: true, Targets: [2]lab.TargetState{lab.TargetRefuses, lab.TargetRefuses}},
		func(ctx context.Context, s *lab.Stage, m *moment) {
			c := prompt(ctx, s)
			struck := m.strikes(ctx, s)
			toOperator(ctx, s, c, struck, fallbackTime)
			m.passes(ctx, s)
			r := s.Record(ctx, 1)
			s.Check(r.Result == call.Broken && r.Note != "", "the record says %s %q, want broken and why", r.Result, r.Note)
		})
	st.meets("frozen-while-ringing", "The phone stops, the operator's extension has the call.", lab.Line{Operator: true},
		func(ctx context.Context, s *lab.Stage, m *moment) {
			c, in := ring(ctx, s)
			struck := m.strikes(ctx, s)
			toOperator(ctx, s, c, struck, fallbackTime)
			s.Check(in.Cancelled(), "the phone rings on: it ended with %q", in.EndedBy())
			m.passes(ctx, s)
			r := s.Record(ctx, 1)
			s.Check(r.Result == call.Broken && r.Note != "", "the record says %s %q, want broken and why", r.Result, r.Note)
			s.Untouched(s.Mail[:]...)
			s.NextCallWorks(ctx, 1)
		})
	st.meets("frozen-before-connect", "A sidecar that accepts and says nothing costs 3 s.", lab.Line{Operator: true},
		func(ctx context.Context, s *lab.Stage, m *moment) {
			m.strikes(ctx, s)
			c := s.Call()
			toOperator(ctx, s, c, time.Now(), fallbackTime)
			s.Untouched(s.Phone, s.Mail[0], s.Mail[1])
			m.passes(ctx, s)
			s.NextCallWorks(ctx, 0)
			s.Untouched(s.Mail[:]...)
		})
	return st
}
