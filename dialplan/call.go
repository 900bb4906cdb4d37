package dialplan

import (
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"
)

// Call is one call as the dialplan sees it. It belongs to one goroutine.
type Call struct {
	Context        string // default "default"
	Destination    string
	CallerIDName   string
	CallerIDNumber string
	// Fields are further fields of the caller's profile; see IsField. Their names are lower case. A field is not a
	// variable, but ${name} finds it when no variable of that name is set. Without ani, orig_caller_id_number or
	// orig_caller_id_name the caller's own number and name stand there, as on a call that just came in.
	Fields map[string]string
	// Vars are the channel's variables; nil makes a new empty set. Hunt sets DP_MATCH and what inline actions set.
	Vars Variables
	// Now is the time for time conditions, in the switch's own zone.
	Now time.Time
	// Known are answers of API functions that cannot be carried out here, by the function as it is called when its
	// arguments are expanded: "sofia_contact(1000@example.test)". They go before everything else.
	Known map[string]string
	// Functions carries out API functions; nil = only those without side effects.
	Functions Functions
	// Inline carries out an action with inline="true", whose data is not yet expanded; nil = on paper: what touches
	// variables and the caller's profile is carried out, everything else does nothing.
	Inline func(a Action) error

	outer   *Call             // the call that execute_extension made this copy of
	scope   map[string]string // variables of one application: %[a=b]data
	globals map[string]string // set by set_global on the way
	store   map[string]string // what the application hash put away; "" = deleted
	written int               // bytes of all variables ever set on paper
	slow    int               // patterns that reached their time limit
}

// profile are the fields of a caller's profile and what they hold when nobody said anything.
var profile = map[string]string{
	"dialplan": "XML", "username": "", "caller_id_name": "", "caller_id_number": "", "orig_caller_id_name": "",
	"orig_caller_id_number": "", "callee_id_name": "", "callee_id_number": "", "ani": "", "aniii": "", "network_addr": "",
	"rdnis": "", "destination_number": "", "uuid": "", "source": "", "transfer_source": "", "context": "", "chan_name": "",
	"profile_index": "", "caller_ton": "255", "caller_numplan": "255", "destination_number_ton": "255",
	"destination_number_numplan": "255", "ani_ton": "255", "ani_numplan": "255", "rdnis_ton": "255", "rdnis_numplan": "255",
	"screen_bit": "false", "privacy_hide_name": "false", "privacy_hide_number": "false", "profile_created_time": "",
	"created_time": "", "answered_time": "", "progress_time": "", "progress_media_time": "", "hungup_time": "",
	"transferred_time": "",
}

// IsField reports whether FreeSWITCH knows a field of that name in a caller's profile. Case does not matter.
func IsField(name string) bool {
	_, ok := profile[strings.ToLower(name)]
	return ok
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
	if v, ok := c.Fields[name]; ok {
		return v, true
	}
	switch name {
	case "ani", "orig_caller_id_number":
		return c.CallerIDNumber, true
	case "orig_caller_id_name":
		return c.CallerIDName, true
	}
	v := profile[name]
	return v, v != ""
}

// settable are the fields that set_profile_var changes. Any other name is kept by FreeSWITCH where no condition looks.
var settable = strings.Fields("dialplan username caller_id_name caller_id_number callee_id_name callee_id_number caller_ton caller_numplan " +
	"destination_number_ton destination_number_numplan ani aniii network_addr rdnis destination_number uuid source context chan_name")

// setField changes a field of the caller's profile.
func (c *Call) setField(name, value string) {
	name = strings.ToLower(name)
	fields := maps.Clone(c.Fields) // the map is the caller's
	if fields == nil {
		fields = map[string]string{}
	}
	switch name {
	case "destination_number":
		c.Destination = value
	case "context":
		c.Context = value
	case "caller_id_name", "caller_id_number":
		// What stood for the original name and number stays.
		for _, kept := range []string{"ani", "orig_caller_id_number", "orig_caller_id_name"} {
			fields[kept], _ = c.field(kept)
		}
		if name == "caller_id_name" {
			c.CallerIDName = value
		} else {
			c.CallerIDNumber = value
		}
	default:
		fields[name] = value
	}
	c.Fields = fields
}

// resolver answers for one call in one tree.
type resolver struct {
	call *Call
	tree *Tree
}

func (t *Tree) resolver(c *Call) *resolver {
	return &resolver{call: c, tree: t}
}

// Resolver returns what Expand needs to expand an argument of this call: its variables, the fields of its profile,
// the global variables of the tree and its functions.
func (t *Tree) Resolver(c *Call) Resolver { return t.resolver(c) }

// Variable looks into the channel's variables, the caller's profile and the global variables, in this order.
func (r *resolver) Variable(name string) (string, bool) {
	if name == "" {
		return "", false
	}
	if v, ok := r.call.scope[strings.ToLower(name)]; ok {
		return v, true
	}
	if r.call.Vars != nil {
		if v, ok := r.call.Vars.Get(name); ok {
			return v, true
		}
	}
	return r.beyond(name)
}

// element returns ${name[n]}: an element of a list among the channel's variables. Where there is none, a plain variable
// counts for nothing, and FreeSWITCH looks on in the profile and the global variables, which have no elements.
func (r *resolver) element(name string, n int) (string, bool) {
	if name == "" {
		return "", false
	}
	if r.call.Vars != nil {
		l, knows := r.call.Vars.(lister)
		if v, ok := r.call.Vars.Get(name); ok && (!knows || l.isList(name)) {
			if v, ok = index(v, n); ok {
				return v, true
			}
		}
	}
	return r.beyond(name)
}

// beyond looks where no channel's variables are.
func (r *resolver) beyond(name string) (string, bool) {
	// The profile of the other leg: there is none before a bridge.
	if other, ok := strings.CutPrefix(name, "aleg_"); ok {
		name = other
	} else if other, ok := strings.CutPrefix(name, "bleg_"); ok {
		name = other
	} else if v, ok := r.call.field(name); ok {
		return v, true
	}
	if v, ok := r.call.globals[strings.ToLower(name)]; ok {
		return v, v != ""
	}
	return r.tree.Global(name)
}

// perform matches for the call, whose patterns that take too long are counted: beyond maxSlow nothing is matched any more.
func (r *resolver) perform(subject, expression string) (match, error) {
	if !r.worn() {
		m, err := r.tree.patterns.perform(subject, expression)
		if !errors.Is(err, ErrLimit) {
			return m, err
		}
		if r.call.slow++; !r.worn() {
			return m, err
		}
	}
	return match{}, fmt.Errorf("more than %d patterns that take longer than %v: %w", maxSlow, matchTimeout, ErrLimit)
}

// worn reports whether the call has met too many slow patterns.
func (r *resolver) worn() bool { return r.call.slow > maxSlow }

// Function carries out an API function.
func (r *resolver) Function(name, args string) (string, error) {
	if v, ok := r.call.Known[name+"("+args+")"]; ok {
		return v, nil
	}
	if r.call.Functions != nil {
		return r.call.Functions(name, args)
	}
	return r.offline(strings.ToLower(strings.Trim(name, xmlSpace)), strings.Trim(args, xmlSpace))
}
