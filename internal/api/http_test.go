package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/store"
)

func TestWritesSayWhichVersionTheyWereDecidedOn(t *testing.T) {
	o := newOffice(t, nil)
	c := o.whole("acme")
	made := c.do("PUT", "/accounts/a1", `{"name":"Alice"}`, "If-None-Match", "*")
	first := made.header.Get("ETag")
	if made.status != 201 || first == "" || made.header.Get("Location") != "/accounts/a1" {
		t.Fatalf("made: %+v", made)
	}
	c.want(412, "PUT", "/accounts/a1", `{}`, "If-None-Match", "*")
	second := c.do("PUT", "/accounts/a1", `{"name":"Alicia"}`, "If-Match", first).header.Get("ETag")
	c.want(412, "PUT", "/accounts/a1", `{"name":"late"}`, "If-Match", first)
	c.want(412, "DELETE", "/accounts/a1", "", "If-Match", first)
	c.want(412, "PUT", "/accounts/a2", `{}`, "If-Match", "*")
	c.want(400, "PUT", "/accounts/a1", `{}`, "If-Match", "17")
	// What was read can be sent back as it is; an old one cannot.
	read := c.do("GET", "/accounts/a1", "")
	if read.header.Get("ETag") != second {
		t.Errorf("entity tag %s, want %s", read.header.Get("ETag"), second)
	}
	c.want(200, "PUT", "/accounts/a1", strings.Replace(read.text, "Alicia", "Alice", 1))
	c.want(412, "PUT", "/accounts/a1", read.text)
	latest := c.do("GET", "/accounts/a1", "").header.Get("ETag")
	if a := c.do("GET", "/accounts/a1", "", "If-None-Match", latest); a.status != http.StatusNotModified || a.text != "" {
		t.Errorf("not modified: %+v", a)
	}
	// Nothing changed, so the version stays.
	if again := c.do("PUT", "/accounts/a1", `{"name":"Alice"}`).header.Get("ETag"); again != latest {
		t.Errorf("the same again has %s, want %s", again, latest)
	}
	c.want(204, "DELETE", "/accounts/a1", "", "If-Match", latest)
	c.want(404, "GET", "/accounts/a1", "")
	if text := c.do("PUT", "/numbers/"+alice, `{"account":"nobody"}`).text; !strings.Contains(text, `"/account"`) {
		t.Errorf("an account that there is not: %s", text)
	}
	c.want(201, "PUT", "/accounts/a1", `{}`)
	c.want(201, "PUT", "/numbers/%2B14155550100", `{"account":"a1"}`)
	c.want(409, "DELETE", "/accounts/a1", "")
}

func TestListsArePages(t *testing.T) {
	o := newOffice(t, nil)
	c := o.whole("acme")
	var want []string
	for i := range 7 {
		id := fmt.Sprintf("a%d", i)
		want = append(want, id)
		c.want(201, "PUT", "/accounts/"+id, `{}`)
		c.want(200, "POST", "/provisioning/requests", fmt.Sprintf(`{"requestId":"r%d","userProfile":%q,"services":[{"type":"sms"}]}`, i, id))
	}
	for list, field := range map[string]string{"/accounts": "id", "/provisioning/requests": "userProfile"} {
		var got []string
		pages := 0
		for path := list + "?limit=3"; path != ""; pages++ {
			a := c.do("GET", path, "")
			tree := object{}
			if err := json.Unmarshal([]byte(a.text), &tree); err != nil || pages > 5 {
				t.Fatal(err, a.text)
			}
			items := tree["items"].([]any)
			for i := range items {
				got = append(got, fmt.Sprint(at(items, i, field)))
			}
			path = ""
			if next, ok := tree["next"].(string); ok {
				path = list + "?limit=3&cursor=" + next
				if link := a.header.Get("Link"); !strings.Contains(link, "cursor="+next) || !strings.Contains(link, "limit=3") {
					t.Errorf("Link %q", link)
				}
			}
		}
		slices.Sort(got)
		if !slices.Equal(got, want) || pages != 3 {
			t.Errorf("%s: %v on %d pages", list, got, pages)
		}
	}
	for _, bad := range []string{"limit=0", "limit=1001", "limit=x", "limit=1&limit=2", "page=2", "cursor=x", "cursor=" + cursor("numbers", "a"), "%zz"} {
		c.want(400, "GET", "/accounts?"+bad, "")
	}
}

