package lab

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/call"
)

// enoughVoice is how many voice packets of 20 ms prove that one party hears another.
const enoughVoice = 15

// Stage is what a story plays on: its own number, caller, phone and voicemail targets on a rig that others use too.
//
// A story is written as the call goes. A check that fails ends it by unwinding to perform, as testing.T does, so that what
// happens to a call is not buried under the handling of what does not.
type Stage struct {
	Rig      *Rig
	Line     Line
	Number   string // that is called
	From     string // number of the caller
	Pilot    string
	FQDN     string
	Caller   *Agent
	Phone    *Agent    // nil for PhoneAbsent and PhoneNobody
	Mail     [2]*Agent // nil where a target is dead
	Operator *Agent
	Notifier *Agent // nil unless the voicemail system tells of messages
	Trace    *Trace

	row     account.NumberEntry // of Number, as it was provisioned at first
	parties []*Agent            // further ones, made by Party
	user    string              // of FreeSWITCH's directory
	dead    []*deadPort
	fronts  []*tlsFront
	mail    [2]string // addresses of the voicemail targets
	calls   []string  // Call-IDs of the calls placed, oldest first
	last    *Call     // the newest of them
}

// failure carries a failed check out of a story.
type failure struct{ err error }

func (s *Stage) fail(format string, args ...any) { panic(failure{fmt.Errorf(format, args...)}) }

func (s *Stage) check(ok bool, format string, args ...any) {
	if !ok {
		s.fail(format, args...)
	}
}

func (s *Stage) must(err error) {
	if err != nil {
		panic(failure{err})
	}
}

// perform plays a story and turns a failed check into an error.
func (s *Stage) perform(ctx context.Context, story Story) (err error) {
	defer func() {
		switch r := recover().(type) {
		case nil:
		case failure:
			err = r.err
		default:
			panic(r)
		}
	}()
	story.Play(ctx, s)
	return nil
}

// tell adds a sentence to the story.
func (s *Stage) tell(format string, args ...any) {
	s.Trace.Add(Event{Kind: Tell, From: ColCaller, To: ColCaller, Summary: fmt.Sprintf(format, args...)})
}

// deed tells what the lab did to a process.
func (s *Stage) deed(party, format string, args ...any) {
	s.Trace.Add(Event{Kind: Deed, From: party, To: party, Summary: fmt.Sprintf(format, args...)})
}

// callWith places the story's call.
func (s *Stage) callWith(inv Invite) *Call {
	inv.To, inv.Via = s.Number, hop{"udp", s.Rig.proxyAddr}
	return s.Place(inv)
}

func (s *Stage) call() *Call { return s.callWith(Invite{Display: `"Ada"`}) }

// graceTime is how long after the caller's call has ended somebody may still get an INVITE of it.
const graceTime = 500 * time.Millisecond

// rings waits until somebody's phone has the n-th INVITE. It does not wait for a call that is over.
func (s *Stage) rings(ctx context.Context, a *Agent, n int) *Call {
	ctx, cancel := context.WithCancelCause(ctx)
	var watching sync.WaitGroup
	if s.last != nil {
		watching.Add(1)
		go func() {
			defer watching.Done()
			if s.last.WaitEnded(ctx) != nil {
				return
			}
			select {
			case <-time.After(graceTime):
				cancel(fmt.Errorf("the caller's call ended with %s", s.last.EndedBy()))
			case <-ctx.Done():
			}
		}()
	}
	c, err := a.Incoming(ctx, n)
	cancel(nil)
	watching.Wait()
	s.must(err)
	return c
}

func (s *Stage) status(ctx context.Context, c *Call, codes ...int) *Message {
	m, err := c.WaitStatus(ctx, codes...)
	s.must(err)
	return m
}

// ended waits for the end of a call and checks who ended it.
func (s *Stage) ended(ctx context.Context, c *Call, by string) {
	s.must(c.WaitEnded(ctx))
	s.check(c.EndedBy() == by, "the call of %s was ended by %s, want %s", c.agent.Name(), c.EndedBy(), by)
}

// talk proves that two parties hear each other now.
func (s *Stage) talk(ctx context.Context, a, b *Call) {
	va, vb := a.agent.Voice(), b.agent.Voice()
	beforeA, beforeB := a.Heard(vb), b.Heard(va)
	s.must(a.WaitHeard(ctx, vb, enoughVoice))
	s.must(b.WaitHeard(ctx, va, enoughVoice))
	s.Trace.Add(Event{Kind: Proof, From: a.agent.Name(), To: b.agent.Name(), Summary: fmt.Sprintf(
		"they talk: %s heard %d voice packets of %s, %s heard %d of %s", a.agent.Name(), a.Heard(vb)-beforeA, b.agent.Name(),
		b.agent.Name(), b.Heard(va)-beforeB, a.agent.Name())})
}

