package rooms

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/signalbox/signalbox/esl/wire"
	"github.com/signalbox/signalbox/internal/fsw"
	"github.com/signalbox/signalbox/internal/store"
)

// Switch is one FreeSWITCH; *fsw.Node.
type Switch interface {
	Name() string
	Up() bool
	// Refused reports whether nobody listens there, as far as is known.
	Refused() bool
	CoreUUID() string
	// Conference has a command about a conference carried out.
	Conference(ctx context.Context, room, verb string, words ...string) error
	// Say has a voice speak in a conference.
	Say(ctx context.Context, room, engine, voice string, member int, text string) error
	// Spoken is the path of a file on the switch in which a voice speaks a text.
	Spoken(ctx context.Context, engine, voice, text string) (string, error)
	// File is the path of a file inside the switch's configuration folder.
	File(ctx context.Context, name string) (string, error)
	// Exists reports whether a file is on the switch's disk; false also when nobody says so.
	Exists(ctx context.Context, file string) bool
	// Remove removes a file of sound from the switch's disk; one that is not there is no error.
	Remove(ctx context.Context, file string) error
	// Silent reports whether nothing comes from a leg's telephone any more.
	Silent(ctx context.Context, leg string) (bool, error)
	// CallIntoConference calls somebody, and returns when he is in or when he does not come.
	CallIntoConference(ctx context.Context, c fsw.ConferenceCall) error
	// HangUp ends legs of such a call; one that is not there is no error.
	HangUp(ctx context.Context, legs ...string) error
}

// Lister lists the conferences of a FreeSWITCH; *fsw.Switch.
type Lister interface {
	Conferences(ctx context.Context) ([]fsw.Conference, error)
	CoreUUID() string
}

const (
	maxQueued   = 4096
	keepEvery   = 5 * time.Second  // a keeper says that he lives
	keeperDead  = 20 * time.Second // after which silence another takes over
	sweepEvery  = 30 * time.Second // rooms that nobody came into are looked for
	mediaLost   = "media server lost"
	leftUnseen  = "left while nobody watched"
	nobodyCame  = "nobody came"
	neverCame   = "did not come"
	leftByself  = "left"
	everybody   = "everybody left"
	subclass    = "conference::maintenance"
	conferences = "Conference-Name"
)

// Events are what a Manager wants to hear of a FreeSWITCH.
func Events() []string { return []string{subclass, "DTMF"} }

// Narrow says which of them: not who talks, which FreeSWITCH tells several times a second.
func Narrow() map[string]wire.Field {
	return map[string]wire.Field{subclass: {Name: "Action", Value: "/^(conference-create|conference-destroy|add-member|del-member|kick-member|" +
		"mute-member|unmute-member|lock|unlock|play-file-done)$/"}}
}

// node is one FreeSWITCH. What comes of it is done by one goroutine, in order.
type node struct {
	sw     Switch
	queue  chan item
	lost   atomic.Bool // something found no room in the queue: the node is to be looked at anew
	keeper atomic.Bool // this process is the one that writes and speaks
	list   atomic.Pointer[Lister]
	turned atomic.Pointer[time.Time] // when what is due was done last
	next   time.Time                 // when the keeper says again that he lives
	look   time.Time                 // when a node that did not list its conferences is asked again
	sweep  time.Time

	compared atomic.Bool // our rooms are what the node showed when its link came up
	removing atomic.Bool // files are being removed from its disk
	absent   absence
}

// item is an event, or what a node's link saw when it came up.
type item struct {
	event *wire.Event
	seen  *seen
}

type seen struct {
	core string
	list []fsw.Conference
}

func newNode(sw Switch) *node { return &node{sw: sw, queue: make(chan item, maxQueued)} }

// Attached takes what a node's link sees when it comes up, before any event that follows.
func (m *Manager) Attached(ctx context.Context, name string, sw Lister) {
	n := m.nodes[name]
	if n == nil {
		return
	}
	n.list.Store(&sw)
	n.compared.Store(false)
	list, err := sw.Conferences(ctx)
	if err != nil {
		n.lost.Store(true)     // what happened while there was no link is found later
		n.compared.Store(true) // nobody is to wait for that
		m.log.Warn("freeswitch does not list its conferences: let the Event Socket user run the API command conference", zap.String("node", name), zap.Error(err))
		return
	}
	m.put(n, item{seen: &seen{core: sw.CoreUUID(), list: list}})
}

