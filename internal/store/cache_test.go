package store_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/store"
	"github.com/signalbox/signalbox/internal/tel"
)

const alice, nobody = tel.Number("+14155550100"), tel.Number("+14155550199")

// shelf is a small store behind the cache, which may fail or hang.
type shelf struct {
	mu       sync.Mutex
	revision int64
	names    map[tel.Number]string
	reads    int // of profiles
	looks    int // at the revision
	fail     error
	hang     bool // does not even mind its context, like a disk that is gone
	free     chan struct{}
	touched  *store.Touched  // what changed last; nil = anything
	profile  account.Profile // of those that have a name, but for the name
}

func newShelf() *shelf {
	return &shelf{names: map[tel.Number]string{alice: "first"}, free: make(chan struct{})}
}

func (s *shelf) change(number tel.Number, name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.names[number] = name
	s.revision++
}

func (s *shelf) set(fail error, hang bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail, s.hang = fail, hang
}

func (s *shelf) state() (error, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fail, s.hang
}

func (s *shelf) Profile(_ context.Context, number tel.Number) (account.Profile, error) {
	s.mu.Lock()
	s.reads++
	s.mu.Unlock()
	fail, hang := s.state()
	if hang {
		<-s.free
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	name, ok := s.names[number]
	switch {
	case fail != nil:
		return account.Profile{}, fail
	case !ok:
		return account.Profile{}, fmt.Errorf("shelf: %w", store.ErrNotFound)
	}
	p := s.profile
	p.Number, p.Account.Name = number, name
	return p, nil
}

func (s *shelf) Revision(context.Context) (int64, error) {
	s.mu.Lock()
	s.looks++
	s.mu.Unlock()
	fail, hang := s.state()
	if hang {
		<-s.free
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.revision, fail
}

func (s *shelf) Touched(ctx context.Context, _ int64) (store.Touched, error) {
	revision, err := s.Revision(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.touched == nil {
		return store.Touched{Revision: revision, All: true}, err
	}
	t := *s.touched
	t.Revision = revision
	return t, err
}

func (s *shelf) counts() (reads, looks int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reads, s.looks
}

// inBubble runs a test with a cache over a shelf, in time that only passes when everybody waits.
func inBubble(t *testing.T, opt store.CacheOptions, test func(t *testing.T, s *shelf, c *store.Cache)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := newShelf()
		opt.Profiles = s
		c := store.NewCache(opt)
		test(t, s, c)
		s.set(nil, false)
		close(s.free)
		c.Close()
	})
}

func wantName(t *testing.T, c *store.Cache, number tel.Number, want string) {
	t.Helper()
	begun := time.Now()
	p, err := c.Profile(t.Context(), number)
	if err != nil || p.Account.Name != want {
		t.Errorf("profile is %q, %v, want %q", p.Account.Name, err, want)
	}
	if took := time.Since(begun); took > 150*time.Millisecond {
		t.Errorf("the call waited %v, bound is 150 ms", took)
	}
}

func TestProfileIsReadOnce(t *testing.T) {
	inBubble(t, store.CacheOptions{}, func(t *testing.T, s *shelf, c *store.Cache) {
		for range 10 {
			wantName(t, c, alice, "first")
			time.Sleep(100 * time.Millisecond)
		}
		if reads, looks := s.counts(); reads != 1 || looks > 5 {
			t.Errorf("%d reads and %d looks at the revision in 1 s, want 1 and at most 4", reads, looks)
		}
	})
}

func TestUnknownNumberIsRemembered(t *testing.T) {
	inBubble(t, store.CacheOptions{}, func(t *testing.T, s *shelf, c *store.Cache) {
		for range 3 {
			if _, err := c.Profile(t.Context(), nobody); !errors.Is(err, store.ErrNotFound) {
				t.Errorf("got %v, want ErrNotFound", err)
			}
		}
		if reads, _ := s.counts(); reads != 1 {
			t.Errorf("%d reads, want 1", reads)
		}
		s.change(nobody, "somebody")
		time.Sleep(250 * time.Millisecond)
		wantName(t, c, nobody, "somebody")
	})
}

func TestChangeIsSeenWithinTheCheckTime(t *testing.T) {
	inBubble(t, store.CacheOptions{}, func(t *testing.T, s *shelf, c *store.Cache) {
		wantName(t, c, alice, "first")
		s.change(alice, "second")
		wantName(t, c, alice, "first") // the revision is believed for 250 ms
		time.Sleep(250 * time.Millisecond)
		wantName(t, c, alice, "second")
		s.mu.Lock()
		s.names[alice], s.revision = "restored", 0 // a backup was put back
		s.mu.Unlock()
		time.Sleep(250 * time.Millisecond)
		wantName(t, c, alice, "restored")
		before, _ := s.counts()
		wantName(t, c, alice, "restored")
		if after, _ := s.counts(); after != before {
			t.Error("the restored profile is read again at each call")
		}
	})
}

func TestSilentStoreDelaysNoCallBeyondTheBound(t *testing.T) {
	inBubble(t, store.CacheOptions{}, func(t *testing.T, s *shelf, c *store.Cache) {
		wantName(t, c, alice, "first")
		s.set(nil, true)
		time.Sleep(time.Second)
		wantName(t, c, alice, "first")
		begun := time.Now()
		wantName(t, c, alice, "first")
		if took := time.Since(begun); took > 0 {
			t.Errorf("the second call waited %v for a store known to be silent", took)
		}
		if _, err := c.Profile(t.Context(), nobody); !errors.Is(err, store.ErrUnavailable) || errors.Is(err, store.ErrNotFound) {
			t.Errorf("number not in the cache: %v, want ErrUnavailable", err)
		}
	})
}

func TestSilentFromTheStart(t *testing.T) {
	inBubble(t, store.CacheOptions{}, func(t *testing.T, s *shelf, c *store.Cache) {
		s.set(nil, true)
		begun := time.Now()
		if _, err := c.Profile(t.Context(), alice); !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("got %v, want ErrUnavailable", err)
		}
		if took := time.Since(begun); took != 150*time.Millisecond {
			t.Errorf("waited %v, want 150 ms", took)
		}
	})
}

