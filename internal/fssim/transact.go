package fssim

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"
)

// RFC 3261 section 17 timers as Sofia has them.
const (
	sipT1      = 500 * time.Millisecond
	sipT2      = 4 * time.Second
	sipTimeout = 64 * sipT1
)

// maxTransactions bounds the transactions a profile keeps, of both sides together; further requests are refused with
// 503 or fail with it.
const maxTransactions = 50000

// stack is the transaction layer of one profile: it answers retransmissions, repeats what was not answered, and hands
// new requests up. Its lock is never held while a callback runs.
type stack struct {
	log     *zap.Logger
	t       *transport
	timers  *timers
	resolve func(ctx context.Context, host string) (netip.Addr, error)
	request func(*serverTx) // a new request, ACK for a 2xx included

	mu     sync.Mutex
	server map[string]*serverTx
	client map[string]*clientTx
}

func newStack(t *transport, tm *timers, log *zap.Logger) *stack {
	st := &stack{log: log, t: t, timers: tm, server: map[string]*serverTx{}, client: map[string]*clientTx{}}
	t.deliver = st.deliver
	t.refused = st.refused
	return st
}

// serverTx is a request of the far end and our answers to it.
type serverTx struct {
	st     *stack
	key    string
	req    *sipMessage
	flow   flow
	reply  flow   // where responses go
	tag    string // our To-tag, the same in every response that sets up a dialog
	noAck  func() // called when a 2xx to INVITE is never acknowledged
	last   []byte
	status int
	acked  bool
	repeat *timer

	reliable *reliably // of an INVITE that asks for it
}

// clientTx is a request of ours.
type clientTx struct {
	st       *stack
	req      *sipMessage
	data     []byte
	flow     flow
	answered bool // any response came
	final    bool
	canceled bool
	repeat   *timer
	expire   *timer
	response func(*sipMessage)          // every new response, in order
	failed   func(code int, why string) // no response will come
}

func branchOf(m *sipMessage) (branch, sentBy string) {
	via := m.get("Via")
	if l := splitList(via); len(l) > 0 {
		via = l[0]
	}
	head, params := cutParams(via)
	branch, _ = paramOf(params, "branch")
	if f := strings.Fields(head); len(f) == 2 {
		sentBy = f[1]
	}
	return branch, sentBy
}

func serverKey(m *sipMessage, method string) string {
	b, by := branchOf(m)
	if !strings.HasPrefix(b, "z9hG4bK") { // RFC 2543: no unique branch
		n, _ := m.cseq()
		b = m.get("Call-ID") + "|" + strconv.Itoa(int(n)) + "|" + parseAddr(m.get("From")).param("tag")
	}
	return b + "|" + by + "|" + method
}

func (st *stack) deliver(m *sipMessage, f flow) {
	if m.isRequest() {
		st.onRequest(m, f)
	} else {
		st.onResponse(m, f)
	}
}

func (st *stack) onRequest(m *sipMessage, f flow) {
	if _, method := m.cseq(); method != m.method || m.get("Via") == "" || m.get("Call-ID") == "" ||
		m.get("From") == "" || m.get("To") == "" {
		st.log.Warn("dropped a request without its mandatory headers", zap.Stringer("from", f.peer))
		return
	}
	if m.method == "ACK" {
		st.mu.Lock()
		tx := st.server[serverKey(m, "INVITE")]
		if tx != nil {
			tx.acked = true
			st.timers.stop(tx.repeat)
		}
		st.mu.Unlock()
		if tx == nil { // the ACK of a 2xx has a branch of its own
			st.request(&serverTx{st: st, req: m, flow: f})
		}
		return
	}
	key := serverKey(m, m.method)
	st.mu.Lock()
	if old := st.server[key]; old != nil {
		last := old.last
		st.mu.Unlock()
		if last != nil {
			_ = st.t.send(old.reply, last)
		}
		return
	}
	full := len(st.server)+len(st.client) >= maxTransactions
	tx := &serverTx{st: st, key: key, req: m, flow: f, reply: replyFlow(m, f), tag: newTag()}
	if !full {
		st.server[key] = tx
	}
	st.mu.Unlock()
	if full {
		tx.respond(tx.newResponse(503, "Maximum Calls In Progress"))
		return
	}
	st.request(tx)
}

