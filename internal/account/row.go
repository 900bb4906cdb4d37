package account

import (
	"encoding/json"
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/signalbox/signalbox/internal/tel"
)

// Kind is a kind of row that a tenant provisions.
type Kind string

// The kinds of rows.
const (
	KindAccount         Kind = "account"          // key: its ID
	KindVoicemailSystem Kind = "voicemail_system" // key: its FQDN
	KindPilot           Kind = "pilot"            // key: its number
	KindNumber          Kind = "number"           // key: E.164, which no other tenant may have too
	KindContact         Kind = "contact"          // key: ID of its account, "/", its own ID
	KindRule            Kind = "rule"             // key: ID of its account, "/", its own ID
	KindSchedule        Kind = "schedule"         // key: ID of its account, "/", its own ID
)

// Kinds are all kinds, those that others refer to first.
var Kinds = []Kind{KindAccount, KindVoicemailSystem, KindPilot, KindNumber, KindContact, KindRule, KindSchedule}

// Entry is one row: an *AccountEntry, *NumberEntry, *PilotEntry, *SystemEntry, *ContactEntry, *RuleEntry or *ScheduleEntry.
type Entry interface {
	Kind() Kind
	Key() string
	Line() string // for people: "number +14155550100 (account a1)"
}

// Kind is KindAccount.
func (AccountEntry) Kind() Kind { return KindAccount }

// Kind is KindNumber.
func (NumberEntry) Kind() Kind { return KindNumber }

// Kind is KindPilot.
func (PilotEntry) Kind() Kind { return KindPilot }

// Kind is KindVoicemailSystem.
func (SystemEntry) Kind() Kind { return KindVoicemailSystem }

// Kind is KindContact.
func (ContactEntry) Kind() Kind { return KindContact }

// Kind is KindRule.
func (RuleEntry) Kind() Kind { return KindRule }

// Key is the account's ID.
func (a AccountEntry) Key() string { return a.ID }

// Key is the number.
func (n NumberEntry) Key() string { return n.Number }

// Key is the pilot's number.
func (p PilotEntry) Key() string { return p.Number }

// Key is the FQDN.
func (s SystemEntry) Key() string { return s.FQDN }

// Key is the account's ID, a slash and the contact's.
func (c ContactEntry) Key() string { return c.Account + "/" + c.ID }

// Key is the account's ID, a slash and the rule's.
func (r RuleEntry) Key() string { return r.Account + "/" + r.ID }

// Line names the account for people.
func (a AccountEntry) Line() string { return "account " + a.ID }

// Line names the number for people.
func (n NumberEntry) Line() string { return "number " + n.Number + " (account " + n.Account + ")" }

// Line names the pilot for people.
func (p PilotEntry) Line() string {
	names := make([]string, len(p.Systems))
	for i, s := range p.Systems {
		names[i] = s.FQDN
	}
	return "pilot " + p.Number + " -> " + strings.Join(names, ", ")
}

// Line names the voicemail system for people.
func (s SystemEntry) Line() string { return "voicemail system " + s.FQDN + " by " + s.Transport }

// Line names the contact for the operator; the person's name is not in it, because it is private.
func (c ContactEntry) Line() string { return "contact " + c.ID + " of account " + c.Account }

// Line names the rule for people.
func (r RuleEntry) Line() string { return "rule " + r.ID + " of account " + r.Account }

// DecodeEntry reads a row of a kind from JSON.
func DecodeEntry(kind Kind, text []byte) (Entry, error) {
	var e Entry
	switch kind {
	case KindAccount:
		e = &AccountEntry{}
	case KindNumber:
		e = &NumberEntry{}
	case KindPilot:
		e = &PilotEntry{}
	case KindVoicemailSystem:
		e = &SystemEntry{}
	case KindContact:
		e = &ContactEntry{}
	case KindRule:
		e = &RuleEntry{}
	case KindSchedule:
		e = &ScheduleEntry{}
	default:
		return nil, fmt.Errorf("%.80q is no kind of row", kind)
	}
	if err := json.Unmarshal(text, e); err != nil {
		return nil, fmt.Errorf("%s is not readable: %w", kind, err)
	}
	return e, nil
}

