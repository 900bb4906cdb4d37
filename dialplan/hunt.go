package dialplan

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// Action is one application that the dialplan queued, or executed inline while it hunted.
type Action struct {
	Application string
	Data        string // captures are in their place, variables are not yet expanded
	Inline      bool
	Pos
}

// Result is what one hunt found.
type Result struct {
	// Matched says that an extension was found. FreeSWITCH ends a call that matched none with NO_ROUTE_DESTINATION.
	Matched bool
	// Extension is the first extension that contributed an action; Extensions are all that did, in order.
	Extension  string
	Extensions []string
	// Actions are the queued applications in order. Inline ones are not among them, they have run.
	Actions []Action
	// Inline are the actions that ran during the hunt, in order; their data is expanded, unless Call.Inline ran them.
	Inline []Action
	// Ended is the hangup cause with which an inline action ended the call, "" when none did. The hunt goes on all the
	// same, but nothing of what it queues is executed.
	Ended string
	// Trace holds FreeSWITCH's own log lines, without "Dialplan: CHANNEL ".
	Trace []string
	// Places says for each line of Trace where the element stands that it speaks of.
	Places []Pos
	// Notices say what FreeSWITCH would log as an error and what could not be evaluated here.
	Notices []Notice
}

const (
	maxRecursion = 100      // FreeSWITCH's own
	maxActions   = 10_000   // queued by one hunt
	maxTrace     = 100_000  // lines of one hunt
	maxTraceSize = 16 << 20 // bytes of one hunt's trace, of its actions' data, and of a walk's
	maxLoop      = 1_000    // repetitions of one action
	maxSlow      = 20       // patterns of one call that reach their time limit
)

// Hunt looks for the call's destination in its context as mod_dialplan_xml does. It returns ErrNoContext when there
// is no such context, ErrLimit when the dialplan queues without end, and the context's error when it is done.
func (t *Tree) Hunt(ctx context.Context, c *Call) (*Result, error) {
	if c.Vars == nil {
		c.Vars = NewVars(nil)
	}
	if c.Context == "" {
		c.Context = "default"
	}
	h := &hunter{tree: t, call: c, resolve: t.resolver(c), result: &Result{}}
	if err := h.run(ctx); err != nil {
		return h.result, fmt.Errorf("hunting %s in context %s: %w", clip(c.Destination), clip(c.Context), err)
	}
	return h.result, nil
}

type hunter struct {
	tree    *Tree
	call    *Call
	resolve *resolver
	result  *Result
	size    int   // bytes of trace and of inline data so far
	err     error // a bound was reached; ends the hunt
}

func (h *hunter) run(ctx context.Context) error {
	xcontext := h.tree.context(h.call.Context)
	if xcontext == nil {
		return ErrNoContext
	}
	extensions := xcontext.All("extension")
	if v, ok := h.call.Vars.Get("auto_hunt"); ok && isTrue(v) {
		for i, x := range extensions {
			if name, ok := x.Attr("name"); ok && strings.EqualFold(name, h.call.Destination) {
				extensions = extensions[i:]
				break
			}
		}
	}
	n := min(2*len(extensions)+50, maxTrace)
	h.result.Trace, h.result.Places = make([]string, 0, n), make([]Pos, 0, n)
	for _, x := range extensions {
		if err := ctx.Err(); err != nil {
			return err
		}
		cont, hasCont := x.Attr("continue")
		name, ok := x.Attr("name")
		if !ok {
			name = "UNKNOWN"
		}
		shown := cont
		if !hasCont {
			shown = "false"
		}
		h.line(x.Pos, "parsing ["+h.call.Context+"->"+name+"] continue="+shown)
		proceed := h.extension(x, name, 0)
		if h.err != nil {
			return h.err
		}
		if proceed && !isTrue(cont) {
			break
		}
	}
	return nil
}

func (h *hunter) log(pos Pos, indent, format string, args ...any) {
	h.line(pos, indent+fmt.Sprintf(format, args...))
}

func (h *hunter) line(pos Pos, line string) {
	if len(h.result.Trace) >= maxTrace {
		h.err = fmt.Errorf("more than %d lines of trace: %w", maxTrace, ErrLimit)
		return
	}
	if h.size += len(line); h.size > maxTraceSize {
		h.err = fmt.Errorf("more than %d bytes of trace: %w", maxTraceSize, ErrLimit)
		return
	}
	h.result.Trace = append(h.result.Trace, line)
	h.result.Places = append(h.result.Places, pos)
}

func (h *hunter) notice(pos Pos, kind NoticeKind, format string, args ...any) {
	if len(h.result.Notices) < 1000 {
		h.result.Notices = append(h.result.Notices, Notice{pos, kind, fmt.Sprintf(format, args...)})
	}
}

