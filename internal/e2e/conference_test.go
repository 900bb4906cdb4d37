package e2e

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/call"
	"github.com/signalbox/signalbox/internal/lab"
)

func TestSimConference(t *testing.T)  { onSimulator(t, hostsRooms(t)) }
func TestRealConference(t *testing.T) { onFreeSWITCH(t, hostsRooms(t)) }

// hostsRooms is what callers of a host's own number meet, beyond the stories of the lab: whose conference it is, who may join and how he
// is known, what is pressed, and what becomes of him who does not join.
func hostsRooms(t *testing.T) chapter {
	messages, api := t.TempDir(), newIntegrator(t, "")
	return chapter{
		long: true,
		acts: []act{
			{keysOfAllKinds(), wrongKeysThenJoin(), nothingPressed(), transferredFromTheMenu(), messageForTheHost(messages), withheldWithPIN(api), pinWithoutConference(), twoDiversions(), noHost(), mappedNumber(),
				hangsUpInTheGreeting(), joiningSwitchedOff(), behindThePhones(), hostileContactName(), hostNamed()},
			{deathInTheMenu()},
			{deathInTheConference()},
		},
		configure: func(yaml string) string {
			yaml = edit(t, yaml, "voicemail: {progress_timeout: 2s}", fmt.Sprintf("voicemail: {progress_timeout: 2s, spool: {dir: %q, silence: 1s}}", messages))
			yaml = edit(t, yaml, "conference: {", "conference: {voice: {engine: flite, name: slt}, ")
			return yaml + fmt.Sprintf("api: {listen: %q}\n", strings.TrimPrefix(api.url, "http://"))
		},
		provision: func(d *account.Document, stages map[string]*lab.Stage) {
			change := func(story string, f func(n *account.NumberEntry)) {
				for i := range d.Numbers {
					if s := stages[story]; s != nil && d.Numbers[i].Number == s.Number {
						f(&d.Numbers[i])
					}
				}
			}
			for _, name := range []string{"conf-pin", "conf-pin-alone"} {
				change(name, func(n *account.NumberEntry) { n.Conference.Offer, n.Conference.PIN = account.OfferEveryone, "4711" })
			}
			change("conf-pin-alone", func(n *account.NumberEntry) { n.Conference.Room = account.RoomPresent })
			change("conf-message-kept", func(n *account.NumberEntry) { n.Conference.Tries = 1 })
			change("conf-host-named", func(n *account.NumberEntry) {
				n.Conference.Greeting = account.GreetingName
				for i := range d.Accounts {
					if d.Accounts[i].ID == n.Account {
						d.Accounts[i].Name = hostileHost()
					}
				}
			})
			change("conf-behind-phones", func(n *account.NumberEntry) {
				when := account.WhenList{"busy"}
				n.Conference.When, n.Conference.Room = &when, account.RoomOpen
			})
			for i := range d.Contacts {
				if s := stages["conf-hostile-name"]; s != nil && d.Contacts[i].Numbers[0] == s.From {
					d.Contacts[i].Name = hostileContact
				}
			}
		},
		numbers: []string{lab.AccessNumber},
	}
}

// hostileContact is a name of somebody in an address book, of the worst that a vCard may hold in one line.
const hostileContact = "Anna ${system(touch x)} <speak>'\"; hupall"

func story(name, title string, play func(ctx context.Context, s *lab.Stage)) lab.Story {
	return lab.Story{Name: name, Title: title, Line: lab.Line{Host: true}, Play: lab.Linked(play)}
}

// offered has a caller come to the access number and waits until he hears something.
func offered(ctx context.Context, s *lab.Stage, inv lab.Invite) *lab.Call {
	c := s.Place(inv)
	s.WaitAnswered(ctx, c)
	s.Must(c.WaitSound(ctx))
	return c
}

