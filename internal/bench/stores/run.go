package stores

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/store"
	"github.com/signalbox/signalbox/internal/store/postgres"
	"github.com/signalbox/signalbox/internal/store/postgres/pgtest"
	"github.com/signalbox/signalbox/internal/store/sqlite"
	"github.com/signalbox/signalbox/internal/tel"
)

const (
	tenant  = "bench"
	batch   = 500  // users of one transaction
	hot     = 1000 // numbers in memory that are looked up again and again
	lookups = 20_000
	reads   = 500
	changes = 30
	opens   = 5
)

// Options of a run.
type Options struct {
	Sizes  []int // users
	Rounds int
	Seed   uint64
	Out    io.Writer
}

// Figures are what was measured of one store at one size. Times are the median of the rounds'.
type Figures struct {
	Kind             string // "SQLite" or "PostgreSQL"
	Users            int
	Load             float64       // users a second
	Size             int64         // bytes of the file; 0 = not known
	Cached50, Cached time.Duration // a number in memory: median and p99
	Read50, Read     time.Duration // a number that nobody asked for: median and p99
	Change           time.Duration // of one account: median
	Open             time.Duration // until the first profile after a start
	Each             int64         // bytes of memory of one number in the cache
}

// subject is one store under measurement.
type subject struct {
	Figures
	open                             func(context.Context) (store.Store, error)
	store                            store.Store
	cache                            *store.Cache
	cached50, cached99, read50, read []time.Duration
	changed                          []time.Duration
	random                           *rand.Rand
}

// Run measures. Without a PostgreSQL on the machine it says so, and measures SQLite alone.
func Run(ctx context.Context, o Options) (figures []Figures, err error) {
	dir, err := os.MkdirTemp("", "bench-store")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	var all []*subject
	for _, n := range o.Sizes {
		path := filepath.Join(dir, fmt.Sprintf("%d.db", n))
		all = append(all, &subject{Figures: Figures{Kind: "SQLite", Users: n}, open: func(ctx context.Context) (store.Store, error) {
			return sqlite.Open(ctx, sqlite.Options{Path: path})
		}})
	}
	server, err := pgtest.Start()
	if err != nil {
		_, _ = fmt.Fprintln(o.Out, "PostgreSQL is not measured:", err)
	} else {
		defer server.Stop()
		for _, n := range o.Sizes {
			dsn, err := server.Schema(ctx, fmt.Sprintf("bench_%d", n))
			if err != nil {
				return nil, err
			}
			all = append(all, &subject{Figures: Figures{Kind: "PostgreSQL", Users: n}, open: func(ctx context.Context) (store.Store, error) {
				return postgres.Open(ctx, postgres.Options{DSN: dsn})
			}})
		}
	}
	defer func() {
		for _, s := range all {
			err = errors.Join(err, s.close())
		}
	}()
	for i, s := range all {
		s.random = rand.New(rand.NewPCG(o.Seed, uint64(i)))
		if err := s.fill(ctx, o.Out); err != nil {
			return nil, fmt.Errorf("%s with %d users: %w", s.Kind, s.Users, err)
		}
	}
	for range o.Rounds {
		for _, s := range all {
			if err := s.round(ctx); err != nil {
				return nil, fmt.Errorf("%s with %d users: %w", s.Kind, s.Users, err)
			}
		}
	}
	for _, s := range all {
		if err := s.again(ctx); err != nil {
			return nil, fmt.Errorf("%s with %d users: %w", s.Kind, s.Users, err)
		}
		s.Cached50, s.Cached, s.Read50, s.Read = median(s.cached50), median(s.cached99), median(s.read50), median(s.read)
		s.Change = median(s.changed)
		if info, err := os.Stat(filepath.Join(dir, fmt.Sprintf("%d.db", s.Users))); err == nil && s.Kind == "SQLite" {
			s.Size = info.Size()
		}
		figures = append(figures, s.Figures)
	}
	return figures, nil
}

func (s *subject) close() error {
	if s.cache != nil {
		s.cache.Close()
	}
	if s.store == nil {
		return nil
	}
	err := s.store.Shut()
	s.store, s.cache = nil, nil
	return err
}

func number(i int) tel.Number { return tel.Number(fmt.Sprintf("+1415%07d", 2_000_000+i)) }

func userID(i int) string { return fmt.Sprintf("u-%07d", i) }

