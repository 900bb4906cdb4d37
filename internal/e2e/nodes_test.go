package e2e

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/signalbox/signalbox/esl"
	freeswitchconf "github.com/signalbox/signalbox/freeswitch-conf"
	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/lab"
	"github.com/signalbox/signalbox/internal/store"
	"github.com/signalbox/signalbox/internal/store/postgres/pgtest"
)

func TestSimNodes(t *testing.T)  { onSimulator(t, roomsOfTwoNodes(t)) }
func TestRealNodes(t *testing.T) { onFreeSWITCH(t, roomsOfTwoNodes(t)) }

// roomsOfTwoNodes has two switches, at first with one sidecar, then with one each; at last the one that has the rooms is killed. A call
// that comes by the proxy is on the first switch; onSecond brings one to the other.
func roomsOfTwoNodes(t *testing.T) chapter {
	c := conferences()
	free, err := lab.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	p := &pair{addr: free.String()}
	c.acts = []act{{bothLinked()}, {hostOnFirst(), hostOnSecond(), twoNodesAtOnce()}}
	server, err := pgtest.Start()
	if err == nil {
		t.Cleanup(server.Stop)
		server.Mine(t)
		c.acts = append(c.acts, act{p.starts()}, act{twoSidecarsAtOnce(), emptyForOneSidecar()})
	} else {
		t.Logf("two sidecars with one store were NOT tested: %v", err)
	}
	c.acts = append(c.acts, act{firstNodeDies()})
	c.configure = func(yaml string) string {
		if server != nil {
			yaml = edit(t, yaml, "store:\n", fmt.Sprintf("store:\n  postgres: {dsn: %q}\n", server.DSN("")))
		}
		return edit(t, yaml, "conference: {", "conference: {trust_unscreened: true, ")
	}
	c.second = func(files lab.Dropins) { // its calls go to the second sidecar, and before that lives to the first
		const file, line = "dialplan/public/05_signalbox.xml", `<action application="socket" data="`
		files[file] = edit(t, files[file], line, line+p.addr+"|")
	}
	c.after = emptyAtLast
	return c
}

// emptyAtLast waits until the second switch has no channel.
func emptyAtLast(ctx context.Context, t *testing.T, rig *lab.Rig) {
	at, left := rig.SecondAt(), ""
	conn, err := esl.Dial(ctx, esl.DialOptions{Addr: at.EventSocket, Password: esl.Secret(at.Password), Timeout: 5 * time.Second})
	if err != nil {
		t.Error(err)
		return
	}
	defer func() { _ = conn.Close() }()
	if err := eventually(ctx, 10*time.Second, func() bool {
		left, err = conn.API(ctx, "show channels as json")
		return err == nil && strings.ReplaceAll(strings.TrimSpace(left), " ", "") == `{"row_count":0}`
	}); err != nil {
		t.Errorf("at the end the second switch has %s, %v", left, err)
	}
}

func bothLinked() lab.Story {
	return lab.Story{Name: "nodes-linked", Title: "The sidecar has its links to both switches.", Alone: true, Play: func(ctx context.Context, s *lab.Stage) {
		logged(ctx, s, "sidecar", 1, "freeswitch link is up", lab.FirstNode)
		logged(ctx, s, "sidecar", 1, "freeswitch link is up", lab.SecondNode)
		pause(ctx, 2*time.Second) // PostgreSQL starts a process for each connection, and beside other chapters that takes its time
	}}
}

// onSecond brings a call straight to the second switch.
func onSecond(s *lab.Stage, inv lab.Invite) lab.Invite {
	return inv.Through("udp", s.Rig.SecondAt().External)
}

// asksOnSecond is asks on the second switch.
func asksOnSecond(ctx context.Context, s *lab.Stage, a *lab.Agent, from string) *lab.Call {
	c := s.PlaceBy(a, onSecond(s, busyForward(s, from)))
	s.Joins(ctx, c)
	return c
}

// onNode checks which node a room is on, and where the legs of those in it are.
func onNode(s *lab.Stage, node string, r store.Room, people []store.Participant) {
	s.Check(r.Node == node, "the room is on %s", r.Node)
	for _, p := range people {
		s.Check(!p.Present() || p.Node == node, "participant %+v", p)
	}
}

