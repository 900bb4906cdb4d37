package dialplan

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// FuzzLoadAndWalk reads any bytes as a dialplan file and walks through it.
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
	f.Fuzz(func(t *testing.T, data []byte, destination string) {
		path := filepath.Join(t.TempDir(), "d.xml")
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
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
	for _, p := range []string{`^(\d{2})$`, `/^a\b/i`, `_NXX.`, `[[:digit:]^-[]`, `(?<n>a)\k<n>`, `a++(?>b)*?`, `\Q$\E\x{41}\01\cA`, `[^]\W-]`, `(?i:x)|(?#c)`} {
		f.Add(p, "12aA")
	}
	f.Fuzz(func(t *testing.T, pattern, subject string) {
		if len(pattern) > 100 || len(subject) > 100 {
			return
		}
		m, err := newPatternCache().perform(subject, pattern)
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

func FuzzExpand(f *testing.F) {
	f.Add(`${a:1:2}${b[1]}\$\\${cond(1 == 1 ? a : b)}`, "${a}")
	f.Add("${expr((1+2)*3^2)} ${regex(a|b|%1)} ${", "ARRAY::a|:b")
	f.Fuzz(func(t *testing.T, s, value string) {
		tree := &Tree{patterns: newPatternCache()}
		call := &Call{Vars: NewVars(map[string]string{"a": value, "b": s})}
		if out, _ := Expand(s, tree.Resolver(call)); len(out) > 4<<20+len(s) {
			t.Errorf("%d bytes out of %q", len(out), s)
		}
	})
}
