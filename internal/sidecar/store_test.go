package sidecar_test

import (
	"database/sql"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/signalbox/signalbox/internal/call"
	"github.com/signalbox/signalbox/internal/fsw/fswtest"
	"github.com/signalbox/signalbox/internal/lab"
	"github.com/signalbox/signalbox/internal/sidecar"
	"github.com/signalbox/signalbox/internal/store"
	"github.com/signalbox/signalbox/internal/store/postgres"
	"github.com/signalbox/signalbox/internal/store/postgres/pgtest"
)

// storeFault is what happens to the store's file, and how it is mended.
type storeFault struct {
	name  string
	reads bool // profiles that are not in memory can still be read
	spool bool // ends of calls can wait on the disk
	mount string
	open  func() store.Store // nil = SQLite
	fault func(t *testing.T, file string) (mend func())
}

// Calls are decided in time whatever happens to the store, and no record of one is lost.
func TestCallsAndRecordsOutliveTheStore(t *testing.T) {
	t.Parallel()
	for _, f := range []storeFault{
		{name: "another process writes", reads: true, spool: true, fault: locked},
		{name: "file deleted and put back", spool: true, fault: func(t *testing.T, file string) func() {
			must(t, os.Rename(file, file+".old"))
			return func() { must(t, os.Rename(file+".old", file)) }
		}},
		{name: "disk full", reads: true, mount: "size=1m", fault: full},
	} {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			if f.mount != "" {
				mounted(t, dir, f.mount)
			}
			f.play(t, dir)
		})
	}
}

func (f storeFault) play(t *testing.T, dir string) {
	r := newRig(t, options{dir: dir, open: f.open, profiles: func(s store.Store) sidecar.Profiles {
		c := store.NewCache(store.CacheOptions{Profiles: s, Check: 10 * time.Millisecond})
		t.Cleanup(c.Close)
		return c
	}})
	r.phone.Behave(lab.Refuses(486))
	before := r.Call(r.caller, served)
	r.Status(before, 200)
	before.Hangup()
	r.record("closed", closed)
	// In the middle of the fault are calls that began before it, in it, and calls that nobody has asked for before.
	through := r.Call(r.caller, served)
	r.Status(through, 200)
	r.record("answered", func(rec call.Record) bool { return rec.Arrival.CallID == through.ID() && !rec.Answered.IsZero() })

	mend := f.fault(t, filepath.Join(dir, "signalbox.db"))
	began := time.Now()
	during := r.Call(r.caller, served)
	r.Status(during, 200)
	if took := time.Since(began); took > time.Second { // 150 ms for the store; the rest is for a machine with other work
		t.Errorf("a call to a number in memory was answered after %s", took)
	}
	began = time.Now()
	if m := r.Status(r.Call(r.caller, nobody), 486, 480); m.Phrase() != fswtest.Fallback {
		t.Errorf("a call to a number not in memory got %d %s", m.Status(), m.Phrase())
	}
	if took := time.Since(began); took > time.Second {
		t.Errorf("a call to a number not in memory was decided after %s", took)
	}
	if down := r.sidecar.Counts().StoreDown.Load(); (down == 0) != f.reads {
		t.Errorf("%d calls without a profile", down)
	}
	through.Hangup()
	during.Hangup()
	r.eventually("the ends of two calls wait", func() bool {
		if f.spool {
			return r.ledger.Spooled() == 2
		}
		return r.ledger.Waiting() == 2
	})
	mend()
	r.eventually("all records are written", func() bool { return r.ledger.Spooled() == 0 && r.ledger.Waiting() == 0 })
	for _, c := range []*lab.Call{before, through, during} {
		r.eventually("the record of each call is closed", func() bool {
			records, err := r.store.Records(t.Context(), 10)
			if err != nil {
				return false
			}
			for _, rec := range records {
				if rec.Arrival.CallID == c.ID() && !rec.Open() && rec.Result == call.Answered && rec.Cause == "NORMAL_CLEARING" {
					return true
				}
			}
			return false
		})
	}
	next := r.Call(r.caller, served)
	r.Status(next, 200)
	next.Hangup()
	r.record("closed", func(rec call.Record) bool { return rec.Arrival.CallID == next.ID() && !rec.Open() })
	if r.ledger.Lost() != 0 {
		t.Errorf("%d ends lost", r.ledger.Lost())
	}
}

// The same of a PostgreSQL that is frozen, killed and started again, or behind a network that is gone.
func TestCallsAndRecordsOutlivePostgreSQL(t *testing.T) {
	t.Parallel()
	server := pgtest.Of(t)
	server.Mine(t)
	for _, f := range []struct {
		name  string
		fault func(t *testing.T, net *pgtest.Network) (mend func())
	}{
		{"frozen", func(*testing.T, *pgtest.Network) func() {
			server.Freeze()
			return server.Thaw
		}},
		{"killed and started again", func(t *testing.T, _ *pgtest.Network) func() {
			server.Kill()
			return func() { must(t, server.Restart()) }
		}},
		{"network gone", func(_ *testing.T, net *pgtest.Network) func() {
			net.Swallow(true)
			return func() { net.Swallow(false) }
		}},
	} {
		t.Run(f.name, func(t *testing.T) {
			dsn, network := server.Through(t, server.New(t))
			storeFault{
				spool: true,
				open: func() store.Store {
					s, err := postgres.Open(t.Context(), postgres.Options{DSN: dsn})
					must(t, err)
					return s
				},
				fault: func(t *testing.T, _ string) func() { return f.fault(t, network) },
			}.play(t, t.TempDir())
		})
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// locked holds the write lock of the database as another process would.
func locked(t *testing.T, file string) func() {
	db, err := sql.Open("sqlite", "file:"+file+"?_pragma=busy_timeout(5000)")
	must(t, err)
	db.SetMaxOpenConns(1)
	_, err = db.ExecContext(t.Context(), "BEGIN IMMEDIATE")
	must(t, err)
	return func() { _ = db.Close() }
}

// full fills the file system to its last byte.
func full(t *testing.T, file string) func() {
	rest := filepath.Join(filepath.Dir(file), "rest")
	f, err := os.Create(rest)
	must(t, err)
	for size := 64 << 10; size > 0; {
		if _, err := f.Write(make([]byte, size)); err != nil {
			size /= 2
		}
	}
	must(t, f.Close())
	return func() { must(t, os.Remove(rest)) }
}

// mounted mounts a small file system of its own, or skips.
func mounted(t *testing.T, dir, options string) {
	if out, err := exec.CommandContext(t.Context(), "mount", "-t", "tmpfs", "-o", options, "signalbox-test", dir).CombinedOutput(); err != nil {
		t.Skipf("no file system can be mounted here (%v: %s): this was NOT tested", err, strings.TrimSpace(string(out)))
	}
	t.Cleanup(func() { _ = exec.Command("umount", "-l", dir).Run() })
}
