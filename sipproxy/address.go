package sipproxy

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// Address is a parsed name-addr or addr-spec (RFC 3261 20.10), as in From, To, P-Asserted-Identity or Diversion.
type Address struct {
	// Display is the display name without its quotes and backslashes; hostile text, never to be pasted anywhere.
	Display string
	// URI is the address as written, without angle brackets.
	URI string
	// Scheme is in lower case: "sip", "sips", "tel".
	Scheme string
	// User is the user part as written, percent escapes and ";verstat=" and the like included; of a tel URI the number with its parameters.
	User string
	// Host is in lower case, an IPv6 address without brackets; empty for tel.
	Host string
	// Port is 0 when none was written.
	Port uint16
	// URIParams are the parameters of the URI, as written, without the first semicolon.
	URIParams string
	// Params are the parameters of the header, as written, without the first semicolon.
	Params string
}

// Tag is the tag parameter.
func (a Address) Tag() string { v, _ := param(a.Params, "tag"); return v }

// ParseAddress reads one name-addr or addr-spec with its parameters.
func ParseAddress(s string) (Address, error) { return parseAddress(s) }

func parseAddress(s string) (Address, error) {
	var a Address
	s = strings.TrimSpace(s)
	rest := s
	if strings.HasPrefix(rest, `"`) {
		end := quotedEnd(rest)
		if end < 0 {
			return a, fmt.Errorf("%w: display name without end in %.80q", ErrMalformed, s)
		}
		a.Display = unquote(rest[:end])
		rest = strings.TrimLeft(rest[end:], " \t")
		if !strings.HasPrefix(rest, "<") {
			return a, fmt.Errorf("%w: no < after the display name in %.80q", ErrMalformed, s)
		}
	} else if i := strings.IndexByte(rest, '<'); i >= 0 {
		a.Display = strings.TrimSpace(rest[:i])
		rest = rest[i:]
	}
	uri := rest
	if strings.HasPrefix(rest, "<") {
		end := strings.IndexByte(rest, '>')
		if end < 0 {
			return a, fmt.Errorf("%w: no > in %.80q", ErrMalformed, s)
		}
		uri = rest[1:end]
		after := strings.TrimLeft(rest[end+1:], " \t")
		switch {
		case after == "":
		case after[0] == ';':
			a.Params = strings.TrimSpace(after[1:])
		default:
			return a, fmt.Errorf("%w: text after > in %.80q", ErrMalformed, s)
		}
	} else if i := strings.IndexByte(rest, ';'); i >= 0 {
		// Without brackets the parameters belong to the header (RFC 3261 20.10).
		uri, a.Params = strings.TrimSpace(rest[:i]), strings.TrimSpace(rest[i+1:])
	}
	if !isURI(uri) {
		return a, fmt.Errorf("%w: no URI in %.80q", ErrMalformed, s)
	}
	u := parseURI(uri)
	u.Display, u.Params = a.Display, a.Params
	return u, nil
}

// parseURI takes a URI apart; one of another scheme than sip, sips and tel has all its text in User.
func parseURI(uri string) Address {
	a := Address{URI: uri}
	scheme, rest, _ := strings.Cut(uri, ":")
	a.Scheme = strings.ToLower(scheme)
	if a.Scheme != "sip" && a.Scheme != "sips" {
		a.User = rest
		return a
	}
	rest, _, _ = strings.Cut(rest, "?")
	if i := strings.LastIndexByte(rest, '@'); i >= 0 {
		a.User, _, _ = strings.Cut(rest[:i], ":")
		rest = rest[i+1:]
	}
	rest, a.URIParams, _ = strings.Cut(rest, ";")
	a.Host, a.Port, _ = splitHostPort(rest)
	return a
}

// splitHostPort reads host[:port] with an IPv6 host in brackets; the host comes in lower case.
func splitHostPort(s string) (host string, port uint16, ok bool) {
	s = strings.TrimSpace(s)
	var portText string
	if strings.HasPrefix(s, "[") {
		end := strings.IndexByte(s, ']')
		if end < 0 {
			return "", 0, false
		}
		host, portText = s[1:end], s[end+1:]
		if portText != "" && portText[0] != ':' {
			return "", 0, false
		}
		portText = strings.TrimPrefix(portText, ":")
	} else {
		host, portText, _ = strings.Cut(s, ":")
	}
	host = strings.ToLower(strings.TrimSpace(host))
	portText = strings.TrimSpace(portText)
	if host == "" {
		return "", 0, false
	}
	if portText == "" {
		return host, 0, true
	}
	n, err := strconv.ParseUint(portText, 10, 16)
	if err != nil || n == 0 {
		return host, 0, false
	}
	return host, uint16(n), true
}

// quotedEnd gives the index after the closing quote of a string that begins with one, or -1.
func quotedEnd(s string) int {
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return -1
}

func unquote(s string) string {
	s = s[1 : len(s)-1]
	if strings.IndexByte(s, '\\') < 0 {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// cutList cuts the first element off a comma-separated list; commas inside quotes or angle brackets do not part.
func cutList(s string) (first, rest string, more bool) {
	angle := 0
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '"':
			end := quotedEnd(s[i:])
			if end < 0 {
				return strings.TrimSpace(s), "", false
			}
			i += end - 1
		case '<':
			angle++
		case '>':
			if angle > 0 {
				angle--
			}
		case ',':
			if angle == 0 {
				return strings.TrimSpace(s[:i]), strings.TrimSpace(s[i+1:]), true
			}
		}
	}
	return strings.TrimSpace(s), "", false
}

