package lab

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/signalbox/signalbox/internal/call"
)

// quietStories are those that leave every process alone; they run at the same time, each on its own number.
func quietStories() []Story {
	return []Story{
		{Name: "answered", Title: "Ada calls, the phone rings, it is answered, they talk, the phone hangs up.", Play: playAnswered},
		{Name: "no-answer-to-voicemail", Title: "The phone rings and nobody answers: Ada talks to the voicemail system of the subscriber.", Play: playNoAnswer},
		{Name: "busy-to-voicemail", Title: "The phone is busy: voicemail, and the system is told that it was busy.", Play: playBusy},
		{Name: "not-registered-to-voicemail", Title: "The phone is not registered: voicemail at once.", Line: Line{Phone: PhoneAbsent}, Play: playNotRegistered},
		{Name: "declined", Title: "The subscriber presses the red key: voicemail, and nothing rings any longer.", Play: playDeclined},
		{Name: "registered-phone-answers", Title: "A phone that registered at FreeSWITCH with a password is rung where it is.", Line: Line{Phone: PhoneRegistered}, Play: playRegistered},
		{Name: "phone-behind-the-proxy", Title: "A phone registers through the proxy: calls reach it down its own connection, and go to voicemail when that is gone.", Line: Line{Phone: PhoneBehindProxy}, Play: playBehindProxy},
		{Name: "first-voicemail-target-down", Title: "The voicemail system's first server is dead: its second one takes the call.", Line: Line{Targets: [2]TargetState{TargetDead, TargetAnswers}}, Play: playFirstTargetDown},
		{Name: "voicemail-by-tls", Title: "The voicemail system is reached by TLS: a server with another's certificate hears nothing, the next one takes the call.", Line: Line{TLS: true}, Play: playVoicemailByTLS},
		{Name: "all-voicemail-targets-down", Title: "No server of the voicemail system takes the call: an announcement, then 480; never silence.", Line: Line{Phone: PhoneAbsent, Targets: [2]TargetState{TargetSilent, TargetRefuses}}, Play: playAllTargetsDown},
		{Name: "impossible-caller-refused", Title: "The caller's number cannot exist: refused before any media, FreeSWITCH never sees the call.", Play: playImpossible},
		{Name: "deny-listed-caller-refused", Title: "The caller is on the deny list: refused before any media.", Play: playDenied},
		{Name: "caller-gives-up", Title: "Ada hangs up while it rings: the phone stops, and nothing goes to voicemail.", Play: playGivesUp},
		{Name: "caller-gives-up-at-voicemail", Title: "Ada hangs up while the voicemail system rings: it stops too, and gets no empty message.", Line: Line{Phone: PhoneAbsent}, Play: playGivesUpAtVoicemail},
		{Name: "voicemail-calls-back", Title: "The voicemail system itself calls the subscriber, who is busy: it is not sent to itself.", Play: playVoicemailCallsBack},
		{Name: "hostile-caller-name", Title: "The caller's name is written to break a switch: the phone rings with a harmless one, the call works.", Play: playHostileName},
		{Name: "withheld-caller", Title: "The caller withholds the number: it stands nowhere in what the phone gets.", Play: playWithheld},
		{Name: "forwarded-call-to-voicemail", Title: "The call was diverted twice before it came: voicemail gets the whole history, our subscriber on top.", Play: playForwarded},
		{Name: "long-signed-invite", Title: "An INVITE of more than 3 kB, signed twice: it reaches the phone, the signatures do not, and the hangup comes back.", Play: playLong},
		{Name: "pilot-moved", Title: "The operator moves a pilot to another system: the next call goes there, and no subscriber was touched.", Line: Line{Phone: PhoneAbsent}, Play: playMovedPilot},
		{Name: "profile-changed", Title: "What is provisioned changes while the phone is registered: the next call, a second later, knows.", Line: Line{Phone: PhoneRegistered}, Play: playChangedProfile},
		{Name: "suspended-subscriber", Title: "A suspended subscriber gets no messages; when he is active again he does.", Line: Line{Phone: PhoneAbsent}, Play: playSuspended},
		{Name: "pilot-from-outside", Title: "The pilot is dialled from a line that is not its subscriber's: the system asks for mailbox and PIN.", Line: Line{Phone: PhoneAbsent}, Play: playPilotFromOutside},
		{Name: "own-voicemail", Title: "The subscriber dials the pilot from the own phone: the system is told whose line it is.", Line: Line{Phone: PhoneRegistered}, Play: playOwnVoicemail},
		{Name: "message-lamp", Title: "The voicemail system tells of messages: the lamp of every registered phone follows.", Line: Line{Phone: PhoneRegistered, Notifies: true}, Play: playLamp},
		{Name: "number-nobody-owns", Title: "A number that no account owns goes on to the operator's own extension, untouched.", Line: Line{Phone: PhoneNobody, Operator: true}, Play: playNobodyOwns},
		{Name: "private-diverter", Title: "One of two who diverted the call keeps his number private: neither the phone nor voicemail learns it.", Play: playPrivateDiverter},
	}
}

