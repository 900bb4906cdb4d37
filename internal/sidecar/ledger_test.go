package sidecar

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/signalbox/signalbox/internal/call"
	"github.com/signalbox/signalbox/internal/store"
)

// shelf is a small store of records with behaviour: it may fail for a while, be slow, or refuse single records. Like a real
// one it wants a record opened before it is changed.
type shelf struct {
	mu     sync.Mutex
	kept   map[string]call.Record
	closed map[string]bool
	writes []string // "open 1", "update 1 ring", "close 1"

	down   error            // every call fails so
	slow   time.Duration    // every write takes so long
	refuse map[string]error // writes of these records fail so
}

func newShelf() *shelf {
	return &shelf{kept: map[string]call.Record{}, closed: map[string]bool{}, refuse: map[string]error{}}
}

func (s *shelf) write(ctx context.Context, what string, r call.Record, known bool) error {
	if s.slow > 0 {
		select {
		case <-time.After(s.slow):
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", store.ErrUnavailable, ctx.Err())
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := errors.Join(s.down, s.refuse[r.ID]); err != nil {
		return err
	}
	old, ok := s.kept[r.ID]
	switch {
	case known && !ok:
		return store.ErrNotFound
	case ok && old.Owner != r.Owner:
		return store.ErrOwner
	case known && s.closed[r.ID] && what != "close":
		return store.ErrClosed
	}
	s.writes = append(s.writes, fmt.Sprintf("%s %s %s", what, r.ID, r.Result))
	s.kept[r.ID] = r
	s.closed[r.ID] = what == "close"
	return nil
}

func (s *shelf) Open(ctx context.Context, r call.Record) error {
	return s.write(ctx, "open", r, false)
}
func (s *shelf) Update(ctx context.Context, r call.Record) error {
	return s.write(ctx, "update", r, true)
}
func (s *shelf) Close(ctx context.Context, r call.Record) error {
	return s.write(ctx, "close", r, true)
}

func (s *shelf) OpenRecords(_ context.Context, node string) ([]call.Record, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down != nil {
		return nil, s.down
	}
	var out []call.Record
	for id, r := range s.kept {
		if !s.closed[id] && (node == "" || r.Node == node) {
			out = append(out, r)
		}
	}
	slices.SortFunc(out, func(a, b call.Record) int { return a.Started.Compare(b.Started) })
	return out, nil
}

func (s *shelf) Records(context.Context, int) ([]call.Record, error) { panic("not asked for here") }
func (s *shelf) Record(_ context.Context, id string) (call.Record, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, ok := s.kept[id]
	if !ok {
		return r, store.ErrNotFound
	}
	return r, nil
}

func (s *shelf) set(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

func (s *shelf) story() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.writes)
}

var began = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func record(id string, result call.Result, ended bool) call.Record {
	r := call.Record{ID: id, Owner: "me", UUID: "u-" + id, Node: "fs1", Started: began, Updated: began, Result: result}
	if ended {
		r.Ended = began.Add(time.Minute)
	}
	return r
}

// running runs a ledger in a bubble; the function it returns stops it and gives its error.
func running(l *Ledger) func() error {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- l.Run(ctx) }()
	return func() error {
		cancel()
		return <-done
	}
}

func TestLedgerWritesEachStateInItsOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShelf()
		l := NewLedger(s, "", nil)
		stop := running(l)
		for _, r := range []call.Record{record("1", "", false), record("1", call.NoAnswer, false), record("2", "", false), record("1", call.Answered, true)} {
			l.Keep(r)
			time.Sleep(gatherTime)
			synctest.Wait()
		}
		want := []string{"open 1 ", "update 1 no-answer", "open 2 ", "close 1 answered"}
		if got := s.story(); !slices.Equal(got, want) {
			t.Errorf("writes %q, want %q", got, want)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

// TestStatesThatComeTogetherAreOneWrite: what is written at once is the first state of a call, its answer and its end; of the others
// that come within gatherTime the last, and none that was overtaken.
func TestStatesThatComeTogetherAreOneWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShelf()
		l := NewLedger(s, "", nil)
		stop := running(l)
		answered := func(id string, result call.Result, ended bool) call.Record {
			r := record(id, result, ended)
			r.Answered = began.Add(time.Second)
			return r
		}
		for i, step := range []struct {
			state call.Record
			want  string // is written at once
		}{
			{record("1", "", false), "open 1 "},
			{record("1", call.Busy, false), ""},
			{record("1", call.NoAnswer, false), ""},
			{answered("1", call.NoAnswer, false), "update 1 no-answer"},
			{answered("1", call.Answered, false), ""},
			{answered("1", call.Answered, true), "close 1 answered"},
			{record("2", "", false), "open 2 "},
			{record("2", call.Busy, false), ""},
			{record("2", call.NoAnswer, false), ""},
		} {
			before := len(s.story())
			l.Keep(step.state)
			synctest.Wait()
			if got := strings.Join(s.story()[before:], ", "); got != step.want {
				t.Errorf("state %d: wrote %q, want %q", i, got, step.want)
			}
			time.Sleep(gatherTime / 10)
		}
		before := len(s.story())
		time.Sleep(gatherTime)
		synctest.Wait()
		if got, want := strings.Join(s.story()[before:], ", "), "update 2 no-answer"; got != want {
			t.Errorf("after the time: wrote %q, want %q", got, want)
		}
		l.Keep(record("2", call.Unreachable, false)) // and one that waits when all is over
		if err := stop(); err != nil || s.kept["2"].Result != call.Unreachable {
			t.Errorf("at the end: %v, %s", err, s.kept["2"].Result)
		}
		if len(l.known) != 1 {
			t.Errorf("remembers %v, want the open call alone", l.known)
		}
	})
}

