package lab

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/signalbox/signalbox/internal/call"
)

// AccessNumber is where the carriers of the lab's subscribers forward calls to.
const AccessNumber = "+498005550199"

// The tones that are the voices of those who talk in a conference.
const (
	HzHost, HzAnna, HzBen = 440.0, 620.0, 790.0
)

// hostStories are those of conferences joined by calling the host's own number.
func hostStories() []Story {
	line := Line{Host: true}
	stories := []Story{
		{Name: "conference-known-caller", Title: "The host is in a conference; Anna, whom the host knows, calls his number, is offered it, and joins by a key.", Line: line, Play: playKnownCaller},
		{Name: "conference-unknown-caller", Title: "The same from a number that the host does not know: voicemail, and nothing tells of a conference.", Line: line, Play: playUnknownCaller},
		{Name: "conference-two-at-once", Title: "Anna and Ben call at the same moment and the host is in no conference: one room, one call to the host, all three talk.", Line: line, Play: playTwoAtOnce},
		{Name: "conference-host-not-reached", Title: "The host is called into the conference and presses nothing: Anna is told so, and leaves a message.", Line: line, Play: playHostNotReached},
		{Name: "conference-verdict-failed", Title: "The caller's number is Anna's, but its verification failed: voicemail, no conference; verified, it is offered.", Line: line, Play: playVerdictFailed},
		{Name: "conference-ended-in-the-menu", Title: "The conference ends while Anna listens to the offer: she is told so when she joins, and leaves a message.", Line: line, Play: playEndedInTheMenu},
	}
	for i := range stories {
		stories[i].Play = Linked(stories[i].Play)
	}
	return stories
}

// Linked plays a story once the sidecar sees who is in conferences: without its link to the switch it knows of nobody.
func Linked(play func(context.Context, *Stage)) func(context.Context, *Stage) {
	return func(ctx context.Context, s *Stage) {
		s.within(ctx, "the sidecar's link to the switch is up", func() bool {
			log, err := os.ReadFile(filepath.Join(s.Rig.dir, "sidecar.log"))
			return err == nil && bytes.Contains(log, []byte("freeswitch link is up"))
		})
		play(ctx, s)
	}
}

// Second is the number of Ben, whom the host knows too.
func (s *Stage) Second() string { return s.From[:len(s.From)-3] + "7" + s.From[len(s.From)-2:] }

// Forwarded is an INVITE that the host's carrier forwards to the access number, with why it did, as in RFC 5806.
func (s *Stage) Forwarded(from, reason string) Invite {
	return Invite{To: AccessNumber, From: from, Headers: []string{fmt.Sprintf("Diversion: <sip:%s@carrier.example>;reason=%s;counter=1", s.Number, reason)}}
}

// HostEnters has the host call the access number from his own number and press 1, and waits until he is in his room.
func (s *Stage) HostEnters(ctx context.Context) (c *Call, room string) {
	c = s.PlaceBy(s.Party(ColPhone, HzHost), Invite{To: AccessNumber, From: s.Number})
	s.Joins(ctx, c)
	room = s.RoomOf(ctx, c)
	s.Members(ctx, room, 1)
	s.tell("the host is in the own conference")
	return c, room
}

// Joins waits until a caller hears the offer, and presses 1.
func (s *Stage) Joins(ctx context.Context, c *Call) {
	s.must(c.WaitAnswered(ctx))
	s.must(c.WaitSound(ctx))
	s.must(c.Press(ctx, "1", KeysAsEvents))
}

// RoomOf waits until a caller is in a conference and returns its name.
func (s *Stage) RoomOf(ctx context.Context, c *Call) string {
	uuid, err := s.Rig.Leg(ctx, c)
	s.must(err)
	var room string
	s.within(ctx, "the caller is in a conference", func() bool {
		room, err = s.Rig.API(ctx, "uuid_getvar "+uuid+" conference_name")
		s.must(err)
		room = strings.TrimSpace(room)
		return room != "" && room != "_undef_"
	})
	return room
}

