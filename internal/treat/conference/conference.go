package conference

import (
	"context"
	"errors"
	"time"

	freeswitchconf "github.com/signalbox/signalbox/freeswitch-conf"
	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/call"
	"github.com/signalbox/signalbox/internal/tel"
)

const (
	// roomTime bounds finding or making the room, while the caller hears ringing.
	roomTime = 2 * time.Second
	// nameTime bounds the same where the host's name has to be spoken for the first time: most take 2 s.
	nameTime = 3 * time.Second
	// fetchSlack is how much longer than ordered a host may be called before the caller is told that he was not reached.
	fetchSlack = 2 * time.Second
	// maxRepeats bounds how often an offer is heard again because the caller wants it.
	maxRepeats = 5
	// betweenDigits of a PIN, and the wrong ones that are heard in one call.
	betweenDigits = 4 * time.Second
	maxPINs       = 3
	// noKey is the wait for a key where none is asked for.
	noKey = 100 * time.Millisecond
)

// Why somebody does not come into a room, of those to whom something particular is said.
var (
	ErrLocked  = errors.New("the conference is locked")
	ErrFull    = errors.New("the conference is full")
	ErrEnded   = errors.New("the conference has ended")
	ErrRemoved = errors.New("the host has sent the caller out of this conference")
	// ErrAbsent means that the host is in no conference, and none is made.
	ErrAbsent = errors.New("the host is in no conference")
	// ErrAnew means that the room was closed without a conference having ended in it, so that another one takes its place.
	ErrAnew = errors.New("the room was closed before anybody came into it, or its media server was lost")
)

// Host is whose conference it is.
type Host struct {
	Account account.Account
	Number  tel.Number
}

// Opening asks for the host's room.
type Opening struct {
	Host     Host
	Settings account.Conference
	Node     string // where it is made when there is none
	ByHost   bool
	Present  bool // only the one that the host is in: none is made
}

// Guest is who comes in.
type Guest struct {
	Record, UUID, Node string
	From               tel.Identity
	Verified           bool            // the number is believed
	Contact            account.Contact // ID "" = a guest whom nobody knows
	Shared             bool            // many people call from the number
	IsHost             bool
}

// Entry is a room that lets one leg in.
type Entry struct {
	Join        call.JoinOrder
	HostPresent bool
	// Bridge tells the way to the node that has the room, where he is let in, when he goes there: it is good for a moment. nil = this
	// one has the room, and Join says how.
	Bridge func() (call.RingOrder, error)
	// NotTaken is to be called when that node does not take him; true = it is lost, and the room is closed. nil without Bridge.
	NotTaken func(ctx context.Context) bool
	Gone     func(why string) // to be called once the leg is out of the room again, or not coming
}

// Fetching is a call to the host.
type Fetching struct {
	Done    <-chan struct{} // closed when he has accepted, or will not
	Reached func() bool     // after Done: he is in the room
}

// Rooms keeps the rooms of hosts.
type Rooms interface {
	// Open finds the host's room or makes one, exactly one however many ask at once, and returns its ID. The error is ErrAbsent where
	// none is made, and others.
	Open(ctx context.Context, o Opening) (room string, err error)
	// Abandon says that nobody came into the room because of this call.
	Abandon(ctx context.Context, room string)
	// Enter asks whether a guest may come into a room now. The errors are those above, and others.
	Enter(ctx context.Context, room string, g Guest) (Entry, error)
	// Fetch has the host called into his room, once whoever asks.
	Fetch(ctx context.Context, room string, h Host) Fetching
	// Spoken returns a file on a node in which a voice speaks a name. It may take as long as the name.
	Spoken(ctx context.Context, node, name string) (file string, err error)
	// TryPIN counts a PIN as a wrong one before it is looked at, so that calls at the same time have no more tries than one behind the
	// other; false = there were too many of this caller, or for this host, or nobody can count. RightPIN takes it back.
	TryPIN(ctx context.Context, h Host, caller tel.Identity) bool
	RightPIN(ctx context.Context, h Host, caller tel.Identity)
}

