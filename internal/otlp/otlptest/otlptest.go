// Package otlptest is an OpenTelemetry collector for tests: it takes spans by OTLP over HTTP in JSON, as strictly as the
// protocol has it, and shows what it has got. It is safe for concurrent use.
package otlptest

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"time"
)

// Span is one span as the collector understood it.
type Span struct {
	Trace, ID, Parent, Name string
	Kind                    int
	Start, End              time.Time
	Error                   string
	Attributes              map[string]string
	Resource                map[string]string
}

// Collector is a running collector.
type Collector struct {
	*httptest.Server

	mu       sync.Mutex
	spans    []Span
	requests int
	answers  []int // statuses of the next requests; then 200
	problems []string
	tokens   map[string]bool
}

// New starts a collector; Close stops it.
func New() *Collector {
	c := &Collector{tokens: map[string]bool{}}
	c.Server = httptest.NewServer(http.HandlerFunc(c.handle))
	return c
}

// Endpoint is the URL for spans.
func (c *Collector) Endpoint() string { return c.URL + "/v1/traces" }

// Answer has the next requests answered with these statuses, and their spans not taken unless it is 200.
func (c *Collector) Answer(statuses ...int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.answers = statuses
}

// Spans are those that were taken.
func (c *Collector) Spans() []Span {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]Span(nil), c.spans...)
}

// Problems are what was wrong with requests.
func (c *Collector) Problems() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]string(nil), c.problems...)
}

// Requests counts requests, those that were refused too, and tells the Authorization headers that were shown.
func (c *Collector) Requests() (n int, authorizations []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for t := range c.tokens {
		authorizations = append(authorizations, t)
	}
	return c.requests, authorizations
}

type value struct {
	String *string `json:"stringValue"`
	Int    *string `json:"intValue"`
}

type attributes []struct {
	Key   string `json:"key"`
	Value value  `json:"value"`
}

type request struct {
	ResourceSpans []struct {
		Resource struct {
			Attributes attributes `json:"attributes"`
		} `json:"resource"`
		ScopeSpans []struct {
			Scope struct {
				Name    string `json:"name"`
				Version string `json:"version"`
			} `json:"scope"`
			Spans []struct {
				TraceID    string     `json:"traceId"`
				SpanID     string     `json:"spanId"`
				Parent     string     `json:"parentSpanId"`
				Name       string     `json:"name"`
				Kind       int        `json:"kind"`
				Start      string     `json:"startTimeUnixNano"`
				End        string     `json:"endTimeUnixNano"`
				Attributes attributes `json:"attributes"`
				Status     struct {
					Code    int    `json:"code"`
					Message string `json:"message"`
				} `json:"status"`
			} `json:"spans"`
		} `json:"scopeSpans"`
	} `json:"resourceSpans"`
}

func (c *Collector) handle(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.requests++
	if a := r.Header.Get("Authorization"); a != "" {
		c.tokens[a] = true
	}
	if r.Method != http.MethodPost || r.URL.Path != "/v1/traces" || r.Header.Get("Content-Type") != "application/json" {
		c.problems = append(c.problems, fmt.Sprintf("%s %s as %s", r.Method, r.URL.Path, r.Header.Get("Content-Type")))
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	if len(c.answers) > 0 {
		status := c.answers[0]
		c.answers = c.answers[1:]
		if status != http.StatusOK {
			w.WriteHeader(status)
			return
		}
	}
	var req request
	dec := json.NewDecoder(r.Body)
	dec.DisallowUnknownFields()
	if err := dec.Decode(&req); err != nil {
		c.problems = append(c.problems, err.Error())
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	c.take(req)
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write([]byte("{}"))
}

func (c *Collector) take(req request) {
	for _, rs := range req.ResourceSpans {
		for _, ss := range rs.ScopeSpans {
			for _, s := range ss.Spans {
				span := Span{
					Trace: c.id(s.TraceID, 16), ID: c.id(s.SpanID, 8), Parent: s.Parent, Name: s.Name, Kind: s.Kind,
					Start: c.time(s.Start), End: c.time(s.End), Attributes: s.Attributes.text(), Resource: rs.Resource.Attributes.text(),
				}
				if s.Parent != "" {
					span.Parent = c.id(s.Parent, 8)
				}
				if s.Status.Code == 2 {
					span.Error = s.Status.Message
				}
				if span.Name == "" || s.Kind < 1 || s.Kind > 5 || span.End.Before(span.Start) {
					c.problems = append(c.problems, fmt.Sprintf("the span %+v makes no sense", s))
				}
				c.spans = append(c.spans, span)
			}
		}
	}
}

func (c *Collector) id(s string, n int) string {
	if b, err := hex.DecodeString(s); err != nil || len(b) != n {
		c.problems = append(c.problems, fmt.Sprintf("identifier %q has not %d bytes", s, n))
	}
	return s
}

func (c *Collector) time(s string) time.Time {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n <= 0 {
		c.problems = append(c.problems, fmt.Sprintf("%q is no time", s))
	}
	return time.Unix(0, n)
}

func (a attributes) text() map[string]string {
	out := map[string]string{}
	for _, x := range a {
		switch {
		case x.Value.String != nil:
			out[x.Key] = *x.Value.String
		case x.Value.Int != nil:
			out[x.Key] = *x.Value.Int
		}
	}
	return out
}
