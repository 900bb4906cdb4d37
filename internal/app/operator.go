package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/signalbox/signalbox/internal/export"
	"github.com/signalbox/signalbox/internal/sdnotify"
	"github.com/signalbox/signalbox/internal/telemetry"
	"github.com/signalbox/signalbox/sipproxy"
)

const (
	// statusEvery is how often systemd gets a status line.
	statusEvery = 5 * time.Second
	// stopMore is what systemd is asked for beyond each status line of a drain, so that a drain that was configured is not cut.
	stopMore = 30 * time.Second
)

// operator tells people, monitoring and systemd how the process is. Its methods are called by Run and Reload of App, run by a
// goroutine of its own.
type operator struct {
	app    *App
	log    *zap.Logger
	notify *sdnotify.Notifier
	http   *telemetry.Server // nil = http.listen is empty
	alive  *telemetry.Checks

	stopping atomic.Pointer[time.Time] // when the drain began
}

// openOperator binds the HTTP listener, so that a port that is taken is said at the start.
func (a *App) openOperator(notify *sdnotify.Notifier) error {
	o := &operator{app: a, log: a.log, notify: notify}
	a.operator = o
	o.alive = telemetry.NewChecks(o.loops()...)
	key, addr := "http.listen", a.config.HTTP.Listen
	if a.role == Proxy {
		key, addr = "http.proxy_listen", a.config.HTTP.ProxyListen
	}
	if addr == "" {
		return nil
	}
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return fmt.Errorf("%s: %w (is the port taken? \"\" switches /healthz, /readyz and /metrics off)", key, err)
	}
	a.undo = append(a.undo, listener.Close)
	o.http = telemetry.NewServer(telemetry.ServerOptions{
		Listener: listener, Alive: o.alive, Ready: telemetry.NewChecks(o.needs()...), Metrics: a.metrics, Pprof: a.config.HTTP.Pprof, Logger: a.log,
	})
	return nil
}

// loops are the checks of /healthz and of the watchdog: only what a restart would put right, for a restart gives every call
// that is being treated to the operator's own dialplan.
func (o *operator) loops() []telemetry.Check {
	var checks []telemetry.Check
	if server := o.app.server; server != nil {
		checks = append(checks, telemetry.Check{Name: "event_socket_loop", Run: func(context.Context) error { return server.Alive() }})
	}
	if proxy := o.app.proxy; proxy != nil {
		checks = append(checks, telemetry.Check{Name: "sip_loops", Run: proxy.Alive})
	}
	return checks
}

// needs are the checks of /readyz: what a call needs. The link to a node is advisory, for calls are treated without it, but when all are
// down something is wrong that calls will feel.
func (o *operator) needs() []telemetry.Check {
	a := o.app
	checks := []telemetry.Check{{Name: "serving", Run: func(context.Context) error {
		if since := o.stopping.Load(); since != nil {
			return fmt.Errorf("draining for %s: new calls go to the operator's own dialplan", time.Since(*since).Round(time.Second))
		}
		return nil
	}}}
	if a.server != nil {
		checks = append(checks, telemetry.Check{Name: "event_socket", Run: func(context.Context) error {
			if o.stopping.Load() != nil {
				return errors.New("the listener is closed: FreeSWITCH goes on with the operator's own dialplan")
			}
			return a.server.Alive()
		}}, telemetry.Check{Name: "store", Run: a.store.Ping})
		checks = append(checks, o.linkChecks()...)
		if a.export != nil {
			checks = append(checks, telemetry.Check{Name: "export", Advisory: true, Run: func(context.Context) error { return exportTrouble(a.export.Stats()) }})
		}
	}
	if a.targets != nil {
		checks = append(checks, telemetry.Check{Name: "voicemail_targets", Advisory: true, Run: func(context.Context) error { return targetsTrouble(a.targets.States(), time.Now()) }})
	}
	if a.proxy != nil {
		checks = append(checks, telemetry.Check{Name: "sip", Run: a.proxy.Alive}, telemetry.Check{Name: "nodes", Run: func(context.Context) error {
			return nodesTrouble(a.proxy.Health())
		}}, telemetry.Check{Name: "names", Advisory: true, Run: func(context.Context) error { return namesTrouble(a.proxy.Names()) }})
	}
	return checks
}

