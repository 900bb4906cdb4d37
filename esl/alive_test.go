package esl

import (
	"context"
	"net"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// turningListener keeps deadlines as a socket does, until it gets stuck.
type turningListener struct {
	*pipeListener
	mu       sync.Mutex
	deadline time.Time
	stuck    bool
}

func (l *turningListener) SetDeadline(at time.Time) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.deadline = at
	return nil
}

func (l *turningListener) Accept() (net.Conn, error) {
	l.mu.Lock()
	deadline, stuck := l.deadline, l.stuck
	l.mu.Unlock()
	if stuck {
		<-l.closed
	}
	timer := time.NewTimer(time.Until(deadline))
	defer timer.Stop()
	select {
	case nc := <-l.conns:
		return nc, nil
	case <-timer.C:
		return nil, os.ErrDeadlineExceeded
	case <-l.closed:
		return l.pipeListener.Accept()
	}
}

func TestALoopThatDoesNotTurnIsSaid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &turningListener{pipeListener: newPipeListener()}
		srv, err := NewServer(ServerOptions{Listener: l, Handler: func(context.Context, *Session) {}})
		must(t, err)
		if err := srv.Alive(); err != nil {
			t.Errorf("before Run: %v", err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		over := make(chan error, 1)
		go func() { over <- srv.Run(ctx) }()
		time.Sleep(time.Hour)
		if err := srv.Alive(); err != nil {
			t.Errorf("an hour without any call: %v", err)
		}
		far, _ := l.dial()
		connected(t, far)
		l.mu.Lock()
		l.stuck = true
		l.mu.Unlock()
		time.Sleep(3*acceptTurn + 2*time.Second)
		if err := srv.Alive(); err == nil {
			t.Error("a loop that is stuck is alive")
		}
		cancel()
		must(t, <-over)
		if err := srv.Alive(); err != nil {
			t.Errorf("after the end: %v", err)
		}
	})
}
