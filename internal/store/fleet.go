package store

import (
	"context"
	"time"
)

// Sidecar is one process that serves calls with the store.
type Sidecar struct {
	Instance string // name of the process, which no other ever has
	Home     string // what the processes that follow each other have in common; only one of them lives at a time
	Silent   time.Duration
}

// Fleet is who serves calls with a store that several share. Time is the database's own, so that clocks may differ.
type Fleet interface {
	// Beat says that a sidecar lives. Whoever was at its home before is forgotten.
	Beat(ctx context.Context, instance, home string) error
	// Leave forgets a sidecar that ends.
	Leave(ctx context.Context, instance string) error
	// Sidecars returns who has not left, and for how long each has been silent.
	Sidecars(ctx context.Context) ([]Sidecar, error)
}
