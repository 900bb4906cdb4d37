package sidecar

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/signalbox/signalbox/internal/call"
	"github.com/signalbox/signalbox/internal/store"
)

func there(path string) bool {
	_, err := os.Stat(path)
	return !errors.Is(err, fs.ErrNotExist)
}

// The store is down when calls end, the process dies, and the store is back for the next one.
func TestEndsOfCallsOutliveAStoreThatIsDownAndTheProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "signalbox.db.spool")
		s := newShelf()
		l := NewLedger(s, file, nil)
		ctx := t.Context()
		l.Keep(record("early", "", false))
		if _, err := l.step(ctx); err != nil || there(file) {
			t.Fatalf("a store that is up: %v, spool %v", err, there(file))
		}
		s.down = store.ErrUnavailable
		l.Keep(record("early", call.Answered, true))
		for i := range 5 {
			l.Keep(record(fmt.Sprint(i), call.NoAnswer, i > 0))
		}
		if _, err := l.step(ctx); err == nil || l.Spooled() != 5 || l.Waiting() != 1 {
			t.Fatalf("a store that is down: %v, %d in the spool, %d in memory", err, l.Spooled(), l.Waiting())
		}
		if !l.Ended("early") || l.Ended("0") {
			t.Errorf("ended: early %v, 0 %v", l.Ended("early"), l.Ended("0"))
		}
		// Here the process is killed: nothing of l is used any more.
		s.down = nil
		next := NewLedger(s, file, nil)
		if !next.Ended("early") || next.Spooled() != 5 {
			t.Errorf("the next process knows %d ends, early %v", next.Spooled(), next.Ended("early"))
		}
		next.Keep(record("early", call.Broken, true)) // the undertaker, who knows less: the first end counts
		stop := running(next)
		synctest.Wait()
		if err := stop(); err != nil {
			t.Error(err)
		}
		for _, id := range []string{"early", "1", "2", "3", "4"} {
			if !s.closed[id] || s.kept[id].Result == call.Broken {
				t.Errorf("record %s: closed %v, %s", id, s.closed[id], s.kept[id].Result)
			}
		}
		if there(file) || next.Spooled() != 0 {
			t.Errorf("the spool is still there with %d records", next.Spooled())
		}
	})
}

func TestSpoolIsWrittenWhenTheStoreIsBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		core, logged := observer.New(zap.InfoLevel)
		file := filepath.Join(t.TempDir(), "spool")
		s := newShelf()
		s.down = store.ErrUnavailable
		l := NewLedger(s, file, zap.New(core))
		stop := running(l)
		const calls = 3 * spoolChunk / 2
		for i := range calls {
			l.Keep(record(fmt.Sprint(i), call.Answered, true))
		}
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		if l.Waiting() != 0 || l.Spooled() != calls || len(s.story()) != 0 {
			t.Errorf("%d in memory, %d in the spool, %d written", l.Waiting(), l.Spooled(), len(s.story()))
		}
		if n := logged.Len(); n > 3 {
			t.Errorf("five minutes without a store cost %d lines of log", n)
		}
		s.set(func() { s.down = nil })
		time.Sleep(time.Second)
		synctest.Wait()
		for i := range calls {
			if !s.closed[fmt.Sprint(i)] {
				t.Fatalf("record %d is not closed", i)
			}
		}
		if there(file) || l.Spooled() != 0 || l.Lost() != 0 {
			t.Errorf("spool there %v, %d in it, %d lost", there(file), l.Spooled(), l.Lost())
		}
		if logged.FilterMessage("call records are written again").Len() != 1 {
			t.Errorf("log %v", logged.All())
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

// What the store does not take at the end goes to the spool, open states too: the next process's undertaker needs them.
func TestEverythingLeftGoesToTheSpoolAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "spool")
		s := newShelf()
		s.down = store.ErrUnavailable
		l := NewLedger(s, file, nil)
		stop := running(l)
		l.Keep(record("talks", call.Answered, false))
		l.Keep(record("over", call.Answered, true))
		if err := stop(); err != nil || l.Waiting() != 0 {
			t.Fatalf("%v, %d left in memory", err, l.Waiting())
		}
		s.down = nil
		l = NewLedger(s, file, nil)
		stop = running(l)
		synctest.Wait()
		if _, ok := s.kept["talks"]; !ok || s.closed["talks"] || !s.closed["over"] {
			t.Errorf("kept %v, closed %v", s.kept, s.closed)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

func TestSpoolWithTornAndForeignLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "spool")
		s := newShelf()
		first := &spool{path: file, log: zap.NewNop()}
		if err := first.add([]call.Record{record("1", call.Answered, true)}); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		whole := string(text)
		torn := whole + "\x00\x00 not a record\n{}\n" + strings.Replace(whole, `"id":"1"`, `"id":"2"`, 1) + whole[:len(whole)/2]
		if err := os.WriteFile(file, []byte(torn), 0o600); err != nil {
			t.Fatal(err)
		}
		s.down = store.ErrUnavailable
		l := NewLedger(s, file, nil)
		l.Keep(record("3", call.Answered, true)) // comes behind the torn line
		if _, err := l.step(t.Context()); err == nil {
			t.Fatal("written to a store that is down")
		}
		s.down = nil
		l = NewLedger(s, file, nil)
		stop := running(l)
		synctest.Wait()
		if err := stop(); err != nil {
			t.Error(err)
		}
		if !s.closed["1"] || !s.closed["2"] || !s.closed["3"] || len(s.kept) != 3 || there(file) {
			t.Errorf("closed %v, spool there %v", s.closed, there(file))
		}
	})
}

