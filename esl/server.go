package esl

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
)

// Defaults of a Server.
const (
	DefaultServerAddr     = "127.0.0.1:8084"
	DefaultMaxSessions    = 2000
	DefaultConnectTimeout = 2 * time.Second
	DefaultDrainTimeout   = 30 * time.Second
	handlerGrace          = 5 * time.Second // behind the drain, for handlers whose context is cancelled
	sessionEventQueue     = 256
	acceptTurn            = time.Second // how often the accept loop looks up; see Alive
)

// ServerOptions configure a Server; zero values mean the defaults.
type ServerOptions struct {
	// Listener to accept from; the server closes it. Without one it
	// listens on Addr, default 127.0.0.1:8084.
	Listener net.Listener
	Addr     string
	// Allow lists the addresses a FreeSWITCH may come from. Nothing else
	// authenticates an outbound connection. Default: loopback only.
	Allow []netip.Prefix
	// MaxSessions bounds the calls at one time, default 2,000. A connection
	// beyond is closed at once, and FreeSWITCH goes on with the dialplan.
	MaxSessions int
	// ConnectTimeout bounds the wait for the answer to connect, default 2 s.
	ConnectTimeout time.Duration
	// DrainTimeout is what Run and Shutdown leave running sessions to finish,
	// default 30 s. Then, or at EndNow, their contexts are cancelled and their
	// connections closed. A handler that has nothing left to do for its call
	// returns earlier when it looks at Session.Draining.
	DrainTimeout time.Duration
	// Handler drives one call. When it returns, or panics, the connection is
	// closed and FreeSWITCH goes on with the dialplan. ctx ends with the
	// connection, the drain time, or the return; write what must be written
	// under context.WithoutCancel.
	Handler func(ctx context.Context, s *Session)
	// Opened, when set, is told how long the beginning of each session took, as soon as its
	// first command is on the wire. It must not block.
	Opened func(Opening)
	// Conn bounds each connection. Its EventQueue defaults to 256 events here.
	Conn ConnOptions
	// Logger, nil is none.
	Logger *zap.Logger
}

// ServerStats counts since the start.
type ServerStats struct {
	Accepted   uint64 // connections taken
	Refused    uint64 // closed because their address is not allowed
	Full       uint64 // closed because MaxSessions were running
	CallerGone uint64 // no answer to connect
	Panics     uint64 // handlers that panicked
	Active     int64  // connections now
	Drained    int64  // connections when the drain began; 0 = it has not
}

// Server takes the outbound connections of FreeSWITCH's socket application. It
// owns one goroutine for each connection, and Run waits for them.
type Server struct {
	opt      ServerOptions
	log      *zap.Logger
	listener net.Listener
	slots    chan struct{}
	wg       sync.WaitGroup
	stop     chan struct{} // closed by Shutdown
	stopOnce sync.Once
	draining chan struct{} // closed when no call is taken any more
	now      chan struct{} // closed by EndNow
	nowOnce  sync.Once
	stopped  chan struct{} // closed when Run is over

	accepted, refused, full, gone, panics atomic.Uint64
	active, drained                       atomic.Int64
	running                               atomic.Bool
	began                                 time.Time
	turned                                atomic.Int64 // when the accept loop turned last, in nanoseconds since began; 0 = it does not run
}

