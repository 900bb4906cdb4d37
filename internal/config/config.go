package config

import (
	"cmp"
	"encoding"
	"fmt"
	"net/netip"
	"time"
)

// Config is the whole configuration.
type Config struct {
	Region     string     `yaml:"region"` // where national numbers are read: ISO 3166, "US"
	Domain     string     `yaml:"domain"` // host part of the URIs in which our subscribers are named to others
	Store      Store      `yaml:"store"`
	Nodes      []Node     `yaml:"nodes"`
	Proxy      Proxy      `yaml:"proxy"`
	Sidecar    Sidecar    `yaml:"sidecar"`
	Token      Token      `yaml:"token"`
	Screening  Screening  `yaml:"screening"`
	DNS        DNS        `yaml:"dns"`
	Voicemail  Voicemail  `yaml:"voicemail"`
	Conference Conference `yaml:"conference"`
	HTTP       HTTP       `yaml:"http"`
	API        API        `yaml:"api"`
	Directory  Directory  `yaml:"directory"`
	Messages   Messages   `yaml:"messages"`
	Records    Records    `yaml:"records"`
	HEP        HEP        `yaml:"hep"`
	Tracing    Tracing    `yaml:"tracing"`
	Log        Log        `yaml:"log"`
}

// Store says where accounts and call records are kept.
type Store struct {
	SQLite       string        `yaml:"sqlite"`        // path of the file; relative to the configuration file. Spool and lock stand beside it
	Postgres     Postgres      `yaml:"postgres"`      // instead of the file
	CacheNumbers int           `yaml:"cache_numbers"` // numbers whose profile is kept in memory
	KeepRecords  time.Duration `yaml:"keep_records"`  // call records that ended longer ago are deleted; 0 = they stay for ever
}

// Postgres is a PostgreSQL database, for more than one sidecar.
type Postgres struct {
	DSN          Secret `yaml:"dsn"` // URL or key=value pairs as libpq takes them; "" = SQLite
	DSNFile      string `yaml:"dsn_file"`
	Password     Secret `yaml:"password"` // when the DSN has none
	PasswordFile string `yaml:"password_file"`
}

// Node is one FreeSWITCH.
type Node struct {
	Name        string      `yaml:"name"`
	SIP         Place       `yaml:"sip"`        // carrier-side profile, where the proxy sends calls
	Transport   string      `yaml:"transport"`  // "", "udp", "tcp" or "tls"; "" = by size
	TLSName     string      `yaml:"tls_name"`   // the domain its certificate must be for; "" = its address
	DeviceSIP   AddrPort    `yaml:"device_sip"` // profile that authenticates phones, where the proxy sends theirs; none = it takes none
	Prefixes    []Prefix    `yaml:"prefixes"`   // further addresses the node sends SIP from
	EventSocket EventSocket `yaml:"event_socket"`
}

// EventSocket is a node's inbound Event Socket.
type EventSocket struct {
	Addr         string `yaml:"addr"` // host:port; "" = no link, records of lost calls are closed late
	User         string `yaml:"user"` // user@domain for userauth; "" = the master password
	Password     Secret `yaml:"password"`
	PasswordFile string `yaml:"password_file"`
}

// Proxy is the SIP proxy.
type Proxy struct {
	Listen      []Listen      `yaml:"listen"`
	Advertise   string        `yaml:"advertise"`     // host or host:port written into Via and Record-Route; "" = the bound address
	MaxUDPBytes int           `yaml:"max_udp_bytes"` // larger requests go to a FreeSWITCH on another host by TCP
	TLS         TLS           `yaml:"tls"`           // for listeners with tls: and wss:
	Devices     Devices       `yaml:"devices"`       // phones, apps and browsers
	Trunks      []Trunk       `yaml:"trunks"`
	ScreenTime  time.Duration `yaml:"screen_timeout"` // a slower verdict counts as none
}

