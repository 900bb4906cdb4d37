// Package realswitch starts a real FreeSWITCH of its own for tests that measure what FreeSWITCH does: a minimal
// configuration in a temporary folder, ports of its own on loopback, ended by its process when the test ends. Tests
// that use it are skipped when SIGNALBOX_FREESWITCH does not name a FreeSWITCH binary. A Switch is for one goroutine.
package realswitch

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

const patience = 30 * time.Second

// Switch is a running FreeSWITCH and one Event Socket connection to it.
type Switch struct {
	tb      testing.TB
	binary  string
	conn    net.Conn
	read    *textproto.Reader
	LogFile string
	SIP     string // address of the Sofia profile "external"
	Devices string // address of the profile "internal", which authenticates; "" without a directory
	Socket  string // address of the Event Socket
	events  []url.Values
	logs    []LogLine
}

// Start starts FreeSWITCH with the given XML as its dialplan section. It skips the test when there is none.
func Start(tb testing.TB, dialplan string) *Switch {
	tb.Helper()
	return StartWith(tb, dialplan, "")
}

// StartTree starts FreeSWITCH with a copy of a whole configuration tree, which prepare may edit first. Where to log and
// where to listen is written over the tree's own; it has no SIP profile unless prepare leaves one.
func StartTree(tb testing.TB, tree string, prepare func(conf string)) *Switch {
	tb.Helper()
	s, dir := newSwitch(tb)
	conf := filepath.Join(dir, "conf")
	if err := os.CopyFS(conf, os.DirFS(tree)); err != nil {
		tb.Fatal(err)
	}
	prepare(conf)
	esl := freePort(tb, "tcp")
	s.Socket = fmt.Sprintf("127.0.0.1:%d", esl)
	for name, text := range map[string]string{"logfile": fmt.Sprintf(logfile, s.LogFile), "event_socket": fmt.Sprintf(eventSocket, esl)} {
		if err := os.WriteFile(filepath.Join(conf, "autoload_configs", name+".conf.xml"), []byte(text), 0o644); err != nil {
			tb.Fatal(err)
		}
	}
	s.run(dir)
	s.connect(s.Socket, func() bool { return strings.Contains(s.API("status"), "is ready") })
	return s
}

// StartWith is Start with users, <user> elements of the domain 127.0.0.1; they may register at Devices.
func StartWith(tb testing.TB, dialplan, users string) *Switch {
	tb.Helper()
	s, dir := newSwitch(tb)
	if err := os.Mkdir(filepath.Join(dir, "conf"), 0o755); err != nil {
		tb.Fatal(err)
	}
	esl, sip := freePort(tb, "tcp"), freePort(tb, "udp")
	devices, profile, directory := 0, "", ""
	if users != "" {
		devices = freePort(tb, "udp")
		profile, directory = fmt.Sprintf(internal, devices), fmt.Sprintf(domain, users)
	}
	conf := fmt.Sprintf(template, fmt.Sprintf(logfile, s.LogFile)+fmt.Sprintf(eventSocket, esl), sip, profile, dialplan, directory)
	if err := os.WriteFile(filepath.Join(dir, "conf", "freeswitch.xml"), []byte(conf), 0o644); err != nil {
		tb.Fatal(err)
	}
	s.SIP, s.Socket = fmt.Sprintf("127.0.0.1:%d", sip), fmt.Sprintf("127.0.0.1:%d", esl)
	if devices != 0 {
		s.Devices = fmt.Sprintf("127.0.0.1:%d", devices)
	}
	s.run(dir)
	s.connect(s.Socket, func() bool { return strings.Contains(s.API("sofia status profile external"), "127.0.0.1") })
	return s
}