// atVoicemail waits until the n-th caller is with voicemail, ends the call and returns its record.
func atVoicemail(ctx context.Context, s *lab.Stage, c *lab.Call, n int) call.Record {
	mail := s.Rings(ctx, s.Mail[0], 1)
	s.WaitAnswered(ctx, c)
	s.Leaves(ctx, c, mail)
	return s.Record(ctx, n)
}

func keysOfAllKinds() lab.Story {
	return story("conf-keys", "Keys by RFC 4733, by SIP INFO and as tones in the voice, each pressed during the greeting.", func(ctx context.Context, s *lab.Stage) {
		host, room := s.HostEnters(ctx)
		defer host.Hangup()
		for _, how := range []lab.Keying{lab.KeysAsEvents, lab.KeysAsInfo, lab.KeysInBand} {
			c := offered(ctx, s, s.Forwarded(s.From, "user-busy"))
			s.Must(c.Press(ctx, "1", how))
			s.Members(ctx, room, 2)
			s.Tell("joined by %s", how)
			c.Hangup()
			s.Members(ctx, room, 1)
		}
	})
}

func wrongKeysThenJoin() lab.Story {
	return story("conf-wrong-keys", "A key that means nothing, twice, then the right one.", func(ctx context.Context, s *lab.Stage) {
		host, room := s.HostEnters(ctx)
		defer host.Hangup()
		c := offered(ctx, s, s.Forwarded(s.From, "user-busy"))
		s.Must(c.Press(ctx, "7", lab.KeysAsEvents))
		pause(ctx, 600*time.Millisecond)
		s.Must(c.Press(ctx, "7", lab.KeysAsEvents))
		pause(ctx, 600*time.Millisecond)
		s.Must(c.Press(ctx, "1", lab.KeysAsEvents))
		s.Members(ctx, room, 2)
		c.Hangup()
		s.Steps(s.Record(ctx, 2), "conference answered")
	})
}

func nothingPressed() lab.Story {
	return story("conf-nothing-pressed", "Nothing is pressed: after three offers the caller is with voicemail.", func(ctx context.Context, s *lab.Stage) {
		c := offered(ctx, s, s.Forwarded(s.From, "no-answer"))
		ctx, cancel := context.WithTimeout(ctx, 60*time.Second)
		defer cancel()
		mail, err := s.Mail[0].Incoming(ctx, 1)
		s.Must(err)
		s.Check(strings.Contains(mail.Invite().Get("Diversion"), s.Number), "voicemail is told of %s", mail.Invite().Get("Diversion"))
		r := atVoicemail(ctx, s, c, 1)
		s.Steps(r, "conference not-joined", "mailbox answered")
		s.Check(r.Steps[0].Note == "the caller chose nothing", "the record says %q", r.Steps[0].Note)
	})
}

// transferredFromTheMenu is somebody of the operator's who takes a caller out of our greeting: what he is sent to goes on, though our connection
// to the call ends, and our guard does not take him back.
func transferredFromTheMenu() lab.Story {
	return story("conf-transferred", "The operator transfers a caller out of the greeting to somewhere else: he stays there.", func(ctx context.Context, s *lab.Stage) {
		host, _ := s.HostEnters(ctx)
		defer host.Hangup()
		c := offered(ctx, s, s.Forwarded(s.From, "user-busy"))
		uuid, err := s.Rig.Leg(ctx, c)
		s.Must(err)
		_, err = s.Rig.API(ctx, "uuid_transfer "+uuid+" 'playback:silence_stream://-1' inline")
		s.Must(err)
		s.Record(ctx, 2)
		pause(ctx, 6*time.Second) // longer than any guard of a prompt
		dump, err := s.Rig.API(ctx, "uuid_dump "+uuid)
		s.Must(err)
		s.Check(strings.Contains(dump, "Channel-State: CS_EXECUTE") && strings.Contains(dump, "variable_current_application: playback"),
			"he is not where he was sent to:\n%s", dump)
		s.Check(!strings.Contains(dump, "variable_socket_resume: true"), "he would be left in silence when we end")
		s.Check(c.EndedBy() == "", "the caller was ended by %q", c.EndedBy())
		c.Hangup()
	})
}

