package esl

import (
	"context"
	"errors"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/signalbox/signalbox/esl/esltest"
	"github.com/signalbox/signalbox/esl/wire"
)

// node is a FreeSWITCH that can be down, for a Link in a bubble.
type node struct {
	mu   sync.Mutex
	in   esltest.Inbound
	down bool
	ice  chan struct{} // closed: what was sent to a frozen node arrives now; nil = it is not frozen
	far  *esltest.Far
	wg   sync.WaitGroup
}

// icy is a connection whose far end reads nothing while it is frozen.
type icy struct {
	net.Conn
	node *node
}

func (c icy) Read(b []byte) (int, error) {
	c.node.thawed()
	read, err := c.Conn.Read(b)
	c.node.thawed()
	return read, err
}

func (n *node) thawed() {
	n.mu.Lock()
	ice := n.ice
	n.mu.Unlock()
	if ice != nil {
		<-ice
	}
}

func (n *node) freeze(frozen bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.ice != nil {
		close(n.ice)
		n.ice = nil
	}
	if frozen {
		n.ice = make(chan struct{})
	}
}

var errRefused = errors.New("connection refused")

func (n *node) dial(context.Context, string, string) (net.Conn, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.down {
		return nil, errRefused
	}
	client, end := net.Pipe()
	far := esltest.NewFar(icy{end, n})
	n.far = far
	in := n.in
	n.wg.Go(func() { _ = in.Serve(far) })
	return client, nil
}

func (n *node) set(down bool, core string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.down, n.in.CoreUUID = down, core
}

// kill is the death of FreeSWITCH.
func (n *node) kill() {
	n.mu.Lock()
	defer n.mu.Unlock()
	_ = n.far.Close()
}

func (n *node) event(t *testing.T, fields ...wire.Field) {
	t.Helper()
	n.mu.Lock()
	far := n.far
	n.mu.Unlock()
	must(t, far.Event(fields...))
}

// runLink runs a link for the test's life.
func runLink(t *testing.T, n *node, opt LinkOptions) *Link {
	t.Helper()
	opt.Node = "test"
	opt.Dial.Password = Secret(n.in.Password)
	opt.Dial.DialContext = n.dial
	l := NewLink(opt)
	ctx, cancel := context.WithCancel(t.Context())
	over := make(chan error, 1)
	go func() { over <- l.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-over; err != nil {
			t.Errorf("Run: %v", err)
		}
		n.wg.Wait()
	})
	return l
}

func TestLinkLooksAgainUntilComplete(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &node{in: esltest.Inbound{CoreUUID: "core-1", API: func(string) string { return "rows" }}}
		looks, attached := 0, make(chan struct{})
		var order []string
		l := runLink(t, n, LinkOptions{
			Subscribe: []string{"sofia::register"},
			OnAttach: func(ctx context.Context, c *Conn) error {
				looks++
				if _, err := c.API(ctx, "show channels as json"); err != nil {
					return err
				}
				if looks == 1 {
					n.event(t, field("Event-Name", "CUSTOM")) // arrives while we look
				}
				order = append(order, "look")
				if looks < 3 {
					return ErrIncomplete
				}
				close(attached)
				return nil
			},
			OnEvent: func(e *wire.Event) { order = append(order, e.Name()) },
		})
		if _, err := l.API(t.Context(), "status"); !errors.Is(err, ErrDown) {
			t.Errorf("before: %v, want ErrDown", err)
		}
		begin := time.Now()
		<-attached
		synctest.Wait()
		if took := time.Since(begin); looks != 3 || took != 2*DefaultLookAgain {
			t.Errorf("%d looks in %s", looks, took)
		}
		if !l.Up() || l.CoreUUID() != "core-1" {
			t.Errorf("up %v, core %q", l.Up(), l.CoreUUID())
		}
		if got, want := len(order), 4; got != want || order[3] != "CUSTOM" {
			t.Errorf("order %q: the event must come behind the looks", order)
		}
		if out, err := l.API(t.Context(), "status"); out != "rows" || err != nil {
			t.Errorf("%q, %v", out, err)
		}
		if out, err := l.BgAPI(t.Context(), "status"); out != "rows" || err != nil {
			t.Errorf("bgapi: %q, %v", out, err)
		}
	})
}

