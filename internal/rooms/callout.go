package rooms

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"go.uber.org/zap"

	freeswitchconf "github.com/signalbox/signalbox/freeswitch-conf"
	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/store"
	"github.com/signalbox/signalbox/internal/tel"
)

// How a host calls somebody by keys. He alone hears it; every key that he presses meanwhile is a part of it and nothing else.
//
//	asked --digits, #--> looked up --one--> told whom --1--> called, as Invite calls
//	  ^                      '--none, several: told so, asked again, three times at most
//	anywhere: *, no key in time, too many keys, the host or the conference gone --> over, and nobody is called
const (
	dialTries   = 3                // to dial a number, and to answer whether it is the right one
	dialLongest = 2 * time.Minute  // all of it
	dialFirst   = 20 * time.Second // to the first key, with what is said before it
	dialBetween = 8 * time.Second  // from one digit to the next
	dialYes     = '1'
	dialEnds    = '#'
	dialCancels = '*'
	maxDialled  = 20 // digits: an international prefix and the longest number
	maxKeys     = 64 // that wait while something is looked up or said
	minEnding   = 3  // digits that are taken for the end of a number
	maxEndings  = 8  // numbers with one end that are looked at; with more the host is asked for more digits anyhow
)

// Book is an address book that hosts dial from.
type Book interface {
	store.Contacts
	store.Endings
}

// Why nobody is called by what a host has dialled.
var (
	errFewDigits  = errors.New("too few digits")
	errNotInBook  = errors.New("not in the address book")
	errSeveral    = errors.New("several numbers of the address book")
	errDialNoBook = errors.New("there is no address book to dial from")
)

// dialogue is that of one host's leg. Its fields are set when it begins; the room has it under the Manager's lock for as long as keys are its.
type dialogue struct {
	keys chan byte
	stop context.CancelFunc
}

// beginDial begins a dialogue; what is returned runs it. The caller holds the lock.
func (m *Manager) beginDial(n *node, r *room, host store.Participant) func() {
	ctx, stop := context.WithTimeout(m.base, dialLongest)
	d := &dialogue{keys: make(chan byte, maxKeys), stop: stop}
	r.dials[host.UUID] = d
	in := r.Room
	return func() {
		if !m.spawn(func(base context.Context) { m.dialByKeys(base, ctx, n, in, host, d) }) {
			stop()
		}
	}
}

// dialKey gives a key to a dialogue, or ends it. The caller holds the lock.
func (r *room) dialKey(uuid string, d *dialogue, key byte) {
	if key != dialCancels {
		select {
		case d.keys <- key:
			return
		default: // he does not listen
		}
	}
	r.endDial(uuid, d)
}

// endDial ends a dialogue, nil = whichever the leg has; false = it is over already. The caller holds the lock.
func (r *room) endDial(uuid string, d *dialogue) bool {
	here := r.dials[uuid]
	if here == nil || d != nil && here != d {
		return false
	}
	delete(r.dials, uuid)
	here.stop()
	return true
}

// endDials ends all of them. The caller holds the lock.
func (r *room) endDials() {
	for uuid := range r.dials {
		r.endDial(uuid, nil)
	}
}

// dialByKeys is a dialogue from its beginning to its end; base outlives it.
func (m *Manager) dialByKeys(base, ctx context.Context, n *node, in store.Room, host store.Participant, d *dialogue) {
	who, err := m.askWhom(ctx, n, in, host, d)
	mine, here := false, false
	m.inRoom(in.ID, func(r *room) {
		mine = r.endDial(host.UUID, d)
		p := r.people[host.ID]
		here = p != nil && p.UUID == host.UUID && p.Present() && r.ending == ""
	})
	d.stop()
	if !here || !n.keeper.Load() {
		return
	}
	after, cancel := context.WithTimeout(base, writes)
	defer cancel()
	m.hush(after, n, in, host)
	say := freeswitchconf.PromptCancelled
	switch {
	case err == nil && mine:
		err = m.invite(after, in.ID, who, func(ctx context.Context) { m.tellHost(ctx, n, in.ID, host.ID, freeswitchconf.PromptNoAnswer) })
		if say = freeswitchconf.PromptCalling; errors.Is(err, ErrFull) {
			say = freeswitchconf.PromptFull
		} else if err != nil {
			say = freeswitchconf.PromptNotPossible
		}
	case err != nil && mine && !errors.Is(err, errDialOver): // what he has cancelled is cancelled, whatever broke by it
		say = freeswitchconf.PromptNotPossible
	}
	if err == nil && mine {
		m.log.Info("the host has somebody called by keys", zap.String("conference", in.ID), zap.String("contact", who.Contact))
	} else {
		m.log.Info("nobody is called by the host's keys", zap.String("conference", in.ID), zap.Error(err))
	}
	m.tell(after, n, in, host.Member, word{prompt: say})
}

