package api

import (
	"bufio"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/store"
	"github.com/signalbox/signalbox/internal/tel"
)

// conference makes an open conference of an account, in which its host and a person called marked are, a decision and a wrong PIN.
func (o *office) conference(tenant, accountID, id string) {
	o.t.Helper()
	now := time.Now().UTC()
	_, _, err := o.store.OpenRoom(o.t.Context(), store.Room{ID: id, Tenant: tenant, Account: accountID, Number: tel.Number(bob), HostName: marked, Node: "fs1", By: "attendee", Opened: now})
	for _, p := range []store.Participant{
		{ID: "p1", Room: id, UUID: "u1", Number: tel.Number(bob), Host: true, Entered: now, Joined: now},
		{ID: "p2", Room: id, UUID: "u2", Number: "+12125550123", Contact: "con", Name: marked, Verified: true, Entered: now, Joined: now},
		{ID: "p3", Room: id, UUID: "u3", Entered: now, Joined: now, Left: now, Reason: "left"},
		{ID: "p4", Room: id, UUID: "u4", Number: "+12125550180", Contact: "acme", Name: marked + " Ltd", Shared: true, Entered: now, Joined: now},
	} {
		if err == nil {
			err = o.store.PutParticipant(o.t.Context(), p)
		}
	}
	if err == nil {
		err = o.store.AddAccess(o.t.Context(), []store.Access{{Tenant: tenant, Account: accountID, Caller: "+12125550123", Verdict: "refused", Rule: marked, At: now}})
	}
	for range LockedOut {
		if err == nil {
			_, err = o.store.WrongPIN(o.t.Context(), tenant, accountID, "+12125550123", now, PINPatience)
		}
	}
	if err != nil {
		o.t.Fatal(err)
	}
}

// text is what a path answers with 200.
func text(c client, path string) string {
	c.office.t.Helper()
	a := c.do("GET", path, "")
	if a.status != http.StatusOK {
		c.office.t.Errorf("GET %s: %d %s", path, a.status, a.text)
	}
	return a.text
}

// twoHosts are two accounts of one tenant; the first has a conference.
func twoHosts(t *testing.T) *office {
	o := newOffice(t, nil)
	document := account.Document{Tenant: "acme", Accounts: []account.AccountEntry{{ID: "h1"}, {ID: "h2"}},
		Contacts: []account.ContactEntry{{Account: "h1", ID: "con", Name: marked, Numbers: []string{"+12125550123"}}}}
	if _, err := o.store.Apply(t.Context(), document, time.Now()); err != nil {
		t.Fatal(err)
	}
	o.conference("acme", "h1", "c1")
	return o
}

func TestAHostReadsRosterDecisionsAndWrongPINs(t *testing.T) {
	o := twoHosts(t)
	host := o.clientOf(store.Token{Tenant: "acme", Account: "h1", Created: time.Now()}, AccountsRead, AccountsWrite)
	var c Conference
	if err := json.Unmarshal([]byte(text(host, "/accounts/h1/conferences/c1")), &c); err != nil {
		t.Fatal(err)
	}
	if c.Members != 3 || !c.HostPresent || len(c.Participants) != 4 || c.Participants[1].Shared || !c.Participants[3].Shared || c.Participants[1].Name != marked || c.Participants[2].Present || c.Participants[2].Number != "" || c.Closed != nil {
		t.Errorf("conference %+v", c)
	}
	for path, want := range map[string]string{
		"/accounts/h1/conferences":      `"members":3`,
		"/accounts/h1/access-decisions": `"rule":"` + marked + `"`,
		"/accounts/h1/wrong-pins":       `"wrong":3,"locked":true`,
	} {
		if got := text(host, path); !strings.Contains(got, want) {
			t.Errorf("%s has not %s: %s", path, want, got)
		}
	}
	host.want(404, "GET", "/accounts/h1/conferences/none", "")
	host.want(422, "POST", "/accounts/h1/conferences/c1/commands", `{"command":"hangup"}`)
	host.want(503, "POST", "/accounts/h1/conferences/c1/commands", `{"command":"lock"}`) // no link to its node
	host.want(409, "POST", "/accounts/h1/conferences/c1/calls", `{"number":"+12125559999"}`)
	if _, err := o.store.CloseRoom(t.Context(), "c1", "over", time.Now()); err != nil {
		t.Fatal(err)
	}
	host.want(409, "POST", "/accounts/h1/conferences/c1/commands", `{"command":"lock"}`)
	if got := text(host, "/accounts/h1/conferences/c1"); !strings.Contains(got, `"why":"over"`) || !strings.Contains(got, `"members":0`) {
		t.Errorf("closed: %s", got)
	}
}

