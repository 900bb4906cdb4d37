package fsw_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/signalbox/signalbox/esl"
	"github.com/signalbox/signalbox/internal/call"
	"github.com/signalbox/signalbox/internal/fsw"
	"github.com/signalbox/signalbox/internal/fsw/fswtest"
	"github.com/signalbox/signalbox/internal/lab"
)

// long is a sound that nobody waits for the end of.
const long = "tone_stream://%(60000,0,440)"

func menu(sounds ...string) call.MenuOrder {
	return call.MenuOrder{Sounds: sounds, Most: 1, Wait: time.Second}
}

// heard is one menu's end.
type heard struct {
	input call.Input
	err   error
}

// pressing waits until a menu with a sound is being played on a leg, and presses.
func pressing(b *fswtest.Bench, uuid, sound, keys string) {
	for {
		dump := b.API("uuid_dump " + uuid)
		_, arg, _ := strings.Cut(dump, "variable_current_application_data: ")
		arg, _, _ = strings.Cut(arg, "\n")
		if strings.Contains(arg, sound) && strings.Contains(dump, "variable_current_application: play_and_get_digits") {
			break
		}
		if b.Context().Err() != nil {
			return
		}
	}
	b.API("uuid_recv_dtmf " + uuid + " " + keys)
}

func TestMenuReadsKeysFromTheFirstMomentOn(t *testing.T) {
	t.Parallel()
	got, uuid := make(chan heard, 3), make(chan string, 1)
	answered := 0
	bench := served(t, func(ctx context.Context, leg *fsw.Leg, s *esl.Session) {
		leg.OnAnswer(func(time.Time) { answered++ })
		uuid <- s.UUID()
		for _, order := range []call.MenuOrder{
			menu(long),
			{Sounds: []string{"tone_stream://%(20,0,440)"}, Most: 12, Wait: 5 * time.Second, Ends: "#"},
			menu("tone_stream://%(20,0,440)"),
		} {
			input, err := leg.Menu(ctx, order)
			got <- heard{input, err}
		}
		if !leg.Greeted() {
			t.Error("nobody knows that we have answered")
		}
		if err := leg.End(ctx, "NORMAL_CLEARING"); err != nil {
			t.Errorf("End: %v", err)
		}
	})
	caller := bench.Call(fswtest.Agent(t, "caller", lab.Behaviour{}), number)
	bench.Status(caller, 200)
	id := fswtest.Wait(t, "the call", uuid)
	for _, tt := range []struct{ sound, press, want string }{{long, "1", "1"}, {"%(20,0,440)", "4711#", "4711"}, {"", "", ""}} {
		if tt.press != "" {
			pressing(bench, id, tt.sound, tt.press)
		}
		if h := fswtest.Wait(t, "a menu", got); h.err != nil || h.input.Result != call.Ended || h.input.Keys != tt.want {
			t.Errorf("pressing %q: %+v, %v, want the keys %q", tt.press, h.input, h.err, tt.want)
		}
	}
	bench.Ended(caller)
	if answered != 1 {
		t.Errorf("the answer was told %d times", answered)
	}
}

func TestMenuWithoutPromptsSaysSo(t *testing.T) {
	t.Parallel()
	got := make(chan heard, 2)
	bench := served(t, func(ctx context.Context, leg *fsw.Leg, _ *esl.Session) {
		for _, sound := range []string{"/nowhere/at-all.wav", "/no file of this name.wav"} {
			input, err := leg.Menu(ctx, menu(sound))
			got <- heard{input, err}
		}
		_ = leg.End(ctx, "NO_ANSWER")
	})
	caller := bench.Call(fswtest.Agent(t, "caller", lab.Behaviour{}), number)
	for range 2 {
		if h := fswtest.Wait(t, "a menu", got); h.err != nil || h.input.Result != call.NotPlayed || h.input.Note == "" {
			t.Errorf("a menu that cannot be played: %+v, %v", h.input, h.err)
		}
	}
	bench.Ended(caller)
}

