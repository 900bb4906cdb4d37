package encode

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Chat is the API command that has mod_sofia send a SIP MESSAGE (RFC 3428) and wait for its answer.
type Chat struct {
	Profile string // Sofia profile that sends it
	// User and Host say who gets it: a user who is registered at the profile or, with URI, that SIP address.
	User, Host string
	URI        bool
	Port       uint16 // of URI; 0 = by DNS
	Transport  string // of URI: "", udp or tcp

	FromUser, FromHost string
	Text               string // of UTF-8; line feeds are kept
	Type               string // "text/plain" when empty
}

// MaxChat bounds the text of a Chat in bytes: a MESSAGE has at most 1300 with its headers (RFC 3428 section 8).
const MaxChat = 900

// Command returns "chat sip|from|to|text|type". The switch unquotes its parts once, as it does a list with the delimiter |; nothing in
// them is expanded. It answers "Sent" when the far end took the message.
func (c Chat) Command() (string, error) {
	err := firstErr(checkName("profile", c.Profile), checkDirectoryUser(c.FromUser), checkHost("domain", c.FromHost), checkTransport(c.Transport, true))
	to := c.Profile + "/"
	if c.URI {
		host := bracketed(c.Host)
		err = firstErr(err, checkURIUser(c.User), checkHost("host", host))
		if c.Port != 0 {
			host += ":" + strconv.Itoa(int(c.Port))
		}
		to += "sip:" + escapeURI(c.User, uriUserSafe) + "@" + host
		if c.Transport != "" {
			to += ";transport=" + c.Transport
		}
	} else {
		err = firstErr(err, checkDirectoryUser(c.User), checkHost("domain", c.Host))
		to += c.User + "@" + c.Host
	}
	kind := c.Type
	if kind == "" {
		kind = "text/plain"
	}
	err = firstErr(err, checkAlphabet("content type", kind, "-+./", 64))
	switch {
	case err != nil:
	case c.Text == "" || len(c.Text) > MaxChat:
		err = fmt.Errorf("text of %d bytes, want 1 to %d: %w", len(c.Text), MaxChat, ErrInvalid)
	case !utf8.ValidString(c.Text):
		err = fmt.Errorf("text is not UTF-8: %w", ErrUnsafe)
	}
	for _, r := range c.Text {
		if err == nil && r != '\n' && lineOrControl(r) {
			err = fmt.Errorf("text holds control character %U: %w", r, ErrUnsafe)
		}
	}
	if err != nil {
		return "", fmt.Errorf("message: %w", err)
	}
	text := strings.ReplaceAll(escapeRound(c.Text, '|'), "\n", `\n`)
	return "chat sip|" + c.FromUser + "@" + c.FromHost + "|" + to + "|" + keepSpaces(text) + "|" + kind, nil
}
