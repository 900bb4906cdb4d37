package encode_test

import (
	"encoding/json"
	"errors"
	"maps"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/signalbox/signalbox/dialplan/encode"
)

func mustDial(t *testing.T, vars []encode.Var, legs ...encode.Leg) string {
	t.Helper()
	s, err := encode.DialString(vars, legs)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func voicemail() encode.Voicemail {
	return encode.Voicemail{Profile: "external", Pilot: "+18055550100", FQDN: "vm.example.test",
		Target: "sip:+14155550100@example.net", Cause: 408, Route: netip.MustParseAddrPort("192.0.2.7:5060"), Transport: "udp"}
}

func TestDialStringsOfTypedTargets(t *testing.T) {
	v6 := voicemail()
	v6.Route, v6.Transport, v6.Cause = netip.MustParseAddrPort("[2001:db8::7]:5062"), "tcp", 0
	for _, c := range []struct {
		name   string
		target encode.Target
		vars   []encode.Var
		want   string
	}{
		{"registered user", encode.RegisteredUser{Profile: "internal", User: "1000", Domain: "example.net"}, nil,
			"sofia/internal/1000%example.net"},
		{"address with everything", encode.SIPURI{Profile: "external", User: "bob smith", Host: "192.0.2.1", Port: 5070, Transport: "tcp"}, nil,
			"sofia/external/sip:bob%20smith@192.0.2.1:5070;transport=tcp"},
		{"address without user", encode.SIPURI{Profile: "external", Host: "pbx.example.net"}, nil, "sofia/external/sip:pbx.example.net"},
		{"IPv6 address", encode.SIPURI{Profile: "external", User: "a", Host: "2001:db8::1", Port: 5060}, nil,
			"sofia/external/sip:a@[2001:db8::1]:5060"},
		{"dollar in a user", encode.SIPURI{Profile: "external", User: "a${x}", Host: "h.test"}, nil, "sofia/external/sip:a%24%7Bx%7D@h.test"},
		{"voicemail", voicemail(), nil,
			"[^^#sip_route_uri=sip:192.0.2.7:5060;transport=udp]sofia/external/sip:+18055550100@vm.example.test;target=sip:%2B14155550100%40example.net;cause=408"},
		{"voicemail over IPv6", v6, nil,
			"[^^#sip_route_uri=sip:[2001:db8::7]:5062;transport=tcp]sofia/external/sip:+18055550100@vm.example.test;target=sip:%2B14155550100%40example.net"},
		{"gateway", encode.Gateway{Name: "carrier-1", Number: "+4930123456"}, []encode.Var{{Name: "leg_timeout", Value: "20"}},
			"[^^#leg_timeout=20]sofia/gateway/carrier-1/+4930123456"},
	} {
		if got := mustDial(t, nil, encode.Leg{Target: c.target, Vars: c.vars}); got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.name, got, c.want)
		}
	}
	got := mustDial(t, []encode.Var{{Name: "call_timeout", Value: "20"}},
		encode.Leg{Target: encode.RegisteredUser{Profile: "internal", User: "1000", Domain: "h"}, Vars: []encode.Var{{Name: "a", Value: "1#2"}, {Name: "b", Value: "c"}}},
		encode.Leg{Target: encode.RegisteredUser{Profile: "internal", User: "1001", Domain: "h"}})
	if want := "{^^#call_timeout=20}[^^~a=1#2~b=c]sofia/internal/1000%h,sofia/internal/1001%h"; got != want {
		t.Errorf("two legs:\n got %s\nwant %s", got, want)
	}
}

