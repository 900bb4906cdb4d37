package app

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/signalbox/signalbox/esl/wire"
	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/config"
	"github.com/signalbox/signalbox/internal/mwi"
	"github.com/signalbox/signalbox/internal/sidecar"
	"github.com/signalbox/signalbox/internal/store"
	"github.com/signalbox/signalbox/internal/tel"
	"github.com/signalbox/signalbox/internal/telemetry"
)

// pilotsDirectory is the store with a memory for pilots.
type pilotsDirectory struct {
	store.Store
	pilots *store.PilotCache
}

var _ sidecar.Directory = pilotsDirectory{}

// PilotRoute implements store.Pilots.
func (d pilotsDirectory) PilotRoute(ctx context.Context, tenant, key string) (account.Route, error) {
	return d.pilots.PilotRoute(ctx, tenant, key)
}

func (a *App) newDirectory() sidecar.Directory {
	return pilotsDirectory{a.store, store.NewPilotCache(a.store, a.profiles.Revision)}
}

// openKeeper makes what lights the lamps of phones, once the nodes are there.
func (a *App) openKeeper() {
	var switches []mwi.Switch
	for _, n := range a.nodes {
		switches = append(switches, n)
	}
	a.keeper = mwi.NewKeeper(mwi.KeeperOptions{
		Store: a.store, Switches: switches, Instance: a.instance, Logger: a.log, Result: a.lamps().Told,
		Warm: func(numbers []tel.Number) { a.profiles.Warm(numbers...) },
	})
}

// heard hands a node's event on to whoever it is for.
func (a *App) heard(node string, event *wire.Event) {
	a.keeper.Event(node, event)
	a.rooms.Event(node, event)
}

// openTaker makes what takes the message counts that the proxy is sent. A proxy alone opens the store when it can: without one nobody is
// known who may send counts.
func (a *App) openTaker() {
	var from mwi.TakerStore = a.store
	if a.store == nil {
		late := &lateStore{app: a, config: a.config}
		a.undo = append(a.undo, late.shut)
		from = late
	}
	o := mwi.TakerOptions{Store: from, Region: a.config.Region, Result: a.lamps().Notified, Logger: a.log}
	if a.keeper != nil {
		o.Took = a.keeper.Changed
	}
	a.taker = mwi.NewTaker(o)
}

// lamps are the metrics of message counts, of both sides.
func (a *App) lamps() *telemetry.Lamps {
	if a.lampCounts == nil {
		a.lampCounts = telemetry.NewLamps(a.metrics)
	}
	return a.lampCounts
}

// lateStore is the store of a proxy of its own, which must not wait for it: it is opened in the background, and again after it failed.
type lateStore struct {
	app    *App
	config *config.Config // of the start: another store needs a restart
	opened atomic.Pointer[store.Store]
	mu     sync.Mutex // held while it is opened or shut
	over   bool
}

// Revision opens the store; it is asked in the background alone.
func (l *lateStore) Revision(ctx context.Context) (int64, error) {
	if s := l.opened.Load(); s != nil {
		return (*s).Revision(ctx)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over || NoStoreYet(l.config) {
		return 0, nil
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	s, err := databaseOf(l.config, l.app.log).open(ctx)
	if err != nil {
		return 0, err
	}
	l.opened.Store(&s)
	return s.Revision(ctx)
}

func (l *lateStore) shut() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.over = true
	if s := l.opened.Load(); s != nil {
		return (*s).Shut()
	}
	return nil
}

func (l *lateStore) Profile(ctx context.Context, number tel.Number) (account.Profile, error) {
	if s := l.opened.Load(); s != nil {
		return (*s).Profile(ctx, number)
	}
	return account.Profile{}, store.ErrUnavailable
}

func (l *lateStore) SetWaiting(ctx context.Context, w store.Waiting) error {
	if s := l.opened.Load(); s != nil {
		return (*s).SetWaiting(ctx, w)
	}
	return store.ErrUnavailable
}

func (l *lateStore) NumberOfMailbox(ctx context.Context, tenant, mailbox string) (tel.Number, error) {
	if s := l.opened.Load(); s != nil {
		return (*s).NumberOfMailbox(ctx, tenant, mailbox)
	}
	return "", store.ErrUnavailable
}

func (l *lateStore) Notifiers(ctx context.Context) ([]store.Notifier, error) {
	if s := l.opened.Load(); s != nil {
		return (*s).Notifiers(ctx)
	}
	return nil, nil
}
