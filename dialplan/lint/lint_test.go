package lint

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	freeswitchconf "github.com/signalbox/signalbox/freeswitch-conf"
)

// document puts extensions into context public of a tree with a context default and an external profile that asks for no
// password. The extensions begin in line 1.
const document = `%s</context><context name="default"><extension name="out"><condition field="destination_number" expression="^(\+?\d{7,15})$"><action application="bridge" data="sofia/gateway/carrier/$1"/></condition></extension></context></section>
<section name="configuration"><configuration name="sofia.conf"><profiles><profile name="external"><settings><param name="context" value="public"/></settings></profile></profiles></configuration>
<configuration name="modules.conf"><modules><load module="mod_dptools"/><load module="mod_event_socket"/><load module="mod_conference"/></modules></configuration>
<configuration name="conference.conf"><profiles><profile name="default"><param name="moh-sound" value="local_stream://moh"/></profile></profiles></configuration>
<configuration name="local_stream.conf"><directory name="moh/8000" path="/music"/></configuration></section></document>
`

func check(t *testing.T, text string) *Report {
	t.Helper()
	path := filepath.Join(t.TempDir(), "conf.xml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := Check(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func inPublic(extensions string) string {
	return fmt.Sprintf(`<document><section name="dialplan"><context name="public">`+document, extensions)
}

func ids(r *Report) string {
	var out []string
	for _, f := range r.Findings {
		out = append(out, fmt.Sprintf("%s@%d", f.Rule, f.Pos.Line))
	}
	return strings.Join(out, " ")
}

// number is an extension for one number.
func number(name, pattern, actions string) string {
	return `<extension name="` + name + `"><condition field="destination_number" expression="` + pattern + `">` + actions + `</condition></extension>` + "\n"
}

func do(app, data string) string { return `<action application="` + app + `" data="` + data + `"/>` }

var hangup = do("hangup", "")

// Each rule finds what it is for, in its line, and is silent about what is right.
func TestEveryRule(t *testing.T) {
	guard := do("set", "guard=${sched_api(+3 g-${uuid} uuid_kill ${uuid})}")
	for _, tt := range []struct{ name, text, want string }{
		{"clean", number("a", "^1000$", do("answer", "")+hangup), ""},
		{"after hangup", number("a", "^1000$", hangup+"\n"+do("answer", "")), "actions-after-end@2"},
		{"after transfer, in the next condition", `<extension name="a"><condition field="destination_number" expression="^1000$">` + do("transfer", "1 XML default") + "</condition>\n<condition>" + do("answer", "") + "</condition></extension>", "actions-after-end@2"},
		{"break=never lets the next condition stand alone", `<extension name="a"><condition field="destination_number" expression="^1000$" break="never">` + hangup + "</condition>\n<condition field=\"destination_number\" expression=\"^2000$\">" + hangup + "</condition></extension>", ""},
		{"inline before the end", number("a", "^1000$", hangup+`<action application="set" data="x_y=1" inline="true"/>`), ""},
		{"a transfer of the other leg ends nothing", number("a", "^1000$", do("transfer", "-bleg 1 XML default")+do("answer", "")), ""},
		{"respond 183 ends nothing, 404 does", number("a", "^1000$", do("respond", "183 Progress")+do("respond", "404 Not Found")+"\n"+hangup), "actions-after-end@2"},
		{"dots of an address", `<extension name="a"><condition field="network_addr" expression="^10.1.">` + hangup + `</condition></extension>`, "address-pattern@1"},
		{"dots of a whole address", `<extension name="a"><condition field="network_addr" expression="^10.1.2.3$">` + hangup + `</condition></extension>`, ""},
		{"written dots of an address", `<extension name="a"><condition field="network_addr" expression="^10\.1\..*">` + hangup + `</condition></extension>`, ""},
		{"anti-action", `<extension name="a"><condition field="${x}" expression="^1$">` + "\n" + `<anti-action application="answer"/></condition></extension>` + "\n" + number("b", "^1$", hangup), "anti-action-ends-hunt@2"},
		{"anti-action that ends the call", `<extension name="a"><condition field="${x}" expression="^1$"><anti-action application="hangup"/></condition></extension>` + "\n" + number("b", "^1$", hangup), ""},
		{"no application", number("a", "^1000$", `<action data="x"/>`), "application-missing@1"},
		{"misspelt application", number("a", "^1000$", do("anwser", "")), "application-misspelt@1"},
		{"module not loaded", number("a", "^1000$", do("voicemail", "default x 1")), "application-not-loaded@1"},
		{"unknown application", number("a", "^1000$", do("frobnicate", "")), "application-unknown@1"},
		{"fallback that never runs", number("a", "^1000$", do("bridge", "user/1000")+do("answer", "")), "bridge-fallback@1"},
		{"fallback that runs", number("a", "^1000$", do("set", "continue_on_fail=true")+do("bridge", "user/1000")+do("answer", "")), ""},
		{"capture without group", number("a", "^1000$", do("set", "my_own=$1")+do("log", "${my_own}")), "capture-missing@1"},
		{"capture too high", number("a", "^(1)000$", do("log", "$2")), "capture-missing@1"},
		{"capture in an anti-action", `<extension name="a"><condition field="destination_number" expression="^(1)$"><anti-action application="transfer" data="$1 XML default"/></condition></extension>`, "capture-missing@1"},
		{"captures that exist", number("a", "^(1)(0)00$", do("log", "$0 $1 ${2}")), ""},
		{"capture of one of several", `<extension name="a"><condition regex="any"><regex field="destination_number" expression="^(1)$"/><regex field="destination_number" expression="^2$"/>` + do("log", "$1") + `</condition></extension>`, ""},
		{"no field", `<extension name="a"><condition expression="^1$">` + hangup + `</condition></extension>`, "condition-without-field@1"},
		{"regex without regex", `<extension name="a"><condition regex="any">` + hangup + `</condition></extension>`, "condition-without-field@1"},
		{"exclude each other", `<extension name="a"><condition field="destination_number" expression="^1$">` + do("answer", "") + "</condition>\n<condition field=\"destination_number\" expression=\"^2\">" + do("answer", "") + "</condition></extension>", "conditions-exclude@2"},
		{"narrow each other", `<extension name="a"><condition field="destination_number" expression="^1\d+$"/>` + "\n<condition field=\"destination_number\" expression=\"^12\">" + do("answer", "") + "</condition></extension>", ""},
		{"context missing", number("a", "^1000$", do("transfer", "1 XML defualt")), "context-missing@1"},
		{"context from a variable", number("a", "^1000$", do("transfer", "1 XML ${user_context}")), ""},
		{"context twice", number("a", "^1$", hangup) + "</context>\n<context name=\"Public\">", "context-duplicate@3"},
		{"continue on the last", `<extension name="a" continue="true"><condition>` + do("answer", "") + `</condition></extension>`, "continue-useless@1"},
		{"continue behind an end", `<extension name="a" continue="true"><condition field="destination_number" expression="^1$">` + hangup + `</condition></extension>` + number("b", "^2$", hangup), "continue-useless@1"},
		{"quote", number("a", "^1000$", do("log", `it\'s`)), "escaped-quote@1"},
		{"extension twice", number("a", "^1$", hangup) + number("a", "^2$", hangup), "extension-duplicate@2"},
		{"behind everything", `<extension name="all"><condition field="destination_number" expression="^.*$"/></extension>` + "\n" + number("a", "^1$", hangup), "extension-unreachable@2"},
		{"behind everything that goes on", `<extension name="all" continue="true"><condition/></extension>` + "\n" + number("a", "^1$", hangup), ""},
		{"behind a wider pattern", number("wide", `^1\d+$`, hangup) + number("narrow", "^1[0-4]2$", hangup), "extension-unreachable@2"},
		{"behind an overlapping pattern", number("some", `^1\d{3}$`, hangup) + number("more", `^1\d{3,4}$`, hangup), ""},
		{"behind a wider pattern with a second condition", `<extension name="wide"><condition field="destination_number" expression="^1\d+$"/><condition field="${x}" expression="^1$">` + hangup + "</condition></extension>\n" + number("narrow", "^12$", hangup), ""},
		{"no condition", `<extension name="a"></extension>`, "extension-without-condition@1"},
		{"actions outside", `<extension name="a">` + "\n" + hangup + `<condition/></extension>`, "stray-element@2"},
		{"misspelt element", `<extension name="a"><conditon/><condition/></extension>`, "stray-element@1"},
		{"unknown field", `<extension name="a"><condition field="sip_from_user" expression="^1$">` + hangup + `</condition></extension>`, "field-unknown@1"},
		{"misspelt field", `<extension name="a"><condition field="destination-number" expression="^1$">` + hangup + `</condition></extension>`, "field-unknown@1"},
		{"field that exists", `<extension name="a"><condition field="Network_Addr" expression="^1$">` + hangup + `</condition></extension>`, ""},
		{"global", number("a", "^1$", do("log", "$${nobody}")), "global-undefined@1"},
		{"ten groups", number("a", "^(1)(2)(3)(4)(5)(6)(7)(8)(9)(0)$", hangup), "group-limit@1"},
		{"not inline", number("a", "^1$", `<action application="bridge" data="user/1" inline="true"/>`), "inline-refused@1"},
		{"inline", number("a", "^1$", `<action application="set" data="my_own=1" inline="true"/>`), ""},
		{"alternatives", number("a", "^vmain|4000$", hangup), "pattern-alternatives@1"},
		{"alternatives in a group", number("a", "^(vmain|4000)$", hangup) + number("b", `^vmain$|^4000$|^\*98$`, hangup), ""},
		{"open alternatives", number("a", "^011|^00", hangup), ""},
		{"pattern", number("a", "^+1$", hangup), "pattern-invalid@1"},
		{"pattern that is not read here", number("a", `^1\K2$`, hangup), ""},
		{"PCRE2 escape", number("a", `^\y1$`, hangup), "pattern-pcre2@1"},
		{"PCRE2 range", `<extension name="a"><condition field="caller_id_name" expression="^[\w-.]+$">` + hangup + `</condition></extension>`, "pattern-pcre2@1"},
		{"PCRE2 dash at the end", `<extension name="a"><condition field="caller_id_name" expression="^[\w.-]+[^]a-z]$">` + hangup + `</condition></extension>`, ""},
		{"slow", number("a", `^\+1(\d+)+$`, hangup), "pattern-slow@1"},
		{"slow with look-ahead", number("a", `^(?!0)(\d+\d*)+$`, hangup), "pattern-slow@1"},
		{"not anchored", number("a", "5551212", hangup), "pattern-unanchored@1"},
		{"park_timeout", number("a", "^1$", do("set", "park_timeout=5")+guard+"\n"+do("socket", "127.0.0.1:8084 async full")+hangup), "park-timeout@1"},
		{"shell", number("a", "^1$", do("system", "/bin/log ${caller_id_name}")), "shell-injection@1"},
		{"shell in a variable", number("a", "^1$", do("set", "my_own=${system(log ${sip_h_X-Foo})}")+do("log", "${my_own}")), "shell-injection@1"},
		{"shell without the caller", number("a", "^1$", do("system", "/bin/log ${uuid}")), ""},
		{"socket far away", number("a", "^1$", guard+do("socket", "192.0.2.1:8084 async full")+hangup), "socket-host@1"},
		{"socket by name", number("a", "^1$", guard+do("socket", "localhost:8084|[::1]:8085|::1:9/path async full")+hangup), ""},
		{"socket alone", number("a", "^1$", guard+do("socket", "127.0.0.1:8084 async full")), "socket-no-fallback@1"},
		{"socket unguarded", number("a", "^1$", do("socket", "127.0.0.1:8084 async full")+hangup), "socket-no-guard@1"},
		{"socket without a port", number("a", "^1$", guard+do("socket", "127.0.0.1 async full")+hangup), "socket-port@1"},
		{"a profile of conferences that is there", number("a", "^1000$", do("conference", "x@default+flags{mute}")), ""},
		{"one that is not", number("a", "^1000$", do("conference", "x@wideband+1234")), "conference-profile@1"},
		{"one that is known when a call comes", number("a", "^1000$", do("conference", "x@${profile}")), ""},
		{"another server's room", number("a", "^1000$", do("conference", "bridge:x:sip:1@conference.example.net")), ""},
		{"a stream that is there", number("a", "^1000$", do("playback", "local_stream://moh")), ""},
		{"one that is not", number("a", "^1000$", do("set", "hold_music=local_stream://jazz")+do("playback", "file_string://a.wav!local_stream://jazz/16000!b.wav")), "stream-unknown@1 stream-unknown@1"},
		{"day 8", `<extension name="a"><condition wday="1-8">` + hangup + `</condition></extension>`, "time-invalid@1"},
		{"days", `<extension name="a"><condition wday="mon-fri" hour="8-17">` + hangup + `</condition></extension>`, ""},
		{"stranger to gateway", number("a", `^(\d+)$`, do("bridge", "sofia/gateway/carrier/$1")), "toll-fraud@1"},
		{"stranger through a context", number("a", `^9(\d+)$`, do("transfer", "$1 XML default")), "toll-fraud@2"},
		{"stranger to a few numbers", number("a", `^(10[01][0-9])$`, do("transfer", "$1 XML default")), ""},
		{"stranger with a check", `<extension name="a"><condition field="${sip_authorized}" expression="^true$"/><condition field="destination_number" expression="^(\d+)$">` + do("bridge", "sofia/gateway/carrier/$1") + `</condition></extension>`, ""},
		{"stranger to a fixed number", number("a", `^(\d+)$`, do("bridge", "sofia/gateway/carrier/+14155550100")), ""},
		{"stranger to a gateway behind everything", `<extension name="all"><condition/></extension>` + "\n" + number("a", `^(\d+)$`, do("bridge", "sofia/gateway/carrier/$1")), "extension-unreachable@2"},
		{"stranger to a subscriber", number("a", `^(\d+)$`, do("bridge", "sofia/internal/$1%pbx.example.net")), ""},
		{"misspelt attribute", `<extension name="a" contniue="true"><condition>` + hangup + `</condition></extension>`, "unknown-attribute@1"},
		{"unknown break", `<extension name="a"><condition field="destination_number" expression="^1$" break="false">` + hangup + `</condition></extension>`, "unknown-attribute@1"},
		{"misspelt variable", number("a", "^1$", do("set", "hangup_after_brige=true")), "variable-misspelt@1"},
		{"misspelt in a dial string", number("a", "^1$", do("bridge", "{ignore_early_meda=true}user/1000")), "variable-misspelt@1"},
		{"reads a misspelt variable", number("a", "^1$", do("log", "${detination_number}")), "variable-misspelt@1"},
		{"tests a misspelt variable", `<extension name="a"><condition field="${sip_authorised}" expression="^true$">` + hangup + `</condition></extension>`, "variable-misspelt@1"},
		{"reads what it sets", number("a", "^1$", do("set", "detination_number=1")+do("log", "${detination_number} ${uuid} ${strftime(%Y)} ${my_own_thing}")), ""},
		{"the operator's own variable", number("a", "^1$", do("set", "call_timeouts=5")+do("log", "${call_timeouts}")), ""},
		{"too early", `<extension name="a" continue="true"><condition field="destination_number" expression="^1$">` + do("set", "my_night=true") + "</condition></extension>\n" + `<extension name="b"><condition field="${my_night}" expression="true">` + hangup + `</condition></extension>`, "variable-too-early@2"},
		{"in time", `<extension name="a" continue="true"><condition field="destination_number" expression="^1$"><action application="set" data="my_night=true" inline="true"/></condition></extension>` + `<extension name="b"><condition field="${my_night}" expression="true">` + hangup + `</condition></extension>`, ""},
		{"a comment with --", "<!-- a -- b -->\n" + number("a", "^1$", hangup), "xml-syntax@1"},
		{"unclosed", "\n<extension name=\"a\"><condition>", "xml-syntax@2"},
		{"a line with include", "\n<include>" + number("a", "^1$", hangup) + number("b", "^2$", hangup), "dropped-line@2"},
		{"a comment beside include", "\n<include> <!-- fine -->\n" + number("a", "^1$", hangup), ""},
		{"a directive in a comment", "\n<!-- <X-PRE-PROCESS cmd=\"set\" data=\"a=b\"/> -->\n" + number("a", "^1$", hangup), "preprocess-in-comment@2"},
		{"a directive switched off", "\n<XX-PRE-PROCESS cmd=\"set\" data=\"a=b\"/>\n" + number("a", "^1$", hangup), ""},
		{"a directive without data", "\n<X-PRE-PROCESS cmd=\"set\"/>\n" + number("a", "^1$", hangup), "preprocess-bad@2"},
		{"a program", "\n<X-PRE-PROCESS cmd=\"exec\" data=\"date\"/>\n" + number("a", "^1$", hangup), "exec-directive@2"},
		{"nothing to include", "\n<X-PRE-PROCESS cmd=\"include\" data=\"none/*.xml\"/>\n" + number("a", "^1$", hangup), "include-missing@2"},
		{"silenced in the line", number("a", "^1000$", do("anwser", "")+"<!-- signalbox-lint: ignore application-misspelt, it is ours -->"), ""},
		{"silenced before", "<!-- signalbox-lint: ignore application-misspelt -->\n" + number("a", "^1000$", do("anwser", "")), ""},
		{"silenced too far away", "<!-- signalbox-lint: ignore application-misspelt -->\n\n" + number("a", "^1000$", do("anwser", "")), "application-misspelt@3"},
		{"another rule silenced", "<!-- signalbox-lint: ignore toll-fraud -->\n" + number("a", "^1000$", do("anwser", "")), "application-misspelt@2"},
		{"silenced in the file", number("a", "^1000$", do("anwser", "")) + "\n\n<!-- signalbox-lint: ignore-file application-misspelt -->", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := check(t, inPublic(tt.text))
			if got := ids(r); got != tt.want {
				t.Errorf("found %q, want %q", got, tt.want)
				for _, f := range r.Findings {
					t.Log(f.Pos, f.Rule, f.What)
				}
			}
			for _, f := range r.Findings {
				if f.What == "" || f.Instead == "" {
					t.Errorf("%s says too little: %+v", f.Rule, f)
				}
			}
		})
	}
}

