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
	// Record answers the caller, plays the prompt and a tone, and records what he says. The result is Answered when he was answered,
	// whatever was recorded, NotRecorded when nothing could be, and CallerGone when he hung up before he was answered.
	Record(ctx context.Context, order RecordOrder) (Recording, error)
	// Menu answers the caller, plays sounds and reads the keys he presses, from the first moment on: a key ends the sounds. Should we
	// die from here on, he goes to the operator's fallback as somebody whom nobody has answered. The result is Ended, NotPlayed when
	// the switch could not play the sounds, or CallerGone.
	Menu(ctx context.Context, order MenuOrder) (Input, error)
	// Hold answers the caller and plays to him until the order says that it is enough. The result is Ended or CallerGone.
	Hold(ctx context.Context, order HoldOrder) (Result, error)
	// Join brings the caller into a conference, answering him; when he is out of it again it ends the call. The result is Answered when he
	// was in it, NotJoined when it did not take him, or CallerGone.
	Join(ctx context.Context, order JoinOrder) (Result, error)
	// End ends the call with a cause by FreeSWITCH's name.
	End(ctx context.Context, cause string) error
	// Refuse ends an unanswered call with a SIP status.
	Refuse(ctx context.Context, refusal Refusal) error
	// HandBack gives the call back to the operator's dialplan, with everything we set taken off it.
	HandBack(ctx context.Context) error
}

// RecordOrder says what is recorded.
type RecordOrder struct {
	File    string        // path on the switch, which must not exist
	Prompt  string        // "" = none
	Longest time.Duration // of the recording
}

// Recording is what was recorded.
type Recording struct {
	Result Result
	Length time.Duration // of what is in the file; 0 = nothing
	Unseen bool          // how the recording ended was not seen, so that Length is not known: the switch may record on
	Note   string        // why nothing was recorded
}

// MenuOrder says what a caller is asked. A sound is a path on the switch, absolute or inside the switch's configuration folder, or one of
// the streams that package dialplan/encode takes.
type MenuOrder struct {
	Sounds  []string      // played one after the other, at least one
	Most    int           // keys; so many end it at once
	Wait    time.Duration // for the first key after the sounds
	Between time.Duration // for each further key; 0 = as Wait
	Ends    string        // keys that end it and are not among those read; "" = none does
}

// Input is what a caller answered.
type Input struct {
	Result Result
	Keys   string // of 0-9*#; "" = none
	Note   string // why nothing was played
}

// HoldOrder says what is played to a caller who waits.
type HoldOrder struct {
	Sounds  []string        // once, and then Music until the end; as in MenuOrder
	Music   string          // "" = silence
	Until   <-chan struct{} // closed when it is enough
	Longest time.Duration   // then it is enough too
}

// JoinOrder says which conference a caller comes into.
type JoinOrder struct {
	Room, Profile string   // names in the switch
	Flags         []string // of the member, in FreeSWITCH's words
	MaxMembers    int      // of a room that is made by this; 0 = any number
	Host          bool     // whose room it is: he comes in also when it is locked
	Controls      string   // name of the switch's group of keys for members; "" = none has a meaning
	Music         string   // for those who wait in it for the host, as in HoldOrder; "" = two soft notes now and then
}

// RingOrder says whom a leg shall call.
type RingOrder struct {
	Devices   []account.Device // rung at once; or
	Voicemail *VoicemailTarget // one target of a voicemail system

	Answer   time.Duration // rings no longer than this
	Progress time.Duration // without any sign of ringing for this long the target counts as dead; 0 = no limit

	Headers []Header // added to the INVITE in place of what the A-leg carried under the same names
	Caller  tel.Identity
	As      tel.Number // shown as the caller's number in place of what he presented; "" = what he presented

	Answered func() // called once in the goroutine of the leg, when the caller is connected; may be nil

	// Lost is closed when the far end is known to be dead while no signalling can say so: a caller who is connected with it is taken off
	// it, and the result is Unreachable. nil = nobody knows.
	Lost <-chan struct{}
}

// VoicemailTarget is one address of a voicemail system, found by its name.
type VoicemailTarget struct {
	Profile   string   // FreeSWITCH's Sofia profile
	User      string   // user of the Request-URI: the pilot, or the mailbox where the system wants that
	FQDN      string   // host of the Request-URI
	Target    string   // RFC 4458 target: the subscriber, as "sip:user@host"; "" = not said
	Cause     int      // RFC 4458 cause; 0 = not said
	Addr      string   // "IP:port" the INVITE is sent to
	Transport string   // "udp" or "tcp"
	Codecs    []string // offered, in this order; none = those of the profile
}

// Header is one SIP header field. An empty value takes off what the A-leg carried under the name.
type Header struct{ Name, Value string }