// tellHost says something to a host who may have left, or be back with another leg.
func (m *Manager) tellHost(ctx context.Context, n *node, id, host string, what freeswitchconf.Prompt) {
	var in store.Room
	member := 0
	m.inRoom(id, func(r *room) {
		if p := r.people[host]; p != nil && p.Present() && r.ending == "" {
			in, member = r.Room, p.Member
		}
	})
	if member > 0 {
		m.tell(ctx, n, in, member, word{prompt: what})
	}
}

// errDialOver means that the host has cancelled, says nothing, or is gone.
var errDialOver = errors.New("no key came, or it was cancelled")

// askWhom has the host dial somebody and say that it is he; without an error he is to be called.
func (m *Manager) askWhom(ctx context.Context, n *node, in store.Room, host store.Participant, d *dialogue) (Guest, error) {
	switch {
	case m.opt.Gateway == "":
		return Guest{}, ErrNoGateway
	case m.opt.Book == nil:
		return Guest{}, errDialNoBook
	}
	hush := func() { m.hush(ctx, n, in, host) }
	first := []word{{prompt: freeswitchconf.PromptDial}}
	for range dialTries {
		m.tell(ctx, n, in, host.Member, first...)
		digits, err := d.number(ctx, m.patience, hush)
		if err != nil {
			return Guest{}, err
		}
		who, err := m.dialled(ctx, in, digits)
		if err == nil {
			return who, m.confirmed(ctx, n, in, host, d, who)
		}
		if first = dialAgain(err); first == nil {
			return Guest{}, err
		}
	}
	return Guest{}, errDialOver
}

// dialAgain is what a host is told who has dialled nobody; nil = it is of no use to ask him again.
func dialAgain(err error) []word {
	switch {
	case errors.Is(err, errFewDigits):
		return []word{{prompt: freeswitchconf.PromptDialMore}}
	case errors.Is(err, errSeveral):
		return []word{{prompt: freeswitchconf.PromptAmbiguous}, {prompt: freeswitchconf.PromptDialMore}}
	case errors.Is(err, errNotInBook):
		return []word{{prompt: freeswitchconf.PromptNotInBook}, {prompt: freeswitchconf.PromptDial}}
	}
	return nil
}

// patience is how long a host is waited for who dials.
type patience struct{ first, between time.Duration }

// number takes keys until the one that ends them. begun is called at the first one.
func (d *dialogue) number(ctx context.Context, p patience, begun func()) (string, error) {
	var digits []byte
	wait := p.first
	for {
		key, err := d.key(ctx, wait)
		if err != nil {
			return "", err
		}
		if wait == p.first {
			begun()
		}
		wait = p.between
		if key == dialEnds {
			return string(digits), nil
		}
		if len(digits) <= maxDialled { // one more than any number has
			digits = append(digits, key)
		}
	}
}

// key takes one key.
func (d *dialogue) key(ctx context.Context, wait time.Duration) (byte, error) {
	late := time.NewTimer(wait)
	defer late.Stop()
	select {
	case <-ctx.Done():
		return 0, errDialOver
	default:
	}
	select {
	case key := <-d.keys:
		return key, nil
	case <-late.C:
	case <-ctx.Done():
	}
	return 0, errDialOver
}

// forgetKeys forgets what was pressed before a question could be heard.
func (d *dialogue) forgetKeys() {
	for {
		select {
		case <-d.keys:
		default:
			return
		}
	}
}

