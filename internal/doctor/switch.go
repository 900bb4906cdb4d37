package doctor

import (
	"context"
	"fmt"
	"math"
	"net"
	"net/netip"
	"sort"
	"strconv"
	"strings"
	"time"
)

// eventSocket looks at who may reach the shell that the Event Socket is.
func (d *doctor) eventSocket(ctx context.Context) {
	n, err := d.live.locate(ctx, "configuration", "configuration", "event_socket.conf")
	if err != nil {
		d.skip("event-socket-access", "xml_locate", err)
		return
	}
	p := n.params()
	listen, acl := p["listen-ip"], p["apply-inbound-acl"]
	if listen == "" {
		listen = "::"
	}
	const file = "autoload_configs/event_socket.conf.xml"
	const then = `then: fs_cli -x "reload mod_event_socket"`
	const own = `<param name="password" value="ONE OF YOUR OWN, openssl rand -hex 32"/>`
	const bind = `<param name="listen-ip" value="127.0.0.1"/>`
	weak := p["password"] == "ClueCon" || p["password"] == ""
	// Without apply-inbound-acl FreeSWITCH takes loopback.auto by itself.
	closed := isLocal(listen) || acl == "" || acl == "loopback.auto"
	switch {
	case weak && !closed:
		d.say("event-socket-access", Fail, "it listens on %s for %s with the password ClueCon, which everybody knows, and it is a shell on the switch", listen, acl).add(file, bind, own, then)
	case weak && !isLocal(listen):
		d.say("event-socket-access", Warn, "it listens on %s, only FreeSWITCH's default list (loopback.auto) keeps others out, and the password is ClueCon, which everybody knows: it is a shell on the switch", listen).add(file, bind, own, then)
	case weak:
		d.say("event-socket-access", Warn, "the password is ClueCon, which everybody on this machine knows").add(file, own, then)
	case !isLocal(listen):
		d.say("event-socket-access", Warn, "it listens on %s, and an access list alone keeps other machines out", listen).add(file, bind, then)
	default:
		d.say("event-socket-access", OK, "it listens on %s with a password of its own", listen)
	}
}

// profile looks at the SIP profile that takes the proxy's calls.
func (d *doctor) profile(ctx context.Context) {
	if err := d.live.load(ctx); err != nil {
		d.skip("sip-profile", "sofia xmlstatus", err)
		return
	}
	var names []string
	for name := range d.live.profiles {
		names = append(names, name)
	}
	sort.Strings(names)
	p := d.live.profiles["external"]
	if d.SIP.IsValid() {
		p = d.live.at(d.SIP)
	}
	if p == nil {
		where := "called external"
		if d.SIP.IsValid() {
			where = "at " + d.SIP.String() + " (nodes[].sip)"
		}
		d.say("sip-profile", Fail, "no running profile %s, to which the proxy would send calls; there are: %s", where, strings.Join(names, ", ")).
			add("sip_profiles/signalbox.xml", d.renderIt()+" --with profile", `then: fs_cli -x "sofia profile signalbox start", and nodes[].sip: 127.0.0.1:5085`)
		return
	}
	d.live.proxied = p
	d.say("sip-profile", OK, "%s takes the proxy's calls at %s, context %s", p.name, addresses(p), p.context)
	if p.params == nil {
		d.say("sip-profile-access", Skip, "its configuration may not be asked (xml_locate)")
		return
	}
	d.access(ctx, p)
	if yes(p.params["inbound-use-callid-as-uuid"]) {
		d.say("sip-profile-uuid", Warn, "inbound-use-callid-as-uuid: UUIDs are what callers write, and Signalbox leaves such calls to your own dialplan").
			add(profileFile(p), `<param name="inbound-use-callid-as-uuid" value="false"/>`, rescan(p))
	}
	headers := "parse-all-invite-headers is off: FreeSWITCH itself sees only the oldest Diversion, which is enough behind the proxy, whose token names them all"
	if yes(p.params["parse-all-invite-headers"]) {
		headers = "parse-all-invite-headers is on: every Diversion is seen without the proxy too"
	}
	d.say("sip-profile-headers", OK, "%s", headers)
	d.voice(p)
}

