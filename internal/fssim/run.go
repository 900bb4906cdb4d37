package fssim

import (
	"strings"
	"time"

	"github.com/signalbox/signalbox/esl/wire"
	"go.uber.org/zap"
)

// action is one application with its argument, not expanded yet.
type action struct{ app, arg string }

// tick is how long an owner sleeps at most before it looks at its clock again.
const tick = 100 * time.Millisecond

// releaseTime is how long the owner of a leg whose INVITE was withdrawn waits for the far end's last word.
const releaseTime = sipTimeout + time.Second

// run is the owner: FreeSWITCH's state machine of one session.
func (c *channel) run() {
	defer c.s.unregister(c)
	defer c.prof.removeDialog(c)
	c.setState(csInit) // unless the attempt it belongs to is over already
	c.setRunning(csInit)
	c.setState(csRouting)
	c.fire("CHANNEL_CREATE", nil)
	if c.outbound {
		c.fire("CHANNEL_ORIGINATE", nil)
		c.runOutbound()
	} else {
		c.runRouting()
	}
	c.finish()
}

// runOutbound is an outgoing leg: INVITE, then it waits, talks, or executes what somebody transferred it to.
func (c *channel) runOutbound() {
	if c.down() {
		return
	}
	c.sendInvite()
	c.setRunning(csRouting)
	c.setState(csConsumeMedia)
	c.setRunning(csConsumeMedia)
	for {
		c.pump()
		switch c.getState() {
		case csRouting, csExecute:
			c.runRouting()
			return
		case csHangup:
			return
		case csConsumeMedia:
			if c.isAnswered() && c.asked() {
				c.confirm()
				continue
			}
		}
		c.wait(tick)
	}
}

// runRouting hunts and executes until the call ends; a transfer begins a new hunt.
func (c *channel) runRouting() {
	for !c.down() {
		c.mu.Lock()
		to := c.transfer
		c.transfer = nil
		if c.state < csHangup {
			c.state = csRouting
		}
		c.mu.Unlock()
		if to != nil && to.park {
			c.parkByCommand()
			continue
		}
		if to == nil || to.acts == nil {
			c.setRunning(csRouting)
		}
		c.flipCaller()
		acts, ok := c.route(to)
		if !ok {
			c.hangup(causeNoRoute)
			return
		}
		c.mu.Lock()
		if c.state < csHangup && c.transfer == nil {
			c.state = csExecute
		}
		c.hitPlan = true
		c.mu.Unlock()
		c.setRunning(csExecute)
		c.executeAll(acts)
		if c.getState() == csReset {
			c.setRunning(csReset)
			c.idle()
		}
		c.mu.Lock()
		again := c.transfer != nil && c.state < csHangup
		c.mu.Unlock()
		if !again {
			c.hangup(causeNormalClearing)
		}
	}
}

// route finds the actions for where the call is.
func (c *channel) route(to *transferTo) ([]action, bool) {
	if to != nil && to.acts != nil {
		return to.acts, true
	}
	if to != nil && strings.EqualFold(to.dialplan, "inline") {
		c.mu.Lock() // the inline dialplan gives the number back that was called
		c.caller.dest, c.caller.rdnis = c.caller.rdnis, ""
		c.mu.Unlock()
		return inlineActions(to.dest), true
	}
	acts, ok := c.hunt()
	if !ok {
		c.s.log.Info("no route", zap.String("uuid", c.uuid), zap.String("context", c.context()))
	}
	return acts, ok
}

// parkByCommand is what uuid_park makes of a channel, until it is hung up or transferred.
func (c *channel) parkByCommand() {
	c.mu.Lock()
	if c.state < csHangup && c.transfer == nil {
		c.state = csPark
	}
	c.mu.Unlock()
	c.setRunning(csPark)
	c.park(nil)
	c.idle()
}

// idle is a state of limbo, CS_RESET or CS_PARK without a park: FreeSWITCH leaves the channel there, in silence, until it is hung up or
// transferred.
func (c *channel) idle() {
	for {
		c.mu.Lock()
		over := c.state >= csHangup || c.transfer != nil
		c.mu.Unlock()
		if over {
			return
		}
		c.pump()
		c.wait(tick)
	}
}

// uncontrol is the end of a controller's connection: whatever parks the channel by now, though it was sent there since, lets go of it.
func (c *channel) uncontrol() {
	c.mu.Lock()
	c.controlled = false
	c.mu.Unlock()
	c.signal()
}

func (c *channel) isControlled() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.controlled
}

func (c *channel) control(on bool) {
	c.mu.Lock()
	c.controlled = on
	c.mu.Unlock()
}

// flipCaller makes the called party of an outgoing leg its caller, the first time it executes something itself.
func (c *channel) flipCaller() {
	c.mu.Lock()
	if _, done := c.find("channel_cid_flipped"); done || !c.outbound {
		c.mu.Unlock()
		return
	}
	p := &c.caller
	c.store("pre_transfer_caller_id_name", p.cidName)
	c.store("pre_transfer_caller_id_number", p.cidNum)
	if p.calleeName != "" {
		p.cidName, p.calleeName = p.calleeName, p.cidName
	}
	if p.calleeNum != "" {
		p.cidNum, p.calleeNum = p.calleeNum, p.cidNum
	}
	c.store("channel_cid_flipped", "yes")
	c.mu.Unlock()
	c.fire("CALL_UPDATE", []wire.Field{{Name: "Direction", Value: "RECV"}})
}

