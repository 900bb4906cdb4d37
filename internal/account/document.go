package account

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/signalbox/signalbox/internal/tel"
)

// The bounds of a Document.
const (
	MaxRows           = 200_000 // of each kind in one document
	MaxDevices        = 10      // of one number
	MaxPilotSystems   = 8       // of one pilot
	MinNoAnswer       = 5 * time.Second
	MaxNoAnswer       = 180 * time.Second
	DefaultNoAnswer   = 20 * time.Second
	maxFreeText       = 128 // bytes of a name shown to people
	maxProblems       = 20  // problems an Invalid names; the rest is counted
	defaultProfile    = "internal"
	defaultVMProfile  = "external"
	defaultVMProtocol = "udp"
)

// Document is what "signalbox provision apply" takes and "export" gives: the accounts, numbers, pilots and voicemail
// systems as they shall be. Rows it does not name stay as they are, unless Prune is set.
type Document struct {
	// Prune removes every row that the document does not name.
	Prune            bool           `yaml:"prune,omitempty" json:"prune,omitempty"`
	Accounts         []AccountEntry `yaml:"accounts,omitempty" json:"accounts,omitempty"`
	Numbers          []NumberEntry  `yaml:"numbers,omitempty" json:"numbers,omitempty"`
	Pilots           []PilotEntry   `yaml:"pilots,omitempty" json:"pilots,omitempty"`
	VoicemailSystems []SystemEntry  `yaml:"voicemail_systems,omitempty" json:"voicemail_systems,omitempty"`
}

// AccountEntry is one account of a Document.
type AccountEntry struct {
	ID   string `yaml:"id" json:"id"`
	Name string `yaml:"name,omitempty" json:"name,omitempty"`
}

// NumberEntry is one number of a Document, with the phones that ring for it and its voicemail.
type NumberEntry struct {
	Number    string          `yaml:"number" json:"number"` // E.164 with the plus
	Account   string          `yaml:"account" json:"account"`
	Devices   []DeviceEntry   `yaml:"devices,omitempty" json:"devices,omitempty"`
	NoAnswer  Duration        `yaml:"no_answer,omitempty" json:"no_answer,omitempty"` // 5s to 180s; none = 20s
	Voicemail *VoicemailEntry `yaml:"voicemail,omitempty" json:"voicemail,omitempty"`
}

// DeviceEntry is one phone: a user of FreeSWITCH's directory (user, domain) or a fixed SIP address (uri).
type DeviceEntry struct {
	Kind      DeviceKind `yaml:"kind,omitempty" json:"kind,omitempty"`       // none = registered
	Profile   string     `yaml:"profile,omitempty" json:"profile,omitempty"` // none = internal
	User      string     `yaml:"user" json:"user"`
	Host      string     `yaml:"host" json:"host"`
	Port      uint16     `yaml:"port,omitempty" json:"port,omitempty"`
	Transport string     `yaml:"transport,omitempty" json:"transport,omitempty"`
}

// VoicemailEntry is the voicemail routing profile of a number.
type VoicemailEntry struct {
	Pilot string `yaml:"pilot" json:"pilot"`
	// Conditions are "no-answer", "busy", "not-registered", "unreachable", "declined". No key = all; an empty list = none.
	Conditions *ConditionList `yaml:"conditions,omitempty" json:"conditions,omitempty"`
}

// ConditionList names conditions in the words of tel.Why.
type ConditionList []tel.Why

// PilotEntry is one pilot and the voicemail systems behind it.
type PilotEntry struct {
	Number  string             `yaml:"number" json:"number"` // E.164 or a short code such as "*86"
	Systems []PilotSystemEntry `yaml:"systems" json:"systems"`
}

// PilotSystemEntry is one system of a pilot; lower priorities are tried first, equal ones as they stand.
type PilotSystemEntry struct {
	FQDN     string `yaml:"fqdn" json:"fqdn"`
	Priority uint16 `yaml:"priority,omitempty" json:"priority,omitempty"`
}

// SystemEntry is one voicemail system.
type SystemEntry struct {
	FQDN      string `yaml:"fqdn" json:"fqdn"`
	Transport string `yaml:"transport,omitempty" json:"transport,omitempty"` // none = udp
	Profile   string `yaml:"profile,omitempty" json:"profile,omitempty"`     // none = external
}

// Duration is a time.Duration that stands in files as "20s".
type Duration time.Duration

// MarshalText writes the duration as "20s".
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText reads a duration such as "20s" or "1m30s".
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	if err != nil {
		return fmt.Errorf("%q is no duration such as 20s", text)
	}
	*d = Duration(v)
	return nil
}

// Invalid says what is wrong with a Document: every problem begins with the path of the field.
type Invalid struct {
	Problems []string // at most 20
	More     int      // problems beyond those
}

func (e *Invalid) Error() string {
	text := strings.Join(e.Problems, "\n")
	if e.More > 0 {
		text += fmt.Sprintf("\nand %d more", e.More)
	}
	return text
}

func (e *Invalid) add(format string, args ...any) {
	if len(e.Problems) >= maxProblems {
		e.More++
		return
	}
	e.Problems = append(e.Problems, fmt.Sprintf(format, args...))
}

