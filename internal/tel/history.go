package tel

import (
	"strconv"
	"strings"
)

// HistoryEntry is one element of a History-Info header (RFC 7044): an address the call was once for.
type HistoryEntry struct {
	URI      string // the address, without the headers that stood in it
	Index    string // "1", "1.1", "1.2.1"; "" = none or unreadable
	Cause    int    // SIP status for which the call left this address; 0 = it did not, or nobody said
	Text     string // text of the reason
	Privacy  string // "history", "none", ...; "" = not said
	Relation string // "rc", "mp" or "np" (RFC 7044 section 5); "" = not said
	Of       string // index that Relation points to
}

const maxIndex = 64 // bytes of an index

// ParseHistory reads History-Info header values; the first of the result is the oldest address. Reasons are read from the
// URI's Reason header, whether its escapes are still there or FreeSWITCH already resolved them, or from a cause parameter
// of the URI (RFC 4458). What cannot be read is skipped; at most 20 elements of the first 64 kB are read.
func ParseHistory(headers []string) []HistoryEntry {
	var out []HistoryEntry
	elements(headers, func(e string) bool {
		if h, ok := parseHistoryEntry(e); ok {
			out = append(out, h)
		}
		return len(out) < maxEntries
	})
	return out
}

func parseHistoryEntry(s string) (HistoryEntry, bool) {
	a, ok := parseAddr(s)
	if !ok {
		return HistoryEntry{}, false
	}
	uri, headers, _ := strings.Cut(a.uri, "?")
	if _, ok := splitURI(uri); !ok || !plainURI(uri) {
		return HistoryEntry{}, false
	}
	h := HistoryEntry{URI: uri}
	for field := range strings.SplitSeq(headers, "&") {
		name, value, _ := strings.Cut(field, "=")
		value, ok := unescape(value)
		if !ok {
			continue
		}
		switch strings.ToLower(name) {
		case "reason":
			if h.Cause == 0 {
				h.Cause, h.Text = sipReason(value)
			}
		case "privacy":
			if words := privacyWords(value); len(words) > 0 {
				h.Privacy = privateWord(words)
			}
		}
	}
	if h.Cause == 0 {
		_, h.Cause = ParseTarget(uri)
	}
	eachParam(a.params, func(name, value string) {
		switch name {
		case "index":
			if isIndex(value) {
				h.Index = value
			}
		case "rc", "mp", "np":
			if isIndex(value) {
				h.Relation, h.Of = name, value
			}
		}
	})
	return h, true
}

// plainURI reports whether a URI can be written between angle brackets again as it is.
func plainURI(s string) bool {
	return len(s) <= 512 && strings.IndexFunc(s, func(r rune) bool { return r <= ' ' || r >= 0x7f || strings.ContainsRune("<>\"\\?${}", r) }) < 0
}

// sipReason reads a Reason header value (RFC 3326); only the protocol SIP counts.
func sipReason(s string) (cause int, text string) {
	protocol, params, _ := strings.Cut(s, ";")
	if !strings.EqualFold(strings.TrimSpace(protocol), "SIP") {
		return 0, ""
	}
	eachParam(params, func(name, value string) {
		switch name {
		case "cause":
			cause = status(value)
		case "text":
			text = cleanText(value)
		}
	})
	if cause == 0 {
		return 0, ""
	}
	return cause, text
}

// status reads a SIP status of 300 to 699, else 0.
func status(s string) int {
	if n := number(s, 699); n >= 300 {
		return n
	}
	return 0
}

func isIndex(s string) bool {
	if s == "" || len(s) > maxIndex {
		return false
	}
	for part := range strings.SplitSeq(s, ".") {
		if part == "" || strings.Trim(part, "0123456789") != "" {
			return false
		}
	}
	return true
}

// FormatHistory writes one History-Info header value, oldest first. Reasons are escaped into the URI (RFC 7044 section 5.1),
// and ParseHistory reads the same back. Entries whose URI cannot be written safely are left out. The value is one line
// of at most 20 entries and 4,000 bytes; what goes first is the middle, so that the first and the newest stay.
func FormatHistory(entries []HistoryEntry) string {
	var written []string
	size := 0
	for _, h := range shorten(entries) {
		if e, ok := h.format(); ok {
			written = append(written, e)
			size += len(e) + 2
		}
	}
	for size > maxValue && len(written) > 2 {
		size -= len(written[1]) + 2
		written = append(written[:1], written[2:]...)
	}
	return strings.Join(written, ", ")
}

