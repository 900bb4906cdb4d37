// Package eventrate measures how many events of FreeSWITCH a client decodes and delivers for each second of its own
// processor time, for package esl and for eslgo's own connection, on the same bytes and in alternation.
//
// The bytes are recorded events of a real FreeSWITCH, as they would come of many concurrent calls on one inbound
// connection, with the replies to concurrent api commands between them. Whoever feeds them is a process of its own, so
// that the processor time of this process is the client's alone: reading the socket, decoding, delivering, the consumer's
// look-ups, collecting garbage.
//
// Invariants: both clients get the same events and replies in the same order on the wire; both consumers ask for the same
// headers; a client that loses an event or a reply is shown with it, not left out; order and replies are checked in every
// round, on what was measured.
//
// Concurrency: Run owns the goroutines of a round and has waited for all when it returns. Feed serves one client at a time.
package eventrate
