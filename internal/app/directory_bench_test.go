package app_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/app"
	"github.com/signalbox/signalbox/internal/config"
	"github.com/signalbox/signalbox/internal/store"
)

// benchPhones are those in the store of BenchmarkDirectory.
const benchPhones = 100_000

// BenchmarkDirectory looks phones up as mod_xml_curl does, with a connection for each look-up, one after the other: "bare" is an HTTP
// server that always answers the same, and what the others cost is to be read against it.
func BenchmarkDirectory(b *testing.B) {
	c := config.Default()
	c.Store.SQLite = filepath.Join(b.TempDir(), "signalbox.db")
	c.Sidecar.Listen, c.HTTP.Listen, c.Log.Level = "127.0.0.1:0", "", "error"
	c.Directory.Listen, c.Directory.Password, c.Directory.KeepPhones = "127.0.0.1:0", "0123456789abcdef", benchPhones
	fillPhones(b, &c)
	a, err := app.New(app.Options{Config: &c, Role: app.Sidecar})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	defer func() { cancel(); <-done }()
	bare := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = w.Write([]byte(strings.Repeat("x", 800)))
	}))
	defer bare.Close()
	ours := "http://" + a.PhonesAddr().String() + "/directory"
	lookUps(b, "bare", 1, bare.URL, 0)
	lookUps(b, "found", 1, ours, 0)
	lookUps(b, "found-by-8", 8, ours, 0)
	lookUps(b, "not-found", 1, ours, benchPhones)
	for _, end := range []string{"", "-wal", "-shm"} {
		_ = os.Rename(c.Store.SQLite+end, c.Store.SQLite+end+".away")
	}
	lookUps(b, "store-gone", 1, ours, 0)
}

// fillPhones provisions a number with a phone for each of benchPhones.
func fillPhones(b *testing.B, c *config.Config) {
	s, err := app.OpenStore(b.Context(), c)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = s.Shut() }()
	changes := []store.Change{{Op: store.Put, Entry: &account.AccountEntry{ID: "ada", Name: "Ada Lovelace"}}}
	for i := range benchPhones {
		changes = append(changes, store.Change{Op: store.Put, Entry: &account.NumberEntry{Number: fmt.Sprintf("+1415%07d", 2000000+i), Account: "ada",
			Devices: []account.DeviceEntry{{User: fmt.Sprint(i), Host: "pbx.example.net", A1Hash: strings.Repeat("0a", 16)}}}})
	}
	for part := range slices.Chunk(changes, 1000) {
		if _, err := s.Change(b.Context(), account.OperatorTenant, part, time.Now()); err != nil {
			b.Fatal(err)
		}
	}
}

// lookUps asks at an address for phones from first on, a thousand different ones again and again, and gives the rate and the 99th
// percentile.
func lookUps(b *testing.B, name string, clients int, address string, first int) {
	b.Run(name, func(b *testing.B) {
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
		took := make([]time.Duration, b.N)
		var all sync.WaitGroup
		b.ResetTimer()
		for n := range clients {
			all.Go(func() {
				for i := n; i < b.N; i += clients {
					user := fmt.Sprint(first + i*97%1000)
					form := url.Values{"hostname": {"fs1"}, "section": {"directory"}, "tag_name": {"domain"}, "key_name": {"name"}, "key_value": {"pbx.example.net"},
						"key": {"id"}, "user": {user}, "domain": {"pbx.example.net"}, "action": {"sip_auth"}}
					began := time.Now()
					req, err := http.NewRequestWithContext(b.Context(), http.MethodPost, address, strings.NewReader(form.Encode()))
					if err != nil {
						b.Error(err)
						return
					}
					req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
					req.SetBasicAuth("freeswitch", "0123456789abcdef")
					resp, err := client.Do(req)
					if err != nil {
						b.Error(err)
						return
					}
					_, _ = io.Copy(io.Discard, resp.Body)
					_ = resp.Body.Close()
					if took[i] = time.Since(began); resp.StatusCode != http.StatusOK && i >= 1000 {
						b.Errorf("phone %s: %s", user, resp.Status)
						return
					}
				}
			})
		}
		all.Wait()
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "lookups/s")
		slices.Sort(took)
		b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-us")
	})
}
