package sidecar_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/call"
	"github.com/signalbox/signalbox/internal/sidecar"
	"github.com/signalbox/signalbox/internal/store"
	"github.com/signalbox/signalbox/internal/tel"
	"github.com/signalbox/signalbox/internal/treat"
)

const ada, bea = tel.Number("+14155550100"), tel.Number("+14155550101")

// town is a directory of two subscribers: Ada, whose phone is 1000@pbx.example.net, and Bea, whose contact is +12125550123.
type town struct{ down bool }

var errTown = errors.New("the store is silent")

func (t town) Profile(_ context.Context, n tel.Number) (account.Profile, error) {
	p := account.Profile{Number: n, Account: account.Account{Tenant: "acme", ID: string(n)}, Voicemail: &account.Voicemail{Pilot: "+18056377243", FirstDiverter: true},
		Systems: []account.VoicemailSystem{{FQDN: "vm.example.net", Notifies: []netip.Prefix{netip.MustParsePrefix("192.0.2.9/32")}}},
		Rules:   []account.Rule{{Callers: account.CallersContacts, Do: account.RuleRing}}}
	if n != ada && n != bea {
		return p, store.ErrNotFound
	}
	return p, nil
}

func (t town) PilotRoute(_ context.Context, tenant, key string) (account.Route, error) {
	switch {
	case t.down:
		return account.Route{}, errTown
	case key == "+18056377243" && (tenant == "acme" || tenant == ""), key == "*99":
		return account.Route{Tenant: "acme", Pilot: key}, nil
	}
	return account.Route{}, store.ErrNotFound
}

func (t town) ContactsWith(_ context.Context, _, _ string, n tel.Number) ([]account.Contact, error) {
	switch {
	case t.down:
		return nil, errTown
	case n == "+12125550123":
		return []account.Contact{{ID: "mum"}}, nil
	case n == "+12125550177":
		return []account.Contact{{ID: "office"}, {ID: "anna"}}, nil
	case n == "+12125550180":
		return []account.Contact{{ID: "anna"}, {ID: "acme", Shared: true}}, nil
	}
	return nil, nil
}

func (t town) NumbersOf(_ context.Context, user, host string) ([]tel.Number, error) {
	switch {
	case t.down:
		return nil, errTown
	case user == "1000" && host == "pbx.example.net":
		return []tel.Number{ada}, nil
	}
	return nil, nil
}

func (t town) WaitingOf(context.Context, tel.Number) ([]store.Waiting, error) {
	return []store.Waiting{{System: "old.example.net", Counts: store.Counts{Old: 1}}, {System: "vm.example.net"}}, nil
}

func (t town) SchedulesOf(context.Context, string, tel.Number, time.Time) ([]account.Schedule, error) {
	return nil, nil
}

func look(t town, a call.Arrival, p *account.Profile) call.World {
	return sidecar.Around{Profiles: t, Directory: t}.Look(context.Background(), a, p, nil, "US", treat.Defaults())
}

func TestWhatIsKnownOfACallee(t *testing.T) {
	p, _ := town{}.Profile(t.Context(), bea)
	a := call.Arrival{To: bea, From: tel.Identity{Number: "+12125550123"}, Diversions: tel.ParseDiversions([]string{"<sip:+14155550100@pbx>;reason=unconditional"}, "US")}
	if w := look(town{}, a, &p); w.Contact == nil || w.Contact.ID != "mum" || w.First == nil || w.First.Number != ada || w.FromVoicemail != "" || w.ContactsDown {
		t.Errorf("known: %+v", w)
	}
	withheld := a
	withheld.From.Withheld = true
	if w := look(town{}, withheld, &p); w.Contact != nil {
		t.Error("a caller who withholds his number is known by it")
	}
	if w := look(town{down: true}, a, &p); !w.ContactsDown || w.Contact != nil {
		t.Errorf("the store is silent, and contacts are %+v", w)
	}
	for name, from := range map[string]call.Arrival{
		"by address": {Source: netip.MustParseAddrPort("192.0.2.9:5060")},
		"by From":    {FromHosts: []string{"VM.example.net"}},
	} {
		if w := look(town{}, from, &p); w.FromVoicemail != "vm.example.net" {
			t.Errorf("%s: a call of the voicemail system is not known as one", name)
		}
	}
}

func TestOfSeveralContactsWithANumberTheFirstCounts(t *testing.T) {
	core, logs := observer.New(zap.InfoLevel)
	p, _ := town{}.Profile(t.Context(), bea)
	w := sidecar.Around{Profiles: town{}, Directory: town{}, Logger: zap.New(core)}.Look(t.Context(), call.Arrival{To: bea, From: tel.Identity{Number: "+12125550177"}}, &p, nil, "US", treat.Defaults())
	if w.Contact == nil || w.Contact.ID != "office" {
		t.Errorf("the caller is %+v, want the contact that the store has first", w.Contact)
	}
	told := logs.FilterMessageSnippet("several contacts").All()
	if len(told) != 1 || told[0].ContextMap()["contact"] != "office" || strings.Contains(fmt.Sprint(told[0].ContextMap()), "5550177") {
		t.Errorf("the log says %+v, want once that there are several, without the number", told)
	}
}

