// Package recorder takes the message of a caller whom no voicemail system took, on the switch itself; package delivery brings it to the
// system later.
//
//	 no voicemail system took the call
//	     |                 \
//	there is room         none, or it is not configured: not-recorded, and the next step speaks
//	     |
//	answer, prompt, tone, record
//	     |             \
//	the message is     nothing was said: over, nothing is kept
//	kept: over
//
// Offer is pure. Run is straight-line code on the caller's leg and is called by the one goroutine that owns the call.
// Invariants: a caller is answered only when there is room for what he says; one who was answered and cannot be recorded is told so; a
// message is forgotten only when it was delivered; one that is being recorded when we die or lose the leg is not lost.
package recorder
