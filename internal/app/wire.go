package app

import (
	"net/netip"
	"reflect"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/signalbox/signalbox/internal/config"
	"github.com/signalbox/signalbox/internal/edge"
	"github.com/signalbox/signalbox/internal/mwi"
	"github.com/signalbox/signalbox/internal/resolve"
	"github.com/signalbox/signalbox/internal/screen"
	"github.com/signalbox/signalbox/internal/sidecar"
	"github.com/signalbox/signalbox/internal/tel"
	"github.com/signalbox/signalbox/internal/token"
	"github.com/signalbox/signalbox/internal/treat"
	"github.com/signalbox/signalbox/internal/treat/conference"
	"github.com/signalbox/signalbox/internal/treat/mailbox"
	"github.com/signalbox/signalbox/internal/treat/notice"
	"github.com/signalbox/signalbox/internal/treat/recorder"
	"github.com/signalbox/signalbox/sipproxy"
)

// TreatSettings are a configuration's settings of the treatments; `signalbox explain` plans with the same.
func TreatSettings(c *config.Config) treat.Settings {
	return treat.Settings{
		Conference: conference.Settings{TrustUnscreened: c.Conference.TrustUnscreened},
		Mailbox: mailbox.Settings{
			ProgressTimeout: c.Voicemail.ProgressTimeout, AnswerTimeout: c.Voicemail.AnswerTimeout,
			TotalTimeout: c.Voicemail.TotalTimeout, LookupTimeout: c.DNS.Timeout, Domain: c.Domain, Codes: c.Voicemail.ShortCodes,
		},
		Spool:  recorder.Settings{Enabled: c.Voicemail.Spool.Dir != "", Prompt: c.Voicemail.Spool.Prompt, Longest: c.Voicemail.Spool.Longest},
		Notice: notice.Settings{DownPrompt: c.Voicemail.DownPrompt, SuspendedPrompt: c.Voicemail.SuspendedPrompt},
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

// accessNumbers are the numbers at which calls for many subscribers arrive.
func accessNumbers(c *config.Config) map[tel.Number]bool {
	numbers := map[tel.Number]bool{}
	for _, raw := range c.Conference.AccessNumbers {
		if n, err := tel.ParseNumber(raw, c.Region); err == nil {
			numbers[n] = true
		}
	}
	return numbers
}

func sidecarSettings(c *config.Config, r *resolve.Resolver, t *token.Checker) sidecar.Settings {
	return sidecar.Settings{Access: accessNumbers(c), Music: c.Conference.Music, Region: c.Region, Treat: TreatSettings(c), Resolver: resolver{r, newTLSRoute(c)}, Tokens: t, Correlate: c.HEP.Collector != "" || c.Tracing.URL != ""}
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
	return newEdge(c, log, nil, nil)
}

func newEdge(c *config.Config, log *zap.Logger, judged func(edge.Outcome, string, time.Duration), labels func(edge.Outcome, string, float64) []sipproxy.HeaderField) (*edge.Edge, error) {
	o := edge.Options{
		Judged: judged, Labels: labels,
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

// edgeSummaries hands the message counts that the proxy is sent to the taker.
func edgeSummaries(t *mwi.Taker) sipproxy.Summaries { return edge.Summaries{Taker: t} }

func peers(c *config.Config) []sipproxy.Peer {
	var out []sipproxy.Peer
	for _, n := range c.Nodes {
		out = append(out, sipproxy.Peer{Name: n.Name, Kind: sipproxy.Node, Prefixes: append(itself(n.SIP), prefixes(n.Prefixes)...), Addr: n.SIP.AddrPort, Domain: n.SIP.Domain, DomainPort: n.SIP.DomainPort, Transport: n.Transport, TLSName: n.TLSName, DeviceAddr: n.DeviceSIP.AddrPort})
	}
	for _, t := range c.Proxy.Trunks {
		from := prefixes(t.Prefixes)
		if len(from) == 0 {
			from = itself(t.Addr)
		}
		calls, messages := t.Rates()
		out = append(out, sipproxy.Peer{
			Name: t.Name, Kind: sipproxy.Trunk, Prefixes: from, Addr: t.Addr.AddrPort, Domain: t.Addr.Domain, DomainPort: t.Addr.DomainPort, Transport: t.Transport, TLSName: t.TLSName, TLSWildcard: t.Wildcard, TrustVerstat: t.Verstat,
			CallsPerSecond: float64(calls), MessagesPerSecond: float64(messages),
		})
	}
	return out
}

// itself is the prefix of one address; none for a domain, whose addresses the proxy finds.
func itself(p config.Place) []netip.Prefix {
	if !p.IsValid() {
		return nil
	}
	return []netip.Prefix{netip.PrefixFrom(p.Addr(), p.Addr().BitLen())}
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
		"store.sqlite":              old.Store.SQLite == now.Store.SQLite,
		"store.postgres":            old.Store.Postgres == now.Store.Postgres,
		"store.cache_numbers":       old.Store.CacheNumbers == now.Store.CacheNumbers,
		"nodes (event_socket)":      sameLinks(old, now),
		"proxy.listen":              reflect.DeepEqual(old.Proxy.Listen, now.Proxy.Listen) && old.Proxy.Advertise == now.Proxy.Advertise,
		"proxy.devices":             reflect.DeepEqual(old.Proxy.Devices, now.Proxy.Devices),
		"tracing":                   old.Tracing == now.Tracing,
		"hep":                       old.HEP == now.HEP,
		"voicemail.back_off":        old.Voicemail.BackOff == now.Voicemail.BackOff,
		"voicemail.probe_every":     old.Voicemail.ProbeEvery == now.Voicemail.ProbeEvery,
		"proxy.max_udp_bytes":       old.Proxy.MaxUDPBytes == now.Proxy.MaxUDPBytes,
		"proxy.screen_timeout":      old.Proxy.ScreenTime == now.Proxy.ScreenTime,
		"sidecar":                   reflect.DeepEqual(old.Sidecar, now.Sidecar),
		"http":                      old.HTTP == now.HTTP,
		"api":                       sameAPI(old.API, now.API),
		"messages":                  old.Messages == now.Messages && old.Domain == now.Domain,
		"directory":                 sameDirectory(old.Directory, now.Directory),
		"voicemail.mailboxes":       reflect.DeepEqual(old.Voicemail.Mailboxes, now.Voicemail.Mailboxes) && old.Voicemail.Retention == now.Voicemail.Retention,
		"voicemail.reconcile_every": old.Voicemail.ReconcileEvery == now.Voicemail.ReconcileEvery,
		"records":                   sameExport(old.Records, now.Records),
		"log":                       old.Log == now.Log,
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

// sameDirectory reports whether a reload does all that changed about the directory: its certificate is read again.
func sameDirectory(old, now config.Directory) bool {
	if (old.Cert == "") == (now.Cert == "") {
		old.Cert, old.Key, now.Cert, now.Key = "", "", "", ""
	}
	return reflect.DeepEqual(old, now)
}

// sameAPI reports whether a reload does all that changed about the API: its certificate is read again.
func sameAPI(old, now config.API) bool {
	if (old.Cert == "") == (now.Cert == "") {
		old.Cert, old.Key, now.Cert, now.Key = "", "", "", ""
	}
	return reflect.DeepEqual(old, now)
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
