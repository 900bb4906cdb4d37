package sidecar

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/signalbox/signalbox/internal/store"
)

// roster is a store.Fleet in memory, which may be down.
type roster struct {
	mu   sync.Mutex
	seen map[string]time.Time
	down bool
}

func (r *roster) set(down bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.down = down
}

func (r *roster) do(what func()) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.down {
		return errors.New("down")
	}
	what()
	return nil
}

func (r *roster) Beat(_ context.Context, instance, _ string) error {
	return r.do(func() { r.seen[instance] = time.Now() })
}

func (r *roster) Leave(_ context.Context, instance string) error {
	return r.do(func() { delete(r.seen, instance) })
}

func (r *roster) Sidecars(context.Context) (list []store.Sidecar, err error) {
	err = r.do(func() {
		for name, at := range r.seen {
			list = append(list, store.Sidecar{Instance: name, Silent: time.Since(at)})
		}
	})
	return list, err
}

func TestOthersLiveUntilTheyAreKnownToBeDead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &roster{seen: map[string]time.Time{}}
		deaths := make(chan time.Time, 10)
		run := func(name string, died func(context.Context, time.Time)) (*Fleet, func()) {
			f := NewFleet(r, name, "home of "+name, died, nil)
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() { done <- f.Run(ctx) }()
			return f, func() { cancel(); <-done }
		}
		me, stop := run("me", func(_ context.Context, at time.Time) { deaths <- at })
		_, leave := run("other", func(context.Context, time.Time) {})
		lives := func(want bool) {
			t.Helper()
			synctest.Wait()
			if live, err := me.Live(t.Context()); err != nil || live["other"] != want || live["me"] {
				t.Errorf("the other lives: %v, %v; want %v", live, err, want)
			}
		}
		time.Sleep(30 * time.Second)
		lives(true)

		// The store is down for a minute. When it is back, the other is not dead for having said nothing.
		r.set(true)
		time.Sleep(time.Minute)
		if _, err := me.Live(t.Context()); err == nil {
			t.Error("a store that is down knows who lives")
		}
		r.set(false)
		lives(true)
		time.Sleep(30 * time.Second)
		lives(true)
		if len(deaths) != 0 {
			t.Error("a death was told")
		}

		leave()
		time.Sleep(beatEvery)
		lives(false)
		if len(deaths) != 1 {
			t.Errorf("%d deaths were told of one that left", len(deaths))
		}
		<-deaths

		// One that is killed leaves its row.
		r.mu.Lock()
		r.seen["other"] = time.Now()
		r.mu.Unlock()
		time.Sleep(beatEvery)
		lives(true)
		time.Sleep(deadAfter + beatEvery)
		lives(false)
		if len(deaths) != 1 {
			t.Errorf("%d deaths were told of one that was killed", len(deaths))
		}
		stop()
		if _, there := r.seen["me"]; there {
			t.Error("this one did not leave")
		}
	})
}
