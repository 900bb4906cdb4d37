package esl

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"go.uber.org/zap"

	"github.com/signalbox/signalbox/esl/wire"
)

// Defaults of a Link.
const (
	DefaultProbeAfter    = 8 * time.Second
	DefaultProbeTimeout  = 4 * time.Second
	DefaultAttachTimeout = 15 * time.Second
	DefaultLookAgain     = 250 * time.Millisecond
	DefaultBackoffMin    = 250 * time.Millisecond
	DefaultBackoffMax    = 10 * time.Second
	linkEventQueue       = 8192
)

// LinkOptions configure a Link; zero values mean the defaults.
type LinkOptions struct {
	// Node names the FreeSWITCH in logs.
	Node string
	// Dial says where it is and who we are. Its EventQueue defaults to 8,192
	// events here and its Overflow is always OverflowClose: losing an event means
	// looking again.
	Dial DialOptions
	// Subscribe lists the events wanted, subclasses with their "::". HEARTBEAT and
	// BACKGROUND_JOB are always added.
	Subscribe []string
	// Filter, when there is any, lets only those of the events in Subscribe through that have one of these headers with this
	// value: as FreeSWITCH reads it, without regard to case, or "/REGEX/". FreeSWITCH writes 5 to 12 kB for each event of a channel,
	// and has those of every call.
	Filter []wire.Field
	// OnEvent takes each event in order of arrival, on Run's goroutine, never at
	// the same time as OnAttach. While it works, events wait in the queue.
	OnEvent func(*wire.Event)
	// OnAttach looks at FreeSWITCH after each (re)connect, when the subscriptions
	// stand and before the first event is handed to OnEvent, so that nothing is
	// missed between the two. Returning an error that wraps ErrIncomplete means
	// "let me look again": it is called again after LookAgain, until
	// AttachTimeout. Any other error closes the connection.
	OnAttach func(ctx context.Context, c *Conn) error
	// OnRestart is called before OnAttach when the Core-UUID is another than at the
	// last connection: FreeSWITCH was restarted, and its calls are gone.
	OnRestart func(old, now string)
	// OnDown is called when a connection that was up has ended, with the reason.
	OnDown func(error)
	// ProbeAfter is how long nothing may have come before FreeSWITCH is asked for a word,
	// default 8 s, and ProbeTimeout how long it may take to answer, default 4 s. A
	// half-open connection, and a frozen FreeSWITCH, are noticed within their sum; the
	// connection is closed with ErrTimeout.
	ProbeAfter, ProbeTimeout time.Duration
	// AttachTimeout bounds OnAttach with its repetitions, default 15 s.
	AttachTimeout time.Duration
	// LookAgain is the pause between two looks, default 250 ms.
	LookAgain time.Duration
	// BackoffMin and BackoffMax bound the pause before connecting again, 250 ms
	// and 10 s. It doubles with each failure and each pause is a random part, between half and
	// the whole, of it.
	BackoffMin, BackoffMax time.Duration
	// Logger, nil is none.
	Logger *zap.Logger
}

// Link keeps one inbound connection to a FreeSWITCH up: it connects, logs in,
// subscribes, looks until what it sees is complete, hands out events, asks for a
// word where it hears none, and starts again when the connection ends. It never hangs up a call.
// Many use it at once, so a caller whose deadline passes leaves like one whose context is cancelled.
type Link struct {
	opt      LinkOptions
	log      *zap.Logger
	attempts atomic.Uint64
	connects atomic.Uint64
	events   atomic.Uint64
	lost     atomic.Uint64 // by connections that have ended
	lag      atomic.Int64  // of the last event, nanoseconds
	running  atomic.Bool
	refused  atomic.Bool

	mu   sync.Mutex
	conn *Conn // nil while down
	core string
}

// NewLink makes a Link; Run brings it up.
func NewLink(opt LinkOptions) *Link {
	setDefault(&opt.ProbeAfter, DefaultProbeAfter)
	setDefault(&opt.ProbeTimeout, DefaultProbeTimeout)
	setDefault(&opt.AttachTimeout, DefaultAttachTimeout)
	setDefault(&opt.LookAgain, DefaultLookAgain)
	setDefault(&opt.BackoffMin, DefaultBackoffMin)
	setDefault(&opt.BackoffMax, DefaultBackoffMax)
	if opt.Dial.EventQueue <= 0 {
		opt.Dial.EventQueue = linkEventQueue
	}
	opt.Dial.Overflow, opt.Dial.shared = OverflowClose, true
	if opt.Logger == nil {
		opt.Logger = zap.NewNop()
	}
	log := opt.Logger.With(zap.String("node", opt.Node))
	if opt.Dial.Logger == nil {
		opt.Dial.Logger = log
	}
	return &Link{opt: opt, log: log}
}

