package config

import (
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"
)

// API is where integrators provision by HTTP. It asks everybody for a token of `signalbox token create`.
type API struct {
	Listen       string    `yaml:"listen"`        // HOST:PORT; "" = no API
	Cert         string    `yaml:"tls_cert"`      // PEM, with the intermediate ones behind it; "" = HTTP without TLS
	Key          string    `yaml:"tls_key"`       // its private key
	Plaintext    bool      `yaml:"plaintext"`     // without TLS beyond this machine is meant
	Rate         int       `yaml:"rate"`          // requests a second of one token
	DefaultPilot string    `yaml:"default_pilot"` // of provisioning requests that name none; "" = the only one that there is
	Webhooks     []Webhook `yaml:"webhooks"`
}

// Webhook is who is told of finished provisioning requests of a tenant.
type Webhook struct {
	Tenant     string `yaml:"tenant"`
	URL        string `yaml:"url"`
	Secret     Secret `yaml:"secret"` // signs what is sent; at least 32 bytes
	SecretFile string `yaml:"secret_file"`
	// Old signs too, while receivers go over to Secret; "" = nothing more.
	Old       Secret `yaml:"old_secret"`
	OldFile   string `yaml:"old_secret_file"`
	CAFile    string `yaml:"ca_file"` // PEM; "" = the authorities of the system
	Plaintext bool   `yaml:"plaintext"`
}

// MailboxSystem is a voicemail system that is told which mailboxes it has, by package vmadmin's requests.
type MailboxSystem struct {
	FQDN      string `yaml:"fqdn"`
	URL       string `yaml:"url"`
	Token     Secret `yaml:"token"` // sent as Authorization: Bearer
	TokenFile string `yaml:"token_file"`
	CAFile    string `yaml:"ca_file"` // PEM; "" = the authorities of the system
	Plaintext bool   `yaml:"plaintext"`
}

// The bounds of api.rate and voicemail.retention.
const (
	maxAPIRate   = 10_000
	maxRetention = 10 * 365 * 24 * time.Hour
	minReconcile = time.Minute
	maxReconcile = 31 * 24 * time.Hour
)

// target checks a URL that we call: it holds no secret, and does not go in clear to another machine.
func (v *validation) target(key, target string, plaintext bool) {
	u, err := url.Parse(target)
	good := err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Hostname() != "" && u.User == nil && u.RawQuery == "" && u.Fragment == ""
	v.check(good, key, "cannot be used: write https://HOST/PATH, without name, password or question mark")
	if good && u.Scheme == "http" {
		v.check(plaintext || Loopback(net.JoinHostPort(u.Hostname(), "0")), key,
			"has http:// to another machine: everybody on the way could read numbers and token; write https://, or plaintext: true beside it if that is meant")
	}
}

func (v *validation) bearer(key string, token Secret) {
	v.check(!strings.ContainsFunc(token.Reveal(), func(c rune) bool { return c <= ' ' || c >= 0x7f }), key,
		"contains a blank, a line break or what is not ASCII: such a one cannot be sent")
}

func (v *validation) api(a API) {
	v.check(a.Rate >= 1 && a.Rate <= maxAPIRate, "api.rate", "is %d: write 1 to %d requests a second", a.Rate, maxAPIRate)
	v.check((a.Cert == "") == (a.Key == ""), "api.tls_key", "and api.tls_cert go together: name both PEM files, or none")
	v.check(a.DefaultPilot == "" || len(a.DefaultPilot) <= 16 && strings.Trim(a.DefaultPilot, "+0123456789*#") == "", "api.default_pilot",
		"is %q: write a pilot as it was provisioned, +18056377243 or *86", a.DefaultPilot)
	if a.Listen != "" {
		v.address("api.listen", a.Listen)
		v.check(a.Cert != "" || a.Plaintext || Loopback(a.Listen), "api.listen",
			"is not loopback and has no TLS: everybody on the way could read tokens; name api.tls_cert and api.tls_key, or write api.plaintext: true if that is meant")
	}
	seen := map[string]bool{}
	for i, w := range a.Webhooks {
		key := fmt.Sprintf("api.webhooks[%d]", i)
		v.check(nameGrammar.MatchString(w.Tenant), key+".tenant", "is %q: write the name of a tenant, operator for your own", w.Tenant)
		v.check(!seen[w.Tenant], key+".tenant", "%q stands twice", w.Tenant)
		seen[w.Tenant] = true
		v.target(key+".url", w.URL, w.Plaintext)
		v.check(len(w.Secret) >= 32, key+".secret", "has %d bytes: write at least 32, for example of openssl rand -hex 32", len(w.Secret))
		v.check(w.Old == "" || len(w.Old) >= 32 && w.Old != w.Secret, key+".old_secret", "has %d bytes, or is secret again: write the one that receivers still know, or nothing", len(w.Old))
	}
}

func (v *validation) mailboxes(vm Voicemail) {
	v.between("voicemail.retention", vm.Retention, 0, maxRetention)
	if vm.ReconcileEvery != 0 {
		v.between("voicemail.reconcile_every", vm.ReconcileEvery, minReconcile, maxReconcile)
	}
	seen := map[string]bool{}
	for i, m := range vm.Mailboxes {
		key := fmt.Sprintf("voicemail.mailboxes[%d]", i)
		v.check(hostGrammar.MatchString(m.FQDN) && m.FQDN == strings.ToLower(m.FQDN), key+".fqdn", "is %q: write the name of a voicemail system, in lower case", m.FQDN)
		v.check(!seen[m.FQDN], key+".fqdn", "%q stands twice", m.FQDN)
		seen[m.FQDN] = true
		v.target(key+".url", m.URL, m.Plaintext)
		v.bearer(key+".token", m.Token)
	}
}

// readAPISecrets fills the secrets of API and voicemail that stand in files of their own.
func (c *Config) readAPISecrets(dir string) error {
	for i := range c.API.Webhooks {
		w := &c.API.Webhooks[i]
		if err := readSecret(dir, fmt.Sprintf("api.webhooks[%d].secret", i), &w.Secret, w.SecretFile); err != nil {
			return err
		}
		if err := readSecret(dir, fmt.Sprintf("api.webhooks[%d].old_secret", i), &w.Old, w.OldFile); err != nil {
			return err
		}
	}
	hook := &c.Messages.Webhook
	if err := readSecret(dir, "messages.webhook.secret", &hook.Secret, hook.SecretFile); err != nil {
		return err
	}
	if err := readSecret(dir, "messages.webhook.old_secret", &hook.Old, hook.OldFile); err != nil {
		return err
	}
	for i := range c.Voicemail.Mailboxes {
		m := &c.Voicemail.Mailboxes[i]
		if err := readSecret(dir, fmt.Sprintf("voicemail.mailboxes[%d].token", i), &m.Token, m.TokenFile); err != nil {
			return err
		}
	}
	return nil
}

// apiPaths are the files that API and voicemail name.
func (c *Config) apiPaths() []*string {
	paths := []*string{&c.API.Cert, &c.API.Key, &c.Messages.Webhook.CAFile}
	for i := range c.API.Webhooks {
		paths = append(paths, &c.API.Webhooks[i].CAFile)
	}
	for i := range c.Voicemail.Mailboxes {
		paths = append(paths, &c.Voicemail.Mailboxes[i].CAFile)
	}
	return paths
}
