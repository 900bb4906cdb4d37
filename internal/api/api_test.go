package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/call"
	"github.com/signalbox/signalbox/internal/provision"
	"github.com/signalbox/signalbox/internal/rooms"
	"github.com/signalbox/signalbox/internal/store"
	"github.com/signalbox/signalbox/internal/store/postgres"
	"github.com/signalbox/signalbox/internal/store/postgres/pgtest"
	"github.com/signalbox/signalbox/internal/store/sqlite"
	"github.com/signalbox/signalbox/internal/tel"
	"github.com/signalbox/signalbox/internal/treat"
	"github.com/signalbox/signalbox/internal/vmadmin"
	"github.com/signalbox/signalbox/internal/vmadmin/vmadmintest"
)

const (
	alice  = "+14155550100"
	bob    = "+14155550101"
	pilot  = "+18056377243"
	visual = "*99"
	west   = "vms-west.vm.example.net"
	east   = "vms-east.vm.example.net"
)

// office is the API over a real store, with two voicemail systems behind it.
type office struct {
	t          *testing.T
	store      store.Store
	cache      *store.Cache
	server     *Server
	url        string
	west, east *vmadmintest.Server
	schema     object // the OpenAPI document
	lamps      chan string
}

func TestMain(m *testing.M) { os.Exit(pgtest.Run(m)) }

const postgresTests = "TestOnPostgreSQL"

