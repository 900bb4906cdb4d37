package provision

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/store"
	"github.com/signalbox/signalbox/internal/tel"
	"github.com/signalbox/signalbox/internal/vmadmin"
	"github.com/signalbox/signalbox/internal/webhook"
)

// Errors of Provisioner. Those of package store come through as they are.
var (
	// ErrOtherBody means that the tenant sent another request under the same ID before.
	ErrOtherBody = errors.New("a request of that id was sent before, with another body")
	// ErrNewer means that a failed request cannot be tried again, because the user has a younger one.
	ErrNewer = errors.New("it is not finished, or its user profile has a newer request: send a new one")
)

// Store is what a Provisioner needs of a store.
type Store interface {
	store.Rows
	store.Profiles
	store.Requests
	store.Mailboxes
}

// Meter hears what happens; telemetry.Provision is one.
type Meter interface {
	// Finished is told of each request: how long it took from its arrival, and how each of its services ended.
	Finished(service, result string, took time.Duration)
	// Failed is told which step made a request fail.
	Failed(step string)
	// Webhook is told of each try to tell a tenant: "taken", "refused" or "given up".
	Webhook(result string)
	// Mailbox is told of each request to a voicemail system: "put" or "delete", "ok" or "error".
	Mailbox(operation, result string)
}

// Options configure a Provisioner.
type Options struct {
	Rows         store.Rows
	Profiles     store.Profiles // what a call would read
	Requests     store.Requests
	Mailboxes    store.Mailboxes
	Systems      vmadmin.Systems            // that are told of their mailboxes
	DefaultPilot string                     // of requests that name none; "" = the only one
	Retention    time.Duration              // how long the mailbox of somebody who was removed stays
	Hooks        map[string]webhook.Options // by tenant
	Instance     string                     // names this process in leases
	Exclusive    bool                       // no other process works on the store's requests
	// ClearLamp puts the message lamp of a number out that has lost its mailbox; nil = nobody has a lamp.
	ClearLamp func(ctx context.Context, tenant, number string) error
	// Phones finds the numbers that a phone rings for; nil = every tenant may name every phone.
	Phones interface {
		NumbersOf(ctx context.Context, user, host string) ([]tel.Number, error)
	}
	// Names finds the number that has a mailbox of another name; nil = the names of mailboxes are known from the systems that are told of
	// theirs alone.
	Names interface {
		NumberOfMailbox(ctx context.Context, tenant, mailbox string) (tel.Number, error)
	}
	Meter  Meter // nil = nobody hears
	Logger *zap.Logger
}

const (
	workers = 8                // requests that are worked on at once
	lease   = 45 * time.Second // of a request; renewed before each step, which takes less
	lookFor = 2 * time.Second  // how often it is looked for requests that nobody told us of
)

// Provisioner takes provisioning requests and does them.
type Provisioner struct {
	opt   Options
	log   *zap.Logger
	hooks map[string]*webhook.Hook
	kick  chan struct{} // there are requests to do
	news  chan struct{} // tenants are to be told
	sweep chan struct{} // mailboxes are due

	mu      sync.Mutex
	waiting map[key][]chan struct{} // closed when a request is finished

	boxes boxLocks // held by who reads a mailbox's row and tells its system
}

type key struct{ tenant, id string }

// New makes a Provisioner. It takes requests at once, and does them while Run runs.
func New(opt Options) (*Provisioner, error) {
	s := &Provisioner{opt: opt, log: opt.Logger, hooks: map[string]*webhook.Hook{}, kick: make(chan struct{}, 1), news: make(chan struct{}, 1), sweep: make(chan struct{}, 1), waiting: map[key][]chan struct{}{}}
	if s.log == nil {
		s.log = zap.NewNop()
	}
	if s.opt.Meter == nil {
		s.opt.Meter = silent{}
	}
	for tenant, h := range opt.Hooks {
		hook, err := webhook.New(h)
		if err != nil {
			return nil, err
		}
		s.hooks[tenant] = hook
	}
	return s, nil
}

type silent struct{}

func (silent) Finished(string, string, time.Duration) {}
func (silent) Failed(string)                          {}
func (silent) Webhook(string)                         {}
func (silent) Mailbox(string, string)                 {}

