package sqlite

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"
	"time"

	"github.com/pressly/goose/v3"

	"github.com/signalbox/signalbox/internal/store"
)

//go:embed migrations/*.sql
var migrations embed.FS

// migrateTries is how often a migration is tried: another process that opens the same file may do it at the same time.
const migrateTries = 5

// Migrate brings the schema of a file to a version; -1 = the newest. Going back drops what the older schema cannot
// hold. It returns the version before and after.
func Migrate(ctx context.Context, opt Options, version int64) (from, to int64, err error) {
	if opt.BusyTimeout == 0 {
		opt.BusyTimeout = 2 * time.Second
	}
	db, err := openFile(opt)
	if err != nil {
		return 0, 0, err
	}
	defer db.Close()
	p, err := provider(db)
	if err != nil {
		return 0, 0, err
	}
	from, newest, err := p.GetVersions(ctx)
	if err != nil {
		return 0, 0, fmt.Errorf("schema of %s: %w", opt.Path, wrap(ctx, err))
	}
	if from > newest {
		return from, from, fmt.Errorf("schema of %s: %w: it has version %d, this program knows %d", opt.Path, store.ErrNewer, from, newest)
	}
	if version < 0 {
		version = newest
	}
	switch {
	case version > newest:
		return from, from, fmt.Errorf("schema version %d is not known, the newest is %d", version, newest)
	case version >= from:
		_, err = p.UpTo(ctx, version)
	default:
		_, err = p.DownTo(ctx, version)
	}
	if err != nil {
		return from, from, fmt.Errorf("migrating %s: %w", opt.Path, wrap(ctx, err))
	}
	return from, version, nil
}

func provider(db *sql.DB) (*goose.Provider, error) {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, err
	}
	return goose.NewProvider(goose.DialectSQLite3, db, files, goose.WithDisableGlobalRegistry(true))
}

// upToDate checks that the schema is the one this program knows.
func upToDate(ctx context.Context, db *sql.DB) error {
	p, err := provider(db)
	if err != nil {
		return err
	}
	have, newest, err := p.GetVersions(ctx)
	switch {
	case err != nil:
		return wrap(ctx, err)
	case have > newest:
		return fmt.Errorf("%w: schema version %d, this program knows %d", store.ErrNewer, have, newest)
	case have < newest:
		return fmt.Errorf("schema version is %d, want %d: run signalbox migrate", have, newest)
	}
	return nil
}

// migrateUp brings the schema to the newest version.
func migrateUp(ctx context.Context, db *sql.DB) error {
	p, err := provider(db)
	if err != nil {
		return err
	}
	for try := 1; ; try++ {
		have, newest, err := p.GetVersions(ctx)
		if err == nil && have > newest {
			return fmt.Errorf("%w: schema version %d, this program knows %d", store.ErrNewer, have, newest)
		}
		if err == nil && have == newest {
			return nil
		}
		if err == nil {
			_, err = p.Up(ctx)
		}
		if err == nil {
			return nil
		}
		if try == migrateTries || ctx.Err() != nil {
			return fmt.Errorf("migrating: %w", wrap(ctx, err))
		}
		wait := time.NewTimer(time.Duration(try) * 50 * time.Millisecond)
		select {
		case <-wait.C:
		case <-ctx.Done():
			wait.Stop()
		}
	}
}
