// Package call is the heart: what a call is, what we decided about it, and what happened.
//
// Everything here is a value or an interface of verbs. Arrival (how the call came), Plan (what will be tried, each step
// with its reason) and Record (what happened) can be printed, stored and replayed; Leg is what a treatment does to the
// caller's leg, implemented over FreeSWITCH by package fsw. The package does no I/O, reads no clock and starts no
// goroutine; values are safe for concurrent use as long as nobody changes them after handing them on.
package call
