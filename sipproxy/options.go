package sipproxy

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"go.uber.org/zap"
)

// Errors of New and Reload. They are wrapped with the key at fault.
var (
	// ErrOptions means that the options cannot work; the text says which one and what to write instead.
	ErrOptions = errors.New("sipproxy: bad options")
	// ErrClosed means that the proxy was closed or has already run.
	ErrClosed = errors.New("sipproxy: closed")
)

// Listener is one address the proxy takes SIP on.
type Listener struct {
	// Network is "udp", "tcp", "tls", and for devices also "ws" and "wss" (RFC 7118).
	Network string
	// Addr is the address to bind, as "127.0.0.1:5090"; port 0 takes a free one (see Proxy.Addr).
	Addr string
	// Advertise is the host:port written into Via and Record-Route; empty means the bound address.
	// A listener on 0.0.0.0 or :: must have it.
	Advertise string
	// Devices takes phones, apps and browsers from everywhere: they may register, and once registered, call (see
	// Options.FlowKey). Peers are taken on it as on others.
	Devices bool
	// Origins are the pages whose browsers may open a WebSocket, as "https://phone.example.net"; none means all.
	Origins []string
	// TLS is for "tls" and "wss" and gives the configuration of one connection, so that certificates are renewed without a restart:
	// Certificates for both roles (a client shows it when it is asked for one), RootCAs for the peers we call, ClientCAs and
	// ClientAuth for those that call us. TLS 1.2 is the least that is spoken.
	TLS func() *tls.Config
}

// PeerKind says on which side of the proxy a peer stands.
type PeerKind int

const (
	// Trunk is a carrier: the outside. Its requests are stripped, screened and routed.
	Trunk PeerKind = iota
	// Node is a FreeSWITCH: the inside. Its initial requests go to configured trunks and down flows of devices only.
	Node
	// outside is a system that a node called by its domain.
	outside
	// Device is whoever comes to a listener for devices and is no configured peer. It is not configured itself.
	Device
)

// String names the kind in logs.
func (k PeerKind) String() string {
	switch k {
	case Node:
		return "node"
	case Device:
		return "device"
	}
	return "trunk"
}

// Peer is a system the proxy talks with. A request from no peer is answered 403 or not at all, and nothing is
// ever sent to an address that belongs to no peer.
type Peer struct {
	// Name appears in logs and in Invite.Peer.
	Name string
	// Kind is the side it stands on.
	Kind PeerKind
	// Prefixes are the addresses it sends from and may be reached at (its Contact, any port).
	// Empty means the address of Addr alone.
	Prefixes []netip.Prefix
	// Port is the port it sends from; 0 is any. Over TCP, where the source port is arbitrary, the port of the
	// topmost Via is compared instead. It tells two peers on one address apart.
	Port uint16
	// Addr is where requests for it are sent. A trunk may leave it empty when it only calls in.
	Addr netip.AddrPort
	// Domain is the FQDN at which it is found (RFC 3263), instead of Addr; Options.Names looks it up. It stands for one peer at each
	// of its addresses: calls to it are tried at one after the other, and calls from each are its calls, while the domain leads
	// there and for a minute longer; dialogs go on for hours. Whoever rules over the DNS decides who this peer is.
	Domain string
	// DomainPort is the port beside Domain; 0 = the DNS says.
	DomainPort uint16
	// DeviceAddr is where a node takes the requests of devices: a profile that authenticates each of them, never the one of
	// trunks. Empty means that the node takes none.
	DeviceAddr netip.AddrPort
	// Transport is "udp", "tcp", "tls" or empty: by size (see Options.MaxUDP).
	Transport string
	// TLSName is the domain that a peer's certificate must be for (RFC 5922 section 7), when we connect and, with a
	// client certificate, when it does. Empty means Domain, else the first of Hosts, else the address itself.
	TLSName string
	// TLSWildcard also takes a certificate for *.domain, which RFC 5922 section 7.2 forbids and some carriers have.
	TLSWildcard bool
	// TrustVerstat leaves a trunk's verstat parameters and attestation headers as they are: it verifies callers and says the truth.
	TrustVerstat bool
	// Hosts are names by which it calls itself in Contact and Record-Route instead of an address. They are not
	// looked up: a request for such a name goes to Addr.
	Hosts []string
	// MessagesPerSecond and CallsPerSecond bound what each address of a trunk may send; 0 is what Limits say.
	MessagesPerSecond, CallsPerSecond float64

	priority, weight uint16         // of an address of Domain
	former           netip.AddrPort // where Domain led before; there is no Addr then
	grace            time.Time      // until when calls are taken from there
}