func (h HistoryEntry) format() (string, bool) {
	if _, ok := splitURI(h.URI); !ok || !plainURI(h.URI) {
		return "", false
	}
	var b strings.Builder
	b.WriteByte('<')
	b.WriteString(h.URI)
	mark := byte('?')
	if h.Cause >= 300 && h.Cause <= 699 {
		reason := "SIP;cause=" + strconv.Itoa(h.Cause)
		if text := cleanText(h.Text); text != "" {
			reason += ";text=" + quote(text)
		}
		b.WriteByte(mark)
		b.WriteString("Reason=" + escape(reason, ""))
		mark = '&'
	}
	if token(h.Privacy) {
		b.WriteByte(mark)
		b.WriteString("Privacy=" + escape(strings.ToLower(h.Privacy), ""))
	}
	b.WriteByte('>')
	if isIndex(h.Index) {
		b.WriteString(";index=" + h.Index)
	}
	if (h.Relation == "rc" || h.Relation == "mp" || h.Relation == "np") && isIndex(h.Of) {
		b.WriteString(";" + h.Relation + "=" + h.Of)
	}
	return b.String(), true
}

// shorten keeps the first entry, which says whom the caller wanted, and the newest 19.
func shorten(entries []HistoryEntry) []HistoryEntry {
	if len(entries) <= maxEntries {
		return entries
	}
	out := make([]HistoryEntry, 0, maxEntries)
	out = append(out, entries[0])
	return append(out, entries[len(entries)-maxEntries+1:]...)
}

// ContinueHistory returns entries with the step that is about to happen: the call leaves previousTarget because of cause
// and goes to newTarget. Without a history the first entry is previousTarget with index 1. Where the last entry is for
// somebody else, an entry for previousTarget goes in between, behind a 0 in the index that marks the gap (RFC 7044
// section 10.3). entries is not changed.
func ContinueHistory(entries []HistoryEntry, previousTarget string, cause int, newTarget string) []HistoryEntry {
	out := make([]HistoryEntry, 0, len(entries)+2)
	out = append(out, entries...)
	switch n := len(out); {
	case n == 0:
		out = append(out, HistoryEntry{URI: previousTarget, Index: "1"})
	case !sameUser(out[n-1].URI, previousTarget):
		out = append(out, HistoryEntry{URI: previousTarget, Index: below(out[n-1].Index, ".0.1")})
	case out[n-1].Index == "":
		out[n-1].Index = "1"
	}
	last := &out[len(out)-1]
	last.Cause, last.Text = cause, ""
	return shorten(append(out, HistoryEntry{URI: newTarget, Index: below(last.Index, ".1"), Relation: "mp", Of: last.Index}))
}

// below gives an index under parent; an index that grew too long starts again.
func below(parent, suffix string) string {
	if parent == "" || len(parent)+len(suffix) > maxIndex {
		return "1" + suffix
	}
	return parent + suffix
}

// sameUser reports whether two URIs name the same subscriber, whatever host they name him at.
func sameUser(a, b string) bool {
	x, okA := splitURI(a)
	y, okB := splitURI(b)
	if !okA || !okB {
		return a == b
	}
	if x.user == y.user {
		return true
	}
	m, _, okA := digitsOf(x.user)
	n, _, okB := digitsOf(y.user)
	return okA && okB && m == n
}

// ParseTarget reads RFC 4458's target and cause parameters of a Request-URI, given as the URI or as its parameters alone.
// target comes unescaped, "" if there is none or it is not an address of one line; cause is 0 if there is none.
func ParseTarget(params string) (target string, cause int) {
	params = params[:min(len(params), maxElement)]
	params, _, _ = strings.Cut(params, "?")
	for p := range strings.SplitSeq(params, ";") {
		name, value, _ := strings.Cut(p, "=")
		switch strings.ToLower(strings.TrimSpace(name)) {
		case "target":
			if v, ok := unescape(strings.TrimSpace(value)); ok && clean(v) && !strings.ContainsAny(v, "<>\" ") {
				target = v
			}
		case "cause":
			cause = status(strings.TrimSpace(value))
		}
	}
	return target, cause
}
