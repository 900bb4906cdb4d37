package e2e

import (
	"context"
	"errors"
	"io/fs"
	"strings"
	"testing"
	"time"

	freeswitchconf "github.com/signalbox/signalbox/freeswitch-conf"
	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/call"
	"github.com/signalbox/signalbox/internal/lab"
)

func TestSimTwoSidecars(t *testing.T)  { onSimulator(t, twoSidecars(t)) }
func TestRealTwoSidecars(t *testing.T) { onFreeSWITCH(t, twoSidecars(t)) }

// twoSidecars is one FreeSWITCH with two sidecars, each with a store of its own: the second takes over when the first is dead or hangs.
func twoSidecars(t *testing.T) chapter {
	addr, err := lab.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	p := &pair{addr: addr.String()}
	return chapter{
		acts: []act{
			{{Name: "second-sidecar-starts", Title: "The second sidecar is provisioned like the first; calls go to the first.", Alone: true, Play: p.start}},
			p.killed().act(), p.frozen().act(),
		},
		files: func(files lab.Dropins, stages map[string]*lab.Stage) {
			operatorSettings(files, stages)
			const first, second = "dialplan/public/05_signalbox.xml", "two-sidecars/05_signalbox_second.xml"
			line := ` async full"/>`
			if strings.Count(files[first], line) != 1 {
				t.Fatalf("%s has not one socket line", first)
			}
			files[first] = strings.Replace(files[first], line, "|"+p.addr+line, 1)
			text, err := fs.ReadFile(freeswitchconf.Files, second)
			if err != nil {
				t.Fatal(err)
			}
			files["dialplan/public/05_signalbox_second.xml"] = edit(t, string(text), `data="127.0.0.1:8085 async`, `data="`+p.addr+" async")
		},
		provision: func(d *account.Document, _ map[string]*lab.Stage) {
			for i := range d.Numbers {
				d.Numbers[i].NoAnswer = account.Duration(longRing)
			}
		},
	}
}

// pair is the second sidecar beside the rig's own.
type pair struct {
	addr   string
	second *lab.Another
}

func (p *pair) start(ctx context.Context, s *lab.Stage) {
	var err error
	p.second, err = s.Rig.NewAnother(ctx, p.addr)
	s.Must(err)
	s.Must(p.second.Start(ctx))
	s.NextCallWorks(ctx, 0)
	s.Check(len(p.records(ctx, s)) == 0, "the second sidecar has served a call of the first")
}

func (p *pair) records(ctx context.Context, s *lab.Stage) []call.Record {
	recs, err := p.second.Records(ctx)
	s.Must(err)
	return recs
}

// served waits until the second sidecar has the closed record of a call.
func (p *pair) served(ctx context.Context, s *lab.Stage, c *lab.Call, result call.Result) {
	ctx, cancel := context.WithTimeoutCause(ctx, 10*time.Second, errors.New("the second sidecar has no closed record of the call"))
	defer cancel()
	for {
		for _, r := range p.records(ctx, s) {
			if r.Arrival.CallID == c.ID() && !r.Open() {
				s.Check(r.Result == result, "the record of the second sidecar says %s, want %s", r.Result, result)
				return
			}
		}
		if pause(ctx, 50*time.Millisecond); ctx.Err() != nil {
			s.Fail("%w", context.Cause(ctx))
		}
	}
}

// takes places a call that the second sidecar has to serve, and says how soon its phone rang.
func (p *pair) takes(ctx context.Context, s *lab.Stage, within time.Duration) {
	s.Phone.Behave(lab.Answers(100 * time.Millisecond))
	began := time.Now()
	c := s.Call()
	in := s.Rings(ctx, s.Phone, 1)
	s.Check(time.Since(began) < within, "the phone rang only after %s", time.Since(began))
	s.WaitAnswered(ctx, c)
	s.Talk(ctx, c, in)
	s.Clean(in)
	in.Hangup()
	released(ctx, s, c)
	p.served(ctx, s, c, call.Answered)
	s.NoRecord(ctx)
}

