package e2e

import (
	"context"
	"errors"
	"io"
	"net"
	"regexp"
	"sync"
	"testing"
	"time"

	"github.com/signalbox/signalbox/esl/wire"
	"github.com/signalbox/signalbox/internal/call"
	"github.com/signalbox/signalbox/internal/lab"
)

func TestSimLink(t *testing.T)  { onSimulator(t, links(t)) }
func TestRealLink(t *testing.T) { onFreeSWITCH(t, links(t)) }

// links is what happens when the sidecar's link to the node is cut, or goes silent without an end.
func links(t *testing.T) chapter {
	between := newForwarder(t)
	story := func(name, title string, play func(ctx context.Context, s *lab.Stage, f *forwarder)) lab.Story {
		return lab.Story{Name: name, Title: title, Alone: true, Line: lab.Line{Operator: true}, Play: func(ctx context.Context, s *lab.Stage) { play(ctx, s, between) }}
	}
	conference := func(s lab.Story) lab.Story {
		s.Line = lab.Line{Host: true}
		return s
	}
	return chapter{
		long:    true,
		numbers: []string{lab.AccessNumber},
		acts: []act{{
			story("link-cut", "The link is reset: a call that outlived its sidecar goes on, and its end is seen once.", playLinkCut),
			conference(story("link-down-at-arrival", "A call forwarded to a host comes while the link is down, or silent: the caller hears the offer within 4 s, and reaches voicemail.", playLinkDownAtArrival)),
			story("link-half-open", "Packets of the link vanish: calls go on, new ones work, and the link is up again soon after they pass.", playLinkHalfOpen),
		}},
		configure: func(yaml string) string {
			where := regexp.MustCompile(`event_socket: \{addr: "([^"]+)"`)
			between.target = where.FindStringSubmatch(yaml)[1]
			return where.ReplaceAllString(yaml, `event_socket: {addr: "`+between.listener.Addr().String()+`"`)
		},
	}
}

func playLinkCut(ctx context.Context, s *lab.Stage, f *forwarder) {
	c, in := talk(ctx, s)
	uuid, err := s.Rig.Leg(ctx, c)
	s.Must(err)
	s.Must(s.Rig.Sidecar.Kill())
	s.Must(s.Rig.StartSidecar(ctx))
	logged(ctx, s, "sidecar", 1, "still lives", uuid)
	for n := range 3 {
		f.cut()
		logged(ctx, s, "sidecar", n+2, "still lives", uuid)
	}
	s.Talk(ctx, c, in)
	in.Hangup()
	released(ctx, s, c)
	r := s.Record(ctx, 1)
	s.Check(r.Result == call.Answered && r.Cause == "NORMAL_CLEARING", "the record says %s %s %q", r.Result, r.Cause, r.Note)
	s.NextCallWorks(ctx, 1)
	s.Check(f.seen(uuid) == 1, "the end of the call was told %d times on the link, want once", f.seen(uuid))
}

func playLinkDownAtArrival(ctx context.Context, s *lab.Stage, f *forwarder) {
	up, down := lines(s, "sidecar", "event socket link is up"), lines(s, "sidecar", "event socket link is down")
	// toVoicemail presses a key in the offer, and is with voicemail behind it.
	toVoicemail := func(n int, key string) {
		began := time.Now()
		c := offered(ctx, s, s.Forwarded(s.From, "user-busy"))
		s.Check(time.Since(began) < 4*time.Second, "the caller heard nothing for %s", time.Since(began))
		s.Must(c.Press(ctx, key, lab.KeysAsEvents))
		s.Leaves(ctx, c, s.Rings(ctx, s.Mail[0], n))
		s.Steps(s.Record(ctx, n), "conference not-joined", "mailbox answered")
	}
	f.refuse(true)
	logged(ctx, s, "sidecar", down+1, "event socket link is down")
	s.Deed(lab.ColSidecar, "the link to the switch is down")
	toVoicemail(1, "2")
	toVoicemail(2, "1") // the host cannot be called
	f.refuse(false)
	logged(ctx, s, "sidecar", up+1, "event socket link is up")
	f.swallow(true)
	s.Deed(lab.ColSidecar, "the link is up, and silent")
	toVoicemail(3, "2")
	f.swallow(false)
	f.cut()
	logged(ctx, s, "sidecar", up+2, "event socket link is up")
}

