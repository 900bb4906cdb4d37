package vmadmin

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"
)

// MaxPage is the most mailboxes that are asked for at once.
const MaxPage = 1000

const (
	maxAnswer   = 4 << 20 // bytes of a page of mailboxes
	maxReason   = 200     // bytes kept of what a system says to an error
	connections = 8       // that stay open to one system
)

// ErrNotFound means that the system has no such mailbox.
var ErrNotFound = errors.New("mailbox not found")

// State says whether messages are taken.
type State string

// The states of a mailbox.
const (
	Active    State = "active"
	Suspended State = "suspended" // messages stay, nothing is deposited
)

// Mailbox is one mailbox as its voicemail system is told of it.
type Mailbox struct {
	ID       string `json:"id"`     // by which the system is called, or which ;target= names
	Number   string `json:"number"` // whose mailbox it is, in E.164
	State    State  `json:"state"`
	Class    string `json:"class"`              // "basic" or "visual"
	Language string `json:"language,omitempty"` // of its prompts, BCP 47
	TimeZone string `json:"timezone,omitempty"` // of its times, IANA
}

// Options configure a System.
type Options struct {
	FQDN      string        // name of the voicemail system, for errors
	URL       string        // https://HOST/PATH, or http:// on this machine
	Token     string        // sent as "Authorization: Bearer"; "" = none
	CAFile    string        // PEM of the authorities that may vouch for it; "" = those of the machine
	Timeout   time.Duration // of one request; 0 = 5 s
	UserAgent string
}

// System is one voicemail system.
type System struct {
	options Options
	base    *url.URL
	client  *http.Client
}

// Systems are the voicemail systems that are told of mailboxes, by FQDN.
type Systems map[string]*System