func TestTokensHaveARateAndAddressesToo(t *testing.T) {
	o := newOffice(t, func(opt *Options) { opt.Rate = 1 })
	c := o.whole("acme")
	statuses := map[int]int{}
	var last answer
	for range 6 {
		last = c.do("GET", "/accounts", "")
		statuses[last.status]++
	}
	if statuses[200] < 2 || statuses[200] > 3 || last.status != 429 || last.header.Get("Retry-After") == "" {
		t.Errorf("one token six times: %v, Retry-After %q", statuses, last.header.Get("Retry-After"))
	}
	for range 4 {
		last = client{o, ""}.do("GET", "/docs", "")
	}
	if last.status != 429 {
		t.Errorf("one address ten times: %d", last.status)
	}
}

func TestGuessingTokensEndsSoon(t *testing.T) {
	o := newOffice(t, nil)
	good := o.whole("acme")
	guesser := client{o, "sbx_0123456789ab_" + strings.Repeat("A", 43)}
	statuses := map[int]int{}
	for range 20 {
		statuses[guesser.do("GET", "/accounts", "").status]++
	}
	if statuses[401] != failBurst || statuses[429] != 20-failBurst {
		t.Errorf("guessing twenty times: %v", statuses)
	}
	good.want(200, "GET", "/accounts", "") // from the same address, which others may share
}

func TestATokenReachesItsNumbersAlone(t *testing.T) {
	o := newOffice(t, nil)
	c := o.clientOf(store.Token{Tenant: "acme", Created: time.Now(), Numbers: []string{"+1415555"}}, AccountsWrite, Provisioning)
	c.want(201, "PUT", "/accounts/a1", `{}`)
	c.want(201, "PUT", "/numbers/"+alice, `{"account":"a1"}`)
	c.want(403, "PUT", "/numbers/+12125550123", `{"account":"a1"}`)
	c.want(403, "DELETE", "/numbers/+12125550123", "")
	c.want(403, "POST", "/provisioning/requests", `{"requestId":"r","userProfile":"u","numbers":["+12125550123"],"services":[{"type":"sms"}]}`)
	c.want(403, "POST", "/provisioning/requests", `{"requestId":"r","userProfile":"a1","action":"changeNumber","numbers":["+14155550100"],"newNumber":"+12125550123"}`)
	// A request without numbers is about all that the subscriber has.
	suspend := `{"requestId":"%s","userProfile":"a1","action":"suspend"}`
	c.want(200, "POST", "/provisioning/requests", fmt.Sprintf(suspend, "own"))
	other := o.whole("acme")
	other.want(201, "PUT", "/numbers/+12125550123", `{"account":"a1"}`)
	c.want(403, "POST", "/provisioning/requests", fmt.Sprintf(suspend, "others"))
	c.want(403, "POST", "/provisioning/requests", `{"requestId":"gone","userProfile":"a1","action":"remove"}`)
	other.want(200, "GET", "/numbers/+12125550123", "")
}

