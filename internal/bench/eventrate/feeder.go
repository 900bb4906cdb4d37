package eventrate

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/signalbox/signalbox/esl/wire"
)

// Load is what one client has to take.
type Load struct {
	Events   int    // in all
	PerReply int    // events between two replies to api commands
	Burst    int    // events that FreeSWITCH has ready at one time, as one write
	Calls    int    // concurrent calls that the events are of
	JSON     bool   // events as JSON
	Seed     uint64 // of the order in which the calls take turns
}

// Replies is how many api commands are answered within the load.
func (l Load) Replies() int { return l.Events / l.PerReply }

// Feed plays FreeSWITCH for each client that connects to l, one after the other, until ctx ends: it greets, takes any
// password, and after the subscription sends the events of load. After each PerReply events it waits for an api
// command, unless one waits already, and answers "api echo TEXT" with TEXT. The order of events and replies on the wire is
// therefore the same for every client.
func Feed(ctx context.Context, l net.Listener, load Load) error {
	made, err := scripts(load.JSON)
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = l.Close() })
	defer stop()
	for {
		nc, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("waiting for a client: %w", err)
		}
		if err := feed(ctx, nc, made, load); err != nil {
			return err
		}
	}
}

// feed serves one client to its end.
func feed(ctx context.Context, nc net.Conn, made []script, load Load) error {
	stop := context.AfterFunc(ctx, func() { _ = nc.Close() })
	defer stop()
	defer func() { _ = nc.Close() }()
	client := bufio.NewReader(nc)
	if _, err := nc.Write(wire.AppendAuthRequest(nil)); err != nil {
		return err
	}
	for _, reply := range []string{"+OK accepted", "+OK event listener enabled plain"} {
		if _, err := wire.ReadCommand(client, wire.Limits{}); err != nil {
			return fmt.Errorf("a client that logs in: %w", err)
		}
		if _, err := nc.Write(wire.AppendReply(nil, reply)); err != nil {
			return err
		}
	}
	events := newStream(made, load.Calls, load.Seed)
	var b []byte
	answered := 0
	for sent := 1; sent <= load.Events; sent++ {
		b = events.appendNext(b)
		if sent%load.PerReply == 0 {
			c, err := commandOf(client, nc, &b)
			if err != nil {
				return fmt.Errorf("waiting for api command %d of a client: %w", answered+1, err)
			}
			b = wire.AppendAPIResponse(b, strings.TrimPrefix(c.Line, "api echo "))
			answered++
		}
		if sent%load.Burst == 0 || sent == load.Events {
			if _, err := nc.Write(b); err != nil {
				return fmt.Errorf("sending event %d of %d: %w", sent, load.Events, err)
			}
			b = b[:0]
		}
	}
	return leave(client, nc)
}

// commandOf gives the next command. When none waits, what is ready is sent first: a client may need it to go on.
func commandOf(client *bufio.Reader, nc net.Conn, ready *[]byte) (*wire.Command, error) {
	if client.Buffered() == 0 {
		if _, err := nc.Write(*ready); err != nil {
			return nil, err
		}
		*ready = (*ready)[:0]
	}
	return wire.ReadCommand(client, wire.Limits{})
}

// leave waits for the client's end, and says goodbye if it says exit.
func leave(client *bufio.Reader, nc net.Conn) error {
	for {
		_, err := wire.ReadCommand(client, wire.Limits{})
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return nil //nolint:nilerr // a client that breaks off has left too
		}
		if _, err := nc.Write(wire.AppendDisconnect(wire.AppendReply(nil, "+OK bye"), "")); err != nil {
			return nil //nolint:nilerr // it left before our goodbye
		}
	}
}
