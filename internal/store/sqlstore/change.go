package sqlstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/store"
)

// item is one change under way.
type item struct {
	store.Change
	was *store.Row // what is kept; nil = nothing
	row store.Row  // what will be
}

// writes reports whether the store has to be changed for the item.
func (i *item) writes() bool {
	return i.Op == store.Delete || i.was == nil || !account.Same(i.was.Entry, i.row.Entry)
}

// changing is one transaction of changes.
type changing struct {
	tx
	tenant   string
	now      time.Time
	mayMove  bool // numbers move between accounts without being asked for by version
	revision int64
	items    []*item
	bad      account.Invalid
	files    int // that became unwanted
}

// errPreview ends a transaction that was only to be tried.
var errPreview = errors.New("preview")

// Change does all changes or none.
func (s *Store) Change(ctx context.Context, tenant string, changes []store.Change, now time.Time) ([]store.Row, error) {
	if len(changes) > store.MaxChanges {
		return nil, fmt.Errorf("%d changes, at most %d at once", len(changes), store.MaxChanges)
	}
	items, err := normalize(tenant, changes)
	if err != nil {
		return nil, err
	}
	c := &changing{tenant: tenant, now: now}
	err = s.changing(ctx, c, func() error { return c.do(items) })
	if err != nil {
		return nil, s.failChange(ctx, err)
	}
	rows := make([]store.Row, len(items))
	for i, item := range items {
		rows[i] = item.row
	}
	return rows, nil
}

// failChange gives errors of changes their meaning; those of this package have it.
func (s *Store) failChange(ctx context.Context, err error) error {
	var invalid *account.Invalid
	if errors.As(err, &invalid) || errors.Is(err, store.ErrConflict) || errors.Is(err, store.ErrInUse) || errors.Is(err, store.ErrNotFound) {
		return err
	}
	return s.fail(ctx, err, "provisioning")
}

// normalize checks changes by themselves.
func normalize(tenant string, changes []store.Change) ([]*item, error) {
	var bad account.Invalid
	account.CheckTenant(tenant, &bad)
	items, seen := make([]*item, 0, len(changes)), map[string]bool{}
	for _, c := range changes {
		switch c.Op {
		case store.Put:
			if c.Entry == nil {
				return nil, errors.New("a put without an entry")
			}
			c.Entry = account.NormalizeEntry(c.Entry, c.At, &bad)
			c.Kind, c.Key = c.Entry.Kind(), c.Entry.Key()
		case store.Delete:
			if _, err := tableOf(c.Kind); err != nil {
				return nil, err
			}
		default:
			return nil, fmt.Errorf("%.80q is no operation", c.Op)
		}
		if id := string(c.Kind) + " " + c.Key; seen[id] {
			bad.Add(c.At, id+" is changed twice at once")
		} else {
			seen[id] = true
		}
		items = append(items, &item{Change: c})
	}
	return items, bad.Err()
}

// changing runs do in a transaction that no other change runs beside.
func (s *Store) changing(ctx context.Context, c *changing, do func() error) error {
	select {
	case <-s.turn:
		defer func() { s.turn <- struct{}{} }()
	case <-ctx.Done():
		return ctx.Err()
	}
	db, err := s.place.Writer(ctx)
	if err != nil {
		return err
	}
	t, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = t.Rollback() }()
	c.tx = tx{t, ctx, &s.dialect}
	if err := c.row("SELECT revision FROM revision" + s.dialect.Lock).Scan(&c.revision); err != nil {
		return err
	}
	if err := do(); err != nil {
		return err
	}
	return t.Commit()
}

// do makes the changes in the open transaction.
func (c *changing) do(items []*item) error {
	c.items = items
	if err := c.read(); err != nil {
		return err
	}
	if err := c.compare(); err != nil {
		return err
	}
	if err := c.bad.Err(); err != nil {
		return err
	}
	if !slices.ContainsFunc(items, (*item).writes) {
		return nil
	}
	c.revision++
	if err := c.exec("UPDATE revision SET revision = ?", c.revision); err != nil {
		return err
	}
	if err := c.exec("INSERT INTO tenants (tenant, least) VALUES (?, 0) ON CONFLICT (tenant) DO NOTHING", c.tenant); err != nil {
		return err
	}
	if err := c.writeAll(); err != nil {
		return err
	}
	if err := c.verify(); err != nil {
		return err
	}
	if err := c.bad.Err(); err != nil {
		return err
	}
	if err := c.log(); err != nil {
		return err
	}
	if c.dialect.Notify != "" {
		return c.exec(c.dialect.Notify, c.revision)
	}
	return nil
}

