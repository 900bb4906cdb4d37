package conference

import (
	"reflect"
	"testing"

	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/call"
	"github.com/signalbox/signalbox/internal/tel"
)

const (
	hana   = tel.Number("+14155550100")
	anna   = tel.Number("+14155550101")
	access = tel.Number("+18005550199")
)

func profile(change func(*account.Conference)) account.Profile {
	c := account.Conference{Offer: account.OfferContacts, Room: account.RoomFetch, JoinKey: '1', MessageKey: '2', RepeatKey: '9'}
	if change != nil {
		change(&c)
	}
	return account.Profile{Account: account.Account{Tenant: "acme", ID: "hana"}, Number: hana, Conference: &c}
}

// screened is a call of Anna's that a proxy of ours has seen.
func screened() call.Arrival {
	return call.Arrival{To: hana, From: tel.Identity{User: string(anna), Number: anna}, Evidence: call.EvidenceToken, Verdict: call.Verdict{Model: "rules-1"}}
}

func known(may account.MayJoin) call.World {
	return call.World{Contact: &account.Contact{ID: "anna", Name: "Anna Smith", MayJoin: may}}
}

const hash = "pbkdf2:0123456789abcdef:00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

func TestWhoIsOfferedTheConference(t *testing.T) {
	everyone := func(c *account.Conference) { c.Offer, c.PINHash = account.OfferEveryone, hash }
	listed := func(c *account.Conference) { c.Offer = account.OfferListed }
	for name, tt := range map[string]struct {
		settings func(*account.Conference)
		change   func(*call.Arrival, *call.World)
		reason   string
		mode     call.ConferenceMode // "" = nothing is offered
	}{
		"a contact":                       {nil, nil, "in-address-book", call.ByKey},
		"a contact, without a key":        {func(c *account.Conference) { c.AutoAdmit = true }, nil, "in-address-book", call.AtOnce},
		"somebody of a shared number":     {nil, func(_ *call.Arrival, w *call.World) { w.Contact.Shared = true }, "shared-in-address-book", call.ByKey},
		"of a shared number, not listed":  {listed, func(_ *call.Arrival, w *call.World) { w.Contact.Shared = true }, "not-listed", ""},
		"of a shared number that may not": {everyone, func(_ *call.Arrival, w *call.World) { w.Contact.Shared, w.Contact.MayJoin = true, account.MayJoinNo }, "may-not-join", ""},
		"of a shared number, after somebody was sent out": {nil, func(_ *call.Arrival, w *call.World) {
			w.Contact.Shared, w.Room = true, &call.Room{HostPresent: true, Removed: true}
		}, "removed", ""},
		"a stranger":                           {nil, func(_ *call.Arrival, w *call.World) { w.Contact = nil }, "not-in-address-book", ""},
		"a contact who may not":                {nil, func(_ *call.Arrival, w *call.World) { w.Contact.MayJoin = account.MayJoinNo }, "may-not-join", ""},
		"a contact who is not listed":          {listed, nil, "not-listed", ""},
		"a contact who is listed":              {listed, func(_ *call.Arrival, w *call.World) { w.Contact.MayJoin = account.MayJoinYes }, "in-address-book", call.ByKey},
		"withheld":                             {nil, func(a *call.Arrival, w *call.World) { a.From.Withheld = true }, "withheld", ""},
		"withheld, with a PIN":                 {everyone, func(a *call.Arrival, w *call.World) { a.From.Withheld = true }, "pin", call.ByPIN},
		"withheld, with a PIN, locked out":     {everyone, func(a *call.Arrival, w *call.World) { a.From.Withheld, w.LockedOut = true, true }, "locked-out", ""},
		"a contact, where others have the PIN": {everyone, nil, "in-address-book", call.ByKey},
		"a contact who is locked out":          {everyone, func(_ *call.Arrival, w *call.World) { w.LockedOut = true }, "in-address-book", call.ByKey},
		"a stranger where nobody set a PIN":    {func(c *account.Conference) { c.Offer = account.OfferEveryone }, func(_ *call.Arrival, w *call.World) { w.Contact = nil }, "not-in-address-book", ""},
		"a contact's number, spoofed":          {nil, func(a *call.Arrival, _ *call.World) { a.Verdict.Likelihood = 0.9 }, "suspect", ""},
		"a contact's number, spoofed, PIN":     {everyone, func(a *call.Arrival, _ *call.World) { a.Verdict.Likelihood = 0.9 }, "pin", call.ByPIN},
		"a contact past the proxy":             {nil, func(a *call.Arrival, _ *call.World) { a.Evidence = call.EvidenceVariables }, "not-screened", ""},
		"a contact whom nobody screened":       {nil, func(a *call.Arrival, _ *call.World) { a.Verdict = call.Verdict{} }, "not-screened", ""},
		"a contact by the own line": {nil, func(a *call.Arrival, _ *call.World) {
			a.Evidence, a.Verdict, a.OwnNumber = call.EvidenceVariables, call.Verdict{}, true
		}, "in-address-book", call.ByKey},
		"the host by the own line": {nil, func(a *call.Arrival, w *call.World) {
			a.Evidence, a.Verdict, a.OwnNumber, w.IsHost = call.EvidenceVariables, call.Verdict{}, true, true
		}, "host", call.AsHost},
		"a contact by the own line, withheld": {nil, func(a *call.Arrival, _ *call.World) { a.From.Withheld, a.OwnNumber = true, true }, "withheld", ""},
		"the address book is silent":          {nil, func(_ *call.Arrival, w *call.World) { w.Contact, w.ContactsDown = nil, true }, "contacts-unknown", ""},
		"the rooms are silent":                {nil, func(_ *call.Arrival, w *call.World) { w.RoomsDown = true }, "rooms-unknown", ""},
		"a stranger whom a schedule lets in":  {nil, func(_ *call.Arrival, w *call.World) { w.Contact, w.Scheduled = nil, "standup" }, "scheduled", call.ByKey},
		"a spoofed number of a schedule":      {nil, func(a *call.Arrival, w *call.World) { w.Contact, w.Scheduled, a.Verdict.Likelihood = nil, "s", 1 }, "suspect", ""},
		"anybody, by an open schedule": {nil, func(a *call.Arrival, w *call.World) {
			w.Contact, w.Scheduled, w.ScheduledOpen, a.From.Withheld = nil, "s", true, true
		}, "scheduled", call.ByKey},
		"who may not, by an open schedule": {nil, func(_ *call.Arrival, w *call.World) {
			w.Contact.MayJoin, w.Scheduled, w.ScheduledOpen = account.MayJoinNo, "s", true
		}, "may-not-join", ""},
		"the host":                               {nil, func(_ *call.Arrival, w *call.World) { w.IsHost = true }, "host", call.AsHost},
		"somebody with the host's number":        {nil, func(a *call.Arrival, w *call.World) { w.Contact, w.IsHost, a.Verdict.Likelihood = nil, true, 0.6 }, "suspect", ""},
		"who was sent out":                       {nil, func(_ *call.Arrival, w *call.World) { w.Room = &call.Room{HostPresent: true, Removed: true} }, "removed", ""},
		"a voicemail system":                     {nil, func(_ *call.Arrival, w *call.World) { w.FromVoicemail = "vm.example.net" }, "from-voicemail", ""},
		"callers make no room, and there is one": {func(c *account.Conference) { c.Room = account.RoomPresent }, func(_ *call.Arrival, w *call.World) { w.Room = &call.Room{HostPresent: true} }, "in-address-book", call.ByKey},
		"callers make no room":                   {func(c *account.Conference) { c.Room = account.RoomPresent }, nil, "no-room", ""},
		"the host has left his room":             {func(c *account.Conference) { c.Room = account.RoomPresent }, func(_ *call.Arrival, w *call.World) { w.Room = &call.Room{} }, "no-room", ""},
		"a schedule makes its room":              {func(c *account.Conference) { c.Room = account.RoomPresent }, func(_ *call.Arrival, w *call.World) { w.Scheduled = "s" }, "scheduled", call.ByKey},
		"only for calls that were sent on":       {func(c *account.Conference) { c.When = account.ConferenceWhen{Forwarded: true} }, nil, "not-then", ""},
	} {
		t.Run(name, func(t *testing.T) {
			a, w := screened(), known("")
			if tt.change != nil {
				tt.change(&a, &w)
			}
			access, step := Offer(a, profile(tt.settings), w, Settings{}, "")
			mode := call.ConferenceMode("")
			if step != nil {
				mode = step.Conference.Mode
			}
			if access.Reason.Name != tt.reason || mode != tt.mode || (access.Verdict == call.Refused) != (step == nil) || access.Reason.Sentence == "" {
				t.Errorf("%s (%s): offered %q; want %s, %q", access.Verdict, access.Reason.Name, mode, tt.reason, tt.mode)
			}
		})
	}
	if access, step := Offer(screened(), account.Profile{Number: hana}, known(""), Settings{}, ""); access != nil || step != nil {
		t.Error("a number without a conference has a decision")
	}
	past := screened()
	past.Evidence, past.Verdict = call.EvidenceVariables, call.Verdict{}
	if _, step := Offer(past, profile(nil), known(""), Settings{TrustUnscreened: true}, ""); step == nil {
		t.Error("the operator trusts what FreeSWITCH knows, and nothing is offered")
	}
}

