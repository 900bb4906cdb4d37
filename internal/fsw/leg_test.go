package fsw_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/signalbox/signalbox/esl"
	"github.com/signalbox/signalbox/esl/esltest"
	"github.com/signalbox/signalbox/esl/wire"
	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/call"
	"github.com/signalbox/signalbox/internal/call/calltest"
	"github.com/signalbox/signalbox/internal/fssim"
	"github.com/signalbox/signalbox/internal/fsw"
	"github.com/signalbox/signalbox/internal/fsw/fswtest"
	"github.com/signalbox/signalbox/internal/lab"
	"github.com/signalbox/signalbox/internal/tel"
)

// number is one the operator's own extension refuses with 486 "Operator Ran"; waiting is one it keeps.
const (
	number  = "14155550100"
	waiting = "14155560100"
)

// outcome is what a verb of the leg returned.
type outcome struct {
	attempt call.Attempt
	result  call.Result
	err     error
}

// served is a bench whose calls are taken over and driven by do, in the goroutine that owns the leg.
func served(t *testing.T, do func(ctx context.Context, leg *fsw.Leg, s *esl.Session)) *fswtest.Bench {
	t.Helper()
	return fswtest.New(t, fswtest.Options{
		Users: []fssim.User{{Name: "1000", Domain: "pbx.test", Password: "1234"}},
		Handler: func(ctx context.Context, s *esl.Session) {
			leg := fsw.NewLeg(s, nil)
			if err := leg.TakeOver(ctx); err != nil {
				t.Errorf("taking over: %v", err)
				return
			}
			do(ctx, leg, s)
		},
	})
}

func at(a *lab.Agent) account.Device {
	addr := a.Addr()
	return account.Device{Kind: account.DeviceURI, Profile: "external", User: a.Name(), Host: addr.Addr().String(), Port: addr.Port()}
}

func ring(d time.Duration, devices ...account.Device) call.RingOrder {
	return call.RingOrder{Devices: devices, Answer: d}
}

func notRegistered() account.Device {
	return account.Device{Kind: account.DeviceRegistered, Profile: "internal", User: "1000", Host: "pbx.test"}
}

func TestRingAnswered(t *testing.T) {
	t.Parallel()
	phone := fswtest.Agent(t, "phone", lab.Behaviour{Ring: true})
	got, over, answered := make(chan outcome, 1), make(chan string, 1), make(chan time.Time, 1)
	uuid := make(chan string, 1)
	bench := served(t, func(ctx context.Context, leg *fsw.Leg, s *esl.Session) {
		uuid <- s.UUID()
		leg.OnAnswer(func(at time.Time) { answered <- at })
		attempt, err := leg.Ring(ctx, ring(10*time.Second, at(phone)))
		got <- outcome{attempt: attempt, err: err}
		over <- leg.Over(ctx)
	})
	began := time.Now()
	caller := bench.Call(fswtest.Agent(t, "caller", lab.Behaviour{}), number,
		"X-Signalbox: 1.k.x.y", "X-Tenant: 7", "Identity: eyJhbGciOiJFUzI1NiJ9.e30.c2ln;info=<https://c.example/c>")
	bench.Status(caller, 180)
	invited := bench.Incoming(phone, 1)
	for header, want := range map[string]string{"X-Signalbox": "", "Identity": "", "X-Tenant": "7"} {
		if got := invited.Invite().Get(header); got != want {
			t.Errorf("%s of the phone's INVITE is %q, want %q", header, got, want)
		}
	}
	if n := bench.Guards(fswtest.Wait(t, "the call", uuid)); n != "1" {
		t.Errorf("%s guards stand while the phone rings, want 1", n)
	}
	invited.Answer()
	bench.Status(caller, 200)
	at := fswtest.Wait(t, "the answer's time", answered)
	if at.Before(began.Add(-time.Second)) || at.After(time.Now().Add(time.Second)) {
		t.Errorf("answered at %s, the call began %s", at, began)
	}
	invited.Hangup()
	bench.Ended(caller)
	o := fswtest.Wait(t, "the attempt", got)
	if o.err != nil || o.attempt.Result != call.Answered || o.attempt.Disposition != "SUCCESS" || o.attempt.SIPStatus != 0 {
		t.Errorf("attempt %+v, %v", o.attempt, o.err)
	}
	if o.attempt.Ended.Before(o.attempt.Started) || !strings.Contains(o.attempt.Target, "sip:phone@127.0.0.1") {
		t.Errorf("attempt %+v has no story", o.attempt)
	}
	if cause := fswtest.Wait(t, "the end", over); cause != "NORMAL_CLEARING" {
		t.Errorf("hangup cause %q", cause)
	}
	if caller.EndedBy() != "them" {
		t.Errorf("the caller's call ended by %s", caller.EndedBy())
	}
}