func playLinkHalfOpen(ctx context.Context, s *lab.Stage, f *forwarder) {
	c, in := talk(ctx, s)
	down, up := lines(s, "sidecar", "event socket link is down"), lines(s, "sidecar", "event socket link is up")
	f.swallow(true)
	began := time.Now()
	for lines(s, "sidecar", "event socket link is down", "did not answer") == 0 {
		s.Talk(ctx, c, in)
	}
	s.Check(time.Since(began) < 15*time.Second, "the silent link was left after %s", time.Since(began))
	s.NextCallWorks(ctx, 1)
	f.swallow(false)
	logged(ctx, s, "sidecar", up+1, "event socket link is up")
	s.Check(lines(s, "sidecar", "event socket link is down") > down, "the log does not say that the link was down")
	s.Talk(ctx, c, in)
	uuid, err := s.Rig.Leg(ctx, c)
	s.Must(err)
	c.Hangup()
	s.Ended(ctx, in, "them")
	s.Check(s.Record(ctx, 1).Result == call.Answered, "the record does not say answered")
	for f.seen(uuid) == 0 {
		pause(ctx, 20*time.Millisecond)
		s.Must(ctx.Err())
	}
	s.NextCallWorks(ctx, 2)
	s.Check(f.seen(uuid) == 1, "the end of the call was told %d times on the link, want once", f.seen(uuid))
}

// forwarder stands between the sidecar and the Event Socket of the switch: it can reset its connections, refuse them, or swallow what comes, and
// it counts the ends of calls that pass. Its goroutines end with the test.
type forwarder struct {
	listener net.Listener
	target   string
	wg       sync.WaitGroup

	mu       sync.Mutex
	conns    []*net.TCPConn
	swallows bool
	refuses  bool
	ends     map[string]int // by UUID
}

func newForwarder(t *testing.T) *forwarder {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &forwarder{listener: l, ends: make(map[string]int)}
	f.wg.Go(f.accept)
	t.Cleanup(func() {
		_ = l.Close()
		f.cut()
		f.wg.Wait()
	})
	return f
}

func (f *forwarder) accept() {
	for {
		near, err := f.listener.Accept()
		if err != nil {
			return
		}
		f.mu.Lock()
		refuses := f.refuses
		f.mu.Unlock()
		if refuses {
			_ = near.Close()
			continue
		}
		far, err := net.DialTimeout("tcp", f.target, time.Second)
		if err != nil {
			_ = near.Close()
			continue
		}
		f.mu.Lock()
		f.conns = append(f.conns, near.(*net.TCPConn), far.(*net.TCPConn))
		f.mu.Unlock()
		count, counted := io.Pipe()
		f.wg.Go(func() { f.pass(far, near, io.Discard); _ = counted.Close() })
		f.wg.Go(func() { f.pass(near, far, counted); _ = counted.Close() })
		f.wg.Go(func() { f.count(count) })
	}
}

// pass copies from one side to the other, and to tee, until one ends. What is swallowed was read and goes nowhere.
func (f *forwarder) pass(to, from net.Conn, tee io.Writer) {
	defer func() { _ = to.Close(); _ = from.Close() }()
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		f.mu.Lock()
		swallows := f.swallows
		f.mu.Unlock()
		if swallows {
			continue
		}
		if _, err := to.Write(buf[:n]); err != nil {
			return
		}
		_, _ = tee.Write(buf[:n])
	}
}

// count reads what FreeSWITCH tells.
func (f *forwarder) count(r *io.PipeReader) {
	defer func() { _ = r.CloseWithError(errors.New("not read any more")) }()
	messages := wire.NewReader(r, wire.Limits{})
	for {
		m, err := messages.Read()
		if err != nil {
			return
		}
		if m.ContentType() != wire.TypeEventPlain && m.ContentType() != wire.TypeEventJSON {
			continue
		}
		if e, err := wire.ParseEvent(m); err == nil && e.Name() == "CHANNEL_HANGUP_COMPLETE" {
			f.mu.Lock()
			f.ends[e.UUID()]++
			f.mu.Unlock()
		}
	}
}

// cut resets every connection.
func (f *forwarder) cut() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range f.conns {
		_ = c.SetLinger(0)
		_ = c.Close()
	}
	f.conns = nil
}

func (f *forwarder) swallow(yes bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.swallows = yes
}

// refuse resets every connection and takes none for long, until it is said again.
func (f *forwarder) refuse(yes bool) {
	f.mu.Lock()
	f.refuses = yes
	f.mu.Unlock()
	if yes {
		f.cut()
	}
}

// seen says how often the end of a call was told.
func (f *forwarder) seen(uuid string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.ends[uuid]
}
