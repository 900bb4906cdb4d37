package sidecar_test

import (
	"context"
	"testing"

	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/call"
	"github.com/signalbox/signalbox/internal/sidecar"
	"github.com/signalbox/signalbox/internal/tel"
)

// hosting is the town with conferences, of which Ada's goes to whom the caller dialled first.
type hosting struct{ town }

func (h hosting) Profile(ctx context.Context, n tel.Number) (account.Profile, error) {
	p, err := h.town.Profile(ctx, n)
	p.Conference = &account.Conference{Host: account.HostNewest}
	if n == ada {
		p.Conference.Host = account.HostOriginal
	}
	return p, err
}

func TestWhoseConferenceACallToAnAccessNumberIs(t *testing.T) {
	const access = tel.Number("+18005550199")
	around := sidecar.Around{Profiles: hosting{}, Directory: hosting{}, Access: map[tel.Number]bool{access: true}}
	by := func(values ...string) []tel.Diversion { return tel.ParseDiversions(values, "US") }
	const adas, beas, stranger = "<sip:+14155550100@x>;reason=user-busy", "<sip:+14155550101@x>;reason=no-answer", "<sip:+14155559999@x>;reason=unconditional"
	for name, tt := range map[string]struct {
		a    call.Arrival
		host tel.Number // "" = nobody
		from string     // "" = nobody sent it on
	}{
		"one of ours":                                {call.Arrival{To: access, Diversions: by(adas)}, ada, "diversion"},
		"a stranger, then ours":                      {call.Arrival{To: access, Diversions: by(stranger, adas)}, ada, "diversion"},
		"ours, then a stranger":                      {call.Arrival{To: access, Diversions: by(adas, stranger)}, ada, "diversion"},
		"two of ours, the newest wants the newest":   {call.Arrival{To: access, Diversions: by(beas, adas)}, bea, "diversion"},
		"two of ours, the newest wants the original": {call.Arrival{To: access, Diversions: by(adas, beas)}, bea, "diversion"},
		"the target before the diversion":            {call.Arrival{To: access, Target: "sip:+14155550101@x", Cause: 486, Diversions: by(stranger)}, bea, "target"},
		"a host who calls in":                        {call.Arrival{To: access, From: tel.Identity{Number: ada}}, ada, ""},
		"a stranger who calls it":                    {call.Arrival{To: access, From: tel.Identity{Number: "+14155559999"}}, "", ""},
		"the host's own number, sent on by it":       {call.Arrival{To: ada, Diversions: by(adas)}, ada, "diversion"},
		"the host's own number":                      {call.Arrival{To: ada, Diversions: by(stranger)}, ada, ""},
		"nobody's number":                            {call.Arrival{To: "+14155559999", Diversions: by(adas)}, "", ""},
	} {
		a := tt.a
		p, from, err := around.Subscriber(t.Context(), &a, "US")
		host, source := tel.Number(""), ""
		if p != nil {
			host = p.Number
		}
		if from != nil {
			source = from.Source
		}
		if err != nil || host != tt.host || source != tt.from {
			t.Errorf("%s: %s by %q, %v; want %s by %q", name, host, source, err, tt.host, tt.from)
		}
		if (a.Access != "") != (tt.a.To == access) || p != nil && a.To != tt.host {
			t.Errorf("%s: the arrival is at %s, access %s", name, a.To, a.Access)
		}
	}
}
