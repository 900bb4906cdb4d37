package fssim

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// destination is where a sofia leg goes.
type destination struct {
	prof   *profile
	user   string // of a registered device, for its variables
	domain string
	dialed bool   // by "user/"
	uri    string // Request-URI, scheme included
	to     string // To value
	path   []string
}

// findDestination reads what stands behind "sofia/", "user/" or "error/" of a leg of a caller, who may be nil. Only causeSuccess comes with a
// destination.
func (s *Switch) findDestination(from *channel, l dialLeg) ([]destination, cause) {
	switch strings.ToLower(l.kind) {
	case "error":
		return nil, causeByName(l.data)
	case "user":
		user, domain, ok := strings.Cut(l.data, "@")
		if !ok {
			domain = s.defaultDomain()
		}
		if s.user(user, domain) == nil {
			return nil, causeSubscriberAbsent
		}
		if from != nil {
			from.set("dialed_user", user)
			from.set("dialed_domain", domain)
		}
		dests, cs := s.registered(s.internal, user, domain)
		for i := range dests {
			dests[i].dialed = true
		}
		return dests, cs
	case "sofia":
		return s.sofiaDestination(l.data)
	}
	s.unknown("endpoint " + l.kind)
	return nil, causeByName("CHAN_NOT_IMPLEMENTED")
}

func (s *Switch) sofiaDestination(data string) ([]destination, cause) {
	name, rest, ok := strings.Cut(data, "/")
	if !ok {
		return nil, 810 // INVALID_URL
	}
	if name == "gateway" {
		return s.gatewayDestination(rest)
	}
	p := s.profile(name)
	if p == nil {
		return nil, 811 // INVALID_PROFILE
	}
	if user, domain, ok := strings.Cut(rest, "%"); ok && !strings.Contains(user, "@") && !strings.Contains(user, ":") {
		if s.user(user, domain) == nil && len(p.reg.bindings(user, domain)) == 0 {
			return nil, causeNotRegistered
		}
		return s.registered(p, user, domain)
	}
	d, ok := parseContact(p, rest)
	if !ok {
		return nil, 810
	}
	return []destination{d}, causeSuccess
}

// registered gives the devices of a user.
func (s *Switch) registered(p *profile, user, domain string) ([]destination, cause) {
	var out []destination
	for _, b := range p.reg.bindings(user, domain) {
		if d, ok := parseContact(p, b.dialURI()); ok {
			d.user, d.domain = user, domain
			out = append(out, d)
		}
	}
	if len(out) == 0 {
		return nil, causeNotRegistered
	}
	return out, causeSuccess
}

// parseContact takes a contact apart as sofia_glue_get_destination does: what stands behind fs_path= up to the next
// semicolon is the percent-encoded route.
func parseContact(p *profile, s string) (destination, bool) {
	d := destination{prof: p}
	uri := s
	if i := strings.Index(s, ";fs_path="); i >= 0 {
		route := s[i+len(";fs_path="):]
		uri = s[:i]
		route, _, _ = strings.Cut(route, ";")
		for _, r := range splitList(decodeUser(route)) {
			if !strings.HasPrefix(r, "<") {
				r = "<" + r + ">"
			}
			d.path = append(d.path, r)
		}
	}
	if i := strings.Index(uri, ";fs_"); i >= 0 {
		uri = uri[:i]
	}
	if !strings.HasPrefix(uri, "sip:") && !strings.HasPrefix(uri, "sips:") {
		uri = "sip:" + uri
	}
	u, err := parseURI(uri)
	if err != nil || u.scheme == "sips" {
		return d, false
	}
	u.user = canonize(u.user, "&=+$,;?/")
	u.params = canonize(u.params, "[]/:&+$")
	d.uri = u.String()
	d.to = "<" + d.uri + ">"
	return d, true
}

