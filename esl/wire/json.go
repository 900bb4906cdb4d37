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

// parseJSONEvent indexes the members of the object without decoding them. The
// member _body becomes the event's body and, as in a plain event's header, the
// Content-Length that FreeSWITCH adds for it stays.
func parseJSONEvent(b []byte) (*Event, error) {
	if !json.Valid(b) {
		return nil, fmt.Errorf("%w: not JSON: %.40q", ErrMalformedEvent, b)
	}
	s := jsonScan{b: b}
	s.space()
	if !s.take('{') {
		return nil, fmt.Errorf("%w: not a JSON object: %.40q", ErrMalformedEvent, b)
	}
	e := &jsonEvent{pairs: make([]jsonPair, 0, 64)}
	for s.space(); !s.take('}'); s.space() {
		s.take(',')
		s.space()
		name := s.value()
		s.space()
		s.take(':')
		s.space()
		value := s.value()
		if len(name) < 2 || len(value) == 0 {
			return nil, fmt.Errorf("%w: %.40q", ErrMalformedEvent, b)
		}
		if len(e.pairs) == maxJSONMembers {
			return nil, errLimit(ErrTooManyHeaders, maxJSONMembers)
		}
		pair := jsonPair{name: name[1 : len(name)-1], value: value}
		if string(pair.name) == "_body" {
			e.body = []byte(pair.decoded())
			continue
		}
		e.pairs = append(e.pairs, pair)
	}
	return &Event{json: e}, nil
}

// jsonScan walks text that json.Valid has approved, so it need not check.
type jsonScan struct {
	b []byte
	i int
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

// value gives the text of the value that begins here and moves behind it.
func (s *jsonScan) value() []byte {
	start, depth := s.i, 0
	for s.i < len(s.b) {
		switch c := s.b[s.i]; c {
		case '"':
			s.str()
			if depth == 0 {
				return s.b[start:s.i]
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

// str moves behind the string that begins here.
func (s *jsonScan) str() {
	for s.i++; s.i < len(s.b); s.i++ {
		switch s.b[s.i] {
		case '\\':
			s.i++
		case '"':
			s.i++
			return
		}
	}
}
