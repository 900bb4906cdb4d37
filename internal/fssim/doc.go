// Package fssim is a small, honest FreeSWITCH 1.10 for tests and the lab: SIP on both sides over UDP and TCP, the
// Event Socket byte for byte in both directions, and the XML dialplan hunted with package dialplan. Of two
// bridged parties it hands the SDP of one to the other, and hears nothing. A leg with an SDP of the switch's own is heard in G.711: its
// digits (RFC 4733, and tones after start_dtmf; SIP INFO with rtp_liberal_dtmf) and its voice in a conference, where all hear all others
// who may speak, and what is played; what a leg alone is played it hears too. A key by SIP INFO of a connected caller goes on to the other
// leg as RFC 4733; one of the other leg does not, where FreeSWITCH passes both. Only WAV of 8 kHz and generated tones have a sound, music on hold
// is silence.
//
// A caller's INVITE becomes a channel, the channel hunts in its profile's context and executes what it finds; bridge
// makes outgoing legs, socket hands the call to a controller, and a controller's death has the consequences it has on
// FreeSWITCH: the next action when nobody listens, an interrupted application when socket_resume is true, a finished
// one when it is not, and the guard armed by sched_api when the controller is frozen.
//
// Invariants:
//   - The judge is a real FreeSWITCH 1.10.12: its recordings, its sources and what was measured on it. Names, values
//     and the order of events are its own for everything that Signalbox reads. Timeouts of a bridge count whole
//     seconds of the clock, as there: a limit of 3 s ends a call after 2 to 3 s, and what sched_api does in 3 s happens
//     after 2 to 3.5 s.
//   - What the simulator does not know it refuses as FreeSWITCH refuses what it does not know (-ERR, or the hangup with
//     DESTINATION_OUT_OF_ORDER for an application), and counts it in [Switch.Unknown], on which a test can fail.
//   - Package likeness holds it to that: the recordings are played against it, and a suite of scenarios is compared with
//     what the real switch did. What differs is listed there, with the reason.
//   - It can be nastier than the original, by [Mischief]: late, in crumbs, with neighbours swapped and lists that lag, but
//     never with the events of one channel out of order on one connection.
//   - Everything is bounded: calls, variables, transactions, connections, queued events, scheduled tasks. What goes
//     beyond a bound is refused and logged.
//   - SIP is read and written by the package's own codec, not by the library the proxy uses, so that the two are a
//     check on each other.
//
// Concurrency. A Switch is safe for use by any number of goroutines. Inside, one goroutine owns each channel and alone
// executes applications and speaks SIP for it; another owns each Event Socket connection. They share a channel's
// variables under a lock that is never held while anything blocks. [Switch.Run] waits for every goroutine.
//
//	sw, err := fssim.New(fssim.Options{Public: []string{"freeswitch-conf/dialplan/public/*.xml"}})
//	go sw.Run(ctx)
//	fmt.Println(sw.ExternalAddr(), sw.EventSocketAddr())
package fssim
