package e2e

import (
	"context"
	"encoding/binary"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/call"
	"github.com/signalbox/signalbox/internal/lab"
	"github.com/signalbox/signalbox/internal/resolve/resolvetest"
	"github.com/signalbox/signalbox/internal/tel"
)

func TestSimVoicemail(t *testing.T) { onSimulator(t, voicemail(t)) }

// A real FreeSWITCH has mod_voicemail too, which the simulator has not.
func TestRealVoicemail(t *testing.T) {
	c := voicemail(t)
	c.acts[0] = append(c.acts[0], lab.Story{Name: "vm-own-mailbox-of-the-switch", Title: "Messages in FreeSWITCH's own voicemail and at a voicemail system: the lamp shows the sum.",
		Line: lab.Line{Phone: lab.PhoneRegistered, Notifies: true}, Play: playOwnMailbox})
	onFreeSWITCH(t, c)
}

// diverter is a subscriber who has diverted all calls to that of firstDiverter.
const (
	firstDiverter = "vm-first-diverter"
	diverter      = "+493023127901"
)

// voicemail is a pilot with two voicemail systems, west before east, found by NAPTR and SRV. Both are SIPp, and one of them fails.
func voicemail(t *testing.T) chapter {
	if !hasSIPp(t) {
		t.SkipNow()
	}
	messages := t.TempDir()
	stories := act{
		{Name: "vm-first-answers-503", Title: "West answers 503: the caller reaches east; when west is well again the next call is west's.", Play: playFirstRefuses},
		{Name: "vm-first-is-silent", Title: "West says nothing: a SIPp whom nobody answers reaches east in time.", Play: playFirstSilent},
		{Name: "vm-first-refuses-tcp", Title: "Nobody takes connections at west: east has the call; when west listens again the next call is west's.", Line: lab.Line{Phone: lab.PhoneAbsent}, Play: playFirstRefusesTCP},
		{Name: "vm-pilot-moves", Title: "The pilot is moved during a call: that stays where it is, the next one goes to the new system.", Line: lab.Line{Phone: lab.PhoneAbsent}, Play: playPilotMoves},
		{Name: firstDiverter, Title: "Somebody diverted to the subscriber, whose row gives the message to who diverted first: it is in that one's mailbox.", Play: playFirstDiverter},
		{Name: "vm-both-are-down", Title: "Both are down: the message is taken here, and delivered when one is back.", Line: lab.Line{Phone: lab.PhoneAbsent}, Play: func(ctx context.Context, s *lab.Stage) {
			playBothDown(ctx, s, messages)
		}},
	}
	return chapter{
		acts: []act{stories, {{Name: "vm-many-calls", Title: "Fifty unanswered calls a second: all reach voicemail, and the name server hardly notices.", Play: playManyCalls}}}, files: operatorSettings, numbers: []string{diverter},
		configure: func(yaml string) string {
			return edit(t, yaml, "voicemail: {progress_timeout: 2s}",
				fmt.Sprintf("voicemail: {progress_timeout: 2s, back_off: 1s, probe_every: 2s, spool: {dir: %q, silence: 1s}}", messages))
		},
		provision: func(d *account.Document, stages map[string]*lab.Stage) {
			for name, s := range stages {
				transport := ""
				if name == "vm-first-refuses-tcp" {
					transport = "tcp"
				}
				d.VoicemailSystems = append(d.VoicemailSystems, account.SystemEntry{FQDN: "west." + s.FQDN, Transport: transport},
					account.SystemEntry{FQDN: "east." + s.FQDN, Transport: transport})
				i := slices.IndexFunc(d.Pilots, func(p account.PilotEntry) bool { return p.Number == s.Pilot })
				d.Pilots[i].Systems = []account.PilotSystemEntry{{FQDN: "west." + s.FQDN, Priority: 10}, {FQDN: "east." + s.FQDN, Priority: 20}}
				if name == firstDiverter {
					i := slices.IndexFunc(d.Numbers, func(n account.NumberEntry) bool { return n.Number == s.Number })
					d.Numbers[i].Voicemail.FirstDiverter = true
					d.Accounts = append(d.Accounts, account.AccountEntry{ID: "diverter"})
					d.Numbers = append(d.Numbers, account.NumberEntry{Number: diverter, Account: "diverter", Voicemail: &account.VoicemailEntry{Pilot: s.Pilot}})
				}
			}
		},
	}
}

