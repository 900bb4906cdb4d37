package directory

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/caught"
	"github.com/signalbox/signalbox/internal/store"
)

const (
	maxReads   = 64              // of the store, under way at once
	readTime   = 5 * time.Second // bounds one, also when nobody waits for it any more
	changesGap = time.Second     // between two looks for what was provisioned anew
)

// phones answers from the store, and while that is silent from memory. It is safe for concurrent use.
type phones struct {
	store   store.Directory
	wait    time.Duration
	size    int           // phones kept; the one asked for longest ago is dropped
	keepFor time.Duration // since the store said it last
	log     *zap.Logger

	reads   context.Context // ends with close
	end     context.CancelFunc
	running sync.WaitGroup

	mu     sync.Mutex
	closed bool
	silent bool // the last read failed, or somebody waited for one in vain
	items  map[string]*list.Element
	order  *list.List // of *kept, the one asked for last first
	flying map[string]*read
	fresh  time.Time // what a read that began before brings is not kept: something was provisioned anew since
}

// kept is what the store said last of a phone.
type kept struct {
	key   string
	phone *phone
	at    time.Time
}

// read is one read of the store.
type read struct {
	begun time.Time
	done  chan struct{}
	phone *phone // nil = there is no such phone; set before done is closed, as err is
	err   error
}

func newPhones(o Options) *phones {
	p := &phones{
		store: o.Phones, wait: o.Wait, size: o.KeepPhones, keepFor: o.KeepFor, log: o.Logger,
		items: map[string]*list.Element{}, order: list.New(), flying: map[string]*read{},
	}
	p.reads, p.end = context.WithCancel(context.Background())
	return p
}

// close ends the reads under way and waits for them.
func (p *phones) close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.end()
	p.running.Wait()
}

// find returns a phone, nil when there is none, and how it was found: Found, NotFound, Kept, or Unavailable with an error.
func (p *phones) find(ctx context.Context, user, domain string) (*phone, Result, error) {
	key := store.PhoneKey(user, domain)
	p.mu.Lock()
	last := p.last(key)
	r := p.join(key, user, domain)
	answerNow := last != nil && (p.silent || r == nil) // who asks again and again does not wait each time
	p.mu.Unlock()
	if answerNow {
		return last, Kept, nil
	}
	if r == nil {
		return nil, Unavailable, errors.New("too many reads of the store are under way")
	}
	timer := time.NewTimer(p.wait)
	defer timer.Stop()
	err := errors.New("the store did not answer in time")
	select {
	case <-r.done:
		err = r.err
	case <-timer.C:
		p.noteSilence(err)
	case <-ctx.Done():
		return nil, Unavailable, ctx.Err()
	}
	switch {
	case err != nil && last != nil:
		return last, Kept, nil
	case err != nil:
		return nil, Unavailable, err
	case r.phone == nil:
		return nil, NotFound, nil
	}
	return r.phone, Found, nil
}

// join returns the read of a phone, which it begins when nobody has; nil when too many are under way. mu is held.
func (p *phones) join(key, user, domain string) *read {
	if r := p.flying[key]; r != nil {
		return r
	}
	if p.closed || len(p.flying) >= maxReads {
		return nil
	}
	r := &read{begun: time.Now(), done: make(chan struct{})}
	p.flying[key] = r
	p.running.Go(func() {
		defer func() {
			if v := recover(); v != nil { // the process, and with it every call, shall not end for one read
				r.phone, r.err = nil, fmt.Errorf("panic while reading: %v", v)
				p.log.Error("panic while reading a phone", zap.Any("panic", v), zap.ByteString("stack", debug.Stack()))
			}
			p.landed(key, r)
			close(r.done)
		}()
		ctx, cancel := context.WithTimeout(p.reads, readTime)
		defer cancel()
		u, err := p.store.DirectoryUser(ctx, user, domain)
		switch {
		case err == nil:
			r.phone = phoneOf(u)
		case !errors.Is(err, store.ErrNotFound):
			r.err = err
		}
	})
	return r
}

// landed keeps what a read brought.
func (p *phones) landed(key string, r *read) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.flying, key)
	p.note(r.err)
	if r.err != nil {
		return
	}
	if r.phone == nil || p.size == 0 || r.begun.Before(p.fresh) {
		p.drop(p.items[key])
		return
	}
	now := &kept{key, r.phone, time.Now()}
	if e := p.items[key]; e != nil {
		e.Value = now
		p.order.MoveToFront(e)
		return
	}
	p.items[key] = p.order.PushFront(now)
	if p.order.Len() > p.size {
		p.drop(p.order.Back())
	}
}

