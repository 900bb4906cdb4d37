package export

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func openTest(t *testing.T, dir string, limit int64) *spool {
	t.Helper()
	s, err := openSpool(dir, limit)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func line(i int) []byte {
	return fmt.Appendf(nil, `{"id":"%d","pad":%q}`+"\n", i, strings.Repeat("x", i%97))
}

// read gives the ids that wait, n at most.
func read(t *testing.T, s *spool, n int) []entry {
	t.Helper()
	entries, err := s.read(n)
	if err != nil {
		t.Fatal(err)
	}
	return entries
}

func settleFirst(t *testing.T, s *spool, entries []entry) {
	t.Helper()
	size := int64(0)
	for _, e := range entries {
		size += int64(len(e.line)) + 1
	}
	if err := s.acknowledge(entries[len(entries)-1].next, int64(len(entries)), size); err != nil {
		t.Fatal(err)
	}
}

// However often the process ends, in order or not, what was appended comes out once and in order, and what was read and not
// acknowledged comes again.
func TestTheSpoolIsAQueueThatOutlivesItsProcess(t *testing.T) {
	dir := t.TempDir()
	rng := rand.New(rand.NewPCG(1, 2))
	s := openTest(t, dir, 1<<30)
	in, out := 0, 0
	for range 300 {
		switch rng.IntN(8) {
		case 0:
			s.close()
			if rng.IntN(2) == 0 { // it died while it wrote
				tear(t, dir)
			}
			s = openTest(t, dir, 1<<30)
		case 1, 2, 3, 4:
			for range 1 + rng.IntN(20) {
				if err := s.append(line(in)); err != nil {
					t.Fatal(err)
				}
				in++
			}
		default:
			entries := read(t, s, 1+rng.IntN(window))
			for i, e := range entries {
				if e.id != fmt.Sprint(out+i) {
					t.Fatalf("read %q, want %d", e.id, out+i)
				}
			}
			if n := rng.IntN(len(entries) + 1); n > 0 {
				settleFirst(t, s, entries[:n])
				out += n
			}
		}
		if n, size := s.usage(); n != int64(in-out) || (n == 0) != (size == 0) {
			t.Fatalf("%d records and %d bytes wait, want %d records", n, size, in-out)
		}
	}
	for in > out {
		entries := read(t, s, window)
		settleFirst(t, s, entries)
		out += len(entries)
	}
	s.close()
	files, _ := filepath.Glob(filepath.Join(dir, "0*.jsonl"))
	if len(files) > 2 {
		t.Errorf("%d segments are left of an empty spool", len(files))
	}
}

// tear writes the beginning of a line to the newest segment.
func tear(t *testing.T, dir string) {
	t.Helper()
	files, _ := filepath.Glob(filepath.Join(dir, "0*.jsonl"))
	f, err := os.OpenFile(files[len(files)-1], os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	if _, err := f.WriteString(`{"id":"torn","pa`); err != nil {
		t.Fatal(err)
	}
}

func TestTheSpoolIsBounded(t *testing.T) {
	s := openTest(t, t.TempDir(), 1000)
	defer s.close()
	n := 0
	for ; ; n++ {
		if err := s.append(line(0)); err != nil {
			if !errors.Is(err, errSpoolFull) {
				t.Fatal(err)
			}
			break
		}
	}
	if _, size := s.usage(); size > 1000 || size < 900 {
		t.Errorf("%d bytes in a spool of 1000", size)
	}
	settleFirst(t, s, read(t, s, 1))
	if err := s.append(line(0)); err != nil {
		t.Errorf("there is room again: %v", err)
	}
}

func TestTwoProcessesDoNotShareASpool(t *testing.T) {
	dir := t.TempDir()
	s := openTest(t, dir, 1000)
	if _, err := openSpool(dir, 1000); err == nil || !strings.Contains(err.Error(), "another process") {
		t.Errorf("opened twice: %v", err)
	}
	s.close()
	openTest(t, dir, 1000).close()
}

func TestADamagedPositionSendsAgainRatherThanNever(t *testing.T) {
	dir := t.TempDir()
	s := openTest(t, dir, 1<<20)
	for i := range 3 {
		if err := s.append(line(i)); err != nil {
			t.Fatal(err)
		}
	}
	settleFirst(t, s, read(t, s, 1))
	s.close()
	if err := os.WriteFile(filepath.Join(dir, positionFile), []byte("what?"), 0o600); err != nil {
		t.Fatal(err)
	}
	s = openTest(t, dir, 1<<20)
	defer s.close()
	if got := read(t, s, 9); len(got) != 3 {
		t.Errorf("%d records, want all 3 again", len(got))
	}
}

func TestALineBehindATornOneIsWhole(t *testing.T) {
	path := filepath.Join(t.TempDir(), "calls.jsonl")
	if err := os.WriteFile(path, []byte("{\"id\":\"0\"}\n{\"id\":\"to"), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := openLines(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.append([]byte("{\"id\":\"1\"}\n")); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	if err := l.reopen(); err != nil {
		t.Fatal(err)
	}
	if err := l.append([]byte("{\"id\":\"2\"}\n")); err != nil {
		t.Fatal(err)
	}
	l.close()
	for name, want := range map[string]string{path + ".1": "{\"id\":\"0\"}\n{\"id\":\"to\n{\"id\":\"1\"}\n", path: "{\"id\":\"2\"}\n"} {
		if got, err := os.ReadFile(name); err != nil || string(got) != want {
			t.Errorf("%s has %q, %v", filepath.Base(name), got, err)
		}
	}
}