// TestALimitedTokenLeavesOtherNumbersAlone walks every route that writes below an account with a token that reaches one of its two numbers,
// and asks for what would change the other one by requests.
func TestALimitedTokenLeavesOtherNumbersAlone(t *testing.T) {
	o := newOffice(t, nil)
	const other = "+12125550123"
	whole := o.whole("acme")
	c := o.clientOf(store.Token{Tenant: "acme", Created: time.Now(), Numbers: []string{"+1415555"}}, AccountsRead, AccountsWrite, Provisioning)
	whole.want(201, "PUT", "/accounts/a1", `{}`)
	whole.want(201, "PUT", "/numbers/"+alice, `{"account":"a1"}`)
	c.want(200, "PUT", "/accounts/a1", `{"name":"Al"}`) // as long as it has no other
	whole.want(201, "PUT", "/numbers/"+other, `{"account":"a1","voicemail":{"pilot":"`+pilot+`"}}`)
	before := whole.export()
	c.want(403, "PUT", "/accounts/a1", `{"state":"suspended"}`)
	walked := 0
	for _, r := range o.server.routes {
		if r.method == "GET" || !strings.HasPrefix(r.path, "/accounts/{account}") {
			continue
		}
		walked++
		media := "application/json"
		if strings.HasPrefix(bodies[r.path], "BEGIN:VCARD") {
			media = "text/vcard"
		}
		path := filled(strings.Replace(r.path, "{account}", "a1", 1))
		if a := c.do(r.method, path, bodies[r.path], "Content-Type", media); a.status != 403 {
			t.Errorf("%s %s: %d, want 403: %s", r.method, r.path, a.status, a.text)
		}
	}
	if walked < 10 {
		t.Errorf("walked %d routes", walked)
	}
	const has = `"userProfile":"a1","numbers":["+14155550100"]`
	for _, request := range []string{
		`"userProfile":"a1","action":"suspend"`,
		has + `,"action":"change","name":"stolen"`,
		has + `,"services":[{"type":"sms"}]`,
		has + `,"action":"remove","services":[{"type":"sms"}]`,
		has + `,"services":[{"type":"voicemail","mailbox":"` + other + `"}]`,
		`"userProfile":"a1","numbers":["` + bob + `"],"services":[{"type":"voicemail"}]`,
	} {
		c.want(403, "POST", "/provisioning/requests", `{"requestId":"r",`+request+`}`)
	}
	c.want(403, "PUT", "/numbers/"+bob, `{"account":"a1"}`)
	c.want(403, "PUT", "/numbers/"+alice, `{"account":"a1","voicemail":{"pilot":"`+pilot+`","mailbox":"`+other+`"}}`)
	if after := whole.export(); after != before {
		t.Errorf("something was written; before\n%s\nafter\n%s", before, after)
	}
	// Its own number is its own.
	if status := c.want(200, "POST", "/provisioning/requests", `{"requestId":"own",`+has+`,"services":[{"type":"voicemail"}]}`); status["status"] != "done" {
		t.Errorf("voicemail of its own number: %v", status)
	}
	c.want(200, "PUT", "/numbers/"+alice, `{"account":"a1","devices":[{"user":"1000","host":"pbx.example.net"}]}`)
	// What others asked for and failed is not tried again by it.
	o.west.FailWith(func(string, string) int { return http.StatusConflict })
	whole.want(200, "POST", "/provisioning/requests", `{"requestId":"failed",`+has+`,"services":[{"type":"voicemail"}]}`)
	whole.want(200, "POST", "/provisioning/requests", `{"requestId":"moved","userProfile":"a2","numbers":["`+bob+`"],"services":[{"type":"sms"}]}`)
	o.west.FailWith(nil)
	c.want(403, "POST", "/provisioning/requests/failed/retry", "")
	c.want(200, "POST", "/provisioning/requests/moved/retry", "")
	whole.want(200, "POST", "/provisioning/requests/failed/retry", "")
	for _, scope := range []Scope{PilotsWrite, Admin} {
		if _, _, err := NewToken(store.Token{Tenant: account.OperatorTenant, Scopes: []string{string(scope)}, Numbers: []string{"+1"}}); err == nil {
			t.Errorf("a token for some numbers with scope %s", scope)
		}
	}
}

