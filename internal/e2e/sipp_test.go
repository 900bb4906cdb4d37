package e2e

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/signalbox/signalbox/internal/call"
	"github.com/signalbox/signalbox/internal/lab"
	"github.com/signalbox/signalbox/internal/tel"
)

// hasSIPp says loudly when the scenarios with SIPp as callers cannot run.
func hasSIPp(t *testing.T) bool {
	if _, err := exec.LookPath("sipp"); err == nil {
		return true
	}
	t.Run("sipp", func(t *testing.T) {
		t.Skip("SIPp (package sip-tester) is not here: the scenarios with SIPp as callers did NOT run")
	})
	return false
}

// The addresses callers send from; the proxy knows the first as a trunk.
const (
	carrier  = "127.0.0.2"
	stranger = "127.0.0.3"
)

// sippPort is a port that SIPp may bind.
func sippPort(s *lab.Stage) string {
	addr, err := lab.FreeAddr()
	s.Must(err)
	return fmt.Sprint(addr.Port())
}

// sipp has SIPp place n calls to the story's number, rate of them in a second, and fails unless each went as the scenario
// says. It returns the Call-IDs' common end.
func sipp(ctx context.Context, s *lab.Stage, from, scenario string, n, rate int, further ...string) (id string) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	port := sippPort(s)
	id = "sipp-" + port
	errors := filepath.Join(s.Rig.Dir(), id+".log")
	args := append([]string{
		s.Rig.ProxyAddr().String(), "-sf", filepath.Join("testdata", "sipp", scenario+".xml"), "-s", s.Number, "-key", "caller", s.From,
		"-i", from, "-p", port, "-m", fmt.Sprint(n), "-r", fmt.Sprint(rate), "-cid_str", "%u-%p@" + id, "-nostdin", "-timeout", "25s",
		"-timeout_error", "-trace_err", "-error_file", errors,
	}, further...)
	out, err := exec.CommandContext(ctx, "sipp", args...).CombinedOutput()
	if err != nil {
		why, _ := exec.CommandContext(context.WithoutCancel(ctx), "tail", "-c", "3000", errors).Output()
		s.Fail("SIPp, %s: %w\n%s\n%s", scenario, err, tail(string(out), 2000), why)
	}
	return id
}

func tail(s string, n int) string { return s[max(0, len(s)-n):] }

// recordsOf waits until the records of n of SIPp's calls are closed.
func recordsOf(ctx context.Context, s *lab.Stage, id string, n int) (mine []call.Record) {
	err := eventually(ctx, 10*time.Second, func() bool {
		recs, err := s.Rig.Records(ctx)
		s.Must(err)
		mine = slices.DeleteFunc(recs, func(r call.Record) bool { return r.Open() || !strings.HasSuffix(r.Arrival.CallID, "@"+id) })
		return len(mine) >= n
	})
	s.Check(err == nil && len(mine) == n, "SIPp placed %d calls, %d have a closed record", n, len(mine))
	return mine
}

// allSteps checks that every record tells the same.
func allSteps(s *lab.Stage, records []call.Record, want ...string) {
	for _, r := range records {
		s.Steps(r, want...)
	}
}

// sippCalls are calls by a user agent that is not ours.
func sippCalls() act {
	return act{
		{Name: "sipp-caller-hangs-up", Title: "Answered; the caller hangs up.", Play: func(ctx context.Context, s *lab.Stage) {
			s.Phone.Behave(lab.Answers(200 * time.Millisecond))
			id := sipp(ctx, s, carrier, "bye", 1, 1)
			s.Ended(ctx, s.Rings(ctx, s.Phone, 1), "them")
			allSteps(s, recordsOf(ctx, s, id, 1), "ring answered")
		}},
		{Name: "sipp-phone-hangs-up", Title: "Answered; the subscriber hangs up.", Play: func(ctx context.Context, s *lab.Stage) {
			s.Phone.Behave(lab.Answers(200 * time.Millisecond))
			var id string
			s.Together(func() { id = sipp(ctx, s, carrier, "byed", 1, 1) }, func() {
				in := s.Rings(ctx, s.Phone, 1)
				s.WaitAnswered(ctx, in)
				s.Must(eventually(ctx, 5*time.Second, func() bool { return in.HeardAnything() > 0 || time.Since(in.Answered()) > time.Second }))
				in.Hangup()
			})
			allSteps(s, recordsOf(ctx, s, id, 1), "ring answered")
		}},
		{Name: "sipp-cancels", Title: "The caller gives up while it rings: 487, the phone stops, no voicemail.", Play: func(ctx context.Context, s *lab.Stage) {
			s.Phone.Behave(lab.Behaviour{Ring: true})
			id := sipp(ctx, s, carrier, "cancel", 1, 1)
			in := s.Rings(ctx, s.Phone, 1)
			s.Must(in.WaitEnded(ctx))
			s.Check(in.Cancelled(), "the phone ended with %q, want a CANCEL", in.EndedBy())
			allSteps(s, recordsOf(ctx, s, id, 1), "ring caller-gone")
			s.Untouched(s.Mail[:]...)
		}},
		{Name: "sipp-no-answer", Title: "Nobody answers: voicemail.", Play: func(ctx context.Context, s *lab.Stage) {
			s.Phone.Behave(lab.Behaviour{Ring: true})
			id := sipp(ctx, s, carrier, "bye", 1, 1)
			mail := s.Rings(ctx, s.Mail[0], 1)
			s.Mailbox(mail, 408, "no-answer")
			s.Ended(ctx, mail, "them")
			allSteps(s, recordsOf(ctx, s, id, 1), "ring no-answer", "mailbox answered")
		}},
	}
}

