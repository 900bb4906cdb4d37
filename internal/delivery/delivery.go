// Package delivery brings messages that were recorded here, because no voicemail system could be reached, to the system when it is up
// again: a call that plays them into the mailbox.
//
//	Room -> recorded -> Keep -> store.Spool -> due -> claimed -> call -> played to its end: forgotten
//	 |                                          ^----- put off, each time longer -----|
//	 Begin: noted beside the file, for a sidecar that dies or is stopped before Keep
//
// Invariants: a message is forgotten only when a call played it to its end, when its number is nobody's any more or somebody else's, or when it is older than
// Options.KeepFor; a message that the store did not take is beside its file until it does. A process that dies in the middle of a delivery
// leaves the message to the next one, so that a mailbox may get it twice, never not at all. The disk is bounded by the number of messages and
// their longest time.
//
// Keeper's methods are safe for concurrent use. Run owns everything else and delivers one message at a time.
package delivery

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/uuid"
	"go.uber.org/zap"

	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/call"
	"github.com/signalbox/signalbox/internal/caught"
	"github.com/signalbox/signalbox/internal/fsw"
	"github.com/signalbox/signalbox/internal/store"
	"github.com/signalbox/signalbox/internal/tel"
	"github.com/signalbox/signalbox/internal/treat/mailbox"
	"github.com/signalbox/signalbox/internal/treat/recorder"
)

const (
	look      = 2 * time.Second // how often messages that are due are looked for
	firstWait = 5 * time.Second // before the first attempt, and after it; each further one waits twice as long
	maxWait   = 30 * time.Minute
	claimed   = 10 * time.Minute // for how long a message is ours alone
	maxTries  = 8                // INVITEs of one attempt

	beforeTone = 90 * time.Second // that the prompt before a recording takes at most
)

// Node is a switch that has files and makes calls; *fsw.Node.
type Node interface {
	Name() string
	Up() bool
	Deliver(ctx context.Context, d fsw.Delivery) (call.Attempt, error)
}

// Options of a Keeper.
type Options struct {
	Dir         string // folder that FreeSWITCH may write to and we may read
	MaxMessages int    // of one node
	KeepFor     time.Duration
	Silence     time.Duration // before the message is played, while the system's greeting runs
	Instance    string
	Store       store.Spool
	Profile     func(ctx context.Context, number tel.Number) (account.Profile, error)
	Settings    func() mailbox.Settings
	Resolver    func() mailbox.Resolver
	Nodes       []Node
	Record      func(call.Record)   // keeps what happened to a delivery
	Result      func(result string) // "delivered", "put_off", "lost"; may be nil
	Logger      *zap.Logger
}

// Keeper keeps messages and delivers them.
type Keeper struct {
	opt Options
	log *zap.Logger
}

var _ recorder.Keeper = (*Keeper)(nil)

// New makes a Keeper.
func New(o Options) *Keeper {
	k := &Keeper{opt: o, log: o.Logger}
	if k.log == nil {
		k.log = zap.NewNop()
	}
	if k.opt.Result == nil {
		k.opt.Result = func(string) {}
	}
	return k
}

// Room implements recorder.Keeper.
func (k *Keeper) Room(ctx context.Context, node string) (id, file string, err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	n, err := k.opt.Store.CountSpooled(ctx, node)
	if err != nil {
		return "", "", errors.New("the store is silent: no message is taken that might be lost")
	}
	if n >= k.opt.MaxMessages {
		return "", "", fmt.Errorf("%d messages wait already, voicemail.spool.max_messages", n)
	}
	id = uuid.NewString()
	return id, filepath.Join(k.opt.Dir, id+".wav"), nil
}

// Begin implements recorder.Keeper: the note stands beside the file, and counts when nobody speaks into that any more.
func (k *Keeper) Begin(m recorder.Message, longest time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if err := k.write(k.spooled(ctx, m, longest+beforeTone)); err != nil {
		k.log.Warn("a message that is recorded is not noted; it is lost if the sidecar dies meanwhile", zap.String("message", m.ID), zap.Error(err))
	}
}

// Keep implements recorder.Keeper.
func (k *Keeper) Keep(ctx context.Context, m recorder.Message) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	spooled := k.spooled(ctx, m, firstWait)
	if err := k.opt.Store.Spool(ctx, spooled); err != nil {
		k.log.Warn("the store did not take a message, it is noted beside its file", zap.String("message", m.ID), zap.Error(err), zap.NamedError("note", k.write(spooled)))
		return
	}
	k.unnote(m.File)
}

// spooled is a message as the store has it, with the subscriber whose number it is now: the next one is not to hear it. While nobody says
// who that is it is for whoever has the number.
func (k *Keeper) spooled(ctx context.Context, m recorder.Message, next time.Duration) store.Spooled {
	out := store.Spooled{
		ID: m.ID, Node: m.Arrival.Node, File: m.File, Number: m.Number, Why: m.Why, Arrival: m.Arrival, Recorded: m.Recorded.UTC(), Length: m.Length,
		Next: time.Now().Add(next).UTC(),
	}
	if p, err := k.opt.Profile(ctx, m.Number); err == nil {
		out.Tenant, out.Account = p.Account.Tenant, p.Account.ID
	}
	return out
}

