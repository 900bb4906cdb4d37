package book_test

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/book"
	"github.com/signalbox/signalbox/internal/store"
	"github.com/signalbox/signalbox/internal/store/sqlite"
	"github.com/signalbox/signalbox/internal/tel"
)

// newStore has account ada with a number of London.
func newStore(t testing.TB) store.Store {
	t.Helper()
	s, err := sqlite.Open(t.Context(), sqlite.Options{Path: filepath.Join(t.TempDir(), "store.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Shut() })
	_, err = s.Apply(t.Context(), account.Document{
		Accounts: []account.AccountEntry{{ID: "ada"}, {ID: "bea"}},
		Numbers:  []account.NumberEntry{{Number: "+442079460000", Account: "ada"}},
	}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// load imports a file as the command and the API do.
func load(t testing.TB, s store.Store, text string, format book.Format, replace bool) (book.Result, book.Plan) {
	t.Helper()
	ctx := t.Context()
	country, err := book.Country(ctx, s, account.OperatorTenant, "ada")
	if err != nil {
		t.Fatal(err)
	}
	r, err := book.Read(strings.NewReader(text), format, book.Options{Account: "ada", Country: country})
	if err != nil {
		t.Fatal(err)
	}
	have, err := book.Of(ctx, s, account.OperatorTenant, "ada")
	if err != nil {
		t.Fatal(err)
	}
	plan := book.Compare(have, r.Contacts, replace)
	if err := book.Import(ctx, s, account.OperatorTenant, plan, len(have), time.Now(), nil); err != nil {
		t.Fatal(err)
	}
	return r, plan
}

func contacts(t testing.TB, s store.Store) string {
	t.Helper()
	list, err := book.Of(t.Context(), s, account.OperatorTenant, "ada")
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, c := range list {
		out = append(out, fmt.Sprintf("%s %s %s%s", c.Name, strings.Join(c.Numbers, " "), c.Source, c.MayJoin))
	}
	slices.Sort(out)
	return strings.Join(out, "\n")
}

func put(t testing.TB, s store.Store, c account.ContactEntry) {
	t.Helper()
	c.Account = "ada"
	if _, err := s.Change(t.Context(), account.OperatorTenant, []store.Change{{Op: store.Put, Entry: &c}}, time.Now()); err != nil {
		t.Fatal(err)
	}
}

// What the host said of a contact outlives the next import of the phone's book, and what he entered himself stays his.
func TestImportKeepsWhatTheFileDoesNotSay(t *testing.T) {
	s := newStore(t)
	put(t, s, account.ContactEntry{ID: "own", Name: "Carla", Numbers: []string{"+442079460003"}, Clip: "carla.wav"})
	put(t, s, account.ContactEntry{ID: "gone", Name: "Gone", Numbers: []string{"+442079460009"}, Source: "import"})
	text := "BEGIN:VCARD\nUID:1\nFN:Anna\nTEL:020 7946 0001\nEND:VCARD\nBEGIN:VCARD\nUID:3\nFN:carla\nTEL:020 7946 0003\nTEL:020 7946 0004\nEND:VCARD\n"
	if _, plan := load(t, s, text, book.VCard, false); len(plan.Added) != 1 || len(plan.Changed) != 1 || len(plan.Removed) != 0 {
		t.Errorf("first: %+v", plan)
	}
	list, err := s.ContactsWith(t.Context(), account.OperatorTenant, "ada", tel.Number("+442079460001"))
	if err != nil || len(list) != 1 || list[0].Name != "Anna" {
		t.Fatalf("found by the number in E.164: %+v, %v", list, err)
	}
	put(t, s, account.ContactEntry{ID: list[0].ID, Name: "Anna", Numbers: []string{"+442079460001"}, Source: "import", MayJoin: account.MayJoinNo, Clip: "anna.wav"})
	if _, plan := load(t, s, text, book.VCard, false); len(plan.Added)+len(plan.Changed)+len(plan.Removed) > 0 || plan.Same != 2 {
		t.Errorf("again: %+v", plan)
	}
	text = strings.Replace(text, "FN:Anna\n", "FN:Anna Smith\n", 1)
	if _, plan := load(t, s, text, book.VCard, true); len(plan.Added) != 0 || len(plan.Changed) != 1 || len(plan.Removed) != 1 {
		t.Errorf("with another name, in place of the last import: %+v", plan)
	}
	want := "Anna Smith +442079460001 importno\nCarla +442079460003 +442079460004 manual"
	if got := contacts(t, s); got != want {
		t.Errorf("in the end\n%s\nwant\n%s", got, want)
	}
	if _, err := book.Of(t.Context(), s, account.OperatorTenant, "nobody"); err == nil {
		t.Error("an account that there is not has contacts")
	}
	var full book.Plan
	full.Added = make([]account.ContactEntry, book.MaxContacts)
	if err := book.Import(t.Context(), s, account.OperatorTenant, full, 1, time.Now(), nil); err == nil || !strings.Contains(err.Error(), "at most 20000") {
		t.Errorf("one contact too many: %v", err)
	}
}

// big is a book of as many entries as are allowed, with some of everything: Latin, Cyrillic, national numbers, duplicates, bad ones.
func big() string {
	var b strings.Builder
	for i := range book.MaxContacts {
		person := i
		if i%100 == 9 {
			person = i - 1 // twice
		}
		name := fmt.Sprintf("Zoë Müller %d", person)
		if person%3 == 0 {
			name = fmt.Sprintf("Анна Иванова %d", person)
		}
		number := fmt.Sprintf("020 79%02d %04d", i/10_000, i%10_000)
		if i%50 == 7 {
			number = "12" // bad
		}
		fmt.Fprintf(&b, "BEGIN:VCARD\nVERSION:3.0\nUID:%d\nFN:%s\nN:;%s;;;\nTEL;TYPE=CELL:%s\nTEL;TYPE=WORK:+1 (212) 55%d-%04d\nEND:VCARD\n", i, name, name, number, i/10_000, i/2%10_000)
	}
	return b.String()
}

// TestWholeBookTwice is CONF-A13.
func TestWholeBookTwice(t *testing.T) {
	s := newStore(t)
	text := big()
	r, plan := load(t, s, text, book.VCard, false)
	if len(r.Problems) != 400 || r.Problems[0].Line != 7*8+6 || r.Entries != book.MaxContacts || r.Rejected != 0 {
		t.Errorf("%d problems, the first %+v; %d entries, %d rejected", len(r.Problems), r.Problems[:1], r.Entries, r.Rejected)
	}
	if len(plan.Added) != book.MaxContacts-r.Merged || r.Merged != 200 {
		t.Errorf("%d added, %d merged", len(plan.Added), r.Merged)
	}
	before, err := s.Revision(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_, plan = load(t, s, text, book.VCard, true)
	after, err := s.Revision(t.Context())
	if err != nil || before != after || len(plan.Added)+len(plan.Changed)+len(plan.Removed) > 0 {
		t.Errorf("the same again: revision %d, then %d, %v; %d added, %d changed, %d removed", before, after, err, len(plan.Added), len(plan.Changed), len(plan.Removed))
	}
}

// BenchmarkImport reads 20,000 entries and writes them to an empty store, as one unit.
func BenchmarkImport(b *testing.B) {
	text := big()
	for b.Loop() {
		b.StopTimer()
		s := newStore(b)
		b.StartTimer()
		load(b, s, text, book.VCard, false)
	}
}

// BenchmarkRead is the reading alone.
func BenchmarkRead(b *testing.B) {
	text := big()
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		if _, err := book.Read(strings.NewReader(text), book.VCard, book.Options{Account: "ada", Country: "GB"}); err != nil {
			b.Fatal(err)
		}
	}
}

var _ book.Rows = store.Rows(nil)
