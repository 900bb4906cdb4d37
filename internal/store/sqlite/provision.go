package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/store"
	"github.com/signalbox/signalbox/internal/tel"
)

// Apply makes the document true in one transaction.
func (s *Store) Apply(ctx context.Context, d account.Document, now time.Time) (store.Changes, error) {
	changes, err := s.apply(ctx, d, now)
	var invalid *account.Invalid
	if err != nil && !errors.As(err, &invalid) {
		err = fmt.Errorf("provisioning: %w", wrap(ctx, err))
	}
	return changes, err
}

func (s *Store) apply(ctx context.Context, d account.Document, now time.Time) (store.Changes, error) {
	f, err := s.here(ctx)
	if err != nil {
		return store.Changes{}, err
	}
	tx, err := f.write.BeginTx(ctx, nil)
	if err != nil {
		return store.Changes{}, err
	}
	defer func() { _ = tx.Rollback() }()
	before, err := export(ctx, tx)
	if err != nil {
		return store.Changes{}, err
	}
	after, err := account.Merge(before, d)
	if err != nil {
		return store.Changes{}, err
	}
	changes := account.Diff(before, after)
	if changes.None() {
		return changes, nil
	}
	w := &writer{tx: tx, ctx: ctx, at: now.UTC().Format(time.RFC3339Nano)}
	w.row(&w.version, "UPDATE revision SET revision = revision + 1 RETURNING revision")
	account.EachChange(before, after, account.ChangeFuncs{
		Account: w.account, Number: w.number, Pilot: w.pilot, System: w.system,
		RemoveAccount: w.remove("DELETE FROM accounts WHERE id = ?"),
		RemoveNumber:  w.remove("DELETE FROM numbers WHERE number = ?"),
		RemovePilot:   w.remove("DELETE FROM pilots WHERE number = ?"),
		RemoveSystem:  w.remove("DELETE FROM voicemail_systems WHERE fqdn = ?"),
	})
	if w.err != nil {
		return store.Changes{}, w.err
	}
	if err := tx.Commit(); err != nil {
		return store.Changes{}, err
	}
	return changes, nil
}

// writer writes rows until the first error.
type writer struct {
	tx      *sql.Tx
	ctx     context.Context // of the one transaction that the writer lives for
	version int64
	at      string
	err     error
}

func (w *writer) exec(query string, args ...any) {
	if w.err == nil {
		_, w.err = w.tx.ExecContext(w.ctx, query, args...)
	}
}

func (w *writer) row(into any, query string) {
	if w.err == nil {
		w.err = w.tx.QueryRowContext(w.ctx, query).Scan(into)
	}
}

func (w *writer) remove(query string) func(key string) {
	return func(key string) { w.exec(query, key) }
}

func (w *writer) account(a account.AccountEntry) {
	w.exec(`INSERT INTO accounts (id, name, version, updated_at) VALUES (?, ?, ?, ?)
		ON CONFLICT (id) DO UPDATE SET name = excluded.name, version = excluded.version, updated_at = excluded.updated_at`,
		a.ID, a.Name, w.version, w.at)
}

func (w *writer) system(s account.SystemEntry) {
	w.exec(`INSERT INTO voicemail_systems (fqdn, transport, profile, version, updated_at) VALUES (?, ?, ?, ?, ?)
		ON CONFLICT (fqdn) DO UPDATE SET transport = excluded.transport, profile = excluded.profile,
			version = excluded.version, updated_at = excluded.updated_at`,
		s.FQDN, s.Transport, s.Profile, w.version, w.at)
}

func (w *writer) pilot(p account.PilotEntry) {
	w.exec(`INSERT INTO pilots (number, version, updated_at) VALUES (?, ?, ?)
		ON CONFLICT (number) DO UPDATE SET version = excluded.version, updated_at = excluded.updated_at`,
		p.Number, w.version, w.at)
	w.exec("DELETE FROM pilot_systems WHERE pilot = ?", p.Number)
	for i, s := range p.Systems {
		w.exec("INSERT INTO pilot_systems (pilot, position, fqdn, priority) VALUES (?, ?, ?, ?)",
			p.Number, i, s.FQDN, s.Priority)
	}
}

