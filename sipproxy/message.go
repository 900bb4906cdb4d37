package sipproxy

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/emiago/sipgo/sip"
)

// Errors of Parse and of the reader. ErrTooLarge stands for a request that may be answered 513.
var (
	// ErrMalformed means that the bytes are no SIP message; the text says where.
	ErrMalformed = errors.New("sipproxy: malformed message")
	// ErrTooLarge means that a bound of Limits was passed.
	ErrTooLarge = errors.New("sipproxy: message too large")
)

// field is a header field; key is the name in lower case with the compact form written out.
type field struct{ key, name, value string }

// message is a SIP message whose headers keep their order, spelling and bytes, so that forwarding changes
// nothing but what a proxy must change. After it was handed to a second goroutine nobody writes to it: change a clone.
type message struct {
	method string // of a request
	uri    string // of a request, as on the wire
	code   int    // of a response
	phrase string // of a response
	fields []field
	body   []byte
}

// newParser gives sipgo's parser with every header left as text but the one that frames the message. It is not
// the package's default parser, so nothing package-wide is changed, and it is safe for concurrent use.
func newParser(l Limits) *sip.Parser {
	raw := sip.DefaultHeadersParser()
	p := sip.NewParser(sip.WithHeadersParsers(sip.HeadersParser{
		"content-length": raw["content-length"],
		"l":              raw["l"],
	}))
	p.MaxMessageLength = l.MaxMessage
	return p
}

// checkHead refuses what another parser would read differently: a NUL, a CR or LF of its own. FreeSWITCH takes a
// single LF for the end of a line, so "From: "x\nX-Signalbox: ..." would otherwise smuggle a header past the strip.
func checkHead(head []byte) error {
	for i, c := range head {
		switch c {
		case 0:
			return fmt.Errorf("%w: NUL in the header", ErrMalformed)
		case '\r':
			if i+1 >= len(head) || head[i+1] != '\n' {
				return fmt.Errorf("%w: CR without LF in the header", ErrMalformed)
			}
		case '\n':
			if i == 0 || head[i-1] != '\r' {
				return fmt.Errorf("%w: LF without CR in the header", ErrMalformed)
			}
		}
	}
	return nil
}

var headEnd = []byte("\r\n\r\n")

// parseMessage reads one whole message. With an error the message may still be set: then the head was good enough to be
// answered with a refusal.
func parseMessage(p *sip.Parser, raw []byte, l Limits) (*message, error) {
	if len(raw) > l.MaxMessage {
		return nil, fmt.Errorf("%w: %d bytes, at most %d", ErrTooLarge, len(raw), l.MaxMessage)
	}
	for len(raw) >= 2 && raw[0] == '\r' && raw[1] == '\n' {
		raw = raw[2:]
	}
	end := bytes.Index(raw, headEnd)
	if end < 0 {
		return nil, fmt.Errorf("%w: no empty line after the header", ErrMalformed)
	}
	head := raw[:end+2]
	if err := checkHead(head); err != nil {
		return nil, err
	}
	if n := bytes.Count(head, headEnd[:2]); n > 8*l.MaxHeaders {
		return nil, fmt.Errorf("%w: %d header lines", ErrTooLarge, n)
	}
	parsed, _, perr := p.Parse(raw, false)
	if parsed == nil || (perr != nil && !errors.Is(perr, sip.ErrParseReadBodyIncomplete)) {
		return nil, fmt.Errorf("%w: %v", ErrMalformed, perr)
	}
	m, err := fromSIP(parsed, head)
	if err != nil {
		return nil, err
	}
	switch {
	case perr != nil:
		return m, fmt.Errorf("%w: body is shorter than its Content-Length", ErrMalformed)
	case len(head) > l.MaxHeaderBytes:
		return m, fmt.Errorf("%w: header of %d bytes, at most %d", ErrTooLarge, len(head), l.MaxHeaderBytes)
	case len(m.fields) > l.MaxHeaders:
		return m, fmt.Errorf("%w: %d header fields, at most %d", ErrTooLarge, len(m.fields), l.MaxHeaders)
	}
	return m, nil
}

func fromSIP(parsed sip.Message, head []byte) (*message, error) {
	m := &message{body: parsed.Body()}
	var headers []sip.Header
	switch s := parsed.(type) {
	case *sip.Request:
		if s.SipVersion != "SIP/2.0" {
			return nil, fmt.Errorf("%w: version %q", ErrMalformed, s.SipVersion)
		}
		line, _, _ := bytes.Cut(head, headEnd[:2])
		parts := strings.Split(string(line), " ")
		if len(parts) != 3 || !isToken(parts[0]) || !isURI(parts[1]) {
			return nil, fmt.Errorf("%w: request line %.80q", ErrMalformed, line)
		}
		m.method, m.uri = string(s.Method), parts[1]
		headers = s.Headers()
	case *sip.Response:
		if s.StatusCode < 100 || s.StatusCode > 699 {
			return nil, fmt.Errorf("%w: status code %d", ErrMalformed, s.StatusCode)
		}
		m.code, m.phrase = s.StatusCode, s.Reason
		headers = s.Headers()
	default:
		return nil, fmt.Errorf("%w: neither request nor response", ErrMalformed)
	}
	m.fields = make([]field, 0, len(headers)+4)
	for _, h := range headers {
		name := h.Name()
		if !isToken(name) {
			return nil, fmt.Errorf("%w: header name %.40q", ErrMalformed, name)
		}
		m.fields = append(m.fields, field{foldName(name), name, h.Value()})
	}
	return m, nil
}