func (e *Invalid) err() error {
	if len(e.Problems) == 0 {
		return nil
	}
	return e
}

// Validate checks a document that stands by itself: every field, and that every account, pilot and system named is in
// it. The error is an *Invalid.
func (d Document) Validate() error {
	d.Prune = true
	_, err := Merge(Document{}, d)
	return err
}

// normalize checks every field by itself and returns the document with numbers in E.164, names in lower case and
// defaults filled in. The rows keep their order.
func (d Document) normalize(bad *Invalid) Document {
	out := Document{Prune: d.Prune}
	for _, n := range []struct {
		rows int
		name string
	}{{len(d.Accounts), "accounts"}, {len(d.Numbers), "numbers"}, {len(d.Pilots), "pilots"}, {len(d.VoicemailSystems), "voicemail_systems"}} {
		if n.rows > MaxRows {
			bad.add("%s: %d rows, at most %d in one document", n.name, n.rows, MaxRows)
			return out
		}
	}
	once := map[string]string{}
	single := func(kind, key, at, what string) {
		if first, twice := once[kind+" "+key]; twice {
			bad.add("%s: %s %s stands at %s already", at, what, key, first)
		}
		once[kind+" "+key] = at
	}
	for i, a := range d.Accounts {
		at := fmt.Sprintf("accounts[%d]", i)
		if !validKey(a.ID) {
			bad.add("%s.id: %.80q is not 1 to 64 characters of A-Z a-z 0-9 . _ -", at, a.ID)
		}
		if !plainText(a.Name) {
			bad.add("%s.name: more than %d bytes, or control characters", at, maxFreeText)
		}
		single("account", a.ID, at, "account")
		out.Accounts = append(out.Accounts, a)
	}
	accounts := map[string]string{}
	for i, n := range d.Numbers {
		at := fmt.Sprintf("numbers[%d]", i)
		n = n.normalize(at, bad)
		if other, twice := accounts[n.Number]; twice && other != n.Account {
			bad.add("%s.account: number %s belongs to account %s already", at, n.Number, other)
		} else {
			single("number", n.Number, at, "number")
		}
		accounts[n.Number] = n.Account
		out.Numbers = append(out.Numbers, n)
	}
	for i, p := range d.Pilots {
		at := fmt.Sprintf("pilots[%d]", i)
		p = p.normalize(at, bad)
		single("pilot", p.Number, at, "pilot")
		out.Pilots = append(out.Pilots, p)
	}
	for i, s := range d.VoicemailSystems {
		at := fmt.Sprintf("voicemail_systems[%d]", i)
		s = s.normalize(at, bad)
		single("system", s.FQDN, at, "voicemail system")
		out.VoicemailSystems = append(out.VoicemailSystems, s)
	}
	return out
}

func (n NumberEntry) normalize(at string, bad *Invalid) NumberEntry {
	number, err := tel.ParseNumber(n.Number, "")
	if err != nil || !number.Possible() {
		bad.add("%s.number: %.80q is no telephone number in E.164, such as +14155550100", at, n.Number)
	} else {
		n.Number = string(number)
	}
	if !validKey(n.Account) {
		bad.add("%s.account: %.80q is no account id", at, n.Account)
	}
	if n.NoAnswer == 0 {
		n.NoAnswer = Duration(DefaultNoAnswer)
	}
	if d := time.Duration(n.NoAnswer); d < MinNoAnswer || d > MaxNoAnswer {
		bad.add("%s.no_answer: %v is not between %v and %v", at, d, MinNoAnswer, MaxNoAnswer)
	}
	if len(n.Devices) > MaxDevices {
		bad.add("%s.devices: %d devices, at most %d ring for one number", at, len(n.Devices), MaxDevices)
		n.Devices = n.Devices[:MaxDevices]
	}
	devices := make([]DeviceEntry, 0, len(n.Devices))
	for i, d := range n.Devices {
		devices = append(devices, d.normalize(fmt.Sprintf("%s.devices[%d]", at, i), bad))
	}
	n.Devices = devices
	if n.Voicemail != nil {
		v := n.Voicemail.normalize(at+".voicemail", bad)
		n.Voicemail = &v
	}
	return n
}

func (d DeviceEntry) normalize(at string, bad *Invalid) DeviceEntry {
	if d.Kind == "" {
		d.Kind = DeviceRegistered
	}
	if d.Profile == "" {
		d.Profile = defaultProfile
	}
	if !validKey(d.Profile) {
		bad.add("%s.profile: %.80q is no name of a Sofia profile", at, d.Profile)
	}
	if !validUser(d.User) {
		bad.add("%s.user: %.80q is not 1 to 64 characters of A-Z a-z 0-9 . _ - + * #", at, d.User)
	}
	d.Host = strings.ToLower(strings.TrimSuffix(d.Host, "."))
	if !ValidHost(d.Host) {
		bad.add("%s.host: %.80q is neither a host name nor an IP address", at, d.Host)
	}
	switch d.Kind {
	case DeviceRegistered:
		if d.Port != 0 {
			bad.add("%s.port: a registered device is called where it registered; only kind uri has a port", at)
		}
		if d.Transport != "" {
			bad.add("%s.transport: a registered device is called as it registered; only kind uri has a transport", at)
		}
	case DeviceURI:
		if d.Transport != "" && d.Transport != "udp" && d.Transport != "tcp" {
			bad.add("%s.transport: %.80q is neither udp nor tcp", at, d.Transport)
		}
	default:
		bad.add("%s.kind: %.80q is neither %s nor %s", at, d.Kind, DeviceRegistered, DeviceURI)
	}
	return d
}

