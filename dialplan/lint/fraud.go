package lint

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/signalbox/signalbox/dialplan"
)

// maxHops bounds how many transfers are followed.
const maxHops = 5

// fewNumbers is up to how many numbers a pattern may take that an operator has listed himself.
const fewNumbers = 1000

// tollFraud follows what a caller without credentials can dial: from the contexts of profiles that ask for none, through
// transfers, to a gateway. A condition on anything but the number counts as a check of the operator's.
func (l *linter) tollFraud() {
	for _, name := range l.openContexts() {
		if c := l.contextOf(name); c != nil {
			f := fraud{linter: l, from: c.name, visited: map[string]bool{}}
			f.enter(c, nil, nil, 0)
		}
	}
}

func (l *linter) contextOf(name string) *contextView {
	for _, c := range l.contexts {
		if strings.EqualFold(c.name, name) {
			return c
		}
	}
	return nil
}

// openContexts are where calls arrive that nobody authenticated. Without any profile in the tree it is public.
func (l *linter) openContexts() []string {
	var open []string
	profiles := 0
	if section := l.tree.Section("configuration"); section != nil {
		for _, c := range section.All("configuration") {
			if c.Soft("name") != "sofia.conf" || c.Child("profiles") == nil {
				continue
			}
			for _, p := range c.Child("profiles").All("profile") {
				profiles++
				settings := paramsOf(p.Child("settings"))
				if !isTrue(settings["auth-calls"]) && settings["apply-inbound-acl"] == "" && !isTrue(settings["auth-all-packets"]) {
					open = append(open, settings["context"])
				}
			}
		}
	}
	if profiles == 0 {
		return []string{"public"}
	}
	return open
}

func paramsOf(el *dialplan.Element) map[string]string {
	out := map[string]string{}
	if el != nil {
		for _, p := range el.All("param") {
			out[p.Soft("name")] = p.Soft("value")
		}
	}
	return out
}

// fraud follows one open context.
type fraud struct {
	linter  *linter
	from    string
	visited map[string]bool
}

// telephone are the numbers that cost money.
var telephone = languageOf(`^\+?[0-9]{7,15}$`)

// enter looks at a context that a caller reaches with the numbers of dialled; nil is any number. way are the places passed.
func (f *fraud) enter(c *contextView, dialled *language, way []string, depth int) {
	if depth > maxHops || f.visited[c.name] {
		return
	}
	f.visited[c.name] = true
	defer delete(f.visited, c.name)
	for _, x := range c.extensions {
		for _, cond := range x.conditions {
			if x.dead || checks(x) {
				break
			}
			f.actions(c, x, cond, dialled, way, depth)
		}
	}
}

// checks reports whether an extension looks at anything but what the caller dialled, or checks an access list.
func checks(x *extension) bool {
	found := false
	x.each(func(c *condition) {
		if !c.absolute() && c.callerField() != "destination_number" || c.rule != "" || c.timed || len(c.nested) > 0 {
			found = true
		}
		for _, a := range c.all() {
			switch a.app {
			case "check_acl", "play_and_get_digits", "read", "lua", "javascript", "perl", "python", "httapi", "ivr", "limit", "limit_execute", "nibblebill":
				found = true
			}
		}
	})
	return found
}

var wholeNumber = regexp.MustCompile(`(?i)\$\{destination_number\}`)

// actions looks at the actions of one condition.
func (f *fraud) actions(c *contextView, x *extension, cond *condition, dialled *language, way []string, depth int) {
	own := everything()
	if cond.hasField {
		p := f.linter.pattern(cond.expression)
		if p.language == nil {
			return
		}
		own = p.language
	}
	terms := []term{{own, false}}
	if dialled != nil {
		terms = append(terms, term{dialled, false})
	}
	for _, a := range cond.actions {
		switch a.app {
		case "transfer", "execute_extension":
			f.follow(x, a, own, terms, way, depth)
		case "bridge":
			f.bridge(x, a, own, terms, way)
		}
	}
}

// passed is the language of the number that an action hands on: the whole one, or a group of the pattern. nil when the
// caller does not choose it.
func passed(text string, own *language) *language {
	if wholeNumber.MatchString(text) {
		return own
	}
	m := captureUse.FindStringSubmatch(text)
	if m == nil {
		return nil
	}
	n, err := strconv.Atoi(m[1] + m[2])
	if err != nil {
		return nil
	}
	if n == 0 {
		return own
	}
	return own.group(n)
}

func (f *fraud) follow(x *extension, a *action, own *language, terms []term, way []string, depth int) {
	words := strings.Fields(a.data)
	if len(words) < 3 || !strings.EqualFold(words[1], "XML") {
		return
	}
	next := f.linter.contextOf(words[2])
	number := passed(words[0], own)
	if next == nil || number == nil || !many(fewNumbers, 15, append(terms, term{telephone, false})...) {
		return
	}
	f.enter(next, number, append(append([]string(nil), way...), fmt.Sprintf("extension %q (%s)", x.name, f.linter.place(a.el.Pos))), depth+1)
}

var gatewayLeg = regexp.MustCompile(`sofia/gateway/([^/,|]+)/([^,|:]*)|sofia/([^/,|]+)/([^@,|%]*)@([^,|]*)`)

func (f *fraud) bridge(x *extension, a *action, own *language, terms []term, way []string) {
	for _, m := range gatewayLeg.FindAllStringSubmatch(a.data, -1) {
		where, text := "gateway "+m[1], m[2]
		if m[1] == "" {
			if !literal(m[5]) || strings.HasPrefix(m[4], "user") {
				continue // the caller's own domain, or a registered user
			}
			where, text = m[5], m[4]
		}
		number := passed(text, own)
		if number == nil || !many(fewNumbers, 15, append(terms, term{telephone, false})...) {
			continue
		}
		dialled, found, known := witness(append(terms, term{telephone, false})...)
		if !found || !known {
			continue
		}
		what := fmt.Sprintf("context %s asks nobody for credentials, and a stranger who calls for example %s there comes ", f.from, dialled)
		for _, w := range way {
			what += "through " + w + " "
		}
		f.linter.found("toll-fraud", a.el.Pos, x, what+"to "+where+" at your expense",
			`take calls to the outside in a context of authenticated users only, or check first: <condition field="${sip_authorized}" expression="^true$"/>, ${acl(${network_addr} LIST)}, ${toll_allow}`)
		return
	}
}
