package treat

import (
	"context"
	"errors"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/call"
	"github.com/signalbox/signalbox/internal/call/calltest"
	"github.com/signalbox/signalbox/internal/tel"
	"github.com/signalbox/signalbox/internal/treat/mailbox"
)

const (
	phone  = "sip:1000@192.0.2.7:5060"
	vmA    = "vm-a.example.net 192.0.2.10:5060"
	vmB    = "vm-a.example.net 192.0.2.11:5060"
	number = tel.Number("+14155550100")
)

func arrival(diversions ...string) call.Arrival {
	return call.Arrival{
		UUID: "u", Dialled: "14155550100", To: number,
		From:       tel.Identity{Name: "Bob", User: "+12125550123", Number: "+12125550123"},
		Diversions: tel.ParseDiversions(diversions, "US"),
	}
}

func profile(conditions account.Conditions) *account.Profile {
	return &account.Profile{
		Account: account.Account{ID: "ada"}, Number: number, Version: 7,
		Devices:   []account.Device{{Kind: account.DeviceURI, User: "1000", Host: "192.0.2.7", Port: 5060}},
		Timers:    account.Timers{NoAnswer: 15 * time.Second},
		Voicemail: &account.Voicemail{Pilot: "+18056377243", Conditions: conditions},
		Systems:   []account.VoicemailSystem{{FQDN: "vm-a.example.net", Transport: "udp", Profile: "external"}},
	}
}

var everything = account.Conditions{NoAnswer: true, Busy: true, NotRegistered: true, Unreachable: true, Declined: true}

func settings() Settings {
	s := Defaults()
	s.Mailbox.Domain = "pbx.example.net"
	s.Notice.DownPrompt = "sorry.wav"
	return s
}

// dns is a resolver with two addresses for vm-a.example.net and none for anything else.
type dns struct{ failed, worked []string }

func (d *dns) Lookup(_ context.Context, fqdn, transport string) ([]mailbox.Target, error) {
	if fqdn != "vm-a.example.net" {
		return nil, errors.New("no such name")
	}
	return []mailbox.Target{
		{Addr: netip.MustParseAddrPort("192.0.2.10:5060"), Transport: transport},
		{Addr: netip.MustParseAddrPort("192.0.2.11:5060"), Transport: transport},
	}, nil
}
func (d *dns) Failed(t mailbox.Target) { d.failed = append(d.failed, t.Addr.String()) }
func (d *dns) Worked(t mailbox.Target) { d.worked = append(d.worked, t.Addr.String()) }

func run(t *testing.T, leg *calltest.Leg, p *account.Profile, a call.Arrival) (call.Record, *dns, error) {
	t.Helper()
	d := &dns{}
	rec := call.Record{ID: "r", Arrival: a, Plan: Plan(a, p, call.World{}, settings())}
	rec, err := Run(context.Background(), leg, rec, Tools{Settings: settings(), Resolver: d})
	return rec, d, err
}

func TestWhatTheCallerMeets(t *testing.T) {
	for name, c := range map[string]struct {
		answers    map[string]call.Result
		conditions account.Conditions
		did        []string
		result     call.Result
	}{
		"the phone answers": {
			map[string]call.Result{phone: call.Answered}, everything,
			[]string{"ring [" + phone + "]"}, call.Answered,
		},
		"nobody answers, voicemail does": {
			map[string]call.Result{vmA: call.Answered}, everything,
			[]string{"ring [" + phone + "]", "waiting", "ring [" + vmA + "]"}, call.Answered,
		},
		"busy, the first voicemail target is dead": {
			map[string]call.Result{phone: call.Busy, vmA: call.Unreachable, vmB: call.Answered}, everything,
			[]string{"ring [" + phone + "]", "waiting", "ring [" + vmA + "]", "ring [" + vmB + "]"}, call.Answered,
		},
		"all voicemail targets down: told so, with the cause of the phone": {
			map[string]call.Result{phone: call.Busy, vmA: call.Unreachable, vmB: call.Unreachable}, everything,
			[]string{"ring [" + phone + "]", "waiting", "ring [" + vmA + "]", "ring [" + vmB + "]", "announce sorry.wav", "end USER_BUSY"}, call.Ended,
		},
		"busy, voicemail only for no answer": {
			map[string]call.Result{phone: call.Busy}, account.Conditions{NoAnswer: true},
			[]string{"ring [" + phone + "]", "end USER_BUSY"}, call.Ended,
		},
		"declined, voicemail off for that": {
			map[string]call.Result{phone: call.Declined}, account.Conditions{NoAnswer: true, Busy: true},
			[]string{"ring [" + phone + "]", "end CALL_REJECTED"}, call.Ended,
		},
		"not registered, no conditions at all": {
			map[string]call.Result{phone: call.NotRegistered}, account.Conditions{},
			[]string{"ring [" + phone + "]", "end NO_ANSWER"}, call.Ended,
		},
	} {
		leg := &calltest.Leg{Answers: c.answers}
		rec, _, err := run(t, leg, profile(c.conditions), arrival())
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if !reflect.DeepEqual(leg.Did, c.did) || rec.Result != c.result {
			t.Errorf("%s: %q ended %s\nwant %q ended %s", name, leg.Did, rec.Result, c.did, c.result)
		}
	}
}