func (v VoicemailEntry) normalize(at string, bad *Invalid) VoicemailEntry {
	v.Pilot = pilotNumber(v.Pilot, at+".pilot", bad)
	if v.Conditions == nil {
		all := Conditions{true, true, true, true, true}.List()
		v.Conditions = &all
		return v
	}
	for i, c := range *v.Conditions {
		if !(ConditionList{c}).known() {
			bad.add("%s.conditions[%d]: %.80q is none of %s, %s, %s, %s, %s", at, i, c,
				tel.NoAnswer, tel.Busy, tel.NotRegistered, tel.Unreachable, tel.Declined)
		}
	}
	list := v.Conditions.Conditions().List()
	v.Conditions = &list
	return v
}

func (l ConditionList) known() bool { return l.Conditions() != Conditions{} }

// Conditions makes switches of the list; names it does not know are left out.
func (l ConditionList) Conditions() Conditions {
	var c Conditions
	for _, why := range l {
		switch why {
		case tel.NoAnswer:
			c.NoAnswer = true
		case tel.Busy:
			c.Busy = true
		case tel.NotRegistered:
			c.NotRegistered = true
		case tel.Unreachable:
			c.Unreachable = true
		case tel.Declined:
			c.Declined = true
		}
	}
	return c
}

// List names the conditions that are on, always in the same order; never nil.
func (c Conditions) List() ConditionList {
	list := ConditionList{}
	for _, s := range []struct {
		on  bool
		why tel.Why
	}{{c.NoAnswer, tel.NoAnswer}, {c.Busy, tel.Busy}, {c.NotRegistered, tel.NotRegistered},
		{c.Unreachable, tel.Unreachable}, {c.Declined, tel.Declined}} {
		if s.on {
			list = append(list, s.why)
		}
	}
	return list
}

func (p PilotEntry) normalize(at string, bad *Invalid) PilotEntry {
	p.Number = pilotNumber(p.Number, at+".number", bad)
	if len(p.Systems) == 0 || len(p.Systems) > MaxPilotSystems {
		bad.add("%s.systems: %d systems, want 1 to %d", at, len(p.Systems), MaxPilotSystems)
		p.Systems = p.Systems[:min(len(p.Systems), MaxPilotSystems)]
	}
	systems := make([]PilotSystemEntry, 0, len(p.Systems))
	seen := map[string]bool{}
	for i, s := range p.Systems {
		s.FQDN = fqdn(s.FQDN, fmt.Sprintf("%s.systems[%d].fqdn", at, i), bad)
		if seen[s.FQDN] {
			bad.add("%s.systems[%d].fqdn: %s stands here twice", at, i, s.FQDN)
		}
		seen[s.FQDN] = true
		systems = append(systems, s)
	}
	p.Systems = systems
	return p
}

func (s SystemEntry) normalize(at string, bad *Invalid) SystemEntry {
	s.FQDN = fqdn(s.FQDN, at+".fqdn", bad)
	if s.Transport == "" {
		s.Transport = defaultVMProtocol
	}
	if s.Transport != "udp" && s.Transport != "tcp" && s.Transport != "tls" {
		bad.add("%s.transport: %.80q is none of udp, tcp and tls", at, s.Transport)
	}
	if s.Profile == "" {
		s.Profile = defaultVMProfile
	}
	if !validKey(s.Profile) {
		bad.add("%s.profile: %.80q is no name of a Sofia profile", at, s.Profile)
	}
	return s
}

// pilotNumber checks a pilot: E.164, returned in one form, or a short code.
func pilotNumber(raw, at string, bad *Invalid) string {
	if validShortCode(raw) {
		return raw
	}
	number, err := tel.ParseNumber(raw, "")
	if err != nil {
		bad.add("%s: %.80q is neither a number in E.164 nor a short code such as *86", at, raw)
		return raw
	}
	return string(number)
}

func fqdn(raw, at string, bad *Invalid) string {
	name := strings.ToLower(strings.TrimSuffix(raw, "."))
	if !ValidFQDN(name) {
		bad.add("%s: %.80q is no fully qualified host name", at, raw)
	}
	return name
}

// plainText reports whether s is short and has no control characters.
func plainText(s string) bool {
	return len(s) <= maxFreeText && strings.IndexFunc(s, func(r rune) bool {
		return r < ' ' || r == 0x7f || r == '\uFFFD'
	}) < 0
}

// same reports whether two rows say the same.
func same[T any](a, b T) bool {
	x, errX := json.Marshal(a)
	y, errY := json.Marshal(b)
	return errX == nil && errY == nil && string(x) == string(y)
}
