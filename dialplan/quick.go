package dialplan

import "math/bits"

// A context may hold thousands of patterns of which one matches. cannotMatch tells most of the others apart without
// compiling them: it follows the pattern with the set of places in the subject that could have been reached so far, one
// bit each. It knows literals, classes, "." and escapes of classes, plain groups, quantifiers and anchors; on anything
// else it gives up and says false, as it does on what PCRE would refuse.

// ascii is a set of ASCII characters.
type ascii [2]uint64

func (a *ascii) add(c byte)      { a[c>>6] |= 1 << (c & 63) }
func (a *ascii) has(c byte) bool { return a[c>>6]&(1<<(c&63)) != 0 }

func (a *ascii) addRange(low, high byte) {
	for c := int(low); c <= int(high); c++ {
		a.add(byte(c))
	}
}

func (a *ascii) invert() { a[0], a[1] = ^a[0], ^a[1] }

// quick follows one pattern.
type quick struct {
	pattern, subject string
	at               int
	places           uint64
	groups           [8]uint64 // the places before each open group
	depth            int
}

// cannotMatch reports whether a pattern surely matches nothing in a subject of ASCII without line ends.
func cannotMatch(pattern, subject string) bool {
	if len(subject) > 62 || pattern == "" || !isSimple(subject) {
		return false
	}
	q := quick{pattern: pattern, subject: subject}
	if pattern[0] == '^' {
		q.at, q.places = 1, 1
	} else {
		q.places = 1<<(len(subject)+1) - 1
	}
	for q.at < len(pattern) {
		if !q.step() {
			return false
		}
	}
	return q.depth == 0 && q.places == 0
}

// step takes the next atom with its quantifier, and reports false when it gives up.
func (q *quick) step() bool {
	switch q.pattern[q.at] {
	case '(':
		if q.depth == len(q.groups) || q.at+1 < len(q.pattern) && (q.pattern[q.at+1] == '?' || q.pattern[q.at+1] == '*') {
			return false
		}
		q.groups[q.depth] = q.places
		q.depth++
		q.at++
		return true
	case ')':
		if q.depth == 0 {
			return false
		}
		q.depth--
		q.at++
		if q.at < len(q.pattern) && q.pattern[q.at] == '?' {
			q.places |= q.groups[q.depth]
			q.at++
		}
		return q.at == len(q.pattern) || !isQuantifier(q.pattern[q.at])
	case '$':
		q.at++
		q.places &= 1 << len(q.subject)
		return q.at == len(q.pattern) || q.pattern[q.at] == ')'
	}
	set, ok := q.atom()
	if !ok {
		return false
	}
	least, most, ok := q.quantifier()
	if !ok {
		return false
	}
	for range least {
		q.places = q.move(q.places, &set)
	}
	for n, more := least, q.places; n < most && more != 0; n++ {
		more = q.move(more, &set) &^ q.places
		q.places |= more
	}
	return true
}

// move goes one character on from each place whose character is in the set.
func (q *quick) move(places uint64, set *ascii) uint64 {
	var out uint64
	for rest := places & (1<<len(q.subject) - 1); rest != 0; rest &= rest - 1 {
		at := bits.TrailingZeros64(rest)
		if set.has(q.subject[at]) {
			out |= 1 << (at + 1)
		}
	}
	return out
}

func isQuantifier(c byte) bool { return c == '*' || c == '+' || c == '?' || c == '{' }

// quantifier reads what stands behind an atom.
func (q *quick) quantifier() (least, most int, ok bool) {
	least, most = 1, 1
	if q.at == len(q.pattern) {
		return least, most, true
	}
	switch q.pattern[q.at] {
	case '?':
		least = 0
	case '*':
		least, most = 0, 64
	case '+':
		most = 64
	case '{':
		return q.counted()
	default:
		return least, most, true
	}
	q.at++
	return least, most, q.behind()
}

// behind passes over the "?" of a lazy quantifier; another quantifier there is more than this knows.
func (q *quick) behind() bool {
	if q.at < len(q.pattern) && q.pattern[q.at] == '?' {
		q.at++
	}
	return q.at == len(q.pattern) || !isQuantifier(q.pattern[q.at])
}

// counted reads {n}, {n,} or {n,m}.
func (q *quick) counted() (least, most int, ok bool) {
	q.at++
	number := func() (int, bool) {
		n, begin := 0, q.at
		for q.at < len(q.pattern) && q.pattern[q.at] >= '0' && q.pattern[q.at] <= '9' && q.at-begin < 4 {
			n = 10*n + int(q.pattern[q.at]-'0')
			q.at++
		}
		return n, q.at > begin
	}
	if least, ok = number(); !ok || least > 64 {
		return 0, 0, false
	}
	most = least
	if q.at < len(q.pattern) && q.pattern[q.at] == ',' {
		q.at++
		if most, ok = number(); !ok {
			most = 64
		} else if most < least || most > 64 {
			return 0, 0, false
		}
	}
	if q.at == len(q.pattern) || q.pattern[q.at] != '}' {
		return 0, 0, false
	}
	q.at++
	return least, most, q.behind()
}

// atom reads one character or class.
func (q *quick) atom() (set ascii, ok bool) {
	c := q.pattern[q.at]
	q.at++
	switch {
	case c == '.':
		set.invert()
		return set, true
	case c == '[':
		return q.class()
	case c == '\\':
		if q.at == len(q.pattern) {
			return set, false
		}
		c = q.pattern[q.at]
		q.at++
		if isPunctuation(c) {
			set.add(c)
			return set, true
		}
		return escapeSet(c)
	case c >= 0x80 || c < ' ' || c == '^' || c == '|' || isQuantifier(c):
		return set, false
	}
	set.add(c)
	return set, true
}

// escapeSet is what \d, \w, \s and their opposites stand for.
func escapeSet(c byte) (set ascii, ok bool) {
	switch c | 0x20 {
	case 'd':
		set.addRange('0', '9')
	case 'w':
		set.addRange('0', '9')
		set.addRange('A', 'Z')
		set.addRange('a', 'z')
		set.add('_')
	case 's':
		for _, blank := range []byte(" \t\n\v\f\r") {
			set.add(blank)
		}
	default:
		return set, false
	}
	if c < 'a' {
		set.invert()
	}
	return set, true
}

// class reads a class behind its "[".
func (q *quick) class() (set ascii, ok bool) {
	negated := q.at < len(q.pattern) && q.pattern[q.at] == '^'
	if negated {
		q.at++
	}
	for first := true; q.at < len(q.pattern); first = false {
		c := q.pattern[q.at]
		q.at++
		switch {
		case c == ']' && !first:
			if negated {
				set.invert()
			}
			return set, true
		case c == ']' || c == '[' || c >= 0x80 || c < ' ' || c == '-' && !first && q.at < len(q.pattern) && q.pattern[q.at] != ']':
			return set, false
		case c == '\\':
			if q.at == len(q.pattern) {
				return set, false
			}
			c = q.pattern[q.at]
			q.at++
			if !isPunctuation(c) {
				part, ok := escapeSet(c)
				if !ok || q.at < len(q.pattern) && q.pattern[q.at] == '-' {
					return set, false
				}
				set[0] |= part[0]
				set[1] |= part[1]
				continue
			}
		}
		if q.at+1 < len(q.pattern) && q.pattern[q.at] == '-' && q.pattern[q.at+1] != ']' {
			high := q.pattern[q.at+1]
			if high == '\\' || high == '[' || high < c || high >= 0x80 {
				return set, false
			}
			set.addRange(c, high)
			q.at += 2
			continue
		}
		set.add(c)
	}
	return set, false
}
