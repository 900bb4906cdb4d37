package export

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/signalbox/signalbox/internal/call"
)

// The folder in which the child of TestNothingIsLostWhenTheProcessIsKilled works, and where it posts to.
const (
	childDir = "EXPORT_TEST_CHILD_DIR"
	childURL = "EXPORT_TEST_CHILD_URL"
)

// closedStore is a store that is a file with the ids of what was closed in it.
type closedStore struct {
	behind
	f *os.File
}

func (s closedStore) Close(_ context.Context, rec call.Record) error {
	_, err := fmt.Fprintln(s.f, rec.ID)
	return err
}

// TestChild is the process that is killed; by itself it does nothing.
func TestChild(t *testing.T) {
	dir, url := os.Getenv(childDir), os.Getenv(childURL)
	if dir == "" {
		t.Skip("is run by TestNothingIsLostWhenTheProcessIsKilled")
	}
	f, err := os.OpenFile(filepath.Join(dir, "store"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	x, err := New(Options{SpoolDir: filepath.Join(dir, "spool"), SpoolMax: 1 << 30, JSONL: filepath.Join(dir, "calls.jsonl"), HTTP: HTTPOptions{URL: url, Timeout: time.Second}})
	if err != nil {
		t.Fatal(err)
	}
	x.backoffMin = time.Millisecond
	records := NewRecords(closedStore{f: f}, x)
	go func() { _ = x.Run(t.Context()) }()
	fmt.Println("runs")
	for i := 0; ; i++ {
		if err := records.Close(t.Context(), ended(fmt.Sprintf("%d-%d", os.Getpid(), i))); err != nil {
			t.Fatal(err)
		}
	}
}

// Killed at any moment: what the store has closed, the receiver gets, with the same key and the same content, and the file has.
func TestNothingIsLostWhenTheProcessIsKilled(t *testing.T) {
	t.Parallel()
	n := 0
	rec := newReceiver(t, func(string, int) (int, map[string]string) {
		if n++; n%7 == 0 { // now and then it has a weak moment
			return 503, nil
		}
		return 200, nil
	})
	rec.Start()
	defer rec.Close()
	dir := t.TempDir()
	for i := range 3 {
		child := exec.Command(os.Args[0], "-test.run=^TestChild$", "-test.v")
		child.Env = append(os.Environ(), childDir+"="+dir, childURL+"="+rec.URL)
		out, err := child.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		for lines := bufio.NewScanner(out); lines.Scan() && lines.Text() != "runs"; {
		}
		before := len(rec.snapshot())
		rec.until("something was taken", func(rec *receiver) bool { return len(rec.taken) > before+5*i })
		if err := child.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = child.Wait()
	}
	text, err := os.ReadFile(filepath.Join(dir, "store"))
	if err != nil {
		t.Fatal(err)
	}
	closed := strings.Fields(string(text))
	r := run(t, Options{SpoolDir: filepath.Join(dir, "spool"), SpoolMax: 1 << 30, HTTP: HTTPOptions{URL: rec.URL}})
	rec.until("all that was closed was taken", func(rec *receiver) bool {
		for _, id := range closed {
			if rec.taken[id] == "" {
				return false
			}
		}
		return true
	})
	r.stop()
	rec.nothingWrong()
	file, err := os.ReadFile(filepath.Join(dir, "calls.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range closed {
		if !strings.Contains(string(file), `"id":"`+id+`"`) {
			t.Errorf("%s is missing in the file", id)
		}
	}
	again := 0
	for _, seen := range rec.seen {
		if seen > 1 {
			again++
		}
	}
	t.Logf("%d records closed in 3 lives, %d posted more than once", len(closed), again)
}

func (r *receiver) snapshot() map[string]string {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := map[string]string{}
	for id, body := range r.taken {
		out[id] = body
	}
	return out
}
