package store

import (
	"context"

	"github.com/signalbox/signalbox/internal/account"
)

// Pilots is the look-up of what a caller dialled among the pilots.
type Pilots interface {
	// PilotRoute returns the pilot of a key with its systems: the tenant's own, else the operator's. For a caller from outside, tenant "",
	// it is the operator's, else the only tenant's that has the key. ErrNotFound.
	PilotRoute(ctx context.Context, tenant, key string) (account.Route, error)
}
