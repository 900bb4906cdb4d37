// Package account holds what the operator provisioned: accounts, their numbers and devices, pilots and voicemail systems.
//
// Everything here is a plain value: loaded from a store, compared, printed, never changed in place. A user row never
// contains the name or address of a voicemail system; it names a pilot, and the pilot's row names the systems, so that
// moving a pilot moves every subscriber on it. The package does no I/O and is safe for concurrent use as long as
// values are not modified after they were handed on.
package account

import (
	"net/netip"
	"slices"
	"strconv"
	"time"

	"github.com/signalbox/signalbox/internal/tel"
)

// OperatorTenant is the tenant of the operator itself. Its pilots and voicemail systems serve the numbers of every
// tenant that has none of its own under the same key.
const OperatorTenant = "operator"

// State says whether an account is served.
type State string

// The states of an account.
const (
	Active State = "" // served
	// Suspended: its phones ring, nothing is deposited, and the caller hears a notice; the mailbox stays.
	Suspended State = "suspended"
)

// Account is one subscriber of the operator.
type Account struct {
	Tenant   string // who provisioned it, OperatorTenant or a customer; 1 to 64 characters of [A-Za-z0-9._-]
	ID       string // the tenant's own key, 1 to 64 characters of [A-Za-z0-9._-]
	Name     string // shown to people; free text
	State    State
	Language string   // of prompts and texts, BCP 47 such as "en-GB"; "" = the operator's
	TimeZone string   // IANA, such as "Europe/Rome"; "" = UTC
	Services []string // messaging services provisioned beside voicemail: "sms", "mms", "rcs", "fax"
}

// DeviceKind says how a device is reached.
type DeviceKind string

// The ways to reach a device.
const (
	// DeviceRegistered is a user of FreeSWITCH's directory, reached where it is registered.
	DeviceRegistered DeviceKind = "registered"
	// DeviceURI is a fixed SIP address, for example a PBX or a phone without registration.
	DeviceURI DeviceKind = "uri"
)

// Device is one phone of a number.
type Device struct {
	Kind      DeviceKind
	Profile   string // FreeSWITCH's Sofia profile, for example "internal"
	User      string // user part of the registration or of the SIP URI
	Host      string // registration domain, or host of the SIP URI
	Port      uint16 // SIP URI only; 0 = by DNS
	Transport string // SIP URI only: "", "udp" or "tcp"
}

// Conditions say for which kinds of unanswered call a number goes to voicemail, each switched by itself.
type Conditions struct {
	NoAnswer      bool
	Busy          bool
	NotRegistered bool
	Unreachable   bool
	Declined      bool
}

// Takes reports whether the condition for a kind of unanswered call is on. A call that was sent on whatever the phone did meets none.
func (c Conditions) Takes(why tel.Why) bool {
	return why != "" && slices.Contains(c.List(), why)
}

// Class is a class of voicemail service.
type Class string

// The classes of voicemail.
const (
	Basic  Class = ""       // reached by calling
	Visual Class = "visual" // also by OMTP's IMAP; that side is the voicemail system's
)

// Voicemail is the voicemail routing profile of one number.
type Voicemail struct {
	Pilot      string // the logical number for "voicemail"; key of Pilot
	Class      Class
	Mailbox    string // the mailbox's name at the voicemail system; "" = the number in E.164
	Conditions Conditions
	// FirstDiverter deposits calls that were diverted to this number in the mailbox of whom they were first placed to, when that is a
	// subscriber of the same tenant too.
	FirstDiverter bool
}

// Pilot maps a pilot number to the systems behind it.
type Pilot struct {
	Number  string // E.164 or a short code such as "*86"
	Systems []PilotSystem
}

// PilotSystem is one system of a pilot. Lower priorities are tried first, equal ones shared by weight (as RFC 2782 does).
type PilotSystem struct {
	FQDN        string
	Priority    uint16
	Weight      uint16
	From, Until time.Time // the row counts from, and before; zero = always
}

// Evidence is one way to tell a voicemail system whose mailbox is called and why.
type Evidence string

// The evidences.
const (
	EvidenceTarget    Evidence = "target"       // ;target= and ;cause= on the Request-URI (RFC 4458)
	EvidenceDiversion Evidence = "diversion"    // Diversion (RFC 5806)
	EvidenceHistory   Evidence = "history-info" // History-Info (RFC 7044)
	EvidenceMailbox   Evidence = "mailbox"      // the mailbox's name instead of the pilot as user of the Request-URI
)

