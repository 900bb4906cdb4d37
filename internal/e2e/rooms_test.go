package e2e

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/app"
	"github.com/signalbox/signalbox/internal/call"
	"github.com/signalbox/signalbox/internal/config"
	"github.com/signalbox/signalbox/internal/lab"
	"github.com/signalbox/signalbox/internal/store"
)

func TestSimRooms(t *testing.T) { onSimulator(t, conferences()) }
func TestRealRooms(t *testing.T) {
	c, o, b := conferences(), newOffice(t), newBrowsers(t)
	c.acts[0] = append(c.acts[0], linked(o.recordedAndInvited(), roomOfAllKinds(b["wss"]), hostAtABrowser(b["wss"]))...)
	c.configure = func(yaml string) string { return o.configure(b.configure(t, yaml)) }
	c.files = func(files lab.Dropins, _ map[string]*lab.Stage) { files["dialplan/default/60_phones.xml"] = fromPhones }
	c.numbers = []string{webNumber}
	onFreeSWITCH(t, c)
}

// linked are stories that begin when the sidecar's link to the switch is up: without it nobody is called into a room.
func linked(stories ...lab.Story) act {
	for i := range stories {
		stories[i].Play = lab.Linked(stories[i].Play)
	}
	return stories
}

// conferences are looked at from inside: the host is fetched, people come and go, the host does what he wants with them, and processes die.
func conferences() chapter {
	return chapter{
		long: true,
		acts: []act{
			linked(hostIsFetched(), hostDoesNotAccept(), nobodyWaits(), twoAtOnceFetchOnce(), ownCallComesBack(), backSoon(), hostSendsOut(), hostsKeys(),
				joinsAndLeavesAreHeard(), waitsInAnOpenRoom(), lostLeg(), colleaguesOfAFirm()),
			linked(manyAtOnce()), linked(sidecarDiesInAConference()), linked(switchDiesInAConference()),
		},
		provision: func(d *account.Document, stages map[string]*lab.Stage) {
			for name, s := range stages {
				for i := range d.Numbers {
					n := &d.Numbers[i]
					if n.Number != s.Number {
						continue
					}
					n.Conference = &account.ConferenceEntry{Room: account.RoomFetch, MenuTimeout: account.Duration(2 * time.Second), AcceptTimeout: account.Duration(acceptTime)}
					anna := account.ContactEntry{Account: n.Account, ID: "anna", Name: "Anna Schmidt", Numbers: []string{s.From}}
					switch name {
					case "rooms-announced":
						anna.Clip = annasClip
					case "rooms-open", "nodes-host-on-second":
						n.Conference.Room = account.RoomOpen
					case "rooms-shared":
						yes := true
						anna = account.ContactEntry{Account: n.Account, ID: "acme", Name: "ACME ${system(id)} Ltd.", Numbers: []string{s.From}, Clip: acmesClip, Shared: &yes}
					case "rooms-any-door":
						webSubscriber(d, *n)
					case "rooms-storm":
						d.Contacts = append(d.Contacts, stormContacts(s, n.Account)...)
					}
					d.Contacts = append(d.Contacts, anna,
						account.ContactEntry{Account: n.Account, ID: "ben", Name: "Ben ${system(id)} Braun", Numbers: []string{benOf(s)}, Clip: bensClip[name]})
				}
			}
		},
	}
}

const acceptTime = 6 * time.Second

// benOf is the number of the host's other contact, who has one of his own in each story.
func benOf(s *lab.Stage) string { return "+4989777" + s.Number[len(s.Number)-6:] }

// busyForward is an INVITE that the host's network sends on, because his line was busy.
func busyForward(s *lab.Stage, from string) lab.Invite {
	return lab.Invite{From: from, Headers: []string{fmt.Sprintf("Diversion: <sip:%s@carrier.example>;reason=user-busy;counter=1", s.Number)}}
}

// asks places a caller's call, waits for the offer and joins.
func asks(ctx context.Context, s *lab.Stage, a *lab.Agent, from string) *lab.Call {
	c := s.PlaceBy(a, busyForward(s, from))
	s.WaitAnswered(ctx, c)
	s.Must(c.WaitSound(ctx))
	s.Must(c.Press(ctx, "1", lab.KeysAsEvents))
	return c
}

