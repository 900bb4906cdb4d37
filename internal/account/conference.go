package account

import (
	"fmt"
	"strings"
	"time"

	"github.com/signalbox/signalbox/internal/tel"
)

// Conference says how callers of a number come into its owner's conference. A number without one offers none.
type Conference struct {
	Offer Offer          // to whom it is offered
	When  ConferenceWhen // for which calls; none set = all of them
	Host  HostChoice     // whose conference a call is for that several have diverted
	Room  RoomPolicy     // what happens when the host is in no room
	// AutoAdmit takes callers who are offered the room into it without a key.
	AutoAdmit bool
	PINHash   string // lets in whoever knows it and is not offered the room by his number; "" = nobody. See CheckPIN
	JoinKey   byte   // '0' to '9', '*' or '#'
	// MessageKey goes to voicemail, RepeatKey hears the offer again.
	MessageKey, RepeatKey byte
	MenuTimeout           time.Duration // without a key after the offer; 2 s to 30 s
	Tries                 int           // offers before the caller goes on to voicemail, 1 to 5
	AcceptTimeout         time.Duration // the host is called so long; 5 s to 60 s
	MaxMembers            int           // of the room, 2 to 200
	Greeting              Greeting
	Quiet                 bool // nobody is told who joins and leaves
	HostLeaves            HostLeaves
	Grace                 time.Duration // between the host's leaving and the end; 0 to 5 min
	Record                bool          // the room is recorded, and everybody told so
	ForwardDial           tel.Number    // by which the host is called; "" = on his devices
}

// Offer says to whom a conference is offered.
type Offer string

// The offers.
const (
	OfferContacts Offer = "contacts" // to the contacts of the account, but for those who may not join
	OfferListed   Offer = "listed"   // to those contacts alone who may join by their own entry
	OfferEveryone Offer = "everyone" // to contacts as OfferContacts does, and to others who know the PIN
)

// ConferenceWhen says for which calls a conference is offered.
type ConferenceWhen struct {
	Conditions
	Forwarded bool // the call came diverted by the number
}

// Any reports whether some kind is named.
func (w ConferenceWhen) Any() bool { return w != ConferenceWhen{} }

// HostChoice says whose conference a call is for that several of the operator's numbers have diverted.
type HostChoice string

// The choices.
const (
	HostNewest   HostChoice = "newest"   // who diverted it last, which is why it is here
	HostOriginal HostChoice = "original" // whom the caller dialled first
)

// RoomPolicy says what happens when the host is in no room.
type RoomPolicy string

// The policies.
const (
	RoomPresent RoomPolicy = "present" // nothing is offered
	RoomFetch   RoomPolicy = "fetch"   // a room is made and the host is called
	RoomOpen    RoomPolicy = "open"    // a room is made in which callers wait for him
)

// Greeting is how a caller is told whom he has reached: GreetingName, GreetingNumber, or "file:" and the name of a recording.
type Greeting string

// The greetings that need no recording.
const (
	GreetingNumber Greeting = "number" // reads the number
	GreetingName   Greeting = "name"   // speaks the account's name; where no voice is installed, reads the number
)

// File is the recording that a greeting names; "" = none.
func (g Greeting) File() string {
	name, _ := strings.CutPrefix(string(g), greetingFile)
	if name == string(g) {
		return ""
	}
	return name
}

const greetingFile = "file:"

// HostLeaves says what becomes of a room that its host leaves.
type HostLeaves string

// The ways.
const (
	LeavesContinue HostLeaves = "continue"
	LeavesEnd      HostLeaves = "end"
)

// The bounds of ConferenceEntry, and what is meant where it says nothing.
const (
	MinMenuTimeout, MaxMenuTimeout, DefaultMenuTimeout       = 2 * time.Second, 30 * time.Second, 6 * time.Second
	MinAcceptTimeout, MaxAcceptTimeout, DefaultAcceptTimeout = 5 * time.Second, 60 * time.Second, 25 * time.Second
	MaxTries, DefaultTries                                   = 5, 3
	MinMembers, MaxMembers, DefaultMembers                   = 2, 200, 30
	MaxGrace                                                 = 5 * time.Minute
	defaultJoinKey, defaultMessageKey, defaultRepeatKey      = "1", "2", "9"
)

