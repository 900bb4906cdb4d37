package export

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"sync"
	"time"

	"go.uber.org/zap"
)

const (
	// window is how many records are under way at once: with a receiver 100 ms away that makes 160 records a second.
	window = 16
	// The pause after a round in which something failed doubles from backoffMin to backoffMax, less a random half.
	backoffMin = time.Second
	backoffMax = time.Minute
	// overtaken is how often a record may fail while others pass it before it counts as refused: then it is not the receiver who
	// is out of order.
	overtaken = 10
)

// flight is a record of the window.
type flight struct {
	entry
	settled bool
	failed  int  // how often
	passed  bool // others were settled after it had failed
}

// send is the loop that posts what the spool has. It ends when ctx has ended and either nothing waits or lastPosts are over.
func (x *Exporter) send(ctx context.Context, written <-chan struct{}) {
	posting, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(x.lastPosts, stop) })()
	var flights []*flight
	failures := 0
	for {
		flights = x.fill(flights)
		if len(flights) == 0 {
			select {
			case <-x.spool.more:
			case <-written:
				if flights = x.fill(nil); len(flights) == 0 {
					return
				}
			case <-posting.Done():
				return
			}
			if len(flights) == 0 {
				continue
			}
		}
		r := x.round(posting, flights)
		flights = x.settle(flights)
		if posting.Err() != nil {
			return
		}
		if r.settled > 0 {
			failures = 0
		}
		if r.failed == 0 {
			continue
		}
		if ctx.Err() != nil && r.settled == 0 {
			return // the receiver does not take them now: they wait for the next start
		}
		pause := x.backoffMin / 10 // it takes some
		if r.settled == 0 {
			failures++
			pause = max(r.after, x.backoff(failures, rand.Float64()))
			x.log.Warn("call records are not taken, trying again", zap.Int("rounds", failures), zap.Duration("again_in", pause), zap.Error(r.err))
		}
		wait := time.NewTimer(max(pause, r.after))
		select {
		case <-wait.C:
		case <-ctx.Done():
		}
		wait.Stop()
	}
}

// backoff is the pause after so many failed rounds; random is in [0, 1).
func (x *Exporter) backoff(failures int, random float64) time.Duration {
	d := x.backoffMin
	for ; failures > 1 && d < backoffMax; failures-- {
		d *= 2
	}
	d = min(d, backoffMax)
	return d/2 + time.Duration(random*float64(d/2))
}

// fill adds what waits behind the flights, up to window.
func (x *Exporter) fill(flights []*flight) []*flight {
	entries, err := x.spool.read(window)
	if err != nil {
		x.log.Error("the spool of call records cannot be read", zap.Error(err))
		return flights
	}
	for i, e := range entries {
		if i >= len(flights) {
			flights = append(flights, &flight{entry: e})
		}
	}
	return flights
}

// outcome is what a round did.
type outcome struct {
	settled, failed int
	after           time.Duration // the longest pause that the receiver asks for
	err             error         // of one that failed
}

// round posts every flight that is not settled, all at once.
func (x *Exporter) round(ctx context.Context, flights []*flight) outcome {
	var all sync.WaitGroup
	var mu sync.Mutex
	var r outcome
	p := x.poster.Load()
	for _, f := range flights {
		if f.settled {
			continue
		}
		all.Go(func() {
			err := x.one(ctx, p, f)
			mu.Lock()
			defer mu.Unlock()
			var later *notNow
			switch {
			case err == nil:
				r.settled++
				return
			case ctx.Err() != nil: // we are stopping; that is nobody's failure
				return
			case errors.As(err, &later):
				r.after = max(r.after, later.after)
			}
			f.failed++
			r.failed++
			r.err = err
		})
	}
	all.Wait()
	for _, f := range flights {
		f.passed = f.passed || !f.settled && f.failed > 0 && r.settled > 0
		if !f.settled && f.passed && f.failed >= overtaken {
			x.setAside(f, &refused{answer: "it failed again and again while others were taken"})
		}
	}
	return r
}

// one posts a record and settles it when it is delivered or refused; the error says that it should be tried again.
func (x *Exporter) one(ctx context.Context, p *poster, f *flight) (err error) {
	defer func() {
		if v := recover(); v != nil { // one record shall not end the process and with it every call
			x.log.Error("panic while posting a call record", zap.String("record", f.id), zap.Any("panic", v), zap.ByteString("stack", debug.Stack()))
			err = fmt.Errorf("panic while posting: %v", v)
		}
	}()
	began := time.Now()
	err = p.post(ctx, f.entry)
	result := "delivered"
	var no *refused
	switch {
	case err == nil:
		f.settled = true
		x.counts.delivered.Add(1)
	case errors.As(err, &no):
		result = "refused"
		x.setAside(f, no)
		err = nil
	default:
		result = "failed"
		x.counts.failed.Add(1)
	}
	if x.options.Posted != nil {
		x.options.Posted(result, time.Since(began))
	}
	return err
}

// setAside puts a record that the receiver will never take where people look.
func (x *Exporter) setAside(f *flight, why *refused) {
	f.settled = true
	x.counts.refused.Add(1)
	err := x.dead.add(deadLetter{Refused: Time{time.Now()}, Status: why.status, Answer: why.answer, Record: f.line})
	if err != nil {
		x.counts.dropped.Add(1)
		x.log.Error("call record refused and not kept; it is in the store", zap.String("record", f.id), zap.Int("status", why.status), zap.Error(err))
		return
	}
	x.log.Error("call record refused by the receiver and set aside", zap.String("record", f.id), zap.Int("status", why.status),
		zap.String("answer", why.answer), zap.String("file", x.dead.path))
}

// settle acknowledges the flights up to the first that is not settled, and returns the others.
func (x *Exporter) settle(flights []*flight) []*flight {
	n, size := 0, int64(0)
	for n < len(flights) && flights[n].settled {
		size += int64(len(flights[n].line)) + 1
		n++
	}
	if n == 0 {
		return flights
	}
	if err := x.spool.acknowledge(flights[n-1].next, int64(n), size); err != nil {
		x.log.Error("the spool's position is not written: after a restart delivered records are posted again", zap.Error(err))
	}
	return flights[n:]
}