// Tools is what a conference step needs beside the leg.
type Tools struct {
	Rooms Rooms  // nil = there are no conferences
	Music string // for callers who wait; "" = silence
}

// visit is one caller's way through the step.
type visit struct {
	leg    call.Leg
	a      call.Arrival
	record string
	c      call.Conference
	t      Tools
	rec    *call.StepRecord
	name   string // a file in which the host's name is spoken; "" = there is none
}

// Run offers the conference to the caller and brings him into it. record is the ID of the call's record. It returns an error only
// when the leg is out of our hands. The result is NotJoined for every caller who is still there and in no conference, with the reason
// in the note.
func Run(ctx context.Context, leg call.Leg, a call.Arrival, record string, c call.Conference, t Tools) (rec call.StepRecord, err error) {
	rec = call.StepRecord{Kind: call.StepConference, Started: time.Now(), Result: call.NotJoined}
	defer func() { rec.Ended = time.Now() }()
	if t.Rooms == nil {
		rec.Note = "this sidecar keeps no conferences"
		return rec, nil
	}
	v := &visit{leg: leg, a: a, record: record, c: c, t: t, rec: &rec}
	rec.Result, err = v.run(ctx)
	return rec, err
}

func (v *visit) run(ctx context.Context) (call.Result, error) {
	longest := roomTime
	if v.named() {
		longest = nameTime
	}
	if err := v.leg.Waiting(ctx, longest); err != nil {
		return call.Broken, err
	}
	speak, stop := context.WithTimeout(ctx, longest)
	defer stop()
	spoken := v.speakName(speak)
	look, cancel := context.WithTimeout(ctx, roomTime)
	room, err := "", error(nil)
	if v.c.Mode != call.ByPIN { // who does not know it makes no room
		room, err = v.open(look)
	}
	cancel()
	if err != nil {
		return v.notJoined("the room could not be found or made: " + err.Error())
	}
	entered := false
	defer func() {
		if !entered && room != "" {
			v.t.Rooms.Abandon(context.WithoutCancel(ctx), room)
		}
	}()
	v.name = <-spoken
	if result, err := v.ask(ctx); result != call.Answered {
		return result, err
	}
	for again := v.makes(); ; again = false {
		var entry Entry
		if room, entry, err = v.admit(ctx, room); err != nil {
			return v.tell(ctx, sorry(err), err.Error())
		}
		entered = true
		result, err := v.enter(ctx, room, entry)
		if errors.Is(err, ErrAnew) {
			if entry.Gone("the media server of the conference was lost"); again {
				room, entered = "", false
				continue
			}
			return v.tell(ctx, freeswitchconf.PromptEnded, err.Error())
		}
		entry.Gone(gone(result, v.rec.Note))
		return result, err
	}
}

// admit has the caller let into the room, room "" = the one there is or is to be made. One that was closed while he was asked, by a
// sidecar that did not know of him, is made anew.
func (v *visit) admit(ctx context.Context, room string) (string, Entry, error) {
	look, cancel := context.WithTimeout(ctx, roomTime)
	defer cancel()
	if room != "" {
		entry, err := v.t.Rooms.Enter(look, room, v.guest())
		if !errors.Is(err, ErrAnew) || !v.makes() {
			return room, entry, err
		}
	}
	room, err := v.open(look)
	if err != nil {
		return "", Entry{}, err
	}
	entry, err := v.t.Rooms.Enter(look, room, v.guest())
	return room, entry, err
}

// makes reports whether a caller makes a room where there is none.
func (v *visit) makes() bool {
	return v.c.Create != account.RoomPresent || v.c.Mode == call.AsHost || v.c.Scheduled
}

// open finds or makes the host's room.
func (v *visit) open(ctx context.Context) (room string, err error) {
	return v.t.Rooms.Open(ctx, Opening{Host: v.host(), Settings: v.c.Settings, Node: v.a.Node, ByHost: v.c.Mode == call.AsHost, Present: !v.makes()})
}

