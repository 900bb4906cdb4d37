// Package sqlstore is the SQL of package store, for SQLite and PostgreSQL alike.
//
// Each kind of row has a table with its keys, the columns by which others refer to it, its version, and the row itself in its one
// form as JSON, so that a new field needs no migration. Everything provisioned changes in one transaction that first takes the one
// row of table revision and raises it: changes queue there, so what a transaction has checked stays true until it ends. It writes,
// then looks whether every reference it may have broken holds, and is rolled back when one does not. A profile is read by one
// statement, and so of one moment. A Store is safe for concurrent use, starts no goroutines and holds no connection between calls.
package sqlstore

import (
	"context"
	"database/sql"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"go.uber.org/zap"
)

// Dialect is what differs between databases.
type Dialect struct {
	Numbered bool   // placeholders are $1, $2 and so on, not ?
	Prepare  bool   // the statements of the call path are prepared once; a driver that keeps statements itself needs no help
	Lock     string // behind a SELECT whose rows are about to change, such as " FOR UPDATE"
	Notify   string // a statement run before each transaction of changes ends, with the new revision as its argument; "" = none
	// OneByOne has lists of keys looked up key by key, inside the database: else it may read all of a tenant for one list, as long as it
	// takes a table for small that has just been filled.
	OneByOne bool
	Now      string // milliseconds since 1970 by the clock of the database
	Snapshot sql.IsolationLevel
	// Wrap gives errors of the driver the meaning of package store.
	Wrap func(context.Context, error) error
}

// Place is where the database is at the moment.
type Place interface {
	// Reader returns the connections for reading alone.
	Reader(ctx context.Context) (*sql.DB, error)
	// Writer returns the connections whose transactions may write.
	Writer(ctx context.Context) (*sql.DB, error)
}

// Store is the SQL of a store.Store. Revision, Ping and Shut are the database's own.
type Store struct {
	place   Place
	dialect Dialect
	log     *zap.Logger
	profile string        // the statement, with the placeholders of the dialect
	turn    chan struct{} // holds one token: the right to change rows, so that those who wait for it hold no connection

	unreadable atomic.Int64

	mu       sync.Mutex
	of       *sql.DB // whose statements prepared are
	prepared map[string]*sql.Stmt
}

// New makes a Store. A nil log is silent.
func New(place Place, d Dialect, log *zap.Logger) *Store {
	if log == nil {
		log = zap.NewNop()
	}
	s := &Store{place: place, dialect: d, log: log, profile: d.rebind(profileQuery), turn: make(chan struct{}, 1)}
	s.turn <- struct{}{}
	return s
}

// rebind writes the placeholders of a statement as the database wants them. No statement of ours has a question mark otherwise.
func (d *Dialect) rebind(query string) string {
	if !d.Numbered {
		return query
	}
	var out strings.Builder
	for n := 1; ; n++ {
		before, after, found := strings.Cut(query, "?")
		out.WriteString(before)
		if !found {
			return out.String()
		}
		out.WriteString("$" + strconv.Itoa(n))
		query = after
	}
}

// write runs one statement of the call path, and reports whether it changed anything.
func (s *Store) write(ctx context.Context, db *sql.DB, text string, args ...any) (bool, error) {
	var result sql.Result
	var err error
	if s.dialect.Prepare {
		var statement *sql.Stmt
		if statement, err = s.statement(ctx, db, text); err == nil {
			result, err = statement.ExecContext(ctx, args...)
		}
	} else {
		result, err = db.ExecContext(ctx, s.dialect.rebind(text), args...)
	}
	if err != nil {
		return false, err
	}
	n, err := result.RowsAffected()
	return n > 0, err
}

// statement prepares a statement, or gives the one that was. Those of connections that are closed are forgotten with them.
func (s *Store) statement(ctx context.Context, db *sql.DB, text string) (*sql.Stmt, error) {
	s.mu.Lock()
	if s.of != db {
		s.of, s.prepared = db, map[string]*sql.Stmt{}
	}
	statement := s.prepared[text]
	s.mu.Unlock()
	if statement != nil {
		return statement, nil
	}
	statement, err := db.PrepareContext(ctx, s.dialect.rebind(text))
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.of == db { // of two that were prepared at once the last is kept; the other ends with the connection
		s.prepared[text] = statement
	}
	return statement, nil
}

// tx is one transaction, with the context of the operation it lives for.
type tx struct {
	*sql.Tx
	ctx     context.Context
	dialect *Dialect
}

// reading runs do in a transaction in which everything read is of one moment.
func (s *Store) reading(ctx context.Context, do func(tx) error) error {
	db, err := s.place.Reader(ctx)
	if err != nil {
		return err
	}
	t, err := db.BeginTx(ctx, &sql.TxOptions{ReadOnly: true, Isolation: s.dialect.Snapshot})
	if err != nil {
		return err
	}
	defer func() { _ = t.Rollback() }()
	return do(tx{t, ctx, &s.dialect})
}

func (t tx) exec(query string, args ...any) error {
	_, err := t.ExecContext(t.ctx, t.dialect.rebind(query), args...)
	return err
}

func (t tx) row(query string, args ...any) *sql.Row {
	return t.QueryRowContext(t.ctx, t.dialect.rebind(query), args...)
}

type scanner func(into ...any) error

// each runs a query and hands every row on.
func (t tx) each(query string, row func(scanner) error, args ...any) error {
	rows, err := t.QueryContext(t.ctx, t.dialect.rebind(query), args...)
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

// eachOf looks for the rows of a list of keys, in portions. where is a condition with args, such as "tenant = ?".
func (t tx) eachOf(columns, table, where string, keys []string, row func(scanner) error, args ...any) error {
	for part := range portions(keys) {
		query, all := "SELECT "+columns+" FROM "+table+" WHERE "+where+" AND key IN ("+marks(len(part))+")", append(args[:len(args):len(args)], anys(part)...)
		if t.dialect.OneByOne {
			query = "SELECT found.* FROM (VALUES " + strings.TrimSuffix(strings.Repeat("(CAST(? AS TEXT)), ", len(part)), ", ") + ") wanted (k) CROSS JOIN LATERAL (SELECT " +
				columns + " FROM " + table + " WHERE " + where + " AND key = wanted.k OFFSET 0) found"
			all = append(anys(part), args...)
		}
		if err := t.each(query, row, all...); err != nil {
			return err
		}
	}
	return nil
}

// strings returns the one column of a query.
func (t tx) strings(query string, args ...any) ([]string, error) {
	var out []string
	err := t.each(query, func(scan scanner) error {
		var s string
		err := scan(&s)
		out = append(out, s)
		return err
	}, args...)
	return out, err
}

// portions cuts a list into pieces of few different sizes, so that few different statements are prepared.
func portions[T any](list []T) func(func([]T) bool) {
	return func(yield func([]T) bool) {
		for _, size := range []int{256, 32, 4, 1} {
			for len(list) >= size {
				if !yield(list[:size:size]) {
					return
				}
				list = list[size:]
			}
		}
	}
}

// marks is "?, ?, ?".
func marks(n int) string { return strings.TrimSuffix(strings.Repeat("?, ", n), ", ") }

func anys[T any](list []T) []any {
	out := make([]any, len(list))
	for i, v := range list {
		out[i] = v
	}
	return out
}

// fail says what could not be done, and gives the error the meaning of package store.
func (s *Store) fail(ctx context.Context, err error, format string, args ...any) error {
	return fmt.Errorf(format+": %w", append(args, s.dialect.Wrap(ctx, err))...)
}
