package lab

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/signalbox/signalbox/internal/call"
)

// PhoneKind says how the subscriber of a line is reached.
type PhoneKind int

// The kinds of phones.
const (
	PhoneURI         PhoneKind = iota // a fixed SIP address
	PhoneRegistered                   // registered at FreeSWITCH's internal profile
	PhoneAbsent                       // a user of FreeSWITCH's directory who is not registered
	PhoneNobody                       // no account owns the number
	PhoneBehindProxy                  // registers through the proxy, by TCP, from an address that only the proxy knows
)

// TargetState is what stands at one target of a voicemail system.
type TargetState int

// The states of a voicemail target.
const (
	TargetAnswers TargetState = iota // takes the call at once
	TargetDead                       // nothing listens on the port
	TargetRefuses                    // answers 503
	TargetSilent                     // takes the INVITE and says nothing
)

// Line is what a story needs to be provisioned before anything starts.
type Line struct {
	Phone   PhoneKind
	Targets [2]TargetState
	At      [2]netip.AddrPort // where a user agent that is not the lab's stands for a target; it says itself what it does
	// TLS reaches the voicemail system by TLS through the proxy: its first target shows a certificate for another domain.
	TLS bool
	// IPv6 has the voicemail system and the caller's voice at ::1; FreeSWITCH calls the system from its profile external-ipv6.
	IPv6 bool
	// PhoneTone makes the phone's voice a tone, as that of a Party, and gives it keys; 0 = neither.
	PhoneTone float64
	Notifies  bool // the voicemail system tells of messages, from an address of its own
	Host      bool // the subscriber has a conference, and the caller is Anna in the address book; caller and phone have keys, and tones for voices
	Operator  bool // the operator's own extension for the number appears in the ladder
}

// Story is one call, or a few, with what a user would notice about it.
type Story struct {
	Name  string // stable, kebab-case
	Title string // one sentence: what happens and what must come of it
	Alone bool   // kills, stops or restarts processes, so that no other story may run meanwhile
	Line  Line
	Play  func(ctx context.Context, s *Stage)
}

// Columns are the columns of the story's ladder.
func (s Story) Columns() []string {
	columns := baseColumns()
	if s.Line.Operator {
		columns = append(columns, ColOperator)
	}
	return columns
}

func baseColumns() []string {
	return []string{ColCaller, ColProxy, ColSwitch, ColPhone, ColVoicemail}
}

// Result is how a story went.
type Result struct {
	Story   string
	Title   string
	Err     error // nil = every claim was proved
	Took    time.Duration
	Plan    *call.Plan    // of the story's last call; nil when the sidecar had none
	Records []call.Record // of the story's calls, oldest first
	Events  []Event
	Logs    string // the end of every process's output, when the story failed
}

// Stories are all stories, in the order in which they are told. Those that run alone come last.
func Stories() []Story {
	return slices.Concat(quietStories(), hostStories(), faultStories())
}

// Select picks stories by name, in the order of Stories; no names = all.
func Select(names []string) ([]Story, error) {
	all := Stories()
	if len(names) == 0 {
		return all, nil
	}
	wanted := make(map[string]bool)
	for _, n := range names {
		wanted[n] = true
	}
	var out []Story
	for _, s := range all {
		if wanted[s.Name] {
			out = append(out, s)
			delete(wanted, s.Name)
		}
	}
	for n := range wanted {
		return nil, fmt.Errorf("there is no story %q: signalbox lab --list names them all", n)
	}
	return out, nil
}