func TestARecordThatTheStoreRefusesDoesNotBlockTheSpool(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShelf()
		s.refuse["bad"] = errors.New("disk says no")
		l := NewLedger(s, filepath.Join(t.TempDir(), "spool"), nil)
		stop := running(l)
		l.Keep(record("bad", call.Answered, true))
		synctest.Wait()
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
		if !s.closed["bad"] {
			t.Error("the refused record was given up")
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

// Neither the store nor the spool takes a record, as on a full disk: memory has to do, and says so.
func TestWithoutStoreAndSpoolMemoryHoldsTheEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		core, logged := observer.New(zap.InfoLevel)
		s := newShelf()
		s.down = store.ErrUnavailable
		folder := filepath.Join(t.TempDir(), "not-there-yet")
		l := NewLedger(s, filepath.Join(folder, "spool"), zap.New(core))
		stop := running(l)
		for i := range 2*ledgerSize + 3 {
			l.Keep(record(fmt.Sprint(i), "", false))
			l.Keep(record(fmt.Sprint(i), call.Answered, true))
		}
		if l.Lost() != 3 || l.Dropped() != ledgerSize+3 {
			t.Errorf("%d ends lost, %d states dropped", l.Lost(), l.Dropped())
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if l.Waiting() != 2*ledgerSize || l.Spooled() != 0 {
			t.Errorf("%d in memory, %d in the spool", l.Waiting(), l.Spooled())
		}
		if logged.FilterMessageSnippet("the spool does not take them").Len() == 0 {
			t.Error("nobody is told that the spool takes nothing")
		}
		if err := os.Mkdir(folder, 0o700); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if l.Waiting() != 0 || l.Spooled() != 2*ledgerSize {
			t.Errorf("when the disk has room again: %d in memory, %d in the spool", l.Waiting(), l.Spooled())
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

// A store that panics costs the write, not the process.
func TestAPanicOfTheStoreIsAFailedWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &fragile{shelf: newShelf(), panics: 2}
		l := NewLedger(s, "", nil)
		stop := running(l)
		l.Keep(record("1", call.Answered, true))
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if !s.closed["1"] || !slices.Equal(s.story(), []string{"open 1 answered", "close 1 answered"}) {
			t.Errorf("writes %q", s.story())
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

// fragile is a shelf that panics so many times.
type fragile struct {
	*shelf
	panics int
}

func (f *fragile) write() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.panics > 0 {
		f.panics--
		panic("a fault in the driver")
	}
}

func (f *fragile) Open(ctx context.Context, r call.Record) error {
	f.write()
	return f.shelf.Open(ctx, r)
}
