package sipproxy

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"
)

// handshakeTimeout bounds a TLS handshake, whoever began it.
const handshakeTimeout = 5 * time.Second

// ErrCertificate means that the other side's certificate is good but not for the domain that was asked for.
var ErrCertificate = errors.New("sipproxy: certificate is for another domain")

// identity is the domain that a certificate must be for; the zero identity asks for none.
type identity struct {
	domain   string
	wildcard bool
}

// identity is what the peer's certificate must say.
func (p *Peer) identity() identity {
	name := cmp.Or(p.TLSName, p.Domain)
	if name == "" && len(p.Hosts) > 0 {
		name = p.Hosts[0]
	}
	if name == "" && p.Addr.IsValid() {
		name = p.Addr.Addr().String()
	}
	return identity{name, p.TLSWildcard}
}

// handshake speaks TLS on the connection. A client checks the server's certificate against the domain of the peer; a server
// that asked for a certificate takes it only from a peer that it is for.
func (c *conn) handshake(ours bool) error {
	ctx, cancel := context.WithTimeout(c.ctx, handshakeTimeout)
	defer cancel()
	cfg := c.lis.tls().Clone()
	cfg.MinVersion = max(cfg.MinVersion, tls.VersionTLS12)
	var tc *tls.Conn
	if ours {
		tc = tls.Client(c.nc, c.clientConfig(cfg))
	} else {
		c.asked = cfg.ClientAuth != tls.NoClientCert
		if !c.p.table.Load().knows(c.remote.Addr()) { // a device has a password, a system that was called the token of its dialog
			cfg.ClientAuth = tls.NoClientCert
		}
		tc = tls.Server(c.nc, cfg)
	}
	c.nc = tc
	if err := tc.HandshakeContext(ctx); err != nil {
		return err
	}
	if ours {
		return nil
	}
	return c.identify(tc.ConnectionState())
}

// isCertificate reports whether a handshake failed for what a certificate says.
func isCertificate(err error) bool {
	var verification *tls.CertificateVerificationError
	var unknown x509.UnknownAuthorityError
	var invalid x509.CertificateInvalidError
	return errors.Is(err, ErrCertificate) || errors.As(err, &verification) || errors.As(err, &unknown) || errors.As(err, &invalid)
}

// clientConfig turns a listener's configuration round. Go's own check of the name knows nothing of SIP, so it is replaced; the
// chain is verified as ever.
func (c *conn) clientConfig(cfg *tls.Config) *tls.Config {
	if net.ParseIP(c.name.domain) == nil {
		cfg.ServerName = c.name.domain
	}
	roots := cfg.RootCAs
	cfg.InsecureSkipVerify = true // VerifyConnection does it
	cfg.VerifyConnection = func(s tls.ConnectionState) error {
		o := x509.VerifyOptions{Roots: roots, Intermediates: x509.NewCertPool()}
		for _, cert := range s.PeerCertificates[1:] {
			o.Intermediates.AddCert(cert)
		}
		if _, err := s.PeerCertificates[0].Verify(o); err != nil {
			return err
		}
		return VerifyDomain(s.PeerCertificates[0], c.name.domain, c.name.wildcard)
	}
	return cfg
}

// identify keeps the client's certificate, which must be for one of the peers at its address. Without one, where none is asked for, the address is all there is.
func (c *conn) identify(s tls.ConnectionState) error {
	if len(s.PeerCertificates) == 0 {
		return nil
	}
	c.shown = s.PeerCertificates[0]
	t := c.p.table.Load()
	for i := range t.peers {
		if p := &t.peers[i]; p.contains(c.remote.Addr()) && c.mayBe(p) {
			return nil
		}
	}
	return fmt.Errorf("%w: none of the peers at %s is named in it", ErrCertificate, c.remote.Addr())
}

// mayBe reports whether what is known of a connection allows it to be this peer. A peer with a TLSName must have shown its
// certificate where the listener asks for one. The peer is that of now: connections outlive a reload.
func (c *conn) mayBe(p *Peer) bool {
	if p.TLSName == "" || !c.asked {
		return true
	}
	return c.shown != nil && VerifyDomain(c.shown, p.TLSName, p.TLSWildcard) == nil
}

// VerifyDomain checks that a certificate, whose chain is verified elsewhere, is for a SIP domain (RFC 5922 section 7.1): one of its
// sip: URIs names it, or, when it has none, one of its DNS names or IP addresses; a common name alone does not count. Domains
// are compared whole (section 7.2); with wildcard, "*.example.net" also is for "sip.example.net". The error wraps ErrCertificate.
func VerifyDomain(cert *x509.Certificate, domain string, wildcard bool) error {
	want := strings.ToLower(strings.TrimSuffix(domain, "."))
	if want == "" {
		return fmt.Errorf("%w: no domain is configured to compare it with", ErrCertificate)
	}
	ip := net.ParseIP(want)
	var names []string
	for _, u := range cert.URIs {
		if strings.EqualFold(u.Scheme, "sip") && !strings.Contains(u.Opaque, "@") {
			host, _, _ := splitHostPort(u.Opaque)
			names = append(names, host)
		}
	}
	if len(names) == 0 {
		names = cert.DNSNames
		if ip != nil && slices.ContainsFunc(cert.IPAddresses, ip.Equal) {
			return nil
		}
	}
	for _, n := range names {
		n = strings.ToLower(strings.TrimSuffix(n, "."))
		if n == want {
			return nil
		}
		if suffix, ok := strings.CutPrefix(n, "*."); ok && wildcard && ip == nil {
			if _, rest, ok := strings.Cut(want, "."); ok && rest == suffix && strings.Contains(suffix, ".") {
				return nil
			}
		}
	}
	return fmt.Errorf("%w: it is for %.200q, not for %q", ErrCertificate, strings.Join(names, ", "), domain)
}

// defaultPort is that of a transport (RFC 3261 section 19.1.2).
func defaultPort(network string) uint16 {
	if network == "tls" {
		return 5061
	}
	return 5060
}