// Drop implements recorder.Keeper.
func (k *Keeper) Drop(file string) {
	k.unnote(file)
	if err := os.Remove(file); err != nil && !errors.Is(err, os.ErrNotExist) {
		k.log.Warn("the file of a message that is none could not be removed", zap.String("file", file), zap.Error(err))
	}
}

func (k *Keeper) note(id string) string { return filepath.Join(k.opt.Dir, id+".json") }

// write notes a message beside its file. What stood there stays whole when the disk is full or we die.
func (k *Keeper) write(m store.Spooled) error {
	text, err := json.Marshal(m)
	if err != nil {
		return err
	}
	note := k.note(m.ID)
	if err = os.WriteFile(note+".new", text, 0o600); err == nil {
		err = os.Rename(note+".new", note)
	}
	if err != nil {
		_ = os.Remove(note + ".new")
	}
	return err
}

// unnote removes the note beside a file.
func (k *Keeper) unnote(file string) {
	note := k.note(strings.TrimSuffix(filepath.Base(file), ".wav"))
	if err := os.Remove(note); err != nil && !errors.Is(err, os.ErrNotExist) {
		k.log.Warn("the note beside a message could not be removed", zap.String("file", note), zap.Error(err))
	}
}

// Run delivers messages until ctx ends. What is under way then is put off.
func (k *Keeper) Run(ctx context.Context) error {
	again := time.NewTicker(look)
	defer again.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-again.C:
		}
		k.adopt(ctx)
		for _, n := range k.opt.Nodes {
			if n.Up() && k.next(ctx, n) != nil {
				break
			}
		}
	}
}

// next tries to deliver the message of a node that is due for longest; the error is the store's.
func (k *Keeper) next(ctx context.Context, n Node) error {
	defer caught.Panic(k.log, "delivering a message", nil) // it is tried again when its claim has run out
	now := time.Now()
	due, err := k.opt.Store.DueSpooled(ctx, n.Name(), k.opt.Instance, 1, now, now.Add(claimed))
	if err != nil {
		return err
	}
	for _, m := range due {
		if ctx.Err() != nil { // claimed as we stop: the next process need not wait
			_ = k.opt.Store.PutOff(context.WithoutCancel(ctx), m)
			continue
		}
		k.attempt(ctx, n, m)
	}
	return nil
}

// adopt gives the store the messages that it did not take when they were recorded, and those that were being recorded when a sidecar died.
func (k *Keeper) adopt(ctx context.Context) {
	defer caught.Panic(k.log, "taking in messages that are noted beside their files", nil)
	notes, _ := filepath.Glob(filepath.Join(k.opt.Dir, "*.json"))
	for _, name := range notes {
		text, err := os.ReadFile(name)
		var m store.Spooled
		if err != nil || json.Unmarshal(text, &m) != nil || k.note(m.ID) != name || m.Next.After(time.Now()) {
			continue
		}
		if m.Length == 0 { // nobody saw the end
			if m.Length = lengthOf(m.File); m.Length < time.Second {
				k.Drop(m.File)
				continue
			}
			k.log.Info("a message whose end nobody saw is delivered as it is", zap.String("message", m.ID), zap.Duration("length", m.Length))
		}
		if k.opt.Store.Spool(ctx, m) != nil {
			return
		}
		_ = os.Remove(name)
	}
}

// lengthOf is how long the voice in a file is at most, as FreeSWITCH records a telephone: 8,000 times 16 bits a second.
func lengthOf(file string) time.Duration {
	info, err := os.Stat(file)
	if err != nil {
		return 0
	}
	return time.Duration(info.Size()) * time.Second / 16000
}

