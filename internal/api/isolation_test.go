package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/call"
	"github.com/signalbox/signalbox/internal/store"
	"github.com/signalbox/signalbox/internal/tel"
)

// marked is what stands in the rows of tenant "other" and nowhere else: who reads it has read another tenant's rows.
const marked = "Zx9secret"

// others makes rows of every kind for tenant "other", whose keys are its own, and a request, a call record and messages.
func (o *office) others() {
	o.t.Helper()
	document := account.Document{
		Tenant:           "other",
		Accounts:         []account.AccountEntry{{ID: "acc-" + marked, Name: marked}},
		VoicemailSystems: []account.SystemEntry{{FQDN: "vm." + strings.ToLower(marked) + ".example.net"}},
		Pilots:           []account.PilotEntry{{Number: "*777", Systems: []account.PilotSystemEntry{{FQDN: "vm." + strings.ToLower(marked) + ".example.net"}}}},
		Numbers: []account.NumberEntry{{Number: bob, Account: "acc-" + marked, Voicemail: &account.VoicemailEntry{Pilot: "*777"},
			Devices: []account.DeviceEntry{{User: marked, Host: "other.example.net"}}}},
		Contacts:  []account.ContactEntry{{Account: "acc-" + marked, ID: "con-" + marked, Name: marked, Numbers: []string{"+12125550123"}}},
		Rules:     []account.RuleEntry{{Account: "acc-" + marked, ID: "rul-" + marked, Callers: account.CallersAll, Do: account.RuleVoicemail}},
		Schedules: []account.ScheduleEntry{{Account: "acc-" + marked, ID: "sch-" + marked, Number: bob, Title: marked, From: time.Now(), Until: time.Now().Add(time.Hour)}},
	}
	if _, err := o.store.Apply(o.t.Context(), document, time.Now()); err != nil {
		o.t.Fatal(err)
	}
	o.keep(finished("call-"+marked, "other", "acc-"+marked, bob))
	if err := o.store.SetWaiting(o.t.Context(), store.Waiting{Number: tel.Number(bob), System: "vm.example.net", Counts: store.Counts{New: 77}, At: time.Now()}); err != nil {
		o.t.Fatal(err)
	}
	o.conference("other", "acc-"+marked, "cnf-"+marked)
	c := o.whole("other")
	c.want(200, "POST", "/provisioning/requests", fmt.Sprintf(`{"requestId":"req-%s","userProfile":"acc-%s","action":"change","name":%q}`, marked, marked, marked))
}

// finished is the record of a call to a number, which has ended.
func finished(id, tenant, account, number string) call.Record {
	r := call.Record{ID: id, Owner: "x", UUID: "x", Node: "fs1", Started: time.Now(), Updated: time.Now(), Ended: time.Now()}
	r.Plan.Number, r.Plan.Account, r.Plan.Tenant = tel.Number(number), account, tenant
	return r
}

// keep keeps a finished record.
func (o *office) keep(r call.Record) {
	o.t.Helper()
	open := r
	open.Ended = time.Time{}
	if err := errors.Join(o.store.Open(o.t.Context(), open), o.store.Close(o.t.Context(), r)); err != nil {
		o.t.Fatal(err)
	}
}

// filled puts another tenant's keys into a path.
func filled(path string) string {
	return strings.NewReplacer("{account}", "acc-"+marked, "{number}", bob, "{contact}", "con-"+marked, "{rule}", "rul-"+marked, "{schedule}", "sch-"+marked, "{conference}", "cnf-"+marked, "{pilot}", "*777",
		"{fqdn}", "vm."+strings.ToLower(marked)+".example.net", "{request}", "req-"+marked, "{userProfile}", "acc-"+marked).Replace(path)
}

// bodies are what is sent to each path that takes one: good but for whose it is.
var bodies = map[string]string{
	"/accounts/{account}":                                   `{"name":"stolen"}`,
	"/numbers/{number}":                                     `{"account":"mine","devices":[{"user":"2000","host":"acme.example.net"}]}`,
	"/accounts/{account}/contacts/{contact}":                `{"numbers":["+12125550123"]}`,
	"/accounts/{account}/rules/{rule}":                      `{"callers":"all","do":"refuse"}`,
	"/accounts/{account}/address-book":                      "BEGIN:VCARD\nFN:stolen\nTEL:+12125550123\nEND:VCARD\n",
	"/accounts/{account}/address-book/changes":              `{"changes":[{"id":"con-` + marked + `","removed":true}]}`,
	"/accounts/{account}/forget":                            `{"numbers":["+12125550123"]}`,
	"/accounts/{account}/schedules/{schedule}/invitations":  `{"to":["+12125550123"]}`,
	"/accounts/{account}/schedules/{schedule}":              `{"number":"+14155550101","from":"2026-03-01T12:00:00Z","until":"2026-03-01T13:00:00Z"}`,
	"/accounts/{account}/conferences/{conference}/commands": `{"command":"end"}`,
	"/accounts/{account}/conferences/{conference}/calls":    `{"number":"+12125550123"}`,
	"/pilots/{pilot}":                                       `{"systems":[{"fqdn":"vms-west.vm.example.net"}]}`,
	"/vms/{fqdn}":                                           `{"transport":"tcp"}`,
	"/explain":                                              `{"from":"+12125550123","to":"+14155550101"}`,
	"/provisioning/requests":                                `{"requestId":"mine","userProfile":"acc-` + marked + `","numbers":["+14155550101"],"services":[{"type":"voicemail"}]}`,
}

