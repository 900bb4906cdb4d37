package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/app"
	"github.com/signalbox/signalbox/internal/bulk"
	"github.com/signalbox/signalbox/internal/call"
	"github.com/signalbox/signalbox/internal/config"
	"github.com/signalbox/signalbox/internal/export"
)

// asProgram makes the test binary the program itself.
const asProgram = "TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// result is what a command line did.
type result struct {
	status   int
	out, err string
}

// folder is an operator's: a configuration, and an empty store beside it.
type folder struct {
	t   *testing.T
	dir string
}

const settings = `region: US
http: {listen: "127.0.0.1:0"}
domain: pbx.example.net
nodes:
  - name: fs1
    sip: 127.0.0.1:5080
    event_socket: {addr: "127.0.0.1:1", password: very-secret}
proxy:
  listen: ["udp:127.0.0.1:0", "tcp:127.0.0.1:0"]
  trunks:
    - {name: carrier, prefixes: [203.0.113.0/28], screening: enforce}
sidecar:
  listen: 127.0.0.1:0
token:
  keys: [{id: k1, secret: 0123456789abcdef0123456789abcdef}]
screening:
  deny: [{number: "+12125550199", reason: spam}]
`

const provisioned = `accounts:
  - {id: ada, name: Ada Lovelace}
numbers:
  - number: "+14155550100"
    account: ada
    devices: [{user: "1000", host: pbx.example.net}]
    voicemail: {pilot: "+18056377243", conditions: [no-answer, busy]}
pilots:
  - {number: "+18056377243", systems: [{fqdn: vm.example.net, priority: 10}]}
voicemail_systems:
  - {fqdn: vm.example.net, transport: tcp}
`

func newFolder(t *testing.T) folder {
	t.Helper()
	f := folder{t, t.TempDir()}
	f.write("signalbox.yaml", settings)
	f.write("provision.yaml", provisioned)
	return f
}

func (f folder) write(name, text string) {
	f.t.Helper()
	if err := os.WriteFile(filepath.Join(f.dir, name), []byte(text), 0o600); err != nil {
		f.t.Fatal(err)
	}
}

func (f folder) command(ctx context.Context, args ...string) *exec.Cmd {
	f.t.Helper()
	self, err := os.Executable()
	if err != nil {
		f.t.Fatal(err)
	}
	c := exec.CommandContext(ctx, self, args...)
	c.Dir = f.dir
	c.Env = []string{asProgram + "=1", "HOME=" + f.dir, "PATH=/nowhere", "GORACE=atexit_sleep_ms=0"}
	return c
}

// run runs a command line in the folder.
func (f folder) run(stdin string, args ...string) result {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(f.t.Context(), 30*time.Second)
	defer cancel()
	var out, errs bytes.Buffer
	c := f.command(ctx, args...)
	c.Stdin, c.Stdout, c.Stderr = strings.NewReader(stdin), &out, &errs
	err := c.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		f.t.Fatal(err)
	}
	return result{c.ProcessState.ExitCode(), out.String(), errs.String()}
}

// good runs a command line that has to succeed, and returns its output.
func (f folder) good(args ...string) string {
	f.t.Helper()
	r := f.run("", args...)
	if r.status != 0 {
		f.t.Fatalf("%s: exit status %d: %s", strings.Join(args, " "), r.status, r.err)
	}
	return r.out
}

const invite = "INVITE sip:+14155550100@203.0.113.1 SIP/2.0\r\nVia: SIP/2.0/UDP 203.0.113.2:5060;branch=z9hG4bK1\r\n" +
	"From: <sip:+12125550199@203.0.113.2>;tag=1\r\nTo: <sip:+14155550100@203.0.113.1>\r\nCall-ID: 1@203.0.113.2\r\nCSeq: 1 INVITE\r\n" +
	"Contact: <sip:203.0.113.2>\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"

