// Package sidecar is the story of one call, told once: take the guard off, learn who called whom, read the subscriber's
// profile, make the plan, run it, keep the record.
//
// Invariants: a call that is not ours is handed back before anything on it was changed; the store may be slow or down
// without a caller noticing more than a moment; each record that was opened is closed, by this process or by the next
// one, truthfully. When anything at all goes wrong the connection is closed, which is FreeSWITCH's signal to go on with
// the operator's own dialplan.
//
// Serve is called by one goroutine for each call and starts none. The Ledger owns the one goroutine that writes records,
// and the Undertaker the state of calls that a dead sidecar left behind; both have a Run or are driven by one.
package sidecar