// TestLinkFiltersItsEvents: the filter stands before anybody looks, and lets through what a Link itself lives on.
func TestLinkFiltersItsEvents(t *testing.T) {
	client, far := net.Pipe()
	l := NewLink(LinkOptions{
		Subscribe: []string{"CHANNEL_HANGUP_COMPLETE"}, Filter: []wire.Field{field("variable_mine", "/./")},
		Dial: DialOptions{Password: "x", DialContext: func(context.Context, string, string) (net.Conn, error) { return client, nil }},
	})
	ctx, cancel := context.WithCancel(t.Context())
	over := make(chan error, 1)
	go func() { over <- l.Run(ctx) }()
	f := esltest.NewFar(far)
	must(t, f.AuthRequest())
	_, err := f.ExpectReply("auth x", "+OK accepted")
	must(t, err)
	lines := []string{"event plain HEARTBEAT BACKGROUND_JOB CHANNEL_HANGUP_COMPLETE", "filter Event-Name HEARTBEAT", "filter Event-Name BACKGROUND_JOB", "filter variable_mine /./"}
	for _, want := range lines {
		c, err := f.Command()
		if err != nil || c.Line != want {
			t.Errorf("sent %q, %v, want %q", c.Line, err, want)
		}
	}
	for range lines {
		must(t, f.Reply("+OK"))
	}
	_, err = f.Expect("api global_getvar core_uuid")
	must(t, err)
	cancel()
	_ = f.Close()
	if err := <-over; err != nil {
		t.Error(err)
	}
}

func TestLinkComesBackAndNoticesARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &node{in: esltest.Inbound{CoreUUID: "core-1"}}
		var mu sync.Mutex
		var restarts []string
		var downs []error
		attaches := 0
		l := runLink(t, n, LinkOptions{
			OnAttach:  func(context.Context, *Conn) error { mu.Lock(); defer mu.Unlock(); attaches++; return nil },
			OnRestart: func(old, now string) { mu.Lock(); defer mu.Unlock(); restarts = append(restarts, old+">"+now) },
			OnDown:    func(err error) { mu.Lock(); defer mu.Unlock(); downs = append(downs, err) },
		})
		synctest.Wait()
		n.kill() // the same core again: a network fault
		synctest.Wait()
		if l.Up() {
			t.Error("up without a connection")
		}
		time.Sleep(time.Second)
		synctest.Wait()
		n.set(true, "core-2")
		n.kill()
		time.Sleep(time.Minute)
		tries := l.Attempts()
		if l.Up() || tries < 8 || tries > 30 {
			t.Errorf("up %v, %d tries within a minute", l.Up(), tries)
		}
		n.set(false, "core-2")
		time.Sleep(DefaultBackoffMax)
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		if !l.Up() || attaches != 3 || len(restarts) != 1 || restarts[0] != "core-1>core-2" {
			t.Errorf("up %v, %d attaches, restarts %q", l.Up(), attaches, restarts)
		}
		if len(downs) != 2 || !errors.Is(downs[0], ErrDisconnected) {
			t.Errorf("downs %v", downs)
		}
	})
}

// A link on which nothing comes asks for a word: a FreeSWITCH that answers is kept, also without any heartbeat; a half-open
// connection, or a frozen FreeSWITCH, is left within the two bounds and tried again until there is an answer.
func TestSilentLinkIsProbed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &node{in: esltest.Inbound{CoreUUID: "core-1"}}
		down := make(chan error, 1)
		l := runLink(t, n, LinkOptions{OnDown: func(err error) { down <- err }})
		synctest.Wait()
		time.Sleep(3 * time.Minute) // without a word but answers
		if !l.Up() || l.Attempts() != 1 {
			t.Errorf("up %v after %d connections", l.Up(), l.Attempts())
		}
		n.freeze(true)
		begin := time.Now()
		err := <-down
		if took := time.Since(begin); !errors.Is(err, ErrTimeout) || took > DefaultProbeAfter+DefaultProbeTimeout {
			t.Errorf("%v after %s", err, took)
		}
		time.Sleep(time.Minute)
		if tries := l.Attempts() - 1; l.Up() || tries < 4 || tries > 12 { // each takes 5 s to be greeted, and a pause
			t.Errorf("up %v after %d tries in a minute", l.Up(), tries)
		}
		n.freeze(false)
		time.Sleep(DefaultDialTimeout + DefaultBackoffMax)
		if !l.Up() {
			t.Error("the link is not up again")
		}
		n.event(t, field("Event-Name", "HEARTBEAT"))
	})
}

