package esl

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/signalbox/signalbox/esl/wire"
)

// MaxBatch is how many commands SendAll takes.
const MaxBatch = 64

// request is one command on its way, or several that are written as one. Whoever sent it is woken once, when all are answered.
type request struct {
	frame    []byte
	labels   []string // one for each command, in their order
	state    atomic.Int32
	deadline time.Time     // of the last reply; set when it is written
	replies  []Reply       // those that have come; guarded by Conn.mu
	answered chan struct{} // closed with the last
}

// The states of a request.
const (
	requestQueued    = iota
	requestTaken     // by whoever writes: it is or will be on the wire
	requestAbandoned // given up before it was written; the writer passes over it
)

func newRequest(cmds ...Command) (*request, error) {
	req := &request{labels: make([]string, 0, len(cmds)), replies: make([]Reply, 0, len(cmds)), answered: make(chan struct{})}
	for _, cmd := range cmds {
		message := cmd.BuildMessage()
		if req.frame == nil {
			req.frame = make([]byte, 0, len(cmds)*(len(message)+2))
		}
		var err error
		if req.frame, err = wire.AppendCommand(req.frame, message); err != nil {
			return nil, err
		}
		req.labels = append(req.labels, label(message))
	}
	return req, nil
}

// name tells in errors which command it is about, the first of those whose reply has not come.
func (r *request) name(answered int) string { return r.labels[min(answered, len(r.labels)-1)] }

// Send sends one command and waits for its reply. The error is about the
// connection or the message; a command FreeSWITCH refused comes as Reply.Err. When
// the deadline of ctx passes while the reply is awaited, the connection is closed
// (ErrTimeout), unless it is a Link's; when ctx is cancelled, only this caller leaves.
func (c *Conn) Send(ctx context.Context, cmd Command) (Reply, error) {
	req, err := newRequest(cmd)
	if err != nil {
		return Reply{}, err
	}
	replies, err := c.send(ctx, req)
	if err != nil {
		return Reply{}, err
	}
	return replies[0], nil
}

// SendAll sends several commands at once, at most MaxBatch, without waiting for the reply of one before the next is sent, and gives
// their replies in the order of the commands. FreeSWITCH runs them one after the other, each whatever the one before gave.
// If one of them may not be sent, none is. With an error come the replies there were before; otherwise it is as Send, the
// times counted for all together.
func (c *Conn) SendAll(ctx context.Context, cmds ...Command) ([]Reply, error) {
	if len(cmds) == 0 {
		return nil, nil
	}
	if len(cmds) > MaxBatch {
		return nil, fmt.Errorf("%w: %d at once, %d are allowed", ErrTooMany, len(cmds), MaxBatch)
	}
	req, err := newRequest(cmds...)
	if err != nil {
		return nil, err
	}
	return c.send(ctx, req)
}

// send gets a request written and waits for all its replies.
func (c *Conn) send(ctx context.Context, req *request) (replies []Reply, err error) {
	if err := c.Err(); err != nil {
		return nil, fmt.Errorf("%s: %w", req.name(0), err)
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("%s was not sent: %w", req.name(0), err)
	}
	if !c.writeNow(req) {
		select {
		case c.queue <- req:
		case <-ctx.Done():
			return nil, fmt.Errorf("%s was not sent: %w", req.name(0), ctx.Err())
		case <-c.done:
			return nil, fmt.Errorf("%s: %w", req.name(0), c.Err())
		}
	}
	select {
	case <-req.answered:
	case <-c.done:
	case <-ctx.Done():
	}
	c.mu.Lock() // the last reply may have come with the end, and the end with the end of ctx
	replies = req.replies
	c.mu.Unlock()
	if len(replies) < len(req.labels) {
		return replies, c.unanswered(ctx, req, len(replies))
	}
	return replies, nil
}

// unanswered says why a reply did not come, and ends the connection if it is now out of step with the one who waited.
func (c *Conn) unanswered(ctx context.Context, req *request, answered int) error {
	if err := c.Err(); err != nil {
		return fmt.Errorf("%s: %w", req.name(answered), err)
	}
	if req.state.CompareAndSwap(requestQueued, requestAbandoned) {
		return fmt.Errorf("%s was not sent: %w", req.name(0), ctx.Err())
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) && !c.opt.shared {
		err := fmt.Errorf("%w: %s", ErrTimeout, req.name(answered))
		c.fail(err)
		return fmt.Errorf("%w: %w", err, ctx.Err())
	}
	return fmt.Errorf("waiting for the answer to %s: %w", req.name(answered), ctx.Err())
}
