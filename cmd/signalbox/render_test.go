package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// conf writes a small conf folder of vanilla's shape.
func (f folder) conf() {
	f.t.Helper()
	for _, dir := range []string{"conf/dialplan/public"} {
		if err := os.MkdirAll(filepath.Join(f.dir, dir), 0o755); err != nil {
			f.t.Fatal(err)
		}
	}
	f.write("conf/freeswitch.xml", "<document type=\"freeswitch/xml\">\n<section name=\"dialplan\">\n<X-PRE-PROCESS cmd=\"include\" data=\"dialplan/*.xml\"/>\n</section>\n</document>\n")
	f.write("conf/dialplan/public.xml", "<include>\n<context name=\"public\">\n<X-PRE-PROCESS cmd=\"include\" data=\"public/*.xml\"/>\n</context>\n</include>\n")
	f.write("conf/dialplan/public/01_own.xml", "<include>\n<extension name=\"own\">\n<condition field=\"destination_number\" expression=\"^\\+1212\">\n<action application=\"bridge\" data=\"user/1000\"/>\n</condition>\n</extension>\n</include>\n")
}

func TestRenderWritesAndTakesBack(t *testing.T) {
	t.Parallel()
	f := newFolder(t)
	f.conf()
	exists := func(name string) bool {
		_, err := os.Stat(filepath.Join(f.dir, "conf", name))
		return err == nil
	}
	dry := f.run("", "dialplan", "render", "--conf", "conf", "--prefix", "+1415", "--dry-run")
	if dry.status != 0 || !strings.Contains(dry.out, "--- /dev/null\n+++ b/dialplan/public/05_signalbox.xml\n@@ -0,0 +1,") || !strings.Contains(dry.out, "(?:1415)") {
		t.Errorf("exit status %d, %s\n%s", dry.status, dry.err, dry.out)
	}
	if exists("dialplan/signalbox.xml") {
		t.Fatal("a dry run has written something")
	}
	if out := f.good("dialplan", "render", "--conf", "conf", "--prefix", "+1415", "--with", "last"); !strings.Contains(out, "dialplan/public/zz_signalbox.xml") || !strings.Contains(out, "reloadxml") {
		t.Errorf("it does not say what it did:\n%s", out)
	}
	if out := f.good("dialplan", "trace", "--conf", "conf", "--destination", "+14155550100", "--field", "uuid=abc"); !strings.Contains(out, "socket(127.0.0.1:8084 async full)") {
		t.Errorf("the call does not come to the sidecar:\n%s", out)
	}
	// Another sidecar, by its configuration, changes one line.
	f.write("other.yaml", strings.Replace(settings, "listen: 127.0.0.1:0\ntoken", "listen: 0.0.0.0:9084\ntoken", 1))
	again := f.good("dialplan", "render", "--conf", "conf", "--prefix", "+1415", "--with", "last", "--config", "other.yaml", "--dry-run")
	if strings.Count(again, "\n-") != 1 || !strings.Contains(again, `+      <action application="socket" data="127.0.0.1:9084 async full"/>`) {
		t.Errorf("not one line:\n%s", again)
	}
	// A number that an extension before ours takes.
	taken := f.run("", "dialplan", "render", "--conf", "conf", "--try", "+12125550123", "--dry-run")
	if !strings.Contains(taken.err, `"own"`) || !strings.Contains(taken.err, "conf/dialplan/public/01_own.xml:4") {
		t.Errorf("it does not say who takes the number: %s", taken.err)
	}
	if out := f.good("dialplan", "render", "--conf", "conf", "--undo", "--dry-run"); !strings.Contains(out, "+++ /dev/null") || !exists("dialplan/signalbox.xml") {
		t.Errorf("a dry undo:\n%s", out)
	}
	f.good("dialplan", "render", "--conf", "conf", "--undo")
	if exists("dialplan/signalbox.xml") || exists("dialplan/public/05_signalbox.xml") || exists(".signalbox-render.json") {
		t.Error("something is left")
	}
}
