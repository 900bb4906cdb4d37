package sdnotify

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// manager is systemd's end.
func manager(t *testing.T) (*net.UnixConn, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "notify")
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c, path
}

func read(t *testing.T, c *net.UnixConn) string {
	t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(5 * time.Second))
	b := make([]byte, 4096)
	n, err := c.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	return string(b[:n])
}

func TestEachMessageIsWhatSystemdReads(t *testing.T) {
	c, path := manager(t)
	n, err := New([]string{"NOTIFY_SOCKET=" + path, "WATCHDOG_USEC=30000000", fmt.Sprintf("WATCHDOG_PID=%d", os.Getpid())})
	if err != nil {
		t.Fatal(err)
	}
	if n.Watchdog() != 30*time.Second {
		t.Errorf("watchdog %s", n.Watchdog())
	}
	for _, tt := range []struct {
		send func() error
		want string
	}{
		{func() error { return n.Ready("2 calls\nWATCHDOG=trigger") }, "READY=1\nSTATUS=2 calls WATCHDOG=trigger"},
		{func() error { return n.Status("busy") }, "STATUS=busy"},
		{func() error { return n.Stopping("draining") }, "STOPPING=1\nSTATUS=draining"},
		{func() error { return n.Extend(35 * time.Second) }, "EXTEND_TIMEOUT_USEC=35000000"},
		{n.Alive, "WATCHDOG=1"},
	} {
		if err := tt.send(); err != nil {
			t.Fatal(err)
		}
		if got := read(t, c); got != tt.want {
			t.Errorf("sent %q, want %q", got, tt.want)
		}
	}
	if err := n.Reloading(); err != nil {
		t.Fatal(err)
	}
	usec, ok := strings.CutPrefix(read(t, c), "RELOADING=1\nMONOTONIC_USEC=")
	uptime, err := os.ReadFile("/proc/uptime") // the same clock but for suspends, in seconds
	if err != nil {
		t.Skip(err)
	}
	seconds, _ := strconv.ParseFloat(strings.Fields(string(uptime))[0], 64)
	if v, err := strconv.ParseFloat(usec, 64); !ok || err != nil || v/1e6 > seconds+1 || v <= 0 {
		t.Errorf("RELOADING with MONOTONIC_USEC=%s at an uptime of %.2f s", usec, seconds)
	}
}

func TestWithoutSystemdNothingIsSaid(t *testing.T) {
	n, err := New([]string{"HOME=/root"})
	if err != nil || n != nil {
		t.Fatal(n, err)
	}
	if n.Watchdog() != 0 || n.Ready("x") != nil || n.Reloading() != nil || n.Alive() != nil || n.Stopping("") != nil {
		t.Error("a notifier for nobody says something")
	}
}

func TestAWatchdogOfAnotherProcessIsNotOurs(t *testing.T) {
	n, err := New([]string{"NOTIFY_SOCKET=@abstract", "WATCHDOG_USEC=1000", "WATCHDOG_PID=1"})
	if err != nil || n.Watchdog() != 0 {
		t.Errorf("watchdog %s, %v", n.Watchdog(), err)
	}
}

func TestWhatCannotBeIsNamed(t *testing.T) {
	for _, environ := range [][]string{{"NOTIFY_SOCKET=relative"}, {"NOTIFY_SOCKET=@x", "WATCHDOG_USEC=soon"}, {"NOTIFY_SOCKET=@x", "WATCHDOG_USEC=-1"}} {
		if _, err := New(environ); err == nil || !strings.Contains(err.Error(), strings.SplitN(environ[len(environ)-1], "=", 2)[0]) {
			t.Errorf("%v: %v", environ, err)
		}
	}
	n, err := New([]string{"NOTIFY_SOCKET=" + filepath.Join(t.TempDir(), "nobody")})
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Alive(); err == nil {
		t.Error("a socket that is not there took a message")
	}
}