// messageForTheHost is what nothingPressed leads to where the voicemail system is away: what the caller says is kept, and comes into the host's mailbox.
func messageForTheHost(messages string) lab.Story {
	s := story("conf-message-kept", "Nothing is pressed and no voicemail system is there: the message is taken here, and delivered to the host's mailbox.", func(ctx context.Context, s *lab.Stage) {
		waiting := func() int {
			files, err := filepath.Glob(filepath.Join(messages, "*"))
			s.Must(err)
			return len(files)
		}
		c := offered(ctx, s, s.Forwarded(s.From, "no-answer"))
		s.Must(eventually(ctx, 30*time.Second, func() bool { return waiting() > 0 }))
		s.Tell("the caller has pressed nothing and speaks behind the tone")
		pause(ctx, 2500*time.Millisecond)
		refused := s.Mail[0].Invited()
		s.Mail[0].Behave(lab.Answers(0))
		c.Hangup()
		s.Steps(s.Record(ctx, 1), "conference not-joined", "mailbox voicemail-down", "spool answered")
		mail, err := s.Mail[0].Incoming(ctx, refused+1)
		s.Must(err)
		s.Mailbox(mail, 408, "no-answer")
		if s.Rig.Real() {
			s.Must(mail.WaitHeardAnything(ctx, 100))
		}
		s.Must(eventually(ctx, 20*time.Second, func() bool { return waiting() == 0 }))
		s.Tell("the message is in the host's mailbox, and nothing of it is left here")
	})
	s.Line.Targets = [2]lab.TargetState{lab.TargetRefuses, lab.TargetRefuses}
	return s
}

func pinWithoutConference() lab.Story {
	return story("conf-pin-alone", "The host is in no conference: a stranger is asked for the PIN as if he were, and with the right one hears that nobody is there, and gets voicemail.", func(ctx context.Context, s *lab.Stage) {
		withheld := s.Forwarded("anonymous", "user-busy")
		withheld.Headers = append(withheld.Headers, "Privacy: id")
		c := offered(ctx, s, withheld)
		s.Must(c.Press(ctx, "4711#", lab.KeysAsEvents))
		r := atVoicemail(ctx, s, c, 1)
		s.Steps(r, "conference not-joined", "mailbox answered")
		s.Check(strings.Contains(r.Steps[0].Note, "in no conference"), "the record says %q", r.Steps[0].Note)
	})
}

func withheldWithPIN(api *integrator) lab.Story {
	return story("conf-pin", "A caller who withholds the number may join with the host's PIN; three wrong ones, and it is voicemail, without a question the next time, and the API counts them.", func(ctx context.Context, s *lab.Stage) {
		host, room := s.HostEnters(ctx)
		defer host.Hangup()
		withheld := s.Forwarded("anonymous", "user-busy")
		withheld.Headers = append(withheld.Headers, "Privacy: id")
		c := offered(ctx, s, withheld)
		s.Must(c.Press(ctx, "4711#", lab.KeysAsEvents))
		s.Members(ctx, room, 2)
		s.Tell("the PIN was right")
		c.Hangup()
		s.Members(ctx, room, 1)
		c = offered(ctx, s, withheld)
		for range 3 {
			s.Must(c.Press(ctx, "0000#", lab.KeysAsEvents))
			pause(ctx, 2500*time.Millisecond)
		}
		r := atVoicemail(ctx, s, c, 3)
		s.Steps(r, "conference not-joined", "mailbox answered")
		out, err := exec.CommandContext(ctx, program, "token", "create", "--config", s.Rig.Config(), "--tenant", "operator", "--account", s.Row().Account, "--scopes", "accounts:read").Output()
		s.Must(err)
		status, count := api.send(ctx, s, strings.TrimSpace(string(out)), "GET", "/accounts/"+s.Row().Account+"/wrong-pins", "", "")
		s.Check(status == 200 && strings.Contains(string(count), `"wrong":3,"locked":true`), "the API counts %d %s", status, count)
		c = s.Place(withheld)
		mail, err := s.Mail[0].Incoming(ctx, 2)
		s.Must(err)
		s.WaitAnswered(ctx, c)
		s.Leaves(ctx, c, mail)
		r = s.Record(ctx, 4)
		s.Steps(r, "mailbox answered")
		s.Check(r.Plan.Access.Reason.Name == "locked-out", "access: %+v", r.Plan.Access)
	})
}

