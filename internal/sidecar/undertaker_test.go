package sidecar

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/signalbox/signalbox/esl/wire"
	"github.com/signalbox/signalbox/internal/call"
	"github.com/signalbox/signalbox/internal/store"
)

// channels is a switch on which these channels live.
type channels map[string]bool

func (c channels) Alive(_ context.Context, uuid string) (bool, error) {
	alive, ok := c[uuid]
	if !ok {
		return false, nil
	}
	if !alive {
		return false, errors.New("the link broke off")
	}
	return true, nil
}

func left(t *testing.T, s *shelf, records ...call.Record) {
	t.Helper()
	for _, r := range records {
		if err := s.Open(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
}

func of(owner, id string, change func(*call.Record)) call.Record {
	r := record(id, "", false)
	r.Owner = owner
	r.Updated = began.Add(10 * time.Second)
	if change != nil {
		change(&r)
	}
	return r
}

func event(t *testing.T, fields ...string) *wire.Event {
	t.Helper()
	var list []wire.Field
	for i := 0; i+1 < len(fields); i += 2 {
		list = append(list, wire.Field{Name: fields[i], Value: fields[i+1]})
	}
	m, err := wire.NewReader(strings.NewReader(string(wire.AppendEventPlain(nil, list, nil))), wire.Limits{}).Read()
	if err != nil {
		t.Fatal(err)
	}
	e, err := wire.ParseEvent(m)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func hangup(t *testing.T, uuid string) *wire.Event {
	return event(t, "Event-Name", "CHANNEL_HANGUP_COMPLETE", "Unique-ID", uuid, "Hangup-Cause", "NORMAL_CLEARING", "Event-Date-Timestamp", "1772366520000000")
}

var attached = began.Add(5 * time.Minute)

func TestUndertakerClosesWhatEndedWhileNobodyLooked(t *testing.T) {
	s := newShelf()
	left(t, s, of("dead", "1", nil), of("dead", "2", func(r *call.Record) { r.Answered = began.Add(3 * time.Second) }),
		of("dead", "3", func(r *call.Record) { r.Result = call.NoAnswer }), of("dead", "4", func(r *call.Record) { r.Result = call.CallerGone }),
		of("me", "mine", nil), of("dead", "elsewhere", func(r *call.Record) { r.Node = "fs2" }))
	u := NewUndertaker(s, "me", nil)
	if err := u.Attach(t.Context(), "fs1", channels{}, attached); err != nil {
		t.Fatal(err)
	}
	for id, want := range map[string]call.Result{"1": call.Broken, "2": call.Answered, "3": call.Broken, "4": call.CallerGone} {
		r := s.kept[id]
		if !s.closed[id] || r.Result != want || r.Cause != "" || !r.Ended.Equal(attached) {
			t.Errorf("record %s: closed %v, %s, cause %q, ended %s", id, s.closed[id], r.Result, r.Cause, r.Ended)
		}
		if want := "ended between 2026-03-01T12:00:10Z and 2026-03-01T12:05:00Z, cause unknown: no sidecar was there"; r.Note != want {
			t.Errorf("record %s says %q, want %q", id, r.Note, want)
		}
	}
	for _, id := range []string{"mine", "elsewhere"} {
		if s.closed[id] || s.kept[id].Note != "" {
			t.Errorf("record %s was touched: %+v", id, s.kept[id])
		}
	}
}

func TestUndertakerSeesTheEndOfACallThatStillLives(t *testing.T) {
	s := newShelf()
	left(t, s, of("dead", "1", func(r *call.Record) { r.Answered = began.Add(3 * time.Second) }), of("dead", "2", nil), of("me", "mine", nil))
	u := NewUndertaker(s, "me", nil)
	if err := u.Attach(t.Context(), "fs1", channels{"u-1": true, "u-2": true, "u-mine": true}, attached); err != nil {
		t.Fatal(err)
	}
	for _, e := range []*wire.Event{hangup(t, "u-mine"), hangup(t, "u-another"), event(t, "Event-Name", "CHANNEL_ANSWER", "Unique-ID", "u-1"), event(t, "Event-Name", "HEARTBEAT")} {
		u.Event(t.Context(), e)
	}
	if s.closed["1"] || s.closed["2"] || s.closed["mine"] {
		t.Fatalf("closed before the end: %v", s.closed)
	}
	u.Event(t.Context(), hangup(t, "u-1"))
	r := s.kept["1"]
	if !s.closed["1"] || r.Result != call.Answered || r.Cause != "NORMAL_CLEARING" || !r.Ended.Equal(time.UnixMicro(1772366520000000)) || !strings.Contains(r.Note, "seen by the next one") {
		t.Errorf("record %+v", r)
	}
	// An event without a time is no reason to leave the record open.
	u.Event(t.Context(), event(t, "Event-Name", "CHANNEL_HANGUP_COMPLETE", "Unique-ID", "u-2", "Hangup-Cause", "USER_BUSY"))
	if r := s.kept["2"]; !s.closed["2"] || r.Open() || r.Cause != "USER_BUSY" || r.Result != call.Broken {
		t.Errorf("record %+v", r)
	}
}

func TestUndertakerTriesAgainWhatTheStoreDidNotTake(t *testing.T) {
	s := newShelf()
	left(t, s, of("dead", "1", nil), of("dead", "2", nil))
	u := NewUndertaker(s, "me", nil)
	if err := u.Attach(t.Context(), "fs1", channels{"u-1": true, "u-2": true}, attached); err != nil {
		t.Fatal(err)
	}
	s.set(func() { s.down = store.ErrUnavailable })
	u.Event(t.Context(), hangup(t, "u-1"))
	u.Event(t.Context(), hangup(t, "u-2"))
	u.Event(t.Context(), event(t, "Event-Name", "HEARTBEAT"))
	if s.closed["1"] || s.closed["2"] {
		t.Fatal("a store that is down has closed records")
	}
	s.set(func() { s.down = nil })
	u.Event(t.Context(), event(t, "Event-Name", "HEARTBEAT"))
	for _, id := range []string{"1", "2"} {
		if r := s.kept[id]; !s.closed[id] || r.Cause != "NORMAL_CLEARING" || !r.Ended.Equal(time.UnixMicro(1772366520000000)) {
			t.Errorf("record %s: closed %v, %+v", id, s.closed[id], r)
		}
	}
}

func TestUndertakerTellsItsNodeWhenItCouldNotLook(t *testing.T) {
	s := newShelf()
	left(t, s, of("dead", "1", nil), of("dead", "2", func(r *call.Record) { r.Started = began.Add(time.Second) }))
	u := NewUndertaker(s, "me", nil)
	s.down = store.ErrUnavailable
	if err := u.Attach(t.Context(), "fs1", channels{}, attached); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("store down: %v", err)
	}
	s.down = nil
	if err := u.Attach(t.Context(), "fs1", channels{"u-1": false}, attached); err == nil || s.closed["1"] {
		t.Errorf("a switch that does not answer: %v, closed %v", err, s.closed["1"])
	}
	if err := u.Attach(t.Context(), "fs1", channels{}, attached); err != nil || !s.closed["1"] || !s.closed["2"] {
		t.Errorf("the next look: %v, closed %v", err, s.closed)
	}
}

// The end was seen, the store did not take it, and the link was lost: the next look must not invent another end.
func TestUndertakerKeepsTheEndItHasSeen(t *testing.T) {
	s := newShelf()
	left(t, s, of("dead", "1", nil))
	u := NewUndertaker(s, "me", nil)
	if err := u.Attach(t.Context(), "fs1", channels{"u-1": true}, attached); err != nil {
		t.Fatal(err)
	}
	s.refuse["1"] = store.ErrUnavailable
	u.Event(t.Context(), hangup(t, "u-1"))
	if err := u.Attach(t.Context(), "fs1", channels{}, attached.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	delete(s.refuse, "1")
	if err := u.Attach(t.Context(), "fs1", channels{}, attached.Add(2*time.Hour)); err != nil {
		t.Fatal(err)
	}
	if r := s.kept["1"]; !s.closed["1"] || r.Cause != "NORMAL_CLEARING" || !r.Ended.Equal(time.UnixMicro(1772366520000000)) {
		t.Errorf("record %+v", r)
	}
}

func TestUndertakerLeavesARecordThatIsNotTheDeadOnes(t *testing.T) {
	s := newShelf()
	left(t, s, of("dead", "1", nil), of("dead", "2", func(r *call.Record) { r.Started = began.Add(time.Second) }))
	s.refuse["1"] = store.ErrOwner
	u := NewUndertaker(s, "me", nil)
	if err := u.Attach(t.Context(), "fs1", channels{}, attached); err != nil {
		t.Errorf("a record that somebody else has: %v", err)
	}
	if !s.closed["2"] {
		t.Error("it kept the next record from being closed")
	}
}
