package dialplan

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Walk is what a whole call would go through.
type Walk struct {
	// Trace holds the log lines of all hunts in order, without "Dialplan: CHANNEL ".
	Trace []string
	// Executed are the applications in the order of execution, as "application(data)" with variables expanded.
	Executed []string
	// Actions are the same with their places.
	Actions []Action
	// Notices say what was assumed and what could not be evaluated.
	Notices []Notice
	// End says how the call leaves the dialplan: a hangup cause such as NO_ROUTE_DESTINATION, or "" when the last
	// application returned.
	End string
}

// WalkOptions say how applications end that cannot run on paper.
type WalkOptions struct {
	// Assume gives the outcome of an application: a hangup cause such as NO_ANSWER for a bridge that failed, "" or
	// "SUCCESS" for one that worked. Names are lower case. An application that is not named works and returns.
	Assume map[string]string
	// MaxExecuted bounds the applications of one walk; default 1,000.
	MaxExecuted int
}

const (
	maxTransfers = 70 // FreeSWITCH's Max-Forwards
	maxDepth     = 16 // of execute_extension, FreeSWITCH's own
)

// Walk hunts for the call and executes what is found on paper, through transfers and execute_extension, until the
// call ends or the last application returned. Variables set on the way are in c.Vars afterwards. Beyond a bound it
// returns what it has and an error that wraps ErrLimit.
func (t *Tree) Walk(ctx context.Context, c *Call, opt WalkOptions) (*Walk, error) {
	if opt.MaxExecuted <= 0 {
		opt.MaxExecuted = 1000
	}
	if c.Vars == nil {
		c.Vars = NewVars(nil)
	}
	w := &walker{tree: t, call: c, opt: opt, walk: &Walk{Trace: []string{}, Executed: []string{}}}
	for transfers := 0; ; transfers++ {
		if transfers > maxTransfers {
			w.walk.End = "EXCHANGE_ROUTING_ERROR"
			return w.walk, fmt.Errorf("more than %d transfers: %w", maxTransfers, ErrLimit)
		}
		w.next = nil
		if err := w.hunt(ctx, c, 0); err != nil {
			return w.walk, err
		}
		if w.ended || w.next == nil {
			return w.walk, nil
		}
		fields := map[string]string{}
		for k, v := range c.Fields {
			fields[k] = v
		}
		fields["rdnis"] = c.Destination
		c.Fields, c.Destination, c.Context = fields, w.next.destination, w.next.context
	}
}

type walker struct {
	tree  *Tree
	call  *Call
	opt   WalkOptions
	walk  *Walk
	next  *place // where a transfer goes
	ended bool
	size  int // bytes of trace and of executed applications
}

type place struct{ destination, context string }

func (w *walker) notice(pos Pos, kind NoticeKind, format string, args ...any) {
	if len(w.walk.Notices) < 1000 {
		w.walk.Notices = append(w.walk.Notices, Notice{pos, kind, fmt.Sprintf(format, args...)})
	}
}

func (w *walker) end(cause string) {
	w.ended = true
	w.walk.End = cause
}

// hunt hunts for c, which is the call itself or its copy for execute_extension, and executes what was found.
func (w *walker) hunt(ctx context.Context, c *Call, depth int) error {
	found, err := w.tree.Hunt(ctx, c)
	w.walk.Trace = append(w.walk.Trace, found.Trace...)
	w.walk.Notices = append(w.walk.Notices, found.Notices...)
	for _, line := range found.Trace {
		w.size += len(line)
	}
	if len(w.walk.Trace) > maxTrace || w.size > maxTraceSize {
		return fmt.Errorf("more than %d lines or %d bytes of trace: %w", maxTrace, maxTraceSize, ErrLimit)
	}
	for _, a := range found.Inline {
		data, _ := Expand(a.Data, w.tree.resolver(c)) // Hunt has reported what it could not evaluate
		w.record(a, data)
	}
	if errors.Is(err, ErrNoContext) {
		w.notice(Pos{}, NoticeError, "%v", err)
	} else if err != nil {
		return err
	}
	if !found.Matched {
		if depth == 0 {
			w.end("NO_ROUTE_DESTINATION")
		}
		return nil
	}
	for _, a := range found.Actions {
		if err := w.execute(ctx, c, a, depth); err != nil {
			return err
		}
		if w.ended || w.next != nil {
			return nil
		}
	}
	return nil
}

