package directory

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/store"
)

const (
	hash   = "0123456789abcdef0123456789abcdef"
	host   = "pbx.example.net"
	number = "+14155550100"
)

// shelf is a store of phones that falls silent, fails and is changed.
type shelf struct {
	mu       sync.Mutex
	phones   map[string]store.DirectoryUser
	failing  error
	hanging  chan struct{} // reads wait until it is closed; nil = they do not
	revision int64
	touched  []store.Touch
	all      bool // does not say what changed
	broken   int  // looks for changes that panic
	reads    atomic.Int64
}

func newShelf() *shelf {
	s := &shelf{phones: map[string]store.DirectoryUser{}}
	s.put("1000", "Alice")
	return s
}

func (s *shelf) put(user, name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.phones[store.PhoneKey(user, host)] = store.DirectoryUser{
		Tenant: "acme", Account: account.AccountEntry{ID: "a1", Name: name}, Number: account.NumberEntry{Number: number, Account: "a1"},
		Device: account.DeviceEntry{Kind: account.DeviceRegistered, User: user, Host: host, A1Hash: hash},
	}
	s.revision++
}

// remove takes a phone away, and says so to those who ask for changes.
func (s *shelf) remove(user string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.phones, store.PhoneKey(user, host))
	s.revision++
	s.touched = []store.Touch{{Tenant: "acme", Kind: account.KindNumber, Key: number}}
}

// behave has reads fail with an error, and wait until a channel is closed.
func (s *shelf) behave(err error, hanging chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failing, s.hanging = err, hanging
}

