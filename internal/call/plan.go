package call

import (
	"slices"
	"time"

	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/tel"
)

// Result is how a step ended. The results of a phone that did not take the call are the values of tel.Why.
type Result string

// The results of a step.
const (
	Answered      Result = "answered"    // somebody or something talked with the caller, and that is over now
	CallerGone    Result = "caller-gone" // the caller hung up; nothing further may happen
	Ended         Result = "ended"       // the step itself ended the call with its cause
	HandedBack    Result = "handed-back" // the operator's own dialplan has the call again
	VoicemailDown Result = "voicemail-down"
	FromVoicemail Result = "from-voicemail" // the call was placed by the voicemail system that it would go to
	NotRecorded   Result = "not-recorded"   // the message could not be taken here either
	NotPlayed     Result = "not-played"     // FreeSWITCH could not play the announcement
	NotJoined     Result = "not-joined"     // the caller is in no conference: he did not want to, or could not
	Broken        Result = "broken"         // our own fault; FreeSWITCH goes on with the operator's fallback

	NoAnswer      = Result(tel.NoAnswer)
	Busy          = Result(tel.Busy)
	NotRegistered = Result(tel.NotRegistered)
	Unreachable   = Result(tel.Unreachable)
	Declined      = Result(tel.Declined)
)

// Final reports whether nothing may follow the result.
func (r Result) Final() bool {
	switch r {
	case Answered, CallerGone, Ended, HandedBack, Broken:
		return true
	}
	return false
}

// StepKind names what a step does.
type StepKind string

// The kinds of steps.
const (
	StepConference StepKind = "conference" // offer the caller the subscriber's conference, and bring him into it
	StepHandBack   StepKind = "hand-back"  // give the call back to the operator's dialplan, untouched
	StepRefuse     StepKind = "refuse"     // end the call with a SIP status before anybody rings
	StepRing       StepKind = "ring"       // ring the subscriber's devices
	StepMailbox    StepKind = "mailbox"    // connect the caller to the voicemail system
	StepSpool      StepKind = "spool"      // take the message here, and deliver it to the voicemail system later
	StepNotice     StepKind = "notice"     // tell the caller, as early media, and end the call with a cause
)

// Step is one thing to try, with the reason for it and the results of earlier steps after which it runs.
// Exactly the one detail that belongs to Kind is set.
type Step struct {
	Kind   StepKind `json:"kind"`
	Reason Reason   `json:"reason"`
	// On lists the results of the step that ran before it which this step accepts. Empty = first step, runs always.
	On []Result `json:"on,omitempty"`

	Refuse     *Refusal    `json:"refuse,omitempty"`
	Ring       *Ring       `json:"ring,omitempty"`
	Mailbox    *Mailbox    `json:"mailbox,omitempty"`
	Notice     *Notice     `json:"notice,omitempty"`
	Spool      *Spool      `json:"spool,omitempty"`
	Conference *Conference `json:"conference,omitempty"`
}

// Accepts reports whether the step runs after a step that ended with r.
func (s Step) Accepts(r Result) bool { return slices.Contains(s.On, r) }

// Refusal ends a call with a SIP status.
type Refusal struct {
	Code   int    `json:"code"` // 400 to 699
	Phrase string `json:"phrase"`
}

// Ring rings devices, all at once.
type Ring struct {
	Devices []account.Device `json:"devices"`
	Timeout time.Duration    `json:"timeout"` // from the first INVITE until the call counts as not answered
}

// Condition says what a caller wants of a voicemail system.
type Condition string

// The conditions.
const (
	Deposit   Condition = "deposit"   // to leave a message
	Retrieval Condition = "retrieval" // to hear those that are there
)

// Mailbox offers the call to voicemail systems one after the other.
type Mailbox struct {
	Condition Condition `json:"condition"`
	Pilot     string    `json:"pilot"`
	// Number is the subscriber whose mailbox it is, and Mailbox its name at the system. Both are "" for a caller from another line who
	// retrieves: the system asks him for mailbox and PIN.
	Number  tel.Number `json:"number,omitempty"`
	Mailbox string     `json:"mailbox,omitempty"`
	// Why is the reason for which no phone was rung; "" = the step before says how the phones ended.
	Why             tel.Why                   `json:"why,omitempty"`
	Systems         []account.VoicemailSystem `json:"systems"`
	ProgressTimeout time.Duration             `json:"progress_timeout"` // without any ringing in this time a target counts as dead
	AnswerTimeout   time.Duration             `json:"answer_timeout"`   // a target that rings this long without answering counts as failed
	TotalTimeout    time.Duration             `json:"total_timeout"`    // for all targets together, DNS included
}

