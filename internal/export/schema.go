package export

import (
	"encoding/json"
	"fmt"
	"math"
	"time"

	"github.com/signalbox/signalbox/internal/call"
)

// Version is that of the schema, which docs/records.md describes. Fields may be added to a version; one that changes its meaning or
// goes makes a new one.
const Version = 1

// Record is one call as others get it. Its names are kept apart from call.Record, so that what is inside may change.
type Record struct {
	Version  int    `json:"version"`
	ID       string `json:"id"`
	Node     string `json:"node"`
	UUID     string `json:"uuid"`
	CallID   string `json:"call_id"`
	Instance string `json:"instance"`

	Started  Time    `json:"started"`
	Answered Time    `json:"answered,omitzero"`
	Ended    Time    `json:"ended"`
	Duration Seconds `json:"duration_seconds"`
	Talk     Seconds `json:"talk_seconds"`

	Result string `json:"result"`
	Cause  string `json:"cause,omitempty"`
	Note   string `json:"note,omitempty"`

	Caller     Caller      `json:"caller"`
	Called     Called      `json:"called"`
	Diversions []Diversion `json:"diversions,omitempty"`
	Trunk      string      `json:"trunk,omitempty"`
	Source     string      `json:"source,omitempty"`
	Verdict    Verdict     `json:"verdict"`
	Steps      []Step      `json:"steps,omitempty"`
}

// Caller is who called, as he presented himself.
type Caller struct {
	Number   string `json:"number,omitempty"`
	User     string `json:"user,omitempty"`
	Name     string `json:"name,omitempty"`
	Withheld bool   `json:"withheld"`
	Asserted bool   `json:"asserted"`
}

// Called is who was called.
type Called struct {
	Number  string `json:"number,omitempty"`
	Dialled string `json:"dialled"`
	Account string `json:"account,omitempty"`
	Target  string `json:"target,omitempty"`
	Cause   int    `json:"target_cause,omitempty"`
}

// Diversion is one diversion, the newest first.
type Diversion struct {
	Number  string `json:"number,omitempty"`
	User    string `json:"user,omitempty"`
	Reason  string `json:"reason"`
	Counter int    `json:"counter"`
	// Withheld: the diverter's network asks that his number is shown to nobody.
	Withheld bool `json:"withheld,omitempty"`
}

// Verdict is what screening thinks of the caller.
type Verdict struct {
	Screened   bool     `json:"screened"`
	Action     string   `json:"action"`
	Likelihood float64  `json:"likelihood"`
	Model      string   `json:"model,omitempty"`
	Reasons    []Reason `json:"reasons,omitempty"`
}

// Reason is one observation of screening.
type Reason struct {
	Name     string  `json:"name"`
	Weight   float64 `json:"weight"`
	Sentence string  `json:"sentence"`
}

// Step is what was done for the call.
type Step struct {
	Kind     string    `json:"kind"`
	Started  Time      `json:"started"`
	Duration Seconds   `json:"duration_seconds"`
	Result   string    `json:"result"`
	Note     string    `json:"note,omitempty"`
	Attempts []Attempt `json:"attempts,omitempty"`
}

// Attempt is one INVITE, or the reason why none was sent.
type Attempt struct {
	Target      string  `json:"target"`
	Started     Time    `json:"started"`
	Duration    Seconds `json:"duration_seconds"`
	Result      string  `json:"result"`
	Disposition string  `json:"disposition,omitempty"`
	SIPStatus   int     `json:"sip_status,omitempty"`
	Note        string  `json:"note,omitempty"`
}

// Time is written in RFC 3339, UTC, with milliseconds.
type Time struct{ time.Time }

const timeLayout = "2006-01-02T15:04:05.000Z"

// MarshalJSON implements json.Marshaler.
func (t Time) MarshalJSON() ([]byte, error) {
	return []byte(`"` + t.UTC().Format(timeLayout) + `"`), nil
}

// Seconds is a duration, written in seconds to the millisecond and never below 0, also when a clock was set back.
type Seconds time.Duration

// MarshalJSON implements json.Marshaler.
func (s Seconds) MarshalJSON() ([]byte, error) {
	return json.Marshal(math.Round(max(0, time.Duration(s).Seconds())*1000) / 1000)
}

// UnmarshalJSON implements json.Unmarshaler.
func (s *Seconds) UnmarshalJSON(text []byte) error {
	var f float64
	if err := json.Unmarshal(text, &f); err != nil {
		return err
	}
	*s = Seconds(f * float64(time.Second))
	return nil
}

// between is the time from one moment to a later one, 0 when either is not known.
func between(from, to time.Time) Seconds {
	if from.IsZero() || to.IsZero() {
		return 0
	}
	return Seconds(to.Sub(from))
}

// Of makes the record that others get of a call.
func Of(r call.Record) Record {
	a := ArrivalOf(r.Arrival)
	a.Called.Account = r.Plan.Account
	out := Record{
		Version: Version, ID: r.ID, Node: r.Node, UUID: r.UUID, CallID: r.Arrival.CallID, Instance: r.Owner,
		Started: Time{r.Started}, Answered: Time{r.Answered}, Ended: Time{r.Ended},
		Duration: between(r.Started, r.Ended), Talk: between(r.Answered, r.Ended),
		Result: string(r.Result), Cause: r.Cause, Note: r.Note, Trunk: a.Trunk, Source: a.Source,
		Caller: a.Caller, Called: a.Called, Diversions: a.Diversions, Verdict: a.Verdict,
	}
	for _, s := range r.Steps {
		out.Steps = append(out.Steps, step(s))
	}
	return out
}

// Public makes the record that the one who was called may see: without what the caller, and who diverted the call, have withheld.
func Public(r call.Record) Record {
	out := Of(r)
	if out.Caller.Withheld {
		out.Caller.Number, out.Caller.User, out.Caller.Name = "", "", ""
	}
	for i := range out.Diversions {
		if d := &out.Diversions[i]; d.Withheld && d.Number != out.Called.Number {
			d.Number, d.User = "", ""
		}
	}
	return out
}

func verdict(v call.Verdict) Verdict {
	s := Verdict{Screened: v.Screened(), Action: string(v.Action), Likelihood: v.Likelihood, Model: v.Model}
	if s.Action == "" {
		s.Action = "deliver"
	}
	for _, r := range v.Reasons {
		s.Reasons = append(s.Reasons, Reason{Name: r.Name, Weight: r.Weight, Sentence: r.Sentence})
	}
	return s
}

func step(s call.StepRecord) Step {
	out := Step{Kind: string(s.Kind), Started: Time{s.Started}, Duration: between(s.Started, s.Ended), Result: string(s.Result), Note: s.Note}
	for _, a := range s.Attempts {
		out.Attempts = append(out.Attempts, Attempt{
			Target: a.Target, Started: Time{a.Started}, Duration: between(a.Started, a.Ended), Result: string(a.Result),
			Disposition: a.Disposition, SIPStatus: a.SIPStatus, Note: a.Note,
		})
	}
	return out
}

// Line is a record in JSON on one line, with the line break.
func Line(r call.Record) ([]byte, error) {
	text, err := json.Marshal(Of(r))
	if err != nil {
		return nil, fmt.Errorf("call record %.64q: %w", r.ID, err)
	}
	return append(text, '\n'), nil
}
