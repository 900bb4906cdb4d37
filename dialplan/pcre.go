package dialplan

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// ErrPatternUnread is wrapped by errors about patterns that PCRE takes and this package does not: recursion, \K, verbs.
var ErrPatternUnread = errors.New("is not read here")

// translator rewrites a PCRE pattern over bytes into the dialect of regexp2, which is .NET's over runes. Every byte of
// the pattern becomes the rune of that number. What differs and is rewritten: the classes \d \w \s \h \v \N \R and \b
// are ASCII in PCRE; possessive quantifiers and POSIX classes exist only there; "[" inside a class is literal; named
// groups count among the numbered ones; an unknown escaped letter is itself. Recursion, branch reset, conditions on
// recursion, \K and verbs are refused.
type translator struct {
	in     string
	at     int
	out    []rune
	atom   int // where the last atom begins in out, -1 when there is none to repeat
	groups []frame
	last   int // bytes that the last atom takes, -1 when that differs
	names  map[string]int
	count  int // capturing groups so far
	needs  int // the highest group that a condition asks for
}

const (
	asciiWord  = "A-Za-z0-9_"
	asciiSpace = ` \t\n\v\f\r`
	horizontal = ` \t\u00a0`
	vertical   = `\n\v\f\r\u0085`
)

func translate(pattern string) (string, error) {
	if len(pattern) > 32<<10 {
		return "", fmt.Errorf("%d bytes long: %w", len(pattern), errPattern)
	}
	t := &translator{in: pattern, atom: -1, names: map[string]int{}}
	for t.at < len(t.in) {
		if err := t.step(); err != nil {
			return "", err
		}
	}
	if t.needs > t.count {
		return "", fmt.Errorf("reference to an unknown group: %w", errPattern)
	}
	return string(t.out), nil
}

func (t *translator) emit(s string) {
	for i := range len(s) {
		t.out = append(t.out, rune(s[i]))
	}
}

// single emits an atom that was n bytes of the pattern.
func (t *translator) single(s string, n int) { t.sized(s, n, 1) }

// sized emits an atom that takes size bytes of a subject, -1 when that differs.
func (t *translator) sized(s string, n, size int) {
	t.atom = len(t.out)
	t.emit(s)
	t.at += n
	t.take(size)
}

func (t *translator) unsupported(what string) error {
	return fmt.Errorf("%s %w: %w", what, ErrPatternUnread, errPattern)
}

func (t *translator) step() error {
	c := t.in[t.at]
	switch c {
	case '\\':
		return t.escape()
	case '[':
		return t.class()
	case '(':
		return t.openGroup()
	case ')':
		t.at++
		t.emit(")")
		t.atom = -1
		if n := len(t.groups); n > 0 {
			if err := t.alternative(); err != nil {
				return err
			}
			f := t.groups[n-1]
			t.atom, t.groups = f.begin, t.groups[:n-1]
			switch {
			case f.nothing:
				t.take(0)
			case f.variable:
				t.take(-1)
			default:
				t.take(f.first)
			}
		}
	case '*', '+', '?', '{':
		return t.quantifier()
	case '^', '$', '|':
		if c == '|' {
			if err := t.alternative(); err != nil {
				return err
			}
		}
		t.at++
		t.emit(string(c))
		t.atom = -1
	default:
		t.single(string([]byte{c}), 1)
	}
	return nil
}

// quantifier copies *, +, ?, {n}, {n,}, {n,m} with a lazy "?" behind it, and turns a possessive "+" into an atomic
// group. A brace that is no quantifier is literal.
func (t *translator) quantifier() error {
	n := 1
	if t.in[t.at] == '{' {
		end := strings.IndexByte(t.in[t.at:], '}')
		if end < 0 || !isRepeat(t.in[t.at+1:t.at+end]) {
			t.single(`\{`, 1)
			return nil
		}
		n = end + 1
	}
	if t.atom < 0 {
		return fmt.Errorf("nothing to repeat before %q: %w", clip(t.in[t.at:]), errPattern)
	}
	q := t.in[t.at : t.at+n]
	t.at += n
	t.emit(q)
	if low, high, ranged := strings.Cut(strings.Trim(q, "{}"), ","); q[0] != '{' || ranged && low != high || t.last < 0 {
		t.take(-1)
	} else {
		t.take((atoi(low) - 1) * t.last)
	}
	if t.at < len(t.in) && t.in[t.at] == '?' {
		t.at++
		t.emit("?")
	} else if t.at < len(t.in) && t.in[t.at] == '+' {
		t.at++
		whole := append([]rune("(?>"), t.out[t.atom:]...)
		t.out = append(append(t.out[:t.atom:t.atom], whole...), ')')
	}
	t.atom = -1 // what is repeated cannot be repeated again
	return nil
}

