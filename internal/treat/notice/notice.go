package notice

import (
	"context"
	"time"

	"github.com/signalbox/signalbox/internal/call"
)

// longest bounds an announcement, so that a prompt that never ends does not hold a caller.
const longest = 60 * time.Second

// Run plays the announcement, if there is one, and ends the call with cause.
// It returns an error only when the leg is out of our hands.
func Run(ctx context.Context, leg call.Leg, n call.Notice, cause string) (call.StepRecord, error) {
	rec := call.StepRecord{Kind: call.StepNotice, Started: time.Now(), Result: call.Ended, Note: "ended with " + cause}
	if n.Prompt != "" {
		result, err := leg.Announce(ctx, n.Prompt, longest)
		if err == nil && result == call.NotPlayed && n.Prompt != DefaultDownPrompt {
			rec.Note = "ended with " + cause + "; the announcement could not be played, the caller heard the information tone"
			result, err = leg.Announce(ctx, DefaultDownPrompt, longest)
		}
		if err != nil || result == call.CallerGone {
			rec.Ended, rec.Result, rec.Note = time.Now(), result, ""
			if err != nil {
				rec.Result = call.Broken
			}
			return rec, err
		}
	}
	err := leg.End(ctx, cause)
	rec.Ended = time.Now()
	if err != nil {
		rec.Result, rec.Note = call.Broken, ""
	}
	return rec, err
}
