package lab

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// authority signs the certificates of a rig: the proxy's, and those of voicemail systems that are reached by TLS.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority() (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making the lab's certificate authority: %w", err)
	}
	a := &authority{key: key}
	_, der, err := a.sign(&x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}, key)
	if err != nil {
		return nil, err
	}
	a.cert, err = x509.ParseCertificate(der)
	return a, err
}

func (a *authority) sign(c *x509.Certificate, key *ecdsa.PrivateKey) (*ecdsa.PrivateKey, []byte, error) {
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		return nil, nil, err
	}
	c.SerialNumber, c.NotBefore, c.NotAfter = serial, time.Now().Add(-time.Hour), time.Now().Add(24*time.Hour)
	parent := c
	if a.cert != nil {
		parent = a.cert
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, key.Public(), a.key)
	if err != nil {
		return nil, nil, fmt.Errorf("signing a certificate of the lab: %w", err)
	}
	return key, der, nil
}

// issue makes a certificate for a domain.
func (a *authority) issue(domain string) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	_, der, err := a.sign(&x509.Certificate{DNSNames: []string{domain}, KeyUsage: x509.KeyUsageDigitalSignature}, key)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
}

// Certificate makes a certificate for a domain, signed by the authority that the rig's proxy trusts (ca.pem in Dir).
func (r *Rig) Certificate(domain string) (tls.Certificate, error) { return r.authority.issue(domain) }

// write puts the authority's certificate and one for the proxy into a folder, as proxy.tls wants them.
func (a *authority) write(dir, domain string) error {
	cert, err := a.issue(domain)
	if err != nil {
		return err
	}
	key, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
	if err != nil {
		return err
	}
	var errs []error
	for name, block := range map[string]*pem.Block{
		"ca.pem":   {Type: "CERTIFICATE", Bytes: a.cert.Raw},
		"cert.pem": {Type: "CERTIFICATE", Bytes: cert.Certificate[0]},
		"key.pem":  {Type: "PRIVATE KEY", Bytes: key},
	} {
		errs = append(errs, os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600))
	}
	return errors.Join(errs...)
}

// tlsFront speaks TLS in front of an agent, which sees TCP.
type tlsFront struct {
	ln     net.Listener
	behind netip.AddrPort
	mu     sync.Mutex
	conns  []net.Conn
	wg     sync.WaitGroup
}

func newTLSFront(cert tls.Certificate, behind netip.AddrPort) (*tlsFront, error) {
	ln, err := tls.Listen("tcp", netip.AddrPortFrom(loopback, 0).String(), &tls.Config{Certificates: []tls.Certificate{cert}})
	if err != nil {
		return nil, fmt.Errorf("listening for TLS: %w", err)
	}
	f := &tlsFront{ln: ln, behind: behind}
	f.wg.Add(1)
	go f.accept()
	return f, nil
}

func (f *tlsFront) addr() netip.AddrPort { return f.ln.Addr().(*net.TCPAddr).AddrPort() }

func (f *tlsFront) accept() {
	defer f.wg.Done()
	for {
		c, err := f.ln.Accept()
		if err != nil {
			return
		}
		plain, err := net.Dial("tcp", f.behind.String())
		if err != nil {
			_ = c.Close()
			continue
		}
		f.mu.Lock()
		f.conns = append(f.conns, c, plain)
		f.mu.Unlock()
		for _, way := range [][2]net.Conn{{c, plain}, {plain, c}} {
			f.wg.Add(1)
			go func() {
				defer f.wg.Done()
				_, _ = io.Copy(way[0], way[1])
				_, _ = way[0].Close(), way[1].Close()
			}()
		}
	}
}

func (f *tlsFront) close() {
	_ = f.ln.Close()
	f.mu.Lock()
	for _, c := range f.conns {
		_ = c.Close()
	}
	f.mu.Unlock()
	f.wg.Wait()
}