func playFirstRefuses(ctx context.Context, s *lab.Stage) {
	west, east := newAnswerer(s, "west", "udp"), newAnswerer(s, "east", "udp")
	defer west.stop()
	defer east.stop()
	west.is(ctx, refusing())
	east.is(ctx, answering())
	s.Phone.Behave(lab.Refuses(486))
	c := s.Call()
	s.WaitAnswered(ctx, c)
	s.Deposit(west.invite(ctx, 1), west.fqdn, 486, "user-busy")
	s.Deposit(east.invite(ctx, 1), east.fqdn, 486, "user-busy")
	leaveWord(ctx, s, c)
	first := failedOver(s, s.Record(ctx, 1), "busy", west, east)
	s.Check(first.SIPStatus == 503, "the record knows %d of west, want 503", first.SIPStatus)
	recovers(ctx, s, west, 2, 486, "user-busy")
	s.Check(len(east.invites()) == 1, "east had %d calls, want the first alone", len(east.invites()))
}

func playFirstSilent(ctx context.Context, s *lab.Stage) {
	west, east := newAnswerer(s, "west", "udp"), newAnswerer(s, "east", "udp")
	defer west.stop()
	defer east.stop()
	west.is(ctx, silent())
	east.is(ctx, answering())
	s.Phone.Behave(lab.Behaviour{Ring: true})
	id := sipp(ctx, s, carrier, "bye", 1, 1)
	in := s.Rings(ctx, s.Phone, 1)
	s.Check(in.Cancelled(), "the phone ended with %q, want a CANCEL", in.EndedBy())
	s.Deposit(west.invite(ctx, 1), west.fqdn, 408, "no-answer")
	s.Deposit(east.invite(ctx, 1), east.fqdn, 408, "no-answer")
	first := failedOver(s, recordsOf(ctx, s, id, 1)[0], "no-answer", west, east)
	waited := first.Ended.Sub(first.Started)
	s.Check(waited > time.Second && waited < 4*time.Second, "west was waited for during %v, want voicemail.progress_timeout, 2 s", waited)
}

func playFirstRefusesTCP(ctx context.Context, s *lab.Stage) {
	west, east := newAnswerer(s, "west", "tcp"), newAnswerer(s, "east", "tcp")
	defer west.stop()
	defer east.stop()
	east.is(ctx, answering())
	began := time.Now()
	c := s.Call()
	s.WaitAnswered(ctx, c)
	s.Check(time.Since(began) < 3*time.Second, "the caller waited %v for east", time.Since(began))
	s.Deposit(east.invite(ctx, 1), east.fqdn, 404, "unavailable")
	leaveWord(ctx, s, c)
	failedOver(s, s.Record(ctx, 1), "not-registered", west, east)
	recovers(ctx, s, west, 1, 404, "unavailable")
	s.Check(len(east.invites()) == 1, "east had %d calls, want the first alone", len(east.invites()))
}

func playPilotMoves(ctx context.Context, s *lab.Stage) {
	west, north := newAnswerer(s, "west", "udp"), newAnswerer(s, "north", "udp")
	defer west.stop()
	defer north.stop()
	west.is(ctx, answering())
	north.is(ctx, answering())
	before := s.Call()
	s.WaitAnswered(ctx, before)
	s.Deposit(west.invite(ctx, 1), west.fqdn, 404, "unavailable")
	s.Apply(ctx, account.Document{
		VoicemailSystems: []account.SystemEntry{{FQDN: north.fqdn}},
		Pilots:           []account.PilotEntry{{Number: s.Pilot, Systems: []account.PilotSystemEntry{{FQDN: north.fqdn, Priority: 10}}}},
	})
	s.Tell("the pilot is moved to %s", north.fqdn)
	after := s.Call()
	s.WaitAnswered(ctx, after)
	s.Deposit(north.invite(ctx, 1), north.fqdn, 404, "unavailable")
	s.Must(before.WaitHeard(ctx, s.Caller.Voice(), 15))
	s.Check(before.EndedBy() == "", "the call from before the move was ended by %q", before.EndedBy())
	leaveWord(ctx, s, before)
	leaveWord(ctx, s, after)
	s.Steps(s.Record(ctx, 1), "ring not-registered", "mailbox answered")
	s.Steps(s.Record(ctx, 2), "ring not-registered", "mailbox answered")
	s.Check(len(west.invites()) == 1, "west had %d calls, want that from before the move alone", len(west.invites()))
}

