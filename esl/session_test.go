package esl

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/signalbox/signalbox/esl/esltest"
	"github.com/signalbox/signalbox/esl/wire"
)

const callUUID = "2e802f0c-79de-4723-9aa1-5895a853c934"

// call opens a session in memory; script plays FreeSWITCH after "connect".
func call(t *testing.T, opt ConnOptions, script func(far *esltest.Far)) *Session {
	t.Helper()
	client, far := esltest.Pipe()
	played := make(chan struct{})
	go func() {
		defer close(played)
		_, err := far.Expect("connect")
		must(t, err)
		must(t, far.Connect(field("Event-Name", "CHANNEL_DATA"), field("Unique-ID", callUUID), field("variable_socket_path", "gold")))
		script(far)
	}()
	s, err := openSession(t.Context(), client, opt, begun{timeout: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = s.Close()
		_ = far.Close()
		<-played
	})
	return s
}

// order reads one execute and answers it.
func order(t *testing.T, far *esltest.Far, app string) *wire.Command {
	t.Helper()
	c, err := far.ExpectReply("sendmsg", "+OK")
	must(t, err)
	if err == nil && c.Get("execute-app-name") != app {
		t.Errorf("executing %q, want %q", c.Get("execute-app-name"), app)
	}
	return c
}

func events(t *testing.T, far *esltest.Far) {
	t.Helper()
	_, err := far.ExpectReply("myevents", "+OK Events Enabled")
	must(t, err)
}

func channelEvent(t *testing.T, far *esltest.Far, name string, more ...wire.Field) {
	t.Helper()
	must(t, far.Event(append([]wire.Field{field("Event-Name", name), field("Unique-ID", callUUID)}, more...)...))
}

func TestExecuteMatchesItsOwnCompletion(t *testing.T) {
	for _, format := range []Format{Plain, JSON} {
		synctest.Test(t, func(t *testing.T) {
			s := call(t, ConnOptions{Format: format}, func(far *esltest.Far) {
				c, err := far.ExpectReply("myevents", "+OK Events Enabled")
				must(t, err)
				if (c.Args() == "json") != (format == JSON) {
					t.Errorf("subscribed by %q", c.Line)
				}
				c = order(t, far, "bridge")
				if c.Get("event-lock") != "true" || c.Get("execute-app-arg") != "sofia/x/1" {
					t.Errorf("sent %+v", c)
				}
				send := far.Event
				if format == JSON {
					send = far.EventJSON
				}
				must(t, send(field("Event-Name", "CHANNEL_EXECUTE"), field("Application-UUID", c.Get("Event-UUID"))))
				must(t, send(field("Event-Name", "CHANNEL_EXECUTE_COMPLETE"), field("Application", "other"), field("Application-UUID", "other")))
				must(t, send(field("Event-Name", "CHANNEL_EXECUTE_COMPLETE"), field("Application", "bridge"), field("Application-UUID", c.Get("Event-UUID")),
					field("variable_originate_disposition", "USER_BUSY")))
			})
			x, err := s.Start(t.Context(), "bridge", "sofia/x/1")
			if err != nil {
				t.Fatal(err)
			}
			<-x.Started()
			e, err := x.Wait(t.Context())
			if err != nil || e.Get("Application") != "bridge" || e.Var("originate_disposition") != "USER_BUSY" {
				t.Errorf("%v, %v", e, err)
			}
			if again, _ := x.Wait(t.Context()); again != e {
				t.Error("a second Wait gives something else")
			}
			if s.UUID() != callUUID || s.Path() != "gold" || s.Channel().Name() != "CHANNEL_DATA" {
				t.Errorf("%q %q %q", s.UUID(), s.Path(), s.Channel().Name())
			}
		})
	}
}

