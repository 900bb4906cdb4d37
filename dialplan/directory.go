package dialplan

import (
	"errors"
	"iter"
	"net/netip"
	"slices"
	"strings"
)

// hasDirectory reports whether the tree alone says what users there are.
func (t *Tree) hasDirectory() bool {
	return t.Section("directory") != nil && t.elsewhere("directory") == ""
}

// elsewhere names the module that answers for a section before the files do, or "": mod_xml_curl asks a web server,
// mod_lua a script. It counts only when modules.conf loads it.
func (t *Tree) elsewhere(section string) string {
	lists := func(value string) bool {
		return slices.ContainsFunc(strings.FieldsFunc(value, func(r rune) bool { return r == '|' || r == ',' || r == ' ' }), func(s string) bool {
			return strings.EqualFold(s, section)
		})
	}
	if loaded, _ := t.loads("mod_xml_curl"); loaded {
		if conf := t.configuration("xml_curl.conf"); conf != nil && conf.Child("bindings") != nil {
			for _, binding := range conf.Child("bindings").All("binding") {
				for _, p := range binding.All("param") {
					if bindings, ok := p.Attr("bindings"); p.Soft("name") == "gateway-url" && (!ok || lists(bindings)) {
						return "mod_xml_curl"
					}
				}
			}
		}
	}
	if loaded, _ := t.loads("mod_lua"); loaded {
		if conf := t.configuration("lua.conf"); conf != nil {
			for name, value := range conf.pairs("settings", "param") {
				if name == "xml-handler-bindings" && lists(value) {
					return "mod_lua"
				}
			}
		}
	}
	return ""
}

// domain returns a domain of the directory, or nil.
func (t *Tree) domain(name string) *Element {
	directory := t.Section("directory")
	if directory == nil {
		return nil
	}
	return named(directory, "domain", name)
}

// named returns the first child of that element name whose attribute name is value. Case does not matter.
func named(e *Element, element, value string) *Element {
	for _, c := range e.Children {
		if have, ok := c.Attr("name"); ok && c.Name == element && strings.EqualFold(have, value) {
			return c
		}
	}
	return nil
}

// user finds a user by the first of the keys that finds one: first in the groups of the domain, then in the domain
// itself. What group and domain add is in the element returned, behind what is the user's own. A user of the type
// pointer is none.
func (t *Tree) user(keys []string, id, domain string) *Element {
	d := t.domain(domain)
	if d == nil {
		return nil
	}
	for _, key := range keys {
		if groups := d.Child("groups"); groups != nil {
			for _, group := range groups.All("group") {
				if users := group.Child("users"); users != nil {
					if u := findUser(users, key, id); u != nil {
						return merge(u, group, d)
					}
				}
			}
		}
		in := d.Child("users")
		if in == nil {
			in = d
		}
		if u := findUser(in, key, id); u != nil {
			return merge(u, nil, d)
		}
	}
	return nil
}

func findUser(in *Element, key, id string) *Element {
	for _, u := range in.All("user") {
		if strings.EqualFold(u.Soft("type"), "pointer") {
			continue
		}
		if strings.EqualFold(u.Soft(key), id) || key == "id" && strings.EqualFold(u.Soft("number-alias"), id) {
			return u
		}
	}
	return nil
}

// merge returns the user with the parameters and variables of its group and domain that it has not itself.
func merge(user, group, domain *Element) *Element {
	whole := &Element{Name: "user", Pos: user.Pos, Attrs: user.Attrs}
	for _, kind := range [...][2]string{{"params", "param"}, {"variables", "variable"}, {"profile-variables", "variable"}} {
		all := &Element{Name: kind[0]}
		seen := map[string]bool{}
		for _, from := range []*Element{user, group, domain} {
			if from == nil || from.Child(kind[0]) == nil {
				continue
			}
			added := map[string]bool{}
			for _, p := range from.Child(kind[0]).All(kind[1]) {
				name := strings.ToLower(p.Soft("name"))
				if from == user || !seen[name] && !added[name] {
					all.Children = append(all.Children, p)
					added[name] = true
				}
			}
			for name := range added {
				seen[name] = true
			}
		}
		whole.Children = append(whole.Children, all)
	}
	if name, ok := domain.Attr("name"); ok && name != "" {
		if _, ok := user.Attr("domain-name"); !ok {
			whole.Attrs = append(append([]Attribute(nil), user.Attrs...), Attribute{Name: "domain-name", Value: name})
		}
	}
	return whole
}

