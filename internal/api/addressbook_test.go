package api

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/book"
	"github.com/signalbox/signalbox/internal/message"
	"github.com/signalbox/signalbox/internal/store"
	"github.com/signalbox/signalbox/internal/tel"
)

const cards = "BEGIN:VCARD\r\nUID:1\r\nFN:Zoë Müller\r\nTEL:(415) 555-0111\r\nEND:VCARD\r\nBEGIN:VCARD\r\nFN:Bad\r\nTEL:12\r\nEND:VCARD\r\n"

func hostWithANumber(t *testing.T) (*office, client) {
	t.Helper()
	o := newOffice(t, nil)
	c := o.whole("acme")
	c.want(201, "PUT", "/accounts/ada", `{"name":"Ada","timezone":"Europe/Rome"}`)
	c.want(201, "PUT", "/numbers/"+alice, `{"account":"ada"}`)
	return o, c
}

func TestAddressBookIsImported(t *testing.T) {
	o, c := hostWithANumber(t)
	const path = "/accounts/ada/address-book"
	look := c.want(200, "POST", path+"?dry_run=true", cards, "Content-Type", "text/vcard; charset=utf-8")
	if look["added"] != 1.0 || at(look, "differences", 0, "after", "numbers", 0) != "+14155550111" || at(look, "problems", 0, "line") != 8.0 || look["rejected"] != 1.0 {
		t.Errorf("a look before: %v", look)
	}
	if got := c.want(200, "GET", "/accounts/ada/contacts", ""); at(got, "items", 0) != nil {
		t.Errorf("a look wrote %v", got)
	}
	for _, want := range []string{"added:1", "added:0"} {
		got := c.want(200, "POST", path, cards, "Content-Type", "text/vcard")
		if !strings.Contains(fmt.Sprint(got), want+" ") {
			t.Errorf("imported: %v, want %s", got, want)
		}
	}
	found, err := o.store.ContactsWith(t.Context(), "acme", "ada", "+14155550111")
	if err != nil || len(found) != 1 || found[0].Name != "Zoë Müller" {
		t.Errorf("found %+v, %v", found, err)
	}
	c.want(200, "POST", path+"?replace=true", "name,phone\nBen,020 7946 0958\n", "Content-Type", "text/csv", "X", "x")
	if a := c.do("GET", path+"?type=csv", ""); a.status != 200 || strings.Contains(a.text, "Zoë") || !strings.HasPrefix(a.header.Get("Content-Type"), "text/csv") {
		t.Errorf("exported: %d %s", a.status, a.text)
	}
	got := c.want(200, "POST", path+"?replace=true&country=gb", "name,phone\nBen,020 7946 0958\n", "Content-Type", "text/csv")
	if got["added"] != 1.0 {
		t.Errorf("in another country: %v", got)
	}
	if a := c.do("GET", path, ""); !strings.Contains(a.text, "FN:Ben\r\n") || !strings.Contains(a.text, "TEL:+442079460958\r\n") {
		t.Errorf("exported: %s", a.text)
	}
	jcard := `["vcard",[["fn",{},"text","Carla"],["tel",{},"uri","tel:+1-415-555-0112"]]]`
	c.want(200, "POST", path, jcard, "Content-Type", "application/vcard+json")
	c.want(415, "POST", path, cards)
	c.want(413, "POST", path, strings.Repeat("x", maxAddressBook+1), "Content-Type", "text/csv")
	c.want(400, "POST", path, "name,phone\n"+strings.Repeat("A,1\n", book.MaxContacts+1), "Content-Type", "text/csv")
	c.want(400, "POST", path+"?replace=yes", cards, "Content-Type", "text/vcard")
	c.want(400, "POST", path+"?country=XX", cards, "Content-Type", "text/vcard")
	c.want(404, "POST", "/accounts/nobody/address-book", cards, "Content-Type", "text/vcard")
	if n := len(o.server.files); n != 0 {
		t.Errorf("%d places for files are still taken", n)
	}
}