// openStore opens SQLite, or PostgreSQL in the tests of postgresTests.
func openStore(t *testing.T) (s store.Store) {
	t.Helper()
	var err error
	if strings.HasPrefix(t.Name(), postgresTests) {
		s, err = postgres.Open(t.Context(), postgres.Options{DSN: pgtest.Of(t).New(t)})
	} else {
		s, err = sqlite.Open(t.Context(), sqlite.Options{Path: filepath.Join(t.TempDir(), "signalbox.db")})
	}
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestOnPostgreSQL is the same with the other store.
func TestOnPostgreSQL(t *testing.T) {
	for name, test := range map[string]func(*testing.T){
		"one request": TestOneRequestMakesEverything, "again": TestTheSameRequestAgainIsNoNewOne, "failing system": TestVoicemailSystemThatFails,
		"bad input": TestBadInputNamesEachField, "visual": TestVisualVoicemail, "suspend, resume, remove": TestSuspendResumeRemove,
		"next call": TestTheNextCallUsesTheNewProfile, "rows by hand": TestMailboxesFollowRowsThatAreWrittenByHand, "versions": TestWritesSayWhichVersionTheyWereDecidedOn,
		"pages": TestListsArePages, "tenants": TestNoTenantReachesAnothers, "numbers of a token": TestATokenReachesItsNumbersAlone, "address books": TestDeviceFollowsItsBook, "forgetting": TestPersonIsForgotten, "hostile bodies": TestHostileBodies,
	} {
		t.Run(name, test)
	}
}

func newOffice(t *testing.T, change func(*Options)) *office {
	t.Helper()
	o := &office{t: t, west: vmadmintest.New(), east: vmadmintest.New(), lamps: make(chan string, 100)}
	t.Cleanup(o.west.Close)
	t.Cleanup(o.east.Close)
	o.store = openStore(t)
	t.Cleanup(func() { _ = o.store.Shut() })
	var err error
	o.cache = store.NewCache(store.CacheOptions{Profiles: o.store})
	t.Cleanup(o.cache.Close)
	_, err = o.store.Apply(t.Context(), account.Document{
		VoicemailSystems: []account.SystemEntry{{FQDN: west}, {FQDN: east}},
		Pilots:           []account.PilotEntry{{Number: pilot, Systems: []account.PilotSystemEntry{{FQDN: west, Priority: 10, Weight: 50}, {FQDN: east, Priority: 20}}}},
	}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	systems := vmadmin.Systems{}
	for fqdn, far := range map[string]*vmadmintest.Server{west: o.west, east: o.east} {
		if systems[fqdn], err = vmadmin.New(vmadmin.Options{FQDN: fqdn, URL: far.Base(), Token: vmadmintest.Token}); err != nil {
			t.Fatal(err)
		}
	}
	p, err := provision.New(provision.Options{
		Rows: o.store, Profiles: o.store, Requests: o.store, Mailboxes: o.store, Systems: systems, Retention: time.Hour, Instance: "test", Exclusive: true, Phones: o.store,
		ClearLamp: func(_ context.Context, _, number string) error { o.lamps <- number; return nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	opt := Options{Listener: listener, Rows: o.store, Tokens: o.store, Records: o.store, Book: o.store, Requests: p, Region: "US", Rate: 10_000, Explain: o.explain}
	opt.Rooms, opt.RoomRows, opt.Contacts = rooms.New(rooms.Options{Store: o.store}), o.store, o.store
	if change != nil {
		change(&opt)
	}
	o.server = New(opt)
	o.url = "http://" + listener.Addr().String()
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 2)
	go func() { done <- p.Run(ctx) }()
	go func() { done <- o.server.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := errors.Join(<-done, <-done); err != nil {
			t.Error(err)
		}
	})
	o.schema = o.server.document()
	text, err := json.Marshal(o.schema)
	if err != nil {
		t.Fatal(err)
	}
	o.schema = object{}
	if err := json.Unmarshal(text, &o.schema); err != nil {
		t.Fatal(err)
	}
	return o
}

func (o *office) explain(ctx context.Context, a call.Arrival) (call.Plan, error) {
	p, err := o.cache.Profile(ctx, a.To)
	if errors.Is(err, store.ErrNotFound) {
		return treat.Plan(a, nil, call.World{}, treat.Settings{}), nil
	}
	return treat.Plan(a, &p, call.World{}, treat.Settings{}), err
}

// client is somebody with a token.
type client struct {
	*office
	token string
}

// client makes a token and somebody who has it.
func (o *office) client(tenant string, scopes ...Scope) client {
	o.t.Helper()
	return o.clientOf(store.Token{Tenant: tenant, Created: time.Now()}, scopes...)
}

func (o *office) clientOf(t store.Token, scopes ...Scope) client {
	o.t.Helper()
	for _, s := range scopes {
		t.Scopes = append(t.Scopes, string(s))
	}
	text, kept, err := NewToken(t)
	if err != nil {
		o.t.Fatal(err)
	}
	if err := o.store.AddToken(o.t.Context(), kept); err != nil {
		o.t.Fatal(err)
	}
	return client{o, text}
}

// whole has every scope of a tenant.
func (o *office) whole(tenant string) client {
	return o.client(tenant, AccountsRead, AccountsWrite, PilotsRead, PilotsWrite, Provisioning, RecordsRead)
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	text   string
}

// do sends one request. What comes back is held against the OpenAPI document.
func (c client) do(method, path, body string, headers ...string) answer {
	c.t.Helper()
	var reader io.Reader
	if body != "" {
		reader = strings.NewReader(body)
	}
	req, err := http.NewRequestWithContext(c.t.Context(), method, c.url+path, reader)
	if err != nil {
		c.t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		c.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	a := answer{resp.StatusCode, resp.Header, string(text)}
	c.conforms(method, req.URL.Path, a)
	return a
}

// want sends a request that shall end with a status, and returns the answer as a tree.
func (c client) want(status int, method, path, body string, headers ...string) object {
	c.t.Helper()
	a := c.do(method, path, body, headers...)
	if a.status != status {
		c.t.Fatalf("%s %s: %d, want %d: %s", method, path, a.status, status, a.text)
	}
	tree := object{}
	if a.text != "" && strings.Contains(a.header.Get("Content-Type"), "json") {
		if err := json.Unmarshal([]byte(a.text), &tree); err != nil {
			c.t.Fatalf("%s %s: %v: %s", method, path, err, a.text)
		}
	}
	return tree
}

// at follows names and positions into a tree.
func at(tree any, path ...any) any {
	for _, step := range path {
		switch s := step.(type) {
		case string:
			o, _ := tree.(object)
			tree = o[s]
		case int:
			list, _ := tree.([]any)
			if s >= len(list) {
				return nil
			}
			tree = list[s]
		}
	}
	return tree
}

// fieldsOf are the pointers of a problem.
func fieldsOf(problem object) []string {
	var out []string
	list, _ := problem["errors"].([]any)
	for i := range list {
		out = append(out, fmt.Sprint(at(list, i, "pointer")))
	}
	slices.Sort(out)
	return out
}

// conforms asks that the OpenAPI document has the route and status, and that the body is as it says.
func (o *office) conforms(method, path string, a answer) {
	o.t.Helper()
	kind := a.header.Get("Content-Type")
	kind, _, _ = strings.Cut(kind, ";")
	var known object
	for pattern, item := range o.schema["paths"].(object) {
		if fits(pattern, path) {
			if operation, ok := item.(object)[strings.ToLower(method)]; ok {
				known = operation.(object)
			}
		}
	}
	if known == nil {
		if a.status != http.StatusNotFound && a.status != http.StatusMethodNotAllowed && a.status < 429 && a.status/100 != 3 {
			o.t.Errorf("%s %s is answered with %d and is not in the document", method, path, a.status)
		}
		return
	}
	response, ok := at(known, "responses", strconv.Itoa(a.status)).(object)
	if !ok {
		if a.status != http.StatusNotModified {
			o.t.Errorf("%s %s is answered with %d, which the document has not: %s", method, path, a.status, a.text)
		}
		return
	}
	schema := at(response, "content", kind, "schema")
	if content, ok := response["content"].(object); ok && content[kind] == nil {
		o.t.Errorf("%s %s is answered as %s, which the document has not", method, path, kind)
	}
	if schema == nil || !strings.HasSuffix(kind, "json") {
		return
	}
	d := json.NewDecoder(bytes.NewReader([]byte(a.text)))
	d.UseNumber()
	var body any
	if err := d.Decode(&body); err != nil {
		o.t.Errorf("%s %s: %v", method, path, err)
		return
	}
	o.valid(body, schema.(object), method+" "+path)
}

func fits(pattern, path string) bool {
	want, have := strings.Split(pattern, "/"), strings.Split(path, "/")
	if len(want) != len(have) {
		return false
	}
	for i := range want {
		if !strings.HasPrefix(want[i], "{") && want[i] != have[i] {
			return false
		}
	}
	return true
}

// valid holds a value against as much of JSON Schema as the document uses.
func (o *office) valid(v any, schema object, where string) {
	o.t.Helper()
	if ref, ok := schema["$ref"].(string); ok {
		target, known := at(o.schema, "components", "schemas", ref[strings.LastIndexByte(ref, '/')+1:]).(object)
		if !known {
			o.t.Errorf("%s: the document has no %s", where, ref)
			return
		}
		schema = target
	}
	if values, ok := schema["enum"].([]any); ok && !slices.Contains(values, v) {
		o.t.Errorf("%s is %v, none of %v", where, v, values)
	}
	types := []any{schema["type"]}
	if list, ok := schema["type"].([]any); ok {
		types = list
	}
	if types[0] != nil && !slices.Contains(types, any(schemaType(v))) && (types[0] != "number" || schemaType(v) != "integer") {
		o.t.Errorf("%s is of type %s, want %v", where, schemaType(v), types)
		return
	}
	switch v := v.(type) {
	case object:
		properties, _ := schema["properties"].(object)
		for name, value := range v {
			p, known := properties[name].(object)
			if known {
				o.valid(value, p, where+"/"+name)
			} else if schema["additionalProperties"] == false {
				o.t.Errorf("%s has the field %s, which the document has not", where, name)
			}
		}
		required, _ := schema["required"].([]any)
		for _, name := range required {
			if _, has := v[name.(string)]; !has {
				o.t.Errorf("%s lacks %s", where, name)
			}
		}
	case []any:
		items, _ := schema["items"].(object)
		for i, value := range v {
			o.valid(value, items, fmt.Sprintf("%s/%d", where, i))
		}
	}
}

func schemaType(v any) string {
	switch v := v.(type) {
	case object:
		return "object"
	case []any:
		return "array"
	case string:
		return "string"
	case bool:
		return "boolean"
	case nil:
		return "null"
	case json.Number:
		if strings.ContainsAny(v.String(), ".eE") {
			return "number"
		}
	}
	return "integer"
}

// eventually waits for a fact.
func (o *office) eventually(what string, fact func() bool) {
	o.t.Helper()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for end := time.Now().Add(15 * time.Second); time.Now().Before(end); <-again.C {
		if fact() {
			return
		}
	}
	o.t.Fatalf("not so after 15 s: %s", what)
}

// profile is what the store has for a call to a number; nil = nobody owns it.
func (o *office) profile(number string) *account.Profile {
	o.t.Helper()
	p, err := o.store.Profile(o.t.Context(), tel.Number(number))
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		o.t.Fatal(err)
	}
	return &p
}
