package rooms

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/signalbox/signalbox/internal/store"
	"github.com/signalbox/signalbox/internal/tel"
)

// Why somebody cannot come into a room.
var (
	ErrLocked = errors.New("the conference is locked")
	ErrFull   = errors.New("the conference is full")
	ErrKicked = errors.New("the host has sent this caller out of the conference")
	ErrEnded  = errors.New("the conference has ended")
	// ErrAnew means that the room was closed, but no conference has ended in it: whoever was asked meanwhile may open another one.
	ErrAnew = errors.New("the room was closed before anybody came into it, or its media server was lost")
	// ErrAbsent means that the host is in no conference, and none is made.
	ErrAbsent = errors.New("the host is in no conference")
	// ErrUnreached means that the host was called a moment ago, for somebody else, and did not come.
	ErrUnreached = errors.New("the host was not reached")
	ErrCalls     = errors.New("too many people are being called into the conference: wait until they have answered")
	// ErrNode means that this sidecar has no link to the node of the room.
	ErrNode = errors.New("the conference is on a node that this sidecar is not linked to")
)

const (
	// maxPeople is how many may have come into one room, or tried to, over all its time; only the host gets in then, and who is back.
	maxPeople = 4096
	// maxCalls is how many people are called into a room at once.
	maxCalls = 16
	// emptyFor is how long a room may be without anybody in it or on the way: after that nobody comes any more.
	emptyFor = 3 * time.Minute
	// quick bounds a question to the store that a caller waits for.
	quick = 50 * time.Millisecond
	// writes bounds everything else that the store is asked.
	writes = 5 * time.Second
)

// Host is whose conference it is.
type Host struct {
	Tenant, Account string
	Number          tel.Number // by which he was called
	Name, Language  string
}

// State is a host's room as one caller finds it; the zero value is no room.
type State struct {
	ID, Name, Node                         string
	Open, HostPresent, Waits, Locked, Full bool
	Members                                int
	Kicked                                 bool // this caller may not come back
	Calling                                bool // the host is being called
}

// Guest asks to come into a room.
type Guest struct {
	Record, UUID, Node  string
	Number              tel.Number
	Withheld, Verified  bool
	Contact, Name, Clip string // "" = a guest
	Shared              bool   // many people call from the number: he is somebody of whom Name tells
	IsHost              bool
}

// Ticket lets one leg into a room, as call.Leg's verb Join does.
type Ticket struct {
	Room        string // ID
	Name        string // in FreeSWITCH
	Node        string // the room's
	Host        tel.Number
	Participant string // ID
	UUID        string // of the leg
	Flags       []string
	MaxMembers  int // that FreeSWITCH lets in
	IsHost      bool
	IsBack      bool
	HostPresent bool
}

// Profile is the profile of our rooms in FreeSWITCH. One that an operator did not write counts as one without sounds.
const Profile = "signalbox"

// Options of a Manager.
type Options struct {
	Store    store.Rooms
	Files    store.VoiceFiles // nil = no file is removed
	Book     Book             // whom hosts call by keys; nil = nobody
	Instance string           // this process
	Switches []Switch
	// Exclusive says that no other process uses the store: whoever kept a node before is dead, and is not waited for.
	Exclusive bool
	AloneFor  time.Duration // a room whose members but one have left is ended after it; 0 = 2 minutes
	// Gateway is FreeSWITCH's by which numbers are called into rooms; "" = they are not.
	Gateway string
	// Recordings is the folder of recordings on the switch; "" = nothing is recorded.
	Recordings string
	Voice      Voice // speaks names that are not recorded; zero = nobody does
	Meter      Meter // nil = nobody hears
	Logger     *zap.Logger
}

// Meter hears what happens in rooms.
type Meter interface {
	// Opened and Closed are told of rooms, with by whom and why.
	Opened(by string)
	Closed(why string)
	// Entered is told how each request to come in ended: in, locked, full, kicked, ended, failed.
	Entered(result string)
	// Fetched is told how each call to a host ended.
	Fetched(result string)
	// Announced is told how many people each announcement was about, and how long the first of them waited.
	Announced(people int, waited time.Duration)
	// Dropped is told of what found no room in a queue: event, announcement, decision.
	Dropped(what string)
}

// Manager keeps rooms.
type Manager struct {
	opt   Options
	log   *zap.Logger
	nodes map[string]*node

	decisions chan store.Access
	patience  patience

	mu    sync.Mutex
	rooms map[string]*room // open ones that this process has seen, by ID
	live  map[*Watch]struct{}

	work    sync.WaitGroup // goroutines of rooms
	closing chan struct{}  // closed when Run ends
	base    context.Context
}

