package sipproxy

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"math/big"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// authority issues certificates for a test.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pool *x509.CertPool
	n    int64
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t, pool: x509.NewCertPool()}
	a.cert, a.key, _ = a.make(&x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign})
	a.pool.AddCert(a.cert)
	return a
}

func (a *authority) make(c *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey, tls.Certificate) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	a.n++
	c.SerialNumber, c.Subject = big.NewInt(a.n), pkix.Name{CommonName: "common.example"}
	if c.NotBefore.IsZero() {
		c.NotBefore, c.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	}
	parent, signer := c, key
	if a.cert != nil {
		parent, signer = a.cert, a.key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, key.Public(), signer)
	if err != nil {
		a.t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return cert, key, tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: cert}
}

// issue gives a certificate for DNS names, or for SIP domains written as sip:domain.
func (a *authority) issue(names ...string) tls.Certificate {
	c := &x509.Certificate{KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}
	for _, n := range names {
		if u, err := url.Parse(n); err == nil && u.Scheme == "sip" {
			c.URIs = append(c.URIs, u)
			continue
		}
		if ip := net.ParseIP(n); ip != nil {
			c.IPAddresses = append(c.IPAddresses, ip)
			continue
		}
		c.DNSNames = append(c.DNSNames, n)
	}
	_, _, cert := a.make(c)
	return cert
}

func TestVerifyDomainAsRFC5922Asks(t *testing.T) {
	a := newAuthority(t)
	for _, c := range []struct {
		names    []string
		domain   string
		wildcard bool
		good     bool
	}{
		{names: []string{"vm.example.net"}, domain: "vm.example.net", good: true},
		{names: []string{"VM.example.NET."}, domain: "vm.Example.net.", good: true},
		{names: []string{"a.example", "b.example"}, domain: "b.example", good: true},
		{names: []string{"sip:vm.example.net"}, domain: "vm.example.net", good: true},
		{names: []string{"sip:other.example", "vm.example.net"}, domain: "vm.example.net"}, // a URI for SIP makes the DNS names void
		{names: []string{"sip:user@vm.example.net"}, domain: "vm.example.net"},             // names a user, not a domain
		{names: []string{"*.example.net"}, domain: "vm.example.net"},
		{names: []string{"*.example.net"}, domain: "vm.example.net", wildcard: true, good: true},
		{names: []string{"*.example.net"}, domain: "a.vm.example.net", wildcard: true},
		{names: []string{"*.example.net"}, domain: "example.net", wildcard: true},
		{names: []string{"*.net"}, domain: "example.net", wildcard: true},
		{names: []string{"example.net"}, domain: "vm.example.net"},
		{names: []string{"192.0.2.1"}, domain: "192.0.2.1", good: true},
		{names: []string{"192.0.2.1"}, domain: "192.0.2.2"},
		{names: nil, domain: "common.example"}, // a common name alone does not count
		{names: []string{"vm.example.net"}, domain: ""},
	} {
		err := VerifyDomain(a.issue(c.names...).Leaf, c.domain, c.wildcard)
		if (err == nil) != c.good || err != nil && !errors.Is(err, ErrCertificate) {
			t.Errorf("%q for %q (wildcard %v): %v", c.names, c.domain, c.wildcard, err)
		}
	}
}

// secured is a world whose proxy speaks TLS too, and whose carrier does.
type secured struct {
	*world
	ca   *authority
	addr netip.AddrPort // of the proxy
	ln   net.Listener   // of the carrier
}

const carrierDomain = "sip.carrier.example"

func newSecured(t *testing.T, mutual bool, change func(*Options)) *secured {
	t.Helper()
	s := &secured{ca: newAuthority(t)}
	var err error
	if s.ln, err = tls.Listen("tcp", "127.0.0.2:0", &tls.Config{Certificates: []tls.Certificate{s.ca.issue(carrierDomain)}, ClientCAs: s.ca.pool, ClientAuth: tls.RequireAndVerifyClientCert}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.ln.Close() })
	s.world = newWorld(t, func(o *Options, w *world) {
		cfg := &tls.Config{Certificates: []tls.Certificate{s.ca.issue("proxy.example")}, RootCAs: s.ca.pool, ClientCAs: s.ca.pool}
		if mutual {
			cfg.ClientAuth = tls.RequireAndVerifyClientCert
		}
		o.Listen = append(o.Listen, Listener{Network: "tls", Addr: "127.0.0.1:0", TLS: func() *tls.Config { return cfg }})
		o.Peers[0].Addr, o.Peers[0].Transport, o.Peers[0].TLSName = s.ln.Addr().(*net.TCPAddr).AddrPort(), "tls", carrierDomain
		if change != nil {
			change(o)
		}
	})
	s.addr = s.p.Addr("tls")
	s.trunk.addr = s.ln.Addr().(*net.TCPAddr).AddrPort()
	s.trunk.wg.Go(func() {
		for {
			c, err := s.ln.Accept()
			if err != nil {
				return
			}
			s.trunk.follow(c)
		}
	})
	t.Cleanup(func() { s.ln.Close() })
	return s
}

