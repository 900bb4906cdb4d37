package api

import (
	"encoding"
	"encoding/json"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/export"
	"github.com/signalbox/signalbox/internal/store"
	"github.com/signalbox/signalbox/internal/tel"
)

// schemas makes JSON Schemas (2020-12, which OpenAPI 3.1 has) of Go types.
type schemas struct {
	names map[reflect.Type]string
	made  map[string]object
}

func newSchemas() *schemas {
	return &schemas{names: map[reflect.Type]string{}, made: map[string]object{}}
}

var (
	marshalText = reflect.TypeFor[encoding.TextMarshaler]()
	marshalJSON = reflect.TypeFor[json.Marshaler]()
)

// special are types whose JSON is not told by their fields.
var special = map[reflect.Type]object{
	reflect.TypeFor[time.Time]():        {"type": "string", "format": "date-time"},
	reflect.TypeFor[export.Time]():      {"type": []string{"string", "null"}, "format": "date-time"},
	reflect.TypeFor[export.Seconds]():   {"type": "number", "description": "Seconds."},
	reflect.TypeFor[time.Duration]():    {"type": "integer", "description": "Nanoseconds."},
	reflect.TypeFor[account.Duration](): {"type": "string", "examples": []string{"20s"}},
	reflect.TypeFor[netip.Prefix]():     {"type": "string", "examples": []string{"192.0.2.0/28"}},
	reflect.TypeFor[tel.Number]():       {"type": "string", "description": "A number in E.164.", "examples": []string{"+14155550100"}},
}

// enums are the values of types that have few.
var enums = map[reflect.Type][]string{
	reflect.TypeFor[account.State]():       {"", "active", string(account.Suspended)},
	reflect.TypeFor[account.DeviceKind]():  {string(account.DeviceRegistered), string(account.DeviceURI)},
	reflect.TypeFor[account.Class]():       {"", "basic", string(account.Visual)},
	reflect.TypeFor[account.Evidence]():    {string(account.EvidenceTarget), string(account.EvidenceDiversion), string(account.EvidenceHistory), string(account.EvidenceMailbox)},
	reflect.TypeFor[account.MayJoin]():     {"", string(account.MayJoinYes), string(account.MayJoinNo)},
	reflect.TypeFor[account.Callers]():     {string(account.CallersAll), string(account.CallersWithheld), string(account.CallersContacts), string(account.CallersOthers), string(account.CallersNumber)},
	reflect.TypeFor[account.Offer]():       {"", string(account.OfferContacts), string(account.OfferListed), string(account.OfferEveryone)},
	reflect.TypeFor[account.HostChoice]():  {"", string(account.HostNewest), string(account.HostOriginal)},
	reflect.TypeFor[account.RoomPolicy]():  {"", string(account.RoomPresent), string(account.RoomFetch), string(account.RoomOpen)},
	reflect.TypeFor[account.HostLeaves]():  {"", string(account.LeavesContinue), string(account.LeavesEnd)},
	reflect.TypeFor[store.OutgoingState](): {string(store.OutgoingWaiting), string(store.OutgoingSent), string(store.OutgoingFailed)},
	reflect.TypeFor[account.RuleAction]():  {string(account.RuleRing), string(account.RuleVoicemail), string(account.RuleRefuse)},
	reflect.TypeFor[tel.Why]():             {string(tel.NoAnswer), string(tel.Busy), string(tel.NotRegistered), string(tel.Unreachable), string(tel.Declined)},
}

// secretFields are the fields that are taken and never given back: of a device, and of a conference.
var secretFields = []string{"a1_hash", "pin"}

