package store

import (
	"context"
	"time"

	"github.com/signalbox/signalbox/internal/tel"
)

// Room is a conference of a host, open or over.
type Room struct {
	ID       string     `json:"id"` // 16 hex digits
	Tenant   string     `json:"tenant"`
	Account  string     `json:"account"` // the host's
	Number   tel.Number `json:"number"`  // by which he was called
	HostName string     `json:"host_name,omitempty"`
	Language string     `json:"language,omitempty"`
	Node     string     `json:"node"`           // the FreeSWITCH that has it
	Core     string     `json:"core,omitempty"` // its Core-UUID when the room was opened; another one now means that the conference is lost
	By       string     `json:"by"`             // who had it made: "host", "attendee" or "api"
	Opened   time.Time  `json:"opened"`
	Closed   time.Time  `json:"closed,omitzero"` // zero = it is open
	Why      string     `json:"why,omitempty"`   // it was closed

	Locked     bool          `json:"locked,omitempty"`
	Recording  bool          `json:"recording,omitempty"`
	Quiet      bool          `json:"quiet,omitempty"` // nobody is told who joins and leaves
	Waits      bool          `json:"waits,omitempty"` // members hear music until the host is there
	MaxMembers int           `json:"max_members,omitempty"`
	EndsWith   bool          `json:"ends_with_host,omitempty"` // it ends when the host has left, after Grace
	Grace      time.Duration `json:"grace,omitempty"`
	Accept     time.Duration `json:"accept,omitempty"` // how long the host is called
	Dial       tel.Number    `json:"dial,omitempty"`   // by which the host is called; "" = on his devices

	DialOwner string    `json:"dial_owner,omitempty"`
	DialUntil time.Time `json:"dial_until,omitzero"` // the host is being called until then at most; see ClaimDial
}

// Name is the room's name in FreeSWITCH.
func (r Room) Name() string { return RoomPrefix + r.ID }

// RoomPrefix begins the names of our rooms in FreeSWITCH.
const RoomPrefix = "sb-"

// Participant is a person in a room, or on the way into it. Who comes back soon after he left is the same participant, unless his number is
// shared.
type Participant struct {
	ID       string     `json:"id"`
	Room     string     `json:"room"`
	UUID     string     `json:"uuid"` // of his leg
	Node     string     `json:"node,omitempty"`
	Record   string     `json:"record,omitempty"` // ID of his call's record
	Member   int        `json:"member,omitempty"` // FreeSWITCH's number of him
	Number   tel.Number `json:"number,omitempty"` // "" = withheld
	Verified bool       `json:"verified,omitempty"`
	Host     bool       `json:"host,omitempty"`
	Contact  string     `json:"contact,omitempty"` // ID in the host's address book; "" = a guest
	Name     string     `json:"name,omitempty"`    // as the host calls him
	Clip     string     `json:"clip,omitempty"`
	Shared   bool       `json:"shared,omitempty"` // many people call from the number: he is somebody of whom Name tells
	Muted    bool       `json:"muted,omitempty"`
	Entered  time.Time  `json:"entered"`          // when he asked to come in
	Joined   time.Time  `json:"joined,omitzero"`  // zero = he is not in yet
	Left     time.Time  `json:"left,omitzero"`    // zero = he has not left
	Reason   string     `json:"reason,omitempty"` // why he left
	Returns  int        `json:"returns,omitempty"`
}

// Present reports whether the participant is in the room.
func (p Participant) Present() bool { return !p.Joined.IsZero() && p.Left.IsZero() }

// Access is how it was decided whether a caller may come into a host's conference.
type Access struct {
	ID         int64      `json:"id"` // given by the store, rising
	Tenant     string     `json:"tenant"`
	Account    string     `json:"account"` // the host's
	Number     tel.Number `json:"number"`  // the host's
	Caller     tel.Number `json:"caller,omitempty"`
	Withheld   bool       `json:"withheld,omitempty"`
	Verdict    string     `json:"verdict"` // "allowed", "refused" or "pin"
	Rule       string     `json:"rule"`    // why, in words
	Contact    string     `json:"contact,omitempty"`
	Screened   bool       `json:"screened,omitempty"` // somebody has looked whether the caller's number is false
	Likelihood float64    `json:"likelihood"`         // that it is
	Record     string     `json:"record,omitempty"`
	At         time.Time  `json:"at"`
}