// ConferenceEntry is the conference of a number in a Document.
type ConferenceEntry struct {
	Offer Offer      `yaml:"offer,omitempty" json:"offer,omitempty"` // none = contacts
	When  *WhenList  `yaml:"when,omitempty" json:"when,omitempty"`   // no key, or none = every call
	Host  HostChoice `yaml:"host,omitempty" json:"host,omitempty"`   // none = newest
	Room  RoomPolicy `yaml:"create,omitempty" json:"create,omitempty"`

	AutoAdmit bool `yaml:"auto_admit,omitempty" json:"auto_admit,omitempty"`
	// PIN is taken as 4 to 12 digits and kept as a salted hash (KeepSecrets). None = the one that is there stays, NoPIN = it goes.
	PIN           string     `yaml:"pin,omitempty" json:"pin,omitempty"`
	JoinKey       string     `yaml:"join_key,omitempty" json:"join_key,omitempty"`
	MessageKey    string     `yaml:"message_key,omitempty" json:"message_key,omitempty"`
	RepeatKey     string     `yaml:"repeat_key,omitempty" json:"repeat_key,omitempty"`
	MenuTimeout   Duration   `yaml:"menu_timeout,omitempty" json:"menu_timeout,omitempty"`
	Tries         int        `yaml:"tries,omitempty" json:"tries,omitempty"`
	AcceptTimeout Duration   `yaml:"accept_timeout,omitempty" json:"accept_timeout,omitempty"`
	MaxMembers    int        `yaml:"max_members,omitempty" json:"max_members,omitempty"`
	Greeting      Greeting   `yaml:"greeting,omitempty" json:"greeting,omitempty"` // none = number
	Announce      *bool      `yaml:"announce,omitempty" json:"announce,omitempty"` // no key = true
	HostLeaves    HostLeaves `yaml:"host_leaves,omitempty" json:"host_leaves,omitempty"`
	Grace         Duration   `yaml:"grace,omitempty" json:"grace,omitempty"`
	Record        bool       `yaml:"record,omitempty" json:"record,omitempty"`
	ForwardDial   string     `yaml:"forward_dial,omitempty" json:"forward_dial,omitempty"`
}

// WhenList names calls: tel.Why of a phone that was not answered, and WhenForwarded.
type WhenList []string

// WhenForwarded is a call that came diverted by the number.
const WhenForwarded = "forwarded"

// when makes switches of the list; unknown is the index of the first name that is none, -1 = all are known.
func (l WhenList) when() (w ConferenceWhen, unknown int) {
	unknown = -1
	var list ConditionList
	for i, name := range l {
		switch one := (ConditionList{tel.Why(name)}); {
		case name == WhenForwarded:
			w.Forwarded = true
		case one.known():
			list = append(list, one[0])
		case unknown < 0:
			unknown = i
		}
	}
	w.Conditions = list.Conditions()
	return w, unknown
}

func (w ConferenceWhen) list() WhenList {
	list := WhenList{}
	for _, why := range w.List() {
		list = append(list, string(why))
	}
	if w.Forwarded {
		list = append(list, WhenForwarded)
	}
	return list
}