// foldName gives a header name in lower case with its compact form written out (RFC 3261 7.3.3 and the IANA list).
func foldName(name string) string {
	if len(name) == 1 {
		switch name[0] | 0x20 {
		case 'a':
			return "accept-contact"
		case 'b':
			return "referred-by"
		case 'c':
			return "content-type"
		case 'd':
			return "request-disposition"
		case 'e':
			return "content-encoding"
		case 'f':
			return "from"
		case 'i':
			return "call-id"
		case 'j':
			return "reject-contact"
		case 'k':
			return "supported"
		case 'l':
			return "content-length"
		case 'm':
			return "contact"
		case 'o':
			return "event"
		case 'r':
			return "refer-to"
		case 's':
			return "subject"
		case 't':
			return "to"
		case 'u':
			return "allow-events"
		case 'v':
			return "via"
		case 'x':
			return "session-expires"
		case 'y':
			return "identity"
		}
	}
	return strings.ToLower(name)
}

// isToken says whether s is a token of RFC 3261 25.1.
func isToken(s string) bool {
	if s == "" {
		return false
	}
	for i := range len(s) {
		c := s[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case strings.IndexByte("-.!%*_+`'~", c) >= 0:
		default:
			return false
		}
	}
	return true
}

// isURI says whether s can stand in a request line: a scheme, a colon, no blank, control or angle bracket.
func isURI(s string) bool {
	i := strings.IndexByte(s, ':')
	if i <= 0 || i == len(s)-1 || !isToken(s[:i]) {
		return false
	}
	for j := range len(s) {
		if c := s[j]; c <= ' ' || c == 0x7f || c == '<' || c == '>' || c == '"' {
			return false
		}
	}
	return true
}

func (m *message) isRequest() bool { return m.method != "" }

// get gives the first value under a folded name, or "".
func (m *message) get(key string) string {
	for i := range m.fields {
		if m.fields[i].key == key {
			return m.fields[i].value
		}
	}
	return ""
}

// all gives every value under a folded name, in order.
func (m *message) all(key string) []string {
	var out []string
	for i := range m.fields {
		if m.fields[i].key == key {
			out = append(out, m.fields[i].value)
		}
	}
	return out
}

func (m *message) count(key string) (n int) {
	for i := range m.fields {
		if m.fields[i].key == key {
			n++
		}
	}
	return n
}

// set replaces the first value under the name or appends the field.
func (m *message) set(name, value string) {
	key := foldName(name)
	for i := range m.fields {
		if m.fields[i].key == key {
			m.fields[i].value = value
			return
		}
	}
	m.add(name, value)
}

func (m *message) add(name, value string) {
	m.fields = append(m.fields, field{foldName(name), name, value})
}

// push puts a field on top.
func (m *message) push(name, value string) {
	m.fields = append(m.fields, field{})
	copy(m.fields[1:], m.fields)
	m.fields[0] = field{foldName(name), name, value}
}

// pop takes the first element off the list header key (Via or Route), whether it stands alone in its field or not.
func (m *message) pop(key string) {
	for i := range m.fields {
		if m.fields[i].key != key {
			continue
		}
		if _, rest, more := cutList(m.fields[i].value); more {
			m.fields[i].value = rest
			return
		}
		m.fields = append(m.fields[:i:i], m.fields[i+1:]...)
		return
	}
}

// top gives the first element of a list header.
func (m *message) top(key string) (string, bool) {
	for i := range m.fields {
		if m.fields[i].key == key {
			first, _, _ := cutList(m.fields[i].value)
			return first, true
		}
	}
	return "", false
}

// strip removes every field whose name begins with X-Signalbox, in any spelling, and says how many.
func (m *message) strip() (n int) {
	kept := m.fields[:0]
	for _, f := range m.fields {
		if strings.HasPrefix(f.key, ownPrefix) {
			n++
			continue
		}
		kept = append(kept, f)
	}
	m.fields = kept
	return n
}

const ownPrefix = "x-signalbox"

