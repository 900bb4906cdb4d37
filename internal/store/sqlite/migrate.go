package sqlite

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/pressly/goose/v3"

	"github.com/signalbox/signalbox/internal/store"
	"github.com/signalbox/signalbox/internal/store/sqlstore"
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
	if from, to, err = sqlstore.Migrate(ctx, p, version); err != nil {
		return from, to, fmt.Errorf("%s: %w", opt.Path, wrap(ctx, err))
	}
	return from, to, nil
}

// Versions returns the version of a file's schema and the newest that this program knows.
func Versions(ctx context.Context, opt Options) (have, newest int64, err error) {
	db, err := openFile(opt)
	if err != nil {
		return 0, 0, err
	}
	defer db.Close()
	p, err := provider(db)
	if err != nil {
		return 0, 0, err
	}
	if have, newest, err = p.GetVersions(ctx); err != nil {
		return 0, 0, fmt.Errorf("%s: %w", opt.Path, wrap(ctx, err))
	}
	return have, newest, nil
}

func provider(db *sql.DB) (*goose.Provider, error) {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, err
	}
	return goose.NewProvider(goose.DialectSQLite3, db, files, goose.WithDisableGlobalRegistry(true))
}

// migrateUp brings the schema to the newest version.
func migrateUp(ctx context.Context, p *goose.Provider) error {
	for try := 1; ; try++ {
		_, _, err := sqlstore.Migrate(ctx, p, -1)
		if err == nil || errors.Is(err, store.ErrNewer) {
			return err
		}
		if try == migrateTries || ctx.Err() != nil {
			return wrap(ctx, err)
		}
		wait := time.NewTimer(time.Duration(try) * 50 * time.Millisecond)
		select {
		case <-wait.C:
		case <-ctx.Done():
			wait.Stop()
		}
	}
}