// Devices says where phones, apps and browsers are taken. They may come from everywhere.
type Devices struct {
	Listen      []Listen      `yaml:"listen"`    // udp:, tcp:, tls:, ws: or wss:HOST:PORT; none = no devices
	Advertise   string        `yaml:"advertise"` // as proxy.advertise, for these
	FlowKey     Secret        `yaml:"flow_key"`  // signs the tokens by which a device is found again; at least 32 bytes
	FlowKeyFile string        `yaml:"flow_key_file"`
	Origins     []string      `yaml:"origins"`  // pages whose browsers may connect; none = all
	BanTime     time.Duration `yaml:"ban_time"` // for how long an address that misbehaves is not listened to
}

// TLS names the certificates of the proxy, all in PEM. They are read again at a reload.
type TLS struct {
	Cert     string `yaml:"cert"`      // the proxy's own, with the intermediate ones behind it
	Key      string `yaml:"key"`       // its private key
	CA       string `yaml:"ca"`        // who may have signed those of systems we call; "" = whom the machine trusts
	ClientCA string `yaml:"client_ca"` // who may have signed those of systems that call us; "" = none is asked for
}

// Listen is "udp:HOST:PORT", "tcp:HOST:PORT" or "tls:HOST:PORT", for devices also "ws:" and "wss:".
type Listen struct{ Network, Addr string }

// Trunk is one carrier.
type Trunk struct {
	Name      string   `yaml:"name"`
	Prefixes  []Prefix `yaml:"prefixes"`      // where it sends from
	Addr      Place    `yaml:"addr"`          // where calls to it go; none = it only calls us
	Transport string   `yaml:"transport"`     // "", "udp", "tcp" or "tls"
	TLSName   string   `yaml:"tls_name"`      // the domain its certificate must be for (RFC 5922); "" = its address
	Wildcard  bool     `yaml:"tls_wildcard"`  // a certificate for *.domain will do
	Verstat   bool     `yaml:"trust_verstat"` // its verstat and attestation headers are believed
	Screening string   `yaml:"screening"`     // "observe" or "enforce"
	Region    string   `yaml:"region"`        // where its national numbers are read; "" = region
	// What each of its addresses may send a second, initial INVITEs and messages of all kinds, with a burst of two seconds'
	// worth; 0 = as many as DefaultCallsPerSecond, and as those calls need.
	CallsPerSecond    int `yaml:"calls_per_second"`
	MessagesPerSecond int `yaml:"messages_per_second"`
}

// DefaultCallsPerSecond is what each address of a trunk may place when its configuration does not say.
const DefaultCallsPerSecond = 500

// messagesPerCall is what a trunk sends for a call that is set up, talks and ends: INVITE, ACK, BYE and one to spare.
const messagesPerCall = 4

// Rates are the calls and the messages that each address of the trunk may send a second.
func (t Trunk) Rates() (calls, messages int) {
	calls = cmp.Or(t.CallsPerSecond, DefaultCallsPerSecond)
	return calls, cmp.Or(t.MessagesPerSecond, messagesPerCall*max(calls, DefaultCallsPerSecond))
}

// Sidecar is the Event Socket server that treats calls.
type Sidecar struct {
	Listen   string        `yaml:"listen"` // what the dialplan's socket application names
	Allow    []Prefix      `yaml:"allow"`  // where a FreeSWITCH may connect from; nothing else authenticates it
	MaxCalls int           `yaml:"max_calls"`
	Drain    time.Duration `yaml:"drain"` // what callers who wait have after SIGTERM; talking parties are left to FreeSWITCH at once
}

// Token signs what the proxy saw for the sidecar.
type Token struct {
	Keys []Key `yaml:"keys"` // the first signs, both are accepted; at most two
}

// Key is one shared secret of at least 32 bytes.
type Key struct {
	ID         string `yaml:"id"`
	Secret     Secret `yaml:"secret"`
	SecretFile string `yaml:"secret_file"`
}

