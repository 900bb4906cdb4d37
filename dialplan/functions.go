package dialplan

import (
	"fmt"
	"math"
	"net/url"
	"strconv"
	"strings"
)

// Functions carries out API functions inside ${...}. The simulator has its own; nil means the offline ones.
type Functions func(name, args string) (string, error)

// offline evaluates the functions that only look at their arguments: cond, regex, expr (numbers, + - * / ^ and
// parentheses), url_encode and url_decode. Any other function is ErrUnknownFunction.
func offline(patterns *patternCache) Functions {
	return func(name, args string) (string, error) {
		args = strings.Trim(args, xmlSpace)
		switch strings.ToLower(name) {
		case "":
			return "", nil // FreeSWITCH knows no function without a name and puts nothing in its place
		case "cond":
			return cond(args), nil
		case "regex":
			return regexFunction(patterns, args), nil
		case "expr":
			return expr(args)
		case "url_encode":
			return url.PathEscape(args), nil
		case "url_decode":
			if s, err := url.PathUnescape(args); err == nil {
				return s, nil
			}
			return args, nil
		}
		return "", ErrUnknownFunction
	}
}

const badArgs = "-ERR" // what FreeSWITCH's own functions say about arguments they cannot read

// cond is ${cond(A OP B ? X : Y)}: numbers are compared as numbers, two texts as texts, a number and a text by the
// text's length.
func cond(args string) string {
	a, aQuoted, rest, ok := operand(args)
	if !ok {
		return badArgs
	}
	rest = strings.TrimLeft(rest, xmlSpace)
	op := ""
	for _, o := range [...]string{"==", "!=", ">=", "<=", ">", "<"} {
		if strings.HasPrefix(rest, o) {
			op = o
			break
		}
	}
	// FreeSWITCH skips the character behind the operator, which has to be a blank for that reason.
	if op == "" || len(rest) <= len(op) {
		return badArgs
	}
	b, bQuoted, rest, ok := operand(strings.TrimLeft(rest[len(op)+1:], xmlSpace))
	rest = strings.TrimLeft(rest, xmlSpace)
	if !ok || !strings.HasPrefix(rest, "?") {
		return badArgs
	}
	answers := separate(":"+rest[1:], ':', 3)
	if len(answers) < 2 {
		return badArgs
	}
	switch {
	case compare(a, b, op, aQuoted, bQuoted):
		return answers[1]
	case len(answers) == 3:
		return answers[2]
	}
	return ""
}

// operand reads one side of a comparison: 'quoted', or up to a blank.
func operand(s string) (value string, quoted bool, rest string, ok bool) {
	if inner, q := strings.CutPrefix(s, "'"); q {
		for i := 0; i < len(inner); i++ {
			if inner[i] == '\\' && i+1 < len(inner) && (inner[i+1] == '\\' || inner[i+1] == '\'') {
				i++
			} else if inner[i] == '\'' {
				rest = inner[i+1:]
				return inner[:i], true, rest, rest != "" && strings.IndexByte(xmlSpace, rest[0]) >= 0
			}
		}
		return "", true, "", false
	}
	value, rest, ok = strings.Cut(s, " ")
	return value, false, rest, ok
}

func compare(a, b, op string, aQuoted, bQuoted bool) bool {
	aNum, bNum := isNumber(a) && !aQuoted, isNumber(b) && !bQuoted
	size := func(s string, num bool) float64 {
		if !num {
			return float64(len(s))
		}
		f, err := strconv.ParseFloat(s, 64)
		if err != nil {
			return 0
		}
		return f
	}
	x, y := size(a, aNum), size(b, bNum)
	switch op {
	case "==", "!=":
		same := x == y
		if !aNum && !bNum {
			same = a == b
		}
		return same == (op == "==")
	case ">":
		return x > y
	case ">=":
		return x >= y
	case "<":
		return x < y
	}
	return x <= y
}

// regexFunction is ${regex(SUBJECT|PATTERN|%1|flags)}.
func regexFunction(patterns *patternCache, args string) string {
	delim := byte('|')
	if len(args) > 2 && args[:2] == "m:" && strings.IndexByte("|~/", args[2]) >= 0 {
		delim, args = args[2], args[3:]
	}
	f := separate(args, delim, 4)
	if len(f) < 2 {
		return badArgs
	}
	m, _ := patterns.perform(f[0], f[1]) // a pattern that does not compile does not match
	switch {
	case len(f) == 2:
		return strconv.FormatBool(m.count > 0)
	case m.count > 0:
		return m.substitute(strings.ReplaceAll(f[2], "%", "$"), f[0])
	case len(f) > 3 && strings.Contains(f[3], "n"):
		return ""
	case len(f) > 3 && strings.Contains(f[3], "b"):
		return "false"
	}
	return f[0]
}

// expr evaluates arithmetic. What goes beyond numbers, + - * / ^ and parentheses is ErrUnknownFunction rather than a
// wrong result.
func expr(args string) (string, error) {
	p := arithmetic{s: args}
	v := p.sum(0)
	if p.skip(); p.bad || p.at != len(p.s) || math.IsNaN(v) || math.IsInf(v, 0) {
		return "", fmt.Errorf("expression %q: %w", clip(args), ErrUnknownFunction)
	}
	out := strings.TrimRight(strconv.FormatFloat(v, 'f', 10, 64), "0")
	return strings.TrimSuffix(out, "."), nil
}

type arithmetic struct {
	s   string
	at  int
	bad bool
}

func (p *arithmetic) skip() {
	for p.at < len(p.s) && strings.IndexByte(xmlSpace, p.s[p.at]) >= 0 {
		p.at++
	}
}

// next takes the next operator if it is one of ops.
func (p *arithmetic) next(ops string) byte {
	p.skip()
	if p.at < len(p.s) && strings.IndexByte(ops, p.s[p.at]) >= 0 {
		p.at++
		return p.s[p.at-1]
	}
	return 0
}

func (p *arithmetic) sum(depth int) float64 {
	v := p.product(depth)
	for op := p.next("+-"); op != 0; op = p.next("+-") {
		if w := p.product(depth); op == '+' {
			v += w
		} else {
			v -= w
		}
	}
	return v
}

func (p *arithmetic) product(depth int) float64 {
	v := p.power(depth)
	for op := p.next("*/"); op != 0; op = p.next("*/") {
		if w := p.power(depth); op == '*' {
			v *= w
		} else {
			v /= w
		}
	}
	return v
}

func (p *arithmetic) power(depth int) float64 {
	v := p.value(depth)
	for p.next("^") != 0 {
		v = math.Pow(v, p.value(depth))
	}
	return v
}

func (p *arithmetic) value(depth int) float64 {
	if depth > 100 {
		p.bad = true
		return 0
	}
	switch p.next("+-(") {
	case '-':
		return -p.value(depth + 1)
	case '+':
		return p.value(depth + 1)
	case '(':
		v := p.sum(depth + 1)
		if p.next(")") == 0 {
			p.bad = true
		}
		return v
	}
	start := p.at
	for p.at < len(p.s) && (p.s[p.at] >= '0' && p.s[p.at] <= '9' || p.s[p.at] == '.') {
		p.at++
	}
	v, err := strconv.ParseFloat(p.s[start:p.at], 64)
	if err != nil {
		p.bad = true
	}
	return v
}
