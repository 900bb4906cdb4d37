package lab

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/signalbox/signalbox/internal/call"
)

// storyTime bounds one story.
const storyTime = 40 * time.Second

// atOnce is how many quiet stories run at the same time.
const atOnce = 16

// stagger is the time between the starts of quiet stories: a vanilla FreeSWITCH refuses more than 30 legs a second.
const stagger = 120 * time.Millisecond

// Reporter hears what happens. Its methods are called from several goroutines, one story's in order.
type Reporter interface {
	Begin(story Story)
	Event(story Story, e Event)
	End(story Story, r Result)
}

// Run plays stories on a rig and returns how each went, in their order. Quiet stories run at the same time, the others alone
// after them. It returns when all have ended; ctx ends the rest early.
func Run(ctx context.Context, rig *Rig, stories []Story, report Reporter) []Result {
	results := make([]Result, len(stories))
	var quiet sync.WaitGroup
	slots := make(chan struct{}, atOnce)
	starts := 0
	for i, story := range stories {
		if story.Alone {
			continue
		}
		if starts++; starts > 1 {
			pause(ctx, stagger)
		}
		quiet.Add(1)
		go func() {
			defer quiet.Done()
			slots <- struct{}{}
			defer func() { <-slots }()
			results[i] = play(ctx, rig, story, report)
		}()
	}
	quiet.Wait()
	for i, story := range stories {
		if !story.Alone {
			continue
		}
		results[i] = play(ctx, rig, story, report)
		if ctx.Err() != nil {
			continue
		}
		if err := rig.repair(ctx); err != nil && results[i].Err == nil {
			results[i].Err = err
		}
	}
	return results
}

// pause waits, unless ctx ends before.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// play plays one story.
func play(ctx context.Context, rig *Rig, story Story, report Reporter) Result {
	stage := rig.Stages[story.Name]
	result := Result{Story: story.Name, Title: story.Title}
	if stage == nil {
		result.Err = fmt.Errorf("the rig was not prepared for story %q", story.Name)
		return result
	}
	if ctx.Err() != nil {
		result.Err = fmt.Errorf("not played: %w", context.Cause(ctx))
		return result
	}
	report.Begin(story)
	ctx, cancel := context.WithTimeoutCause(ctx, storyTime, errors.New("the story took too long"))
	defer cancel()
	began := time.Now()
	stage.Trace.Restart(func(e Event) { report.Event(story, e) })
	result.Err = stage.perform(ctx, story)
	result.Took = time.Since(began)
	result.Events = stage.Trace.Events()
	stage.Trace.Restart(nil)
	result.Records = stage.kept(ctx)
	if n := len(result.Records); n > 0 {
		result.Plan = &result.Records[n-1].Plan
	}
	if result.Err != nil {
		result.Logs = rig.Logs()
	}
	report.End(story, result)
	return result
}

// kept are the records of the story's calls, oldest first.
func (s *Stage) kept(ctx context.Context) (mine []call.Record) {
	recs, err := s.Rig.records(context.WithoutCancel(ctx)) // also of a story whose time was up
	if err != nil {
		return nil
	}
	for _, r := range slices.Backward(recs) {
		if slices.Contains(s.calls, r.Arrival.CallID) {
			mine = append(mine, r)
		}
	}
	return mine
}
