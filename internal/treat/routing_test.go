package treat

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/call"
	"github.com/signalbox/signalbox/internal/call/calltest"
	"github.com/signalbox/signalbox/internal/tel"
	"github.com/signalbox/signalbox/internal/treat/mailbox"
	"github.com/signalbox/signalbox/internal/treat/recorder"
)

// does runs the plan for a call and says what was done to the leg.
func does(t *testing.T, leg *calltest.Leg, a call.Arrival, p *account.Profile, w call.World, s Settings) (did string, rec call.Record) {
	t.Helper()
	rec, err := Run(context.Background(), leg, call.Record{Arrival: a, Plan: Plan(a, p, w, s)}, Tools{Settings: s, Resolver: &dns{}})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(leg.Did, ", "), rec
}

func header(order call.RingOrder, name string) string {
	for _, h := range order.Headers {
		if h.Name == name {
			return h.Value
		}
	}
	return "(none)"
}

func withRule(p *account.Profile, rules ...account.Rule) *account.Profile {
	p.Rules = rules
	return p
}

func TestTheFirstRuleThatMatchesDecides(t *testing.T) {
	mum := &account.Contact{ID: "mum"}
	ring, mail, no := account.RuleRing, account.RuleVoicemail, account.RuleRefuse
	for name, c := range map[string]struct {
		rules []account.Rule
		w     call.World
		from  tel.Identity
		v     call.Verdict
		want  string
	}{
		"all to voicemail":    {[]account.Rule{{ID: "dnd", Callers: account.CallersAll, Do: mail}}, call.World{}, arrival().From, call.Verdict{}, "voicemail"},
		"a contact gets past": {[]account.Rule{{Callers: account.CallersContacts, Do: ring}, {Callers: account.CallersAll, Do: mail}}, call.World{Contact: mum}, arrival().From, call.Verdict{}, "ring"},
		"one who claims a contact's number does not": {[]account.Rule{{Callers: account.CallersContacts, Do: ring}, {Callers: account.CallersAll, Do: mail}}, call.World{Contact: mum}, arrival().From,
			call.Verdict{Likelihood: 0.8}, "voicemail"},
		"a stranger is refused":               {[]account.Rule{{Callers: account.CallersOthers, Do: no}}, call.World{}, arrival().From, call.Verdict{}, "refuse"},
		"nobody could look: the phone rings":  {[]account.Rule{{Callers: account.CallersOthers, Do: no}}, call.World{ContactsDown: true}, arrival().From, call.Verdict{}, "ring"},
		"withheld is refused":                 {[]account.Rule{{Callers: account.CallersWithheld, Do: no}}, call.World{}, tel.Identity{Withheld: true}, call.Verdict{}, "refuse"},
		"withheld matches no number":          {[]account.Rule{{Callers: account.CallersNumber, Number: "+1*", Do: no}}, call.World{}, tel.Identity{Number: "+12125550123", Withheld: true}, call.Verdict{}, "ring"},
		"one number":                          {[]account.Rule{{Callers: account.CallersNumber, Number: "+12125550123", Do: no}}, call.World{}, arrival().From, call.Verdict{}, "refuse"},
		"the beginning of a number":           {[]account.Rule{{Callers: account.CallersNumber, Number: "+1212*", Do: mail}}, call.World{}, arrival().From, call.Verdict{}, "voicemail"},
		"a number that only begins like that": {[]account.Rule{{Callers: account.CallersNumber, Number: "+1212555012", Do: no}}, call.World{}, arrival().From, call.Verdict{}, "ring"},
	} {
		a := arrival()
		a.From, a.Verdict = c.from, c.v
		leg := &calltest.Leg{Answers: map[string]call.Result{phone: call.Answered, vmA: call.Answered}}
		did, _ := does(t, leg, a, withRule(profile(everything), c.rules...), c.w, settings())
		want := map[string]string{"ring": "ring [" + phone + "]", "voicemail": "waiting, ring [" + vmA + "]", "refuse": "refuse 603"}[c.want]
		if did != want {
			t.Errorf("%s: %s, want %s", name, did, want)
		}
		if c.want == "voicemail" && leg.Orders[0].Voicemail.Cause != 302 {
			t.Errorf("%s: cause=%d, want 302", name, leg.Orders[0].Voicemail.Cause)
		}
	}
}