func setDefault(d *time.Duration, value time.Duration) {
	if *d <= 0 {
		*d = value
	}
}

// Up tells whether the link is attached: connected, subscribed, and OnAttach done.
func (l *Link) Up() bool { return l.Conn() != nil }

// Conn is the connection while the link is up, else nil.
func (l *Link) Conn() *Conn {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.conn
}

// CoreUUID is the Core-UUID of the FreeSWITCH last connected to, "" before.
func (l *Link) CoreUUID() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.core
}

// Attempts counts the connections tried.
func (l *Link) Attempts() uint64 { return l.attempts.Load() }

// LinkStats is a snapshot of what a Link has seen since it was made.
type LinkStats struct {
	Up       bool
	Refused  bool          // nobody listens there: the last connection that was tried was refused
	Attempts uint64        // connections tried
	Connects uint64        // connections that were attached
	Events   uint64        // events handed out
	Lost     uint64        // events that found no room in the queue; the link looks again after such a loss
	Idle     time.Duration // since anything came; 0 while the link is down
	// Lag is how old the last event was when it was handed out, by FreeSWITCH's own clock; never below 0.
	Lag time.Duration
}

// Stats gives the counts.
func (l *Link) Stats() LinkStats {
	s := LinkStats{
		Attempts: l.attempts.Load(), Connects: l.connects.Load(), Events: l.events.Load(), Lost: l.lost.Load(), Lag: time.Duration(l.lag.Load()),
		Refused: l.refused.Load(),
	}
	if c := l.Conn(); c != nil {
		s.Up, s.Idle = true, c.Idle()
		s.Lost += c.Dropped()
	}
	return s
}

// seen counts an event.
func (l *Link) seen(e *wire.Event) {
	l.events.Add(1)
	if at := e.Time(); !at.IsZero() {
		l.lag.Store(int64(max(0, time.Since(at))))
	}
}

// API is Conn.API, or ErrDown.
func (l *Link) API(ctx context.Context, command string) (string, error) {
	c := l.Conn()
	if c == nil {
		return "", ErrDown
	}
	return c.API(ctx, command)
}

// BgAPI is Conn.BgAPI, or ErrDown.
func (l *Link) BgAPI(ctx context.Context, command string) (string, error) {
	c := l.Conn()
	if c == nil {
		return "", ErrDown
	}
	return c.BgAPI(ctx, command)
}

// Send is Conn.Send, or ErrDown.
func (l *Link) Send(ctx context.Context, cmd Command) (Reply, error) {
	c := l.Conn()
	if c == nil {
		return Reply{}, ErrDown
	}
	return c.Send(ctx, cmd)
}

// Run keeps the link up until ctx ends, and then returns nil. Failures are logged
// and tried again for ever; a wrong password too, because a password may be put right
// on the other side.
func (l *Link) Run(ctx context.Context) error {
	if !l.running.CompareAndSwap(false, true) {
		return errors.New("event socket link is running already")
	}
	defer l.running.Store(false)
	for failures := 0; ; {
		began := time.Now()
		wasUp, err := l.once(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if wasUp && time.Since(began) > l.opt.BackoffMax {
			failures = 0
		}
		pause := backoff(failures, l.opt.BackoffMin, l.opt.BackoffMax, rand.Float64())
		failures++
		l.log.Warn("event socket link is down", zap.Error(err), zap.Duration("again_in", pause))
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil
		}
	}
}

// backoff is the pause before try n (from 0): a random part, between half and the whole,
// of lowest doubled n times, at most highest. random is in [0, 1).
func backoff(n int, lowest, highest time.Duration, random float64) time.Duration {
	d := lowest
	for ; n > 0 && d < highest; n-- {
		d *= 2
	}
	d = min(d, highest)
	return d/2 + time.Duration(random*float64(d-d/2))
}