// room is an open room in memory. Its fields are under the Manager's lock.
type room struct {
	store.Room
	uuid      string // of the conference in FreeSWITCH; "" = it is not there yet
	began     time.Time
	people    map[string]*store.Participant // by ID, also those who left
	speaks    *speaker
	alone     *time.Timer          // ends it
	why       map[string]string    // members go, by UUID, when they do not go by themselves
	grace     *time.Timer          // ends it, after the host has left
	ending    string               // why it is being ended
	stars     map[string]time.Time // when a leg pressed the key that begins a command, by UUID
	dials     map[string]*dialogue // of hosts who call somebody by keys, by UUID of their legs
	hadHost   bool
	most      int // that were in it at once
	dialing   bool
	unreached bool // the host was called and did not come, and nobody has come since
	asking    int  // callers who have opened the room and have not entered it yet
}

// New makes a Manager; Run follows the nodes.
func New(o Options) *Manager {
	if o.AloneFor <= 0 {
		o.AloneFor = 2 * time.Minute
	}
	if o.Meter == nil {
		o.Meter = silent{}
	}
	m := &Manager{
		opt: o, log: o.Logger, nodes: map[string]*node{}, rooms: map[string]*room{}, live: map[*Watch]struct{}{},
		decisions: make(chan store.Access, maxDecisions), closing: make(chan struct{}), base: context.Background(),
		patience: patience{first: dialFirst, between: dialBetween},
	}
	if m.log == nil {
		m.log = zap.NewNop()
	}
	for _, sw := range o.Switches {
		m.nodes[sw.Name()] = newNode(sw)
	}
	return m
}

type silent struct{}

func (silent) Opened(string)                {}
func (silent) Closed(string)                {}
func (silent) Entered(string)               {}
func (silent) Fetched(string)               {}
func (silent) Announced(int, time.Duration) {}
func (silent) Dropped(string)               {}

// newID is a random 64 bits in hex.
func newID() string {
	b := make([]byte, 8)
	_, _ = rand.Read(b) // it never fails
	return hex.EncodeToString(b)
}

// State returns a host's room as a caller finds it; caller "" = withheld. A store that is silent for 50 ms counts as no room.
func (m *Manager) State(ctx context.Context, host Host, caller tel.Number) (State, error) {
	ctx, cancel := context.WithTimeout(ctx, quick)
	defer cancel()
	kept, err := m.opt.Store.RoomOf(ctx, host.Tenant, host.Account)
	if errors.Is(err, store.ErrNotFound) {
		return State{}, nil
	}
	if err != nil {
		return State{}, err
	}
	return m.stateOf(ctx, kept, caller)
}

// stateOf is the state of an open room.
func (m *Manager) stateOf(ctx context.Context, kept store.Room, caller tel.Number) (State, error) {
	s := State{ID: kept.ID, Name: kept.Name(), Node: kept.Node, Open: true, Waits: kept.Waits, Locked: kept.Locked, Calling: kept.DialUntil.After(time.Now())}
	people, err := m.people(ctx, kept)
	if err != nil {
		return State{}, err
	}
	for _, p := range people {
		if p.Present() {
			s.Members++
			s.HostPresent = s.HostPresent || p.Host
		}
	}
	s.Full = kept.MaxMembers > 0 && s.Members >= kept.MaxMembers
	if caller != "" {
		if s.Kicked, err = m.opt.Store.Barred(ctx, kept.ID, caller); err != nil {
			return State{}, err
		}
	}
	return s, nil
}

// people are the participants of a room: as this process sees them while it follows the room's node, else as the keeper wrote them.
func (m *Manager) people(ctx context.Context, kept store.Room) ([]store.Participant, error) {
	list, err := m.opt.Store.Participants(ctx, kept.ID)
	if err != nil {
		return nil, err
	}
	return m.seen(kept, list), nil
}

// seen are participants of a room whom the store has, as this process sees them while it follows the room's node.
func (m *Manager) seen(kept store.Room, list []store.Participant) []store.Participant {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.rooms[kept.ID]
	if n := m.nodes[kept.Node]; r == nil || n == nil || !n.sw.Up() {
		return list
	}
	seen := make([]store.Participant, 0, len(list))
	for _, p := range list {
		if here := r.people[p.ID]; here != nil && here.UUID == p.UUID {
			p = *here
		}
		seen = append(seen, p)
	}
	for _, p := range r.people {
		if !slices.ContainsFunc(list, func(x store.Participant) bool { return x.ID == p.ID }) {
			seen = append(seen, *p)
		}
	}
	return seen
}

// remember keeps an open room in memory. The caller holds the lock.
func (m *Manager) remember(kept store.Room) *room {
	r := m.rooms[kept.ID]
	if r == nil {
		r = &room{Room: kept, began: time.Now(), people: map[string]*store.Participant{}, why: map[string]string{}, stars: map[string]time.Time{}, dials: map[string]*dialogue{}}
		m.rooms[kept.ID] = r
	}
	return r
}

