package account

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Changes says in words what a Document changed, one line per row: "number +14155550100 (account a1)".
type Changes struct {
	Added   []string `json:"added,omitempty"`
	Changed []string `json:"changed,omitempty"`
	Removed []string `json:"removed,omitempty"`
}

// None reports whether nothing changed.
func (c Changes) None() bool { return len(c.Added)+len(c.Changed)+len(c.Removed) == 0 }

// Merge returns what holds after change is applied to current: rows that change names replace those of current, others
// stay, or go when change.Prune is set. The result is in one form (numbers in E.164, names in lower case, defaults
// filled in, rows sorted by key), so that two results can be compared. The error is an *Invalid; it names the fields
// of change, and rows of current only when change takes away what they need.
func Merge(current, change Document) (Document, error) {
	bad := &Invalid{}
	change = change.normalize(bad)
	if err := bad.err(); err != nil {
		return Document{}, err
	}
	if change.Prune {
		current = Document{}
	}
	out := Document{
		Accounts:         merge(current.Accounts, change.Accounts, AccountEntry.key),
		Numbers:          merge(current.Numbers, change.Numbers, NumberEntry.key),
		Pilots:           merge(current.Pilots, change.Pilots, PilotEntry.key),
		VoicemailSystems: merge(current.VoicemailSystems, change.VoicemailSystems, SystemEntry.key),
	}
	accounts := keys(out.Accounts, AccountEntry.key)
	pilots := keys(out.Pilots, PilotEntry.key)
	systems := keys(out.VoicemailSystems, SystemEntry.key)
	owner := map[string]string{}
	for _, n := range current.Numbers {
		owner[n.Number] = n.Account
	}
	for i, n := range change.Numbers {
		at := fmt.Sprintf("numbers[%d]", i)
		if !accounts[n.Account] {
			bad.add("%s.account: no account %s is known", at, n.Account)
		}
		if was, owned := owner[n.Number]; owned && was != n.Account {
			bad.add("%s.account: number %s belongs to account %s already; only a complete document with prune: true moves it", at, n.Number, was)
		}
		if v := n.Voicemail; v != nil && !pilots[v.Pilot] {
			bad.add("%s.voicemail.pilot: no pilot %s is known", at, v.Pilot)
		}
	}
	for i, p := range change.Pilots {
		for j, s := range p.Systems {
			if !systems[s.FQDN] {
				bad.add("pilots[%d].systems[%d].fqdn: no voicemail system %s is known", i, j, s.FQDN)
			}
		}
	}
	return out, bad.err()
}

// Diff says what is different between two merged documents.
func Diff(before, after Document) Changes {
	var c Changes
	diff(&c, "account", before.Accounts, after.Accounts, AccountEntry.key, func(a AccountEntry) string { return a.ID })
	diff(&c, "number", before.Numbers, after.Numbers, NumberEntry.key, func(n NumberEntry) string {
		return n.Number + " (account " + n.Account + ")"
	})
	diff(&c, "pilot", before.Pilots, after.Pilots, PilotEntry.key, func(p PilotEntry) string {
		var names []string
		for _, s := range p.Systems {
			names = append(names, s.FQDN)
		}
		return p.Number + " -> " + strings.Join(names, ", ")
	})
	diff(&c, "voicemail system", before.VoicemailSystems, after.VoicemailSystems, SystemEntry.key, func(s SystemEntry) string {
		return s.FQDN + " by " + s.Transport
	})
	return c
}

func (a AccountEntry) key() string { return a.ID }
func (n NumberEntry) key() string  { return n.Number }
func (p PilotEntry) key() string   { return p.Number }
func (s SystemEntry) key() string  { return s.FQDN }

// merge replaces and adds rows by key and sorts them.
func merge[T any](current, change []T, key func(T) string) []T {
	named := keys(change, key)
	var out []T
	for _, row := range current {
		if !named[key(row)] {
			out = append(out, row)
		}
	}
	out = append(out, change...)
	slices.SortFunc(out, func(a, b T) int { return cmp.Compare(key(a), key(b)) })
	return out
}

func keys[T any](rows []T, key func(T) string) map[string]bool {
	set := make(map[string]bool, len(rows))
	for _, row := range rows {
		set[key(row)] = true
	}
	return set
}

func diff[T any](c *Changes, kind string, before, after []T, key, words func(T) string) {
	old := make(map[string]T, len(before))
	for _, row := range before {
		old[key(row)] = row
	}
	for _, row := range after {
		was, existed := old[key(row)]
		delete(old, key(row))
		switch {
		case !existed:
			c.Added = append(c.Added, kind+" "+words(row))
		case !same(was, row):
			c.Changed = append(c.Changed, kind+" "+words(row))
		}
	}
	for _, row := range before {
		if _, gone := old[key(row)]; gone {
			c.Removed = append(c.Removed, kind+" "+words(row))
		}
	}
}

// ChangeFuncs are called by EachChange, one for each row that is new or different, or gone.
type ChangeFuncs struct {
	Account func(AccountEntry)
	Number  func(NumberEntry)
	Pilot   func(PilotEntry)
	System  func(SystemEntry)

	RemoveAccount, RemoveNumber, RemovePilot, RemoveSystem func(key string)
}

// EachChange hands on what a store has to write so that before becomes after: rows others need come before those that
// need them, and go after them.
func EachChange(before, after Document, f ChangeFuncs) {
	put(before.Accounts, after.Accounts, AccountEntry.key, f.Account)
	put(before.VoicemailSystems, after.VoicemailSystems, SystemEntry.key, f.System)
	put(before.Pilots, after.Pilots, PilotEntry.key, f.Pilot)
	put(before.Numbers, after.Numbers, NumberEntry.key, f.Number)
	drop(before.Numbers, after.Numbers, NumberEntry.key, f.RemoveNumber)
	drop(before.Pilots, after.Pilots, PilotEntry.key, f.RemovePilot)
	drop(before.VoicemailSystems, after.VoicemailSystems, SystemEntry.key, f.RemoveSystem)
	drop(before.Accounts, after.Accounts, AccountEntry.key, f.RemoveAccount)
}

func put[T any](before, after []T, key func(T) string, write func(T)) {
	old := make(map[string]T, len(before))
	for _, row := range before {
		old[key(row)] = row
	}
	for _, row := range after {
		if was, existed := old[key(row)]; !existed || !same(was, row) {
			write(row)
		}
	}
}

func drop[T any](before, after []T, key func(T) string, remove func(string)) {
	left := keys(after, key)
	for _, row := range before {
		if !left[key(row)] {
			remove(key(row))
		}
	}
}