// expand expands a condition's field or expression.
func (h *hunter) expand(s string, pos Pos) string {
	out, err := Expand(s, h.resolve)
	if err != nil {
		h.notice(pos, NoticeUnknown, "%v", err)
	}
	return out
}

// breakMode says when a condition ends its extension.
type breakMode int

const (
	breakOnFalse breakMode = iota
	breakOnTrue
	breakAlways
	breakNever
)

// breakOf reads the attribute break and how FreeSWITCH shows it in its log.
func breakOf(cond *Element) (breakMode, string) {
	v := cond.Soft("break")
	switch strings.ToLower(v) {
	case "on-true":
		return breakOnTrue, v
	case "always":
		return breakAlways, v
	case "never":
		return breakNever, v
	case "on-false":
		return breakOnFalse, v
	}
	return breakOnFalse, "on-false"
}

// extension works through the conditions of an extension, or of a condition that has conditions inside. It returns
// whether the hunt may end here.
func (h *hunter) extension(x *Element, outer string, level int) bool {
	name, indent, needNested := outer, "", true
	if level > 0 {
		if level > maxRecursion {
			h.notice(x.Pos, NoticeError, "conditions nested deeper than %d: FreeSWITCH stops there", maxRecursion)
			return false
		}
		name = fmt.Sprintf("%s_recur_%d", outer, level)
		if len(name) > 127 {
			name = name[:127] // FreeSWITCH's buffer
		}
		indent = "|" + strings.Repeat("-", 4*level-1) + " "
		if v, ok := x.Attr("require-nested"); ok {
			needNested = isTrue(v)
		}
		h.log(x.Pos, indent, "Processing recursive conditions level:%d [%s] require-nested=%s", level, name, upper(needNested))
	}
	proceed := 0 // FreeSWITCH keeps it from one condition to the next
	for _, cond := range x.Children {
		if cond.Name != "condition" {
			continue
		}
		s := h.condition(cond, proceed, name, indent)
		proceed = s.proceed
		if h.err != nil {
			return false
		}
		mode, _ := breakOf(cond)
		if s.passed && mode == breakOnTrue || !s.passed && mode == breakOnFalse || mode == breakAlways {
			break
		}
		if proceed > 0 && cond.Child("condition") != nil {
			proceed = 0
			if h.extension(cond, outer, level+1) {
				proceed = 1
			} else if mode != breakNever {
				break
			}
		}
	}
	return proceed > 0 || !needNested
}

func upper(b bool) string {
	if b {
		return "TRUE"
	}
	return "FALSE"
}

// state is what FreeSWITCH holds while it works on one condition. proceed is the count of groups of the match that
// the captures refer to; 0 = none. It outlives the condition, which is why it is no bool: a condition whose regex elements
// are all decided by the time, or that has none, leaves what the one before it left.
type state struct {
	passed     bool
	proceed    int
	hasField   bool
	subject    string
	expression string
	found      match
}

// captures reports whether $1 and the like are put in place.
func (s *state) captures() bool { return s.hasField && strings.Contains(s.expression, "(") }

func (h *hunter) condition(cond *Element, before int, name, indent string) state {
	s := state{proceed: before}
	_, shown := breakOf(cond)
	times := h.time(cond)
	switch times {
	case timePass:
		h.log(cond.Pos, indent, "Date/Time Match (PASS) [%s] break=%s", name, shown)
		s.passed, s.proceed = true, 1
	case timeFail:
		h.log(cond.Pos, indent, "Date/TimeMatch (FAIL) [%s] break=%s", name, shown)
		s.proceed = 0
	}
	if rule, ok := cond.Attr("regex"); ok {
		h.regexes(cond, rule, name, indent, &s)
	} else {
		h.single(cond, times, name, indent, &s)
	}
	if s.passed {
		h.actions(cond, name, indent, &s)
	} else {
		h.antiActions(cond, name, indent, &s)
	}
	return s
}

func (h *hunter) time(e *Element) timeMatch {
	if !hasTime(e) {
		return timeNone
	}
	loc, known := h.zoneOf()
	if !known {
		h.notice(e.Pos, NoticeError, "the call's time zone is not in timezones.conf; the local one is taken here, FreeSWITCH takes any")
	}
	return checkTime(e, h.call.Now, loc)
}

// expressionOf returns the expanded pattern of a condition or regex element.
func (h *hunter) expressionOf(e *Element) (text string, expanded bool) {
	raw := e.Soft("expression")
	if x := e.Child("expression"); x != nil {
		raw = x.Text()
	}
	return h.expand(raw, e.Pos), namesVariable(raw)
}