// replyFlow follows RFC 3261 section 18.2.2 and RFC 3581: a response over UDP goes to the source address, and to its
// port when the sender asked for that, else to the port in Via.
func replyFlow(m *sipMessage, f flow) flow {
	if f.tcp {
		return f
	}
	via := splitList(m.get("Via"))[0]
	head, params := cutParams(via)
	if _, ok := paramOf(params, "rport"); ok {
		return f
	}
	port := 5060
	if fields := strings.Fields(head); len(fields) == 2 {
		if _, p, err := splitHostPort(fields[1]); err == nil && p != 0 {
			port = p
		}
	}
	return flow{peer: netip.AddrPortFrom(f.peer.Addr(), uint16(port))}
}

// newResponse builds a response to the request with the headers RFC 3261 section 8.2.6 asks for.
func (tx *serverTx) newResponse(code int, reason string) *sipMessage {
	r := &sipMessage{status: code, reason: reason}
	for i, v := range tx.req.all("Via") {
		if i == 0 {
			v = tx.stampVia(v)
		}
		r.add("Via", v)
	}
	if code > 100 && code < 300 {
		for _, v := range tx.req.all("Record-Route") {
			r.add("Record-Route", v)
		}
	}
	r.add("From", tx.req.get("From"))
	to := tx.req.get("To")
	if code > 100 && parseAddr(to).param("tag") == "" {
		to += ";tag=" + tx.tag
	}
	r.add("To", to)
	r.add("Call-ID", tx.req.get("Call-ID"))
	r.add("CSeq", tx.req.get("CSeq"))
	return r
}

// stampVia adds received and rport to the topmost Via.
func (tx *serverTx) stampVia(v string) string {
	list := splitList(v)
	head, params := cutParams(list[0])
	if _, ok := paramOf(params, "rport"); ok {
		var b strings.Builder
		b.WriteString(head)
		for p := range strings.SplitSeq(strings.TrimPrefix(params, ";"), ";") {
			if name, _, _ := strings.Cut(p, "="); strings.EqualFold(strings.TrimSpace(name), "rport") {
				p = "rport=" + strconv.Itoa(int(tx.flow.peer.Port()))
			}
			b.WriteString(";" + p)
		}
		if _, ok := paramOf(params, "received"); !ok {
			b.WriteString(";received=" + tx.flow.peer.Addr().String())
		}
		list[0] = b.String()
	} else if f := strings.Fields(head); len(f) == 2 {
		if host, _, err := splitHostPort(f[1]); err == nil && host != tx.flow.peer.Addr().String() {
			list[0] += ";received=" + tx.flow.peer.Addr().String()
		}
	}
	return strings.Join(list, ", ")
}

// respond sends a response; a final one to INVITE is repeated over UDP until the ACK comes. After a final response
// further ones are dropped.
func (tx *serverTx) respond(r *sipMessage) {
	if tx.reliable != nil {
		tx.respondReliably(r)
		return
	}
	tx.send(r)
}

func (tx *serverTx) send(r *sipMessage) {
	data := r.bytes()
	st := tx.st
	st.mu.Lock()
	if tx.status >= 200 {
		st.mu.Unlock()
		return
	}
	tx.last, tx.status = data, r.status
	if r.status >= 200 {
		st.timers.after(sipTimeout, tx.end)
		if tx.req.method == "INVITE" && !tx.reply.tcp {
			tx.repeatIn(sipT1)
		}
	}
	st.mu.Unlock()
	if err := st.t.send(tx.reply, data); err != nil {
		st.log.Info("a response is lost", zap.Int("status", r.status), zap.Error(err))
	}
}

func (tx *serverTx) repeatIn(d time.Duration) {
	tx.repeat = tx.st.timers.after(d, func() {
		tx.st.mu.Lock()
		stop := tx.acked
		if !stop {
			tx.repeatIn(min(2*d, sipT2))
		}
		data := tx.last
		tx.st.mu.Unlock()
		if !stop {
			_ = tx.st.t.send(tx.reply, data)
		}
	})
}

// gotAck ends the repetition of a 2xx.
func (tx *serverTx) gotAck() {
	tx.st.mu.Lock()
	tx.acked = true
	tx.st.timers.stop(tx.repeat)
	tx.st.mu.Unlock()
}

func (tx *serverTx) end() {
	tx.st.mu.Lock()
	tx.st.timers.stop(tx.repeat)
	tx.repeat = nil
	lost := !tx.acked && tx.status < 300 && tx.req.method == "INVITE"
	tx.acked = true
	delete(tx.st.server, tx.key)
	tx.st.mu.Unlock()
	if lost && tx.noAck != nil {
		tx.noAck()
	}
}

// answerable reports whether no final response went out yet.
func (tx *serverTx) answerable() bool {
	tx.st.mu.Lock()
	defer tx.st.mu.Unlock()
	return tx.status < 200
}

