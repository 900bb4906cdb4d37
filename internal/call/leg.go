package call

import (
	"context"
	"time"

	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/tel"
)

// Leg is the caller's leg, in verbs that a treatment reads like the call itself.
//
// Each verb blocks until it is over. A verb returns an error only when the leg can no longer be controlled (the
// connection to the switch is gone, a command was refused); the treatment then returns at once, the connection is
// closed, and FreeSWITCH goes on with the operator's fallback. A caller who hung up is not an error but the result
// CallerGone. Each verb arms the guard in the switch before it begins and keeps it armed while it lasts; on a call that the
// guard has taken back a verb does nothing and returns an error. A Leg is used by one goroutine.
type Leg interface {
	// Waiting tells the caller that the call is being set up (180), if nothing has told him yet, and arms the guard for
	// work that takes no longer than longest, such as looking up a name.
	Waiting(ctx context.Context, longest time.Duration) error
	// Ring calls every target of the order at once and connects the caller to the first that answers. It returns
	// when all failed or, after an answer, when the conversation is over.
	Ring(ctx context.Context, order RingOrder) (Attempt, error)
	// Announce plays a prompt as early media, without answering. The caller may hang up meanwhile; the result is NotPlayed
	// when the switch could not play it.
	Announce(ctx context.Context, prompt string, longest time.Duration) (Result, error)
	// End ends the call with a cause by FreeSWITCH's name.
	End(ctx context.Context, cause string) error
	// Refuse ends an unanswered call with a SIP status.
	Refuse(ctx context.Context, refusal Refusal) error
	// HandBack gives the call back to the operator's dialplan, with everything we set taken off it.
	HandBack(ctx context.Context) error
}

// RingOrder says whom a leg shall call.
type RingOrder struct {
	Devices   []account.Device // rung at once; or
	Voicemail *VoicemailTarget // one target of a voicemail system

	Answer   time.Duration // rings no longer than this
	Progress time.Duration // without any sign of ringing for this long the target counts as dead; 0 = no limit

	Headers []Header // added to the INVITE in place of what the A-leg carried under the same names
	Caller  tel.Identity
}

// VoicemailTarget is one address of a voicemail system, found by its name.
type VoicemailTarget struct {
	Profile   string // FreeSWITCH's Sofia profile
	Pilot     string // user of the Request-URI
	FQDN      string // host of the Request-URI
	Target    string // RFC 4458 target: the subscriber, as "sip:user@host"
	Cause     int    // RFC 4458 cause
	Addr      string // "IP:port" the INVITE is sent to
	Transport string // "udp" or "tcp"
}

// Header is one SIP header field.
type Header struct{ Name, Value string }
