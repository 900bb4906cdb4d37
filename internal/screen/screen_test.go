package screen

import (
	"reflect"
	"strings"
	"testing"

	"github.com/signalbox/signalbox/internal/call"
	"github.com/signalbox/signalbox/internal/tel"
)

// from is a caller as package edge would read him in the US.
func from(user string) tel.Identity {
	id := tel.Identity{User: user}
	id.Number, _ = tel.ParsePresented(user, "US")
	return id
}

func names(v call.Verdict) string {
	var out []string
	for _, r := range v.Reasons {
		out = append(out, r.Name)
	}
	return strings.Join(out, " ")
}

func TestWhoIsRefused(t *testing.T) {
	rules := Rules{Deny: []Denied{
		{Number: "+14155550166", Reason: "complaints"},
		{Prefix: "+499"},
		{Prefix: "1900"},
		{Number: "+18005550100", DoNotOriginate: true},
		{Number: "77777"},
	}}
	for _, c := range []struct {
		user, reasons string
		refused       bool
	}{
		{"+14155550100", ReasonPossible, false},
		{"4155550100", ReasonPossible, false},
		{"+442079460958", ReasonPossible, false},
		{"+14155550166", ReasonDenied + " " + ReasonPossible, true},
		{"4155550166", ReasonDenied + " " + ReasonPossible, true},
		{"+14155550167", ReasonPossible, false},
		{"+498999998666", ReasonPossible, false},
		{"+499123456", ReasonDenied + " " + ReasonPossible, true},
		{"+19005550100", ReasonDenied + " " + ReasonPossible, true},
		{"+18005550100", ReasonDoNotOriginate + " " + ReasonPossible, true},
		{"77777", ReasonDenied + " " + ReasonIncomplete, true},
		// North America
		{"+10005550100", ReasonImpossible, true},
		{"+11155550100", ReasonImpossible, true},
		{"+19115550100", ReasonImpossible, true},
		{"+14150550100", ReasonImpossible, true},
		{"+14151550100", ReasonImpossible, true},
		{"0005550100", ReasonImpossible, true},
		// lengths and country codes
		{"+1555", ReasonImpossible, true},
		{"+15550100", ReasonImpossible, true},
		{"+1415555010", ReasonImpossible, true},
		{"+141555501001", ReasonImpossible, true},
		{"+1415555010012345", ReasonImpossible, true},
		{"+9991234567", ReasonImpossible, true},
		{"+0123456789", ReasonImpossible, true},
		{"123456789", ReasonImpossible, true},
		// a country code without the plus; only what no reading makes possible is impossible
		{"298201234", ReasonPossible, false},
		{"299321234", ReasonPossible, false},
		{"29022158", ReasonPossible, false},
		{"50021234", ReasonPossible, false},
		{"50099999", ReasonUnassigned, false},
		{"4721234567", ReasonPossible, false},
		{"99912345678", ReasonImpossible, true},
		{"4150550100", ReasonImpossible, true},
		// doubtful, not impossible
		{"+12005550100", ReasonUnassigned, false},
		{"5550100", ReasonIncomplete, false},
		// no number at all
		{"alice", ReasonNoNumber, false},
		{"1000", ReasonNoNumber, false},
		{"", ReasonNoNumber, false},
		{"+", ReasonNoNumber, false},
		{"anonymous", ReasonNoNumber, false},
		{"\r\nX: 1", ReasonNoNumber, false},
	} {
		v := Judge(Caller{From: from(c.user), Called: "+14155550111", Mode: Enforce}, rules)
		if names(v) != c.reasons || (v.Action == call.Refuse) != c.refused {
			t.Errorf("%q: %q, %s; want %q, refused %t", c.user, v.Action, names(v), c.reasons, c.refused)
		}
		if c.refused && v.Likelihood < 0.9 || !c.refused && v.Likelihood > 0.5 || !v.Screened() {
			t.Errorf("%q: likelihood %.2f, model %q", c.user, v.Likelihood, v.Model)
		}
		for _, r := range v.Reasons {
			if r.Sentence == "" || strings.ContainsAny(r.Sentence, "\r\n\x00") {
				t.Errorf("%q: sentence %q", c.user, r.Sentence)
			}
		}
		observed := Judge(Caller{From: from(c.user), Called: "+14155550111", Mode: Observe}, rules)
		if observed.Action != call.Deliver || names(observed) != c.reasons || observed.Likelihood != v.Likelihood {
			t.Errorf("%q observed: %+v", c.user, observed)
		}
		if unset := Judge(Caller{From: from(c.user), Called: "+14155550111"}, rules); !reflect.DeepEqual(unset, observed) {
			t.Errorf("%q on a trunk without a mode: %+v", c.user, unset)
		}
	}
}

