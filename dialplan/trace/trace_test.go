package trace

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/signalbox/signalbox/dialplan"
)

func walk(t *testing.T, xml, destination string) *dialplan.Walk {
	t.Helper()
	path := filepath.Join(t.TempDir(), "d.xml")
	if err := os.WriteFile(path, []byte(xml), 0o600); err != nil {
		t.Fatal(err)
	}
	tree, err := dialplan.Load(path, dialplan.LoadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	w, err := tree.Walk(context.Background(), &dialplan.Call{Destination: destination, Now: time.Unix(0, 0)}, dialplan.WalkOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func TestTextHasPlacesAndNoControlCharacters(t *testing.T) {
	w := walk(t, `<extension name="x"><condition field="destination_number" expression="."><action application="log" data="INFO &#27;[2J ${destination_number}`+"\n"+`&#10;y"/></condition></extension>`, "1\x1b]0;x\a")
	var b bytes.Buffer
	if err := WriteText(&b, w, Options{Root: filepath.Dir(w.Places[0].File)}); err != nil {
		t.Fatal(err)
	}
	want := "d.xml:1  Dialplan: parsing [default->x] continue=false\nd.xml:1  Dialplan: Regex (PASS) [x] destination_number(1?]0;x?) =~ /./ break=on-false\n"
	if got := b.String(); !strings.HasPrefix(got, want) || strings.ContainsAny(got, "\x1b\a") {
		t.Errorf("got %q", got)
	}
	b.Reset()
	if err := WriteText(&b, w, Options{Colour: true}); err != nil || !strings.Contains(b.String(), "\x1b[32mRegex (PASS)") {
		t.Errorf("no colour in %q, %v", b.String(), err)
	}
}

func TestDiffShowsWhatChanged(t *testing.T) {
	const before = `<extension name="x"><condition field="destination_number" expression="^1"><action application="set" data="a=1"/><action application="hangup"/></condition></extension>`
	a, b := walk(t, before, "1"), walk(t, strings.Replace(before, "a=1", "a=2", 1), "1")
	var out bytes.Buffer
	differ, err := Diff(&out, a, b, "A", "B", Options{Root: filepath.Dir(a.Places[0].File)}, Options{Root: filepath.Dir(b.Places[0].File)})
	want := "--- A\n+++ B\n  d.xml:1  Dialplan: parsing [default->x] continue=false\n  d.xml:1  Dialplan: Regex (PASS) [x] destination_number(1) =~ /^1/ break=on-false\n" +
		"- d.xml:1  Dialplan: Action set(a=1)\n+ d.xml:1  Dialplan: Action set(a=2)\n  d.xml:1  Dialplan: Action hangup()\n- d.xml:1  EXECUTE set(a=1)\n+ d.xml:1  EXECUTE set(a=2)\n  d.xml:1  EXECUTE hangup()\n"
	if !differ || err != nil || out.String() != want {
		t.Errorf("differ %v, %v, got\n%s\nwant\n%s", differ, err, out.String(), want)
	}
	out.Reset()
	if differ, err := Diff(&out, a, a, "A", "A", Options{}, Options{}); differ || err != nil || !strings.Contains(out.String(), "alike") {
		t.Errorf("the same walk: %v, %v, %q", differ, err, out.String())
	}
}

func TestSuitesAreRead(t *testing.T) {
	tests, err := ReadSuite(strings.NewReader("\ufeffdestination, context ,var:tier,field:ANI,assume:bridge,known:f(x|y),extension,applications,end\n"+
		"# comment\n1,,gold,2,NO_ANSWER,z,x,\"set|bridge(user/1|user/2) | hangup\",USER_BUSY\n"), "public")
	if err != nil || len(tests) != 1 {
		t.Fatalf("%d tests, %v", len(tests), err)
	}
	got := tests[0]
	if got.Line != 3 || got.Context != "public" || got.Vars["tier"] != "gold" || got.Fields["ani"] != "2" || got.Assume["bridge"] != "NO_ANSWER" ||
		got.Known["f(x|y)"] != "z" || strings.Join(got.Applications, ";") != "set;bridge(user/1|user/2);hangup" || got.End != "USER_BUSY" {
		t.Errorf("got %+v", got)
	}
	for text, want := range map[string]string{
		"": "first line", "a\n1\n": "no column is called", "context\n1\n": "destination", "destination\n": "no calls",
		"destination,at\n1,noon\n": "line 2", "destination,field:nonsense\n1,2\n": "var:nonsense", "destination,context\n,public\n": "line 2: not a file of test calls: no destination",
		"destination\n1,2\n": "wrong number of fields",
	} {
		if _, err := ReadSuite(strings.NewReader(text), "public"); !errors.Is(err, ErrSuite) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}
