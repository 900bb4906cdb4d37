package e2e

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/signalbox/signalbox/internal/lab"
)

// loops are calls that go in circles, and calls that are not ours.
func loops() act {
	return act{
		{Name: "diverted-six-times", Title: "A call that was diverted six times goes in circles: 482.", Play: func(ctx context.Context, s *lab.Stage) {
			playLoop(ctx, s, diversions(6)...)
		}},
		{Name: "diverted-six-times-by-counter", Title: "The same, said by one header with a counter.", Play: func(ctx context.Context, s *lab.Stage) {
			playLoop(ctx, s, "Diversion: <sip:"+olderNumber+"@older.example>;reason=unconditional;counter=6")
		}},
		{Name: "diverted-by-us-twice", Title: "A call that our own number has diverted twice goes in circles: 482.", Play: func(ctx context.Context, s *lab.Stage) {
			ours := "Diversion: <sip:" + s.Number + "@" + domain + ">;reason=user-busy"
			playLoop(ctx, s, ours, diversions(1)[0], ours)
		}},
		{Name: "diverted-five-times", Title: "Five diversions are not too many: the phone rings.", Play: func(ctx context.Context, s *lab.Stage) {
			s.Phone.Behave(lab.Answers(100 * time.Millisecond))
			c := s.Place(lab.Invite{Headers: diversions(5)})
			in := s.Rings(ctx, s.Phone, 1)
			s.WaitAnswered(ctx, c)
			s.Talk(ctx, c, in)
			c.Hangup()
			s.Ended(ctx, in, "them")
			s.Steps(s.Record(ctx, 1), "ring answered")
		}},
		{Name: "not-ours-untouched", Title: "A number nobody owns reaches the operator's extension as if there were no Signalbox.", Line: lab.Line{Phone: lab.PhoneNobody, Operator: true}, Play: playNotOurs},
		{Name: "not-ours-and-no-operator", Title: "A number that neither we nor the operator know ends with 404, as without Signalbox.", Play: func(ctx context.Context, s *lab.Stage) {
			c := s.Place(lab.Invite{To: nobodysNumber})
			s.Ended(ctx, c, "404")
			for _, m := range c.Responses() {
				s.Check(m.Body() == "", "%d brings media to a number that nobody has", m.Status())
			}
			s.NoRecord(ctx)
			s.NextCallWorks(ctx, 0)
		}},
	}
}

// diversions are n headers of as many numbers, newest first.
func diversions(n int) (lines []string) {
	for i := n; i > 0; i-- {
		lines = append(lines, fmt.Sprintf("Diversion: <sip:+4930231259%02d@hop-%d.example>;reason=unconditional;counter=1", 80+i, i))
	}
	return lines
}

func playLoop(ctx context.Context, s *lab.Stage, headers ...string) {
	c := s.Place(lab.Invite{Headers: headers})
	s.Ended(ctx, c, "482")
	s.Check(c.Answered().IsZero(), "the call was answered")
	s.Untouched(s.Phone, s.Mail[0], s.Mail[1], s.Operator)
	s.Steps(s.Record(ctx, 1), "refuse ended")
	s.NextCallWorks(ctx, 0)
}

func playNotOurs(ctx context.Context, s *lab.Stage) {
	c := s.Place(lab.Invite{Display: `"Ada"`, Headers: append(before(), "X-Note: as it came")})
	op := s.Rings(ctx, s.Operator, 1)
	s.WaitAnswered(ctx, c)
	s.Talk(ctx, c, op)
	s.Clean(op)
	m := op.Invite()
	s.Check(m.Get("x-note") == "as it came", "the caller's header is %q, want it as it came", m.Get("x-note"))
	s.Check(m.DisplayName() == "Ada" && strings.Contains(m.Get("from"), s.From), "the caller is shown as %s", m.Get("from"))
	untouchedChannel(ctx, s, c)
	op.Hangup()
	s.Ended(ctx, c, "them")
	s.NoRecord(ctx)
}
