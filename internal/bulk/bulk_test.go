package bulk

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/store"
	"github.com/signalbox/signalbox/internal/tel"
)

// memory keeps rows as a store does, and fails when it is told to.
type memory struct {
	rows    map[string]account.Entry
	changes int
	fail    func(nth int) error
}

func newMemory() *memory { return &memory{rows: map[string]account.Entry{}} }

func (m *memory) Change(_ context.Context, tenant string, changes []store.Change, _ time.Time) ([]store.Row, error) {
	m.changes++
	if m.fail != nil {
		if err := m.fail(m.changes); err != nil {
			return nil, err
		}
	}
	var bad account.Invalid
	rows := map[string]account.Entry{}
	for _, c := range changes {
		id := tenant + " " + string(c.Kind) + " " + c.Key
		if _, twice := rows[id]; twice {
			return nil, fmt.Errorf("%s is changed twice at once", id)
		}
		if c.Op == store.Delete {
			if m.rows[id] == nil {
				return nil, store.ErrNotFound
			}
			rows[id] = nil
			continue
		}
		rows[id] = c.Entry
		if n, ok := c.Entry.(*account.NumberEntry); ok {
			owner := tenant + " account " + n.Account
			if m.rows[owner] == nil && rows[owner] == nil {
				bad.Add(c.At+".account", account.NoAccount(n.Account))
			}
		}
	}
	if err := bad.Err(); err != nil {
		return nil, err
	}
	for id, e := range rows {
		if e == nil {
			delete(m.rows, id)
			continue
		}
		m.rows[id] = e
	}
	return nil, nil
}

func (m *memory) keys() []string {
	var out []string
	for id := range m.rows {
		out = append(out, id)
	}
	slices.Sort(out)
	return out
}

