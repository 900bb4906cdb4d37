package fssim

import (
	"slices"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/signalbox/signalbox/esl/wire"
	"github.com/signalbox/signalbox/internal/sound"
	"go.uber.org/zap"
)

// confInterval is how often a conference looks at its members, vanilla's interval.
const confInterval = 20 * time.Millisecond

// conferences are the rooms of a switch by name. FreeSWITCH makes a room for the first who asks for it, atomically.
type conferences struct {
	mu         sync.Mutex
	rooms      map[string]*room
	lastMember int
}

// room is one conference. Its goroutine gives the floor away and takes the room down; members come and go by their own.
// Its lock is never held while something blocks; a channel's lock may be taken inside it, never the other way round.
type room struct {
	s                   *Switch
	name, profile, uuid string
	began               time.Time
	min, max            int // least members once there were so many; most, 0 = any number
	wake                chan struct{}

	mu         sync.Mutex
	members    []*member // newest first, as FreeSWITCH lists them
	count      int       // without ghosts
	ghosts     int
	floor      int // member; 0 = nobody
	locked     bool
	waitMod    bool
	answered   bool
	enforceMin bool
	destruct   bool
	running    bool
	playing    time.Time // until when a file is played to all
	sounds     []roomSound
	moh        string        // what one who is alone, or waits, hears
	music      sound.Source  // of moh, while it plays
	voice      chan struct{} // wakes who mixes
	energy     int           // what counts as talking
	enter      string        // sounds of the profile
	exit       string
}

// member is one leg in a room. Its flags are under the room's lock.
type member struct {
	id     int
	c      *channel
	joined time.Time

	hear, see, speak, hold    bool
	muteDetect, moderator     bool
	ghost, endConf, mandatory bool
	passDigits                bool
	running                   bool
	voiced                    time.Time // last heard loudly enough
	silent                    bool      // comes and goes without a sound
	keys                      bool      // caller-controls
	playing                   time.Time // until when files are played to this one
}

// conferenceArg is "NAME[@profile][+pin][+flags{a|b}]".
type conferenceArg struct {
	name, profile, pin string
	flags              []string
}

func parseConference(arg, moreFlags string) conferenceArg {
	a := conferenceArg{profile: "default"}
	head := arg
	flags := ""
	if i := strings.Index(arg, "+flags{"); i >= 0 {
		head = arg[:i]
		flags, _, _ = strings.Cut(arg[i+len("+flags{"):], "}")
	}
	if moreFlags != "" {
		flags += "|" + moreFlags
	}
	for f := range strings.SplitSeq(strings.ReplaceAll(flags, ",", "|"), "|") {
		if f = strings.ToLower(strings.TrimSpace(f)); f != "" {
			a.flags = append(a.flags, f)
		}
	}
	head, a.pin, _ = strings.Cut(strings.TrimLeft(head, " "), "+")
	if i := strings.LastIndexByte(head, '@'); i >= 0 {
		head, a.profile = head[:i], head[i+1:]
	}
	a.name = head
	return a
}

func (a conferenceArg) has(flag string) bool {
	for _, f := range a.flags {
		if f == flag {
			return true
		}
	}
	return false
}

// appConference puts the caller into a room until he leaves or the room is taken down. What else is asked of him
// meanwhile is done from inside, as on FreeSWITCH.
func appConference(c *channel, arg string) {
	if arg == "" {
		return
	}
	a := parseConference(arg, c.get("conference_member_flags"))
	if strings.HasPrefix(a.name, "bridge:") {
		c.s.unknown("conference bridge:")
		return
	}
	r := c.enterRoom(a)
	if r == nil {
		return
	}
	c.set("conference_name", r.name)
	c.set("app_session_uuid", r.uuid)
	if !c.outbound {
		c.answer(nil)
	}
	if a.pin != "" && !c.outbound {
		c.s.unknown("conference with a pin")
		r.kick()
		return
	}
	m := r.join(c, a)
	if m == nil {
		r.kick()
		return
	}
	for r.isRunning(m) && c.ready() {
		c.pump()
		for {
			key, ok := c.nextDigit()
			if !ok {
				break
			}
			if m.keys {
				r.control(m, key)
			}
		}
		if r.isRunning(m) && c.ready() {
			c.wait(tick)
		}
	}
	r.leave(m)
	c.set("last_transfered_conference", "")
}

