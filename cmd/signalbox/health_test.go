package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestHealthSaysWhatReadyzSays(t *testing.T) {
	t.Parallel()
	f := newFolder(t)
	text, status := "ok\nstore ok\n", http.StatusOK
	process := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/readyz" {
			t.Errorf("asked for %s", r.URL.Path)
		}
		w.WriteHeader(status)
		if r.URL.Query().Get("format") == "json" {
			_ = json.NewEncoder(w).Encode(map[string]string{"status": strings.Fields(text)[0]})
			return
		}
		_, _ = w.Write([]byte(text))
	}))
	defer process.Close()
	_, port, _ := strings.Cut(strings.TrimPrefix(process.URL, "http://"), ":")
	run := func(env string, args ...string) result {
		c := f.command(t.Context(), append([]string{"health"}, args...)...)
		c.Env = append(c.Env, env, "http_proxy=http://127.0.0.1:1")
		var out, errs strings.Builder
		c.Stdout, c.Stderr = &out, &errs
		_ = c.Run()
		return result{c.ProcessState.ExitCode(), out.String(), errs.String()}
	}
	if r := run("SIGNALBOX_HTTP_LISTEN=0.0.0.0:" + port); r.status != 0 || r.out != text {
		t.Errorf("a process that is ready: %+v", r)
	}
	if r := run("SIGNALBOX_HTTP_PROXY_LISTEN=127.0.0.1:"+port, "--role", "proxy", "--format", "json"); r.status != 0 || !strings.Contains(r.out, `"status":"ok"`) {
		t.Errorf("a proxy that is ready: %+v", r)
	}
	text, status = "failed\nstore: the disk is full\n", http.StatusServiceUnavailable
	if r := run("SIGNALBOX_HTTP_LISTEN=127.0.0.1:" + port); r.status != 1 || !strings.Contains(r.err, "not ready: failed\nstore: the disk is full") || r.out != "" {
		t.Errorf("a process that is not ready: %+v", r)
	}
	if r := run("SIGNALBOX_HTTP_LISTEN=127.0.0.1:"+port, "--format", "json"); r.status != 1 || !strings.Contains(r.out, "failed") {
		t.Errorf("a process that is not ready, as JSON: %+v", r)
	}
	status = http.StatusNotFound
	if r := run("SIGNALBOX_HTTP_LISTEN=127.0.0.1:" + port); r.status != 1 || !strings.Contains(r.err, "somebody else") {
		t.Errorf("another program at the address: %+v", r)
	}
	if r := run("SIGNALBOX_HTTP_LISTEN="); r.status != 1 || !strings.Contains(r.err, "http.listen is empty") {
		t.Errorf("no address: %+v", r)
	}
	process.Close()
	if r := run("SIGNALBOX_HTTP_LISTEN=127.0.0.1:" + port); r.status != 1 || !strings.Contains(r.err, "is the process running") {
		t.Errorf("nobody there: %+v", r)
	}
}
