package dialplan

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"strings"
)

// Walk is what a whole call would go through.
type Walk struct {
	// Trace holds the log lines of all hunts in order, without "Dialplan: CHANNEL ".
	Trace []string
	// Places says for each line of Trace where the element stands that it speaks of.
	Places []Pos
	// Extension is the first extension that matched, "" when none did; Extensions are all that contributed an action.
	Extension  string
	Extensions []string
	// Executed are the applications in the order of execution, as "application(data)" with variables expanded.
	Executed []string
	// Actions are the same with their places.
	Actions []Action
	// Notices say what was assumed and what could not be evaluated.
	Notices []Notice
	// Handed are the calls as they stood when the application socket gave them to a controller, in order; their Vars are
	// copies.
	Handed []Handover
	// End says how the call leaves the dialplan: a hangup cause such as NO_ROUTE_DESTINATION, or "" when the last
	// application returned.
	End string
}

// Handover is a call that the application socket gives to a controller, such as "127.0.0.1:8084 async full".
type Handover struct {
	Action Action
	Call   *Call
}

// WalkOptions say how applications end that cannot run on paper.
type WalkOptions struct {
	// Assume gives the outcome of an application: a hangup cause such as NO_ANSWER for a bridge that failed, "" or
	// "SUCCESS" for one that worked. "NO_ANSWER,SUCCESS" means the first run and all later ones. Names are lower case. An
	// application that is not named works and returns.
	Assume map[string]string
	// MaxExecuted bounds the applications of one walk; default 1,000.
	MaxExecuted int
}

const (
	maxHunts = 500 // of one walk; FreeSWITCH's own bound is Max-Forwards, which a dialplan can set back
	maxDepth = 16  // of execute_extension, FreeSWITCH's own
)

