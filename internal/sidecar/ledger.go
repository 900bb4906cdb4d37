package sidecar

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/signalbox/signalbox/internal/call"
	"github.com/signalbox/signalbox/internal/store"
)

const (
	// ledgerSize bounds the calls whose record waits to be written. Beyond it the newest state is dropped and counted;
	// the call itself never waits.
	ledgerSize = 10000
	// writeTimeout bounds one write to the store.
	writeTimeout = 2 * time.Second
	// writeAgain is the pause after a failed write.
	writeAgain = 500 * time.Millisecond
	// lastWrites is how long Run goes on writing after its context has ended.
	lastWrites = 5 * time.Second
)

// Ledger writes call records to the store, behind the calls' backs. Of each call only the newest state waits, so a slow
// store costs detail in between, never the end; the states of one call are written in their order. A record that cannot be
// written goes behind the others and is tried again, until Run has ended and lastWrites are over. One goroutine, Run,
// writes; Keep and Dropped are safe for concurrent use.
type Ledger struct {
	records store.Records
	log     *zap.Logger

	mu      sync.Mutex
	waiting map[string]call.Record
	order   []string
	opened  map[string]bool // written at least once; owned by Run
	wake    chan struct{}
	dropped atomic.Int64
}

// NewLedger makes a Ledger.
func NewLedger(records store.Records, log *zap.Logger) *Ledger {
	if log == nil {
		log = zap.NewNop()
	}
	return &Ledger{records: records, log: log, waiting: map[string]call.Record{}, opened: map[string]bool{}, wake: make(chan struct{}, 1)}
}

// Dropped counts states of records that found no room.
func (l *Ledger) Dropped() int64 { return l.dropped.Load() }

// Waiting counts the calls whose newest state is not written.
func (l *Ledger) Waiting() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.waiting)
}

// Keep takes a record's newest state. It never blocks.
func (l *Ledger) Keep(rec call.Record) {
	l.mu.Lock()
	_, known := l.waiting[rec.ID]
	switch {
	case known:
		l.waiting[rec.ID] = rec
	case len(l.waiting) >= ledgerSize:
		l.dropped.Add(1)
	default:
		l.waiting[rec.ID] = rec
		l.order = append(l.order, rec.ID)
	}
	l.mu.Unlock()
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// Run writes until ctx ends, then what is left, for lastWrites at most. The error says how many records were lost.
func (l *Ledger) Run(ctx context.Context) error {
	for {
		rec, ok := l.next()
		if !ok {
			select {
			case <-l.wake:
				continue
			case <-ctx.Done():
				return l.flush(ctx) // a record may have come with the end
			}
		}
		switch err := l.write(context.WithoutCancel(ctx), rec); {
		case err == nil:
		case hopeless(err):
			l.log.Error("call record not written", zap.String("uuid", rec.UUID), zap.Error(err))
		default:
			l.log.Warn("call record not written, trying again", zap.String("uuid", rec.UUID), zap.Error(err))
			l.putBack(rec)
			l.pause(ctx)
		}
		if ctx.Err() != nil {
			return l.flush(ctx)
		}
	}
}

// hopeless reports whether a write would fail again however often it is tried.
func hopeless(err error) bool {
	return errors.Is(err, store.ErrOwner) || errors.Is(err, store.ErrClosed) || errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrRecord)
}

// flush writes what is left after the end, and goes on trying for lastWrites.
func (l *Ledger) flush(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastWrites)
	defer cancel()
	for {
		rec, ok := l.next()
		if !ok {
			return nil
		}
		err := l.write(ctx, rec)
		if err == nil {
			continue
		}
		if hopeless(err) {
			l.log.Error("call record not written", zap.String("uuid", rec.UUID), zap.Error(err))
			continue
		}
		l.putBack(rec)
		l.pause(ctx)
		if ctx.Err() != nil {
			return fmt.Errorf("%d call records not written at the end: %w", l.Waiting(), err)
		}
	}
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

// putBack keeps a record that could not be written, unless a newer state of it has come meanwhile.
func (l *Ledger) putBack(rec call.Record) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, newer := l.waiting[rec.ID]; newer {
		return
	}
	l.waiting[rec.ID] = rec
	l.order = append(l.order, rec.ID)
}

func (l *Ledger) write(ctx context.Context, rec call.Record) error {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	if !l.opened[rec.ID] {
		open := rec
		open.Ended = time.Time{}
		if err := l.records.Open(ctx, open); err != nil {
			return err
		}
		l.opened[rec.ID] = true
	}
	var err error
	if rec.Open() {
		err = l.records.Update(ctx, rec)
	} else {
		err = l.records.Close(ctx, rec)
		if err == nil || hopeless(err) {
			delete(l.opened, rec.ID)
		}
	}
	return err
}