// TestACallerInAMenuIsNotLost: whatever becomes of us, he goes to the operator's own extension, though he is answered.
func TestACallerInAMenuIsNotLost(t *testing.T) {
	t.Parallel()
	for name, die := range map[string]func(ctx context.Context, leg *fsw.Leg){
		"the connection breaks in it": func(ctx context.Context, leg *fsw.Leg) {
			time.AfterFunc(200*time.Millisecond, leg.Drop)
			_, _ = leg.Menu(ctx, menu(long))
		},
		"the sidecar freezes behind it": func(ctx context.Context, leg *fsw.Leg) {
			_, _ = leg.Menu(ctx, menu("tone_stream://%(20,0,440)"))
			<-ctx.Done()
		},
		"the sidecar stops behind it": func(ctx context.Context, leg *fsw.Leg) {
			_, _ = leg.Menu(ctx, menu("tone_stream://%(20,0,440)"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			uuid := make(chan string, 1)
			bench := served(t, func(ctx context.Context, leg *fsw.Leg, s *esl.Session) {
				uuid <- s.UUID()
				die(ctx, leg)
			})
			caller := bench.Call(fswtest.Agent(t, "caller", lab.Behaviour{}), waiting)
			bench.Status(caller, 200)
			if err := ranOperator(bench, fswtest.Wait(t, "the call", uuid)); err != nil {
				t.Error(err)
			}
			caller.Hangup()
		})
	}
}

func TestBehindAMenuAPhoneIsRungAndTheyTalk(t *testing.T) {
	t.Parallel()
	phone := fswtest.Agent(t, "phone", lab.Behaviour{Ring: true})
	got, uuid := make(chan outcome, 1), make(chan string, 1)
	bench := served(t, func(ctx context.Context, leg *fsw.Leg, s *esl.Session) {
		uuid <- s.UUID()
		if input, err := leg.Menu(ctx, menu("tone_stream://%(20,0,440)")); err != nil || input.Result != call.Ended {
			t.Errorf("menu: %+v, %v", input, err)
		}
		attempt, err := leg.Ring(ctx, ring(10*time.Second, at(phone)))
		got <- outcome{attempt: attempt, err: err}
		if leg.Greeted() {
			t.Error("somebody has talked with him")
		}
	})
	caller := bench.Call(fswtest.Agent(t, "caller", lab.Behaviour{}), number)
	invited := bench.Incoming(phone, 1)
	id := fswtest.Wait(t, "the call", uuid)
	if stage := bench.API("uuid_getvar " + id + " signalbox_stage"); stage != "unserved" {
		t.Errorf("while it rings the stage is %s", stage)
	}
	invited.Answer()
	fswtest.Until(t, "the stage is turned", func() bool { return bench.API("uuid_getvar "+id+" signalbox_stage") == "talked" })
	invited.Hangup()
	bench.Ended(caller)
	if o := fswtest.Wait(t, "the attempt", got); o.err != nil || o.attempt.Result != call.Answered {
		t.Errorf("%+v, %v", o.attempt, o.err)
	}
}

func TestHoldLastsUntilItIsEnough(t *testing.T) {
	t.Parallel()
	until, results := make(chan struct{}), make(chan outcome, 4)
	bench := served(t, func(ctx context.Context, leg *fsw.Leg, _ *esl.Session) {
		result, err := leg.Hold(ctx, call.HoldOrder{Sounds: []string{"tone_stream://%(20,0,440)"}, Until: until, Longest: time.Minute})
		results <- outcome{result: result, err: err}
		for _, sound := range []string{"/nowhere.wav", "tone_stream://%(20,0,440)"} {
			result, err = leg.Hold(ctx, call.HoldOrder{Sounds: []string{sound}, Music: "/no/music.wav", Until: make(chan struct{}), Longest: 1500 * time.Millisecond})
			results <- outcome{result: result, err: err}
		}
		result, err = leg.Hold(ctx, call.HoldOrder{Longest: time.Minute})
		results <- outcome{result: result, err: err}
	})
	caller := bench.Call(fswtest.Agent(t, "caller", lab.Behaviour{}), number)
	bench.Status(caller, 200)
	close(until)
	for range 3 {
		if o := fswtest.Wait(t, "the hold", results); o.err != nil || o.result != call.Ended {
			t.Errorf("hold: %s, %v", o.result, o.err)
		}
	}
	caller.Hangup()
	if o := fswtest.Wait(t, "the hold", results); o.err != nil || o.result != call.CallerGone {
		t.Errorf("a caller hung up who waits: %s, %v", o.result, o.err)
	}
}

func TestJoinUntilTheCallerIsOut(t *testing.T) {
	t.Parallel()
	const room = "sb-0123456789abcdef"
	results := make(chan outcome, 2)
	bench := served(t, func(ctx context.Context, leg *fsw.Leg, _ *esl.Session) {
		result, err := leg.Join(ctx, call.JoinOrder{Room: room, MaxMembers: 5})
		results <- outcome{result: result, err: err}
	})
	ada, ben := bench.Call(fswtest.Agent(t, "ada", lab.Behaviour{}), number), bench.Call(fswtest.Agent(t, "ben", lab.Behaviour{}), number)
	bench.Status(ada, 200)
	bench.Status(ben, 200)
	fswtest.Until(t, "both are in the room", func() bool { return strings.Contains(bench.API("conference "+room+" json_list"), `"member_count":	2`) })
	ada.Hangup()
	if o := fswtest.Wait(t, "the one who hung up", results); o.err != nil || o.result != call.Answered {
		t.Errorf("who hung up: %s, %v", o.result, o.err)
	}
	bench.API("conference " + room + " kick all")
	if o := fswtest.Wait(t, "the one who was sent out", results); o.err != nil || o.result != call.Answered {
		t.Errorf("who was sent out: %s, %v", o.result, o.err)
	}
	bench.Ended(ben)
}

// TestAHostComesIntoHisRoomThatHeHasLocked, by a call of his own, and nobody else does.
func TestAHostComesIntoHisRoomThatHeHasLocked(t *testing.T) {
	t.Parallel()
	const room = "sb-0123456789abcdef"
	results := make(chan outcome, 3)
	var count atomic.Int32
	bench := served(t, func(ctx context.Context, leg *fsw.Leg, _ *esl.Session) {
		result, err := leg.Join(ctx, call.JoinOrder{Room: room, Host: count.Add(1) == 3})
		results <- outcome{result: result, err: err}
		<-ctx.Done()
	})
	members := func(n int) func() bool {
		return func() bool {
			return strings.Contains(bench.API("conference "+room+" json_list"), fmt.Sprintf(`"member_count":	%d`, n))
		}
	}
	ada := bench.Call(fswtest.Agent(t, "ada", lab.Behaviour{}), number)
	fswtest.Until(t, "one is in the room", members(1))
	bench.API("conference " + room + " lock")
	ben := bench.Call(fswtest.Agent(t, "ben", lab.Behaviour{}), number)
	if o := fswtest.Wait(t, "the one who is locked out", results); o.err != nil || o.result != call.NotJoined {
		t.Errorf("a room that is locked: %s, %v", o.result, o.err)
	}
	host := bench.Call(fswtest.Agent(t, "host", lab.Behaviour{}), number)
	fswtest.Until(t, "the host is in the room", members(2))
	for _, c := range []*lab.Call{ada, ben, host} {
		c.Hangup()
	}
}

func TestARoomThatIsGoneGivesTheCallerBack(t *testing.T) {
	t.Parallel()
	results, uuid := make(chan outcome, 2), make(chan string, 1)
	bench := served(t, func(ctx context.Context, leg *fsw.Leg, s *esl.Session) {
		uuid <- s.UUID()
		result, err := leg.Join(ctx, call.JoinOrder{Room: "sb-0123456789abcdef", Flags: []string{"join-only"}})
		results <- outcome{result: result, err: err}
		<-ctx.Done()
	})
	caller := bench.Call(fswtest.Agent(t, "caller", lab.Behaviour{}), waiting)
	if o := fswtest.Wait(t, "the join", results); o.err != nil || o.result != call.NotJoined {
		t.Errorf("a room that is gone: %s, %v", o.result, o.err)
	}
	// And the guard stands again: nothing is heard of us any more.
	if err := ranOperator(bench, fswtest.Wait(t, "the call", uuid)); err != nil {
		t.Error(err)
	}
	caller.Hangup()
}

// TestOurDeathLeavesAConferenceAlone: the members go on, and are released at its end.
func TestOurDeathLeavesAConferenceAlone(t *testing.T) {
	t.Parallel()
	const room = "sb-0123456789abcdef"
	gone := make(chan struct{})
	bench := served(t, func(ctx context.Context, leg *fsw.Leg, _ *esl.Session) {
		time.AfterFunc(500*time.Millisecond, leg.Drop)
		if result, err := leg.Join(ctx, call.JoinOrder{Room: room}); err == nil {
			t.Errorf("joined: %s", result)
		}
		close(gone)
	})
	caller := bench.Call(fswtest.Agent(t, "caller", lab.Behaviour{}), waiting)
	bench.Status(caller, 200)
	fswtest.Wait(t, "our death", gone)
	if list := bench.API("conference " + room + " json_list"); !strings.Contains(list, `"member_count":	1`) {
		t.Errorf("the room is\n%s", list)
	}
	bench.API("conference " + room + " kick all")
	bench.Ended(caller)
	if caller.EndedBy() != "them" {
		t.Errorf("the call ended by %s", caller.EndedBy())
	}
}

// A stop of ours in the middle of a message leaves the caller with FreeSWITCH: nobody here knows how long the message becomes.
func TestTheEndOfAMessageMayGoUnseen(t *testing.T) {
	t.Parallel()
	got := make(chan call.Recording, 1)
	file := filepath.Join(t.TempDir(), "message.wav")
	stop := make(chan struct{})
	bench := served(t, func(ctx context.Context, leg *fsw.Leg, _ *esl.Session) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		go func() { <-stop; cancel() }()
		recording, err := leg.Record(ctx, call.RecordOrder{File: file, Longest: time.Minute})
		if err == nil {
			t.Error("no error")
		}
		got <- recording
	})
	caller := bench.Call(fswtest.Agent(t, "caller", lab.Behaviour{}), number)
	bench.Status(caller, 200)
	fswtest.Until(t, "he speaks", func() bool { _, err := os.Stat(file); return err == nil })
	close(stop)
	if r := fswtest.Wait(t, "the end of Record", got); r.Result != call.Broken || !r.Unseen {
		t.Errorf("recorded %+v", r)
	}
	caller.Hangup()
}