// enterRoom finds the room or makes it; nil with join-only when there is none.
func (c *channel) enterRoom(a conferenceArg) *room {
	q := &c.s.conf
	q.mu.Lock()
	if r := q.rooms[a.name]; r != nil && !r.ending() {
		q.mu.Unlock()
		return r
	}
	if a.has("join-only") {
		q.mu.Unlock()
		c.s.publish("CUSTOM", confSubclass, append(c.data(false), wire.Field{Name: "Conference-Name", Value: a.name},
			wire.Field{Name: "Conference-Profile-Name", Value: a.profile}, wire.Field{Name: "Action", Value: "rejected-join-only"}), nil)
		if v, ok := c.lookup("hangup_after_conference"); !ok || !isFalse(v) {
			c.hangup(causeNormalClearing)
		}
		return nil
	}
	r := &room{s: c.s, name: a.name, profile: "none", uuid: newUUID(), began: time.Now(), min: 1, moh: c.get("conference_moh_sound"),
		max: max(atoi(c.get("conference_max_members")), 0), wake: make(chan struct{}, 1), voice: make(chan struct{}, 1), waitMod: a.has("wait-mod"), running: true}
	if slices.Contains(vanillaProfiles, a.profile) {
		r.profile, r.moh, r.energy = a.profile, "", 100
		if a.profile != "sla" {
			r.enter, r.exit = vanillaEnter, vanillaExit
		}
	}
	q.rooms[a.name] = r
	// Published before anybody else can find the room.
	r.mu.Lock()
	r.publish(nil, wire.Field{Name: "Action", Value: "conference-create"})
	r.mu.Unlock()
	q.mu.Unlock()
	if !c.s.spawn(r.run) || !c.s.spawn(r.runVoice) {
		return nil
	}
	c.apiOn("api_on_conference_create")
	return r
}

