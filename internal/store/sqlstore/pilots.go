package sqlstore

import (
	"cmp"
	"context"
	"slices"

	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/store"
)

// PilotRoute returns the pilot of a key with its systems.
func (s *Store) PilotRoute(ctx context.Context, tenant, key string) (account.Route, error) {
	route := account.Route{Pilot: key}
	err := s.reading(ctx, func(t tx) error {
		pilots := map[string]*account.PilotEntry{} // by tenant
		err := t.each("SELECT "+rowColumns+" FROM pilots WHERE key = ? AND (? = '' OR tenant IN (?, 'operator'))", func(scan scanner) error {
			r, err := readRow(account.KindPilot, scan)
			if err == nil {
				pilots[r.Tenant] = r.Entry.(*account.PilotEntry)
			}
			return err
		}, key, tenant, tenant)
		if err != nil {
			return err
		}
		at := tenant
		if pilots[at] == nil {
			at = account.OperatorTenant
		}
		if pilots[at] == nil && tenant == "" && len(pilots) == 1 {
			for at = range pilots {
			}
		}
		pilot := pilots[at]
		if pilot == nil {
			return store.ErrNotFound
		}
		route.Tenant = at
		order := slices.Clone(pilot.Systems)
		slices.SortStableFunc(order, func(a, b account.PilotSystemEntry) int { return cmp.Compare(a.Priority, b.Priority) })
		for _, row := range order {
			var system *account.SystemEntry
			err := t.each("SELECT "+rowColumns+" FROM voicemail_systems WHERE key = ? AND tenant IN (?, 'operator')", func(scan scanner) error {
				r, err := readRow(account.KindVoicemailSystem, scan)
				if err == nil && (system == nil || r.Tenant == at) {
					system = r.Entry.(*account.SystemEntry)
				}
				return err
			}, row.FQDN, at)
			if err != nil {
				return err
			}
			if system != nil {
				route.Systems, route.Weights = append(route.Systems, system.System()), append(route.Weights, row.System())
			}
		}
		return nil
	})
	if err != nil {
		return account.Route{}, s.one(ctx, err, "pilot %.64s", key)
	}
	return route, nil
}
