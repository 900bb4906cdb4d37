package app

import (
	"bufio"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// dropStartCode takes the program's own code and constants out of its resident memory; what is used is mapped again when it is touched, from
// the file, which the kernel keeps. Most of what was touched until now was for the start alone. A mapping of which the process has written
// a page is left alone, and so is everything when anything looks unusual.
func dropStartCode() {
	for _, m := range cleanCode() {
		_, _, _ = syscall.Syscall(syscall.SYS_MADVISE, m.from, m.size, syscall.MADV_DONTNEED)
	}
}

type mapping struct{ from, size uintptr }

func cleanCode() (found []mapping) {
	program, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return nil
	}
	f, err := os.Open("/proc/self/smaps")
	if err != nil {
		return nil
	}
	defer f.Close()
	var m mapping
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		w := strings.Fields(lines.Text())
		switch {
		case len(w) == 6 && strings.Contains(w[0], "-") && !strings.HasSuffix(w[0], ":"):
			m = mapping{}
			from, to, _ := strings.Cut(w[0], "-")
			a, err1 := strconv.ParseUint(from, 16, 64)
			b, err2 := strconv.ParseUint(to, 16, 64)
			if err1 == nil && err2 == nil && w[5] == program && (w[1] == "r-xp" || w[1] == "r--p") {
				m = mapping{uintptr(a), uintptr(b - a)}
			}
		case len(w) == 3 && w[0] == "Anonymous:" && w[1] == "0" && m.size > 0: // no page was written
			found = append(found, m)
			m = mapping{}
		}
	}
	return found
}
