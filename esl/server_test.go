package esl

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/signalbox/signalbox/esl/esltest"
)

// pipeListener accepts connections in memory, for synctest.
type pipeListener struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newPipeListener() *pipeListener {
	return &pipeListener{conns: make(chan net.Conn), closed: make(chan struct{})}
}

// localConn is an in-memory connection that says where it comes from.
type localConn struct{ net.Conn }

func (localConn) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 40000} }

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case nc := <-l.conns:
		return nc, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *pipeListener) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 8084} }

// dial is FreeSWITCH's socket application; false when nobody listens.
func (l *pipeListener) dial() (*esltest.Far, bool) {
	ours, far := esltest.Pipe()
	select {
	case l.conns <- localConn{ours}:
		return far, true
	case <-l.closed:
		return nil, false
	}
}

func connected(t *testing.T, far *esltest.Far) {
	t.Helper()
	_, err := far.Expect("connect")
	must(t, err)
	must(t, far.Connect(field("Event-Name", "CHANNEL_DATA"), field("Unique-ID", callUUID)))
}

// start runs a server and gives a function that stops it and its result.
func start(t *testing.T, opt ServerOptions) (*Server, *pipeListener, context.CancelFunc, <-chan error) {
	t.Helper()
	l := newPipeListener()
	opt.Listener = l
	srv, err := NewServer(opt)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	over := make(chan error, 1)
	go func() { over <- srv.Run(ctx) }()
	return srv, l, cancel, over
}

func TestServerGivesEachCallItsHandlerAndCatchesPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv, l, cancel, over := start(t, ServerOptions{Handler: func(ctx context.Context, s *Session) {
			if _, err := s.API(ctx, "status"); err != nil {
				panic("no status")
			}
		}})
		for _, fine := range []bool{true, false, true} {
			far, _ := l.dial()
			connected(t, far)
			_, err := far.Expect("api status")
			must(t, err)
			if fine {
				must(t, far.API("UP"))
			} else {
				must(t, far.Disconnect(callUUID))
			}
			if _, err := far.Command(); err != io.EOF { // closed: the dialplan goes on
				t.Errorf("after the handler: %v", err)
			}
		}
		cancel()
		must(t, <-over)
		if got := srv.Stats(); got != (ServerStats{Accepted: 3, Panics: 1, Drained: got.Drained}) {
			t.Errorf("%+v", got)
		}
	})
}

func TestUnansweredConnectIsACallerGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv, l, cancel, over := start(t, ServerOptions{Handler: func(context.Context, *Session) { t.Error("handler called") }})
		far, _ := l.dial()
		begin := time.Now()
		_, err := far.Expect("connect")
		must(t, err)
		if _, err := far.Command(); err != io.EOF || time.Since(begin) != 2*time.Second {
			t.Errorf("%v after %s, want the end after 2 s", err, time.Since(begin))
		}
		cancel()
		must(t, <-over)
		if got := srv.Stats(); got.CallerGone != 1 || got.Active != 0 {
			t.Errorf("%+v", got)
		}
	})
}

func TestServerBoundsItsSessions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		srv, l, cancel, over := start(t, ServerOptions{MaxSessions: 1, Handler: func(context.Context, *Session) { <-release }})
		first, _ := l.dial()
		connected(t, first)
		second, _ := l.dial()
		if _, err := second.Command(); err != io.EOF {
			t.Errorf("a call too many: %v, want closed at once", err)
		}
		close(release)
		_, err := first.Command()
		if err != io.EOF {
			t.Error(err)
		}
		synctest.Wait()
		third, _ := l.dial()
		connected(t, third)
		cancel()
		must(t, <-over)
		if got := srv.Stats(); got.Full != 1 || got.Accepted != 2 {
			t.Errorf("%+v", got)
		}
	})
}

// TestShutdownClosesTheListenerFirst: new calls find nobody at once, the running
// one has the drain time, and one that will not end is ended.
func TestShutdownClosesTheListenerFirst(t *testing.T) {
	for _, stubborn := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			cause := make(chan error, 1)
			_, l, cancel, over := start(t, ServerOptions{DrainTimeout: 10 * time.Second, Handler: func(ctx context.Context, s *Session) {
				if stubborn {
					<-ctx.Done()
					cause <- ctx.Err()
					return
				}
				_, err := s.API(ctx, "last words") // answered while draining
				cause <- err
			}})
			far, _ := l.dial()
			connected(t, far)
			begin := time.Now()
			cancel()
			synctest.Wait()
			if _, open := l.dial(); open {
				t.Error("the listener takes calls while draining")
			}
			if !stubborn {
				time.Sleep(3 * time.Second)
				_, err := far.Expect("api last")
				must(t, err)
				must(t, far.API("+OK"))
			}
			if _, err := far.Command(); err != io.EOF {
				t.Error(err)
			}
			must(t, <-over)
			err, took := <-cause, time.Since(begin)
			if stubborn && (!errors.Is(err, context.Canceled) || took != 10*time.Second) {
				t.Errorf("%v after %s", err, took)
			}
			if !stubborn && (err != nil || took != 3*time.Second) {
				t.Errorf("%v after %s", err, took)
			}
		})
	}
}

