package wire

import (
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
// bytes. It is immutable, and not to be copied.
type Message struct {
	Header Header
	Body   []byte // nil without a Content-Length, or with a length of 0

	contentType string
	event       Event // of a text/event-plain
}

// NewMessage makes a message; the content type is taken from the header.
func NewMessage(h Header, body []byte) *Message {
	m := &Message{Header: h, Body: body, contentType: h.Get("Content-Type")}
	m.event.raw = body
	return m
}

// ContentType gives the value of Content-Type, one of the Type constants or
// something unknown.
func (m *Message) ContentType() string { return m.contentType }

// Reader cuts the byte stream of FreeSWITCH into messages. It belongs to one
// goroutine.
type Reader struct {
	src        io.Reader
	limits     Limits
	buf        []byte // buf[start:end] has come and was not handed out yet
	start, end int
	eager      bool  // the last read filled the buffer: more was there
	err        error // of src, to be told when the buffer is used up
}

const (
	// smallBuffer is what a Reader holds for a quiet connection, in bytes: one call's channel data.
	smallBuffer = 8 << 10
	// largeBuffer is what it holds for a busy one: a read then takes a dozen events at once.
	largeBuffer = 64 << 10
	// bodyStep is how much of a body is allocated before that many bytes came, so
	// that a Content-Length alone costs no memory.
	bodyStep = 64 << 10
	// maxIdleReads is how often a source may give neither bytes nor an error.
	maxIdleReads = 100
)

// NewReader reads from r within l; zero fields of l mean DefaultLimits. It
// buffers 8 KiB, and 64 KiB on a connection that brings more at a time. A header is
// held in the buffer until it is complete, so that a long one takes up to MaxHeaderBytes
// and MaxLine for that time.
func NewReader(r io.Reader, l Limits) *Reader {
	return &Reader{src: r, limits: l.withDefaults()}
}

// Read gives the next message. It returns io.EOF when the stream ends between two
// messages, an error that wraps ErrTruncated when it ends or breaks inside
// one, ErrReset when it breaks between two, and the named errors of this package for what FreeSWITCH never sends.
// After an error the stream is out of step: close it.
func (r *Reader) Read() (*Message, error) {
	if err := r.passBlankLines(); err != nil {
		return nil, err
	}
	m := &Message{}
	h, err := r.readHeader(m)
	if err != nil {
		return nil, err
	}
	frame, err := r.take(h.size, max(h.length, 0))
	if err != nil {
		return nil, err
	}
	// Header and body lie in one allocation.
	if m.Header.block = frame[:h.block:h.block]; !h.canonical {
		m.Header.block = canonical(m.Header.block)
	}
	if h.length > 0 {
		m.Body = frame[h.size:]
		m.event.raw = m.Body
	}
	return m, nil
}

// header is what is known of a header that lies complete in the buffer.
type header struct {
	block     int  // bytes of its lines
	size      int  // the same with the blank line
	length    int  // Content-Length, -1 without
	canonical bool // the lines are "Name: value\n" already
}

// passBlankLines passes over blank lines before a message, within the bound on headers.
func (r *Reader) passBlankLines() error {
	for blank := 0; ; {
		line, size, err := r.line(0)
		if err != nil {
			return endOf(err, len(line) == 0)
		}
		if len(line) > 0 {
			return nil
		}
		r.start += size
		if blank++; blank > r.limits.MaxHeaders {
			return errLimit(ErrTooManyHeaders, r.limits.MaxHeaders)
		}
	}
}

// readHeader looks through the lines up to the blank one, and leaves them in the buffer.
func (r *Reader) readHeader(m *Message) (header, error) {
	h := header{length: -1, canonical: true}
	for lines := 0; ; {
		line, size, err := r.line(h.size)
		if err != nil {
			return h, endOf(err, false)
		}
		if len(line) == 0 {
			h.block, h.size = h.size, h.size+size
			return h, nil
		}
		if lines++; lines > r.limits.MaxHeaders {
			return h, errLimit(ErrTooManyHeaders, r.limits.MaxHeaders)
		}
		name, value, err := splitHeader(line)
		if err != nil {
			return h, err
		}
		if h.size+len(line)+2 > r.limits.MaxHeaderBytes {
			return h, errLimit(ErrTooManyHeaders, r.limits.MaxHeaderBytes)
		}
		if h.length, err = r.note(m, name, value, h.length); err != nil {
			return h, err
		}
		h.canonical = h.canonical && size == len(name)+len(colonSpace)+len(value)+1 && bytes.HasPrefix(line[len(name):], colonSpace)
		h.size += size
	}
}

// canonical writes header lines as "Name: value\n".
func canonical(lines []byte) []byte {
	block := make([]byte, 0, len(lines)+16)
	for len(lines) > 0 {
		end := bytes.IndexByte(lines, '\n')
		name, value, err := splitHeader(trimEnd(lines[:end+1]))
		if err == nil { // it was looked at before
			block = append(append(append(block, name...), ": "...), value...)
			block = append(block, '\n')
		}
		lines = lines[end+1:]
	}
	return block
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

// line gives the line that begins that many bytes behind what was handed out last, without its
// end ("\n" or "\r\n"), and its size with it. The slice lives until more is read. With an
// error comes what there is of the line.
func (r *Reader) line(at int) (line []byte, size int, err error) {
	for seen := at; ; {
		rest := r.buf[r.start+seen : r.end]
		if i := bytes.IndexByte(rest, '\n'); i >= 0 {
			line = r.buf[r.start+at : r.start+seen+i+1]
			if len(line) > r.limits.MaxLine {
				return nil, 0, errLimit(ErrLineTooLong, r.limits.MaxLine)
			}
			return trimEnd(line), len(line), nil
		}
		seen += len(rest)
		if seen-at > r.limits.MaxLine {
			return nil, 0, errLimit(ErrLineTooLong, r.limits.MaxLine)
		}
		if err := r.fill(); err != nil {
			return r.buf[r.start+at : r.end], 0, err
		}
	}
}

// fill reads once from the source, behind what is in the buffer.
func (r *Reader) fill() error {
	if r.err != nil {
		return r.err
	}
	held := r.buf[r.start:r.end]
	switch {
	case len(held) == 0 && len(r.buf) > largeBuffer: // what a long header needed is given back
		r.buf = make([]byte, largeBuffer)
	case len(held) == len(r.buf), r.eager && len(r.buf) < largeBuffer:
		r.buf = append(make([]byte, 0, max(smallBuffer, 2*len(r.buf))), held...)
		r.buf = r.buf[:cap(r.buf)]
	case r.start > 0: // not each time: a long message may come byte by byte
		copy(r.buf, held)
	}
	r.start, r.end = 0, len(held)
	for range maxIdleReads {
		n, err := r.src.Read(r.buf[r.end:])
		r.eager = n == len(r.buf)-r.end
		r.end += n
		r.err = err
		if n > 0 {
			return nil
		}
		if err != nil {
			return err
		}
	}
	r.err = io.ErrNoProgress
	return r.err
}

// take hands out a header of that size, which is in the buffer, and the body behind it, as
// a copy of their own.
func (r *Reader) take(size, body int) ([]byte, error) {
	total := size + body
	for r.end-r.start < total && total <= len(r.buf) {
		if err := r.fill(); err != nil {
			return nil, cut(err)
		}
	}
	have := r.buf[r.start:min(r.end, r.start+total)]
	r.start += len(have)
	if len(have) == total {
		return append([]byte(nil), have...), nil // all is there: memory that need not be cleared first
	}
	frame := append(make([]byte, 0, min(total, len(have)+bodyStep)), have...)
	if r.err != nil {
		return nil, cut(r.err)
	}
	return readUpTo(r.src, frame, total)
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
	return readUpTo(r, make([]byte, 0, min(n, bodyStep)), n)
}

// readUpTo reads behind b until it has n bytes; memory is doubled as it is filled.
func readUpTo(r io.Reader, b []byte, n int) ([]byte, error) {
	for len(b) < n {
		if len(b) == cap(b) {
			b = append(make([]byte, 0, min(2*cap(b), n)), b...)
		}
		got, err := io.ReadFull(r, b[len(b):min(cap(b), n)])
		b = b[:len(b)+got]
		if err != nil {
			return nil, cut(err)
		}
	}
	return b, nil
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
