package trace

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/signalbox/signalbox/dialplan"
)

// ErrInvite is wrapped by errors about a message that is no INVITE.
var ErrInvite = errors.New("not an INVITE")

const maxInvite = 64 << 10

// ReadInvite reads an INVITE as it came over the wire and makes of it the call that mod_sofia makes: the caller's profile
// and the variables sip_from_user, sip_req_user, sip_h_X-... and their kin. What a message does not say stays unset:
// the context, the address that it came from (network_addr, sip_received_ip), whether it was authorised, and what the SIP
// profile adds. Line ends may be plain line feeds.
func ReadInvite(r io.Reader) (*dialplan.Call, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxInvite+1))
	if err != nil {
		return nil, fmt.Errorf("reading an INVITE: %w", err)
	}
	if len(data) > maxInvite {
		return nil, fmt.Errorf("an INVITE of more than %d bytes: %w", maxInvite, dialplan.ErrLimit)
	}
	head, body, _ := strings.Cut(strings.ReplaceAll(string(data), "\r\n", "\n"), "\n\n")
	m, err := parseHead(strings.TrimLeft(head, "\n"))
	if err != nil {
		return nil, err
	}
	m.body = body
	return m.call(), nil
}

type message struct {
	uri     string
	headers []header
	body    string
}

type header struct{ name, value string }

// compact are the short names of headers.
var compact = map[string]string{"f": "From", "t": "To", "i": "Call-ID", "m": "Contact", "v": "Via", "s": "Subject", "k": "Supported",
	"y": "Identity", "l": "Content-Length", "c": "Content-Type", "r": "Refer-To", "b": "Referred-By"}

func parseHead(head string) (*message, error) {
	first, rest, _ := strings.Cut(head, "\n")
	f := strings.Fields(first)
	if len(f) != 3 || f[0] != "INVITE" || !strings.HasPrefix(f[2], "SIP/") {
		return nil, fmt.Errorf("it begins with %q: %w; its first line is like: INVITE sip:+14155550100@example.test SIP/2.0", clip(first), ErrInvite)
	}
	m := &message{uri: f[1]}
	for line := range strings.SplitSeq(rest, "\n") {
		if n := len(m.headers); n > 0 && (strings.HasPrefix(line, " ") || strings.HasPrefix(line, "\t")) {
			m.headers[n-1].value += " " + strings.TrimSpace(line)
			continue
		}
		name, value, ok := strings.Cut(line, ":")
		if !ok {
			if strings.TrimSpace(line) == "" {
				continue
			}
			return nil, fmt.Errorf("line %q is no header: %w", clip(line), ErrInvite)
		}
		name = strings.TrimSpace(name)
		if long, ok := compact[strings.ToLower(name)]; ok {
			name = long
		}
		m.headers = append(m.headers, header{name, strings.TrimSpace(value)})
	}
	return m, nil
}

// get returns the first header of that name.
func (m *message) get(name string) string {
	for _, h := range m.headers {
		if strings.EqualFold(h.name, name) {
			return h.value
		}
	}
	return ""
}

// address is a name-addr.
type address struct {
	display, uri, params string
	user, host, port     string
	uriParams            string
}

func parseAddress(s string) address {
	var a address
	s = strings.TrimSpace(s)
	if rest, ok := strings.CutPrefix(s, `"`); ok {
		end := 0
		for end < len(rest) && rest[end] != '"' {
			if rest[end] == '\\' {
				end++
			}
			end++
		}
		end = min(end, len(rest))
		a.display = rest[:end]
		s = rest[min(end+1, len(rest)):]
	}
	if before, rest, ok := strings.Cut(s, "<"); ok {
		if a.display == "" {
			a.display = strings.TrimSpace(before)
		}
		a.uri, a.params, _ = strings.Cut(rest, ">")
	} else {
		a.uri, a.params, _ = strings.Cut(s, ";")
		if a.params != "" {
			a.params = ";" + a.params
		}
	}
	a.params = strings.TrimLeft(a.params, "; ")
	a.parts(strings.TrimSpace(a.uri))
	return a
}

// parts takes a URI apart.
func (a *address) parts(uri string) {
	a.uri = uri
	_, rest, ok := strings.Cut(uri, ":")
	if !ok {
		return
	}
	rest, _, _ = strings.Cut(rest, "?")
	user, hostPart, ok := strings.Cut(rest, "@")
	if !ok {
		user, hostPart = "", rest
		if strings.HasPrefix(strings.ToLower(uri), "tel:") {
			user, a.uriParams, _ = strings.Cut(rest, ";")
			a.user = user
			return
		}
	}
	a.user, _, _ = strings.Cut(user, ":")
	hostPart, a.uriParams, _ = strings.Cut(hostPart, ";")
	a.host = hostPart
	if host, port, err := net.SplitHostPort(hostPart); err == nil {
		a.host, a.port = host, port
	}
}

// short is user@host:port; without a user mod_sofia takes the caller's.
func (a *address) short(caller string) string {
	user, host := a.user, a.host
	if host == "" {
		return ""
	}
	if user == "" {
		user = caller
	}
	if a.port != "" {
		host = net.JoinHostPort(host, a.port)
	}
	return user + "@" + host
}