// gone is why a leg is not in the room any more.
func gone(result call.Result, note string) string {
	switch {
	case result == call.Answered:
		return "left"
	case note != "":
		return note
	}
	return string(result)
}

func (v *visit) host() Host { return Host{Account: v.c.Host, Number: v.c.Number} }

func (v *visit) guest() Guest {
	return Guest{
		Record: v.record, UUID: v.a.UUID, Node: v.a.Node, From: v.a.From, Verified: v.c.Mode != call.ByPIN && !v.a.Nameless() && !v.a.Suspect(),
		Contact: v.c.Caller, Shared: v.c.Shared, IsHost: v.c.Mode == call.AsHost,
	}
}

// ask greets the caller and asks what he wants. Answered means that he wants to join, and may.
func (v *visit) ask(ctx context.Context) (call.Result, error) {
	switch v.c.Mode {
	case call.ByPIN:
		return v.askPIN(ctx)
	case call.AtOnce:
		in, err := v.leg.Menu(ctx, call.MenuOrder{Sounds: v.greeting(), Most: 1, Wait: noKey})
		if err != nil || in.Result == call.CallerGone {
			return in.Result, err
		}
		return call.Answered, nil
	}
	return v.offer(ctx)
}

// offer greets the caller and says by which key he joins, again and again until he has chosen or the tries are used up.
func (v *visit) offer(ctx context.Context) (call.Result, error) {
	s := v.c.Settings
	sounds := append(v.greeting(), v.options()...)
	for tries, repeats := 0, 0; tries < max(s.Tries, 1) && repeats <= maxRepeats; {
		in, err := v.leg.Menu(ctx, call.MenuOrder{Sounds: sounds, Most: 1, Wait: s.MenuTimeout})
		switch {
		case err != nil || in.Result == call.CallerGone:
			return in.Result, err
		case in.Result != call.Ended:
			return v.notJoined("the offer could not be played: " + in.Note)
		}
		sounds = v.options()
		switch in.Keys {
		case string(s.JoinKey):
			return call.Answered, nil
		case string(s.MessageKey):
			return v.notJoined("the caller wants to leave a message")
		case string(s.RepeatKey):
			repeats++
		case "":
			tries++
		default:
			sounds = append([]string{v.prompt(freeswitchconf.PromptInvalid)}, sounds...)
			tries++
		}
	}
	return v.notJoined("the caller chose nothing")
}

// askPIN asks for the PIN; no digits at all are no try.
func (v *visit) askPIN(ctx context.Context) (call.Result, error) {
	sounds := append(v.greeting(), v.prompt(freeswitchconf.PromptPIN))
	for range maxPINs {
		in, err := v.leg.Menu(ctx, call.MenuOrder{Sounds: sounds, Most: 12, Wait: v.c.Settings.MenuTimeout, Between: betweenDigits, Ends: "#"})
		switch {
		case err != nil || in.Result == call.CallerGone:
			return in.Result, err
		case in.Result != call.Ended:
			return v.notJoined("the question for the PIN could not be played: " + in.Note)
		case in.Keys == "":
			return v.notJoined("the caller gave no PIN")
		}
		switch right, tried := v.tryPIN(ctx, in.Keys); {
		case right:
			return call.Answered, nil
		case !tried:
			return v.tell(ctx, freeswitchconf.PromptPINWrong, "too many wrong PINs of this caller, or for this host")
		}
		sounds = []string{v.prompt(freeswitchconf.PromptPINWrong), v.prompt(freeswitchconf.PromptPIN)}
	}
	return v.tell(ctx, freeswitchconf.PromptPINWrong, "three wrong PINs")
}

