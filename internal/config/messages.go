package config

// Messages says how texts to people, such as invitations to conferences, are sent. SIP is tried for what it takes, else the webhook.
type Messages struct {
	Webhook MessageHook `yaml:"webhook"`
	SIP     MessageSIP  `yaml:"sip"`
}

// MessageHook is a service of the operator that sends messages on.
type MessageHook struct {
	URL        string `yaml:"url"`    // "" = there is none
	Secret     Secret `yaml:"secret"` // signs what is sent; at least 32 bytes
	SecretFile string `yaml:"secret_file"`
	Old        Secret `yaml:"old_secret"` // signs too, while the receiver goes over to Secret; "" = nothing more
	OldFile    string `yaml:"old_secret_file"`
	CAFile     string `yaml:"ca_file"` // PEM; "" = the authorities of the system
	Plaintext  bool   `yaml:"plaintext"`
}

// MessageSIP has a FreeSWITCH send SIP MESSAGE (RFC 3428).
type MessageSIP struct {
	DeviceProfile string `yaml:"device_profile"` // Sofia profile at which our phones are registered; "" = they get no texts
	DeviceDomain  string `yaml:"device_domain"`  // in which they are; "" = domain
	Gateway       Place  `yaml:"gateway"`        // takes texts to telephone numbers; none = nobody does
	Transport     string `yaml:"transport"`      // to it: "", udp or tcp
	Profile       string `yaml:"profile"`        // Sofia profile that reaches it
}

func (v *validation) messages(m Messages) {
	if h := m.Webhook; h.URL != "" {
		const key = "messages.webhook"
		v.target(key+".url", h.URL, h.Plaintext)
		v.check(len(h.Secret) >= 32, key+".secret", "has %d bytes: write at least 32, for example of openssl rand -hex 32", len(h.Secret))
		v.check(h.Old == "" || len(h.Old) >= 32 && h.Old != h.Secret, key+".old_secret", "has %d bytes, or is secret again: write the one that the receiver still knows, or nothing", len(h.Old))
	}
	for key, name := range map[string]string{"messages.sip.device_profile": m.SIP.DeviceProfile, "messages.sip.profile": m.SIP.Profile} {
		v.check(name == "" || nameGrammar.MatchString(name), key, "is %q: write the name of a Sofia profile", name)
	}
	v.check(m.SIP.DeviceDomain == "" || hostGrammar.MatchString(m.SIP.DeviceDomain), "messages.sip.device_domain", "is %q: write the domain in which phones register", m.SIP.DeviceDomain)
	v.check(m.SIP.Profile != "" || !m.SIP.Gateway.Given(), "messages.sip.profile", "is empty: write the Sofia profile that reaches the gateway")
	v.check(m.SIP.Transport == "" || m.SIP.Transport == "udp" || m.SIP.Transport == "tcp", "messages.sip.transport", "is %q: write udp, tcp or nothing", m.SIP.Transport)
}