// TestStrangersHearNoDifference: whoever has no PIN learns nothing of a conference by being asked for one.
func TestStrangersHearNoDifference(t *testing.T) {
	everyone := func(c *account.Conference) {
		c.Offer, c.PINHash, c.Room = account.OfferEveryone, hash, account.RoomPresent
	}
	stranger := known("")
	stranger.Contact = nil
	var first *call.Step
	for name, room := range map[string]*call.Room{"no conference": nil, "the host is in one": {HostPresent: true}, "the host has left it": {}} {
		stranger.Room = room
		access, step := Offer(screened(), profile(everyone), stranger, Settings{}, "")
		if step == nil || step.Conference.Mode != call.ByPIN {
			t.Fatalf("%s: a stranger is not asked for the PIN: %+v", name, access)
		}
		if first == nil {
			first = step
		}
		if !reflect.DeepEqual(step, first) {
			t.Errorf("%s: %+v; in another case %+v", name, step, first)
		}
	}
}

func TestForWhichCallsItIsOffered(t *testing.T) {
	forwarded := known("")
	forwarded.Forwarded = &call.Forward{Number: hana, Why: tel.Busy}
	for name, tt := range map[string]struct {
		when  account.ConferenceWhen
		why   tel.Why
		world call.World
		on    []call.Result
		first bool // offered before any phone
	}{
		"always, behind the phones":    {account.ConferenceWhen{}, "", known(""), []call.Result{call.NoAnswer, call.Busy, call.NotRegistered, call.Unreachable, call.Declined}, false},
		"busy, behind the phones":      {account.ConferenceWhen{Conditions: account.Conditions{Busy: true}}, "", known(""), []call.Result{call.Busy}, false},
		"always, forwarded":            {account.ConferenceWhen{}, tel.Busy, forwarded, nil, true},
		"forwarded alone":              {account.ConferenceWhen{Forwarded: true}, tel.Busy, forwarded, nil, true},
		"busy, and forwarded as busy":  {account.ConferenceWhen{Conditions: account.Conditions{Busy: true}}, tel.Busy, forwarded, nil, true},
		"the host is in his room":      {account.ConferenceWhen{Conditions: account.Conditions{Busy: true}}, tel.Busy, known(""), nil, true},
		"no answer, forwarded as busy": {account.ConferenceWhen{Conditions: account.Conditions{NoAnswer: true}}, tel.Busy, forwarded, nil, false},
	} {
		_, step := Offer(screened(), profile(func(c *account.Conference) { c.When = tt.when }), tt.world, Settings{}, tt.why)
		switch {
		case step == nil:
			if tt.first || tt.on != nil {
				t.Errorf("%s: it is not offered", name)
			}
		case !tt.first && tt.on == nil:
			t.Errorf("%s: it is offered", name)
		case !reflect.DeepEqual(step.On, tt.on) || (step.Conference.Why != "") != tt.first:
			t.Errorf("%s: offered on %v, why %q", name, step.On, step.Conference.Why)
		}
	}
}

