// Package webhook posts JSON to a URL that an operator configured, signed, so that the receiver knows who sent it and when.
//
// One Send is one POST, bounded in time; whoever sends decides whether and when it is sent again, under the same id. Only the URL of the
// configuration is called: redirects are not followed, and errors do not have the URL, in which a secret may stand. A Hook is safe for
// concurrent use and starts no goroutines.
package webhook

import (
	"bytes"
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"time"
)

// Options of a Hook.
type Options struct {
	URL       string
	Secrets   [][]byte // each signs what is sent: several while receivers go over from one to the next
	CAFile    string   // PEM of the authorities that may vouch for the receiver; "" = those of the machine
	UserAgent string
}

// SignatureHeader is the header that proves who sent a webhook, "t=1700000000,v1=HEX": the time in Unix seconds, and the
// HMAC-SHA-256 of that number, a dot and the body; one v1 for each secret.
const SignatureHeader = "Signalbox-Signature"

const (
	postTime = 10 * time.Second
	maxConns = 16 // to one receiver
)

// Hook is one receiver.
type Hook struct {
	url     string
	secrets [][]byte
	agent   string
	client  *http.Client
}

// New makes a Hook.
func New(h Options) (*Hook, error) {
	u, err := url.Parse(h.URL)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return nil, errors.New("the URL of a webhook cannot be used: write https://HOST/PATH")
	}
	secure := &tls.Config{MinVersion: tls.VersionTLS12}
	if h.CAFile != "" {
		pem, err := os.ReadFile(h.CAFile)
		if err != nil {
			return nil, err
		}
		secure.RootCAs = x509.NewCertPool()
		if !secure.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s has no certificate in PEM", h.CAFile)
		}
	}
	return &Hook{url: u.String(), secrets: h.Secrets, agent: cmp.Or(h.UserAgent, "signalbox"), client: &http.Client{
		Timeout: postTime,
		Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment, TLSClientConfig: secure, ForceAttemptHTTP2: true, IdleConnTimeout: 90 * time.Second,
			MaxConnsPerHost: maxConns, TLSHandshakeTimeout: postTime, MaxResponseHeaderBytes: 64 << 10,
		},
		// Only the URL of the configuration is called: a redirect may lead inside.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// Sign is the value of SignatureHeader for a body sent at a time.
func Sign(body []byte, at time.Time, secrets ...[]byte) string {
	t := strconv.FormatInt(at.Unix(), 10)
	value := "t=" + t
	for _, secret := range secrets {
		mac := hmac.New(sha256.New, secret)
		mac.Write([]byte(t + "."))
		mac.Write(body)
		value += ",v1=" + hex.EncodeToString(mac.Sum(nil))
	}
	return value
}

// Send posts a body once.
func (h *Hook) Send(ctx context.Context, id string, body []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, h.url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", h.agent)
	req.Header.Set("Idempotency-Key", id)
	req.Header.Set(SignatureHeader, Sign(body, time.Now(), h.secrets...))
	resp, err := h.client.Do(req)
	if err != nil {
		if under := errors.Unwrap(err); under != nil {
			err = under // without the URL, in which a secret may stand
		}
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10))
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return StatusError(resp.StatusCode)
	}
	return nil
}

// StatusError is an answer that was none of the 200s.
type StatusError int

func (e StatusError) Error() string { return fmt.Sprintf("it answers %d", int(e)) }

// Final reports whether sending the same again would be answered the same: the receiver understood and refuses.
func (e StatusError) Final() bool { return e >= 400 && e < 500 && e != 408 && e != 425 && e != 429 }
