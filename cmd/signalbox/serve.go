package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"go.uber.org/zap"

	"github.com/signalbox/signalbox/internal/app"
	"github.com/signalbox/signalbox/internal/config"
	"github.com/signalbox/signalbox/internal/sdnotify"
)

// configFlag is shared by every command that reads the configuration.
type configFlag struct {
	Config string `short:"c" default:"signalbox.yaml" env:"SIGNALBOX_CONFIG" help:"Configuration file." type:"path"`
}

func (f configFlag) load() (*config.Config, error) { return config.Load(f.Config, os.Environ()) }

type serveCmd struct {
	configFlag
	Role string `enum:"all,proxy,sidecar" default:"all" help:"What this process runs: ${enum}. In production proxy and sidecar are two processes."`
}

// Help is the example in --help.
func (serveCmd) Help() string {
	return `Example:

  signalbox serve --config /etc/signalbox/signalbox.yaml --role sidecar

SIGHUP reads the file again; a bad file changes nothing. SIGTERM drains: new calls go to the operator's own dialplan,
callers who wait are served to the end, for sidecar.drain at most, talking parties are left to FreeSWITCH. A second SIGTERM
ends the drain at once. /healthz, /readyz and /metrics are answered at http.listen; a service manager that names NOTIFY_SOCKET
(systemd, Type=notify) is told of every change, and its watchdog is fed while the main loops turn.`
}

// Run serves until a signal.
func (c *serveCmd) Run(ctx context.Context) error {
	cfg, err := c.load()
	if err != nil {
		return err
	}
	log, err := app.NewLogger(cfg.Log)
	if err != nil {
		return err
	}
	defer func() { _ = log.Sync() }()
	notify, err := sdnotify.New(os.Environ())
	if err != nil {
		return err
	}
	a, err := app.New(app.Options{Config: cfg, Role: app.Role(c.Role), Logger: log, Notify: notify})
	if err != nil {
		return fmt.Errorf("%s: %w", c.Config, err)
	}
	reload := make(chan os.Signal, 1)
	signal.Notify(reload, syscall.SIGHUP)
	defer signal.Stop(reload)
	done := make(chan struct{})
	defer close(done)
	go c.reloadOn(reload, done, a, log)
	impatient := make(chan os.Signal, 2)
	signal.Notify(impatient, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(impatient)
	go endNowOn(impatient, done, a, log)
	return a.Run(ctx)
}

// endNowLimit is how long after the second signal the process is there at most.
const endNowLimit = 2 * time.Second

// endNowOn ends the drain at the second signal; the first began it. From then on a further one kills.
func endNowOn(signals <-chan os.Signal, done <-chan struct{}, a *app.App, log *zap.Logger) {
	for range 2 {
		select {
		case <-done:
			return
		case <-signals:
		}
	}
	log.Warn("a second signal: ending at once")
	signal.Reset(os.Interrupt, syscall.SIGTERM)
	a.EndNow()
	select {
	case <-done:
	case <-time.After(endNowLimit):
		log.Error("something did not end in time, the process ends without it", zap.Duration("limit", endNowLimit))
		_ = log.Sync()
		os.Exit(1)
	}
}

func (c *serveCmd) reloadOn(signals <-chan os.Signal, done <-chan struct{}, a *app.App, log *zap.Logger) {
	for {
		select {
		case <-done:
			return
		case <-signals:
		}
		cfg, err := c.load()
		if err == nil {
			err = a.Reload(cfg)
		}
		if err != nil {
			log.Error("configuration not reloaded, everything stays as it was", zap.Error(err))
			continue
		}
		log.Info("configuration reloaded", zap.String("file", c.Config))
	}
}

type checkConfigCmd struct {
	configFlag
	Conf   string `help:"FreeSWITCH's conf folder: what conference.* needs of FreeSWITCH is looked for there." type:"path"`
	Quiet  bool   `short:"q" help:"Print only what is wrong."`
	Format string `enum:"text,json" default:"text" help:"Output: ${enum}."`
}

// Help is the example in --help.
func (checkConfigCmd) Help() string {
	return `Example:

  signalbox check-config --config signalbox.yaml
  signalbox check-config --quiet && echo good
  signalbox check-config --conf /etc/freeswitch

Prints every key with its value and the environment variable that overrides it; secrets print as ***. What works but is hardly
meant, such as a password that everybody knows or an empty list of trunks, is a warning on standard error; with --conf so is what
conferences lack in FreeSWITCH's conf folder, as far as its files say it (signalbox doctor asks the running switch).`
}

// configKey is one key as check-config prints it in JSON.
type configKey struct {
	Key   string `json:"key"`
	Env   string `json:"env"` // the variable that overrides it
	Value string `json:"value"`
}

// Run prints what counts.
func (c *checkConfigCmd) Run(ctx context.Context) error {
	cfg, err := c.load()
	if err != nil {
		return err
	}
	for _, w := range cfg.Warnings() {
		fmt.Fprintln(os.Stderr, "warning:", w)
	}
	if c.Conf != "" {
		if err := c.conferences(ctx, cfg); err != nil {
			return err
		}
	}
	if c.Quiet {
		return nil
	}
	for i := range cfg.Proxy.Trunks { // what counts, not what is written
		t := &cfg.Proxy.Trunks[i]
		t.CallsPerSecond, t.MessagesPerSecond = t.Rates()
		t.Region = cmp.Or(t.Region, cfg.Region)
	}
	rows := config.Keys(cfg)
	if c.Format == "json" {
		named := []configKey{}
		for _, row := range rows {
			named = append(named, configKey{row[0], row[1], row[2]})
		}
		return printJSON(named)
	}
	width := 30
	for _, row := range rows {
		width = max(width, min(len(row[2]), 60))
	}
	for _, row := range rows {
		fmt.Printf("%-40s %-*s %s\n", row[0], width, row[2], row[1])
	}
	fmt.Printf("\n%s is good.\n", c.Config)
	return nil
}
