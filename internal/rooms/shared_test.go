package rooms

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	freeswitchconf "github.com/signalbox/signalbox/freeswitch-conf"
	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/store"
	"github.com/signalbox/signalbox/internal/tel"
)

const acmeNumber = tel.Number("+14155550180")

// fromACME is one of those behind the main number of a firm.
func fromACME() Guest {
	return Guest{UUID: uuid.NewString(), Number: acmeNumber, Verified: true, Contact: "acme", Name: "ACME", Shared: true}
}

// isIn reports whether a leg is in the room, and left whether it was and is not any more.
func isIn(people []store.Participant, leg string) bool {
	return slices.ContainsFunc(people, func(p store.Participant) bool { return p.UUID == leg && p.Present() })
}

func TestColleaguesBehindASharedNumberAreDifferentPeople(t *testing.T) {
	r, f := newRig(t), newMedia("n1")
	m, _ := r.manager("one", nil, f)
	s := r.open(m, "n1", nil)
	r.enter(m, f, s, Guest{UUID: uuid.NewString(), Number: hostNumber, Name: "Ada", IsHost: true})
	first, second, third := fromACME(), fromACME(), fromACME()
	r.enter(m, f, s, first)
	r.untilSaid(f, "signalbox/en/someone.wav\n/spoken/ACME.wav\n/conf/sounds/signalbox/en/joined.wav")
	f.mu.Lock()
	f.silent = map[string]bool{first.UUID: true} // he holds the call
	f.mu.Unlock()
	if ticket := r.enter(m, f, s, second); ticket.IsBack {
		t.Error("a colleague of who holds the call counts as that one, who is back")
	}
	r.until(m, s.ID, "both are in, each by himself", func(_ store.Room, people []store.Participant) bool {
		return len(people) == 3 && isIn(people, first.UUID) && isIn(people, second.UUID)
	})
	f.leave(first.UUID)
	r.untilSaid(f, "/spoken/ACME.wav\n/conf/sounds/signalbox/en/left.wav")
	if ticket := r.enter(m, f, s, third); ticket.IsBack {
		t.Error("who calls after a colleague has left counts as that one, who is back")
	}
	r.until(m, s.ID, "one has left, two are in", func(_ store.Room, people []store.Participant) bool {
		return len(people) == 4 && present(people) == 3 && isIn(people, second.UUID) && isIn(people, third.UUID) &&
			!slices.ContainsFunc(people, func(p store.Participant) bool {
				return p.Returns > 0 || p.Number == acmeNumber && (!p.Shared || p.Name != "ACME")
			})
	})
	if all := strings.Join(f.heard(), "\n"); strings.Contains(all, "is-back") || strings.Contains(all, "say ACME") {
		t.Errorf("ACME was announced as a person, or as back: %s", all)
	}
	f.mu.Lock()
	f.said = nil
	f.mu.Unlock()
	_, people, err := m.Roster(t.Context(), s.ID)
	host := people[slices.IndexFunc(people, func(p store.Participant) bool { return p.Host })]
	if err != nil {
		t.Fatal(err)
	}
	m.Event("n1", key(host.UUID, "*"))
	m.Event("n1", key(host.UUID, "1"))
	r.untilSaid(f, "someone.wav 1\n/spoken/ACME.wav 1")
}

// A number that is shared now, or was when somebody came in, makes nobody of those who have it the same person.
func TestANumberThatBecomesSharedMergesNobody(t *testing.T) {
	for _, wasShared := range []bool{false, true} {
		r, f := newRig(t), newMedia("n1")
		m, _ := r.manager("one", nil, f)
		s := r.open(m, "n1", nil)
		r.enter(m, f, s, Guest{UUID: uuid.NewString(), Number: hostNumber, IsHost: true})
		before, after := fromACME(), fromACME()
		before.Shared, after.Shared = wasShared, !wasShared
		r.enter(m, f, s, before)
		f.mu.Lock()
		f.silent = map[string]bool{before.UUID: true}
		f.mu.Unlock()
		if ticket := r.enter(m, f, s, after); ticket.IsBack {
			t.Errorf("shared before: %t: a second caller counts as the first, who is there", wasShared)
		}
		f.leave(before.UUID)
		f.leave(after.UUID)
		r.until(m, s.ID, "both have left", func(_ store.Room, people []store.Participant) bool { return present(people) == 1 })
		again := fromACME()
		again.Shared = !wasShared
		ticket := r.enter(m, f, s, again)
		_, people, _ := m.Roster(t.Context(), s.ID)
		if i := slices.IndexFunc(people, func(p store.Participant) bool { return p.UUID == before.UUID }); i < 0 {
			t.Errorf("shared before: %t: the first one's place was taken: %+v, %+v", wasShared, ticket, people)
		}
	}
}