func TestLedgerOfAShortCallOpensAndClosesItsRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShelf()
		l := NewLedger(s, "", nil)
		l.Keep(record("1", call.CallerGone, true)) // the only state anybody saw
		stop := running(l)
		synctest.Wait()
		if got := s.kept["1"]; !s.closed["1"] || got.Result != call.CallerGone || got.Open() {
			t.Errorf("kept %+v", got)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

func TestLedgerNeverMakesACallWaitForASlowStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShelf()
		s.slow = time.Second
		l := NewLedger(s, "", nil)
		stop := running(l)
		start := time.Now()
		for i := range 1000 {
			l.Keep(record("1", call.Result(fmt.Sprint(i)), false))
		}
		l.Keep(record("1", call.Answered, true))
		if d := time.Since(start); d != 0 {
			t.Errorf("Keep took %s", d)
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if got := s.kept["1"]; got.Result != call.Answered || !s.closed["1"] {
			t.Errorf("the newest state did not win: %s", got.Result)
		}
		if n := len(s.story()); n > 4 {
			t.Errorf("%d writes: states that nobody needs any more were written", n)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

func TestLedgerLosesNothingWhileTheStoreIsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShelf()
		s.down = store.ErrUnavailable
		l := NewLedger(s, "", nil)
		stop := running(l)
		for i := range 50 {
			id := fmt.Sprint(i)
			l.Keep(record(id, "", false))
			l.Keep(record(id, call.NoAnswer, false))
			synctest.Wait()
		}
		for i := range 25 { // half of them end meanwhile
			l.Keep(record(fmt.Sprint(i), call.Answered, true))
		}
		time.Sleep(time.Minute)
		if got := s.story(); len(got) != 0 {
			t.Fatalf("written while down: %q", got)
		}
		s.set(func() { s.down = nil })
		time.Sleep(time.Second)
		synctest.Wait()
		for i := range 50 {
			id := fmt.Sprint(i)
			want := call.NoAnswer
			if i < 25 {
				want = call.Answered
			}
			if r := s.kept[id]; r.Result != want || s.closed[id] != (i < 25) {
				t.Errorf("record %s: %s, closed %v", id, r.Result, s.closed[id])
			}
		}
		if l.Dropped() != 0 {
			t.Errorf("%d states dropped", l.Dropped())
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

// One record that the store will not have must not keep the others out.
func TestLedgerOneBadRecordDoesNotStopTheOthers(t *testing.T) {
	for name, err := range map[string]error{
		"fails for ever": errors.New("disk says no"), "belongs to another": store.ErrOwner, "is closed": store.ErrClosed, "is not there": store.ErrNotFound,
		"cannot be kept": fmt.Errorf("opening: %w: 2000000 bytes", store.ErrRecord),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newShelf()
				s.refuse["bad"] = err
				l := NewLedger(s, "", nil)
				stop := running(l)
				l.Keep(record("bad", "", false))
				for i := range 10 {
					l.Keep(record(fmt.Sprint(i), call.Answered, true))
				}
				time.Sleep(10 * time.Second)
				synctest.Wait()
				for i := range 10 {
					if !s.closed[fmt.Sprint(i)] {
						t.Errorf("record %d is not closed", i)
					}
				}
				s.set(func() { delete(s.refuse, "bad") })
				time.Sleep(time.Second)
				synctest.Wait()
				if _, ok := s.kept["bad"]; ok != (name == "fails for ever") {
					t.Errorf("tried again: %v", ok)
				}
				if err := stop(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func TestLedgerIsBoundedAndCountsWhatItDrops(t *testing.T) {
	l := NewLedger(newShelf(), "", nil)
	for i := range ledgerSize + 7 {
		l.Keep(record(fmt.Sprint(i), "", false))
	}
	if l.Dropped() != 7 {
		t.Errorf("%d states dropped, want 7", l.Dropped())
	}
	l.Keep(record("0", call.Answered, true)) // of a call that waits already there is always room
	if l.Dropped() != 7 {
		t.Errorf("the end of a known call was dropped")
	}
	if n := len(l.waiting); n != ledgerSize {
		t.Errorf("%d records wait, bound %d", n, ledgerSize)
	}
}

func TestLedgerWritesTheLastRecordsAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// The end comes together with the last records, as when calls drain.
		for range 50 {
			s := newShelf()
			l := NewLedger(s, "", nil)
			stop := running(l)
			synctest.Wait() // it waits for work
			l.Keep(record("1", call.Answered, true))
			if err := stop(); err != nil {
				t.Error(err)
			}
			if !s.closed["1"] {
				t.Fatal("the last record was lost")
			}
		}
	})
}

func TestLedgerKeepsTryingAtTheEndAndSaysWhatItLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShelf()
		s.down = store.ErrUnavailable
		l := NewLedger(s, "", nil)
		stop := running(l)
		l.Keep(record("1", call.Answered, true))
		synctest.Wait()
		go func() {
			time.Sleep(lastWrites / 2)
			s.set(func() { s.down = nil })
		}()
		if err := stop(); err != nil || !s.closed["1"] {
			t.Errorf("a store that comes back in time: %v, closed %v", err, s.closed["1"])
		}

		s = newShelf()
		s.down = store.ErrUnavailable
		l = NewLedger(s, "", nil)
		stop = running(l)
		for i := range 3 {
			l.Keep(record(fmt.Sprint(i), call.Answered, true))
		}
		start := time.Now()
		if err := stop(); !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("three lost records: %v", err)
		} else if want := "3 call records not written"; err.Error()[:len(want)] != want {
			t.Errorf("three lost records: %v", err)
		}
		if d := time.Since(start); d > lastWrites+writeTimeout {
			t.Errorf("the end took %s", d)
		}
	})
}

func TestLedgerGivesUpOnAStoreThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShelf()
		s.slow = time.Hour
		l := NewLedger(s, "", nil)
		stop := running(l)
		l.Keep(record("1", call.Answered, true))
		synctest.Wait()
		start := time.Now()
		if err := stop(); err == nil {
			t.Error("a lost record is not reported")
		}
		if d := time.Since(start); d > lastWrites+2*writeTimeout {
			t.Errorf("the end took %s", d)
		}
	})
}
