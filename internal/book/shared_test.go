package book

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/signalbox/signalbox/internal/account"
)

func oneCard(lines ...string) string {
	return crlf(append(append([]string{"BEGIN:VCARD"}, lines...), "END:VCARD")...)
}

// after says what a file makes of the contacts that are there.
func after(t *testing.T, have []account.ContactEntry, text string, format Format) []account.ContactEntry {
	t.Helper()
	plan := Compare(have, read(t, text, format, Options{Country: "US"}).Contacts, false)
	out := plan.Added
	for _, c := range plan.Changed {
		out = append(out, c.After)
	}
	return out
}

// A firm's main number is that of many: how the books of the world say that a card is no person's.
func TestFirmsAndGroupsAreShared(t *testing.T) {
	const tel = "TEL:+14155550180"
	csv := "First Name,Last Name,Company,Company Main Phone\n"
	for name, c := range map[string]struct {
		text   string
		format Format
		shared bool
	}{
		"4.0, an organisation":         {oneCard("VERSION:4.0", "KIND:org", "FN:ACME", tel), VCard, true},
		"4.0, a group":                 {oneCard("VERSION:4.0", "kind:GROUP", "FN:The Ushers", tel), VCard, true},
		"4.0, a place":                 {oneCard("VERSION:4.0", "KIND:location", "FN:Lobby", tel), VCard, true},
		"4.0, a person":                {oneCard("VERSION:4.0", "KIND:individual", "FN:ACME", "ORG:ACME", tel), VCard, false},
		"4.0, a person without N":      {oneCard("VERSION:4.0", "FN:Anna Smith", "ORG:ACME", tel), VCard, false},
		"3.0, Apple's company":         {oneCard("VERSION:3.0", "N:;;;;", "FN:ACME", "ORG:ACME;", "X-ABShowAs:COMPANY", tel), VCard, true},
		"3.0, with whom to ask for":    {oneCard("VERSION:3.0", "N:Smith;Anna;;;", "FN:ACME", "ORG:ACME;", "X-ABShowAs:COMPANY", tel), VCard, true},
		"3.0, Apple's group":           {oneCard("VERSION:3.0", "N:Ushers", "FN:Ushers", "X-ADDRESSBOOKSERVER-KIND:group", tel), VCard, true},
		"3.0, an organisation alone":   {oneCard("VERSION:3.0", "N:;;;;", "FN:acme  Ltd.", "ORG:ACME Ltd.;Sales", tel), VCard, true},
		"no FN":                        {oneCard("FN:", "ORG:ACME main;Sales", tel), VCard, true},
		"a person of the organisation": {oneCard("VERSION:3.0", "N:Smith;Anna;;;", "FN:Anna Smith", "ORG:ACME;", tel), VCard, false},
		"somebody with a nickname":     {oneCard("ORG:ACME", "NICKNAME:Annie", tel), VCard, false},
		"nobody knows":                 {oneCard(tel), VCard, false},
		"our own word":                 {oneCard("FN:Anna", "X-SIGNALBOX-SHARED:yes", tel), VCard, true},
		"our own word against a kind":  {oneCard("KIND:org", "FN:ACME", "X-SIGNALBOX-SHARED:no", tel), VCard, false},
		"a jCard": {`["vcard", [["version", {}, "text", "4.0"], ["kind", {}, "text", "org"], ["fn", {}, "text", "ACME"], ["tel", {}, "uri", "tel:+14155550180"]]]`,
			JCard, true},
		"a jCard of a person":  {`["vcard", [["fn", {}, "text", "Anna"], ["org", {}, "text", "ACME"], ["tel", {}, "uri", "tel:+14155550180"]]]`, JCard, false},
		"CSV, a firm":          {csv + ",,ACME,4155550180\n", CSV, true},
		"CSV, a person":        {csv + "Anna,,ACME,4155550180\n", CSV, false},
		"CSV, the column":      {"name,numbers,shared\nAnna,+14155550180, Yes \n", CSV, true},
		"CSV, the column's no": {csv[:len(csv)-1] + ",Shared\n,,ACME,4155550180,no\n", CSV, false},
	} {
		got := after(t, nil, c.text, c.format)
		if len(got) != 1 || got[0].Contact().Shared != c.shared {
			t.Errorf("%s: %+v, want shared %t", name, got, c.shared)
		}
	}
}

