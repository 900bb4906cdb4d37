// Package fsw is FreeSWITCH as the rest of Signalbox sees it: a caller's leg as call.Leg, the channel data of an arriving
// call as call.Arrival, and one inbound link for each node that knows which channels still live.
//
// Invariants: every application argument and dial string comes from package dialplan/encode; the guard in FreeSWITCH is
// armed before each thing that makes the caller wait, and again every second while he waits; nothing on the channel is
// changed before a plan says that the call is ours, and what was changed is put back when the call is handed back.
//
// A Leg is used by the one goroutine that owns its call. A Node is safe for concurrent use.
package fsw
