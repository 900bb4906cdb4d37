package api

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/ical"
	"github.com/signalbox/signalbox/internal/message"
	"github.com/signalbox/signalbox/internal/store"
	"github.com/signalbox/signalbox/internal/tel"
)

// Messages sends texts to people; *message.Outbox.
type Messages interface {
	Takes(a message.Address) bool
	Post(ctx context.Context, tenant string, messages []message.Message, now time.Time) error
	About(ctx context.Context, tenant, account, about, after string, limit int) ([]store.Outgoing, error)
}

const (
	maxInvited    = 200 // by one request
	maxInvitation = 400 // bytes of the host's own words
)

// Invitation is who shall be invited to a scheduled conference.
type Invitation struct {
	To     []string `json:"to,omitempty" doc:"Telephone numbers, e-mail addresses, sip:user@host; at most 200. National numbers are read in the country of the account. None, with cancel: everybody who has been invited."`
	Text   string   `json:"text,omitempty" doc:"The host's own words, at most 400 bytes."`
	Allow  bool     `json:"allow,omitempty" doc:"Put the telephone numbers on the schedule's list too."`
	Cancel bool     `json:"cancel,omitempty" doc:"Say that it does not take place."`
}

// Invited is one message and what became of it.
type Invited struct {
	ID      string              `json:"id"`
	To      string              `json:"to"`
	State   store.OutgoingState `json:"state"`
	Tries   int                 `json:"tries"`
	Note    string              `json:"note,omitempty" doc:"How the last try went."`
	Updated time.Time           `json:"updated"`
}

// Invitees are the messages of one request.
type Invitees struct {
	Messages []Invited `json:"messages"`
}

func (s *Server) invitationRoutes() []route {
	const tag, path = "Scheduled conferences", "/accounts/{account}/schedules/{schedule}/invitations"
	return []route{
		{
			method: "POST", path: path, scope: AccountsWrite, tag: tag, id: "invite", summary: "Invite people to a scheduled conference",
			detail: "Each gets a text and, where the way has room for it, the iCalendar file; it is sent over some hours until it is taken, but not when the conference is over. " +
				"Sent again, nobody is invited twice to the same version. With `cancel` and no `to` everybody who has been invited is told that it does not take place; what still waits to invite them is not sent. 409 when the operator configured no way to such an address (`messages`).",
			body: Invitation{}, result: Invitees{}, statuses: []int{202}, problems: []string{"not-found", "conflict"}, do: s.invite,
		},
		{
			method: "GET", path: path, scope: AccountsRead, tag: tag, id: "listInvitations", summary: "See what became of invitations",
			detail: "For 30 days.", result: Invited{}, list: true, statuses: []int{200}, problems: []string{"not-found"}, do: s.invitations,
		},
	}
}

func (s *Server) invite(q *request) (result, error) {
	var want Invitation
	if err := fill(q.body, &want); err != nil {
		return result{}, err
	}
	event, e, err := q.event()
	if err != nil {
		return result{}, err
	}
	country, err := q.country(e.Account)
	if err != nil {
		return result{}, err
	}
	to, err := s.invitees(q, want, e, country)
	if err != nil {
		return result{}, err
	}
	if event, e, err = q.allow(want, to, event, e); err != nil {
		return result{}, err
	}
	now := time.Now()
	if event.Cancelled = want.Cancel; want.Cancel {
		event.Stamp = now
	}
	messages, out := []message.Message{}, Invitees{Messages: []Invited{}}
	for _, a := range to {
		m := q.invitation(event, e, want, a)
		messages = append(messages, m)
		out.Messages = append(out.Messages, Invited{ID: m.ID, To: a.Value, State: store.OutgoingWaiting, Updated: now.UTC()})
	}
	err = s.opt.Messages.Post(q.Context(), q.tenant, messages, now)
	if errors.Is(err, store.ErrTooMany) {
		return result{}, problem("rate", "too many messages wait to be sent").retryAfter(time.Minute)
	}
	return result{status: http.StatusAccepted, body: out}, err
}

// invitees reads whom to invite, each once.
func (s *Server) invitees(q *request, want Invitation, e *account.ScheduleEntry, country string) ([]message.Address, error) {
	everybody := want.Cancel && len(want.To) == 0
	if !everybody && len(want.To) == 0 || len(want.To) > maxInvited {
		return nil, problem("validation", "/to: %d addresses, want 1 to %d", len(want.To), maxInvited)
	}
	if len(want.Text) > maxInvitation || strings.ContainsFunc(want.Text, func(r rune) bool { return unicode.IsControl(r) && r != '\n' }) {
		return nil, problem("validation", "/text: more than %d bytes, or control characters", maxInvitation)
	}
	if everybody {
		return s.everybody(q, e)
	}
	var out []message.Address
	for i, raw := range want.To {
		a, err := message.ParseAddress(raw, country)
		if err != nil {
			return nil, problem("validation", "/to/%d: %s", i, err.Error())
		}
		if s.opt.Messages == nil || !s.opt.Messages.Takes(a) {
			return nil, problem("conflict", "/to/%d: there is no way to send to such an address: the operator configures it under messages", i)
		}
		if !slices.Contains(out, a) {
			out = append(out, a)
		}
	}
	return out, nil
}

