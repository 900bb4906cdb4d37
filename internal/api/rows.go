package api

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/provision"
	"github.com/signalbox/signalbox/internal/store"
	"github.com/signalbox/signalbox/internal/tel"
)

// kindRoutes says how a kind of row is reached.
type kindRoutes struct {
	kind        account.Kind
	path, key   string // /pilots and /pilots/{pilot}
	tag, one    string
	id          string // ends the operationIds: Pilot makes getPilot
	example     any    // a value of its entry
	read, write Scope
	below       bool // below an account: its ID is part of the key
	byAccount   bool // a list may be of one account
}

// rowRoutes are the routes of a kind of row.
func rowRoutes(k kindRoutes) []route {
	name := k.id
	single := k.path + "/{" + k.key + "}"
	var query []parameter
	if k.byAccount {
		query = []parameter{{name: "account", text: "Those of this account alone."}}
	}
	put, remove := []string{"precondition", "validation"}, []string{"not-found", "conflict", "precondition"}
	if k.hasMailboxes() {
		put, remove = append(put, "voicemail"), append(remove, "voicemail")
	}
	return []route{
		{
			method: "GET", path: k.path, scope: k.read, tag: k.tag, id: "list" + name + "s", summary: "List " + k.one + "s by key", query: query,
			result: k.example, row: true, list: true, statuses: []int{200}, do: k.list,
		},
		{
			method: "GET", path: single, scope: k.read, tag: k.tag, id: "get" + name, summary: "Read one " + k.one,
			result: k.example, row: true, statuses: []int{200}, problems: []string{"not-found"}, do: k.get,
		},
		{
			method: "PUT", path: single, scope: k.write, tag: k.tag, id: "put" + name, summary: "Make one " + k.one + ", or replace it",
			detail: "The whole of it: what is left out has its default. With If-Match, or `version` in the body, it is replaced only if it has that version; with If-None-Match: * only made.",
			body:   k.example, result: k.example, row: true, statuses: []int{200, 201}, problems: put, do: k.put,
		},
		{
			method: "DELETE", path: single, scope: k.write, tag: k.tag, id: "delete" + name, summary: "Delete one " + k.one,
			row: true, statuses: []int{204}, problems: remove, do: k.remove,
		},
	}
}

// of finds the key that a path names, in its one form.
func (k kindRoutes) of(q *request) (string, error) {
	raw := q.PathValue(k.key)
	unknown := problem("not-found", "%.80q is no key of a %s", raw, k.one)
	switch k.kind {
	case account.KindNumber:
		n, err := tel.ParseNumber(raw, "")
		if err != nil {
			return "", unknown
		}
		return string(n), nil
	case account.KindPilot:
		if n, err := tel.ParseNumber(raw, ""); err == nil {
			return string(n), nil
		}
		if raw == "" || len(raw) > 15 || strings.Trim(raw, "0123456789*#") != "" {
			return "", unknown
		}
		return raw, nil
	case account.KindVoicemailSystem:
		name := strings.ToLower(strings.TrimSuffix(raw, "."))
		if !account.ValidFQDN(name) {
			return "", unknown
		}
		return name, nil
	}
	if !account.ValidKey(raw) {
		return "", unknown
	}
	if k.below {
		if owner := q.PathValue("account"); account.ValidKey(owner) {
			return owner + "/" + raw, nil
		}
		return "", problem("not-found", "%.80q is no key of an account", q.PathValue("account"))
	}
	return raw, nil
}

func (k kindRoutes) get(q *request) (result, error) {
	key, err := k.of(q)
	if err != nil {
		return result{}, err
	}
	row, err := q.server.opt.Rows.Get(q.Context(), q.tenant, k.kind, key)
	if err != nil {
		return result{}, err
	}
	return k.answer(row)
}

func etagOf(row store.Row) string { return `"` + strconv.FormatInt(row.Version, 10) + `"` }

func (k kindRoutes) answer(row store.Row) (result, error) {
	text, err := rowJSON(row)
	return result{body: text, etag: etagOf(row)}, err
}

