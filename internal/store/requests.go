package store

import (
	"context"
	"crypto/sha256"
	"errors"
	"time"
)

// ErrLease means that another process works on a request, or has since.
var ErrLease = errors.New("another process works on the request")

// Request is one provisioning request, as it came and as far as it got. What Body and Progress hold is package provision's.
type Request struct {
	Tenant   string
	ID       string            // the tenant's own, at most 64 characters
	User     string            // account it is about: requests for one are done in the order they came
	Hash     [sha256.Size]byte // of Body as it came
	Body     []byte            // JSON
	Progress []byte            // JSON
	Open     bool              // not done and not failed
	Version  int64             // how often requests have changed the user until this one; 0 = this one changed nothing
	Created  time.Time
	Updated  time.Time
	Due      time.Time // when somebody shall work on it next; zero = nothing is left to do
	Seq      int64     // order in which requests came, given by AddRequest
}

// Requests keeps provisioning requests.
//
// Who works on one claims it for a time, the lease, and writes under the same owner's name. A lease that has run out is anybody's.
type Requests interface {
	// AddRequest keeps a new request. When the tenant has one of that ID, it returns that one and false, and keeps nothing.
	AddRequest(ctx context.Context, r Request) (Request, bool, error)
	// Request returns one request; ErrNotFound.
	Request(ctx context.Context, tenant, id string) (Request, error)
	// Requests returns a tenant's requests, newest first, those before a Seq (0 = from the newest), at most limit (1 to MaxList). A
	// user other than "" limits them to that user's.
	Requests(ctx context.Context, tenant, user string, before int64, limit int) ([]Request, error)
	// ClaimRequests returns requests, open ones or others, that are due and that nobody works on, the oldest first, and leases them to owner
	// until a time. An open one waits while an older one of its user is open.
	ClaimRequests(ctx context.Context, owner string, open bool, now, until time.Time, limit int) ([]Request, error)
	// SaveRequest writes Progress, Open, Version, Updated and Due of a request leased to owner, and leases it until a time; zero
	// gives the lease back. ErrLease when it is another's.
	SaveRequest(ctx context.Context, r Request, owner string, until time.Time) error
	// ReopenRequest opens a finished request that nobody works on again, and returns it; ErrConflict when it is open, or when the
	// user has a younger one, ErrNotFound when there is none.
	ReopenRequest(ctx context.Context, tenant, id string, now time.Time) (Request, error)
	// ReleaseRequests gives all leases back, and makes mailboxes due that somebody was deleting: of a process that had the store for
	// itself and died.
	ReleaseRequests(ctx context.Context) error
	// TrimRequests deletes finished requests that are not due and were updated before a time, but the newest of each user, at most
	// TrimBatch, and returns how many.
	TrimRequests(ctx context.Context, before time.Time) (int, error)
}
