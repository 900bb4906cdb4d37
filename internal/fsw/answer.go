package fsw

import (
	"time"

	"github.com/signalbox/signalbox/esl/wire"
	"github.com/signalbox/signalbox/internal/call"
)

// answered tells whether an event says that the caller is connected, and passes it on. A caller who was answered before he
// came to us is connected by the bridge alone.
func (l *Leg) answered(event *wire.Event) bool {
	name := "CHANNEL_ANSWER"
	if l.picked {
		name = "CHANNEL_BRIDGE"
	}
	if event.Name() != name || event.UUID() != l.session.UUID() {
		return false
	}
	l.connected(event.Time())
	return true
}

func (l *Leg) connected(at time.Time) {
	l.talked = true
	if told := l.ringing; told != nil {
		l.ringing = nil
		told()
	}
	if l.answer != nil {
		l.answer(at)
	}
}

// settle puts right what FreeSWITCH tells of a caller who hangs up in the very moment of the answer: there may be no CHANNEL_ANSWER, or
// there is one and the bridge ends as if he had given up.
func (l *Leg) settle(attempt *call.Attempt, done *wire.Event) {
	if attempt.Result == call.CallerGone && l.talked {
		attempt.Result = call.Answered
	}
	if attempt.Result != call.Answered || l.talked {
		return
	}
	at := timestamp(done, "Caller-Channel-Answered-Time")
	switch {
	case at > 0 && !l.picked:
		l.connected(time.UnixMicro(at))
	case l.hungUp() || done.Get("Hangup-Cause") != "":
		attempt.Result = call.CallerGone
	default:
		l.connected(done.Time())
	}
}

// drain looks at the events that have arrived already.
func (l *Leg) drain(events <-chan *wire.Event) {
	for {
		select {
		case event, ok := <-events:
			if !ok {
				return
			}
			l.answered(event)
		default:
			return
		}
	}
}
