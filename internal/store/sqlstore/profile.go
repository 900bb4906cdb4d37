package sqlstore

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/store"
	"github.com/signalbox/signalbox/internal/tel"
)

// profileQuery reads every row that a profile is made of, which is one moment's because it is one statement. Pilots and systems
// come of both the tenant and the operator: profileRows chooses.
const profileQuery = `WITH n AS (SELECT tenant, key, account, pilot, version, entry FROM numbers WHERE key = ?)
	SELECT 'number', n.tenant, n.version, coalesce(t.least, 0), n.entry FROM n LEFT JOIN tenants t ON t.tenant = n.tenant
	UNION ALL SELECT 'account', a.tenant, a.version, a.rules_version, a.entry
		FROM n JOIN accounts a ON a.tenant = n.tenant AND a.key = n.account
	UNION ALL SELECT 'rule', r.tenant, r.version, 0, r.entry
		FROM n JOIN rules r ON r.tenant = n.tenant AND r.account = n.account WHERE r.number IS NULL OR r.number = n.key
	UNION ALL SELECT 'pilot', p.tenant, p.version, 0, p.entry
		FROM n JOIN pilots p ON p.key = n.pilot AND p.tenant IN (n.tenant, 'operator')
	UNION ALL SELECT 'voicemail_system', v.tenant, v.version, 0, v.entry
		FROM n JOIN pilot_systems s ON s.pilot = n.pilot AND s.tenant IN (n.tenant, 'operator')
		JOIN voicemail_systems v ON v.key = s.fqdn AND v.tenant IN (s.tenant, 'operator')`

// profileRows are the rows of profileQuery.
type profileRows struct {
	tenant  string
	number  *account.NumberEntry
	account *account.AccountEntry
	rules   []*account.RuleEntry
	pilots  map[string]*account.PilotEntry             // by tenant
	systems map[string]map[string]*account.SystemEntry // by tenant and FQDN
	version map[any]int64                              // of each entry
}

// Profile reads all that a call to the number needs.
func (s *Store) Profile(ctx context.Context, number tel.Number) (account.Profile, error) {
	r, err := s.profileRows(ctx, number)
	if err != nil {
		return account.Profile{}, s.fail(ctx, err, "profile of %s", number.Masked())
	}
	if r.number == nil {
		return account.Profile{}, store.ErrNotFound
	}
	if r.account == nil {
		return account.Profile{}, fmt.Errorf("profile of %s: its account %s is missing", number.Masked(), r.number.Account)
	}
	return r.profile(), nil
}

func (s *Store) profileRows(ctx context.Context, number tel.Number) (*profileRows, error) {
	db, err := s.place.Reader(ctx)
	if err != nil {
		return nil, err
	}
	rows, err := db.QueryContext(ctx, s.profile, string(number))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	out := &profileRows{pilots: map[string]*account.PilotEntry{}, systems: map[string]map[string]*account.SystemEntry{}, version: map[any]int64{}}
	for rows.Next() {
		var kind account.Kind
		var tenant string
		var version, more int64
		var text []byte
		if err := rows.Scan(&kind, &tenant, &version, &more, &text); err != nil {
			return nil, err
		}
		entry, err := account.DecodeEntry(kind, text)
		if err != nil {
			return nil, err
		}
		out.version[entry] = max(version, more)
		switch e := entry.(type) {
		case *account.NumberEntry:
			out.tenant, out.number = tenant, e
		case *account.AccountEntry:
			out.account = e
		case *account.RuleEntry:
			out.rules = append(out.rules, e)
		case *account.PilotEntry:
			out.pilots[tenant] = e
		case *account.SystemEntry:
			if out.systems[tenant] == nil {
				out.systems[tenant] = map[string]*account.SystemEntry{}
			}
			out.systems[tenant][e.FQDN] = e
		}
	}
	return out, rows.Err()
}

func (r *profileRows) profile() account.Profile {
	p := r.number.Profile()
	p.Account = r.account.Of(r.tenant)
	p.Version = max(r.version[r.number], r.version[r.account])
	r.addRules(&p)
	if p.Voicemail == nil {
		return p
	}
	at := r.tenant
	if r.pilots[at] == nil {
		at = account.OperatorTenant
	}
	pilot := r.pilots[at]
	if pilot == nil {
		return p
	}
	p.Version = max(p.Version, r.version[pilot])
	order := slices.Clone(pilot.Systems)
	slices.SortStableFunc(order, func(a, b account.PilotSystemEntry) int { return cmp.Compare(a.Priority, b.Priority) })
	for _, row := range order {
		system := r.systems[at][row.FQDN]
		if system == nil {
			system = r.systems[account.OperatorTenant][row.FQDN]
		}
		if system != nil {
			p.Systems, p.Weights = append(p.Systems, system.System()), append(p.Weights, row.System())
			p.Version = max(p.Version, r.version[system])
		}
	}
	return p
}

// addRules takes the rules of the number, or those of its account when it has none of its own.
func (r *profileRows) addRules(p *account.Profile) {
	own := slices.ContainsFunc(r.rules, func(e *account.RuleEntry) bool { return e.For != "" })
	for _, e := range r.rules {
		if (e.For != "") == own {
			p.Rules = append(p.Rules, e.Rule())
			p.Version = max(p.Version, r.version[e])
		}
	}
	slices.SortFunc(p.Rules, func(a, b account.Rule) int { return cmp.Or(cmp.Compare(a.Order, b.Order), cmp.Compare(a.ID, b.ID)) })
}
