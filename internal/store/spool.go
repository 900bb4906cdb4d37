package store

import (
	"context"
	"time"

	"github.com/signalbox/signalbox/internal/call"
	"github.com/signalbox/signalbox/internal/tel"
)

// Spooled is a message that a node recorded for a voicemail system that could not be reached, and that is to be delivered to it.
type Spooled struct {
	ID       string        `json:"id"`
	Node     string        `json:"node"` // whose file it is
	File     string        `json:"file"` // its path there
	Number   tel.Number    `json:"number"`
	Tenant   string        `json:"tenant,omitempty"`  // whose number it was when the message was left; "" = not noted
	Account  string        `json:"account,omitempty"` // of the tenant
	Why      tel.Why       `json:"why"`               // why the subscriber did not take the call
	Arrival  call.Arrival  `json:"arrival"`
	Recorded time.Time     `json:"recorded"`
	Length   time.Duration `json:"length"`

	Attempts int       `json:"attempts,omitempty"`
	Next     time.Time `json:"next"`           // not to be tried before
	Leg      string    `json:"leg,omitempty"`  // the call that delivers it, of the attempt under way or the last one
	Note     string    `json:"note,omitempty"` // how the last attempt went, for people
}

// Spool keeps messages until they are delivered. A message under way is claimed, so that no two processes deliver it at once.
type Spool interface {
	// Spool keeps a new message, or what has become of one.
	Spool(ctx context.Context, m Spooled) error
	// DueSpooled claims for an owner, until a time, the messages of a node that are due and that nobody else has claimed, at most limit,
	// the oldest first.
	DueSpooled(ctx context.Context, node, owner string, limit int, now, until time.Time) ([]Spooled, error)
	// PutOff keeps what has become of a message, and gives up the claim. ErrNotFound when there is none.
	PutOff(ctx context.Context, m Spooled) error
	// Unspool forgets a message, delivered or lost; none is no error.
	Unspool(ctx context.Context, id string) error
	// CountSpooled is how many messages there are of a node, "" = of all.
	CountSpooled(ctx context.Context, node string) (int, error)
	// Spooled returns all messages of a node, "" = of all, the oldest first, at most limit.
	Spooled(ctx context.Context, node string, limit int) ([]Spooled, error)
}
