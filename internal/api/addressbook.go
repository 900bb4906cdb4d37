package api

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/book"
	"github.com/signalbox/signalbox/internal/store"
	"github.com/signalbox/signalbox/internal/tel"
)

const (
	maxAddressBook = 16 << 20 // bytes of a file of contacts
	maxSync        = 1000     // changes of one request
	maxForget      = 20       // numbers of one request
	maxDiff        = 1000     // changes that a dry run lists
	importsAtOnce  = 4        // files that are read at one time: each is held in memory
)

// bookFormats are the media types of address books.
var bookFormats = map[string]book.Format{
	"text/vcard": book.VCard, "text/x-vcard": book.VCard, "text/directory": book.VCard,
	"application/vcard+json": book.JCard, "text/csv": book.CSV,
}

func (s *Server) addressBookRoutes() []route {
	const tag, path = "Contacts", "/accounts/{account}/address-book"
	return []route{
		{
			method: "POST", path: path, scope: AccountsWrite, tag: tag, id: "importAddressBook", summary: "Bring an address book into the contacts of an account",
			detail: "vCard 2.1 to 4.0, jCard (RFC 7095), or CSV as Google and Outlook export it, of at most 20,000 entries and 16 MiB. What cannot be read is named with its line and costs nothing else. " +
				"Sent again it changes nothing.",
			query: []parameter{
				{name: "country", text: "Country (ISO 3166) of national numbers; that of the account's first number when left out."},
				{name: "charset", text: "Character set of a file that is not UTF-8 and has no byte order mark, such as windows-1252."},
				{name: "replace", text: "true: contacts of earlier imports that the file does not have are removed.", yes: true},
				{name: "dry_run", text: "true: say what would change, and change nothing.", yes: true},
			},
			media: []string{"text/vcard", "application/vcard+json", "text/csv"}, result: ImportResult{}, statuses: []int{200}, problems: []string{"validation", "conflict"}, do: s.importBook,
		},
		{
			method: "GET", path: path, scope: AccountsRead, tag: tag, id: "exportAddressBook", summary: "Read all contacts of an account as one file",
			query: []parameter{{name: "type", text: "vcard (when left out) or csv."}}, produces: []string{"text/vcard", "text/csv"}, statuses: []int{200}, do: exportBook,
		},
		{
			method: "GET", path: path + "/changes", scope: AccountsRead, tag: tag, id: "followAddressBook", summary: "Read what changed in the contacts of an account",
			detail: "Without since: all contacts. Send `token` of an answer as since, to read what was written or removed after it; while `more` is true, at once. A token is good for 90 days; " +
				"with 410 begin anew without one, and drop every contact that is not told.",
			query: []parameter{{name: "since", text: "`token` of the answer before."}, limitParameter}, result: ContactChanges{}, statuses: []int{200}, problems: []string{"gone"}, do: contactChanges,
		},
		{
			method: "POST", path: path + "/changes", scope: AccountsWrite, tag: tag, id: "syncAddressBook", summary: "Write and remove contacts of an account",
			detail: "At most 1,000 changes. One that says a `version` counts only if the contact has it (0: if there is none); else it is under `conflicts`, with what is there. All others are made, or none. " +
				"Sent again it changes nothing.",
			body: ContactSync{}, result: SyncResult{}, statuses: []int{200}, problems: []string{"conflict"}, do: s.syncContacts,
		},
		{
			method: "POST", path: "/accounts/{account}/forget", scope: AccountsWrite, tag: tag, id: "forgetPerson", summary: "Forget a person",
			detail: "Removes the contacts with the numbers, or one contact, takes the numbers off the lists of scheduled conferences, and erases the person's name from finished call records, from participants of conferences that are over, and from decisions about access; with_numbers erases the numbers there too. " +
				"What was exported before is not reached. The answer counts what was erased.",
			body: ForgetRequest{}, result: store.Forgotten{}, statuses: []int{200}, do: s.forget,
		},
	}
}