func TestDenyListKnowsEveryNumberOfTheInvite(t *testing.T) {
	c := Caller{From: from("+14155550100"), Others: []tel.Identity{from("alice"), from("+10005550100"), from("+14155550166")}, Mode: Enforce}
	if v := Judge(c, Rules{Deny: []Denied{{Number: "+14155550166"}}}); v.Action != call.Refuse || names(v) != ReasonDenied+" "+ReasonPossible {
		t.Errorf("%+v", v)
	}
	if v := Judge(c, Rules{}); v.Action == call.Refuse || names(v) != ReasonPossible {
		t.Errorf("a number that is not shown was judged by its plan: %+v", v)
	}
}

func TestWithheldIsNotImpossible(t *testing.T) {
	deny := Rules{Deny: []Denied{{Number: "+14155550166"}}, RefuseOwnNumber: true, RefuseUnassigned: true}
	for _, c := range []struct {
		id      tel.Identity
		reasons string
		refused bool
	}{
		{tel.Identity{User: "anonymous", Withheld: true}, ReasonWithheld, false},
		{tel.Identity{User: "0000000000", Withheld: true}, ReasonWithheld, false},
		{tel.Identity{User: "+10005550100", Number: "+10005550100", Withheld: true, Asserted: true}, ReasonWithheld, false},
		{tel.Identity{User: "+14155550111", Number: "+14155550111", Withheld: true, Asserted: true}, ReasonWithheld, false},
		{tel.Identity{User: "+14155550166", Number: "+14155550166", Withheld: true, Asserted: true}, ReasonDenied + " " + ReasonWithheld, true},
	} {
		v := Judge(Caller{From: c.id, Called: "+14155550111", Mode: Enforce}, deny)
		if names(v) != c.reasons || (v.Action == call.Refuse) != c.refused {
			t.Errorf("%+v: %+v", c.id, v)
		}
		for _, r := range v.Reasons {
			if strings.Contains(r.Sentence, "4155550") || strings.Contains(r.Sentence, "0005550") {
				t.Errorf("a withheld number is shown: %s", r.Sentence)
			}
		}
	}
}

func TestOwnNumberIsDoubtfulUnlessDiverted(t *testing.T) {
	c := Caller{From: from("+14155550111"), Called: "+14155550111", Mode: Enforce}
	if v := Judge(c, Rules{}); v.Action == call.Refuse || v.Likelihood < 0.5 || v.Reasons[0].Name != ReasonOwnNumber {
		t.Errorf("own number: %+v", v)
	}
	if v := Judge(c, Rules{RefuseOwnNumber: true}); v.Action != call.Refuse {
		t.Errorf("own number with the rule: %+v", v)
	}
	c.Diverted = true
	if v := Judge(c, Rules{RefuseOwnNumber: true}); v.Action == call.Refuse || v.Likelihood > 0.2 {
		t.Errorf("own number after a diversion: %+v", v)
	}
	if v := Judge(Caller{From: from("alice"), Mode: Enforce}, Rules{RefuseOwnNumber: true}); v.Action == call.Refuse {
		t.Errorf("nobody calling nobody was refused: %+v", v)
	}
}

func TestAFailedVerificationIsDoubtfulAndNoReasonToRefuse(t *testing.T) {
	c := Caller{From: from("+14155550111"), Called: "+14155550100", Mode: Enforce, Verstat: VerstatFailed}
	if v := Judge(c, Rules{}); v.Action == call.Refuse || v.Likelihood < 0.5 || v.Reasons[0].Name != ReasonVerstatFailed {
		t.Errorf("failed: %+v", v)
	}
	c.Verstat = VerstatPassed
	if v := Judge(c, Rules{}); v.Likelihood != 0 {
		t.Errorf("passed: %+v", v)
	}
}

func TestAnUnreadableIdentityIsDoubtful(t *testing.T) {
	v := Judge(Caller{From: from("+14155550100"), Unread: "P-Asserted-Identity", Mode: Enforce}, Rules{})
	if v.Action == call.Refuse || v.Likelihood != 0.5 || names(v) != ReasonMalformed+" "+ReasonPossible || !strings.HasPrefix(v.Reasons[0].Sentence, "P-Asserted-Identity") {
		t.Errorf("%+v", v)
	}
}