// TestDeviceFollowsItsBook is a device that keeps a copy, and another that changes what is there.
func TestDeviceFollowsItsBook(t *testing.T) {
	_, c := hostWithANumber(t)
	const path = "/accounts/ada/address-book/changes"
	copied, token := map[string]string{}, ""
	follow := func() (changes int) {
		t.Helper()
		for more := true; more; {
			got := c.want(200, "GET", path+"?limit=2&since="+token, "")
			for i := 0; at(got, "items", i) != nil; i++ {
				changes++
				id := at(got, "items", i, "id").(string)
				if at(got, "items", i, "removed") == true {
					delete(copied, id)
				} else {
					copied[id] = at(got, "items", i, "contact", "name").(string)
				}
			}
			token = got["token"].(string)
			more = got["more"] == true
		}
		return changes
	}
	sync := func(body string) object {
		t.Helper()
		return c.want(200, "POST", path, `{"changes":[`+body+`]}`)
	}
	one := `{"id":"a","version":0,"contact":{"name":"Anna","numbers":["(415) 555-0111"]}}`
	if got := sync(one + `,{"id":"b","contact":{"name":"Ben","numbers":["+14155550112"]}},{"id":"c","contact":{"name":"Carla","numbers":[]}}`); got["made"] != 3.0 {
		t.Errorf("written: %v", got)
	}
	if n := follow(); n != 3 || fmt.Sprint(copied) != "map[a:Anna b:Ben c:Carla]" {
		t.Errorf("%d changes, the copy is %v", n, copied)
	}
	if got := sync(one); got["made"] != 1.0 || at(got, "conflicts", 0) != nil || follow() != 0 {
		t.Errorf("sent again: %v", got)
	}
	row := c.want(200, "GET", "/accounts/ada/contacts/a", "")
	if at(row, "numbers", 0) != "+14155550111" || row["source"] != "sync" {
		t.Errorf("kept is %v", row)
	}
	c.want(200, "PUT", "/accounts/ada/contacts/a", `{"name":"Anna Jones","numbers":["(415) 555-0113"]}`)
	got := sync(fmt.Sprintf(`{"id":"a","version":%v,"contact":{"name":"Anna Smith","numbers":[]}},{"id":"b","removed":true},{"id":"z","removed":true}`, row["version"]))
	if got["made"] != 2.0 || at(got, "conflicts", 0, "contact", "name") != "Anna Jones" {
		t.Errorf("of two devices: %v", got)
	}
	if n := follow(); n != 2 || fmt.Sprint(copied) != "map[a:Anna Jones c:Carla]" {
		t.Errorf("%d changes, the copy is %v", n, copied)
	}
	if a := c.want(200, "GET", "/accounts/ada/contacts/a", ""); at(a, "numbers", 0) != "+14155550113" {
		t.Errorf("a national number was put: %v", a)
	}
	wrong := c.want(422, "POST", path, `{"changes":[{"id":"ok","contact":{"numbers":[]}},{"id":"bad","contact":{"numbers":["12"]}}]}`)
	if at(wrong, "errors", 0, "pointer") != "/changes/1/contact/numbers/0" || follow() != 0 {
		t.Errorf("a bad number: %v", wrong)
	}
	c.want(422, "POST", path, `{"changes":[`+strings.TrimSuffix(strings.Repeat(one+",", maxSync+1), ",")+`]}`)
	old := syncToken("ada", store.Mark{Version: 1}, time.Now().Add(-store.Remembered))
	c.want(410, "GET", path+"?since="+old, "")
	c.want(400, "GET", path+"?since="+syncToken("other", store.Mark{Version: 1}, time.Now()), "")
	c.want(400, "GET", path+"?since=x", "")
}

