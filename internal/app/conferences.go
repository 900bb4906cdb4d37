package app

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/api"
	"github.com/signalbox/signalbox/internal/call"
	"github.com/signalbox/signalbox/internal/config"
	"github.com/signalbox/signalbox/internal/fsw"
	"github.com/signalbox/signalbox/internal/rooms"
	"github.com/signalbox/signalbox/internal/sidecar"
	"github.com/signalbox/signalbox/internal/store"
	"github.com/signalbox/signalbox/internal/tel"
	"github.com/signalbox/signalbox/internal/telemetry"
	"github.com/signalbox/signalbox/internal/token"
	"github.com/signalbox/signalbox/internal/treat/conference"
)

// openRooms makes what keeps conferences, once the nodes are there.
func (a *App) openRooms() {
	var switches []rooms.Switch
	for _, n := range a.nodes {
		switches = append(switches, n)
	}
	c := a.config.Conference
	a.rooms = rooms.New(rooms.Options{
		Store: a.store, Files: a.store, Book: a.store, Instance: a.instance, Exclusive: a.config.Store.Postgres.DSN == "", Switches: switches, Gateway: c.Gateway, Recordings: c.Recordings, Voice: rooms.Voice{Engine: c.Voice.Engine, Name: c.Voice.Name},
		Meter: telemetry.NewRooms(a.metrics), Logger: a.log,
	})
}

// conferences are the rooms as the treatment of calls sees them.
type conferences struct {
	rooms    *rooms.Manager
	store    store.Rooms
	profiles sidecar.Profiles
	config   func() ([]config.Node, []token.Key)
	log      *zap.Logger
}

// conferences is nil where no link shows who is in a room.
func (a *App) conferences() sidecar.Conferences {
	if len(a.nodes) == 0 {
		return nil
	}
	return &conferences{rooms: a.rooms, store: a.store, profiles: a.profiles, log: a.log, config: func() ([]config.Node, []token.Key) {
		a.mu.Lock()
		defer a.mu.Unlock()
		return a.config.Nodes, tokenKeys(a.config)
	}}
}

var _ sidecar.Conferences = (*conferences)(nil)

// RoomsOf are the rooms of a store, to be looked at and nothing else.
func RoomsOf(s store.Store) sidecar.Conferences {
	return &conferences{rooms: rooms.New(rooms.Options{Store: s}), store: s, profiles: s, log: zap.NewNop()}
}

func hostOf(h conference.Host) rooms.Host {
	return rooms.Host{Tenant: h.Account.Tenant, Account: h.Account.ID, Number: h.Number, Name: h.Account.Name, Language: h.Account.Language}
}

// callerOf is the number that a caller is known by; "" = withheld, or none.
func callerOf(id tel.Identity) tel.Number {
	if id.Withheld {
		return ""
	}
	return id.Number
}

// Look implements sidecar.Conferences.
func (c *conferences) Look(ctx context.Context, h conference.Host, caller tel.Identity) (*call.Room, bool, error) {
	s, err := c.rooms.State(ctx, hostOf(h), callerOf(caller))
	if err != nil {
		return nil, true, err
	}
	wrong, err := c.store.Lockouts(ctx, h.Account.Tenant, h.Account.ID, time.Now().Add(-api.PINPatience))
	if err != nil {
		return nil, true, err
	}
	own, all := wrongPINs(wrong, callerOf(caller))
	locked := own >= api.LockedOut || all >= api.HostLockedOut
	if !s.Open {
		return nil, locked, nil
	}
	return &call.Room{ID: s.ID, HostPresent: s.HostPresent, Locked: s.Locked, Full: s.Full, Removed: s.Kicked, Calling: s.Calling}, locked, nil
}

