package message

import (
	"context"
	"errors"
	"strings"

	"github.com/signalbox/signalbox/dialplan/encode"
)

// Switch is a FreeSWITCH that sends SIP MESSAGE; *fsw.Node is one.
type Switch interface {
	Up() bool
	// Chat sends one and waits for its answer; false when that was none of the 200s, or none came.
	Chat(ctx context.Context, c encode.Chat) (bool, error)
}

// SIPOptions of a SIP sender.
type SIPOptions struct {
	Domain  string // of the senders' addresses
	Devices string // Sofia profile at which our phones are registered; "" = they get no texts
	Phones  string // domain in which they are registered
	Gateway string // host that takes texts to telephone numbers; "" = none does
	Port    uint16 // of it; 0 = by DNS
	// Transport to it: "", udp or tcp.
	Transport string
	Profile   string // Sofia profile that reaches it
	Switches  func() []Switch
}

// SIPSender sends by SIP MESSAGE. Files are left out: the text says all that is needed.
type SIPSender struct{ opt SIPOptions }

// NewSIP makes a SIPSender.
func NewSIP(o SIPOptions) *SIPSender { return &SIPSender{o} }

// Name implements Sender.
func (s *SIPSender) Name() string { return "sip" }

// Takes implements Sender. Of SIP addresses it takes those of our own domain alone: what a tenant names must not lead anywhere else.
func (s *SIPSender) Takes(a Address) bool {
	switch a.Kind {
	case Phone:
		return s.opt.Gateway != ""
	case SIP:
		_, host, _ := strings.Cut(a.Value, "@")
		return s.opt.Devices != "" && strings.EqualFold(host, s.opt.Phones)
	}
	return false
}

var (
	errNoSwitch = errors.New("no FreeSWITCH is linked")
	errNotTaken = errors.New("the far end did not take it")
)

// Send implements Sender.
func (s *SIPSender) Send(ctx context.Context, m Message) error {
	c := encode.Chat{FromUser: string(m.From), FromHost: s.opt.Domain, Text: short(m.Text, encode.MaxChat)}
	if m.To.Kind == SIP {
		c.Profile, c.Host = s.opt.Devices, s.opt.Phones
		c.User, _, _ = strings.Cut(m.To.Value, "@")
	} else {
		c.Profile, c.User, c.Host, c.URI, c.Port, c.Transport = s.opt.Profile, m.To.Value, s.opt.Gateway, true, s.opt.Port, s.opt.Transport
	}
	if _, err := c.Command(); err != nil {
		return final{err}
	}
	err := errNoSwitch
	for _, sw := range s.opt.Switches() { // a phone is registered at one of them
		if !sw.Up() {
			continue
		}
		var sent bool
		if sent, err = sw.Chat(ctx, c); sent && err == nil {
			return nil
		}
		if err == nil {
			err = errNotTaken
		}
	}
	return err
}

// short cuts a text between characters.
func short(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n-len("…")], "") + "…"
}
