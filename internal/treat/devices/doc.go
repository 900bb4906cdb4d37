// Package devices rings the subscriber's phones.
//
//	            offered: the number has an account
//	                 |
//	          ring all devices
//	    /        |         |          \           \
//	answered  no answer   busy   not registered   declined, unreachable
//	    |        \_________|__________|___________/
//	talk, over              the next step decides
//
// Offer is pure. Run is straight-line code on the caller's leg and is called by the one goroutine that owns the call.
// Invariants: every device of the number is rung at once, the first answer wins, and a caller who hangs up ends it.
package devices
