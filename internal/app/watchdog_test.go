package app

import (
	"context"
	"errors"
	"net"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/signalbox/signalbox/internal/sdnotify"
	"github.com/signalbox/signalbox/internal/telemetry"
)

func TestTheWatchdogIsFedOnlyWhileTheLoopsTurn(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notify")
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	notify, err := sdnotify.New([]string{"NOTIFY_SOCKET=" + path, "WATCHDOG_USEC=1000000"})
	if err != nil {
		t.Fatal(err)
	}
	var stuck atomic.Bool
	core, logged := observer.New(zap.InfoLevel)
	o := &operator{app: &App{}, log: zap.New(core), notify: notify, alive: telemetry.NewChecks(telemetry.Check{Name: "loop", Run: func(context.Context) error {
		if stuck.Load() {
			return errors.New("it does not turn")
		}
		return nil
	}})}
	told := func() string {
		_ = c.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
		var all []string
		for b := make([]byte, 1000); ; {
			n, err := c.Read(b)
			if err != nil {
				return strings.Join(all, " ")
			}
			all = append(all, string(b[:n]))
		}
	}
	o.tick(t.Context())
	if got := told(); !strings.Contains(got, "WATCHDOG=1") {
		t.Errorf("told %q", got)
	}
	stuck.Store(true)
	o.tick(t.Context())
	if got := told(); got != "" {
		t.Errorf("a stuck loop: told %q", got)
	}
	if logged.FilterMessageSnippet("the watchdog is not fed").Len() != 1 {
		t.Errorf("the log does not say why: %v", logged.All())
	}
	stuck.Store(false)
	o.tick(t.Context())
	if got := told(); !strings.Contains(got, "WATCHDOG=1") {
		t.Errorf("after it turns again: told %q", got)
	}
}
