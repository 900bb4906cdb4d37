package render

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/signalbox/signalbox/dialplan"
	"github.com/signalbox/signalbox/dialplan/lint"
	freeswitchconf "github.com/signalbox/signalbox/freeswitch-conf"
)

// operatorConf is a conf folder of vanilla's shape with an extension of the operator's own in each context.
func operatorConf(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	extension := func(name string) string {
		return "<include>\n<extension name=\"" + name + "\">\n<condition field=\"destination_number\" expression=\"^\\+?1415\\d+$\">\n<action application=\"bridge\" data=\"user/1000\"/>\n</condition>\n</extension>\n</include>\n"
	}
	context := func(name string) string {
		return "<include>\n<context name=\"" + name + "\">\n<X-PRE-PROCESS cmd=\"include\" data=\"" + name + "/*.xml\"/>\n</context>\n</include>\n"
	}
	for name, text := range map[string]string{
		"freeswitch.xml":                   "<?xml version=\"1.0\"?>\n<document type=\"freeswitch/xml\">\n<section name=\"dialplan\">\n<X-PRE-PROCESS cmd=\"include\" data=\"dialplan/*.xml\"/>\n</section>\n</document>\n",
		"dialplan/public.xml":              context("public"),
		"dialplan/default.xml":             context("default"),
		"dialplan/public/10_operator.xml":  extension("operator"),
		"dialplan/default/01_operator.xml": extension("early"),
		"directory/default/1000.xml":       "<include>\n</include>\n",
		"sip_profiles/external.xml":        "<profile/>\n",
	} {
		write(t, filepath.Join(dir, filepath.FromSlash(name)), text)
	}
	return dir
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o640); err != nil {
		t.Fatal(err)
	}
}

