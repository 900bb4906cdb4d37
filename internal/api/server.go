package api

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"
	"golang.org/x/net/netutil"

	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/call"
	"github.com/signalbox/signalbox/internal/httpserve"
	"github.com/signalbox/signalbox/internal/provision"
	"github.com/signalbox/signalbox/internal/store"
)

// Requests are provisioning requests; *provision.Provisioner.
type Requests interface {
	Submit(ctx context.Context, tenant string, r provision.Request) (provision.Status, error)
	Status(ctx context.Context, tenant, id string) (provision.Status, error)
	Wait(ctx context.Context, tenant, id string) (provision.Status, error)
	List(ctx context.Context, tenant, user string, before int64, limit int) (provision.Page, error)
	Retry(ctx context.Context, tenant, id string) (provision.Status, error)
	Profile(ctx context.Context, tenant, user string) (*provision.Profile, error)
	Permitted(ctx context.Context, tenant string, n *account.NumberEntry) error
	Change(ctx context.Context, tenant string, c store.Change) ([]store.Row, error)
}

// Meter hears of requests; telemetry.API is one.
type Meter interface {
	// Request is told of each request that a route answered.
	Request(route, method string, status int, took time.Duration)
	// Refused is told of each request that no route answered, with the reason.
	Refused(reason string)
}

// Book is what there is to address books beside their rows.
type Book interface {
	store.ContactLog
	store.Forgetting
}

// Options configure a Server.
type Options struct {
	Listener net.Listener // the Server closes it
	// Certificate is asked for at each handshake; nil = no TLS.
	Certificate func(*tls.ClientHelloInfo) (*tls.Certificate, error)
	Rows        store.Rows
	Tokens      store.Tokens
	Records     store.TenantRecords
	Book        Book
	Messages    Messages // nil = nobody can be invited
	Requests    Requests
	// Rooms are the conferences of hosts, RoomRows what is kept of them, Contacts whom a host may call; nil = there are none.
	Rooms    Rooms
	RoomRows store.Rooms
	Contacts store.Contacts
	// Explain plans a call without placing it.
	Explain func(ctx context.Context, a call.Arrival) (call.Plan, error)
	// Counts returns a number's messages; nil = nobody counts them.
	Counts func(ctx context.Context, number string) (Counts, error)
	Region string // in which national numbers are read
	Rate   int    // requests a second of one token
	Meter  Meter  // nil = nobody hears
	Logger *zap.Logger
}

const (
	maxConnections = 512
	maxAtOnce      = 256              // requests; one more gets 503
	requestTime    = 20 * time.Second // for one request
	waitFor        = 2 * time.Second  // for a provisioning request that was just sent
	drainTime      = 5 * time.Second  // that requests under way have when the process stops
	failRate       = 0.2              // tokens a second that one address may get wrong, after failBurst
	failBurst      = 10
)

// Server answers the API.
type Server struct {
	opt    Options
	log    *zap.Logger
	routes []route
	mux    *http.ServeMux
	http   *http.Server
	room   chan struct{}

	streams  chan struct{}
	follows  follows
	stopping chan struct{} // closed when the Server shuts down
	files    chan struct{} // a place for each file that is read

	tokens, addresses, failures *limiter
}

// New makes a Server; Run serves.
func New(opt Options) *Server {
	s := &Server{
		opt: opt, log: opt.Logger, room: make(chan struct{}, maxAtOnce), streams: make(chan struct{}, maxStreams), stopping: make(chan struct{}), files: make(chan struct{}, importsAtOnce),
		tokens:    newLimiter(float64(opt.Rate), 2*float64(opt.Rate)),
		addresses: newLimiter(4*float64(opt.Rate), 8*float64(opt.Rate)),
		failures:  newLimiter(failRate, failBurst),
	}
	if s.log == nil {
		s.log = zap.NewNop()
	}
	if s.opt.Meter == nil {
		s.opt.Meter = silent{}
	}
	s.routes = s.table()
	s.mux = s.newMux()
	s.http = &http.Server{
		Handler: s, ErrorLog: zap.NewStdLog(s.log), MaxHeaderBytes: 16 << 10,
		ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 15 * time.Second, WriteTimeout: 2 * requestTime, IdleTimeout: 2 * time.Minute,
	}
	s.http.RegisterOnShutdown(sync.OnceFunc(func() { close(s.stopping) }))
	return s
}

