package sidecar

import (
	"context"
	"fmt"
	"maps"
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
// Attach and Event are called by the one goroutine of each node's link, Died by the Fleet's, Adopt by those of calls.
type Undertaker struct {
	records  store.Records
	ledger   *Ledger // takes the ends
	instance string  // this process; its own records are touched only when they were adopted
	linked   func(node string) bool
	others   func(context.Context) (map[string]bool, error) // sidecars that live beside this one
	log      *zap.Logger

	mu       sync.Mutex
	watching map[string]call.Record // by UUID: they live
	unsure   map[string]lastEvents  // by UUID: nobody knows yet whether they were answered
	recent   endings                // of all nodes
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

// Beside tells the Undertaker how to ask which other sidecars live and look after their own records. It is called before anything
// else; without it there are none.
func (u *Undertaker) Beside(others func(context.Context) (map[string]bool, error)) { u.others = others }

// Died looks at every open record that nobody serves, after another sidecar has died.
func (u *Undertaker) Died(ctx context.Context, now time.Time) {
	u.mu.Lock()
	switches := maps.Clone(u.switches)
	u.mu.Unlock()
	for node, sw := range switches {
		if err := u.Attach(ctx, node, sw, now); err != nil {
			u.log.Warn("the records of a sidecar that died are looked at when the link comes up again", zap.String("node", node), zap.Error(err))
		}
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
	live := map[string]bool{}
	if u.others != nil && len(open) > 0 {
		if live, err = u.others(ctx); err != nil {
			return fmt.Errorf("asking for other sidecars: %w", err)
		}
	}
	for _, rec := range open {
		if rec.Owner != u.instance && !live[rec.Owner] && !u.ledger.Ended(rec.ID) && !slices.ContainsFunc(orphans, func(o call.Record) bool { return o.ID == rec.ID }) {
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
	end := ending{
		cause: event.Get("Hangup-Cause"), stage: event.Var("signalbox_stage"), handedBack: event.Var("signalbox_handed_back"), at: event.Time(),
	}
	if end.at.IsZero() {
		end.at = time.Now()
	}
	u.mu.Lock()
	u.recent.add(event.UUID(), end)
	if last, ok := u.unsure[event.UUID()]; ok {
		delete(u.unsure, event.UUID())
		select {
		case last <- end:
		default: // it has it
		}
	}
	u.mu.Unlock()
	if rec, ok := u.unwatch(event.UUID()); ok {
		u.ends(rec, end)
	}
}

// ends closes the record of a call by its last event.
func (u *Undertaker) ends(rec call.Record, end ending) {
	rec.Cause = end.cause
	rec.Note = "the sidecar that served the call had gone; the end was seen by the next one"
	if rec.Owner == u.instance {
		rec.Note = "the sidecar had lost its connection to the call; the end was seen on the node's link"
	}
	if end.stage == "" && end.handedBack != "" && end.handedBack == rec.Arrival.Dialled && !rec.Result.Final() {
		rec.Result = call.Broken // if he was answered before, then only to be asked something
		rec.Note += "; the operator's own dialplan had the call"
	}
	u.bury(rec, end.at)
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
