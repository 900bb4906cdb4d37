package eventrate

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strconv"

	"github.com/signalbox/signalbox/esl/esltest"
	"github.com/signalbox/signalbox/esl/wire"
)

// firstSequence is the Event-Sequence of the first event of a stream. All have seven digits.
const firstSequence = 1_000_000

// template is one recorded event as a frame, with the places that differ from call to call.
type template struct {
	frame    []byte
	calls    []int // where the eight digits stand that name the call, the first eight of each UUID
	sequence int   // where the seven digits of Event-Sequence stand
}

// script is the events of one recorded call, in the order FreeSWITCH sent them.
type script []template

var (
	uuidPattern     = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)
	sequencePattern = regexp.MustCompile(`(?m)^Event-Sequence: (\d+)$`)
	jsonSequence    = regexp.MustCompile(`"Event-Sequence":"(\d{7})"`)
)

// scripts makes the events of each recorded call into templates. The bytes are those of the recording, except for
// the digits of Event-Sequence, which are brought to seven. As JSON they are what FreeSWITCH would have written.
func scripts(json bool) ([]script, error) {
	recordings, err := esltest.Recordings()
	if err != nil {
		return nil, err
	}
	var all []script
	for _, r := range recordings {
		messages, err := r.Messages()
		if err != nil && !errors.Is(err, wire.ErrTruncated) {
			return nil, fmt.Errorf("recording %s: %w", r.Name, err)
		}
		var s script
		for _, m := range messages {
			if m.ContentType() != wire.TypeEventPlain {
				continue
			}
			t, err := newTemplate(m, json)
			if err != nil {
				return nil, fmt.Errorf("recording %s: %w", r.Name, err)
			}
			s = append(s, t)
		}
		if len(s) > 0 {
			all = append(all, s)
		}
	}
	return all, nil
}

func newTemplate(m *wire.Message, json bool) (template, error) {
	e, err := wire.ParseEvent(m)
	if err != nil {
		return template{}, err
	}
	if !sequencePattern.Match(m.Body) {
		return template{}, fmt.Errorf("event %s has no Event-Sequence", e.Name())
	}
	body := sequencePattern.ReplaceAll(m.Body, fmt.Appendf(nil, "Event-Sequence: %d", firstSequence))
	t := template{frame: append(fmt.Appendf(nil, "Content-Length: %d\nContent-Type: %s\n\n", len(body), wire.TypeEventPlain), body...)}
	pattern := sequencePattern
	if json {
		e, err = wire.ParseEvent(wire.NewMessage(wire.NewHeader(wire.Field{Name: "Content-Type", Value: wire.TypeEventPlain}), body))
		if err != nil {
			return template{}, err
		}
		fields := slices.DeleteFunc(e.Fields(), func(f wire.Field) bool { return f.Name == "Content-Length" }) // comes with the body
		t.frame, pattern = wire.AppendEventJSON(nil, fields, e.Body()), jsonSequence
	}
	at := pattern.FindSubmatchIndex(t.frame)
	if at == nil {
		return template{}, fmt.Errorf("event %s lost its Event-Sequence", e.Name())
	}
	t.sequence = at[2]
	core := e.CoreUUID()
	for _, at := range uuidPattern.FindAllIndex(t.frame, -1) {
		if string(t.frame[at[0]:at[1]]) != core {
			t.calls = append(t.calls, at[0])
		}
	}
	return t, nil
}

// stream is an endless sequence of events of many concurrent calls: each call is one of the scripts, from its first
// event to its last, and the calls take turns at random, the same on every run with the same seed.
type stream struct {
	scripts []script
	random  *rand.Rand
	live    []progress
	born    uint32
	sent    int
}

// progress is how far one call is.
type progress struct {
	call uint32
	rest script
}

func newStream(s []script, calls int, seed uint64) *stream {
	st := &stream{scripts: s, random: rand.New(rand.NewPCG(seed, seed)), live: make([]progress, calls)}
	for i := range st.live {
		st.live[i] = st.begin()
		skip := st.random.IntN(len(st.live[i].rest)) // not all calls begin at the same time
		st.live[i].rest = st.live[i].rest[skip:]
	}
	return st
}

func (s *stream) begin() progress {
	s.born++
	return progress{call: s.born, rest: s.scripts[s.random.IntN(len(s.scripts))]}
}

// appendNext appends the next event to b.
func (s *stream) appendNext(b []byte) []byte {
	p := &s.live[s.random.IntN(len(s.live))]
	t := &p.rest[0]
	start := len(b)
	b = append(b, t.frame...)
	frame := b[start:]
	var digits [8]byte
	hex := fmt.Appendf(digits[:0], "%08x", p.call)
	for _, at := range t.calls {
		copy(frame[at:], hex)
	}
	copy(frame[t.sequence:], strconv.Itoa(firstSequence+s.sent))
	s.sent++
	if p.rest = p.rest[1:]; len(p.rest) == 0 {
		*p = s.begin()
	}
	return b
}

// Describe says what the events of a load are.
func Describe(load Load) (string, error) {
	made, err := scripts(load.JSON)
	if err != nil {
		return "", err
	}
	all := slices.Concat(made...)
	size, headers := 0, 0
	for _, t := range all {
		size += len(t.frame)
		headers += bytes.Count(t.frame, []byte("\n")) - 3
	}
	format := fmt.Sprintf("plain, on average %d headers", headers/len(all))
	if load.JSON {
		format = "JSON"
	}
	return fmt.Sprintf("%s, %d bytes", format, size/len(all)), nil
}
