package mailbox

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/call"
	"github.com/signalbox/signalbox/internal/tel"
)

// DefaultCode is the short code by which a line calls its own voicemail.
const DefaultCode = "*86"

// Settings are the operator's choices for all mailboxes.
type Settings struct {
	ProgressTimeout time.Duration // a target without any ringing for so long is dead; 4 s by default
	AnswerTimeout   time.Duration // a target that rings but does not answer for so long has failed; 20 s by default
	TotalTimeout    time.Duration // all targets of all systems together, name look-ups included; 30 s by default
	LookupTimeout   time.Duration // looking up one system's name; 2 s by default
	Domain          string        // host part of the URIs in which we name our subscribers
	Codes           []string      // short codes by which a line calls its own voicemail, whatever its pilot; DefaultCode by default
}

// Defaults are the settings of an operator who set none.
func Defaults() Settings {
	return Settings{
		ProgressTimeout: 4 * time.Second, AnswerTimeout: 20 * time.Second, TotalTimeout: 30 * time.Second, LookupTimeout: 2 * time.Second,
		Domain: "localhost", Codes: []string{DefaultCode},
	}
}

// Offer says for which results of the phones this call goes to voicemail, and where. why is set when no phone is rung at all:
// then it goes there at once.
func Offer(a call.Arrival, p account.Profile, w call.World, s Settings, why tel.Why) []call.Step {
	if Withheld(p, w) != "" {
		return nil
	}
	on := accepted(p.Voicemail.Conditions)
	if why != "" {
		on = nil
	} else if len(on) == 0 {
		return nil
	}
	owner, sentence := owner(p, w)
	systems := owner.Route().In(a.At, w.Draw)
	systems = slices.DeleteFunc(systems, func(v account.VoicemailSystem) bool {
		return v.Drain || owner.Voicemail.Class == account.Visual && !v.Visual
	})
	m := step(s, call.Deposit, owner.Voicemail.Pilot, systems)
	m.Number, m.Mailbox, m.Why = owner.Number, name(owner), why
	return []call.Step{{
		Kind: call.StepMailbox, On: on, Mailbox: &m,
		Reason: call.Reason{Name: "mailbox", Sentence: sentence + ", which is " + systemNames(systems)},
	}}
}

// Withheld says why nothing of this call may be deposited, as the name of a reason; "" when it may.
func Withheld(p account.Profile, w call.World) string {
	switch {
	case p.Account.State == account.Suspended:
		return "suspended"
	case p.Voicemail == nil:
		return "not-provisioned"
	case w.FromVoicemail != "":
		return "from-voicemail"
	}
	return ""
}

// owner is the subscriber in whose mailbox the message belongs: the one who was not reached last, or, when his number says so, the
// one whom the caller dialled first.
func owner(p account.Profile, w call.World) (account.Profile, string) {
	first := w.First
	if !p.Voicemail.FirstDiverter || first == nil || first.Number == p.Number || first.Account.Tenant != p.Account.Tenant || Withheld(*first, w) != "" {
		return p, "voicemail is provisioned with pilot " + p.Voicemail.Pilot
	}
	return *first, fmt.Sprintf("the call was diverted and belongs in the mailbox of %s, whom it was placed to first, with pilot %s", first.Number, first.Voicemail.Pilot)
}

// Retrieves reports whether a caller dialled a pilot, and from whose line. line is the line that the switch authenticated, nil when
// it did not; pilot is the row of what was dialled, nil when there is none.
func Retrieves(dialled string, line *account.Profile, pilot *account.Route, s Settings) *call.Retrieves {
	if line != nil && line.Voicemail != nil && (slices.Contains(s.Codes, dialled) || pilot != nil && pilot.Pilot == line.Voicemail.Pilot) {
		return &call.Retrieves{Route: line.Route(), Line: line}
	}
	if pilot == nil {
		return nil
	}
	return &call.Retrieves{Route: *pilot}
}

// OfferRetrieval connects a caller who dialled a pilot to the system that has his messages: the one that said so last, else the one
// that new messages go to, else one that is drained.
func OfferRetrieval(a call.Arrival, r call.Retrieves, w call.World, s Settings) []call.Step {
	systems := r.Route.In(a.At, w.Draw)
	place := func(v account.VoicemailSystem) int {
		switch {
		case slices.Contains(w.Waiting, v.FQDN):
			return 0
		case v.Drain:
			return 2
		}
		return 1
	}
	slices.SortStableFunc(systems, func(x, y account.VoicemailSystem) int { return place(x) - place(y) })
	reason := call.Reason{Name: "retrieval-foreign", Sentence: fmt.Sprintf("pilot %s was dialled from a line that is not its subscriber's: the system, which is %s, asks for mailbox and PIN",
		r.Route.Pilot, systemNames(systems))}
	m := step(s, call.Retrieval, r.Route.Pilot, systems)
	if r.Line != nil {
		systems = slices.DeleteFunc(systems, func(v account.VoicemailSystem) bool { return r.Line.Voicemail.Class == account.Visual && !v.Visual })
		m.Systems, m.Number, m.Mailbox = systems, r.Line.Number, name(*r.Line)
		reason = call.Reason{Name: "retrieval", Sentence: fmt.Sprintf("%s dialled its own voicemail: pilot %s, which is %s",
			r.Line.Number, r.Route.Pilot, systemNames(systems))}
	}
	return []call.Step{{Kind: call.StepMailbox, Reason: reason, Mailbox: &m}}
}

func step(s Settings, c call.Condition, pilot string, systems []account.VoicemailSystem) call.Mailbox {
	return call.Mailbox{
		Condition: c, Pilot: pilot, Systems: systems,
		ProgressTimeout: s.ProgressTimeout, AnswerTimeout: s.AnswerTimeout, TotalTimeout: s.TotalTimeout,
	}
}

// name is the mailbox's name at the voicemail system.
func name(p account.Profile) string {
	if p.Voicemail.Mailbox != "" {
		return p.Voicemail.Mailbox
	}
	return string(p.Number)
}

func systemNames(systems []account.VoicemailSystem) string {
	if len(systems) == 0 {
		return "no system at this time"
	}
	names := make([]string, len(systems))
	for i, system := range systems {
		names[i] = system.FQDN
	}
	return strings.Join(names, ", then ")
}

func accepted(c account.Conditions) []call.Result {
	var on []call.Result
	for _, condition := range []struct {
		enabled bool
		result  call.Result
	}{
		{c.NoAnswer, call.NoAnswer},
		{c.Busy, call.Busy},
		{c.NotRegistered, call.NotRegistered},
		{c.Unreachable, call.Unreachable},
		{c.Declined, call.Declined},
	} {
		if condition.enabled {
			on = append(on, condition.result)
		}
	}
	return on
}
