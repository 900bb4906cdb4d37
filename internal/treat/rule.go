package treat

import (
	"fmt"
	"strings"

	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/call"
)

// AsksForContacts reports whether a rule of a number, or its conference, asks who is in the account's address book.
func AsksForContacts(p account.Profile) bool {
	if p.Conference != nil {
		return true
	}
	for _, r := range p.Rules {
		if r.Callers == account.CallersContacts || r.Callers == account.CallersOthers {
			return true
		}
	}
	return false
}

// ruleFor is the first rule that matches the caller; ok is false when none does.
func ruleFor(a call.Arrival, p account.Profile, w call.World) (rule account.Rule, ok bool) {
	for _, r := range p.Rules {
		if matches(r, a, w) {
			return r, true
		}
	}
	return account.Rule{}, false
}

func matches(r account.Rule, a call.Arrival, w call.World) bool {
	switch r.Callers {
	case account.CallersAll:
		return true
	case account.CallersWithheld:
		return a.Nameless()
	case account.CallersContacts:
		return w.Recognised(a)
	case account.CallersOthers:
		return !w.ContactsDown && !w.Recognised(a)
	case account.CallersNumber:
		if a.Nameless() {
			return false
		}
		if prefix, all := strings.CutSuffix(r.Number, "*"); all {
			return strings.HasPrefix(string(a.From.Number), prefix)
		}
		return string(a.From.Number) == r.Number
	}
	return false
}

// ruleText says why a rule decides, for people.
func ruleText(r account.Rule) string {
	whom := map[account.Callers]string{
		account.CallersAll: "every caller", account.CallersWithheld: "callers without a number",
		account.CallersContacts: "callers in the address book", account.CallersOthers: "callers who are not in the address book",
		account.CallersNumber: "callers from " + r.Number,
	}[r.Callers]
	return fmt.Sprintf("the subscriber's rule %s is for %s", r.ID, whom)
}
