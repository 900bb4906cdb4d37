package api

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/store"
)

// Scope is what a token may do.
type Scope string

// The scopes.
const (
	AccountsRead  Scope = "accounts:read"  // accounts, numbers, contacts, rules, message counts; explain
	AccountsWrite Scope = "accounts:write" // accounts, numbers, contacts, rules
	PilotsRead    Scope = "pilots:read"    // pilots and voicemail systems
	PilotsWrite   Scope = "pilots:write"
	Provisioning  Scope = "provisioning" // provisioning requests
	RecordsRead   Scope = "records:read" // call records
	Admin         Scope = "admin"        // all of these, for every tenant; of the operator's tokens alone
)

// Scopes are all scopes.
var Scopes = []Scope{AccountsRead, AccountsWrite, PilotsRead, PilotsWrite, Provisioning, RecordsRead, Admin}

const (
	tokenPrefix = "sbx_"
	idBytes     = 6  // of the public part
	secretBytes = 32 // of the secret one
)

// NewToken makes a token for a tenant, and what the store is to know of it. The token itself is kept nowhere.
func NewToken(t store.Token) (string, store.Token, error) {
	bad := &account.Invalid{}
	account.CheckTenant(t.Tenant, bad)
	if err := bad.Err(); err != nil {
		return "", t, err
	}
	if len(t.Scopes) == 0 {
		return "", t, errors.New("a token without any scope may do nothing")
	}
	for _, s := range t.Scopes {
		if !slices.Contains(Scopes, Scope(s)) {
			return "", t, fmt.Errorf("%.40q is no scope; there are %s", s, words(Scopes))
		}
	}
	if slices.Contains(t.Scopes, string(Admin)) && t.Tenant != account.OperatorTenant {
		return "", t, fmt.Errorf("only tokens of tenant %s have scope %s: it reaches every tenant", account.OperatorTenant, Admin)
	}
	if t.Account != "" && (!account.ValidKey(t.Account) || slices.Contains(t.Scopes, string(Admin))) {
		return "", t, errors.New("a token for one account names it by its key, and has no scope admin")
	}
	if len(t.Numbers) > 0 && (slices.Contains(t.Scopes, string(PilotsWrite)) || slices.Contains(t.Scopes, string(Admin))) {
		return "", t, fmt.Errorf("a token for some numbers has no scope %s or %s: pilots and voicemail systems are for all numbers", PilotsWrite, Admin)
	}
	for _, n := range t.Numbers {
		digits, plus := strings.CutPrefix(n, "+")
		if !plus || digits == "" || len(digits) > 15 || strings.Trim(digits, "0123456789") != "" {
			return "", t, fmt.Errorf("%.40q is no beginning of a number, such as +1415555", n)
		}
	}
	if len(t.Name) > 128 || strings.ContainsFunc(t.Name, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return "", t, errors.New("a name has at most 128 bytes and no control characters")
	}
	secret := make([]byte, idBytes+secretBytes)
	_, _ = rand.Read(secret) // never fails, by its documentation
	t.ID = hex.EncodeToString(secret[:idBytes])
	text := tokenPrefix + t.ID + "_" + base64.RawURLEncoding.EncodeToString(secret[idBytes:])
	t.Hash = sha256.Sum256([]byte(text))
	return text, t, nil
}

func words(scopes []Scope) string {
	list := make([]string, len(scopes))
	for i, s := range scopes {
		list[i] = string(s)
	}
	return strings.Join(list, ", ")
}

// tokenID is the public part of a token; "" = it is none.
func tokenID(text string) string {
	rest, ok := strings.CutPrefix(text, tokenPrefix)
	id, secret, found := strings.Cut(rest, "_")
	if !ok || !found || len(id) != 2*idBytes || len(secret) != base64.RawURLEncoding.EncodedLen(secretBytes) || strings.Trim(id, "0123456789abcdef") != "" {
		return ""
	}
	return id
}

// usedEvery is how exactly it is kept when a token was used last.
const usedEvery = time.Minute

// authenticate finds the token that a request shows.
func (s *Server) authenticate(ctx context.Context, r *http.Request, now time.Time) (store.Token, error) {
	scheme, text, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if text = strings.TrimSpace(text); !strings.EqualFold(scheme, "Bearer") || text == "" {
		return store.Token{}, unauthorized("", "send Authorization: Bearer TOKEN; the operator makes one with signalbox token create")
	}
	id := tokenID(text)
	var known store.Token
	var err error
	if id != "" {
		known, err = s.opt.Tokens.Token(ctx, id)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return store.Token{}, err
		}
	}
	// Compared even when there is none, so that the time tells nothing.
	hash := sha256.Sum256([]byte(text))
	same := subtle.ConstantTimeCompare(hash[:], known.Hash[:]) == 1
	switch {
	case !same || id == "" || err != nil:
		return store.Token{}, unauthorized("invalid_token", "the token is not known")
	case ended(known, now) != "":
		return store.Token{}, unauthorized("invalid_token", ended(known, now))
	}
	if now.Sub(known.Used) >= usedEvery {
		if err := s.opt.Tokens.UsedToken(ctx, id, now); err != nil {
			s.log.Warn("the last use of a token is not kept", tokenField(id), errField(err))
		}
	}
	return known, nil
}

// ended says why a token opens nothing any more; "" = it does.
func ended(t store.Token, now time.Time) string {
	switch {
	case !t.Revoked.IsZero():
		return "the token was revoked"
	case !t.Expires.IsZero() && !now.Before(t.Expires):
		return "the token has expired"
	}
	return ""
}

func unauthorized(code, detail string) *Problem {
	challenge := `Bearer realm="signalbox"`
	if code != "" {
		challenge += `, error="` + code + `"`
	}
	return problem("unauthorized", detail).with("WWW-Authenticate", challenge)
}

// may reports whether a token has a scope.
func may(t store.Token, scope Scope) bool {
	return isAdmin(t) || scope != Admin && slices.Contains(t.Scopes, string(scope))
}

// isAdmin reports whether a token reaches every tenant.
func isAdmin(t store.Token) bool {
	return t.Tenant == account.OperatorTenant && slices.Contains(t.Scopes, string(Admin))
}

// reaches reports whether a token may write a number. limited.go has what else it may then.
func reaches(t store.Token, number string) bool {
	return len(t.Numbers) == 0 || slices.ContainsFunc(t.Numbers, func(prefix string) bool { return strings.HasPrefix(number, prefix) })
}

// ofAccount reports whether a route is about one account, and leaves the account itself as it is.
func ofAccount(r route) bool {
	return strings.HasPrefix(r.path, "/accounts/{account}/") || r.path == "/accounts/{account}" && r.method == http.MethodGet
}
