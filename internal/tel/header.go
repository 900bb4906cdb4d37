package tel

import (
	"strings"
)

// Bounds of what the header parsers look at.
const (
	maxHeader  = 64 << 10 // bytes of one header value; the rest is not read
	maxEntries = 20       // diversions or history entries; what follows is not read
)

// splitList parts header values at commas outside quotes and angle brackets (RFC 3261 section 7.3.1).
func splitList(values []string) []string {
	var out []string
	for _, value := range values {
		if len(value) > maxHeader {
			value = value[:maxHeader]
		}
		out = append(out, splitOutside(value, ',', maxEntries-len(out))...)
		if len(out) >= maxEntries {
			return out[:maxEntries]
		}
	}
	return out
}

// splitOutside parts s at sep outside quotes and angle brackets, into at most n trimmed, non-empty parts.
func splitOutside(s string, sep byte, n int) []string {
	var parts []string
	quoted, depth, start := false, 0, 0
	add := func(end int) {
		if part := strings.TrimSpace(s[start:end]); part != "" && len(parts) < n {
			parts = append(parts, part)
		}
		start = end + 1
	}
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '<':
			depth++
		case c == '>' && depth > 0:
			depth--
		case c == sep && depth == 0:
			add(i)
		}
	}
	if start <= len(s) {
		add(len(s))
	}
	return parts
}

// nameAddr is a parsed name-addr or addr-spec with its header parameters (RFC 3261 section 20.10).
type nameAddr struct {
	name   string
	uri    string
	params []string // "key" or "key=value", as written
}

func parseNameAddr(s string) (nameAddr, bool) {
	var a nameAddr
	open := indexOutsideQuotes(s, '<')
	if open < 0 {
		parts := splitOutside(s, ';', maxEntries)
		if len(parts) == 0 {
			return a, false
		}
		a.uri, a.params = parts[0], parts[1:]
		return a, a.uri != ""
	}
	end := strings.IndexByte(s[open:], '>')
	if end < 0 {
		return a, false
	}
	a.name = unquote(strings.TrimSpace(s[:open]))
	a.uri = strings.TrimSpace(s[open+1 : open+end])
	a.params = splitOutside(s[open+end+1:], ';', maxEntries)
	return a, a.uri != ""
}

func indexOutsideQuotes(s string, c byte) int {
	quoted := false
	for i := 0; i < len(s); i++ {
		switch {
		case quoted && s[i] == '\\':
			i++
		case s[i] == '"':
			quoted = !quoted
		case !quoted && s[i] == c:
			return i
		}
	}
	return -1
}

// param finds a parameter by name in any case and takes quotes off its value.
func (a nameAddr) param(name string) (string, bool) {
	for _, p := range a.params {
		key, value, _ := strings.Cut(p, "=")
		if strings.EqualFold(strings.TrimSpace(key), name) {
			return unquote(strings.TrimSpace(value)), true
		}
	}
	return "", false
}

func unquote(s string) string {
	if len(s) < 2 || s[0] != '"' || s[len(s)-1] != '"' {
		return s
	}
	var b strings.Builder
	s = s[1 : len(s)-1]
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// userHost parts a SIP, SIPS or tel URI; host is "" for tel.
func userHost(uri string) (user, host string) {
	scheme, rest, ok := strings.Cut(uri, ":")
	if !ok {
		return uri, ""
	}
	rest, _, _ = strings.Cut(rest, "?")
	if strings.EqualFold(scheme, "tel") {
		user, _, _ = strings.Cut(rest, ";")
		return user, ""
	}
	user, host, ok = strings.Cut(rest, "@")
	if !ok {
		user, host = "", rest
	}
	host, _, _ = strings.Cut(host, ";")
	return user, host
}

// uriSafe keeps what a URI may hold between angle brackets and percent-encodes the rest (RFC 3261 section 25.1).
func uriSafe(s string) string { return escape(s, "-_.!~*'();/?:@&=+$,[]%#") }

// escape percent-encodes every byte that is neither a letter nor a digit nor in allowed.
func escape(s, allowed string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c < 0x80 && strings.IndexByte(allowed, c) >= 0 {
			b.WriteByte(c)
			continue
		}
		b.WriteByte('%')
		b.WriteByte(hex[c>>4])
		b.WriteByte(hex[c&15])
	}
	return b.String()
}

// token reports whether s is a token of RFC 3261 section 25.1.
func token(s string) bool {
	if s == "" {
		return false
	}
	for i := 0; i < len(s); i++ {
		c := s[i]
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-.!%*_+`'~", c) >= 0) {
			return false
		}
	}
	return true
}