// ImportResult is what an import did.
type ImportResult struct {
	Entries       int            `json:"entries" doc:"In the file."`
	Merged        int            `json:"merged" doc:"Entries that became one contact with another."`
	WithoutNumber int            `json:"without_number" doc:"Entries that have no number, and were passed over."`
	Rejected      int            `json:"rejected" doc:"Entries that could not be read."`
	Added         int            `json:"added"`
	Changed       int            `json:"changed"`
	Removed       int            `json:"removed"`
	Same          int            `json:"same" doc:"Contacts that were as the file has them."`
	DryRun        bool           `json:"dry_run,omitempty" doc:"Nothing was written."`
	Differences   []Difference   `json:"differences,omitempty" doc:"Of a dry run: the contacts that would change, at most 1,000."`
	Problems      []book.Problem `json:"problems" doc:"What could not be read, at most 1,000."`
	MoreProblems  int            `json:"more_problems,omitempty"`
}

// Difference is a contact that an import would change.
type Difference struct {
	Before *account.ContactEntry `json:"before,omitempty"`
	After  *account.ContactEntry `json:"after,omitempty"`
}

// ContactChanges is a page of what changed in an address book.
type ContactChanges struct {
	Items []ContactChange `json:"items"`
	Token string          `json:"token" doc:"Send it as since."`
	More  bool            `json:"more,omitempty" doc:"There is more already."`
}

// ContactChange is a contact that was written or removed.
type ContactChange struct {
	ID      string                `json:"id"`
	Version int64                 `json:"version"`
	Updated time.Time             `json:"updated"`
	Removed bool                  `json:"removed,omitempty"`
	Contact *account.ContactEntry `json:"contact,omitempty" doc:"As it is now; left out when it was removed."`
}

// ContactSync are changes that a device sends.
type ContactSync struct {
	Changes []SyncedContact `json:"changes"`
}

// SyncedContact is one of them.
type SyncedContact struct {
	ID      string                `json:"id"`
	Version *int64                `json:"version,omitempty" doc:"That the contact has for whom it changes; 0: none is there; left out: whatever it has."`
	Removed bool                  `json:"removed,omitempty"`
	Contact *account.ContactEntry `json:"contact,omitempty" doc:"The whole of it; national numbers are read in the country of the account."`
}

// SyncResult says which changes were made.
type SyncResult struct {
	Made      int             `json:"made"`
	Conflicts []ContactChange `json:"conflicts" doc:"Contacts that have another version than the change said, as they are."`
}

// ForgetRequest says who shall be forgotten.
type ForgetRequest struct {
	Numbers     []string `json:"numbers,omitempty" doc:"All contacts with any of these go."`
	Contact     string   `json:"contact,omitempty" doc:"Key of a contact; numbers that others share stay with them."`
	WithNumbers bool     `json:"with_numbers,omitempty" doc:"Erase the numbers from records too."`
	DryRun      bool     `json:"dry_run,omitempty" doc:"Count only."`
}

// owner is the account that a path names; it must be there.
func (q *request) owner() (string, error) {
	id := q.PathValue("account")
	if !account.ValidKey(id) {
		return "", problem("not-found", "%.80q is no key of an account", id)
	}
	_, err := q.server.opt.Rows.Get(q.Context(), q.tenant, account.KindAccount, id)
	return id, err
}

// country is that in which an account's national numbers are read.
func (q *request) country(accountID string) (string, error) {
	country, err := book.Country(q.Context(), q.server.opt.Rows, q.tenant, accountID)
	if country == "" {
		country = q.server.opt.Region
	}
	return country, err
}

func (s *Server) importBook(q *request) (result, error) {
	id, err := q.owner()
	if err != nil {
		return result{}, err
	}
	values := q.URL.Query()
	opt := book.Options{Account: id, Country: strings.ToUpper(values.Get("country")), Charset: values.Get("charset")}
	if opt.Country == "" {
		if opt.Country, err = q.country(id); err != nil {
			return result{}, err
		}
	} else if !tel.KnownRegion(opt.Country) {
		return result{}, problem("bad-request", "parameter country is %.40q, want an ISO 3166 code such as GB", opt.Country)
	}
	read, err := book.Read(bytes.NewReader(q.raw), bookFormats[q.media], opt)
	if err != nil {
		return result{}, problem("bad-request", "the file cannot be read: %.300s", err.Error())
	}
	rows := s.opt.Rows
	have, err := book.Of(q.Context(), rows, q.tenant, id)
	if err != nil {
		return result{}, err
	}
	plan := book.Compare(have, read.Contacts, values.Get("replace") == "true")
	out := ImportResult{
		Entries: read.Entries, Merged: read.Merged, WithoutNumber: read.Silent, Rejected: read.Rejected, Same: plan.Same,
		Added: len(plan.Added), Changed: len(plan.Changed), Removed: len(plan.Removed), Problems: append([]book.Problem{}, read.Problems...), MoreProblems: read.More,
	}
	if values.Get("dry_run") == "true" {
		out.DryRun, out.Differences = true, differences(plan)
		return result{body: out}, nil
	}
	err = book.Import(q.Context(), rows, q.tenant, plan, len(have), time.Now(), nil)
	if errors.Is(err, book.ErrFull) || errors.Is(err, store.ErrNotFound) {
		err = problem("conflict", "%s", err.Error())
	}
	return result{body: out}, err
}

