package sipproxy

import (
	"net/netip"
	"strconv"
	"time"
)

// Transaction is a request that the proxy took and has answered, with everything it asked for the answer: what Options.Observe is
// told of.
type Transaction struct {
	Method string
	CallID string
	// Caller is the Call-ID of the caller's leg, which a node writes into CallerHeader of the legs it makes for it; else "".
	Caller string
	// Initial is false inside a dialog.
	Initial bool
	// Peer and Kind are whose request it was, Transport and Source how it came.
	Peer      string
	Kind      PeerKind
	Transport string
	Source    netip.AddrPort
	// Began is when the request came, Ended when its final answer left. Code is that of the answer; 0 means that there was none.
	Began, Ended time.Time
	Code         int
	// Labels are those of the Screener's Decision.
	Labels []HeaderField
	// Branches are the hops that were asked, in order.
	Branches []Branch
}

// Branch is one hop that was asked.
type Branch struct {
	Hop          string // its name
	Addr         netip.AddrPort
	Transport    string
	Began, Ended time.Time
	// Code is that of its final answer. With 0 there was none, and Failure says why: "silent", "unreachable", "certificate",
	// "no-connection", or "abandoned" when the proxy gave its own answer first.
	Code    int
	Failure string
}

// CallerHeader is where a node writes the Call-ID of the caller's leg; Homer's agents call it so too.
const CallerHeader = "X-CID"

// observed begins the Transaction of a request; nil when nobody is to be told.
func (s *shard) observed(pk *packet) *Transaction {
	if s.p.opt.Observe == nil {
		return nil
	}
	to, _ := parseAddress(pk.msg.get("to"))
	t := &Transaction{
		Method: pk.msg.method, CallID: pk.msg.get("call-id"), Initial: to.Tag() == "", Peer: pk.peer.Name, Kind: pk.peer.Kind,
		Transport: pk.lis.network, Source: pk.src, Began: pk.at,
	}
	if pk.peer.Kind == Node {
		t.Caller = pk.msg.get("x-cid")
	}
	return t
}

// asked notes that a hop is being asked.
func (ex *exchange) asked(l *leg) {
	if t := ex.seen; t != nil {
		t.Branches = append(t.Branches, Branch{Hop: l.hop.Name, Addr: l.hop.Addr, Transport: l.network(), Began: time.Now()})
	}
}

// told notes how the hop that was asked last ended; once.
func (ex *exchange) told(code int, failure string) {
	t := ex.seen
	if t == nil || len(t.Branches) == 0 {
		return
	}
	if b := &t.Branches[len(t.Branches)-1]; b.Ended.IsZero() {
		b.Ended, b.Code, b.Failure = time.Now(), code, failure
	}
}

// observe tells of the transaction.
func (ex *exchange) observe(code int) {
	t := ex.seen
	if t == nil {
		return
	}
	if ex.invite {
		ex.told(0, "abandoned") // no answer of it was taken
	} else {
		ex.told(code, "")
	}
	t.Code, t.Ended = code, time.Now()
	ex.seen = nil
	defer func() {
		if r := recover(); r != nil {
			ex.shard.p.panicked("observer", r)
		}
	}()
	ex.shard.p.opt.Observe(*t)
}

// outcome is how a leg of an INVITE ended, for people: a status, or why there is none. A 408 of ours is silence.
func (l *leg) outcome(res *message) (code int, what string) {
	switch {
	case res != nil && res.code == 408 && l.abandoned:
		return 0, "silent"
	case res != nil:
		return res.code, strconv.Itoa(res.code)
	case l.conn != nil && l.conn.why() != "":
		return 0, l.conn.why()
	}
	return 0, "unreachable"
}
