package mwi

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/signalbox/signalbox/esl/wire"
	"github.com/signalbox/signalbox/internal/caught"
	"github.com/signalbox/signalbox/internal/fsw"
	"github.com/signalbox/signalbox/internal/store"
	"github.com/signalbox/signalbox/internal/tel"
)

const (
	// settle is how long a phone that registered is left to FreeSWITCH's own voicemail, which answers within 100 ms, and which would
	// otherwise have the last word.
	settle = 400 * time.Millisecond
	// turn is how often the phones that are due are looked for, and poll how often the store is.
	turn = 100 * time.Millisecond
	poll = time.Second
	// overlap is how far a poll looks back behind the one before it: writers' clocks differ, and a transaction takes time.
	overlap = 10 * time.Second
	// maxPending bounds the phones that wait to be told, maxKnown those whose last registration is remembered.
	maxPending = 100_000
	maxKnown   = 200_000
	// keepLamps is how long a phone that is nobody's any more is remembered, so that every process has it told; they are looked for each trimEvery.
	keepLamps = 30 * 24 * time.Hour
	trimEvery = time.Hour
	// batch bounds the phones told in one turn.
	batch = 200
	// tellTime is how long a node has to tell a phone. One that did not is not asked again in the same turn: it shall not hold up the others.
	tellTime = 2 * time.Second
	// A phone that could not be told is tried again so often at most, each time after so long.
	maxTries = 60
	tryAgain = 10 * time.Second
)

// Switch is a FreeSWITCH that tells phones.
type Switch interface {
	Name() string
	// TellLamp has every phone registered as the lamp's user told. It fails while the switch is not reached.
	TellLamp(ctx context.Context, lamp store.Lamp, instance string) error
}

// KeeperOptions of a Keeper.
type KeeperOptions struct {
	Store    store.Lamps
	Switches []Switch
	Instance string
	// Warm is given the numbers of a phone that has registered, ahead of any call for them; may be nil. It must not block.
	Warm   func(numbers []tel.Number)
	Result func(result string) // told how each lamp went: "told", "failed", "dropped"; may be nil
	Logger *zap.Logger
}

// Keeper keeps the lamps of phones as the store says. Run owns it.
type Keeper struct {
	opt  KeeperOptions
	log  *zap.Logger
	wake chan struct{}

	mu      sync.Mutex
	pending map[string]*due      // by PhoneKey
	known   map[string]time.Time // registrations that were seen, by phone and Call-ID

	told map[string]time.Time // of Run alone: the change of which phones were told, by PhoneKey, as far back as a poll looks
}

// due is a phone to be told.
type due struct {
	user, host string
	at         time.Time
	registered bool          // its numbers are asked for too
	node       string        // where said comes from
	said       *store.Counts // what the node's own voicemail has for it
	told       *store.Counts // what the phones were told last by somebody else; nil = nobody did
	only       []string      // nodes that are to tell it, because they failed before; nil = all
	tries      int
}

// NewKeeper makes a Keeper.
func NewKeeper(o KeeperOptions) *Keeper {
	k := &Keeper{opt: o, log: o.Logger, wake: make(chan struct{}, 1), pending: map[string]*due{}, known: map[string]time.Time{}, told: map[string]time.Time{}}
	if k.log == nil {
		k.log = zap.NewNop()
	}
	if k.opt.Result == nil {
		k.opt.Result = func(string) {}
	}
	return k
}

// Events are what a Keeper wants to hear of a FreeSWITCH.
func Events() []string {
	return []string{"MESSAGE_WAITING", "MESSAGE_QUERY", "sofia::register", "sofia::unregister"}
}

