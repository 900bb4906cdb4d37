package sqlstore

import (
	"context"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/signalbox/signalbox/internal/store"
)

const requestColumns = "seq, tenant, id, account, hash, body, progress, unfinished, version, created, updated, due"

func readRequest(scan scanner) (store.Request, error) {
	var r store.Request
	var hash string
	var unfinished, created, updated, due int64
	if err := scan(&r.Seq, &r.Tenant, &r.ID, &r.User, &hash, &r.Body, &r.Progress, &unfinished, &r.Version, &created, &updated, &due); err != nil {
		return r, err
	}
	r.Open, r.Created, r.Updated, r.Due = unfinished != 0, fromNanos(created), fromNanos(updated), fromNanos(due)
	raw, err := hex.DecodeString(hash)
	if err != nil || copy(r.Hash[:], raw) != len(r.Hash) {
		return r, fmt.Errorf("request %s: its hash is not readable", r.ID)
	}
	return r, nil
}

func number(yes bool) int64 {
	if yes {
		return 1
	}
	return 0
}

// AddRequest keeps a new request, unless there is one of its ID.
func (s *Store) AddRequest(ctx context.Context, r store.Request) (store.Request, bool, error) {
	added := false
	err := s.writing(ctx, func(t tx) error {
		err := t.row(`INSERT INTO requests (tenant, id, account, hash, body, progress, unfinished, version, created, updated, due, owner, leased)
			VALUES (`+marks(11)+`, '', 0) ON CONFLICT (tenant, id) DO NOTHING RETURNING seq`, r.Tenant, r.ID, r.User, hex.EncodeToString(r.Hash[:]),
			string(r.Body), string(r.Progress), number(r.Open), r.Version, nanos(r.Created), nanos(r.Updated), nanos(r.Due)).Scan(&r.Seq)
		added = err == nil
		if errors.Is(err, sql.ErrNoRows) {
			r, err = readRequest(t.row("SELECT "+requestColumns+" FROM requests WHERE tenant = ? AND id = ?", r.Tenant, r.ID).Scan)
		}
		return err
	})
	return r, added, s.one(ctx, err, "request %.64s", r.ID)
}

// Request returns one request.
func (s *Store) Request(ctx context.Context, tenant, id string) (store.Request, error) {
	var r store.Request
	db, err := s.place.Reader(ctx)
	if err == nil {
		r, err = readRequest(db.QueryRowContext(ctx, s.dialect.rebind("SELECT "+requestColumns+" FROM requests WHERE tenant = ? AND id = ?"), tenant, id).Scan)
	}
	return r, s.one(ctx, err, "request %.64s", id)
}

// Requests returns a tenant's requests, newest first.
func (s *Store) Requests(ctx context.Context, tenant, user string, before int64, limit int) ([]store.Request, error) {
	query, args := "SELECT "+requestColumns+" FROM requests WHERE tenant = ?", []any{tenant}
	if user != "" {
		query, args = query+" AND account = ?", append(args, user)
	}
	if before > 0 {
		query, args = query+" AND seq < ?", append(args, before)
	}
	var out []store.Request
	err := s.reading(ctx, func(t tx) error {
		return t.each(query+" ORDER BY seq DESC LIMIT ?", func(scan scanner) error {
			r, err := readRequest(scan)
			out = append(out, r)
			return err
		}, append(args, min(max(limit, 1), store.MaxList))...)
	})
	return out, s.one(ctx, err, "requests")
}

// claimable are the requests that are due and that nobody works on; "?" is now, twice, and whether they are open.
const claimable = `due > 0 AND due <= ? AND leased <= ? AND unfinished = ? AND (unfinished = 0 OR NOT EXISTS
	(SELECT 1 FROM requests older WHERE older.tenant = requests.tenant AND older.account = requests.account AND older.unfinished = 1 AND older.seq < requests.seq))`

