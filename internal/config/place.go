package config

import (
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// Place is where a SIP server is found: an address and port, or an FQDN with or without a port (RFC 3263).
type Place struct {
	netip.AddrPort        // invalid when Domain is set
	Domain         string // lower case, without a final dot
	DomainPort     uint16 // 0 = the DNS says
}

// Given reports whether anything was written at all.
func (p Place) Given() bool { return p.IsValid() || p.Domain != "" }

// String is what UnmarshalText reads.
func (p Place) String() string {
	switch {
	case p.Domain == "" && !p.IsValid():
		return ""
	case p.Domain == "":
		return p.AddrPort.String()
	case p.DomainPort == 0:
		return p.Domain
	}
	return net.JoinHostPort(p.Domain, strconv.Itoa(int(p.DomainPort)))
}

// MarshalText writes what UnmarshalText reads.
func (p Place) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText reads the place and says what it should look like. A name has at least two labels, the last not of digits alone, so
// that an address with a slip of the pen is none.
func (p *Place) UnmarshalText(text []byte) error {
	*p = Place{}
	if p.AddrPort.UnmarshalText(text) == nil {
		return nil
	}
	name, port, hasPort := strings.Cut(string(text), ":")
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	n, err := strconv.ParseUint(port, 10, 16)
	dot := strings.LastIndexByte(name, '.')
	if !hostGrammar.MatchString(name) || dot < 0 || strings.Trim(name[dot+1:], "0123456789") == "" || hasPort && (err != nil || n == 0) {
		return &valueError{string(text), "write IP:PORT, for example 127.0.0.1:5080, or a full host name, for example sip.carrier.example.net"}
	}
	p.Domain, p.DomainPort = name, uint16(n)
	return nil
}
