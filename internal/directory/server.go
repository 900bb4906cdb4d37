package directory

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"net"
	"net/http"
	"net/url"
	"runtime/debug"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	"golang.org/x/net/netutil"

	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/httpserve"
	"github.com/signalbox/signalbox/internal/store"
)

// Path is where FreeSWITCH's gateway-url leads.
const Path = "/directory"

// DialString is how FreeSWITCH calls user/NAME@DOMAIN, as its vanilla configuration has it.
const DialString = "{^^:sip_invite_domain=${dialed_domain}:presence_id=${dialed_user}@${dialed_domain}}${sofia_contact(*/${dialed_user}@${dialed_domain})}"

// Result is how a look-up ended.
type Result string

// The results.
const (
	Found       Result = "found"
	NotFound    Result = "not_found"   // FreeSWITCH asks its own files
	Kept        Result = "kept"        // found in what the silent store said last
	Unavailable Result = "unavailable" // the store is silent, and of this phone nothing is kept: 503, FreeSWITCH asks its own files
	Forbidden   Result = "forbidden"   // a phone of a tenant to whom the domain does not belong; FreeSWITCH asks its own files
	Refused     Result = "refused"     // a wrong password, or no look-up at all
)

// Results are all results.
var Results = []Result{Found, NotFound, Kept, Unavailable, Forbidden, Refused}

// Changes is what the store tells of what was provisioned anew; a part of store.Profiles.
type Changes interface {
	Revision(ctx context.Context) (int64, error)
	Touched(ctx context.Context, since int64) (store.Touched, error)
}

// Options configure a Server.
type Options struct {
	Listener net.Listener // the Server closes it
	// Certificate is asked for at each handshake; nil = no TLS.
	Certificate    func(*tls.ClientHelloInfo) (*tls.Certificate, error)
	User, Password string // of FreeSWITCH's gateway-credentials
	Phones         store.Directory
	Changes        Changes // nil = nobody tells
	// Domains are those in which tenants' phones are answered, each with its tenants; those of account.OperatorTenant are in all.
	Domains    map[string][]string
	Context    string // user_context of every phone
	DialString string // "" = DialString
	Cache      time.Duration
	KeepPhones int           // what the store said last of so many phones is kept; 0 = of none
	KeepFor    time.Duration // and said again for so long while the store is silent
	Wait       time.Duration // longest wait of a look-up for the store; 0 = 150 ms
	// Took is told of each look-up; nil = nobody hears.
	Took   func(Result, time.Duration)
	Logger *zap.Logger
}

const (
	maxBody        = 64 << 10 // bytes; FreeSWITCH sends all X- headers of a REGISTER along
	maxConnections = 512
	requestTime    = 5 * time.Second
	drainTime      = 2 * time.Second
	maxUser        = 64  // bytes, as of a provisioned device
	maxDomain      = 253 // bytes
)

// Server answers look-ups.
type Server struct {
	opt         Options
	log         *zap.Logger
	phones      *phones
	http        *http.Server
	credentials [sha256.Size]byte
	warned      atomic.Pointer[time.Time] // when forbidden last did
}

// New makes a Server; Run serves.
func New(opt Options) *Server {
	if opt.Logger == nil {
		opt.Logger = zap.NewNop()
	}
	if opt.Took == nil {
		opt.Took = func(Result, time.Duration) {}
	}
	if opt.DialString == "" {
		opt.DialString = DialString
	}
	if opt.Wait == 0 {
		opt.Wait = 150 * time.Millisecond
	}
	s := &Server{opt: opt, log: opt.Logger, phones: newPhones(opt), credentials: digest(opt.User, opt.Password)}
	s.http = &http.Server{
		Handler: s, ErrorLog: zap.NewStdLog(s.log), MaxHeaderBytes: 16 << 10,
		ReadHeaderTimeout: requestTime, ReadTimeout: requestTime, WriteTimeout: 2 * requestTime, IdleTimeout: time.Minute,
	}
	return s
}

// digest makes texts of any length comparable in the same time.
func digest(user, password string) [sha256.Size]byte {
	return sha256.Sum256([]byte(user + ":" + password))
}

// Addr is where the Server listens.
func (s *Server) Addr() net.Addr { return s.opt.Listener.Addr() }

// Kept is how many phones are kept.
func (s *Server) Kept() int { return s.phones.count() }

