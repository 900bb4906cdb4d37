package rooms

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/signalbox/signalbox/esl"
	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/fsw"
	"github.com/signalbox/signalbox/internal/store"
)

func closedFor(why string) func(store.Room, []store.Participant) bool {
	return func(r store.Room, _ []store.Participant) bool { return !r.Closed.IsZero() && r.Why == why }
}

func TestTwoAtOnceComeIntoOneRoomAndTheHostIsCalledOnce(t *testing.T) {
	r, f := newRig(t), newMedia("n1")
	m, _ := r.manager("one", nil, f)
	other, _ := r.manager("two", nil, f) // another sidecar beside it
	var all sync.WaitGroup
	states, results := make([]State, 8), make([]FetchResult, 8)
	for i := range states {
		all.Go(func() {
			by := m
			if i%2 == 1 {
				by = other
			}
			states[i] = r.open(by, "n1", nil)
			done, err := by.Fetch(t.Context(), states[i].ID, Fetch{Devices: []account.Device{{Kind: account.DeviceURI, User: "ada", Host: "127.0.0.1"}}})
			if err != nil {
				t.Error(err)
				return
			}
			results[i] = <-done
		})
	}
	all.Wait()
	for i, s := range states {
		if s.ID != states[0].ID || !results[i].Joined {
			t.Errorf("caller %d: room %s of %s, host %+v", i, s.ID, states[0].ID, results[i])
		}
	}
	if f.called() != 1 {
		t.Errorf("the host was called %d times", f.called())
	}
	c := f.calls[0]
	if c.Key != AcceptKey || c.Mark != states[0].ID || c.From != hostNumber || !strings.HasSuffix(c.Prompt, "host-accept.wav") {
		t.Errorf("the host is called by %+v", c)
	}
	s, err := m.State(t.Context(), theHost, annaNumber)
	if err != nil || !s.Open || !s.HostPresent || s.Members != 1 || s.Full || s.Locked || s.Kicked {
		t.Errorf("state %+v, %v", s, err)
	}
}

func TestWhoWantsTheHostsRoomMakesNone(t *testing.T) {
	r, f := newRig(t), newMedia("n1")
	m, _ := r.manager("one", nil, f)
	want := Opening{Host: theHost, By: "attendee", Settings: settings(), Node: "n1", Present: true}
	if s, created, err := m.Open(t.Context(), want); !errors.Is(err, ErrAbsent) || created || s.ID != "" {
		t.Errorf("nobody is in a conference: %+v, %v, %v", s, created, err)
	}
	s := r.open(m, "n1", nil)
	if _, _, err := m.Open(t.Context(), want); !errors.Is(err, ErrAbsent) {
		t.Errorf("somebody is on the way into a room, and not the host: %v", err)
	}
	r.enter(m, f, s, Guest{UUID: uuid.NewString(), Number: hostNumber, IsHost: true})
	r.until(m, s.ID, "the host is in", func(_ store.Room, people []store.Participant) bool { return present(people) == 1 })
	if got, created, err := m.Open(t.Context(), want); err != nil || created || got.ID != s.ID || !got.HostPresent {
		t.Errorf("the host is in: %+v, %v, %v", got, created, err)
	}
}

func TestARoomStaysForWhoIsStillAsked(t *testing.T) {
	r, f := newRig(t), newMedia("n1")
	m, _ := r.manager("one", nil, f)
	s := r.open(m, "n1", nil)
	r.open(m, "n1", nil)
	m.Abandon(t.Context(), s.ID)
	ticket, err := m.Enter(t.Context(), s.ID, anna())
	if err != nil {
		t.Fatalf("one of two who were asked hung up, and the other finds no room: %v", err)
	}
	m.Gone(t.Context(), ticket, "hung up")
	r.until(m, s.ID, "the room is closed", closedFor(everybody))
}

