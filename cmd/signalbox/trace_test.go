package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/signalbox/signalbox/internal/docstest"
)

// TestThePageOfTheDialplanShowsWhatIsPrinted runs the commands behind "$ " and compares with the lines below them.
func TestThePageOfTheDialplanShowsWhatIsPrinted(t *testing.T) {
	t.Parallel()
	r := newReader(t)
	compared := 0
	for _, p := range pages(t) {
		if p.Path != "docs/dialplan.md" {
			continue
		}
		for _, b := range p.Blocks {
			if b.Lang != "console" && b.Lang != "diff" {
				continue
			}
			for _, part := range strings.Split("\n"+b.Text, "\n$ ")[1:] {
				line, want, _ := strings.Cut(part, "\n")
				words := docstest.Words(line)
				if words == nil || words[0] != "signalbox" {
					continue
				}
				got := r.run("", words[1:]...)
				if strings.TrimRight(got.out, "\n") != strings.TrimRight(want, "\n") {
					t.Errorf("%s: $ %s\nprints\n%s\n%s", p.Where(b.Line), line, got.out, got.err)
				}
				if differs := b.Lang == "diff"; (got.status != 0) != differs {
					t.Errorf("%s: $ %s: exit status %d", p.Where(b.Line), line, got.status)
				}
				compared++
			}
		}
	}
	if compared < 3 {
		t.Errorf("only %d commands were compared", compared)
	}
}

const dump = `Event-Name: CHANNEL_DATA
Caller-Context: public
Caller-Destination-Number: +14155550100
Caller-Caller-ID-Name: Ada
Caller-Caller-ID-Number: +12125550123
Caller-Network-Addr: 203.0.113.2
variable_open: true
variable_switch_r_sdp: v=0
o=- 1 1 IN IP4 203.0.113.2

`

// TestTraceTakesCallsFromADumpAndAnINVITE hunts for the same call in three forms.
func TestTraceTakesCallsFromADumpAndAnINVITE(t *testing.T) {
	t.Parallel()
	f := newFolder(t)
	f.write("d.xml", `<context name="public"><extension name="x"><condition field="network_addr" expression="^(203\.0\.113\.\d+)$">`+
		`<action application="log" data="INFO $1 ${caller_id_number} ${open}"/></condition></extension></context>`)
	f.write("dump.txt", dump)
	f.write("dump.json", `{"Caller-Context":"public","Caller-Destination-Number":"+14155550100","Caller-Caller-ID-Number":"+12125550123","Caller-Network-Addr":"203.0.113.2","variable_open":"true"}`)
	f.write("invite.txt", strings.ReplaceAll(invite, "+12125550199", "+12125550123"))
	want := "log(INFO 203.0.113.2 +12125550123 true)"
	for _, args := range [][]string{{"--from-dump", "dump.txt"}, {"--from-dump", "dump.json"},
		{"--invite", "invite.txt", "--field", "Network_Addr=203.0.113.2", "--var", "open=true", "--var", "sip_from_params=a;b=c"}} {
		var got struct{ Trace, Executed []string }
		out := f.good(append([]string{"dialplan", "trace", "--conf", "d.xml", "--format", "json"}, args...)...)
		if err := json.Unmarshal([]byte(out), &got); err != nil || !slices.Equal(got.Executed, []string{want}) {
			t.Errorf("%q executed %q, %v, want %s", args, got.Executed, err, want)
		}
	}
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"--from-dump", "d.xml"}, "not a channel dump"}, {[]string{"--invite", "d.xml"}, "not an INVITE"},
		{[]string{"--destination", "1", "--field", "no_such=1"}, "--var no_such="}, {[]string{"--destination", "1", "--context", "none"}, "which has public"},
		{nil, "--destination is missing"}, {[]string{"--destination", "1", "--zone", "Nowhere"}, "Europe/Berlin"}, {[]string{"--destination", "1", "other"}, "--diff"},
		{[]string{"--csv", "d.xml"}, "destination"}, {[]string{"--invite", "invite.txt", "--from-dump", "dump.txt"}, "one of them"},
	} {
		r := f.run("", append([]string{"dialplan", "trace", "--conf", "d.xml"}, c.args...)...)
		if r.status != 1 || !strings.Contains(r.err, c.want) || strings.Count(r.err, "\n") > 2 {
			t.Errorf("%q: exit status %d, %q, want %q", c.args, r.status, r.err, c.want)
		}
	}
}

