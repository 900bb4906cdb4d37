package store

import (
	"context"
	"errors"
	"sync"

	"github.com/signalbox/signalbox/internal/account"
)

// maxPilots bounds the keys that a PilotCache remembers, known and unknown ones. At the bound all are forgotten.
const maxPilots = 20_000

// PilotCache stands in front of Pilots: every call to a number that no account owns asks whether it is a pilot, and most are not.
// What is remembered holds as long as the revision. It is safe for concurrent use.
type PilotCache struct {
	pilots   Pilots
	revision func(context.Context) (int64, error)

	mu   sync.Mutex
	at   int64
	keys map[[2]string]pilotKey
}

type pilotKey struct {
	route   account.Route
	unknown bool
}

// NewPilotCache makes a PilotCache; revision is that of a Cache, which is read seldom.
func NewPilotCache(p Pilots, revision func(context.Context) (int64, error)) *PilotCache {
	return &PilotCache{pilots: p, revision: revision, keys: map[[2]string]pilotKey{}}
}

// PilotRoute implements Pilots.
func (c *PilotCache) PilotRoute(ctx context.Context, tenant, key string) (account.Route, error) {
	id := [2]string{tenant, key}
	revision, err := c.revision(ctx)
	c.mu.Lock()
	if err == nil && revision != c.at {
		clear(c.keys)
		c.at = revision
	}
	kept, ok := c.keys[id] // while the store is silent as it was
	c.mu.Unlock()
	if ok {
		if kept.unknown {
			return account.Route{}, ErrNotFound
		}
		return kept.route, nil
	}
	if err != nil {
		return account.Route{}, err
	}
	route, err := c.pilots.PilotRoute(ctx, tenant, key)
	unknown := errors.Is(err, ErrNotFound)
	if err != nil && !unknown {
		return account.Route{}, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.at == revision {
		if len(c.keys) >= maxPilots {
			clear(c.keys)
		}
		c.keys[id] = pilotKey{route, unknown}
	}
	return route, err
}