// Whoever has a shared number too is one of many behind it: it is not his call.
func TestAContactThatIsSharedCountsBeforePeopleWithItsNumber(t *testing.T) {
	p, _ := town{}.Profile(t.Context(), bea)
	w := look(town{}, call.Arrival{To: bea, From: tel.Identity{Number: "+12125550180"}}, &p)
	if w.Contact == nil || w.Contact.ID != "acme" {
		t.Errorf("the caller is %+v, want the contact that is shared", w.Contact)
	}
}

// A phone proves its own numbers and no other, whatever it presents.
func TestWhoseNumberAPhonePresents(t *testing.T) {
	phone, strange := account.Device{User: "1000", Host: "pbx.example.net"}, account.Device{User: "2000", Host: "pbx.example.net"}
	for name, c := range map[string]struct {
		town town
		a    call.Arrival
		from tel.Number
		own  bool
	}{
		"the own number":          {town{}, call.Arrival{Line: phone, From: tel.Identity{User: string(ada), Number: ada}}, ada, true},
		"the user alone":          {town{}, call.Arrival{Line: phone, From: tel.Identity{User: "1000"}}, ada, true},
		"another user":            {town{}, call.Arrival{Line: phone, From: tel.Identity{User: "23"}}, "", false},
		"another number":          {town{}, call.Arrival{Line: phone, From: tel.Identity{User: string(bea), Number: bea}}, bea, false},
		"by a trunk":              {town{}, call.Arrival{Line: phone, Trunk: "carrier", From: tel.Identity{User: string(ada), Number: ada}}, ada, false},
		"withheld":                {town{}, call.Arrival{Line: phone, From: tel.Identity{User: "1000", Withheld: true}}, "", false},
		"a phone without numbers": {town{}, call.Arrival{Line: strange, From: tel.Identity{User: "2000"}}, "", false},
		"no phone":                {town{}, call.Arrival{From: tel.Identity{User: string(ada), Number: ada}}, ada, false},
		"the store is silent":     {town{down: true}, call.Arrival{Line: phone, From: tel.Identity{User: string(ada), Number: ada}}, ada, false},
	} {
		sidecar.Around{Profiles: c.town, Directory: c.town}.Caller(t.Context(), &c.a)
		if c.a.From.Number != c.from || c.a.OwnNumber != c.own {
			t.Errorf("%s: the number is %q, proven %t, want %q, %t", name, c.a.From.Number, c.a.OwnNumber, c.from, c.own)
		}
	}
}

func TestWhoDialsAPilotFromWhere(t *testing.T) {
	phone := account.Device{User: "1000", Host: "pbx.example.net"}
	for name, c := range map[string]struct {
		town    town
		a       call.Arrival
		pilot   string // "" = it is no retrieval
		ownLine bool
	}{
		"*86 from the own phone":           {town{}, call.Arrival{PilotsOnly: true, Dialled: "*86", Line: phone}, "+18056377243", true},
		"the own pilot":                    {town{}, call.Arrival{PilotsOnly: true, Dialled: "18056377243", To: "+18056377243", Line: phone}, "+18056377243", true},
		"the pilot from outside":           {town{}, call.Arrival{Dialled: "18056377243", To: "+18056377243"}, "+18056377243", false},
		"another pilot":                    {town{}, call.Arrival{PilotsOnly: true, Dialled: "*99", Line: phone}, "*99", false},
		"a phone of nobody's":              {town{}, call.Arrival{PilotsOnly: true, Dialled: "*86", Line: account.Device{User: "2000", Host: "pbx.example.net"}}, "", false},
		"no pilot":                         {town{}, call.Arrival{PilotsOnly: true, Dialled: "*98", Line: phone}, "", false},
		"the store is silent":              {town{down: true}, call.Arrival{PilotsOnly: true, Dialled: "*86", Line: phone}, "", false},
		"a number that claims to be Ada's": {town{}, call.Arrival{Dialled: "18056377243", To: "+18056377243", From: tel.Identity{Number: ada}}, "+18056377243", false},
	} {
		w := look(c.town, c.a, nil)
		pilot, own := "", false
		if r := w.Retrieves; r != nil {
			pilot, own = r.Route.Pilot, r.Line != nil
		}
		if pilot != c.pilot || own != c.ownLine {
			t.Errorf("%s: pilot %q, own line %v; want %q, %v", name, pilot, own, c.pilot, c.ownLine)
		}
		if own && (len(w.Waiting) != 1 || w.Waiting[0] != "old.example.net") {
			t.Errorf("%s: messages wait on %v", name, w.Waiting)
		}
	}
}
