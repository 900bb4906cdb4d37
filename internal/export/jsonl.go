package export

import (
	"fmt"
	"io"
	"os"
)

// lines is a file of JSON lines that may be moved away and opened again.
type lines struct {
	path string
	f    *os.File
	torn bool // the last line is not whole: the next one begins with a line break
}

func openLines(path string) (*lines, error) {
	l := &lines{path: path}
	return l, l.reopen()
}

// reopen opens the path anew, so that a file that was moved away is left to whoever moved it.
func (l *lines) reopen() error {
	f, err := os.OpenFile(l.path, os.O_CREATE|os.O_APPEND|os.O_RDWR, 0o640)
	if err != nil {
		return err
	}
	l.close()
	l.f, l.torn = f, tornEnd(f)
	return nil
}

// tornEnd reports whether a file's last line has no line break: its writer died, or the disk was full.
func tornEnd(f *os.File) bool {
	info, err := f.Stat()
	if err != nil || info.Size() == 0 {
		return false
	}
	last := make([]byte, 1)
	_, err = f.ReadAt(last, info.Size()-1)
	return err == nil && last[0] != '\n'
}

func (l *lines) append(line []byte) error {
	if l.f == nil {
		if err := l.reopen(); err != nil {
			return err
		}
	}
	if l.torn {
		line = append([]byte{'\n'}, line...)
	}
	n, err := l.f.Write(line)
	if err == nil && n < len(line) {
		err = io.ErrShortWrite
	}
	if err != nil {
		l.torn = l.torn || n > 0
		return fmt.Errorf("writing %s: %w", l.path, err)
	}
	l.torn = false
	return nil
}

func (l *lines) close() {
	if l.f != nil {
		_ = l.f.Close()
		l.f = nil
	}
}