func playFirstDiverter(ctx context.Context, s *lab.Stage) {
	west := newAnswerer(s, "west", "udp")
	defer west.stop()
	west.is(ctx, answering())
	s.Phone.Behave(lab.Refuses(486))
	c := s.Place(lab.Invite{Headers: []string{"Diversion: <sip:" + diverter + "@carrier.example>;reason=unconditional;counter=1"}})
	s.WaitAnswered(ctx, c)
	m := west.invite(ctx, 1)
	uri, err := url.PathUnescape(m.URI())
	s.Must(err)
	s.Check(strings.Contains(uri, ";target=sip:"+diverter+"@"), "the system was called as %s, want %s as target", m.URI(), diverter)
	var diverted []string
	for _, d := range tel.ParseDiversions(m.All("diversion"), "DE") {
		diverted = append(diverted, string(d.Number))
	}
	s.Check(slices.Equal(diverted, []string{s.Number, diverter}), "the diversions are %q, want the subscriber's on top of the first", diverted)
	leaveWord(ctx, s, c)
	s.Steps(s.Record(ctx, 1), "ring busy", "mailbox answered")
}

func playBothDown(ctx context.Context, s *lab.Stage, messages string) {
	waiting := func() []string {
		files, err := filepath.Glob(filepath.Join(messages, "*"))
		s.Must(err)
		return files
	}
	west, east := newAnswerer(s, "west", "udp"), newAnswerer(s, "east", "udp")
	defer west.stop()
	defer east.stop()
	west.is(ctx, refusing())
	c := s.Call()
	s.WaitAnswered(ctx, c)
	s.Tell("west answers 503, at east nothing listens: the caller is answered here, and speaks")
	pause(ctx, 4*time.Second)
	c.Hangup()
	r := s.Record(ctx, 1)
	s.Steps(r, "ring not-registered", "mailbox voicemail-down", "spool answered")
	s.Check(len(r.Steps[1].Attempts) == 2, "the record has the attempts %+v, want one for each system", r.Steps[1].Attempts)
	s.Check(len(waiting()) > 0, "no message waits in the folder: %s", r.Steps[2].Note)
	east.is(ctx, answering())
	s.Deposit(east.invite(ctx, 1), east.fqdn, 404, "unavailable")
	s.Tell("east is back and gets the message")
	s.Must(eventually(ctx, 20*time.Second, func() bool { return len(waiting()) == 0 }))
}

// playManyCalls has SIPp call for three seconds. A real switch gets as many calls as a small machine's bears.
func playManyCalls(ctx context.Context, s *lab.Stage) {
	rate := 50
	if s.Rig.Real() {
		rate = 10
	}
	west := newAnswerer(s, "west", "udp")
	defer west.stop()
	west.is(ctx, answering())
	s.Phone.Behave(lab.Refuses(486))
	s.Rig.DNS().Asked()
	began := time.Now()
	id := sipp(ctx, s, carrier, "bye", 3*rate, rate)
	took := time.Since(began)
	times := make(map[string]int)
	asked := s.Rig.DNS().Asked()
	for _, question := range asked {
		times[question]++
		most := int(took.Seconds())/resolvetest.NegativeTTL + 1
		s.Check(times[question] <= most, "%d calls in %v asked for %s more than %d times: %q", 3*rate, took, question, most, asked)
	}
	s.Check(len(asked) > 0, "the name server was not asked")
	s.Tell("%d questions to the name server for %d calls in %v", len(asked), 3*rate, took)
	allSteps(s, recordsOf(ctx, s, id, 3*rate), "ring busy", "mailbox answered")
	s.Check(len(west.invites()) == 3*rate, "west had %d calls, want %d", len(west.invites()), 3*rate)
}