// Screening judges callers before any media exists.
type Screening struct {
	Impossible Answer `yaml:"impossible"` // for numbers that cannot exist
	DenyAnswer Answer `yaml:"deny_answer"`
	DNOAnswer  Answer `yaml:"dno_answer"` // for numbers that never call
	Deny       []Deny `yaml:"deny"`
	// RefuseUnassigned and RefuseOwnNumber refuse what is only suspect otherwise: numbers in ranges that nobody has given
	// out, and callers who present the number they call.
	RefuseUnassigned bool   `yaml:"refuse_unassigned"`
	RefuseOwnNumber  bool   `yaml:"refuse_own_number"`
	RedressURL       string `yaml:"redress_url"` // where a blocked caller may complain
}

// Answer is a SIP status: 403, 603, 607 or 608.
type Answer int

// Deny is one entry of the deny list.
type Deny struct {
	Number string `yaml:"number"` // one number, or
	Prefix string `yaml:"prefix"` // every number that begins so
	Reason string `yaml:"reason"`
	// DoNotOriginate marks numbers that never call, such as an emergency number or a bank's inbound line.
	DoNotOriginate bool `yaml:"do_not_originate"`
}

// DNS says who resolves names, and how long answers are believed.
type DNS struct {
	Servers       []string      `yaml:"servers"` // host:port; none = those of /etc/resolv.conf
	Timeout       time.Duration `yaml:"timeout"` // for one name, all questions together
	MinTTL        time.Duration `yaml:"min_ttl"` // an answer counts for so long at least
	MaxTTL        time.Duration `yaml:"max_ttl"`
	NegativeTTL   time.Duration `yaml:"negative_ttl"`   // that a name does not exist counts for so long at most
	Stale         time.Duration `yaml:"stale"`          // how long an expired answer is used while no server answers; 0 = never
	AllowLoopback bool          `yaml:"allow_loopback"` // names may lead to 127.0.0.0/8 and ::1
}

// Voicemail bounds how long targets of voicemail systems are waited for.
type Voicemail struct {
	ProgressTimeout time.Duration `yaml:"progress_timeout"` // without any ringing for so long a target is dead
	AnswerTimeout   time.Duration `yaml:"answer_timeout"`   // rings but does not answer
	TotalTimeout    time.Duration `yaml:"total_timeout"`    // all targets together
	DownPrompt      string        `yaml:"down_prompt"`      // played when none answers; "" = the special information tone
	SuspendedPrompt string        `yaml:"suspended_prompt"` // played for a subscriber who is suspended; "" = none
	ShortCodes      []string      `yaml:"short_codes"`      // by which a line calls its own voicemail
	BackOff         time.Duration `yaml:"back_off"`         // how long a target that failed is tried last
	ProbeEvery      time.Duration `yaml:"probe_every"`      // targets in use are asked with OPTIONS so often; 0 = only those that failed

	Spool     Spool           `yaml:"spool"`     // takes messages while no system can be reached
	Mailboxes []MailboxSystem `yaml:"mailboxes"` // systems that are told of their mailboxes; others make them by themselves
	Retention time.Duration   `yaml:"retention"` // for how long a mailbox stays that was removed

	ReconcileEvery time.Duration `yaml:"reconcile_every"` // profiles and mailboxes are compared so often; 0 = never
}

// Conference is what the operator chooses for the conferences of all hosts.
type Conference struct {
	AccessNumbers []string `yaml:"access_numbers"` // at which calls for many hosts arrive, forwarded by their carriers
	Music         string   `yaml:"music"`          // for callers who wait for the host: a file on the switch or local_stream://NAME; "" = silence, in a room two notes now and then
	// TrustUnscreened believes caller numbers that no proxy of ours has screened.
	TrustUnscreened bool   `yaml:"trust_unscreened"`
	Gateway         string `yaml:"gateway"`    // by which hosts are called who name a number for it; "" = they are not
	Recordings      string `yaml:"recordings"` // folder of recordings on the nodes; "" = nothing is recorded
	Voice           Voice  `yaml:"voice"`      // speaks names that are not recorded
}