// TestAMessageIsTakenBehindAMenu: the guard of the menu must not take the caller away while he speaks, and our death then leaves him be.
func TestAMessageIsTakenBehindAMenu(t *testing.T) {
	t.Parallel()
	got, uuid := make(chan call.Recording, 1), make(chan string, 1)
	file := filepath.Join(t.TempDir(), "message.wav")
	bench := served(t, func(ctx context.Context, leg *fsw.Leg, s *esl.Session) {
		if in, err := leg.Menu(ctx, menu("tone_stream://%(20,0,440)")); err != nil || in.Result != call.Ended {
			t.Errorf("menu: %+v, %v", in, err)
		}
		uuid <- s.UUID()
		recording, err := leg.Record(ctx, call.RecordOrder{File: file, Longest: 5 * time.Second})
		if err != nil {
			t.Errorf("Record: %v", err)
		}
		got <- recording
		if err := leg.End(ctx, "NORMAL_CLEARING"); err != nil {
			t.Errorf("End: %v", err)
		}
	})
	caller := bench.Call(fswtest.Agent(t, "caller", lab.Behaviour{}), number)
	bench.Status(caller, 200)
	id := fswtest.Wait(t, "the menu", uuid)
	fswtest.Until(t, "the call is the caller's", func() bool { return bench.API("uuid_getvar "+id+" signalbox_stage") == "talked" })
	if r := fswtest.Wait(t, "the message", got); r.Result != call.Answered || r.Length < 4*time.Second {
		t.Errorf("recorded %+v", r)
	}
	bench.Ended(caller)
}