func playAnswered(ctx context.Context, s *Stage) {
	s.Phone.Behave(Answers(700 * time.Millisecond))
	c := s.call()
	s.status(ctx, c, 180, 183)
	in := s.rings(ctx, s.Phone, 1)
	s.clean(in)
	s.tell("the phone rings")
	s.must(c.WaitAnswered(ctx))
	s.tell("the subscriber answers after %.1f s", in.Answered().Sub(in.Invite().At).Seconds())
	s.talk(ctx, c, in)
	in.Hangup()
	s.ended(ctx, c, "them")
	s.tell("the subscriber hangs up, Ada is released")
	s.untouched(s.Mail[:]...)
	r := s.record(ctx, 1)
	s.steps(r, "ring answered")
	s.check(!r.Answered.IsZero(), "the record does not say when the call was answered")
	s.check(r.Arrival.Evidence == call.EvidenceToken, "the call came without the proxy's signed evidence: %s", r.Arrival.Evidence)
}

// leaveMessage is the second half of every voicemail story: the caller talks to the voicemail system and hangs up.
func leaveMessage(ctx context.Context, s *Stage, c *Call, target, cause int, reason string) {
	mail := s.rings(ctx, s.Mail[target], 1)
	s.mailbox(mail, cause, reason)
	s.must(c.WaitAnswered(ctx))
	s.tell("voicemail %s answers, cause=%d; the subscriber stands on top of Diversion with reason=%s", s.FQDN, cause, reason)
	s.talk(ctx, c, mail)
	c.Hangup()
	s.ended(ctx, mail, "them")
	s.tell("Ada has left a message and hangs up")
}

func playNoAnswer(ctx context.Context, s *Stage) {
	s.Phone.Behave(ringsOnly())
	c := s.call()
	in := s.rings(ctx, s.Phone, 1)
	s.tell("the phone rings")
	s.must(in.WaitEnded(ctx))
	rang := in.Ended().Sub(in.Invite().At)
	s.check(in.Cancelled(), "the phone was not cancelled, it ended with %s", in.EndedBy())
	// FreeSWITCH counts whole seconds of the clock: a limit of 5 s ends the ringing after 4 to 5 s.
	s.check(rang > noAnswerTime-1100*time.Millisecond && rang < noAnswerTime+2*time.Second, "the phone rang for %s, want %s", rang, noAnswerTime)
	s.tell("the phone rang for %.0f s, nobody answers: voicemail, cause=408", rang.Seconds())
	leaveMessage(ctx, s, c, 0, 408, "no-answer")
	s.untouched(s.Mail[1])
	s.steps(s.record(ctx, 1), "ring no-answer", "mailbox answered")
}

func playBusy(ctx context.Context, s *Stage) {
	s.Phone.Behave(Refuses(486))
	c := s.call()
	s.rings(ctx, s.Phone, 1)
	s.tell("the phone is busy: voicemail, cause=486")
	leaveMessage(ctx, s, c, 0, 486, "user-busy")
	s.steps(s.record(ctx, 1), "ring busy", "mailbox answered")
}

func playNotRegistered(ctx context.Context, s *Stage) {
	c := s.call()
	began := time.Now()
	s.rings(ctx, s.Mail[0], 1)
	took := time.Since(began)
	s.check(took < 2*time.Second, "the voicemail system was called after %s, want at once", took)
	s.tell("the phone is not registered: voicemail after %d ms, cause=404", took.Milliseconds())
	leaveMessage(ctx, s, c, 0, 404, "unavailable")
	s.steps(s.record(ctx, 1), "ring not-registered", "mailbox answered")
}

