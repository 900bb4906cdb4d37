package dialplan

import (
	"fmt"
	"strings"
	"time"
)

// paper carries out applications that only touch what is written down: variables, the caller's profile, the store of
// the application hash. Nothing leaves the program.
type paper struct {
	*resolver
	notice func(kind NoticeKind, format string, args ...any)
	end    func(cause string) // the application ended the call
}

// prepare expands the data of an application and takes its own variables, %[a=b], off it. They count until the caller
// takes them away.
func (p *paper) prepare(data string) (string, error) {
	if v, _ := p.Variable("app_disable_expand_variables"); isTrue(v) {
		return data, nil
	}
	data, err := Expand(data, p.resolver)
	p.call.scope, data = scoped(data)
	return data, err
}

// maxWritten is how many bytes of variables one call may set, so that values that double each other have an end.
const maxWritten = 64 << 20

// spend counts what an application writes and reports whether it is too much.
func (p *paper) spend(n int) bool {
	p.call.written += n
	return p.call.written > maxWritten
}

// apply carries out an application whose data is expanded and reports whether it is one of those.
func (p *paper) apply(app, data string) bool {
	vars := p.call.Vars
	switch strings.ToLower(app) {
	case "set":
		p.set(data, vars.Set)
	case "multiset":
		for _, item := range listOf(data) {
			p.set(item, vars.Set)
		}
	case "push":
		p.set(data, func(name, value string) { push(vars, name, value) })
	case "unshift":
		p.set(data, func(name, value string) { unshift(vars, name, value) })
	case "unset":
		vars.Set(data, "")
	case "multiunset":
		for _, item := range listOf(data) {
			vars.Set(item, "")
		}
	case "export":
		p.export("export_vars", data)
	case "bridge_export":
		p.export("bridge_export_vars", data)
	case "set_global":
		name, value, _ := strings.Cut(data, "=")
		if p.call.globals == nil {
			p.call.globals = map[string]string{}
		}
		p.call.globals[strings.ToLower(name)] = harmless(value)
	case "set_profile_var":
		name, value, _ := strings.Cut(data, "=")
		p.setProfile(name, value)
	case "privacy":
		p.privacy(data)
	case "set_user":
		p.setUser(data)
	case "check_acl":
		p.checkACL(data)
	case "hash":
		p.hash(data)
	case "capture":
		p.capture(data)
	case "strftime":
		if f := separate(data, '=', 2); len(f) > 1 {
			if text, ok := strftimeChecked(f[1], p.call.Now); ok {
				vars.Set(f[0], text)
			} else {
				p.notice(NoticeUnknown, "strftime: the format %q is not evaluated here", clip(f[1]))
			}
		}
	case "eval", "stop", "info", "log", "event", "presence", "verbose_events", "novideo", "cng_plc", "early_hangup",
		"set_media_stats", "set_zombie_exec", "set_name", "session_loglevel":
	case "sleep":
		if ms := atoi(data); ms > 0 {
			p.call.Now = p.call.Now.Add(time.Duration(min(ms, 86_400_000)) * time.Millisecond)
		}
	default:
		return false
	}
	return true
}

// set is the application set and its kin: the value is expanded once more; the name ends at "=" or, without one, at a
// comma.
func (p *paper) set(data string, put func(name, value string)) {
	name, value, ok := strings.Cut(data, "=")
	if !ok {
		name, value, _ = strings.Cut(data, ",")
	}
	value, _ = Expand(value, p.resolver) // the first expansion has reported what it could not evaluate
	if !p.spend(len(value)) {
		put(name, value)
	}
}

// listOf splits at blanks, or at x behind "^^x".
func listOf(data string) []string {
	delim := " "
	if strings.HasPrefix(data, "^^") && len(data) > 2 {
		delim, data = data[2:3], data[3:]
	}
	return strings.Split(data, delim)
}

// export sets the variable under the very name that it was given and notes that it goes to the other leg.
func (p *paper) export(list, data string) {
	name, value, _ := strings.Cut(data, "=")
	p.call.Vars.Set(name, value)
	if name == "" || value == "" {
		return
	}
	if have, ok := p.call.Vars.Get(list); ok {
		name = have + "," + name
	}
	p.call.Vars.Set(list, name)
}

func (p *paper) setProfile(name, value string) {
	for _, field := range settable {
		if strings.EqualFold(field, name) {
			if strings.HasSuffix(field, "_ton") || strings.HasSuffix(field, "_numplan") {
				if value == "" {
					return
				}
				value = fmt.Sprint(uint8(atoi(value)))
			}
			c := p.call
			for c.outer != nil {
				c = c.outer // execute_extension hunts with a copy of the profile, which this does not change
			}
			c.setField(field, value)
			return
		}
	}
}

