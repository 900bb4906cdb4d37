package dialplan

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// write makes a folder with files and returns its path.
func write(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func load(t *testing.T, path string, opt LoadOptions) *Tree {
	t.Helper()
	tree, err := Load(path, opt)
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

const document = "<document type=\"freeswitch/xml\">\n<section name=\"dialplan\">\n%s</section>\n</document>\n"

func TestConfTreeIsReadInFreeSWITCHsOrder(t *testing.T) {
	dir := write(t, map[string]string{
		"freeswitch.xml": "<?xml version=\"1.0\"?>\n<document>\n<X-PRE-PROCESS cmd=\"include\" data=\"vars.xml\"/>\n" +
			"<section name=\"configuration\"><context name=\"public\"><extension/></context></section>\n" +
			"<section name=\"dialplan\">\n<X-PRE-PROCESS cmd=\"include\" data=\"dialplan/*.xml\"/>\n</section></document>\n",
		"vars.xml": "<include>\n  <!-- <X-PRE-PROCESS cmd=\"set\" data=\"hidden=in a comment\"/> -->\n" +
			"<X-PRE-PROCESS cmd=\"set\" data=\"prefix = 49\"/>\n<!--#set \"old=form\"-->\n<X-PRE-PROCESS cmd=\"env-set\" data=\"fromenv=$SOMEWHERE\"/>\n" +
			"<X-PRE-PROCESS cmd=\"exec-set\" data=\"bad=touch " + "x\"/>\n</include>\n",
		"dialplan/public.xml": "<include>\n<context name=\"public\">\n<X-PRE-PROCESS cmd=\"include\" data=\"public/*.xml\"/>\n" +
			"<extension name=\"last\"><condition><action application=\"set\" data=\"x=$${prefix}$${hidden}$${old}$${fromenv}$${bad}$${nowhere}\"/></condition></extension>\n</context>\n</include>\n",
		"dialplan/public/10_b.xml":          "<include>\r\n  <extension name=\"b\" continue=\"true\">\r\n    <condition>\r\n      <action application=\"b\"/>\r\n    </condition>\r\n  </extension>\r\n</include>\r\n",
		"dialplan/public/05_a.xml":          "<include>\n<extension name=\"a\" continue=\"true\"><condition><action application=\"a\"/></condition></extension>\n</include>",
		"dialplan/public/9_one.xml":         "<include><extension name=\"lost\"><condition><action application=\"lost\"/></condition></extension></include>\n",
		"dialplan/public/20_off.xml.noload": "<extension name=\"off\"><condition><action application=\"off\"/></condition></extension>\n",
		"dialplan/public/.hidden.xml":       "<extension name=\"hidden\"><condition><action application=\"hidden\"/></condition></extension>\n",
	})
	tree := load(t, dir, LoadOptions{Getenv: func(string) string { return "env" }})
	got, err := tree.Hunt(context.Background(), &Call{Context: "PUBLIC", Destination: "1"})
	if err != nil {
		t.Fatal(err)
	}
	var apps []string
	for _, a := range got.Actions {
		apps = append(apps, a.Application+"("+a.Data+")")
	}
	if want := []string{"a()", "b()", "set(x=49in a commentformenv)"}; !slices.Equal(apps, want) {
		t.Errorf("got %q, want %q", apps, want)
	}
	if p := got.Actions[1].Pos; p.Line != 4 || filepath.Base(p.File) != "10_b.xml" {
		t.Errorf("action b stands at %v, want 10_b.xml:4", p)
	}
	var notes []string
	for _, n := range tree.Notices() {
		notes = append(notes, filepath.Base(n.String()))
	}
	all := strings.Join(notes, "\n")
	for _, want := range []string{"vars.xml:6: X-PRE-PROCESS exec-set is not carried out", "9_one.xml:1: FreeSWITCH drops this whole line", "public.xml:4: global variable $${nowhere}"} {
		if !strings.Contains(all, want) {
			t.Errorf("no notice %q in\n%s", want, all)
		}
	}
}

// TestWhatAnotherModuleAnswersIsNotInvented loads a tree whose directory a web server holds and whose dialplan a script does.
func TestWhatAnotherModuleAnswersIsNotInvented(t *testing.T) {
	tree := func(modules string) *Tree {
		dir := write(t, map[string]string{"freeswitch.xml": "<document><section name=\"configuration\"><configuration name=\"modules.conf\"><modules>" + modules + "</modules></configuration>" +
			"<configuration name=\"xml_curl.conf\"><bindings><binding name=\"x\"><param name=\"gateway-url\" value=\"http://127.0.0.1/\" bindings=\"directory|phrases\"/></binding></bindings></configuration>" +
			"<configuration name=\"lua.conf\"><settings><param name=\"xml-handler-bindings\" value=\"configuration,dialplan\"/></settings></configuration></section>" +
			"<section name=\"directory\"><domain name=\"d\"><user id=\"1\"><variables><variable name=\"a\" value=\"b\"/></variables></user></domain></section>" +
			"<section name=\"dialplan\"><context name=\"default\"><extension name=\"x\"><condition><action application=\"log\" data=\"INFO ${user_data(1@d var a)}\"/></condition></extension></context></section></document>"})
		return load(t, dir, LoadOptions{})
	}
	for modules, want := range map[string]struct {
		executed string
		notices  int
	}{
		`<load module="mod_commands"/>`:                                                      {"log(INFO b)", 0},
		`<load module="mod_commands"/><load module="mod_xml_curl"/>`:                         {"log(INFO ${user_data(1@d var a)})", 1},
		`<load module="mod_commands"/><load module="mod_xml_curl"/><load module="mod_lua"/>`: {"log(INFO ${user_data(1@d var a)})", 2},
	} {
		tree := tree(modules)
		w, err := tree.Walk(context.Background(), &Call{Destination: "1"}, WalkOptions{})
		if err != nil || !slices.Equal(w.Executed, []string{want.executed}) || len(tree.Notices()) != want.notices {
			t.Errorf("%s: executed %q, %v, notices %v, want %q and %d", modules, w.Executed, err, tree.Notices(), want.executed, want.notices)
		}
	}
}

func TestBadTreesAreNamedWithFileAndLine(t *testing.T) {
	inside := func(s string) string { return strings.Replace(document, "%s", s, 1) }
	for name, c := range map[string]struct {
		files map[string]string
		where string
		is    error
	}{
		"cycle": {map[string]string{"freeswitch.xml": inside("<X-PRE-PROCESS cmd=\"include\" data=\"a.xml\"/>\n"),
			"a.xml": "\n<X-PRE-PROCESS cmd=\"include\" data=\"freeswitch.xml\"/>\n"}, "a.xml:2:", ErrLimit},
		"itself":              {map[string]string{"freeswitch.xml": "\n<X-PRE-PROCESS cmd=\"include\" data=\"*.xml\"/>\n"}, "freeswitch.xml:2:", ErrLimit},
		"wildcards":           {map[string]string{"freeswitch.xml": inside("<X-PRE-PROCESS cmd=\"include\" data=\"/*/*/*/*/*.xml\"/>\n")}, "freeswitch.xml:3:", ErrLimit},
		"unclosed":            {map[string]string{"freeswitch.xml": inside("<context name=\"a\">\n")}, "freeswitch.xml:4:", ErrSyntax},
		"wrong end":           {map[string]string{"freeswitch.xml": inside("<context>\n</contex>\n")}, "freeswitch.xml:4:", ErrSyntax},
		"dashes in a comment": {map[string]string{"freeswitch.xml": inside("<!-- a -- b -->\n")}, "freeswitch.xml:3:", ErrSyntax},
		"cdata":               {map[string]string{"freeswitch.xml": inside("\n<![CDATA[ x")}, "freeswitch.xml:4:", ErrSyntax},
		"dtd":                 {map[string]string{"freeswitch.xml": "<!DOCTYPE x [<!ENTITY a \"b\">]>\n"}, "freeswitch.xml:1:", ErrSyntax},
		"quote":               {map[string]string{"freeswitch.xml": inside("<context name=\"a>\n")}, "freeswitch.xml:3:", ErrSyntax},
		"nul":                 {map[string]string{"freeswitch.xml": inside("\n\x00")}, "freeswitch.xml:4:", ErrSyntax},
		"deep":                {map[string]string{"freeswitch.xml": inside(strings.Repeat("<a>\n", 200))}, "freeswitch.xml:", ErrLimit},
		"nothing":             {map[string]string{"freeswitch.xml": "<document></document>"}, "freeswitch.xml", ErrNoDialplan},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Load(write(t, c.files), LoadOptions{})
			if !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.where) {
				t.Errorf("got %v, want %v at %s", err, c.is, c.where)
			}
		})
	}
	if _, err := Load(filepath.Join(t.TempDir(), "none"), LoadOptions{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a path that is not there: %v", err)
	}
	huge := write(t, map[string]string{"d.xml": "<extension/>"})
	if err := os.Truncate(filepath.Join(huge, "d.xml"), 100<<20); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(filepath.Join(huge, "d.xml"), LoadOptions{}); !errors.Is(err, ErrLimit) {
		t.Errorf("a file of 100 MB: %v", err)
	}
	doubling := write(t, map[string]string{"d.xml": "<X-PRE-PROCESS cmd=\"set\" data=\"a=0123456789\"/>\n" +
		strings.Repeat("<X-PRE-PROCESS cmd=\"set\" data=\"a=$${a}$${a}\"/>\n", 500) + "<extension/>"})
	if _, err := Load(filepath.Join(doubling, "d.xml"), LoadOptions{Limits: Limits{TotalBytes: 200_000}}); !errors.Is(err, ErrLimit) {
		t.Errorf("a variable that is set again and again: %v", err)
	}
	if _, err := Load("/dev/zero", LoadOptions{}); err == nil {
		t.Error("a device was read")
	}
	big := write(t, map[string]string{"freeswitch.xml": strings.Replace(document, "%s", strings.Repeat("<X-PRE-PROCESS cmd=\"include\" data=\"a.xml\"/>\n", 100), 1), "a.xml": strings.Repeat("x", 1000)})
	for name, l := range map[string]Limits{"file": {FileBytes: 500}, "total": {TotalBytes: 50_000}, "files": {Files: 10}} {
		if _, err := Load(big, LoadOptions{Limits: l}); !errors.Is(err, ErrLimit) {
			t.Errorf("limit of %s: %v", name, err)
		}
	}
}

