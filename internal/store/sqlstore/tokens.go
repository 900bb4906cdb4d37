package sqlstore

import (
	"context"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/signalbox/signalbox/internal/store"
)

// writing runs do in a transaction that may write.
func (s *Store) writing(ctx context.Context, do func(tx) error) error {
	db, err := s.place.Writer(ctx)
	if err != nil {
		return err
	}
	t, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = t.Rollback() }()
	if err := do(tx{t, ctx, &s.dialect}); err != nil {
		return err
	}
	return t.Commit()
}

// one turns the absence of a row into store.ErrNotFound; other errors of the database get their meaning.
func (s *Store) one(ctx context.Context, err error, format string, args ...any) error {
	for _, own := range []error{store.ErrNotFound, store.ErrConflict, store.ErrExists, store.ErrLease, store.ErrTooMany} {
		if errors.Is(err, own) {
			return err
		}
	}
	if errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf(format+": %w", append(args, store.ErrNotFound)...)
	}
	if err != nil {
		return s.fail(ctx, err, format, args...)
	}
	return nil
}

// fromNanos is the time that nanos made a number of.
func fromNanos(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.Unix(0, n).UTC()
}

// affected says how many rows a statement changed.
func (t tx) affected(query string, args ...any) (int64, error) {
	result, err := t.ExecContext(t.ctx, t.dialect.rebind(query), args...)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

const tokenColumns = "id, tenant, name, hash, scopes, numbers, created, expires, revoked, used, account"

func readToken(scan scanner) (store.Token, error) {
	var t store.Token
	var hash, scopes, numbers string
	var created, expires, revoked, used int64
	if err := scan(&t.ID, &t.Tenant, &t.Name, &hash, &scopes, &numbers, &created, &expires, &revoked, &used, &t.Account); err != nil {
		return t, err
	}
	t.Created, t.Expires, t.Revoked, t.Used = fromNanos(created), fromNanos(expires), fromNanos(revoked), fromNanos(used)
	raw, err := hex.DecodeString(hash)
	if err != nil || copy(t.Hash[:], raw) != len(t.Hash) {
		return t, fmt.Errorf("token %s: its hash is not readable", t.ID)
	}
	return t, errors.Join(json.Unmarshal([]byte(scopes), &t.Scopes), json.Unmarshal([]byte(numbers), &t.Numbers))
}

// AddToken keeps a new token.
func (s *Store) AddToken(ctx context.Context, t store.Token) error {
	scopes, err := json.Marshal(t.Scopes)
	if err != nil {
		return err
	}
	numbers, err := json.Marshal(t.Numbers)
	if err != nil {
		return err
	}
	err = s.writing(ctx, func(w tx) error {
		n, err := w.affected("INSERT INTO tokens ("+tokenColumns+") VALUES ("+marks(11)+") ON CONFLICT (id) DO NOTHING", t.ID, t.Tenant, t.Name,
			hex.EncodeToString(t.Hash[:]), string(scopes), string(numbers), nanos(t.Created), nanos(t.Expires), nanos(t.Revoked), nanos(t.Used), t.Account)
		if err == nil && n == 0 {
			return fmt.Errorf("token %s: %w", t.ID, store.ErrExists)
		}
		return err
	})
	return s.one(ctx, err, "adding a token")
}

// Token returns one token.
func (s *Store) Token(ctx context.Context, id string) (store.Token, error) {
	var t store.Token
	db, err := s.place.Reader(ctx)
	if err == nil {
		t, err = readToken(db.QueryRowContext(ctx, s.dialect.rebind("SELECT "+tokenColumns+" FROM tokens WHERE id = ?"), id).Scan)
	}
	return t, s.one(ctx, err, "token %.32s", id)
}

// Tokens returns tokens by ID.
func (s *Store) Tokens(ctx context.Context, tenant, after string, limit int) ([]store.Token, error) {
	query, args := "SELECT "+tokenColumns+" FROM tokens WHERE id > ?", []any{after}
	if tenant != "" {
		query, args = query+" AND tenant = ?", append(args, tenant)
	}
	var out []store.Token
	err := s.reading(ctx, func(t tx) error {
		return t.each(query+" ORDER BY id LIMIT ?", func(scan scanner) error {
			token, err := readToken(scan)
			out = append(out, token)
			return err
		}, append(args, min(max(limit, 1), store.MaxList))...)
	})
	return out, s.one(ctx, err, "tokens")
}

// RevokeToken makes a token count no more.
func (s *Store) RevokeToken(ctx context.Context, id string, at time.Time) error {
	err := s.writing(ctx, func(t tx) error {
		n, err := t.affected("UPDATE tokens SET revoked = CASE revoked WHEN 0 THEN ? ELSE revoked END WHERE id = ?", nanos(at), id)
		if err == nil && n == 0 {
			return sql.ErrNoRows
		}
		return err
	})
	return s.one(ctx, err, "token %.32s", id)
}

// UsedToken keeps when a token was used last.
func (s *Store) UsedToken(ctx context.Context, id string, at time.Time) error {
	err := s.writing(ctx, func(t tx) error {
		return t.exec("UPDATE tokens SET used = ? WHERE id = ? AND used < ?", nanos(at), id, nanos(at))
	})
	return s.one(ctx, err, "token %.32s", id)
}
