// Package sqlite keeps accounts and call records in one SQLite file, without cgo.
//
// The file is in WAL mode: one writer at a time and any number of readers, in this and in other processes. A Store
// writes through one connection, so that its own writers queue here and only other processes' writers are waited for by
// busy_timeout; it reads through a few others. Package sqlstore has the SQL. Revision notices the
// writes of other processes by PRAGMA data_version. A file that is deleted or replaced while it is open is noticed at the next
// use. The schema is made and changed by numbered migrations, forward and back, embedded in the program; a file of a newer
// program is refused. The package is safe for concurrent use and starts no goroutines of its own.
package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	sqlite3 "modernc.org/sqlite"
	sqlitelib "modernc.org/sqlite/lib"

	"github.com/signalbox/signalbox/internal/store"
	"github.com/signalbox/signalbox/internal/store/sqlstore"
)

// readers is how many reads run at once; more wait for their turn.
const readers = 4

// Options configure a Store.
type Options struct {
	// Path is the file. It is made when it is not there, readable by its owner alone.
	Path string
	// BusyTimeout is how long a write waits for another process's; 0 = 2 s.
	BusyTimeout time.Duration
	// KeepSchema leaves the schema as it is: Open then fails when migrations are missing.
	KeepSchema bool
	// Logger is told of records that cannot be read; nil = silent.
	Logger *zap.Logger
}

// Store is a store.Store over one SQLite file.
type Store struct {
	*sqlstore.Store
	opt    Options
	file   atomic.Pointer[file]
	moving sync.Mutex // held while another file takes the place of the one that is open
	closed bool       // under moving
	lost   bool       // under moving: said that the file is gone

	watch       chan struct{} // holds one token: the right to use the fields below
	watched     *file         // whose watcher it is
	watcher     *sql.Conn     // kept, because data_version counts per connection
	dataVersion int64
	revision    int64 // as it was returned last

	base atomic.Int64 // what is added to the file's own revision, so that it rises when the file is replaced

	log  *zap.Logger
	shut func() error
}

var _ store.Store = (*Store)(nil)

// Open opens the file and brings its schema up to date. The context bounds that alone.
//
// SQLite does not wait for another process at the change to WAL, whatever its busy_timeout, so opening is tried again for
// three times BusyTimeout when two processes open a new file at once.
func Open(ctx context.Context, opt Options) (*Store, error) {
	if opt.BusyTimeout == 0 {
		opt.BusyTimeout = 2 * time.Second
	}
	for began := time.Now(); ; {
		s, err := openOnce(ctx, opt)
		if err == nil || !errors.Is(err, store.ErrUnavailable) || ctx.Err() != nil || time.Since(began) > 3*opt.BusyTimeout {
			return s, err
		}
		select {
		case <-time.After(opt.BusyTimeout / 20):
		case <-ctx.Done():
		}
	}
}

func openOnce(ctx context.Context, opt Options) (*Store, error) {
	write, err := openFile(opt)
	if err != nil {
		return nil, err
	}
	if err := prepare(ctx, write, opt.KeepSchema); err != nil {
		_ = write.Close()
		return nil, fmt.Errorf("opening %s: %w", opt.Path, err)
	}
	f, err := both(opt, write)
	if err != nil {
		return nil, err
	}
	s := &Store{opt: opt, watch: make(chan struct{}, 1), log: opt.Logger}
	if s.log == nil {
		s.log = zap.NewNop()
	}
	s.Store = sqlstore.New(place{s}, sqlstore.Dialect{Now: "CAST(unixepoch('subsec') * 1000 AS INTEGER)", Prepare: true, Wrap: wrap}, s.log)
	s.file.Store(f)
	s.watch <- struct{}{}
	s.shut = sync.OnceValue(func() error {
		<-s.watch // wait for a look under way; later ones find the channel closed
		close(s.watch)
		s.unwatch()
		s.moving.Lock()
		defer s.moving.Unlock()
		s.closed = true
		return s.file.Load().close()
	})
	if err := s.Ping(ctx); err != nil {
		_ = s.Shut()
		return nil, fmt.Errorf("opening %s: %w", opt.Path, err)
	}
	return s, nil
}

// openFile makes the file when it is not there and opens the writing connection.
func openFile(opt Options) (*sql.DB, error) {
	if opt.Path == "" {
		return nil, errors.New("no path of a database file")
	}
	f, err := os.OpenFile(filepath.Clean(opt.Path), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("database file: %w", err)
	}
	if err := f.Close(); err != nil {
		return nil, fmt.Errorf("database file: %w", err)
	}
	return openWriter(opt)
}

func openWriter(opt Options) (*sql.DB, error) {
	db, err := sql.Open("sqlite", dsn(opt, "_txlock", "immediate"))
	if err != nil {
		return nil, fmt.Errorf("database file %s: %w", opt.Path, err)
	}
	db.SetMaxOpenConns(1)
	db.SetMaxIdleConns(1)
	return db, nil
}

func dsn(opt Options, more ...string) string {
	q := url.Values{}
	q.Add("mode", "rw") // a file that was deleted is not to be made anew, empty, by the next connection
	q.Add("_pragma", "busy_timeout("+strconv.FormatInt(opt.BusyTimeout.Milliseconds(), 10)+")")
	q.Add("_pragma", "foreign_keys(1)")
	q.Add("_pragma", "synchronous(NORMAL)")
	for i := 0; i+1 < len(more); i += 2 {
		q.Add(more[i], more[i+1])
	}
	path := filepath.ToSlash(filepath.Clean(opt.Path))
	return (&url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(), RawQuery: q.Encode()}).String()
}

