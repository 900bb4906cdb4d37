package rooms

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/signalbox/signalbox/esl"
	"github.com/signalbox/signalbox/esl/wire"
	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/fsw"
	"github.com/signalbox/signalbox/internal/store"
	"github.com/signalbox/signalbox/internal/store/sqlite"
	"github.com/signalbox/signalbox/internal/tel"
)

const (
	hostNumber = tel.Number("+14155550100")
	annaNumber = tel.Number("+14155550101")
	benNumber  = tel.Number("+14155550102")
)

var theHost = Host{Tenant: "acme", Account: "ada", Number: hostNumber, Name: "Ada", Language: "en"}

// media is a FreeSWITCH that has rooms and no sound: legs come and go, what is played is over at once, and everything is told to those
// who follow it.
type media struct {
	name string

	mu        sync.Mutex
	core      string
	rooms     map[string]*fsw.Conference
	member    int
	followers []*Manager
	said      []string // commands that speak
	calls     []fsw.ConferenceCall
	ended     []string                       // legs that were hung up
	down      bool                           // there is no link to it
	dead      bool                           // and nobody listens any more
	mute      bool                           // conferences are not listed
	listens   time.Duration                  // that it takes to hear whether a leg is silent
	silent    map[string]bool                // legs that FreeSWITCH holds and from which nothing comes
	answer    func(fsw.ConferenceCall) error // what becomes of a call to a host; nil = he comes
	removed   []string                       // files
	missing   map[string]bool                // files that are not on its disk
	stuck     bool                           // files are not removed
	deaf      bool                           // legs are not hung up, though it is asked to
}

func newMedia(name string) *media {
	return &media{name: name, core: uuid.NewString(), rooms: map[string]*fsw.Conference{}}
}

func (f *media) Name() string { return f.name }

func (f *media) Up() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return !f.down && !f.dead
}

func (f *media) Refused() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.dead
}

func (f *media) CoreUUID() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.core
}

func (f *media) File(_ context.Context, name string) (string, error) { return "/conf/" + name, nil }

func (f *media) Exists(_ context.Context, file string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return !f.missing[file]
}

func (f *media) Remove(_ context.Context, file string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.stuck {
		return errors.New("permission denied")
	}
	f.removed = append(f.removed, file)
	return nil
}

func (f *media) Conferences(context.Context) ([]fsw.Conference, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.mute {
		return nil, errors.New("no answer")
	}
	var out []fsw.Conference
	for _, c := range f.rooms {
		one := *c
		one.Members = slices.Clone(c.Members)
		out = append(out, one)
	}
	return out, nil
}

// tell tells of an event. The caller holds the lock.
func (f *media) tell(room, action, leg string, more ...string) {
	fields := []wire.Field{{Name: "Event-Name", Value: "CUSTOM"}, {Name: "Event-Subclass", Value: subclass}, {Name: "Conference-Name", Value: room}, {Name: "Action", Value: action}}
	if c := f.rooms[room]; c != nil {
		fields = append(fields, wire.Field{Name: "Conference-Unique-ID", Value: c.UUID})
	}
	if leg != "" {
		fields = append(fields, wire.Field{Name: "Unique-ID", Value: leg})
	}
	for i := 0; i+1 < len(more); i += 2 {
		fields = append(fields, wire.Field{Name: more[i], Value: more[i+1]})
	}
	for _, m := range f.followers {
		m.Event(f.name, wire.NewEvent(fields, nil))
	}
}

// join puts a leg into a room.
func (f *media) join(room, leg string, moderator bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	c := f.rooms[room]
	if c == nil {
		c = &fsw.Conference{Name: room, UUID: uuid.NewString()}
		f.rooms[room] = c
		f.tell(room, "conference-create", "")
	}
	f.member++
	m := fsw.Member{Type: "caller", ID: f.member, UUID: leg}
	m.Flags.Speaks, m.Flags.Moderator = true, moderator
	c.Members = append(c.Members, m)
	f.tell(room, "add-member", leg, "Member-ID", strconv.Itoa(m.ID), "Speak", "true")
}

