// Package treat decides, in one place, what happens to a call that arrived, and runs it.
//
// Plan is a pure function: the same arrival, profile, world and settings give the same ordered steps, each with its reason, so
// that `signalbox explain` prints for a call that is not placed exactly what the sidecar would do. Run executes a plan
// on the caller's leg, step after step, in the goroutine that owns the call; it never starts another.
//
// Treatments do not know each other. Their order is treatments below and nowhere else.
package treat

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/call"
	"github.com/signalbox/signalbox/internal/tel"
	"github.com/signalbox/signalbox/internal/treat/conference"
	"github.com/signalbox/signalbox/internal/treat/devices"
	"github.com/signalbox/signalbox/internal/treat/mailbox"
	"github.com/signalbox/signalbox/internal/treat/notice"
	"github.com/signalbox/signalbox/internal/treat/recorder"
)

// MaxDiversions is how often a call may have been diverted before it counts as a loop (RFC 5806 section 4.2 leaves the
// limit to the network; five is what carriers allow).
const MaxDiversions = 5

// Settings are the operator's choices, one block for each treatment.
type Settings struct {
	Conference conference.Settings
	Mailbox    mailbox.Settings
	Notice     notice.Settings
	Spool      recorder.Settings
}

// Defaults are the settings of an operator who set none.
func Defaults() Settings { return Settings{Mailbox: mailbox.Defaults()} }

// offers is THE order of the treatments. A treatment's steps run only after steps above them.
//
//  1. rules: what the subscriber wants for this caller, before any phone rings.
//  2. conference, when the subscriber is in his room or has sent the call on to us: his phones are not to ring, and those whom he knows
//     join by his own number.
//  3. devices: the subscriber's own phones come before every other treatment, which is for calls they did not take.
//  4. conference, for the unanswered calls that the subscriber wants it for.
//  5. mailbox: a caller whom nobody answered leaves a message.
//  6. spool: where no voicemail system is there, the message is taken here.
//  7. notice: last, so that no call ever ends in silence.
func offers(a call.Arrival, p account.Profile, w call.World, s Settings) ([]call.Step, *call.Access) {
	rule, ruled := ruleFor(a, p, w)
	switch {
	case ruled && rule.Do == account.RuleRefuse:
		return []call.Step{{
			Kind: call.StepRefuse, Refuse: &call.Refusal{Code: 603, Phrase: "Decline"},
			Reason: call.Reason{Name: "rule-refuse", Sentence: ruleText(rule) + ": refused"},
		}}, nil
	case ruled && rule.Do == account.RuleVoicemail:
		return atOnce(a, p, w, s, ruleText(rule)+": to voicemail at once"), nil
	}
	why, silent := unrung(a, p, w)
	access, offered := conference.Offer(a, p, w, s.Conference, why)
	if offered != nil && offered.Conference.Why != "" {
		return behind(*offered, notRung(a, p, w, s, offered.Conference.Why, "the caller is in no conference", call.NotJoined)), access
	}
	if silent != "" {
		return notRung(a, p, w, s, why, silent), access
	}
	steps := devices.Offer(a, p)
	if ruled {
		steps[0].Reason.Sentence += "; " + ruleText(rule)
	}
	voicemail := withSpool(mailbox.Offer(a, p, w, s.Mailbox, ""), s)
	if offered != nil {
		voicemail = behind(*offered, voicemail)
	}
	steps = append(steps, voicemail...)
	steps = append(steps, notice.Offer(a, p, s.Notice)...)
	if why := mailbox.Withheld(p, w); why == "from-voicemail" {
		steps[0].Reason.Sentence += "; the call comes from voicemail system " + w.FromVoicemail + ", so it never goes to voicemail"
	}
	return steps, access
}

// behind puts steps behind a conference, which offers a message when one of them takes it.
func behind(conference call.Step, steps []call.Step) []call.Step {
	conference.Conference.NoMessages = !slices.ContainsFunc(steps, func(s call.Step) bool { return s.Kind == call.StepMailbox })
	return append([]call.Step{conference}, steps...)
}

// unrung says why no phone of the subscriber is to ring for a call to his conference, as the reason of an unanswered call; "" = his phones
// decide. silent is the reason in words when they do not ring for anybody else either.
func unrung(a call.Arrival, p account.Profile, w call.World) (why tel.Why, silent string) {
	switch f := w.Forwarded; {
	case conference.Busy(p, w):
		return tel.Busy, "the subscriber is in a call"
	case f != nil && (f.Why == tel.Unreachable || f.Why == tel.NotRegistered):
		return "", "" // other phones of his may be there: that is what they are for
	case f != nil && a.Access != "":
		return cmp.Or(f.Why, tel.NoAnswer), "the subscriber's own phone has sent the call on"
	case f != nil:
		return cmp.Or(f.Why, tel.NoAnswer), ""
	}
	return "", ""
}

