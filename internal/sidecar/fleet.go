package sidecar

import (
	"context"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/signalbox/signalbox/internal/store"
)

const (
	// beatEvery is how often a sidecar says that it lives.
	beatEvery = 5 * time.Second
	// deadAfter is how long a sidecar is silent before the others take it for dead.
	deadAfter = 20 * time.Second
)

// Fleet knows which other sidecars live that share the store, so that nobody closes the records of another's calls. A sidecar that
// has itself not reached the store for a while takes nobody for dead: the others may not have reached it either. Run owns it; Live
// may be called from everywhere.
type Fleet struct {
	store          store.Fleet
	instance, home string
	died           func(context.Context, time.Time) // another one has died
	log            *zap.Logger

	mu     sync.Mutex
	steady time.Time // since when every beat came through; zero = the last one did not
}

// NewFleet makes a Fleet. home is what this process has in common with those before it, and with no other; died is told when
// another sidecar has died.
func NewFleet(s store.Fleet, instance, home string, died func(context.Context, time.Time), log *zap.Logger) *Fleet {
	if log == nil {
		log = zap.NewNop()
	}
	return &Fleet{store: s, instance: instance, home: home, died: died, log: log}
}

// Beat says that this sidecar lives. Run does so too; before it, nobody knows of this one.
func (f *Fleet) Beat(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	err := f.store.Beat(ctx, f.instance, f.home)
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case err != nil:
		f.steady = time.Time{}
	case f.steady.IsZero():
		f.steady = time.Now()
	}
	return err
}

// Live returns the other sidecars that live.
func (f *Fleet) Live(ctx context.Context) (map[string]bool, error) {
	all, err := f.store.Sidecars(ctx)
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	sure := !f.steady.IsZero() && time.Since(f.steady) >= deadAfter
	f.mu.Unlock()
	live := map[string]bool{}
	for _, s := range all {
		if s.Instance != f.instance && (!sure || s.Silent < deadAfter) {
			live[s.Instance] = true
		}
	}
	return live, nil
}

// Run beats until ctx ends, and then leaves.
func (f *Fleet) Run(ctx context.Context) error {
	beat := time.NewTicker(beatEvery)
	defer beat.Stop()
	before, known := map[string]bool{}, false
	for {
		if err := f.Beat(ctx); err == nil {
			live, err := f.Live(ctx)
			if err == nil {
				for name := range before {
					if !live[name] {
						f.log.Info("another sidecar has ended; the records it left open are looked at", zap.String("instance", name))
						f.died(ctx, time.Now())
						break
					}
				}
				before, known = live, true
			}
		} else if known && ctx.Err() == nil {
			known = false
			f.log.Warn("the other sidecars are not told that this one lives", zap.Error(err))
		}
		select {
		case <-beat.C:
		case <-ctx.Done():
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTimeout)
			defer cancel()
			_ = f.store.Leave(ctx, f.instance) // else the others take it for dead a little later
			return nil
		}
	}
}
