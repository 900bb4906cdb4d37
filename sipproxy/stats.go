package sipproxy

import "sync/atomic"

// Stats is a snapshot of what a Proxy has counted since New. Pending, Kept, Legs and Connections are current values.
type Stats struct {
	MessagesIn, MessagesOut uint64 // admitted messages read, messages written
	Malformed               uint64 // messages of peers that did not parse or made no sense
	Strangers               uint64 // packets and connections from no peer
	Refused                 uint64 // 403 answers to strangers (the others got silence)
	Scanners                uint64 // requests that name a scanner as their sender, dropped
	RateLimited             uint64 // messages over a source's rate
	Overload                uint64 // requests answered 503, or dropped, because a bound of Limits was reached
	Forbidden               uint64 // requests of peers to where they may not go, answered 403
	Calls                   uint64 // initial INVITEs of trunks taken
	ScreenRefused           uint64 // calls a Screener refused
	ScreenSkipped           uint64 // calls delivered unscreened: late, panicked or no room
	BadDecisions            uint64 // header fields, refusals or hops of a Screener or Router that were not valid
	Unroutable              uint64 // calls without any usable hop
	Failovers               uint64 // calls sent on to a further hop
	Cancelled               uint64 // calls the caller gave up
	Ghosts                  uint64 // 200 responses nobody waited for any more, ACKed and BYEd
	Stateless               uint64 // responses without a transaction sent on along their Via
	Stray                   uint64 // responses and ACKs that had nowhere to go
	Stripped                uint64 // X-Signalbox headers removed
	Tamed                   uint64 // identity headers with escapes that FreeSWITCH would decode into its own messages
	Disclaimed              uint64 // claims of untrusted peers to have verified a caller, removed
	Loops                   uint64 // requests answered 482 or 483
	Panics                  uint64 // recovered panics
	SendErrors              uint64 // messages that could not be written
	Banned                  uint64 // datagrams and connections of banned addresses, dropped unread
	FlowsGone               uint64 // requests for a device whose flow is gone, answered 430
	SummariesTaken          uint64 // NOTIFYs with a message-summary that were kept
	SummariesRefused        uint64 // and those that were not: from whom none is taken, of a mailbox that is not known, or not read
	TLSFailed               uint64 // TLS handshakes that failed, or showed a certificate for somebody else
	Pending, Kept           uint64 // requests being worked on; remembered
	Legs                    uint64 // requests sent and still remembered
	Connections             uint64 // open connections, those of devices too
}

type counters struct {
	messagesIn, messagesOut, malformed, strangers, refused, scanners, rateLimited, overload, forbidden,
	calls, screenRefused, screenSkipped, badDecisions, unroutable, failovers, cancelled, ghosts, stateless, stray,
	stripped, tamed, disclaimed, loops, panics, sendErrors, tlsFailed, banned, flowsGone,
	summariesTaken, summariesRefused atomic.Uint64
	pending, unheard, kept, legs, connections atomic.Int64
}

func (c *counters) snapshot() Stats {
	return Stats{
		MessagesIn: c.messagesIn.Load(), MessagesOut: c.messagesOut.Load(), Malformed: c.malformed.Load(),
		Strangers: c.strangers.Load(), Refused: c.refused.Load(), Scanners: c.scanners.Load(), RateLimited: c.rateLimited.Load(),
		Overload: c.overload.Load(), Forbidden: c.forbidden.Load(), Calls: c.calls.Load(),
		ScreenRefused: c.screenRefused.Load(), ScreenSkipped: c.screenSkipped.Load(),
		BadDecisions: c.badDecisions.Load(), Unroutable: c.unroutable.Load(), Failovers: c.failovers.Load(),
		Cancelled: c.cancelled.Load(), Ghosts: c.ghosts.Load(), Stateless: c.stateless.Load(), Stray: c.stray.Load(),
		Stripped: c.stripped.Load(), Tamed: c.tamed.Load(), Disclaimed: c.disclaimed.Load(), Loops: c.loops.Load(), Panics: c.panics.Load(), SendErrors: c.sendErrors.Load(), TLSFailed: c.tlsFailed.Load(), Banned: c.banned.Load(), FlowsGone: c.flowsGone.Load(),
		SummariesTaken: c.summariesTaken.Load(), SummariesRefused: c.summariesRefused.Load(),
		Pending: uint64(max(0, c.pending.Load())), Kept: uint64(max(0, c.kept.Load())),
		Legs: uint64(max(0, c.legs.Load())), Connections: uint64(max(0, c.connections.Load())),
	}
}