func (s *shelf) DirectoryUser(ctx context.Context, user, domain string) (store.DirectoryUser, error) {
	s.reads.Add(1)
	s.mu.Lock()
	failing, hanging := s.failing, s.hanging
	s.mu.Unlock()
	if hanging != nil {
		select {
		case <-hanging:
		case <-ctx.Done():
			return store.DirectoryUser{}, ctx.Err()
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	u, ok := s.phones[store.PhoneKey(user, domain)]
	if failing == nil && !ok {
		failing = fmt.Errorf("phone: %w", store.ErrNotFound)
	}
	return u, failing
}

func (s *shelf) Revision(context.Context) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken--; s.broken >= 0 {
		panic("a bug of the store")
	}
	return s.revision, nil
}

func (s *shelf) Touched(context.Context, int64) (store.Touched, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all {
		return store.Touched{Revision: s.revision, All: true}, nil
	}
	return store.Touched{Revision: s.revision, Rows: s.touched}, nil
}

func newServer(t *testing.T, s *shelf, change func(*Options)) *Server {
	t.Helper()
	opt := Options{User: "freeswitch", Password: "sesame", Phones: s, Domains: map[string][]string{host: {"acme"}}, Context: "default", KeepPhones: 100, KeepFor: time.Hour}
	if change != nil {
		change(&opt)
	}
	server := New(opt)
	t.Cleanup(server.phones.close)
	return server
}

// form is what FreeSWITCH 1.10 asks when a phone registers.
func form(user, domain string) url.Values {
	return url.Values{"hostname": {"fs1"}, "section": {"directory"}, "tag_name": {"domain"}, "key_name": {"name"}, "key_value": {domain},
		"key": {"id"}, "user": {user}, "domain": {domain}, "action": {"sip_auth"}, "sip_profile": {"internal"}, "ip": {"192.0.2.7"}}
}

func post(s *Server, f url.Values) *httptest.ResponseRecorder {
	r := httptest.NewRequest("POST", Path, strings.NewReader(f.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.SetBasicAuth("freeswitch", "sesame")
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w
}

// user is what FreeSWITCH would read of an answer.
type user struct {
	ID        string `xml:"id,attr"`
	Cacheable string `xml:"cacheable,attr"`
	Params    []pair `xml:"params>param"`
	Variables []pair `xml:"variables>variable"`
}

type pair struct {
	Name  string `xml:"name,attr"`
	Value string `xml:"value,attr"`
}

func find(list []pair, name string) string {
	for _, p := range list {
		if p.Name == name {
			return p.Value
		}
	}
	return ""
}

// parse reads an answer; the bool says whether there is a user in it.
func parse(t *testing.T, text []byte) (domain string, dial string, u user, ok bool) {
	t.Helper()
	var d struct {
		Section struct {
			Name   string `xml:"name,attr"`
			Result struct {
				Status string `xml:"status,attr"`
			} `xml:"result"`
			Domain struct {
				Name   string `xml:"name,attr"`
				Params []pair `xml:"params>param"`
				Users  []user `xml:"users>user"`
			} `xml:"domain"`
		} `xml:"section"`
	}
	if err := xml.Unmarshal(text, &d); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	if d.Section.Name == "result" && d.Section.Result.Status == "not found" {
		return "", "", user{}, false
	}
	if d.Section.Name != "directory" || len(d.Section.Domain.Users) != 1 {
		t.Fatalf("neither a user nor not found: %s", text)
	}
	return d.Section.Domain.Name, find(d.Section.Domain.Params, "dial-string"), d.Section.Domain.Users[0], true
}

func TestAPhoneIsAnsweredWithItsHash(t *testing.T) {
	s := newServer(t, newShelf(), func(o *Options) { o.Cache = 90 * time.Second })
	w := post(s, form("1000", "PBX.example.net"))
	domain, dial, u, ok := parse(t, w.Body.Bytes())
	if w.Code != 200 || !ok || domain != host || dial != DialString || u.ID != "1000" || u.Cacheable != "90000" || find(u.Params, "a1-hash") != hash {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	for name, want := range map[string]string{"user_context": "default", "accountcode": "a1", "effective_caller_id_name": "Alice", "effective_caller_id_number": number} {
		if got := find(u.Variables, name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if got := w.Header().Get("Cache-Control"); got != "no-store" {
		t.Errorf("Cache-Control: %s", got)
	}
}

// Without a user FreeSWITCH asks its own files; a user without a hash would let everybody in.
func TestAllElseIsNotFound(t *testing.T) {
	shelf := newShelf()
	s := newServer(t, shelf, nil)
	twice := func(name, value string) url.Values {
		f := form("1000", host)
		f[name] = append(f[name], value)
		return f
	}
	with := func(name, value string) url.Values {
		f := form("1000", host)
		f.Set(name, value)
		return f
	}
	asked := map[string]url.Values{
		"nobody": form("1001", host), "another domain": form("1000", "example.net"), "another case": form("AbC", host), "no user": form("", host),
		"no domain": form("1000", ""), "a long user": form(strings.Repeat("1", 65), host), "a long domain": form("1000", strings.Repeat("a", 254)),
		"configuration": with("section", "configuration"), "groups": with("tag_name", "group"), "another key": with("key", "number-alias"), "a further key": twice("key", "number-alias"),
		"a domain that is looked for elsewhere": with("key_value", "x&user=1000&domain="+host), "two users": twice("user", "1001"), "two domains": twice("domain", "example.net"), "gateways": {"section": {"directory"}, "purpose": {"gateways"}}, "nothing": {},
	}
	for name, f := range asked {
		w := post(s, f)
		if _, _, u, ok := parse(t, w.Body.Bytes()); w.Code != 200 || ok {
			t.Errorf("%s: %d %+v", name, w.Code, u)
		}
	}
	if _, _, _, ok := parse(t, post(s, twice("user", "1000")).Body.Bytes()); !ok {
		t.Error("said twice, and the same, it is not found")
	}
}

func TestWhoHasNotThePasswordLearnsNothing(t *testing.T) {
	shelf := newShelf()
	s := newServer(t, shelf, nil)
	for _, c := range [][2]string{{"freeswitch", "sesam"}, {"freeswitch", ""}, {"", "sesame"}, {"freeswitch:sesame", ""}, {"", ""}} {
		r := httptest.NewRequest("POST", Path, strings.NewReader(form("1000", host).Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		if c != [2]string{} {
			r.SetBasicAuth(c[0], c[1])
		}
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		if w.Code != 401 || w.Header().Get("WWW-Authenticate") == "" || strings.Contains(w.Body.String(), hash) {
			t.Errorf("%q: %d %s", c, w.Code, w.Body)
		}
	}
	if n := shelf.reads.Load(); n != 0 {
		t.Errorf("the store was asked %d times", n)
	}
	for _, c := range []struct {
		method, path, body string
		want               int
	}{{"GET", Path, "", 405}, {"POST", "/other", "", 404}, {"POST", Path, "%zz", 400}, {"POST", Path, "a=" + strings.Repeat("x", maxBody), 400}} {
		r := httptest.NewRequest(c.method, c.path, strings.NewReader(c.body))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.SetBasicAuth("freeswitch", "sesame")
		w := httptest.NewRecorder()
		if s.ServeHTTP(w, r); w.Code != c.want {
			t.Errorf("%s %s: %d, want %d", c.method, c.path, w.Code, c.want)
		}
	}
}

// What FreeSWITCH's preprocessor takes for a directive, wherever it stands in a line (switch_xml.c).
var directives = []string{"$${", "<!--", "x-pre-process", "<include>", "</include>", "-->"}

func TestHostileNamesStayNames(t *testing.T) {
	for given, want := range map[string]string{
		`O'Brien & Söhne`:                           "OBrien & Söhne",
		`<X-PRE-PROCESS cmd="exec" data="id"/>`:     "X-PRE-PROCESS cmd exec data id /",
		`<!--#exec id-->`:                           "!--",
		`$${hold_music}`:                            "SS hold_music",
		`${system(id)}`:                             "S system(id)",
		"a\"/><param name=\"a1-hash\" value=\"\"/>": "a / param name a1-hash value /",
		"x}sofia/gateway/premium/1,[y=z]":           "x sofia/gateway/premium/1 y z",
		"%250d%250aX-Evil":                          "250d 250aX-Evil",
		"two\nlines\x00":                            "two lines",
		"\xff\xfe":                                  "",
		"張偉 🙂":                                      "張偉",
	} {
		s := newShelf()
		s.put("1000", given)
		w := post(newServer(t, s, nil), form("1000", host))
		_, _, u, ok := parse(t, w.Body.Bytes())
		if got := find(u.Variables, "effective_caller_id_name"); !ok || !strings.Contains(got, want) || strings.ContainsAny(got, "${}[]<>\"'%,;|\\\n") {
			t.Errorf("%q is called %q, want %q", given, got, want)
		}
		if find(u.Params, "a1-hash") != hash || len(u.Params) != 1 {
			t.Errorf("%q: params %+v", given, u.Params)
		}
		quiet(t, w.Body.Bytes())
	}
}

// quiet looks for what FreeSWITCH would obey.
func quiet(t *testing.T, text []byte) {
	t.Helper()
	for _, d := range directives {
		if strings.Contains(strings.ToLower(string(text)), d) {
			t.Errorf("the answer holds %q: %s", d, text)
		}
	}
	for line := range bytes.Lines(text) {
		if bytes.Count(line, []byte("<")) > 1 {
			t.Errorf("two elements stand on a line: %s", line)
		}
	}
}

func FuzzAnswer(f *testing.F) {
	f.Add("1000", host, "Alice", "a1", "default", DialString)
	f.Add("<!--#", "x-pre-process", "$${x}", "-->", "\x00", "${system(id)}")
	f.Fuzz(func(t *testing.T, name, domain, display, id, context, dial string) {
		o := Options{Context: context, DialString: dial, Cache: time.Second}
		text := o.answer(&phone{user: name, host: domain, hash: hash, name: display, account: id, number: number})
		_, _, u, ok := parse(t, text)
		if !ok || find(u.Params, "a1-hash") != hash {
			t.Errorf("%s", text)
		}
		quiet(t, text)
	})
}

func TestTheSilentStoreIsNotWaitedForTwice(t *testing.T) {
	for name, silence := range map[string]func(*shelf) func(){
		"hangs": func(s *shelf) func() {
			hanging := make(chan struct{})
			s.behave(nil, hanging)
			return func() { s.behave(nil, nil); close(hanging) }
		},
		"fails": func(s *shelf) func() {
			s.behave(store.ErrUnavailable, nil)
			return func() { s.behave(nil, nil) }
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newShelf()
			s.put("1001", "Bob")
			results := map[Result]int{}
			server := newServer(t, s, func(o *Options) { o.Took = func(r Result, _ time.Duration) { results[r]++ } })
			ask := func(user string, code int, most time.Duration) {
				t.Helper()
				began := time.Now()
				if w := post(server, form(user, host)); w.Code != code || time.Since(began) > most {
					t.Errorf("%s: %s: %d after %s", name, user, w.Code, time.Since(began))
				}
			}
			ask("1000", 200, 0)
			back := silence(s)
			ask("1000", 200, 150*time.Millisecond)
			for range 20 {
				ask("1000", 200, 0)
			}
			ask("1001", 503, 150*time.Millisecond) // nothing is kept of it
			if results[Kept] != 21 || results[Unavailable] != 1 {
				t.Errorf("%s: %v", name, results)
			}
			if server.Kept() != 1 {
				t.Errorf("%s: %d phones are kept", name, server.Kept())
			}
			time.Sleep(time.Hour) // what was kept is too old
			ask("1000", 503, 150*time.Millisecond)
			back()
			synctest.Wait()
			ask("1000", 200, 0)
			ask("1001", 200, 0)
			synctest.Wait()
		})
	}
}

func TestAChangeCountsFromTheNextLookUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShelf()
		server := newServer(t, s, nil)
		ctx, stop := context.WithCancel(t.Context())
		var following sync.WaitGroup
		following.Go(func() { server.phones.follow(ctx, s) })
		synctest.Wait()
		post(server, form("1000", host))
		s.put("1000", "Alicia")
		if _, _, u, _ := parse(t, post(server, form("1000", host)).Body.Bytes()); find(u.Variables, "effective_caller_id_name") != "Alicia" {
			t.Errorf("changed, it is answered %+v", u)
		}
		synctest.Wait()
		// It is taken away, nobody asks for it, and then the store falls silent.
		s.remove("1000")
		time.Sleep(2 * time.Second)
		s.behave(errors.New("gone"), nil)
		if w := post(server, form("1000", host)); w.Code != 503 || server.Kept() != 0 {
			t.Errorf("a phone that was taken away comes back with the outage: %d, %d kept", w.Code, server.Kept())
		}
		stop()
		following.Wait()
	})
}

// A load touches so much that the store does not say what.
func TestALoadHasEveryPhoneLookedAtAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShelf()
		for i := range 50 {
			s.put(fmt.Sprint(2000+i), "")
		}
		server := newServer(t, s, nil)
		ctx, stop := context.WithCancel(t.Context())
		var following sync.WaitGroup
		following.Go(func() { server.phones.follow(ctx, s) })
		for i := range 50 {
			post(server, form(fmt.Sprint(2000+i), host))
		}
		synctest.Wait()
		s.remove("2007")
		s.mu.Lock()
		s.all = true
		s.mu.Unlock()
		time.Sleep(2 * time.Second)
		s.behave(errors.New("gone"), nil)
		for user, want := range map[string]int{"2007": 503, "2006": 200, "2049": 200} {
			if w := post(server, form(user, host)); w.Code != want {
				t.Errorf("%s: %d, want %d", user, w.Code, want)
			}
		}
		if server.Kept() != 49 {
			t.Errorf("%d phones are kept", server.Kept())
		}
		stop()
		following.Wait()
	})
}

// What could not be looked at, because a look-up had every read there is or because of a panic, is looked at the next time.
func TestALookInVainIsDoneAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShelf()
		server := newServer(t, s, nil)
		ctx, stop := context.WithCancel(t.Context())
		var following sync.WaitGroup
		following.Go(func() { server.phones.follow(ctx, s) })
		post(server, form("1000", host))
		synctest.Wait()
		hanging := make(chan struct{})
		s.behave(nil, hanging)
		for i := range maxReads {
			following.Go(func() { post(server, form(fmt.Sprint(3000+i), host)) })
		}
		synctest.Wait()
		s.remove("1000")
		s.mu.Lock()
		s.all, s.broken = true, 2
		s.mu.Unlock()
		time.Sleep(4 * time.Second)
		close(hanging)
		time.Sleep(4 * time.Second)
		s.behave(errors.New("gone"), nil)
		if w := post(server, form("1000", host)); w.Code != 503 || server.Kept() != 0 {
			t.Errorf("a phone that was taken away is answered %d, %d kept", w.Code, server.Kept())
		}
		stop()
		following.Wait()
	})
}

