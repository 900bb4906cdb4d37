package e2e

import (
	"context"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/signalbox/signalbox/internal/call"
	"github.com/signalbox/signalbox/internal/lab"
)

// reloads are stories about what an operator does to running processes.
func reloads() act {
	return act{
		{Name: "sighup", Title: "A bad file changes nothing; a good one counts for the next call.", Alone: true, Play: playSIGHUP},
		{Name: "sigterm-while-two-talk", Title: "The sidecar is stopped in good order: those who talk go on, new calls go to the operator.", Alone: true, Line: lab.Line{Operator: true}, Play: playSIGTERM},
	}
}

// reload writes the configuration file, signals both processes and waits until each has said so in its log.
func reload(ctx context.Context, s *lab.Stage, file, word string) {
	s.Must(os.WriteFile(s.Rig.Config(), []byte(file), 0o600))
	for name, p := range map[string]*lab.Process{"proxy": s.Rig.Proxy, "sidecar": s.Rig.Sidecar} {
		before := lines(s, name, word)
		s.Must(p.Signal(syscall.SIGHUP))
		logged(ctx, s, name, before+1, word)
	}
}

func playSIGHUP(ctx context.Context, s *lab.Stage) {
	raw, err := os.ReadFile(s.Rig.Config())
	s.Must(err)
	good := string(raw)
	defer func() { _ = os.WriteFile(s.Rig.Config(), raw, 0o600) }()
	s.NextCallWorks(ctx, 0)
	reload(ctx, s, good+"\nno_such_key: true\n", "configuration not reloaded")
	s.NextCallWorks(ctx, 1)
	entry := "screening:\n  deny: [{number: \"" + s.From + "\", reason: \"reloaded\"}, "
	denied := strings.Replace(good, "screening:\n  deny: [", entry, 1)
	s.Check(denied != good, "the configuration has no deny list:\n%s", good)
	reload(ctx, s, denied, `"configuration reloaded"`)
	c := s.Call()
	s.Ended(ctx, c, "603")
	s.Check(s.Phone.Invited() == 2, "the phone of the subscriber had %d calls, want 2", s.Phone.Invited())
	reload(ctx, s, good, `"configuration reloaded"`)
	s.NextCallWorks(ctx, 2)
}

func playSIGTERM(ctx context.Context, s *lab.Stage) {
	c, in := talk(ctx, s)
	uuid, err := s.Rig.Leg(ctx, c)
	s.Must(err)
	s.Must(s.Rig.Sidecar.Signal(syscall.SIGTERM))
	s.Deed(lab.ColSidecar, "SIGTERM")
	s.Talk(ctx, c, in)
	select {
	case <-s.Rig.Sidecar.Done():
	case <-time.After(6 * time.Second):
		s.Fail("the sidecar, told to drain for 2 s, has not ended after 6 s")
	}
	s.Talk(ctx, c, in)
	other := s.Call()
	toOperator(ctx, s, other, time.Now(), time.Second)
	s.Must(s.Rig.StartSidecar(ctx))
	logged(ctx, s, "sidecar", 1, "still lives", uuid)
	s.Talk(ctx, c, in)
	in.Hangup()
	s.Ended(ctx, c, "them")
	s.Check(s.Operator.Invited() == 1, "the operator's extension had %d calls, want only the one of the drain", s.Operator.Invited())
	r := s.Record(ctx, 1)
	s.Check(r.Result == call.Answered && r.Cause == "NORMAL_CLEARING" && !r.Ended.Before(in.Ended().Add(-time.Second)),
		"the record says %s %s, ended %s, want answered, until the subscriber hung up at %s", r.Result, r.Cause, r.Ended, in.Ended())
	// The second call was the operator's and has no record.
	s.Phone.Behave(lab.Answers(100 * time.Millisecond))
	last := s.Call()
	again := s.Rings(ctx, s.Phone, 2)
	s.WaitAnswered(ctx, last)
	last.Hangup()
	s.Ended(ctx, again, "them")
	s.Steps(s.Record(ctx, 3), "ring answered")
}
