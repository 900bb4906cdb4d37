package fsw

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/signalbox/signalbox/dialplan/encode"
	"github.com/signalbox/signalbox/esl"
	"github.com/signalbox/signalbox/esl/wire"
	"github.com/signalbox/signalbox/internal/call"
)

// Delivery is one call that plays a recorded message to a voicemail system.
type Delivery struct {
	Order   call.RingOrder
	Leg     string // UUID of the call, which nobody else has
	File    string // path on the switch
	Silence time.Duration
	Length  time.Duration // of the message
}

// Deliver calls a voicemail system and plays a message when it answers. Answered means that it was played to its end; whatever else is
// said, it was not, or nobody saw how it ended.
func (n *Node) Deliver(ctx context.Context, d Delivery) (call.Attempt, error) {
	attempt := call.Attempt{Target: targetName(d.Order), Started: time.Now(), Result: call.Unreachable}
	line, err := d.line()
	if err != nil {
		return attempt, err
	}
	conn, err := n.conn()
	if err != nil {
		return attempt, err
	}
	ended := make(chan *wire.Event, 1)
	n.ends.Store(d.Leg, ended)
	defer n.ends.Delete(d.Leg)
	ctx, cancel := context.WithTimeout(ctx, d.Order.Answer+d.Silence+d.Length+15*time.Second)
	defer cancel()
	_, err = conn.BgAPI(ctx, "originate "+line)
	if err != nil {
		attempt.Ended, attempt.Note = time.Now(), err.Error()
		var refused *esl.ReplyError
		if errors.As(err, &refused) {
			attempt.Disposition = strings.TrimPrefix(refused.Text, "-ERR ")
		}
		select { // what the switch tells of the call is more than the answer to originate
		case event := <-ended:
			attempt.Disposition = event.Get("Hangup-Cause")
		case <-time.After(time.Second):
		}
		return attempt, ctx.Err()
	}
	select {
	case event := <-ended:
		attempt.Ended, attempt.Disposition = time.Now(), event.Get("Hangup-Cause")
		if event.Var("signalbox_delivered") == "true" {
			attempt.Result = call.Answered
			return attempt, nil
		}
		attempt.Note = "it answered and hung up before the message was over"
		return attempt, nil
	case <-ctx.Done():
		return attempt, fmt.Errorf("the end of the call was not seen: %w", ctx.Err())
	}
}

// line is the argument of originate.
func (d Delivery) line() (string, error) {
	leg, err := encode.UUID(d.Leg)
	if err != nil {
		return "", err
	}
	order := d.Order
	order.Headers = nil
	for _, h := range d.Order.Headers {
		h.Value = oneWord(h.Value)
		order.Headers = append(order.Headers, h)
	}
	// The link's filter lets through the ends of calls with a signalbox_number.
	vars := []encode.Var{{Name: "origination_uuid", Value: leg}, {Name: "signalbox_number", Value: "delivery"}}
	if order.Caller.Number != "" && !order.Caller.Withheld {
		vars = append(vars, encode.Var{Name: "origination_caller_id_number", Value: string(order.Caller.Number)})
	}
	order.Caller.Name = ""
	dial, err := dialString(order, vars)
	if err != nil {
		return "", err
	}
	return encode.Deliver(dial, d.File, int(d.Silence/time.Millisecond))
}

// oneWord writes a list of URIs with their parameters, as in Diversion and History-Info, without what originate would part or unquote:
// display names go, and so do blanks; an apostrophe is written otherwise. A value that cannot be written so is left out, "".
func oneWord(value string) string {
	var b strings.Builder
	quoted, escaped := false, false
	for _, r := range value {
		switch {
		case escaped:
			escaped = false
		case quoted && r == '\\':
			escaped = true
		case r == '"':
			quoted = !quoted
		case quoted, r == ' ':
		case r == '\'':
			b.WriteString("%27")
		default:
			b.WriteRune(r)
		}
	}
	if quoted || strings.Contains(b.String(), "\\") {
		return ""
	}
	return b.String()
}

// tell hands the end of a call of ours to whoever waits for it.
func (n *Node) tell(event *wire.Event) {
	if event.Name() != "CHANNEL_HANGUP_COMPLETE" {
		return
	}
	if ended, ok := n.ends.Load(event.UUID()); ok {
		select {
		case ended.(chan *wire.Event) <- event:
		default:
		}
	}
}