func TestATenantsPhonesAreInItsDomainsAlone(t *testing.T) {
	s := newShelf() // acme's phones
	for name, c := range map[string]struct {
		domains map[string][]string
		found   bool
	}{
		"its domain": {map[string][]string{host: {"umbrella", "acme"}}, true}, "another tenant's": {map[string][]string{host: {"umbrella"}}, false},
		"another domain": {map[string][]string{"example.net": {"acme"}}, false}, "none": {nil, false},
	} {
		var last Result
		server := newServer(t, s, func(o *Options) { o.Domains, o.Took = c.domains, func(r Result, _ time.Duration) { last = r } })
		if _, _, _, ok := parse(t, post(server, form("1000", "PBX.example.net")).Body.Bytes()); ok != c.found || (last == Forbidden) == c.found {
			t.Errorf("%s: found is %v, %s", name, ok, last)
		}
	}
}

func TestKeptPhonesAreBounded(t *testing.T) {
	s := newShelf()
	server := newServer(t, s, func(o *Options) { o.KeepPhones = 3 })
	for i := range 10 {
		user := fmt.Sprint(2000 + i)
		s.put(user, "")
		if w := post(server, form(user, host)); w.Code != 200 {
			t.Fatalf("%s: %d", user, w.Code)
		}
		post(server, form("2000", host)) // used again and again, it stays
		post(server, form("stranger"+user, host))
	}
	s.behave(errors.New("gone"), nil)
	for user, want := range map[string]int{"2000": 200, "2009": 200, "2008": 200, "2007": 503, "stranger2009": 503} {
		if w := post(server, form(user, host)); w.Code != want {
			t.Errorf("%s: %d, want %d", user, w.Code, want)
		}
	}
	if server.Kept() != 3 {
		t.Errorf("%d are kept", server.Kept())
	}
}