// rowJSON is a row's fields, with its version and time.
func rowJSON(row store.Row) (json.RawMessage, error) {
	text, err := json.Marshal(account.WithoutSecrets(row.Entry))
	if err != nil {
		return nil, err
	}
	head := fmt.Sprintf(`{"version":%d,"updated":%q`, row.Version, row.Updated.UTC().Format(time.RFC3339Nano))
	if len(text) > 2 {
		head += ","
	}
	return append(json.RawMessage(head), text[1:]...), nil
}

func (k kindRoutes) list(q *request) (result, error) {
	opt := store.ListOptions{Limit: q.limit() + 1, Account: q.URL.Query().Get("account")}
	if opt.Limit > store.MaxList {
		opt.Limit = store.MaxList
	}
	if k.below {
		opt.Account = q.PathValue("account")
		if _, err := q.server.opt.Rows.Get(q.Context(), q.tenant, account.KindAccount, opt.Account); err != nil {
			return result{}, err
		}
	}
	var err error
	if opt.After, err = q.cursor(string(k.kind)); err != nil {
		return result{}, err
	}
	rows, err := q.server.opt.Rows.List(q.Context(), q.tenant, k.kind, opt)
	if err != nil {
		return result{}, err
	}
	p := results[json.RawMessage]{Items: []json.RawMessage{}}
	limit := min(q.limit(), store.MaxList-1)
	for i, row := range rows {
		if i == limit {
			p.Next = cursor(string(k.kind), rows[i-1].Key)
			break
		}
		text, err := rowJSON(row)
		if err != nil {
			return result{}, err
		}
		p.Items = append(p.Items, text)
	}
	return q.page(p, p.Next)
}

// results is a page of a list.
type results[T any] struct {
	Items []T    `json:"items"`
	Next  string `json:"next,omitempty" doc:"cursor of the page that follows; left out at the end."`
}

func (q *request) page(body any, next string) (result, error) {
	res := result{body: body}
	if next != "" {
		u := url.URL{Path: q.URL.Path}
		values := q.URL.Query()
		values.Set("cursor", next)
		u.RawQuery = values.Encode()
		res.header = map[string]string{"Link": "<" + u.String() + `>; rel="next"`}
	}
	return res, nil
}

// cursor names the last entry of a page of a list.
func cursor(list, last string) string {
	return base64.RawURLEncoding.EncodeToString([]byte("1 " + list + " " + last))
}

// cursor is the entry after which a page begins; "" = the list's beginning.
func (q *request) cursor(list string) (string, error) {
	given := q.URL.Query().Get("cursor")
	if given == "" {
		return "", nil
	}
	text, err := base64.RawURLEncoding.DecodeString(given)
	last, ok := strings.CutPrefix(string(text), "1 "+list+" ")
	if err != nil || !ok || !utf8.ValidString(last) || strings.Contains(last, "\x00") {
		return "", problem("bad-request", "the cursor is none of this list's: send next of a page, or no cursor to begin anew")
	}
	return last, nil
}

// condition reads what a write says of the version that is there: If-Match, If-None-Match: *, or version in the body.
func (q *request) condition(row object) (*int64, error) {
	var want *int64
	if raw, ok := row["version"]; ok {
		n, err := strconv.ParseInt(fmt.Sprint(raw), 10, 64)
		if _, isNumber := raw.(json.Number); !isNumber || err != nil || n < 1 {
			return nil, invalid([]provision.Problem{{Pointer: "/version", Detail: "is no version as it was read"}})
		}
		want = &n
	}
	if match := q.Header.Get("If-Match"); match != "" && match != "*" {
		n, err := strconv.ParseInt(strings.Trim(match, `"`), 10, 64)
		if err != nil || len(match) < 3 || match[0] != '"' {
			return nil, problem("bad-request", "If-Match is none of our entity tags, such as \"17\"")
		}
		want = &n
	}
	if none := q.Header.Get("If-None-Match"); none != "" {
		if none != "*" {
			return nil, problem("bad-request", "If-None-Match of a write can only be *")
		}
		want = new(int64)
	}
	return want, nil
}