func (p *pair) killed() *stroke {
	st := newStroke("first-killed", func(ctx context.Context, s *lab.Stage) {
		s.Must(s.Rig.Sidecar.Kill())
	}, func(ctx context.Context, s *lab.Stage) { s.Must(s.Rig.StartSidecar(ctx)) })
	st.meets("first-killed-while-two-talk", "They talk on; the first sidecar closes the record when it is back.", lab.Line{Operator: true},
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
	st.meets("first-killed-while-ringing", "The operator's extension has the call, as with one sidecar.", lab.Line{Operator: true},
		func(ctx context.Context, s *lab.Stage, m *moment) {
			c, in := ring(ctx, s)
			struck := m.strikes(ctx, s)
			toOperator(ctx, s, c, struck, fallbackTime)
			s.Check(in.Cancelled(), "the phone rings on: it ended with %q", in.EndedBy())
			m.passes(ctx, s)
			endedUnseen(ctx, s, call.Broken)
		})
	for _, name := range []string{"first-killed-and-a-new-call", "first-killed-and-another-call"} {
		st.meets(name, "The second sidecar has it within milliseconds.", lab.Line{Operator: true},
			func(ctx context.Context, s *lab.Stage, m *moment) {
				m.strikes(ctx, s)
				p.takes(ctx, s, time.Second)
				m.passes(ctx, s)
			})
	}
	return st
}

func (p *pair) frozen() *stroke {
	st := newStroke("first-frozen", func(ctx context.Context, s *lab.Stage) {
		s.Must(s.Rig.FreezeSidecar())
	}, func(ctx context.Context, s *lab.Stage) { s.Must(s.Rig.ThawSidecar()) })
	st.meets("first-frozen-while-two-talk", "FreeSWITCH itself releases A.", lab.Line{Operator: true},
		func(ctx context.Context, s *lab.Stage, m *moment) {
			c, in := talk(ctx, s)
			m.strikes(ctx, s)
			s.Talk(ctx, c, in)
			in.Hangup()
			released(ctx, s, c)
			m.passes(ctx, s)
			s.Check(s.Record(ctx, 1).Result == call.Answered, "the record does not say answered")
		})
	st.meets("first-frozen-while-ringing", "The guard takes the call back and the second sidecar has the phone rung once more.", lab.Line{Operator: true},
		func(ctx context.Context, s *lab.Stage, m *moment) {
			c, in := ring(ctx, s)
			s.Phone.Behave(lab.Answers(100 * time.Millisecond))
			struck := m.strikes(ctx, s)
			again := s.Rings(ctx, s.Phone, 2)
			s.Check(time.Since(struck) < fallbackTime, "the phone rang again only after %s", time.Since(struck))
			s.Must(in.WaitEnded(ctx))
			s.Check(in.Cancelled(), "the first ring ended with %q", in.EndedBy())
			s.WaitAnswered(ctx, c)
			s.Talk(ctx, c, again)
			again.Hangup()
			released(ctx, s, c)
			p.served(ctx, s, c, call.Answered)
			m.passes(ctx, s)
			r := s.Record(ctx, 1)
			s.Check(r.Result == call.Broken && r.Note != "", "the record of the first sidecar says %s %q, want broken and why", r.Result, r.Note)
		})
	st.meets("first-frozen-and-a-new-call", "A sidecar that accepts and says nothing costs 3 s; then the second one has the call.", lab.Line{Operator: true},
		func(ctx context.Context, s *lab.Stage, m *moment) {
			m.strikes(ctx, s)
			p.takes(ctx, s, fallbackTime)
			m.passes(ctx, s)
			s.NextCallWorks(ctx, 1)
		})
	st.meets("first-frozen-not-ours", "A number that no account owns: the operator's extension has it after the guard, and nobody asks twice.", lab.Line{Phone: lab.PhoneNobody, Operator: true},
		func(ctx context.Context, s *lab.Stage, m *moment) {
			m.strikes(ctx, s)
			c := s.Call()
			toOperator(ctx, s, c, time.Now(), fallbackTime)
			m.passes(ctx, s)
		})
	return st
}
