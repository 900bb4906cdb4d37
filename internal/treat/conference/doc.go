// Package conference brings a caller whom the host knows into the host's conference, by the host's own number.
//
//	the call came forwarded, or the host is in his room, or his phones did not take it
//	                |
//	     may this caller join? (address book, list, schedule, PIN)
//	   /                  \
//	 no: no step at all    yes
//	 (nothing is told)      |
//	            find the room, or make it            room-unavailable: not-joined
//	                        |
//	              answer, greet, offer  <--- repeat, wrong key, no key: so often
//	   /            |             |                   \
//	caller gone   join key    message key           tries are used up
//	                |             \____________________|
//	       fetch the host, if he is not there          |
//	                |           \                      |
//	           conference    no host, locked, full,    |
//	                |        ended: told so            |
//	        over: released       \_____________________|
//	                                      |
//	                                 not-joined: the next step goes on as the phones ended, or the reason of the forwarding
//
// Candidates and Offer are pure. Run is straight-line code on the caller's leg and is called by the one goroutine that owns the call.
//
// Invariants: whoever may not join has a plan without this step, so that nothing can tell him of a room; the room is found or made before
// the caller is answered, or when he has given the PIN that he is asked for; the greeting comes before the offer; nobody joins without
// asking for it, unless the host wants that; an answered caller is never dropped: whatever fails goes on to the next step; a caller's
// number opens a room only when it was screened and is believed.
package conference