func TestAHostWhoDoesNotAcceptLeavesNoRoom(t *testing.T) {
	r, f := newRig(t), newMedia("n1")
	f.answer = func(fsw.ConferenceCall) error {
		return &esl.ReplyError{Command: "originate", Text: "-ERR NO_ANSWER"}
	}
	m, _ := r.manager("one", nil, f)
	s := r.open(m, "n1", nil)
	ticket, err := m.Enter(t.Context(), s.ID, anna())
	if err != nil {
		t.Fatal(err)
	}
	done, err := m.Fetch(t.Context(), s.ID, Fetch{Devices: []account.Device{{Kind: account.DeviceURI, User: "ada", Host: "127.0.0.1"}}})
	if err != nil {
		t.Fatal(err)
	}
	if got := <-done; got.Joined || got.Why == "" {
		t.Errorf("fetched: %+v", got)
	}
	m.Gone(t.Context(), ticket, "the host was not reached")
	m.Gone(t.Context(), ticket, "again")
	r.until(m, s.ID, "the room is closed", closedFor(hostUnreached))
	if _, err := m.Enter(t.Context(), s.ID, anna()); !errors.Is(err, ErrUnreached) {
		t.Errorf("Enter of a room whose host has not come: %v", err)
	}
}

func TestComingAndGoingIsAnnouncedByTheHostsNames(t *testing.T) {
	r, f := newRig(t), newMedia("n1")
	m, _ := r.manager("one", nil, f)
	s := r.open(m, "n1", nil)
	r.enter(m, f, s, Guest{UUID: uuid.NewString(), Number: hostNumber, Name: "Ada", IsHost: true})
	a := anna()
	a.Name = "Anna ${system(x)}\r\nSmith"
	ticket := r.enter(m, f, s, a)
	if !slices.Contains(ticket.Flags, "join-only") {
		t.Errorf("flags of who comes into a room that is there: %q", ticket.Flags)
	}
	r.untilSaid(f, "signalbox/en/joined.wav")
	f.leave(a.UUID)
	r.untilSaid(f, "signalbox/en/left.wav")
	r.until(m, s.ID, "Anna has left", func(_ store.Room, people []store.Participant) bool { return present(people) == 1 })

	back := anna()
	ticket = r.enter(m, f, s, back)
	if !ticket.IsBack {
		t.Error("who comes back within a minute is not back")
	}
	r.untilSaid(f, "signalbox/en/is-back.wav")
	_, people, err := m.Roster(t.Context(), s.ID)
	if err != nil || len(people) != 2 || present(people) != 2 {
		t.Errorf("participants %+v, %v", people, err)
	}
	w := Guest{UUID: uuid.NewString(), Number: "+442079460958", Withheld: true, Name: "Secret Name"}
	r.enter(m, f, s, w)
	r.untilSaid(f, "signalbox/en/guest.wav")
	if all := strings.Join(f.heard(), "\n"); strings.Contains(all, "Secret") || strings.Contains(all, "9460958") {
		t.Errorf("something personal was said of who withheld his number: %s", all)
	}
	_, people, _ = m.Roster(t.Context(), s.ID)
	if p := people[len(people)-1]; p.Number != "" {
		t.Errorf("a withheld number is kept: %+v", p)
	}
}

