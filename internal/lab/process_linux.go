package lab

import "syscall"

// dieWithParent has the kernel kill a child when the lab itself is killed.
func dieWithParent(a *syscall.SysProcAttr) { a.Pdeathsig = syscall.SIGKILL }
