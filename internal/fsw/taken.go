package fsw

import (
	"context"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/signalbox/signalbox/dialplan/encode"
	"github.com/signalbox/signalbox/esl/wire"
)

// movedAway reports whether the call was transferred while the application ran whose end the event tells: FreeSWITCH gives the channel
// its new destination before it lets go of the application, and tells a bridge that did not come about as if the caller had given up. The
// destination may be the one that it was: then the caller's profile is another all the same, the next of the channel.
func (l *Leg) movedAway(done *wire.Event) bool {
	return slices.ContainsFunc([]string{"Caller-Destination-Number", "Caller-Profile-Index"}, func(name string) bool {
		return done.Get(name) != l.session.Channel().Get(name)
	})
}

// away notes that the call was sent elsewhere, which is ErrTakenAway. Our guard would take back whom somebody has transferred, and goes; by
// its number, for the call may have come to us again already, with a guard of its own.
func (l *Leg) away(ctx context.Context) error {
	l.moved = true
	if !l.armed.stands() {
		return ErrTakenAway
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), quick)
	defer cancel()
	off, err := encode.GuardOffByNumber(l.armed.reply)
	if err == nil {
		_, err = ask(ctx, l.session, off)
	}
	if err != nil {
		l.log.Debug("guard of a call that was sent elsewhere stays until it fires", zap.Error(err))
	}
	l.armed = armed{}
	return ErrTakenAway
}

// comesBack is how long a call that was sent elsewhere has to come to us again, with marks that are no more ours.
const comesBack = time.Second

// release takes off the mark by which FreeSWITCH cuts whatever runs when our connection ends, and leaves the caller in silence
// (CS_RESET): where he is now is no affair of ours. When the dialplan has given the call to us again the mark is that connection's.
func (l *Leg) release(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), quick)
	defer cancel()
	const entry = "signalbox_guard" // another one each time the dialplan hands the call over, and none behind signalbox-unserved
	if now, err := l.session.GetVar(ctx, entry); err != nil || strings.TrimSpace(now) != strings.TrimSpace(l.session.Channel().Var(entry)) {
		return
	}
	if _, err := askAll(ctx, l.session, l.set([]encode.Var{{Name: "socket_resume"}})); err != nil {
		l.log.Debug("a call that was sent elsewhere would be cut by our end", zap.Error(err))
	}
}

// Moved reports whether FreeSWITCH has sent the call elsewhere, as far as we have noticed: by its guard, or by somebody's transfer.
func (l *Leg) Moved() bool { return l.moved }

// Linger keeps the connection of a leg that was sent elsewhere until that has ended, or the server drains. FreeSWITCH takes the end of a
// connection for the end of whatever parks the channel now, a connection of ours for another number among them (measured): closed at once,
// it would hang up a caller who was transferred to where he is parked.
func (l *Leg) Linger(ctx context.Context) {
	if !l.moved {
		return
	}
	events, settled := l.session.Events(), time.NewTimer(comesBack)
	defer settled.Stop()
	for {
		select {
		case <-settled.C:
			l.release(ctx)
		case _, ok := <-events:
			if !ok {
				events = nil
			}
		case <-l.session.Final():
			return
		case <-l.session.Draining():
			l.release(ctx)
			return
		case <-ctx.Done():
			l.release(ctx)
			return
		}
	}
}

// TakenBack reports whether the guard had given the call to the operator's own dialplan before it ended: a sidecar that was
// frozen learns so only from the last event of the leg. It is meant to be asked after Over.
func (l *Leg) TakenBack() bool {
	last := l.session.FinalEvent()
	return last != nil && last.Var("signalbox_handed_back") != ""
}