// forget takes a room that is closed out of memory.
func (m *Manager) forget(id string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if r := m.rooms[id]; r != nil {
		r.stopTimers()
		delete(m.rooms, id)
	}
}

// Gone says that a leg with a ticket does not come into the room, or is not in it any more; it may be said more than once. That somebody
// left who was in is taken from FreeSWITCH alone. A room that nobody else is in, or on the way into, is closed.
func (m *Manager) Gone(ctx context.Context, t Ticket, reason string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writes)
	defer cancel()
	p, err := m.opt.Store.ParticipantOf(ctx, t.Room, t.UUID)
	if err != nil {
		if !errors.Is(err, store.ErrNotFound) {
			m.log.Warn("participant's end not kept; the room is looked at again", zap.String("conference", t.Room), zap.Error(err))
		}
		return
	}
	m.mu.Lock()
	if r := m.rooms[t.Room]; r != nil {
		if here := r.people[p.ID]; here != nil && here.UUID == t.UUID {
			p = *here
		}
	}
	m.mu.Unlock()
	if p.Present() && m.nodes[p.Node] != nil {
		return // FreeSWITCH tells when he is out: our connection to his leg may have been lost while he talks on
	}
	if p.Left.IsZero() {
		p.Left, p.Reason = time.Now().UTC(), reason
		m.keep(ctx, p)
	}
	m.closeEmpty(ctx, t.Room, "everybody left")
	m.changed(t.Room)
}

// keep keeps what has become of a participant, here and in the store.
func (m *Manager) keep(ctx context.Context, p store.Participant) {
	m.mu.Lock()
	if r := m.rooms[p.Room]; r != nil {
		r.people[p.ID] = &p
	}
	m.mu.Unlock()
	if err := m.opt.Store.PutParticipant(ctx, p); err != nil {
		m.log.Warn("participant not kept", zap.String("conference", p.Room), zap.Error(err))
	}
}

// closeEmpty closes a room that nobody is in or on the way into, and whose host is not being called.
func (m *Manager) closeEmpty(ctx context.Context, id, why string) {
	kept, err := m.opt.Store.Room(ctx, id)
	if err == nil && !kept.Closed.IsZero() {
		m.forget(id)
	}
	if err != nil || !kept.Closed.IsZero() {
		return
	}
	people, err := m.people(ctx, kept)
	if err != nil {
		return
	}
	m.mu.Lock()
	r := m.rooms[id]
	busy := r != nil && (r.dialing || r.asking > 0)
	if r != nil && r.unreached {
		why = hostUnreached
	}
	m.mu.Unlock()
	if busy || slices.ContainsFunc(people, isThere) {
		return
	}
	m.closeUnless(ctx, kept, why, isThere)
}

// isThere reports whether a participant is in a room or on the way into it, and isComing whether he is on the way.
func isThere(p store.Participant) bool  { return p.Left.IsZero() }
func isComing(p store.Participant) bool { return p.Left.IsZero() && p.Joined.IsZero() }

// closeUnless closes a room, unless there is somebody such as busy says: he may have come since that was seen.
func (m *Manager) closeUnless(ctx context.Context, kept store.Room, why string, busy func(store.Participant) bool) {
	m.closeBy(ctx, kept.ID, why, func(why string, at time.Time) (bool, error) {
		return m.opt.Store.CloseRoomUnless(ctx, kept.ID, why, at, func(list []store.Participant) bool { return slices.ContainsFunc(m.seen(kept, list), busy) })
	})
}

// close closes a room's record.
func (m *Manager) close(ctx context.Context, id, why string) {
	m.closeBy(ctx, id, why, func(why string, at time.Time) (bool, error) { return m.opt.Store.CloseRoom(ctx, id, why, at) })
}

func (m *Manager) closeBy(ctx context.Context, id, why string, do func(why string, at time.Time) (bool, error)) {
	m.mu.Lock()
	if r := m.rooms[id]; r != nil && r.ending != "" {
		why = r.ending
	}
	m.mu.Unlock()
	open, err := do(why, time.Now().UTC())
	if errors.Is(err, store.ErrInUse) {
		return
	}
	if err != nil {
		m.log.Warn("conference not closed; it is tried again", zap.String("conference", id), zap.Error(err))
		return
	}
	m.forget(id)
	if open {
		m.opt.Meter.Closed(why)
		m.log.Info("conference closed", zap.String("conference", id), zap.String("why", why))
	}
	m.changed(id)
}

// stopTimers ends what goes on for a room by itself. The caller holds the lock.
func (r *room) stopTimers() {
	r.endDials()
	r.stopClocks()
}

// stopClocks stops what would end the room. The caller holds the lock.
func (r *room) stopClocks() {
	for _, t := range []*time.Timer{r.alone, r.grace} {
		if t != nil {
			t.Stop()
		}
	}
	r.alone, r.grace = nil, nil
}
