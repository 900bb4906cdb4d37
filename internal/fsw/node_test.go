package fsw_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/signalbox/signalbox/esl"
	"github.com/signalbox/signalbox/esl/esltest"
	"github.com/signalbox/signalbox/esl/wire"
	"github.com/signalbox/signalbox/internal/fsw"
	"github.com/signalbox/signalbox/internal/fsw/fswtest"
	"github.com/signalbox/signalbox/internal/lab"
)

// runNode runs a node for the length of a test.
func runNode(t *testing.T, o fsw.NodeOptions) *fsw.Node {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	n := fsw.NewNode(o)
	go func() { done <- n.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := fswtest.Wait(t, "the node's end", done); err != nil {
			t.Errorf("node: %v", err)
		}
	})
	return n
}

func TestNodeAttachesSeesWhoLivesAndWhoEnds(t *testing.T) {
	t.Parallel()
	uuids := make(chan string, 1)
	bench := fswtest.New(t, fswtest.Options{Handler: func(ctx context.Context, s *esl.Session) {
		uuids <- s.UUID()
		<-ctx.Done()
	}})
	caller := bench.Call(fswtest.Agent(t, "caller", lab.Behaviour{}), waiting)
	uuid := fswtest.Wait(t, "the call", uuids)

	type look struct {
		alive, gone bool
		bad, err    error
	}
	looks, events := make(chan look, 1), make(chan *wire.Event, 10)
	runNode(t, fsw.NodeOptions{
		Name: "fs1", Dial: esl.DialOptions{Addr: bench.Switch.EventSocketAddr().String(), Password: fswtest.Password},
		Attached: func(ctx context.Context, sw *fsw.Switch) error {
			var l look
			var err error
			l.alive, err = sw.Alive(ctx, uuid)
			l.gone, l.err = sw.Alive(ctx, "9e811bb9-6ecf-4569-a163-320b25f5b4c5")
			_, l.bad = sw.Alive(ctx, "x\n\napi hupall")
			l.err = errors.Join(l.err, err)
			looks <- l
			return nil
		},
		Event: func(_ context.Context, e *wire.Event) { events <- e },
	})
	if got := fswtest.Wait(t, "the link", looks); !got.alive || got.gone || got.bad == nil || got.err != nil {
		t.Errorf("alive %v, gone %v, a UUID that is none: %v, error %v", got.alive, got.gone, got.bad, got.err)
	}
	caller.Cancel()
	for {
		e := fswtest.Wait(t, "the call's end", events)
		if e.Name() == "CHANNEL_HANGUP_COMPLETE" && e.UUID() == uuid {
			if cause := e.Get("Hangup-Cause"); cause != "ORIGINATOR_CANCEL" {
				t.Errorf("cause %q", cause)
			}
			return
		}
	}
}

// sees is a FreeSWITCH that answers what the test says, look by look.
type sees struct {
	mu       sync.Mutex
	channels []string // answers to "show channels as json"; the last stays
	status   string
	looks    int
}

func (s *sees) api(command string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case strings.HasPrefix(command, "show channels"):
		answer := s.channels[min(s.looks, len(s.channels)-1)]
		s.looks++
		return answer
	case command == "status":
		return s.status
	}
	return "-ERR " + command + " Command not found!\n"
}

func (s *sees) listen(t *testing.T) string { return listenWith(t, s.api) }

// listenWith is an Event Socket whose API commands are answered by a function.
func listenWith(t *testing.T, api func(command string) string) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			nc, err := listener.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				_ = esltest.Inbound{Password: fswtest.Password, CoreUUID: "core-1", API: api}.Serve(esltest.NewFar(nc))
			})
		}
	})
	t.Cleanup(func() { _ = listener.Close(); serving.Wait() })
	return listener.Addr().String()
}

func statusOf(sessions int) string {
	return fmt.Sprintf("UP 0 years\n9 session(s) since startup\n%d session(s) - peak 4, last 5min 4\n1000 session(s) max\n", sessions)
}

// The list of channels lags behind, and what is missing in it must not be taken for ended.
func TestNodeLooksAgainUntilItsViewIsComplete(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		sees *sees
		want int
	}{
		{"a channel is missing at first", &sees{channels: []string{`{"row_count":1,"rows":[{}]}`, `{"row_count":1,"rows":[{}]}`, `{"row_count":2,"rows":[{},{}]}`}, status: statusOf(2)}, 3},
		{"a ghost is listed at first", &sees{channels: []string{`{"row_count":2,"rows":[{},{}]}`, `{"row_count":0}`}, status: statusOf(0)}, 2},
		{"complete at once", &sees{channels: []string{`{"row_count":0}`}, status: statusOf(0)}, 1},
		{"a status that cannot be read is no reason to wait", &sees{channels: []string{`{"row_count":1}`}, status: "UP\n"}, 1},
		{"a busy switch whose figures never agree", &sees{channels: []string{`{"row_count":1,"rows":[{}]}`}, status: statusOf(3)}, 8},
		{"an answer that is no JSON closes the link, and it is tried again", &sees{channels: []string{"-ERR no reply\n", "<html>", `{"row_count":0}`}, status: statusOf(0)}, 3},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			attached := make(chan int, 1)
			runNode(t, fsw.NodeOptions{
				Name: "fs1", Dial: esl.DialOptions{Addr: tt.sees.listen(t), Password: fswtest.Password},
				Attached: func(context.Context, *fsw.Switch) error {
					tt.sees.mu.Lock()
					defer tt.sees.mu.Unlock()
					attached <- tt.sees.looks
					return nil
				},
			})
			if got := fswtest.Wait(t, "the link", attached); got != tt.want {
				t.Errorf("attached after %d looks, want %d", got, tt.want)
			}
		})
	}
}

