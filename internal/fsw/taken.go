package fsw

import (
	"context"

	"github.com/signalbox/signalbox/esl/wire"
)

// movedAway reports whether the call was transferred while the application ran whose end the event tells: FreeSWITCH gives the channel
// its new destination before it lets go of the application, and tells a bridge that did not come about as if the caller had given up.
func (l *Leg) movedAway(done *wire.Event) bool {
	const dialled = "Caller-Destination-Number"
	return done.Get(dialled) != l.session.Channel().Get(dialled)
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
	events := l.session.Events()
	for {
		select {
		case _, ok := <-events:
			if !ok {
				events = nil
			}
		case <-l.session.Final():
			return
		case <-l.session.Draining():
			return
		case <-ctx.Done():
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
