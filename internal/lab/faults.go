package lab

import (
	"context"
	"time"

	"github.com/signalbox/signalbox/internal/call"
)

// fallbackTime is how soon an unanswered call must be with the operator's own extension when the sidecar does not serve it.
const fallbackTime = 4 * time.Second

// faultStories kill, freeze and restart processes; each runs alone.
func faultStories() []Story {
	line := Line{Operator: true}
	return []Story{
		{Name: "message-delivered-later", Title: "No voicemail system is there: the message is taken here, and delivered when it is up again.", Alone: true, Line: Line{Phone: PhoneAbsent, Targets: [2]TargetState{TargetRefuses, TargetRefuses}}, Play: playLaterDelivery},
		{Name: "sidecar-killed-while-two-talk", Title: "The sidecar is killed while two people talk: they notice nothing, and afterwards all is in order.", Alone: true, Line: line, Play: playKilledTalking},
		{Name: "sidecar-killed-while-phone-rings", Title: "The sidecar is killed while the phone rings: the operator's own extension takes the call.", Alone: true, Line: line, Play: playKilledRinging},
		{Name: "sidecar-killed-before-it-speaks", Title: "The sidecar has accepted FreeSWITCH's connection but said nothing when it is killed: the operator's own extension takes the call.", Alone: true, Line: line, Play: playKilledSpeechless},
		{Name: "sidecar-killed-while-announcement-plays", Title: "The sidecar is killed while Ada hears that voicemail is down: the operator's own extension takes the call.", Alone: true, Line: Line{Operator: true, Phone: PhoneAbsent, Targets: [2]TargetState{TargetDead, TargetDead}}, Play: playKilledAnnouncing},
		{Name: "sidecar-killed-while-voicemail-talks", Title: "The sidecar is killed while Ada leaves a message: she can finish it.", Alone: true, Line: line, Play: playKilledMailbox},
		{Name: "sidecar-down-operators-fallback", Title: "No sidecar is listening: the operator's own extension answers as if there had never been one.", Alone: true, Line: line, Play: playDown},
		{Name: "sidecar-frozen", Title: "The sidecar hangs without a word: within 4 s the operator's own extension has the call.", Alone: true, Line: line, Play: playFrozen},
		{Name: "proxy-restarted-while-two-talk", Title: "The proxy is killed and started again while two people talk: the hangup still finds its way.", Alone: true, Line: line, Play: playProxyRestarted},
	}
}

// conversation is an answered call with proof that both hear each other.
func conversation(ctx context.Context, s *Stage, n int) (caller, phone *Call) {
	s.Phone.Behave(Answers(200 * time.Millisecond))
	c := s.call()
	in := s.rings(ctx, s.Phone, n)
	s.must(c.WaitAnswered(ctx))
	s.talk(ctx, c, in)
	return c, in
}

// nextCallWorks is how every fault ends: the lab has started the sidecar again.
func nextCallWorks(ctx context.Context, s *Stage, n int) {
	c, in := conversation(ctx, s, n)
	c.Hangup()
	s.ended(ctx, in, "them")
	s.steps(s.record(ctx, len(s.calls)), "ring answered")
	s.tell("the next call works")
}

func (s *Stage) killSidecar() {
	s.must(s.Rig.Sidecar.Kill())
	s.deed(ColSidecar, "kill -9: the sidecar is dead")
}

func (s *Stage) startSidecar(ctx context.Context) {
	s.must(s.Rig.startSidecar(ctx))
	s.deed(ColSidecar, "the sidecar is started again")
}

func playKilledTalking(ctx context.Context, s *Stage) {
	c, in := conversation(ctx, s, 1)
	s.opened(ctx, 1)
	s.killSidecar()
	s.talk(ctx, c, in)
	in.Hangup()
	s.ended(ctx, c, "them")
	s.untouched(s.Operator)
	s.tell("the subscriber hangs up: Ada is released, the operator's extension does not run")
	s.startSidecar(ctx)
	r := s.record(ctx, 1)
	s.check(r.Note != "" && !r.Ended.Before(c.Answered()), "the record of the call that outlived the sidecar is %+v, want one that says how it was closed", r)
	s.tell("its record is closed truthfully: %s", r.Note)
	nextCallWorks(ctx, s, 2)
}

