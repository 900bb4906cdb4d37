package esltest

import (
	"bufio"
	"bytes"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"path"
	"strings"

	"github.com/signalbox/signalbox/esl/wire"
)

//go:embed testdata/recordings/*.jsonl
var recordingFiles embed.FS

// Recording is one session of a real FreeSWITCH with a client.
type Recording struct {
	Name  string // such as outbound-conference
	Note  string // what happens in it
	Lines []Line // in the order they crossed the socket
}

// Line is one read on the socket, not one message.
type Line struct {
	T      float64 // seconds since the start
	Client bool    // from the client, else from FreeSWITCH
	Text   string
}

// Recordings gives all recordings, by name.
func Recordings() ([]*Recording, error) {
	entries, err := recordingFiles.ReadDir("testdata/recordings")
	if err != nil {
		return nil, err
	}
	var all []*Recording
	for _, entry := range entries {
		r, err := Load(strings.TrimSuffix(entry.Name(), ".jsonl"))
		if err != nil {
			return nil, err
		}
		all = append(all, r)
	}
	return all, nil
}

// Load gives one recording by its name.
func Load(name string) (*Recording, error) {
	raw, err := recordingFiles.ReadFile(path.Join("testdata/recordings", name+".jsonl"))
	if err != nil {
		return nil, err
	}
	rec := &Recording{Name: name}
	for _, text := range bytes.Split(bytes.TrimSpace(raw), []byte("\n")) {
		var line struct {
			Note *string
			T    float64
			From string
			Text string
		}
		if err := json.Unmarshal(text, &line); err != nil {
			return nil, fmt.Errorf("recording %s: %w", name, err)
		}
		if line.Note != nil {
			rec.Note = *line.Note
			continue
		}
		rec.Lines = append(rec.Lines, Line{T: line.T, Client: line.From == "client", Text: line.Text})
	}
	return rec, nil
}

// Stream gives all bytes FreeSWITCH sent.
func (r *Recording) Stream() []byte { return r.bytes(false) }

// ClientStream gives all bytes the client sent.
func (r *Recording) ClientStream() []byte { return r.bytes(true) }

func (r *Recording) bytes(client bool) []byte {
	var b []byte
	for _, l := range r.Lines {
		if l.Client == client {
			b = append(b, l.Text...)
		}
	}
	return b
}

// Commands gives the client's messages.
func (r *Recording) Commands() ([]*wire.Command, error) {
	br := bufio.NewReader(bytes.NewReader(r.ClientStream()))
	var all []*wire.Command
	for {
		c, err := wire.ReadCommand(br, wire.Limits{})
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return nil, err
		}
		all = append(all, c)
	}
}

// Messages gives FreeSWITCH's messages.
func (r *Recording) Messages() ([]*wire.Message, error) {
	reader := wire.NewReader(bytes.NewReader(r.Stream()), wire.Limits{})
	var all []*wire.Message
	for {
		m, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return nil, err
		}
		all = append(all, m)
	}
}

// Replay plays FreeSWITCH's part on nc, without the pauses. Before each of
// FreeSWITCH's lines it waits for the commands the recorded client had
// sent by then, and wants each to have the recorded verb. A client that
// gives its own Event-UUID or Job-UUID finds it in the events where the recording has the
// UUID FreeSWITCH chose. At the end it closes nc.
func Replay(rec *Recording, nc net.Conn) error {
	far := NewFar(nc)
	defer func() { _ = far.Close() }()
	apps, jobs, err := rec.uuids()
	if err != nil {
		return err
	}
	var swaps []string // recorded UUID, the client's own, ...
	for i, line := range rec.Lines {
		if !line.Client {
			text := strings.NewReplacer(swaps...).Replace(line.Text)
			if err := far.send([]byte(text)); err != nil {
				return fmt.Errorf("recording %s, line %d: %w", rec.Name, i, err)
			}
			continue
		}
		want, err := (&Recording{Lines: []Line{line}}).Commands()
		if err != nil {
			return err
		}
		for _, w := range want {
			c, err := far.Command()
			if err != nil {
				return fmt.Errorf("recording %s, waiting for %q: %w", rec.Name, w.Line, err)
			}
			if c.Verb() != w.Verb() {
				return fmt.Errorf("recording %s: client sent %q, recorded %q", rec.Name, c.Line, w.Line)
			}
			switch {
			case c.Get("call-command") == "execute":
				apps, swaps = swap(apps, swaps, c.Get("Event-UUID"))
			case c.Verb() == "bgapi":
				jobs, swaps = swap(jobs, swaps, c.Get("Job-UUID"))
			}
		}
	}
	return nil
}

// swap takes the next recorded UUID off the list and pairs it with the client's. Both
// have 36 characters, so no length changes.
func swap(recorded, swaps []string, own string) (left, pairs []string) {
	if len(recorded) == 0 {
		return nil, swaps
	}
	if len(own) == len(recorded[0]) {
		swaps = append(swaps, recorded[0], own)
	}
	return recorded[1:], swaps
}

// uuids lists the Application-UUIDs and Job-UUIDs of the recording by first appearance.
func (r *Recording) uuids() (apps, jobs []string, err error) {
	messages, err := r.Messages()
	if err != nil && !errors.Is(err, wire.ErrTruncated) {
		return nil, nil, err
	}
	for _, m := range messages {
		if id := m.Header.Get("Job-UUID"); id != "" {
			jobs = append(jobs, id)
		}
		if e, err := wire.ParseEvent(m); err == nil && e.Name() == "CHANNEL_EXECUTE" {
			apps = append(apps, e.Get("Application-UUID"))
		}
	}
	return apps, jobs, nil
}
