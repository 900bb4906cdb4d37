package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/signalbox/signalbox/internal/config"
	"github.com/signalbox/signalbox/internal/resolve"
	"github.com/signalbox/signalbox/sipproxy"
)

// ResolveOptions are a configuration's settings of looking names up; `signalbox doctor` looks up with the same.
func ResolveOptions(c *config.Config, log *zap.Logger) resolve.Options {
	o := resolve.Options{
		Servers: c.DNS.Servers, Timeout: c.DNS.Timeout, MinTTL: c.DNS.MinTTL, MaxTTL: c.DNS.MaxTTL, NegativeTTL: c.DNS.NegativeTTL,
		Stale: c.DNS.Stale, AllowLoopback: c.DNS.AllowLoopback, Logger: log,
	}
	if o.Stale == 0 {
		o.Stale = -1 // never
	}
	return o
}

// newResolver makes the resolver of a configuration. What is known of targets outlives it.
func (a *App) newResolver(c *config.Config) (*resolve.Resolver, error) {
	if a.targets == nil {
		a.targets = resolve.NewHealth(resolve.HealthOptions{
			Probe: a.askTarget, Every: c.Voicemail.ProbeEvery, BackOff: c.Voicemail.BackOff, MaxBackOff: 10 * c.Voicemail.BackOff, Logger: a.log,
		})
	}
	o := ResolveOptions(c, a.log)
	o.Health, o.Own = a.targets, a.own()
	r, err := resolve.New(o)
	if err != nil {
		return nil, fmt.Errorf("dns.servers: %w", err)
	}
	return r, nil
}

// hasNames reports whether nodes or trunks are configured by name.
func hasNames(c *config.Config) bool {
	return slices.ContainsFunc(c.Nodes, func(n config.Node) bool { return n.SIP.Domain != "" }) ||
		slices.ContainsFunc(c.Proxy.Trunks, func(t config.Trunk) bool { return t.Addr.Domain != "" })
}

// peerNames finds the addresses of nodes and trunks that are configured by name.
type peerNames struct{ current func() *resolve.Resolver }

// Addresses implements sipproxy.Names.
func (n peerNames) Addresses(ctx context.Context, domain string, port uint16, transport string) ([]sipproxy.Found, time.Duration, error) {
	targets, err := n.current().Find(ctx, domain, port, transport)
	if err != nil {
		return nil, 0, err
	}
	out := make([]sipproxy.Found, 0, len(targets))
	ttl, rank := targets[0].TTL, uint16(0)
	for i, t := range targets {
		// A service that the DNS prefers comes before another one, whatever their SRV priorities are.
		if i > 0 && (t.Priority != targets[i-1].Priority || t.Transport != targets[i-1].Transport) {
			rank++
		}
		out = append(out, sipproxy.Found{Addr: t.Addr, Transport: t.Transport, Priority: rank, Weight: t.Weight})
	}
	return out, ttl, nil
}

// namesTrouble says which peers cannot be looked up.
func namesTrouble(names []sipproxy.NameHealth) error {
	var errs []error
	for _, n := range names {
		if n.Err != nil {
			errs = append(errs, fmt.Errorf("%s, %d addresses of before are used: %w", n.Domain, len(n.Addresses), n.Err))
		}
	}
	return errors.Join(errs...)
}

// askTarget asks a target with OPTIONS: one that is called by TLS through our proxy, the others from this machine, as FreeSWITCH
// calls them.
func (a *App) askTarget(ctx context.Context, t resolve.Target) error {
	hop := sipproxy.Hop{Addr: t.Addr, Transport: t.Transport}
	if t.Transport != "tls" {
		return sipproxy.Probe(ctx, hop)
	}
	if a.proxy == nil {
		return sipproxy.ErrClosed // the proxy is another process, which asks by itself
	}
	hop.TLSName = t.Name
	return a.proxy.Ask(ctx, hop)
}

// own tells whether an address is a listener of this process, whatever the DNS has found there: a call to it would come back.
func (a *App) own() func(netip.AddrPort) bool {
	local := map[netip.Addr]bool{}
	if addrs, err := net.InterfaceAddrs(); err == nil {
		for _, x := range addrs {
			if p, err := netip.ParsePrefix(x.String()); err == nil {
				local[p.Addr().Unmap()] = true
			}
		}
	}
	return func(addr netip.AddrPort) bool {
		listeners := a.SIPAddrs()
		for _, l := range []net.Addr{a.EventSocketAddr(), a.HTTPAddr()} {
			if t, ok := l.(*net.TCPAddr); ok {
				listeners = append(listeners, t.AddrPort())
			}
		}
		for _, l := range listeners {
			at := l.Addr().Unmap()
			if l.Port() == addr.Port() && (at == addr.Addr() || at.IsUnspecified() && (local[addr.Addr()] || addr.Addr().IsLoopback())) {
				return true
			}
		}
		return false
	}
}

// targetsTrouble names the targets of voicemail systems that are tried last because they failed.
func targetsTrouble(states []resolve.TargetState, now time.Time) error {
	const most = 5
	var down []string
	for _, t := range states {
		if t.State == resolve.Closed {
			continue
		}
		text := fmt.Sprintf("%s at %s/%s (%s, failures: %d", t.Name, t.Addr, t.Transport, t.State, t.Failures)
		if wait := t.Retry.Sub(now); wait > 0 {
			text += fmt.Sprintf(", tried again in %s", wait.Round(time.Second))
		}
		down = append(down, text+")")
	}
	if len(down) == 0 {
		return nil
	}
	more := ""
	if len(down) > most {
		more = fmt.Sprintf(" and %d more", len(down)-most)
	}
	return fmt.Errorf("calls try others first than %s%s", strings.Join(down[:min(len(down), most)], "; "), more)
}
