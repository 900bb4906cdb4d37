package account

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"time"
)

// Route is a pilot with the systems behind it.
type Route struct {
	Tenant  string // whose pilot it is
	Pilot   string // E.164 or a short code
	Systems []VoicemailSystem
	Weights []PilotSystem // one for each of Systems; none = as Systems stand
}

// Route is where the messages of a number are: the pilot of its voicemail, "" when it has none.
func (p Profile) Route() Route {
	if p.Voicemail == nil {
		return Route{}
	}
	return Route{Tenant: p.Account.Tenant, Pilot: p.Voicemail.Pilot, Systems: p.Systems, Weights: p.Weights}
}

// In gives the systems whose rows count at a time, in the order to be tried: lower priorities first, equal ones shared by weight
// (RFC 2782). draw is a random number; the same one gives the same order.
func (r Route) In(now time.Time, draw uint64) []VoicemailSystem {
	type row struct {
		PilotSystem
		system VoicemailSystem
	}
	var rows []row
	for i, system := range r.Systems {
		place := PilotSystem{FQDN: system.FQDN}
		if i < len(r.Weights) {
			place = r.Weights[i]
		}
		if place.counts(now) {
			rows = append(rows, row{place, system})
		}
	}
	slices.SortStableFunc(rows, func(a, b row) int { return cmp.Compare(a.Priority, b.Priority) })
	random := rand.New(rand.NewPCG(draw, 0))
	var out []VoicemailSystem
	for len(rows) > 0 {
		equal, sum := 0, 0
		for equal < len(rows) && rows[equal].Priority == rows[0].Priority {
			sum += int(rows[equal].Weight)
			equal++
		}
		chosen := 0
		for left := random.IntN(sum + 1); chosen < equal-1 && int(rows[chosen].Weight) < left; chosen++ {
			left -= int(rows[chosen].Weight)
		}
		out = append(out, rows[chosen].system)
		rows = slices.Delete(rows, chosen, chosen+1)
	}
	return out
}

func (p PilotSystem) counts(now time.Time) bool {
	return (p.From.IsZero() || !now.Before(p.From)) && (p.Until.IsZero() || now.Before(p.Until))
}

// Wants reports whether a system wants to be told of a mailbox in one way.
func (s VoicemailSystem) Wants(e Evidence) bool {
	if len(s.Evidence) == 0 {
		return e != EvidenceMailbox
	}
	return slices.Contains(s.Evidence, e)
}
