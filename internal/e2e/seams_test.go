package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/lab"
)

func TestSimSeams(t *testing.T)  { onSimulator(t, seams(t)) }
func TestRealSeams(t *testing.T) { onFreeSWITCH(t, seams(t)) }

// ivrNumber is one that no account owns: the operator's IVR answers it and transfers the caller to a subscriber's number.
const ivrNumber = "+4930231277%02d"

// ringTime is how long phones of this chapter ring; what would end a call with the ring's time shows soon after it.
const ringTime = 5 * time.Second

// seams is where Signalbox meets what others do with a call: the operator's IVR, phones with early media of their own, phones
// that redirect, far ends that end a call in words of the caller's.
func seams(t *testing.T) chapter {
	stories := act{
		{Name: "ivr-then-subscriber", Title: "The operator's IVR answers and transfers to a subscriber: they talk as long as they like.", Play: playIVR},
		{Name: "ivr-then-subscriber-next", Title: "The same caller again: the IVR's number is handed back, the subscriber's is ours.", Play: playIVR},
		{Name: "talking-caller-transferred", Title: "The operator transfers a caller who talks to somewhere else: his record ends there, he stays.", Play: playTransferred},
		{Name: "phone-sends-caller-back", Title: "The phone that answered sends the caller to the very number he has called: it rings anew, and the first call's record ends.", Line: lab.Line{Operator: true}, Play: playSentBack},
		{Name: "early-media-and-no-answer", Title: "A phone plays early media and nobody answers: voicemail, as with any phone.", Play: func(ctx context.Context, s *lab.Stage) {
			s.Phone.Behave(lab.Behaviour{Early: true})
			playVoicemailFor(ctx, s, 408, "no-answer", "ring no-answer")
		}},
		{Name: "early-media-and-busy", Title: "A phone plays early media and then is busy: voicemail, cause=486.", Play: func(ctx context.Context, s *lab.Stage) {
			s.Phone.Behave(lab.Behaviour{Early: true, After: 500 * time.Millisecond, Status: 486})
			playVoicemailFor(ctx, s, 486, "user-busy", "ring busy")
		}},
		{Name: "phone-redirects", Title: "A phone answers 302: nobody calls where it points, the caller reaches voicemail.", Line: lab.Line{Operator: true}, Play: func(ctx context.Context, s *lab.Stage) {
			s.Phone.Behave(lab.Behaviour{Status: 302, Moved: "sip:operator@" + s.Operator.Addr().String()})
			playVoicemailFor(ctx, s, 503, "unavailable", "ring unreachable")
			s.Untouched(s.Operator)
		}},
		{Name: "phone-says-487", Title: "A far end ends its own fork with 487: the caller is still there and reaches voicemail.", Play: func(ctx context.Context, s *lab.Stage) {
			s.Phone.Behave(lab.Behaviour{Ring: true, After: 300 * time.Millisecond, Status: 487})
			playVoicemailFor(ctx, s, 503, "unavailable", "ring unreachable")
		}},
		{Name: "announcement-not-there", Title: "The announcement's file is not there: the caller hears the information tone, not silence.", Line: lab.Line{Targets: [2]lab.TargetState{lab.TargetDead, lab.TargetDead}}, Play: playNoPrompt},
	}
	return chapter{
		acts: []act{stories}, files: ivr,
		configure: func(yaml string) string {
			return edit(t, yaml, "voicemail: {progress_timeout: 2s}", `voicemail: {progress_timeout: 2s, down_prompt: "/no/such/sorry.wav"}`)
		},
		provision: func(d *account.Document, _ map[string]*lab.Stage) {
			for i := range d.Numbers {
				d.Numbers[i].NoAnswer = account.Duration(ringTime)
			}
		},
	}
}

// ivr is the operator's IVR: one extension for each stage, answered and transferred.
func ivr(files lab.Dropins, stages map[string]*lab.Stage) {
	var b strings.Builder
	b.WriteString("<include>\n")
	for _, s := range stages {
		fmt.Fprintf(&b, "  <extension name=\"ivr-%s\">\n    <condition field=\"destination_number\" expression=\"^\\%s$\">\n", s.User(), ivrFor(s))
		b.WriteString("      <action application=\"answer\"/>\n      <action application=\"sleep\" data=\"300\"/>\n")
		fmt.Fprintf(&b, "      <action application=\"transfer\" data=\"%s XML public\"/>\n    </condition>\n  </extension>\n", s.Number)
	}
	b.WriteString("</include>\n")
	files["dialplan/public/carrier.xml"] = b.String()
}

func ivrFor(s *lab.Stage) string {
	digits := s.Number[len(s.Number)-2:]
	return strings.Replace(ivrNumber, "%02d", digits, 1)
}

