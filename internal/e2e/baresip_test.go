package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/signalbox/signalbox/internal/lab"
)

func TestSimBaresip(t *testing.T)  { hasBaresip(t); onSimulator(t, baresips(t)) }
func TestRealBaresip(t *testing.T) { hasBaresip(t); onFreeSWITCH(t, baresips(t)) }

// hasBaresip says loudly when there is no phone.
func hasBaresip(t *testing.T) {
	if _, err := exec.LookPath("baresip"); err != nil {
		t.Skip("baresip (package baresip-core) is not here: a phone that is not ours behind the proxy was NOT tested")
	}
}

// phoneAt is an address that is neither a carrier's nor FreeSWITCH's: the proxy knows nothing of the phone but its registration.
var phoneAt = netip.AddrFrom4([4]byte{127, 0, 0, 3})

// baresips are calls to a phone that others made. It registers through the proxy's listener for devices, which it reaches by a router.
func baresips(t *testing.T) chapter {
	var devices, nodes atomic.Value // netip.AddrPort
	door := newFrontDoor(t, phoneAt, false, func([]byte) netip.AddrPort { return devices.Load().(netip.AddrPort) })
	shared := newFrontDoor(t, proxyAt, true, func([]byte) netip.AddrPort { return nodes.Load().(netip.AddrPort) })
	var a act
	for _, network := range []string{"udp", "tcp"} {
		a = append(a, lab.Story{
			Name: "baresip-" + network, Title: "A phone of others registers through the proxy by " + network + ", is called, given up, answers, and is hung up by both sides.",
			Line: lab.Line{Phone: lab.PhoneAbsent}, Play: func(ctx context.Context, s *lab.Stage) {
				devices.Store(s.Rig.DevicesAddr())
				nodes.Store(s.Rig.ProxyAddr())
				playBaresip(ctx, s, network, door.Addr, shared.Addr)
			},
		})
	}
	moves := act{{
		Name: "baresip-moves-between-proxies", Title: "Two proxies on one address: a phone by TCP is reached through the one that it is connected to, and when that dies through the other.", Alone: true,
		Line: lab.Line{Phone: lab.PhoneAbsent}, Play: func(ctx context.Context, s *lab.Stage) { playMoves(ctx, s, door, shared, &devices, &nodes) },
	}}
	return chapter{acts: []act{a, moves}, configure: func(yaml string) string {
		yaml = edit(t, yaml, "proxy:\n", "proxy:\n  advertise: "+shared.Addr.String()+"\n")
		return edit(t, yaml, "devices: {", "devices: {advertise: \""+door.Addr.String()+"\", ")
	}}
}

// playMoves has a phone register through the first of two proxies, which share the addresses that door and shared stand for.
func playMoves(ctx context.Context, s *lab.Stage, door, shared *frontDoor, devices, nodes *atomic.Value) {
	otherNodes, otherDevices, stop := startOtherProxy(ctx, s)
	defer stop()
	devices.Store(s.Rig.DevicesAddr())
	nodes.Store(s.Rig.ProxyAddr())
	b := startBaresip(ctx, s, "tcp", door.Addr, 5)
	defer b.stop()
	first := b.registered(ctx, true)
	call := func() *lab.Call { return s.Place(lab.Invite{}.Through("udp", shared.Addr)) }
	c := b.takes(ctx, call(), 1)
	c.Hangup()
	b.wait(ctx, "CALL_CLOSED", 1)

	nodes.Store(otherNodes)
	c = call()
	mail := s.Rings(ctx, s.Mail[0], 1)
	s.WaitAnswered(ctx, c)
	c.Hangup()
	s.Ended(ctx, mail, "them")
	s.Tell("the other proxy has no connection to the phone: 430, and voicemail")

	devices.Store(otherDevices)
	s.Must(s.Rig.Proxy.Kill())
	s.Must(eventually(ctx, 10*time.Second, func() bool { return b.registered(ctx, true) != first }))
	c = b.takes(ctx, call(), 2)
	b.command("hangup")
	s.Ended(ctx, c, "them")
	b.wait(ctx, "CALL_CLOSED", 2)
	s.Steps(s.Record(ctx, 3), "ring answered")
	s.Must(s.Rig.StartProxy(ctx))
}