func TestUnassignedIsRefusedOnlyByRule(t *testing.T) {
	c := Caller{From: from("+12005550100"), Called: "+14155550111", Mode: Enforce}
	if v := Judge(c, Rules{RefuseUnassigned: true}); v.Action != call.Refuse {
		t.Errorf("%+v", v)
	}
}

func TestAnswers(t *testing.T) {
	impossible := call.Verdict{Reasons: []call.Reason{{Name: ReasonImpossible}}}
	deny := call.Verdict{Reasons: []call.Reason{{Name: ReasonDenied}, {Name: ReasonImpossible}}}
	dno := call.Verdict{Reasons: []call.Reason{{Name: ReasonDoNotOriginate}}}
	const url = "https://redress.example.net/?a=1"
	for _, c := range []struct {
		name    string
		v       call.Verdict
		a       Answers
		line    string
		headers [][2]string
	}{
		{"impossible 603 carries no analytics marker", impossible, Answers{Impossible: 603, Denied: 607, RedressURL: url}, "SIP/2.0 603 Decline", nil},
		{"denied 603", deny, Answers{Impossible: 403, Denied: 603, RedressURL: url}, "SIP/2.0 603 Network Blocked",
			[][2]string{{"Reason", `SIP;cause=603;text="v=analytics1;url=` + url + `";location=TN`}}},
		{"denied 603 without redress", deny, Answers{Denied: 603}, "SIP/2.0 603 Network Blocked", [][2]string{{"Reason", `SIP;cause=603;text="v=analytics1;";location=TN`}}},
		{"do-not-originate 603 carries no analytics marker", dno, Answers{Impossible: 603, Denied: 608}, "SIP/2.0 603 Decline", nil},
		{"do-not-originate by itself", dno, Answers{Impossible: 603, DoNotOriginate: 403}, "SIP/2.0 403 Forbidden", nil},
		{"607", deny, Answers{Denied: 607, RedressURL: url}, "SIP/2.0 607 Unwanted", nil},
		{"608", deny, Answers{Denied: 608, RedressURL: url}, "SIP/2.0 608 Rejected", [][2]string{{"Call-Info", "<" + url + ">;purpose=jwscard"}}},
		{"608 without redress", impossible, Answers{Impossible: 608}, "SIP/2.0 608 Rejected", nil},
		{"403", impossible, Answers{Impossible: 403}, "SIP/2.0 403 Forbidden", nil},
		{"nothing set", impossible, Answers{}, "SIP/2.0 403 Forbidden", nil},
		{"no such answer", impossible, Answers{Impossible: 200}, "SIP/2.0 403 Forbidden", nil},
	} {
		got := AnswerTo(c.v, c.a)
		if got.StatusLine() != c.line || !reflect.DeepEqual(got.Headers, c.headers) {
			t.Errorf("%s: %s %q, want %s %q", c.name, got.StatusLine(), got.Headers, c.line, c.headers)
		}
	}
	for _, bad := range []string{`https://h/?a="b`, "https://h/<x>?<y>", "javascript:x", "https://", "h", "https://h/?a b", `https://h/?\`, "https://h/\r\nX: 1", "https://h/?" + strings.Repeat("a", 600)} {
		for _, code := range []int{603, 608} {
			for _, h := range AnswerTo(deny, Answers{Denied: code, RedressURL: bad}).Headers {
				if strings.Count(h[1], `"`) > 2 || strings.ContainsAny(h[1], "\r\n\\ ") || strings.Count(h[1], "<") > 1 || len(h[1]) > 560 {
					t.Errorf("redress %q made %s: %s", bad, h[0], h[1])
				}
			}
		}
	}
}

func FuzzJudge(f *testing.F) {
	f.Add("+14155550100", "+14155550100", "+1415", true)
	f.Add("${x}", "", "", false)
	f.Fuzz(func(t *testing.T, user, called, prefix string, withheld bool) {
		id := from(user)
		id.Withheld = withheld
		v := Judge(Caller{From: id, Called: tel.Number(called), Mode: Enforce}, Rules{Deny: []Denied{{Prefix: prefix}}})
		if v.Likelihood < 0 || v.Likelihood > 1 || len(v.Reasons) == 0 || len(v.Reasons) > 3 || v.Model == "" {
			t.Fatalf("%+v", v)
		}
		for _, r := range v.Reasons {
			if strings.ContainsAny(r.Sentence, "\r\n\x00") || len(r.Sentence) > 400 {
				t.Fatalf("sentence %q", r.Sentence)
			}
		}
	})
}