// canonize takes off the percent escapes that a part of a URI does not need, as Sofia does: %2B becomes + and %40
// stays.
func canonize(s, plain string) string {
	if !strings.Contains(s, "%") {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			n, err := strconv.ParseUint(s[i+1:i+3], 16, 8)
			c := byte(n)
			alnum := c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z'
			if err == nil && (alnum || strings.IndexByte("-_.!~*'()"+plain, c) >= 0) {
				b.WriteByte(c)
				i += 2
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// newLeg makes the channel of an outgoing leg; start sends its INVITE. from may be nil (originate).
func (s *Switch) newLeg(from *channel, d destination, leg dialLeg, global []variable) *channel {
	c := s.newChannel(d.prof, true)
	u, _ := parseURI(d.uri)
	c.name = "sofia/" + d.prof.name + "/" + strings.TrimPrefix(userAt(u.user, u.hostPort()), "sip:")
	cp := &c.caller
	cp.cidNum, cp.source, cp.context = "0000000000", "src/switch_ivr_originate.c", "default"
	if from != nil {
		from.mu.Lock()
		a := from.caller
		from.mu.Unlock()
		cp.username, cp.dialplan, cp.source, cp.context = a.username, a.dialplan, "mod_sofia", a.context
		cp.cidName, cp.cidNum, cp.origName, cp.origNum = a.cidName, a.cidNum, a.cidName, a.cidNum
		cp.ani, cp.rdnis, cp.netAddr = a.ani, a.rdnis, a.netAddr
		cp.hideName, cp.hideNumber = a.hideName, a.hideNumber
		if v := from.get("effective_caller_id_name"); v != "" {
			cp.cidName = v
		}
		if v := from.get("effective_caller_id_number"); v != "" {
			cp.cidNum = v
		}
	}
	all := mergeVars(append([]variable(nil), global...), leg.vars)
	if v := varOf(all, "origination_caller_id_name"); v != "" {
		cp.cidName = v
	}
	if v := varOf(all, "origination_caller_id_number"); v != "" {
		cp.cidNum = v
	}
	if v := varOf(all, "origination_uuid"); v != "" && s.find(v) == nil {
		c.uuid, cp.uuid = v, v
	}
	if v := varOf(all, "origination_privacy"); v != "" {
		cp.hideName, cp.hideNumber = strings.Contains(v, "hide_name"), strings.Contains(v, "hide_number")
	}
	if cp.ani == "" {
		cp.ani = cp.cidNum
	}
	if cp.origNum == "" {
		cp.origNum, cp.origName = cp.cidNum, cp.cidName
	}
	cp.dest, cp.chanName = decodeUser(u.user), c.name
	cp.calleeName, cp.calleeNum = "Outbound Call", cp.dest
	c.describeLeg(from, d, u, leg, global)
	return c
}

// describeLeg sets the variables of an outgoing leg. Those for all legs win over the leg's own, as in FreeSWITCH
// without local_var_clobber.
func (c *channel) describeLeg(from *channel, d destination, u sipURI, leg dialLeg, global []variable) {
	set := c.store
	set("direction", "outbound")
	set("is_outbound", "true")
	set("uuid", c.uuid)
	set("call_uuid", c.uuid)
	c.number = c.s.nextSession()
	set("session_id", strconv.Itoa(c.number))
	set("sip_local_network_addr", d.prof.addr().Addr().String())
	set("sip_profile_name", d.prof.name)
	set("video_media_flow", "disabled")
	set("text_media_flow", "disabled")
	set("channel_name", c.name)
	set("sip_destination_url", d.uri)
	if from != nil {
		set("originator_codec", "CORE_PCM_MODULE.PCMU@8000h@20i@64000b")
		set("switch_m_sdp", from.get("switch_r_sdp"))
		set("originator", from.uuid)
		for _, v := range from.variables() {
			if strings.HasPrefix(v.name, "sip_h_") || v.name == "sip_cid_type" || v.name == "max_forwards" {
				value := v.value
				if v.name == "max_forwards" {
					value = strconv.Itoa(atoi(v.value) - 1)
				}
				set(v.name, value)
			}
		}
		exports := from.get("export_vars")
		for name := range strings.SplitSeq(exports, ",") {
			value := from.get(name)
			name = strings.TrimPrefix(strings.TrimPrefix(name, "nolocal:"), "_nolocal_")
			if name != "" && value != "" {
				set(name, value)
			}
		}
	}
	if d.user != "" {
		set("dialed_user", d.user)
		set("dialed_domain", d.domain)
		set("presence_id", d.user+"@"+d.domain)
	}
	for _, v := range leg.vars {
		set(v.name, v.value)
	}
	for _, v := range global {
		set(v.name, v.value)
	}
	early := varOf(global, "ignore_early_media")
	if early == "" && from != nil {
		early = from.get("ignore_early_media")
	}
	set("originate_early_media", strconv.FormatBool(earlyMediaOf(early) == earlyBridges))
	set("originate_endpoint", "sofia")
	if c.dialed = d.dialed; d.dialed {
		set("sip_invite_domain", d.domain)
	}
	if from != nil {
		set("rtp_use_codec_string", "CORE_PCM_MODULE.PCMU@8000h@20i@64000b")
	} else {
		set("rtp_use_codec_string", "OPUS,G722,PCMU,PCMA,H264,VP8")
	}
	ip := d.prof.addr().Addr().String()
	set("local_media_ip", ip)
	set("local_media_port", "9")
	set("advertised_media_ip", ip)
	set("audio_media_flow", "sendrecv")
	set("sofia_profile_name", d.prof.name)
	set("recovery_profile_name", d.prof.name)
	set("sofia_profile_url", "sip:mod_sofia@"+d.prof.addr().String())
	c.prepareInvite(from, d, u)
}

// prepareInvite builds the INVITE; the leg's owner sends it.
func (c *channel) prepareInvite(from *channel, d destination, u sipURI) {
	p, l := d.prof, &c.leg
	host := p.addr().Addr().String()
	if v, ok := c.find("sip_invite_domain"); ok {
		host = v
	}
	l.callID, l.localTag = newUUID(), newTag()
	l.routes = d.path
	hopURI := u
	if len(d.path) > 0 {
		hopURI, _ = parseURI(parseAddr(d.path[0]).uri)
	}
	if v, ok := c.find("sip_route_uri"); ok {
		l.proxy = v
		l.routes = nil
		hopURI, _ = parseURI(v)
	}
	if v, ok := c.find("sip_transport"); ok && !strings.Contains(hopURI.params, "transport=") {
		hopURI.params += ";transport=" + v
	}
	l.contact = p.contact(hopOf(hopURI).tcp)
	l.target = d.uri
	if v, ok := c.find("sip_invite_params"); ok {
		l.target += ";" + v
	}
	c.store("sip_outgoing_contact_uri", "<"+l.contact+">")
	c.store("sip_req_uri", strings.TrimPrefix(l.target, "sip:"))
	c.store("sip_to_host", u.hostPort())
	c.store("sip_from_host", host)
	fromURI := "<sip:" + userAt(c.caller.cidNum, host) + ">"
	display := c.caller.cidName
	if v, ok := c.find("sip_from_display"); ok {
		display = v
	}
	if display != "" && display != "_undef_" {
		fromURI = `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(display) + `" ` + fromURI
	}
	l.local = fromURI + ";tag=" + l.localTag
	l.remote = d.to
	l.firstTo, l.firstRoutes = d.to, l.routes
	l.cseq = uint32(time.Now().Unix() & 0x7ffffff)
	if from != nil && len(from.leg.offer) > 0 {
		l.answer = from.leg.offer
	} else {
		l.answer = plainSDP(p.addr().Addr().String(), nil)
		if l.relay = c.s.newRelay(p.addr().Addr(), nil, c.queueDigit); l.relay != nil {
			c.voice.Store(l.relay)
			l.answer = l.relay.sdp(l.answer)
		}
	}
	liberal, _ := c.find("rtp_liberal_dtmf")
	c.liberal = isTrue(liberal)
	c.store("rtp_local_sdp_str", string(l.answer))
	if l.proxy == "" {
		return
	}
	if _, err := parseURI(l.proxy); err != nil {
		l.proxy = ""
	}
}

// sendInvite sends the INVITE of an outgoing leg. Owner only.
func (c *channel) sendInvite() {
	l := &c.leg
	m := l.request("INVITE")
	m.set("Max-Forwards", firstNonEmpty(c.get("max_forwards"), "70"))
	m.add("Allow", c.prof.allowed())
	m.add("Supported", c.prof.supported())
	m.add("Allow-Events", "talk, hold, conference, refer")
	if v := c.get("sip_h_identity"); v != "" {
		m.add("Identity", v)
	}
	id, privacy := c.identityHeaders()
	if privacy != "" {
		m.add("Privacy", privacy)
	}
	m.add("Content-Type", sdpType)
	m.add("Content-Disposition", "session")
	c.addPrefixed(m, "sip_h_")
	m.add("X-FS-Support", "update_display,send_info")
	if id.name != "" {
		m.add(id.name, id.value)
	}
	m.body = l.answer
	h, err := l.firstHop()
	if err != nil {
		c.inviteFailed(503, "Service Unavailable")
		return
	}
	tx := &clientTx{req: m}
	tx.response = func(r *sipMessage) { c.post(func() { c.onInviteResponse(tx, r) }) }
	tx.failed = func(code int, why string) { c.post(func() { c.inviteFailed(code, why) }) }
	l.client = tx
	p := c.prof
	c.sendLater(func() { p.stack.start(c.s.ctx, tx, h) })
}

// firstHop is where the INVITE goes: the outbound proxy if one was set.
func (l *leg) firstHop() (hop, error) {
	if l.proxy == "" {
		return l.nextHop()
	}
	u, err := parseURI(l.proxy)
	if err != nil {
		return hop{}, err
	}
	return hopOf(u), nil
}

// identityHeaders write the caller as sip_cid_type asks: pid, rpid (the default) or none; with pid a Privacy goes with
// it.
func (c *channel) identityHeaders() (id sipHeader, privacy string) {
	c.mu.Lock()
	name, number, hide, hideName := c.caller.cidName, c.caller.cidNum, c.caller.hideNumber, c.caller.hideName
	c.mu.Unlock()
	uri := fmt.Sprintf("<sip:%s@%s>", number, c.get("sip_from_host"))
	if name != "" {
		uri = `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(name) + `" ` + uri
	}
	switch strings.ToLower(firstNonEmpty(c.get("sip_cid_type"), "rpid")) {
	case "pid":
		switch {
		case hide:
			privacy = "id"
		case !isTrue(c.get("sip_cid_suppress_privacy_none")):
			privacy = "none"
		}
		return sipHeader{"P-Asserted-Identity", uri}, privacy
	case "rpid":
		priv := "off"
		if hideName {
			priv = "name"
		}
		if hide {
			priv = "full"
		}
		return sipHeader{"Remote-Party-ID", uri + ";party=calling;screen=yes;privacy=" + priv}, ""
	}
	return sipHeader{}, ""
}

// onInviteResponse follows the INVITE of an outgoing leg. Owner only.
func (c *channel) onInviteResponse(tx *clientTx, r *sipMessage) {
	l := &c.leg
	if tx != l.client {
		return // of an INVITE that was redirected
	}
	switch {
	case r.status == 100:
		c.withdrawn()
	case r.status < 200:
		c.learn(r)
		if c.withdrawn() {
			return
		}
		if len(r.body) > 0 {
			c.takeSDP(r.body)
			c.markEarly()
			c.signal()
			return
		}
		c.markRinging()
	case r.status < 300:
		again := l.acked
		c.learn(r)
		c.describeAnswer(r)
		l.acked = true
		ack := l.request("ACK")
		n, _ := tx.req.cseq()
		ack.set("CSeq", fmt.Sprintf("%d ACK", n))
		c.sendAck(ack)
		if again {
			return
		}
		if c.down() { // it crossed our CANCEL: nobody is there any more
			l.finished = true
			c.sendInDialog(l.request("BYE"))
			return
		}
		if len(r.body) > 0 {
			c.takeSDP(r.body)
		}
		c.mu.Lock()
		c.setMediaVars()
		c.mu.Unlock()
		c.markAnswered()
	default:
		c.learn(r)
		if redirects(r.status) && !c.down() && c.redirected(r) {
			return
		}
		c.inviteRefused(r)
	}
}

// learn takes the dialog from a response.
func (c *channel) learn(r *sipMessage) {
	l := &c.leg
	if r.status >= 200 {
		for _, h := range r.headers { // mod_sofia gives both legs what a final answer says in headers of nobody's
			if len(h.name) > 2 && (strings.EqualFold(h.name[:2], "X-") || strings.EqualFold(h.name[:2], "P-")) {
				c.set("sip_rh_"+h.name, guardHeader(h.value))
				c.tellPartner("sip_rh_"+h.name, guardHeader(h.value))
			}
		}
	}
	if r.status < 300 {
		c.tellPartner("sip_invite_failure_status", "")
		c.tellPartner("sip_invite_failure_phrase", "")
		if tag := parseAddr(r.get("To")).param("tag"); tag != "" {
			l.remote, l.remoteTag = r.get("To"), tag
			c.set("sip_to_tag", tag)
			c.set("sip_full_to", r.get("To"))
			c.set("sip_full_from", l.local)
			c.set("sip_call_id", l.callID)
		}
		if t := contactOf(r); t != "" {
			l.target = t
			if u, err := parseURI(t); err == nil {
				c.set("sip_contact_uri", userAt(u.user, u.hostPort()))
			}
		}
		if rr := r.list("Record-Route"); len(rr) > 0 {
			l.routes = reversed(rr)
		} else if r.status >= 200 {
			l.routes = nil
		}
	}
	if l.client != nil && l.client.flow.peer.IsValid() {
		ip := l.client.flow.peer.Addr().String()
		c.set("sip_call_id", l.callID)
		c.set("sip_reply_host", ip)
		c.set("sip_reply_port", itoa(int(l.client.flow.peer.Port())))
		c.set("sip_network_ip", ip)
		c.set("sip_network_port", itoa(int(l.client.flow.peer.Port())))
		c.mu.Lock()
		c.caller.netAddr = ip
		c.mu.Unlock()
	}
}

func (c *channel) sendAck(ack *sipMessage) {
	h, err := c.leg.nextHop()
	if err != nil {
		return
	}
	p := c.prof
	c.sendLater(func() { p.stack.sendOnce(c.s.ctx, ack, h) })
}

// markRinging is 180 of the far end.
func (c *channel) markRinging() {
	c.mu.Lock()
	if c.ringing || c.early || c.answered || c.state >= csHangup {
		c.mu.Unlock()
		return
	}
	c.ringing = true
	c.caller.progress = micros(time.Now())
	c.mu.Unlock()
	c.fire("CHANNEL_PROGRESS", nil)
	c.executeOn("execute_on_ring")
	c.apiOn("api_on_ring")
	c.setCallState(ccsRinging)
	c.signal()
}

// inviteRefused is a final failure response; a Q.850 Reason in it is the cause.
func (c *channel) inviteRefused(r *sipMessage) {
	cs := causeOfStatus(r.status)
	if q := q850Reason(r); q != causeNone {
		cs = q
	}
	c.inviteEnds(r.status, r.reason, cs)
}

// q850Reason is the cause that a Reason header carries.
func q850Reason(m *sipMessage) cause {
	for _, r := range m.list("Reason") {
		proto, params := cutParams(r)
		if !strings.EqualFold(strings.TrimSpace(proto), "Q.850") {
			continue
		}
		if v, ok := paramOf(params, "cause"); ok && atoi(v) > 0 {
			return causeByName(v)
		}
	}
	return causeNone
}

// inviteFailed is the end of an outgoing leg that nobody answered.
func (c *channel) inviteFailed(code int, phrase string) {
	c.inviteEnds(code, phrase, causeOfStatus(code))
}

func (c *channel) inviteEnds(code int, phrase string, cs cause) {
	c.leg.finished = true
	if !c.down() {
		for _, v := range []variable{{"sip_invite_failure_status", strconv.Itoa(code)},
			{"sip_invite_failure_phrase", phrase}} {
			if code >= 400 { // a 3xx that is not followed leaves no status
				c.set(v.name, v.value)
				c.tellPartner(v.name, v.value)
			}
		}
		c.tellPartner("sip_hangup_phrase", phrase)
		c.set("sip_term_status", strconv.Itoa(code))
		c.set("proto_specific_hangup_cause", "sip:"+strconv.Itoa(code))
		c.set("sip_term_cause", strconv.Itoa(int(cs)))
		c.set("sip_hangup_disposition", "recv_refuse")
	}
	c.hangup(cs)
}

// cancelInvite withdraws the INVITE, now or when its first provisional response comes.
func (c *channel) cancelInvite(reason string) {
	l := &c.leg
	l.withdraw, l.reason = true, reason
	if l.client != nil && c.prof.stack.provisional(l.client) {
		c.withdrawn()
	}
}

// withdrawn sends the CANCEL that waited for a provisional response; it reports whether the leg is being cancelled.
func (c *channel) withdrawn() bool {
	if !c.leg.withdraw {
		return false
	}
	c.prof.stack.cancel(c.leg.client, c.leg.reason)
	return true
}
