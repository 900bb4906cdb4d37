// Package mailbox connects a caller whom nobody answered to the subscriber's voicemail system, found by its FQDN.
//
//	 the subscriber did not answer, and the condition is switched on
//	                 |
//	   for each system of the pilot, in order
//	       resolve the FQDN (SRV, then A/AAAA)
//	       for each target: INVITE sip:<pilot>@<fqdn>;target=..;cause=..
//	    /            |                    \
//	answered     caller gone      dead, refused, silent: next target
//	    |                                  \
//	talk, over                  none left: voicemail-down
//
// A caller who dialled the pilot takes the same way, without a phone before it: his line is named when the switch has authenticated
// it, and nobody otherwise.
//
// Offer is pure. Run is straight-line code on the caller's leg and is called by the one goroutine that owns the call.
// Invariants: the user row names only the pilot; a system that placed the call is never offered it; every attempt is in the record; the A-leg is answered only by the
// voicemail system; the total time is bounded, and when it is spent the next step speaks to the caller.
package mailbox
