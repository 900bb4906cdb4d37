package e2e

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/signalbox/signalbox/internal/lab"
)

// answerer is SIPp as the voicemail system behind one name, which NAPTR and SRV records of the test DNS lead to. Nothing listens before
// it is said what it is.
type answerer struct {
	s       *lab.Stage
	fqdn    string
	network string
	addr    netip.AddrPort
	process *lab.Process
}

// newAnswerer puts a system below the stage's own name into the DNS.
func newAnswerer(s *lab.Stage, name, network string) *answerer {
	addr, err := lab.FreeAddr()
	s.Must(err)
	a := &answerer{s: s, fqdn: name + "." + s.FQDN, network: network, addr: addr}
	service := map[string]string{"udp": "SIP+D2U", "tcp": "SIP+D2T"}[network]
	srv, host := "_sip._"+network+".sip."+a.fqdn, "host."+a.fqdn
	s.Must(errors.Join(
		s.Rig.DNS().Set(a.fqdn, fmt.Sprintf(`5 IN NAPTR 10 50 "s" %q "" %s.`, service, srv)),
		s.Rig.DNS().Set(srv, fmt.Sprintf("5 IN SRV 10 0 %d %s.", addr.Port(), host)),
		s.Rig.DNS().Set(host, "5 IN A "+addr.Addr().String()),
	))
	return a
}

// is starts SIPp with a scenario, after it was stopped if it ran with another.
func (a *answerer) is(ctx context.Context, p *script) {
	a.stop()
	file, err := p.write(a.s.Rig.Dir())
	a.s.Must(err)
	transport := map[string]string{"udp": "u1", "tcp": "t1"}[a.network]
	path, err := exec.LookPath("sipp")
	a.s.Must(err)
	a.process, err = lab.Spawn(a.s.Rig.Dir(), a.fqdn, path, "-sf", file, "-i", a.addr.Addr().String(), "-p", fmt.Sprint(a.addr.Port()), "-t", transport, "-nostdin",
		"-key", "caller", "voicemail", "-key", "contact", a.addr.String()+";transport="+a.network, "-rtp_echo", "-trace_msg", "-message_file", a.messages(), "-message_overwrite", "false")
	a.s.Must(err)
	if err := eventually(ctx, 10*time.Second, a.listens); err != nil {
		a.s.Fail("SIPp does not listen: %w\n%s", err, a.process.Tail(20))
	}
}

// listens reports whether somebody has the port: otherwise the kernel refuses what is sent there.
func (a *answerer) listens() bool {
	c, err := net.Dial(a.network, a.addr.String())
	if err != nil {
		return false
	}
	defer func() { _ = c.Close() }()
	if a.network == "tcp" {
		return true
	}
	_, err = c.Write([]byte("\r\n\r\n")) // a keep-alive
	a.s.Must(errors.Join(err, c.SetReadDeadline(time.Now().Add(50*time.Millisecond))))
	_, err = c.Read(make([]byte, 1))
	return !errors.Is(err, syscall.ECONNREFUSED)
}

func (a *answerer) stop() {
	if a.process != nil {
		a.process.Stop(time.Second)
	}
}

func (a *answerer) messages() string { return filepath.Join(a.s.Rig.Dir(), a.fqdn+".messages") }

// invites are the INVITEs that came so far, each once however often it was sent.
func (a *answerer) invites() (out []*lab.Message) {
	raw, err := os.ReadFile(a.messages())
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		a.s.Must(err)
	}
	seen := make(map[string]bool)
	for part := range strings.SplitSeq(string(raw), "\n-----------------------------------------------") {
		head, text, ok := strings.Cut(part, "\n\n")
		if !ok || !strings.Contains(head, "message received") || !strings.HasPrefix(text, "INVITE ") {
			continue
		}
		m, err := lab.ParseMessage([]byte(text))
		a.s.Must(err)
		if !seen[topVia(m)] {
			seen[topVia(m)] = true
			out = append(out, m)
		}
	}
	return out
}

// invite waits for the nth INVITE.
func (a *answerer) invite(ctx context.Context, n int) *lab.Message {
	var all []*lab.Message
	err := eventually(ctx, 20*time.Second, func() bool {
		all = a.invites()
		return len(all) >= n
	})
	if err != nil {
		a.s.Fail("%s got %d INVITEs, want %d: %w\n%s", a.fqdn, len(all), n, err, a.process.Tail(20))
	}
	return all[n-1]
}

// newServer begins a scenario of somebody who is called, in which OPTIONS has its own end: a status, or nothing at all.
func newServer(name string) *script {
	p := newScript(name)
	p.xml.WriteString("  <recv request=\"OPTIONS\" optional=\"true\" next=\"1\"/>\n  <recv request=\"INVITE\" rrs=\"true\"/>\n")
	p.steps += 2
	return p
}

// options ends such a scenario.
func (p *script) options(status string) *script {
	p.xml.WriteString("  <nop next=\"2\"/>\n  <label id=\"1\"/>\n")
	if status != "" {
		p.replies(status, "[last_CSeq:]", "")
	}
	p.xml.WriteString("  <label id=\"2\"/>\n  <pause milliseconds=\"1\"/>\n")
	return p
}

// answering takes a call and what belongs to it, and says that it is well.
func answering() *script {
	p := newServer("answering")
	p.replies("180 Ringing", "[last_CSeq:]", "")
	return p.takesCall().asked("BYE").options("200 OK")
}

// refusing answers 503 to everything.
func refusing() *script {
	const status = "503 Service Unavailable"
	return newServer("refusing").refusesCall(status, "[last_CSeq:]").options(status)
}

// silent hears everything and says nothing.
func silent() *script { return newServer("silent").pause(60000).options("") }
