package sqlite_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/call"
	"github.com/signalbox/signalbox/internal/store"
	"github.com/signalbox/signalbox/internal/store/sqlite"
	"github.com/signalbox/signalbox/internal/store/storetest"
)

func open(t *testing.T, opt sqlite.Options) *sqlite.Store {
	t.Helper()
	s, err := sqlite.Open(t.Context(), opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Shut() })
	return s
}

func TestContract(t *testing.T) {
	storetest.Run(t, func(t *testing.T) store.Store {
		return open(t, sqlite.Options{Path: filepath.Join(t.TempDir(), "signalbox.db")})
	})
	storetest.Fleet(t, func(t *testing.T) (store.Store, store.Store) {
		path := filepath.Join(t.TempDir(), "signalbox.db")
		return open(t, sqlite.Options{Path: path}), open(t, sqlite.Options{Path: path})
	})
}

func TestDataOutlivesTheProcess(t *testing.T) {
	path := filepath.Join(t.TempDir(), "odd name?#%20.db")
	s := open(t, sqlite.Options{Path: path})
	if _, err := s.Apply(t.Context(), storetest.Small(), time.Now()); err != nil {
		t.Fatal(err)
	}
	if err := s.Shut(); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if mode := info.Mode().Perm(); mode != 0o600 {
		t.Errorf("mode of the file is %o, want 600", mode)
	}
	again := open(t, sqlite.Options{Path: path, KeepSchema: true})
	if p, err := again.Profile(t.Context(), storetest.Alice); err != nil || p.Account.ID != "alice" {
		t.Errorf("profile is %+v, %v", p, err)
	}
}

func TestMigrationsGoForwardAndBack(t *testing.T) {
	opt := sqlite.Options{Path: filepath.Join(t.TempDir(), "signalbox.db")}
	_, newest, err := sqlite.Migrate(t.Context(), opt, -1)
	if err != nil {
		t.Fatal(err)
	}
	for version := newest - 1; version >= 0; version-- {
		if _, to, err := sqlite.Migrate(t.Context(), opt, version); err != nil || to != version {
			t.Fatalf("back to %d: %d, %v", version, to, err)
		}
	}
	if got := tables(t, opt.Path); len(got) != 0 {
		t.Errorf("tables left at version 0: %q", got)
	}
	if _, err := sqlite.Open(t.Context(), sqlite.Options{Path: opt.Path, KeepSchema: true}); err == nil {
		t.Error("a file without schema is opened")
	}
	if from, to, err := sqlite.Migrate(t.Context(), opt, -1); err != nil || from != 0 || to != newest {
		t.Errorf("forward again: %d to %d, %v", from, to, err)
	}
	if _, _, err := sqlite.Migrate(t.Context(), opt, newest+1); err == nil {
		t.Error("an unknown version is accepted")
	}
}

func tables(t *testing.T, path string) []string {
	t.Helper()
	db := raw(t, path)
	rows, err := db.QueryContext(t.Context(), "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%' AND name NOT LIKE 'goose%'")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var names []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			t.Fatal(err)
		}
		names = append(names, name)
	}
	return names
}

func raw(t *testing.T, path string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func TestFileOfANewerProgramIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "signalbox.db")
	s := open(t, sqlite.Options{Path: path})
	if err := s.Shut(); err != nil {
		t.Fatal(err)
	}
	if _, err := raw(t, path).ExecContext(t.Context(), "INSERT INTO goose_db_version (version_id, is_applied) VALUES (999, 1)"); err != nil {
		t.Fatal(err)
	}
	if _, err := sqlite.Open(t.Context(), sqlite.Options{Path: path}); !errors.Is(err, store.ErrNewer) {
		t.Errorf("Open: %v, want ErrNewer", err)
	}
	if _, _, err := sqlite.Migrate(t.Context(), sqlite.Options{Path: path}, -1); !errors.Is(err, store.ErrNewer) {
		t.Errorf("Migrate: %v, want ErrNewer", err)
	}
}

func TestTwoProcessesMayOpenANewFileAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "signalbox.db")
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			s, err := sqlite.Open(t.Context(), sqlite.Options{Path: path})
			if err != nil {
				t.Error(err)
				return
			}
			if err := s.Shut(); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
}

