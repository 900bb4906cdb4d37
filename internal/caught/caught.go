// Package caught keeps a panic from ending the process, and with it every call that the process serves.
package caught

import (
	"runtime/debug"

	"go.uber.org/zap"
)

// Panic is deferred where a panic shall cost what is being done and nothing else. It is logged with its stack, and then is run, which may
// be nil. It does nothing where there is no panic.
func Panic(log *zap.Logger, doing string, then func()) {
	if p := recover(); p != nil {
		log.Error("panic while "+doing, zap.Any("panic", p), zap.ByteString("stack", debug.Stack()))
		if then != nil {
			then()
		}
	}
}
