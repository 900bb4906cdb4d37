// Package sipproxy is the SIP proxy that stands between carriers and FreeSWITCH: it admits, strips, asks a Screener and a Router,
// and forwards, so that a call can be refused before any media exists. It knows nothing of subscribers.
//
// # What is sipgo's and what is ours
//
// The parser and the message model at the edge are sipgo's. Transports and transactions are ours, because a proxy that must not lose
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
//     next three points. A node is dialled at Addr and DeviceAddr alone, whatever a Contact, Route or Via says.
//   - Devices (device.go): who comes to a listener for devices and is no peer may register, at DeviceAddr; FreeSWITCH's answer makes the
//     flow registered, and only then it may call. Its requests reach DeviceAddr and nothing else, inside a dialog too. Who is not
//     registered is answered once and not remembered; who misbehaves is banned.
//   - Flows (flow.go): the way to a device is in a signed token in Path and Record-Route. A node's request that shows one goes down
//     that flow; for everybody else it leads nowhere, but that a device proves with it that it sits on its own flow. What was asked along a
//     flow is answered along it, and for a node only nodes answer.
//   - Outside (outbound.go): a node's INVITE with a TargetHeader that the Outbound permits goes to a domain by TLS, and only to who
//     shows a certificate for it. That system may speak inside this dialog, by the token in its Route, and no further.
//   - No header whose name begins with X-Signalbox passes in from outside or out, in any spelling; only what a Screener adds does.
//     A message in which another parser could see a further line (a CR or LF of its own, a NUL) is refused.
//   - A caller's display name reaches FreeSWITCH without percent signs, which FreeSWITCH would decode, twice, into header
//     lines of the caller's making.
//   - What fails open: no Screener, a late one, one that panics. What fails closed: where a request may go.
//   - Dialogs are not remembered. Requests inside a dialog go where Route and Request-URI say, and branches are derived from the request,
//     so a restart drops no dialog, a retransmission that meets a new proxy stays one, and a CANCEL of a call that an earlier
//     proxy forwarded ends it. What a restart does lose are the answers of calls that went on by TCP: a FreeSWITCH sends them to the
//     lost connection alone. On the same host requests go by UDP therefore, whatever their size.
//   - Every request is a transaction while it lasts, also inside a dialog: one side may speak TCP and never send again what the
//     other side's UDP lost.
//   - A CANCEL is answered at once, and so is its INVITE, with 487. From then on a 200 of the hop is a ghost: it is acknowledged and
//     hung up by the proxy, because not every caller does so.
//   - A hop that rang is not followed by another one; nor is any answer but 503 and 408, or silence.
//
// # Concurrency
//
// All messages of one Call-ID are handled by one of up to eight shards, each a goroutine that owns its transactions and timers;
// readers, connections, Screener and Router calls send it values. A shard never waits for any of them: it writes datagrams,
// and queues on connections. Every queue, table and rate is bounded (see Limits). All goroutines belong to Run, which
// waits for them; a Screener or Router that ignores its context holds Run up.
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
