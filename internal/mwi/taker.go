package mwi

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/caught"
	"github.com/signalbox/signalbox/internal/store"
	"github.com/signalbox/signalbox/internal/tel"
)

// lookAgain is how often the list of voicemail systems is compared with the store's.
const lookAgain = time.Second

// TakerStore is what a Taker needs of the store.
type TakerStore interface {
	Profile(ctx context.Context, number tel.Number) (account.Profile, error)
	Revision(ctx context.Context) (int64, error)
	SetWaiting(ctx context.Context, w store.Waiting) error
	NumberOfMailbox(ctx context.Context, tenant, mailbox string) (tel.Number, error)
	Notifiers(ctx context.Context) ([]store.Notifier, error)
}

// TakerOptions of a Taker.
type TakerOptions struct {
	Store  TakerStore
	Region string              // where national numbers are read
	Took   func()              // called after a summary was kept, so that a Keeper in this process need not wait; may be nil
	Result func(result string) // told how each NOTIFY ended, in a word; may be nil
	Logger *zap.Logger
}

// Notice is what a NOTIFY with a message-summary says.
type Notice struct {
	Source netip.AddrPort
	User   string // of the Request-URI
	From   string // host of From: how the system calls itself
	Body   []byte
	Time   time.Time
}

// Taker takes the summaries that a proxy is sent.
type Taker struct {
	opt       TakerOptions
	log       *zap.Logger
	notifiers atomic.Pointer[[]store.Notifier]
	revision  int64 // of the list; of Run alone
	orders    orders
}

// NewTaker makes a Taker that knows no system; Run finds them.
func NewTaker(o TakerOptions) *Taker {
	t := &Taker{opt: o, log: o.Logger, revision: -1}
	if t.log == nil {
		t.log = zap.NewNop()
	}
	t.notifiers.Store(&[]store.Notifier{})
	return t
}

var errBroke = errors.New("the look itself broke")

// Run keeps the list of voicemail systems until ctx ends.
func (t *Taker) Run(ctx context.Context) error {
	again := time.NewTicker(lookAgain)
	defer again.Stop()
	for failed := false; ; {
		err := t.look(ctx)
		if err != nil && !failed && ctx.Err() == nil {
			t.log.Warn("the store does not say which voicemail systems send message counts; the list stays as it was", zap.Error(err))
		}
		failed = err != nil
		select {
		case <-ctx.Done():
			return nil
		case <-again.C:
		}
	}
}

func (t *Taker) look(ctx context.Context) (err error) {
	defer caught.Panic(t.log, "reading which voicemail systems send message counts", func() { err = errBroke })
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	revision, err := t.opt.Store.Revision(ctx)
	if err != nil || revision == t.revision {
		return err
	}
	list, err := t.opt.Store.Notifiers(ctx)
	if err != nil {
		return err
	}
	t.revision = revision
	t.notifiers.Store(&list)
	return nil
}

// Known reports whether a voicemail system may send from an address. It does not block.
func (t *Taker) Known(addr netip.Addr) bool { return len(t.from(addr)) > 0 }

// from lists the systems that may send from an address.
func (t *Taker) from(addr netip.Addr) (out []store.Notifier) {
	for _, n := range *t.notifiers.Load() {
		if slices.ContainsFunc(n.From, func(p netip.Prefix) bool { return p.Contains(addr.Unmap()) }) {
			out = append(out, n)
		}
	}
	return out
}

// Take keeps what a NOTIFY says, and answers it: 200, 400 for what is no summary, 403 for a system that may not speak for the number, 404 for a
// mailbox that nobody has, 503 when the store is silent.
func (t *Taker) Take(ctx context.Context, n Notice) int {
	code, result := t.take(ctx, n)
	if t.opt.Result != nil {
		t.opt.Result(result)
	}
	return code
}

