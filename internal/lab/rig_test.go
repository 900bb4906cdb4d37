package lab

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/signalbox/signalbox/internal/call"
	"github.com/signalbox/signalbox/internal/export"
)

// program builds signalbox.
func program(t *testing.T) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "signalbox")
	if out, err := exec.Command("go", "build", "-o", binary, "../../cmd/signalbox").CombinedOutput(); err != nil {
		t.Fatalf("building signalbox: %v\n%s", err, out)
	}
	return binary
}

func playOn(t *testing.T, o RigOptions, names ...string) []Result {
	t.Helper()
	stories, err := Select(names)
	if err != nil {
		t.Fatal(err)
	}
	rig, err := NewRig(t.Context(), o, stories)
	if err != nil {
		t.Fatal(err)
	}
	defer rig.Close()
	var out bytes.Buffer
	results := Run(t.Context(), rig, stories, NewText(&out, stories, false, 0))
	for _, r := range results {
		if r.Err != nil {
			t.Errorf("%s: %v", r.Story, r.Err)
		}
	}
	if unknown := rig.Unknown(); len(unknown) > 0 {
		t.Errorf("the simulator was asked for what it does not know: %s", unknown)
	}
	if t.Failed() || testing.Verbose() {
		t.Log(out.String())
	}
	return results
}

func TestStoriesOnSimulator(t *testing.T) {
	results := playOn(t, RigOptions{Program: program(t)}, "busy-to-voicemail", "deny-listed-caller-refused", "sidecar-down-operators-fallback")
	var out bytes.Buffer
	if err := WriteJSON(&out, results); err != nil {
		t.Fatal(err)
	}
	var rows []struct {
		Story  string       `json:"story"`
		OK     bool         `json:"ok"`
		Plan   *export.Plan `json:"plan"`
		Events []struct {
			T       *float64 `json:"t"`
			From    string   `json:"from"`
			To      string   `json:"to"`
			Summary string   `json:"summary"`
			Raw     string   `json:"raw"`
		} `json:"events"`
	}
	if err := json.Unmarshal(out.Bytes(), &rows); err != nil {
		t.Fatal(err)
	}
	if len(rows) != 3 || rows[0].Story != "busy-to-voicemail" || !rows[0].OK {
		t.Fatalf("rows %+v", rows)
	}
	if p := rows[0].Plan; p == nil || len(p.Steps) < 2 || p.Steps[1].Kind != call.StepMailbox || p.Steps[1].Reason.Sentence == "" {
		t.Errorf("the plan of the voicemail story is %+v", p)
	}
	if rows[1].Plan != nil {
		t.Errorf("a refused caller has a plan: %+v", rows[1].Plan)
	}
	first := rows[0].Events[0]
	if first.T == nil || first.From != ColCaller || first.To != ColProxy || !strings.HasPrefix(first.Raw, "INVITE sip:+49") {
		t.Errorf("the first event is %+v", first)
	}
}

// TestStoriesOnFreeSWITCH plays some stories on a real FreeSWITCH, when SIGNALBOX_FREESWITCH names its binary; STORY names
// others, "all" is all of them.
func TestStoriesOnFreeSWITCH(t *testing.T) {
	binary := os.Getenv("SIGNALBOX_FREESWITCH")
	if binary == "" {
		t.Skip("SIGNALBOX_FREESWITCH names no freeswitch binary: the stories were NOT played on a real switch")
	}
	names := []string{"busy-to-voicemail", "number-nobody-owns"}
	if s := os.Getenv("STORY"); s == "all" {
		names = nil
	} else if s != "" {
		names = strings.Split(s, ",")
	}
	playOn(t, RigOptions{Program: program(t), StartSwitch: Vanilla{Program: binary, Dir: t.TempDir()}.Start}, names...)
}

