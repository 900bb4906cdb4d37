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
	// Stage is "unserved" until a plan of ours has connected the channel's caller with somebody, "talked" from then on, and ""
	// when the operator's own dialplan has the call, or the channel is gone.
	Stage(ctx context.Context, uuid string) (string, error)
	// CoreUUID is another after each start of FreeSWITCH.
	CoreUUID() string
}

// Undertaker closes the records of calls that nobody serves any more: those that an earlier sidecar left open, and those of our
// own whose connection was lost while the parties talked. Calls that ended while nobody looked are closed with what is known
// about when; those that still live, when they end. It never touches a call.
//
// Attach and Event are called by the one goroutine of each node's link, Adopt by those of calls.
type Undertaker struct {
	records  store.Records
	ledger   *Ledger // takes the ends
	instance string  // this process; its own records are touched only when they were adopted
	linked   func(node string) bool
	log      *zap.Logger

	mu       sync.Mutex
	watching map[string]call.Record // by UUID: they live
	unsure   map[string]lastEvents  // by UUID: nobody knows yet whether they were answered
	switches map[string]Switch      // by node: as it was attached last
}

// NewUndertaker makes an Undertaker. instance is the owner name of this process's own records; linked says which nodes have a link.
func NewUndertaker(records store.Records, ledger *Ledger, instance string, linked func(node string) bool, log *zap.Logger) *Undertaker {
	if log == nil {
		log = zap.NewNop()
	}
	return &Undertaker{
		records: records, ledger: ledger, instance: instance, linked: linked, log: log,
		watching: map[string]call.Record{}, unsure: map[string]lastEvents{}, switches: map[string]Switch{},
	}
}

// Attach looks at every open record of a node that nobody serves, after the link to it came up.
func (u *Undertaker) Attach(ctx context.Context, node string, sw Switch, now time.Time) error {
	u.mu.Lock()
	why := "no sidecar was there"
	if old := u.switches[node]; old != nil && old.CoreUUID() != sw.CoreUUID() {
		why = "freeswitch was restarted"
	}
	u.switches[node] = sw
	var orphans []call.Record
	for _, rec := range u.watching {
		if rec.Node == node {
			orphans = append(orphans, rec)
		}
	}
	u.mu.Unlock()
	open, err := u.records.OpenRecords(ctx, node)
	if err != nil {
		return fmt.Errorf("reading open records: %w", err)
	}
	for _, rec := range open {
		if rec.Owner != u.instance && !u.ledger.Ended(rec.ID) && !slices.ContainsFunc(orphans, func(o call.Record) bool { return o.ID == rec.ID }) {
			orphans = append(orphans, rec)
		}
	}
	for _, rec := range orphans {
		u.watch(rec) // before the question, so that an end between question and answer is seen
		if err := u.look(ctx, rec, sw, now, why); err != nil {
			return err
		}
	}
	return nil
}

// look closes the record of a watched call that has ended; why says why nobody saw the end.
func (u *Undertaker) look(ctx context.Context, rec call.Record, sw Switch, now time.Time, why string) error {
	alive, err := sw.Alive(ctx, rec.UUID)
	if err != nil {
		return err
	}
	if alive {
		u.log.Info("call that no sidecar serves still lives", zap.String("uuid", rec.UUID))
		u.lives(rec.UUID, now)
		return nil
	}
	if _, watched := u.unwatch(rec.UUID); watched {
		rec.Note = fmt.Sprintf("ended between %s and %s, cause unknown: %s",
			rec.Updated.UTC().Format(time.RFC3339), now.UTC().Format(time.RFC3339), why)
		u.bury(rec, now)
	}
	return nil
}

// lives notes when a watched call was seen to live.
func (u *Undertaker) lives(uuid string, now time.Time) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if rec, ok := u.watching[uuid]; ok {
		rec.Updated = now
		u.watching[uuid] = rec
	}
}

func (u *Undertaker) watch(rec call.Record) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.watching[rec.UUID] = rec
}

func (u *Undertaker) unwatch(uuid string) (call.Record, bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	rec, ok := u.watching[uuid]
	delete(u.watching, uuid)
	return rec, ok
}

// Event sees the events of the link and closes a watched call at its CHANNEL_HANGUP_COMPLETE.
func (u *Undertaker) Event(event *wire.Event) {
	if event.Name() != "CHANNEL_HANGUP_COMPLETE" {
		return
	}
	u.mu.Lock()
	if last, ok := u.unsure[event.UUID()]; ok {
		delete(u.unsure, event.UUID())
		last <- event // has room for it
	}
	u.mu.Unlock()
	if rec, ok := u.unwatch(event.UUID()); ok {
		u.ends(rec, event)
	}
}

// ends closes the record of a call by its last event.
func (u *Undertaker) ends(rec call.Record, event *wire.Event) {
	rec.Cause = event.Get("Hangup-Cause")
	rec.Note = "the sidecar that served the call had gone; the end was seen by the next one"
	if rec.Owner == u.instance {
		rec.Note = "the sidecar had lost its connection to the call; the end was seen on the node's link"
	}
	end := event.Time()
	if end.IsZero() {
		end = time.Now()
	}
	u.bury(rec, end)
}

func (u *Undertaker) bury(rec call.Record, end time.Time) {
	rec.Ended, rec.Updated = end, end
	if !rec.Result.Final() {
		rec.Result = call.Broken
		if !rec.Answered.IsZero() {
			rec.Result = call.Answered
		}
	}
	u.ledger.Keep(rec)
	u.log.Info("record closed", zap.String("uuid", rec.UUID), zap.String("note", rec.Note))
}