// snapshot is a whole folder: names, modes and texts.
func snapshot(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		text, err := os.ReadFile(path)
		out[strings.TrimPrefix(path, dir+"/")] = info.Mode().String() + "\n" + string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func apply(t *testing.T, conf string, s Settings) []Change {
	t.Helper()
	p, err := NewPlan(conf, s)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Apply(time.Now()); err != nil {
		t.Fatal(err)
	}
	return p.Changes
}

func number(n int) *int { return &n }

func TestDefaultSettingsRenderExactlyTheShippedFiles(t *testing.T) {
	files, err := Settings{Last: true, Profile: true, Phones: true, User: true}.Files()
	if err != nil {
		t.Fatal(err)
	}
	rendered := map[string]string{}
	for _, f := range files {
		rendered[f.Path] = string(f.Text)
	}
	shipped := map[string]string{}
	err = fs.WalkDir(freeswitchconf.Files, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || strings.HasPrefix(path, "two-sidecars/") {
			return err
		}
		text, err := fs.ReadFile(freeswitchconf.Files, path)
		shipped[path] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(rendered, shipped) {
		t.Errorf("rendered %d files, shipped %d, and they differ", len(rendered), len(shipped))
		for path := range shipped {
			if d := Diff(path, []byte(shipped[path]), []byte(rendered[path])); d != "" {
				t.Error(d)
			}
		}
	}
}

func TestWhatIsRenderedHuntsLikeWhatIsShipped(t *testing.T) {
	conf := operatorConf(t)
	apply(t, conf, Settings{Contexts: []string{"public", "default"}, Prefixes: []string{"+1415", "44"}, Sockets: []string{"127.0.0.1:9001", "[::1]:9002"}, Guard: 7, File: number(0), Last: true})
	tree, err := dialplan.Load(conf, dialplan.LoadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if notices := tree.Notices(); len(notices) > 0 {
		t.Errorf("notices: %v", notices)
	}
	report, err := lint.Check(conf, lint.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range report.Findings {
		if strings.Contains(f.Pos.File, "signalbox") {
			t.Errorf("lint: %s: %s %s", f.Pos, f.Rule, f.What)
		}
	}
	for _, name := range []string{"public", "default"} {
		for destination, ours := range map[string]bool{"+14155550100": true, "14155550100": true, "+442079460000": true, "+4912345678": false, "1415": false, "+1415x55501": false, "1000": false} {
			walk, err := tree.Walk(t.Context(), &dialplan.Call{Context: name, Destination: destination, Fields: map[string]string{"uuid": "abc"}, Now: time.Now()}, dialplan.WalkOptions{})
			if err != nil {
				t.Fatal(err)
			}
			executed := strings.Join(walk.Executed, "\n")
			if got := strings.Contains(executed, "socket(127.0.0.1:9001|::1:9002 async full)"); got != ours {
				t.Errorf("%s %s: handed to the sidecar %v, want %v:\n%s", name, destination, got, ours, executed)
			}
			if ours && !strings.Contains(executed, "sched_api(+7 signalbox-") {
				t.Errorf("%s %s: no guard of 7 s:\n%s", name, destination, executed)
			}
			// Nobody listens here: our extension takes everything of its own off and the operator's goes on.
			if ours && strings.Contains(destination, "1415") && !strings.Contains(executed, "set(signalbox_handed_back="+destination+")") {
				t.Errorf("%s %s: not handed back:\n%s", name, destination, executed)
			}
			if strings.Contains(destination, "14155550100") && !strings.Contains(executed, "bridge(user/1000)") {
				t.Errorf("%s %s: the operator's extension did not run:\n%s", name, destination, executed)
			}
		}
	}
}

// A second sidecar gets the calls that the guard has taken back from the first, once for each number, and not those that were not ours.
func TestTheSecondSidecarGetsWhatTheGuardTookBack(t *testing.T) {
	conf := operatorConf(t)
	apply(t, conf, Settings{Sockets: []string{"127.0.0.1:9001", "127.0.0.1:9002"}, Guard: 4})
	tree, err := dialplan.Load(conf, dialplan.LoadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	const called = "+14155550100"
	const first, second = "socket(127.0.0.1:9001|127.0.0.1:9002 async full)", "socket(127.0.0.1:9002 async full)"
	for _, tt := range []struct {
		name      string
		variables map[string]string
		want      string
	}{
		{"a new call", nil, first},
		{"taken back from the first", map[string]string{"signalbox_handed_back": called}, second},
		{"taken back from the second", map[string]string{"signalbox_handed_back": called, "signalbox_second": called}, ""},
		{"not ours", map[string]string{"signalbox_handed_back": called, "signalbox_outcome": "not-ours"}, ""},
		{"goes to another number now", map[string]string{"signalbox_handed_back": "+14155550199"}, first},
	} {
		walk, err := tree.Walk(t.Context(), &dialplan.Call{Context: "public", Destination: called, Fields: map[string]string{"uuid": "abc"}, Vars: dialplan.NewVars(tt.variables), Now: time.Now()}, dialplan.WalkOptions{})
		if err != nil {
			t.Fatal(err)
		}
		executed := strings.Join(walk.Executed, "\n")
		for _, socket := range []string{first, second} {
			if got := strings.Contains(executed, socket); got != (socket == tt.want) {
				t.Errorf("%s: %s executed: %v\n%s", tt.name, socket, got, executed)
			}
		}
		if tt.want != "" && !strings.Contains(executed, "sched_api(+4 signalbox-") {
			t.Errorf("%s: no guard of 4 s:\n%s", tt.name, executed)
		}
		if !strings.Contains(executed, "bridge(user/1000)") { // nobody listens here
			t.Errorf("%s: the operator's extension did not run:\n%s", tt.name, executed)
		}
	}
}

// Any history of runs is undone step by step, to the byte and the mode.
func TestUndoBringsBackExactlyWhatWasThere(t *testing.T) {
	conf := operatorConf(t)
	// Copied by hand before: ours, so it may be replaced, and comes back.
	shipped, err := fs.ReadFile(freeswitchconf.Files, "dialplan/public/05_signalbox.xml")
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(conf, "dialplan/public/05_signalbox.xml"), string(shipped))
	if err := os.Chmod(filepath.Join(conf, "dialplan/public/05_signalbox.xml"), 0o600); err != nil {
		t.Fatal(err)
	}
	history := []map[string]string{snapshot(t, conf)}
	for _, s := range []Settings{
		{Prefixes: []string{"+1"}},
		{Prefixes: []string{"+1"}, File: number(7), Last: true},
		{Contexts: []string{"default"}, Guard: 10},
		{Sockets: []string{"127.0.0.1:9001", "127.0.0.1:9002"}},
		{Contexts: []string{"default", "public"}, Profile: true, Phones: true, User: true, Sounds: true},
		{},
	} {
		before := history[len(history)-1]
		plan, err := NewPlan(conf, s)
		if err != nil {
			t.Fatal(err)
		}
		if now := snapshot(t, conf); !reflect.DeepEqual(now, before) {
			t.Fatal("planning has changed the folder")
		}
		if err := plan.Apply(time.Now()); err != nil {
			t.Fatal(err)
		}
		if again, err := NewPlan(conf, s); err != nil || len(again.Changes) > 0 {
			t.Errorf("the same settings again: %d changes, %v", len(again.Changes), err)
		}
		history = append(history, snapshot(t, conf))
	}
	if len(history[len(history)-1]) <= len(history[0]) {
		t.Fatal("nothing was rendered: this test proves nothing")
	}
	for i := len(history) - 2; i >= 0; i-- {
		now := snapshot(t, conf)
		if _, err := Undo(conf, true); err != nil || !reflect.DeepEqual(snapshot(t, conf), now) {
			t.Fatalf("a dry undo changed something, or failed: %v", err)
		}
		if _, err := Undo(conf, false); err != nil {
			t.Fatal(err)
		}
		got, want := snapshot(t, conf), history[i]
		delete(got, ManifestName)
		for name, text := range want {
			if name != ManifestName && got[name] != text {
				t.Errorf("undo to state %d: %s is not as it was:\n%s\nwant\n%s", i, name, got[name], text)
			}
			delete(got, name)
		}
		if len(got) > 0 {
			t.Errorf("undo to state %d left %v", i, got)
		}
	}
	if _, err := os.Stat(filepath.Join(conf, ManifestName)); err == nil {
		t.Error("the manifest is left")
	}
	if _, err := Undo(conf, false); err == nil {
		t.Error("an undo too many succeeded")
	}
}

func TestManyRunsAreJoinedAndStillUndone(t *testing.T) {
	conf := operatorConf(t)
	before := snapshot(t, conf)
	for i := range maxRuns + 10 {
		apply(t, conf, Settings{Guard: minGuard + i%2, File: number(5 + i%3)})
	}
	undone := 0
	for ; ; undone++ {
		if _, err := Undo(conf, false); err != nil {
			break
		}
	}
	if undone != maxRuns {
		t.Errorf("%d runs undone, want %d", undone, maxRuns)
	}
	if now := snapshot(t, conf); !reflect.DeepEqual(now, before) {
		t.Error("the folder is not as it was at the beginning")
	}
}

// The prompts come with their folders, are said in one line each, and go with their folders; a later run that does not ask for
// them leaves them, and one with a sound of the operator's own in the place of ours changes nothing.
func TestPromptsAreInstalledAndTakenAway(t *testing.T) {
	conf := operatorConf(t)
	before := snapshot(t, conf)
	p, err := NewPlan(conf, Settings{Sounds: true})
	if err != nil {
		t.Fatal(err)
	}
	said := 0
	for _, c := range p.Changes {
		if d := Diff(c.Path, c.Before, c.After); d == "Binary files /dev/null and b/"+c.Path+" differ\n" {
			said++
		}
	}
	if want := len(freeswitchconf.Prompts()) * len(freeswitchconf.Languages()); said != want {
		t.Errorf("%d sounds in the diff, want %d", said, want)
	}
	if warnings, err := p.Check(t.Context(), nil); err != nil || len(warnings) > 0 {
		t.Errorf("check: %v %v", warnings, err)
	}
	if err := p.Apply(time.Now()); err != nil {
		t.Fatal(err)
	}
	reached := filepath.Join(conf, "sounds", "signalbox", "en", "reached.wav")
	want, err := fs.ReadFile(freeswitchconf.SoundFiles, "sounds/signalbox/en/reached.wav")
	if got, rerr := os.ReadFile(reached); err != nil || rerr != nil || !slices.Equal(got, want) {
		t.Fatalf("the prompt is not as shipped: %d bytes, want %d; %v %v", len(got), len(want), err, rerr)
	}
	apply(t, conf, Settings{Guard: 9})
	if _, err := os.Stat(reached); err != nil {
		t.Errorf("a run without sounds took them away: %v", err)
	}
	write(t, reached, "RIFF mine")
	if _, err := NewPlan(conf, Settings{Sounds: true}); err == nil || !strings.Contains(err.Error(), "was edited since") {
		t.Errorf("a voice of the operator's own: error %v", err)
	}
	if err := os.WriteFile(reached, want, 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := Undo(conf, false); err != nil {
			t.Fatal(err)
		}
	}
	if after := snapshot(t, conf); !reflect.DeepEqual(after, before) {
		t.Errorf("undone, but there are %d files, %d before", len(after), len(before))
	}
	if _, err := os.Stat(filepath.Join(conf, "sounds")); err == nil {
		t.Error("an empty folder is left")
	}
}

func TestFilesOfOthersStayAsTheyAre(t *testing.T) {
	for name, tt := range map[string]struct {
		prepare func(t *testing.T, conf string)
		want    []string
	}{
		"edited since": {func(t *testing.T, conf string) {
			apply(t, conf, Settings{})
			write(t, filepath.Join(conf, "dialplan/public/05_signalbox.xml"), "<include>\n<!-- mine -->\n</include>\n")
		}, []string{"05_signalbox.xml was edited since", "move this one away"}},
		"foreign": {func(t *testing.T, conf string) {
			write(t, filepath.Join(conf, "dialplan/signalbox.xml"), "<include>\n</include>\n")
		}, []string{"dialplan/signalbox.xml was not rendered by signalbox", "rename it"}},
		"both": {func(t *testing.T, conf string) {
			write(t, filepath.Join(conf, "dialplan/signalbox.xml"), "x")
			write(t, filepath.Join(conf, "dialplan/public/05_signalbox.xml"), "y")
		}, []string{"dialplan/signalbox.xml was not", "05_signalbox.xml was not"}},
		"a link": {func(t *testing.T, conf string) {
			if err := os.Symlink(filepath.Join(conf, "freeswitch.xml"), filepath.Join(conf, "dialplan/signalbox.xml")); err != nil {
				t.Fatal(err)
			}
		}, []string{"is no regular file"}},
		"a context without a folder": {func(t *testing.T, conf string) {
			if err := os.RemoveAll(filepath.Join(conf, "dialplan/public")); err != nil {
				t.Fatal(err)
			}
		}, []string{"make the folder"}},
		"no conf folder": {func(t *testing.T, conf string) {
			if err := os.Remove(filepath.Join(conf, "freeswitch.xml")); err != nil {
				t.Fatal(err)
			}
		}, []string{"holds no freeswitch.xml"}},
		"a manifest that leads outside": {func(t *testing.T, conf string) {
			write(t, filepath.Join(conf, ManifestName), `{"about":"","runs":[{"changes":[{"path":"../../etc/passwd"}]}]}`)
		}, []string{"not inside the conf folder"}},
		"a broken manifest": {func(t *testing.T, conf string) {
			write(t, filepath.Join(conf, ManifestName), `{"runs":`)
		}, []string{"cannot be read", "restore it from a backup"}},
	} {
		t.Run(name, func(t *testing.T) {
			conf := operatorConf(t)
			tt.prepare(t, conf)
			before := snapshot(t, conf)
			_, err := NewPlan(conf, Settings{Guard: 9})
			if err == nil {
				t.Fatal("no error")
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("the error does not say %q: %v", want, err)
				}
			}
			if now := snapshot(t, conf); !reflect.DeepEqual(now, before) {
				t.Error("something was changed")
			}
		})
	}
}

func TestUndoStopsAtAnEditedFile(t *testing.T) {
	conf := operatorConf(t)
	before := snapshot(t, conf)
	apply(t, conf, Settings{})
	path := filepath.Join(conf, "dialplan/public/05_signalbox.xml")
	write(t, path, "mine\n")
	edited := snapshot(t, conf)
	if _, err := Undo(conf, false); err == nil || !strings.Contains(err.Error(), "was edited since") {
		t.Errorf("error %v", err)
	}
	if now := snapshot(t, conf); !reflect.DeepEqual(now, edited) {
		t.Error("a refused undo has changed something")
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if _, err := Undo(conf, false); err != nil {
		t.Fatal(err)
	}
	if now := snapshot(t, conf); !reflect.DeepEqual(now, before) {
		t.Error("not as it was")
	}
}

// A run that breaks off, wherever, is undone: the manifest is there first.
func TestARunThatBrokeOffIsUndone(t *testing.T) {
	for done := range 3 {
		conf := operatorConf(t)
		before := snapshot(t, conf)
		p, err := NewPlan(conf, Settings{Last: true})
		if err != nil {
			t.Fatal(err)
		}
		p.manifest.Runs = append(p.manifest.Runs, run{Changes: p.changes})
		if err := p.manifest.write(conf); err != nil {
			t.Fatal(err)
		}
		for i, c := range p.changes[:done] {
			if err := put(conf, c.Path, c.After, p.Changes[i].After); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := Undo(conf, false); err != nil {
			t.Fatal(err)
		}
		if now := snapshot(t, conf); !reflect.DeepEqual(now, before) {
			t.Errorf("broken off after %d files: not as it was", done)
		}
	}
}

func TestWrongSettingsAreRefusedWithAReason(t *testing.T) {
	for want, s := range map[string]Settings{
		"is not on this machine":          {Sockets: []string{"192.0.2.1:8084"}},
		"write HOST:PORT":                 {Sockets: []string{"127.0.0.1"}},
		"1 to 65535":                      {Sockets: []string{"127.0.0.1:0"}},
		"is not on this machine: FreeSW":  {Sockets: []string{"sidecar.example.net:8084"}},
		"letters, digits":                 {Contexts: []string{"../etc"}},
		"given twice":                     {Contexts: []string{"a", "a"}},
		"ours already":                    {Contexts: []string{"signalbox"}},
		"guard of 1 s":                    {Guard: 1},
		"file number 100":                 {File: number(100)},
		"begin it with ^":                 {Numbers: `\d+`},
		"would put a variable":            {Numbers: `^${x}$`},
		"printable ASCII":                 {Numbers: "^\x01$"},
		"not both":                        {Numbers: "^1$", Prefixes: []string{"1"}},
		`prefix "1.": 1 to 15 digits`:     {Prefixes: []string{"1."}},
		"write a pattern that takes them": {Prefixes: many(40)},
		"at most 8":                       {Sockets: strings.Split(strings.Repeat("127.0.0.1:1 ", 9)[:9*12-1], " ")},
		"17 contexts":                     {Contexts: many(17)},
	} {
		if _, err := s.Files(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: error %v, want one that says %q", s, err, want)
		}
	}
}

func many(n int) (out []string) {
	for i := range n {
		out = append(out, fmt.Sprint(100000+i))
	}
	return out
}

func TestAPatternIsWrittenAsXML(t *testing.T) {
	files, err := Settings{Numbers: `^(?<n>"&'\d{7})$`}.Files()
	if err != nil {
		t.Fatal(err)
	}
	text := string(files[len(files)-1].Text)
	if !strings.Contains(text, `expression="^(?&lt;n&gt;&#34;&amp;&#39;\d{7})$"`) {
		t.Errorf("not escaped:\n%s", text)
	}
}

func TestCheckSaysWhoTakesTheNumbersFirst(t *testing.T) {
	for name, tt := range map[string]struct {
		settings Settings
		prepare  func(conf string)
		want     string
	}{
		"all is well":              {settings: Settings{}},
		"an extension before ours": {settings: Settings{Contexts: []string{"default"}}, want: `taken by your extension "early" (CONF/dialplan/default/01_operator.xml:4)`},
		"a lower number helps":     {settings: Settings{Contexts: []string{"default"}, File: number(0)}},
		"a context not there":      {settings: Settings{Contexts: []string{"lonely"}}, prepare: func(conf string) { _ = os.Mkdir(filepath.Join(conf, "dialplan/lonely"), 0o755) }, want: "context not found"},
		"a folder not included": {settings: Settings{Contexts: []string{"default"}}, prepare: func(conf string) {
			_ = os.WriteFile(filepath.Join(conf, "dialplan/default.xml"), []byte("<include>\n<context name=\"default\">\n</context>\n</include>\n"), 0o600)
		}, want: "does the context include its folder?"},
		"a broken tree": {settings: Settings{}, prepare: func(conf string) {
			_ = os.WriteFile(filepath.Join(conf, "dialplan/zz.xml"), []byte("<include>\n<context name=\"x\">\n</include>\n"), 0o600)
		}, want: "cannot be loaded"},
	} {
		t.Run(name, func(t *testing.T) {
			conf := operatorConf(t)
			if tt.prepare != nil {
				tt.prepare(conf)
			}
			before := snapshot(t, conf)
			p, err := NewPlan(conf, tt.settings)
			if err != nil {
				t.Fatal(err)
			}
			got, err := p.Check(context.Background(), nil)
			if err != nil {
				t.Fatal(err)
			}
			text := strings.ReplaceAll(strings.Join(got, "\n"), conf, "CONF")
			if tt.want == "" && text != "" || !strings.Contains(text, tt.want) || strings.Contains(text, "signalbox-render-") {
				t.Errorf("warnings %q, want %q", text, tt.want)
			}
			if !reflect.DeepEqual(snapshot(t, conf), before) {
				t.Error("checking has changed the folder")
			}
		})
	}
}

// The diff is one that git takes, for new, changed and removed files.
func TestTheDiffApplies(t *testing.T) {
	git, err := exec.LookPath("git")
	if err != nil {
		t.Skip("no git here")
	}
	conf, other := operatorConf(t), operatorConf(t)
	for _, s := range []Settings{{Prefixes: []string{"1415"}}, {Guard: 9, Last: true, Sockets: []string{"127.0.0.1:1", "127.0.0.1:2"}}, {File: number(77)}} {
		var diff strings.Builder
		for _, c := range apply(t, conf, s) {
			diff.WriteString(Diff(c.Path, c.Before, c.After))
		}
		if hunks := regexp.MustCompile(`(?m)^@@ `).FindAllString(diff.String(), -1); len(hunks) < 2 {
			t.Fatalf("%d hunks prove nothing:\n%s", len(hunks), diff.String())
		}
		cmd := exec.Command(git, "apply", "-p1", "-")
		cmd.Dir, cmd.Stdin = other, strings.NewReader(diff.String())
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git apply: %v\n%s\n%s", err, out, diff.String())
		}
		for name, text := range snapshot(t, conf) {
			got, err := os.ReadFile(filepath.Join(other, name))
			_, want, _ := strings.Cut(text, "\n")
			if name != ManifestName && (err != nil || string(got) != want) {
				t.Errorf("%s differs after the diff: %v", name, err)
			}
		}
	}
}