// Hop is one place an INVITE may be sent to. Addr must be the Addr of a configured peer; without one, Name is that of a peer, and
// all addresses of its Domain are meant.
type Hop struct {
	Addr netip.AddrPort
	// Transport is "udp", "tcp", "tls" or empty: that of the peer, else by size.
	Transport string
	// TLSName is the domain that the certificate must be for; empty means what the peer says (Peer.TLSName). It is for the
	// hops of an Outbound, where it must be set.
	TLSName string
	// Name is for logs.
	Name string

	flow    *flowRef       // the way to a device
	node    netip.AddrPort // of a profile for devices: where its node is probed
	outside bool           // no configured peer: named by the Outbound
}

// HeaderField is one header field; a field with CR, LF or NUL in it is never written.
type HeaderField struct{ Name, Value string }

// Decision is a Screener's answer. The zero Decision delivers the call unmarked.
type Decision struct {
	// Refuse, when set, ends the call here.
	Refuse *Refusal
	// Add is put on the INVITE towards the hop, after X-Signalbox headers from outside were stripped.
	// A field that is not valid is left out and counted (Stats.BadDecisions); the call goes on.
	Add []HeaderField
	// Labels are for the Observer alone: what was decided, and why, in words.
	Labels []HeaderField
}

// Refusal is the final answer to a refused call, for instance 603 "Network Blocked" with a Reason.
type Refusal struct {
	// Code is 400 to 699; anything else becomes 403 and is counted.
	Code int
	// Phrase is the reason phrase; empty takes the standard one.
	Phrase string
	// Headers are added to the answer.
	Headers []HeaderField
}

// Screener judges an admitted initial INVITE of a trunk. There is no error: what fails open is the zero
// Decision. It is called on its own goroutine, concurrently for different calls, with a context that ends
// after Options.ScreenTimeout; after that time, or when it panics, the call is delivered unmarked. See Immediate for another way.
type Screener interface {
	Screen(ctx context.Context, inv *Invite) Decision
}

// Router names the hops for an admitted initial INVITE of a trunk, best first. It is called like a Screener.
// No hop, an unconfigured hop, a panic or a late answer is 500 for that call and counted.
type Router interface {
	Route(ctx context.Context, inv *Invite) []Hop
}

// Immediate marks a Screener or a Router that decides from the Invite and its own memory alone and waits for nothing. It is called on the
// path of the call itself, without a goroutine and a deadline of its own, which costs less than its decision often does.
type Immediate interface{ Immediate() }

// Direction tells a Tap which way a message went.
type Direction string

// The directions, seen from the proxy.
const (
	In  Direction = "in"
	Out Direction = "out"
)

// Tapped is one SIP message on the wire. Raw is only valid during the call of the Tap.
type Tapped struct {
	Direction           Direction
	Transport           string // "udp", "tcp", "tls", "ws" or "wss"; what was encrypted is in clear here
	Source, Destination netip.AddrPort
	Raw                 []byte
}

// Tap sees every SIP message taken or sent, byte for byte. It is called on the path of the message, from several goroutines at
// once, so it must not block.
type Tap func(Tapped)

