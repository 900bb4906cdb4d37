package rooms

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/fsw"
	"github.com/signalbox/signalbox/internal/store"
	"github.com/signalbox/signalbox/internal/tel"
)

// dialRoom is a conference of a host and Ben, with an address book.
type dialRoom struct {
	*rig
	m         *Manager
	f         *media
	s         State
	host, ben Guest
}

const (
	carla     = "+14155550133"
	carlaToo  = "+14085557133" // ends as her other one does
	dora      = "+14155550144"
	doraToo   = "+493012345678"
	emil      = "+14085550144" // ends as Dora's
	voiceless = "+14155550155" // of one without a name
)

func newDialRoom(t *testing.T, change func(*Options)) *dialRoom {
	r, f := newRig(t), newMedia("n1")
	_, err := r.store.Change(t.Context(), "acme", []store.Change{
		{Op: store.Put, Entry: &account.AccountEntry{ID: "ada"}},
		{Op: store.Put, Entry: &account.AccountEntry{ID: "other"}},
		{Op: store.Put, Entry: &account.ContactEntry{Account: "ada", ID: "carla", Name: "Carla", Numbers: []string{carla, carlaToo}}},
		{Op: store.Put, Entry: &account.ContactEntry{Account: "ada", ID: "dora", Name: "Dora", Numbers: []string{dora, doraToo}}},
		{Op: store.Put, Entry: &account.ContactEntry{Account: "ada", ID: "emil", Name: "Emil", Numbers: []string{emil}}},
		{Op: store.Put, Entry: &account.ContactEntry{Account: "ada", ID: "nameless", Numbers: []string{voiceless}}},
		{Op: store.Put, Entry: &account.ContactEntry{Account: "other", ID: "zoe", Name: "Zoe", Numbers: []string{"+14155550199"}}},
	}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	m, _ := r.manager("one", func(o *Options) {
		o.Gateway = "carrier"
		if change != nil {
			change(o)
		}
	}, f)
	d := &dialRoom{rig: r, m: m, f: f, s: r.open(m, "n1", nil)}
	d.host = Guest{UUID: uuid.NewString(), Number: hostNumber, IsHost: true}
	d.ben = Guest{UUID: uuid.NewString(), Number: benNumber, Name: "Ben"}
	r.enter(m, f, d.s, d.host)
	r.enter(m, f, d.s, d.ben)
	return d
}

func (d *dialRoom) press(leg, keys string) {
	for _, k := range keys {
		d.m.Event("n1", key(leg, string(k)))
	}
}

// presses has the host press keys behind what he was told.
func (d *dialRoom) presses(told, keys string) {
	d.t.Helper()
	d.untilSaid(d.f, "signalbox/en/"+told)
	d.press(d.host.UUID, keys)
}

// called waits until somebody is called, and returns whom.
func (d *dialRoom) called(want string) fsw.ConferenceCall {
	d.t.Helper()
	d.untilSaid(d.f, "signalbox/en/calling.wav 1")
	d.f.mu.Lock()
	defer d.f.mu.Unlock()
	if len(d.f.calls) != 1 || string(d.f.calls[0].Number) != want {
		d.t.Fatalf("calls are %+v, want one to %s", d.f.calls, want)
	}
	return d.f.calls[0]
}

// nobody checks that the dialogue is over and nobody was called, and that keys are commands again.
func (d *dialRoom) nobody(told string) {
	d.t.Helper()
	d.untilSaid(d.f, "signalbox/en/"+told+".wav 1")
	d.press(d.host.UUID, "*3")
	d.until(d.m, d.s.ID, "keys are commands again", func(room store.Room, _ []store.Participant) bool { return room.Locked })
	if n := d.f.called(); n != 0 {
		d.t.Errorf("%d calls were made", n)
	}
}

// everybodyHeard are what was played to all, and to Ben, since the two were in.
func (d *dialRoom) everybodyHeard() (out []string) {
	for _, said := range d.f.heard() {
		if file, member, one := strings.Cut(said, " "); !one || member == "2" {
			out = append(out, file)
		}
	}
	return out
}

func TestAHostCallsSomebodyByKeys(t *testing.T) {
	d := newDialRoom(t, nil)
	d.press(d.host.UUID, "*550133#") // before he is asked
	d.presses("dial-confirm.wav 1", "1")
	call := d.called(carla)
	if call.Gateway != "carrier" || call.From != hostNumber || call.Key != AcceptKey || call.Mark != d.s.ID || !strings.Contains(call.Prompt, "/en/invited.wav") {
		t.Errorf("the call is %+v", call)
	}
	d.until(d.m, d.s.ID, "who was called is in", func(_ store.Room, people []store.Participant) bool {
		return present(people) == 3 && slices.ContainsFunc(people, func(p store.Participant) bool {
			return p.Present() && p.Number == carla && p.Contact == "carla" && p.Name == "Carla"
		})
	})
	for _, file := range d.everybodyHeard() {
		for _, own := range []string{"dial", "will-call", "calling", "number-"} {
			if strings.Contains(file, "/"+own) {
				t.Errorf("all heard %s", file)
			}
		}
	}
	d.press(d.host.UUID, "*3")
	d.until(d.m, d.s.ID, "keys are commands again", func(room store.Room, _ []store.Participant) bool { return room.Locked })
}

func TestWhomDigitsMean(t *testing.T) {
	d := newDialRoom(t, nil)
	in, _, err := d.m.Roster(t.Context(), d.s.ID)
	if err != nil {
		t.Fatal(err)
	}
	for digits, want := range map[string]string{
		"4155550133": carla, "14155550133": carla, "01114085557133": carlaToo, "011493012345678": doraToo, // as his country writes it, with its prefix, internationally
		"50133": carla, "7133": carlaToo, "5678": doraToo, "4085550144": emil,
		"133": carla, // the end of two numbers of one contact: the one she has first
	} {
		if who, err := d.m.dialled(t.Context(), in, digits); err != nil || string(who.Number) != want || who.Contact == "" || !who.Verified {
			t.Errorf("%s means %+v, %v, want %s", digits, who, err, want)
		}
	}
	for digits, want := range map[string]error{
		"14155550199": errNotInBook, "0199": errNotInBook, // in the book of another host
		"9005550133": errNotInBook, "0044": errNotInBook, strings.Repeat("1", 64): errNotInBook, "0133013301330133013301330133": errNotInBook,
		"133A": errNotInBook, "%33": errNotInBook, "144": errSeveral, "33": errFewDigits, "": errFewDigits,
	} {
		if who, err := d.m.dialled(t.Context(), in, digits); !errors.Is(err, want) {
			t.Errorf("%s means %+v, %v, want %v", digits, who, err, want)
		}
	}
}

func TestManyNumbersWithOneEndAreSeveral(t *testing.T) {
	d := newDialRoom(t, nil)
	var all []store.Change
	for i := range maxEndings + 1 { // of one contact, of whom no more are looked at
		all = append(all, store.Change{Op: store.Put, Entry: &account.ContactEntry{Account: "ada", ID: fmt.Sprint("firm", i), Numbers: []string{fmt.Sprintf("+1415555%d777", i)}}})
	}
	if _, err := d.store.Change(t.Context(), "acme", all, time.Now()); err != nil {
		t.Fatal(err)
	}
	in, _, err := d.m.Roster(t.Context(), d.s.ID)
	if err != nil {
		t.Fatal(err)
	}
	if who, err := d.m.dialled(t.Context(), in, "777"); !errors.Is(err, errSeveral) {
		t.Errorf("777 means %+v, %v", who, err)
	}
}

func TestAHostIsToldWhyNobodyIsCalled(t *testing.T) {
	d := newDialRoom(t, nil)
	told := map[string]int{}
	for i, c := range []struct{ dialled, told string }{
		{"14155550199", "not-in-book"}, {strings.Repeat("1", 40), "not-in-book"}, {"133A", "not-in-book"}, {"144", "ambiguous"}, {"33", "dial-more"}, {"", "dial-more"},
	} {
		d.press(d.host.UUID, "*5"+c.dialled+"#")
		if told[c.told]++; c.told == "ambiguous" {
			told["dial-more"]++
		}
		d.untilTimes(c.told+".wav 1", told[c.told])
		d.press(d.host.UUID, "*")
		d.untilTimes("cancelled.wav 1", i+1)
	}
	d.nobody("cancelled")
}

func TestDialoguesThatCallNobody(t *testing.T) {
	patient := func(p patience) func(*dialRoom) { return func(d *dialRoom) { d.m.patience = p } }
	for name, c := range map[string]struct {
		before func(*dialRoom)
		play   func(*dialRoom)
		told   string
	}{
		"nothing is pressed": {before: patient(patience{first: 50 * time.Millisecond, between: time.Minute}), play: func(*dialRoom) {}, told: "cancelled"},
		"no end":             {before: patient(patience{first: time.Minute, between: 50 * time.Millisecond}), play: func(d *dialRoom) { d.presses("dial.wav 1", "50133") }, told: "cancelled"},
		"no yes": {before: patient(patience{first: time.Second, between: time.Minute}), play: func(d *dialRoom) {
			d.presses("dial.wav 1", "50133#")
			d.untilSaid(d.f, "signalbox/en/dial-confirm.wav 1")
		}, told: "cancelled"},
		"star among the digits": {play: func(d *dialRoom) { d.presses("dial.wav 1", "501*2") }, told: "cancelled"}, // and 2 mutes nobody
		"star instead of yes": {play: func(d *dialRoom) {
			d.presses("dial.wav 1", "50133#")
			d.presses("dial-confirm.wav 1", "*")
		}, told: "cancelled"},
		"three wrong answers": {play: func(d *dialRoom) {
			d.presses("dial.wav 1", "50133#")
			for n := 1; n <= dialTries; n++ {
				d.untilTimes("dial-confirm.wav 1", n)
				d.press(d.host.UUID, "2")
				d.untilTimes("invalid.wav 1", n)
			}
		}, told: "cancelled"},
		"three numbers that are nobody's": {play: func(d *dialRoom) {
			for n := 1; n <= dialTries; n++ {
				d.untilTimes("dial.wav 1", n)
				d.press(d.host.UUID, "98765#")
			}
		}, told: "cancelled"},
		"more keys than anybody presses": {play: func(d *dialRoom) { d.presses("dial.wav 1", strings.Repeat("5", 3000)+"*") }, told: "cancelled"},
		"no gateway":                     {before: func(d *dialRoom) { d.m.opt.Gateway = "" }, play: func(*dialRoom) {}, told: "not-possible"},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDialRoom(t, nil)
			if c.before != nil {
				c.before(d)
			}
			d.press(d.host.UUID, "*5")
			c.play(d)
			d.nobody(c.told)
			if _, people, err := d.m.Roster(t.Context(), d.s.ID); err != nil || slices.ContainsFunc(people, func(p store.Participant) bool { return p.Muted }) {
				t.Errorf("somebody was muted by digits: %+v, %v", people, err)
			}
		})
	}
}

