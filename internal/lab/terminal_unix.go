//go:build unix

package lab

import (
	"os"

	"golang.org/x/sys/unix"
)

// TerminalWidth is how many characters a line of the terminal has; 0 = f is no terminal.
func TerminalWidth(f *os.File) int {
	size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	if err != nil {
		return 0
	}
	if size.Col == 0 {
		return 100
	}
	return int(size.Col)
}
