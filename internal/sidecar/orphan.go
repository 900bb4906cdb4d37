package sidecar

import (
	"context"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/signalbox/signalbox/internal/call"
)

const (
	// decided is how long FreeSWITCH may take to notice the end of a connection; it is asked every askAgain.
	decided  = 2 * time.Second
	askAgain = 20 * time.Millisecond
	// lastEvent is how long the last event of a channel that is gone may take.
	lastEvent = 500 * time.Millisecond
)

// maxEnds is how many ends a node's link has told are remembered: a call whose connection breaks at its very end has ended before it is
// adopted. They are more than end in a second on a busy node.
const maxEnds = 256

// ending is what the CHANNEL_HANGUP_COMPLETE of a channel told. handedBack is the number for which the operator's own dialplan got the call.
type ending struct {
	cause, stage, handedBack string
	at                       time.Time
}

// lastEvents has room for the last event of one channel.
type lastEvents chan ending

// endings are the newest ends, oldest first.
type endings struct {
	of    map[string]ending // by UUID
	order []string
}

func (e *endings) add(uuid string, end ending) {
	if e.of == nil {
		e.of = map[string]ending{}
	}
	if len(e.order) == maxEnds {
		delete(e.of, e.order[0])
		e.order = e.order[1:]
	}
	uuid = strings.Clone(uuid) // a piece of an event that is not kept
	e.order = append(e.order, uuid)
	e.of[uuid] = end
}

// Adopt takes over the open record of a call of our own that we can follow no more, if its caller was connected with somebody; sure says that
// he was, and else FreeSWITCH is asked: he may have been connected at the very moment when the connection was lost, or have been answered
// only to be asked something. It reports false, and leaves the record alone, when he was not, or when nobody would see the end because its
// node has no link.
func (u *Undertaker) Adopt(ctx context.Context, rec call.Record, sure bool) bool {
	if !u.linked(rec.Node) {
		return false
	}
	u.mu.Lock()
	sw := u.switches[rec.Node]
	u.mu.Unlock()
	if !sure {
		how, last := unknown, (*ending)(nil)
		if sw != nil {
			how, last = u.talked(ctx, rec.UUID, sw)
		}
		if how == no || how == unknown && rec.Answered.IsZero() {
			return false
		}
		if rec.Answered.IsZero() {
			rec.Answered = rec.Updated
		}
		if last != nil {
			u.ends(rec, *last)
			return true
		}
	}
	u.ledger.Keep(rec)
	u.mu.Lock() // the link may have come up meanwhile: either it looks at what is watched, or we ask by it
	u.watching[rec.UUID], sw = rec, u.switches[rec.Node]
	u.mu.Unlock()
	if sw == nil {
		return true // the link looks when it comes up
	}
	if alive, err := sw.Alive(ctx, rec.UUID); err == nil && !alive && u.told(ctx, rec.UUID) {
		return true
	}
	if err := u.look(ctx, rec, sw, time.Now(), "the connection to the call was lost"); err != nil {
		u.log.Info("freeswitch does not say whether an orphaned call lives; the link asks again when it is up", zap.String("uuid", rec.UUID), zap.Error(err))
	}
	return true
}

// told waits for the last event of a watched call that is gone, and reports whether its record was closed by it. The event may have come
// before the call was watched, and may come a moment after FreeSWITCH said that the call is gone.
func (u *Undertaker) told(ctx context.Context, uuid string) bool {
	for until := time.Now().Add(lastEvent); time.Now().Before(until); {
		u.mu.Lock()
		rec, watched := u.watching[uuid]
		end, seen := u.recent.of[uuid]
		if seen {
			delete(u.watching, uuid)
		}
		u.mu.Unlock()
		switch {
		case !watched: // closed as it came
			return true
		case seen:
			u.ends(rec, end)
			return true
		}
		select {
		case <-ctx.Done():
			return false
		case <-time.After(askAgain):
		}
	}
	return false
}

// answer is what FreeSWITCH says of a caller: whether he was connected with somebody.
type answer int

const (
	unknown answer = iota // it does not say
	no
	yes
)

// talked waits until FreeSWITCH has noticed the end of a connection and decided what becomes of the call, or the call has ended,
// and returns whether its caller was connected, and its last event when that was seen.
func (u *Undertaker) talked(ctx context.Context, uuid string, sw Switch) (answer, *ending) {
	last := make(lastEvents, 1)
	u.mu.Lock()
	if end, seen := u.recent.of[uuid]; seen {
		last <- end
	}
	u.unsure[uuid] = last
	u.mu.Unlock()
	defer func() {
		u.mu.Lock()
		defer u.mu.Unlock()
		delete(u.unsure, uuid)
	}()
	gone := false
	for until := time.Now().Add(decided); time.Now().Before(until); {
		if !gone {
			stage, err := sw.Stage(ctx, uuid)
			switch {
			case err != nil:
				return unknown, nil
			case stage == "talked":
				return yes, nil
			case stage == "":
				alive, err := sw.Alive(ctx, uuid)
				if err != nil {
					return unknown, nil
				}
				if alive {
					return no, nil
				}
				gone, until = true, time.Now().Add(lastEvent)
			}
		}
		select {
		case end := <-last:
			if end.stage == "talked" {
				return yes, &end
			}
			return no, &end
		case <-time.After(askAgain):
		case <-ctx.Done():
			return unknown, nil
		}
	}
	if gone {
		return unknown, nil
	}
	return no, nil
}