func TestARuleSendsNobodyToAVoicemailThatIsNotThere(t *testing.T) {
	all := account.Rule{ID: "dnd", Callers: account.CallersAll, Do: account.RuleVoicemail}
	none := withRule(profile(everything), all)
	none.Voicemail = nil
	suspended := withRule(profile(everything), all)
	suspended.Account.State = account.Suspended
	down := withRule(profile(everything), all)
	s := settings()
	s.Notice.SuspendedPrompt = "suspended.wav"
	for name, c := range map[string]struct {
		p    *account.Profile
		want string
	}{
		"not provisioned": {none, "end NO_ANSWER"},
		"suspended":       {suspended, "announce suspended.wav, end NO_ANSWER"},
		"down":            {down, "waiting, ring [" + vmA + "], ring [" + vmB + "], announce sorry.wav, end NO_ANSWER"},
	} {
		leg := &calltest.Leg{Answers: map[string]call.Result{vmA: call.Unreachable, vmB: call.Unreachable}}
		if did, _ := does(t, leg, arrival(), c.p, call.World{}, s); did != c.want {
			t.Errorf("%s: %s, want %s", name, did, c.want)
		}
	}
}

func TestASuspendedSubscriberGetsNoMessages(t *testing.T) {
	s := settings()
	for _, phoneEnds := range []call.Result{call.NoAnswer, call.Busy, call.NotRegistered, call.Unreachable, call.Declined} {
		p := profile(everything)
		p.Account.State = account.Suspended
		leg := &calltest.Leg{Answers: map[string]call.Result{phone: phoneEnds, vmA: call.Answered}}
		if did, _ := does(t, leg, arrival(), p, call.World{}, s); did != "ring ["+phone+"], end NO_ANSWER" {
			t.Errorf("%s: %s", phoneEnds, did)
		}
	}
}

// TestACallOfAVoicemailSystemNeverGoesToVoicemail is the loop of a call return that nobody answers.
func TestACallOfAVoicemailSystemNeverGoesToVoicemail(t *testing.T) {
	leg := &calltest.Leg{Answers: map[string]call.Result{vmA: call.Answered}}
	did, _ := does(t, leg, arrival(), profile(everything), call.World{FromVoicemail: "vm-a.example.net"}, settings())
	if did != "ring ["+phone+"], end NO_ANSWER" {
		t.Error(did)
	}
}

// TestACallFromATargetsAddressNeverGoesToVoicemail is the same loop, of a system that says nothing of itself.
func TestACallFromATargetsAddressNeverGoesToVoicemail(t *testing.T) {
	for source, want := range map[string]string{
		"192.0.2.11:40000": "end NO_ANSWER", // of vm-a's second target
		"192.0.2.12:5060":  "ring [" + vmA + "]",
	} {
		a := arrival()
		a.Source = netip.MustParseAddrPort(source)
		leg := &calltest.Leg{Answers: map[string]call.Result{vmA: call.Answered}}
		if did, _ := does(t, leg, a, profile(everything), call.World{}, settings()); did != "ring ["+phone+"], waiting, "+want {
			t.Errorf("from %s: %s", source, did)
		}
	}
}

