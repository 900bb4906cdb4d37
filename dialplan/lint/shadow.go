package lint

import "fmt"

// shadows reports extensions that no call comes to, because an earlier one always ends the hunt before.
func (l *linter) shadows(c *contextView) {
	var all *extension      // ends the hunt for every call
	var before []*extension // end it for the calls of one pattern
	for _, x := range c.extensions {
		if all != nil {
			x.dead = true
			l.found("extension-unreachable", x.el.Pos, x, fmt.Sprintf("no call comes here: extension %q (%s) before it holds for every call and ends the hunt", all.name, l.place(all.el.Pos)),
				"move it in front, or write continue=\"true\" on the other")
			continue
		}
		if by := l.shadowedBy(x, before); by != nil {
			x.dead = true
			l.found("extension-unreachable", x.el.Pos, x, fmt.Sprintf("no call comes here: extension %q (%s) before it takes every %s that this one would, with /%s/, and ends the hunt", by.name, l.place(by.el.Pos), by.conditions[0].field, by.conditions[0].expression),
				"move it in front, or make the earlier pattern narrower")
			continue
		}
		if x.goesOn || len(x.conditions) == 0 {
			continue
		}
		if l.always(x) {
			all = x
		} else if len(x.conditions) == 1 && x.conditions[0].plain() && x.conditions[0].callerField() != "" && l.pattern(x.conditions[0].expression).language != nil {
			before = append(before, x)
		}
	}
}

// always reports whether every call ends its hunt at this extension.
func (l *linter) always(x *extension) bool {
	for _, cond := range x.conditions {
		switch {
		case len(cond.nested) > 0 || cond.rule != "" || cond.timed || cond.breakOn != "on-false":
			return false
		case cond.absolute():
		case l.pattern(cond.expression).language == nil || !holds(l.pattern(cond.expression).language, everything()):
			return false
		}
	}
	return true
}

// shadowedBy finds an earlier extension that takes all that x needs.
func (l *linter) shadowedBy(x *extension, before []*extension) *extension {
	for _, cond := range x.conditions {
		if len(cond.anti) > 0 || !cond.hasField || cond.rule != "" || cond.breakOn != "on-false" || cond.timed {
			return nil // x may contribute something although its pattern does not match
		}
		inner := l.pattern(cond.expression)
		for _, by := range before {
			outer := by.conditions[0]
			if inner.language == nil || cond.callerField() == "" || outer.callerField() != cond.callerField() {
				continue
			}
			p := l.pattern(outer.expression)
			if sampled, err := p.compiled.Match(inner.sample); err == nil && sampled && holds(p.language, inner.language) { // the sample spares most of the work
				return by
			}
		}
		if len(cond.actions) > 0 {
			return nil
		}
	}
	return nil
}
