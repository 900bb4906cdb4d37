package tel

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// Bounds of what is read from one call's headers.
const (
	maxEntries    = 20    // elements kept of Diversion or History-Info
	maxElement    = 2048  // bytes of one element; a longer one is skipped
	maxHeaderText = 65536 // bytes of all values together; the rest is not looked at
	maxValue      = 4000  // bytes of one header value that we write
)

// addr is a name-addr or addr-spec (RFC 3261 section 25.1) taken apart.
type addr struct {
	name   string // without quotes and backslashes
	uri    string // without parameters of the header
	params string // of the header, without the first semicolon
}

// parseAddr reads one element of a header. Inside angle brackets everything up to ">" is the URI.
func parseAddr(s string) (addr, bool) {
	var a addr
	s = strings.TrimSpace(s)
	if strings.HasPrefix(s, `"`) {
		end := quotedEnd(s)
		if end < 0 {
			return a, false
		}
		a.name = unquote(s[:end])
		s = strings.TrimLeft(s[end:], " \t")
		if !strings.HasPrefix(s, "<") {
			return a, false
		}
	}
	open := strings.IndexByte(s, '<')
	if open < 0 {
		a.uri, a.params, _ = strings.Cut(s, ";")
		a.uri = strings.TrimSpace(a.uri)
		return a, a.uri != "" && !strings.ContainsAny(a.uri, "\r\n\x00\"> ")
	}
	if open > 0 {
		a.name = strings.TrimSpace(s[:open])
	}
	s = s[open+1:]
	shut := strings.IndexByte(s, '>')
	if shut < 0 {
		return a, false
	}
	a.uri = strings.TrimSpace(s[:shut])
	rest := strings.TrimLeft(s[shut+1:], " \t")
	if rest != "" && rest[0] != ';' {
		return a, false
	}
	a.params = strings.TrimPrefix(rest, ";")
	return a, a.uri != "" && !strings.ContainsAny(a.uri, "<\r\n\x00")
}

// quotedEnd is the index behind the quoted string that s begins with, or -1.
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
	var b strings.Builder
	for i := 1; i < len(s)-1; i++ {
		if s[i] == '\\' && i+1 < len(s)-1 {
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// quote writes a quoted string (RFC 3261 section 25.1) without control characters.
func quote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range cleanText(s) {
		if r == '"' || r == '\\' {
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	b.WriteByte('"')
	return b.String()
}

// cleanText takes control characters and what is not UTF-8 out of a text, and bounds it to 128 runes.
func cleanText(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 || r == utf8.RuneError || r == '\u2028' || r == '\u2029' {
			return -1
		}
		return r
	}, s[:min(len(s), 1024)])
	n := 0
	for i := range s {
		if n == 128 {
			return s[:i]
		}
		n++
	}
	return s
}

// elements splits header values, top to bottom, at commas outside of quotes and angle brackets, and calls f for each
// until it returns false.
func elements(headers []string, f func(string) bool) {
	budget := maxHeaderText
	for _, h := range headers {
		if len(h) > budget {
			h = h[:budget]
		}
		budget -= len(h)
		var open pairs
		for h != "" {
			end := elementEnd(h, &open)
			e := strings.TrimSpace(h[:end])
			if e != "" && len(e) <= maxElement && !f(e) {
				return
			}
			if end == len(h) {
				break
			}
			h = h[end+1:]
		}
	}
}

// pairs remembers what never ends in the rest of a text: a quote or an angle bracket that is not closed means that no later
// one is closed either (an escaped quote inside it is followed by the same text). Without it 64 kB of quotes would be
// searched to their end from each quote.
type pairs struct{ noQuote, noAngle bool }

// skipQuoted is the index of the last byte of the quoted string that begins at i, or i when it never ends: the quote then
// counts as a letter, so that one bad element costs only itself.
func (p *pairs) skipQuoted(s string, i int) int {
	if !p.noQuote {
		if end := quotedEnd(s[i:]); end > 0 {
			return i + end - 1
		}
		p.noQuote = true
	}
	return i
}

// skipAngles is skipQuoted for what stands between angle brackets.
func (p *pairs) skipAngles(s string, i int) int {
	if !p.noAngle {
		if shut := strings.IndexByte(s[i:], '>'); shut > 0 {
			return i + shut
		}
		p.noAngle = true
	}
	return i
}

func elementEnd(s string, open *pairs) int {
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '"':
			i = open.skipQuoted(s, i)
		case '<':
			i = open.skipAngles(s, i)
		case ',':
			return i
		}
	}
	return len(s)
}

