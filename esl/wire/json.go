package wire

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
)

// jsonEvent is a JSON event whose members have been found but not decoded.
type jsonEvent struct {
	pairs []jsonPair
	body  []byte // of the member _body
}

func (j *jsonEvent) lookup(name string) (string, bool) {
	for i := range j.pairs {
		if j.pairs[i].is(name) {
			return j.pairs[i].decoded(), true
		}
	}
	return "", false
}

// jsonPair is one member of a JSON event: the name between its quotes and the
// value, both as they stand in the text.
type jsonPair struct {
	name  []byte
	value []byte // with its quotes, or brackets for an array
}

func (p *jsonPair) is(name string) bool {
	if bytes.IndexByte(p.name, '\\') < 0 {
		return string(p.name) == name
	}
	return p.decodedName() == name
}

func (p *jsonPair) decodedName() string { return unescape(p.name) }

// decoded gives the value as a plain event would: strings without escapes, an
// array in FreeSWITCH's form, an array of one like a string.
func (p *jsonPair) decoded() string {
	v := p.value
	switch {
	case len(v) >= 2 && v[0] == '"':
		return unescape(v[1 : len(v)-1])
	case len(v) > 0 && v[0] == '[':
		var items []string
		if json.Unmarshal(v, &items) != nil {
			return string(v)
		}
		if len(items) == 1 {
			return items[0]
		}
		return "ARRAY::" + strings.Join(items, "|:")
	}
	return string(v)
}

// unescape takes the escapes from the inside of a JSON string.
func unescape(b []byte) string {
	if bytes.IndexByte(b, '\\') < 0 {
		return string(b)
	}
	quoted := make([]byte, 0, len(b)+2)
	quoted = append(append(append(quoted, '"'), b...), '"')
	var s string
	if json.Unmarshal(quoted, &s) != nil {
		return string(b)
	}
	return s
}

// maxJSONMembers bounds the members of one JSON event.
const maxJSONMembers = 1 << 14

// parseJSONEvent finds the members of the object without decoding them, in one pass that takes exactly what
// json.Valid takes. The member _body becomes the event's body and, as in a plain event's header, the
// Content-Length that FreeSWITCH adds for it stays.
func parseJSONEvent(b []byte) (*Event, error) {
	const typical = 40 // bytes of a member
	e := &jsonEvent{pairs: make([]jsonPair, 0, min(len(b)/typical+8, maxJSONMembers))}
	s := jsonScan{b: b}
	s.space()
	if !s.take('{') {
		return nil, fmt.Errorf("%w: not a JSON object: %.40q", ErrMalformedEvent, b)
	}
	s.space()
	for more := !s.take('}'); more; {
		pair, ok := s.member()
		if ok {
			s.space()
			more = s.take(',')
		}
		if !ok || !more && !s.take('}') {
			return nil, fmt.Errorf("%w: not JSON from byte %d: %.40q", ErrMalformedEvent, s.i, b)
		}
		if len(e.pairs) == maxJSONMembers {
			return nil, errLimit(ErrTooManyHeaders, maxJSONMembers)
		}
		if string(pair.name) == "_body" {
			e.body = []byte(pair.decoded())
			continue
		}
		e.pairs = append(e.pairs, pair)
	}
	if s.space(); s.i < len(b) {
		return nil, fmt.Errorf("%w: more than one JSON object: %.40q", ErrMalformedEvent, b)
	}
	return &Event{json: e}, nil
}

// jsonScan walks JSON text.
type jsonScan struct {
	b []byte
	i int
}

// member reads one "name": value.
func (s *jsonScan) member() (p jsonPair, ok bool) {
	s.space()
	name, ok := s.text()
	if !ok {
		return p, false
	}
	s.space()
	if !s.take(':') {
		return p, false
	}
	s.space()
	p.name = name[1 : len(name)-1]
	if s.i < len(s.b) && s.b[s.i] == '"' {
		p.value, ok = s.text()
		return p, ok
	}
	p.value = s.other() // FreeSWITCH writes strings, and arrays of them
	return p, json.Valid(p.value)
}

// text reads a string and gives it with its quotes; not ok when it is none.
func (s *jsonScan) text() (quoted []byte, ok bool) {
	start := s.i
	if !s.take('"') {
		return nil, false
	}
	for s.i < len(s.b) {
		switch c := s.b[s.i]; {
		case c == '"':
			s.i++
			return s.b[start:s.i], true
		case c == '\\':
			if !s.escape() {
				return nil, false
			}
		case c < ' ':
			return nil, false
		default:
			s.i++
		}
	}
	return nil, false
}

// escape passes over what begins with a backslash.
func (s *jsonScan) escape() bool {
	rest := s.b[s.i+1:]
	if len(rest) == 0 {
		return false
	}
	switch rest[0] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		s.i += 2
		return true
	case 'u':
		for _, c := range rest[1:min(len(rest), 5)] {
			if unhex(c) < 0 {
				return false
			}
		}
		s.i += 6
		return len(rest) >= 5
	}
	return false
}

func (s *jsonScan) space() {
	for s.i < len(s.b) && (s.b[s.i] == ' ' || s.b[s.i] == '\t' || s.b[s.i] == '\n' || s.b[s.i] == '\r') {
		s.i++
	}
}

func (s *jsonScan) take(c byte) bool {
	if s.i < len(s.b) && s.b[s.i] == c {
		s.i++
		return true
	}
	return false
}

// other gives what stands up to the end of a value that is no string and moves behind it; whether it is a value at all is
// another question.
func (s *jsonScan) other() []byte {
	start, depth := s.i, 0
	for s.i < len(s.b) {
		switch s.b[s.i] {
		case '"':
			if _, ok := s.text(); !ok {
				return nil
			}
			continue
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 {
				return s.b[start:s.i]
			}
			if depth--; depth == 0 {
				s.i++
				return s.b[start:s.i]
			}
		case ',', ':', ' ', '\t', '\r', '\n':
			if depth == 0 {
				return s.b[start:s.i]
			}
		}
		s.i++
	}
	return s.b[start:s.i]
}