// hostile are bodies that no parser shall stumble over.
var hostile = []struct {
	name, body string
	status     int
}{
	{"nothing", " ", 400},
	{"cut off", `{"name":"Al`, 400},
	{"more behind it", `{} {}`, 400},
	{"no UTF-8", "{\"name\":\"\xff\"}", 400},
	{"deep", strings.Repeat("[", 100_000), 400},
	{"deep objects", strings.Repeat(`{"a":`, 50) + "1" + strings.Repeat("}", 50), 400},
	{"a list", `[]`, 422},
	{"null", `null`, 422},
	{"null inside", `{"name":null}`, 422},
	{"twice", `{"name":"a","name":"b"}`, 422},
	{"twice by escape", `{"name":"a","n\u0061me":"b"}`, 422},
	{"another case", `{"Name":"a"}`, 422},
	{"proto", `{"__proto__":{"admin":true}}`, 422},
	{"a number for a string", `{"name":1e400}`, 422},
	{"control characters", `{"name":"a\u0000b"}`, 422},
	{"expansion", `{"name":"${system(id)}"}`, 201}, // free text stays free text: the encoder in front of the switch sees to it
	{"another key", `{"id":"a2"}`, 422},
	{"a version that is none", `{"version":"1"}`, 422},
	{"a version that is huge", `{"version":1e999}`, 422},
	{"a character that no store keeps", `{"name":"a\u0000b"}`, 422},
	{"too large", `{"name":"` + strings.Repeat("a", maxBody) + `"}`, 413},
}

func TestHostileBodies(t *testing.T) {
	o := newOffice(t, nil)
	c := o.whole("acme")
	for _, h := range hostile {
		a := c.do("PUT", "/accounts/a1", h.body)
		if a.status != h.status || a.status >= 400 && a.header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: %d, want %d: %.200s", h.name, a.status, h.status, a.text)
		}
		c.want(200, "GET", "/accounts", "") // and the next request is answered
	}
	c.want(415, "PUT", "/accounts/a1", `{}`, "Content-Type", "text/plain")
	for _, path := range []string{"/accounts/..%2f..", "/accounts/%2e%2e", "/accounts/" + strings.Repeat("a", 65), "/numbers/12", "/numbers/x", "/pilots/a", "/vms/localhost", "/nowhere", "/accounts/a%00b", "/provisioning/requests/a%00b", "/provisioning/profiles/%ff"} {
		if a := c.do("GET", path, ""); a.status != 404 && a.status/100 != 3 {
			t.Errorf("%s: %d %s", path, a.status, a.text)
		}
	}
	for _, query := range []string{"/numbers?account=%00", "/provisioning/requests?userProfile=a%01", "/accounts?cursor=" + cursor("account", "\x00"), "/accounts?cursor=" + cursor("account", "\xff")} {
		c.want(400, "GET", query, "")
	}
	if a := c.do("PATCH", "/accounts/a1", `{}`); a.status != 405 || !strings.Contains(a.header.Get("Allow"), "PUT") {
		t.Errorf("a method that is none: %d, Allow %q", a.status, a.header.Get("Allow"))
	}
}