// Who was sent out cannot be told from his colleagues: none of them comes in until the conference is over. Those who are in stay.
func TestWhoIsSentOutOfASharedNumberKeepsItOut(t *testing.T) {
	r, f := newRig(t), newMedia("n1")
	m, _ := r.manager("one", nil, f)
	s := r.open(m, "n1", nil)
	r.enter(m, f, s, Guest{UUID: uuid.NewString(), Number: hostNumber, IsHost: true})
	stays, goes := fromACME(), fromACME()
	r.enter(m, f, s, stays)
	ticket := r.enter(m, f, s, goes)
	if err := m.Do(t.Context(), s.ID, Kick, ticket.Participant); err != nil {
		t.Fatal(err)
	}
	r.until(m, s.ID, "one was sent out", func(_ store.Room, people []store.Participant) bool {
		return isIn(people, stays.UUID) && slices.ContainsFunc(people, func(p store.Participant) bool { return p.UUID == goes.UUID && p.Reason == sentOut })
	})
	if _, err := m.Enter(t.Context(), s.ID, fromACME()); !errors.Is(err, ErrKicked) {
		t.Errorf("somebody from there comes in after a kick: %v", err)
	}
	if err := m.Do(t.Context(), s.ID, End, ""); err != nil {
		t.Fatal(err)
	}
	r.until(m, s.ID, "the end", closedFor(endedByHost))
	if _, err := m.Enter(t.Context(), r.open(m, "n1", nil).ID, fromACME()); err != nil {
		t.Errorf("into the next conference: %v", err)
	}
}

// Without a voice or a recording, and by the PIN, somebody of a shared number is a guest: "someone from" is not said with nothing behind it.
func TestSomeoneWhoseFirmCannotBeSaidIsAGuest(t *testing.T) {
	for name, change := range map[string]func(*Guest, *Options, *media){
		"no voice":                       func(_ *Guest, o *Options, _ *media) { o.Voice = Voice{} },
		"no voice, and no such clip":     func(g *Guest, o *Options, f *media) { o.Voice, g.Clip = Voice{}, "acme.wav" },
		"a voice that made no file":      func(_ *Guest, _ *Options, f *media) { f.missing["/spoken/ACME.wav"] = true },
		"not recognised, but by a PIN":   func(g *Guest, _ *Options, _ *media) { g.Contact, g.Name = "", "" },
		"a contact that has lost a name": func(g *Guest, _ *Options, _ *media) { g.Name = "" },
	} {
		t.Run(name, func(t *testing.T) {
			r, f := newRig(t), newMedia("n1")
			f.missing = map[string]bool{"/conf/sounds/signalbox/names/acme/ada/acme.wav": true}
			g := fromACME()
			m, _ := r.manager("one", func(o *Options) { change(&g, o, f) }, f)
			s := r.open(m, "n1", nil)
			r.enter(m, f, s, Guest{UUID: uuid.NewString(), Number: hostNumber, IsHost: true})
			r.enter(m, f, s, g)
			r.untilSaid(f, "signalbox/en/guest.wav\n/conf/sounds/signalbox/en/joined.wav")
			if all := strings.Join(f.heard(), "\n"); strings.Contains(all, "someone.wav") {
				t.Errorf("said: %s", all)
			}
		})
	}
}

