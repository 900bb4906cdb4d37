package app

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/signalbox/signalbox/internal/store"
)

// Run works until ctx ends, then stops in the order that hurts no call: the Event Socket listener is closed first, so that
// new calls go to the operator's own dialplan; running ones have the time of sidecar.drain to end; the proxy, which their
// answers pass, stays until then and ends what the next one cannot go on with (sipproxy.Proxy.Drain), and the records are written last. Talking parties need nobody of us and are left to
// FreeSWITCH at once. An error of one part ends the others.
func (a *App) Run(ctx context.Context) error {
	defer func() {
		if err := a.close(); err != nil {
			a.log.Warn("stopping", zap.Error(err))
		}
	}()
	behind, stopBehind := context.WithCancel(context.WithoutCancel(ctx))
	defer stopBehind()
	first, firstCtx := errgroup.WithContext(ctx)
	var last, spans errgroup.Group
	tracing, stopTracing := context.WithCancel(context.WithoutCancel(ctx)) // until all that makes spans has ended
	defer stopTracing()
	if a.spans != nil {
		spans.Go(func() error { return a.spans.Run(tracing) })
	}
	last.Go(func() error { return a.operator.run(behind) })
	if a.server != nil {
		written, allWritten := context.WithCancel(context.WithoutCancel(ctx))
		defer allWritten()
		last.Go(func() error { defer allWritten(); return a.keepRecordsWritten(behind) })
		if a.phones != nil {
			last.Go(func() error { return a.runPhones(behind) })
		}
		if a.fleet != nil {
			last.Go(func() error { return a.fleet.Run(written) }) // the others look at what we leave open when it is all there
		}
		if w, ok := a.store.(store.Watcher); ok {
			first.Go(func() error { w.Watch(firstCtx, a.profiles.Hurry); return nil })
		}
		first.Go(func() error { return trimRecords(firstCtx, withRooms{a.store}, a.keepRecords, time.Now, a.log) })
		first.Go(func() error { return a.server.Run(firstCtx) })
		a.runAPI(first, firstCtx)
		for _, n := range a.nodes { // the calls that are waited for need them
			last.Go(func() error { return n.Run(behind) })
		}
	}
	if a.messages != nil {
		first.Go(func() error { return a.messages.Run(firstCtx) })
	}
	if a.delivery != nil {
		first.Go(func() error { return a.delivery.Run(firstCtx) })
	}
	if a.rooms != nil {
		last.Go(func() error { return a.rooms.Run(behind) })
	}
	if a.keeper != nil {
		first.Go(func() error { return a.keeper.Run(firstCtx) })
	}
	if a.taker != nil {
		first.Go(func() error { return a.taker.Run(firstCtx) })
	}
	if a.targets != nil {
		last.Go(func() error { return a.targets.Run(behind) })
	}
	if a.hep != nil {
		last.Go(func() error { return a.hep.Run(behind) })
	}
	if a.proxy != nil {
		failed := make(chan error, 1)
		last.Go(func() error {
			failed <- a.proxy.Run(behind)
			return nil
		})
		first.Go(func() error {
			select {
			case err := <-failed:
				return err
			case <-firstCtx.Done():
				return nil
			}
		})
	}
	a.log.Info("signalbox runs", a.addresses()...)
	settle(a.role)
	a.operator.ready()
	stopping := make(chan stop, 1)
	drained := make(chan struct{})
	go func() { stopping <- a.tellOfStop(firstCtx, drained) }()
	err := first.Wait()
	if a.proxy != nil && err == nil {
		if a.server != nil {
			a.letAnswersPass()
		}
		a.drainProxy()
	}
	close(drained)
	began := <-stopping
	stopBehind()
	err = errors.Join(err, last.Wait())
	stopTracing()
	err = errors.Join(err, spans.Wait())
	a.log.Info("signalbox has stopped", a.leftBehind(began)...)
	return err
}