func TestTargetsOutsideTheirGrammarAreRefused(t *testing.T) {
	change := func(f func(*encode.Voicemail)) encode.Voicemail { v := voicemail(); f(&v); return v }
	for name, target := range map[string]encode.Target{
		"no target":             nil,
		"profile with a slash":  encode.RegisteredUser{Profile: "in/ternal", User: "1", Domain: "h"},
		"profile gateway":       encode.RegisteredUser{Profile: "Gateway", User: "1", Domain: "h"},
		"user with a comma":     encode.RegisteredUser{Profile: "internal", User: "1,loopback/x", Domain: "h"},
		"user with percent":     encode.RegisteredUser{Profile: "internal", User: "1%h", Domain: "h"},
		"user with caret":       encode.RegisteredUser{Profile: "internal", User: "1^2", Domain: "h"},
		"empty user":            encode.RegisteredUser{Profile: "internal", Domain: "h"},
		"domain with a space":   encode.RegisteredUser{Profile: "internal", User: "1", Domain: "h x"},
		"host with a pipe":      encode.SIPURI{Profile: "e", Host: "h|x"},
		"host with parameters":  encode.SIPURI{Profile: "e", Host: "h;fs_path=sip:x"},
		"host with zone":        encode.SIPURI{Profile: "e", Host: "[fe80::1%eth0]"},
		"host half bracketed":   encode.SIPURI{Profile: "e", Host: "[2001:db8::1"},
		"host with empty label": encode.SIPURI{Profile: "e", Host: "a..b"},
		"user with a line":      encode.SIPURI{Profile: "e", User: "a\r\nb", Host: "h"},
		"unknown transport":     encode.SIPURI{Profile: "e", Host: "h", Transport: "ws"},
		"gateway by free text":  encode.Gateway{Name: "g", Number: "1@evil.test"},
		"gateway without digit": encode.Gateway{Name: "g", Number: "+"},
		"no route":              change(func(v *encode.Voicemail) { v.Route = netip.AddrPort{} }),
		"route without port":    change(func(v *encode.Voicemail) { v.Route = netip.MustParseAddrPort("192.0.2.1:0") }),
		"route with zone":       change(func(v *encode.Voicemail) { v.Route = netip.MustParseAddrPort("[fe80::1%e0]:5060") }),
		"cause of success":      change(func(v *encode.Voicemail) { v.Cause = 200 }),
		"target of another kind": change(func(v *encode.Voicemail) {
			v.Target = "http://x"
		}),
		"target that breaks the line": change(func(v *encode.Voicemail) { v.Target = "sip:a\nb" }),
		"no transport":                change(func(v *encode.Voicemail) { v.Transport = "" }),
		"FQDN that is a command":      change(func(v *encode.Voicemail) { v.FQDN = "${system(x)}" }),
		"pilot that is a command":     change(func(v *encode.Voicemail) { v.Pilot = "${system(x)}" }),
	} {
		if s, err := encode.DialString(nil, []encode.Leg{{Target: target}}); !errors.Is(err, encode.ErrInvalid) && !errors.Is(err, encode.ErrUnsafe) {
			t.Errorf("%s: got %q, error %v", name, s, err)
		}
	}
}

func TestUnsafeVariablesAreRefused(t *testing.T) {
	leg := encode.RegisteredUser{Profile: "internal", User: "1000", Domain: "h"}
	for _, v := range []encode.Var{
		{Name: "a", Value: "${system(x)}"}, {Name: "a", Value: "5$"}, {Name: "a", Value: "x\ny"}, {Name: "a", Value: "x\x00"},
		{Name: "a", Value: "x\u0085y"}, {Name: "a", Value: "\xff"}, {Name: "a", Value: ""}, {Name: "a", Value: "]"}, {Name: "a", Value: "][" /* closes first */},
		{Name: "a", Value: "ARRAY::x|:y"}, {Name: "", Value: "x"}, {Name: "a b", Value: "x"}, {Name: "a=b", Value: "x"},
		{Name: "a[1]", Value: "x"}, {Name: "_body", Value: "x"}, {Name: "Origination_Nested_Vars", Value: "true"},
		{Name: "origination_caller_id_name", Value: "a%0d%0aX-Evil%3a 1"}, {Name: "effective_caller_id_number", Value: "1@h"},
	} {
		if s, err := encode.DialString(nil, []encode.Leg{{Target: leg, Vars: []encode.Var{v}}}); err == nil {
			t.Errorf("%+v was encoded as %q", v, s)
		}
	}
	for _, s := range []string{"${x}", "$", "a\nb", "a\rb", "%[a=b]x", "%^[a=b]x", "\x00", "\xc3", strings.Repeat("x", encode.MaxArg+1)} {
		if got, err := encode.Arg(s); err == nil {
			t.Errorf("Arg(%.20q) = %.20q", s, got)
		}
	}
}

