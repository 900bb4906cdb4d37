package app

import (
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/signalbox/signalbox/internal/config"
	"github.com/signalbox/signalbox/internal/edge"
	"github.com/signalbox/signalbox/internal/resolve"
	"github.com/signalbox/signalbox/internal/screen"
	"github.com/signalbox/signalbox/internal/sidecar"
	"github.com/signalbox/signalbox/internal/tel"
	"github.com/signalbox/signalbox/internal/token"
	"github.com/signalbox/signalbox/internal/treat"
	"github.com/signalbox/signalbox/internal/treat/mailbox"
	"github.com/signalbox/signalbox/internal/treat/notice"
	"github.com/signalbox/signalbox/sipproxy"
)

// TreatSettings are a configuration's settings of the treatments; `signalbox explain` plans with the same.
func TreatSettings(c *config.Config) treat.Settings {
	return treat.Settings{
		Mailbox: mailbox.Settings{
			ProgressTimeout: c.Voicemail.ProgressTimeout, AnswerTimeout: c.Voicemail.AnswerTimeout,
			TotalTimeout: c.Voicemail.TotalTimeout, LookupTimeout: c.DNS.Timeout, Domain: c.Domain,
		},
		Notice: notice.Settings{DownPrompt: c.Voicemail.DownPrompt},
	}
}

// newChecker is nil when no keys are configured: then no call counts as screened.
func newChecker(c *config.Config) (*token.Checker, error) {
	keys := tokenKeys(c)
	if len(keys) == 0 {
		return nil, nil
	}
	return token.NewChecker(keys...)
}

func sidecarSettings(c *config.Config, r *resolve.Resolver, t *token.Checker) sidecar.Settings {
	return sidecar.Settings{Region: c.Region, Treat: TreatSettings(c), Resolver: resolver{r, newTLSRoute(c)}, Tokens: t, Correlate: c.HEP.Collector != ""}
}

func tokenKeys(c *config.Config) []token.Key {
	var keys []token.Key
	for _, k := range c.Token.Keys {
		keys = append(keys, token.Key{ID: k.ID, Secret: []byte(k.Secret.Reveal())})
	}
	return keys
}

// NewEdge makes the edge of a configuration; `signalbox screen` judges with the same.
func NewEdge(c *config.Config, log *zap.Logger) (*edge.Edge, error) {
	return newEdge(c, log, nil)
}

func newEdge(c *config.Config, log *zap.Logger, judged func(edge.Outcome, string, time.Duration)) (*edge.Edge, error) {
	o := edge.Options{
		Judged: judged,
		Region: c.Region, Trunks: map[string]edge.Trunk{}, Logger: log,
		Answers: screen.Answers{Impossible: int(c.Screening.Impossible), Denied: int(c.Screening.DenyAnswer), DoNotOriginate: int(c.Screening.DNOAnswer), RedressURL: c.Screening.RedressURL},
		Rules:   screen.Rules{RefuseUnassigned: c.Screening.RefuseUnassigned, RefuseOwnNumber: c.Screening.RefuseOwnNumber},
	}
	for _, t := range c.Proxy.Trunks {
		mode := screen.Observe
		if t.Screening == string(screen.Enforce) {
			mode = screen.Enforce
		}
		o.Trunks[t.Name] = edge.Trunk{Mode: mode, Region: t.Region}
	}
	for _, d := range c.Screening.Deny {
		denied := screen.Denied{Prefix: d.Prefix, Reason: d.Reason, DoNotOriginate: d.DoNotOriginate}
		if d.Number != "" {
			number, err := tel.ParseNumber(d.Number, c.Region)
			if err != nil {
				number = tel.Number(d.Number) // a number that cannot be may be denied all the same
			}
			denied.Number = number
		}
		o.Rules.Deny = append(o.Rules.Deny, denied)
	}
	if keys := tokenKeys(c); len(keys) > 0 {
		o.Key = &keys[0]
	}
	for _, n := range c.Nodes {
		o.Nodes = append(o.Nodes, sipproxy.Hop{Name: n.Name, Addr: n.SIP.AddrPort, Transport: n.Transport})
	}
	return edge.New(o), nil
}

func peers(c *config.Config) []sipproxy.Peer {
	var out []sipproxy.Peer
	for _, n := range c.Nodes {
		from := append([]netip.Prefix{netip.PrefixFrom(n.SIP.Addr(), n.SIP.Addr().BitLen())}, prefixes(n.Prefixes)...)
		out = append(out, sipproxy.Peer{Name: n.Name, Kind: sipproxy.Node, Prefixes: from, Addr: n.SIP.AddrPort, Transport: n.Transport, TLSName: n.TLSName, DeviceAddr: n.DeviceSIP.AddrPort})
	}
	for _, t := range c.Proxy.Trunks {
		from := prefixes(t.Prefixes)
		if len(from) == 0 {
			from = []netip.Prefix{netip.PrefixFrom(t.Addr.Addr(), t.Addr.Addr().BitLen())}
		}
		out = append(out, sipproxy.Peer{Name: t.Name, Kind: sipproxy.Trunk, Prefixes: from, Addr: t.Addr.AddrPort, Transport: t.Transport, TLSName: t.TLSName, TLSWildcard: t.Wildcard, TrustVerstat: t.Verstat})
	}
	return out
}

func prefixes(list []config.Prefix) []netip.Prefix {
	var out []netip.Prefix
	for _, p := range list {
		out = append(out, p.Prefix)
	}
	return out
}

// needRestart names the keys whose change counts only after a restart.
func needRestart(old, now *config.Config) []string {
	var keys []string
	for key, same := range map[string]bool{
		"store.sqlite":         old.Store.SQLite == now.Store.SQLite,
		"nodes (event_socket)": sameLinks(old, now),
		"proxy.listen":         reflect.DeepEqual(old.Proxy.Listen, now.Proxy.Listen) && old.Proxy.Advertise == now.Proxy.Advertise,
		"proxy.devices":        reflect.DeepEqual(old.Proxy.Devices, now.Proxy.Devices),
		"hep":                  old.HEP == now.HEP,
		"proxy.max_udp_bytes":  old.Proxy.MaxUDPBytes == now.Proxy.MaxUDPBytes,
		"proxy.screen_timeout": old.Proxy.ScreenTime == now.Proxy.ScreenTime,
		"sidecar":              reflect.DeepEqual(old.Sidecar, now.Sidecar),
		"http":                 old.HTTP == now.HTTP,
		"records":              sameExport(old.Records, now.Records),
		"log":                  old.Log == now.Log,
	} {
		if !same {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}

// sameExport reports whether a reload does all that changed about records: where they are posted may change, whether at all not.
func sameExport(old, now config.Records) bool {
	posted := (old.HTTP.URL == "") == (now.HTTP.URL == "")
	old.HTTP, now.HTTP = config.RecordsHTTP{}, config.RecordsHTTP{}
	return posted && old == now
}

func sameLinks(old, now *config.Config) bool {
	if len(old.Nodes) != len(now.Nodes) {
		return false
	}
	for i := range old.Nodes {
		if old.Nodes[i].Name != now.Nodes[i].Name || old.Nodes[i].EventSocket != now.Nodes[i].EventSocket {
			return false
		}
	}
	return true
}

func newResolver(c *config.Config, log *zap.Logger) (*resolve.Resolver, error) {
	r, err := resolve.New(resolve.Options{Servers: c.DNS.Servers, Timeout: c.DNS.Timeout, Logger: log})
	if err != nil {
		return nil, fmt.Errorf("dns.servers: %w", err)
	}
	return r, nil
}