// playIVR talks for longer than the phone may ring and the guard may wait: both would cut a conversation whose beginning
// they did not notice.
func playIVR(ctx context.Context, s *lab.Stage) {
	s.Phone.Behave(lab.Answers(500 * time.Millisecond))
	c := s.Place(lab.Invite{To: ivrFor(s)})
	s.WaitAnswered(ctx, c)
	in := s.Rings(ctx, s.Phone, 1)
	s.WaitAnswered(ctx, in)
	s.Talk(ctx, c, in)
	packets := int64((ringTime + 5*time.Second) / (20 * time.Millisecond))
	s.Must(c.WaitHeard(ctx, s.Phone.Voice(), packets))
	s.Talk(ctx, c, in)
	s.Tell("they have talked for %s, longer than the phone may ring", ringTime+5*time.Second)
	in.Hangup()
	s.Ended(ctx, c, "them")
	s.Untouched(s.Operator)
	s.Steps(s.Record(ctx, 1), "ring answered")
}

func playTransferred(ctx context.Context, s *lab.Stage) {
	s.Phone.Behave(lab.Answers(0))
	c := s.Call()
	in := s.Rings(ctx, s.Phone, 1)
	s.WaitAnswered(ctx, c)
	s.Talk(ctx, c, in)
	uuid, err := s.Rig.Leg(ctx, c)
	s.Must(err)
	_, err = s.Rig.API(ctx, "uuid_transfer "+uuid+" 'park:' inline")
	s.Must(err)
	transferred := time.Now()
	s.Ended(ctx, in, "them")
	r := s.Record(ctx, 1)
	s.Steps(r, "ring answered")
	s.Check(r.Ended.Sub(transferred) < 3*time.Second, "the record ends %s after the transfer", r.Ended.Sub(transferred))
	s.Check(c.EndedBy() == "", "the caller was ended by %q", c.EndedBy())
	c.Hangup()
}

// playSentBack has the first call let go of the caller while the second one rings: its connection, closed while the other has the channel,
// would cut what runs there.
func playSentBack(ctx context.Context, s *lab.Stage) {
	s.Phone.Behave(lab.Answers(0))
	c := s.Call()
	in := s.Rings(ctx, s.Phone, 1)
	s.WaitAnswered(ctx, c)
	s.Talk(ctx, c, in)
	s.Phone.Behave(lab.Behaviour{Ring: true})
	s.Must(in.Refer(ctx, fmt.Sprintf("<sip:%s@%s>", s.Number, s.Rig.At().External)))
	transferred := time.Now()
	s.Ended(ctx, in, "them")
	again := s.Rings(ctx, s.Phone, 2)
	s.Steps(s.Record(ctx, 1), "ring answered") // the only one that is closed
	s.Check(time.Since(transferred) < 3*time.Second, "the record of the first call was closed only %s after the transfer", time.Since(transferred))
	again.Answer()
	s.Must(again.WaitAcknowledged(ctx))
	if s.Rig.Real() { // the simulator sends the voice of who was once connected directly to whom it was then
		s.Talk(ctx, c, again)
	}
	again.Hangup()
	s.Ended(ctx, c, "them")
	s.Check(s.Phone.Invited() == 2, "the phone was called %d times, want 2", s.Phone.Invited())
	s.Untouched(s.Operator, s.Mail[0], s.Mail[1])
}

// playVoicemailFor places a call that the phone does not take, and leaves a message.
func playVoicemailFor(ctx context.Context, s *lab.Stage, cause int, reason, step string) {
	c := s.Call()
	in := s.Rings(ctx, s.Mail[0], 1)
	s.WaitAnswered(ctx, c)
	s.Mailbox(in, cause, reason)
	s.Talk(ctx, c, in)
	c.Hangup()
	s.Ended(ctx, in, "them")
	s.Steps(s.Record(ctx, 1), step, "mailbox answered")
}

func playNoPrompt(ctx context.Context, s *lab.Stage) {
	s.Phone.Behave(lab.Refuses(486))
	c := s.Call()
	m := s.Status(ctx, c, 183)
	began := time.Now()
	s.Check(m.Body() != "", "the announcement has no media")
	s.Ended(ctx, c, "486")
	s.Check(time.Since(began) > time.Second, "the caller heard nothing for %s and the call was over", time.Since(began))
	r := s.Record(ctx, 1)
	s.Steps(r, "ring busy", "mailbox voicemail-down", "notice ended")
	s.Check(strings.Contains(r.Steps[2].Note, "could not be played"), "the record says %q of the announcement", r.Steps[2].Note)
	logged(ctx, s, "sidecar", 1, "announcement not played", "/no/such/sorry.wav")
}