// tryPIN reports whether a PIN is right, and whether it was looked at.
func (v *visit) tryPIN(ctx context.Context, pin string) (right, tried bool) {
	ctx, cancel := context.WithTimeout(ctx, roomTime)
	defer cancel()
	if !v.t.Rooms.TryPIN(ctx, v.host(), v.a.From) {
		return false, false
	}
	if right = account.CheckPIN(v.c.Settings.PINHash, pin); right {
		v.t.Rooms.RightPIN(ctx, v.host(), v.a.From)
	}
	return right, true
}

// enter fetches the host where that is wanted and brings the caller into the room. ErrAnew says that the room is lost before he was in it.
func (v *visit) enter(ctx context.Context, room string, entry Entry) (call.Result, error) {
	if !entry.HostPresent && v.c.Create == account.RoomFetch && v.c.Mode != call.AsHost {
		fetching := v.t.Rooms.Fetch(ctx, room, v.host())
		result, err := v.leg.Hold(ctx, call.HoldOrder{
			Sounds: []string{v.prompt(freeswitchconf.PromptPleaseWait)}, Music: v.t.Music, Until: fetching.Done,
			Longest: v.c.Settings.AcceptTimeout + fetchSlack,
		})
		if err != nil || result == call.CallerGone {
			return result, err
		}
		if !reached(fetching) {
			return v.tell(ctx, freeswitchconf.PromptNoAnswer, "the host was not reached")
		}
	}
	if entry.Bridge != nil {
		order, err := entry.Bridge()
		if err != nil {
			return v.tell(ctx, freeswitchconf.PromptNoAnswer, err.Error())
		}
		return v.bridge(ctx, order, entry)
	}
	entry.Join.Music = v.t.Music
	result, err := v.leg.Join(ctx, entry.Join)
	if err != nil || result != call.NotJoined {
		return result, err
	}
	return v.tell(ctx, freeswitchconf.PromptEnded, "the conference had ended when the caller came in")
}

// bridge connects the caller with the node that has the room.
func (v *visit) bridge(ctx context.Context, order call.RingOrder, entry Entry) (call.Result, error) {
	connected := false
	order.Answered = func() { connected = true }
	attempt, err := v.leg.Ring(ctx, order)
	v.rec.Attempts = append(v.rec.Attempts, attempt)
	switch {
	case err != nil:
		return call.Broken, err
	case attempt.Result == call.Answered || attempt.Result == call.CallerGone:
		return attempt.Result, nil
	case connected:
		return v.tell(ctx, freeswitchconf.PromptEnded, "the media server of the conference was lost")
	case attempt.Result == call.Unreachable && entry.NotTaken(ctx):
		return call.NotJoined, ErrAnew
	}
	return v.tell(ctx, freeswitchconf.PromptEnded, "the node of the conference did not take the caller")
}

func reached(f Fetching) bool {
	select {
	case <-f.Done:
		return f.Reached()
	default:
		return false
	}
}

// tell says something to a caller who does not join.
func (v *visit) tell(ctx context.Context, what freeswitchconf.Prompt, why string) (call.Result, error) {
	// By a menu: it is what finds prompts, and a caller who has understood may press any key.
	in, err := v.leg.Menu(ctx, call.MenuOrder{Sounds: []string{v.prompt(what)}, Most: 1, Wait: noKey})
	if err != nil || in.Result == call.CallerGone {
		v.rec.Note = why
		return in.Result, err
	}
	return v.notJoined(why)
}

func (v *visit) notJoined(why string) (call.Result, error) {
	v.rec.Note = why
	return call.NotJoined, nil
}

// sorry is what a caller hears who may not come in. One who was sent out is not told so.
func sorry(err error) freeswitchconf.Prompt {
	switch {
	case errors.Is(err, ErrFull):
		return freeswitchconf.PromptFull
	case errors.Is(err, ErrLocked), errors.Is(err, ErrRemoved):
		return freeswitchconf.PromptLocked
	case errors.Is(err, ErrEnded), errors.Is(err, ErrAnew):
		return freeswitchconf.PromptEnded
	}
	return freeswitchconf.PromptNoAnswer
}
