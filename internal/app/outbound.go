package app

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/signalbox/signalbox/internal/config"
	"github.com/signalbox/signalbox/internal/edge"
	"github.com/signalbox/signalbox/internal/resolve"
	"github.com/signalbox/signalbox/internal/token"
	"github.com/signalbox/signalbox/internal/treat/mailbox"
	"github.com/signalbox/signalbox/sipproxy"
)

// errNoTLSRoute means that a voicemail system is provisioned with TLS and this configuration has no way to it.
var errNoTLSRoute = errors.New("voicemail by TLS goes through the proxy: configure proxy.listen with tcp: and tls:, proxy.tls, and token.keys")

// tlsRoute is the way of voicemail systems that are reached by TLS: to our own proxy, with a permit.
type tlsRoute struct {
	addr      netip.AddrPort
	transport string
	key       token.Key
}

// newTLSRoute is nil when the configuration has none.
func newTLSRoute(c *config.Config) *tlsRoute {
	keys := tokenKeys(c)
	if len(keys) == 0 || !hasTLS(c) {
		return nil
	}
	for _, network := range []string{"tcp", "udp"} { // an INVITE with its history is long
		for _, l := range c.Proxy.Listen {
			if addr, ok := reachable(l, c.Proxy.Advertise); ok && l.Network == network {
				return &tlsRoute{addr, network, keys[0]}
			}
		}
	}
	return nil
}

// callsByTLS reports whether nodes may call voicemail systems by TLS through the proxy.
func callsByTLS(c *config.Config) bool { return hasTLS(c) && len(c.Token.Keys) > 0 }

func hasTLS(c *config.Config) bool {
	return slices.ContainsFunc(c.Proxy.Listen, func(l config.Listen) bool { return l.Network == "tls" })
}

// reachable is the address at which FreeSWITCH reaches a listener.
func reachable(l config.Listen, advertise string) (netip.AddrPort, bool) {
	addr, err := netip.ParseAddrPort(l.Addr)
	if err != nil || addr.Port() == 0 {
		return addr, false
	}
	if !addr.Addr().IsUnspecified() {
		return addr, true
	}
	host, _, found := strings.Cut(advertise, ":")
	ip, err := netip.ParseAddr(host)
	if !found {
		ip, err = netip.ParseAddr(advertise)
	}
	return netip.AddrPortFrom(ip, addr.Port()), err == nil
}

// resolver lets package mailbox use package resolve, and the proxy for systems that are reached by TLS.
type resolver struct {
	*resolve.Resolver
	tls *tlsRoute
}

func (r resolver) Lookup(ctx context.Context, fqdn, transport string) ([]mailbox.Target, error) {
	if transport == "tls" {
		if r.tls == nil {
			return nil, errNoTLSRoute
		}
		permit, err := token.SignPermit(token.Permit{FQDN: fqdn, Time: time.Now()}, r.tls.key)
		if err != nil {
			return nil, err
		}
		return []mailbox.Target{{Addr: r.tls.addr, Transport: r.tls.transport, Permit: permit}}, nil
	}
	found, err := r.Resolver.Lookup(ctx, fqdn, transport)
	if err != nil {
		return nil, err
	}
	var out []mailbox.Target
	for _, t := range found {
		out = append(out, mailbox.Target{Addr: t.Addr, Transport: t.Transport})
	}
	return out, nil
}

// The proxy itself remembers which targets of its own did not work.
func (r resolver) Failed(t mailbox.Target) {
	if t.Permit == "" {
		r.Resolver.Failed(resolve.Target{Addr: t.Addr, Transport: t.Transport}, time.Now())
	}
}

func (r resolver) Worked(t mailbox.Target) {
	if t.Permit == "" {
		r.Resolver.Worked(resolve.Target{Addr: t.Addr, Transport: t.Transport}, time.Now())
	}
}

// newOutbound lets nodes call permitted domains by TLS; nil without keys or a TLS listener.
func (a *App) newOutbound(c *config.Config) (sipproxy.Outbound, error) {
	if !callsByTLS(c) {
		return nil, nil
	}
	var err error
	if a.checker == nil { // the role proxy alone
		if a.checker, err = newChecker(c); err != nil {
			return nil, err
		}
	}
	return &edge.Outbound{Permits: a.currentChecker, Resolver: a.currentResolver}, nil
}

// currentResolver and currentChecker are those of now: a reload that changes dns or token begins new ones.
func (a *App) currentResolver() *resolve.Resolver {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.resolver
}

func (a *App) currentChecker() *token.Checker {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.checker
}

// flowKey is proxy.devices.flow_key, or one that is made of the first token key, so that voicemail by TLS needs no key of its
// own.
func flowKey(c *config.Config) []byte {
	if c.Proxy.Devices.FlowKey != "" || len(c.Token.Keys) == 0 {
		return []byte(c.Proxy.Devices.FlowKey.Reveal())
	}
	mac := hmac.New(sha256.New, []byte(c.Token.Keys[0].Secret.Reveal()))
	_, _ = mac.Write([]byte("signalbox flow key"))
	return mac.Sum(nil)
}
