package wire_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/signalbox/signalbox/esl/esltest"
	"github.com/signalbox/signalbox/esl/wire"
)

func eachRecording(t *testing.T, fn func(t *testing.T, rec *esltest.Recording)) {
	recs, err := esltest.Recordings()
	if err != nil {
		t.Fatal(err)
	}
	if len(recs) != 7 {
		t.Fatalf("%d recordings, want 7", len(recs))
	}
	for _, rec := range recs {
		t.Run(rec.Name, func(t *testing.T) { fn(t, rec) })
	}
}

// TestRecordingsEncodeByteTrue takes every recorded message apart and writes it again
// from its decoded values: the result must be the recorded bytes.
func TestRecordingsEncodeByteTrue(t *testing.T) {
	eachRecording(t, func(t *testing.T, rec *esltest.Recording) {
		messages, err := rec.Messages()
		if err != nil {
			t.Fatal(err)
		}
		if len(messages) == 0 {
			t.Fatal("no messages")
		}
		want := rec.Stream()
		for i, m := range messages {
			got := again(t, m)
			if !bytes.HasPrefix(want, got) {
				n := min(len(got), len(want))
				for j := range n {
					if got[j] != want[j] {
						n = j
						break
					}
				}
				t.Fatalf("message %d (%s) differs at byte %d:\ngot  %.200q\nwant %.200q", i, m.ContentType(), n, got[n:], want[n:])
			}
			want = want[len(got):]
		}
		if len(want) > 0 {
			t.Errorf("%d recorded bytes are in no message", len(want))
		}
	})
}

// again encodes a message from its decoded parts.
func again(t *testing.T, m *wire.Message) []byte {
	t.Helper()
	switch m.ContentType() {
	case wire.TypeAuthRequest:
		return wire.AppendAuthRequest(nil)
	case wire.TypeAPIResponse:
		return wire.AppendAPIResponse(nil, string(m.Body))
	case wire.TypeDisconnectNotice:
		uuid := m.Header.Get("Controlled-Session-UUID")
		if m.Header.Get("Content-Disposition") == "linger" {
			return wire.AppendLinger(nil, uuid, m.Header.Get("Channel-Name"), 5)
		}
		return wire.AppendDisconnect(nil, uuid)
	case wire.TypeEventPlain:
		e, err := wire.ParseEvent(m)
		if err != nil {
			t.Fatal(err)
		}
		fields := e.Fields()
		if len(e.Body()) > 0 {
			fields = fields[:len(fields)-1] // the Content-Length the encoder adds
		}
		return wire.AppendEventPlain(nil, fields, e.Body())
	case wire.TypeCommandReply:
		if e, err := wire.ParseEvent(m); err == nil {
			fields := e.Fields()
			return wire.AppendConnectReply(nil, fields[:len(fields)-4], true, true)
		}
		var extra []wire.Field
		if id := m.Header.Get("Job-UUID"); id != "" {
			extra = append(extra, wire.Field{Name: "Job-UUID", Value: id})
		}
		return wire.AppendReply(nil, m.Header.Get("Reply-Text"), extra...)
	}
	t.Fatalf("unexpected type %q", m.ContentType())
	return nil
}

// TestPlainAndJSONEventsAgree writes each recorded event as JSON, and reads the same
// from both.
func TestPlainAndJSONEventsAgree(t *testing.T) {
	eachRecording(t, func(t *testing.T, rec *esltest.Recording) {
		messages, err := rec.Messages()
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range messages {
			plain, err := wire.ParseEvent(m)
			if err != nil {
				continue
			}
			agree(t, plain)
		}
	})
}

func agree(t *testing.T, plain *wire.Event) {
	t.Helper()
	fields := plain.Fields()
	if len(plain.Body()) > 0 {
		fields = fields[:len(fields)-1]
	}
	frame := wire.AppendEventJSON(nil, fields, plain.Body())
	m, err := wire.NewReader(bytes.NewReader(frame), wire.Limits{}).Read()
	if err != nil {
		t.Fatal(err)
	}
	js, err := wire.ParseEvent(m)
	if err != nil {
		t.Fatal(err)
	}
	got, want := js.Fields(), plain.Fields()
	if len(got) != len(want) {
		t.Fatalf("%s: JSON has %d headers, plain %d", plain.Name(), len(got), len(want))
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("header %d: JSON %q, plain %q", i, got[i], want[i])
		}
		if v := js.Get(want[i].Name); v != plain.Get(want[i].Name) {
			t.Errorf("Get(%s): JSON %q, plain %q", want[i].Name, v, plain.Get(want[i].Name))
		}
	}
	if !bytes.Equal(js.Body(), plain.Body()) {
		t.Errorf("body: JSON %q, plain %q", js.Body(), plain.Body())
	}
	if js.Name() != plain.Name() || js.Sequence() != plain.Sequence() || !js.Time().Equal(plain.Time()) || js.UUID() != plain.UUID() {
		t.Errorf("accessors differ for %s", plain.Name())
	}
}

func TestRecordedConnectReplyKeepsCaseAndDecodes(t *testing.T) {
	rec, err := esltest.Load("outbound-conference")
	if err != nil {
		t.Fatal(err)
	}
	messages, err := rec.Messages()
	if err != nil {
		t.Fatal(err)
	}
	m := messages[0]
	e, err := wire.ParseEvent(m)
	if err != nil {
		t.Fatal(err)
	}
	if m.Header.Len() < 100 || m.ContentType() != wire.TypeCommandReply {
		t.Errorf("%d headers, type %q", m.Header.Len(), m.ContentType())
	}
	if got := m.Header.Get("Reply-Text"); got != "%2BOK%0A" {
		t.Errorf("Reply-Text on the wire %q", got)
	}
	for name, want := range map[string]string{
		"Event-Name": "CHANNEL_DATA", "Reply-Text": "+OK\n", "Control": "full", "Socket-Mode": "async",
		"variable_sip_h_diversion": "", "event-name": "",
	} {
		if got := e.Get(name); got != want {
			t.Errorf("%s = %q, want %q", name, got, want)
		}
	}
	if got := e.Var("sip_h_Diversion"); !strings.HasPrefix(got, "<sip:") {
		t.Errorf("variable_sip_h_Diversion = %q, want a decoded Diversion", got)
	}
}

// TestRecordedCommandsPassCheck: what a real client sent, FreeSWITCH took as one
// message each, so Check must let it pass and ReadCommand read it so.
func TestRecordedCommandsPassCheck(t *testing.T) {
	eachRecording(t, func(t *testing.T, rec *esltest.Recording) {
		for _, l := range rec.Lines {
			if !l.Client {
				continue
			}
			text := strings.TrimSuffix(l.Text, "\n\n")
			if err := wire.Check(text); err != nil {
				t.Errorf("%q: %v", text, err)
			}
		}
	})
}