// TestTraceSaysWhatSignalboxWouldPlan walks the shipped include files up to their socket.
func TestTraceSaysWhatSignalboxWouldPlan(t *testing.T) {
	t.Parallel()
	f := newFolder(t)
	for _, name := range []string{"05_signalbox.xml"} {
		text, err := os.ReadFile(filepath.Join("..", "..", "freeswitch-conf", "dialplan", "public", name))
		if err != nil {
			t.Fatal(err)
		}
		f.write("d.xml", string(text))
	}
	f.good("provision", "apply", "provision.yaml")
	trace := []string{"dialplan", "trace", "--conf", "d.xml", "--caller-id-number", "+12125550123", "--config", "signalbox.yaml"}
	explained := f.good("explain", "--from", "+12125550123", "--to", "+14155550100")
	_, plan, _ := strings.Cut(explained, "\n\n")
	if out := f.good(append(trace, "--destination", "+14155550100")...); !strings.Contains(out, "Signalbox would plan") || !strings.HasSuffix(out, plan) {
		t.Errorf("the trace ends with\n%s\nexplain says\n%s", out, plan)
	}
	if out := f.good(append(trace, "--destination", "12")...); !strings.Contains(out, "reached no socket") {
		t.Errorf("a call that is none of ours: %s", out)
	}
}

// TestCallsOfAFileDecideTheExitStatus runs a file with one call that is treated otherwise.
func TestTraceNamesWhatFreeSWITCHAloneKnows(t *testing.T) {
	t.Parallel()
	f := newFolder(t)
	f.write("d.xml", `<context name="public"><extension name="x"><condition><action application="bridge" data="user/1@$${local_ip_v4}"/></condition></extension></context>`)
	r := f.run("", "dialplan", "trace", "--conf", "d.xml", "--destination", "1")
	if r.status != 0 || !strings.Contains(r.err, "local_ip_v4; say those that matter by --global") || !strings.Contains(r.out, "bridge(user/1@)") {
		t.Errorf("%+v", r)
	}
	r = f.run("", "dialplan", "trace", "--conf", "d.xml", "--destination", "1", "--global", "local_ip_v4=192.0.2.10")
	if r.status != 0 || r.err != "" || !strings.Contains(r.out, "bridge(user/1@192.0.2.10)") {
		t.Errorf("%+v", r)
	}
}

func TestCallsOfAFileDecideTheExitStatus(t *testing.T) {
	t.Parallel()
	f := newFolder(t)
	f.write("d.xml", `<context name="public"><extension name="x"><condition field="destination_number" expression="^1"><action application="bridge" data="user/1"/></condition></extension></context>`)
	f.write("calls.csv", "destination,extension\n12,x\n2,-\n13,y\n")
	r := f.run("", "dialplan", "trace", "--conf", "d.xml", "--csv", "calls.csv")
	if want := "FAIL calls.csv:4: public/13: expected extension \"y\", got x\n3 calls, 1 failed\n"; r.status != 1 || r.out != want {
		t.Errorf("exit status %d\n%s\nwant\n%s", r.status, r.out, want)
	}
	f.write("calls.csv", "destination,extension\n12,x\n2,-\n")
	if out := f.good("dialplan", "trace", "--conf", "d.xml", "--csv", "calls.csv"); out != "2 calls, 0 failed\n" {
		t.Errorf("printed %q", out)
	}
}