// of returns the items of a kind.
func (c *changing) of(kind account.Kind) []*item {
	var out []*item
	for _, i := range c.items {
		if i.Kind == kind {
			out = append(out, i)
		}
	}
	return out
}

// read finds what is kept of every row that is to change. Numbers are looked for with all tenants.
func (c *changing) read() error {
	for _, kind := range account.Kinds {
		items := c.of(kind)
		byKey, keys := make(map[string]*item, len(items)), make([]string, 0, len(items))
		for _, i := range items {
			byKey[i.Key] = i
			keys = append(keys, i.Key)
		}
		where, args := "tenant = ?", []any{c.tenant}
		if kind == account.KindNumber {
			where, args = "true", nil
		}
		err := c.eachOf(rowColumns, tables[kind].name, where, keys, func(scan scanner) error {
			r, err := readRow(kind, scan)
			if err == nil {
				byKey[r.Key].was = &r
			}
			return err
		}, args...)
		if err != nil {
			return err
		}
	}
	return nil
}

// compare asks whether each change may be made of what is kept, and says what will be.
func (c *changing) compare() error {
	for _, i := range c.items {
		if i.was != nil && i.was.Tenant != c.tenant { // a number
			if i.Op == store.Put {
				c.bad.Add(field(i.At, "number"), "number "+i.Key+" belongs to somebody else already")
				continue
			}
			i.was = nil
		}
		if i.Op == store.Put {
			var before account.Entry
			if i.was != nil {
				before = i.was.Entry
			}
			i.Entry = account.KeepSecrets(i.Entry, before)
		}
		if i.Op == store.Put && i.Kind == account.KindNumber && i.was != nil && !c.mayTake(i) {
			continue
		}
		have := int64(0)
		if i.was != nil {
			have = i.was.Version
		}
		if i.IfVersion != nil && *i.IfVersion != have {
			return &store.ConflictError{Kind: i.Kind, Key: i.Key, Version: have}
		}
		switch {
		case i.Op == store.Put && i.was != nil && account.Same(i.was.Entry, i.Entry):
			i.row = *i.was
		case i.Op == store.Put:
			i.row = store.Row{Tenant: c.tenant, Kind: i.Kind, Key: i.Key, Version: c.revision + 1, Updated: c.now.UTC(), Entry: i.Entry}
		case i.was == nil:
			return fmt.Errorf("%s %.64s: %w", i.Kind, i.Key, store.ErrNotFound)
		default:
			i.row = *i.was
			i.row.Version = 0
		}
	}
	return nil
}

// mayTake reports whether a number may be put with the account that the entry names.
func (c *changing) mayTake(i *item) bool {
	was, is := i.was.Entry.(*account.NumberEntry).Account, i.Entry.(*account.NumberEntry).Account
	knows := i.IfVersion != nil && *i.IfVersion != 0
	if was == is || c.mayMove || knows {
		return true
	}
	c.bad.Add(field(i.At, "account"), fmt.Sprintf("number %s belongs to account %s already; only a complete document with prune: true, or a change of that version of it, moves it", i.Key, was))
	return false
}

// field is the path of a field of a row.
func field(at, name string) string {
	if at == "" {
		return name
	}
	return at + "." + name
}

func encode(e account.Entry) (string, error) {
	text, err := json.Marshal(e)
	if err != nil {
		return "", fmt.Errorf("%s: %w", e.Line(), err)
	}
	return string(text), nil
}

// writeAll writes what is different: rows others refer to before those that refer to them, and removes in the other order.
func (c *changing) writeAll() error {
	leaving, err := c.leaves()
	if err != nil {
		return err
	}
	for _, kind := range account.Kinds {
		var rows []store.Row
		for _, i := range c.of(kind) {
			if i.Op == store.Put && i.writes() {
				rows = append(rows, i.row)
			}
		}
		if err := c.write(kind, rows); err != nil {
			return err
		}
	}
	if err := c.writeParts(); err != nil {
		return err
	}
	for _, kind := range slices.Backward(account.Kinds) {
		var keys []string
		for _, i := range c.of(kind) {
			if i.Op == store.Delete {
				keys = append(keys, i.Key)
			}
		}
		for part := range portions(keys) {
			err := c.exec("DELETE FROM "+tables[kind].name+" WHERE tenant = ? AND key IN ("+marks(len(part))+")", append([]any{c.tenant}, anys(part)...)...)
			if err != nil {
				return err
			}
		}
	}
	if err := c.forgetAccounts(); err != nil {
		return err
	}
	return c.unwant(leaving)
}