func (c *channel) context() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.caller.context
}

// inlineActions reads the inline dialplan: "app:arg,app:arg", another separator with "m:X:".
func inlineActions(s string) []action {
	delim := byte(',')
	if rest, ok := strings.CutPrefix(s, "m:"); ok && len(rest) > 1 && rest[1] == ':' {
		delim, s = rest[0], rest[2:]
	}
	var out []action
	for _, p := range separate(s, delim) {
		app, arg, _ := strings.Cut(strings.TrimLeft(p, " "), ":")
		if app != "" {
			out = append(out, action{app, arg})
		}
	}
	return out
}

// executeAll runs actions in order until the channel is not ready any more.
func (c *channel) executeAll(acts []action) {
	for _, a := range acts {
		c.pump()
		if !c.executing() {
			return
		}
		c.execute(a.app, a.arg)
	}
}

// executing reports whether the next action may run.
func (c *channel) executing() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state < csReset && c.transfer == nil
}

// execute runs one application, with its two events. Owner only. It reports whether the application is known.
func (c *channel) execute(app, arg string) bool {
	if c.depth >= maxDepth {
		c.s.log.Error("too many stacked extensions", zap.String("uuid", c.uuid))
		return false
	}
	c.depth++
	defer func() { c.depth-- }()
	if arg == "" && strings.Contains(app, "::") {
		app, arg, _ = strings.Cut(app, "::")
		c.queuePrivate(executeCommand(app, arg))
		return true
	}
	if c.down() {
		return true
	}
	f, name := lookupApp(app)
	if f == nil {
		c.s.unknown("application " + app)
		c.hangup(causeOutOfOrder)
		return false
	}
	if needsMedia(name) && !c.hasMedia() && !c.outbound {
		c.preAnswer(nil)
	}
	uuid := c.appUUID
	c.appUUID = ""
	if uuid == "" {
		uuid = newUUID()
	}
	arg = c.expand(arg)
	c.mu.Lock()
	c.lastApp, c.lastArg = name, arg
	c.store("current_application", name)
	c.store("current_application_data", arg)
	c.store("current_application_response", "")
	c.breakNow = false
	c.mu.Unlock()
	f1 := []wire.Field{{Name: "Application", Value: name}}
	if arg != "" {
		f1 = append(f1, wire.Field{Name: "Application-Data", Value: arg})
	}
	id := wire.Field{Name: "Application-UUID", Value: uuid}
	c.fire("CHANNEL_EXECUTE", append(append([]wire.Field(nil), f1...), id))
	f(c, arg)
	resp := firstNonEmpty(c.get("current_application_response"), "_none_")
	c.fire("CHANNEL_EXECUTE_COMPLETE", append(append([]wire.Field(nil), f1...),
		wire.Field{Name: "Application-Response", Value: resp}, id))
	return true
}

// executeOn runs every variable whose name begins with the prefix: "app arg" at once, "app::arg" queued.
func (c *channel) executeOn(prefix string) {
	for _, v := range c.variables() {
		if len(v.name) < len(prefix) || !strings.EqualFold(v.name[:len(prefix)], prefix) {
			continue
		}
		app, arg, _ := strings.Cut(v.value, " ")
		if strings.Contains(app, "::") {
			app, arg, _ = strings.Cut(v.value, "::")
			c.queuePrivate(executeCommand(app, arg))
			continue
		}
		c.execute(app, arg)
	}
}

// apiOn runs the API command of every variable whose name begins with the prefix.
func (c *channel) apiOn(prefix string) {
	for _, v := range c.variables() {
		if len(v.name) < len(prefix) || !strings.EqualFold(v.name[:len(prefix)], prefix) {
			continue
		}
		cmd, arg, _ := strings.Cut(v.value, " ")
		c.s.api(c, cmd, c.expand(arg))
	}
}

// privateCommand is a sendmsg that waits for the owner.
type privateCommand struct {
	get  func(string) string
	body string
}

func executeCommand(app, arg string) privateCommand {
	return privateCommand{get: func(name string) string {
		switch name {
		case "call-command":
			return "execute"
		case "execute-app-name":
			return app
		case "execute-app-arg":
			return arg
		case "event-lock":
			return "true"
		}
		return ""
	}}
}

// queuePrivate queues a sendmsg; it reports false when too many wait.
func (c *channel) queuePrivate(p privateCommand) bool {
	c.mu.Lock()
	if len(c.private) >= maxPrivate {
		c.mu.Unlock()
		return false
	}
	if isTrue(p.get("event-lock-pri")) {
		c.private = append([]privateCommand{p}, c.private...)
	} else {
		c.private = append(c.private, p)
	}
	c.mu.Unlock()
	c.signal()
	return true
}

