// Package heapsample keeps Go's sampling of allocations off until somebody wants to read it: its tables take more memory than a proxy with
// a hundred calls does. Nothing but a profile shows the difference.
//
// Invariant: it imports nothing but runtime, so that it is initialised before most packages have allocated anything worth a sample.
// Concurrency: On is called once, when the program starts.
package heapsample

import "runtime"

// rate is Go's own: one sample for each half megabyte.
const rate = 512 << 10

var _ = off()

func off() struct{} {
	runtime.MemProfileRate = 0
	return struct{}{}
}

// On begins sampling: profiles of the heap show what is allocated from now on.
func On() { runtime.MemProfileRate = rate }