// Spool is where messages are taken that no voicemail system took, until they can be delivered.
type Spool struct {
	Dir         string        `yaml:"dir"`          // folder that FreeSWITCH writes to and the sidecar reads; "" = no messages are taken
	Prompt      string        `yaml:"prompt"`       // played before the tone; "" = the tone alone
	Longest     time.Duration `yaml:"longest"`      // of a message
	MaxMessages int           `yaml:"max_messages"` // that wait on one node; further callers hear down_prompt
	Silence     time.Duration `yaml:"silence"`      // before a message is played to a system that answered, while its greeting runs
	KeepFor     time.Duration `yaml:"keep_for"`     // a message that could not be delivered for so long is deleted
}

// HTTP is where a process answers an operator's questions: /healthz, /readyz, /metrics. It authenticates nobody.
type HTTP struct {
	Listen      string `yaml:"listen"`       // of the roles all and sidecar; "" = nowhere
	ProxyListen string `yaml:"proxy_listen"` // of the role proxy, which may share the file and the host; "" = nowhere
	Pprof       bool   `yaml:"pprof"`        // /debug/pprof/ is there too
}

// HEP sends copies of the proxy's SIP messages to a Homer collector.
type HEP struct {
	Collector string  `yaml:"collector"`  // udp:HOST:PORT or tcp:HOST:PORT; "" = none
	CaptureID uint32  `yaml:"capture_id"` // tells this proxy apart in Homer
	Key       Secret  `yaml:"key"`        // what the collector asks for
	Rate      float64 `yaml:"rate"`       // messages a second at most
}

// Tracing sends spans of requests and calls to an OpenTelemetry collector.
type Tracing struct {
	URL       string  `yaml:"url"`   // of the collector, with /v1/traces; "" = none
	Token     Secret  `yaml:"token"` // sent as Authorization: Bearer
	TokenFile string  `yaml:"token_file"`
	CAFile    string  `yaml:"ca_file"`   // PEM; "" = the authorities of the system
	Plaintext bool    `yaml:"plaintext"` // http:// to another machine is meant
	Service   string  `yaml:"service"`   // service.name
	Sample    float64 `yaml:"sample"`    // share of the calls
}

// Records says who gets finished call records beside the store. Nothing given = nobody.
type Records struct {
	JSONL         string      `yaml:"jsonl"` // file that gets each record as a line of JSON
	HTTP          RecordsHTTP `yaml:"http"`
	SpoolDir      string      `yaml:"spool_dir"`       // folder in which records wait to be posted; "" = store.sqlite with .export behind it
	SpoolMaxBytes int         `yaml:"spool_max_bytes"` // that may wait; further records are not posted
}

// RecordsHTTP is who gets each record by HTTP POST.
type RecordsHTTP struct {
	URL       string        `yaml:"url"`   // "" = nobody
	Token     Secret        `yaml:"token"` // sent as Authorization: Bearer
	TokenFile string        `yaml:"token_file"`
	CAFile    string        `yaml:"ca_file"`   // PEM; "" = the authorities of the system
	Plaintext bool          `yaml:"plaintext"` // http:// to another machine is meant
	Timeout   time.Duration `yaml:"timeout"`   // of one request
}

// Log says how much is written to standard error and how.
type Log struct {
	Level  string `yaml:"level"`  // debug, info, warn or error; below info numbers are in clear
	Format string `yaml:"format"` // json or console
}

