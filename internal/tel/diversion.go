package tel

import (
	"strconv"
	"strings"
)

// Diversion is one element of a Diversion header (RFC 5806): who sent the call on, and why.
type Diversion struct {
	User    string // user part of the diverting address, unescaped, without parameters
	Host    string // host of the diverting address; "" = it was a tel URI
	Number  Number // User in E.164; "" = not a number
	Reason  string // RFC 5806 section 4: "no-answer", "user-busy", "unconditional", "deflection", ...; "unknown" if not said
	Counter int    // diversions that this element stands for, 1 to 99
	Limit   int    // diversions allowed behind it, 0 = no limit stated
	Privacy string // "full", "name", "uri", "off"; "" = not said. HidesNumber and HidesName say what it means
	Screen  string // "yes", "no"; "" = not said
	Name    string // display name, free text
}

// ParseDiversions reads Diversion header values from top to bottom; the first of the result is the newest diversion (RFC
// 5806 section 4). Values joined by commas are split. What cannot be read is skipped. At most 20 elements of the first
// 64 kB are read. region is where national numbers are read.
func ParseDiversions(headers []string, region string) []Diversion {
	var out []Diversion
	elements(headers, func(e string) bool {
		if d, ok := parseDiversion(e, region); ok {
			out = append(out, d)
		}
		return len(out) < maxEntries
	})
	return out
}

func parseDiversion(s, region string) (Diversion, bool) {
	a, ok := parseAddr(s)
	if !ok {
		return Diversion{}, false
	}
	p, ok := splitURI(a.uri)
	if !ok || p.user == "" {
		return Diversion{}, false
	}
	d := Diversion{User: p.user, Host: p.host, Name: cleanText(a.name), Reason: "unknown", Counter: 1}
	d.Number, _ = ParseNumber(a.uri, region)
	eachParam(a.params, func(name, value string) {
		switch name {
		case "reason":
			d.Reason = knownReason(value)
		case "counter":
			d.Counter = max(1, number(value, 99))
		case "limit":
			d.Limit = number(value, 99)
		case "privacy":
			if d.Privacy = strings.ToLower(value); !token(d.Privacy) {
				d.Privacy = privateFull // it asks for something, which nobody can read
			}
		case "screen":
			if token(value) {
				d.Screen = strings.ToLower(value)
			}
		}
	})
	return d, true
}

// knownReason reads a diversion-reason (RFC 5806 section 4); what the RFC does not list is "unknown".
func knownReason(s string) string {
	s = strings.ToLower(s)
	switch s {
	case "user-busy", "no-answer", "unavailable", "unconditional", "time-of-day", "do-not-disturb", "deflection",
		"follow-me", "out-of-service", "away":
		return s
	}
	return "unknown"
}

// FormatDiversions writes one Diversion header value, elements parted by commas, newest first: at most 20 and at most 4,000
// bytes, the oldest are left out. Everything is escaped or quoted so that ParseDiversions reads the same back, and
// the value is one line.
func FormatDiversions(diversions []Diversion) string {
	var b strings.Builder
	for i, d := range diversions[:min(len(diversions), maxEntries)] {
		e := d.format()
		if i > 0 {
			if b.Len()+len(e)+2 > maxValue {
				break
			}
			b.WriteString(", ")
		}
		b.WriteString(e)
	}
	return b.String()
}

func (d Diversion) format() string {
	var b strings.Builder
	if name := cleanText(d.Name); name != "" {
		b.WriteString(quote(name))
		b.WriteByte(' ')
	}
	b.WriteByte('<')
	b.WriteString(d.uri())
	b.WriteString(">;reason=")
	b.WriteString(knownReason(d.Reason))
	b.WriteString(";counter=")
	b.WriteString(strconv.Itoa(min(max(1, d.Counter), 99)))
	if d.Limit > 0 {
		b.WriteString(";limit=")
		b.WriteString(strconv.Itoa(min(d.Limit, 99)))
	}
	if token(d.Privacy) {
		b.WriteString(";privacy=")
		b.WriteString(strings.ToLower(d.Privacy))
	}
	if token(d.Screen) {
		b.WriteString(";screen=")
		b.WriteString(strings.ToLower(d.Screen))
	}
	return b.String()
}

func (d Diversion) uri() string {
	user := d.User
	if user == "" {
		user = string(d.Number)
	}
	if user == "" || !clean(user) {
		user = "unknown"
	}
	if d.Host != "" {
		host := d.Host
		if !isHost(host) {
			host = "unknown.invalid"
		}
		return "sip:" + escape(user, "+*") + "@" + host
	}
	if strings.HasPrefix(user, "+") {
		return "tel:" + escape(user, "+*")
	}
	// A local number needs a context (RFC 3966 section 5.1.5); nobody told us which.
	return "tel:" + escape(user, "*") + ";phone-context=unknown.invalid"
}

// DiversionReason is the RFC 5806 reason for w.
func DiversionReason(w Why) string {
	switch w {
	case NoAnswer:
		return "no-answer"
	case Busy:
		return "user-busy"
	case NotRegistered, Unreachable:
		return "unavailable"
	case Declined:
		return "deflection"
	case Unconditional:
		return "unconditional"
	}
	return "unknown"
}

// Diverted is how often a call was diverted: the sum of the counters (RFC 5806 section 4.2).
func Diverted(diversions []Diversion) int {
	n := 0
	for _, d := range diversions {
		n += min(max(d.Counter, 1), 99)
	}
	return n
}
