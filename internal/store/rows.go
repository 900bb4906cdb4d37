package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/signalbox/signalbox/internal/account"
)

// Errors of Rows.
var (
	// ErrConflict means that a row has not the version that a Change asks for; the error is a *ConflictError.
	ErrConflict = errors.New("the row was changed meanwhile")
	// ErrInUse means that a row cannot be removed because others refer to it.
	ErrInUse = errors.New("it is in use")
)

// ConflictError says which version a row has. It is ErrConflict.
type ConflictError struct {
	Kind    account.Kind
	Key     string
	Version int64 // that it has; 0 = there is no such row
}

func (e *ConflictError) Error() string {
	if e.Version == 0 {
		return fmt.Sprintf("%s %s does not exist any more", e.Kind, e.Key)
	}
	return fmt.Sprintf("%s %s has version %d: read it again", e.Kind, e.Key, e.Version)
}

// Is makes it ErrConflict.
func (e *ConflictError) Is(target error) bool { return target == ErrConflict }

// Row is one provisioned row. Entry is in its one form, and is not to be changed in place.
type Row struct {
	Tenant  string
	Kind    account.Kind
	Key     string
	Version int64 // the store's revision at its last change; 0 = it was removed
	Updated time.Time
	Entry   account.Entry
}

// Op is what a Change does.
type Op string

// The operations.
const (
	Put    Op = "put"    // makes the row be Entry
	Delete Op = "delete" // removes it; ErrNotFound when there is none
)

// Change is one change of one row.
type Change struct {
	Op    Op
	Kind  account.Kind  // of Delete; Put takes that of Entry
	Key   string        // of Delete; Put takes that of Entry
	Entry account.Entry // of Put; need not be in its one form
	// IfVersion is the version the row must have, 0 = it must not exist; nil = whatever it has.
	IfVersion *int64
	// At is the path that problems begin with, such as "numbers[3]"; "" = the field alone.
	At string
}

// ListOptions say which rows List returns.
type ListOptions struct {
	After   string // rows whose key is greater, in order of bytes; "" = from the first
	Limit   int    // 1 to MaxList; 0 = 100
	Account string // rows of this account alone: numbers, contacts, rules and schedules; "" = all
}

// MaxList bounds what List returns, and MaxChanges what one Change takes.
const (
	MaxList    = 1000
	MaxChanges = 10_000
)

// Rows is what a tenant provisioned, row by row.
//
// A tenant sees its own rows alone. Its numbers and pilots may refer to pilots and voicemail systems of account.OperatorTenant
// where it has none of its own under the same key. Tenants come to be with their first row.
type Rows interface {
	// Get returns one row; ErrNotFound.
	Get(ctx context.Context, tenant string, kind account.Kind, key string) (Row, error)
	// List returns rows by key.
	List(ctx context.Context, tenant string, kind account.Kind, opt ListOptions) ([]Row, error)
	// Each hands on every row, kind by kind in the order of account.Kinds and by key, all as they were at one moment, without
	// holding them in memory. An error of do ends it.
	Each(ctx context.Context, tenant string, do func(Row) error) error
	// Change does all changes, at most MaxChanges, or none, and returns the rows as they are then, one for each change. A Put that
	// changes nothing leaves the version. What rows refer to must be there afterwards. A number that belongs to another account
	// moves only when IfVersion says that the caller knows. Removing an account removes its contacts, rules and schedules, removing
	// a number the rules and schedules for it; accounts with numbers, pilots of numbers and systems of pilots stay: ErrInUse. The error is an
	// *account.Invalid when an entry is at fault, ErrConflict, ErrNotFound, or ErrInUse.
	Change(ctx context.Context, tenant string, changes []Change, now time.Time) ([]Row, error)
	// Tenants returns the tenants that ever had a row, sorted.
	Tenants(ctx context.Context) ([]string, error)
}

// Touched is what changed between two revisions.
type Touched struct {
	Revision int64 // what Revision returns after these changes
	// All means that anything may have changed: the revisions are too far apart, or one changed too much to name it.
	All  bool
	Rows []Touch // each row once
}

// Touch names a row that was written or removed. A rule, a contact or a schedule that changed is named by its account.
type Touch struct {
	Tenant string
	Kind   account.Kind
	Key    string
}