// join adds a member and publishes add-member; nil when the room is locked or full.
func (r *room) join(c *channel, a conferenceArg) *member {
	q := &r.s.conf
	q.mu.Lock()
	id := c.confMember
	if id == 0 { // a channel keeps its number from room to room
		q.lastMember++
		id = q.lastMember
		c.confMember = id
	}
	q.mu.Unlock()
	controls := c.get("conference_controls")
	m := &member{id: id, c: c, joined: time.Now(), hear: true, see: true, speak: true, running: true, keys: controls == "" || controls == "default"}
	for _, f := range a.flags {
		r.flag(m, f)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	enforce := !c.outbound
	if v := c.get("conference_enforce_security"); v != "" {
		enforce = isTrue(v)
	}
	if r.locked && enforce || r.max > 0 && r.count >= r.max {
		c.s.log.Info("the conference is locked or full", zap.String("uuid", c.uuid), zap.String("conference", r.name))
		return nil
	}
	if !c.outbound {
		r.answered = true
	}
	if m.ghost {
		r.ghosts++
	} else {
		r.count++
	}
	if a.has("mintwo") {
		r.min = 2
	}
	if m.moderator {
		r.waitMod = false
	}
	c.set("conference_member_id", strconv.Itoa(m.id))
	c.set("conference_moderator", strconv.FormatBool(m.moderator))
	c.set("conference_ghost", strconv.FormatBool(m.ghost))
	c.set("conference_uuid", r.uuid)
	if c.get("conference_call_key") == "" {
		number, _ := c.value("caller_id_number")
		c.set("conference_call_key", "conference_"+r.name+"_"+r.s.defaultDomain()+"_"+number)
	}
	if r.count >= r.min {
		r.enforceMin = true
	}
	c.setMixed(true)
	if r.count > 1 && !m.silent {
		r.queueFile(firstNonEmpty(c.get("conference_enter_sound"), r.enter))
	}
	r.publish(m, wire.Field{Name: "Action", Value: "add-member"})
	r.members = append([]*member{m}, r.members...)
	if c.leg.relay != nil {
		c.leg.relay.mix(true, r.stirVoice)
	}
	r.stirVoice()
	r.stir()
	return m
}

// flag applies one member flag; those for video and positions change nothing here.
func (r *room) flag(m *member, f string) {
	switch f {
	case "mute":
		m.speak = false
	case "deaf":
		m.hear = false
	case "blind":
		m.see = false
	case "mute-detect":
		m.muteDetect = true
	case "dist-dtmf":
		m.passDigits = true
	case "moderator":
		m.moderator = true
	case "endconf":
		m.endConf = true
	case "mandatory_member_endconf":
		m.mandatory = true
	case "ghost":
		m.ghost = true
	case "silent":
		m.silent = true
	}
}

// leave removes a member and publishes del-member. Owner of the channel only.
func (r *room) leave(m *member) {
	r.mu.Lock()
	for i, x := range r.members {
		if x == m {
			r.members = append(r.members[:i:i], r.members[i+1:]...)
			break
		}
	}
	if r.floor == m.id {
		r.setFloor(nil)
	}
	if m.ghost {
		r.ghosts--
	} else {
		r.count--
	}
	// Mandatory members end a room when the last of them goes, after a grace time of none.
	last := m.mandatory
	for _, x := range r.members {
		last = last && !x.mandatory
	}
	if m.endConf || last || r.count+r.ghosts == 0 || r.enforceMin && r.count+r.ghosts < r.min {
		r.destruct = true
	}
	if sound := m.c.get("conference_exit_sound"); sound != "" {
		r.queueFile(sound)
	} else if !m.silent && !r.destruct {
		r.queueFile(r.exit)
	}
	if m.c.leg.relay != nil {
		m.c.leg.relay.mix(false, nil)
	}
	m.c.set("conference_call_key", "")
	r.publish(m, wire.Field{Name: "Action", Value: "del-member"})
	m.running = false
	r.mu.Unlock()
	m.c.setMixed(false)
	r.kick()
}

func (c *channel) setMixed(on bool) {
	c.mu.Lock()
	c.mixed = on
	if _, ok := c.find("read_codec"); ok {
		c.store("read_codec", map[bool]string{true: "L16", false: "PCMU"}[on])
	}
	c.mu.Unlock()
}

// control is what a member's key does, by vanilla's caller-controls: the keys for volume and energy change nothing here.
func (r *room) control(m *member, key byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch key {
	case '0':
		if m.hold {
			return
		}
		r.setSpeak(m, !m.speak)
		if m.speak && !m.hear {
			r.setHear(m, true)
		}
	case '*':
		if m.hold {
			return
		}
		r.setSpeak(m, !m.speak)
		if m.hear != m.speak {
			r.setHear(m, m.speak)
		}
	case '#':
		m.running = false
	}
}

// setSpeak, setHear and setFloor change what a member may and publish it. The caller holds mu.
func (r *room) setSpeak(m *member, on bool) {
	m.speak = on
	r.publish(m, wire.Field{Name: "Action", Value: map[bool]string{true: "unmute-member", false: "mute-member"}[on]})
}

func (r *room) setHear(m *member, on bool) {
	m.hear = on
	r.publish(m, wire.Field{Name: "Action", Value: map[bool]string{true: "undeaf-member", false: "deaf-member"}[on]})
}

func (r *room) setFloor(m *member) {
	was := "none" // also of one who has left
	for _, x := range r.members {
		if x.id == r.floor {
			was = strconv.Itoa(x.id)
		}
	}
	r.floor = 0
	now := "none"
	if m != nil {
		r.floor = m.id
		now = strconv.Itoa(m.id)
	}
	f := append(r.data(), wire.Field{Name: "Action", Value: "floor-change"}, wire.Field{Name: "Old-ID", Value: was})
	if m != nil {
		f = append(append(f, r.data()...), r.memberData(m)...) // FreeSWITCH says the room twice here
	}
	r.s.publish("CUSTOM", confSubclass, append(f, wire.Field{Name: "New-ID", Value: now}), nil)
}

func (r *room) isRunning(m *member) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return m.running
}

func (r *room) ending() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.destruct
}

// stir wakes the room's goroutine; kick does so for a room that nobody may be in.
func (r *room) stir() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