func TestWhoseConferenceAForwardedCallIsFor(t *testing.T) {
	const other = "+14155550177"
	at := func(change func(*call.Arrival)) call.Arrival {
		a := call.Arrival{To: access, From: tel.Identity{Number: anna}}
		change(&a)
		return a
	}
	diversions := func(values ...string) func(*call.Arrival) {
		return func(a *call.Arrival) { a.Diversions = tel.ParseDiversions(values, "US") }
	}
	history := func(values ...string) func(*call.Arrival) {
		return func(a *call.Arrival) { a.History = tel.ParseHistory(values) }
	}
	const a, h = "<sip:" + other + "@x>;reason=unconditional", "<sip:+14155550100@x>;reason=user-busy"
	for name, tt := range map[string]struct {
		arrival call.Arrival
		first   call.Forward
	}{
		"the target of RFC 4458": {at(func(a *call.Arrival) { a.Target, a.Cause = "sip:+14155550100@cas.example;user=phone", 486 }), call.Forward{Source: "target", Number: hana, Why: tel.Busy}},
		"history, reason at the address that was left (RFC 7044)": {
			at(history("<sip:+14155550100@x?Reason=SIP%3Bcause%3D486>;index=1", "<sip:+18005550199@cas>;index=1.1")), call.Forward{Source: "history-info", Number: hana, Why: tel.Busy}},
		"history, cause at the address it was sent to (RFC 7544)": {
			at(history("<sip:+14155550100@x>;index=1", "<sip:+18005550199@cas;cause=408>;index=1.1;mp=1")), call.Forward{Source: "history-info", Number: hana, Why: tel.NoAnswer}},
		"two diversions, H newest":    {at(diversions(h, a)), call.Forward{Source: "diversion", Number: hana, Why: tel.Busy}},
		"two diversions, A newest":    {at(diversions(a, h)), call.Forward{Source: "diversion", Number: other, Why: tel.Unconditional}},
		"two diversions in one value": {at(diversions(h + ", " + a)), call.Forward{Source: "diversion", Number: hana, Why: tel.Busy}},
		"a national number, as tel:":  {at(diversions("<tel:(415)555-0100;phone-context=+1>;reason=no-answer")), call.Forward{Source: "diversion", Number: hana, Why: tel.NoAnswer}},
		"P-Called-Party-ID":           {at(func(a *call.Arrival) { a.Called = hana }), call.Forward{Source: "called-party", Number: hana}},
		"nothing but the number":      {at(func(*call.Arrival) {}), call.Forward{Source: "dialled", Number: access}},
	} {
		list := Candidates(tt.arrival, "US")
		if len(list) == 0 || list[0] != tt.first {
			t.Errorf("%s: %+v, want first %+v", name, list, tt.first)
		}
	}
	if list := Candidates(at(func(*call.Arrival) {}), "US"); len(list) != 2 || list[1].Source != "caller" || list[1].Number != anna {
		t.Errorf("a host who calls in: %+v", list)
	}
	for _, order := range [][]string{{h, a}, {a, h}} { // A is none of ours in these: both orders find H
		found := false
		for _, f := range Candidates(at(diversions(order...)), "US") {
			found = found || f.Number == hana
		}
		if !found {
			t.Errorf("diversions %v do not lead to H", order)
		}
	}
	if list := Originals(at(diversions(h, a)), "US"); len(list) != 2 || list[0].Number != other {
		t.Errorf("originals: %+v", list)
	}
	many := make([]string, 40)
	for i := range many {
		many[i] = h
	}
	if n := len(Candidates(at(diversions(many...)), "US")); n > maxCandidates {
		t.Errorf("%d numbers are looked up for one call", n)
	}
}

