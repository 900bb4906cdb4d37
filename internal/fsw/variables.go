package fsw

import (
	"slices"
	"strconv"
	"strings"

	"github.com/signalbox/signalbox/dialplan/encode"
	"github.com/signalbox/signalbox/esl/wire"
	"github.com/signalbox/signalbox/internal/call"
	"github.com/signalbox/signalbox/internal/tel"
)

// ours lists the variables that a call of ours needs. signalbox_was_* is for the fallback, see freeswitch-conf: all of it is kept
// before anything is changed, for the connection may break between any two of them.
func ours(channel *wire.Event) []encode.Var {
	changed := []string{"continue_on_fail", "hangup_after_bridge", "sip_ignore_remote_cause"}
	var vars []encode.Var
	if channel.Var("signalbox_touched") != "true" { // else a call of ours was sent to us again: it is kept, and what is there is ours
		for _, name := range changed {
			vars = append(vars, encode.Var{Name: "signalbox_was_" + name, Value: plain(channel.Var(name))})
		}
	}
	vars = append(vars, encode.Var{Name: "signalbox_touched", Value: "true"})
	for _, name := range changed {
		vars = append(vars, encode.Var{Name: name, Value: "true"})
	}
	channel.Each(func(name, _ string) {
		variable, ok := strings.CutPrefix(name, "variable_")
		if ok && doesNotLeave(variable) {
			vars = append(vars, encode.Var{Name: variable})
		}
	})
	return vars
}

// doesNotLeave reports whether a variable of the A-leg would put a header on a B-leg that must not get there: our own
// token in any spelling, and the caller's Identity, which signs a call to another number.
func doesNotLeave(variable string) bool {
	lower := strings.ToLower(variable)
	return strings.HasPrefix(lower, "sip_h_x-signalbox") || lower == "sip_h_identity" || lower == "sip_identity"
}

// networkHeaders are what networks tell each other of a call and nobody else: where the caller is and who pays (RFC 7315 section 4), whose
// service is used (RFC 5502), which number was called (RFC 7315 section 4.2). FreeSWITCH carries every P- header over to B-legs.
var networkHeaders = []string{
	"P-Access-Network-Info", "P-Called-Party-ID", "P-Charging-Function-Addresses", "P-Charging-Vector", "P-DCS-Billing-Info", "P-DCS-LAES", "P-DCS-OSPS",
	"P-DCS-Redirect", "P-DCS-Trace-Party-ID", "P-Private-Network-Indication", "P-Profile-Key", "P-Served-User", "P-User-Database", "P-Visited-Network-ID",
}

// staying are those of networkHeaders that a caller's leg has, each without a value: no B-leg of ours gets them. The leg keeps them, for the operator's own dialplan.
func staying(channel *wire.Event) (off []call.Header) {
	channel.Each(func(name, _ string) {
		header, ok := strings.CutPrefix(name, "variable_sip_h_")
		if ok && slices.ContainsFunc(networkHeaders, func(h string) bool { return strings.EqualFold(h, header) }) {
			off = append(off, call.Header{Name: header})
		}
	})
	return off
}

// plain keeps a value that needs no escape, such as "true" or a list of causes; anything else is as good as not set.
func plain(value string) string {
	for _, r := range value {
		if !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' || r == ',') {
			return ""
		}
	}
	return value
}

// triedVar is where FreeSWITCH leaves what the proxy says of the targets it tried, on the caller's leg (measured).
const triedVar = "sip_rh_X-Signalbox-Attempts"

// progressed reports whether the caller has heard that it rings, or anything else.
func progressed(done *wire.Event) bool {
	return timestamp(done, "Caller-Channel-Progress-Time") > 0 || timestamp(done, "Caller-Channel-Progress-Media-Time") > 0
}

func timestamp(event *wire.Event, name string) int64 {
	n, _ := strconv.ParseInt(event.Get(name), 10, 64)
	return n
}

// read takes from a bridge's CHANNEL_EXECUTE_COMPLETE how it ended. A far end that says 487 by itself looks like a caller
// who gave up, except that he has not hung up.
func read(attempt *call.Attempt, done *wire.Event, hungUp bool) {
	attempt.Disposition = done.Var("originate_disposition")
	attempt.Tried = done.Var(triedVar)
	status, _ := strconv.Atoi(done.Var("sip_invite_failure_status"))
	if attempt.Disposition == "SUCCESS" {
		attempt.Result = call.Answered
		return
	}
	if hungUp || done.Get("Hangup-Cause") != "" {
		attempt.Result = call.CallerGone
		return
	}
	if attempt.SIPStatus = status; status != 0 {
		attempt.Phrase = done.Var("sip_invite_failure_phrase")
	}
	attempt.Result = call.Result(tel.WhyUnanswered(attempt.Disposition, status))
	if attempt.Result == call.CallerGone {
		attempt.Result = call.Unreachable
	}
}