func (w *walker) record(a Action, data string) {
	w.walk.Executed = append(w.walk.Executed, a.Application+"("+data+")")
	a.Data = data
	w.walk.Actions = append(w.walk.Actions, a)
}

// execute executes one application on paper.
func (w *walker) execute(ctx context.Context, c *Call, a Action, depth int) error {
	if len(w.walk.Executed) >= w.opt.MaxExecuted {
		return errAt(a.Pos, "more than %d applications: %w", w.opt.MaxExecuted, ErrLimit)
	}
	resolve := w.tree.resolver(c)
	data, err := Expand(a.Data, resolve)
	if err != nil {
		w.notice(a.Pos, NoticeUnknown, "%v", err)
		if errors.Is(err, ErrLimit) {
			return err
		}
	}
	if w.size += len(data); w.size > maxTraceSize {
		return errAt(a.Pos, "more than %d bytes of data: %w", maxTraceSize, ErrLimit)
	}
	w.record(a, data)
	app := strings.ToLower(a.Application)
	if apply(c.Vars, resolve, app, data) {
		return nil
	}
	switch app {
	case "transfer":
		w.transfer(c, a, data)
	case "execute_extension":
		return w.executeExtension(ctx, c, a, data, depth)
	case "hangup":
		cause := strings.TrimSpace(data)
		if cause == "" {
			cause = "NORMAL_CLEARING"
		}
		w.end(cause)
	case "respond":
		if code := atoi(data); code >= 300 {
			w.end("SIP " + data)
		}
	case "redirect", "deflect":
		w.end(app + " " + data)
	default:
		w.outcome(c, a, app)
	}
	return nil
}

// outcome applies what is assumed about an application that would touch the call.
func (w *walker) outcome(c *Call, a Action, app string) {
	cause, known := w.opt.Assume[app]
	cause = strings.ToUpper(cause)
	if app != "bridge" {
		if known && cause != "" && cause != "SUCCESS" {
			w.end(cause)
		}
		return
	}
	if !known {
		w.notice(a.Pos, NoticeAssumed, "bridge is assumed to be answered and over")
	}
	if cause == "" || cause == "SUCCESS" {
		c.Vars.Set("originate_disposition", "SUCCESS")
		if v, _ := c.Vars.Get("hangup_after_bridge"); isTrue(v) {
			w.end("NORMAL_CLEARING")
		}
		return
	}
	c.Vars.Set("originate_disposition", cause)
	c.Vars.Set("originate_failed_cause", cause)
	w.failedBridge(c, a, cause)
}

// failedBridge decides where a call goes whose bridge failed: transfer_on_fail, on with the next application, or out.
func (w *walker) failedBridge(c *Call, a Action, cause string) {
	if v, ok := c.Vars.Get("transfer_on_fail"); ok {
		f := separate(v, ' ', 4)
		if len(f) > 1 && (isTrue(f[0]) || listsCause(f[0], cause)) {
			w.transfer(c, a, strings.Join(f[1:], " "))
			return
		}
	}
	goOn, _ := c.Vars.Get("continue_on_fail")
	if isTrue(goOn) || listsCause(goOn, cause) {
		return
	}
	if failed, ok := c.Vars.Get("failure_causes"); ok && !listsCause(failed, cause) {
		return
	}
	w.end(cause)
}

func listsCause(list, cause string) bool {
	for item := range strings.SplitSeq(list, ",") {
		if strings.EqualFold(strings.TrimSpace(item), cause) {
			return true
		}
	}
	return false
}

