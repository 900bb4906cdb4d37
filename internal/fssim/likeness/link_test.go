package likeness

import (
	"crypto/rand"
	"encoding/hex"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/signalbox/signalbox/esl/wire"
)

// patience is how long a fact is waited for before the test fails.
const patience = 20 * time.Second

func token() string {
	var b [6]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// link is one Event Socket connection, spoken to by hand: everything that came, in its order.
type link struct {
	t    testing.TB
	conn net.Conn

	mu      sync.Mutex
	replies []*wire.Message
	events  []*wire.Event
	notices []*wire.Message
	closed  bool
	news    chan struct{}
	sent    []string // the commands, for the transcript
	done    chan struct{}
	sort    func(*wire.Event) // given = gets the events in the place of events
}

func newLink(t testing.TB, conn net.Conn) *link {
	l := &link{t: t, conn: conn, news: make(chan struct{}, 1), done: make(chan struct{})}
	go l.read()
	t.Cleanup(func() { _ = conn.Close(); <-l.done })
	return l
}

func (l *link) read() {
	defer close(l.done)
	r := wire.NewReader(l.conn, wire.Limits{})
	for {
		m, err := r.Read()
		l.mu.Lock()
		switch {
		case err != nil:
			l.closed = true
		case m.ContentType() == wire.TypeEventPlain || m.ContentType() == wire.TypeEventJSON:
			if e, err := wire.ParseEvent(m); err == nil && l.sort != nil {
				l.sort(e)
			} else if err == nil {
				l.events = append(l.events, e)
			} else {
				l.t.Errorf("an event that cannot be read: %v", err)
			}
		case m.ContentType() == wire.TypeDisconnectNotice:
			l.notices = append(l.notices, m)
		default:
			l.replies = append(l.replies, m)
		}
		over := l.closed
		l.mu.Unlock()
		select {
		case l.news <- struct{}{}:
		default:
		}
		if over {
			return
		}
	}
}

// until waits until ok, which is asked with the lock held; it reports false when that does not happen in time.
func (l *link) until(limit time.Duration, ok func() bool) bool {
	deadline := time.After(limit)
	for {
		l.mu.Lock()
		yes, closed := ok(), l.closed
		l.mu.Unlock()
		if yes || closed {
			return yes
		}
		select {
		case <-l.news:
		case <-deadline:
			return false
		}
	}
}

// write sends a message without waiting.
func (l *link) write(text string) {
	l.mu.Lock()
	l.sent = append(l.sent, text)
	l.mu.Unlock()
	_, _ = l.conn.Write([]byte(text + "\n\n")) // a closed link is seen by the reader
}

// cmd sends a message and waits for its reply.
func (l *link) cmd(text string) *wire.Message {
	l.t.Helper()
	l.mu.Lock()
	n := len(l.sent)
	l.mu.Unlock()
	l.write(text)
	if !l.until(patience, func() bool { return len(l.replies) > n }) {
		l.t.Fatalf("no reply to %q", text)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.replies[n]
}

// api runs an API command and returns its output.
func (l *link) api(text string) string {
	l.t.Helper()
	return string(l.cmd("api " + text).Body)
}

// execute queues an application.
func (l *link) execute(app, arg string) {
	l.t.Helper()
	text := "sendmsg\ncall-command: execute\nexecute-app-name: " + app + "\n"
	if arg != "" {
		text += "execute-app-arg: " + arg + "\n"
	}
	l.cmd(text + "event-lock: true")
}

// run queues an application and waits for its end.
func (l *link) run(app, arg string) *wire.Event {
	l.t.Helper()
	n := l.count("CHANNEL_EXECUTE_COMPLETE " + app)
	l.execute(app, arg)
	return l.wait("CHANNEL_EXECUTE_COMPLETE "+app, n+1)
}

// key names an event: with its application, or the subclass and action.
func key(e *wire.Event) string {
	k := e.Name()
	switch {
	case strings.HasPrefix(k, "CHANNEL_EXECUTE"):
		k += " " + e.Get("Application")
	case k == "CUSTOM":
		k = strings.TrimSpace(e.Subclass() + " " + e.Get("Action"))
	}
	return k
}

func (l *link) count(k string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for _, e := range l.events {
		if key(e) == k {
			n++
		}
	}
	return n
}

// wait waits for the n-th event of a key, counted from 1.
func (l *link) wait(k string, n int) *wire.Event {
	l.t.Helper()
	var found *wire.Event
	look := func() bool {
		i := 0
		for _, e := range l.events {
			if key(e) == k {
				if i++; i == n {
					found = e
					return true
				}
			}
		}
		return false
	}
	if !l.until(patience, look) {
		l.mu.Lock()
		defer l.mu.Unlock()
		var have []string
		for _, e := range l.events {
			have = append(have, key(e))
		}
		l.t.Fatalf("%s does not come; there were: %s", k, strings.Join(have, ", "))
	}
	return found
}

// gone waits until the far end closed the connection.
func (l *link) gone() {
	l.t.Helper()
	select {
	case <-l.done:
	case <-time.After(patience):
		l.t.Fatal("the connection stays open")
	}
}

// dropEvents leaves what came so far out of the transcript.
func (l *link) dropEvents() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.events = nil
}
