package fsw

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/signalbox/signalbox/dialplan/encode"
	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/call"
	"github.com/signalbox/signalbox/internal/tel"
)

func targetName(order call.RingOrder) string {
	if order.Voicemail != nil {
		return order.Voicemail.FQDN
	}
	names := make([]string, len(order.Devices))
	for i, d := range order.Devices {
		names[i] = d.String()
	}
	return strings.Join(names, ", ")
}

// dialString builds the bridge's argument from typed targets.
//
// Early media of a target is not connected: FreeSWITCH would count the call as answered by it and stop its timers
// (measured), and a phone that only plays a tone would never be a phone that did not answer. A redirect is not followed:
// FreeSWITCH would call whatever address the phone names.
func dialString(order call.RingOrder, hooks []encode.Var) (string, error) {
	var legs []encode.Leg
	for _, d := range order.Devices {
		target, err := device(d)
		if err != nil {
			return "", err
		}
		legs = append(legs, encode.Leg{Target: target})
	}
	vars := callerVars(order.Caller)
	if order.As != "" {
		vars = append(vars, encode.Var{Name: "origination_caller_id_number", Value: string(order.As)})
	}
	vars = append(vars,
		encode.Var{Name: "originate_timeout", Value: seconds(order.Answer)},
		encode.Var{Name: "ignore_early_media", Value: "ring_ready"},
		encode.Var{Name: "outbound_redirect_fatal", Value: "true"})
	vars = append(vars, hooks...)
	if v := order.Voicemail; v != nil {
		route, err := netip.ParseAddrPort(v.Addr)
		if err != nil {
			return "", fmt.Errorf("voicemail target %s: %w", v.Addr, err)
		}
		// The name by which it answers would become header lines of the caller's leg (measured), and it does not come by the proxy.
		vars = append(vars, encode.Var{Name: "ignore_display_updates", Value: "true"})
		if len(v.Codecs) > 0 {
			vars = append(vars, encode.Var{Name: "absolute_codec_string", Value: strings.Join(v.Codecs, ",")})
		}
		legs = append(legs, encode.Leg{Target: encode.Voicemail{
			Profile: v.Profile, Pilot: v.User, FQDN: v.FQDN, Target: v.Target, Cause: v.Cause, Route: route, Transport: v.Transport,
		}})
	}
	if order.Progress > 0 {
		vars = append(vars, encode.Var{Name: "leg_progress_timeout", Value: seconds(order.Progress)})
	}
	var off []string
	for _, h := range order.Headers {
		if h.Value == "" {
			off = append(off, h.Name)
			continue
		}
		vars = append(vars, encode.Var{Name: "sip_h_" + h.Name, Value: encode.Header(h.Value)})
	}
	if len(off) > 0 { // what the A-leg carried is copied to the B-leg before its own variables are set, and cannot be unset by them
		vars = append(vars, encode.Var{Name: "exclude_outgoing_extra_header", Value: "^sip_h_(" + strings.Join(off, "|") + ")"})
	}
	return encode.DialString(vars, legs)
}

func device(d account.Device) (encode.Target, error) {
	switch d.Kind {
	case account.DeviceRegistered:
		return encode.RegisteredUser{Profile: d.Profile, User: d.User, Domain: d.Host}, nil
	case account.DeviceURI:
		return encode.SIPURI{Profile: d.Profile, User: d.User, Host: d.Host, Port: d.Port, Transport: d.Transport}, nil
	}
	return nil, fmt.Errorf("device %s: unknown kind %q", d, d.Kind)
}

// callerVars says how the caller is presented to a B-leg. FreeSWITCH's own default shows a withheld number in clear and
// builds no INVITE at all from a display name with a quote in it; both were measured.
func callerVars(caller tel.Identity) []encode.Var {
	if caller.Withheld {
		return []encode.Var{
			{Name: "origination_caller_id_number", Value: "anonymous"},
			{Name: "origination_caller_id_name", Value: "Anonymous"},
			{Name: "sip_cid_type", Value: "none"},
			{Name: "sip_h_Privacy", Value: "id"},
		}
	}
	var vars []encode.Var
	if name := encode.Text(caller.Name); name != "" && name != caller.Name {
		vars = append(vars, encode.Var{Name: "origination_caller_id_name", Value: name})
	}
	return vars
}

// seconds rounds up: FreeSWITCH's timers know whole seconds only.
func seconds(d time.Duration) string {
	return strconv.Itoa(max(int((d+time.Second-1)/time.Second), 1))
}
