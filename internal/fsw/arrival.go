package fsw

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/signalbox/signalbox/esl/wire"
	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/call"
	"github.com/signalbox/signalbox/internal/tel"
)

// TokenHeader is the name of the proxy's signed header.
const TokenHeader = "X-Signalbox"

// Token returns the proxy's token as FreeSWITCH carries it, or "". Only the spelling that the proxy writes counts:
// FreeSWITCH keeps another spelling as another variable, and nobody but a forger writes one.
func Token(channel *wire.Event) string { return channel.Var("sip_h_" + TokenHeader) }

// RoomHeader is the name of the header by which a call comes into a conference from another node of ours; the proxy takes it off what
// comes from outside.
const RoomHeader = "X-Signalbox-Room"

// RoomToken returns that header as FreeSWITCH carries it, or "".
func RoomToken(channel *wire.Event) string { return channel.Var("sip_h_" + RoomHeader) }

// Variables makes an Arrival of what FreeSWITCH's own channel variables know: the caller as presented, the oldest
// diversion only, the history. It authorises nothing. region is where national numbers are read, "US" and the like.
func Variables(channel *wire.Event, node, region string, now time.Time) call.Arrival {
	a := call.Arrival{
		UUID:     channel.UUID(),
		CallID:   channel.Var("sip_call_id"),
		Node:     node,
		Context:  channel.Get("Channel-Context"),
		Dialled:  channel.Get("Channel-Destination-Number"),
		Evidence: call.EvidenceVariables,
		// Only the phones' include file sets it.
		PilotsOnly: channel.Var("signalbox_service") == "pilots",
		Line:       line(channel),
		Returned:   channel.Var("sip_h_"+MarkHeader) != "",
		FromHosts:  fromHosts(channel),
		Source:     source(channel),
		At:         now,
	}
	a.To, _ = tel.ParsePresented(a.Dialled, region) // "" when it is no number
	a.From = caller(channel, region)
	if v := channel.Var("sip_h_Diversion"); v != "" {
		a.Diversions = tel.ParseDiversions([]string{v}, region)
	}
	if v := channel.Var("sip_h_P-Called-Party-ID"); v != "" {
		if id, ok := tel.ParseIdentity(v, region); ok {
			a.Called = id.Number
		}
	}
	if v := channel.Var("sip_history_info"); v != "" {
		a.History = tel.ParseHistory([]string{v})
	}
	tel.MarkPrivate(a.Diversions, a.History, Privacy(channel), region)
	if _, params, ok := strings.Cut(channel.Var("sip_req_uri"), ";"); ok {
		a.Target, a.Cause = tel.ParseTarget(params)
	}
	return a
}

// Privacy is what the call's Privacy header asks for (RFC 3323).
func Privacy(channel *wire.Event) []string {
	return []string{channel.Var("sip_Privacy"), channel.Var("sip_h_Privacy")}
}

// line is the user of the directory whose password, or whose address on an access list with a token, FreeSWITCH has checked.
func line(channel *wire.Event) account.Device {
	user, domain := channel.Var("user_name"), channel.Var("domain_name")
	if channel.Var("sip_authorized") != "true" || user == "" || domain == "" {
		return account.Device{}
	}
	return account.Device{Kind: account.DeviceRegistered, User: user, Host: domain}
}

// fromHosts are the hosts by which the caller's side names itself.
func fromHosts(channel *wire.Event) []string {
	var hosts []string
	for _, name := range []string{"sip_from_host", "sip_contact_host"} {
		if host := strings.ToLower(channel.Var(name)); host != "" && !slices.Contains(hosts, host) {
			hosts = append(hosts, host)
		}
	}
	return hosts
}

// caller reads the presented caller and whether he withheld his number.
func caller(channel *wire.Event, region string) tel.Identity {
	id := tel.Identity{
		Name:     channel.Get("Channel-Caller-ID-Name"),
		User:     channel.Get("Channel-Caller-ID-Number"),
		Asserted: channel.Var("sip_P-Asserted-Identity") != "",
	}
	id.Number, _ = tel.ParsePresented(id.User, region)
	id.Withheld = withheld(channel, region)
	return id
}

// withheld reports whether the caller asked, in any of the ways there are, that his number is not shown: by Privacy (RFC
// 3323), by the privacy of a Remote-Party-ID, or by a From that names nobody. In doubt he did.
func withheld(channel *wire.Event, region string) bool {
	if channel.Get("Channel-Privacy-Hide-Number") == "true" || tel.PrivacyAsked(Privacy(channel)) {
		return true
	}
	if rpidPrivacy(channel.Var("sip_Remote-Party-ID")) {
		return true
	}
	host := channel.Var("sip_from_host")
	if host == "" {
		host = "unknown.invalid"
	}
	from, ok := tel.ParseIdentity("<sip:"+channel.Var("sip_from_user")+"@"+host+">", region)
	return ok && from.Withheld
}

// rpidPrivacy reads the privacy parameter of a Remote-Party-ID (draft-ietf-sip-privacy-04): full, uri, and what FreeSWITCH
// reads so as well, each with or without "-network".
func rpidPrivacy(value string) bool {
	_, params, _ := strings.Cut(value, ">")
	for param := range strings.SplitSeq(strings.ToLower(params), ";") {
		name, setting, _ := strings.Cut(strings.TrimSpace(param), "=")
		setting, _, _ = strings.Cut(strings.Trim(strings.TrimSpace(setting), `"`), "-")
		if strings.TrimSpace(name) != "privacy" {
			continue
		}
		switch setting {
		case "full", "uri", "yes", "number":
			return true
		}
	}
	return false
}

func source(channel *wire.Event) netip.AddrPort {
	addr, err := netip.ParseAddr(channel.Var("sip_received_ip"))
	if err != nil {
		return netip.AddrPort{}
	}
	port, _ := strconv.ParseUint(channel.Var("sip_received_port"), 10, 16)
	return netip.AddrPortFrom(addr, uint16(port))
}
