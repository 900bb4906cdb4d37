package dialplan

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// badExpr is what mod_expr answers about an expression that it cannot read.
const badExpr = "!err!"

// arithmetic evaluates ${expr(...)} as mod_expr does: numbers, + - * / ^ (which groups from the left), parentheses,
// functions, variables that are assigned inside the expression, several expressions behind each other with ";" or "|",
// of which the last one counts. What goes beyond is ErrUnknownFunction rather than a wrong result.
func arithmetic(text string) (string, error) {
	p := arith{s: strings.ReplaceAll(text, "|", ";"), vars: map[string]float64{}}
	v := math.NaN()
	for !p.bad && !p.unknown {
		if p.skip(); p.at == len(p.s) {
			break
		}
		v = p.statement()
		if p.skip(); p.at < len(p.s) && p.next(";") == 0 {
			p.bad = true
		}
	}
	switch {
	case p.unknown:
		return "", fmt.Errorf("expression %q: %w", clip(text), ErrUnknownFunction)
	case p.bad || math.IsNaN(v) || math.IsInf(v, 0):
		return badExpr, nil
	}
	out := strings.TrimRight(strconv.FormatFloat(v, 'f', 10, 64), "0")
	return strings.TrimSuffix(out, "."), nil
}

type arith struct {
	s       string
	at      int
	vars    map[string]float64
	bad     bool // mod_expr refuses it
	unknown bool // it may be right, but is not read here
}

func (p *arith) skip() {
	for p.at < len(p.s) && strings.IndexByte(xmlSpace, p.s[p.at]) >= 0 {
		p.at++
	}
}

// next takes the next operator if it is one of ops.
func (p *arith) next(ops string) byte {
	p.skip()
	if p.at < len(p.s) && strings.IndexByte(ops, p.s[p.at]) >= 0 {
		p.at++
		return p.s[p.at-1]
	}
	return 0
}

// statement is an expression or name = expression.
func (p *arith) statement() float64 {
	p.skip()
	start := p.at
	if name := p.name(); name != "" && p.next("=") != 0 {
		v := p.sum(0)
		p.vars[name] = v
		return v
	}
	p.at = start
	return p.sum(0)
}

func (p *arith) name() string {
	p.skip()
	start := p.at
	for p.at < len(p.s) {
		c := p.s[p.at]
		if c|0x20 >= 'a' && c|0x20 <= 'z' || c == '_' || p.at > start && c >= '0' && c <= '9' {
			p.at++
			continue
		}
		break
	}
	return p.s[start:p.at]
}

func (p *arith) sum(depth int) float64 {
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

func (p *arith) product(depth int) float64 {
	v := p.power(depth)
	for op := p.next("*/"); op != 0; op = p.next("*/") {
		w := p.power(depth)
		if op == '*' {
			v *= w
			continue
		}
		if w == 0 {
			p.bad = true
		}
		v /= w
	}
	return v
}

func (p *arith) power(depth int) float64 {
	v := p.value(depth)
	for p.next("^") != 0 {
		v = math.Pow(v, p.value(depth))
	}
	return v
}

func (p *arith) value(depth int) float64 {
	if depth > 100 || p.bad || p.unknown {
		p.bad = p.bad || !p.unknown
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
	if name := p.name(); name != "" {
		return p.named(name, depth)
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

// named is a function or a variable.
func (p *arith) named(name string, depth int) float64 {
	if p.next("(") == 0 {
		v, ok := p.vars[name]
		p.unknown = p.unknown || !ok
		return v
	}
	var args []float64
	if p.next(")") == 0 {
		for {
			args = append(args, p.sum(depth+1))
			if op := p.next(",)"); op == ')' {
				break
			} else if op == 0 || p.bad || p.unknown || len(args) > 1000 {
				p.bad = p.bad || !p.unknown
				return 0
			}
		}
	}
	f, ok := exprFunctions[name]
	if !ok {
		p.unknown = true
		return 0
	}
	if len(args) < f.least || f.most > 0 && len(args) > f.most {
		p.bad = true
		return 0
	}
	return f.run(args)
}

// exprFunction is a function with the numbers of arguments it takes; most 0 = any number.
type exprFunction struct {
	least, most int
	run         func(a []float64) float64
}

func one(f func(float64) float64) exprFunction {
	return exprFunction{1, 1, func(a []float64) float64 { return f(a[0]) }}
}

func two(f func(a, b float64) float64) exprFunction {
	return exprFunction{2, 2, func(a []float64) float64 { return f(a[0], a[1]) }}
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

var exprFunctions = map[string]exprFunction{
	"abs": one(math.Abs), "ipart": one(math.Trunc), "fpart": one(func(a float64) float64 { return a - math.Trunc(a) }),
	"sqrt": one(math.Sqrt), "sin": one(math.Sin), "cos": one(math.Cos), "tan": one(math.Tan), "asin": one(math.Asin),
	"acos": one(math.Acos), "atan": one(math.Atan), "log": one(math.Log10), "ln": one(math.Log), "exp": one(math.Exp),
	"ceil": one(math.Ceil), "floor": one(math.Floor), "pow10": one(func(a float64) float64 { return math.Pow(10, a) }),
	"not": one(func(a float64) float64 { return truth(a == 0) }),
	"mod": two(math.Mod), "pow": two(math.Pow), "atan2": two(math.Atan2),
	"logn":  two(func(a, b float64) float64 { return math.Log(a) / math.Log(b) }),
	"equal": two(func(a, b float64) float64 { return truth(a == b) }),
	"above": two(func(a, b float64) float64 { return truth(a > b) }),
	"below": two(func(a, b float64) float64 { return truth(a < b) }),
	"land":  two(func(a, b float64) float64 { return truth(a != 0 && b != 0) }),
	"lor":   two(func(a, b float64) float64 { return truth(a != 0 || b != 0) }),
	"min": {1, 0, func(a []float64) float64 {
		v := a[0]
		for _, x := range a {
			v = min(v, x)
		}
		return v
	}},
	"max": {1, 0, func(a []float64) float64 {
		v := a[0]
		for _, x := range a {
			v = max(v, x)
		}
		return v
	}},
	"avg": {1, 0, func(a []float64) float64 {
		v := 0.0
		for _, x := range a {
			v += x
		}
		return v / float64(len(a))
	}},
	"if": {3, 3, func(a []float64) float64 {
		if a[0] != 0 {
			return a[1]
		}
		return a[2]
	}},
	"clamp": {3, 3, func(a []float64) float64 { return max(a[1], min(a[2], a[0])) }},
}