func (m *message) call() *dialplan.Call {
	vars := map[string]string{}
	set := func(name, value string) {
		// mod_sofia does not take a value that holds a variable.
		if value != "" && !strings.Contains(value, "${") {
			vars[name] = value
		}
	}
	var req address
	req.parts(m.uri)
	from, to := parseAddress(m.get("From")), parseAddress(m.get("To"))
	for prefix, a := range map[string]address{"sip_from": from, "sip_to": to, "sip_req": req, "sip_contact": parseAddress(m.get("Contact"))} {
		set(prefix+"_user", a.user)
		set(prefix+"_host", a.host)
		set(prefix+"_port", a.port)
		set(prefix+"_params", a.uriParams)
		set(prefix+"_uri", a.short(from.user))
	}
	set("sip_from_display", from.display)
	set("sip_to_display", to.display)
	set("sip_from_user_stripped", strings.TrimPrefix(from.user, "+"))
	for prefix, params := range map[string]string{"sip_from_": from.params, "sip_to_": to.params} {
		for p := range strings.SplitSeq(params, ";") {
			name, value, _ := strings.Cut(strings.TrimSpace(p), "=")
			if name != "" {
				set(prefix+name, value)
			}
		}
	}
	for variable, name := range map[string]string{"sip_full_from": "From", "sip_call_id": "Call-ID",
		"sip_user_agent": "User-Agent", "sip_subject": "Subject", "sip_allow": "Allow", "sip_Privacy": "Privacy",
		"max_forwards": "Max-Forwards", "sip_call_info": "Call-Info",
		"sip_geolocation": "Geolocation"} {
		set(variable, m.get(name))
	}
	set("sip_Remote-Party-ID", strings.ReplaceAll(m.get("Remote-Party-ID"), "; ", ";"))
	via := parseVia(m.get("Via"))
	set("sip_via_protocol", via.transport)
	set("sip_via_host", via.host)
	set("sip_via_port", via.port)
	set("switch_r_sdp", strings.ReplaceAll(m.body, "\n", "\r\n"))
	set("endpoint_disposition", "RECEIVED")
	m.extension(set, vars)
	c := m.profile(from, req, to, set)
	c.Vars = dialplan.NewVars(vars)
	return c
}

type viaHeader struct{ transport, host, port string }

func parseVia(s string) viaHeader {
	first, _, _ := strings.Cut(s, ",")
	f := strings.Fields(first)
	if len(f) < 2 {
		return viaHeader{}
	}
	sentBy, _, _ := strings.Cut(f[1], ";")
	v := viaHeader{transport: strings.ToLower(f[0][strings.LastIndexByte(f[0], '/')+1:]), host: sentBy}
	if host, port, err := net.SplitHostPort(sentBy); err == nil {
		v.host, v.port = host, port
	}
	return v
}

// extension keeps the headers that mod_sofia does not know itself: X-, P- and the like; the last Diversion, all of
// History-Info. A second header of one name gets -1 behind its name.
func (m *message) extension(set func(name, value string), vars map[string]string) {
	taken := map[string]bool{} // variables know no case
	for _, h := range m.headers {
		lower := strings.ToLower(h.name)
		switch {
		case lower == "p-asserted-identity" || lower == "p-preferred-identity": // known, see profile
		case strings.HasPrefix(lower, "diversion"):
			set("sip_h_"+h.name, h.value)
		case strings.HasPrefix(lower, "history-info"):
			if have := vars["sip_history_info"]; have != "" {
				set("sip_history_info", have+", "+h.value)
			} else {
				set("sip_history_info", h.value)
			}
		case lower == "identity":
			if vars["sip_h_identity"] == "" {
				set("sip_h_identity", h.value)
			}
		case lower == "x-fs-support" || lower == "x-fs-channel-name":
		case strings.HasPrefix(lower, "x-"), strings.HasPrefix(lower, "p-"), strings.HasPrefix(lower, "k-"), strings.HasPrefix(lower, "on"), lower == "user-to-user":
			name := "sip_h_" + h.name
			for n := 1; taken[strings.ToLower(name)]; n++ {
				name = fmt.Sprintf("sip_h_%s-%d", h.name, n)
			}
			set(name, h.value)
			taken[strings.ToLower(name)] = vars[name] != ""
		}
	}
}

// profile is the caller's profile. Remote-Party-ID goes before From, P-Asserted-Identity before that, and
// P-Preferred-Identity before all.
func (m *message) profile(from, req, to address, set func(name, value string)) *dialplan.Call {
	user, display := from.user, from.display
	if display == "" {
		display = user
		if user == "" {
			display = "unknown"
		}
	}
	for _, name := range []string{"Remote-Party-ID", "P-Asserted-Identity", "P-Preferred-Identity"} {
		value := m.get(name)
		if value == "" {
			continue
		}
		first := value
		if i := strings.Index(value, ">,"); i >= 0 {
			first = value[:i+1]
		}
		a := parseAddress(first)
		if a.user != "" {
			user = a.user
			switch name {
			case "P-Asserted-Identity":
				set("sip_P-Asserted-Identity", user)
			case "P-Preferred-Identity":
				set("sip_P-Preferred-Identity", value)
			}
		}
		if a.display != "" {
			display = a.display
		}
		kind := "pid"
		if name == "Remote-Party-ID" {
			kind = "rpid"
		}
		set("sip_cid_type", kind)
	}
	user, params, cut := strings.Cut(user, ";")
	if cut {
		set("sip_name_params", params)
	}
	destination := req.user
	if destination == "" {
		destination = to.user
	}
	fields := map[string]string{"source": "mod_sofia", "dialplan": "XML", "username": user, "ani": user}
	for p := range strings.SplitSeq(strings.ToLower(m.get("Privacy")), ";") {
		if strings.TrimSpace(p) == "id" {
			fields["privacy_hide_name"], fields["privacy_hide_number"] = "true", "true"
		}
	}
	return &dialplan.Call{Destination: destination, CallerIDNumber: user, CallerIDName: display, Fields: fields}
}

func clip(s string) string {
	if len(s) > 60 {
		s = s[:60] + "..."
	}
	return s
}
