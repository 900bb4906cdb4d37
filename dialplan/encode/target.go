package encode

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// Target is where a leg goes. The set is closed: only the types of this package are targets.
type Target interface {
	// endpoint returns the validated part of a dial string behind the brackets, and variables that belong to it.
	endpoint() (string, []Var, error)
}

// RegisteredUser is every contact that User@Domain has registered at the Sofia profile, with its Path. A user
// without a registration fails with USER_NOT_REGISTERED.
type RegisteredUser struct{ Profile, User, Domain string }

// SIPURI is a fixed SIP address. Port 0 leaves the port out, and with it the choice to FreeSWITCH's DNS (RFC 3263);
// an empty Transport means what the URI means without one. Host is a DNS name or an IP address, IPv6 with or
// without brackets.
type SIPURI struct {
	Profile   string
	User      string
	Host      string
	Port      uint16
	Transport string // "", udp, tcp or tls
}

// Voicemail is one address of a voicemail system that is known by its name: the INVITE is sent to Route, its
// Request-URI is sip:PILOT@FQDN;target=...;cause=... (RFC 4458), and FreeSWITCH does not resolve the name.
type Voicemail struct {
	Profile   string
	Pilot     string // user of the Request-URI
	FQDN      string // host of the Request-URI
	Target    string // whose mailbox: a SIP or tel URI such as sip:+14155550100@example.net; "" leaves it out
	Cause     int    // RFC 4458 cause, a SIP status; 0 leaves it out
	Route     netip.AddrPort
	Transport string // udp, tcp or tls
}

// Gateway is a number behind a gateway of a Sofia profile.
type Gateway struct {
	Name   string
	Number string // digits, with or without a leading "+"
}

func (t RegisteredUser) endpoint() (string, []Var, error) {
	if err := firstErr(checkName("profile", t.Profile), checkDirectoryUser(t.User), checkHost("domain", t.Domain)); err != nil {
		return "", nil, fmt.Errorf("registered user: %w", err)
	}
	return "sofia/" + t.Profile + "/" + t.User + "%" + t.Domain, nil, nil
}

func (t SIPURI) endpoint() (string, []Var, error) {
	host := bracketed(t.Host)
	if err := firstErr(checkName("profile", t.Profile), checkURIUser(t.User), checkHost("host", host), checkTransport(t.Transport, true)); err != nil {
		return "", nil, fmt.Errorf("SIP address: %w", err)
	}
	var b strings.Builder
	b.WriteString("sofia/" + t.Profile + "/sip:")
	if t.User != "" {
		b.WriteString(escapeURI(t.User, uriUserSafe) + "@")
	}
	b.WriteString(host)
	if t.Port != 0 {
		b.WriteString(":" + strconv.Itoa(int(t.Port)))
	}
	if t.Transport != "" {
		b.WriteString(";transport=" + t.Transport)
	}
	return b.String(), nil, nil
}

func (t Voicemail) endpoint() (string, []Var, error) {
	err := firstErr(checkName("profile", t.Profile), checkPilot(t.Pilot), checkHost("FQDN", t.FQDN),
		checkMailbox(t.Target), checkTransport(t.Transport, false))
	switch {
	case err != nil:
	case t.Cause != 0 && (t.Cause < 300 || t.Cause > 699):
		err = fmt.Errorf("cause %d is no SIP status from 300 to 699: %w", t.Cause, ErrInvalid)
	case !t.Route.IsValid() || t.Route.Port() == 0 || t.Route.Addr().Zone() != "" || t.Route.Addr().IsUnspecified():
		err = fmt.Errorf("route %s is no address and port: %w", t.Route, ErrInvalid)
	}
	if err != nil {
		return "", nil, fmt.Errorf("voicemail target: %w", err)
	}
	s := "sofia/" + t.Profile + "/sip:" + escapeURI(t.Pilot, uriUserSafe) + "@" + t.FQDN
	if t.Target != "" {
		s += ";target=" + escapeURI(t.Target, uriParamSafe)
	}
	if t.Cause != 0 {
		s += ";cause=" + strconv.Itoa(t.Cause)
	}
	route := netip.AddrPortFrom(t.Route.Addr().Unmap(), t.Route.Port())
	return s, []Var{{"sip_route_uri", "sip:" + route.String() + ";transport=" + t.Transport}}, nil
}

func (t Gateway) endpoint() (string, []Var, error) {
	if err := firstErr(checkName("gateway", t.Name), checkDialled(t.Number)); err != nil {
		return "", nil, fmt.Errorf("gateway: %w", err)
	}
	return "sofia/gateway/" + t.Name + "/" + t.Number, nil, nil
}

const (
	// uriUserSafe stays as it is in the user part of a SIP URI.
	uriUserSafe = "-_.!~*()+"
	// uriParamSafe stays as it is in the value of a URI parameter; RFC 4458 shows "sip:" with its colon.
	uriParamSafe = "-_.!~*():"
)

