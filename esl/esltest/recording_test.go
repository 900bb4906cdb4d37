package esltest_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/signalbox/signalbox/esl/esltest"
)

func TestReplayIsExactForTheRecordedClient(t *testing.T) {
	recs, err := esltest.Recordings()
	if err != nil {
		t.Fatal(err)
	}
	for _, rec := range recs {
		client, far := net.Pipe()
		over := make(chan error, 1)
		go func() { over <- esltest.Replay(rec, far) }()
		go func() { _, _ = client.Write(rec.ClientStream()) }()
		got, err := io.ReadAll(client)
		if err != nil {
			t.Error(err)
		}
		if err := <-over; err != nil {
			t.Errorf("%s: %v", rec.Name, err)
		}
		if !bytes.Equal(got, rec.Stream()) {
			t.Errorf("%s: %d bytes replayed, %d recorded", rec.Name, len(got), len(rec.Stream()))
		}
		if rec.Note == "" || len(rec.Lines) == 0 {
			t.Errorf("%s: empty recording", rec.Name)
		}
	}
}

func TestReplayReportsAClientThatDeviates(t *testing.T) {
	rec, err := esltest.Load("inbound-session")
	if err != nil {
		t.Fatal(err)
	}
	client, far := net.Pipe()
	over := make(chan error, 1)
	go func() { over <- esltest.Replay(rec, far) }()
	go func() { _, _ = io.Copy(io.Discard, client) }()
	_, _ = fmt.Fprint(client, "exit\n\n")
	if err := <-over; err == nil || !strings.Contains(err.Error(), "auth") {
		t.Errorf("got %v, want what was recorded instead", err)
	}
	_ = client.Close()
}