func playDeclined(ctx context.Context, s *Stage) {
	s.Phone.Behave(Behaviour{Ring: true, After: 400 * time.Millisecond, Status: 603})
	c := s.call()
	in := s.rings(ctx, s.Phone, 1)
	s.ended(ctx, in, "603")
	s.tell("the subscriber declines: voicemail")
	mail := s.rings(ctx, s.Mail[0], 1)
	s.must(c.WaitAnswered(ctx))
	s.talk(ctx, c, mail)
	c.Hangup()
	s.ended(ctx, mail, "them")
	s.steps(s.record(ctx, 1), "ring declined", "mailbox answered")
}

func playRegistered(ctx context.Context, s *Stage) {
	s.must(s.Phone.Register(ctx, s.Rig.registration(s.user, 300)))
	s.tell("the phone registers as %s with its password", s.user)
	s.Phone.Behave(Answers(300 * time.Millisecond))
	c := s.call()
	in := s.rings(ctx, s.Phone, 1)
	s.clean(in)
	s.must(c.WaitAnswered(ctx))
	s.talk(ctx, c, in)
	c.Hangup()
	s.ended(ctx, in, "them")
	s.steps(s.record(ctx, 1), "ring answered")
	s.must(s.Phone.Register(ctx, s.Rig.registration(s.user, 0)))
	s.tell("Ada hangs up, the phone takes its registration back")
}

func playBehindProxy(ctx context.Context, s *Stage) {
	s.must(s.Phone.Register(ctx, s.Rig.registrationByProxy(s.user, 300)))
	s.tell("the phone registers as %s through the proxy, by TCP", s.user)
	s.Phone.Behave(Answers(300 * time.Millisecond))
	c := s.call()
	in := s.rings(ctx, s.Phone, 1)
	s.clean(in)
	s.check(in.via.network == "tcp", "the phone was called by %s, want down its own connection", in.via.network)
	s.must(c.WaitAnswered(ctx))
	s.talk(ctx, c, in)
	in.Hangup()
	s.ended(ctx, c, "them")
	s.tell("they talk; the phone hangs up, Ada is released")
	s.steps(s.record(ctx, 1), "ring answered")
	s.Phone.Cut()
	s.tell("the phone loses its network")
	c = s.call()
	mail := s.rings(ctx, s.Mail[0], 1)
	s.must(c.WaitAnswered(ctx))
	s.talk(ctx, c, mail)
	c.Hangup()
	s.ended(ctx, mail, "them")
	s.tell("the flow is gone (430): voicemail at once")
	s.check(s.Phone.Invited() == 1, "the phone got %d calls, want 1", s.Phone.Invited())
	s.steps(s.record(ctx, 2), "ring unreachable", "mailbox answered")
	s.must(s.Phone.Register(ctx, s.Rig.registrationByProxy(s.user, 0)))
}

func playVoicemailByTLS(ctx context.Context, s *Stage) {
	s.Phone.Behave(Refuses(486))
	c := s.call()
	s.rings(ctx, s.Phone, 1)
	s.tell("the phone is busy: voicemail %s by TLS, whose first server shows a certificate of somebody else", s.FQDN)
	leaveMessage(ctx, s, c, 1, 486, "user-busy")
	s.untouched(s.Mail[0])
	r := s.record(ctx, 1)
	s.steps(r, "ring busy", "mailbox answered")
	attempts := r.Steps[1].Attempts
	s.check(len(attempts) == 2 && strings.HasSuffix(attempts[0].Target, "/tls by TLS through the proxy") && attempts[0].Note == "certificate" && attempts[0].Result == call.Unreachable,
		"the record has the attempts %+v, want one that fails for somebody else's certificate first", attempts)
	s.check(attempts[1].Result == call.Answered && attempts[1].Target != attempts[0].Target, "the second attempt is %+v", attempts[1])
	s.tell("the record has both attempts: %s (%s), %s", attempts[0].Target, attempts[0].Note, attempts[1].Target)
}

