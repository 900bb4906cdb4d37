package esl

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/signalbox/signalbox/esl/esltest"
	"github.com/signalbox/signalbox/esl/wire"
)

// field and fields shorten events.
func field(name, value string) wire.Field { return wire.Field{Name: name, Value: value} }

// pair gives a connection and its far end, inside a synctest bubble.
func pair(t *testing.T, opt ConnOptions) (*Conn, *esltest.Far) {
	t.Helper()
	client, far := esltest.Pipe()
	c := newConn(client, opt, hooks{})
	t.Cleanup(func() {
		_ = far.Close()
		_ = c.Close()
	})
	return c, far
}

// must fails the test on an error of the far end.
func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Error(err)
	}
}

func TestConcurrentCallersGetTheirOwnReplies(t *testing.T) {
	client, far := esltest.Pipe()
	c := newConn(client, ConnOptions{}, hooks{})
	defer func() { _ = c.Close() }()
	go func() { // echoes, in bursts, so that many commands are on the wire at one time
		for {
			cmd, err := far.Command()
			if err != nil {
				return
			}
			if far.API(cmd.Args()) != nil {
				return
			}
		}
	}()
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			for j := range 40 {
				want := fmt.Sprintf("echo %d.%d", i, j)
				if got, err := c.API(t.Context(), want); err != nil || got != want {
					t.Errorf("got %q, %v, want %q", got, err, want)
					return
				}
			}
		})
	}
	wg.Wait()
}

func TestTimeoutClosesTheConnection(t *testing.T) {
	tests := []struct {
		name string
		ctx  func(context.Context) (context.Context, context.CancelFunc)
		want time.Duration
	}{
		{"command timeout", context.WithCancel, 3 * time.Second},
		{"deadline of the caller", func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeout(ctx, time.Second)
		}, time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, far := pair(t, ConnOptions{CommandTimeout: 3 * time.Second})
				go func() { _, _ = far.Command() }() // reads, never answers
				ctx, cancel := tt.ctx(t.Context())
				defer cancel()
				start := time.Now()
				_, err := c.Send(ctx, Raw("api status"))
				if !errors.Is(err, ErrTimeout) || time.Since(start) != tt.want {
					t.Errorf("%v after %s, want ErrTimeout after %s", err, time.Since(start), tt.want)
				}
				<-c.Done()
				if !errors.Is(c.Err(), ErrTimeout) {
					t.Errorf("connection ended with %v", c.Err())
				}
				if _, err := c.Send(t.Context(), Raw("api status")); !errors.Is(err, ErrTimeout) {
					t.Errorf("a later command gives %v", err)
				}
			})
		})
	}
}

func TestFarEndThatDoesNotReadTimesOutToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := pair(t, ConnOptions{CommandTimeout: 3 * time.Second})
		if _, err := c.Send(t.Context(), Raw("api status")); !errors.Is(err, ErrTimeout) {
			t.Errorf("got %v, want ErrTimeout", err)
		}
	})
}

func TestCancelledCallerLeavesAndTheNextGetsItsOwnReply(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, far := pair(t, ConnOptions{})
		ctx, cancel := context.WithCancel(t.Context())
		gaveUp := make(chan error, 1)
		go func() {
			_, err := c.Send(ctx, Raw("api slow"))
			gaveUp <- err
		}()
		_, err := far.Expect("api slow")
		must(t, err)
		cancel()
		if err := <-gaveUp; !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want context.Canceled", err)
		}
		go func() {
			must(t, far.API("late answer"))
			_, err := far.Expect("api quick")
			must(t, err)
			must(t, far.API("quick answer"))
		}()
		if got, err := c.API(t.Context(), "quick"); got != "quick answer" || err != nil {
			t.Errorf("got %q, %v", got, err)
		}
	})
}