// EndNow ends the drain, or the one that is to come, at once: callers who wait go to the operator's own dialplan.
func (a *App) EndNow() {
	a.endNow.Do(func() { close(a.now) })
	if a.server != nil {
		a.server.EndNow()
	}
}

// tellEvery is how often a process that stops says what it waits for.
const tellEvery = 5 * time.Second

// stop is how a stop began.
type stop struct {
	at    time.Time
	calls int64
}

// tellOfStop waits until ctx ends and then says what is still waited for, until over is closed.
func (a *App) tellOfStop(ctx context.Context, over <-chan struct{}) stop {
	<-ctx.Done()
	began := stop{at: time.Now()}
	fields := []zap.Field{zap.NamedError("reason", context.Cause(ctx))}
	if a.server != nil {
		began.calls = a.calls()
		if drained := a.server.Stats().Drained; drained > 0 {
			began.calls = drained // those who talk may have been let go by now
		}
		a.mu.Lock()
		fields = append(fields, zap.Duration("at_most", a.config.Sidecar.Drain))
		a.mu.Unlock()
	}
	a.log.Info("stopping", append(fields, a.underWay(began.calls)...)...)
	a.operator.draining()
	again := time.NewTicker(tellEvery)
	defer again.Stop()
	for {
		select {
		case <-again.C:
			a.log.Info("still stopping", append(a.underWay(a.calls()), zap.Duration("for", time.Since(began.at).Round(time.Second)))...)
		case <-over:
			return began
		}
	}
}

// calls are those that the sidecar has.
func (a *App) calls() int64 {
	if a.server == nil {
		return 0
	}
	return a.server.Stats().Active
}

// underWay counts what a stop waits for.
func (a *App) underWay(calls int64) (fields []zap.Field) {
	if a.server != nil {
		fields = append(fields, zap.Int64("calls", calls))
	}
	if a.proxy != nil {
		fields = append(fields, zap.Uint64("sip_requests", a.proxy.Stats().Pending))
	}
	return fields
}

// leftBehind says what became of the calls that were there when the stop began, and what was left.
func (a *App) leftBehind(began stop) []zap.Field {
	fields := []zap.Field{zap.Duration("took", time.Since(began.at).Round(time.Millisecond))}
	if a.server != nil {
		talking, waiting := a.sidecar.Counts().LeftTalking.Load(), a.sidecar.Counts().LeftWaiting.Load()
		fields = append(fields, zap.Int64("calls_ended", max(0, began.calls-talking-waiting)), zap.Int64("calls_left_talking", talking),
			zap.Int64("calls_left_to_the_dialplan", waiting), zap.Int("records_not_written", a.ledger.Waiting()))
		if a.export != nil {
			fields = append(fields, zap.Uint64("records_to_be_posted", a.export.Stats().SpoolRecords))
		}
	}
	if a.proxy != nil {
		fields = append(fields, zap.Uint64("sip_requests_left", a.proxy.Stats().Pending))
	}
	return fields
}

// answersPass bounds how long the proxy stays when the sidecar has stopped.
const answersPass = 4 * time.Second

// drainProxy has the proxy end what the next one cannot go on with; most often that is nothing.
func (a *App) drainProxy() {
	ctx, cancel := context.WithTimeout(context.Background(), answersPass)
	defer cancel()
	go func() {
		select {
		case <-a.now:
			cancel()
		case <-ctx.Done():
		}
	}()
	a.proxy.Drain(ctx)
}

// letAnswersPass waits until the proxy has no request under way: those whom the sidecar has just left are about to get
// their answer from the operator's own dialplan.
func (a *App) letAnswersPass() {
	end := time.NewTimer(answersPass)
	defer end.Stop()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for a.proxy.Stats().Pending > 0 {
		select {
		case <-again.C:
		case <-end.C:
			return
		case <-a.now:
			return
		}
	}
}
