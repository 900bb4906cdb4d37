package config

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const example = "../../examples/signalbox.yaml"

func TestTheExampleLoads(t *testing.T) {
	c, err := Load(example, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := c.Nodes[0].SIP.String(); got != "127.0.0.1:5080" {
		t.Errorf("nodes[0].sip = %s", got)
	}
	if got := c.Proxy.Listen[1]; got != (Listen{"tcp", "127.0.0.1:5090"}) {
		t.Errorf("proxy.listen[1] = %v", got)
	}
	if got, want := c.Store.SQLite, filepath.Join(filepath.Dir(example), "signalbox.db"); got != want {
		t.Errorf("store.sqlite = %s, want %s", got, want)
	}
	if c.Voicemail.ProgressTimeout != 4*time.Second {
		t.Errorf("a key that is left out has no default: %s", c.Voicemail.ProgressTimeout)
	}
}

// TestDefaultPortsDoNotCollideWithVanilla holds the ports that a vanilla FreeSWITCH on the same host uses.
func TestDefaultPortsDoNotCollideWithVanilla(t *testing.T) {
	c := Default()
	addrs := []string{c.Sidecar.Listen, c.HTTP.Listen, c.HTTP.ProxyListen}
	for _, l := range c.Proxy.Listen {
		addrs = append(addrs, l.Addr)
	}
	for _, addr := range addrs {
		for _, taken := range []string{":5060", ":5061", ":5066", ":5070", ":5080", ":5081", ":7443", ":8021", ":8081", ":8082"} {
			if strings.HasSuffix(addr, taken) {
				t.Errorf("default %s is a port of vanilla FreeSWITCH", addr)
			}
		}
	}
}

// TestEachFaultIsNamed loads one bad file for each rule; the first line of each says what the error must contain.
func TestEachFaultIsNamed(t *testing.T) {
	files, err := filepath.Glob("testdata/bad/*.yaml")
	if err != nil || len(files) < 20 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		first, _, _ := strings.Cut(string(text), "\n")
		wants := strings.Split(strings.TrimPrefix(first, "# "), " && ")
		_, err = Load(file, nil)
		if err == nil {
			t.Errorf("%s loaded", file)
			continue
		}
		for _, want := range wants {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: error does not say %q:\n%v", file, want, err)
			}
		}
	}
}

func TestEnvironmentOverridesAndSecretsStayHidden(t *testing.T) {
	environ := []string{
		"SIGNALBOX_NODES_0_EVENT_SOCKET_PASSWORD=from-the-environment",
		"SIGNALBOX_VOICEMAIL_TOTAL_TIMEOUT=12s",
		"SIGNALBOX_PROXY_TRUNKS_0_SCREENING=enforce",
		"SIGNALBOX_FREESWITCH=/usr/bin/freeswitch",
		"SIGNALBOX_DOCTOR_PASSWORD=of doctor --freeswitch",
		"HOME=/root",
	}
	c, err := Load(example, environ)
	if err != nil {
		t.Fatal(err)
	}
	if got := c.Nodes[0].EventSocket.Password.Reveal(); got != "from-the-environment" {
		t.Errorf("password = %q", got)
	}
	if c.Voicemail.TotalTimeout != 12*time.Second || c.Proxy.Trunks[0].Screening != "enforce" {
		t.Errorf("total_timeout %s, screening %s", c.Voicemail.TotalTimeout, c.Proxy.Trunks[0].Screening)
	}
	for _, text := range []string{fmt.Sprintf("%v %+v %#v", c, c, c), fmt.Sprint(Keys(c))} {
		if strings.Contains(text, "from-the-environment") || strings.Contains(text, "0123456789abcdef") {
			t.Error("a secret is printed")
		}
	}
}

