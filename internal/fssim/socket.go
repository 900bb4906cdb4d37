package fssim

import (
	"net"
	"strings"

	"go.uber.org/zap"
)

// maxControllers is how many hosts a socket line may name, FreeSWITCH's bound.
const maxControllers = 50

// appSocket is "host:port|host:port/path [async] [full]": it hands the call to the first controller that takes the
// connection, and comes back when the controller is gone.
func appSocket(c *channel, arg string) {
	a := splitArgs(arg, 80)
	if len(a) == 0 {
		return
	}
	hosts := strings.Split(a[0], "|")
	if len(hosts) > maxControllers {
		hosts = hosts[:maxControllers]
	}
	conn := c.dialController(hosts)
	if conn == nil {
		return
	}
	l := c.s.newListener(conn, c)
	for _, w := range a[1:] {
		switch strings.ToLower(w) {
		case "full":
			l.full = true
		case "async":
			l.async = true
		}
	}
	if !l.async {
		c.s.unknown("socket without async")
	}
	c.mu.Lock()
	c.controller = l
	c.mu.Unlock()
	if !c.s.spawn(l.run) {
		conn.Close()
		return
	}
	alive := func() bool {
		select {
		case <-l.finished:
			return false
		default:
			return true
		}
	}
	for c.ready() && alive() && !isClosed(l.connected) {
		c.runJobs()
		c.wait(tick)
	}
	if alive() || len(c.pendingPrivate()) > 0 {
		c.park(alive)
	}
	c.pumpAll()
	c.mu.Lock()
	if c.state == csReset && c.transfer == nil {
		c.state = csExecute
	}
	if c.controller == l && !alive() {
		c.controller = nil
	}
	c.mu.Unlock()
}

// dialController tries the hosts in order. Like FreeSWITCH's it has no timeout of its own.
func (c *channel) dialController(hosts []string) net.Conn {
	port := "8084"
	for _, h := range hosts {
		if h == "" {
			continue
		}
		host := h
		if i := strings.LastIndexByte(h, ':'); i >= 0 {
			host = h[:i]
			p, path, hasPath := strings.Cut(h[i+1:], "/")
			port = itoa(atoi(p))
			if hasPath {
				c.set("socket_path", path)
			}
		} else if b, path, ok := strings.Cut(h, "/"); ok {
			host = b
			c.set("socket_path", path)
		}
		c.set("socket_host", host)
		var d net.Dialer
		conn, err := d.DialContext(c.s.ctx, "tcp", net.JoinHostPort(strings.Trim(host, "[]"), port))
		if err == nil {
			return conn
		}
		c.s.log.Info("controller does not answer", zap.String("uuid", c.uuid), zap.String("host", h), zap.Error(err))
	}
	return nil
}

func isClosed(ch <-chan struct{}) bool {
	select {
	case <-ch:
		return true
	default:
		return false
	}
}

func (c *channel) pendingPrivate() []privateCommand {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.private
}

// pumpAll serves what is still queued when the controller has gone, as FreeSWITCH does.
func (c *channel) pumpAll() {
	if !c.down() {
		c.pump()
	}
}
