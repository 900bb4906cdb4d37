package lint

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/signalbox/signalbox/dialplan"
)

// pattern is what is known of one expression. A dynamic one holds variables, so that only a call knows it.
type pattern struct {
	compiled *dialplan.Pattern
	err      error
	dynamic  bool
	language *language
	sample   string // a text that it takes, of its language
	slow     string // a text that takes too long, "" when none was found
}

func (l *linter) pattern(expression string) *pattern {
	if p, ok := l.patterns[expression]; ok {
		return p
	}
	p := &pattern{dynamic: strings.Contains(expression, "${")}
	if !p.dynamic && l.weight > maxWeight {
		p.dynamic = true
		l.unread++
	}
	if !p.dynamic {
		p.compiled, p.err = dialplan.CompilePattern(expression)
		if p.err == nil {
			if p.language = languageOf(expression); p.language != nil {
				text, found, known := witness(term{p.language, false})
				if p.sample = text; !found || !known {
					p.language = nil // it takes nothing, or is too big to say
				}
			}
			p.slow = l.attacked(expression, p)
			l.weight += p.compiled.Size()
			if p.language != nil {
				l.weight += len(p.language.prog.Inst)
			}
		}
	}
	l.weight += len(expression)
	l.patterns[expression] = p
	return p
}

const (
	maxWeight = 4 << 20          // instructions and bytes of all patterns that are kept; of further ones nothing is said
	maxAttack = 20 * time.Second // for looking for texts on which patterns are slow, in all
)

// attacked is attack as long as there is time for it.
func (l *linter) attacked(expression string, p *pattern) string {
	if l.spent > maxAttack {
		l.unread++
		return ""
	}
	begun := time.Now()
	defer func() { l.spent += time.Since(begun) }()
	return attack(expression, p)
}

// maxCaptures is how many groups FreeSWITCH has room for.
const maxCaptures = 9

// condition applies the rules about one condition and its patterns.
func (l *linter) condition(x *extension, c *condition) {
	if c.rule != "" {
		if len(c.regexes) == 0 {
			l.found("condition-without-field", c.el.Pos, x, fmt.Sprintf("regex=%q without a <regex> inside", c.rule), `put <regex field="..." expression="..."/> inside`)
		}
		if r := strings.ToLower(c.rule); r != "any" && r != "all" && r != "xor" {
			l.found("unknown-attribute", c.el.PosOf("regex"), x, fmt.Sprintf("regex=%q: FreeSWITCH takes it for any", c.rule), "write any, all or xor")
		}
		for _, r := range c.regexes {
			l.oneCondition(x, r)
		}
	} else {
		l.oneCondition(x, c)
	}
	if v := c.el.Soft("break"); v != "" && c.breakOn == "on-false" && !strings.EqualFold(v, "on-false") {
		l.found("unknown-attribute", c.el.PosOf("break"), x, fmt.Sprintf("break=%q: FreeSWITCH takes it for on-false", v), "write on-false, on-true, always or never")
	}
	for _, text := range append([]string{c.field, c.expression}, regexTexts(c)...) {
		l.reading(x, text, c.el.Pos)
	}
	l.captures(x, c)
}

func (l *linter) oneCondition(x *extension, c *condition) {
	pos := c.el.PosOf("expression")
	if !c.hasField {
		if c.expression != "" && !c.timed {
			l.found("condition-without-field", c.el.Pos, x, fmt.Sprintf("/%s/ is never looked at: without a field the condition holds for every call", clip(c.expression)), `write field="destination_number" or what is meant, or leave the expression out`)
		}
		return
	}
	l.field(x, c)
	p := l.pattern(c.expression)
	switch {
	case p.dynamic:
		return
	case errors.Is(p.err, dialplan.ErrPatternUnread):
		return // PCRE may take it
	case p.err != nil:
		l.found("pattern-invalid", pos, x, fmt.Sprintf("%v: FreeSWITCH logs an error for each call and takes it for not matching", trimmed(p.err)), "mend the pattern; a literal + . * ( is written with a backslash")
		return
	case p.compiled.Groups() > maxCaptures:
		l.found("group-limit", pos, x, fmt.Sprintf("%d groups: FreeSWITCH has room for %d, and takes a match with more for none", p.compiled.Groups(), maxCaptures), "write (?:...) for groups that are not used")
	case p.slow != "":
		l.found("pattern-slow", pos, x, fmt.Sprintf("a text like %q keeps the matching busy beyond any bound, on every call that brings it", p.slow), "do not repeat what repeats inside already: (\\d+)+ is \\d+; begin with ^")
	}
	if strings.EqualFold(c.field, "destination_number") && p.language != nil && !holds(p.language, everything()) {
		l.anchors(x, c, p, pos)
	}
	l.alternatives(x, c, p, pos)
	if strings.EqualFold(c.field, "network_addr") {
		l.address(x, c, p, pos)
	}
	if what, instead := pcre2(c.expression); what != "" {
		l.found("pattern-pcre2", pos, x, what+": FreeSWITCH 1.11 would log an error and never match", instead)
	}
}

