package sidecar

import (
	"context"
	"time"

	"go.uber.org/zap"

	"github.com/signalbox/signalbox/esl/wire"
	"github.com/signalbox/signalbox/internal/call"
)

const (
	// decided is how long FreeSWITCH may take to notice the end of a connection; it is asked every askAgain.
	decided  = 2 * time.Second
	askAgain = 20 * time.Millisecond
	// lastEvent is how long the last event of a channel that is gone may take.
	lastEvent = 500 * time.Millisecond
)

// lastEvents has room for the CHANNEL_HANGUP_COMPLETE of one channel.
type lastEvents chan *wire.Event

// Adopt takes over the open record of a call of our own that we can follow no more, if its caller was connected with somebody. It
// reports false, and leaves the record alone, when he was not, or when nobody would see the end because its node has no link.
func (u *Undertaker) Adopt(ctx context.Context, rec call.Record) bool {
	if !u.linked(rec.Node) {
		return false
	}
	u.mu.Lock()
	sw := u.switches[rec.Node]
	u.mu.Unlock()
	if rec.Answered.IsZero() { // the connection may have been lost at the very moment of the answer
		if sw == nil {
			return false
		}
		talked, last := u.talked(ctx, rec.UUID, sw)
		if !talked {
			return false
		}
		rec.Answered = rec.Updated
		if last != nil {
			u.ends(rec, last)
			return true
		}
	}
	u.ledger.Keep(rec)
	u.watch(rec)
	if sw == nil {
		return true // the link looks when it comes up
	}
	if err := u.look(ctx, rec, sw, time.Now(), "the connection to the call was lost"); err != nil {
		u.log.Info("freeswitch does not say whether an orphaned call lives; the link asks again when it is up", zap.String("uuid", rec.UUID), zap.Error(err))
	}
	return true
}

// talked waits until FreeSWITCH has noticed the end of a connection and decided what becomes of the call, or the call has ended,
// and reports whether its caller was connected, and its last event when that was seen.
func (u *Undertaker) talked(ctx context.Context, uuid string, sw Switch) (bool, *wire.Event) {
	last := make(lastEvents, 1)
	u.mu.Lock()
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
			if err != nil || stage == "talked" {
				return err == nil, nil
			}
			if stage == "" {
				if alive, err := sw.Alive(ctx, uuid); alive || err != nil {
					return false, nil
				}
				gone, until = true, time.Now().Add(lastEvent)
			}
		}
		select {
		case event := <-last:
			return event.Var("signalbox_stage") == "talked", event
		case <-time.After(askAgain):
		case <-ctx.Done():
			return false, nil
		}
	}
	return false, nil
}
