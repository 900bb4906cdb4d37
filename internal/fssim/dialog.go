package fssim

import (
	"fmt"
	"strconv"
	"strings"
)

// leg is the SIP side of a channel. It is owned by the channel's owner; what is written before the owner starts, or
// read by the profile to find the leg, never changes afterwards.
type leg struct {
	invite *serverTx // A leg: the caller's INVITE
	client *clientTx // B leg: our INVITE

	callID    string
	localTag  string
	remoteTag string
	local     string // our From or To value, with tag
	remote    string // the far end's, with tag once it is known
	target    string // the far end's Contact
	routes    []string
	proxy     string // sip_route_uri: where requests go whatever the routes say
	cseq      uint32
	contact   string

	offer       []byte // the far end's SDP
	answer      []byte // ours, as sent last
	relay       *relay // of a caller answered by nobody, or of one we called by ourselves; nil = media goes directly
	gotBye      bool   // the far end ended the leg, no signalling is left to send
	finished    bool   // an INVITE of ours got its final failure
	acked       bool   // B leg: the far end answered and has our ACK
	sentOK      bool   // A leg: our 200 is out
	respond     int    // status and phrase that the respond application chose
	phrase      string
	redirects   int    // how often a 3xx was followed
	firstTo     string // To and routes of the first INVITE
	firstRoutes []string

	withdraw bool   // hung up before a provisional response: CANCEL when one comes
	reason   string // for that CANCEL
}

// request builds a request inside the dialog.
func (l *leg) request(method string) *sipMessage {
	m := &sipMessage{method: method, uri: l.target}
	for _, r := range l.routes {
		m.add("Route", r)
	}
	m.add("Max-Forwards", "70")
	m.add("From", l.local)
	m.add("To", l.remote)
	m.add("Call-ID", l.callID)
	if method != "ACK" {
		l.cseq++
	}
	m.add("CSeq", fmt.Sprintf("%d %s", l.cseq, method))
	if l.contact != "" {
		m.add("Contact", "<"+l.contact+">")
	}
	m.add("User-Agent", userAgent)
	return m
}

// nextHop is where a request of the dialog is sent: our outbound proxy for the INVITE only, else the topmost route,
// else the far end's contact.
func (l *leg) nextHop() (hop, error) {
	to := l.target
	if len(l.routes) > 0 {
		to = parseAddr(l.routes[0]).uri
	}
	u, err := parseURI(to)
	if err != nil {
		return hop{}, err
	}
	return hopOf(u), nil
}

const (
	userAgent  = "FreeSWITCH-mod_sofia/1.10.12-release+git~20240802T210227Z~a88d069d6f~64bit"
	sdpType    = "application/sdp"
	maxRouting = 20
)

// reversed returns the values in opposite order: a callee's Record-Route as the caller's route set.
func reversed(in []string) []string {
	out := make([]string, 0, len(in))
	for i := len(in) - 1; i >= 0; i-- {
		out = append(out, in[i])
	}
	return out
}

// contactOf returns the URI of the first Contact, "" when there is none.
func contactOf(m *sipMessage) string {
	l := m.list("Contact")
	if len(l) == 0 {
		return ""
	}
	return parseAddr(l[0]).uri
}

// plainSDP is an SDP for a leg that talks to nobody: audio to the discard port of the profile's address.
func plainSDP(ip string, offer []byte) []byte {
	payloads, maps := "0 101", "a=rtpmap:0 PCMU/8000\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\n"
	if lawOf(offer) == "8" {
		payloads, maps = "8 101", "a=rtpmap:8 PCMA/8000\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\n"
	}
	fam := "IP4"
	if strings.Contains(ip, ":") {
		fam = "IP6"
	}
	return fmt.Appendf(nil, "v=0\r\no=FreeSWITCH 1795416787 1795416788 IN %s %s\r\ns=FreeSWITCH\r\nc=IN %s %s\r\nt=0 0\r\n"+
		"m=audio 9 RTP/AVP %s\r\n%sa=ptime:20\r\na=sendrecv\r\n", fam, ip, fam, ip, payloads, maps)
}

// unreadable is what Sofia says to an INVITE that it cannot read; "" = it can.
func unreadable(m *sipMessage) string {
	u, err := parseURI(parseAddr(m.get("From")).uri)
	switch {
	case err != nil || u.scheme == "":
		return "Bad From Header"
	case contactOf(m) == "":
		return "Missing Contact Header"
	}
	for line := range strings.SplitSeq(string(m.body), "\n") {
		// Six fields (RFC 4566 section 5.2): a blank in the user's name makes it seven.
		if strings.HasPrefix(line, "o=") && len(strings.Fields(line)) != 6 {
			return "Bad Session Description"
		}
	}
	return ""
}

// mediaOf reads the address and port of the first audio line.
func mediaOf(sdp []byte) (ip, port string) {
	for line := range strings.SplitSeq(string(sdp), "\n") {
		line = strings.TrimRight(line, "\r")
		f := strings.Fields(line)
		switch {
		case strings.HasPrefix(line, "c=") && len(f) == 3:
			ip = f[2]
		case strings.HasPrefix(line, "m=audio") && len(f) > 1:
			port = f[1]
		}
	}
	return ip, port
}

// describeAnswer sets what the 200 says of the leg.
func (c *channel) describeAnswer(r *sipMessage) {
	from, _ := parseURI(parseAddr(c.leg.local).uri)
	to, _ := parseURI(parseAddr(r.get("To")).uri)
	contact, _ := parseURI(contactOf(r))
	n, _ := r.cseq()
	set := c.set
	set("sip_from_user", from.user)
	set("sip_from_uri", userAt(from.user, from.hostPort()))
	set("sip_from_tag", c.leg.localTag)
	set("sip_cseq", strconv.Itoa(int(n)))
	set("sip_to_params", strings.TrimPrefix(to.params, ";"))
	set("sip_to_user", to.user)
	setPort(set, "sip_to_port", to.port)
	set("sip_to_uri", userAt(to.user, to.hostPort()))
	set("sip_to_host", to.host)
	set("sip_contact_params", strings.TrimPrefix(contact.params, ";"))
	set("sip_contact_user", contact.user)
	setPort(set, "sip_contact_port", contact.port)
	set("sip_contact_host", contact.host)
	set("sip_full_via", strings.Join(r.all("Via"), ", "))
	set("sip_recover_via", strings.Join(r.all("Via"), ", "))
	set("sip_recover_contact", r.get("Contact"))
	set("ep_codec_string", "CORE_PCM_MODULE.PCMU@8000h@20i@64000b")
}
