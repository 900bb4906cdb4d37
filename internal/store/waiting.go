package store

import (
	"context"
	"net/netip"
	"strings"
	"time"

	"github.com/signalbox/signalbox/internal/tel"
)

// Counts are messages of one mailbox, or of several together.
type Counts struct {
	New, Old             int // those that are urgent too
	UrgentNew, UrgentOld int
}

// Add adds the messages of another mailbox.
func (c *Counts) Add(o Counts) {
	c.New, c.Old, c.UrgentNew, c.UrgentOld = c.New+o.New, c.Old+o.Old, c.UrgentNew+o.UrgentNew, c.UrgentOld+o.UrgentOld
}

// Waiting is how many messages a number has at one voicemail system, as that said last.
type Waiting struct {
	Number tel.Number
	System string // its FQDN; of FreeSWITCH's own voicemail LocalSystem with the name of the node behind it
	Counts
	At time.Time
}

// LocalSystem is what the name of a System begins with that is FreeSWITCH's own mod_voicemail.
const LocalSystem = "mod_voicemail@"

// Lamp is the message lamp of one phone: the counts of all numbers it rings for.
type Lamp struct {
	User, Host string // as the phone registers
	Profile    string // FreeSWITCH's Sofia profile
	Counts
	Changed time.Time // zero = nobody ever said anything of its numbers
}

// Notifier is a voicemail system and where its message-summary NOTIFYs come from.
type Notifier struct {
	Tenant, FQDN string
	From         []netip.Prefix
}

// Lamps keeps message counts, and which phones have to be told of them.
//
// A phone is named by the user and host it registers as; the host is compared in lower case.
type Lamps interface {
	// SetWaiting keeps what a system says of a number, and marks the number's phones as changed; the same counts again change
	// nothing. ErrNotFound when no account owns the number.
	SetWaiting(ctx context.Context, w Waiting) error
	// WaitingOf returns what is kept of a number, by system; none is no error.
	WaitingOf(ctx context.Context, number tel.Number) ([]Waiting, error)
	// Lamp returns the lamp of a phone, dark when it belongs to no number.
	Lamp(ctx context.Context, user, host string) (Lamp, error)
	// LampsChanged returns the phones whose lamp changed after a time, or at that time and with a PhoneKey behind after ("" = all of them), at
	// most LampBatch, the oldest change first and those of one moment by PhoneKey. A phone that a number lost, or whose number was removed, has
	// changed too.
	LampsChanged(ctx context.Context, since time.Time, after string) ([]Lamp, error)
	// TrimLamps forgets phones that are no number's and whose lamp changed last before a time, at most TrimBatch, and returns how many. Until
	// then every process has had them told.
	TrimLamps(ctx context.Context, before time.Time) (int, error)
	// NumbersOf returns the numbers that a phone rings for.
	NumbersOf(ctx context.Context, user, host string) ([]tel.Number, error)
	// NumberOfMailbox returns the number whose mailbox has a name of its own among those of a tenant; tenant "" = of all; ErrNotFound.
	NumberOfMailbox(ctx context.Context, tenant, mailbox string) (tel.Number, error)
	// Notifiers returns the voicemail systems that send NOTIFYs.
	Notifiers(ctx context.Context) ([]Notifier, error)
}

// LampBatch bounds what LampsChanged returns.
const LampBatch = 1000

// PhoneKey is the name under which a phone's numbers are found.
func PhoneKey(user, host string) string { return user + "@" + strings.ToLower(host) }
