package wire_test

import (
	"bytes"
	"testing"

	"github.com/signalbox/signalbox/esl/esltest"
	"github.com/signalbox/signalbox/esl/wire"
)

// BenchmarkRecording reads all messages of a recorded call and asks each event for what
// a controller asks: its name, its channel, and one variable.
func BenchmarkRecording(b *testing.B) {
	rec, err := esltest.Load("outbound-noanswer-voicemail")
	if err != nil {
		b.Fatal(err)
	}
	stream := rec.Stream()
	b.SetBytes(int64(len(stream)))
	b.ReportAllocs()
	for b.Loop() {
		r := wire.NewReader(bytes.NewReader(stream), wire.Limits{})
		for {
			m, err := r.Read()
			if err != nil {
				break
			}
			if e, err := wire.ParseEvent(m); err == nil {
				_, _, _ = e.Name(), e.UUID(), e.Var("originate_disposition")
			}
		}
	}
}

// BenchmarkJSONEvent reads one event as JSON and asks for three headers.
func BenchmarkJSONEvent(b *testing.B) {
	rec, err := esltest.Load("outbound-conference")
	if err != nil {
		b.Fatal(err)
	}
	messages, err := rec.Messages()
	if err != nil {
		b.Fatal(err)
	}
	channel, err := wire.ParseEvent(messages[0])
	if err != nil {
		b.Fatal(err)
	}
	frame := wire.AppendEventJSON(nil, channel.Fields(), nil)
	b.SetBytes(int64(len(frame)))
	b.ReportAllocs()
	for b.Loop() {
		m, err := wire.NewReader(bytes.NewReader(frame), wire.Limits{}).Read()
		if err != nil {
			b.Fatal(err)
		}
		e, err := wire.ParseEvent(m)
		if err != nil {
			b.Fatal(err)
		}
		_, _, _ = e.Name(), e.UUID(), e.Var("originate_disposition")
	}
}