// Decided implements sidecar.Conferences.
func (c *conferences) Decided(h conference.Host, rec call.Record) {
	a := rec.Arrival
	c.rooms.Decide(store.Access{
		Tenant: h.Account.Tenant, Account: h.Account.ID, Number: h.Number, Caller: callerOf(a.From), Withheld: a.From.Withheld,
		Verdict: string(rec.Plan.Access.Verdict), Rule: rec.Plan.Access.Reason.Name + ": " + rec.Plan.Access.Reason.Sentence, Contact: rec.Plan.Access.Contact,
		Likelihood: a.Verdict.Likelihood, Screened: a.Verdict.Screened(), Record: rec.ID, At: a.At,
	})
}

// Open implements conference.Rooms.
func (c *conferences) Open(ctx context.Context, o conference.Opening) (string, error) {
	by := "attendee"
	if o.ByHost {
		by = "host"
	}
	s, _, err := c.rooms.Open(ctx, rooms.Opening{Host: hostOf(o.Host), By: by, Settings: o.Settings, Node: o.Node, Present: o.Present})
	return s.ID, entryError(err)
}

// Abandon implements conference.Rooms.
func (c *conferences) Abandon(_ context.Context, room string) {
	c.rooms.Behind(func(ctx context.Context) { c.rooms.Abandon(ctx, room) })
}

// gone has the rooms know that a leg is not in its room any more.
func (c *conferences) gone(t rooms.Ticket) func(why string) {
	return func(why string) {
		c.rooms.Behind(func(ctx context.Context) { c.rooms.Gone(ctx, t, why) })
	}
}

// Enter implements conference.Rooms.
func (c *conferences) Enter(ctx context.Context, room string, g conference.Guest) (conference.Entry, error) {
	name, clip := g.Contact.Name, g.Contact.Clip
	t, err := c.rooms.Enter(ctx, room, rooms.Guest{
		Record: g.Record, UUID: g.UUID, Node: g.Node, Number: callerOf(g.From), Withheld: g.From.Withheld, Verified: g.Verified,
		Contact: g.Contact.ID, Name: name, Clip: clip, Shared: g.Shared, IsHost: g.IsHost,
	})
	if err != nil {
		return conference.Entry{}, entryError(err)
	}
	entry := conference.Entry{Join: joinOf(t), HostPresent: t.HostPresent, Gone: c.gone(t)}
	if t.Node == g.Node {
		return entry, nil
	}
	if _, err := c.bridge(t, g); err != nil {
		entry.Gone("on another node")
		return conference.Entry{}, fmt.Errorf("the conference is on node %s, the caller on %s: %w", t.Node, g.Node, err)
	}
	lost, stop := c.rooms.Lost(t.Room)
	entry.Bridge = func() (call.RingOrder, error) {
		order, err := c.bridge(t, g)
		order.Lost = lost
		return order, err
	}
	entry.NotTaken = func(ctx context.Context) bool { return c.rooms.NotTaken(ctx, t.Room) }
	gone := entry.Gone
	entry.Gone = func(why string) {
		stop()
		gone(why)
	}
	return entry, nil
}

// bridgeTime is how long another node may take to let a caller in, and bridgeProgress how long to say anything: it answers at once.
const (
	bridgeTime     = 10 * time.Second
	bridgeProgress = 4 * time.Second
)

// bridge is the way of a caller to the node of his room, with a token by which the sidecar there knows him.
func (c *conferences) bridge(t rooms.Ticket, g conference.Guest) (call.RingOrder, error) {
	nodes, keys := c.config()
	i := slices.IndexFunc(nodes, func(n config.Node) bool { return n.Name == t.Node })
	if i < 0 || !nodes[i].SIP.IsValid() {
		return call.RingOrder{}, errors.New("nodes names no IP address for it")
	}
	if len(keys) == 0 {
		return call.RingOrder{}, errors.New("token.keys has no key to sign with")
	}
	text, err := token.SignRoom(token.Room{Room: t.Room, Participant: t.Participant, Time: time.Now()}, keys[0])
	if err != nil {
		return call.RingOrder{}, err
	}
	to := account.Device{
		Kind: account.DeviceURI, Profile: bridgeProfile, User: string(t.Host), Host: nodes[i].SIP.Addr().String(), Port: nodes[i].SIP.Port(), Transport: nodes[i].Transport,
	}
	if to.Transport == "tls" {
		to.Transport = ""
	}
	return call.RingOrder{
		Devices: []account.Device{to}, Answer: bridgeTime, Progress: bridgeProgress, Caller: g.From, Headers: []call.Header{{Name: fsw.RoomHeader, Value: text}},
	}, nil
}

