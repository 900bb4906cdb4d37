// Package rooms keeps the conferences of hosts: one room a host at most, over all sidecars and nodes, made when it is needed and closed
// when it is over.
//
//	opened --first member--> talking --last one leaves, host ends it, host leaves, one is left alone--> closed
//	   |                        '--the media server is lost--> closed
//	   '--nobody came, host not reached--> closed
//
// FreeSWITCH is the truth about who is in a room: the roster follows conference::maintenance on each node's link, and is compared with
// json_list whenever the link comes up. The store is the truth about which room is a host's, about who was let in, and about who calls
// the host: each is one claim row. Of all sidecars that are linked to a node one, its keeper, writes the roster, speaks in the rooms and
// ends them; another takes over when it is silent.
//
// Concurrency: a Manager is safe for concurrent use. Run owns a goroutine for each node, on which everything that FreeSWITCH tells of
// the node is done in order, and those that speak in rooms. Event and Attached never block: a node's queue holds 4,096 events, and when
// it is full the rooms of the node are looked at anew instead. A room holds at most 64 announcements, then the oldest are dropped; a
// subscriber of a roster that is slow misses states, never the last one. Nothing here hangs up a call but what a host orders and what
// the end of a room needs.
package rooms
