// Package screen judges a caller before any media exists: is the presented number one that can be, and is it wanted?
//
// Judge is a pure function of the caller's facts and the operator's rules; it names every observation with its weight
// and a sentence. The zero Verdict means not screened, and a caller who withheld his number is not thereby suspect.
// A trunk is first observed, when nothing is refused and the reasons are on record, and only then enforced. Everything here is
// a value, safe for concurrent use as long as nobody changes the rules after handing them on.
package screen

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/signalbox/signalbox/internal/call"
	"github.com/signalbox/signalbox/internal/tel"
)

// Model names the rules that spoke, in verdicts.
const Model = "rules-1"

// Mode says what a verdict on a trunk's calls may do.
type Mode string

// The modes of a trunk. Observe first, then enforce. Any other mode counts as Observe.
const (
	Observe Mode = "observe" // judge and record, never refuse
	Enforce Mode = "enforce"
)

// Caller is what is known of a caller when his INVITE arrives.
type Caller struct {
	From     tel.Identity   // the one that will be shown
	Others   []tel.Identity // further ones in the INVITE; only the deny list looks at them
	Unread   string         // name of an identity header that is there but could not be read; "" = none
	Verstat  string         // what a trusted trunk says of its own verification: VerstatPassed, VerstatFailed; "" = nothing
	Called   tel.Number
	Diverted bool // somebody sent the call on before it came to us
	Mode     Mode
}

// Rules are the operator's. The zero value refuses nothing but impossible numbers.
type Rules struct {
	// Deny is looked through from top to bottom and the first hit counts. The look-up is linear: about 0.1 ms for
	// 10,000 entries.
	Deny []Denied
	// RefuseUnassigned refuses numbers of a range that no plan has given out. Tables of plans lag behind the plans: a new
	// range counts as unassigned until the product is updated.
	RefuseUnassigned bool
	// RefuseOwnNumber refuses callers from outside who present the number they call, unless the call was diverted.
	// Right where nobody reaches his own voicemail through this trunk.
	RefuseOwnNumber bool
}

// Denied is one entry of the deny list: Number or Prefix.
type Denied struct {
	Number tel.Number // one number; one that cannot exist is compared digit by digit
	Prefix string     // the beginning of numbers with their country code; a plus in front may be left out
	Reason string     // for people; may be empty
	// DoNotOriginate says that the number's owner never calls from it (an inbound-only line). That is a fact and not
	// a judgement, so the refusal must not be marked as blocked by analytics (ATIS-1000099).
	DoNotOriginate bool
}

// What a trunk that verifies callers says of one, in the parameter verstat (3GPP TS 24.229 section 7.2A.20).
const (
	VerstatPassed = "TN-Validation-Passed"
	VerstatFailed = "TN-Validation-Failed"
)

// The names of reasons.
const (
	ReasonVerstatFailed  = "verstat-failed"
	ReasonVerstatPassed  = "verstat-passed"
	ReasonImpossible     = "impossible-number"
	ReasonUnassigned     = "unassigned-range"
	ReasonDenied         = "deny-list"
	ReasonDoNotOriginate = "do-not-originate"
	ReasonOwnNumber      = "own-number"
	ReasonIncomplete     = "incomplete-number"
	ReasonMalformed      = "malformed-identity"
	ReasonWithheld       = "withheld"
	ReasonNoNumber       = "not-a-number"
	ReasonPossible       = "possible-number"
)

// Judge gives the verdict on a caller, reasons strongest first. The likelihoods of the reasons are joined as if they were
// independent. Only Enforce can give the action Refuse.
func Judge(c Caller, rules Rules) call.Verdict {
	v := call.Verdict{Model: Model, Reasons: observe(c, rules)}
	slices.SortStableFunc(v.Reasons, func(a, b call.Reason) int {
		switch {
		case a.Weight > b.Weight:
			return -1
		case a.Weight < b.Weight:
			return 1
		}
		return 0
	})
	refusable := false
	for _, r := range v.Reasons {
		v.Likelihood += (1 - v.Likelihood) * min(max(r.Weight, 0), 1)
		refusable = refusable || refuses(r.Name, c, rules)
	}
	if refusable && c.Mode == Enforce {
		v.Action = call.Refuse
	}
	return v
}

// refuses reports whether a reason alone is enough to refuse a call.
func refuses(reason string, c Caller, rules Rules) bool {
	switch reason {
	case ReasonImpossible, ReasonDenied, ReasonDoNotOriginate:
		return true
	case ReasonUnassigned:
		return rules.RefuseUnassigned
	case ReasonOwnNumber:
		return rules.RefuseOwnNumber && !c.Diverted
	}
	return false
}