// newSwitch finds the binary and makes the folders, except for the configuration.
func newSwitch(tb testing.TB) (s *Switch, dir string) {
	tb.Helper()
	binary := os.Getenv("SIGNALBOX_FREESWITCH")
	if binary == "" {
		tb.Skip("SIGNALBOX_FREESWITCH names no FreeSWITCH binary")
	}
	if info, err := os.Stat(binary); err != nil || info.IsDir() {
		tb.Skipf("SIGNALBOX_FREESWITCH=%s is no binary", binary)
	}
	dir = tb.TempDir()
	for _, d := range []string{"log", "db", "run"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o755); err != nil {
			tb.Fatal(err)
		}
	}
	return &Switch{tb: tb, binary: binary, LogFile: filepath.Join(dir, "log", "fs.log")}, dir
}

// run starts the process; the end of the test ends it.
func (s *Switch) run(dir string) {
	args := []string{"-nonat", "-nc", "-nf"}
	for _, d := range []string{"conf", "log", "db", "run"} {
		args = append(args, "-"+d, filepath.Join(dir, d))
	}
	cmd := exec.Command(s.binary, args...)
	cmd.Dir = dir
	if err := cmd.Start(); err != nil {
		s.tb.Skipf("FreeSWITCH does not start: %v", err)
	}
	s.tb.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // says that it was killed
	})
}