// New makes a System. It does not call it yet.
func New(o Options) (*System, error) {
	base, err := url.Parse(strings.TrimSuffix(o.URL, "/"))
	if err != nil || base.Host == "" || base.Scheme != "https" && base.Scheme != "http" || base.User != nil || base.RawQuery != "" {
		return nil, fmt.Errorf("the URL of %s cannot be used: write https://HOST/PATH", o.FQDN)
	}
	secure := &tls.Config{MinVersion: tls.VersionTLS12}
	if o.CAFile != "" {
		pem, err := os.ReadFile(o.CAFile)
		if err != nil {
			return nil, err
		}
		secure.RootCAs = x509.NewCertPool()
		if !secure.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s has no certificate in PEM", o.CAFile)
		}
	}
	o.Timeout = cmp.Or(o.Timeout, 5*time.Second)
	return &System{options: o, base: base, client: &http.Client{
		Timeout: o.Timeout,
		Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment, TLSClientConfig: secure, ForceAttemptHTTP2: true, MaxIdleConnsPerHost: connections,
			MaxConnsPerHost: 4 * connections, IdleConnTimeout: 90 * time.Second, TLSHandshakeTimeout: o.Timeout, MaxResponseHeaderBytes: 64 << 10,
		},
		// A redirect would take the token to where nobody configured it.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// FQDN is the name of the voicemail system.
func (s *System) FQDN() string { return s.options.FQDN }

// Put makes the mailbox, or makes the one of that id as m says.
func (s *System) Put(ctx context.Context, m Mailbox) error {
	body, err := json.Marshal(m)
	if err != nil {
		return err
	}
	_, err = s.do(ctx, http.MethodPut, s.mailbox(m.ID), body)
	return err
}

// Get returns a mailbox; ErrNotFound when there is none.
func (s *System) Get(ctx context.Context, id string) (Mailbox, error) {
	text, err := s.do(ctx, http.MethodGet, s.mailbox(id), nil)
	if err != nil {
		return Mailbox{}, err
	}
	var m Mailbox
	if err := json.Unmarshal(text, &m); err != nil {
		return Mailbox{}, fmt.Errorf("%s: its answer is no mailbox in JSON", s.FQDN())
	}
	return m, nil
}

// Delete deletes a mailbox with its messages. That there is none is no error.
func (s *System) Delete(ctx context.Context, id string) error {
	_, err := s.do(ctx, http.MethodDelete, s.mailbox(id), nil)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	return err
}

// List returns the mailboxes after an id, by id, at most limit (1 to MaxPage); none are left when there are fewer. A system may
// give fewer at a time than it is asked for: only an empty page is the end.
func (s *System) List(ctx context.Context, after string, limit int) ([]Mailbox, error) {
	target := s.base.JoinPath("mailboxes")
	target.RawQuery = url.Values{"after": {after}, "limit": {strconv.Itoa(min(max(limit, 1), MaxPage))}}.Encode()
	text, err := s.do(ctx, http.MethodGet, target, nil)
	if err != nil {
		return nil, err
	}
	var page struct {
		Mailboxes []Mailbox `json:"mailboxes"`
	}
	if err := json.Unmarshal(text, &page); err != nil {
		return nil, fmt.Errorf("%s: its answer is no list of mailboxes in JSON", s.FQDN())
	}
	for _, m := range page.Mailboxes {
		if m.ID <= after {
			return nil, fmt.Errorf("%s: its list of mailboxes is not sorted by id: %.80q comes after %.80q", s.FQDN(), m.ID, after)
		}
		after = m.ID
	}
	return page.Mailboxes, nil
}

// All goes through all mailboxes by id, and ends with the first error.
func (s *System) All(ctx context.Context) iter.Seq2[Mailbox, error] {
	return func(yield func(Mailbox, error) bool) {
		for after := ""; ; {
			page, err := s.List(ctx, after, MaxPage)
			if err != nil {
				yield(Mailbox{}, err)
				return
			}
			for _, m := range page {
				if !yield(m, nil) {
					return
				}
				after = m.ID
			}
			if len(page) == 0 {
				return
			}
		}
	}
}

func (s *System) mailbox(id string) *url.URL { return s.base.JoinPath("mailboxes", url.PathEscape(id)) }

// Error is an answer of a voicemail system that is none of success.
type Error struct {
	FQDN   string
	Status int
	Reason string // in its own words, printable and short
}

func (e *Error) Error() string {
	text := fmt.Sprintf("voicemail system %s answers %d", e.FQDN, e.Status)
	if e.Reason != "" {
		text += ": " + e.Reason
	}
	return text
}

// Is makes 404 and 410 an ErrNotFound.
func (e *Error) Is(target error) bool {
	return target == ErrNotFound && (e.Status == http.StatusNotFound || e.Status == http.StatusGone)
}

// Temporary reports whether the same request may succeed later: no answer, 408, 425, 429 and the 500s, without 501.
func Temporary(err error) bool {
	var answer *Error
	if !errors.As(err, &answer) {
		return err != nil
	}
	switch answer.Status {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return true
	}
	return answer.Status >= 500 && answer.Status != http.StatusNotImplemented
}

func (s *System) do(ctx context.Context, method string, target *url.URL, body []byte) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, target.String(), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", cmp.Or(s.options.UserAgent, "signalbox"))
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if s.options.Token != "" {
		req.Header.Set("Authorization", "Bearer "+s.options.Token)
	}
	resp, err := s.client.Do(req)
	if err != nil {
		if under := errors.Unwrap(err); under != nil {
			err = under // without the URL, in which a number stands
		}
		return nil, fmt.Errorf("voicemail system %s does not answer: %w", s.FQDN(), err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return nil, fmt.Errorf("voicemail system %s: reading its answer: %w", s.FQDN(), err)
	}
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return nil, &Error{FQDN: s.FQDN(), Status: resp.StatusCode, Reason: printable(text)}
	}
	if len(text) > maxAnswer {
		return nil, fmt.Errorf("voicemail system %s: its answer is longer than %d bytes", s.FQDN(), maxAnswer)
	}
	return text, nil
}

// printable is the beginning of a text in one line.
func printable(text []byte) string {
	line := strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == '\uFFFD' {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(string(text[:min(len(text), maxReason)]), ""))
	return strings.TrimSpace(line)
}
