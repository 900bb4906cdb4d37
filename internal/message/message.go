// Package message sends texts to people: invitations by SMS, e-mail or SIP MESSAGE.
//
//	Post -> store.Outbox -> due -> leased -> Sender -> sent
//	                         ^------ put off, each time longer --| refused, too often or too late: failed
//
// A Sender is one technology. There are two: Webhook hands a message to a service of the operator, signed, whatever way to a person
// that has; SIP has a FreeSWITCH send it (RFC 3428) to a phone of ours or to a gateway. Further ones take the same form.
//
// Invariants: a message that Post took is sent once, failed, or waiting, over every death of the process; one whose process dies between
// the sending and the note of it is sent again, under the same ID. A message to one address under one ID is kept once. The number of
// those that wait, of one tenant, is bounded, and so is the time for which a message is tried. Texts are from outside and are data to every
// sender.
//
// Outbox is safe for concurrent use; its goroutines are Run's.
package message

import (
	"context"
	"errors"
	"fmt"
	"net/mail"
	"strings"
	"time"

	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/tel"
)

// Kind is a kind of address.
type Kind string

// The kinds.
const (
	Phone Kind = "tel"   // E.164, by SMS or what the sender has
	Email Kind = "email" // an address as RFC 5322 has it
	SIP   Kind = "sip"   // user@host
)

// Address is where a message goes.
type Address struct {
	Kind  Kind   `json:"kind" enum:"tel,email,sip"`
	Value string `json:"address"`
}

const maxAddress = 254 // bytes

// ParseAddress reads a telephone number, national ones in a country, an e-mail address, or sip:user@host.
func ParseAddress(raw, country string) (Address, error) {
	raw = strings.TrimSpace(raw)
	wrong := fmt.Errorf("%.80q is neither a telephone number nor an e-mail address nor sip:user@host", raw)
	if len(raw) > maxAddress {
		return Address{}, wrong
	}
	if scheme, rest, ok := strings.Cut(raw, ":"); ok && strings.EqualFold(scheme, "sip") {
		user, host, ok := strings.Cut(rest, "@")
		if !ok || !account.ValidHost(host) || !account.ValidKey(strings.TrimPrefix(user, "+")) {
			return Address{}, wrong
		}
		return Address{SIP, user + "@" + strings.ToLower(host)}, nil
	}
	if strings.Contains(raw, "@") {
		a, err := mail.ParseAddress(raw)
		if err != nil || a.Name != "" || a.Address != raw || strings.ContainsFunc(raw, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
			return Address{}, wrong
		}
		return Address{Email, raw}, nil
	}
	n, err := tel.ParsePresented(raw, country)
	if err != nil {
		return Address{}, wrong
	}
	return Address{Phone, string(n)}, nil
}

// File stands beside a text.
type File struct {
	Name    string `json:"name"`
	Type    string `json:"type"` // media type
	Content []byte `json:"content"`
}

// The events. A cancellation takes the place of an invitation that is not sent yet.
const (
	Invitation   = "invitation"
	Cancellation = "cancellation"
)

// Message is a text to one person.
type Message struct {
	ID       string     `json:"id"` // the same over all tries
	Tenant   string     `json:"tenant"`
	Account  string     `json:"account"`
	About    string     `json:"about"` // what it is about, such as a schedule's ID
	Event    string     `json:"kind"`  // Invitation or Cancellation
	To       Address    `json:"to"`
	From     tel.Number `json:"from"`                // the host's number
	FromName string     `json:"from_name,omitempty"` // of the host
	Subject  string     `json:"subject"`
	Text     string     `json:"text"`
	Files    []File     `json:"files,omitempty"`
	Expires  time.Time  `json:"expires"` // is not worth sending then any more
}

// Sender is one way to send messages.
type Sender interface {
	Name() string // for logs and metrics
	Takes(Address) bool
	// Send sends a message once. An error for which Final is true is answered the same however often it is tried.
	Send(ctx context.Context, m Message) error
}

var (
	errExpired = errors.New("what it is about is over")
	errRemoved = errors.New("what it is about was removed")
)

// ErrNobody means that no sender takes an address.
var ErrNobody = errors.New("there is no way to send to such an address: see messages in the configuration")

// final is an error for which trying again is of no use.
type final struct{ error }

func (final) Final() bool     { return true }
func (f final) Unwrap() error { return f.error }

// Final reports whether an error of a Sender is for good.
func Final(err error) bool {
	var f interface{ Final() bool }
	return errors.As(err, &f) && f.Final()
}