func addresses(p *profile) string {
	if len(p.addrs) == 0 {
		return "an unknown address"
	}
	return p.addrs[len(p.addrs)-1].String()
}

func profileFile(p *profile) string { return "sip_profiles/" + p.name + ".xml" }

func rescan(p *profile) string {
	return fmt.Sprintf(`then: fs_cli -x "sofia profile %s rescan"`, p.name)
}

func yes(s string) bool {
	return strings.EqualFold(s, "true") || strings.EqualFold(s, "yes") || s == "1"
}

// access looks at who may call on the profile: the proxy must, and nobody past it should.
func (d *doctor) access(ctx context.Context, p *profile) {
	if yes(p.params["auth-calls"]) {
		d.say("sip-profile-access", Fail, "auth-calls is true: FreeSWITCH asks the proxy for a password, and every call ends with 407").
			add(profileFile(p), `<param name="auth-calls" value="false"/>`, `<param name="apply-inbound-acl" value="loopback.auto"/>`, rescan(p))
		return
	}
	acl := p.params["apply-inbound-acl"]
	proxy := d.proxyAddr()
	if acl == "" {
		for _, a := range p.addrs {
			if !a.Addr().IsLoopback() {
				d.say("sip-profile-access", Warn, "whoever reaches %s calls without the proxy, unscreened and unadmitted: the profile has no access list", a).
					add(profileFile(p), `<param name="apply-inbound-acl" value="loopback.auto"/>`, rescan(p))
				return
			}
		}
		d.say("sip-profile-access", OK, "it listens on loopback only")
		return
	}
	answer, err := d.ask(ctx, fmt.Sprintf("acl %s %s", proxy, acl))
	switch {
	case err != nil:
		d.skip("sip-profile-access", "acl", err)
	case answer != "true":
		d.say("sip-profile-access", Fail, "apply-inbound-acl %s does not let the proxy's address %s in: its calls end with 403", acl, proxy).
			add("autoload_configs/acl.conf.xml", fmt.Sprintf(`<list name="%s" default="deny"><node type="allow" cidr="%s/32"/></list>`, acl, proxy), "then: fs_cli -x reloadacl")
	default:
		d.say("sip-profile-access", OK, "apply-inbound-acl %s lets the proxy (%s) in", acl, proxy)
	}
}

// proxyAddr is where the proxy's requests come from, as far as the configuration says.
func (d *doctor) proxyAddr() netip.Addr {
	if d.Config != nil {
		for _, l := range d.Config.Proxy.Listen {
			if host, _, err := net.SplitHostPort(l.Addr); err == nil {
				if ip, err := netip.ParseAddr(host); err == nil && !ip.IsUnspecified() {
					return ip
				}
			}
		}
	}
	return netip.MustParseAddr("127.0.0.1")
}

// limits looks at how many calls FreeSWITCH takes.
func (d *doctor) limits(ctx context.Context) {
	const file = "autoload_configs/switch.conf.xml"
	perSecond, err := d.figure(ctx, "fsctl sps")
	if err != nil {
		d.skip("sessions-per-second", "fsctl", err)
		return
	}
	if perSecond < 60 {
		d.say("sessions-per-second", Warn, "%d: a call that goes to devices and voicemail begins three sessions or more, so about %d calls a second; a leg beyond fails with DESTINATION_OUT_OF_ORDER before any INVITE leaves", perSecond, perSecond/3).
			add(file, `<param name="sessions-per-second" value="300"/>`, `at once: fs_cli -x "fsctl sps 300"`)
	} else {
		d.say("sessions-per-second", OK, "%d", perSecond)
	}
	most, err := d.figure(ctx, "fsctl max_sessions")
	if err != nil {
		d.skip("max-sessions", "fsctl", err)
		return
	}
	calls := 0
	if d.Config != nil {
		calls = d.Config.Sidecar.MaxCalls
	}
	if 2*calls > most {
		d.say("max-sessions", Warn, "%d: sidecar.max_calls is %d, and a call that is connected takes two sessions", most, calls).
			add(file, fmt.Sprintf(`<param name="max-sessions" value="%d"/>`, 2*calls), fmt.Sprintf(`at once: fs_cli -x "fsctl max_sessions %d"`, 2*calls))
		return
	}
	d.say("max-sessions", OK, "%d", most)
}

