package app_test

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/signalbox/signalbox/internal/app"
	"github.com/signalbox/signalbox/internal/config"
	"github.com/signalbox/signalbox/internal/fsw/fswtest"
	"github.com/signalbox/signalbox/internal/sdnotify"
	"github.com/signalbox/signalbox/internal/telemetry"
)

// ready asks /readyz.
func ready(t *testing.T, a *app.App) (int, telemetry.Report) {
	t.Helper()
	resp, err := http.Get("http://" + a.HTTPAddr().String() + "/readyz?format=json")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	var r telemetry.Report
	if err := json.NewDecoder(resp.Body).Decode(&r); err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, r
}

// failing are the names of the checks that fail.
func failing(r telemetry.Report) string {
	var names []string
	for _, c := range r.Checks {
		if !c.OK {
			names = append(names, c.Name)
		}
	}
	return strings.Join(names, " ")
}

func TestReadinessNamesWhatIsMissing(t *testing.T) {
	t.Parallel()
	for role, want := range map[app.Role]string{app.All: "serving event_socket store voicemail_targets sip nodes names", app.Sidecar: "serving event_socket store voicemail_targets", app.Proxy: "serving sip nodes names"} {
		a, _ := start(t, app.Options{Config: settings(t), Role: role})
		code, r := ready(t, a)
		var names []string
		for _, c := range r.Checks {
			names = append(names, c.Name)
		}
		if code != 200 || r.Status != telemetry.OK || strings.Join(names, " ") != want {
			t.Errorf("%s: %d %+v", role, code, r)
		}
		if resp, err := http.Get("http://" + a.HTTPAddr().String() + "/healthz"); err != nil || resp.StatusCode != 200 {
			t.Errorf("%s: /healthz: %v %v", role, resp, err)
		} else {
			_ = resp.Body.Close()
		}
	}
}

func TestReadinessFollowsTheLinks(t *testing.T) {
	t.Parallel()
	c := settings(t)
	there := fswtest.New(t, fswtest.Options{Socket: free(t)})
	c.Nodes = nil
	for name, addr := range map[string]string{"gone": "127.0.0.1:1", "there": there.Switch.EventSocketAddr().String()} {
		n := config.Node{Name: name, EventSocket: config.EventSocket{Addr: addr, Password: fswtest.Password}}
		n.SIP.AddrPort = there.Switch.ExternalAddr()
		c.Nodes = append(c.Nodes, n)
	}
	a, _ := start(t, app.Options{Config: c, Role: app.Sidecar})
	eventually(t, "one link is up", func() bool {
		code, r := ready(t, a)
		return code == 200 && r.Status == telemetry.Degraded && failing(r) == "link_gone"
	})
	alone := copied(c, func(n *config.Config) {
		n.Nodes = slices.DeleteFunc(n.Nodes, func(n config.Node) bool { return n.Name == "there" })
		n.Store.SQLite = filepath.Join(t.TempDir(), "signalbox.db")
	})
	b, _ := start(t, app.Options{Config: alone, Role: app.Sidecar})
	if code, r := ready(t, b); code != 503 || failing(r) != "links link_gone" {
		t.Errorf("no link at all: %d %+v", code, r)
	}
}

func TestTheListenerMayBeSwitchedOffAndATakenPortIsNamed(t *testing.T) {
	t.Parallel()
	busy := taken(t)
	c := settings(t)
	c.HTTP.Listen, c.HTTP.ProxyListen = "", busy
	if a, _ := start(t, app.Options{Config: c, Role: app.All}); a.HTTPAddr() != nil {
		t.Errorf("listens on %s", a.HTTPAddr())
	}
	if _, err := app.New(app.Options{Config: c, Role: app.Proxy}); err == nil || !strings.Contains(err.Error(), "http.proxy_listen") || !strings.Contains(err.Error(), busy) {
		t.Errorf("a taken port: %v", err)
	}
}

// systemd is a service manager's socket; said gives what it was told.
func systemd(t *testing.T, watchdog string) (n *sdnotify.Notifier, said <-chan string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "notify")
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	out := make(chan string, 1000)
	go func() {
		b := make([]byte, 4096)
		for {
			n, err := c.Read(b)
			if err != nil {
				close(out)
				return
			}
			out <- string(b[:n])
		}
	}()
	n, err = sdnotify.New([]string{"NOTIFY_SOCKET=" + path, "WATCHDOG_USEC=" + watchdog})
	if err != nil {
		t.Fatal(err)
	}
	return n, out
}

// hears waits until systemd is told something with this beginning.
func hears(t *testing.T, said <-chan string, prefix string) string {
	t.Helper()
	timeout := time.After(fswtest.Patience)
	for {
		select {
		case s := <-said:
			if strings.HasPrefix(s, prefix) {
				return s
			}
		case <-timeout:
			t.Fatalf("systemd was never told %s", prefix)
		}
	}
}

func TestSystemdIsToldOfEveryChange(t *testing.T) {
	t.Parallel()
	n, said := systemd(t, "300000")
	c := settings(t)
	a, stop := start(t, app.Options{Config: c, Role: app.All, Notify: n})
	if got := hears(t, said, "READY=1"); got != "READY=1\nSTATUS=0 calls, 0 SIP requests under way" {
		t.Errorf("told %q", got)
	}
	for range 3 {
		hears(t, said, "WATCHDOG=1")
	}
	if err := a.Reload(c); err != nil {
		t.Fatal(err)
	}
	hears(t, said, "RELOADING=1\nMONOTONIC_USEC=")
	hears(t, said, "READY=1")
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if got := hears(t, said, "STOPPING=1"); !strings.Contains(got, "draining") {
		t.Errorf("told %q", got)
	}
}

func TestEachRoleHasItsOwnMetrics(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		role      app.Role
		has, lack string
	}{
		{app.Sidecar, "signalbox_sidecar_active_calls 0", "signalbox_proxy_"},
		{app.Proxy, "signalbox_proxy_calls_total 0", "signalbox_sidecar_"},
	} {
		a, _ := start(t, app.Options{Config: settings(t), Role: tt.role})
		resp, err := http.Get("http://" + a.HTTPAddr().String() + "/metrics")
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil || resp.StatusCode != 200 || !strings.Contains(string(text), "\n"+tt.has+"\n") || strings.Contains(string(text), tt.lack) {
			t.Errorf("%s: %d %v\n%s", tt.role, resp.StatusCode, err, text)
		}
		if !strings.Contains(string(text), `role="`+string(tt.role)+`"`) {
			t.Errorf("%s: the role is not said", tt.role)
		}
	}
}

func TestAProcessThatDrainsIsAliveAndNotReady(t *testing.T) {
	t.Parallel()
	r := newRig(t, app.Sidecar, drains)
	ringing := r.Place(r.carrier, invite(), r.Switch.ExternalAddr())
	r.Status(ringing, 180)
	eventually(t, "it is ready", func() bool { code, _ := ready(t, r.app); return code == 200 })
	stopped := make(chan error, 1)
	go func() { stopped <- r.stop() }()
	said(t, r.logged, "stopping")
	eventually(t, "it is not ready", func() bool {
		code, report := ready(t, r.app)
		return code == 503 && strings.HasPrefix(failing(report), "serving event_socket")
	})
	resp, err := http.Get("http://" + r.app.HTTPAddr().String() + "/healthz")
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != 200 {
		t.Errorf("while it drains /healthz says %d", resp.StatusCode)
	}
	r.app.EndNow()
	if err := fswtest.Wait(t, "the end of the stop", stopped); err != nil {
		t.Error(err)
	}
}
