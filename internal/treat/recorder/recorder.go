package recorder

import (
	"context"
	"fmt"
	"time"

	"github.com/signalbox/signalbox/internal/call"
	"github.com/signalbox/signalbox/internal/tel"
)

// shortest is what a recording must have to be a message: less is a caller who hung up at the tone.
const shortest = time.Second

// Keeper keeps messages until they are delivered.
type Keeper interface {
	// Room returns the ID and the file of a new message on a node, or why there is none.
	Room(ctx context.Context, node string) (id, file string, err error)
	// Begin notes what is about to be recorded, for so long at most: without Keep or Drop behind it what is then in the file is the message.
	Begin(m Message, longest time.Duration)
	// Keep keeps a message that was recorded; Drop forgets the file of one that is none.
	Keep(ctx context.Context, m Message)
	Drop(file string)
}

// Message is what was recorded.
type Message struct {
	ID, File string
	Number   tel.Number // in whose mailbox it belongs
	Why      tel.Why    // why the subscriber did not take the call
	Arrival  call.Arrival
	Recorded time.Time
	Length   time.Duration
}

// Run takes a message. It returns an error only when the leg is out of our hands.
func Run(ctx context.Context, leg call.Leg, a call.Arrival, s call.Spool, why call.Result, keeper Keeper) (rec call.StepRecord, err error) {
	rec = call.StepRecord{Kind: call.StepSpool, Started: time.Now(), Result: call.NotRecorded, Note: "no folder for messages is configured"}
	defer func() { rec.Ended = time.Now() }()
	if keeper == nil {
		return rec, nil
	}
	id, file, full := keeper.Room(ctx, a.Node)
	if full != nil {
		rec.Note = full.Error()
		return rec, nil
	}
	m := Message{ID: id, File: file, Number: s.Number, Why: tel.Why(why), Arrival: a, Recorded: rec.Started}
	keeper.Begin(m, s.Longest)
	recording, err := leg.Record(ctx, call.RecordOrder{File: file, Prompt: s.Prompt, Longest: s.Longest})
	rec.Result, rec.Note = recording.Result, recording.Note
	switch {
	case recording.Length >= shortest: // also of a leg that was lost: what was said is there
		m.Length = recording.Length
		keeper.Keep(context.WithoutCancel(ctx), m)
		rec.Note = fmt.Sprintf("message %s of %s is kept until it can be delivered", id, recording.Length.Round(100*time.Millisecond))
	case recording.Unseen:
		rec.Note = fmt.Sprintf("the end of message %s was not seen: what is in its file is delivered", id)
	case err == nil && recording.Result == call.Answered:
		keeper.Drop(file)
		rec.Note = "the caller said nothing: no message"
	default:
		keeper.Drop(file)
	}
	if err == nil && rec.Result == call.Answered {
		err = leg.End(ctx, "NORMAL_CLEARING")
	}
	return rec, err
}
