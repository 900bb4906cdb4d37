package postgres

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"

	"github.com/signalbox/signalbox/internal/store/sqlstore"
)

//go:embed migrations/*.sql
var migrations embed.FS

// lockSeconds is how long a migration waits for that of another process.
const lockSeconds = 60

// Migrate brings the schema of a database to a version; -1 = the newest. Going back drops what the older schema cannot hold. It
// returns the version before and after.
func Migrate(ctx context.Context, opt Options, version int64) (from, to int64, err error) {
	err = migrating(opt, func(p *goose.Provider) error {
		from, to, err = sqlstore.Migrate(ctx, p, version)
		return wrap(ctx, err)
	})
	return from, to, err
}

// Versions returns the version of a database's schema and the newest that this program knows.
func Versions(ctx context.Context, opt Options) (have, newest int64, err error) {
	err = migrating(opt, func(p *goose.Provider) error {
		have, newest, err = p.GetVersions(ctx)
		return wrap(ctx, err)
	})
	return have, newest, err
}

func migrating(opt Options, do func(*goose.Provider) error) error {
	config, err := parse(opt)
	if err != nil {
		return err
	}
	db := pool(config)
	defer db.Close()
	p, err := provider(db)
	if err == nil {
		err = do(p)
	}
	if err != nil {
		return fmt.Errorf("database %s: %w", where(config), err)
	}
	return nil
}

// provider is goose over a database. Processes that migrate at once wait for each other.
func provider(db *sql.DB) (*goose.Provider, error) {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, err
	}
	locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(1, lockSeconds))
	if err != nil {
		return nil, err
	}
	return goose.NewProvider(goose.DialectPostgres, db, files, goose.WithDisableGlobalRegistry(true), goose.WithSessionLocker(locker))
}
