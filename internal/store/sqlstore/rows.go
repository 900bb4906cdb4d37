package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/store"
)

// table is where a kind of row is kept: its name, the columns beside those that every table has, and their values.
type table struct {
	name    string
	columns []string
	values  func(account.Entry) []any
	account bool // it has a column account
}

func none(account.Entry) []any { return nil }

var tables = map[account.Kind]table{
	account.KindAccount:         {name: "accounts", values: none},
	account.KindVoicemailSystem: {name: "voicemail_systems", values: none},
	account.KindPilot:           {name: "pilots", values: none},
	account.KindNumber: {name: "numbers", columns: []string{"account", "pilot", "class"}, account: true, values: func(e account.Entry) []any {
		n := e.(*account.NumberEntry)
		if n.Voicemail == nil {
			return []any{n.Account, nil, ""}
		}
		return []any{n.Account, n.Voicemail.Pilot, string(n.Voicemail.Class)}
	}},
	account.KindContact: {name: "contacts", columns: []string{"account"}, account: true, values: func(e account.Entry) []any {
		return []any{e.(*account.ContactEntry).Account}
	}},
	account.KindRule: {name: "rules", columns: []string{"account", "number"}, account: true, values: func(e account.Entry) []any {
		r := e.(*account.RuleEntry)
		return []any{r.Account, sql.NullString{String: r.For, Valid: r.For != ""}}
	}},
	account.KindSchedule: {name: "schedules", columns: []string{"account", "number", "until"}, account: true, values: func(e account.Entry) []any {
		s := e.(*account.ScheduleEntry)
		return []any{s.Account, s.Number, s.Until.UnixNano()}
	}},
}

func tableOf(kind account.Kind) (table, error) {
	t, ok := tables[kind]
	if !ok {
		return table{}, fmt.Errorf("%.80q is no kind of row", kind)
	}
	return t, nil
}

const rowColumns = "tenant, key, version, updated, entry"

// readRow reads rowColumns.
func readRow(kind account.Kind, scan scanner) (store.Row, error) {
	r := store.Row{Kind: kind}
	var updated int64
	var text []byte
	if err := scan(&r.Tenant, &r.Key, &r.Version, &updated, &text); err != nil {
		return r, err
	}
	r.Updated = time.Unix(0, updated).UTC()
	var err error
	if r.Entry, err = account.DecodeEntry(kind, text); err != nil {
		return r, fmt.Errorf("%s %s of tenant %s: %w", kind, r.Key, r.Tenant, err)
	}
	return r, nil
}

// Get returns one row.
func (s *Store) Get(ctx context.Context, tenant string, kind account.Kind, key string) (store.Row, error) {
	t, err := tableOf(kind)
	if err != nil {
		return store.Row{}, err
	}
	db, err := s.place.Reader(ctx)
	if err != nil {
		return store.Row{}, s.fail(ctx, err, "%s %.64s", kind, key)
	}
	r, err := readRow(kind, db.QueryRowContext(ctx, s.dialect.rebind("SELECT "+rowColumns+" FROM "+t.name+" WHERE tenant = ? AND key = ?"), tenant, key).Scan)
	if errors.Is(err, sql.ErrNoRows) {
		return store.Row{}, fmt.Errorf("%s %.64s: %w", kind, key, store.ErrNotFound)
	}
	if err != nil {
		return store.Row{}, s.fail(ctx, err, "%s %.64s", kind, key)
	}
	return r, nil
}

// List returns rows by key.
func (s *Store) List(ctx context.Context, tenant string, kind account.Kind, opt store.ListOptions) ([]store.Row, error) {
	t, err := tableOf(kind)
	if err != nil {
		return nil, err
	}
	if opt.Limit == 0 {
		opt.Limit = 100
	}
	query, args := "SELECT "+rowColumns+" FROM "+t.name+" WHERE tenant = ? AND key > ?", []any{tenant, opt.After}
	if opt.Account != "" {
		if !t.account {
			return nil, fmt.Errorf("rows of kind %s have no account", kind)
		}
		query, args = query+" AND account = ?", append(args, opt.Account)
	}
	args = append(args, min(max(opt.Limit, 1), store.MaxList))
	var out []store.Row
	err = s.reading(ctx, func(t tx) error {
		return t.each(query+" ORDER BY key LIMIT ?", func(scan scanner) error {
			r, err := readRow(kind, scan)
			out = append(out, r)
			return err
		}, args...)
	})
	if err != nil {
		return nil, s.fail(ctx, err, "list of rows of kind %s", kind)
	}
	return out, nil
}

// Each hands on every row.
func (s *Store) Each(ctx context.Context, tenant string, do func(store.Row) error) error {
	var stopped error
	err := s.reading(ctx, func(t tx) error {
		for _, kind := range account.Kinds {
			err := t.each("SELECT "+rowColumns+" FROM "+tables[kind].name+" WHERE tenant = ? ORDER BY key", func(scan scanner) error {
				r, err := readRow(kind, scan)
				if err == nil {
					stopped = do(r)
					err = stopped
				}
				return err
			}, tenant)
			if err != nil {
				return err
			}
		}
		return nil
	})
	if stopped != nil || err == nil {
		return stopped
	}
	return s.fail(ctx, err, "reading tenant %.64s", tenant)
}

// Export returns all of a tenant as a document.
func (s *Store) Export(ctx context.Context, tenant string) (account.Document, error) {
	if tenant == "" {
		tenant = account.OperatorTenant
	}
	d := account.Document{Tenant: tenant}
	err := s.Each(ctx, tenant, func(r store.Row) error {
		d.Append(r.Entry)
		return nil
	})
	return d, err
}

// Tenants returns the tenants that ever had a row.
func (s *Store) Tenants(ctx context.Context) ([]string, error) {
	var out []string
	err := s.reading(ctx, func(t tx) (err error) {
		out, err = t.strings("SELECT tenant FROM tenants ORDER BY tenant")
		return err
	})
	if err != nil {
		return nil, s.fail(ctx, err, "tenants")
	}
	return out, nil
}

// write puts rows of one kind into their table.
func (t tx) write(kind account.Kind, rows []store.Row) error {
	table := tables[kind]
	columns := append([]string{"tenant", "key", "version", "updated", "entry"}, table.columns...)
	conflict := "tenant, key"
	if kind == account.KindNumber {
		conflict = "key"
	}
	var set []string
	for _, c := range columns[2:] {
		set = append(set, c+" = excluded."+c)
	}
	into := "INSERT INTO " + table.name + " (" + strings.Join(columns, ", ") + ") VALUES "
	onConflict := " ON CONFLICT (" + conflict + ") DO UPDATE SET " + strings.Join(set, ", ")
	one := "(" + marks(len(columns)) + ")"
	for part := range portions(rows) {
		args := make([]any, 0, len(part)*len(columns))
		for _, r := range part {
			text, err := encode(r.Entry)
			if err != nil {
				return err
			}
			args = append(append(args, r.Tenant, r.Key, r.Version, r.Updated.UnixNano(), text), table.values(r.Entry)...)
		}
		if err := t.exec(into+strings.TrimSuffix(strings.Repeat(one+", ", len(part)), ", ")+onConflict, args...); err != nil {
			return err
		}
	}
	return nil
}
