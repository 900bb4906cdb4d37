package token

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
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

func TestHistoryGoesBeforeDiversions(t *testing.T) {
	e := evidence()
	for i := range 200 {
		e.HistoryInfo = append(e.HistoryInfo, fmt.Sprintf("<sip:+1415555%04d@some.host.example.net>;index=1.%d", i, i))
	}
	got, err := checker(t, newKey).Check(sign(t, e, newKey), "1@h", "leg", now)
	if err != nil {
		t.Fatal(err)
	}
	n := len(got.HistoryInfo)
	if !got.Truncated || len(got.Diversion) != 2 || n < 40 || got.HistoryInfo[n-1] != e.HistoryInfo[199] {
		t.Errorf("truncated=%v, %d diversions, %d of history, the last %q", got.Truncated, len(got.Diversion), n, got.HistoryInfo[n-1])
	}
}

// TestNoEvidenceFailsACall signs what the proxy would let in at the very most, and what JSON grows most.
func TestNoEvidenceFailsACall(t *testing.T) {
	for name, huge := range map[string]string{
		"long": strings.Repeat("a", 32000), "quotes": strings.Repeat(`"`, 32000), "bad UTF-8": strings.Repeat("\xff", 32000),
		"control": strings.Repeat("\x01", 3000), "separators": strings.Repeat("\u2028", 3000),
	} {
		for field, set := range map[string]func(*Evidence){
			"Call-ID":       func(e *Evidence) { e.CallID = huge },
			"From-tag":      func(e *Evidence) { e.FromTag = huge },
			"Request-URI":   func(e *Evidence) { e.RequestURI, e.Target = huge, huge },
			"Trunk":         func(e *Evidence) { e.Trunk = huge },
			"Region":        func(e *Evidence) { e.Region = huge },
			"Sentence":      func(e *Evidence) { e.Verdict.Reasons[0].Sentence = huge },
			"one diversion": func(e *Evidence) { e.Diversion = append([]string{huge}, e.Diversion...) },
			"one history":   func(e *Evidence) { e.HistoryInfo = []string{huge} },
			"everything": func(e *Evidence) {
				*e = Evidence{CallID: huge, FromTag: huge, RequestURI: huge, Target: huge, Trunk: huge, Time: now,
					Diversion: []string{huge, huge}, HistoryInfo: []string{huge}}
				e.Verdict.Model = huge
				for range 100 {
					e.Verdict.Reasons = append(e.Verdict.Reasons, call.Reason{Name: huge, Sentence: huge})
				}
			},
			"very many": func(e *Evidence) {
				e.Diversion = strings.Split(huge, "")
				e.HistoryInfo = strings.Split(huge, "")
			},
		} {
			e := evidence()
			set(&e)
			header := sign(t, e, newKey)
			if len(header) > MaxSize || strings.ContainsAny(header, "\r\n \x00") {
				t.Errorf("%s %s: token of %d bytes", name, field, len(header))
			}
			got, err := checker(t, newKey).Check(header, e.CallID, "leg", now)
			if err != nil {
				t.Errorf("%s %s: %v", name, field, err)
			}
			if field == "Call-ID" && (got.Truncated || len(got.Diversion) != 2) {
				t.Errorf("%s Call-ID: evidence was lost: %+v", name, got)
			}
			if _, err := checker(t, newKey).Check(header, e.CallID+"x", "leg", now); !errors.Is(err, ErrOtherCall) {
				t.Errorf("%s %s: taken for another call: %v", name, field, err)
			}
		}
	}
}

func TestEvidenceComesBackAsItWas(t *testing.T) {
	e := Evidence{
		Verdict:   call.Verdict{Likelihood: 0.91, Action: call.Refuse, Model: "rules-1", Reasons: []call.Reason{{Name: "deny-list", Weight: 1, Sentence: "a <b> & \"c\""}}},
		Diversion: []string{`"x, y" <sip:a@h>;reason=user-busy`}, HistoryInfo: []string{"<sip:a@h?Reason=SIP%3Bcause%3D302>;index=1"},
		Target: "sip:+14155550100@h", Cause: 408, RequestURI: "sip:+1@h;target=x", Trunk: "carrier", Region: "GB",
		Source: netip.MustParseAddrPort("[2001:db8::1]:5060"), CallID: "a84b4c76e66710@pc33", FromTag: "1928301774", Time: now,
	}
	got, err := checker(t, newKey).Check(sign(t, e, newKey), e.CallID, "leg", now)
	if err != nil || !reflect.DeepEqual(got, e) {
		t.Errorf("%v\ngot  %+v\nwant %+v", err, got, e)
	}
}

func TestARefusedTokenTellsNothing(t *testing.T) {
	header := sign(t, evidence(), newKey)
	got, err := checker(t, newKey).Check(header, "2@h", "leg", now)
	if err == nil || !reflect.DeepEqual(got, Evidence{}) {
		t.Errorf("%v, and %+v", err, got)
	}
}

// TestEveryChangedByteIsSeen changes each character of a token to each of three others.
func TestEveryChangedByteIsSeen(t *testing.T) {
	good := sign(t, evidence(), newKey)
	c := checker(t, newKey)
	for i := range good {
		for _, other := range "A.z" {
			if byte(other) == good[i] {
				continue
			}
			if _, err := c.Check(good[:i]+string(other)+good[i+1:], "1@h", "leg", now); err == nil {
				t.Fatalf("character %d may be %c", i, other)
			}
		}
	}
	for i := range good {
		if _, err := c.Check(good[:i], "1@h", "leg", now); err == nil {
			t.Fatalf("the first %d characters were accepted", i)
		}
	}
}