func (w *writer) number(n account.NumberEntry) {
	var pilot sql.NullString
	conditions := ""
	if v := n.Voicemail; v != nil {
		pilot = sql.NullString{String: v.Pilot, Valid: true}
		conditions = joinConditions(*v.Conditions)
	}
	w.exec(`INSERT INTO numbers (number, account, no_answer_ms, pilot, conditions, version, updated_at) VALUES (?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (number) DO UPDATE SET account = excluded.account, no_answer_ms = excluded.no_answer_ms,
			pilot = excluded.pilot, conditions = excluded.conditions, version = excluded.version, updated_at = excluded.updated_at`,
		n.Number, n.Account, time.Duration(n.NoAnswer).Milliseconds(), pilot, conditions, w.version, w.at)
	w.exec("DELETE FROM devices WHERE number = ?", n.Number)
	for i, d := range n.Devices {
		w.exec("INSERT INTO devices (number, position, kind, profile, user, host, port, transport) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
			n.Number, i, d.Kind, d.Profile, d.User, d.Host, d.Port, d.Transport)
	}
}

// Export returns everything as a document.
func (s *Store) Export(ctx context.Context) (account.Document, error) {
	tx, err := s.begin(ctx)
	if err != nil {
		return account.Document{}, fmt.Errorf("export: %w", wrap(ctx, err))
	}
	defer func() { _ = tx.Rollback() }()
	d, err := export(ctx, tx)
	if err != nil {
		return account.Document{}, fmt.Errorf("export: %w", wrap(ctx, err))
	}
	return d, nil
}

func export(ctx context.Context, tx *sql.Tx) (account.Document, error) {
	var d account.Document
	devices := map[string][]account.DeviceEntry{}
	systems := map[string][]account.PilotSystemEntry{}
	err := errors.Join(
		each(ctx, tx, "SELECT id, name FROM accounts ORDER BY id", func(scan scanner) error {
			var a account.AccountEntry
			err := scan(&a.ID, &a.Name)
			d.Accounts = append(d.Accounts, a)
			return err
		}),
		each(ctx, tx, "SELECT fqdn, transport, profile FROM voicemail_systems ORDER BY fqdn", func(scan scanner) error {
			var s account.SystemEntry
			err := scan(&s.FQDN, &s.Transport, &s.Profile)
			d.VoicemailSystems = append(d.VoicemailSystems, s)
			return err
		}),
		each(ctx, tx, "SELECT pilot, fqdn, priority FROM pilot_systems ORDER BY pilot, position", func(scan scanner) error {
			var pilot string
			var s account.PilotSystemEntry
			err := scan(&pilot, &s.FQDN, &s.Priority)
			systems[pilot] = append(systems[pilot], s)
			return err
		}),
		each(ctx, tx, "SELECT number FROM pilots ORDER BY number", func(scan scanner) error {
			var p account.PilotEntry
			err := scan(&p.Number)
			p.Systems = systems[p.Number]
			d.Pilots = append(d.Pilots, p)
			return err
		}),
		each(ctx, tx, "SELECT number, kind, profile, user, host, port, transport FROM devices ORDER BY number, position", func(scan scanner) error {
			var number string
			var v account.DeviceEntry
			err := scan(&number, &v.Kind, &v.Profile, &v.User, &v.Host, &v.Port, &v.Transport)
			devices[number] = append(devices[number], v)
			return err
		}),
		each(ctx, tx, "SELECT number, account, no_answer_ms, pilot, conditions FROM numbers ORDER BY number", func(scan scanner) error {
			var n account.NumberEntry
			var ms int64
			var pilot sql.NullString
			var conditions string
			err := scan(&n.Number, &n.Account, &ms, &pilot, &conditions)
			n.NoAnswer = account.Duration(time.Duration(ms) * time.Millisecond)
			n.Devices = devices[n.Number]
			if pilot.Valid {
				list := splitConditions(conditions)
				n.Voicemail = &account.VoicemailEntry{Pilot: pilot.String, Conditions: &list}
			}
			d.Numbers = append(d.Numbers, n)
			return err
		}),
	)
	return d, err
}

type scanner func(into ...any) error

// each runs a query and hands every row on.
func each(ctx context.Context, tx *sql.Tx, query string, row func(scanner) error, args ...any) error {
	rows, err := tx.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := row(rows.Scan); err != nil {
			return err
		}
	}
	return rows.Err()
}

func joinConditions(list account.ConditionList) string {
	var words []string
	for _, c := range list {
		words = append(words, string(c))
	}
	return strings.Join(words, " ")
}

func splitConditions(s string) account.ConditionList {
	list := account.ConditionList{}
	for _, word := range strings.Fields(s) {
		list = append(list, tel.Why(word))
	}
	return list
}
