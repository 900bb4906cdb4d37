package api

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/export"
	"github.com/signalbox/signalbox/internal/provision"
	"github.com/signalbox/signalbox/internal/treat"
)

// route is one method of one path: all that the server, the OpenAPI document and the pages know of it.
type route struct {
	method, path string
	scope        Scope // "" = nobody is asked for a token
	tag          string
	id           string // operationId
	summary      string
	detail       string
	query        []parameter
	body         any      // a value of the type of the body; nil = none
	media        []string // media types of a body that is a file; it is no JSON then
	produces     []string // media types of an answer that is no JSON
	result       any      // a value of the type of the answer; nil = none
	row          bool     // body and answer are a row: version and updated stand beside its fields, and entity tags count
	list         bool     // the answer is a page of results
	statuses     []int    // of success
	problems     []string
	do           func(*request) (result, error)
}

// parameter is one of the query.
type parameter struct {
	name, text string
	integer    bool
	yes        bool // true or false
	least      int
	most       int
}

var (
	tenantParameter = parameter{name: "tenant", text: "Another tenant's rows; tokens of the operator with scope admin alone."}
	limitParameter  = parameter{name: "limit", text: "How many at most; 100 when left out.", integer: true, least: 1, most: 1000}
	cursorParameter = parameter{name: "cursor", text: "`next` of the page before. Opaque: it may change its form."}
)

const maxQuery = 512 // bytes of one value

// checkQuery refuses what a route does not know.
func (r route) checkQuery(q *http.Request) error {
	values, err := url.ParseQuery(q.URL.RawQuery)
	if err != nil {
		return problem("bad-request", "the query cannot be read")
	}
	for name, list := range values {
		known := slices.IndexFunc(r.query, func(p parameter) bool { return p.name == name })
		if known < 0 {
			return problem("bad-request", "%.40q is no parameter that is known here", name)
		}
		if len(list) != 1 || len(list[0]) > maxQuery {
			return problem("bad-request", "parameter %s stands here twice or is too long", name)
		}
		if p := r.query[known]; p.integer {
			if n, err := strconv.Atoi(list[0]); err != nil || n < p.least || n > p.most {
				return problem("bad-request", "parameter %s is %.40q, want %d to %d", name, list[0], p.least, p.most)
			}
		} else if p.yes && list[0] != "true" && list[0] != "false" {
			return problem("bad-request", "parameter %s is %.40q, want true or false", name, list[0])
		}
	}
	return nil
}

func (q *request) limit() int {
	if n, err := strconv.Atoi(q.URL.Query().Get("limit")); err == nil {
		return n
	}
	return 100
}

// table lists all routes.
func (s *Server) table() []route {
	routes := slices.Concat(
		s.provisioningRoutes(),
		rowRoutes(kindRoutes{kind: account.KindAccount, path: "/accounts", key: "account", tag: "Accounts", one: "account", id: "Account", example: account.AccountEntry{}, read: AccountsRead, write: AccountsWrite}),
		rowRoutes(kindRoutes{kind: account.KindNumber, path: "/numbers", key: "number", tag: "Numbers", one: "number", id: "Number", example: account.NumberEntry{}, read: AccountsRead, write: AccountsWrite, byAccount: true}),
		rowRoutes(kindRoutes{kind: account.KindContact, path: "/accounts/{account}/contacts", key: "contact", tag: "Contacts", one: "contact", id: "Contact", example: account.ContactEntry{}, read: AccountsRead, write: AccountsWrite, below: true}),
		s.addressBookRoutes(),
		s.scheduleRoutes(),
		s.conferenceRoutes(),
		s.invitationRoutes(),
		rowRoutes(kindRoutes{kind: account.KindRule, path: "/accounts/{account}/rules", key: "rule", tag: "Rules", one: "rule", id: "Rule", example: account.RuleEntry{}, read: AccountsRead, write: AccountsWrite, below: true}),
		rowRoutes(kindRoutes{kind: account.KindPilot, path: "/pilots", key: "pilot", tag: "Pilots", one: "pilot", id: "Pilot", example: account.PilotEntry{}, read: PilotsRead, write: PilotsWrite}),
		rowRoutes(kindRoutes{kind: account.KindVoicemailSystem, path: "/vms", key: "fqdn", tag: "Voicemail systems", one: "voicemail system", id: "VoicemailSystem", example: account.SystemEntry{}, read: PilotsRead, write: PilotsWrite}),
		s.otherRoutes(),
	)
	for i := range routes {
		if routes[i].scope != "" {
			routes[i].query = append(routes[i].query, tenantParameter)
		}
		if routes[i].list {
			routes[i].query = append(routes[i].query, limitParameter, cursorParameter)
		}
	}
	return routes
}

