package app_test

import (
	"crypto/tls"
	"encoding/json"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/signalbox/signalbox/internal/api"
	"github.com/signalbox/signalbox/internal/app"
	"github.com/signalbox/signalbox/internal/config"
	"github.com/signalbox/signalbox/internal/store"
	"github.com/signalbox/signalbox/internal/tel"
)

// TestTheAPIProvisionsByTLS runs the sidecar with the API: a subscriber is made, has messages, and loses voicemail and the lamp's light;
// the certificate is renewed by a reload.
func TestTheAPIProvisionsByTLS(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	writeCertificate(t, dir, 1)
	c := settings(t)
	c.API.Listen, c.API.Cert, c.API.Key = "127.0.0.1:0", filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	a, _ := start(t, app.Options{Config: c, Role: app.Sidecar})
	s, err := app.OpenStore(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Shut() })
	token, kept, err := api.NewToken(store.Token{Tenant: "operator", Scopes: []string{string(api.Admin)}, Created: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.AddToken(t.Context(), kept); err != nil {
		t.Fatal(err)
	}
	var serial int64
	ask := func(method, path, body string) map[string]any {
		t.Helper()
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true}}
		req, err := http.NewRequestWithContext(t.Context(), method, "https://"+a.APIAddr().String()+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+token)
		req.Header.Set("Content-Type", "application/json")
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }()
		serial = resp.TLS.PeerCertificates[0].SerialNumber.Int64()
		text, err := io.ReadAll(resp.Body)
		tree := map[string]any{}
		if err != nil || resp.StatusCode > 299 || json.Unmarshal(text, &tree) != nil {
			t.Fatalf("%s %s: %d %s, %v", method, path, resp.StatusCode, text, err)
		}
		return tree
	}
	ask("PUT", "/vms/vm.example.net", `{}`)
	ask("PUT", "/pilots/*86", `{"systems":[{"fqdn":"vm.example.net"}]}`)
	made := ask("POST", "/provisioning/requests", `{"requestId":"r1","userProfile":"u","numbers":["+14155550100"],"devices":[{"user":"1000","host":"pbx.example.net"}],"services":[{"type":"voicemail"}]}`)
	if made["status"] != "done" || serial != 1 {
		t.Errorf("made %v, certificate %d", made, serial)
	}
	const number = tel.Number("+14155550100")
	if err := s.SetWaiting(t.Context(), store.Waiting{Number: number, System: "vm.example.net", Counts: store.Counts{New: 2, Old: 1}, At: time.Now()}); err != nil {
		t.Fatal(err)
	}
	if counts := ask("GET", "/numbers/"+string(number)+"/messages", ""); counts["new"] != 2.0 || counts["old"] != 1.0 || counts["from"] != "vm.example.net" {
		t.Errorf("messages %v", counts)
	}
	if gone := ask("POST", "/provisioning/requests", `{"requestId":"r2","userProfile":"u","action":"remove","services":[{"type":"voicemail"}]}`); gone["status"] != "done" {
		t.Errorf("removed: %v", gone)
	}
	if lamp, err := s.Lamp(t.Context(), "1000", "pbx.example.net"); err != nil || lamp.Counts != (store.Counts{}) || lamp.Changed.IsZero() {
		t.Errorf("without voicemail the phone's lamp is %+v, %v", lamp, err)
	}
	writeCertificate(t, dir, 2)
	if err := a.Reload(copied(c, func(c *config.Config) { c.Region = "DE" })); err != nil {
		t.Fatal(err)
	}
	if ask("GET", "/tenants", ""); serial != 2 {
		t.Errorf("after the reload the certificate is %d", serial)
	}
	if err := a.Reload(copied(c, func(c *config.Config) { c.API.Key = filepath.Join(dir, "none.pem") })); err == nil || !strings.Contains(err.Error(), "api.tls_cert") {
		t.Errorf("a key that is not there: %v", err)
	}
}
