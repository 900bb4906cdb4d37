package fsw

import (
	"context"
	"errors"
	"slices"
	"strconv"

	"go.uber.org/zap"

	"github.com/signalbox/signalbox/dialplan/encode"
	"github.com/signalbox/signalbox/esl"
	"github.com/signalbox/signalbox/esl/wire"
	"github.com/signalbox/signalbox/internal/call"
)

const (
	// waitsForHost is the flag of members who hear nobody before a moderator is there.
	waitsForHost = "wait-mod"
	// waitingNotes are what they hear where no music is named: FreeSWITCH begins them anew when they are over.
	waitingNotes = "tone_stream://v=-20;%(350,150,523);%(350,5150,659)"
)

// memberVar is what FreeSWITCH sets on the leg of a member of a conference.
const memberVar = "conference_member_id"

// Join implements call.Leg. From the moment before the conference begins the call is FreeSWITCH's, as that of two parties who talk:
// our death leaves the caller in it. A conference that does not take him gives the call back to us.
func (l *Leg) Join(ctx context.Context, order call.JoinOrder) (call.Result, error) {
	arg, err := encode.Conference{Room: order.Room, Profile: order.Profile, Flags: order.Flags}.Arg()
	if err != nil {
		return call.NotJoined, nil
	}
	if err := l.greet(ctx); err != nil || l.hungUp() {
		return l.gone(err)
	}
	joining, err := l.enter(ctx, order, arg)
	if err != nil {
		return l.gone(err)
	}
	done, err := l.converse(ctx, joining)
	switch {
	case errors.Is(err, errLeft):
		l.left, l.talked = true, true
		return call.Answered, nil
	case err == nil && l.movedAway(done):
		return call.Broken, l.away(ctx)
	case err != nil:
		return l.gone(err)
	case done.Var(memberVar) != "":
		l.talked = true
		if l.hungUp() {
			return call.Answered, nil
		}
		if err := l.End(ctx, "NORMAL_CLEARING"); err != nil {
			return call.Broken, err
		}
		return call.Answered, nil
	case l.hungUp():
		return call.CallerGone, nil
	}
	if err := l.takeAgain(ctx); err != nil {
		return l.gone(err)
	}
	return call.NotJoined, nil
}

// enter starts the conference, behind all that makes the call FreeSWITCH's.
func (l *Leg) enter(ctx context.Context, order call.JoinOrder, arg string) (*esl.Execution, error) {
	ctx, cancel := context.WithTimeout(ctx, quick)
	defer cancel()
	// Keys that nobody has asked for would be commands of a member; and tones are not looked for in a conversation.
	for _, app := range []string{"stop_dtmf", "flush_dtmf"} {
		if _, err := l.session.Execute(ctx, app, ""); err != nil {
			return nil, err
		}
	}
	controls := order.Controls
	if controls == "" {
		controls = "none"
	}
	vars := []encode.Var{
		{Name: memberVar}, {Name: "hangup_after_conference", Value: "false"}, {Name: "conference_controls", Value: controls},
	}
	if slices.Contains(order.Flags, waitsForHost) {
		vars = append(vars, encode.Var{Name: "conference_moh_sound", Value: l.waitingMusic(order.Music)})
	}
	if order.MaxMembers > 0 {
		vars = append(vars, encode.Var{Name: "conference_max_members", Value: strconv.Itoa(order.MaxMembers)})
	}
	if order.Host { // FreeSWITCH has a lock count for whoever calls in, moderators too
		vars = append(vars, encode.Var{Name: "conference_enforce_security", Value: "false"})
	}
	first, err := apis(l.set(vars))
	if err != nil {
		return nil, err
	}
	keeping, err := l.keeping()
	if err != nil {
		return nil, err
	}
	l.armed = armed{}
	return l.session.StartBehind(ctx, append(first, keeping...), "conference", arg)
}

// waitingMusic is what those hear who wait for a host. The first one who comes names it for all.
func (l *Leg) waitingMusic(music string) string {
	if music == "" {
		return waitingNotes
	}
	sound, err := encode.Sounds([]string{music})
	if err != nil {
		l.log.Warn("conference.music cannot be played to those who wait for a host", zap.Error(err))
		return waitingNotes
	}
	return sound
}

// converse waits until a conversation is over, or the server drains.
func (l *Leg) converse(ctx context.Context, talk *esl.Execution) (*wire.Event, error) {
	select {
	case <-talk.Done():
		return talk.Wait(ctx)
	case <-l.session.Draining():
		return l.leaveTalking(ctx, talk)
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// takeAgain is the way back from keep: the call is ours, and goes to the fallback without us. further variables are set with it.
func (l *Leg) takeAgain(ctx context.Context, further ...encode.Var) error {
	ctx, cancel := context.WithTimeout(ctx, quick)
	defer cancel()
	replies, err := askAll(ctx, l.session, l.set(append(further,
		encode.Var{Name: "hangup_after_conference"}, encode.Var{Name: "signalbox_stage", Value: "unserved"}, encode.Var{Name: "socket_resume", Value: "true"})))
	if err == nil {
		err = refused(replies)
	}
	if err != nil {
		return err
	}
	l.guarded = false // there is none to be replaced
	return l.arm(ctx, brief)
}
