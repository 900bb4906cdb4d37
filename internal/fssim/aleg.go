package fssim

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/signalbox/signalbox/esl/wire"
	"go.uber.org/zap"
)

// newCall makes the channel of an INVITE from outside and starts it.
func (p *profile) newCall(tx *serverTx) {
	m := tx.req
	req, err := parseURI(m.uri)
	if err != nil {
		tx.respond(tx.newResponse(400, "Bad Request"))
		return
	}
	if bad := unreadable(m); bad != "" {
		tx.respond(tx.newResponse(400, bad))
		return
	}
	if p.auth && !p.authorized(tx, 407) {
		return
	}
	if missing := p.requires(m); len(missing) > 0 {
		r := tx.newResponse(420, "Bad Extension")
		r.add("Unsupported", strings.Join(missing, ", "))
		tx.respond(r)
		return
	}
	if p.shortSession(tx) {
		return
	}
	if slices.Contains(m.list("Require"), "100rel") {
		tx.reliable = newReliably()
	}
	tx.respond(tx.newResponse(100, "Trying"))
	c := p.s.newChannel(p, false)
	c.describeCall(tx, req)
	tx.noAck = func() { c.hangup(causeNormalClearing) }
	if !p.s.register(c) {
		tx.respond(tx.newResponse(503, "Maximum Calls In Progress"))
		return
	}
	p.addDialog(c)
	if !p.s.spawn(c.run) {
		p.s.unregister(c)
	}
}

// describeCall fills caller profile and variables from the INVITE, in FreeSWITCH's order and with its names.
func (c *channel) describeCall(tx *serverTx, req sipURI) {
	m, p := tx.req, c.prof
	from, to := parseAddr(m.get("From")), parseAddr(m.get("To"))
	fu, _ := parseURI(from.uri)
	tu, _ := parseURI(to.uri)
	cu, _ := parseURI(contactOf(m))
	c.leg = leg{invite: tx, callID: m.get("Call-ID"), localTag: tx.tag, remoteTag: from.param("tag"),
		local: m.get("To") + ";tag=" + tx.tag, remote: m.get("From"), target: contactOf(m),
		routes: m.list("Record-Route"), contact: p.contact(tx.flow.tcp), offer: m.body}
	c.name = "sofia/" + p.name + "/" + userAt(fu.user, fu.hostPort())
	ip, port := tx.flow.peer.Addr(), int(tx.flow.peer.Port())

	number, name := fu.user, from.display
	cidType := ""
	if pai := m.list("P-Asserted-Identity"); len(pai) > 0 {
		a := parseAddr(pai[0])
		if u, err := parseURI(a.uri); err == nil && u.user != "" {
			number, _ = cutParams(u.user)
			cidType = "pid"
			if a.display != "" {
				name = a.display
			}
		}
	}
	if name == "" {
		name = number
	}
	number, name = guardInput(number), guardInput(name)
	cp := &c.caller
	cp.username, cp.dialplan = fu.user, "XML"
	cp.cidName, cp.cidNum, cp.origName, cp.origNum = name, number, name, number
	cp.netAddr, cp.ani, cp.dest = ip.String(), number, guardInput(decodeUser(req.user))
	cp.source, cp.context, cp.chanName = "mod_sofia", p.context, c.name
	cp.hideNumber = strings.Contains(strings.ToLower(m.get("Privacy")), "id")
	cp.hideName = cp.hideNumber

	set := c.store
	set("direction", "inbound")
	set("uuid", c.uuid)
	c.number = p.s.nextSession()
	set("session_id", strconv.Itoa(c.number))
	set("sip_from_user", fu.user)
	setPort(set, "sip_from_port", fu.port)
	set("sip_from_uri", userAt(fu.user, fu.hostPort()))
	set("sip_from_host", fu.host)
	set("video_media_flow", "disabled")
	set("audio_media_flow", "disabled")
	set("text_media_flow", "disabled")
	set("channel_name", c.name)
	set("sip_call_id", m.get("Call-ID"))
	set("sip_local_network_addr", p.addr().Addr().String())
	set("sip_network_ip", ip.String())
	set("sip_network_port", strconv.Itoa(port))
	set("sip_invite_stamp", strconv.FormatInt(cp.created, 10))
	set("sip_received_ip", ip.String())
	set("sip_received_port", strconv.Itoa(port))
	set("sip_via_protocol", map[bool]string{false: "udp", true: "tcp"}[tx.flow.tcp])
	set("sip_from_user_stripped", strings.TrimPrefix(fu.user, "+"))
	set("sip_from_tag", from.param("tag"))
	set("sofia_profile_name", p.name)
	set("sofia_profile_url", "sip:mod_sofia@"+p.addr().String())
	set("recovery_profile_name", p.name)
	if cidType != "" {
		set("sip_P-Asserted-Identity", number)
		set("sip_cid_type", cidType)
	}
	c.describeRouting(tx, req, from, tu, cu)
	c.describeHeaders(m)
	if p.auth {
		d := digestParams(m.get("Proxy-Authorization"))
		set("sip_authorized", "true")
		set("sip_auth_username", d["username"])
		set("sip_auth_realm", d["realm"])
		set("user_name", d["username"])
		set("domain_name", d["realm"])
	}
	if len(m.body) > 0 {
		set("switch_r_sdp", string(m.body))
		set("ep_codec_string", "CORE_PCM_MODULE.PCMU@8000h@20i@64000b")
		set("endpoint_disposition", "DELAYED NEGOTIATION")
	}
	set("call_uuid", c.uuid)
}