func playFirstTargetDown(ctx context.Context, s *Stage) {
	s.Phone.Behave(Refuses(486))
	c := s.call()
	s.rings(ctx, s.Phone, 1)
	s.tell("the phone is busy: voicemail %s, whose first server %s is dead", s.FQDN, s.mail[0])
	leaveMessage(ctx, s, c, 1, 486, "user-busy")
	r := s.record(ctx, 1)
	s.steps(r, "ring busy", "mailbox answered")
	attempts := r.Steps[1].Attempts
	s.check(len(attempts) == 2, "the record has %d voicemail attempts, want 2: %+v", len(attempts), attempts)
	s.check(strings.Contains(attempts[0].Target, s.mail[0]) && attempts[0].Result != call.Answered,
		"the first attempt is %+v, want a failed one at %s", attempts[0], s.mail[0])
	s.check(strings.Contains(attempts[1].Target, s.mail[1]) && attempts[1].Result == call.Answered,
		"the second attempt is %+v, want an answered one at %s", attempts[1], s.mail[1])
	s.tell("the record has both attempts: %s %s, %s %s", attempts[0].Target, attempts[0].Result, attempts[1].Target, attempts[1].Result)
}

func playAllTargetsDown(ctx context.Context, s *Stage) {
	c := s.call()
	s.rings(ctx, s.Mail[1], 1)
	early := s.status(ctx, c, 183)
	s.check(early.Body() != "", "the 183 brings no early media")
	s.tell("one server is silent, the other answers 503: Ada hears an announcement as early media")
	if s.Rig.realVoice {
		s.must(c.agent.wait(ctx, "the announcement is heard", func() bool { return c.media.total() > enoughVoice }))
		s.Trace.Add(Event{Kind: Proof, From: ColCaller, To: ColCaller, Summary: fmt.Sprintf("the announcement: %d voice packets", c.HeardAnything())})
	}
	s.ended(ctx, c, "480")
	s.check(c.Answered().IsZero(), "an announcement answered the call")
	s.tell("then 480, because the subscriber was not there")
	r := s.record(ctx, 1)
	s.steps(r, "ring not-registered", "mailbox voicemail-down", "notice ended")
	s.check(len(r.Steps[1].Attempts) == 2, "the record has %d voicemail attempts, want 2", len(r.Steps[1].Attempts))
}

// refused is a call that the proxy ends before any media.
func refused(ctx context.Context, s *Stage, c *Call, code int) {
	s.ended(ctx, c, fmt.Sprint(code))
	for _, m := range c.Responses() {
		s.check(m.Status() == 100 || m.Status() == code, "the caller got %d %s before the refusal", m.Status(), m.Phrase())
		s.check(m.Body() == "", "the caller got a session description with %d", m.Status())
	}
	s.must(s.Rig.watch.sync(ctx))
	s.check(!s.Rig.watch.seen(c.id), "the call reached FreeSWITCH")
	s.untouched(s.Phone, s.Mail[0], s.Mail[1], s.Operator)
	s.noRecord(ctx)
}

func playImpossible(ctx context.Context, s *Stage) {
	c := s.callWith(Invite{From: impossibleCaller})
	refused(ctx, s, c, 603)
	s.tell("no area code of +1 begins with 0: 603 from the proxy, no INVITE reached FreeSWITCH")
}

func playDenied(ctx context.Context, s *Stage) {
	c := s.callWith(Invite{From: deniedCaller})
	refused(ctx, s, c, 603)
	s.tell("%s stands on the deny list: 603 from the proxy, no INVITE reached FreeSWITCH", deniedCaller)
}

func playGivesUp(ctx context.Context, s *Stage) {
	s.Phone.Behave(ringsOnly())
	c := s.call()
	in := s.rings(ctx, s.Phone, 1)
	s.status(ctx, c, 180, 183)
	s.tell("the phone rings, Ada gives up")
	c.Cancel()
	s.ended(ctx, c, "487")
	s.must(in.WaitEnded(ctx))
	s.check(in.Cancelled(), "the phone was not cancelled, it ended with %s", in.EndedBy())
	r := s.record(ctx, 1)
	s.steps(r, "ring caller-gone")
	s.untouched(s.Mail[:]...)
	s.tell("the phone stops at once, nothing goes to voicemail")
}