// Limits bound what the outside can make the proxy keep or do. A zero field takes its default.
type Limits struct {
	// MaxMessage is the size of one message in bytes, 65,535. More: a datagram is dropped, a TCP connection closed.
	MaxMessage int
	// MaxHeaderBytes is the size of start line and headers, 32,768. More: answered 513.
	MaxHeaderBytes int
	// MaxHeaders is the number of header fields, 256. More: answered 513.
	MaxHeaders int
	// MaxPending is the number of requests being worked on, 10,000. More: new ones are answered 503. Devices take half of it at most.
	MaxPending int
	// MaxKept is the number of requests remembered, with those already answered (for up to 64*T1, so that a call that is answered and
	// ends takes two for 32 s), 150,000. More: 503.
	MaxKept int
	// MaxConnections is the number of TCP connections, 1,024; when half are taken, further ones of carriers are closed at
	// once, when all are, those of nodes.
	MaxConnections int
	// MaxScreening is the number of Screener and of Router calls at one time, 1,024 each. More: the call is not
	// screened, or not routed (503).
	MaxScreening int
	// MaxSummaries is the number of summaries being taken at one time, 64. More: 503.
	MaxSummaries int
	// MessagesPerSecond from one address of a trunk, 2,000, with a burst of two seconds' worth. More: a datagram
	// is dropped, a TCP connection read later. A trunk may have its own (Peer.MessagesPerSecond).
	MessagesPerSecond float64
	// CallsPerSecond is the rate of initial INVITEs from one address of a trunk, 500, burst two seconds. More: 503 with Retry-After.
	// A trunk may have its own (Peer.CallsPerSecond).
	CallsPerSecond float64
	// MaxDevices is the number of connections of devices, 10,000, MaxUnregistered that of those on which nobody has registered yet,
	// 1,000, and DevicesPerAddress that from one address, 256. More: closed.
	MaxDevices, MaxUnregistered, DevicesPerAddress int
	// RegisterTime is for how long the connection of a device may be open before anybody registers on it, 2 minutes, whatever is said
	// on it. Longer: closed.
	RegisterTime time.Duration
	// MaxFlows is the number of flows on which devices are registered, 100,000. More: the device can be called but makes no calls.
	MaxFlows int
	// DeviceMessagesPerSecond from one address on a listener for devices, 100, with a burst of two seconds' worth. More: dropped.
	DeviceMessagesPerSecond float64
	// StrangerMessagesPerSecond bounds, for all devices together that are not registered, what reaches FreeSWITCH, 500, with a
	// burst of two seconds' worth. More: dropped.
	StrangerMessagesPerSecond float64
	// RefusalsPerSecond bounds, for all strangers together, the 403 answers, 10. More: silence.
	RefusalsPerSecond float64
}

