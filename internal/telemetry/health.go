package telemetry

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// checkTime bounds one check.
const checkTime = 2 * time.Second

// Check is one thing that should be in order.
type Check struct {
	Name string
	// Advisory marks a check that calls do not need: when it fails the process is degraded, and ready all the same.
	Advisory bool
	// Run says what is wrong, in words that tell an operator what to do; nil = nothing. It should end with ctx.
	Run func(ctx context.Context) error
}

// Status sums checks up.
type Status string

// The statuses of a Report.
const (
	OK       Status = "ok"
	Degraded Status = "degraded" // only advisory checks fail
	Failed   Status = "failed"
)

// Result is how one check ended.
type Result struct {
	Name     string `json:"name"`
	OK       bool   `json:"ok"`
	Advisory bool   `json:"advisory,omitempty"`
	Detail   string `json:"detail,omitempty"` // what is wrong
}

// Report is how all checks ended, in their order.
type Report struct {
	Status Status   `json:"status"`
	Checks []Result `json:"checks"`
}

// Checks run together.
type Checks struct{ runners []*runner }

// NewChecks makes Checks.
func NewChecks(checks ...Check) *Checks {
	c := &Checks{}
	for _, check := range checks {
		c.runners = append(c.runners, &runner{check: check})
	}
	return c
}

// Report runs all checks at once and takes checkTime at most.
func (c *Checks) Report(ctx context.Context) Report {
	r := Report{Status: OK, Checks: make([]Result, len(c.runners))}
	var wg sync.WaitGroup
	for i, run := range c.runners {
		wg.Go(func() {
			res := Result{Name: run.check.Name, Advisory: run.check.Advisory}
			if err := run.once(ctx); err != nil {
				res.Detail = err.Error()
			} else {
				res.OK = true
			}
			r.Checks[i] = res
		})
	}
	wg.Wait()
	for _, res := range r.Checks {
		switch {
		case res.OK:
		case !res.Advisory:
			r.Status = Failed
		case r.Status == OK:
			r.Status = Degraded
		}
	}
	return r
}

// runner runs a check once at a time, so that one that hangs costs one goroutine however often it is asked.
type runner struct {
	check Check
	mu    sync.Mutex
	run   *checkRun // under way
}

type checkRun struct {
	since time.Time
	done  chan struct{}
	err   error
}

func (r *runner) once(ctx context.Context) error {
	r.mu.Lock()
	run := r.run
	if run == nil {
		run = &checkRun{since: time.Now(), done: make(chan struct{})}
		r.run = run
		go r.perform(context.WithoutCancel(ctx), run) // ends with the check, which is bounded by its context
	}
	r.mu.Unlock()
	timer := time.NewTimer(checkTime - time.Since(run.since))
	defer timer.Stop()
	select {
	case <-run.done:
		return run.err
	case <-timer.C:
		return fmt.Errorf("no answer for %s", time.Since(run.since).Round(100*time.Millisecond))
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (r *runner) perform(ctx context.Context, run *checkRun) {
	ctx, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	defer func() {
		if p := recover(); p != nil {
			run.err = fmt.Errorf("the check itself broke: %v", p)
		}
		r.mu.Lock()
		r.run = nil
		r.mu.Unlock()
		close(run.done)
	}()
	run.err = errors.New("the check did not end")
	run.err = r.check.Run(ctx)
}
