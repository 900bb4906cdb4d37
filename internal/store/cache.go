package store

import (
	"cmp"
	"container/list"
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/tel"
)

// maxFlights bounds the reads of the store that are under way at once. When all are taken by a store that hangs, calls
// are served from the cache, or not at all, without any wait.
const maxFlights = 64

// CacheOptions configure a Cache.
type CacheOptions struct {
	Profiles Profiles      // what is behind the cache
	Size     int           // numbers kept; 0 = 10000. The one not used for longest is dropped.
	Unknown  int           // numbers kept that no account owns, of which strangers may call any; 0 = Size/4
	Check    time.Duration // how long the revision is believed; 0 = 250 ms
	Wait     time.Duration // longest wait of one call for the store; 0 = 150 ms
	ReadTime time.Duration // bound of one read of the store, also when nobody waits for it any more; 0 = 5 s
	// ReadTook is told how long each read of a profile took, and its error unless nobody owns the number; may be nil.
	ReadTook func(time.Duration, error)
	Logger   *zap.Logger // warns when the store is silent; nil = no log
}

// Cache stands in front of Profiles so that a call reads the store once and then only its revision.
//
// An entry is used while the revision stands. When the revision moves, the store is asked what was touched, and the entries made of
// that are read again at their next use; all are, when it does not know. When the store is silent for Wait, or fails, the entry is used as it is, however old; without one the call gets
// ErrUnavailable, and with it the operator's fallback. Calls that want the same read share it, and none waits for a read
// that has been silent for Wait already. Warm reads ahead of calls, a few numbers at a time. Cache is safe for concurrent use;
// Close waits for its reads.
type Cache struct {
	opt CacheOptions

	closing context.CancelFunc
	reads   context.Context // ends with Close
	running sync.WaitGroup

	hits, negative, misses, stale, unavailable, warmed atomic.Uint64

	mu       sync.Mutex
	closed   bool
	revision int64
	known    bool      // revision has been read at all
	checked  time.Time // when the reading of revision began
	hurried  time.Time // when Hurry was called last
	silent   bool      // the last read failed
	owned    lru       // numbers of accounts
	unknown  lru       // other numbers
	items    map[tel.Number]*list.Element
	flights  map[flightKey]*flight
	touched  touches
	warm     warming
}

type cached struct {
	number   tel.Number
	profile  account.Profile
	unknown  bool  // no account owns the number
	revision int64 // at which it is known to hold
}

// lru are entries, the one used last first.
type lru struct {
	*list.List
	size int
}

// flightKey names one read: of a number at a revision, or of the revision (number "").
type flightKey struct {
	number   tel.Number
	revision int64
}

type flight struct {
	begun time.Time
	done  chan struct{}
	err   error // set before done is closed
}

// NewCache makes a Cache. Close it before the store behind it.
func NewCache(opt CacheOptions) *Cache {
	opt.Size = max(cmp.Or(opt.Size, 10_000), 1)
	opt.Check = cmp.Or(opt.Check, 250*time.Millisecond)
	opt.Wait = cmp.Or(opt.Wait, 150*time.Millisecond)
	opt.ReadTime = cmp.Or(opt.ReadTime, 5*time.Second)
	if opt.Logger == nil {
		opt.Logger = zap.NewNop()
	}
	opt.Unknown = max(cmp.Or(opt.Unknown, opt.Size/4), 1)
	c := &Cache{
		opt: opt, owned: lru{list.New(), opt.Size}, unknown: lru{list.New(), opt.Unknown},
		items: map[tel.Number]*list.Element{}, flights: map[flightKey]*flight{},
	}
	c.reads, c.closing = context.WithCancel(context.Background())
	return c
}

// Close ends the reads under way and waits for them.
func (c *Cache) Close() {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.closing()
	c.running.Wait()
}