// untilTimes waits until something was said so many times.
func (d *dialRoom) untilTimes(what string, n int) {
	d.t.Helper()
	deadline, again := time.After(10*time.Second), time.NewTicker(10*time.Millisecond)
	defer again.Stop()
	for strings.Count(strings.Join(d.f.heard(), "\n")+"\n", "/"+what+"\n") < n {
		select {
		case <-again.C:
		case <-deadline:
			d.t.Fatalf("%s was not said %d times: %q", what, n, d.f.heard())
		}
	}
}

func TestWhoIsNotTheHostCallsNobodyByKeys(t *testing.T) {
	d := newDialRoom(t, nil)
	d.press(d.ben.UUID, "*550133#1*50133#1")
	d.press(d.host.UUID, "*1") // told behind it
	d.untilSaid(d.f, "signalbox/en/number-2.wav 1")
	if n := d.f.called(); n != 0 || strings.Contains(strings.Join(d.f.heard(), "\n"), "dial") {
		t.Errorf("%d calls were made; said were %q", n, d.f.heard())
	}
}

func TestAHostWhoLeavesWhileHeDialsCallsNobody(t *testing.T) {
	d := newDialRoom(t, nil)
	d.press(d.host.UUID, "*550133#")
	d.untilSaid(d.f, "signalbox/en/dial-confirm.wav 1")
	d.f.leave(d.host.UUID)
	d.press(d.host.UUID, "1")
	d.until(d.m, d.s.ID, "the host has left", func(_ store.Room, people []store.Participant) bool { return present(people) == 1 })
	again := Guest{UUID: uuid.NewString(), Number: hostNumber, IsHost: true} // and is back
	d.enter(d.m, d.f, d.s, again)
	d.press(again.UUID, "1*3")
	d.until(d.m, d.s.ID, "his keys are commands", func(room store.Room, _ []store.Participant) bool { return room.Locked })
	if n := d.f.called(); n != 0 {
		t.Errorf("%d calls were made", n)
	}
}

