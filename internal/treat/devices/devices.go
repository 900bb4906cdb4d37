package devices

import (
	"context"
	"time"

	"github.com/signalbox/signalbox/internal/call"
	"github.com/signalbox/signalbox/internal/tel"
)

// Run rings the devices of a ring step. It returns an error only when the leg is out of our hands.
func Run(ctx context.Context, leg call.Leg, a call.Arrival, ring call.Ring) (call.StepRecord, error) {
	rec := call.StepRecord{Kind: call.StepRing, Started: time.Now()}
	if len(ring.Devices) == 0 {
		rec.Ended, rec.Result, rec.Note = time.Now(), call.NotRegistered, "no phone is provisioned for the number"
		return rec, nil
	}
	order := call.RingOrder{Devices: ring.Devices, Answer: ring.Timeout, Caller: a.From}
	if tel.AnyPrivate(a.Diversions) { // what the A-leg carried would go to the phone as it is
		order.Headers = []call.Header{{Name: "Diversion", Value: tel.FormatDiversions(tel.PublicDiversions(a.Diversions, a.To))}}
	}
	attempt, err := leg.Ring(ctx, order)
	rec.Ended = time.Now()
	if err != nil {
		rec.Result = call.Broken
		return rec, err
	}
	rec.Attempts = []call.Attempt{attempt}
	rec.Result = attempt.Result
	return rec, nil
}
