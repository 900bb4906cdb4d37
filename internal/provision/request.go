package provision

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/tel"
)

// Action is what a request asks for.
type Action string

// The actions. An empty one is Add.
const (
	Add          Action = "add"          // the subscriber, numbers and services shall be there
	Change       Action = "change"       // settings of a subscriber who is there
	ChangeNumber Action = "changeNumber" // another number, with the same mailbox
	Suspend      Action = "suspend"      // nothing is deposited until Resume
	Resume       Action = "resume"
	Remove       Action = "remove" // services, or numbers, or the whole subscriber
)

var actions = []Action{Add, Change, ChangeNumber, Suspend, Resume, Remove}

// Voicemail services of a Service; the others are account.Services.
const (
	Voicemail       = "voicemail"
	VisualVoicemail = "visual-voicemail" // voicemail of class visual
)

// The bounds of a Request.
const (
	MaxNumbers = 100
	maxID      = 64
)

// Request is one provisioning request as an integrator writes it.
type Request struct {
	ID          string                `json:"requestId" doc:"Your own key of the request, 1 to 64 characters of A-Z a-z 0-9 . _ : -. The same key again gives the same answer."`
	Action      Action                `json:"action,omitempty" enum:"add,change,changeNumber,suspend,resume,remove" doc:"add when left out."`
	UserProfile string                `json:"userProfile" doc:"Your own key of the subscriber, 1 to 64 characters of A-Z a-z 0-9 . _ -."`
	Name        string                `json:"name,omitempty" doc:"Shown to people, at most 128 bytes."`
	Language    string                `json:"language,omitempty" doc:"Of prompts and texts, such as en-GB."`
	TimeZone    string                `json:"timezone,omitempty" doc:"Such as Europe/Rome."`
	Numbers     []string              `json:"numbers,omitempty" doc:"In E.164, at most 100. None: all numbers that the subscriber has."`
	NewNumber   string                `json:"newNumber,omitempty" doc:"Of changeNumber: what the one of numbers becomes. Mailbox and messages stay."`
	Devices     []account.DeviceEntry `json:"devices,omitempty" doc:"The phones that ring for each of numbers; left out, they stay as they are."`
	Services    []Service             `json:"services,omitempty" doc:"What the subscriber shall have, or lose with remove."`
}

// Service is one messaging service of a Request. All but Type is for voicemail alone.
type Service struct {
	Type            string    `json:"type" enum:"voicemail,visual-voicemail,sms,mms,rcs,fax" doc:"visual-voicemail is voicemail of class visual."`
	Class           string    `json:"class,omitempty" enum:"basic,visual" doc:"basic when left out."`
	Pilot           string    `json:"pilot,omitempty" doc:"The pilot number. Left out: the one you have, else the operator's."`
	Mailbox         string    `json:"mailbox,omitempty" doc:"Name of the mailbox at the voicemail system; the number when left out."`
	NoAnswerSeconds int       `json:"noAnswerSeconds,omitempty" doc:"How long the phones ring, 5 to 180; 20 when left out."`
	Conditions      *[]string `json:"conditions,omitempty" doc:"Which unanswered calls are deposited: no-answer, busy, not-registered, unreachable, not-reachable (both of these), declined, rejected (the same). Left out: all. An empty list: none."`
}

// Problem is what is wrong with one field of a request.
type Problem struct {
	Pointer string `json:"pointer" doc:"The field, as a JSON pointer (RFC 6901)."`
	Detail  string `json:"detail"`
}

// Invalid names all that is wrong with a request.
type Invalid struct{ Problems []Problem }

func (e *Invalid) Error() string {
	var b strings.Builder
	for i, p := range e.Problems {
		if i > 0 {
			b.WriteString("; ")
		}
		b.WriteString(p.Pointer + ": " + p.Detail)
	}
	return b.String()
}

const maxProblems = 20

func (e *Invalid) add(pointer, format string, args ...any) {
	if len(e.Problems) < maxProblems {
		e.Problems = append(e.Problems, Problem{pointer, fmt.Sprintf(format, args...)})
	}
}

func (e *Invalid) err() error {
	if len(e.Problems) == 0 {
		return nil
	}
	return e
}

// normalize checks every field by itself and returns the request in its one form.
func (r Request) normalize() (Request, error) {
	bad := &Invalid{}
	if r.ID == "" || len(r.ID) > maxID || strings.Trim(r.ID, alphabet+":") != "" || strings.Trim(r.ID, ".") == "" {
		bad.add("/requestId", "write 1 to %d characters of A-Z a-z 0-9 . _ : -", maxID)
	}
	if r.UserProfile == "" || len(r.UserProfile) > maxID || strings.Trim(r.UserProfile, alphabet) != "" || strings.Trim(r.UserProfile, ".") == "" {
		bad.add("/userProfile", "write 1 to %d characters of A-Z a-z 0-9 . _ -", maxID)
	}
	if r.Action == "" {
		r.Action = Add
	}
	if !slices.Contains(actions, r.Action) {
		bad.add("/action", "%.40q is none of add, change, changeNumber, suspend, resume and remove", r.Action)
	}
	if len(r.Numbers) > MaxNumbers {
		bad.add("/numbers", "%d numbers, at most %d in one request", len(r.Numbers), MaxNumbers)
		r.Numbers = r.Numbers[:MaxNumbers]
	}
	var numbers []string
	for i, raw := range r.Numbers {
		at := fmt.Sprintf("/numbers/%d", i)
		n := number(raw, at, bad)
		if slices.Contains(numbers, n) {
			bad.add(at, "%s stands here twice", n)
		}
		numbers = append(numbers, n)
	}
	r.Numbers = numbers
	r.normalizeServices(bad)
	r.normalizeAction(bad)
	return r, bad.err()
}

