// Package account holds what the operator provisioned: accounts, their numbers and devices, pilots and voicemail systems.
//
// Everything here is a plain value: loaded from a store, compared, printed, never changed in place. A user row never
// contains the name or address of a voicemail system; it names a pilot, and the pilot's row names the systems, so that
// moving a pilot moves every subscriber on it. The package does no I/O and is safe for concurrent use as long as
// values are not modified after they were handed on.
package account

import (
	"strconv"
	"time"

	"github.com/signalbox/signalbox/internal/tel"
)

// Account is one subscriber of the operator.
type Account struct {
	ID   string // the operator's own key, 1 to 64 characters of [A-Za-z0-9._-]
	Name string // shown to people; free text
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

// Voicemail is the voicemail routing profile of one number.
type Voicemail struct {
	Pilot      string // the logical number for "voicemail"; key of Pilot
	Conditions Conditions
}

// Pilot maps a pilot number to the systems behind it.
type Pilot struct {
	Number  string // E.164 or a short code such as "*86"
	Systems []PilotSystem
}

// PilotSystem is one system of a pilot. Lower priorities are tried first.
type PilotSystem struct {
	FQDN     string
	Priority uint16
}

// VoicemailSystem is one voicemail system, known by its name.
type VoicemailSystem struct {
	FQDN      string
	Transport string // "udp", "tcp", or "tls": through the proxy, which checks the certificate against FQDN
	Profile   string // FreeSWITCH's Sofia profile that calls it, for example "external"
}

// Timers bound how long a call waits in each state.
type Timers struct {
	NoAnswer time.Duration // ringing before the call counts as not answered; 5 s to 180 s
}

// Profile is all that one arriving call needs to know of the number it was placed to: one read of the store.
type Profile struct {
	Account   Account
	Number    tel.Number
	Devices   []Device
	Timers    Timers
	Voicemail *Voicemail        // nil = voicemail not provisioned
	Systems   []VoicemailSystem // the systems behind Voicemail.Pilot, in the order to be tried
	Version   int64             // rises with every change of this number, its account, pilot or systems
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
