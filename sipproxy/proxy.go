package sipproxy

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"hash/fnv"
	"net"
	"net/netip"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/emiago/sipgo/sip"
	"go.uber.org/zap"
)

// Proxy is a running SIP proxy. All its methods are safe for concurrent use.
type Proxy struct {
	opt       Options
	log       *zap.Logger
	parser    *sip.Parser
	table     atomic.Pointer[table]
	lis       []*listener
	shards    []*shard
	conns     connTable
	health    health
	names     names
	messages  *buckets
	calls     *buckets
	refusals  *buckets
	devices   *buckets  // messages of one address of devices
	unknown   *buckets  // messages of all devices that are not registered
	bans      offenders // by UDP, where an address may be forged
	cut       offenders // by connection
	flows     registered
	remotes   remotes
	screens   chan struct{}
	routes    chan struct{}
	summaries chan struct{}
	local     map[netip.Addr]bool // addresses of this host
	n         counters
	traffic   traffic

	ctx     context.Context // ends with the proxy; of New, because connections outlive the call that opened them
	cancel  context.CancelFunc
	stop    <-chan struct{} // ctx.Done()
	stopped sync.Once
	began   time.Time
	started atomic.Bool
	serving atomic.Bool // the shards run
	leaving atomic.Bool // Drain was called
	wg      sync.WaitGroup
}

// listener is one bound address. Exactly one of pc and ln is set.
type listener struct {
	network string
	bound   netip.AddrPort
	host    string     // as advertised, lower case, an IPv6 address without brackets
	hostIP  netip.Addr // of host, where it is an address
	port    uint16
	adv     string // host:port for Via and Record-Route
	pc      *net.UDPConn
	udp     *datagrams // of pc
	ln      *net.TCPListener
	tls     func() *tls.Config // set for "tls" and "wss"
	index   int                // in Options.Listen
	devices bool
	origins []string
}

// New validates the options and binds the listeners; Run serves them. After an error nothing is bound.
func New(opt Options) (*Proxy, error) {
	opt = opt.withDefaults()
	peers, err := checkPeers(opt.Peers)
	if err != nil {
		return nil, err
	}
	if err := opt.checkNames(peers); err != nil {
		return nil, err
	}
	if opt.Outbound != nil && len(opt.FlowKey) < minFlowKey {
		return nil, fmt.Errorf("%w: calls to other domains need a FlowKey of at least %d bytes", ErrOptions, minFlowKey)
	}
	if len(opt.Listen) == 0 {
		return nil, fmt.Errorf("%w: no listeners: name at least one", ErrOptions)
	}
	l := opt.Limits
	p := &Proxy{
		opt: opt, log: opt.Logger, parser: newParser(l), began: time.Now(),
		messages: newBuckets(l.MessagesPerSecond), calls: newBuckets(l.CallsPerSecond),
		refusals: newBuckets(l.RefusalsPerSecond),
		devices:  newBuckets(l.DeviceMessagesPerSecond), unknown: newBuckets(l.StrangerMessagesPerSecond),
		bans: offenders{ban: opt.BanTime}, cut: offenders{ban: opt.BanTime}, flows: registered{limit: l.MaxFlows},
		screens: make(chan struct{}, l.MaxScreening), routes: make(chan struct{}, l.MaxScreening),
		summaries: make(chan struct{}, l.MaxSummaries),
		local:     localAddrs(),
	}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	p.stop = p.ctx.Done()
	p.conns.init()
	p.names.changed = make(chan struct{}, 1)
	p.table.Store(p.names.configure(peers, opt.Screener, opt.Router, time.Now()))
	for i, o := range opt.Listen {
		lis, err := listen(o)
		if err == nil && o.Devices && len(opt.FlowKey) < minFlowKey {
			lis.close()
			err = fmt.Errorf("%w: listener %s %s: devices need a FlowKey of at least %d bytes", ErrOptions, o.Network, o.Addr, minFlowKey)
		}
		if err != nil {
			p.cancel()
			p.closeListeners()
			return nil, err
		}
		lis.index, lis.devices, lis.origins = i, o.Devices, o.Origins
		p.lis = append(p.lis, lis)
	}
	for range min(8, max(1, runtime.GOMAXPROCS(0))) {
		p.shards = append(p.shards, newShard(p))
	}
	return p, nil
}

