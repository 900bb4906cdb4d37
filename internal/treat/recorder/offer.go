package recorder

import (
	"time"

	"github.com/signalbox/signalbox/internal/call"
)

// Settings are the operator's choices for messages that are taken here.
type Settings struct {
	Enabled bool
	Prompt  string        // played before the tone; "" = the tone alone
	Longest time.Duration // of a message
}

// Offer takes the message that the mailbox step before it would have brought to a voicemail system.
func Offer(m call.Mailbox, s Settings) []call.Step {
	if !s.Enabled || m.Condition != call.Deposit {
		return nil
	}
	return []call.Step{{
		Kind: call.StepSpool, On: []call.Result{call.VoicemailDown},
		Reason: call.Reason{Name: "spool", Sentence: "no target of the voicemail system took the call: the message is taken here and delivered when it is up again"},
		Spool:  &call.Spool{Number: m.Number, Prompt: s.Prompt, Longest: s.Longest},
	}}
}
