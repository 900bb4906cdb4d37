package sidecar

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/signalbox/signalbox/esl/wire"
	"github.com/signalbox/signalbox/internal/call"
	"github.com/signalbox/signalbox/internal/store"
)

// Switch is what the Undertaker asks FreeSWITCH.
type Switch interface {
	// Alive reports whether a channel still exists.
	Alive(ctx context.Context, uuid string) (bool, error)
}

// Undertaker closes the records of calls that an earlier sidecar left open: those that ended while nobody looked, with
// what is known about when; those that still live, when they end. It never touches a call.
//
// Attach and Event are called by the one goroutine of the node's link.
type Undertaker struct {
	records  store.Records
	instance string // this process; its own records are not touched
	log      *zap.Logger

	mu       sync.Mutex
	watching map[string]call.Record // by UUID: they live
	unburied []call.Record          // they have ended, and the store did not take it
}

// NewUndertaker makes an Undertaker. instance is the owner name of this process's own records.
func NewUndertaker(records store.Records, instance string, log *zap.Logger) *Undertaker {
	if log == nil {
		log = zap.NewNop()
	}
	return &Undertaker{records: records, instance: instance, log: log, watching: map[string]call.Record{}}
}

// Attach looks at every open record of a node, after the link to it came up.
func (u *Undertaker) Attach(ctx context.Context, node string, sw Switch, now time.Time) error {
	u.again(ctx)
	open, err := u.records.OpenRecords(ctx, node)
	if err != nil {
		return fmt.Errorf("reading open records: %w", err)
	}
	for _, rec := range open {
		if rec.Owner == u.instance || u.hasEnded(rec.ID) {
			continue
		}
		alive, err := sw.Alive(ctx, rec.UUID)
		if err != nil {
			return err
		}
		if alive {
			u.watch(rec)
			continue
		}
		rec.Note = fmt.Sprintf("ended between %s and %s, cause unknown: no sidecar was there",
			rec.Updated.UTC().Format(time.RFC3339), now.UTC().Format(time.RFC3339))
		if err := u.bury(ctx, rec, now); err != nil {
			return err
		}
	}
	return nil
}

// hasEnded reports whether the end of a record is known and only waits for the store.
func (u *Undertaker) hasEnded(id string) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return slices.ContainsFunc(u.unburied, func(rec call.Record) bool { return rec.ID == id })
}

func (u *Undertaker) watch(rec call.Record) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.watching[rec.UUID] = rec
	u.log.Info("call of an earlier sidecar still lives", zap.String("uuid", rec.UUID))
}

// Event sees the events of the link and closes a watched call at its CHANNEL_HANGUP_COMPLETE. What the store did not take
// then is tried again at each event, the heartbeat for example.
func (u *Undertaker) Event(ctx context.Context, event *wire.Event) {
	u.again(ctx)
	if event.Name() != "CHANNEL_HANGUP_COMPLETE" {
		return
	}
	u.mu.Lock()
	rec, ok := u.watching[event.UUID()]
	delete(u.watching, event.UUID())
	u.mu.Unlock()
	if !ok {
		return
	}
	rec.Cause = event.Get("Hangup-Cause")
	rec.Note = "the sidecar that served the call had gone; the end was seen by the next one"
	end := event.Time()
	if end.IsZero() {
		end = time.Now()
	}
	if err := u.bury(ctx, rec, end); err != nil {
		u.later(rec, end, err)
	}
}

// later keeps a record that has ended for the next try.
func (u *Undertaker) later(rec call.Record, end time.Time, err error) {
	u.log.Warn("record of a call not closed, trying again", zap.String("uuid", rec.UUID), zap.Error(err))
	rec.Ended = end
	u.mu.Lock()
	defer u.mu.Unlock()
	u.unburied = append(u.unburied, rec)
}

// again closes what the store did not take before.
func (u *Undertaker) again(ctx context.Context) {
	u.mu.Lock()
	unburied := u.unburied
	u.unburied = nil
	u.mu.Unlock()
	for i, rec := range unburied {
		if err := u.bury(ctx, rec, rec.Ended); err != nil {
			u.mu.Lock()
			u.unburied = append(u.unburied, unburied[i:]...)
			u.mu.Unlock()
			return
		}
	}
}

func (u *Undertaker) bury(ctx context.Context, rec call.Record, end time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout) // the link's events wait meanwhile
	defer cancel()
	rec.Ended, rec.Updated = end, end
	if !rec.Result.Final() {
		rec.Result = call.Broken
		if !rec.Answered.IsZero() {
			rec.Result = call.Answered
		}
	}
	u.mu.Lock()
	delete(u.watching, rec.UUID)
	u.mu.Unlock()
	if err := u.records.Close(ctx, rec); err != nil {
		err = fmt.Errorf("closing the record of %s: %w", rec.UUID, err)
		if !hopeless(err) {
			return err
		}
		u.log.Error("record left as it is", zap.Error(err)) // somebody else has it now, or nobody
		return nil
	}
	u.log.Info("record closed", zap.String("uuid", rec.UUID), zap.String("note", rec.Note))
	return nil
}
