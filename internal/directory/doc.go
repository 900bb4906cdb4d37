// Package directory answers FreeSWITCH's mod_xml_curl: who is the user that registers or calls, and by which hash of a password is
// he known.
//
// FreeSWITCH asks for each REGISTER and each INVITE with credentials, by an HTTP POST of its own, and goes on with its own files when it
// gets no answer, an error or "not found". So an answer is either the user whole, with the hash, or none: FreeSWITCH lets a user
// without one register with any password. What is answered is safe to be read by FreeSWITCH, which runs its preprocessor over it
// and expands variables in what it made of it (answer.go).
//
// The store is asked each time, so that a change counts from the next look-up. While it is silent or fails, what it said last of a
// phone is said again, for a bounded time (phones.go): phones stay registered while the store is down. What was provisioned anew
// since is forgotten as soon as the store tells of it, so that a phone that was taken away does not come back with an outage.
//
// Each request has a goroutine of net/http, each read of the store one of its own, that the request waits for a moment only; both
// are bounded. Run owns them all.
package directory
