package wire

import (
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// Event is one event of FreeSWITCH, or the channel data that answers "connect".
// It holds the bytes as they came; a value is found and decoded when it is asked
// for. Plain and JSON events give the same answers. It is immutable, safe for
// concurrent use, and not to be copied.
type Event struct {
	raw   []byte     // "Name: value\n" lines, URL-encoded; behind a blank line the event's own body
	json  *jsonEvent // of a JSON event, in the place of raw
	index atomic.Pointer[index]
}

// ParseEvent looks into a message of type text/event-plain, text/event-json,
// or into a command/reply whose headers are a channel's data (the answer to
// "connect"). Other messages give ErrNotEvent, text/event-xml
// ErrUnsupportedFormat, a JSON body that is no flat object ErrMalformedEvent. In a
// plain event a line without ": " is passed over.
func ParseEvent(m *Message) (*Event, error) {
	switch m.contentType {
	case TypeEventPlain:
		return &m.event, nil
	case TypeEventJSON:
		return parseJSONEvent(m.Body)
	case TypeEventXML:
		return nil, ErrUnsupportedFormat
	case TypeCommandReply:
		if m.Header.Has("Event-Name") {
			return &Event{raw: m.Header.block}, nil
		}
	}
	return nil, fmt.Errorf("%w: content type %.60q", ErrNotEvent, m.contentType)
}

// NewEvent makes an event of decoded fields, as a test or a simulator needs it.
// A field with an empty value stays (FreeSWITCH writes it "_undef_").
func NewEvent(fields []Field, body []byte) *Event {
	raw := appendFields(nil, fields)
	if len(body) > 0 {
		raw = append(append(raw, '\n'), body...)
	}
	return &Event{raw: raw}
}

// Body gives the event's own body: the result in a BACKGROUND_JOB, the text of a
// MESSAGE. Nil when there is none. It must not be changed.
func (e *Event) Body() []byte {
	if e.json != nil {
		return e.json.body
	}
	// The frame's length is what counts; the inner Content-Length is not needed.
	if head := e.indexed().head; head < len(e.raw)-1 {
		return e.raw[head+1:]
	}
	return nil
}

// Get gives the decoded value of the first header with exactly this name, or "".
// An array comes in FreeSWITCH's own form, "ARRAY::a|:b"; see Array.
func (e *Event) Get(name string) string {
	v, _ := e.Lookup(name)
	return v
}

// Lookup is Get that also tells whether the header is there at all.
func (e *Event) Lookup(name string) (string, bool) {
	if e.json != nil {
		return e.json.lookup(name)
	}
	v, ok := e.find(name)
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
		for i := range e.json.pairs {
			fn(e.json.pairs[i].decodedName(), e.json.pairs[i].decoded())
		}
		return
	}
	eachLine(e.raw, func(name, value []byte) { fn(string(name), decodeBytes(value)) })
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