// accepts has the host's phone take its n-th call and press the key, by SIP INFO as an old phone does.
func accepts(ctx context.Context, s *lab.Stage, n int) *lab.Call {
	in := s.Rings(ctx, s.Phone, n)
	s.Must(in.WaitHeardAnything(ctx, 10))
	s.Must(in.Press(ctx, "1", lab.KeysAsInfo))
	return in
}

// roomStore opens the store beside the sidecar.
func roomStore(ctx context.Context, s *lab.Stage) store.Store {
	c, err := config.Load(s.Rig.Config(), nil)
	s.Must(err)
	db, err := app.OpenStore(ctx, c)
	s.Must(err)
	return db
}

// roster waits until the host's newest room is as wanted, and returns it.
func roster(ctx context.Context, s *lab.Stage, what string, ok func(store.Room, []store.Participant) bool) (store.Room, []store.Participant) {
	db := roomStore(ctx, s)
	defer func() { s.Must(db.Shut()) }()
	var room store.Room
	var people []store.Participant
	for ctx.Err() == nil {
		list, err := db.ListRooms(ctx, account.OperatorTenant, "", time.Now().Add(time.Hour), "", 100)
		s.Must(err)
		for _, r := range list {
			if string(r.Number) != s.Number {
				continue
			}
			room = r
			people, err = db.Participants(ctx, r.ID)
			s.Must(err)
			if ok(room, people) {
				return room, people
			}
			break
		}
		pause(ctx, 50*time.Millisecond)
	}
	s.Fail("not seen: %s; the room is %+v with %+v", what, room, people)
	return room, people
}

func in(people []store.Participant) (n int) {
	for _, p := range people {
		if p.Present() {
			n++
		}
	}
	return n
}

func hostLine() lab.Line { return lab.Line{PhoneTone: toneA} }

// together begins a conference of the host, who is fetched, and Anna.
func together(ctx context.Context, s *lab.Stage) (host, anna *lab.Call, room string) {
	s.Phone.Behave(lab.Answers(100 * time.Millisecond))
	anna = asks(ctx, s, s.Party("anna", toneB), s.From)
	host = accepts(ctx, s, 1)
	r, _ := roster(ctx, s, "host and Anna are in", func(_ store.Room, people []store.Participant) bool { return in(people) == 2 })
	return host, anna, r.Name()
}

func hostIsFetched() lab.Story {
	return lab.Story{Name: "rooms-fetch", Line: hostLine(), Title: "Nobody is in a room; Anna asks to join, the host is called, presses a key, and the two talk.", Play: func(ctx context.Context, s *lab.Stage) {
		host, anna, name := together(ctx, s)
		r, people := roster(ctx, s, "both are in", func(_ store.Room, p []store.Participant) bool { return in(p) == 2 })
		s.Check(r.By == "attendee" && r.Name() == name, "the room is %+v", r)
		for _, p := range people {
			s.Check(p.Host && string(p.Number) == s.Number || p.Contact == "anna" && p.Verified && string(p.Number) == s.From, "participant %+v", p)
		}
		inv := host.Invite()
		s.Check(strings.Contains(inv.Get("from"), strings.TrimPrefix(s.Number, "+")), "the host is called from %s, want his own number", inv.Get("from"))
		hear(ctx, s, hearing{host, tones(toneB)}, hearing{anna, tones(toneA)})
		anna.Hangup()
		host.Hangup()
		roster(ctx, s, "the room is over", func(r store.Room, p []store.Participant) bool { return !r.Closed.IsZero() && in(p) == 0 })
		s.Steps(s.Record(ctx, 1), "conference answered")
	}}
}

func hostDoesNotAccept() lab.Story {
	return lab.Story{Name: "rooms-not-accepted", Line: hostLine(), Title: "What takes the call to the host presses no key, as a carrier's voicemail: it never gets in, and Anna gets voicemail.", Play: func(ctx context.Context, s *lab.Stage) {
		s.Phone.Behave(lab.Answers(100 * time.Millisecond))
		anna := asks(ctx, s, s.Party("anna", toneB), s.From)
		began := time.Now()
		machine := s.Rings(ctx, s.Phone, 1)
		s.WaitAnswered(ctx, machine)
		s.Must(machine.WaitEnded(ctx))
		s.Must(anna.WaitSound(ctx))
		took := time.Since(began)
		s.Check(took < acceptTime+3*time.Second, "Anna was told after %s that nobody comes, want less than %s", took, acceptTime+3*time.Second)
		mail := s.Rings(ctx, s.Mail[0], 1)
		anna.Hangup()
		s.Ended(ctx, mail, "them")
		r, people := roster(ctx, s, "the room is closed", func(r store.Room, p []store.Participant) bool { return !r.Closed.IsZero() })
		s.Check(r.Why == "the host was not reached" && !slices.ContainsFunc(people, func(p store.Participant) bool { return !p.Joined.IsZero() }), "room %+v with %+v", r, people)
		awaitMembers(ctx, s, r.Name(), 0)
		rec := s.Record(ctx, 1)
		s.Check(len(rec.Steps) == 2 && rec.Steps[0].Result == call.NotJoined && rec.Steps[1].Kind == call.StepMailbox, "the record tells %+v", rec.Steps)
	}}
}

