package sipproxy

import "strconv"

// This file is about calls that an earlier proxy on the same addresses began: what their callers still say within the INVITE's
// own transaction. Everything else needs no memory: responses go along their Via, dialogs along their Route.

// forgotten is the INVITE that a CANCEL, or the ACK of a refusal, belongs to, as far as it repeats it (RFC 3261 9.1 and 17.1.1.3), in the
// form in which the earlier proxy forwarded it, so that it has the same branches; and the hops it may have gone to, none when such an
// INVITE would not have been forwarded.
func (s *shard) forgotten(pk *packet) (inv *message, hops []Hop) {
	p, m := s.p, pk.msg
	inv = m.clone()
	inv.method = "INVITE"
	num, _, _ := m.cseq()
	inv.set("CSeq", strconv.FormatUint(uint64(num), 10)+" INVITE")
	inv.set("To", withoutTag(m.get("to")))
	f := judge(inv, pk.peer, pk.table, p.isUs, p.senderOf(pk, ""))
	switch {
	case f.code != 0 || f.absorb:
		return inv, nil
	case f.call:
		for inv.count("route") > 0 {
			inv.pop("route")
		}
		inv.uri = dialled(inv.uri)
		hops = pk.table.nodes()
	case f.hops != nil:
		hops = f.hops
	default:
		hops = []Hop{f.hop()}
	}
	return inv, hops[:min(len(hops), maxForgotten)]
}

// maxForgotten bounds the hops of a forgotten INVITE. In which order they were tried is not known, so that each may have seen the branch of
// each attempt.
const maxForgotten = 4

// withoutTag takes the tag off a To.
func withoutTag(to string) string {
	a, err := parseAddress(to)
	if err != nil || a.Tag() == "" {
		return to
	}
	return "<" + a.URI + ">"
}

// takeBack ends a call that an earlier proxy forwarded and whose caller gives up now. It is as if the INVITE had been cancelled here: its
// caller is answered, each hop that may have it is sent a CANCEL, and a 200 that crosses it is a ghost. (RFC 3261 16.10 has the
// CANCEL forwarded statelessly; then the callee may answer a caller who has gone.) False means that it is no such CANCEL.
func (s *shard) takeBack(pk *packet, key txKey) bool {
	p, m := s.p, pk.msg
	if to, err := parseAddress(m.get("to")); err != nil || to.Tag() != "" {
		return false // of an INVITE inside a dialog: both ends know it is over
	}
	inv, hops := s.forgotten(pk)
	if len(hops) == 0 {
		return false
	}
	if !p.mayCall(pk.peer, pk.src.Addr(), pk.at) {
		return false
	}
	ex := s.newExchange(pk, key)
	if ex == nil {
		return true
	}
	s.reply(pk, 200, "", nil)
	ex.req, ex.invite, ex.cancelled = inv, true, true
	p.n.cancelled.Add(1)
	reason := m.get("reason")
	for i, h := range hops {
		network, out := s.choose(h, inv, nil, pk.lis, false)
		for attempt := 0; out != nil && attempt < len(hops); attempt++ {
			branch := branchFor(key, loopPart(inv), attempt)
			sent := forwarded(inv, pk.lis, out, branch, nil, ex.wayBack(h))
			if i != attempt { // it was not tried in the order of the configuration, if at all
				s.send(network, out, h, cancelFor(sent, reason).bytes(), nil)
				continue
			}
			l := &leg{shard: s, ex: ex, hop: h, out: out, branch: branch, method: "INVITE", state: legProceeding, sent: sent}
			s.client[clientKey{branch, l.method}] = l
			p.n.legs.Add(1)
			l.abandon(reason)
		}
	}
	ex.final(response(inv, 487, "", nil))
	return true
}

// passAck sends the ACK of a refusal on to the hop that gave it, through an earlier proxy, so that it stops repeating it. No branch of it
// is known, so each hop gets the one it may know; the others take an ACK of nothing in silence.
func (s *shard) passAck(pk *packet, key txKey) {
	inv, hops := s.forgotten(pk)
	for _, h := range hops {
		network, out := s.choose(h, inv, nil, pk.lis, false)
		for attempt := 0; out != nil && attempt < len(hops); attempt++ {
			ack := inv.clone()
			ack.method = "ACK"
			ack.set("CSeq", pk.msg.get("cseq"))
			ack.set("To", pk.msg.get("to"))
			s.send(network, out, h, forwarded(ack, pk.lis, out, branchFor(key, loopPart(inv), attempt), nil, wayBack{}).bytes(), nil)
		}
	}
}
