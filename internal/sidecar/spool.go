package sidecar

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"go.uber.org/zap"

	"github.com/signalbox/signalbox/internal/call"
)

// maxSpool bounds the spool file: some 50,000 records and more.
const maxSpool = 256 << 20

// spool is a file of call records that the store has not taken, one JSON object a line, the oldest first. It exists only
// while there are such records. Writing one of them to the store twice does no harm, so the file need not say how far it has
// been read: after a death all of it is written again. A line that is torn, or no record, is passed over and logged. It is used
// by one goroutine.
type spool struct {
	path string
	log  *zap.Logger

	size  int64 // of the whole lines in the file
	queue []call.Record
	more  int64 // where in the file the records behind queue begin
}

// spoolChunk is how many records are held in memory at once.
const spoolChunk = 1000

// load gives f what an earlier process left.
func (s *spool) load(f func(rec call.Record)) error {
	end, err := s.read(0, func(rec call.Record, _ int64) bool { f(rec); return true })
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	s.size = end
	return err
}

// read gives f the records from an offset on, each with the offset behind it, until f returns false or there is no whole line
// left, and returns the offset behind the last whole line it read.
func (s *spool) read(from int64, f func(rec call.Record, next int64) bool) (int64, error) {
	file, err := os.Open(s.path)
	if err != nil {
		return from, err
	}
	defer func() { _ = file.Close() }()
	if _, err := file.Seek(from, io.SeekStart); err != nil {
		return from, err
	}
	lines := bufio.NewReader(file)
	for at := from; ; {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			if len(line) > 0 {
				s.log.Error("the last line of the spool is torn, a record is lost", zap.String("file", s.path), zap.Int("bytes", len(line)))
			}
			return at, nil
		}
		if err != nil {
			return at, err
		}
		at += int64(len(line))
		var rec call.Record
		if err := json.Unmarshal(line, &rec); err != nil || rec.ID == "" {
			s.log.Error("a line of the spool is no call record and is passed over", zap.String("file", s.path), zap.Int64("ends_at_byte", at), zap.Error(err))
			continue
		}
		if !f(rec, at) {
			return at, nil
		}
	}
}

// first is the record that waits longest.
func (s *spool) first() (call.Record, bool) {
	if len(s.queue) == 0 && s.more < s.size {
		_, err := s.read(s.more, func(rec call.Record, next int64) bool {
			s.queue, s.more = append(s.queue, rec), next
			return len(s.queue) < spoolChunk
		})
		if err != nil {
			s.log.Error("the spool of call records cannot be read", zap.String("file", s.path), zap.Error(err))
			s.more = s.size // once said is enough; the file stays as it is
		} else if len(s.queue) == 0 { // no record in any of its lines
			s.clear()
		}
	}
	if len(s.queue) == 0 {
		return call.Record{}, false
	}
	return s.queue[0], true
}

// done takes the first record off. After the last one the file goes.
func (s *spool) done() {
	s.queue = s.queue[1:]
	if len(s.queue) == 0 && s.more >= s.size {
		s.clear()
	}
}

// rotate puts the first record behind the others.
func (s *spool) rotate() {
	if s.add(s.queue[:1]) == nil {
		s.done()
	}
}

func (s *spool) clear() {
	if err := os.Remove(s.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.log.Error("the spool of call records is written and cannot be removed", zap.String("file", s.path), zap.Error(err))
	}
	s.size, s.more = 0, 0
}

// add appends records: when it returns nil all of them are safe on the disk, else none.
func (s *spool) add(records []call.Record) error {
	file, err := os.OpenFile(s.path, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	var text []byte
	for _, rec := range records {
		line, err := json.Marshal(rec)
		if err != nil {
			return errors.Join(err, file.Close())
		}
		text = append(append(text, line...), '\n')
	}
	if s.size+int64(len(text)) > maxSpool {
		return errors.Join(fmt.Errorf("%s has %d bytes, at most %d", s.path, s.size, maxSpool), file.Close())
	}
	if err = file.Truncate(s.size); err == nil { // of a torn line nothing shall stay behind
		_, err = file.WriteAt(text, s.size)
	}
	if err == nil {
		err = file.Sync()
	}
	if err != nil {
		_ = file.Truncate(s.size)
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return err
	}
	s.size += int64(len(text))
	return nil
}
