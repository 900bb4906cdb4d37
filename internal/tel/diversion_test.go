package tel

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
)

func TestDiversionsComeNewestFirstOverAllFieldsAndCommas(t *testing.T) {
	got := ParseDiversions([]string{
		`"Smith, \"Bob\" <x>" <sip:+14155550102@b.example.net:5060;user=phone>;reason=no-answer;counter=2;privacy=FULL;screen=yes, <tel:+14155550101>;reason="user-busy"`,
		`sip:4155550100@a.example.net;reason=Unconditional;limit=5`,
	}, "US")
	want := []Diversion{
		{User: "+14155550102", Host: "b.example.net", Number: "+14155550102", Reason: "no-answer", Counter: 2, Privacy: "full", Screen: "yes", Name: `Smith, "Bob" <x>`},
		{User: "+14155550101", Number: "+14155550101", Reason: "user-busy", Counter: 1},
		{User: "4155550100", Host: "a.example.net", Number: "+14155550100", Reason: "unconditional", Counter: 1, Limit: 5},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if n := Diverted(got); n != 4 {
		t.Errorf("diverted %d times, want 4", n)
	}
}

func TestBadDiversionCostsOnlyItself(t *testing.T) {
	good := `<sip:+14155550100@h>;reason=no-answer`
	for _, bad := range []string{
		"", ",,,", "garbage", "<", "<>", "<sip:@h>", "<sip:h>", "<mailto:a@h>", "<sip:a@>", "<sip:a@h", "sip:a b@h",
		`<sip:a%0d%0aX@h>`, `<sip:a%zz@h>`, "<sip:a@h>trailing", "<sip:a@h\r\nX-Evil: 1>", "<sip:a@h;x=<y>>",
	} {
		got := ParseDiversions([]string{bad, good}, "US")
		if len(got) != 1 || got[0].Number != "+14155550100" {
			t.Errorf("after %q: %+v", bad, got)
		}
		got = ParseDiversions([]string{good + ", " + bad}, "US")
		if len(got) != 1 || got[0].Number != "+14155550100" {
			t.Errorf("before %q: %+v", bad, got)
		}
	}
	// A quote without end makes its own element unreadable, and what follows the next comma is read again.
	if got := ParseDiversions([]string{`"never ends <sip:a@h>, ` + good}, "US"); len(got) != 1 || got[0].User != "+14155550100" {
		t.Errorf("after an open quote: %+v", got)
	}
	for _, bad := range []string{"counter=0", "counter=-1", "counter=99999999999999999999", "counter=x", "counter", "reason=made-up", "reason=", `reason="`} {
		got := ParseDiversions([]string{"<sip:+14155550100@h>;" + bad}, "US")
		if len(got) != 1 || got[0].Counter != 1 || got[0].Reason != "unknown" {
			t.Errorf("%s: %+v", bad, got)
		}
	}
}

func TestDiversionsAreBounded(t *testing.T) {
	if got := ParseDiversions([]string{strings.Repeat("<sip:a@h>,", 100000)}, "US"); len(got) != 20 {
		t.Errorf("%d diversions, want 20", len(got))
	}
	huge := "<sip:" + strings.Repeat("a", 60000) + "@h>"
	if got := ParseDiversions([]string{huge, "<sip:b@h>"}, "US"); len(got) != 1 || got[0].User != "b" {
		t.Errorf("after an element of 60 kB: %d diversions", len(got))
	}
	var many []Diversion
	for i := range 30 {
		many = append(many, Diversion{User: strings.Repeat("\x80\"<", 50) + fmt.Sprint(i), Host: "h"}, Diversion{User: strings.Repeat("é", 120), Host: "h"})
	}
	if text := FormatDiversions(many); len(text) > 4000 || !strings.HasPrefix(text, "<sip:") {
		t.Errorf("%d bytes: %.80s", len(text), text)
	}
}

func TestFormattedDiversionReadsBack(t *testing.T) {
	for _, d := range []Diversion{
		{User: "+14155550100", Host: "h", Number: "+14155550100", Reason: "no-answer", Counter: 1},
		{User: "+14155550100", Number: "+14155550100", Reason: "user-busy", Counter: 7, Limit: 9, Privacy: "off", Screen: "no", Name: `a "quoted\" <b>, c;d=1`},
		{User: "1000", Reason: "unknown", Counter: 1},
		{User: `o'hara ${system(x)} "<>@;?,%41 ü`, Host: "[2001:db8::1]", Reason: "away", Counter: 99, Name: "Zoë ${x}"},
	} {
		text := FormatDiversions([]Diversion{d})
		if strings.ContainsAny(strings.TrimPrefix(text, quote(d.Name)), "${}'\r\n") {
			t.Errorf("%s holds what FreeSWITCH expands", text)
		}
		got := ParseDiversions([]string{text}, "")
		if len(got) != 1 || !reflect.DeepEqual(got[0], d) {
			t.Errorf("%s\nread back %+v\nwant      %+v", text, got, d)
		}
	}
	odd := FormatDiversions([]Diversion{{User: "a\r\nX: 1", Host: "h>\r\nX: 1", Reason: "x;y", Privacy: "a b", Name: "n\r\nX: 1\x00"}})
	if strings.ContainsAny(odd, "\r\n\x00") {
		t.Errorf("a second line in %q", odd)
	}
	if got := ParseDiversions([]string{odd}, ""); len(got) != 1 || got[0].Reason != "unknown" || got[0].Privacy != "" {
		t.Errorf("%q read back as %+v", odd, got)
	}
}

func FuzzDiversions(f *testing.F) {
	f.Add(`"Smith, \"Bob\"" <sip:+14155550102@b:5060;user=phone>;reason=no-answer;counter=2, <tel:+14155550101>;reason="user-busy"`)
	f.Add(`"never ends <sip:a@h>, <sip:b@h>`)
	f.Add("<sip:a@h\r\n>;privacy=\"full\"")
	f.Add(`<sip:%22%3e@[::1]>;counter=0`)
	f.Fuzz(func(t *testing.T, header string) {
		got := ParseDiversions([]string{header}, "US")
		if len(got) > 20 {
			t.Fatalf("%d diversions", len(got))
		}
		text := FormatDiversions(got)
		if strings.ContainsAny(text, "\r\n\x00") || len(text) > 5000 {
			t.Fatalf("%d bytes, or a second line: %q", len(text), text)
		}
		again := ParseDiversions([]string{text}, "US")
		if len(got) > 0 && len(again) == 0 || len(again) > len(got) {
			t.Fatalf("%q: %d diversions, %d read back", text, len(got), len(again))
		}
		for i := range again {
			// The spelling of a number in a URI is lost with its parameters (phone-context); the rest must stay.
			a, b := got[i], again[i]
			a.Number, b.Number = "", ""
			if !reflect.DeepEqual(a, b) {
				t.Fatalf("%q\nread      %+v\nread back %+v", text, a, b)
			}
		}
	})
}
