package lint

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/signalbox/signalbox/dialplan"
)

// allowed are the children that FreeSWITCH looks for in each element of a dialplan, and the attributes it reads.
var allowed = map[string]struct{ children, attributes []string }{
	"context":     {[]string{"extension"}, []string{"name"}},
	"extension":   {[]string{"condition"}, []string{"name", "continue"}},
	"condition":   {[]string{"action", "anti-action", "condition", "regex", "expression"}, append([]string{"field", "expression", "break", "regex", "require-nested", "tz-offset", "dst"}, timeAttributes...)},
	"regex":       {[]string{"expression"}, append([]string{"field", "expression", "tz-offset", "dst"}, timeAttributes...)},
	"action":      {nil, []string{"application", "data", "inline", "loop"}},
	"anti-action": {nil, []string{"application", "data", "inline", "loop"}},
}

// structure reports contexts and elements that are not where FreeSWITCH looks.
func (l *linter) structure() {
	first := map[string]*dialplan.Element{}
	for _, el := range l.tree.ContextElements() {
		name := strings.ToLower(el.Soft("name"))
		if before := first[name]; before != nil {
			l.found("context-duplicate", el.Pos, nil, fmt.Sprintf("context %q is there already (%s): FreeSWITCH looks into the first one only, nothing in this one is ever hunted", el.Soft("name"), l.place(before.Pos)),
				"put the extensions into the first context, or name this one otherwise")
			continue
		}
		first[name] = el
		l.element(el, nil)
	}
	for _, c := range l.contexts {
		names := map[string]*extension{}
		for _, x := range c.extensions {
			if before := names[x.name]; before != nil && x.name != "" {
				l.found("extension-duplicate", x.el.Pos, x, fmt.Sprintf("another extension of context %s is called %q too (%s): log lines do not tell them apart, and auto_hunt finds the first", c.name, x.name, l.place(before.el.Pos)), "give it a name of its own")
				continue
			}
			names[x.name] = x
		}
	}
}

// element looks at the children and attributes of an element, downwards.
func (l *linter) element(el *dialplan.Element, x *extension) {
	rule, known := allowed[el.Name]
	if !known {
		return
	}
	if el.Name == "extension" {
		x = &extension{name: el.Soft("name")}
	}
	for _, a := range el.Attrs {
		if slices.Contains(rule.attributes, a.Name) || strings.EqualFold(a.Name, "description") || a.Name == "revision" && strings.HasPrefix(el.Soft("name"), "signalbox") {
			continue
		}
		what := fmt.Sprintf("FreeSWITCH does not read the attribute %q of <%s>", a.Name, el.Name)
		if near, ok := nearest(a.Name, rule.attributes); ok {
			l.found("unknown-attribute", a.Pos, x, what, fmt.Sprintf("write %s=%q", near, a.Value))
		} else if el.Name == "condition" || el.Name == "action" || el.Name == "anti-action" {
			l.add(Note, "unknown-attribute", a.Pos, x, what, "take it away, or put a comment around the element to switch it off; FreeSWITCH reads "+strings.Join(rule.attributes, ", "))
		}
	}
	for _, child := range el.Children {
		if !slices.Contains(rule.children, child.Name) {
			l.stray(el, child, x)
			continue
		}
		l.element(child, x)
	}
}

// stray reports an element that FreeSWITCH passes over.
func (l *linter) stray(el, child *dialplan.Element, x *extension) {
	if child.Name == "X-PRE-PROCESS" || child.Name == "X-NO-PRE-PROCESS" {
		return
	}
	what := fmt.Sprintf("<%s> inside <%s>: FreeSWITCH does not look for it there and passes over it", child.Name, el.Name)
	instead := "take it away"
	if near, ok := nearest(child.Name, allowed[el.Name].children); ok {
		instead = "write <" + near + ">"
	} else if el.Name == "extension" && (child.Name == "action" || child.Name == "anti-action") {
		instead = "put it inside a <condition>; one without attributes holds for every call"
	} else if el.Name == "context" && child.Name == "condition" {
		instead = "put it inside an <extension>"
	}
	l.found("stray-element", child.Pos, x, what, instead)
}