// dial connects as the carrier with a certificate, or none.
func (s *secured) dial(certs ...tls.Certificate) (net.Conn, error) {
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}, Timeout: patience}
	c, err := tls.DialWithDialer(&d, "tcp", s.addr.String(), &tls.Config{RootCAs: s.ca.pool, ServerName: "proxy.example", Certificates: certs})
	if err != nil {
		return nil, err
	}
	s.t.Cleanup(func() { c.Close() })
	return c, nil
}

func (s *secured) mustDial(certs ...tls.Certificate) net.Conn {
	s.t.Helper()
	c, err := s.dial(certs...)
	if err != nil {
		s.t.Fatal(err)
	}
	s.trunk.follow(c)
	return c
}

func overTLS(raw string) string {
	return strings.Replace(raw, "SIP/2.0/UDP", "SIP/2.0/TLS", 1)
}

func TestCallFromACarrierOverTLS(t *testing.T) {
	s := newSecured(t, true, nil)
	c := s.mustDial(s.ca.issue(carrierDomain))
	io.WriteString(c, overTLS(s.trunk.invite("tls1")))
	s.trunk.expect("SIP/2.0 100")
	inv := s.node.expect("INVITE")
	rr := SplitList(headers(inv.raw, "record-route"))
	if len(rr) != 2 || strings.Contains(rr[0], "transport") || !strings.Contains(rr[1], s.addr.String()+";transport=tls") {
		t.Errorf("Record-Route %q, want the inner side without and the outer with TLS", rr)
	}
	s.node.answer(inv, "200 OK", s.node.contact())
	ok := s.trunk.expect("SIP/2.0 200")
	io.WriteString(c, overTLS(s.trunk.inDialog("ACK", ok, 1)))
	s.node.expect("ACK", "INVITE")
	// The node hangs up: down a TLS connection to where the carrier says it is, with its certificate checked.
	s.node.udp(s.udp, s.node.inDialogFrom("BYE", "UDP", inv, 1))
	bye := s.trunk.expect("BYE")
	if !strings.HasPrefix(header(bye.raw, "via"), "SIP/2.0/TLS "+s.addr.String()) {
		t.Errorf("Via of the BYE %q", header(bye.raw, "via"))
	}
	s.trunk.answer(bye, "200 OK")
	s.node.expect("SIP/2.0 200")
}

func TestProxyRestartedInsideATLSDialog(t *testing.T) {
	s := newSecured(t, true, nil)
	c := s.mustDial(s.ca.issue(carrierDomain))
	io.WriteString(c, overTLS(s.trunk.invite("tls2")))
	s.trunk.expect("SIP/2.0 100")
	inv := s.node.expect("INVITE")
	s.node.answer(inv, "200 OK", s.node.contact())
	ok := s.trunk.expect("SIP/2.0 200")
	io.WriteString(c, overTLS(s.trunk.inDialog("ACK", ok, 1)))
	s.node.expect("ACK", "INVITE")
	s.stop()
	for i := range s.opt.Listen {
		s.opt.Listen[i].Addr = s.p.Addrs()[i].String()
	}
	s.p, s.stop = start(t, s.opt)
	s.node.udp(s.udp, s.node.inDialogFrom("BYE", "UDP", inv, 1))
	s.trunk.answer(s.trunk.expect("BYE"), "200 OK")
	s.node.expect("SIP/2.0 200")
}

func TestOnlyTheCarriersOwnCertificateIsTaken(t *testing.T) {
	s := newSecured(t, true, nil)
	other := newAuthority(t)
	old := &x509.Certificate{NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: time.Now().Add(-24 * time.Hour), DNSNames: []string{carrierDomain}}
	_, _, expired := s.ca.make(old)
	for name, certs := range map[string][]tls.Certificate{
		"none": nil, "of somebody else": {s.ca.issue("sip.other.example")}, "of another authority": {other.issue(carrierDomain)}, "expired": {expired},
	} {
		c, err := s.dial(certs...)
		if err != nil {
			continue // refused in the handshake
		}
		io.WriteString(c, overTLS(s.trunk.invite("no"+strings.ReplaceAll(name, " ", ""))))
		c.SetReadDeadline(time.Now().Add(patience))
		if n, err := c.Read(make([]byte, 1)); err == nil {
			t.Errorf("certificate %s: %d bytes came back", name, n)
		}
	}
	s.wait("four failed handshakes", func(st Stats) bool { return st.TLSFailed == 4 })
	s.node.quiet()
	c := s.mustDial(s.ca.issue(carrierDomain))
	io.WriteString(c, overTLS(s.trunk.invite("tls3")))
	s.node.expect("INVITE")
}

