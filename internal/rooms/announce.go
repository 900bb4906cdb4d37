package rooms

import (
	"context"
	"errors"
	"path"
	"slices"
	"time"

	"go.uber.org/zap"

	freeswitchconf "github.com/signalbox/signalbox/freeswitch-conf"
	"github.com/signalbox/signalbox/internal/store"
)

// Voice is a voice of FreeSWITCH's that speaks names, such as mod_flite's.
type Voice struct{ Engine, Name string }

const (
	// maxNotices bounds what waits to be said in a room.
	maxNotices = 64
	// settle is how long the first announcement waits for others to be said with it.
	settle = 200 * time.Millisecond
	// longestNotice is how long an announcement is waited for.
	longestNotice = 10 * time.Second
)

// what is said of people.
type kind string

const (
	hasJoined kind = "joined"
	hasLeft   kind = "left"
	isBack    kind = "back"
)

// notice is something to be said of one participant.
type notice struct {
	kind        kind
	participant store.Participant
	at          time.Time
}

// speaker is who speaks in a room, while there is something to say.
type speaker struct {
	queue []notice
	busy  bool
	done  chan string // paths of files that were played
}

// enqueue puts a notice behind those that wait. Who leaves before it was said that he came is not spoken of at all. Of too many the
// oldest are dropped; the result says so.
func enqueue(queue []notice, n notice) (_ []notice, dropped bool) {
	if n.kind == hasLeft {
		if i := slices.IndexFunc(queue, func(q notice) bool { return q.participant.ID == n.participant.ID && q.kind != hasLeft }); i >= 0 {
			return slices.Delete(queue, i, i+1), false
		}
	}
	queue = append(queue, n)
	if len(queue) > maxNotices {
		return queue[1:], true
	}
	return queue, false
}

// next takes from the queue what is said as one: the first notice and all others of its kind.
func next(queue []notice) (batch, rest []notice) {
	for _, n := range queue {
		if n.kind == queue[0].kind && (n.kind != isBack || len(batch) == 0) {
			batch = append(batch, n)
		} else {
			rest = append(rest, n)
		}
	}
	return batch, rest
}

// word is a part of an announcement: a prompt, a recorded name, or a name to be spoken.
type word struct {
	prompt freeswitchconf.Prompt
	clip   string
	text   string
	of     bool // the name is that of many: it is somebody from there
}

// sentence says a batch: "NAME has joined", or "NAME and 9 others have joined". A person whose name is known is named first, else somebody
// of whom it is known where he is from.
func sentence(batch []notice) []word {
	named := slices.IndexFunc(batch, func(n notice) bool { return n.participant.Name != "" && !n.participant.Shared })
	if named < 0 {
		named = slices.IndexFunc(batch, func(n notice) bool { return n.participant.Name != "" })
	}
	first := batch[max(named, 0)].participant
	words := []word{nameOf(first)}
	one := map[kind]freeswitchconf.Prompt{hasJoined: freeswitchconf.PromptJoined, hasLeft: freeswitchconf.PromptLeft, isBack: freeswitchconf.PromptIsBack}
	many := map[kind]freeswitchconf.Prompt{hasJoined: freeswitchconf.PromptHaveJoined, hasLeft: freeswitchconf.PromptHaveLeft}
	others := len(batch) - 1
	if others == 0 {
		return append(words, word{prompt: one[batch[0].kind]})
	}
	words = append(words, word{prompt: freeswitchconf.PromptAnd})
	if number, ok := freeswitchconf.PromptNumber(others); ok {
		words = append(words, word{prompt: number})
	}
	if others == 1 {
		words = append(words, word{prompt: freeswitchconf.PromptOther})
	} else {
		words = append(words, word{prompt: freeswitchconf.PromptOthers})
	}
	return append(words, word{prompt: many[batch[0].kind]})
}

// nameOf says a participant: never by a number, and by no name when he has withheld his. Of a shared number it is "someone from NAME".
func nameOf(p store.Participant) word {
	if p.Name == "" || p.Number == "" && !p.Host {
		return word{prompt: freeswitchconf.PromptGuest}
	}
	return word{clip: p.Clip, text: p.Name, of: p.Shared}
}

// announce has something said in a room, unless its host wants it quiet.
func (m *Manager) announce(n *node, id string, what notice) {
	start, dropped := false, false
	m.inRoom(id, func(r *room) {
		if r.Quiet || r.ending != "" || r.size() == 0 {
			return
		}
		if what.participant.Host && what.participant.Name == "" {
			what.participant.Name = r.HostName
		}
		if r.speaks == nil {
			r.speaks = &speaker{done: make(chan string, 4)}
		}
		r.speaks.queue, dropped = enqueue(r.speaks.queue, what)
		start = !r.speaks.busy
		r.speaks.busy = true
	})
	if dropped {
		m.opt.Meter.Dropped("announcement")
	}
	if start {
		m.spawn(func(ctx context.Context) { m.speak(ctx, n, id) })
	}
}

