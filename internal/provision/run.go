package provision

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/store"
	"github.com/signalbox/signalbox/internal/tel"
)

const (
	maxTries    = 5                // of the whole, when rows change under it
	maxBegun    = 20               // times that a request is begun, over crashes and a store that is gone
	onceMore    = time.Second      // after which a request that could not go on is tried again; then after twice as long, and so on,
	maxOnceMore = 5                // times as long: all tries together outlast deletingTime
	storeTime   = 10 * time.Second // of one write of progress, also when the process stops
	trimEvery   = time.Hour
	sweepEvery  = 2 * time.Second
)

// Run does requests, tells tenants of them and looks after mailboxes until ctx ends; what is under way then is given back to the
// store, and done by the next process.
func (s *Provisioner) Run(ctx context.Context) error {
	if s.opt.Exclusive {
		if err := s.opt.Requests.ReleaseRequests(ctx); err != nil && ctx.Err() == nil {
			s.log.Warn("provisioning: leases of a process that died are waited for", zap.Error(err))
		}
	}
	var all errgroup.Group
	all.Go(func() error { return s.sweepMailboxes(ctx) })
	all.Go(func() error { return s.serve(ctx, true, s.kick) })
	all.Go(func() error { return s.serve(ctx, false, s.news) })
	trim := time.NewTicker(trimEvery)
	defer trim.Stop()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-trim.C:
			s.trim(ctx)
		}
	}
	return all.Wait()
}

// serve works on open requests, or tells tenants of the others, until ctx ends. Each has workers of its own, because whoever is told may
// be slow to hear, or dead, and nobody's requests wait for that.
func (s *Provisioner) serve(ctx context.Context, open bool, kick chan struct{}) error {
	var work errgroup.Group
	work.SetLimit(workers)
	look := time.NewTicker(lookFor)
	defer look.Stop()
	for ctx.Err() == nil {
		if s.claim(ctx, &work, open, kick) > 0 {
			continue // there may be more
		}
		select {
		case <-ctx.Done():
		case <-kick:
		case <-look.C:
		}
	}
	return work.Wait()
}

// claim begins what is due, as far as there is room, and returns how many requests that were.
func (s *Provisioner) claim(ctx context.Context, work *errgroup.Group, open bool, kick chan struct{}) int {
	now := time.Now()
	rows, err := s.opt.Requests.ClaimRequests(ctx, s.opt.Instance, open, now, now.Add(lease), workers)
	if err != nil {
		if ctx.Err() == nil {
			s.log.Warn("provisioning: the store gives no requests", zap.Error(err))
		}
		return 0
	}
	for _, row := range rows {
		work.Go(func() error {
			defer s.wake(kick) // there is room, and the user's next request may go on
			s.work(ctx, row)
			return nil
		})
	}
	return len(rows)
}

func (s *Provisioner) trim(ctx context.Context) {
	for {
		n, err := s.opt.Requests.TrimRequests(ctx, time.Now().Add(-statusKept))
		if err != nil && ctx.Err() == nil {
			s.log.Warn("provisioning: old requests not deleted", zap.Error(err))
		}
		if err != nil || n < store.TrimBatch {
			return
		}
	}
}

// job is one request under way.
type job struct {
	s   *Provisioner
	row store.Request
	r   Request
	p   *progress

	written bool // the profile is as the request wants it: its mailboxes are no longer to be taken back
	direct  bool // no request: one row that somebody wrote by hand, of which no progress is kept
}

