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

// What conferences lack in FreeSWITCH's conf folder is said with the lines to add.
func TestCheckConfigLooksAtTheConfFolder(t *testing.T) {
	t.Parallel()
	f := newFolder(t)
	f.conf()
	f.write("signalbox.yaml", strings.ReplaceAll(settings, "0123456789abcdef0123456789abcdef", "fedcba9876543210fedcba9876543210")+"\nconference: {music: sounds/wait.wav, voice: {engine: flite, name: slt}}\n")
	f.write("conf/freeswitch.xml", "<document>\n<section name=\"configuration\">\n<configuration name=\"modules.conf\">\n<modules>\n<load module=\"mod_sndfile\"/>\n</modules>\n</configuration>\n</section>\n<section name=\"dialplan\">\n<context name=\"public\"/>\n</section>\n</document>\n")
	r := f.run("", "check-config", "--quiet", "--conf", "conf")
	for _, want := range []string{"warning: conference-profile: mod_conference is not loaded", `<load module="mod_conference"/>`, "warning: conference-music: ", "/conf/sounds/wait.wav (conference.music) is not there",
		"warning: conference-voice: mod_flite is not loaded", "warning: prompts: ", "--with sounds"} {
		if !strings.Contains(r.err, want) {
			t.Errorf("standard error lacks %q:\n%s", want, r.err)
		}
	}
	if r.status != 0 || r.out != "" {
		t.Errorf("status %d, %q", r.status, r.out)
	}
	if r := f.run("", "check-config", "--conf", "nowhere"); r.status != 1 || !strings.Contains(r.err, "--conf") {
		t.Errorf("no such folder: status %d, %q", r.status, r.err)
	}
}
