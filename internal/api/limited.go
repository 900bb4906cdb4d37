package api

import (
	"cmp"
	"errors"
	"net/http"
	"strings"

	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/provision"
	"github.com/signalbox/signalbox/internal/store"
	"github.com/signalbox/signalbox/internal/tel"
)

// A token limited to some numbers writes what is about them alone: those numbers, and accounts, with all below them, that have no
// others. Of an account that has others too it writes phones and voicemail of the numbers it reaches: no more numbers come to it, whose
// phones would be its host's, and none gets a mailbox that may be another one's. What it reads is not limited.

// ofAllNumbers reports whether a route writes what all numbers of an account have in common.
func ofAllNumbers(r route) bool {
	return r.scope == AccountsWrite && r.method != http.MethodGet && strings.HasPrefix(r.path, "/accounts/{account}")
}

func (q *request) beginnings() string { return strings.Join(q.token.Numbers, ", ") }

// mayWrite refuses a number that the token does not reach.
func (q *request) mayWrite(number string) error {
	if !reaches(q.token, number) {
		return problem("forbidden", "%.20s: the token provisions numbers that begin with %s alone", number, q.beginnings())
	}
	return nil
}

// mayWriteAccount refuses an account with a number that the token does not reach.
func (q *request) mayWriteAccount(id string) error {
	switch other, err := q.unreached(id); {
	case err != nil:
		return err
	case other:
		return problem("forbidden", "account %.64s has numbers that the token does not reach, and this is about them too: use a token for more than numbers that begin with %s", id, q.beginnings())
	}
	return nil
}

// mayBelong refuses a number that comes to an account with a number that the token does not reach, and a mailbox that may be such a one's.
// mailbox "" = the number's own, or the one that it has.
func (q *request) mayBelong(id, number, mailbox string) error {
	other, err := q.unreached(id)
	if err != nil || !other {
		return err
	}
	was := &account.NumberEntry{}
	row, err := q.server.opt.Rows.Get(q.Context(), q.tenant, account.KindNumber, number)
	switch {
	case err == nil:
		was = row.Entry.(*account.NumberEntry)
	case !errors.Is(err, store.ErrNotFound):
		return err
	}
	if was.Account != id {
		return q.mayWriteAccount(id)
	}
	has := number
	if was.Voicemail != nil {
		has = cmp.Or(was.Voicemail.Mailbox, number)
	}
	if mailbox != "" && mailbox != number && mailbox != has && !reaches(q.token, mailbox) {
		return problem("forbidden", "mailbox %.40q may be that of a number that the token does not reach: name one that begins with %s, or nothing", mailbox, q.beginnings())
	}
	return nil
}

// mayAsk refuses a provisioning request about numbers that the token does not reach.
func (q *request) mayAsk(r provision.Request) error {
	if len(q.token.Numbers) == 0 {
		return nil
	}
	for _, n := range append([]string{r.NewNumber}, r.Numbers...) {
		if number, err := tel.ParseNumber(n, ""); err == nil { // what is none is said later
			if err := q.mayWrite(string(number)); err != nil {
				return err
			}
		}
	}
	wide := len(r.Numbers) == 0 || r.Name != "" || r.Language != "" || r.TimeZone != ""
	mailbox := ""
	for _, s := range r.Services {
		mailbox = cmp.Or(mailbox, s.Mailbox)
		wide = wide || s.Type != provision.Voicemail && s.Type != provision.VisualVoicemail
	}
	if wide {
		return q.mayWriteAccount(r.UserProfile)
	}
	for _, n := range r.Numbers {
		if number, err := tel.ParseNumber(n, ""); err == nil {
			if err := q.mayBelong(r.UserProfile, string(number), mailbox); err != nil {
				return err
			}
		}
	}
	return nil
}

// mayRetry refuses a request, whoever sent it, about numbers that the token does not reach.
func (q *request) mayRetry(s provision.Status) error {
	if len(q.token.Numbers) == 0 {
		return nil
	}
	for _, n := range s.Numbers {
		if err := q.mayWrite(n); err != nil {
			return err
		}
	}
	if s.NewNumber != "" {
		if err := q.mayWrite(s.NewNumber); err != nil {
			return err
		}
	}
	return q.mayWriteAccount(s.UserProfile)
}

// unreached reports whether an account has a number that the token does not reach.
func (q *request) unreached(accountID string) (bool, error) {
	if len(q.token.Numbers) == 0 || accountID == "" {
		return false, nil
	}
	for after := ""; ; {
		rows, err := q.server.opt.Rows.List(q.Context(), q.tenant, account.KindNumber, store.ListOptions{Account: accountID, After: after, Limit: store.MaxList})
		if err != nil {
			return false, err
		}
		for _, row := range rows {
			if !reaches(q.token, row.Key) {
				return true, nil
			}
		}
		if len(rows) < store.MaxList {
			return false, nil
		}
		after = rows[len(rows)-1].Key
	}
}