// ClaimRequests leases requests that are due.
func (s *Store) ClaimRequests(ctx context.Context, owner string, open bool, now, until time.Time, limit int) ([]store.Request, error) {
	at := nanos(now)
	var out []store.Request
	claim := func(t tx, lock string) error {
		out = nil
		return t.each("SELECT "+requestColumns+" FROM requests WHERE "+claimable+" ORDER BY seq LIMIT ?"+lock, func(scan scanner) error {
			r, err := readRequest(scan)
			out = append(out, r)
			return err
		}, at, at, number(open), min(max(limit, 1), store.MaxList))
	}
	// Mostly there are none, and then nobody has to wait for a writer.
	err := s.reading(ctx, func(t tx) error { return claim(t, "") })
	if err == nil && len(out) > 0 {
		err = s.writing(ctx, func(t tx) error {
			if err := claim(t, s.dialect.Lock); err != nil {
				return err
			}
			for _, r := range out {
				if err := t.exec("UPDATE requests SET owner = ?, leased = ? WHERE seq = ?", owner, nanos(until), r.Seq); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err != nil {
		return nil, s.one(ctx, err, "requests that are due")
	}
	return out, nil
}

// SaveRequest writes how far a request is.
func (s *Store) SaveRequest(ctx context.Context, r store.Request, owner string, until time.Time) error {
	err := s.writing(ctx, func(t tx) error {
		n, err := t.affected(`UPDATE requests SET progress = ?, unfinished = ?, version = ?, updated = ?, due = ?, leased = ?
			WHERE tenant = ? AND id = ? AND owner = ? AND leased > 0`, string(r.Progress), number(r.Open), r.Version, nanos(r.Updated), nanos(r.Due),
			nanos(until), r.Tenant, r.ID, owner)
		if err == nil && n == 0 {
			return fmt.Errorf("request %s: %w", r.ID, store.ErrLease)
		}
		return err
	})
	return s.one(ctx, err, "request %.64s", r.ID)
}

// ReopenRequest opens a finished request again.
func (s *Store) ReopenRequest(ctx context.Context, tenant, id string, now time.Time) (store.Request, error) {
	var r store.Request
	err := s.writing(ctx, func(t tx) error {
		var err error
		if r, err = readRequest(t.row("SELECT "+requestColumns+" FROM requests WHERE tenant = ? AND id = ?"+s.dialect.Lock, tenant, id).Scan); err != nil {
			return err
		}
		n, err := t.affected(`UPDATE requests SET unfinished = 1, due = ?, updated = ? WHERE seq = ? AND unfinished = 0 AND leased <= ?
			AND NOT EXISTS (SELECT 1 FROM requests younger WHERE younger.tenant = ? AND younger.account = ? AND younger.seq > ?)`,
			nanos(now), nanos(now), r.Seq, nanos(now), r.Tenant, r.User, r.Seq)
		if err == nil && n == 0 {
			return fmt.Errorf("request %s: %w", id, store.ErrConflict)
		}
		r.Open, r.Due, r.Updated = true, now, now
		return err
	})
	return r, s.one(ctx, err, "request %.64s", id)
}

// ReleaseRequests gives all leases back.
func (s *Store) ReleaseRequests(ctx context.Context) error {
	err := s.writing(ctx, func(t tx) error {
		if err := t.exec("UPDATE requests SET leased = 0 WHERE leased > 0 AND due > 0"); err != nil {
			return err
		}
		return t.exec("UPDATE mailboxes SET due = 1 WHERE state = ?", string(store.MailboxDeleting))
	})
	return s.one(ctx, err, "leases of requests")
}

// older is a finished request that is not the newest of its user.
const older = `unfinished = 0 AND due = 0 AND updated < ? AND EXISTS (SELECT 1 FROM requests younger
	WHERE younger.tenant = requests.tenant AND younger.account = requests.account AND younger.seq > requests.seq)`

// TrimRequests deletes old finished requests, but the newest of each user. They are looked for first: of a million users who have one request
// each that takes seconds, in which no call's record could be written.
func (s *Store) TrimRequests(ctx context.Context, before time.Time) (int, error) {
	var old []int64
	err := s.reading(ctx, func(t tx) error {
		return t.each("SELECT seq FROM requests WHERE "+older+" ORDER BY seq LIMIT ?", func(scan scanner) error {
			var seq int64
			err := scan(&seq)
			old = append(old, seq)
			return err
		}, nanos(before), store.TrimBatch)
	})
	if err != nil || len(old) == 0 {
		return 0, s.one(ctx, err, "old requests")
	}
	deleted := 0
	err = s.writing(ctx, func(t tx) error {
		for part := range portions(old) {
			n, err := t.affected("DELETE FROM requests WHERE "+older+" AND seq IN ("+marks(len(part))+")", append([]any{nanos(before)}, anys(part)...)...)
			if err != nil {
				return err
			}
			deleted += int(n)
		}
		return nil
	})
	return deleted, s.one(ctx, err, "old requests")
}