// Submit checks a request and keeps it, to be done. The same request again is no new one: its status is returned. The error is an
// *Invalid, ErrOtherBody, or one of the store.
func (s *Provisioner) Submit(ctx context.Context, tenant string, r Request) (Status, error) {
	r, err := r.normalize()
	if err != nil {
		return Status{}, err
	}
	body, hash, err := r.encode()
	if err != nil {
		return Status{}, err
	}
	switch known, err := s.opt.Requests.Request(ctx, tenant, r.ID); {
	case err == nil:
		return s.same(known, hash)
	case !errors.Is(err, store.ErrNotFound):
		return Status{}, err
	}
	if err := s.check(ctx, tenant, r); err != nil {
		return Status{}, err
	}
	p := progress{Status: Queued}
	for _, service := range r.Services {
		p.Services = append(p.Services, ServiceResult{Type: service.Type, Status: Queued})
	}
	text, err := json.Marshal(p)
	if err != nil {
		return Status{}, err
	}
	now := time.Now()
	kept, added, err := s.opt.Requests.AddRequest(ctx, store.Request{
		Tenant: tenant, ID: r.ID, User: r.UserProfile, Hash: hash, Body: body, Progress: text, Open: true, Created: now, Updated: now, Due: now,
	})
	if err != nil {
		return Status{}, err
	}
	if !added {
		return s.same(kept, hash)
	}
	s.wake(s.kick)
	return statusOf(kept)
}

func (s *Provisioner) same(known store.Request, hash [32]byte) (Status, error) {
	if known.Hash != hash {
		return Status{}, ErrOtherBody
	}
	return statusOf(known)
}

// check decides a request on what is now, unless an older one of the user is about to change that: then it is decided at its turn.
func (s *Provisioner) check(ctx context.Context, tenant string, r Request) error {
	before, err := s.opt.Requests.Requests(ctx, tenant, r.UserProfile, 0, 1)
	if err != nil || len(before) > 0 && before[0].Open {
		return err
	}
	_, err = s.plan(ctx, tenant, r, false)
	return err
}

// Status returns a request; store.ErrNotFound.
func (s *Provisioner) Status(ctx context.Context, tenant, id string) (Status, error) {
	row, err := s.opt.Requests.Request(ctx, tenant, id)
	if err != nil {
		return Status{}, err
	}
	return statusOf(row)
}

// Wait returns a request as soon as it is finished, or as it is when ctx ends.
func (s *Provisioner) Wait(ctx context.Context, tenant, id string) (Status, error) {
	done := make(chan struct{})
	k := key{tenant, id}
	s.mu.Lock()
	s.waiting[k] = append(s.waiting[k], done)
	s.mu.Unlock()
	defer s.forget(k, done)
	again := time.NewTicker(lookFor / 4) // another process may be the one that does it
	defer again.Stop()
	for {
		row, err := s.opt.Requests.Request(context.WithoutCancel(ctx), tenant, id)
		if err != nil || !row.Open || ctx.Err() != nil {
			if err != nil {
				return Status{}, err
			}
			return statusOf(row)
		}
		select {
		case <-done:
			done = nil // looked at once more, at once; then only now and then
		case <-again.C:
		case <-ctx.Done():
		}
	}
}

func (s *Provisioner) forget(k key, done chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	left := s.waiting[k][:0]
	for _, c := range s.waiting[k] {
		if c != done {
			left = append(left, c)
		}
	}
	if s.waiting[k] = left; len(left) == 0 {
		delete(s.waiting, k)
	}
}

func (s *Provisioner) finished(k key) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.waiting[k] {
		close(c)
	}
	delete(s.waiting, k)
}

// Page is requests, newest first; Next names those that follow, 0 = none.
type Page struct {
	Requests []Status
	Next     int64
}

// List returns a tenant's requests, newest first, those before a mark (0 = from the newest); user "" = of all.
func (s *Provisioner) List(ctx context.Context, tenant, user string, before int64, limit int) (Page, error) {
	rows, err := s.opt.Requests.Requests(ctx, tenant, user, before, limit)
	if err != nil {
		return Page{}, err
	}
	page := Page{Requests: []Status{}}
	for _, row := range rows {
		status, err := statusOf(row)
		if err != nil {
			return Page{}, err
		}
		page.Requests = append(page.Requests, status)
	}
	if len(rows) == limit {
		page.Next = rows[len(rows)-1].Seq
	}
	return page, nil
}

// Retry does a request that failed again; store.ErrNotFound, or ErrNewer. One that is done is returned as it is.
func (s *Provisioner) Retry(ctx context.Context, tenant, id string) (Status, error) {
	row, err := s.opt.Requests.Request(ctx, tenant, id)
	if err != nil {
		return Status{}, err
	}
	if _, p, err := read(row); err != nil || p.Status != Failed {
		return s.Status(ctx, tenant, id)
	}
	row, err = s.opt.Requests.ReopenRequest(ctx, tenant, id, time.Now())
	if errors.Is(err, store.ErrConflict) {
		return Status{}, ErrNewer
	}
	if err != nil {
		return Status{}, err
	}
	s.wake(s.kick)
	return statusOf(row)
}