type silent struct{}

func (silent) Request(string, string, int, time.Duration) {}
func (silent) Refused(string)                             {}

func tokenField(id string) zap.Field { return zap.String("token", id) }
func errField(err error) zap.Field   { return zap.Error(err) }

// Addr is where the Server listens.
func (s *Server) Addr() net.Addr { return s.opt.Listener.Addr() }

// Run serves until ctx ends; requests under way have a few seconds then.
func (s *Server) Run(ctx context.Context) error {
	return httpserve.Run(ctx, s.http, netutil.LimitListener(s.opt.Listener, maxConnections), s.opt.Certificate, drainTime)
}

// ServeHTTP answers one request, within all bounds.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	began := time.Now()
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'")
	answer := &response{ResponseWriter: w}
	defer func() {
		if p := recover(); p != nil && p != http.ErrAbortHandler {
			s.log.Error("panic in the API", zap.Any("panic", p), zap.ByteString("stack", debug.Stack()))
			if answer.status == 0 {
				writeProblem(answer, problem("internal", "the operator's log says more"))
			}
		}
	}()
	if wait := s.addresses.take(addressKey(r.RemoteAddr), began); wait > 0 {
		s.refuse(answer, "address_rate", problem("rate", "your address asks too often").retryAfter(wait))
		return
	}
	room, ctx := s.room, r.Context()
	if isStream(r) { // its followers stay, and leave room for others
		room = s.streams
	} else {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, requestTime)
		defer cancel()
	}
	select {
	case room <- struct{}{}:
		defer func() { <-room }()
	default:
		s.refuse(answer, "busy", problem("unavailable", "too many requests are being answered: try again").retryAfter(time.Second))
		return
	}
	s.mux.ServeHTTP(answer, r.WithContext(ctx))
}

func (s *Server) refuse(w http.ResponseWriter, reason string, p *Problem) {
	s.opt.Meter.Refused(reason)
	writeProblem(w, p)
}

// response knows the status that was sent.
type response struct {
	http.ResponseWriter
	status int
}

func (r *response) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

// Unwrap is for http.ResponseController.
func (r *response) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// newMux makes a way for each route, and an answer for every path and method that is none.
func (s *Server) newMux() *http.ServeMux {
	mux := http.NewServeMux()
	methods := map[string][]string{}
	for _, r := range s.routes {
		mux.Handle(r.method+" "+r.path, s.handler(r))
		methods[r.path] = append(methods[r.path], r.method)
	}
	for path, known := range methods {
		allow := strings.Join(known, ", ")
		mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) {
			s.refuse(w, "method", problem("method", "here there are %s", allow).with("Allow", allow))
		})
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		s.refuse(w, "no_route", problem("not-found", "there is no such path: /openapi.json lists all, /docs explains them"))
	})
	return mux
}

// request is one request on its way through a route.
type request struct {
	*http.Request
	server *Server
	token  store.Token
	tenant string // whose rows it is about
	body   any    // the tree of the body
	raw    []byte // the body, of a route that takes a file
	media  string // what the file is
}

// result is what a route answers.
type result struct {
	status int // 0 = 200, or 204 when there is no body
	body   any // JSON; a json.RawMessage stands for itself
	etag   string
	header map[string]string
}

func (s *Server) handler(route route) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began := time.Now()
		q := &request{Request: r, server: s}
		err := s.admit(w, route, q)
		var res result
		switch {
		case err != nil:
		case route.media != nil:
			err = s.heavy(func() error {
				if q.raw, q.media, err = readFile(w, r, route.media); err == nil {
					res, err = route.do(q)
				}
				return err
			})
		default:
			res, err = route.do(q)
		}
		if err != nil {
			p, ours := problemOf(err)
			if ours && r.Context().Err() == nil {
				s.log.Error("the API cannot answer", zap.String("route", route.path), zap.String("method", route.method), zap.String("tenant", q.tenant), zap.Error(err))
			}
			writeProblem(w, p)
		} else {
			s.write(w, r, res)
		}
		status := w.(*response).status
		took := time.Since(began)
		s.opt.Meter.Request(route.path, route.method, status, took)
		if route.method != http.MethodGet && q.token.ID != "" {
			s.log.Info("API", zap.String("route", route.path), zap.String("method", route.method), zap.String("tenant", q.tenant),
				tokenField(q.token.ID), zap.Int("status", status), zap.Duration("took", took))
		}
	})
}

