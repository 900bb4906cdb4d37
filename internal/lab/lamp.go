package lab

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/signalbox/signalbox/internal/account"
)

// takesEffect is the longest that a change of what is provisioned may take to count for the next call.
const takesEffect = time.Second

// apply has the operator's command change what is provisioned, and waits until it counts.
func (s *Stage) apply(ctx context.Context, d account.Document) {
	rows, err := json.Marshal(d) // JSON is YAML
	s.must(err)
	file := filepath.Join(s.Rig.dir, "change-"+s.user+".yaml")
	s.must(os.WriteFile(file, rows, 0o600))
	out, err := exec.CommandContext(ctx, s.Rig.opts.Program, "provision", "apply", file, "--config", s.Rig.config).CombinedOutput()
	s.check(err == nil, "provision apply: %v\n%s", err, out)
	select {
	case <-time.After(takesEffect):
	case <-ctx.Done():
		s.must(ctx.Err())
	}
}

// Notices are the NOTIFYs for an event that an agent got outside of any call.
func (a *Agent) Notices(event string) (out []*Message) {
	a.do(func() { out = a.noticesFor(event) })
	return out
}

// Texts waits until an agent got as many MESSAGEs, and returns them.
func (a *Agent) Texts(ctx context.Context, n int) (out []*Message, err error) {
	err = a.wait(ctx, "texts arrive", func() bool {
		out = append([]*Message(nil), a.texts...)
		return len(out) >= n
	})
	return out, err
}

// noticesFor is called on the loop.
func (a *Agent) noticesFor(event string) (out []*Message) {
	for _, m := range a.notices {
		if strings.HasPrefix(strings.ToLower(m.Get("event")), event) {
			out = append(out, m)
		}
	}
	return out
}

// lampShows waits until the last message-summary a phone got counts as "2/1 (1/0)".
func (s *Stage) lampShows(ctx context.Context, counts string) {
	s.must(s.Phone.wait(ctx, "the lamp shows "+counts, func() bool {
		got := s.Phone.noticesFor("message-summary")
		return len(got) > 0 && strings.Contains(got[len(got)-1].Body(), "Voice-Message: "+counts)
	}))
	s.Trace.Add(Event{Kind: Proof, From: ColPhone, To: ColPhone, Summary: "the lamp shows " + counts})
}

// Summary sends a message-summary NOTIFY for a mailbox (RFC 3842) and returns the status it is answered with.
func (a *Agent) Summary(ctx context.Context, to hop, domain, fqdn, mailbox, counts string) (status int, err error) {
	waiting := "yes"
	if strings.HasPrefix(counts, "0/") {
		waiting = "no"
	}
	branch := "z9hG4bK" + token()
	var b builder
	b.line("NOTIFY sip:%s@%s SIP/2.0", mailbox, domain)
	b.line("Via: SIP/2.0/%s %s;branch=%s;rport", strings.ToUpper(to.network), a.ep.addr, branch)
	b.line("Max-Forwards: 70")
	b.line("From: <sip:voicemail@%s>;tag=%s", fqdn, token())
	b.line("To: <sip:%s@%s>", mailbox, domain)
	b.line("Call-ID: %s@lab", token())
	b.line("CSeq: 1 NOTIFY")
	b.line("Contact: <sip:voicemail@%s>", a.ep.addr)
	b.line("Event: message-summary")
	b.line("Subscription-State: active")
	body := fmt.Sprintf("Messages-Waiting: %s\r\nMessage-Account: sip:%s@%s\r\nVoice-Message: %s\r\n", waiting, mailbox, domain, counts)
	raw := b.finish("application/simple-message-summary", body)
	done := false
	a.do(func() {
		a.begin(branch, "NOTIFY", to, raw, func(m *Message) {
			switch {
			case m == nil:
				done = true
			case m.Status() >= 200:
				status, done = m.Status(), true
			}
		})
	})
	return status, a.wait(ctx, "the NOTIFY is answered", func() bool { return done })
}

