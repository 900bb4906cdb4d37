// Package token carries what the proxy saw of a call to the sidecar, through FreeSWITCH, in one signed header:
//
//	X-Signalbox: 1.<key id>.<base64url(JSON)>.<base64url(HMAC-SHA-256)>
//
// Invariants: a token is at most 8 kB; it belongs to one Call-ID; it counts for 60 s and for one A-leg; two keys are
// valid at once, so that a key can be changed without losing a call. A token that does not check out means that the
// call was not screened: it is delivered, and nothing is authorised by it.
//
// Sign is pure and safe for concurrent use; a Checker remembers the tokens it has seen, bounded, behind a mutex.
package token

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/signalbox/signalbox/internal/call"
)

// Header is the name of the header field that carries a token.
const Header = "X-Signalbox"

const (
	// MaxSize is the longest token in bytes.
	MaxSize = 8 << 10
	// MaxAge is how long a token counts.
	MaxAge = 60 * time.Second
	// maxAhead is how far the proxy's clock may be ahead of ours.
	maxAhead = 5 * time.Second
	// maxSeen bounds the tokens that a Checker remembers; beyond it the oldest are forgotten.
	maxSeen = 100000
	// MinSecret is the shortest secret in bytes.
	MinSecret = 32
	version   = "1"
)

// The reasons why a token is refused.
var (
	ErrMissing    = errors.New("token: none")
	ErrMalformed  = errors.New("token: malformed")
	ErrUnknownKey = errors.New("token: signed with a key that is not configured here")
	ErrSignature  = errors.New("token: signature does not fit")
	ErrExpired    = errors.New("token: older than 60 s, or from the future: compare the clocks of proxy and sidecar")
	ErrOtherCall  = errors.New("token: signed for another Call-ID")
	ErrReplayed   = errors.New("token: used by another call already")
	ErrKey        = errors.New("token: a key needs an id and a secret of at least 32 bytes")
)

// Evidence is what the proxy saw.
type Evidence struct {
	Verdict     call.Verdict   `json:"v"`
	Diversion   []string       `json:"d,omitempty"` // header values as received, top to bottom
	HistoryInfo []string       `json:"h,omitempty"`
	Target      string         `json:"t,omitempty"` // RFC 4458 target of the Request-URI
	Cause       int            `json:"c,omitempty"`
	RequestURI  string         `json:"r,omitempty"`
	Trunk       string         `json:"k,omitempty"`
	Source      netip.AddrPort `json:"s"`
	CallID      string         `json:"i"`
	FromTag     string         `json:"f,omitempty"`
	Time        time.Time      `json:"at"`
	Truncated   bool           `json:"x,omitempty"` // the oldest diversions and history found no room
}

// Key is one shared secret.
type Key struct {
	ID     string // without dots
	Secret []byte
}

func (k Key) valid() bool { return k.ID != "" && !strings.ContainsAny(k.ID, ". \r\n") && len(k.Secret) >= MinSecret }

// Sign makes the header value. Evidence that does not fit in 8 kB loses the oldest of its history and diversions first,
// and is marked so; a call never fails for it.
func Sign(e Evidence, key Key) (string, error) {
	if !key.valid() {
		return "", ErrKey
	}
	for {
		text, err := json.Marshal(e)
		if err != nil {
			return "", fmt.Errorf("token: %w", err)
		}
		signed := version + "." + key.ID + "." + base64.RawURLEncoding.EncodeToString(text)
		out := signed + "." + base64.RawURLEncoding.EncodeToString(mac(signed, key.Secret))
		if len(out) <= MaxSize {
			return out, nil
		}
		if !e.shrink() {
			return "", fmt.Errorf("token: %d bytes are too many", len(out))
		}
	}
}

// shrink drops the oldest piece of evidence: History-Info is oldest first, Diversion newest first.
func (e *Evidence) shrink() bool {
	e.Truncated = true
	switch {
	case len(e.HistoryInfo) > 0:
		e.HistoryInfo = e.HistoryInfo[1:]
	case len(e.Diversion) > 0:
		e.Diversion = e.Diversion[:len(e.Diversion)-1]
	case e.RequestURI != "":
		e.RequestURI = ""
	case len(e.Verdict.Reasons) > 1:
		e.Verdict.Reasons = e.Verdict.Reasons[:1]
	case e.Target != "":
		e.Target = ""
	default:
		return false
	}
	return true
}

func mac(signed string, secret []byte) []byte {
	h := hmac.New(sha256.New, secret)
	h.Write([]byte(signed))
	return h.Sum(nil)
}

// Checker checks tokens and remembers them against replay.
type Checker struct {
	keys []Key

	mu    sync.Mutex
	seen  map[string]sighting // by MAC
	order []string            // oldest first
}

type sighting struct {
	leg string
	at  time.Time
}

// NewChecker makes a Checker for one or two keys.
func NewChecker(keys ...Key) (*Checker, error) {
	if len(keys) == 0 || len(keys) > 2 {
		return nil, fmt.Errorf("%w: %d keys, want one or two", ErrKey, len(keys))
	}
	for _, k := range keys {
		if !k.valid() {
			return nil, ErrKey
		}
	}
	return &Checker{keys: keys, seen: map[string]sighting{}}, nil
}

// Check reads a token that came with the INVITE of callID and belongs to the A-leg leg. The same leg may show it again.
func (c *Checker) Check(header, callID, leg string, now time.Time) (Evidence, error) {
	e, signature, err := c.read(header)
	if err != nil {
		return Evidence{}, err
	}
	if age := now.Sub(e.Time); age > MaxAge || age < -maxAhead {
		return Evidence{}, ErrExpired
	}
	if e.CallID != callID {
		return Evidence{}, ErrOtherCall
	}
	if !c.first(signature, leg, now) {
		return Evidence{}, ErrReplayed
	}
	return e, nil
}

func (c *Checker) read(header string) (Evidence, string, error) {
	var e Evidence
	if header == "" {
		return e, "", ErrMissing
	}
	parts := strings.Split(header, ".")
	if len(header) > MaxSize || len(parts) != 4 || parts[0] != version {
		return e, "", ErrMalformed
	}
	var key *Key
	for i := range c.keys {
		if c.keys[i].ID == parts[1] {
			key = &c.keys[i]
		}
	}
	if key == nil {
		return e, "", ErrUnknownKey
	}
	encoding := base64.RawURLEncoding.Strict()
	signature, err := encoding.DecodeString(parts[3])
	if err != nil {
		return e, "", ErrMalformed
	}
	if !hmac.Equal(signature, mac(parts[0]+"."+parts[1]+"."+parts[2], key.Secret)) {
		return e, "", ErrSignature
	}
	text, err := encoding.DecodeString(parts[2])
	if err != nil {
		return e, "", ErrMalformed
	}
	if err := json.Unmarshal(text, &e); err != nil {
		return e, "", fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return e, parts[3], nil
}

// first reports whether no other leg has shown the token.
func (c *Checker) first(signature, leg string, now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s, ok := c.seen[signature]; ok {
		return s.leg == leg
	}
	for len(c.order) > 0 && (len(c.order) >= maxSeen || now.Sub(c.seen[c.order[0]].at) > MaxAge+maxAhead) {
		delete(c.seen, c.order[0])
		c.order = c.order[1:]
	}
	c.seen[signature] = sighting{leg, now}
	c.order = append(c.order, signature)
	return true
}
