package load

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// clockTick is the unit of processor times in /proc: Linux tells every program 100 a second.
const clockTick = 10 * time.Millisecond

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
	proc := filepath.Join("/proc", strconv.Itoa(s.pid))
	files, err := os.ReadDir(filepath.Join(proc, "fd"))
	if err != nil {
		return p, fmt.Errorf("%s: %w", s.name, err)
	}
	p.files = len(files)
	status, err := os.ReadFile(filepath.Join(proc, "status"))
	if err != nil {
		return p, fmt.Errorf("%s: %w", s.name, err)
	}
	kB, err := number(string(status), "VmRSS:")
	if err != nil {
		return p, fmt.Errorf("%s: %w", s.name, err)
	}
	p.resident = kB << 10
	stat, err := os.ReadFile(filepath.Join(proc, "stat"))
	if err != nil {
		return p, fmt.Errorf("%s: %w", s.name, err)
	}
	if p.cpu, err = processorTime(stat); err != nil {
		return p, fmt.Errorf("%s: %w", s.name, err)
	}
	if s.http == "" {
		return p, nil
	}
	text, err := s.get(ctx, "/metrics")
	if err != nil {
		return p, err
	}
	goroutines, err := number(text, "\nsignalbox_process_goroutines ")
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
	p.heap, err = number(text, "# HeapAlloc = ")
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

// number reads the first number behind a mark.
func number(text, mark string) (uint64, error) {
	_, rest, found := strings.Cut(text, mark)
	rest = strings.TrimLeft(rest, " \t")
	end := strings.IndexFunc(rest, func(r rune) bool { return r < '0' || r > '9' })
	if !found || end <= 0 {
		return 0, fmt.Errorf("no number behind %q", mark)
	}
	return strconv.ParseUint(rest[:end], 10, 64)
}

// processorTime reads user and system time from /proc/PID/stat, of all threads (proc(5)).
func processorTime(stat []byte) (time.Duration, error) {
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) < 13 {
		return 0, fmt.Errorf("/proc/PID/stat reads %.80q", stat)
	}
	user, err := strconv.ParseUint(fields[11], 10, 64)
	if err != nil {
		return 0, err
	}
	system, err := strconv.ParseUint(fields[12], 10, 64)
	return time.Duration(user+system) * clockTick, err
}