// nodesTrouble says when no FreeSWITCH answers the proxy. One that is silent beside others is for the metrics to tell.
func nodesTrouble(nodes []sipproxy.HopHealth) error {
	for _, n := range nodes {
		if n.Up {
			return nil
		}
	}
	if len(nodes) == 0 {
		return nil // none was asked yet
	}
	return errors.New("no FreeSWITCH answers the proxy's OPTIONS at nodes[].sip: calls are tried all the same, and will fail")
}

func (o *operator) linkChecks() []telemetry.Check {
	nodes := o.app.nodes
	if len(nodes) == 0 {
		return nil
	}
	checks := []telemetry.Check{{Name: "links", Run: func(context.Context) error {
		for _, n := range nodes {
			if n.Up() {
				return nil
			}
		}
		return errors.New("no FreeSWITCH is attached on its Event Socket: look at nodes[].event_socket, and whether FreeSWITCH runs")
	}}}
	for _, n := range nodes {
		checks = append(checks, telemetry.Check{Name: "link_" + n.Name(), Advisory: true, Run: func(context.Context) error {
			if n.Up() {
				return nil
			}
			return errors.New("not attached on its Event Socket; the log says why")
		}})
	}
	return checks
}

// exportTrouble says when call records are about to find no room.
func exportTrouble(s export.Stats) error {
	if s.SpoolBytes > s.SpoolMax/10*8 {
		return fmt.Errorf("%d call records wait to be posted, %d of %d bytes: the receiver at records.http.url does not take them", s.SpoolRecords, s.SpoolBytes, s.SpoolMax)
	}
	return nil
}

// run answers HTTP and feeds the watchdog until ctx ends.
func (o *operator) run(ctx context.Context) error {
	var serving errgroup.Group
	if o.http != nil {
		serving.Go(func() error {
			err := o.http.Run(ctx)
			if err != nil {
				o.log.Error("health and metrics are not answered any more", zap.Error(err))
			}
			return err
		})
	}
	every := statusEvery
	if w := o.notify.Watchdog(); w > 0 {
		every = min(every, w/3)
	}
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			o.tick(ctx)
		case <-ctx.Done():
			return serving.Wait()
		}
	}
}

// tick feeds the watchdog when every main loop turns, and says how we are.
func (o *operator) tick(ctx context.Context) {
	if report := o.alive.Report(ctx); report.Status != telemetry.OK {
		o.log.Error("a main loop does not turn: the watchdog is not fed", zap.Any("checks", report.Checks))
		return
	}
	o.told(o.notify.Alive())
	o.told(o.notify.Status(o.status()))
	if o.stopping.Load() != nil {
		o.told(o.notify.Extend(statusEvery + stopMore))
	}
}

// told logs what systemd did not take. Nothing depends on it but systemd's own view.
func (o *operator) told(err error) {
	if err != nil {
		o.log.Warn("systemd not told", zap.Error(err))
	}
}

// status is one line for `systemctl status`.
func (o *operator) status() string {
	var parts []string
	a := o.app
	if o.stopping.Load() != nil {
		parts = append(parts, "draining")
	}
	if a.server != nil {
		parts = append(parts, fmt.Sprintf("%d calls", a.server.Stats().Active))
		if len(a.nodes) > 0 {
			up := 0
			for _, n := range a.nodes {
				if n.Up() {
					up++
				}
			}
			parts = append(parts, fmt.Sprintf("%d of %d FreeSWITCH attached", up, len(a.nodes)))
		}
	}
	if a.proxy != nil {
		parts = append(parts, fmt.Sprintf("%d SIP requests under way", a.proxy.Stats().Pending))
	}
	return strings.Join(parts, ", ")
}

func (o *operator) ready() { o.told(o.notify.Ready(o.status())) }

func (o *operator) reloading() { o.told(o.notify.Reloading()) }

func (o *operator) reloaded() { o.told(o.notify.Ready(o.status())) }

// draining is told once that no further calls are taken.
func (o *operator) draining() {
	now := time.Now()
	o.stopping.Store(&now)
	o.told(o.notify.Stopping(o.status()))
}
