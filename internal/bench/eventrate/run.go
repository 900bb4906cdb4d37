package eventrate

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	// commandTime bounds one api command.
	commandTime = 30 * time.Second
	// stillTime is how long no event may come before the rest counts as lost.
	stillTime = 5 * time.Second
)

// The clients that are compared.
const (
	Ours   = "esl.Conn"
	Theirs = "eslgo.Conn"
)

// Round is one client's way through one load.
type Round struct {
	Client       string
	User, System time.Duration // processor time of this process
	Events       int64         // delivered
	Lost         int64         // sent and not delivered
	Disorder     int           // delivered behind a later event of the same channel; -1 = the consumer read too little to tell
	Replies      int64         // answered
	WrongReplies int64         // answered with what another caller had asked for
	NoReplies    int64         // not answered
	ValueBytes   int64         // of all values that the consumer read
	Garbage      uint64        // bytes allocated
}

// CPU is the processor time.
func (r Round) CPU() time.Duration { return r.User + r.System }

// Rate is the events delivered in one second of processor time.
func (r Round) Rate() float64 { return float64(r.Events) / r.CPU().Seconds() }

// Run takes one client through the load that is fed at addr, with as many callers of api commands at the same time.
func Run(ctx context.Context, client, addr string, load Load, callers int, consumer Consumer) (Round, error) {
	c, err := dial(ctx, client, addr, load.JSON)
	if err != nil {
		return Round{}, fmt.Errorf("%s connects: %w", client, err)
	}
	defer c.close()
	t := newTaken(load.Events)
	round := Round{Client: client, Disorder: -1}
	runtime.GC() // of the round before
	var memory, after runtime.MemStats
	runtime.ReadMemStats(&memory)
	before, err := usage()
	if err != nil {
		return Round{}, err
	}
	if err := c.begin(ctx, consumer, t); err != nil {
		return Round{}, fmt.Errorf("%s subscribes: %w", client, err)
	}
	var tally tally
	tally.ask(ctx, c, callers, load.Replies())
	err = await(ctx, t)
	used, usageErr := usage()
	runtime.ReadMemStats(&after)
	if err := errors.Join(err, usageErr); err != nil {
		return Round{}, err
	}
	round.User, round.System = used.user-before.user, used.system-before.system
	round.Garbage = after.TotalAlloc - memory.TotalAlloc
	round.Events, round.ValueBytes = t.n.Load(), t.bytes.Load()
	round.Lost = int64(load.Events) - round.Events
	round.Replies, round.WrongReplies, round.NoReplies = tally.right.Load()+tally.wrong.Load(), tally.wrong.Load(), tally.none.Load()
	if len(consumer.Fields) > 0 {
		round.Disorder = t.disorder()
	}
	return round, nil
}

func dial(ctx context.Context, client, addr string, json bool) (client, error) {
	switch client {
	case Ours:
		return dialOurs(ctx, addr, json)
	case Theirs:
		return dialTheirs(addr)
	}
	return nil, fmt.Errorf("no client is called %q", client)
}

// tally counts replies.
type tally struct{ next, right, wrong, none atomic.Int64 }

// ask has callers send n commands in all, each with a text of its own, and waits for their answers.
func (t *tally) ask(ctx context.Context, c client, callers, n int) {
	var asking sync.WaitGroup
	for caller := range callers {
		asking.Go(func() {
			for {
				i := t.next.Add(1)
				if i > int64(n) {
					return
				}
				text := fmt.Sprintf("caller-%d-command-%d", caller, i)
				one, cancel := context.WithTimeout(ctx, commandTime)
				answer, err := c.echo(one, text)
				cancel()
				switch {
				case err != nil:
					t.none.Add(1)
				case answer != text:
					t.wrong.Add(1)
				default:
					t.right.Add(1)
				}
			}
		})
	}
	asking.Wait()
}

// await waits until all events are taken, or none comes any more.
func await(ctx context.Context, t *taken) error {
	for {
		before := t.n.Load()
		select {
		case <-t.all:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(stillTime):
			if t.n.Load() == before {
				return nil
			}
		}
	}
}

type cpu struct{ user, system time.Duration }

// usage is the processor time of this process so far.
func usage() (cpu, error) {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return cpu{}, fmt.Errorf("reading the processor time: %w", err)
	}
	return cpu{time.Duration(u.Utime.Nano()), time.Duration(u.Stime.Nano())}, nil
}
