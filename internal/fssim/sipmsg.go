package fssim

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// Bounds of the SIP parser. A message that exceeds one is refused with errSIPTooLarge; on a stream the connection is
// closed, because where the next message begins is not known any more.
const (
	maxSIPHead    = 192 << 10
	maxSIPBody    = 64 << 10
	maxSIPHeaders = 512
)

var (
	errSIPTooLarge  = errors.New("sip message exceeds the simulator's bounds")
	errSIPMalformed = errors.New("malformed sip message")
)

// sipHeader is one header field, its name in the spelling of the sender (compact forms written out), its value as on
// the wire with folded lines joined by one space.
type sipHeader struct{ name, value string }

// sipMessage is a request (method is set) or a response (status is set). The simulator keeps header values as the
// bytes that came, because FreeSWITCH publishes several of them in channel variables.
type sipMessage struct {
	method  string
	uri     string
	status  int
	reason  string
	headers []sipHeader
	body    []byte
}

func (m *sipMessage) isRequest() bool { return m.method != "" }

// compactForms are the one-letter header names of RFC 3261 section 7.3.3 and its extensions.
func longName(name string) string {
	if len(name) != 1 {
		return name
	}
	switch name[0] | 0x20 {
	case 'v':
		return "Via"
	case 'f':
		return "From"
	case 't':
		return "To"
	case 'i':
		return "Call-ID"
	case 'm':
		return "Contact"
	case 'l':
		return "Content-Length"
	case 'c':
		return "Content-Type"
	case 'e':
		return "Content-Encoding"
	case 's':
		return "Subject"
	case 'k':
		return "Supported"
	case 'o':
		return "Event"
	case 'r':
		return "Refer-To"
	case 'b':
		return "Referred-By"
	case 'y':
		return "Identity"
	case 'x':
		return "Session-Expires"
	case 'u':
		return "Allow-Events"
	}
	return name
}

// get returns the first value of a header, "" when it is absent.
func (m *sipMessage) get(name string) string {
	for _, h := range m.headers {
		if strings.EqualFold(h.name, name) {
			return h.value
		}
	}
	return ""
}

// all returns the values of every header field of that name, in order, unsplit.
func (m *sipMessage) all(name string) []string {
	var out []string
	for _, h := range m.headers {
		if strings.EqualFold(h.name, name) {
			out = append(out, h.value)
		}
	}
	return out
}

// list returns the elements of a comma-separated header over all its fields, in order.
func (m *sipMessage) list(name string) []string {
	var out []string
	for _, v := range m.all(name) {
		out = append(out, splitList(v)...)
	}
	return out
}

func (m *sipMessage) add(name, value string) {
	m.headers = append(m.headers, sipHeader{name, value})
}

// set replaces every field of that name by one, in the place of the first.
func (m *sipMessage) set(name, value string) {
	out := m.headers[:0:0]
	done := false
	for _, h := range m.headers {
		if !strings.EqualFold(h.name, name) {
			out = append(out, h)
			continue
		}
		if !done {
			out = append(out, sipHeader{h.name, value})
			done = true
		}
	}
	if !done {
		out = append(out, sipHeader{name, value})
	}
	m.headers = out
}

// cseq returns the number and method of the CSeq header; 0 and "" when there is none.
func (m *sipMessage) cseq() (uint32, string) {
	num, method, _ := strings.Cut(m.get("CSeq"), " ")
	n, err := strconv.ParseUint(strings.TrimSpace(num), 10, 32)
	if err != nil {
		return 0, ""
	}
	return uint32(n), strings.TrimSpace(method)
}

// bytes writes the message out, with the Content-Length of its body.
func (m *sipMessage) bytes() []byte {
	var b bytes.Buffer
	if m.isRequest() {
		fmt.Fprintf(&b, "%s %s SIP/2.0\r\n", m.method, m.uri)
	} else {
		fmt.Fprintf(&b, "SIP/2.0 %d %s\r\n", m.status, m.reason)
	}
	for _, h := range m.headers {
		if strings.EqualFold(h.name, "Content-Length") {
			continue
		}
		b.WriteString(h.name)
		b.WriteString(": ")
		b.WriteString(h.value)
		b.WriteString("\r\n")
	}
	fmt.Fprintf(&b, "Content-Length: %d\r\n\r\n", len(m.body))
	b.Write(m.body)
	return b.Bytes()
}

// splitList cuts a header value at the commas that stand outside quotes and angle brackets.
func splitList(v string) []string {
	var out []string
	start, angle := 0, 0
	quoted := false
	for i := 0; i < len(v); i++ {
		switch c := v[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '<':
			angle++
		case c == '>':
			angle--
		case c == ',' && angle <= 0:
			if s := strings.TrimSpace(v[start:i]); s != "" {
				out = append(out, s)
			}
			start = i + 1
		}
	}
	if s := strings.TrimSpace(v[start:]); s != "" {
		out = append(out, s)
	}
	return out
}