// writeParts writes what stands in tables of its own beside a row, and what a row takes with it.
func (c *changing) writeParts() error {
	if err := c.numberNames(); err != nil {
		return err
	}
	accounts := map[string]bool{} // whose rules changed
	var contacts []*account.ContactEntry
	for _, i := range c.items {
		if !i.writes() {
			continue
		}
		var err error
		switch e := i.row.Entry.(type) {
		case *account.PilotEntry:
			if i.Op == store.Put {
				err = c.pilotSystems(e)
			} else {
				err = c.shown()
			}
		case *account.SystemEntry:
			if i.Op == store.Delete {
				err = c.shown()
			}
		case *account.ContactEntry:
			if i.Op == store.Put {
				contacts = append(contacts, e)
			}
		case *account.RuleEntry:
			accounts[e.Account] = true
		case *account.NumberEntry:
			if i.was != nil && i.was.Entry.(*account.NumberEntry).Account != e.Account {
				err = c.leavesAccount(i)
			}
		}
		if err != nil {
			return err
		}
	}
	if err := c.contactNumbers(contacts); err != nil {
		return err
	}
	if err := c.tombstones(); err != nil {
		return err
	}
	for id := range accounts {
		if err := c.exec("UPDATE accounts SET rules_version = ? WHERE tenant = ? AND key = ?", c.revision, c.tenant, id); err != nil {
			return err
		}
	}
	return nil
}

// leavesAccount removes what a number that goes to another account had with the one before: its rules, its schedules, and what is said of the
// messages of him who had it, with which the lamp of the next one would be lit.
func (c *changing) leavesAccount(i *item) error {
	for _, table := range []string{"rules", "schedules"} {
		if err := c.exec("DELETE FROM "+table+" WHERE tenant = ? AND account = ? AND number = ?", c.tenant, i.was.Entry.(*account.NumberEntry).Account, i.Key); err != nil {
			return err
		}
	}
	if err := c.moved(i.Key, namesOf(i.was.Entry), namesOf(i.row.Entry)); err != nil {
		return err
	}
	return c.exec("DELETE FROM waiting WHERE number = ?", i.Key)
}

// shown raises the least version of every profile of the tenant: where its own pilot or system goes, the operator's shows, whose
// version may be lower.
func (c *changing) shown() error {
	return c.exec("UPDATE tenants SET least = ? WHERE tenant = ?", c.revision, c.tenant)
}

func (c *changing) pilotSystems(p *account.PilotEntry) error {
	err := c.exec("DELETE FROM pilot_systems WHERE tenant = ? AND pilot = ?", c.tenant, p.Number)
	for _, s := range p.Systems {
		if err == nil {
			err = c.exec("INSERT INTO pilot_systems (tenant, pilot, fqdn) VALUES (?, ?, ?)", c.tenant, p.Number, s.FQDN)
		}
	}
	return err
}

// contactNumbers writes the numbers by which contacts are found.
func (c *changing) contactNumbers(contacts []*account.ContactEntry) error {
	type found struct{ account, number, contact string }
	keys, all := make([]string, 0, len(contacts)), make([]found, 0, len(contacts))
	for _, e := range contacts {
		keys = append(keys, e.Key())
		for _, n := range e.Numbers {
			all = append(all, found{e.Account, n, e.Key()})
		}
	}
	for part := range portions(keys) {
		if err := c.exec("DELETE FROM contact_numbers WHERE tenant = ? AND contact IN ("+marks(len(part))+")", append([]any{c.tenant}, anys(part)...)...); err != nil {
			return err
		}
	}
	for part := range portions(all) {
		args := make([]any, 0, 4*len(part))
		for _, f := range part {
			args = append(args, c.tenant, f.account, f.number, f.contact)
		}
		values := strings.TrimSuffix(strings.Repeat("(?, ?, ?, ?), ", len(part)), ", ")
		if err := c.exec("INSERT INTO contact_numbers (tenant, account, number, contact) VALUES "+values, args...); err != nil {
			return err
		}
	}
	return nil
}
