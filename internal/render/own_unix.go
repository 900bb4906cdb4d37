//go:build unix

package render

import (
	"os"
	"syscall"
)

// own gives f the owner and group of like. Only root may; for anybody else the file is one's own, as with cp.
func own(f *os.File, like string) {
	info, err := os.Stat(like)
	if err != nil {
		return
	}
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		_ = f.Chown(int(s.Uid), int(s.Gid))
	}
}

// ownFolder gives a folder the owner and group of like.
func ownFolder(folder, like string) {
	if f, err := os.Open(folder); err == nil {
		own(f, like)
		_ = f.Close()
	}
}
