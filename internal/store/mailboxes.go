package store

import (
	"context"
	"time"
)

// MailboxState says what shall be, or is to become, of a mailbox at its voicemail system.
type MailboxState string

// The states of a mailbox.
const (
	MailboxCreating  MailboxState = "creating"  // asked for, and not known to be there yet
	MailboxActive    MailboxState = "active"    // takes messages
	MailboxSuspended MailboxState = "suspended" // keeps its messages, takes none
	MailboxRetained  MailboxState = "retained"  // of a subscriber who was removed; it takes no messages, and is deleted at RetainUntil
	MailboxDeleting  MailboxState = "deleting"  // somebody is deleting it
)

// Mailbox is a mailbox that was made at a voicemail system for one number of a user.
type Mailbox struct {
	FQDN        string       `json:"fqdn"`
	ID          string       `json:"id"` // its name there; with FQDN the key, over all tenants
	Tenant      string       `json:"tenant"`
	User        string       `json:"user"`   // account
	Number      string       `json:"number"` // E.164
	Class       string       `json:"class"`  // "basic" or "visual"
	State       MailboxState `json:"state"`
	RetainUntil time.Time    `json:"retain_until,omitzero"` // retained: when it may be deleted
	Due         time.Time    `json:"due,omitzero"`          // when somebody shall work on it; zero = all is as State says
	Attempts    int          `json:"attempts,omitempty"`    // that failed in a row
	Updated     time.Time    `json:"updated"`
	Version     int64        `json:"version"` // rises with each write, from 1
}

// Mailboxes keeps which mailboxes there are at voicemail systems that are told of theirs.
type Mailboxes interface {
	// Mailbox returns one; ErrNotFound.
	Mailbox(ctx context.Context, fqdn, id string) (Mailbox, error)
	// MailboxesOf returns the mailboxes of a user, by FQDN and ID.
	MailboxesOf(ctx context.Context, tenant, user string) ([]Mailbox, error)
	// Mailboxes returns the mailboxes at one voicemail system, of all tenants, by ID, those after one, at most limit (1 to MaxList).
	Mailboxes(ctx context.Context, fqdn, after string, limit int) ([]Mailbox, error)
	// SaveMailbox writes a mailbox whose Version is what is kept, 0 = none is, and returns it with its new one. ErrConflict.
	SaveMailbox(ctx context.Context, m Mailbox) (Mailbox, error)
	// DeleteMailbox forgets one whose Version is what is kept; ErrConflict. That there is none is no error.
	DeleteMailbox(ctx context.Context, m Mailbox) error
	// DueMailboxes returns those that are due, the longest due first, at most limit (1 to MaxList).
	DueMailboxes(ctx context.Context, now time.Time, limit int) ([]Mailbox, error)
}
