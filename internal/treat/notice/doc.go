// Package notice ends a call that nobody took, and never in silence.
//
//	    nothing is left to try
//	     |                 \
//	voicemail was down     a phone did not answer and there is no voicemail for that
//	     |                     |
//	announcement, early media  |
//	     \_____________________|
//	              the call ends with the cause of the subscriber's phone
//
// Offer is pure. Run is straight-line code on the caller's leg and is called by the one goroutine that owns the call.
// Invariants: an announcement is early media and never answers the call; the cause tells the caller's network why.
package notice
