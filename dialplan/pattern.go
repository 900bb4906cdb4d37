package dialplan

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/dlclark/regexp2"
)

// errPattern is wrapped by errors about patterns that PCRE refuses too; FreeSWITCH logs them and takes them for a FAIL.
var errPattern = errors.New("pattern does not compile")

const (
	// matchTimeout is the longest that one pattern may take on one text; it counts as no match then, like PCRE's own
	// limit.
	matchTimeout = 250 * time.Millisecond
	// maxPairs is how many groups, with the whole match, FreeSWITCH has room for. A match with more is none.
	maxPairs = 10
	// maxPatterns is how large the compiled patterns together may be that a tree keeps, by their Size.
	maxPatterns = 2 << 20
	// maxCounted is up to which sum of its counts, as in \d{3,10}, a pattern is compiled to match in linear time: that has
	// as many instructions.
	maxCounted = 2000
)

// match is what a pattern left behind: the count of groups including the whole match (0 = no match), and offsets.
type match struct {
	count   int
	offsets [2 * maxPairs]int // -1 = group did not take part
}

// patternCache keeps compiled patterns.
type patternCache struct {
	mu   sync.Mutex
	have map[string]*Pattern // nil = it does not compile
	size int
}

func newPatternCache() *patternCache { return &patternCache{have: map[string]*Pattern{}} }

// perform matches subject against an expression as it stands in a dialplan: a PCRE pattern, /pattern/flags with the
// flags i and s, or an Asterisk pattern behind "_". A non-nil error says why a pattern could not be used; the result
// is then no match, as in FreeSWITCH.
func (c *patternCache) perform(subject, expression string) (match, error) {
	if cannotMatch(expression, subject) && expression[0] != '/' && expression[0] != '_' {
		return match{}, nil
	}
	c.mu.Lock()
	p, ok := c.have[expression]
	c.mu.Unlock()
	var err error
	if !ok {
		p, err = CompilePattern(expression)
		c.mu.Lock()
		size := len(expression) + 50
		if p != nil {
			size += p.size
		}
		if c.size += size; c.size > maxPatterns {
			clear(c.have)
			c.size = size
		}
		c.have[expression] = p
		c.mu.Unlock()
	} else if p == nil {
		err = fmt.Errorf("pattern %q: %w", clip(expression), errPattern)
	}
	if err != nil {
		return match{}, err
	}
	m, err := p.match(subject)
	if err != nil {
		return match{}, fmt.Errorf("pattern %q %w", clip(expression), err)
	}
	return m, nil
}

// Pattern is a compiled expression of a condition. It is safe for concurrent use.
type Pattern struct {
	// fast matches ASCII subjects in linear time; nil when the pattern wants more than Go's own regular expressions.
	fast *regexp.Regexp
	// slow matches anything; compiled when it is first wanted.
	slow func() (*regexp2.Regexp, error)
	size int
}

// Size is about how many instructions the pattern was compiled to, for those who keep many.
func (p *Pattern) Size() int { return p.size }

