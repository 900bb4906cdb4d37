package message

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/signalbox/signalbox/internal/caught"
	"github.com/signalbox/signalbox/internal/store"
	"github.com/signalbox/signalbox/internal/tel"
)

const (
	look       = 2 * time.Second // how often messages that are due are looked for
	lease      = 2 * time.Minute
	atOnce     = 8
	sendTime   = 30 * time.Second
	firstPause = 5 * time.Second // behind the first try that fails; each further one is twice as long
	maxPause   = 30 * time.Minute
	maxTries   = 16 // over some hours
	keepFor    = 30 * 24 * time.Hour
	trimEvery  = time.Hour
	// MaxWaiting is how many messages of one tenant may wait.
	MaxWaiting = 5000
)

// Options of an Outbox.
type Options struct {
	Store    store.Outbox
	Senders  []Sender // the first that takes an address is used
	Instance string
	// Stands reports whether what an invitation is about is still there; nil = everything is. An error has it tried again.
	Stands func(ctx context.Context, m Message) (bool, error)
	// Result is told of each try: "sent", "put_off" or "failed"; nil = nobody hears.
	Result func(sender, result string)
	Logger *zap.Logger
}

// Outbox keeps messages and sends them.
type Outbox struct {
	opt  Options
	log  *zap.Logger
	kick chan struct{}
	last string // of Run alone: the tenant of whom a message was sent last, so that the others are next

	firstPause time.Duration // the constant, but in tests
}

// NewOutbox makes an Outbox.
func NewOutbox(o Options) *Outbox {
	b := &Outbox{opt: o, log: o.Logger, kick: make(chan struct{}, 1), firstPause: firstPause}
	if b.log == nil {
		b.log = zap.NewNop()
	}
	if b.opt.Result == nil {
		b.opt.Result = func(string, string) {}
	}
	return b
}

// sender is that for an address; nil = there is none.
func (b *Outbox) sender(a Address) Sender {
	for _, s := range b.opt.Senders {
		if s.Takes(a) {
			return s
		}
	}
	return nil
}

// Takes reports whether there is a sender for an address.
func (b *Outbox) Takes(a Address) bool { return b.sender(a) != nil }

// Post keeps messages of one tenant to be sent, all or none. ErrNobody when there is an address that no sender takes, store.ErrTooMany,
// store.ErrNotFound when there is no such account.
func (b *Outbox) Post(ctx context.Context, tenant string, messages []Message, now time.Time) error {
	rows := make([]store.Outgoing, 0, len(messages))
	for _, m := range messages {
		if !b.Takes(m.To) {
			return ErrNobody
		}
		body, err := json.Marshal(m)
		if err != nil {
			return err
		}
		rows = append(rows, store.Outgoing{ID: m.ID, Tenant: tenant, Account: m.Account, About: m.About, Address: m.To.Value, Body: body, State: store.OutgoingWaiting,
			Due: now.UTC(), Created: now.UTC(), Updated: now.UTC(), Replaces: m.Event == Cancellation})
	}
	if err := b.opt.Store.AddOutgoing(ctx, tenant, rows, MaxWaiting); err != nil {
		return err
	}
	select {
	case b.kick <- struct{}{}:
	default:
	}
	return nil
}

// About returns the messages of an account about something, as store.Outbox.OutgoingAbout does.
func (b *Outbox) About(ctx context.Context, tenant, account, about, after string, limit int) ([]store.Outgoing, error) {
	return b.opt.Store.OutgoingAbout(ctx, tenant, account, about, after, limit)
}

// Run sends messages until ctx ends. One under way then is waited for.
func (b *Outbox) Run(ctx context.Context) error {
	again := time.NewTicker(look)
	defer again.Stop()
	trimmed := time.Time{}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-b.kick:
		case <-again.C:
		}
		for b.round(ctx) {
		}
		if now := time.Now(); now.Sub(trimmed) >= trimEvery {
			trimmed = now
			b.trim(ctx, now.Add(-keepFor))
		}
	}
}

// trim forgets what has not waited since a time.
func (b *Outbox) trim(ctx context.Context, before time.Time) {
	defer caught.Panic(b.log, "forgetting old messages", nil)
	for {
		n, err := b.opt.Store.TrimOutgoing(ctx, before)
		if err != nil && ctx.Err() == nil {
			b.log.Warn("old messages are not forgotten", zap.Error(err))
		}
		if err != nil || n < store.TrimBatch {
			return
		}
	}
}

// round sends what is due, as many as are sent at once and of each tenant as many as of the others, and reports whether there may be more.
func (b *Outbox) round(ctx context.Context) (more bool) {
	defer caught.Panic(b.log, "looking for messages that are due", nil)
	now := time.Now()
	list, err := b.opt.Store.ClaimOutgoing(ctx, b.opt.Instance, b.last, now, now.Add(lease), atOnce)
	if err != nil {
		if ctx.Err() == nil {
			b.log.Warn("messages cannot be read, and wait", zap.Error(err))
		}
		return false
	}
	var group errgroup.Group
	for _, row := range list {
		b.last = row.Tenant
		group.Go(func() error {
			b.send(ctx, row)
			return nil
		})
	}
	_ = group.Wait()
	return len(list) > 0 && ctx.Err() == nil
}

var errBroke = errors.New("the sender broke: the operator's log says more")

// try has a sender send a message. One that panics costs this try, and not the process with every call.
func (b *Outbox) try(ctx context.Context, s Sender, m Message) (err error) {
	defer caught.Panic(b.log, "sending a message by "+s.Name(), func() { err = errBroke })
	if m.Event == Invitation && b.opt.Stands != nil {
		stands, err := b.opt.Stands(ctx, m)
		if err == nil && !stands {
			err = final{errRemoved}
		}
		if err != nil {
			return err
		}
	}
	return s.Send(ctx, m)
}

// send sends one message and keeps what became of it.
func (b *Outbox) send(ctx context.Context, row store.Outgoing) {
	defer caught.Panic(b.log, "keeping what became of a message", nil) // it is sent again when its lease has run out
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), sendTime)
	defer cancel()
	var m Message
	name, err := "none", json.Unmarshal(row.Body, &m)
	now := time.Now().UTC()
	switch s := b.sender(m.To); {
	case err != nil:
		err = final{err}
	case !m.Expires.IsZero() && !now.Before(m.Expires):
		err = final{errExpired}
	case s == nil:
		err = ErrNobody // the configuration may change
	default:
		name = s.Name()
		err = b.try(ctx, s, m)
	}
	row.Tries++
	row.Updated, row.Note = time.Now().UTC(), ""
	result := "sent"
	switch {
	case err == nil:
		row.State, row.Due = store.OutgoingSent, time.Time{}
	case Final(err) || row.Tries >= maxTries:
		result, row.State, row.Due = "failed", store.OutgoingFailed, time.Time{}
	default:
		result, row.Due = "put_off", row.Updated.Add(min(b.firstPause<<min(row.Tries-1, 20), maxPause))
	}
	if err != nil {
		row.Note = short(err.Error(), 200)
		b.log.Warn("a message was not sent", zap.String("tenant", row.Tenant), zap.String("message", row.ID), zap.String("to", tel.Mask(row.Address)), zap.String("by", name),
			zap.Int("try", row.Tries), zap.String("result", result), zap.Error(err))
	}
	b.opt.Result(name, result)
	save, stop := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer stop()
	if err := b.opt.Store.SaveOutgoing(save, row, b.opt.Instance); err != nil {
		b.log.Error("what became of a message is not kept: it may be sent twice", zap.String("message", row.ID), zap.Error(err))
	}
}