func TestSystemsAreChosenByTimeClassAndDrain(t *testing.T) {
	noon := time.Date(2026, 3, 29, 12, 0, 0, 0, time.UTC)
	p := profile(everything)
	p.Systems = []account.VoicemailSystem{{FQDN: "drained", Drain: true}, {FQDN: "tomorrow"}, {FQDN: "basic"}, {FQDN: "visual", Visual: true}}
	p.Weights = []account.PilotSystem{{}, {From: noon.Add(time.Hour)}, {}, {}}
	a := arrival()
	a.At = noon
	for class, want := range map[account.Class]string{account.Basic: "basic visual", account.Visual: "visual"} {
		p.Voicemail.Class = class
		var got []string
		for _, v := range Plan(a, p, call.World{}, settings()).Steps[1].Mailbox.Systems {
			got = append(got, v.FQDN)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("class %q is offered %v, want %s", class, got, want)
		}
	}
	p.Systems, p.Weights = p.Systems[:2], p.Weights[:2]
	leg := &calltest.Leg{}
	did, rec := does(t, leg, a, p, call.World{}, settings())
	if !strings.HasSuffix(did, "announce sorry.wav, end NO_ANSWER") || rec.Steps[1].Note == "" {
		t.Errorf("no system takes deposits: %s, note %q", did, rec.Steps[1].Note)
	}
}

func TestASystemGetsTheEvidenceItWants(t *testing.T) {
	for evidence, want := range map[string]string{
		"":             "user +18056377243 target sip:+14155550100@pbx.example.net cause 486 diversion history",
		"target":       "user +18056377243 target sip:+14155550100@pbx.example.net cause 486",
		"diversion":    "user +18056377243 target  cause 0 diversion",
		"history-info": "user +18056377243 target  cause 0 history",
		"mailbox":      "user box-100 target  cause 0",
	} {
		p := profile(everything)
		p.Voicemail.Mailbox = "box-100"
		if evidence != "" {
			p.Systems[0].Evidence = []account.Evidence{account.Evidence(evidence)}
		}
		p.Systems[0].Codecs = []string{"PCMA"}
		leg := &calltest.Leg{Answers: map[string]call.Result{phone: call.Busy, vmA: call.Answered}}
		does(t, leg, arrival(), p, call.World{}, settings())
		order := leg.Orders[1]
		got := fmt.Sprintf("user %s target %s cause %d", order.Voicemail.User, order.Voicemail.Target, order.Voicemail.Cause)
		for _, h := range []struct{ name, word string }{{"Diversion", " diversion"}, {"History-Info", " history"}} {
			if header(order, h.name) != "" {
				got += h.word
			}
		}
		if got != want || header(order, "X-Voicemail-Condition") != "deposit" || fmt.Sprint(order.Voicemail.Codecs) != "[PCMA]" {
			t.Errorf("evidence %q: %s, codecs %v\nwant %s", evidence, got, order.Voicemail.Codecs, want)
		}
	}
}

// TestWhoseMailbox is a call to B (…0111) that he diverted to C (…0100), who does not answer.
func TestWhoseMailbox(t *testing.T) {
	b := profile(everything)
	b.Number, b.Account.ID = "+14155550111", "bob"
	b.Voicemail.Pilot = "+18055550000"
	suspended := *b
	suspended.Account.State = account.Suspended
	foreign := *b
	foreign.Account.Tenant = "acme"
	none := *b
	none.Voicemail = nil
	for name, c := range map[string]struct {
		firstDiverter bool
		first         *account.Profile
		want          string
	}{
		"C's by default":                 {false, b, "+14155550100 +18056377243"},
		"B's when C says so":             {true, b, "+14155550111 +18055550000"},
		"C's when B is nobody of ours":   {true, nil, "+14155550100 +18056377243"},
		"C's when B is another tenant's": {true, &foreign, "+14155550100 +18056377243"},
		"C's when B has no voicemail":    {true, &none, "+14155550100 +18056377243"},
		"C's when B is suspended":        {true, &suspended, "+14155550100 +18056377243"},
	} {
		p := profile(everything)
		p.Voicemail.FirstDiverter = c.firstDiverter
		leg := &calltest.Leg{Answers: map[string]call.Result{vmA: call.Answered}}
		does(t, leg, arrival("<sip:+14155550111@pbx>;reason=unconditional"), p, call.World{First: c.first}, settings())
		v := leg.Orders[1].Voicemail
		if got := strings.TrimSuffix(strings.TrimPrefix(v.Target, "sip:"), "@pbx.example.net") + " " + v.User; got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
		if d := tel.ParseDiversions([]string{header(leg.Orders[1], "Diversion")}, "US"); len(d) != 2 || d[0].Number != number {
			t.Errorf("%s: the phone that was not answered is not the newest diversion: %+v", name, d)
		}
	}
}