// TestNoTenantReachesAnothers walks all routes of the OpenAPI document with a token of one tenant and keys of another.
func TestNoTenantReachesAnothers(t *testing.T) {
	o := newOffice(t, nil)
	o.others()
	acme := o.whole("acme")
	acme.want(201, "PUT", "/accounts/mine", `{}`)
	before := o.everythingOf("other")
	walked := 0
	for _, method := range []string{"GET", "DELETE", "POST", "PUT"} { // writes come last: they make rows of the tenant's own
		paths := slices.Sorted(maps.Keys(o.schema["paths"].(object)))
		for _, path := range slices.Backward(paths) { // contacts before the account that would be the tenant's own then
			operation, ok := at(o.schema, "paths", path, strings.ToLower(method)).(object)
			if !ok {
				continue
			}
			walked++
			name := method + " " + path
			media := "application/json"
			if strings.HasPrefix(bodies[path], "BEGIN:VCARD") {
				media = "text/vcard"
			}
			a := acme.do(method, filled(path), bodies[path], "Content-Type", media)
			if leak := regexp.MustCompile(`(?i)` + marked).FindString(leaks(a.text, path)); leak != "" || strings.Contains(a.text, "77,") {
				t.Errorf("%s: the answer %d holds another tenant's rows: %s", name, a.status, a.text)
			}
			if at(operation, "security", 0) == nil {
				continue // documentation
			}
			if want := wanted(method, path); a.status != want {
				t.Errorf("%s: %d, want %d: %s", name, a.status, want, a.text)
			}
			if a := acme.do(method, filled(path)+"?tenant=other", bodies[path]); a.status != http.StatusForbidden || strings.Contains(leaks(a.text, path), marked) {
				t.Errorf("%s with another tenant: %d, want 403: %s", name, a.status, a.text)
			}
		}
	}
	if walked != len(o.server.routes) || walked < 30 {
		t.Errorf("walked %d routes of %d", walked, len(o.server.routes))
	}
	if after := o.everythingOf("other"); after != before {
		t.Errorf("another tenant's rows were changed; before\n%s\nafter\n%s", before, after)
	}
	if len(o.west.Requests())+len(o.east.Requests()) > 0 {
		t.Errorf("a voicemail system was asked for another tenant's mailbox: %v %v", o.west.Requests(), o.east.Requests())
	}
	// Another tenant's phone does not ring for this one.
	phone := fmt.Sprintf(`"devices":[{"user":%q,"host":"Other.example.net"}]`, marked)
	if got := fieldsOf(acme.want(422, "PUT", "/numbers/"+alice, `{"account":"mine",`+phone+`}`)); !slices.Equal(got, []string{"/devices/0/user"}) {
		t.Errorf("another tenant's phone: %v", got)
	}
	if got := fieldsOf(acme.want(422, "POST", "/provisioning/requests", `{"requestId":"p","userProfile":"mine","numbers":["+14155550100"],`+phone+`,"services":[{"type":"sms"}]}`)); !slices.Equal(got, []string{"/devices/0/user"}) {
		t.Errorf("another tenant's phone by a request: %v", got)
	}
	// Nor does its mailbox become this one's.
	if got := fieldsOf(acme.want(422, "PUT", "/numbers/"+alice, `{"account":"mine","voicemail":{"pilot":"`+pilot+`","mailbox":"`+bob+`"}}`)); !slices.Equal(got, []string{"/voicemail/mailbox"}) {
		t.Errorf("another tenant's mailbox: %v", got)
	}
	// Cursors lead nowhere else.
	for _, list := range []string{"/accounts", "/numbers", "/pilots", "/vms", "/records", "/provisioning/requests"} {
		forged := cursor(strings.TrimSuffix(strings.TrimPrefix(list, "/"), "s"), "\x00")
		if a := acme.do("GET", list+"?cursor="+forged, ""); strings.Contains(strings.ReplaceAll(a.text, "acc-"+marked, ""), marked) {
			t.Errorf("%s with a forged cursor: %s", list, a.text)
		}
	}
	// The operator's admin reaches everybody, and its ordinary tokens nobody.
	if text := o.client("operator", Admin).do("GET", "/accounts?tenant=other", "").text; !strings.Contains(text, marked) {
		t.Errorf("the admin does not see the tenant: %s", text)
	}
	o.whole("operator").want(403, "GET", "/accounts?tenant=other", "")
	if text := o.whole("operator").do("GET", "/accounts", "").text; strings.Contains(text, marked) {
		t.Errorf("the operator's own rows are %s", text)
	}
}