func TestCommandGivenUpBeforeItWasWrittenIsNotSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, far := pair(t, ConnOptions{})
		go func() { _, _ = c.Send(t.Context(), Raw("api first")) }()
		synctest.Wait() // the writer hangs in its write of the first
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := c.Send(ctx, Raw("api second")); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, ErrTimeout) {
			t.Errorf("got %v, want the caller's deadline alone", err)
		}
		go func() {
			_, err := far.Expect("api first")
			must(t, err)
			must(t, far.API("1"))
			_, err = far.Expect("api third")
			must(t, err)
			must(t, far.API("3"))
		}()
		if got, err := c.API(t.Context(), "third"); got != "3" || err != nil {
			t.Errorf("got %q, %v", got, err)
		}
	})
}

func TestHostileMessageIsRefusedBeforeItIsSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := pair(t, ConnOptions{}) // the far end reads nothing: a write would hang
		for _, cmd := range []string{"api a\n\napi hupall", "sendmsg\na: b\n\nexit", "exit\r\n\r\napi x"} {
			if _, err := c.Send(t.Context(), Raw(cmd)); !errors.Is(err, wire.ErrRefused) {
				t.Errorf("%q: got %v, want ErrRefused", cmd, err)
			}
		}
		if _, err := c.API(t.Context(), "x\ny"); !errors.Is(err, wire.ErrRefused) {
			t.Errorf("API: %v", err)
		}
		if _, err := c.BgAPI(t.Context(), "x\nJob-UUID: y"); !errors.Is(err, wire.ErrRefused) {
			t.Errorf("BgAPI: %v", err)
		}
		if c.Err() != nil {
			t.Errorf("the connection was closed: %v", c.Err())
		}
	})
}

// TestEveryWrongStreamEndsWithItsName: what a client notices when FreeSWITCH, or
// something else, sends what it should not.
func TestEveryWrongStreamEndsWithItsName(t *testing.T) {
	tests := []struct {
		name, in string
		want     error
	}{
		{"closed between messages", "", ErrDisconnected},
		{"disconnect notice", string(wire.AppendDisconnect(nil, "")), ErrDisconnected},
		{"half a message", "Content-Type: api/resp", wire.ErrTruncated},
		{"rude rejection", string(wire.AppendRudeRejection(nil)), ErrRejected},
		{"unknown type", "Content-Type: text/news\n\n", ErrUnknownType},
		{"no type", "X: y\n\n", ErrUnknownType},
		{"reply to nobody", string(wire.AppendReply(nil, "+OK")), ErrUnexpectedReply},
		{"negative length", "Content-Length: -1\n\n", wire.ErrBadContentLength},
		{"huge length", "Content-Length: 999999999999\n\n", wire.ErrBodyTooLarge},
		{"endless headers", strings.Repeat("A: b\n", 5000), wire.ErrTooManyHeaders},
		{"endless line", strings.Repeat("a", 600<<10), wire.ErrLineTooLong},
		{"xml event", "Content-Type: text/event-xml\n\n", wire.ErrUnsupportedFormat},
		{"broken json", "Content-Type: text/event-json\nContent-Length: 1\n\n{", wire.ErrMalformedEvent},
		{"two greetings", "Content-Type: auth/request\n\nContent-Type: auth/request\n\n", ErrUnexpectedReply},
		{"not FreeSWITCH", "SSH-2.0-OpenSSH_9.2\r\n\r\n", wire.ErrMalformedHeader},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, far := pair(t, ConnOptions{})
				go func() {
					_, _ = io.WriteString(far, tt.in)
					_ = far.Close()
				}()
				<-c.Done()
				if !errors.Is(c.Err(), tt.want) {
					t.Errorf("got %v, want %v", c.Err(), tt.want)
				}
				if _, open := <-c.Events(); open {
					t.Error("the event queue is not closed")
				}
			})
		})
	}
}

func TestWaiterHearsOfTheEndOfTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, far := pair(t, ConnOptions{})
		go func() {
			_, _ = far.Command()
			_ = far.Close()
		}()
		if _, err := c.API(t.Context(), "status"); !errors.Is(err, ErrDisconnected) {
			t.Errorf("got %v, want ErrDisconnected", err)
		}
	})
}

