package call

// Action is what a verdict asks the edge to do.
type Action string

// The actions of a verdict. The zero value delivers the call.
const (
	Deliver Action = ""
	Refuse  Action = "refuse"
)

// Reason is one observation that led to a verdict or to a step of a plan.
type Reason struct {
	Name     string  `json:"name"`             // stable and short, for machines: "impossible-number"
	Weight   float64 `json:"weight,omitempty"` // how much it moved the likelihood, -1 to 1
	Sentence string  `json:"sentence"`         // one sentence for people
}

// Verdict is what screening thinks of a caller. The zero value means not screened: deliver, authorise nothing.
type Verdict struct {
	Likelihood float64  `json:"likelihood"`        // that the caller number is spoofed, 0 to 1
	Action     Action   `json:"action,omitempty"`  // what to do about it
	Reasons    []Reason `json:"reasons,omitempty"` // every observation, strongest first
	Model      string   `json:"model,omitempty"`   // which rules or model spoke; "" = not screened
}

// Screened reports whether a screener has looked at the call at all.
func (v Verdict) Screened() bool { return v.Model != "" }
