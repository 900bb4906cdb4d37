package rooms

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/signalbox/signalbox/esl"
	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/fsw"
	"github.com/signalbox/signalbox/internal/store"
)

// twoPhones are those of a host.
func twoPhones() Fetch {
	return Fetch{Name: "Ada", Devices: []account.Device{{Kind: account.DeviceURI, User: "desk", Host: "127.0.0.1"}, {Kind: account.DeviceURI, User: "mobile", Host: "127.0.0.1"}}}
}

// ringsUntilEnded has the host's phones ring until their legs are ended.
func (f *media) ringsUntilEnded(ctx context.Context) {
	f.answer = func(c fsw.ConferenceCall) error {
		again := time.NewTicker(5 * time.Millisecond)
		defer again.Stop()
		for {
			f.mu.Lock()
			ended := !slices.ContainsFunc(c.Devices, func(d fsw.DeviceLeg) bool { return !slices.Contains(f.ended, d.Leg) })
			f.mu.Unlock()
			if ended {
				return &esl.ReplyError{Command: "originate", Text: "-ERR ORIGINATOR_CANCEL"}
			}
			select {
			case <-again.C:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
}

func TestTheHostsPhonesStopWhenNobodyWaitsForHim(t *testing.T) {
	r, f := newRig(t), newMedia("n1")
	f.ringsUntilEnded(t.Context())
	m, _ := r.manager("one", nil, f)
	other, _ := r.manager("two", nil, f) // the sidecar of who waits is not the one that has him called
	s := r.open(m, "n1", nil)
	first, err := m.Enter(t.Context(), s.ID, anna())
	if err != nil {
		t.Fatal(err)
	}
	done, err := m.Fetch(t.Context(), s.ID, twoPhones())
	if err != nil {
		t.Fatal(err)
	}
	r.open(other, "n1", nil)
	second, err := other.Enter(t.Context(), s.ID, Guest{UUID: uuid.NewString(), Number: benNumber, Verified: true, Contact: "ben", Name: "Ben"})
	if err != nil {
		t.Fatal(err)
	}
	m.Gone(t.Context(), first, "hung up")
	select {
	case got := <-done:
		t.Fatalf("with one who waits still the call to the host is over: %+v", got)
	case <-time.After(3 * fetchAgain):
	}
	other.Gone(t.Context(), second, "hung up")
	if got := <-done; got.Joined {
		t.Errorf("fetched: %+v", got)
	}
	r.until(m, s.ID, "the room is closed", closedFor(nobodyCame))

	f.mu.Lock()
	f.answer = nil
	f.mu.Unlock()
	s = r.open(m, "n1", nil)
	if _, err := m.Enter(t.Context(), s.ID, anna()); err != nil {
		t.Fatal(err)
	}
	if done, err = m.Fetch(t.Context(), s.ID, twoPhones()); err != nil {
		t.Fatal(err)
	}
	if got := <-done; !got.Joined || f.called() != 2 {
		t.Errorf("who calls again at once: %+v, the host was called %d times", got, f.called())
	}
}

func TestAHostWhoComesByHimselfIsNotCalledOn(t *testing.T) {
	r, f := newRig(t), newMedia("n1")
	f.ringsUntilEnded(t.Context())
	m, _ := r.manager("one", nil, f)
	s := r.open(m, "n1", nil)
	if _, err := m.Enter(t.Context(), s.ID, anna()); err != nil {
		t.Fatal(err)
	}
	done, err := m.Fetch(t.Context(), s.ID, twoPhones())
	if err != nil {
		t.Fatal(err)
	}
	r.enter(m, f, s, Guest{UUID: uuid.NewString(), Number: hostNumber, IsHost: true})
	if got := <-done; !got.Joined {
		t.Errorf("who waits hears of the host: %+v", got)
	}
	r.until(m, s.ID, "the phones of the host have stopped", func(_ store.Room, people []store.Participant) bool {
		return slices.ContainsFunc(people, func(p store.Participant) bool { return p.Host && p.Reason == calledOff })
	})
}

// TestAHostIsHimselfAtEachPhone: each phone is called by a leg of its own, and whichever he takes he is the one host.
func TestAHostIsHimselfAtEachPhone(t *testing.T) {
	r, f := newRig(t), newMedia("n1")
	m, _ := r.manager("one", nil, f)
	s := r.open(m, "n1", nil)
	r.enter(m, f, s, anna())
	done, err := m.Fetch(t.Context(), s.ID, twoPhones())
	if err != nil {
		t.Fatal(err)
	}
	if got := <-done; !got.Joined {
		t.Fatalf("fetched: %+v", got)
	}
	legs := f.calls[0].Devices
	if legs[0].Leg == legs[1].Leg {
		t.Errorf("two phones by one leg, %s: FreeSWITCH rings only the first", legs[0].Leg)
	}
	r.until(m, s.ID, "the host is in by his second phone, once", func(_ store.Room, people []store.Participant) bool {
		return len(people) == 2 && present(people) == 2 && slices.ContainsFunc(people, func(p store.Participant) bool { return p.Host && p.UUID == legs[1].Leg })
	})
	f.leave(legs[1].Leg)
	r.until(m, s.ID, "he has left", func(_ store.Room, people []store.Participant) bool { return present(people) == 1 })
	if !strings.HasPrefix(legs[1].Leg, legs[0].Leg[:len(legs[0].Leg)-legEnd]) {
		t.Errorf("legs %s and %s", legs[0].Leg, legs[1].Leg)
	}
}

// The sidecar dies while the host is in his room. Who joins before the next one has its link is not told that the host was not reached.
func TestWhoJoinsBehindARestartFindsTheHost(t *testing.T) {
	r, f := newRig(t), newMedia("n1")
	m, stop := r.manager("killed", nil, f)
	s := r.open(m, "n1", nil)
	host := Guest{UUID: uuid.NewString(), Number: hostNumber, IsHost: true}
	ticket, err := m.Enter(t.Context(), s.ID, host)
	if err != nil {
		t.Fatal(err)
	}
	stop()
	f.join(ticket.Name, host.UUID, true) // nobody writes that down
	if mine, err := r.store.KeepNode(t.Context(), "n1", "killed", keeperDead); err != nil || !mine {
		t.Fatal(mine, err)
	}
	f.set(func(f *media) { f.down = true })
	m, _ = r.manager("next", func(o *Options) { o.Exclusive = true }, f)
	if _, err := m.Enter(t.Context(), s.ID, anna()); err != nil {
		t.Fatal(err)
	}
	up := time.AfterFunc(100*time.Millisecond, func() {
		f.set(func(f *media) { f.down = false })
		m.Attached(context.Background(), f.name, f)
	})
	defer up.Stop()
	done, err := m.Fetch(t.Context(), s.ID, twoPhones())
	if err != nil {
		t.Fatal(err)
	}
	if got := <-done; !got.Joined || f.called() != 0 {
		t.Errorf("fetched: %+v, the host was called %d times", got, f.called())
	}
	people, err := r.store.Participants(t.Context(), s.ID)
	if err != nil || present(people) != 1 {
		t.Errorf("the next sidecar does not keep the conference at once: %+v, %v", people, err)
	}
}

// TestPhonesThatCannotBeStoppedAreSpokenOfOnce: it is tried again every 300 ms, for as long as a phone rings.
func TestPhonesThatCannotBeStoppedAreSpokenOfOnce(t *testing.T) {
	r, f := newRig(t), newMedia("n1")
	core, logs := observer.New(zap.WarnLevel)
	m, _ := r.manager("one", func(o *Options) { o.Logger = zap.New(core) }, f)
	s := r.open(m, "n1", nil)
	m.Abandon(t.Context(), s.ID)
	f.set(func(f *media) { f.deaf = true })
	over, off := make(chan struct{}), make(chan bool)
	go func() { off <- m.callOff(t.Context(), m.nodes["n1"], s.ID, "host", []string{"leg"}, over) }()
	r.until(m, s.ID, "it is tried more than once", func(store.Room, []store.Participant) bool {
		m.changed(s.ID)
		tried := 0
		f.set(func(f *media) { tried = len(f.ended) })
		return tried > 2
	})
	close(over)
	if told := logs.FilterMessageSnippet("ring on").Len(); !<-off || told != 1 {
		t.Errorf("said %d times", told)
	}
}

// silentForAWhile is a store that does not say who is in a room while it is silent.
type silentForAWhile struct {
	store.Rooms
	silent atomic.Bool
}

func (s *silentForAWhile) Participants(ctx context.Context, room string) ([]store.Participant, error) {
	if s.silent.Load() {
		return nil, errors.New("silent")
	}
	return s.Rooms.Participants(ctx, room)
}

func (s *silentForAWhile) ParticipantOf(ctx context.Context, room, leg string) (store.Participant, error) {
	if s.silent.Load() {
		return store.Participant{}, errors.New("silent")
	}
	return s.Rooms.ParticipantOf(ctx, room, leg)
}

// TestAHostWhoAcceptsWhileTheStoreIsSilentIsTheHost: this process has called him itself, and knows by which legs.
func TestAHostWhoAcceptsWhileTheStoreIsSilentIsTheHost(t *testing.T) {
	r, f := newRig(t), newMedia("n1")
	kept := &silentForAWhile{Rooms: r.store}
	m, _ := r.manager("one", func(o *Options) { o.Store = kept }, f)
	seenUp(t, m, "n1")
	s := r.open(m, "n1", nil)
	if _, err := m.Enter(t.Context(), s.ID, anna()); err != nil {
		t.Fatal(err)
	}
	f.answer = func(fsw.ConferenceCall) error {
		kept.silent.Store(true)
		return nil
	}
	done, err := m.Fetch(t.Context(), s.ID, twoPhones())
	if err != nil {
		t.Fatal(err)
	}
	in := func() (in bool) {
		m.inRoom(s.ID, func(x *room) { in = x.size() > 0 })
		return in
	}
	deadline, again := time.After(10*time.Second), time.NewTicker(5*time.Millisecond)
	defer again.Stop()
	for !in() {
		select {
		case <-again.C:
		case <-deadline:
			t.Fatal("the host is not in")
		}
	}
	kept.silent.Store(false)
	if got := <-done; !got.Joined {
		t.Errorf("fetched: %+v", got)
	}
	_, people, err := m.Roster(t.Context(), s.ID)
	if err != nil || len(people) != 2 || !slices.ContainsFunc(people, func(p store.Participant) bool { return p.Host && p.Present() }) {
		t.Errorf("participants %+v, %v", people, err)
	}
}
