// Package proc reads what a process uses from Linux's /proc. It keeps no state.
package proc

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// clockTick is the unit of processor times in /proc: Linux tells every program 100 a second.
const clockTick = 10 * time.Millisecond

// Use is what a process has at one moment, and what it has used so far.
type Use struct {
	Files    int           // open descriptors
	Resident uint64        // bytes
	CPU      time.Duration // user and system, of all threads
}

// Look reads the use of a process.
func Look(pid int) (u Use, err error) {
	proc := filepath.Join("/proc", strconv.Itoa(pid))
	files, err := os.ReadDir(filepath.Join(proc, "fd"))
	if err != nil {
		return u, err
	}
	u.Files = len(files)
	status, err := os.ReadFile(filepath.Join(proc, "status"))
	if err != nil {
		return u, err
	}
	kB, err := Number(string(status), "VmRSS:")
	if err != nil {
		return u, err
	}
	u.Resident = kB << 10
	stat, err := os.ReadFile(filepath.Join(proc, "stat"))
	if err != nil {
		return u, err
	}
	u.CPU, err = processorTime(stat)
	return u, err
}

// Memory is the resident memory of a process in bytes. A page that several processes map counts for each with its share (Linux's
// PSS), so that the sum over the processes of a program is what the program takes.
type Memory struct {
	All uint64
	Own uint64 // of it without the pages of program files, which the kernel can read again: heap, stacks, shared memory
}

// LookMemory reads the resident memory of a process.
func LookMemory(pid int) (m Memory, err error) {
	raw, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "smaps_rollup"))
	if err != nil {
		return m, err
	}
	for mark, to := range map[string]*uint64{"\nPss:": &m.All, "\nPss_Anon:": &m.Own, "\nPss_Shmem:": &m.Own} {
		kB, err := Number(string(raw), mark)
		if err != nil {
			return m, err
		}
		*to += kB << 10
	}
	return m, nil
}

// Children are the processes that a process has started and that live.
func Children(pid int) (pids []int) {
	tasks, _ := filepath.Glob(filepath.Join("/proc", strconv.Itoa(pid), "task", "*", "children"))
	for _, t := range tasks {
		raw, err := os.ReadFile(t)
		if err != nil {
			continue
		}
		for _, f := range strings.Fields(string(raw)) {
			if n, err := strconv.Atoi(f); err == nil {
				pids = append(pids, n)
			}
		}
	}
	return pids
}

// Number reads the first number behind a mark.
func Number(text, mark string) (uint64, error) {
	_, rest, found := strings.Cut(text, mark)
	rest = strings.TrimLeft(rest, " \t")
	end := strings.IndexFunc(rest, func(r rune) bool { return r < '0' || r > '9' })
	if !found || end <= 0 {
		return 0, fmt.Errorf("no number behind %q", mark)
	}
	return strconv.ParseUint(rest[:end], 10, 64)
}

// processorTime reads user and system time from /proc/PID/stat, of all threads (proc(5)).
func processorTime(stat []byte) (time.Duration, error) {
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) < 13 {
		return 0, fmt.Errorf("/proc/PID/stat reads %.80q", stat)
	}
	user, err := strconv.ParseUint(fields[11], 10, 64)
	if err != nil {
		return 0, err
	}
	system, err := strconv.ParseUint(fields[12], 10, 64)
	return time.Duration(user+system) * clockTick, err
}
