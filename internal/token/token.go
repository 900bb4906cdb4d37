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
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
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
	// maxSeen bounds the tokens that a Checker remembers, about 25 MB; beyond it the oldest are forgotten and could be
	// shown again within their 60 s. It takes 1,500 calls a second to get there.
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
	Diversion   []string       `json:"d,omitempty"` // header values in order as received, newest first (RFC 5806)
	HistoryInfo []string       `json:"h,omitempty"` // header values in order as received, oldest first (RFC 7044)
	Target      string         `json:"t,omitempty"` // RFC 4458 target of the Request-URI
	Cause       int            `json:"c,omitempty"`
	RequestURI  string         `json:"r,omitempty"`
	Trunk       string         `json:"k,omitempty"`
	Region      string         `json:"g,omitempty"` // where the trunk's national numbers are read, ISO 3166; "" = as configured here
	Source      netip.AddrPort `json:"s"`
	CallID      string         `json:"i"`
	FromTag     string         `json:"f,omitempty"`
	Time        time.Time      `json:"at"`
	Truncated   bool           `json:"x,omitempty"` // the oldest history or diversions found no room
}

// Key is one shared secret.
type Key struct {
	ID     string // 1 to 32 characters of [A-Za-z0-9_-]
	Secret []byte // at least MinSecret bytes, from a random source
}

func (k Key) check() error {
	if k.ID == "" || len(k.ID) > 32 || strings.IndexFunc(k.ID, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_')
	}) >= 0 {
		return fmt.Errorf("%w: id %.40q: write 1 to 32 letters, digits, - or _", ErrKey, k.ID)
	}
	if len(k.Secret) < MinSecret {
		return fmt.Errorf("%w: the secret of key %s has %d bytes: make one with openssl rand -hex 32", ErrKey, k.ID, len(k.Secret))
	}
	return nil
}

// Sign makes the header value. e.Time is when the proxy saw the INVITE. Evidence that does not fit in 8 kB is left out and
// the token is marked so: first the oldest of the history, then the oldest diversions. The cost is bounded by the
// size of e. The one error is a bad key: a call never fails for its evidence.
func Sign(e Evidence, key Key) (string, error) {
	if err := key.check(); err != nil {
		return "", err
	}
	e.CallID = bind(e.CallID)
	frame := len(version) + len(key.ID) + base64.RawURLEncoding.EncodedLen(sha256.Size) + 3
	text, err := fit(e, base64.RawURLEncoding.DecodedLen(MaxSize-frame))
	if err != nil {
		return "", fmt.Errorf("token: %w", err)
	}
	b := make([]byte, 0, frame+base64.RawURLEncoding.EncodedLen(len(text)))
	b = append(b, version...)
	b = append(b, '.')
	b = append(b, key.ID...)
	b = append(b, '.')
	b = base64.RawURLEncoding.AppendEncode(b, text)
	sum := mac(b, key.Secret)
	b = append(b, '.')
	return string(base64.RawURLEncoding.AppendEncode(b, sum)), nil
}

// bind is the Call-ID as it stands in a token. One that JSON could not carry as it is, or that would fill the token, is
// replaced by its digest, on both sides.
func bind(callID string) string {
	plain := len(callID) <= 128 && strings.IndexFunc(callID, func(r rune) bool { return r < ' ' || r > '~' }) < 0
	if plain && !strings.HasPrefix(callID, "sha256:") {
		return callID
	}
	digest := sha256.Sum256([]byte(callID))
	return "sha256:" + hex.EncodeToString(digest[:])
}

// fit encodes e in at most limit bytes.
func fit(e Evidence, limit int) ([]byte, error) {
	diversions, history := e.Diversion, e.HistoryInfo
	e.Diversion, e.HistoryInfo = nil, nil
	text, err := encode(e)
	if err != nil {
		return nil, err
	}
	if len(text) > limit/2 {
		// Only a hostile INVITE comes here: what people will look for first stays.
		e.Truncated = true
		e.RequestURI, e.FromTag, e.Target = cut(e.RequestURI, 256), cut(e.FromTag, 128), cut(e.Target, 256)
		e.Trunk, e.Region, e.Verdict.Model = cut(e.Trunk, 64), cut(e.Region, 8), cut(e.Verdict.Model, 64)
		reasons := e.Verdict.Reasons[:min(len(e.Verdict.Reasons), 8)]
		e.Verdict.Reasons = make([]call.Reason, len(reasons))
		for i, r := range reasons {
			e.Verdict.Reasons[i] = call.Reason{Name: cut(r.Name, 32), Weight: r.Weight, Sentence: cut(r.Sentence, 64)}
		}
		if text, err = encode(e); err != nil {
			return nil, err
		}
	}
	if len(diversions)+len(history) == 0 {
		return text, nil
	}
	room := limit - len(text) - len(`"d":[],"h":[],"x":true,`)
	for _, d := range diversions { // newest first
		if room -= encodedLen(d) + 1; room < 0 {
			break
		}
		e.Diversion = append(e.Diversion, d)
	}
	kept := len(history) // oldest first
	for room > 0 && kept > 0 {
		if room -= encodedLen(history[kept-1]) + 1; room >= 0 {
			kept--
		}
	}
	e.HistoryInfo = history[kept:]
	e.Truncated = e.Truncated || len(e.Diversion) < len(diversions) || kept > 0
	return encode(e)
}

