package fssim

import (
	"bufio"
	"bytes"
	"fmt"
	"strings"
	"testing"
)

func TestDialStringsAsFreeSWITCHReadsThem(t *testing.T) {
	for _, x := range []struct{ in, want string }{
		{"sofia/external/sip:a@h", "() sofia:external/sip:a@h()"},
		{"{a=b,c=d}sofia/x/1,sofia/y/2|error/USER_BUSY", "(a=b c=d) sofia:x/1() sofia:y/2() | error:USER_BUSY()"},
		{"{^^#sip_h_Diversion=<sip:+1@h>;reason=no-answer,x;counter=1#absolute_codec_string=PCMU}sofia/x/1",
			"(sip_h_Diversion=<sip:+1@h>;reason=no-answer,x;counter=1 absolute_codec_string=PCMU) sofia:x/1()"},
		// Measured on FreeSWITCH: the quotes are gone before the bracket is read, so the comma ends the value.
		{"[leg_timeout=4,x='a,b']user/1000@d", "() user:1000@d(leg_timeout=4 x=a)"},
		{"[^^#a=1,2#b=3]user/1,[a=4]user/2", "() user:1(a=1,2 b=3) user:2(a=4)"},
		{"{a=1}{b=2}[c=3][d=4]user/1", "(a=1 b=2) user:1(c=3 d=4)"},
		{"{api_on_answer=uuid_setvar U socket_resume false}user/1", "(api_on_answer=uuid_setvar U socket_resume false) user:1()"},
		{`{x=a\,b}user/1`, "(x=a,b) user:1()"},
		{"{a=b", "error"}, {"", "error"}, {"[a=b", "error"},
	} {
		d, err := parseDialString(x.in)
		got := "error"
		if err == nil {
			got = printDial(d)
		}
		if got != x.want {
			t.Errorf("%s\n got %s\nwant %s", x.in, got, x.want)
		}
	}
}

func printDial(d dialString) string {
	vars := func(v []variable) string {
		var out []string
		for _, x := range v {
			out = append(out, x.name+"="+x.value)
		}
		return "(" + strings.Join(out, " ") + ")"
	}
	out := vars(d.vars)
	for i, g := range d.groups {
		if i > 0 {
			out += " |"
		}
		for _, l := range g {
			out += fmt.Sprintf(" %s:%s%s", l.kind, l.data, vars(l.vars))
		}
	}
	return out
}

func TestExpressions(t *testing.T) {
	for in, want := range map[string]string{"1+1": "2", "2*(3+4)-1": "13", "7/2": "3.5", "1 > 2": "0", "5%3": "2", "1/0": "ERR", "x": "ERR", "": "ERR"} {
		if got := evalExpr(in); got != want {
			t.Errorf("expr %s = %s, want %s", in, got, want)
		}
	}
}

func TestAddressesAreTakenApart(t *testing.T) {
	a := parseAddr(`"A \"B\", C" <sip:+1;x=y@[::1]:5080;transport=tcp?h=1>;tag=7`)
	u, err := parseURI(a.uri)
	if err != nil || a.display != `A "B", C` || a.param("tag") != "7" || u.user != "+1;x=y" || u.host != "::1" || u.port != 5080 ||
		u.params != ";transport=tcp" || u.query != "?h=1" || !hopOf(u).tcp {
		t.Errorf("%+v %+v %v", a, u, err)
	}
	if got := u.String(); got != "sip:+1;x=y@[::1]:5080;transport=tcp?h=1" {
		t.Errorf("written again: %s", got)
	}
	for _, bad := range []string{"", "sip:", "sip:a@h:0", "sip:a@h:99999", "sip:[::1", "http://x", "sip:a@[::1]x"} {
		if _, err := parseURI(bad); err == nil {
			t.Errorf("%q is no URI", bad)
		}
	}
}

// FuzzSIP asserts that what is parsed can be written and parsed again to the same, on a datagram and on a stream.
func FuzzSIP(f *testing.F) {
	f.Add([]byte("INVITE sip:a@h SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nf: <sip:b@h>;tag=1\r\nl: 4\r\n\r\nbody"))
	f.Add([]byte("SIP/2.0 200 OK\r\nTo: \"x\" <sip:a@h>\r\n  ;tag=2\r\n\r\n"))
	f.Add([]byte("\r\n\r\nBYE sip:a SIP/2.0\r\nContent-Length: -1\r\n\r\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := parseSIP(data)
		if err != nil {
			return
		}
		branchOf(m)
		m.list("Contact")
		again, err := readSIP(bufio.NewReader(bytes.NewReader(m.bytes())))
		if err != nil {
			t.Fatalf("written message is refused: %v\n%q", err, m.bytes())
		}
		if !bytes.Equal(m.bytes(), again.bytes()) {
			t.Errorf("%q\nbecame\n%q", m.bytes(), again.bytes())
		}
		if u, err := parseURI(m.uri); err == nil {
			if v, err := parseURI(u.String()); err != nil || v != u {
				t.Errorf("uri %q became %q: %v", m.uri, u.String(), err)
			}
		}
	})
}

// FuzzDialString asserts that no dial string breaks the parser or its bounds.
func FuzzDialString(f *testing.F) {
	f.Add("{^^#a=b#c=d}[^^#e=f]sofia/x/1,[g='h,i']user/2|error/USER_BUSY")
	f.Add("{{[[''\\,}")
	f.Fuzz(func(t *testing.T, s string) {
		d, err := parseDialString(s)
		if err != nil {
			return
		}
		if len(d.groups) == 0 || len(d.groups) > maxLegs {
			t.Errorf("%d groups", len(d.groups))
		}
		for _, g := range d.groups {
			if len(g) > maxLegs {
				t.Errorf("%d legs", len(g))
			}
		}
	})
}
