package lint

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/signalbox/signalbox/dialplan"
)

// action applies the rules about one action.
func (l *linter) action(x *extension, c *condition, a *action) {
	if a.app == "" {
		l.found("application-missing", a.el.Pos, x, "an action without an application: FreeSWITCH hangs the call up when it comes to it", `write application="..."`)
		return
	}
	l.application(x, a)
	if !a.inline && strings.Contains(a.data, `\'`) {
		l.found("escaped-quote", a.pos, x, `FreeSWITCH does not queue this action: its data holds \'`, "write the quote without a backslash, or put the text into a variable by an inline set")
	}
	for _, name := range assigned(a) {
		l.variable(x, a, name)
	}
	for _, name := range dialVariables(a) {
		l.variable(x, a, name)
	}
	l.reading(x, a.data, a.pos)
	if a.app == "transfer" || a.app == "execute_extension" {
		l.target(x, a)
	}
	l.injection(x, a)
	l.room(x, a)
	l.music(x, a.data, a.pos)
}

// application reports names that no module brings, and such as may not run inline.
func (l *linter) application(x *extension, a *action) {
	pos := a.el.PosOf("application")
	if !literal(a.app) || strings.HasPrefix(a.app, "skinny-") { // those are words for mod_skinny, which hunts itself
		return
	}
	known, ok := dialplan.LookupApplication(a.app)
	if !ok {
		if near, ok := nearest(a.app, dialplan.Applications()); ok {
			l.found("application-misspelt", pos, x, fmt.Sprintf("there is no application %q: FreeSWITCH hangs the call up with DESTINATION_OUT_OF_ORDER", a.app), fmt.Sprintf("write %q", near))
			return
		}
		l.found("application-unknown", pos, x, fmt.Sprintf("none of FreeSWITCH's own modules brings %q: unless another one does, the call is hung up with DESTINATION_OUT_OF_ORDER", a.app), "see whether \"show application\" lists it; silence this rule where it does")
		return
	}
	if a.inline && !known.Inline {
		l.found("inline-refused", a.el.PosOf("inline"), x, fmt.Sprintf("%s may not run inline: FreeSWITCH logs an error and the action is lost", a.app), "take inline away; it then runs after the hunt")
	}
	if loaded, knows := l.loaded(known.Module); knows && !loaded {
		l.found("application-not-loaded", pos, x, fmt.Sprintf("%s is of %s, which autoload_configs/modules.conf.xml does not load: the call is hung up with DESTINATION_OUT_OF_ORDER", a.app, known.Module), fmt.Sprintf(`write <load module="%s"/> there, and load %s`, known.Module, known.Module))
	}
}

// loaded says whether the tree loads a module; known is false where the tree does not say.
func (l *linter) loaded(module string) (loaded, known bool) {
	section := l.tree.Section("configuration")
	if section == nil || module == "core" {
		return false, false
	}
	for _, c := range section.All("configuration") {
		if c.Soft("name") != "modules.conf" {
			continue
		}
		for _, list := range c.All("modules") {
			for _, m := range list.All("load") {
				name := strings.TrimSuffix(m.Soft("module"), ".so")
				if strings.EqualFold(name, module) {
					return true, true
				}
			}
			known = true
		}
	}
	return false, known
}

// variable reports a name that is nearly a known one. A name that the dialplan also reads is the operator's own.
func (l *linter) variable(x *extension, a *action, name string) {
	lower := strings.ToLower(name)
	if len(name) < 6 || !literal(name) || strings.ContainsAny(name, "[] ") || knownVariable(lower) || l.reads[lower] {
		return
	}
	if near, ok := nearest(lower, variableNames()); ok {
		l.found("variable-misspelt", a.pos, x, fmt.Sprintf("nothing in FreeSWITCH reads %q, and nothing in this dialplan", name), fmt.Sprintf("write %q if that is meant", near))
	}
}

