package lab

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/emiago/sipgo/sip"
)

// Message is one SIP message as it was on the wire, readable.
type Message struct {
	Raw string
	At  time.Time
	req *sip.Request
	res *sip.Response
}

// maxMessage bounds a SIP message in bytes, in either direction.
const maxMessage = 65535

var errNoMessage = errors.New("lab: not a SIP message")

// ParseMessage reads one whole SIP message.
func ParseMessage(raw []byte) (*Message, error) {
	if len(raw) > maxMessage {
		return nil, fmt.Errorf("%w: %d bytes, more than %d", errNoMessage, len(raw), maxMessage)
	}
	parser := sip.NewParser()
	parser.MaxMessageLength = maxMessage
	parsed, err := parser.ParseSIP(raw)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errNoMessage, err)
	}
	return wrap(parsed, string(raw))
}

func wrap(parsed sip.Message, raw string) (*Message, error) {
	m := &Message{Raw: raw, At: time.Now()}
	switch p := parsed.(type) {
	case *sip.Request:
		m.req = p
	case *sip.Response:
		m.res = p
	}
	if d := m.data(); d == nil || d.CallID() == nil || d.CSeq() == nil || d.From() == nil || d.To() == nil || d.Via() == nil {
		return nil, fmt.Errorf("%w: Call-ID, CSeq, From, To or Via is missing", errNoMessage)
	}
	return m, nil
}

func (m *Message) data() sip.Message {
	switch {
	case m.req != nil:
		return m.req
	case m.res != nil:
		return m.res
	}
	return nil
}

// IsRequest tells a request from a response.
func (m *Message) IsRequest() bool { return m.req != nil }

// Method is the method of a request, or of the request a response answers.
func (m *Message) Method() string {
	if m.req != nil {
		return m.req.Method.String()
	}
	return m.res.CSeq().MethodName.String()
}

// URI is the Request-URI as on the wire; "" for a response.
func (m *Message) URI() string {
	if m.req == nil {
		return ""
	}
	line, _, _ := strings.Cut(m.Raw, "\r\n")
	if f := strings.Fields(line); len(f) == 3 {
		return f[1]
	}
	return m.req.Recipient.String()
}

// Status is the status code of a response; 0 for a request.
func (m *Message) Status() int {
	if m.res == nil {
		return 0
	}
	return m.res.StatusCode
}

// Phrase is the reason phrase of a response.
func (m *Message) Phrase() string {
	if m.res == nil {
		return ""
	}
	return m.res.Reason
}

// Get returns the first value of a header as it was on the wire; "" when there is none.
func (m *Message) Get(name string) string {
	if all := m.All(name); len(all) > 0 {
		return all[0]
	}
	return ""
}

// compact is RFC 3261's list of short header names, as far as the lab reads them.
func compact(name string) string {
	switch name {
	case "v":
		return "via"
	case "f":
		return "from"
	case "t":
		return "to"
	case "i":
		return "call-id"
	case "m":
		return "contact"
	case "l":
		return "content-length"
	case "c":
		return "content-type"
	case "y":
		return "identity"
	}
	return name
}

// All returns every value of a header, one for each line, as on the wire and in its order.
func (m *Message) All(name string) []string {
	var out []string
	head, _, _ := strings.Cut(m.Raw, "\r\n\r\n")
	for _, line := range strings.Split(head, "\r\n")[1:] {
		n, v, ok := strings.Cut(line, ":")
		if ok && strings.EqualFold(compact(strings.ToLower(strings.TrimSpace(n))), name) {
			out = append(out, strings.TrimSpace(v))
		}
	}
	return out
}

// Names returns the names of all headers in their spelling.
func (m *Message) Names() []string {
	var out []string
	head, _, _ := strings.Cut(m.Raw, "\r\n\r\n")
	for _, line := range strings.Split(head, "\r\n")[1:] {
		if n, _, ok := strings.Cut(line, ":"); ok {
			out = append(out, strings.TrimSpace(n))
		}
	}
	return out
}

// Body is what follows the headers.
func (m *Message) Body() string { return string(m.data().Body()) }

// CallID is the Call-ID.
func (m *Message) CallID() string { return string(*m.data().CallID()) }

func (m *Message) cseq() uint32 { return m.data().CSeq().SeqNo }

func (m *Message) branch() string {
	b, _ := m.data().Via().Params.Get("branch")
	return b
}

func (m *Message) fromTag() string { t, _ := m.data().From().Params.Get("tag"); return t }
func (m *Message) toTag() string   { t, _ := m.data().To().Params.Get("tag"); return t }