// describeRouting sets what the addresses of the INVITE say.
func (c *channel) describeRouting(tx *serverTx, req sipURI, from sipAddr, tu, cu sipURI) {
	m, set := tx.req, c.store
	set("sip_full_via", strings.Join(tx.newResponse(100, "").all("Via"), ", "))
	set("sip_recover_via", "")
	set("sip_from_display", guardInput(from.display))
	set("sip_full_from", guardInput(m.get("From")))
	set("sip_full_to", guardInput(m.get("To")))
	if rr := m.list("Record-Route"); len(rr) > 0 {
		set("sip_invite_record_route", strings.Join(rr, ","))
		set("sip_invite_route_uri", strings.Join(rr, ","))
	}
	set("sip_req_params", strings.TrimPrefix(req.params, ";"))
	set("sip_req_user", guardInput(req.user))
	setPort(set, "sip_req_port", req.port)
	set("sip_req_uri", guardInput(userAt(req.user, req.hostPort())))
	set("sip_req_host", req.host)
	set("sip_to_user", guardInput(tu.user))
	setPort(set, "sip_to_port", tu.port)
	set("sip_to_uri", guardInput(userAt(tu.user, tu.hostPort())))
	set("sip_to_host", tu.host)
	set("sip_contact_params", strings.TrimPrefix(cu.params, ";"))
	set("sip_contact_user", cu.user)
	setPort(set, "sip_contact_port", cu.port)
	set("sip_contact_uri", userAt(cu.user, cu.hostPort()))
	set("sip_contact_host", cu.host)
	set("sip_user_agent", guardInput(m.get("User-Agent")))
	set("rtp_use_codec_string", "OPUS,G722,PCMU,PCMA,H264,VP8")
	if via := splitList(m.get("Via")); len(via) > 0 {
		head, _ := cutParams(via[0])
		if f := strings.Fields(head); len(f) == 2 {
			if h, port, err := splitHostPort(f[1]); err == nil {
				set("sip_via_host", h)
				setPort(set, "sip_via_port", port)
			}
			if strings.Contains(via[0], ";rport") {
				set("sip_via_rport", strconv.Itoa(int(tx.flow.peer.Port())))
			}
		}
	}
	set("max_forwards", firstNonEmpty(m.get("Max-Forwards"), "70"))
}

