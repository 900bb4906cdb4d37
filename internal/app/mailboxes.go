package app

import (
	"fmt"

	"github.com/signalbox/signalbox/internal/config"
	"github.com/signalbox/signalbox/internal/telemetry"
	"github.com/signalbox/signalbox/internal/vmadmin"
)

// MailboxSystems are the voicemail systems that a configuration wants told of their mailboxes.
func MailboxSystems(c *config.Config) (vmadmin.Systems, error) {
	systems := vmadmin.Systems{}
	for i, m := range c.Voicemail.Mailboxes {
		s, err := vmadmin.New(vmadmin.Options{FQDN: m.FQDN, URL: m.URL, Token: m.Token.Reveal(), CAFile: m.CAFile, UserAgent: userAgent()})
		if err != nil {
			return nil, fmt.Errorf("voicemail.mailboxes[%d]: %w", i, err)
		}
		systems[m.FQDN] = s
	}
	return systems, nil
}

func userAgent() string {
	version, _ := telemetry.Build()
	return "signalbox/" + version
}
