package account

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/signalbox/signalbox/internal/tel"
)

// The bounds of schedules.
const (
	MaxSchedules       = 500 // of one account
	MaxScheduleNumbers = 500 // of one schedule
	maxScheduleTime    = 7 * 24 * time.Hour
	// ScheduleEarly is how long before it begins a schedule lets callers in already.
	ScheduleEarly = 10 * time.Minute
)

// Schedule is a conference that an account's owner announced: who may join it without being a contact, and when.
type Schedule struct {
	ID          string
	Number      tel.Number // the account's number that is called to join
	Title       string     // free text
	From, Until time.Time
	Open        bool         // whoever calls may join
	Allowed     []tel.Number // who may join when it is not open
}

// Admits reports whether a schedule lets a caller of a number join at a time. caller "" is one whose number is not known or was
// withheld: only an open schedule lets him in. That the caller is who he says he is, is for the asker to know.
func (s Schedule) Admits(called, caller tel.Number, now time.Time) bool {
	if called != s.Number || now.Before(s.From.Add(-ScheduleEarly)) || !now.Before(s.Until) {
		return false
	}
	return s.Open || caller != "" && slices.Contains(s.Allowed, caller)
}

// Admitting finds the schedule that lets a caller in; of several an open one, because for that it does not matter who he is, else the one
// that began first, equal ones by ID.
func Admitting(list []Schedule, called, caller tel.Number, now time.Time) (Schedule, bool) {
	list = slices.Clone(list)
	slices.SortFunc(list, func(a, b Schedule) int { return cmp.Or(a.From.Compare(b.From), cmp.Compare(a.ID, b.ID)) })
	for _, s := range list {
		if s.Open && s.Admits(called, caller, now) {
			return s, true
		}
	}
	for _, s := range list {
		if s.Admits(called, caller, now) {
			return s, true
		}
	}
	return Schedule{}, false
}

// ScheduleEntry is one scheduled conference of a Document.
type ScheduleEntry struct {
	Account string    `yaml:"account" json:"account"`
	ID      string    `yaml:"id" json:"id"`
	Number  string    `yaml:"number" json:"number"` // one of the account's, which is called to join
	Title   string    `yaml:"title,omitempty" json:"title,omitempty"`
	From    time.Time `yaml:"from" json:"from"` // RFC 3339
	Until   time.Time `yaml:"until" json:"until"`
	Open    bool      `yaml:"open,omitempty" json:"open,omitempty"`
	Allowed []string  `yaml:"allowed,omitempty" json:"allowed,omitempty"` // E.164
}

// Kind is KindSchedule.
func (ScheduleEntry) Kind() Kind { return KindSchedule }

// Key is the account's ID, a slash and the schedule's.
func (s ScheduleEntry) Key() string { return s.Account + "/" + s.ID }

// Line names the schedule for people.
func (s ScheduleEntry) Line() string { return "schedule " + s.ID + " of account " + s.Account }

func (s ScheduleEntry) normalize(at string, bad *Invalid) ScheduleEntry {
	if !validKey(s.Account) {
		bad.add("%s.account: %.80q is no account id", at, s.Account)
	}
	if !validKey(s.ID) {
		bad.add("%s.id: %.80q is not 1 to 64 characters of A-Z a-z 0-9 . _ -", at, s.ID)
	}
	number, err := tel.ParseNumber(s.Number, "")
	if err != nil {
		bad.add("%s.number: %.80q is no telephone number in E.164, such as +14155550100", at, s.Number)
	}
	s.Number = string(number)
	if !plainText(s.Title) {
		bad.add("%s.title: more than %d bytes, or control characters", at, maxFreeText)
	}
	s.From, s.Until = s.From.UTC(), s.Until.UTC()
	switch {
	case s.From.IsZero() || s.From.Year() > 9998:
		bad.add("%s.from: is missing, or no time such as 2026-03-01T12:00:00Z", at)
	case !s.Until.After(s.From):
		bad.add("%s.until: is not after from", at)
	case s.Until.Sub(s.From) > maxScheduleTime:
		bad.add("%s.until: is more than %v after from", at, maxScheduleTime)
	}
	if len(s.Allowed) > MaxScheduleNumbers {
		bad.add("%s.allowed: %d numbers, at most %d", at, len(s.Allowed), MaxScheduleNumbers)
		s.Allowed = s.Allowed[:MaxScheduleNumbers]
	}
	var allowed []string
	for i, raw := range s.Allowed {
		n, err := tel.ParseNumber(raw, "")
		if err != nil {
			bad.add("%s.allowed[%d]: %.80q is no telephone number in E.164, such as +14155550100", at, i, raw)
			continue
		}
		allowed = append(allowed, string(n))
	}
	slices.Sort(allowed)
	s.Allowed = slices.Compact(allowed)
	return s
}

// Schedule is the value of an entry in its one form.
func (s ScheduleEntry) Schedule() Schedule {
	out := Schedule{ID: s.ID, Number: tel.Number(s.Number), Title: s.Title, From: s.From, Until: s.Until, Open: s.Open}
	for _, n := range s.Allowed {
		out.Allowed = append(out.Allowed, tel.Number(n))
	}
	return out
}

// TooManySchedules says that an account has more than MaxSchedules.
func TooManySchedules(account string) string {
	return fmt.Sprintf("account %s would have more than %d schedules: delete those that are over", account, MaxSchedules)
}

func (d Document) checkSchedules(accounts map[string]bool, bad *Invalid) {
	owner, schedules := map[string]string{}, map[string]int{}
	for _, n := range d.Numbers {
		owner[n.Number] = n.Account
	}
	for i, s := range d.Schedules {
		if !accounts[s.Account] {
			bad.add("schedules[%d].account: %s", i, NoAccount(s.Account))
		}
		if owner[s.Number] != s.Account {
			bad.add("schedules[%d].number: %s", i, NotItsNumber(s.Account, s.Number))
		}
		if schedules[s.Account]++; schedules[s.Account] == MaxSchedules+1 {
			bad.add("schedules[%d]: %s", i, TooManySchedules(s.Account))
		}
	}
}
