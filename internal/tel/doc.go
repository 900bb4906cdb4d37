// Package tel holds the words of telephony as values: numbers in E.164, caller identities, diversions, the history of a
// call's targets, and why a phone did not take a call, with the tables between FreeSWITCH causes, SIP and RFC 4458.
//
// Everything is pure: no I/O, no clock, no state. Parsers never fail on hostile input but skip what they do not
// understand, take bounded time and memory, and what a formatter writes its parser reads back. All of it is safe for
// concurrent use.
package tel