func isRepeat(s string) bool {
	low, high, _ := strings.Cut(s, ",")
	digits := func(s string) bool { return strings.Trim(s, "0123456789") == "" && len(s) <= 5 }
	return low != "" && digits(low) && digits(high)
}

// openGroup copies "(" and what may stand behind it.
func (t *translator) openGroup() error {
	rest := t.in[t.at:]
	if strings.HasPrefix(rest, "(*") {
		return t.unsupported("a verb")
	}
	begin := len(t.out)
	plain := func(open string, n int) {
		look := strings.HasPrefix(open, "(?<=") || strings.HasPrefix(open, "(?<!")
		t.groups = append(t.groups, frame{begin: begin, look: look, nothing: look || open == "(?=" || open == "(?!", first: -1})
		t.emit(open)
		t.at += n
		t.atom = -1
	}
	if !strings.HasPrefix(rest, "(?") {
		t.count++
		plain("(", 1)
		return nil
	}
	for _, open := range [...]string{"(?:", "(?=", "(?!", "(?>", "(?<=", "(?<!"} {
		if strings.HasPrefix(rest, open) {
			plain(open, len(open))
			return nil
		}
	}
	if strings.HasPrefix(rest, "(?#") {
		end := strings.IndexByte(rest, ')')
		if end < 0 {
			return fmt.Errorf("missing ) after comment: %w", errPattern)
		}
		t.at += end + 1
		return nil
	}
	if name, n, ok := groupName(rest); ok {
		if _, twice := t.names[name]; twice {
			return fmt.Errorf("two groups are called %s: %w", clip(name), errPattern)
		}
		t.count++
		t.names[name] = t.count
		plain("(", n)
		return nil
	}
	if back, ok := strings.CutPrefix(rest, "(?P="); ok {
		name, _, found := strings.Cut(back, ")")
		number, known := t.names[name]
		if !found || !known {
			return fmt.Errorf("reference to an unknown group: %w", errPattern)
		}
		t.sized(fmt.Sprintf(`(?:\%d)`, number), len("(?P=")+len(name)+1, -1)
		return nil
	}
	if m := onGroup.FindStringSubmatch(rest); m != nil {
		n, err := strconv.Atoi(m[1])
		if err != nil {
			return fmt.Errorf("reference to an unknown group: %w", errPattern)
		}
		t.needs = max(t.needs, n)
		plain(m[0], len(m[0]))
		return nil
	}
	flags := len(rest[2:]) - len(strings.TrimLeft(rest[2:], "imsx-"))
	if after := 2 + flags; flags > 0 && after < len(rest) && (rest[after] == ')' || rest[after] == ':') {
		if rest[after] == ':' {
			plain(rest[:after+1], after+1)
			return nil
		}
		t.emit(rest[:after+1])
		t.at += after + 1
		t.atom = -1
		return nil
	}
	return t.unsupported("group " + clip(rest))
}

// onGroup begins a condition on a group.
var onGroup = regexp.MustCompile(`^\(\?\((\d+)\)`)

// groupName reads (?<name>, (?P<name> and (?'name'.
func groupName(s string) (name string, n int, ok bool) {
	for _, form := range [...]struct{ open, end string }{{"(?P<", ">"}, {"(?<", ">"}, {"(?'", "'"}} {
		if rest, found := strings.CutPrefix(s, form.open); found {
			name, _, found = strings.Cut(rest, form.end)
			if found && name != "" && strings.Trim(strings.ToLower(name), "abcdefghijklmnopqrstuvwxyz0123456789_") == "" {
				return name, len(form.open) + len(name) + 1, true
			}
		}
	}
	return "", 0, false
}

