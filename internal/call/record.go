package call

import "time"

// Record is what is kept of one call: how it came, what was planned, what happened at each step.
type Record struct {
	ID      string `json:"id"`    // unique for ever; made by the sidecar when the call arrives
	Owner   string `json:"owner"` // the sidecar instance that writes it
	UUID    string `json:"uuid"`  // FreeSWITCH's A-leg
	Node    string `json:"node"`
	Arrival Arrival
	Plan    Plan         `json:"plan"`
	Steps   []StepRecord `json:"steps,omitempty"`

	Started  time.Time `json:"started"`
	Answered time.Time `json:"answered,omitzero"`
	Updated  time.Time `json:"updated"`
	Ended    time.Time `json:"ended,omitzero"` // zero = still open

	Result Result `json:"result,omitempty"`
	Cause  string `json:"cause,omitempty"` // FreeSWITCH's hangup cause of the A-leg; "" = unknown
	Note   string `json:"note,omitempty"`  // for people, for example "ended between T1 and T2, cause unknown"
}

// Open reports whether the call had not ended when the record was written.
func (r Record) Open() bool { return r.Ended.IsZero() }

// StepRecord is what happened at one step.
type StepRecord struct {
	Kind     StepKind  `json:"kind"`
	Started  time.Time `json:"started"`
	Ended    time.Time `json:"ended,omitzero"`
	Result   Result    `json:"result,omitempty"`
	Attempts []Attempt `json:"attempts,omitempty"`
	Note     string    `json:"note,omitempty"`
}

// Attempt is one INVITE, or the reason why none was sent.
type Attempt struct {
	Target      string    `json:"target"` // who was meant, for people: "vm-a.example.net 127.0.0.1:5091/udp"
	Started     time.Time `json:"started"`
	Ended       time.Time `json:"ended,omitzero"`
	Result      Result    `json:"result"`
	Disposition string    `json:"disposition,omitempty"` // FreeSWITCH's originate_disposition
	SIPStatus   int       `json:"sip_status,omitempty"`  // of the final response; 0 = none came
	Phrase      string    `json:"-"`                     // its reason phrase, in the far end's words
	Tried       string    `json:"-"`                     // by our proxy for this INVITE: "192.0.2.1:5061 certificate, 192.0.2.2:5061 200"
	Note        string    `json:"note,omitempty"`
}
