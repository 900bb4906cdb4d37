package export

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
)

const (
	segmentSize  = 1 << 20 // a segment this long is not written to any more
	segmentName  = "%016d.jsonl"
	positionFile = "position"
	lockFile     = "lock"
)

// errSpoolFull means that the spool has reached its bound.
var errSpoolFull = errors.New("the spool is full")

// spool is a queue of JSON lines in the segments of a folder. One goroutine appends, another reads and acknowledges. What was
// appended before the process died is there when it starts again; what was read and not acknowledged comes again. A segment that is
// wholly acknowledged is deleted.
type spool struct {
	dir  string
	max  int64
	lock *os.File

	mu       sync.Mutex
	segments []int64 // their numbers, oldest first; the last one is written to
	w        *os.File
	written  int64 // bytes in the last segment
	at       place // what is acknowledged
	bytes    int64 // not acknowledged
	records  int64 // not acknowledged
	dirty    bool
	torn     bool          // the last line in w is not whole
	more     chan struct{} // holds a token when something was appended
}

// place is behind an acknowledged line.
type place struct{ segment, offset int64 }

// entry is a line that was read, and the place behind it.
type entry struct {
	line []byte // without the line break
	id   string
	next place
}

func openSpool(dir string, limit int64) (*spool, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	lock, err := os.OpenFile(filepath.Join(dir, lockFile), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = lock.Close()
		return nil, fmt.Errorf("%s is used by another process: %w", dir, err)
	}
	s := &spool{dir: dir, max: limit, lock: lock, more: make(chan struct{}, 1)}
	if err := s.load(); err != nil {
		_ = lock.Close()
		return nil, err
	}
	return s, nil
}

