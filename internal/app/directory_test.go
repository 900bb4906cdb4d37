package app_test

import (
	"crypto/tls"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/app"
	"github.com/signalbox/signalbox/internal/config"
)

// TestTheDirectoryOutlivesTheStore runs a sidecar that FreeSWITCH asks for a phone by TLS: before and after the certificate is renewed,
// and when the database is gone.
func TestTheDirectoryOutlivesTheStore(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	writeCertificate(t, dir, 1)
	c := settings(t)
	c.Directory.Listen, c.Directory.Cert, c.Directory.Key = "127.0.0.1:0", filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	c.Directory.Password = "0123456789abcdef"
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	a, _ := start(t, app.Options{Config: c, Role: app.Sidecar})
	s, err := app.OpenStore(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	hash := strings.Repeat("0a", 16)
	_, err = s.Apply(t.Context(), account.Document{
		Accounts: []account.AccountEntry{{ID: "ada"}},
		Numbers:  []account.NumberEntry{{Number: "+14155550100", Account: "ada", Devices: []account.DeviceEntry{{User: "1000", Host: "pbx.example.net", A1Hash: hash}}}},
	}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Shut(); err != nil {
		t.Fatal(err)
	}
	ask := func(user string) (status int, text string, serial int64) {
		t.Helper()
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true}}
		form := url.Values{"section": {"directory"}, "tag_name": {"domain"}, "key_name": {"name"}, "key_value": {"pbx.example.net"}, "domain": {"pbx.example.net"}, "user": {user}}
		req, err := http.NewRequestWithContext(t.Context(), "POST", "https://"+a.PhonesAddr().String()+"/directory", strings.NewReader(form.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.SetBasicAuth("freeswitch", c.Directory.Password.Reveal())
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(body), resp.TLS.PeerCertificates[0].SerialNumber.Int64()
	}
	if status, text, serial := ask("1000"); status != 200 || !strings.Contains(text, hash) || serial != 1 {
		t.Errorf("%d %s, certificate %d", status, text, serial)
	}
	if status, text, _ := ask("1001"); status != 200 || !strings.Contains(text, "not found") {
		t.Errorf("nobody: %d %s", status, text)
	}
	writeCertificate(t, dir, 2)
	if err := a.Reload(copied(c, func(c *config.Config) { c.Region = "DE" })); err != nil {
		t.Fatal(err)
	}
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if err := os.Rename(c.Store.SQLite+suffix, c.Store.SQLite+suffix+".away"); err != nil && suffix == "" {
			t.Fatal(err)
		}
	}
	if status, text, serial := ask("1000"); status != 200 || !strings.Contains(text, hash) || serial != 2 {
		t.Errorf("without the database: %d %s, certificate %d", status, text, serial)
	}
	if status, _, _ := ask("1001"); status != 503 {
		t.Errorf("without the database, nobody: %d", status)
	}
}
