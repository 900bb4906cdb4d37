package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"

	"go.uber.org/zap"

	"github.com/signalbox/signalbox/internal/config"
	"github.com/signalbox/signalbox/internal/sidecar"
	"github.com/signalbox/signalbox/internal/store"
	"github.com/signalbox/signalbox/internal/store/postgres"
	"github.com/signalbox/signalbox/internal/store/sqlite"
)

// ErrSecondSidecar means that another sidecar uses the same SQLite file, or spools beside the same file.
var ErrSecondSidecar = errors.New("another sidecar uses it: SQLite serves one sidecar, and each has its own spool; stop the other or give this one a file of its own")

// database is the store that a configuration names.
type database struct {
	sqlite   sqlite.Options
	postgres postgres.Options // counts when it has a DSN
}

func databaseOf(c *config.Config, log *zap.Logger) database {
	p := c.Store.Postgres
	return database{
		sqlite:   sqlite.Options{Path: c.Store.SQLite, Logger: log},
		postgres: postgres.Options{DSN: p.DSN.Reveal(), Password: p.Password.Reveal(), Logger: log},
	}
}

func (d database) open(ctx context.Context) (store.Store, error) {
	if d.postgres.DSN != "" {
		s, err := postgres.Open(ctx, d.postgres)
		if err != nil {
			return nil, fmt.Errorf("store.postgres: %w", err)
		}
		return s, nil
	}
	s, err := sqlite.Open(ctx, d.sqlite)
	if err != nil {
		return nil, fmt.Errorf("store.sqlite: %w", err)
	}
	return s, nil
}

// OpenStore opens the store that a configuration names, for a command. Records in it that cannot be read are named on standard
// error.
func OpenStore(ctx context.Context, c *config.Config) (store.Store, error) {
	log, err := NewLogger(c.Log)
	if err != nil {
		return nil, err
	}
	return databaseOf(c, log).open(ctx)
}

// NoStoreYet reports whether the store that a configuration names is a file that nobody has made yet.
func NoStoreYet(c *config.Config) bool {
	if c.Store.Postgres.DSN != "" {
		return false
	}
	_, err := os.Stat(c.Store.SQLite)
	return err != nil
}

// StoreName names the store of a configuration for people.
func StoreName(c *config.Config) string {
	if c.Store.Postgres.DSN == "" {
		return c.Store.SQLite
	}
	return postgres.Name(c.Store.Postgres.DSN.Reveal())
}

// MigrateStore brings the schema of the store to a version, -1 = the newest, and returns the version before and after.
func MigrateStore(ctx context.Context, c *config.Config, version int64) (from, to int64, err error) {
	d := databaseOf(c, nil)
	if d.postgres.DSN != "" {
		return postgres.Migrate(ctx, d.postgres, version)
	}
	return sqlite.Migrate(ctx, d.sqlite, version)
}

// StoreVersions returns the version of the store's schema, 0 = none, and the newest that this program knows.
func StoreVersions(ctx context.Context, c *config.Config) (have, newest int64, err error) {
	d := databaseOf(c, nil)
	if d.postgres.DSN != "" {
		return postgres.Versions(ctx, d.postgres)
	}
	return sqlite.Versions(ctx, d.sqlite)
}

// joinFleet makes this sidecar known to those that share the store, before it looks at anybody's records.
func (a *App) joinFleet(ctx context.Context, undertaker *sidecar.Undertaker) error {
	if a.config.Store.Postgres.DSN == "" {
		return nil
	}
	host, _ := os.Hostname()
	a.fleet = sidecar.NewFleet(a.store, a.instance, host+":"+a.config.Store.SQLite, undertaker.Died, a.log)
	undertaker.Beside(a.fleet.Live)
	if err := a.fleet.Beat(ctx); err != nil {
		return fmt.Errorf("store.postgres: %w", err)
	}
	return nil
}

// claim takes the store's files for this sidecar alone. The kernel gives them back when the process dies, however it dies.
func (a *App) claim() error {
	path := a.config.Store.SQLite + ".sidecar"
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("store.sqlite: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return fmt.Errorf("store.sqlite: %s: %w", a.config.Store.SQLite, ErrSecondSidecar)
		}
		return fmt.Errorf("store.sqlite: locking %s: %w", path, err)
	}
	a.undo = append(a.undo, f.Close)
	return nil
}