// leaks is an answer without what the asker said himself.
func leaks(text, path string) string {
	if bodies[path] != "" || strings.Contains(path, "{") {
		for _, own := range []string{"acc-" + marked, "con-" + marked, "rul-" + marked, "sch-" + marked, "cnf-" + marked, "req-" + marked, "vm." + strings.ToLower(marked)} {
			text = strings.ReplaceAll(text, own, "")
		}
	}
	return text
}

// wanted is the status that a request with another tenant's key ends with.
func wanted(method, path string) int {
	switch {
	case path == "/tenants":
		return 403
	case method == "GET" && !strings.Contains(path, "{"):
		return 200 // a list, of nothing
	case method == "PUT" && path == "/numbers/{number}", method == "POST" && path == "/provisioning/requests":
		return 422 // the number is taken; not by whom
	case method == "PUT" && strings.HasPrefix(path, "/accounts/{account}/"):
		return 422 // there is no such account
	case method == "PUT":
		return 201 // a row of the tenant's own under the same key
	}
	return 404
}

// everythingOf is all that a tenant has.
func (o *office) everythingOf(tenant string) string {
	o.t.Helper()
	d, err := o.store.Export(o.t.Context(), tenant)
	if err != nil {
		o.t.Fatal(err)
	}
	rows, err := json.Marshal(d)
	if err != nil {
		o.t.Fatal(err)
	}
	requests, err := o.store.Requests(o.t.Context(), tenant, "", 0, 100)
	if err != nil {
		o.t.Fatal(err)
	}
	records, _, err := o.store.RecordsOf(o.t.Context(), tenant, "", 100)
	if err != nil {
		o.t.Fatal(err)
	}
	waiting, err := o.store.WaitingOf(o.t.Context(), tel.Number(bob))
	if err != nil {
		o.t.Fatal(err)
	}
	conferences, err := o.store.ListRooms(o.t.Context(), tenant, "", time.Now().Add(time.Hour), "", 100)
	if err != nil {
		o.t.Fatal(err)
	}
	return fmt.Sprintf("%s\n%+v\n%+v\n%+v\n%+v", rows, requests, records, waiting, conferences)
}

// TestEveryRouteAsksForItsScope walks all routes without a token, with a wrong one, and with one that has every scope but the route's.
func TestEveryRouteAsksForItsScope(t *testing.T) {
	o := newOffice(t, func(opt *Options) { opt.Rate = 10_000 })
	o.server.failures = newLimiter(10_000, 10_000)
	nobody, stranger := client{o, ""}, client{o, "sbx_0123456789ab_" + strings.Repeat("A", 43)}
	without := map[Scope]client{}
	for _, scope := range Scopes {
		rest := slices.DeleteFunc(slices.Clone(Scopes), func(s Scope) bool { return s == scope || s == Admin })
		without[scope] = o.client("acme", rest...)
	}
	expired := o.clientOf(store.Token{Tenant: "acme", Created: time.Now(), Expires: time.Now().Add(-time.Second)}, Scopes[:6]...)
	revoked := o.whole("acme")
	if err := o.store.RevokeToken(t.Context(), tokenID(revoked.token), time.Now()); err != nil {
		t.Fatal(err)
	}
	for _, r := range o.server.routes {
		path := filled(r.path)
		if r.scope == "" {
			nobody.want(200, r.method, path, "")
			continue
		}
		for _, c := range []client{nobody, stranger, expired, revoked} {
			if a := c.do(r.method, path, bodies[r.path]); a.status != 401 || !strings.HasPrefix(a.header.Get("WWW-Authenticate"), "Bearer") {
				t.Errorf("%s %s with token %q: %d %s", r.method, r.path, c.token, a.status, a.text)
			}
		}
		without[r.scope].want(403, r.method, path, bodies[r.path])
	}
}
