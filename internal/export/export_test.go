package export

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/signalbox/signalbox/internal/call"
	"github.com/signalbox/signalbox/internal/tel"
)

// rig is an Exporter that runs.
type rig struct {
	*Exporter
	t      *testing.T
	logged *observer.ObservedLogs
	cancel context.CancelFunc
	done   chan error
}

func run(t *testing.T, o Options) *rig {
	t.Helper()
	core, logged := observer.New(zap.InfoLevel)
	o.Logger = zap.New(core)
	if o.SpoolMax == 0 {
		o.SpoolMax = 1 << 20
	}
	if o.HTTP.Timeout == 0 {
		o.HTTP.Timeout = 2 * time.Second
	}
	x, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	x.backoffMin, x.takeTime, x.lastPosts = 5*time.Millisecond, 300*time.Millisecond, 2*time.Second
	r := &rig{Exporter: x, t: t, logged: logged, done: make(chan error, 1)}
	ctx, cancel := context.WithCancel(context.Background())
	r.cancel = cancel
	go func() { r.done <- x.Run(ctx) }()
	t.Cleanup(r.stop)
	return r
}

func (r *rig) stop() {
	if r.cancel == nil {
		return
	}
	r.cancel()
	r.cancel = nil
	if err := <-r.done; err != nil {
		r.t.Error(err)
	}
}

func (r *rig) take(ids ...string) {
	for _, id := range ids {
		r.Take(r.t.Context(), ended(id))
	}
}

// emptied waits until nothing waits in the spool.
func (r *rig) emptied() {
	r.t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(20 * time.Second); r.Stats().SpoolRecords > 0; <-tick.C {
		if time.Now().After(end) {
			r.t.Fatalf("the spool was never empty: %+v", r.Stats())
		}
	}
}

func ids(prefix string, n int) (out []string) {
	for i := range n {
		out = append(out, fmt.Sprintf("%s%d", prefix, i))
	}
	return out
}

