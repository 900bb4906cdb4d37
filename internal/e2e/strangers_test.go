package e2e

import (
	"bufio"
	"context"
	"net"
	"sync"
	"time"

	"github.com/signalbox/signalbox/internal/lab"
)

// strangers are stories in which something else than a sidecar listens where the dialplan hands calls to.
func strangers() act {
	story := func(name, title string, within time.Duration, behave func(c net.Conn, closed <-chan struct{})) lab.Story {
		return lab.Story{Name: name, Title: title, Alone: true, Line: lab.Line{Operator: true}, Play: func(ctx context.Context, s *lab.Stage) {
			s.Must(s.Rig.Sidecar.Kill())
			s.Deed(lab.ColSidecar, "something else listens in its place")
			answers := stand(s, behave)
			defer answers.leave()
			c := s.Call()
			toOperator(ctx, s, c, time.Now(), within)
			s.Check(answers.met() > 0, "nobody connected to what stands in the sidecar's place")
			s.Untouched(s.Phone, s.Mail[0], s.Mail[1])
			answers.leave()
			s.Must(s.Rig.StartSidecar(ctx))
			s.NextCallWorks(ctx, 0)
		}}
	}
	return act{
		story("controller-hangs-up-before-connect", "It accepts and closes at once.", time.Second, func(net.Conn, <-chan struct{}) {}),
		story("controller-dies-before-the-answer-to-connect", "It says connect and dies before it hears the answer.", time.Second,
			func(c net.Conn, _ <-chan struct{}) { _, _ = c.Write([]byte("connect\n\n")) }),
		story("controller-dies-in-the-middle-of-a-command", "It has the call and dies with half a command said.", time.Second,
			func(c net.Conn, _ <-chan struct{}) {
				_, _ = c.Write([]byte("connect\n\n"))
				answered(c)
				_, _ = c.Write([]byte("sendmsg\ncall-command: execute\nexecute-app-name: ans"))
			}),
		story("controller-says-nothing", "It accepts and is silent: the guard takes the call back after 3 s.", fallbackTime,
			func(_ net.Conn, closed <-chan struct{}) { <-closed }),
		story("controller-talks-http", "It is another kind of server: the guard takes the call back after 3 s.", fallbackTime,
			func(c net.Conn, closed <-chan struct{}) {
				_, _ = c.Write([]byte("HTTP/1.1 400 Bad Request\r\nContent-Length: 7\r\n\r\nwrong!\n"))
				<-closed
			}),
	}
}

// answered reads the headers of one message.
func answered(c net.Conn) {
	r := bufio.NewReader(c)
	for {
		line, err := r.ReadString('\n')
		if err != nil || line == "\n" {
			return
		}
	}
}

// standIn listens in the sidecar's place.
type standIn struct {
	listener net.Listener
	closed   chan struct{}
	once     sync.Once
	wg       sync.WaitGroup

	mu sync.Mutex
	n  int
}

// stand has behave treat every connection, and closes it when behave returns.
func stand(s *lab.Stage, behave func(c net.Conn, closed <-chan struct{})) *standIn {
	listener, err := net.Listen("tcp", s.Rig.SidecarAddr())
	s.Must(err)
	in := &standIn{listener: listener, closed: make(chan struct{})}
	in.wg.Go(func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			in.mu.Lock()
			in.n++
			in.mu.Unlock()
			in.wg.Go(func() {
				defer func() { _ = c.Close() }()
				behave(c, in.closed)
			})
		}
	})
	return in
}

func (in *standIn) met() int {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.n
}

func (in *standIn) leave() {
	in.once.Do(func() {
		close(in.closed)
		_ = in.listener.Close()
		in.wg.Wait()
	})
}
