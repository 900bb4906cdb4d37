package wire

import (
	"bytes"
	"strings"
)

// Field is one header: a name, its case kept, and a value.
type Field struct {
	Name  string
	Value string
}

// Header is an ordered list of headers as they stood on the wire. The zero
// value is empty. It is immutable and safe for concurrent use. Values are not
// decoded: see Decoded for the messages whose values are URL-encoded.
type Header struct {
	block []byte // "Name: value\n" lines, first to last
}

// NewHeader makes a header of fields, in their order. It is meant for tests and
// simulators; names and values must not contain line ends.
func NewHeader(fields ...Field) Header {
	var b []byte
	for _, f := range fields {
		b = appendLine(b, f.Name, f.Value)
	}
	return Header{block: b}
}

func appendLine(dst []byte, name, value string) []byte {
	dst = append(dst, name...)
	dst = append(dst, ": "...)
	dst = append(dst, value...)
	return append(dst, '\n')
}

// Get gives the value of the first header with exactly this name, as it stood on
// the wire, or "".
func (h Header) Get(name string) string {
	v, _ := lookup(h.block, name)
	return string(v)
}

// Has tells whether a header with exactly this name is there.
func (h Header) Has(name string) bool {
	_, ok := lookup(h.block, name)
	return ok
}

// Decoded is Get with the URL-encoding taken off.
func (h Header) Decoded(name string) string {
	v, _ := lookup(h.block, name)
	return decodeBytes(v)
}

// Len gives the number of headers.
func (h Header) Len() int { return bytes.Count(h.block, newline) }

// Each calls fn for every header in order, with the value as on the wire.
func (h Header) Each(fn func(name, value string)) {
	eachLine(h.block, func(name, value []byte) { fn(string(name), string(value)) })
}

var newline = []byte{'\n'}

// lookup finds the first line "name: value" in a block of lines that each end
// in '\n'. The searched-for bytes "\nname: " cannot occur inside a value,
// because values hold no line ends.
func lookup(block []byte, name string) ([]byte, bool) {
	if name == "" || strings.IndexByte(name, '\n') >= 0 {
		return nil, false
	}
	var room [96]byte
	needle := append(room[:0], '\n')
	needle = append(needle, name...)
	needle = append(needle, ':', ' ')
	at := 0
	if !bytes.HasPrefix(block, needle[1:]) {
		if at = bytes.Index(block, needle); at < 0 {
			return nil, false
		}
		at++
	}
	v := block[at+len(needle)-1:]
	if end := bytes.IndexByte(v, '\n'); end >= 0 {
		v = v[:end]
	}
	return v, true
}

// eachLine walks "name: value" lines up to a blank one; a line without ": " is passed over.
func eachLine(block []byte, fn func(name, value []byte)) {
	for len(block) > 0 && block[0] != '\n' {
		line := block
		if end := bytes.IndexByte(block, '\n'); end >= 0 {
			line, block = block[:end], block[end+1:]
		} else {
			block = nil
		}
		if colon := bytes.Index(line, colonSpace); colon > 0 {
			fn(line[:colon], line[colon+2:])
		}
	}
}

var colonSpace = []byte(": ")
