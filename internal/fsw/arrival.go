package fsw

import (
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/signalbox/signalbox/esl/wire"
	"github.com/signalbox/signalbox/internal/call"
	"github.com/signalbox/signalbox/internal/tel"
)

// TokenHeader is the name of the proxy's signed header.
const TokenHeader = "X-Signalbox"

// Token returns the proxy's token as FreeSWITCH carries it, or "". Only the spelling that the proxy writes counts:
// FreeSWITCH keeps another spelling as another variable, and nobody but a forger writes one.
func Token(channel *wire.Event) string { return channel.Var("sip_h_" + TokenHeader) }

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
		Source:   source(channel),
		At:       now,
	}
	a.To, _ = tel.ParseNumber(a.Dialled, region)
	if a.To == "" && isInternational(a.Dialled) {
		a.To, _ = tel.ParseNumber("+"+a.Dialled, region)
	}
	a.From = caller(channel, region)
	if v := channel.Var("sip_h_Diversion"); v != "" {
		a.Diversions = tel.ParseDiversions([]string{v}, region)
	}
	if v := channel.Var("sip_history_info"); v != "" {
		a.History = tel.ParseHistory([]string{v})
	}
	if _, params, ok := strings.Cut(channel.Var("sip_req_uri"), ";"); ok {
		a.Target, a.Cause = tel.ParseTarget(params)
	}
	return a
}

// isInternational reports whether digits are long enough to be a number with its country code but without the plus, as
// many carriers send it.
func isInternational(dialled string) bool {
	return len(dialled) >= 11 && strings.Trim(dialled, "0123456789") == "" && dialled[0] != '0'
}

// caller reads the presented caller and whether he withheld his number.
func caller(channel *wire.Event, region string) tel.Identity {
	id := tel.Identity{
		Name:     channel.Get("Channel-Caller-ID-Name"),
		User:     channel.Get("Channel-Caller-ID-Number"),
		Asserted: channel.Var("sip_P-Asserted-Identity") != "",
	}
	id.Number, _ = tel.ParseNumber(id.User, region)
	privacy := strings.ToLower(channel.Var("sip_Privacy") + " " + channel.Var("sip_h_Privacy"))
	id.Withheld = privacyAsked(privacy) ||
		channel.Get("Channel-Privacy-Hide-Number") == "true" ||
		strings.EqualFold(channel.Var("sip_from_user"), "anonymous") ||
		strings.EqualFold(channel.Var("sip_from_host"), "anonymous.invalid")
	return id
}

// privacyAsked reads a Privacy header (RFC 3323 section 4.2): id, user, header and critical ask for it, none refuses it.
func privacyAsked(value string) bool {
	for _, word := range strings.FieldsFunc(value, func(r rune) bool { return r == ';' || r == ',' || r == ' ' }) {
		switch word {
		case "id", "user", "header", "full":
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