func playGivesUpAtVoicemail(ctx context.Context, s *Stage) {
	s.Mail[0].Behave(ringsOnly())
	c := s.call()
	mail := s.rings(ctx, s.Mail[0], 1)
	s.tell("the voicemail system rings, Ada gives up")
	c.Cancel()
	s.ended(ctx, c, "487")
	s.must(mail.WaitEnded(ctx))
	s.check(mail.Cancelled() && mail.Answered().IsZero(), "the voicemail system was not cancelled, it ended with %s", mail.EndedBy())
	s.steps(s.record(ctx, 1), "ring not-registered", "mailbox caller-gone")
	s.untouched(s.Mail[1])
	s.tell("it is cancelled before it answers, and its second server hears nothing")
}

func playVoicemailCallsBack(ctx context.Context, s *Stage) {
	s.Phone.Behave(Refuses(486))
	c := s.Place(Invite{Display: `"Call return"`, At: s.FQDN})
	s.rings(ctx, s.Phone, 1)
	s.ended(ctx, c, "486")
	s.untouched(s.Mail[:]...)
	s.steps(s.record(ctx, 1), "ring busy", "notice ended")
	s.tell("the call says that it comes from %s: it ends with 486, and nobody deposits anything", s.FQDN)
}

func playHostileName(ctx context.Context, s *Stage) {
	mark := filepath.Join(s.Rig.dir, "hostile-"+s.user)
	s.Phone.Behave(Answers(200 * time.Millisecond))
	c := s.callWith(Invite{Display: `"Eve \"'${system(touch ` + mark + `)}${expr(40+2)}%0d%0aX-Evil: 1 ^^#{a=b}[c=d],|&"`})
	in := s.rings(ctx, s.Phone, 1)
	s.clean(in)
	name := in.Invite().DisplayName()
	s.check(!strings.Contains(name, "${"), "the phone shows the name %q, in which FreeSWITCH still finds something to expand", name)
	s.check(strings.Contains(name, "40+2") && strings.Contains(name, "Eve"), "the phone shows the name %q, which was computed with", name)
	s.must(c.WaitAnswered(ctx))
	s.talk(ctx, c, in)
	c.Hangup()
	s.ended(ctx, in, "them")
	_, err := os.Stat(mark)
	s.check(os.IsNotExist(err), "the caller's name was executed: %s exists", mark)
	s.steps(s.record(ctx, 1), "ring answered")
	s.tell("nothing of the name was executed; the phone shows %s", name)
}

func playWithheld(ctx context.Context, s *Stage) {
	s.Phone.Behave(Answers(200 * time.Millisecond))
	c := s.callWith(Invite{
		Display: `"Anonymous"`, From: "anonymous",
		Headers: []string{"P-Asserted-Identity: <sip:" + s.From + "@carrier.example>", "Privacy: id"},
	})
	in := s.rings(ctx, s.Phone, 1)
	s.clean(in)
	digits := strings.TrimPrefix(s.From, "+")
	for line := range strings.Lines(in.Invite().Raw) {
		s.check(!strings.Contains(line, digits), "the withheld number stands in what the phone got: %s", line)
	}
	s.must(c.WaitAnswered(ctx))
	s.talk(ctx, c, in)
	c.Hangup()
	s.ended(ctx, in, "them")
	r := s.record(ctx, 1)
	s.steps(r, "ring answered")
	s.check(r.Arrival.From.Withheld, "the record does not know that the number was withheld")
	s.tell("%s stands nowhere in the INVITE to the phone, which shows %s", s.From, in.Invite().Get("from"))
}

func playNobodyOwns(ctx context.Context, s *Stage) {
	c := s.call()
	op := s.rings(ctx, s.Operator, 1)
	s.must(c.WaitAnswered(ctx))
	s.tell("no account owns %s: the sidecar hands the call back, the operator's own extension answers", s.Number)
	s.talk(ctx, c, op)
	s.clean(op)
	c.Hangup()
	s.ended(ctx, op, "them")
	s.untouched(s.Mail[:]...)
	s.noRecord(ctx)
}

