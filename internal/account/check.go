package account

import "fmt"

// Changes says in words what a Document changed, one line per row: "number +14155550100 (account a1)".
type Changes struct {
	Added   []string `json:"added,omitempty"`
	Changed []string `json:"changed,omitempty"`
	Removed []string `json:"removed,omitempty"`

	Rows []RowChange `json:"-"` // the same as rows, in the order of the document; removed ones behind them
}

// RowChange is a row that changed. Before is nil when it is new, After when it is gone.
type RowChange struct{ Before, After Entry }

// None reports whether nothing changed.
func (c Changes) None() bool { return len(c.Added)+len(c.Changed)+len(c.Removed) == 0 }

// Validate checks a document that stands by itself: every field, and that every account, pilot and system named is in
// it. The error is an *Invalid.
func (d Document) Validate() error {
	d, err := d.Normalize()
	if err != nil {
		return err
	}
	bad := &Invalid{}
	d.checkNumbers(bad)
	accounts := keys(d.Accounts)
	for i, c := range d.Contacts {
		if !accounts[c.Account] {
			bad.add("contacts[%d].account: %s", i, NoAccount(c.Account))
		}
	}
	d.checkRules(accounts, bad)
	d.checkSchedules(accounts, bad)
	systems := keys(d.VoicemailSystems)
	for i, p := range d.Pilots {
		for j, s := range p.Systems {
			if !systems[s.FQDN] {
				bad.add("pilots[%d].systems[%d].fqdn: %s", i, j, NoSystem(s.FQDN))
			}
		}
	}
	return bad.Err()
}

func (d Document) checkNumbers(bad *Invalid) {
	accounts, pilots, visual := keys(d.Accounts), keys(d.Pilots), map[string]bool{}
	for _, s := range d.VoicemailSystems {
		visual[s.FQDN] = s.Visual
	}
	visualPilot := map[string]bool{}
	for _, p := range d.Pilots {
		for _, s := range p.Systems {
			visualPilot[p.Number] = visualPilot[p.Number] || visual[s.FQDN]
		}
	}
	for i, n := range d.Numbers {
		at := fmt.Sprintf("numbers[%d]", i)
		if !accounts[n.Account] {
			bad.Add(at+".account", NoAccount(n.Account))
		}
		switch v := n.Voicemail; {
		case v == nil:
		case !pilots[v.Pilot]:
			bad.Add(at+".voicemail.pilot", NoPilot(v.Pilot))
		case v.Class == Visual && !visualPilot[v.Pilot]:
			bad.Add(at+".voicemail.class", NotVisual(v.Pilot))
		}
	}
}

func (d Document) checkRules(accounts map[string]bool, bad *Invalid) {
	owner, rules := map[string]string{}, map[string]int{}
	for _, n := range d.Numbers {
		owner[n.Number] = n.Account
	}
	for i, r := range d.Rules {
		if !accounts[r.Account] {
			bad.add("rules[%d].account: %s", i, NoAccount(r.Account))
		}
		if r.For != "" && owner[r.For] != r.Account {
			bad.add("rules[%d].for: %s", i, NotItsNumber(r.Account, r.For))
		}
		if rules[r.Account]++; rules[r.Account] == MaxRules+1 {
			bad.add("rules[%d]: %s", i, TooManyRules(r.Account))
		}
	}
}

// NoAccount, and the other functions that return a problem in words, are used wherever references are checked.
func NoAccount(id string) string { return fmt.Sprintf("no account %s is known", id) }

// NoPilot says that a pilot is missing.
func NoPilot(number string) string { return fmt.Sprintf("no pilot %s is known", number) }

// NoSystem says that a voicemail system is missing.
func NoSystem(fqdn string) string { return fmt.Sprintf("no voicemail system %s is known", fqdn) }

// NotVisual says that a pilot does not serve class visual.
func NotVisual(pilot string) string {
	return fmt.Sprintf("no voicemail system of pilot %s supports visual", pilot)
}

// NotItsNumber says that a rule's number is not its account's.
func NotItsNumber(account, number string) string {
	return fmt.Sprintf("account %s has no number %s", account, number)
}

// TooManyRules says that an account has more than MaxRules.
func TooManyRules(account string) string {
	return fmt.Sprintf("account %s would have more than %d rules", account, MaxRules)
}

func keys[T interface{ Key() string }](rows []T) map[string]bool {
	set := make(map[string]bool, len(rows))
	for _, row := range rows {
		set[row.Key()] = true
	}
	return set
}