// A handler is told that the server drains, so that it may leave a call that needs it no more; EndNow closes the others.
func TestDrainIsToldAndEndNowEndsIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		left := make(chan string, 2)
		srv, l, cancel, over := start(t, ServerOptions{DrainTimeout: time.Hour, Handler: func(ctx context.Context, s *Session) {
			select {
			case <-s.Draining():
			default:
				left <- "in service"
			}
			<-s.Draining()
			left <- "draining"
			<-ctx.Done()
		}})
		far, _ := l.dial()
		connected(t, far)
		if got := <-left; got != "in service" {
			t.Errorf("before the stop the handler is %s", got)
		}
		cancel()
		if got := <-left; got != "draining" {
			t.Errorf("after the stop the handler is %s", got)
		}
		begin := time.Now()
		srv.EndNow()
		srv.EndNow()
		if _, err := far.Command(); err != io.EOF {
			t.Error(err)
		}
		must(t, <-over)
		if took := time.Since(begin); took > time.Second {
			t.Errorf("EndNow took %s", took)
		}
	})
}

func TestHandlersContextEndsWithTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cause := make(chan error, 1)
		_, l, cancel, over := start(t, ServerOptions{Handler: func(ctx context.Context, s *Session) {
			<-ctx.Done()
			cause <- context.Cause(ctx)
		}})
		far, _ := l.dial()
		connected(t, far)
		must(t, far.Disconnect(callUUID))
		if err := <-cause; !errors.Is(err, ErrDisconnected) {
			t.Errorf("cause %v", err)
		}
		cancel()
		must(t, <-over)
	})
}

func TestHandlerThatNeverReturnsIsReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		_, l, cancel, over := start(t, ServerOptions{DrainTimeout: time.Second, Handler: func(context.Context, *Session) { <-release }})
		far, _ := l.dial()
		connected(t, far)
		cancel()
		if _, err := far.Command(); err != io.EOF { // FreeSWITCH is released all the same
			t.Error(err)
		}
		if err := <-over; !errors.Is(err, ErrHandlersStuck) {
			t.Errorf("got %v, want ErrHandlersStuck", err)
		}
		close(release)
		synctest.Wait()
	})
}

func TestOnlyConfiguredAddressesMayConnect(t *testing.T) {
	srv, err := NewServer(ServerOptions{Addr: "127.0.0.1:0", Allow: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")},
		Handler: func(context.Context, *Session) { t.Error("handler called") }})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	over := make(chan error, 1)
	go func() { over <- srv.Run(ctx) }()
	nc, err := net.Dial("tcp", srv.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = nc.Close() }()
	if b, err := io.ReadAll(nc); len(b) > 0 {
		t.Errorf("a stranger reads %q, %v", b, err)
	}
	cancel()
	must(t, <-over)
	if got := srv.Stats(); got.Refused != 1 || got.Accepted != 0 {
		t.Errorf("%+v", got)
	}
}

func TestAllowed(t *testing.T) {
	prefixes := []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
	for addr, want := range map[string]bool{
		"127.0.0.1:5": true, "[::ffff:127.0.0.1]:5": true, "[fd00::1]:5": true, "[fd00::1%eth0]:5": true,
		"192.0.2.1:5": false, "[::1]:5": false, "pipe": false,
	} {
		if got := allowed(prefixes, textAddr(addr)); got != want {
			t.Errorf("%s: %v, want %v", addr, got, want)
		}
	}
}

type textAddr string

func (textAddr) Network() string  { return "tcp" }
func (a textAddr) String() string { return string(a) }

func TestShutdownBeforeRunClosesTheListener(t *testing.T) {
	l := newPipeListener()
	srv, err := NewServer(ServerOptions{Listener: l, Handler: func(context.Context, *Session) {}})
	must(t, err)
	must(t, srv.Shutdown(t.Context()))
	if _, open := l.dial(); open {
		t.Error("the listener is open")
	}
	if _, err := NewServer(ServerOptions{Listener: l}); err == nil {
		t.Error("a server without a handler was made")
	}
}

// TestOpeningIsReportedOnce: how long FreeSWITCH took to answer connect, and how long we took to say the first word; a caller
// who was gone before is not reported.
func TestOpeningIsReportedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got []Opening
		_, l, cancel, over := start(t, ServerOptions{
			Opened: func(o Opening) { got = append(got, o) },
			Handler: func(ctx context.Context, s *Session) {
				time.Sleep(3 * time.Millisecond)
				for range 3 {
					if _, err := s.API(ctx, "status"); err != nil {
						t.Error(err)
					}
				}
			},
		})
		far, _ := l.dial()
		time.Sleep(20 * time.Millisecond)
		connected(t, far)
		for range 3 {
			_, err := far.Expect("api status")
			must(t, err)
			must(t, far.API("+OK"))
		}
		gone, _ := l.dial()
		_, err := gone.Expect("connect")
		must(t, err)
		must(t, gone.Close())
		cancel()
		must(t, <-over)
		if want := (Opening{Connect: 20 * time.Millisecond, Command: 3 * time.Millisecond}); len(got) != 1 || got[0] != want {
			t.Errorf("reported %v, want %v once", got, want)
		}
	})
}