func differences(plan book.Plan) []Difference {
	var out []Difference
	for i := range plan.Added {
		out = append(out, Difference{After: &plan.Added[i]})
	}
	for i := range plan.Changed {
		out = append(out, Difference{Before: &plan.Changed[i].Before, After: &plan.Changed[i].After})
	}
	for i := range plan.Removed {
		out = append(out, Difference{Before: &plan.Removed[i]})
	}
	return out[:min(len(out), maxDiff)]
}

func exportBook(q *request) (result, error) {
	id, err := q.owner()
	if err != nil {
		return result{}, err
	}
	format, media := book.VCard, "text/vcard; charset=utf-8"
	switch q.URL.Query().Get("type") {
	case "", "vcard":
	case "csv":
		format, media = book.CSV, "text/csv; charset=utf-8"
	default:
		return result{}, problem("bad-request", "parameter type is neither vcard nor csv")
	}
	contacts, err := book.Of(q.Context(), q.server.opt.Rows, q.tenant, id)
	if err != nil {
		return result{}, err
	}
	var out bytes.Buffer
	err = book.Write(&out, format, contacts)
	return result{body: page{media, out.Bytes()}}, err
}

const syncForm = "1 changes %s %d %d %s" // account, version, when it was given in Unix seconds, key

// syncToken names a place in the changes of an account.
func syncToken(accountID string, m store.Mark, now time.Time) string {
	return base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, syncForm, accountID, m.Version, now.Unix(), m.Key))
}

// markOf reads one.
func markOf(token, accountID string, now time.Time) (store.Mark, error) {
	if token == "" {
		return store.Mark{}, nil
	}
	wrong := problem("bad-request", "since is no token of this account's changes: send token of an answer, or nothing to begin anew")
	text, err := base64.RawURLEncoding.DecodeString(token)
	rest, ok := strings.CutPrefix(string(text), "1 changes "+accountID+" ")
	parts := strings.SplitN(rest, " ", 3)
	if err != nil || !ok || len(parts) != 3 {
		return store.Mark{}, wrong
	}
	version, err := strconv.ParseInt(parts[0], 10, 64)
	given, err2 := strconv.ParseInt(parts[1], 10, 64)
	if err != nil || err2 != nil || version < 0 {
		return store.Mark{}, wrong
	}
	if now.Sub(time.Unix(given, 0)) >= store.Remembered {
		return store.Mark{}, problem("gone", "removals are known for 90 days: begin anew without since, and drop every contact that is not told")
	}
	return store.Mark{Version: version, Key: parts[2]}, nil
}

func contactChanges(q *request) (result, error) {
	id, err := q.owner()
	if err != nil {
		return result{}, err
	}
	now := time.Now()
	mark, err := markOf(q.URL.Query().Get("since"), id, now)
	if err != nil {
		return result{}, err
	}
	limit := min(q.limit(), store.MaxList-1)
	rows, err := q.server.opt.Book.ContactChanges(q.Context(), q.tenant, id, mark, limit+1)
	if err != nil {
		return result{}, err
	}
	out := ContactChanges{Items: []ContactChange{}, More: len(rows) > limit}
	for _, row := range rows[:min(len(rows), limit)] {
		out.Items = append(out.Items, changeOf(row))
		mark = store.Mark{Version: row.Version, Key: row.Key}
	}
	out.Token = syncToken(id, mark, now)
	return result{body: out}, nil
}

func changeOf(row store.Row) ContactChange {
	_, id, _ := strings.Cut(row.Key, "/")
	out := ContactChange{ID: id, Version: row.Version, Updated: row.Updated, Removed: row.Entry == nil}
	if e, ok := row.Entry.(*account.ContactEntry); ok {
		out.Contact = e
	}
	return out
}

