package doctor

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

var errNotHere = errors.New("FreeSWITCH does not run on this machine, or its process is not seen")

// mayWrite says, by the folder's owner and mode, whether FreeSWITCH's user may make files in it. That is seen only where its process and
// the folder are on this machine: over the Event Socket it could only be tried.
func (d *doctor) mayWrite(ctx context.Context, p place, folder string) (bool, error) {
	run, err := p.global(ctx, "run_dir")
	if err != nil || run == "" {
		return false, errors.Join(errNotHere, err)
	}
	text, err := os.ReadFile(filepath.Join(run, "freeswitch.pid"))
	if err != nil {
		return false, errors.Join(errNotHere, err)
	}
	pid := strings.TrimSpace(strings.TrimRight(string(text), "\x00"))
	status, err := os.ReadFile(filepath.Join("/proc", pid, "status"))
	if _, wrong := strconv.Atoi(pid); wrong != nil || err != nil {
		return false, errNotHere
	}
	info, err := os.Stat(folder)
	if err != nil {
		return false, err
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok || !info.IsDir() {
		return false, errors.New("no folder")
	}
	name, user, groups := credentials(string(status))
	if name != "freeswitch" {
		return false, errNotHere // another process has its number
	}
	return mayMake(uint32(info.Mode().Perm()), st.Uid, st.Gid, user, groups), nil
}

// credentials reads a process's name, its user and its groups from /proc/PID/status.
func credentials(status string) (name string, user uint32, groups []uint32) {
	number := func(s string) uint32 {
		n, _ := strconv.ParseUint(s, 10, 32)
		return uint32(n)
	}
	for line := range strings.Lines(status) {
		key, rest, _ := strings.Cut(line, ":")
		words := strings.Fields(rest)
		switch {
		case key == "Name" && len(words) > 0:
			name = words[0]
		case key == "Uid" && len(words) > 1:
			user = number(words[1])
		case key == "Gid" && len(words) > 1:
			groups = append(groups, number(words[1]))
		case key == "Groups":
			for _, w := range words {
				groups = append(groups, number(w))
			}
		}
	}
	return name, user, groups
}

// mayMake decides on a folder's mode whether a user may make files in it.
func mayMake(mode, owner, group, user uint32, groups []uint32) bool {
	const rights = 0o3 // to write and to search
	switch {
	case user == 0:
		return true
	case user == owner:
		mode >>= 6
	case slices.Contains(groups, group):
		mode >>= 3
	}
	return mode&rights == rights
}
