package wire

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
)

// The content types FreeSWITCH sends.
const (
	TypeAuthRequest      = "auth/request"
	TypeCommandReply     = "command/reply"
	TypeAPIResponse      = "api/response"
	TypeEventPlain       = "text/event-plain"
	TypeEventJSON        = "text/event-json"
	TypeEventXML         = "text/event-xml"
	TypeDisconnectNotice = "text/disconnect-notice"
	TypeRudeRejection    = "text/rude-rejection"
	TypeLogData          = "log/data"
)

// Message is one Event Socket frame: its headers, and a body of Content-Length
// bytes. It is immutable.
type Message struct {
	Header Header
	Body   []byte // nil without a Content-Length, or with a length of 0

	contentType string
}

// NewMessage makes a message; the content type is taken from the header.
func NewMessage(h Header, body []byte) *Message {
	return &Message{Header: h, Body: body, contentType: h.Get("Content-Type")}
}

// ContentType gives the value of Content-Type, one of the Type constants or
// something unknown.
func (m *Message) ContentType() string { return m.contentType }

// Reader cuts the byte stream of FreeSWITCH into messages. It belongs to one
// goroutine.
type Reader struct {
	br     *bufio.Reader
	limits Limits
	spill  []byte // a line longer than the buffer of br
}

// readerBuffer is what a Reader holds for the connection, in bytes.
const readerBuffer = 16 << 10

// bodyStep is how much of a body is allocated before that many bytes came, so
// that a Content-Length alone costs no memory.
const bodyStep = 64 << 10

// NewReader reads from r within l; zero fields of l mean DefaultLimits. It
// buffers 16 KiB.
func NewReader(r io.Reader, l Limits) *Reader {
	return &Reader{br: bufio.NewReaderSize(r, readerBuffer), limits: l.withDefaults()}
}