// Every rule of the table is tried above, and the table is sorted.
func TestTheTableOfRules(t *testing.T) {
	text, err := os.ReadFile("lint_test.go")
	if err != nil {
		t.Fatal(err)
	}
	list := Rules()
	if !slices.IsSortedFunc(list, func(a, b Rule) int { return strings.Compare(a.ID, b.ID) }) {
		t.Error("not sorted")
	}
	for _, r := range list {
		if r.ID != "too-many" && !strings.Contains(string(text), r.ID+"@") {
			t.Errorf("no case finds %s", r.ID)
		}
	}
}

func TestTheShippedFilesAreClean(t *testing.T) {
	dir := t.TempDir()
	files := map[string]string{
		"freeswitch.xml":      "<document type=\"freeswitch/xml\">\n<section name=\"dialplan\">\n<X-PRE-PROCESS cmd=\"include\" data=\"dialplan/*.xml\"/>\n</section>\n</document>\n",
		"dialplan/public.xml": "<include>\n<context name=\"public\">\n<X-PRE-PROCESS cmd=\"include\" data=\"public/*.xml\"/>\n</context>\n</include>\n",
	}
	err := fs.WalkDir(freeswitchconf.Files, "dialplan", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := fs.ReadFile(freeswitchconf.Files, path)
		files[path] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r, err := Check(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Findings) > 0 || r.Extensions < 6 {
		t.Errorf("%d extensions: %s", r.Extensions, ids(r))
		for _, f := range r.Findings {
			t.Log(f.Pos, f.Rule, f.What)
		}
	}
}

// messy has a finding in several places.
const messy = "<extension name=\"ä\"><condition field=\"destination_number\" expression=\"^1$\">\n<!-- ä --><action application=\"anwser\"/>\n<action application=\"set\" data=\"hangup_after_brige=true\"/>\n</condition></extension>\n<extension name=\"b\"/>"

func TestTheSameTreeGivesTheSameReport(t *testing.T) {
	first := check(t, inPublic(messy))
	second := check(t, inPublic(messy))
	if !reflect.DeepEqual(first.Findings, second.Findings) || len(first.Findings) != 3 {
		t.Errorf("%s\n%s", ids(first), ids(second))
	}
	if first.Count(Note) != 3 || first.Count(Warning) != 3 || first.Count(Error) != 1 {
		t.Errorf("counts %d %d %d", first.Count(Note), first.Count(Warning), first.Count(Error))
	}
	if first.Findings[0].Pos.File != "conf.xml" || first.Findings[0].Extension != "ä" || first.Findings[0].Context != "public" {
		t.Errorf("%+v", first.Findings[0])
	}
}

func TestDisabledRulesSayNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "conf.xml")
	if err := os.WriteFile(path, []byte(inPublic(messy)), 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := Check(path, Options{Disable: []string{"application-misspelt", "variable-misspelt"}})
	if err != nil || ids(r) != "extension-without-condition@5" {
		t.Errorf("%v, %v", r, err)
	}
	if _, err := Check(path, Options{Disable: []string{"no-such"}}); err == nil {
		t.Error("an unknown rule was taken")
	}
}

