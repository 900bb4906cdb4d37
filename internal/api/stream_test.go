package api

import (
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestWhoDoesNotReadAStreamLosesHisPlace: the other end of the connection takes the head and nothing else.
func TestWhoDoesNotReadAStreamLosesHisPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		defer theirs.Close()
		began, ended := time.Now(), make(chan time.Duration, 1)
		server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			for sendPart(w, strings.Repeat("x", 100_000)) == nil {
			}
			ended <- time.Since(began)
		})}
		go func() { _ = server.Serve(&once{conn: ours, closed: make(chan struct{})}) }()
		if _, err := theirs.Write([]byte("GET / HTTP/1.1\r\nHost: a\r\n\r\n")); err != nil {
			t.Fatal(err)
		}
		if took := <-ended; took != partTime {
			t.Errorf("a follower who reads nothing was waited for %v, want %v", took, partTime)
		}
		_ = server.Close()
		synctest.Wait()
	})
}

// once is a listener of one connection.
type once struct {
	conn   net.Conn
	closed chan struct{}
}

func (o *once) Accept() (net.Conn, error) {
	if c := o.conn; c != nil {
		o.conn = nil
		return c, nil
	}
	<-o.closed
	return nil, net.ErrClosed
}

func (o *once) Close() error {
	close(o.closed)
	return nil
}

func (o *once) Addr() net.Addr { return &net.TCPAddr{} }

func TestOneTenantLeavesStreamsForOthers(t *testing.T) {
	var f follows
	for range maxFollows {
		if !f.begin("acme") {
			t.Fatal("fewer follow than may")
		}
	}
	if f.begin("acme") || !f.begin("other") {
		t.Error("one tenant has all streams, or none of the others has any")
	}
	f.end("acme")
	if !f.begin("acme") {
		t.Error("the place of who has gone is not free")
	}
}

func TestWhatIsAStream(t *testing.T) {
	for ask, want := range map[string]bool{
		"GET /accounts/h1/conferences/c1/events": true, "HEAD /accounts/h1/conferences/c1/events": false,
		"GET /accounts/events": false, "GET /accounts/h1/contacts/events": false, "GET /accounts/h1/conferences/events": false,
	} {
		method, path, _ := strings.Cut(ask, " ")
		r, err := http.NewRequest(method, path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := isStream(r); got != want {
			t.Errorf("%s: %t", ask, got)
		}
	}
}