// Run serves until ctx ends.
func (s *Server) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer s.phones.close()
	var following sync.WaitGroup
	defer following.Wait()
	defer cancel()
	if s.opt.Changes != nil {
		following.Go(func() { s.phones.follow(ctx, s.opt.Changes) })
	}
	return httpserve.Run(ctx, s.http, netutil.LimitListener(s.opt.Listener, maxConnections), s.opt.Certificate, drainTime)
}

// ServeHTTP answers one look-up.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	began := time.Now()
	result := Refused
	defer func() {
		if p := recover(); p != nil && p != http.ErrAbortHandler {
			result = Unavailable
			s.log.Error("panic in the directory", zap.Any("panic", p), zap.ByteString("stack", debug.Stack()))
			http.Error(w, "the log says more", http.StatusInternalServerError)
		}
		s.opt.Took(result, time.Since(began))
	}()
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	user, password, _ := r.BasicAuth()
	given := digest(user, password)
	switch {
	case subtle.ConstantTimeCompare(given[:], s.credentials[:]) != 1:
		h.Set("WWW-Authenticate", `Basic realm="signalbox"`)
		http.Error(w, "gateway-credentials in xml_curl.conf.xml are directory.user:directory.password of Signalbox", http.StatusUnauthorized)
		return
	case r.URL.Path != Path:
		http.Error(w, "the gateway-url ends in "+Path, http.StatusNotFound)
		return
	case r.Method != http.MethodPost:
		h.Set("Allow", http.MethodPost)
		http.Error(w, "mod_xml_curl asks with POST, unless its binding names another method", http.StatusMethodNotAllowed)
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	if err := r.ParseForm(); err != nil {
		http.Error(w, "no form, or one of over "+strconv.Itoa(maxBody)+" bytes", http.StatusBadRequest)
		return
	}
	var text []byte
	if text, result = s.lookUp(r); text == nil {
		http.Error(w, "the store does not answer, and nothing is kept of this phone", http.StatusServiceUnavailable)
		return
	}
	h.Set("Content-Type", "text/xml; charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(len(text)))
	_, _ = w.Write(text)
}

// lookUp makes the answer to a form; nil = there can be none now.
func (s *Server) lookUp(r *http.Request) ([]byte, Result) {
	user, domain, ok := asked(r.PostForm)
	if !ok {
		return []byte(notFound), NotFound
	}
	p, result, err := s.phones.find(r.Context(), user, domain)
	switch {
	case err != nil:
		return nil, result
	case p == nil:
		return []byte(notFound), result
	case p.tenant != account.OperatorTenant && !slices.Contains(s.opt.Domains[p.host], p.tenant):
		// What a tenant provisions is not to take the place of a user of FreeSWITCH's own files.
		s.forbidden(p)
		return []byte(notFound), Forbidden
	}
	return s.opt.answer(p), result
}

// forbidden says now and then whose phone was not answered.
func (s *Server) forbidden(p *phone) {
	now := time.Now()
	last := s.warned.Load()
	if (last == nil || now.Sub(*last) > time.Minute) && s.warned.CompareAndSwap(last, &now) {
		s.log.Warn("a tenant's phone is not answered: directory.domains does not name the tenant for the domain", zap.String("tenant", p.tenant), zap.String("domain", p.host))
	}
}

// asked is the phone that a form asks for. Gateways, network lists, groups and whole domains are FreeSWITCH's own business.
//
// The value of key_value is what a caller wrote into his Authorization header, and mod_xml_curl puts it into the form as it stands: a
// form that says a thing twice, and differently, asks for nobody.
func asked(f url.Values) (user, domain string, ok bool) {
	for name, want := range map[string]string{"section": "directory", "tag_name": "domain", "key_name": "name"} {
		if got, one := single(f, name); !one || got != want {
			return "", "", false
		}
	}
	user, oneUser := single(f, "user")
	domain, oneDomain := single(f, "domain")
	keyed, oneKey := single(f, "key_value")
	if !oneUser || !oneDomain || !oneKey || keyed != domain || user == "" || len(user) > maxUser || domain == "" || len(domain) > maxDomain {
		return "", "", false
	}
	// FreeSWITCH asks by several keys in turn, and adds each to what it asked before.
	keys := f["key"]
	return user, domain, len(keys) == 0 || keys[len(keys)-1] == "id"
}

// single is the one value of a field.
func single(f url.Values, name string) (string, bool) {
	values := f[name]
	for _, v := range values {
		if v != values[0] {
			return "", false
		}
	}
	return f.Get(name), true
}