// Options configure a Proxy.
type Options struct {
	// Listen names at least one address.
	Listen []Listener
	// Peers are the systems it talks with; at least one.
	Peers []Peer
	// Screener judges calls; nil delivers all.
	Screener Screener
	// Router names hops; nil takes every Node with an Addr, in order.
	Router Router
	// Names looks up peers with a Domain; nil means that there are none.
	Names Names
	// FlowKey signs the tokens by which a device is found again (RFC 5626), at least 32 bytes. All proxies of one address have the
	// same. Listeners for devices need it.
	FlowKey []byte
	// BanTime is for how long an address that misbehaves on a listener for devices is not listened to. Default 5 minutes.
	BanTime time.Duration
	// Outbound permits and resolves calls of nodes to other domains; nil means that there are none. It needs a FlowKey.
	Outbound Outbound
	// Summaries takes message-summary NOTIFYs; nil means that nobody does.
	Summaries Summaries
	// MaxUDP is the size in bytes up to which a request goes by UDP when its hop names no transport; above it goes
	// by TCP (RFC 3261 18.1.1), and back to UDP when nobody takes the connection. Default 1,300.
	MaxUDP int
	// MaxLocalUDP is MaxUDP towards an address of this host, 60,000: nothing cuts or loses such datagrams, and the answers of a
	// call by UDP find a proxy that was started again meanwhile, which those by TCP do not.
	MaxLocalUDP int
	// ScreenTimeout bounds the Screener and, again, the Router. Default 1 s.
	ScreenTimeout time.Duration
	// FirstResponse is how long a hop may be silent to an initial INVITE before the next is tried. Default 2 s.
	FirstResponse time.Duration
	// ProbeEvery is how often each node is asked with OPTIONS whether it takes calls; 0 is never. A node that misses two probes,
	// each within FirstResponse, is tried after the others until it answers one.
	ProbeEvery time.Duration
	// TimerC is how long a call may ring without a further provisional response (RFC 3261 16.6). Default 180 s.
	TimerC time.Duration
	// T1, T2 are RFC 3261's retransmission timers. Defaults 500 ms and 4 s.
	T1, T2 time.Duration
	// Limits bound memory and rates.
	Limits Limits
	// Logger may be nil.
	Logger *zap.Logger
	// Tap may be nil.
	Tap Tap
	// StageTook is told how long each stage of a trunk's call took. It is called on the path of the call, from several
	// goroutines at once, so it must not block; nil = nobody is told, and no clock is read.
	StageTook func(stage Stage, took time.Duration)
	// Observe is told of each request with its final answer: of all that were taken, but ACK and CANCEL, which are answers of a kind.
	// It is called as StageTook is; nil = nobody is told, and nothing is kept for it.
	Observe func(t Transaction)
}

func withDefault[T int | float64 | time.Duration](v *T, d T) {
	if *v <= 0 {
		*v = d
	}
}

func (l Limits) withDefaults() Limits {
	withDefault(&l.MaxMessage, 65535)
	withDefault(&l.MaxHeaderBytes, 32768)
	withDefault(&l.MaxHeaders, 256)
	withDefault(&l.MaxPending, 10000)
	withDefault(&l.MaxKept, 150000)
	withDefault(&l.MaxConnections, 1024)
	withDefault(&l.MaxScreening, 1024)
	withDefault(&l.MaxSummaries, 64)
	withDefault(&l.MessagesPerSecond, 2000)
	withDefault(&l.CallsPerSecond, 500)
	withDefault(&l.MaxDevices, 10000)
	withDefault(&l.MaxUnregistered, 1000)
	withDefault(&l.DevicesPerAddress, 256)
	withDefault(&l.RegisterTime, 2*time.Minute)
	withDefault(&l.MaxFlows, 100000)
	withDefault(&l.DeviceMessagesPerSecond, 100)
	withDefault(&l.StrangerMessagesPerSecond, 500)
	withDefault(&l.RefusalsPerSecond, 10)
	return l
}

func (o Options) withDefaults() Options {
	withDefault(&o.MaxUDP, 1300)
	withDefault(&o.BanTime, 5*time.Minute)
	withDefault(&o.MaxLocalUDP, 60000)
	withDefault(&o.ScreenTimeout, time.Second)
	withDefault(&o.FirstResponse, 2*time.Second)
	withDefault(&o.TimerC, 180*time.Second)
	withDefault(&o.T1, 500*time.Millisecond)
	withDefault(&o.T2, 4*time.Second)
	o.Limits = o.Limits.withDefaults()
	if o.Logger == nil {
		o.Logger = zap.NewNop()
	}
	return o
}

func checkTransport(key, t string) error {
	switch t {
	case "", "udp", "tcp", "tls":
		return nil
	}
	return fmt.Errorf("%w: %s: transport %q: write udp, tcp, tls or nothing", ErrOptions, key, t)
}