// sippShapes are calls whose messages differ from the ordinary, and a caller who may not call.
func sippShapes() act {
	return act{
		{Name: "sipp-3-kilobytes", Title: "3 kB over UDP: every diversion arrives in its order.", Play: func(ctx context.Context, s *lab.Stage) {
			s.Phone.Behave(lab.Refuses(486))
			id := sipp(ctx, s, carrier, "big", 1, 1)
			withoutOurs(s, s.Rings(ctx, s.Phone, 1))
			mail := s.Rings(ctx, s.Mail[0], 1)
			withoutOurs(s, mail)
			var diverted []string
			for _, d := range tel.ParseDiversions(mail.Invite().All("diversion"), "DE") {
				diverted = append(diverted, string(d.Number))
			}
			s.Check(slices.Equal(diverted, []string{s.Number, newerNumber, olderNumber}), "the diversions are %q", diverted)
			r := recordsOf(ctx, s, id, 1)
			allSteps(s, r, "ring busy", "mailbox answered")
			s.Check(r[0].Arrival.Evidence == call.EvidenceToken && len(r[0].Arrival.Diversions) == 2, "the record knows %s and %d diversions", r[0].Arrival.Evidence, len(r[0].Arrival.Diversions))
		}},
		{Name: "sipp-tcp", Title: "A caller over TCP.", Play: func(ctx context.Context, s *lab.Stage) {
			s.Phone.Behave(lab.Answers(200 * time.Millisecond))
			id := sipp(ctx, s, carrier, "bye", 1, 1, "-t", "t1")
			s.Ended(ctx, s.Rings(ctx, s.Phone, 1), "them")
			allSteps(s, recordsOf(ctx, s, id, 1), "ring answered")
		}},
		{Name: "sipp-reinvites", Title: "The caller changes the media inside the dialog, through the proxy.", Play: func(ctx context.Context, s *lab.Stage) {
			s.Phone.Behave(lab.Answers(200 * time.Millisecond))
			id := sipp(ctx, s, carrier, "reinvite", 1, 1)
			s.Ended(ctx, s.Rings(ctx, s.Phone, 1), "them")
			allSteps(s, recordsOf(ctx, s, id, 1), "ring answered")
		}},
		{Name: "sipp-requires-100rel", Title: "FreeSWITCH has not what the caller requires, and says so: 420.", Play: func(ctx context.Context, s *lab.Stage) {
			newScript("requires-100rel").calls("Require: 100rel").has("Unsupported", "100rel").refused(420).play(ctx, s, "udp", nil)
			s.Untouched(s.Phone)
		}},
		{Name: "sipp-is-no-trunk", Title: "A caller from an address that is no trunk: 403, the switch never sees the call.", Play: func(ctx context.Context, s *lab.Stage) {
			sipp(ctx, s, stranger, "refused", 1, 1)
			s.Untouched(s.Phone, s.Mail[0], s.Mail[1], s.Operator)
			s.NoRecord(ctx)
			s.NextCallWorks(ctx, 0)
		}},
		{Name: "bye-with-the-answer", Title: "The caller hangs up at the very moment of the answer: both are released, voicemail is left alone.", Play: playByeWithAnswer},
	}
}

// playByeWithAnswer hangs up before FreeSWITCH has connected the two. Whether it then counts the call as answered or as given up
// is a matter of milliseconds; that it was answered stands in the record either way.
func playByeWithAnswer(ctx context.Context, s *lab.Stage) {
	s.Phone.Behave(lab.Answers(100 * time.Millisecond))
	c := s.Call()
	in := s.Rings(ctx, s.Phone, 1)
	s.WaitAnswered(ctx, c)
	c.Hangup()
	s.Ended(ctx, in, "them")
	r := s.Record(ctx, 1)
	s.Check(r.Result == call.Answered || r.Result == call.CallerGone, "the record says %s", r.Result)
	s.Check(!r.Answered.IsZero(), "the record does not say when the call was answered")
	s.Untouched(s.Mail[:]...)
	s.NextCallWorks(ctx, 1)
}

// load is ten calls a second for five seconds, of three kinds at once.
func load() act {
	story := func(name, title, scenario string, rate int, phone lab.Behaviour, steps ...string) lab.Story {
		return lab.Story{Name: name, Title: title, Play: func(ctx context.Context, s *lab.Stage) {
			s.Phone.Behave(phone)
			n := 5 * rate
			id := sipp(ctx, s, carrier, scenario, n, rate)
			s.Check(s.Phone.Invited() == n, "the phone had %d calls, want %d", s.Phone.Invited(), n)
			allSteps(s, recordsOf(ctx, s, id, n), steps...)
		}}
	}
	return act{
		story("load-answered", "Four a second are answered.", "bye", 4, lab.Answers(200*time.Millisecond), "ring answered"),
		story("load-cancelled", "Three a second give up.", "cancel", 3, lab.Behaviour{Ring: true}, "ring caller-gone"),
		story("load-voicemail", "Three a second go to voicemail.", "bye", 3, lab.Refuses(486), "ring busy", "mailbox answered"),
	}
}
