// Package screen judges a caller before any media exists: is the presented number one that can be, and is it wanted?
//
// Judge is a pure function of the caller's facts and the operator's rules; it names every observation with its weight
// and a sentence. The zero Verdict means not screened, and a caller who withheld his number is not thereby suspect.
// Everything here is a value, safe for concurrent use.
package screen

import (
	"fmt"
	"slices"
	"strings"

	"github.com/nyaruka/phonenumbers"

	"github.com/signalbox/signalbox/internal/call"
	"github.com/signalbox/signalbox/internal/tel"
)

// Model names the rules that spoke, in verdicts.
const Model = "rules-1"

// Mode says what a verdict on a trunk's calls may do.
type Mode string

// The modes of a trunk. Observe first, then enforce.
const (
	Observe Mode = "observe" // judge and record, never refuse
	Enforce Mode = "enforce"
)

// Caller is what is known of a caller when his INVITE arrives.
type Caller struct {
	From   tel.Identity
	Called tel.Number
	Mode   Mode
}

// Rules are the operator's.
type Rules struct {
	Deny []Denied
}

// Denied is one entry of the deny list.
type Denied struct {
	Number tel.Number // one number, or
	Prefix string     // the beginning of numbers, with plus
	Reason string     // for people; may be empty
}

// The names of reasons. A refusal's answer is chosen by the first of them that applies.
const (
	ReasonImpossible = "impossible-number"
	ReasonUnassigned = "unassigned-range"
	ReasonDenied     = "deny-list"
	ReasonOwnNumber  = "own-number"
	ReasonWithheld   = "withheld"
	ReasonNoNumber   = "not-a-number"
	ReasonPossible   = "possible-number"
)

// Judge gives the verdict on a caller, reasons strongest first.
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
	sure := false
	for _, r := range v.Reasons {
		v.Likelihood += (1 - v.Likelihood) * max(r.Weight, 0)
		sure = sure || r.Name == ReasonImpossible || r.Name == ReasonDenied
	}
	if sure && c.Mode == Enforce {
		v.Action = call.Refuse
	}
	return v
}

func observe(c Caller, rules Rules) []call.Reason {
	if c.From.Withheld {
		return []call.Reason{{Name: ReasonWithheld, Sentence: "the caller withheld his number, which is his right"}}
	}
	var reasons []call.Reason
	number := c.From.Number
	if number == "" {
		if !looksLikeNumber(c.From.User) {
			return []call.Reason{{Name: ReasonNoNumber, Weight: 0.1, Sentence: "the caller presents a name, not a number"}}
		}
		reasons = append(reasons, call.Reason{Name: ReasonImpossible, Weight: 0.9,
			Sentence: fmt.Sprintf("%s cannot be dialled in any country", shown(c.From.User))})
		return append(reasons, denied(tel.Number(canonical(c.From.User)), rules)...)
	}
	reasons = append(reasons, denied(number, rules)...)
	if number == c.Called {
		reasons = append(reasons, call.Reason{Name: ReasonOwnNumber, Weight: 0.6, Sentence: "the caller presents the number he calls"})
	}
	switch parsed, err := phonenumbers.Parse(string(number), "ZZ"); {
	case err != nil || phonenumbers.IsPossibleNumberWithReason(parsed) != phonenumbers.IS_POSSIBLE && phonenumbers.IsPossibleNumberWithReason(parsed) != phonenumbers.IS_POSSIBLE_LOCAL_ONLY:
		reasons = append(reasons, call.Reason{Name: ReasonImpossible, Weight: 0.9, Sentence: impossible(number, parsed, err)})
	case nonsenseNANP(string(number)):
		reasons = append(reasons, call.Reason{Name: ReasonImpossible, Weight: 0.9,
			Sentence: fmt.Sprintf("%s breaks the North American plan: area code and exchange begin with 2 to 9", number)})
	case !phonenumbers.IsValidNumber(parsed):
		reasons = append(reasons, call.Reason{Name: ReasonUnassigned, Weight: 0.4,
			Sentence: fmt.Sprintf("%s has a possible length but lies in no range that its country has given out", number)})
	default:
		reasons = append(reasons, call.Reason{Name: ReasonPossible, Sentence: fmt.Sprintf("%s is a number that can be", number)})
	}
	return reasons
}

// denied looks a number up in the deny list.
func denied(number tel.Number, rules Rules) []call.Reason {
	for _, d := range rules.Deny {
		hit := d.Number != "" && d.Number == number || d.Prefix != "" && strings.HasPrefix(string(number), d.Prefix)
		if !hit {
			continue
		}
		sentence := "the number is on the deny list"
		if d.Reason != "" {
			sentence += ": " + d.Reason
		}
		return []call.Reason{{Name: ReasonDenied, Weight: 1, Sentence: sentence}}
	}
	return nil
}

// nonsenseNANP reports whether a +1 number has an area code or an exchange that begins with 0 or 1.
func nonsenseNANP(number string) bool {
	return len(number) == 12 && strings.HasPrefix(number, "+1") && (number[2] < '2' || number[5] < '2')
}

func impossible(number tel.Number, parsed *phonenumbers.PhoneNumber, err error) string {
	if err != nil {
		return fmt.Sprintf("%s begins with no country code", number)
	}
	switch phonenumbers.IsPossibleNumberWithReason(parsed) {
	case phonenumbers.TOO_SHORT:
		return fmt.Sprintf("%s is too short for its country", number)
	case phonenumbers.TOO_LONG:
		return fmt.Sprintf("%s is too long for its country", number)
	case phonenumbers.INVALID_COUNTRY_CODE:
		return fmt.Sprintf("%s begins with a country code that does not exist", number)
	}
	return fmt.Sprintf("%s has a length that its country does not use", number)
}

// looksLikeNumber reports whether the presented user is meant as a number: a plus or digits, at least five.
func looksLikeNumber(user string) bool {
	c := canonical(user)
	return len(c) >= 6
}

// canonical keeps a plus and digits when there is nothing else but separators; "" otherwise.
func canonical(user string) string {
	user, _, _ = strings.Cut(user, ";")
	var b strings.Builder
	b.WriteByte('+')
	for i, r := range user {
		switch {
		case r >= '0' && r <= '9':
			b.WriteRune(r)
		case r == '+' && i == 0, strings.ContainsRune(" -.()", r):
		default:
			return ""
		}
	}
	return b.String()
}

// shown is hostile text for a sentence: short and printable.
func shown(s string) string {
	if len(s) > 40 {
		s = s[:40] + "..."
	}
	return fmt.Sprintf("%q", s)
}
