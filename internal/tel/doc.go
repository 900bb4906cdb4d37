// Package tel holds what telephony itself knows, whatever the switch: numbers in E.164, callers' identities, diversions
// (RFC 5806), the history of a call (RFC 7044), why a phone did not take a call, and causes (Q.850, SIP, RFC 4458).
//
// Every function is pure. What reads text from a network is bounded, never panics, and skips what it cannot read: a
// header of a stranger must never fail a call. What writes text writes only what can be read back, without line ends,
// whatever the values hold. Everything is safe for concurrent use.
package tel
