package esl

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/signalbox/signalbox/esl/esltest"
)

// TestManyCallsOverTCP: real sockets, many calls at one time, each with commands from
// several goroutines and completions that arrive in another order.
func TestManyCallsOverTCP(t *testing.T) {
	const calls, each = 40, 8
	var fine atomic.Int64
	srv, err := NewServer(ServerOptions{Addr: "127.0.0.1:0", Handler: func(ctx context.Context, s *Session) {
		if err := s.Linger(ctx, time.Second); err != nil {
			t.Error(err)
			return
		}
		var wg sync.WaitGroup
		for i := range each {
			wg.Go(func() {
				arg := fmt.Sprint(s.UUID(), " ", i)
				e, err := s.Execute(ctx, "log", arg)
				if err != nil || e.Get("Application-Data") != arg {
					t.Errorf("%v, %v", e, err)
					return
				}
				if out, err := s.API(ctx, arg); err != nil || out != arg {
					t.Errorf("%q, %v", out, err)
					return
				}
				fine.Add(1)
			})
		}
		wg.Wait()
		if err := s.Exit(ctx); err != nil {
			t.Error(err)
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	over := make(chan error, 1)
	go func() { over <- srv.Run(ctx) }()
	var wg sync.WaitGroup
	for i := range calls {
		wg.Go(func() {
			nc, err := net.Dial("tcp", srv.Addr().String())
			if err != nil {
				t.Error(err)
				return
			}
			if err := oneCall(esltest.NewFar(nc), fmt.Sprintf("call-%d", i), each); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if err := srv.Shutdown(ctx); err != nil {
		t.Error(err)
	}
	if err := <-over; err != nil {
		t.Error(err)
	}
	if got := fine.Load(); got != calls*each {
		t.Errorf("%d commands done, want %d", got, calls*each)
	}
	if got := srv.Stats(); got != (ServerStats{Accepted: calls, Drained: got.Drained}) {
		t.Errorf("%+v", got)
	}
}

// oneCall is FreeSWITCH with one call; it completes the applications last first.
func oneCall(far *esltest.Far, uuid string, each int) error {
	defer func() { _ = far.Close() }()
	if _, err := far.Expect("connect"); err != nil {
		return err
	}
	if err := far.Connect(field("Event-Name", "CHANNEL_DATA"), field("Unique-ID", uuid)); err != nil {
		return err
	}
	var pending [][2]string
	for {
		c, err := far.Command()
		if err != nil {
			return err
		}
		switch c.Verb() {
		case "api":
			err = far.API(c.Args())
		case "exit":
			if err = far.Reply("+OK bye"); err == nil {
				err = far.Disconnect(uuid)
			}
			return err
		case "sendmsg":
			pending = append(pending, [2]string{c.Get("Event-UUID"), c.Get("execute-app-arg")})
			err = far.Reply("+OK")
			for i := len(pending) - 1; len(pending) == each && i >= 0 && err == nil; i-- {
				err = far.Event(field("Event-Name", "CHANNEL_EXECUTE_COMPLETE"),
					field("Application-UUID", pending[i][0]), field("Application-Data", pending[i][1]))
			}
		default:
			err = far.Reply("+OK")
		}
		if err != nil {
			return err
		}
	}
}

// TestCommandsThatTheSystemDoesNotTakeAtOnce: while the far end does not read, the system's buffers are full after some commands and
// the rest of one is left over. A caller may leave meanwhile, and when the far end reads again everybody gets the answer to
// their own command.
func TestCommandsThatTheSystemDoesNotTakeAtOnce(t *testing.T) {
	const callers, size = 20, 40_000
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer func() { _ = l.Close() }()
	read, over := make(chan struct{}), make(chan error, 1)
	go func() {
		nc, err := l.Accept()
		if err != nil {
			over <- err
			return
		}
		_ = nc.(*net.TCPConn).SetReadBuffer(64 << 10)
		far, commands := esltest.NewFar(nc), bufio.NewReader(nc)
		<-read
		for {
			line, err := commands.ReadString('\n')
			if err != nil {
				over <- nil
				return
			}
			words := strings.Fields(line)
			if len(words) == 0 {
				continue // the end of a command
			}
			if err := far.API(words[1]); err != nil {
				over <- err
				return
			}
		}
	}()
	nc, err := net.Dial("tcp", l.Addr().String())
	must(t, err)
	must(t, nc.(*net.TCPConn).SetWriteBuffer(64<<10))
	c := newConn(nc, ConnOptions{}, hooks{})
	defer func() { _ = c.Close() }()
	var asking sync.WaitGroup
	for i := range callers {
		asking.Go(func() {
			name := fmt.Sprintf("caller-%d", i)
			if got, err := c.API(t.Context(), name+" "+strings.Repeat("x", size)); err != nil || got != name {
				t.Errorf("%s got %q, %v", name, got, err)
			}
		})
	}
	for !c.stuck() {
		runtime.Gosched()
	}
	hurried, cancel := context.WithCancel(t.Context())
	leaving := make(chan error, 1)
	go func() {
		_, err := c.API(hurried, "hurried")
		leaving <- err
	}()
	cancel()
	if err := <-leaving; !errors.Is(err, context.Canceled) {
		t.Errorf("a caller who left got %v", err)
	}
	close(read)
	asking.Wait()
	must(t, c.Close())
	must(t, <-over)
}

// stuck tells whether a command is being written that the system did not take at once, and others wait.
func (c *Conn) stuck() bool { return len(c.pen) > 0 && len(c.queue) > 5 }
