package config

import (
	"fmt"
	"strings"
	"time"
)

// Directory is where FreeSWITCH's mod_xml_curl asks for phones.
type Directory struct {
	Listen          string        `yaml:"listen"`    // HOST:PORT; "" = FreeSWITCH has its own directory alone
	Cert            string        `yaml:"tls_cert"`  // PEM, with the intermediate ones behind it; "" = HTTP without TLS
	Key             string        `yaml:"tls_key"`   // its private key
	Plaintext       bool          `yaml:"plaintext"` // without TLS beyond this machine is meant
	User            string        `yaml:"user"`
	Password        Secret        `yaml:"password"` // with user before it, FreeSWITCH's gateway-credentials
	PasswordFile    string        `yaml:"password_file"`
	Context         string        `yaml:"context"`          // dialplan context of phones' calls
	DialString      string        `yaml:"dial_string"`      // how FreeSWITCH calls user/NAME@DOMAIN; "" = as vanilla does
	KeepFor         time.Duration `yaml:"keep_for"`         // what the store said last is answered for so long while it is silent
	KeepPhones      int           `yaml:"keep_phones"`      // of so many phones
	Domains         []Domain      `yaml:"domains"`          // in which tenants' phones are answered; the operator's are in all
	FreeSWITCHCache time.Duration `yaml:"freeswitch_cache"` // FreeSWITCH keeps an answer for so long by itself; 0 = it asks each time
}

// Domain is a domain of FreeSWITCH's directory that belongs to a tenant.
type Domain struct {
	Name   string `yaml:"name"`
	Tenant string `yaml:"tenant"`
}

// The bounds of directory.
const (
	minDirectoryPassword = 16
	maxKeepPhones        = 1_000_000
	maxKeepFor           = 31 * 24 * time.Hour
	// maxFreeSWITCHCache is what mod_xml_curl can count: it multiplies milliseconds in 32 bits.
	maxFreeSWITCHCache = 30 * time.Minute
)

func (v *validation) directory(d Directory) {
	v.check((d.Cert == "") == (d.Key == ""), "directory.tls_key", "and directory.tls_cert go together: name both PEM files, or none")
	v.check(nameGrammar.MatchString(d.User), "directory.user", "is %q: write 1 to 64 letters, digits, dots or hyphens", d.User)
	v.check(nameGrammar.MatchString(d.Context), "directory.context", "is %q: write the name of a dialplan context", d.Context)
	v.check(len(d.DialString) <= 1000 && !strings.ContainsFunc(d.DialString, func(r rune) bool { return r < ' ' || r == 0x7f }), "directory.dial_string", "has over 1000 bytes, or control characters")
	v.between("directory.keep_for", d.KeepFor, 0, maxKeepFor)
	v.check(d.KeepPhones >= 0 && d.KeepPhones <= maxKeepPhones, "directory.keep_phones", "is %d: write 0 to %d", d.KeepPhones, maxKeepPhones)
	for i, domain := range d.Domains {
		key := fmt.Sprintf("directory.domains[%d]", i)
		v.check(hostGrammar.MatchString(domain.Name) && domain.Name == strings.ToLower(domain.Name), key+".name", "is %q: write a domain of FreeSWITCH's directory, in lower case", domain.Name)
		v.check(nameGrammar.MatchString(domain.Tenant), key+".tenant", "is %q: write the name of a tenant", domain.Tenant)
	}
	if d.FreeSWITCHCache != 0 {
		v.between("directory.freeswitch_cache", d.FreeSWITCHCache, time.Second, maxFreeSWITCHCache)
	}
	if d.Listen == "" {
		return
	}
	v.address("directory.listen", d.Listen)
	v.check(d.Cert != "" || d.Plaintext || Loopback(d.Listen), "directory.listen",
		"is not loopback and has no TLS: everybody on the way could read phones' hashes; name directory.tls_cert and directory.tls_key, or write directory.plaintext: true if that is meant")
	v.check(len(d.Password) >= minDirectoryPassword, "directory.password", "has %d bytes: write at least %d, for example of openssl rand -hex 16", len(d.Password), minDirectoryPassword)
	v.bearer("directory.password", d.Password)
}