// Whether a contact is shared is the host's word where he has given it: how a card looks changes nothing then, what it says does.
func TestHowACardLooksDoesNotOverruleTheHost(t *testing.T) {
	yes, no := true, false
	firm, person := oneCard("UID:1", "FN:ACME", "ORG:ACME", "TEL:+14155550180"), oneCard("UID:1", "FN:ACME", "N:ACME;;;;", "TEL:+14155550180")
	first := after(t, nil, firm, VCard)
	if len(first) != 1 || !first[0].Contact().Shared {
		t.Fatalf("first: %+v", first)
	}
	for name, c := range map[string]struct {
		was    *bool
		text   string
		shared bool
	}{
		"the same again":                     {&yes, firm, true},
		"imported before it was read":        {nil, firm, true},
		"a firm of one":                      {&no, firm, false},
		"a person's telephone that many use": {&yes, person, true},
		"what it says":                       {&no, strings.Replace(firm, "UID", "X-SIGNALBOX-SHARED:yes\r\nUID", 1), true},
		"what it denies":                     {&yes, strings.Replace(firm, "UID", "X-SIGNALBOX-SHARED:no\r\nUID", 1), false},
	} {
		before := first[0]
		before.Shared = c.was
		changed := after(t, []account.ContactEntry{before}, c.text, VCard)
		got := before
		if len(changed) > 0 {
			got = changed[0]
		}
		if got.Contact().Shared != c.shared || len(changed) > 0 && account.Same(&before, &got) {
			t.Errorf("%s: %+v, want shared %t", name, changed, c.shared)
		}
	}
}

func TestSharedThatIsNeitherYesNorNoIsTold(t *testing.T) {
	r := read(t, "name,phone,shared\nACME,+14155550180,perhaps\n", CSV, Options{})
	if len(r.Contacts) != 1 || !r.Contacts[0].Entry.Contact().Shared || !strings.HasPrefix(problems(r), `2 shared: "perhaps" is neither`) {
		t.Errorf("%+v; %s", r.Contacts, problems(r))
	}
}

func TestCardsOfOneFirmAreOneInWhateverOrder(t *testing.T) {
	for name, c := range map[string]struct {
		cards  []string
		shared bool
	}{
		"a card that is one of a firm and, later, one of a person": {[]string{
			oneCard("UID:1", "KIND:org", "FN:ACME", "TEL:+14155550180", "REV:20260101T000000Z"), oneCard("UID:1", "KIND:individual", "FN:Anna", "TEL:+14155550181", "REV:20260201T000000Z"),
		}, false},
		"two of one time": {[]string{
			oneCard("UID:1", "FN:ACME", "N:;ACME;;;", "TEL:+14155550180"), oneCard("UID:1", "FN:ACME", "ORG:ACME", "TEL:+14155550180"),
		}, true},
		"one says it": {[]string{
			oneCard("UID:1", "FN:ACME", "ORG:ACME", "TEL:+14155550180"), oneCard("UID:1", "FN:ACME", "X-SIGNALBOX-SHARED:no", "TEL:+14155550180"),
		}, false},
	} {
		random := rand.New(rand.NewPCG(1, 2))
		for range 10 {
			random.Shuffle(len(c.cards), func(i, j int) { c.cards[i], c.cards[j] = c.cards[j], c.cards[i] })
			got := after(t, nil, strings.Join(c.cards, ""), VCard)
			if len(got) != 1 || got[0].Contact().Shared != c.shared {
				t.Errorf("%s: %+v, want shared %t", name, got, c.shared)
			}
		}
	}
}