// reading reports ${name} of a name that nothing sets and that is nearly a known one.
func (l *linter) reading(x *extension, text string, pos dialplan.Pos) {
	if l.lone() {
		return // another file may set it
	}
	for _, name := range variables(text) {
		lower := strings.ToLower(name)
		if len(name) < 6 || !variableName.MatchString(name) || knownVariable(lower) || slices.Contains(callerFields, lower) || l.sets[lower] || l.inDirectory(lower) {
			continue
		}
		if near, ok := nearest(lower, readable()); ok {
			l.found("variable-misspelt", pos, x, fmt.Sprintf("nothing in FreeSWITCH sets %q, and nothing in this dialplan: it is empty", name), fmt.Sprintf("write ${%s} if that is meant", near))
		}
	}
}

// dialVariables are the names of the variables in {..}, [..] and <..> of a dial string.
func dialVariables(a *action) []string {
	if a.app != "bridge" {
		return nil
	}
	var out []string
	for _, block := range dialBlock.FindAllStringSubmatch(a.data, -1) {
		inside, delim := block[1], ","
		if strings.HasPrefix(inside, "^^") && len(inside) > 3 {
			delim, inside = inside[2:3], inside[3:]
		}
		for part := range strings.SplitSeq(inside, delim) {
			if name, _, ok := strings.Cut(part, "="); ok && variableName.MatchString(strings.TrimSpace(name)) {
				out = append(out, strings.TrimSpace(name))
			}
		}
	}
	return out
}

var (
	dialBlock    = regexp.MustCompile(`(?:^|[,|:]_?:?|\])[\[{<]([^\]}>]*)[\]}>]`)
	variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
)

// target reports a transfer or execute_extension into a context that is not there.
func (l *linter) target(x *extension, a *action) {
	words := strings.Fields(a.data)
	if len(words) > 0 && strings.HasPrefix(words[0], "-") {
		words = words[1:]
	}
	if len(words) < 3 || !strings.EqualFold(words[1], "XML") || !literal(words[2]) || l.lone() {
		return
	}
	for _, c := range l.contexts {
		if strings.EqualFold(c.name, words[2]) || strings.EqualFold(c.name, "global") {
			return
		}
	}
	var names []string
	for _, c := range l.contexts {
		names = append(names, c.name)
	}
	instead := "write one of: " + strings.Join(names, ", ")
	if near, ok := nearest(words[2], names); ok {
		instead = "write " + near
	}
	l.found("context-missing", a.pos, x, fmt.Sprintf("there is no context %q: the call ends there", words[2]), instead)
}

// lone reports whether a single file is looked at, which may be meant to be included somewhere.
func (l *linter) lone() bool { return l.tree.Section("dialplan") == nil }

// fromCaller are the variables and fields whose text the caller writes.
var fromCaller = regexp.MustCompile(`(?i)\$\{(?:caller_id_name|caller_id_number|effective_caller_id_\w+|destination_number|callee_id_\w+|ani|rdnis|sip_h_[\w-]+|sip_i_\w+|sip_from_\w+|sip_to_\w+|sip_req_\w+|sip_contact_\w+|sip_full_\w+|sip_user_agent|sip_subject|sip_call_id|sip_P-[\w-]+|sip_history_info|username|dialed_extension)\}`)

// shells are applications whose data a shell reads.
var shells = map[string]bool{"system": true, "bgsystem": true, "spawn": true, "bg_spawn": true}

var shellFunction = regexp.MustCompile(`(?i)\$\{(?:system|bg_system|spawn|bg_spawn)[ (]`)

// injection reports text from the caller in a shell command.
func (l *linter) injection(x *extension, a *action) {
	if !shells[a.app] && !shellFunction.MatchString(a.data) {
		return
	}
	if m := fromCaller.FindString(a.data); m != "" {
		l.found("shell-injection", a.pos, x, fmt.Sprintf("the caller writes %s, and a shell reads it: \"; rm -rf\" or $(...) in it runs on the switch", m), "pass ${uuid} alone, and let the program ask for the rest with uuid_getvar")
	}
}
