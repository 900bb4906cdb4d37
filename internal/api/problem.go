package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/provision"
	"github.com/signalbox/signalbox/internal/store"
)

// Problem is the body of every error (RFC 9457).
type Problem struct {
	Type   string              `json:"type" doc:"Stays the same for one kind of problem, as urn:signalbox:problem:NAME."`
	Title  string              `json:"title"`
	Status int                 `json:"status" doc:"The HTTP status again."`
	Detail string              `json:"detail,omitempty" doc:"What is wrong with this request, and what to do."`
	Errors []provision.Problem `json:"errors,omitempty" doc:"The fields at fault."`

	header map[string]string
}

func (p *Problem) Error() string { return p.Title + ": " + p.Detail }

const problemType = "urn:signalbox:problem:"

// kinds are the problems that there are, by the last word of their type.
var kinds = map[string]struct {
	status int
	title  string
}{
	"bad-request":     {400, "The request cannot be read"},
	"unauthorized":    {401, "Show a token"},
	"forbidden":       {403, "The token does not reach so far"},
	"not-found":       {404, "There is no such thing"},
	"method":          {405, "The method is not known here"},
	"conflict":        {409, "It is in conflict with what is there"},
	"gone":            {410, "It is known no more"},
	"precondition":    {412, "It was changed meanwhile"},
	"too-large":       {413, "The body is too large"},
	"media-type":      {415, "The body is of another kind than is taken here"},
	"validation":      {422, "Some fields are wrong"},
	"rate":            {429, "Too many requests"},
	"internal":        {500, "Something is broken here"},
	"voicemail":       {502, "A voicemail system did not do its part"},
	"unavailable":     {503, "It cannot be answered now"},
	"header-too-long": {431, "The headers are too large"},
}

func problem(kind, detail string, args ...any) *Problem {
	k := kinds[kind]
	if len(args) > 0 {
		detail = fmt.Sprintf(detail, args...)
	}
	return &Problem{Type: problemType + kind, Title: k.title, Status: k.status, Detail: detail}
}

func (p *Problem) with(header, value string) *Problem {
	if p.header == nil {
		p.header = map[string]string{}
	}
	p.header[header] = value
	return p
}

// retryAfter says when to come again, in whole seconds.
func (p *Problem) retryAfter(d time.Duration) *Problem {
	return p.with("Retry-After", strconv.Itoa(max(1, int((d+time.Second-1)/time.Second))))
}

func invalid(list []provision.Problem) *Problem {
	p := problem("validation", "")
	p.Errors = list
	if len(list) > 0 {
		p.Detail = list[0].Pointer + ": " + list[0].Detail
	}
	return p
}

// problemOf says what an error means to whoever asked. What is our own fault is not told; the second result says that it is.
func problemOf(err error) (*Problem, bool) {
	var p *Problem
	var bad *account.Invalid
	var wrong *provision.Invalid
	var mailbox *provision.MailboxError
	switch {
	case errors.As(err, &p):
		return p, false
	case errors.As(err, &wrong):
		return invalid(wrong.Problems), false
	case errors.As(err, &bad):
		return invalid(pointers(bad)), false
	case errors.As(err, &mailbox):
		return problem("voicemail", "nothing was changed: %v", mailbox), false
	case errors.Is(err, store.ErrNotFound):
		return problem("not-found", "there is none under this key, or it is not yours"), false
	case errors.Is(err, store.ErrConflict):
		return problem("precondition", "it has another version than you say, or was removed: read it again"), false
	case errors.Is(err, store.ErrInUse):
		return problem("conflict", err.Error()), false
	case errors.Is(err, provision.ErrOtherBody):
		return problem("conflict", "a request of this requestId was sent before with another body: choose another requestId for another request"), false
	case errors.Is(err, provision.ErrNewer):
		return problem("conflict", err.Error()), false
	case errors.Is(err, store.ErrUnavailable):
		return problem("unavailable", "the store does not answer: try again").retryAfter(2 * time.Second), true
	}
	return problem("internal", "the operator's log says more"), true
}

// pointers makes JSON pointers of the paths of account.Invalid: "devices[1].host: ..." is /devices/1/host.
func pointers(bad *account.Invalid) []provision.Problem {
	var out []provision.Problem
	for _, text := range bad.Problems {
		path, detail, _ := strings.Cut(text, ": ")
		out = append(out, provision.Problem{Pointer: "/" + strings.NewReplacer("[", "/", "]", "", ".", "/").Replace(path), Detail: detail})
	}
	if bad.More > 0 {
		out = append(out, provision.Problem{Detail: fmt.Sprintf("and %d more", bad.More)})
	}
	return out
}

func writeProblem(w http.ResponseWriter, p *Problem) {
	h := w.Header()
	for name, value := range p.header {
		h.Set(name, value)
	}
	h.Set("Content-Type", "application/problem+json")
	w.WriteHeader(p.Status)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(p)
}