func TestEveryConditionIsSwitchedByItself(t *testing.T) {
	for result, one := range map[call.Result]account.Conditions{
		call.NoAnswer: {NoAnswer: true}, call.Busy: {Busy: true}, call.NotRegistered: {NotRegistered: true},
		call.Unreachable: {Unreachable: true}, call.Declined: {Declined: true},
	} {
		for _, happens := range []call.Result{call.NoAnswer, call.Busy, call.NotRegistered, call.Unreachable, call.Declined} {
			leg := &calltest.Leg{Answers: map[string]call.Result{phone: happens, vmA: call.Answered}}
			rec, _, err := run(t, leg, profile(one), arrival())
			reached := rec.Result == call.Answered
			if err != nil || reached != (happens == result) {
				t.Errorf("only %s switched on, phone ends %s: voicemail reached %v, %v", result, happens, reached, err)
			}
		}
	}
}

func TestVoicemailLearnsWhyAndFromWhom(t *testing.T) {
	leg := &calltest.Leg{Answers: map[string]call.Result{phone: call.Busy, vmA: call.Answered}}
	a := arrival("<sip:+14155550111@carrier>;reason=unconditional")
	a.History = tel.ParseHistory([]string{"<sip:+14155550111@carrier>;index=1"})
	if _, _, err := run(t, leg, profile(everything), a); err != nil {
		t.Fatal(err)
	}
	order := leg.Orders[1]
	v := order.Voicemail
	if v.User != "+18056377243" || v.FQDN != "vm-a.example.net" || v.Target != "sip:+14155550100@pbx.example.net" || v.Cause != 486 {
		t.Errorf("INVITE sip:%s@%s;target=%s;cause=%d", v.User, v.FQDN, v.Target, v.Cause)
	}
	headers := map[string]string{}
	for _, h := range order.Headers {
		headers[h.Name] = h.Value
	}
	diversions := tel.ParseDiversions([]string{headers["Diversion"]}, "US")
	if len(diversions) != 2 || diversions[0].Number != number || diversions[0].Reason != "user-busy" || diversions[1].Number != "+14155550111" {
		t.Errorf("Diversion: %s", headers["Diversion"])
	}
	history := tel.ParseHistory([]string{headers["History-Info"]})
	if len(history) != 3 || history[1].Cause != 486 || !strings.HasPrefix(history[2].URI, "sip:+18056377243@vm-a.example.net") {
		t.Errorf("History-Info: %s", headers["History-Info"])
	}
	if order.Caller.Number != "+12125550123" {
		t.Errorf("caller %v", order.Caller)
	}
}

func TestTheNextCallKnowsWhichTargetFailed(t *testing.T) {
	leg := &calltest.Leg{Answers: map[string]call.Result{vmA: call.Unreachable, vmB: call.Answered}}
	rec, d, err := run(t, leg, profile(everything), arrival())
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(d.failed, []string{"192.0.2.10:5060"}) || !reflect.DeepEqual(d.worked, []string{"192.0.2.11:5060"}) {
		t.Errorf("failed %v, worked %v", d.failed, d.worked)
	}
	if n := len(rec.Steps[1].Attempts); n != 2 {
		t.Errorf("the record shows %d attempts, two were made", n)
	}
}

// TestOurOwnSwitchIsNotTheTargetsFault: vanilla FreeSWITCH takes 30 new sessions a second and refuses the next by itself.
func TestOurOwnSwitchIsNotTheTargetsFault(t *testing.T) {
	leg := &calltest.Leg{
		Answers:      map[string]call.Result{vmA: call.Unreachable},
		Dispositions: map[string][]string{vmA: {"DESTINATION_OUT_OF_ORDER", "SUCCESS"}},
	}
	rec, d, err := run(t, leg, profile(everything), arrival())
	if err != nil || rec.Result != call.Answered || len(d.failed) != 0 || len(rec.Steps[1].Attempts) != 2 {
		t.Errorf("%s, %v; blamed %v; attempts %+v", rec.Result, err, d.failed, rec.Steps[1].Attempts)
	}
}

func TestANameThatDoesNotResolveIsSaid(t *testing.T) {
	p := profile(everything)
	p.Systems[0].FQDN = "gone.example.net"
	leg := &calltest.Leg{}
	rec, _, err := run(t, leg, p, arrival())
	if err != nil {
		t.Fatal(err)
	}
	if a := rec.Steps[1].Attempts; len(a) != 1 || a[0].Note != "no such name" {
		t.Errorf("attempts %+v", a)
	}
	if last := leg.Did[len(leg.Did)-1]; last != "end NO_ANSWER" {
		t.Errorf("the call ended with %q", last)
	}
}

