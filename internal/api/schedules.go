package api

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/ical"
	"github.com/signalbox/signalbox/internal/store"
)

func (s *Server) scheduleRoutes() []route {
	const tag, path = "Scheduled conferences", "/accounts/{account}/schedules"
	rows := rowRoutes(kindRoutes{kind: account.KindSchedule, path: path, key: "schedule", tag: tag, one: "scheduled conference", id: "Schedule", example: account.ScheduleEntry{},
		read: AccountsRead, write: AccountsWrite, below: true})
	return append(rows, route{
		method: "GET", path: path + "/{schedule}/calendar", scope: AccountsRead, tag: tag, id: "getCalendar", summary: "Read a scheduled conference as an iCalendar file",
		detail:   "RFC 5545, in the account's time zone, with the number to call as the way in. SEQUENCE rises with each change, so that a calendar that has it takes the newer one.",
		produces: []string{"text/calendar"}, statuses: []int{200}, problems: []string{"not-found"}, do: calendar,
	})
}

func calendar(q *request) (result, error) {
	event, _, err := q.event()
	if err != nil {
		return result{}, err
	}
	return result{body: page{event.Type(), []byte(event.Write())}, header: map[string]string{"Content-Disposition": `attachment; filename="` + q.PathValue("schedule") + `.ics"`}}, nil
}

// event is the scheduled conference that a path names, for calendars.
func (q *request) event() (ical.Event, *account.ScheduleEntry, error) {
	id, err := q.owner()
	if err != nil {
		return ical.Event{}, nil, err
	}
	rows := q.server.opt.Rows
	row, err := rows.Get(q.Context(), q.tenant, account.KindSchedule, id+"/"+q.PathValue("schedule"))
	if err != nil {
		return ical.Event{}, nil, err
	}
	of, err := rows.Get(q.Context(), q.tenant, account.KindAccount, id)
	if err != nil {
		return ical.Event{}, nil, err
	}
	e := row.Entry.(*account.ScheduleEntry)
	return eventOf(row, e, of.Entry.(*account.AccountEntry)), e, nil
}

func eventOf(row store.Row, e *account.ScheduleEntry, of *account.AccountEntry) ical.Event {
	zone, err := time.LoadLocation(of.TimeZone)
	if err != nil {
		zone = time.UTC // a zone that the machine has forgotten
	}
	host := cmp.Or(of.Name, e.Number)
	text := fmt.Sprintf("Call %s, the number of %s, and press the key that you are offered.", e.Number, host)
	if e.Open {
		text += " Everybody who calls may join."
	}
	return ical.Event{
		UID: strings.ToLower(fmt.Sprintf("%s.%s.%s@signalbox", e.ID, e.Account, row.Tenant)), Sequence: row.Version, Stamp: row.Updated,
		From: e.From, Until: e.Until, Zone: zone, Title: cmp.Or(e.Title, "Conference with "+host), Text: text, Number: e.Number, Host: of.Name,
	}
}