// freePort asks the system for a port that is free now.
func freePort(tb testing.TB, network string) int {
	if network == "udp" {
		c, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			tb.Fatal(err)
		}
		defer c.Close()
		return c.LocalAddr().(*net.UDPAddr).Port
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// connect dials until FreeSWITCH answers and is ready.
func (s *Switch) connect(addr string, ready func() bool) {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	limit := time.NewTimer(patience)
	defer limit.Stop()
	for {
		select {
		case <-limit.C:
			s.tb.Fatal("FreeSWITCH does not answer")
		case <-tick.C:
		}
		if s.conn == nil {
			conn, err := net.Dial("tcp", addr)
			if err != nil {
				continue
			}
			s.conn, s.read = conn, textproto.NewReader(bufio.NewReader(conn))
			s.tb.Cleanup(func() { _ = conn.Close() })
			_ = conn.SetDeadline(time.Now().Add(2 * patience))
			s.frame()
			s.Command("auth test")
		}
		if ready() {
			return
		}
	}
}

// frame reads one message.
func (s *Switch) frame() (textproto.MIMEHeader, string) {
	s.tb.Helper()
	h, err := s.read.ReadMIMEHeader()
	if err != nil {
		s.tb.Fatalf("reading from the Event Socket: %v", err)
	}
	n, _ := strconv.Atoi(h.Get("Content-Length"))
	body := make([]byte, n)
	if _, err := io.ReadFull(s.read.R, body); err != nil {
		s.tb.Fatalf("reading from the Event Socket: %v", err)
	}
	return h, string(body)
}

// Command sends lines and returns the reply; events that come before it are kept.
func (s *Switch) Command(lines string) string {
	s.tb.Helper()
	_ = s.conn.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(s.conn, lines+"\n\n"); err != nil {
		s.tb.Fatal(err)
	}
	for {
		h, body := s.frame()
		switch h.Get("Content-Type") {
		case "text/event-plain":
			s.keep(body)
		case "log/data":
			s.logs = append(s.logs, LogLine{h.Get("User-Data"), body})
		case "api/response":
			return body
		case "text/disconnect-notice":
			s.tb.Fatal("FreeSWITCH closed the connection")
		default:
			return h.Get("Reply-Text")
		}
	}
}

// API runs an API command.
func (s *Switch) API(command string) string { s.tb.Helper(); return s.Command("api " + command) }

func (s *Switch) keep(body string) {
	v := url.Values{}
	for line := range strings.SplitSeq(body, "\n") {
		if name, value, ok := strings.Cut(line, ": "); ok {
			if plain, err := url.PathUnescape(value); err == nil {
				value = plain
			}
			v.Set(name, value)
		}
	}
	s.events = append(s.events, v)
}

// Await waits for the first event that ok accepts and forgets all events before it.
func (s *Switch) Await(ok func(url.Values) bool) url.Values {
	s.tb.Helper()
	begun := time.Now()
	for {
		if time.Since(begun) > patience {
			s.tb.Fatal("the event does not come")
		}
		for i, e := range s.events {
			if ok(e) {
				s.events = s.events[i+1:]
				return e
			}
		}
		s.events = nil
		_ = s.conn.SetDeadline(time.Now().Add(patience))
		switch h, body := s.frame(); h.Get("Content-Type") {
		case "text/event-plain":
			s.keep(body)
		case "log/data":
			s.logs = append(s.logs, LogLine{h.Get("User-Data"), body})
		}
	}
}

// Version returns what FreeSWITCH calls itself.
func (s *Switch) Version() string { return strings.TrimSpace(s.API("version short")) }

// LogLine is one message of the log as the Event Socket gives it, and the channel that it belongs to. Unlike the file it
// is not changed in any way.
type LogLine struct{ UUID, Text string }

// Logs returns what came since the command "log debug"; it asks once more, so that all that was logged before is there.
func (s *Switch) Logs() []LogLine {
	s.tb.Helper()
	s.API("status")
	return s.logs
}

// Log returns the log file from offset on.
func (s *Switch) Log(offset int64) string {
	f, err := os.Open(s.LogFile)
	if err != nil {
		s.tb.Fatal(err)
	}
	defer f.Close()
	if _, err := f.Seek(offset, io.SeekStart); err != nil {
		s.tb.Fatal(err)
	}
	data, err := io.ReadAll(f)
	if err != nil && !errors.Is(err, io.EOF) {
		s.tb.Fatal(err)
	}
	return string(data)
}

const template = `<?xml version="1.0"?>
<document type="freeswitch/xml">
<section name="configuration">
<configuration name="switch.conf"><settings><param name="colorize-console" value="false"/><param name="max-sessions" value="200"/><param name="sessions-per-second" value="200"/><param name="loglevel" value="debug"/></settings></configuration>
<configuration name="modules.conf"><modules><load module="mod_logfile"/><load module="mod_event_socket"/><load module="mod_commands"/><load module="mod_dptools"/><load module="mod_expr"/><load module="mod_loopback"/><load module="mod_dialplan_xml"/><load module="mod_sofia"/></modules></configuration>
%s
<configuration name="acl.conf"><network-lists></network-lists></configuration>
<configuration name="sofia.conf"><profiles><profile name="external"><settings><param name="context" value="public"/><param name="dialplan" value="XML"/><param name="sip-ip" value="127.0.0.1"/><param name="rtp-ip" value="127.0.0.1"/><param name="sip-port" value="%d"/><param name="inbound-codec-prefs" value="PCMU"/><param name="outbound-codec-prefs" value="PCMU"/><param name="auth-calls" value="false"/></settings></profile>%s</profiles></configuration>
</section>
<section name="dialplan">
%s
</section>
%s
</document>
`

const logfile = `<configuration name="logfile.conf"><settings><param name="rotate-on-hup" value="true"/></settings><profiles><profile name="default"><settings><param name="logfile" value="%s"/><param name="uuid" value="false"/></settings><mappings><map name="all" value="debug,info,notice,warning,err,crit,alert"/></mappings></profile></profiles></configuration>
`

const eventSocket = `<configuration name="event_socket.conf"><settings><param name="listen-ip" value="127.0.0.1"/><param name="listen-port" value="%d"/><param name="password" value="test"/></settings></configuration>
`

const internal = `<profile name="internal"><settings><param name="context" value="public"/><param name="dialplan" value="XML"/><param name="sip-ip" value="127.0.0.1"/><param name="rtp-ip" value="127.0.0.1"/><param name="sip-port" value="%d"/><param name="inbound-codec-prefs" value="PCMU"/><param name="outbound-codec-prefs" value="PCMU"/><param name="auth-calls" value="true"/><param name="force-register-domain" value="127.0.0.1"/></settings></profile>`

const domain = `<section name="directory"><domain name="127.0.0.1"><groups><group name="default"><users>%s</users></group></groups></domain></section>`
