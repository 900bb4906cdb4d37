package sqlstore

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/signalbox/signalbox/internal/call"
	"github.com/signalbox/signalbox/internal/store"
)

const maxRecord = 1 << 20 // bytes of one record in JSON

// These write a record in one statement in the usual case: it is new, or it is there and open, older, and nothing has changed in it
// that an index holds but its end. Then the database rewrites one row, and of the indexes those of the end alone: SQLite, and
// PostgreSQL in its way, rewrite the indexes of every column that an UPDATE names. In any other case they change nothing.
const (
	insertRecord = `INSERT INTO call_records (id, owner, uuid, node, tenant, number, started, updated, ended, result, record)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING`
	updateRecord = `UPDATE call_records SET updated = ?, result = ?, record = ?
		WHERE id = ? AND owner = ? AND uuid = ? AND node = ? AND tenant = ? AND number = ? AND started = ? AND ended IS NULL AND updated <= ?`
	closeRecord = `UPDATE call_records SET updated = ?, ended = ?, result = ?, record = ?
		WHERE id = ? AND owner = ? AND uuid = ? AND node = ? AND tenant = ? AND number = ? AND started = ? AND ended IS NULL`
)

// lasting are the columns that stay as they are, as a rule.
func lasting(r call.Record) []any {
	return []any{r.ID, r.Owner, r.UUID, r.Node, r.Plan.Tenant, string(r.Plan.Number), nanos(r.Started)}
}

// Open keeps a new record.
func (s *Store) Open(ctx context.Context, r call.Record) error {
	usual := func(text string) []any {
		return append(lasting(r), nanos(r.Updated), ended(r), string(r.Result), text)
	}
	return s.put(ctx, "opening", r, insertRecord, usual, func(t tx, kept kept, text []byte) error {
		switch {
		case !kept.exists:
			return t.exec(insertRecord, usual(string(text))...)
		case kept.closed || nanos(r.Updated) < kept.updated:
			return nil
		}
		return replace(t, r, text)
	})
}

// Update replaces an open record.
func (s *Store) Update(ctx context.Context, r call.Record) error {
	usual := func(text string) []any {
		return append(append([]any{nanos(r.Updated), string(r.Result), text}, lasting(r)...), nanos(r.Updated))
	}
	return s.put(ctx, "updating", r, updateRecord, usual, func(t tx, kept kept, text []byte) error {
		switch {
		case !kept.exists:
			return store.ErrNotFound
		case kept.closed:
			return store.ErrClosed
		case nanos(r.Updated) < kept.updated:
			return nil
		}
		return replace(t, r, text)
	})
}

// Close replaces an open record for the last time.
func (s *Store) Close(ctx context.Context, r call.Record) error {
	if r.Ended.IsZero() {
		r.Ended = r.Updated
	}
	if r.Ended.IsZero() {
		return fmt.Errorf("closing call record %.64q: %w: it has no time of its end", r.ID, store.ErrRecord)
	}
	usual := func(text string) []any {
		return append([]any{nanos(r.Updated), ended(r), string(r.Result), text}, lasting(r)...)
	}
	return s.put(ctx, "closing", r, closeRecord, usual, func(t tx, kept kept, text []byte) error {
		switch {
		case !kept.exists:
			return store.ErrNotFound
		case kept.closed:
			return nil
		}
		return replace(t, r, text)
	})
}

// kept is what the store has of a record.
type kept struct {
	exists, closed bool
	updated        int64
}

// put runs one write of a record, after the checks that all writes share: as one statement, with its arguments, in the usual
// case, else write in a transaction.
func (s *Store) put(ctx context.Context, doing string, r call.Record, statement string, usual func(string) []any, write func(tx, kept, []byte) error) error {
	err := func() error {
		if r.ID == "" || r.Owner == "" {
			return fmt.Errorf("%w: it has no ID or no owner", store.ErrRecord)
		}
		text, err := json.Marshal(r)
		if err != nil {
			return fmt.Errorf("%w: %w", store.ErrRecord, err)
		}
		if len(text) > maxRecord {
			return fmt.Errorf("%w: %d bytes, at most %d", store.ErrRecord, len(text), maxRecord)
		}
		db, err := s.place.Writer(ctx)
		if err != nil {
			return s.dialect.Wrap(ctx, err)
		}
		if wrote, err := s.write(ctx, db, statement, usual(string(text))...); wrote || err != nil {
			return s.dialect.Wrap(ctx, err)
		}
		begun, err := db.BeginTx(ctx, nil)
		if err != nil {
			return s.dialect.Wrap(ctx, err)
		}
		defer func() { _ = begun.Rollback() }()
		t := tx{begun, ctx, &s.dialect}
		var have kept
		var owner string
		var end sql.NullInt64
		err = t.row("SELECT owner, updated, ended FROM call_records WHERE id = ?"+s.dialect.Lock, r.ID).Scan(&owner, &have.updated, &end)
		switch {
		case err == nil:
			have.exists, have.closed = true, end.Valid
		case !errors.Is(err, sql.ErrNoRows):
			return s.dialect.Wrap(ctx, err)
		}
		if have.exists && owner != r.Owner {
			return store.ErrOwner
		}
		if err := write(t, have, text); err != nil {
			return s.dialect.Wrap(ctx, err)
		}
		return s.dialect.Wrap(ctx, begun.Commit())
	}()
	if err != nil {
		return fmt.Errorf("%s call record %.64q: %w", doing, r.ID, err)
	}
	return nil
}