// file writes a file to load.
func file(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func rejects(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(RejectsOf(path))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestColumnsOfALine(t *testing.T) {
	m := newMemory()
	path := file(t, "a.csv", "\ufeffAccount;Name;State;Language;Timezone;Services;Number;No_Answer;Devices;A1_Hash;Pilot;Class;Mailbox;Conditions;First_Diverter\r\n"+
		`ada;"Ada, ""Countess""";suspended;en-GB;Europe/London;sms fax;+1 (415) 555-0100;25;`+
		`"1000@PBX.example.net sip:desk@[2001:db8::7]:5062;transport=tcp";0123456789ABCDEF0123456789ABCDEF -;*86;visual;77;busy;true`+"\r\n")
	s, err := Load(t.Context(), Options{File: path, Rows: m})
	if err != nil || s.Done != 1 || s.Rejected != 0 {
		t.Fatalf("%+v, %v", s, err)
	}
	conditions := account.ConditionList{tel.Busy}
	want := map[string]account.Entry{
		"operator account ada": &account.AccountEntry{ID: "ada", Name: `Ada, "Countess"`, State: account.Suspended, Language: "en-GB", TimeZone: "Europe/London", Services: []string{"fax", "sms"}},
		"operator number +14155550100": &account.NumberEntry{Number: "+14155550100", Account: "ada", NoAnswer: account.Duration(25 * time.Second),
			Devices: []account.DeviceEntry{
				{Kind: account.DeviceRegistered, Profile: "internal", User: "1000", Host: "pbx.example.net", A1Hash: "0123456789abcdef0123456789abcdef"},
				{Kind: account.DeviceURI, Profile: "internal", User: "desk", Host: "2001:db8::7", Port: 5062, Transport: "tcp"},
			},
			Voicemail: &account.VoicemailEntry{Pilot: "*86", Class: account.Visual, Mailbox: "77", Conditions: &conditions, FirstDiverter: true}},
	}
	if !reflect.DeepEqual(m.rows, want) {
		t.Errorf("got  %+v\nwant %+v", m.rows, want)
	}
	for _, left := range []string{JournalOf(path), RejectsOf(path)} {
		if _, err := os.Stat(left); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s was left: %v", left, err)
		}
	}
}

// TestABadLineCostsOnlyItself loads lines between which good ones stand, and corrects them in the file of rejected ones.
func TestABadLineCostsOnlyItself(t *testing.T) {
	bad := []struct{ line, problem string }{
		{"b1,,12,,", `number: "12" is no telephone number`},
		{"bad key!,,+14155550111,,", "no account id"},
		{"b3,,+14155550113,x,", `no_answer: "x" is no duration`},
		{"b4,,+14155550114,1s,", "is not between"},
		{"b5,,+14155550115,,1000", "devices: "},
		{`b6,"never closed,+14155550116,,`, "no CSV"},
		{"b7,,+14155550117,,,", "6 columns"},
		{"b8,Other,+14155550100,,", "number +14155550100 stands in line 2 already, and differently"},
		{"a0,Another name,+14155550118,,", "account a0 stands in line 2 already, and differently"},
		{"b9,\xff,+14155550119,,", "not UTF-8"},
		{"b10," + strings.Repeat("x", 200) + ",+14155550120,,", "more than 128 bytes"},
		{"b11," + strings.Repeat("x", 70_000) + ",+14155550121,,", "longer than 65536 bytes"},
		{"b12,,,20s,", "number: is missing, and no_answer is a number's"},
	}
	var text strings.Builder
	text.WriteString("account,name,number,no_answer,devices\n")
	good := func(i int) {
		fmt.Fprintf(&text, "a%d,Name %d,+1415555%04d,20s,100%d@pbx.example.net\n", i, i, 100+i*100, i)
	}
	good(0)
	for i, b := range bad {
		text.WriteString(b.line + "\n\n")
		good(i + 1)
	}
	m := newMemory()
	path := file(t, "subscribers.csv", text.String())
	s, err := Load(t.Context(), Options{File: path, Rows: m})
	if err != nil || s.Done != len(bad)+1 || s.Rejected != len(bad) || s.Lines != 2*len(bad)+1 || s.Rejects != RejectsOf(path) {
		t.Fatalf("%+v, %v", s, err)
	}
	if len(m.rows) != 2*(len(bad)+1) {
		t.Errorf("%d rows: %v", len(m.rows), m.keys())
	}
	got := strings.Split(strings.TrimSpace(rejects(t, path)), "\n")
	if got[0] != "line,problem,account,name,number,no_answer,devices" || len(got) != len(bad)+1 {
		t.Fatalf("%d lines of rejects, the first is %s", len(got), got[0])
	}
	for i, b := range bad {
		if !strings.HasPrefix(got[i+1], fmt.Sprint(3+3*i)+",") || !strings.Contains(strings.ReplaceAll(got[i+1], `""`, `"`), b.problem) {
			t.Errorf("%.40q: rejected as %.200s, want line %d and %q", b.line, got[i+1], 3+3*i, b.problem)
		}
	}
	again := file(t, "subscribers.rejected.csv", got[0]+"\n"+strings.Replace(got[1], ",12,", ",+14155550199,", 1)+"\n"+got[2]+"\n")
	if s, err := Load(t.Context(), Options{File: again, Rows: m}); err != nil || s.Done != 1 || s.Rejected != 1 || m.rows["operator number +14155550199"] == nil {
		t.Errorf("the corrected file: %+v, %v", s, err)
	}
}

func TestLinesThatTheStoreRefusesAreFound(t *testing.T) {
	var text strings.Builder
	text.WriteString("account,number\n")
	for i := range 1200 {
		name := "known"
		if i%400 == 7 {
			name = fmt.Sprint("unknown", i)
		}
		fmt.Fprintf(&text, "%s,+1415555%04d\n", name, 1000+i)
	}
	m := newMemory()
	m.rows["operator account known"] = &account.AccountEntry{ID: "known"}
	path := file(t, "a.csv", text.String())
	s, err := Load(t.Context(), Options{File: path, Rows: m})
	if err != nil || s.Done != 1197 || s.Rejected != 3 || len(m.rows) != 1198 {
		t.Fatalf("%+v, %v, %d rows", s, err, len(m.rows))
	}
	if got := rejects(t, path); !strings.Contains(got, "9,\"account: no account unknown7 is known\",unknown7,+14155551007\n") || strings.Count(got, "\n") != 4 {
		t.Errorf("rejected: %s", got)
	}
}

func TestRowsOfEveryKindAsJSONLines(t *testing.T) {
	m := newMemory()
	lines := []string{
		`{"kind":"account","entry":{"id":"ada","name":"Ada ${system(x)}"}}`,
		`{"kind":"voicemail_system","entry":{"fqdn":"VM.example.net."}}`,
		`{"kind":"pilot","entry":{"number":"*86","systems":[{"fqdn":"vm.example.net"}]}}`,
		`{"kind":"number","entry":{"number":"+14155550100","account":"ada"}}`,
		`{"kind":"contact","entry":{"account":"ada","id":"bob","numbers":["+442079460958"]}}`,
		`{"kind":"rule","entry":{"account":"ada","id":"r1","callers":"all","do":"voicemail"}}`,
		`{"tenant":"acme","kind":"account","entry":{"id":"ada"}}`,
		`{"op":"delete","kind":"number","key":"+14155559999"}`,
		`{"op":"delete","kind":"number"}`,
		`{"kind":"number","entry":{"number":"+14155550101","account":"ada","colour":"red"}}`,
		`{"kind":"lamp","entry":{}}`,
		`{"kind":"account"}`,
		`{"kind":"account","entry":{"id":"x"}} {}`,
		`{}`,
		`[1]`,
		`not json`,
		`{"op":"move","kind":"account","entry":{"id":"x"}}`,
		`{"tenant":"no such!","kind":"account","entry":{"id":"ada"}}`,
	}
	path := file(t, "a.jsonl", strings.Join(lines, "\n"))
	s, err := Load(t.Context(), Options{File: path, Rows: m})
	if err != nil || s.Done != 8 || s.Rejected != 10 {
		t.Fatalf("%+v, %v\n%s", s, err, rejects(t, path))
	}
	want := []string{
		"acme account ada", "operator account ada", "operator contact ada/bob", "operator number +14155550100", "operator pilot *86",
		"operator rule ada/r1", "operator voicemail_system vm.example.net",
	}
	if got := m.keys(); !reflect.DeepEqual(got, want) {
		t.Errorf("rows %v", got)
	}
	got := rejects(t, path)
	for _, part := range []string{
		`{"line":9,"problem":"key: which row shall be deleted?","op":"delete","kind":"number"}`, `unknown field \"colour\"`,
		`{"line":14,"problem":"entry: the row is missing","text":"{}"}`, `{"line":16,"problem":"no row in JSON`, `"text":"not json"}`,
	} {
		if !strings.Contains(got, part) {
			t.Errorf("%s is not in\n%s", part, got)
		}
	}
	again := file(t, "b.jsonl", got) // rejected lines are read as the lines they were
	if s, err := Load(t.Context(), Options{File: again, Rows: m}); err != nil || s.Rejected != 10 {
		t.Errorf("%+v, %v", s, err)
	}
	foreign := file(t, "c.jsonl", lines[6])
	if s, err := Load(t.Context(), Options{File: foreign, Rows: m, Tenant: "umbrella"}); err != nil || s.Rejected != 1 {
		t.Errorf("another tenant's line: %+v, %v", s, err)
	}
}

// An interrupted load ends as one that was not: the same rows, the same rejected lines, the same counts.
func TestLoadGoesOnWhereItWasInterrupted(t *testing.T) {
	var text strings.Builder
	text.WriteString("account,name,number\n")
	for i := range 3000 {
		number := fmt.Sprintf("+1415555%04d", 1000+i)
		if i%100 == 50 {
			number = "12"
		}
		if i == 2900 {
			number = "+14155551000" // of the first line, which an interrupted load does not write again
		}
		fmt.Fprintf(&text, "a%d,Name,%s\n", i, number)
	}
	whole := newMemory()
	path := file(t, "whole.csv", text.String())
	want, err := Load(t.Context(), Options{File: path, Rows: whole})
	if err != nil || want.Rejected != 31 {
		t.Fatalf("%+v, %v", want, err)
	}
	wantRejects := rejects(t, path)

	m := newMemory()
	path = file(t, "parts.csv", text.String())
	gone := errors.New("store is gone")
	for run := 0; ; run++ {
		if run == 50 {
			t.Fatal("the load does not get on")
		}
		m.changes = 0
		m.fail = func(nth int) error {
			if nth == 2 {
				return gone
			}
			return nil
		}
		s, err := Load(t.Context(), Options{File: path, Rows: m})
		if err == nil {
			if s.Done != want.Done || s.Rejected != want.Rejected || s.Lines != want.Lines || s.Resumed == 0 {
				t.Errorf("ended with %+v, want %+v", s, want)
			}
			break
		}
		if !errors.Is(err, gone) {
			t.Fatal(err)
		}
		// A batch that was rejected in part, and never reached the journal.
		f, err := os.OpenFile(RejectsOf(path), os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = f.WriteString("half a line")
		_ = f.Close()
	}
	if !reflect.DeepEqual(m.rows, whole.rows) {
		t.Errorf("%d rows, want %d", len(m.rows), len(whole.rows))
	}
	if got := rejects(t, path); got != wantRejects {
		t.Errorf("rejected\n%s\nwant\n%s", got, wantRejects)
	}
}

func TestAFileThatChangedIsNotGoneOnWith(t *testing.T) {
	text := "account,name\n" + strings.Repeat("a,x\n", 600)
	path := file(t, "a.csv", text)
	m := newMemory()
	m.fail = func(nth int) error {
		if nth == 2 {
			return store.ErrUnavailable
		}
		return nil
	}
	if _, err := Load(t.Context(), Options{File: path, Rows: m}); !errors.Is(err, store.ErrUnavailable) {
		t.Fatal(err)
	}
	if _, err := Load(t.Context(), Options{File: path, Rows: m, Tenant: "acme"}); err == nil || !strings.Contains(err.Error(), "--restart") {
		t.Errorf("another tenant: %v", err)
	}
	if err := os.WriteFile(path, []byte(text+"b,y\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	m.fail = nil
	if _, err := Load(t.Context(), Options{File: path, Rows: m}); err == nil || !strings.Contains(err.Error(), "--restart") {
		t.Errorf("went on with another file: %v", err)
	}
	s, err := Load(t.Context(), Options{File: path, Rows: m, Restart: true})
	if err != nil || s.Done != 601 || s.Resumed != 0 {
		t.Errorf("%+v, %v", s, err)
	}
}

func TestHeaders(t *testing.T) {
	for header, problem := range map[string]string{
		"name,number": "column account is missing", "account,colour": `"colour" is none of`, "account,number,number": "stands twice", `account,"x`: "no CSV",
	} {
		_, err := Load(t.Context(), Options{File: file(t, "a.csv", header+"\na,b\n"), Rows: newMemory()})
		if err == nil || !strings.Contains(err.Error(), problem) {
			t.Errorf("%s: %v", header, err)
		}
	}
	for _, empty := range []string{"", "\n\n", "account,name"} {
		if s, err := Load(t.Context(), Options{File: file(t, "a.csv", empty), Rows: newMemory()}); err != nil || s.Lines != 0 {
			t.Errorf("%q: %+v, %v", empty, s, err)
		}
	}
	if _, err := Load(t.Context(), Options{File: file(t, "a.yaml", ""), Rows: newMemory()}); err == nil || !strings.Contains(err.Error(), "provision apply") {
		t.Errorf("a YAML file: %v", err)
	}
}

func TestProgressIsToldBehindEachBatch(t *testing.T) {
	path := file(t, "a.csv", "account,name\n"+strings.Repeat("a,x\n", 1100)+"b,\x00\n")
	var got []Progress
	if _, err := Load(t.Context(), Options{File: path, Rows: newMemory(), Progress: func(p Progress) { got = append(got, p) }}); err != nil {
		t.Fatal(err)
	}
	if len(got) != 3 || got[0].Lines != 500 || got[0].Total != 1101 || got[1].Rate <= 0 || got[2].Lines != 1101 || got[2].Rejected != 1 {
		t.Errorf("%+v", got)
	}
	m := meter{}
	now := time.Unix(0, 0)
	m.at(now, Progress{Lines: 0, Total: 1000})
	if p := m.at(now.Add(2*time.Second), Progress{Lines: 200, Total: 1000}); p.Rate != 100 || p.Left != 8*time.Second {
		t.Errorf("200 of 1000 lines in 2 s: %+v", p)
	}
}

// FuzzLines reads what anybody may have written into a file.
func FuzzLines(f *testing.F) {
	f.Add("account,name,number,devices,pilot\nada,Ada,+14155550100,1000@h.example,*86\n", true)
	f.Add("account;services;no_answer\n\"a\"\"b\";sms;20\r\n", true)
	f.Add(`{"kind":"number","entry":{"number":"+14155550100","account":"ada"}}`, false)
	f.Add("{\"line\":1,\"problem\":\"x\",\"op\":\"delete\",\"kind\":\"account\",\"key\":\"a\"}\n\n{", false)
	f.Fuzz(func(t *testing.T, text string, table bool) {
		format := JSONL
		if table {
			format = CSV
		}
		r, err := newReader(strings.NewReader(text), format, "")
		if err != nil {
			return
		}
		lines := 0
		for {
			l, err := r.next()
			if err != nil {
				break
			}
			lines++
			if l.problem == "" && len(l.changes) == 0 {
				t.Fatalf("line %d is neither rejected nor wants anything: %q", l.number, l.text)
			}
		}
		_, total, err := fingerprint(strings.NewReader(text))
		if table {
			total--
		}
		if err != nil || lines != total {
			t.Fatalf("%d lines were read, %d counted, %v", lines, total, err)
		}
	})
}

// rowsOf is a store that is read whole.
type rowsOf []store.Row

func (r rowsOf) Each(_ context.Context, tenant string, do func(store.Row) error) error {
	for _, row := range r {
		if row.Tenant == tenant {
			if err := do(row); err != nil {
				return err
			}
		}
	}
	return nil
}

// What is exported is read again as what it was, in both forms.
func TestExportIsReadAgain(t *testing.T) {
	var rows rowsOf
	d := account.Document{
		Accounts:         []account.AccountEntry{{ID: "ada", Name: "Ada: \"#\" ${x} \u2028", State: account.Suspended}, {ID: "yes"}},
		VoicemailSystems: []account.SystemEntry{{FQDN: "vm.example.net"}},
		Pilots:           []account.PilotEntry{{Number: "*86", Systems: []account.PilotSystemEntry{{FQDN: "vm.example.net", Priority: 1}}}},
		Numbers: []account.NumberEntry{{Number: "+14155550100", Account: "ada", Voicemail: &account.VoicemailEntry{Pilot: "*86", Conditions: &account.ConditionList{}},
			Devices: []account.DeviceEntry{{User: "1000", Host: "pbx.example.net", A1Hash: aHash}}}},
		Contacts: []account.ContactEntry{{Account: "ada", ID: "1", Name: "- x", Numbers: []string{"+442079460958"}}},
		Rules:    []account.RuleEntry{{Account: "ada", ID: "1", Callers: account.CallersAll, Do: account.RuleRing}},
	}
	d, err := d.Normalize()
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range d.Entries() {
		rows = append(rows, store.Row{Tenant: "operator", Kind: e.Kind(), Key: e.Key(), Entry: e})
	}
	rows = append(rows, store.Row{Tenant: "acme", Kind: account.KindAccount, Key: "x", Entry: &account.AccountEntry{ID: "x"}})
	var text strings.Builder
	if err := WriteYAML(t.Context(), rows, "operator", true, &text); err != nil {
		t.Fatal(err)
	}
	got, err := account.ParseDocument([]byte(text.String()))
	if err != nil {
		t.Fatalf("%v in\n%s", err, text.String())
	}
	if got, err = got.Normalize(); err != nil || !reflect.DeepEqual(got, d) {
		t.Errorf("YAML is read as\n%+v, %v\nwant\n%+v\nfrom\n%s", got, err, d, text.String())
	}
	text.Reset()
	if err := WriteJSONL(t.Context(), rows, []string{"acme", "operator"}, true, &text); err != nil {
		t.Fatal(err)
	}
	m := newMemory()
	s, err := Load(t.Context(), Options{File: file(t, "a.jsonl", text.String()), Rows: m})
	if err != nil || s.Done != 8 || m.rows["acme account x"] == nil {
		t.Fatalf("%+v, %v from\n%s", s, err, text.String())
	}
	for _, row := range rows {
		if e := m.rows[row.Tenant+" "+string(row.Kind)+" "+row.Key]; !account.Same(e, row.Entry) {
			t.Errorf("JSON Lines give %+v for %+v", e, row.Entry)
		}
	}
	text.Reset()
	if err := errors.Join(WriteYAML(t.Context(), rows, "operator", false, &text), WriteJSONL(t.Context(), rows, []string{"operator"}, false, &text)); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(text.String(), aHash) || strings.Count(text.String(), "pbx.example.net") != 2 {
		t.Errorf("without secrets is written\n%s", text.String())
	}
}

// aHash is the hash of a phone's password.
const aHash = "0123456789abcdef0123456789abcdef"

// one is a store of one row.
type one struct{ store.Row }

func (o one) Get(_ context.Context, _ string, _ account.Kind, key string) (store.Row, error) {
	if key != o.Key {
		return store.Row{}, store.ErrNotFound
	}
	return o.Row, nil
}
func (o one) Each(context.Context, string, func(store.Row) error) error { return nil }
func (o one) Preview(context.Context, account.Document, time.Time) (store.Changes, error) {
	return store.Changes{}, nil
}

func TestPreviewHidesHashesAndKeepsThem(t *testing.T) {
	number := func(hash string) account.NumberEntry {
		return account.NumberEntry{Number: "+14155550100", Account: "ada", Devices: []account.DeviceEntry{{User: "1000", Host: "pbx.example.net", A1Hash: hash}}}
	}
	n := number(aHash)
	kept := one{store.Row{Key: n.Number, Entry: account.NormalizeEntry(&n, "", &account.Invalid{})}}
	for hash, want := range map[string]string{
		"": "", aHash: "",
		strings.Repeat("0b", 16): "[{devices[0].a1_hash *** ***}]",
		account.NoA1Hash:         "[{devices[0].a1_hash *** <nil>}]",
	} {
		plan, err := Preview(t.Context(), kept, account.Document{Numbers: []account.NumberEntry{number(hash)}}, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if len(plan.Changed) > 0 {
			got = fmt.Sprint(plan.Changed[0].Fields)
		}
		if got != want {
			t.Errorf("with %q the preview shows %s, want %s", hash, got, want)
		}
	}
}

func TestPreviewHidesPINs(t *testing.T) {
	number := func(pin string) account.NumberEntry {
		return account.NumberEntry{Number: "+14155550100", Account: "ada", Conference: &account.ConferenceEntry{PIN: pin}}
	}
	n := number("4711")
	kept := one{store.Row{Key: n.Number, Entry: account.KeepSecrets(account.NormalizeEntry(&n, "", &account.Invalid{}), nil)}}
	for pin, want := range map[string]string{"": "", "4711": "", "0815": "[{conference.pin *** ***}]", account.NoPIN: "[{conference.pin *** <nil>}]"} {
		plan, err := Preview(t.Context(), kept, account.Document{Numbers: []account.NumberEntry{number(pin)}}, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if len(plan.Changed) > 0 {
			got = fmt.Sprint(plan.Changed[0].Fields)
		}
		if got != want {
			t.Errorf("with %q the preview shows %s, want %s", pin, got, want)
		}
	}
}
