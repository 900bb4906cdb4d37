package sqlstore

import (
	"context"
	"fmt"

	"github.com/pressly/goose/v3"

	"github.com/signalbox/signalbox/internal/store"
)

// Migrate brings a schema to a version; -1 = the newest. Going back drops what the older schema cannot hold. It returns the version
// before and after.
func Migrate(ctx context.Context, p *goose.Provider, version int64) (from, to int64, err error) {
	from, newest, err := p.GetVersions(ctx)
	if err != nil {
		return 0, 0, err
	}
	if from > newest {
		return from, from, newer(from, newest)
	}
	if version < 0 {
		version = newest
	}
	switch {
	case version > newest:
		return from, from, fmt.Errorf("schema version %d is not known, the newest is %d", version, newest)
	case version > from:
		_, err = p.UpTo(ctx, version)
	case version < from:
		_, err = p.DownTo(ctx, version)
	}
	if err != nil {
		return from, from, fmt.Errorf("migrating: %w", err)
	}
	return from, version, nil
}

// UpToDate checks that a schema is the one this program knows.
func UpToDate(ctx context.Context, p *goose.Provider) error {
	have, newest, err := p.GetVersions(ctx)
	switch {
	case err != nil:
		return err
	case have > newest:
		return newer(have, newest)
	case have < newest:
		return fmt.Errorf("schema version is %d, want %d: run signalbox migrate", have, newest)
	}
	return nil
}

func newer(have, newest int64) error {
	return fmt.Errorf("%w: its schema has version %d, this program knows %d", store.ErrNewer, have, newest)
}
