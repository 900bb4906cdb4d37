package call

import (
	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/tel"
)

// World is what is known beside the arrival and the profile when a call is planned. The zero World knows nothing.
type World struct {
	// Contact is the caller in the account's address book; nil = not there. It is looked for only when a rule asks, and
	// ContactsDown says that nobody could look: rules that ask for contacts then stand aside.
	Contact      *account.Contact
	ContactsDown bool
	// First is the subscriber whom a diverted call was placed to first; nil = nobody of the operator's.
	First *account.Profile
	// Retrieves is set when the caller dialled a pilot: he wants to hear messages, not to call anybody.
	Retrieves *Retrieves
	// FromVoicemail is the voicemail system that placed the call, to return one or to tell of a message; "" = none.
	FromVoicemail string
	// Draw is a random number by which systems of equal priority share the calls.
	Draw uint64
	// Forwarded is set when the call was sent on to us by the subscriber it is for.
	Forwarded *Forward
	// Room is the subscriber's conference, nil = he has none open; RoomsDown says that nobody could look.
	Room      *Room
	RoomsDown bool
	// IsHost says that the caller's number is one of the subscriber's own account.
	IsHost bool
	// Scheduled is the announced conference of the subscriber that lets the caller in; "" = none.
	Scheduled string
	// ScheduledOpen says that it lets everybody in, whoever he is.
	ScheduledOpen bool
	// LockedOut says that the caller has given too many wrong PINs.
	LockedOut bool
	// Waiting lists the systems on which the line that retrieves has messages, as they said last.
	Waiting []string
}

// Retrieves is a caller who dialled a pilot.
type Retrieves struct {
	Route account.Route
	// Line is the caller's own line, which the switch has authenticated; nil = another line: the system asks for mailbox and PIN.
	Line *account.Profile
}

// Forward says how it is known by whom a call was sent on, and why.
type Forward struct {
	Source string     `json:"source"` // "target", "history-info", "diversion", "called-party", "dialled" or "caller"
	Number tel.Number `json:"number"`
	Why    tel.Why    `json:"why,omitempty"` // "" = nobody says
}

// Room is a conference that is open, as far as a caller is concerned.
type Room struct {
	ID          string
	HostPresent bool
	Locked      bool
	Full        bool
	Calling     bool // the host is being called
	Removed     bool // this caller was sent out of it, and may not come back
}

// spoofed is the likelihood from which a caller's number is not taken for that of a contact.
const spoofed = 0.5

// Nameless reports whether a caller has no number, or withheld it: nobody knows who he is.
func (a Arrival) Nameless() bool { return a.From.Withheld || a.From.Number == "" }

// Suspect reports whether a caller's number may be that of somebody else.
func (a Arrival) Suspect() bool { return a.Verdict.Likelihood >= spoofed }

// Recognised reports whether the caller is the contact of the world: one who is there, and whose number is believed.
func (w World) Recognised(a Arrival) bool {
	return w.Contact != nil && !w.ContactsDown && !a.Nameless() && !a.Suspect()
}