// Profile returns the routing profile of a user as it is now; store.ErrNotFound.
func (s *Provisioner) Profile(ctx context.Context, tenant, user string) (*Profile, error) {
	row, err := s.opt.Rows.Get(ctx, tenant, account.KindAccount, user)
	if err != nil {
		return nil, err
	}
	rows, err := s.all(ctx, tenant, account.KindNumber, user)
	if err != nil {
		return nil, err
	}
	var numbers []*account.NumberEntry
	for _, n := range rows {
		numbers = append(numbers, n.Entry.(*account.NumberEntry))
	}
	version, err := s.version(ctx, tenant, user, 0)
	if err != nil {
		return nil, err
	}
	return NewProfile(row.Entry.(*account.AccountEntry), numbers, version), nil
}

// version is how often requests have changed a user, until one that came before a mark.
func (s *Provisioner) version(ctx context.Context, tenant, user string, before int64) (int64, error) {
	for {
		rows, err := s.opt.Requests.Requests(ctx, tenant, user, before, 10)
		if err != nil || len(rows) == 0 {
			return 0, err
		}
		for _, row := range rows {
			if !row.Open {
				return row.Version, nil
			}
			before = row.Seq
		}
	}
}

// Permitted refuses a number's row that reaches what may be another tenant's: a mailbox or a phone. The error is an *Invalid. The
// operator may do all.
func (s *Provisioner) Permitted(ctx context.Context, tenant string, n *account.NumberEntry) error {
	bad := &Invalid{}
	ok, err := s.mayUse(ctx, tenant, n)
	if err != nil {
		return err
	}
	if !ok {
		bad.add("/voicemail/mailbox", "%.40q may be somebody else's: name a number of the same account, or nothing", n.Voicemail.Mailbox)
	}
	if err := s.ownPhones(ctx, tenant, n.Devices, bad); err != nil {
		return err
	}
	return bad.err()
}

// ownPhones adds a problem for each phone that rings for numbers of another tenant.
func (s *Provisioner) ownPhones(ctx context.Context, tenant string, devices []account.DeviceEntry, bad *Invalid) error {
	if tenant == account.OperatorTenant || s.opt.Phones == nil {
		return nil
	}
	for i, d := range devices {
		if d.Kind == account.DeviceURI || i >= account.MaxDevices {
			continue
		}
		numbers, err := s.opt.Phones.NumbersOf(ctx, d.User, d.Host)
		if err != nil {
			return err
		}
		for _, n := range numbers {
			if _, err := s.opt.Rows.Get(ctx, tenant, account.KindNumber, string(n)); errors.Is(err, store.ErrNotFound) {
				bad.add(fmt.Sprintf("/devices/%d/user", i), "%.40q at %.60q is somebody else's phone", d.User, d.Host)
				break
			} else if err != nil {
				return err
			}
		}
	}
	return nil
}

// mayUse says whether a tenant's number may have the mailbox that its row names. Voicemail systems tell mailboxes apart by their
// names alone, so at one that several tenants use the name is that of a number of the same account, or nobody would keep a tenant
// from reading another's messages. At systems of one's own every name is good.
func (s *Provisioner) mayUse(ctx context.Context, tenant string, n *account.NumberEntry) (bool, error) {
	v := n.Voicemail
	if tenant == account.OperatorTenant || v == nil || v.Mailbox == "" || v.Mailbox == n.Number {
		return true, nil
	}
	row, err := s.opt.Rows.Get(ctx, tenant, account.KindNumber, v.Mailbox)
	if err == nil && row.Entry.(*account.NumberEntry).Account == n.Account {
		return true, nil
	}
	mailboxes, err := s.opt.Mailboxes.MailboxesOf(ctx, tenant, n.Account)
	if err != nil {
		return false, err
	}
	for _, m := range mailboxes {
		if m.ID == v.Mailbox {
			return true, nil
		}
	}
	p, err := s.pilot(ctx, tenant, v.Pilot)
	if errors.Is(err, store.ErrNotFound) {
		return true, nil // the pilot is at fault, and is named so
	}
	return p.private, err
}

func (s *Provisioner) wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// statusKept bounds for how long finished requests are kept.
const statusKept = 90 * 24 * time.Hour

func (s *Provisioner) tenantHook(tenant string) *webhook.Hook {
	return s.hooks[cmp.Or(tenant, account.OperatorTenant)]
}
