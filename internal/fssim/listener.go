package fssim

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/signalbox/signalbox/esl/wire"
	"go.uber.org/zap"
)

// Bounds of one Event Socket connection, FreeSWITCH's own: 100,000 events wait, and after 500 lost ones the listener
// is killed.
const (
	maxQueuedEvents = 100000
	maxMissed       = 500
	commandWait     = 25 * time.Second // for auth or connect
	writeWait       = 10 * time.Second
)

// listener is one Event Socket connection, inbound or outbound. Its owner is the goroutine in run, which answers
// commands and writes events; reader only parses. Publishers reach it by offer.
type listener struct {
	s       *Switch
	conn    net.Conn
	session *channel // outbound, or after "myevents UUID"
	async   bool
	full    bool
	log     *zap.Logger

	// Written before run, or owned by it.
	authed     bool
	connected  chan struct{} // closed at "connect"
	finished   chan struct{} // closed when run returns
	isUp       bool
	running    bool
	lingerTime int // seconds; -1 = for ever
	lingerEnd  int64
	notified   bool
	resume     bool
	user       *User // after userauth
	outbound   bool
	unwatch    func() // after "myevents UUID"
	dice       dice
	written    int // bytes, for Mischief

	mu       sync.Mutex
	linger   bool
	deaf     bool // its channel is hung up, and without linger the rest of the events is lost
	events   bool // subscribed to anything
	json     bool
	all      bool
	list     map[string]bool
	custom   map[string]bool
	myEvents bool
	filters  []wire.Field
	queue    []*event
	missed   int
	dead     bool
	wake     chan struct{}
}

func (s *Switch) newListener(conn net.Conn, session *channel) *listener {
	return &listener{s: s, conn: conn, session: session, log: s.log.With(zap.String("peer", conn.RemoteAddr().String())),
		connected: make(chan struct{}), finished: make(chan struct{}), running: true,
		dice: s.opt.Mischief.dice(s.serial.Add(1)), list: map[string]bool{}, custom: map[string]bool{}, wake: make(chan struct{}, 1), outbound: session != nil}
}

// command is what the reader hands to the owner.
type command struct {
	cmd *wire.Command
	err error
}

// run serves the connection until one side ends it.
func (l *listener) run() {
	defer func() {
		close(l.finished)
		if l.session != nil {
			l.session.signal()
		}
	}()
	if !l.s.addListener(l) {
		l.conn.Close()
		return
	}
	defer l.s.removeListener(l)
	stop := context.AfterFunc(l.s.ctx, func() { l.conn.SetReadDeadline(time.Now()) })
	defer stop()
	cmds := make(chan command)
	done := make(chan struct{})
	var reader sync.WaitGroup
	reader.Go(func() { l.read(cmds, done) })
	defer func() {
		close(done)
		l.conn.Close()
		reader.Wait()
	}()
	if l.session != nil {
		defer l.session.watch(l.wake)()
		l.authed = true
	} else {
		l.write(wire.AppendAuthRequest(nil))
	}
	l.serve(cmds)
	if l.unwatch != nil {
		l.unwatch()
	}
	l.end()
}

func (l *listener) read(cmds chan<- command, done <-chan struct{}) {
	r := bufio.NewReader(l.conn)
	for {
		c, err := wire.ReadCommand(r, wire.Limits{})
		select {
		case cmds <- command{c, err}:
		case <-done:
			return
		}
		if err != nil {
			return
		}
	}
}

// serve is the loop: a command, else the queued events, else the news of the channel.
func (l *listener) serve(cmds <-chan command) {
	first := time.Now().Add(commandWait)
	got := false
	for l.running {
		select {
		case c := <-cmds:
			got = l.take(c) || got
			continue
		default:
		}
		l.flush()
		if !l.watchChannel() {
			return
		}
		wait := time.Hour
		if !got && (!l.authed || l.session != nil) {
			if wait = time.Until(first); wait <= 0 {
				return
			}
		}
		if l.notified && l.lingerTime >= 0 {
			wait = tick
		}
		t := time.NewTimer(wait)
		select {
		case c := <-cmds:
			got = l.take(c) || got
		case <-l.wake:
		case <-t.C:
		case <-l.s.done:
			l.running = false
		}
		t.Stop()
	}
}

func (l *listener) take(c command) bool {
	if c.err != nil {
		if !errors.Is(c.err, io.EOF) && !l.s.stopped() {
			l.log.Info("event socket connection lost", zap.Error(c.err))
		}
		l.running = false
		return false
	}
	l.late()
	l.handle(c.cmd)
	return true
}