// TestStoriesOnAFreeSWITCHThatRunsAlready has the lab put the operator's extensions into its conf folder and take them away again.
func TestStoriesOnAFreeSWITCHThatRunsAlready(t *testing.T) {
	binary := os.Getenv("SIGNALBOX_FREESWITCH")
	if binary == "" {
		t.Skip("SIGNALBOX_FREESWITCH names no freeswitch binary: the stories were NOT played on a real switch")
	}
	sidecar, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	files, err := dropins(sidecar.String(), nil)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	at, stop, err := Vanilla{Program: binary, Dir: dir}.Start(t.Context(), files)
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	conf := filepath.Join(dir, "freeswitch", "conf")
	there := Existing{EventSocket: at.EventSocket, Password: at.Password, External: at.External, Internal: at.Internal, UserPassword: at.UserPassword, Conf: conf}
	playOn(t, RigOptions{Program: program(t), Sidecar: sidecar.String(), StartSwitch: there.Start}, "registered-phone-answers", "number-nobody-owns")
	left, err := filepath.Glob(filepath.Join(conf, "dialplan", "public", "*lab*"))
	if err != nil || len(left) != 0 {
		t.Errorf("the lab left %s behind (%v)", left, err)
	}
	there.Password = "wrong"
	if _, _, err := there.Start(t.Context(), files); err == nil || !strings.Contains(err.Error(), "password") && !strings.Contains(err.Error(), "invalid") {
		t.Errorf("a wrong password gave %v", err)
	}
}

func TestStoryNamesAreStableAndKnown(t *testing.T) {
	want := []string{"answered", "no-answer-to-voicemail", "busy-to-voicemail", "first-voicemail-target-down", "impossible-caller-refused",
		"deny-listed-caller-refused", "caller-gives-up", "sidecar-killed-while-two-talk", "sidecar-down-operators-fallback"}
	var names []string
	for _, s := range Stories() {
		names = append(names, s.Name)
		if s.Title == "" || s.Play == nil {
			t.Errorf("story %s has no title or no play", s.Name)
		}
	}
	for _, w := range want {
		if !slices.Contains(names, w) {
			t.Errorf("there is no story %s", w)
		}
	}
	slices.Sort(names)
	if len(slices.Compact(names)) != len(Stories()) {
		t.Errorf("a name stands twice: %s", names)
	}
	if _, err := Select([]string{"answered", "no-such-story"}); err == nil || !strings.Contains(err.Error(), "no-such-story") {
		t.Errorf("an unknown story gave %v", err)
	}
}

// TestTheReportKeepsItsOrder has two stories run at the same time, the second one faster.
func TestTheReportKeepsItsOrder(t *testing.T) {
	stories := []Story{{Name: "first"}, {Name: "second"}}
	var out bytes.Buffer
	text := NewText(&out, stories, false, 0)
	text.Begin(stories[0])
	text.Begin(stories[1])
	text.Event(stories[1], Event{Kind: Tell, Summary: "from the second"})
	text.End(stories[1], Result{Story: "second", Err: errors.New("it rained")})
	if strings.Contains(out.String(), "second") {
		t.Fatalf("the second story is told before the first one is over:\n%s", out.String())
	}
	text.Event(stories[0], Event{Kind: Tell, Summary: "from the first"})
	if !strings.Contains(out.String(), "from the first") {
		t.Error("the story that is being told is not shown live")
	}
	text.End(stories[0], Result{Story: "first"})
	told := out.String()
	a, b, c := strings.Index(told, "from the first"), strings.Index(told, "from the second"), strings.Index(told, "it rained")
	if a < 0 || b < a || c < b {
		t.Errorf("order %d, %d, %d in\n%s", a, b, c, told)
	}
	Summary(&out, []Result{{Story: "first"}, {Story: "second", Err: errors.New("it rained")}}, 2*time.Second, false)
	if !strings.Contains(out.String(), "1 of 2 stories as told") {
		t.Errorf("summary:\n%s", out.String())
	}
}

// TestAProcessThatDiesEarlySaysWhy asks for the output of a program that ends before it is ready.
func TestAProcessThatDiesEarlySaysWhy(t *testing.T) {
	p, err := Spawn(t.TempDir(), "dies", "/bin/sh", "-c", "echo the reason >&2; exit 3")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.FirstLine(t.Context()); err == nil || !strings.Contains(err.Error(), "the reason") || !strings.Contains(err.Error(), "exit status 3") {
		t.Errorf("got %v", err)
	}
	p.Stop(time.Second) // of a process that is gone: nothing happens
}
