package sqlstore

import (
	"context"
	"time"

	"github.com/signalbox/signalbox/internal/store"
)

// Beat says that a sidecar lives.
func (s *Store) Beat(ctx context.Context, instance, home string) error {
	err := s.writing(ctx, func(t tx) error {
		if err := t.exec("DELETE FROM sidecars WHERE home = ? AND instance <> ? OR seen < "+s.dialect.Now+" - 86400000", home, instance); err != nil {
			return err
		}
		return t.exec("INSERT INTO sidecars (instance, home, seen) VALUES (?, ?, "+s.dialect.Now+`)
			ON CONFLICT (instance) DO UPDATE SET seen = excluded.seen`, instance, home)
	})
	return s.one(ctx, err, "sidecar %.64s", instance)
}

// Leave forgets a sidecar.
func (s *Store) Leave(ctx context.Context, instance string) error {
	err := s.writing(ctx, func(t tx) error { return t.exec("DELETE FROM sidecars WHERE instance = ?", instance) })
	return s.one(ctx, err, "sidecar %.64s", instance)
}

// Sidecars returns who has not left.
func (s *Store) Sidecars(ctx context.Context) ([]store.Sidecar, error) {
	var out []store.Sidecar
	err := s.reading(ctx, func(t tx) error {
		return t.each("SELECT instance, home, "+s.dialect.Now+" - seen FROM sidecars ORDER BY instance", func(scan scanner) error {
			var c store.Sidecar
			var silent int64
			err := scan(&c.Instance, &c.Home, &silent)
			c.Silent = time.Duration(silent) * time.Millisecond
			out = append(out, c)
			return err
		})
	})
	return out, s.one(ctx, err, "sidecars")
}
