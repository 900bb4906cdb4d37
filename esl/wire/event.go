package wire

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Event is one event of FreeSWITCH, or the channel data that answers "connect".
// It holds the bytes as they came; a value is found and decoded when it is asked
// for. Plain and JSON events give the same answers. It is immutable and safe for
// concurrent use.
type Event struct {
	// Body is the event's own body: the result in a BACKGROUND_JOB, the text
	// of a MESSAGE. Nil when there is none.
	Body []byte

	plain []byte     // "Name: value\n" lines, URL-encoded
	json  []jsonPair // the members of a JSON event, still escaped
}

// ParseEvent looks into a message of type text/event-plain, text/event-json,
// or into a command/reply whose headers are a channel's data (the answer to
// "connect"). Other messages give ErrNotEvent, text/event-xml
// ErrUnsupportedFormat, a JSON body that is no flat object ErrMalformedEvent. In a
// plain event a line without ": " is passed over.
func ParseEvent(m *Message) (*Event, error) {
	switch m.contentType {
	case TypeEventPlain:
		return parsePlain(m.Body), nil
	case TypeEventJSON:
		return parseJSONEvent(m.Body)
	case TypeEventXML:
		return nil, ErrUnsupportedFormat
	case TypeCommandReply:
		if m.Header.Has("Event-Name") {
			return &Event{plain: m.Header.block}, nil
		}
	}
	return nil, fmt.Errorf("%w: content type %.60q", ErrNotEvent, m.contentType)
}

// NewEvent makes an event of decoded fields, as a test or a simulator needs it.
// A field with an empty value stays (FreeSWITCH writes it "_undef_").
func NewEvent(fields []Field, body []byte) *Event {
	return &Event{plain: appendFields(nil, fields), Body: body}
}

// parsePlain cuts the header lines from the event's own body. The frame's
// length is what counts; the inner Content-Length is not needed for that.
func parsePlain(b []byte) *Event {
	head, body := b, []byte(nil)
	if len(b) > 0 && b[0] == '\n' {
		head, body = nil, b[1:]
	} else if i := bytes.Index(b, blankLine); i >= 0 {
		head, body = b[:i+1], b[i+2:]
	}
	if len(body) == 0 {
		body = nil
	}
	return &Event{plain: head, Body: body}
}

var blankLine = []byte("\n\n")

// Get gives the decoded value of the first header with exactly this name, or "".
// An array comes in FreeSWITCH's own form, "ARRAY::a|:b"; see Array.
func (e *Event) Get(name string) string {
	v, _ := e.Lookup(name)
	return v
}

// Lookup is Get that also tells whether the header is there at all.
func (e *Event) Lookup(name string) (string, bool) {
	if e.json != nil {
		for i := range e.json {
			if e.json[i].is(name) {
				return e.json[i].decoded(), true
			}
		}
		return "", false
	}
	v, ok := lookup(e.plain, name)
	if !ok {
		return "", false
	}
	return decodeBytes(v), true
}

// Var gives a channel variable: Get("variable_" + name).
func (e *Event) Var(name string) string { return e.Get("variable_" + name) }

// Array gives the values of a header that holds an array ("ARRAY::a|:b"), or its
// one value, or nil when it is not there.
func (e *Event) Array(name string) []string {
	v, ok := e.Lookup(name)
	if !ok {
		return nil
	}
	return SplitArray(v)
}

// SplitArray takes FreeSWITCH's array form apart; another value is an array of one.
func SplitArray(v string) []string {
	rest, ok := strings.CutPrefix(v, "ARRAY::")
	if !ok {
		return []string{v}
	}
	return strings.Split(rest, "|:")
}

// Each calls fn for every header in order, with the value decoded.
func (e *Event) Each(fn func(name, value string)) {
	if e.json != nil {
		for i := range e.json {
			fn(e.json[i].decodedName(), e.json[i].decoded())
		}
		return
	}
	eachLine(e.plain, func(name, value []byte) { fn(string(name), decodeBytes(value)) })
}

// Fields gives every header in order, decoded.
func (e *Event) Fields() []Field {
	var fs []Field
	e.Each(func(name, value string) { fs = append(fs, Field{Name: name, Value: value}) })
	return fs
}

// Name gives Event-Name, such as CHANNEL_ANSWER or CUSTOM.
func (e *Event) Name() string { return e.Get("Event-Name") }

// Subclass gives Event-Subclass of a CUSTOM event, such as conference::maintenance.
func (e *Event) Subclass() string { return e.Get("Event-Subclass") }

// UUID gives Unique-ID, the channel the event is about, or "".
func (e *Event) UUID() string { return e.Get("Unique-ID") }

// CoreUUID gives Core-UUID, which changes when FreeSWITCH restarts.
func (e *Event) CoreUUID() string { return e.Get("Core-UUID") }

// Sequence gives Event-Sequence, or 0. It is not strictly rising on the wire: use
// it to pass over a fact older than what is known, never to reorder.
func (e *Event) Sequence() uint64 {
	n, err := strconv.ParseUint(e.Get("Event-Sequence"), 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// Time gives Event-Date-Timestamp (microseconds since 1970) in UTC, or the zero
// time.
func (e *Event) Time() time.Time {
	us, err := strconv.ParseInt(e.Get("Event-Date-Timestamp"), 10, 64)
	if err != nil {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}
