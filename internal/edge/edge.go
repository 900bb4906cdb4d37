// Package edge answers the proxy's two questions about a call: may it pass, and where does it go?
//
// It turns an INVITE into a caller, has package screen judge it, signs what the proxy saw into one X-Signalbox token for
// the sidecar, and names the FreeSWITCH nodes in the order to be tried. Nothing in it waits for anything: it is pure
// but for the clock and the log, and safe for concurrent use. What it cannot do fails open: without a key a call goes unsigned,
// which means not screened, and authorises nothing.
package edge

import (
	"context"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/signalbox/signalbox/internal/call"
	"github.com/signalbox/signalbox/internal/screen"
	"github.com/signalbox/signalbox/internal/tel"
	"github.com/signalbox/signalbox/internal/token"
	"github.com/signalbox/signalbox/sipproxy"
)

// Trunk is what the edge knows of one carrier.
type Trunk struct {
	Mode   screen.Mode
	Region string // where its national numbers are read, ISO 3166; "" = that of Options
}

// Options of an Edge.
type Options struct {
	Trunks  map[string]Trunk // by the peer's name; one that is missing is observed
	Region  string           // where national numbers are read by default, ISO 3166
	Rules   screen.Rules
	Answers screen.Answers
	Key     *token.Key     // signs tokens; nil = none is added, and no call counts as screened
	Nodes   []sipproxy.Hop // FreeSWITCH's carrier-side profiles, in the order to be tried
	Logger  *zap.Logger    // nil = silent
	// Judged is told of each verdict: what is done about the call, the name of its strongest reason, "" for none, and how long
	// the judgement took. It must not block; nil = nobody is told.
	Judged func(outcome Outcome, reason string, took time.Duration)
	// Labels makes what the proxy's observer is told of a verdict; nil = nothing.
	Labels func(outcome Outcome, reason string, likelihood float64) []sipproxy.HeaderField
}

// Outcome is what a verdict does to a call.
type Outcome string

// The outcomes.
const (
	Delivered   Outcome = "deliver"
	Refused     Outcome = "refuse"
	WouldRefuse Outcome = "would_refuse" // the trunk is only observed: delivered
)

// Edge implements sipproxy.Screener and sipproxy.Router.
type Edge struct {
	options Options
	log     *zap.Logger
}

var (
	_ sipproxy.Screener  = (*Edge)(nil)
	_ sipproxy.Router    = (*Edge)(nil)
	_ sipproxy.Immediate = (*Edge)(nil)
)

// New makes an Edge. What o refers to must not be changed afterwards.
func New(o Options) *Edge {
	log := o.Logger
	if log == nil {
		log = zap.NewNop()
	}
	return &Edge{options: o, log: log}
}

// Immediate implements sipproxy.Immediate: nothing here waits.
func (e *Edge) Immediate() {}

// Route implements sipproxy.Router: every call may go to every node, in the configured order.
func (e *Edge) Route(context.Context, *sipproxy.Invite) []sipproxy.Hop {
	return slices.Clone(e.options.Nodes)
}

// Screen implements sipproxy.Screener: a refusal, or one signed token on the INVITE.
func (e *Edge) Screen(_ context.Context, inv *sipproxy.Invite) sipproxy.Decision {
	trunk := e.trunk(inv)
	caller := Caller(inv, trunk)
	began := time.Now()
	verdict, strict := judge(caller, e.options.Rules)
	labels := e.tell(verdict, strict, time.Since(began))
	about := func() []zap.Field {
		return []zap.Field{zap.String("call_id", inv.CallID), zap.String("trunk", inv.Peer.Name), zap.String("from", masked(caller.From)), zap.String("to", caller.Called.Masked())}
	}
	if strict.Action == call.Refuse {
		answer := screen.AnswerTo(strict, e.options.Answers)
		log := e.log.With(append(about(), zap.Int("status", answer.Code), zap.String("reason", verdict.Reasons[0].Name))...)
		if verdict.Action == call.Refuse {
			log.Info("caller refused")
			return sipproxy.Decision{Refuse: refusal(answer), Labels: labels}
		}
		log.Info("caller would be refused, but the trunk is only observed")
	}
	if e.options.Key == nil {
		return sipproxy.Decision{Labels: labels}
	}
	header, err := token.Sign(evidence(inv, verdict, trunk.Region, time.Now()), *e.options.Key)
	if err != nil {
		e.log.Warn("no token: the call goes on as not screened", append(about(), zap.Error(err))...)
		return sipproxy.Decision{Labels: labels}
	}
	return sipproxy.Decision{Add: []sipproxy.HeaderField{{Name: token.Header, Value: header}}, Labels: labels}
}

// judge gives the verdict, and what it would be if the trunk enforced. They differ in the action alone.
func judge(caller screen.Caller, rules screen.Rules) (verdict, strict call.Verdict) {
	enforced := caller
	enforced.Mode = screen.Enforce
	strict = screen.Judge(enforced, rules)
	verdict = strict
	if caller.Mode != screen.Enforce {
		verdict.Action = call.Deliver
	}
	return verdict, strict
}

// tell tells of a verdict, and gives what the proxy's observer is to be told of it.
func (e *Edge) tell(verdict, strict call.Verdict, took time.Duration) (labels []sipproxy.HeaderField) {
	outcome, reason := Delivered, ""
	switch {
	case verdict.Action == call.Refuse:
		outcome = Refused
	case strict.Action == call.Refuse:
		outcome = WouldRefuse
	}
	if len(verdict.Reasons) > 0 {
		reason = verdict.Reasons[0].Name
	}
	if e.options.Judged != nil {
		e.options.Judged(outcome, reason, took)
	}
	if e.options.Labels != nil {
		labels = e.options.Labels(outcome, reason, verdict.Likelihood)
	}
	return labels
}

func (e *Edge) trunk(inv *sipproxy.Invite) Trunk {
	trunk, ok := e.options.Trunks[inv.Peer.Name]
	if !ok {
		trunk = Trunk{Mode: screen.Observe}
	}
	if trunk.Region == "" {
		trunk.Region = e.options.Region
	}
	return trunk
}

// masked is a caller for the log. A number that its owner withheld is not written at all.
func masked(id tel.Identity) string {
	switch {
	case id.Withheld:
		return "withheld"
	case id.Number != "":
		return id.Number.Masked()
	}
	return tel.Mask(id.User)
}

func refusal(a screen.Answer) *sipproxy.Refusal {
	r := &sipproxy.Refusal{Code: a.Code, Phrase: a.Phrase}
	for _, h := range a.Headers {
		r.Headers = append(r.Headers, sipproxy.HeaderField{Name: h[0], Value: h[1]})
	}
	return r
}

// evidence gathers what FreeSWITCH would lose or change on the way to the sidecar. Lists are split into their elements, so
// that a token that gets too long loses the oldest element and not a whole header field. region is where the trunk's national
// numbers are read.
func evidence(inv *sipproxy.Invite, verdict call.Verdict, region string, now time.Time) token.Evidence {
	e := token.Evidence{
		Verdict:   verdict,
		Diversion: sipproxy.SplitList(inv.Header("Diversion")), HistoryInfo: sipproxy.SplitList(inv.Header("History-Info")),
		RequestURI: inv.RequestURI, Trunk: inv.Peer.Name, Region: region, Source: inv.Source,
		CallID: inv.CallID, FromTag: inv.FromTag, Time: inv.Time.UTC(),
	}
	if inv.Time.IsZero() {
		e.Time = now.UTC()
	}
	e.Target, e.Cause = tel.ParseTarget(inv.Called.URIParams)
	return e
}
