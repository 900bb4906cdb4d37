package tel

import (
	"strconv"
	"strings"
)

// Diversion is one diversion of a call (RFC 5806).
type Diversion struct {
	User    string // user part of the diverting URI, as written
	Host    string
	Number  Number // User in E.164; "" = not a number
	Reason  string // "no-answer", "user-busy", "unconditional", "deflection", "unavailable", ...; "unknown" when none was written
	Counter int    // at least 1
	Limit   int    // 0 = none
	Privacy string
	Screen  string
	Name    string // display name: free text from outside
}

// ParseDiversions reads Diversion headers, values from top to bottom, and returns the diversions newest first, as
// RFC 5806 section 4.2 puts them. What cannot be read is skipped; at most 20 are returned. Numbers are read in region.
func ParseDiversions(headers []string, region string) []Diversion {
	var out []Diversion
	for _, text := range splitList(headers) {
		a, ok := parseNameAddr(text)
		if !ok {
			continue
		}
		d := Diversion{Name: a.name, Reason: "unknown", Counter: 1}
		d.User, d.Host = userHost(a.uri)
		d.Number, _ = ParseNumber(d.User, region)
		if reason, ok := a.param("reason"); ok && token(reason) {
			d.Reason = strings.ToLower(reason)
		}
		if text, ok := a.param("counter"); ok {
			if n, err := strconv.Atoi(text); err == nil && n >= 1 && n <= 100 {
				d.Counter = n
			}
		}
		if text, ok := a.param("limit"); ok {
			if n, err := strconv.Atoi(text); err == nil && n >= 1 && n <= 100 {
				d.Limit = n
			}
		}
		if v, ok := a.param("privacy"); ok && token(v) {
			d.Privacy = strings.ToLower(v)
		}
		if v, ok := a.param("screen"); ok && token(v) {
			d.Screen = strings.ToLower(v)
		}
		out = append(out, d)
	}
	return out
}

// FormatDiversions writes one header value that holds all diversions, newest first. Every part is encoded so that
// ParseDiversions reads it back; display names are left out.
func FormatDiversions(diversions []Diversion) string {
	var b strings.Builder
	for i, d := range diversions {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString("<")
		if d.Host == "" {
			b.WriteString("tel:" + escape(d.User, "+-.()*"))
		} else {
			b.WriteString("sip:" + escape(d.User, "-_.!~*'()&=+$,;?/%") + "@" + escape(d.Host, "-.:[]"))
		}
		b.WriteString(">")
		reason := d.Reason
		if !token(reason) {
			reason = "unknown"
		}
		b.WriteString(";reason=" + reason)
		b.WriteString(";counter=" + strconv.Itoa(max(d.Counter, 1)))
		if d.Limit > 0 {
			b.WriteString(";limit=" + strconv.Itoa(d.Limit))
		}
		if token(d.Privacy) {
			b.WriteString(";privacy=" + d.Privacy)
		}
		if token(d.Screen) {
			b.WriteString(";screen=" + d.Screen)
		}
	}
	return b.String()
}

// Diverted is how often a call was diverted: the sum of the counters (RFC 5806 section 4.2).
func Diverted(diversions []Diversion) int {
	n := 0
	for _, d := range diversions {
		n += max(d.Counter, 1)
	}
	return n
}