func TestWhoHasLostHisLegIsTheSameParticipant(t *testing.T) {
	r, f := newRig(t), newMedia("n1")
	m, _ := r.manager("one", nil, f)
	s := r.open(m, "n1", func(c *account.Conference) { c.MaxMembers = 2 })
	r.enter(m, f, s, Guest{UUID: uuid.NewString(), Number: hostNumber, Name: "Ada", IsHost: true})
	lost, again := anna(), anna()
	r.enter(m, f, s, lost)
	if _, err := m.Enter(t.Context(), s.ID, anna()); !errors.Is(err, ErrFull) {
		t.Errorf("a second person behind a number that speaks, into a full room: %v", err)
	}
	f.mu.Lock()
	f.silent = map[string]bool{lost.UUID: true}
	f.mu.Unlock()
	if ticket := r.enter(m, f, s, again); !ticket.IsBack {
		t.Error("who has lost his leg is not back")
	}
	r.untilSaid(f, "signalbox/en/is-back.wav")
	r.until(m, s.ID, "Anna is there once", func(_ store.Room, people []store.Participant) bool {
		return len(people) == 2 && present(people) == 2 && slices.ContainsFunc(people, func(p store.Participant) bool { return p.UUID == again.UUID && p.Returns == 1 })
	})
	m.Attached(t.Context(), "n1", f) // FreeSWITCH lists the lost leg too
	f.leave(lost.UUID)
	f.leave(again.UUID)
	r.until(m, s.ID, "Anna has left", func(_ store.Room, people []store.Participant) bool { return len(people) == 2 && present(people) == 1 })
}

func TestAStormIsSaidAsOne(t *testing.T) {
	r, f := newRig(t), newMedia("n1")
	m, _ := r.manager("one", nil, f)
	s := r.open(m, "n1", nil)
	r.enter(m, f, s, Guest{UUID: uuid.NewString(), Number: hostNumber, IsHost: true})
	for i := range 12 {
		g := Guest{UUID: uuid.NewString(), Number: benNumber, Name: "Guest " + string(rune('A'+i))}
		ticket, err := m.Enter(t.Context(), s.ID, g)
		if err != nil {
			t.Fatal(err)
		}
		f.join(ticket.Name, g.UUID, false)
	}
	r.until(m, s.ID, "all are in", func(_ store.Room, people []store.Participant) bool { return present(people) == 13 })
	r.untilSaid(f, "have-joined.wav")
	joined := 0
	for _, said := range f.heard() {
		if strings.HasSuffix(said, "/joined.wav") || strings.HasSuffix(said, "have-joined.wav") {
			joined++
		}
	}
	if joined > 4 {
		t.Errorf("%d announcements of 12 people: %q", joined, f.heard())
	}
}

func TestLockCapacityAndKick(t *testing.T) {
	r, f := newRig(t), newMedia("n1")
	m, _ := r.manager("one", nil, f)
	s := r.open(m, "n1", func(c *account.Conference) { c.MaxMembers = 3 })
	host := Guest{UUID: uuid.NewString(), Number: hostNumber, IsHost: true}
	r.enter(m, f, s, host)
	ben := Guest{UUID: uuid.NewString(), Number: benNumber, Name: "Ben"}
	ticket := r.enter(m, f, s, ben)
	if err := m.Do(t.Context(), s.ID, Lock, ""); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Enter(t.Context(), s.ID, anna()); !errors.Is(err, ErrLocked) {
		t.Errorf("Enter of a locked room: %v", err)
	}
	if err := m.Do(t.Context(), s.ID, Unlock, ""); err != nil {
		t.Fatal(err)
	}
	r.enter(m, f, s, anna())
	if _, err := m.Enter(t.Context(), s.ID, Guest{UUID: uuid.NewString(), Number: "+14155550199"}); !errors.Is(err, ErrFull) {
		t.Errorf("Enter of a full room: %v", err)
	}
	again := Guest{UUID: uuid.NewString(), Number: hostNumber, IsHost: true}
	place, err := m.Enter(t.Context(), s.ID, again)
	if err != nil || !place.IsHost || place.MaxMembers != 4 {
		t.Errorf("a host finds no place in his own room: %+v, %v", place, err)
	}
	m.Gone(t.Context(), place, "hung up")
	if err := m.Do(t.Context(), s.ID, Mute, ticket.Participant); err != nil {
		t.Fatal(err)
	}
	r.until(m, s.ID, "Ben is muted", func(_ store.Room, people []store.Participant) bool {
		return slices.ContainsFunc(people, func(p store.Participant) bool { return p.UUID == ben.UUID && p.Muted })
	})
	if err := m.Do(t.Context(), s.ID, Kick, ticket.Participant); err != nil {
		t.Fatal(err)
	}
	r.until(m, s.ID, "Ben was sent out", func(_ store.Room, people []store.Participant) bool {
		return slices.ContainsFunc(people, func(p store.Participant) bool { return p.UUID == ben.UUID && p.Reason == sentOut })
	})
	ben.UUID = uuid.NewString()
	if _, err := m.Enter(t.Context(), s.ID, ben); !errors.Is(err, ErrKicked) {
		t.Errorf("Enter after a kick: %v", err)
	}
	if st, err := m.State(t.Context(), theHost, benNumber); err != nil || !st.Kicked {
		t.Errorf("state for who was kicked: %+v, %v", st, err)
	}
	_, people, err := m.Roster(t.Context(), s.ID)
	i := slices.IndexFunc(people, func(p store.Participant) bool { return p.UUID == host.UUID })
	if err != nil || m.Do(t.Context(), s.ID, Kick, people[i].ID) != nil {
		t.Fatalf("the host's first leg is not sent out: %+v, %v", people, err)
	}
	if st, err := m.State(t.Context(), theHost, hostNumber); err != nil || st.Kicked {
		t.Errorf("a host who sends out a leg of his own may not come back: %+v, %v", st, err)
	}
	if err := m.Do(t.Context(), s.ID, Kick, "nobody"); !errors.Is(err, ErrNobody) {
		t.Errorf("kick of nobody: %v", err)
	}
	if err := m.Do(t.Context(), s.ID, End, ""); err != nil {
		t.Fatal(err)
	}
	r.until(m, s.ID, "the host's end", closedFor(endedByHost))
	if again := r.open(m, "n1", nil); again.ID == s.ID {
		t.Error("the room that was ended is open again")
	} else if _, err := m.Enter(t.Context(), again.ID, ben); err != nil {
		t.Errorf("who was kicked out of a room that is over: %v", err)
	}
}