func TestManyCallsAtOnce(t *testing.T) {
	c := checker(t, newKey)
	header := sign(t, evidence(), newKey)
	var wg sync.WaitGroup
	var good atomic.Int32
	for i := range 50 {
		wg.Go(func() {
			if _, err := c.Check(header, "1@h", fmt.Sprint("leg-", i), now); err == nil {
				good.Add(1)
			}
		})
	}
	wg.Wait()
	if n := good.Load(); n != 1 {
		t.Errorf("%d legs used one token", n)
	}
}

func TestBadKeysAreNamed(t *testing.T) {
	long := []byte(strings.Repeat("s", 32))
	for _, k := range []Key{{}, {"a", nil}, {"a", []byte("short")}, {"", long}, {"a.b", long}, {"a b", long}, {"a\r\n", long}, {strings.Repeat("a", 33), long}} {
		if _, err := Sign(evidence(), k); !errors.Is(err, ErrKey) {
			t.Errorf("Sign took %+v: %v", k, err)
		}
		if _, err := NewChecker(k); !errors.Is(err, ErrKey) {
			t.Errorf("NewChecker took %+v: %v", k, err)
		}
	}
	for _, keys := range [][]Key{nil, {oldKey, newKey, {"c", long}}, {oldKey, {"a", long}}} {
		if _, err := NewChecker(keys...); !errors.Is(err, ErrKey) {
			t.Errorf("NewChecker took %d keys: %v", len(keys), err)
		}
	}
	if _, err := Sign(evidence(), Key{"a", []byte("hunter2")}); err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("the error shows the secret: %v", err)
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

func FuzzSign(f *testing.F) {
	f.Add("1@h", "t", "<sip:a@h>", "<sip:a@h>;index=1", "sip:a@h", uint8(3))
	f.Fuzz(func(t *testing.T, callID, tag, diversion, history, uri string, n uint8) {
		e := Evidence{CallID: callID, FromTag: tag, RequestURI: uri, Target: uri, Time: now}
		for range n {
			e.Diversion, e.HistoryInfo = append(e.Diversion, diversion), append(e.HistoryInfo, history)
		}
		header, err := Sign(e, newKey)
		if err != nil || len(header) > MaxSize {
			t.Fatalf("%d bytes, %v", len(header), err)
		}
		c, err := NewChecker(newKey)
		if err != nil {
			t.Fatal(err)
		}
		got, err := c.Check(header, callID, "leg", now)
		if err != nil {
			t.Fatal(err)
		}
		if !got.Truncated && (len(got.Diversion) != int(n) || len(got.HistoryInfo) != int(n)) {
			t.Fatalf("%d and %d of %d came back, and nothing says so", len(got.Diversion), len(got.HistoryInfo), n)
		}
	})
}

func TestAPermitIsForOneDomainAndOneMinute(t *testing.T) {
	c, err := NewChecker(newKey, oldKey)
	if err != nil {
		t.Fatal(err)
	}
	permit := func(k Key) string {
		s, err := SignPermit(Permit{FQDN: "vm.example.net", Time: now}, k)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	good := permit(oldKey)
	for range 2 { // an INVITE that was challenged comes again
		if err := c.CheckPermit(good, "VM.example.net", now.Add(30*time.Second)); err != nil {
			t.Error(err)
		}
	}
	for name, tt := range map[string]struct {
		header, domain string
		at             time.Time
		want           error
	}{
		"another domain":    {good, "evil.example.net", now, ErrOtherCall},
		"old":               {good, "vm.example.net", now.Add(2 * time.Minute), ErrExpired},
		"from the future":   {good, "vm.example.net", now.Add(-time.Minute), ErrExpired},
		"none":              {"", "vm.example.net", now, ErrMissing},
		"another key":       {permit(Key{"c", []byte(strings.Repeat("c", 32))}), "vm.example.net", now, ErrUnknownKey},
		"a forged key":      {permit(Key{"a", []byte(strings.Repeat("x", 32))}), "vm.example.net", now, ErrSignature},
		"a token of a call": {sign(t, evidence(), newKey), "vm.example.net", now, ErrSignature},
		"a piece":           {good[:len(good)-3], "vm.example.net", now, ErrSignature},
	} {
		if err := c.CheckPermit(tt.header, tt.domain, tt.at); !errors.Is(err, tt.want) && !(name == "a piece" && errors.Is(err, ErrMalformed)) {
			t.Errorf("%s: %v, want %v", name, err, tt.want)
		}
	}
	if _, err := c.Check(good, "1@h", "leg", now); !errors.Is(err, ErrSignature) {
		t.Errorf("a permit passes for evidence: %v", err)
	}
}

// The clock is stepped while tokens are under way: those are refused, which costs the caller nothing but the verdict, and those
// signed afterwards count.
func TestTokensOverAClockStep(t *testing.T) {
	c, err := NewChecker(newKey)
	if err != nil {
		t.Fatal(err)
	}
	before := time.Now()
	for i, step := range []time.Duration{3 * time.Hour, -3 * time.Hour} {
		now := before.Add(step)
		id := fmt.Sprintf("%d@step", i)
		for _, tt := range []struct {
			signed time.Time
			want   error
		}{{before, ErrExpired}, {now, nil}} {
			header, err := Sign(Evidence{CallID: id, Time: tt.signed}, newKey)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := c.Check(header, id, "leg", now); !errors.Is(err, tt.want) {
				t.Errorf("step %s, signed at %s: %v, want %v", step, tt.signed.Sub(before), err, tt.want)
			}
		}
	}
}