func twoDiversions() lab.Story {
	return story("conf-two-diversions", "A call that somebody else diverted to the host first: the host is the one who sent it to us, in whatever order, or in one header field.", func(ctx context.Context, s *lab.Stage) {
		host := fmt.Sprintf("<sip:%s@carrier.example>;reason=user-busy;counter=1", s.Number)
		const other = "<sip:+498999998555@other.example>;reason=unconditional;counter=1"
		for n, headers := range [][]string{{"Diversion: " + host, "Diversion: " + other}, {"Diversion: " + other, "Diversion: " + host}, {"Diversion: " + host + ", " + other}} {
			c := offered(ctx, s, lab.Invite{To: lab.AccessNumber, Headers: headers})
			c.Hangup()
			r := s.Record(ctx, n+1)
			s.Check(string(r.Plan.Number) == s.Number && r.Plan.Forwarded.Source == "diversion", "the call was for %s, says %+v", r.Plan.Number, r.Plan.Forwarded)
			s.Check(len(r.Arrival.Diversions) == 2, "the record knows %d diversions, want both", len(r.Arrival.Diversions))
			s.Steps(r, "conference caller-gone")
		}
	})
}

func noHost() lab.Story {
	return story("conf-no-host", "Nothing says for whom a call to the access number is: 404, and no media.", func(ctx context.Context, s *lab.Stage) {
		c := s.Place(lab.Invite{To: lab.AccessNumber, From: "+498999998888"})
		s.Status(ctx, c, 404)
		for _, m := range c.Responses() {
			s.Check(m.Status() != 183, "the caller was sent media")
		}
	})
}

func mappedNumber() lab.Story {
	return story("conf-mapped-number", "The number that is dialled is the host's own, and no Diversion is there: busy phones, then the offer.", func(ctx context.Context, s *lab.Stage) {
		s.Phone.Behave(lab.Refuses(486))
		c := offered(ctx, s, lab.Invite{})
		c.Hangup()
		s.Steps(s.Record(ctx, 1), "ring busy", "conference caller-gone")
	})
}

func hangsUpInTheGreeting() lab.Story {
	return story("conf-hangs-up", "The caller hangs up in the greeting: nobody's phone rings, and the record says that he has gone.", func(ctx context.Context, s *lab.Stage) {
		c := offered(ctx, s, s.Forwarded(s.From, "no-answer"))
		c.Hangup()
		r := s.Record(ctx, 1)
		s.Steps(r, "conference caller-gone")
		s.Check(r.Result == call.CallerGone && !r.Answered.IsZero(), "result %s, answered %s", r.Result, r.Answered)
		s.Untouched(s.Phone, s.Mail[0])
	})
}

func joiningSwitchedOff() lab.Story {
	return story("conf-switched-off", "The host switches joining off while the conference is on: who calls now gets voicemail, who is in it stays.", func(ctx context.Context, s *lab.Stage) {
		host, room := s.HostEnters(ctx)
		anna := s.Place(s.Forwarded(s.From, "user-busy"))
		s.Joins(ctx, anna)
		s.Members(ctx, room, 2)
		s.Apply(ctx, withoutConference(s))
		c := s.PlaceBy(s.Party("ben", lab.HzBen), s.Forwarded(s.Second(), "user-busy"))
		r := atVoicemail(ctx, s, c, 3)
		s.Steps(r, "mailbox answered")
		s.Check(r.Plan.Access == nil, "there is a decision: %+v", r.Plan.Access)
		s.HearsOnly(ctx, host, lab.HzAnna)
		anna.Hangup()
		host.Hangup()
	})
}