// prepare puts the file into WAL mode, which stays with it, and migrates it.
func prepare(ctx context.Context, db *sql.DB, keepSchema bool) error {
	var mode string
	if err := db.QueryRowContext(ctx, "PRAGMA journal_mode = WAL").Scan(&mode); err != nil {
		return wrap(ctx, err)
	}
	if mode != "wal" {
		return fmt.Errorf("journal mode is %s, not WAL: is the file on a network file system?", mode)
	}
	p, err := provider(db)
	if err != nil {
		return err
	}
	if keepSchema {
		return wrap(ctx, sqlstore.UpToDate(ctx, p))
	}
	return migrateUp(ctx, p)
}

// Ping reports whether the file can be read.
func (s *Store) Ping(ctx context.Context) error {
	_, err := s.Revision(ctx)
	return err
}

// Shut waits for operations under way and closes the file.
func (s *Store) Shut() error { return s.shut() }

// Revision returns the revision. It reads it only when PRAGMA data_version tells that anything was written at all.
func (s *Store) Revision(ctx context.Context) (int64, error) {
	select {
	case _, open := <-s.watch:
		if !open {
			return 0, fmt.Errorf("%w: it is shut", store.ErrUnavailable)
		}
		defer func() { s.watch <- struct{}{} }()
	case <-ctx.Done():
		return 0, wrap(ctx, ctx.Err())
	}
	f, err := s.here(ctx)
	if err != nil {
		return 0, err
	}
	revision, err := s.look(ctx, f)
	if err != nil {
		s.unwatch() // it may be broken; the next look takes another one
	}
	return revision, wrap(ctx, err)
}

// unwatch closes the watcher. The caller holds the token.
func (s *Store) unwatch() {
	if s.watcher != nil {
		_ = s.watcher.Close()
	}
	s.watcher, s.dataVersion = nil, -1
}

// look reads the revision. The caller holds the token.
func (s *Store) look(ctx context.Context, f *file) (int64, error) {
	replaced := s.watched != nil && s.watched != f
	if s.watched != f {
		s.unwatch()
	}
	if s.watcher == nil {
		conn, err := f.read.Conn(ctx)
		if err != nil {
			return 0, err
		}
		s.watcher, s.dataVersion = conn, -1
	}
	var version int64
	if err := s.watcher.QueryRowContext(ctx, "PRAGMA data_version").Scan(&version); err != nil {
		return 0, err
	}
	if version == s.dataVersion {
		return s.revision, nil
	}
	var revision int64
	if err := s.watcher.QueryRowContext(ctx, "SELECT revision FROM revision").Scan(&revision); err != nil {
		return 0, err
	}
	if replaced {
		s.base.Store(s.revision + 1)
	}
	s.watched, s.dataVersion, s.revision = f, version, s.base.Load()+revision
	return s.revision, nil
}

// Touched returns what changed after a revision. Of a file that was replaced since, everything did.
func (s *Store) Touched(ctx context.Context, since int64) (store.Touched, error) {
	revision, err := s.Revision(ctx)
	if err != nil {
		return store.Touched{}, err
	}
	base, f := s.base.Load(), s.file.Load()
	if since < base {
		return store.Touched{Revision: revision, All: true}, nil
	}
	t, err := s.Store.Touched(ctx, since-base)
	t.Revision += base
	if s.file.Load() != f {
		t = store.Touched{Revision: revision, All: true}
	}
	return t, err
}

// place is where package sqlstore finds the file.
type place struct{ s *Store }

func (p place) Reader(ctx context.Context) (*sql.DB, error) {
	f, err := p.s.here(ctx)
	if err != nil {
		return nil, err
	}
	return f.read, nil
}

func (p place) Writer(ctx context.Context) (*sql.DB, error) {
	f, err := p.s.here(ctx)
	if err != nil {
		return nil, err
	}
	return f.write, nil
}

// wrap gives errors of the driver the meaning of package store.
func wrap(ctx context.Context, err error) error {
	var e *sqlite3.Error
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("%w: %w", store.ErrUnavailable, ctx.Err())
	case errors.As(err, &e) && (e.Code()&0xff == sqlitelib.SQLITE_BUSY || e.Code()&0xff == sqlitelib.SQLITE_LOCKED):
		return fmt.Errorf("%w: another process is writing: %w", store.ErrUnavailable, err)
	case errors.As(err, &e) && e.Code()&0xff == sqlitelib.SQLITE_FULL:
		return fmt.Errorf("the disk is full, make room: %w", err)
	case errors.As(err, &e) && (e.Code()&0xff == sqlitelib.SQLITE_CORRUPT || e.Code()&0xff == sqlitelib.SQLITE_NOTADB):
		return fmt.Errorf("the database file is damaged, put a good copy in its place: %w", err)
	case errors.Is(err, sql.ErrConnDone), errors.Is(err, sql.ErrTxDone):
		return fmt.Errorf("%w: %w", store.ErrUnavailable, err)
	}
	return err
}
