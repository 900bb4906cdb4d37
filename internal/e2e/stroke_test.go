package e2e

import (
	"context"
	"sync"
	"time"

	"github.com/signalbox/signalbox/internal/lab"
)

// stroke is a fault that several calls, each in another state, meet at the same moment.
type stroke struct {
	name   string
	ready  sync.WaitGroup // calls that are not in their state yet
	struck chan struct{}
	over   sync.WaitGroup // calls that still assert what the fault did
	mended chan struct{}

	strike func(ctx context.Context, s *lab.Stage)
	mend   func(ctx context.Context, s *lab.Stage)

	stories act
}

func newStroke(name string, strike, mend func(ctx context.Context, s *lab.Stage)) *stroke {
	return &stroke{name: name, struck: make(chan struct{}), mended: make(chan struct{}), strike: strike, mend: mend}
}

// moment is one call's view of a stroke.
type moment struct {
	st          *stroke
	ready, over sync.Once
}

// strikes says that the call is in its state, and returns when the fault has happened, with its time.
func (m *moment) strikes(ctx context.Context, s *lab.Stage) time.Time {
	m.ready.Do(m.st.ready.Done)
	wait(ctx, s, m.st.struck, "the fault happens")
	return time.Now()
}

// passes says that the call has asserted what the fault did, and returns when all is in order again.
func (m *moment) passes(ctx context.Context, s *lab.Stage) {
	m.over.Do(m.st.over.Done)
	wait(ctx, s, m.st.mended, "the fault is mended")
}

// leave lets the others go on, however the story ended.
func (m *moment) leave() {
	m.ready.Do(m.st.ready.Done)
	m.over.Do(m.st.over.Done)
}

func wait(ctx context.Context, s *lab.Stage, c <-chan struct{}, what string) {
	select {
	case <-c:
	case <-ctx.Done():
		s.Fail("%s: %w", what, context.Cause(ctx))
	}
}

// meets adds a call to the stroke.
func (st *stroke) meets(name, title string, line lab.Line, play func(ctx context.Context, s *lab.Stage, m *moment)) {
	st.ready.Add(1)
	st.over.Add(1)
	st.stories = append(st.stories, lab.Story{Name: name, Title: title, Line: line, Play: func(ctx context.Context, s *lab.Stage) {
		m := &moment{st: st}
		defer m.leave()
		play(ctx, s, m)
	}})
}

// act is all its calls, and the story that strikes when they are ready. lab.Run plays at most 16 at once.
func (st *stroke) act() act {
	return append(st.stories, lab.Story{Name: "stroke-" + st.name, Title: "strikes, and mends", Play: func(ctx context.Context, s *lab.Stage) {
		var struck, mended sync.Once
		defer mended.Do(func() { close(st.mended) })
		defer struck.Do(func() { close(st.struck) })
		all := func(wg *sync.WaitGroup) <-chan struct{} {
			c := make(chan struct{})
			go func() { wg.Wait(); close(c) }()
			return c
		}
		wait(ctx, s, all(&st.ready), "all calls are ready")
		st.strike(ctx, s)
		struck.Do(func() { close(st.struck) })
		wait(ctx, s, all(&st.over), "all calls are through")
		st.mend(ctx, s)
	}})
}