func TestTheCallerMayHangUpAnywhere(t *testing.T) {
	for at := 1; at <= 3; at++ {
		leg := &calltest.Leg{Answers: map[string]call.Result{vmA: call.Unreachable, vmB: call.Unreachable}, GoneAt: at}
		if at == 2 {
			continue // "waiting" tells nothing; the ring after it does
		}
		rec, _, err := run(t, leg, profile(everything), arrival())
		if err != nil || rec.Result != call.CallerGone || len(leg.Did) != at {
			t.Errorf("gone at verb %d: %s, %v, %q", at, rec.Result, err, leg.Did)
		}
	}
}

func TestWhenTheLegIsLostNothingMoreIsTried(t *testing.T) {
	for at := 1; at <= 6; at++ {
		leg := &calltest.Leg{Answers: map[string]call.Result{vmA: call.Unreachable, vmB: call.Unreachable}, LostAt: at}
		rec, _, err := run(t, leg, profile(everything), arrival())
		if !errors.Is(err, calltest.ErrSwitchGone) || rec.Result != call.Broken || len(leg.Did) != at-1 {
			t.Errorf("lost at verb %d: %s, %v, %q", at, rec.Result, err, leg.Did)
		}
	}
}

func TestLoopsAreRefusedAndStrangersHandedBack(t *testing.T) {
	own := "<sip:+14155550100@pbx>;reason=no-answer"
	other := "<sip:+1415555%04d@x>;reason=unconditional"
	many := make([]string, 6)
	for i := range many {
		many[i] = strings.Replace(other, "%04d", "020"+string(rune('0'+i)), 1)
	}
	for name, c := range map[string]struct {
		p          *account.Profile
		diversions []string
		want       string
	}{
		"a number nobody owns":              {nil, nil, "hand back"},
		"a number nobody owns, in circles":  {nil, many, "hand back"},
		"six diversions":                    {profile(everything), many, "refuse 482"},
		"one diversion that counts for six": {profile(everything), []string{"<sip:+14155550200@x>;reason=unconditional;counter=6"}, "refuse 482"},
		"our number twice":                  {profile(everything), []string{own, own}, "refuse 482"},
		"our number once, five diversions":  {profile(everything), append([]string{own}, many[:4]...), "ring [" + phone + "]"},
	} {
		leg := &calltest.Leg{Answers: map[string]call.Result{phone: call.Answered}}
		if _, _, err := run(t, leg, c.p, arrival(c.diversions...)); err != nil || leg.Did[0] != c.want {
			t.Errorf("%s: %q, %v; want %q", name, leg.Did, err, c.want)
		}
	}
}

// TestExplainShowsEveryBranchOfTheSamePlan holds explain to Plan.Next, the function that Run follows.
func TestExplainShowsEveryBranchOfTheSamePlan(t *testing.T) {
	p := Plan(arrival(), profile(account.Conditions{NoAnswer: true, Busy: true}), call.World{}, settings())
	got := map[call.Result]string{}
	for _, b := range Branches(p) {
		if b.Step == 1 {
			got[b.Result] = b.Says
		}
	}
	want := map[call.Result]string{
		call.Answered: "they talk; the call is over",
		call.NoAnswer: "then step 2, cause=408 for the voicemail system", call.Busy: "then step 2, cause=486 for the voicemail system",
		call.NotRegistered: "then step 6", call.Unreachable: "then step 6", call.Declined: "then step 5",
		call.CallerGone: "nothing further happens",
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("branches of the ring step:\n%v\nwant\n%v", got, want)
	}
	var b strings.Builder
	if err := WriteText(&b, p); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"1. ring", "2. mailbox", "sip:+18056377243@vm-a.example.net", "NO_ANSWER (SIP 480)", "USER_BUSY (SIP 486)"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("explain does not say %q:\n%s", want, b.String())
		}
	}
}

func TestAPlanIsPureAndItsFirstStepAlwaysRuns(t *testing.T) {
	a, p := arrival(), profile(everything)
	one, two := Plan(a, p, call.World{}, settings()), Plan(a, p, call.World{}, settings())
	if !reflect.DeepEqual(one, two) {
		t.Error("the same call has two plans")
	}
	for _, plan := range []call.Plan{one, Plan(a, nil, call.World{}, settings())} {
		first, ok := plan.First()
		if !ok || len(first.On) != 0 {
			t.Errorf("plan %+v has no first step that runs always", plan)
		}
		for _, step := range plan.Steps {
			if step.Reason.Name == "" || step.Reason.Sentence == "" {
				t.Errorf("step %s has no reason", step.Kind)
			}
		}
	}
}