// CompilePattern compiles an expression as FreeSWITCH takes it in <condition expression="..."> once ${...} is expanded: a
// PCRE pattern, /pattern/flags, or an Asterisk pattern behind "_". The error says what PCRE refuses.
func CompilePattern(expression string) (*Pattern, error) {
	pattern, options := expression, regexp2.RegexOptions(regexp2.None)
	if rest, ok := strings.CutPrefix(pattern, "_"); ok {
		if p, changed := asterisk(rest); changed {
			pattern = p
		}
	}
	if rest, ok := strings.CutPrefix(pattern, "/"); ok {
		end := strings.LastIndexByte(rest, '/')
		if end < 0 {
			return nil, fmt.Errorf("pattern %q: missing ending '/': %w", clip(expression), errPattern)
		}
		flags := rest[end+1:]
		pattern = rest[:end]
		if strings.Contains(flags, "i") {
			options |= regexp2.IgnoreCase
		}
		if strings.Contains(flags, "s") {
			options |= regexp2.Singleline
		}
	}
	translated, err := translate(pattern)
	if err != nil {
		return nil, fmt.Errorf("pattern %q: %w", clip(expression), err)
	}
	p := &Pattern{slow: sync.OnceValues(func() (*regexp2.Regexp, error) {
		re, err := safeCompile(translated, options)
		if err != nil {
			return nil, fmt.Errorf("pattern %q: %v: %w", clip(expression), err, errPattern)
		}
		re.MatchTimeout = matchTimeout
		return re, nil
	})}
	p.size = len(translated)
	if n := counted(translated); options == regexp2.None && n <= maxCounted && isPlain(translated) {
		p.fast, _ = regexp.Compile(translated)
		p.size += n
	}
	if p.fast == nil {
		if _, err := p.slow(); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// Groups returns the number of capturing groups; $1 to $Groups have a value after a match, as long as they are at most
// nine. FreeSWITCH takes a match that leaves more behind for none.
func (p *Pattern) Groups() int {
	if p.fast != nil {
		return p.fast.NumSubexp()
	}
	re, err := p.slow()
	if err != nil {
		return 0
	}
	return len(re.GetGroupNumbers()) - 1
}

// Match reports whether subject matches. The error, which wraps ErrLimit, says that the pattern took too long.
func (p *Pattern) Match(subject string) (bool, error) {
	m, err := p.match(subject)
	return m.count > 0, err
}

func (p *Pattern) match(subject string) (match, error) {
	if p.fast != nil && isSimple(subject) {
		return linear(p.fast, subject), nil
	}
	re, err := p.slow()
	if err != nil {
		return match{}, err
	}
	m, err := re.FindRunesMatch(latin1(subject))
	if err != nil {
		return match{}, fmt.Errorf("took longer than %v: %w", matchTimeout, ErrLimit)
	}
	if m == nil {
		return match{}, nil
	}
	out := match{count: 1}
	for i := range out.offsets {
		out.offsets[i] = -1
	}
	for i := range m.GroupCount() {
		g := m.GroupByNumber(i)
		if g == nil || len(g.Captures) == 0 {
			continue
		}
		if i >= maxPairs {
			return match{}, nil
		}
		out.count = i + 1
		out.offsets[2*i], out.offsets[2*i+1] = g.Index, g.Index+g.Length
	}
	return out, nil
}

func linear(re *regexp.Regexp, subject string) match {
	offsets := re.FindStringSubmatchIndex(subject)
	if offsets == nil {
		return match{}
	}
	out := match{count: 1}
	for i := range out.offsets {
		out.offsets[i] = -1
	}
	for i := 0; i < len(offsets)/2; i++ {
		if offsets[2*i] < 0 {
			continue
		}
		if i >= maxPairs {
			return match{}
		}
		out.count = i + 1
		out.offsets[2*i], out.offsets[2*i+1] = offsets[2*i], offsets[2*i+1]
	}
	return out
}

// isSimple reports whether a subject has neither bytes that are no ASCII nor line ends, at which PCRE's $ differs from
// Go's.
func isSimple(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 || s[i] == '\n' {
			return false
		}
	}
	return true
}

// isPlain reports whether a translated pattern means the same to Go's regular expressions: literals, classes, groups of
// which none is repeated, anchors, alternatives and quantifiers. All of it is ASCII.
func isPlain(p string) bool {
	for i := 0; i < len(p); i++ {
		switch c := p[i]; {
		case c >= 0x80 || c < ' ':
			return false
		case c == '\\':
			if i++; i >= len(p) || !plainEscape(p, &i) {
				return false
			}
		case c == '{' && leadingZero(p[i+1:]):
			return false // Go takes it for text
		case c == '[':
			end, ok := plainClass(p, i)
			if !ok {
				return false
			}
			i = end
		case c == '(' && i+1 < len(p) && p[i+1] == '?':
			if !strings.HasPrefix(p[i:], "(?:") {
				return false
			}
			i += 2
		case c == ')' && i+1 < len(p) && strings.IndexByte("*+{?", p[i+1]) >= 0:
			// What a repeated group leaves behind is not the same everywhere; one that may be missing is.
			if p[i+1] != '?' || i+2 < len(p) && strings.IndexByte("*+{?", p[i+2]) >= 0 {
				return false
			}
		}
	}
	return true
}

// counted is the sum of the counts of a pattern's quantifiers.
func counted(p string) (n int) {
	for i := range len(p) {
		if p[i] == '{' {
			least, rest := leadingInt(p[i+1:])
			most, _ := leadingInt(strings.TrimPrefix(rest, ","))
			n += max(least, most, 0)
		}
	}
	return n
}

// leadingZero reports whether one of the counts of a quantifier, which begins behind its brace, is written like 00.
func leadingZero(p string) bool {
	counts, _, _ := strings.Cut(p, "}")
	least, most, _ := strings.Cut(counts, ",")
	return len(least) > 1 && least[0] == '0' || len(most) > 1 && most[0] == '0'
}

// plainEscape looks at the escape whose letter stands at *i and moves *i to its last byte.
func plainEscape(p string, i *int) bool {
	switch c := p[*i]; {
	case c == 'x':
		if *i+2 >= len(p) || strings.IndexByte("01234567", p[*i+1]) < 0 {
			return false
		}
		*i += 2
		return true
	case strings.IndexByte("tnrfv", c) >= 0:
		return true
	}
	return isPunctuation(p[*i])
}

func isPunctuation(c byte) bool {
	return c > ' ' && c < 0x7f && !(c >= '0' && c <= '9') && !(c|0x20 >= 'a' && c|0x20 <= 'z')
}

// plainClass returns where the class ends that begins at i.
func plainClass(p string, i int) (end int, ok bool) {
	for i++; i < len(p); i++ {
		switch c := p[i]; {
		case c == ']':
			return i, p[i-1] != '[' && p[i-1] != '^'
		case c >= 0x80 || c < ' ' || c == '[':
			return 0, false
		case c == '\\':
			if i++; i >= len(p) {
				return 0, false
			}
			// Bytes above ASCII may stand in a class: no subject here has one.
			if p[i] == 'x' && i+2 < len(p) {
				i += 2
			} else if !plainEscape(p, &i) {
				return 0, false
			}
		}
	}
	return 0, false
}

// safeCompile guards against a panic inside the library on a pattern nobody thought of.
func safeCompile(pattern string, options regexp2.RegexOptions) (re *regexp2.Regexp, err error) {
	defer func() {
		if r := recover(); r != nil {
			re, err = nil, fmt.Errorf("%v", r)
		}
	}()
	return regexp2.Compile(pattern, options)
}

// asterisk turns an Asterisk pattern into a regular expression; FreeSWITCH's buffer holds 255 bytes of it.
func asterisk(s string) (string, bool) {
	var b strings.Builder
	b.WriteByte('^')
	for i := range len(s) {
		if b.Len() >= 250 {
			break
		}
		switch s[i] {
		case 'N':
			b.WriteString("[2-9]")
		case 'X':
			b.WriteString("[0-9]")
		case 'Z':
			b.WriteString("[1-9]")
		case '.':
			b.WriteString(".*")
		default:
			b.WriteByte(s[i])
		}
	}
	b.WriteByte('$')
	return b.String(), b.String() != s
}

// latin1 makes each byte a rune: FreeSWITCH matches bytes, not characters.
func latin1(s string) []rune {
	r := make([]rune, len(s))
	for i := range len(s) {
		r[i] = rune(s[i])
	}
	return r
}

// group returns a captured group of subject, and false when the match has no group of that number. A group that did
// not take part is there and empty.
func (m match) group(subject string, n int) (string, bool) {
	if n < 0 || n >= m.count || n >= maxPairs {
		return "", false
	}
	from, to := m.offsets[2*n], m.offsets[2*n+1]
	if from < 0 || to < from {
		return "", true
	}
	return subject[min(from, len(subject)):min(to, len(subject))], true
}

// substitute puts groups in the place of $1 and ${1}. Any other dollar sign stays. Of a "${1" that is not closed the
// digits stay, and FreeSWITCH puts them in front of the next number. What does not fit into FreeSWITCH's buffer, whose size
// it guesses from the lengths of both texts and the count of groups, is cut off.
func (m match) substitute(data, subject string) string {
	if strings.IndexByte(data, '$') < 0 {
		return data
	}
	out := m.replaceGroups(data, subject)
	if room := (len(data)+len(subject)+10)*m.count - 1; m.count > 0 && len(out) > room {
		out = out[:room]
	}
	return out
}

func (m match) replaceGroups(data, subject string) string {
	var b strings.Builder
	pending := ""
	for i := 0; i < len(data); {
		if data[i] != '$' {
			b.WriteByte(data[i])
			i++
			continue
		}
		j := i + 1
		brace := j < len(data) && data[j] == '{'
		if brace {
			j++
		}
		k := j
		for k < len(data) && data[k] >= '0' && data[k] <= '9' && len(pending)+k-j < 9 {
			k++
		}
		if k == j {
			b.WriteByte('$')
			i++
			continue
		}
		digits := pending + data[j:k]
		if brace && (k >= len(data) || data[k] != '}') {
			pending = digits
			b.WriteString(data[j:k])
			i = k
			continue
		}
		if brace {
			k++
		}
		pending = ""
		if text, ok := m.group(subject, atoi(digits)); ok {
			b.WriteString(text)
		}
		i = k
	}
	return b.String()
}
