// Package resolve finds the addresses of a SIP server by its name (RFC 3263) and remembers which of them take calls.
//
// A voicemail system is known by its FQDN alone. Lookup asks for the NAPTR records of the allowed transport, for the SRV records
// that they name or that are usual, then for the A and AAAA records of every SRV target; a name without SRV records is looked
// up directly and reached on port 5060, by TLS 5061 (RFC 3263 section 4.2). Targets come back in the order in which they are to be
// tried: by the order and preference of their service, by priority, within a priority by the weighted draw of RFC 2782, and a
// target whose circuit breaker is open after all others.
//
// A breaker is closed until a call fails, or two OPTIONS in a row of a target that has answered one before. It is open for the
// back-off time, which each failure doubles. Then it is half-open: Health.Run asks the target with OPTIONS, or one call tries it,
// where it does not know OPTIONS. Nothing is ever left out for its breaker: when all are open, all are tried.
//
// Invariants:
//
//   - One Lookup never takes longer than Options.Timeout, whatever the servers do; a quarter of it when an expired answer is at hand.
//   - An answer is believed only for the name that was asked and for the aliases that lead there from it. Records of
//     other names and the additional section are never used. Alias loops, oversized answers, port 0, target names
//     that are no host names, NAPTR records with regular expressions, and addresses nobody can send to (unspecified, multicast,
//     link-local) are refused; so are loopback unless it is allowed, and the listeners of this process.
//   - Answers live for their TTL between a floor and a ceiling, negative ones too. When every server is silent, an
//     expired answer is used for up to Options.Stale, so that a dead name server does not take voicemail down.
//   - Everything is bounded: servers, queries per Lookup, bytes and records per answer, names cached, targets
//     remembered, probes at one time. One name is asked for once at a time, however many calls want it.
//
// A Resolver and a Health are safe for concurrent use. A Resolver starts no goroutines: callers who want the same name at the same
// time wait for the first of them, and take over when that one gives up. Health.Run owns those of its probes.
//
//	r, err := resolve.New(resolve.Options{Servers: []string{"192.0.2.53:53"}})
//	targets, err := r.Lookup(ctx, "vm.example.net", "udp")
//	for _, t := range targets {
//		if call(t.Addr) { r.Worked(t, time.Now()); break }
//		r.Failed(t, time.Now())
//	}
package resolve
