package wire

import (
	"strings"
	"testing"
)

func TestReaderTellsReplyFromEvent(t *testing.T) {
	in := AppendEventPlain(AppendReply(nil, "+OK"), []Field{{"Event-Name", "CUSTOM"}, {"Event-Subclass", "a::b"}, {"X-é", "ü ${x}\n"}}, []byte("hi"))
	r := NewReader(strings.NewReader(string(in)), Limits{})
	m, err := r.Read()
	if err != nil || m.ContentType() != TypeCommandReply || m.Header.Get("Reply-Text") != "+OK" {
		t.Fatalf("reply: %+v, %v", m, err)
	}
	m, err = r.Read()
	if err != nil {
		t.Fatal(err)
	}
	e, err := ParseEvent(m)
	if err != nil {
		t.Fatal(err)
	}
	if e.Name() != "CUSTOM" || e.Subclass() != "a::b" || e.Get("X-é") != "ü ${x}\n" || string(e.Body) != "hi" {
		t.Errorf("event read back as %q %q", e.Fields(), e.Body)
	}
}