func (c ConferenceEntry) normalize(at string, bad *Invalid) ConferenceEntry {
	c.Offer = choice(c.Offer, at+".offer", bad, OfferContacts, OfferListed, OfferEveryone)
	c.Host = choice(c.Host, at+".host", bad, HostNewest, HostOriginal)
	c.Room = choice(c.Room, at+".create", bad, RoomPresent, RoomFetch, RoomOpen)
	c.HostLeaves = choice(c.HostLeaves, at+".host_leaves", bad, LeavesContinue, LeavesEnd)
	if c.When == nil {
		c.When = &WhenList{}
	}
	when, unknown := c.When.when()
	if unknown >= 0 {
		bad.add("%s.when[%d]: %.80q is none of %s, %s, %s, %s, %s, %s", at, unknown, (*c.When)[unknown],
			tel.NoAnswer, tel.Busy, tel.NotRegistered, tel.Unreachable, tel.Declined, WhenForwarded)
	}
	list := when.list()
	c.When = &list
	c.keys(at, bad)
	c.MenuTimeout = duration(c.MenuTimeout, DefaultMenuTimeout, MinMenuTimeout, MaxMenuTimeout, at+".menu_timeout", bad)
	c.AcceptTimeout = duration(c.AcceptTimeout, DefaultAcceptTimeout, MinAcceptTimeout, MaxAcceptTimeout, at+".accept_timeout", bad)
	c.Grace = duration(c.Grace, 0, 0, MaxGrace, at+".grace", bad)
	c.Tries = count(c.Tries, DefaultTries, 1, MaxTries, at+".tries", bad)
	c.MaxMembers = count(c.MaxMembers, DefaultMembers, MinMembers, MaxMembers, at+".max_members", bad)
	if c.Greeting == "" {
		c.Greeting = GreetingNumber
	}
	if file := c.Greeting.File(); c.Greeting != GreetingName && c.Greeting != GreetingNumber && (!validKey(file) || file[0] == '.') {
		bad.add("%s.greeting: %.80q is none of name, number and file: with a file name of 1 to 64 characters of A-Z a-z 0-9 . _ -, without a folder", at, c.Greeting)
	}
	if c.Announce == nil {
		yes := true
		c.Announce = &yes
	}
	if c.ForwardDial != "" {
		number, err := tel.ParseNumber(c.ForwardDial, "")
		if err != nil {
			bad.add("%s.forward_dial: %.80q is no telephone number in E.164, such as +14155550100", at, c.ForwardDial)
		}
		c.ForwardDial = string(number)
	}
	if c.PIN != "" && c.PIN != NoPIN && !validPIN(c.PIN) && !isPINHash(c.PIN) {
		bad.add("%s.pin: it is not 4 to 12 digits; %s takes the one that is there away", at, NoPIN) // it is not repeated
	}
	return c
}

// keys fills in the keys of the menu and checks that they differ.
func (c *ConferenceEntry) keys(at string, bad *Invalid) {
	seen := map[string]string{}
	for _, k := range []struct {
		key            *string
		name, standard string
	}{{&c.JoinKey, "join_key", defaultJoinKey}, {&c.MessageKey, "message_key", defaultMessageKey}, {&c.RepeatKey, "repeat_key", defaultRepeatKey}} {
		if *k.key == "" {
			*k.key = k.standard
		}
		if len(*k.key) != 1 || !strings.Contains("0123456789*#", *k.key) {
			bad.add("%s.%s: %.80q is no key of a telephone, 0 to 9, * or #", at, k.name, *k.key)
		}
		if other := seen[*k.key]; other != "" {
			bad.add("%s.%s: %s is %s already", at, k.name, *k.key, other)
		}
		seen[*k.key] = k.name
	}
}

// choice is a value, or the first of those there are where it is empty.
func choice[T ~string](value T, at string, bad *Invalid, values ...T) T {
	if value == "" {
		return values[0]
	}
	names := make([]string, len(values))
	for i, v := range values {
		if value == v {
			return value
		}
		names[i] = string(v)
	}
	bad.add("%s: %.80q is none of %s", at, string(value), strings.Join(names, ", "))
	return value
}

func duration(d Duration, standard, least, most time.Duration, at string, bad *Invalid) Duration {
	if d == 0 {
		d = Duration(standard)
	}
	if v := time.Duration(d); v < least || v > most {
		bad.Add(at, fmt.Sprintf("%v is not between %v and %v", v, least, most))
	}
	return d
}

func count(n, standard, least, most int, at string, bad *Invalid) int {
	if n == 0 {
		n = standard
	}
	if n < least || n > most {
		bad.Add(at, fmt.Sprintf("%d is not between %d and %d", n, least, most))
	}
	return n
}

// Conference is the value of an entry in its one form.
func (c ConferenceEntry) Conference() Conference {
	out := Conference{
		Offer: c.Offer, Host: c.Host, Room: c.Room, AutoAdmit: c.AutoAdmit,
		JoinKey: key(c.JoinKey), MessageKey: key(c.MessageKey), RepeatKey: key(c.RepeatKey),
		MenuTimeout: time.Duration(c.MenuTimeout), Tries: c.Tries, AcceptTimeout: time.Duration(c.AcceptTimeout), MaxMembers: c.MaxMembers,
		Greeting: c.Greeting, Quiet: c.Announce != nil && !*c.Announce, HostLeaves: c.HostLeaves, Grace: time.Duration(c.Grace), Record: c.Record,
		ForwardDial: tel.Number(c.ForwardDial),
	}
	if c.When != nil {
		out.When, _ = c.When.when()
	}
	if isPINHash(c.PIN) {
		out.PINHash = c.PIN
	}
	return out
}

func key(s string) byte {
	if s == "" {
		return 0
	}
	return s[0]
}
