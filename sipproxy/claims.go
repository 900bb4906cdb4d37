package sipproxy

import (
	"net/url"
	"strings"
)

// claims are headers in which a carrier says what its own STIR verification found. They are worth as much as the carrier.
var claims = map[string]bool{
	"p-attestation-indicator": true, "p-origination-id": true, "attestation-info": true, "x-attestation-info": true, "x-stir-verstat": true,
}

// disclaim takes from a request of a peer that is not trusted to verify callers what pretends that somebody did: verstat parameters
// (3GPP TS 24.229 section 7.2A.20), in the user part, the URI or the header, and the headers in claims. It says how many were
// taken.
func (m *message) disclaim() (n int) {
	kept := m.fields[:0]
	for _, f := range m.fields {
		if claims[f.key] {
			n++
			continue
		}
		switch f.key {
		case "from", "p-asserted-identity", "remote-party-id", "contact":
			if v := withoutVerstat(f.value); v != f.value {
				f.value = v
				n++
			}
		}
		kept = append(kept, f)
	}
	m.fields = kept
	return n
}

// withoutVerstat removes every verstat parameter outside quotes, however its name is written.
func withoutVerstat(value string) string {
	if !mayHoldVerstat(value) {
		return value
	}
	var out strings.Builder
	rest, quoted := value, false
	for rest != "" {
		i := strings.IndexAny(rest, `";\`)
		if i < 0 {
			break
		}
		out.WriteString(rest[:i])
		c := rest[i]
		switch {
		case c == '\\' && quoted && i+1 < len(rest):
			out.WriteString(rest[i : i+2])
			rest = rest[i+2:]
			continue
		case c == '"':
			quoted = !quoted
		case c == ';' && !quoted:
			if end := paramEnd(rest[i+1:]); isVerstat(rest[i+1 : i+1+end]) {
				rest = rest[i+1+end:]
				continue
			}
		}
		out.WriteByte(c)
		rest = rest[i+1:]
	}
	out.WriteString(rest)
	return out.String()
}

// mayHoldVerstat is a quick look: without the word, and without escapes in which it might hide, there is none.
func mayHoldVerstat(value string) bool {
	const word = "verstat"
	for i := range len(value) {
		switch value[i] {
		case '%':
			return true
		case 'v', 'V':
			if len(value)-i >= len(word) && strings.EqualFold(value[i:i+len(word)], word) {
				return true
			}
		}
	}
	return false
}

// paramEnd is the length of a parameter, wherever it stands.
func paramEnd(s string) int {
	if i := strings.IndexAny(s, ";@>,?\""); i >= 0 {
		return i
	}
	return len(s)
}

func isVerstat(param string) bool {
	name, _, _ := strings.Cut(param, "=")
	if plain, err := url.PathUnescape(name); err == nil {
		name = plain
	}
	return strings.EqualFold(strings.TrimSpace(name), "verstat")
}