// TestExpansionHasAnEnd feeds values that name each other.
func TestExpansionHasAnEnd(t *testing.T) {
	vars := map[string]string{"loop": "${loop}${loop}", "a": "${b}${b}", "b": strings.Repeat("${c}", 500), "c": strings.Repeat("x", 5000)}
	dir := write(t, map[string]string{"d.xml": "<context name=\"default\"><extension name=\"x\"><condition field=\"${loop}\" expression=\"^${a}$\"><anti-action application=\"set\" data=\"y=${loop}\"/></condition></extension></context>"})
	tree := load(t, filepath.Join(dir, "d.xml"), LoadOptions{})
	call := &Call{Destination: "1", Vars: NewVars(vars)}
	for _, s := range []string{"${loop}", "${a}", strings.Repeat("${", 5000), strings.Repeat("${a:", 2000) + strings.Repeat("}", 2000)} {
		out, err := Expand(s, tree.Resolver(call))
		if len(out) > 8<<20 {
			t.Errorf("%.20q grew to %d bytes (%v)", s, len(out), err)
		}
	}
	if _, err := tree.Walk(context.Background(), call, WalkOptions{}); !errors.Is(err, ErrLimit) {
		t.Errorf("walk over endless variables: %v", err)
	}
}

func TestEndlessDialplansEnd(t *testing.T) {
	for name, xml := range map[string]string{
		"transfer":          `<action application="transfer" data="1 XML default"/>`,
		"execute_extension": `<action application="execute_extension" data="1"/><action application="execute_extension" data="1"/>`,
		"doubling":          `<action application="set" data="a=0123456789" inline="true"/><action application="set" data="a=${a}${a}" inline="true" loop="1000"/>`,
		"loop":              `<action application="set" data="a=b" loop="2000000000"/>`,
	} {
		dir := write(t, map[string]string{"d.xml": `<extension name="x"><condition>` + xml + `</condition></extension>`})
		w, err := load(t, filepath.Join(dir, "d.xml"), LoadOptions{}).Walk(context.Background(), &Call{Destination: "1"}, WalkOptions{})
		if !errors.Is(err, ErrLimit) && w.End != "EXCHANGE_ROUTING_ERROR" {
			t.Errorf("%s: %v, ends with %q, want ErrLimit or FreeSWITCH's own bound", name, err, w.End)
		}
	}
	dir := write(t, map[string]string{"d.xml": `<extension name="x"><condition field="destination_number" expression="^(a+)+$"><action application="hangup"/></condition></extension>`})
	begun := time.Now()
	got, err := load(t, filepath.Join(dir, "d.xml"), LoadOptions{}).Hunt(context.Background(), &Call{Destination: strings.Repeat("a", 5000) + "b"})
	if err != nil || got.Matched || time.Since(begun) > 5*time.Second {
		t.Errorf("catastrophic pattern: matched %v, %v, after %v", got.Matched, err, time.Since(begun))
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := load(t, filepath.Join(dir, "d.xml"), LoadOptions{}).Hunt(ctx, &Call{Destination: "1"}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled hunt: %v", err)
	}
}

// TestGlobalsThatFreeSWITCHAloneKnowsAreNamed tells them from those that nobody sets.
func TestGlobalsThatFreeSWITCHAloneKnowsAreNamed(t *testing.T) {
	dir := write(t, map[string]string{"d.xml": `<extension name="x"><condition><action application="bridge" data="user/1@$${local_ip_v4}"/>` +
		"\n" + `<action application="record" data="$${recordings_dir}/$${Local_IP_v4}$${nobody_sets}.wav"/></condition></extension>`})
	path := filepath.Join(dir, "d.xml")
	tree := load(t, path, LoadOptions{})
	if want := []string{"local_ip_v4", "recordings_dir"}; !slices.Equal(tree.Missing(), want) {
		t.Errorf("missing %q, want %q", tree.Missing(), want)
	}
	tree = load(t, path, LoadOptions{Globals: map[string]string{"local_ip_v4": "192.0.2.10"}})
	if want := []string{"recordings_dir"}; !slices.Equal(tree.Missing(), want) {
		t.Errorf("missing %q, want %q", tree.Missing(), want)
	}
}

// TestUnknownFunctionsAreShownNotInvented walks our own guard, whose sched_api cannot run offline.
func TestUnknownFunctionsAreShownNotInvented(t *testing.T) {
	dir := write(t, map[string]string{"d.xml": `<extension name="x"><condition field="${user_exists(id 1 h)}" expression="^true$"><action application="set" data="a=b"/></condition>` +
		`</extension><extension name="y"><condition><action application="set" data="id=${sched_api(+3 g-${uuid} x)}"/></condition></extension>`})
	w, err := load(t, filepath.Join(dir, "d.xml"), LoadOptions{}).Walk(context.Background(), &Call{Destination: "1", Fields: map[string]string{"uuid": "u1"}}, WalkOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"set(id=${sched_api(+3 g-${uuid} x)})"}; !slices.Equal(w.Executed, want) {
		t.Errorf("executed %q, want %q", w.Executed, want)
	}
	if len(w.Notices) < 2 || !strings.Contains(w.Notices[0].String(), "d.xml:1: ${user_exists(id 1 h)}: function is not evaluated here") {
		t.Errorf("notices %v", w.Notices)
	}
}

func TestWalkAssumesAnOutcome(t *testing.T) {
	dir := write(t, map[string]string{"d.xml": `<extension name="x"><condition><action application="set" data="continue_on_fail=NO_ANSWER,USER_BUSY"/>` +
		`<action application="bridge" data="sofia/internal/1000%h"/><action application="voicemail" data="${originate_disposition}"/></condition></extension>`})
	tree := load(t, filepath.Join(dir, "d.xml"), LoadOptions{})
	for cause, want := range map[string]string{"NO_ANSWER": "voicemail(NO_ANSWER)", "CALL_REJECTED": "bridge(sofia/internal/1000%h)", "": "voicemail(SUCCESS)"} {
		w, err := tree.Walk(context.Background(), &Call{Destination: "1"}, WalkOptions{Assume: map[string]string{"bridge": cause}})
		if err != nil || w.Executed[len(w.Executed)-1] != want {
			t.Errorf("bridge=%s: executed %q, %v, want %s last", cause, w.Executed, err, want)
		}
		if cause == "CALL_REJECTED" && w.End != cause {
			t.Errorf("bridge=%s ends with %q", cause, w.End)
		}
	}
}

func TestTimeConditionsFollowTheCallsZone(t *testing.T) {
	at := time.Date(2026, 11, 23, 23, 30, 0, 0, time.UTC) // a Monday
	for _, c := range []struct {
		attrs string
		zone  string
		want  timeMatch
	}{
		{`wday="mon"`, "", timePass}, {`wday="2-6"`, "", timePass}, {`wday="sun,sat"`, "", timeFail}, {`wday="sat-mon"`, "", timePass},
		{`hour="22-6"`, "", timePass}, {`hour="8-17"`, "", timeFail}, {`hour="1,23"`, "", timePass}, {`minute="30"`, "", timePass},
		{`time-of-day="22:00-06:00"`, "", timePass}, {`time-of-day="08:00:00-12:00:00,23:30:00-23:30:00"`, "", timePass},
		{`minute-of-day="1411"`, "", timePass}, {`mday="23" mon="11" year="2026"`, "", timePass}, {`mday="23" mon="12"`, "", timeFail},
		{`mweek="4"`, "", timePass}, {`yday="327"`, "", timePass}, {`week="47"`, "", timePass}, {`date-time="2026-11-23 23:00~2026-11-24 00:00"`, "", timePass},
		{`date-time="2026-11-23~2026-11-23 23:30:00"`, "", timeFail}, {`date-time="20261123000000~20261124000000"`, "", timeFail},
		{`wday="tue" hour="0"`, "Europe/Berlin", timePass}, {`hour="23"`, "Europe/Berlin", timeFail}, {`tz-offset="1"`, "Europe/Berlin", timePass},
		{``, "", timeNone}, {`hour=""`, "", timeFail}, {`wday="x"`, "", timeFail},
	} {
		roots, _, err := parse([]byte("<condition "+c.attrs+"/>"), func(int) Pos { return Pos{} }, Limits{}.withDefaults())
		if err != nil {
			t.Fatal(err)
		}
		tree, call := &Tree{}, &Call{Now: at, Vars: NewVars(map[string]string{"timezone": c.zone})}
		loc, known := (&hunter{tree: tree, call: call, resolve: tree.resolver(call)}).zoneOf()
		if got := checkTime(roots[0], at, loc); got != c.want || !known {
			t.Errorf("%s in %q: got %d, want %d", c.attrs, c.zone, got, c.want)
		}
	}
}
