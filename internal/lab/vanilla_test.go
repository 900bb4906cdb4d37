package lab

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestStoriesOnFreeSWITCH plays every story on a real FreeSWITCH, when SIGNALBOX_FREESWITCH names its binary.
func TestStoriesOnFreeSWITCH(t *testing.T) {
	program := os.Getenv("SIGNALBOX_FREESWITCH")
	if program == "" {
		t.Skip("SIGNALBOX_FREESWITCH names no freeswitch binary: the stories were NOT played on a real switch")
	}
	binary := filepath.Join(t.TempDir(), "signalbox")
	if out, err := exec.Command("go", "build", "-o", binary, "../../cmd/signalbox").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var names []string
	if s := os.Getenv("STORY"); s != "" {
		names = strings.Split(s, ",")
	}
	stories, err := Select(names)
	if err != nil {
		t.Fatal(err)
	}
	rig, err := NewRig(t.Context(), RigOptions{Program: binary, StartSwitch: Vanilla{Program: program, Dir: t.TempDir()}.Start}, stories)
	if err != nil {
		t.Fatal(err)
	}
	defer rig.Close()
	var out strings.Builder
	results := Run(t.Context(), rig, stories, NewText(&out, stories, false, 0))
	for _, r := range results {
		if r.Err != nil {
			t.Errorf("%s: %v", r.Story, r.Err)
		}
	}
	if t.Failed() || testing.Verbose() {
		t.Log(out.String())
	}
}
