package likeness

import (
	"fmt"
	"regexp"
	"slices"
	"sort"
	"strings"

	"github.com/signalbox/signalbox/esl/wire"
)

// step is one thing that was seen, with what can be compared of it.
type step struct {
	Key    string            `yaml:"key"`
	Fields map[string]string `yaml:"fields,omitempty"`
}

// transcript is what was seen in one scenario: by stream, such as "replies" or "leg A", in order.
type transcript map[string][]step

// normal replaces what differs from run to run by names.
type normal struct {
	pairs []string // text, name, ...
}

// name gives a text a name, longer texts before shorter ones.
func (n *normal) name(text, name string) {
	if text == "" {
		return
	}
	for i := 0; i < len(n.pairs); i += 2 {
		if n.pairs[i] == text {
			return
		}
		if len(n.pairs[i]) < len(text) {
			n.pairs = slices.Insert(n.pairs, i, text, name)
			return
		}
	}
	n.pairs = append(n.pairs, text, name)
}

var (
	anyUUID  = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)
	anySound = regexp.MustCompile(`/[^ "]*/sounds/[a-z]+/[a-z]+/[a-z]+/`)
	anyAge   = regexp.MustCompile(`(_time":\t)[0-9]+`)
	anyTask  = regexp.MustCompile(`Added: [0-9]+`)
	anyStamp = regexp.MustCompile(`\b1[0-9]{9}([0-9]{6})?\b`)
)

func (n *normal) text(s string) string {
	s = strings.NewReplacer(n.pairs...).Replace(s)
	s = anyUUID.ReplaceAllString(s, "<uuid>")
	s = anySound.ReplaceAllString(s, "<sounds>/")
	s = anyAge.ReplaceAllString(s, "${1}0")
	s = anyTask.ReplaceAllString(s, "Added: <task>")
	return anyStamp.ReplaceAllString(s, "<time>")
}

// skipped are headers that say nothing about likeness: the machine, the clock, the place in the source.
func skipped(name string) bool {
	switch name {
	case "Core-UUID", "FreeSWITCH-Hostname", "FreeSWITCH-Switchname", "FreeSWITCH-IPv4", "FreeSWITCH-IPv6", "Event-Date-Local",
		"Event-Date-GMT", "Event-Date-Timestamp", "Event-Calling-File", "Event-Calling-Function", "Event-Calling-Line-Number",
		"Event-Sequence", "Event-Name", "Event-Subclass", "Application", "Action", "Content-Length":
		return true
	}
	return false
}

// onlyThere are headers of which it counts that they are there: what stands in them is drawn or depends on the machine.
func onlyThere(name string) bool {
	name = strings.TrimPrefix(name, "variable_")
	switch name {
	case "session_id", "sip_call_id", "sip_from_tag", "sip_to_tag", "sip_full_via", "sip_recover_via", "sip_cseq", "local_media_ip",
		"local_media_port", "remote_media_port", "remote_audio_port", "advertised_media_ip", "switch_r_sdp", "switch_m_sdp",
		"rtp_local_sdp_str", "sip_user_agent", "sip_full_from", "sip_full_to", "switch_l_sdp", "network-port", "call-id", "rtp_last_audio_codec_string":
		return true
	}
	return strings.HasSuffix(name, "_port") || lasts.MatchString(name) || strings.HasPrefix(name, "rtp_audio_in_") || strings.HasPrefix(name, "rtp_audio_out_") || strings.HasPrefix(name, "rtp_audio_rtcp") ||
		strings.Contains(name, "ssrc")
}

var (
	timeField = regexp.MustCompile(`(-Time|_stamp|_epoch|_uepoch|-Hold-Accum)$`)
	lasts     = regexp.MustCompile(`(sec|duration)$`) // the length of a call is no likeness
)

// value is what is compared of a header.
func (n *normal) value(name, v string) string {
	switch {
	case onlyThere(name):
		return "…"
	case timeField.MatchString(name):
		if v == "" || v == "0" {
			return "0"
		}
		return "set"
	}
	return n.text(v)
}

// event makes a step of an event.
func (n *normal) event(e *wire.Event) step {
	s := step{Key: key(e), Fields: map[string]string{}}
	e.Each(func(name, v string) {
		if !skipped(name) {
			s.Fields[name] = n.value(name, v)
		}
	})
	if len(e.Body()) > 0 {
		s.Fields["body"] = n.text(string(e.Body()))
	}
	return s
}

