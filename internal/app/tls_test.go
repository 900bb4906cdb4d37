package app_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/signalbox/signalbox/internal/app"
	"github.com/signalbox/signalbox/internal/config"
)

// writeCertificate makes a certificate that signs itself.
func writeCertificate(t *testing.T, dir string, serial int64) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(serial), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"proxy.example"}}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{"cert.pem": {Type: "CERTIFICATE", Bytes: der}, "key.pem": {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestCertificatesAreRenewedByAReload(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	writeCertificate(t, dir, 1)
	c := settings(t)
	c.Proxy.TLS = config.TLS{Cert: filepath.Join(dir, "cert.pem"), Key: filepath.Join(dir, "key.pem")}
	c.Proxy.Listen = append(c.Proxy.Listen, config.Listen{Network: "tls", Addr: "127.0.0.1:0"})
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	a, _ := start(t, app.Options{Config: c, Role: app.Proxy})
	serial := func() int64 {
		t.Helper()
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: carrierIP.AsSlice()}, Timeout: 5 * time.Second}
		conn, err := tls.DialWithDialer(&d, "tcp", a.SIPAddrs()[2].String(), &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		return conn.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
	}
	if got := serial(); got != 1 {
		t.Errorf("serial %d, want 1", got)
	}
	writeCertificate(t, dir, 2)
	if err := a.Reload(c); err != nil {
		t.Fatal(err)
	}
	if got := serial(); got != 2 {
		t.Errorf("after the reload: serial %d, want 2", got)
	}
	if err := os.WriteFile(filepath.Join(dir, "key.pem"), []byte("nonsense"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := a.Reload(c); err == nil || !strings.Contains(err.Error(), "proxy.tls") {
		t.Errorf("a broken key: %v", err)
	}
	if got := serial(); got != 2 {
		t.Errorf("after the reload that failed: serial %d, want 2", got)
	}
}
