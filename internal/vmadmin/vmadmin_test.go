package vmadmin_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/signalbox/signalbox/internal/vmadmin"
	"github.com/signalbox/signalbox/internal/vmadmin/vmadmintest"
)

func system(t *testing.T, url string) *vmadmin.System {
	t.Helper()
	s, err := vmadmin.New(vmadmin.Options{FQDN: "vm.example.net", URL: url, Token: vmadmintest.Token})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestMailboxIsMadeChangedListedAndDeleted(t *testing.T) {
	far := vmadmintest.New()
	defer far.Close()
	s := system(t, far.Base()+"/")
	ids := []string{"+14155550100", "a#b*c", "1 2/3?x=y"} // all that is hostile in a URL stays an id
	for _, id := range ids {
		m := vmadmin.Mailbox{ID: id, Number: "+14155550100", State: vmadmin.Active, Class: "basic"}
		if err := s.Put(t.Context(), m); err != nil {
			t.Fatalf("%s: %v", id, err)
		}
		m.State = vmadmin.Suspended
		if err := s.Put(t.Context(), m); err != nil {
			t.Fatalf("%s: %v", id, err)
		}
		if got, err := s.Get(t.Context(), id); err != nil || got != m {
			t.Errorf("%s is kept as %+v, %v", id, got, err)
		}
		if far.Made(id) != 1 {
			t.Errorf("%s was made %d times", id, far.Made(id))
		}
	}
	if page, err := s.List(t.Context(), "+14155550100", 1); err != nil || len(page) != 1 || page[0].ID != "1 2/3?x=y" {
		t.Errorf("a page after the first is %+v, %v", page, err)
	}
	for _, id := range ids {
		for range 2 { // deleting again is no error
			if err := s.Delete(t.Context(), id); err != nil {
				t.Errorf("deleting %s: %v", id, err)
			}
		}
		if _, err := s.Get(t.Context(), id); !errors.Is(err, vmadmin.ErrNotFound) {
			t.Errorf("after its deletion %s gives %v", id, err)
		}
	}
}

func TestAllGoesThroughEveryPage(t *testing.T) {
	far := vmadmintest.New()
	defer far.Close()
	for i := range vmadmin.MaxPage + 500 {
		id := fmt.Sprintf("+1415%07d", i)
		far.Store(vmadmin.Mailbox{ID: id, Number: id})
	}
	n := 0
	for _, err := range system(t, far.Base()).All(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	if n != vmadmin.MaxPage+500 {
		t.Errorf("went through %d mailboxes", n)
	}
}

func TestErrorsSayWhetherToTryAgain(t *testing.T) {
	far := vmadmintest.New()
	s := system(t, far.Base())
	for status, again := range map[int]bool{400: false, 401: false, 409: false, 429: true, 500: true, 501: false, 503: true, 302: false} {
		far.FailWith(func(string, string) int { return status })
		err := s.Put(t.Context(), vmadmin.Mailbox{ID: "+14155550100", Number: "+14155550100"})
		if err == nil || vmadmin.Temporary(err) != again {
			t.Errorf("%d: %v, to be tried again: %v", status, err, vmadmin.Temporary(err))
		}
	}
	far.Close()
	if err := s.Delete(t.Context(), "+14155550100"); !vmadmin.Temporary(err) || strings.Contains(err.Error(), "4155550100") {
		t.Errorf("a system that is gone: %v", err)
	}
	if vmadmin.Temporary(nil) {
		t.Error("success is tried again")
	}
}

// TestFarEndsThatMisbehave have redirects, endless and foreign answers.
func TestFarEndsThatMisbehave(t *testing.T) {
	elsewhere := 0
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere++ }))
	defer other.Close()
	answers := map[string]http.HandlerFunc{
		"redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, other.URL, http.StatusTemporaryRedirect)
		},
		"endless": func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 5<<20)) },
		"HTML":    func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) },
		"not sorted": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte(`{"mailboxes":[{"id":"b"},{"id":"a"}]}`))
		},
		"for ever": func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"mailboxes":[{"id":"b"}]}`)) },
	}
	for name, answer := range answers {
		far := httptest.NewServer(answer)
		var err error
		for _, err = range system(t, far.URL).All(t.Context()) {
			if err != nil {
				break
			}
		}
		if err == nil {
			t.Errorf("%s: no error", name)
		}
		far.Close()
	}
	if elsewhere != 0 {
		t.Error("the redirect was followed, with the token")
	}
}

func TestURLsThatCannotBeUsed(t *testing.T) {
	for _, bad := range []string{"", "vm.example.net", "ftp://vm.example.net", "https://u:p@vm.example.net/", "https://vm.example.net/?x=1", "https://", "::"} {
		if _, err := vmadmin.New(vmadmin.Options{FQDN: "vm.example.net", URL: bad}); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}