// syncTries is how often changes are compared with what is there, when that changes meanwhile.
const syncTries = 3

func (s *Server) syncContacts(q *request) (result, error) {
	id, err := q.owner()
	if err != nil {
		return result{}, err
	}
	var sync ContactSync
	if err := fill(q.body, &sync); err != nil {
		return result{}, err
	}
	if len(sync.Changes) > maxSync {
		return result{}, problem("validation", "/changes: %d changes, at most %d", len(sync.Changes), maxSync)
	}
	country, err := q.country(id)
	if err != nil {
		return result{}, err
	}
	for try := 0; ; try++ {
		out, err := q.sync(id, country, sync)
		if try < syncTries && (errors.Is(err, store.ErrConflict) || errors.Is(err, store.ErrNotFound)) {
			continue
		}
		return result{body: out}, err
	}
}

// sync makes the changes whose versions are right. ErrConflict and ErrNotFound mean that somebody else was faster.
func (q *request) sync(id, country string, sync ContactSync) (SyncResult, error) {
	out := SyncResult{Conflicts: []ContactChange{}}
	var changes []store.Change
	for i, c := range sync.Changes {
		key := id + "/" + c.ID
		row, err := q.server.opt.Rows.Get(q.Context(), q.tenant, account.KindContact, key)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return out, err
		}
		change := store.Change{Op: store.Delete, Kind: account.KindContact, Key: key, IfVersion: &row.Version, At: fmt.Sprintf("changes[%d]", i)}
		if !c.Removed {
			e := account.ContactEntry{}
			if c.Contact != nil {
				e = *c.Contact
			}
			if e.Account, e.ID = id, c.ID; e.Source == "" {
				e.Source = "sync"
			}
			inCountry(&e, country)
			change.Op, change.Entry, change.At = store.Put, &e, change.At+".contact"
		}
		done := c.Removed && row.Entry == nil || !c.Removed && row.Entry != nil && account.Same(row.Entry, account.NormalizeEntry(change.Entry, "", &account.Invalid{}))
		switch {
		case done:
			out.Made++
		case c.Version != nil && *c.Version != row.Version:
			now := changeOf(row)
			now.ID = c.ID
			out.Conflicts = append(out.Conflicts, now)
		default:
			changes = append(changes, change)
		}
	}
	if _, err := q.server.opt.Rows.Change(q.Context(), q.tenant, changes, time.Now()); err != nil {
		return out, err
	}
	out.Made += len(changes)
	return out, nil
}

// national reports whether a number does not say which country it is of.
func national(raw string) bool {
	_, err := tel.ParseNumber(raw, "")
	return err != nil
}

// inCountry writes the national numbers of a contact in E.164.
func inCountry(e *account.ContactEntry, country string) {
	e.Numbers = append([]string(nil), e.Numbers...)
	for i, raw := range e.Numbers {
		if n, err := tel.ParsePresented(raw, country); err == nil && national(raw) {
			e.Numbers[i] = string(n)
		}
	}
}

func (s *Server) forget(q *request) (result, error) {
	id, err := q.owner()
	if err != nil {
		return result{}, err
	}
	var want ForgetRequest
	if err := fill(q.body, &want); err != nil {
		return result{}, err
	}
	if len(want.Numbers) > maxForget || len(want.Numbers) == 0 && want.Contact == "" {
		return result{}, problem("validation", "say whom: contact, or numbers, at most %d", maxForget)
	}
	country, err := q.country(id)
	if err != nil {
		return result{}, err
	}
	p := store.Person{Contact: want.Contact, WithNumbers: want.WithNumbers}
	for i, raw := range want.Numbers {
		n, err := tel.ParsePresented(raw, country)
		if err != nil {
			return result{}, problem("validation", "/numbers/%d: %.80q is no telephone number", i, raw)
		}
		p.Numbers = append(p.Numbers, n)
	}
	out, err := s.opt.Book.Forget(q.Context(), q.tenant, id, p, time.Now(), want.DryRun)
	return result{body: out}, err
}

// heavy lets few requests at one time do what holds much memory.
func (s *Server) heavy(do func() error) error {
	select {
	case s.files <- struct{}{}:
		defer func() { <-s.files }()
		return do()
	default:
		return problem("unavailable", "other files are being read: try again").retryAfter(2 * time.Second)
	}
}
