package encode

import (
	"fmt"
	"strings"
)

// Leg is one leg of a dial string: where it goes and the variables it is created with.
type Leg struct {
	Target Target
	Vars   []Var
}

// MaxLegs is how many legs ring at once at most; FreeSWITCH itself reads 128.
const MaxLegs = 64

const (
	// legRounds are the delimiters of the rounds of un-quoting around a leg's bracket, outermost first: FreeSWITCH
	// parts alternatives at "|", then legs at ",".
	legRounds = "|,"
	// globalRounds are those around the bracket of the whole dial string: none, it is taken off first.
	globalRounds = ""
)

// DialString returns the argument of bridge (or the target of originate) that rings all legs at once:
//
//	{^^#a=b#c=d}[^^#e=f]sofia/internal/1000%example.net,[^^#sip_route_uri=sip:...]sofia/external/sip:...
//
// vars hold for every leg, a leg's own for it alone. Every name and value arrives as given; a value that FreeSWITCH
// could not read back (a bracket without its partner, of the kind the variable stands in; and what Arg refuses) is an
// error that wraps ErrUnsafe, a target outside its grammar one that wraps ErrInvalid.
//
// A command that is sent to a leg while an application runs on it is executed inside that application, and FreeSWITCH's
// stack is small: a second bridge belongs behind the completion of the first.
func DialString(vars []Var, legs []Leg) (string, error) {
	if len(legs) == 0 || len(legs) > MaxLegs {
		return "", fmt.Errorf("dial string: %d legs, has to be 1 to %d: %w", len(legs), MaxLegs, ErrInvalid)
	}
	global, err := bracket(vars, '{', '}', globalRounds)
	if err != nil {
		return "", fmt.Errorf("dial string: %w", err)
	}
	parts := make([]string, len(legs))
	for i, leg := range legs {
		if parts[i], err = leg.encode(); err != nil {
			return "", fmt.Errorf("dial string: leg %d: %w", i+1, err)
		}
	}
	s := global + strings.Join(parts, ",")
	if strings.Contains(s, enterprise) || strings.Contains(strings.ToLower(s), nestedVars+"=true") {
		return "", fmt.Errorf("dial string %s: %w", show(s), ErrUnsafe)
	}
	return Arg(s)
}

func (l Leg) encode() (string, error) {
	if l.Target == nil {
		return "", fmt.Errorf("has no target: %w", ErrInvalid)
	}
	endpoint, own, err := l.Target.endpoint()
	if err != nil {
		return "", err
	}
	vars, err := bracket(append(own, l.Vars...), '[', ']', legRounds)
	if err != nil {
		return "", err
	}
	return vars + endpoint, nil
}
