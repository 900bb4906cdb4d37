package tel

import "strings"

// Identity is who a caller says he is.
type Identity struct {
	Name     string // display name, free text of a stranger
	User     string // as presented, unescaped, without parameters
	Number   Number // User in E.164; "" = not a number
	Withheld bool   // the caller asked that his number is not shown
	Asserted bool   // it came from P-Asserted-Identity, a trusted network's word
}

// ParseIdentity reads one value of From or P-Asserted-Identity. ok is false if it cannot be read. An address that says
// anonymous (RFC 3323 section 4.1.1.3) counts as Withheld. region is where national numbers are read; the
// number is read as ParsePresented does.
func ParseIdentity(value, region string) (id Identity, ok bool) {
	if len(value) > maxElement {
		return Identity{}, false
	}
	a, ok := parseAddr(value)
	if !ok {
		return Identity{}, false
	}
	p, ok := splitURI(a.uri)
	if !ok {
		return Identity{}, false
	}
	id = Identity{Name: cleanText(a.name), User: p.user}
	id.Number, _ = ParsePresented(a.uri, region)
	id.Withheld = id.Number == "" && anonymous(p)
	return id, true
}

func anonymous(p parts) bool {
	if p.host == "anonymous.invalid" {
		return true
	}
	switch strings.ToLower(p.user) {
	case "anonymous", "restricted", "unavailable", "unknown", "private", "withheld":
		return true
	}
	digits, _, ok := digitsOf(p.user)
	return ok && standsForNobody(digits)
}

// PrivacyAsked reports whether Privacy header values (RFC 3323 section 4.2, RFC 3325 section 9.3) ask that the caller's
// number is not shown.
func PrivacyAsked(values []string) bool {
	for _, v := range values {
		for _, word := range privacyWords(v) {
			switch word {
			case "id", "user", "header", "full":
				return true
			}
		}
	}
	return false
}
