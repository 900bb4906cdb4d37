package rooms

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/signalbox/signalbox/esl/wire"
	freeswitchconf "github.com/signalbox/signalbox/freeswitch-conf"
	"github.com/signalbox/signalbox/internal/store"
)

// Command is something that a host does in his room.
type Command string

// The commands. Those of a participant name him.
const (
	Mute        Command = "mute"
	Unmute      Command = "unmute"
	MuteAll     Command = "mute_all"   // but for the host
	UnmuteAll   Command = "unmute_all" // but for the host
	Kick        Command = "kick"       // sends a participant out, who may not come back while the room is open
	Lock        Command = "lock"
	Unlock      Command = "unlock"
	StartRecord Command = "record"
	StopRecord  Command = "stop_record"
	End         Command = "end"
)

// Commands are all of them.
func Commands() []Command {
	return []Command{Mute, Unmute, MuteAll, UnmuteAll, Kick, Lock, Unlock, StartRecord, StopRecord, End}
}

// Why a command is not carried out.
var (
	ErrNobody     = errors.New("there is no such participant in the conference")
	ErrNoGateway  = errors.New("conference.gateway names no gateway by which people are called")
	ErrNoRecorder = errors.New("conference.recordings names no folder for recordings")
)

// sentOut is why somebody left whom the host has sent out.
const sentOut = "sent out by the host"

// Do carries out a command in an open room. participant is the ID of whom it is about.
func (m *Manager) Do(ctx context.Context, id string, c Command, participant string) error {
	ctx, cancel := context.WithTimeout(ctx, writes)
	defer cancel()
	kept, people, err := m.Roster(ctx, id)
	if errors.Is(err, store.ErrNotFound) || err == nil && !kept.Closed.IsZero() {
		return ErrEnded
	}
	if err != nil {
		return err
	}
	n := m.nodes[kept.Node]
	if n == nil || !n.sw.Up() {
		return ErrNode
	}
	m.load(ctx, kept)
	switch c {
	case Mute, Unmute, Kick:
		for _, p := range people {
			if p.ID == participant && p.Present() {
				return m.toOne(ctx, n, kept, c, p)
			}
		}
		return ErrNobody
	case StartRecord, StopRecord:
		return m.recordNow(ctx, n, kept, c == StartRecord)
	case End:
		m.spawn(m.beginEnd(n, id, endedByHost)) // begun when whoever asks has his answer
		return nil
	}
	return m.toAll(ctx, n, kept, c)
}

// toOne carries out what is about one participant.
func (m *Manager) toOne(ctx context.Context, n *node, in store.Room, c Command, p store.Participant) error {
	prompt := map[Command]freeswitchconf.Prompt{Mute: freeswitchconf.PromptMuted, Unmute: freeswitchconf.PromptUnmuted, Kick: freeswitchconf.PromptRemoved}[c]
	if c != Kick {
		if err := n.sw.Conference(ctx, in.Name(), string(c), itoa(p.Member)); err != nil {
			return err
		}
		m.tell(ctx, n, in, p.Member, word{prompt: prompt})
		return nil
	}
	if p.Number != "" && !p.Host { // who withholds his number cannot be known again
		if err := m.opt.Store.Bar(ctx, in.ID, p.Number); err != nil {
			return err
		}
	}
	m.inRoom(in.ID, func(r *room) { r.why[p.UUID] = sentOut })
	return n.sw.Conference(ctx, in.Name(), "kick", itoa(p.Member))
}

// toAll carries out what is about the whole room.
func (m *Manager) toAll(ctx context.Context, n *node, in store.Room, c Command) error {
	var err error
	var say freeswitchconf.Prompt
	switch c {
	case MuteAll:
		err, say = n.sw.Conference(ctx, in.Name(), "mute", "non_moderator"), freeswitchconf.PromptAllMuted
	case UnmuteAll:
		err, say = n.sw.Conference(ctx, in.Name(), "unmute", "non_moderator"), freeswitchconf.PromptAllUnmuted
	case Lock:
		err, say = n.sw.Conference(ctx, in.Name(), "lock"), freeswitchconf.PromptLocked
	case Unlock:
		err, say = n.sw.Conference(ctx, in.Name(), "unlock"), freeswitchconf.PromptUnlocked
	default:
		return fmt.Errorf("%.40q is no command of a conference", c)
	}
	if err != nil {
		return err
	}
	if c == Lock || c == Unlock { // at once, not only when FreeSWITCH tells of it: who comes now is not let in
		if _, err := m.opt.Store.ChangeRoom(ctx, in.ID, func(r *store.Room) { r.Locked = c == Lock }); err != nil {
			return err
		}
	}
	m.tell(ctx, n, in, 0, word{prompt: say})
	return nil
}

// recordNow begins or ends a recording, and everybody is told.
func (m *Manager) recordNow(ctx context.Context, n *node, in store.Room, on bool) error {
	if m.opt.Recordings == "" {
		return ErrNoRecorder
	}
	if in.Recording == on {
		return nil
	}
	if _, err := m.opt.Store.ChangeRoom(ctx, in.ID, func(r *store.Room) { r.Recording = on }); err != nil {
		return err
	}
	m.inRoom(in.ID, func(r *room) { r.Recording = on })
	prompt := freeswitchconf.PromptNotRecord
	if on { // the notice comes first
		prompt = freeswitchconf.PromptRecording
	}
	m.tell(ctx, n, in, 0, word{prompt: prompt})
	m.record(ctx, n, in, on)
	m.changed(in.ID)
	return nil
}

