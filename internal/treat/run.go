package treat

import (
	"context"
	"fmt"
	"time"

	"github.com/signalbox/signalbox/internal/call"
	"github.com/signalbox/signalbox/internal/treat/conference"
	"github.com/signalbox/signalbox/internal/treat/devices"
	"github.com/signalbox/signalbox/internal/treat/mailbox"
	"github.com/signalbox/signalbox/internal/treat/notice"
	"github.com/signalbox/signalbox/internal/treat/recorder"
)

// Tools is what running a plan needs beside the leg.
type Tools struct {
	Settings Settings
	Resolver mailbox.Resolver
	// Conference is what brings callers into conferences.
	Conference conference.Tools
	// Spool keeps messages that are taken here; nil = none are.
	Spool recorder.Keeper
	// Progress is told of the record after each step. It must not block. May be nil.
	Progress func(call.Record)
}

// Run executes the plan of rec on leg and returns the record with what happened. An error means that the leg is out of
// our hands: the caller of Run closes the connection, and FreeSWITCH goes on with the operator's own dialplan.
func Run(ctx context.Context, leg call.Leg, rec call.Record, tools Tools) (call.Record, error) {
	last := call.Result("") // of the step before
	why := call.Result("")  // why the call went to voicemail
	phone := call.NoAnswer  // how the subscriber's own phones ended
	for i := 0; i >= 0 && i < len(rec.Plan.Steps); {
		step := rec.Plan.Steps[i]
		if step.Kind == call.StepMailbox {
			if why = last; last == call.NotJoined {
				why = phone
			}
			if step.Mailbox.Why != "" {
				why = call.Result(step.Mailbox.Why)
			}
		}
		if step.Kind == call.StepMailbox || step.Kind == call.StepSpool {
			last = why
		}
		done, err := runStep(ctx, leg, rec, step, last, phone, tools)
		rec.Steps = append(rec.Steps, done)
		rec.Result, rec.Updated = done.Result, done.Ended
		if tools.Progress != nil {
			tools.Progress(rec)
		}
		if err != nil {
			return rec, fmt.Errorf("step %s: %w", step.Kind, err)
		}
		if step.Kind == call.StepRing {
			phone = done.Result
		}
		last = done.Result
		i = next(rec.Plan, i, last, phone)
	}
	return rec, nil
}

// next is the step to run after step i ended with last, or -1. Who is in no conference goes on as the phones ended, where no step is for
// him alone.
func next(p call.Plan, i int, last, phone call.Result) int {
	j := p.Next(i, last)
	if j < 0 && last == call.NotJoined {
		j = p.Next(i, phone)
	}
	return j
}

func runStep(ctx context.Context, leg call.Leg, rec call.Record, step call.Step, last, phone call.Result, tools Tools) (call.StepRecord, error) {
	a := rec.Arrival
	switch step.Kind {
	case call.StepConference:
		return conference.Run(ctx, leg, a, rec.ID, *step.Conference, tools.Conference)
	case call.StepRing:
		return devices.Run(ctx, leg, a, *step.Ring)
	case call.StepMailbox:
		return mailbox.Run(ctx, leg, a, *step.Mailbox, last, tools.Settings.Mailbox, tools.Resolver)
	case call.StepSpool:
		return recorder.Run(ctx, leg, a, *step.Spool, last, tools.Spool)
	case call.StepNotice:
		cause := step.Notice.Cause
		if cause == "" {
			cause = notice.Cause(phone)
		}
		return notice.Run(ctx, leg, *step.Notice, cause)
	case call.StepRefuse:
		return verb(call.StepRefuse, call.Ended, func() error { return leg.Refuse(ctx, *step.Refuse) })
	case call.StepHandBack:
		return verb(call.StepHandBack, call.HandedBack, func() error { return leg.HandBack(ctx) })
	}
	return call.StepRecord{Kind: step.Kind, Started: time.Now(), Ended: time.Now(), Result: call.Broken},
		fmt.Errorf("unknown kind of step %q", step.Kind)
}

func verb(kind call.StepKind, result call.Result, do func() error) (call.StepRecord, error) {
	rec := call.StepRecord{Kind: kind, Started: time.Now(), Result: result}
	err := do()
	rec.Ended = time.Now()
	if err != nil {
		rec.Result = call.Broken
	}
	return rec, err
}