func TestWriterOfAnotherProcessDelaysButDoesNotHang(t *testing.T) {
	path := filepath.Join(t.TempDir(), "signalbox.db")
	s := open(t, sqlite.Options{Path: path, BusyTimeout: 50 * time.Millisecond})
	if _, err := s.Apply(t.Context(), storetest.Small(), time.Now()); err != nil {
		t.Fatal(err)
	}
	conn, err := raw(t, path).Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.ExecContext(t.Context(), "BEGIN EXCLUSIVE"); err != nil {
		t.Fatal(err)
	}
	d := storetest.Small()
	d.Accounts[0].Name = "Alice Other"
	if _, err := s.Apply(t.Context(), d, time.Now()); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("Apply while another process writes: %v, want ErrUnavailable", err)
	}
	if p, err := s.Profile(t.Context(), storetest.Alice); err != nil || p.Account.Name != "Alice Example" {
		t.Errorf("a call reads %q (%v) while another process writes", p.Account.Name, err)
	}
	if _, err := conn.ExecContext(t.Context(), "ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Apply(t.Context(), d, time.Now()); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

func TestFileThatIsNoDatabase(t *testing.T) {
	path := filepath.Join(t.TempDir(), "signalbox.db")
	if err := os.WriteFile(path, []byte("this is not a database, it is a letter to the operator"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := sqlite.Open(t.Context(), sqlite.Options{Path: path}); err == nil {
		t.Error("opened")
	}
	if _, err := sqlite.Open(t.Context(), sqlite.Options{Path: filepath.Join(path, "below", "x.db")}); !errors.Is(err, os.ErrNotExist) && err == nil {
		t.Error("opened")
	}
	if _, err := sqlite.Open(context.Background(), sqlite.Options{}); err == nil {
		t.Error("opened without a path")
	}
}

func TestARecordThatCannotBeReadHidesNoOther(t *testing.T) {
	path := filepath.Join(t.TempDir(), "signalbox.db")
	core, logged := observer.New(zap.ErrorLevel)
	s := open(t, sqlite.Options{Path: path, Logger: zap.New(core)})
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for i, id := range []string{"first", "damaged", "last"} {
		r := call.Record{ID: id, Owner: "me", UUID: "u-" + id, Node: "fs1", Started: at.Add(time.Duration(i) * time.Minute), Updated: at}
		if err := s.Open(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	for _, text := range []string{`{"id":"damaged","started":"yesterday"}`, "\x00\x01 half a pa", ""} {
		if _, err := raw(t, path).ExecContext(t.Context(), "UPDATE call_records SET record = ? WHERE id = 'damaged'", text); err != nil {
			t.Fatal(err)
		}
		before := s.Unreadable()
		open, err := s.OpenRecords(t.Context(), "fs1")
		if err != nil || len(open) != 2 || open[0].ID != "first" || open[1].ID != "last" {
			t.Errorf("%q: open records %+v, %v", text, open, err)
		}
		newest, err := s.Records(t.Context(), 0)
		if err != nil || len(newest) != 2 || newest[0].ID != "last" {
			t.Errorf("%q: records %+v, %v", text, newest, err)
		}
		if n := s.Unreadable() - before; n != 2 {
			t.Errorf("%q: %d times left out, want 2", text, n)
		}
		if _, err := s.Record(t.Context(), "damaged"); err == nil || errors.Is(err, store.ErrNotFound) {
			t.Errorf("%q: asked for by its ID: %v", text, err)
		}
	}
	if entry := logged.All()[0]; entry.ContextMap()["record"] != "damaged" {
		t.Errorf("the log does not name the record: %+v", entry)
	}
}

// The kernel lets a program go on with a file that was deleted, and everything written to it is lost. A Store does not.
func TestAFileThatIsDeletedOrReplacedIsNoticed(t *testing.T) {
	dir := t.TempDir()
	path, spare := filepath.Join(dir, "signalbox.db"), filepath.Join(dir, "spare.db")
	s := open(t, sqlite.Options{Path: path})
	apply := func(s *sqlite.Store, d account.Document) {
		t.Helper()
		if _, err := s.Apply(t.Context(), d, time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	apply(s, storetest.Small())
	first, err := s.Revision(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	record := call.Record{ID: "1", Owner: "me", Started: time.Now(), Updated: time.Now()}
	gone := func(what string) {
		t.Helper()
		_, profile := s.Profile(t.Context(), storetest.Alice)
		_, revision := s.Revision(t.Context())
		_, provision := s.Apply(t.Context(), storetest.Small(), time.Now())
		for name, err := range map[string]error{"Profile": profile, "Revision": revision, "Apply": provision, "Open": s.Open(t.Context(), record)} {
			if !errors.Is(err, store.ErrUnavailable) {
				t.Errorf("%s: %s gives %v, want ErrUnavailable", what, name, err)
			}
		}
	}
	if err := os.Rename(path, path+".away"); err != nil {
		t.Fatal(err)
	}
	gone("deleted")
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Error("an empty file was made in the place of the deleted one")
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	gone("an empty file")
	if err := os.WriteFile(path, bytes.Repeat([]byte("noise "), 1000), 0o600); err != nil {
		t.Fatal(err)
	}
	gone("no database")

	if err := os.Rename(path+".away", path); err != nil {
		t.Fatal(err)
	}
	if p, err := s.Profile(t.Context(), storetest.Alice); err != nil || p.Account.ID != "alice" {
		t.Errorf("put back: %+v, %v", p, err)
	}
	if err := s.Open(t.Context(), record); err != nil {
		t.Errorf("put back: %v", err)
	}

	other := open(t, sqlite.Options{Path: spare})
	d := storetest.Small()
	d.Accounts[0].Name = "another name"
	apply(other, d)
	if err := other.Shut(); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(spare, path); err != nil {
		t.Fatal(err)
	}
	if now, err := s.Revision(t.Context()); err != nil || now <= first {
		t.Errorf("replaced: revision %d, %v; before it was %d", now, err, first)
	}
	if p, err := s.Profile(t.Context(), storetest.Alice); err != nil || p.Account.Name != "another name" {
		t.Errorf("replaced: %+v, %v", p, err)
	}
	if err := s.Open(t.Context(), record); err != nil {
		t.Errorf("replaced: %v", err)
	}
	if r, err := s.Record(t.Context(), "1"); err != nil || r.Owner != "me" {
		t.Errorf("replaced: %+v, %v", r, err)
	}
}

func TestADamagedFileIsSaidToBe(t *testing.T) {
	path := filepath.Join(t.TempDir(), "signalbox.db")
	if err := os.WriteFile(path, bytes.Repeat([]byte("noise "), 1000), 0o600); err != nil {
		t.Fatal(err)
	}
	if s, err := sqlite.Open(t.Context(), sqlite.Options{Path: path}); err == nil || !strings.Contains(err.Error(), "damaged, put a good copy in its place") {
		if s != nil {
			_ = s.Shut()
		}
		t.Errorf("got %v", err)
	}
}