func trimmed(err error) string {
	return strings.TrimSuffix(err.Error(), ": pattern does not compile")
}

// anchors notes a pattern for whole numbers that also takes a number with more digits in front or behind.
func (l *linter) anchors(x *extension, c *condition, p *pattern, pos dialplan.Pos) {
	if strings.HasPrefix(c.expression, "^") || strings.HasSuffix(c.expression, "$") || strings.HasPrefix(c.expression, "/") {
		return // half of it is anchored on purpose, as a prefix is
	}
	l.found("pattern-unanchored", pos, x, fmt.Sprintf("takes %s, and as well every longer number that holds it, such as 99%s99", p.sample, p.sample), fmt.Sprintf("write ^%s$", c.expression))
}

// alternatives reports ^a|b$, which takes a with anything behind it and b with anything in front.
func (l *linter) alternatives(x *extension, c *condition, p *pattern, pos dialplan.Pos) {
	parts := topLevel(c.expression)
	last := len(parts) - 1
	if p.language == nil || last < 1 || !strings.HasPrefix(parts[0], "^") || !strings.HasSuffix(parts[last], "$") {
		return
	}
	for i, part := range parts {
		parts[i] = strings.TrimPrefix(part, "^")
		if strings.HasSuffix(parts[i], "$") && !strings.HasSuffix(parts[i], `\$`) {
			parts[i] = strings.TrimSuffix(parts[i], "$")
		}
	}
	meant := "^(?:" + strings.Join(parts, "|") + ")$"
	exact := languageOf(meant)
	if exact == nil {
		return
	}
	if other, found, known := witness(term{p.language, false}, term{exact, true}); found && known {
		l.found("pattern-alternatives", pos, x, fmt.Sprintf("takes %q as well: ^ holds for the first alternative alone, $ for the last", other), "write "+meant)
	}
}

// topLevel parts a pattern at the bars that stand in no group and no class.
func topLevel(expression string) []string {
	var parts []string
	depth, inClass, begin := 0, false, 0
	for i := 0; i < len(expression); i++ {
		switch ch := expression[i]; {
		case ch == '\\':
			i++
		case inClass:
			inClass = ch != ']'
		case ch == '[':
			inClass = true
		case ch == '(':
			depth++
		case ch == ')':
			depth--
		case ch == '|' && depth == 0:
			parts = append(parts, expression[begin:i])
			begin = i + 1
		}
	}
	return append(parts, expression[begin:])
}

var (
	anIPv4   = languageOf(`^(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)\.){3}(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)$`)
	plainDot = regexp.MustCompile(`(^|[^\\])\.([^*+?{]|$)`)
)

// address reports a dot that was meant as one and is any character: ^10.1. takes 10.11.0.0 as well.
func (l *linter) address(x *extension, c *condition, p *pattern, pos dialplan.Pos) {
	meant := plainDot.ReplaceAllString(plainDot.ReplaceAllString(c.expression, `$1\.$2`), `$1\.$2`)
	exact := languageOf(meant)
	if p.language == nil || exact == nil || meant == c.expression {
		return
	}
	if other, found, known := witness(term{p.language, false}, term{exact, true}, term{anIPv4, false}); found && known {
		l.found("address-pattern", pos, x, fmt.Sprintf("takes %s as well: a dot is any character", other), "write "+meant)
	}
}