func hostOnFirst() lab.Story {
	return lab.Story{Name: "nodes-host-on-first", Line: hostLine(), Title: "Host and Anna are in a room of the first switch; Ben's call is on the second: greeted there, bridged by the key, announced once, sent out by the host, and not let in again.", Play: func(ctx context.Context, s *lab.Stage) {
		list := listen(ctx, s)
		defer list.close()
		host, anna, name := together(ctx, s)
		list.said(ctx, s, name, 1, 0, 0)
		ben := asksOnSecond(ctx, s, s.Party("ben", toneC), benOf(s))
		r, people := roster(ctx, s, "Ben is in", func(_ store.Room, p []store.Participant) bool { return in(p) == 3 })
		onNode(s, lab.FirstNode, r, people)
		s.Check(slices.ContainsFunc(people, func(p store.Participant) bool {
			return p.Contact == "ben" && p.Present() && p.Verified && string(p.Number) == benOf(s)
		}), "participants %+v", people)
		hear(ctx, s, hearing{host, tones(toneB, toneC)}, hearing{anna, tones(toneA, toneC)}, hearing{ben, tones(toneA, toneB)})
		list.said(ctx, s, name, 2, 0, 0)

		ben.Hangup()
		roster(ctx, s, "Ben has left", func(_ store.Room, p []store.Participant) bool { return in(p) == 2 })
		ben = asksOnSecond(ctx, s, s.Party("ben-again", toneC), benOf(s))
		roster(ctx, s, "Ben is back", func(_ store.Room, p []store.Participant) bool {
			return in(p) == 3 && len(p) == 3 && slices.ContainsFunc(p, func(p store.Participant) bool { return p.Contact == "ben" && p.Returns == 1 })
		})
		hear(ctx, s, hearing{ben, tones(toneA, toneB)})
		list.said(ctx, s, name, 2, 1, 1)

		s.Must(host.Press(ctx, "*7", lab.KeysAsInfo))
		s.Ended(ctx, ben, "them")
		roster(ctx, s, "Ben was sent out", func(_ store.Room, p []store.Participant) bool {
			return in(p) == 2 && slices.ContainsFunc(p, func(p store.Participant) bool { return p.Contact == "ben" && p.Reason == "sent out by the host" })
		})
		again := s.PlaceBy(s.Party("ben-once-more", toneC), onSecond(s, busyForward(s, benOf(s))))
		mail := s.Rings(ctx, s.Mail[0], 1)
		s.WaitAnswered(ctx, again)
		again.Hangup()
		s.Ended(ctx, mail, "them")
		hear(ctx, s, hearing{host, tones(toneB)}, hearing{anna, tones(toneA)})
		list.said(ctx, s, name, 2, 2, 1)

		forged := s.PlaceBy(s.Party("forger", toneC), lab.Invite{Headers: []string{"X-Signalbox-Room: 1.lab.e30.e30"}}.Through("udp", s.Rig.At().External))
		s.Ended(ctx, forged, "403")
		anna.Hangup()
		host.Hangup()
		roster(ctx, s, "it is over", func(r store.Room, p []store.Participant) bool { return !r.Closed.IsZero() && in(p) == 0 })
		for n := range 3 {
			s.Steps(s.Record(ctx, n+1), "conference answered")
		}
	}}
}

// said waits until a room was told so often that somebody has joined, has left, is back, and fails when it is told more.
func (p *playlist) said(ctx context.Context, s *lab.Stage, room string, joined, left, back int) {
	want, got := []int{joined, left, back}, make([]int, 3)
	if eventually(ctx, 5*time.Second, func() bool {
		clear(got)
		for _, file := range p.of(room) {
			for i, prompt := range []freeswitchconf.Prompt{freeswitchconf.PromptJoined, freeswitchconf.PromptLeft, freeswitchconf.PromptIsBack} {
				if file == fileOf(prompt) {
					got[i]++
				}
			}
		}
		return slices.Equal(got, want)
	}) != nil {
		s.Fail("joined, left, back were played %v times, want %v: %v", got, want, p.of(room))
	}
}

