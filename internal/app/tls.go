package app

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"sync/atomic"

	"github.com/signalbox/signalbox/internal/config"
)

// certificates are the proxy's, as last read. Each connection takes those of the time it begins.
type certificates struct{ current atomic.Pointer[tls.Config] }

func (c *certificates) config() *tls.Config { return c.current.Load() }

// readCertificates reads what proxy.tls names; nil without a certificate.
func readCertificates(c config.TLS) (*tls.Config, error) {
	if c.Cert == "" {
		return nil, nil
	}
	pair, err := tls.LoadX509KeyPair(c.Cert, c.Key)
	if err != nil {
		return nil, fmt.Errorf("proxy.tls.cert and key: %w", err)
	}
	out := &tls.Config{Certificates: []tls.Certificate{pair}}
	if out.RootCAs, err = readAuthorities("proxy.tls.ca", c.CA); err != nil {
		return nil, err
	}
	if out.ClientCAs, err = readAuthorities("proxy.tls.client_ca", c.ClientCA); err != nil {
		return nil, err
	}
	if out.ClientCAs != nil {
		out.ClientAuth = tls.RequireAndVerifyClientCert
	}
	return out, nil
}

func readAuthorities(key, path string) (*x509.CertPool, error) {
	if path == "" {
		return nil, nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", key, err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s: %s holds no certificate in PEM", key, path)
	}
	return pool, nil
}