func TestFreeTextIsMadeSafe(t *testing.T) {
	for in, want := range map[string]string{
		"Ada Lovelace":                 "Ada Lovelace",
		"  Lovelace,\t Ada; PhD ":      "Lovelace, Ada; PhD",
		"${system(touch x)}":           "＄(system(touch x))",
		`O'Brien "Bob" \ <sip:a@b>`:    "O’Brien ”Bob” ＼ (sip：a＠b)",
		"a\r\nX-Evil: 1":               "a X-Evil： 1",
		"50%0d%0a":                     "50％0d％0a",
		"\xff\xfe":                     "\uFFFD",
		"Žofie 山田":                     "Žofie 山田",
		"\u202Eabc":                    "abc",
		"":                             "",
		strings.Repeat("é", 100) + "x": strings.Repeat("é", 64),
	} {
		if got := encode.Text(in); got != want {
			t.Errorf("Text(%q) = %q, want %q", in, got, want)
		}
	}
	for in, want := range map[string]string{
		`"Ada" <sip:+1@h;user=phone>;reason=no-answer`: `"Ada" <sip:+1@h;user=phone>;reason=no-answer`,
		"<sip:a$b@h>;x=$y":               "<sip:a%24b@h>;x=＄y",
		"<sip:a@h>,\r\n <sip:b@[::1]>":   "<sip:a@h>,   <sip:b@[::1]>",
		"<sip:a[@h>;y=[":                 "<sip:a%5B@h>;y=(",
		"ARRAY::a|:b":                    "ARRAY: :a|:b",
		"a:_:b":                          "a:-:b",
		strings.Repeat("'", 65):          strings.Repeat("'", 64) + "’",
		"[" + strings.Repeat("x]", 3000): "(" + strings.Repeat("x)", 2047) + "x",
	} {
		if got := encode.Header(in); got != want {
			t.Errorf("Header(%.40q) = %.60q, want %.60q", in, got, want)
		}
	}
}

func TestSeveralVariablesAtOnce(t *testing.T) {
	const id = "4f3f5a6e-1111-2222-3333-444455556666"
	vars := []encode.Var{{Name: "was", Value: "USER_BUSY,NO_ANSWER"}, {Name: "note", Value: "it's; a=b"}, {Name: "gone"}, {Name: "now", Value: "true"}, {Name: "bad name", Value: "x"}, {Name: "cmd", Value: "${x}"}}
	got, err := encode.SetVars(id, vars)
	want := []string{"uuid_setvar_multi " + id + " was=USER_BUSY,NO_ANSWER;gone=;now=true", "uuid_setvar " + id + ` note it\'s; a=b`}
	if !slices.Equal(got, want) {
		t.Errorf("commands %q, want %q", got, want)
	}
	if !errors.Is(err, encode.ErrInvalid) || !errors.Is(err, encode.ErrUnsafe) || !strings.Contains(err.Error(), "bad name") {
		t.Errorf("error %v, want one of each that cannot be set", err)
	}
	many := slices.Repeat([]encode.Var{{Name: "x", Value: "1"}}, 65)
	if got, err := encode.SetVars(id, many); err != nil || len(got) != 2 || strings.Count(got[0], "=") != 64 {
		t.Errorf("65 variables are %d commands, %v; FreeSWITCH reads 64 in one", len(got), err)
	}
	if got, err := encode.SetVars("a b", many); err == nil || len(got) != 0 {
		t.Errorf("of a UUID that is none: %q, %v", got, err)
	}
	if got, err := encode.SetVars(id, nil); err != nil || len(got) != 0 {
		t.Errorf("of no variables: %q, %v", got, err)
	}
}