// leave takes a leg out of the room it is in.
func (f *media) leave(leg string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.leaves(leg)
}

func (f *media) leaves(leg string) {
	for name, c := range f.rooms {
		i := slices.IndexFunc(c.Members, func(m fsw.Member) bool { return m.UUID == leg })
		if i < 0 {
			continue
		}
		c.Members = slices.Delete(c.Members, i, i+1)
		f.tell(name, "del-member", leg)
		if len(c.Members) == 0 {
			f.tell(name, "conference-destroy", "")
			delete(f.rooms, name)
		}
	}
}

// restart loses everything, and the links come up again.
func (f *media) restart(t *testing.T) {
	f.mu.Lock()
	f.core, f.rooms = uuid.NewString(), map[string]*fsw.Conference{}
	followers := f.followers
	f.mu.Unlock()
	for _, m := range followers {
		m.Attached(t.Context(), f.name, f)
	}
}

func (f *media) Conference(_ context.Context, room, verb string, words ...string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	c := f.rooms[room]
	if c == nil {
		return &esl.ReplyError{Command: "conference", Text: "-ERR Conference " + room + " not found"}
	}
	whom := func(m fsw.Member) bool {
		return words[0] == "all" || words[0] == "non_moderator" && !m.Flags.Moderator || words[0] == strconv.Itoa(m.ID)
	}
	switch verb {
	case "play":
		f.said = append(f.said, strings.Join(words, " "))
		if len(words) == 1 {
			f.tell(room, "play-file-done", "", "File", words[0])
		}
	case "stop":
	case "lock", "unlock":
		c.Locked = verb == "lock"
		f.tell(room, verb, "")
	case "mute", "unmute":
		for i := range c.Members {
			if whom(c.Members[i]) {
				c.Members[i].Flags.Speaks = verb == "unmute"
				f.tell(room, verb+"-member", c.Members[i].UUID)
			}
		}
	case "kick":
		for _, m := range slices.Clone(c.Members) {
			if whom(m) {
				f.tell(room, "kick-member", m.UUID)
				f.leaves(m.UUID)
			}
		}
	default:
		return errors.New("not simulated: " + verb)
	}
	return nil
}

func (f *media) Say(_ context.Context, _, _, _ string, _ int, text string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.said = append(f.said, "say "+text)
	return nil
}

func (f *media) Spoken(_ context.Context, _, _, text string) (string, error) {
	return "/spoken/" + text + ".wav", nil
}

func (f *media) Silent(ctx context.Context, leg string) (bool, error) {
	if f.listens > 0 {
		select {
		case <-time.After(f.listens):
		case <-ctx.Done():
			return false, ctx.Err()
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.silent[leg], nil
}

func (f *media) CallIntoConference(_ context.Context, c fsw.ConferenceCall) error {
	f.mu.Lock()
	f.calls = append(f.calls, c)
	answer := f.answer
	f.mu.Unlock()
	if answer != nil {
		if err := answer(c); err != nil {
			return err
		}
	}
	leg := c.Leg
	if len(c.Devices) > 0 {
		leg = c.Devices[len(c.Devices)-1].Leg
	}
	f.join(c.Room.Room, leg, true)
	return nil
}

func (f *media) HangUp(_ context.Context, legs ...string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ended = append(f.ended, legs...)
	if f.deaf {
		return errors.New("no link")
	}
	return nil
}

func (f *media) heard() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.said)
}

func (f *media) called() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.calls)
}

// rig is a store with switches, which managers share.
type rig struct {
	t     *testing.T
	store store.Store
	path  string
}

func newRig(t *testing.T) *rig {
	t.Helper()
	path := filepath.Join(t.TempDir(), "db")
	s, err := sqlite.Open(t.Context(), sqlite.Options{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Shut() })
	return &rig{t: t, store: s, path: path}
}

