package eventrate

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/percipia/eslgo"
	"github.com/percipia/eslgo/command"

	"github.com/signalbox/signalbox/esl"
	"github.com/signalbox/signalbox/esl/wire"
)

// Consumer is what is asked of each event.
type Consumer struct {
	Name   string
	Fields []string // header names; none = the event is only taken
}

// sequence and channel are the headers by which a round is checked.
const (
	sequence = "Event-Sequence"
	channel  = "Unique-ID"
)

// Consumers are the kinds of consumers measured: the one that only waits for something else, one that does what
// Signalbox does to a call's events, and one that fills a call record.
func Consumers() []Consumer {
	controller := []string{"Event-Name", channel, sequence, "Application-UUID", "Answer-State", "Hangup-Cause",
		"variable_sip_call_id", "variable_originate_disposition", "variable_signalbox_handed_back"}
	return []Consumer{
		{Name: "reads nothing"},
		{Name: fmt.Sprintf("controller, %d fields", len(controller)), Fields: controller},
		{Name: "call record, 20 fields", Fields: append(controller[:len(controller):len(controller)], "Core-UUID", "Event-Date-Timestamp",
			"Caller-Caller-ID-Number", "Caller-Caller-ID-Name", "Caller-Destination-Number", "Caller-Channel-Answered-Time",
			"Channel-Name", "variable_sip_from_uri", "variable_sip_hangup_disposition", "variable_last_bridge_hangup_cause",
			"variable_read_codec")},
	}
}

// mark is one event as its consumer took it.
type mark struct{ channel, sequence string }

// taken collects what a consumer took. Consumers of eslgo run at the same time; the place of each is drawn as the first thing it does.
type taken struct {
	n     atomic.Int64
	marks []mark
	bytes atomic.Int64 // of the values read, so that no look-up is in vain
	all   chan struct{}
}

func newTaken(events int) *taken {
	return &taken{marks: make([]mark, events), all: make(chan struct{})}
}

// take is what every consumer does with an event.
func (t *taken) take(c Consumer, get func(name string) string) {
	n := t.n.Add(1)
	if n > int64(len(t.marks)) {
		return // more than were sent: told by the number
	}
	m, size := &t.marks[n-1], 0
	for _, name := range c.Fields {
		value := get(name)
		size += len(value)
		switch name {
		case channel:
			m.channel = value
		case sequence:
			m.sequence = value
		}
	}
	t.bytes.Add(int64(size))
	if n == int64(len(t.marks)) {
		close(t.all)
	}
}

// disorder counts the events that came to the consumer behind a later one of the same channel.
func (t *taken) disorder() (n int) {
	last := make(map[string]string)
	for _, m := range t.marks[:min(t.n.Load(), int64(len(t.marks)))] {
		if m.channel == "" {
			continue
		}
		if m.sequence < last[m.channel] { // all have the same number of digits
			n++
			continue
		}
		last[m.channel] = m.sequence
	}
	return n
}

// client is a connection of one of the two libraries.
type client interface {
	// begin subscribes; take gets each event from then on.
	begin(ctx context.Context, consumer Consumer, t *taken) error
	echo(ctx context.Context, text string) (string, error)
	close()
}

// ours is a connection of package esl.
type ours struct {
	conn   *esl.Conn
	format esl.Format
	wg     sync.WaitGroup
}

func dialOurs(ctx context.Context, addr string, json bool) (client, error) {
	o := &ours{}
	if json {
		o.format = esl.JSON
	}
	var err error
	o.conn, err = esl.Dial(ctx, esl.DialOptions{Addr: addr, Password: "ClueCon", ConnOptions: esl.ConnOptions{
		EventQueue: 8192, Format: o.format, CommandTimeout: commandTime, // the queue of a Link
	}})
	if err != nil {
		return nil, err
	}
	return o, nil
}

func (o *ours) begin(ctx context.Context, consumer Consumer, t *taken) error {
	o.wg.Go(func() {
		var e *wire.Event
		get := func(name string) string { return e.Get(name) }
		for e = range o.conn.Events() {
			t.take(consumer, get)
		}
	})
	return o.conn.Subscribe(ctx, "ALL")
}

func (o *ours) echo(ctx context.Context, text string) (string, error) {
	return o.conn.API(ctx, "echo "+text)
}

func (o *ours) close() {
	_ = o.conn.Close()
	o.wg.Wait()
}

// theirs is a connection of eslgo.
type theirs struct{ conn *eslgo.Conn }

func dialTheirs(addr string) (client, error) {
	opts := eslgo.DefaultInboundOptions
	opts.Logger = eslgo.NilLogger{}
	opts.ExitTimeout = time.Second
	conn, err := opts.Dial(addr)
	if err != nil {
		return nil, err
	}
	return &theirs{conn: conn}, nil
}

func (o *theirs) begin(ctx context.Context, consumer Consumer, t *taken) error {
	o.conn.RegisterEventListener(eslgo.EventListenAll, func(e *eslgo.Event) { t.take(consumer, e.GetHeader) })
	_, err := o.conn.SendCommand(ctx, command.Event{Format: "plain", Listen: []string{"ALL"}})
	return err
}

func (o *theirs) echo(ctx context.Context, text string) (string, error) {
	r, err := o.conn.SendCommand(ctx, command.API{Command: "echo", Arguments: text})
	if err != nil {
		return "", err
	}
	return strings.TrimRight(r.GetReply(), "\r\n"), nil
}

func (o *theirs) close() { o.conn.ExitAndClose() }