func TestRoomsEndWithTheHostOrWithTheLastButOne(t *testing.T) {
	r, f := newRig(t), newMedia("n1")
	m, _ := r.manager("one", func(o *Options) { o.AloneFor = 50 * time.Millisecond }, f)
	s := r.open(m, "n1", nil)
	host := Guest{UUID: uuid.NewString(), Number: hostNumber, IsHost: true}
	r.enter(m, f, s, host)
	r.enter(m, f, s, anna())
	f.leave(host.UUID)
	r.until(m, s.ID, "one was left alone", closedFor(endedAlone))

	s = r.open(m, "n1", func(c *account.Conference) {
		c.HostLeaves, c.Grace = account.LeavesEnd, 50*time.Millisecond
	})
	host.UUID = uuid.NewString()
	r.enter(m, f, s, host)
	r.enter(m, f, s, anna())
	r.enter(m, f, s, Guest{UUID: uuid.NewString(), Number: benNumber})
	f.leave(host.UUID)
	r.until(m, s.ID, "the host left", closedFor(endedLeft))
	if left, _ := f.Conferences(t.Context()); len(left) != 0 {
		t.Errorf("rooms are left: %+v", left)
	}
}

func TestARestartOfFreeSWITCHClosesItsRooms(t *testing.T) {
	r, f := newRig(t), newMedia("n1")
	m, _ := r.manager("one", nil, f)
	s := r.open(m, "n1", nil)
	r.enter(m, f, s, Guest{UUID: uuid.NewString(), Number: hostNumber, IsHost: true})
	r.enter(m, f, s, anna())
	f.restart(t)
	r.until(m, s.ID, "the media server is lost", func(room store.Room, people []store.Participant) bool {
		return closedFor(mediaLost)(room, people) && present(people) == 0 && len(people) == 2 && people[0].Reason == mediaLost
	})
	again := r.open(m, "n1", nil)
	if again.ID == s.ID || again.Members != 0 {
		t.Errorf("after the restart the room is %+v", again)
	}
}