func TestWrongInputIsOneClearSentenceAndExitStatusOne(t *testing.T) {
	t.Parallel()
	f := newFolder(t)
	f.write("bad.yaml", "region: US\nno_such_key: 1\n")
	f.write("invalid.yaml", "region: nowhere\n")
	f.write("bad-provision.yaml", "numbers:\n  - {number: \"12\", account: nobody}\n")
	f.write("dialplan.xml", `<include><context name="public"><extension name="a"><condition field="destination_number" expression="(("><action application="hangup"/></condition></extension></context></include>`)
	for _, tt := range []struct {
		args  []string
		stdin string
		want  []string // of the one sentence on standard error
	}{
		{args: nil, want: []string{"expected one of", "signalbox --help"}},
		{args: []string{"nonsense"}, want: []string{"nonsense", "signalbox --help"}},
		{args: []string{"serve", "--role", "everything"}, want: []string{"--role", "everything", "signalbox serve --help"}},
		{args: []string{"provision", "apply"}, want: []string{"<file>", "signalbox provision apply --help"}},
		{args: []string{"check-config", "-c", "none.yaml"}, want: []string{"none.yaml", "no such file", "--config"}},
		{args: []string{"check-config", "-c", "bad.yaml"}, want: []string{"bad.yaml", "no_such_key", "2"}},
		{args: []string{"check-config", "-c", "invalid.yaml"}, want: []string{"invalid.yaml", "region", "ISO 3166"}},
		{args: []string{"serve", "-c", "bad.yaml"}, want: []string{"bad.yaml", "no_such_key"}},
		{args: []string{"explain", "--from", "+12125550123"}, want: []string{"--to", "signalbox explain --help"}},
		{args: []string{"explain", "--from", "+12125550123", "--to", "1000"}, want: []string{"--to", "1000", "+14155550100"}},
		{args: []string{"explain", "--from", "+12125550123", "--to", "+14155550100", "--spoofed", "5"}, want: []string{"--spoofed 5", "0 to 1"}},
		{args: []string{"explain", "--from", "+12125550123", "--to", "+14155550100", "--diversion", "+14155550101"}, want: []string{"--diversion", "<sip:+14155550100@"}},
		{args: []string{"dialplan", "trace", "--conf", ".", "--destination", "1"}, want: []string{"holds no freeswitch.xml", "/etc/freeswitch"}},
		{args: []string{"dialplan", "trace", "--conf", "x.xml", "--destination", "1", "--at", "noon"}, want: []string{"--at", "2026-12-24T18:00:00+01:00"}},
		{args: []string{"contacts", "export", "adda"}, want: []string{"account adda: not found among those of tenant operator", "--tenant"}},
		{args: []string{"provision", "apply", "none.yaml"}, want: []string{"none.yaml", "no such file"}},
		{args: []string{"provision", "apply", "signalbox.yaml"}, want: []string{"signalbox.yaml: line 1: region: no such key; there are tenant"}},
		{args: []string{"provision", "apply", "bad-provision.yaml"}, want: []string{"bad-provision.yaml", "numbers[0].number", `"12"`, "+14155550100"}},
		{args: []string{"provision", "apply", "-"}, stdin: "accounts: 7", want: []string{"-"}},
		{args: []string{"records", "--limit", "0"}, want: []string{"--limit 0", "1 to 10000"}},
		{args: []string{"records", "--limit", "many"}, want: []string{"--limit", "many"}},
		{args: []string{"screen"}, stdin: "hello", want: []string{"standard input", "malformed"}},
		{args: []string{"screen", "--trunk", "none"}, stdin: invite, want: []string{"--trunk none", "no such trunk"}},
		{args: []string{"dialplan", "trace", "--destination", "1"}, want: []string{"--conf", "signalbox dialplan trace --help"}},
		{args: []string{"dialplan", "trace", "--conf", "none.xml", "--destination", "1"}, want: []string{"none.xml", "no such file"}},
		{args: []string{"dialplan", "trace", "--conf", "signalbox.yaml", "--destination", "1"}, want: []string{"signalbox.yaml"}},
		{args: []string{"doctor", "-c", "none.yaml"}, want: []string{"none.yaml", "no such file"}},
		{args: []string{"doctor", "--freeswitch", "127.0.0.1:1"}, want: []string{"--password-file", "SIGNALBOX_DOCTOR_PASSWORD"}},
		{args: []string{"doctor", "--freeswitch", "127.0.0.1:1", "--password-file", "none"}, want: []string{"--password-file", "none"}},
		{args: []string{"doctor", "--freeswitch", "localhost"}, want: []string{"--freeswitch localhost", "HOST:PORT"}},
		{args: []string{"dialplan", "lint"}, want: []string{"--conf", "signalbox dialplan lint --help"}},
		{args: []string{"dialplan", "lint", "--conf", "none.xml"}, want: []string{"none.xml", "no such file"}},
		{args: []string{"dialplan", "lint", "--conf", "none.xml", "--disable", "no-such"}, want: []string{"no-such", "--rules"}},
		{args: []string{"dialplan", "render"}, want: []string{"--conf", "signalbox dialplan render --help"}},
		{args: []string{"dialplan", "render", "--conf", "none"}, want: []string{"none", "no such file"}},
		{args: []string{"dialplan", "render", "--conf", "."}, want: []string{"holds no freeswitch.xml", "/etc/freeswitch"}},
		{args: []string{"dialplan", "render", "--conf", ".", "--undo"}, want: []string{"holds nothing that signalbox dialplan render has written"}},
		{args: []string{"dialplan", "render", "--conf", ".", "--socket", "192.0.2.1:8084"}, want: []string{"192.0.2.1:8084", "not on this machine"}},
		{args: []string{"lab", "--story", "none"}, want: []string{"none"}},
		{args: []string{"simulator", "--conf", "none"}, want: []string{"none"}},
	} {
		r := f.run(tt.stdin, tt.args...)
		line := strings.Join(tt.args, " ")
		if r.status != 1 {
			t.Errorf("%q: exit status %d, want 1\n%s", line, r.status, r.err)
		}
		if r.out != "" {
			t.Errorf("%q: standard output is not empty: %s", line, r.out)
		}
		if !strings.Contains(r.err, "signalbox: ") || strings.Contains(r.err, "panic") || strings.Contains(r.err, "goroutine") {
			t.Errorf("%q: %s", line, r.err)
		}
		for _, want := range tt.want {
			if !strings.Contains(r.err, want) {
				t.Errorf("%q does not say %q: %s", line, want, r.err)
			}
		}
	}
	// A refused provisioning has changed nothing.
	if out := f.good("provision", "export"); strings.Contains(out, "12") {
		t.Errorf("the store holds what was refused:\n%s", out)
	}
}

