package export

import (
	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/call"
	"github.com/signalbox/signalbox/internal/tel"
)

// Plan is what will happen to one call, as others get it: a call.Plan, whose own form in the store is nobody else's business.
type Plan struct {
	Number    tel.Number    `json:"number,omitempty"`
	Account   string        `json:"account,omitempty"`
	Tenant    string        `json:"tenant,omitempty"`
	Version   int64         `json:"version,omitempty"`
	Forwarded *call.Forward `json:"forwarded,omitempty"`
	Access    *call.Access  `json:"access,omitempty"`
	Steps     []PlanStep    `json:"steps"`
}

// PlanStep is one step of a Plan.
type PlanStep struct {
	Kind       call.StepKind    `json:"kind"`
	Reason     call.Reason      `json:"reason"`
	On         []call.Result    `json:"on,omitempty"`
	Refuse     *call.Refusal    `json:"refuse,omitempty"`
	Ring       *Ring            `json:"ring,omitempty"`
	Mailbox    *Mailbox         `json:"mailbox,omitempty"`
	Notice     *call.Notice     `json:"notice,omitempty"`
	Spool      *Spool           `json:"spool,omitempty"`
	Conference *call.Conference `json:"conference,omitempty"`
}

// Ring is which phones ring. Devices and systems are written as in a provisioned row.
type Ring struct {
	Devices []account.DeviceEntry `json:"devices"`
	Timeout Seconds               `json:"timeout_seconds"`
}

// Mailbox is which voicemail systems are called.
type Mailbox struct {
	Condition       call.Condition        `json:"condition"`
	Pilot           string                `json:"pilot"`
	Number          tel.Number            `json:"number,omitempty"`
	Mailbox         string                `json:"mailbox,omitempty"`
	Why             tel.Why               `json:"why,omitempty"`
	Systems         []account.SystemEntry `json:"systems"`
	ProgressTimeout Seconds               `json:"progress_timeout_seconds"`
	AnswerTimeout   Seconds               `json:"answer_timeout_seconds"`
	TotalTimeout    Seconds               `json:"total_timeout_seconds"`
}

// Spool is how a message is taken here.
type Spool struct {
	Number  tel.Number `json:"number"`
	Prompt  string     `json:"prompt,omitempty"`
	Longest Seconds    `json:"longest_seconds"`
}

// PlanOf makes the plan that others get.
func PlanOf(p call.Plan) Plan {
	out := Plan{
		Number: p.Number, Account: p.Account, Tenant: p.Tenant, Version: p.Version, Forwarded: p.Forwarded, Access: p.Access,
		Steps: make([]PlanStep, 0, len(p.Steps)),
	}
	for _, s := range p.Steps {
		one := PlanStep{Kind: s.Kind, Reason: s.Reason, On: s.On, Refuse: s.Refuse, Notice: s.Notice, Conference: s.Conference}
		if r := s.Ring; r != nil {
			one.Ring = &Ring{Devices: devices(r.Devices), Timeout: Seconds(r.Timeout)}
		}
		if m := s.Mailbox; m != nil {
			one.Mailbox = &Mailbox{
				Condition: m.Condition, Pilot: m.Pilot, Number: m.Number, Mailbox: m.Mailbox, Why: m.Why, Systems: systems(m.Systems),
				ProgressTimeout: Seconds(m.ProgressTimeout), AnswerTimeout: Seconds(m.AnswerTimeout), TotalTimeout: Seconds(m.TotalTimeout),
			}
		}
		if m := s.Spool; m != nil {
			one.Spool = &Spool{Number: m.Number, Prompt: m.Prompt, Longest: Seconds(m.Longest)}
		}
		out.Steps = append(out.Steps, one)
	}
	return out
}

func devices(list []account.Device) []account.DeviceEntry {
	out := make([]account.DeviceEntry, 0, len(list))
	for _, d := range list {
		out = append(out, account.DeviceEntry{Kind: d.Kind, Profile: d.Profile, User: d.User, Host: d.Host, Port: d.Port, Transport: d.Transport})
	}
	return out
}

func systems(list []account.VoicemailSystem) []account.SystemEntry {
	out := make([]account.SystemEntry, 0, len(list))
	for _, s := range list {
		out = append(out, account.SystemEntry(s))
	}
	return out
}

