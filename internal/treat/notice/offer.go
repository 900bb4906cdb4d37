package notice

import (
	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/call"
)

// DefaultDownPrompt is the special information tone of ITU-T E.180 (950, 1400 and 1800 Hz), twice. It needs no sound
// files; an operator puts a spoken announcement in its place.
const DefaultDownPrompt = "tone_stream://%(330,0,950);%(330,0,1400);%(330,1000,1800);loops=2"

// Settings are the operator's choices for announcements.
type Settings struct {
	DownPrompt      string // played when the voicemail system cannot be reached; DefaultDownPrompt when empty
	SuspendedPrompt string // played for a subscriber who is suspended; "" = none
}

// Down tells a caller that no voicemail system took the call.
func Down(s Settings) call.Step {
	prompt := s.DownPrompt
	if prompt == "" {
		prompt = DefaultDownPrompt
	}
	return call.Step{
		Kind: call.StepNotice, On: []call.Result{call.VoicemailDown, call.NotRecorded},
		Reason: call.Reason{Name: "voicemail-down", Sentence: "no target of the voicemail system took the call: the caller hears an announcement, not silence"},
		Notice: &call.Notice{Prompt: prompt},
	}
}

// Unserved ends a call at once whom nothing is left to be offered, for a reason.
func Unserved(reason call.Reason, s Settings) call.Step {
	step := call.Step{Kind: call.StepNotice, Reason: reason, Notice: &call.Notice{Cause: Cause(call.NoAnswer)}}
	if reason.Name == "suspended" {
		step.Notice.Prompt = s.SuspendedPrompt
	}
	return step
}

// Offer says how the call ends when everything before it failed.
func Offer(_ call.Arrival, p account.Profile, s Settings) []call.Step {
	if p.Account.State == account.Suspended {
		step := Unserved(call.Reason{Name: "suspended", Sentence: "the account is suspended: nothing is deposited, the mailbox stays"}, s)
		step.On = []call.Result{call.NoAnswer, call.Busy, call.NotRegistered, call.Unreachable, call.Declined}
		return []call.Step{step}
	}
	return []call.Step{
		Down(s),
		{
			Kind: call.StepNotice, On: []call.Result{call.Busy},
			Reason: call.Reason{Name: "busy", Sentence: "the subscriber is busy and has no voicemail for that: the caller's network is told so"},
			Notice: &call.Notice{Cause: Cause(call.Busy)},
		},
		{
			Kind: call.StepNotice, On: []call.Result{call.Declined},
			Reason: call.Reason{Name: "declined", Sentence: "the subscriber declined and has no voicemail for that: the caller's network is told so"},
			Notice: &call.Notice{Cause: Cause(call.Declined)},
		},
		{
			Kind: call.StepNotice, On: []call.Result{call.NoAnswer, call.NotRegistered, call.Unreachable, call.FromVoicemail},
			Reason: call.Reason{Name: "unavailable", Sentence: "the subscriber did not answer and has no voicemail for that: the caller's network is told so"},
			Notice: &call.Notice{Cause: Cause(call.NoAnswer)},
		},
	}
}

// Cause is FreeSWITCH's cause that tells the caller's network how the subscriber's phone ended: 486 for a busy one, 603
// for one that declined, 480 for one that did not answer or could not be reached.
func Cause(phone call.Result) string {
	switch phone {
	case call.Busy:
		return "USER_BUSY"
	case call.Declined:
		return "CALL_REJECTED"
	}
	return "NO_ANSWER"
}
