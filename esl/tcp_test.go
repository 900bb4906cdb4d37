package esl

import (
	"context"
	"fmt"
	"net"
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
	if got := srv.Stats(); got != (ServerStats{Accepted: calls}) {
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