func TestEveryRecordGoesToTheFileAndToTheReceiver(t *testing.T) {
	t.Parallel()
	rec := newReceiver(t, nil)
	rec.token = "s3cret"
	rec.StartTLS()
	defer rec.Close()
	dir := t.TempDir()
	ca := filepath.Join(dir, "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: rec.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "calls.jsonl")
	r := run(t, Options{JSONL: file, SpoolDir: filepath.Join(dir, "spool"), HTTP: HTTPOptions{URL: rec.URL, Token: "s3cret", CAFile: ca}})
	all := ids("call-", 50)
	r.take(all...)
	r.take("call-7") // the store took it at its second try
	rec.until("all were taken", func(rec *receiver) bool { return len(rec.taken) == 50 })
	r.stop()
	rec.nothingWrong()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for line := range strings.Lines(string(text)) {
		var out Record
		if err := json.Unmarshal([]byte(line), &out); err != nil {
			t.Fatalf("%v: %q", err, line)
		}
		got = append(got, out.ID)
	}
	if !slices.Equal(got, all) {
		t.Errorf("the file has %q", got)
	}
	if s := r.Stats(); s.Written != 50 || s.Delivered != 50 || s.SpoolRecords != 0 || s.Dropped != 0 || s.Refused != 0 {
		t.Errorf("%+v", s)
	}
}

func TestAReceiverThatIsDownGetsEverythingLater(t *testing.T) {
	t.Parallel()
	up := false
	rec := newReceiver(t, func(string, int) (int, map[string]string) {
		if up {
			return 204, nil
		}
		return 503, map[string]string{"Retry-After": "0"}
	})
	rec.Start()
	defer rec.Close()
	o := Options{SpoolDir: t.TempDir(), HTTP: HTTPOptions{URL: rec.URL}}
	first := run(t, o)
	first.take(ids("a", 30)...)
	rec.until("it was tried more than once", func(rec *receiver) bool { return rec.seen["a0"] >= 3 })
	first.stop()
	if s := first.Stats(); s.SpoolRecords != 30 || s.Delivered != 0 || s.Failed == 0 {
		t.Errorf("%+v", s)
	}
	if first.logged.FilterMessage("call records wait in the spool for the next start").Len() != 1 {
		t.Error("the log does not say that they wait")
	}
	second := run(t, o)
	second.take(ids("b", 3)...)
	rec.mu.Lock()
	up = true
	rec.mu.Unlock()
	rec.until("all were taken", func(rec *receiver) bool { return len(rec.taken) == 33 })
	rec.nothingWrong()
	second.stop()
	third := run(t, o)
	if s := third.Stats(); s.SpoolRecords != 0 {
		t.Errorf("after all were delivered the next start finds %+v", s)
	}
}

func TestAFullSpoolRefusesTheNewestAndSaysSo(t *testing.T) {
	t.Parallel()
	rec := newReceiver(t, func(string, int) (int, map[string]string) { return 500, nil })
	rec.Start()
	defer rec.Close()
	r := run(t, Options{SpoolDir: t.TempDir(), SpoolMax: 10_000, HTTP: HTTPOptions{URL: rec.URL}})
	r.take(ids("x", 50)...)
	s := r.Stats()
	if s.Dropped == 0 || s.Spooled+s.Dropped != 50 || s.SpoolBytes > 10_000 || s.SpoolRecords != s.Spooled {
		t.Errorf("%+v", s)
	}
	if n := r.logged.FilterMessageSnippet("the spool takes no more").Len(); n != 1 {
		t.Errorf("said %d times", n)
	}
	rec.mu.Lock()
	rec.answer = nil
	rec.mu.Unlock()
	rec.until("what was promised is delivered", func(rec *receiver) bool { return uint64(len(rec.taken)) == s.Spooled })
	r.emptied()
	r.take("later")
	rec.until("the next one too", func(rec *receiver) bool { return rec.taken["later"] != "" })
}

func TestAPanicCostsOneTry(t *testing.T) {
	rec := newReceiver(t, nil)
	rec.Start()
	defer rec.Close()
	var posts atomic.Int32
	x := run(t, Options{HTTP: HTTPOptions{URL: rec.URL}, SpoolDir: t.TempDir(), Posted: func(string, time.Duration) {
		if posts.Add(1) == 1 {
			panic("a bug")
		}
	}})
	x.take("a", "b")
	x.emptied()
	if n := x.logged.FilterMessage("panic while posting a call record").Len(); n != 1 || posts.Load() != 2 {
		t.Errorf("%d panics are logged, %d posts; want 1 and 2", n, posts.Load())
	}
}

func TestARecordThatIsRefusedIsSetAside(t *testing.T) {
	t.Parallel()
	rec := newReceiver(t, func(id string, _ int) (int, map[string]string) {
		if id == "bad1" {
			return 422, nil
		}
		return 200, nil
	})
	rec.Start()
	defer rec.Close()
	dir := t.TempDir()
	r := run(t, Options{SpoolDir: dir, HTTP: HTTPOptions{URL: rec.URL}})
	r.take("good0", "bad1", "good2")
	rec.until("the others were taken", func(rec *receiver) bool { return len(rec.taken) == 2 && rec.seen["bad1"] == 1 })
	r.stop()
	text, err := os.ReadFile(filepath.Join(dir, "dead-letter.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	var letter deadLetter
	var out Record
	if err := json.Unmarshal(text, &letter); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	if err := json.Unmarshal(letter.Record, &out); err != nil || out.ID != "bad1" || letter.Status != 422 || letter.Answer != "what I think of bad1" {
		t.Errorf("%+v, %v", letter, err)
	}
	if s := r.Stats(); s.Refused != 1 || s.SpoolRecords != 0 || s.Delivered != 2 {
		t.Errorf("%+v", s)
	}
	if r.logged.FilterMessageSnippet("refused by the receiver and set aside").Len() != 1 {
		t.Error("the log does not say so")
	}
}

func TestAWrongTokenOrURLLosesNothing(t *testing.T) {
	t.Parallel()
	rec := newReceiver(t, nil)
	rec.token = "new"
	rec.Start()
	defer rec.Close()
	o := HTTPOptions{URL: rec.URL, Token: "old", Timeout: time.Second}
	r := run(t, Options{SpoolDir: t.TempDir(), HTTP: o})
	r.take(ids("x", 3)...)
	rec.until("it was tried again", func(rec *receiver) bool { return rec.seen["x0"] >= 2 })
	if s := r.Stats(); s.Refused != 0 || s.SpoolRecords != 3 {
		t.Errorf("with a wrong token: %+v", s)
	}
	o.Token = "new"
	apply, err := r.Prepare(o)
	if err != nil {
		t.Fatal(err)
	}
	apply()
	rec.until("all were taken", func(rec *receiver) bool { return len(rec.taken) == 3 })
	rec.nothingWrong()
}

func TestARecordThatBreaksTheReceiverDoesNotHoldUpTheOthers(t *testing.T) {
	t.Parallel()
	rec := newReceiver(t, func(id string, _ int) (int, map[string]string) {
		if id == "poison" {
			return 500, nil
		}
		return 200, nil
	})
	rec.Start()
	defer rec.Close()
	r := run(t, Options{SpoolDir: t.TempDir(), HTTP: HTTPOptions{URL: rec.URL}})
	r.take("poison")
	r.take(ids("x", 40)...)
	rec.until("the others were taken", func(rec *receiver) bool { return len(rec.taken) == 40 && rec.seen["poison"] == overtaken })
	r.stop()
	if s := r.Stats(); s.Refused != 1 || s.SpoolRecords != 0 {
		t.Errorf("%+v", s)
	}
}

func TestWhichAnswersBlameTheRecord(t *testing.T) {
	for status, blames := range map[int]bool{
		400: true, 409: true, 413: true, 415: true, 422: true, 451: true,
		301: false, 302: false, 401: false, 403: false, 404: false, 405: false, 407: false, 408: false, 410: false, 421: false, 425: false, 429: false,
		500: false, 502: false, 503: false, 504: false,
	} {
		if blamesRecord(status) != blames {
			t.Errorf("%d: %v", status, !blames)
		}
	}
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for value, want := range map[string]time.Duration{
		"": 0, "7": 7 * time.Second, "-1": 0, "99999": maxRetryAfter, "soon": 0, now.Add(9 * time.Second).Format(http.TimeFormat): 9 * time.Second,
	} {
		if got := retryAfter(value, now); got != want {
			t.Errorf("Retry-After %q is %s, want %s", value, got, want)
		}
	}
}

func TestARedirectTakesTheTokenNowhere(t *testing.T) {
	t.Parallel()
	elsewhere := newReceiver(t, nil)
	elsewhere.Start()
	defer elsewhere.Close()
	rec := newReceiver(t, func(string, int) (int, map[string]string) { return 307, map[string]string{"Location": elsewhere.URL} })
	rec.Start()
	defer rec.Close()
	r := run(t, Options{SpoolDir: t.TempDir(), HTTP: HTTPOptions{URL: rec.URL, Token: "t"}})
	r.take("x")
	rec.until("it was tried again", func(rec *receiver) bool { return rec.seen["x"] >= 2 })
	if len(elsewhere.seen) != 0 {
		t.Error("the record went where nobody configured it to go")
	}
}

func TestPausesGrowToAMinute(t *testing.T) {
	x := &Exporter{backoffMin: backoffMin}
	for failures, want := range map[int]time.Duration{1: time.Second, 2: 2 * time.Second, 6: 32 * time.Second, 7: time.Minute, 1000: time.Minute} {
		low, high := x.backoff(failures, 0), x.backoff(failures, 0.999)
		if low != want/2 || high > want || high < want*9/10 {
			t.Errorf("after %d failures %s to %s, want half of %s to the whole", failures, low, high, want)
		}
	}
}

func TestWithoutAnythingToDoThereIsNoExporter(t *testing.T) {
	x, err := New(Options{})
	if x != nil || err != nil {
		t.Fatal(x, err)
	}
	x.Take(t.Context(), call.Record{})
	apply, err := x.Prepare(HTTPOptions{})
	apply()
	if err != nil || x.Run(t.Context()) != nil || x.Close() != nil || x.Stats() != (Stats{}) {
		t.Error("no exporter does something")
	}
}

func TestWhatCannotBeOpenedIsNamed(t *testing.T) {
	nowhere := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(nowhere, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for want, o := range map[string]Options{
		"records.jsonl":     {JSONL: filepath.Join(nowhere, "x")},
		"records.spool_dir": {HTTP: HTTPOptions{URL: "https://x"}, SpoolDir: filepath.Join(nowhere, "spool")},
		"records.http":      {HTTP: HTTPOptions{URL: "https://x", CAFile: nowhere}, SpoolDir: t.TempDir()},
	} {
		if _, err := New(o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}

func TestAFileThatWasMovedAwayIsLetGo(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "calls.jsonl")
	r := run(t, Options{JSONL: file})
	r.take("before")
	if err := os.Rename(file, file+".1"); err != nil {
		t.Fatal(err)
	}
	r.take("between") // logrotate has moved it and not yet sent the signal
	apply, err := r.Prepare(HTTPOptions{})
	if err != nil {
		t.Fatal(err)
	}
	apply()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(20 * time.Second); r.logged.FilterMessageSnippet("opened anew").Len() == 0 && time.Now().Before(end); <-tick.C {
	}
	r.take("after")
	for name, want := range map[string]int{file + ".1": 2, file: 1} {
		if text, err := os.ReadFile(name); err != nil || strings.Count(string(text), "\n") != want {
			t.Errorf("%s: %q, %v", filepath.Base(name), text, err)
		}
	}
}

// /dev/full takes no byte, as a full disk does.
func TestAFullDiskIsSaidOnceAndTheStoreHasTheRecord(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip(err)
	}
	f, err := os.Create(filepath.Join(t.TempDir(), "store"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	r := run(t, Options{JSONL: "/dev/full"})
	records := NewRecords(closedStore{f: f}, r.Exporter)
	for _, id := range ids("x", 3) {
		if err := records.Close(t.Context(), ended(id)); err != nil {
			t.Fatal(err)
		}
	}
	if text, err := os.ReadFile(f.Name()); err != nil || string(text) != "x0\nx1\nx2\n" {
		t.Errorf("the store has %q, %v", text, err)
	}
	if s := r.Stats(); s.Unwritten != 3 || s.Written != 0 {
		t.Errorf("%+v", s)
	}
	if n := r.logged.FilterMessageSnippet("are missing in the file").Len(); n != 1 {
		t.Errorf("said %d times", n)
	}
}

// A pipe that nobody reads is a disk that has fallen silent.
func TestASilentDiskIsWaitedForOnceAndNotAtTheEnd(t *testing.T) {
	t.Parallel()
	fifo := filepath.Join(t.TempDir(), "calls.jsonl")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Skip(err)
	}
	x, err := New(Options{JSONL: fifo})
	if err != nil {
		t.Fatal(err)
	}
	x.takeTime, x.lastPosts = 300*time.Millisecond, 300*time.Millisecond
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- x.Run(ctx) }()
	began := time.Now()
	const n = 200 // more than a pipe holds
	for _, id := range ids("x", n) {
		x.Take(t.Context(), ended(id))
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("%d records were waited for %s", n, took)
	}
	if s := x.Stats(); s.Written == n || s.Dropped != 0 {
		t.Fatalf("the disk is not silent: %+v", s)
	}
	cancel()
	select {
	case err := <-done:
		if err == nil || !strings.Contains(err.Error(), "the disk is silent") {
			t.Errorf("the end: %v", err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("a silent disk holds up the end")
	}
	_ = x.file.f.Close() // lets the writer go
}

// TestWhatWasWithheldIsNotForWhoWasCalled: the operator's record has it, that of the API has not.
func TestWhatWasWithheldIsNotForWhoWasCalled(t *testing.T) {
	r := call.Record{Arrival: call.Arrival{
		To: "+14155550100", From: tel.Identity{Name: "Olga", User: "+12125550123", Number: "+12125550123", Withheld: true},
		Diversions: []tel.Diversion{{User: "+14155550177", Number: "+14155550177", Privacy: "full"}, {User: "+14155550188", Number: "+14155550188"}, {User: "+14155550100", Number: "+14155550100", Privacy: "full"}},
	}}
	for name, tt := range map[string]struct {
		record Record
		shown  bool
	}{"operator": {Of(r), true}, "API": {Public(r), false}} {
		text, err := json.Marshal(tt.record)
		if err != nil {
			t.Fatal(err)
		}
		for _, private := range []string{"Olga", "2125550123", "4155550177"} {
			if strings.Contains(string(text), private) != tt.shown {
				t.Errorf("%s: %s shown %t, want %t: %s", name, private, !tt.shown, tt.shown, text)
			}
		}
		for _, open := range []string{"4155550188", "4155550100", `"withheld":true`} {
			if !strings.Contains(string(text), open) {
				t.Errorf("%s lacks %s: %s", name, open, text)
			}
		}
	}
}