// withoutConference is the row of a story's number as it is, but for the conference.
func withoutConference(s *lab.Stage) account.Document {
	n := s.Row()
	n.Conference = nil
	return account.Document{Numbers: []account.NumberEntry{n}}
}

func behindThePhones() lab.Story {
	return story("conf-behind-phones", "Only for calls that find the host busy: the phones ring first, and callers wait for him in his room.", func(ctx context.Context, s *lab.Stage) {
		s.Phone.Behave(lab.Refuses(486))
		c := offered(ctx, s, lab.Invite{})
		s.Must(c.Press(ctx, "1", lab.KeysAsEvents))
		room := s.RoomOf(ctx, c)
		s.Members(ctx, room, 1)
		c.Hangup()
		s.Steps(s.Record(ctx, 1), "ring busy", "conference answered")
		s.Phone.Behave(lab.Behaviour{Ring: true, After: 300 * time.Millisecond, Status: 603})
		c = s.Place(lab.Invite{})
		r := atVoicemail(ctx, s, c, 2)
		s.Steps(r, "ring declined", "mailbox answered")
	})
}

func hostileContactName() lab.Story {
	return story("conf-hostile-name", "A contact's name is written to break a switch: the caller joins, and nothing of it is executed.", func(ctx context.Context, s *lab.Stage) {
		host, room := s.HostEnters(ctx)
		c := s.Place(s.Forwarded(s.From, "user-busy"))
		s.Joins(ctx, c)
		s.Members(ctx, room, 2)
		s.HearsOnly(ctx, host, lab.HzAnna)
		c.Hangup()
		s.Members(ctx, room, 1)
		host.Hangup()
	})
}

func deathInTheMenu() lab.Story {
	s := story("conf-death-in-menu", "The sidecar is killed while the caller listens to the offer: the operator's own extension has him within 4 s.", func(ctx context.Context, s *lab.Stage) {
		c := offered(ctx, s, s.Forwarded(s.From, "no-answer"))
		s.Must(s.Rig.Sidecar.Kill())
		s.Deed(lab.ColSwitch, "the sidecar is killed")
		uuid, err := s.Rig.Leg(ctx, c)
		s.Must(err)
		began := time.Now()
		for {
			back, err := s.Rig.API(ctx, "uuid_getvar "+uuid+" signalbox_handed_back")
			if err != nil || strings.TrimSpace(back) != "_undef_" {
				break
			}
			s.Check(time.Since(began) < 4*time.Second, "the fallback did not have the call within 4 s")
			pause(ctx, 50*time.Millisecond)
		}
		c.Hangup()
		s.Must(s.Rig.StartSidecar(ctx))
	})
	s.Alone = true
	return s
}

func deathInTheConference() lab.Story {
	s := story("conf-death-in-conference", "The sidecar is killed while two talk in a conference: they go on, and who hangs up is gone; the next call joins them.", func(ctx context.Context, s *lab.Stage) {
		host, room := s.HostEnters(ctx)
		c := s.Place(s.Forwarded(s.From, "user-busy"))
		s.Joins(ctx, c)
		s.Members(ctx, room, 2)
		s.Must(s.Rig.Sidecar.Kill())
		pause(ctx, 500*time.Millisecond)
		s.HearsOnly(ctx, host, lab.HzAnna)
		s.HearsOnly(ctx, c, lab.HzHost)
		s.Tell("they talk on without a sidecar")
		s.Must(s.Rig.StartSidecar(ctx))
		b := s.PlaceBy(s.Party("ben", lab.HzBen), s.Forwarded(s.Second(), "user-busy"))
		s.Joins(ctx, b)
		s.Members(ctx, room, 3)
		for _, one := range []*lab.Call{b, c, host} {
			one.Hangup()
		}
		s.Members(ctx, room, 0)
	})
	s.Alone = true
	return s
}
