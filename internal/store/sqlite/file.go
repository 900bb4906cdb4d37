package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"os"

	"go.uber.org/zap"

	"github.com/signalbox/signalbox/internal/store"
)

// file is the database file that is open.
type file struct {
	write *sql.DB // one connection; its transactions begin IMMEDIATE
	read  *sql.DB // query_only
	info  os.FileInfo
	log   os.FileInfo // of the write-ahead log beside it; nil = there was none yet
}

func (f *file) close() error { return errors.Join(f.read.Close(), f.write.Close()) }

// both adds the reading connections to the writing one, which it closes on an error.
func both(opt Options, write *sql.DB) (*file, error) {
	info, err := os.Stat(opt.Path)
	if err == nil {
		var read *sql.DB
		if read, err = sql.Open("sqlite", dsn(opt, "_pragma", "query_only(1)")); err == nil {
			read.SetMaxOpenConns(readers + 1) // one is the watcher's
			read.SetMaxIdleConns(readers + 1)
			log, _ := os.Stat(opt.Path + "-wal")
			return &file{write: write, read: read, info: info, log: log}, nil
		}
	}
	return nil, errors.Join(fmt.Errorf("opening %s: %w", opt.Path, err), write.Close())
}

// here returns the file that stands under the path. The kernel lets us go on with one that was deleted, and everything written
// to it would be lost with us: while there is none, or one that is no database of ours, the store is not available; one that was
// put in its place is taken.
func (s *Store) here(ctx context.Context) (*file, error) {
	f := s.file.Load()
	if info, err := os.Stat(s.opt.Path); err == nil && os.SameFile(info, f.info) {
		return f, nil
	}
	s.moving.Lock()
	defer s.moving.Unlock()
	f = s.file.Load()
	info, err := os.Stat(s.opt.Path)
	switch {
	case s.closed:
		return f, nil // whose connections say so
	case err == nil && os.SameFile(info, f.info):
		s.lost = false // it was put back
		return f, nil
	case err == nil:
		f, err = s.take(ctx)
	}
	if err != nil {
		if !s.lost {
			s.log.Error("the database file is gone: put it back, or provision a new one; calls use the profiles in memory, records wait", zap.String("file", s.opt.Path), zap.Error(err))
		}
		s.lost = true
		return nil, fmt.Errorf("%w: the database file was deleted or replaced: %w", store.ErrUnavailable, err)
	}
	s.lost = false
	s.log.Warn("the database file was replaced, going on with the new one", zap.String("file", s.opt.Path))
	return f, nil
}

// take opens the file that was put in the place of the one that is open. Its schema is left as it is. moving is held.
func (s *Store) take(ctx context.Context) (*file, error) {
	if err := looksRight(s.opt.Path); err != nil {
		return nil, err
	}
	old := s.file.Load()
	if err := s.leave(ctx, old); err != nil {
		return nil, err
	}
	write, err := openWriter(s.opt)
	if err != nil {
		return nil, err
	}
	if err := prepare(ctx, write, true); err != nil {
		return nil, errors.Join(err, write.Close())
	}
	f, err := both(s.opt, write)
	if err != nil {
		return nil, err
	}
	s.file.Store(f)
	_ = old.close()
	return f, nil
}

// looksRight reports why a file cannot be a database, without SQLite, which would make an empty one of an empty file.
func looksRight(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	const magic = "SQLite format 3\x00"
	head := make([]byte, len(magic))
	if _, err := io.ReadFull(f, head); err != nil || string(head) != magic {
		return errors.New("it is not an SQLite database")
	}
	return nil
}

// leave makes a file whole that was taken away while it was open, by writing its log into it, and removes that log, which stayed
// behind: SQLite would read it into the file that has taken the place.
func (s *Store) leave(ctx context.Context, old *file) error {
	log, err := os.Stat(s.opt.Path + "-wal")
	if err != nil || old.log == nil || !os.SameFile(log, old.log) {
		return nil
	}
	var busy, pages, written int
	if err := old.write.QueryRowContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)").Scan(&busy, &pages, &written); err != nil {
		return fmt.Errorf("completing the file that was here before: %w", err)
	}
	if busy != 0 {
		return errors.New("completing the file that was here before: it is being read")
	}
	return errors.Join(os.Remove(s.opt.Path+"-wal"), os.Remove(s.opt.Path+"-shm"))
}