// A conversation may be over before anybody looked: the time of its answer is known all the same. A BYE that comes before
// FreeSWITCH has noted the answer makes it a call that was not answered.
func TestRingAnsweredAndHungUpAtOnceHasAnAnswerTime(t *testing.T) {
	t.Parallel()
	phone := fswtest.Agent(t, "phone", lab.Answers(0))
	const calls = 20
	type end struct {
		result  call.Result
		answers int
	}
	ends := make(chan end, calls)
	bench := served(t, func(ctx context.Context, leg *fsw.Leg, _ *esl.Session) {
		n := 0
		leg.OnAnswer(func(time.Time) { n++ })
		attempt, err := leg.Ring(ctx, ring(10*time.Second, at(phone)))
		if err != nil {
			t.Errorf("ringing: %v", err)
		}
		ends <- end{attempt.Result, n}
	})
	caller := fswtest.Agent(t, "caller", lab.Behaviour{})
	for i := range calls {
		c := bench.Call(caller, number)
		bench.Status(c, 200)
		c.Hangup()
		got := fswtest.Wait(t, "the call", ends)
		if got != (end{call.Answered, 1}) && got != (end{call.CallerGone, 0}) {
			t.Fatalf("call %d: %+v", i+1, got)
		}
	}
}

func TestRingForgetsTheStatusOfTheAttemptBefore(t *testing.T) {
	t.Parallel()
	busy, silent := fswtest.Agent(t, "busy", lab.Refuses(503)), fswtest.Agent(t, "silent", lab.Behaviour{Ring: true})
	got := make(chan outcome, 4)
	bench := served(t, func(ctx context.Context, leg *fsw.Leg, _ *esl.Session) {
		for _, order := range []call.RingOrder{
			ring(10*time.Second, at(busy)), ring(10*time.Second, notRegistered()), ring(2*time.Second, at(silent)),
			{Devices: []account.Device{{Kind: account.DeviceURI, Profile: "external", User: "x", Host: "bad host", Port: 1}}, Answer: time.Second},
		} {
			attempt, err := leg.Ring(ctx, order)
			got <- outcome{attempt: attempt, err: err}
		}
		if err := leg.End(ctx, "NO_ANSWER"); err != nil {
			t.Errorf("ending: %v", err)
		}
	})
	caller := bench.Call(fswtest.Agent(t, "caller", lab.Behaviour{}), number)
	for _, want := range []call.Attempt{
		{Result: call.Unreachable, Disposition: "NORMAL_TEMPORARY_FAILURE", SIPStatus: 503},
		{Result: call.NotRegistered, Disposition: "USER_NOT_REGISTERED"},
		{Result: call.NoAnswer, Disposition: "NO_ANSWER"},
		{Result: call.Unreachable},
	} {
		o := fswtest.Wait(t, "an attempt", got)
		if o.err != nil || o.attempt.Result != want.Result || o.attempt.Disposition != want.Disposition || o.attempt.SIPStatus != want.SIPStatus {
			t.Errorf("attempt %+v, %v, want %+v", o.attempt, o.err, want)
		}
		if want.Disposition == "" && !strings.Contains(o.attempt.Note, "bad host") {
			t.Errorf("a target that is none is not explained: %q", o.attempt.Note)
		}
	}
	// The 503 of the first phone is not the caller's answer.
	if m := bench.Status(caller, 480, 503, 486); m.Status() != 480 {
		t.Errorf("the caller got %d", m.Status())
	}
	if n := busy.Invited(); n != 1 {
		t.Errorf("the busy phone was invited %d times", n)
	}
}

