package sidecar

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/signalbox/signalbox/internal/call"
	"github.com/signalbox/signalbox/internal/store"
)

const (
	// ledgerSize bounds the calls whose record waits in memory. Beyond it an open record's newest state is dropped and counted;
	// an end finds room until there are twice as many, and is lost only then. The call itself never waits.
	ledgerSize = 10000
	// writeTimeout bounds one write to the store.
	writeTimeout = 2 * time.Second
	// gatherTime is how long a state between the first of a call, the answer and the end may wait for the next one, so that a
	// call that is refused, looked up and taken by voicemail within it costs one write instead of one for each step.
	gatherTime = 250 * time.Millisecond
	// writeAgain is the pause after a failed write.
	writeAgain = 500 * time.Millisecond
	// lastWrites is how long Run goes on writing after its context has ended.
	lastWrites = 5 * time.Second
)

// Ledger writes call records to the store, behind the calls' backs. Of each call only the newest state waits, so a slow
// store costs detail in between, never the end; the states of one call are written in their order, and of two ends of one call
// the first counts. The first state of a call, its answer and its end are written at once, so that a sidecar that dies has
// kept them; what its steps gave in between waits for gatherTime. While the store does not take them, ends go to a spool file, which is written first when the store is back,
// by this process or the next one; open states wait in memory. One goroutine, Run, touches store and spool; everything else is
// safe for concurrent use and never blocks.
type Ledger struct {
	records store.Records
	spool   *spool // nil = none
	log     *zap.Logger

	mu      sync.Mutex
	waiting map[string]call.Record
	order   []string            // what of it is due
	later   []due               // what of it is not yet, soonest first
	known   map[string]progress // of the calls that are not over
	ends    map[string]bool     // calls whose end waits: in memory, in the spool, or being written
	wake    chan struct{}
	dropped atomic.Int64
	lost    atomic.Int64
	spooled atomic.Int64

	down bool // the last write failed; owned by Run
}

// due is when a state is to be written.
type due struct {
	id string
	at time.Time
}

// progress is what is known of a call: whether the store has its record, and whether its last state said that it was answered.
type progress struct{ opened, answered bool }

// NewLedger makes a Ledger. spoolFile is where ends of calls wait for a store that is down, "" = in memory alone; what an earlier
// process left there is written first.
func NewLedger(records store.Records, spoolFile string, log *zap.Logger) *Ledger {
	if log == nil {
		log = zap.NewNop()
	}
	l := &Ledger{
		records: records, log: log, waiting: map[string]call.Record{}, ends: map[string]bool{}, wake: make(chan struct{}, 1), known: map[string]progress{},
	}
	if spoolFile == "" {
		return l
	}
	l.spool = &spool{path: spoolFile, log: log}
	err := l.spool.load(func(rec call.Record) {
		l.spooled.Add(1)
		l.note(rec)
	})
	if err != nil {
		log.Error("the spool of call records cannot be read; what is in it is not written", zap.String("file", spoolFile), zap.Error(err))
	}
	if n := l.Spooled(); n > 0 {
		log.Info("call records were left in the spool, they are written first", zap.Int64("records", n), zap.String("file", spoolFile))
	}
	return l
}

// Dropped counts states of open records that found no room.
func (l *Ledger) Dropped() int64 { return l.dropped.Load() }

// Lost counts ends of calls that found no room: neither in memory nor, while the store was down, on the disk.
func (l *Ledger) Lost() int64 { return l.lost.Load() }

// Spooled is how many records wait in the spool.
func (l *Ledger) Spooled() int64 { return l.spooled.Load() }

// Waiting is how many records wait in memory.
func (l *Ledger) Waiting() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.waiting)
}

// Ended reports whether the end of a record is known and only waits to be written.
func (l *Ledger) Ended(id string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.ends[id]
}

// Keep takes a record's newest state. It never blocks.
func (l *Ledger) Keep(rec call.Record) {
	if l.take(rec) {
		select {
		case l.wake <- struct{}{}:
		default:
		}
	}
}