// escapeURI percent-encodes every byte that is neither alphanumeric nor in keep (RFC 3261, 19.1.2).
func escapeURI(s, keep string) string {
	var b strings.Builder
	for i := range len(s) {
		if isAlnum(s[i]) || strings.IndexByte(keep, s[i]) >= 0 {
			b.WriteByte(s[i])
		} else {
			fmt.Fprintf(&b, "%%%02X", s[i])
		}
	}
	return b.String()
}

func firstErr(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// checkAlphabet refuses s unless it has 1 to most bytes, all alphanumeric or in extra.
func checkAlphabet(what, s, extra string, most int) error {
	ok := s != "" && len(s) <= most
	for i := range len(s) {
		ok = ok && (isAlnum(s[i]) || strings.IndexByte(extra, s[i]) >= 0)
	}
	if !ok {
		return fmt.Errorf("%s %s has to be 1 to %d letters, digits or any of %q: %w", what, show(s), most, extra, ErrInvalid)
	}
	return nil
}

// checkName checks the name of a Sofia profile or a gateway.
func checkName(what, s string) error {
	if strings.EqualFold(s, "gateway") {
		return fmt.Errorf("%s may not be called %q: %w", what, s, ErrInvalid)
	}
	return checkAlphabet(what, s, "-_.", 64)
}

// checkDirectoryUser checks the user of a registration, which FreeSWITCH compares with the directory as it stands.
func checkDirectoryUser(s string) error { return checkAlphabet("user", s, "-_.!~*+", 64) }

func checkPilot(s string) error { return checkAlphabet("pilot", s, "-_.*+#", 64) }

// checkURIUser checks the user part of a SIP URI before it is percent-encoded.
func checkURIUser(s string) error {
	if len(s) > 128 {
		return fmt.Errorf("user of %d bytes: %w", len(s), ErrInvalid)
	}
	if err := safe(strings.ReplaceAll(s, "$", "")); err != nil { // "$" is percent-encoded in a URI
		return fmt.Errorf("user %s: %w", show(s), err)
	}
	return nil
}

// checkMailbox checks the URI of an RFC 4458 target.
func checkMailbox(s string) error {
	if s == "" {
		return nil
	}
	scheme, rest, _ := strings.Cut(s, ":")
	if rest == "" || len(s) > 256 || (scheme != "sip" && scheme != "sips" && scheme != "tel") {
		return fmt.Errorf("target %s has to be a sip:, sips: or tel: URI: %w", show(s), ErrInvalid)
	}
	if err := safe(strings.ReplaceAll(rest, "$", "")); err != nil { // "$" is percent-encoded in a parameter
		return fmt.Errorf("target %s: %w", show(s), err)
	}
	return nil
}

// checkDialled checks a number that is dialled at a gateway.
func checkDialled(s string) error {
	digits := strings.TrimPrefix(s, "+")
	ok := len(digits) >= 1 && len(digits) <= 32
	for i := range len(digits) {
		ok = ok && isDigit(digits[i])
	}
	if !ok {
		return fmt.Errorf("number %s has to be 1 to 32 digits, with or without +: %w", show(s), ErrInvalid)
	}
	return nil
}

// bracketed puts an IPv6 address in brackets and leaves everything else.
func bracketed(host string) string {
	if a, err := netip.ParseAddr(host); err == nil && a.Is6() && a.Zone() == "" {
		return "[" + host + "]"
	}
	return host
}

// checkHost checks a DNS name, an IPv4 address or an IPv6 address in brackets.
func checkHost(what, s string) error {
	if inner, ok := strings.CutPrefix(s, "["); ok {
		inner, ok = strings.CutSuffix(inner, "]")
		if a, err := netip.ParseAddr(inner); ok && err == nil && a.Is6() && a.Zone() == "" {
			return nil
		}
		return fmt.Errorf("%s %s is no IPv6 address in brackets: %w", what, show(s), ErrInvalid)
	}
	name := strings.TrimSuffix(s, ".")
	ok := name != "" && len(name) <= 253
	for label := range strings.SplitSeq(name, ".") {
		ok = ok && label != "" && len(label) <= 63 && label[0] != '-' && label[len(label)-1] != '-'
		for i := range len(label) {
			ok = ok && (isAlnum(label[i]) || label[i] == '-' || label[i] == '_')
		}
	}
	if !ok {
		return fmt.Errorf("%s %s is no host name or address: %w", what, show(s), ErrInvalid)
	}
	return nil
}

func checkTransport(s string, optional bool) error {
	switch s {
	case "udp", "tcp", "tls":
		return nil
	case "":
		if optional {
			return nil
		}
	}
	return fmt.Errorf("transport %s has to be udp, tcp or tls: %w", show(s), ErrInvalid)
}
