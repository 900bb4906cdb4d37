package fssim

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// apiShow is "show channels|calls|registrations [count] [as json]".
func apiShow(s *Switch, _ *channel, arg string) string {
	what, rest, _ := strings.Cut(strings.TrimSpace(arg), " ")
	asJSON := strings.Contains(rest, "as json")
	var rows []any
	switch what {
	case "channels", "calls", "bridged_calls", "detailed_calls":
		rows = s.channelRows()
	case "registrations":
		for _, b := range s.internal.reg.everything() {
			rows = append(rows, registrationRow(s, b))
		}
	case "api":
		for _, name := range simulatedCommands {
			rows = append(rows, apiRow{Name: name})
		}
	case "file":
		rows = s.fileRows()
	default:
		s.unknown("api show " + what)
		return "-USAGE: show channels|calls|registrations [as json]\n"
	}
	if strings.HasPrefix(rest, "count") {
		if asJSON {
			return fmt.Sprintf(`{"row_count":%d}`, len(rows))
		}
		return fmt.Sprintf("\n%d total.\n", len(rows))
	}
	if !asJSON {
		return fmt.Sprintf("\n%d total.\n", len(rows))
	}
	if len(rows) == 0 {
		return `{"row_count": 0}` + "\n"
	}
	b, err := json.Marshal(struct {
		N    int   `json:"row_count"`
		Rows []any `json:"rows"`
	}{len(rows), rows})
	if err != nil {
		return "-ERR\n"
	}
	return string(b)
}

// channelRow is one row of "show channels as json", in FreeSWITCH's order; every value is a string.
type channelRow struct {
	UUID         string `json:"uuid"`
	Direction    string `json:"direction"`
	Created      string `json:"created"`
	CreatedEpoch string `json:"created_epoch"`
	Name         string `json:"name"`
	State        string `json:"state"`
	CIDName      string `json:"cid_name"`
	CIDNum       string `json:"cid_num"`
	IPAddr       string `json:"ip_addr"`
	Dest         string `json:"dest"`
	App          string `json:"application"`
	AppData      string `json:"application_data"`
	Dialplan     string `json:"dialplan"`
	Context      string `json:"context"`
	ReadCodec    string `json:"read_codec"`
	ReadRate     string `json:"read_rate"`
	ReadBitRate  string `json:"read_bit_rate"`
	WriteCodec   string `json:"write_codec"`
	WriteRate    string `json:"write_rate"`
	WriteBitRate string `json:"write_bit_rate"`
	Secure       string `json:"secure"`
	Hostname     string `json:"hostname"`
	PresenceID   string `json:"presence_id"`
	PresenceData string `json:"presence_data"`
	AccountCode  string `json:"accountcode"`
	CallState    string `json:"callstate"`
	CalleeName   string `json:"callee_name"`
	CalleeNum    string `json:"callee_num"`
	CalleeDir    string `json:"callee_direction"`
	CallUUID     string `json:"call_uuid"`
	SentName     string `json:"sent_callee_name"`
	SentNum      string `json:"sent_callee_num"`
	InitCIDName  string `json:"initial_cid_name"`
	InitCIDNum   string `json:"initial_cid_num"`
	InitIP       string `json:"initial_ip_addr"`
	InitDest     string `json:"initial_dest"`
	InitDialplan string `json:"initial_dialplan"`
	InitContext  string `json:"initial_context"`
}

func (c *channel) row() channelRow {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := &c.caller
	get := func(n string) string { v, _ := c.find(n); return v }
	r := channelRow{UUID: c.uuid, Direction: p.direction, Name: c.name, State: c.running.String(),
		Created:      time.UnixMicro(p.created).Format("2006-01-02 15:04:05"),
		CreatedEpoch: strconv.FormatInt(p.created/1e6, 10),
		CIDName:      p.cidName, CIDNum: p.cidNum, IPAddr: p.netAddr, Dest: p.dest,
		App: get("current_application"), AppData: get("current_application_data"),
		Dialplan: p.dialplan, Context: p.context, Hostname: c.s.opt.Hostname, PresenceID: get("presence_id"),
		CallState: c.call.String(), CalleeName: p.calleeName, CalleeNum: p.calleeNum,
		CallUUID: firstNonEmpty(get("call_uuid"), c.uuid), InitCIDName: p.origName, InitCIDNum: p.origNum,
		InitIP: p.netAddr, InitDest: p.dest, InitDialplan: p.dialplan, InitContext: p.context}
	if c.bridged == "" {
		r.CallUUID = get("call_uuid")
	}
	if c.answered || c.early {
		r.ReadCodec, r.ReadRate, r.ReadBitRate = "PCMU", "8000", "64000"
		r.WriteCodec, r.WriteRate, r.WriteBitRate = "PCMU", "8000", "64000"
	}
	return r
}

