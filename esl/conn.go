package esl

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/google/uuid"
	"go.uber.org/zap"

	"github.com/signalbox/signalbox/esl/wire"
)

// Bounds and defaults of a connection.
const (
	DefaultCommandTimeout = 10 * time.Second // for the answer to one command
	DefaultEventQueue     = 1024             // events
	MaxPending            = 256              // commands waiting to be written
	MaxJobs               = 1024             // background jobs whose result is awaited
	MaxExecutions         = 256              // applications of a session that are not complete
)

// Overflow says what happens when the event queue is full. In both cases the reader
// goes on reading at once.
type Overflow int

const (
	// OverflowDrop drops the newest event and counts it (Conn.Dropped).
	OverflowDrop Overflow = iota
	// OverflowClose closes the connection with ErrEventsLost, so that the
	// owner looks again from the start. A Link uses it.
	OverflowClose
)

// Format is how FreeSWITCH is asked to write events.
type Format int

const (
	Plain Format = iota // text/event-plain, URL-encoded
	JSON                // text/event-json
)

// String gives FreeSWITCH's word for it.
func (f Format) String() string {
	if f == JSON {
		return "json"
	}
	return "plain"
}

// ConnOptions are the bounds of one connection; zero values mean the defaults.
type ConnOptions struct {
	CommandTimeout time.Duration // default 10 s; longer running api commands belong into BgAPI
	EventQueue     int           // events held for Events(), default 1,024
	Overflow       Overflow      // default OverflowDrop
	Format         Format        // of events, default Plain
	Limits         wire.Limits   // of messages, default wire.DefaultLimits
	Logger         *zap.Logger   // nil is none

	shared bool // used by many: the deadline of one does not end it
}

// Conn is one Event Socket connection. See the package comment for how it behaves.
type Conn struct {
	nc     net.Conn
	opt    ConnOptions
	log    *zap.Logger
	hooks  hooks
	raw    syscall.RawConn // nil = not a socket
	pen    pen
	rest   chan []byte // of a command that was begun; who puts it there holds the pen
	queue  chan *request
	events chan *wire.Event
	greet  chan struct{} // closed by auth/request

	done chan struct{}
	wg   sync.WaitGroup

	lastRead   atomic.Int64 // nanoseconds since start, monotonic
	start      time.Time
	dropped    atomic.Uint64
	jobsListen atomic.Bool

	mu       sync.Mutex
	waiting  []*request  // for replies to what is written or being written, oldest first
	alarm    *time.Timer // looks for one that waits too long; nil = none is set
	jobs     map[string]chan *wire.Event
	jobCount atomic.Int32 // len(jobs), for a look without the lock
	err      error
}

// hooks are the calls into a Session. They run on the reader goroutine, unless they say another, and
// must not block.
type hooks struct {
	event  func(*wire.Event)
	linger func()
	end    func(error)
	wrote  func() // after each command, on the goroutine that wrote it
}

// newConn takes over nc and starts the reader and the writer.
func newConn(nc net.Conn, opt ConnOptions, h hooks) *Conn {
	if opt.CommandTimeout <= 0 {
		opt.CommandTimeout = DefaultCommandTimeout
	}
	if opt.EventQueue <= 0 {
		opt.EventQueue = DefaultEventQueue
	}
	if opt.Logger == nil {
		opt.Logger = zap.NewNop()
	}
	c := &Conn{
		nc: nc, opt: opt, log: opt.Logger, hooks: h,
		raw:    rawConn(nc),
		pen:    newPen(),
		rest:   make(chan []byte, 1),
		queue:  make(chan *request, MaxPending),
		events: make(chan *wire.Event, opt.EventQueue),
		greet:  make(chan struct{}),
		done:   make(chan struct{}),
		start:  time.Now(),
		jobs:   make(map[string]chan *wire.Event),
	}
	c.wg.Add(2)
	go c.readLoop()
	go c.writeLoop()
	return c
}

// Events gives the events in the order they arrived. The channel is closed when
// the connection has ended and all its events are taken. It holds
// ConnOptions.EventQueue events; Overflow says what happens beyond.
func (c *Conn) Events() <-chan *wire.Event { return c.events }

// Dropped counts the events shed because the queue was full.
func (c *Conn) Dropped() uint64 { return c.dropped.Load() }

