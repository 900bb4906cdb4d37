package fssim

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestCallsByAGateway(t *testing.T) {
	conf := t.TempDir()
	folder := filepath.Join(conf, "sip_profiles", "external")
	if err := os.MkdirAll(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	s := startSwitch(t, Options{Globals: map[string]string{"conf_dir": conf}})
	in := link(t, s)
	write := func(port string) {
		xml := `<include>` + "\n" + `<gateway name="people"><param name="realm" value="127.0.0.1:` + port + `"/><param name="register" value="false"/>` +
			`<param name="caller-id-in-from" value="true"/></gateway>` + "\n</include>\n"
		if err := os.WriteFile(filepath.Join(folder, "people.xml"), []byte(xml), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if got := in.api("sofia status gateway people"); got != "Invalid Gateway!\n" {
		t.Errorf("a gateway before the scan: %q", got)
	}
	if _, cs := s.sofiaDestination("gateway/people/+4930123"); cs.String() != "INVALID_GATEWAY" {
		t.Errorf("a call by it: %s", cs)
	}
	for _, port := range []string{"5999", "5998"} { // one that is there stays as it is
		write(port)
		if got := in.api("sofia profile external rescan"); !strings.HasSuffix(got, "+OK scan complete\n") {
			t.Errorf("rescan: %q", got)
		}
		if got := in.api("sofia status gateway people"); !strings.Contains(got, "State   \tNOREG\n") {
			t.Errorf("the gateway: %q", got)
		}
		if d, cs := s.sofiaDestination("gateway/people/+4930123"); cs != causeSuccess || d[0].uri != "sip:+4930123@127.0.0.1:5999" || d[0].prof != s.external {
			t.Errorf("a call by it goes to %+v, %s", d, cs)
		}
	}
}

// What is said to one member is said one behind the other, ends for him alone, and nobody else's ends with it.
func TestSoundsOfOneMember(t *testing.T) {
	side := newSidecar(t)
	s := startSwitch(t, shipped(t, side.addr()))
	in := link(t, s)
	in.cmd("event plain CUSTOM conference::maintenance")
	_, _, _, c, _ := answeredCall(t, s, side)
	c.start("conference", "room@signalbox")
	confEvents(in, "floor-change")
	const long, short = "tone_stream://%(60000,0,500)", "tone_stream://%(100,0,500)"
	for _, p := range []struct{ command, want string }{
		{"play " + long + " 1", "+OK (play) Playing file " + long + " to member 1\n"}, {"play " + short + " 1", "+OK (play) Playing file " + short + " to member 1\n"},
		{"stop all 1", "+OK Stopped 2 files.\n"}, {"stop all 1", "+OK Stopped 0 files.\n"}, {"stop all 7", "-ERR Member: 7 not found.\n"},
		{"play " + long, "+OK (play) Playing file " + long + "\n"}, {"stop all 1", "+OK Stopped 0 files.\n"}, {"stop all", "+OK Stopped 1 files.\n"},
		{"play " + short + " 1", "+OK (play) Playing file " + short + " to member 1\n"},
	} {
		if got := in.api("conference room " + p.command); got != p.want {
			t.Errorf("%s: %q, want %q", p.command, got, p.want)
		}
	}
	confEvents(in, "play-file-member-done")
}