func TestCommands(t *testing.T) {
	const id = "4f3f5a6e-1111-2222-3333-444455556666"
	for _, c := range []struct {
		name string
		make func() (string, error)
		want string
	}{
		{"set", func() (string, error) { return encode.Set("a", `x\y=z`) }, `a=x\\\\y=z`},
		{"unset", func() (string, error) { return encode.Set("a", "") }, "a="},
		{"export", func() (string, error) { return encode.Export("a", `x\y`) }, `a=x\\y`},
		{"arg", func() (string, error) { return encode.Arg("tone_stream://%(500,500,480)") }, "tone_stream://%(500,500,480)"},
		{"setvar", func() (string, error) { return encode.SetVar(id, "a", ` it's "\n" `) }, "uuid_setvar " + id + ` a \sit\'s "\\n"\s`},
		{"setvar unset", func() (string, error) { return encode.SetVar(id, "a", "") }, "uuid_setvar " + id + " a"},
		{"cause", func() (string, error) { return encode.Cause("USER_BUSY") }, "USER_BUSY"},
		{"respond", func() (string, error) { return encode.Respond(603, "Network Blocked") }, "603 Network Blocked"},
		{"respond without phrase", func() (string, error) { return encode.Respond(480, "") }, "480"},
		{"guard", func() (string, error) {
			return encode.Guard{UUID: id, Destination: "+14155550100", Context: "public", After: 2100 * time.Millisecond}.Command()
		}, "sched_api +3 signalbox-" + id + " expand uuid_transfer ${cond(${uuid_getvar(" + id + " signalbox_stage)} == unserved ? " + id + " : gone)} 'execute_extension:signalbox-unserved XML signalbox,transfer:+14155550100 XML public' ${cond(${uuid_setvar(" + id + " socket_resume)} == x ? inline : inline)}"},
		{"guard off", func() (string, error) { return encode.GuardOff(id) }, "sched_del signalbox-" + id},
		{"guard off by its number", func() (string, error) { return encode.GuardOffByNumber("+OK Added: 17\n") }, "sched_del 17"},
	} {
		if got, err := c.make(); err != nil || got != c.want {
			t.Errorf("%s: got %q, %v, want %q", c.name, got, err, c.want)
		}
	}
	for name, make := range map[string]func() (string, error){
		"set of a command":      func() (string, error) { return encode.Set("a", "${x}") },
		"set without a name":    func() (string, error) { return encode.Set("", "x") },
		"setvar of two lines":   func() (string, error) { return encode.SetVar(id, "a", "b\nc") },
		"setvar of another leg": func() (string, error) { return encode.SetVar("a b", "a", "b") },
		"cause in lower case":   func() (string, error) { return encode.Cause("user busy") },
		"status of success":     func() (string, error) { return encode.Respond(200, "OK") },
		"phrase of two lines":   func() (string, error) { return encode.Respond(480, "a\r\nb") },
		"guard to two commands": func() (string, error) {
			return encode.Guard{UUID: id, Destination: "1',system:x", Context: "public", After: time.Second}.Command()
		},
		"guard in no context": func() (string, error) {
			return encode.Guard{UUID: id, Destination: "1", After: time.Second}.Command()
		},
		"guard at once":  func() (string, error) { return encode.Guard{UUID: id, Destination: "1", Context: "public"}.Command() },
		"uuid of spaces": func() (string, error) { return encode.UUID("a b") },
		"guard off all":  func() (string, error) { return encode.GuardOff("") },
		"no number":      func() (string, error) { return encode.GuardOffByNumber("-ERR Invalid syntax") },
		"another word":   func() (string, error) { return encode.GuardOffByNumber("+OK Added: 17 signalbox") },
	} {
		if got, err := make(); err == nil {
			t.Errorf("%s: got %q and no error", name, got)
		}
	}
}

// TestModelAgreesWithRealFreeSWITCH reads the dial strings that were sent to the real FreeSWITCH with the model that
// the fuzz test trusts, and compares with what FreeSWITCH made of them.
func TestModelAgreesWithRealFreeSWITCH(t *testing.T) {
	data, err := os.ReadFile("testdata/measured.json")
	if err != nil {
		t.Fatal(err)
	}
	var file measuredFile
	if err := json.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	if len(file.Cases) < 20 || !strings.HasPrefix(file.FreeSWITCH, "1.10") {
		t.Fatalf("%d cases of FreeSWITCH %q", len(file.Cases), file.FreeSWITCH)
	}
	for _, c := range file.Cases {
		global, legs, ok := decodeModel(strings.ReplaceAll(c.Sent, "PORT", "5060"))
		if !ok || len(legs) != 1 {
			t.Errorf("%s: the model does not read %s", c.Name, c.Sent)
			continue
		}
		all := maps.Clone(global)
		maps.Copy(all, legs[0].vars)
		for name, arrived := range c.Variable {
			if got := all[name]; got != arrived && unescaped(got) != arrived {
				t.Errorf("%s: %s is %q in the model, FreeSWITCH had %q", c.Name, name, got, arrived)
			}
		}
		for name, arrived := range c.Headers {
			if got := strings.TrimSpace(all["sip_h_"+name]); got != arrived {
				t.Errorf("%s: header %s is %q in the model, FreeSWITCH sent %q", c.Name, name, got, arrived)
			}
		}
	}
}