func TestAConferenceThatEndsWhileItsHostDialsCallsNobody(t *testing.T) {
	d := newDialRoom(t, nil)
	d.press(d.host.UUID, "*550133#")
	d.untilSaid(d.f, "signalbox/en/dial-confirm.wav 1")
	if err := d.m.Do(t.Context(), d.s.ID, End, ""); err != nil {
		t.Fatal(err)
	}
	d.press(d.host.UUID, "1")
	d.until(d.m, d.s.ID, "it is over", closedFor(endedByHost))
	if n := d.f.called(); n != 0 {
		t.Errorf("%d calls were made", n)
	}
}

func TestNobodyIsCalledByAKeyThatWasPressedBeforeItWasSaidWho(t *testing.T) {
	d := newDialRoom(t, nil)
	d.press(d.host.UUID, "*550133#1")
	d.untilSaid(d.f, "signalbox/en/dial-confirm.wav 1")
	d.press(d.host.UUID, "*")
	d.nobody("cancelled")
}

func TestWhomNoVoiceCanNameIsToldByHisNumber(t *testing.T) {
	d := newDialRoom(t, func(o *Options) { o.Voice = Voice{} })
	d.press(d.host.UUID, "*50155#")
	d.untilSaid(d.f, "signalbox/en/dial-confirm.wav 1")
	var digits []string
	for _, said := range d.f.heard() {
		if _, n, ok := strings.Cut(said, "/en/number-"); ok {
			digits = append(digits, strings.TrimSuffix(n, ".wav 1"))
		}
	}
	if got := "+" + strings.Join(digits, ""); got != voiceless {
		t.Errorf("he is told %s, want %s", got, voiceless)
	}
}