// confirmed tells the host whom he is about to call, and waits until he says yes. One whose name cannot be spoken is told by his number.
func (m *Manager) confirmed(ctx context.Context, n *node, in store.Room, host store.Participant, d *dialogue, who Guest) error {
	for range dialTries {
		if err := m.sayWhom(ctx, n, in, host.Member, who); err != nil {
			return fmt.Errorf("whom the host is about to call could not be said to him: %w", err)
		}
		d.forgetKeys()
		key, err := d.key(ctx, m.patience.first)
		if err != nil || key == dialYes {
			return err
		}
		m.hush(ctx, n, in, host)
		m.tell(ctx, n, in, host.Member, word{prompt: freeswitchconf.PromptInvalid})
	}
	return errDialOver
}

func (m *Manager) sayWhom(ctx context.Context, n *node, in store.Room, member int, who Guest) error {
	if _, err := m.sayWord(ctx, n, in, member, word{prompt: freeswitchconf.PromptWillCall}); err != nil {
		return err
	}
	var rest []word
	if err := m.sayName(ctx, n, in, member, word{clip: who.Clip, text: who.Name}); err != nil {
		for _, digit := range []byte(who.Number) {
			if p, ok := freeswitchconf.PromptKey(digit); ok {
				rest = append(rest, word{prompt: p})
			}
		}
	}
	for _, w := range append(rest, word{prompt: freeswitchconf.PromptDialConfirm}) {
		if _, err := m.sayWord(ctx, n, in, member, w); err != nil {
			return err
		}
	}
	return nil
}

// hush ends what is being said to the host alone.
func (m *Manager) hush(ctx context.Context, n *node, in store.Room, host store.Participant) {
	if err := n.sw.Conference(ctx, in.Name(), "stop", "all", itoa(host.Member)); err != nil {
		m.log.Debug("a prompt was not stopped", zap.String("conference", in.ID), zap.Error(err))
	}
}

// dialled finds whom a host has dialled: a number as his country writes it, or internationally, that somebody in his address book has; or the
// end of one. Nobody else can be called by keys, as by the API.
func (m *Manager) dialled(ctx context.Context, in store.Room, digits string) (Guest, error) {
	ctx, cancel := context.WithTimeout(ctx, writes)
	defer cancel()
	switch {
	case strings.Trim(digits, "0123456789") != "" || len(digits) > maxDialled:
		return Guest{}, errNotInBook
	case len(digits) < minEnding:
		return Guest{}, errFewDigits
	}
	if whole, err := tel.ParseNumber(digits, in.Number.Region()); err == nil {
		found, err := m.opt.Book.ContactsWith(ctx, in.Tenant, in.Account, whole)
		if err != nil {
			return Guest{}, err
		}
		if c := account.Calling(found); c != nil {
			return guestOf(*c, whole), nil
		}
	}
	numbers, err := m.opt.Book.NumbersEnding(ctx, in.Tenant, in.Account, digits, maxEndings+1)
	if err != nil {
		return Guest{}, err
	}
	if len(numbers) > maxEndings {
		return Guest{}, errSeveral
	}
	var of []account.Contact
	for _, number := range numbers {
		found, err := m.opt.Book.ContactsWith(ctx, in.Tenant, in.Account, number)
		if err != nil {
			return Guest{}, err
		}
		if c := account.Calling(found); c != nil {
			of = append(of, *c)
		}
	}
	return theOne(of, digits)
}

// theOne is the contact whom the end of a number means, by that of his numbers which he has first. contacts are those who are known by each number
// that ends so.
func theOne(contacts []account.Contact, digits string) (Guest, error) {
	if len(contacts) == 0 {
		return Guest{}, errNotInBook
	}
	for _, c := range contacts[1:] {
		if c.ID != contacts[0].ID {
			return Guest{}, errSeveral
		}
	}
	for _, number := range contacts[0].Numbers {
		if strings.HasSuffix(string(number), digits) {
			return guestOf(contacts[0], number), nil
		}
	}
	return Guest{}, errNotInBook // it was changed between two looks
}

func guestOf(c account.Contact, number tel.Number) Guest {
	return Guest{Number: number, Verified: true, Contact: c.ID, Name: c.Name, Clip: c.Clip, Shared: c.Shared}
}
