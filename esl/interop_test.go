package esl_test

import (
	"context"
	"net"
	"net/textproto"
	"testing"

	"github.com/percipia/eslgo/command"
	"github.com/percipia/eslgo/command/call"

	"github.com/signalbox/signalbox/esl"
	"github.com/signalbox/signalbox/esl/esltest"
	"github.com/signalbox/signalbox/esl/wire"
)

// eslgo's commands are the vocabulary: they fit our Command as they are.
var (
	_ esl.Command = command.API{}
	_ esl.Command = command.Auth{}
	_ esl.Command = command.Connect{}
	_ esl.Command = command.Event{}
	_ esl.Command = command.MyEvents{}
	_ esl.Command = command.Exit{}
	_ esl.Command = command.Filter{}
	_ esl.Command = &command.SendMessage{}
	_ esl.Command = &command.SendEvent{}
	_ esl.Command = &call.Execute{}
	_ esl.Command = call.Set{}
	_ esl.Command = call.Hangup{}
	_ esl.Command = esl.Raw("")
)

// TestEslgosCommandsArriveAsOne sends eslgo's messages through our Conn: each arrives as
// one message with what it was built of.
func TestEslgosCommandsArriveAsOne(t *testing.T) {
	client, far := esltest.Pipe()
	server, err := esl.Dial(t.Context(), esl.DialOptions{DialContext: func(context.Context, string, string) (net.Conn, error) {
		go func() {
			_ = far.AuthRequest()
			_, _ = far.ExpectReply("auth", "+OK accepted")
		}()
		return client, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = server.Close() }()
	tests := []struct {
		cmd  esl.Command
		want wire.Command
	}{
		{command.API{Command: "uuid_exists", Arguments: "x"}, wire.Command{Line: "api uuid_exists x"}},
		{&call.Execute{UUID: "u", AppName: "playback", AppArgs: "a b", AppUUID: "id", Sync: true},
			wire.Command{Line: "sendmsg u", Header: []wire.Field{{Name: "execute-app-arg", Value: "a b"}, {Name: "event-uuid", Value: "id"}, {Name: "event-lock", Value: "true"}}}},
		{&call.Execute{AppName: "set", AppArgs: "a=b\nc", ForceBody: true}, wire.Command{Line: "sendmsg ", Body: []byte("a=b\nc")}},
		{call.Set{UUID: "u", Key: "k", Value: "v"}, wire.Command{Line: "sendmsg u", Body: []byte("k=v")}},
		{&command.SendEvent{Name: "CUSTOM", Headers: textproto.MIMEHeader{"Event-Subclass": {"a::b"}}, Body: "hi"},
			wire.Command{Line: "sendevent CUSTOM", Header: []wire.Field{{Name: "event-subclass", Value: "a::b"}}, Body: []byte("hi")}},
	}
	for _, tt := range tests {
		got := make(chan *wire.Command, 1)
		go func() {
			c, err := far.Command()
			if err == nil {
				err = far.Reply("+OK")
			}
			if err != nil {
				t.Error(err)
			}
			got <- c
		}()
		if _, err := server.Send(t.Context(), tt.cmd); err != nil {
			t.Fatalf("%T: %v", tt.cmd, err)
		}
		c := <-got
		if c.Line != tt.want.Line || string(c.Body) != string(tt.want.Body) {
			t.Errorf("%T arrives as %q %q", tt.cmd, c.Line, c.Body)
		}
		for _, f := range tt.want.Header {
			if c.Get(f.Name) != f.Value {
				t.Errorf("%T: %s is %q, want %q", tt.cmd, f.Name, c.Get(f.Name), f.Value)
			}
		}
	}
}

// TestEslgosHolesAreClosed: eslgo passes CR and LF of a display name through; the check
// does not.
func TestEslgosHolesAreClosed(t *testing.T) {
	evil := "Anna\r\n\r\napi hupall\r\n\r\n"
	for _, cmd := range []esl.Command{
		&call.Execute{AppName: "set", AppArgs: "x=" + evil},
		command.API{Command: "uuid_setvar", Arguments: "u n " + evil},
		call.Hangup{Cause: evil},
		&call.Execute{AppName: "set", AppArgs: "x=Anna\r\ncall-command: hangup"},
		command.Filter{EventHeader: "a", FilterValue: "b\nc: d"},
	} {
		if err := wire.Check(cmd.BuildMessage()); err == nil {
			t.Errorf("%T lets through %q", cmd, cmd.BuildMessage())
		}
	}
}