// TestBeginSendsAllAtOnce: all commands of the beginning are on the wire before the first is answered; what was refused of those that
// came first is for the caller to judge, the others are not.
func TestBeginSendsAllAtOnce(t *testing.T) {
	for name, refused := range map[string]int{"nothing refused": -1, "the first refused": 0, "events refused": 2} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := call(t, ConnOptions{}, func(far *esltest.Far) {
					for _, want := range []string{"api sched_del x", "linger 10", "myevents", "nixevent CHANNEL_PARK TALK"} {
						_, err := far.Expect(want)
						must(t, err)
					}
					for i := range 4 {
						text := "+OK"
						if i == refused {
							text = "-ERR no"
						}
						must(t, far.Reply(text))
					}
					if refused < 0 {
						order(t, far, "playback") // without a second myevents
					}
				})
				replies, err := s.Begin(t.Context(), Beginning{First: []Command{Raw("api sched_del x")}, Linger: 9500 * time.Millisecond, Unwanted: []string{"CHANNEL_PARK", "TALK"}})
				var no *ReplyError
				if len(replies) != 1 || (replies[0].Err() != nil) != (refused == 0) || errors.As(err, &no) != (refused == 2) {
					t.Errorf("%d replies, %v", len(replies), err)
				}
				if refused < 0 {
					_, err := s.Start(t.Context(), "playback", "x.wav")
					must(t, err)
				}
			})
		})
	}
}

// TestStartBehindOtherCommands: they go in front, at once with the order, and a refusal of one of them is told.
func TestStartBehindOtherCommands(t *testing.T) {
	for _, answer := range []string{"+OK", "-ERR No such channel!"} {
		synctest.Test(t, func(t *testing.T) {
			s := call(t, ConnOptions{}, func(far *esltest.Far) {
				events(t, far)
				_, err := far.Expect("api uuid_setvar a b c")
				must(t, err)
				c, err := far.Expect("sendmsg")
				must(t, err)
				must(t, far.API(answer))
				must(t, far.Reply("+OK"))
				if answer == "+OK" {
					must(t, far.Event(field("Event-Name", "CHANNEL_EXECUTE_COMPLETE"), field("Application-UUID", c.Get("Event-UUID"))))
				}
			})
			x, err := s.StartBehind(t.Context(), []Command{Raw("api uuid_setvar a b c")}, "bridge", "sofia/x/1")
			var no *ReplyError
			if errors.As(err, &no) != (answer != "+OK") || (x != nil) != (answer == "+OK") {
				t.Fatalf("answered %s: %v", answer, err)
			}
			if x == nil {
				return
			}
			if _, err := x.Wait(t.Context()); err != nil {
				t.Error(err)
			}
			<-x.Started()
		})
	}
}

func TestArgumentThatALineCannotCarryGoesAsBody(t *testing.T) {
	for _, arg := range []string{" leading blank", "two\nlines", "a\r\n\r\napi hupall", ""} {
		synctest.Test(t, func(t *testing.T) {
			s := call(t, ConnOptions{}, func(far *esltest.Far) {
				events(t, far)
				c := order(t, far, "log")
				got := string(c.Body)
				if c.Body != nil && !strings.EqualFold(c.Get("content-type"), "text/plain") {
					t.Errorf("body of type %q", c.Get("content-type"))
				}
				if got != arg || c.Get("execute-app-arg") != "" {
					t.Errorf("argument arrives as %q and header %q, want %q", got, c.Get("execute-app-arg"), arg)
				}
			})
			if _, err := s.Start(t.Context(), "log", arg); err != nil {
				t.Error(err)
			}
			if _, err := s.Start(t.Context(), "log\nx: y", ""); !errors.Is(err, wire.ErrRefused) {
				t.Errorf("application of two lines: %v", err)
			}
		})
	}
}