// Walk hunts for the call and executes what is found on paper, through transfers and execute_extension, until the
// call ends or the last application returned. Variables and fields set on the way are in c afterwards. Beyond a bound it
// returns what it has and an error that wraps ErrLimit.
func (t *Tree) Walk(ctx context.Context, c *Call, opt WalkOptions) (*Walk, error) {
	if opt.MaxExecuted <= 0 {
		opt.MaxExecuted = 1000
	}
	if c.Vars == nil {
		c.Vars = NewVars(nil)
	}
	w := &walker{tree: t, call: c, opt: opt, walk: &Walk{Trace: []string{}, Executed: []string{}}}
	for hunts := 0; ; hunts++ {
		if hunts > maxHunts {
			return w.walk, fmt.Errorf("more than %d transfers: %w", maxHunts, ErrLimit)
		}
		to := w.next
		w.next = nil
		if err := w.route(ctx, c, to, 0); err != nil {
			return w.walk, err
		}
		if w.ended || w.next == nil {
			return w.walk, nil
		}
		if !w.forward(*w.next) {
			return w.walk, nil
		}
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
	hunts int
	runs  map[string]int // of applications with an assumed outcome
}

type place struct {
	destination, dialplan, context string
	pos                            Pos
}

func (w *walker) notice(pos Pos, kind NoticeKind, format string, args ...any) {
	if len(w.walk.Notices) < 1000 {
		w.walk.Notices = append(w.walk.Notices, Notice{pos, kind, fmt.Sprintf(format, args...)})
	}
}

func (w *walker) end(cause string) {
	w.ended = true
	w.walk.End = cause
}

// forward moves the call to where a transfer sent it, and reports false when it has been sent on too often.
func (w *walker) forward(to place) bool {
	c := w.call
	// max_session_transfers goes before max_forwards; either counts down.
	name, left := "max_session_transfers", 70
	have, ok := c.Vars.Get(name)
	if !ok {
		name = "max_forwards"
		have, ok = c.Vars.Get(name)
	}
	if ok {
		left = atoi(have) - 1
	}
	if left <= 0 {
		w.notice(to.pos, NoticeError, "transferred too often, %s is used up", name)
		w.end("EXCHANGE_ROUTING_ERROR")
		return false
	}
	c.Vars.Set(name, fmt.Sprint(left))
	came := c.Destination
	c.Destination, c.Context = to.destination, to.context
	c.setField("dialplan", to.dialplan)
	c.setField("rdnis", came)
	uuid, _ := c.field("uuid")
	source := fmt.Sprintf("%d:%s:bl_xfer:%s/%s/%s", c.Now.Unix(), uuid, to.destination, to.context, to.dialplan)
	c.setField("transfer_source", source)
	push(c.Vars, "transfer_history", source)
	c.Vars.Set("transfer_source", source)
	return true
}

// route finds what is to be executed for c, which is the call itself or its copy for execute_extension, in the
// dialplan that to names, and executes it.
func (w *walker) route(ctx context.Context, c *Call, to *place, depth int) error {
	dialplan, pos := "XML", Pos{}
	if to != nil {
		dialplan, pos = to.dialplan, to.pos
	}
	for kind := range strings.SplitSeq(dialplan, ",") {
		kind, arg, _ := strings.Cut(strings.TrimSpace(kind), ":")
		switch {
		case strings.EqualFold(kind, "XML"):
			found, err := w.hunt(ctx, c)
			if err != nil || found == nil {
				return err
			}
			if found.Matched {
				return w.run(ctx, c, found.Actions, depth)
			}
		case strings.EqualFold(kind, "inline"):
			return w.inline(ctx, c, arg, pos, depth)
		default:
			w.notice(pos, NoticeUnknown, "dialplan %s is not followed here", clip(kind))
			if depth == 0 {
				w.end("dialplan " + kind)
			}
			return nil
		}
	}
	if depth == 0 {
		w.end("NO_ROUTE_DESTINATION")
	}
	return nil
}

// hunt hunts in the XML dialplan. Without a result an inline action ended the call.
func (w *walker) hunt(ctx context.Context, c *Call) (*Result, error) {
	found, err := w.tree.Hunt(ctx, c)
	w.walk.Trace = append(w.walk.Trace, found.Trace...)
	w.walk.Places = append(w.walk.Places, found.Places...)
	w.walk.Notices = append(w.walk.Notices, found.Notices...)
	for _, line := range found.Trace {
		w.size += len(line)
	}
	if len(w.walk.Trace) > maxTrace || w.size > maxTraceSize {
		return nil, fmt.Errorf("more than %d lines or %d bytes of trace: %w", maxTrace, maxTraceSize, ErrLimit)
	}
	for _, a := range found.Inline {
		w.record(a)
	}
	if found.Matched && w.walk.Extension == "" {
		w.walk.Extension = found.Extension
	}
	w.walk.Extensions = append(w.walk.Extensions, found.Extensions...)
	if errors.Is(err, ErrNoContext) {
		w.notice(Pos{}, NoticeError, "%v", err)
	} else if err != nil {
		return nil, err
	}
	if found.Ended != "" {
		w.end(found.Ended)
		return nil, nil
	}
	return found, nil
}

// inline executes the dialplan inline: the destination, or the dialplan's argument, is a list of app:data.
func (w *walker) inline(ctx context.Context, c *Call, list string, pos Pos, depth int) error {
	if list == "" {
		list = c.Destination
	}
	delim := byte(',')
	if len(list) > 3 && list[0] == 'm' && list[1] == ':' && list[3] == ':' {
		delim, list = list[2], list[4:]
	}
	var actions []Action
	for _, item := range separate(list, delim, 128) {
		app, data, _ := strings.Cut(item, ":")
		actions = append(actions, Action{Application: strings.TrimLeft(app, " "), Data: data, Pos: pos})
	}
	c.Destination, _ = c.field("rdnis")
	c.setField("rdnis", "")
	return w.run(ctx, c, actions, depth)
}

func (w *walker) run(ctx context.Context, c *Call, actions []Action, depth int) error {
	for _, a := range actions {
		if err := w.execute(ctx, c, a, depth); err != nil {
			return err
		}
		if w.ended || w.next != nil {
			return nil
		}
	}
	return nil
}

func (w *walker) record(a Action) {
	w.walk.Executed = append(w.walk.Executed, a.Application+"("+a.Data+")")
	w.walk.Actions = append(w.walk.Actions, a)
}

// execute executes one application on paper.
func (w *walker) execute(ctx context.Context, c *Call, a Action, depth int) error {
	if len(w.walk.Executed) >= w.opt.MaxExecuted {
		return errAt(a.Pos, "more than %d applications: %w", w.opt.MaxExecuted, ErrLimit)
	}
	p := paper{resolver: w.tree.resolver(c), end: w.end,
		notice: func(kind NoticeKind, format string, args ...any) { w.notice(a.Pos, kind, format, args...) }}
	data, err := p.prepare(a.Data)
	defer func() { c.scope = nil }()
	if err != nil {
		w.notice(a.Pos, NoticeUnknown, "%v", err)
		if errors.Is(err, ErrLimit) {
			return err
		}
	}
	if w.size += len(data); w.size > maxTraceSize {
		return errAt(a.Pos, "more than %d bytes of data: %w", maxTraceSize, ErrLimit)
	}
	a.Data = data
	if w.missing(a) {
		return nil
	}
	w.media(c, a)
	w.record(a)
	done := p.apply(a.Application, data)
	if p.spend(0) {
		return errAt(a.Pos, "more than %d bytes of variables: %w", maxWritten, ErrLimit)
	}
	if p.worn() {
		return errAt(a.Pos, "more than %d patterns that take longer than %v: %w", maxSlow, matchTimeout, ErrLimit)
	}
	if done {
		return nil
	}
	return w.control(ctx, c, a, depth)
}

// media notes in the call's variables that it was answered or got early media, as FreeSWITCH does.
func (w *walker) media(c *Call, a Action) {
	app, _ := LookupApplication(a.Application)
	have, _ := c.Vars.Get("endpoint_disposition")
	switch {
	case app.Name == "answer":
		c.Vars.Set("endpoint_disposition", "ANSWER")
	case have == "ANSWER" || have == "EARLY MEDIA":
	case app.Name == "pre_answer" || app.Media:
		c.Vars.Set("endpoint_disposition", "EARLY MEDIA")
	}
}

// missing ends the call when FreeSWITCH would not know the application.
func (w *walker) missing(a Action) bool {
	app, ok := LookupApplication(a.Application)
	why := "none of FreeSWITCH's own modules brings it"
	if ok {
		dptools, known := w.tree.loads("mod_dptools")
		loaded, _ := w.tree.loads(app.Module)
		if loaded || !known || !dptools || app.Module == "core" {
			return false
		}
		why = "modules.conf does not load " + app.Module
	}
	if _, assumed := w.opt.Assume[strings.ToLower(a.Application)]; assumed {
		return false
	}
	w.notice(a.Pos, NoticeAssumed, "application %s is taken for unknown, %s; --assume %[1]s=SUCCESS says otherwise", clip(a.Application), why)
	w.end("DESTINATION_OUT_OF_ORDER")
	return true
}

// control executes an application that decides where the call goes.
func (w *walker) control(ctx context.Context, c *Call, a Action, depth int) error {
	switch app := strings.ToLower(a.Application); app {
	case "transfer":
		w.transfer(c, a, a.Data)
	case "execute_extension":
		return w.executeExtension(ctx, c, a, depth)
	case "hangup":
		w.end(cmp.Or(strings.TrimSpace(a.Data), "NORMAL_CLEARING"))
	case "respond":
		if code := atoi(a.Data); code >= 300 {
			w.end("SIP " + a.Data)
		}
	case "redirect", "deflect":
		w.end(app + " " + a.Data)
	case "echo", "delay_echo", "park", "endless_playback", "hold":
		if _, known := w.opt.Assume[app]; !known {
			w.notice(a.Pos, NoticeAssumed, "%s lasts until the caller hangs up", app)
			w.end("NORMAL_CLEARING")
			return nil
		}
		w.outcome(c, a, app)
	case "socket":
		w.hand(c, a)
		w.outcome(c, a, app)
	default:
		w.outcome(c, a, app)
	}
	return nil
}

// hand keeps the call as the controller sees it.
func (w *walker) hand(c *Call, a Action) {
	if _, known := w.opt.Assume["socket"]; !known {
		w.notice(a.Pos, NoticeAssumed, "nobody listens at %s: the dialplan goes on at once", clip(a.Data))
	}
	if vars, ok := c.Vars.(*Vars); ok && len(w.walk.Handed) < 100 {
		then := *c
		then.Vars, then.Fields, then.outer = NewVars(vars.All()), maps.Clone(c.Fields), nil
		w.walk.Handed = append(w.walk.Handed, Handover{Action: a, Call: &then})
	}
}

// assumed returns what is assumed about the next run of an application.
func (w *walker) assumed(app string) (cause string, known bool) {
	list, known := w.opt.Assume[app]
	if !known {
		return "", false
	}
	causes := strings.Split(list, ",")
	if w.runs == nil {
		w.runs = map[string]int{}
	}
	n := min(w.runs[app], len(causes)-1)
	w.runs[app]++
	return strings.ToUpper(strings.TrimSpace(causes[n])), true
}

// outcome applies what is assumed about an application that would touch the call.
func (w *walker) outcome(c *Call, a Action, app string) {
	cause, known := w.assumed(app)
	if cause2, ok := strings.CutPrefix(a.Data, "error/"); ok && app == "bridge" && !strings.ContainsAny(cause2, ",|:") {
		cause, known = strings.ToUpper(strings.TrimSpace(cause2)), true
	} else if known {
		w.notice(a.Pos, NoticeAssumed, "%s is assumed to give %s", app, cmp.Or(cause, "SUCCESS"))
	}
	if app != "bridge" {
		if known && cause != "" && cause != "SUCCESS" {
			w.end(cause)
		}
		return
	}
	if !known {
		w.notice(a.Pos, NoticeAssumed, "bridge is assumed to be answered and over; --assume bridge=NO_ANSWER and the like say otherwise")
	}
	if cause == "" || cause == "SUCCESS" {
		c.Vars.Set("originate_disposition", "SUCCESS")
		if to, ok := c.Vars.Get("transfer_after_bridge"); ok {
			f := append(separate(to, ':', 3), "", "", "")
			w.transferTo(c, f[0], f[1], f[2], a.Pos)
			return
		}
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
		w.notice(a.Pos, NoticeUnknown, "transfer %s: there is no other leg here", f[0])
		if strings.EqualFold(f[0], "-bleg") {
			return
		}
		f = f[1:]
	}
	if len(f) == 0 {
		w.notice(a.Pos, NoticeError, "transfer without an extension: FreeSWITCH goes on")
		return
	}
	f = append(f, "", "", "")
	w.transferTo(c, f[0], f[1], f[2], a.Pos)
}

// transferTo completes what a transfer did not say: force_transfer_dialplan and force_transfer_context go before what
// the call has now.
func (w *walker) transferTo(c *Call, destination, dialplan, context string, pos Pos) {
	if dialplan == "" {
		dialplan, _ = c.Vars.Get("force_transfer_dialplan")
	}
	if context == "" {
		context, _ = c.Vars.Get("force_transfer_context")
	}
	if dialplan == "" {
		if dialplan, _ = c.field("dialplan"); strings.EqualFold(dialplan, "inline") {
			dialplan = ""
		}
	}
	w.next = &place{cmp.Or(destination, "service"), cmp.Or(dialplan, "XML"), cmp.Or(context, c.Context, "default"), pos}
}

// executeExtension hunts for another extension, executes it and comes back.
func (w *walker) executeExtension(ctx context.Context, c *Call, a Action, depth int) error {
	f := separate(a.Data, ' ', 4)
	if len(f) == 0 {
		w.notice(a.Pos, NoticeError, "execute_extension without an extension")
		return nil
	}
	if depth >= maxDepth {
		w.notice(a.Pos, NoticeError, "execute_extension nested deeper than %d: FreeSWITCH goes on", maxDepth)
		return nil
	}
	if w.hunts++; w.hunts > maxHunts {
		return errAt(a.Pos, "more than %d hunts of execute_extension: %w", maxHunts, ErrLimit)
	}
	f = append(f, "", "", "")
	inner := *c
	inner.outer = c
	inner.Destination = f[0]
	dialplan, _ := c.field("dialplan")
	inner.Context = cmp.Or(f[2], c.Context)
	if err := w.route(ctx, &inner, &place{f[0], cmp.Or(f[1], dialplan), inner.Context, a.Pos}, depth+1); err != nil {
		return err
	}
	c.globals, c.store, c.Now, c.written, c.slow = inner.globals, inner.store, inner.Now, inner.written, inner.slow
	// When an inner hunt is over FreeSWITCH forgets the profile of the one around it as well.
	root := c
	for root.outer != nil {
		root = root.outer
	}
	if root != c {
		c.Destination, c.Context, c.CallerIDName, c.CallerIDNumber, c.Fields = root.Destination, root.Context, root.CallerIDName, root.CallerIDNumber, root.Fields
	}
	return nil
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
