// Package postgres keeps accounts and call records in PostgreSQL, 13 or newer, for any number of sidecars.
//
// Package sqlstore has the SQL; this package opens, migrates, and listens. Reads and writes have connections of their own, at most
// connections each, so that no call's read waits behind a long change. Every statement is bounded by its context: when that ends the
// connection is given up, and a server that is silent costs its callers no more than they are willing to wait. Each change notifies
// the channel signalbox; Watch hands that on. A notification only hurries: who missed one learns of the change by the revision. The
// package is safe for concurrent use; the one goroutine it needs is the caller's, in Watch.
package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"go.uber.org/zap"

	"github.com/signalbox/signalbox/internal/store"
	"github.com/signalbox/signalbox/internal/store/sqlstore"
)

const (
	connections = 8                // of reads, and as many of writes; more wait for their turn
	warm        = 4                // connections of reads that are open before a call needs them: those of one call and a neighbour's
	idleTime    = 5 * time.Minute  // after which a connection that nobody uses is closed
	warmTime    = 2 * time.Second  // bounds that
	connectTime = 5 * time.Second  // longest wait for a new connection, unless the DSN has connect_timeout
	watchPause  = time.Second      // between two attempts to listen
	keepAlive   = 30 * time.Second // after which a silent connection that listens is asked whether the server lives
	channel     = "signalbox"      // of notifications
)

// parameters of our sessions, unless the DSN has them. Every statement that calls or changes need has its index, but plans are kept:
// one that was made while a table was small reads all of it when it is large, a thousandth as fast. So no plan does. Compiling
// plans, which look dear by that, would cost more than it saves.
var parameters = map[string]string{"application_name": "signalbox", "enable_seqscan": "off", "jit": "off"}

// Options configure a Store.
type Options struct {
	// DSN is a URL such as postgres://signalbox@db.example.net/signalbox?sslmode=verify-full, or key=value pairs as libpq takes
	// them. What it leaves out is taken from the environment (PGHOST and so on) and ~/.pgpass.
	DSN string
	// Password is used when the DSN has none.
	Password string
	// KeepSchema leaves the schema as it is: Open then fails when migrations are missing.
	KeepSchema bool
	// Logger is told of records that cannot be read and of a listener that is lost; nil = silent.
	Logger *zap.Logger
}

// Store is a store.Store over one database.
type Store struct {
	*sqlstore.Store
	config *pgx.ConnConfig
	read   *sql.DB
	write  *sql.DB
	log    *zap.Logger
}

var (
	_ store.Store   = (*Store)(nil)
	_ store.Watcher = (*Store)(nil)
)

// parse reads a DSN. Errors do not contain its password.
func parse(opt Options) (*pgx.ConnConfig, error) {
	if opt.DSN == "" {
		return nil, errors.New("no DSN of a database")
	}
	c, err := pgx.ParseConfig(opt.DSN)
	if err != nil {
		return nil, err
	}
	if c.Password == "" {
		c.Password = opt.Password
	}
	if c.ConnectTimeout == 0 {
		c.ConnectTimeout = connectTime
	}
	for name, value := range parameters {
		if _, given := c.RuntimeParams[name]; !given {
			c.RuntimeParams[name] = value
		}
	}
	return c, nil
}

// Open connects to the database and brings its schema up to date. The context bounds that alone.
func Open(ctx context.Context, opt Options) (*Store, error) {
	config, err := parse(opt)
	if err != nil {
		return nil, err
	}
	s := &Store{config: config, read: pool(config), write: pool(config), log: opt.Logger}
	if s.log == nil {
		s.log = zap.NewNop()
	}
	s.Store = sqlstore.New(place{s}, sqlstore.Dialect{
		Numbered: true, Lock: " FOR UPDATE", Notify: "SELECT pg_notify('" + channel + "', CAST(? AS bigint)::text)",
		OneByOne: true, Now: "CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT)", Snapshot: sql.LevelRepeatableRead, Wrap: wrap,
	}, s.log)
	if err = s.prepare(ctx, opt.KeepSchema); err == nil {
		err = s.Ping(ctx)
	}
	if err != nil {
		_ = s.Shut()
		return nil, fmt.Errorf("database %s: %w", where(config), err)
	}
	return s, nil
}

// warm opens connections for reads where they are missing: a new one costs a process of the server's and the proof of the password, which
// is much of the 150 ms that a call waits for the store. What does not succeed is done by the first that needs it.
func (s *Store) warm(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, warmTime)
	defer cancel()
	var all sync.WaitGroup
	var held [warm]*sql.Conn
	for i := range held {
		all.Go(func() {
			c, err := s.read.Conn(ctx)
			if err != nil {
				return
			}
			held[i] = c
			var revision int64
			_ = c.QueryRowContext(ctx, "SELECT revision FROM revision").Scan(&revision)
		})
	}
	all.Wait()
	for _, c := range held {
		if c != nil {
			_ = c.Close()
		}
	}
}

