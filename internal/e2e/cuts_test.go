package e2e

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/signalbox/signalbox/internal/call"
	"github.com/signalbox/signalbox/internal/fsw/fswtest"
	"github.com/signalbox/signalbox/internal/lab"
)

func TestSimCuts(t *testing.T)  { onSimulator(t, cuts(t)) }
func TestRealCuts(t *testing.T) { onFreeSWITCH(t, cuts(t)) }

// cuts is the voicemail story with the Event Socket connection cut at some of its messages; package sidecar's own tests cut at all of them,
// on the simulator alone.
func cuts(t *testing.T) chapter {
	var cutter *fswtest.Cutter
	return chapter{
		acts: []act{{{
			Name: "connection-cut", Title: "The connection of a call breaks, at this message and that: who talks goes on, who waits has the operator's extension.",
			Line: lab.Line{Operator: true}, Play: func(ctx context.Context, s *lab.Stage) { playCuts(ctx, s, cutter) },
		}}},
		files: func(files lab.Dropins, stages map[string]*lab.Stage) {
			operatorSettings(files, stages)
			const dialplan = "dialplan/public/05_signalbox.xml"
			sidecar := stages["connection-cut"].Rig.SidecarAddr()
			var err error
			if cutter, err = fswtest.NewCutter(sidecar); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(cutter.Close)
			files[dialplan] = strings.ReplaceAll(files[dialplan], sidecar, cutter.Addr())
		},
	}
}

func playCuts(ctx context.Context, s *lab.Stage, cutter *fswtest.Cutter) {
	s.Phone.Behave(lab.Refuses(486))
	whole := cutter.Next(fswtest.Cut{})
	s.Check(cutCall(ctx, s, whole), "the caller of a connection that was not cut is not answered")
	wait(ctx, s, whole.Over(), "the connection ends")
	messages := whole.Messages()
	tellsAnswer := func(m fswtest.Passed) bool { return m.Name() == "CHANNEL_ANSWER" }
	answer := slices.IndexFunc(messages, tellsAnswer)
	s.Check(answer > 0, "no message tells of the answer")

	points := map[int]bool{answer - 1: true, answer: true, answer + 1: true, answer + 2: true}
	for i := range 4 {
		points[i*answer/4] = true
	}
	for at := range messages {
		for _, middle := range []bool{false, true} {
			if !points[at] || middle && at < answer-1 { // in the middle only where it is most likely to hurt
				continue
			}
			cut := fswtest.Cut{From: messages[at].From, Middle: middle}
			for _, m := range messages[:at+1] {
				if m.From == cut.From {
					cut.Message++
				}
			}
			passage := cutter.Next(cut)
			answered := cutCall(ctx, s, passage)
			what := fmt.Sprintf("cut at message %d of %d (middle: %v), %s", at+1, len(messages), middle, messages[at].Name())
			s.Tell("%s: answered %v", what, answered)
			s.Check(answered || !slices.ContainsFunc(passage.Through(), tellsAnswer), "%s: the caller was not answered", what)
		}
	}
}

// cutCall is one call, whose caller is answered by voicemail or by the operator's extension; it reports whether by voicemail. Either way they
// talk, the far end hangs up, and the record is closed as it was.
func cutCall(ctx context.Context, s *lab.Stage, passage *fswtest.Passage) bool {
	mails, operators := s.Mail[0].Invited(), s.Operator.Invited()
	limit, cancel := context.WithTimeout(ctx, fallbackTime+time.Second)
	defer cancel()
	c := s.Call()
	s.WaitAnswered(limit, c)
	if s.Operator.Invited() > operators {
		op := s.Rings(limit, s.Operator, operators+1)
		s.Talk(limit, c, op)
		untouchedChannel(ctx, s, c)
		op.Hangup()
		s.Ended(ctx, c, "them")
		return false
	}
	mail := s.Rings(limit, s.Mail[0], mails+1)
	s.Talk(limit, c, mail)
	mail.Hangup()
	began := time.Now()
	s.Ended(ctx, c, "them")
	s.Check(time.Since(began) < 2*time.Second, "the caller was released only after %s", time.Since(began))
	s.Check(s.Operator.Invited() == operators, "the operator's extension ran after a conversation")
	r := s.Record(ctx, s.Placed())
	s.Check(r.Result == call.Answered && r.Cause == "NORMAL_CLEARING", "the record says %s, cause %s, %q", r.Result, r.Cause, r.Note)
	return true
}