func playMovedPilot(ctx context.Context, s *Stage) {
	c := s.call()
	leaveMessage(ctx, s, c, 0, 404, "unavailable")
	name := "moved." + s.FQDN
	host := "target." + name
	_, port, _ := strings.Cut(s.mail[1], ":")
	s.must(s.Rig.dns.Set(host, "5 IN A 127.0.0.1"))
	s.must(s.Rig.dns.Set("_sip._udp."+name, fmt.Sprintf("5 IN SRV 10 0 %s %s.", port, host)))
	s.apply(ctx, account.Document{
		VoicemailSystems: []account.SystemEntry{{FQDN: name}},
		Pilots:           []account.PilotEntry{{Number: s.Pilot, Systems: []account.PilotSystemEntry{{FQDN: name, Priority: 10}}}},
	})
	s.tell("the operator moves the pilot to %s; no subscriber's row is touched", name)
	old := s.FQDN
	s.FQDN = name
	c = s.call()
	leaveMessage(ctx, s, c, 1, 404, "unavailable")
	s.FQDN = old
	s.check(s.Mail[0].Invited() == 1, "the old system got %d calls, want 1", s.Mail[0].Invited())
	s.steps(s.record(ctx, 2), "ring not-registered", "mailbox answered")
}

func playChangedProfile(ctx context.Context, s *Stage) {
	number := account.NumberEntry{
		Number: s.Number, Account: s.account(), NoAnswer: account.Duration(noAnswerTime),
		Devices: []account.DeviceEntry{{Kind: account.DeviceRegistered, User: s.user, Host: s.Rig.at.Domain}},
	}
	s.must(s.Phone.Register(ctx, s.Rig.registration(s.user, 300)))
	s.Phone.Behave(Refuses(486))
	c := s.call()
	leaveMessage(ctx, s, c, 0, 486, "user-busy")
	s.apply(ctx, account.Document{Numbers: []account.NumberEntry{number}})
	s.tell("the operator takes voicemail away while the phone stays registered")
	c = s.call()
	s.ended(ctx, c, "486")
	s.steps(s.record(ctx, 2), "ring busy", "notice ended")
	s.check(s.Mail[0].Invited() == 1, "the voicemail system got %d calls, want 1: the old profile was used", s.Mail[0].Invited())
	s.tell("the next call ends with 486, and nothing is deposited")
	number.Voicemail = &account.VoicemailEntry{Pilot: s.Pilot}
	s.apply(ctx, account.Document{Numbers: []account.NumberEntry{number}})
	c = s.call()
	mail := s.rings(ctx, s.Mail[0], 2)
	s.mailbox(mail, 486, "user-busy")
	s.must(c.WaitAnswered(ctx))
	c.Hangup()
	s.ended(ctx, mail, "them")
	s.steps(s.record(ctx, 3), "ring busy", "mailbox answered")
	s.tell("given back, it takes the next call")
	s.must(s.Phone.Register(ctx, s.Rig.registration(s.user, 0)))
}

func playSuspended(ctx context.Context, s *Stage) {
	id := s.account()
	s.apply(ctx, account.Document{Accounts: []account.AccountEntry{{ID: id, State: account.Suspended}}})
	s.tell("the account is suspended")
	c := s.call()
	s.ended(ctx, c, "480")
	s.untouched(s.Mail[:]...)
	s.steps(s.record(ctx, 1), "ring not-registered", "notice ended")
	s.tell("nobody answers: 480, and nothing is deposited")
	s.apply(ctx, account.Document{Accounts: []account.AccountEntry{{ID: id}}})
	c = s.call()
	leaveMessage(ctx, s, c, 0, 404, "unavailable")
	s.steps(s.record(ctx, 2), "ring not-registered", "mailbox answered")
	s.tell("and active again, voicemail takes the next call")
}

// account is the ID of the account that the stage's number belongs to.
func (s *Stage) account() string {
	for i, n := range s.Rig.numbers {
		if n == s.Number {
			return fmt.Sprintf("subscriber-%d", i+1)
		}
	}
	return ""
}

func playPilotFromOutside(ctx context.Context, s *Stage) {
	c := s.Place(Invite{Display: `"Ada"`, To: s.Pilot})
	mail := s.rings(ctx, s.Mail[0], 1)
	m := mail.Invite()
	s.check(strings.HasPrefix(m.URI(), "sip:"+s.Pilot+"@"+s.FQDN) && !strings.Contains(m.URI(), "target=") && !strings.Contains(m.URI(), "cause="),
		"the system was called as %s, want its pilot, and nobody's mailbox named", m.URI())
	s.check(m.Get("x-voicemail-condition") == "retrieval", "X-Voicemail-Condition is %q, want retrieval", m.Get("x-voicemail-condition"))
	digits := strings.TrimPrefix(s.From, "+")
	for line := range strings.Lines(m.Raw) {
		s.check(!strings.Contains(line, digits), "a caller's number, which anybody can claim, stands in what the system got: %s", line)
	}
	s.must(c.WaitAnswered(ctx))
	s.talk(ctx, c, mail)
	c.Hangup()
	s.ended(ctx, mail, "them")
	s.steps(s.record(ctx, 1), "mailbox answered")
	s.tell("Ada dials the pilot from a line that is nobody's here: the system is told of no mailbox, and asks for it and its PIN")
}

