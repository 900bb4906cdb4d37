package rooms

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"go.uber.org/zap"

	"github.com/signalbox/signalbox/dialplan/encode"
	"github.com/signalbox/signalbox/esl"
	freeswitchconf "github.com/signalbox/signalbox/freeswitch-conf"
	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/fsw"
	"github.com/signalbox/signalbox/internal/store"
)

// AcceptKey is what a host presses who has been called, so that his carrier's voicemail never gets in.
const AcceptKey = '1'

// Fetch says how the host is called.
type Fetch struct {
	Devices []account.Device // rung at once, unless the room's rules name a number
	Name    string           // shown on his phone, beside his own number; free text
}

// FetchResult is how a call to the host ended.
type FetchResult struct {
	Joined bool
	Why    string // not joined, in FreeSWITCH's word; "" = joined
}

// What Fetch says besides the causes of FreeSWITCH.
const (
	noDevice   = "NO_DEVICE"
	noAnswer   = "NO_ANSWER"
	calledOff  = "ORIGINATOR_CANCEL" // nobody waited for him any more, or he has come by himself
	fetchAgain = 300 * time.Millisecond
	// beginFetch bounds what is done until the host's phone rings: a caller hears nothing meanwhile.
	beginFetch = 2 * time.Second
	// linkTime is the part of it for which a link is waited for.
	linkTime = 1500 * time.Millisecond
	// acceptSlack is what a call to the host takes longer than he is called.
	acceptSlack = 3 * time.Second
)

// Fetch has the host called into his room, once whoever asks: the others wait for how it ends. A host who has not come is not called again
// before the time for him to accept is over. The channel gets one result; a room that ends meanwhile counts as not joined.
func (m *Manager) Fetch(ctx context.Context, id string, f Fetch) (<-chan FetchResult, error) {
	ctx, cancel := context.WithTimeout(ctx, beginFetch)
	defer cancel()
	kept, err := m.opt.Store.Room(ctx, id)
	if errors.Is(err, store.ErrNotFound) || err == nil && !kept.Closed.IsZero() {
		return nil, ErrEnded
	}
	if err != nil {
		return nil, err
	}
	accept := kept.Accept
	if accept <= 0 {
		accept = account.DefaultAcceptTimeout
	}
	n := m.nodes[kept.Node]
	if n == nil || !n.linked(ctx) {
		return nil, ErrNode
	}
	result := make(chan FetchResult, 1)
	if m.hostIsIn(ctx, id) { // which was not known while there was no link
		result <- FetchResult{Joined: true}
		return result, nil
	}
	now := time.Now().UTC()
	since := now.Add(-accept)
	mine, err := m.opt.Store.ClaimDial(ctx, id, m.opt.Instance, now, now.Add(accept+acceptSlack))
	if err != nil {
		return nil, err
	}
	if mine {
		since = now
		if err := m.dial(ctx, n, kept, f, accept); err != nil {
			return nil, err
		}
	}
	if !m.spawn(func(ctx context.Context) {
		r := m.awaitHost(ctx, kept, since, now.Add(accept+acceptSlack))
		if r.Why == calledOff && !mine { // for others, who have gone: he is called for who waits now
			r = m.fetchAnew(ctx, id, f)
		}
		result <- r
	}) {
		result <- FetchResult{Why: noAnswer}
	}
	return result, nil
}

// linked waits for a link that is just coming up, as after the sidecar's restart, and for what the node shows first. It reports whether
// there is a link.
func (n *node) linked(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, linkTime)
	defer cancel()
	again := time.NewTicker(linkTime / 30)
	defer again.Stop()
	for !n.sw.Up() || !n.compared.Load() {
		select {
		case <-again.C:
		case <-ctx.Done():
			return n.sw.Up()
		}
	}
	return true
}

// hostIsIn reports whether the host is in the room, as far as the store says.
func (m *Manager) hostIsIn(ctx context.Context, id string) bool {
	_, people, err := m.Roster(ctx, id)
	return err == nil && slices.ContainsFunc(people, func(p store.Participant) bool { return p.Host && p.Present() })
}

// fetchAnew has the host called again whom nobody waited for any more a moment ago.
func (m *Manager) fetchAnew(ctx context.Context, id string, f Fetch) FetchResult {
	again, err := m.Fetch(ctx, id, f)
	if err != nil {
		return FetchResult{Why: calledOff}
	}
	return <-again
}

