// Package hep sends copies of SIP messages to a Homer collector, in HEP3 (the Homer Encapsulation Protocol, version 3, as
// heplify-server and Kamailio's siptrace read it).
//
// Invariants: a message is never held up for its copy, nor is it lost when the collector is; what finds the queue full, or is
// over the rate, is dropped and counted. Every packet carries a correlation id, the Call-ID of the caller's own leg, also on the
// legs that FreeSWITCH makes for it: they bring it in X-CID.
//
// Concurrency: one goroutine, Run, sends; Tap and Stats are safe for concurrent use and never block.
package hep