// prepare migrates the database, or checks that it need not.
func (s *Store) prepare(ctx context.Context, keepSchema bool) error {
	p, err := provider(s.write)
	if err != nil {
		return err
	}
	err = sqlstore.UpToDate(ctx, p)
	if err != nil && !keepSchema {
		_, _, err = sqlstore.Migrate(ctx, p, -1)
	}
	return wrap(ctx, err)
}

// Name names the database of a DSN for people, without its password.
func Name(dsn string) string {
	c, err := parse(Options{DSN: dsn})
	if err != nil {
		return "PostgreSQL"
	}
	return where(c)
}

func where(c *pgx.ConnConfig) string {
	return fmt.Sprintf("%s@%s:%d/%s", c.User, c.Host, c.Port, c.Database)
}

func pool(c *pgx.ConnConfig) *sql.DB {
	db := stdlib.OpenDB(*c)
	db.SetMaxOpenConns(connections)
	db.SetMaxIdleConns(connections)
	db.SetConnMaxIdleTime(idleTime)
	return db
}

// Revision returns the revision.
func (s *Store) Revision(ctx context.Context) (int64, error) {
	var revision int64
	err := s.read.QueryRowContext(ctx, "SELECT revision FROM revision").Scan(&revision)
	return revision, wrap(ctx, err)
}

// Ping reports whether the database answers.
func (s *Store) Ping(ctx context.Context) error {
	_, err := s.Revision(ctx)
	return err
}

// Shut waits for operations under way and closes the connections.
func (s *Store) Shut() error { return errors.Join(s.read.Close(), s.write.Close()) }

// Watch calls changed after each change by whichever process, and whenever it may have missed one, until ctx ends.
func (s *Store) Watch(ctx context.Context, changed func()) {
	for lost := false; ctx.Err() == nil; {
		err := s.listen(ctx, func() {
			if lost {
				lost = false
				s.log.Info("the database tells of changes again")
			}
			changed()
		})
		if ctx.Err() != nil {
			return
		}
		if !lost {
			lost = true
			s.log.Warn("the database does not tell of changes; they are noticed by asking", zap.Error(err))
		}
		select {
		case <-time.After(watchPause):
		case <-ctx.Done():
		}
	}
}

// listen calls changed once it listens, and after each notification, until the connection is lost.
func (s *Store) listen(ctx context.Context, changed func()) error {
	conn, err := pgx.ConnectConfig(ctx, s.config.Copy())
	if err != nil {
		return err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = conn.Close(ctx)
	}()
	bounded := func(do func(context.Context) error) error {
		ctx, cancel := context.WithTimeout(ctx, connectTime)
		defer cancel()
		return do(ctx)
	}
	if err := bounded(func(ctx context.Context) error { _, err := conn.Exec(ctx, "LISTEN "+channel); return err }); err != nil {
		return err
	}
	changed()
	s.warm(ctx)
	for {
		wait, cancel := context.WithTimeout(ctx, keepAlive)
		_, err := conn.WaitForNotification(wait)
		cancel()
		switch {
		case err == nil:
			changed()
		case ctx.Err() != nil || conn.IsClosed():
			return err
		default: // nothing came: does the server live?
			if err := bounded(conn.Ping); err != nil {
				return err
			}
			s.warm(ctx)
		}
	}
}

// place is where package sqlstore finds the connections.
type place struct{ s *Store }

func (p place) Reader(context.Context) (*sql.DB, error) { return p.s.read, nil }
func (p place) Writer(context.Context) (*sql.DB, error) { return p.s.write, nil }

// wrap gives errors of the driver the meaning of package store.
func wrap(ctx context.Context, err error) error {
	var e *pgconn.PgError
	var netErr net.Error
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("%w: %w", store.ErrUnavailable, ctx.Err())
	case errors.As(err, &e) && e.Code == "53100":
		return fmt.Errorf("the disk of the database is full, make room: %w", err)
	case errors.As(err, &e) && (strings.HasPrefix(e.Code, "08") || strings.HasPrefix(e.Code, "53") || strings.HasPrefix(e.Code, "57P") || strings.HasPrefix(e.Code, "40")):
		// connection lost, out of resources, shutting down or starting up, serialization failure or deadlock
		return fmt.Errorf("%w: %w", store.ErrUnavailable, err)
	case errors.As(err, &e):
		return err
	case errors.As(err, &netErr), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, sql.ErrConnDone), errors.Is(err, sql.ErrTxDone),
		pgconn.SafeToRetry(err), strings.HasSuffix(err.Error(), "sql: database is closed"), errors.As(err, new(*pgconn.ConnectError)):
		return fmt.Errorf("%w: %w", store.ErrUnavailable, err)
	}
	return err
}