// put replaces a row by the body.
func (k kindRoutes) put(q *request) (result, error) {
	key, err := k.of(q)
	if err != nil {
		return result{}, err
	}
	fields, ok := q.body.(object)
	if !ok {
		return result{}, invalid([]provision.Problem{{Detail: "the body is " + kindOf(q.body) + ", want an object"}})
	}
	want, err := q.condition(fields)
	if err != nil {
		return result{}, err
	}
	delete(fields, "version")
	delete(fields, "updated")
	if err := k.name(q, fields, key); err != nil {
		return result{}, err
	}
	rows := q.server.opt.Rows
	_, err = rows.Get(q.Context(), q.tenant, k.kind, key)
	existed := err == nil
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return result{}, err
	}
	into := reflect.New(reflect.TypeOf(k.example))
	if err := fill(fields, into.Interface()); err != nil {
		return result{}, err
	}
	entry := into.Interface().(account.Entry)
	if q.Header.Get("If-Match") == "*" && !existed {
		return result{}, problem("precondition", "it does not exist")
	}
	if c, ok := entry.(*account.ContactEntry); ok && slices.ContainsFunc(c.Numbers, national) {
		country, err := q.country(c.Account)
		if err != nil {
			return result{}, err
		}
		inCountry(c, country)
	}
	if n, ok := entry.(*account.NumberEntry); ok {
		if err := q.mayPut(n); err != nil {
			return result{}, err
		}
	}
	after, err := k.change(q, store.Change{Op: store.Put, Entry: entry, IfVersion: want})
	if err != nil {
		return result{}, err
	}
	res, err := k.answer(after[0])
	if !existed {
		res.status = http.StatusCreated
		res.header = map[string]string{"Location": q.URL.EscapedPath()}
	}
	return res, err
}

// name puts the key of the path into the body; a body that says another one is wrong.
func (k kindRoutes) name(q *request, fields object, key string) error {
	own := map[account.Kind]string{account.KindAccount: "id", account.KindNumber: "number", account.KindPilot: "number", account.KindVoicemailSystem: "fqdn", account.KindContact: "id", account.KindRule: "id", account.KindSchedule: "id"}[k.kind]
	want := object{own: key}
	if k.below {
		owner, id, _ := strings.Cut(key, "/")
		want = object{"account": owner, own: id}
	}
	for name, value := range want {
		given, ok := fields[name]
		if ok && given != value && given != q.PathValue(k.key) {
			return invalid([]provision.Problem{{Pointer: "/" + name, Detail: fmt.Sprintf("is not %s, which the path says: leave it out", value)}})
		}
		fields[name] = value
	}
	return nil
}

// mayPut refuses a number that the token does not reach, and a mailbox or a phone that may be another tenant's.
func (q *request) mayPut(n *account.NumberEntry) error {
	if err := q.mayWrite(n.Number); err != nil {
		return err
	}
	mailbox := ""
	if n.Voicemail != nil {
		mailbox = n.Voicemail.Mailbox
	}
	if err := q.mayBelong(n.Account, n.Number, mailbox); err != nil {
		return err
	}
	return q.server.opt.Requests.Permitted(q.Context(), q.tenant, n)
}

func (k kindRoutes) remove(q *request) (result, error) {
	key, err := k.of(q)
	if err != nil {
		return result{}, err
	}
	want, err := q.condition(object{})
	if err != nil {
		return result{}, err
	}
	if k.kind == account.KindNumber {
		if err := q.mayWrite(key); err != nil {
			return result{}, err
		}
	}
	_, err = k.change(q, store.Change{Op: store.Delete, Kind: k.kind, Key: key, IfVersion: want})
	return result{}, err
}

// hasMailboxes tells whether mailboxes at voicemail systems follow the rows of this kind.
func (k kindRoutes) hasMailboxes() bool {
	return k.kind == account.KindAccount || k.kind == account.KindNumber
}

// change writes a row.
func (k kindRoutes) change(q *request, c store.Change) ([]store.Row, error) {
	if k.hasMailboxes() {
		return q.server.opt.Requests.Change(q.Context(), q.tenant, c)
	}
	return q.server.opt.Rows.Change(q.Context(), q.tenant, []store.Change{c}, time.Now())
}