// reply makes a step of a reply and the command it answers.
func (n *normal) reply(command string, m *wire.Message) step {
	first, rest, _ := strings.Cut(n.text(command), "\n")
	if first == "sendmsg" {
		for l := range strings.SplitSeq(rest, "\n") {
			if name, v, _ := strings.Cut(l, ": "); name == "execute-app-name" || name == "call-command" && v != "execute" {
				first += " " + v
			}
		}
	}
	s := step{Key: first, Fields: map[string]string{"Content-Type": m.ContentType()}}
	e, err := wire.ParseEvent(m)
	if first == "connect" && err == nil {
		e.Each(func(name, v string) {
			if !skipped(name) {
				s.Fields[name] = n.value(name, v)
			}
		})
		return s
	}
	m.Header.Each(func(name, v string) {
		if name != "Content-Type" && name != "Content-Length" {
			s.Fields[name] = n.text(v)
		}
	})
	if len(m.Body) > 0 {
		s.Fields["body"] = n.text(string(m.Body))
	}
	return s
}

// difference is one thing that the simulator does otherwise than the switch.
type difference struct {
	where, field      string // "scenario / stream / key", header; "" = the whole step
	simulator, origin string
}

func (d difference) String() string {
	if d.field == "" {
		return fmt.Sprintf("%s: simulator %s, switch %s", d.where, d.simulator, d.origin)
	}
	return fmt.Sprintf("%s / %s: simulator %q, switch %q", d.where, d.field, d.simulator, d.origin)
}

// Values of a difference in the order of steps, and of a header that one side has not.
const (
	absent  = "(none)"
	present = "(there)"
)

// compare lists how the simulator differs from the switch in one scenario.
func compare(scenario string, sim, origin transcript) (out []difference) {
	streams := map[string]bool{}
	for s := range sim {
		streams[s] = true
	}
	for s := range origin {
		streams[s] = true
	}
	for _, stream := range sortedKeys(streams) {
		out = append(out, compareSteps(scenario+" / "+stream, withStates(sim[stream]), withStates(origin[stream]))...)
	}
	return out
}

// withStates names each CHANNEL_STATE by its state, so that one is not taken for another.
func withStates(steps []step) []step {
	out := slices.Clone(steps)
	state := ""
	for i, s := range out {
		if v := s.Fields["Channel-State"]; v != "" {
			state = v
		}
		if s.Key == "CHANNEL_STATE" && state != "" {
			out[i].Key += " " + state
		}
	}
	return out
}

// compareSteps pairs the steps of a stream by their longest common order, and compares the fields of the pairs.
func compareSteps(where string, sim, origin []step) (out []difference) {
	common := make([][]int, len(sim)+1)
	for i := range common {
		common[i] = make([]int, len(origin)+1)
	}
	for i := len(sim) - 1; i >= 0; i-- {
		for j := len(origin) - 1; j >= 0; j-- {
			if sim[i].Key == origin[j].Key {
				common[i][j] = common[i+1][j+1] + 1
			} else {
				common[i][j] = max(common[i+1][j], common[i][j+1])
			}
		}
	}
	i, j := 0, 0
	for i < len(sim) || j < len(origin) {
		switch {
		case i < len(sim) && j < len(origin) && sim[i].Key == origin[j].Key:
			out = append(out, compareFields(where+" / "+sim[i].Key, sim[i].Fields, origin[j].Fields)...)
			i++
			j++
		case j == len(origin) || i < len(sim) && common[i+1][j] >= common[i][j+1]:
			out = append(out, difference{where: where + " / " + sim[i].Key, simulator: present, origin: absent})
			i++
		default:
			out = append(out, difference{where: where + " / " + origin[j].Key, simulator: absent, origin: present})
			j++
		}
	}
	return out
}

func compareFields(where string, sim, origin map[string]string) (out []difference) {
	names := map[string]bool{}
	for n := range sim {
		names[n] = true
	}
	for n := range origin {
		names[n] = true
	}
	for _, name := range sortedKeys(names) {
		a, ok := sim[name]
		if !ok {
			a = absent
		}
		b, ok := origin[name]
		if !ok {
			b = absent
		}
		if a != b {
			out = append(out, difference{where, name, a, b})
		}
	}
	return out
}

func sortedKeys[V any](m map[string]V) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	sort.Strings(out)
	return out
}