func TestOurRestartFindsTheRosterAgain(t *testing.T) {
	r, f := newRig(t), newMedia("n1")
	m, stop := r.manager("one", nil, f)
	s := r.open(m, "n1", nil)
	host := Guest{UUID: uuid.NewString(), Number: hostNumber, IsHost: true}
	r.enter(m, f, s, host)
	a, b := anna(), Guest{UUID: uuid.NewString(), Number: benNumber, Name: "Ben"}
	r.enter(m, f, s, a)
	ticket, err := m.Enter(t.Context(), s.ID, b)
	if err != nil {
		t.Fatal(err)
	}
	stop()
	f.leave(a.UUID) // while nobody watches
	f.join(ticket.Name, b.UUID, false)
	if _, err := r.store.KeepNode(t.Context(), "n1", "two", -time.Second); err != nil { // the one before is long silent
		t.Fatal(err)
	}
	m, _ = r.manager("two", nil, f)
	r.until(m, s.ID, "the roster is FreeSWITCH's", func(_ store.Room, people []store.Participant) bool {
		ok := len(people) == 3
		for _, p := range people {
			switch p.UUID {
			case host.UUID, b.UUID:
				ok = ok && p.Present()
			case a.UUID:
				ok = ok && p.Reason == leftUnseen
			}
		}
		return ok
	})
	if st, err := m.State(t.Context(), theHost, ""); err != nil || st.Members != 2 || !st.HostPresent {
		t.Errorf("state after our restart: %+v, %v", st, err)
	}
}

func TestKeysOfTheHost(t *testing.T) {
	r, f := newRig(t), newMedia("n1")
	m, _ := r.manager("one", nil, f)
	s := r.open(m, "n1", nil)
	host, ben := Guest{UUID: uuid.NewString(), Number: hostNumber, IsHost: true}, Guest{UUID: uuid.NewString(), Number: benNumber, Name: "Ben"}
	r.enter(m, f, s, host)
	r.enter(m, f, s, ben)
	press := func(leg, keys string) {
		for _, k := range keys {
			m.Event("n1", key(leg, string(k)))
		}
	}
	press(ben.UUID, "*9*3") // means nothing of him
	press(host.UUID, "3*3")
	r.until(m, s.ID, "it is locked", func(room store.Room, _ []store.Participant) bool { return room.Locked })
	press(host.UUID, "*2")
	r.until(m, s.ID, "Ben is muted", func(_ store.Room, people []store.Participant) bool {
		return slices.ContainsFunc(people, func(p store.Participant) bool { return p.UUID == ben.UUID && p.Muted }) &&
			!slices.ContainsFunc(people, func(p store.Participant) bool { return p.Host && p.Muted })
	})
	press(ben.UUID, "*6")
	r.until(m, s.ID, "Ben speaks again", func(_ store.Room, people []store.Participant) bool {
		return !slices.ContainsFunc(people, func(p store.Participant) bool { return p.Muted })
	})
	press(host.UUID, "*1")
	r.untilSaid(f, "signalbox/en/number-2.wav 1")
	press(host.UUID, "*9")
	r.until(m, s.ID, "it is over", closedFor(endedByHost))
}

func TestDecisionsAreKept(t *testing.T) {
	r, f := newRig(t), newMedia("n1")
	m, stop := r.manager("one", nil, f)
	for range 100 {
		m.Decide(store.Access{Tenant: "acme", Account: "ada", Caller: benNumber, Verdict: "refused", Rule: "not in address book", At: time.Now()})
	}
	stop()
	list, err := r.store.ListAccess(t.Context(), "acme", "ada", 0, 1000)
	if err != nil || len(list) != 100 || list[0].Rule != "not in address book" {
		t.Errorf("%d decisions, %v", len(list), err)
	}
}