// inviteOf finds the INVITE that a CANCEL means.
func (st *stack) inviteOf(cancel *sipMessage) *serverTx {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.server[serverKey(cancel, "INVITE")]
}

// hop is the address a request goes to.
type hop struct {
	host string
	port int
	tcp  bool
}

func hopOf(u sipURI) hop {
	h := hop{host: u.host, port: u.port}
	if tr, _ := u.param("transport"); strings.EqualFold(tr, "tcp") {
		h.tcp = true
	}
	if m, ok := u.param("maddr"); ok {
		h.host = m
	}
	if h.port == 0 {
		h.port = 5060
	}
	return h
}

// start resolves the hop, opens a flow and sends the request; it blocks while it does that, so it has a goroutine.
// The Via header is put in front here, because it names the transport.
func (st *stack) start(ctx context.Context, tx *clientTx, h hop) {
	addr, err := st.resolve(ctx, h.host)
	if err != nil {
		tx.failed(503, "DNS Error")
		return
	}
	f, err := st.t.open(ctx, h.tcp, netip.AddrPortFrom(addr, uint16(h.port)))
	if err != nil {
		tx.failed(503, "Service Unavailable")
		return
	}
	st.startOn(tx, f)
}

// startOn sends the request over a flow that is open.
func (st *stack) startOn(tx *clientTx, f flow) {
	proto := "UDP"
	if f.tcp {
		proto = "TCP"
	}
	tx.st, tx.flow = st, f
	via := fmt.Sprintf("SIP/2.0/%s %s;rport;branch=z9hG4bK%s", proto, st.t.addr, newTag())
	tx.req.headers = append([]sipHeader{{"Via", via}}, tx.req.headers...)
	tx.data = tx.req.bytes()
	st.mu.Lock()
	if len(st.server)+len(st.client) >= maxTransactions {
		st.mu.Unlock()
		tx.failed(503, "Service Unavailable")
		return
	}
	st.client[tx.key()] = tx
	tx.expire = st.timers.after(sipTimeout, tx.timeout)
	if !f.tcp {
		tx.repeatIn(sipT1)
	}
	st.mu.Unlock()
	if err := st.t.send(f, tx.data); err != nil {
		tx.fail(503, "Service Unavailable")
	}
}

func (tx *clientTx) key() string {
	b, _ := branchOf(tx.req)
	_, method := tx.req.cseq()
	return b + "|" + method
}

func (tx *clientTx) repeatIn(d time.Duration) {
	tx.repeat = tx.st.timers.after(d, func() {
		tx.st.mu.Lock()
		invite := tx.req.method == "INVITE"
		stop := tx.final || (tx.answered && invite)
		if !stop {
			next := 2 * d
			if !invite {
				next = min(next, sipT2)
			}
			tx.repeatIn(next)
		}
		tx.st.mu.Unlock()
		if !stop {
			_ = tx.st.t.send(tx.flow, tx.data)
		}
	})
}

func (tx *clientTx) timeout() {
	tx.st.mu.Lock()
	// An INVITE that rings has no timeout here: leg timeouts are the caller's.
	idle := tx.final || (tx.answered && tx.req.method == "INVITE" && !tx.canceled)
	tx.st.mu.Unlock()
	if !idle {
		tx.fail(408, "Request Timeout")
	}
}

// fail ends a transaction that got no final response.
func (tx *clientTx) fail(code int, why string) {
	st := tx.st
	st.mu.Lock()
	if tx.final {
		st.mu.Unlock()
		return
	}
	tx.final = true
	st.timers.stop(tx.repeat)
	st.timers.stop(tx.expire)
	delete(st.client, tx.key())
	st.mu.Unlock()
	tx.failed(code, why)
}

// refused fails every transaction that waits for its first response from an address that refused a datagram.
func (st *stack) refused(dst netip.AddrPort) {
	var hit []*clientTx
	st.mu.Lock()
	for _, tx := range st.client {
		if !tx.flow.tcp && tx.flow.peer == dst && !tx.answered {
			hit = append(hit, tx)
		}
	}
	st.mu.Unlock()
	for _, tx := range hit {
		tx.fail(503, "Service Unavailable")
	}
}

