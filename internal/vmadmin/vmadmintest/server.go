// Package vmadmintest is a voicemail system's mailboxes for tests: a small program that behaves as package vmadmin describes, and
// that can be made to fail. It is safe for concurrent use.
package vmadmintest

import (
	"cmp"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/signalbox/signalbox/internal/vmadmin"
)

// Token is what a Server asks for.
const Token = "vm-secret"

// Server is one voicemail system.
type Server struct {
	*httptest.Server

	mu       sync.Mutex
	boxes    map[string]vmadmin.Mailbox
	made     map[string]int // PUTs that made a mailbox, by id
	requests []string       // "PUT +14155550100"
	fail     func(method, id string) int
}

// New starts a Server. Close it.
func New() *Server {
	s := &Server{boxes: map[string]vmadmin.Mailbox{}, made: map[string]int{}}
	mux := http.NewServeMux()
	mux.HandleFunc("PUT /vm/mailboxes/{id}", s.put)
	mux.HandleFunc("GET /vm/mailboxes/{id}", s.get)
	mux.HandleFunc("DELETE /vm/mailboxes/{id}", s.remove)
	mux.HandleFunc("GET /vm/mailboxes", s.list)
	s.Server = httptest.NewServer(s.checked(mux))
	return s
}

// Base is the URL to configure.
func (s *Server) Base() string { return s.URL + "/vm" }

// FailWith makes requests end with the status that fail returns, unless it is 0; nil = none fails any more. The request of a
// list has the id "".
func (s *Server) FailWith(fail func(method, id string) int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail = fail
}

// Mailboxes are those that exist, by id.
func (s *Server) Mailboxes() []vmadmin.Mailbox {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sorted()
}

// Mailbox is one of them.
func (s *Server) Mailbox(id string) (vmadmin.Mailbox, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m, ok := s.boxes[id]
	return m, ok
}

// Made is how often a mailbox was made that did not exist.
func (s *Server) Made(id string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.made[id]
}

// Requests are all that came, as "PUT +14155550100".
func (s *Server) Requests() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.requests)
}

// Store makes a mailbox behind everybody's back; Drop deletes one.
func (s *Server) Store(m vmadmin.Mailbox) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.boxes[m.ID] = m
}

// Drop deletes a mailbox behind everybody's back.
func (s *Server) Drop(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.boxes, id)
}

func (s *Server) sorted() []vmadmin.Mailbox {
	var all []vmadmin.Mailbox
	for _, m := range s.boxes {
		all = append(all, m)
	}
	slices.SortFunc(all, func(a, b vmadmin.Mailbox) int { return cmp.Compare(a.ID, b.ID) })
	return all
}

func (s *Server) checked(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, id, _ := strings.Cut(r.URL.Path, "/mailboxes/")
		s.mu.Lock()
		s.requests = append(s.requests, r.Method+" "+id)
		fail := s.fail
		s.mu.Unlock()
		if r.Header.Get("Authorization") != "Bearer "+Token {
			http.Error(w, "who are you?", http.StatusUnauthorized)
			return
		}
		if fail != nil {
			if status := fail(r.Method, id); status != 0 {
				http.Error(w, "made to fail", status)
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

func (s *Server) put(w http.ResponseWriter, r *http.Request) {
	var m vmadmin.Mailbox
	if err := json.NewDecoder(r.Body).Decode(&m); err != nil || m.ID != r.PathValue("id") || m.Number == "" {
		http.Error(w, "no mailbox", http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	status := http.StatusOK
	if _, exists := s.boxes[m.ID]; !exists {
		s.made[m.ID]++
		status = http.StatusCreated
	}
	s.boxes[m.ID] = m
	w.WriteHeader(status)
}

func (s *Server) get(w http.ResponseWriter, r *http.Request) {
	m, ok := s.Mailbox(r.PathValue("id"))
	if !ok {
		http.NotFound(w, r)
		return
	}
	_ = json.NewEncoder(w).Encode(m)
}

func (s *Server) remove(w http.ResponseWriter, r *http.Request) {
	if _, ok := s.Mailbox(r.PathValue("id")); !ok {
		http.NotFound(w, r)
		return
	}
	s.Drop(r.PathValue("id"))
	w.WriteHeader(http.StatusNoContent)
}

func (s *Server) list(w http.ResponseWriter, r *http.Request) {
	limit, _ := strconv.Atoi(r.URL.Query().Get("limit"))
	page := []vmadmin.Mailbox{}
	for _, m := range s.Mailboxes() {
		if m.ID > r.URL.Query().Get("after") && len(page) < limit {
			page = append(page, m)
		}
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"mailboxes": page})
}