// subjectOf returns what a field holds.
func (h *hunter) subjectOf(field string, pos Pos) string {
	if strings.Contains(field, "$") {
		return h.expand(field, pos)
	}
	v, _ := h.call.field(field)
	return v
}

// perform matches and reports why a pattern could not be used.
func (h *hunter) perform(subject, expression string, pos Pos) match {
	m, err := h.resolve.perform(subject, expression)
	if err != nil {
		h.notice(pos, NoticePattern, "%v", err)
	}
	if h.resolve.worn() {
		h.err = &Error{Pos: pos, Err: err}
	}
	return m
}

// single evaluates a condition with one field, or with none.
func (h *hunter) single(cond *Element, times timeMatch, name, indent string, s *state) {
	_, shown := breakOf(cond)
	field, ok := cond.Attr("field")
	s.expression, _ = h.expressionOf(cond)
	if !ok {
		if times == timeNone {
			h.log(cond.Pos, indent, "Absolute Condition [%s]", name)
			s.passed, s.proceed = true, 1
		}
		return
	}
	s.hasField = true
	s.subject = h.subjectOf(field, cond.Pos)
	s.found = h.perform(s.subject, s.expression, cond.Pos)
	s.proceed = s.found.count
	verdict := "FAIL"
	if s.proceed > 0 {
		verdict, s.passed = "PASS", true
	}
	h.line(cond.Pos, indent+"Regex ("+verdict+") ["+name+"] "+field+"("+s.subject+") =~ /"+s.expression+"/ break="+shown)
}

// saved is a match of one regex element that FreeSWITCH keeps for the captures.
type saved struct {
	ok                  bool
	proceed             int
	subject, expression string
}

// regexes evaluates <condition regex="any|all|xor">. The order of the steps, and what is kept from which element, is
// FreeSWITCH's: with any, the captures are those of the element that matched; with all and xor, those of the last
// element with groups, taken from offsets that a later element may have overwritten.
func (h *hunter) regexes(cond *Element, rule, name, indent string, s *state) {
	all, xor := strings.EqualFold(rule, "all"), strings.EqualFold(rule, "xor")
	if p, ok := h.call.Vars.(prefixer); ok {
		p.UnsetPrefix("DP_REGEX_MATCH")
	}
	word := "any"
	if all {
		word = "all"
	}
	var keep saved
	pass, fail, total := 0, 0, 0
	expanded := false
	for _, x := range cond.All("regex") {
		times := h.time(x)
		switch times {
		case timePass:
			h.log(x.Pos, indent, "Date/Time Match (PASS) [%s]", name)
		case timeFail:
			h.log(x.Pos, indent, "Date/TimeMatch (FAIL) [%s]", name)
		}
		s.expression, expanded = h.expressionOf(x)
		total++
		field, ok := x.Attr("field")
		s.hasField = ok
		matched := h.oneRegex(x, field, ok, times, word, name, indent, s)
		if matched {
			pass++
			if !all && !xor {
				break
			}
		} else {
			fail++
			if all && (!xor || !ok) {
				break
			}
		}
		if ok && strings.Contains(s.expression, "(") {
			variable := fmt.Sprintf("DP_REGEX_MATCH_%d", total)
			h.call.Vars.Set(variable, "")
			h.capture(variable, s.found, s.proceed, s.subject)
			keep = saved{ok: matched, proceed: s.proceed, subject: s.subject, expression: s.expression}
		}
	}
	if expanded {
		s.expression = ""
	}
	if xor && pass == 1 || !xor && (all && fail == 0 || !all && pass > 0) {
		s.passed = true
	}
	if keep.ok {
		s.proceed, s.subject, s.expression, s.hasField = keep.proceed, keep.subject, keep.expression, true
	}
	s.found.count = s.proceed
}

// oneRegex evaluates one regex element and reports whether it holds.
func (h *hunter) oneRegex(x *Element, field string, hasField bool, times timeMatch, word, name, indent string, s *state) bool {
	if !hasField {
		if times == timeFail {
			return false
		}
		if times == timeNone {
			h.log(x.Pos, indent, "Absolute Condition [%s] match=%s", name, word)
		}
		s.proceed = 1
		return true
	}
	s.subject = h.subjectOf(field, x.Pos)
	m := h.perform(s.subject, s.expression, x.Pos)
	s.proceed = m.count
	verdict := "FAIL"
	if m.count > 0 {
		verdict = "PASS"
		if m.count == 1 && !strings.Contains(s.expression, "(") {
			s.found.offsets[0], s.found.offsets[1] = m.offsets[0], m.offsets[1] // the other offsets stay as they were
		} else {
			s.found = m
		}
	}
	h.log(x.Pos, indent, "Regex (%s) [%s] %s(%s) =~ /%s/ match=%s", verdict, name, field, s.subject, s.expression, word)
	return m.count > 0
}