// Done is closed when the connection has ended.
func (c *Conn) Done() <-chan struct{} { return c.done }

// Err tells why the connection ended: nil while it lives, ErrClosed, ErrDisconnected,
// ErrTimeout or another named error.
func (c *Conn) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// Close ends the connection and waits for its goroutines. Closing an outbound
// connection hands the call back to the dialplan. It returns nil always, so
// that it fits io.Closer.
func (c *Conn) Close() error {
	c.fail(ErrClosed)
	c.wg.Wait()
	return nil
}

// RemoteAddr is the address of FreeSWITCH.
func (c *Conn) RemoteAddr() net.Addr { return c.nc.RemoteAddr() }

// Idle tells how long nothing has come from FreeSWITCH.
func (c *Conn) Idle() time.Duration {
	return time.Since(c.start) - time.Duration(c.lastRead.Load())
}

// fail ends the connection; the first reason counts.
func (c *Conn) fail(err error) {
	c.mu.Lock()
	if c.err != nil {
		c.mu.Unlock()
		return
	}
	c.err = err
	close(c.done)
	c.mu.Unlock()
	_ = c.nc.Close() // what it says does not matter any more
}

// API runs "api" with the command, such as "uuid_exists UUID", and gives its
// output without the line ends behind it. Output that begins with -ERR or
// -USAGE is also a *ReplyError. A slow command holds back every event of the
// connection: use BgAPI for it.
func (c *Conn) API(ctx context.Context, command string) (string, error) {
	if err := wire.CheckLine(command); err != nil {
		return "", err
	}
	r, err := c.Send(ctx, Raw("api "+command))
	if err != nil {
		return "", err
	}
	return r.Text, r.Err()
}

// BgAPI runs "bgapi" with a Job-UUID of its own and waits for the
// BACKGROUND_JOB that carries it. It subscribes to BACKGROUND_JOB when needed. The
// result is as from API. Giving up by ctx leaves the job running on FreeSWITCH
// and the connection up; FreeSWITCH's first answer is bounded by CommandTimeout.
func (c *Conn) BgAPI(ctx context.Context, command string) (string, error) {
	if err := wire.CheckLine(command); err != nil {
		return "", err
	}
	if !c.jobsListen.Load() {
		if err := c.Subscribe(ctx, "BACKGROUND_JOB"); err != nil {
			return "", fmt.Errorf("subscribing to the results of bgapi: %w", err)
		}
		c.jobsListen.Store(true)
	}
	id := uuid.NewString()
	result := make(chan *wire.Event, 1)
	if err := c.addJob(id, result); err != nil {
		return "", err
	}
	defer c.removeJob(id)
	r, err := c.Send(ctx, Raw("bgapi "+command+"\nJob-UUID: "+id))
	if err != nil {
		return "", err
	}
	if err := r.Err(); err != nil {
		return r.Text, err
	}
	select {
	case e := <-result:
		return jobResult(r.command, e)
	case <-ctx.Done():
	case <-c.done:
	}
	select {
	case e := <-result:
		return jobResult(r.command, e)
	default:
	}
	if err = c.Err(); err == nil {
		err = ctx.Err()
	}
	return "", fmt.Errorf("waiting for the result of %s: %w", r.command, err)
}

func jobResult(command string, e *wire.Event) (string, error) {
	text := strings.TrimRight(string(e.Body()), "\r\n")
	return text, replyError(command, text)
}

func (c *Conn) addJob(id string, result chan *wire.Event) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.jobs) >= MaxJobs {
		return fmt.Errorf("%w: %d background jobs", ErrTooMany, MaxJobs)
	}
	c.jobs[id] = result
	c.jobCount.Store(int32(len(c.jobs)))
	return nil
}

func (c *Conn) removeJob(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.jobs, id)
	c.jobCount.Store(int32(len(c.jobs)))
}

// Subscribe asks for events by name; a name with "::" is a subclass of CUSTOM.
// Subscriptions add up.
func (c *Conn) Subscribe(ctx context.Context, names ...string) error {
	r, err := c.Send(ctx, Raw(subscribeLine(c.opt.Format, names)))
	if err != nil {
		return err
	}
	return r.Err()
}

