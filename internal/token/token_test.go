package token

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/signalbox/signalbox/internal/call"
)

var (
	now    = time.Date(2026, 11, 23, 20, 0, 0, 0, time.UTC)
	oldKey = Key{"a", []byte(strings.Repeat("o", 32))}
	newKey = Key{"b", []byte(strings.Repeat("n", 32))}
)

func evidence() Evidence {
	return Evidence{
		Verdict:   call.Verdict{Likelihood: 0.2, Model: "rules-1", Reasons: []call.Reason{{Name: "r", Sentence: "s"}}},
		Diversion: []string{"<sip:+14155550111@h1>;reason=user-busy", "<sip:+14155550112@h2>;reason=unconditional"},
		Trunk:     "carrier", CallID: "1@h", FromTag: "t", Time: now,
	}
}

func sign(t *testing.T, e Evidence, k Key) string {
	t.Helper()
	s, err := Sign(e, k)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func checker(t *testing.T, keys ...Key) *Checker {
	t.Helper()
	c, err := NewChecker(keys...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestBothKeysAreValidWhileAKeyIsChanged(t *testing.T) {
	c := checker(t, newKey, oldKey)
	for i, k := range []Key{oldKey, newKey} {
		e := evidence()
		e.CallID = fmt.Sprint(i)
		got, err := c.Check(sign(t, e, k), e.CallID, "leg", now)
		if err != nil {
			t.Fatalf("key %s: %v", k.ID, err)
		}
		if len(got.Diversion) != 2 || got.Verdict.Model != "rules-1" || got.Trunk != "carrier" {
			t.Errorf("key %s: evidence came back as %+v", k.ID, got)
		}
	}
}

func TestABadTokenIsRefusedWithItsReason(t *testing.T) {
	good := sign(t, evidence(), newKey)
	parts := strings.Split(good, ".")
	forged, _ := json.Marshal(Evidence{CallID: "1@h", Time: now, Trunk: "somebody else"})
	for name, c := range map[string]struct {
		header, callID string
		at             time.Time
		want           error
	}{
		"none":            {"", "1@h", now, ErrMissing},
		"not a token":     {"hello", "1@h", now, ErrMalformed},
		"other version":   {"2." + good[2:], "1@h", now, ErrMalformed},
		"unknown key":     {"1.zz." + parts[2] + "." + parts[3], "1@h", now, ErrUnknownKey},
		"changed content": {"1.b." + base64.RawURLEncoding.EncodeToString(forged) + "." + parts[3], "1@h", now, ErrSignature},
		"no signature":    {"1.b." + parts[2] + ".", "1@h", now, ErrSignature},
		"other call":      {good, "2@h", now, ErrOtherCall},
		"61 s old":        {good, "1@h", now.Add(61 * time.Second), ErrExpired},
		"from the future": {good, "1@h", now.Add(-6 * time.Second), ErrExpired},
		"far too long":    {good + strings.Repeat("A", MaxSize), "1@h", now, ErrMalformed},
	} {
		if _, err := checker(t, newKey).Check(c.header, c.callID, "leg", c.at); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

func TestATokenIsForOneLeg(t *testing.T) {
	c, header := checker(t, newKey), sign(t, evidence(), newKey)
	for i, step := range []struct {
		leg  string
		want error
	}{{"leg-1", nil}, {"leg-1", nil}, {"leg-2", ErrReplayed}} {
		if _, err := c.Check(header, "1@h", step.leg, now.Add(time.Duration(i)*time.Second)); !errors.Is(err, step.want) {
			t.Errorf("check %d by %s: %v, want %v", i, step.leg, err, step.want)
		}
	}
}

func TestMemoryOfReplaysIsBounded(t *testing.T) {
	c := checker(t, newKey)
	for i := range 500 {
		e := evidence()
		e.CallID, e.Time = fmt.Sprint(i), now.Add(time.Duration(i)*time.Second)
		if _, err := c.Check(sign(t, e, newKey), e.CallID, "leg", e.Time); err != nil {
			t.Fatal(err)
		}
	}
	if len(c.seen) > 67 || len(c.order) != len(c.seen) {
		t.Errorf("%d tokens remembered, one a second for 65 s is all that can be replayed", len(c.seen))
	}
}

func TestTooMuchEvidenceLosesTheOldestFirst(t *testing.T) {
	e := evidence()
	e.Diversion = nil
	for i := range 200 {
		e.Diversion = append(e.Diversion, fmt.Sprintf("<sip:+1415555%04d@some.host.example.net>;reason=no-answer", i))
	}
	header := sign(t, e, newKey)
	if len(header) > MaxSize {
		t.Fatalf("token has %d bytes", len(header))
	}
	got, err := checker(t, newKey).Check(header, "1@h", "leg", now)
	if err != nil {
		t.Fatal(err)
	}
	if !got.Truncated || len(got.Diversion) < 20 || got.Diversion[0] != e.Diversion[0] {
		t.Errorf("truncated=%v, %d diversions, newest %q", got.Truncated, len(got.Diversion), got.Diversion[0])
	}
}

func TestAShortSecretIsNoKey(t *testing.T) {
	if _, err := Sign(evidence(), Key{"a", []byte("short")}); !errors.Is(err, ErrKey) {
		t.Errorf("Sign took a short secret: %v", err)
	}
	if _, err := NewChecker(Key{"a.b", oldKey.Secret}); !errors.Is(err, ErrKey) {
		t.Errorf("NewChecker took a key id with a dot: %v", err)
	}
}

func FuzzCheck(f *testing.F) {
	good, err := Sign(evidence(), newKey)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add("1.b..")
	f.Add("1.b.e30.AAAA")
	f.Fuzz(func(t *testing.T, header string) {
		c, err := NewChecker(newKey)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Check(header, "1@h", "leg", now); err == nil && header != good {
			t.Errorf("%q was accepted", header)
		}
	})
}