// startOtherProxy starts a proxy with the configuration of the rig's, on ports of its own.
func startOtherProxy(ctx context.Context, s *lab.Stage) (nodes, devices netip.AddrPort, stop func()) {
	raw, err := os.ReadFile(s.Rig.Config())
	s.Must(err)
	text := string(raw)
	move := func(from netip.AddrPort) netip.AddrPort {
		to, err := lab.FreeAddr()
		s.Must(err)
		text = strings.ReplaceAll(text, from.String(), to.String())
		return to
	}
	nodes, devices = move(s.Rig.ProxyAddr()), move(s.Rig.DevicesAddr())
	move(s.Rig.ProxyTLSAddr())
	file := filepath.Join(s.Rig.Dir(), "other-proxy.yaml")
	s.Must(os.WriteFile(file, []byte(text), 0o600))
	p, err := lab.Spawn(s.Rig.Dir(), "other-proxy", program, "serve", "--config", file, "--role", "proxy")
	s.Must(err)
	stop = func() { p.Stop(3 * time.Second) }
	err = eventually(ctx, 10*time.Second, func() bool {
		c, err := net.Dial("tcp", devices.String())
		return err == nil && c.Close() == nil
	})
	if err != nil {
		stop()
		s.Fail("the other proxy does not start: %w\n%s", err, p.Tail(20))
	}
	return nodes, devices, stop
}

func playBaresip(ctx context.Context, s *lab.Stage, network string, proxy, nodes netip.AddrPort) {
	b := startBaresip(ctx, s, network, proxy, 120)
	defer b.stop()
	contact := b.registered(ctx, true)
	_, way, _ := strings.Cut(contact, "fs_path=%3Csip%3A")
	token, via, _ := strings.Cut(way, "%40")
	s.Check(len(token) > 20 && strings.HasPrefix(via, strings.ReplaceAll(nodes.String(), ":", "%3A")),
		"FreeSWITCH would call it at %s, want down its flow through the proxy at %s", contact, nodes)

	given := s.Call()
	b.wait(ctx, "CALL_INCOMING", 1)
	s.Status(ctx, given, 180)
	given.Cancel()
	s.Ended(ctx, given, "487")
	b.wait(ctx, "CALL_CLOSED", 1)
	s.Steps(s.Record(ctx, 1), "ring caller-gone")

	talked := b.answered(ctx, 2)
	talked.Hangup()
	b.wait(ctx, "CALL_CLOSED", 2)
	s.Steps(s.Record(ctx, 2), "ring answered")

	left := b.answered(ctx, 3)
	b.command("hangup")
	s.Ended(ctx, left, "them")
	b.wait(ctx, "CALL_CLOSED", 3)
	s.Steps(s.Record(ctx, 3), "ring answered")
	s.Untouched(s.Mail[:]...)

	s.Must(b.process.Signal(syscall.SIGTERM)) // it takes its registration back
	b.registered(ctx, false)
}

// baresip is the phone's process and the connection by which it is told what to do.
type baresip struct {
	s       *lab.Stage
	process *lab.Process
	conn    net.Conn
	wg      sync.WaitGroup

	mu     sync.Mutex
	events map[string]int // by type
}

// startBaresip writes a configuration and starts the phone, which registers anew within so many seconds. It has no sound: what it hears it says.
func startBaresip(ctx context.Context, s *lab.Stage, network string, proxy netip.AddrPort, seconds int) *baresip {
	path, err := exec.LookPath("baresip")
	s.Must(err)
	modules := "/usr/lib/baresip/modules"
	if found, err := filepath.Glob("/usr/lib/*/baresip/modules"); err == nil && len(found) > 0 {
		modules = found[0]
	}
	dir := filepath.Join(s.Rig.Dir(), "baresip-"+network+"-"+s.User())
	s.Must(os.Mkdir(dir, 0o700))
	sip, err := lab.FreeAddr()
	s.Must(err)
	control, err := lab.FreeAddr()
	s.Must(err)
	at := s.Rig.At()
	account := fmt.Sprintf("<sip:%s@%s;transport=%s>;auth_user=%s;auth_pass=%s;outbound=\"sip:%s;transport=%s\";regint=%d;answermode=manual;audio_codecs=PCMU\n",
		s.User(), at.Domain, network, s.User(), at.UserPassword, proxy, network, seconds)
	config := fmt.Sprintf(`sip_listen %s
net_interface %s
module_path %s
module g711.so
module aubridge.so
module_app account.so
module_app menu.so
module_app ctrl_tcp.so
ctrl_tcp_listen %s
audio_player aubridge,line
audio_source aubridge,line
audio_alert aubridge,alert
call_local_timeout 60
`, netip.AddrPortFrom(phoneAt, sip.Port()), phoneAt, modules, control)
	s.Must(errors.Join(os.WriteFile(filepath.Join(dir, "accounts"), []byte(account), 0o600), os.WriteFile(filepath.Join(dir, "config"), []byte(config), 0o600),
		os.WriteFile(filepath.Join(dir, "contacts"), nil, 0o600)))
	b := &baresip{s: s, events: make(map[string]int)}
	b.process, err = lab.Spawn(dir, "baresip", path, "-f", dir, "-s")
	s.Must(err)
	b.connect(ctx, control)
	return b
}

