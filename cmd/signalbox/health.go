package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"time"
)

const maxHealthAnswer = 64 << 10 // bytes of an answer that are read

type healthCmd struct {
	configFlag
	Role    string        `enum:"all,proxy,sidecar" default:"all" help:"Which process is asked: ${enum}."`
	Timeout time.Duration `default:"3s" help:"What the answer may take."`
	Format  string        `enum:"text,json" default:"text" help:"Output: ${enum}."`
}

// Help is the example in --help.
func (healthCmd) Help() string {
	return `Example:

  signalbox health --config /etc/signalbox/signalbox.yaml --role proxy

Asks /readyz of the process on this machine, at http.listen or, for the role proxy, http.proxy_listen, and prints each check.
The exit status is 0 when it can take calls, so a container's health check needs no other program.`
}

// Run asks.
func (c *healthCmd) Run(ctx context.Context) error {
	cfg, err := c.load()
	if err != nil {
		return err
	}
	key, addr := "http.listen", cfg.HTTP.Listen
	if c.Role == "proxy" {
		key, addr = "http.proxy_listen", cfg.HTTP.ProxyListen
	}
	if addr == "" {
		return fmt.Errorf("%s is empty: the process answers nowhere; give it HOST:PORT", key)
	}
	answer, err := askReady(ctx, reachable(addr), c.Format, c.Timeout)
	if err != nil {
		return fmt.Errorf("%s %s: %w", key, addr, err)
	}
	if answer.ready {
		_, err = io.WriteString(os.Stdout, answer.text)
		return err
	}
	if c.Format == "json" {
		_, _ = io.WriteString(os.Stdout, answer.text)
		return errors.New("not ready")
	}
	return fmt.Errorf("not ready: %s", strings.TrimSpace(answer.text))
}

// reachable is where a process that listens at addr is asked from its own machine.
func reachable(addr string) string {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return addr
	}
	switch ip, err := netip.ParseAddr(host); {
	case host == "", err == nil && ip == netip.IPv4Unspecified():
		host = "127.0.0.1"
	case err == nil && ip == netip.IPv6Unspecified():
		host = "::1"
	}
	return net.JoinHostPort(host, port)
}

type readyAnswer struct {
	ready bool
	text  string
}

func askReady(ctx context.Context, addr, format string, limit time.Duration) (readyAnswer, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/readyz?format="+format, nil)
	if err != nil {
		return readyAnswer{}, err
	}
	transport := &http.Transport{DisableKeepAlives: true} // no proxy of the environment: it is this machine that is asked
	response, err := (&http.Client{Transport: transport}).Do(request)
	if err != nil {
		return readyAnswer{}, fmt.Errorf("nobody answers there (%w): is the process running, with this configuration and role?", err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(response.Body, maxHealthAnswer))
	if err != nil {
		return readyAnswer{}, err
	}
	switch response.StatusCode {
	case http.StatusOK, http.StatusServiceUnavailable:
		return readyAnswer{response.StatusCode == http.StatusOK, string(text)}, nil
	}
	return readyAnswer{}, fmt.Errorf("somebody else answers there (HTTP status %d)", response.StatusCode)
}