// checkPeers validates and completes a copy of peers.
func checkPeers(peers []Peer) ([]Peer, error) {
	if len(peers) == 0 {
		return nil, fmt.Errorf("%w: no peers: name at least one trunk or node", ErrOptions)
	}
	out := make([]Peer, len(peers))
	for i, p := range peers {
		key := fmt.Sprintf("peer %d (%s)", i, p.Name)
		if p.Kind != Trunk && p.Kind != Node {
			return nil, fmt.Errorf("%w: %s: unknown kind %d", ErrOptions, key, p.Kind)
		}
		if err := checkTransport(key, p.Transport); err != nil {
			return nil, err
		}
		if p.MessagesPerSecond < 0 || p.CallsPerSecond < 0 {
			return nil, fmt.Errorf("%w: %s: %g messages and %g calls a second: write at least 0", ErrOptions, key, p.MessagesPerSecond, p.CallsPerSecond)
		}
		if p.Addr.IsValid() {
			if p.Addr.Port() == 0 {
				return nil, fmt.Errorf("%w: %s: address %s has no port", ErrOptions, key, p.Addr)
			}
			p.Addr = unmapped(p.Addr)
		}
		if p.DeviceAddr.IsValid() {
			if p.DeviceAddr = unmapped(p.DeviceAddr); p.Kind != Node || p.DeviceAddr == p.Addr || p.DeviceAddr.Port() == 0 {
				return nil, fmt.Errorf("%w: %s: devices go to a profile of a node that is not the one of trunks: %s", ErrOptions, key, p.DeviceAddr)
			}
		}
		if err := p.checkDomain(key); err != nil {
			return nil, err
		}
		if len(p.Prefixes) == 0 && p.Domain == "" {
			if !p.Addr.IsValid() {
				return nil, fmt.Errorf("%w: %s: give an address or prefixes", ErrOptions, key)
			}
			p.Prefixes = []netip.Prefix{netip.PrefixFrom(p.Addr.Addr(), p.Addr.Addr().BitLen())}
		} else {
			prefixes := make([]netip.Prefix, len(p.Prefixes))
			for j, pre := range p.Prefixes {
				if !pre.IsValid() {
					return nil, fmt.Errorf("%w: %s: prefix %d is not an address prefix", ErrOptions, key, j)
				}
				prefixes[j] = pre.Masked()
			}
			p.Prefixes = prefixes
		}
		if d := p.DeviceAddr; d.IsValid() && !p.contains(d.Addr()) { // it answers from there
			p.Prefixes = append(p.Prefixes, netip.PrefixFrom(d.Addr(), d.Addr().BitLen()))
		}
		hosts := make([]string, len(p.Hosts))
		for j, h := range p.Hosts {
			if !p.Addr.IsValid() && p.Domain == "" {
				return nil, fmt.Errorf("%w: %s: host %q needs an address to send to", ErrOptions, key, h)
			}
			hosts[j] = strings.ToLower(strings.TrimSuffix(h, "."))
		}
		p.Hosts = hosts
		out[i] = p
	}
	return out, nil
}

// checkNames asks for a Names where a peer has a domain.
func (o *Options) checkNames(peers []Peer) error {
	for _, p := range peers {
		if p.Domain != "" && o.Names == nil {
			return fmt.Errorf("%w: peer %s: domain %s: there is no Names to look it up", ErrOptions, p.Name, p.Domain)
		}
	}
	return nil
}

// checkDomain validates and completes a peer that is configured by a domain.
func (p *Peer) checkDomain(key string) error {
	if p.Domain == "" {
		return nil
	}
	if p.Addr.IsValid() {
		return fmt.Errorf("%w: %s: both an address and the domain %s: give one", ErrOptions, key, p.Domain)
	}
	p.Domain = strings.ToLower(strings.TrimSuffix(p.Domain, "."))
	if host, _, ok := splitHostPort(p.Domain); !ok || host != p.Domain || strings.ContainsAny(host, " \t;,<>@\"") {
		return fmt.Errorf("%w: %s: domain %q: write a host name", ErrOptions, key, p.Domain)
	}
	p.Hosts = append([]string{p.Domain}, p.Hosts...)
	return nil
}

// unmapped turns ::ffff:1.2.3.4 into 1.2.3.4, so that both compare equal.
func unmapped(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}
