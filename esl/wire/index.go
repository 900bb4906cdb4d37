package wire

import (
	"bytes"
	"strings"
)

// nearLines is how many lines of an event are looked through one by one. There
// FreeSWITCH puts what every consumer asks: the name, the channel, its state, the caller.
const nearLines = 32

// index knows where each header line of a plain event stands. It is made when a
// header is asked for that is not among the first lines, and then finds a line without looking through the others.
type index struct {
	prints []byte   // one for each line, see fingerprint
	starts []uint32 // where the lines begin
	head   int      // where the header lines end: at a blank line, or with the event
}

// fingerprint is a byte that differs for most names of one event.
func fingerprint[T string | []byte](name T) byte {
	n := len(name)
	return byte(n) + 31*name[n-1] + 7*name[n/2]
}

// find gives the value of the first header with exactly this name, as on the wire.
func (e *Event) find(name string) ([]byte, bool) {
	if name == "" || strings.Contains(name, ": ") || strings.IndexByte(name, '\n') >= 0 {
		return nil, false // no header has such a name
	}
	ix := e.index.Load()
	if ix == nil {
		v, found, all := near(e.raw, name)
		if found || all {
			return v, found
		}
		ix = e.indexed()
	}
	print := fingerprint(name)
	for i := 0; ; i++ {
		next := bytes.IndexByte(ix.prints[i:], print)
		if next < 0 {
			return nil, false
		}
		i += next
		if line := e.raw[ix.starts[i]:ix.head]; isHeader(line, name) {
			return valueOf(line, name), true
		}
	}
}

// near looks through the first lines; all says that there are no others.
func near(b []byte, name string) (value []byte, found, all bool) {
	for range nearLines {
		if len(b) == 0 || b[0] == '\n' {
			return nil, false, true
		}
		if isHeader(b, name) {
			return valueOf(b, name), true, false
		}
		end := bytes.IndexByte(b, '\n')
		if end < 0 {
			return nil, false, true
		}
		b = b[end+1:]
	}
	return nil, false, false
}

// isHeader tells whether b begins with "name: ".
func isHeader(b []byte, name string) bool {
	n := len(name)
	return len(b) > n+1 && b[n] == ':' && b[n+1] == ' ' && string(b[:n]) == name
}

// valueOf gives the value of a line that isHeader has approved.
func valueOf(b []byte, name string) []byte {
	v := b[len(name)+2:]
	if end := bytes.IndexByte(v, '\n'); end >= 0 {
		v = v[:end]
	}
	return v
}

// indexed gives the index, and makes it the first time. Two that do so at the same time
// make the same.
func (e *Event) indexed() *index {
	if ix := e.index.Load(); ix != nil {
		return ix
	}
	ix := newIndex(e.raw)
	e.index.Store(ix)
	return ix
}

func newIndex(b []byte) *index {
	const typical = 40 // bytes of a line
	ix := &index{prints: make([]byte, 0, len(b)/typical+8), starts: make([]uint32, 0, len(b)/typical+8)}
	at := 0
	for at < len(b) && b[at] != '\n' {
		line := b[at:]
		if end := bytes.IndexByte(line, '\n'); end >= 0 {
			line = line[:end]
		}
		if colon := nameEnd(line); colon > 0 {
			ix.prints = append(ix.prints, fingerprint(line[:colon]))
			ix.starts = append(ix.starts, uint32(at))
		}
		at += len(line) + 1
	}
	ix.head = min(at, len(b))
	return ix
}

// nameEnd finds the first ": " of a line; not above 0 when it is no header.
func nameEnd(line []byte) int {
	colon := bytes.IndexByte(line, ':')
	if colon >= 0 && (colon+1 == len(line) || line[colon+1] != ' ') {
		return bytes.Index(line, colonSpace)
	}
	return colon
}
