package fssim

import (
	"encoding/xml"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/signalbox/signalbox/dialplan"
)

// lookAPI are commands that only look at the switch: what is loaded, and how it is configured.
func lookAPI(cmd string) apiFunc {
	switch cmd {
	case "file_exists":
		return func(_ *Switch, _ *channel, arg string) string {
			_, err := os.Stat(arg)
			return strconv.FormatBool(err == nil)
		}
	case "module_exists":
		return func(s *Switch, _ *channel, arg string) string {
			return strconv.FormatBool(s.loaded(strings.TrimSpace(arg)))
		}
	case "local_stream":
		return apiLocalStream
	case "xml_locate":
		return apiXMLLocate
	case "fsctl":
		return apiFsctl
	case "acl":
		return apiACL
	case "strepoch":
		return func(*Switch, *channel, string) string { return strconv.FormatInt(time.Now().Unix(), 10) }
	}
	return nil
}

// simulatedModules are those whose part the simulator plays.
var simulatedModules = []string{"mod_commands", "mod_conference", "mod_console", "mod_dialplan_xml", "mod_dptools", "mod_event_socket",
	"mod_expr", "mod_local_stream", "mod_loopback", "mod_sndfile", "mod_sofia", "mod_tone_stream"}

// loaded reports whether a module is: one that the simulator plays, and that modules.conf.xml loads where the tree has one.
func (s *Switch) loaded(module string) bool {
	conf := s.configuration("modules.conf")
	if conf == nil || !slices.Contains(simulatedModules, module) {
		return slices.Contains(simulatedModules, module)
	}
	list := conf.Child("modules")
	return list != nil && slices.ContainsFunc(list.All("load"), func(e *dialplan.Element) bool { return e.Soft("module") == module })
}

// configuration is one of the tree's, nil where it has none of that name.
func (s *Switch) configuration(name string) *dialplan.Element {
	if section := s.plan.Load().Section("configuration"); section != nil {
		for _, e := range section.All("configuration") {
			if e.Soft("name") == name {
				return e
			}
		}
	}
	return nil
}

// fileRow is one row of "show file as json": what playback knows by its ending, or by what stands before "://".
type fileRow struct {
	Type   string `json:"type"`
	Name   string `json:"name"`
	Module string `json:"ikey"`
}

func (s *Switch) fileRows() (rows []any) {
	for _, f := range []fileRow{{Name: "file_string", Module: "mod_dptools"}, {Name: "local_stream", Module: "mod_local_stream"},
		{Name: "silence_stream", Module: "mod_tone_stream"}, {Name: "tone_stream", Module: "mod_tone_stream"}, {Name: "wav", Module: "mod_sndfile"}} {
		if f.Type = "file"; s.loaded(f.Module) {
			rows = append(rows, f)
		}
	}
	return rows
}

// apiLocalStream is "local_stream show": each stream with its folder, where that is there. FreeSWITCH starts no other.
func apiLocalStream(s *Switch, _ *channel, arg string) string {
	if strings.TrimSpace(arg) != "show" {
		s.unknown("api local_stream " + arg)
		return "-USAGE: <show|start|reload|stop|hup> <local_stream_name>\n"
	}
	var b strings.Builder
	if conf := s.configuration("local_stream.conf"); conf != nil {
		for _, e := range conf.All("directory") {
			if _, err := os.Stat(e.Soft("path")); err == nil {
				fmt.Fprintf(&b, "%s,%s\n", e.Soft("name"), e.Soft("path"))
			}
		}
	}
	return b.String()
}

// simulatedCommands are what "show api" lists: those that clients of the Event Socket use.
var simulatedCommands = []string{"cond", "create_uuid", "echo", "eval", "expand", "expr", "file_exists", "global_getvar", "global_setvar", "hupall", "local_stream", "module_exists",
	"originate", "reloadxml", "sched_api", "sched_del", "show", "sofia", "sofia_contact", "status", "strepoch", "strftime", "user_exists", "uuid_answer",
	"uuid_break", "uuid_broadcast", "uuid_dump", "uuid_exists", "uuid_getvar", "uuid_kill", "uuid_park", "uuid_set_media_stats", "uuid_setvar", "uuid_setvar_multi", "uuid_transfer",
	"version", "xml_locate"}

// apiRow is one row of "show api as json".
type apiRow struct {
	Name        string `json:"name"`
	Description string `json:"description"`
	Syntax      string `json:"syntax"`
	Module      string `json:"ikey"`
}

// apiXMLLocate is "xml_locate SECTION TAG ATTRIBUTE VALUE": the element as it is loaded. The dialplan is the one that is
// hunted; of the configuration there is what the simulator was told.
func apiXMLLocate(s *Switch, _ *channel, arg string) string {
	a := splitArgs(arg, 5)
	if len(a) != 4 {
		return "-ERR bad args\n"
	}
	tree := s.plan.Load()
	var list []*dialplan.Element
	if a[0] == "dialplan" {
		list = tree.ContextElements()
	} else if section := tree.Section(a[0]); section != nil {
		list = section.Children
	}
	for _, e := range list {
		if v, ok := e.Attr(a[2]); ok && e.Name == a[1] && strings.EqualFold(v, a[3]) {
			var b strings.Builder
			writeElement(&b, e, 0)
			return b.String()
		}
	}
	if a[0] == "configuration" && a[1] == "configuration" && a[2] == "name" {
		switch a[3] {
		case "event_socket.conf":
			return s.eventSocketConf()
		case "sofia.conf":
			return s.sofiaConf()
		case "conference.conf":
			return "<configuration name=\"conference.conf\" description=\"Audio Conference\">\n  <profiles>\n  </profiles>\n</configuration>\n"
		}
	}
	return "can't find anything\n"
}

