package account

import (
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"strings"
)

// NoPIN is what a conference says that is to lose its PIN; one that says nothing keeps it.
const NoPIN = "none"

// A PIN is kept as "pbkdf2:SALT:HASH" in hex: PBKDF2 with HMAC-SHA-256 (RFC 8018). Few digits cannot be hidden for ever from who has the
// store; the rounds make each guess cost a hundredth of a second or so.
const (
	pinScheme            = "pbkdf2:"
	pinRounds            = 20_000
	pinSalt, pinHash     = 8, 32 // bytes
	minPINDigits, maxPIN = 4, 12
	pinHashLength        = len(pinScheme) + 2*pinSalt + 1 + 2*pinHash
	decimal, hexadecimal = "0123456789", "0123456789abcdef"
)

func validPIN(pin string) bool {
	return len(pin) >= minPINDigits && len(pin) <= maxPIN && strings.Trim(pin, decimal) == ""
}

func isPINHash(s string) bool {
	salt, hash, ok := strings.Cut(strings.TrimPrefix(s, pinScheme), ":")
	return ok && len(s) == pinHashLength && strings.HasPrefix(s, pinScheme) && len(salt) == 2*pinSalt &&
		strings.Trim(salt, hexadecimal) == "" && strings.Trim(hash, hexadecimal) == ""
}

// CheckPIN reports whether a PIN is the one of a hash.
func CheckPIN(hash, pin string) bool {
	if !isPINHash(hash) || !validPIN(pin) {
		return false
	}
	salt, _, _ := strings.Cut(strings.TrimPrefix(hash, pinScheme), ":")
	return subtle.ConstantTimeCompare([]byte(hashPIN(pin, salt)), []byte(hash)) == 1
}

// hashPIN is the form in which a PIN is kept. salt is in hex.
func hashPIN(pin, salt string) string {
	raw, _ := hex.DecodeString(salt)
	key, err := pbkdf2.Key(sha256.New, pin, raw, pinRounds, pinHash)
	if err != nil { // only lengths that no constant here has
		return ""
	}
	return pinScheme + salt + ":" + hex.EncodeToString(key)
}

// keepPIN is what is kept of a conference's PIN in place of what was kept before, which is "" or a hash.
func keepPIN(pin, before string) string {
	switch {
	case pin == "":
		return before
	case pin == NoPIN:
		return ""
	case isPINHash(pin):
		return pin
	case CheckPIN(before, pin):
		return before
	}
	salt := make([]byte, pinSalt)
	_, _ = rand.Read(salt) // it never fails
	return hashPIN(pin, hex.EncodeToString(salt))
}
