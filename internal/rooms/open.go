package rooms

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"

	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/store"
)

// Opening asks for a room.
type Opening struct {
	Host     Host
	By       string // host, attendee or api
	Settings account.Conference
	Node     string // where it is made, when it has to be
	Present  bool   // only the one that the host is in
}

// Open returns the host's room and makes it when there is none; created says so. It is a row in the store; FreeSWITCH makes its
// conference when the first one comes in. Enter or Abandon follows. The error is ErrAbsent when the host is to be in it, and is not.
func (m *Manager) Open(ctx context.Context, o Opening) (State, bool, error) {
	ctx, cancel := context.WithTimeout(ctx, writes)
	defer cancel()
	if o.Present {
		s, err := m.present(ctx, o.Host)
		return s, false, err
	}
	want := store.Room{
		ID: newID(), Tenant: o.Host.Tenant, Account: o.Host.Account, Number: o.Host.Number, HostName: o.Host.Name, Language: o.Host.Language,
		Node: o.Node, By: o.By, Opened: time.Now().UTC(), Quiet: o.Settings.Quiet, Waits: o.Settings.Room == account.RoomOpen,
		MaxMembers: o.Settings.MaxMembers, EndsWith: o.Settings.HostLeaves == account.LeavesEnd, Grace: o.Settings.Grace,
		Accept: o.Settings.AcceptTimeout, Dial: o.Settings.ForwardDial, Recording: o.Settings.Record && m.opt.Recordings != "",
	}
	if n := m.nodes[o.Node]; n != nil {
		want.Core = n.sw.CoreUUID()
	}
	kept, created, err := m.opt.Store.OpenRoom(ctx, want)
	if err != nil {
		return State{}, false, err
	}
	if created {
		m.opt.Meter.Opened(o.By)
		m.log.Info("conference opened", zap.String("conference", kept.ID), zap.String("account", kept.Account), zap.String("node", kept.Node), zap.String("by", kept.By))
		m.changed(kept.ID)
	}
	s, err := m.asked(ctx, kept)
	return s, created, err
}

// present returns the host's room, if he is in it.
func (m *Manager) present(ctx context.Context, host Host) (State, error) {
	kept, err := m.opt.Store.RoomOf(ctx, host.Tenant, host.Account)
	if errors.Is(err, store.ErrNotFound) {
		return State{}, ErrAbsent
	}
	if err != nil {
		return State{}, err
	}
	s, err := m.asked(ctx, kept)
	if err == nil && !s.HostPresent {
		m.Abandon(ctx, kept.ID)
		return State{}, ErrAbsent
	}
	return s, err
}

// asked returns an open room, which is kept while its caller is asked.
func (m *Manager) asked(ctx context.Context, kept store.Room) (State, error) {
	m.load(ctx, kept)
	m.inRoom(kept.ID, func(r *room) { r.asking++ })
	s, err := m.stateOf(ctx, kept, "")
	if err != nil { // nobody knows of the room, and so nobody abandons it
		m.Abandon(ctx, kept.ID)
	}
	return s, err
}

// Abandon says that a caller who opened a room does not come into it.
func (m *Manager) Abandon(ctx context.Context, id string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writes)
	defer cancel()
	m.inRoom(id, func(r *room) { r.asking = max(r.asking-1, 0) })
	m.closeEmpty(ctx, id, nobodyCame)
}
