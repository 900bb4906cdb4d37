package telemetry

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func good(context.Context) error { return nil }

func bad(context.Context) error { return errors.New("it is gone: put it back") }

func TestWhatCallsNeedDecidesAndTheRestIsSaid(t *testing.T) {
	for _, tt := range []struct {
		name   string
		checks []Check
		want   Status
	}{
		{"nothing to check", nil, OK},
		{"all good", []Check{{Name: "a", Run: good}, {Name: "b", Advisory: true, Run: good}}, OK},
		{"an advisory one fails", []Check{{Name: "a", Run: good}, {Name: "b", Advisory: true, Run: bad}}, Degraded},
		{"a needed one fails", []Check{{Name: "a", Run: bad}, {Name: "b", Advisory: true, Run: bad}}, Failed},
		{"one panics", []Check{{Name: "a", Run: func(context.Context) error { panic("oh") }}}, Failed},
	} {
		r := NewChecks(tt.checks...).Report(t.Context())
		if r.Status != tt.want || len(r.Checks) != len(tt.checks) {
			t.Errorf("%s: %+v, want %s", tt.name, r, tt.want)
		}
		for i, c := range tt.checks {
			if r.Checks[i].Name != c.Name || r.Checks[i].OK == (r.Checks[i].Detail != "") {
				t.Errorf("%s: check %d is %+v", tt.name, i, r.Checks[i])
			}
		}
	}
}

func TestACheckThatHangsFailsAndIsNotStartedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var started atomic.Int64
		release := make(chan struct{})
		checks := NewChecks(Check{Name: "hangs", Run: func(context.Context) error {
			started.Add(1)
			<-release
			return nil
		}}, Check{Name: "fine", Run: good})
		for i := range 3 {
			began := time.Now()
			r := checks.Report(t.Context())
			if r.Status != Failed || !strings.Contains(r.Checks[0].Detail, "no answer for") || !r.Checks[1].OK {
				t.Errorf("look %d: %+v", i, r)
			}
			if took := time.Since(began); took > checkTime {
				t.Errorf("look %d took %s", i, took)
			}
		}
		if n := started.Load(); n != 1 {
			t.Errorf("the check was started %d times", n)
		}
		close(release)
		synctest.Wait()
		if r := checks.Report(t.Context()); r.Status != OK {
			t.Errorf("after it has recovered: %+v", r)
		}
	})
}

// serve runs a Server until the test ends.
func serve(t *testing.T, o ServerOptions) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	o.Listener = l
	if o.Metrics == nil {
		o.Metrics = NewRegistry("all")
	}
	s := NewServer(o)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return "http://" + s.Addr().String()
}

func get(t *testing.T, url string) (int, string, http.Header) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body), resp.Header
}

func TestHealthIsAnsweredAsTextAndAsJSON(t *testing.T) {
	url := serve(t, ServerOptions{
		Alive: NewChecks(Check{Name: "loop", Run: good}),
		Ready: NewChecks(Check{Name: "store", Run: bad}, Check{Name: "link_fs1", Advisory: true, Run: bad}),
	})
	if code, body, _ := get(t, url+"/healthz"); code != 200 || body != "ok\n  ok      loop\n" {
		t.Errorf("/healthz: %d %q", code, body)
	}
	code, body, _ := get(t, url+"/readyz")
	if code != 503 || body != "failed\n  FAILED  store: it is gone: put it back\n  warning link_fs1: it is gone: put it back\n" {
		t.Errorf("/readyz: %d %q", code, body)
	}
	code, body, header := get(t, url+"/readyz?format=json")
	var r Report
	if err := json.Unmarshal([]byte(body), &r); err != nil {
		t.Fatalf("%v: %q", err, body)
	}
	if code != 503 || header.Get("Content-Type") != "application/json" || r.Status != Failed || len(r.Checks) != 2 || r.Checks[0].Name != "store" || r.Checks[0].OK {
		t.Errorf("/readyz as JSON: %d %+v", code, r)
	}
}

func TestProfilesAreThereOnlyWhenConfigured(t *testing.T) {
	checks := NewChecks()
	for _, want := range []bool{false, true} {
		url := serve(t, ServerOptions{Alive: checks, Ready: checks, Pprof: want})
		if code, _, _ := get(t, url+"/debug/pprof/"); (code == 200) != want {
			t.Errorf("pprof %v: %d", want, code)
		}
		for path, code := range map[string]int{"/": 200, "/metrics": 200, "/nothing": 404} {
			if got, _, _ := get(t, url+path); got != code {
				t.Errorf("%s: %d, want %d", path, got, code)
			}
		}
		resp, err := http.Post(url+"/metrics", "text/plain", strings.NewReader("x"))
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != 405 {
			t.Errorf("POST /metrics: %d", resp.StatusCode)
		}
	}
}