func playLamp(ctx context.Context, s *Stage) {
	proxy := hop{"udp", s.Rig.proxyAddr}
	domain := "lab.example.test"
	notify := func(a *Agent, number, counts string, want int) {
		status, err := a.Summary(ctx, proxy, domain, s.FQDN, number, counts)
		s.must(err)
		s.check(status == want, "a NOTIFY for %s was answered %d, want %d", number, status, want)
	}
	s.must(s.Phone.Register(ctx, s.Rig.registration(s.user, 300)))
	s.must(s.until(ctx, func() bool {
		status, err := s.Notifier.Summary(ctx, proxy, domain, s.FQDN, s.Number, "2/1 (1/0)")
		return err == nil && status == 200
	}))
	s.tell("the voicemail system tells the proxy of 2 new messages and an old one")
	s.lampShows(ctx, "2/1 (1/0)")
	notify(s.Caller, s.Number, "9/9 (0/0)", 403)
	notify(s.Notifier, "+493023129999", "1/0 (0/0)", 404)
	s.tell("somebody else who says the like gets 403, and a mailbox that nobody has 404")
	s.must(s.Phone.Register(ctx, s.Rig.registration(s.user, 0)))
	before := len(s.Phone.Notices("message-summary"))
	s.must(s.Phone.Register(ctx, s.Rig.registration(s.user, 300)))
	s.must(s.Phone.wait(ctx, "the phone that registers again is told again", func() bool { return len(s.Phone.noticesFor("message-summary")) > before }))
	s.lampShows(ctx, "2/1 (1/0)")
	s.tell("the phone registers anew and is told again")
	notify(s.Notifier, s.Number, "0/3 (0/0)", 200)
	s.lampShows(ctx, "0/3 (0/0)")
	notify(s.Notifier, s.Number, "1/3 (0/0)", 200)
	s.lampShows(ctx, "1/3 (0/0)")
	s.apply(ctx, account.Document{Numbers: []account.NumberEntry{{Number: s.Number, Account: s.account(), NoAnswer: account.Duration(noAnswerTime)}}})
	s.lampShows(ctx, "0/0 (0/0)")
	s.tell("the number is taken from the phone: its lamp goes out")
	s.must(s.Phone.Register(ctx, s.Rig.registration(s.user, 0)))
}

// until tries again until something holds.
func (s *Stage) until(ctx context.Context, holds func() bool) error {
	for !holds() {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(100 * time.Millisecond):
		}
	}
	return nil
}

func playOwnVoicemail(ctx context.Context, s *Stage) {
	line := s.Rig.registration(s.user, 300)
	s.must(s.Phone.Register(ctx, line))
	for n, dialled := range []string{s.Pilot, "*86"} {
		if dialled == "*86" && !s.Rig.realVoice {
			continue // the simulator's phones dial in the context of carriers, which has no short codes
		}
		inv := Invite{Display: `"Ada"`, From: s.user, To: dialled, As: &line, Host: line.Domain, At: line.Domain}.Through(line.Registrar.network, line.Registrar.addr)
		inv.placed = s.follow
		c, err := s.Phone.Place(inv)
		s.must(err)
		s.calls, s.last = append(s.calls, c.id), c
		mail := s.rings(ctx, s.Mail[0], n+1)
		m := mail.Invite()
		s.check(strings.HasPrefix(m.URI(), "sip:"+s.Pilot+"@"+s.FQDN) && strings.Contains(m.URI(), ";target=sip:") && strings.Contains(m.URI(), strings.TrimPrefix(s.Number, "+")) && !strings.Contains(m.URI(), "cause="),
			"the system was called as %s, want the pilot, the line's own mailbox, and no cause", m.URI())
		s.check(strings.Contains(m.Get("from"), s.Number), "the line is shown as %s, want %s", m.Get("from"), s.Number)
		s.check(m.Get("x-voicemail-condition") == "retrieval", "X-Voicemail-Condition is %q, want retrieval", m.Get("x-voicemail-condition"))
		s.must(c.WaitAnswered(ctx))
		s.talk(ctx, c, mail)
		c.Hangup()
		s.ended(ctx, mail, "them")
		s.steps(s.record(ctx, n+1), "mailbox answered")
		s.tell("the subscriber dials %s and hears the own messages, at the system that takes them", dialled)
	}
	line.Expires = 0
	s.must(s.Phone.Register(ctx, line))
}
