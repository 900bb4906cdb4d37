package wire

import (
	"errors"
	"fmt"
)

// The ways a stream from the network can be wrong. Every error of a [Reader],
// of [ReadCommand], [ParseEvent] and [Check] wraps one of these, an error of
// the underlying connection, or io.EOF (a clean end between two messages).
var (
	// ErrReset: the connection broke (TCP reset and the like) between two messages.
	ErrReset = errors.New("event socket connection broke")
	// ErrTruncated: the stream ended, or the connection was reset, inside a message.
	ErrTruncated = errors.New("event socket stream ended inside a message")
	// ErrLineTooLong: one header line is longer than Limits.MaxLine.
	ErrLineTooLong = errors.New("event socket header line too long")
	// ErrTooManyHeaders: more header lines than Limits.MaxHeaders, or more
	// header bytes than Limits.MaxHeaderBytes, before the blank line.
	ErrTooManyHeaders = errors.New("event socket message has too many headers")
	// ErrMalformedHeader: a header line without a colon or with an empty name,
	// or a NUL byte in the header.
	ErrMalformedHeader = errors.New("malformed event socket header")
	// ErrBadContentLength: Content-Length is not a plain non-negative decimal
	// number, or two of them disagree.
	ErrBadContentLength = errors.New("bad Content-Length on the event socket")
	// ErrBodyTooLarge: Content-Length is larger than Limits.MaxBody.
	ErrBodyTooLarge = errors.New("event socket body too large")
	// ErrNotEvent: ParseEvent was given a message that carries no event.
	ErrNotEvent = errors.New("event socket message is not an event")
	// ErrUnsupportedFormat: the event is in a format this package does not
	// read (text/event-xml).
	ErrUnsupportedFormat = errors.New("event format not supported, subscribe to plain or json")
	// ErrMalformedEvent: the body of the event is not what its type says.
	ErrMalformedEvent = errors.New("malformed event")
)

// Limits bounds what a reader accepts. A zero field means the value of
// [DefaultLimits].
type Limits struct {
	MaxLine        int // bytes of one header line, line end included
	MaxHeaders     int // header lines of one message
	MaxHeaderBytes int // bytes of all header lines of one message
	MaxBody        int // bytes of one body, the largest Content-Length accepted
}

// DefaultLimits are 512 KiB a line, 4,096 headers, 2 MiB of headers and a body of
// 16 MiB. A channel's data is about 130 headers in 6 kB, an X- header of an
// INVITE over TCP may carry 60,000 characters, each up to three bytes once
// encoded, and "show channels as json" takes about 1 kB a channel; 16 MiB is
// also the largest body FreeSWITCH 1.11 accepts.
func DefaultLimits() Limits {
	return Limits{MaxLine: 512 << 10, MaxHeaders: 4096, MaxHeaderBytes: 2 << 20, MaxBody: 16 << 20}
}

// withDefaults fills the zero fields from DefaultLimits.
func (l Limits) withDefaults() Limits {
	d := DefaultLimits()
	if l.MaxLine <= 0 {
		l.MaxLine = d.MaxLine
	}
	if l.MaxHeaders <= 0 {
		l.MaxHeaders = d.MaxHeaders
	}
	if l.MaxHeaderBytes <= 0 {
		l.MaxHeaderBytes = d.MaxHeaderBytes
	}
	if l.MaxBody <= 0 {
		l.MaxBody = d.MaxBody
	}
	return l
}

func errLimit(err error, limit int) error { return fmt.Errorf("%w (limit %d)", err, limit) }