// notRung is what happens to a caller for whom no phone rings: voicemail where the subscriber has it for that, else the end. after are
// the results of the step before.
func notRung(a call.Arrival, p account.Profile, w call.World, s Settings, why tel.Why, sentence string, after ...call.Result) []call.Step {
	var steps []call.Step
	if p.Voicemail != nil && (why == tel.Unconditional || p.Voicemail.Conditions.Takes(why)) {
		steps = withSpool(mailbox.Offer(a, p, w, s.Mailbox, why), s)
	}
	reason := call.Reason{Name: cmp.Or(mailbox.Withheld(p, w), string(why)), Sentence: sentence + ", and there is no voicemail for that: the caller's network is told so"}
	if len(steps) == 0 {
		end := notice.Unserved(reason, s.Notice)
		end.Notice.Cause, end.On = notice.Cause(call.Result(why)), after
		return []call.Step{end}
	}
	steps[0].On = after
	steps[0].Reason.Sentence = sentence + "; " + steps[0].Reason.Sentence
	loop := notice.Unserved(call.Reason{Name: "from-voicemail", Sentence: "the voicemail system itself has placed the call"}, s.Notice)
	loop.On = []call.Result{call.FromVoicemail}
	return append(steps, notice.Down(s.Notice), loop)
}

// withSpool puts behind a mailbox step what takes the message when no system does.
func withSpool(steps []call.Step, s Settings) []call.Step {
	if len(steps) == 0 {
		return nil
	}
	return append(steps, recorder.Offer(*steps[0].Mailbox, s.Spool)...)
}

// atOnce is voicemail without any ringing, and where there is none, the end of the call.
func atOnce(a call.Arrival, p account.Profile, w call.World, s Settings, sentence string) []call.Step {
	steps := withSpool(mailbox.Offer(a, p, w, s.Mailbox, tel.Unconditional), s)
	if len(steps) == 0 {
		why := mailbox.Withheld(p, w)
		return []call.Step{notice.Unserved(call.Reason{Name: why, Sentence: sentence + ", which there is none of: " + why}, s.Notice)}
	}
	steps[0].Reason.Sentence = sentence + "; " + steps[0].Reason.Sentence
	loop := notice.Unserved(call.Reason{Name: "from-voicemail", Sentence: "the voicemail system itself has placed the call"}, s.Notice)
	loop.On = []call.Result{call.FromVoicemail}
	return append(steps, notice.Down(s.Notice), loop)
}

// Plan decides what happens to a call. p is nil when no account owns the number.
func Plan(a call.Arrival, p *account.Profile, w call.World, s Settings) call.Plan {
	if r := w.Retrieves; r != nil && (p == nil || a.PilotsOnly) {
		plan := call.Plan{Number: a.To, Steps: append(mailbox.OfferRetrieval(a, *r, w, s.Mailbox), notice.Down(s.Notice))}
		if r.Line != nil {
			plan.Number, plan.Account, plan.Version = r.Line.Number, r.Line.Account.ID, r.Line.Version
		}
		return plan
	}
	if a.PilotsOnly {
		return call.Plan{Number: a.To, Steps: []call.Step{{
			Kind:   call.StepHandBack,
			Reason: call.Reason{Name: "no-pilot", Sentence: "the phone dialled no pilot: the operator's own dialplan has the call, untouched"},
		}}}
	}
	if p == nil && a.Access != "" {
		return call.Plan{Number: a.To, Steps: []call.Step{{
			Kind: call.StepRefuse, Refuse: &call.Refusal{Code: 404, Phrase: "Not Found"},
			Reason: call.Reason{Name: "no-host", Sentence: "the call came to an access number, and nothing in it says for whom"},
		}}}
	}
	if p == nil {
		return call.Plan{Number: a.To, Steps: []call.Step{{
			Kind:   call.StepHandBack,
			Reason: call.Reason{Name: "not-ours", Sentence: "no account owns the number: the operator's own dialplan has the call, untouched"},
		}}}
	}
	plan := call.Plan{Number: p.Number, Account: p.Account.ID, Tenant: p.Account.Tenant, Version: p.Version}
	if sentence := loop(a, *p, w); sentence != "" {
		plan.Steps = []call.Step{{
			Kind:   call.StepRefuse,
			Reason: call.Reason{Name: "loop", Sentence: sentence},
			Refuse: &call.Refusal{Code: 482, Phrase: "Loop Detected"},
		}}
		return plan
	}
	plan.Forwarded = w.Forwarded
	plan.Steps, plan.Access = offers(a, *p, w, s)
	return plan
}

// loop says why a call is going in circles, or nothing.
func loop(a call.Arrival, p account.Profile, w call.World) string {
	if a.Returned || w.Room != nil && w.Room.Calling && callsBack(a, p) {
		return "it is our own call to the host of a conference, come back"
	}
	if n := tel.Diverted(a.Diversions); n > MaxDiversions {
		return fmt.Sprintf("the call was diverted %d times, more than %d: it goes in circles", n, MaxDiversions)
	}
	ours := 0
	for _, d := range a.Diversions {
		if d.Number == p.Number {
			ours++
		}
	}
	if ours >= 2 {
		return fmt.Sprintf("our own number has diverted this call %d times already: it goes in circles", ours)
	}
	return ""
}

// callsBack reports whether a call looks as ours to a host do once his network has sent them on: it shows his own number as its caller, and
// was diverted by the number that we call.
func callsBack(a call.Arrival, p account.Profile) bool {
	return a.From.Number == p.Number && slices.ContainsFunc(a.Diversions, func(d tel.Diversion) bool {
		return d.Number == p.Number || p.Conference != nil && p.Conference.ForwardDial != "" && d.Number == p.Conference.ForwardDial
	})
}