const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-"

func number(raw, at string, bad *Invalid) string {
	n, err := tel.ParseNumber(raw, "")
	if err != nil || !n.Possible() {
		bad.add(at, "%.40q is no telephone number in E.164, such as +14155550100", raw)
		return raw
	}
	return string(n)
}

// normalizeAction checks what an action needs and what it must not have.
func (r *Request) normalizeAction(bad *Invalid) {
	if r.Action == ChangeNumber {
		if len(r.Numbers) != 1 {
			bad.add("/numbers", "name the one number that changes")
		}
		if r.NewNumber == "" {
			bad.add("/newNumber", "name the number that it becomes")
		} else {
			r.NewNumber = number(r.NewNumber, "/newNumber", bad)
		}
	} else if r.NewNumber != "" {
		bad.add("/newNumber", "only changeNumber has one")
	}
	if r.Action == Add && len(r.Services) == 0 {
		bad.add("/services", "is empty: name at least one of %s, %s, %s", Voicemail, VisualVoicemail, strings.Join(account.Services, ", "))
	}
	if r.Action == Suspend || r.Action == Resume || r.Action == ChangeNumber {
		if len(r.Services) > 0 {
			bad.add("/services", "%s is for the whole subscriber: leave them out", r.Action)
		}
	}
	if (r.Action == Suspend || r.Action == Resume) && len(r.Numbers) > 0 {
		bad.add("/numbers", "%s is for the whole subscriber: leave them out", r.Action)
	}
	if r.Action != Add && r.Action != Change {
		for at, given := range map[string]bool{"/name": r.Name != "", "/language": r.Language != "", "/timezone": r.TimeZone != "", "/devices": len(r.Devices) > 0} {
			if given {
				bad.add(at, "only add and change have one")
			}
		}
	}
}

func (r *Request) normalizeServices(bad *Invalid) {
	r.Services = slices.Clone(r.Services)
	first := map[string]int{}
	for i := range r.Services {
		s, at := &r.Services[i], fmt.Sprintf("/services/%d", i)
		if s.Type == VisualVoicemail {
			if s.Class != "" && s.Class != string(account.Visual) {
				bad.add(at+"/class", "%s is of class visual", VisualVoicemail)
			}
			s.Type, s.Class = Voicemail, string(account.Visual)
		}
		if s.Type != Voicemail {
			if !slices.Contains(account.Services, s.Type) {
				bad.add(at+"/type", "%.40q is none of %s, %s, %s", s.Type, Voicemail, VisualVoicemail, strings.Join(account.Services, ", "))
			}
			if s.Class != "" || s.Pilot != "" || s.Mailbox != "" || s.NoAnswerSeconds != 0 || s.Conditions != nil {
				bad.add(at, "only voicemail has a class, a pilot, a mailbox, conditions and noAnswerSeconds")
			}
		}
		if j, twice := first[s.Type]; twice {
			bad.add(at+"/type", "%.40q stands at /services/%d already", s.Type, j)
		}
		first[s.Type] = i
		if s.Type == Voicemail {
			s.normalizeVoicemail(at, bad)
		}
	}
}

func (s *Service) normalizeVoicemail(at string, bad *Invalid) {
	if s.Class != "" && s.Class != "basic" && s.Class != string(account.Visual) {
		bad.add(at+"/class", "%.40q is neither basic nor visual", s.Class)
	}
	if n, err := tel.ParseNumber(s.Pilot, ""); err == nil {
		s.Pilot = string(n)
	}
	low, high := int(account.MinNoAnswer.Seconds()), int(account.MaxNoAnswer.Seconds())
	if s.NoAnswerSeconds != 0 && (s.NoAnswerSeconds < low || s.NoAnswerSeconds > high) {
		bad.add(at+"/noAnswerSeconds", "%d is not between %d and %d", s.NoAnswerSeconds, low, high)
	}
	if s.Conditions == nil {
		return
	}
	for i, c := range *s.Conditions {
		if _, known := words[c]; !known {
			bad.add(fmt.Sprintf("%s/conditions/%d", at, i), "%.40q is none of no-answer, busy, not-registered, unreachable, not-reachable, declined and rejected", c)
		}
	}
}

// words are the conditions as integrators call them.
var words = map[string][]tel.Why{
	"no-answer": {tel.NoAnswer}, "busy": {tel.Busy}, "not-registered": {tel.NotRegistered}, "unreachable": {tel.Unreachable},
	"not-reachable": {tel.NotRegistered, tel.Unreachable}, "declined": {tel.Declined}, "rejected": {tel.Declined},
}

func (s *Service) conditions() *account.ConditionList {
	if s.Conditions == nil {
		return nil
	}
	var list account.ConditionList
	for _, c := range *s.Conditions {
		list = append(list, words[c]...)
	}
	one := list.Conditions().List()
	return &one
}

// voicemail is the voicemail service of a request and its place in it; nil when there is none.
func (r *Request) voicemail() (*Service, int) {
	for i := range r.Services {
		if r.Services[i].Type == Voicemail {
			return &r.Services[i], i
		}
	}
	return nil, 0
}

// encode is a request in its one form, and the hash by which it is known again.
func (r *Request) encode() ([]byte, [sha256.Size]byte, error) {
	body, err := json.Marshal(r)
	return body, sha256.Sum256(body), err
}