func nobodyWaits() lab.Story {
	return lab.Story{Name: "rooms-nobody-waits", Line: hostLine(), Title: "Anna asks to join and hangs up while the host's phone rings: it stops at once; when she calls again he is called again, and comes by calling himself.", Play: func(ctx context.Context, s *lab.Stage) {
		s.Phone.Behave(lab.Behaviour{Ring: true})
		anna := asks(ctx, s, s.Party("anna", toneB), s.From)
		rings := s.Rings(ctx, s.Phone, 1)
		began := time.Now()
		anna.Hangup()
		s.Must(rings.WaitEnded(ctx))
		took := time.Since(began)
		s.Check(took < acceptTime/2, "the host's phone rang for %s more when nobody waited", took)
		roster(ctx, s, "the room is closed", func(r store.Room, _ []store.Participant) bool { return !r.Closed.IsZero() && r.Why == "nobody came" })
		s.Record(ctx, 1)

		anna = asks(ctx, s, s.Party("anna-again", toneC), s.From)
		rings = s.Rings(ctx, s.Phone, 2)
		host := s.PlaceBy(s.Party("host", toneB), lab.Invite{To: lab.AccessNumber, From: s.Number})
		s.WaitAnswered(ctx, host)
		s.Must(host.WaitSound(ctx))
		s.Must(host.Press(ctx, "1", lab.KeysAsEvents))
		s.Must(rings.WaitEnded(ctx))
		_, people := roster(ctx, s, "both are in", func(_ store.Room, p []store.Participant) bool { return in(p) == 2 })
		s.Check(len(people) == 3, "participants are %+v, want Anna, the host, and the call to him that was of no use any more", people)
		hear(ctx, s, hearing{host, tones(toneC)}, hearing{anna, tones(toneB)})
		anna.Hangup()
		host.Hangup()
		s.Record(ctx, 2)
	}}
}

func twoAtOnceFetchOnce() lab.Story {
	return lab.Story{Name: "rooms-two-at-once", Line: hostLine(), Title: "Anna and Ben call within 50 ms and no room is there: one room, one call to the host, and all three hear each other.", Play: func(ctx context.Context, s *lab.Stage) {
		s.Phone.Behave(lab.Answers(300 * time.Millisecond))
		a, b := s.Party("anna", toneB), s.Party("ben", toneC)
		anna := s.PlaceBy(a, busyForward(s, s.From))
		ben := s.PlaceBy(b, busyForward(s, benOf(s)))
		for _, c := range []*lab.Call{anna, ben} {
			s.WaitAnswered(ctx, c)
			s.Must(c.WaitSound(ctx))
			s.Must(c.Press(ctx, "1", lab.KeysAsEvents))
		}
		host := accepts(ctx, s, 1)
		roster(ctx, s, "three are in", func(_ store.Room, p []store.Participant) bool { return in(p) == 3 })
		hear(ctx, s, hearing{host, tones(toneB, toneC)}, hearing{anna, tones(toneA, toneC)}, hearing{ben, tones(toneA, toneB)})
		s.Check(s.Phone.Invited() == 1, "the host was called %d times", s.Phone.Invited())
		db := roomStore(ctx, s)
		defer func() { s.Must(db.Shut()) }()
		list, err := db.ListRooms(ctx, account.OperatorTenant, "", time.Now().Add(time.Hour), "", 100)
		s.Must(err)
		count := 0
		for _, r := range list {
			if string(r.Number) == s.Number {
				count++
			}
		}
		s.Check(count == 1, "%d rooms were made", count)
		for _, c := range []*lab.Call{anna, ben, host} {
			c.Hangup()
		}
		s.Record(ctx, 1)
		s.Record(ctx, 2)
	}}
}

