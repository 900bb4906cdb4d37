package main

import (
	"encoding/json"
	"strings"
	"testing"
)

const faulty = `<include>
  <context name="public">
    <extension name="a">
      <condition field="destination_number" expression="^1000$">
        <action application="set" data="hangup_after_brige=true"/>
        <action application="log" data="INFO $1"/>
      </condition>
    </extension>
  </context>
</include>
`

func TestLintFindsFaultsAndItsExitStatusSaysSo(t *testing.T) {
	t.Parallel()
	f := newFolder(t)
	f.write("faulty.xml", faulty)
	r := f.run("", "dialplan", "lint", "--conf", "faulty.xml")
	if r.status != 1 || !strings.Contains(r.out, "faulty.xml:6:35: error: $1 stays as it is") || !strings.Contains(r.out, "faulty.xml:5:35: warning: ") || !strings.Contains(r.err, "1 of severity error") {
		t.Errorf("exit status %d\n%s%s", r.status, r.out, r.err)
	}
	if r := f.run("", "dialplan", "lint", "--conf", "faulty.xml", "--disable", "capture-missing"); r.status != 0 {
		t.Errorf("a warning ends with status %d: %s", r.status, r.err)
	}
	if r := f.run("", "dialplan", "lint", "--conf", "faulty.xml", "--disable", "capture-missing", "--fail-on", "warning"); r.status != 1 {
		t.Error("--fail-on warning takes a warning for good")
	}
	for _, format := range []string{"json", "sarif"} {
		if out := f.good("dialplan", "lint", "--conf", "faulty.xml", "--fail-on", "never", "--format", format); !json.Valid([]byte(out)) || !strings.Contains(out, "variable-misspelt") {
			t.Errorf("%s: %s", format, out)
		}
	}
	if out := f.good("dialplan", "lint", "--rules"); !strings.Contains(out, "toll-fraud ") {
		t.Errorf("--rules: %s", out)
	}
}