// describeHeaders copies the headers that FreeSWITCH publishes: of several Diversion the last, History-Info joined, X-
// headers in their own spelling and of equal ones the first.
func (c *channel) describeHeaders(m *sipMessage) {
	set := c.store
	if d := m.all("Diversion"); len(d) > 0 {
		last := splitList(d[len(d)-1])
		set("sip_h_Diversion", guardHeader(last[len(last)-1]))
	}
	if hi := m.list("History-Info"); len(hi) > 0 {
		set("sip_history_info", guardHeader(decodePercent(strings.Join(hi, ", "))))
	}
	if v := m.get("Privacy"); v != "" {
		set("sip_Privacy", guardHeader(v))
	}
	if v := m.get("Call-Info"); v != "" {
		set("sip_call_info", guardHeader(v))
	}
	if ids := m.all("Identity"); len(ids) > 0 {
		set("sip_h_identity", guardHeader(ids[0]))
		for _, id := range ids {
			c.pushLocked("sip_identity", guardHeader(id))
		}
	}
	if v := m.get("Date"); v != "" {
		set("sip_h_date", v)
	}
	for _, h := range m.headers {
		if len(h.name) < 3 || !strings.EqualFold(h.name[:2], "X-") && !strings.EqualFold(h.name[:2], "P-") {
			continue
		}
		switch strings.ToLower(h.name) {
		case "p-asserted-identity", "p-preferred-identity":
			continue
		}
		name := "sip_h_" + h.name
		exists := false
		for _, v := range c.vars {
			exists = exists || v.name == name
		}
		if !exists {
			set(name, guardHeader(decodePercent(h.value)))
		}
	}
}

// pushLocked is push for a channel that nobody else sees yet.
func (c *channel) pushLocked(name, value string) {
	old, ok := c.find(name)
	if ok && !strings.HasPrefix(old, "ARRAY::") {
		old = "ARRAY::" + old
	}
	if ok {
		value = old + "|:" + value
	}
	c.store(name, value)
}

// guardInput defuses an expansion in what a caller sent, as FreeSWITCH does: "${" becomes "%{".
func guardInput(s string) string { return strings.ReplaceAll(s, "${", "%{") }

// guardHeader drops a header value that contains an expansion.
func guardHeader(s string) string {
	if strings.Contains(s, "${") {
		return ""
	}
	return s
}

