package lint

import (
	"fmt"
	"net/netip"
	"strings"
)

// sockets applies the rules about the application socket.
func (l *linter) sockets(x *extension) {
	x.each(func(c *condition) {
		for _, list := range [][]*action{c.actions, c.anti} {
			for i, a := range list {
				if a.app == "socket" {
					l.socket(x, list, i)
				}
			}
		}
	})
}

func (l *linter) socket(x *extension, list []*action, at int) {
	a := list[at]
	for _, before := range l.before(x, list, at) {
		if v, ok := before.value("park_timeout"); ok && v != "" {
			l.found("park-timeout", before.pos, x, "park_timeout before socket: healthy calls that are older are hung up, a bridge that rings as well", "take it away and arm a guard with ${sched_api(...)} that the controller takes off")
		}
	}
	if !x.goesOn && at == len(list)-1 {
		l.found("socket-no-fallback", a.el.Pos, x, "nothing stands behind socket: when nobody listens, or the controller dies, the call is hung up", "put what should happen then behind it, or write continue=\"true\" and let later extensions be the fallback")
	}
	if !l.guarded(x, list, at) {
		l.found("socket-no-guard", a.el.Pos, x, "nothing takes the call back from a controller that accepts the connection and says nothing: such a call was held for 24 s, until the caller gave up", `put in front: <action application="set" data="guard=${sched_api(+3 guard-${uuid} uuid_transfer ${uuid} ...)}"/>, and have the controller begin with sched_del guard-UUID`)
	}
	hosts, _, _ := strings.Cut(strings.TrimSpace(a.data), " ")
	for i, host := range strings.Split(hosts, "|") {
		l.socketHost(x, a, host, i)
	}
}

func (l *linter) socketHost(x *extension, a *action, host string, index int) {
	host, _, _ = strings.Cut(host, "/")
	name, port := host, ""
	if colon := strings.LastIndexByte(host, ':'); colon >= 0 {
		name, port = host[:colon], host[colon+1:]
	}
	if port == "" && literal(host) {
		before := "8084"
		if index > 0 {
			before = "the port of the host before it"
		}
		l.found("socket-port", a.pos, x, fmt.Sprintf("%q has no port: FreeSWITCH takes %s", host, before), "write HOST:PORT")
	}
	if literal(name) && !l.local(name) {
		l.found("socket-host", a.pos, x, fmt.Sprintf("%q may be another machine: FreeSWITCH connects without a timeout, and one that swallows packets held a call for 134 s while no schedule could help", name),
			"name an address of this machine, with a controller there or something that refuses at once and relays")
	}
}

func (l *linter) local(host string) bool {
	if l.opt.Local != nil {
		return l.opt.Local(host)
	}
	ip, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return strings.EqualFold(host, "localhost") || err == nil && ip.IsLoopback()
}

// before are the actions that have run when list[at] runs, as far as this extension tells.
func (l *linter) before(x *extension, list []*action, at int) []*action {
	var out []*action
	for _, c := range x.conditions {
		if len(c.actions) > 0 && len(list) > 0 && c.actions[0] == list[0] {
			break
		}
		out = append(out, c.actions...)
	}
	return append(out, list[:at]...)
}

// guarded reports whether something scheduled takes the call away.
func (l *linter) guarded(x *extension, list []*action, at int) bool {
	for _, a := range l.before(x, list, at) {
		if a.app == "sched_hangup" || a.app == "sched_transfer" || strings.Contains(a.data, "${sched_api(") || strings.Contains(a.data, "${sched_api ") ||
			strings.Contains(a.data, "${sched_hangup") || strings.Contains(a.data, "${sched_transfer") {
			return true
		}
	}
	return false
}

// bridges reports fallbacks behind a bridge that never run.
func (l *linter) bridges(x *extension) {
	x.each(func(c *condition) {
		for i, a := range c.actions {
			if a.app != "bridge" || a.inline || i == len(c.actions)-1 {
				continue
			}
			if l.goesOnAfterFailure(x, c.actions, i) {
				continue
			}
			l.found("bridge-fallback", a.el.Pos, x, fmt.Sprintf("a bridge that fails hangs the caller up, so %s behind it does not run for a call that nobody took", c.actions[i+1].app),
				`put in front: <action application="set" data="continue_on_fail=true"/>`)
		}
	})
}

// goesOnAfterFailure reports whether a failed bridge may leave the caller: what decides it is set here, or somewhere that
// this extension does not show.
func (l *linter) goesOnAfterFailure(x *extension, list []*action, at int) bool {
	for _, name := range []string{"continue_on_fail", "failure_causes", "transfer_on_fail"} {
		if l.sets[name] || l.inDirectory(name) {
			return true
		}
	}
	for _, a := range l.before(x, list, at) {
		if strings.Contains(a.data, "continue_on_fail") || a.app == "lua" || a.app == "javascript" {
			return true
		}
	}
	return false
}
