package dialplan

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/signalbox/signalbox/dialplan/internal/realswitch"
)

// joinedTree is the tree of testdata/hunts with a context "joined" that is put together from many files, and with lines
// that global variables make long.
func joinedTree(t *testing.T) string {
	t.Helper()
	conf := filepath.Join(t.TempDir(), "conf")
	if err := os.CopyFS(conf, os.DirFS(huntsTree)); err != nil {
		t.Fatal(err)
	}
	eval := func(text string) string { return "<action application=\"eval\" data=\"" + text + "\"/>\n" }
	files := map[string]string{
		"dialplan/joined.xml": "<include>\n<X-PRE-PROCESS cmd=\"set\" data=\"Long=" + strings.Repeat("L", 900) + "\"/>\n<context name=\"joined\">\n" +
			"<extension name=\"files\"><condition field=\"destination_number\" expression=\"^files$\">\n" +
			"<X-PRE-PROCESS cmd=\"include\" data=\"parts/*.xml\"/>\n<X-PRE-PROCESS cmd=\"include\" data=\"parts/*/*.xml\"/>\n" +
			"<X-PRE-PROCESS cmd=\"include\" data=\"./parts/../parts/.dot/*.xml\"/>\n</condition></extension>\n" +
			"<extension name=\"room\"><condition field=\"destination_number\" expression=\"^room$\">\n" + eval("$${long}$${LONG} end") + eval("next") + "</condition></extension>\n" +
			"<extension name=\"value\"><condition field=\"destination_number\" expression=\"^value$\">\n" + eval("$${long}$${long}$${long} end") + eval("next") + "</condition></extension>\n" +
			// The second line ends the attribute that the cut has left open.
			"<extension name=\"text\"><condition field=\"destination_number\" expression=\"^text$\">\n" + eval("$${long}$${long}"+strings.Repeat("t", 300)) + eval("next") + "</condition></extension>\n" +
			// A line that is longer as it is written has more room, and so have all behind it.
			"<!-- " + strings.Repeat("c", 1100) + " -->\n" +
			"<extension name=\"later\"><condition field=\"destination_number\" expression=\"^later$\">\n" + eval("$${long}$${long}$${long} end") + eval("next") + "</condition></extension>\n" +
			"</context>\n</include>\n",
		"dialplan/parts/b.xml": eval("b"), "dialplan/parts/B.xml": eval("B"), "dialplan/parts/_a.xml": eval("_a"), "dialplan/parts/10.xml": eval("10"),
		"dialplan/parts/9.xml": eval("9"), "dialplan/parts/.hidden.xml": eval("hidden"), "dialplan/parts/up.xml": eval("beside"),
		"dialplan/parts/.dot/x.xml": eval("in .dot"), "dialplan/parts/sub/x.xml": eval("in sub"),
		"elsewhere/sub/only.xml": "<X-PRE-PROCESS cmd=\"include\" data=\"../up.xml\"/>\n", "elsewhere/up.xml": eval("elsewhere"),
	}
	for name, text := range files {
		path := filepath.Join(conf, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	linkElsewhere(t, conf)
	return conf
}

func linkElsewhere(t *testing.T, conf string) {
	if err := os.Symlink("../../elsewhere/sub", filepath.Join(conf, "dialplan", "parts", "link")); err != nil && !os.IsExist(err) {
		t.Fatal(err)
	}
}

// TestFilesAndLinesAreJoinedAsByFreeSWITCH: a wildcard finds nothing that begins with a dot, in folders neither; ".."
// behind a symbolic link leads where the link leads; a line has room for 2,048 bytes once global variables are in place.
func TestFilesAndLinesAreJoinedAsByFreeSWITCH(t *testing.T) {
	tree := load(t, joinedTree(t), LoadOptions{})
	long := strings.Repeat("L", 900)
	for destination, want := range map[string][]string{
		"files": {"eval(10)", "eval(9)", "eval(B)", "eval(_a)", "eval(b)", "eval(beside)", "eval(elsewhere)", "eval(in sub)", "eval(in .dot)"},
		"room":  {"eval(" + long + long + " end)", "eval(next)"},
		"value": {"eval(" + long + long + strings.Repeat("L", 2048-1800-len(`<action application="eval" data="`)) + "<action application=)"},
		"text":  {"eval()"}, // of "$${long<action application="
		"later": {"eval(" + long + long + long + " end)", "eval(next)"},
	} {
		got, err := tree.Walk(context.Background(), &Call{Context: "joined", Destination: destination}, WalkOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(got.Executed, want) {
			t.Errorf("%s: executed\n got %q\nwant %q", destination, got.Executed, want)
		}
	}
	dropped := 0
	for _, n := range tree.Notices() {
		if n.Kind == NoticeCut {
			dropped++
		}
	}
	if dropped != 2 {
		t.Errorf("%d lines are said to be cut, want 2: %v", dropped, tree.Notices())
	}
}

// TestFilesAndLinesOnRealFreeSWITCH holds the same tree to the real one.
func TestFilesAndLinesOnRealFreeSWITCH(t *testing.T) {
	conf := joinedTree(t)
	fs := realswitch.StartTree(t, conf, func(copied string) { linkElsewhere(t, copied) })
	var m measured
	for _, destination := range []string{"files", "room", "value", "text", "later"} {
		m.Cases = append(m.Cases, measuredCase{oracleCase: oracleCase{Context: "joined", Destination: destination, CallerIDName: "Ada Lovelace", CallerIDNumber: "2125550123"}})
	}
	m.measure(t, fs, conf)
	m.compare(t, load(t, conf, LoadOptions{Globals: m.Globals}), 5)
}
