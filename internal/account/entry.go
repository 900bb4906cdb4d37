package account

import (
	"slices"
	"strings"
	"time"

	"github.com/signalbox/signalbox/internal/tel"
)

// Services are the messaging services that an account may have beside voicemail.
var Services = []string{"sms", "mms", "rcs", "fax"}

var evidences = []Evidence{EvidenceTarget, EvidenceDiversion, EvidenceHistory, EvidenceMailbox}

const maxList = 16 // entries of a list inside a voicemail system

func (a AccountEntry) normalize(at string, bad *Invalid) AccountEntry {
	if !validKey(a.ID) {
		bad.add("%s.id: %.80q is not 1 to 64 characters of A-Z a-z 0-9 . _ -", at, a.ID)
	}
	if !plainText(a.Name) {
		bad.add("%s.name: more than %d bytes, or control characters", at, maxFreeText)
	}
	if a.State == "active" {
		a.State = Active
	}
	if a.State != Active && a.State != Suspended {
		bad.add("%s.state: %.80q is neither active nor suspended", at, a.State)
	}
	if a.Language != "" && (len(a.Language) > 35 || !only(a.Language, "-")) {
		bad.add("%s.language: %.80q is no language tag such as en-GB", at, a.Language)
	}
	if a.TimeZone == "Local" || len(a.TimeZone) > 64 {
		bad.add("%s.timezone: %.80q is no time zone such as Europe/Rome", at, a.TimeZone)
	} else if _, err := time.LoadLocation(a.TimeZone); err != nil {
		bad.add("%s.timezone: %.80q is no time zone such as Europe/Rome", at, a.TimeZone)
	}
	services := slices.Clone(a.Services)
	slices.Sort(services)
	a.Services = slices.Compact(services)
	for _, s := range a.Services {
		if !slices.Contains(Services, s) {
			bad.add("%s.services: %.80q is none of %s; voicemail is provisioned at the number", at, s, strings.Join(Services, ", "))
		}
	}
	return a
}

func (c ContactEntry) normalize(at string, bad *Invalid) ContactEntry {
	if !validKey(c.Account) {
		bad.add("%s.account: %.80q is no account id", at, c.Account)
	}
	if !validKey(c.ID) {
		bad.add("%s.id: %.80q is not 1 to 64 characters of A-Z a-z 0-9 . _ -", at, c.ID)
	}
	if !plainText(c.Name) || !plainText(c.Label) {
		bad.add("%s: name and label have at most %d bytes and no control characters", at, maxFreeText)
	}
	if len(c.Numbers) > MaxContactNumbers {
		bad.add("%s.numbers: %d numbers, at most %d of one contact", at, len(c.Numbers), MaxContactNumbers)
		c.Numbers = c.Numbers[:MaxContactNumbers]
	}
	numbers := make([]string, 0, len(c.Numbers)) // a list also when it is empty
	for i, raw := range c.Numbers {
		number, err := tel.ParseNumber(raw, "")
		if err != nil {
			bad.add("%s.numbers[%d]: %.80q is no telephone number in E.164, such as +14155550100", at, i, raw)
			continue
		}
		if !slices.Contains(numbers, string(number)) {
			numbers = append(numbers, string(number))
		}
	}
	c.Numbers = numbers
	if c.MayJoin != MayJoinInherit && c.MayJoin != MayJoinYes && c.MayJoin != MayJoinNo {
		bad.add("%s.may_join: %.80q is neither yes nor no; none = as the account says", at, c.MayJoin)
	}
	if c.Source == "" {
		c.Source = "manual"
	}
	if c.Source != "manual" && c.Source != "import" && c.Source != "sync" {
		bad.add("%s.source: %.80q is none of manual, import and sync", at, c.Source)
	}
	if c.Clip != "" && !ValidClip(c.Clip) {
		bad.add("%s.clip: %.80q is no file name of 1 to 64 characters of A-Z a-z 0-9 . _ -, without a folder", at, c.Clip)
	}
	return c
}

func (r RuleEntry) normalize(at string, bad *Invalid) RuleEntry {
	if !validKey(r.Account) {
		bad.add("%s.account: %.80q is no account id", at, r.Account)
	}
	if !validKey(r.ID) {
		bad.add("%s.id: %.80q is not 1 to 64 characters of A-Z a-z 0-9 . _ -", at, r.ID)
	}
	if r.For != "" {
		number, err := tel.ParseNumber(r.For, "")
		if err != nil {
			bad.add("%s.for: %.80q is no telephone number in E.164, such as +14155550100", at, r.For)
		}
		r.For = string(number)
	}
	switch r.Callers {
	case CallersAll, CallersWithheld, CallersContacts, CallersOthers:
		if r.Number != "" {
			bad.add("%s.number: only callers: number has one", at)
		}
	case CallersNumber:
		r.Number = callersNumber(r.Number, at+".number", bad)
	default:
		bad.add("%s.callers: %.80q is none of all, withheld, contacts, others and number", at, r.Callers)
	}
	if r.Do != RuleRing && r.Do != RuleVoicemail && r.Do != RuleRefuse {
		bad.add("%s.do: %.80q is none of ring, voicemail and refuse", at, r.Do)
	}
	return r
}

// callersNumber checks a number in E.164, or the beginning of one with a final "*".
func callersNumber(raw, at string, bad *Invalid) string {
	if prefix, ok := strings.CutSuffix(raw, "*"); ok {
		digits, plus := strings.CutPrefix(prefix, "+")
		if !plus || len(digits) == 0 || len(digits) > 15 || strings.Trim(digits, "0123456789") != "" {
			bad.add("%s: %.80q is no beginning of a number such as +1415*", at, raw)
		}
		return raw
	}
	number, err := tel.ParseNumber(raw, "")
	if err != nil {
		bad.add("%s: %.80q is neither a number in E.164 nor the beginning of one such as +1415*", at, raw)
		return raw
	}
	return string(number)
}

// Rule is the value of an entry.
func (r RuleEntry) Rule() Rule {
	return Rule{ID: r.ID, Order: r.Order, Callers: r.Callers, Number: r.Number, Do: r.Do}
}

// Contact is the value of an entry in its one form.
func (c ContactEntry) Contact() Contact {
	out := Contact{ID: c.ID, Name: c.Name, Label: c.Label, MayJoin: c.MayJoin, Source: c.Source, Clip: c.Clip, Shared: c.Shared != nil && *c.Shared}
	for _, n := range c.Numbers {
		out.Numbers = append(out.Numbers, tel.Number(n))
	}
	return out
}

// System is the value of an entry in its one form.
func (s SystemEntry) System() VoicemailSystem { return VoicemailSystem(s) }