// capture pushes the groups of a match into a variable.
func (h *hunter) capture(variable string, m match, count int, subject string) {
	m.count = count
	for i := range count {
		if text, ok := m.group(subject, i); ok {
			push(h.call.Vars, variable, text)
		}
	}
}

func (h *hunter) actions(cond *Element, name, indent string, s *state) {
	if s.captures() {
		h.call.Vars.Set("DP_MATCH", "")
		h.capture("DP_MATCH", s.found, s.proceed, s.subject)
	}
	for _, x := range cond.Children {
		if x.Name != "action" {
			continue
		}
		data := dataOf(x)
		if s.captures() {
			m := s.found
			m.count = s.proceed
			data = m.substitute(data, s.subject)
		}
		h.act(x, data, name, indent, "Action")
	}
}

// antiActions queues the anti-actions. Having one ends the hunt like a match does.
func (h *hunter) antiActions(cond *Element, name, indent string, s *state) {
	for _, x := range cond.Children {
		if x.Name != "anti-action" {
			continue
		}
		h.act(x, dataOf(x), name, indent, "ANTI-Action")
		s.proceed = 1
	}
}

func dataOf(x *Element) string {
	if len(x.text) > 0 {
		return x.Text()
	}
	return x.Soft("data")
}

// act queues one action, or executes it when it is inline.
func (h *hunter) act(x *Element, data, name, indent, word string) {
	a := Action{Application: x.Soft("application"), Data: data, Inline: isTrue(x.Soft("inline")), Pos: x.Pos}
	if !h.result.Matched {
		h.result.Matched, h.result.Extension = true, name
	}
	times := 1
	if v, ok := x.Attr("loop"); ok {
		if times = atoi(v); times > maxLoop {
			h.err = errAt(x.Pos, "loop=%q is more than %d: %w", clip(v), maxLoop, ErrLimit)
			return
		}
	}
	for range max(times, 0) {
		suffix := ""
		if a.Inline {
			suffix = " INLINE"
		}
		h.log(x.Pos, indent, "%s %s(%s)%s", word, a.Application, a.Data, suffix)
		if h.err == nil && len(h.result.Actions)+len(h.result.Inline) >= maxActions {
			h.err = errAt(x.Pos, "more than %d actions: %w", maxActions, ErrLimit)
		}
		if h.err != nil {
			return
		}
		if n := len(h.result.Extensions); n == 0 || h.result.Extensions[n-1] != name {
			h.result.Extensions = append(h.result.Extensions, name)
		}
		if !a.Inline && strings.Contains(a.Data, `\'`) {
			h.notice(a.Pos, NoticeError, `FreeSWITCH does not queue %s: its data holds \'`, a.Application)
			continue
		}
		if !a.Inline {
			h.result.Actions = append(h.result.Actions, a)
			continue
		}
		if err := h.inline(a); err != nil {
			h.notice(a.Pos, NoticeUnknown, "inline %s: %v", a.Application, err)
			if errors.Is(err, ErrLimit) {
				h.err = err
			}
		}
	}
}

// inline executes one inline action. Only some applications may be executed while the hunt goes on.
func (h *hunter) inline(a Action) error {
	known, ok := LookupApplication(a.Application)
	if ok && !known.Inline {
		h.notice(a.Pos, NoticeError, "FreeSWITCH does not execute %s inline", a.Application)
		return nil
	}
	if h.call.Inline != nil {
		h.result.Inline = append(h.result.Inline, a)
		return h.call.Inline(a)
	}
	p := paper{resolver: h.resolve, end: func(cause string) { h.result.Ended = cause },
		notice: func(kind NoticeKind, format string, args ...any) { h.notice(a.Pos, kind, format, args...) }}
	data, err := p.prepare(a.Data)
	a.Data = data
	h.result.Inline = append(h.result.Inline, a)
	done := p.apply(a.Application, data)
	h.call.scope = nil
	if h.size += len(data); h.size > maxTraceSize || p.spend(0) {
		return fmt.Errorf("more than %d bytes of variables: %w", maxWritten, ErrLimit)
	}
	if h.resolve.worn() {
		return fmt.Errorf("more than %d patterns that take longer than %v: %w", maxSlow, matchTimeout, ErrLimit)
	}
	if !done {
		h.notice(a.Pos, NoticeUnknown, "inline application %s is not executed here", a.Application)
	}
	return err
}