// attack looks for a text on which a pattern takes too long: for each of a few places in a text that it takes, the character
// there many times over and then one that fits nowhere.
func attack(expression string, p *pattern) string {
	if !strings.ContainsAny(expression, "*+{") {
		return ""
	}
	heads := []string{""}
	pumps := []string{"1", "0", "a", ".", " "}
	if p.language != nil {
		for i := range min(len(p.sample), 12) {
			heads = append(heads, p.sample[:i])
			pumps = append(pumps, p.sample[i:i+1])
		}
	}
	const repeats = 200
	for _, head := range heads {
		tried := map[string]bool{}
		for _, pump := range pumps {
			if tried[pump] {
				continue
			}
			tried[pump] = true
			if _, err := p.compiled.Match(head + strings.Repeat(pump, repeats) + "\x01"); errors.Is(err, dialplan.ErrLimit) {
				return head + strings.Repeat(pump, 20) + "..."
			}
		}
	}
	return ""
}

var (
	unknownEscape = regexp.MustCompile(`^\\[FijJmMoOqTyY]`)
	classThenDash = regexp.MustCompile(`^(?:\\[dDwWsShHvV]|\[:\^?[a-z]+:\])-[^\]]`)
)

// pcre2 says what PCRE2 refuses and PCRE takes, with what to write.
func pcre2(expression string) (what, instead string) {
	inClass := false
	for i := 0; i < len(expression); i++ {
		rest := expression[i:]
		if inClass && classThenDash.MatchString(rest) {
			return fmt.Sprintf("a dash beside a class of characters in [...], at %q, is an invalid range to PCRE2", clip(rest)), `write \- for a dash`
		}
		switch {
		case rest[0] == '\\':
			if unknownEscape.MatchString(rest) {
				return fmt.Sprintf("PCRE2 does not know %s", rest[:2]), "write the letter without the backslash"
			}
			if strings.HasPrefix(rest, `\Q`) {
				return "", ""
			}
			i++
		case inClass && strings.HasPrefix(rest, "[:"):
			if end := strings.Index(rest, ":]"); end > 0 {
				i += end + 1
			}
		case rest[0] == '[' && !inClass:
			inClass = true
			if strings.HasPrefix(rest, "[^]") {
				i += 2
			} else if strings.HasPrefix(rest, "[]") || strings.HasPrefix(rest, "[^") {
				i++
			}
		case rest[0] == ']':
			inClass = false
		}
	}
	return "", ""
}

var captureUse = regexp.MustCompile(`\$(?:\{(\d+)\}|(\d+))`)

// captures reports $1 and the like that have no group to take the place of.
func (l *linter) captures(x *extension, c *condition) {
	groups, known := l.groups(c)
	for _, a := range c.all() {
		for _, m := range captureUse.FindAllStringSubmatch(a.data, -1) {
			number := 0
			if _, err := fmt.Sscan(m[1]+m[2], &number); err != nil {
				continue
			}
			switch {
			case a.anti:
				l.found("capture-missing", a.pos, x, fmt.Sprintf("%s stays as it is: an anti-action has no match to take it from", m[0]), "write ${destination_number} or the variable that is meant")
			case !known:
			case groups < 0:
				l.found("capture-missing", a.pos, x, fmt.Sprintf("%s stays as it is: the condition has no pattern with a group", m[0]), "put ( ) around the part of the pattern that is meant, in this very condition, or write the variable")
			case number > groups:
				l.found("capture-missing", a.pos, x, fmt.Sprintf("%s becomes nothing: the pattern has %d group%s", m[0], groups, plural(groups)), "put ( ) around the part of the pattern that is meant, or write another number")
			}
		}
	}
}

func plural(n int) string {
	if n == 1 {
		return ""
	}
	return "s"
}

// groups is how many groups the actions of a condition may use; -1 when FreeSWITCH leaves $1 as it stands. Of several regex
// elements it depends on the call which counts: the largest does here.
func (l *linter) groups(c *condition) (groups int, known bool) {
	list := []*condition{c}
	if c.rule != "" {
		list = c.regexes
	}
	groups = -1
	for _, one := range list {
		p := l.pattern(one.expression)
		if p.dynamic || p.err != nil {
			return 0, false
		}
		if one.hasField && strings.Contains(one.expression, "(") {
			groups = max(groups, p.compiled.Groups())
		}
	}
	return groups, true
}