func TestRingSeveralPhonesFirstAnswerWins(t *testing.T) {
	t.Parallel()
	one, two := fswtest.Agent(t, "one", lab.Behaviour{Ring: true}), fswtest.Agent(t, "two", lab.Behaviour{Ring: true})
	got := make(chan outcome, 1)
	bench := served(t, func(ctx context.Context, leg *fsw.Leg, _ *esl.Session) {
		attempt, err := leg.Ring(ctx, ring(10*time.Second, at(one), at(two)))
		got <- outcome{attempt: attempt, err: err}
	})
	caller := bench.Call(fswtest.Agent(t, "caller", lab.Behaviour{}), number)
	loser, winner := bench.Incoming(one, 1), bench.Incoming(two, 1)
	winner.Answer()
	bench.Status(caller, 200)
	bench.Ended(loser)
	if !loser.Cancelled() {
		t.Error("the other phone was not cancelled")
	}
	caller.Hangup()
	if o := fswtest.Wait(t, "the attempt", got); o.err != nil || o.attempt.Result != call.Answered {
		t.Errorf("attempt %+v, %v", o.attempt, o.err)
	}
}

func TestRingVoicemailByItsAddress(t *testing.T) {
	t.Parallel()
	vm := fswtest.Agent(t, "voicemail", lab.Answers(0))
	got := make(chan outcome, 1)
	bench := served(t, func(ctx context.Context, leg *fsw.Leg, _ *esl.Session) {
		attempt, err := leg.Ring(ctx, call.RingOrder{
			Voicemail: &call.VoicemailTarget{
				Profile: "external", User: "+18056377243", FQDN: "vm.example.net", Target: "sip:+14155550100@pbx.test", Cause: 408,
				Addr: vm.Addr().String(), Transport: "tcp",
			},
			Answer: 10 * time.Second, Progress: 4 * time.Second,
			Headers: []call.Header{{Name: "Diversion", Value: "<sip:+14155550100@pbx.test>;reason=no-answer;counter=1"}},
			Caller:  tel.Identity{Name: "Ada Attendee", User: "+12125550123", Withheld: true},
		})
		got <- outcome{attempt: attempt, err: err}
	})
	caller := bench.Call(fswtest.Agent(t, "caller", lab.Behaviour{}), number, "Diversion: <sip:+1@old>;reason=unknown", "P-Asserted-Identity: <sip:+12125550123@127.0.0.1>", "Privacy: id")
	bench.Status(caller, 200)
	invite := bench.Incoming(vm, 1).Invite()
	user, params, _ := strings.Cut(invite.URI(), ";")
	if target, cause := tel.ParseTarget(params); user != "sip:+18056377243@vm.example.net" || target != "sip:+14155550100@pbx.test" || cause != 408 {
		t.Errorf("Request-URI %s", invite.URI())
	}
	if got := strings.Join(invite.All("Diversion"), ", "); got != "<sip:+14155550100@pbx.test>;reason=no-answer;counter=1" {
		t.Errorf("Diversion %q", got)
	}
	if strings.Contains(invite.Raw, "2125550123") || strings.Contains(invite.Raw, "Attendee") {
		t.Errorf("the withheld caller is in the INVITE:\n%s", invite.Raw)
	}
	caller.Hangup()
	if o := fswtest.Wait(t, "the attempt", got); o.err != nil || o.attempt.Result != call.Answered || o.attempt.Target != "vm.example.net" {
		t.Errorf("attempt %+v, %v", o.attempt, o.err)
	}
}