func TestPersonIsForgotten(t *testing.T) {
	o, c := hostWithANumber(t)
	c.want(201, "PUT", "/accounts/ada/contacts/anna", `{"name":"Anna Smith","numbers":["+14155550111"]}`)
	if _, err := o.store.Change(t.Context(), "acme", []store.Change{{Op: store.Put, Entry: &account.ScheduleEntry{Account: "ada", ID: "s", Number: alice, From: time.Now(), Until: time.Now().Add(time.Hour), Allowed: []string{"+14155550111"}}}}, time.Now()); err != nil {
		t.Fatal(err)
	}
	record := finished("c1", "acme", "ada", alice)
	record.Arrival.From.Number, record.Arrival.From.Name, record.Note = "+14155550111", "A. Smith", "Anna Smith joined"
	o.keep(record)
	want := object{"contacts": 1.0, "schedules": 1.0, "messages": 0.0, "records": 1.0, "participants": 0.0, "decisions": 0.0, "files": 0.0}
	if got := c.want(200, "POST", "/accounts/ada/forget", `{"numbers":["(415) 555-0111"],"dry_run":true}`); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("would erase %v, want %v", got, want)
	}
	if got := c.want(200, "POST", "/accounts/ada/forget", `{"contact":"anna","with_numbers":true}`); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("erased %v, want %v", got, want)
	}
	if a := c.do("GET", "/records", ""); strings.Contains(a.text, "Smith") || strings.Contains(a.text, "5550111") || !strings.Contains(a.text, "c1") {
		t.Errorf("records: %s", a.text)
	}
	c.want(404, "POST", "/accounts/ada/forget", `{"contact":"anna"}`)
	c.want(422, "POST", "/accounts/ada/forget", `{}`)
	c.want(422, "POST", "/accounts/ada/forget", `{"numbers":["x"]}`)
}

func TestScheduledConference(t *testing.T) {
	o, c := hostWithANumber(t)
	const path = "/accounts/ada/schedules/weekly"
	body := `{"number":"` + alice + `","title":"Weekly, ${x}","from":"2026-07-01T09:00:00Z","until":"2026-07-01T10:00:00Z","allowed":["+442079460958"]}`
	row := c.want(201, "PUT", path, body)
	a := c.do("GET", path+"/calendar", "")
	for _, line := range []string{"BEGIN:VCALENDAR", "DTSTART;TZID=Europe/Rome:20260701T110000", `SUMMARY:Weekly\, ${x}`, "LOCATION:" + alice, "UID:weekly.ada.acme@signalbox", fmt.Sprintf("SEQUENCE:%v", row["version"])} {
		if a.status != 200 || !strings.HasPrefix(a.header.Get("Content-Type"), "text/calendar") || !strings.Contains(a.text, line+"\r\n") {
			t.Errorf("calendar %d has no %s:\n%s", a.status, line, a.text)
		}
	}
	at := time.Date(2026, 7, 1, 9, 30, 0, 0, time.UTC)
	if s, ok, err := store.Scheduled(t.Context(), o.store, "acme", tel.Number(alice), "+442079460958", at); err != nil || !ok || s.ID != "weekly" {
		t.Errorf("a listed caller is let in by %+v, %v, %v", s, ok, err)
	}
	if got := fieldsOf(c.want(422, "PUT", path, strings.Replace(body, alice, bob, 1))); len(got) != 1 || got[0] != "/number" {
		t.Errorf("another's number: %v", got)
	}
	c.want(204, "DELETE", path, "")
	c.want(404, "GET", path+"/calendar", "")
}

// carrier is a sender that takes telephone numbers and keeps what it sends.
type carrier struct{ sent chan message.Message }

func (carrier) Name() string                                      { return "test" }
func (carrier) Takes(a message.Address) bool                      { return a.Kind == message.Phone }
func (c carrier) Send(_ context.Context, m message.Message) error { c.sent <- m; return nil }

