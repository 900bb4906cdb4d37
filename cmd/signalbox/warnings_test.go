package main

import (
	"encoding/json"
	"strings"
	"testing"
)

// A warning never spoils what a script reads from standard output, and a good configuration has none.
func TestCheckConfigWarnsOnStandardError(t *testing.T) {
	t.Parallel()
	f := newFolder(t)
	mine := strings.ReplaceAll(settings, "0123456789abcdef0123456789abcdef", "fedcba9876543210fedcba9876543210")
	f.write("signalbox.yaml", mine)
	if r := f.run("", "check-config"); r.status != 0 || r.err != "" {
		t.Errorf("a good configuration: status %d, %q", r.status, r.err)
	}
	f.write("signalbox.yaml", strings.NewReplacer("very-secret", "ClueCon", "    - {name: carrier, prefixes: [203.0.113.0/28], screening: enforce}", "    []").Replace(settings))
	r := f.run("", "check-config", "--format", "json")
	if r.status != 0 || !json.Valid([]byte(r.out)) {
		t.Errorf("status %d, %s", r.status, r.out)
	}
	for _, want := range []string{"warning: nodes[0].event_socket.password is ClueCon", "warning: proxy.trunks is empty", "warning: token.keys[0].secret is the one of examples/signalbox.yaml"} {
		if strings.Count(r.err, want) != 1 {
			t.Errorf("standard error lacks %q:\n%s", want, r.err)
		}
	}
	if strings.Contains(r.out+r.err, "0123456789abcdef") {
		t.Errorf("a secret in clear:\n%s%s", r.out, r.err)
	}
}