// work does what is due of one request.
func (s *Provisioner) work(ctx context.Context, row store.Request) {
	log := s.log.With(zap.String("tenant", row.Tenant), zap.String("request", row.ID))
	defer func() {
		if p := recover(); p != nil { // the lease runs out, and then it is tried again, maxBegun times
			log.Error("panic in a provisioning request", zap.Any("panic", p), zap.ByteString("stack", debug.Stack()))
		}
	}()
	r, p, err := read(row)
	if err != nil {
		log.Error("provisioning", zap.Error(err))
		row.Open, row.Due = false, time.Time{}
		_ = s.opt.Requests.SaveRequest(ctx, row, s.opt.Instance, time.Time{})
		return
	}
	j := &job{s: s, row: row, r: r, p: p}
	if !row.Open {
		err = j.tell(ctx)
	} else {
		err = j.do(ctx)
	}
	if err == nil || errors.Is(err, store.ErrLease) {
		return
	}
	// It could not go on: the store is gone, or this process ends.
	if ctx.Err() == nil {
		pause := onceMore * time.Duration(min(j.p.Tries, maxOnceMore))
		log.Warn("a provisioning request waits", zap.Error(err), zap.Duration("for", pause))
		j.row.Due = time.Now().Add(pause)
	}
	if err := j.save(context.WithoutCancel(ctx), 0); err != nil {
		log.Warn("provisioning: progress not kept", zap.Error(err))
	}
}

// save keeps how far the request is and leases it for a time.
func (j *job) save(ctx context.Context, until time.Duration) error {
	if j.direct {
		return nil
	}
	text, err := json.Marshal(j.p)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, storeTime)
	defer cancel()
	now := time.Now()
	j.row.Progress, j.row.Updated = text, now
	var leased time.Time
	if until > 0 {
		leased = now.Add(until)
	}
	return j.s.opt.Requests.SaveRequest(ctx, j.row, j.s.opt.Instance, leased)
}

// failure is why a step could not be done, for the integrator.
type failure struct {
	step    string
	service string
	err     error
}

func (f *failure) Error() string { return f.err.Error() }

// do does a request, or what is left of it. An error means that it cannot go on now.
func (j *job) do(ctx context.Context) error {
	again := j.p.Tries > 0
	j.p.Tries++
	if !j.p.Finished.IsZero() {
		j.p.again()
	}
	j.p.Status = Running
	if err := j.save(ctx, lease); err != nil {
		return err
	}
	var err error
	for range maxTries {
		if err = j.once(ctx, again); !errors.Is(err, store.ErrConflict) {
			break
		}
		again = true // something changed since we looked
	}
	var bad *Invalid
	var failed *failure
	switch {
	case err == nil:
		return j.finish(ctx, nil)
	case ctx.Err() != nil:
		return err
	case errors.As(err, &bad):
		j.p.Problems = bad.Problems
		failed = &failure{"validation", "validation", bad}
	case errors.As(err, &failed):
	case j.p.Tries >= maxBegun:
		failed = &failure{"store", "store", err}
	default:
		return err
	}
	if err := j.undo(ctx); err != nil {
		return err
	}
	return j.finish(ctx, failed)
}

// once goes through the steps. What is done already is passed over.
func (j *job) once(ctx context.Context, again bool) error {
	j.written = false
	t, err := j.s.plan(ctx, j.row.Tenant, j.r, again)
	if err != nil {
		return err
	}
	j.written = len(t.changes) == 0
	if t.profiles {
		if err := j.write(ctx, t); err != nil {
			return err
		}
		if err := j.retire(ctx, t); err != nil {
			return err
		}
		return j.publish(ctx, t)
	}
	for i := range t.boxes {
		if err := j.make(ctx, &t.boxes[i]); err != nil {
			return err
		}
	}
	if err := j.write(ctx, t); err != nil {
		return err
	}
	for _, m := range t.boxes {
		if err := j.settle(ctx, m); err != nil {
			return err
		}
	}
	if err := j.retire(ctx, t); err != nil {
		return err
	}
	return j.publish(ctx, t)
}

// step notes how a step ended.
func (j *job) step(name, target string, began time.Time, err error) {
	result := StepResult{Step: name, Target: target, Status: Done, Took: time.Since(began).Round(time.Millisecond).Seconds()}
	if err != nil {
		result.Status, result.Reason = Failed, err.Error()
	}
	// A step that was done before, by this process or one that died, stands in its place.
	for i, was := range j.p.Steps {
		if was.Step == name && was.Target == target {
			j.p.Steps[i] = result
			return
		}
	}
	j.p.Steps = append(j.p.Steps, result)
}

