// Package sipproxy is the SIP proxy that stands between carriers and FreeSWITCH: it admits, strips, asks a Screener and a Router,
// and forwards, so that a call can be refused before any media exists. It knows nothing of subscribers.
//
// # What is sipgo's and what is ours
//
// The parser at the edge is sipgo's; what is written as nearly all messages are, scan.go reads the same way with a fraction of the
// allocations. Transports and transactions are ours, because a proxy that must not lose
// calls needs what sipgo v1.7.2 does not give: its UDP reader remembers every source address; its size limit for datagrams and its timers
// are package variables, so two proxies in one process would share them; it starts a goroutine for each message, which loses the
// order of a CANCEL and its INVITE; its INVITE transaction answers a CANCEL by itself and swallows a 200 that crosses it;
// its state machines write to sockets while they hold a lock. Headers are kept as bytes in order: what a proxy need not change
// arrives unchanged.
//
// # Invariants
//
//   - Admission comes first: a packet from no configured prefix costs a look at the prefixes and, for a few a second in all, a 403.
//     Nothing is remembered about strangers.
//   - Nothing is sent to an address of no configured peer, and an initial request only to a peer's exact address. The exceptions are the
//     next four points. A node is dialled at Addr and DeviceAddr alone, whatever a Contact, Route or Via says.
//   - Domains (names.go): a peer with a Domain is a peer at each address to which the DNS leads now. They are looked up ahead of calls by
//     a goroutine that does nothing else; no message waits for a name. A domain never leads to an address of the other side.
//   - Devices (device.go): who comes to a listener for devices and is no peer may register, at DeviceAddr; FreeSWITCH's answer makes the
//     flow registered, and only then it may call. Its requests reach DeviceAddr and nothing else, inside a dialog too. Who is not
//     registered is answered once and not remembered; who misbehaves is banned.
//   - Flows (flow.go): the way to a device is in a signed token in Path, Record-Route and our Via. A node's request that shows one goes down
//     that flow; for everybody else it leads nowhere, but that a device proves with it that it sits on its own flow. What was asked along a
//     flow is answered along it, and for a node only nodes answer.
//   - Outside (outbound.go): a node's INVITE with a TargetHeader that the Outbound permits goes to a domain by TLS, and only to who
//     shows a certificate for it. That system may speak inside this dialog, by the token in its Route, and no further.
//   - No header whose name begins with X-Signalbox passes in from outside or out, in any spelling; only what a Screener adds does.
//     A message in which another parser could see a further line (a CR or LF of its own, a NUL) is refused.
//   - The number that a trunk calls reaches FreeSWITCH without parameters, separators and escapes (requesturi.go).
//   - The display name of a caller, or of who answers, reaches FreeSWITCH without percent signs, which FreeSWITCH would decode, twice,
//     into header lines of his making.
//   - No REFER from anybody but a node reaches FreeSWITCH with a target that it would expand or, from a trunk, dial (refer.go).
//   - What fails open: no Screener, a late one, one that panics. What fails closed: where a request may go.
//   - Dialogs are not remembered. Requests inside a dialog go where Route and Request-URI say, and branches are derived from the request,
//     so a restart drops no dialog, a retransmission that meets a new proxy stays one, and a CANCEL of a call that an earlier
//     proxy forwarded ends it. What a restart does lose are the answers of calls that went on by TCP: a FreeSWITCH sends them to the
//     lost connection alone. On the same host requests go by UDP therefore, whatever their size.
//     A proxy that is asked to stop first ends what no hop has answered yet (Drain): of that nobody else knows. Then it parts from
//     peers' connections in a way that loses nothing they have said.
//   - Every request is a transaction while it lasts, also inside a dialog: one side may speak TCP and never send again what the
//     other side's UDP lost.
//   - A CANCEL is answered at once, and so is its INVITE, with 487. From then on a 200 of the hop is a ghost: it is acknowledged and
//     hung up by the proxy, because not every caller does so.
//   - A hop that rang is not followed by another one; nor is any answer but 503 and 408, or silence.
//
// # Concurrency
//
// All messages of one Call-ID are handled by one of up to eight shards, each a lock with the transactions and timers under it, a queue and a
// goroutine. A reader that finds the shard at rest handles its message there and then; else it queues it, as connections, Screener and Router
// calls do with what they have to say, for the goroutine, which also fires the timers. Nobody waits for anything while he
// holds a shard: datagrams are written, connections have queues. When datagrams come without a pause, all go by the queues, so that
// several processors share the work. Every queue, table and rate is bounded (see Limits). All goroutines belong to Run, which waits for
// them; a Screener or Router that ignores its context holds Run up.
//
// # Example
//
//	p, err := sipproxy.New(sipproxy.Options{
//		Listen: []sipproxy.Listener{{Network: "udp", Addr: "192.0.2.1:5060"}, {Network: "tcp", Addr: "192.0.2.1:5060"}},
//		Peers: []sipproxy.Peer{
//			{Name: "carrier", Kind: sipproxy.Trunk, Addr: netip.MustParseAddrPort("198.51.100.7:5060")},
//			{Name: "fs1", Kind: sipproxy.Node, Addr: netip.MustParseAddrPort("192.0.2.10:5080")},
//		},
//		Screener: screener,
//	})
//	if err != nil {
//		return err
//	}
//	return p.Run(ctx)
package sipproxy
