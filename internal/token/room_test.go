package token

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func TestARoomTokenLetsOneLegIn(t *testing.T) {
	now := time.Now().UTC()
	key := Key{ID: "k", Secret: []byte(strings.Repeat("s", MinSecret))}
	c, err := NewChecker(key)
	if err != nil {
		t.Fatal(err)
	}
	want := Room{Room: "0123456789abcdef", Participant: "p1", Time: now}
	header, err := SignRoom(want, key)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := c.CheckRoom(header, "leg", now); err != nil || got != want {
		t.Errorf("CheckRoom: %+v, %v", got, err)
	}
	if _, err := c.CheckRoom(header, "leg", now); err != nil {
		t.Errorf("the same leg again: %v", err)
	}
	if _, err := c.CheckRoom(header, "another", now); !errors.Is(err, ErrReplayed) {
		t.Errorf("another leg: %v", err)
	}
	if _, err := c.CheckRoom(header, "leg", now.Add(2*MaxAge)); !errors.Is(err, ErrExpired) {
		t.Errorf("an old one: %v", err)
	}
	permit, err := SignPermit(Permit{FQDN: "vm.example.net", Time: now}, key)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.CheckRoom(permit, "leg", now); !errors.Is(err, ErrSignature) {
		t.Errorf("a permit as a room token: %v", err)
	}
	if err := c.CheckPermit(header, "", now); !errors.Is(err, ErrSignature) {
		t.Errorf("a room token as a permit: %v", err)
	}
	if _, err := c.CheckRoom("", "leg", now); !errors.Is(err, ErrMissing) {
		t.Errorf("none: %v", err)
	}
}