func TestCallerCancelsWhileItRingsAndNothingFurtherHappens(t *testing.T) {
	t.Parallel()
	phone := fswtest.Agent(t, "phone", lab.Behaviour{Ring: true})
	got, over := make(chan outcome, 5), make(chan string, 1)
	bench := served(t, func(ctx context.Context, leg *fsw.Leg, _ *esl.Session) {
		attempt, err := leg.Ring(ctx, ring(10*time.Second, at(phone)))
		got <- outcome{result: attempt.Result, err: err}
		attempt, err = leg.Ring(ctx, ring(10*time.Second, at(phone)))
		got <- outcome{result: attempt.Result, err: err}
		result, err := leg.Announce(ctx, "tone_stream://%(100,0,440)", time.Second)
		got <- outcome{result: result, err: err}
		got <- outcome{result: call.CallerGone, err: errors.Join(leg.Waiting(ctx, time.Second), leg.End(ctx, "USER_BUSY"), leg.Refuse(ctx, call.Refusal{Code: 482}))}
		got <- outcome{result: call.CallerGone, err: leg.HandBack(ctx)}
		over <- leg.Over(ctx)
	})
	caller := bench.Call(fswtest.Agent(t, "caller", lab.Behaviour{}), number)
	bench.Status(caller, 180)
	caller.Cancel()
	bench.Status(caller, 487)
	bench.Ended(bench.Incoming(phone, 1))
	for i := range 5 {
		if o := fswtest.Wait(t, "a verb", got); o.err != nil || o.result != call.CallerGone {
			t.Errorf("verb %d after the CANCEL: %s, %v, want %s and no error", i+1, o.result, o.err, call.CallerGone)
		}
	}
	if cause := fswtest.Wait(t, "the end", over); cause != "ORIGINATOR_CANCEL" {
		t.Errorf("hangup cause %q", cause)
	}
	if n := phone.Invited(); n != 1 {
		t.Errorf("the phone was invited %d times", n)
	}
}

func TestAnnounceIsEarlyMedia(t *testing.T) {
	t.Parallel()
	got, ended := make(chan outcome, 3), make(chan error, 1)
	bench := served(t, func(ctx context.Context, leg *fsw.Leg, _ *esl.Session) {
		for _, prompt := range []string{"tone_stream://%(200,0,950)", "tone_stream://%(200,0,${system(touch x)})"} {
			result, err := leg.Announce(ctx, prompt, 10*time.Second)
			got <- outcome{result: result, err: err}
		}
		// A prompt that does not end is ended.
		result, err := leg.Announce(ctx, "tone_stream://%(60000,0,950)", 300*time.Millisecond)
		got <- outcome{result: result, err: err}
		ended <- leg.End(ctx, "USER_BUSY")
	})
	caller := bench.Call(fswtest.Agent(t, "caller", lab.Behaviour{}), number)
	bench.Status(caller, 183)
	for _, want := range []call.Result{call.Ended, call.NotPlayed, call.Ended} {
		if o := fswtest.Wait(t, "an announcement", got); o.err != nil || o.result != want {
			t.Errorf("announcement: %s, %v, want %s", o.result, o.err, want)
		}
	}
	if m := bench.Status(caller, 200, 486); m.Status() != 486 {
		t.Errorf("the caller got %d", m.Status())
	}
	if err := fswtest.Wait(t, "the end", ended); err != nil {
		t.Errorf("ending: %v", err)
	}
}

func TestCallerHangsUpDuringAnnouncement(t *testing.T) {
	t.Parallel()
	got := make(chan outcome, 1)
	bench := served(t, func(ctx context.Context, leg *fsw.Leg, _ *esl.Session) {
		result, err := leg.Announce(ctx, "tone_stream://%(60000,0,950)", 30*time.Second)
		got <- outcome{result: result, err: err}
	})
	caller := bench.Call(fswtest.Agent(t, "caller", lab.Behaviour{}), number)
	bench.Status(caller, 183)
	caller.Cancel()
	if o := fswtest.Wait(t, "the announcement", got); o.err != nil || o.result != call.CallerGone {
		t.Errorf("announcement: %s, %v", o.result, o.err)
	}
}