// outcome reports how the hunt goes on behind an extension.
func (l *linter) outcome(c *contextView, x *extension, last bool) {
	if len(x.conditions) == 0 {
		l.found("extension-without-condition", x.el.Pos, x, "an extension without a condition never contributes anything", "put its actions inside a <condition>; one without attributes holds for every call")
		return
	}
	if x.goesOn && last && !l.lone() && x.el.Pos.File == c.el.Pos.File { // an included file cannot know that it is the last
		l.found("continue-useless", x.el.PosOf("continue"), x, fmt.Sprintf("continue=\"true\" on the last extension of context %s: nothing stands behind it", c.name), "leave it out")
	}
	// A later condition's anti-actions are only for calls that the earlier ones took.
	if cond := x.conditions[0]; len(cond.anti) > 0 && !x.goesOn && (!last || l.lone()) && !cond.absolute() {
		if ends(cond.anti) == "" {
			l.found("anti-action-ends-hunt", cond.anti[0].el.Pos, x, "a call for which the condition does not hold gets the anti-actions and the hunt ends here: no later extension of the context is looked at",
				"write continue=\"true\" on the extension if later ones are to be hunted")
		}
	}
}

// ends names the application of a list that ends it, "" when none does.
func ends(list []*action) string {
	for _, a := range list {
		if !a.inline && endsList(a) {
			return a.app
		}
	}
	return ""
}

// afterEnd reports actions behind one that ends the list. A later condition with the ordinary break is looked
// at only when the earlier ones held, so its actions stand behind theirs.
func (l *linter) afterEnd(x *extension) {
	end := ""
	for _, cond := range x.conditions {
		for _, list := range [][]*action{cond.actions, cond.anti} {
			stop := end
			for _, a := range list {
				switch {
				case a.inline:
				case stop != "":
					l.found("actions-after-end", a.el.Pos, x, fmt.Sprintf("never runs: %s before it ends the list", stop), fmt.Sprintf("move it in front of %s, or take it away", stop))
				case endsList(a):
					stop = a.app
				}
			}
		}
		if end != "" || cond.breakOn != "on-false" || len(cond.nested) > 0 {
			return
		}
		end = ends(cond.actions)
	}
	if end != "" && x.goesOn {
		l.found("continue-useless", x.el.PosOf("continue"), x, fmt.Sprintf("what later extensions add never runs: %s ends the list", end), "leave continue out")
	}
}

// endsList reports whether nothing behind an application runs.
func endsList(a *action) bool {
	switch a.app {
	case "hangup", "endless_playback":
		return true
	case "redirect":
		return true
	case "transfer":
		return a.data != "" && !strings.HasPrefix(strings.TrimSpace(a.data), "-bleg")
	case "respond":
		code, err := strconv.Atoi(strings.TrimSpace(a.data)[:min(3, len(strings.TrimSpace(a.data)))])
		return err == nil && code >= 300
	}
	return false
}

// exclusive reports conditions of one extension that never hold together: people write them as alternatives.
func (l *linter) exclusive(x *extension) {
	for i, later := range x.conditions {
		if !later.hasField || later.rule != "" || later.callerField() == "" {
			continue
		}
		for _, before := range x.conditions[:i] {
			if !before.plain() || before.callerField() != later.callerField() {
				continue
			}
			a, b := l.pattern(before.expression).language, l.pattern(later.expression).language
			if a != nil && b != nil && apart(a, b) {
				l.found("conditions-exclude", later.el.Pos, x, fmt.Sprintf("never holds: this condition is looked at only when %s has matched /%s/ (%s), and no value matches both", before.field, before.expression, l.place(before.el.Pos)),
					"write break=\"never\" on the earlier condition for alternatives, or one pattern ^(?:a|b)$, or regex=\"any\"")
			}
		}
	}
}
