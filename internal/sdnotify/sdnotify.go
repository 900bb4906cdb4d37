// Package sdnotify tells systemd how a service of Type=notify is doing (sd_notify(3)): that it is ready, reloads, stops,
// still lives, and one line of status.
//
// Every message is one datagram to the socket that NOTIFY_SOCKET names; a service without one, or a nil *Notifier, says
// nothing. A message waits 100 ms at most; what a full socket does not take then is lost, and the next one says more. A Notifier is safe for
// concurrent use.
//
//	n, err := sdnotify.New(os.Environ())
//	...
//	n.Ready("two calls")
package sdnotify

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Notifier sends to the service manager. Make it with New; nil is one that says nothing.
type Notifier struct {
	addr     *net.UnixAddr
	watchdog time.Duration
}

// New reads NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID out of an environment as os.Environ gives it. It is nil, without an
// error, when nobody wants to be told. A variable that cannot be what it should is an error.
func New(environ []string) (*Notifier, error) {
	vars := map[string]string{}
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		vars[name] = value
	}
	socket := vars["NOTIFY_SOCKET"]
	if socket == "" {
		return nil, nil
	}
	if socket[0] != '/' && socket[0] != '@' {
		return nil, fmt.Errorf("NOTIFY_SOCKET is %q: neither a path nor an abstract socket", socket)
	}
	n := &Notifier{addr: &net.UnixAddr{Name: socket, Net: "unixgram"}}
	if text := vars["WATCHDOG_USEC"]; text != "" && forUs(vars["WATCHDOG_PID"]) {
		usec, err := strconv.ParseInt(text, 10, 64)
		if err != nil || usec <= 0 {
			return nil, fmt.Errorf("WATCHDOG_USEC is %q: not a number of microseconds", text)
		}
		n.watchdog = time.Duration(usec) * time.Microsecond
	}
	return n, nil
}

// forUs reports whether the watchdog expects this process and no other.
func forUs(pid string) bool { return pid == "" || pid == strconv.Itoa(os.Getpid()) }

// Watchdog is how long systemd waits for Alive before it ends the service; 0 = it does not wait for it.
func (n *Notifier) Watchdog() time.Duration {
	if n == nil {
		return 0
	}
	return n.watchdog
}

// Ready says that the service serves, also after a reload.
func (n *Notifier) Ready(status string) error { return n.send("READY=1", "STATUS="+line(status)) }

// Status is one line for `systemctl status`.
func (n *Notifier) Status(status string) error { return n.send("STATUS=" + line(status)) }

// Reloading says that a reload begins; Ready ends it.
func (n *Notifier) Reloading() error {
	if n == nil {
		return nil
	}
	var now unix.Timespec // systemd compares with its own CLOCK_MONOTONIC
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		return fmt.Errorf("reading the clock: %w", err)
	}
	return n.send("RELOADING=1", fmt.Sprintf("MONOTONIC_USEC=%d", now.Nano()/1000))
}

// Stopping says that the service ends.
func (n *Notifier) Stopping(status string) error { return n.send("STOPPING=1", "STATUS="+line(status)) }

// Extend asks for more time to stop (or start): at least so long from now.
func (n *Notifier) Extend(d time.Duration) error {
	return n.send(fmt.Sprintf("EXTEND_TIMEOUT_USEC=%d", d.Microseconds()))
}

// Alive feeds the watchdog.
func (n *Notifier) Alive() error { return n.send("WATCHDOG=1") }

func (n *Notifier) send(assignments ...string) error {
	if n == nil {
		return nil
	}
	c, err := net.DialUnix("unixgram", nil, n.addr)
	if err != nil {
		return fmt.Errorf("telling systemd: %w", err)
	}
	defer func() { _ = c.Close() }()
	_ = c.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
	if _, err := c.Write([]byte(strings.Join(assignments, "\n"))); err != nil {
		return fmt.Errorf("telling systemd: %w", err)
	}
	return nil
}

// line keeps a status on one line: a line break would begin another assignment.
func line(s string) string { return strings.NewReplacer("\n", " ", "\r", " ").Replace(s) }