// tell says something to one member, or to all.
func (m *Manager) tell(ctx context.Context, n *node, in store.Room, member int, words ...word) {
	for _, w := range words {
		if _, err := m.sayWord(ctx, n, in, member, w); err != nil {
			m.log.Debug("not said in a conference", zap.String("conference", in.ID), zap.Error(err))
			return
		}
	}
}

// How keys are read: a command is "*" and one more key, soon after it.
const keyWithin = 4 * time.Second

// hostKeys are the commands of a host, ownKeys those of everybody.
const (
	keyRoster   = '1'
	keyMuteAll  = '2' // on and off
	keyLock     = '3' // on and off
	keyRecord   = '4' // on and off
	keyDial     = '5' // somebody of the address book
	keyMuteSelf = '6' // on and off
	keyKickLast = '7' // who came last
	keyEnd      = '9'
)

// pressed takes a key that somebody pressed.
func (m *Manager) pressed(n *node, e *wire.Event) {
	if !n.keeper.Load() {
		return
	}
	uuid, digit := e.UUID(), e.Get("DTMF-Digit")
	if uuid == "" || len(digit) != 1 {
		return
	}
	now := time.Now()
	m.mu.Lock()
	var in store.Room
	var who store.Participant
	var people []store.Participant
	dial := func() {}
	for _, r := range m.rooms {
		if r.Node != n.sw.Name() {
			continue
		}
		for _, p := range r.people {
			if p.UUID == uuid && p.Present() {
				in, who = r.Room, *p
			}
		}
		if in.ID == "" {
			continue
		}
		if d := r.dials[uuid]; d != nil { // whatever it is, it is no command
			r.dialKey(uuid, d, digit[0])
			in.ID = ""
			break
		}
		star := now.Sub(r.stars[uuid]) <= keyWithin
		if digit == "*" {
			r.stars[uuid] = now
			star = false
		} else {
			delete(r.stars, uuid)
		}
		if star && digit[0] == keyDial && who.Host { // at once: what he presses next is a number
			dial, star = m.beginDial(n, r, who), false
		}
		if !star {
			in.ID = ""
		}
		for _, p := range r.people {
			people = append(people, *p)
		}
		break
	}
	m.mu.Unlock()
	dial()
	if in.ID == "" {
		return
	}
	m.spawn(func(ctx context.Context) { m.command(ctx, n, in, who, people, digit[0]) })
}

// command carries out what a participant has asked for by keys.
func (m *Manager) command(ctx context.Context, n *node, in store.Room, who store.Participant, people []store.Participant, key byte) {
	ctx, cancel := context.WithTimeout(ctx, longestNotice)
	defer cancel()
	toggle := func(on bool, yes, no Command) Command {
		if on {
			return no
		}
		return yes
	}
	var err error
	switch {
	case key == keyMuteSelf:
		err = m.Do(ctx, in.ID, toggle(who.Muted, Mute, Unmute), who.ID)
	case !who.Host:
		return
	case key == keyRoster:
		m.readOut(ctx, n, in, who, people)
	case key == keyMuteAll:
		muted := false
		for _, p := range people {
			muted = muted || p.Present() && !p.Host && p.Muted
		}
		err = m.Do(ctx, in.ID, toggle(muted, MuteAll, UnmuteAll), "")
	case key == keyLock:
		err = m.Do(ctx, in.ID, toggle(in.Locked, Lock, Unlock), "")
	case key == keyRecord:
		err = m.Do(ctx, in.ID, toggle(in.Recording, StartRecord, StopRecord), "")
	case key == keyKickLast:
		last := store.Participant{}
		for _, p := range people {
			if p.Present() && !p.Host && p.Joined.After(last.Joined) {
				last = p
			}
		}
		err = m.Do(ctx, in.ID, Kick, last.ID)
	case key == keyEnd:
		err = m.Do(ctx, in.ID, End, "")
	default:
		m.tell(ctx, n, in, who.Member, word{prompt: freeswitchconf.PromptInvalid})
	}
	if err != nil {
		m.tell(ctx, n, in, who.Member, word{prompt: freeswitchconf.PromptInvalid})
		m.log.Info("a host's key was not carried out", zap.String("conference", in.ID), zap.String("key", "*"+string(key)), zap.Error(err))
	}
}

// maxReadOut bounds the names that are read out.
const maxReadOut = 12

// readOut tells the host alone how many are there, and who.
func (m *Manager) readOut(ctx context.Context, n *node, in store.Room, host store.Participant, people []store.Participant) {
	var names []word
	count := 0
	for _, p := range people {
		if !p.Present() {
			continue
		}
		count++
		if p.ID != host.ID && len(names) < maxReadOut {
			names = append(names, nameOf(p))
		}
	}
	words := []word{{prompt: freeswitchconf.PromptPeople}}
	if number, ok := freeswitchconf.PromptNumber(count); ok {
		words = append(words, word{prompt: number})
	}
	m.tell(ctx, n, in, host.Member, append(words, names...)...)
}