// writeElement writes XML as FreeSWITCH prints it: every element with a closing tag.
func writeElement(b *strings.Builder, e *dialplan.Element, depth int) {
	indent := strings.Repeat("  ", depth)
	b.WriteString(indent + "<" + e.Name)
	for _, a := range e.Attrs {
		b.WriteString(" " + a.Name + `="`)
		_ = xml.EscapeText(b, []byte(a.Value))
		b.WriteString(`"`)
	}
	b.WriteString(">")
	_ = xml.EscapeText(b, []byte(strings.TrimSpace(e.Text())))
	if len(e.Children) > 0 {
		b.WriteString("\n")
		for _, c := range e.Children {
			writeElement(b, c, depth+1)
		}
		b.WriteString(indent)
	}
	b.WriteString("</" + e.Name + ">\n")
}

func param(name, value string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(value))
	return fmt.Sprintf("    <param name=%q value=\"%s\"></param>\n", name, b.String())
}

func (s *Switch) eventSocketConf() string {
	at := s.EventSocketAddr()
	return "<configuration name=\"event_socket.conf\" description=\"Socket Client\">\n  <settings>\n" + param("listen-ip", at.Addr().String()) +
		param("listen-port", strconv.Itoa(int(at.Port()))) + param("password", s.opt.Password) + "  </settings>\n</configuration>\n"
}

func (s *Switch) sofiaConf() string {
	var b strings.Builder
	b.WriteString("<configuration name=\"sofia.conf\" description=\"sofia Endpoint\">\n<profiles>\n")
	for _, p := range []*profile{s.external, s.internal} {
		fmt.Fprintf(&b, "  <profile name=%q>\n  <settings>\n%s%s%s%s  </settings>\n  </profile>\n", p.name, param("context", p.context),
			param("sip-ip", p.addr().Addr().String()), param("sip-port", strconv.Itoa(int(p.addr().Port()))), param("auth-calls", fmt.Sprint(p.auth)))
	}
	return b.String() + "</profiles>\n</configuration>\n"
}

// sofiaXMLStatus is "sofia xmlstatus" and "sofia xmlstatus profile NAME".
func (s *Switch) sofiaXMLStatus(name string) string {
	const head = "<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?>\n"
	if name == "" {
		var b strings.Builder
		fmt.Fprintf(&b, "%s<profiles>\n<alias>\n<name>%s</name>\n<type>alias</type>\n<data>internal</data>\n<state>ALIASED</state>\n</alias>\n", head, s.defaultDomain())
		for _, p := range []*profile{s.external, s.internal} {
			fmt.Fprintf(&b, "<profile>\n<name>%s</name>\n<type>profile</type>\n<data>sip:mod_sofia@%s</data>\n<state>RUNNING (%d)</state>\n</profile>\n", p.name, p.addr(), p.calls())
		}
		return b.String() + "</profiles>\n"
	}
	p := s.profile(name)
	if p == nil {
		return "Invalid Profile!\n"
	}
	at := p.addr()
	return fmt.Sprintf("%s<profile>\n  <profile-info>\n    <name>%s</name>\n    <dialplan>XML</dialplan>\n    <context>%s</context>\n    <rtp-ip>%[4]s</rtp-ip>\n"+
		"    <sip-ip>%[4]s</sip-ip>\n    <url>sip:mod_sofia@%[5]s</url>\n    <bind-url>sip:mod_sofia@%[5]s;maddr=%[4]s;transport=udp,tcp</bind-url>\n"+
		"    <inbound-codecs>PCMU,PCMA</inbound-codecs>\n    <outbound-codecs>PCMU,PCMA</outbound-codecs>\n  </profile-info>\n</profile>\n",
		head, p.name, p.context, at.Addr(), at)
}

// apiFsctl answers the questions of fsctl; it changes nothing.
func apiFsctl(s *Switch, _ *channel, arg string) string {
	arg = strings.TrimSpace(arg)
	if n, ok := strings.CutPrefix(arg, "max_sessions "); ok {
		if most := atoi(n); most > 0 && most <= mostSessions {
			s.maxSessions.Store(int64(most))
		}
		arg = "max_sessions"
	}
	switch arg {
	case "sps":
		return "+OK sessions per second: 30\n"
	case "max_sessions":
		return fmt.Sprintf("+OK max sessions: %d\n", s.maxSessions.Load())
	}
	s.unknown("api fsctl " + arg)
	return "-ERR Invalid command\n"
}

// apiACL is "acl ADDRESS LIST" for the lists that FreeSWITCH makes itself; a list that is not there lets nobody in.
func apiACL(_ *Switch, _ *channel, arg string) string {
	a := splitArgs(arg, 3)
	if len(a) != 2 {
		return "-ERR\n"
	}
	ip, err := netip.ParseAddr(a[0])
	return fmt.Sprint(err == nil && a[1] == "loopback.auto" && ip.IsLoopback())
}