func TestNodeTriesAgainWhenItsOwnerCouldNotLook(t *testing.T) {
	t.Parallel()
	s := &sees{channels: []string{`{"row_count":0}`}, status: statusOf(0)}
	tries := make(chan time.Time, 10)
	runNode(t, fsw.NodeOptions{
		Name: "fs1", Dial: esl.DialOptions{Addr: s.listen(t), Password: fswtest.Password},
		Attached: func(context.Context, *fsw.Switch) error {
			tries <- time.Now()
			return errors.New("the store is down")
		},
	})
	fswtest.Wait(t, "the first look", tries)
	fswtest.Wait(t, "the second look", tries)
}

func TestNodeKnowsTheCoreUUIDOfItsSwitch(t *testing.T) {
	t.Parallel()
	s := &sees{channels: []string{`{"row_count":0}`}, status: statusOf(0)}
	attached := make(chan bool, 1)
	core, logged := observer.New(zap.InfoLevel)
	n := runNode(t, fsw.NodeOptions{
		Name: "fs1", Dial: esl.DialOptions{Addr: s.listen(t), Password: fswtest.Password}, Logger: zap.New(core),
		Attached: func(context.Context, *fsw.Switch) error { attached <- true; return nil },
	})
	fswtest.Wait(t, "the link", attached)
	for _, entry := range logged.All() {
		names := slices.DeleteFunc(slices.Clone(entry.Context), func(f zap.Field) bool { return f.Key != "node" })
		if len(names) != 1 {
			t.Errorf("%q names the node %d times", entry.Message, len(names))
		}
	}
	if logged.Len() == 0 {
		t.Error("nothing is logged of the link")
	}
	if got := n.CoreUUID(); got != "core-1" {
		t.Errorf("Core-UUID %q", got)
	}
	if got := fsw.NewNode(fsw.NodeOptions{Name: "fs2"}).CoreUUID(); got != "" {
		t.Errorf("Core-UUID %q before the link", got)
	}
}

// A node hears the ends of the legs whose callers came to us, not those of the legs we made for them, and whatever it listens to.
func TestNodeHearsOurCallersAndWhatItListensTo(t *testing.T) {
	t.Parallel()
	uuids := make(chan string, 1)
	busy := fswtest.Agent(t, "busy", lab.Refuses(486))
	bench := served(t, func(ctx context.Context, leg *fsw.Leg, s *esl.Session) {
		uuids <- s.UUID()
		if _, err := leg.Ring(ctx, ring(time.Second, at(busy))); err != nil {
			t.Error(err)
		}
	})
	dial := esl.DialOptions{Addr: bench.Switch.EventSocketAddr().String(), Password: fswtest.Password}
	up, events := make(chan struct{}, 1), make(chan *wire.Event, 10)
	runNode(t, fsw.NodeOptions{
		Name: "fs1", Dial: dial, Listen: []string{"MESSAGE_QUERY", "sofia::register"},
		Attached: func(context.Context, *fsw.Switch) error { up <- struct{}{}; return nil },
		Event:    func(_ context.Context, e *wire.Event) { events <- e },
	})
	fswtest.Wait(t, "the link", up)
	bench.Status(bench.Call(fswtest.Agent(t, "caller", lab.Behaviour{}), number), 486)
	uuid := fswtest.Wait(t, "the call", uuids)
	if e := fswtest.Wait(t, "an end", events); e.Name() != "CHANNEL_HANGUP_COMPLETE" || e.UUID() != uuid {
		t.Errorf("%s of %s, want the end of the caller's leg", e.Name(), e.UUID())
	}
	conn, err := esl.Dial(t.Context(), dial)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	for _, event := range []string{"CUSTOM\nEvent-Subclass: sofia::expire", "MESSAGE_QUERY\nMessage-Account: x", "CUSTOM\nEvent-Subclass: sofia::register"} {
		if r, err := conn.Send(t.Context(), esl.Raw("sendevent "+event)); err != nil || r.Err() != nil {
			t.Fatal(err, r.Err())
		}
	}
	for _, want := range []string{"MESSAGE_QUERY", "sofia::register"} {
		if e := fswtest.Wait(t, want, events); e.Name() != want && e.Subclass() != want {
			t.Errorf("%s %s, want %s", e.Name(), e.Subclass(), want)
		}
	}
}