func TestHowACallEndsOnTheWire(t *testing.T) {
	t.Parallel()
	ends := make(chan func(ctx context.Context, leg *fsw.Leg) error, 1)
	bench := served(t, func(ctx context.Context, leg *fsw.Leg, _ *esl.Session) {
		if err := (<-ends)(ctx, leg); err != nil {
			t.Errorf("ending: %v", err)
		}
	})
	caller := fswtest.Agent(t, "caller", lab.Behaviour{})
	end := func(cause string) func(context.Context, *fsw.Leg) error {
		return func(ctx context.Context, leg *fsw.Leg) error { return leg.End(ctx, cause) }
	}
	for _, tt := range []struct {
		name   string
		end    func(context.Context, *fsw.Leg) error
		status int
		phrase string
	}{
		{"busy", end("USER_BUSY"), 486, "Busy Here"},
		{"declined", end("CALL_REJECTED"), 603, "Decline"},
		{"no answer", end("NO_ANSWER"), 480, "Temporarily Unavailable"},
		{"unwanted", end("UNWANTED"), 607, ""},
		{"temporary failure", end("NORMAL_TEMPORARY_FAILURE"), 503, ""},
		{"loop", func(ctx context.Context, leg *fsw.Leg) error {
			return leg.Refuse(ctx, call.Refusal{Code: 482, Phrase: "Loop Detected"})
		}, 482, "Loop Detected"},
	} {
		ends <- tt.end
		m := bench.Status(bench.Call(caller, number), 480, 482, 486, 503, 603, 607)
		if m.Status() != tt.status || tt.phrase != "" && m.Phrase() != tt.phrase {
			t.Errorf("%s: the caller got %d %s, want %d %s", tt.name, m.Status(), m.Phrase(), tt.status, tt.phrase)
		}
	}
	// What is no cause and no refusal is an error, and the call goes back to the operator.
	for _, bad := range []func(context.Context, *fsw.Leg) error{
		end("USER BUSY"), end(""), end("X\nY"),
		func(ctx context.Context, leg *fsw.Leg) error { return leg.Refuse(ctx, call.Refusal{Code: 200}) },
		func(ctx context.Context, leg *fsw.Leg) error {
			return leg.Refuse(ctx, call.Refusal{Code: 482, Phrase: "${x}"})
		},
	} {
		ends <- func(ctx context.Context, leg *fsw.Leg) error {
			if bad(ctx, leg) == nil {
				return errors.New("no error")
			}
			return nil
		}
		if m := bench.Status(bench.Call(caller, number), 480, 482, 486, 503, 603, 607); m.Phrase() != fswtest.Fallback {
			t.Errorf("the caller got %d %s", m.Status(), m.Phrase())
		}
	}
}

func TestWaitingTellsTheCallerOnce(t *testing.T) {
	t.Parallel()
	done := make(chan error, 1)
	bench := served(t, func(ctx context.Context, leg *fsw.Leg, _ *esl.Session) {
		done <- errors.Join(leg.Waiting(ctx, time.Second), leg.Waiting(ctx, time.Second))
		_ = leg.End(ctx, "USER_BUSY")
	})
	caller := bench.Call(fswtest.Agent(t, "caller", lab.Behaviour{}), number)
	bench.Status(caller, 486)
	if err := fswtest.Wait(t, "the verbs", done); err != nil {
		t.Error(err)
	}
	n := 0
	for _, m := range caller.Responses() {
		if m.Status() == 180 {
			n++
		}
	}
	if n != 1 {
		t.Errorf("the caller got %d times 180", n)
	}
}