// keeper keeps messages in memory, or says why it cannot.
type keeper struct {
	full    error
	kept    []recorder.Message
	dropped int
	begun   int
}

func (k *keeper) Room(context.Context, string) (string, string, error) {
	return "m1", "/spool/m1.wav", k.full
}
func (k *keeper) Begin(recorder.Message, time.Duration)      { k.begun++ }
func (k *keeper) Keep(_ context.Context, m recorder.Message) { k.kept = append(k.kept, m) }
func (k *keeper) Drop(string)                                { k.dropped++ }

func TestAMessageIsTakenHereWhenNoSystemIsThere(t *testing.T) {
	down := "ring [" + phone + "], waiting, ring [" + vmA + "], ring [" + vmB + "], "
	sorry := "announce sorry.wav, end USER_BUSY"
	for name, c := range map[string]struct {
		keeper        *keeper
		says          time.Duration
		did           string
		kept, dropped int
	}{
		"taken":                    {&keeper{}, 7 * time.Second, down + "record please.wav, end NORMAL_CLEARING", 1, 0},
		"nothing said":             {&keeper{}, 300 * time.Millisecond, down + "record please.wav, end NORMAL_CLEARING", 0, 1},
		"the switch cannot record": {&keeper{}, 0, down + "record please.wav, " + sorry, 0, 1},
		"no room":                  {&keeper{full: errors.New("500 messages wait already")}, 7 * time.Second, down + sorry, 0, 0},
	} {
		s := settings()
		s.Spool = recorder.Settings{Enabled: true, Prompt: "please.wav", Longest: time.Minute}
		leg := &calltest.Leg{Says: c.says, Answers: map[string]call.Result{phone: call.Busy, vmA: call.Unreachable, vmB: call.Unreachable}}
		a := arrival()
		_, err := Run(context.Background(), leg, call.Record{Arrival: a, Plan: Plan(a, profile(everything), call.World{}, s)}, Tools{Settings: s, Resolver: &dns{}, Spool: c.keeper})
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if did := strings.Join(leg.Did, ", "); did != c.did || len(c.keeper.kept) != c.kept || c.keeper.dropped != c.dropped {
			t.Errorf("%s: %s, %d kept, %d dropped\nwant %s, %d, %d", name, did, len(c.keeper.kept), c.keeper.dropped, c.did, c.kept, c.dropped)
		}
		if c.kept == 1 {
			if m := c.keeper.kept[0]; m.Number != number || m.Why != tel.Busy || m.Length != c.says || m.File != "/spool/m1.wav" {
				t.Errorf("%s: kept %+v", name, m)
			}
		}
	}
}

// When the leg is lost while the caller speaks, FreeSWITCH goes on recording: nothing is dropped.
func TestAMessageWhoseEndNobodySawIsLeftToTheKeeper(t *testing.T) {
	for unseen, dropped := range map[bool]int{true: 0, false: 1} {
		k := &keeper{}
		leg := lostWhileRecording{unseen: unseen}
		rec, err := recorder.Run(t.Context(), leg, arrival(), call.Spool{Number: number, Longest: time.Minute}, call.Busy, k)
		if err == nil || rec.Result != call.Broken || k.begun != 1 || k.dropped != dropped || len(k.kept) != 0 {
			t.Errorf("end not seen %v: %s, %v; %d begun, %d dropped, %d kept", unseen, rec.Result, err, k.begun, k.dropped, len(k.kept))
		}
	}
}

