package fssim

import (
	"fmt"
	"strings"

	"github.com/signalbox/signalbox/esl/wire"
)

func (l *listener) reply(format string, a ...any) {
	l.write(wire.AppendReply(nil, fmt.Sprintf(format, a...)))
}

func hasPrefixFold(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}

// handle carries one command out. FreeSWITCH compares the beginning of the line only; so does this.
func (l *listener) handle(c *wire.Command) {
	cmd := c.Line
	switch {
	case hasPrefixFold(cmd, "exit"), hasPrefixFold(cmd, "..."):
		l.running = false
		l.reply("+OK bye")
	case !l.authed:
		l.auth(cmd)
	case hasPrefixFold(cmd, "filter "):
		l.filter(cmd[len("filter "):])
	case l.session != nil && hasPrefixFold(cmd, "resume"):
		l.resume = true
		l.session.set("socket_resume", "true")
		l.reply("+OK")
	case l.session != nil && hasPrefixFold(cmd, "connect"):
		l.connect()
	case l.session != nil && hasPrefixFold(cmd, "getvar"):
		_, name, _ := strings.Cut(cmd, " ")
		v, _ := l.session.value(name)
		if v == "" { // FreeSWITCH takes an empty answer for a command that it does not know
			l.reply("-ERR command not found")
			return
		}
		l.write([]byte("Content-Type: command/reply\nReply-Text: " + v + "\n\n"))
	case l.session != nil && hasPrefixFold(cmd, "myevents"), hasPrefixFold(cmd, "myevents "):
		l.subscribeOwn(cmd)
	case hasPrefixFold(cmd, "divert_events"):
		if l.session == nil {
			l.reply("-ERR not controlling a session.")
			return
		}
		l.s.unknown("event socket divert_events")
		l.reply("+OK events diverted")
	case hasPrefixFold(cmd, "sendmsg"):
		l.sendmsg(c)
	case l.outbound && !l.full:
		l.reply("-ERR command not found")
	default:
		l.handleFull(c)
	}
}

// handleFull are the commands that an outbound connection has only with the word "full".
func (l *listener) handleFull(c *wire.Command) {
	cmd := c.Line
	switch {
	case hasPrefixFold(cmd, "sendevent"):
		l.sendevent(c)
	case hasPrefixFold(cmd, "api "):
		name, arg, _ := strings.Cut(cmd[len("api "):], " ")
		if !l.allowed(name, arg) {
			l.reply("-ERR permission denied")
			return
		}
		l.write(wire.AppendAPIResponse(nil, l.s.api(nil, name, arg)))
	case hasPrefixFold(cmd, "bgapi "):
		l.bgapi(c)
	case hasPrefixFold(cmd, "log"):
		l.reply("+OK log level %s [7]", strings.TrimSpace(cmd[3:]))
	case hasPrefixFold(cmd, "linger"):
		l.setLinger(cmd)
	case hasPrefixFold(cmd, "nolinger"):
		if l.session == nil {
			l.reply("-ERR not controlling a session")
			return
		}
		l.setLingers(false)
		l.reply("+OK will not linger")
	case hasPrefixFold(cmd, "nolog"):
		l.reply("-ERR not loging")
	case hasPrefixFold(cmd, "event"):
		l.subscribe(cmd)
	case hasPrefixFold(cmd, "nixevent"):
		l.unsubscribe(cmd)
	case hasPrefixFold(cmd, "noevents"):
		l.noEvents()
	default:
		l.s.unknown("event socket command " + firstWord(cmd))
		l.reply("-ERR command not found")
	}
}

func firstWord(s string) string {
	w, _, _ := strings.Cut(s, " ")
	return w
}

func (l *listener) auth(cmd string) {
	switch {
	case hasPrefixFold(cmd, "auth "):
		if cmd[len("auth "):] != l.s.opt.Password {
			l.running = false
			l.reply("-ERR invalid")
			return
		}
		l.authed = true
		l.reply("+OK accepted")
	case hasPrefixFold(cmd, "userauth "):
		who, password, _ := strings.Cut(cmd[len("userauth "):], ":")
		name, domain, _ := strings.Cut(who, "@")
		if n, p, ok := strings.Cut(name, ":"); ok {
			name, password = n, p
		}
		domain, p, ok := strings.Cut(domain, ":")
		if ok {
			password = p
		}
		u := l.s.user(name, domain)
		if u == nil || u.ESLPassword == "" || u.ESLPassword != password {
			l.running = false
			l.reply("-ERR invalid")
			return
		}
		l.authed, l.user = true, u
		l.write(wire.AppendReply(nil, "+OK accepted",
			wire.Field{Name: "Allowed-Events", Value: firstNonEmpty(u.ESLAllowedEvents, "all")},
			wire.Field{Name: "Allowed-API", Value: firstNonEmpty(u.ESLAllowedAPI, "all")},
			wire.Field{Name: "Allowed-LOG", Value: "true"}))
	default:
		l.reply("-ERR command not found")
	}
}

