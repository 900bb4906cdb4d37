package store

import (
	"context"
	"crypto/sha256"
	"errors"
	"time"
)

// ErrExists means that something stands under the key already.
var ErrExists = errors.New("it exists already")

// Token is what the API knows of one bearer token. The token itself is nowhere but with whom it was given to.
type Token struct {
	ID      string            `json:"id"` // public, at most 32 characters
	Tenant  string            `json:"tenant"`
	Name    string            `json:"name"` // whose it is, for people
	Hash    [sha256.Size]byte `json:"-"`    // of the whole token
	Scopes  []string          `json:"scopes"`
	Account string            `json:"account,omitempty"` // it reaches what is of this account alone, and is revoked when that is removed; "" = all of the tenant
	Numbers []string          `json:"numbers,omitempty"` // beginnings of the numbers it may write, "+1415555"; none = all
	Created time.Time         `json:"created"`
	Expires time.Time         `json:"expires,omitzero"` // zero = never
	Revoked time.Time         `json:"revoked,omitzero"` // zero = it was not
	Used    time.Time         `json:"used,omitzero"`    // about; zero = never
}

// Tokens keeps the tokens of the API. They stay when they are revoked, so that it can be said who changed what.
type Tokens interface {
	// AddToken keeps a new token; ErrExists when the ID is taken.
	AddToken(ctx context.Context, t Token) error
	// Token returns one token; ErrNotFound.
	Token(ctx context.Context, id string) (Token, error)
	// Tokens returns the tokens of a tenant, "" = of all, by ID, those after one, at most limit (1 to MaxList).
	Tokens(ctx context.Context, tenant, after string, limit int) ([]Token, error)
	// RevokeToken makes a token count no more. It stays revoked at the first time; ErrNotFound.
	RevokeToken(ctx context.Context, id string, at time.Time) error
	// UsedToken keeps when a token was used last, unless a later time is known.
	UsedToken(ctx context.Context, id string, at time.Time) error
}