func TestExportHasHashesWhenAskedForAlone(t *testing.T) {
	t.Parallel()
	f := newFolder(t)
	const hash = "0123456789abcdef0123456789abcdef"
	f.write("phone.yaml", "accounts: [{id: ada}]\nnumbers: [{number: '+14155550100', account: ada, devices: [{user: '1000', host: pbx.example.net, a1_hash: "+hash+"}]}]\n")
	f.good("provision", "apply", "phone.yaml")
	exported := f.good("provision", "export")
	if strings.Contains(exported, hash) || strings.Contains(f.good("provision", "export", "--format", "jsonl"), hash) {
		t.Errorf("exported is\n%s", exported)
	}
	for tenant, want := range map[string]string{"operator": "", "opertor": "note: tenant opertor never had a row; those that had: operator\n"} {
		if r := f.run("", "provision", "export", "--tenant", tenant); r.status != 0 || r.err != want {
			t.Errorf("export of %s says %q, want %q", tenant, r.err, want)
		}
	}
	f.write("exported.yaml", exported)
	if out := f.good("provision", "apply", "exported.yaml"); out != "no change\n" {
		t.Errorf("applied again it says\n%s", out)
	}
	if out := f.good("provision", "export", "--secrets"); !strings.Contains(out, hash) {
		t.Errorf("with secrets is exported\n%s", out)
	}
}