// Many use one link: who has no time to wait for an answer leaves, and costs the others nothing.
func TestADeadlineOfOneCallerLeavesTheLinkToTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &node{in: esltest.Inbound{CoreUUID: "core-1", API: func(command string) string {
			if command == "slow" {
				time.Sleep(2 * time.Second)
			}
			return "answer to " + command
		}}}
		l := runLink(t, n, LinkOptions{})
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if out, err := l.API(ctx, "slow"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a caller whose time was over got %q, %v", out, err)
		}
		if out, err := l.API(t.Context(), "quick"); out != "answer to quick" || err != nil {
			t.Errorf("the next one got %q, %v", out, err)
		}
		if s := l.Stats(); !s.Up || s.Attempts != 1 {
			t.Errorf("up %v after %d connections", s.Up, s.Attempts)
		}
	})
}

func TestLinkStartsAgainWhenEventsWouldBeLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &node{in: esltest.Inbound{CoreUUID: "core-1"}}
		down := make(chan error, 1)
		release := make(chan struct{})
		runLink(t, n, LinkOptions{
			Dial:    DialOptions{ConnOptions: ConnOptions{EventQueue: 4}},
			OnEvent: func(*wire.Event) { <-release },
			OnDown:  func(err error) { down <- err },
		})
		synctest.Wait()
		for range 6 { // one with the consumer, four in the queue, one too many
			n.event(t, field("Event-Name", "X"))
		}
		synctest.Wait()
		close(release)
		if err := <-down; !errors.Is(err, ErrEventsLost) {
			t.Errorf("got %v, want ErrEventsLost", err)
		}
	})
}

func TestFailingAttachIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &node{in: esltest.Inbound{CoreUUID: "core-1"}}
		attaches := 0
		l := runLink(t, n, LinkOptions{
			AttachTimeout: time.Second,
			OnAttach: func(context.Context, *Conn) error {
				if attaches++; attaches > 6 {
					return nil
				}
				if attaches > 1 {
					return ErrIncomplete // until the second is over
				}
				return errors.New("store is down")
			},
		})
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if !l.Up() || l.Attempts() < 3 {
			t.Errorf("up %v after %d tries", l.Up(), l.Attempts())
		}
	})
}

// A callback that panics costs the connection; the next one shows everything again.
func TestAPanicOfACallbackStartsTheLinkAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &node{in: esltest.Inbound{CoreUUID: "core-1"}}
		var mu sync.Mutex
		attaches := 0
		l := runLink(t, n, LinkOptions{
			OnAttach: func(context.Context, *Conn) error { mu.Lock(); defer mu.Unlock(); attaches++; return nil },
			OnEvent: func(e *wire.Event) {
				if e.Name() == "BAD" {
					panic("a fault")
				}
			},
		})
		synctest.Wait()
		n.event(t, field("Event-Name", "BAD"))
		synctest.Wait()
		if l.Up() {
			t.Error("up after a panic")
		}
		time.Sleep(time.Second)
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		if !l.Up() || attaches != 2 {
			t.Errorf("up %v, %d attaches", l.Up(), attaches)
		}
	})
}

func TestBackoffDoublesWithJitterAndABound(t *testing.T) {
	for _, tt := range []struct {
		n      int
		random float64
		want   time.Duration
	}{
		{0, 0, 125 * time.Millisecond}, {0, 0.999999, 250 * time.Millisecond}, {1, 0, 250 * time.Millisecond},
		{3, 0.5, 1500 * time.Millisecond}, {100, 0, 5 * time.Second}, {1 << 30, 0.999999999, 10 * time.Second},
	} {
		got := backoff(tt.n, 250*time.Millisecond, 10*time.Second, tt.random)
		if d := got - tt.want; d > time.Microsecond || d < -time.Microsecond {
			t.Errorf("backoff(%d, %v) = %s, want %s", tt.n, tt.random, got, tt.want)
		}
	}
}
