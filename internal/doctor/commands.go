package doctor

import (
	"context"
	"encoding/json"
	"net/netip"
	"slices"
	"strings"
)

// sidecarCommands are the api commands that a call's own connection and its guard use. 1.11 can hide some of them.
var sidecarCommands = []string{"cond", "expand", "global_getvar", "sched_api", "sched_del", "show", "status", "uuid_break", "uuid_exists", "uuid_getvar", "uuid_kill",
	"uuid_setvar", "uuid_setvar_multi", "uuid_transfer"}

// commands looks whether the switch has every command that is used.
func (d *doctor) commands(ctx context.Context) {
	answer, err := d.ask(ctx, "show api as json")
	if err != nil {
		d.skip("commands", "show api", err)
		return
	}
	var list struct {
		Rows []struct{ Name string }
	}
	if err := json.Unmarshal([]byte(answer), &list); err != nil || len(list.Rows) == 0 {
		d.say("commands", Skip, "show api: unexpected answer %q", clip(answer))
		return
	}
	var missing []string
	for _, name := range sidecarCommands {
		if !slices.ContainsFunc(list.Rows, func(r struct{ Name string }) bool { return strings.EqualFold(r.Name, name) }) {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		d.say("commands", Fail, "FreeSWITCH does not offer %s, which the sidecar uses", strings.Join(missing, ", ")).
			add("autoload_configs/modules.conf.xml, and the allow-list of APIs where there is one (1.11)", append(loads([]string{"mod_commands"}), "allow: "+strings.Join(missing, ","))...)
		return
	}
	d.say("commands", OK, "all %d that the sidecar uses are offered", len(sidecarCommands))
}

// voice looks where the profile sends and takes voice.
func (d *doctor) voice(p *profile) {
	rtp, outside := p.status.value("rtp-ip"), p.status.value("ext-rtp-ip")
	if rtp == "" {
		return
	}
	shown := rtp
	if outside != "" && outside != rtp {
		shown = rtp + ", " + outside + " for those outside"
	}
	ip, err := netip.ParseAddr(rtp)
	if trunk := d.remoteTrunk(); trunk != "" && err == nil && ip.IsLoopback() && (outside == "" || outside == rtp) {
		d.say("sip-profile-rtp", Warn, "voice is at %s, which trunk %s cannot reach: calls are silent", shown, trunk).
			add(profileFile(p), `<param name="rtp-ip" value="$${local_ip_v4}"/>`, `<param name="ext-rtp-ip" value="$${external_rtp_ip}"/>`, rescan(p))
		return
	}
	d.say("sip-profile-rtp", OK, "voice is at %s", shown)
}

// remoteTrunk names a trunk that sends from another machine.
func (d *doctor) remoteTrunk() string {
	if d.Config == nil {
		return ""
	}
	for _, t := range d.Config.Proxy.Trunks {
		for _, p := range t.Prefixes {
			if !p.Addr().IsLoopback() {
				return t.Name
			}
		}
	}
	return ""
}