// Members waits until a conference has so many members; 0 also stands for none of that name.
func (s *Stage) Members(ctx context.Context, room string, size int) {
	s.within(ctx, fmt.Sprintf("conference %s has %d members", room, size), func() bool {
		got, err := s.Rig.API(ctx, "conference "+room+" list count")
		if err != nil {
			got = err.Error()
		}
		return strings.TrimSpace(got) == fmt.Sprint(size) || size == 0 && strings.Contains(got, "not found")
	})
}

// HearsOnly checks which of the three voices a party hears.
func (s *Stage) HearsOnly(ctx context.Context, c *Call, want ...float64) {
	s.must(c.WaitHears(ctx, want, HzHost, HzAnna, HzBen))
	s.Trace.Add(Event{Kind: Proof, From: c.agent.Name(), To: c.agent.Name(), Summary: fmt.Sprintf("%s hears %.0f Hz and nobody else", c.agent.Name(), want)})
}

// within waits until something is so, for 15 s at most.
func (s *Stage) within(ctx context.Context, what string, so func() bool) {
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	if err := s.until(ctx, so); err != nil {
		s.fail("it never was so that %s: %w", what, err)
	}
}

// access checks how it was decided whether a caller may join.
func (s *Stage) access(r call.Record, verdict call.AccessVerdict, reason string) {
	s.check(r.Plan.Access != nil && r.Plan.Access.Verdict == verdict && r.Plan.Access.Reason.Name == reason, "access to the conference: %+v, want %s, %s", r.Plan.Access, verdict, reason)
}

func playKnownCaller(ctx context.Context, s *Stage) {
	host, room := s.HostEnters(ctx)
	c := s.Place(s.Forwarded(s.From, "user-busy"))
	s.must(c.WaitAnswered(ctx))
	s.must(c.WaitSound(ctx))
	s.tell("Anna hears whom she has reached, and the offer")
	began := time.Now()
	s.must(c.Press(ctx, "1", KeysAsEvents))
	s.Members(ctx, room, 2)
	took := time.Since(began)
	s.check(took < 2*time.Second, "Anna was in the conference %s after the key, want less than 2 s", took)
	s.tell("Anna is in the conference %d ms after the key", took.Milliseconds())
	s.HearsOnly(ctx, host, HzAnna)
	s.HearsOnly(ctx, c, HzHost)
	c.Hangup()
	s.Members(ctx, room, 1)
	host.Hangup()
	s.Members(ctx, room, 0)
	r := s.record(ctx, 2)
	s.steps(r, "conference answered")
	s.access(r, call.Allowed, "in-address-book")
	s.untouched(s.Phone, s.Mail[0])
}

func playUnknownCaller(ctx context.Context, s *Stage) {
	host, room := s.HostEnters(ctx)
	c := s.Place(s.Forwarded("+498999998999", "user-busy"))
	mail := s.rings(ctx, s.Mail[0], 1)
	s.must(c.WaitAnswered(ctx))
	s.must(c.WaitHears(ctx, nil, HzHost))
	s.tell("the stranger talks to voicemail and hears nobody of the conference")
	s.Members(ctx, room, 1)
	c.Hangup()
	s.ended(ctx, mail, "them")
	host.Hangup()
	r := s.record(ctx, 2)
	s.steps(r, "mailbox answered")
	s.access(r, call.Refused, "not-in-address-book")
	s.untouched(s.Phone)
}

func playTwoAtOnce(ctx context.Context, s *Stage) {
	s.Phone.Behave(Answers(500 * time.Millisecond))
	ben := s.Party(ColCaller, HzBen)
	a := s.Place(s.Forwarded(s.From, "no-answer"))
	b := s.PlaceBy(ben, s.Forwarded(s.Second(), "no-answer"))
	s.Joins(ctx, a)
	s.Joins(ctx, b)
	s.tell("both press 1, and wait")
	host := s.rings(ctx, s.Phone, 1)
	s.must(host.WaitAnswered(ctx))
	s.must(host.WaitSound(ctx))
	s.tell("the host is asked to accept")
	s.must(host.Press(ctx, "1", KeysAsEvents))
	room := s.RoomOf(ctx, a)
	s.check(room == s.RoomOf(ctx, b), "they are in two conferences")
	s.Members(ctx, room, 3)
	s.HearsOnly(ctx, host, HzAnna, HzBen)
	s.HearsOnly(ctx, a, HzHost, HzBen)
	s.check(s.Phone.Invited() == 1, "the host was called %d times", s.Phone.Invited())
	a.Hangup()
	b.Hangup()
	host.Hangup()
	s.Members(ctx, room, 0)
	s.steps(s.record(ctx, 1), "conference answered")
	s.steps(s.record(ctx, 2), "conference answered")
}