// speak says what waits until nothing does.
func (m *Manager) speak(ctx context.Context, n *node, id string) {
	pause(ctx, settle)
	for {
		var batch []notice
		var in store.Room
		var done chan string
		m.inRoom(id, func(r *room) {
			if r.speaks == nil { // the room was forgotten and found again meanwhile
				return
			}
			if len(r.speaks.queue) == 0 || r.size() == 0 || ctx.Err() != nil {
				r.speaks.queue, r.speaks.busy = nil, false
				return
			}
			batch, r.speaks.queue = next(r.speaks.queue)
			in, done = r.Room, r.speaks.done
		})
		if batch == nil {
			return
		}
		m.opt.Meter.Announced(len(batch), time.Since(batch[0].at))
		m.say(ctx, n, in, done, sentence(batch))
	}
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// say plays the words to everybody, one behind the other, and waits until the last one was played.
func (m *Manager) say(ctx context.Context, n *node, in store.Room, done chan string, words []word) {
	ctx, cancel := context.WithTimeout(ctx, longestNotice)
	defer cancel()
	for len(done) > 0 {
		<-done
	}
	last := ""
	for _, w := range words {
		file, err := m.sayWord(ctx, n, in, 0, w)
		if err != nil {
			m.log.Warn("announcement not played: are the prompts in the switch's configuration folder (dialplan render --with sounds)?",
				zap.String("conference", in.ID), zap.Error(err))
			return
		}
		last = file
	}
	for last != "" {
		select {
		case file := <-done:
			if file == last {
				return
			}
		case <-ctx.Done():
			return
		}
	}
}

// sayWord plays one word; member 0 = to everybody. It returns the file that is played; "" = a voice speaks.
func (m *Manager) sayWord(ctx context.Context, n *node, in store.Room, member int, w word) (string, error) {
	if w.prompt == "" {
		if err := m.sayName(ctx, n, in, member, w); err == nil {
			return "", nil
		}
		w = word{prompt: freeswitchconf.PromptGuest} // neither recorded nor spoken
	}
	return m.play(ctx, n, in, member, w.prompt.File(in.Language))
}

// sayName plays a recorded name, or has it spoken.
func (m *Manager) sayName(ctx context.Context, n *node, in store.Room, member int, w word) error {
	if w.of {
		return m.saySomeone(ctx, n, in, member, w)
	}
	if w.clip != "" {
		if _, err := m.play(ctx, n, in, member, path.Join(Clips, in.Tenant, in.Account, path.Base(w.clip))); err == nil {
			return nil
		}
	}
	if m.opt.Voice.Engine == "" {
		return errNoVoice
	}
	return n.sw.Say(ctx, in.Name(), m.opt.Voice.Engine, m.opt.Voice.Name, member, w.text)
}

// saySomeone says "someone from NAME". That there is a name to be heard is known before the first word.
func (m *Manager) saySomeone(ctx context.Context, n *node, in store.Room, member int, w word) error {
	name, err := m.nameFile(ctx, n, in, w)
	if err != nil {
		return err
	}
	if _, err := m.play(ctx, n, in, member, freeswitchconf.PromptSomeone.File(in.Language)); err != nil {
		return err
	}
	return m.playFile(ctx, n, in, member, name)
}

// nameFile is a file on the switch in which a name is recorded or spoken.
func (m *Manager) nameFile(ctx context.Context, n *node, in store.Room, w word) (string, error) {
	if w.clip != "" {
		file, err := n.sw.File(ctx, path.Join(Clips, in.Tenant, in.Account, path.Base(w.clip)))
		if err == nil && n.sw.Exists(ctx, file) {
			return file, nil
		}
	}
	file, err := m.Spoken(ctx, n.sw.Name(), w.text)
	if err == nil && !n.sw.Exists(ctx, file) {
		err = errNotSpoken
	}
	return file, err
}

// Spoken is a file on a node in which a name is spoken, for a caller who is in no room.
func (m *Manager) Spoken(ctx context.Context, on, name string) (string, error) {
	n := m.nodes[on]
	switch {
	case n == nil:
		return "", ErrNode
	case m.opt.Voice.Engine == "":
		return "", errNoVoice
	}
	return n.sw.Spoken(ctx, m.opt.Voice.Engine, m.opt.Voice.Name, name)
}

// Clips is the folder of recorded names inside FreeSWITCH's conf folder; TENANT/ACCOUNT/FILE stand in it.
const Clips = freeswitchconf.Sounds + "/names"

func (m *Manager) play(ctx context.Context, n *node, in store.Room, member int, name string) (string, error) {
	file, err := n.sw.File(ctx, name)
	if err != nil {
		return "", err
	}
	return file, m.playFile(ctx, n, in, member, file)
}

// playFile plays a file of the switch; member 0 = to everybody.
func (m *Manager) playFile(ctx context.Context, n *node, in store.Room, member int, file string) error {
	words := []string{file}
	if member > 0 {
		words = append(words, itoa(member))
	}
	return n.sw.Conference(ctx, in.Name(), "play", words...)
}

var (
	errNoVoice   = errors.New("no voice is configured")
	errNotSpoken = errors.New("the voice spoke into no file")
)

// played tells the speaker of a room that a file is over.
func (m *Manager) played(id, file string) {
	m.inRoom(id, func(r *room) {
		if r.speaks != nil {
			select {
			case r.speaks.done <- file:
			default:
			}
		}
	})
}
