package lab

import (
	"encoding/json"
	"sync"
	"time"
)

// Kind says what an Event is.
type Kind string

// The kinds of events.
const (
	Signal Kind = "sip"   // a SIP message, sent or received by an agent of the lab
	Switch Kind = "event" // something FreeSWITCH reported on its Event Socket
	Tell   Kind = "note"  // a sentence of the story
	Proof  Kind = "media" // voice packets that arrived
	Deed   Kind = "deed"  // something the lab did: a process killed, stopped, started
)

// The columns of a ladder.
const (
	ColCaller    = "caller"
	ColProxy     = "proxy"
	ColSwitch    = "switch"
	ColPhone     = "phone"
	ColVoicemail = "voicemail"
	ColOperator  = "operator"
	ColSidecar   = "sidecar"
)

// Event is one thing that happened in a story.
type Event struct {
	At      time.Duration // since the story began
	Kind    Kind
	From    string // column, or name of a party such as "voicemail-2"
	To      string // equal to From when it concerns one party only
	Summary string // one line
	Raw     string // the message as it was on the wire; "" when there was none
}

// MarshalJSON writes the time as seconds with milliseconds.
func (e Event) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		T       float64 `json:"t"`
		Kind    Kind    `json:"kind"`
		From    string  `json:"from"`
		To      string  `json:"to"`
		Summary string  `json:"summary"`
		Raw     string  `json:"raw,omitempty"`
	}{float64(e.At.Milliseconds()) / 1000, e.Kind, e.From, e.To, e.Summary, e.Raw})
}

// maxEvents bounds a trace; a story that makes more is broken, and what comes later is counted and dropped.
const maxEvents = 5000

// Trace collects the events of one story in the order they happened. It is safe for concurrent use.
type Trace struct {
	mu      sync.Mutex
	start   time.Time
	events  []Event
	dropped int
	listen  func(Event) // called under the lock, so that a listener sees the events in order
}

// NewTrace begins at now. listen, when set, is called with every event in order and must not call the trace.
func NewTrace(listen func(Event)) *Trace { return &Trace{start: time.Now(), listen: listen} }

// Restart begins a new story: time is counted from now, and everything before is forgotten.
func (t *Trace) Restart(listen func(Event)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.start, t.events, t.dropped, t.listen = time.Now(), nil, 0, listen
}

// Add appends an event and gives it its time.
func (t *Trace) Add(e Event) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.events) >= maxEvents {
		t.dropped++
		return
	}
	e.At = time.Since(t.start)
	t.events = append(t.events, e)
	if t.listen != nil {
		t.listen(e)
	}
}

// Events returns a copy of all events so far.
func (t *Trace) Events() []Event {
	t.mu.Lock()
	defer t.mu.Unlock()
	return append([]Event(nil), t.events...)
}

// Since says how long the story has run.
func (t *Trace) Since() time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	return time.Since(t.start)
}