// admit finds out who asks, whether he may, and what he sends.
func (s *Server) admit(w http.ResponseWriter, route route, q *request) error {
	if route.scope != "" {
		if err := s.identify(route, q); err != nil {
			return err
		}
	}
	if err := route.checkQuery(q.Request); err != nil {
		return err
	}
	if err := checkText(q.Request); err != nil {
		return err
	}
	if route.body == nil {
		return nil
	}
	text, err := readBody(w, q.Request)
	if err != nil {
		return err
	}
	q.body, err = parse(text)
	return err
}

func (s *Server) identify(route route, q *request) error {
	now, from := time.Now(), addressKey(q.RemoteAddr)
	token, err := s.authenticate(q.Context(), q.Request, now)
	if err != nil {
		var p *Problem
		if !errors.As(err, &p) {
			return err
		}
		// Good tokens go on: behind one address may be others than who guesses.
		if wait := s.failures.take(from, now); wait > 0 {
			s.opt.Meter.Refused("guessing")
			return problem("rate", "too many unknown tokens came from your address").retryAfter(wait)
		}
		s.opt.Meter.Refused("unauthorized")
		return err
	}
	q.token, q.tenant = token, token.Tenant
	if wait := s.tokens.take(token.ID, now); wait > 0 {
		s.opt.Meter.Refused("token_rate")
		return problem("rate", "your token asks too often").retryAfter(wait)
	}
	if token.Account != "" && (q.PathValue("account") != token.Account || !ofAccount(route)) {
		return problem("forbidden", "the token reaches what is below /accounts/%s alone", token.Account)
	}
	if !may(token, route.scope) {
		return problem("forbidden", "this needs a token with scope %s", route.scope)
	}
	if other := q.URL.Query().Get("tenant"); other != "" && other != q.tenant {
		if !isAdmin(token) {
			return problem("forbidden", "only a token of the operator with scope admin may name a tenant")
		}
		q.tenant = other
	}
	if ofAllNumbers(route) {
		return q.mayWriteAccount(q.PathValue("account"))
	}
	return nil
}

func (s *Server) write(w http.ResponseWriter, r *http.Request, res result) {
	h := w.Header()
	for name, value := range res.header {
		h.Set(name, value)
	}
	if res.etag != "" {
		h.Set("ETag", res.etag)
		if r.Method == http.MethodGet && matches(r.Header.Get("If-None-Match"), res.etag) {
			w.WriteHeader(http.StatusNotModified)
			return
		}
	}
	if res.body == nil {
		w.WriteHeader(max(res.status, http.StatusNoContent))
		return
	}
	if stream, ok := res.body.(stream); ok {
		h.Set("Content-Type", "text/event-stream")
		h.Set("X-Accel-Buffering", "no")
		w.WriteHeader(http.StatusOK)
		stream(w, r)
		return
	}
	if page, ok := res.body.(page); ok {
		h.Set("Content-Type", page.media)
		h.Set("Content-Length", strconv.Itoa(len(page.text)))
		w.WriteHeader(http.StatusOK)
		_, _ = w.Write(page.text)
		return
	}
	h.Set("Content-Type", "application/json")
	w.WriteHeader(max(res.status, http.StatusOK))
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(res.body); err != nil && r.Context().Err() == nil {
		s.log.Warn("an answer of the API was not sent whole", zap.Error(err))
	}
}

// page is an answer that is no JSON, or is JSON already.
type page struct {
	media string
	text  []byte
}

// matches reports whether a list of entity tags has one.
func matches(list, etag string) bool {
	for one := range strings.SplitSeq(list, ",") {
		if one = strings.TrimSpace(one); one == "*" || strings.TrimPrefix(one, "W/") == etag {
			return true
		}
	}
	return false
}