// Whoever calls from a shared number is nobody in particular, also when only a PIN lets him in.
func TestASharedNumberIsSoInThePlan(t *testing.T) {
	everyone := func(c *account.Conference) { c.Offer, c.PINHash = account.OfferEveryone, hash }
	for name, tt := range map[string]struct {
		change  func(*call.Arrival, *call.World)
		mode    call.ConferenceMode
		contact string
		shared  bool
	}{
		"a contact":            {func(_ *call.Arrival, w *call.World) { w.Contact.Shared = false }, call.ByKey, "anna", false},
		"recognised":           {func(*call.Arrival, *call.World) {}, call.ByKey, "anna", true},
		"doubtful":             {func(a *call.Arrival, _ *call.World) { a.Verdict.Likelihood = 0.9 }, call.ByPIN, "", true},
		"a stranger":           {func(_ *call.Arrival, w *call.World) { w.Contact = nil }, call.ByPIN, "", false},
		"the host's own phone": {func(_ *call.Arrival, w *call.World) { w.IsHost = true }, call.AsHost, "", false},
	} {
		a, w := screened(), known("")
		w.Contact.Shared = true
		tt.change(&a, &w)
		_, step := Offer(a, profile(everyone), w, Settings{}, tel.Busy)
		if step == nil || step.Conference.Mode != tt.mode || step.Conference.Contact != tt.contact || step.Conference.Shared != tt.shared {
			t.Errorf("%s: %+v, want %s, contact %q, shared %t", name, step, tt.mode, tt.contact, tt.shared)
		}
	}
}