// Arrival is how a call came, with the words of a Record.
type Arrival struct {
	Caller     Caller      `json:"caller"`
	Called     Called      `json:"called"`
	Diversions []Diversion `json:"diversions,omitempty"`
	Trunk      string      `json:"trunk,omitempty"`
	Source     string      `json:"source,omitempty"`
	Verdict    Verdict     `json:"verdict"`
	At         Time        `json:"at,omitzero"`
	Facts
}

// Facts are what is known of an arrival and stands in no exported Record.
type Facts struct {
	Context     string        `json:"context,omitempty"`      // of the dialplan
	Access      tel.Number    `json:"access,omitempty"`       // number of many hosts that was dialled
	CalledParty tel.Number    `json:"called_party,omitempty"` // of P-Called-Party-ID
	Line        string        `json:"line,omitempty"`         // that FreeSWITCH authenticated, USER@DOMAIN
	OwnNumber   bool          `json:"own_number,omitempty"`   // the caller's number is one of Line
	PilotsOnly  bool          `json:"pilots_only,omitempty"`
	Returned    bool          `json:"returned,omitempty"`
	FromHosts   []string      `json:"from_hosts,omitempty"`
	History     []History     `json:"history,omitempty"`
	Evidence    call.Evidence `json:"evidence,omitempty"`
}

// History is one address that the call was sent to, oldest first.
type History struct {
	URI      string `json:"uri"`
	Index    string `json:"index,omitempty"`
	Cause    int    `json:"cause,omitempty"`
	Text     string `json:"text,omitempty"`
	Privacy  string `json:"privacy,omitempty"`
	Relation string `json:"relation,omitempty"`
	Of       string `json:"of,omitempty"`
}

// ArrivalOf makes the arrival that others get.
func ArrivalOf(a call.Arrival) Arrival {
	out := Arrival{
		Caller:  Caller{Number: string(a.From.Number), User: a.From.User, Name: a.From.Name, Withheld: a.From.Withheld, Asserted: a.From.Asserted},
		Called:  Called{Number: string(a.To), Dialled: a.Dialled, Target: a.Target, Cause: a.Cause},
		Trunk:   a.Trunk,
		Verdict: verdict(a.Verdict), At: Time{a.At}, Facts: facts(a),
	}
	if a.Source.IsValid() {
		out.Source = a.Source.String()
	}
	for _, d := range a.Diversions {
		out.Diversions = append(out.Diversions, Diversion{Number: string(d.Number), User: d.User, Reason: d.Reason, Counter: d.Counter, Withheld: d.HidesNumber()})
	}
	return out
}

func facts(a call.Arrival) Facts {
	f := Facts{
		Context: a.Context, Access: a.Access, CalledParty: a.Called, OwnNumber: a.OwnNumber, PilotsOnly: a.PilotsOnly, Returned: a.Returned,
		FromHosts: a.FromHosts, Evidence: a.Evidence,
	}
	if a.Line.User != "" {
		f.Line = a.Line.User + "@" + a.Line.Host
	}
	for _, h := range a.History {
		f.History = append(f.History, History{URI: h.URI, Index: h.Index, Cause: h.Cause, Text: h.Text, Privacy: h.Privacy, Relation: h.Relation, Of: h.Of})
	}
	return f
}

// Stored is all that the store has of a call, for its operator: a Record, which of a call that goes on has no end yet, and what led to it.
type Stored struct {
	Record
	Facts
	Open    bool `json:"open"`           // the call has not ended
	Ended   Time `json:"ended,omitzero"` // in place of the Record's
	Updated Time `json:"updated"`        // when the record was written last
	Plan    Plan `json:"plan"`
}

// StoredOf makes it of a record.
func StoredOf(r call.Record) Stored {
	return Stored{Record: Of(r), Facts: facts(r.Arrival), Open: r.Open(), Ended: Time{r.Ended}, Updated: Time{r.Updated}, Plan: PlanOf(r.Plan)}
}

// StoredList makes it of several; of none it is an empty list.
func StoredList(records []call.Record) []Stored {
	out := make([]Stored, 0, len(records))
	for _, r := range records {
		out = append(out, StoredOf(r))
	}
	return out
}