// connect waits until the phone takes commands.
func (b *baresip) connect(ctx context.Context, control netip.AddrPort) {
	err := eventually(ctx, 10*time.Second, func() (done bool) {
		var err error
		b.conn, err = net.Dial("tcp", control.String())
		return err == nil
	})
	if err != nil {
		b.stop()
		b.s.Fail("baresip takes no commands: %w\n%s", err, b.process.Tail(20))
	}
	b.wg.Go(b.read)
}

// registered waits until FreeSWITCH knows the phone, or does not, and says where it would call it.
func (b *baresip) registered(ctx context.Context, want bool) (contact string) {
	err := eventually(ctx, 10*time.Second, func() (done bool) {
		var err error
		contact, err = b.s.Rig.API(ctx, "sofia_contact "+b.s.User()+"@"+b.s.Rig.At().Domain)
		return err == nil && strings.HasPrefix(contact, "sofia/") == want
	})
	if err != nil {
		b.s.Fail("baresip is registered: %t: %w: FreeSWITCH says %s\n%s", want, err, contact, b.process.Tail(60))
	}
	return contact
}

// read counts the events that baresip reports, each a netstring with JSON in it.
func (b *baresip) read() {
	r := bufio.NewReader(b.conn)
	for {
		length, err := r.ReadString(':')
		if err != nil {
			return
		}
		n, err := strconv.Atoi(strings.TrimSuffix(length, ":"))
		if err != nil || n > 1<<20 {
			return
		}
		text := make([]byte, n+1) // and a comma
		if _, err := io.ReadFull(r, text); err != nil {
			return
		}
		var event struct{ Type string }
		if json.Unmarshal(text[:n], &event) == nil && event.Type != "" {
			b.mu.Lock()
			b.events[event.Type]++
			b.mu.Unlock()
		}
	}
}

// wait waits until an event was reported n times.
func (b *baresip) wait(ctx context.Context, event string, n int) {
	err := eventually(ctx, 10*time.Second, func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		return b.events[event] >= n
	})
	if err != nil {
		b.s.Fail("baresip reports %s %d times: %w\n%s", event, n, err, b.process.Tail(60))
	}
}

func (b *baresip) command(name string) { b.ask(name, "") }

// ask is command with what it takes.
func (b *baresip) ask(name, params string) {
	text := fmt.Sprintf(`{"command":%q,"params":%q}`, name, params)
	_, err := fmt.Fprintf(b.conn, "%d:%s,", len(text), text)
	b.s.Must(err)
}

// answered places a call, the phone's n-th, of which it does not answer the first, and has it answered.
func (b *baresip) answered(ctx context.Context, n int) *lab.Call {
	c := b.s.Call()
	b.wait(ctx, "CALL_INCOMING", n)
	return b.takes(ctx, c, n-1)
}

// takes has the phone answer a call, the n-th that it answers, and proves that both hear each other.
func (b *baresip) takes(ctx context.Context, c *lab.Call, n int) *lab.Call {
	b.wait(ctx, "CALL_INCOMING", n)
	b.command("accept")
	b.s.WaitAnswered(ctx, c)
	b.wait(ctx, "CALL_ESTABLISHED", n)
	// What the phone hears it says: the caller hears himself, there and back.
	b.s.Must(c.WaitHeard(ctx, b.s.Caller.Voice(), 3))
	return c
}

func (b *baresip) stop() {
	if b.conn != nil {
		_ = b.conn.Close()
	}
	b.wg.Wait()
	b.process.Stop(3 * time.Second)
}
