package treat

import (
	"reflect"
	"strings"
	"testing"

	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/call"
	"github.com/signalbox/signalbox/internal/call/calltest"
	"github.com/signalbox/signalbox/internal/tel"
)

// hostProfile is the profile of a host whom callers fetch, with voicemail for everything.
func hostProfile() *account.Profile {
	p := profile(everything)
	p.Conference = &account.Conference{Offer: account.OfferContacts, Room: account.RoomFetch, JoinKey: '1', MessageKey: '2', RepeatKey: '9'}
	return p
}

// TestWhoWinsAroundAConference is the order of the treatments for callers of a host, first those whom he knows.
func TestWhoWinsAroundAConference(t *testing.T) {
	inRoom := &call.Room{ID: "r", HostPresent: true}
	anna := &account.Contact{ID: "anna"}
	busy, gone := &call.Forward{Number: number, Why: tel.Busy}, &call.Forward{Number: number, Why: tel.Unreachable}
	for name, tt := range map[string]struct {
		world  call.World
		access bool // by an access number
		change func(*account.Profile)
		steps  string
	}{
		"a contact; the host is in his room":   {call.World{Contact: anna, Room: inRoom}, false, nil, "conference mailbox"},
		"a stranger; the host is in his room":  {call.World{Room: inRoom}, false, nil, "mailbox"},
		"a contact; sent on as busy":           {call.World{Contact: anna, Forwarded: busy}, true, nil, "conference mailbox"},
		"a stranger; sent on as busy":          {call.World{Forwarded: busy}, true, nil, "mailbox"},
		"a contact; sent on as not reachable":  {call.World{Contact: anna, Forwarded: gone}, true, nil, "ring conference mailbox"},
		"a stranger; sent on as not reachable": {call.World{Forwarded: gone}, true, nil, "ring mailbox"},
		"a contact; nobody has sent it on":     {call.World{Contact: anna}, false, nil, "ring conference mailbox"},
		"a stranger; nobody has sent it on":    {call.World{}, false, nil, "ring mailbox"},
		"a contact; conferences are off":       {call.World{Contact: anna, Room: inRoom}, false, func(p *account.Profile) { p.Conference = nil }, "ring mailbox"},
		"a contact; no voicemail":              {call.World{Contact: anna, Forwarded: busy}, true, func(p *account.Profile) { p.Voicemail = nil }, "conference"},
		"a stranger; no voicemail":             {call.World{Forwarded: busy}, true, func(p *account.Profile) { p.Voicemail = nil }, ""},
		"a contact whom a rule sends to voicemail": {call.World{Contact: anna, Room: inRoom}, false, func(p *account.Profile) {
			p.Rules = []account.Rule{{Callers: account.CallersAll, Do: account.RuleVoicemail}}
		}, "mailbox"},
		"a contact; voicemail takes no busy calls":     {call.World{Contact: anna, Room: inRoom}, false, func(p *account.Profile) { p.Voicemail.Conditions = account.Conditions{NoAnswer: true} }, "conference"},
		"a stranger; voicemail takes no busy calls":    {call.World{Room: inRoom}, false, func(p *account.Profile) { p.Voicemail.Conditions = account.Conditions{NoAnswer: true} }, ""},
		"the host calls in":                            {call.World{IsHost: true}, true, nil, "conference mailbox"},
		"a contact; the account is suspended, sent on": {call.World{Contact: anna, Forwarded: busy}, true, func(p *account.Profile) { p.Account.State = account.Suspended }, ""},
		"our own call to the host that has come back":  {call.World{Room: &call.Room{Calling: true}, Forwarded: busy, IsHost: true}, true, nil, "refuse"},
	} {
		p := hostProfile()
		if tt.change != nil {
			tt.change(p)
		}
		a := arrival()
		a.Evidence, a.Verdict = call.EvidenceToken, call.Verdict{Model: "rules-1"}
		if tt.access {
			a.Access = "+18005550199"
		}
		if strings.HasPrefix(name, "our own") {
			a.From.Number = number
			a.Diversions = tel.ParseDiversions([]string{"<sip:" + string(number) + "@x>;reason=user-busy"}, "US")
		}
		plan := Plan(a, p, tt.world, settings())
		var kinds []string
		for _, s := range plan.Steps {
			if s.Kind != call.StepNotice {
				kinds = append(kinds, string(s.Kind))
			}
		}
		if got := strings.Join(kinds, " "); got != tt.steps {
			t.Errorf("%s: %s, want %s", name, got, tt.steps)
		}
		if first, ok := plan.First(); !ok || len(first.On) != 0 {
			t.Errorf("%s: no first step that runs always: %+v", name, plan.Steps)
		}
	}
	if plan := Plan(call.Arrival{Access: "+18005550199"}, nil, call.World{}, settings()); plan.Steps[0].Refuse == nil || plan.Steps[0].Refuse.Code != 404 {
		t.Errorf("an access number without a host: %+v", plan.Steps)
	}
}

