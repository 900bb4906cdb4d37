package fssim

import (
	"strconv"
	"strings"

	"github.com/signalbox/signalbox/dialplan"
	"github.com/signalbox/signalbox/esl/wire"
)

// eventResolver expands over the headers of an event, as expand and eval do: a channel's variable is
// ${variable_NAME} there, and its caller ${Caller-Caller-ID-Number}. What is no header is a global variable. A
// function runs without a channel.
type eventResolver struct {
	s      *Switch
	fields []wire.Field
}

func (r eventResolver) Variable(name string) (string, bool) {
	for _, f := range r.fields {
		if strings.EqualFold(f.Name, name) {
			return f.Value, true
		}
	}
	return r.s.global(name)
}

func (r eventResolver) Function(name, args string) (string, error) {
	return r.s.expansion(nil, name, args), nil
}

// expandEvent takes "uuid:UUID " off an argument and returns the rest with the headers to expand it over. A channel
// that does not exist adds none.
func (s *Switch) expandEvent(arg, event string) (string, eventResolver) {
	r := eventResolver{s: s, fields: s.stamp(event, "")}
	if len(arg) < 5 || !strings.EqualFold(arg[:5], "uuid:") {
		return arg, r
	}
	uuid, rest, _ := strings.Cut(arg[5:], " ")
	if c := s.find(uuid); c != nil {
		r.fields = append(r.fields, c.data(true)...)
	}
	return rest, r
}

// apiExpand is "[uuid:UUID ]command arguments": the arguments are expanded and the command runs with them. The name of
// the command is not expanded.
func apiExpand(s *Switch, c *channel, arg string) string {
	arg, r := s.expandEvent(arg, "API")
	if arg == "" {
		return "-ERR No input\n"
	}
	name, args, _ := strings.Cut(arg, " ")
	if args != "" {
		args, _ = dialplan.Expand(args, r)
	}
	if lookupAPI(strings.ToLower(name)) == nil {
		s.unknown("api " + name)
		return "INVALID COMMAND!\n-ERR Cannot execute command\n"
	}
	return s.api(c, name, args)
}

// apiEval is "[uuid:UUID ]text": the text, expanded.
func apiEval(s *Switch, _ *channel, arg string) string {
	arg, r := s.expandEvent(arg, "CHANNEL_DATA")
	out, _ := dialplan.Expand(arg, r)
	return out
}

// apiBgapi runs a command in the background; nobody hears of its result but by BACKGROUND_JOB.
func apiBgapi(s *Switch, _ *channel, arg string) string {
	id := newUUID()
	name, args, _ := strings.Cut(arg, " ")
	f := []wire.Field{{Name: "Job-UUID", Value: id}, {Name: "Job-Command", Value: name}}
	if args != "" {
		f = append(f, wire.Field{Name: "Job-Command-Arg", Value: args})
	}
	s.spawn(func() { s.publish("BACKGROUND_JOB", "", f, []byte(s.api(nil, name, args))) })
	return "+OK Job-UUID: " + id + "\n"
}

// apiCond is "<left> <op> <right> ? <yes>[ : <no>]", the blanks around the operator being needed. An empty left side,
// as a variable leaves it that is not set, is an error to it: quote it.
func apiCond(_ *Switch, _ *channel, arg string) string {
	const failed = "-ERR"
	left, rest, ok := condOperand(strings.TrimLeft(arg, " "))
	if !ok {
		return failed
	}
	op := ""
	for _, o := range []string{"==", "!=", ">=", "<=", ">", "<"} {
		if strings.HasPrefix(rest, o) {
			op = o
			break
		}
	}
	if op == "" {
		return failed
	}
	right, rest, ok := condOperand(strings.TrimLeft(rest[len(op):], " "))
	if !ok || !strings.HasPrefix(rest, "?") {
		return failed
	}
	branches := separateN(":"+rest[1:], ':', 3)
	switch {
	case len(branches) < 2:
		return failed
	case holds(left, op, right):
		return branches[1]
	case len(branches) == 2:
		return ""
	}
	return branches[2]
}

// operand is one side of a cond.
type operand struct {
	text   string
	quoted bool
}

// condOperand takes one operand off: up to the next blank, or in single quotes with a blank behind.
func condOperand(s string) (operand, string, bool) {
	if !strings.HasPrefix(s, "'") {
		word, rest, ok := strings.Cut(s, " ")
		return operand{text: word}, strings.TrimLeft(rest, " "), ok
	}
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == '\\' && i+1 < len(s) && (s[i+1] == '\\' || s[i+1] == '\''):
			i++
		case s[i] == '\'':
			if i+1 >= len(s) || s[i+1] != ' ' {
				return operand{}, "", false
			}
			return operand{s[1:i], true}, strings.TrimLeft(s[i+1:], " "), true
		}
	}
	return operand{}, "", false
}

// number is the operand's worth in a comparison: its value, or the length of what is no number.
func (o operand) number() (float64, bool) {
	if !o.quoted && isDecimal(o.text) {
		v, err := strconv.ParseFloat(o.text, 64)
		return v, err == nil
	}
	return float64(len(o.text)), false
}

// isDecimal is FreeSWITCH's switch_is_number: digits and dots, a sign in front.
func isDecimal(s string) bool {
	s = strings.TrimLeft(s, "+-")
	return s != "" && strings.Trim(s, "0123456789.") == ""
}

// holds compares: two texts by their letters for == and !=, anything else by number.
func holds(l operand, op string, r operand) bool {
	a, aNum := l.number()
	b, bNum := r.number()
	texts := !aNum && !bNum
	switch op {
	case "==":
		return texts && l.text == r.text || !texts && a == b
	case "!=":
		return texts && l.text != r.text || !texts && a != b
	case ">":
		return a > b
	case ">=":
		return a >= b
	case "<":
		return a < b
	}
	return a <= b
}
