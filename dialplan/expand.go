package dialplan

import (
	"errors"
	"fmt"
	"strings"
)

// ErrUnknownFunction is wrapped by a Resolver's Function for an API function that it does not carry out.
var ErrUnknownFunction = errors.New("function is not evaluated here")

// Resolver answers what stands between ${ and }.
type Resolver interface {
	// Variable returns a channel variable, a field of the caller's profile or a global variable, in this order.
	Variable(name string) (string, bool)
	// Function carries out an API function, as in ${func(args)} or ${func args}.
	Function(name, args string) (string, error)
}

// indexer is what a Resolver may offer that knows lists from plain values.
type indexer interface {
	element(name string, n int) (string, bool)
}

const (
	maxExpandDepth  = 100
	maxExpandSteps  = 10_000
	maxExpandLength = 1 << 20
)

// Expand expands an application's argument, or a condition's field or expression, as FreeSWITCH does:
// ${name}, ${name:offset:length}, ${name[index]}, ${func(args)} and ${func args}, each of them nested, and the values
// of variables once more. \$ gives a plain dollar sign, \' disappears, \\ gives one backslash. A variable that is not set gives
// nothing.
//
// The result is usable even when the error is not nil: what could not be evaluated stands in it as it was written,
// and the error, which wraps the Resolver's, says what that was. Expansion without end gives ErrLimit.
func Expand(s string, r Resolver) (string, error) {
	e := expander{r: r}
	out := e.expand(s, 0)
	return out, errors.Join(e.errs...)
}

type expander struct {
	r     Resolver
	steps int
	total int
	errs  []error
}

func (e *expander) fail(err error) {
	if len(e.errs) < 20 {
		e.errs = append(e.errs, err)
	}
}

// exhausted counts one step of work and reports whether the bounds are reached.
func (e *expander) exhausted(n int) bool {
	e.steps++
	e.total += n
	if e.steps <= maxExpandSteps && e.total <= maxExpandLength {
		return false
	}
	if len(e.errs) == 0 || !errors.Is(e.errs[len(e.errs)-1], ErrLimit) {
		e.fail(fmt.Errorf("expansion without end: %w", ErrLimit))
	}
	return true
}

// namesVariable reports whether FreeSWITCH looks into s at all: it holds ${, possibly with backslashes between, or
// an escape.
func namesVariable(s string) bool {
	dollar := false
	for i := range len(s) {
		switch {
		case s[i] == '$':
			dollar = true
		case dollar && s[i] == '{':
			return true
		case s[i] != '\\':
			dollar = false
		}
	}
	for i := strings.IndexByte(s, '\\'); i >= 0 && i+1 < len(s); {
		if strings.IndexByte(`\nst'`, s[i+1]) >= 0 {
			return true
		}
		next := strings.IndexByte(s[i+1:], '\\')
		if next < 0 {
			break
		}
		i += 1 + next
	}
	return false
}

func (e *expander) expand(s string, depth int) string {
	if depth > maxExpandDepth || !namesVariable(s) || e.exhausted(len(s)) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		plain := false
		if s[i] == '\\' && i+1 < len(s) {
			switch s[i+1] {
			case '$':
				plain = true
				i++
				if i+1 < len(s) && s[i+1] == '$' {
					i++
				}
			case '\'':
				i++
				continue
			case '\\':
				b.WriteByte('\\')
				i++
				continue
			}
		}
		if s[i] != '$' || plain {
			b.WriteByte(s[i])
			continue
		}
		start := i
		if i+1 < len(s) && s[i+1] == '$' {
			i++
		}
		if i+1 >= len(s) || s[i+1] != '{' {
			b.WriteByte(s[i])
			continue
		}
		inner, end := braces(s, i+2)
		b.WriteString(e.one(inner, s[start:min(end, len(s))], depth))
		// FreeSWITCH copies the character behind the brace without looking at it, unless it is a dollar sign.
		if end < len(s) && s[end] != '$' {
			b.WriteByte(s[end])
			end++
		}
		i = end - 1
		if b.Len() > maxExpandLength && e.exhausted(maxExpandLength) {
			break
		}
	}
	return b.String()
}

// braces returns what stands in s from i up to the brace that closes it, and the offset behind that brace. Braces in
// between are counted, except one that comes first; without a closing one everything is inside.
func braces(s string, i int) (string, int) {
	open := 1
	for j := i; j < len(s); j++ {
		switch {
		case s[j] == '}' && open == 1:
			return s[i:j], j + 1
		case s[j] == '{' && j != i:
			open++
		case s[j] == '}':
			open--
		}
	}
	return s[i:], len(s)
}

// one expands what stood between the braces; source is how it was written.
func (e *expander) one(inner, source string, depth int) string {
	if at := strings.IndexAny(inner, " ("); at >= 0 {
		name := strings.TrimRight(inner[:at], " ")
		args := inner[at+1:]
		open := 0
		if inner[at] == '(' {
			open = 1
		}
		for j := range len(args) {
			if args[j] == '(' {
				open++
			} else if args[j] == ')' && open > 1 {
				open--
			} else if args[j] == ')' && open == 1 {
				args = args[:j]
				break
			}
		}
		if e.exhausted(len(args)) {
			return source
		}
		name, args = e.expand(name, depth+1), e.expand(args, depth+1)
		out, err := e.r.Function(name, args)
		if err != nil {
			e.fail(fmt.Errorf("${%s(%s)}: %w", clip(name), clip(args), err))
			return source
		}
		return out
	}
	if e.exhausted(len(inner)) {
		return source
	}
	name, offset, length := e.expand(inner, depth+1), 0, 0
	if at := strings.IndexByte(name, ':'); at >= 0 {
		rest := name[at+1:]
		name, offset = name[:at], atoi(rest)
		if _, l, ok := strings.Cut(rest, ":"); ok {
			length = atoi(l)
		}
	}
	nth := -1
	if at := strings.IndexByte(name, '['); at >= 0 && strings.IndexByte(name[at:], ']') >= 0 {
		nth = atoi(name[at+1:])
		name = name[:at]
	}
	value, ok := "", false
	if indexed, has := e.r.(indexer); has && nth >= 0 {
		value, ok = indexed.element(name, nth)
	} else if value, ok = e.r.Variable(name); ok && nth >= 0 {
		value, ok = index(value, nth)
	}
	if !ok {
		return ""
	}
	return cutValue(e.expand(value, depth+1), offset, length)
}

// cutValue takes length bytes from offset on; a negative offset counts from the end, length 0 means all.
func cutValue(s string, offset, length int) string {
	switch {
	case offset > len(s):
		return ""
	case offset >= 0:
		s = s[offset:]
	case -offset <= len(s):
		s = s[len(s)+offset:]
	}
	if length > 0 && length < len(s) {
		s = s[:length]
	}
	return s
}
