package lint

import (
	_ "embed"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/signalbox/signalbox/dialplan"
)

// variablesText lists the names of channel variables that FreeSWITCH 1.10.12 and its own modules read or set.
//
//go:embed variables.txt
var variablesText string

var knownVariables = sync.OnceValue(func() map[string]bool {
	known := map[string]bool{}
	for name := range strings.FieldsSeq(variablesText) {
		known[strings.ToLower(name)] = true
	}
	return known
})

var variableNames = sync.OnceValue(func() []string {
	names := make([]string, 0, len(knownVariables()))
	for name := range knownVariables() {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
})

// readable are the names that ${...} finds something for: variables and fields of the caller's profile.
var readable = sync.OnceValue(func() []string { return append(slices.Clone(variableNames()), callerFields...) })

// families are beginnings behind which any name is good.
var families = []string{"sip_h_", "sip_rh_", "sip_ph_", "sip_bye_h_", "sip_nobye_h_", "sip_info_h_", "execute_on_", "api_on_", "signalbox_"}

func knownVariable(lower string) bool {
	if knownVariables()[lower] {
		return true
	}
	for _, f := range families {
		if strings.HasPrefix(lower, f) {
			return true
		}
	}
	return false
}

// callerFields are the fields of a caller's profile that a condition may name.
var callerFields = strings.Fields("dialplan username caller_id_name caller_id_number orig_caller_id_name orig_caller_id_number callee_id_name " +
	"callee_id_number ani aniii network_addr rdnis destination_number uuid source transfer_source context chan_name profile_index caller_ton " +
	"caller_numplan destination_number_ton destination_number_numplan ani_ton ani_numplan rdnis_ton rdnis_numplan screen_bit privacy_hide_name " +
	"privacy_hide_number profile_created_time created_time answered_time progress_time progress_media_time hungup_time transferred_time")

// field reports a condition on a field that does not exist: it is always empty.
func (l *linter) field(x *extension, c *condition) {
	if c.field == "" && (c.expression == "" || c.expression == ".*") {
		return // holds for every call, in an odd way
	}
	if strings.Contains(c.field, "$") || slices.Contains(callerFields, strings.ToLower(c.field)) {
		return
	}
	instead := fmt.Sprintf("write field=\"${%s}\" for a variable of the channel", c.field)
	switch near, ok := nearest(strings.ToLower(c.field), callerFields); {
	case c.field == "true" || c.field == "false":
		instead = "a $${NAME} was replaced by its value here: write field=\"${NAME}\" with one dollar sign"
	case ok:
		instead = fmt.Sprintf("write field=%q", near)
	}
	l.found("field-unknown", c.el.PosOf("field"), x, fmt.Sprintf("FreeSWITCH's caller profile has no field %q: the condition sees an empty text on every call", c.field), instead)
}

// early reports conditions on a variable that only a queued action before them sets: it has its value after the hunt.
func (l *linter) early(c *contextView) {
	queued, inline := map[string]*action{}, map[string]bool{}
	for _, x := range c.extensions {
		own := map[string]*action{}
		x.each(func(cond *condition) {
			for _, text := range append([]string{cond.field, cond.expression}, regexTexts(cond)...) {
				for _, name := range variables(text) {
					lower := strings.ToLower(name)
					set := own[lower]
					if set == nil {
						set = queued[lower]
					}
					if set != nil && !inline[lower] && !l.elsewhere(c, lower) {
						l.found("variable-too-early", cond.el.Pos, x, fmt.Sprintf("${%s} is not set yet: the %s before it (%s) runs only when the hunt is over", name, set.app, l.place(set.el.Pos)),
							"write inline=\"true\" on that action")
					}
				}
			}
			for _, a := range cond.all() {
				for _, name := range assigned(a) {
					lower := strings.ToLower(name)
					if a.inline {
						inline[lower] = true
					} else {
						own[lower] = a
					}
				}
			}
		})
		if x.goesOn {
			for name, a := range own {
				queued[name] = a
			}
		}
	}
}

// elsewhere reports whether a variable may have come from before this hunt: FreeSWITCH knows its name, another context sets
// it, or a user's or gateway's entry does.
func (l *linter) elsewhere(c *contextView, lower string) bool {
	if knownVariables()[lower] {
		return true
	}
	for _, other := range l.contexts {
		if other == c {
			continue
		}
		for _, x := range other.extensions {
			found := false
			x.each(func(cond *condition) {
				for _, a := range cond.all() {
					for _, name := range assigned(a) {
						found = found || strings.EqualFold(name, lower)
					}
				}
			})
			if found {
				return true
			}
		}
	}
	return l.inDirectory(lower)
}

// inDirectory reports whether something in the tree besides the dialplan names a variable.
func (l *linter) inDirectory(lower string) bool {
	var search func(*dialplan.Element) bool
	search = func(el *dialplan.Element) bool {
		if el.Name == "variable" && strings.EqualFold(el.Soft("name"), lower) {
			return true
		}
		return slices.ContainsFunc(el.Children, search)
	}
	section := l.tree.Section("directory")
	_, global := l.tree.Global(lower)
	return global || section != nil && search(section)
}