// escape copies what a backslash begins outside a class.
func (t *translator) escape() error {
	if t.at+1 >= len(t.in) {
		return fmt.Errorf(`\ at the end: %w`, errPattern)
	}
	switch c := t.in[t.at+1]; c {
	case 'd', 'w', 's', 'h', 'v':
		t.single("["+classOf(c)+"]", 2)
	case 'D', 'W', 'S', 'H', 'V':
		t.single("[^"+classOf(c|0x20)+"]", 2)
	case 'N':
		t.single(`[^\n]`, 2)
	case 'R':
		t.sized(`(?>\r\n|[`+vertical+`])`, 2, -1)
	case 'b':
		t.sized("(?:(?<=["+asciiWord+"])(?!["+asciiWord+"])|(?<!["+asciiWord+"])(?=["+asciiWord+"]))", 2, 0)
		t.atom = -1
	case 'B':
		t.sized("(?:(?<=["+asciiWord+"])(?=["+asciiWord+"])|(?<!["+asciiWord+"])(?!["+asciiWord+"]))", 2, 0)
		t.atom = -1
	case 'A', 'Z', 'z', 'G':
		t.emit(`\` + string(c))
		t.at += 2
		t.atom = -1
	case 'Q':
		text, _, found := strings.Cut(t.in[t.at+2:], `\E`)
		t.at += 2 + len(text)
		if found {
			t.at += 2
		}
		for i := range len(text) {
			t.single(literal(text[i]), 0)
		}
	case 'E':
		t.at += 2
	case 'X':
		t.sized(`(?>\r\n|[\x00-\xff])`, 2, -1)
	case 'p', 'P':
		return t.property(c)
	case 'K', 'C', 'g', 'k':
		return t.reference(c)
	default:
		s, n, err := t.character()
		if err != nil {
			return err
		}
		size := 1
		if strings.HasPrefix(s, "(?:") {
			size = -1
		}
		t.sized(s, n, size)
	}
	return nil
}

// category is a general category of Unicode, as \p names it.
var category = regexp.MustCompile(`^(?:\{(\^?)(C[cf]?|L[lmotu]?|M[cen]?|N[dlo]?|P[cdefios]?|S[ckmo]?|Z[lps]?)\}|([CLMNPSZ]))`)

// property reads \pL, \p{Lu}, \p{^Lu} and their opposites.
func (t *translator) property(c byte) error {
	m := category.FindStringSubmatch(t.in[t.at+2:])
	if m == nil {
		return t.unsupported(`\` + string(c))
	}
	if m[1] != "" {
		c ^= 0x20
	}
	t.single(`\`+string(c)+"{"+m[2]+m[3]+"}", 2+len(m[0]))
	return nil
}

// reference reads \k<name>, \k{name}, \k'name' and \gN, \g{N}.
func (t *translator) reference(c byte) error {
	rest := t.in[t.at+2:]
	if c == 'k' || c == 'g' {
		for _, form := range [...]string{"<>", "{}", "''"} {
			if inner, ok := strings.CutPrefix(rest, form[:1]); ok {
				name, _, found := strings.Cut(inner, form[1:])
				number, known := t.names[name]
				if c == 'g' && !known {
					_, err := fmt.Sscanf(name, "%d", &number)
					known = err == nil && number > 0 && number < 100
				}
				if !found || !known {
					break
				}
				t.sized(fmt.Sprintf(`(?:\%d)`, number), 4+len(name), -1)
				return nil
			}
		}
		if c == 'g' && rest != "" && rest[0] >= '1' && rest[0] <= '9' {
			t.sized(`(?:\`+rest[:1]+`)`, 3, -1)
			return nil
		}
	}
	return t.unsupported(`\` + string(c))
}

// character reads an escaped single character or a back reference and returns what stands for it.
func (t *translator) character() (string, int, error) {
	c := t.in[t.at+1]
	switch {
	case c >= '1' && c <= '9':
		digits := t.in[t.at+1:]
		digits = digits[:len(digits)-len(strings.TrimLeft(digits, "0123456789"))]
		n, err := strconv.ParseInt(digits, 10, 32)
		if err != nil {
			return "", 0, fmt.Errorf("number is too big: %w", errPattern)
		}
		if n < 8 || int(n) <= t.count {
			return `(?:\` + digits + `)`, 1 + len(digits), nil
		}
		return t.octal()
	case c == 'a':
		return `\x07`, 2, nil
	case c == 'e':
		return `\x1b`, 2, nil
	case strings.IndexByte("fnrt", c) >= 0:
		return `\` + string(c), 2, nil
	case c == '0':
		return t.octal()
	case c == 'x':
		return t.hex()
	case c == 'c':
		if t.at+2 >= len(t.in) {
			return "", 0, fmt.Errorf(`\c at the end: %w`, errPattern)
		}
		up := t.in[t.at+2]
		if up >= 'a' && up <= 'z' {
			up -= 0x20
		}
		return fmt.Sprintf(`\x%02x`, up^0x40), 3, nil
	case strings.IndexByte("LlNUu", c) >= 0:
		return "", 0, t.unsupported(`\` + string(c))
	}
	return literal(c), 2, nil
}

// octal reads up to three octal digits behind a backslash; an 8 or 9 there is itself.
func (t *translator) octal() (string, int, error) {
	v, n := 0, 1
	for n < 4 && t.at+n < len(t.in) && t.in[t.at+n] >= '0' && t.in[t.at+n] <= '7' {
		v = v*8 + int(t.in[t.at+n]-'0')
		n++
	}
	switch {
	case n == 1:
		return literal(t.in[t.at+1]), 2, nil
	case v > 0xff:
		return "", 0, fmt.Errorf(`octal value is greater than \377: %w`, errPattern)
	}
	return fmt.Sprintf(`\x%02x`, v), n, nil
}

func (t *translator) hex() (string, int, error) {
	rest, v, n := t.in[t.at+2:], 0, 0
	if strings.HasPrefix(rest, "{") {
		digits, _, found := strings.Cut(rest[1:], "}")
		v, err := strconv.ParseUint(digits, 16, 32)
		if !found || err != nil || v > 0xff {
			return "", 0, fmt.Errorf(`\x{%s}: %w`, clip(digits), errPattern)
		}
		return fmt.Sprintf(`\x%02x`, v), 4 + len(digits), nil
	}
	for n < 2 && n < len(rest) && strings.IndexByte("0123456789abcdefABCDEF", rest[n]) >= 0 {
		n++
	}
	if n > 0 {
		if _, err := fmt.Sscanf(rest[:n], "%x", &v); err != nil {
			return "", 0, fmt.Errorf(`\x%s: %w`, rest[:n], errPattern)
		}
	}
	return fmt.Sprintf(`\x%02x`, v), 2 + n, nil
}

// literal writes a byte so that it stands for itself, inside a class and outside.
func literal(c byte) string {
	if c|0x20 >= 'a' && c|0x20 <= 'z' || c >= '0' && c <= '9' || c == '_' || c >= 0x80 {
		return string([]byte{c})
	}
	return fmt.Sprintf(`\x%02x`, c)
}

func classOf(c byte) string {
	switch c {
	case 'd':
		return "0-9"
	case 'w':
		return asciiWord
	case 'h':
		return horizontal
	case 'v':
		return vertical
	}
	return asciiSpace
}

// class copies a bracketed class.
func (t *translator) class() error {
	begin := t.at
	atom := len(t.out)
	t.at++
	t.emit("[")
	if t.at < len(t.in) && t.in[t.at] == '^' {
		t.emit("^")
		t.at++
	}
	before := none
	for first := true; ; first = false {
		if t.at >= len(t.in) {
			return fmt.Errorf("missing terminating ] for class %q: %w", clip(t.in[begin:]), errPattern)
		}
		c := t.in[t.at]
		switch {
		case c == ']' && !first:
			t.at++
			t.emit("]")
			t.atom = atom
			return nil
		case c == '-' && before == character && !strings.HasPrefix(t.in[t.at:], "-]"):
			t.emit("-")
			t.at++
			if t.atSet() {
				return fmt.Errorf("invalid range in character class %q: %w", clip(t.in[begin:]), errPattern)
			}
			before = rangeStart
		case c == '[' && t.posix():
			before = set
		case c == '[' && unknownPosix.MatchString(t.in[t.at:]):
			return fmt.Errorf("unknown POSIX class name in %q: %w", clip(t.in[begin:]), errPattern)
		case c == '\\':
			isSet := t.atSet()
			if err := t.classEscape(); err != nil {
				return err
			}
			before = before.then(isSet)
		default:
			t.emit(literal(c))
			t.at++
			before = before.then(false)
		}
	}
}

// element says what stands before a place in a class: a dash is a range behind a single character only.
type element int

const (
	none element = iota
	character
	set
	rangeStart
)

func (e element) then(isSet bool) element {
	switch {
	case isSet:
		return set
	case e == rangeStart:
		return none
	}
	return character
}

// atSet reports whether a class of characters begins here: \d and the like, or [:digit:].
func (t *translator) atSet() bool {
	rest := t.in[t.at:]
	return len(rest) > 1 && rest[0] == '\\' && strings.IndexByte("dDwWsShHvV", rest[1]) >= 0 || strings.HasPrefix(rest, "[:") && strings.Contains(rest, ":]")
}

func (t *translator) classEscape() error {
	if t.at+1 >= len(t.in) {
		return fmt.Errorf(`\ at the end: %w`, errPattern)
	}
	switch c := t.in[t.at+1]; c {
	case 'd', 'w', 's', 'h', 'v':
		t.emit(classOf(c))
	case 'D', 'W', 'S':
		t.emit(map[byte]string{'D': `\x00-\x2f\x3a-\xff`, 'W': `\x00-\x2f\x3a-\x40\x5b-\x5e\x60\x7b-\xff`, 'S': `\x00-\x08\x0e-\x1f\x21-\xff`}[c])
	case 'b':
		t.emit(`\x08`)
	case 'H', 'V', 'N', 'R', 'X', 'B', 'p', 'P', 'Q', 'E':
		return t.unsupported(`\` + string(c) + " in a class")
	default:
		s, n, err := t.character()
		if c >= '1' && c <= '9' {
			s, n, err = t.octal() // no group is meant here
		}
		if err != nil {
			return err
		}
		t.emit(s)
		t.at += n
		return nil
	}
	t.at += 2
	return nil
}

// posix copies [:name:] or [:^name:] inside a class and reports whether there was one.
func (t *translator) posix() bool {
	rest := t.in[t.at:]
	end := strings.Index(rest, ":]")
	if !strings.HasPrefix(rest, "[:") || end < 2 {
		return false
	}
	for _, c := range [...]struct{ name, set, not string }{
		{"digit", "0-9", `\x00-\x2f\x3a-\xff`},
		{"alpha", "A-Za-z", `\x00-\x40\x5b-\x60\x7b-\xff`},
		{"alnum", "A-Za-z0-9", `\x00-\x2f\x3a-\x40\x5b-\x60\x7b-\xff`},
		{"upper", "A-Z", `\x00-\x40\x5b-\xff`},
		{"lower", "a-z", `\x00-\x60\x7b-\xff`},
		{"xdigit", "0-9A-Fa-f", `\x00-\x2f\x3a-\x40\x47-\x60\x67-\xff`},
		{"word", asciiWord, `\x00-\x2f\x3a-\x40\x5b-\x5e\x60\x7b-\xff`},
		{"space", asciiSpace, `\x00-\x08\x0e-\x1f\x21-\xff`},
		{"blank", ` \t`, `\x00-\x08\x0a-\x1f\x21-\xff`},
		{"punct", `\x21-\x2f\x3a-\x40\x5b-\x60\x7b-\x7e`, `\x00-\x20\x30-\x39A-Za-z\x7f-\xff`},
		{"graph", `\x21-\x7e`, `\x00-\x20\x7f-\xff`},
		{"print", `\x20-\x7e`, `\x00-\x1f\x7f-\xff`},
		{"cntrl", `\x00-\x1f\x7f`, `\x20-\x7e\x80-\xff`},
		{"ascii", `\x00-\x7f`, `\x80-\xff`},
	} {
		switch rest[2:end] {
		case c.name:
			t.emit(c.set)
		case "^" + c.name:
			t.emit(c.not)
		default:
			continue
		}
		t.at += end + 2
		return true
	}
	return false
}

// unknownPosix matches what looks like a POSIX class; PCRE refuses one whose name it does not know.
var unknownPosix = regexp.MustCompile(`^\[:\^?[a-z]*:\]`)
