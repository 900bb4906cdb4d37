// Package store holds the ports behind which accounts and call records are kept, and the cache in front of the profiles.
//
// The ports are small, so that each reader states what it needs: Profiles and Contacts for the call path, Rows and
// Provisioning for the operator, Records for the sidecar. Package storetest holds the contract every implementation passes.
// Package sqlstore has the SQL; store/sqlite and store/postgres add what differs. All implementations are safe for concurrent
// use, bound every operation by its context, and match the errors of this package by errors.Is. Cache answers calls while a
// store is slow or gone.
//
// A further port has four files of its name: the port here, its SQL in sqlstore, its contract in storetest (with a line in Run),
// and its tables in a migration of each of sqlite and postgres, under the next free number.
package store

import (
	"context"
	"errors"
	"time"

	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/call"
	"github.com/signalbox/signalbox/internal/tel"
)

// Errors of the ports.
var (
	// ErrNotFound means that the store knows nothing under the key: no account owns the number, no record has the ID.
	ErrNotFound = errors.New("not found")
	// ErrClosed means that the record is closed already and stays as it is.
	ErrClosed = errors.New("call record is closed")
	// ErrOwner means that another instance owns the record.
	ErrOwner = errors.New("call record belongs to another instance")
	// ErrRecord means that the record cannot be kept however often it is tried: it has no ID, no owner or, at its close, no
	// time, or is over 1 MiB of JSON.
	ErrRecord = errors.New("call record cannot be kept")
	// ErrNewer means that the database was written by a newer Signalbox. Upgrade this one, or migrate back with that one.
	ErrNewer = errors.New("database was written by a newer signalbox")
	// ErrUnavailable means that the store did not answer in time, or is shut.
	ErrUnavailable = errors.New("store is not available")
)

// Changes says in words what an Apply changed.
type Changes = account.Changes

// Profiles is what a call needs.
type Profiles interface {
	// Profile returns all that a call to the number needs, as one consistent read; ErrNotFound when no account owns it.
	Profile(ctx context.Context, number tel.Number) (account.Profile, error)
	// Revision returns a number that rises whenever any profile may have changed, by whichever process.
	Revision(ctx context.Context) (int64, error)
	// Touched returns what changed after a revision that Revision returned before.
	Touched(ctx context.Context, since int64) (Touched, error)
}

// Provisioning is what the operator does.
type Provisioning interface {
	// Apply makes the document true, all of it or nothing, and says what changed. Applying it again changes nothing.
	// Without Prune it reads only the rows that are named and what they refer to. The error is an *account.Invalid when the
	// document is at fault, ErrInUse when rows of another tenant need what Prune would remove.
	Apply(ctx context.Context, d account.Document, now time.Time) (Changes, error)
	// Preview says what Apply would do, and changes nothing.
	Preview(ctx context.Context, d account.Document, now time.Time) (Changes, error)
	// Export returns all of a tenant as a document in its one form; applying it with Prune changes nothing. Rows.Each does the
	// same without holding it in memory.
	Export(ctx context.Context, tenant string) (account.Document, error)
}

// Records keeps what happened to calls.
//
// Every write is of the whole record and may be repeated: Open of a record its owner opened before replaces it as an Update does,
// an Update older than what is kept (by Record.Updated) changes nothing, and nor does an Open or Close of a record that its
// owner closed before. Each returns ErrRecord for a record that no store can keep. A kept record that cannot be read any more (a file that was damaged, or
// edited by hand) never hides the others: OpenRecords and Records leave it out.
type Records interface {
	// Open keeps a new record, or a newer state of an open one. ErrOwner when another instance has the ID.
	Open(ctx context.Context, r call.Record) error
	// Update replaces an open record. ErrNotFound, ErrOwner, or ErrClosed.
	Update(ctx context.Context, r call.Record) error
	// Close replaces an open record for the last time; a record without Ended is closed at its Updated. ErrNotFound or
	// ErrOwner.
	Close(ctx context.Context, r call.Record) error
	// OpenRecords returns the open records of a node, oldest first; node "" = of all nodes.
	OpenRecords(ctx context.Context, node string) ([]call.Record, error)
	// Records returns the records that started last, newest first, at most limit (1 to 10000; 0 = 100).
	Records(ctx context.Context, limit int) ([]call.Record, error)
	// Record returns one record; ErrNotFound when there is none, another error when it cannot be read.
	Record(ctx context.Context, id string) (call.Record, error)
}

// TenantRecords is what a tenant may see of call records.
type TenantRecords interface {
	// RecordsOf returns finished records of calls to numbers that were a tenant's when the call came, newest first: those behind a
	// mark ("" = from the newest), at most limit (1 to MaxList). The second result is the mark of those that follow; "" = none do.
	RecordsOf(ctx context.Context, tenant, mark string, limit int) ([]call.Record, string, error)
}

// Store is one place that keeps everything.
type Store interface {
	Profiles
	Fleet
	Rows
	Contacts
	Endings
	ContactLog
	Schedules
	Forgetting
	Outbox
	Rooms
	VoiceFiles
	Pilots
	Lamps
	Spool
	Provisioning
	Tokens
	Requests
	Mailboxes
	Directory
	Records
	TenantRecords
	// Trim deletes the records that ended before a time, at most TrimBatch in one go, the oldest first, and returns how many it
	// deleted. Open records stay.
	Trim(ctx context.Context, before time.Time) (int, error)
	// Ping reports whether the store answers.
	Ping(ctx context.Context) error
	// Shut waits for operations under way and closes the store. A second Shut does nothing.
	Shut() error
}

// Watcher is a Store that tells of changes by itself.
type Watcher interface {
	// Watch calls changed after each change, by whichever process, and whenever one may have been missed, until ctx ends.
	Watch(ctx context.Context, changed func())
}

// TrimBatch bounds what one Trim deletes, so that the writes of calls wait for it a moment only.
const TrimBatch = 1000

// MaxRecords bounds what Records returns.
const MaxRecords = 10_000

// Limit puts the limit of Records between its bounds.
func Limit(limit int) int {
	if limit <= 0 {
		return 100
	}
	return min(limit, MaxRecords)
}
