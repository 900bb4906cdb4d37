package trace

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/signalbox/signalbox/dialplan"
	"github.com/signalbox/signalbox/dialplan/internal/realswitch"
)

var update = flag.Bool("update", false, "write what the real FreeSWITCH made of testdata/invites")

// understood is what FreeSWITCH made of an INVITE.
type understood struct {
	Version                                   string `json:"version"`
	Destination, CallerIDNumber, CallerIDName string
	Fields, Vars                              map[string]string
}

// TestInvitesAreReadAsFreeSWITCHReadsThem compares with what the real one made of the same messages. It knows more: where
// a message came from, its SIP profile. Whatever is said here has to be the same there.
func TestInvitesAreReadAsFreeSWITCHReadsThem(t *testing.T) {
	files, err := filepath.Glob("testdata/invites/*.sip")
	if err != nil || len(files) < 3 {
		t.Fatalf("%d INVITEs, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			data, err := os.ReadFile(strings.TrimSuffix(file, ".sip") + ".json")
			if err != nil {
				t.Fatal(err)
			}
			var want understood
			if err := json.Unmarshal(data, &want); err != nil {
				t.Fatal(err)
			}
			sameCall(t, string(text), want)
		})
	}
}

func sameCall(t *testing.T, text string, want understood) {
	t.Helper()
	c, err := ReadInvite(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	if c.Destination != want.Destination || c.CallerIDNumber != want.CallerIDNumber || c.CallerIDName != want.CallerIDName {
		t.Errorf("got %q from %q %q, FreeSWITCH has %q from %q %q", c.Destination, c.CallerIDNumber, c.CallerIDName, want.Destination, want.CallerIDNumber, want.CallerIDName)
	}
	for name, value := range c.Fields {
		if want.Fields[name] != value {
			t.Errorf("field %s: got %q, FreeSWITCH has %q", name, value, want.Fields[name])
		}
	}
	vars := c.Vars.(*dialplan.Vars).All()
	for name, value := range vars {
		if want.Vars[name] != value {
			t.Errorf("%s: got %q, FreeSWITCH has %q", name, value, want.Vars[name])
		}
	}
	// What a dialplan asks for most has to be there.
	for name := range want.Vars {
		if slices.ContainsFunc([]string{"sip_h_", "sip_from_user", "sip_from_host", "sip_to_user", "sip_req_", "sip_call_id", "sip_history"}, func(p string) bool { return strings.HasPrefix(name, p) }) {
			if _, ok := vars[name]; !ok {
				t.Errorf("%s is missing, FreeSWITCH has %q", name, want.Vars[name])
			}
		}
	}
}

// TestInvitesOnRealFreeSWITCH sends them to the real one, and with -update keeps what it made of them.
func TestInvitesOnRealFreeSWITCH(t *testing.T) {
	fs := realswitch.Start(t, `<context name="public"><extension name="all"><condition><action application="park"/></condition></extension></context>`)
	fs.Command("event plain CHANNEL_PARK")
	files, err := filepath.Glob("testdata/invites/*.sip")
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("udp", fs.SIP)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		head, body, _ := strings.Cut(string(text), "\n\n")
		body = strings.ReplaceAll(body, "\n", "\r\n")
		head = strings.Replace(strings.ReplaceAll(head, "\n", "\r\n"), "Content-Length: 0", fmt.Sprintf("Content-Length: %d", len(body)), 1)
		if _, err := conn.Write([]byte(head + "\r\n\r\n" + body)); err != nil {
			t.Fatal(err)
		}
		event := fs.Await(func(e url.Values) bool { return e.Get("Event-Name") == "CHANNEL_PARK" })
		c, err := dialplan.ReadDump(strings.NewReader(fs.API("uuid_dump " + event.Get("Unique-ID") + " json")))
		if err != nil {
			t.Fatal(err)
		}
		// The dump as text is the same call.
		plain, err := dialplan.ReadDump(strings.NewReader(fs.API("uuid_dump " + event.Get("Unique-ID"))))
		if err != nil {
			t.Fatal(err)
		}
		lines := func(s string) string { return strings.TrimRight(strings.ReplaceAll(s, "\r", ""), "\n") }
		for name, value := range c.Vars.(*dialplan.Vars).All() {
			if other, _ := plain.Vars.Get(name); lines(other) != lines(value) && !strings.Contains(name, "msec") {
				t.Errorf("%s: %q in text, %q in JSON", name, other, value)
			}
		}
		if plain.Destination != c.Destination || plain.Context != c.Context || plain.Fields["network_addr"] != c.Fields["network_addr"] {
			t.Errorf("text gives %+v, JSON %+v", plain, c)
		}
		got := understood{Version: fs.Version(), Destination: c.Destination, CallerIDNumber: c.CallerIDNumber, CallerIDName: c.CallerIDName, Fields: map[string]string{}, Vars: map[string]string{}}
		for _, name := range []string{"username", "dialplan", "ani", "source", "privacy_hide_name", "privacy_hide_number"} {
			got.Fields[name] = c.Fields[name]
		}
		for name, value := range c.Vars.(*dialplan.Vars).All() {
			own := strings.HasPrefix(name, "sip_") || slices.Contains([]string{"switch_r_sdp", "endpoint_disposition", "max_forwards"}, name)
			if own && !differs.MatchString(name) {
				got.Vars[name] = value
			}
		}
		if *update {
			data, err := json.MarshalIndent(got, "", " ")
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(strings.TrimSuffix(file, ".sip")+".json", append(data, '\n'), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		t.Run(filepath.Base(file), func(t *testing.T) { sameCall(t, string(text), got) })
		fs.API("uuid_kill " + event.Get("Unique-ID"))
	}
}

// differs are variables that no two calls share, or that speak of the machine.
var differs = regexp.MustCompile(`^sip_(to_tag|full_to|full_via|via_rport|invite_stamp|received_.*|network_.*|local_.*)$`)

func TestMessagesThatAreNoInvitesAreRefused(t *testing.T) {
	for _, text := range []string{"", "INVITE\n\n", "OPTIONS sip:a@b SIP/2.0\n\n", "INVITE sip:a@b SIP/2.0\nno header\n\n", "\x00\xff"} {
		if _, err := ReadInvite(strings.NewReader(text)); !errors.Is(err, ErrInvite) {
			t.Errorf("%q: %v, want ErrInvite", text, err)
		}
	}
	if _, err := ReadInvite(strings.NewReader("INVITE sip:a@b SIP/2.0\nX-Y: " + strings.Repeat("x", 70000))); !errors.Is(err, dialplan.ErrLimit) {
		t.Errorf("a large message: %v, want ErrLimit", err)
	}
}
