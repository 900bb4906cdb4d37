package fssim

import (
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/signalbox/signalbox/esl/wire"
)

// controller is one Event Socket connection of a test, spoken to by hand.
type controller struct {
	t       *testing.T
	conn    net.Conn
	replies chan *wire.Message
	events  chan *wire.Event
	notices chan *wire.Message
	closed  chan struct{}
}

func newController(t *testing.T, conn net.Conn) *controller {
	c := &controller{t: t, conn: conn, replies: make(chan *wire.Message, 100), events: make(chan *wire.Event, 10000),
		notices: make(chan *wire.Message, 10), closed: make(chan struct{})}
	go func() {
		defer close(c.closed)
		r := wire.NewReader(conn, wire.Limits{})
		for {
			m, err := r.Read()
			if err != nil {
				return
			}
			switch m.Header.Get("Content-Type") {
			case wire.TypeEventPlain, wire.TypeEventJSON:
				e, err := wire.ParseEvent(m)
				if err != nil {
					t.Errorf("event: %v", err)
					return
				}
				c.events <- e
			case wire.TypeDisconnectNotice:
				c.notices <- m
			default:
				c.replies <- m
			}
		}
	}()
	t.Cleanup(func() { conn.Close(); <-c.closed })
	return c
}

// dial opens an inbound connection without authentication.
func dial(t *testing.T, s *Switch) *controller {
	t.Helper()
	conn, err := net.Dial("tcp", s.EventSocketAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	c := newController(t, conn)
	if got := c.reply().Header.Get("Content-Type"); got != wire.TypeAuthRequest {
		t.Fatalf("greeting %q", got)
	}
	return c
}

// link opens an authenticated inbound connection.
func link(t *testing.T, s *Switch) *controller {
	t.Helper()
	c := dial(t, s)
	if got := c.cmd("auth ClueCon"); got != "+OK accepted" {
		t.Fatalf("auth: %q", got)
	}
	return c
}

func (c *controller) reply() *wire.Message {
	c.t.Helper()
	select {
	case m := <-c.replies:
		return m
	case <-time.After(patience):
		c.t.Fatal("no reply")
	}
	return nil
}

// cmd sends a command and returns Reply-Text.
func (c *controller) cmd(text string) string {
	c.t.Helper()
	fmt.Fprintf(c.conn, "%s\n\n", text)
	return c.reply().Header.Get("Reply-Text")
}

// api runs an API command.
func (c *controller) api(text string) string {
	c.t.Helper()
	fmt.Fprintf(c.conn, "api %s\n\n", text)
	return string(c.reply().Body)
}

// start queues an application and does not wait for its end.
func (c *controller) start(app, arg string) string {
	c.t.Helper()
	id := newUUID()
	text := "sendmsg\ncall-command: execute\nexecute-app-name: " + app + "\n"
	if arg != "" {
		text += "execute-app-arg: " + arg + "\n"
	}
	if got := c.cmd(text + "event-lock: true\nEvent-UUID: " + id); got != "+OK" {
		c.t.Fatalf("sendmsg %s: %q", app, got)
	}
	return id
}

// wait returns the CHANNEL_EXECUTE_COMPLETE of an execution.
func (c *controller) wait(id string) *wire.Event {
	c.t.Helper()
	for {
		e := c.event("CHANNEL_EXECUTE_COMPLETE")
		if e.Get("Application-UUID") == id {
			return e
		}
	}
}

func (c *controller) execute(app, arg string) *wire.Event {
	c.t.Helper()
	return c.wait(c.start(app, arg))
}

// event skips to the next event of a name.
func (c *controller) event(name string) *wire.Event {
	c.t.Helper()
	for {
		if e := c.next(); e.Name() == name {
			return e
		}
	}
}

func (c *controller) next() *wire.Event {
	c.t.Helper()
	select {
	case e := <-c.events:
		return e
	case <-time.After(patience):
		c.t.Fatal("no event")
	}
	return nil
}

func (c *controller) notice() *wire.Message {
	c.t.Helper()
	select {
	case m := <-c.notices:
		return m
	case <-time.After(patience):
		c.t.Fatal("no disconnect notice")
	}
	return nil
}

// gone waits until the switch closed the connection.
func (c *controller) gone() {
	c.t.Helper()
	select {
	case <-c.closed:
	case <-time.After(patience):
		c.t.Fatal("the connection stays open")
	}
}

// sidecar listens for outbound connections.
type sidecar struct {
	t   *testing.T
	lis net.Listener
}

func newSidecar(t *testing.T) *sidecar {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return &sidecar{t, l}
}

func (s *sidecar) addr() string { return s.lis.Addr().String() }

// accept waits for the next call and leaves it without a word.
func (s *sidecar) accept() *controller {
	s.t.Helper()
	if err := s.lis.(*net.TCPListener).SetDeadline(time.Now().Add(patience)); err != nil {
		s.t.Fatal(err)
	}
	conn, err := s.lis.Accept()
	if err != nil {
		s.t.Fatalf("no call for the controller: %v", err)
	}
	return newController(s.t, conn)
}

// serve takes the next call with connect, linger and myevents.
func (s *sidecar) serve() (*controller, *wire.Event) {
	s.t.Helper()
	c := s.accept()
	fmt.Fprint(c.conn, "connect\n\n")
	e, err := wire.ParseEvent(c.reply())
	if err != nil {
		s.t.Fatal(err)
	}
	if got := c.cmd("linger 1"); got != "+OK will linger 1 seconds" {
		s.t.Fatalf("linger: %q", got)
	}
	if got := c.cmd("myevents"); got != "+OK Events Enabled" {
		s.t.Fatalf("myevents: %q", got)
	}
	return c, e
}

func mustAddr(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }
