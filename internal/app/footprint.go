package app

import (
	"os"
	"runtime/debug"
)

// proxyGCPercent is how much the heap of a proxy grows over what lives before garbage is collected, in percent. Go's own 100 takes a third more
// heap; half of it costs a tenth of the processor time with few calls and nothing that can be measured with many
// (docs/performance.md).
const proxyGCPercent = 50

// settle gives back what only the start needed: reading configuration and tables leaves garbage several times the size of what stays. The
// environment's GOGC wins.
func settle(role Role) {
	if _, said := os.LookupEnv("GOGC"); !said && role == Proxy {
		debug.SetGCPercent(proxyGCPercent)
	}
	debug.FreeOSMemory()
	dropStartCode()
}