// once is one connection from dialling to its end. A callback that panics ends the connection: after the next attach what is
// seen is whole again.
func (l *Link) once(ctx context.Context) (wasUp bool, err error) {
	l.attempts.Add(1)
	defer func() {
		if p := recover(); p != nil {
			l.setConn(nil)
			l.log.Error("panic on an event socket link, connecting again", zap.Any("panic", p), zap.ByteString("stack", debug.Stack()))
			err = ErrFault
		}
	}()
	c, err := Dial(ctx, l.opt.Dial)
	l.refused.Store(errors.Is(err, syscall.ECONNREFUSED))
	if err != nil {
		return false, err
	}
	defer func() { _ = c.Close() }()
	if err := l.attach(ctx, c); err != nil {
		return false, err
	}
	l.connects.Add(1)
	l.setConn(c)
	l.log.Info("event socket link is up", zap.String("core_uuid", l.CoreUUID()))
	err = l.pump(ctx, c)
	l.setConn(nil)
	l.lost.Add(c.Dropped())
	if l.opt.OnDown != nil {
		l.opt.OnDown(err)
	}
	return true, err
}

func (l *Link) setConn(c *Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.conn = c
}

// attach subscribes, learns the Core-UUID, and looks until all is seen.
func (l *Link) attach(ctx context.Context, c *Conn) error {
	ctx, cancel := context.WithTimeout(ctx, l.opt.AttachTimeout)
	defer cancel()
	if err := l.subscribe(ctx, c); err != nil {
		return fmt.Errorf("subscribing: %w", err)
	}
	c.jobsListen.Store(true)
	core, err := c.API(ctx, "global_getvar core_uuid")
	if err != nil {
		return fmt.Errorf("asking for core_uuid: %w", err)
	}
	l.mu.Lock()
	old := l.core
	l.core = core
	l.mu.Unlock()
	if old != "" && old != core {
		l.log.Warn("freeswitch was restarted", zap.String("was", old), zap.String("is", core))
		if l.opt.OnRestart != nil {
			l.opt.OnRestart(old, core)
		}
	}
	if l.opt.OnAttach == nil {
		return nil
	}
	for {
		err := l.opt.OnAttach(ctx, c)
		if !errors.Is(err, ErrIncomplete) {
			if err != nil {
				return fmt.Errorf("looking at freeswitch: %w", err)
			}
			return c.Err()
		}
		select {
		case <-time.After(l.opt.LookAgain):
		case <-c.Done():
			return c.Err()
		case <-ctx.Done():
			return fmt.Errorf("looking at freeswitch: %w", err)
		}
	}
}

// subscribe asks for the events. What a filter would have kept back may come before it stands.
func (l *Link) subscribe(ctx context.Context, c *Conn) error {
	names := append([]string{"HEARTBEAT", "BACKGROUND_JOB"}, l.opt.Subscribe...)
	cmds := []Command{Raw(subscribeLine(c.opt.Format, names))}
	if len(l.opt.Filter) > 0 {
		for _, name := range names[:2] {
			cmds = append(cmds, Raw("filter Event-Name "+name))
		}
	}
	for _, f := range l.opt.Filter {
		cmds = append(cmds, Raw("filter "+f.Name+" "+f.Value))
	}
	replies, err := c.SendAll(ctx, cmds...)
	for _, r := range replies {
		err = cmp.Or(err, r.Err())
	}
	return err
}

// pump hands out the events and watches the connection until it ends. The
// events that had arrived before the end are handed out too.
func (l *Link) pump(ctx context.Context, c *Conn) error {
	ctx, stop := context.WithCancel(ctx)
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		l.watch(ctx, c)
	}()
	defer func() { stop(); <-watched }()
	for {
		select {
		case e, ok := <-c.Events():
			if !ok {
				return c.Err()
			}
			l.seen(e)
			if l.opt.OnEvent != nil {
				l.opt.OnEvent(e)
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// watch asks for a word each time nothing has come for ProbeAfter; no answer closes the connection.
func (l *Link) watch(ctx context.Context, c *Conn) {
	for {
		timer := time.NewTimer(max(l.opt.ProbeAfter-c.Idle(), time.Millisecond))
		select {
		case <-timer.C:
		case <-c.Done():
		case <-ctx.Done():
		}
		timer.Stop()
		if ctx.Err() != nil || c.Err() != nil {
			return
		}
		if c.Idle() >= l.opt.ProbeAfter {
			probe, cancel := context.WithTimeout(ctx, l.opt.ProbeTimeout)
			if _, err := c.API(probe, "global_getvar core_uuid"); errors.Is(err, context.DeadlineExceeded) {
				c.fail(fmt.Errorf("%w: no word for %s", ErrTimeout, c.Idle().Round(time.Millisecond)))
			}
			cancel()
		}
	}
}