func TestFullEventQueue(t *testing.T) {
	for _, overflow := range []Overflow{OverflowDrop, OverflowClose} {
		synctest.Test(t, func(t *testing.T) {
			c, far := pair(t, ConnOptions{EventQueue: 2, Overflow: overflow})
			go func() {
				for i := range 5 {
					if far.Event(field("Event-Name", fmt.Sprint("E", i))) != nil {
						return
					}
				}
				_, _ = far.ExpectReply("noevents", "+OK")
			}()
			_, err := c.Send(t.Context(), Raw("noevents")) // the reader got this far, no consumer notwithstanding
			if overflow == OverflowClose {
				if !errors.Is(c.Err(), ErrEventsLost) {
					t.Errorf("got %v, want ErrEventsLost", c.Err())
				}
				return
			}
			if err != nil || c.Dropped() != 3 {
				t.Errorf("%d dropped, %v, want 3", c.Dropped(), err)
			}
			for _, want := range []string{"E0", "E1"} {
				if e := <-c.Events(); e.Name() != want {
					t.Errorf("got %s, want %s", e.Name(), want)
				}
			}
		})
	}
}

func TestBgAPIMatchesItsOwnJob(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, far := pair(t, ConnOptions{})
		go func() {
			_, err := far.ExpectReply("event plain BACKGROUND_JOB", "+OK event listener enabled plain")
			must(t, err)
			var ids []string
			for range 2 {
				cmd, err := far.ExpectReply("bgapi ", "+OK Job-UUID: x")
				must(t, err)
				ids = append(ids, cmd.Line+" "+cmd.Get("Job-UUID"))
			}
			for i := len(ids) - 1; i >= 0; i-- { // results come in the other order
				words := strings.Fields(ids[i])
				must(t, far.EventBody([]byte("-ERR no reply\n"), field("Event-Name", "BACKGROUND_JOB"), field("Job-UUID", "somebody else's")))
				must(t, far.EventBody([]byte("+OK "+words[1]+"\n"), field("Event-Name", "BACKGROUND_JOB"), field("Job-UUID", words[2])))
			}
		}()
		must(t, c.Subscribe(t.Context(), "BACKGROUND_JOB"))
		c.jobsListen.Store(true)
		var wg sync.WaitGroup
		for _, name := range []string{"one", "two"} {
			wg.Go(func() {
				if got, err := c.BgAPI(t.Context(), name); got != "+OK "+name || err != nil {
					t.Errorf("%s: got %q, %v", name, got, err)
				}
			})
		}
		wg.Wait()
		if len(c.Events()) != 4 {
			t.Errorf("%d events queued, want all 4", len(c.Events()))
		}
	})
}

func TestBgAPIGivenUpKeepsTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, far := pair(t, ConnOptions{})
		go func() {
			_, err := far.ExpectReply("event plain BACKGROUND_JOB", "+OK event listener enabled plain")
			must(t, err)
			_, err = far.ExpectReply("bgapi originate", "+OK Job-UUID: x")
			must(t, err)
		}()
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		if _, err := c.BgAPI(ctx, "originate x"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		if c.Err() != nil || len(c.jobs) != 0 {
			t.Errorf("connection %v, %d jobs kept", c.Err(), len(c.jobs))
		}
	})
}

func TestAPIErrorsAreNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, far := pair(t, ConnOptions{})
		go func() {
			for _, body := range []string{"-ERR No such channel!\n", "", "-USAGE: x\n", "true"} {
				_, err := far.Command()
				must(t, err)
				must(t, far.API(body))
			}
			_, err := far.ExpectReply("api secret", "-ERR permission denied")
			must(t, err)
		}()
		var refused *ReplyError
		if text, err := c.API(t.Context(), "uuid_kill 4711"); !errors.As(err, &refused) || text != "-ERR No such channel!" || refused.Command != "api uuid_kill" {
			t.Errorf("%q, %v", text, err)
		}
		if strings.Contains(refused.Error(), "4711") {
			t.Errorf("the error shows an argument: %v", refused)
		}
		if _, err := c.API(t.Context(), "empty"); !errors.Is(err, ErrNoReply) {
			t.Errorf("no output: %v", err)
		}
		if _, err := c.API(t.Context(), "usage"); !errors.As(err, &refused) || errors.Is(err, ErrNoReply) {
			t.Errorf("usage: %v", err)
		}
		if text, err := c.API(t.Context(), "uuid_exists x"); text != "true" || err != nil {
			t.Errorf("%q, %v", text, err)
		}
		if _, err := c.API(t.Context(), "secret"); !errors.As(err, &refused) {
			t.Errorf("permission denied: %v", err)
		}
	})
}

