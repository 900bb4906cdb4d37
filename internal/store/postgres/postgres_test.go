package postgres_test

import (
	"context"
	"errors"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/signalbox/signalbox/internal/call"
	"github.com/signalbox/signalbox/internal/store"
	"github.com/signalbox/signalbox/internal/store/postgres"
	"github.com/signalbox/signalbox/internal/store/postgres/pgtest"
	"github.com/signalbox/signalbox/internal/store/storetest"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Run(m)) }

func open(t *testing.T, opt postgres.Options) *postgres.Store {
	t.Helper()
	s, err := postgres.Open(t.Context(), opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Shut() })
	return s
}

func TestContract(t *testing.T) {
	server := pgtest.Of(t)
	storetest.Run(t, func(t *testing.T) store.Store { return open(t, postgres.Options{DSN: server.New(t)}) })
	storetest.Fleet(t, func(t *testing.T) (store.Store, store.Store) {
		dsn := server.New(t)
		return open(t, postgres.Options{DSN: dsn}), open(t, postgres.Options{DSN: dsn})
	})
}

func TestMigrationsGoForwardAndBack(t *testing.T) {
	dsn := pgtest.Of(t).New(t)
	opt := postgres.Options{DSN: dsn}
	have, newest, err := postgres.Versions(t.Context(), opt)
	if err != nil || have != 0 || newest < 1 {
		t.Fatalf("an empty database has version %d of %d, %v", have, newest, err)
	}
	if _, err := postgres.Open(t.Context(), postgres.Options{DSN: dsn, KeepSchema: true}); err == nil || !strings.Contains(err.Error(), "run signalbox migrate") {
		t.Errorf("a database without schema is opened: %v", err)
	}
	fill := func() {
		t.Helper()
		s := open(t, opt)
		if _, err := s.Apply(t.Context(), storetest.Whole(), time.Now()); err != nil {
			t.Fatal(err)
		}
		if err := s.Open(t.Context(), call.Record{ID: "1", Owner: "me", Started: time.Now(), Updated: time.Now()}); err != nil {
			t.Fatal(err)
		}
		if err := s.Shut(); err != nil {
			t.Fatal(err)
		}
	}
	fill()
	for version := newest - 1; version >= 0; version-- {
		if _, to, err := postgres.Migrate(t.Context(), opt, version); err != nil || to != version {
			t.Fatalf("back to %d: %d, %v", version, to, err)
		}
		if version > 0 { // what is there then, a newer program takes over
			if _, _, err := postgres.Migrate(t.Context(), opt, -1); err != nil {
				t.Fatalf("from %d: %v", version, err)
			}
			s := open(t, opt)
			if p, err := s.Profile(t.Context(), storetest.Alice); err != nil || p.Account.ID != "alice" {
				t.Errorf("after the way to %d and back: %+v, %v", version, p, err)
			}
			if _, _, err := postgres.Migrate(t.Context(), opt, version); err != nil {
				t.Fatal(err)
			}
		}
	}
	fill()
	pgtest.Exec(t, dsn, "INSERT INTO goose_db_version (version_id, is_applied) VALUES (999, true)")
	if _, err := postgres.Open(t.Context(), opt); !errors.Is(err, store.ErrNewer) {
		t.Errorf("Open: %v, want ErrNewer", err)
	}
	if _, _, err := postgres.Migrate(t.Context(), opt, -1); !errors.Is(err, store.ErrNewer) {
		t.Errorf("Migrate: %v, want ErrNewer", err)
	}
}

