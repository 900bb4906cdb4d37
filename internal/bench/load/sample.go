package load

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/signalbox/signalbox/internal/bench/proc"
)

// sample is what one process holds at one moment.
type sample struct {
	goroutines int
	files      int    // open descriptors
	resident   uint64 // bytes
	heap       uint64 // bytes in use; only of settled
	cpu        time.Duration
}

// subject is one process that is looked at.
type subject struct {
	name string
	pid  int
	http string // host:port of its operator's listener; "" = not a Go program of ours
}

// look takes a sample. A process of ours is asked for its goroutines.
func (s subject) look(ctx context.Context) (p sample, err error) {
	u, err := proc.Look(s.pid)
	if err != nil {
		return p, fmt.Errorf("%s: %w", s.name, err)
	}
	p.files, p.resident, p.cpu = u.Files, u.Resident, u.CPU
	if s.http == "" {
		return p, nil
	}
	text, err := s.get(ctx, "/metrics")
	if err != nil {
		return p, err
	}
	goroutines, err := proc.Number(text, "\nsignalbox_process_goroutines ")
	p.goroutines = int(goroutines)
	return p, err
}

// settled is look, and the heap after a garbage collection.
func (s subject) settled(ctx context.Context) (p sample, err error) {
	if s.http == "" {
		return s.look(ctx)
	}
	text, err := s.get(ctx, "/debug/pprof/heap?gc=1&debug=1")
	if err != nil {
		return p, err
	}
	if p, err = s.look(ctx); err != nil {
		return p, err
	}
	p.heap, err = proc.Number(text, "# HeapAlloc = ")
	return p, err
}

func (s subject) get(ctx context.Context, path string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.http+path, nil)
	if err != nil {
		return "", err
	}
	req.Close = true // a connection that is kept costs the process that is looked at a goroutine and a descriptor
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", fmt.Errorf("asking the %s: %w", s.name, err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 16<<20))
	if err == nil && resp.StatusCode != http.StatusOK {
		err = errors.New(resp.Status)
	}
	if err != nil {
		return "", fmt.Errorf("asking the %s for %s: %w", s.name, path, err)
	}
	return string(text), nil
}
