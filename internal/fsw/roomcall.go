package fsw

import (
	"strconv"
	"time"

	"github.com/signalbox/signalbox/dialplan/encode"
	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/tel"
)

// ConferenceCall calls somebody into a conference.
type ConferenceCall struct {
	Devices []DeviceLeg   // rung at once; or
	Leg     string        // UUID of the leg that is made by a gateway, which nobody else has
	Gateway string        // one of FreeSWITCH's, by which
	Number  tel.Number    // is called
	From    tel.Number    // shown as the caller's number
	Name    string        // shown as the caller's name; free text
	Answer  time.Duration // rings and is asked no longer than this
	Key     byte          // to be pressed before he gets in; 0 = nobody asks
	Prompt  string        // that asks for the key, a path on the switch; "" = silence
	Room    encode.Conference
	Mark    string // travels with the INVITE inside our own network, so that a call of ours that comes back is known
}

// DeviceLeg is a device and the UUID of the leg to it: FreeSWITCH rings no second phone by a leg whose UUID the first one has.
type DeviceLeg struct {
	account.Device
	Leg string
}

// MarkHeader carries ConferenceCall.Mark.
const MarkHeader = "X-Signalbox-Dialled"

// line is the argument of originate.
func (c ConferenceCall) line() (string, error) {
	var legs []encode.Leg
	add := func(target encode.Target, leg string) error {
		uuid, err := encode.UUID(leg)
		legs = append(legs, encode.Leg{Target: target, Vars: []encode.Var{{Name: "origination_uuid", Value: uuid}}})
		return err
	}
	for _, d := range c.Devices {
		target, err := device(d.Device)
		if err == nil {
			err = add(target, d.Leg)
		}
		if err != nil {
			return "", err
		}
	}
	if c.Gateway != "" {
		if err := add(encode.Gateway{Name: c.Gateway, Number: string(c.Number)}, c.Leg); err != nil {
			return "", err
		}
	}
	// Without early media: it would count as an answer. A redirect is not followed, because it names whatever address the phone likes.
	// signalbox_number has the link's filter let the leg's end and its keys through.
	vars := []encode.Var{
		{Name: "signalbox_number", Value: "conference"},
		{Name: "originate_timeout", Value: seconds(c.Answer)}, {Name: "ignore_early_media", Value: "true"},
		{Name: "outbound_redirect_fatal", Value: "true"}, {Name: "conference_controls", Value: "none"},
		{Name: "hangup_after_conference", Value: "true"},
		{Name: "rtp_liberal_dtmf", Value: "true"}, // keys by SIP INFO count whatever the profile says
	}
	if c.From != "" {
		vars = append(vars, encode.Var{Name: "origination_caller_id_number", Value: string(c.From)})
	}
	if name := encode.Spoken(c.Name); name != "" { // no blank may be in the dial string
		vars = append(vars, encode.Var{Name: "origination_caller_id_name", Value: noBlanks(name)})
	}
	if c.Mark != "" {
		vars = append(vars, encode.Var{Name: "sip_h_" + MarkHeader, Value: c.Mark})
	}
	if c.Key != 0 {
		vars = append(vars, encode.Var{Name: "group_confirm_key", Value: string(c.Key)},
			encode.Var{Name: "group_confirm_timeout", Value: seconds(c.Answer)},
			encode.Var{Name: "group_confirm_read_timeout", Value: strconv.FormatInt(confirmWait.Milliseconds(), 10)})
		if c.Prompt != "" {
			vars = append(vars, encode.Var{Name: "group_confirm_file", Value: c.Prompt})
		}
	}
	dial, err := encode.DialString(vars, legs)
	if err != nil {
		return "", err
	}
	return encode.IntoRoom(dial, c.Room)
}

// confirmWait is how long a callee is waited for after the prompt, before it is played again.
const confirmWait = 4 * time.Second

func noBlanks(s string) string {
	out := []rune(s)
	for i, r := range out {
		if r == ' ' {
			out[i] = '\u00a0'
		}
	}
	return string(out)
}