// Default is the configuration of an operator who wrote nothing.
func Default() Config {
	return Config{
		Region: "US",
		Domain: "localhost",
		Store:  Store{SQLite: "signalbox.db", CacheNumbers: 10_000, KeepRecords: 90 * 24 * time.Hour},
		Proxy: Proxy{
			Listen:      []Listen{{"udp", "127.0.0.1:5090"}, {"tcp", "127.0.0.1:5090"}},
			MaxUDPBytes: 1300,
			ScreenTime:  500 * time.Millisecond,
			Devices:     Devices{BanTime: 5 * time.Minute},
		},
		Sidecar: Sidecar{
			Listen:   "127.0.0.1:8084",
			Allow:    []Prefix{{netip.MustParsePrefix("127.0.0.0/8")}, {netip.MustParsePrefix("::1/128")}},
			MaxCalls: 2000,
			Drain:    30 * time.Second,
		},
		Screening: Screening{Impossible: 603, DenyAnswer: 603, DNOAnswer: 603},
		DNS:       DNS{Timeout: 2 * time.Second, MinTTL: time.Second, MaxTTL: time.Hour, NegativeTTL: 30 * time.Second, Stale: time.Hour},
		Voicemail: Voicemail{
			ShortCodes:      []string{"*86"},
			Spool:           Spool{Longest: 2 * time.Minute, MaxMessages: 500, Silence: 8 * time.Second, KeepFor: 7 * 24 * time.Hour},
			ProgressTimeout: 4 * time.Second, AnswerTimeout: 20 * time.Second, TotalTimeout: 30 * time.Second,
			BackOff: 30 * time.Second, ProbeEvery: 30 * time.Second, Retention: 30 * 24 * time.Hour,
		},
		API:       API{Rate: 50},
		Directory: Directory{User: "freeswitch", Context: "default", KeepFor: 24 * time.Hour, KeepPhones: 50_000},
		Messages:  Messages{SIP: MessageSIP{Profile: "external"}},
		HTTP:      HTTP{Listen: "127.0.0.1:8090", ProxyListen: "127.0.0.1:8091"},
		HEP:       HEP{Rate: 5000},
		Tracing:   Tracing{Service: "signalbox", Sample: 1},
		Records:   Records{HTTP: RecordsHTTP{Timeout: 10 * time.Second}, SpoolMaxBytes: 256 << 20},
		Log:       Log{Level: "info", Format: "json"},
	}
}

// Secret is a password or key. It prints as ***.
type Secret string

var _ encoding.TextUnmarshaler = (*Secret)(nil)

// String hides the secret.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return "***"
}

// GoString hides the secret from %#v.
func (s Secret) GoString() string { return `"` + s.String() + `"` }

// MarshalText hides the secret in YAML and JSON.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText takes it as it stands.
func (s *Secret) UnmarshalText(text []byte) error {
	*s = Secret(text)
	return nil
}

// Reveal is the secret itself.
func (s Secret) Reveal() string { return string(s) }

// UnmarshalText reads "udp:127.0.0.1:5090".
func (l *Listen) UnmarshalText(text []byte) error {
	network, addr, ok := cut(string(text))
	if !ok {
		return &valueError{string(text), "write udp:HOST:PORT, tcp:HOST:PORT or tls:HOST:PORT"}
	}
	l.Network, l.Addr = network, addr
	return nil
}

// MarshalText writes what UnmarshalText reads.
func (l Listen) MarshalText() ([]byte, error) { return []byte(l.Network + ":" + l.Addr), nil }

// AddrPort is an address and port, "127.0.0.1:5080" or "[::1]:5080".
type AddrPort struct{ netip.AddrPort }

// UnmarshalText reads the address and says what it should look like.
func (a *AddrPort) UnmarshalText(text []byte) error {
	if err := a.AddrPort.UnmarshalText(text); err != nil {
		return &valueError{string(text), "write IP:PORT, for example 127.0.0.1:5080"}
	}
	return nil
}

// Prefix is a range of addresses, "203.0.113.0/28"; one address alone stands for itself.
type Prefix struct{ netip.Prefix }

// UnmarshalText reads the range and says what it should look like.
func (p *Prefix) UnmarshalText(text []byte) error {
	if addr, err := netip.ParseAddr(string(text)); err == nil {
		p.Prefix = netip.PrefixFrom(addr, addr.BitLen())
		return nil
	}
	if err := p.Prefix.UnmarshalText(text); err != nil {
		return &valueError{string(text), "write a range of addresses, for example 203.0.113.0/28"}
	}
	return nil
}

// valueError is a scalar that cannot be read.
type valueError struct{ value, want string }

func (e *valueError) Error() string { return fmt.Sprintf("%q: %s", e.value, e.want) }
