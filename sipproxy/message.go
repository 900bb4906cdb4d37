package sipproxy

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
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

	// errStartLine and errVersion are of requests that are good enough to be answered.
	errStartLine = fmt.Errorf("%w: request line", ErrMalformed)
	errLength    = fmt.Errorf("%w: content-length", ErrMalformed)
	errVersion   = fmt.Errorf("%w: version", ErrMalformed)
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
	lines := bytes.Count(head, headEnd[:2])
	if lines > 8*l.MaxHeaders {
		return nil, fmt.Errorf("%w: %d header lines", ErrTooLarge, lines)
	}
	if len(head) <= l.MaxHeaderBytes && lines <= l.MaxHeaders {
		if m := scan(head, raw[end+len(headEnd):], lines); m != nil {
			return m, nil
		}
	}
	return parseLong(p, raw, head, l)
}

// parseLong has sipgo read the message.
func parseLong(p *sip.Parser, raw, head []byte, l Limits) (*message, error) {
	parsed, _, perr := p.Parse(raw, false)
	if parsed == nil || (perr != nil && !errors.Is(perr, sip.ErrParseReadBodyIncomplete)) {
		if m, err := parseLengthless(p, raw); m != nil {
			return m, err
		}
		return withoutStart(p, raw, fmt.Errorf("%w: %v", ErrMalformed, perr))
	}
	m, err := fromSIP(parsed, head)
	if err != nil {
		return withoutStart(p, raw, err)
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

// parseLengthless reads a message whose Content-Length is no number, so that its sender is told; nil when that is not what is wrong.
func parseLengthless(p *sip.Parser, raw []byte) (*message, error) {
	head := withoutLength(raw[:bytes.Index(raw, headEnd)+len(headEnd)])
	parsed, _, err := p.Parse(head, false)
	if parsed == nil || err != nil {
		return nil, err
	}
	m, err := fromSIP(parsed, head)
	if err != nil {
		return nil, err
	}
	return m, errLength
}

// withoutStart reads what stands below a request line that the parser does not take, so that its sender is told. A URI of a scheme that the parser
// does not know is no mistake. why is what is wrong when that fails too, or when it is no request.
func withoutStart(p *sip.Parser, raw []byte, why error) (*message, error) {
	line, rest, _ := bytes.Cut(raw, headEnd[:2])
	words := strings.Fields(string(line))
	if len(words) < 2 || !isToken(words[0]) || !strings.HasPrefix(words[len(words)-1], "SIP/") {
		return nil, why
	}
	start := words[0] + " sip:unread.invalid SIP/2.0"
	parsed, _, err := p.Parse(slices.Concat([]byte(start), headEnd[:2], rest), false)
	if parsed == nil || err != nil {
		return nil, why
	}
	m, err := fromSIP(parsed, []byte(start))
	switch {
	case err != nil:
		return nil, why
	case words[len(words)-1] != "SIP/2.0":
		return m, fmt.Errorf("%w %.20q", errVersion, words[len(words)-1])
	case string(line) != strings.Join(words, " ") || len(words) != 3 || !isURI(words[1]) || knownScheme(words[1]):
		return m, fmt.Errorf("%w %.80q", errStartLine, line)
	}
	m.uri = words[1]
	return m, nil
}

// knownScheme says whether we know what a URI of its kind means (RFC 3261 16.3 step 2). A call for help is known by its name alone (RFC 5031).
func knownScheme(uri string) bool {
	switch scheme, _, _ := strings.Cut(uri, ":"); strings.ToLower(scheme) {
	case "sip", "sips", "tel", "urn":
		return true
	}
	return false
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
	if key, ok := longNames[name]; ok {
		return key
	}
	return strings.ToLower(name)
}

// longNames are the names that most messages have, as most write them: what is in the table costs no memory.
var longNames = func() map[string]string {
	table := make(map[string]string)
	for _, name := range [...]string{
		"Via", "From", "To", "Call-ID", "CSeq", "Max-Forwards", "Contact", "Route", "Record-Route", "Content-Type", "Content-Length", "Allow", "Supported",
		"Require", "User-Agent", "Server", "Reason", "Expires", "Session-Expires", "Min-SE", "Accept", "P-Asserted-Identity", "Remote-Party-ID",
		"Privacy", "Diversion", "History-Info", "Identity", "Allow-Events", "X-Signalbox",
	} {
		table[name] = strings.ToLower(name)
	}
	return table
}()

// isToken says whether s is a token of RFC 3261 25.1.
func isToken(s string) bool {
	if s == "" {
		return false
	}
	for i := range len(s) {
		c := s[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-':
		case strings.IndexByte(".!%*_+`'~", c) >= 0:
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
		m.fields = slices.Delete(m.fields, i, i+1)
		return
	}
}

// hasSecondVia says whether there is a Via below the topmost one.
func (m *message) hasSecondVia() bool {
	if m.count("via") > 1 {
		return true
	}
	_, _, more := cutList(m.get("via"))
	return more
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

// tame makes the identity of a caller, or of who answers, harmless to FreeSWITCH and says in how many fields. FreeSWITCH decodes percent
// escapes in a display name when it reads it and once more when it writes the From of a B-leg, so that a caller named
// "x%250d%250aX-Evil%253a yes" puts a header of his own on that leg; so does who answers with such a name on the answers to the
// caller; and an escaped line feed in the user part arrives as one in the caller's number (all measured with 1.10.12). So percent signs
// leave display names, and escaped control characters leave URIs. P-Preferred-Identity is for a phone to its own proxy and never goes
// further (RFC 3325 section 9.2); FreeSWITCH would believe it before the asserted one. X-AUTH-IP and the like are a proxy's word for the
// address of a caller, by which a profile with apply-proxy-acl lets him in without a password. The From of a response is the asker's own.
func (m *message) tame() (n int) {
	kept := m.fields[:0]
	for _, f := range m.fields {
		if strings.HasPrefix(f.key, "x-auth-") {
			n++
			continue
		}
		was := f.value
		switch f.key {
		case "p-preferred-identity":
			n++
			continue
		case "from":
			if m.isRequest() {
				f.value = tameIdentity(f.value)
			}
		case "p-asserted-identity", "remote-party-id":
			f.value = tameIdentity(f.value)
		case "x-fs-display-name": // by which one FreeSWITCH tells another who is talking
			f.value = strings.ReplaceAll(f.value, "%", " ")
		}
		if f.value != was {
			n++
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
func (m *message) bytes() []byte { return m.append(make([]byte, 0, m.size())) }

// size is the length of bytes, or a little more.
func (m *message) size() int {
	n := 64 + len(m.method) + len(m.uri) + len(m.phrase) + len(m.body)
	for i := range m.fields {
		n += len(m.fields[i].name) + len(m.fields[i].value) + 4
	}
	return n
}

// append writes the message behind b.
func (m *message) append(b []byte) []byte {
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
	value := m.get("cseq")
	num, method, _ := strings.Cut(value, " ")
	if strings.ContainsAny(num, "\t\v\f") || !isToken(method) { // not as all write it
		f := strings.Fields(value)
		if len(f) != 2 {
			return 0, "", false
		}
		num, method = f[0], f[1]
	}
	n, err := strconv.ParseUint(num, 10, 31)
	return uint32(n), method, err == nil
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