// attempt tries to deliver one message, and keeps what has become of it.
func (k *Keeper) attempt(ctx context.Context, n Node, m store.Spooled) {
	log := k.log.With(zap.String("message", m.ID), zap.String("node", n.Name()), zap.String("to", m.Number.Masked()))
	profile, err := k.opt.Profile(ctx, m.Number)
	switch {
	case errors.Is(err, store.ErrNotFound):
		k.forget(ctx, m, "lost", log, "its number is nobody's any more")
		return
	case err == nil && m.Account != "" && (profile.Account.Tenant != m.Tenant || profile.Account.ID != m.Account):
		k.forget(ctx, m, "lost", log, "its number is another subscriber's now, who is not to hear it")
		return
	case time.Since(m.Recorded) > k.opt.KeepFor:
		k.forget(ctx, m, "lost", log, "it could not be delivered for "+k.opt.KeepFor.String())
		return
	}
	rec := call.Record{
		ID: uuid.NewString(), Owner: k.opt.Instance, UUID: uuid.NewString(), Node: m.Node, Arrival: m.Arrival, Started: time.Now(), Result: call.VoicemailDown,
		Note: fmt.Sprintf("delivery of message %s, recorded %s, attempt %d", m.ID, m.Recorded.Format(time.RFC3339), m.Attempts+1),
	}
	rec.Arrival.UUID, rec.Arrival.CallID, rec.Arrival.At = rec.UUID, "", rec.Started
	if err == nil {
		rec = k.try(ctx, n, m, profile, rec)
	}
	if rec.Result == call.Answered {
		k.forget(context.WithoutCancel(ctx), m, "delivered", log, "delivered")
	} else {
		wait := min(firstWait<<min(m.Attempts, 10), maxWait)
		m.Attempts++
		m.Next, m.Leg, m.Note = time.Now().Add(wait+rand.N(wait/4)).UTC(), rec.UUID, lastNote(rec)
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		defer cancel()
		if err := k.opt.Store.PutOff(ctx, m); err != nil {
			log.Warn("a message that was not delivered could not be put off; it is tried again when its claim has run out", zap.Error(err))
		}
		k.opt.Result("put_off")
		log.Info("message not delivered", zap.Int("attempts", m.Attempts), zap.Time("next", m.Next), zap.String("why", m.Note))
	}
	rec.Ended = time.Now()
	rec.Updated = rec.Ended
	if len(rec.Plan.Steps) > 0 {
		k.opt.Record(rec)
	}
}

func lastNote(rec call.Record) string {
	for _, s := range rec.Steps {
		if n := len(s.Attempts); n > 0 {
			a := s.Attempts[n-1]
			return strings.TrimSpace(a.Target + " " + a.Disposition + " " + a.Note)
		}
	}
	return "no system of the pilot takes messages at this time"
}

// try delivers a message. A panic costs this attempt: the message is put off as after any other that failed.
func (k *Keeper) try(ctx context.Context, n Node, m store.Spooled, p account.Profile, rec call.Record) (out call.Record) {
	defer caught.Panic(k.log, "delivering a message", func() {
		out = rec
		out.Steps = []call.StepRecord{{Kind: call.StepMailbox, Started: rec.Started, Ended: time.Now(), Result: call.VoicemailDown,
			Attempts: []call.Attempt{{Started: rec.Started, Ended: time.Now(), Result: call.VoicemailDown, Note: "the delivery itself broke: the log says more"}}}}
	})
	return k.deliver(ctx, n, m, p, rec)
}

// deliver calls the targets of the subscriber's systems, as they are provisioned now, until one has taken the message.
func (k *Keeper) deliver(ctx context.Context, n Node, m store.Spooled, p account.Profile, rec call.Record) (out call.Record) {
	settings, resolver := k.opt.Settings(), k.opt.Resolver()
	steps := mailbox.Offer(m.Arrival, p, call.World{Draw: rand.Uint64()}, settings, m.Why)
	rec.Plan = call.Plan{Number: p.Number, Account: p.Account.ID, Version: p.Version, Steps: steps}
	if len(steps) == 0 {
		return rec
	}
	box := *steps[0].Mailbox
	step := call.StepRecord{Kind: call.StepMailbox, Started: time.Now(), Result: call.VoicemailDown}
	defer func() { step.Ended = time.Now(); out.Steps = []call.StepRecord{step} }()
	for _, system := range box.Systems {
		ask, cancel := context.WithTimeout(ctx, settings.LookupTimeout)
		targets, err := resolver.Lookup(ask, system.FQDN, system.Transport)
		cancel()
		if err != nil {
			step.Attempts = append(step.Attempts, call.Attempt{Target: system.FQDN, Started: time.Now(), Ended: time.Now(), Result: call.VoicemailDown, Note: err.Error()})
		}
		for _, target := range targets {
			if len(step.Attempts) >= maxTries || ctx.Err() != nil {
				return rec
			}
			order := mailbox.Order(m.Arrival, box, system, target, call.Result(m.Why), settings, settings.AnswerTimeout)
			attempt, err := n.Deliver(ctx, fsw.Delivery{Order: order, Leg: rec.UUID, File: m.File, Silence: k.opt.Silence, Length: m.Length})
			attempt.Target = system.FQDN + " " + target.Addr.String() + "/" + target.Transport
			if err != nil {
				attempt.Note = err.Error()
			}
			step.Attempts = append(step.Attempts, attempt)
			if attempt.Result == call.Answered {
				resolver.Worked(target)
				step.Result, rec.Result = call.Answered, call.Answered
				rec.Answered = attempt.Started
				return rec
			}
			rec.UUID = uuid.NewString()
		}
	}
	return rec
}

// forget removes a message and its file.
func (k *Keeper) forget(ctx context.Context, m store.Spooled, result string, log *zap.Logger, why string) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if err := k.opt.Store.Unspool(ctx, m.ID); err != nil {
		log.Warn("a message that is over could not be forgotten", zap.Error(err))
		return
	}
	k.Drop(m.File)
	k.opt.Result(result)
	if result == "lost" {
		log.Error("message lost: " + why)
		return
	}
	log.Info("message " + why)
}