func FuzzDialString(f *testing.F) {
	f.Add("a", "b", "c", uint8(1))
	f.Add(`\`, "',", `\,`, uint8(2))
	f.Add("#~!;:*+|", ":_:", "origination_nested_vars=true", uint8(3))
	f.Add(" x ", "[]{}", "^^#", uint8(2))
	f.Fuzz(func(t *testing.T, a, b, c string, n uint8) {
		vars := []encode.Var{{Name: "g1", Value: a}, {Name: "g2", Value: b}}
		var legs []encode.Leg
		for range n%3 + 1 {
			legs = append(legs, encode.Leg{Target: voicemail(), Vars: []encode.Var{{Name: "l1", Value: c}, {Name: "sip_h_X-L2", Value: a}, {Name: "l3", Value: b}}})
		}
		check(t, vars, legs)
		// What the functions that never fail return is always carried, whatever they were given.
		for _, clean := range []func(string) string{encode.Text, encode.Header} {
			v := []encode.Var{{Name: "g1", Value: clean(a) + "."}, {Name: "g2", Value: clean(b) + "."}}
			l := []encode.Leg{{Target: voicemail(), Vars: []encode.Var{{Name: "l1", Value: clean(c) + "."}}}}
			if !check(t, v, l) {
				t.Errorf("refused %+v %+v", v, l[0].Vars)
			}
			if _, err := encode.SetVar("u", "x", clean(a)); err != nil {
				t.Error(err)
			}
			if _, err := encode.Set("x", clean(a)); err != nil {
				t.Error(err)
			}
		}
		if _, err := encode.Export("effective_caller_id_name", encode.Text(a)); err != nil {
			t.Error(err)
		}
	})
}

// check encodes, decodes with the model and compares. It reports whether the dial string was built.
func check(t *testing.T, vars []encode.Var, legs []encode.Leg) bool {
	t.Helper()
	s, err := encode.DialString(vars, legs)
	if err != nil {
		if !errors.Is(err, encode.ErrUnsafe) && !errors.Is(err, encode.ErrInvalid) {
			t.Errorf("error of no kind: %v", err)
		}
		return false
	}
	if strings.ContainsAny(s, "\r\n\x00$") || !utf8.ValidString(s) {
		t.Fatalf("not one harmless line: %q", s)
	}
	global, got, ok := decodeModel(s)
	if !ok || len(got) != len(legs) {
		t.Fatalf("FreeSWITCH would read %q as %d legs, want %d", s, len(got), len(legs))
	}
	for _, v := range vars {
		if global[v.Name] != v.Value {
			t.Fatalf("%s: decoded %q, want %q, in %q", v.Name, global[v.Name], v.Value, s)
		}
	}
	for i, leg := range legs {
		for _, v := range leg.Vars {
			if got[i].vars[v.Name] != v.Value {
				t.Fatalf("leg %d: %s: decoded %q, want %q, in %q", i, v.Name, got[i].vars[v.Name], v.Value, s)
			}
		}
		if len(got[i].vars) != len(leg.Vars)+1 || !strings.HasPrefix(got[i].target, "sofia/external/sip:") {
			t.Fatalf("leg %d: variables %v, target %q", i, got[i].vars, got[i].target)
		}
	}
	return true
}

func FuzzSetVar(f *testing.F) {
	f.Add(" it's \\n ")
	f.Add("a' b 'c")
	f.Fuzz(func(t *testing.T, value string) {
		s, err := encode.SetVar("u-1", "x", value)
		if err != nil {
			return
		}
		if got, ok := uuidSetvarModel(s); !ok || got != value || strings.ContainsAny(s, "\r\n\x00$") {
			t.Errorf("%q is read as %q, want %q", s, got, value)
		}
	})
}
