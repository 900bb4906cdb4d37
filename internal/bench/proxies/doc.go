// Package proxies drives Signalbox's proxy and Kamailio with the same calls, one after the other, and compares what a call costs.
//
// The call is a carrier's: INVITE, 100, 180, 200, ACK, BYE, 200 over UDP on loopback, SIPp on both sides. Kamailio is configured
// to make equal checks (kamailio.cfg says which stands for which). At each rate the two take turns, several rounds, so that a
// machine whose speed drifts slows both; quoted is the median of the rounds. Processor time and resident memory are Linux's own,
// over all processes of each; memory that several of them map is counted once (PSS).
//
// Invariants: a call that fails is counted and shown; every process is ended by its own process id; nothing leaves loopback.
//
// Concurrency: Run owns all processes and has waited for them when it returns.
package proxies