func ownCallComesBack() lab.Story {
	return lab.Story{Name: "rooms-loop", Line: hostLine(), Title: "The host's network sends our call to him on, back to us: 482, no menu, no second call; then he takes the first one.", Play: func(ctx context.Context, s *lab.Stage) {
		s.Phone.Behave(lab.Behaviour{Ring: true})
		anna := asks(ctx, s, s.Party("anna", toneB), s.From)
		first := s.Rings(ctx, s.Phone, 1)
		carrier := s.Party("carrier", toneC)
		for range 3 {
			back := s.PlaceBy(carrier, busyForward(s, s.Number))
			s.Ended(ctx, back, "482")
			s.Check(back.Answered().IsZero(), "our own call was answered when it came back")
		}
		s.Check(s.Phone.Invited() == 1, "the phone was called %d times", s.Phone.Invited())
		first.Answer()
		s.Must(first.WaitHeardAnything(ctx, 10))
		s.Must(first.Press(ctx, "1", lab.KeysAsInfo))
		roster(ctx, s, "host and Anna are in", func(_ store.Room, p []store.Participant) bool { return in(p) == 2 })
		anna.Hangup()
		first.Hangup()
		s.Steps(s.Record(ctx, 1), "conference answered")
		s.Steps(s.Record(ctx, 2), "refuse ended")
	}}
}

func backSoon() lab.Story {
	return lab.Story{Name: "rooms-back", Line: hostLine(), Title: "Anna's radio drops and she calls again: she is the same participant.", Play: func(ctx context.Context, s *lab.Stage) {
		host, anna, _ := together(ctx, s)
		anna.Hangup()
		roster(ctx, s, "Anna has left", func(_ store.Room, p []store.Participant) bool { return in(p) == 1 })
		again := asks(ctx, s, s.Party("anna-again", toneC), s.From)
		_, people := roster(ctx, s, "Anna is back", func(_ store.Room, p []store.Participant) bool { return in(p) == 2 })
		s.Check(len(people) == 2 && slices.ContainsFunc(people, func(p store.Participant) bool { return p.Contact == "anna" && p.Returns == 1 }), "participants %+v", people)
		hear(ctx, s, hearing{host, tones(toneC)}, hearing{again, tones(toneA)})
		again.Hangup()
		host.Hangup()
		s.Record(ctx, 2)
	}}
}

func hostSendsOut() lab.Story {
	return lab.Story{Name: "rooms-kick", Line: hostLine(), Title: "The host sends Ben out by *7; Ben calls again and gets voicemail, while Anna stays.", Play: func(ctx context.Context, s *lab.Stage) {
		host, anna, _ := together(ctx, s)
		ben := asks(ctx, s, s.Party("ben", toneC), benOf(s))
		roster(ctx, s, "Ben is in", func(_ store.Room, p []store.Participant) bool { return in(p) == 3 })
		s.Must(host.Press(ctx, "*7", lab.KeysAsInfo))
		s.Must(ben.WaitEnded(ctx))
		roster(ctx, s, "Ben was sent out", func(_ store.Room, p []store.Participant) bool {
			return in(p) == 2 && slices.ContainsFunc(p, func(p store.Participant) bool { return p.Contact == "ben" && p.Reason == "sent out by the host" })
		})
		again := s.PlaceBy(s.Party("ben-again", toneC), busyForward(s, benOf(s)))
		mail := s.Rings(ctx, s.Mail[0], 1)
		s.WaitAnswered(ctx, again)
		again.Hangup()
		s.Ended(ctx, mail, "them")
		hear(ctx, s, hearing{host, tones(toneB)}, hearing{anna, tones(toneA)})
		r := s.Record(ctx, 3)
		s.Check(r.Plan.Access != nil && r.Plan.Access.Reason.Name == "removed", "access: %+v", r.Plan.Access)
		anna.Hangup()
		host.Hangup()
	}}
}