func TestManyAtOnceShareReadsAndAreBounded(t *testing.T) {
	s := newShelf()
	hanging := make(chan struct{})
	s.behave(nil, hanging)
	server := newServer(t, s, func(o *Options) { o.Wait = 20 * time.Millisecond })
	var all sync.WaitGroup
	var refused atomic.Int64
	for i := range 400 {
		all.Go(func() {
			if post(server, form(fmt.Sprint(3000+i/2), host)).Code == http.StatusServiceUnavailable {
				refused.Add(1)
			}
		})
	}
	all.Wait()
	if n := s.reads.Load(); n > maxReads || refused.Load() != 400 {
		t.Errorf("%d reads of a silent store, %d refused", n, refused.Load())
	}
	close(hanging)
}

func TestRunServesAndEnds(t *testing.T) {
	s := newShelf()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := newServer(t, s, func(o *Options) { o.Listener, o.Changes = listener, s })
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- server.Run(ctx) }()
	req, _ := http.NewRequestWithContext(ctx, "POST", "http://"+listener.Addr().String()+Path, strings.NewReader(form("1000", host).Encode()))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth("freeswitch", "sesame")
	resp, err := http.DefaultClient.Do(req)
	if err != nil || resp.StatusCode != 200 {
		t.Fatalf("%v, %v", resp, err)
	}
	_ = resp.Body.Close()
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
