package fssim

import (
	"strconv"
	"strings"
)

// evalExpr is the expr API: sums, products, comparisons and brackets over numbers. What it cannot read gives "-ERR",
// as FreeSWITCH answers a bad expression.
func evalExpr(s string) string {
	p := &exprParser{s: strings.ReplaceAll(s, " ", "")}
	v, ok := p.comparison(0)
	if !ok || p.i != len(p.s) {
		return "ERR"
	}
	return strconv.FormatFloat(v, 'f', -1, 64)
}

type exprParser struct {
	s string
	i int
}

func (p *exprParser) eat(op string) bool {
	if strings.HasPrefix(p.s[p.i:], op) {
		p.i += len(op)
		return true
	}
	return false
}

func (p *exprParser) comparison(depth int) (float64, bool) {
	l, ok := p.sum(depth)
	if !ok {
		return 0, false
	}
	for _, op := range []string{"==", "!=", ">=", "<=", ">", "<"} {
		if !p.eat(op) {
			continue
		}
		r, ok := p.sum(depth)
		yes := map[string]bool{"==": l == r, "!=": l != r, ">=": l >= r, "<=": l <= r, ">": l > r, "<": l < r}[op]
		if yes {
			return 1, ok
		}
		return 0, ok
	}
	return l, true
}

func (p *exprParser) sum(depth int) (float64, bool) {
	v, ok := p.product(depth)
	for ok {
		var r float64
		switch {
		case p.eat("+"):
			r, ok = p.product(depth)
			v += r
		case p.eat("-"):
			r, ok = p.product(depth)
			v -= r
		default:
			return v, true
		}
	}
	return 0, false
}

func (p *exprParser) product(depth int) (float64, bool) {
	v, ok := p.factor(depth)
	for ok {
		var r float64
		switch {
		case p.eat("*"):
			r, ok = p.factor(depth)
			v *= r
		case p.eat("/"):
			r, ok = p.factor(depth)
			if r == 0 {
				return 0, false
			}
			v /= r
		case p.eat("%"):
			r, ok = p.factor(depth)
			if int64(r) == 0 {
				return 0, false
			}
			v = float64(int64(v) % int64(r))
		default:
			return v, true
		}
	}
	return 0, false
}

func (p *exprParser) factor(depth int) (float64, bool) {
	if depth > 32 {
		return 0, false
	}
	if p.eat("-") {
		v, ok := p.factor(depth + 1)
		return -v, ok
	}
	if p.eat("(") {
		v, ok := p.comparison(depth + 1)
		return v, ok && p.eat(")")
	}
	start := p.i
	for p.i < len(p.s) && (p.s[p.i] >= '0' && p.s[p.i] <= '9' || p.s[p.i] == '.') {
		p.i++
	}
	v, err := strconv.ParseFloat(p.s[start:p.i], 64)
	return v, err == nil
}