// described are the fields of rows; their types have no tags for it, because what they mean to a file is told in docs/provisioning.md.
var described = map[string]string{
	"AccountEntry.id": "Your own key, 1 to 64 characters of A-Z a-z 0-9 . _ -. The path says it.", "AccountEntry.name": "Shown to people, at most 128 bytes.",
	"AccountEntry.state": "suspended: phones ring, nothing is deposited.", "AccountEntry.language": "Such as en-GB.", "AccountEntry.timezone": "Such as Europe/Rome.",
	"AccountEntry.services": "Messaging services beside voicemail: sms, mms, rcs, fax.",
	"NumberEntry.number":    "In E.164. The path says it.", "NumberEntry.account": "Whose it is.", "NumberEntry.devices": "The phones that ring, at most 10.",
	"NumberEntry.no_answer": "How long they ring, 5s to 180s; 20s when left out.", "NumberEntry.voicemail": "Left out: unanswered calls end with 480.",
	"DeviceEntry.kind": "registered (when left out): a user of FreeSWITCH's directory; uri: a fixed address.", "DeviceEntry.profile": "FreeSWITCH's Sofia profile; internal when left out.",
	"DeviceEntry.user": "User part of the registration or the SIP URI.", "DeviceEntry.host": "Domain of the registration, or host of the SIP URI.",
	"DeviceEntry.port": "Of kind uri.", "DeviceEntry.transport": "Of kind uri: udp or tcp.",
	"DeviceEntry.a1_hash":  "MD5 of USER:REALM:PASSWORD in hex, when FreeSWITCH's directory is served from here. It is taken, and never given back; left out, it stays as it was; none takes it away.",
	"VoicemailEntry.pilot": "The pilot number; its row names the voicemail systems.", "VoicemailEntry.class": "visual: also by OMTP.",
	"VoicemailEntry.mailbox": "The mailbox's name at the voicemail system; the number when left out.", "VoicemailEntry.conditions": "Which unanswered calls are deposited; all when left out, none with an empty list.",
	"VoicemailEntry.first_diverter": "Messages of diverted callers go to the number that they dialled first.",
	"NumberEntry.conference":        "How callers come into the owner's conference. Left out: it is offered to nobody.",
	"ConferenceEntry.offer":         "To whom: contacts (when left out), listed (contacts with may_join: yes alone), everyone (others with the PIN).",
	"ConferenceEntry.when":          "For which calls: no-answer, busy, not-registered, unreachable, declined, forwarded; all when left out or empty.",
	"ConferenceEntry.host":          "Whose conference a call is for that several of your numbers diverted: newest (when left out) or original.",
	"ConferenceEntry.create":        "When the host is in no room: present (when left out): nothing is offered; fetch: he is called; open: callers wait for him.",
	"ConferenceEntry.auto_admit":    "Callers come in without pressing a key.",
	"ConferenceEntry.pin":           "4 to 12 digits for callers who are no contacts. It is taken, and never given back; left out, it stays as it was; none takes it away.",
	"ConferenceEntry.join_key":      "0 to 9, * or #; 1 when left out.", "ConferenceEntry.message_key": "2 when left out.", "ConferenceEntry.repeat_key": "9 when left out.",
	"ConferenceEntry.menu_timeout": "Without a key after the offer, 2s to 30s; 6s when left out.", "ConferenceEntry.tries": "Offers before voicemail, 1 to 5; 3 when left out.",
	"ConferenceEntry.accept_timeout": "How long the host is called, 5s to 60s; 25s when left out.", "ConferenceEntry.max_members": "2 to 200; 30 when left out.",
	"ConferenceEntry.greeting": "number (when left out), name, where conference.voice speaks the account's, or file: and the name of a recording.",
	"ConferenceEntry.announce": "Who joins and leaves is told to all; true when left out.", "ConferenceEntry.host_leaves": "continue (when left out) or end.",
	"ConferenceEntry.grace": "Between the host's leaving and the end, at most 5m.", "ConferenceEntry.record": "The room is recorded, and everybody told so.",
	"ConferenceEntry.forward_dial": "The number by which the host is called; his devices when left out.",
	"PilotEntry.number":            "E.164, or a short code such as *86. The path says it.", "PilotEntry.systems": "At most 8.",
	"PilotSystemEntry.fqdn": "A voicemail system.", "PilotSystemEntry.priority": "Lower ones are tried first.", "PilotSystemEntry.weight": "Equal priorities share calls by it.",
	"PilotSystemEntry.from": "It counts from then.", "PilotSystemEntry.until": "It counts before then.",
	"SystemEntry.fqdn": "Its name. The path says it.", "SystemEntry.transport": "udp (when left out), tcp or tls.", "SystemEntry.profile": "FreeSWITCH's Sofia profile that calls it; external when left out.",
	"SystemEntry.codecs": "Offered to it, in this order; those of the profile when left out.", "SystemEntry.evidence": "How it is told whose mailbox is called and why; target, diversion and history-info when left out.",
	"SystemEntry.visual": "It serves class visual.", "SystemEntry.drain": "No deposits any more; messages are still retrieved.", "SystemEntry.notifies": "Where its message-summary NOTIFYs come from; from nowhere when left out.",
	"ContactEntry.account": "The path says it.", "ContactEntry.id": "The path says it.", "ContactEntry.numbers": "In E.164, at most 20.", "ContactEntry.may_join": "Whether the person may join the account's conference.",
	"ContactEntry.source": "manual (when left out), import or sync.", "ContactEntry.clip": "File of the spoken name, without a folder.",
	"ContactEntry.shared":   "Many people call from its numbers, as from a firm's main number: the name is the firm's. Left out: false, and an import may say otherwise.",
	"ScheduleEntry.account": "The path says it.", "ScheduleEntry.id": "The path says it.", "ScheduleEntry.number": "One of the account's, which is called to join.", "ScheduleEntry.title": "At most 128 bytes.",
	"ScheduleEntry.from": "When it begins; callers are let in 10 minutes before.", "ScheduleEntry.until": "When it ends, at most 7 days later.", "ScheduleEntry.open": "Whoever calls may join.",
	"ScheduleEntry.allowed": "Who may join when it is not open: E.164, at most 500.",
	"RuleEntry.account":     "The path says it.", "RuleEntry.id": "The path says it.", "RuleEntry.for": "One number of the account; all when left out.", "RuleEntry.order": "Lower ones are asked first.",
	"RuleEntry.callers": "For whom it stands.", "RuleEntry.number": "Of callers: number: E.164, or the beginning of one with a final *.", "RuleEntry.do": "What happens to the call.",
}