func TestDialLogsIn(t *testing.T) {
	tests := []struct {
		name string
		in   esltest.Inbound
		opt  DialOptions
		want error
	}{
		{"password", esltest.Inbound{Password: "p"}, DialOptions{Password: "p"}, nil},
		{"user", esltest.Inbound{Password: "p", User: "u@d"}, DialOptions{Password: "p", User: "u@d"}, nil},
		{"wrong password", esltest.Inbound{Password: "p"}, DialOptions{Password: "q"}, ErrAuth},
		{"wrong user", esltest.Inbound{Password: "p", User: "u@d"}, DialOptions{Password: "p", User: "v@d"}, ErrAuth},
		{"password of two lines", esltest.Inbound{Password: "p"}, DialOptions{Password: "p\n\napi hupall"}, wire.ErrRefused},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client, far := esltest.Pipe()
				go func() { _ = tt.in.Serve(far) }()
				tt.opt.DialContext = func(context.Context, string, string) (net.Conn, error) { return client, nil }
				c, err := Dial(t.Context(), tt.opt)
				if !errors.Is(err, tt.want) {
					t.Fatalf("got %v, want %v", err, tt.want)
				}
				if err == nil {
					_ = c.Close()
				}
			})
		})
	}
}

func TestDialWithoutAGreetingGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, far := esltest.Pipe()
		defer func() { _ = far.Close() }()
		start := time.Now()
		_, err := Dial(t.Context(), DialOptions{DialContext: func(context.Context, string, string) (net.Conn, error) { return client, nil }})
		if !errors.Is(err, ErrNoGreeting) || time.Since(start) != DefaultDialTimeout {
			t.Errorf("%v after %s", err, time.Since(start))
		}
	})
}

func TestSecretDoesNotPrint(t *testing.T) {
	opt := DialOptions{Password: "ClueCon"}
	if s := fmt.Sprintf("%v %+v %#v %s", opt, opt, opt, opt.Password); strings.Contains(s, "ClueCon") {
		t.Errorf("the password shows: %s", s)
	}
}

func TestSubscribeLinePutsCustomLast(t *testing.T) {
	tests := []struct {
		format Format
		names  []string
		want   string
	}{
		{Plain, []string{"HEARTBEAT"}, "event plain HEARTBEAT"},
		{Plain, []string{"sofia::register", "HEARTBEAT", "conference::maintenance"}, "event plain HEARTBEAT CUSTOM sofia::register conference::maintenance"},
		{JSON, []string{"DTMF", "CUSTOM", "odd", "a::b"}, "event json DTMF CUSTOM odd a::b"},
	}
	for _, tt := range tests {
		if got := subscribeLine(tt.format, tt.names); got != tt.want {
			t.Errorf("got %q, want %q", got, tt.want)
		}
	}
}

// A fault of ours costs the connection it happens on: the process, and every other call in it, goes on.
func TestAPanicEndsItsConnectionAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, far := esltest.Pipe()
		defer func() { _ = far.Close() }()
		ended := make(chan error, 1)
		c := newConn(client, ConnOptions{}, hooks{event: func(*wire.Event) { panic("a fault") }, end: func(err error) { ended <- err }})
		must(t, far.Event(field("Event-Name", "HEARTBEAT")))
		if err := <-ended; !errors.Is(err, ErrFault) {
			t.Errorf("the session is told %v, want ErrFault", err)
		}
		if _, open := <-c.Events(); open {
			t.Error("the event queue is still open")
		}
		if _, err := c.API(t.Context(), "status"); !errors.Is(err, ErrFault) {
			t.Errorf("a command gets %v, want ErrFault", err)
		}
		_ = c.Close()
	})
}