func registrationRow(s *Switch, b binding) any {
	return struct {
		User     string `json:"reg_user"`
		Realm    string `json:"realm"`
		Token    string `json:"token"`
		URL      string `json:"url"`
		Expires  string `json:"expires"`
		IP       string `json:"network_ip"`
		Port     string `json:"network_port"`
		Proto    string `json:"network_proto"`
		Hostname string `json:"hostname"`
		Meta     string `json:"metadata"`
	}{b.user, b.domain, b.callID, "sofia/internal/" + b.dialURI(), strconv.FormatInt(b.expires.Unix(), 10), b.netIP,
		strconv.Itoa(b.netPort), strings.ToLower(b.transport), s.opt.Hostname, ""}
}

// apiSofia is "sofia status" and "sofia xmlstatus profile NAME reg".
func apiSofia(s *Switch, _ *channel, arg string) string {
	a := splitArgs(arg, 6)
	switch {
	case len(a) == 1 && a[0] == "status":
		line := strings.Repeat("=", 97) + "\n"
		out := fmt.Sprintf("%25s\t%s\t  %40s\t%s\n", "Name", "   Type", "Data", "State") + line
		out += fmt.Sprintf("%25s\t%s\t  %40s\t%s\n", s.defaultDomain(), "  alias", "internal", "ALIASED")
		for _, p := range []*profile{s.external, s.internal} {
			out += fmt.Sprintf("%25s\t%s\t  %40s\t%s (%d)\n", p.name, "profile", "sip:mod_sofia@"+p.addr().String(), "RUNNING", p.calls())
		}
		return out + line + "2 profiles 1 alias\n"
	case len(a) == 1 && a[0] == "xmlstatus":
		return s.sofiaXMLStatus("")
	case len(a) == 3 && a[0] == "xmlstatus" && a[1] == "gateway": // it has none
		return "Invalid Gateway!\n"
	case len(a) == 3 && a[0] == "xmlstatus" && a[1] == "profile":
		return s.sofiaXMLStatus(a[2])
	case len(a) == 4 && a[0] == "xmlstatus" && a[1] == "profile" && a[3] == "reg":
		p := s.profile(a[2])
		if p == nil {
			return "Invalid Profile!\n"
		}
		return p.reg.xml()
	case len(a) == 3 && a[0] == "status" && a[1] == "gateway":
		return s.gatewayStatus(a[2])
	case len(a) == 3 && a[0] == "profile" && a[2] == "rescan":
		p := s.profile(a[1])
		if p == nil {
			return "Invalid Profile [" + a[1] + "]\n"
		}
		s.rescan(p)
		return "Reload XML [Success]\n+OK scan complete\n"
	case len(a) >= 3 && a[0] == "status" && a[1] == "profile":
		if p := s.profile(a[2]); p != nil {
			return "Name             \t" + p.name + "\nURL              \tsip:mod_sofia@" + p.addr().String() + "\n"
		}
		return "Invalid Profile!\n"
	}
	s.unknown("api sofia " + arg)
	return "-ERR Unknown command!\n"
}

func (r *registrar) xml() string {
	esc := strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;")
	var b strings.Builder
	b.WriteString("<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?>\n<profile>\n  <registrations>\n")
	for _, x := range r.everything() {
		line := func(name, value string) {
			fmt.Fprintf(&b, "        <%s>%s</%s>\n", name, esc.Replace(value), name)
		}
		b.WriteString("    <registration>\n")
		line("call-id", x.callID)
		line("user", x.user+"@"+x.domain)
		line("contact", `"" <`+x.dialURI()+`>`)
		line("agent", x.agent)
		line("status", fmt.Sprintf("Registered(%s)(unknown) exp(%s) expsecs(%d)", x.transport,
			x.expires.Format("2006-01-02 15:04:05"), x.expires.Unix()-time.Now().Unix()))
		line("ping-status", "Reachable")
		line("ping-time", "0.00")
		line("host", r.p.s.opt.Hostname)
		line("network-ip", x.netIP)
		line("network-port", itoa(x.netPort))
		line("sip-auth-user", x.user)
		line("sip-auth-realm", x.domain)
		line("mwi-account", x.user+"@"+x.domain)
		b.WriteString("    </registration>\n")
	}
	b.WriteString("  </registrations>\n</profile>\n")
	return b.String()
}

// apiSofiaContact is "[profile/]user@domain"; "*" looks in every profile.
func apiSofiaContact(s *Switch, _ *channel, arg string) string {
	name, who, ok := strings.Cut(strings.TrimSpace(arg), "/")
	if !ok {
		name, who = "*", name
	}
	user, domain, ok := strings.Cut(who, "@")
	if !ok {
		domain = s.defaultDomain()
	}
	var out []string
	for _, p := range []*profile{s.internal, s.external} {
		if name != "*" && name != p.name {
			continue
		}
		for _, b := range p.reg.bindings(user, domain) {
			out = append(out, "sofia/"+p.name+"/"+b.dialURI())
		}
	}
	if len(out) == 0 {
		return "error/user_not_registered"
	}
	return strings.Join(out, ",")
}
