package store

import (
	"context"

	"github.com/signalbox/signalbox/internal/account"
)

// DirectoryUser is a phone as FreeSWITCH's directory has to know it.
type DirectoryUser struct {
	Tenant  string
	Account account.AccountEntry
	Number  account.NumberEntry
	Device  account.DeviceEntry // with its A1Hash
}

// Directory finds phones by how they register.
type Directory interface {
	// DirectoryUser returns the phone that registers as user at a domain, with a number it rings for and that number's account: of
	// several numbers the first, in order of bytes, in whose row the phone has an A1Hash. ErrNotFound when it has one in none. The
	// domain is compared in lower case.
	DirectoryUser(ctx context.Context, user, domain string) (DirectoryUser, error)
}
