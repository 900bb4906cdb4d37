package edge

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/signalbox/signalbox/internal/call"
	"github.com/signalbox/signalbox/internal/screen"
	"github.com/signalbox/signalbox/internal/tel"
	"github.com/signalbox/signalbox/internal/token"
	"github.com/signalbox/signalbox/sipproxy"
)

const called = "+14155550111"

var now = time.Date(2026, 11, 23, 20, 0, 0, 0, time.UTC)

// text is an INVITE from a caller, with further header lines.
func text(from string, lines ...string) string {
	return strings.Join(append([]string{
		"INVITE sip:" + called + "@198.51.100.1;target=sip:%2B14155550122%40h;cause=486;user=phone SIP/2.0",
		"Via: SIP/2.0/UDP 203.0.113.7:5060;branch=z9hG4bK1",
		"From: " + from,
		"To: <sip:" + called + "@198.51.100.1>",
		"Call-ID: 1@carrier",
		"CSeq: 1 INVITE",
		"Max-Forwards: 70",
		"Contact: <sip:203.0.113.7>",
	}, lines...), "\r\n") + "\r\n\r\n"
}

func parse(t *testing.T, trunk, raw string) *sipproxy.Invite {
	t.Helper()
	inv, err := sipproxy.Parse([]byte(raw), sipproxy.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	inv.Peer.Name, inv.Source, inv.Time = trunk, netip.MustParseAddrPort("203.0.113.7:5060"), now
	return inv
}

func options() Options {
	return Options{
		Region:  "US",
		Trunks:  map[string]Trunk{"strict": {Mode: screen.Enforce}, "watched": {Mode: screen.Observe}, "london": {Mode: screen.Enforce, Region: "GB"}},
		Rules:   screen.Rules{Deny: []screen.Denied{{Number: "+14155550166", Reason: "complaints"}}},
		Answers: screen.Answers{Impossible: 603, Denied: 603, RedressURL: "https://redress.example.net"},
		Key:     &token.Key{ID: "k", Secret: []byte(strings.Repeat("s", 32))},
		Nodes:   []sipproxy.Hop{{Name: "fs1", Addr: netip.MustParseAddrPort("127.0.0.1:5080")}, {Name: "fs2", Addr: netip.MustParseAddrPort("127.0.0.2:5080")}},
	}
}

func check(t *testing.T, d sipproxy.Decision) token.Evidence {
	t.Helper()
	if d.Refuse != nil || len(d.Add) != 1 || d.Add[0].Name != "X-Signalbox" {
		t.Fatalf("decision %+v, want one token", d)
	}
	c, err := token.NewChecker(*options().Key)
	if err != nil {
		t.Fatal(err)
	}
	e, err := c.Check(d.Add[0].Value, "1@carrier", "leg", now)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestTheSidecarLearnsWhatTheProxySaw(t *testing.T) {
	inv := parse(t, "strict", text(`"Alice" <sip:+14155550100@203.0.113.7>;tag=abc`,
		`Diversion: "b, c" <sip:+14155550103@h>;reason=no-answer, <sip:+14155550102@h>;reason=user-busy`,
		`Diversion: <sip:+14155550101@h>;reason=unconditional`,
		`History-Info: <sip:+14155550101@h>;index=1, <sip:+14155550102@h?Reason=SIP%3Bcause%3D486>;index=1.1`))
	got := check(t, New(options()).Screen(context.Background(), inv))
	want := token.Evidence{
		Verdict: got.Verdict, Trunk: "strict", Region: "US", Source: inv.Source, CallID: "1@carrier", FromTag: "abc", Time: now,
		RequestURI: "sip:" + called + "@198.51.100.1;target=sip:%2B14155550122%40h;cause=486;user=phone",
		Target:     "sip:+14155550122@h", Cause: 486,
		Diversion:   []string{`"b, c" <sip:+14155550103@h>;reason=no-answer`, `<sip:+14155550102@h>;reason=user-busy`, `<sip:+14155550101@h>;reason=unconditional`},
		HistoryInfo: []string{`<sip:+14155550101@h>;index=1`, `<sip:+14155550102@h?Reason=SIP%3Bcause%3D486>;index=1.1`},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if !got.Verdict.Screened() || got.Verdict.Action != call.Deliver || got.Verdict.Reasons[0].Name != screen.ReasonPossible {
		t.Errorf("verdict %+v", got.Verdict)
	}
}

func TestAnEnforcedTrunkRefusesAndAnObservedOneDelivers(t *testing.T) {
	e := New(options())
	for _, c := range []struct{ from, line, header string }{
		{"<sip:+10005550100@h>;tag=1", "603 Decline", ""},
		{"<sip:+14155550166@h>;tag=1", "603 Network Blocked", `SIP;cause=603;text="v=analytics1;url=https://redress.example.net";location=TN`},
	} {
		d := e.Screen(context.Background(), parse(t, "strict", text(c.from)))
		if d.Refuse == nil || len(d.Add) != 0 || c.line != strings.TrimSpace(strings.TrimPrefix(statusLine(d.Refuse), "SIP/2.0")) {
			t.Errorf("%s enforced: %+v", c.from, d.Refuse)
			continue
		}
		if c.header != "" && (len(d.Refuse.Headers) != 1 || d.Refuse.Headers[0].Name != "Reason" || d.Refuse.Headers[0].Value != c.header) || c.header == "" && len(d.Refuse.Headers) != 0 {
			t.Errorf("%s enforced: headers %+v", c.from, d.Refuse.Headers)
		}
		for _, trunk := range []string{"watched", "unknown", ""} {
			got := check(t, e.Screen(context.Background(), parse(t, trunk, text(c.from))))
			if got.Verdict.Action != call.Deliver || got.Verdict.Likelihood < 0.9 || got.Verdict.Reasons[0].Weight < 0.9 {
				t.Errorf("%s observed by %q: %+v", c.from, trunk, got.Verdict)
			}
		}
	}
}

func statusLine(r *sipproxy.Refusal) string {
	return screen.Answer{Code: r.Code, Phrase: r.Phrase}.StatusLine()
}

func TestTheCallerIsTheOneThatFreeSwitchShows(t *testing.T) {
	anonymous := `"Anonymous" <sip:anonymous@anonymous.invalid>;tag=1`
	for _, c := range []struct {
		name, from string
		lines      []string
		want       tel.Identity
		others     int
	}{
		{"From alone", `"Al, B" <sip:+14155550100@h>;tag=1`, nil, tel.Identity{Name: "Al, B", User: "+14155550100", Number: "+14155550100"}, 0},
		{"asserted before From", `<sip:+14155550100@h>;tag=1`, []string{`P-Asserted-Identity: "Bob" <sip:+14155550101@h>, <tel:+14155550102>`},
			tel.Identity{Name: "Bob", User: "+14155550101", Number: "+14155550101", Asserted: true}, 2},
		{"preferred before all", `<sip:+14155550100@h>;tag=1`, []string{"P-Asserted-Identity: <sip:+14155550101@h>", "P-Preferred-Identity: <sip:+14155550199@h>", "Remote-Party-ID: <sip:+14155550103@h>"},
			tel.Identity{User: "+14155550199", Number: "+14155550199"}, 3},
		{"Remote-Party-ID before From", `<sip:+14155550100@h>;tag=1`, []string{"Remote-Party-ID: <sip:+14155550103@h>;party=calling;privacy=off"},
			tel.Identity{User: "+14155550103", Number: "+14155550103"}, 1},
		{"Remote-Party-ID hides", `<sip:+14155550100@h>;tag=1`, []string{`Remote-Party-ID: <sip:+14155550103@h>;privacy="full"`},
			tel.Identity{User: "+14155550103", Number: "+14155550103", Withheld: true}, 1},
		{"unreadable assertion", `<sip:+14155550100@h>;tag=1`, []string{"P-Asserted-Identity: <garbage"}, tel.Identity{User: "+14155550100", Number: "+14155550100"}, 0},
		{"verstat", `<sip:+14155550100;verstat=TN-Validation-Passed@h;user=phone>;tag=1`, nil, tel.Identity{User: "+14155550100", Number: "+14155550100"}, 0},
		{"national", `<sip:4155550100@h>;tag=1`, nil, tel.Identity{User: "4155550100", Number: "+14155550100"}, 0},
		{"country code without plus", `<sip:442079460958@h>;tag=1`, nil, tel.Identity{User: "442079460958", Number: "+442079460958"}, 0},
		{"anonymous", anonymous, nil, tel.Identity{Name: "Anonymous", User: "anonymous", Withheld: true}, 0},
		{"anonymous, asserted to us", anonymous, []string{"P-Asserted-Identity: <tel:+14155550101>", "Privacy: id"},
			tel.Identity{User: "+14155550101", Number: "+14155550101", Withheld: true, Asserted: true}, 1},
		{"Privacy alone", `<sip:+14155550100@h>;tag=1`, []string{"Privacy: user;id"}, tel.Identity{User: "+14155550100", Number: "+14155550100", Withheld: true}, 0},
		{"Privacy: none", `<sip:+14155550100@h>;tag=1`, []string{"Privacy: none"}, tel.Identity{User: "+14155550100", Number: "+14155550100"}, 0},
		{"a name", `<sip:alice@h>;tag=1`, nil, tel.Identity{User: "alice"}, 0},
		{"very many", `<sip:+14155550100@h>;tag=1`, []string{"P-Asserted-Identity: " + strings.Repeat("<sip:+14155550101@h>,", 900) + "<sip:+14155550101@h>"},
			tel.Identity{User: "+14155550101", Number: "+14155550101", Asserted: true}, 8},
		{"first assertion without a user", `<sip:+14155550100@h>;tag=1`, []string{"P-Asserted-Identity: <sip:h>, <sip:+14155550104@h>"}, tel.Identity{User: "+14155550100", Number: "+14155550100"}, 1},
		{"assertions in two fields", `<sip:+14155550100@h>;tag=1`, []string{"P-Asserted-Identity: <tel:+14155550105>", "P-Asserted-Identity: <sip:+14155550104@h>"},
			tel.Identity{User: "+14155550105", Number: "+14155550105", Asserted: true}, 2},
	} {
		got := Caller(parse(t, "strict", text(c.from, c.lines...)), Trunk{Mode: screen.Enforce, Region: "US"})
		if got.From != c.want || len(got.Others) != c.others || got.Called != called || got.Mode != screen.Enforce || got.Diverted {
			t.Errorf("%s\ngot  %+v\nwant %+v and %d others", c.name, got, c.want, c.others)
		}
	}
}

func TestWhatATrunkSaysOfItsVerification(t *testing.T) {
	const from = `<sip:+14155550100@h>;tag=1`
	for name, c := range map[string]struct {
		from  string
		lines []string
		want  string
	}{
		"nothing":                 {from, nil, ""},
		"passed, in the user":     {`<sip:+14155550100;verstat=TN-Validation-Passed@h;user=phone>;tag=1`, nil, screen.VerstatPassed},
		"passed with attestation": {`<sip:+14155550100;verstat=tn-validation-passed-A@h>;tag=1`, nil, screen.VerstatPassed},
		"failed, as tel":          {from, []string{"P-Asserted-Identity: <tel:+14155550100;verstat=TN-Validation-Failed>"}, screen.VerstatFailed},
		"failed, in the URI":      {`<sip:+14155550100@h;verstat=TN-Validation-Failed>;tag=1`, nil, screen.VerstatFailed},
		"failed, at From alone":   {`<sip:+14155550100;verstat=TN-Validation-Failed@h>;tag=1`, []string{"P-Asserted-Identity: <sip:+14155550100@h>"}, screen.VerstatFailed},
		"passed in a name":        {`"a;verstat=TN-Validation-Passed" <sip:+14155550100@h>;tag=1`, nil, ""},
		"hidden behind a name":    {`"<x;verstat=TN-Validation-Passed>" <sip:+14155550100;verstat=TN-Validation-Failed@h>;tag=1`, nil, screen.VerstatFailed},
		"not verified":            {`<sip:+14155550100;verstat=No-TN-Validation@h>;tag=1`, nil, ""},
	} {
		got := Caller(parse(t, "strict", text(c.from, c.lines...)), Trunk{Region: "US"})
		if got.Verstat != c.want {
			t.Errorf("%s: %q, want %q", name, got.Verstat, c.want)
		}
	}
}

func TestAnIdentityThatCannotBeReadIsOnRecord(t *testing.T) {
	for _, value := range []string{"<garbage", "<garbage, <sip:+14155550104@h>", "<sip:+1415%0a@h>", "<http://a@h/>"} {
		got := check(t, New(options()).Screen(context.Background(), parse(t, "strict", text("<sip:+14155550100@h>;tag=1", "P-Asserted-Identity: "+value))))
		if got.Verdict.Reasons[0].Name != screen.ReasonMalformed || !strings.HasPrefix(got.Verdict.Reasons[0].Sentence, "P-Asserted-Identity") {
			t.Errorf("%s: %+v", value, got.Verdict)
		}
	}
	got := check(t, New(options()).Screen(context.Background(), parse(t, "strict", text("<sip:+1415%0d%0aX@h>;tag=1"))))
	if got.Verdict.Reasons[0].Name != screen.ReasonMalformed {
		t.Errorf("a line end in From: %+v", got.Verdict)
	}
}

func TestADeniedNumberCannotHideBehindAnother(t *testing.T) {
	e := New(options())
	for name, raw := range map[string]string{
		"behind an assertion": text("<sip:+14155550166@h>;tag=1", "P-Asserted-Identity: <sip:+14155550100@h>"),
		"behind a preference": text("<sip:+14155550100@h>;tag=1", "P-Asserted-Identity: <sip:+14155550166@h>", "P-Preferred-Identity: <sip:+14155550100@h>"),
		"behind privacy":      text("<sip:anonymous@anonymous.invalid>;tag=1", "P-Asserted-Identity: <sip:+14155550166@h>", "Privacy: id"),
		"in national form":    text("<sip:(415)%20555-0166@h>;tag=1"),
	} {
		if d := e.Screen(context.Background(), parse(t, "strict", raw)); d.Refuse == nil {
			t.Errorf("%s: delivered", name)
		}
	}
}

// Carriers that leave the plus away must not have their callers from small countries refused.
// However many numbers stand before it: who calls is read of all headers, and of none without end.
func TestManyIdentitiesHideNobodyAndCostLittle(t *testing.T) {
	crowd := "P-Asserted-Identity: " + strings.Repeat("<tel:+14155550123>,", 1500) + "<tel:+14155550123>"
	denied := parse(t, "strict", text("<sip:+14155550166@h>;tag=1", crowd))
	if d := New(options()).Screen(t.Context(), denied); d.Refuse == nil {
		t.Error("a denied number in From hides behind asserted ones")
	}
	one := testing.AllocsPerRun(1, func() { Caller(parse(t, "strict", text("<sip:+14155550166@h>;tag=1", crowd)), Trunk{Region: "US"}) })
	if one > 1500 {
		t.Errorf("%g allocations: each of 1,501 values is read", one)
	}
}

func TestACountryCodeWithoutThePlusIsNoReasonToRefuse(t *testing.T) {
	e := New(options())
	for user, want := range map[string]string{
		"298201234": screen.ReasonPossible, "299321234": screen.ReasonPossible, "29022158": screen.ReasonPossible, "50021234": screen.ReasonPossible,
		"4721234567": screen.ReasonPossible, "50099999": screen.ReasonUnassigned,
	} {
		for _, raw := range []string{text("<sip:" + user + "@h>;tag=1"), text("<sip:+14155550100@h>;tag=1", "P-Asserted-Identity: <sip:"+user+"@h>")} {
			d := e.Screen(context.Background(), parse(t, "strict", raw))
			if d.Refuse != nil {
				t.Errorf("%s: refused with %d %s", user, d.Refuse.Code, d.Refuse.Phrase)
				continue
			}
			if got := check(t, d).Verdict; got.Reasons[0].Name != want || !strings.Contains(got.Reasons[0].Sentence, "+"+user) {
				t.Errorf("%s: %+v, want %s", user, got.Reasons, want)
			}
		}
	}
	for _, user := range []string{"99912345", "29800000000000", "0005550100"} {
		if d := e.Screen(context.Background(), parse(t, "strict", text("<sip:"+user+"@h>;tag=1"))); d.Refuse == nil {
			t.Errorf("%s: delivered, and no reading makes it possible", user)
		}
	}
	called := strings.Replace(text("<sip:+14155550100@h>;tag=1"), "INVITE sip:"+called, "INVITE sip:298201234", 1)
	if c := Caller(parse(t, "strict", called), Trunk{Region: "US"}); c.Called != "+298201234" {
		t.Errorf("called number %q", c.Called)
	}
}

func TestNumbersAreReadInTheTrunksRegion(t *testing.T) {
	e := New(options())
	got := check(t, e.Screen(context.Background(), parse(t, "london", text("<sip:02079460958@h>;tag=1"))))
	if got.Region != "GB" {
		t.Errorf("the sidecar is told region %q and would read other numbers than the proxy", got.Region)
	}
	if got.Verdict.Reasons[0].Name != screen.ReasonPossible || !strings.Contains(got.Verdict.Reasons[0].Sentence, "+442079460958") {
		t.Errorf("%+v", got.Verdict)
	}
	if d := e.Screen(context.Background(), parse(t, "strict", text("<sip:02079460958@h>;tag=1"))); d.Refuse == nil {
		t.Error("a London number in national form passed as an American one")
	}
}

func TestWithoutAKeyACallIsDeliveredUnsigned(t *testing.T) {
	o := options()
	o.Key = nil
	if d := New(o).Screen(context.Background(), parse(t, "strict", text("<sip:+14155550100@h>;tag=1"))); d.Refuse != nil || len(d.Add) != 0 {
		t.Errorf("%+v", d)
	}
	o.Key = &token.Key{ID: "k", Secret: []byte("too short")}
	if d := New(o).Screen(context.Background(), parse(t, "strict", text("<sip:+14155550100@h>;tag=1"))); d.Refuse != nil || len(d.Add) != 0 {
		t.Errorf("with a bad key: %+v", d)
	}
	o = options()
	if d := New(o).Screen(context.Background(), parse(t, "strict", text("<sip:+10005550100@h>;tag=1"))); d.Refuse == nil {
		t.Error("refusing needs no key, but the call was delivered")
	}
}

func TestHopsAreTheNodesInOrder(t *testing.T) {
	e := New(options())
	hops := e.Route(context.Background(), nil)
	if !reflect.DeepEqual(hops, options().Nodes) {
		t.Errorf("%+v", hops)
	}
	hops[0].Name = "changed"
	if again := e.Route(context.Background(), nil); again[0].Name != "fs1" {
		t.Error("a caller of Route could change the configuration")
	}
}

func TestTheLogShowsNoNumber(t *testing.T) {
	core, logs := observer.New(zapcore.DebugLevel)
	o := options()
	o.Logger = zap.New(core)
	for _, from := range []string{"<sip:+14155550166@h>;tag=1", "<sip:+10005550100@h>;tag=1", "<sip:anonymous@anonymous.invalid>;tag=1\r\nP-Asserted-Identity: <tel:+14155550166>\r\nPrivacy: id"} {
		New(o).Screen(context.Background(), parse(t, "strict", text(from)))
		New(o).Screen(context.Background(), parse(t, "watched", text(from)))
	}
	if logs.Len() != 6 {
		t.Errorf("%d lines, want one for each call", logs.Len())
	}
	for _, entry := range logs.All() {
		line, err := zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig()).EncodeEntry(entry.Entry, entry.Context)
		if err != nil {
			t.Fatal(err)
		}
		for _, number := range []string{"4155550166", "0005550100", called} {
			if strings.Contains(line.String(), number) {
				t.Errorf("%s", line.String())
			}
		}
	}
}

func TestReport(t *testing.T) {
	e := New(options())
	raw := text(`"x" <sip:4155550166@h>;tag=1`, "Diversion: <sip:a@h>;counter=2, <sip:b@h>", "X-Signalbox: 1.k.forged.x", "x-signalbox-verdict: fine")
	r, err := e.Judge([]byte(raw), "strict")
	if err != nil {
		t.Fatal(err)
	}
	if r.Caller != "4155550166" || r.CallerNumber != "+14155550166" || r.Called != called || r.CalledNumber != called || r.Answer != "SIP/2.0 603 Network Blocked" ||
		r.WouldBe != "" || r.Diversions != 3 || r.Stripped != 2 || r.Size != len(raw) || r.Mode != screen.Enforce || r.Verdict.Reasons[0].Sentence != "the number is on the deny list: complaints" {
		t.Errorf("%+v", r)
	}
	var out bytes.Buffer
	if err := r.WriteText(&out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"caller     4155550166 = +14155550166\n", "called     " + called + "\n", "deny-list", "complaints", "diverted   3 times before", "2 X-Signalbox", "refused with SIP/2.0 603 Network Blocked\n"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the text lacks %q:\n%s", want, out.String())
		}
	}
	js, err := json.Marshal(r)
	if err != nil || !bytes.Contains(js, []byte(`"answer":"SIP/2.0 603 Network Blocked"`)) || bytes.Contains(js, []byte("0001-01-01")) {
		t.Errorf("%s, %v", js, err)
	}
	watched, err := e.Judge([]byte(raw), "")
	if err != nil || watched.Answer != "" || watched.WouldBe != r.Answer || watched.Verdict.Action != call.Deliver || !reflect.DeepEqual(watched.Verdict.Reasons, r.Verdict.Reasons) {
		t.Errorf("observed: %+v, %v", watched, err)
	}
	fine, err := e.Judge([]byte("\n"+strings.ReplaceAll(text("<sip:+14155550100@h>;tag=1"), "\r\n", "\n")), "strict")
	if err != nil || fine.Answer+fine.WouldBe != "" {
		t.Errorf("an INVITE pasted with bare line feeds: %+v, %v", fine, err)
	}
	for _, bad := range []string{"", "hello", "SIP/2.0 200 OK\r\n\r\n", strings.Replace(raw, "INVITE", "BYE", 2), strings.Repeat("A", 100000)} {
		if _, err := e.Judge([]byte(bad), "strict"); err == nil {
			t.Errorf("%.20q was taken for an INVITE", bad)
		}
	}
	if _, err := e.Judge([]byte("hello"), ""); !errors.Is(err, sipproxy.ErrMalformed) {
		t.Errorf("unnamed error %v", err)
	}
}

func TestReportCannotMoveTheCursor(t *testing.T) {
	r := Report{Caller: "a\x1b[2Jb\r\nc\u202e", Called: strings.Repeat("x", 5000), Verdict: call.Verdict{Reasons: []call.Reason{{Sentence: "s\x1b]0;x\x07\n"}}}}
	var out bytes.Buffer
	if err := r.WriteText(&out); err != nil {
		t.Fatal(err)
	}
	if strings.ContainsAny(out.String(), "\x1b\r\x07\u202e") || out.Len() > 1000 || strings.Count(out.String(), "\n") != 6 {
		t.Errorf("%q", out.String())
	}
}

func FuzzJudgeInvite(f *testing.F) {
	f.Add([]byte(text(`"Alice" <sip:+14155550100@h>;tag=1`, "P-Asserted-Identity: <tel:+1>", "Diversion: <sip:a@h>;reason=x, <", "History-Info: <sip:a@h?Reason=SIP>;index=1", "Privacy: id")))
	f.Add([]byte(text(`<sip:0000000000@h>;tag=1`, `Remote-Party-ID: "x" <sip:1@h>;privacy="full"`)))
	f.Fuzz(func(t *testing.T, raw []byte) {
		e := New(options())
		inv, err := sipproxy.Parse(raw, sipproxy.Limits{})
		if err != nil {
			return
		}
		inv.Peer.Name, inv.Time = "strict", now
		d := e.Screen(context.Background(), inv)
		if d.Refuse == nil && len(d.Add) != 1 {
			t.Fatalf("neither refused nor signed: %+v", d)
		}
		for _, h := range d.Add {
			if len(h.Value) > token.MaxSize || strings.ContainsAny(h.Value, "\r\n\x00") {
				t.Fatalf("token %q", h.Value)
			}
		}
		r, err := e.Judge(raw, "strict")
		if err != nil || (r.Answer != "") != (d.Refuse != nil) {
			t.Fatalf("the report says %+v, %v; the proxy did %+v", r, err, d)
		}
	})
}
