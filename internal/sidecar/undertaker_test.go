package sidecar

import (
	"context"
	"errors"
	"fmt"
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

func (c channels) Stage(ctx context.Context, uuid string) (string, error) {
	if alive, err := c.Alive(ctx, uuid); !alive || err != nil {
		return "", err
	}
	return "talked", nil
}

func (channels) CoreUUID() string { return "core" }

// restarted is a switch after a restart: nothing of before lives on it.
type restarted struct{ channels }

func (restarted) CoreUUID() string { return "another core" }

// under makes an undertaker of this process, "me", and the function that has its ledger write what it can.
func under(t *testing.T, s *shelf) (*Undertaker, func()) {
	t.Helper()
	l := NewLedger(s, "", nil)
	return NewUndertaker(s, l, "me", func(node string) bool { return node == "fs1" }, nil), func() {
		for {
			if wrote, err := l.step(t.Context()); err != nil || !wrote {
				return
			}
		}
	}
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
	u, write := under(t, s)
	if err := u.Attach(t.Context(), "fs1", channels{}, attached); err != nil {
		t.Fatal(err)
	}
	write()
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

func TestUndertakerLeavesTheRecordsOfASidecarThatLives(t *testing.T) {
	s := newShelf()
	left(t, s, of("other", "theirs", nil), of("dead", "1", nil))
	u, write := under(t, s)
	live := map[string]bool{"other": true}
	var failed error
	u.Beside(func(context.Context) (map[string]bool, error) { return live, failed })
	failed = errors.New("the store is silent")
	if err := u.Attach(t.Context(), "fs1", channels{}, attached); !errors.Is(err, failed) {
		t.Errorf("nobody knows who lives: %v", err)
	}
	failed = nil
	if err := u.Attach(t.Context(), "fs1", channels{}, attached); err != nil {
		t.Fatal(err)
	}
	u.Event(hangup(t, s.kept["theirs"].UUID))
	write()
	if s.closed["theirs"] || !s.closed["1"] {
		t.Errorf("closed are %v, want that of the dead one alone", s.closed)
	}
	live = nil
	u.Died(t.Context(), attached.Add(time.Minute))
	write()
	if !s.closed["theirs"] {
		t.Error("the record is open after its sidecar died")
	}
}

func TestUndertakerSeesTheEndOfACallThatStillLives(t *testing.T) {
	s := newShelf()
	left(t, s, of("dead", "1", func(r *call.Record) { r.Answered = began.Add(3 * time.Second) }), of("dead", "2", nil), of("me", "mine", nil))
	u, write := under(t, s)
	if err := u.Attach(t.Context(), "fs1", channels{"u-1": true, "u-2": true, "u-mine": true}, attached); err != nil {
		t.Fatal(err)
	}
	for _, e := range []*wire.Event{hangup(t, "u-mine"), hangup(t, "u-another"), event(t, "Event-Name", "CHANNEL_ANSWER", "Unique-ID", "u-1"), event(t, "Event-Name", "HEARTBEAT")} {
		u.Event(e)
	}
	write()
	if s.closed["1"] || s.closed["2"] || s.closed["mine"] {
		t.Fatalf("closed before the end: %v", s.closed)
	}
	u.Event(hangup(t, "u-1"))
	write()
	r := s.kept["1"]
	if !s.closed["1"] || r.Result != call.Answered || r.Cause != "NORMAL_CLEARING" || !r.Ended.Equal(time.UnixMicro(1772366520000000)) || !strings.Contains(r.Note, "seen by the next one") {
		t.Errorf("record %+v", r)
	}
	// An event without a time is no reason to leave the record open.
	u.Event(event(t, "Event-Name", "CHANNEL_HANGUP_COMPLETE", "Unique-ID", "u-2", "Hangup-Cause", "USER_BUSY"))
	write()
	if r := s.kept["2"]; !s.closed["2"] || r.Open() || r.Cause != "USER_BUSY" || r.Result != call.Broken {
		t.Errorf("record %+v", r)
	}
}

// A caller who was answered to be asked something, and whom the operator's own dialplan had when the sidecar was gone, talked with nobody of ours.
func TestACallerWhoWasOnlyAskedIsNotOneWhoTalked(t *testing.T) {
	const dialled = "+14155550100"
	asked := func(r *call.Record) { r.Answered, r.Arrival.Dialled = began.Add(3*time.Second), dialled }
	handedBack := event(t, "Event-Name", "CHANNEL_HANGUP_COMPLETE", "Unique-ID", "u-1", "Hangup-Cause", "NORMAL_CLEARING", "Event-Date-Timestamp", "1772366520000000",
		"variable_signalbox_handed_back", dialled)
	talked := event(t, "Event-Name", "CHANNEL_HANGUP_COMPLETE", "Unique-ID", "u-1", "Hangup-Cause", "NORMAL_CLEARING", "Event-Date-Timestamp", "1772366520000000",
		"variable_signalbox_handed_back", dialled, "variable_signalbox_stage", "talked") // handed back, and come again
	transferred := event(t, "Event-Name", "CHANNEL_HANGUP_COMPLETE", "Unique-ID", "u-1", "Hangup-Cause", "NORMAL_CLEARING", "Event-Date-Timestamp", "1772366520000000",
		"variable_signalbox_handed_back", "+14155550199")
	for name, tt := range map[string]struct {
		last *wire.Event
		want call.Result
	}{
		"the operator's dialplan had him": {handedBack, call.Broken}, "he talked": {talked, call.Answered},
		"he talked, and was transferred to a number of the operator's": {transferred, call.Answered},
	} {
		s := newShelf()
		left(t, s, of("dead", "1", asked))
		u, write := under(t, s)
		if err := u.Attach(t.Context(), "fs1", channels{"u-1": true}, attached); err != nil {
			t.Fatal(err)
		}
		u.Event(tt.last)
		write()
		if r := s.kept["1"]; !s.closed["1"] || r.Result != tt.want || r.Cause != "NORMAL_CLEARING" {
			t.Errorf("%s: closed %v, %+v", name, s.closed["1"], r)
		}
	}
	// The same for a call of our own whose connection is lost.
	for name, tt := range map[string]struct {
		sw      Switch
		adopted bool
	}{
		"the operator's dialplan has him": {staged{channels{"u-1": true}, ""}, false},
		"he is in a conference":           {staged{channels{"u-1": true}, "talked"}, true},
		"the switch does not answer":      {staged{channels{"u-1": false}, ""}, true},
		"the link is down":                {nil, true},
	} {
		s := newShelf()
		u, _ := under(t, s)
		if tt.sw != nil {
			if err := u.Attach(t.Context(), "fs1", tt.sw, attached); err != nil {
				t.Fatal(err)
			}
		}
		if got := u.Adopt(t.Context(), of("me", "1", asked), false); got != tt.adopted {
			t.Errorf("%s: adopted %v, want %v", name, got, tt.adopted)
		}
	}
}

// The link comes up again while a call is adopted: the look that follows must not go by the link of before, or nobody would see the end.
func TestACallThatIsAdoptedWhileTheLinkComesBackIsLookedAt(t *testing.T) {
	s := newShelf()
	u, write := under(t, s)
	before := comesBack{channels{"u-1": false}, func() {
		if err := u.Attach(t.Context(), "fs1", channels{}, attached); err != nil { // by then the call has ended
			t.Error(err)
		}
	}}
	if err := u.Attach(t.Context(), "fs1", before, attached); err != nil {
		t.Fatal(err)
	}
	if !u.Adopt(t.Context(), of("me", "1", nil), false) {
		t.Fatal("not adopted")
	}
	write()
	if r := s.kept["1"]; !s.closed["1"] || r.Result != call.Answered {
		t.Errorf("closed %v, %+v", s.closed["1"], r)
	}
}

// comesBack is a switch whose link is lost behind its answer, and is up again.
type comesBack struct {
	channels
	meanwhile func()
}

func (c comesBack) Stage(context.Context, string) (string, error) {
	c.meanwhile()
	return "talked", nil
}

// staged is a switch whose calls are at a stage.
type staged struct {
	channels
	stage string
}

func (s staged) Stage(ctx context.Context, uuid string) (string, error) {
	_, err := s.Alive(ctx, uuid)
	return s.stage, err
}

func TestUndertakersEndsWaitForAStoreThatIsDown(t *testing.T) {
	s := newShelf()
	left(t, s, of("dead", "1", nil), of("dead", "2", nil))
	u, write := under(t, s)
	if err := u.Attach(t.Context(), "fs1", channels{"u-1": true, "u-2": true}, attached); err != nil {
		t.Fatal(err)
	}
	s.set(func() { s.down = store.ErrUnavailable })
	u.Event(hangup(t, "u-1"))
	u.Event(hangup(t, "u-2"))
	write()
	if s.closed["1"] || s.closed["2"] {
		t.Fatal("a store that is down has closed records")
	}
	s.set(func() { s.down = nil })
	// Meanwhile the link was lost: the next look must not invent another end.
	if err := u.Attach(t.Context(), "fs1", channels{}, attached.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	write()
	for _, id := range []string{"1", "2"} {
		if r := s.kept[id]; !s.closed[id] || r.Cause != "NORMAL_CLEARING" || !r.Ended.Equal(time.UnixMicro(1772366520000000)) {
			t.Errorf("record %s: closed %v, %+v", id, s.closed[id], r)
		}
	}
}

func TestUndertakerTellsItsNodeWhenItCouldNotLook(t *testing.T) {
	s := newShelf()
	left(t, s, of("dead", "1", nil), of("dead", "2", func(r *call.Record) { r.Started = began.Add(time.Second) }))
	u, write := under(t, s)
	s.down = store.ErrUnavailable
	if err := u.Attach(t.Context(), "fs1", channels{}, attached); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("store down: %v", err)
	}
	s.down = nil
	if err := u.Attach(t.Context(), "fs1", channels{"u-1": false}, attached); err == nil {
		t.Errorf("a switch that does not answer: %v, closed %v", err, s.closed["1"])
	}
	err := u.Attach(t.Context(), "fs1", channels{}, attached)
	if write(); err != nil || !s.closed["1"] || !s.closed["2"] {
		t.Errorf("the next look: %v, closed %v", err, s.closed)
	}
}

// A connection is lost while the parties talk: the record stays open until the link sees the end.
func TestUndertakerAdoptsACallThatGoesOnWithoutUs(t *testing.T) {
	answered := func(r *call.Record) { r.Answered = began.Add(3 * time.Second) }
	for _, tt := range []struct {
		name    string
		rec     call.Record
		sw      channels // nil = the link has not been up yet
		adopted bool
		closed  call.Result // before anything else happens; "" = open
	}{
		{"they talk", of("me", "1", answered), channels{"u-1": true}, true, ""},
		{"they talk, the answer was not heard of", of("me", "1", nil), channels{"u-1": true}, true, ""},
		{"they have hung up meanwhile", of("me", "1", answered), channels{}, true, call.Answered},
		{"the switch does not answer", of("me", "1", answered), channels{"u-1": false}, true, ""},
		{"the link is down", of("me", "1", answered), nil, true, ""},
		{"nobody talks", of("me", "1", nil), channels{}, false, ""},
		{"nobody talks, and the link is down", of("me", "1", nil), nil, false, ""},
		{"a node without a link", of("me", "1", func(r *call.Record) { answered(r); r.Node = "fs2" }), channels{"u-1": true}, false, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newShelf()
			u, write := under(t, s)
			if tt.sw != nil {
				if err := u.Attach(t.Context(), "fs1", tt.sw, attached); err != nil {
					t.Fatal(err)
				}
			}
			if got := u.Adopt(t.Context(), tt.rec, !tt.rec.Answered.IsZero()); got != tt.adopted {
				t.Fatalf("adopted %v, want %v", got, tt.adopted)
			}
			write()
			if r, known := s.kept["1"]; known != tt.adopted || s.closed["1"] != (tt.closed != "") || known && r.Answered.IsZero() {
				t.Errorf("kept %v, closed %v, %+v", known, s.closed["1"], r)
			}
			if !tt.adopted || tt.closed != "" {
				return
			}
			if err := u.Attach(t.Context(), "fs1", channels{"u-1": true}, attached); err != nil { // the link comes (back) up
				t.Fatal(err)
			}
			u.Event(hangup(t, "u-1"))
			write()
			if r := s.kept["1"]; !s.closed["1"] || r.Result != call.Answered || r.Cause != "NORMAL_CLEARING" || !r.Ended.Equal(time.UnixMicro(1772366520000000)) {
				t.Errorf("closed %v, record %+v", s.closed["1"], r)
			}
		})
	}
}

func TestUndertakerLeavesARecordThatIsNotTheDeadOnes(t *testing.T) {
	s := newShelf()
	left(t, s, of("dead", "1", nil), of("dead", "2", func(r *call.Record) { r.Started = began.Add(time.Second) }))
	s.refuse["1"] = store.ErrOwner
	u, write := under(t, s)
	if err := u.Attach(t.Context(), "fs1", channels{}, attached); err != nil {
		t.Errorf("a record that somebody else has: %v", err)
	}
	write()
	if !s.closed["2"] {
		t.Error("it kept the next record from being closed")
	}
}

// Calls that live are gone after a restart of FreeSWITCH, those of an earlier sidecar and our own: the first figure is when they were seen last.
func TestUndertakerForgetsTheCallsOfAnOldCore(t *testing.T) {
	talked := func(r *call.Record) { r.Answered = began.Add(3 * time.Second) }
	s := newShelf()
	left(t, s, of("dead", "1", nil), of("me", "2", talked))
	u, write := under(t, s)
	lives := channels{"u-1": true, "u-2": true}
	if err := u.Attach(t.Context(), "fs1", lives, attached); err != nil {
		t.Fatal(err)
	}
	lives["u-2"] = false // the link goes as the connection of the call does
	if !u.Adopt(t.Context(), of("me", "2", talked), true) {
		t.Fatal("not adopted")
	}
	if err := u.Attach(t.Context(), "fs1", restarted{channels{}}, attached.Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	write()
	for id, since := range map[string]string{"1": "12:05:00", "2": "12:00:10"} {
		r := s.kept[id]
		if !s.closed[id] || r.Note != "ended between 2026-03-01T"+since+"Z and 2026-03-01T12:06:00Z, cause unknown: freeswitch was restarted" {
			t.Errorf("record %s: %+v", id, r)
		}
	}
	if r := s.kept["2"]; r.Result != call.Answered {
		t.Errorf("the call of those who talked is %s", r.Result)
	}
	if len(u.watching) != 0 {
		t.Errorf("watches on: %v", u.watching)
	}
}

// The connection of a call may break at its very end: the link told of that before the call was adopted, or tells it a moment later.
func TestAnEndThatTheLinkToldIsKnownToWhoAdoptsTheCall(t *testing.T) {
	talked := func(r *call.Record) { r.Answered = began.Add(3 * time.Second) }
	for name, when := range map[string]func(u *Undertaker, tell func()){
		"before":         func(_ *Undertaker, tell func()) { tell() },
		"a moment later": func(_ *Undertaker, tell func()) { time.AfterFunc(50*time.Millisecond, tell) },
	} {
		t.Run(name, func(t *testing.T) {
			s := newShelf()
			u, write := under(t, s)
			if err := u.Attach(t.Context(), "fs1", channels{}, attached); err != nil {
				t.Fatal(err)
			}
			for i := range maxEnds / 2 {
				u.Event(hangup(t, fmt.Sprintf("other-%d", i)))
			}
			when(u, func() { u.Event(hangup(t, "u-1")) })
			if !u.Adopt(t.Context(), of("me", "1", talked), true) {
				t.Fatal("not adopted")
			}
			write()
			if r := s.kept["1"]; !s.closed["1"] || r.Result != call.Answered || r.Cause != "NORMAL_CLEARING" || len(u.watching) != 0 {
				t.Errorf("closed %v, watches %v, record %+v", s.closed["1"], u.watching, r)
			}
			for i := range maxEnds {
				u.Event(hangup(t, fmt.Sprintf("another-%d", i)))
			}
			if len(u.recent.of) != maxEnds || len(u.recent.order) != maxEnds {
				t.Errorf("%d and %d ends are remembered", len(u.recent.of), len(u.recent.order))
			}
		})
	}
}