// playOwnMailbox puts a message into mod_voicemail's box of the phone, has it heard, and deleted.
func playOwnMailbox(ctx context.Context, s *lab.Stage) {
	box := s.User() + "@" + s.Rig.At().Domain
	command := func(line string) {
		out, err := s.Rig.API(ctx, line)
		s.Must(err)
		s.Check(!strings.Contains(out, "Error") && !strings.Contains(out, "Usage"), "%s: %s", line, out)
	}
	file := filepath.Join(s.Rig.Dir(), "message.wav")
	s.Must(os.WriteFile(file, wave(time.Second), 0o600))
	s.Register(ctx, 300)
	command("voicemail_inject " + box + " " + file + " " + s.From + " Ada")
	s.LampShows(ctx, "1/0 (0/0)")
	s.Tell("a message is in the switch's own mailbox")
	s.Notify(ctx, "2/1 (1/0)")
	s.LampShows(ctx, "3/1 (1/0)")
	s.Tell("two more are at the voicemail system: the lamp shows the sum")
	s.Register(ctx, 0)
	before := len(s.Phone.Notices("message-summary"))
	s.Register(ctx, 300)
	s.Must(eventually(ctx, 10*time.Second, func() bool { return len(s.Phone.Notices("message-summary")) > before }))
	s.LampShows(ctx, "3/1 (1/0)")
	s.Tell("the phone registers anew: whatever the switch tells it by itself, the last word is the sum")
	command("vm_read " + box + " read")
	s.LampShows(ctx, "2/2 (1/0)")
	command("vm_delete " + box)
	s.LampShows(ctx, "2/1 (1/0)")
	s.Tell("heard and deleted at the switch, the system's messages are left")
	s.Register(ctx, 0)
}

// wave is a WAV file of 8 kHz with a tone in it.
func wave(d time.Duration) []byte {
	samples := int(d.Seconds() * 8000)
	b := []byte("RIFF")
	b = binary.LittleEndian.AppendUint32(b, uint32(36+2*samples))
	b = append(b, "WAVEfmt "...)
	for _, v := range []any{uint32(16), uint16(1), uint16(1), uint32(8000), uint32(16000), uint16(2), uint16(16)} {
		b, _ = binary.Append(b, binary.LittleEndian, v)
	}
	b = binary.LittleEndian.AppendUint32(append(b, "data"...), uint32(2*samples))
	for i := range samples {
		b = binary.LittleEndian.AppendUint16(b, uint16(int16(3000*(i/10%2*2-1))))
	}
	return b
}

// leaveWord has the caller hear himself from SIPp, which says what it hears, and hang up.
func leaveWord(ctx context.Context, s *lab.Stage, c *lab.Call) {
	s.Must(c.WaitHeard(ctx, s.Caller.Voice(), 15))
	c.Hangup()
}

// failedOver checks that a record tells of west, which failed, and then of east, which answered, and gives the first.
func failedOver(s *lab.Stage, r call.Record, phone string, west, east *answerer) call.Attempt {
	s.Steps(r, "ring "+phone, "mailbox answered")
	attempts := r.Steps[1].Attempts
	ok := len(attempts) == 2 && strings.HasPrefix(attempts[0].Target, west.fqdn+" "+west.addr.String()) && attempts[0].Result != call.Answered &&
		strings.HasPrefix(attempts[1].Target, east.fqdn+" "+east.addr.String()) && attempts[1].Result == call.Answered
	s.Check(ok, "the record has the attempts %+v, want a failed one at west and then one that east answered", attempts)
	return attempts[0]
}

// recovers brings a system that failed back, waits until its OPTIONS were seen answered, and checks that the next call is its nth.
func recovers(ctx context.Context, s *lab.Stage, west *answerer, n, cause int, reason string) {
	west.is(ctx, answering())
	logged(ctx, s, "sidecar", 1, "target is called again", west.fqdn)
	s.Tell("west is well again")
	c := s.Call()
	s.WaitAnswered(ctx, c)
	s.Deposit(west.invite(ctx, n), west.fqdn, cause, reason)
	leaveWord(ctx, s, c)
	r := s.Record(ctx, s.Placed())
	s.Check(len(r.Steps) == 2 && len(r.Steps[1].Attempts) == 1, "the next call's record tells %+v, want west alone", r.Steps)
}
