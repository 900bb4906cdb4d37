package fsw

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"go.uber.org/zap"

	"github.com/signalbox/signalbox/dialplan/encode"
	"github.com/signalbox/signalbox/esl/wire"
	"github.com/signalbox/signalbox/internal/call"
)

const (
	// beep is played before a recording.
	beep = "tone_stream://%(400,100,800)"
	// silenceThreshold and silenceHits end a recording in which nothing is said any more: FreeSWITCH compares the energy of each 20 ms.
	silenceThreshold, silenceHits = 60, 500
	// longestPrompt bounds what is played before it.
	longestPrompt = 60 * time.Second
)

// Record implements call.Leg.
func (l *Leg) Record(ctx context.Context, order call.RecordOrder) (call.Recording, error) {
	file, err := encode.Path(order.File)
	if err != nil {
		return call.Recording{Result: call.NotRecorded, Note: err.Error()}, nil
	}
	if err := l.arm(ctx, brief); err != nil && !errors.Is(err, errAnswered) {
		result, err := l.gone(err)
		return call.Recording{Result: result}, err
	}
	if err := l.pickUp(ctx); err != nil {
		result, err := l.gone(err)
		return call.Recording{Result: result}, err
	}
	if l.hungUp() {
		return call.Recording{Result: call.Answered}, nil
	}
	for _, sound := range []string{order.Prompt, beep} {
		if sound == "" {
			continue
		}
		arg, err := encode.Arg(sound)
		if err != nil {
			return call.Recording{Result: call.NotRecorded, Note: err.Error()}, nil
		}
		if _, err := l.perform(ctx, "playback", arg, longestPrompt); err != nil || l.hungUp() {
			result, err := l.gone(err)
			return call.Recording{Result: answeredUnless(result, err)}, err
		}
	}
	seconds := max(int(order.Longest/time.Second), 1)
	done, err := l.perform(ctx, "record", fmt.Sprintf("%s %d %d %d", file, seconds, silenceThreshold, silenceHits), order.Longest+slack)
	if err != nil && l.unlessGone(err) == nil { // he hung up while he spoke: the last of the leg tells how long
		select {
		case <-l.session.Final():
		case <-time.After(quick):
		}
		done, err = l.session.FinalEvent(), nil
	}
	out := call.Recording{Result: call.Answered, Unseen: done == nil}
	if done != nil {
		ms, _ := strconv.Atoi(done.Var("record_ms"))
		out.Length = time.Duration(ms) * time.Millisecond
	}
	switch {
	case err != nil:
		out.Result = call.Broken
	case out.Length == 0 && !l.hungUp() && !out.Unseen:
		out.Result, out.Note = call.NotRecorded, "freeswitch recorded nothing: look at the folder's rights and the disk"
	}
	return out, err
}

// perform runs an application on a caller who is answered: a stop of ours does not end it, as it would leave him alone in the middle.
func (l *Leg) perform(ctx context.Context, app, arg string, longest time.Duration) (*wire.Event, error) {
	ctx, cancel := context.WithTimeout(ctx, longest)
	defer cancel()
	running, err := l.session.Start(ctx, app, arg)
	if err != nil {
		return nil, err
	}
	return running.Wait(ctx)
}

// pickUp answers the caller for the rest of the call: should we die, he is released and not sent on.
func (l *Leg) pickUp(ctx context.Context) error {
	if l.picked {
		return l.keep(ctx)
	}
	ctx, cancel := context.WithTimeout(ctx, quick)
	defer cancel()
	if _, err := l.session.Execute(ctx, "answer", ""); err != nil {
		return err
	}
	if l.answer != nil {
		l.answer(time.Now())
	}
	l.picked = true // and FreeSWITCH has turned the stage
	l.log.Debug("answered to take a message", zap.String("uuid", l.session.UUID()))
	return nil
}

// answeredUnless is how a caller ended who was answered, when nothing more can be done to him.
func answeredUnless(result call.Result, err error) call.Result {
	if err == nil && result == call.CallerGone {
		return call.Answered
	}
	return result
}