// allowed applies a directory user's esl-allowed-api, also to the command inside bgapi, sched_api, expand and eval.
func (l *listener) allowed(name, arg string) bool {
	if l.user == nil || l.user.ESLAllowedAPI == "" {
		return true
	}
	for range maxAPIDepth {
		if !inList(l.user.ESLAllowedAPI, name) {
			return false
		}
		switch strings.ToLower(name) {
		case "bgapi", "sched_api", "eval", "expand", "xml_wrap":
			if arg == "" {
				return true
			}
			name, arg, _ = strings.Cut(arg, " ")
		default:
			return true
		}
	}
	return false
}

func inList(list, name string) bool {
	delim := ","
	if strings.Contains(list, " ") {
		delim = " "
	}
	for n := range strings.SplitSeq(list, delim) {
		if strings.EqualFold(n, name) {
			return true
		}
	}
	return false
}

func (l *listener) filter(arg string) {
	name, value, ok := strings.Cut(strings.TrimLeft(arg, " "), " ")
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case strings.EqualFold(name, "delete") && ok:
		name, value, _ = strings.Cut(value, " ")
		kept := l.filters[:0]
		for _, f := range l.filters {
			if !strings.EqualFold(name, "all") && (f.Name != name || value != "" && f.Value != value) {
				kept = append(kept, f)
			}
		}
		l.filters = kept
		l.reply("+OK filter deleted. [%s][%s]", name, value)
	case ok && len(l.filters) < 1000:
		if strings.EqualFold(name, "add") {
			name, value, _ = strings.Cut(value, " ")
		}
		l.filters = append(l.filters, wire.Field{Name: name, Value: value})
		l.reply("+OK filter added. [%s]=[%s]", name, value)
	default:
		l.reply("-ERR invalid syntax")
	}
}

func (l *listener) connect() {
	c := l.session
	f := append(l.s.stamp("CHANNEL_DATA", ""), c.connectData()...)
	l.write(wire.AppendConnectReply(nil, f, l.async, l.full))
	if !l.isUp {
		l.isUp = true
		close(l.connected)
		c.signal()
	}
}

// connectData is the caller profile under the prefix Channel, then what every event has.
func (c *channel) connectData() []wire.Field {
	c.mu.Lock()
	f := c.caller.append(nil, "Channel", true)
	c.mu.Unlock()
	return append(f, c.data(true)...)
}

// ownEvents are what myevents subscribes to.
func ownEvents() []string {
	return []string{"CHANNEL_ANSWER", "CHANNEL_APPLICATION", "CHANNEL_BRIDGE", "CHANNEL_CREATE", "CHANNEL_DATA",
		"CHANNEL_DESTROY", "CHANNEL_EXECUTE", "CHANNEL_EXECUTE_COMPLETE", "CHANNEL_HANGUP", "CHANNEL_HANGUP_COMPLETE",
		"CHANNEL_ORIGINATE", "CHANNEL_UUID", "CHANNEL_OUTGOING", "CHANNEL_PARK", "CHANNEL_PROGRESS",
		"CHANNEL_PROGRESS_MEDIA", "CHANNEL_STATE", "CHANNEL_UNBRIDGE", "CHANNEL_UNPARK", "DETECTED_SPEECH", "DTMF",
		"NOTALK", "TALK"}
}

func (l *listener) subscribeOwn(cmd string) {
	l.mu.Lock()
	enabled := l.myEvents
	l.mu.Unlock()
	if enabled {
		l.reply("-ERR aready enabled.")
		return
	}
	_, args, _ := strings.Cut(cmd, " ")
	if l.session == nil {
		uuid, format, given := strings.Cut(args, " ")
		if l.session = l.s.find(uuid); l.session == nil && given {
			l.reply("-ERR invalid uuid")
			return
		}
		if l.session != nil {
			l.unwatch = l.session.watch(l.wake)
		}
		l.async = true
		args = format
	}
	l.mu.Lock()
	for _, n := range ownEvents() {
		l.list[n] = true
	}
	l.myEvents, l.events = true, true
	if strings.Contains(strings.ToLower(args), "json") {
		l.json = true
	}
	l.mu.Unlock()
	l.reply("+OK Events Enabled")
}

func (l *listener) setLinger(cmd string) {
	if l.session == nil {
		l.reply("-ERR not controlling a session")
		return
	}
	l.setLingers(true)
	l.lingerTime = -1
	if rest := cmd[len("linger"):]; len(rest) > 1 && rest[0] == ' ' {
		l.lingerTime = atoi(rest[1:])
		l.reply("+OK will linger %d seconds", l.lingerTime)
		return
	}
	l.reply("+OK will linger")
}

func (l *listener) setLingers(on bool) {
	l.mu.Lock()
	l.linger = on
	l.mu.Unlock()
}

