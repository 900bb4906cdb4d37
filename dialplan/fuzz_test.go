package dialplan

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// FuzzLoadAndWalk reads any bytes as a dialplan file, and what stands behind a form feed as a file beside it that may be
// included, and walks through it.
func FuzzLoadAndWalk(f *testing.F) {
	for _, name := range []string{"testdata/oracle/oracle.xml", "testdata/quirks/quirks.xml"} {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		for part := range strings.SplitSeq(string(data), "<context ") {
			f.Add([]byte("<context "+part), "712")
		}
	}
	f.Add([]byte("<extension><condition regex='all'><regex field='x'/></condition><!-- <X-PRE-PROCESS cmd=\"include\" data=\"*.xml\"/> -->"), "1")
	f.Add([]byte("<extension><condition field='${a}' expression='^(.*'><anti-action application='set' data='a=${${a}}' loop='9'/>"), "1")
	f.Add([]byte("<X-PRE-PROCESS cmd=\"set\" data=\"a=$${a}$${a}b\"/>\n<X-PRE-PROCESS cmd=\"include\" data=\"i.xml\"/>\n<!--#include \"*.xml\"-->\f<extension name=\"$${a}\"><condition wday=\"mon-fri\" tz-offset=\"1\"/>"), "1")
	f.Add([]byte("<extension><condition><action application='transfer' data='m:^:set:a=${strftime(%Y)}^execute_extension:2 inline' /><action application='set_user' data='1@d' inline='true'/>"), "1")
	f.Add([]byte("<document><section name='directory'><domain name='d'><user id='1'/></domain></section><section name='dialplan'><context name='public'><extension><condition field='${user_data(1@d var x)}${acl(1.2.3.4 1.2.3.0/8)}'>"+
		"<action application='capture' data='a|b|(b)'/><action application='hash' data='insert/a/b/c'/></condition></extension></context></section></document>"), "1")
	f.Fuzz(func(t *testing.T, data []byte, destination string) {
		dir := t.TempDir()
		path := filepath.Join(dir, "d.xml")
		main, other, _ := bytes.Cut(data, []byte("\f"))
		if bytes.Contains(data, []byte("..")) || bytes.Contains(data, []byte("\"/")) {
			return // keeps to its folder
		}
		for name, text := range map[string][]byte{path: main, filepath.Join(dir, "i.xml"): other} {
			if err := os.WriteFile(name, text, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		tree, err := Load(path, LoadOptions{Limits: Limits{TotalBytes: 1 << 20, Files: 50}})
		if err != nil {
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		for _, name := range tree.Contexts() {
			w, err := tree.Walk(ctx, &Call{Context: name, Destination: destination, Now: time.Unix(1e9, 0)}, WalkOptions{MaxExecuted: 50})
			if ctx.Err() != nil {
				t.Fatalf("still walking after 20 s: %v", err)
			}
			if len(w.Executed) > 5000 {
				t.Fatalf("%d applications", len(w.Executed))
			}
		}
	})
}

func FuzzPattern(f *testing.F) {
	for _, p := range []string{`^(\d{2})$`, `/^a\b/i`, `_NXX.`, `[[:digit:]^-[]`, `(?<n>a)\k<n>`, `a++(?>b)*?`, `\Q$\E\x{41}\01\cA`, `[^]\W-]`, `(?i:x)|(?#c)`, `^\+?1?(41[0-5]5{2,3}\d*)?$`, `[a-c.]+?[^\d_]{2}`, `a$`, `(a)(b?)c`} {
		f.Add(p, "12aA")
	}
	f.Fuzz(func(t *testing.T, pattern, subject string) {
		if len(pattern) > 100 || len(subject) > 100 {
			return
		}
		m, err := newPatternCache().perform(subject, pattern)
		if cannotMatch(pattern, subject) && !strings.HasPrefix(pattern, "/") && !strings.HasPrefix(pattern, "_") {
			if p, err := CompilePattern(pattern); err != nil {
				t.Errorf("%q does not compile: %v", pattern, err)
			} else if yes, err := (&Pattern{slow: p.slow}).Match(subject); err == nil && yes {
				t.Errorf("%q matches %q", pattern, subject)
			}
		}
		if p, err := CompilePattern(pattern); err == nil && p.fast != nil && isSimple(subject) {
			// Both engines have to find the same.
			slow := Pattern{slow: p.slow}
			if want, err := slow.match(subject); err == nil && want != m {
				t.Errorf("%q on %q: got %v, want %v", pattern, subject, m, want)
			}
		}
		if err != nil && m.count != 0 {
			t.Errorf("%q: %d groups and error %v", pattern, m.count, err)
		}
		for i := range maxPairs + 1 {
			if text, _ := m.group(subject, i); !strings.Contains(subject, text) {
				t.Errorf("%q on %q: group %d is %q", pattern, subject, i, text)
			}
		}
		m.substitute(pattern, subject)
	})
}

// FuzzReadDump reads any bytes as a channel dump.
func FuzzReadDump(f *testing.F) {
	f.Add([]byte("Caller-Context: public\nCaller-Destination-Number: 1\nvariable_x: a\n b\nEvent-Date-Local: 2026-01-01%2000\n"))
	f.Add([]byte(`{"Caller-Context":"public","variable_l":["a",1,null],"x":{}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := ReadDump(bytes.NewReader(data))
		if err == nil && c.Context == "" && c.Destination == "" {
			t.Errorf("a call to nowhere out of %q", data)
		}
	})
}

func FuzzExpand(f *testing.F) {
	f.Add(`${a:1:2}${b[1]}\$\\${cond(1 == 1 ? a : b)}`, "${a}")
	f.Add("${strftime(1|%a%j%U)} ${strepoch(2026-01-01)} ${replace(a|b|c)} ${cond(1 == 1 ? a : b)} ${coalesce(,a)}", "a")
	f.Add("${expr(max(1,2);x=3;x^-2)} ${url_encode(%41 )}${url_decode(%4)}${acl(::1 loopback.auto)}${strftime_tz(X %T)}", "a")
	f.Add("${expr((1+2)*3^2)} ${regex(a|b|%1)} ${", "ARRAY::a|:b")
	f.Fuzz(func(t *testing.T, s, value string) {
		tree := &Tree{patterns: newPatternCache()}
		call := &Call{Vars: NewVars(map[string]string{"a": value, "b": s})}
		if out, _ := Expand(s, tree.Resolver(call)); len(out) > 4<<20+len(s) {
			t.Errorf("%d bytes out of %q", len(out), s)
		}
	})
}
