package devices

import (
	"fmt"
	"time"

	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/call"
)

// DefaultNoAnswer is how long phones ring when the number has no timer of its own.
const DefaultNoAnswer = 20 * time.Second

// Offer says how the subscriber's phones are rung for this call.
func Offer(_ call.Arrival, p account.Profile) []call.Step {
	timeout := p.Timers.NoAnswer
	if timeout <= 0 {
		timeout = DefaultNoAnswer
	}
	sentence := fmt.Sprintf("the number belongs to %s, whose phone is rung for %s", p.Account.ID, timeout)
	switch n := len(p.Devices); {
	case n == 0:
		sentence = fmt.Sprintf("the number belongs to %s, who has no phone provisioned: counts as not registered", p.Account.ID)
	case n > 1:
		sentence = fmt.Sprintf("the number belongs to %s, whose %d phones are rung at once for %s", p.Account.ID, n, timeout)
	}
	return []call.Step{{
		Kind:   call.StepRing,
		Reason: call.Reason{Name: "subscriber", Sentence: sentence},
		Ring:   &call.Ring{Devices: p.Devices, Timeout: timeout},
	}}
}
