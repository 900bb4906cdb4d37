// Package treat decides, in one place, what happens to a call that arrived, and runs it.
//
// Plan is a pure function: the same arrival, profile and settings give the same ordered steps, each with its reason, so
// that `signalbox explain` prints for a call that is not placed exactly what the sidecar would do. Run executes a plan
// on the caller's leg, step after step, in the goroutine that owns the call; it never starts another.
//
// Treatments do not know each other. Their order is treatments below and nowhere else.
package treat

import (
	"fmt"

	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/call"
	"github.com/signalbox/signalbox/internal/tel"
	"github.com/signalbox/signalbox/internal/treat/devices"
	"github.com/signalbox/signalbox/internal/treat/mailbox"
	"github.com/signalbox/signalbox/internal/treat/notice"
)

// MaxDiversions is how often a call may have been diverted before it counts as a loop (RFC 5806 section 4.2 leaves the
// limit to the network; five is what carriers allow).
const MaxDiversions = 5

// Settings are the operator's choices, one block for each treatment.
type Settings struct {
	Mailbox mailbox.Settings
	Notice  notice.Settings
}

// Defaults are the settings of an operator who set none.
func Defaults() Settings { return Settings{Mailbox: mailbox.Defaults()} }

// offers is THE order of the treatments. A treatment's steps run only after steps above them.
//
//  1. devices: the subscriber's own phones come first; every other treatment is for calls they did not take.
//  2. mailbox: a caller whom nobody answered leaves a message.
//  3. notice: last, so that no call ever ends in silence.
func offers(a call.Arrival, p account.Profile, s Settings) []call.Step {
	var steps []call.Step
	steps = append(steps, devices.Offer(a, p)...)
	steps = append(steps, mailbox.Offer(a, p, s.Mailbox)...)
	steps = append(steps, notice.Offer(a, p, s.Notice)...)
	return steps
}

// Plan decides what happens to a call. p is nil when no account owns the number.
func Plan(a call.Arrival, p *account.Profile, s Settings) call.Plan {
	if p == nil {
		return call.Plan{Number: a.To, Steps: []call.Step{{
			Kind:   call.StepHandBack,
			Reason: call.Reason{Name: "not-ours", Sentence: "no account owns the number: the operator's own dialplan has the call, untouched"},
		}}}
	}
	plan := call.Plan{Number: p.Number, Account: p.Account.ID, Version: p.Version}
	if sentence := loop(a, p.Number); sentence != "" {
		plan.Steps = []call.Step{{
			Kind:   call.StepRefuse,
			Reason: call.Reason{Name: "loop", Sentence: sentence},
			Refuse: &call.Refusal{Code: 482, Phrase: "Loop Detected"},
		}}
		return plan
	}
	plan.Steps = offers(a, *p, s)
	return plan
}

// loop says why a call is going in circles, or nothing.
func loop(a call.Arrival, number tel.Number) string {
	if n := tel.Diverted(a.Diversions); n > MaxDiversions {
		return fmt.Sprintf("the call was diverted %d times, more than %d: it goes in circles", n, MaxDiversions)
	}
	ours := 0
	for _, d := range a.Diversions {
		if d.Number == number {
			ours++
		}
	}
	if ours >= 2 {
		return fmt.Sprintf("our own number has diverted this call %d times already: it goes in circles", ours)
	}
	return ""
}
