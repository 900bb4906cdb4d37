package sqlite

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

// Open keeps a new record.
func (s *Store) Open(ctx context.Context, r call.Record) error {
	return s.put(ctx, "opening", r, func(tx *sql.Tx, kept kept, text []byte) error {
		if kept.exists {
			return nil
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO call_records (id, owner, uuid, node, number, started, updated, ended, result, record)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`, r.ID, r.Owner, r.UUID, r.Node, string(r.Plan.Number), nanos(r.Started),
			nanos(r.Updated), ended(r), string(r.Result), string(text))
		return err
	})
}

// Update replaces an open record.
func (s *Store) Update(ctx context.Context, r call.Record) error {
	return s.put(ctx, "updating", r, func(tx *sql.Tx, kept kept, text []byte) error {
		switch {
		case !kept.exists:
			return store.ErrNotFound
		case kept.closed:
			return store.ErrClosed
		case nanos(r.Updated) < kept.updated:
			return nil
		}
		return replace(ctx, tx, r, text)
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
	return s.put(ctx, "closing", r, func(tx *sql.Tx, kept kept, text []byte) error {
		switch {
		case !kept.exists:
			return store.ErrNotFound
		case kept.closed:
			return nil
		}
		return replace(ctx, tx, r, text)
	})
}

// kept is what the store has of a record.
type kept struct {
	exists, closed bool
	updated        int64
}

// put runs one write of a record in its transaction, after the checks that all writes share.
func (s *Store) put(ctx context.Context, doing string, r call.Record, write func(*sql.Tx, kept, []byte) error) error {
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
		f, err := s.here(ctx)
		if err != nil {
			return err
		}
		tx, err := f.write.BeginTx(ctx, nil)
		if err != nil {
			return wrap(ctx, err)
		}
		defer func() { _ = tx.Rollback() }()
		var have kept
		var owner string
		var end sql.NullInt64
		err = tx.QueryRowContext(ctx, "SELECT owner, updated, ended FROM call_records WHERE id = ?", r.ID).Scan(&owner, &have.updated, &end)
		switch {
		case err == nil:
			have.exists, have.closed = true, end.Valid
		case !errors.Is(err, sql.ErrNoRows):
			return wrap(ctx, err)
		}
		if have.exists && owner != r.Owner {
			return store.ErrOwner
		}
		if err := write(tx, have, text); err != nil {
			return wrap(ctx, err)
		}
		return wrap(ctx, tx.Commit())
	}()
	if err != nil {
		return fmt.Errorf("%s call record %.64q: %w", doing, r.ID, err)
	}
	return nil
}

func replace(ctx context.Context, tx *sql.Tx, r call.Record, text []byte) error {
	_, err := tx.ExecContext(ctx, `UPDATE call_records SET uuid = ?, node = ?, number = ?, started = ?, updated = ?, ended = ?, result = ?, record = ?
		WHERE id = ?`, r.UUID, r.Node, string(r.Plan.Number), nanos(r.Started), nanos(r.Updated), ended(r), string(r.Result), string(text), r.ID)
	return err
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
	f, err := s.here(ctx)
	if err != nil {
		return call.Record{}, fmt.Errorf("call record %.64q: %w", id, err)
	}
	var text []byte
	err = f.read.QueryRowContext(ctx, "SELECT record FROM call_records WHERE id = ?", id).Scan(&text)
	if errors.Is(err, sql.ErrNoRows) {
		return call.Record{}, fmt.Errorf("call record %.64q: %w", id, store.ErrNotFound)
	}
	if err != nil {
		return call.Record{}, fmt.Errorf("call record %.64q: %w", id, wrap(ctx, err))
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
	tx, err := s.begin(ctx)
	if err != nil {
		return nil, fmt.Errorf("call records: %w", wrap(ctx, err))
	}
	defer func() { _ = tx.Rollback() }()
	var out []call.Record
	err = each(ctx, tx, query, func(scan scanner) error {
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
	if err != nil {
		return nil, fmt.Errorf("call records: %w", wrap(ctx, err))
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
	f, err := s.here(ctx)
	if err != nil {
		return 0, fmt.Errorf("deleting old call records: %w", err)
	}
	res, err := f.write.ExecContext(ctx, `DELETE FROM call_records WHERE id IN
		(SELECT id FROM call_records WHERE ended IS NOT NULL AND ended < ? ORDER BY ended LIMIT ?)`, nanos(before), store.TrimBatch)
	if err != nil {
		return 0, fmt.Errorf("deleting old call records: %w", wrap(ctx, err))
	}
	n, err := res.RowsAffected()
	return int(n), err
}
