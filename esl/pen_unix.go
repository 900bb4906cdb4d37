//go:build unix

package esl

import (
	"errors"
	"syscall"
)

// tryWrite writes as much as the system takes without waiting.
func tryWrite(raw syscall.RawConn, b []byte) (n int, err error) {
	controlErr := raw.Write(func(fd uintptr) (done bool) {
		for {
			n, err = syscall.Write(int(fd), b)
			if !errors.Is(err, syscall.EINTR) {
				return true
			}
		}
	})
	n = max(n, 0)
	if errors.Is(err, syscall.EAGAIN) {
		err = nil
	}
	return n, errors.Join(controlErr, err)
}
