package account_test

import (
	"testing"

	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/tel"
	"github.com/signalbox/signalbox/internal/tel/teltest"
)

// A document knows no region, so that it takes the international forms of the table that all packages share, and keeps them in
// the one form by which calls find them.
func TestDocumentsReadTheTableOfNumbers(t *testing.T) {
	read := 0
	for _, c := range teltest.Cases(t) {
		if c.Region != "" {
			continue
		}
		read++
		number, contact, rule, callers, pilot := "", "", "", "", ""
		if d, err := (account.Document{
			Accounts: []account.AccountEntry{{ID: "a"}},
			Numbers:  []account.NumberEntry{{Number: c.Written, Account: "a"}},
		}).Normalize(); err == nil {
			number = d.Numbers[0].Number
		}
		if d, err := (account.Document{
			Accounts: []account.AccountEntry{{ID: "a"}},
			Contacts: []account.ContactEntry{{Account: "a", ID: "c", Numbers: []string{c.Written}}},
		}).Normalize(); err == nil {
			contact = d.Contacts[0].Numbers[0]
		}
		if d, err := (account.Document{
			Accounts: []account.AccountEntry{{ID: "a"}},
			Rules:    []account.RuleEntry{{Account: "a", ID: "r", Callers: account.CallersNumber, Number: c.Written, Do: account.RuleRing}},
		}).Normalize(); err == nil {
			callers = d.Rules[0].Number
		}
		if d, err := (account.Document{
			Accounts: []account.AccountEntry{{ID: "a"}},
			Numbers:  []account.NumberEntry{{Number: c.Number, Account: "a"}},
			Rules:    []account.RuleEntry{{Account: "a", ID: "r", For: c.Written, Callers: account.CallersAll, Do: account.RuleRing}},
		}).Normalize(); err == nil {
			rule = d.Rules[0].For
		}
		if d, err := (account.Document{
			VoicemailSystems: []account.SystemEntry{{FQDN: "vm.example.net"}},
			Pilots:           []account.PilotEntry{{Number: c.Written, Systems: []account.PilotSystemEntry{{FQDN: "vm.example.net"}}}},
		}).Normalize(); err == nil {
			pilot = d.Pilots[0].Number
		}
		can := ""
		if tel.Number(c.Number).Possible() {
			can = c.Number
		}
		key := c.Number
		if c.Short {
			key = c.Written
		}
		if number != can || contact != c.Number || callers != c.Number || pilot != key {
			t.Errorf("line %d: %+q is the number %q (want %q), the contact's %q and the callers' %q (want %q), the pilot %q (want %q)",
				c.Line, c.Written, number, can, contact, callers, c.Number, pilot, key)
		}
		if can != "" && rule != can {
			t.Errorf("line %d: a rule for %+q is for %q, want %q", c.Line, c.Written, rule, can)
		}
	}
	if read < 150 {
		t.Errorf("only %d cases were read", read)
	}
}