// tame makes a caller's identity harmless to FreeSWITCH and says in how many fields. FreeSWITCH decodes percent escapes in a
// display name when it reads it and once more when it writes the From of a B-leg, so that a caller named
// "x%250d%250aX-Evil%253a yes" puts a header of his own on that leg; and an escaped line feed in the user part arrives as
// one in the caller's number (both measured with 1.10.12). So percent signs leave display names, and escaped control
// characters leave URIs. P-Preferred-Identity is for a phone to its own proxy and never goes further (RFC 3325 section
// 9.2); FreeSWITCH would believe it before the asserted one.
func (m *message) tame() (n int) {
	kept := m.fields[:0]
	for _, f := range m.fields {
		switch f.key {
		case "p-preferred-identity":
			n++
			continue
		case "from", "p-asserted-identity", "remote-party-id":
			if v := tameIdentity(f.value); v != f.value {
				f.value = v
				n++
			}
		}
		kept = append(kept, f)
	}
	m.fields = kept
	return n
}

func tameIdentity(value string) string { return tameURIs(tameNames(value)) }

// tameURIs removes escaped control characters, also those that only a removal completes.
func tameURIs(value string) string {
	if !strings.Contains(value, "%") {
		return value
	}
	out := make([]byte, 0, len(value))
	for i := range len(value) {
		out = append(out, value[i])
		if n := len(out); n >= 3 && out[n-3] == '%' {
			if b, err := strconv.ParseUint(string(out[n-2:]), 16, 8); err == nil && (b < 0x20 || b == 0x7f) {
				out = out[:n-3]
			}
		}
	}
	return string(out)
}

// tameNames replaces each percent sign outside angle brackets by a space. A value without angle brackets has no display name.
func tameNames(value string) string {
	if !strings.Contains(value, "%") || !strings.Contains(value, "<") {
		return value
	}
	out := []byte(value)
	quoted, inside := false, false
	for i := 0; i < len(out); i++ {
		switch c := out[i]; {
		case c == '%' && !inside:
			out[i] = ' '
		case quoted && c == '\\':
			i++
			if i < len(out) && out[i] == '%' {
				out[i] = ' '
			}
		case c == '"' && !inside:
			quoted = !quoted
		case c == '<' && !quoted:
			inside = true
		case c == '>' && !quoted:
			inside = false
		}
	}
	return string(out)
}

// clone copies all but the body, which is never written to.
func (m *message) clone() *message {
	c := *m
	c.fields = make([]field, len(m.fields), len(m.fields)+4)
	copy(c.fields, m.fields)
	return &c
}

// bytes writes the message for the wire, with a Content-Length that is right.
func (m *message) bytes() []byte {
	n := 64 + len(m.uri) + len(m.phrase) + len(m.body)
	for i := range m.fields {
		n += len(m.fields[i].name) + len(m.fields[i].value) + 4
	}
	b := make([]byte, 0, n)
	if m.isRequest() {
		b = append(b, m.method...)
		b = append(b, ' ')
		b = append(b, m.uri...)
		b = append(b, " SIP/2.0\r\n"...)
	} else {
		b = append(b, "SIP/2.0 "...)
		b = strconv.AppendInt(b, int64(m.code), 10)
		b = append(b, ' ')
		b = append(b, m.phrase...)
		b = append(b, "\r\n"...)
	}
	for i := range m.fields {
		if m.fields[i].key == "content-length" {
			continue
		}
		b = append(b, m.fields[i].name...)
		b = append(b, ": "...)
		b = append(b, m.fields[i].value...)
		b = append(b, "\r\n"...)
	}
	b = append(b, "Content-Length: "...)
	b = strconv.AppendInt(b, int64(len(m.body)), 10)
	b = append(b, "\r\n\r\n"...)
	return append(b, m.body...)
}

// cseq gives number and method.
func (m *message) cseq() (uint32, string, bool) {
	f := strings.Fields(m.get("cseq"))
	if len(f) != 2 {
		return 0, "", false
	}
	n, err := strconv.ParseUint(f[0], 10, 31)
	return uint32(n), f[1], err == nil
}

// single are the headers of which a request or response has exactly one. A second one would be read by one
// element and overlooked by the next.
var single = [...]string{"from", "to", "call-id", "cseq"}

// checkSense says what is wrong with a message that parsed; "" is nothing. The text is fit for a 400's phrase.
func (m *message) checkSense() string {
	for _, key := range single {
		switch m.count(key) {
		case 1:
		case 0:
			return "Missing " + key
		default:
			return "More Than One " + key
		}
	}
	if m.count("max-forwards") > 1 || m.count("content-length") > 1 {
		return "Repeated Header"
	}
	if v, ok := m.topVia(); !ok || v.host == "" {
		return "Bad Via"
	}
	_, method, ok := m.cseq()
	if !ok || (m.isRequest() && method != m.method) {
		return "Bad CSeq"
	}
	if m.get("call-id") == "" {
		return "Bad Call-ID"
	}
	if m.isRequest() {
		if strings.IndexByte(m.uri, '?') >= 0 {
			return "Headers In Request-URI"
		}
		for _, key := range [...]string{"from", "to"} {
			if _, err := parseAddress(m.get(key)); err != nil {
				return "Bad " + key
			}
		}
	}
	return ""
}