func TestARecordedFirmIsPlayedInTheRoomsLanguage(t *testing.T) {
	r, f := newRig(t), newMedia("n1")
	m, _ := r.manager("one", nil, f)
	german := theHost
	german.Language = "de-AT"
	s, _, err := m.Open(t.Context(), Opening{Host: german, By: "attendee", Settings: account.Conference{MaxMembers: 30}, Node: "n1"})
	if err != nil {
		t.Fatal(err)
	}
	r.enter(m, f, s, Guest{UUID: uuid.NewString(), Number: hostNumber, IsHost: true})
	g := fromACME()
	g.Name, g.Clip = "ACME ${system(x)}\r\n", "../acme.wav"
	r.enter(m, f, s, g)
	r.untilSaid(f, "signalbox/de/someone.wav\n/conf/sounds/signalbox/names/acme/ada/acme.wav\n/conf/sounds/signalbox/de/joined.wav")
}

func TestAStormOfAFirmIsSaidAsOne(t *testing.T) {
	at := time.Now()
	someone := func(id string) notice {
		return notice{hasJoined, store.Participant{ID: id, Name: "ACME", Number: acmeNumber, Shared: true}, at}
	}
	guest := notice{hasJoined, store.Participant{ID: "g", Number: benNumber}, at}
	person := notice{hasJoined, store.Participant{ID: "p", Name: "Anna", Number: annaNumber}, at}
	two, _ := freeswitchconf.PromptNumber(2)
	rest := []word{{prompt: freeswitchconf.PromptAnd}, {prompt: two}, {prompt: freeswitchconf.PromptOthers}, {prompt: freeswitchconf.PromptHaveJoined}}
	for name, c := range map[string]struct {
		batch []notice
		want  word
	}{
		"a guest and two of a firm": {[]notice{guest, someone("1"), someone("2")}, word{text: "ACME", of: true}},
		"a person is named first":   {[]notice{someone("1"), guest, person}, word{text: "Anna"}},
	} {
		if got := sentence(c.batch); !slices.Equal(got, append([]word{c.want}, rest...)) {
			t.Errorf("%s: %+v", name, got)
		}
	}
	// Two of one firm are two: the leaving of one takes back no coming of the other.
	queue, _ := enqueue([]notice{someone("1")}, notice{hasLeft, store.Participant{ID: "2", Name: "ACME", Number: acmeNumber, Shared: true}, at})
	if len(queue) != 2 {
		t.Errorf("queue %+v", queue)
	}
}

func TestSomebodyOfAFirmWhoIsCalledInIsSomebodyFromThere(t *testing.T) {
	r, f := newRig(t), newMedia("n1")
	m, _ := r.manager("one", func(o *Options) { o.Gateway = "carrier" }, f)
	s := r.open(m, "n1", nil)
	r.enter(m, f, s, Guest{UUID: uuid.NewString(), Number: hostNumber, IsHost: true})
	if err := m.Invite(t.Context(), s.ID, fromACME()); err != nil {
		t.Fatal(err)
	}
	r.untilSaid(f, "signalbox/en/someone.wav\n/spoken/ACME.wav")
	r.enter(m, f, s, fromACME())
	r.until(m, s.ID, "two of them are in", func(_ store.Room, people []store.Participant) bool {
		return len(people) == 3 && present(people) == 3 && people[1].Shared && people[2].Shared
	})
}

func TestWhomTheHostCallsAtASharedNumberIsSomebodyFromThere(t *testing.T) {
	d := newDialRoom(t, nil)
	yes := true
	if _, err := d.store.Change(t.Context(), "acme", []store.Change{
		{Op: store.Put, Entry: &account.ContactEntry{Account: "ada", ID: "acme", Name: "ACME", Numbers: []string{carla}, Shared: &yes}},
	}, time.Now()); err != nil {
		t.Fatal(err)
	}
	d.press(d.host.UUID, "*5")
	d.presses("dial.wav", strings.TrimPrefix(carla, "+1")+"#")
	d.presses("dial-confirm.wav", "1")
	d.called(carla)
	d.until(d.m, d.s.ID, "somebody of ACME is in", func(_ store.Room, people []store.Participant) bool {
		return present(people) == 3 && slices.ContainsFunc(people, func(p store.Participant) bool { return p.Shared && p.Name == "ACME" && p.Present() })
	})
}
