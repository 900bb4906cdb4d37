package app

import (
	"context"
	"fmt"
	"runtime/debug"
	"time"

	"go.uber.org/zap"

	"github.com/signalbox/signalbox/internal/store"
)

const (
	trimEvery   = time.Hour
	trimTimeout = 10 * time.Second // for one batch
	trimStep    = time.Hour        // a clock that was stepped by more is not believed at once
)

// trimmer is what trimRecords needs of a store.
type trimmer interface {
	Trim(ctx context.Context, before time.Time) (int, error)
}

// trimRecords deletes the call records that ended longer than keep() ago by the clock wall(), now and every hour until ctx ends;
// 0 deletes none. After a full batch it goes on at once. What the store does not do is tried again the next hour. A clock that was
// stepped by more than an hour deletes nothing for that hour: there is time to put it right before records go that are not old.
func trimRecords(ctx context.Context, s trimmer, keep func() time.Duration, wall func() time.Time, log *zap.Logger) error {
	ticker := time.NewTicker(trimEvery)
	defer ticker.Stop()
	last, running := wall().Round(0), time.Now()
	for {
		now := wall().Round(0) // the clock's time alone; time.Since goes on steadily
		step := now.Sub(last) - time.Since(running)
		last, running = now, time.Now()
		switch d := keep(); {
		case d <= 0:
		case step.Abs() > trimStep:
			log.Warn("the clock was stepped: old call records are not deleted for an hour", zap.Duration("by", step.Round(time.Second)), zap.Time("now", now))
		default:
			n, err := trimAll(ctx, s, now.Add(-d))
			if err != nil && ctx.Err() == nil {
				log.Warn("old call records not deleted, trying again in an hour", zap.Error(err))
			}
			if n > 0 {
				log.Info("old call records deleted", zap.Int("records", n), zap.Duration("kept", d))
			}
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// trimAll trims batch by batch until one is not full.
func trimAll(ctx context.Context, s trimmer, before time.Time) (int, error) {
	deleted := 0
	for {
		n, err := trimBatch(ctx, s, before)
		deleted += n
		if err != nil || n < store.TrimBatch {
			return deleted, err
		}
	}
}

func trimBatch(ctx context.Context, s trimmer, before time.Time) (n int, err error) {
	ctx, cancel := context.WithTimeout(ctx, trimTimeout)
	defer cancel()
	defer func() {
		if p := recover(); p != nil { // tidying up shall not end the process and with it every call
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return s.Trim(ctx, before)
}

// withRooms trims conferences, and decisions who may join them, with the call records.
type withRooms struct{ store.Store }

// Trim implements trimmer.
func (w withRooms) Trim(ctx context.Context, before time.Time) (int, error) {
	records, err := w.Store.Trim(ctx, before)
	if err != nil {
		return records, err
	}
	rooms, err := w.TrimRooms(ctx, before)
	return max(records, min(rooms, store.TrimBatch)), err
}

// keepRecords is how long records are kept, by the configuration that counts now.
func (a *App) keepRecords() time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.config.Store.KeepRecords
}