// TestNobodyStaysAGhostOfALostEvent: his leaving found no room in the queue, in which his coming still waits.
func TestNobodyStaysAGhostOfALostEvent(t *testing.T) {
	r, f := newRig(t), newMedia("n1")
	m := New(Options{Store: r.store, Instance: "one", Switches: []Switch{f}})
	n := m.nodes["n1"]
	m.keepNode(t.Context(), n)
	m.Attached(t.Context(), "n1", f)
	s := r.open(m, "n1", nil)
	ticket, err := m.Enter(t.Context(), s.ID, anna())
	if err != nil {
		t.Fatal(err)
	}
	f.followers = []*Manager{m}
	f.join(ticket.Name, ticket.UUID, false)
	f.followers = nil
	f.leave(ticket.UUID)
	n.lost.Store(true)
	m.turn(t.Context(), n)
	for len(n.queue) > 0 {
		m.take(t.Context(), n, <-n.queue)
	}
	if _, people, err := m.Roster(t.Context(), s.ID); err != nil || present(people) != 0 {
		t.Errorf("there are ghosts: %+v, %v", people, err)
	}
}

func TestALinkThatListsNothingAtFirstIsAskedAgain(t *testing.T) {
	r, f := newRig(t), newMedia("n1")
	m, _ := r.manager("one", nil, f)
	s := r.open(m, "n1", nil)
	ticket := r.enter(m, f, s, anna())
	n := m.nodes["n1"]
	r.until(m, s.ID, "the first look is over", func(store.Room, []store.Participant) bool { return n.keeper.Load() && !n.lost.Load() })
	f.mu.Lock()
	f.followers, f.mute = nil, true // the link is down
	f.mu.Unlock()
	f.leave(ticket.UUID)
	m.Attached(t.Context(), "n1", f)
	f.mu.Lock()
	f.followers, f.mute = []*Manager{m}, false
	f.mu.Unlock()
	r.until(m, s.ID, "who left while there was no link is out", func(_ store.Room, people []store.Participant) bool { return present(people) == 0 })
}

// TestARoomThatIsMadeAnewCanBeEnded: who was on the way in when the host ended it makes it anew.
func TestARoomThatIsMadeAnewCanBeEnded(t *testing.T) {
	r, f := newRig(t), newMedia("n1")
	m, _ := r.manager("one", nil, f)
	s := r.open(m, "n1", nil)
	onTheWay := anna()
	if _, err := m.Enter(t.Context(), s.ID, onTheWay); err != nil {
		t.Fatal(err)
	}
	host := Guest{UUID: uuid.NewString(), Number: hostNumber, IsHost: true}
	ticket := r.enter(m, f, s, host)
	in := func(n int) func(store.Room, []store.Participant) bool {
		return func(room store.Room, people []store.Participant) bool {
			return room.Closed.IsZero() && present(people) == n
		}
	}
	if err := m.Do(t.Context(), s.ID, End, ""); err != nil {
		t.Fatal(err)
	}
	r.until(m, s.ID, "the host is out", in(0))
	f.join(ticket.Name, onTheWay.UUID, false)
	r.until(m, s.ID, "who was on the way is in", in(1))
	if err := m.Do(t.Context(), s.ID, End, ""); err != nil {
		t.Fatal(err)
	}
	r.until(m, s.ID, "the room is ended again", closedFor(endedByHost))
}

