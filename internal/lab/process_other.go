//go:build !linux

package lab

import "syscall"

// dieWithParent does nothing here: a lab that is killed leaves its children to be ended by hand.
func dieWithParent(*syscall.SysProcAttr) {}

// awaitStopped does not wait here.
func awaitStopped(int) {}
