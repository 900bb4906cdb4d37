package fssim

import (
	"strings"
	"time"

	"go.uber.org/zap"
)

// application is what an action runs; arg is expanded already.
type application func(c *channel, arg string)

// lookupApp finds an application by its name, whatever its case, with the name FreeSWITCH publishes.
func lookupApp(name string) (application, string) {
	switch n := strings.ToLower(name); n {
	case "answer":
		return func(c *channel, _ string) { c.answer(nil) }, n
	case "pre_answer":
		return func(c *channel, _ string) { c.preAnswer(nil) }, n
	case "ring_ready":
		return func(c *channel, _ string) { c.ringReady() }, n
	case "set", "unset", "export", "multiset", "multiunset":
		return variableApp(n), n
	case "bridge":
		return appBridge, n
	case "playback", "endless_playback", "gentones", "loop_playback":
		return appPlayback, n
	case "record":
		return appRecord, n
	case "read":
		return appRead, n
	case "play_and_get_digits":
		return appPlayAndGetDigits, n
	case "conference":
		return appConference, n
	case "sleep":
		return func(c *channel, arg string) { c.pause(time.Duration(atoi(arg)) * time.Millisecond) }, n
	case "hangup":
		return appHangup, n
	case "respond":
		return appRespond, n
	case "park":
		return func(c *channel, _ string) { c.park(nil) }, n
	case "transfer":
		return appTransfer, n
	case "execute_extension":
		return appExecuteExtension, n
	case "socket":
		return appSocket, n
	case "start_dtmf", "stop_dtmf":
		return func(c *channel, _ string) {
			if c.leg.relay != nil {
				c.leg.relay.inBand.Store(n == "start_dtmf")
			}
		}, n
	case "log", "info", "eval", "verbose_events", "flush_dtmf":
		return appQuiet(n), n
	case "sched_hangup":
		return appSchedHangup, n
	}
	return nil, name
}

// needsMedia tells which applications pre-answer an incoming call first.
func needsMedia(name string) bool {
	switch name {
	case "playback", "endless_playback", "gentones", "loop_playback", "record", "read", "play_and_get_digits", "conference":
		return true
	}
	return false
}

func variableApp(name string) application {
	switch name {
	case "unset":
		return func(c *channel, arg string) { c.set(strings.TrimSpace(arg), "") }
	case "export":
		return appExport
	case "multiset":
		return func(c *channel, arg string) { eachItem(arg, func(kv string) { appSet(c, kv) }) }
	case "multiunset":
		return func(c *channel, arg string) { eachItem(arg, func(k string) { c.set(k, "") }) }
	}
	return appSet
}

// eachItem parts "a=b c=d", or "^^:a=b:c=d" with another delimiter.
func eachItem(arg string, fn func(string)) {
	delim := byte(' ')
	if len(arg) > 3 && arg[:2] == "^^" {
		delim, arg = arg[2], arg[3:]
	}
	for _, kv := range separate(arg, delim) {
		if kv != "" {
			fn(kv)
		}
	}
}

// appSet is the set application: "name=value"; an empty value and _undef_ remove the variable.
func appSet(c *channel, arg string) {
	name, value, ok := strings.Cut(arg, "=")
	name = strings.TrimSpace(name)
	if !ok {
		// FreeSWITCH reads "set name" as an empty value.
		value = ""
	}
	value = strings.TrimLeft(value, " ")
	if value == "_undef_" {
		value = ""
	}
	c.set(name, value)
}

// appExport sets a variable that legs called from this one inherit; "nolocal:" keeps it off this one's own name.
func appExport(c *channel, arg string) {
	name, value, _ := strings.Cut(arg, "=")
	name = strings.TrimSpace(name)
	c.set(name, value)
	exports := c.get("export_vars")
	for n := range strings.SplitSeq(exports, ",") {
		if n == name {
			return
		}
	}
	if exports != "" {
		name = exports + "," + name
	}
	c.set("export_vars", name)
}

// pause waits in real time while the call lives; queued commands are served meanwhile.
func (c *channel) pause(d time.Duration) {
	end := time.Now().Add(d)
	for c.ready() && !c.broken() {
		c.pump()
		left := time.Until(end)
		if left <= 0 || !c.ready() {
			return
		}
		c.wait(min(left, tick))
	}
}

// broken takes the mark that uuid_break left.
func (c *channel) broken() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	was := c.breakNow
	c.breakNow = false
	return was
}

// appPlayback plays until the sound is over or a digit of playback_terminators comes.
func appPlayback(c *channel, arg string) {
	c.set("playback_terminator_used", "")
	if !c.play(arg, c.endsPlayback) {
		c.set("current_application_response", "FILE NOT FOUND")
		return
	}
	resp := "FILE PLAYED"
	if !c.ready() {
		resp = "PLAYBACK ERROR"
	}
	c.set("current_application_response", resp)
}

