package eventrate

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/signalbox/signalbox/esl/wire"
)

// feeder starts a feeder in this process.
func feeder(t *testing.T, load Load) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	over := make(chan error, 1)
	go func() { over <- Feed(ctx, l, load) }()
	t.Cleanup(func() {
		cancel()
		if err := <-over; err != nil {
			t.Error(err)
		}
	})
	return l.Addr().String()
}

// TestOursLosesNothing: every event is delivered, in order within each call, and every caller gets its own answer, in both formats
// and for each consumer.
func TestOursLosesNothing(t *testing.T) {
	for _, load := range []Load{
		{Events: 2000, PerReply: 5, Burst: 8, Calls: 50, Seed: 1},
		{Events: 1000, PerReply: 1, Burst: 1, Calls: 3, Seed: 2, JSON: true},
	} {
		addr := feeder(t, load)
		for _, consumer := range Consumers() {
			r, err := Run(t.Context(), Ours, addr, load, 16, consumer)
			if err != nil {
				t.Fatal(err)
			}
			if r.Events != int64(load.Events) || r.Replies != int64(load.Replies()) {
				t.Errorf("%s: %d of %d events, %d of %d replies", consumer.Name, r.Events, load.Events, r.Replies, load.Replies())
			}
			if wrong := Wrong([]Result{{Consumer: consumer.Name, Rounds: []Round{r}}}); wrong != "" {
				t.Error(wrong)
			}
			if read := r.ValueBytes > 0; read != (len(consumer.Fields) > 0) {
				t.Errorf("%s read %d bytes of values", consumer.Name, r.ValueBytes)
			}
		}
	}
}

// TestStreamIsWhatFreeSWITCHSends: many calls in turn, each event whole, its numbers rising, and as plain and JSON the same.
func TestStreamIsWhatFreeSWITCHSends(t *testing.T) {
	read := func(json bool) []*wire.Event {
		made, err := scripts(json)
		if err != nil {
			t.Fatal(err)
		}
		s := newStream(made, 20, 7)
		var b []byte
		for range 500 {
			b = s.appendNext(b)
		}
		r := wire.NewReader(bytes.NewReader(b), wire.Limits{})
		var all []*wire.Event
		for {
			m, err := r.Read()
			if errors.Is(err, io.EOF) {
				return all
			}
			if err != nil {
				t.Fatal(err)
			}
			e, err := wire.ParseEvent(m)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, e)
		}
	}
	plain, json := read(false), read(true)
	if len(plain) != 500 || len(json) != 500 {
		t.Fatalf("%d plain, %d JSON events, want 500", len(plain), len(json))
	}
	channels := make(map[string]bool)
	for i, e := range plain {
		if got, want := e.Sequence(), uint64(firstSequence+i); got != want {
			t.Fatalf("event %d has number %d, want %d", i, got, want)
		}
		if json[i].Name() != e.Name() || json[i].UUID() != e.UUID() || json[i].Sequence() != e.Sequence() || !bytes.Equal(json[i].Body(), e.Body()) {
			t.Errorf("event %d: plain %s %s, JSON %s %s", i, e.Name(), e.UUID(), json[i].Name(), json[i].UUID())
		}
		channels[e.UUID()] = true
	}
	if len(channels) < 20 {
		t.Errorf("only %d channels of 20 calls", len(channels))
	}
}

// TestDisorderIsSeen: the count that is claimed to be 0 is not always 0.
func TestDisorderIsSeen(t *testing.T) {
	tests := []struct {
		order string // channel and number of each event taken
		want  int
	}{
		{"a1 b2 a3 b4", 0},
		{"b2 a1 b4 a3", 0}, // of different calls
		{"a1 a3 a2 a4", 1},
		{"a4 a1 a2 a3", 3},
		{"-9 -1 -5", 0}, // events of no channel
	}
	for _, tt := range tests {
		events := strings.Fields(tt.order)
		taken := newTaken(len(events))
		for _, e := range events {
			taken.take(Consumer{Fields: []string{channel, sequence}}, func(name string) string {
				if name == channel {
					return strings.Trim(e[:1], "-")
				}
				return e[1:]
			})
		}
		if got := taken.disorder(); got != tt.want {
			t.Errorf("%s: %d out of order, want %d", tt.order, got, tt.want)
		}
	}
}

// swapped answers every second command with the text of another caller.
type swapped struct{ client }

func (swapped) echo(_ context.Context, text string) (string, error) {
	if strings.HasSuffix(text, "0") {
		return "another caller's", nil
	}
	if strings.HasSuffix(text, "1") {
		return "", context.DeadlineExceeded
	}
	return text, nil
}

func TestWrongRepliesAreSeen(t *testing.T) {
	var got tally
	got.ask(t.Context(), swapped{}, 4, 100)
	if got.right.Load() != 80 || got.wrong.Load() != 10 || got.none.Load() != 10 {
		t.Errorf("%d right, %d wrong, %d without", got.right.Load(), got.wrong.Load(), got.none.Load())
	}
}

func TestTableShowsTheLowestRatio(t *testing.T) {
	round := func(client string, events int64) Round { return Round{Client: client, Events: events, User: 1e9} }
	var b strings.Builder
	lowest, err := Table(&b, []Result{
		{Consumer: "one", Rounds: []Round{round(Ours, 100), round(Ours, 1), round(Ours, 200)}},
		{Consumer: "one", Rounds: []Round{round(Theirs, 10)}},
		{Consumer: "two", Rounds: []Round{round(Ours, 60)}},
		{Consumer: "two", Rounds: []Round{round(Theirs, 20)}},
	})
	if err != nil || lowest != 3 || !strings.Contains(b.String(), "1 : 10.0") {
		t.Errorf("lowest %v, %v\n%s", lowest, err, b.String())
	}
}