func TestAHostIsToldWhenNobodyComes(t *testing.T) {
	d := newDialRoom(t, nil)
	d.f.answer = func(fsw.ConferenceCall) error { return errors.New("no answer") }
	d.press(d.host.UUID, "*550133#")
	d.presses("dial-confirm.wav 1", "1")
	d.called(carla)
	d.untilSaid(d.f, "signalbox/en/no-answer.wav 1")
}

func TestAFullRoomTakesNobodyByKeys(t *testing.T) {
	d := newDialRoom(t, nil)
	if _, err := d.store.ChangeRoom(t.Context(), d.s.ID, func(r *store.Room) { r.MaxMembers = 2 }); err != nil {
		t.Fatal(err)
	}
	d.press(d.host.UUID, "*550133#")
	d.presses("dial-confirm.wav 1", "1")
	d.nobody("full")
}

// silentBook is an address book that does not answer.
type silentBook struct{ Book }

func (silentBook) NumbersEnding(context.Context, string, string, string, int) ([]tel.Number, error) {
	return nil, store.ErrUnavailable
}

// slowBook is an address book that answers when nobody waits any more.
type slowBook struct{ Book }

func (slowBook) NumbersEnding(ctx context.Context, _, _, _ string, _ int) ([]tel.Number, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func TestWhatIsLookedUpCanBeCancelled(t *testing.T) {
	d := newDialRoom(t, func(o *Options) { o.Book = slowBook{o.Book} })
	d.press(d.host.UUID, "*550133#")
	d.untilSaid(d.f, "signalbox/en/dial.wav 1")
	d.press(d.host.UUID, "*")
	d.nobody("cancelled")
}

func TestASilentAddressBookCallsNobody(t *testing.T) {
	d := newDialRoom(t, func(o *Options) { o.Book = silentBook{o.Book} })
	d.press(d.host.UUID, "*550133#1")
	d.nobody("not-possible")
}
