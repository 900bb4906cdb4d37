package sipproxy

import (
	"bytes"
	"slices"
	"strings"
)

// scan reads a message that is written as nearly all are: no folded lines, nothing unusual in its start line, one Content-Length that is
// true, or no body. It gives what parseMessage's long way gives for the same bytes, with three allocations; nil means that the long way is to be
// taken, whatever the reason. head ends behind the last header line's CRLF and has passed checkHead; lines is how many lines it has.
func scan(head, body []byte, lines int) *message {
	text := string(head) // the one copy: all fields are parts of it
	start, rest, _ := strings.Cut(text, "\r\n")
	m := &message{fields: make([]field, 0, lines+4)}
	if !m.scanStart(start) {
		return nil
	}
	length := -1
	for rest != "" {
		var line string
		line, rest, _ = strings.Cut(rest, "\r\n")
		if rest != "" && (rest[0] == ' ' || rest[0] == '\t') {
			return nil // folded
		}
		name, value, found := strings.Cut(line, ":")
		name, value = strings.TrimRight(name, " \t"), strings.Trim(value, " \t")
		if !found || !isToken(name) || value != "" && (odd(value[0]) || odd(value[len(value)-1])) {
			return nil
		}
		key := foldName(name)
		if key == "content-length" {
			n, ok := smallNumber(value)
			if !ok || length >= 0 {
				return nil
			}
			length, name = n, "Content-Length"
		}
		m.fields = append(m.fields, field{key, name, value})
	}
	if length > len(body) || length < 0 && len(body) > 0 {
		return nil
	}
	if length > 0 {
		m.body = bytes.Clone(body[:length])
	}
	return m
}

// odd are bytes for which it depends on the reader whether they are space.
func odd(c byte) bool { return c <= ' ' || c >= 0x7f }

// smallNumber reads a number of up to five digits without leading zeros.
func smallNumber(s string) (n int, ok bool) {
	if s == "" || len(s) > 5 || s[0] == '0' && len(s) > 1 {
		return 0, false
	}
	for i := range len(s) {
		c := s[i] - '0'
		if c > 9 {
			return 0, false
		}
		n = 10*n + int(c)
	}
	return n, true
}

func (m *message) scanStart(line string) bool {
	first, rest, ok := strings.Cut(line, " ")
	if !ok {
		return false
	}
	second, third, ok := strings.Cut(rest, " ")
	if !ok {
		return false
	}
	if first == "SIP/2.0" {
		code, ok := smallNumber(second)
		if !ok || code < 100 || code > 699 || third == "" || odd(third[0]) || odd(third[len(third)-1]) {
			return false
		}
		if len(third) >= 3 && strings.EqualFold(third[:3], "sip") {
			return false // the parser takes it for a request's version
		}
		m.code, m.phrase = code, third
		return true
	}
	m.method, m.uri = ownText(first), second
	return third == "SIP/2.0" && isCapitals(first) && plainURI(second)
}

// ownText gives a method that does not keep the message alive that it was read from.
func ownText(method string) string {
	if i := slices.Index(countedMethods[:], method); i >= 0 {
		return countedMethods[i]
	}
	return strings.Clone(method)
}

func isCapitals(s string) bool {
	for i := range len(s) {
		if s[i] < 'A' || s[i] > 'Z' {
			return false
		}
	}
	return s != ""
}

// plainURI knows sip:user@host:port;parameters without anything that needs thought.
func plainURI(s string) bool {
	rest, ok := strings.CutPrefix(s, "sip:")
	if !ok {
		return false
	}
	if user, host, found := strings.Cut(rest, "@"); found {
		if user == "" || !all(user, userBytes) {
			return false
		}
		rest = host
	}
	host, parameters, found := strings.Cut(rest, ";")
	if found && (parameters == "" || !all(parameters, parameterBytes)) {
		return false
	}
	host, port, found := strings.Cut(host, ":")
	if found {
		if n, ok := smallNumber(port); !ok || n == 0 || n > 65535 {
			return false
		}
	}
	return host != "" && all(host, hostBytes)
}

const (
	userBytes      = 1 << iota // of +4930-1, also with parameters
	hostBytes                  // of a name or an IPv4 address
	parameterBytes             // of transport=udp;lr
)

var uriBytes = func() (set [256]byte) {
	mark := func(what byte, bytes string) {
		for i := range len(bytes) {
			set[bytes[i]] |= what
		}
	}
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	mark(userBytes|hostBytes|parameterBytes, letters+".-")
	mark(userBytes, "+_;=")
	mark(parameterBytes, "+_;=")
	return set
}()

func all(s string, of byte) bool {
	for i := range len(s) {
		if uriBytes[s[i]]&of == 0 {
			return false
		}
	}
	return true
}
