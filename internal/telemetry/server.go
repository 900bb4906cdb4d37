package telemetry

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/pprof"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.uber.org/zap"

	"github.com/signalbox/signalbox/internal/heapsample"
	"github.com/signalbox/signalbox/internal/httpserve"
)

const (
	maxScrapes   = 4 // scrapes at one time; one more gets 503
	scrapeTime   = 10 * time.Second
	shutdownTime = time.Second
)

// ServerOptions configure a Server.
type ServerOptions struct {
	Listener net.Listener        // the Server closes it
	Alive    *Checks             // /healthz: does the process do its work at all?
	Ready    *Checks             // /readyz: can it take calls?
	Metrics  prometheus.Gatherer // /metrics
	Pprof    bool                // /debug/pprof/ is there
	Logger   *zap.Logger
}

// Server answers an operator's questions by HTTP. It authenticates nobody and changes nothing: whom it may answer is decided by
// where it listens.
type Server struct {
	listener net.Listener
	http     *http.Server
}

// NewServer makes a Server; Run serves.
func NewServer(o ServerOptions) *Server {
	log := o.Logger
	if log == nil {
		log = zap.NewNop()
	}
	mux := http.NewServeMux()
	mux.Handle("GET /healthz", checksHandler(o.Alive))
	mux.Handle("GET /readyz", checksHandler(o.Ready))
	mux.Handle("GET /metrics", promhttp.HandlerFor(o.Metrics, promhttp.HandlerOpts{
		ErrorLog: zap.NewStdLog(log), ErrorHandling: promhttp.ContinueOnError, MaxRequestsInFlight: maxScrapes, Timeout: scrapeTime,
	}))
	if o.Pprof {
		heapsample.On()
		mux.HandleFunc("/debug/pprof/", pprof.Index)
		mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
		mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
		mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	}
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprintln(w, "signalbox: /healthz /readyz /metrics")
	})
	return &Server{listener: o.Listener, http: &http.Server{
		Handler: mux, ErrorLog: zap.NewStdLog(log), MaxHeaderBytes: 16 << 10,
		ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: 2 * time.Minute, IdleTimeout: 2 * time.Minute,
	}}
}

// Addr is where the server listens.
func (s *Server) Addr() net.Addr { return s.listener.Addr() }

// Run serves until ctx ends; requests under way have a second then.
func (s *Server) Run(ctx context.Context) error {
	if err := httpserve.Run(ctx, s.http, s.listener, nil, shutdownTime); err != nil {
		return fmt.Errorf("http.listen: %w", err)
	}
	return nil
}

// checksHandler answers 200 when all that is needed is in order, else 503; as JSON to who asks for it, else as text.
func checksHandler(checks *Checks) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		report := checks.Report(r.Context())
		code := http.StatusOK
		if report.Status == Failed {
			code = http.StatusServiceUnavailable
		}
		w.Header().Set("Cache-Control", "no-store")
		if wantsJSON(r) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(code)
			enc := json.NewEncoder(w)
			enc.SetIndent("", "  ")
			_ = enc.Encode(report)
			return
		}
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.WriteHeader(code)
		_, _ = fmt.Fprint(w, report.text())
	})
}

func wantsJSON(r *http.Request) bool {
	return r.URL.Query().Get("format") == "json" || strings.Contains(r.Header.Get("Accept"), "application/json")
}

// text is a report for people: the status, then a line for each check.
func (r Report) text() string {
	var b strings.Builder
	fmt.Fprintln(&b, r.Status)
	for _, c := range r.Checks {
		switch {
		case c.OK:
			fmt.Fprintf(&b, "  ok      %s\n", c.Name)
		case c.Advisory:
			fmt.Fprintf(&b, "  warning %s: %s\n", c.Name, c.Detail)
		default:
			fmt.Fprintf(&b, "  FAILED  %s: %s\n", c.Name, c.Detail)
		}
	}
	return b.String()
}
