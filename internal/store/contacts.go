package store

import (
	"context"
	"time"

	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/tel"
)

// Contacts is the look-up in address books.
type Contacts interface {
	// ContactsWith returns the contacts of an account that have a number, who was changed last first, and of those changed at
	// once by their IDs; none is no error.
	ContactsWith(ctx context.Context, tenant, account string, number tel.Number) ([]account.Contact, error)
}

// Endings is the look-up in address books by the last digits of a number.
type Endings interface {
	// NumbersEnding returns the numbers that contacts of an account have and that end with some digits, each once, in order, at most limit. No
	// number ends with what is not digits alone.
	NumbersEnding(ctx context.Context, tenant, account, digits string, limit int) ([]tel.Number, error)
}

// ContactLog is what became of address books.
type ContactLog interface {
	// ContactChanges returns what became of an account's contacts behind a mark (zero = from the beginning, as many as there are),
	// oldest change first, at most limit (1 to MaxList). A contact that was changed more than once is there once, as it is now; one
	// that was removed has no Entry, and Version and Updated of its removal. Removals are known for Remembered.
	ContactChanges(ctx context.Context, tenant, account string, after Mark, limit int) ([]Row, error)
}

// Mark is a place in the order of changes: behind the row of that version and key.
type Mark struct {
	Version int64
	Key     string
}

// Remembered is how long it is known at least that a contact was removed.
const Remembered = 90 * 24 * time.Hour

// Schedules is the look-up of announced conferences.
type Schedules interface {
	// SchedulesOf returns the schedules of a number that have not ended at a time; none is no error.
	SchedulesOf(ctx context.Context, tenant string, number tel.Number, now time.Time) ([]account.Schedule, error)
}

// Scheduled finds the announced conference of a host's number that lets a caller in now. The caller's number must be one that is to be
// trusted; "" = withheld or not known, whom only open conferences let in.
func Scheduled(ctx context.Context, s Schedules, tenant string, host, caller tel.Number, now time.Time) (account.Schedule, bool, error) {
	list, err := s.SchedulesOf(ctx, tenant, host, now)
	if err != nil {
		return account.Schedule{}, false, err
	}
	found, ok := account.Admitting(list, host, caller, now)
	return found, ok, nil
}

// Person says who shall be forgotten in the contacts and records of an account: by numbers, or as a contact.
type Person struct {
	Numbers []tel.Number
	Contact string // ID of a contact, whose numbers and name are meant too; "" = by numbers alone
	// WithNumbers erases the numbers as well, where a record needs only to have been a call.
	WithNumbers bool
}

// Forgotten counts what was erased.
type Forgotten struct {
	Contacts  int `json:"contacts" doc:"Contacts that were removed."`
	Schedules int `json:"schedules" doc:"Scheduled conferences on whose lists a number was."`
	Messages  int `json:"messages" doc:"Messages to the person's numbers, sent or not."`
	Records   int `json:"records" doc:"Call records in which the person was named."`

	Files int `json:"files" doc:"Files on FreeSWITCH's disk that will be removed: the name as it was spoken or recorded, and messages to voicemail that were not delivered yet."`

	Participants int `json:"participants" doc:"Times that the person was in a conference that is over."`
	Decisions    int `json:"decisions" doc:"Decisions whether the person may join."`
}

// Forgetting makes an account forget a person.
type Forgetting interface {
	// Forget removes the contacts that are the person's, takes his numbers off the lists of schedules, and erases his name, and his
	// numbers if that is asked for, from the call records of the account's numbers, from participants of conferences that are over and from
	// decisions about access. Files with the person's voice or name become unwanted, see VoiceFiles. With dry it says only what it would. ErrNotFound when
	// there is no such account or contact.
	Forget(ctx context.Context, tenant, account string, p Person, now time.Time, dry bool) (Forgotten, error)
}
