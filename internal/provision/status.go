package provision

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/store"
)

// The statuses of a request, a service or a step. A request that failed has "failed: " and the service.
const (
	Queued  = "queued"
	Running = "running"
	Done    = "done"
	Failed  = "failed"
	NotDone = "not done" // of a service or step, because another one failed
	Undone  = "undone"   // it was done, and taken back
)

// Status is how far a request is, as integrators see it.
type Status struct {
	RequestID   string          `json:"requestId"`
	Action      Action          `json:"action" enum:"add,change,changeNumber,suspend,resume,remove"`
	UserProfile string          `json:"userProfile"`
	Numbers     []string        `json:"numbers,omitempty"`
	NewNumber   string          `json:"newNumber,omitempty"`
	Status      string          `json:"status" doc:"queued, running, done, or failed: and the service that failed."`
	Reason      string          `json:"reason,omitempty" doc:"Why it failed."`
	Problems    []Problem       `json:"problems,omitempty" doc:"The fields at fault, when the request had become wrong until it was its turn."`
	Services    []ServiceResult `json:"services,omitempty"`
	Steps       []StepResult    `json:"steps,omitempty"`
	Profile     *Profile        `json:"profile,omitempty" doc:"The voicemail routing profile that it made."`
	Received    time.Time       `json:"received"`
	Finished    time.Time       `json:"finished,omitzero"`
}

// ServiceResult is how one service of a request ended.
type ServiceResult struct {
	Type   string `json:"type"`
	Status string `json:"status" enum:"queued,done,failed,not done"`
	Reason string `json:"reason,omitempty"`
}

// StepResult is how one step of a request ended.
type StepResult struct {
	Step   string  `json:"step" enum:"mailbox,profile,publish,retain"`
	Target string  `json:"target,omitempty" doc:"What it was about: the voicemail system and the mailbox there, or the numbers."`
	Status string  `json:"status" enum:"done,failed,undone,not done"`
	Reason string  `json:"reason,omitempty"`
	Took   float64 `json:"took" doc:"Seconds."`
}

// Profile is the voicemail routing profile of a subscriber, in short.
type Profile struct {
	UserProfile string            `json:"userProfile"`
	Numbers     []string          `json:"numbers"`
	State       string            `json:"state" enum:"active,suspended"`
	Services    []string          `json:"services"`
	Pilot       string            `json:"pilot,omitempty"`
	Class       string            `json:"class,omitempty" enum:"basic,visual"`
	Deposit     bool              `json:"deposit" doc:"Whether unanswered calls are deposited at all."`
	Conditions  ProfileConditions `json:"conditions"`
	Version     int64             `json:"version" doc:"How often requests have changed it."`
}

// ProfileConditions says which unanswered calls are deposited.
type ProfileConditions struct {
	Busy          bool `json:"busy"`
	NoAnswer      int  `json:"noAnswer" doc:"Seconds the phones ring; 0 = calls that nobody answers are not deposited."`
	NotRegistered bool `json:"notRegistered"`
	NotReachable  bool `json:"notReachable"`
	Rejected      bool `json:"rejected"`
}

// NewProfile makes the profile of an account in short: its first number that has voicemail speaks for all.
func NewProfile(a *account.AccountEntry, numbers []*account.NumberEntry, version int64) *Profile {
	p := &Profile{UserProfile: a.ID, Numbers: []string{}, State: "active", Services: slices.Clone(a.Services), Version: version}
	if p.Services == nil {
		p.Services = []string{}
	}
	if a.State == account.Suspended {
		p.State = string(a.State)
	}
	for _, n := range numbers {
		p.Numbers = append(p.Numbers, n.Number)
		v := n.Voicemail
		if v == nil || p.Pilot != "" {
			continue
		}
		p.Services = append([]string{Voicemail}, p.Services...)
		p.Pilot, p.Class = v.Pilot, "basic"
		if v.Class == account.Visual {
			p.Class = "visual"
		}
		c := v.Conditions.Conditions()
		p.Conditions = ProfileConditions{Busy: c.Busy, NotRegistered: c.NotRegistered, NotReachable: c.Unreachable, Rejected: c.Declined}
		if c.NoAnswer {
			p.Conditions.NoAnswer = int(time.Duration(n.NoAnswer).Seconds())
		}
		p.Deposit = a.State == account.Active && c != account.Conditions{}
	}
	return p
}

// progress is what is kept with a request of how far it is.
type progress struct {
	Status   string          `json:"status"`
	Failed   string          `json:"failed,omitempty"` // the service at fault
	Reason   string          `json:"reason,omitempty"`
	Problems []Problem       `json:"problems,omitempty"`
	Services []ServiceResult `json:"services,omitempty"`
	Steps    []StepResult    `json:"steps,omitempty"`
	Profile  *Profile        `json:"profile,omitempty"`
	Finished time.Time       `json:"finished,omitzero"`

	Tries   int             `json:"tries,omitempty"`   // how often it was begun
	Made    []store.Mailbox `json:"made,omitempty"`    // mailboxes that did not exist before
	Before  []store.Mailbox `json:"before,omitempty"`  // mailboxes that are changed, as they were
	Told    int             `json:"told,omitempty"`    // tries of the webhook
	Changed bool            `json:"changed,omitempty"` // rows were, or are about to be, written
}

// again forgets how the request ended before.
func (p *progress) again() {
	p.Status, p.Failed, p.Reason, p.Problems, p.Finished = Queued, "", "", nil, time.Time{}
	for i := range p.Services {
		p.Services[i].Status, p.Services[i].Reason = Queued, ""
	}
}

func read(row store.Request) (Request, *progress, error) {
	var r Request
	p := &progress{}
	if err := json.Unmarshal(row.Body, &r); err != nil {
		return r, p, fmt.Errorf("request %s is not readable: %w", row.ID, err)
	}
	if err := json.Unmarshal(row.Progress, p); err != nil {
		return r, p, fmt.Errorf("progress of request %s is not readable: %w", row.ID, err)
	}
	return r, p, nil
}

// statusOf is what integrators see of a request.
func statusOf(row store.Request) (Status, error) {
	r, p, err := read(row)
	if err != nil {
		return Status{}, err
	}
	s := Status{
		RequestID: r.ID, Action: r.Action, UserProfile: r.UserProfile, Numbers: r.Numbers, NewNumber: r.NewNumber, Status: p.Status, Reason: p.Reason, Problems: p.Problems,
		Services: p.Services, Steps: p.Steps, Profile: p.Profile, Received: row.Created.UTC(), Finished: p.Finished,
	}
	if row.Open && !p.Finished.IsZero() { // it failed, and is about to be tried again
		p.again()
		s.Status, s.Reason, s.Problems, s.Services, s.Finished = p.Status, "", nil, p.Services, time.Time{}
	}
	if p.Status == Failed {
		s.Status = Failed + ": " + p.Failed
	}
	return s, nil
}