func TestProvisionRoundTrip(t *testing.T) {
	t.Parallel()
	f := newFolder(t)
	if out := f.good("provision", "apply", "provision.yaml"); !strings.Contains(out, "+ number +14155550100 (account ada)") {
		t.Errorf("apply says\n%s", out)
	}
	if out := f.good("provision", "apply", "provision.yaml"); out != "no change\n" {
		t.Errorf("applied again it says\n%s", out)
	}
	exported := f.good("provision", "export")
	other := newFolder(t)
	if r := other.run(exported, "provision", "apply", "-"); r.status != 0 || !strings.Contains(r.out, "+ account ada") {
		t.Errorf("the export, applied elsewhere: %+v", r)
	}
	if out := other.good("provision", "export"); out != exported {
		t.Errorf("exported again:\n%s\nwant\n%s", out, exported)
	}
	other.write("smaller.yaml", strings.Replace("prune: true\n"+exported, "Ada Lovelace", "Ada King", 1))
	var changes bulk.Plan
	if err := json.Unmarshal([]byte(other.good("provision", "apply", "smaller.yaml", "--format", "json")), &changes); err != nil {
		t.Fatal(err)
	}
	if len(changes.Added)+len(changes.Removed) != 0 || len(changes.Changed) == 0 || !strings.Contains(changes.Changed[0].Line, "account ada") {
		t.Errorf("a changed name: %+v", changes)
	}
}

func TestExplain(t *testing.T) {
	t.Parallel()
	f := newFolder(t)
	f.good("provision", "apply", "provision.yaml")
	text := f.good("explain", "--from", "+12125550123", "--to", "(415) 555-0100")
	for _, want := range []string{"A call from +12125550123 to +14155550100", "1. ring", "2. mailbox", "INVITE sip:+18056377243@vm.example.net over tcp", "busy            -> then step 2, cause=486"} {
		if !strings.Contains(text, want) {
			t.Errorf("explain does not say %q:\n%s", want, text)
		}
	}
	var explained explanation
	if err := json.Unmarshal([]byte(f.good("explain", "--from", "anonymous", "--to", "+14155550100", "--format", "json")), &explained); err != nil {
		t.Fatal(err)
	}
	if !explained.Arrival.Caller.Withheld || explained.Plan.Account != "ada" || len(explained.Branches) == 0 {
		t.Errorf("as JSON: %+v", explained)
	}
	if text := f.good("explain", "--from", "+12125550123", "--to", "+14155550199"); !strings.Contains(text, "no account owns the number") {
		t.Errorf("a number that nobody has:\n%s", text)
	}
	args := []string{"explain", "--from", "+12125550123", "--to", "+14155550100"}
	for range 2 {
		args = append(args, "--diversion", "<sip:+14155550100@h>;reason=no-answer, <sip:+14155550101@h>;reason=user-busy")
	}
	if text := f.good(args...); !strings.Contains(text, "diverted 4 times before") || !strings.Contains(text, "SIP 482 Loop Detected") {
		t.Errorf("a loop:\n%s", text)
	}
	if text := f.good("explain", "--from", "${system(touch x)}", "--to", "+14155550100"); !strings.Contains(text, "1. ring") {
		t.Errorf("a hostile caller:\n%s", text)
	}
}

func TestScreen(t *testing.T) {
	t.Parallel()
	f := newFolder(t)
	for _, trunk := range [][]string{nil, {"--trunk", "carrier"}} {
		r := f.run(invite, append([]string{"screen"}, trunk...)...)
		if r.status != 0 || !strings.Contains(r.out, "spam") {
			t.Errorf("%v: %+v", trunk, r)
		}
	}
	r := f.run(invite, "screen", "--trunk", "carrier", "--format", "json")
	var report map[string]any
	if err := json.Unmarshal([]byte(r.out), &report); err != nil || r.status != 0 {
		t.Fatalf("%v: %+v", err, r)
	}
	if !strings.Contains(r.out, "603") {
		t.Errorf("a denied caller of an enforcing trunk is not refused:\n%s", r.out)
	}
	r = f.run(strings.ReplaceAll(invite, "+12125550199", "+12125550123"), "screen", "--trunk", "carrier", "--format", "json")
	if r.status != 0 || strings.Contains(r.out, "603") {
		t.Errorf("an ordinary caller: %+v", r)
	}
}

