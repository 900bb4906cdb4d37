package store

import (
	"context"
	"errors"
	"time"
)

// ErrTooMany means that as much waits already as may.
var ErrTooMany = errors.New("too many messages wait to be sent")

// OutgoingState is what became of a message.
type OutgoingState string

// The states.
const (
	OutgoingWaiting OutgoingState = "waiting"
	OutgoingSent    OutgoingState = "sent"
	OutgoingFailed  OutgoingState = "failed" // and is not tried again
)

// Outgoing is a message to somebody, on its way or behind it. What Body holds is package message's.
type Outgoing struct {
	ID      string // at most 64 characters; who adds a message twice adds it once
	Tenant  string
	Account string // which it goes with when that is removed
	About   string // what it is about, such as a schedule's ID
	Address string // where to
	Body    []byte // JSON
	State   OutgoingState
	Tries   int
	Note    string // how the last try went, for people
	Due     time.Time
	Created time.Time
	Updated time.Time

	// Replaces is read by AddOutgoing alone: what waits to go to the same address about the same is not sent any more.
	Replaces bool
}

// Outbox keeps messages until they are sent, and some time after. One under way is leased, so that no two processes send it.
type Outbox interface {
	// AddOutgoing keeps messages, all or none, and leaves those that it has under their IDs. ErrTooMany when more than most of the tenant would
	// wait, ErrNotFound when there is no such account.
	AddOutgoing(ctx context.Context, tenant string, messages []Outgoing, most int) error
	// ClaimOutgoing leases messages that are due to an owner until a time, at most limit: of the tenants that come behind one, in turn, of each
	// as many as of the others and its oldest first. There may be more when it returns any.
	ClaimOutgoing(ctx context.Context, owner, behind string, now, until time.Time, limit int) ([]Outgoing, error)
	// SaveOutgoing keeps State, Tries, Note, Due and Updated of a message leased to an owner, and gives the lease back. ErrLease when it is
	// another's, or the message is gone.
	SaveOutgoing(ctx context.Context, m Outgoing, owner string) error
	// OutgoingAbout returns the messages of an account about something, by ID, those after an ID, at most limit (1 to MaxList).
	OutgoingAbout(ctx context.Context, tenant, account, about, after string, limit int) ([]Outgoing, error)
	// CountOutgoing counts the messages that wait.
	CountOutgoing(ctx context.Context) (int, error)
	// TrimOutgoing forgets messages that do not wait and were updated before a time, at most TrimBatch, and returns how many.
	TrimOutgoing(ctx context.Context, before time.Time) (int, error)
}