// Changed tells the Keeper that the store has new counts, which it would see within a second anyway.
func (k *Keeper) Changed() {
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

// Event takes an event of a node.
func (k *Keeper) Event(node string, event *wire.Event) {
	now := time.Now()
	switch event.Name() {
	case "MESSAGE_QUERY":
		user, host := split(event.Get("Message-Account"))
		k.add(user, host, now.Add(settle), nil)
	case "MESSAGE_WAITING":
		if event.Get(fsw.InstanceHeader) != "" {
			return
		}
		user, host := split(event.Get("MWI-Message-Account"))
		counts, err := ParseCounts(event.Get("MWI-Voice-Message"))
		if err != nil {
			counts = store.Counts{} // mod_voicemail gives none when there are none
		}
		k.add(user, host, now, func(d *due) { d.node, d.said, d.told = node, &counts, &counts })
	case "CUSTOM":
		user, host := event.Get("from-user"), event.Get("from-host")
		registration := store.PhoneKey(user, host) + " " + event.Get("call-id")
		switch event.Get("Event-Subclass") {
		case "sofia::register":
			if k.seen(registration, now) { // a refresh: the phone has been told
				return
			}
			k.add(user, host, now.Add(settle), func(d *due) { d.registered = true })
		case "sofia::unregister":
			k.mu.Lock()
			delete(k.known, registration)
			k.mu.Unlock()
		}
	}
}

// seen notes a registration and reports whether it was known.
func (k *Keeper) seen(registration string, now time.Time) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	_, known := k.known[registration]
	if !known && len(k.known) >= maxKnown {
		clear(k.known) // each phone is told once more
	}
	k.known[registration] = now
	return known
}

func split(account string) (user, host string) {
	account = strings.TrimPrefix(account, "sip:")
	user, host, _ = strings.Cut(account, "@")
	return user, host
}

func (k *Keeper) add(user, host string, at time.Time, more func(*due)) {
	if user == "" || host == "" {
		return
	}
	key := store.PhoneKey(user, host)
	k.mu.Lock()
	defer k.mu.Unlock()
	d := k.pending[key]
	if d == nil {
		if len(k.pending) >= maxPending {
			k.opt.Result("dropped")
			return
		}
		d = &due{user: user, host: host, at: at}
		k.pending[key] = d
	}
	if at.Before(d.at) {
		d.at = at
	}
	d.only, d.tries = nil, 0
	if more != nil {
		more(d)
	}
}

// Waiting is how many phones wait to be told.
func (k *Keeper) Waiting() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.pending)
}

// Run tells phones until ctx ends.
func (k *Keeper) Run(ctx context.Context) error {
	turns, polls, trims := time.NewTicker(turn), time.NewTicker(poll), time.NewTicker(trimEvery)
	defer turns.Stop()
	defer polls.Stop()
	defer trims.Stop()
	next := from{at: time.Now().Add(-overlap)}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-turns.C:
			k.tellDue(ctx)
		case <-k.wake:
			next = k.poll(ctx, next)
		case <-polls.C:
			next = k.poll(ctx, next)
		case <-trims.C:
			k.trim(ctx)
		}
	}
}

// trim forgets phones that are nobody's.
func (k *Keeper) trim(ctx context.Context) {
	defer caught.Panic(k.log, "forgetting phones that are nobody's", nil)
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for {
		n, err := k.opt.Store.TrimLamps(ctx, time.Now().Add(-keepLamps))
		if err != nil {
			k.log.Debug("phones that are nobody's are not forgotten, trying again in an hour", zap.Error(err))
		}
		if err != nil || n < store.TrimBatch {
			return
		}
	}
}

// from is where a poll begins: at a moment, and of the phones that changed then behind one; "" = with all.
type from struct {
	at    time.Time
	phone string
}

// poll adds the phones whose counts have changed, and returns from where the next one has to look.
func (k *Keeper) poll(ctx context.Context, since from) (next from) {
	defer caught.Panic(k.log, "looking for changed message counts", func() { next = since })
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	now := time.Now()
	lamps, err := k.opt.Store.LampsChanged(ctx, since.at, since.phone)
	if err != nil {
		return since
	}
	for _, l := range lamps {
		key := store.PhoneKey(l.User, l.Host)
		if k.told[key].Equal(l.Changed) {
			continue
		}
		k.told[key] = l.Changed
		k.add(l.User, l.Host, now, nil)
	}
	if len(lamps) == store.LampBatch { // there are more
		last := lamps[len(lamps)-1]
		return from{last.Changed, store.PhoneKey(last.User, last.Host)}
	}
	begin := now.Add(-overlap)
	for key, at := range k.told {
		if at.Before(begin) {
			delete(k.told, key)
		}
	}
	return from{at: begin}
}

func (k *Keeper) tellDue(ctx context.Context) {
	now := time.Now()
	var list []*due
	k.mu.Lock()
	for key, d := range k.pending {
		if len(list) < batch && !d.at.After(now) {
			list = append(list, d)
			delete(k.pending, key)
		}
	}
	k.mu.Unlock()
	silent := map[string]bool{}
	for _, d := range list {
		if ctx.Err() != nil {
			return
		}
		k.tell(ctx, d, silent)
	}
}