// eachParam calls f for every parameter of "a=1;b;c="x;y"", names in lower case, values without quotes.
func eachParam(params string, f func(name, value string)) {
	var open pairs
	for params != "" {
		end := len(params)
	scan:
		for i := 0; i < len(params); i++ {
			switch params[i] {
			case '"':
				i = open.skipQuoted(params, i)
			case ';':
				end = i
				break scan
			}
		}
		name, value, _ := strings.Cut(params[:end], "=")
		value = strings.TrimSpace(value)
		if strings.HasPrefix(value, `"`) && quotedEnd(value) == len(value) {
			value = unquote(value)
		}
		if name = strings.ToLower(strings.TrimSpace(name)); name != "" {
			f(name, value)
		}
		params = params[min(end+1, len(params)):]
	}
}

// number reads a small decimal, 0 if it is none or larger than most.
func number(s string, most int) int {
	if s == "" || len(s) > 9 || strings.Trim(s, "0123456789") != "" {
		return 0
	}
	n, err := strconv.Atoi(s)
	if err != nil || n > most {
		return 0
	}
	return n
}

// token reports whether s is a token (RFC 3261 section 25.1) of at most 32 bytes.
func token(s string) bool {
	return s != "" && len(s) <= 32 && strings.IndexFunc(s, func(r rune) bool {
		return !(isAlphaNum(r) || strings.ContainsRune("-.!%*_+`'~", r))
	}) < 0
}

func isAlphaNum(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
}

// unescape resolves percent escapes, once. It reports whether they all were well formed.
func unescape(s string) (string, bool) {
	if strings.IndexByte(s, '%') < 0 {
		return s, true
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '%' {
			b.WriteByte(s[i])
			continue
		}
		if i+2 >= len(s) {
			return "", false
		}
		n, err := strconv.ParseUint(s[i+1:i+3], 16, 8)
		if err != nil {
			return "", false
		}
		b.WriteByte(byte(n))
		i += 2
	}
	return b.String(), true
}

// escape writes every byte that is not among the unreserved ones as a percent escape. It escapes more than SIP asks
// for, so that the text means nothing to any shell, XML or FreeSWITCH either.
func escape(s, keep string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		if c < utf8.RuneSelf && (isAlphaNum(rune(c)) || strings.IndexByte("-_.~", c) >= 0 || strings.IndexByte(keep, c) >= 0) {
			b.WriteByte(c)
			continue
		}
		b.WriteByte('%')
		b.WriteByte(hex[c>>4])
		b.WriteByte(hex[c&15])
	}
	return b.String()
}

// parts is a sip, sips or tel URI taken apart, without its headers and port.
type parts struct {
	user string // unescaped, without the user's parameters
	host string // in lower case; "" for tel
}

func splitURI(uri string) (parts, bool) {
	var p parts
	scheme, rest, ok := strings.Cut(uri, ":")
	if !ok {
		return p, false
	}
	rest, _, _ = strings.Cut(rest, "?")
	switch strings.ToLower(scheme) {
	case "tel":
		p.user, _, _ = strings.Cut(rest, ";")
		p.user, ok = unescape(p.user)
		return p, ok && p.user != "" && clean(p.user)
	case "sip", "sips":
	default:
		return p, false
	}
	if i := strings.LastIndexByte(rest, '@'); i >= 0 {
		user, _, _ := strings.Cut(rest[:i], ";")
		user, _, _ = strings.Cut(user, ":")
		if p.user, ok = unescape(user); !ok || !clean(p.user) {
			return p, false
		}
		rest = rest[i+1:]
	}
	p.host, _, _ = strings.Cut(rest, ";")
	p.host = strings.ToLower(withoutPort(strings.TrimSpace(p.host)))
	return p, isHost(p.host)
}

// clean reports whether an unescaped user part is text of one line.
func clean(s string) bool {
	return len(s) <= 256 && utf8.ValidString(s) && strings.IndexFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }) < 0
}

func withoutPort(host string) string {
	if strings.HasPrefix(host, "[") {
		if i := strings.IndexByte(host, ']'); i > 0 {
			return host[:i+1]
		}
		return host
	}
	host, _, _ = strings.Cut(host, ":")
	return host
}

// isHost reports whether s is a host name or an address, an IPv6 one in brackets.
func isHost(s string) bool {
	if s == "" || len(s) > 255 {
		return false
	}
	inner, v6 := strings.CutPrefix(s, "[")
	if v6 {
		if inner, v6 = strings.CutSuffix(inner, "]"); !v6 {
			return false
		}
		return inner != "" && strings.Trim(inner, "0123456789abcdefABCDEF:.") == ""
	}
	return strings.IndexFunc(s, func(r rune) bool { return !isAlphaNum(r) && r != '.' && r != '-' && r != '_' }) < 0
}