func replace(t tx, r call.Record, text []byte) error {
	return t.exec(`UPDATE call_records SET uuid = ?, node = ?, tenant = ?, number = ?, started = ?, updated = ?, ended = ?, result = ?, record = ?
		WHERE id = ?`, r.UUID, r.Node, r.Plan.Tenant, string(r.Plan.Number), nanos(r.Started), nanos(r.Updated), ended(r), string(r.Result), string(text), r.ID)
}

// nanos is a time as the store keeps it; a zero time is 0.
func nanos(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

func ended(r call.Record) sql.NullInt64 {
	return sql.NullInt64{Int64: nanos(r.Ended), Valid: !r.Ended.IsZero()}
}

// OpenRecords returns the open records of a node.
func (s *Store) OpenRecords(ctx context.Context, node string) ([]call.Record, error) {
	return s.records(ctx, "SELECT id, record FROM call_records WHERE ended IS NULL AND (? = '' OR node = ?) ORDER BY started, id", node, node)
}

// Records returns the records that started last.
func (s *Store) Records(ctx context.Context, limit int) ([]call.Record, error) {
	return s.records(ctx, "SELECT id, record FROM call_records ORDER BY started DESC, id LIMIT ?", store.Limit(limit))
}

// Record returns one record.
func (s *Store) Record(ctx context.Context, id string) (call.Record, error) {
	db, err := s.place.Reader(ctx)
	if err != nil {
		return call.Record{}, s.fail(ctx, err, "call record %.64q", id)
	}
	var text []byte
	err = db.QueryRowContext(ctx, s.dialect.rebind("SELECT record FROM call_records WHERE id = ?"), id).Scan(&text)
	if errors.Is(err, sql.ErrNoRows) {
		return call.Record{}, fmt.Errorf("call record %.64q: %w", id, store.ErrNotFound)
	}
	if err != nil {
		return call.Record{}, fmt.Errorf("call record %.64q: %w", id, s.dialect.Wrap(ctx, err))
	}
	r, err := readRecord(text)
	if err != nil {
		return call.Record{}, fmt.Errorf("call record %.64q: %w", id, err)
	}
	return r, nil
}

// Unreadable counts how often a kept record was left out because it could not be read.
func (s *Store) Unreadable() int64 { return s.unreadable.Load() }

func (s *Store) records(ctx context.Context, query string, args ...any) ([]call.Record, error) {
	var out []call.Record
	err := s.reading(ctx, func(t tx) error {
		return t.each(query, func(scan scanner) error {
			var id string
			var text []byte
			if err := scan(&id, &text); err != nil {
				return err
			}
			r, err := readRecord(text)
			if err != nil {
				s.unreadable.Add(1)
				s.log.Error("a call record cannot be read and is left out", zap.String("record", id), zap.Error(err))
				return nil
			}
			out = append(out, r)
			return nil
		}, args...)
	})
	if err != nil {
		return nil, fmt.Errorf("call records: %w", s.dialect.Wrap(ctx, err))
	}
	return out, nil
}

func readRecord(text []byte) (call.Record, error) {
	var r call.Record
	if err := json.Unmarshal(text, &r); err != nil {
		return call.Record{}, fmt.Errorf("it is not readable: %w", err)
	}
	return r, nil
}

// Trim deletes records that ended before a time.
func (s *Store) Trim(ctx context.Context, before time.Time) (int, error) {
	db, err := s.place.Writer(ctx)
	if err != nil {
		return 0, s.fail(ctx, err, "deleting old call records")
	}
	res, err := db.ExecContext(ctx, s.dialect.rebind(`DELETE FROM call_records WHERE id IN
		(SELECT id FROM call_records WHERE ended IS NOT NULL AND ended < ? ORDER BY ended LIMIT ?)`), nanos(before), store.TrimBatch)
	if err != nil {
		return 0, s.fail(ctx, err, "deleting old call records")
	}
	n, err := res.RowsAffected()
	return int(n), err
}