// bridgeProfile is the Sofia profile by which nodes call each other.
const bridgeProfile = "external"

// Arrive implements sidecar.Conferences.
func (c *conferences) Arrive(ctx context.Context, room, participant, leg, node string) (call.JoinOrder, func(string), error) {
	t, err := c.rooms.Arrive(ctx, room, participant, leg, node)
	if err != nil {
		return call.JoinOrder{}, nil, err
	}
	return joinOf(t), c.gone(t), nil
}

func joinOf(t rooms.Ticket) call.JoinOrder {
	return call.JoinOrder{Room: t.Name, Profile: rooms.Profile, Flags: t.Flags, MaxMembers: t.MaxMembers, Host: t.IsHost}
}

// entryError is an error in the words of the treatment.
func entryError(err error) error {
	for ours, theirs := range map[error]error{
		rooms.ErrLocked: conference.ErrLocked, rooms.ErrFull: conference.ErrFull, rooms.ErrEnded: conference.ErrEnded, rooms.ErrKicked: conference.ErrRemoved,
		rooms.ErrAnew: conference.ErrAnew, rooms.ErrAbsent: conference.ErrAbsent,
	} {
		if errors.Is(err, ours) {
			return theirs
		}
	}
	return err
}

// Fetch implements conference.Rooms.
func (c *conferences) Fetch(ctx context.Context, room string, h conference.Host) conference.Fetching {
	done, reached := make(chan struct{}), false
	f := conference.Fetching{Done: done, Reached: func() bool { return reached }}
	var devices []account.Device
	if p, err := c.profiles.Profile(ctx, h.Number); err == nil {
		devices = p.Devices
	}
	result, err := c.rooms.Fetch(ctx, room, rooms.Fetch{Devices: devices, Name: h.Account.Name})
	if err != nil {
		close(done)
		return f
	}
	go func() { // ends with the call, or with the manager's answer
		defer close(done)
		select {
		case r := <-result:
			reached = r.Joined
		case <-ctx.Done():
		}
	}()
	return f
}

// Spoken implements conference.Rooms.
func (c *conferences) Spoken(ctx context.Context, node, name string) (string, error) {
	file, err := c.rooms.Spoken(ctx, node, name)
	if err != nil {
		c.log.Info("a host's name is not spoken, his number is read", zap.String("node", node), zap.Error(err))
	}
	return file, err
}

// wrongPINs are how many of a list a caller gave, and how many all gave.
func wrongPINs(list []store.Lockout, caller tel.Number) (own, all int) {
	for _, l := range list {
		all += l.Wrong
		if l.Caller == caller {
			own += l.Wrong
		}
	}
	return own, all
}

// TryPIN implements conference.Rooms.
func (c *conferences) TryPIN(ctx context.Context, h conference.Host, caller tel.Identity) bool {
	now := time.Now()
	own, err := c.store.WrongPIN(ctx, h.Account.Tenant, h.Account.ID, callerOf(caller), now, api.PINPatience)
	var list []store.Lockout
	if err == nil && own <= api.LockedOut {
		list, err = c.store.Lockouts(ctx, h.Account.Tenant, h.Account.ID, now.Add(-api.PINPatience))
	}
	if err != nil {
		c.log.Warn("a PIN was not counted, and so not looked at", zap.Error(err))
		return false
	}
	_, all := wrongPINs(list, "")
	return own <= api.LockedOut && all <= api.HostLockedOut
}

// RightPIN implements conference.Rooms.
func (c *conferences) RightPIN(ctx context.Context, h conference.Host, caller tel.Identity) {
	if err := c.store.ForgetPINs(ctx, h.Account.Tenant, h.Account.ID, callerOf(caller)); err != nil {
		c.log.Warn("wrong PINs were not forgotten", zap.Error(err))
	}
}