func (p *paper) privacy(mode string) {
	if mode == "" {
		return
	}
	p.call.setField("screen_bit", "true")
	hide := func(fields string, value string) {
		for f := range strings.FieldsSeq(fields) {
			p.call.setField("privacy_hide_"+f, value)
		}
	}
	switch {
	case strings.EqualFold(mode, "full"), isTrue(mode):
		hide("name number", "true")
	case strings.EqualFold(mode, "name"), strings.EqualFold(mode, "number"):
		hide(strings.ToLower(mode), "true")
	case isFalse(mode):
		hide("name number", "false")
	}
}

// setUser is set_user USER@DOMAIN [PREFIX]: the variables of a user of the directory.
func (p *paper) setUser(data string) {
	f := separate(data, ' ', 2)
	if len(f) == 0 {
		return
	}
	if !p.tree.hasDirectory() {
		p.notice(NoticeUnknown, "set_user %s: there is no directory to look into", clip(data))
		return
	}
	id, domain, ok := strings.Cut(f[0], "@")
	if !ok {
		domain, _ = p.tree.Global("domain")
	}
	user := p.tree.user([]string{"id", "number-alias"}, id, domain)
	if user == nil {
		p.notice(NoticeError, "set_user: FreeSWITCH finds no user %s@%s", clip(id), clip(domain))
		return
	}
	prefix := ""
	if len(f) > 1 {
		prefix = f[1]
	}
	if alias, ok := user.Attr("number-alias"); ok {
		p.call.Vars.Set(prefix+"number_alias", alias)
	}
	for name, value := range user.pairs("variables", "variable") {
		p.call.Vars.Set(prefix+name, value)
	}
	for name, value := range user.pairs("profile-variables", "variable") {
		p.setProfile(prefix+name, value)
	}
	p.call.Vars.Set(prefix+"user_name", id)
	p.call.Vars.Set(prefix+"domain_name", domain)
}

// checkACL is check_acl ADDRESS LIST [CAUSE]: a call from outside the list ends.
func (p *paper) checkACL(data string) {
	f := separate(data, ' ', 3)
	if len(f) < 2 {
		return
	}
	inside, err := p.tree.inList(f[0], f[1])
	if err != nil {
		p.notice(NoticeUnknown, "check_acl %s: %v", clip(data), err)
		return
	}
	if !inside {
		cause := "CALL_REJECTED"
		if len(f) > 2 {
			cause = f[2]
		}
		p.end(cause)
	}
}

// hash is the application of mod_hash. What other calls put into the store is not known here.
func (p *paper) hash(data string) {
	f := separate(data, '/', 4)
	if len(f) < 3 {
		return
	}
	if p.call.store == nil {
		p.call.store = map[string]string{}
	}
	key := f[1] + "_" + f[2]
	have, known := p.call.store[key]
	switch op := strings.ToLower(f[0]); {
	case op == "delete":
		p.call.store[key] = ""
	case len(f) < 4:
	case op == "insert":
		p.call.store[key] = f[3]
	case op == "insert_ifempty":
		if !known {
			p.notice(NoticeUnknown, "hash: whether %s/%s is empty is not known here, it is taken to be", clip(f[1]), clip(f[2]))
		}
		if have == "" {
			p.call.store[key] = f[3]
		}
	case op == "delete_ifmatch" && known && have == f[3]:
		p.call.store[key] = ""
	}
}

// capture is capture VARIABLE|TEXT|PATTERN.
func (p *paper) capture(data string) {
	f := separate(data, '|', 3)
	if len(f) < 3 {
		return
	}
	m, err := p.perform(f[1], f[2])
	if err != nil {
		p.notice(NoticePattern, "capture: %v", err)
	}
	for i := range m.count {
		if text, ok := m.group(f[1], i); ok {
			push(p.call.Vars, f[0], text)
		}
	}
}

// scoped takes %[a=b,c=d], or with another separator %;[a=b;c=d], off the data of an application. The variables count
// while it runs.
func scoped(data string) (vars map[string]string, rest string) {
	inner, ok := strings.CutPrefix(data, "%[")
	delim := ","
	if !ok && len(data) > 2 && data[0] == '%' && data[2] == '[' {
		delim, inner, ok = data[1:2], data[3:], true
	}
	list, rest, closed := strings.Cut(inner, "]")
	if !ok || !closed {
		return nil, data
	}
	vars = map[string]string{}
	for _, item := range separate(list, delim[0], 256) {
		if name, value, ok := strings.Cut(item, "="); ok {
			vars[strings.ToLower(name)] = value
		}
	}
	return vars, rest
}

// isLAN reports whether FreeSWITCH takes an address for a private one, by how it begins.
func isLAN(ip string) bool {
	for _, begin := range [...]string{"10.", "192.168.", "127.", "255.", "0.", "1.", "2.", "192.0.2.", "169.254."} {
		if strings.HasPrefix(ip, begin) {
			return true
		}
	}
	rest, ok := strings.CutPrefix(ip, "172.")
	second, _, dot := strings.Cut(rest, ".")
	return ok && dot && len(second) == 2 && second >= "16" && second <= "31"
}