// VoicemailSystem is one voicemail system, known by its name.
type VoicemailSystem struct {
	FQDN      string
	Transport string     // "udp", "tcp", or "tls": through the proxy, which checks the certificate against FQDN
	Profile   string     // FreeSWITCH's Sofia profile that calls it, for example "external"
	Codecs    []string   // offered to it, in this order, such as "PCMA"; none = those of the profile
	Evidence  []Evidence // which it wants; none = target, diversion and history-info
	Visual    bool       // it serves class visual as well
	Drain     bool       // no deposits any more; messages are still retrieved
	// Notifies lists the addresses from which its message-summary NOTIFYs are taken (RFC 3842). None = from none.
	Notifies []netip.Prefix
}

// Contact is one entry of an account's address book.
type Contact struct {
	ID      string // 1 to 64 characters of [A-Za-z0-9._-]
	Name    string // as the account's owner calls the person; free text from outside
	Label   string // "work", "mobile"; free text
	Numbers []tel.Number
	MayJoin MayJoin
	Source  string // "manual", "import" or "sync"
	Clip    string // file of the spoken name, without a folder; "" = none is recorded
	// Shared says that many people call from its numbers, as from the main number of a private exchange: it is a firm, and no person.
	Shared bool
}

// Calling returns whom a caller's number stands for, of the contacts that have it: a shared one where there is one, as whoever else has
// the number is one of many behind it, else the first of the list; nil = there are none.
func Calling(list []Contact) *Contact {
	if i := slices.IndexFunc(list, func(c Contact) bool { return c.Shared }); i >= 0 {
		return &list[i]
	}
	if len(list) == 0 {
		return nil
	}
	return &list[0]
}

// MayJoin says whether a contact may join the account's conference.
type MayJoin string

// The settings of a contact.
const (
	MayJoinInherit MayJoin = "" // as the account's setting for contacts
	MayJoinYes     MayJoin = "yes"
	MayJoinNo      MayJoin = "no"
)

// Rule says what a subscriber wants for some callers, before any phone rings. The first rule of a number that matches decides.
type Rule struct {
	ID      string // 1 to 64 characters of [A-Za-z0-9._-]
	Order   int    // lower ones are asked first, equal ones by ID
	Callers Callers
	Number  string // CallersNumber: E.164, or the beginning of it with a final "*"
	Do      RuleAction
}

// Callers says for whom a Rule stands.
type Callers string

// The callers of rules.
const (
	CallersAll      Callers = "all"
	CallersWithheld Callers = "withheld" // no usable number, or privacy asked for
	CallersContacts Callers = "contacts" // in the account's address book, and not found spoofed
	CallersOthers   Callers = "others"   // everybody who is not in CallersContacts
	CallersNumber   Callers = "number"
)

// RuleAction is what a Rule does with a call.
type RuleAction string

// The actions of rules.
const (
	RuleRing      RuleAction = "ring"      // the phones ring, whatever later rules say
	RuleVoicemail RuleAction = "voicemail" // to voicemail at once (cause=302), if it is provisioned
	RuleRefuse    RuleAction = "refuse"    // 603
)

// Timers bound how long a call waits in each state.
type Timers struct {
	NoAnswer time.Duration // ringing before the call counts as not answered; 5 s to 180 s
}

// Profile is all that one arriving call needs to know of the number it was placed to: one read of the store.
type Profile struct {
	Account    Account
	Number     tel.Number
	Devices    []Device
	Timers     Timers
	Voicemail  *Voicemail        // nil = voicemail not provisioned
	Systems    []VoicemailSystem // the systems behind Voicemail.Pilot, in the order of their rows
	Conference *Conference       // nil = none is offered
	Weights    []PilotSystem     // the pilot's rows, one for each of Systems
	Rules      []Rule            // in the order they are asked
	Version    int64             // rises with every change of this number, its account, pilot or systems
}

// String names the device for people: "1000@example.com (registered)" or "sip:1000@192.0.2.7:5060".
func (d Device) String() string {
	if d.Kind == DeviceRegistered {
		return d.User + "@" + d.Host + " (registered, profile " + d.Profile + ")"
	}
	s := "sip:" + d.User + "@" + d.Host
	if d.Port != 0 {
		s += ":" + strconv.Itoa(int(d.Port))
	}
	if d.Transport != "" {
		s += ";transport=" + d.Transport
	}
	return s
}
