package sqlite_test

import (
	"errors"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/signalbox/signalbox/internal/call"
	"github.com/signalbox/signalbox/internal/store/sqlite"
)

// BenchmarkCallRecord writes the record of one call: its begin, its answer, its end.
func BenchmarkCallRecord(b *testing.B) {
	s, err := sqlite.Open(b.Context(), sqlite.Options{Path: filepath.Join(b.TempDir(), "signalbox.db")})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = s.Shut() }()
	begin := time.Now()
	for i := 0; b.Loop(); i++ {
		r := call.Record{ID: strconv.Itoa(i * 7919 % 1000003), Owner: "sidecar-1", UUID: strconv.Itoa(i * 104729 % 1000003), Node: "n1", Started: begin.Add(time.Duration(i)), Updated: begin}
		r.Note = string(make([]byte, 100))
		err := s.Open(b.Context(), r)
		r.Answered, r.Updated = begin.Add(time.Second), begin.Add(time.Second)
		err = errors.Join(err, s.Update(b.Context(), r))
		r.Ended, r.Updated, r.Result = begin.Add(time.Minute), begin.Add(time.Minute), call.Answered
		if err = errors.Join(err, s.Close(b.Context(), r)); err != nil {
			b.Fatal(err)
		}
	}
}