func TestPeopleAreInvited(t *testing.T) {
	sender := carrier{make(chan message.Message, 10)}
	var outbox *message.Outbox
	o := newOffice(t, func(opt *Options) {
		outbox = message.NewOutbox(message.Options{Store: opt.Rows.(store.Outbox), Senders: []message.Sender{sender}, Instance: "test"})
		opt.Messages = outbox
	})
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- outbox.Run(ctx) }()
	t.Cleanup(func() { stop(); <-done })
	c := o.whole("acme")
	c.want(201, "PUT", "/accounts/ada", `{"name":"Ada","timezone":"Europe/Rome"}`)
	c.want(201, "PUT", "/numbers/"+alice, `{"account":"ada"}`)
	const path = "/accounts/ada/schedules/weekly"
	from := time.Now().Add(24 * time.Hour).UTC().Truncate(time.Second)
	c.want(201, "PUT", path, fmt.Sprintf(`{"number":%q,"title":"Weekly ${x}","from":%q,"until":%q}`, alice, from.Format(time.RFC3339), from.Add(time.Hour).Format(time.RFC3339)))
	body := `{"to":["+44 20 7946 0958","(415) 555-0111","+14155550111"],"text":"Bring figures","allow":true}`
	got := c.want(202, "POST", path+"/invitations", body)
	if len(got["messages"].([]any)) != 2 || at(got, "messages", 1, "to") != "+14155550111" {
		t.Errorf("invited: %v", got)
	}
	for range 2 {
		m := <-sender.sent
		rome, _ := time.LoadLocation("Europe/Rome")
		for _, part := range []string{"Weekly ${x}, " + from.In(rome).Format("Mon 2 Jan 2006 15:04"), "Call " + alice + ", the number of Ada", "\nBring figures"} {
			if !strings.Contains(m.Text, part) {
				t.Errorf("the text has no %q: %s", part, m.Text)
			}
		}
		if m.From != alice || m.FromName != "Ada" || m.Subject != "Weekly ${x}" || !strings.Contains(string(m.Files[0].Content), "ORGANIZER;CN=\"Ada\":tel:"+alice) || m.Files[0].Name != "weekly.ics" {
			t.Errorf("sent is %+v", m)
		}
	}
	if list, err := o.store.SchedulesOf(t.Context(), "acme", alice, from); err != nil || len(list) != 1 || len(list[0].Allowed) != 2 {
		t.Errorf("the list is %+v, %v", list, err)
	}
	again := c.want(202, "POST", path+"/invitations", body)
	if at(again, "messages", 0, "id") != at(got, "messages", 0, "id") {
		t.Errorf("sent again: %v, then %v", got, again)
	}
	states := func() string {
		list := c.want(200, "GET", path+"/invitations", "")
		return fmt.Sprint(at(list, "items", 0, "state"), at(list, "items", 1, "state"), at(list, "items", 2))
	}
	for end := time.Now().Add(10 * time.Second); states() != "sentsent<nil>" && time.Now().Before(end); {
	}
	if got := states(); got != "sentsent<nil>" {
		t.Errorf("in the end: %s", got)
	}
	if got := c.want(200, "GET", path+"/invitations?limit=1", ""); got["next"] == nil {
		t.Errorf("a page of one: %v", got)
	}
	row := c.want(200, "GET", path, "")
	c.want(202, "POST", path+"/invitations", `{"to":["+14155550111"],"cancel":true}`)
	if m := <-sender.sent; m.Event != "cancellation" || !strings.Contains(m.Text, "does not take place") || !strings.Contains(string(m.Files[0].Content), "METHOD:CANCEL") ||
		!strings.Contains(string(m.Files[0].Content), fmt.Sprintf("SEQUENCE:%v\r\n", row["version"].(float64)+1)) || !strings.HasSuffix(m.Files[0].Type, "method=CANCEL") {
		t.Errorf("called off: %+v", m)
	}
	if got := c.want(202, "POST", path+"/invitations", `{"cancel":true}`); len(got["messages"].([]any)) != 1 || at(got, "messages", 0, "to") != "+442079460958" {
		t.Fatalf("everybody who has not been told: %v", got)
	}
	if m := <-sender.sent; m.Event != "cancellation" || m.To.Value != "+442079460958" {
		t.Errorf("called off for everybody: %+v", m)
	}
	c.want(409, "POST", path+"/invitations", `{"cancel":true}`)
	c.want(409, "POST", path+"/invitations", `{"to":["anna@example.com"]}`)
	c.want(422, "POST", path+"/invitations", `{"to":["12"]}`)
	c.want(422, "POST", path+"/invitations", `{"to":[]}`)
	c.want(422, "POST", path+"/invitations", `{"to":["+14155550111"],"text":"a\rb"}`)
	c.want(404, "POST", "/accounts/ada/schedules/none/invitations", `{"to":["+14155550111"]}`)
	if len(sender.sent) != 0 {
		t.Errorf("%d messages too many", len(sender.sent))
	}
}