func listen(o Listener) (*listener, error) {
	key := fmt.Sprintf("listener %s %s", o.Network, o.Addr)
	l := &listener{network: o.Network}
	switch o.Network {
	case "udp":
		addr, err := net.ResolveUDPAddr("udp", o.Addr)
		if err != nil {
			return nil, fmt.Errorf("%w: %s: %w", ErrOptions, key, err)
		}
		if l.pc, err = net.ListenUDP("udp", addr); err != nil {
			return nil, fmt.Errorf("%s: %w", key, err)
		}
		_ = l.pc.SetReadBuffer(4 << 20) // what the kernel allows; less only drops earlier
		if l.udp, err = newDatagrams(l.pc); err != nil {
			l.close()
			return nil, fmt.Errorf("%s: %w", key, err)
		}
		l.bound = unmapped(l.pc.LocalAddr().(*net.UDPAddr).AddrPort())
	case "tcp", "tls", "ws", "wss":
		if l.webSocket() && !o.Devices {
			return nil, fmt.Errorf("%w: %s: WebSocket is for devices", ErrOptions, key)
		}
		if o.Network == "tls" || o.Network == "wss" {
			if o.TLS == nil || len(o.TLS().Certificates) == 0 {
				return nil, fmt.Errorf("%w: %s: a %s listener needs a certificate", ErrOptions, key, o.Network)
			}
			l.tls = o.TLS
		}
		addr, err := net.ResolveTCPAddr("tcp", o.Addr)
		if err != nil {
			return nil, fmt.Errorf("%w: %s: %w", ErrOptions, key, err)
		}
		if l.ln, err = net.ListenTCP("tcp", addr); err != nil {
			return nil, fmt.Errorf("%s: %w", key, err)
		}
		l.bound = unmapped(l.ln.Addr().(*net.TCPAddr).AddrPort())
	default:
		return nil, fmt.Errorf("%w: %s: write udp, tcp, tls, ws or wss", ErrOptions, key)
	}
	l.host, l.port = l.bound.Addr().String(), l.bound.Port()
	if o.Advertise != "" {
		host, port, ok := splitHostPort(o.Advertise)
		if !ok || strings.ContainsAny(host, " \t;,<>\"") {
			l.close()
			return nil, fmt.Errorf("%w: %s: advertise %q: write host:port", ErrOptions, key, o.Advertise)
		}
		l.host = host
		if port != 0 {
			l.port = port
		}
	} else if l.bound.Addr().IsUnspecified() {
		l.close()
		return nil, fmt.Errorf("%w: %s: advertise is needed for an address that stands for all", ErrOptions, key)
	}
	if ip, err := netip.ParseAddr(l.host); err == nil {
		l.hostIP = ip.Unmap()
	}
	l.adv = net.JoinHostPort(l.host, strconv.Itoa(int(l.port)))
	return l, nil
}

func (l *listener) close() {
	if l.pc != nil {
		_ = l.pc.Close()
	}
	if l.ln != nil {
		_ = l.ln.Close()
	}
}

func (p *Proxy) closeListeners() {
	for _, l := range p.lis {
		l.close()
	}
}

// Addrs gives the bound addresses in the order of Options.Listen.
func (p *Proxy) Addrs() []netip.AddrPort {
	out := make([]netip.AddrPort, len(p.lis))
	for i, l := range p.lis {
		out[i] = l.bound
	}
	return out
}

// Addr gives the first bound address of a network ("udp", "tcp", "tls", "ws", "wss"); the zero AddrPort if there is none.
func (p *Proxy) Addr(network string) netip.AddrPort {
	for _, l := range p.lis {
		if l.network == network {
			return l.bound
		}
	}
	return netip.AddrPort{}
}

// Alive asks every shard whether it still turns and waits until ctx ends. It is nil before Run and after the end.
func (p *Proxy) Alive(ctx context.Context) error {
	if !p.serving.Load() {
		return nil
	}
	for i, s := range p.shards {
		answered := make(chan struct{})
		select {
		case s.in <- &event{alive: answered}:
			s.look()
		case <-p.stop:
			return nil
		case <-ctx.Done():
			return fmt.Errorf("shard %d of %d of the proxy takes nothing: its queue of %d is full: %w", i+1, len(p.shards), shardQueue, ctx.Err())
		}
		select {
		case <-answered:
		case <-p.stop:
			return nil
		case <-ctx.Done():
			return fmt.Errorf("shard %d of %d of the proxy does not answer, %d events wait: %w", i+1, len(p.shards), len(s.in), ctx.Err())
		}
	}
	return nil
}

