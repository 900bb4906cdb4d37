package storetest

import (
	"errors"
	"testing"

	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/store"
)

var pilotTests = []test{{"PilotIsTheTenantsOwnOrTheOperators", pilotRoute}}

func pilotRoute(t *testing.T, s store.Store) {
	apply(t, s, Small())
	for tenant, pilots := range map[string][]string{"acme": {"*86", "+18055550001"}, "other": {"+18055550002"}, "third": {"+18055550002"}} {
		d := account.Document{Tenant: tenant, VoicemailSystems: []account.SystemEntry{{FQDN: "vm." + tenant + ".example"}}}
		for _, p := range pilots {
			d.Pilots = append(d.Pilots, account.PilotEntry{Number: p, Systems: []account.PilotSystemEntry{{FQDN: "vm." + tenant + ".example"}}})
		}
		apply(t, s, d)
	}
	for _, c := range []struct{ tenant, key, want string }{
		{"acme", "*86", "acme vm.acme.example"},
		{"other", "*86", "operator vm-a.example.net"},
		{"", "*86", "operator vm-a.example.net"},
		{"", "+18055550001", "acme vm.acme.example"},
		{"other", "+18055550001", ""},
		{"", "+18055550002", ""}, // which of two tenants' is meant nobody knows
		{"", "*87", ""},
	} {
		r, err := s.PilotRoute(t.Context(), c.tenant, c.key)
		got := ""
		if err == nil {
			got = r.Tenant + " " + r.Systems[0].FQDN
		}
		if got != c.want || (c.want == "") != errors.Is(err, store.ErrNotFound) {
			t.Errorf("tenant %q dials %s: %q, %v; want %q", c.tenant, c.key, got, err, c.want)
		}
	}
	if r, err := s.PilotRoute(t.Context(), "", "*86"); err != nil || len(r.Systems) != 2 || len(r.Weights) != 2 || r.Weights[0].Priority != 10 {
		t.Errorf("route %+v, %v", r, err)
	}
}