func TestRecords(t *testing.T) {
	t.Parallel()
	f := newFolder(t)
	if out := f.good("records", "--format", "json"); strings.TrimSpace(out) != "[]" {
		t.Errorf("no records as JSON: %q", out)
	}
	if out := f.good("records"); out != "" {
		t.Errorf("no records: %q", out)
	}
	cfg, err := config.Load(filepath.Join(f.dir, "signalbox.yaml"), nil)
	if err != nil {
		t.Fatal(err)
	}
	s, err := app.OpenStore(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	began := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for i, id := range []string{"one", "two"} {
		rec := call.Record{ID: id, Owner: "me", UUID: "u-" + id, Node: "fs1", Started: began.Add(time.Duration(i) * time.Minute), Updated: began.Add(time.Duration(i) * time.Minute)}
		rec.Arrival.To, rec.Arrival.From.User = "+14155550100", "+12125550123"
		if err := s.Open(t.Context(), rec); err != nil {
			t.Fatal(err)
		}
		if id == "one" {
			rec.Ended, rec.Result, rec.Cause = rec.Started.Add(1500*time.Millisecond), call.Answered, "NORMAL_CLEARING"
			rec.Steps = []call.StepRecord{{Kind: call.StepRing, Result: call.Answered, Attempts: []call.Attempt{{Target: account.Device{Kind: account.DeviceRegistered, User: "1000", Host: "h"}.String(), Result: call.Answered, Disposition: "SUCCESS"}}}}
			if err := s.Close(t.Context(), rec); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := s.Shut(); err != nil {
		t.Fatal(err)
	}
	out := f.good("records")
	lines := strings.Split(out, "\n")
	if !strings.Contains(lines[0], "+12125550123 -> +14155550100  still open") {
		t.Errorf("the newest record comes first, still open:\n%s", out)
	}
	for _, want := range []string{"answered after 1.5s", "NORMAL_CLEARING", "1000@h", "SUCCESS"} {
		if !strings.Contains(out, want) {
			t.Errorf("records do not say %q:\n%s", want, out)
		}
	}
	var exported export.Record
	if lines := f.good("records", "--format", "jsonl"); strings.Count(lines, "\n") != 1 || json.Unmarshal([]byte(lines), &exported) != nil || exported.ID != "one" || exported.Version != export.Version {
		t.Errorf("the finished one as others get it: %q", lines)
	}
	var records []export.Stored
	if err := json.Unmarshal([]byte(f.good("records", "--limit", "1", "--format", "json")), &records); err != nil || len(records) != 1 || records[0].ID != "two" || !records[0].Open {
		t.Errorf("the newest as JSON: %+v, %v", records, err)
	}
}

func TestCheckConfigShowsWhatCountsAndNoSecret(t *testing.T) {
	t.Parallel()
	f := newFolder(t)
	for _, format := range []string{"text", "json"} {
		out := f.good("check-config", "--format", format)
		if strings.Contains(out, "very-secret") || strings.Contains(out, "0123456789abcdef") {
			t.Errorf("a secret in clear:\n%s", out)
		}
		for _, want := range []string{"nodes[0].event_socket.password", "***", "SIGNALBOX_REGION", "pbx.example.net"} {
			if !strings.Contains(out, want) {
				t.Errorf("%s does not say %q", format, want)
			}
		}
	}
	if out := f.good("check-config", "--quiet"); out != "" {
		t.Errorf("--quiet prints %q", out)
	}
	c := f.command(t.Context(), "check-config")
	c.Env = append(c.Env, "SIGNALBOX_REGION=DE", "SIGNALBOX_LAB_PASSWORD=x", "SIGNALBOX_SIMULATOR_PASSWORD=y") // the last two are of other commands
	if out, err := c.Output(); err != nil || !slices.Contains(strings.Fields(string(out)), "DE") {
		t.Errorf("the environment does not count: %v\n%s", err, out)
	}
}

func TestMigrate(t *testing.T) {
	t.Parallel()
	f := newFolder(t)
	if r := f.run("", "migrate", "status"); r.status != 1 || !strings.Contains(r.err, "is not there yet") {
		t.Errorf("status of no file: %+v", r)
	}
	for _, step := range []struct{ args, want string }{
		{"migrate", "went from version 0 to version "},
		{"migrate", "already"},
		{"migrate status", "has version "},
		{"migrate down --to 2", "to version 2."},
		{"migrate status", "has version 2; this program wants "},
		{"migrate status --format json", `"version": 2`},
		{"migrate up", "went from version 2 to version "},
	} {
		if out := f.good(strings.Fields(step.args)...); !strings.Contains(out, step.want) {
			t.Errorf("%s says %q, want %q", step.args, out, step.want)
		}
	}
	// The doctor changes nothing, not the store either; a command that opens it says what that has done.
	f.good("migrate", "down", "--to", "2")
	if r := f.run("", "doctor", "--config", "signalbox.yaml"); !strings.Contains(r.err, "has version 2, this program wants ") {
		t.Errorf("the doctor on an older store: %+v", r)
	}
	if out := f.good("migrate", "status"); !strings.Contains(out, "has version 2;") {
		t.Errorf("after the doctor: %s", out)
	}
	if r := f.run("", "records"); r.status != 0 || !strings.Contains(r.err, "went from version 2 to version ") {
		t.Errorf("a command on an older store: %+v", r)
	}
	if r := f.run("", "migrate", "down", "--to", "99"); r.status != 1 || !strings.Contains(r.err, "write an older one") {
		t.Errorf("down to a newer version: %+v", r)
	}
	if _, err := os.Stat(filepath.Join(f.dir, "signalbox.db")); err != nil {
		t.Error(err)
	}
	f.write("signalbox.db", strings.Repeat("this is no database. ", 1000))
	if r := f.run("", "migrate"); r.status != 1 || !strings.Contains(r.err, "signalbox.db: the database file is damaged") {
		t.Errorf("a file that is no database: %+v", r)
	}
}

func TestDialplanTrace(t *testing.T) {
	t.Parallel()
	f := newFolder(t)
	f.write("dialplan.xml", `<include>
  <context name="public">
    <extension name="tenant">
      <condition field="${tenant}" expression="^7$"/>
      <condition field="destination_number" expression="^(\d+)$">
        <action application="bridge" data="sofia/external/$1@192.0.2.7"/>
        <action application="respond" data="486"/>
      </condition>
    </extension>
  </context>
</include>`)
	args := []string{"dialplan", "trace", "--conf", "dialplan.xml", "--destination", "14155550100"}
	if out := f.good(append(args, "--var", "tenant=7", "--assume", "bridge=NO_ANSWER")...); !strings.Contains(out, "bridge(sofia/external/14155550100@192.0.2.7)") {
		t.Errorf("traced\n%s", out)
	}
	if out := f.good(args...); strings.Contains(out, "EXECUTE bridge") {
		t.Errorf("without the variable\n%s", out)
	}
	var walk struct{ Trace, Executed []any }
	if err := json.Unmarshal([]byte(f.good(append(args, "--var", "tenant=7", "--format", "json")...)), &walk); err != nil || len(walk.Trace) == 0 || len(walk.Executed) == 0 {
		t.Errorf("as JSON: %+v, %v", walk, err)
	}
}

func TestVersion(t *testing.T) {
	t.Parallel()
	f := newFolder(t)
	out := f.good("version")
	if !strings.HasPrefix(out, "signalbox ") || strings.Count(out, "\n") != 1 {
		t.Errorf("version says %q", out)
	}
	if flag := f.good("--version"); flag != out {
		t.Errorf("--version says %q, version %q", flag, out)
	}
}

// TestServe starts the program, has it read a bad and a good configuration again, and ends it as an init system does.
func TestServe(t *testing.T) {
	t.Parallel()
	f := newFolder(t)
	for _, role := range []string{"all", "proxy", "sidecar"} {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		c := f.command(ctx, "serve", "--role", role)
		logged, err := c.StderrPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		log := newLines(logged)
		log.until(t, "signalbox runs")
		f.write("signalbox.yaml", "region: nowhere\n")
		signalTo(t, c, syscall.SIGHUP)
		if line := log.until(t, "not reloaded"); !strings.Contains(line, "region") {
			t.Errorf("the reason is not logged: %s", line)
		}
		f.write("signalbox.yaml", settings)
		signalTo(t, c, syscall.SIGHUP)
		log.until(t, "configuration reloaded")
		signalTo(t, c, syscall.SIGTERM)
		log.until(t, "signalbox has stopped")
		log.rest()
		if err := c.Wait(); err != nil {
			t.Errorf("%s: %v", role, err)
		}
		cancel()
	}
}