// pairs returns the names and values of e's <container><tag name="" value=""/>.
func (e *Element) pairs(container, tag string) iter.Seq2[string, string] {
	return func(yield func(name, value string) bool) {
		c := e.Child(container)
		if c == nil {
			return
		}
		for _, p := range c.All(tag) {
			name, ok1 := p.Attr("name")
			value, ok2 := p.Attr("value")
			if ok1 && ok2 && !yield(name, value) {
				return
			}
		}
	}
}

// lookup is what user_data and domain_data answer: an attribute, a variable or a parameter. Of two with one name the
// last one counts.
func lookup(e *Element, kind, key string) string {
	container, tag := "params", "param"
	switch kind {
	case "attr":
		return e.Soft(key)
	case "var":
		container, tag = "variables", "variable"
	}
	found := ""
	for name, value := range e.pairs(container, tag) {
		if strings.EqualFold(name, key) {
			found = value
		}
	}
	return found
}

// errList says why an address list cannot be looked into here.
var errList = errors.New("address list is not known here")

// ownLists are lists that FreeSWITCH makes itself and that do not depend on its network.
var ownLists = map[string][]string{
	"loopback.auto": {"127.0.0.0/8", "::1/128"},
	"rfc1918.auto":  {"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fe80::/10"},
	"rfc6598.auto":  {"100.64.0.0/10"},
}

// inList reports whether an address is in a list of acl.conf, in one that FreeSWITCH makes itself, or in prefixes that
// are written in the place of a list.
func (t *Tree) inList(ip, list string) (bool, error) {
	addr, err := netip.ParseAddr(ip)
	if err != nil {
		return false, err
	}
	addr = addr.Unmap()
	if own, ok := ownLists[list]; ok {
		return inPrefixes(addr, own), nil
	}
	if conf := t.configuration("acl.conf"); conf != nil {
		if lists := conf.Child("network-lists"); lists != nil {
			// FreeSWITCH keeps the last one of a name.
			all := lists.All("list")
			for i := len(all) - 1; i >= 0; i-- {
				if all[i].Soft("name") == list {
					return listAllows(all[i], addr)
				}
			}
		}
		if !strings.Contains(list, "/") && !strings.HasSuffix(list, ".auto") {
			return false, nil
		}
	}
	if !strings.Contains(list, "/") {
		return false, errList
	}
	return inPrefixes(addr, strings.Split(list, ",")), nil
}

func inPrefixes(addr netip.Addr, prefixes []string) bool {
	for _, p := range prefixes {
		if prefix, err := netip.ParsePrefix(strings.TrimSpace(p)); err == nil && prefix.Contains(addr) {
			return true
		}
	}
	return false
}

// listAllows looks for the longest prefix that holds the address; of two the first counts.
func listAllows(list *Element, addr netip.Addr) (bool, error) {
	verdict, longest := true, -1
	if v, ok := list.Attr("default"); ok {
		verdict = isTrue(v)
	}
	byDefault := verdict
	for _, node := range list.All("node") {
		prefix, err := netip.ParsePrefix(node.Soft("cidr"))
		if err != nil {
			return false, errList // a host, a domain of the directory, a range of ports
		}
		allow := byDefault
		if v, ok := node.Attr("type"); ok {
			allow = isTrue(v)
		}
		if prefix.Contains(addr) && prefix.Bits() > longest {
			verdict, longest = allow, prefix.Bits()
		}
	}
	return verdict, nil
}

// configuration returns <configuration name="..."> or nil.
func (t *Tree) configuration(name string) *Element {
	section := t.Section("configuration")
	if section == nil {
		return nil
	}
	return named(section, "configuration", name)
}

// loads reports whether modules.conf loads a module, and false, false when there is no modules.conf.
func (t *Tree) loads(module string) (loaded, known bool) {
	conf := t.configuration("modules.conf")
	if conf == nil || conf.Child("modules") == nil {
		return false, false
	}
	for _, m := range conf.Child("modules").All("load") {
		if m.Soft("module") == module {
			return true, true
		}
	}
	return false, true
}