// SplitList parts the values of a list header (Diversion, History-Info, Route) at commas that are outside quotes and angle
// brackets, over all its fields and in order. Empty elements are left out.
func SplitList(values []string) []string {
	var out []string
	for _, v := range values {
		for more := true; more; {
			var first string
			first, v, more = cutList(v)
			if first != "" {
				out = append(out, first)
			}
		}
	}
	return out
}

// param finds a parameter in "a=1;b;c="x;y""; a flag has the value "".
func param(params, name string) (string, bool) {
	for params != "" {
		var p string
		p, params = cutParam(params)
		k, v, _ := strings.Cut(p, "=")
		if strings.EqualFold(strings.TrimSpace(k), name) {
			return strings.TrimSpace(v), true
		}
	}
	return "", false
}

func cutParam(s string) (first, rest string) {
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '"':
			end := quotedEnd(s[i:])
			if end < 0 {
				return s, ""
			}
			i += end - 1
		case ';':
			return s[:i], s[i+1:]
		}
	}
	return s, ""
}

// Param finds a header parameter by name, in any case; quotes are kept.
func (a Address) Param(name string) (string, bool) { return param(a.Params, name) }

// URIParam finds a parameter of the URI by name, in any case.
func (a Address) URIParam(name string) (string, bool) { return param(a.URIParams, name) }

// via is one Via element.
type via struct {
	transport string // lower case
	sentBy    string // as written
	host      string
	port      uint16
	params    string
	branch    string
}

func parseVia(s string) (via, bool) {
	var v via
	name, rest, ok := strings.Cut(s, "/")
	if !ok || !strings.EqualFold(strings.TrimSpace(name), "SIP") {
		return v, false
	}
	version, rest, ok := strings.Cut(rest, "/")
	if !ok || strings.TrimSpace(version) != "2.0" {
		return v, false
	}
	rest = strings.TrimLeft(rest, " \t")
	i := strings.IndexAny(rest, " \t")
	if i <= 0 {
		return v, false
	}
	if v.transport = rest[:i]; v.transport == "UDP" {
		v.transport = "udp"
	} else {
		v.transport = strings.ToLower(v.transport)
	}
	sentBy, params, _ := strings.Cut(rest[i:], ";")
	v.sentBy = strings.TrimSpace(sentBy)
	v.params = params
	v.branch, _ = param(params, "branch")
	v.host, v.port, ok = splitHostPort(sentBy)
	return v, ok && !strings.ContainsAny(v.host, " \t")
}

func (m *message) topVia() (via, bool) {
	s, ok := m.top("via")
	if !ok {
		return via{}, false
	}
	return parseVia(s)
}

// stampVia writes where the request came from into its topmost Via (RFC 3261 18.2.1, RFC 3581 4). What the sender
// wrote as received is its own claim and is replaced.
func (m *message) stampVia(v via, src netip.AddrPort) {
	var buf [256]byte
	b := append(buf[:0], "SIP/2.0/"...)
	b = append(b, upperNetwork(v.transport)...)
	b = append(b, ' ')
	b = append(b, v.sentBy...)
	_, wantsPort := param(v.params, "rport")
	for rest := v.params; rest != ""; {
		var p string
		p, rest = cutParam(rest)
		p = strings.TrimSpace(p)
		k, _, _ := strings.Cut(p, "=")
		if k = strings.TrimSpace(k); strings.EqualFold(k, "received") || strings.EqualFold(k, "rport") || k == "" {
			continue
		}
		b = append(b, ';')
		b = append(b, p...)
	}
	if ip, err := netip.ParseAddr(v.host); wantsPort || err != nil || ip.Unmap() != src.Addr() {
		b = append(b, ";received="...)
		b = src.Addr().AppendTo(b)
	}
	if wantsPort {
		b = append(b, ";rport="...)
		b = strconv.AppendUint(b, uint64(src.Port()), 10)
	}
	for i := range m.fields {
		if m.fields[i].key == "via" {
			if _, rest, more := cutList(m.fields[i].value); more {
				b = append(b, ", "...)
				b = append(b, rest...)
			}
			m.fields[i].value = string(b)
			return
		}
	}
}

// upperNetwork is a transport as a Via names it.
func upperNetwork(network string) string {
	switch network {
	case "udp":
		return "UDP"
	case "tcp":
		return "TCP"
	case "tls":
		return "TLS"
	}
	return strings.ToUpper(network)
}

// replyAddr is where a response that has v on top goes by UDP, or to which a new TCP connection is opened (RFC
// 3261 18.2.2, RFC 3581 4). Names are not resolved: a request of ours always carries received for them.
func (v via) replyAddr() (netip.AddrPort, bool) {
	host := v.host
	if r, ok := param(v.params, "received"); ok && r != "" {
		host = strings.Trim(r, "[]")
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return netip.AddrPort{}, false
	}
	port := v.port
	if port == 0 {
		port = defaultPort(v.transport)
	}
	if v.transport == "udp" {
		if r, ok := param(v.params, "rport"); ok {
			if n, err := strconv.ParseUint(r, 10, 16); err == nil && n > 0 {
				port = uint16(n)
			}
		}
	}
	return netip.AddrPortFrom(ip.Unmap(), port), true
}

// rportAddr is the far end of the TCP connection that v came on, where its request asked for rport.
func (v via) rportAddr() (netip.AddrPort, bool) {
	a, ok := v.replyAddr()
	r, has := param(v.params, "rport")
	n, err := strconv.ParseUint(r, 10, 16)
	if !ok || !has || err != nil {
		return netip.AddrPort{}, false
	}
	return netip.AddrPortFrom(a.Addr(), uint16(n)), true
}
