// Package rooms fills many conferences of hosts at once and looks at what the sidecar takes beside FreeSWITCH, and how soon who
// presses the key is in.
//
// Each host calls the access number from his own number and presses the key for his room; then the others call him, one after the other,
// are forwarded to the access number as a carrier does, and press the key for the room. When all are in they stay for a while. During that a
// further room gets twelve within three seconds. Switch, proxy and sidecar are the processes of a lab.Rig; hosts and callers are
// SIPp, which presses by SIP INFO and sends voice only when asked: without, the switch mixes silence, and works less than it would.
//
// What is looked at: the processor time of sidecar, proxy and switch while people come, while they stay and while they go; the time from
// the key (DTMF) to the member (add-member), by the switch's own clock.
//
// Invariants: a call that fails fails the run; so does a member who is missed. Every process is ended by its own process id.
//
// Concurrency: Run owns all goroutines and processes and has waited for them when it returns.
package rooms
