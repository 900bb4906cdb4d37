package dialplan

import (
	"maps"
	"slices"
	"strings"
)

// Variables are the variables of a channel. Names are compared without regard to case, as FreeSWITCH does. Setting
// the empty value removes a variable.
type Variables interface {
	Get(name string) (string, bool)
	Set(name, value string)
}

// prefixer is what Variables may offer so that all variables of a prefix can be removed at once.
type prefixer interface{ UnsetPrefix(prefix string) }

// Vars is a plain set of variables. It is not safe for concurrent use.
type Vars struct{ m map[string]variable }

type variable struct {
	name, value string
	list        bool // it was pushed to, or set to a list; a list of one looks like a plain value
}

// NewVars returns variables with the given ones set; nil is fine.
func NewVars(from map[string]string) *Vars {
	v := &Vars{m: map[string]variable{}}
	for _, name := range slices.Sorted(maps.Keys(from)) {
		v.Set(name, from[name])
	}
	return v
}

// Get returns a variable.
func (v *Vars) Get(name string) (string, bool) {
	have, ok := v.m[strings.ToLower(name)]
	return have.value, ok
}

// Set sets a variable, or removes it when the value is empty.
func (v *Vars) Set(name, value string) {
	if name == "" {
		return
	}
	inner, list := strings.CutPrefix(value, listMark)
	if list && !strings.Contains(inner, listSep) {
		value = inner
	}
	if value == "" {
		delete(v.m, strings.ToLower(name))
		return
	}
	v.m[strings.ToLower(name)] = variable{name, value, list}
}

// isList reports whether a variable is a list.
func (v *Vars) isList(name string) bool { return v.m[strings.ToLower(name)].list }

// markList makes a list of one of a variable.
func (v *Vars) markList(name string) {
	if have, ok := v.m[strings.ToLower(name)]; ok {
		have.list = true
		v.m[strings.ToLower(name)] = have
	}
}

// UnsetPrefix removes every variable whose name begins with prefix.
func (v *Vars) UnsetPrefix(prefix string) {
	prefix = strings.ToLower(prefix)
	maps.DeleteFunc(v.m, func(name string, _ variable) bool { return strings.HasPrefix(name, prefix) })
}

// All returns the variables with their names as they were spelt.
func (v *Vars) All() map[string]string {
	out := make(map[string]string, len(v.m))
	for _, have := range v.m {
		out[have.name] = have.value
	}
	return out
}

const (
	listMark = "ARRAY::"
	listSep  = "|:"
)

// lister is what Variables may offer so that a plain value is told from a list of one; only a list has a first element.
type lister interface {
	isList(name string) bool
	markList(name string)
}

// index returns the nth value of a list; a single value is a list of one.
func index(value string, n int) (string, bool) {
	list, isList := strings.CutPrefix(value, listMark)
	if !isList {
		return value, n == 0
	}
	items := strings.Split(list, listSep)
	if n < 0 || n >= len(items) {
		return "", false
	}
	return items[n], true
}

// push appends a value to a list variable. An empty value removes the variable, as it does in FreeSWITCH.
func push(v Variables, name, value string) {
	if l, ok := v.(lister); ok {
		defer l.markList(name)
	}
	have, ok := v.Get(name)
	switch {
	case value == "" || !ok:
		v.Set(name, value)
	case strings.HasPrefix(have, listMark):
		v.Set(name, have+listSep+value)
	default:
		v.Set(name, listMark+have+listSep+value)
	}
}

// unshift puts a value before those of a list variable.
func unshift(v Variables, name, value string) {
	if l, ok := v.(lister); ok {
		defer l.markList(name)
	}
	have, ok := v.Get(name)
	if value == "" || !ok {
		v.Set(name, value)
		return
	}
	v.Set(name, listMark+value+listSep+strings.TrimPrefix(have, listMark))
}
