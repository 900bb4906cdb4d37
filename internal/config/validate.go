package config

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/signalbox/signalbox/internal/tel"
)

var (
	nameGrammar   = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)
	regionGrammar = regexp.MustCompile(`^[A-Z]{2}$`)
	hostGrammar   = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$`)
	digitGrammar  = regexp.MustCompile(`^\+?[0-9]{1,18}$`)
)

// Validate names the key of everything that cannot work, all faults at once.
func (c *Config) Validate() error {
	var v validation
	v.region("region", c.Region)
	v.check(hostGrammar.MatchString(c.Domain), "domain", "is %q: write the host name by which others know your subscribers", c.Domain)
	v.check(c.Store.SQLite != "", "store.sqlite", "is empty: name the file that holds accounts and call records")
	v.check(c.Store.Postgres.Password == "" || c.Store.Postgres.DSN != "", "store.postgres.password", "is there, but store.postgres.dsn does not name a database")
	v.check(c.Store.CacheNumbers >= 100 && c.Store.CacheNumbers <= 5_000_000, "store.cache_numbers", "is %d: write 100 to 5000000", c.Store.CacheNumbers)
	if c.Store.KeepRecords != 0 {
		v.between("store.keep_records", c.Store.KeepRecords, time.Hour, 10*365*24*time.Hour)
	}
	v.nodes(c.Nodes)
	v.proxy(c.Proxy)
	v.sidecar(c.Sidecar)
	v.token(c.Token)
	v.screening(c.Screening)
	v.dns(c.DNS)
	v.hep(c.HEP)
	v.tracing(c.Tracing)
	v.between("voicemail.progress_timeout", c.Voicemail.ProgressTimeout, time.Second, 30*time.Second)
	v.between("voicemail.answer_timeout", c.Voicemail.AnswerTimeout, time.Second, 2*time.Minute)
	v.between("voicemail.total_timeout", c.Voicemail.TotalTimeout, 2*time.Second, 5*time.Minute)
	v.between("voicemail.back_off", c.Voicemail.BackOff, time.Second, 5*time.Minute)
	if c.Voicemail.ProbeEvery != 0 {
		v.between("voicemail.probe_every", c.Voicemail.ProbeEvery, 2*time.Second, time.Hour)
	}
	if s := c.Voicemail.Spool; s.Dir != "" {
		v.check(filepath.IsAbs(s.Dir) && strings.Trim(strings.ToLower(s.Dir), "abcdefghijklmnopqrstuvwxyz0123456789/._-") == "", "voicemail.spool.dir",
			"is no absolute path of letters, digits and /._-, as FreeSWITCH needs it")
		v.between("voicemail.spool.longest", s.Longest, 5*time.Second, 10*time.Minute)
		v.between("voicemail.spool.silence", s.Silence, 0, time.Minute)
		v.between("voicemail.spool.keep_for", s.KeepFor, time.Hour, 90*24*time.Hour)
		v.check(s.MaxMessages >= 1 && s.MaxMessages <= 100_000, "voicemail.spool.max_messages", "has to be 1 to 100000")
		v.check(!strings.ContainsAny(s.Prompt, "$\r\n\x00"), "voicemail.spool.prompt", "contains $ or a line break, which FreeSWITCH would execute or cut")
	}
	for i, code := range c.Voicemail.ShortCodes {
		v.check(len(code) >= 2 && len(code) <= 15 && strings.Trim(code, "0123456789*#") == "", fmt.Sprintf("voicemail.short_codes[%d]", i), "is no short code such as *86")
	}
	v.check(!strings.ContainsAny(c.Voicemail.SuspendedPrompt, "$\r\n\x00"), "voicemail.suspended_prompt", "contains $ or a line break, which FreeSWITCH would execute or cut")
	v.check(!strings.ContainsAny(c.Voicemail.DownPrompt, "$\r\n\x00"), "voicemail.down_prompt", "contains $ or a line break, which FreeSWITCH would execute or cut")
	v.mailboxes(c.Voicemail)
	v.conference(c.Conference)
	v.http(c.HTTP)
	v.api(c.API)
	v.directory(c.Directory)
	v.messages(c.Messages)
	v.records(c.Records)
	v.check(slices.Contains([]string{"debug", "info", "warn", "error"}, c.Log.Level), "log.level", "is %q: write debug, info, warn or error", c.Log.Level)
	v.check(slices.Contains([]string{"json", "console"}, c.Log.Format), "log.format", "is %q: write json or console", c.Log.Format)
	return errors.Join(v.faults...)
}

type validation struct{ faults []error }

// fault is a value that cannot work.
type fault struct{ key, what string }

func (f *fault) Error() string { return f.key + " " + f.what }

func (v *validation) region(key, region string) {
	v.check(regionGrammar.MatchString(region) && tel.KnownRegion(region), key,
		"is %q, which is no country whose numbers are known: write its two letters as in ISO 3166, for example US", region)
}

func (v *validation) dns(d DNS) {
	v.check(len(d.Servers) <= 8, "dns.servers", "has %d servers: at most 8 are asked", len(d.Servers))
	for i, server := range d.Servers {
		v.address(fmt.Sprintf("dns.servers[%d]", i), server)
	}
	v.between("dns.timeout", d.Timeout, 100*time.Millisecond, 10*time.Second)
	v.between("dns.min_ttl", d.MinTTL, 100*time.Millisecond, time.Hour)
	v.between("dns.max_ttl", d.MaxTTL, d.MinTTL, 7*24*time.Hour)
	v.between("dns.negative_ttl", d.NegativeTTL, d.MinTTL, 3*time.Hour)
	v.between("dns.stale", d.Stale, 0, 7*24*time.Hour)
}

func (v *validation) check(ok bool, key, format string, args ...any) {
	if !ok {
		v.faults = append(v.faults, &fault{key, fmt.Sprintf(format, args...)})
	}
}

func (v *validation) between(key string, d, low, high time.Duration) {
	v.check(d >= low && d <= high, key, "is %s: write a duration from %s to %s", d, low, high)
}

func (v *validation) address(key, addr string) {
	host, port, err := net.SplitHostPort(addr)
	n, perr := strconv.ParseUint(port, 10, 16)
	v.check(err == nil && perr == nil && n <= 65535 && host != "", key, "is %q: write HOST:PORT", addr)
}

func (v *validation) transport(key, transport string) {
	v.check(slices.Contains([]string{"", "udp", "tcp", "tls"}, transport), key, "is %q: write udp, tcp, tls or nothing", transport)
}

// domain checks a name that a certificate may be for.
func (v *validation) domain(key, name string) {
	v.check(name == "" || hostGrammar.MatchString(name), key, "is %q: write the domain that the certificate names", name)
}

func (v *validation) nodes(nodes []Node) {
	v.check(len(nodes) > 0, "nodes", "is empty: name at least one FreeSWITCH")
	seen := map[string]bool{}
	for i, n := range nodes {
		key := fmt.Sprintf("nodes[%d]", i)
		v.check(nameGrammar.MatchString(n.Name), key+".name", "is %q: write 1 to 64 letters, digits, dots or hyphens", n.Name)
		v.check(!seen[n.Name], key+".name", "%q stands twice", n.Name)
		seen[n.Name] = true
		v.check(n.SIP.Domain != "" || n.SIP.IsValid() && n.SIP.Port() != 0, key+".sip", "is missing: write IP:PORT of FreeSWITCH's carrier-side profile, 127.0.0.1:5080 for vanilla's external, or its full host name")
		v.transport(key+".transport", n.Transport)
		v.domain(key+".tls_name", n.TLSName)
		v.check(n.DeviceSIP.AddrPort != n.SIP.AddrPort || !n.SIP.IsValid(), key+".device_sip", "is the carrier-side profile too: name the one that authenticates phones, 127.0.0.1:5060 for vanilla's internal")
		if n.EventSocket.Addr != "" {
			v.address(key+".event_socket.addr", n.EventSocket.Addr)
			v.check(n.EventSocket.Password != "", key+".event_socket.password", "is missing: give it here, in password_file, or by the environment")
			v.check(n.EventSocket.User == "" || strings.Contains(n.EventSocket.User, "@"), key+".event_socket.user", "is %q: write user@domain", n.EventSocket.User)
		}
	}
}

func (v *validation) proxy(p Proxy) {
	v.listen("proxy.listen", p.Listen, p.TLS, "udp", "tcp", "tls")
	v.advertised("proxy.advertise", p.Advertise)
	v.devices(p)
	v.check(p.MaxUDPBytes >= 512 && p.MaxUDPBytes <= 65000, "proxy.max_udp_bytes", "is %d: write 512 to 65000", p.MaxUDPBytes)
	v.between("proxy.screen_timeout", p.ScreenTime, 10*time.Millisecond, 10*time.Second)
	seen := map[string]bool{}
	sources := map[netip.Prefix]string{}
	for i, t := range p.Trunks {
		key := fmt.Sprintf("proxy.trunks[%d]", i)
		v.check(nameGrammar.MatchString(t.Name), key+".name", "is %q: write 1 to 64 letters, digits, dots or hyphens", t.Name)
		v.check(!seen[t.Name], key+".name", "%q stands twice", t.Name)
		seen[t.Name] = true
		v.check(len(t.Prefixes) > 0 || t.Addr.Given(), key+".prefixes", "is missing: say where the carrier sends from, for example [203.0.113.0/28]")
		v.transport(key+".transport", t.Transport)
		v.domain(key+".tls_name", t.TLSName)
		v.check(slices.Contains([]string{"", "observe", "enforce"}, t.Screening), key+".screening", "is %q: write observe or enforce", t.Screening)
		for _, from := range t.Prefixes {
			other, taken := sources[from.Masked()]
			v.check(!taken, key+".prefixes", "has %s, which is trunk %s's already: a call from there could be either's", from, other)
			sources[from.Masked()] = t.Name
		}
		v.check(t.CallsPerSecond >= 0 && t.CallsPerSecond <= 100000, key+".calls_per_second", "is %d: write 1 to 100000, or nothing for %d", t.CallsPerSecond, DefaultCallsPerSecond)
		v.check(t.MessagesPerSecond >= 0 && t.MessagesPerSecond <= 1000000, key+".messages_per_second", "is %d: write 1 to 1000000, or nothing for %d a call", t.MessagesPerSecond, messagesPerCall)
		if t.Region != "" {
			v.region(key+".region", t.Region)
		}
	}
}

func (v *validation) listen(name string, list []Listen, certs TLS, networks ...string) {
	for i, l := range list {
		key := fmt.Sprintf("%s[%d]", name, i)
		v.check(slices.Contains(networks, l.Network), key, "is %q: write %s:HOST:PORT", l.Network+":"+l.Addr, strings.Join(networks, ", "))
		v.address(key, l.Addr)
		secure := l.Network == "tls" || l.Network == "wss"
		v.check(!secure || certs.Cert != "" && certs.Key != "", key, "needs proxy.tls.cert and proxy.tls.key: name the PEM files of a certificate")
	}
}

// advertised is HOST, which leaves each listener its own port, or HOST:PORT.
func (v *validation) advertised(key, addr string) {
	if addr == "" || hostGrammar.MatchString(addr) {
		return
	}
	v.address(key, addr)
}

func (v *validation) devices(p Proxy) {
	d := p.Devices
	if len(d.Listen) == 0 {
		return
	}
	v.listen("proxy.devices.listen", d.Listen, p.TLS, "udp", "tcp", "tls", "ws", "wss")
	v.advertised("proxy.devices.advertise", d.Advertise)
	v.check(len(d.FlowKey) >= 32, "proxy.devices.flow_key", "has %d bytes: write at least 32, for example of openssl rand -hex 32", len(d.FlowKey))
	for i, o := range d.Origins {
		u, err := url.Parse(o)
		v.check(err == nil && u.Scheme != "" && u.Host != "" && u.Path == "", fmt.Sprintf("proxy.devices.origins[%d]", i), "is %q: write it as a browser does, for example https://phone.example.net", o)
	}
	v.between("proxy.devices.ban_time", d.BanTime, time.Second, 24*time.Hour)
}

func (v *validation) sidecar(s Sidecar) {
	v.address("sidecar.listen", s.Listen)
	v.check(len(s.Allow) > 0, "sidecar.allow", "is empty: nothing could connect")
	for i, p := range s.Allow {
		v.check(p.IsValid() && p.Bits() > 0, fmt.Sprintf("sidecar.allow[%d]", i), "is %s: it must not be everybody, nothing else authenticates a FreeSWITCH", p)
	}
	v.check(s.MaxCalls >= 1 && s.MaxCalls <= 100000, "sidecar.max_calls", "is %d: write 1 to 100000", s.MaxCalls)
	v.between("sidecar.drain", s.Drain, 0, time.Hour)
}

func (v *validation) hep(h HEP) {
	if h.Collector == "" {
		return
	}
	network, addr, _ := cut(h.Collector)
	v.check(network == "udp" || network == "tcp", "hep.collector", "is %q: write udp:HOST:PORT or tcp:HOST:PORT, with 9060 for a port as Homer has it", h.Collector)
	v.address("hep.collector", addr)
	v.check(h.Rate >= 1 && h.Rate <= 1e6, "hep.rate", "is %g: write 1 to 1000000 messages a second", h.Rate)
}

func (v *validation) token(t Token) {
	v.check(len(t.Keys) <= 2, "token.keys", "has %d keys: at most two are valid at once", len(t.Keys))
	seen := map[string]bool{}
	for i, k := range t.Keys {
		key := fmt.Sprintf("token.keys[%d]", i)
		v.check(regexp.MustCompile(`^[A-Za-z0-9_-]{1,16}$`).MatchString(k.ID), key+".id", "is %q: write 1 to 16 letters, digits, hyphens or underscores", k.ID)
		v.check(!seen[k.ID], key+".id", "%q stands twice", k.ID)
		seen[k.ID] = true
		v.check(len(k.Secret) >= 32, key+".secret", "has %d bytes: write at least 32, for example of openssl rand -hex 32", len(k.Secret))
	}
}

func (v *validation) screening(s Screening) {
	for key, answer := range map[string]Answer{"screening.impossible": s.Impossible, "screening.deny_answer": s.DenyAnswer, "screening.dno_answer": s.DNOAnswer} {
		v.check(slices.Contains([]Answer{403, 603, 607, 608}, answer), key, "is %d: write 403, 603, 607 or 608", answer)
	}
	for i, d := range s.Deny {
		key := fmt.Sprintf("screening.deny[%d]", i)
		v.check((d.Number == "") != (d.Prefix == ""), key, "needs either number or prefix")
		v.check(d.Number == "" || digitGrammar.MatchString(d.Number), key+".number", "is %q: write digits, best with + and country code", d.Number)
		v.check(d.Prefix == "" || digitGrammar.MatchString(d.Prefix), key+".prefix", "is %q: write digits, best with + and country code", d.Prefix)
	}
	if s.RedressURL != "" {
		u, err := url.Parse(s.RedressURL)
		v.check(err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != "", "screening.redress_url", "is %q: write an https URL", s.RedressURL)
	}
}

func (v *validation) http(h HTTP) {
	if h.Listen != "" {
		v.address("http.listen", h.Listen)
	}
	if h.ProxyListen != "" {
		v.address("http.proxy_listen", h.ProxyListen)
	}
	_, port, _ := net.SplitHostPort(h.Listen)
	v.check(h.Listen == "" || port == "0" || h.Listen != h.ProxyListen, "http.proxy_listen", "is http.listen: proxy and sidecar of one host need two ports")
}

func (v *validation) records(r Records) {
	v.check(r.SpoolMaxBytes >= 1<<20 && r.SpoolMaxBytes <= 1<<40, "records.spool_max_bytes", "is %d: write 1048576 (1 MiB) to 1099511627776 (1 TiB)", r.SpoolMaxBytes)
	v.between("records.http.timeout", r.HTTP.Timeout, time.Second, time.Minute)
	v.bearer("records.http.token", r.HTTP.Token)
	if r.HTTP.URL == "" {
		return
	}
	v.posted("records.http.url", r.HTTP.URL, "records.http", r.HTTP.Plaintext)
}

// posted checks the URL of somebody who gets what we POST, with a token and plaintext below a key.
func (v *validation) posted(key, to, below string, plaintext bool) {
	u, err := url.Parse(to)
	good := err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Hostname() != "" && u.User == nil
	v.check(good, key, "cannot be used: write https://HOST/PATH, and a password in %s.token", below)
	if good && u.Scheme == "http" {
		v.check(plaintext || Loopback(net.JoinHostPort(u.Hostname(), "0")), key,
			"has http:// to another machine: everybody on the way could read what is sent and the token; write https://, or %s.plaintext: true if that is meant", below)
	}
}

func (v *validation) tracing(t Tracing) {
	v.bearer("tracing.token", t.Token)
	v.check(t.Sample >= 0 && t.Sample <= 1, "tracing.sample", "is %g: write the share of calls to be traced, 0 to 1", t.Sample)
	v.check(t.Service != "" && len(t.Service) <= 64, "tracing.service", "is %q: write 1 to 64 characters by which the collector knows this installation", t.Service)
	if t.URL != "" {
		v.posted("tracing.url", t.URL, "tracing", t.Plaintext)
	}
}

// cut parts "udp:127.0.0.1:5090".
func cut(s string) (network, addr string, ok bool) {
	network, addr, ok = strings.Cut(s, ":")
	return network, addr, ok && addr != ""
}
