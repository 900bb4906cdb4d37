package message

import (
	"context"
	"encoding/json"

	"github.com/signalbox/signalbox/internal/webhook"
)

// Posted is the body of a webhook that carries a message.
type Posted struct {
	Event string `json:"event" enum:"message"`
	Message
}

// Webhook hands messages to a service of the operator.
type Webhook struct{ hook *webhook.Hook }

// NewWebhook makes a Webhook.
func NewWebhook(o webhook.Options) (*Webhook, error) {
	hook, err := webhook.New(o)
	if err != nil {
		return nil, err
	}
	return &Webhook{hook}, nil
}

// Name implements Sender.
func (w *Webhook) Name() string { return "webhook" }

// Takes implements Sender: the service knows what it can reach.
func (w *Webhook) Takes(Address) bool { return true }

// Send implements Sender.
func (w *Webhook) Send(ctx context.Context, m Message) error {
	body, err := json.Marshal(Posted{"message", m})
	if err != nil {
		return final{err}
	}
	return w.hook.Send(ctx, m.Tenant+"/"+m.ID, body)
}