// pump does what waits for the owner: SIP, then queued commands, unless an application that holds the event lock is
// running. Every waiting loop calls it.
func (c *channel) pump() {
	c.runJobs()
	if c.depth >= maxDepth {
		return
	}
	for c.lockPri == 0 {
		c.mu.Lock()
		if len(c.private) == 0 || c.lock > 0 && !isTrue(c.private[0].get("event-lock-pri")) {
			c.mu.Unlock()
			return
		}
		p := c.private[0]
		c.private = c.private[1:]
		c.mu.Unlock()
		c.depth++
		c.perform(p)
		c.depth--
		c.runJobs()
	}
}

// perform executes one sendmsg.
func (c *channel) perform(p privateCommand) {
	if isTrue(p.get("event-lock")) {
		c.lock++
		defer func() { c.lock-- }()
	}
	if isTrue(p.get("event-lock-pri")) {
		c.lockPri++
		defer func() { c.lockPri-- }()
	}
	switch strings.ToLower(p.get("call-command")) {
	case "execute":
		c.performExecute(p)
	case "hangup":
		cs := causeNormalClearing
		if v := p.get("hangup-cause"); v != "" {
			cs = causeByName(v)
		}
		c.hangup(cs)
	case "":
		c.s.log.Error("sendmsg without call-command", zap.String("uuid", c.uuid))
	default:
		c.s.unknown("call-command " + p.get("call-command"))
	}
}

func (c *channel) performExecute(p privateCommand) {
	app := p.get("execute-app-name")
	if app == "" {
		return
	}
	arg := p.get("execute-app-arg")
	if arg == "" && strings.EqualFold(p.get("content-type"), "text/plain") {
		arg = p.body
	}
	loops := 1
	if v := p.get("loops"); v != "" {
		loops = atoi(v)
	}
	for x := 0; x < loops || loops < 0; x++ {
		began := time.Now()
		c.appUUID = p.get("event-uuid")
		c.set("current_loop", itoa(x+1))
		c.set("total_loops", itoa(loops))
		if !c.execute(app, arg) || !c.ready() || time.Since(began) < 500*time.Millisecond {
			break
		}
	}
	c.set("current_loop", "")
	c.set("total_loops", "")
}

// park waits under somebody's control until alive reports false, a controller's connection ends, the channel is hung up, transferred or reset.
func (c *channel) park(alive func() bool) {
	if c.isControlled() || c.getState() == csReset {
		return
	}
	var expires time.Time
	cs := causeNormalClearing
	if v := c.get("park_timeout"); v != "" {
		n, name, named := strings.Cut(v, ":")
		if named {
			cs = causeByName(name)
		}
		expires = time.Now().Add(time.Duration(atoi(n)) * time.Second)
		c.set("park_timeout", "")
	}
	c.control(true)
	c.fire("CHANNEL_PARK", nil)
	held := func() bool { return c.ready() && c.isControlled() && (alive == nil || alive()) }
	for held() {
		c.pump()
		c.swallowDigits()
		if !held() {
			break
		}
		if !expires.IsZero() && !time.Now().Before(expires) {
			c.hangup(cs)
			break
		}
		c.wait(tick)
	}
	c.control(false)
	c.fire("CHANNEL_UNPARK", nil)
}

// outlastController waits until the connection of the controller has ended: it holds the session, with linger for a
// while after the call.
func (c *channel) outlastController() {
	c.mu.Lock()
	l := c.controller
	c.mu.Unlock()
	for l != nil && !isClosed(l.finished) {
		c.runJobs()
		c.wait(tick)
	}
}

// finish is what follows a hangup: the leg is cleared, the last events are published, late SIP is answered.
func (c *channel) finish() {
	c.runJobs()
	c.setRunning(csHangup)
	c.clearLeg()
	c.mu.Lock()
	c.caller.hungup = micros(time.Now())
	c.mu.Unlock()
	c.setCallState(ccsHangup)
	c.mu.Lock()
	c.state = csReporting
	c.mu.Unlock()
	c.setRunning(csReporting)
	c.setCallTimes()
	c.fire("CHANNEL_HANGUP_COMPLETE", nil)
	c.apiOn("api_hangup_hook")
	c.s.bury(c)
	c.outlastController()
	c.mu.Lock()
	c.state = csDestroy
	c.mu.Unlock()
	c.fire("CHANNEL_DESTROY", nil)
	c.setRunning(csDestroy)
	c.s.unregister(c)
	c.signal()
	deadline := time.Now().Add(releaseTime)
	for c.outbound && c.leg.client != nil && !c.leg.finished && !c.leg.acked && time.Now().Before(deadline) {
		c.runJobs()
		if c.leg.finished || c.leg.acked || c.s.stopped() {
			break
		}
		c.wait(tick)
	}
	if c.leg.sentOK {
		c.leg.invite.gotAck() // the BYE is out, the 200 need not be repeated any more
	}
	if c.leg.relay != nil {
		c.leg.relay.close()
	}
	c.mu.Lock()
	c.released = true
	c.jobs, c.private = nil, nil
	c.mu.Unlock()
}
