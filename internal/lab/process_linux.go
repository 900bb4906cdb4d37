package lab

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// dieWithParent has the kernel kill a child when the lab itself is killed.
func dieWithParent(a *syscall.SysProcAttr) { a.Pdeathsig = syscall.SIGKILL }

// awaitStopped waits until all threads of a process stand still, at most a second.
func awaitStopped(pid int) {
	for until := time.Now().Add(time.Second); time.Now().Before(until) && !stopped(pid); {
		time.Sleep(time.Millisecond)
	}
}

func stopped(pid int) bool {
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
	if err != nil {
		return true
	}
	for _, thread := range threads {
		stat, err := os.ReadFile(thread)
		if err != nil {
			continue // it has ended
		}
		// The state stands behind the name, which is in parentheses and may have some itself (proc(5)).
		if at := bytes.LastIndexByte(stat, ')'); at < 0 || at+2 >= len(stat) || stat[at+2] != 'T' {
			return false
		}
	}
	return true
}
