package api

import (
	"net/http"
	"strings"
	"testing"

	"github.com/signalbox/signalbox/internal/store"
	"github.com/signalbox/signalbox/internal/vmadmin"
)

const (
	byHand      = `{"account": "u-7", "voicemail": {"pilot": "+18056377243"}}`
	withoutMail = `{"account": "u-7"}`
)

// A row that is written by itself has the same mailboxes as one that a provisioning request writes: before it, and never without.
func TestMailboxesFollowRowsThatAreWrittenByHand(t *testing.T) {
	o := newOffice(t, nil)
	c := o.whole("acme")
	state := func(far interface {
		Mailbox(string) (vmadmin.Mailbox, bool)
	}) string {
		m, there := far.Mailbox(alice)
		if !there {
			return "none"
		}
		return string(m.State) + " " + m.Class
	}
	c.want(201, "PUT", "/accounts/u-7", `{"name": "By hand"}`)
	o.east.FailWith(func(string, string) int { return http.StatusConflict })
	if p := c.want(502, "PUT", "/numbers/"+alice, byHand); !strings.Contains(p["detail"].(string), "answers 409: made to fail") {
		t.Errorf("the system's no is told as %v", p)
	}
	c.want(404, "GET", "/numbers/"+alice, "")
	o.east.FailWith(nil)
	o.eventually("what was made is taken back", func() bool {
		kept, err := o.store.MailboxesOf(t.Context(), "acme", "u-7")
		return err == nil && len(kept) == 0 && state(o.west) == "none"
	})
	c.want(422, "PUT", "/numbers/"+alice, `{"account": "nobody", "voicemail": {"pilot": "+18056377243"}}`)
	c.want(422, "PUT", "/numbers/"+alice, `{"account": "u-7", "voicemail": {"pilot": "*1"}}`)
	c.want(412, "PUT", "/numbers/"+alice, byHand, "If-Match", `"17"`)
	if n := len(o.west.Mailboxes()) + len(o.east.Mailboxes()); n != 0 {
		t.Errorf("rows that were refused made %d mailboxes", n)
	}

	c.want(201, "PUT", "/numbers/"+alice, byHand)
	if state(o.west) != "active basic" || state(o.east) != "active basic" {
		t.Fatalf("written, the mailboxes are %s and %s", state(o.west), state(o.east))
	}
	made := len(o.west.Requests())
	c.want(200, "PUT", "/numbers/"+alice, strings.Replace(byHand, "{", `{"no_answer": "25s", `, 1))
	if n := len(o.west.Requests()); n != made {
		t.Errorf("a change that is none of the mailbox's asked the system %d times", n-made)
	}
	c.want(200, "PUT", "/accounts/u-7", `{"name": "By hand", "state": "suspended"}`)
	if state(o.west) != "suspended basic" {
		t.Errorf("the account is suspended, the mailbox %s", state(o.west))
	}
	c.want(200, "PUT", "/accounts/u-7", `{"name": "By hand"}`)
	if state(o.west) != "active basic" || o.west.Made(alice) != 2 { // the first was taken back
		t.Errorf("active again, the mailbox is %s, made %d times", state(o.west), o.west.Made(alice))
	}

	c.want(201, "PUT", "/accounts/u-8", `{"name": "Somebody else"}`)
	if p := c.want(422, "PUT", "/numbers/"+alice, strings.Replace(byHand, "u-7", "u-8", 1)); at(p, "errors", 0, "pointer") != "/voicemail/mailbox" {
		t.Errorf("the number with its messages was given to another subscriber: %v", p)
	}
	c.want(200, "PUT", "/numbers/"+alice, withoutMail)
	if lamp := <-o.lamps; lamp != alice {
		t.Errorf("the lamp of %s went out", lamp)
	}
	retained := func() bool {
		kept, err := o.store.MailboxesOf(t.Context(), "acme", "u-7")
		return err == nil && len(kept) == 2 && kept[0].State == store.MailboxRetained && state(o.west) == "suspended basic"
	}
	o.eventually("without voicemail, the mailbox is kept for the retention", retained)
	c.want(200, "PUT", "/numbers/"+alice, byHand)
	if state(o.west) != "active basic" || o.west.Made(alice) != 2 { // the first was taken back
		t.Errorf("with voicemail again, the mailbox is %s, made %d times", state(o.west), o.west.Made(alice))
	}
	c.want(204, "DELETE", "/numbers/"+alice, "")
	o.eventually("the number is gone, its mailbox is kept for the retention", retained)
}