// Profile is Profiles.Profile, within Wait.
func (c *Cache) Profile(ctx context.Context, number tel.Number) (account.Profile, error) {
	if number == "" {
		return account.Profile{}, ErrNotFound
	}
	deadline := time.Now().Add(c.opt.Wait)
	_, err := c.current(ctx, deadline)
	if ctx.Err() != nil {
		return account.Profile{}, ctx.Err()
	}
	c.mu.Lock()
	entry, revision := c.get(number), c.revision
	if entry != nil && (err != nil || c.holds(entry)) {
		c.mu.Unlock()
		c.count(entry, err != nil)
		return entry.answer()
	}
	var f *flight
	if err == nil {
		f = c.join(flightKey{number, revision})
	}
	c.mu.Unlock()
	if f != nil {
		err = c.wait(ctx, f, deadline)
	}
	if ctx.Err() != nil {
		return account.Profile{}, ctx.Err()
	}
	c.mu.Lock()
	entry = c.get(number)
	c.mu.Unlock()
	if entry != nil {
		if entry.revision >= revision {
			c.misses.Add(1)
		} else {
			c.count(entry, true)
		}
		return entry.answer()
	}
	c.unavailable.Add(1)
	if err == nil {
		err = errors.New("too many reads are waiting")
	}
	return account.Profile{}, fmt.Errorf("profile of %s: %w: %w", number.Masked(), ErrUnavailable, err)
}

// count counts an answer out of memory.
func (c *Cache) count(e *cached, stale bool) {
	switch {
	case stale:
		c.stale.Add(1)
	case e.unknown:
		c.negative.Add(1)
	default:
		c.hits.Add(1)
	}
}

// CacheStats counts how profiles were answered since the Cache was made.
type CacheStats struct {
	Hits        uint64 // from memory
	Negative    uint64 // from memory: no account owns the number
	Misses      uint64 // read from the store
	Stale       uint64 // from memory, though it may have changed: the store was silent
	Unavailable uint64 // not at all
	Warmed      uint64 // read ahead of calls
}

// Stats gives the counts.
func (c *Cache) Stats() CacheStats {
	return CacheStats{Hits: c.hits.Load(), Negative: c.negative.Load(), Misses: c.misses.Load(), Stale: c.stale.Load(), Unavailable: c.unavailable.Load(), Warmed: c.warmed.Load()}
}

// Revision is Profiles.Revision, read at most once in Check and within Wait.
func (c *Cache) Revision(ctx context.Context) (int64, error) {
	revision, err := c.current(ctx, time.Now().Add(c.opt.Wait))
	if err != nil {
		return 0, fmt.Errorf("revision: %w: %w", ErrUnavailable, err)
	}
	return revision, nil
}

// Hurry makes the next call ask for the revision, because something may have changed.
func (c *Cache) Hurry() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.checked, c.hurried = time.Time{}, time.Now()
}

