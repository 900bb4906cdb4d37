// Package load plays many calls a second for long against a whole Signalbox and looks at what grows and what is slow.
//
// The call is the voicemail story: a carrier's caller, the proxy, the switch, a phone that refuses (or rings and is not
// taken), the voicemail system that answers, a short talk, BYE. Switch, proxy and sidecar are the processes of a lab.Rig;
// callers, phones and voicemail are SIPp, one process each, over UDP on loopback. Each call is to another of many
// subscribers, so that the store and its cache work as they do in earnest. Callers and the voicemail
// system send voice only when asked: a real switch that relays it works more.
//
// What is looked at: of sidecar and proxy the goroutines, open descriptors, heap (after a garbage collection) and resident
// memory, before the load when it has been warmed up and after it when all calls are over, and while it runs; the time from
// taking a call's connection to the first command; the processor time of each process.
//
// Invariants: a figure that could not be read fails the run; a call that fails counts as failed and is shown; every process
// is ended by its own process id.
//
// Concurrency: Run owns all goroutines and processes and has waited for them when it returns.
package load
