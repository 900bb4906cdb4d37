package dialplan

import (
	"path/filepath"
	"strings"
	"testing"
)

// TestPlacesSurviveIncludes looks up what the file shows at the line and column that an element claims.
func TestPlacesSurviveIncludes(t *testing.T) {
	files := map[string]string{
		"freeswitch.xml": "<?xml version=\"1.0\"?>\n<document>\n<X-PRE-PROCESS cmd=\"set\" data=\"d=example.test\"/>\n<section name=\"configuration\">\n<X-PRE-PROCESS cmd=\"include\" data=\"x\"/>\n</section>\n" +
			"<section name=\"directory\">\n</section>\n<section name=\"dialplan\">\n<context name=\"public\">\n  <X-PRE-PROCESS cmd=\"include\" data=\"sub/*.xml\"/>\n</context></section></document>\n",
		"sub/a.xml": "<include>\r\n\r\n  <extension name=\"$${d}-a\" continue=\"true\"><condition field=\"$${d}\" expression=\"$${d}\"><action application=\"a\" data=\"$${d} x\"/></condition>\r\n\t</extension>\r\n</include>\r\n",
		"sub/b.xml": "<!--#set \"e=f\" --> <extension name=\"b\">\n<condition><action\n   application=\"b\"\n   data=\"$${e}\"/></condition></extension>",
	}
	dir := write(t, files)
	tree := load(t, dir, LoadOptions{})
	seen := map[string]bool{}
	var check func(e *Element)
	check = func(e *Element) {
		place := func(pos Pos, want string) {
			name, _ := filepath.Rel(dir, pos.File)
			lines := strings.Split(files[name], "\n")
			if pos.Line < 1 || pos.Line > len(lines) || pos.Col < 1 || !strings.HasPrefix(lines[pos.Line-1][min(pos.Col-1, len(lines[pos.Line-1])):], want) {
				t.Errorf("%s does not begin with %q", pos.WithColumn(), want)
			}
		}
		place(e.Pos, "<"+e.Name)
		for _, a := range e.Attrs {
			place(a.Pos, a.Name+"=")
		}
		seen[e.Name] = true
		for _, c := range e.Children {
			check(c)
		}
	}
	for _, r := range tree.Roots() {
		check(r)
	}
	if !seen["extension"] || !seen["action"] {
		t.Errorf("only %v were there to look at", seen)
	}
	if tree.Section("directory") == nil || tree.Section("configuration") == nil || tree.Section("Dialplan") == nil || tree.Section("none") != nil {
		t.Error("sections are not found as they should")
	}
	if f := tree.Files(); len(f) != 3 || filepath.Base(f[2]) != "b.xml" {
		t.Errorf("files %v", f)
	}
}

func TestBadXMLIsShownWithItsLine(t *testing.T) {
	dir := write(t, map[string]string{"freeswitch.xml": "<document>\n<X-PRE-PROCESS cmd=\"include\" data=\"a.xml\"/>\n</document>\n", "a.xml": "<section>\n\t<a>ä</b>\n</section>\n"})
	_, err := Load(dir, LoadOptions{})
	want := "a.xml:2:7: unexpected closing tag </b>: not the XML that FreeSWITCH reads\n\t\t<a>ä</b>\n\t\t    ^"
	if err == nil || !strings.HasSuffix(err.Error(), want) {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
}

func TestPatternsAreCheckedAsPCREChecksThem(t *testing.T) {
	for expression, groups := range map[string]int{`^(\d)(?<x>a)(?:b)$`: 2, `/^(a)/i`: 1, `_NXX.`: 0, `^(`: -1, `/abc`: -1, `a{2}+`: 0, `[[:digit:]]`: 0, `[[:nonsense:]]`: -1, `[[:]`: 0} {
		p, err := CompilePattern(expression)
		if (err != nil) != (groups < 0) || err == nil && p.Groups() != groups {
			t.Errorf("%s: %v, %v, want %d groups", expression, p, err, groups)
		}
	}
	p, err := CompilePattern(`/^(A)b/i`)
	if err != nil {
		t.Fatal(err)
	}
	if yes, err := p.Match("aBc"); !yes || err != nil {
		t.Errorf("no match: %v", err)
	}
}
