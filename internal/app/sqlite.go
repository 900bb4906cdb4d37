package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"

	"go.uber.org/zap"

	"github.com/signalbox/signalbox/internal/store"
	"github.com/signalbox/signalbox/internal/store/sqlite"
)

// ErrSecondSidecar means that another sidecar uses the same SQLite file.
var ErrSecondSidecar = errors.New("another sidecar uses this store: SQLite serves one sidecar, stop the other or give this one a file of its own")

func openSQLite(ctx context.Context, path string, log *zap.Logger) (store.Store, error) {
	s, err := sqlite.Open(ctx, sqlite.Options{Path: path, Logger: log})
	if err != nil {
		return nil, fmt.Errorf("store.sqlite: %w", err)
	}
	return s, nil
}

// claim takes the store for this sidecar alone. The kernel gives it back when the process dies, however it dies.
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
