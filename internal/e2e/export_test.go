package e2e

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/signalbox/signalbox/internal/export"
	"github.com/signalbox/signalbox/internal/lab"
)

// billing is a receiver of call records that is not always well.
type billing struct {
	*httptest.Server
	mu       sync.Mutex
	requests int
	taken    map[string]int // by id, how often
	wrong    []string
}

func newBilling(t *testing.T) *billing {
	b := &billing{taken: map[string]int{}}
	b.Server = httptest.NewServer(b)
	t.Cleanup(b.Close)
	return b
}

func (b *billing) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var rec export.Record
	err := json.NewDecoder(r.Body).Decode(&rec)
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.requests++; b.requests%5 == 0 {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	if err != nil || rec.ID == "" || rec.ID != r.Header.Get("Idempotency-Key") || rec.Version != export.Version || rec.Ended.IsZero() {
		b.wrong = append(b.wrong, r.Header.Get("Idempotency-Key"))
	}
	b.taken[rec.ID]++
}

// hasEverything waits until every call that has ended by the store's word was received.
func (b *billing) hasEverything(ctx context.Context, t *testing.T, rig *lab.Rig) {
	t.Helper()
	again := time.NewTicker(100 * time.Millisecond)
	defer again.Stop()
	var missing []string
	ended := 0
	for end := time.Now().Add(15 * time.Second); time.Now().Before(end); <-again.C {
		records, err := rig.Records(ctx)
		if err != nil {
			t.Fatal(err)
		}
		missing, ended = nil, 0
		b.mu.Lock()
		for _, rec := range records {
			if rec.Open() {
				continue
			}
			if ended++; b.taken[rec.ID] == 0 {
				missing = append(missing, rec.ID)
			}
		}
		b.mu.Unlock()
		if len(missing) == 0 {
			break
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(missing) > 0 || len(b.wrong) > 0 || ended == 0 {
		t.Errorf("of %d records of ended calls the receiver has not %q; wrong were %q", ended, missing, b.wrong)
	}
	t.Logf("%d records of ended calls, all received, by %d requests", ended, b.requests)
}