// untouched checks that an agent got no call at all.
func (s *Stage) untouched(agents ...*Agent) {
	for _, a := range agents {
		if a != nil {
			n := a.Invited()
			s.check(n == 0, "%s got %d calls, want none", a.Name(), n)
		}
	}
}

// clean checks what must never leave towards anybody: our token, and a header injected by text.
func (s *Stage) clean(c *Call) { s.cleanInvite(c.Invite(), c.agent.Name()) }

func (s *Stage) cleanInvite(m *Message, to string) {
	for _, name := range m.Names() {
		low := strings.ToLower(name)
		s.check(!strings.HasPrefix(low, "x-signalbox"), "the INVITE to %s carries our token in %s", to, name)
		s.check(low != "x-evil", "the caller's text became a header of the INVITE to %s", to)
	}
}

// record waits until the record of the n-th call of this story, counted from 1, is closed, and returns it.
func (s *Stage) record(ctx context.Context, n int) call.Record {
	return s.recordWhere(ctx, n, "the record is not closed", func(r call.Record) bool { return !r.Open() })
}

// opened waits until the store has the record of the n-th call of this story: who kills the sidecar sooner takes it with him.
func (s *Stage) opened(ctx context.Context, n int) {
	s.recordWhere(ctx, n, "the record is not opened", func(call.Record) bool { return true })
}

func (s *Stage) recordWhere(ctx context.Context, n int, otherwise string, is func(call.Record) bool) call.Record {
	ctx, cancel := context.WithTimeoutCause(ctx, 10*time.Second, errors.New(otherwise))
	defer cancel()
	last := "the store has none"
	for {
		recs, err := s.Rig.records(ctx)
		if err != nil {
			last = err.Error()
		}
		for _, r := range recs {
			if r.Arrival.CallID == s.calls[n-1] {
				if is(r) {
					return r
				}
				last = fmt.Sprintf("it is open, result %q, steps %d", r.Result, len(r.Steps))
			}
		}
		select {
		case <-ctx.Done():
			s.fail("the call record of call %d: %w; %s", n, context.Cause(ctx), last)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// noRecord checks that the sidecar kept none of the story's calls.
func (s *Stage) noRecord(ctx context.Context) {
	recs, err := s.Rig.records(ctx)
	s.must(err)
	for _, r := range recs {
		s.check(!slices.Contains(s.calls, r.Arrival.CallID), "there is a call record, want none: %+v", r)
	}
}

// steps checks the kinds and results of a record's steps: "ring no-answer", "mailbox answered".
func (s *Stage) steps(r call.Record, want ...string) {
	var got []string
	for _, step := range r.Steps {
		got = append(got, fmt.Sprintf("%s %s", step.Kind, step.Result))
	}
	s.check(slices.Equal(got, want), "the record tells %q, want %q", got, want)
}

// mailbox checks the INVITE a voicemail target got: pilot, name, target, cause, diversion, history, caller.
func (s *Stage) mailbox(c *Call, cause int, reason string) {
	s.deposit(c.Invite(), s.FQDN, cause, reason)
}

// deposit checks an INVITE that must be the deposit of one of the story's calls at a voicemail system.
func (s *Stage) deposit(m *Message, fqdn string, cause int, reason string) {
	uri := m.URI()
	s.check(strings.HasPrefix(uri, "sip:"+s.Pilot+"@"+fqdn), "the voicemail system was called as %s, want sip:%s@%s", uri, s.Pilot, fqdn)
	s.check(strings.Contains(uri, ";cause="+fmt.Sprint(cause)), "the Request-URI %s has not cause=%d", uri, cause)
	s.check(strings.Contains(uri, ";target=sip:") && strings.Contains(uri, strings.TrimPrefix(s.Number, "+")),
		"the Request-URI %s does not name %s as target", uri, s.Number)
	diversions := splitList(m.All("diversion"))
	s.check(len(diversions) > 0 && strings.Contains(diversions[0], s.Number) && strings.Contains(diversions[0], "reason="+reason),
		"the newest diversion is %q, want %s with reason=%s on top", diversions, s.Number, reason)
	history := splitList(m.All("history-info"))
	s.check(len(history) >= 2, "History-Info is %q, want the subscriber and the mailbox", history)
	s.check(strings.Contains(m.Get("from"), strings.TrimPrefix(s.From, "+")), "the voicemail system sees the caller as %s, want %s", m.Get("from"), s.From)
	s.cleanInvite(m, fqdn)
}

// window is a shorter time for one part of a story.
func window(ctx context.Context, d time.Duration, what string) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, d, fmt.Errorf("not within %s: %s", d, what))
}

// close ends the stage's agents.
func (s *Stage) close() {
	for _, a := range append([]*Agent{s.Caller, s.Phone, s.Mail[0], s.Mail[1], s.Operator, s.Notifier}, s.parties...) {
		if a != nil {
			a.Close()
		}
	}
	for _, f := range s.fronts {
		f.close()
	}
	for _, d := range s.dead {
		d.close()
	}
}