// Stats gives the counts since New.
func (p *Proxy) Stats() Stats { return p.n.snapshot() }

// Reload swaps peers, screener and router for all requests that come after it; requests under way end as they began.
// With an error nothing has changed.
func (p *Proxy) Reload(peers []Peer, screener Screener, router Router) error {
	checked, err := checkPeers(peers)
	if err == nil {
		err = p.opt.checkNames(checked)
	}
	if err != nil {
		return err
	}
	p.names.mu.Lock()
	defer p.names.mu.Unlock()
	p.table.Store(p.names.configure(checked, screener, router, time.Now()))
	return nil
}

// Run serves until ctx ends, then closes everything and waits for its goroutines. It returns nil after ctx
// ended and ErrClosed when called a second time or after Close.
func (p *Proxy) Run(ctx context.Context) error {
	if !p.started.CompareAndSwap(false, true) {
		return ErrClosed
	}
	for _, s := range p.shards {
		p.wg.Go(s.run)
	}
	p.serving.Store(true)
	for _, l := range p.lis {
		if l.pc != nil {
			p.wg.Go(func() { p.readUDP(l) })
		} else {
			p.wg.Go(func() { p.acceptTCP(l) })
		}
	}
	if p.opt.ProbeEvery > 0 {
		p.wg.Go(p.probeLoop)
	}
	if p.opt.Names != nil {
		p.wg.Go(p.nameLoop)
	}
	select {
	case <-ctx.Done():
	case <-p.stop:
	}
	p.end()
	p.wg.Wait()
	return nil
}

// Close ends Run, or frees the listeners of a proxy that never ran. It does not wait; Run's return does.
func (p *Proxy) Close() error {
	p.started.Store(true)
	p.end()
	return nil
}

func (p *Proxy) end() {
	p.stopped.Do(func() {
		p.cancel()
		p.closeListeners()
		p.conns.closeAll()
	})
}

// localAddrs are the addresses of this host; none when it does not say.
func localAddrs() map[netip.Addr]bool {
	found := make(map[netip.Addr]bool)
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return found
	}
	for _, a := range addrs {
		if prefix, err := netip.ParsePrefix(a.String()); err == nil {
			found[prefix.Addr().Unmap()] = true
		}
	}
	return found
}

// isLocal says whether packets to an address stay on this host.
func (p *Proxy) isLocal(a netip.Addr) bool { return a.IsLoopback() || p.local[a] }

// isUsAt is isUs for an address.
func (p *Proxy) isUsAt(a netip.AddrPort) bool {
	ip := a.Addr().Unmap()
	for _, l := range p.lis {
		if a.Port() == l.port && ip == l.hostIP {
			return true
		}
		if b := l.bound.Addr(); a.Port() == l.bound.Port() && (ip == b || b.IsUnspecified() && p.isLocal(ip)) {
			return true
		}
	}
	return false
}

// isUs says whether a host and port, 0 standing for 5060, is one of our listeners.
func (p *Proxy) isUs(host string, port uint16) bool {
	if port == 0 {
		port = 5060
	}
	ip, err := netip.ParseAddr(host)
	for _, l := range p.lis {
		if port == l.port && host == l.host {
			return true
		}
		if a := l.bound.Addr(); err == nil && port == l.bound.Port() && (ip.Unmap() == a || a.IsUnspecified() && p.isLocal(ip.Unmap())) {
			return true
		}
	}
	return false
}

// listenerFor picks whose address stands in Via and Record-Route towards a peer: the preferred one where the network fits, else
// the first of that network and address family; nil if there is none. One for devices is taken only where there is no other:
// what faces the world does not face the nodes.
func (p *Proxy) listenerFor(network string, dst netip.Addr, prefer *listener) *listener {
	fits := func(l *listener) bool {
		if l == nil || l.network != network {
			return false
		}
		a := l.bound.Addr()
		return a.Is4() == dst.Is4() || a == netip.IPv6Unspecified()
	}
	if fits(prefer) && !prefer.devices {
		return prefer
	}
	var best *listener
	for _, l := range p.lis {
		switch {
		case !fits(l):
		case !l.devices && prefer != nil && l.host == prefer.host:
			return l
		case best == nil || best.devices && !l.devices:
			best = l
		}
	}
	return best
}