func hostsKeys() lab.Story {
	return lab.Story{Name: "rooms-keys", Line: hostLine(), Title: "The host mutes all and locks the room by keys, leaves, comes back into it and ends it; Anna's keys do none of that.", Play: func(ctx context.Context, s *lab.Stage) {
		host, anna, _ := together(ctx, s)
		s.Must(anna.Press(ctx, "*9*3", lab.KeysAsEvents))
		s.Must(host.Press(ctx, "*2", lab.KeysAsInfo))
		roster(ctx, s, "Anna is muted", func(r store.Room, p []store.Participant) bool {
			return r.Closed.IsZero() && !r.Locked && slices.ContainsFunc(p, func(p store.Participant) bool { return p.Contact == "anna" && p.Muted }) &&
				!slices.ContainsFunc(p, func(p store.Participant) bool { return p.Host && p.Muted })
		})
		hear(ctx, s, hearing{host, nil}, hearing{anna, tones(toneA)})
		s.Must(anna.Press(ctx, "*6", lab.KeysAsEvents))
		roster(ctx, s, "Anna speaks again", func(_ store.Room, p []store.Participant) bool {
			return !slices.ContainsFunc(p, func(p store.Participant) bool { return p.Muted })
		})
		s.Must(host.Press(ctx, "*3", lab.KeysAsInfo))
		roster(ctx, s, "the room is locked", func(r store.Room, _ []store.Participant) bool { return r.Locked })
		ben := asks(ctx, s, s.Party("ben", toneC), benOf(s))
		mail := s.Rings(ctx, s.Mail[0], 1)
		ben.Hangup()
		s.Ended(ctx, mail, "them")
		host.Hangup()
		roster(ctx, s, "the host has left", func(_ store.Room, p []store.Participant) bool { return in(p) == 1 })
		host = s.PlaceBy(s.Party("host-again", toneC), lab.Invite{To: lab.AccessNumber, From: s.Number})
		s.Joins(ctx, host)
		roster(ctx, s, "the host is back in his locked room", func(r store.Room, p []store.Participant) bool { return r.Locked && in(p) == 2 })
		s.Must(host.Press(ctx, "*9", lab.KeysAsInfo))
		s.Must(anna.WaitEnded(ctx))
		s.Must(host.WaitEnded(ctx))
		roster(ctx, s, "it is over", func(r store.Room, p []store.Participant) bool { return r.Why == "ended by the host" && in(p) == 0 })
		s.Steps(s.Record(ctx, 1), "conference answered")
	}}
}

func sidecarDiesInAConference() lab.Story {
	return lab.Story{Name: "rooms-sidecar-dies", Alone: true, Line: hostLine(), Title: "The sidecar dies while two talk in a conference: they go on; Ben gets the fallback; the next sidecar finds who is there, and Ben joins.", Play: func(ctx context.Context, s *lab.Stage) {
		host, anna, _ := together(ctx, s)
		s.Must(s.Rig.Sidecar.Kill())
		s.Deed("sidecar", "kill -9: the sidecar is dead")
		hear(ctx, s, hearing{host, tones(toneB)}, hearing{anna, tones(toneA)})
		s.Must(s.Rig.StartSidecar(ctx))
		ben := asks(ctx, s, s.Party("ben", toneC), benOf(s))
		_, people := roster(ctx, s, "all three are in", func(_ store.Room, p []store.Participant) bool { return in(p) == 3 })
		s.Check(len(people) == 3, "participants %+v", people)
		hear(ctx, s, hearing{host, tones(toneB, toneC)}, hearing{anna, tones(toneA, toneC)}, hearing{ben, tones(toneA, toneB)})
		for _, c := range []*lab.Call{anna, ben, host} {
			c.Hangup()
		}
		roster(ctx, s, "it is over", func(r store.Room, p []store.Participant) bool { return !r.Closed.IsZero() && in(p) == 0 })
	}}
}

func switchDiesInAConference() lab.Story {
	return lab.Story{Name: "rooms-switch-dies", Alone: true, Line: hostLine(), Title: "FreeSWITCH is restarted during a conference: its record says that the media server was lost, and the next caller has a new room.", Play: func(ctx context.Context, s *lab.Stage) {
		together(ctx, s)
		s.Must(s.Rig.KillSwitch())
		s.Must(s.Rig.StartSwitch(ctx))
		old, people := roster(ctx, s, "the media server is lost", func(r store.Room, p []store.Participant) bool {
			return r.Why == "media server lost" && in(p) == 0
		})
		for _, p := range people {
			s.Check(p.Reason == "media server lost", "participant %+v", p)
		}
		anna := asks(ctx, s, s.Party("anna-again", toneC), s.From)
		host := accepts(ctx, s, 2)
		next, _ := roster(ctx, s, "they meet in a new room", func(_ store.Room, p []store.Participant) bool { return in(p) == 2 })
		s.Check(next.ID != old.ID, "the room is the same as before: %s", next.ID)
		hear(ctx, s, hearing{host, tones(toneC)}, hearing{anna, tones(toneA)})
		anna.Hangup()
		host.Hangup()
	}}
}