// TestHangupEndsPendingExecutions: the caller hangs up during a bridge with another
// application queued behind it. The bridge completes by its event, the other never;
// its Wait returns with the cause after the last event.
func TestHangupEndsPendingExecutions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := call(t, ConnOptions{}, func(far *esltest.Far) {
			_, err := far.ExpectReply("linger 5", "+OK will linger 5 seconds")
			must(t, err)
			events(t, far)
			bridge := order(t, far, "bridge")
			order(t, far, "playback")
			must(t, far.Linger(callUUID, 5)) // the notice may come first
			channelEvent(t, far, "CHANNEL_HANGUP", field("Hangup-Cause", "ORIGINATOR_CANCEL"))
			time.Sleep(time.Second)
			channelEvent(t, far, "CHANNEL_EXECUTE_COMPLETE", field("Application-UUID", bridge.Get("Event-UUID")))
			time.Sleep(time.Second)
			channelEvent(t, far, "CHANNEL_HANGUP_COMPLETE", field("Hangup-Cause", "ORIGINATOR_CANCEL"), field("variable_billsec", "7"))
			time.Sleep(3 * time.Second)
			must(t, far.Disconnect(callUUID))
		})
		must(t, s.Linger(t.Context(), 4200*time.Millisecond))
		start := time.Now()
		bridge, err := s.Start(t.Context(), "bridge", "x")
		must(t, err)
		playback, err := s.Start(t.Context(), "playback", "y")
		must(t, err)
		<-s.Hangup()
		if s.HangupCause() != "ORIGINATOR_CANCEL" || time.Since(start) != 0 {
			t.Errorf("cause %q after %s", s.HangupCause(), time.Since(start))
		}
		if _, err := s.Start(t.Context(), "answer", ""); !errors.Is(err, ErrHangup) {
			t.Errorf("starting after the hangup: %v", err)
		}
		if e, err := bridge.Wait(t.Context()); err != nil || e == nil || time.Since(start) != time.Second {
			t.Errorf("bridge: %v, %v after %s", e, err, time.Since(start))
		}
		var hangup *HangupError
		if _, err := playback.Wait(t.Context()); !errors.As(err, &hangup) || hangup.Cause != "ORIGINATOR_CANCEL" || time.Since(start) != 2*time.Second {
			t.Errorf("playback: %v after %s", err, time.Since(start))
		}
		<-s.Final()
		if s.FinalEvent().Var("billsec") != "7" {
			t.Errorf("final event %v", s.FinalEvent())
		}
		<-s.Done()
		if !errors.Is(s.Err(), ErrDisconnected) || time.Since(start) != 5*time.Second {
			t.Errorf("%v after %s", s.Err(), time.Since(start))
		}
	})
}

func TestHangupOfAnotherLegIsNotOurs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := call(t, ConnOptions{}, func(far *esltest.Far) {
			events(t, far)
			for _, name := range []string{"CHANNEL_HANGUP", "CHANNEL_HANGUP_COMPLETE"} {
				must(t, far.Event(field("Event-Name", name), field("Unique-ID", "b-leg"), field("Hangup-Cause", "NO_ANSWER")))
			}
			_, err := far.Expect("api status")
			must(t, err)
			must(t, far.API("x"))
		})
		must(t, s.MyEvents(t.Context()))
		must(t, s.MyEvents(t.Context())) // sends nothing
		_, err := s.API(t.Context(), "status")
		must(t, err)
		select {
		case <-s.Hangup():
			t.Error("the hangup of a B leg was taken for ours")
		case <-s.Final():
			t.Error("final")
		default:
		}
	})
}