// transfer notes where the call is hunted next.
func (w *walker) transfer(c *Call, a Action, data string) {
	f := separate(data, ' ', 4)
	if len(f) > 0 && (strings.EqualFold(f[0], "-bleg") || strings.EqualFold(f[0], "-both")) {
		w.notice(a.Pos, NoticeUnknown, "transfer %s is not followed here", f[0])
		if strings.EqualFold(f[0], "-bleg") {
			return
		}
		f = f[1:]
	}
	if len(f) == 0 {
		w.notice(a.Pos, NoticeError, "transfer without an extension: FreeSWITCH goes on")
		return
	}
	to := place{f[0], c.Context}
	if len(f) > 2 {
		to.context = f[2]
	}
	if len(f) > 1 && !strings.EqualFold(f[1], "XML") {
		w.notice(a.Pos, NoticeUnknown, "transfer into dialplan %s is not followed here", f[1])
		w.end("transfer " + data)
		return
	}
	w.next = &to
}

// executeExtension hunts for another extension, executes it and comes back.
func (w *walker) executeExtension(ctx context.Context, c *Call, a Action, data string, depth int) error {
	f := separate(data, ' ', 4)
	if len(f) == 0 {
		w.notice(a.Pos, NoticeError, "execute_extension without an extension")
		return nil
	}
	if depth >= maxDepth {
		w.notice(a.Pos, NoticeError, "execute_extension nested deeper than %d: FreeSWITCH goes on", maxDepth)
		return nil
	}
	inner := *c
	inner.Destination = f[0]
	if len(f) > 2 {
		inner.Context = f[2]
	}
	if len(f) > 1 && !strings.EqualFold(f[1], "XML") {
		w.notice(a.Pos, NoticeUnknown, "execute_extension in dialplan %s is not followed here", f[1])
		return nil
	}
	return w.hunt(ctx, &inner, depth+1)
}

// apply carries out the applications that only touch variables and reports whether app is one.
func apply(vars Variables, r Resolver, app, data string) bool {
	switch strings.ToLower(app) {
	case "set":
		setVar(vars, r, data)
	case "multiset":
		delim := byte(' ')
		if strings.HasPrefix(data, "^^") && len(data) > 3 {
			delim, data = data[2], data[3:]
		}
		for item := range strings.SplitSeq(data, string(delim)) {
			setVar(vars, r, item)
		}
	case "unset":
		vars.Set(data, "")
	case "multiunset":
		for item := range strings.SplitSeq(data, " ") {
			vars.Set(item, "")
		}
	case "export":
		name, value, _ := strings.Cut(data, "=")
		name = strings.TrimPrefix(name, "nolocal:")
		vars.Set(name, value)
		have, _ := vars.Get("export_vars")
		if have != "" {
			have += ","
		}
		vars.Set("export_vars", have+name)
	case "push", "unshift":
		name, value, ok := strings.Cut(data, "=")
		if ok {
			push(vars, name, value)
		}
	case "set_profile_var", "set_name", "info", "log", "eval", "verbose_events", "sleep":
	default:
		return false
	}
	return true
}

// setVar is the application set: the value is expanded once more, the name ends at "=" or, without one, at a comma.
func setVar(vars Variables, r Resolver, data string) {
	name, value, ok := strings.Cut(data, "=")
	if !ok {
		name, value, _ = strings.Cut(data, ",")
	}
	value, _ = Expand(value, r) // the first expansion has reported what it could not evaluate
	vars.Set(name, value)
}

// WriteJSON writes the walk as {"trace":[...],"executed":[...]}, the format of "signalbox dialplan trace --format
// json".
func (w *Walk) WriteJSON(out io.Writer) error {
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", " ")
	return enc.Encode(struct {
		Trace    []string `json:"trace"`
		Executed []string `json:"executed"`
	}{append([]string{}, w.Trace...), append([]string{}, w.Executed...)})
}

// WriteText writes the walk for people: the trace, the applications with their places, the notices and the end.
func (w *Walk) WriteText(out io.Writer) error {
	var b strings.Builder
	for _, line := range w.Trace {
		b.WriteString("Dialplan: " + line + "\n")
	}
	for _, a := range w.Actions {
		fmt.Fprintf(&b, "EXECUTE %s(%s)  %s\n", a.Application, a.Data, a.Pos)
	}
	for _, n := range w.Notices {
		fmt.Fprintf(&b, "note: %s\n", n)
	}
	if w.End != "" {
		fmt.Fprintf(&b, "ends: %s\n", w.End)
	}
	_, err := io.WriteString(out, b.String())
	return err
}
