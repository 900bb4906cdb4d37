package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/provision"
	"github.com/signalbox/signalbox/internal/rooms"
	"github.com/signalbox/signalbox/internal/store"
	"github.com/signalbox/signalbox/internal/tel"
)

// Rooms are the conferences of hosts; *rooms.Manager.
type Rooms interface {
	Roster(ctx context.Context, id string) (store.Room, []store.Participant, error)
	Watch(id string) *rooms.Watch
	Unwatch(w *rooms.Watch)
	Do(ctx context.Context, id string, c rooms.Command, participant string) error
	Invite(ctx context.Context, id string, g rooms.Guest) error
}

// Conference is a conference with everybody who was in it.
type Conference struct {
	ID           string        `json:"id"`
	Number       string        `json:"number" doc:"The host's, by which it was reached."`
	By           string        `json:"by" enum:"host,attendee,api" doc:"Who had it made."`
	Opened       time.Time     `json:"opened"`
	Closed       *time.Time    `json:"closed,omitempty" doc:"Left out while it is open."`
	Why          string        `json:"why,omitempty" doc:"Why it is over."`
	Locked       bool          `json:"locked"`
	Recording    bool          `json:"recording"`
	HostPresent  bool          `json:"host_present"`
	Members      int           `json:"members" doc:"Who is in it now."`
	Participants []Participant `json:"participants,omitempty" doc:"In the order they came; of one conference alone."`
}

// Participant is one person in a conference, or who was.
type Participant struct {
	ID       string     `json:"id"`
	Name     string     `json:"name,omitempty" doc:"As the host's address book has it; left out of a guest."`
	Number   string     `json:"number,omitempty" doc:"Left out when it was withheld."`
	Contact  string     `json:"contact,omitempty" doc:"Key of the contact."`
	Shared   bool       `json:"shared" doc:"Many people call from the number, as from a firm's: name is the firm's, and each of them is a participant of his own."`
	Verified bool       `json:"verified" doc:"The number is believed."`
	Host     bool       `json:"host"`
	Muted    bool       `json:"muted"`
	Present  bool       `json:"present"`
	Entered  time.Time  `json:"entered" doc:"When he asked to come in."`
	Joined   *time.Time `json:"joined,omitempty"`
	Left     *time.Time `json:"left,omitempty"`
	Reason   string     `json:"reason,omitempty" doc:"Why he left."`
	Returns  int        `json:"returns,omitempty" doc:"How often he left and was back within a minute."`
}

// ConferenceCommand is what a host does in his conference.
type ConferenceCommand struct {
	Command     string `json:"command" enum:"mute,unmute,mute_all,unmute_all,kick,lock,unlock,record,stop_record,end" doc:"mute, unmute and kick are about a participant; who was kicked stays out while the conference is open. mute_all spares the host."`
	Participant string `json:"participant,omitempty" doc:"His ID."`
}

// ConferenceCall is who shall be called into a conference.
type ConferenceCall struct {
	Number string `json:"number" doc:"One that a contact of the account has."`
}

// AccessDecision says how it was decided whether a caller may come into a host's conference.
type AccessDecision struct {
	At         time.Time `json:"at"`
	Number     string    `json:"number" doc:"The host's."`
	Caller     string    `json:"caller,omitempty" doc:"Left out when it was withheld."`
	Withheld   bool      `json:"withheld"`
	Verdict    string    `json:"verdict" enum:"allowed,pin,refused" doc:"pin: to whoever knows it."`
	Rule       string    `json:"rule" doc:"Why."`
	Contact    string    `json:"contact,omitempty"`
	Screened   bool      `json:"screened" doc:"Somebody has looked whether the caller's number is false."`
	Likelihood float64   `json:"likelihood" doc:"That it is, 0 to 1."`
	Record     string    `json:"record,omitempty" doc:"ID of the call's record."`
}