// figure is the number behind the colon of "+OK sessions per second: 30".
func (d *doctor) figure(ctx context.Context, command string) (int, error) {
	answer, err := d.ask(ctx, command)
	if err != nil {
		return 0, err
	}
	at := strings.LastIndexByte(answer, ':')
	n, err := strconv.Atoi(strings.TrimSpace(answer[at+1:]))
	if err != nil {
		return 0, fmt.Errorf("unexpected answer %q", clip(answer))
	}
	return n, nil
}

// clock compares the switch's with ours; the proxy's tokens hold for 60 s.
func (d *doctor) clock(ctx context.Context) {
	before := time.Now()
	answer, err := d.ask(ctx, "strepoch")
	if err != nil {
		d.skip("clock", "strepoch", err)
		return
	}
	seconds, err := strconv.ParseInt(answer, 10, 64)
	if err != nil {
		d.skip("clock", "strepoch", fmt.Errorf("unexpected answer %q", clip(answer)))
		return
	}
	// The switch says whole seconds, cut off.
	off := time.Unix(seconds, 0).Add(500 * time.Millisecond).Sub(before.Add(time.Since(before) / 2))
	size := time.Duration(math.Abs(float64(off)))
	switch said := off.Round(100 * time.Millisecond); {
	case size > 30*time.Second:
		d.say("clock", Fail, "FreeSWITCH's clock is off by %s: tokens older than 60 s are not believed, and calls would count as unscreened", said).add("on both machines", "chronyc tracking, or timedatectl set-ntp true", "fs_cli -x \"fsctl sync_clock\"")
	case size > 2*time.Second:
		d.say("clock", Warn, "FreeSWITCH's clock is off by %s: records do not fit the switch's log", said).add("on both machines", "chronyc tracking, or timedatectl set-ntp true", "fs_cli -x \"fsctl sync_clock\"")
	default:
		zone, err := d.ask(ctx, "strftime %z")
		if err == nil && len(zone) == len("+0000") && zone != time.Now().Format("-0700") {
			d.say("clock", OK, "the same to a second; its zone is %s, ours %s", zone, time.Now().Format("-0700"))
			return
		}
		d.say("clock", OK, "the same to a second")
	}
}

// codecs looks for what a voicemail system is sure to speak.
func (d *doctor) codecs(ctx context.Context) {
	p := d.live.proxied
	if p == nil || p.status == nil {
		d.say("codecs", Skip, "no profile to look at")
		return
	}
	outbound := strings.ToUpper(p.status.value("outbound-codecs"))
	if outbound == "" {
		d.say("codecs", Skip, "the profile does not say its codecs")
		return
	}
	var known []string
	for c := range strings.SplitSeq(outbound, ",") {
		if c == "PCMU" || c == "PCMA" {
			known = append(known, c)
		}
	}
	if len(known) == 0 {
		d.say("codecs", Fail, "%s offers %s: voicemail systems and carriers speak G.711, and calls to them end with 488", p.name, outbound).
			add("vars.xml", `<X-PRE-PROCESS cmd="set" data="outbound_codec_prefs=OPUS,G722,PCMU,PCMA"/>`, `<X-PRE-PROCESS cmd="set" data="global_codec_prefs=OPUS,G722,PCMU,PCMA"/>`, rescan(p))
		return
	}
	d.say("codecs", OK, "%s offers %s, among them %s for voicemail", p.name, outbound, strings.Join(known, " and "))
}