// Lockout counts wrong PINs of a caller for a host; from some number on he is not asked any more.
type Lockout struct {
	Caller tel.Number `json:"caller"` // "" = all who withhold their number
	Wrong  int        `json:"wrong"`
	Last   time.Time  `json:"last"`
}

// Rooms keeps conferences: who is in them, who was let in and who was not. Of a host one room is open at most, whoever asks and however
// many do at once.
type Rooms interface {
	// OpenRoom opens a room for its host, or returns the one that he has open; the second result says that it is new.
	OpenRoom(ctx context.Context, r Room) (Room, bool, error)
	// RoomOf returns the open room of a host; ErrNotFound.
	RoomOf(ctx context.Context, tenant, account string) (Room, error)
	// Room returns a room, open or over; ErrNotFound.
	Room(ctx context.Context, id string) (Room, error)
	// OpenRooms returns the open rooms of a node, "" = of all, the oldest first.
	OpenRooms(ctx context.Context, node string) ([]Room, error)
	// ListRooms returns rooms of an account, "" = of the whole tenant, newest first: those opened before a time and with a smaller ID than
	// one of that same time, at most limit.
	ListRooms(ctx context.Context, tenant, account string, before time.Time, id string, limit int) ([]Room, error)
	// ChangeRoom changes an open room in one step; ErrNotFound when it is over. change may be called more than once.
	ChangeRoom(ctx context.Context, id string, change func(*Room)) (Room, error)
	// CloseRoom closes a room and, for the same reason, has everybody leave it. The result says that it was open.
	CloseRoom(ctx context.Context, id, why string, at time.Time) (bool, error)
	// CloseRoomUnless is CloseRoom, unless busy says of everybody who ever was in the room, as they are at that moment, that it is to stay
	// open: ErrInUse. busy asks the store nothing.
	CloseRoomUnless(ctx context.Context, id, why string, at time.Time, busy func([]Participant) bool) (bool, error)
	// ClaimDial claims for an owner, until a time, the right to call the host into a room. false = another one has it, or has had it and
	// it has not run out.
	ClaimDial(ctx context.Context, room, owner string, now, until time.Time) (bool, error)
	// KeepNode claims for an owner the right to speak and decide in the rooms of a node. Whoever has it keeps it while he asks
	// again before patience is over, by the database's clock.
	KeepNode(ctx context.Context, node, owner string, patience time.Duration) (bool, error)

	// PutParticipant keeps a participant, new or as he is now.
	PutParticipant(ctx context.Context, p Participant) error
	// Admit keeps a participant of an open room whom may lets in, by what the room and everybody who ever was in it are at that moment; it
	// may change him. ErrNotFound when the room is over, else the error of may, which asks the store nothing.
	Admit(ctx context.Context, p *Participant, may func(Room, []Participant) error) error
	// Participants returns everybody who ever was in a room or on the way into it, in the order they came.
	Participants(ctx context.Context, room string) ([]Participant, error)
	// ParticipantOf returns the participant whose leg has a UUID; ErrNotFound.
	ParticipantOf(ctx context.Context, room, uuid string) (Participant, error)
	// Bar keeps a number out of a room for as long as it is open.
	Bar(ctx context.Context, room string, number tel.Number) error
	// Barred reports whether a number is kept out.
	Barred(ctx context.Context, room string, number tel.Number) (bool, error)

	// AddAccess keeps decisions.
	AddAccess(ctx context.Context, list []Access) error
	// ListAccess returns decisions for an account, "" = for all of the tenant, newest first: those with a smaller ID than before (0 = all), at most limit.
	ListAccess(ctx context.Context, tenant, account string, before int64, limit int) ([]Access, error)
	// WrongPIN counts one more wrong PIN of a caller; one that is older than patience does not count any more.
	WrongPIN(ctx context.Context, tenant, account string, caller tel.Number, now time.Time, patience time.Duration) (int, error)
	// Lockouts returns the callers of wrong PINs since a time.
	Lockouts(ctx context.Context, tenant, account string, since time.Time) ([]Lockout, error)
	// ForgetPINs forgets the wrong PINs of a caller; of those who withhold their number one alone, as nobody knows whose the others are.
	ForgetPINs(ctx context.Context, tenant, account string, caller tel.Number) error
	// TrimRooms deletes rooms that were closed before a time, with their participants, and decisions of before it, at most TrimBatch of
	// each; the result is how many.
	TrimRooms(ctx context.Context, before time.Time) (int, error)
}