func TestOutputs(t *testing.T) {
	r := check(t, inPublic(messy))
	var text, coloured, js, sarif strings.Builder
	for _, err := range []error{r.WriteText(&text, "conf", false), r.WriteText(&coloured, "", true), r.WriteJSON(&js), r.WriteSARIF(&sarif)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []string{"conf/conf.xml:2:20: error: there is no application \"anwser\"", "    instead: write \"answer\"", "[application-misspelt]", "1 error, 2 warnings, 0 notes in 3 extensions of 1 file\n"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("the text does not say %q:\n%s", want, text.String())
		}
	}
	if strings.Contains(text.String(), "\x1b") || !strings.Contains(coloured.String(), "\x1b[31;1merror\x1b[0m") {
		t.Error("colour")
	}
	var back struct {
		Findings []struct{ Rule, Severity string }
	}
	if err := json.Unmarshal([]byte(js.String()), &back); err != nil || len(back.Findings) != 3 || back.Findings[0].Severity != "error" {
		t.Errorf("%v: %+v", err, back)
	}
	checkSARIF(t, sarif.String())
}

// checkSARIF asks for what the schema of SARIF 2.1.0 requires and code forges need.
func checkSARIF(t *testing.T, text string) {
	t.Helper()
	var log struct {
		Version string
		Runs    []struct {
			Tool struct {
				Driver struct {
					Name  string
					Rules []struct {
						ID                   string
						DefaultConfiguration struct{ Level string }
					}
				}
			}
			OriginalURIBaseIDs map[string]struct{ URI string } `json:"originalUriBaseIds"`
			ColumnKind         string
			Results            []struct {
				RuleID    string
				RuleIndex int
				Level     string
				Message   struct{ Text string }
				Locations []struct {
					PhysicalLocation struct {
						ArtifactLocation struct{ URI, URIBaseID string }
						Region           struct{ StartLine, StartColumn int }
					}
				}
			}
		}
	}
	if err := json.Unmarshal([]byte(text), &log); err != nil {
		t.Fatal(err)
	}
	if log.Version != "2.1.0" || len(log.Runs) != 1 || log.Runs[0].Tool.Driver.Name == "" || log.Runs[0].ColumnKind != "unicodeCodePoints" {
		t.Fatalf("%+v", log)
	}
	run := log.Runs[0]
	if base := run.OriginalURIBaseIDs["CONF"].URI; !strings.HasPrefix(base, "file:///") || !strings.HasSuffix(base, "/") {
		t.Errorf("base %q", base)
	}
	levels := []string{"none", "note", "warning", "error"}
	for _, r := range run.Results {
		if run.Tool.Driver.Rules[r.RuleIndex].ID != r.RuleID || !slices.Contains(levels, r.Level) || r.Message.Text == "" {
			t.Errorf("result %+v", r)
		}
		p := r.Locations[0].PhysicalLocation
		if p.ArtifactLocation.URI != "conf.xml" || p.ArtifactLocation.URIBaseID != "CONF" || p.Region.StartLine < 1 || p.Region.StartColumn < 1 {
			t.Errorf("location %+v", p)
		}
	}
	if got := run.Results[0].Locations[0].PhysicalLocation.Region.StartColumn; got != 19 {
		t.Errorf("the column counts bytes: %d, want 19", got)
	}
}