// Event takes an event of a node.
func (m *Manager) Event(name string, event *wire.Event) {
	n := m.nodes[name]
	if n == nil {
		return
	}
	switch {
	case event.Name() == "DTMF":
	case event.Name() == "CUSTOM" && event.Get("Event-Subclass") == subclass && strings.HasPrefix(event.Get(conferences), store.RoomPrefix):
	default:
		return
	}
	m.put(n, item{event: event})
}

func (m *Manager) put(n *node, i item) {
	select {
	case n.queue <- i:
	default:
		n.lost.Store(true)
		m.opt.Meter.Dropped("event")
	}
}

// Run follows the nodes until ctx ends.
func (m *Manager) Run(ctx context.Context) error {
	m.mu.Lock()
	m.base = ctx
	m.mu.Unlock()
	for _, n := range m.nodes {
		m.work.Go(func() { m.follow(ctx, n) })
	}
	m.work.Go(func() { m.keepDecisions(ctx) })
	<-ctx.Done()
	m.mu.Lock()
	close(m.closing)
	for _, r := range m.rooms {
		r.stopTimers()
	}
	m.mu.Unlock()
	m.work.Wait()
	return nil
}

// spawn runs work of a room on a goroutine that Run waits for. After the end nothing is done, and the result is false.
func (m *Manager) spawn(do func(context.Context)) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	select {
	case <-m.closing:
		return false
	default:
	}
	ctx := m.base
	m.work.Go(func() { do(ctx) })
	return true
}

// Behind runs what a caller is not to wait for, in silence, while the store says nothing: Gone, Abandon. After the end of Run it is run at
// once.
func (m *Manager) Behind(do func(context.Context)) {
	if !m.spawn(do) {
		do(context.Background())
	}
}

func (m *Manager) follow(ctx context.Context, n *node) {
	again := time.NewTicker(time.Second)
	defer again.Stop()
	n.awake()
	m.keepNode(ctx, n)
	for {
		select {
		case <-ctx.Done():
			return
		case i := <-n.queue:
			m.take(ctx, n, i)
		case <-again.C:
			m.turn(ctx, n)
		}
	}
}

func (m *Manager) take(ctx context.Context, n *node, i item) {
	if i.seen != nil {
		n.absent = absence{was: true}
		m.keepNode(ctx, n)
		m.compare(ctx, n, *i.seen)
		return
	}
	if n.keeper.Load() && !n.keeps() { // what waits is of long ago
		m.turn(ctx, n)
	}
	m.apply(ctx, n, i.event)
}

// awake says that this process was not frozen until now.
func (n *node) awake() {
	now := time.Now()
	n.turned.Store(&now)
}

// keeps reports whether this process is the keeper. One that was frozen so long that another may have taken over is none until he has asked.
func (n *node) keeps() bool {
	turned := n.turned.Load()
	return n.keeper.Load() && turned != nil && time.Since(*turned) < keeperDead
}

// turn does what is due every now and then.
func (m *Manager) turn(ctx context.Context, n *node) {
	now := time.Now()
	defer n.awake()
	if !n.sw.Up() {
		m.isDown(ctx, n, now)
		return
	}
	n.absent = absence{was: true}
	if now.After(n.next) {
		m.keepNode(ctx, n)
		if n.keeper.Load() {
			m.removeFiles(n)
		}
	}
	if now.After(n.look) && n.lost.Swap(false) {
		m.lookAgain(ctx, n)
	}
	if now.After(n.sweep) && n.keeper.Load() {
		n.sweep = now.Add(sweepEvery)
		m.sweepRooms(ctx, n, now)
	}
}

// keepNode says that this process keeps the node, or takes it over from one that is silent.
func (m *Manager) keepNode(ctx context.Context, n *node) {
	ctx, cancel := context.WithTimeout(ctx, writes)
	defer cancel()
	n.next = time.Now().Add(keepEvery)
	mine, err := m.opt.Store.KeepNode(ctx, n.sw.Name(), m.opt.Instance, m.deadAfter())
	if err != nil {
		if ctx.Err() == nil {
			m.log.Warn("nobody knows who keeps the conferences of the node; it stays as it was", zap.String("node", n.sw.Name()), zap.Error(err))
		}
		return
	}
	if was := n.keeper.Swap(mine); mine && !was {
		m.log.Info("this sidecar keeps the conferences of the node", zap.String("node", n.sw.Name()))
		n.lost.Store(true) // what the one before did not write is found by looking
	}
}

// deadAfter is how long whoever keeps a node may be silent before he is taken for dead.
func (m *Manager) deadAfter() time.Duration {
	if m.opt.Exclusive {
		return -time.Second // he is: we have his store
	}
	return keeperDead
}