func (t *Taker) take(ctx context.Context, n Notice) (code int, result string) {
	systems := t.from(n.Source.Addr())
	if len(systems) == 0 {
		return 403, "forbidden"
	}
	mailbox, counts, err := ParseBody(n.Body)
	if err != nil {
		t.log.Warn("message summary not read", zap.Stringer("source", n.Source), zap.Error(err))
		return 400, "malformed"
	}
	number, err := t.number(ctx, mailbox, n.User, systems)
	switch {
	case errors.Is(err, store.ErrNotFound):
		t.log.Info("message summary of a mailbox that no number has", zap.Stringer("source", n.Source), zap.String("system", systems[0].FQDN))
		return 404, "unknown"
	case err != nil:
		return 503, "unavailable"
	}
	profile, err := t.opt.Store.Profile(ctx, number)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return 404, "unknown"
	case err != nil:
		return 503, "unavailable"
	}
	system := speaker(systems, profile, n.From)
	if system == "" {
		t.log.Warn("a voicemail system of another tenant speaks for a number", zap.Stringer("source", n.Source), zap.String("number", number.Masked()))
		return 403, "forbidden"
	}
	kept, err := t.orders.keep(ctx, string(number)+" "+system, n.Time, func() error {
		return t.opt.Store.SetWaiting(ctx, store.Waiting{Number: number, System: system, Counts: counts, At: n.Time})
	})
	if err != nil {
		t.log.Warn("message counts not kept", zap.String("number", number.Masked()), zap.Error(err))
		return 503, "unavailable"
	}
	if kept && t.opt.Took != nil {
		t.opt.Took()
	}
	return 200, "taken"
}

// number finds whose mailbox a summary is about: Message-Account, else the Request-URI, as a number or as the mailbox's own name.
func (t *Taker) number(ctx context.Context, mailbox, user string, systems []store.Notifier) (tel.Number, error) {
	if mailbox != "" {
		user = userOf(mailbox)
	}
	if number, err := tel.ParseNumber(user, t.opt.Region); err == nil {
		if _, err := t.opt.Store.Profile(ctx, number); !errors.Is(err, store.ErrNotFound) {
			return number, err
		}
	}
	var tenants []string // who may speak from there
	for _, s := range systems {
		if s.Tenant == account.OperatorTenant {
			tenants = []string{""} // its systems serve every tenant
			break
		}
		if !slices.Contains(tenants, s.Tenant) {
			tenants = append(tenants, s.Tenant)
		}
	}
	var found tel.Number
	for _, tenant := range tenants {
		number, err := t.opt.Store.NumberOfMailbox(ctx, tenant, user)
		switch {
		case errors.Is(err, store.ErrNotFound):
		case err != nil:
			return "", err
		case found != "": // a name that two tenants use names nobody
			return "", store.ErrNotFound
		default:
			found = number
		}
	}
	if found == "" {
		return "", store.ErrNotFound
	}
	return found, nil
}

// userOf is the user of "sip:user@host", or what stands there without a scheme.
func userOf(uri string) string {
	uri = strings.Trim(uri, "<> ")
	if i := strings.IndexByte(uri, ':'); i >= 0 {
		uri = uri[i+1:]
	}
	user, _, _ := strings.Cut(uri, "@")
	user, _, _ = strings.Cut(user, ";")
	return user
}

// speaker names the system, of those that may send from an address, that speaks for a number: the one that calls itself so, else one of
// the number's pilot. "" = none may: they are another tenant's.
func speaker(systems []store.Notifier, p account.Profile, host string) string {
	best, score := "", 0
	for _, n := range systems {
		if n.Tenant != p.Account.Tenant && n.Tenant != account.OperatorTenant {
			continue
		}
		s := 1
		if slices.ContainsFunc(p.Systems, func(v account.VoicemailSystem) bool { return v.FQDN == n.FQDN }) {
			s++
		}
		if strings.EqualFold(host, n.FQDN) {
			s += 2
		}
		if s > score {
			best, score = n.FQDN, s
		}
	}
	return best
}