// parseSIP parses one datagram. The body is what Content-Length says, or the rest when it says nothing.
func parseSIP(data []byte) (*sipMessage, error) {
	end := bytes.Index(data, []byte("\r\n\r\n"))
	if end < 0 {
		return nil, fmt.Errorf("%w: no blank line", errSIPMalformed)
	}
	m, err := parseSIPHead(data[:end])
	if err != nil {
		return nil, err
	}
	rest := data[end+4:]
	n, given, err := contentLength(m)
	if err != nil {
		return nil, err
	}
	if given {
		if n > len(rest) {
			return nil, fmt.Errorf("%w: body shorter than Content-Length", errSIPMalformed)
		}
		rest = rest[:n]
	}
	if len(rest) > maxSIPBody {
		return nil, errSIPTooLarge
	}
	m.body = bytes.Clone(rest)
	return m, nil
}

// readSIP reads the next message of a stream. Empty lines between messages (RFC 5626 keep-alives) are skipped.
func readSIP(r *bufio.Reader) (*sipMessage, error) {
	var head []byte
	for {
		line, err := r.ReadSlice('\n')
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			if errors.Is(err, io.EOF) && len(head)+len(line) > 0 {
				return nil, io.ErrUnexpectedEOF
			}
			return nil, err
		}
		if len(head) == 0 && len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		head = append(head, line...)
		if len(head) > maxSIPHead {
			return nil, errSIPTooLarge
		}
		if bytes.HasSuffix(head, []byte("\r\n\r\n")) {
			break
		}
	}
	m, err := parseSIPHead(head[:len(head)-4])
	if err != nil {
		return nil, err
	}
	n, _, err := contentLength(m)
	if err != nil {
		return nil, err
	}
	if n > maxSIPBody {
		return nil, errSIPTooLarge
	}
	m.body = make([]byte, n)
	if _, err := io.ReadFull(r, m.body); err != nil {
		return nil, fmt.Errorf("read sip body: %w", err)
	}
	return m, nil
}

func contentLength(m *sipMessage) (n int, given bool, err error) {
	v := m.get("Content-Length")
	if v == "" {
		return 0, false, nil
	}
	n, err = strconv.Atoi(strings.TrimSpace(v))
	if err != nil || n < 0 {
		return 0, true, fmt.Errorf("%w: content length %q", errSIPMalformed, v)
	}
	return n, true, nil
}

func parseSIPHead(head []byte) (*sipMessage, error) {
	if len(head) > maxSIPHead {
		return nil, errSIPTooLarge
	}
	lines := strings.Split(string(head), "\r\n")
	for len(lines) > 0 && lines[0] == "" {
		lines = lines[1:]
	}
	if len(lines) == 0 {
		return nil, fmt.Errorf("%w: empty", errSIPMalformed)
	}
	m := &sipMessage{}
	if err := m.parseStart(lines[0]); err != nil {
		return nil, err
	}
	for _, l := range lines[1:] {
		if l == "" {
			continue
		}
		if l[0] == ' ' || l[0] == '\t' {
			if len(m.headers) == 0 {
				return nil, fmt.Errorf("%w: continuation without a header", errSIPMalformed)
			}
			last := &m.headers[len(m.headers)-1]
			last.value = strings.TrimSpace(last.value + " " + strings.TrimSpace(l))
			continue
		}
		name, value, ok := strings.Cut(l, ":")
		name = strings.TrimSpace(name)
		if !ok || name == "" || strings.ContainsAny(name, " \t\"<>") {
			return nil, fmt.Errorf("%w: header line", errSIPMalformed)
		}
		if len(m.headers) >= maxSIPHeaders {
			return nil, errSIPTooLarge
		}
		m.add(longName(name), strings.TrimSpace(value))
	}
	return m, nil
}

func (m *sipMessage) parseStart(line string) error {
	if rest, ok := strings.CutPrefix(line, "SIP/2.0 "); ok {
		code, reason, _ := strings.Cut(rest, " ")
		n, err := strconv.Atoi(code)
		if err != nil || n < 100 || n > 699 {
			return fmt.Errorf("%w: status line", errSIPMalformed)
		}
		m.status, m.reason = n, reason
		return nil
	}
	f := strings.Fields(line)
	if len(f) != 3 || f[2] != "SIP/2.0" {
		return fmt.Errorf("%w: request line", errSIPMalformed)
	}
	m.method, m.uri = f[0], f[1]
	return nil
}