func TestHowManyAreCalledAtOnceIsBounded(t *testing.T) {
	r, f := newRig(t), newMedia("n1")
	release := make(chan struct{})
	f.answer = func(fsw.ConferenceCall) error {
		<-release
		return errors.New("no answer")
	}
	m, _ := r.manager("one", func(o *Options) { o.Gateway = "carrier" }, f)
	defer close(release)
	for most, want := range map[int]error{3: ErrFull, 100: ErrCalls} {
		host := theHost
		host.Account = fmt.Sprint("host-of-", most)
		c := settings()
		c.MaxMembers = most
		s, _, err := m.Open(t.Context(), Opening{Host: host, By: "api", Settings: c, Node: "n1"})
		for range min(most, maxCalls) {
			if err == nil {
				err = m.Invite(t.Context(), s.ID, anna())
			}
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := m.Invite(t.Context(), s.ID, anna()); !errors.Is(err, want) {
			t.Errorf("one call more than fit into a room of %d: %v, want %v", most, err, want)
		}
	}
}

// unhurried is a store that answers when whoever asks gives up.
type unhurried struct{ store.Rooms }

func (unhurried) Room(ctx context.Context, _ string) (store.Room, error) {
	<-ctx.Done()
	return store.Room{}, ctx.Err()
}

func TestACallerDoesNotWaitInSilenceForTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		if _, err := New(Options{Store: unhurried{}}).Fetch(t.Context(), "0123456789abcdef", Fetch{}); err == nil || time.Since(began) != beginFetch {
			t.Errorf("the host is called, or not, after %v: %v", time.Since(began), err)
		}
	})
}

// TestAPrivateExchangeHasManyInARoom: whether one of them has lost his leg is asked of all at once, while the next one waits.
func TestAPrivateExchangeHasManyInARoom(t *testing.T) {
	r, f := newRig(t), newMedia("n1")
	m, _ := r.manager("one", nil, f)
	s := r.open(m, "n1", nil)
	for range 12 {
		r.enter(m, f, s, anna())
	}
	f.listens = 200 * time.Millisecond
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	if ticket, err := m.Enter(ctx, s.ID, anna()); err != nil || ticket.IsBack {
		t.Errorf("one more behind the same number: %+v, %v", ticket, err)
	}
}

// TestWhoComesFromAnotherNodeIsRefusedBeforeHeIsAnswered: the room was locked since he asked.
func TestWhoComesFromAnotherNodeIsRefusedBeforeHeIsAnswered(t *testing.T) {
	r, f := newRig(t), newMedia("n1")
	m, _ := r.manager("one", nil, f)
	s := r.open(m, "n1", nil)
	host := Guest{UUID: uuid.NewString(), Number: hostNumber, IsHost: true}
	r.enter(m, f, s, host)
	ticket, err := m.Enter(t.Context(), s.ID, anna())
	if err == nil {
		err = m.Do(t.Context(), s.ID, Lock, "")
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.Arrive(t.Context(), s.ID, ticket.Participant, uuid.NewString(), "n1"); !errors.Is(err, ErrLocked) {
		t.Errorf("into a room that was locked meanwhile: %v", err)
	}
	if err := m.Do(t.Context(), s.ID, Unlock, ""); err != nil {
		t.Fatal(err)
	}
	leg := uuid.NewString()
	if again, err := m.Arrive(t.Context(), s.ID, ticket.Participant, leg, "n1"); err != nil || again.UUID != leg {
		t.Errorf("into an open room: %+v, %v", again, err)
	}
}

// TestALookDoesNotCloseARoomForWhoIsOnTheWay: the others have left, and he has not come in yet.
func TestALookDoesNotCloseARoomForWhoIsOnTheWay(t *testing.T) {
	r, f := newRig(t), newMedia("n1")
	m, _ := r.manager("one", nil, f)
	s := r.open(m, "n1", nil)
	ticket, err := m.Enter(t.Context(), s.ID, Guest{UUID: uuid.NewString(), Number: benNumber, Name: "Ben"})
	if err != nil {
		t.Fatal(err)
	}
	first := r.enter(m, f, s, anna())
	f.leave(first.UUID)
	n := m.nodes["n1"]
	r.until(m, s.ID, "Anna has left", func(_ store.Room, people []store.Participant) bool { return present(people) == 0 && len(people) == 2 })
	n.lost.Store(true)
	r.until(m, s.ID, "the node was looked at", func(store.Room, []store.Participant) bool { return !n.lost.Load() })
	f.join(ticket.Name, ticket.UUID, false)
	r.until(m, s.ID, "Ben is in his room", func(room store.Room, people []store.Participant) bool {
		return room.Closed.IsZero() && present(people) == 1
	})
}