// NewServer opens the listener. FreeSWITCH is answered only once Run runs.
func NewServer(opt ServerOptions) (*Server, error) {
	if opt.Handler == nil {
		return nil, errors.New("event socket server without a Handler")
	}
	if opt.MaxSessions <= 0 {
		opt.MaxSessions = DefaultMaxSessions
	}
	if opt.ConnectTimeout <= 0 {
		opt.ConnectTimeout = DefaultConnectTimeout
	}
	if opt.DrainTimeout <= 0 {
		opt.DrainTimeout = DefaultDrainTimeout
	}
	if opt.Conn.EventQueue <= 0 {
		opt.Conn.EventQueue = sessionEventQueue
	}
	if opt.Logger == nil {
		opt.Logger = zap.NewNop()
	}
	if opt.Conn.Logger == nil {
		opt.Conn.Logger = opt.Logger
	}
	if len(opt.Allow) == 0 {
		opt.Allow = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}
	}
	if opt.Addr == "" {
		opt.Addr = DefaultServerAddr
	}
	if opt.Listener == nil {
		l, err := net.Listen("tcp", opt.Addr)
		if err != nil {
			return nil, fmt.Errorf("listening for freeswitch's socket application: %w", err)
		}
		opt.Listener = l
	}
	return &Server{
		opt: opt, log: opt.Logger, listener: opt.Listener, began: time.Now(),
		slots: make(chan struct{}, opt.MaxSessions),
		stop:  make(chan struct{}), stopped: make(chan struct{}), draining: make(chan struct{}), now: make(chan struct{}),
	}, nil
}

// Addr is where the server listens.
func (s *Server) Addr() net.Addr { return s.listener.Addr() }

// Stats gives the counters.
func (s *Server) Stats() ServerStats {
	return ServerStats{
		Accepted: s.accepted.Load(), Refused: s.refused.Load(), Full: s.full.Load(),
		CallerGone: s.gone.Load(), Panics: s.panics.Load(), Active: s.active.Load(), Drained: s.drained.Load(),
	}
}

// Alive reports whether the loop that accepts connections still turns, which it does at least once a second. It is nil before
// Run, and when Run no longer accepts.
func (s *Server) Alive() error {
	turned := s.turned.Load()
	if turned == 0 {
		return nil
	}
	if silent := time.Since(s.began) - time.Duration(turned); silent > 3*acceptTurn {
		return fmt.Errorf("the event socket server has accepted nothing and not even tried for %s", silent.Round(time.Millisecond))
	}
	return nil
}

// Run accepts and serves until ctx ends or Shutdown is called. Then it closes
// the listener first, so that FreeSWITCH takes new calls to the dialplan's fallback
// at once, leaves the running sessions DrainTimeout to finish, and ends the rest. It
// returns nil after a drain, ErrHandlersStuck when a handler ignores its context
// for 5 s, or why accepting failed.
func (s *Server) Run(ctx context.Context) error {
	if !s.running.CompareAndSwap(false, true) {
		return errors.New("event socket server is running already")
	}
	defer close(s.stopped)
	sessions, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	s.wg.Add(1)
	accepting := make(chan error, 1)
	go func() {
		defer s.wg.Done()
		accepting <- s.accept(sessions)
	}()
	var err error
	select {
	case <-ctx.Done():
	case <-s.stop:
	case err = <-accepting:
	}
	_ = s.listener.Close()
	s.drained.Store(s.active.Load())
	close(s.draining)
	return errors.Join(err, s.drain(cancel))
}

// EndNow ends the drain, or the one that is to come, at once: sessions that still run are closed.
func (s *Server) EndNow() { s.nowOnce.Do(func() { close(s.now) }) }

