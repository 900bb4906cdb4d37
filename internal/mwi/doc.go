// Package mwi lights message lamps: it takes what voicemail systems say of mailboxes (RFC 3842), keeps the counts in the store, and has
// FreeSWITCH tell every registered phone of the number.
//
//	voicemail system --NOTIFY--> proxy --> Taker --> store.Lamps
//	FreeSWITCH's mod_voicemail --MESSAGE_WAITING--> Keeper --> store.Lamps
//	phone registers or asks: sofia::register, MESSAGE_QUERY --> Keeper
//	store.Lamps --changed--> Keeper --sendevent MESSAGE_WAITING--> every node --NOTIFY--> phones
//
// Invariants: a count comes from a voicemail system that the operator or the number's own tenant has named, or from the switch itself; the
// lamp is the sum of all systems' counts and of all numbers that the phone rings for; a change is told to every node whichever
// process took it, a lost event only delays it until the phone registers again. Everything queued is bounded.
//
// A Taker is safe for concurrent use. A Keeper's Event may be called by any goroutine and never blocks; one goroutine, Run, does the rest.
package mwi