// TestHandBackLeavesTheChannelAsTheOperatorKnowsIt looks at the variables while the operator's extension has the call.
func TestHandBackLeavesTheChannelAsTheOperatorKnowsIt(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		do      func(ctx context.Context, leg *fsw.Leg) error
		outcome string
	}{
		{"a call that is not ours", func(context.Context, *fsw.Leg) error { return nil }, "not-ours"},
		{"a call that was worked on", func(ctx context.Context, leg *fsw.Leg) error {
			_, err := leg.Ring(ctx, ring(time.Second, notRegistered()))
			return err
		}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			uuid := make(chan string, 1)
			bench := served(t, func(ctx context.Context, leg *fsw.Leg, s *esl.Session) {
				if err := tt.do(ctx, leg); err != nil {
					t.Error(err)
				}
				if err := leg.HandBack(ctx); err != nil {
					t.Errorf("handing back: %v", err)
				}
				uuid <- s.UUID()
			})
			caller := bench.Call(fswtest.Agent(t, "caller", lab.Behaviour{}), waiting, "X-Signalbox: 1.k.x.y", "X-Tenant: 7", "Diversion: <sip:+1@h>")
			id := fswtest.Wait(t, "the call", uuid)
			if err := ranOperator(bench, id); err != nil {
				t.Fatal(err)
			}
			dump := bench.API("uuid_dump " + id)
			allowed := []string{"signalbox_handed_back: " + waiting, "signalbox_outcome: not-ours"}
			for line := range strings.Lines(dump) {
				variable, ok := strings.CutPrefix(strings.TrimSpace(line), "variable_")
				lower := strings.ToLower(variable)
				name, _, _ := strings.Cut(lower, ":")
				if ok && strings.Contains(name, "signalbox") &&
					variable != allowed[0] && variable != allowed[1] {
					t.Errorf("left on the channel: %s", variable)
				}
				for _, ours := range []string{"socket_resume:", "continue_on_fail:", "hangup_after_bridge:", "sip_ignore_remote_cause:", "sip_h_x-signalbox", "execute_on_answer", "api_on_answer"} {
					if ok && strings.HasPrefix(lower, ours) {
						t.Errorf("left on the channel: %s", variable)
					}
				}
			}
			for _, kept := range []string{"variable_sip_h_X-Tenant: 7", "variable_sip_h_Diversion:"} {
				if !strings.Contains(dump, kept) {
					t.Errorf("%s is gone from the channel", kept)
				}
			}
			if got := bench.API("uuid_getvar " + id + " signalbox_outcome"); got != tt.outcome && !(tt.outcome == "" && got == "_undef_") {
				t.Errorf("signalbox_outcome is %q, want %q", got, tt.outcome)
			}
			if n := bench.Guards(id); n != "0" {
				t.Errorf("%s guards are left", n)
			}
			caller.Cancel()
		})
	}
}

// ranOperator waits until the operator's extension has the call.
func ranOperator(bench *fswtest.Bench, uuid string) error {
	for bench.Context().Err() == nil {
		if bench.API("uuid_getvar "+uuid+" operator") == "ran" {
			return nil
		}
	}
	return errors.New("the operator's extension never ran")
}

// A sidecar that stops in the middle of a step is found out by the guard, which the step has armed with its own time.
func TestGuardTakesTheCallBackFromAFrozenSidecar(t *testing.T) {
	t.Parallel()
	frozen := make(chan struct{})
	uuid := make(chan string, 1)
	bench := served(t, func(ctx context.Context, leg *fsw.Leg, s *esl.Session) {
		if err := leg.Waiting(ctx, time.Second); err != nil {
			t.Error(err)
		}
		uuid <- s.UUID()
		<-frozen
	})
	defer close(frozen)
	began := time.Now()
	caller := bench.Call(fswtest.Agent(t, "caller", lab.Behaviour{}), number)
	bench.Status(caller, 180)
	id := fswtest.Wait(t, "the call", uuid)
	if m := bench.Status(caller, 486); m.Phrase() != fswtest.Fallback {
		t.Errorf("the caller got %d %s", m.Status(), m.Phrase())
	}
	if d := time.Since(began); d < 2*time.Second || d > 5*time.Second {
		t.Errorf("the operator's extension ran after %s, the guard of this step is 3 s", d)
	}
	if n := bench.Guards(id); n != "0" {
		t.Errorf("%s guards are left", n)
	}
}