// dial calls the host, until nobody waits for him any more.
func (m *Manager) dial(ctx context.Context, n *node, kept store.Room, f Fetch, accept time.Duration) error {
	p := store.Participant{ID: newID(), Room: kept.ID, UUID: uuid.NewString(), Node: kept.Node, Number: kept.Number, Verified: true, Host: true,
		Name: kept.HostName, Entered: time.Now().UTC()}
	call := fsw.ConferenceCall{
		From: kept.Number, Name: f.Name, Answer: accept, Key: AcceptKey, Mark: kept.ID,
		Room: encode.Conference{Room: kept.Name(), Profile: Profile, Flags: []string{"moderator"}},
	}
	legs := []string{p.UUID}
	if kept.Dial != "" {
		call.Gateway, call.Number, call.Leg = m.opt.Gateway, kept.Dial, p.UUID
	} else {
		legs = nil
		for i, d := range f.Devices {
			leg := legAt(p.UUID, i)
			legs, call.Devices = append(legs, leg), append(call.Devices, fsw.DeviceLeg{Device: d, Leg: leg})
		}
	}
	var err error
	if call.Prompt, err = n.sw.File(ctx, freeswitchconf.PromptHostAccept.File(kept.Language)); err != nil {
		m.log.Warn("the host is called without a word", zap.String("conference", kept.ID), zap.Error(err))
	}
	if err := m.opt.Store.PutParticipant(ctx, p); err != nil {
		return err
	}
	m.mu.Lock()
	r := m.remember(kept)
	r.people[p.ID], r.dialing = &p, true
	m.mu.Unlock()
	m.spawn(func(ctx context.Context) {
		ctx, cancel := context.WithTimeout(ctx, accept+2*acceptSlack)
		defer cancel()
		err := errNoDevice
		if len(legs) > 0 {
			err = m.call(ctx, n, kept, p, call, legs)
		}
		m.inRoom(kept.ID, func(r *room) { r.dialing = false })
		if err == nil {
			m.opt.Meter.Fetched("joined")
			return
		}
		why := fetchFailed(err)
		m.opt.Meter.Fetched(why)
		m.log.Info("the host did not come", zap.String("conference", kept.ID), zap.String("cause", why))
		m.notCome(ctx, p, why)
	})
	return nil
}

// call calls the host and ends the call when it has become idle.
func (m *Manager) call(ctx context.Context, n *node, kept store.Room, p store.Participant, call fsw.ConferenceCall, legs []string) error {
	over, off := make(chan struct{}), false
	var watching sync.WaitGroup
	watching.Go(func() { off = m.callOff(ctx, n, kept.ID, p.ID, legs, over) })
	err := n.sw.CallIntoConference(ctx, call)
	close(over)
	watching.Wait()
	if err != nil && off {
		return errCalledOff
	}
	return err
}

// callOff ends a call to the host when nobody waits for him any more, or he has come by another phone. A leg that FreeSWITCH has not made
// yet is ended a moment later. It returns when the call is over, and says whether that is why.
func (m *Manager) callOff(ctx context.Context, n *node, id, called string, legs []string, over <-chan struct{}) (off bool) {
	w := m.Watch(id)
	defer m.Unwatch(w)
	again := time.NewTicker(fetchAgain)
	defer again.Stop()
	for told := false; ; {
		select {
		case <-over:
			return off
		case <-ctx.Done():
			return off
		case <-w.Changed:
		case <-again.C:
		}
		if !m.idle(ctx, id, called) {
			continue
		}
		off = true
		if err := n.sw.HangUp(ctx, legs...); err != nil && !told {
			told = true // it is tried again and again
			m.log.Warn("the host's phones ring on, though nobody waits for him", zap.String("conference", id), zap.Error(err))
		}
	}
}

// idle reports whether a call to the host, by which he is the participant called, is of use to nobody. Where the store is silent it is not.
func (m *Manager) idle(ctx context.Context, id, called string) bool {
	kept, people, err := m.Roster(ctx, id)
	if err != nil {
		return false
	}
	if !kept.Closed.IsZero() {
		return true
	}
	waits, here := false, false
	m.inRoom(id, func(r *room) { waits = r.asking > 0 })
	for _, p := range people {
		switch {
		case p.ID == called && p.Present():
			return false
		case p.Host:
			here = here || p.Present()
		default:
			waits = waits || p.Left.IsZero()
		}
	}
	return here || !waits
}

// A host is one participant and is called at several phones, each of them by a leg of its own, whose UUID ends in the phone's place.
const legEnd = 2

// legAt is the UUID of the leg to the host's phone in a place, of a host who is a participant by the leg first.
func legAt(first string, place int) string {
	return first[:len(first)-legEnd] + fmt.Sprintf("%02x", place)
}

// isCalledBy reports whether a participant is a host who is being called, among his phones by a leg.
func isCalledBy(p store.Participant, leg string) bool {
	return p.Host && isComing(p) && len(leg) > legEnd && len(p.UUID) == len(leg) && p.UUID[:len(leg)-legEnd] == leg[:len(leg)-legEnd]
}

// hostAt finds the host who is being called by another sidecar and has taken the call at one of his phones.
func (m *Manager) hostAt(ctx context.Context, id, leg string) (store.Participant, bool) {
	people, err := m.opt.Store.Participants(ctx, id)
	if err != nil {
		return store.Participant{}, false
	}
	i := slices.IndexFunc(people, func(p store.Participant) bool { return isCalledBy(p, leg) })
	if i < 0 {
		return store.Participant{}, false
	}
	people[i].UUID = leg
	return people[i], true
}

// Invite calls somebody into an open room by the gateway, from the host's number; he gets in by pressing a key. It does not wait for that.
func (m *Manager) Invite(ctx context.Context, id string, g Guest) error {
	return m.invite(ctx, id, g, func(context.Context) {})
}

