package app

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/signalbox/signalbox/internal/store"
)

// shelf has records of which only the end is known, oldest first.
type shelf struct {
	mu    sync.Mutex
	keep  time.Duration
	ends  []time.Time
	down  error
	trims int
}

func (s *shelf) Trim(_ context.Context, before time.Time) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.trims++
	if s.down != nil {
		return 0, s.down
	}
	n, _ := slices.BinarySearchFunc(s.ends, before, time.Time.Compare)
	n = min(n, store.TrimBatch)
	s.ends = s.ends[n:]
	return n, nil
}

// left says how many records are there, after how many calls of Trim.
func (s *shelf) left() (records, trims int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.ends), s.trims
}

func (s *shelf) kept() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.keep
}

func (s *shelf) set(keep time.Duration, down error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keep, s.down = keep, down
}

func TestOldRecordsAreDeletedEveryHour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &shelf{keep: 24 * time.Hour}
		for range 2*store.TrimBatch + 7 {
			s.ends = append(s.ends, time.Now().Add(-48*time.Hour))
		}
		s.ends = append(s.ends, time.Now().Add(-23*time.Hour-30*time.Minute), time.Now().Add(-time.Hour))
		core, logged := observer.New(zap.InfoLevel)
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- trimRecords(ctx, s, s.kept, time.Now, zap.New(core)) }()

		check := func(when string, left, trims int) {
			t.Helper()
			synctest.Wait()
			if n, times := s.left(); n != left || times != trims {
				t.Errorf("%s: %d records left after %d trims, want %d after %d", when, n, times, left, trims)
			}
		}
		check("at start, batch after batch", 2, 3)
		time.Sleep(59 * time.Minute)
		check("before the hour is over", 2, 3)
		time.Sleep(2 * time.Minute)
		check("an hour later", 1, 4)
		s.set(0, nil) // a reload
		time.Sleep(100 * time.Hour)
		check("kept for ever", 1, 4)
		s.set(time.Hour, errors.New("disk says no"))
		time.Sleep(time.Hour)
		check("while the store is down", 1, 5)
		s.set(time.Hour, nil)
		time.Sleep(time.Hour)
		check("when it is back", 0, 6)
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		var lines []string
		for _, e := range logged.All() {
			lines = append(lines, fmt.Sprint(e.Message, e.ContextMap()["records"]))
		}
		want := []string{"old call records deleted2007", "old call records deleted1", "old call records not deleted, trying again in an hour<nil>", "old call records deleted1"}
		if !slices.Equal(lines, want) {
			t.Errorf("log %q", lines)
		}
	})
}

// A clock that jumps ahead must not make every record old: there is an hour to put it right.
func TestASteppedClockDeletesNothingForAnHour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &shelf{keep: 24 * time.Hour, ends: []time.Time{time.Now().Add(-time.Hour)}}
		core, logged := observer.New(zap.InfoLevel)
		var step atomic.Int64
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() {
			done <- trimRecords(ctx, s, s.kept, func() time.Time { return time.Now().Add(time.Duration(step.Load())) }, zap.New(core))
		}()
		synctest.Wait()
		step.Store(int64(365 * 24 * time.Hour))
		time.Sleep(trimEvery)
		synctest.Wait()
		if n, _ := s.left(); n != 1 || logged.FilterMessageSnippet("the clock was stepped").Len() != 1 {
			t.Errorf("%d records are left, log %v", n, logged.All())
		}
		step.Store(0) // put right, which is a step as well
		time.Sleep(2 * trimEvery)
		synctest.Wait()
		if n, _ := s.left(); n != 1 {
			t.Error("a record that is not old was deleted")
		}
		time.Sleep(24 * time.Hour)
		synctest.Wait()
		if n, _ := s.left(); n != 0 {
			t.Error("nothing is deleted any more")
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