// watchChannel notices that the channel of the connection, the controlled one or that of "myevents UUID", is gone: with linger the connection stays for a while, without it
// ends at once. It reports whether the connection goes on.
func (l *listener) watchChannel() bool {
	if l.session == nil {
		return true
	}
	if l.notified {
		return l.lingerTime < 0 || time.Now().Unix() <= l.lingerEnd
	}
	l.session.mu.Lock()
	gone := l.session.gone
	name := l.session.name
	l.session.mu.Unlock()
	if !gone {
		return true
	}
	l.flush() // what was published before the hangup was seen
	l.notified = true
	l.mu.Lock()
	lingers := l.linger
	l.mu.Unlock()
	if !lingers {
		return false
	}
	l.write(wire.AppendLinger(nil, l.session.uuid, name, l.lingerTime))
	l.lingerEnd = time.Now().Unix() + int64(l.lingerTime)
	return true
}

// end is the goodbye, and the controller's death as the channel sees it.
func (l *listener) end() {
	l.mu.Lock()
	l.dead = true
	l.queue = nil
	l.mu.Unlock()
	uuid := ""
	if l.session != nil {
		uuid = l.session.uuid
	}
	if l.session != nil && l.outbound {
		c := l.session
		c.mu.Lock()
		res, _ := c.find("socket_resume")
		if (l.resume || isTrue(res)) && c.transfer == nil && c.state < csReset {
			c.state = csReset
		}
		c.mu.Unlock()
	}
	l.write(wire.AppendDisconnect(nil, uuid))
	if l.session != nil && l.outbound {
		l.session.uncontrol()
	}
}

func (l *listener) write(b []byte) {
	_ = l.conn.SetWriteDeadline(time.Now().Add(writeWait))
	if l.s.opt.Mischief.quiet() {
		if _, err := l.conn.Write(b); err != nil {
			l.running = false
		}
		return
	}
	if !l.crumble(b) {
		l.running = false
	}
}

// flush writes the queued events.
func (l *listener) flush() {
	for {
		l.gather()
		l.mu.Lock()
		q := l.queue
		l.queue = nil
		asJSON := l.json
		l.mu.Unlock()
		if len(q) == 0 {
			return
		}
		l.shuffle(q)
		var b []byte
		for _, e := range q {
			if asJSON {
				b = wire.AppendEventJSON(b, e.fields, e.body)
			} else {
				b = wire.AppendEventPlain(b, e.fields, e.body)
			}
			if len(b) > 256<<10 {
				l.write(b)
				b = b[:0]
			}
		}
		l.write(b)
	}
}

// offer queues an event if the connection asked for it. It never blocks.
func (l *listener) offer(e *event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.outbound && !l.linger && e.name == "CHANNEL_HANGUP" && l.session != nil && e.get("Unique-ID") == l.session.uuid {
		l.deaf = true
	}
	if l.dead || l.deaf || !l.events || !l.wants(e) {
		return
	}
	if len(l.queue) >= maxQueuedEvents {
		if l.missed++; l.missed > maxMissed {
			l.dead = true
			l.conn.Close()
		}
		return
	}
	l.missed = 0
	l.queue = append(l.queue, e)
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// wants decides by subscription, filters and myevents. The caller holds mu.
func (l *listener) wants(e *event) bool {
	if !l.all && !l.list[e.name] {
		return false
	}
	if !l.all && e.name == "CUSTOM" && e.subclass != "" && !l.custom[e.subclass] {
		return false
	}
	if len(l.filters) > 0 && !l.filtered(e) {
		return false
	}
	if l.myEvents && l.session != nil {
		return e.get("Unique-ID") == l.session.uuid || e.get("Job-Owner-UUID") == l.session.uuid
	}
	return !l.myEvents
}

// matchesFilter compares a header with a filter, whose signs are taken off in want: a regular expression only without signs.
func matchesFilter(value, filter, want string) bool {
	if !strings.HasPrefix(filter, "/") {
		return strings.EqualFold(value, want)
	}
	pattern, flags := filter[1:], ""
	end := strings.LastIndexByte(pattern, '/')
	if end < 0 {
		return false
	}
	if strings.Contains(pattern[end:], "i") {
		flags = "(?i)"
	}
	re, err := regexp.Compile(flags + pattern[:end])
	return err == nil && re.MatchString(value)
}

// filtered applies the filters as FreeSWITCH does: any that matches lets the event pass, one with "-" that matches
// keeps it back.
func (l *listener) filtered(e *event) bool {
	send := false
	for _, f := range l.filters {
		v := e.get(f.Name)
		if v == "" {
			continue
		}
		pos := true
		want := f.Value
		for len(want) > 0 && strings.ContainsRune("+- ", rune(want[0])) {
			if want[0] != ' ' {
				pos = want[0] == '+'
			}
			want = want[1:]
		}
		if send && pos {
			continue
		}
		if matchesFilter(v, f.Value, want) {
			if !pos {
				return false
			}
			send = true
		}
	}
	return send
}