func TestHugeAndOddTreesAreBounded(t *testing.T) {
	var b strings.Builder
	for i := range 600 {
		b.WriteString(number(fmt.Sprint("a", i), fmt.Sprintf(`^%d(\d+)$`, i), strings.Repeat(do("anwser", "$3")+do("anwser", "$4")+"\n", 4)))
	}
	began := time.Now()
	r := check(t, inPublic(b.String()))
	if len(r.Findings) != maxFindings+1 || r.Findings[maxFindings].Rule != "too-many" {
		t.Errorf("%d findings", len(r.Findings))
	}
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("it took %v", took)
	}
}

func FuzzCheck(f *testing.F) {
	f.Add(messy)
	f.Add(number("a", `^(?<x>[\d-a]+)\1{2,3}$`, do("set", "x=${y:1:${z}}")))
	f.Add("<condition><regex expression='(' /></condition>")
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 4000 {
			t.Skip()
		}
		path := filepath.Join(t.TempDir(), "conf.xml")
		if err := os.WriteFile(path, []byte(inPublic(text)), 0o600); err != nil {
			t.Fatal(err)
		}
		if r, err := Check(path, Options{}); err == nil {
			var b strings.Builder
			if err := r.WriteSARIF(&b); err != nil || !json.Valid([]byte(b.String())) {
				t.Errorf("SARIF: %v", err)
			}
		}
	})
}