// take puts a state where Run finds it, and reports whether Run has to look.
func (l *Ledger) take(rec call.Record) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, waits := l.waiting[rec.ID]
	switch {
	case l.ends[rec.ID]: // the first end counts
		return false
	case waits:
	case !rec.Open() && len(l.waiting) >= 2*ledgerSize:
		l.lost.Add(1)
		delete(l.known, rec.ID)
		return false
	case rec.Open() && len(l.waiting) >= ledgerSize:
		l.dropped.Add(1)
		return false
	}
	l.waiting[rec.ID] = rec
	l.note(rec)
	was, known := l.known[rec.ID]
	answered := !rec.Answered.IsZero()
	l.known[rec.ID] = progress{opened: was.opened, answered: answered}
	switch now := !known || !rec.Open() || answered && !was.answered; {
	case !waits && now:
		l.order = append(l.order, rec.ID)
	case !waits:
		l.later = append(l.later, due{rec.ID, time.Now().Add(gatherTime)})
	case now:
		if i := slices.IndexFunc(l.later, func(d due) bool { return d.id == rec.ID }); i >= 0 {
			l.later = slices.Delete(l.later, i, i+1)
			l.order = append(l.order, rec.ID)
		}
	}
	return true
}

// note remembers the end of a call. mu is held.
func (l *Ledger) note(rec call.Record) {
	if !rec.Open() {
		l.ends[rec.ID] = true
	}
}

// forget is for an end that was written, or never will be.
func (l *Ledger) forget(rec call.Record) {
	if rec.Open() {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.ends, rec.ID)
	delete(l.known, rec.ID)
}

// Run writes until ctx ends, then what is left, for lastWrites at most; what the store does not take even then goes to the
// spool. The error says how many records were lost.
func (l *Ledger) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		wrote, err := l.step(context.WithoutCancel(ctx))
		switch {
		case err != nil:
			l.pause(ctx)
		case !wrote:
			l.await(ctx)
		}
	}
	return l.flush(context.WithoutCancel(ctx))
}

// await waits for a state to be due, or until ctx ends.
func (l *Ledger) await(ctx context.Context) {
	var ripe <-chan time.Time
	l.mu.Lock()
	if len(l.later) > 0 {
		timer := time.NewTimer(time.Until(l.later[0].at))
		defer timer.Stop()
		ripe = timer.C
	}
	l.mu.Unlock()
	select {
	case <-l.wake:
	case <-ripe:
	case <-ctx.Done():
	}
}

// ripen makes due whatever has waited until a time.
func (l *Ledger) ripen(until time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.later) > 0 && !l.later[0].at.After(until) {
		l.order = append(l.order, l.later[0].id)
		l.later = l.later[1:]
	}
}

// flush writes what is left after the end.
func (l *Ledger) flush(ctx context.Context) error {
	l.ripen(time.Now().Add(gatherTime))
	ctx, cancel := context.WithTimeout(ctx, lastWrites)
	defer cancel()
	var failed error
	for ctx.Err() == nil {
		wrote, err := l.step(ctx)
		switch {
		case err != nil:
			failed = err
			l.pause(ctx)
		case !wrote:
			return nil
		}
	}
	l.toSpool(func(call.Record) bool { return true })
	if n := l.Waiting(); n > 0 {
		return fmt.Errorf("%d call records not written at the end: %w", n, failed)
	}
	if n := l.Spooled(); n > 0 {
		l.log.Warn("call records wait in the spool for the next start", zap.Int64("records", n), zap.String("file", l.spool.path))
	}
	return nil
}

// step writes one record of the spool and one of those in memory, in this order: what waits in the spool is older. While the
// store does not take them, the ends in memory go to the spool.
func (l *Ledger) step(ctx context.Context) (wrote bool, err error) {
	l.ripen(time.Now())
	spooled, err := l.replay(ctx)
	rec, ok := l.next()
	if !ok {
		return spooled, err
	}
	if failed := l.settle(rec, l.write(ctx, rec)); failed != nil {
		l.putBack(rec)
		l.toSpool(func(rec call.Record) bool { return !rec.Open() })
		return spooled, failed
	}
	if err != nil { // it is the record at the head of the spool, not the store: the others shall not wait for it
		l.spool.rotate()
	}
	return true, nil
}