// TestEndOfConnectionEndsWait: FreeSWITCH dies, or lets go without linger.
func TestEndOfConnectionEndsWait(t *testing.T) {
	tests := []struct {
		name string
		end  func(t *testing.T, far *esltest.Far)
		want error
	}{
		{"killed", func(t *testing.T, far *esltest.Far) { must(t, far.Close()) }, ErrDisconnected},
		{"half a message", func(t *testing.T, far *esltest.Far) {
			_, err := far.Write([]byte("Content-Le"))
			must(t, err)
			must(t, far.Close())
		}, wire.ErrTruncated},
		{"goodbye", func(t *testing.T, far *esltest.Far) { must(t, far.Disconnect(callUUID)) }, ErrDisconnected},
		{"hangup, last events lost", func(t *testing.T, far *esltest.Far) {
			channelEvent(t, far, "CHANNEL_HANGUP", field("Hangup-Cause", "NORMAL_CLEARING"))
			must(t, far.Disconnect(callUUID))
		}, ErrHangup},
		{"linger notice alone", func(t *testing.T, far *esltest.Far) {
			must(t, far.Linger(callUUID, 1))
			time.Sleep(time.Second)
			must(t, far.Disconnect(callUUID))
		}, ErrHangup},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := call(t, ConnOptions{}, func(far *esltest.Far) {
					events(t, far)
					order(t, far, "playback")
					tt.end(t, far)
				})
				if _, err := s.Execute(t.Context(), "playback", "x"); !errors.Is(err, tt.want) {
					t.Errorf("got %v, want %v", err, tt.want)
				}
				if hungUp := isClosed(s.Hangup()); hungUp != errors.Is(tt.want, ErrHangup) {
					t.Errorf("hung up: %v", hungUp)
				}
				if !isClosed(s.Final()) {
					t.Error("Final is open")
				}
			})
		})
	}
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func TestWaitThatGivesUpMayComeBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := call(t, ConnOptions{}, func(far *esltest.Far) {
			events(t, far)
			c := order(t, far, "playback")
			time.Sleep(10 * time.Second)
			channelEvent(t, far, "CHANNEL_EXECUTE_COMPLETE", field("Application-UUID", c.Get("Event-UUID")))
		})
		x, err := s.Start(t.Context(), "playback", "x")
		must(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := x.Wait(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		if e, err := x.Wait(t.Context()); err != nil || e == nil {
			t.Errorf("second Wait: %v, %v", e, err)
		}
	})
}

func TestExitHandsBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := call(t, ConnOptions{}, func(far *esltest.Far) {
			_, err := far.ExpectReply("exit", "+OK bye")
			must(t, err)
			must(t, far.Disconnect(callUUID))
			must(t, far.Close())
		})
		if err := s.Exit(t.Context()); err != nil {
			t.Error(err)
		}
		if isClosed(s.Hangup()) {
			t.Error("a call handed back counts as hung up")
		}
	})
}

func TestVariablesAndHangup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := call(t, ConnOptions{}, func(far *esltest.Far) {
			for _, answer := range []struct{ line, body string }{
				{"api uuid_setvar " + callUUID + " note ${system(x)} two words", "+OK\n"},
				{"api uuid_getvar " + callUUID + " note", "_undef_"},
			} {
				c, err := far.Command()
				must(t, err)
				if c.Line != answer.line {
					t.Errorf("got %q, want %q", c.Line, answer.line)
				}
				must(t, far.API(answer.body))
			}
			for _, line := range []string{"api uuid_break " + callUUID, "api uuid_kill " + callUUID + " USER_BUSY"} {
				c, err := far.Command()
				must(t, err)
				if c.Line != line {
					t.Errorf("got %q, want %q", c.Line, line)
				}
				must(t, far.API("+OK\n"))
			}
		})
		must(t, s.SetVar(t.Context(), "note", "${system(x)} two words"))
		if v, err := s.GetVar(t.Context(), "note"); v != "" || err != nil {
			t.Errorf("%q, %v", v, err)
		}
		must(t, s.Break(t.Context()))
		must(t, s.HangUp(t.Context(), "USER_BUSY"))
		for _, err := range []error{s.SetVar(t.Context(), "a b", "c"), s.SetVar(t.Context(), "", "c"),
			s.SetVar(t.Context(), "a", "b\n\nexit"), s.HangUp(t.Context(), "X\nY: z"), s.HangUp(t.Context(), "")} {
			if !errors.Is(err, wire.ErrRefused) {
				t.Errorf("got %v, want ErrRefused", err)
			}
		}
	})
}

func TestUnfinishedExecutionsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := call(t, ConnOptions{}, func(far *esltest.Far) {
			events(t, far)
			for range MaxExecutions {
				order(t, far, "sleep")
			}
		})
		for range MaxExecutions {
			_, err := s.Start(t.Context(), "sleep", "1")
			must(t, err)
		}
		if _, err := s.Start(t.Context(), "sleep", "1"); !errors.Is(err, ErrTooMany) {
			t.Errorf("got %v, want ErrTooMany", err)
		}
	})
}
