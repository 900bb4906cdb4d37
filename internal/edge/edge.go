// Package edge answers the proxy's two questions about a call: may it pass, and where does it go?
//
// It turns an INVITE into a caller, has package screen judge it, signs what the proxy saw into one X-Signalbox token for
// the sidecar, and names the FreeSWITCH nodes in the order to be tried. Nothing in it waits for anything: it is pure
// but for the clock, and safe for concurrent use. What it cannot do fails open: without a key a call goes unsigned.
package edge

import (
	"context"
	"strconv"
	"strings"
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
	Region string // where its national numbers are read
}

// Options of an Edge.
type Options struct {
	Trunks  map[string]Trunk // by the peer's name
	Region  string           // of trunks that are not in Trunks
	Rules   screen.Rules
	Answers screen.Answers
	Key     *token.Key     // signs tokens; nil = none is added
	Nodes   []sipproxy.Hop // FreeSWITCH's carrier-side profiles, in order
	Logger  *zap.Logger
}

// Edge implements sipproxy.Screener and sipproxy.Router.
type Edge struct {
	options Options
	log     *zap.Logger
}

var (
	_ sipproxy.Screener = (*Edge)(nil)
	_ sipproxy.Router   = (*Edge)(nil)
)

// New makes an Edge.
func New(o Options) *Edge {
	log := o.Logger
	if log == nil {
		log = zap.NewNop()
	}
	return &Edge{options: o, log: log}
}

// Route implements sipproxy.Router.
func (e *Edge) Route(context.Context, *sipproxy.Invite) []sipproxy.Hop { return e.options.Nodes }

// Screen implements sipproxy.Screener.
func (e *Edge) Screen(_ context.Context, inv *sipproxy.Invite) sipproxy.Decision {
	trunk := e.trunk(inv)
	caller := Caller(inv, trunk)
	verdict := screen.Judge(caller, e.options.Rules)
	log := e.log.With(zap.String("call_id", inv.CallID), zap.String("trunk", inv.Peer.Name),
		zap.String("from", caller.From.Number.Masked()), zap.String("to", caller.Called.Masked()))
	if verdict.Action == call.Refuse {
		answer := screen.AnswerTo(verdict, e.options.Answers)
		log.Info("caller refused", zap.Int("status", answer.Code), zap.String("reason", verdict.Reasons[0].Name))
		return sipproxy.Decision{Refuse: refusal(answer)}
	}
	if e.options.Key == nil {
		return sipproxy.Decision{}
	}
	header, err := token.Sign(evidence(inv, verdict), *e.options.Key)
	if err != nil {
		log.Warn("no token: the call goes on as not screened", zap.Error(err))
		return sipproxy.Decision{}
	}
	return sipproxy.Decision{Add: []sipproxy.HeaderField{{Name: token.Header, Value: header}}}
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

func refusal(a screen.Answer) *sipproxy.Refusal {
	r := &sipproxy.Refusal{Code: a.Code, Phrase: a.Phrase}
	for _, h := range a.Headers {
		r.Headers = append(r.Headers, sipproxy.HeaderField{Name: h[0], Value: h[1]})
	}
	return r
}

// Caller reads who calls whom. The asserted identity counts before From (RFC 3325 section 9); privacy is what the
// caller asked for (RFC 3323).
func Caller(inv *sipproxy.Invite, trunk Trunk) screen.Caller {
	id := tel.Identity{Name: inv.From.Display, User: inv.From.User}
	for _, value := range sipproxy.SplitList(inv.Header("P-Asserted-Identity")) {
		if a, err := sipproxy.ParseAddress(value); err == nil && a.User != "" {
			id.User, id.Asserted = a.User, true
			break
		}
	}
	id.Number, _ = tel.ParseNumber(id.User, trunk.Region)
	id.Withheld = withheld(inv)
	called, _ := tel.ParseNumber(inv.Called.User, trunk.Region)
	return screen.Caller{From: id, Called: called, Mode: trunk.Mode}
}

func withheld(inv *sipproxy.Invite) bool {
	for _, value := range inv.Header("Privacy") {
		for _, word := range strings.FieldsFunc(strings.ToLower(value), func(r rune) bool { return r == ';' || r == ',' || r == ' ' }) {
			if word == "id" || word == "user" || word == "header" {
				return true
			}
		}
	}
	return strings.EqualFold(inv.From.User, "anonymous") || inv.From.Host == "anonymous.invalid"
}

// evidence gathers what FreeSWITCH would lose or change on the way to the sidecar.
func evidence(inv *sipproxy.Invite, verdict call.Verdict) token.Evidence {
	e := token.Evidence{
		Verdict: verdict, Diversion: inv.Header("Diversion"), HistoryInfo: inv.Header("History-Info"),
		RequestURI: inv.RequestURI, Trunk: inv.Peer.Name, Source: inv.Source,
		CallID: inv.CallID, FromTag: inv.FromTag, Time: inv.Time,
	}
	e.Target, e.Cause = tel.ParseTarget(inv.Called.URIParams)
	return e
}

// Report is what `signalbox screen` prints of an INVITE.
type Report struct {
	Caller     string       `json:"caller"`
	Called     string       `json:"called"`
	Withheld   bool         `json:"withheld,omitempty"`
	Trunk      string       `json:"trunk,omitempty"`
	Mode       screen.Mode  `json:"mode"`
	Verdict    call.Verdict `json:"verdict"`
	Answer     string       `json:"answer,omitempty"`     // the status line a refused caller gets
	WouldBe    string       `json:"would_be,omitempty"`   // the same, if the trunk enforced
	Diversions int          `json:"diversions,omitempty"` // how often the call was diverted
	Stripped   int          `json:"stripped,omitempty"`   // forged X-Signalbox headers
	Size       int          `json:"size"`                 // of the message in bytes
	At         time.Time    `json:"at"`
}

// Judge reads an INVITE as it stands in a file and says what the edge would do with it, as if trunk had sent it.
func (e *Edge) Judge(raw []byte, trunkName string) (Report, error) {
	inv, err := sipproxy.Parse(raw, sipproxy.Limits{})
	if err != nil {
		return Report{}, err
	}
	inv.Peer.Name = trunkName
	trunk := e.trunk(inv)
	caller := Caller(inv, trunk)
	r := Report{
		Caller: caller.From.User, Called: inv.Called.User, Withheld: caller.From.Withheld, Trunk: trunkName, Mode: trunk.Mode,
		Verdict: screen.Judge(caller, e.options.Rules), Stripped: inv.Stripped, Size: inv.Size, At: inv.Time,
		Diversions: tel.Diverted(tel.ParseDiversions(inv.Header("Diversion"), trunk.Region)),
	}
	caller.Mode = screen.Enforce
	if strict := screen.Judge(caller, e.options.Rules); strict.Action == call.Refuse {
		answer := screen.AnswerTo(strict, e.options.Answers)
		line := "SIP/2.0 " + strconv.Itoa(answer.Code) + " " + answer.Phrase
		if r.Verdict.Action == call.Refuse {
			r.Answer = line
		} else {
			r.WouldBe = line
		}
	}
	return r, nil
}
