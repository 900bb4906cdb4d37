package esl

import (
	"errors"
	"fmt"
	"strings"
)

// The ways a connection ends or a command fails. A stream that is wrong gives the
// named errors of package wire (wire.ErrTruncated and so on).
var (
	// ErrClosed: we closed the connection ourselves.
	ErrClosed = errors.New("event socket connection closed by us")
	// ErrDisconnected: FreeSWITCH said goodbye (text/disconnect-notice), or
	// closed the connection between two messages.
	ErrDisconnected = errors.New("freeswitch closed the event socket connection")
	// ErrTimeout: FreeSWITCH did not answer a command in time. The connection
	// was closed, because what comes later would be an answer to nobody.
	ErrTimeout = errors.New("freeswitch did not answer on the event socket in time")
	// ErrFault: a panic in our own code, or in a callback; the log has its stack.
	ErrFault = errors.New("fault of our own on the event socket connection, the log has its stack")
	// ErrRejected: FreeSWITCH turned our address away (text/rude-rejection).
	ErrRejected = errors.New("freeswitch refuses our address on the event socket, look at apply-inbound-acl in event_socket.conf.xml")
	// ErrAuth: the password or the user was not accepted.
	ErrAuth = errors.New("freeswitch refused the event socket login, check password and user")
	// ErrNoGreeting: no auth/request came after connecting; perhaps something else
	// listens there.
	ErrNoGreeting = errors.New("no auth/request after connecting, is this the event socket of a freeswitch?")
	// ErrUnknownType: a message of a content type this package does not know.
	ErrUnknownType = errors.New("unknown content type on the event socket")
	// ErrUnexpectedReply: a reply came though no command was waiting.
	ErrUnexpectedReply = errors.New("reply on the event socket that no command waited for")
	// ErrEventsLost: the event queue was full and Overflow says to close.
	ErrEventsLost = errors.New("event queue full, events would be lost")
	// ErrNoReply: the api command gave no output at all ("-ERR no reply").
	ErrNoReply = errors.New("freeswitch command gave no output")
	// ErrDown: the Link has no connection at the moment.
	ErrDown = errors.New("no event socket connection to freeswitch at the moment")
	// ErrIncomplete: what OnAttach saw is not complete yet; the Link lets it look again.
	ErrIncomplete = errors.New("the view of freeswitch is not complete yet")
	// ErrCallerGone: an outbound connection did not answer "connect" in time;
	// the caller has hung up before we were ready.
	ErrCallerGone = errors.New("no answer to connect, the caller is gone")
	// ErrHangup is wrapped by every HangupError.
	ErrHangup = errors.New("channel hung up")
	// ErrTooMany: more than MaxExecutions applications or MaxJobs background jobs
	// are waiting on one connection.
	ErrTooMany = errors.New("too many unfinished commands on one event socket connection")
	// ErrHandlersStuck: handlers did not return within the drain time and the
	// grace behind it.
	ErrHandlersStuck = errors.New("session handlers did not return")
)

// ReplyError is a command that FreeSWITCH refused: a reply that begins with
// -ERR or -USAGE.
type ReplyError struct {
	Command string // the first word or two of the command, never its arguments
	Text    string // what FreeSWITCH said, such as "-ERR No such channel!"
}

func (e *ReplyError) Error() string {
	return fmt.Sprintf("freeswitch refused %s: %s", e.Command, e.Text)
}

// Is makes errors.Is(err, ErrNoReply) true for an empty result.
func (e *ReplyError) Is(target error) bool {
	return target == ErrNoReply && strings.TrimSpace(e.Text) == "-ERR no reply"
}

// HangupError says that the channel hung up before an application completed. It
// wraps ErrHangup.
type HangupError struct {
	Cause string // FreeSWITCH's name, such as ORIGINATOR_CANCEL; "" when not known
}

func (e *HangupError) Error() string {
	if e.Cause == "" {
		return ErrHangup.Error()
	}
	return ErrHangup.Error() + ": " + e.Cause
}

func (e *HangupError) Unwrap() error { return ErrHangup }

// replyError judges the text of a reply.
func replyError(command, text string) error {
	if strings.HasPrefix(text, "-ERR") || strings.HasPrefix(text, "-USAGE") {
		return &ReplyError{Command: command, Text: strings.TrimRight(text, "\r\n")}
	}
	return nil
}
