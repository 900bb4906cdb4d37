package token

import (
	"encoding/base64"
	"fmt"
	"time"
)

// Room lets one call, which another node of ours sends, into a conference.
type Room struct {
	Room        string    `json:"r"` // its ID
	Participant string    `json:"p"`
	Time        time.Time `json:"at"`
}

// roomPurpose goes into the signature of a Room, so that none passes for anything else, nor the reverse.
const roomPurpose = "room."

// SignRoom makes the value of the header by which a call comes into a conference on another node.
func SignRoom(r Room, key Key) (string, error) {
	if err := key.check(); err != nil {
		return "", err
	}
	text, err := encode(r)
	if err != nil {
		return "", fmt.Errorf("token: %w", err)
	}
	signed := version + "." + key.ID + "." + base64.RawURLEncoding.EncodeToString(text)
	return signed + "." + base64.RawURLEncoding.EncodeToString(mac([]byte(roomPurpose+signed), key.Secret)), nil
}

// CheckRoom reads the value of that header. It counts for one leg. The errors are those of Check.
func (c *Checker) CheckRoom(header, leg string, now time.Time) (Room, error) {
	var r Room
	signature, err := c.open(header, roomPurpose, &r)
	if err != nil {
		return Room{}, err
	}
	if age := now.Sub(r.Time); age > MaxAge || age < -maxAhead {
		return Room{}, ErrExpired
	}
	if !c.first(signature, leg, now) {
		return Room{}, ErrReplayed
	}
	return r, nil
}
