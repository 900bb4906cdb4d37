package account_test

import (
	"slices"
	"testing"
	"time"

	"github.com/signalbox/signalbox/internal/account"
)

func names(systems []account.VoicemailSystem) (out []string) {
	for _, s := range systems {
		out = append(out, s.FQDN)
	}
	return out
}

// TestEqualPrioritiesAreSharedByWeight draws 4,000 times: a share must lie within a tenth of what RFC 2782 says.
func TestEqualPrioritiesAreSharedByWeight(t *testing.T) {
	r := account.Route{
		Systems: []account.VoicemailSystem{{FQDN: "spare"}, {FQDN: "quarter"}, {FQDN: "none"}, {FQDN: "rest"}},
		Weights: []account.PilotSystem{{Priority: 20}, {Priority: 10, Weight: 25}, {Priority: 10}, {Priority: 10, Weight: 75}},
	}
	const draws = 4000
	first := map[string]int{}
	for draw := range uint64(draws) {
		order := names(r.In(time.Time{}, draw))
		if len(order) != 4 || order[3] != "spare" {
			t.Fatalf("draw %d gives %v: the higher priority number comes last", draw, order)
		}
		if again := names(r.In(time.Time{}, draw)); !slices.Equal(order, again) {
			t.Fatalf("draw %d gives %v, then %v", draw, order, again)
		}
		first[order[0]]++
	}
	if n := first["quarter"]; n < draws*22/100 || n > draws*28/100 {
		t.Errorf("a weight of 25 in 100 was first in %d of %d", n, draws)
	}
	if n := first["none"]; n > draws*5/100 {
		t.Errorf("a weight of 0 was first in %d of %d", n, draws)
	}
}

func TestRowsWithoutWeightsStayAsTheyStand(t *testing.T) {
	r := account.Route{Systems: []account.VoicemailSystem{{FQDN: "b"}, {FQDN: "a"}, {FQDN: "c"}}}
	for draw := range uint64(50) {
		if got := names(r.In(time.Time{}, draw)); !slices.Equal(got, []string{"b", "a", "c"}) {
			t.Fatalf("draw %d: %v", draw, got)
		}
	}
}

func TestRowsCountFromTheirTimeAndUntilIt(t *testing.T) {
	noon := time.Date(2026, 3, 29, 12, 0, 0, 0, time.UTC)
	r := account.Route{
		Systems: []account.VoicemailSystem{{FQDN: "old"}, {FQDN: "new"}},
		Weights: []account.PilotSystem{{Until: noon}, {From: noon}},
	}
	for at, want := range map[time.Time]string{noon.Add(-time.Nanosecond): "old", noon: "new"} {
		if got := names(r.In(at, 0)); !slices.Equal(got, []string{want}) {
			t.Errorf("at %s: %v, want %s alone", at, got, want)
		}
	}
}
