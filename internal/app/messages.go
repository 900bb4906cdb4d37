package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/config"
	"github.com/signalbox/signalbox/internal/message"
	"github.com/signalbox/signalbox/internal/store"
	"github.com/signalbox/signalbox/internal/telemetry"
	"github.com/signalbox/signalbox/internal/webhook"
)

// openMessages makes what sends texts to people, when the configuration names a way.
func (a *App) openMessages() error {
	m := a.config.Messages
	var senders []message.Sender
	if m.SIP.DeviceProfile != "" || m.SIP.Gateway.Given() {
		senders = append(senders, message.NewSIP(a.sipMessages(m.SIP)))
	}
	if m.Webhook.URL != "" {
		hook := webhook.Options{URL: m.Webhook.URL, Secrets: [][]byte{[]byte(m.Webhook.Secret.Reveal())}, CAFile: m.Webhook.CAFile, UserAgent: userAgent()}
		if old := m.Webhook.Old.Reveal(); old != "" {
			hook.Secrets = append(hook.Secrets, []byte(old))
		}
		sender, err := message.NewWebhook(hook)
		if err != nil {
			return fmt.Errorf("messages.webhook: %w", err)
		}
		senders = append(senders, sender)
	}
	if len(senders) == 0 {
		return nil
	}
	a.messages = message.NewOutbox(message.Options{
		Store: a.store, Senders: senders, Instance: a.instance, Result: telemetry.NewMessages(a.metrics, a.store).Tried, Logger: a.log,
		Stands: a.stands,
	})
	return nil
}

// stands reports whether the conference of an invitation is still scheduled.
func (a *App) stands(ctx context.Context, m message.Message) (bool, error) {
	_, err := a.store.Get(ctx, m.Tenant, account.KindSchedule, m.Account+"/"+m.About)
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

func (a *App) sipMessages(m config.MessageSIP) message.SIPOptions {
	opt := message.SIPOptions{Domain: a.config.Domain, Devices: m.DeviceProfile, Phones: cmp.Or(m.DeviceDomain, a.config.Domain), Transport: m.Transport, Profile: m.Profile, Gateway: m.Gateway.Domain, Port: m.Gateway.DomainPort}
	if m.Gateway.IsValid() {
		opt.Gateway, opt.Port = m.Gateway.Addr().String(), m.Gateway.Port()
	}
	opt.Switches = func() []message.Switch {
		out := make([]message.Switch, len(a.nodes))
		for i, n := range a.nodes {
			out[i] = n
		}
		return out
	}
	return opt
}
