package tel

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"
)

// HistoryEntry is one target a call has had (RFC 7044).
type HistoryEntry struct {
	URI     string   // without the headers that History-Info escapes into it
	Index   string   // "1", "1.1", ...
	Cause   int      // SIP cause of the Reason in the URI: why the call left this target; 0 = none
	Privacy string   // of the Privacy in the URI
	Params  []string // further parameters as written: "mp=1", "rc=1.1"
}

// ParseHistory reads History-Info headers, values from top to bottom, oldest target first. FreeSWITCH joins several
// headers by ", " and takes one round of percent-escapes off; both forms are read. What cannot be read is skipped, at
// most 20 entries are returned.
func ParseHistory(headers []string) []HistoryEntry {
	var out []HistoryEntry
	for _, text := range splitList(headers) {
		a, ok := parseNameAddr(text)
		if !ok {
			continue
		}
		uri, escaped, _ := strings.Cut(a.uri, "?")
		if !printable(uri) {
			continue
		}
		e := HistoryEntry{URI: uri}
		e.Cause, e.Privacy = uriHeaders(escaped)
		for _, p := range a.params {
			key, value, _ := strings.Cut(p, "=")
			switch {
			case strings.EqualFold(key, "index") && validIndex(value):
				e.Index = value
			case token(key) && (value == "" || token(value)) && !strings.EqualFold(key, "index"):
				e.Params = append(e.Params, p)
			}
		}
		out = append(out, e)
	}
	return out
}

// uriHeaders reads "Reason=SIP%3Bcause%3D408&Privacy=history", escaped or not.
func uriHeaders(s string) (cause int, privacy string) {
	for _, header := range strings.Split(s, "&") {
		name, value, _ := strings.Cut(header, "=")
		if decoded, err := url.PathUnescape(value); err == nil {
			value = decoded
		}
		switch {
		case strings.EqualFold(name, "Reason"):
			for _, p := range strings.Split(value, ";") {
				key, number, _ := strings.Cut(strings.TrimSpace(p), "=")
				if n, err := strconv.Atoi(number); strings.EqualFold(key, "cause") && err == nil && n >= 300 && n <= 699 {
					cause = n
				}
			}
		case strings.EqualFold(name, "Privacy") && token(value):
			privacy = strings.ToLower(value)
		}
	}
	return cause, privacy
}

// FormatHistory writes one header value that holds all entries, oldest first.
func FormatHistory(entries []HistoryEntry) string {
	var b strings.Builder
	for i, e := range entries {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString("<" + uriSafe(e.URI))
		sep := "?"
		if e.Cause != 0 {
			fmt.Fprintf(&b, "%sReason=SIP%%3Bcause%%3D%d", sep, e.Cause)
			sep = "&"
		}
		if token(e.Privacy) {
			b.WriteString(sep + "Privacy=" + e.Privacy)
		}
		b.WriteString(">")
		if validIndex(e.Index) {
			b.WriteString(";index=" + e.Index)
		}
		for _, p := range e.Params {
			b.WriteString(";" + p)
		}
	}
	return b.String()
}

// ContinueHistory adds that the call left target previous for the SIP cause and now goes to next. When the last entry
// is not previous, that is added first (RFC 7044 section 9.1: a gap is filled by who can). Indices continue as in
// section 10.3: the new target is a child of the one it follows.
func ContinueHistory(entries []HistoryEntry, previous string, cause int, next string) []HistoryEntry {
	out := make([]HistoryEntry, len(entries), len(entries)+2)
	copy(out, entries)
	if len(out) == 0 || !sameTarget(out[len(out)-1].URI, previous) {
		out = append(out, HistoryEntry{URI: previous, Index: child(out)})
	}
	left := &out[len(out)-1]
	if left.Index == "" {
		left.Index = child(out[:len(out)-1])
	}
	left.Cause = cause
	return append(out, HistoryEntry{URI: next, Index: child(out), Params: []string{"mp=" + left.Index}})
}

// child is the index of a target that follows the last entry.
func child(entries []HistoryEntry) string {
	if len(entries) == 0 {
		return "1"
	}
	if last := entries[len(entries)-1].Index; last != "" && len(last) < 60 {
		return last + ".1"
	}
	return "1"
}

// sameTarget compares two URIs by their user, as numbers where they are such.
func sameTarget(a, b string) bool {
	userA, _ := userHost(a)
	userB, _ := userHost(b)
	numberA, errA := ParseNumber(userA, "")
	numberB, errB := ParseNumber(userB, "")
	if errA == nil && errB == nil {
		return numberA == numberB
	}
	return userA != "" && userA == userB
}

func validIndex(s string) bool {
	if s == "" || len(s) > 64 || s[0] == '.' || s[len(s)-1] == '.' {
		return false
	}
	return strings.Trim(s, "0123456789.") == ""
}

func printable(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] <= ' ' || s[i] >= 0x7f || s[i] == '<' || s[i] == '>' || s[i] == '"' {
			return false
		}
	}
	return s != ""
}

// ParseTarget reads target and cause (RFC 4458 section 2) from the parameters of a Request-URI, as written behind its
// first semicolon. cause is 0 when there is none or it is no SIP status.
func ParseTarget(params string) (target string, cause int) {
	if len(params) > maxHeader {
		return "", 0
	}
	for _, p := range strings.Split(params, ";") {
		key, value, _ := strings.Cut(p, "=")
		switch {
		case strings.EqualFold(key, "target"):
			if decoded, err := url.PathUnescape(value); err == nil && printable(decoded) {
				target = decoded
			}
		case strings.EqualFold(key, "cause"):
			if n, err := strconv.Atoi(value); err == nil && n >= 300 && n <= 699 {
				cause = n
			}
		}
	}
	return target, cause
}