// caught ends the connection when its goroutine panics: a fault costs one call, not the process and with it every call.
func (c *Conn) caught() {
	if p := recover(); p != nil {
		c.log.Error("panic on an event socket connection, closing it", zap.Any("panic", p), zap.ByteString("stack", debug.Stack()))
		c.fail(ErrFault)
	}
}

// readLoop is the one reader. It ends the connection with what it saw, stops
// the timers, tells the session, and closes the event queue.
func (c *Conn) readLoop() {
	defer c.wg.Done()
	defer close(c.events)
	defer c.tellEnd()
	defer c.caught()
	r := wire.NewReader(heard{c}, c.opt.Limits)
	for {
		m, err := r.Read()
		if err == nil {
			err = c.dispatch(m)
		} else if errors.Is(err, io.EOF) {
			err = ErrDisconnected
		}
		if err != nil {
			c.fail(err)
			return
		}
	}
}

// tellEnd is the reader's last word.
func (c *Conn) tellEnd() {
	c.mu.Lock()
	if c.alarm != nil {
		c.alarm.Stop()
	}
	c.waiting = nil
	err := c.err
	c.mu.Unlock()
	if c.hooks.end != nil {
		c.hooks.end(err)
	}
}

// heard reads from the connection and notes when something came.
type heard struct{ c *Conn }

func (h heard) Read(b []byte) (int, error) {
	n, err := h.c.nc.Read(b)
	if n > 0 {
		h.c.lastRead.Store(int64(time.Since(h.c.start)))
	}
	return n, err
}

// dispatch hands one message to whom it belongs; an error ends the connection.
func (c *Conn) dispatch(m *wire.Message) error {
	switch m.ContentType() {
	case wire.TypeEventPlain, wire.TypeEventJSON, wire.TypeEventXML:
		e, err := wire.ParseEvent(m)
		if err != nil {
			return err
		}
		return c.deliver(e)
	case wire.TypeCommandReply, wire.TypeAPIResponse:
		return c.answer(m)
	case wire.TypeDisconnectNotice:
		if m.Header.Get("Content-Disposition") == "linger" {
			if c.hooks.linger != nil {
				c.hooks.linger()
			}
			return nil
		}
		return ErrDisconnected
	case wire.TypeAuthRequest:
		select {
		case <-c.greet:
			return fmt.Errorf("%w: a second auth/request", ErrUnexpectedReply)
		default:
			close(c.greet)
		}
		return nil
	case wire.TypeRudeRejection:
		return ErrRejected
	case wire.TypeLogData: // somebody switched logging on; we do not read logs
		return nil
	}
	return fmt.Errorf("%w: %.60q", ErrUnknownType, m.ContentType())
}

// answer hands a reply to whoever has waited longest.
func (c *Conn) answer(m *wire.Message) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.waiting) == 0 {
		return ErrUnexpectedReply
	}
	req := c.waiting[0]
	req.replies = append(req.replies, newReply(req.name(len(req.replies)), m))
	if len(req.replies) == len(req.labels) {
		c.waiting[0] = nil
		c.waiting = c.waiting[1:]
		close(req.answered)
	}
	return nil
}

// deliver takes from an event what is awaited by key, and queues it.
func (c *Conn) deliver(e *wire.Event) error {
	if c.jobCount.Load() > 0 && e.Name() == "BACKGROUND_JOB" {
		c.finishJob(e)
	}
	if c.hooks.event != nil {
		c.hooks.event(e)
	}
	select {
	case c.events <- e:
		return nil
	default:
	}
	if c.opt.Overflow == OverflowClose {
		return fmt.Errorf("%w: %d events wait", ErrEventsLost, cap(c.events))
	}
	if c.dropped.Add(1) == 1 {
		c.log.Warn("event queue full, dropping events; the consumer of this connection is too slow",
			zap.Int("queue", cap(c.events)), zap.String("event", e.Name()))
	}
	return nil
}

func (c *Conn) finishJob(e *wire.Event) {
	id := e.Get("Job-UUID")
	c.mu.Lock()
	result := c.jobs[id]
	delete(c.jobs, id)
	c.jobCount.Store(int32(len(c.jobs)))
	c.mu.Unlock()
	if result != nil {
		result <- e // has room for its one result
	}
}

func itoa(n int) string { return strconv.Itoa(n) }