// encode is JSON without the HTML escapes, which would make each "<" of a header six bytes long.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// encodedLen is the length of s as a JSON string. A string longer than any token is not encoded to find that out.
func encodedLen(s string) int {
	if len(s) > MaxSize {
		return MaxSize
	}
	text, err := encode(s)
	if err != nil {
		return MaxSize
	}
	return len(text)
}

// cut shortens s to n characters of printable ASCII, which take at most 2n bytes in JSON.
func cut(s string, n int) string {
	b := []byte(s[:min(len(s), n)])
	for i, c := range b {
		if c < ' ' || c > '~' {
			b[i] = '?'
		}
	}
	return string(b)
}

func mac(signed, secret []byte) []byte {
	h := hmac.New(sha256.New, secret)
	h.Write(signed)
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
	for i, k := range keys {
		if err := k.check(); err != nil {
			return nil, err
		}
		if i > 0 && k.ID == keys[0].ID {
			return nil, fmt.Errorf("%w: both are called %s: a token could not say which one signed it", ErrKey, k.ID)
		}
	}
	return &Checker{keys: slices.Clone(keys), seen: map[string]sighting{}}, nil
}

// Check reads a token that came with the INVITE of callID and belongs to the A-leg leg, FreeSWITCH's channel UUID. The same
// leg may show it again, another one may not: that is ErrReplayed. The error wraps one of ErrMissing, ErrMalformed,
// ErrUnknownKey, ErrSignature, ErrExpired, ErrOtherCall and ErrReplayed, in the order in which they are looked for; with an error
// the Evidence is empty. Nothing of a token is believed, or even read as JSON, before its signature fits, and signatures are compared in
// constant time. Of a Call-ID over 128 bytes the Evidence holds the digest.
func (c *Checker) Check(header, callID, leg string, now time.Time) (Evidence, error) {
	e, signature, err := c.read(header)
	if err != nil {
		return Evidence{}, err
	}
	if age := now.Sub(e.Time); age > MaxAge || age < -maxAhead {
		return Evidence{}, ErrExpired
	}
	if e.CallID != bind(callID) {
		return Evidence{}, ErrOtherCall
	}
	if !c.first(signature, leg, now) {
		return Evidence{}, ErrReplayed
	}
	return e, nil
}

// Permit allows the proxy to send one INVITE of FreeSWITCH to a domain.
type Permit struct {
	FQDN string    `json:"n"`
	Time time.Time `json:"at"`
}

// permitPurpose goes into the signature of a Permit, so that none passes for evidence, nor the reverse.
const permitPurpose = "permit."

// SignPermit makes the value of the header that asks the proxy to call a domain.
func SignPermit(p Permit, key Key) (string, error) {
	if err := key.check(); err != nil {
		return "", err
	}
	text, err := encode(p)
	if err != nil {
		return "", fmt.Errorf("token: %w", err)
	}
	signed := version + "." + key.ID + "." + base64.RawURLEncoding.EncodeToString(text)
	return signed + "." + base64.RawURLEncoding.EncodeToString(mac([]byte(permitPurpose+signed), key.Secret)), nil
}

// CheckPermit reads a permit for a domain. It may be shown again while it counts, because FreeSWITCH sends an INVITE again that
// was challenged. The errors are those of Check.
func (c *Checker) CheckPermit(header, fqdn string, now time.Time) error {
	var p Permit
	if _, err := c.open(header, permitPurpose, &p); err != nil {
		return err
	}
	if age := now.Sub(p.Time); age > MaxAge || age < -maxAhead {
		return ErrExpired
	}
	if !strings.EqualFold(p.FQDN, fqdn) {
		return ErrOtherCall
	}
	return nil
}

func (c *Checker) read(header string) (Evidence, string, error) {
	var e Evidence
	signature, err := c.open(header, "", &e)
	if err != nil {
		return Evidence{}, "", err
	}
	return e, signature, nil
}

// open checks the signature, which is over purpose and content, and reads the content into v.
func (c *Checker) open(header, purpose string, v any) (signed string, err error) {
	if header == "" {
		return "", ErrMissing
	}
	parts := strings.Split(header, ".")
	if len(header) > MaxSize || len(parts) != 4 || parts[0] != version {
		return "", ErrMalformed
	}
	var key *Key
	for i := range c.keys {
		if c.keys[i].ID == parts[1] {
			key = &c.keys[i]
		}
	}
	if key == nil {
		return "", ErrUnknownKey
	}
	encoding := base64.RawURLEncoding.Strict()
	signature, err := encoding.DecodeString(parts[3])
	if err != nil {
		return "", ErrMalformed
	}
	if !hmac.Equal(signature, mac([]byte(purpose+parts[0]+"."+parts[1]+"."+parts[2]), key.Secret)) {
		return "", ErrSignature
	}
	text, err := encoding.DecodeString(parts[2])
	if err != nil {
		return "", ErrMalformed
	}
	if err := json.Unmarshal(text, v); err != nil {
		return "", fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return parts[3], nil
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
	signature = strings.Clone(signature) // it is a piece of the header, all of which would be kept with it
	c.seen[signature] = sighting{leg, now}
	c.order = append(c.order, signature)
	return true
}
