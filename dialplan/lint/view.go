package lint

import (
	"strings"

	"github.com/signalbox/signalbox/dialplan"
)

// contextView is one context as the rules look at it.
type contextView struct {
	name       string
	el         *dialplan.Element
	extensions []*extension
}

// extension is one extension with its conditions.
type extension struct {
	context, name string
	el            *dialplan.Element
	index         int
	goesOn        bool // continue="true"
	dead          bool // no call comes to it
	conditions    []*condition
}

// condition is one condition, or the inside of one.
type condition struct {
	el         *dialplan.Element
	field      string
	hasField   bool
	expression string
	rule       string // regex="any|all|xor"
	regexes    []*condition
	breakOn    string // on-false, on-true, always, never
	timed      bool
	nested     []*condition
	actions    []*action
	anti       []*action
}

// action is one action or anti-action.
type action struct {
	el     *dialplan.Element
	app    string // lower case
	data   string
	pos    dialplan.Pos // of the data
	inline bool
	anti   bool
}

var timeAttributes = []string{"year", "yday", "mon", "mday", "week", "mweek", "wday", "hour", "minute", "minute-of-day", "time-of-day", "date-time"}

// view makes the views of all contexts. Of two contexts of one name FreeSWITCH looks into the first only; so do the rules.
func (l *linter) view() {
	seen := map[string]bool{}
	l.reads, l.sets = map[string]bool{}, map[string]bool{}
	for _, el := range l.tree.ContextElements() {
		name := el.Soft("name")
		if seen[strings.ToLower(name)] {
			continue
		}
		seen[strings.ToLower(name)] = true
		c := &contextView{name: name, el: el}
		for i, x := range el.All("extension") {
			e := &extension{context: name, name: x.Soft("name"), el: x, index: i, goesOn: isTrue(x.Soft("continue"))}
			e.conditions = conditionsOf(x)
			c.extensions = append(c.extensions, e)
			e.each(l.note)
		}
		l.contexts = append(l.contexts, c)
	}
}

func conditionsOf(el *dialplan.Element) []*condition {
	var out []*condition
	for _, c := range el.All("condition") {
		out = append(out, conditionOf(c))
	}
	return out
}

func conditionOf(el *dialplan.Element) *condition {
	c := &condition{el: el, expression: el.Soft("expression"), rule: el.Soft("regex"), breakOn: strings.ToLower(el.Soft("break")), nested: conditionsOf(el)}
	c.field, c.hasField = el.Attr("field")
	if x := el.Child("expression"); x != nil {
		c.expression = x.Text()
	}
	switch c.breakOn {
	case "on-true", "always", "never":
	default:
		c.breakOn = "on-false"
	}
	for _, name := range timeAttributes {
		if _, ok := el.Attr(name); ok {
			c.timed = true
		}
	}
	if c.rule != "" {
		for _, x := range el.All("regex") {
			c.regexes = append(c.regexes, conditionOf(x))
		}
	}
	c.actions, c.anti = actionsOf(el, "action"), actionsOf(el, "anti-action")
	return c
}

func actionsOf(el *dialplan.Element, name string) []*action {
	var out []*action
	for _, a := range el.All(name) {
		one := &action{el: a, app: strings.ToLower(a.Soft("application")), data: a.Soft("data"), pos: a.PosOf("data"),
			inline: isTrue(a.Soft("inline")), anti: name == "anti-action"}
		if text := a.Text(); text != "" {
			one.data = text
		}
		out = append(out, one)
	}
	return out
}

// all are the actions and anti-actions of a condition itself.
func (c *condition) all() []*action { return append(append([]*action(nil), c.actions...), c.anti...) }

// each visits every condition, the nested ones too.
func (x *extension) each(visit func(*condition)) { eachOf(x.conditions, visit) }

func eachOf(list []*condition, visit func(*condition)) {
	for _, c := range list {
		visit(c)
		eachOf(c.nested, visit)
	}
}

// plain reports whether a condition is one field and one pattern, with the ordinary break and nothing inside.
func (c *condition) plain() bool {
	return c.hasField && c.rule == "" && !c.timed && len(c.nested) == 0 && c.breakOn == "on-false"
}

// absolute reports whether a condition holds for every call.
func (c *condition) absolute() bool {
	return !c.hasField && c.rule == "" && !c.timed
}

// callerField is a field that does not change while a hunt goes on, lower case; "" for any other.
func (c *condition) callerField() string {
	if strings.Contains(c.field, "$") {
		return ""
	}
	return strings.ToLower(c.field)
}

// note remembers which variables a condition and its actions read and set.
func (l *linter) note(c *condition) {
	for _, text := range append([]string{c.field, c.expression}, regexTexts(c)...) {
		l.noteReads(text)
	}
	for _, a := range c.all() {
		l.noteReads(a.data)
		for _, name := range assigned(a) {
			l.sets[strings.ToLower(name)] = true
		}
	}
}

func regexTexts(c *condition) (out []string) {
	for _, r := range c.regexes {
		out = append(out, r.field, r.expression)
	}
	return out
}

func (l *linter) noteReads(text string) {
	for _, name := range variables(text) {
		l.reads[strings.ToLower(name)] = true
	}
}

// variables are the names in ${name}, ${name:1:2} and ${name[0]}, also inside function calls.
func variables(text string) []string {
	var out []string
	for i := 0; i+1 < len(text); i++ {
		if text[i] != '$' || text[i+1] != '{' {
			continue
		}
		rest := text[i+2:]
		end := strings.IndexAny(rest, "}:[( $")
		if end > 0 && rest[end] != '(' && rest[end] != ' ' && rest[end] != '$' {
			out = append(out, rest[:end])
		}
	}
	return out
}

// assigned are the variables that an action sets.
func assigned(a *action) []string {
	name := func(s string) string {
		s, _, ok := strings.Cut(s, "=")
		if !ok {
			s, _, _ = strings.Cut(s, ",")
		}
		return strings.TrimPrefix(strings.TrimSpace(s), "nolocal:")
	}
	switch a.app {
	case "set", "export", "bridge_export", "push", "unshift":
		if n := name(a.data); n != "" {
			return []string{n}
		}
	case "multiset":
		data, delim := a.data, " "
		if strings.HasPrefix(data, "^^") && len(data) > 3 {
			delim, data = data[2:3], data[3:]
		}
		var out []string
		for part := range strings.SplitSeq(data, delim) {
			if strings.Contains(part, "=") {
				out = append(out, name(part))
			}
		}
		return out
	}
	return nil
}

// value is what a set assigns; ok is false for any other action or name.
func (a *action) value(variable string) (string, bool) {
	if a.app != "set" && a.app != "export" {
		return "", false
	}
	name, value, ok := strings.Cut(a.data, "=")
	if !ok || !strings.EqualFold(strings.TrimPrefix(strings.TrimSpace(name), "nolocal:"), variable) {
		return "", false
	}
	return value, true
}

// isTrue is FreeSWITCH's switch_true.
func isTrue(s string) bool {
	switch strings.ToLower(s) {
	case "yes", "on", "true", "t", "enabled", "active", "allow":
		return true
	}
	return s != "" && strings.Trim(s, "0123456789.-") == "" && strings.Trim(s, "0.-") != ""
}

// literal reports whether a text has nothing that is only known in a call.
func literal(s string) bool { return !strings.Contains(s, "$") }
