package esl

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/signalbox/signalbox/esl/esltest"
	"github.com/signalbox/signalbox/esl/wire"
)

// recordedEvents lists name and sequence of a recording's events, in order.
func recordedEvents(t *testing.T, rec *esltest.Recording) []string {
	t.Helper()
	messages, err := rec.Messages()
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, m := range messages {
		if m.ContentType() != wire.TypeEventPlain {
			continue
		}
		e, err := wire.ParseEvent(m)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, e.Name()+" "+e.Get("Event-Sequence"))
	}
	return list
}

// replay plays a recording on a connection in memory and fails the test when the
// recording and the client disagree.
func replay(t *testing.T, rec *esltest.Recording) net.Conn {
	t.Helper()
	client, far := net.Pipe()
	over := make(chan error, 1)
	go func() { over <- esltest.Replay(rec, far) }()
	t.Cleanup(func() {
		_ = client.Close()
		if err := <-over; err != nil {
			t.Errorf("replay: %v", err)
		}
	})
	return client
}

func drainEvents(c *Conn) []string {
	var list []string
	for e := range c.Events() {
		list = append(list, e.Name()+" "+e.Get("Event-Sequence"))
	}
	return list
}

func sameLists(t *testing.T, got, want []string) {
	t.Helper()
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("events delivered:\n%s\nrecorded:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestRecordedSessionsReplay drives a Session through each outbound recording: all
// commands answered, every application completed by its own UUID, all events in order.
func TestRecordedSessionsReplay(t *testing.T) {
	wantCause := map[string]string{
		"outbound-conference":         "NORMAL_CLEARING",
		"outbound-noanswer-voicemail": "NORMAL_CLEARING",
		"outbound-bridge-failures":    "DESTINATION_OUT_OF_ORDER",
		"outbound-controller-crash":   "",
	}
	for name, cause := range wantCause {
		t.Run(name, func(t *testing.T) {
			rec, err := esltest.Load(name)
			if err != nil {
				t.Fatal(err)
			}
			commands, err := rec.Commands()
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			s, err := openSession(ctx, replay(t, rec), ConnOptions{}, begun{timeout: time.Second})
			if err != nil {
				t.Fatal(err)
			}
			started := driveSession(ctx, t, s, commands[1:])
			got := drainEvents(s.Conn)
			sameLists(t, got, recordedEvents(t, rec))
			if s.HangupCause() != cause {
				t.Errorf("cause %q, want %q", s.HangupCause(), cause)
			}
			if (s.FinalEvent() != nil) != (cause != "") {
				t.Errorf("final event %v, cause %q", s.FinalEvent(), cause)
			}
			for _, x := range started {
				e, err := x.Wait(ctx)
				switch {
				case x.app == "nosuchapp":
					var hangup *HangupError
					if !errors.As(err, &hangup) || hangup.Cause != cause {
						t.Errorf("unknown application: %v", err)
					}
				case x.app == "playback" && cause == "":
					if !errors.Is(err, ErrDisconnected) {
						t.Errorf("playback cut by the end of the connection: %v, want ErrDisconnected", err)
					}
				case err != nil:
					t.Errorf("%s: %v", x.app, err)
				case e.Get("Application") != x.app || e.Get("Application-UUID") != x.UUID():
					t.Errorf("%s completed by the event of %s", x.app, e.Get("Application"))
				}
			}
		})
	}
}

// driveSession does what the recorded client did, through the methods of Session.
func driveSession(ctx context.Context, t *testing.T, s *Session, commands []*wire.Command) []*Execution {
	t.Helper()
	var started []*Execution
	for _, c := range commands {
		var err error
		switch {
		case c.Line == "linger 5":
			err = s.Linger(ctx, 5*time.Second)
		case c.Line == "myevents":
			err = s.MyEvents(ctx)
		case c.Get("call-command") == "execute":
			var x *Execution
			if x, err = s.Start(ctx, c.Get("execute-app-name"), c.Get("execute-app-arg")); err == nil {
				started = append(started, x)
			}
		case c.Get("call-command") == "hangup":
			_, err = s.Send(ctx, Raw("sendmsg\ncall-command: hangup\nhangup-cause: "+c.Get("hangup-cause")))
		default:
			_, err = s.Send(ctx, Raw(c.Line))
		}
		if err != nil {
			t.Fatalf("%s: %v", c.Line, err)
		}
	}
	return started
}

// TestRecordedInboundReplays drives a Conn through each inbound recording.
func TestRecordedInboundReplays(t *testing.T) {
	for _, name := range []string{"inbound-session", "inbound-registrations"} {
		t.Run(name, func(t *testing.T) {
			rec, err := esltest.Load(name)
			if err != nil {
				t.Fatal(err)
			}
			commands, err := rec.Commands()
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			c, err := Dial(ctx, DialOptions{Password: "ClueCon", DialContext: func(context.Context, string, string) (net.Conn, error) {
				return replay(t, rec), nil
			}})
			if err != nil {
				t.Fatal(err)
			}
			refused := 0
			for _, cmd := range commands[1:] {
				refused += driveConn(ctx, t, c, cmd)
			}
			sameLists(t, drainEvents(c), recordedEvents(t, rec))
			if want := map[string]int{"inbound-session": 5}[name]; refused != want {
				t.Errorf("%d commands refused, recorded %d", refused, want)
			}
			if !errors.Is(c.Err(), ErrDisconnected) {
				t.Errorf("connection ended with %v, want ErrDisconnected", c.Err())
			}
		})
	}
}

// driveConn sends one recorded command and tells 1 when FreeSWITCH refused it.
func driveConn(ctx context.Context, t *testing.T, c *Conn, cmd *wire.Command) int {
	t.Helper()
	var err error
	switch cmd.Verb() {
	case "api":
		_, err = c.API(ctx, cmd.Args())
	case "bgapi":
		c.jobsListen.Store(true) // the recorded client had subscribed
		_, err = c.BgAPI(ctx, cmd.Args())
	case "sendevent":
		var r Reply
		r, err = c.Send(ctx, Raw(cmd.Line+"\nEvent-Subclass: signalbox::test\ncontent-length: 4\n\nbody"))
		if err == nil {
			err = r.Err()
		}
	default:
		var r Reply
		if r, err = c.Send(ctx, Raw(cmd.Line)); err == nil {
			err = r.Err()
		}
	}
	var refused *ReplyError
	if errors.As(err, &refused) {
		return 1
	}
	if err != nil {
		t.Fatalf("%s: %v", cmd.Line, err)
	}
	return 0
}

func TestWrongPasswordRecordingIsErrAuth(t *testing.T) {
	rec, err := esltest.Load("inbound-wrong-password")
	if err != nil {
		t.Fatal(err)
	}
	_, err = Dial(t.Context(), DialOptions{Addr: "node:8021", Password: "sesame", DialContext: func(context.Context, string, string) (net.Conn, error) {
		return replay(t, rec), nil
	}})
	if !errors.Is(err, ErrAuth) {
		t.Errorf("got %v, want ErrAuth", err)
	}
	if strings.Contains(err.Error(), "sesame") {
		t.Errorf("the error shows the password: %v", err)
	}
}