func playKilledRinging(ctx context.Context, s *Stage) {
	s.Phone.Behave(ringsOnly())
	c := s.call()
	in := s.rings(ctx, s.Phone, 1)
	s.status(ctx, c, 180, 183)
	s.opened(ctx, 1)
	s.killSidecar()
	fallback(ctx, s, c, 1)
	s.must(in.WaitEnded(ctx))
	s.check(in.Cancelled(), "the phone rings on: it ended with %q", in.EndedBy())
	s.untouched(s.Mail[:]...)
	s.startSidecar(ctx)
	r := s.record(ctx, 1)
	s.check(r.Result != call.Answered, "the record says %s, but nobody of ours answered", r.Result)
	nextCallWorks(ctx, s, 2)
}

func playKilledMailbox(ctx context.Context, s *Stage) {
	s.Phone.Behave(Refuses(486))
	c := s.call()
	mail := s.rings(ctx, s.Mail[0], 1)
	s.must(c.WaitAnswered(ctx))
	s.talk(ctx, c, mail)
	s.opened(ctx, 1)
	s.killSidecar()
	s.talk(ctx, c, mail)
	mail.Hangup()
	s.ended(ctx, c, "them")
	s.untouched(s.Operator)
	s.tell("the voicemail system hangs up after the message: Ada is released, the operator's extension does not run")
	s.startSidecar(ctx)
	s.record(ctx, 1)
	nextCallWorks(ctx, s, 2)
}

func playKilledSpeechless(ctx context.Context, s *Stage) {
	s.must(s.Rig.freezeSidecar())
	s.deed(ColSidecar, "kill -STOP: the sidecar is frozen, the kernel still accepts connections for it")
	c := s.call()
	s.must(s.Rig.watch.arrived(ctx, c.id))
	s.killSidecar()
	fallback(ctx, s, c, 1)
	s.untouched(s.Phone, s.Mail[0], s.Mail[1])
	s.startSidecar(ctx)
	s.noRecord(ctx)
	nextCallWorks(ctx, s, 1)
}

func playKilledAnnouncing(ctx context.Context, s *Stage) {
	c := s.call()
	early := s.status(ctx, c, 183)
	s.check(early.Body() != "", "the 183 brings no early media")
	s.tell("every voicemail server is dead: the announcement plays")
	s.opened(ctx, 1)
	s.killSidecar()
	fallback(ctx, s, c, 1)
	s.startSidecar(ctx)
	r := s.record(ctx, 1)
	s.check(r.Result != call.Answered, "the record says %s, but nobody of ours answered", r.Result)
}

// fallback waits until the operator's extension has answered a call, in time, and that they talk.
func fallback(ctx context.Context, s *Stage, c *Call, n int) {
	began := time.Now()
	in, cancel := window(ctx, fallbackTime, "the operator's own extension answers")
	defer cancel()
	op := s.rings(in, s.Operator, n)
	s.must(c.WaitAnswered(in))
	s.tell("the operator's own extension answers after %.1f s", time.Since(began).Seconds())
	s.talk(ctx, c, op)
	s.clean(op)
	op.Hangup()
	s.ended(ctx, c, "them")
}

func playDown(ctx context.Context, s *Stage) {
	s.killSidecar()
	c := s.call()
	fallback(ctx, s, c, 1)
	s.untouched(s.Phone, s.Mail[0], s.Mail[1])
	s.startSidecar(ctx)
	nextCallWorks(ctx, s, 1)
}

func playFrozen(ctx context.Context, s *Stage) {
	s.must(s.Rig.freezeSidecar())
	s.deed(ColSidecar, "kill -STOP: the sidecar is frozen")
	c := s.call()
	fallback(ctx, s, c, 1)
	s.untouched(s.Phone, s.Mail[0], s.Mail[1])
	s.must(s.Rig.thawSidecar())
	s.deed(ColSidecar, "kill -CONT: the sidecar goes on")
	nextCallWorks(ctx, s, 1)
	s.untouched(s.Mail[:]...)
}

func playProxyRestarted(ctx context.Context, s *Stage) {
	c, in := conversation(ctx, s, 1)
	s.must(s.Rig.Proxy.Kill())
	s.deed(ColProxy, "kill -9: the proxy is dead")
	s.talk(ctx, c, in)
	s.must(s.Rig.startProxy(ctx))
	s.deed(ColProxy, "the proxy is started again")
	in.Hangup()
	s.ended(ctx, c, "them")
	s.tell("the subscriber hangs up: the BYE passes the new proxy, which knows nothing of the call")
	s.steps(s.record(ctx, 1), "ring answered")
	nextCallWorks(ctx, s, 2)
}
