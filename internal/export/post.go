package export

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"time"
)

const (
	maxRetryAfter = 5 * time.Minute
	maxAnswer     = 500 // bytes kept of what a receiver says
)

// HTTPOptions say where records are posted.
type HTTPOptions struct {
	URL       string
	Token     string        // sent as "Authorization: Bearer"; "" = none
	CAFile    string        // PEM of the authorities that may vouch for the receiver; "" = those of the system
	Timeout   time.Duration // of one request
	UserAgent string
}

// poster sends one record in one request.
type poster struct {
	options HTTPOptions
	client  *http.Client
}

func newPoster(o HTTPOptions) (*poster, error) {
	tlsConfig := &tls.Config{MinVersion: tls.VersionTLS12}
	if o.CAFile != "" {
		pem, err := os.ReadFile(o.CAFile)
		if err != nil {
			return nil, err
		}
		tlsConfig.RootCAs = x509.NewCertPool()
		if !tlsConfig.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s has no certificate in PEM", o.CAFile)
		}
	}
	return &poster{options: o, client: &http.Client{
		Timeout: o.Timeout,
		Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment, TLSClientConfig: tlsConfig, ForceAttemptHTTP2: true,
			MaxIdleConnsPerHost: window, IdleConnTimeout: 90 * time.Second, TLSHandshakeTimeout: o.Timeout, ResponseHeaderTimeout: o.Timeout,
			MaxResponseHeaderBytes: 64 << 10,
		},
		// A redirect would take the record and the token to where nobody configured them.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// refused means that the receiver will never take this record.
type refused struct {
	status int
	answer string
}

func (r *refused) Error() string {
	return fmt.Sprintf("the receiver refuses the record: %d %s", r.status, r.answer)
}

// notNow means that another try may help.
type notNow struct {
	status int
	after  time.Duration // that the receiver asks for; 0 = nothing said
	answer string
}

func (n *notNow) Error() string {
	return fmt.Sprintf("the receiver answers %d %s", n.status, n.answer)
}

// post sends a record; the error is a *refused, or one after which it should be tried again.
func (p *poster) post(ctx context.Context, e entry) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.options.URL, bytes.NewReader(e.line))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", p.options.UserAgent)
	if e.id != "" {
		req.Header.Set("Idempotency-Key", e.id)
	}
	if p.options.Token != "" {
		req.Header.Set("Authorization", "Bearer "+p.options.Token)
	}
	resp, err := p.client.Do(req)
	if err != nil {
		return errors.Unwrap(err) // without the URL, in which a secret may stand
	}
	defer func() { _ = resp.Body.Close() }()
	body, _ := io.ReadAll(io.LimitReader(resp.Body, 64<<10)) // read to its end, so that the connection can be used again
	if resp.StatusCode >= 200 && resp.StatusCode < 300 {
		return nil
	}
	answer := printable(string(body[:min(len(body), maxAnswer)]))
	if blamesRecord(resp.StatusCode) {
		return &refused{resp.StatusCode, answer}
	}
	return &notNow{status: resp.StatusCode, after: retryAfter(resp.Header.Get("Retry-After"), time.Now()), answer: answer}
}

// blamesRecord reports whether a status says that this record is at fault. Statuses of the 400s that blame the token, the URL or
// the moment are none of the record's business: all would be refused alike, and are tried again until the operator has seen to it.
func blamesRecord(status int) bool {
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusProxyAuthRequired,
		http.StatusRequestTimeout, http.StatusGone, http.StatusMisdirectedRequest, http.StatusTooEarly, http.StatusTooManyRequests:
		return false
	}
	return status >= 400 && status < 500
}

// retryAfter reads the header (RFC 9110 section 10.2.3): seconds or a date.
func retryAfter(value string, now time.Time) time.Duration {
	var d time.Duration
	if seconds, err := strconv.Atoi(value); err == nil {
		d = time.Duration(seconds) * time.Second
	} else if at, err := http.ParseTime(value); err == nil {
		d = at.Sub(now)
	}
	return min(max(d, 0), maxRetryAfter)
}
