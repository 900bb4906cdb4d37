package app_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/signalbox/signalbox/internal/app"
	"github.com/signalbox/signalbox/internal/config"
	"github.com/signalbox/signalbox/internal/export"
	"github.com/signalbox/signalbox/internal/fsw/fswtest"
)

func TestAFinishedCallIsGivenToOthers(t *testing.T) {
	t.Parallel()
	posted := make(chan export.Record, 10)
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		var rec export.Record
		if err := json.NewDecoder(req.Body).Decode(&rec); err != nil || req.Header.Get("Authorization") != "Bearer s3cret" || req.Header.Get("Idempotency-Key") != rec.ID {
			t.Errorf("%v %v", err, req.Header)
		}
		posted <- rec
	}))
	defer receiver.Close()
	file := filepath.Join(t.TempDir(), "calls.jsonl")
	r := newRig(t, app.Sidecar, func(c *config.Config) {
		c.Records.JSONL, c.Records.HTTP.URL, c.Records.HTTP.Token = file, receiver.URL, "s3cret"
	})
	call := r.Place(r.carrier, invite(), r.Switch.ExternalAddr())
	r.Incoming(r.phone, 1).Answer()
	r.Status(call, 200)
	call.Hangup()
	var got export.Record
	select {
	case got = <-posted:
	case <-time.After(fswtest.Patience):
		t.Fatal("nothing was posted")
	}
	eventually(t, "the store has the end", func() bool { return !r.records(t)[0].Open() })
	rec := r.records(t)[0]
	if got.ID != rec.ID || got.Result != "answered" || got.Answered.IsZero() || got.Called.Account != rec.Plan.Account || len(got.Steps) != len(rec.Steps) || got.Version != export.Version {
		t.Errorf("posted %+v of %+v", got, rec)
	}
	eventually(t, "the spool is empty", func() bool {
		resp, err := http.Get("http://" + r.app.HTTPAddr().String() + "/metrics")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }()
		text, _ := io.ReadAll(resp.Body)
		return strings.Contains(string(text), `signalbox_export_records_total{result="delivered"} 1`) && strings.Contains(string(text), "signalbox_export_spool_records 0")
	})
	if text, err := os.ReadFile(file); err != nil || strings.Count(string(text), "\n") != 1 || !strings.Contains(string(text), rec.ID) {
		t.Errorf("the file has %q, %v", text, err)
	}
	if err := r.app.Reload(r.config); err != nil {
		t.Error(err)
	}
	bad := copied(r.config, func(c *config.Config) { c.Records.HTTP.CAFile = file })
	if err := r.app.Reload(bad); err == nil || !strings.Contains(err.Error(), "records.http") {
		t.Errorf("a file without certificates: %v", err)
	}
}