// WrongPINs counts the wrong PINs of a caller.
type WrongPINs struct {
	Caller string    `json:"caller,omitempty" doc:"Left out: all who withhold their number."`
	Wrong  int       `json:"wrong"`
	Locked bool      `json:"locked" doc:"He is not asked any more, until an hour after the last one."`
	Last   time.Time `json:"last"`
}

const (
	// LockedOut is from how many wrong PINs on a caller is not asked any more, HostLockedOut from how many of all callers together on nobody
	// is asked for a host's, as numbers are easily changed, and PINPatience how long they count.
	LockedOut     = 3
	HostLockedOut = 20
	PINPatience   = time.Hour
)

func (s *Server) conferenceRoutes() []route {
	const tag, path = "Conferences", "/accounts/{account}/conferences"
	one := path + "/{conference}"
	return []route{
		{method: "GET", path: path, scope: AccountsRead, tag: tag, id: "listConferences", summary: "List the conferences of an account, newest first", result: Conference{}, list: true, statuses: []int{200}, problems: []string{"not-found"}, do: listConferences},
		{method: "GET", path: one, scope: AccountsRead, tag: tag, id: "getConference", summary: "Read a conference with its participants", result: Conference{}, statuses: []int{200}, problems: []string{"not-found"}, do: getConference},
		{
			method: "GET", path: one + "/events", scope: AccountsRead, tag: tag, id: "watchConference", summary: "Follow a conference while it is open", detail: "A stream of server-sent events (text/event-stream): event roster with the whole " +
				"conference as JSON, at once and after each change, and event end with its last state, behind which the stream ends. A comment comes every 15 seconds. Without an event end " +
				"it ends within 5 seconds when the token is revoked or expires, or the account is removed.",
			statuses: []int{200}, problems: []string{"not-found"}, do: watchConference,
		},
		{
			method: "POST", path: one + "/commands", scope: AccountsWrite, tag: tag, id: "commandConference", summary: "Do what a host does in the conference", body: ConferenceCommand{},
			statuses: []int{204}, problems: []string{"not-found", "conflict", "validation"}, do: commandConference,
		},
		{
			method: "POST", path: one + "/calls", scope: AccountsWrite, tag: tag, id: "callIntoConference", summary: "Call somebody of the address book into the conference",
			detail: "He is called by the operator's gateway, from the host's number, and gets in by pressing 1. The answer does not wait for that: look at the participants.", body: ConferenceCall{},
			statuses: []int{202}, problems: []string{"not-found", "conflict", "validation"}, do: callIntoConference,
		},
		{method: "GET", path: "/accounts/{account}/access-decisions", scope: AccountsRead, tag: tag, id: "listAccessDecisions", summary: "List whom the conference was offered, and whom not, newest first", result: AccessDecision{}, list: true, statuses: []int{200}, problems: []string{"not-found"}, do: listDecisions},
		{method: "GET", path: "/accounts/{account}/wrong-pins", scope: AccountsRead, tag: tag, id: "listWrongPINs", summary: "List callers of the last hour who gave wrong PINs", result: WrongPINs{}, list: true, statuses: []int{200}, problems: []string{"not-found"}, do: listWrongPINs},
	}
}