// subscribe is "event plain|json|xml NAME NAME CUSTOM subclass subclass": every word behind CUSTOM is a subclass.
func (l *listener) subscribe(cmd string) {
	words := strings.Fields(cmd)[1:]
	l.mu.Lock()
	keys := 0
	custom := false
	for i, w := range words {
		if i == 0 {
			switch strings.ToLower(w) {
			case "plain":
				l.json = false
				continue
			case "json":
				l.json = true
				continue
			case "xml":
				l.mu.Unlock()
				l.s.unknown("event socket event xml")
				l.reply("-ERR command not found")
				return
			}
		}
		if custom {
			l.custom[w] = true
			continue
		}
		name := strings.ToUpper(w)
		if !isEventName(name) {
			continue
		}
		if l.user != nil && l.user.ESLAllowedEvents != "" && !inList(l.user.ESLAllowedEvents, name) &&
			!inList(l.user.ESLAllowedEvents, "ALL") {
			l.mu.Unlock()
			l.reply("-ERR permission denied")
			return
		}
		keys++
		switch name {
		case "ALL":
			l.all = true
		case "CUSTOM":
			custom = true
		}
		l.list[name] = true
	}
	if keys > 0 {
		l.events = true
	}
	format := map[bool]string{false: "plain", true: "json"}[l.json]
	l.mu.Unlock()
	if keys == 0 {
		l.reply("-ERR no keywords supplied")
		return
	}
	l.reply("+OK event listener enabled %s", format)
}

func (l *listener) unsubscribe(cmd string) {
	words := strings.Fields(cmd)[1:]
	keys := 0
	custom := false
	l.mu.Lock()
	for _, w := range words {
		name := strings.ToUpper(w)
		switch {
		case custom:
			delete(l.custom, w)
		case name == "CUSTOM":
			custom = true
			keys++
		case name == "ALL":
			l.all = false
			clear(l.list)
			keys++
		case isEventName(name):
			if l.all {
				l.all = false
				for _, n := range eventNames() {
					l.list[n] = true
				}
			}
			delete(l.list, name)
			keys++
		}
	}
	l.mu.Unlock()
	if keys == 0 {
		l.reply("-ERR no keywords supplied")
		return
	}
	l.reply("+OK events nixed")
}

func (l *listener) noEvents() {
	l.mu.Lock()
	was := l.events
	l.events, l.all, l.queue = false, false, nil
	clear(l.list)
	clear(l.custom)
	l.mu.Unlock()
	if !was {
		l.reply("-ERR not listening for events")
		return
	}
	l.reply("+OK no longer listening for events")
}

func (l *listener) sendmsg(c *wire.Command) {
	uuid := strings.TrimSpace(c.Line[len("sendmsg"):])
	if uuid == "" {
		uuid = c.Get("session-id")
	}
	target := l.session
	if uuid != "" && (target == nil || uuid != target.uuid) {
		target = l.s.find(uuid)
	}
	if target == nil {
		l.reply("-ERR invalid session id [%s]", uuid)
		return
	}
	if !target.queuePrivate(privateCommand{get: c.Get, body: string(c.Body)}) {
		l.reply("-ERR memory error")
		return
	}
	l.reply("+OK")
}

func (l *listener) sendevent(c *wire.Command) {
	id := newUUID()
	name := strings.ToUpper(strings.TrimSpace(c.Line[len("sendevent"):]))
	if !isEventName(name) {
		name = "COMMAND"
	}
	var f []wire.Field
	for _, h := range c.Header {
		if !strings.EqualFold(h.Name, "Event-Subclass") {
			f = append(f, h)
		}
	}
	f = append(f, wire.Field{Name: "Command", Value: c.Line}, wire.Field{Name: "Event-UUID", Value: id})
	l.s.publish(name, c.Get("Event-Subclass"), f, c.Body)
	if name == "MESSAGE_WAITING" {
		l.s.messageWaiting(f)
	}
	l.reply("+OK %s", id)
}

// bgapi answers at once; the result comes as BACKGROUND_JOB.
func (l *listener) bgapi(c *wire.Command) {
	name, arg, _ := strings.Cut(c.Line[len("bgapi "):], " ")
	if !l.allowed(name, arg) {
		l.reply("-ERR permission denied")
		return
	}
	id := firstNonEmpty(c.Get("Job-UUID"), newUUID())
	f := []wire.Field{{Name: "Job-UUID", Value: id}}
	if l.session != nil {
		f = append(f, wire.Field{Name: "Job-Owner-UUID", Value: l.session.uuid})
	}
	f = append(f, wire.Field{Name: "Job-Command", Value: name})
	if arg != "" {
		f = append(f, wire.Field{Name: "Job-Command-Arg", Value: arg})
	}
	l.write(wire.AppendReply(nil, "+OK Job-UUID: "+id, wire.Field{Name: "Job-UUID", Value: id}))
	l.s.spawn(func() { l.s.publish("BACKGROUND_JOB", "", f, []byte(l.s.api(nil, name, arg))) })
}