// of is the schema of a value's type; row adds version and updated.
func (s *schemas) of(v any, row bool) object {
	t := reflect.TypeOf(v)
	schema := s.schema(t)
	if row {
		made := s.made[s.names[t]]["properties"].(object)
		made["version"] = object{"type": "integer", "description": "Rises with each change. In a PUT it must be the one that is there."}
		made["updated"] = object{"type": "string", "format": "date-time", "readOnly": true}
	}
	return schema
}

func (s *schemas) schema(t reflect.Type) object {
	if t.Kind() == reflect.Pointer {
		return s.schema(t.Elem())
	}
	if known, ok := special[t]; ok {
		return clone(known)
	}
	if values, ok := enums[t]; ok {
		return object{"type": "string", "enum": values}
	}
	if t.Implements(marshalText) || reflect.PointerTo(t).Implements(marshalText) || t.Implements(marshalJSON) && t.Kind() != reflect.Struct {
		return object{"type": "string"}
	}
	switch t.Kind() {
	case reflect.Struct:
		return object{"$ref": "#/components/schemas/" + s.define(t)}
	case reflect.Slice, reflect.Array:
		return object{"type": "array", "items": s.schema(t.Elem())}
	case reflect.Map:
		return object{"type": "object", "additionalProperties": s.schema(t.Elem())}
	case reflect.Bool:
		return object{"type": "boolean"}
	case reflect.String:
		return object{"type": "string"}
	case reflect.Float32, reflect.Float64:
		return object{"type": "number"}
	case reflect.Interface:
		return object{}
	}
	return object{"type": "integer"}
}

func clone(o object) object {
	out := object{}
	for k, v := range o {
		out[k] = v
	}
	return out
}

// inside reports whether a type is one of the heart's, whose empty lists are null.
func inside(t reflect.Type) bool {
	return strings.HasSuffix(t.PkgPath(), "/internal/call") || strings.HasSuffix(t.PkgPath(), "/internal/account") && !strings.HasSuffix(t.Name(), "Entry")
}

// define makes the schema of a struct, once, and returns its name.
func (s *schemas) define(t reflect.Type) string {
	if name, ok := s.names[t]; ok {
		return name
	}
	name := strings.TrimSuffix(t.Name(), "Entry")
	if i := strings.IndexByte(name, '['); i > 0 {
		name = name[:i]
	}
	if _, taken := s.made[name]; taken {
		pkg := t.PkgPath()[strings.LastIndexByte(t.PkgPath(), '/')+1:]
		name = strings.ToUpper(pkg[:1]) + pkg[1:] + name
	}
	s.names[t] = name
	properties := object{}
	s.made[name] = object{"type": "object", "properties": properties, "additionalProperties": false}
	var required []string
	for _, f := range fields(t) {
		p := s.schema(f.typ)
		if p["type"] == "array" && !f.optional && inside(t) {
			p["type"] = []string{"array", "null"}
		}
		text := f.tag.Get("doc")
		if text == "" {
			text = described[t.Name()+"."+f.name]
		}
		if text != "" {
			p["description"] = text
		}
		if values := f.tag.Get("enum"); values != "" {
			p["enum"] = strings.Split(values, ",")
		}
		if slices.Contains(secretFields, f.name) { // who has it can register as the phone, or join
			p["writeOnly"] = true
		}
		properties[f.name] = p
		if !f.optional {
			required = append(required, f.name)
		}
	}
	if len(required) > 0 && !strings.HasSuffix(t.Name(), "Entry") { // of a row the path says some
		s.made[name]["required"] = required
	}
	return name
}