// fill provisions the users, each with a phone and voicemail, and opens the cache.
func (s *subject) fill(ctx context.Context, out io.Writer) (err error) {
	if s.store, err = s.open(ctx); err != nil {
		return err
	}
	put := func(entries ...account.Entry) error {
		list := make([]store.Change, len(entries))
		for i, e := range entries {
			list[i] = store.Change{Op: store.Put, Entry: e}
		}
		_, err := s.store.Change(ctx, tenant, list, time.Now())
		return err
	}
	err = put(&account.SystemEntry{FQDN: "vms-west.example.net"}, &account.SystemEntry{FQDN: "vms-east.example.net"},
		&account.PilotEntry{Number: "*86", Systems: []account.PilotSystemEntry{{FQDN: "vms-west.example.net", Priority: 10}, {FQDN: "vms-east.example.net", Priority: 20}}})
	began := time.Now()
	for from := 0; from < s.Users && err == nil; from += batch {
		var entries []account.Entry
		for i := from; i < min(from+batch, s.Users); i++ {
			id := userID(i)
			entries = append(entries, &account.AccountEntry{ID: id, Name: "Subscriber " + id, Language: "en-GB"},
				&account.NumberEntry{Number: string(number(i)), Account: id, Devices: []account.DeviceEntry{{User: id, Host: "pbx.example.net"}},
					Voicemail: &account.VoicemailEntry{Pilot: "*86"}})
		}
		err = put(entries...)
	}
	if err != nil {
		return err
	}
	took := time.Since(began)
	s.Load = float64(s.Users) / took.Seconds()
	_, _ = fmt.Fprintf(out, "%s: %d users in %v\n", s.Kind, s.Users, took.Round(time.Millisecond))
	before := heap()
	s.cache = store.NewCache(store.CacheOptions{Profiles: s.store, Wait: time.Minute}) // on a machine with other work it waits, and is measured
	kept := min(hot, s.Users)
	for i := range kept {
		if _, err := s.cache.Profile(ctx, number(i)); err != nil {
			return err
		}
	}
	s.Each = (heap() - before) / int64(kept)
	return nil
}

func heap() int64 {
	runtime.GC()
	runtime.GC() // what the first one has found, the second one has swept
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// round looks numbers up, those in memory and others.
func (s *subject) round(ctx context.Context) error {
	kept := min(hot, s.Users)
	s.cache.Hurry() // what the round before has changed is read again now, and not while the clock runs
	for i := range kept {
		if _, err := s.cache.Profile(ctx, number(i)); err != nil {
			return err
		}
	}
	asked := make([]tel.Number, 0, lookups) // made before the clock runs
	for range lookups {
		asked = append(asked, number(s.random.IntN(kept)))
	}
	m50, m99, err := measure(lookups, func() error {
		_, err := s.cache.Profile(ctx, asked[0])
		asked = asked[1:]
		return err
	})
	if err != nil {
		return err
	}
	r50, r99, err := measure(reads, func() error {
		_, err := s.store.Profile(ctx, number(s.random.IntN(s.Users)))
		return err
	})
	s.cached50, s.cached99 = append(s.cached50, m50), append(s.cached99, m99)
	if err != nil {
		return err
	}
	s.read50, s.read = append(s.read50, r50), append(s.read, r99)
	c50, _, err := measure(changes, func() error {
		id := userID(s.random.IntN(s.Users))
		_, err := s.store.Change(ctx, tenant, []store.Change{{Op: store.Put, Entry: &account.AccountEntry{ID: id, Name: time.Now().String()[:40]}}}, time.Now())
		return err
	})
	s.changed = append(s.changed, c50)
	return err
}

// again opens the store anew, as a start does.
func (s *subject) again(ctx context.Context) error {
	var all []time.Duration
	for range opens {
		if err := s.close(); err != nil {
			return err
		}
		began := time.Now()
		opened, err := s.open(ctx)
		if err != nil {
			return err
		}
		s.store = opened
		if _, err := s.store.Profile(ctx, number(s.random.IntN(s.Users))); err != nil {
			return err
		}
		all = append(all, time.Since(began))
	}
	s.Open = median(all)
	return nil
}

// measure returns the median and the 99th percentile of n times.
func measure(n int, do func() error) (p50, p99 time.Duration, err error) {
	all := make([]time.Duration, n)
	for i := range all {
		began := time.Now()
		if err := do(); err != nil {
			return 0, 0, err
		}
		all[i] = time.Since(began)
	}
	slices.Sort(all)
	return all[n/2], all[n*99/100], nil
}

func median(all []time.Duration) time.Duration {
	all = slices.Sorted(slices.Values(all))
	if len(all) == 0 {
		return 0
	}
	return all[len(all)/2]
}