func observe(c Caller, rules Rules) []call.Reason {
	reasons := denied(c, rules)
	if c.Unread != "" {
		reasons = append(reasons, call.Reason{Name: ReasonMalformed, Weight: 0.5,
			Sentence: c.Unread + " cannot be read, and the phone may show something else than what was judged"})
	}
	if c.From.Withheld {
		// The network may know the number all the same; only the deny list may use it.
		return append(reasons, call.Reason{Name: ReasonWithheld, Sentence: "the caller withheld the number, which is a caller's right"})
	}
	switch c.Verstat {
	case VerstatFailed:
		reasons = append(reasons, call.Reason{Name: ReasonVerstatFailed, Weight: 0.9, Sentence: "the trunk has verified the caller's number, and it failed"})
	case VerstatPassed:
		reasons = append(reasons, call.Reason{Name: ReasonVerstatPassed, Sentence: "the trunk has verified the caller's number, and it passed"})
	}
	number := c.From.Number
	if number == "" {
		return append(reasons, withoutNumber(c.From.User))
	}
	if number == c.Called {
		own := call.Reason{Name: ReasonOwnNumber, Weight: 0.6, Sentence: "the caller presents the number that is called"}
		if c.Diverted {
			own.Weight, own.Sentence = 0.1, "the caller presents the number that is called, which a diversion explains"
		}
		reasons = append(reasons, own)
	}
	return append(reasons, plan(number))
}

// withoutNumber judges a caller who presents something that could not be read as a number.
func withoutNumber(user string) call.Reason {
	_, err := tel.ParseNumber(user, "")
	digits := tel.Digits(user)
	switch {
	case errors.Is(err, tel.ErrImpossible):
		return call.Reason{Name: ReasonImpossible, Weight: 0.9, Sentence: shown(user) + " has the form of an international number, but a length or a beginning that none has"}
	case len(digits) >= 8:
		return call.Reason{Name: ReasonImpossible, Weight: 0.9, Sentence: shown(user) + " can be dialled neither here nor from abroad"}
	case len(digits) >= 5:
		return call.Reason{Name: ReasonIncomplete, Weight: 0.2, Sentence: shown(user) + " lacks an area code"}
	}
	return call.Reason{Name: ReasonNoNumber, Weight: 0.1, Sentence: "the caller presents a name or an extension, not a number"}
}

// plan judges a number by the plan of its country.
func plan(number tel.Number) call.Reason {
	if why := number.BreaksNANP(); why != "" {
		return call.Reason{Name: ReasonImpossible, Weight: 0.9, Sentence: fmt.Sprintf("%s breaks the North American plan: %s", number, why)}
	}
	switch {
	case number.CountryCode() == 0:
		return call.Reason{Name: ReasonImpossible, Weight: 0.9, Sentence: fmt.Sprintf("%s begins with a country code that does not exist", number)}
	case !number.Possible():
		return call.Reason{Name: ReasonImpossible, Weight: 0.9, Sentence: fmt.Sprintf("%s has a length that no number of country code %d has", number, number.CountryCode())}
	case !number.Valid():
		return call.Reason{Name: ReasonUnassigned, Weight: 0.4, Sentence: fmt.Sprintf("%s has a possible length, but lies in no range that its country has given out", number)}
	}
	return call.Reason{Name: ReasonPossible, Sentence: fmt.Sprintf("%s is a number that can be", number)}
}

// denied looks a caller up in the deny list, by every number in the INVITE.
func denied(c Caller, rules Rules) []call.Reason {
	for i, id := range append([]tel.Identity{c.From}, c.Others...) {
		d, ok := find(id, rules.Deny)
		if !ok {
			continue
		}
		r := call.Reason{Name: ReasonDenied, Weight: 1, Sentence: "the number is on the deny list"}
		if i > 0 {
			r.Sentence = "another number in the INVITE is on the deny list"
		}
		if d.DoNotOriginate {
			r = call.Reason{Name: ReasonDoNotOriginate, Weight: 1, Sentence: "nobody calls from this number, its owner says"}
		}
		if d.Reason != "" {
			r.Sentence += ": " + d.Reason
		}
		return []call.Reason{r}
	}
	return nil
}

func find(id tel.Identity, list []Denied) (Denied, bool) {
	digits := strings.TrimPrefix(string(id.Number), "+")
	if digits == "" {
		digits = tel.Digits(id.User)
	}
	for _, d := range list {
		if d.hits(digits) {
			return d, true
		}
	}
	return Denied{}, false
}

func (d Denied) hits(digits string) bool {
	if digits == "" {
		return false
	}
	number, prefix := strings.TrimPrefix(string(d.Number), "+"), strings.TrimPrefix(d.Prefix, "+")
	return number != "" && number == digits || prefix != "" && strings.HasPrefix(digits, prefix)
}

// shown is hostile text for a sentence: short and printable.
func shown(s string) string {
	if len(s) > 40 {
		s = s[:40] + "..."
	}
	return fmt.Sprintf("%+q", s)
}