// Spool takes a message of a caller whom no voicemail system took.
type Spool struct {
	Number  tel.Number    `json:"number"`           // in whose mailbox it belongs
	Prompt  string        `json:"prompt,omitempty"` // what FreeSWITCH plays before the tone; "" = the tone alone
	Longest time.Duration `json:"longest"`          // of a message
}

// Notice tells the caller something without answering, then ends the call.
type Notice struct {
	Prompt string `json:"prompt,omitempty"` // what FreeSWITCH plays; "" = no announcement, the cause alone
	Cause  string `json:"cause,omitempty"`  // FreeSWITCH's name of the cause; "" = that of the subscriber's phone
}

// ConferenceMode says how a caller comes into a conference.
type ConferenceMode string

// The modes.
const (
	ByKey  ConferenceMode = "key"  // he is offered it and presses a key
	AtOnce ConferenceMode = "auto" // he is greeted and brought in
	ByPIN  ConferenceMode = "pin"  // he has to know the PIN
	AsHost ConferenceMode = "host" // it is his own
)

// Conference offers a caller the conference of the subscriber.
type Conference struct {
	Mode    ConferenceMode     `json:"mode"`
	Number  tel.Number         `json:"number"`            // the host's
	Create  account.RoomPolicy `json:"create"`            // what is done when no room of the host is open
	Contact string             `json:"contact,omitempty"` // the caller's ID in the host's address book; "" = a guest
	// Shared says that the caller's number is one that many people call from, by the host's address book: who comes from it is nobody in
	// particular, and never one who was there before.
	Shared bool `json:"shared,omitempty"`
	// Why is the reason for which no phone was rung; "" = the step before says how the phones ended.
	Why tel.Why `json:"why,omitempty"`
	// NoMessages says that there is no voicemail behind it, so that none is offered.
	NoMessages bool `json:"no_messages,omitempty"`
	// Scheduled says that he has an appointment: the room is made for him whatever Create says.
	Scheduled bool `json:"scheduled,omitempty"`

	Host     account.Account    `json:"-"`
	Settings account.Conference `json:"-"`
	Caller   account.Contact    `json:"-"` // of ID Contact
}

// Access is how it was decided whether a caller is offered a conference.
type Access struct {
	Verdict AccessVerdict `json:"verdict"`
	Reason  Reason        `json:"reason"`
	Contact string        `json:"contact,omitempty"`
}

// AccessVerdict is the end of an Access.
type AccessVerdict string

// The verdicts.
const (
	Allowed AccessVerdict = "allowed"
	WithPIN AccessVerdict = "pin" // whoever knows it
	Refused AccessVerdict = "refused"
)

// Plan is what will happen to one call: ordered steps, decided in one place before anything rings.
type Plan struct {
	Number    tel.Number `json:"number,omitempty"`    // the subscriber's number the plan is for
	Account   string     `json:"account,omitempty"`   // account the number belongs to
	Tenant    string     `json:"tenant,omitempty"`    // and its tenant
	Version   int64      `json:"version,omitempty"`   // version of the profile the plan was made from
	Forwarded *Forward   `json:"forwarded,omitempty"` // by whom the call was sent on to us, which is whom it is for
	Access    *Access    `json:"access,omitempty"`    // to the subscriber's conference; nil = he has none
	Steps     []Step     `json:"steps"`
}

// First returns the step a plan begins with.
func (p Plan) First() (Step, bool) {
	if len(p.Steps) == 0 {
		return Step{}, false
	}
	return p.Steps[0], true
}

// Next returns the index of the step to run after step i ended with r, or -1 when the call is over.
func (p Plan) Next(i int, r Result) int {
	if r.Final() {
		return -1
	}
	for j := i + 1; j < len(p.Steps); j++ {
		if p.Steps[j].Accepts(r) {
			return j
		}
	}
	return -1
}
