package provision_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/signalbox/signalbox/internal/provision"
	"github.com/signalbox/signalbox/internal/webhook"
)

// A tenant's receiver takes every webhook and answers none.
func TestReceiverThatHangsHoldsUpNobodysRequests(t *testing.T) {
	t.Parallel()
	var told sync.WaitGroup
	told.Add(8)
	hang := make(chan struct{})
	receiver := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		told.Done()
		<-hang
	}))
	defer receiver.Close()
	defer close(hang)
	d := newDesk(t, func(o *provision.Options) {
		o.Hooks = map[string]webhook.Options{"dead": {URL: receiver.URL}}
	})
	for i := range 8 {
		id := fmt.Sprintf("u-%d", i)
		if _, err := d.Submit(t.Context(), "dead", provision.Request{ID: id, UserProfile: id, Services: []provision.Service{{Type: "sms"}}}); err != nil {
			t.Fatal(err)
		}
	}
	told.Wait()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if _, err := d.Submit(ctx, "acme", add("r1", alice)); err != nil {
		t.Fatal(err)
	}
	if status, err := d.Wait(ctx, "acme", "r1"); err != nil || status.Status != provision.Done {
		t.Errorf("another tenant's request waits: %+v, %v", status, err)
	}
}
