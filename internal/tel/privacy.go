package tel

import (
	"slices"
	"strings"
)

// anonymousURI stands where an address was that its owner keeps private (RFC 3323 section 4.1.1.3, RFC 7044 section 10.1.2).
const anonymousURI = "sip:anonymous@anonymous.invalid"

// Private words of Diversion (RFC 5806 section 4) and of History-Info (RFC 7044 section 10.1).
const (
	privateFull    = "full"
	privateHistory = "history"
)

// HidesNumber reports whether the diverter's number is to be shown to nobody. A word that nobody knows hides everything.
func (d Diversion) HidesNumber() bool {
	return d.Privacy != "" && d.Privacy != "off" && d.Privacy != "name"
}

// HidesName is the same for the diverter's name.
func (d Diversion) HidesName() bool {
	return d.Privacy != "" && d.Privacy != "off" && d.Privacy != "uri"
}

// HidesNumber reports whether the address is to be shown to nobody.
func (h HistoryEntry) HidesNumber() bool { return hidesHistory(h.Privacy) }

func hidesHistory(word string) bool {
	return word == privateHistory || word == "header" || word == privateFull
}

// privacyWords are the priv-values (RFC 3323 section 4.2) of a Privacy value.
func privacyWords(value string) []string {
	return strings.FieldsFunc(strings.ToLower(value[:min(len(value), maxElement)]), func(r rune) bool {
		return r == ';' || r == ',' || r == ' ' || r == '\t'
	})
}

// privateWord is the word of a list that counts for an address: the one that hides it, else the first.
func privateWord(words []string) string {
	for _, w := range words {
		if hidesHistory(w) {
			return w
		}
	}
	if !token(words[0]) {
		return ""
	}
	return words[0]
}

// MarkPrivate writes into each element what holds for it, wherever that was said: by the call's own Privacy header values (history or
// header hides all of a History-Info, but an entry that says none), or at the same number in the other of the two headers. It changes both lists in
// place; region is where national numbers are read.
func MarkPrivate(diversions []Diversion, history []HistoryEntry, privacy []string, region string) {
	all := false
	for _, v := range privacy {
		all = all || slices.ContainsFunc(privacyWords(v), hidesHistory)
	}
	hidden := map[Number]bool{}
	numbers := make([]Number, len(history))
	for i := range history {
		h := &history[i]
		if all && h.Privacy != "none" {
			h.Privacy = privateHistory
		}
		numbers[i], _ = ParsePresented(h.URI, region)
		if h.HidesNumber() {
			hidden[numbers[i]] = true
		}
	}
	for _, d := range diversions {
		if d.HidesNumber() {
			hidden[d.Number] = true
		}
	}
	delete(hidden, "")
	for i := range history {
		if hidden[numbers[i]] {
			history[i].Privacy = privateHistory
		}
	}
	for i := range diversions {
		if d := &diversions[i]; hidden[d.Number] && !d.HidesNumber() {
			d.Privacy = privateFull
		}
	}
}

// AnyPrivate reports whether somebody who diverted the call hides his number or his name.
func AnyPrivate(diversions []Diversion) bool {
	return slices.ContainsFunc(diversions, func(d Diversion) bool { return d.HidesNumber() || d.HidesName() })
}

// PublicDiversions is what others may see of diversions that MarkPrivate has marked: who hides his number is anonymous, and who hides his
// name has none. Reasons and counters stay. The numbers in known are those of whom the reader knows anyway. diversions is not changed.
func PublicDiversions(diversions []Diversion, known ...Number) []Diversion {
	out := slices.Clone(diversions)
	for i := range out {
		d := &out[i]
		if d.HidesName() {
			d.Name = ""
		}
		if d.HidesNumber() && (d.Number == "" || !slices.Contains(known, d.Number)) {
			d.User, d.Host, d.Number, d.Name = "anonymous", "anonymous.invalid", "", ""
		}
	}
	return out
}

// PublicHistory is the same of a history. Indexes and causes stay (RFC 7044 section 10.1.2).
func PublicHistory(history []HistoryEntry, region string, known ...Number) []HistoryEntry {
	out := slices.Clone(history)
	for i := range out {
		h := &out[i]
		if !h.HidesNumber() {
			continue
		}
		if n, _ := ParsePresented(h.URI, region); n == "" || !slices.Contains(known, n) {
			h.URI, h.Text = anonymousURI, ""
		}
	}
	return out
}