// TestOneHostCannotReadAnothers walks all routes with a token of one account and the keys of another one of the same tenant.
func TestOneHostCannotReadAnothers(t *testing.T) {
	o := twoHosts(t)
	other := o.clientOf(store.Token{Tenant: "acme", Account: "h2", Created: time.Now()}, Scopes[:len(Scopes)-1]...)
	for _, r := range o.server.routes {
		if r.scope == "" {
			continue
		}
		path := strings.NewReplacer("{account}", "h1", "{conference}", "c1", "{contact}", "con").Replace(filled(strings.ReplaceAll(strings.ReplaceAll(r.path, "{account}", "h1"), "{conference}", "c1")))
		if a := other.do(r.method, path, bodies[r.path]); a.status != http.StatusForbidden || strings.Contains(a.text, marked) {
			t.Errorf("%s %s: %d, want 403: %s", r.method, path, a.status, a.text)
		}
	}
	other.want(200, "GET", "/accounts/h2/conferences", "")
	other.want(404, "GET", "/accounts/h2/conferences/c1", "") // not his
	other.want(403, "DELETE", "/accounts/h2", "")
}

// follow begins to follow conference c1.
func follow(host client) *http.Response {
	t := host.office.t
	t.Helper()
	ask, err := http.NewRequestWithContext(t.Context(), http.MethodGet, host.office.url+"/accounts/h1/conferences/c1/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	ask.Header.Set("Authorization", "Bearer "+host.token)
	answer, err := http.DefaultClient.Do(ask)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = answer.Body.Close() })
	if got := answer.Header.Get("Content-Type"); answer.StatusCode != 200 || got != "text/event-stream" {
		t.Fatalf("answer %d %s", answer.StatusCode, got)
	}
	return answer
}

// TestARosterIsFollowedNoLongerThanOneMay: whoever reads on after what let him in has gone sees nothing more within 5 s.
func TestARosterIsFollowedNoLongerThanOneMay(t *testing.T) {
	now := time.Now()
	for name, c := range map[string]struct {
		lives time.Duration // the token; 0 = for good
		end   func(o *office, token string) error
		stays bool
	}{
		"revoked": {end: func(o *office, token string) error {
			return o.store.RevokeToken(o.t.Context(), tokenID(token), time.Now())
		}},
		"expired": {lives: 2 * time.Second, end: func(*office, string) error { return nil }},
		"account removed": {end: func(o *office, _ string) error {
			_, err := o.store.Change(o.t.Context(), "acme", []store.Change{{Op: store.Delete, Kind: account.KindAccount, Key: "h1"}}, time.Now())
			return err
		}},
		"store silent": {end: func(o *office, _ string) error { return o.store.Shut() }},
		"another revoked": {stays: true, end: func(o *office, _ string) error {
			other := o.clientOf(store.Token{Tenant: "acme", Account: "h1", Created: now}, AccountsRead)
			return o.store.RevokeToken(o.t.Context(), tokenID(other.token), time.Now())
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := twoHosts(t)
			token := store.Token{Tenant: "acme", Account: "h1", Created: now}
			if c.lives > 0 {
				token.Expires = time.Now().Add(c.lives)
			}
			host := o.clientOf(token, AccountsRead)
			ended, began := make(chan error, 1), make(chan struct{})
			answer := follow(host)
			go func() {
				lines := bufio.NewScanner(answer.Body)
				for first := true; lines.Scan(); {
					if first {
						first = false
						close(began)
					}
				}
				ended <- lines.Err()
			}()
			<-began
			from := time.Now()
			if err := c.end(o, host.token); err != nil {
				t.Fatal(err)
			}
			const most = 5 * time.Second
			select {
			case err := <-ended:
				if c.stays || err != nil {
					t.Errorf("the stream ended after %v: %v", time.Since(from), err)
				}
			case <-time.After(most):
				if !c.stays {
					t.Errorf("the stream goes on after %v", most)
				}
			}
		})
	}
}

func TestARosterIsFollowedUntilTheConferenceIsOver(t *testing.T) {
	o := twoHosts(t)
	host := o.clientOf(store.Token{Tenant: "acme", Account: "h1", Created: time.Now()}, AccountsRead)
	lines := bufio.NewScanner(follow(host).Body)
	next := func() (event string, c Conference) {
		t.Helper()
		for lines.Scan() {
			name, text, _ := strings.Cut(lines.Text(), ": ")
			switch name {
			case "event":
				event = text
			case "data":
				if err := json.Unmarshal([]byte(text), &c); err != nil {
					t.Fatal(err)
				}
				return event, c
			}
		}
		t.Fatalf("the stream ended: %v", lines.Err())
		return "", c
	}
	if event, c := next(); event != "roster" || c.Members != 3 {
		t.Errorf("first %s %+v", event, c)
	}
	p, err := o.store.ParticipantOf(t.Context(), "c1", "u2")
	if err != nil {
		t.Fatal(err)
	}
	p.Left, p.Reason = time.Now(), "left"
	if err := o.store.PutParticipant(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	if event, c := next(); event != "roster" || c.Members != 2 {
		t.Errorf("after one left: %s %+v", event, c)
	}
	if _, err := o.store.CloseRoom(t.Context(), "c1", "over", time.Now()); err != nil {
		t.Fatal(err)
	}
	if event, c := next(); event != "roster" || c.Members != 0 || c.Why != "over" {
		t.Errorf("when it is over: %s %+v", event, c)
	}
	if event, _ := next(); event != "end" {
		t.Errorf("last comes %s", event)
	}
	for lines.Scan() {
		if lines.Text() != "" {
			t.Errorf("behind the end comes %q", lines.Text())
		}
	}
}