func (st *stack) onResponse(m *sipMessage, f flow) {
	b, _ := branchOf(m)
	_, method := m.cseq()
	st.mu.Lock()
	tx := st.client[b+"|"+method]
	if tx == nil {
		st.mu.Unlock()
		return
	}
	tx.answered = true
	again := tx.final
	if m.status >= 200 && !tx.final {
		tx.final = true
		st.timers.stop(tx.repeat)
		st.timers.stop(tx.expire)
		key := tx.key()
		st.timers.after(sipTimeout, func() {
			st.mu.Lock()
			delete(st.client, key)
			st.mu.Unlock()
		})
	}
	st.mu.Unlock()
	if m.status >= 300 && method == "INVITE" {
		_ = st.t.send(tx.flow, ackFor(tx.req, m).bytes())
	}
	// A repeated 2xx goes up again: its ACK was lost.
	if !again || (method == "INVITE" && m.status >= 200 && m.status < 300) {
		tx.response(m)
	}
}

// ackFor builds the ACK of a non-2xx response (RFC 3261 section 17.1.1.3).
func ackFor(invite, resp *sipMessage) *sipMessage {
	a := &sipMessage{method: "ACK", uri: invite.uri}
	a.add("Via", splitList(invite.get("Via"))[0])
	for _, r := range invite.all("Route") {
		a.add("Route", r)
	}
	a.add("Max-Forwards", "70")
	a.add("From", invite.get("From"))
	a.add("To", resp.get("To"))
	a.add("Call-ID", invite.get("Call-ID"))
	n, _ := invite.cseq()
	a.add("CSeq", fmt.Sprintf("%d ACK", n))
	return a
}

// cancel sends a CANCEL for an INVITE that has had a provisional response. The caller waits for one first.
func (st *stack) cancel(tx *clientTx, reason string) {
	st.mu.Lock()
	if tx.final || tx.canceled || tx.st == nil {
		st.mu.Unlock()
		return
	}
	tx.canceled = true
	st.timers.stop(tx.expire)
	tx.expire = st.timers.after(sipTimeout, tx.timeout)
	st.mu.Unlock()
	c := &sipMessage{method: "CANCEL", uri: tx.req.uri}
	c.add("Via", splitList(tx.req.get("Via"))[0])
	for _, r := range tx.req.all("Route") {
		c.add("Route", r)
	}
	c.add("Max-Forwards", "70")
	c.add("From", tx.req.get("From"))
	c.add("To", tx.req.get("To"))
	c.add("Call-ID", tx.req.get("Call-ID"))
	n, _ := tx.req.cseq()
	c.add("CSeq", fmt.Sprintf("%d CANCEL", n))
	if reason != "" {
		c.add("Reason", reason)
	}
	ctx := &clientTx{st: st, req: c, flow: tx.flow, data: c.bytes(),
		response: func(*sipMessage) {}, failed: func(int, string) {}}
	st.mu.Lock()
	st.client[ctx.key()] = ctx
	ctx.expire = st.timers.after(sipTimeout, ctx.timeout)
	if !ctx.flow.tcp {
		ctx.repeatIn(sipT1)
	}
	st.mu.Unlock()
	_ = st.t.send(ctx.flow, ctx.data)
}

const tagAlphabet = "0123456789ABCDEFGHJKMNPQRSTUVWXYZabcdefghjkmnpqrstuvwxyz"

// newTag makes a random token, for tags and branches.
func newTag() string {
	var b [13]byte
	for i := range b {
		b[i] = tagAlphabet[rand.IntN(len(tagAlphabet))]
	}
	return string(b[:])
}

// resolveHost looks an IP literal or a name up; IPv4 is preferred as the simulator's profiles are bound to it.
func resolveHost(ctx context.Context, host string) (netip.Addr, error) {
	if a, err := netip.ParseAddr(host); err == nil {
		return a.Unmap(), nil
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	addrs, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return netip.Addr{}, fmt.Errorf("resolve %s: %w", host, err)
	}
	for _, a := range addrs {
		if a.Unmap().Is4() {
			return a.Unmap(), nil
		}
	}
	return addrs[0], nil
}

// provisional reports whether the INVITE had a response and still waits for its final one.
func (st *stack) provisional(tx *clientTx) bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	return tx.answered && !tx.final
}

// sendOnce sends a message that has no transaction: the ACK of a 2xx.
func (st *stack) sendOnce(ctx context.Context, m *sipMessage, h hop) {
	addr, err := st.resolve(ctx, h.host)
	if err != nil {
		return
	}
	f, err := st.t.open(ctx, h.tcp, netip.AddrPortFrom(addr, uint16(h.port)))
	if err != nil {
		st.log.Info("an ACK is lost", zap.Error(err))
		return
	}
	proto := "UDP"
	if f.tcp {
		proto = "TCP"
	}
	m.headers = append([]sipHeader{{"Via", fmt.Sprintf("SIP/2.0/%s %s;rport;branch=z9hG4bK%s", proto, st.t.addr, newTag())}},
		m.headers...)
	_ = st.t.send(f, m.bytes())
}
