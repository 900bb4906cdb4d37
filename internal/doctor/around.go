package doctor

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"time"
)

// maxSystems bounds how many voicemail systems are looked up.
const maxSystems = 50

// names looks the voicemail systems up.
func (d *doctor) names(ctx context.Context) {
	if d.Lookup == nil || len(d.Systems) == 0 {
		return
	}
	systems := d.Systems
	if len(systems) > maxSystems {
		systems = systems[:maxSystems]
	}
	var found, lost []string
	for _, s := range systems {
		ctx, cancel := context.WithTimeout(ctx, askTime)
		targets, err := d.Lookup(ctx, s.FQDN, s.Transport)
		cancel()
		if err == nil && len(targets) == 0 {
			err = errors.New("no address")
		}
		if err != nil {
			lost = append(lost, fmt.Sprintf("%s: %v", s.FQDN, err))
			continue
		}
		found = append(found, s.FQDN+" at "+strings.Join(targets, ", "))
	}
	if len(lost) > 0 {
		first := systems[0]
		transport := first.Transport
		if transport == "" {
			transport = "udp"
		}
		d.say("voicemail-dns", Fail, "%s", strings.Join(lost, "; ")).add("the name servers of dns.servers, or of /etc/resolv.conf",
			fmt.Sprintf("_sip._%s.%s. SRV 10 10 5060 HOST.", transport, first.FQDN), "HOST. A 192.0.2.1")
		return
	}
	d.say("voicemail-dns", OK, "%s", strings.Join(found, "; "))
}

// ports looks whether the addresses of the configuration are free, or held by a Signalbox that runs.
func (d *doctor) ports(ctx context.Context) {
	if d.Config == nil {
		return
	}
	var free, ours []string
	for _, l := range d.Config.Proxy.Listen {
		network := "tcp"
		if l.Network == "udp" {
			network = "udp"
		}
		switch state, err := d.port(ctx, network, l.Addr, d.sipProbe); state {
		case portFree:
			free = append(free, l.Network+":"+l.Addr)
		case portOurs:
			ours = append(ours, l.Network+":"+l.Addr)
		default:
			d.taken("port-proxy", l.Network+":"+l.Addr, "proxy.listen", err)
		}
	}
	d.said("port-proxy", free, ours, "the proxy")
	switch state, err := d.port(ctx, "tcp", d.Config.Sidecar.Listen, sidecarProbe); state {
	case portFree:
		d.said("port-sidecar", []string{d.Config.Sidecar.Listen}, nil, "the sidecar")
	case portOurs:
		d.said("port-sidecar", nil, []string{d.Config.Sidecar.Listen}, "the sidecar")
	default:
		d.taken("port-sidecar", d.Config.Sidecar.Listen, "sidecar.listen", err)
	}
}

func (d *doctor) said(name string, free, ours []string, who string) {
	var parts []string
	if len(free) > 0 {
		parts = append(parts, "free for "+who+": "+strings.Join(free, ", "))
	}
	if len(ours) > 0 {
		parts = append(parts, who+" runs at "+strings.Join(ours, ", "))
	}
	if len(parts) > 0 {
		d.say(name, OK, "%s", strings.Join(parts, "; "))
	}
}

func (d *doctor) taken(name, addr, key string, err error) {
	status := Fail
	if errors.Is(err, errSilent) {
		status = Warn
	}
	d.say(name, status, "%s (%s): %v", addr, key, err).add("signalbox.yaml", key+": another address of this machine, or end what holds it (ss -lptun)")
}

type portState int

const (
	portBad portState = iota
	portFree
	portOurs
)

var (
	errSilent  = errors.New("in use, and what holds it does not answer us: a proxy of ours that does not admit this machine, or another program")
	errForeign = errors.New("held by another program")
)

// port tries to listen at an address; where somebody does, probe says whether it is ours.
func (d *doctor) port(ctx context.Context, network, addr string, probe func(ctx context.Context, network, addr string) error) (portState, error) {
	var err error
	var lc net.ListenConfig
	if network == "udp" {
		var c net.PacketConn
		if c, err = lc.ListenPacket(ctx, network, addr); err == nil {
			_ = c.Close()
			return portFree, nil
		}
	} else {
		var l net.Listener
		if l, err = lc.Listen(ctx, network, addr); err == nil {
			_ = l.Close()
			return portFree, nil
		}
	}
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		if err := probe(ctx, network, addr); err != nil {
			return portBad, err
		}
		return portOurs, nil
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return portBad, errors.New("not an address of this machine")
	case errors.Is(err, fs.ErrPermission):
		return portBad, errors.New("this user may not listen there")
	}
	return portBad, err
}

// sipProbe asks with SIP. A profile of FreeSWITCH would answer as well, so those are known first.
func (d *doctor) sipProbe(ctx context.Context, network, addr string) error {
	at, err := netip.ParseAddrPort(addr)
	if err != nil || d.Probe == nil {
		return errSilent
	}
	if d.live != nil {
		if p := d.live.at(at); p != nil {
			return fmt.Errorf("held by FreeSWITCH's profile %s", p.name)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	if d.Probe(ctx, network, at) != nil {
		return errSilent
	}
	return nil
}

// sidecarProbe connects: an Event Socket server greets with "connect".
func sidecarProbe(ctx context.Context, network, addr string) error {
	dialer := net.Dialer{Timeout: 2 * time.Second}
	conn, err := dialer.DialContext(ctx, network, addr)
	if err != nil {
		return errForeign
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetReadDeadline(time.Now().Add(2 * time.Second))
	if line, err := bufio.NewReader(conn).ReadString('\n'); err != nil || strings.TrimSpace(line) != "connect" {
		return errForeign
	}
	return nil
}