// TestWhoDoesNotJoinGoesOnAsThePhonesEnded: behind the phones, the step after the conference is that of the phones' result, in Plan, Run and explain.
func TestWhoDoesNotJoinGoesOnAsThePhonesEnded(t *testing.T) {
	p := hostProfile()
	p.Voicemail.Conditions = account.Conditions{NoAnswer: true}
	a := arrival()
	a.Evidence, a.Verdict = call.EvidenceToken, call.Verdict{Model: "rules-1"}
	plan := Plan(a, p, call.World{Contact: &account.Contact{ID: "anna"}}, settings())
	if i := next(plan, 1, call.NotJoined, call.NoAnswer); i < 0 || plan.Steps[i].Kind != call.StepMailbox {
		t.Errorf("nobody answered, not joined: step %d", i)
	}
	if i := next(plan, 1, call.NotJoined, call.Busy); i < 0 || plan.Steps[i].Kind != call.StepNotice {
		t.Errorf("busy, not joined: step %d", i)
	}
	var says []string
	for _, b := range Branches(plan) {
		if b.Step == 2 && b.Result == call.NotJoined {
			says = append(says, b.Says)
		}
	}
	want := []string{"when the phones ended no-answer: then step 3, cause=408 for the voicemail system", "when the phones ended busy: then step 5"}
	if len(says) != 5 || !reflect.DeepEqual(says[:2], want) {
		t.Errorf("explain says\n%q, want first\n%q", says, want)
	}
	var b strings.Builder
	if err := WriteText(&b, plan); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Conference: allowed (in-address-book)", "joins with key 1"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("explain does not say %q:\n%s", want, b.String())
		}
	}
}

// TestVoicemailIsToldOnceThatTheHostWasBusy: the host's own network has said so already.
func TestVoicemailIsToldOnceThatTheHostWasBusy(t *testing.T) {
	leg := &calltest.Leg{Answers: map[string]call.Result{vmA: call.Answered}}
	a := arrival("<sip:+14155550100@carrier>;reason=user-busy", "<sip:+14155550111@carrier>;reason=unconditional")
	a.Access = "+18005550199"
	world := call.World{Forwarded: &call.Forward{Number: number, Why: tel.Busy}}
	rec := call.Record{ID: "r", Arrival: a, Plan: Plan(a, hostProfile(), world, settings())}
	if _, err := Run(t.Context(), leg, rec, Tools{Settings: settings(), Resolver: &dns{}}); err != nil {
		t.Fatal(err)
	}
	for _, h := range leg.Orders[0].Headers {
		if h.Name != "Diversion" {
			continue
		}
		if list := tel.ParseDiversions([]string{h.Value}, "US"); len(list) != 2 || list[0].Number != number || list[0].Reason != "user-busy" {
			t.Errorf("Diversion: %s", h.Value)
		}
	}
	if v := leg.Orders[0].Voicemail; v.Cause != 486 || !strings.Contains(v.Target, string(number)) {
		t.Errorf("INVITE with target=%s;cause=%d", v.Target, v.Cause)
	}
}