func hostOnSecond() lab.Story {
	return lab.Story{Name: "nodes-host-on-second", Line: hostLine(), Title: "Anna waits in the host's open room on the first switch; the host's call is on the second: bridged, he mutes, locks and ends his room by keys.", Play: func(ctx context.Context, s *lab.Stage) {
		anna := asks(ctx, s, s.Party("anna", toneB), s.From)
		roster(ctx, s, "Anna is in", func(_ store.Room, p []store.Participant) bool { return in(p) == 1 })
		host := s.PlaceBy(s.Party("host", toneA), onSecond(s, lab.Invite{To: lab.AccessNumber, From: s.Number}))
		s.Joins(ctx, host)
		r, people := roster(ctx, s, "both are in", func(_ store.Room, p []store.Participant) bool { return in(p) == 2 })
		onNode(s, lab.FirstNode, r, people)
		hear(ctx, s, hearing{host, tones(toneB)}, hearing{anna, tones(toneA)})
		s.Must(host.Press(ctx, "*2", lab.KeysAsEvents))
		roster(ctx, s, "Anna is muted", func(_ store.Room, p []store.Participant) bool {
			return slices.ContainsFunc(p, func(p store.Participant) bool { return p.Contact == "anna" && p.Muted }) &&
				!slices.ContainsFunc(p, func(p store.Participant) bool { return p.Host && p.Muted })
		})
		hear(ctx, s, hearing{host, nil}, hearing{anna, tones(toneA)})
		s.Must(host.Press(ctx, "*3", lab.KeysAsInfo)) // as RFC 4733 from the one switch to the other
		roster(ctx, s, "the room is locked", func(r store.Room, _ []store.Participant) bool { return r.Locked })
		ben := asksOnSecond(ctx, s, s.Party("ben", toneC), benOf(s))
		mail := s.Rings(ctx, s.Mail[0], 1)
		ben.Hangup()
		s.Ended(ctx, mail, "them")
		s.Must(host.Press(ctx, "*9", lab.KeysAsEvents))
		s.Ended(ctx, anna, "them")
		s.Ended(ctx, host, "them")
		roster(ctx, s, "it is over", func(r store.Room, p []store.Participant) bool { return r.Why == "ended by the host" && in(p) == 0 })
		s.Steps(s.Record(ctx, 1), "conference answered")
		s.Steps(s.Record(ctx, 2), "conference answered")
	}}
}

func twoNodesAtOnce() lab.Story {
	return lab.Story{Name: "nodes-two-at-once", Line: hostLine(), Title: "Anna's call is on one switch, Ben's on the other, and no room is there: one room, one call to the host, all three talk.", Play: twoAtOnceOnTwo}
}

func twoAtOnceOnTwo(ctx context.Context, s *lab.Stage) {
	s.Phone.Behave(lab.Answers(300 * time.Millisecond))
	a, b := s.Party("anna", toneB), s.Party("ben", toneC)
	anna, ben := s.PlaceBy(a, busyForward(s, s.From)), s.PlaceBy(b, onSecond(s, busyForward(s, benOf(s))))
	s.Joins(ctx, anna)
	s.Joins(ctx, ben)
	host := accepts(ctx, s, 1)
	r, people := roster(ctx, s, "three are in", func(_ store.Room, p []store.Participant) bool { return in(p) == 3 })
	onNode(s, r.Node, r, people)
	hear(ctx, s, hearing{host, tones(toneB, toneC)}, hearing{anna, tones(toneA, toneC)}, hearing{ben, tones(toneA, toneB)})
	s.Check(s.Phone.Invited() == 1, "the host was called %d times", s.Phone.Invited())
	s.Check(len(roomsOf(ctx, s)) == 1, "rooms %+v", roomsOf(ctx, s))
	for _, c := range []*lab.Call{anna, ben, host} {
		c.Hangup()
	}
	roster(ctx, s, "it is over", func(r store.Room, p []store.Participant) bool { return !r.Closed.IsZero() && in(p) == 0 })
	s.Steps(s.Record(ctx, 1), "conference answered")
	s.Steps(s.Record(ctx, 2), "conference answered")
}

// roomsOf are all rooms that the host of a story has had.
func roomsOf(ctx context.Context, s *lab.Stage) (out []store.Room) {
	db := roomStore(ctx, s)
	defer func() { s.Must(db.Shut()) }()
	list, err := db.ListRooms(ctx, account.OperatorTenant, "", time.Now().Add(time.Hour), "", 100)
	s.Must(err)
	for _, r := range list {
		if string(r.Number) == s.Number {
			out = append(out, r)
		}
	}
	return out
}

// starts starts the second sidecar, with the store of the first.
func (p *pair) starts() lab.Story {
	return lab.Story{Name: "nodes-second-sidecar", Title: "A second sidecar with the same store starts; the second switch has it for its calls.", Alone: true, Play: func(ctx context.Context, s *lab.Stage) {
		var err error
		p.second, err = s.Rig.NewAnother(ctx, p.addr)
		s.Must(err)
		s.Must(p.second.Start(ctx))
		s.Must(eventually(ctx, 10*time.Second, func() bool { return strings.Count(p.second.Tail(500), "freeswitch link is up") == 2 }))
	}}
}