// DisplayName is the display name in From, without its quotes and escapes.
func (m *Message) DisplayName() string {
	v := strings.TrimSpace(m.Get("from"))
	if !strings.HasPrefix(v, `"`) {
		name, _, _ := strings.Cut(v, "<")
		return strings.TrimSpace(name)
	}
	var b strings.Builder
	for i := 1; i < len(v) && v[i] != '"'; i++ {
		if v[i] == '\\' && i+1 < len(v) {
			i++
		}
		b.WriteByte(v[i])
	}
	return b.String()
}

// summary is the message in one line of a ladder.
func (m *Message) summary() string {
	if m.res != nil {
		s := fmt.Sprintf("%d %s", m.res.StatusCode, m.res.Reason)
		if m.Method() != "INVITE" {
			s += " (" + m.Method() + ")"
		} else if m.res.StatusCode < 200 && m.Body() != "" {
			s += ", early media"
		}
		return s
	}
	switch m.Method() {
	case "INVITE":
		user := m.req.Recipient.User
		if cause, ok := m.req.Recipient.UriParams.Get("cause"); ok {
			return "INVITE " + user + " cause=" + cause
		}
		return "INVITE " + user
	case "CANCEL", "BYE":
		if reason := m.Get("reason"); reason != "" {
			return m.Method() + " (" + reasonText(reason) + ")"
		}
	}
	return m.Method()
}

// reasonText shortens a Reason header to its protocol and cause.
func reasonText(v string) string {
	proto, rest, _ := strings.Cut(v, ";")
	for p := range strings.SplitSeq(rest, ";") {
		if cause, ok := strings.CutPrefix(strings.TrimSpace(p), "cause="); ok {
			return proto + " " + cause
		}
	}
	return proto
}

// hop is where a message is sent.
type hop struct {
	network string // "udp" or "tcp"
	addr    netip.AddrPort
}

// uriHop gives the address a URI names. The lab asks no DNS: the host must be a literal address.
func uriHop(uri string) (hop, error) {
	var u sip.Uri
	if err := sip.ParseUri(uri, &u); err != nil {
		return hop{}, fmt.Errorf("reading %q: %w", uri, err)
	}
	ip, err := netip.ParseAddr(strings.Trim(u.Host, "[]"))
	if err != nil {
		return hop{}, fmt.Errorf("%q: the lab sends to literal addresses only: %w", uri, err)
	}
	port := u.Port
	if port == 0 {
		port = 5060
	}
	network := "udp"
	if t, _ := u.UriParams.Get("transport"); strings.EqualFold(t, "tcp") {
		network = "tcp"
	}
	return hop{network, netip.AddrPortFrom(ip, uint16(port))}, nil
}

// addressURI takes the URI out of a name-addr or addr-spec header value.
func addressURI(v string) string {
	quoted := false
	for i := 0; i < len(v); i++ {
		switch {
		case v[i] == '\\' && quoted:
			i++
		case v[i] == '"':
			quoted = !quoted
		case v[i] == '<' && !quoted:
			uri, _, _ := strings.Cut(v[i+1:], ">")
			return uri
		}
	}
	uri, _, _ := strings.Cut(v, ";")
	return strings.TrimSpace(uri)
}

// splitList splits a comma-separated header of addresses, respecting <> and quotes.
func splitList(values []string) []string {
	var out []string
	for _, v := range values {
		start, depth, quoted := 0, 0, false
		for i := 0; i < len(v); i++ {
			switch {
			case v[i] == '\\' && quoted:
				i++
			case v[i] == '"':
				quoted = !quoted
			case v[i] == '<' && !quoted:
				depth++
			case v[i] == '>' && !quoted:
				depth--
			case v[i] == ',' && !quoted && depth == 0:
				out = append(out, strings.TrimSpace(v[start:i]))
				start = i + 1
			}
		}
		if s := strings.TrimSpace(v[start:]); s != "" {
			out = append(out, s)
		}
	}
	return out
}

// replyHop is where a response goes (RFC 3261 18.2.2, RFC 3581), given where the request came from.
func (m *Message) replyHop(from hop) hop {
	if from.network == "tcp" {
		return from
	}
	via := m.data().Via()
	if _, ok := via.Params.Get("rport"); ok {
		return from
	}
	port := via.Port
	if port == 0 {
		port = 5060
	}
	return hop{"udp", netip.AddrPortFrom(from.addr.Addr(), uint16(port))}
}

// builder writes a message line by line.
type builder struct{ strings.Builder }

func (b *builder) line(format string, args ...any) {
	fmt.Fprintf(b, format, args...)
	b.WriteString("\r\n")
}

func (b *builder) finish(contentType, body string) []byte {
	if body != "" {
		b.line("Content-Type: %s", contentType)
	}
	b.line("Content-Length: %s", strconv.Itoa(len(body)))
	b.WriteString("\r\n")
	b.WriteString(body)
	return []byte(b.String())
}
