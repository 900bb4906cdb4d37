package sqlstore

import (
	"fmt"

	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/store"
)

// verify looks, after everything was written, whether each reference that may have been broken holds.
func (c *changing) verify() error {
	for _, check := range []func() error{c.accountsKnown, c.pilotsKnown, c.systemsKnown, c.onePassword, c.rulesFit, c.schedulesFit, c.accountsFree, c.pilotsStillServe} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

// puts hands on every row that was written, of one kind.
func puts[E account.Entry](c *changing, do func(*item, E)) {
	for _, i := range c.items {
		if e, ok := i.row.Entry.(E); ok && i.Op == store.Put && i.writes() {
			do(i, e)
		}
	}
}

// need is a key that must be there, for whoever refers to it.
type need struct {
	key, at, problem string
}

// missing adds a problem for each need whose key no row of a table has.
func (c *changing) missing(needs []need, table, where string) error {
	have, asked, keys := map[string]bool{}, map[string]bool{}, []string{}
	for _, n := range needs {
		if !asked[n.key] {
			asked[n.key] = true
			keys = append(keys, n.key)
		}
	}
	err := c.eachOf("key", table, where, keys, func(scan scanner) error {
		var key string
		err := scan(&key)
		have[key] = true
		return err
	}, c.tenant)
	for _, n := range needs {
		if !have[n.key] {
			c.bad.Add(n.at, n.problem)
		}
	}
	return err
}

func (c *changing) accountsKnown() error {
	var needs []need
	of := func(i *item, id string) {
		needs = append(needs, need{id, field(i.At, "account"), account.NoAccount(id)})
	}
	puts(c, func(i *item, e *account.NumberEntry) { of(i, e.Account) })
	puts(c, func(i *item, e *account.ContactEntry) { of(i, e.Account) })
	puts(c, func(i *item, e *account.RuleEntry) { of(i, e.Account) })
	puts(c, func(i *item, e *account.ScheduleEntry) { of(i, e.Account) })
	return c.missing(needs, "accounts", "tenant = ?")
}

func (c *changing) pilotsKnown() error {
	var needs []need
	visual := map[string][]string{} // pilots, and who wants class visual of them
	puts(c, func(i *item, e *account.NumberEntry) {
		if v := e.Voicemail; v != nil {
			needs = append(needs, need{v.Pilot, field(i.At, "voicemail.pilot"), account.NoPilot(v.Pilot)})
			if v.Class == account.Visual {
				visual[v.Pilot] = append(visual[v.Pilot], field(i.At, "voicemail.class"))
			}
		}
	})
	before := len(c.bad.Problems)
	err := c.missing(needs, "pilots", "tenant IN (?, 'operator')")
	if err != nil || len(c.bad.Problems) > before {
		return err
	}
	for pilot, wanted := range visual {
		_, serves, err := c.serves(c.tenant, pilot)
		if err != nil {
			return err
		}
		for _, at := range wanted {
			if !serves {
				c.bad.Add(at, account.NotVisual(pilot))
			}
		}
	}
	return nil
}

// serves reports whether a pilot is there for the numbers of a tenant, and serves class visual.
func (c *changing) serves(tenant, pilot string) (known, visual bool, err error) {
	of := ""
	err = c.each("SELECT tenant FROM pilots WHERE key = ? AND tenant IN (?, 'operator')", func(scan scanner) error {
		var t string
		err := scan(&t)
		if of != tenant {
			of = t
		}
		return err
	}, pilot, tenant)
	if err != nil || of == "" {
		return false, false, err
	}
	systems := map[string]*account.SystemEntry{}
	err = c.each(`SELECT v.tenant, v.key, v.version, v.updated, v.entry FROM pilot_systems s
		JOIN voicemail_systems v ON v.key = s.fqdn AND v.tenant IN (s.tenant, 'operator') WHERE s.tenant = ? AND s.pilot = ?`, func(scan scanner) error {
		r, err := readRow(account.KindVoicemailSystem, scan)
		if err == nil && (r.Tenant == of || systems[r.Key] == nil) {
			systems[r.Key] = r.Entry.(*account.SystemEntry)
		}
		return err
	}, of, pilot)
	for _, s := range systems {
		visual = visual || s.Visual
	}
	return true, visual, err
}

func (c *changing) systemsKnown() error {
	var needs []need
	puts(c, func(i *item, e *account.PilotEntry) {
		for j, s := range e.Systems {
			needs = append(needs, need{s.FQDN, field(i.At, fmt.Sprintf("systems[%d].fqdn", j)), account.NoSystem(s.FQDN)})
		}
	})
	if err := c.missing(needs, "voicemail_systems", "tenant IN (?, 'operator')"); err != nil {
		return err
	}
	for _, i := range c.of(account.KindVoicemailSystem) {
		if i.Op != store.Delete {
			continue
		}
		users, err := c.strings(`SELECT s.pilot FROM pilot_systems s WHERE s.fqdn = ? AND NOT EXISTS
			(SELECT 1 FROM voicemail_systems v WHERE v.key = s.fqdn AND v.tenant IN (s.tenant, 'operator')) ORDER BY s.pilot LIMIT 1`, i.Key)
		if err != nil {
			return err
		}
		if len(users) > 0 {
			return fmt.Errorf("voicemail system %s: %w by pilot %s: give that another system first", i.Key, store.ErrInUse, users[0])
		}
	}
	return nil
}

func (c *changing) rulesFit() error {
	accounts := map[string]string{} // with the path of a rule
	var numbers []string
	puts(c, func(i *item, e *account.RuleEntry) {
		accounts[e.Account] = i.At
		if e.For != "" {
			numbers = append(numbers, e.For)
		}
	})
	owner, err := c.owners(numbers)
	if err != nil {
		return err
	}
	puts(c, func(i *item, e *account.RuleEntry) {
		if e.For != "" && owner[e.For] != e.Account {
			c.bad.Add(field(i.At, "for"), account.NotItsNumber(e.Account, e.For))
		}
	})
	return c.notTooMany("rules", account.MaxRules, accounts, account.TooManyRules)
}

func (c *changing) schedulesFit() error {
	accounts := map[string]string{} // with the path of a schedule
	var numbers []string
	puts(c, func(i *item, e *account.ScheduleEntry) {
		accounts[e.Account] = i.At
		numbers = append(numbers, e.Number)
	})
	owner, err := c.owners(numbers)
	if err != nil {
		return err
	}
	puts(c, func(i *item, e *account.ScheduleEntry) {
		if owner[e.Number] != e.Account {
			c.bad.Add(field(i.At, "number"), account.NotItsNumber(e.Account, e.Number))
		}
	})
	return c.notTooMany("schedules", account.MaxSchedules, accounts, account.TooManySchedules)
}

// owners finds the accounts of numbers of the tenant.
func (c *changing) owners(numbers []string) (map[string]string, error) {
	owner := map[string]string{}
	err := c.eachOf("key, account", "numbers", "tenant = ?", numbers, func(scan scanner) error {
		var key, id string
		err := scan(&key, &id)
		owner[key] = id
		return err
	}, c.tenant)
	return owner, err
}

// notTooMany adds a problem for each account, with a path, that has more rows of a table than it may.
func (c *changing) notTooMany(table string, most int, accounts map[string]string, problem func(account string) string) error {
	for id, at := range accounts {
		var n int
		if err := c.row("SELECT count(*) FROM "+table+" WHERE tenant = ? AND account = ?", c.tenant, id).Scan(&n); err != nil {
			return err
		}
		if n > most {
			c.bad.Add(at, problem(id))
		}
	}
	return nil
}

// accountsFree looks whether accounts that were removed have numbers.
func (c *changing) accountsFree() error {
	for _, i := range c.of(account.KindAccount) {
		if i.Op != store.Delete {
			continue
		}
		numbers, err := c.strings("SELECT key FROM numbers WHERE tenant = ? AND account = ? ORDER BY key LIMIT 1", c.tenant, i.Key)
		if err != nil {
			return err
		}
		if len(numbers) > 0 {
			return fmt.Errorf("account %s: %w: number %s belongs to it, remove that first", i.Key, store.ErrInUse, numbers[0])
		}
	}
	return nil
}

// pilotsStillServe looks whether the numbers of pilots that were removed or changed, themselves or by their systems, find what
// they had.
func (c *changing) pilotsStillServe() error {
	at := map[string]*item{} // the pilots, and which change concerns each
	for _, i := range c.items {
		switch {
		case !i.writes() || i.was == nil:
		case i.Kind == account.KindPilot:
			at[i.Key] = i
		case i.Kind == account.KindVoicemailSystem && i.was.Entry.(*account.SystemEntry).Visual:
			pilots, err := c.strings("SELECT DISTINCT pilot FROM pilot_systems WHERE fqdn = ?", i.Key)
			if err != nil {
				return err
			}
			for _, p := range pilots {
				at[p] = i
			}
		}
	}
	for pilot, i := range at {
		for _, class := range []account.Class{account.Basic, account.Visual} {
			if err := c.pilotServes(pilot, class, i); err != nil {
				return err
			}
		}
	}
	return nil
}

// pilotServes looks at the numbers of one pilot and class, one of each tenant.
func (c *changing) pilotServes(pilot string, class account.Class, i *item) error {
	for tenant := ""; ; {
		next, err := c.strings("SELECT tenant FROM numbers WHERE pilot = ? AND class = ? AND tenant > ? ORDER BY tenant LIMIT 1", pilot, string(class), tenant)
		if err != nil || len(next) == 0 {
			return err
		}
		tenant = next[0]
		known, visual, err := c.serves(tenant, pilot)
		switch {
		case err != nil:
			return err
		case known && (visual || class != account.Visual):
			continue
		}
		whose := "numbers"
		if tenant != c.tenant {
			whose = "numbers of other tenants"
		}
		if known {
			return fmt.Errorf("%s %s: %w: %s with class visual need a system of pilot %s that supports it", i.Kind, i.Key, store.ErrInUse, whose, pilot)
		}
		return fmt.Errorf("pilot %s: %w by %s", pilot, store.ErrInUse, whose)
	}
}