func playForwarded(ctx context.Context, s *Stage) {
	s.Phone.Behave(Refuses(486))
	c := s.callWith(Invite{Display: `"Ada"`, Headers: []string{
		"Diversion: <sip:+493023125902@carrier.example>;reason=no-answer;counter=1",
		"Diversion: <sip:+493023125901@carrier.example>;reason=unconditional;counter=1",
		"History-Info: <sip:+493023125901@carrier.example>;index=1",
		"History-Info: <sip:+493023125902@carrier.example>;index=1.1",
	}})
	s.rings(ctx, s.Phone, 1)
	s.tell("the call was diverted by ...901 and by ...902 before; our phone is busy")
	mail := s.rings(ctx, s.Mail[0], 1)
	s.mailbox(mail, 486, "user-busy")
	diversions := splitList(mail.Invite().All("diversion"))
	s.check(len(diversions) == 3 && strings.Contains(diversions[1], "+493023125902") && strings.Contains(diversions[1], "reason=no-answer") &&
		strings.Contains(diversions[2], "+493023125901"), "the voicemail system sees the diversions %q, want ours, then ...902, then ...901", diversions)
	history := strings.Join(splitList(mail.Invite().All("history-info")), ", ")
	s.check(strings.Contains(history, "+493023125901") && strings.Contains(history, "index=1.1") && strings.Contains(history, s.FQDN),
		"the history is not continued: %s", history)
	s.must(c.WaitAnswered(ctx))
	s.talk(ctx, c, mail)
	c.Hangup()
	s.ended(ctx, mail, "them")
	r := s.record(ctx, 1)
	s.check(len(r.Arrival.Diversions) == 2, "the record has %d diversions, want both of the call: %+v", len(r.Arrival.Diversions), r.Arrival.Diversions)
	s.tell("voicemail sees all three, newest first, and the history continued")
}

func playPrivateDiverter(ctx context.Context, s *Stage) {
	const private, open = "493023125901", "493023125902"
	s.Phone.Behave(Refuses(486))
	c := s.callWith(Invite{Display: `"Ada"`, Headers: []string{
		"Diversion: <sip:+" + open + "@carrier.example>;reason=no-answer;counter=1",
		"Diversion: \"Olga\" <sip:+" + private + "@carrier.example>;reason=unconditional;counter=1;privacy=full",
		"History-Info: <sip:+" + private + "@carrier.example?Privacy=history>;index=1",
		"History-Info: <sip:+" + open + "@carrier.example>;index=1.1",
		"P-Charging-Vector: icid-value=" + private + ";icid-generated-at=192.0.2.1",
	}})
	in := s.rings(ctx, s.Phone, 1)
	mail := s.rings(ctx, s.Mail[0], 1)
	s.mailbox(mail, 486, "user-busy")
	for name, m := range map[string]*Message{"the phone": in.Invite(), "voicemail": mail.Invite()} {
		for line := range strings.Lines(m.Raw) {
			s.check(!strings.Contains(line, private) && !strings.Contains(line, "Olga"), "%s is told of who is private: %s", name, line)
		}
		s.check(strings.Contains(m.Raw, open), "%s is not told of ...902, who is not private", name)
	}
	history := strings.Join(splitList(mail.Invite().All("history-info")), ", ")
	s.check(strings.Contains(history, "anonymous.invalid") && strings.Contains(history, "index=1.1"), "the history does not say that somebody was there: %s", history)
	s.must(c.WaitAnswered(ctx))
	s.talk(ctx, c, mail)
	c.Hangup()
	s.ended(ctx, mail, "them")
	r := s.record(ctx, 1)
	s.check(len(r.Arrival.Diversions) == 2 && r.Arrival.Diversions[1].Number == "+"+private, "the record has not both diversions: %+v", r.Arrival.Diversions)
	s.tell("phone and voicemail know that two have diverted the call, and the number of one; the operator's record has both")
}

func playLong(ctx context.Context, s *Stage) {
	s.Phone.Behave(Answers(200 * time.Millisecond))
	signature := "Identity: eyJhbGciOiJFUzI1NiJ9." + strings.Repeat("c2lnbmFsYm94", 120) + ";info=<https://cert.example/a.pem>;alg=ES256"
	c := s.callWith(Invite{Display: `"Ada"`, Headers: []string{signature + ";ppt=shaken", signature + ";ppt=div"}})
	s.tell("the INVITE has %d bytes", len(c.Invite().Raw))
	in := s.rings(ctx, s.Phone, 1)
	s.clean(in)
	s.check(len(in.Invite().All("identity")) == 0, "a signature that is not ours goes out to the phone: %s", in.Invite().Get("identity"))
	s.must(c.WaitAnswered(ctx))
	s.talk(ctx, c, in)
	in.Hangup()
	s.ended(ctx, c, "them")
	s.steps(s.record(ctx, 1), "ring answered")
	s.tell("it came through, the phone hangs up, Ada is released")
}