func TestFailingStoreIsAskedAgainWhenItIsBack(t *testing.T) {
	inBubble(t, store.CacheOptions{}, func(t *testing.T, s *shelf, c *store.Cache) {
		wantName(t, c, alice, "first")
		s.set(errors.New("disk on fire"), false)
		time.Sleep(time.Second)
		wantName(t, c, alice, "first")
		s.set(nil, false)
		s.change(alice, "second")
		wantName(t, c, alice, "second")
	})
}

func TestStoreThatFallsSilentBetweenRevisionAndProfile(t *testing.T) {
	inBubble(t, store.CacheOptions{Check: time.Hour}, func(t *testing.T, s *shelf, c *store.Cache) {
		if _, err := c.Revision(t.Context()); err != nil {
			t.Fatal(err)
		}
		s.set(nil, true)
		begun := time.Now()
		if _, err := c.Profile(t.Context(), alice); !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("got %v, want ErrUnavailable", err)
		}
		if took := time.Since(begun); took != 150*time.Millisecond {
			t.Errorf("waited %v, want 150 ms", took)
		}
	})
}

func TestManyCallsShareOneRead(t *testing.T) {
	inBubble(t, store.CacheOptions{}, func(t *testing.T, s *shelf, c *store.Cache) {
		var all sync.WaitGroup
		for range 50 {
			all.Go(func() { wantName(t, c, alice, "first") })
		}
		all.Wait()
		if reads, looks := s.counts(); reads != 1 || looks != 1 {
			t.Errorf("%d reads and %d looks, want 1 and 1", reads, looks)
		}
	})
}