// everybody who has been invited to a conference that is not over, and was not told since that it does not take place.
func (s *Server) everybody(q *request, e *account.ScheduleEntry) ([]message.Address, error) {
	type told struct {
		at      time.Time
		invited bool
	}
	last, order := map[message.Address]told{}, []message.Address(nil)
	for after := ""; s.opt.Messages != nil; {
		rows, err := s.opt.Messages.About(q.Context(), q.tenant, e.Account, e.ID, after, store.MaxList)
		if err != nil {
			return nil, err
		}
		for _, row := range rows {
			var m message.Message
			after = row.ID
			if row.State == store.OutgoingFailed || json.Unmarshal(row.Body, &m) != nil || !m.Expires.After(time.Now()) || !s.opt.Messages.Takes(m.To) {
				continue
			}
			before, known := last[m.To]
			if !known {
				order = append(order, m.To)
			}
			if !known || row.Created.After(before.at) {
				last[m.To] = told{row.Created, m.Event == message.Invitation}
			}
		}
		if len(rows) < store.MaxList {
			break
		}
	}
	out := slices.DeleteFunc(order, func(a message.Address) bool { return !last[a].invited })
	if len(out) == 0 {
		return nil, problem("conflict", "/to: nobody has been invited who could be told that it does not take place")
	}
	return out, nil
}

// allow puts those who are invited on the list, if that is asked for, and gives the event of the new version.
func (q *request) allow(want Invitation, to []message.Address, event ical.Event, e *account.ScheduleEntry) (ical.Event, *account.ScheduleEntry, error) {
	if !want.Allow {
		return event, e, nil
	}
	after := *e
	after.Allowed = slices.Clone(e.Allowed)
	for _, a := range to {
		if a.Kind == message.Phone {
			after.Allowed = append(after.Allowed, a.Value)
		}
	}
	version := event.Sequence
	_, err := q.server.opt.Rows.Change(q.Context(), q.tenant, []store.Change{{Op: store.Put, Entry: &after, IfVersion: &version}}, time.Now())
	if err != nil {
		return event, e, err
	}
	return q.event()
}

// invitation is the message to one person. Its ID says that one was sent of this version to this address.
func (q *request) invitation(event ical.Event, e *account.ScheduleEntry, want Invitation, to message.Address) message.Message {
	kind, subject := message.Invitation, event.Title
	when := event.From.In(event.Zone).Format("Mon 2 Jan 2006 15:04 MST") + " to " + event.Until.In(event.Zone).Format("Mon 2 Jan 15:04 MST")
	text := fmt.Sprintf("%s, %s. %s", event.Title, when, event.Text)
	if want.Cancel {
		kind, subject = message.Cancellation, "Cancelled: "+event.Title
		text = fmt.Sprintf("%s, %s, does not take place.", event.Title, when)
	}
	if want.Text != "" {
		text += "\n" + want.Text
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\n%s\n%d\n%s\n%s\n%s", e.Key(), kind, event.Sequence, to.Kind, to.Value, want.Text))
	return message.Message{
		ID: hex.EncodeToString(sum[:16]), Tenant: q.tenant, Account: e.Account, About: e.ID, Event: kind, To: to, From: tel.Number(e.Number), FromName: q.hostName(e.Account),
		Subject: subject, Text: text, Files: []message.File{{Name: e.ID + ".ics", Type: event.Type(), Content: []byte(event.Write())}}, Expires: e.Until,
	}
}

// hostName is what people call an account; "" when it says nothing.
func (q *request) hostName(accountID string) string {
	row, err := q.server.opt.Rows.Get(q.Context(), q.tenant, account.KindAccount, accountID)
	if err != nil {
		return ""
	}
	return row.Entry.(*account.AccountEntry).Name
}

func (s *Server) invitations(q *request) (result, error) {
	id, err := q.owner()
	if err != nil {
		return result{}, err
	}
	about := q.PathValue("schedule")
	list := "invitations " + cmp.Or(about, "-")
	after, err := q.cursor(list)
	if err != nil {
		return result{}, err
	}
	limit := min(q.limit(), store.MaxList-1)
	var rows []store.Outgoing
	if s.opt.Messages != nil {
		if rows, err = s.opt.Messages.About(q.Context(), q.tenant, id, about, after, limit+1); err != nil {
			return result{}, err
		}
	}
	p := results[Invited]{Items: []Invited{}}
	for i, m := range rows {
		if i == limit {
			p.Next = cursor(list, rows[i-1].ID)
			break
		}
		p.Items = append(p.Items, Invited{ID: m.ID, To: m.Address, State: m.State, Tries: m.Tries, Note: m.Note, Updated: m.Updated})
	}
	return q.page(p, p.Next)
}