// TestTheDocumentHasAllRoutesAndNoOther walks the table and the document, both ways.
func TestTheDocumentHasAllRoutesAndNoOther(t *testing.T) {
	o := newOffice(t, nil)
	nobody := client{o, ""}
	served := object{}
	if err := json.Unmarshal([]byte(nobody.do("GET", "/openapi.json", "").text), &served); err != nil {
		t.Fatal(err)
	}
	if served["openapi"] != "3.1.0" {
		t.Errorf("openapi %v", served["openapi"])
	}
	operations, ids := 0, map[any]bool{}
	for path, item := range served["paths"].(object) {
		for method, operation := range item.(object) {
			if method == "parameters" {
				continue
			}
			operations++
			if id := at(operation, "operationId"); ids[id] {
				t.Errorf("operationId %v stands twice", id)
			} else {
				ids[id] = true
			}
			if !slices.ContainsFunc(o.server.routes, func(r route) bool { return r.path == path && strings.EqualFold(r.method, method) }) {
				t.Errorf("the document has %s %s, the server not", method, path)
			}
		}
	}
	for _, r := range o.server.routes {
		if at(served, "paths", r.path, strings.ToLower(r.method)) == nil {
			t.Errorf("the server has %s %s, the document not", r.method, r.path)
		}
		if a := nobody.do(r.method, filled(r.path), bodies[r.path]); a.status == 404 || a.status == 405 {
			t.Errorf("%s %s is in the table and answered with %d", r.method, r.path, a.status)
		}
		o.server.failures = newLimiter(failRate, failBurst)
	}
	if operations != len(o.server.routes) {
		t.Errorf("%d operations, %d routes", operations, len(o.server.routes))
	}
	page := nobody.do("GET", "/docs", "")
	for _, r := range o.server.routes {
		if !strings.Contains(page.text, r.summary) || !strings.Contains(page.text, r.path) {
			t.Errorf("the page does not tell of %s %s", r.method, r.path)
		}
	}
	for _, outside := range []string{"http://", "https://", "<script", "src="} {
		if strings.Contains(page.text, outside) {
			t.Errorf("the page loads something: %s", outside)
		}
	}
	for name, schema := range served["components"].(object)["schemas"].(object) {
		for field, p := range at(schema, "properties").(object) {
			if strings.HasSuffix(name, "Entry") {
				t.Errorf("schema %s has the name of a type of ours", name)
			}
			if at(p, "description") == nil && at(p, "$ref") == nil && slices.Contains([]string{"Account", "Number", "Pilot", "System", "Rule"}, name) &&
				field != "name" && field != "label" && field != "version" && field != "updated" {
				t.Errorf("%s.%s is not explained", name, field)
			}
		}
	}
}

// heard is a Meter that keeps what it was told.
type heard struct {
	mu      sync.Mutex
	answers []string
}

func (h *heard) Request(route, method string, status int, _ time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.answers = append(h.answers, fmt.Sprintf("%s %s %d", method, route, status))
}

func (h *heard) Refused(reason string) { h.Request("refused", reason, 0, 0) }

func TestEveryRequestIsCounted(t *testing.T) {
	h := &heard{}
	o := newOffice(t, func(opt *Options) { opt.Meter = h })
	c := o.whole("acme")
	c.want(200, "GET", "/docs", "")
	c.want(201, "PUT", "/accounts/a1", `{}`)
	c.want(404, "GET", "/accounts/a2", "")
	c.want(404, "GET", "/nowhere", "")
	client{o, ""}.want(401, "GET", "/accounts", "")
	want := []string{"GET /docs 200", "PUT /accounts/{account} 201", "GET /accounts/{account} 404", "no_route refused 0", "unauthorized refused 0", "GET /accounts 401"}
	o.eventually(fmt.Sprintf("counted is %v", want), func() bool {
		h.mu.Lock()
		defer h.mu.Unlock()
		return slices.Equal(h.answers, want)
	})
}

func FuzzBody(f *testing.F) {
	for _, h := range hostile {
		if len(h.body) < 1000 {
			f.Add(h.body)
		}
	}
	f.Add(crm)
	routes := (&Server{}).table()
	f.Fuzz(func(t *testing.T, body string) {
		if len(body) > 1<<16 {
			return
		}
		tree, err := parse([]byte(body))
		if err != nil {
			return
		}
		for _, r := range routes {
			if r.body == nil {
				continue
			}
			into := reflect.New(reflect.TypeOf(r.body)).Interface()
			if err := fill(tree, into); err != nil {
				if p, ours := problemOf(err); ours || p.Status != 422 {
					t.Fatalf("%s: %v is answered with %d", r.path, err, p.Status)
				}
			}
		}
	})
}