// A carrier's connection stays its own when its name changes with a reload, if its certificate has the new one too, and only then.
func TestAConnectionIsJudgedByTheNamesOfNow(t *testing.T) {
	const renamed = "sbc.carrier.example"
	s := newSecured(t, true, nil)
	c := s.mustDial(s.ca.issue(carrierDomain, renamed))
	call := func(id, want string) {
		t.Helper()
		raw := overTLS(s.trunk.invite(id))
		io.WriteString(c, raw)
		if want == "" {
			s.trunk.expect("SIP/2.0 403", "SIP/2.0 100")
			return
		}
		s.node.answer(s.node.expect("INVITE", "ACK"), want)
		io.WriteString(c, s.trunk.ackFailure(raw, s.trunk.expect("SIP/2.0 "+want, "SIP/2.0 100")))
	}
	call("now1", "486 Busy Here")
	for name, want := range map[string]string{renamed: "486 Busy Here", "sip.other.example": ""} {
		peers := slices.Clone(s.opt.Peers)
		peers[0].TLSName = name
		if err := s.p.Reload(peers, nil, nil); err != nil {
			t.Fatal(err)
		}
		call(name, want)
	}
}

func TestACallGoesToNobodyWithAnotherCertificate(t *testing.T) {
	s := newSecured(t, false, func(o *Options) { o.Peers[0].TLSName = "sip.elsewhere.example" })
	s.node.udp(s.udp, s.node.build(request{method: "INVITE", uri: "sip:+15551234@" + s.trunk.addr.String() + ";transport=tls", callID: "out1"}))
	s.node.expect("SIP/2.0 100")
	s.node.expect("SIP/2.0 500")
	s.trunk.quiet()
	if st := s.p.Stats(); st.TLSFailed == 0 {
		t.Errorf("no failed handshake is counted: %+v", st)
	}
}

func TestCallToACarrierOverTLS(t *testing.T) {
	s := newSecured(t, false, nil)
	s.node.udp(s.udp, s.node.build(request{method: "INVITE", uri: "sip:+15551234@" + s.trunk.addr.String(), callID: "out2", extra: []string{"X-Big: " + strings.Repeat("x", 3000)}}))
	s.node.expect("SIP/2.0 100")
	inv := s.trunk.expect("INVITE")
	s.trunk.answer(inv, "486 Busy Here")
	s.node.expect("SIP/2.0 486")
}

// Whoever connects and then says nothing, or no TLS, holds nothing for long and hurts nobody.
func TestPlainTextAndSilenceOnTheTLSPort(t *testing.T) {
	s := newSecured(t, true, nil)
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}
	silent, err := d.Dial("tcp", s.addr.String())
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	for _, text := range []string{"GET / HTTP/1.1\r\n\r\n", s.trunk.invite("plain"), "\x16\x03\x01\xff\xff"} {
		c, err := d.Dial("tcp", s.addr.String())
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(c, text)
		c.(*net.TCPConn).CloseWrite()
		c.SetReadDeadline(time.Now().Add(patience))
		io.Copy(io.Discard, c)
		c.Close()
	}
	c := s.mustDial(s.ca.issue(carrierDomain))
	io.WriteString(c, overTLS(s.trunk.invite("tls4")))
	s.node.expect("INVITE")
	s.wait("those who spoke no TLS are let go", func(st Stats) bool { return st.TLSFailed == 3 && st.Connections == 2 })
}

// Carriers show certificates; phones cannot, and have passwords.
func TestDevicesAreNotAskedForACertificate(t *testing.T) {
	var auth *ua
	s := newSecured(t, true, func(o *Options) {
		auth = newUA(t, "auth", "127.0.0.3")
		o.FlowKey, o.Peers[1].DeviceAddr = bytes.Repeat([]byte("k"), 32), auth.addr
		o.Listen = append(o.Listen, Listener{Network: "tls", Addr: "127.0.0.10:0", Devices: true, TLS: o.Listen[2].TLS})
	})
	u := newUA(t, "phone", "127.0.0.20")
	d := tls.Dialer{NetDialer: &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 20)}, Timeout: patience}, Config: &tls.Config{RootCAs: s.ca.pool, ServerName: "proxy.example"}}
	c, err := d.Dial("tcp", s.p.Addrs()[3].String())
	if err != nil {
		t.Fatal(err)
	}
	u.follow(c)
	io.WriteString(c, u.register("TLS", "tlsphone"))
	auth.answer(auth.expect("REGISTER"), "200 OK", u.contact()+";expires=60")
	u.expect("SIP/2.0 200")
}

// A certificate function that fails costs the connection and nothing else.
func TestNoCertificateIsNoCrash(t *testing.T) {
	var broken atomic.Bool
	s := newSecured(t, false, func(o *Options) {
		good := o.Listen[2].TLS
		o.Listen[2].TLS = func() *tls.Config {
			if broken.Load() {
				return nil
			}
			return good()
		}
	})
	broken.Store(true)
	if c, err := s.dial(s.ca.issue(carrierDomain)); err == nil {
		c.Close()
		t.Error("a handshake without a certificate")
	}
	s.wait("the connection is gone", func(st Stats) bool { return st.Panics == 1 && st.Connections == 0 })
	broken.Store(false)
	io.WriteString(s.mustDial(s.ca.issue(carrierDomain)), overTLS(s.trunk.invite("after")))
	s.node.expect("INVITE")
}