// write makes the rows true, in one transaction.
func (j *job) write(ctx context.Context, t *target) error {
	began := time.Now()
	var err error
	if len(t.changes) > 0 {
		j.p.Changed = true // kept before it is so: whoever goes on after a death behind the write has nothing left to change
		if err := j.save(ctx, lease); err != nil {
			return err
		}
		_, err = j.s.opt.Rows.Change(ctx, j.row.Tenant, t.changes, began)
	}
	var invalid *account.Invalid
	switch {
	case errors.As(err, &invalid):
		bad := &Invalid{}
		bad.translate(invalid, j.r)
		j.step("profile", "", began, bad)
		return bad
	case errors.Is(err, store.ErrInUse):
		j.step("profile", "", began, err)
		return &failure{"profile", "profile", err}
	case errors.Is(err, store.ErrNotFound):
		return store.ErrConflict // somebody else removed it
	case err != nil:
		return err
	}
	j.written = true
	j.step("profile", strings.Join(slices.Collect(keysOf(t.numbers)), ", "), began, nil)
	return nil
}

func keysOf(numbers []*account.NumberEntry) func(func(string) bool) {
	return func(yield func(string) bool) {
		for _, n := range numbers {
			if !yield(n.Number) {
				return
			}
		}
	}
}

// publish looks at what a call would read from now on.
func (j *job) publish(ctx context.Context, t *target) error {
	began := time.Now()
	for _, n := range t.numbers {
		if !t.scope[n.Number] {
			continue
		}
		p, err := j.s.opt.Profiles.Profile(ctx, tel.Number(n.Number))
		if errors.Is(err, store.ErrNotFound) {
			return store.ErrConflict
		}
		if err != nil {
			return fmt.Errorf("publish: %w", err)
		}
		if (p.Voicemail == nil) != (n.Voicemail == nil) || p.Voicemail != nil && p.Voicemail.Pilot != n.Voicemail.Pilot {
			return store.ErrConflict // changed by somebody else in between
		}
	}
	j.step("publish", "", began, nil)
	version, err := j.s.version(ctx, j.row.Tenant, j.row.User, j.row.Seq)
	if err != nil {
		return err
	}
	if j.row.Version = version; j.p.Changed {
		j.row.Version++
	}
	if t.account != nil {
		j.p.Profile = NewProfile(t.account, t.numbers, j.row.Version)
	}
	return nil
}

// finish closes the request, done or failed, and has the tenant told.
func (j *job) finish(ctx context.Context, failed *failure) error {
	now := time.Now()
	j.p.Status, j.p.Finished = Done, now.UTC()
	took := now.Sub(j.row.Created)
	if failed != nil {
		j.p.Status, j.p.Failed, j.p.Reason = Failed, failed.service, failed.Error()
		version, err := j.s.version(ctx, j.row.Tenant, j.row.User, j.row.Seq)
		if err != nil {
			return err
		}
		j.row.Version = version
		j.s.opt.Meter.Failed(failed.step)
	}
	for i := range j.p.Services {
		service := &j.p.Services[i]
		switch {
		case failed == nil:
			service.Status = Done
		case service.Type == failed.service:
			service.Status, service.Reason = Failed, failed.Error()
		default:
			service.Status, service.Reason = NotDone, fmt.Sprintf("a request is done in whole or not at all, and %s failed", failed.service)
		}
		j.s.opt.Meter.Finished(service.Type, strings.ReplaceAll(service.Status, " ", "_"), took)
	}
	j.row.Open, j.row.Due = false, time.Time{}
	if j.s.tenantHook(j.row.Tenant) != nil {
		j.row.Due = now
	}
	if err := j.save(context.WithoutCancel(ctx), 0); err != nil {
		return err
	}
	fields := []zap.Field{zap.String("tenant", j.row.Tenant), zap.String("request", j.row.ID), zap.String("action", string(j.r.Action)), zap.Duration("took", took)}
	if failed != nil {
		j.s.log.Warn("provisioning request failed", append(fields, zap.String("step", failed.step), zap.String("reason", failed.Error()))...)
	} else {
		j.s.log.Info("provisioning request done", fields...)
	}
	j.s.finished(key{j.row.Tenant, j.row.ID})
	j.s.wake(j.s.news)
	return nil
}