// invite is Invite; notCome is called when he has not come.
func (m *Manager) invite(ctx context.Context, id string, g Guest, notCome func(context.Context)) error {
	if m.opt.Gateway == "" {
		return ErrNoGateway
	}
	kept, err := m.opt.Store.Room(ctx, id)
	if errors.Is(err, store.ErrNotFound) || err == nil && !kept.Closed.IsZero() {
		return ErrEnded
	}
	if err != nil {
		return err
	}
	n := m.nodes[kept.Node]
	if n == nil || !n.sw.Up() {
		return ErrNode
	}
	if err := m.place(ctx, kept); err != nil {
		return err
	}
	p := store.Participant{ID: newID(), Room: id, UUID: uuid.NewString(), Node: kept.Node, Number: g.Number, Verified: g.Verified,
		Contact: g.Contact, Name: g.Name, Clip: g.Clip, Shared: g.Shared, Entered: time.Now().UTC()}
	call := fsw.ConferenceCall{
		Leg: p.UUID, Gateway: m.opt.Gateway, Number: g.Number, From: kept.Number, Name: kept.HostName, Answer: account.DefaultAcceptTimeout, Key: AcceptKey,
		Mark: kept.ID, Room: encode.Conference{Room: kept.Name(), Profile: Profile, Flags: []string{"join-only"}},
	}
	if call.Prompt, err = n.sw.File(ctx, freeswitchconf.PromptInvited.File(kept.Language)); err != nil {
		return err
	}
	m.load(ctx, kept)
	m.keep(ctx, p)
	if !m.spawn(func(ctx context.Context) {
		ctx, cancel := context.WithTimeout(ctx, call.Answer+2*acceptSlack)
		defer cancel()
		if err := n.sw.CallIntoConference(ctx, call); err != nil {
			m.log.Info("who was called into a conference did not come", zap.String("conference", id), zap.Error(err))
			m.Gone(ctx, Ticket{Room: id, UUID: p.UUID}, fetchFailed(err))
			notCome(ctx)
		}
	}) {
		return ErrNode
	}
	return nil
}

// place says whether one more may be called into a room, beside those who are in it and those who are on the way.
func (m *Manager) place(ctx context.Context, kept store.Room) error {
	people, err := m.people(ctx, kept)
	if err != nil {
		return err
	}
	in, coming := 0, 0
	for _, p := range people {
		switch {
		case p.Present():
			in++
		case p.Left.IsZero():
			coming++
		}
	}
	switch {
	case kept.MaxMembers > 0 && in+coming >= kept.MaxMembers, len(people) >= maxPeople:
		return ErrFull
	case coming >= maxCalls:
		return ErrCalls
	}
	return nil
}

// notCome says that a host who was called has not come.
func (m *Manager) notCome(ctx context.Context, p store.Participant, why string) {
	p.Left, p.Reason = time.Now().UTC(), why
	end := hostUnreached
	if why == calledOff { // who comes next has him called at once
		end = nobodyCame
		if _, err := m.opt.Store.ChangeRoom(ctx, p.Room, func(r *store.Room) { r.DialUntil = time.Time{} }); err != nil && !errors.Is(err, store.ErrNotFound) {
			m.log.Warn("a host is not called for a while, though nobody waited for him", zap.String("conference", p.Room), zap.Error(err))
		}
	} else {
		m.inRoom(p.Room, func(r *room) { r.unreached = r.most == 0 })
	}
	m.keep(ctx, p)
	m.closeEmpty(ctx, p.Room, end)
	m.changed(p.Room)
}

var (
	errNoDevice  = errors.New(noDevice)
	errCalledOff = errors.New(calledOff)
)

// awaitHost waits until the host is in, or has not come.
func (m *Manager) awaitHost(ctx context.Context, kept store.Room, since, until time.Time) FetchResult {
	ctx, cancel := context.WithDeadline(ctx, until)
	defer cancel()
	w := m.Watch(kept.ID)
	defer m.Unwatch(w)
	again := time.NewTicker(fetchAgain)
	defer again.Stop()
	for {
		now, people, err := m.Roster(ctx, kept.ID)
		if err == nil && !now.Closed.IsZero() {
			return FetchResult{Why: now.Why}
		}
		why := ""
		for _, p := range people {
			switch {
			case !p.Host || err != nil:
			case p.Present():
				return FetchResult{Joined: true}
			case !p.Left.IsZero() && p.Joined.IsZero() && !p.Entered.Before(since):
				why = p.Reason
			}
		}
		if why != "" { // and he has not come by himself meanwhile
			return FetchResult{Why: why}
		}
		select {
		case <-w.Changed:
		case <-again.C:
		case <-ctx.Done():
			return FetchResult{Why: noAnswer}
		}
	}
}

// fetchFailed is the cause for which a host did not come.
func fetchFailed(err error) string {
	var refused *esl.ReplyError
	switch {
	case errors.Is(err, errNoDevice):
		return noDevice
	case errors.Is(err, errCalledOff):
		return calledOff
	case errors.As(err, &refused):
		return strings.TrimPrefix(strings.TrimSpace(refused.Text), "-ERR ")
	}
	return noAnswer
}