// A caller who is taken out of a menu by somebody's transfer is left alone: by our guard, and by the end of our connection, at whatever time.
func TestWhoIsTakenOutOfAMenuStaysWhereHeWasSent(t *testing.T) {
	t.Parallel()
	got, uuid, over := make(chan error, 1), make(chan string, 1), make(chan struct{})
	bench := served(t, func(ctx context.Context, leg *fsw.Leg, s *esl.Session) {
		defer close(over)
		uuid <- s.UUID()
		_, err := leg.Menu(ctx, menu(long))
		got <- err
		stopped, stop := context.WithCancel(ctx)
		stop()
		leg.Linger(stopped) // we are stopped before he has come to anything
		leg.Drop()
	})
	caller := bench.Call(fswtest.Agent(t, "caller", lab.Behaviour{}), number)
	bench.Status(caller, 200)
	id := fswtest.Wait(t, "the call", uuid)
	for !strings.Contains(bench.API("uuid_dump "+id), "variable_current_application: play_and_get_digits") {
		if bench.Context().Err() != nil {
			t.Fatal("no menu")
		}
	}
	bench.API("uuid_transfer " + id + " 'playback:silence_stream://-1' inline")
	if err := fswtest.Wait(t, "the end of the menu", got); !errors.Is(err, fsw.ErrTakenAway) {
		t.Errorf("the menu ended with %v", err)
	}
	<-over
	if guards := bench.Guards(id); guards != "0" {
		t.Errorf("a guard would take him back: %s", guards)
	}
	for range 20 { // FreeSWITCH sees the end of our connection in its own time
		if dump := bench.API("uuid_dump " + id); !strings.Contains(dump, "Channel-State: CS_EXECUTE") && !strings.Contains(dump, "Channel-State: CS_ROUTING") {
			t.Fatalf("he is not where he was sent to:\n%s", dump)
		}
		pause(t, 20*time.Millisecond)
	}
	if dump := bench.API("uuid_dump " + id); !strings.Contains(dump, "variable_current_application: playback") {
		t.Errorf("he does not hear what he was sent to:\n%s", dump)
	}
	caller.Hangup()
}

func pause(t *testing.T, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-t.Context().Done():
	}
}