func TestReadsUnderWayAreBounded(t *testing.T) {
	inBubble(t, store.CacheOptions{Check: time.Hour}, func(t *testing.T, s *shelf, c *store.Cache) {
		wantName(t, c, alice, "first")
		s.set(nil, true)
		var all sync.WaitGroup
		for i := range 200 {
			all.Go(func() {
				if _, err := c.Profile(t.Context(), tel.Number(fmt.Sprintf("+1415555%04d", 1000+i))); !errors.Is(err, store.ErrUnavailable) {
					t.Errorf("got %v, want ErrUnavailable", err)
				}
			})
		}
		all.Wait()
		if reads, _ := s.counts(); reads != 65 {
			t.Errorf("%d reads, want the first and 64 that hang", reads)
		}
	})
}

func TestCacheIsBounded(t *testing.T) {
	const bob, carol = tel.Number("+14155550101"), tel.Number("+14155550102")
	inBubble(t, store.CacheOptions{Size: 2, Unknown: 1}, func(t *testing.T, s *shelf, c *store.Cache) {
		s.change(bob, "bob")
		s.change(carol, "carol")
		reads := func(want int, numbers ...tel.Number) {
			t.Helper()
			before, _ := s.counts()
			for _, n := range numbers {
				_, _ = c.Profile(t.Context(), n)
			}
			if after, _ := s.counts(); after-before != want {
				t.Errorf("%d reads of %s, want %d", after-before, numbers, want)
			}
		}
		reads(2, alice, bob)
		reads(3, nobody, "+14155550198", nobody) // strangers who call any number push out no subscriber
		reads(0, alice, bob, nobody)
		reads(1, carol)
		reads(1, alice) // was not used for longest
		reads(0, carol)
	})
}

// One change of one number does not make the others be read again, unless they are made of what changed.
func TestAChangeTouchesWhomItConcerns(t *testing.T) {
	const bob = tel.Number("+14155550101")
	touch := func(tenant string, kind account.Kind, key string) store.Touch {
		return store.Touch{Tenant: tenant, Kind: kind, Key: key}
	}
	for what, test := range map[string]struct {
		touched    store.Touched
		alice, bob bool // is read again
	}{
		"nothing of theirs":                 {store.Touched{Rows: []store.Touch{touch("t", account.KindNumber, "+14155550177"), touch("other", account.KindAccount, "alice")}}, false, false},
		"the number":                        {store.Touched{Rows: []store.Touch{touch("t", account.KindNumber, string(alice))}}, true, false},
		"the account":                       {store.Touched{Rows: []store.Touch{touch("t", account.KindAccount, "alice")}}, true, false},
		"the pilot, which the operator has": {store.Touched{Rows: []store.Touch{touch("operator", account.KindPilot, "*86")}}, true, false},
		"a system behind it":                {store.Touched{Rows: []store.Touch{touch("operator", account.KindVoicemailSystem, "vm.example.net")}}, true, false},
		"a number that nobody had":          {store.Touched{Rows: []store.Touch{touch("t", account.KindNumber, string(bob))}}, false, true},
		"more than is known":                {store.Touched{All: true}, true, true},
	} {
		t.Run(what, func(t *testing.T) {
			inBubble(t, store.CacheOptions{}, func(t *testing.T, s *shelf, c *store.Cache) {
				s.profile = account.Profile{Account: account.Account{Tenant: "t", ID: "alice"}, Voicemail: &account.Voicemail{Pilot: "*86"},
					Systems: []account.VoicemailSystem{{FQDN: "vm.example.net"}}}
				look := func() (a, b int) {
					begin, _ := s.counts()
					_, _ = c.Profile(t.Context(), alice)
					middle, _ := s.counts()
					_, _ = c.Profile(t.Context(), bob)
					end, _ := s.counts()
					return middle - begin, end - middle
				}
				look()
				s.mu.Lock()
				s.revision++
				s.touched = &test.touched
				s.mu.Unlock()
				time.Sleep(time.Second)
				if a, b := look(); (a == 1) != test.alice || (b == 1) != test.bob {
					t.Errorf("read again: alice %d, bob %d", a, b)
				}
				// The next change is none of theirs, and what they were before is not forgotten.
				s.mu.Lock()
				s.revision++
				s.touched = &store.Touched{}
				s.mu.Unlock()
				time.Sleep(time.Second)
				if a, b := look(); a+b != 0 {
					t.Errorf("read again by a change of others: alice %d, bob %d", a, b)
				}
			})
		})
	}
}

