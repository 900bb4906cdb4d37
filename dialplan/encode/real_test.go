package encode_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/signalbox/signalbox/dialplan/encode"
	"github.com/signalbox/signalbox/dialplan/internal/realswitch"
)

var update = flag.Bool("update", false, "write what the real FreeSWITCH did to testdata/measured.json")

// measured is one dial string and what arrived at the far end.
type measured struct {
	Name     string            `json:"name"`
	Vars     []encode.Var      `json:"vars"`      // as given for the whole dial string
	LegVars  []encode.Var      `json:"leg_vars"`  // as given for the leg
	Sent     string            `json:"sent"`      // argument of bridge, PORT in place of the port
	URI      string            `json:"uri"`       // Request-URI that arrived
	From     string            `json:"from"`      // display name and all up to the tag
	Headers  map[string]string `json:"headers"`   // the headers set by sip_h_ variables, as they arrived
	Variable map[string]string `json:"variables"` // the other variables, as the B leg held them
}

type measuredFile struct {
	FreeSWITCH string     `json:"freeswitch"`
	Cases      []measured `json:"cases"`
}

const hostileName = "${system(touch x)}"

// measureCases are the inputs; what arrives is compared with what was meant, and with the file.
func measureCases() []measured {
	text := func(name, s string) measured {
		return measured{Name: name, LegVars: []encode.Var{
			{Name: "origination_caller_id_name", Value: encode.Text(s)},
			{Name: "origination_caller_id_number", Value: "+14155550100"},
			{Name: "sip_h_X-Text", Value: encode.Text(s)},
			{Name: "signalbox_probe", Value: encode.Text(s)}}}
	}
	header := func(name, s string) measured {
		return measured{Name: name, LegVars: []encode.Var{
			{Name: "sip_h_Diversion", Value: encode.Header(s)},
			{Name: "signalbox_probe", Value: encode.Header(s)}}}
	}
	cases := []measured{
		text("plain name", "Ada Lovelace"),
		text("subscriber who is a command", hostileName),
		text("comma in the name", "Lovelace, Ada"),
		text("quotes", `Ada "Countess" O'Brien`),
		text("braces and brackets", "{a} [b] }{ ]["),
		text("separators", "a#b~c!d;e:f*g+h|i,j^^k"),
		text("backslashes", `a\b\\c\nd\'e\`),
		text("letters of the world", "Žofie Šťastná 山田 😀"),
		text("separate calls", "a:_:b"),
		text("percent and equals", "50% a=b %41 %s"),
		text("angle brackets", `<sip:evil@example.test>;x="y"`),
		header("diversion", `"Ada Lovelace" <sip:+14155550100@example.net;user=phone>;reason=no-answer;counter=1;privacy=off`),
		header("two diversions", `<sip:a@h>;reason=user-busy, <sip:b@h>;reason=unconditional`),
		header("history info", `<sip:+14155550100@example.net?Reason=SIP%3Bcause%3D486>;index=1, <sip:+1@h;cause=486>;index=1.1;mp=1`),
		header("IPv6 in a header", `<sip:+1@[2001:db8::1]:5060>;reason=unknown`),
		header("hostile diversion", `"$`+"{system(touch x)}"+`" <sip:a'b$c@h>;reason="it's \"so\" [x {y"`),
		header("every separator", `"#~!;:*+|,^^=\\ x" <sip:a@h>`),
		header("backslash and comma", `"a\\,b\\|c" <sip:a@h>`),
	}
	both := measured{Name: "variables for all legs and for one",
		Vars:    []encode.Var{{Name: "signalbox_all", Value: `a,b;c=[d #e \ '"f"\\'`}, {Name: "sip_h_X-All", Value: `[x] {y}, \z\\n ''\'q"'`}},
		LegVars: []encode.Var{{Name: "signalbox_probe", Value: ` spaces at {both ends `}, {Name: "sip_h_X-Leg", Value: `'it''s' a\,b\\c\n|d,e,,"f" {g`}}}
	every := measured{Name: "all separators in one value", Vars: []encode.Var{{Name: "signalbox_all", Value: `#~!;:*+ a\#b`}},
		LegVars: []encode.Var{{Name: "signalbox_probe", Value: `x#~!;:*+|,\#y`}}}
	calls := measured{Name: "separate calls inside a value", Vars: []encode.Var{{Name: "signalbox_all", Value: `a:_:b`}},
		LegVars: []encode.Var{{Name: "signalbox_probe", Value: `c:_:d`}}}
	nested := measured{Name: "switch for nested variables inside a value",
		LegVars: []encode.Var{{Name: "signalbox_probe", Value: `origination_nested_vars=true`}}}
	return append(cases, both, every, calls, nested)
}

// TestArrivesOnRealFreeSWITCH bridges to a listener of its own and compares what arrives there, and what the B leg
// holds, with what was meant. testdata/measured.json keeps it with FreeSWITCH's version.
func TestArrivesOnRealFreeSWITCH(t *testing.T) {
	fs := realswitch.Start(t, "")
	b, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	invites := make(chan string, 100)
	done := make(chan struct{})
	go func() { defer close(done); busy(b, invites) }()
	defer func() { _ = b.Close(); <-done }()
	port := b.LocalAddr().(*net.UDPAddr).Port
	marker := filepath.Join(t.TempDir(), "x")
	fs.Command("event plain CHANNEL_PARK CHANNEL_EXECUTE_COMPLETE CHANNEL_HANGUP_COMPLETE")
	a := park(fs)
	out := measuredFile{FreeSWITCH: fs.Version()}
	for _, c := range measureCases() {
		target := encode.Voicemail{Profile: "external", Pilot: "+18055550100", FQDN: "vm.example.test",
			Target: "sip:+14155550100@example.net", Cause: 408, Transport: "udp",
			Route: netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(port))}
		arg, err := encode.DialString(c.Vars, []encode.Leg{{Target: target, Vars: c.LegVars}})
		if err != nil {
			t.Errorf("%s: %v", c.Name, err)
			continue
		}
		c.Sent = strings.ReplaceAll(arg, fmt.Sprint(port), "PORT")
		t.Run(c.Name, func(t *testing.T) {
			bridge(t, fs, invites, a, arg, &c)
			checkArrived(t, c)
		})
		out.Cases = append(out.Cases, c)
	}
	users(t, fs, invites, a, uint16(port))
	injection(t, fs, a, marker)
	if *update {
		data, err := json.MarshalIndent(out, "", " ")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile("testdata/measured.json", append(data, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// users dials fixed addresses whose users need quoting and looks at the Request-URI.
func users(t *testing.T, fs *realswitch.Switch, b <-chan string, a string, port uint16) {
	t.Helper()
	for _, user := range []string{"1000", "+4930123456", "bob smith", "a$b{c}", "x%41y", "o'brien", "*86", "u:p", "Žofie", ""} {
		arg, err := encode.DialString(nil, []encode.Leg{{Target: encode.SIPURI{Profile: "external", User: user, Host: "127.0.0.1", Port: port, Transport: "udp"}}})
		if err != nil {
			t.Errorf("user %q: %v", user, err)
			continue
		}
		var c measured
		bridge(t, fs, b, a, arg, &c)
		got, found := strings.CutSuffix(c.URI, fmt.Sprintf("127.0.0.1:%d;transport=udp", port))
		got = unescaped(strings.TrimSuffix(strings.TrimPrefix(got, "sip:"), "@"))
		if !found || got != user {
			t.Errorf("user %q arrived in %s", user, c.URI)
		}
	}
}

// park makes a leg that waits for commands.
func park(fs *realswitch.Switch) string {
	fs.API("originate {hangup_after_bridge=false,continue_on_fail=true}null/a &park()")
	return fs.Await(func(e url.Values) bool { return e.Get("Event-Name") == "CHANNEL_PARK" }).Get("Unique-ID")
}

// bridge executes the dial string, takes the INVITE, refuses it, and reads what the B leg held.
func bridge(t *testing.T, fs *realswitch.Switch, b <-chan string, a, arg string, c *measured) {
	t.Helper()
	reply := fs.Command("sendmsg " + a + "\ncall-command: execute\nexecute-app-name: bridge\nexecute-app-arg: " + arg)
	if !strings.HasPrefix(reply, "+OK") {
		t.Fatalf("sendmsg: %s", reply)
	}
	var invite string
	select {
	case invite = <-b:
	case <-time.After(10 * time.Second):
		t.Fatalf("no INVITE arrived for %s", arg)
	}
	c.URI = strings.Fields(invite)[1]
	c.From, _, _ = strings.Cut(headerOf(invite, "From"), ";tag=")
	c.Headers, c.Variable = map[string]string{}, map[string]string{}
	// The two come in any order. A command that is sent while an application still runs would be executed inside it,
	// and FreeSWITCH's stack is small.
	var leg, completed url.Values
	for leg == nil || completed == nil {
		e := fs.Await(func(e url.Values) bool {
			return e.Get("Event-Name") == "CHANNEL_HANGUP_COMPLETE" && e.Get("Unique-ID") != a ||
				e.Get("Event-Name") == "CHANNEL_EXECUTE_COMPLETE" && e.Get("Application") == "bridge"
		})
		if e.Get("Event-Name") == "CHANNEL_EXECUTE_COMPLETE" {
			completed = e
		} else {
			leg = e
		}
	}
	for _, v := range append(append([]encode.Var{}, c.Vars...), c.LegVars...) {
		if name, ok := strings.CutPrefix(v.Name, "sip_h_"); ok {
			c.Headers[name] = headerOf(invite, name)
		} else {
			c.Variable[v.Name] = leg.Get("variable_" + v.Name)
		}
	}
}

// busy refuses every INVITE and passes on each call's first one.
func busy(b net.PacketConn, invites chan<- string) {
	seen := map[string]bool{}
	buf := make([]byte, 65535)
	for {
		n, from, err := b.ReadFrom(buf)
		if err != nil {
			return
		}
		msg := string(buf[:n])
		if !strings.HasPrefix(msg, "INVITE ") {
			continue
		}
		_, _ = b.WriteTo([]byte(refuse(msg)), from)
		if id := headerOf(msg, "Call-ID"); !seen[id] {
			seen[id] = true
			invites <- msg
		}
	}
}

func checkArrived(t *testing.T, c measured) {
	t.Helper()
	if want := "sip:+18055550100@vm.example.test;target=sip:+14155550100%40example.net;cause=408"; c.URI != want {
		t.Errorf("Request-URI %s, want %s", c.URI, want)
	}
	for _, v := range append(append([]encode.Var{}, c.Vars...), c.LegVars...) {
		if name, ok := strings.CutPrefix(v.Name, "sip_h_"); ok {
			if got := c.Headers[name]; got != strings.TrimSpace(v.Value) {
				t.Errorf("header %s arrived as %q, want %q", name, got, v.Value)
			}
		} else if got := c.Variable[v.Name]; got != v.Value && got != unescaped(v.Value) {
			t.Errorf("variable %s arrived as %q, want %q", v.Name, got, v.Value)
		}
		if v.Name == "origination_caller_id_name" {
			if want := `"` + v.Value + `" <sip:`; !strings.HasPrefix(c.From, want) {
				t.Errorf("From is %q, want it to begin with %q", c.From, want)
			}
		}
	}
}

// unescaped is what is left of a value in an event: FreeSWITCH does not encode a percent escape that is there already,
// so whoever decodes the event decodes it too.
func unescaped(s string) string {
	if plain, err := url.PathUnescape(s); err == nil {
		return plain
	}
	return s
}

// injection tries text that would be a command in every other way text reaches FreeSWITCH.
func injection(t *testing.T, fs *realswitch.Switch, a, marker string) {
	t.Helper()
	for _, hostile := range []string{"${system(touch " + marker + ")}", `\${system(touch ` + marker + ")}", "$${system(touch " + marker + ")}", "a\nb: c", `it's \n 'so' \\ \' \`, "  spaces  ", "[{^^#x'"} {
		if _, err := encode.SetVar(a, "signalbox_t", hostile); strings.ContainsAny(hostile, "$\n") != (err != nil) {
			t.Errorf("SetVar(%q): error %v", hostile, err)
		}
		for _, plain := range []string{encode.Text(hostile), encode.Header(hostile)} {
			command, err := encode.SetVar(a, "signalbox_t", plain)
			if err != nil {
				t.Fatalf("SetVar(%q): %v", plain, err)
			}
			fs.API(command)
			if got := fs.API("uuid_getvar " + a + " signalbox_t"); got != plain {
				t.Errorf("uuid_setvar: got %q, want %q", got, plain)
			}
			arg, err := encode.Set("signalbox_u", plain)
			if err != nil {
				t.Fatalf("Set(%q): %v", plain, err)
			}
			fs.Command("sendmsg " + a + "\ncall-command: execute\nexecute-app-name: set\nexecute-app-arg: " + arg)
			fs.Await(func(e url.Values) bool {
				return e.Get("Event-Name") == "CHANNEL_EXECUTE_COMPLETE" && e.Get("Application") == "set"
			})
			if got := fs.API("uuid_getvar " + a + " signalbox_u"); got != plain {
				t.Errorf("set: got %q, want %q", got, plain)
			}
		}
		if command, err := encode.SetVar(a, "signalbox_t", hostile); err == nil {
			fs.API(command)
			if got := fs.API("uuid_getvar " + a + " signalbox_t"); got != hostile {
				t.Errorf("uuid_setvar: got %q, want %q", got, hostile)
			}
		}
	}
	if _, err := os.Stat(marker); err == nil {
		t.Error("a command ran")
	}
}

func headerOf(msg, name string) string {
	for line := range strings.SplitSeq(msg, "\r\n") {
		if have, value, ok := strings.Cut(line, ":"); ok && strings.EqualFold(have, name) {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

func refuse(invite string) string {
	s := "SIP/2.0 486 Busy Here\r\n"
	for line := range strings.SplitSeq(invite, "\r\n") {
		name, _, _ := strings.Cut(line, ":")
		switch strings.ToLower(name) {
		case "via", "from", "call-id", "cseq":
			s += line + "\r\n"
		case "to":
			s += line + ";tag=b\r\n"
		}
	}
	return s + "Content-Length: 0\r\n\r\n"
}
