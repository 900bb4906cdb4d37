package proc

import (
	"os"
	"os/exec"
	"slices"
	"testing"
	"time"
)

func TestLook(t *testing.T) {
	u, err := Look(os.Getpid())
	if err != nil || u.Files < 3 || u.Resident < 1<<20 {
		t.Errorf("%+v, %v", u, err)
	}
	got, err := processorTime([]byte("7 (a) b c) S 1 7 7 0 -1 4194304 1 0 0 0 150 50 0 0 20 0 9"))
	if err != nil || got != 2*time.Second {
		t.Errorf("processor time %s, %v, want 2s", got, err)
	}
	m, err := LookMemory(os.Getpid())
	if err != nil || m.Own < 100<<10 || m.All <= m.Own {
		t.Errorf("memory %+v, %v", m, err)
	}
	child := exec.Command("sleep", "60")
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(Children(os.Getpid()), child.Process.Pid) {
		t.Error("the child is not seen")
	}
	_ = child.Process.Kill()
	_ = child.Wait()
	if _, err := Look(child.Process.Pid); err == nil {
		t.Error("a process that is gone was looked at")
	}
}
