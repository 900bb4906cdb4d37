package doctor

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
)

// node is one element of the XML that a switch has loaded.
type node struct {
	name     string
	attrs    map[string]string
	text     string
	children []*node
}

// parseXML reads what xml_locate or sofia prints; nil when it is none.
func parseXML(text string) *node {
	d := xml.NewDecoder(strings.NewReader(text))
	d.Strict = false
	d.CharsetReader = func(_ string, in io.Reader) (io.Reader, error) { return in, nil }
	var stack []*node
	var root *node
	for {
		token, err := d.Token()
		if err != nil {
			return root
		}
		switch t := token.(type) {
		case xml.StartElement:
			n := &node{name: t.Name.Local, attrs: map[string]string{}}
			for _, a := range t.Attr {
				n.attrs[a.Name.Local] = a.Value
			}
			if len(stack) > 0 {
				top := stack[len(stack)-1]
				top.children = append(top.children, n)
			} else if root == nil {
				root = n
			}
			stack = append(stack, n)
		case xml.EndElement:
			if len(stack) > 0 {
				stack = stack[:len(stack)-1]
			}
		case xml.CharData:
			if len(stack) > 0 {
				stack[len(stack)-1].text += string(t)
			}
		}
	}
}

// all are the descendants of a name, in order.
func (n *node) all(name string) (out []*node) {
	if n == nil {
		return nil
	}
	for _, c := range n.children {
		if c.name == name {
			out = append(out, c)
		}
		out = append(out, c.all(name)...)
	}
	return out
}

// value is the text of the first descendant of a name.
func (n *node) value(name string) string {
	for _, c := range n.all(name) {
		return strings.TrimSpace(c.text)
	}
	return ""
}

// params are the <param> elements below, the last of a name counting, as FreeSWITCH reads them.
func (n *node) params() map[string]string {
	out := map[string]string{}
	for _, p := range n.all("param") {
		out[p.attrs["name"]] = p.attrs["value"]
	}
	return out
}

// live asks a switch for what it has loaded and keeps the answers.
type live struct {
	doctor   *doctor
	profiles map[string]*profile
	sofia    *node
	conf     string   // its conf folder, "" when that may not be asked
	proxied  *profile // where the proxy's calls arrive
}

// profile is one SIP profile as it runs.
type profile struct {
	name    string
	context string
	addrs   []netip.AddrPort
	status  *node
	params  map[string]string // as configured; nil when that may not be asked
}

var errNotThere = errors.New("not there")

// locate asks for one element of the loaded XML.
func (l *live) locate(ctx context.Context, section, tag, name string) (*node, error) {
	answer, err := l.doctor.ask(ctx, fmt.Sprintf("xml_locate %s %s name %s", section, tag, name))
	if err != nil {
		return nil, err
	}
	n := parseXML(answer)
	if n == nil || strings.HasPrefix(answer, "can't find") {
		return nil, errNotThere
	}
	return n, nil
}

// load asks for all profiles.
func (l *live) load(ctx context.Context) error {
	answer, err := l.doctor.ask(ctx, "sofia xmlstatus")
	if err != nil {
		return err
	}
	l.sofia, _ = l.locate(ctx, "configuration", "configuration", "sofia.conf")
	for _, p := range parseXML(answer).all("profile") {
		name := p.value("name")
		if p.value("type") != "profile" || name == "" || strings.ContainsAny(name, " \t\n") {
			continue
		}
		answer, err := l.doctor.ask(ctx, "sofia xmlstatus profile "+name)
		if err != nil {
			return err
		}
		status := parseXML(answer)
		one := &profile{name: name, context: status.value("context"), status: status}
		one.addrs = append(addrsOf(status.value("bind-url")), addrsOf(status.value("url"))...)
		for _, c := range l.sofia.all("profile") {
			if c.attrs["name"] == name {
				one.params = map[string]string{}
				for _, s := range c.all("settings") {
					one.params = s.params()
				}
			}
		}
		l.profiles[name] = one
	}
	return nil
}

// addrsOf reads the address of sip:mod_sofia@127.0.0.1:5080;maddr=...;transport=udp,tcp, with that of maddr.
func addrsOf(uri string) (out []netip.AddrPort) {
	_, rest, ok := strings.Cut(uri, "@")
	if !ok {
		return nil
	}
	host, params, _ := strings.Cut(rest, ";")
	a, err := netip.ParseAddrPort(host)
	if err != nil {
		return nil
	}
	out = append(out, a)
	for p := range strings.SplitSeq(params, ";") {
		if maddr, ok := strings.CutPrefix(p, "maddr="); ok {
			if ip, err := netip.ParseAddr(strings.Trim(maddr, "[]")); err == nil {
				out = append(out, netip.AddrPortFrom(ip, a.Port()))
			}
		}
	}
	return out
}

// at finds the profile that listens at an address.
func (l *live) at(addr netip.AddrPort) *profile {
	for _, p := range l.profiles {
		for _, a := range p.addrs {
			if a.Port() == addr.Port() && (a.Addr() == addr.Addr() || a.Addr().IsUnspecified()) {
				return p
			}
		}
	}
	return nil
}

// isLocal reports whether a host is this machine by its name or a loopback address.
func isLocal(host string) bool {
	ip := net.ParseIP(strings.Trim(host, "[]"))
	return strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback()
}