// shardFor keeps all messages of one call on one timeline.
func (p *Proxy) shardFor(callID string) *shard {
	if len(p.shards) == 1 {
		return p.shards[0]
	}
	h := fnv.New32a()
	_, _ = h.Write([]byte(callID))
	return p.shards[int(h.Sum32()%uint32(len(p.shards)))]
}

// tap shows a message that came from or goes to a remote address.
func (p *Proxy) tap(dir Direction, l *listener, remote netip.AddrPort, raw []byte) {
	if p.opt.Tap == nil {
		return
	}
	defer func() {
		if r := recover(); r != nil {
			p.panicked("tap", r)
		}
	}()
	t := Tapped{Direction: dir, Transport: l.network, Source: remote, Destination: l.bound, Raw: raw}
	if dir == Out {
		t.Source, t.Destination = l.bound, remote
	}
	p.opt.Tap(t)
}

func (p *Proxy) panicked(where string, r any) {
	p.n.panics.Add(1)
	p.log.Error("recovered", zap.String("where", where), zap.Any("panic", r), zap.Stack("stack"))
}

// packet is one message on its way from a reader to its shard.
type packet struct {
	msg   *message
	size  int
	peer  *Peer
	src   netip.AddrPort
	lis   *listener
	conn  *conn // of TCP
	at    time.Time
	code  int // not 0: answer this instead of handling the request
	wrong string
	table *table
}

// read turns admitted bytes into a packet; ok false means that they are dropped.
func (p *Proxy) read(raw []byte, src netip.AddrPort, lis *listener, c *conn) (pk packet, ok bool) {
	defer func() {
		if r := recover(); r != nil {
			p.panicked("parser", r)
			ok = false
		}
	}()
	p.n.messagesIn.Add(1)
	p.tap(In, lis, src, raw)
	pk = packet{size: len(raw), src: src, lis: lis, conn: c, at: time.Now(), table: p.table.Load()}
	m, err := parseMessage(p.parser, raw, p.opt.Limits)
	if m == nil {
		p.n.malformed.Add(1)
		p.offend(lis, c, src, "malformed")
		p.log.Debug("message dropped", zap.Stringer("source", src), zap.Error(err))
		return pk, false
	}
	pk.msg = m
	wrong := m.checkSense()
	switch {
	case errors.Is(err, ErrTooLarge):
		pk.code, pk.wrong = 513, ""
	case errors.Is(err, errVersion):
		pk.code, pk.wrong = 505, ""
	case errors.Is(err, errLength):
		pk.code, pk.wrong = 400, "Bad Content-Length"
	case errors.Is(err, errStartLine):
		pk.code, pk.wrong = 400, "Bad Request Line"
	case err != nil:
		pk.code, pk.wrong = 400, "Body Too Short"
	case wrong != "":
		pk.code, pk.wrong = 400, wrong
	}
	if pk.code != 0 {
		p.n.malformed.Add(1)
		// Without a Via and a Call-ID there is nobody to answer.
		if v, vok := m.topVia(); !vok || v.host == "" || m.get("call-id") == "" || !m.isRequest() || m.method == "ACK" {
			return pk, false
		}
	}
	port := src.Port()
	if v, _ := m.topVia(); lis.network != "udp" && m.isRequest() {
		if port = v.port; port == 0 {
			port = defaultPort(lis.network)
		}
	}
	if pk.peer = pk.table.match(src.Addr(), port); pk.peer != nil && c != nil && !c.mayBe(pk.peer) {
		pk.peer = nil
	}
	switch {
	case pk.peer != nil:
	case c != nil && lis.tls != nil && p.remotes.has(src.Addr(), pk.at):
		pk.peer = outsidePeer
	case lis.devices:
		pk.peer = devicePeer
		if m.isRequest() && m.isScanner() && !p.flows.has(keyOf(&pk), pk.at) {
			p.n.scanners.Add(1)
			p.offend(lis, c, src, "scanner")
			return pk, false
		}
	}
	return pk, true
}