// load finds what an earlier process left, and begins a segment of our own.
func (s *spool) load() error {
	names, err := filepath.Glob(filepath.Join(s.dir, "*.jsonl"))
	if err != nil {
		return err
	}
	for _, name := range names {
		var number int64
		if _, err := fmt.Sscanf(filepath.Base(name), segmentName, &number); err == nil && number > 0 {
			s.segments = append(s.segments, number)
		}
	}
	slices.Sort(s.segments)
	if text, err := os.ReadFile(filepath.Join(s.dir, positionFile)); err == nil {
		if _, err := fmt.Sscanf(string(text), "%d %d", &s.at.segment, &s.at.offset); err != nil {
			s.at = place{} // all is sent again rather than something lost
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	s.sweep()
	s.segments = slices.DeleteFunc(s.segments, s.removeEmpty)
	for _, number := range s.segments {
		if err := s.count(number); err != nil {
			return err
		}
	}
	return s.begin()
}

// removeEmpty deletes the segment of a process that had nothing to spool.
func (s *spool) removeEmpty(number int64) bool {
	info, err := os.Stat(s.path(number))
	return err == nil && info.Size() == 0 && os.Remove(s.path(number)) == nil
}

// count adds what is not acknowledged of a segment.
func (s *spool) count(number int64) error {
	f, err := os.Open(s.path(number))
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	if number == s.at.segment {
		if _, err := f.Seek(s.at.offset, io.SeekStart); err != nil {
			return err
		}
	}
	r := bufio.NewReaderSize(f, 1<<16)
	for size := int64(0); ; {
		part, err := r.ReadSlice('\n')
		size += int64(len(part))
		switch {
		case err == nil:
			s.records++
			s.bytes += size
			size = 0
		case errors.Is(err, io.EOF):
			return nil // a torn line at the end does not count
		case !errors.Is(err, bufio.ErrBufferFull):
			return err
		}
	}
}

func (s *spool) path(number int64) string {
	return filepath.Join(s.dir, fmt.Sprintf(segmentName, number))
}

// begin opens the next segment. An older one is never appended to: its last line may be torn.
func (s *spool) begin() error {
	number := s.at.segment + 1
	if n := len(s.segments); n > 0 {
		number = max(number, s.segments[n-1]+1)
	}
	f, err := os.OpenFile(s.path(number), os.O_CREATE|os.O_EXCL|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if s.w != nil {
		_ = s.w.Sync()
		_ = s.w.Close()
	}
	s.w, s.written, s.torn = f, 0, false
	s.segments = append(s.segments, number)
	return nil
}

// append adds a line, which ends with a line break.
func (s *spool) append(line []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.bytes+int64(len(line)) > s.max {
		return errSpoolFull
	}
	if s.written >= segmentSize || s.torn {
		if err := s.begin(); err != nil {
			return err
		}
	}
	n, err := s.w.Write(line)
	s.written += int64(n)
	if err != nil {
		s.torn = n > 0
		return err
	}
	s.bytes += int64(n)
	s.records++
	s.dirty = true
	select {
	case s.more <- struct{}{}:
	default:
	}
	return nil
}

// sync brings what was appended to the disk itself, so that a power failure takes little.
func (s *spool) sync() {
	s.mu.Lock()
	w, dirty := s.w, s.dirty
	s.dirty = false
	s.mu.Unlock()
	if dirty {
		_ = w.Sync() // a segment that was closed meanwhile was synced then
	}
}

// read returns up to n lines behind what is acknowledged.
func (s *spool) read(n int) ([]entry, error) {
	s.mu.Lock()
	at, segments := s.at, slices.Clone(s.segments)
	s.mu.Unlock()
	var out []entry
	for i, number := range segments {
		if number < at.segment || len(out) == n {
			continue
		}
		from := int64(0)
		if number == at.segment {
			from = at.offset
		}
		found, err := s.readSegment(number, from, n-len(out), i < len(segments)-1)
		if err != nil {
			return nil, err
		}
		out = append(out, found...)
	}
	return out, nil
}

// readSegment reads whole lines. In one that is not written to any more, whole says that a rest without a line break is a torn
// line: it is passed over with the line before.
func (s *spool) readSegment(number, from int64, n int, whole bool) ([]entry, error) {
	f, err := os.Open(s.path(number))
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	if _, err := f.Seek(from, io.SeekStart); err != nil {
		return nil, err
	}
	r := bufio.NewReaderSize(f, 1<<16)
	var out []entry
	for at := from; len(out) < n; {
		line, err := r.ReadBytes('\n')
		if err != nil {
			if !errors.Is(err, io.EOF) {
				return nil, err
			}
			if whole && len(out) > 0 {
				out[len(out)-1].next = place{number + 1, 0}
			}
			break
		}
		at += int64(len(line))
		line = bytes.TrimRight(line, "\n")
		var head struct {
			ID string `json:"id"`
		}
		_ = json.Unmarshal(line, &head) // a line that somebody damaged has no id; the receiver says what it thinks of it
		out = append(out, entry{line: line, id: head.ID, next: place{number, at}})
	}
	return out, nil
}

// acknowledge says that the lines up to a place are settled: lines of them, with so many bytes.
func (s *spool) acknowledge(to place, lines, size int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.at = to
	s.bytes, s.records = max(0, s.bytes-size), max(0, s.records-lines)
	s.sweep()
	temp := filepath.Join(s.dir, positionFile+".new")
	if err := os.WriteFile(temp, fmt.Appendf(nil, "%d %d\n", to.segment, to.offset), 0o600); err != nil {
		return err
	}
	return os.Rename(temp, filepath.Join(s.dir, positionFile))
}

// sweep deletes the segments that are wholly acknowledged, but for the one that is written to. mu is held, or nobody else is there.
func (s *spool) sweep() {
	s.segments = slices.DeleteFunc(s.segments, func(number int64) bool {
		if number >= s.at.segment {
			return false
		}
		err := os.Remove(s.path(number))
		return err == nil || errors.Is(err, fs.ErrNotExist)
	})
}

// usage is what waits.
func (s *spool) usage() (records, size int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.records, s.bytes
}

func (s *spool) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = s.w.Sync()
	_ = s.w.Close()
	_ = s.lock.Close()
}

// deadLetters is the file of records that the receiver refused for ever. It is opened for each, so that it may be moved away.
type deadLetters struct {
	path string
	max  int64
	mu   sync.Mutex
}

var errDeadLettersFull = errors.New("the file of refused records is full: look at it, then move it away")

func (d *deadLetters) add(letter deadLetter) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	text, err := json.Marshal(letter)
	if err != nil {
		return err
	}
	if info, err := os.Stat(d.path); err == nil && info.Size()+int64(len(text)) > d.max {
		return errDeadLettersFull
	}
	l, err := openLines(d.path)
	if err != nil {
		return err
	}
	defer l.close()
	return l.append(append(text, '\n'))
}

// deadLetter is one record that was refused, and why.
type deadLetter struct {
	Refused Time            `json:"refused"`
	Status  int             `json:"status"`
	Answer  string          `json:"answer"` // the beginning of what the receiver said
	Record  json.RawMessage `json:"record"`
}

// printable keeps an answer readable.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
}