func when(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

func conferenceOf(r store.Room, people []store.Participant, whole bool) Conference {
	c := Conference{ID: r.ID, Number: string(r.Number), By: r.By, Opened: r.Opened, Closed: when(r.Closed), Why: r.Why, Locked: r.Locked, Recording: r.Recording}
	for _, p := range people {
		if p.Present() {
			c.Members++
			c.HostPresent = c.HostPresent || p.Host
		}
		if whole {
			c.Participants = append(c.Participants, Participant{
				ID: p.ID, Name: p.Name, Number: string(p.Number), Contact: p.Contact, Shared: p.Shared, Verified: p.Verified, Host: p.Host, Muted: p.Muted, Present: p.Present(),
				Entered: p.Entered, Joined: when(p.Joined), Left: when(p.Left), Reason: p.Reason, Returns: p.Returns,
			})
		}
	}
	return c
}

// conferences are the account that a path names, and what keeps its conferences.
func (q *request) conferences() (owner string, _ Rooms, _ store.Rooms, err error) {
	if owner, err = q.owner(); err == nil && q.server.opt.Rooms == nil {
		err = problem("not-found", "this Signalbox keeps no conferences")
	}
	return owner, q.server.opt.Rooms, q.server.opt.RoomRows, err
}

// conference is the one that a path names; what is another account's is not found.
func (q *request) conference() (Rooms, store.Room, []store.Participant, error) {
	owner, manager, _, err := q.conferences()
	if err != nil {
		return nil, store.Room{}, nil, err
	}
	room, people, err := manager.Roster(q.Context(), q.PathValue("conference"))
	if err == nil && (room.Tenant != q.tenant || room.Account != owner) {
		err = store.ErrNotFound
	}
	return manager, room, people, err
}

func listConferences(q *request) (result, error) {
	owner, manager, rows, err := q.conferences()
	if err != nil {
		return result{}, err
	}
	const list = "conferences"
	last, err := q.cursor(list)
	if err != nil {
		return result{}, err
	}
	before, id := time.Now().Add(24*time.Hour), ""
	if last != "" {
		nanos, rest, _ := strings.Cut(last, " ")
		n, err := strconv.ParseInt(nanos, 10, 64)
		if err != nil {
			return result{}, problem("bad-request", "the cursor is none of this list's: send next of a page, or no cursor to begin anew")
		}
		before, id = time.Unix(0, n), rest
	}
	found, err := rows.ListRooms(q.Context(), q.tenant, owner, before, id, q.limit())
	if err != nil {
		return result{}, err
	}
	p := results[Conference]{Items: []Conference{}}
	for _, r := range found {
		var people []store.Participant
		if r.Closed.IsZero() {
			if r, people, err = manager.Roster(q.Context(), r.ID); err != nil {
				return result{}, err
			}
		}
		p.Items = append(p.Items, conferenceOf(r, people, false))
	}
	if len(found) == q.limit() {
		end := found[len(found)-1]
		p.Next = cursor(list, fmt.Sprintf("%d %s", end.Opened.UnixNano(), end.ID))
	}
	return q.page(p, p.Next)
}

func getConference(q *request) (result, error) {
	_, room, people, err := q.conference()
	return result{body: conferenceOf(room, people, true)}, err
}

// refusedBy says what the error of a command means to who gave it.
func refusedBy(err error) error {
	switch {
	case errors.Is(err, rooms.ErrEnded), errors.Is(err, rooms.ErrNobody), errors.Is(err, rooms.ErrNoRecorder), errors.Is(err, rooms.ErrNoGateway), errors.Is(err, rooms.ErrFull), errors.Is(err, rooms.ErrCalls):
		return problem("conflict", "%v", err)
	case errors.Is(err, rooms.ErrNode):
		return problem("unavailable", "%v", err).retryAfter(2 * time.Second)
	}
	return err
}

func commandConference(q *request) (result, error) {
	manager, room, _, err := q.conference()
	if err != nil {
		return result{}, err
	}
	var c ConferenceCommand
	if err := fill(q.body, &c); err != nil {
		return result{}, err
	}
	if !slices.Contains(rooms.Commands(), rooms.Command(c.Command)) {
		return result{}, invalid([]provision.Problem{{Pointer: "/command", Detail: fmt.Sprintf("%.40q is no command", c.Command)}})
	}
	return result{}, refusedBy(manager.Do(q.Context(), room.ID, rooms.Command(c.Command), c.Participant))
}

func callIntoConference(q *request) (result, error) {
	manager, room, _, err := q.conference()
	if err != nil {
		return result{}, err
	}
	var c ConferenceCall
	if err := fill(q.body, &c); err != nil {
		return result{}, err
	}
	country, err := q.country(room.Account)
	if err != nil {
		return result{}, err
	}
	number, err := tel.ParseNumber(c.Number, country)
	if err != nil {
		return result{}, invalid([]provision.Problem{{Pointer: "/number", Detail: fmt.Sprintf("%.40q is no telephone number", c.Number)}})
	}
	found, err := q.server.opt.Contacts.ContactsWith(q.Context(), q.tenant, room.Account, number)
	if err != nil {
		return result{}, err
	}
	contact := account.Calling(found)
	if contact == nil {
		return result{}, problem("conflict", "no contact of the account has this number: only people of the address book are called")
	}
	err = manager.Invite(q.Context(), room.ID, rooms.Guest{Number: number, Verified: true, Contact: contact.ID, Name: contact.Name, Clip: contact.Clip, Shared: contact.Shared})
	return result{status: http.StatusAccepted, body: object{}}, refusedBy(err)
}

func listDecisions(q *request) (result, error) {
	owner, _, rows, err := q.conferences()
	if err != nil {
		return result{}, err
	}
	const list = "access"
	last, err := q.cursor(list)
	if err != nil {
		return result{}, err
	}
	before, _ := strconv.ParseInt(last, 10, 64)
	found, err := rows.ListAccess(q.Context(), q.tenant, owner, before, q.limit())
	if err != nil {
		return result{}, err
	}
	p := results[AccessDecision]{Items: []AccessDecision{}}
	for _, a := range found {
		p.Items = append(p.Items, AccessDecision{
			At: a.At, Number: string(a.Number), Caller: string(a.Caller), Withheld: a.Withheld, Verdict: a.Verdict, Rule: a.Rule, Contact: a.Contact,
			Screened: a.Screened, Likelihood: a.Likelihood, Record: a.Record,
		})
	}
	if len(found) == q.limit() {
		p.Next = cursor(list, strconv.FormatInt(found[len(found)-1].ID, 10))
	}
	return q.page(p, p.Next)
}

func listWrongPINs(q *request) (result, error) {
	owner, _, rows, err := q.conferences()
	if err != nil {
		return result{}, err
	}
	found, err := rows.Lockouts(q.Context(), q.tenant, owner, time.Now().Add(-PINPatience))
	if err != nil {
		return result{}, err
	}
	p := results[WrongPINs]{Items: []WrongPINs{}}
	for _, l := range found[:min(len(found), q.limit())] {
		p.Items = append(p.Items, WrongPINs{Caller: string(l.Caller), Wrong: l.Wrong, Locked: l.Wrong >= LockedOut, Last: l.Last})
	}
	return q.page(p, "")
}

const (
	lookEvery  = time.Second      // at a conference that another sidecar keeps
	aliveEvery = 15 * time.Second // a comment in a stream
	// A stream outlives neither its token nor its account by longer than admitEvery and the store's answer; while the store is silent, who
	// was let in stays for admitPatience.
	admitEvery    = 2 * time.Second
	admitPatience = 3 * time.Second
	// maxStreams bounds who follows conferences at once.
	maxStreams = 128
	maxFollows = 32               // of them for one tenant
	partTime   = 10 * time.Second // for a follower to take one piece
)

// follows are how many follow conferences of each tenant.
type follows struct {
	mu sync.Mutex
	of map[string]int
}

// begin counts one more; false = the tenant has as many as it may have. end is to be called after true.
func (f *follows) begin(tenant string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.of[tenant] >= maxFollows {
		return false
	}
	if f.of == nil {
		f.of = map[string]int{}
	}
	f.of[tenant]++
	return true
}

func (f *follows) end(tenant string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.of[tenant]--; f.of[tenant] <= 0 {
		delete(f.of, tenant)
	}
}

// isStream reports whether a request follows a conference: not HEAD, which ends as others do, and nothing whose key happens to be events.
func isStream(r *http.Request) bool {
	rest, ok := strings.CutSuffix(r.URL.Path, "/events")
	return ok && r.Method == http.MethodGet && path.Base(path.Dir(rest)) == "conferences"
}

// stream is a body that is sent piece by piece.
type stream func(w http.ResponseWriter, r *http.Request)

// sendPart sends a piece of a stream. Who does not read it in time is not waited for any longer: his place is for others.
func sendPart(w http.ResponseWriter, text string) error {
	c := http.NewResponseController(w)
	if err := c.SetWriteDeadline(time.Now().Add(partTime)); err != nil {
		return err
	}
	if _, err := io.WriteString(w, text); err != nil {
		return err
	}
	return c.Flush()
}

// stillAdmitted asks again whether who follows a conference may: the token is what it was, and the account is there. An error says that nobody knows.
func (q *request) stillAdmitted(ctx context.Context) (bool, error) {
	if token, err := q.server.opt.Tokens.Token(ctx, q.token.ID); errors.Is(err, store.ErrNotFound) {
		return false, nil
	} else if err != nil {
		return q.token.Expires.IsZero() || time.Now().Before(q.token.Expires), err
	} else if ended(token, time.Now()) != "" || token.Hash != q.token.Hash || !may(token, AccountsRead) {
		return false, nil
	}
	_, err := q.server.opt.Rows.Get(ctx, q.tenant, account.KindAccount, q.PathValue("account"))
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	return true, err
}

// watchConference follows a conference until it is over or nobody reads any more.
func watchConference(q *request) (result, error) {
	manager, room, people, err := q.conference()
	if err != nil {
		return result{}, err
	}
	if !q.server.follows.begin(q.tenant) {
		return result{}, problem("unavailable", "your conferences are followed %d times already: end one of those", maxFollows).retryAfter(aliveEvery)
	}
	return result{body: stream(func(w http.ResponseWriter, r *http.Request) {
		defer q.server.follows.end(q.tenant)
		send := func(event string, c Conference) (string, bool) {
			text, err := json.Marshal(c)
			if err != nil {
				return "", false
			}
			return string(text), sendPart(w, fmt.Sprintf("event: %s\ndata: %s\n\n", event, text)) == nil
		}
		watch := manager.Watch(room.ID)
		defer manager.Unwatch(watch)
		look, alive, again := time.NewTicker(lookEvery), time.NewTicker(aliveEvery), time.NewTicker(admitEvery)
		defer look.Stop()
		defer alive.Stop()
		defer again.Stop()
		admitted := time.Now()
		last, ok := send("roster", conferenceOf(room, people, true))
		for ok && room.Closed.IsZero() {
			select {
			case <-watch.Changed:
			case <-look.C:
			case <-alive.C:
				if sendPart(w, ": alive\n\n") != nil {
					return
				}
				continue
			case <-again.C:
				ctx, cancel := context.WithTimeout(r.Context(), admitEvery/2)
				stays, err := q.stillAdmitted(ctx)
				cancel()
				if err == nil {
					admitted = time.Now()
				}
				if !stays || time.Since(admitted) > admitPatience {
					return
				}
				continue
			case <-r.Context().Done():
				return
			case <-q.server.stopping:
				return
			}
			ctx, cancel := context.WithTimeout(r.Context(), lookEvery)
			now, people, err := manager.Roster(ctx, room.ID)
			cancel()
			if err != nil {
				continue // the store is silent; the next look tells
			}
			room = now
			text, err := json.Marshal(conferenceOf(room, people, true))
			if err == nil && string(text) != last {
				last, ok = send("roster", conferenceOf(room, people, true))
			}
		}
		if ok {
			_, people, _ := manager.Roster(r.Context(), room.ID)
			send("end", conferenceOf(room, people, true))
		}
	})}, nil
}