func (r *room) kick() {
	r.mu.Lock()
	if r.count+r.ghosts == 0 {
		r.destruct = true
	}
	r.mu.Unlock()
	r.stir()
}

// run is the conference's thread: within an interval somebody has the floor, and when the room is to go everybody is
// sent out.
func (r *room) run() {
	for !r.ending() { // ends an interval after the room is to go
		select {
		case <-r.wake:
		case <-r.s.done:
			return
		}
		time.Sleep(confInterval) // FreeSWITCH's frame
		r.mu.Lock()
		if r.floor == 0 && len(r.members) > 0 { // also in a room that is about to go
			r.setFloor(r.members[0])
		}
		r.mu.Unlock()
	}
	r.mu.Lock()
	out := append([]*member(nil), r.members...)
	r.mu.Unlock()
	for _, m := range out {
		if v, ok := m.c.lookup("hangup_after_conference"); !ok || !isFalse(v) {
			m.c.hangup(causeNormalClearing)
		}
		r.mu.Lock()
		m.running = false
		r.mu.Unlock()
		m.c.signal()
	}
	q := &r.s.conf
	q.mu.Lock()
	if q.rooms[r.name] == r {
		delete(q.rooms, r.name)
	}
	q.mu.Unlock()
	for !r.empty() {
		select {
		case <-r.wake:
		case <-r.s.done:
			return
		}
	}
	r.mu.Lock()
	r.running = false
	r.publish(nil, wire.Field{Name: "Action", Value: "conference-destroy"})
	r.mu.Unlock()
	r.stirVoice() // it ends
}

func (r *room) empty() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.members) == 0
}

const confSubclass = "conference::maintenance"

// publish publishes an event of the room, or of one of its members. The caller holds mu.
func (r *room) publish(m *member, extra ...wire.Field) {
	f := r.data()
	if m != nil {
		f = append(f, r.memberData(m)...)
	}
	r.s.publish("CUSTOM", confSubclass, append(f, extra...), nil)
}

// data are the headers of the room itself. The caller holds mu.
func (r *room) data() []wire.Field {
	return []wire.Field{{Name: "Conference-Name", Value: r.name}, {Name: "Conference-Domain", Value: r.s.defaultDomain()},
		{Name: "Conference-Size", Value: strconv.Itoa(r.count)}, {Name: "Conference-Ghosts", Value: strconv.Itoa(r.ghosts)},
		{Name: "Conference-Profile-Name", Value: r.profile}, {Name: "Conference-Unique-ID", Value: r.uuid}}
}

// memberData are the headers of a member, without its channel's variables. The caller holds mu.
func (r *room) memberData(m *member) []wire.Field {
	yes := func(name string, v bool) wire.Field { return wire.Field{Name: name, Value: strconv.FormatBool(v)} }
	f := append([]wire.Field{yes("Floor", m.id == r.floor)}, m.c.data(false)...)
	kind := "member"
	if m.moderator {
		kind = "moderator"
	}
	return append(f, yes("Video", false), yes("Hear", m.hear), yes("See", m.see), yes("Speak", m.speak), yes("Talking", false),
		yes("Mute-Detect", m.muteDetect), yes("Hold", m.hold), wire.Field{Name: "Member-ID", Value: strconv.Itoa(m.id)},
		wire.Field{Name: "Member-Type", Value: kind}, yes("Member-Ghost", m.ghost),
		wire.Field{Name: "Energy-Level", Value: strconv.Itoa(r.energy)}, wire.Field{Name: "Current-Energy", Value: "0"})
}

// findRoom returns a room that is not on its way out, nil when there is none.
func (s *Switch) findRoom(name string) *room {
	s.conf.mu.Lock()
	defer s.conf.mu.Unlock()
	if r := s.conf.rooms[name]; r != nil && !r.ending() {
		return r
	}
	return nil
}

// allRooms returns the rooms by name.
func (s *Switch) allRooms() []*room {
	s.conf.mu.Lock()
	defer s.conf.mu.Unlock()
	out := make([]*room, 0, len(s.conf.rooms))
	for _, r := range s.conf.rooms {
		out = append(out, r)
	}
	sort.Slice(out, func(i, j int) bool { return out[i].name < out[j].name })
	return out
}
