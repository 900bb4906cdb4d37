package dialplan

import (
	"strings"
	"time"
)

// Call is one call as the dialplan sees it. It belongs to one goroutine.
type Call struct {
	Context        string // default "default"
	Destination    string
	CallerIDName   string
	CallerIDNumber string
	// Fields are further fields of the caller's profile: username, ani, aniii, rdnis, network_addr, source, uuid,
	// chan_name, dialplan and so on. Their names are lower case. A field is not a variable, but ${name} finds it when
	// no variable of that name is set.
	Fields map[string]string
	// Vars are the channel's variables; nil makes a new empty set. Hunt sets DP_MATCH and what inline actions set.
	Vars Variables
	// Now is the time for time conditions, in the switch's own zone.
	Now time.Time
	// Functions carries out API functions; nil = only those without side effects.
	Functions Functions
	// Inline carries out an action with inline="true", whose data is not yet expanded; nil = on paper: set, unset,
	// multiset, export, push and unshift set variables, everything else does nothing.
	Inline func(a Action) error
}

// field returns a field of the caller's profile, as <condition field="..."> names it.
func (c *Call) field(name string) (string, bool) {
	switch name = strings.ToLower(name); name {
	case "destination_number":
		return c.Destination, true
	case "caller_id_name":
		return c.CallerIDName, true
	case "caller_id_number":
		return c.CallerIDNumber, true
	case "context":
		return c.Context, true
	}
	v, ok := c.Fields[name]
	if !ok && name == "dialplan" {
		return "XML", true
	}
	return v, ok
}

// resolver answers for one call in one tree.
type resolver struct {
	call      *Call
	tree      *Tree
	functions Functions
}

func (t *Tree) resolver(c *Call) *resolver {
	r := &resolver{call: c, tree: t, functions: c.Functions}
	if r.functions == nil {
		r.functions = offline(t.patterns)
	}
	return r
}

// Resolver returns what Expand needs to expand an argument of this call: its variables, the fields of its profile,
// the global variables of the tree and its functions.
func (t *Tree) Resolver(c *Call) Resolver { return t.resolver(c) }

// Variable looks into the channel's variables, the caller's profile and the global variables, in this order.
func (r *resolver) Variable(name string) (string, bool) {
	if name == "" {
		return "", false
	}
	if r.call.Vars != nil {
		if v, ok := r.call.Vars.Get(name); ok {
			return v, true
		}
	}
	if v, ok := r.call.field(name); ok {
		return v, true
	}
	return r.tree.Global(name)
}

// Function carries out an API function.
func (r *resolver) Function(name, args string) (string, error) { return r.functions(name, args) }
