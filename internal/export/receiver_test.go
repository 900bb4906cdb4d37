package export

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// receiver is a program that takes call records.
type receiver struct {
	*httptest.Server
	t      *testing.T
	answer func(id string, seen int) (status int, header map[string]string) // nil = 200 to all

	mu     sync.Mutex
	seen   map[string]int    // requests by id
	taken  map[string]string // what was answered 200, by id
	order  []string          // of what was taken, first times
	wrong  []string          // what was not as documented
	token  string            // that is wanted
	change chan struct{}
}

func newReceiver(t *testing.T, answer func(id string, seen int) (int, map[string]string)) *receiver {
	r := &receiver{t: t, answer: answer, seen: map[string]int{}, taken: map[string]string{}, change: make(chan struct{}, 1)}
	r.Server = httptest.NewUnstartedServer(r)
	return r
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	var rec Record
	if err == nil {
		err = json.Unmarshal(body, &rec)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case err != nil:
		r.wrong = append(r.wrong, err.Error())
	case rec.Version != Version || rec.ID != req.Header.Get("Idempotency-Key"):
		r.wrong = append(r.wrong, "key "+req.Header.Get("Idempotency-Key")+" of "+string(body))
	case req.Method != http.MethodPost || req.Header.Get("Content-Type") != "application/json":
		r.wrong = append(r.wrong, req.Method+" "+req.Header.Get("Content-Type"))
	case r.token != "" && req.Header.Get("Authorization") != "Bearer "+r.token:
		w.WriteHeader(http.StatusUnauthorized)
		r.seen[rec.ID]++
		r.note()
		return
	}
	r.seen[rec.ID]++
	status, header := http.StatusOK, map[string]string(nil)
	if r.answer != nil {
		status, header = r.answer(rec.ID, r.seen[rec.ID])
	}
	if old, again := r.taken[rec.ID]; again && old != string(body) {
		r.wrong = append(r.wrong, "the same id with other content: "+string(body))
	}
	if status < 300 {
		if _, again := r.taken[rec.ID]; !again {
			r.order = append(r.order, rec.ID)
		}
		r.taken[rec.ID] = string(body)
	}
	for name, value := range header {
		w.Header().Set(name, value)
	}
	w.WriteHeader(status)
	_, _ = io.WriteString(w, "what I think of "+rec.ID)
	r.note()
}

func (r *receiver) note() {
	select {
	case r.change <- struct{}{}:
	default:
	}
}

// until waits for a fact about what was received.
func (r *receiver) until(what string, is func(r *receiver) bool) {
	r.t.Helper()
	timeout := time.After(20 * time.Second)
	for {
		r.mu.Lock()
		ok := is(r)
		r.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-r.change:
		case <-timeout:
			r.mu.Lock()
			defer r.mu.Unlock()
			r.t.Fatalf("never: %s; taken %d, asked for %v", what, len(r.taken), r.seen)
		}
	}
}

func (r *receiver) nothingWrong() {
	r.t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.wrong) > 0 {
		r.t.Errorf("received what is not documented: %s", strings.Join(r.wrong, "\n"))
	}
}
