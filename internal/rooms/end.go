package rooms

import (
	"context"
	"strconv"
	"time"

	"go.uber.org/zap"

	freeswitchconf "github.com/signalbox/signalbox/freeswitch-conf"
	"github.com/signalbox/signalbox/internal/store"
)

// Why rooms end, when FreeSWITCH does not end them.
const (
	endedAlone    = "one was left alone"
	endedByHost   = "ended by the host"
	endedLeft     = "the host left"
	hostUnreached = "the host was not reached"
)

func itoa(n int) string { return strconv.Itoa(n) }

// decideEnd starts and stops what ends a room: one who was left alone, a host who left a room that ends with him.
func (m *Manager) decideEnd(n *node, id string) {
	if !n.keeper.Load() {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.rooms[id]
	if r == nil {
		return
	}
	alone, left := r.isAlone(), r.isLeft()
	r.alone = m.timer(r.alone, alone, m.opt.AloneFor, func(ctx context.Context) { m.endIf(ctx, n, id, (*room).isAlone, endedAlone) })
	r.grace = m.timer(r.grace, left, r.Grace, func(ctx context.Context) { m.endIf(ctx, n, id, (*room).isLeft, endedLeft) })
}

// isAlone and isLeft say why a room is to end. The caller holds the lock.
func (r *room) isAlone() bool { return r.most > 1 && r.size() == 1 }
func (r *room) isLeft() bool  { return r.EndsWith && r.hadHost && !r.hasHost() && r.size() > 0 }

// timer starts a timer that is wanted and stops one that is not.
func (m *Manager) timer(t *time.Timer, wanted bool, after time.Duration, do func(context.Context)) *time.Timer {
	switch {
	case wanted && t == nil:
		return time.AfterFunc(after, func() { m.spawn(do) })
	case !wanted && t != nil:
		t.Stop()
		return nil
	}
	return t
}

func (m *Manager) endIf(ctx context.Context, n *node, id string, still func(*room) bool, why string) {
	if !n.keeps() { // who is in the room is not known any more: it is looked at, and counted from then on
		n.lost.Store(true)
		m.inRoom(id, (*room).stopClocks)
		return
	}
	end := false
	m.inRoom(id, func(r *room) { end = still(r) })
	if end {
		m.end(ctx, n, id, why)
	}
}

// end tells everybody that the conference is over and sends them out of it.
func (m *Manager) end(ctx context.Context, n *node, id, why string) {
	m.beginEnd(n, id, why)(ctx)
}

// beginEnd has a room end: from now on nothing else is said in it, and nobody is called into it by keys. What it returns does the rest.
func (m *Manager) beginEnd(n *node, id, why string) func(context.Context) {
	var in store.Room
	var done chan string
	size := 0
	m.inRoom(id, func(r *room) {
		if r.ending != "" {
			return
		}
		r.ending, in, size = why, r.Room, r.size()
		if r.speaks == nil {
			r.speaks = &speaker{done: make(chan string, 4)}
		}
		r.speaks.queue, done = nil, r.speaks.done
		r.endDials()
	})
	switch {
	case in.ID == "":
		return func(context.Context) {}
	case size == 0:
		return func(ctx context.Context) { m.close(ctx, id, why) }
	}
	return func(ctx context.Context) { m.sayEnd(ctx, n, in, done) }
}

func (m *Manager) sayEnd(ctx context.Context, n *node, in store.Room, done chan string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), longestNotice+writes)
	defer cancel()
	m.say(ctx, n, in, done, []word{{prompt: freeswitchconf.PromptEnded}})
	if err := n.sw.Conference(ctx, in.Name(), "kick", "all"); err != nil {
		m.log.Warn("conference not ended", zap.String("conference", in.ID), zap.Error(err))
		m.inRoom(in.ID, func(r *room) {
			r.ending = ""
			r.stopTimers() // whatever happens next starts them again
		})
	}
}

// welcome tells who has come in what he has to know, and begins the recording with the first one.
func (m *Manager) welcome(n *node, id string, p store.Participant, size int) {
	var in store.Room
	waits := false
	m.inRoom(id, func(r *room) { in, waits = r.Room, r.Waits && !r.hadHost })
	if in.ID == "" {
		return
	}
	var tell []freeswitchconf.Prompt
	if in.Recording {
		tell = append(tell, freeswitchconf.PromptRecording)
	}
	switch {
	case waits:
		tell = append(tell, freeswitchconf.PromptPleaseWait)
	case size == 1 && !in.Waits:
		tell = append(tell, freeswitchconf.PromptAlone)
	}
	if len(tell) == 0 {
		return
	}
	m.spawn(func(ctx context.Context) {
		ctx, cancel := context.WithTimeout(ctx, writes)
		defer cancel()
		if size == 1 && in.Recording {
			m.record(ctx, n, in, true)
		}
		for _, prompt := range tell {
			if _, err := m.play(ctx, n, in, p.Member, prompt.File(in.Language)); err != nil {
				m.log.Debug("member not told", zap.String("conference", id), zap.Error(err))
				return
			}
		}
	})
}

// record begins or ends the recording of a room. A recording that cannot begin is said to the log, and to nobody in the room.
func (m *Manager) record(ctx context.Context, n *node, in store.Room, on bool) {
	if m.opt.Recordings == "" {
		return
	}
	file := m.opt.Recordings + "/" + in.ID + "-" + strconv.FormatInt(time.Now().Unix(), 10) + ".wav"
	verb, what := "record", file
	if !on {
		verb, what = "norecord", "all"
	}
	if err := n.sw.Conference(ctx, in.Name(), verb, what); err != nil {
		m.log.Warn("recording of a conference", zap.String("conference", in.ID), zap.String("command", verb), zap.Error(err))
	}
}