// current returns the revision, not older than Check. It reads the store when needed and waits until the deadline.
func (c *Cache) current(ctx context.Context, deadline time.Time) (int64, error) {
	c.mu.Lock()
	if c.known && time.Since(c.checked) < c.opt.Check {
		defer c.mu.Unlock()
		return c.revision, nil
	}
	f := c.join(flightKey{})
	c.mu.Unlock()
	if f == nil {
		return 0, errors.New("too many reads are waiting")
	}
	if err := c.wait(ctx, f, deadline); err != nil {
		return 0, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.revision, nil
}

// wait waits for a read until the deadline, and no longer than Wait since the read began.
func (c *Cache) wait(ctx context.Context, f *flight, deadline time.Time) error {
	if latest := f.begun.Add(c.opt.Wait); latest.Before(deadline) {
		deadline = latest
	}
	select {
	case <-f.done: // over already
		return f.err
	default:
	}
	timer := time.NewTimer(time.Until(deadline))
	defer timer.Stop()
	select {
	case <-f.done:
		return f.err
	case <-timer.C:
		return errors.New("no answer in time")
	case <-ctx.Done():
		return ctx.Err()
	}
}

// join returns the read of a key, which it begins when nobody has; nil when too many are under way. mu is held.
func (c *Cache) join(key flightKey) *flight {
	if f := c.flights[key]; f != nil {
		return f
	}
	if c.closed || len(c.flights) >= maxFlights {
		return nil
	}
	f := &flight{begun: time.Now(), done: make(chan struct{})}
	c.flights[key] = f
	c.running.Go(func() {
		defer func() {
			if p := recover(); p != nil { // the process, and with it every call, shall not end for one read
				f.err = fmt.Errorf("panic while reading: %v", p)
				c.opt.Logger.Error("panic while reading the store", zap.Any("panic", p), zap.ByteString("stack", debug.Stack()))
			}
			c.mu.Lock()
			delete(c.flights, key)
			c.note(f.err)
			c.mu.Unlock()
			close(f.done)
		}()
		ctx, cancel := context.WithTimeout(c.reads, c.opt.ReadTime)
		defer cancel()
		if key.number == "" {
			f.err = c.readRevision(ctx, f.begun)
		} else {
			f.err = c.readProfile(ctx, key)
		}
	})
	return f
}

func (c *Cache) readRevision(ctx context.Context, begun time.Time) error {
	revision, err := c.opt.Profiles.Revision(ctx)
	if err != nil {
		return err
	}
	c.mu.Lock()
	old, known := c.revision, c.known
	c.mu.Unlock()
	touched := Touched{Revision: revision, All: true}
	if known && revision != old { // it is read here alone, one at a time
		if touched, err = c.opt.Profiles.Touched(ctx, old); err != nil {
			return err
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !known || revision != old {
		c.touched.add(touched)
		if touched.Revision < c.revision { // a backup was put back: what is kept is of another history
			for _, e := range c.items {
				e.Value.(*cached).revision = -1
			}
		}
		c.revision, c.known = touched.Revision, true
	}
	if begun.After(c.hurried) { // else something has changed since it began
		c.checked = begun
	}
	return nil
}

func (c *Cache) readProfile(ctx context.Context, key flightKey) error {
	begun := time.Now()
	profile, err := c.opt.Profiles.Profile(ctx, key.number)
	unknown := errors.Is(err, ErrNotFound)
	if unknown {
		err = nil
	}
	if c.opt.ReadTook != nil {
		c.opt.ReadTook(time.Since(begun), err)
	}
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.put(&cached{number: key.number, profile: profile, unknown: unknown, revision: key.revision})
	return nil
}

// note warns once when the store falls silent and tells when it is back. mu is held.
func (c *Cache) note(err error) {
	switch silent := err != nil; {
	case silent == c.silent || c.closed:
	case silent:
		c.silent = true
		c.opt.Logger.Warn("store does not answer; calls use the profiles in memory", zap.Error(err))
	default:
		c.silent = false
		c.opt.Logger.Info("store answers again")
	}
}

// get returns what is kept of a number, nil when nothing is. mu is held.
func (c *Cache) get(number tel.Number) *cached {
	e, ok := c.items[number]
	if !ok {
		return nil
	}
	entry := e.Value.(*cached)
	c.of(entry).MoveToFront(e)
	return entry
}

// of is the list that an entry stands in.
func (c *Cache) of(e *cached) *lru {
	if e.unknown {
		return &c.unknown
	}
	return &c.owned
}

// put keeps what was read of a number, unless what is kept holds at the revision and this does not. mu is held.
func (c *Cache) put(e *cached) {
	if old, ok := c.items[e.number]; ok {
		kept := old.Value.(*cached)
		if !c.holds(e) && c.holds(kept) {
			return
		}
		c.of(kept).Remove(old)
	}
	list := c.of(e)
	c.items[e.number] = list.PushFront(e)
	if list.Len() > list.size {
		last := list.Back()
		list.Remove(last)
		delete(c.items, last.Value.(*cached).number)
	}
}

func (e *cached) answer() (account.Profile, error) {
	if e.unknown {
		return account.Profile{}, ErrNotFound
	}
	return e.profile, nil
}
