package api

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/call"
	"github.com/signalbox/signalbox/internal/export"
	"github.com/signalbox/signalbox/internal/provision"
	"github.com/signalbox/signalbox/internal/store"
	"github.com/signalbox/signalbox/internal/tel"
	"github.com/signalbox/signalbox/internal/treat"
)

const maxDiversions = 20

// sendRequest takes a provisioning request and waits for it, for a moment.
func sendRequest(q *request) (result, error) {
	fields, ok := q.body.(object)
	if key := q.Header.Get("Idempotency-Key"); ok && key != "" {
		if given, has := fields["requestId"]; has && given != key {
			return result{}, invalid([]provision.Problem{{Pointer: "/requestId", Detail: "is not the Idempotency-Key of the header: send one of them"}})
		}
		fields["requestId"] = key
	}
	var r provision.Request
	if err := fill(q.body, &r); err != nil {
		return result{}, err
	}
	if err := q.mayAsk(r); err != nil {
		return result{}, err
	}
	status, err := q.server.opt.Requests.Submit(q.Context(), q.tenant, r)
	if err != nil {
		return result{}, err
	}
	return q.wait(status)
}

func (q *request) wait(status provision.Status) (result, error) {
	if status.Finished.IsZero() {
		ctx, cancel := context.WithTimeout(q.Context(), waitFor)
		defer cancel()
		later, err := q.server.opt.Requests.Wait(ctx, q.tenant, status.RequestID)
		if err != nil {
			return result{}, err
		}
		status = later
	}
	res := result{body: status, header: map[string]string{"Location": "/provisioning/requests/" + url.PathEscape(status.RequestID)}}
	if status.Finished.IsZero() {
		res.status = http.StatusAccepted
		res.header["Retry-After"] = "1"
	}
	return res, nil
}

func getRequest(q *request) (result, error) {
	status, err := q.server.opt.Requests.Status(q.Context(), q.tenant, q.PathValue("request"))
	return result{body: status}, err
}

func retryRequest(q *request) (result, error) {
	status, err := q.server.opt.Requests.Status(q.Context(), q.tenant, q.PathValue("request"))
	if err == nil {
		err = q.mayRetry(status)
	}
	if err != nil {
		return result{}, err
	}
	status, err = q.server.opt.Requests.Retry(q.Context(), q.tenant, q.PathValue("request"))
	if err != nil {
		return result{}, err
	}
	return q.wait(status)
}

func listRequests(q *request) (result, error) {
	const list = "requests"
	last, err := q.cursor(list)
	if err != nil {
		return result{}, err
	}
	before, _ := strconv.ParseInt(last, 10, 64)
	found, err := q.server.opt.Requests.List(q.Context(), q.tenant, q.URL.Query().Get("userProfile"), before, q.limit())
	if err != nil {
		return result{}, err
	}
	p := results[provision.Status]{Items: found.Requests}
	if found.Next > 0 {
		p.Next = cursor(list, strconv.FormatInt(found.Next, 10))
	}
	return q.page(p, p.Next)
}

func getProfile(q *request) (result, error) {
	p, err := q.server.opt.Requests.Profile(q.Context(), q.tenant, q.PathValue("userProfile"))
	return result{body: p}, err
}

// ownNumber finds a number of the tenant; what another one has is not found.
func (q *request) ownNumber(raw string) (string, error) {
	n, err := tel.ParseNumber(raw, q.server.opt.Region)
	if err != nil {
		return "", problem("not-found", "%.80q is no telephone number", raw)
	}
	_, err = q.server.opt.Rows.Get(q.Context(), q.tenant, account.KindNumber, string(n))
	return string(n), err
}

func getCounts(q *request) (result, error) {
	n, err := q.ownNumber(q.PathValue("number"))
	if err != nil {
		return result{}, err
	}
	counts := Counts{Number: n}
	if q.server.opt.Counts != nil {
		if counts, err = q.server.opt.Counts(q.Context(), n); errors.Is(err, store.ErrNotFound) {
			counts, err = Counts{Number: n}, nil
		}
	}
	return result{body: counts}, err
}

// explain plans a call to a number of the tenant.
func (s *Server) explain(q *request) (result, error) {
	var asked Question
	if err := fill(q.body, &asked); err != nil {
		return result{}, err
	}
	var wrong []provision.Problem
	if asked.From == "" {
		wrong = append(wrong, provision.Problem{Pointer: "/from", Detail: "name the caller, or anonymous"})
	}
	if len(asked.Diversions) > maxDiversions {
		wrong = append(wrong, provision.Problem{Pointer: "/diversions", Detail: fmt.Sprintf("at most %d", maxDiversions)})
	}
	to, err := tel.ParseNumber(asked.To, s.opt.Region)
	if err != nil {
		wrong = append(wrong, provision.Problem{Pointer: "/to", Detail: fmt.Sprintf("%.40q is no telephone number, write it as +14155550100", asked.To)})
	}
	if len(wrong) > 0 {
		return result{}, invalid(wrong)
	}
	if _, err := q.ownNumber(string(to)); err != nil {
		return result{}, err
	}
	from, _ := tel.ParseNumber(asked.From, s.opt.Region)
	plan, err := s.opt.Explain(q.Context(), call.Arrival{
		Dialled: asked.To, To: to, At: time.Now(), Evidence: call.EvidenceToken, Verdict: call.Verdict{Model: "explain"},
		From:       tel.Identity{Name: asked.Name, User: asked.From, Number: from, Withheld: asked.From == "anonymous"},
		Diversions: tel.ParseDiversions(asked.Diversions, s.opt.Region),
	})
	if err != nil {
		return result{}, err
	}
	var text bytes.Buffer
	if err := treat.WriteText(&text, plan); err != nil {
		return result{}, err
	}
	return result{body: Explanation{Text: text.String(), Plan: export.PlanOf(plan), Branches: treat.Branches(plan)}}, nil
}

func listRecords(q *request) (result, error) {
	const list = "records"
	last, err := q.cursor(list)
	if err != nil {
		return result{}, err
	}
	records, next, err := q.server.opt.Records.RecordsOf(q.Context(), q.tenant, last, q.limit())
	if err != nil {
		return result{}, err
	}
	of := export.Public
	if isAdmin(q.token) {
		of = export.Of
	}
	p := results[export.Record]{Items: []export.Record{}}
	for _, r := range records {
		p.Items = append(p.Items, of(r))
	}
	if next != "" {
		p.Next = cursor(list, next)
	}
	return q.page(p, p.Next)
}

func listTenants(q *request) (result, error) {
	const list = "tenants"
	last, err := q.cursor(list)
	if err != nil {
		return result{}, err
	}
	names, err := q.server.opt.Rows.Tenants(q.Context())
	if err != nil {
		return result{}, err
	}
	p := results[Tenant]{Items: []Tenant{}}
	for _, name := range names {
		if name <= last {
			continue
		}
		if len(p.Items) == q.limit() {
			p.Next = cursor(list, p.Items[len(p.Items)-1].Tenant)
			break
		}
		p.Items = append(p.Items, Tenant{name})
	}
	return q.page(p, p.Next)
}
