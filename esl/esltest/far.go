package esltest

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/google/uuid"

	"github.com/signalbox/signalbox/esl/wire"
)

// Far is the FreeSWITCH end of one connection.
type Far struct {
	net.Conn
	br *bufio.Reader
}

// NewFar takes the FreeSWITCH end of a connection.
func NewFar(nc net.Conn) *Far { return &Far{Conn: nc, br: bufio.NewReader(nc)} }

// Pipe gives a client's end of a connection in memory and its far end. Nothing is
// buffered: a write ends when the other side has read it.
func Pipe() (net.Conn, *Far) {
	client, far := net.Pipe()
	return client, NewFar(far)
}

// Command reads the client's next message; io.EOF when the client has closed.
func (f *Far) Command() (*wire.Command, error) {
	return wire.ReadCommand(f.br, wire.Limits{})
}

// Expect reads the next message and wants its line to begin with prefix.
func (f *Far) Expect(prefix string) (*wire.Command, error) {
	c, err := f.Command()
	if err != nil {
		return nil, fmt.Errorf("waiting for %q: %w", prefix, err)
	}
	if !strings.HasPrefix(c.Line, prefix) {
		return c, fmt.Errorf("got %q, want %q", c.Line, prefix)
	}
	return c, nil
}

// ExpectReply is Expect, and then the reply text.
func (f *Far) ExpectReply(prefix, text string) (*wire.Command, error) {
	c, err := f.Expect(prefix)
	if err != nil {
		return c, err
	}
	return c, f.Reply(text)
}

func (f *Far) send(b []byte) error {
	_, err := f.Write(b)
	return err
}

// AuthRequest greets an inbound client.
func (f *Far) AuthRequest() error { return f.send(wire.AppendAuthRequest(nil)) }

// Reply writes a command/reply.
func (f *Far) Reply(text string, extra ...wire.Field) error {
	return f.send(wire.AppendReply(nil, text, extra...))
}

// API writes an api/response.
func (f *Far) API(body string) error { return f.send(wire.AppendAPIResponse(nil, body)) }

// Event writes a plain event.
func (f *Far) Event(fields ...wire.Field) error { return f.EventBody(nil, fields...) }

// EventBody writes a plain event that has a body.
func (f *Far) EventBody(body []byte, fields ...wire.Field) error {
	return f.send(wire.AppendEventPlain(nil, fields, body))
}

// EventJSON writes a JSON event.
func (f *Far) EventJSON(fields ...wire.Field) error {
	return f.send(wire.AppendEventJSON(nil, fields, nil))
}

// Connect answers "connect" with a channel's data ("async full").
func (f *Far) Connect(channel ...wire.Field) error {
	return f.send(wire.AppendConnectReply(nil, channel, true, true))
}

// Linger writes the notice that the channel is gone and the connection stays.
func (f *Far) Linger(uuid string, seconds int) error {
	return f.send(wire.AppendLinger(nil, uuid, "sofia/external/test", seconds))
}

// Disconnect writes the last notice; uuid "" on an inbound connection.
func (f *Far) Disconnect(uuid string) error { return f.send(wire.AppendDisconnect(nil, uuid)) }

// Inbound is a small FreeSWITCH for clients that log in. It knows auth, userauth, event,
// nixevent, noevents, filter, api, bgapi and exit, and says "-ERR command not
// found" to the rest, as FreeSWITCH does.
type Inbound struct {
	Password string
	User     string                      // user@domain for userauth, "" for auth
	CoreUUID string                      // of api global_getvar core_uuid and of events
	API      func(command string) string // output of api and bgapi, nil: none is known
}

// Serve greets the client and answers it until it leaves.
func (in Inbound) Serve(f *Far) error {
	defer func() { _ = f.Close() }()
	if err := f.AuthRequest(); err != nil {
		return err
	}
	for authed := false; ; {
		c, err := f.Command()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		over := false
		if !authed {
			authed, err = in.login(f, c)
			over = !authed
		} else {
			over, err = in.answer(f, c)
		}
		if err != nil {
			return err
		}
		if over {
			return f.Disconnect("")
		}
	}
}

func (in Inbound) login(f *Far, c *wire.Command) (bool, error) {
	switch {
	case in.User == "" && c.Line == "auth "+in.Password:
		return true, f.Reply("+OK accepted")
	case in.User != "" && c.Line == "userauth "+in.User+":"+in.Password:
		return true, f.Reply("+OK accepted", wire.Field{Name: "Allowed-Events", Value: "all"},
			wire.Field{Name: "Allowed-API", Value: "all"}, wire.Field{Name: "Allowed-LOG", Value: "true"})
	}
	return false, f.Reply("-ERR invalid")
}

func (in Inbound) answer(f *Far, c *wire.Command) (over bool, err error) {
	switch c.Verb() {
	case "api":
		return false, f.API(in.output(c.Args()))
	case "bgapi":
		id := c.Get("Job-UUID")
		if id == "" {
			id = uuid.NewString()
		}
		if err := f.Reply("+OK Job-UUID: "+id, wire.Field{Name: "Job-UUID", Value: id}); err != nil {
			return false, err
		}
		name, arg, _ := strings.Cut(c.Args(), " ")
		fields := []wire.Field{{Name: "Event-Name", Value: "BACKGROUND_JOB"}, {Name: "Core-UUID", Value: in.CoreUUID},
			{Name: "Job-UUID", Value: id}, {Name: "Job-Command", Value: name}}
		if arg != "" {
			fields = append(fields, wire.Field{Name: "Job-Command-Arg", Value: arg})
		}
		return false, f.EventBody([]byte(in.output(c.Args())), fields...)
	case "event":
		format, _, _ := strings.Cut(c.Args(), " ")
		return false, f.Reply("+OK event listener enabled " + format)
	case "filter":
		name, value, _ := strings.Cut(c.Args(), " ")
		return false, f.Reply("+OK filter added. [" + name + "]=[" + value + "]")
	case "nixevent":
		return false, f.Reply("+OK events nixed")
	case "noevents":
		return false, f.Reply("+OK no longer listening for events")
	case "exit":
		return true, f.Reply("+OK bye")
	}
	return false, f.Reply("-ERR command not found")
}

func (in Inbound) output(command string) string {
	if command == "global_getvar core_uuid" {
		return in.CoreUUID
	}
	if in.API != nil {
		return in.API(command)
	}
	name, _, _ := strings.Cut(command, " ")
	return "-ERR " + name + " Command not found!\n"
}