// replay writes the first record of the spool.
func (l *Ledger) replay(ctx context.Context) (bool, error) {
	if l.spool == nil {
		return false, nil
	}
	rec, ok := l.spool.first()
	if !ok {
		return false, nil
	}
	err := l.write(ctx, rec)
	if rec.Open() && errors.Is(err, store.ErrClosed) {
		err = nil // written before a death that kept the spool from being emptied
	}
	if err := l.settle(rec, err); err != nil {
		return false, err
	}
	l.spool.done()
	l.spooled.Add(-1)
	return true, nil
}

// settle judges a write: nil when it is over, for good or ill, and the error when it is worth another try.
func (l *Ledger) settle(rec call.Record, err error) error {
	switch {
	case err == nil:
		if l.down {
			l.log.Info("call records are written again")
		}
		l.down = false
	case hopeless(err):
		l.log.Error("call record not written", zap.String("uuid", rec.UUID), zap.Error(err))
	default:
		if !l.down {
			l.log.Warn("call records are not written, trying again; ends of calls wait in the spool", zap.String("uuid", rec.UUID), zap.Error(err))
		}
		l.down = true
		return err
	}
	l.forget(rec)
	return nil
}

// hopeless reports whether a write would fail again however often it is tried.
func hopeless(err error) bool {
	return errors.Is(err, store.ErrOwner) || errors.Is(err, store.ErrClosed) || errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrRecord)
}

// toSpool moves those records in memory that are wanted to the spool, and reports whether none of them is left.
func (l *Ledger) toSpool(want func(call.Record) bool) bool {
	if l.spool == nil {
		return false
	}
	for {
		l.mu.Lock()
		var move []call.Record
		for _, id := range l.order {
			if rec := l.waiting[id]; want(rec) && len(move) < spoolChunk {
				move = append(move, rec)
			}
		}
		l.mu.Unlock()
		if len(move) == 0 {
			return true
		}
		if err := l.spool.add(move); err != nil {
			l.log.Error("call records wait in memory alone: the spool does not take them", zap.Int("records", l.Waiting()), zap.String("file", l.spool.path), zap.Error(err))
			return false
		}
		l.spooled.Add(int64(len(move)))
		l.leave(move)
	}
}

// leave takes records out of memory, but for those whose end has come meanwhile.
func (l *Ledger) leave(records []call.Record) {
	l.mu.Lock()
	defer l.mu.Unlock()
	gone := map[string]bool{}
	for _, rec := range records {
		if rec.Open() == l.waiting[rec.ID].Open() {
			gone[rec.ID] = true
			delete(l.waiting, rec.ID)
		}
	}
	l.order = slices.DeleteFunc(l.order, func(id string) bool { return gone[id] })
}

// pause waits a moment, or until ctx ends.
func (l *Ledger) pause(ctx context.Context) {
	timer := time.NewTimer(writeAgain)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

func (l *Ledger) next() (call.Record, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.order) == 0 {
		return call.Record{}, false
	}
	id := l.order[0]
	l.order = l.order[1:]
	rec := l.waiting[id]
	delete(l.waiting, id)
	return rec, true
}

// putBack keeps a record that could not be written, behind the others, unless a newer state of it has come meanwhile.
func (l *Ledger) putBack(rec call.Record) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, newer := l.waiting[rec.ID]; newer {
		return
	}
	l.waiting[rec.ID] = rec
	l.order = append(l.order, rec.ID)
}

func (l *Ledger) write(ctx context.Context, rec call.Record) (err error) {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	defer func() {
		if p := recover(); p != nil { // one record shall not end the process and with it every call
			l.log.Error("panic while writing a call record", zap.Any("panic", p), zap.ByteString("stack", debug.Stack()))
			err = fmt.Errorf("panic while writing: %v", p)
		}
	}()
	if !l.opened(rec.ID) {
		open := rec
		open.Ended = time.Time{}
		err := l.records.Open(ctx, open)
		if err == nil {
			l.noteOpened(rec.ID)
		}
		if err != nil || rec.Open() {
			return err
		}
	} else if rec.Open() {
		return l.records.Update(ctx, rec)
	}
	return l.records.Close(ctx, rec)
}

func (l *Ledger) opened(id string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.known[id].opened
}

func (l *Ledger) noteOpened(id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.known[id] = progress{opened: true, answered: l.known[id].answered}
}