func (s *Server) provisioningRoutes() []route {
	const tag = "Provisioning"
	return []route{
		{
			method: "POST", path: "/provisioning/requests", scope: Provisioning, tag: tag, id: "sendRequest", summary: "Send a provisioning request",
			detail: "One request for one or more messaging services of a subscriber; all of it becomes true, or nothing does. It is waited for, for two seconds: " +
				"200 has how it ended, look at `status`; with 202 ask again at Location. The same requestId again gives the same answer, with another body 409. Requests of one " +
				"userProfile are done in the order they came. The header Idempotency-Key may stand in for requestId. A tenant with a webhook is told of the end.",
			body: provision.Request{}, result: provision.Status{}, statuses: []int{200, 202}, problems: []string{"conflict", "validation"}, do: sendRequest,
		},
		{
			method: "GET", path: "/provisioning/requests", scope: Provisioning, tag: tag, id: "listRequests", summary: "List provisioning requests, newest first",
			query: []parameter{{name: "userProfile", text: "Those of this subscriber alone."}}, result: provision.Status{}, list: true, statuses: []int{200}, do: listRequests,
		},
		{
			method: "GET", path: "/provisioning/requests/{request}", scope: Provisioning, tag: tag, id: "getRequest", summary: "See how far a provisioning request is",
			result: provision.Status{}, statuses: []int{200}, problems: []string{"not-found"}, do: getRequest,
		},
		{
			method: "POST", path: "/provisioning/requests/{request}/retry", scope: Provisioning, tag: tag, id: "retryRequest", summary: "Do a request that failed again",
			detail: "One that is done is answered as it is. 409 when the subscriber has a newer request.",
			result: provision.Status{}, statuses: []int{200, 202}, problems: []string{"not-found", "conflict"}, do: retryRequest,
		},
		{
			method: "GET", path: "/provisioning/profiles/{userProfile}", scope: Provisioning, tag: tag, id: "getProfile", summary: "Read the voicemail routing profile of a subscriber",
			result: provision.Profile{}, statuses: []int{200}, problems: []string{"not-found"}, do: getProfile,
		},
	}
}

func (s *Server) otherRoutes() []route {
	return []route{
		{
			method: "GET", path: "/numbers/{number}/messages", scope: AccountsRead, tag: "Numbers", id: "getMessages", summary: "Count the messages of a number",
			detail: "As its voicemail system told last (RFC 3842).", result: Counts{}, statuses: []int{200}, problems: []string{"not-found"}, do: getCounts,
		},
		{
			method: "POST", path: "/explain", scope: AccountsRead, tag: "Calls", id: "explain", summary: "Say what would happen to a call, without placing it",
			body: Question{}, result: Explanation{}, statuses: []int{200}, problems: []string{"not-found", "validation"}, do: s.explain,
		},
		{
			method: "GET", path: "/records", scope: RecordsRead, tag: "Calls", id: "listRecords", summary: "List call records, newest first",
			detail: "Finished calls to the tenant's numbers, as they are exported (docs/records.md). What callers and diverters withheld is left out for all but the operator.", result: export.Record{}, list: true, statuses: []int{200}, do: listRecords,
		},
		{
			method: "GET", path: "/tenants", scope: Admin, tag: "Tenants", id: "listTenants", summary: "List the tenants", result: Tenant{}, list: true, statuses: []int{200}, do: listTenants,
		},
		{method: "GET", path: "/openapi.json", tag: "Documentation", id: "getOpenAPI", summary: "This description, as OpenAPI 3.1", statuses: []int{200}, do: s.openAPI},
		{method: "GET", path: "/docs", tag: "Documentation", id: "getDocs", summary: "This description, for people", statuses: []int{200}, do: s.docs},
	}
}

// Question is a call that is not placed.
type Question struct {
	From       string   `json:"from" doc:"Calling number, or anonymous."`
	To         string   `json:"to" doc:"Called number, one of your own."`
	Name       string   `json:"name,omitempty" doc:"The caller's display name."`
	Diversions []string `json:"diversions,omitempty" doc:"Values of Diversion headers, newest first; at most 20."`
}

// Explanation is what would happen to a call.
type Explanation struct {
	Text     string         `json:"text" doc:"For people, line by line."`
	Plan     export.Plan    `json:"plan"`
	Branches []treat.Branch `json:"branches"`
}

// Counts are the messages of a number.
type Counts struct {
	Number    string `json:"number"`
	New       int    `json:"new"`
	Old       int    `json:"old"`
	UrgentNew int    `json:"urgent_new"`
	UrgentOld int    `json:"urgent_old"`
	From      string `json:"from,omitempty" doc:"The voicemail system that said so."`
	Updated   string `json:"updated,omitempty" doc:"When."`
}

// Tenant is one tenant.
type Tenant struct {
	Tenant string `json:"tenant"`
}