func playHostNotReached(ctx context.Context, s *Stage) {
	s.Phone.Behave(Answers(0))
	c := s.Place(s.Forwarded(s.From, "no-answer"))
	s.Joins(ctx, c)
	began := time.Now()
	host := s.rings(ctx, s.Phone, 1)
	s.tell("the host's phone, or his voicemail, answers and presses nothing")
	mail := s.rings(ctx, s.Mail[0], 1)
	took := time.Since(began)
	s.check(took < 10*time.Second, "Anna was with voicemail %s after her key, want less than 9 s and a second", took)
	s.tell("Anna is told that he was not reached, and is with voicemail %.1f s after her key", took.Seconds())
	s.must(host.WaitEnded(ctx))
	s.leaves(ctx, c, mail)
	r := s.record(ctx, 1)
	s.steps(r, "conference not-joined", "mailbox answered")
	s.check(strings.Contains(r.Steps[0].Note, "not reached"), "the record says %q", r.Steps[0].Note)
}

func playVerdictFailed(ctx context.Context, s *Stage) {
	anna, err := NewAgent(AgentOptions{Name: ColCaller, Voice: voiceCaller, Hz: HzAnna, IP: verifiedLoopback, Trace: s.Trace, Names: s.Rig.names, Behaviour: answersAtOnce()})
	s.must(err)
	s.parties = append(s.parties, anna)
	verified := func(verstat string) *Call {
		inv := s.Forwarded(s.From, "user-busy")
		inv.Headers = append(inv.Headers, fmt.Sprintf("P-Asserted-Identity: <sip:%s;verstat=%s@carrier.example>", s.From, verstat))
		return s.PlaceBy(anna, inv)
	}
	c := verified("TN-Validation-Failed")
	mail := s.rings(ctx, s.Mail[0], 1)
	s.must(c.WaitAnswered(ctx))
	s.tell("the verification of the number failed: voicemail at once")
	c.Hangup()
	s.ended(ctx, mail, "them")
	s.access(s.record(ctx, 1), call.Refused, "suspect")
	c = verified("TN-Validation-Passed")
	s.must(c.WaitAnswered(ctx))
	s.must(c.WaitSound(ctx))
	s.tell("it passed: Anna hears the offer, and hangs up")
	c.Hangup()
	r := s.record(ctx, 2)
	s.access(r, call.Allowed, "in-address-book")
	s.steps(r, "conference caller-gone")
}

func playEndedInTheMenu(ctx context.Context, s *Stage) {
	host, room := s.HostEnters(ctx)
	c := s.Place(s.Forwarded(s.From, "user-busy"))
	s.must(c.WaitAnswered(ctx))
	s.must(c.WaitSound(ctx))
	host.Hangup()
	s.Members(ctx, room, 0)
	s.tell("the host hangs up, the conference is over; Anna still hears the offer")
	s.Phone.Behave(Refuses(486))
	s.must(c.Press(ctx, "1", KeysAsEvents))
	s.leaves(ctx, c, s.rings(ctx, s.Mail[0], 1))
	r := s.record(ctx, 2)
	s.steps(r, "conference not-joined", "mailbox answered")
}

// leaves waits until a caller who was answered before hears voicemail, and ends the call.
func (s *Stage) leaves(ctx context.Context, c, mail *Call) {
	s.must(mail.WaitAnswered(ctx))
	s.must(c.WaitHeard(ctx, mail.agent.Voice(), enoughVoice))
	c.Hangup()
	s.ended(ctx, mail, "them")
}