// decodePercent takes percent escapes off, controls excepted: "%41%0a" arrives as "A%0a".
func decodePercent(s string) string {
	if !strings.Contains(s, "%") {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+3], 16, 8); err == nil && n >= 0x20 && n != 0x7f {
				b.WriteByte(byte(n))
				i += 2
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// decodeUser is the destination number of a Request-URI.
func decodeUser(s string) string { return wire.Decode(s) }

func userAt(user, hostPort string) string {
	if user == "" {
		return hostPort
	}
	return user + "@" + hostPort
}

func setPort(set func(string, string), name string, port int) {
	if port != 0 {
		set(name, strconv.Itoa(port))
	}
}

// ringReady sends 180, once and not after media. Owner only.
func (c *channel) ringReady() {
	c.mu.Lock()
	skip := c.ringing || c.early || c.answered || c.state >= csHangup
	if c.answered && c.caller.progress == 0 { // he hears it ring, and nothing is sent
		c.caller.progress = micros(time.Now())
	}
	if !skip {
		c.ringing = true
		c.caller.progress = micros(time.Now())
		c.store("sip_to_tag", c.leg.localTag)
	}
	c.mu.Unlock()
	if skip {
		return
	}
	if c.leg.invite != nil {
		r := c.leg.invite.newResponse(180, "Ringing")
		c.decorate(r)
		c.leg.invite.respond(r)
	}
	c.fire("CHANNEL_PROGRESS", nil)
	c.executeOn("execute_on_ring")
	c.apiOn("api_on_ring")
	c.setCallState(ccsRinging)
}

// decorate adds what Sofia writes into every response that belongs to the call.
func (c *channel) decorate(r *sipMessage) {
	r.add("Contact", "<"+c.leg.contact+">")
	r.add("User-Agent", userAgent)
	r.add("Accept", sdpType)
	r.add("Allow", c.prof.allowed())
	r.add("Supported", c.prof.supported())
	for _, v := range c.variables() {
		if name, ok := strings.CutPrefix(v.name, "sip_rh_"); ok {
			r.add(name, v.value)
		}
	}
}

// preAnswer opens early media with 183 and the given SDP. Owner only.
func (c *channel) preAnswer(sdp []byte) bool {
	if !c.markEarly() {
		return c.hasMedia()
	}
	if c.leg.invite != nil {
		c.leg.answer = c.answerSDP(sdp)
		r := c.leg.invite.newResponse(183, "Session Progress")
		c.decorate(r)
		r.add("Content-Type", sdpType)
		r.body = c.leg.answer
		c.leg.invite.respond(r)
	}
	return true
}

// markEarly publishes CHANNEL_PROGRESS_MEDIA; it reports whether it was the first time.
func (c *channel) markEarly() bool {
	c.mu.Lock()
	if c.early || c.answered || c.state >= csHangup {
		c.mu.Unlock()
		return false
	}
	c.early = true
	c.caller.progressMedia = micros(time.Now())
	c.setMediaVars()
	c.store("endpoint_disposition", "EARLY MEDIA")
	c.mu.Unlock()
	c.fire("CHANNEL_PROGRESS_MEDIA", nil)
	c.executeOn("execute_on_pre_answer")
	c.executeOn("execute_on_media")
	c.apiOn("api_on_pre_answer")
	c.apiOn("api_on_media")
	c.setCallState(ccsEarly)
	return true
}

// setMediaVars writes what a negotiated call has. The caller holds mu.
func (c *channel) setMediaVars() {
	ip := c.prof.addr().Addr().String()
	for _, v := range []variable{{"rtp_use_timer_name", "soft"}, {"rtp_use_pt", "0"}, {"rtp_use_ssrc", "1592601326"},
		{"rtp_2833_send_payload", "101"}, {"rtp_2833_recv_payload", "101"}, {"remote_video_media_flow", "inactive"}, {"remote_text_media_flow", "inactive"},
		{"remote_audio_media_flow", "sendrecv"}, {"audio_media_flow", "sendrecv"}, {"rtp_audio_recv_pt", "0"},
		{"rtp_use_codec_name", "PCMU"}, {"rtp_use_codec_rate", "8000"}, {"rtp_use_codec_ptime", "20"},
		{"rtp_use_codec_channels", "1"}, {"rtp_last_audio_codec_string", "PCMU@8000h@20i@1c"},
		{"read_codec", "PCMU"}, {"original_read_codec", "PCMU"}, {"read_rate", "8000"},
		{"original_read_rate", "8000"}, {"write_codec", "PCMU"}, {"write_rate", "8000"}, {"dtmf_type", "rfc2833"},
		{"local_media_ip", ip}, {"local_media_port", "9"}, {"advertised_media_ip", ip}} {
		c.store(v.name, v.value)
	}
	if rip, rport := mediaOf(c.leg.offer); rip != "" {
		c.store("remote_media_ip", rip)
		c.store("remote_media_port", rport)
	}
}

// answerSDP is what the caller gets: the other leg's SDP, so that the media goes directly, or one of ours.
func (c *channel) answerSDP(sdp []byte) []byte {
	v, own := c.lookup("rtp_liberal_dtmf")
	if !own {
		v, _ = c.s.global("rtp_liberal_dtmf")
	}
	c.mu.Lock()
	c.liberal = isTrue(v)
	c.mu.Unlock()
	if len(sdp) > 0 {
		return sdp
	}
	if len(c.leg.answer) > 0 {
		return c.leg.answer
	}
	ip := c.prof.addr().Addr()
	plain := plainSDP(ip.String(), c.leg.offer)
	if c.leg.relay = c.s.newRelay(ip, c.leg.offer, c.queueDigit); c.leg.relay != nil {
		c.voice.Store(c.leg.relay)
		return c.leg.relay.sdp(plain)
	}
	return plain
}

// answer sends 200 with the given SDP. Owner only. It reports whether the leg is answered.
func (c *channel) answer(sdp []byte) bool {
	if c.isAnswered() {
		if c.leg.relay != nil && len(sdp) > 0 {
			c.leg.relay.aim(sdp)
		}
		return true
	}
	if c.down() {
		return false
	}
	c.markEarly()
	c.leg.answer = c.answerSDP(sdp)
	if c.leg.invite != nil {
		r := c.leg.invite.newResponse(200, "OK")
		c.decorate(r)
		c.prof.keepsTime(c.leg.invite, r)
		r.add("Content-Type", sdpType)
		r.body = c.leg.answer
		c.leg.sentOK = true
		c.leg.invite.respond(r)
	}
	c.set("rtp_local_sdp_str", string(c.leg.answer))
	c.markAnswered()
	return true
}

// markAnswered publishes CHANNEL_ANSWER and runs what the dialplan asked for on answer: every variable whose name
// begins with execute_on_answer, then those with api_on_answer.
func (c *channel) markAnswered() {
	c.mu.Lock()
	if c.answered || c.state >= csHangup {
		c.mu.Unlock()
		return
	}
	c.answered = true
	c.caller.answered = micros(time.Now())
	c.mu.Unlock()
	c.fire("CHANNEL_ANSWER", nil)
	c.set("endpoint_disposition", "ANSWER")
	c.executeOn("execute_on_answer")
	c.apiOn("api_on_answer")
	c.mu.Lock()
	c.hooked = true
	c.mu.Unlock()
	c.setCallState(ccsActive)
	c.signal()
}

// clearLeg ends the SIP side of a channel that is hung up: BYE, CANCEL, or the final response. Owner only.
func (c *channel) clearLeg() {
	l := &c.leg
	cs := c.getCause()
	c.mu.Lock()
	over := l.gotBye || l.finished
	c.mu.Unlock()
	if over {
		return
	}
	reason := c.reasonHeader(cs)
	switch {
	case c.isAnswered(), l.sentOK, l.acked && c.outbound: // also when the hangup came just before CHANNEL_ANSWER
		c.set("sip_hangup_disposition", "send_bye")
		bye := l.request("BYE")
		if reason != "" {
			bye.add("Reason", reason)
		}
		c.addPrefixed(bye, "sip_bye_h_")
		c.sendInDialog(bye)
	case c.outbound:
		c.set("sip_hangup_disposition", "send_cancel")
		c.set("sip_invite_failure_status", "487")
		c.set("sip_invite_failure_phrase", "CANCEL")
		c.cancelInvite(reason)
	default:
		c.set("sip_hangup_disposition", "send_refuse")
		code := statusOfCause(cs)
		if ps := c.get("last_bridge_proto_specific_hangup_cause"); !isTrue(c.get("sip_ignore_remote_cause")) &&
			strings.HasPrefix(ps, "sip:") && atoi(ps[4:]) != 0 {
			code = atoi(ps[4:])
		}
		phrase := sipPhrase(code)
		if l.respond != 0 {
			code = l.respond
			phrase = firstNonEmpty(l.phrase, sipPhrase(code))
		}
		r := l.invite.newResponse(code, phrase)
		r.add("User-Agent", userAgent)
		r.add("Accept", sdpType)
		r.add("Allow", c.prof.allowed())
		r.add("Supported", c.prof.supported())
		if reason != "" {
			r.add("Reason", reason)
		}
		c.addPrefixed(r, "sip_bye_h_")
		c.addPrefixed(r, "sip_rh_")
		l.invite.respond(r)
	}
}

func (c *channel) addPrefixed(m *sipMessage, prefix string) {
	var but *regexp.Regexp // one that cannot be read excludes nothing
	if expression := c.get("exclude_outgoing_extra_header"); expression != "" {
		but, _ = regexp.Compile(expression)
	}
	for _, v := range c.variables() {
		if but != nil && but.MatchString(v.name) {
			continue
		}
		if len(v.name) > len(prefix) && strings.EqualFold(v.name[:len(prefix)], prefix) {
			m.add(v.name[len(prefix):], v.value)
		}
	}
}

// reasonHeader is the Reason of BYE, CANCEL and final responses.
func (c *channel) reasonHeader(cs cause) string {
	if isTrue(c.get("disable_q850_reason")) {
		return ""
	}
	if r := c.get("sip_reason"); r != "" {
		return r
	}
	switch {
	case cs == causeLoseRace || cs == 805:
		return `SIP;cause=200;text="Call completed elsewhere"`
	case cs > 0 && cs < 128:
		return fmt.Sprintf(`Q.850;cause=%d;text="%s"`, int(cs), cs)
	}
	return fmt.Sprintf(`SIP;cause=%d;text="%s"`, int(cs), cs)
}

// sendInDialog sends a request of the dialog over a connection of the switch's own, never the INVITE's.
func (c *channel) sendInDialog(m *sipMessage) {
	h, err := c.leg.nextHop()
	if err != nil {
		c.s.log.Warn("a request has nowhere to go", zap.String("uuid", c.uuid), zap.Error(err))
		return
	}
	tx := &clientTx{req: m, response: func(*sipMessage) {}, failed: func(code int, why string) {
		c.s.log.Info("a request in the dialog failed", zap.String("uuid", c.uuid), zap.String("method", m.method),
			zap.Int("status", code))
	}}
	p := c.prof
	c.sendLater(func() { p.stack.start(c.s.ctx, tx, h) })
}

// onCancel is the caller giving up before an answer.
func (c *channel) onCancel(tx *serverTx) {
	r := tx.newResponse(487, "Request Terminated")
	r.add("User-Agent", userAgent)
	r.add("Allow", c.prof.allowed())
	r.add("Supported", c.prof.supported())
	tx.respond(r)
	c.mu.Lock()
	c.leg.gotBye = true
	c.store("sip_invite_failure_status", "487")
	c.store("sip_invite_failure_phrase", "CANCEL")
	c.store("sip_term_status", "487")
	c.store("proto_specific_hangup_cause", "sip:487")
	c.store("sip_term_cause", "487")
	c.store("sip_hangup_disposition", "recv_cancel")
	c.mu.Unlock()
	c.tellPartner("sip_hangup_phrase", "Request Terminated")
	c.hangup(causeOriginatorCancel)
}

// onBye is the far end ending the call.
func (c *channel) onBye(m *sipMessage) {
	cs := firstCause(q850Reason(m))
	if r := m.get("Reason"); r != "" {
		c.set("sip_reason", r)
		c.tellPartner("sip_reason", r)
	}
	c.tellPartner("sip_hangup_phrase", "OK")
	n, _ := m.cseq()
	c.mu.Lock()
	c.leg.gotBye = true
	c.store("sip_cseq", strconv.Itoa(int(n)))
	c.store("sip_full_via", strings.Join(m.all("Via"), ", "))
	c.store("sip_term_status", "200")
	c.store("proto_specific_hangup_cause", "sip:200")
	c.store("sip_term_cause", strconv.Itoa(int(cs)))
	c.mu.Unlock()
	c.hangup(cs)
}