func TestAMisspeltVariableIsAnError(t *testing.T) {
	_, err := Load(example, []string{"SIGNALBOX_VOICEMAIL_TOTALTIMEOUT=12s"})
	if err == nil || !strings.Contains(err.Error(), "SIGNALBOX_VOICEMAIL_TOTALTIMEOUT") {
		t.Errorf("error %v", err)
	}
	_, err = Load(example, []string{"SIGNALBOX_VOICEMAIL_TOTAL_TIMEOUT=soon"})
	if err == nil || !strings.Contains(err.Error(), "voicemail.total_timeout") {
		t.Errorf("error %v", err)
	}
}

func TestAnEmptyFileMeansTheDefaults(t *testing.T) {
	for _, text := range []string{"", "# all by default\n", "---\n"} {
		c, err := Parse([]byte(text))
		if err != nil || c.Sidecar.Listen != Default().Sidecar.Listen {
			t.Errorf("%q: %+v, %v", text, c, err)
		}
	}
}

func TestASecretMayStandInAFile(t *testing.T) {
	dir := t.TempDir()
	text, err := os.ReadFile(example)
	if err != nil {
		t.Fatal(err)
	}
	yaml := strings.Replace(string(text), "password: change-me", "password_file: fs1.password", 1)
	if err := os.WriteFile(filepath.Join(dir, "signalbox.yaml"), []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(filepath.Join(dir, "signalbox.yaml"), nil); err == nil || !strings.Contains(err.Error(), "nodes[0].event_socket.password_file") {
		t.Errorf("missing secret file: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "fs1.password"), []byte("s3cret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := Load(filepath.Join(dir, "signalbox.yaml"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := c.Nodes[0].EventSocket.Password.Reveal(); got != "s3cret" {
		t.Errorf("password %q", got)
	}
}

// TestEveryKeyIsDocumentedAndTheReverse compares docs/configuration.md with the keys of a configuration that has one of
// everything.
func TestEveryKeyIsDocumentedAndTheReverse(t *testing.T) {
	text, err := os.ReadFile("../../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := map[string]bool{}
	for line := range strings.Lines(string(text)) {
		if cells := strings.Split(line, "|"); len(cells) > 3 {
			key := strings.Trim(strings.TrimSpace(cells[1]), "`")
			if key != "" && key != "key" && !strings.HasPrefix(key, "-") {
				documented[key] = true
			}
		}
	}
	c := Default()
	c.Nodes = []Node{{}}
	c.Proxy.Trunks = []Trunk{{}}
	c.Token.Keys = []Key{{}}
	c.Screening.Deny = []Deny{{}}
	c.API.Webhooks, c.Voicemail.Mailboxes, c.Directory.Domains = []Webhook{{}}, []MailboxSystem{{}}, []Domain{{}}
	c.DNS.Servers, c.Proxy.Devices.Origins, c.Proxy.Devices.Listen = []string{""}, []string{""}, []Listen{{}}
	c.Conference.AccessNumbers = []string{""}
	known := map[string]bool{}
	for _, row := range Keys(&c) {
		known[listless(row[0])] = true
	}
	known["nodes[].prefixes"], known["proxy.trunks[].prefixes"] = true, true // empty above
	for key := range known {
		if !documented[key] {
			t.Errorf("key %s is not in docs/configuration.md", key)
		}
	}
	for key := range documented {
		if !known[key] {
			t.Errorf("docs/configuration.md names %s, which is no key", key)
		}
	}
}

// listless writes nodes[0].name as nodes[].name, and a list of scalars as its own name.
func listless(key string) string {
	for i := range 10 {
		key = strings.ReplaceAll(key, fmt.Sprintf("[%d]", i), "[]")
	}
	return strings.TrimSuffix(key, "[]")
}

func FuzzParse(f *testing.F) {
	text, err := os.ReadFile(example)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add([]byte("nodes: [{sip: x}]"))
	f.Add([]byte("a: &a [*a]"))
	f.Fuzz(func(_ *testing.T, text []byte) {
		if c, err := Parse(text); err == nil {
			_ = c.Validate()
		}
	})
}