func TestTakeOverPutsOurGuardInPlaceOfTheDialplans(t *testing.T) {
	t.Parallel()
	guards, done := make(chan string, 1), make(chan error, 2)
	var bench *fswtest.Bench
	first := true
	ready := make(chan struct{})
	bench = fswtest.New(t, fswtest.Options{Handler: func(ctx context.Context, s *esl.Session) {
		<-ready
		leg := fsw.NewLeg(s, nil)
		if !first {
			// The guard fires before we take over: it is not ours any more.
			bench.Guards(s.UUID())
			done <- leg.TakeOver(ctx)
			return
		}
		first = false
		done <- leg.TakeOver(ctx)
		guards <- bench.Guards(s.UUID())
	}})
	close(ready)
	caller := fswtest.Agent(t, "caller", lab.Behaviour{})
	bench.Status(bench.Call(caller, number), 486)
	if err := fswtest.Wait(t, "taking over", done); err != nil {
		t.Errorf("taking over: %v", err)
	}
	if n := fswtest.Wait(t, "the guards", guards); n != "1" {
		t.Errorf("%s guards stand, want ours alone", n)
	}
	bench.Status(bench.Call(caller, number), 486)
	if err := fswtest.Wait(t, "taking over", done); !errors.Is(err, fsw.ErrTakenAway) {
		t.Errorf("taking over a call whose guard is gone: %v", err)
	}
}