type lostWhileRecording struct {
	call.Leg
	unseen bool
}

func (l lostWhileRecording) Record(context.Context, call.RecordOrder) (call.Recording, error) {
	return call.Recording{Result: call.Broken, Unseen: l.unseen}, calltest.ErrSwitchGone
}

func TestRetrieval(t *testing.T) {
	line := profile(everything)
	other := &account.Route{Pilot: "+18055550000", Systems: []account.VoicemailSystem{{FQDN: "vm-a.example.net", Transport: "udp", Profile: "external"}}}
	own := line.Route()
	s := settings()
	for name, c := range map[string]struct {
		dialled string
		line    *account.Profile
		pilot   *account.Route
		want    string
	}{
		"*86 from the own line":               {"*86", line, nil, "user +18056377243 target sip:+14155550100@pbx.example.net as +14155550100 withheld false"},
		"the own pilot from the own line":     {"+18056377243", line, &own, "user +18056377243 target sip:+14155550100@pbx.example.net as +14155550100 withheld false"},
		"the pilot from outside":              {"+18056377243", nil, &own, "user +18056377243 target  as  withheld true"},
		"another's pilot from a line of ours": {"+18055550000", line, other, "user +18055550000 target  as  withheld true"},
		"*86 from nobody's line":              {"*86", nil, nil, "hand back"},
		"a number that is no pilot":           {"+12125550199", line, nil, "hand back"},
	} {
		a := arrival()
		a.PilotsOnly, a.Dialled = true, c.dialled
		leg := &calltest.Leg{Answers: map[string]call.Result{vmA: call.Answered}}
		did, _ := does(t, leg, a, nil, call.World{Retrieves: mailbox.Retrieves(c.dialled, c.line, c.pilot, s.Mailbox)}, s)
		got := did
		if len(leg.Orders) == 1 {
			o := leg.Orders[0]
			got = fmt.Sprintf("user %s target %s as %s withheld %v", o.Voicemail.User, o.Voicemail.Target, o.As, o.Caller.Withheld)
			if o.Voicemail.Cause != 0 || header(o, "Diversion") != "" || header(o, "History-Info") != "" || header(o, "X-Voicemail-Condition") != "retrieval" {
				t.Errorf("%s looks like a deposit: %+v", name, o)
			}
		}
		if got != c.want {
			t.Errorf("%s: %s\nwant %s", name, got, c.want)
		}
	}
}

// TestADrainedSystemStillGivesItsMessages: deposits go to the new system, and who has messages on the old one hears them there.
func TestADrainedSystemStillGivesItsMessages(t *testing.T) {
	line := profile(everything)
	line.Systems = []account.VoicemailSystem{{FQDN: "old.example.net", Drain: true}, {FQDN: "new.example.net"}}
	for waiting, want := range map[string]string{"": "new.example.net", "old.example.net": "old.example.net", "new.example.net": "new.example.net"} {
		w := call.World{Retrieves: &call.Retrieves{Route: line.Route(), Line: line}}
		if waiting != "" {
			w.Waiting = []string{waiting}
		}
		plan := Plan(arrival(), nil, w, settings())
		if got := plan.Steps[0].Mailbox.Systems[0].FQDN; got != want {
			t.Errorf("messages wait on %q: %s is asked first, want %s", waiting, got, want)
		}
	}
}

func TestARetrievalThatReachesNobodyEndsWithAnAnnouncement(t *testing.T) {
	line := profile(everything)
	leg := &calltest.Leg{Answers: map[string]call.Result{vmA: call.Unreachable, vmB: call.Unreachable}}
	did, _ := does(t, leg, arrival(), nil, call.World{Retrieves: &call.Retrieves{Route: line.Route(), Line: line}}, settings())
	if !strings.HasSuffix(did, "announce sorry.wav, end NO_ANSWER") {
		t.Error(did)
	}
}