// write keeps a participant in memory, and in the store when this process is the keeper.
func (m *Manager) write(ctx context.Context, n *node, p store.Participant) {
	if n.keeper.Load() {
		m.keep(ctx, p)
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if r := m.rooms[p.Room]; r != nil {
		r.people[p.ID] = &p
	}
}

// load brings an open room into memory with everybody who was in it.
func (m *Manager) load(ctx context.Context, kept store.Room) *room {
	m.mu.Lock()
	r := m.rooms[kept.ID]
	m.mu.Unlock()
	if r != nil {
		return r
	}
	people, err := m.opt.Store.Participants(ctx, kept.ID)
	if err != nil {
		m.log.Warn("participants not read", zap.String("conference", kept.ID), zap.Error(err))
		return nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	r = m.remember(kept)
	for _, p := range people {
		if r.people[p.ID] == nil {
			r.people[p.ID] = &p
		}
		if !p.Joined.IsZero() {
			r.most++ // at once or not: those were other times of this process
		}
	}
	return r
}

// find returns a room that FreeSWITCH names; nil = it is not one of ours that are open.
func (m *Manager) find(ctx context.Context, id string) *room {
	m.mu.Lock()
	r := m.rooms[id]
	m.mu.Unlock()
	if r != nil {
		return r
	}
	kept, err := m.opt.Store.Room(ctx, id)
	if err != nil || !kept.Closed.IsZero() {
		return nil
	}
	return m.load(ctx, kept)
}

// has reports whether a node is the one that has a room.
func (m *Manager) has(n *node, r *room) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return r != nil && r.Node == n.sw.Name()
}

// participant finds whose leg is in a room: as this process knows, as another one wrote, or, and the result says so, a guest whom nobody
// announced.
func (m *Manager) participant(ctx context.Context, n *node, id, uuid string, now time.Time) (_ store.Participant, known bool) {
	m.mu.Lock()
	if r := m.rooms[id]; r != nil {
		for _, p := range r.people {
			if p.UUID == uuid || isCalledBy(*p, uuid) {
				found := *p
				m.mu.Unlock()
				found.UUID = uuid
				return found, true
			}
		}
	}
	m.mu.Unlock()
	p, err := m.opt.Store.ParticipantOf(ctx, id, uuid)
	if err == nil {
		return p, true
	}
	if p, is := m.hostAt(ctx, id, uuid); is {
		return p, true
	}
	if !errors.Is(err, store.ErrNotFound) {
		m.log.Warn("participant not read", zap.String("conference", id), zap.Error(err))
	}
	return store.Participant{ID: newID(), Room: id, UUID: uuid, Node: n.sw.Name(), Entered: now}, false
}

// apply makes what an event says true.
func (m *Manager) apply(ctx context.Context, n *node, e *wire.Event) {
	if e.Name() == "DTMF" {
		m.pressed(n, e)
		return
	}
	ctx, cancel := context.WithTimeout(ctx, writes)
	defer cancel()
	id := strings.TrimPrefix(e.Get(conferences), store.RoomPrefix)
	if !m.has(n, m.find(ctx, id)) {
		return
	}
	at := e.Time()
	if at.IsZero() {
		at = time.Now()
	}
	switch action := e.Get("Action"); action {
	case "conference-create":
		m.inRoom(id, func(r *room) { r.runs(e.Get("Conference-Unique-ID")) })
	case "add-member":
		m.joined(ctx, n, id, e, at.UTC())
	case "del-member":
		m.left(ctx, n, id, e, at.UTC())
	case "kick-member":
		m.inRoom(id, func(r *room) {
			if r.why[e.UUID()] == "" {
				r.why[e.UUID()] = "sent out"
			}
		})
	case "mute-member", "unmute-member":
		if p, known := m.participant(ctx, n, id, e.UUID(), at); known {
			p.Muted = action == "mute-member"
			m.write(ctx, n, p)
		}
	case "lock", "unlock":
		m.locked(ctx, n, id, action == "lock")
	case "play-file-done":
		m.played(id, e.Get("File"))
		return
	case "conference-destroy":
		m.destroyed(ctx, n, id, e.Get("Conference-Unique-ID"))
	}
	m.changed(id)
}

// inRoom changes a room in memory.
func (m *Manager) inRoom(id string, do func(*room)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if r := m.rooms[id]; r != nil {
		do(r)
	}
}

func (m *Manager) joined(ctx context.Context, n *node, id string, e *wire.Event, at time.Time) {
	p, _ := m.participant(ctx, n, id, e.UUID(), at)
	was := p.Present()
	member, _ := strconv.Atoi(e.Get("Member-ID"))
	p.Member, p.Left, p.Reason, p.Muted = member, time.Time{}, "", e.Get("Speak") == "false"
	if !was {
		p.Joined = at
	}
	m.write(ctx, n, p)
	size := 0
	m.inRoom(id, func(r *room) {
		r.runs(e.Get("Conference-Unique-ID"))
		r.hadHost = r.hadHost || p.Host
		size = r.size()
		r.most, r.unreached = max(r.most, size), false
	})
	m.decideEnd(n, id)
	if was || !n.keeper.Load() {
		return
	}
	kind := hasJoined
	if p.Returns > 0 {
		kind = isBack
	}
	m.welcome(n, id, p, size)
	if size > 1 {
		m.announce(n, id, notice{kind: kind, participant: p, at: time.Now()})
	}
}

func (m *Manager) left(ctx context.Context, n *node, id string, e *wire.Event, at time.Time) {
	p, known := m.participant(ctx, n, id, e.UUID(), at)
	if !known { // he is back already, by another leg
		return
	}
	if p.Left.IsZero() {
		p.Left, p.Reason = at, leftByself
	}
	m.inRoom(id, func(r *room) {
		delete(r.stars, e.UUID())
		r.endDial(e.UUID(), nil)
		if why := r.why[e.UUID()]; why != "" {
			p.Reason = why
			delete(r.why, e.UUID())
		}
	})
	m.write(ctx, n, p)
	m.decideEnd(n, id)
	if n.keeper.Load() {
		m.announce(n, id, notice{kind: hasLeft, participant: p, at: time.Now()})
	}
}

// runs says which conference the room is in FreeSWITCH. Another one than before is made by somebody who was on the way in when that was
// ended, and has its own end. The caller holds the lock.
func (r *room) runs(uuid string) {
	if uuid == "" {
		return
	}
	if r.uuid != "" && uuid != r.uuid {
		r.ending = ""
	}
	r.uuid = uuid
}

// size is how many are in the room. The caller holds the lock.
func (r *room) size() (n int) {
	for _, p := range r.people {
		if p.Present() {
			n++
		}
	}
	return n
}

func (r *room) hasHost() bool {
	for _, p := range r.people {
		if p.Host && p.Present() {
			return true
		}
	}
	return false
}

func (m *Manager) locked(ctx context.Context, n *node, id string, locked bool) {
	m.inRoom(id, func(r *room) { r.Locked = locked })
	if !n.keeper.Load() {
		return
	}
	if _, err := m.opt.Store.ChangeRoom(ctx, id, func(r *store.Room) { r.Locked = locked }); err != nil && !errors.Is(err, store.ErrNotFound) {
		m.log.Warn("lock of a conference not kept", zap.String("conference", id), zap.Error(err))
	}
}

// destroyed closes a room whose conference has gone, unless somebody is on the way into it: then FreeSWITCH makes it anew for him.
func (m *Manager) destroyed(ctx context.Context, n *node, id, uuid string) {
	coming := false
	var kept store.Room
	m.inRoom(id, func(r *room) {
		kept = r.Room
		if r.uuid != uuid { // of one that was before
			coming = true
			return
		}
		for _, p := range r.people {
			coming = coming || isComing(*p)
		}
		coming = coming || r.dialing
	})
	switch {
	case coming || kept.ID == "":
	case n.keeper.Load(): // another sidecar may have let somebody in
		m.closeUnless(ctx, kept, everybody, isComing)
	default:
		m.forget(id)
	}
}

// sweepRooms closes rooms that nobody is in and nobody has come into for a while: whoever was to come has died with his sidecar.
func (m *Manager) sweepRooms(ctx context.Context, n *node, now time.Time) {
	ctx, cancel := context.WithTimeout(ctx, writes)
	defer cancel()
	open, err := m.opt.Store.OpenRooms(ctx, n.sw.Name())
	if err != nil {
		return
	}
	for _, kept := range open {
		people, err := m.people(ctx, kept)
		if err != nil || now.Sub(kept.Opened) < emptyFor {
			continue
		}
		stays := func(p store.Participant) bool { return p.Present() || isComing(p) && now.Sub(p.Entered) < emptyFor }
		busy := slices.ContainsFunc(people, stays)
		m.inRoom(kept.ID, func(r *room) { busy = busy || r.dialing })
		if !busy {
			m.closeUnless(ctx, kept, nobodyCame, stays)
			continue
		}
		for _, p := range people {
			if isComing(p) && now.Sub(p.Entered) >= emptyFor { // his sidecar has died
				p.Left, p.Reason = now.UTC(), neverCame
				m.keep(ctx, p)
			}
		}
	}
}
