package fssim

import (
	"fmt"
	"net"
	"strconv"
	"strings"
)

// sipURI is a parsed sip or sips URI. Parameters and headers are kept as written, because a Request-URI is sent on
// byte for byte.
type sipURI struct {
	scheme string // "sip" or "sips"; "tel" leaves host empty
	user   string // as written, percent-escapes kept
	host   string // IPv6 without brackets
	port   int    // 0 = not written
	params string // with the leading ';' or empty
	query  string // with the leading '?' or empty
}

func parseURI(s string) (sipURI, error) {
	var u sipURI
	scheme, rest, ok := strings.Cut(strings.TrimSpace(s), ":")
	if !ok {
		return u, fmt.Errorf("%w: uri %q has no scheme", errSIPMalformed, s)
	}
	u.scheme = strings.ToLower(scheme)
	switch u.scheme {
	case "tel":
		u.user, u.params = cutParams(rest)
		return u, nil
	case "sip", "sips":
	default:
		return u, fmt.Errorf("%w: uri scheme %q", errSIPMalformed, scheme)
	}
	if i := strings.IndexByte(rest, '?'); i >= 0 {
		rest, u.query = rest[:i], rest[i:]
	}
	// The user part may contain ';' (RFC 3261 section 25.1), so the last '@' before the parameters of the host
	// decides; a parameter that carries an unescaped '@' (a target URI) stands behind the host.
	if at := userEnd(rest); at >= 0 {
		u.user, rest = rest[:at], rest[at+1:]
	}
	hostport, params := cutParams(rest)
	u.params = params
	host, port, err := splitHostPort(hostport)
	if err != nil || host == "" {
		return u, fmt.Errorf("%w: uri host %q", errSIPMalformed, hostport)
	}
	u.host, u.port = host, port
	return u, nil
}

// userEnd finds the '@' that ends the user part: the first one.
func userEnd(s string) int { return strings.IndexByte(s, '@') }

func cutParams(s string) (base, params string) {
	if i := strings.IndexByte(s, ';'); i >= 0 {
		return s[:i], s[i:]
	}
	return s, ""
}

func splitHostPort(s string) (host string, port int, err error) {
	if strings.HasPrefix(s, "[") {
		end := strings.IndexByte(s, ']')
		if end < 0 {
			return "", 0, errSIPMalformed
		}
		host = s[1:end]
		s = s[end+1:]
		if s == "" {
			return host, 0, nil
		}
		if s[0] != ':' {
			return "", 0, errSIPMalformed
		}
		s = s[1:]
	} else {
		var p string
		var ok bool
		host, p, ok = strings.Cut(s, ":")
		if !ok {
			return host, 0, nil
		}
		s = p
	}
	port, err = strconv.Atoi(s)
	if err != nil || port < 1 || port > 65535 {
		return "", 0, errSIPMalformed
	}
	return host, port, nil
}

// hostPort writes the host and, where one was written, the port.
func (u sipURI) hostPort() string {
	h := u.host
	if strings.Contains(h, ":") {
		h = "[" + h + "]"
	}
	if u.port != 0 {
		h = net.JoinHostPort(u.host, strconv.Itoa(u.port))
	}
	return h
}

// param returns a URI parameter's value and whether it is there.
func (u sipURI) param(name string) (string, bool) { return paramOf(u.params, name) }

func (u sipURI) String() string {
	var b strings.Builder
	b.WriteString(u.scheme)
	b.WriteByte(':')
	if u.scheme == "tel" {
		return b.String() + u.user + u.params
	}
	if u.user != "" {
		b.WriteString(u.user)
		b.WriteByte('@')
	}
	b.WriteString(u.hostPort())
	b.WriteString(u.params)
	b.WriteString(u.query)
	return b.String()
}

// paramOf looks a parameter up in ";a=b;c".
func paramOf(params, name string) (string, bool) {
	for p := range strings.SplitSeq(params, ";") {
		k, v, _ := strings.Cut(p, "=")
		if strings.EqualFold(strings.TrimSpace(k), name) {
			return strings.Trim(strings.TrimSpace(v), `"`), true
		}
	}
	return "", false
}

// sipAddr is a name-addr or addr-spec with its header parameters: From, To, Contact, Route and the like.
type sipAddr struct {
	display string // unquoted
	uri     string // as written between the brackets
	params  string // header parameters with the leading ';' or empty
}

func parseAddr(v string) sipAddr {
	var a sipAddr
	v = strings.TrimSpace(v)
	if strings.HasPrefix(v, `"`) {
		for i := 1; i < len(v); i++ {
			if v[i] == '\\' && i+1 < len(v) {
				i++
				a.display += string(v[i])
				continue
			}
			if v[i] == '"' {
				v = strings.TrimSpace(v[i+1:])
				break
			}
			a.display += string(v[i])
		}
	}
	if lt := strings.IndexByte(v, '<'); lt >= 0 {
		if a.display == "" {
			a.display = strings.TrimSpace(v[:lt])
		}
		v = v[lt+1:]
		gt := strings.IndexByte(v, '>')
		if gt < 0 {
			a.uri = v
			return a
		}
		a.uri, a.params = v[:gt], strings.TrimSpace(v[gt+1:])
		return a
	}
	// Without brackets every parameter belongs to the header (RFC 3261 section 20).
	a.uri, a.params = cutParams(v)
	return a
}

func (a sipAddr) param(name string) string {
	v, _ := paramOf(a.params, name)
	return v
}
