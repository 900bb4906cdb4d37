// Package resolve finds the addresses of a SIP server by its name (RFC 3263).
//
// A voicemail system is known by its FQDN alone. Lookup asks for the SRV records of the wanted transport, then for the
// A and AAAA records of every SRV target; a name without SRV records is looked up directly and reached on port 5060
// (RFC 3263 section 4.2). Targets come back in the order in which they are to be tried: by priority, within a priority
// by the weighted draw of RFC 2782, and a target that failed lately after all others.
//
// Invariants:
//
//   - One Lookup never takes longer than Options.Timeout, whatever the servers do.
//   - An answer is believed only for the name that was asked and for the aliases that lead there from it. Records of
//     other names and the additional section are never used. Alias loops, oversized answers, port 0, target names
//     that are no host names, and addresses nobody can send to (unspecified, multicast, link-local) are refused.
//   - Answers live for their TTL between a floor and a ceiling, negative ones too. When every server is silent, an
//     expired answer is used for up to Options.Stale, so that a dead name server does not take voicemail down.
//   - Everything is bounded: servers, queries per Lookup, bytes and records per answer, names cached, targets
//     remembered as failed.
//
// A Resolver is safe for concurrent use. It starts no goroutines: callers who want the same name at the same time wait
// for the first of them, and take over when that one gives up.
//
//	r, err := resolve.New(resolve.Options{Servers: []string{"192.0.2.53:53"}})
//	targets, err := r.Lookup(ctx, "vm.example.net", "udp")
//	for _, t := range targets {
//		if call(t.Addr) { r.Worked(t.Addr); break }
//		r.Failed(t.Addr, time.Now())
//	}
package resolve
