package otlp

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
)

// Bounds of an Exporter.
const (
	DefaultQueue = 4096 // spans
	maxBatch     = 512  // spans of one request
	interval     = 2 * time.Second
	timeout      = 5 * time.Second // of one request
	tries        = 4               // of one request that the collector cannot take now
	firstPause   = 500 * time.Millisecond
	lastPause    = 10 * time.Second
	lastRequest  = 2 * time.Second // for what is left at the end
	maxAnswer    = 4 << 10         // bytes read of an answer
)

// Options of an Exporter.
type Options struct {
	URL      string // of the collector, with the path /v1/traces
	Token    string // sent as "Authorization: Bearer"; "" = none
	CAFile   string // PEM of the authorities that may vouch for the collector; "" = those of the system
	Sample   float64
	Queue    int         // spans that may wait; 0 = DefaultQueue
	Resource []Attribute // what all spans have in common: service.name and the like
	Version  string      // of this program
	Logger   *zap.Logger
}

// Stats are counts of spans since New.
type Stats struct {
	Exported uint64 // the collector took them
	Dropped  uint64 // no room in the queue
	Failed   uint64 // the collector took them at no try, or refused them
}

// Exporter sends spans to one collector.
type Exporter struct {
	o      Options
	log    *zap.Logger
	client *http.Client
	queue  chan Span

	exported, dropped, failed atomic.Uint64
	complained                bool // of Run alone: the collector is known to be in trouble
}

// New checks the options. Nothing is sent before Run.
func New(o Options) (*Exporter, error) {
	if o.Queue <= 0 {
		o.Queue = DefaultQueue
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if o.CAFile != "" {
		pem, err := os.ReadFile(o.CAFile)
		if err != nil {
			return nil, fmt.Errorf("tracing.ca_file: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("tracing.ca_file: %s has no certificate in PEM", o.CAFile)
		}
	}
	e := &Exporter{o: o, log: o.Logger, queue: make(chan Span, o.Queue), client: &http.Client{
		Timeout: timeout,
		Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment, TLSClientConfig: config, MaxIdleConnsPerHost: 1, IdleConnTimeout: 90 * time.Second,
			TLSHandshakeTimeout: timeout, MaxResponseHeaderBytes: 64 << 10,
		},
		// A redirect would take spans and token to where nobody configured them.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	if e.log == nil {
		e.log = zap.NewNop()
	}
	return e, nil
}

// Wants says whether a trace is in the sample, before anybody makes spans of it.
func (e *Exporter) Wants(id TraceID) bool { return sampled(id, e.o.Sample) }

// Export takes a span of a trace that is wanted. It never blocks.
func (e *Exporter) Export(s Span) {
	select {
	case e.queue <- s:
	default:
		e.dropped.Add(1)
	}
}

// Stats gives the counts.
func (e *Exporter) Stats() Stats {
	return Stats{Exported: e.exported.Load(), Dropped: e.dropped.Load(), Failed: e.failed.Load()}
}

// Run sends until ctx ends, and what is left then within two seconds.
func (e *Exporter) Run(ctx context.Context) error {
	defer e.client.CloseIdleConnections()
	batch := make([]Span, 0, maxBatch)
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case s := <-e.queue:
			if batch = append(batch, s); len(batch) == maxBatch {
				e.send(ctx, batch)
				batch = batch[:0]
			}
		case <-tick.C:
			if len(batch) > 0 {
				e.send(ctx, batch)
				batch = batch[:0]
			}
		case <-ctx.Done():
			e.leave(batch)
			return nil
		}
	}
}

// leave sends what is left, without ctx and without a second try.
func (e *Exporter) leave(batch []Span) {
	ctx, cancel := context.WithTimeout(context.Background(), lastRequest)
	defer cancel()
	for {
		select {
		case s := <-e.queue:
			batch = append(batch, s)
			continue
		default:
		}
		break
	}
	for ; len(batch) > 0; batch = batch[min(len(batch), maxBatch):] {
		part := batch[:min(len(batch), maxBatch)]
		_, rejected, err := e.post(ctx, e.encode(part))
		e.count(len(part), rejected, err)
	}
}

// send posts one batch, again and later when the collector says so or cannot be reached. Meanwhile the queue fills.
func (e *Exporter) send(ctx context.Context, batch []Span) {
	body := e.encode(batch)
	pause := firstPause
	for try := 1; ; try++ {
		wait, rejected, err := e.post(ctx, body)
		if err == nil || wait < 0 || try == tries {
			e.count(len(batch), rejected, err)
			return
		}
		e.complain(err)
		timer := time.NewTimer(max(pause, min(wait, lastPause)))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			e.count(len(batch), 0, ctx.Err())
			return
		}
		pause = min(2*pause, lastPause)
	}
}

func (e *Exporter) count(n, rejected int, err error) {
	if err != nil {
		e.failed.Add(uint64(n))
		e.complain(err)
		return
	}
	rejected = min(rejected, n)
	e.failed.Add(uint64(rejected))
	e.exported.Add(uint64(n - rejected))
	if e.complained {
		e.complained = false
		e.log.Info("the collector takes spans again")
	}
}

func (e *Exporter) complain(err error) {
	if !e.complained {
		e.complained = true
		e.log.Warn("the collector at tracing.url does not take spans; calls go on without them", zap.Error(err))
	}
}

func (e *Exporter) encode(batch []Span) []byte {
	spans := make([]jsonSpan, len(batch))
	for i := range batch {
		spans[i] = batch[i].json()
	}
	body, err := json.Marshal(jsonRequest{[]jsonResourceSpans{{
		Resource:   jsonResource{jsonAttributes(e.o.Resource)},
		ScopeSpans: []jsonScopeSpans{{jsonScope{"signalbox", e.o.Version}, spans}},
	}}})
	if err != nil { // there is nothing in it that could fail
		e.log.Error("spans cannot be encoded", zap.Error(err))
	}
	return body
}

// post sends one request. wait is for how long the collector asks for a pause, negative when another try is of no use.
func (e *Exporter) post(ctx context.Context, body []byte) (wait time.Duration, rejected int, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, e.o.URL, bytes.NewReader(body))
	if err != nil {
		return -1, 0, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "signalbox/"+e.o.Version)
	if e.o.Token != "" {
		req.Header.Set("Authorization", "Bearer "+e.o.Token)
	}
	resp, err := e.client.Do(req)
	if err != nil {
		return 0, 0, err
	}
	defer func() { _ = resp.Body.Close() }()
	answer, _ := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	switch resp.StatusCode {
	case http.StatusOK:
		return 0, partial(answer), nil
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		seconds, _ := strconv.Atoi(resp.Header.Get("Retry-After"))
		return time.Duration(min(max(seconds, 0), 3600)) * time.Second, 0, errors.New(resp.Status)
	}
	return -1, 0, fmt.Errorf("%s: %.200q", resp.Status, answer)
}

// partial reads how many spans the collector refused of a request that it took.
func partial(answer []byte) int {
	var p struct {
		PartialSuccess struct {
			RejectedSpans json.Number `json:"rejectedSpans"`
		} `json:"partialSuccess"`
	}
	if json.Unmarshal(answer, &p) != nil {
		return 0
	}
	n, _ := strconv.Atoi(p.PartialSuccess.RejectedSpans.String())
	return max(n, 0)
}