// lamp is what a phone is to be told, nil = nothing: it is nobody's here, or what FreeSWITCH itself has told it is right already. An error
// is the store's.
func (k *Keeper) lamp(ctx context.Context, d *due) (*store.Lamp, error) {
	if d.registered || d.said != nil {
		numbers, err := k.opt.Store.NumbersOf(ctx, d.user, d.host)
		if err != nil || len(numbers) == 0 {
			return nil, err
		}
		if d.registered && k.opt.Warm != nil {
			k.opt.Warm(numbers)
		}
		if d.said != nil {
			if err := k.keepLocal(ctx, d, numbers[0]); err != nil {
				return nil, err
			}
		}
	}
	lamp, err := k.opt.Store.Lamp(ctx, d.user, d.host)
	if err != nil || lamp.Changed.IsZero() || d.told != nil && *d.told == lamp.Counts {
		return nil, err
	}
	return &lamp, nil
}

var errSilent = errors.New("the node did not answer in time a moment ago")

// tell has every switch tell one phone, but those that have been silent in this turn, to which it adds.
func (k *Keeper) tell(ctx context.Context, d *due, silent map[string]bool) {
	defer caught.Panic(k.log, "telling a phone of its messages", func() {
		k.opt.Result("failed")
		d.told = nil
		k.again(d)
	})
	ask, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	lamp, err := k.lamp(ask, d)
	if err != nil {
		k.opt.Result("failed")
		k.log.Debug("the store does not say what a phone is to be told", zap.Error(err))
		d.told = nil // by then others may have told it something else
		k.again(d)
		return
	}
	if lamp == nil {
		return
	}
	lamp.User, lamp.Host = d.user, d.host
	if time.Since(lamp.Changed) < overlap {
		k.told[store.PhoneKey(d.user, d.host)] = lamp.Changed
	}
	var failed []string
	for _, sw := range k.opt.Switches {
		if d.only != nil && !slices.Contains(d.only, sw.Name()) {
			continue
		}
		if err := k.tellBy(ctx, sw, *lamp, silent); err != nil {
			failed = append(failed, sw.Name())
			k.opt.Result("failed")
			k.log.Debug("phone not told of its messages", zap.String("node", sw.Name()), zap.Error(err))
			continue
		}
		k.opt.Result("told")
	}
	if len(failed) > 0 {
		k.again(&due{user: d.user, host: d.host, only: failed, tries: d.tries})
	}
}

// tellBy has one switch tell a phone.
func (k *Keeper) tellBy(ctx context.Context, sw Switch, lamp store.Lamp, silent map[string]bool) error {
	if silent[sw.Name()] {
		return errSilent
	}
	ctx, cancel := context.WithTimeout(ctx, tellTime)
	defer cancel()
	err := sw.TellLamp(ctx, lamp, k.opt.Instance)
	silent[sw.Name()] = err != nil && ctx.Err() != nil
	return err
}

// again has a phone told later, unless it is to be told anyway: then by all nodes, and with what was said of it before.
func (k *Keeper) again(d *due) {
	k.mu.Lock()
	defer k.mu.Unlock()
	key := store.PhoneKey(d.user, d.host)
	if p := k.pending[key]; p != nil {
		p.registered = p.registered || d.registered
		if p.said == nil {
			p.node, p.said = d.node, d.said
		}
		return
	}
	if d.tries >= maxTries || len(k.pending) >= maxPending {
		k.opt.Result("dropped")
		return
	}
	d.at, d.tries = time.Now().Add(tryAgain), d.tries+1
	k.pending[key] = d
}

// keepLocal keeps what a node's own voicemail has for a phone, with the first of its numbers. An empty box that nobody knew of is not
// kept. An error is worth another try.
func (k *Keeper) keepLocal(ctx context.Context, d *due, number tel.Number) error {
	system := store.LocalSystem + d.node
	if *d.said == (store.Counts{}) {
		kept, err := k.opt.Store.WaitingOf(ctx, number)
		known := false
		for _, w := range kept {
			known = known || w.System == system
		}
		if err != nil || !known {
			return err
		}
	}
	err := k.opt.Store.SetWaiting(ctx, store.Waiting{Number: number, System: system, Counts: *d.said, At: time.Now()})
	if errors.Is(err, store.ErrNotFound) { // the number is nobody's any more
		return nil
	}
	return err
}