// endsPlayback reports whether a digit stops what is played: without playback_terminators it is "*".
func (c *channel) endsPlayback(key byte) bool {
	terminators, ok := c.lookup("playback_terminators")
	switch {
	case !ok:
		terminators = "*"
	case strings.EqualFold(terminators, "any"):
		terminators = "1234567890*#"
	case strings.EqualFold(terminators, "none"):
		terminators = ""
	}
	if strings.IndexByte(terminators, key) < 0 {
		return false
	}
	c.set("playback_terminator_used", string(key))
	return true
}

func appHangup(c *channel, arg string) {
	cs := causeNormalClearing
	if arg != "" {
		cs = causeByName(arg)
	}
	c.hangup(cs)
}

// appRespond chooses the final response of an unanswered call, or sends a provisional one; an answered call it ends
// with BYE.
func appRespond(c *channel, arg string) {
	code, phrase, _ := strings.Cut(strings.TrimSpace(arg), " ")
	n := atoi(code)
	switch {
	case n == 180:
		c.ringReady()
	case n == 183:
		c.preAnswer(nil)
	case c.isAnswered():
		// An answered call is released with the status' cause; 488 and what is no failure change nothing.
		if n >= 400 && n <= 699 && n != 488 {
			c.hangup(causeOfStatus(n))
		}
	case n >= 300 && n <= 699:
		c.leg.respond, c.leg.phrase = n, phrase
		c.hangup(causeOfStatus(n))
	}
}

// appTransfer sends the call to another extension: nothing behind it runs.
func appTransfer(c *channel, arg string) {
	a := splitArgs(arg, 4)
	if len(a) == 0 {
		return
	}
	if a[0] == "-aleg" || a[0] == "-bleg" || a[0] == "-both" {
		c.s.unknown("transfer " + a[0])
		a = a[1:]
	}
	for len(a) < 3 {
		a = append(a, "")
	}
	c.moveTo(transferTo{dest: a[0], dialplan: a[1], context: a[2]})
}

// moveTo marks the channel as transferred; its owner leaves what it does and hunts again.
func (c *channel) moveTo(t transferTo) bool {
	c.mu.Lock()
	if c.state >= csHangup {
		c.mu.Unlock()
		return false
	}
	c.transfer = &t
	c.state = csRouting
	if t.acts == nil && !t.park {
		c.caller.index++
		c.caller.rdnis, c.caller.bridged = c.caller.dest, 0
		c.caller.dest = firstNonEmpty(t.dest, c.caller.dest)
		c.caller.dialplan = firstNonEmpty(t.dialplan, c.caller.dialplan)
		c.caller.context = firstNonEmpty(t.context, c.caller.context)
		if hops, ok := c.find("max_forwards"); ok {
			c.store("max_forwards", itoa(atoi(hops)-1))
		}
	}
	c.mu.Unlock()
	c.signal()
	return true
}

// appExecuteExtension runs another extension and comes back.
func appExecuteExtension(c *channel, arg string) {
	a := splitArgs(arg, 3)
	if len(a) == 0 {
		return
	}
	c.mu.Lock()
	dest, context := c.caller.dest, c.caller.context
	c.caller.dest = a[0]
	if len(a) > 2 {
		c.caller.context = a[2]
	}
	c.mu.Unlock()
	var acts []action
	ok := true
	if len(a) > 1 && strings.EqualFold(a[1], "inline") {
		acts = inlineActions(a[0])
	} else {
		acts, ok = c.hunt()
	}
	c.mu.Lock()
	c.caller.dest, c.caller.context = dest, context
	c.mu.Unlock()
	if !ok {
		c.s.log.Info("execute_extension finds nothing", zap.String("uuid", c.uuid), zap.String("extension", a[0]))
		return
	}
	c.executeAll(acts)
}

// appQuiet are applications whose effect nobody sees here: they run and say so in the log.
func appQuiet(name string) application {
	return func(c *channel, arg string) {
		c.s.log.Info("application", zap.String("uuid", c.uuid), zap.String("name", name), zap.String("arg", arg))
	}
}

// appSchedHangup is "+N [cause]".
func appSchedHangup(c *channel, arg string) {
	a := splitArgs(arg, 3)
	if len(a) == 0 {
		return
	}
	cs := causeByName("ALLOTTED_TIMEOUT")
	if len(a) > 1 {
		cs = causeByName(a[1])
	}
	after := atoi(strings.TrimPrefix(a[0], "+"))
	if after <= 0 {
		c.hangup(cs)
		return
	}
	c.s.sched.add(c.s, time.Now().Unix()+int64(after), 0, c.uuid, func() { c.hangup(cs) })
}
