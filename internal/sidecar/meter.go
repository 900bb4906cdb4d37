package sidecar

import (
	"time"

	"github.com/signalbox/signalbox/internal/call"
)

// Meter is told what happens to calls, so that it can be counted. It is called on the paths of calls, from many goroutines at
// once, and must not block. Every word it gets but the names of voicemail systems is one of a short list.
type Meter interface {
	// Profile is how long a look-up took and how it ended: "found", "unknown" or "unavailable".
	Profile(result string, took time.Duration)
	// Step is a step that has ended, with its attempts.
	Step(call.StepRecord)
	// Over is how a call ended for us.
	Over(Ending)
}

// Ending is a call.Result, or one of the ways in which a call is none of ours.
type Ending string

// The endings beside the results of calls.
const (
	NotTaken  Ending = "not-taken"  // the caller or FreeSWITCH had gone before we said anything
	NotOurs   Ending = "not-ours"   // no account owns the number: handed back
	StoreDown Ending = "store-down" // no profile to be had: handed back
	Left      Ending = "left"       // FreeSWITCH goes on with the call without us: we were stopped, or lost the connection
)

type noMeter struct{}

func (noMeter) Profile(string, time.Duration) {}
func (noMeter) Step(call.StepRecord)          {}
func (noMeter) Over(Ending)                   {}