// manager runs a Manager until the test is over, or until stop.
func (r *rig) manager(instance string, change func(*Options), switches ...*media) (m *Manager, stop func()) {
	r.t.Helper()
	o := Options{Store: r.store, Book: r.store, Instance: instance, Voice: Voice{"flite", "slt"}}
	for _, f := range switches {
		o.Switches = append(o.Switches, f)
	}
	if change != nil {
		change(&o)
	}
	m = New(o)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = m.Run(ctx)
	}()
	for _, f := range switches {
		f.mu.Lock()
		f.followers = append(f.followers, m)
		f.mu.Unlock()
		if f.Up() {
			m.Attached(r.t.Context(), f.name, f)
		}
	}
	stop = sync.OnceFunc(func() {
		for _, f := range switches {
			f.mu.Lock()
			f.followers = slices.DeleteFunc(f.followers, func(x *Manager) bool { return x == m })
			f.mu.Unlock()
		}
		cancel()
		<-done
	})
	r.t.Cleanup(stop)
	return m, stop
}

func settings() account.Conference {
	e := account.ConferenceEntry{}
	return e.Conference()
}

// open opens the host's room on a node.
func (r *rig) open(m *Manager, node string, change func(*account.Conference)) State {
	r.t.Helper()
	c := settings()
	c.MaxMembers, c.AcceptTimeout = 30, 5*time.Second
	if change != nil {
		change(&c)
	}
	s, _, err := m.Open(r.t.Context(), Opening{Host: theHost, By: "attendee", Settings: c, Node: node})
	if err != nil {
		r.t.Fatal(err)
	}
	return s
}

func anna() Guest {
	return Guest{UUID: uuid.NewString(), Number: annaNumber, Verified: true, Contact: "anna", Name: "Anna Smith"}
}

// enter brings a guest into a room.
func (r *rig) enter(m *Manager, f *media, s State, g Guest) Ticket {
	r.t.Helper()
	ticket, err := m.Enter(r.t.Context(), s.ID, g)
	if err != nil {
		r.t.Fatal(err)
	}
	f.join(ticket.Name, g.UUID, g.IsHost)
	r.until(m, s.ID, "the guest is in", func(_ store.Room, people []store.Participant) bool {
		return slices.ContainsFunc(people, func(p store.Participant) bool { return p.UUID == g.UUID && p.Present() })
	})
	return ticket
}

// until waits until a roster is as wanted.
func (r *rig) until(m *Manager, id, what string, ok func(store.Room, []store.Participant) bool) {
	r.t.Helper()
	w := m.Watch(id)
	defer m.Unwatch(w)
	deadline, again := time.After(10*time.Second), time.NewTicker(20*time.Millisecond)
	defer again.Stop()
	for {
		room, people, err := m.Roster(r.t.Context(), id)
		if err == nil && ok(room, people) {
			return
		}
		select {
		case <-w.Changed:
		case <-again.C:
		case <-deadline:
			r.t.Fatalf("not seen: %s; the roster is %+v %+v, %v", what, room, people, err)
		}
	}
}

// untilSaid waits until something was said.
func (r *rig) untilSaid(f *media, want string) {
	r.t.Helper()
	deadline, again := time.After(10*time.Second), time.NewTicker(10*time.Millisecond)
	defer again.Stop()
	for !strings.Contains(strings.Join(f.heard(), "\n"), want) {
		select {
		case <-again.C:
		case <-deadline:
			r.t.Fatalf("%q was not said, but %q", want, f.heard())
		}
	}
}

func present(people []store.Participant) (n int) {
	for _, p := range people {
		if p.Present() {
			n++
		}
	}
	return n
}

// key is a key that a leg pressed.
func key(leg, digit string) *wire.Event {
	return wire.NewEvent([]wire.Field{{Name: "Event-Name", Value: "DTMF"}, {Name: "Unique-ID", Value: leg}, {Name: "DTMF-Digit", Value: digit}}, nil)
}