func TestHurryMakesTheNextCallLook(t *testing.T) {
	inBubble(t, store.CacheOptions{Check: time.Hour}, func(t *testing.T, s *shelf, c *store.Cache) {
		wantName(t, c, alice, "first")
		s.change(alice, "second")
		wantName(t, c, alice, "first")
		c.Hurry()
		time.Sleep(time.Nanosecond)
		wantName(t, c, alice, "second")
	})
}

func TestWarmReadsAheadOfCalls(t *testing.T) {
	inBubble(t, store.CacheOptions{}, func(t *testing.T, s *shelf, c *store.Cache) {
		c.Warm(alice, nobody, "")
		synctest.Wait()
		if reads, _ := s.counts(); reads != 2 {
			t.Errorf("%d reads, want one of each", reads)
		}
		before, _ := s.counts()
		wantName(t, c, alice, "first")
		for range 100 { // it registers again and again
			c.Warm(alice)
		}
		synctest.Wait()
		if after, _ := s.counts(); after != before {
			t.Errorf("%d reads of a number in memory", after-before)
		}
		if stats := c.Stats(); stats.Warmed != 2 || stats.Hits != 1 {
			t.Errorf("counted %+v", stats)
		}
	})
}

func TestAStormOfRegistrationsLeavesTheStoreToTheCalls(t *testing.T) {
	inBubble(t, store.CacheOptions{}, func(t *testing.T, s *shelf, c *store.Cache) {
		wantName(t, c, somebody(s), "somebody")
		s.set(nil, true)
		for i := range 10_000 {
			c.Warm(tel.Number(fmt.Sprintf("+1415556%04d", i)))
		}
		synctest.Wait()
		if reads, _ := s.counts(); reads > 5 {
			t.Errorf("%d reads at once", reads)
		}
		wantName(t, c, somebody(s), "somebody") // a silent store, and a call from memory
	})
}

func somebody(s *shelf) tel.Number {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.names["+14155550188"] = "somebody"
	return "+14155550188"
}

func TestCallerWhoHangsUpDoesNotWait(t *testing.T) {
	inBubble(t, store.CacheOptions{}, func(t *testing.T, s *shelf, c *store.Cache) {
		s.set(nil, true)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		if _, err := c.Profile(ctx, alice); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want the context's error", err)
		}
	})
}

// crazy is a store with a fault in it.
type crazy struct{ *shelf }

func (c crazy) Profile(ctx context.Context, number tel.Number) (account.Profile, error) {
	if fail, _ := c.state(); fail != nil {
		panic(fail)
	}
	return c.shelf.Profile(ctx, number)
}

func TestAStoreThatPanicsIsNotAvailable(t *testing.T) {
	s := newShelf()
	c := store.NewCache(store.CacheOptions{Profiles: crazy{s}})
	defer c.Close()
	s.set(errors.New("a fault in the driver"), false)
	if _, err := c.Profile(t.Context(), alice); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("got %v, want ErrUnavailable", err)
	}
	s.set(nil, false)
	if p, err := c.Profile(t.Context(), alice); err != nil || p.Account.Name != "first" {
		t.Errorf("the next read: %+v, %v", p, err)
	}
}

func TestNoNumberIsNobodys(t *testing.T) {
	inBubble(t, store.CacheOptions{}, func(t *testing.T, _ *shelf, c *store.Cache) {
		if _, err := c.Profile(t.Context(), ""); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("got %v, want ErrNotFound", err)
		}
	})
}