// Read gives the next message. It returns io.EOF when the stream ends between two
// messages, an error that wraps ErrTruncated when it ends or breaks inside
// one, ErrReset when it breaks between two, and the named errors of this package for what FreeSWITCH never sends.
// After an error the stream is out of step: close it.
func (r *Reader) Read() (*Message, error) {
	m := &Message{}
	block, length, err := r.readHeader(m)
	if err != nil {
		return nil, err
	}
	m.Header = Header{block: block}
	if length > 0 {
		if m.Body, err = readBody(r.br, length); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// readHeader reads up to the blank line. Blank lines before the first header
// are passed over, within the bound on headers.
func (r *Reader) readHeader(m *Message) (block []byte, length int, err error) {
	length = -1
	blank := 0
	for lines := 0; ; {
		line, err := r.readLine()
		if err != nil {
			return nil, 0, endOf(err, lines == 0 && len(line) == 0)
		}
		if len(line) == 0 {
			if lines > 0 {
				break
			}
			if blank++; blank > r.limits.MaxHeaders {
				return nil, 0, errLimit(ErrTooManyHeaders, r.limits.MaxHeaders)
			}
			continue
		}
		if lines++; lines > r.limits.MaxHeaders {
			return nil, 0, errLimit(ErrTooManyHeaders, r.limits.MaxHeaders)
		}
		name, value, err := splitHeader(line)
		if err != nil {
			return nil, 0, err
		}
		if block == nil {
			block = make([]byte, 0, 96)
		}
		if len(block)+len(line)+2 > r.limits.MaxHeaderBytes {
			return nil, 0, errLimit(ErrTooManyHeaders, r.limits.MaxHeaderBytes)
		}
		if length, err = r.note(m, name, value, length); err != nil {
			return nil, 0, err
		}
		block = append(block, name...)
		block = append(block, ':', ' ')
		block = append(block, value...)
		block = append(block, '\n')
	}
	return block, length, nil
}

// note takes from a header what framing needs.
func (r *Reader) note(m *Message, name, value []byte, length int) (int, error) {
	switch {
	case len(name) == len("Content-Type") && bytes.EqualFold(name, nameContentType):
		if m.contentType == "" {
			m.contentType = internType(value)
		}
	case len(name) == len("Content-Length") && bytes.EqualFold(name, nameContentLength):
		n, err := parseLength(value, r.limits.MaxBody)
		if err != nil {
			return 0, err
		}
		if length >= 0 && n != length {
			return 0, fmt.Errorf("%w: both %d and %d", ErrBadContentLength, length, n)
		}
		return n, nil
	}
	return length, nil
}

var (
	nameContentType   = []byte("Content-Type")
	nameContentLength = []byte("Content-Length")
)

// internType gives the constant for a known type, to save a copy.
func internType(v []byte) string {
	switch string(v) {
	case TypeEventPlain:
		return TypeEventPlain
	case TypeEventJSON:
		return TypeEventJSON
	case TypeCommandReply:
		return TypeCommandReply
	case TypeAPIResponse:
		return TypeAPIResponse
	}
	return string(v)
}

// parseLength reads a Content-Length: plain decimal digits, at most limit.
func parseLength(v []byte, limit int) (int, error) {
	if len(v) == 0 || len(v) > 20 {
		return 0, fmt.Errorf("%w: %.24q", ErrBadContentLength, v)
	}
	for _, c := range v {
		if c < '0' || c > '9' {
			return 0, fmt.Errorf("%w: %q", ErrBadContentLength, v)
		}
	}
	n, err := strconv.ParseUint(string(v), 10, 64)
	if err != nil || n > uint64(limit) {
		return 0, fmt.Errorf("%w: %s bytes (limit %d)", ErrBodyTooLarge, v, limit)
	}
	return int(n), nil
}

// splitHeader cuts "Name: value"; blanks around the value go.
func splitHeader(line []byte) (name, value []byte, err error) {
	colon := bytes.IndexByte(line, ':')
	if colon <= 0 || bytes.IndexByte(line, 0) >= 0 {
		return nil, nil, fmt.Errorf("%w: %.60q", ErrMalformedHeader, line)
	}
	return line[:colon], bytes.TrimLeft(line[colon+1:], " "), nil
}

// readLine reads a line without its end ("\n" or "\r\n"). The slice lives until
// the next call.
func (r *Reader) readLine() ([]byte, error) {
	line, err := r.br.ReadSlice('\n')
	if err == nil {
		if len(line) > r.limits.MaxLine {
			return nil, errLimit(ErrLineTooLong, r.limits.MaxLine)
		}
		return trimEnd(line), nil
	}
	r.spill = r.spill[:0]
	for errors.Is(err, bufio.ErrBufferFull) {
		r.spill = append(r.spill, line...)
		if len(r.spill) > r.limits.MaxLine {
			return nil, errLimit(ErrLineTooLong, r.limits.MaxLine)
		}
		line, err = r.br.ReadSlice('\n')
	}
	r.spill = append(r.spill, line...)
	if err != nil {
		return r.spill, err
	}
	if len(r.spill) > r.limits.MaxLine {
		return nil, errLimit(ErrLineTooLong, r.limits.MaxLine)
	}
	return trimEnd(r.spill), nil
}

func trimEnd(line []byte) []byte {
	line = line[:len(line)-1]
	if n := len(line); n > 0 && line[n-1] == '\r' {
		line = line[:n-1]
	}
	return line
}

// readBody reads n bytes, and takes memory only as they come.
func readBody(r io.Reader, n int) ([]byte, error) {
	if n <= bodyStep {
		body := make([]byte, n)
		if _, err := io.ReadFull(r, body); err != nil {
			return nil, cut(err)
		}
		return body, nil
	}
	body := make([]byte, 0, bodyStep)
	for len(body) < n {
		if len(body) == cap(body) {
			body = append(make([]byte, 0, min(2*cap(body), n)), body...)
		}
		got, err := io.ReadFull(r, body[len(body):min(cap(body), n)])
		body = body[:len(body)+got]
		if err != nil {
			return nil, cut(err)
		}
	}
	return body, nil
}

// endOf names the end of a stream: clean says that no byte of a message had come.
func endOf(err error, clean bool) error {
	switch {
	case !clean || errors.Is(err, ErrLineTooLong):
		return cut(err)
	case errors.Is(err, io.EOF):
		return io.EOF
	}
	return fmt.Errorf("%w: %w", ErrReset, err)
}

// cut names the end of a stream inside a message. The cause stays visible for
// errors.Is, except io.EOF, which would read like a clean end.
func cut(err error) error {
	switch {
	case errors.Is(err, ErrLineTooLong):
		return err
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return ErrTruncated
	}
	return fmt.Errorf("%w: %w", ErrTruncated, err)
}