// Shutdown makes Run drain and waits for it, at most until ctx ends.
func (s *Server) Shutdown(ctx context.Context) error {
	s.stopOnce.Do(func() { close(s.stop) })
	if !s.running.Load() {
		_ = s.listener.Close()
		return nil
	}
	select {
	case <-s.stopped:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// drain waits for the sessions: first undisturbed, then cancelled.
func (s *Server) drain(cancel context.CancelFunc) error {
	idle := make(chan struct{})
	go func() { // ends with the last handler; see ErrHandlersStuck
		s.wg.Wait()
		close(idle)
	}()
	timer := time.NewTimer(s.opt.DrainTimeout)
	defer timer.Stop()
	select {
	case <-idle:
		return nil
	case <-timer.C:
	case <-s.now:
	}
	s.log.Warn("sessions did not finish while draining, ending them", zap.Int64("sessions", s.active.Load()))
	cancel()
	timer.Reset(handlerGrace)
	select {
	case <-idle:
		return nil
	case <-timer.C:
		return fmt.Errorf("%w: %d still run", ErrHandlersStuck, s.active.Load())
	}
}

// accept takes connections until the listener is closed. When the process has
// no descriptors left it waits and goes on.
func (s *Server) accept(sessions context.Context) error {
	defer s.turned.Store(0)
	limited, _ := s.listener.(interface{ SetDeadline(time.Time) error })
	for wait := time.Duration(0); ; {
		if limited != nil {
			s.turned.Store(int64(time.Since(s.began)) + 1)
			_ = limited.SetDeadline(time.Now().Add(acceptTurn))
		}
		nc, err := s.listener.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			return nil
		case errors.Is(err, os.ErrDeadlineExceeded):
			continue
		case err != nil:
			wait = min(max(2*wait, 5*time.Millisecond), time.Second)
			s.log.Warn("accepting from freeswitch", zap.Error(err), zap.Duration("again_in", wait))
			select {
			case <-time.After(wait):
				continue
			case <-s.stop:
				return nil
			case <-sessions.Done():
				return nil
			}
		}
		wait = 0
		s.take(sessions, nc)
	}
}

// take admits one connection or closes it.
func (s *Server) take(sessions context.Context, nc net.Conn) {
	taken := time.Now()
	if !allowed(s.opt.Allow, nc.RemoteAddr()) {
		s.refused.Add(1)
		_ = nc.Close()
		s.log.Warn("event socket connection from an address that is not a configured node", zap.Stringer("addr", nc.RemoteAddr()))
		return
	}
	select {
	case s.slots <- struct{}{}:
	default:
		s.full.Add(1)
		_ = nc.Close()
		s.log.Warn("too many calls at one time, leaving this one to the dialplan", zap.Int("max_sessions", s.opt.MaxSessions))
		return
	}
	s.accepted.Add(1)
	s.active.Add(1)
	s.wg.Add(1)
	go func() {
		defer s.wg.Done()
		defer func() { <-s.slots }()
		defer s.active.Add(-1)
		s.serve(sessions, nc, taken)
	}()
}

// serve runs one connection from connect to close.
func (s *Server) serve(sessions context.Context, nc net.Conn, taken time.Time) {
	session, err := openSession(sessions, nc, s.opt.Conn, begun{at: taken, timeout: s.opt.ConnectTimeout, opened: s.opt.Opened})
	if err != nil {
		s.gone.Add(1)
		s.log.Info("event socket connection without a call", zap.Error(err))
		return
	}
	defer func() { _ = session.Close() }()
	session.draining = s.draining
	ctx, cancel := context.WithCancelCause(sessions)
	defer cancel(nil)
	returned, watched := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(watched)
		select {
		case <-session.Done():
			cancel(session.Err())
		case <-sessions.Done(): // the drain time is over
			session.fail(ErrClosed)
		case <-returned:
		}
	}()
	s.handle(ctx, session)
	close(returned)
	<-watched
}

// handle runs the handler and catches its panic.
func (s *Server) handle(ctx context.Context, session *Session) {
	defer func() {
		if p := recover(); p != nil {
			s.panics.Add(1)
			s.log.Error("handler panicked, the call goes on in the dialplan",
				zap.String("uuid", session.UUID()), zap.Any("panic", p), zap.ByteString("stack", debug.Stack()))
		}
	}()
	s.opt.Handler(ctx, session)
}

// allowed tells whether addr is inside one of the prefixes. An IPv4 address that
// comes as IPv6 counts as IPv4.
func allowed(prefixes []netip.Prefix, addr net.Addr) bool {
	ap, err := netip.ParseAddrPort(addr.String())
	if err != nil {
		return false
	}
	ip := ap.Addr().Unmap().WithZone("")
	for _, p := range prefixes {
		if p.Contains(ip) {
			return true
		}
	}
	return false
}