func TestTwoSidecarsMayStartOnAnEmptyDatabase(t *testing.T) {
	dsn := pgtest.Of(t).New(t)
	var all sync.WaitGroup
	for range 3 {
		all.Go(func() {
			s, err := postgres.Open(t.Context(), postgres.Options{DSN: dsn})
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

func TestErrorsDoNotShowThePassword(t *testing.T) {
	for _, opt := range []postgres.Options{
		{DSN: "postgres://me:hunter2@127.0.0.1:1/x?sslmode=disable"},
		{DSN: "postgres://me@127.0.0.1:1/x?sslmode=disable", Password: "hunter2"},
		{DSN: "host=127.0.0.1 port=one password=hunter2"},
		{DSN: "postgres://me:hunter2@127.0.0.1:bad/x"},
	} {
		s, err := postgres.Open(t.Context(), opt)
		if err == nil {
			_ = s.Shut()
			t.Errorf("%q: opened", opt.DSN)
		} else if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%v", err)
		}
	}
	if name := postgres.Name("postgres://me:hunter2@db.example.net/x"); name != "me@db.example.net:5432/x" {
		t.Errorf("name is %q", name)
	}
}

// watched is a store with a listener that tells of changes.
func watched(t *testing.T, opt postgres.Options) (*postgres.Store, <-chan struct{}) {
	t.Helper()
	s := open(t, opt)
	changes := make(chan struct{}, 100)
	ctx, cancel := context.WithCancel(t.Context())
	var watching sync.WaitGroup
	watching.Go(func() { s.Watch(ctx, func() { changes <- struct{}{} }) })
	t.Cleanup(func() { cancel(); watching.Wait() })
	return s, changes
}

func wait(t *testing.T, changes <-chan struct{}, what string) {
	t.Helper()
	select {
	case <-changes:
	case <-time.After(30 * time.Second):
		t.Fatalf("not told of %s", what)
	}
}

func TestChangesAreToldAtOnce(t *testing.T) {
	dsn := pgtest.Of(t).New(t)
	_, changes := watched(t, postgres.Options{DSN: dsn})
	wait(t, changes, "the beginning")
	other := open(t, postgres.Options{DSN: dsn})
	begun := time.Now()
	if _, err := other.Apply(t.Context(), storetest.Small(), time.Now()); err != nil {
		t.Fatal(err)
	}
	wait(t, changes, "a change of another process")
	if took := time.Since(begun); took > time.Second {
		t.Errorf("told after %v", took)
	}
}

// A call needs several connections at once, and does not have the time to make them.
func TestConnectionsAreThereBeforeCallsNeedThem(t *testing.T) {
	dsn := pgtest.Of(t).New(t)
	watched(t, postgres.Options{DSN: dsn})
	db, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close(context.WithoutCancel(t.Context())) }()
	const calls, others = 4, 2 // of a watcher, and of writes
	for open, end := 0, time.Now().Add(20*time.Second); open < calls+others; {
		if err := db.QueryRow(t.Context(), "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'signalbox'").Scan(&open); err != nil {
			t.Fatal(err)
		}
		if time.Now().After(end) {
			t.Fatalf("%d connections are open", open)
		}
	}
}

// The next call after a change uses the new profile, though the cache would believe the old one for an hour.
func TestTheNextCallUsesTheNewProfile(t *testing.T) {
	dsn := pgtest.Of(t).New(t)
	s, other := open(t, postgres.Options{DSN: dsn}), open(t, postgres.Options{DSN: dsn})
	cache := store.NewCache(store.CacheOptions{Profiles: s, Check: time.Hour})
	ctx, cancel := context.WithCancel(t.Context())
	var watching sync.WaitGroup
	told := make(chan struct{}, 100)
	watching.Go(func() { s.Watch(ctx, func() { cache.Hurry(); told <- struct{}{} }) })
	t.Cleanup(func() { cancel(); watching.Wait(); cache.Close() })
	wait(t, told, "the beginning")
	for _, name := range []string{"first", "second", "third"} {
		d := storetest.Small()
		d.Accounts[0].Name = name
		begun := time.Now()
		if _, err := other.Apply(t.Context(), d, time.Now()); err != nil {
			t.Fatal(err)
		}
		wait(t, told, "the change")
		p, err := cache.Profile(t.Context(), storetest.Alice)
		if err != nil || p.Account.Name != name {
			t.Errorf("the call after the change to %q has %q, %v", name, p.Account.Name, err)
		}
		if took := time.Since(begun); took > time.Second {
			t.Errorf("it took %v", took)
		}
	}
}

// A server that is frozen, killed, started again or cut off delays no call longer than the cache waits, and is used again when it is
// back, without a restart of ours.
func TestAServerThatIsGoneDelaysNobody(t *testing.T) {
	server := pgtest.Of(t)
	server.Mine(t)
	s, changes := watched(t, postgres.Options{DSN: server.New(t)})
	if _, err := s.Apply(t.Context(), storetest.Small(), time.Now()); err != nil {
		t.Fatal(err)
	}
	cache := store.NewCache(store.CacheOptions{Profiles: s, Check: time.Nanosecond, ReadTime: time.Second})
	t.Cleanup(cache.Close)
	alice := func(what string) {
		t.Helper()
		begun := time.Now()
		p, err := cache.Profile(t.Context(), storetest.Alice)
		if err != nil || p.Account.ID != "alice" {
			t.Errorf("%s: the number in memory is %+v, %v", what, p.Account, err)
		}
		if took := time.Since(begun); took > time.Second { // 150 ms, and a machine that is busy
			t.Errorf("%s: the call waited for %v", what, took)
		}
	}
	alice("at first")
	back := func(what string) {
		t.Helper()
		for deadline := time.Now().Add(30 * time.Second); ; {
			p, err := cache.Profile(t.Context(), storetest.Bob) // never read before: only the store knows
			if err == nil && p.Account.ID == "bob" {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s: the store is not used again: %v", what, err)
			}
			select {
			case <-time.After(50 * time.Millisecond):
			case <-t.Context().Done():
			}
		}
	}
	gone := func(what string) {
		t.Helper()
		for range 3 {
			alice(what)
		}
		begun := time.Now()
		if _, err := cache.Profile(t.Context(), "+14155550177"); !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("%s: a number that was never read: %v, want ErrUnavailable", what, err)
		}
		if took := time.Since(begun); took > time.Second {
			t.Errorf("%s: the call waited for %v", what, took)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		if err := s.Open(ctx, call.Record{ID: what, Owner: "me", Started: time.Now(), Updated: time.Now()}); !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("%s: a record: %v, want ErrUnavailable", what, err)
		}
	}
	server.Freeze()
	gone("frozen")
	server.Thaw()
	back("thawed")

	server.Kill()
	gone("killed")
	for len(changes) > 0 {
		<-changes
	}
	if err := server.Restart(); err != nil {
		t.Fatal(err)
	}
	wait(t, changes, "the time without a listener")
	if err := s.Open(t.Context(), call.Record{ID: "afterwards", Owner: "me", Started: time.Now(), Updated: time.Now()}); err != nil {
		t.Errorf("a record afterwards: %v", err)
	}
	alice("afterwards")
}
