package sipproxy

import (
	"bytes"
	"fmt"
	"net/netip"
	"strings"
	"time"
)

// Invite is a read-only view of an admitted initial INVITE, as a Screener and a Router see it: after X-Signalbox
// headers from outside were stripped, before anything was added. It is safe for concurrent use and may be kept.
type Invite struct {
	// Peer is the trunk it came from.
	Peer Peer
	// Source is the address the packet or connection came from.
	Source netip.AddrPort
	// Transport is "udp", "tcp", "tls", "ws" or "wss".
	Transport string
	// CallID and FromTag identify the call attempt.
	CallID, FromTag string
	// RequestURI is as on the wire; To and From are parsed, Called is RequestURI parsed.
	RequestURI string
	Called     Address
	From, To   Address
	// Size is that of the message as received, in bytes.
	Size int
	// Time is when it was received.
	Time time.Time
	// Stripped is how many forged X-Signalbox headers were removed.
	Stripped int

	msg *message
}

// Header gives all values under a name, one for each header field in the order of the message. The name is taken in any
// case, and a compact form stands for its long one in both directions. A field with a list is one value: whether a
// comma parts depends on the header, see SplitList.
func (i *Invite) Header(name string) []string {
	if i.msg == nil {
		return nil
	}
	return i.msg.all(foldName(name))
}

// Each calls f for every header field in order, names as on the wire.
func (i *Invite) Each(f func(name, value string)) {
	if i.msg == nil {
		return
	}
	for _, h := range i.msg.fields {
		f(h.name, h.value)
	}
}

// Body gives a copy of the message body.
func (i *Invite) Body() []byte {
	if i.msg == nil {
		return nil
	}
	return bytes.Clone(i.msg.body)
}

func newInvite(m *message, size int) (*Invite, error) {
	from, err := parseAddress(m.get("from"))
	if err != nil {
		return nil, err
	}
	to, err := parseAddress(m.get("to"))
	if err != nil {
		return nil, err
	}
	return &Invite{
		CallID: m.get("call-id"), FromTag: from.Tag(), RequestURI: m.uri, Called: parseURI(m.uri),
		From: from, To: to, Size: size, msg: m,
	}, nil
}

// Parse reads an INVITE from a file or a paste, for looking at it without a network. It is more forgiving than the
// listener: lines may end in LF, the empty line at the end may be missing, and Content-Length is not believed. What it
// does not forgive is what the listener refuses: the error says what that is.
func Parse(raw []byte, limits Limits) (*Invite, error) {
	limits = limits.withDefaults()
	if len(raw) > limits.MaxMessage {
		return nil, fmt.Errorf("%w: %d bytes, at most %d", ErrTooLarge, len(raw), limits.MaxMessage)
	}
	text := bytes.TrimLeft(raw, "\r\n \t")
	text = bytes.TrimPrefix(text, []byte("\xef\xbb\xbf"))
	if first, _, _ := bytes.Cut(text, []byte("\n")); !bytes.HasSuffix(first, []byte("\r")) {
		head, body, _ := bytes.Cut(text, []byte("\n\n"))
		head = bytes.ReplaceAll(head, []byte("\r\n"), []byte("\n"))
		text = bytes.ReplaceAll(head, []byte("\n"), []byte("\r\n"))
		text = append(append(text, headEnd...), body...)
	}
	if !bytes.Contains(text, headEnd) {
		text = append(bytes.TrimRight(bytes.Clone(text), "\r\n"), headEnd...)
	}
	limits.MaxMessage = 2*limits.MaxMessage + 8
	m, err := parseMessage(newParser(limits), withoutLength(text), limits)
	if err != nil {
		return nil, err
	}
	if m.method != "INVITE" {
		return nil, fmt.Errorf("%w: not an INVITE but %s", ErrMalformed, strings.TrimSpace(fmt.Sprint(m.method, " ", m.phrase)))
	}
	if wrong := m.checkSense(); wrong != "" {
		return nil, fmt.Errorf("%w: %s", ErrMalformed, strings.ToLower(wrong))
	}
	stripped := m.strip()
	inv, err := newInvite(m, len(raw))
	if err != nil {
		return nil, err
	}
	inv.Stripped = stripped
	return inv, nil
}

// withoutLength drops the Content-Length lines of a message, so that all that follows the head is its body.
func withoutLength(raw []byte) []byte {
	end := bytes.Index(raw, headEnd)
	if end < 0 {
		return raw
	}
	out := make([]byte, 0, len(raw))
	skip := false
	for i, line := range bytes.SplitAfter(raw[:end+2], []byte("\r\n")) {
		folded := len(line) > 0 && (line[0] == ' ' || line[0] == '\t')
		if !folded && i > 0 {
			name, _, _ := bytes.Cut(line, []byte(":"))
			skip = foldName(string(bytes.TrimSpace(name))) == "content-length"
		}
		if !skip {
			out = append(out, line...)
		}
	}
	return append(out, raw[end+2:]...)
}