// NormalizeEntry checks every field of a row and returns it in its one form: numbers in E.164, names in lower case, defaults
// filled in. Problems are added to bad, each beginning with the path "at" and the field; "" = the field alone.
func NormalizeEntry(e Entry, at string, bad *Invalid) Entry {
	switch e := e.(type) {
	case *AccountEntry:
		return pointer(e.normalize(at, bad))
	case *NumberEntry:
		return pointer(e.normalize(at, bad))
	case *PilotEntry:
		return pointer(e.normalize(at, bad))
	case *SystemEntry:
		return pointer(e.normalize(at, bad))
	case *ContactEntry:
		return pointer(e.normalize(at, bad))
	case *RuleEntry:
		return pointer(e.normalize(at, bad))
	case *ScheduleEntry:
		return pointer(e.normalize(at, bad))
	}
	bad.Add(at, fmt.Sprintf("%T is no kind of row", e))
	return e
}

func pointer[T any](v T) *T { return &v }

// CheckTenant adds a problem to bad when a tenant's name is none.
func CheckTenant(tenant string, bad *Invalid) {
	if !validKey(tenant) {
		bad.Add("tenant", fmt.Sprintf("%.80q is not 1 to 64 characters of A-Z a-z 0-9 . _ -", tenant))
	}
}

// Normalize checks every field by itself, and that no row stands twice, and returns the document in its one form. What rows refer
// to is not looked at: it may be in the store already. The error is an *Invalid.
func (d Document) Normalize() (Document, error) {
	bad := &Invalid{}
	out := d.normalize(bad)
	return out, bad.Err()
}

// Entries gives the rows with the path of each, such as "numbers[3]", those that others refer to first.
func (d *Document) Entries() iter.Seq2[string, Entry] {
	return func(yield func(string, Entry) bool) {
		_ = rows("accounts", d.Accounts, yield) && rows("voicemail_systems", d.VoicemailSystems, yield) &&
			rows("pilots", d.Pilots, yield) && rows("numbers", d.Numbers, yield) &&
			rows("contacts", d.Contacts, yield) && rows("rules", d.Rules, yield) &&
			rows("schedules", d.Schedules, yield)
	}
}

func rows[T any, P interface {
	*T
	Entry
}](name string, list []T, yield func(string, Entry) bool) bool {
	for i := range list {
		if !yield(fmt.Sprintf("%s[%d]", name, i), P(&list[i])) {
			return false
		}
	}
	return true
}

// Append adds a row to the document.
func (d *Document) Append(e Entry) {
	switch e := e.(type) {
	case *AccountEntry:
		d.Accounts = append(d.Accounts, *e)
	case *NumberEntry:
		d.Numbers = append(d.Numbers, *e)
	case *PilotEntry:
		d.Pilots = append(d.Pilots, *e)
	case *SystemEntry:
		d.VoicemailSystems = append(d.VoicemailSystems, *e)
	case *ContactEntry:
		d.Contacts = append(d.Contacts, *e)
	case *RuleEntry:
		d.Rules = append(d.Rules, *e)
	case *ScheduleEntry:
		d.Schedules = append(d.Schedules, *e)
	}
}

// Same reports whether two rows say the same.
func Same(a, b Entry) bool { return same(a, b) }

// Of is the account that an entry in its one form stands for.
func (a AccountEntry) Of(tenant string) Account {
	return Account{Tenant: tenant, ID: a.ID, Name: a.Name, State: a.State, Language: a.Language, TimeZone: a.TimeZone, Services: a.Services}
}

// Device is the value of an entry in its one form.
func (d DeviceEntry) Device() Device {
	return Device{Kind: d.Kind, Profile: d.Profile, User: d.User, Host: d.Host, Port: d.Port, Transport: d.Transport}
}

// System is the value of an entry in its one form.
func (p PilotSystemEntry) System() PilotSystem {
	s := PilotSystem{FQDN: p.FQDN, Priority: p.Priority, Weight: p.Weight}
	if p.From != nil {
		s.From = *p.From
	}
	if p.Until != nil {
		s.Until = *p.Until
	}
	return s
}

// Voicemail is the value of an entry in its one form.
func (v VoicemailEntry) Voicemail() Voicemail {
	return Voicemail{Pilot: v.Pilot, Class: v.Class, Mailbox: v.Mailbox, Conditions: v.Conditions.Conditions(), FirstDiverter: v.FirstDiverter}
}

// Profile is what an entry in its one form says by itself: everything but account, systems, weights, rules and version.
func (n NumberEntry) Profile() Profile {
	p := Profile{Number: tel.Number(n.Number), Timers: Timers{NoAnswer: time.Duration(n.NoAnswer)}}
	for _, d := range n.Devices {
		p.Devices = append(p.Devices, d.Device())
	}
	if n.Voicemail != nil {
		v := n.Voicemail.Voicemail()
		p.Voicemail = &v
	}
	if n.Conference != nil {
		c := n.Conference.Conference()
		p.Conference = &c
	}
	return p
}