func twoSidecarsAtOnce() lab.Story {
	return lab.Story{Name: "nodes-two-sidecars", Line: hostLine(), Title: "The same with a sidecar for each switch.", Play: twoAtOnceOnTwo}
}

func emptyForOneSidecar() lab.Story {
	return lab.Story{Name: "nodes-empty-for-one", Line: hostLine(), Title: "Anna, whom one sidecar serves, hangs up in the menu; Ben, whom the other serves, is in it still, and joins.", Play: func(ctx context.Context, s *lab.Stage) {
		s.Phone.Behave(lab.Answers(100 * time.Millisecond))
		anna := s.PlaceBy(s.Party("anna", toneB), busyForward(s, s.From))
		s.WaitAnswered(ctx, anna)
		ben := s.PlaceBy(s.Party("ben", toneC), onSecond(s, busyForward(s, benOf(s))))
		s.WaitAnswered(ctx, ben)
		anna.Hangup()
		roster(ctx, s, "Anna's room is closed", func(r store.Room, _ []store.Participant) bool { return r.Why == "nobody came" })
		s.Joins(ctx, ben)
		host := accepts(ctx, s, 1)
		roster(ctx, s, "host and Ben are in", func(_ store.Room, p []store.Participant) bool { return in(p) == 2 })
		hear(ctx, s, hearing{host, tones(toneC)}, hearing{ben, tones(toneA)})
		ben.Hangup()
		host.Hangup()
		s.Record(ctx, 1)
		s.Steps(s.Record(ctx, 2), "conference answered")
	}}
}

// lostWithin is how soon those whose call is on another node are told that the node of their room is dead.
const lostWithin = 8 * time.Second

func firstNodeDies() lab.Story {
	return lab.Story{Name: "nodes-first-dies", Alone: true, Line: hostLine(), Title: "The switch that has the room is killed: its record says so, Ben, who was bridged from the other one, is told and gets voicemail, and the next caller has a new room there.", Play: func(ctx context.Context, s *lab.Stage) {
		_, _, _ = together(ctx, s)
		ben := asksOnSecond(ctx, s, s.Party("ben", toneC), benOf(s))
		cleo := s.PlaceBy(s.Party("cleo", toneC), onSecond(s, busyForward(s, s.From))) // hears the offer when it happens
		s.WaitAnswered(ctx, cleo)
		old, _ := roster(ctx, s, "all are in", func(_ store.Room, p []store.Participant) bool { return in(p) == 3 })
		s.Must(s.Rig.KillSwitch())
		s.Deed(lab.ColSwitch, "kill -9: the first switch is dead")
		began := time.Now()
		s.Joins(ctx, cleo)
		host := accepts(ctx, s, 2)
		next, people := roster(ctx, s, "host and Cleo are in a new room", func(r store.Room, p []store.Participant) bool { return r.ID != old.ID && in(p) == 2 })
		s.Tell("after %.1f s", time.Since(began).Seconds())
		onNode(s, lab.SecondNode, next, people)
		hear(ctx, s, hearing{host, tones(toneC)}, hearing{cleo, tones(toneA)})
		mail := s.Rings(ctx, s.Mail[0], 1)
		s.WaitAnswered(ctx, mail)
		s.Must(mail.WaitHeardAnything(ctx, 10))
		took := time.Since(began)
		s.Check(took < lostWithin, "Ben was with voicemail only %s after his room was lost", took)
		s.Tell("Ben is told that it has ended, and gets voicemail after %.1f s", took.Seconds())
		ben.Hangup()
		s.Ended(ctx, mail, "them")
		for _, r := range roomsOf(ctx, s) {
			if r.ID == old.ID {
				s.Check(r.Why == "media server lost", "the record of the lost room says %q", r.Why)
			}
		}
		another := asks(ctx, s, s.Party("another", toneB), s.From) // by the proxy, which finds the first switch dead
		roster(ctx, s, "she is in the new room", func(r store.Room, p []store.Participant) bool { return r.ID == next.ID && in(p) == 3 })
		for _, c := range []*lab.Call{cleo, another, host} {
			c.Hangup()
		}
		s.Steps(s.Record(ctx, 2), "conference not-joined", "mailbox answered")
		s.Steps(s.Record(ctx, 3), "conference answered")
		s.Must(s.Rig.StartSwitch(ctx))
		roster(ctx, s, "it is over", func(r store.Room, p []store.Participant) bool { return !r.Closed.IsZero() && in(p) == 0 })
	}}
}