// drop forgets a phone. mu is held.
func (p *phones) drop(e *list.Element) {
	if e != nil {
		delete(p.items, e.Value.(*kept).key)
		p.order.Remove(e)
	}
}

// last is what may still be said of a phone without the store. mu is held.
func (p *phones) last(key string) *phone {
	e := p.items[key]
	if e == nil {
		return nil
	}
	if k := e.Value.(*kept); time.Since(k.at) < p.keepFor {
		p.order.MoveToFront(e)
		return k.phone
	}
	p.drop(e)
	return nil
}

func (p *phones) noteSilence(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.note(err)
}

// note warns once when the store falls silent and tells when it is back. mu is held.
func (p *phones) note(err error) {
	switch silent := err != nil; {
	case silent == p.silent || p.closed:
	case silent:
		p.silent = true
		p.log.Warn("store does not answer; phones are known by what it said last", zap.Error(err), zap.Int("phones", p.order.Len()))
	default:
		p.silent = false
		p.log.Info("store knows phones again")
	}
}

// forget drops the phones of numbers and accounts that were provisioned anew: what the store said of them counts no more.
func (p *phones) forget(rows []store.Touch) {
	touched := map[store.Touch]bool{}
	for _, t := range rows {
		switch t.Kind {
		case account.KindNumber:
			t.Tenant = "" // a number is one tenant's
			touched[t] = true
		case account.KindAccount:
			touched[t] = true
		}
	}
	if len(touched) == 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fresh = time.Now()
	for _, e := range p.items {
		k := e.Value.(*kept).phone
		if touched[store.Touch{Kind: account.KindNumber, Key: k.number}] || touched[store.Touch{Tenant: k.tenant, Kind: account.KindAccount, Key: k.account}] {
			p.drop(e)
		}
	}
}

// count is how many phones are kept.
func (p *phones) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.order.Len()
}

// recheck asks the store for each phone that is kept, one after the other, those asked for longest ago first: so much was provisioned
// anew that it does not say what. When it falls silent the rest stays as it was, and false says that it is to be done again.
func (p *phones) recheck(ctx context.Context) bool {
	p.mu.Lock()
	p.fresh = time.Now()
	all := make([]*kept, 0, p.order.Len())
	for e := p.order.Back(); e != nil; e = e.Prev() {
		all = append(all, e.Value.(*kept))
	}
	p.mu.Unlock()
	for _, k := range all {
		p.mu.Lock()
		r := p.join(k.key, k.phone.user, k.phone.host)
		p.mu.Unlock()
		if r == nil { // look-ups have all reads there are
			return false
		}
		select {
		case <-r.done:
		case <-ctx.Done():
			return false
		}
		if errors.Is(r.err, store.ErrUnavailable) {
			return false
		}
	}
	return true
}

// follow forgets what was provisioned anew until ctx ends.
func (p *phones) follow(ctx context.Context, changes Changes) {
	again := time.NewTicker(changesGap)
	defer again.Stop()
	var revision int64
	for known := false; ; {
		revision, known = p.look(ctx, changes, revision, known)
		select {
		case <-again.C:
		case <-ctx.Done():
			return
		}
	}
}

// look forgets what was provisioned anew after a revision, and returns that up to which it has. A panic costs this look.
func (p *phones) look(ctx context.Context, changes Changes, last int64, was bool) (revision int64, known bool) {
	defer caught.Panic(p.log, "looking for what was provisioned anew", func() { revision, known = last, was })
	touched, err := since(ctx, changes, last, was)
	if err != nil {
		return last, was
	}
	if !touched.All {
		p.forget(touched.Rows)
	} else if !p.recheck(ctx) {
		return last, was
	}
	return touched.Revision, true
}

// since returns what changed after the last revision that is known.
func since(ctx context.Context, changes Changes, last int64, known bool) (store.Touched, error) {
	ctx, cancel := context.WithTimeout(ctx, readTime)
	defer cancel()
	at, err := changes.Revision(ctx)
	if err != nil || !known || at == last {
		return store.Touched{Revision: at}, err
	}
	return changes.Touched(ctx, last)
}