// far is a FreeSWITCH that knows one call and answers everything with +OK, until the n-th command of a kind: there it
// vanishes.
func far(t *testing.T, vanishAt string) *esl.Session {
	t.Helper()
	sessions, stop := make(chan *esl.Session, 1), make(chan struct{})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server, err := esl.NewServer(esl.ServerOptions{Listener: listener, DrainTimeout: time.Millisecond, Handler: func(_ context.Context, s *esl.Session) {
		sessions <- s
		<-stop
	}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ran := make(chan error, 1)
	go func() { ran <- server.Run(ctx) }()
	nc, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	f := esltest.NewFar(nc)
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		defer func() { _ = f.Close() }()
		for {
			c, err := f.Command()
			if err != nil || vanishAt != "" && (strings.Contains(c.Line, vanishAt) || c.Get("execute-app-name") == vanishAt) {
				return
			}
			switch c.Verb() {
			case "connect":
				err = f.Connect(wire.Field{Name: "Event-Name", Value: "CHANNEL_DATA"}, wire.Field{Name: "Unique-ID", Value: "u-1"},
					wire.Field{Name: "Channel-Context", Value: "public"}, wire.Field{Name: "Channel-Destination-Number", Value: number})
			case "api":
				err = f.API("+OK\n")
			default:
				err = f.Reply("+OK")
			}
			if err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() {
		close(stop)
		_ = nc.Close()
		cancel()
		<-answered
		if err := <-ran; err != nil {
			t.Error(err)
		}
	})
	return fswtest.Wait(t, "the session", sessions)
}

func TestEveryVerbReportsASwitchThatVanishes(t *testing.T) {
	t.Parallel()
	order := ring(10*time.Second, notRegistered())
	verbs := map[string]func(ctx context.Context, leg *fsw.Leg) (call.Result, error){
		"Ring": func(ctx context.Context, leg *fsw.Leg) (call.Result, error) {
			a, err := leg.Ring(ctx, order)
			return a.Result, err
		},
		"Announce": func(ctx context.Context, leg *fsw.Leg) (call.Result, error) {
			return leg.Announce(ctx, "x.wav", time.Second)
		},
		"Waiting": func(ctx context.Context, leg *fsw.Leg) (call.Result, error) {
			return call.Broken, leg.Waiting(ctx, time.Second)
		},
		"End": func(ctx context.Context, leg *fsw.Leg) (call.Result, error) {
			return call.Broken, leg.End(ctx, "USER_BUSY")
		},
		"Refuse": func(ctx context.Context, leg *fsw.Leg) (call.Result, error) {
			return call.Broken, leg.Refuse(ctx, call.Refusal{Code: 482})
		},
		"TakeOver": func(ctx context.Context, leg *fsw.Leg) (call.Result, error) { return call.Broken, leg.TakeOver(ctx) },
		"HandBack": func(ctx context.Context, leg *fsw.Leg) (call.Result, error) { return call.Broken, leg.HandBack(ctx) },
	}
	for verb, at := range map[string][]string{
		"Ring": {"uuid_setvar", "sched_del", "sched_api", "myevents", "bridge"}, "Announce": {"sched_del", "sched_api", "myevents", "playback"},
		"Waiting": {"sched_api", "ring_ready"}, "End": {"uuid_setvar", "uuid_kill"}, "Refuse": {"sched_api", "respond"},
		"TakeOver": {"sched_del", "linger", "myevents"}, "HandBack": {"uuid_setvar"},
	} {
		for _, command := range at {
			t.Run(fmt.Sprintf("%s at %s", verb, command), func(t *testing.T) {
				t.Parallel()
				began := time.Now()
				result, err := verbs[verb](t.Context(), fsw.NewLeg(far(t, command), nil))
				if err == nil || result != call.Broken {
					t.Errorf("%s, %v: want %s and an error", result, err, call.Broken)
				}
				if d := time.Since(began); d > 3*time.Second {
					t.Errorf("it took %s", d)
				}
			})
		}
	}
}

// TestLegKeepsTheContract holds the Leg over FreeSWITCH to what the tests of treatments believe of every Leg.
func TestLegKeepsTheContract(t *testing.T) {
	t.Parallel()
	calltest.Contract(t, func(t *testing.T, s calltest.Scene) (call.Leg, call.RingOrder) {
		if s.SwitchGone {
			session := far(t, "")
			if err := session.Close(); err != nil {
				t.Fatal(err)
			}
			return fsw.NewLeg(session, nil), ring(2*time.Second, notRegistered())
		}
		behaviour := map[call.Result]lab.Behaviour{
			call.Answered: lab.Answers(0), call.NoAnswer: {Ring: true}, call.Busy: lab.Refuses(486),
			call.Unreachable: lab.Refuses(503), call.Declined: lab.Refuses(603),
		}[s.Phone]
		phone, callerAgent := fswtest.Agent(t, "phone", behaviour), fswtest.Agent(t, "caller", lab.Behaviour{})
		legs, over := make(chan *fsw.Leg, 1), make(chan struct{})
		bench := served(t, func(_ context.Context, leg *fsw.Leg, _ *esl.Session) {
			legs <- leg
			<-over // the leg is the test's now
		})
		t.Cleanup(func() { close(over) })
		caller := bench.Call(callerAgent, number)
		order := ring(2*time.Second, at(phone))
		if s.Phone == call.NotRegistered {
			order = ring(2*time.Second, notRegistered())
		}
		later(t, func(ctx context.Context) {
			switch {
			case s.CallerGone:
				if _, err := caller.WaitStatus(ctx, 180); err == nil {
					caller.Cancel()
				}
			case s.Phone == call.Answered:
				if c, err := phone.Incoming(ctx, 1); err == nil && c.WaitAnswered(ctx) == nil && caller.WaitAnswered(ctx) == nil {
					c.Hangup()
				}
			}
		})
		return fswtest.Wait(t, "the call", legs), order
	})
}

// later does something beside the test, and waits for it.
func later(t *testing.T, do func(ctx context.Context)) {
	ctx, cancel := context.WithTimeout(context.Background(), fswtest.Patience)
	done := make(chan struct{})
	go func() { defer close(done); do(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
}
