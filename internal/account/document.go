package account

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/signalbox/signalbox/internal/tel"
)

// The bounds of a Document.
const (
	MaxRows           = 200_000 // of each kind in one document
	MaxDevices        = 10      // of one number
	MaxPilotSystems   = 8       // of one pilot
	MaxContactNumbers = 20      // of one contact
	MaxRules          = 50      // of one account
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
//
// A document is one tenant's. Numbers of a tenant may use its own pilots and, where it has none of that key, the operator's.
type Document struct {
	Tenant string `yaml:"tenant,omitempty" json:"tenant,omitempty"` // none = OperatorTenant
	// Prune removes every row that the document does not name.
	Prune            bool            `yaml:"prune,omitempty" json:"prune,omitempty"`
	Accounts         []AccountEntry  `yaml:"accounts,omitempty" json:"accounts,omitempty"`
	Numbers          []NumberEntry   `yaml:"numbers,omitempty" json:"numbers,omitempty"`
	Pilots           []PilotEntry    `yaml:"pilots,omitempty" json:"pilots,omitempty"`
	VoicemailSystems []SystemEntry   `yaml:"voicemail_systems,omitempty" json:"voicemail_systems,omitempty"`
	Contacts         []ContactEntry  `yaml:"contacts,omitempty" json:"contacts,omitempty"`
	Rules            []RuleEntry     `yaml:"rules,omitempty" json:"rules,omitempty"`
	Schedules        []ScheduleEntry `yaml:"schedules,omitempty" json:"schedules,omitempty"`
}

// AccountEntry is one account of a Document.
type AccountEntry struct {
	ID       string   `yaml:"id" json:"id"`
	Name     string   `yaml:"name,omitempty" json:"name,omitempty"`
	State    State    `yaml:"state,omitempty" json:"state,omitempty"`       // none = active
	Language string   `yaml:"language,omitempty" json:"language,omitempty"` // BCP 47
	TimeZone string   `yaml:"timezone,omitempty" json:"timezone,omitempty"` // IANA
	Services []string `yaml:"services,omitempty" json:"services,omitempty"` // of sms, mms, rcs, fax
}

// NumberEntry is one number of a Document, with the phones that ring for it and its voicemail.
type NumberEntry struct {
	Number    string          `yaml:"number" json:"number"` // E.164 with the plus
	Account   string          `yaml:"account" json:"account"`
	Devices   []DeviceEntry   `yaml:"devices,omitempty" json:"devices,omitempty"`
	NoAnswer  Duration        `yaml:"no_answer,omitempty" json:"no_answer,omitempty"` // 5s to 180s; none = 20s
	Voicemail *VoicemailEntry `yaml:"voicemail,omitempty" json:"voicemail,omitempty"`
	// Conference is how callers come into the owner's conference; none = it is offered to nobody.
	Conference *ConferenceEntry `yaml:"conference,omitempty" json:"conference,omitempty"`
}

// DeviceEntry is one phone: a user of FreeSWITCH's directory (user, domain) or a fixed SIP address (uri).
type DeviceEntry struct {
	Kind      DeviceKind `yaml:"kind,omitempty" json:"kind,omitempty"`       // none = registered
	Profile   string     `yaml:"profile,omitempty" json:"profile,omitempty"` // none = internal
	User      string     `yaml:"user" json:"user"`
	Host      string     `yaml:"host" json:"host"`
	Port      uint16     `yaml:"port,omitempty" json:"port,omitempty"`
	Transport string     `yaml:"transport,omitempty" json:"transport,omitempty"`
	// A1Hash is MD5 of USER:REALM:PASSWORD in hex (RFC 2617's H(A1)), by which FreeSWITCH knows the phone when Signalbox serves its
	// directory; kind registered only. Whoever has it can register: it is as secret as the password. None = the phone keeps the one
	// it has (KeepSecrets), NoA1Hash = it loses it.
	A1Hash string `yaml:"a1_hash,omitempty" json:"a1_hash,omitempty"`
}

// VoicemailEntry is the voicemail routing profile of a number.
type VoicemailEntry struct {
	Pilot   string `yaml:"pilot" json:"pilot"`
	Class   Class  `yaml:"class,omitempty" json:"class,omitempty"`     // basic (none) or visual
	Mailbox string `yaml:"mailbox,omitempty" json:"mailbox,omitempty"` // none = the number
	// FirstDiverter puts messages of diverted callers in the mailbox of the number they dialled first.
	FirstDiverter bool `yaml:"first_diverter,omitempty" json:"first_diverter,omitempty"`
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
	FQDN     string     `yaml:"fqdn" json:"fqdn"`
	Priority uint16     `yaml:"priority,omitempty" json:"priority,omitempty"`
	Weight   uint16     `yaml:"weight,omitempty" json:"weight,omitempty"`
	From     *time.Time `yaml:"from,omitempty" json:"from,omitempty"` // RFC 3339; the row counts from then
	Until    *time.Time `yaml:"until,omitempty" json:"until,omitempty"`
}

// SystemEntry is one voicemail system.
type SystemEntry struct {
	FQDN      string `yaml:"fqdn" json:"fqdn"`
	Transport string `yaml:"transport,omitempty" json:"transport,omitempty"` // none = udp
	Profile   string `yaml:"profile,omitempty" json:"profile,omitempty"`     // none = external

	Codecs   []string       `yaml:"codecs,omitempty" json:"codecs,omitempty"`
	Evidence []Evidence     `yaml:"evidence,omitempty" json:"evidence,omitempty"` // none = target, diversion, history-info
	Visual   bool           `yaml:"visual,omitempty" json:"visual,omitempty"`
	Drain    bool           `yaml:"drain,omitempty" json:"drain,omitempty"`
	Notifies []netip.Prefix `yaml:"notifies,omitempty" json:"notifies,omitempty"` // where its NOTIFYs come from
}

// ContactEntry is one entry of an account's address book.
type ContactEntry struct {
	Account string   `yaml:"account" json:"account"`
	ID      string   `yaml:"id" json:"id"`
	Name    string   `yaml:"name,omitempty" json:"name,omitempty"`
	Label   string   `yaml:"label,omitempty" json:"label,omitempty"`
	Numbers []string `yaml:"numbers" json:"numbers"` // E.164
	MayJoin MayJoin  `yaml:"may_join,omitempty" json:"may_join,omitempty"`
	Source  string   `yaml:"source,omitempty" json:"source,omitempty"` // none = manual
	Clip    string   `yaml:"clip,omitempty" json:"clip,omitempty"`     // file of the spoken name, such as anna.wav
	Shared  *bool    `yaml:"shared,omitempty" json:"shared,omitempty"` // no key = false, until an import says it
}

// RuleEntry is one rule of a number, or of all numbers of an account that have none of their own.
type RuleEntry struct {
	Account string     `yaml:"account" json:"account"`
	ID      string     `yaml:"id" json:"id"`
	For     string     `yaml:"for,omitempty" json:"for,omitempty"` // a number of the account; none = all of them
	Order   int        `yaml:"order,omitempty" json:"order,omitempty"`
	Callers Callers    `yaml:"callers" json:"callers"`
	Number  string     `yaml:"number,omitempty" json:"number,omitempty"`
	Do      RuleAction `yaml:"do" json:"do"`
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
	e.Problems = append(e.Problems, strings.TrimLeft(fmt.Sprintf(format, args...), ".: ")) // of a row that stands by itself, without a path
}

// Add adds a problem of the field at a path.
func (e *Invalid) Add(at, problem string) { e.add("%s: %s", at, problem) }

// Err is the Invalid, nil when there are no problems.
func (e *Invalid) Err() error {
	if len(e.Problems) == 0 {
		return nil
	}
	return e
}

// normalize checks every field by itself and returns the document with numbers in E.164, names in lower case and
// defaults filled in. The rows keep their order.
func (d Document) normalize(bad *Invalid) Document {
	out := Document{Tenant: d.Tenant, Prune: d.Prune}
	if out.Tenant == "" {
		out.Tenant = OperatorTenant
	}
	CheckTenant(out.Tenant, bad)
	for _, n := range []struct {
		rows int
		name string
	}{{len(d.Accounts), "accounts"}, {len(d.Numbers), "numbers"}, {len(d.Pilots), "pilots"}, {len(d.VoicemailSystems), "voicemail_systems"},
		{len(d.Contacts), "contacts"}, {len(d.Rules), "rules"}, {len(d.Schedules), "schedules"}} {
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
		a = a.normalize(at, bad)
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
	for i, c := range d.Contacts {
		at := fmt.Sprintf("contacts[%d]", i)
		c = c.normalize(at, bad)
		single("contact", c.Key(), at, "contact")
		out.Contacts = append(out.Contacts, c)
	}
	for i, r := range d.Rules {
		at := fmt.Sprintf("rules[%d]", i)
		r = r.normalize(at, bad)
		single("rule", r.Key(), at, "rule")
		out.Rules = append(out.Rules, r)
	}
	for i, s := range d.Schedules {
		at := fmt.Sprintf("schedules[%d]", i)
		s = s.normalize(at, bad)
		single("schedule", s.Key(), at, "schedule")
		out.Schedules = append(out.Schedules, s)
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
	if n.Conference != nil {
		c := n.Conference.normalize(at+".conference", bad)
		n.Conference = &c
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
	d.A1Hash = strings.ToLower(d.A1Hash)
	if d.A1Hash != "" && d.A1Hash != NoA1Hash && (len(d.A1Hash) != 32 || strings.Trim(d.A1Hash, "0123456789abcdef") != "") {
		// What stands there may be the password, so it is not repeated.
		bad.add("%s.a1_hash: it is not 32 digits of 0-9 a-f, the MD5 of USER:REALM:PASSWORD; %s takes the one that is there away", at, NoA1Hash)
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
		if d.A1Hash != "" {
			bad.add("%s.a1_hash: a fixed address does not register", at)
		}
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
	if v.Class == "basic" {
		v.Class = Basic
	}
	if v.Class != Basic && v.Class != Visual {
		bad.add("%s.class: %.80q is neither basic nor visual", at, v.Class)
	}
	if v.Mailbox != "" && !validUser(v.Mailbox) {
		bad.add("%s.mailbox: %.80q is not 1 to 64 characters of A-Z a-z 0-9 . _ - + * #", at, v.Mailbox)
	}
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
		if s.From != nil && s.Until != nil && !s.Until.After(*s.From) {
			bad.add("%s.systems[%d].until: it is not after from", at, i)
		}
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
	for i, c := range s.Codecs {
		if !validKey(c) {
			bad.add("%s.codecs[%d]: %.80q is no name of a codec such as PCMA", at, i, c)
		}
	}
	for i, e := range s.Evidence {
		if !slices.Contains(evidences, e) {
			bad.add("%s.evidence[%d]: %.80q is none of target, diversion, history-info and mailbox", at, i, e)
		}
	}
	if len(s.Codecs) > maxList || len(s.Notifies) > maxList || len(s.Evidence) > len(evidences) {
		bad.add("%s: codecs, notifies and evidence have at most %d, %d and %d entries", at, maxList, maxList, len(evidences))
	}
	for i, n := range s.Notifies {
		if !n.IsValid() {
			bad.add("%s.notifies[%d]: write a range of addresses such as 192.0.2.0/28", at, i)
		}
	}
	return s
}

// pilotNumber checks a pilot: E.164, returned in one form, or a short code.
func pilotNumber(raw, at string, bad *Invalid) string {
	if tel.Emergency(raw) {
		bad.add("%s: %.80q is an emergency number in much of the world; no voicemail may take its calls", at, raw)
		return raw
	}
	if validShortCode(raw) {
		return raw
	}
	number, err := tel.ParseNumber(raw, "")
	if err != nil {
		bad.add("%s: %.80q is neither a number in E.164, with its plus, nor a short code such as *86 or 123 (at most %d digits)", at, raw, maxShortDigits)
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
